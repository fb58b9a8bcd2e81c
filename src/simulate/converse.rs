//! Bedrock's Converse as a provider speaks it: the question, whole answers, frames of a stream, errors.

use serde_json::{Value, json};

use super::frame;
use super::question::{self, Choice, Question, items, text};
use super::script::{Finish, REDACTED, SIGNATURE, Script, Tokens, fragments};

/// The path names the model and whether it streams.
pub fn question(body: &Value) -> Question {
    let config = &body["toolConfig"];
    let choice = Choice::named(config.pointer("/toolChoice/tool/name"));
    let declared = items(&config["tools"]).filter_map(|tool| tool.get("toolSpec"));
    let schema = body.pointer("/outputConfig/textFormat/structure/jsonSchema/schema");
    Question {
        tools: question::tools(declared, "/inputSchema/json", &choice),
        results: results(&body["messages"]),
        user_text: question::user_text(&body["messages"], "content"),
        // The schema is the text of a JSON document.
        schema: schema.and_then(|schema| match schema.as_str() {
            Some(text) => serde_json::from_str(text).ok(),
            None => Some(schema.clone()),
        }),
        ..Question::default()
    }
}

fn results(turns: &Value) -> Vec<String> {
    let turns = question::since_answer(turns);
    let blocks = turns.iter().flat_map(|turn| items(&turn["content"]));
    let results = blocks.filter_map(|block| block.get("toolResult"));
    let said = |result: &Value| {
        let objects = items(&result["content"]).filter_map(|part| part.get("json")).map(Value::to_string);
        text(&result["content"]) + &objects.collect::<String>()
    };
    results.map(said).collect()
}

/// The whole answer.
pub fn whole(script: &Script) -> Vec<u8> {
    let mut content = Vec::new();
    if let Some(thought) = &script.thought {
        let signed = json!({"reasoningText": {"text": thought.text(), "signature": SIGNATURE}});
        let reasoning = if thought.is_redacted { json!({"redactedContent": REDACTED}) } else { signed };
        content.push(json!({"reasoningContent": reasoning}));
    }
    if !script.text.is_empty() {
        content.push(json!({"text": script.text}));
    }
    for (index, call) in script.calls.iter().enumerate() {
        let call = json!({"toolUseId": call_id(index), "name": call.name, "input": call.arguments});
        content.push(json!({"toolUse": call}));
    }
    let answer = json!({"output": {"message": {"role": "assistant", "content": content}}, "metrics": {"latencyMs": 1},
        "stopReason": stop(&script.finish), "usage": usage(&script.tokens)});
    script.json(&answer).into_bytes()
}

/// The frames of its stream. Only calls are announced; other blocks begin with their first delta.
pub fn events(script: &Script) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    let mut event = |kind: &str, mut payload: Value| {
        payload["p"] = json!(PADDING);
        events.push(frame::event(kind, script.json(&payload).as_bytes()));
    };
    event("messageStart", json!({"role": "assistant"}));
    let mut index = 0;
    let mut block = |start: Option<Value>, deltas: Vec<Value>| {
        if let Some(start) = start {
            event("contentBlockStart", json!({"contentBlockIndex": index, "start": start}));
        }
        for delta in deltas {
            event("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}));
        }
        event("contentBlockStop", json!({"contentBlockIndex": index}));
        index += 1;
    };
    if let Some(thought) = &script.thought {
        let pieces = thought.pieces.iter().map(|piece| json!({"text": piece}));
        let deltas: Vec<Value> = match thought.is_redacted {
            true => vec![json!({"redactedContent": REDACTED})],
            false => pieces.chain([json!({"signature": SIGNATURE})]).collect(),
        };
        block(None, deltas.into_iter().map(|delta| json!({"reasoningContent": delta})).collect());
    }
    if !script.text.is_empty() {
        block(None, script.pieces().into_iter().map(|piece| json!({"text": piece})).collect());
    }
    for (index, call) in script.calls.iter().enumerate() {
        // A call without arguments has no delta.
        let text = if call.is_bare() { String::new() } else { call.text() };
        let deltas = fragments(&text).into_iter().map(|part| json!({"toolUse": {"input": part}}));
        block(Some(json!({"toolUse": {"toolUseId": call_id(index), "name": call.name}})), deltas.collect());
    }
    event("messageStop", json!({"stopReason": stop(&script.finish)}));
    event("metadata", json!({"usage": usage(&script.tokens), "metrics": {"latencyMs": 1}}));
    events
}

fn call_id(index: usize) -> String {
    format!("tooluse_simulated_{index}")
}

fn stop(finish: &Finish) -> &str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Calls => "tool_use",
        Finish::Length => "max_tokens",
        Finish::Filter => "content_filtered",
        Finish::Refusal => "guardrail_intervened",
        Finish::Other(word) => word,
    }
}

fn usage(tokens: &Tokens) -> Value {
    let mut usage =
        json!({"inputTokens": tokens.input, "outputTokens": tokens.output, "totalTokens": tokens.total()});
    if tokens.cached + tokens.written > 0 {
        usage["cacheReadInputTokens"] = json!(tokens.cached);
        usage["cacheWriteInputTokens"] = json!(tokens.written);
    }
    usage
}

/// The body of an error; its type is a header.
pub fn error(message: &str) -> Vec<u8> {
    json!({"message": message}).to_string().into_bytes()
}

/// The type of an error as the header has it.
pub fn error_type(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/",
        503 | 529 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    }
}

/// The frame of an exception inside of a stream, which then ends.
pub fn error_event(status: u16, message: &str) -> Vec<u8> {
    let kind = match status {
        424 => "modelStreamErrorException",
        429 => "throttlingException",
        503 | 529 => "serviceUnavailableException",
        500.. => "internalServerException",
        _ => "validationException",
    };
    frame::exception(kind, &error(message))
}

/// What hides the length of an event, as the real one sends it.
const PADDING: &str = "abcdefghijklmnop";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::frame::crc32;
    use crate::simulate::testing::{bytes, joined, whole as whole_of};

    const WHOLE: &str = "/model/m/converse";
    const STREAM: &str = "/model/m/converse-stream";

    fn body(text: &str) -> Value {
        let tool = |name: &str| json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}}}});
        json!({"messages": [{"role": "user", "content": [{"text": text}]}], "toolConfig": {"tools": [tool("a"), tool("b")]}})
    }

    /// The frames as their types and payloads.
    fn frames(body: &Value) -> (Vec<String>, Vec<Value>) {
        let frames = bytes(STREAM, body);
        let payload = |frame: &Vec<u8>| {
            let at = 12 + u32::from_be_bytes(frame[4..8].try_into().unwrap()) as usize;
            assert_eq!(frame[frame.len() - 4..], crc32(&frame[..frame.len() - 4]).to_be_bytes());
            // The first header is the type: a length, its name, the kind of its value, two bytes of length, the value.
            let value_at = 12 + 1 + usize::from(frame[12]) + 1 + 2;
            let kind = frame[value_at..value_at + usize::from(frame[value_at - 1])].to_vec();
            (String::from_utf8(kind).unwrap(), serde_json::from_slice(&frame[at..frame.len() - 4]).unwrap())
        };
        frames.iter().map(payload).unzip()
    }

    #[test]
    fn a_whole_answer_holds_what_was_asked_for() {
        let answer = whole_of(WHOLE, &body("[[sim tools=2 thinking=1 cached_tokens=4]]"));
        let content = &answer["output"]["message"]["content"];
        assert_eq!(content[0]["reasoningContent"]["reasoningText"]["signature"], SIGNATURE);
        assert_eq!(
            content[2]["toolUse"],
            json!({"toolUseId": "tooluse_simulated_1", "name": "b", "input": {"city": "Paris"}})
        );
        assert_eq!(
            (&answer["stopReason"], &answer["usage"]["cacheReadInputTokens"]),
            (&json!("tool_use"), &json!(4))
        );
        let reason =
            |sim: &str| whole_of(WHOLE, &body(&format!("[[sim tools=0 {sim}]]")))["stopReason"].clone();
        let reasons = ["", "finish=length", "finish=filter", "refusal"].map(reason);
        assert_eq!(
            reasons,
            ["end_turn", "max_tokens", "content_filtered", "guardrail_intervened"].map(|word| json!(word))
        );
    }

    #[test]
    fn only_calls_are_announced_and_the_metadata_come_last() {
        let (kinds, events) = frames(&body("[[sim tools=1 thinking=1 events=2]]"));
        let block = ["contentBlockDelta", "contentBlockDelta", "contentBlockStop"];
        assert_eq!(kinds[0], "messageStart");
        assert_eq!(
            (&kinds[1..4], &kinds[4..7]),
            (&block.map(str::to_owned)[..], &block.map(str::to_owned)[..])
        );
        assert_eq!(kinds[7], "contentBlockStart");
        assert_eq!(kinds[kinds.len() - 2..], ["messageStop", "metadata"]);
        assert_eq!(joined(&events, "/delta/text"), "word0 word1 ");
        assert_eq!(joined(&events, "/delta/toolUse/input"), r#"{"city":"Paris"}"#);
        assert_eq!(events[7]["contentBlockIndex"], 2);
    }

    #[test]
    fn an_exception_ends_a_stream() {
        let (kinds, events) = frames(&body("[[sim tools=0 error_after_events=2 error_status=429]]"));
        assert_eq!((kinds.len(), kinds[2].as_str()), (3, "throttlingException"));
        assert!(events[2]["message"].is_string());
        assert!(whole_of(WHOLE, &body("[[sim status=400]]"))["message"].is_string());
    }

    #[test]
    fn schemas_and_results_are_answered() {
        let mut request = body("[[sim tools=0]]");
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}}).to_string();
        request["outputConfig"] =
            json!({"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema}}}});
        assert_eq!(whole_of(WHOLE, &request)["output"]["message"]["content"][0]["text"], r#"{"n":7}"#);
        let mut request = body("hi");
        let turn = json!({"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "19 "}, {"json": {"a": 1}}]}}]});
        request["messages"].as_array_mut().unwrap().push(turn);
        let text = whole_of(WHOLE, &request)["output"]["message"]["content"][0]["text"].clone();
        assert!(text.as_str().unwrap().ends_with("said: 19 {\"a\":1}"), "{text}");
    }
}
