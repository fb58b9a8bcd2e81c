//! OpenAI's Responses as a provider speaks them: the question, the response object, its stream of events, errors.

use serde_json::{Value, json};

use super::openai::{CREATED, error_object, in_turn};
use super::question::{self, Choice, Question, items, text};
use super::script::{Call, Finish, SIGNATURE, Script, Tokens, fragments};

pub fn question(body: &Value) -> Question {
    let choice = match body["tool_choice"].as_str() {
        Some("none") => Choice::None,
        _ => Choice::named(body.pointer("/tool_choice/name")),
    };
    let functions = items(&body["tools"]).filter(|tool| tool["type"] == "function");
    let format = body.pointer("/text/format").unwrap_or(&Value::Null);
    let input = &body["input"];
    Question {
        model: body["model"].as_str().unwrap_or("simulated-chat").to_owned(),
        streams: body["stream"] == true,
        tools: question::tools(functions, "/parameters", &choice),
        results: results(input),
        user_text: input.as_str().map_or_else(|| user_text(input), str::to_owned),
        schema: match format["type"].as_str() {
            Some("json_object") => Some(question::any_object()),
            _ => format.get("schema").cloned(),
        },
        ..Question::default()
    }
}

/// Items that are no messages have no role, and must not count as a user's.
fn user_text(input: &Value) -> String {
    let messages = items(input).filter(|item| item["role"] == "user").cloned().collect();
    question::user_text(&Value::Array(messages), "content")
}

fn results(input: &Value) -> Vec<String> {
    let items = question::since_answer(input).into_iter();
    let outputs =
        items.filter(|item| item["type"].as_str().is_some_and(|kind| kind.ends_with("call_output")));
    outputs.map(|item| text(&item["output"])).collect()
}

/// The whole response; a failed one where an error is asked for inside.
pub fn whole(script: &Script, body: &Value, failure: Option<u16>) -> Vec<u8> {
    let response = match failure {
        Some(status) => failed(script, body, status, "A fault that was asked for."),
        None => finished(script, body),
    };
    script.json(&response).into_bytes()
}

/// The events of its stream.
pub fn events(script: &Script, body: &Value) -> Vec<Vec<u8>> {
    let running = response(script, body, "in_progress");
    let mut events = vec![
        json!({"type": "response.created", "response": running}),
        json!({"type": "response.in_progress", "response": running}),
    ];
    let output = output(script);
    let talk = output.len() - script.calls.len();
    for (index, item) in output[..talk].iter().enumerate() {
        let steps = if item["type"] == "reasoning" {
            reasoning_steps(script, item)
        } else {
            message_steps(script, item)
        };
        events.extend(steps.into_iter().map(|step| at(index, item, step)));
    }
    let of_call = |(index, (item, call)): (usize, (&Value, &Call))| {
        call_steps(item, call).into_iter().map(|step| at(talk + index, item, step)).collect::<Vec<Value>>()
    };
    let calls = output[talk..].iter().zip(&script.calls).enumerate().map(of_call).collect();
    events.extend(in_turn(calls, script.interleave));
    let finished = finished(script, body);
    let kind = format!("response.{}", finished["status"].as_str().unwrap_or_default());
    events.push(json!({"type": kind, "response": finished}));
    events.into_iter().enumerate().map(|(number, event)| framed(script, event, number)).collect()
}

/// A step of an item, with the item's place; steps that bring the item itself do not name it once more.
fn at(index: usize, item: &Value, mut step: Value) -> Value {
    step["output_index"] = json!(index);
    if step.get("item").is_none() {
        step["item_id"] = item["id"].clone();
    }
    step
}

fn message_steps(script: &Script, item: &Value) -> Vec<Value> {
    let (kind, key, name) = match script.is_refusal {
        true => ("refusal", "refusal", "refusal"),
        false => ("output_text", "text", "output_text"),
    };
    let part = item["content"][0].clone();
    let mut empty = part.clone();
    empty[key] = json!("");
    let mut opened = item.clone();
    (opened["status"], opened["content"]) = (json!("in_progress"), json!([]));
    let mut steps = vec![
        json!({"type": "response.output_item.added", "item": opened}),
        json!({"type": "response.content_part.added", "content_index": 0, "part": empty}),
    ];
    let delta =
        |piece: &str| json!({"type": format!("response.{name}.delta"), "content_index": 0, "delta": piece});
    steps.extend(script.pieces().into_iter().map(delta));
    steps.push(json!({"type": format!("response.{name}.done"), "content_index": 0, key: script.text}));
    if kind == "output_text" {
        let texts = |step: &&mut Value| {
            step["type"].as_str().is_some_and(|kind| kind.starts_with("response.output_text"))
        };
        steps.iter_mut().filter(texts).for_each(|step| step["logprobs"] = json!([]));
    }
    steps.push(json!({"type": "response.content_part.done", "content_index": 0, "part": part}));
    steps.push(json!({"type": "response.output_item.done", "item": item}));
    steps
}

fn reasoning_steps(script: &Script, item: &Value) -> Vec<Value> {
    let mut opened = item.clone();
    opened["summary"] = json!([]);
    let mut steps = vec![json!({"type": "response.output_item.added", "item": opened})];
    if let Some(part) = item["summary"].get(0) {
        let empty = json!({"type": "summary_text", "text": ""});
        steps.push(
            json!({"type": "response.reasoning_summary_part.added", "summary_index": 0, "part": empty}),
        );
        let pieces = script.thought.iter().flat_map(|thought| &thought.pieces);
        let delta = |piece| json!({"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": piece});
        steps.extend(pieces.map(delta));
        let done = "response.reasoning_summary_text.done";
        steps.push(json!({"type": done, "summary_index": 0, "text": part["text"]}));
        steps.push(json!({"type": "response.reasoning_summary_part.done", "summary_index": 0, "part": part}));
    }
    steps.push(json!({"type": "response.output_item.done", "item": item}));
    steps
}

fn call_steps(item: &Value, call: &Call) -> Vec<Value> {
    let text = call.text();
    let mut opened = item.clone();
    (opened["status"], opened["arguments"]) = (json!("in_progress"), json!(""));
    let mut steps = vec![json!({"type": "response.output_item.added", "item": opened})];
    let delta = |part: &str| json!({"type": "response.function_call_arguments.delta", "delta": part});
    steps.extend(fragments(&text).into_iter().map(delta));
    let done = "response.function_call_arguments.done";
    steps.push(json!({"type": done, "name": call.name, "arguments": text}));
    steps.push(json!({"type": "response.output_item.done", "item": item}));
    steps
}

/// The items of the answer: a thought, a message, calls. A thought that only the provider can read has no summary.
fn output(script: &Script) -> Vec<Value> {
    let mut output = Vec::new();
    if let Some(thought) = &script.thought {
        let summary = json!([{"type": "summary_text", "text": thought.text()}]);
        let summary = if thought.is_redacted { json!([]) } else { summary };
        output.push(json!({"id": "rs_simulated", "type": "reasoning", "summary": summary, "encrypted_content": SIGNATURE}));
    }
    if !script.text.is_empty() {
        let part = match script.is_refusal {
            true => json!({"type": "refusal", "refusal": script.text}),
            false => json!({"type": "output_text", "text": script.text, "annotations": [], "logprobs": []}),
        };
        output.push(
            json!({"id": "msg_simulated", "type": "message", "status": "completed", "role": "assistant",
            "content": [part]}),
        );
    }
    for (index, call) in script.calls.iter().enumerate() {
        output.push(
            json!({"id": format!("fc_simulated_{index}"), "type": "function_call", "status": "completed",
            "call_id": format!("call_simulated_{index}"), "name": call.name, "arguments": call.text()}),
        );
    }
    output
}

/// The object as it is at the end.
fn finished(script: &Script, body: &Value) -> Value {
    let reason = match &script.finish {
        Finish::Length => Some("max_output_tokens"),
        Finish::Filter => Some("content_filter"),
        Finish::Other(word) => Some(word.as_str()),
        _ => None,
    };
    let mut response = response(script, body, if reason.is_some() { "incomplete" } else { "completed" });
    if let Some(reason) = reason {
        response["incomplete_details"] = json!({"reason": reason});
    }
    response["output"] = json!(output(script));
    response["usage"] = usage(&script.tokens);
    response
}

fn failed(script: &Script, body: &Value, status: u16, message: &str) -> Value {
    let mut response = response(script, body, "failed");
    response["error"] = json!({"code": error_code(status), "message": message});
    response
}

fn error_code(status: u16) -> Value {
    error_object(status, "")["error"]["code"].clone()
}

/// The object without an answer. It repeats what the request said.
fn response(script: &Script, body: &Value, status: &str) -> Value {
    let or = |key: &str, default: Value| {
        body.get(key).filter(|value| !value.is_null()).cloned().unwrap_or(default)
    };
    json!({"id": "resp_simulated", "object": "response", "created_at": CREATED, "status": status, "background": false,
        "error": null, "incomplete_details": null, "instructions": or("instructions", Value::Null),
        "max_output_tokens": or("max_output_tokens", Value::Null), "model": script.model, "output": [],
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "previous_response_id": or("previous_response_id", Value::Null),
        "reasoning": or("reasoning", json!({"effort": null, "summary": null})), "store": or("store", json!(true)),
        "temperature": or("temperature", json!(1.0)), "text": or("text", json!({"format": {"type": "text"}})),
        "tool_choice": or("tool_choice", json!("auto")), "tools": or("tools", json!([])),
        "top_p": or("top_p", json!(1.0)), "truncation": "disabled", "usage": null, "user": or("user", Value::Null),
        "metadata": or("metadata", json!({}))})
}

fn usage(tokens: &Tokens) -> Value {
    let mut usage = json!({"input_tokens": tokens.read(), "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.output, "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.total()});
    if tokens.written > 0 {
        usage["input_tokens_details"]["cache_write_tokens"] = json!(tokens.written);
    }
    usage
}

/// An error inside of a stream: its own event, then the response that failed. `number` events came before.
pub fn error_events(
    status: u16,
    message: &str,
    number: usize,
    script: &Script,
    body: &Value,
) -> Vec<Vec<u8>> {
    let error = json!({"type": "error", "code": error_code(status), "message": message, "param": null});
    let failed = json!({"type": "response.failed", "response": failed(script, body, status, message)});
    vec![framed(script, error, number), framed(script, failed, number + 1)]
}

/// An event with its number, and its name, which its type repeats.
fn framed(script: &Script, mut event: Value, number: usize) -> Vec<u8> {
    event["sequence_number"] = json!(number);
    format!("event: {}\ndata: {}\n\n", event["type"].as_str().unwrap_or_default(), script.json(&event))
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::testing::{data, joined, told, whole as whole_of};

    const PATH: &str = "/v1/responses";

    fn body(text: &str, stream: bool) -> Value {
        let tool = |name: &str| json!({"type": "function", "name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}});
        json!({"model": "m", "stream": stream, "tools": [tool("a"), {"type": "web_search"}, tool("b")],
            "input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}]})
    }

    #[test]
    fn a_whole_response_holds_what_was_asked_for() {
        let response = whole_of(PATH, &body("[[sim tools=2 thinking=1 events=1 cached_tokens=3]]", false));
        let kinds: Vec<&str> = items(&response["output"]).filter_map(|item| item["type"].as_str()).collect();
        assert_eq!(kinds, ["reasoning", "message", "function_call", "function_call"]);
        assert_eq!(response["output"][0]["encrypted_content"], SIGNATURE);
        assert_eq!(response["output"][3]["arguments"], r#"{"city":"Paris"}"#);
        assert_eq!(
            (&response["status"], &response["usage"]["input_tokens_details"]["cached_tokens"]),
            (&json!("completed"), &json!(3))
        );
        let reason = |sim: &str| {
            whole_of(PATH, &body(&format!("[[sim tools=0 {sim}]]"), false))["incomplete_details"]["reason"]
                .clone()
        };
        assert_eq!(
            ["finish=length", "finish=filter"].map(reason),
            ["max_output_tokens", "content_filter"].map(|word| json!(word))
        );
        let failed = whole_of(PATH, &body("[[sim error_after_events=0 error_status=429]]", false));
        assert_eq!(
            (&failed["status"], &failed["error"]["code"]),
            (&json!("failed"), &json!("rate_limit_exceeded"))
        );
        assert_eq!(
            whole_of(PATH, &body("[[sim refusal]]", false))["output"][0]["content"][0]["type"],
            "refusal"
        );
    }

    #[test]
    fn a_stream_brings_every_item_step_by_step() {
        let events = data(PATH, &body("[[sim tools=1 thinking=1 events=1]]", true));
        let kinds: Vec<&str> = events
            .iter()
            .map(|event| event["type"].as_str().unwrap().trim_start_matches("response."))
            .collect();
        let want = "created in_progress output_item.added reasoning_summary_part.added reasoning_summary_text.delta \
            reasoning_summary_text.done reasoning_summary_part.done output_item.done output_item.added content_part.added \
            output_text.delta output_text.done content_part.done output_item.done output_item.added \
            function_call_arguments.delta function_call_arguments.delta function_call_arguments.delta \
            function_call_arguments.done output_item.done completed";
        assert_eq!(kinds, want.split_whitespace().collect::<Vec<_>>());
        assert!(events.iter().enumerate().all(|(number, event)| event["sequence_number"] == number));
        let last = &events.last().unwrap()["response"];
        let done: Vec<&Value> = events
            .iter()
            .filter(|event| event["type"] == "response.output_item.done")
            .map(|event| &event["item"])
            .collect();
        assert_eq!(items(&last["output"]).collect::<Vec<_>>(), done);
        assert_eq!(
            (&events[10]["item_id"], &events[10]["output_index"]),
            (&json!("msg_simulated"), &json!(1))
        );
        let first = &told(PATH, &body("hi", true))[0];
        assert!(first.starts_with("event: response.created\ndata: {"), "{first}");
    }

    #[test]
    fn a_refusal_and_calls_in_turn_are_streamed() {
        let events = data(PATH, &body("[[sim refusal]]", true));
        let refusals: Vec<Value> =
            events.iter().filter(|event| event["type"] == "response.refusal.delta").cloned().collect();
        assert_eq!(joined(&refusals, "/delta"), "I cannot help with that.");
        let events = data(PATH, &body("[[sim tools=2 interleave]]", true));
        let deltas = events.iter().filter(|event| event["type"] == "response.function_call_arguments.delta");
        let order: String = deltas.map(|event| event["output_index"].to_string()).collect();
        assert_eq!(order, "010101");
    }

    #[test]
    fn an_error_ends_a_stream_with_a_failed_response() {
        let events = data(PATH, &body("[[sim tools=0 error_after_events=2]]", true));
        let kinds: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
        assert_eq!(kinds, ["response.created", "response.in_progress", "error", "response.failed"]);
        assert_eq!(
            (&events[3]["sequence_number"], &events[3]["response"]["status"]),
            (&json!(3), &json!("failed"))
        );
    }

    #[test]
    fn strings_schemas_and_results_are_answered() {
        let text = |request: &Value| {
            whole_of(PATH, request)["output"][0]["content"][0]["text"].as_str().unwrap().to_owned()
        };
        assert_eq!(text(&json!({"input": "[[sim events=1]]"})), "word0 ");
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        assert_eq!(
            text(&json!({"input": "hi", "text": {"format": {"type": "json_schema", "schema": schema}}})),
            r#"{"n":7}"#
        );
        let mut request = body("[[sim tools=2]]", false);
        request["input"].as_array_mut().unwrap().extend([
            json!({"type": "function_call", "call_id": "c", "name": "a", "arguments": "{}"}),
            json!({"type": "function_call_output", "call_id": "c", "output": "19 degrees"}),
        ]);
        assert!(text(&request).ends_with("said: 19 degrees"));
    }
}
