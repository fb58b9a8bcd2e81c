//! Anthropic's Messages as a provider speaks them: the question, whole answers, events, errors.

use serde_json::{Value, json};

use super::question::{self, Choice, Question, items, text};
use super::script::{Call, Finish, REDACTED, SIGNATURE, Script, Tokens, fragments};

pub fn question(body: &Value) -> Question {
    let choice = match body.pointer("/tool_choice/type").and_then(Value::as_str) {
        Some("none") => Choice::None,
        _ => Choice::named(body.pointer("/tool_choice/name")),
    };
    // Tools that the provider runs itself have no schema.
    let own = items(&body["tools"]).filter(|tool| tool.get("input_schema").is_some());
    let format = body.pointer("/output_config/format").or_else(|| body.get("output_format"));
    Question {
        model: body["model"].as_str().unwrap_or("simulated-chat").to_owned(),
        streams: body["stream"] == true,
        tools: question::tools(own, "/input_schema", &choice),
        results: results(&body["messages"]),
        user_text: question::user_text(&body["messages"], "content"),
        schema: format.and_then(|format| format.get("schema")).cloned(),
        ..Question::default()
    }
}

fn results(turns: &Value) -> Vec<String> {
    let turns = question::since_answer(turns);
    let blocks = turns.iter().flat_map(|turn| items(&turn["content"]));
    let results = blocks.filter(|block| block["type"] == "tool_result");
    results.map(|block| text(&block["content"])).collect()
}

/// The whole answer.
pub fn whole(script: &Script) -> Vec<u8> {
    let mut content = Vec::new();
    if let Some(thought) = &script.thought {
        content.push(match thought.is_redacted {
            true => json!({"type": "redacted_thinking", "data": REDACTED}),
            false => json!({"type": "thinking", "thinking": thought.text(), "signature": SIGNATURE}),
        });
    }
    if !script.text.is_empty() {
        content.push(json!({"type": "text", "text": script.text}));
    }
    for (index, call) in script.calls.iter().enumerate() {
        content.push(
            json!({"type": "tool_use", "id": call_id(index), "name": call.name, "input": call.arguments}),
        );
    }
    let (reason, sequence) = stop(&script.finish);
    let answer = json!({"id": ID, "type": "message", "role": "assistant", "model": script.model, "content": content,
        "stop_reason": reason, "stop_sequence": sequence, "usage": usage(&script.tokens)});
    script.json(&answer).into_bytes()
}

/// The events of its stream.
pub fn events(script: &Script) -> Vec<Vec<u8>> {
    let mut start = usage(&script.tokens);
    start["output_tokens"] = json!(1);
    let message = json!({"id": ID, "type": "message", "role": "assistant", "model": script.model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": start});
    let mut events = vec![json!({"type": "message_start", "message": message}), json!({"type": "ping"})];
    let mut blocks = 0;
    let mut block = |start: Value, deltas: Vec<Value>| {
        events.push(json!({"type": "content_block_start", "index": blocks, "content_block": start}));
        let delta = |delta| json!({"type": "content_block_delta", "index": blocks, "delta": delta});
        events.extend(deltas.into_iter().map(delta));
        events.push(json!({"type": "content_block_stop", "index": blocks}));
        blocks += 1;
    };
    if let Some(thought) = script.thought.as_ref() {
        if thought.is_redacted {
            block(json!({"type": "redacted_thinking", "data": REDACTED}), Vec::new());
        } else {
            let pieces =
                thought.pieces.iter().map(|piece| json!({"type": "thinking_delta", "thinking": piece}));
            let signature = json!({"type": "signature_delta", "signature": SIGNATURE});
            let deltas = pieces.chain([signature]).collect();
            block(json!({"type": "thinking", "thinking": "", "signature": ""}), deltas);
        }
    }
    if !script.text.is_empty() {
        let deltas = script.pieces().into_iter().map(|piece| json!({"type": "text_delta", "text": piece}));
        block(json!({"type": "text", "text": ""}), deltas.collect());
    }
    for (index, call) in script.calls.iter().enumerate() {
        block(
            json!({"type": "tool_use", "id": call_id(index), "name": call.name, "input": {}}),
            argument_deltas(call),
        );
    }
    let (reason, sequence) = stop(&script.finish);
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": sequence},
        "usage": usage(&script.tokens)}));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(|event| framed(event, &script.json(event))).collect()
}

/// The arguments of a call in parts, the first of them empty; no other for a call without arguments.
fn argument_deltas(call: &Call) -> Vec<Value> {
    let text = if call.is_bare() { String::new() } else { call.text() };
    let parts = std::iter::once("").chain(fragments(&text));
    parts.map(|part| json!({"type": "input_json_delta", "partial_json": part})).collect()
}

fn call_id(index: usize) -> String {
    format!("toolu_simulated_{index}")
}

fn stop(finish: &Finish) -> (&str, Option<&str>) {
    match finish {
        Finish::Stop => ("end_turn", None),
        Finish::Calls => ("tool_use", None),
        Finish::Length => ("max_tokens", None),
        Finish::Filter | Finish::Refusal => ("refusal", None),
        Finish::Other(word) if word == "stop_sequence" => (word, Some(SEQUENCE)),
        Finish::Other(word) => (word, None),
    }
}

fn usage(tokens: &Tokens) -> Value {
    let mut usage = json!({"input_tokens": tokens.input, "cache_creation_input_tokens": tokens.written,
        "cache_read_input_tokens": tokens.cached, "output_tokens": tokens.output, "service_tier": "standard",
        "cache_creation": {"ephemeral_5m_input_tokens": tokens.written, "ephemeral_1h_input_tokens": 0}});
    if tokens.reasoning > 0 {
        usage["output_tokens_details"] = json!({"thinking_tokens": tokens.reasoning});
    }
    usage
}

/// The answer to the count of a request's tokens.
pub fn token_count(script: &Script) -> Vec<u8> {
    json!({"input_tokens": script.tokens.read()}).to_string().into_bytes()
}

/// An error in Anthropic's shape.
pub fn error(status: u16, message: &str) -> Vec<u8> {
    let mut error = error_object(status, message);
    error["request_id"] = json!("req_simulated");
    error.to_string().into_bytes()
}

/// The same inside of a stream, which then ends.
pub fn error_event(status: u16, message: &str) -> Vec<u8> {
    let error = error_object(status, message);
    framed(&error, &error.to_string())
}

fn error_object(status: u16, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// An event with its name, which its type repeats.
fn framed(event: &Value, text: &str) -> Vec<u8> {
    format!("event: {}\ndata: {text}\n\n", event["type"].as_str().unwrap_or_default()).into_bytes()
}

const ID: &str = "msg_simulated";
/// The stop sequence that is said to have been met.
const SEQUENCE: &str = "###";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::testing::{data, joined, told, whole as whole_of};

    const PATH: &str = "/v1/messages";

    fn body(text: &str, stream: bool) -> Value {
        let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}});
        json!({"model": "m", "max_tokens": 9, "stream": stream, "tools": [tool("a"), tool("b"), {"type": "web_search_20250305", "name": "s"}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]})
    }

    #[test]
    fn a_whole_answer_holds_what_was_asked_for() {
        let answer = whole_of(PATH, &body("[[sim tools=2 thinking=1 events=2 cached_tokens=3]]", false));
        let kinds: Vec<&str> = items(&answer["content"]).filter_map(|block| block["type"].as_str()).collect();
        assert_eq!(kinds, ["thinking", "text", "tool_use", "tool_use"]);
        assert_eq!(
            (&answer["content"][0]["signature"], &answer["content"][1]["text"]),
            (&json!(SIGNATURE), &json!("word0 word1 "))
        );
        assert_eq!(
            (&answer["content"][3]["name"], &answer["content"][3]["input"]),
            (&json!("b"), &json!({"city": "Paris"}))
        );
        assert_eq!(
            (&answer["stop_reason"], &answer["usage"]["cache_read_input_tokens"]),
            (&json!("tool_use"), &json!(3))
        );
        let reason = |sim: &str| {
            whole_of(PATH, &body(&format!("[[sim tools=0 {sim}]]"), false))["stop_reason"].clone()
        };
        let reasons = ["", "finish=length", "finish=filter", "refusal", "finish=pause_turn"].map(reason);
        assert_eq!(
            reasons,
            ["end_turn", "max_tokens", "refusal", "refusal", "pause_turn"].map(|word| json!(word))
        );
        assert_eq!(whole_of(PATH, &body("[[sim tools=0 empty]]", false))["content"], json!([]));
    }

    #[test]
    fn a_stream_says_the_same_block_by_block() {
        let events = data(PATH, &body("[[sim tools=2 thinking=2 events=2]]", true));
        let types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        assert_eq!(types[..3], ["message_start", "ping", "content_block_start"]);
        assert_eq!(types[types.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
        assert_eq!(joined(&events, "/delta/thinking"), "thought0 thought1 ");
        assert_eq!(joined(&events, "/delta/text"), "word0 word1 ");
        assert_eq!(joined(&events, "/delta/signature"), SIGNATURE);
        assert_eq!(joined(&events, "/delta/partial_json"), r#"{"city":"Paris"}{"city":"Paris"}"#);
        let first = &told(PATH, &body("hi", true))[0];
        assert!(first.starts_with("event: message_start\ndata: {") && first.ends_with("}\n\n"), "{first}");
    }

    #[test]
    fn the_result_of_a_tool_is_repeated() {
        let mut request = body("[[sim tools=2]]", false);
        let turns = request["messages"].as_array_mut().unwrap();
        turns.push(json!({"role": "assistant", "content": []}));
        turns.push(json!({"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "19 degrees"}]}]}));
        let answer = whole_of(PATH, &request);
        assert!(answer["content"][0]["text"].as_str().unwrap().ends_with("19 degrees"), "{answer}");
    }

    #[test]
    fn faults_have_the_shape_of_the_dialect() {
        let error = whole_of(PATH, &body("[[sim status=429]]", false));
        assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!("rate_limit_error")));
        let events = told(PATH, &body("[[sim tools=0 error_after_events=3]]", true));
        assert_eq!(events.len(), 4);
        assert!(
            events[3].starts_with("event: error\n") && events[3].contains("overloaded_error"),
            "{}",
            events[3]
        );
        assert_eq!(
            whole_of("/v1/messages/count_tokens", &body("[[sim input_tokens=7]]", false)),
            json!({"input_tokens": 7})
        );
    }

    #[test]
    fn a_schema_is_kept_to() {
        let mut request = body("[[sim tools=0]]", false);
        request["output_config"] = json!({"format": {"type": "json_schema", "schema": {"type": "object", "properties": {"place": {"type": "string"}}}}});
        assert_eq!(whole_of(PATH, &request)["content"][0]["text"], r#"{"place":"Paris"}"#);
    }
}
