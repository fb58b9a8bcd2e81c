//! The error object of the dialect, both ways, by the types of Anthropic's page on errors.

use crate::dialect::middle::{ErrorKind, ProviderError};
use crate::wire::json::{self, Kind, Node};

/// Appends the envelope of the dialect. Without an id of the request `request_id` is null.
pub fn write_error(error: &ProviderError, request_id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"error\",\"error\":");
    write_object(error, out);
    out.extend_from_slice(b",\"request_id\":");
    match request_id {
        "" => out.extend_from_slice(b"null"),
        id => json::write_string(id, out),
    }
    out.push(b'}');
}

/// Appends the inner object: type and message.
pub(super) fn write_object(error: &ProviderError, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(type_name(error).as_bytes());
    out.extend_from_slice(b"\",\"message\":\"");
    // Clients know a full context by these words and then shorten the conversation.
    if error.kind == ErrorKind::ContextOverflow && !error.message.contains(PROMPT_TOO_LONG) {
        out.extend_from_slice(PROMPT_TOO_LONG.as_bytes());
        out.extend_from_slice(b": ");
    }
    json::write_escaped(error.message.as_bytes(), out);
    out.extend_from_slice(b"\"}");
}

/// The error's `type`. A permission that is refused with 401 is the client's own key. That the gateway's was refused is
/// nothing that a client could mend, so it is not shown as an authentication error.
fn type_name(error: &ProviderError) -> &'static str {
    match error.kind {
        ErrorKind::BadRequest | ErrorKind::ContextOverflow | ErrorKind::ContentFilter => {
            "invalid_request_error"
        }
        ErrorKind::Permission if error.status == 401 => "authentication_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::Billing => "billing_error",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::TooLarge => "request_too_large",
        ErrorKind::RateLimit => "rate_limit_error",
        ErrorKind::Overloaded => "overloaded_error",
        ErrorKind::Timeout => "timeout_error",
        ErrorKind::Credential | ErrorKind::Server => "api_error",
    }
}

/// Reads an error document or the data of an `error` event.
pub(super) fn read_error(document: Node<'_>) -> ProviderError {
    let error = document.get("error").unwrap_or(document);
    let text = |key: &str| error.get(key).and_then(Node::text).map(|text| text.into_owned());
    let message = match error.kind() {
        Kind::String => error.text().map(|text| text.into_owned()),
        _ => text("message"),
    };
    let message = message.unwrap_or_else(|| "The provider gave an error without a message.".to_owned());
    let code = error.get("details").and_then(|details| details.get("error_code")?.text());
    let (mut kind, mut status) = kind_of(&text("type").unwrap_or_default());
    if kind == ErrorKind::BadRequest && OVERFLOWS.iter().any(|words| message.contains(words)) {
        kind = ErrorKind::ContextOverflow;
    }
    if code.as_deref().is_some_and(|code| code.contains("spend_limit")) {
        (kind, status) = (ErrorKind::Billing, 429);
    }
    let code = code.map(|code| code.into_owned()).or_else(|| text("type"));
    ProviderError { kind, status, message, code, param: None }
}

/// The kind and the HTTP status of an error type; a refused key has the status of a bad gateway.
fn kind_of(name: &str) -> (ErrorKind, u16) {
    match name {
        "invalid_request_error" => (ErrorKind::BadRequest, 400),
        "authentication_error" => (ErrorKind::Credential, 502),
        "billing_error" => (ErrorKind::Billing, 402),
        "permission_error" => (ErrorKind::Permission, 403),
        "not_found_error" => (ErrorKind::NotFound, 404),
        "conflict_error" => (ErrorKind::BadRequest, 409),
        "request_too_large" => (ErrorKind::TooLarge, 413),
        "rate_limit_error" => (ErrorKind::RateLimit, 429),
        "timeout_error" => (ErrorKind::Timeout, 504),
        "overloaded_error" => (ErrorKind::Overloaded, 529),
        _ => (ErrorKind::Server, 500),
    }
}

/// An error of the provider's doing that it did not put into words.
pub(super) fn broken(message: &str) -> ProviderError {
    ProviderError {
        kind: ErrorKind::Server,
        status: 502,
        message: message.to_owned(),
        code: None,
        param: None,
    }
}

const PROMPT_TOO_LONG: &str = "prompt is too long";
const OVERFLOWS: &[&str] = &[PROMPT_TOO_LONG, "exceed context limit"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ProviderError {
        read_error(Node::document(text.as_bytes(), &mut Vec::new()).expect("JSON"))
    }

    #[test]
    fn each_type_has_its_kind() {
        let cases = [
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                ErrorKind::Overloaded,
                529,
            ),
            (r#"{"error":{"type":"rate_limit_error","message":"slow"}}"#, ErrorKind::RateLimit, 429),
            (
                r#"{"error":{"type":"rate_limit_error","message":"x","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
                ErrorKind::Billing,
                429,
            ),
            (
                r#"{"error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}}"#,
                ErrorKind::ContextOverflow,
                400,
            ),
            (r#"{"error":{"type":"of_next_year","message":"x"}}"#, ErrorKind::Server, 500),
            (r#"{"error":"text"}"#, ErrorKind::Server, 500),
        ];
        for (text, kind, status) in cases {
            let error = read(text);
            assert_eq!((error.kind, error.status), (kind, status), "{text}");
        }
        assert_eq!(read(r#"{"error":"text"}"#).message, "text");
    }

    #[test]
    fn a_wrong_key_of_the_client_is_an_authentication_error() {
        let error = read(r#"{"error":{"type":"permission_error"}}"#);
        for (status, want) in [(401, "authentication_error"), (403, "permission_error")] {
            assert_eq!(type_name(&ProviderError { status, ..error.clone() }), want, "{status}");
        }
    }

    #[test]
    fn an_error_comes_back_as_it_was_written() {
        let error = ProviderError {
            message: "a \"b\"\n".to_owned(),
            ..read(r#"{"error":{"type":"overloaded_error"}}"#)
        };
        let mut out = Vec::new();
        write_error(&error, "req_1", &mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(
            text,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"a \"b\"\n"},"request_id":"req_1"}"#
        );
        assert_eq!(read(&text), error);
        let full =
            ProviderError { kind: ErrorKind::ContextOverflow, message: "too much".to_owned(), ..error };
        let mut out = Vec::new();
        write_error(&full, "", &mut out);
        assert_eq!(read(&String::from_utf8(out).expect("UTF-8")).kind, ErrorKind::ContextOverflow);
    }
}
