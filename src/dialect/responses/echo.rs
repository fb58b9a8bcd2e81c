//! What a response object repeats of its request. The types of the official SDKs demand most of these keys, so a field
//! that the client left out stands there with the API's default.

use super::fields::write_on_one_line;
use crate::wire::json::Node;

/// The members of the request that a response object repeats, each followed by a comma, on one line. `store` says what is
/// done, whatever was asked for.
pub fn echo(body: Node<'_>, is_kept: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    for &(name, default) in FIELDS {
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match body.get(name) {
            _ if name == "store" => out.extend_from_slice(if is_kept { b"true" } else { b"false" }),
            Some(value) => write_on_one_line(value.raw(), &mut out),
            None => out.extend_from_slice(default.as_bytes()),
        }
        out.push(b',');
    }
    if let Some(conversation) = body.get("conversation") {
        // The request may give its id alone; the response has an object.
        let id = conversation.get("id").unwrap_or(conversation);
        out.extend_from_slice(b"\"conversation\":{\"id\":");
        write_on_one_line(id.raw(), &mut out);
        out.extend_from_slice(b"},");
    }
    out
}

/// Names and defaults (the API reference's `Response` and `CreateResponse`).
const FIELDS: &[(&str, &str)] = &[
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", "{\"effort\":null,\"summary\":null}"),
    ("safety_identifier", "null"),
    ("service_tier", "\"auto\""),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", "{\"format\":{\"type\":\"text\"}}"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_gave_is_repeated_and_the_rest_has_its_default() {
        let body =
            b"{\"tools\":[\n{\"type\":\"function\"}\r\n],\"temperature\":0.10,\"user\":null,\"store\":false}";
        let mut out = b"{".to_vec();
        out.extend(echo(Node::document(body, &mut Vec::new()).unwrap(), false));
        assert!(!out.contains(&b'\n') && !out.contains(&b'\r'));
        out.extend_from_slice(b"\"end\":1}");
        let told: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(told["tools"], serde_json::json!([{"type": "function"}]));
        assert_eq!((told["store"].as_bool(), told["temperature"].as_f64()), (Some(false), Some(0.1)));
        assert_eq!(told.as_object().unwrap().len(), FIELDS.len() + 1);
        assert!(told["user"].is_null() && told["tool_choice"] == "auto");
    }
}
