//! Whole answers: bodies and the events that they become.

use super::super::testing::{Seen, recordings, rules};
use super::*;

fn seen(body: &str) -> Seen {
    let (mut members, mut seen) = (Vec::new(), Seen::default());
    let body = Node::document(body.as_bytes(), &mut members).expect(body);
    read_answer(body, &rules(), &mut |event| seen.add(&event));
    assert!(seen.has_ended());
    seen
}

fn of_content(content: &str, reason: &str) -> String {
    seen(&format!(
        r#"{{"output":{{"message":{{"role":"assistant","content":{content}}}}},"stopReason":"{reason}"}}"#
    ))
    .text()
}

#[test]
fn blocks_of_every_kind_are_read_in_their_order() {
    let content = r#"[
        {"reasoningContent":{"reasoningText":{"text":"hm\n","signature":"sig"}}},
        {"reasoningContent":{"redactedContent":"AAAA"}},
        {"text":"Hi \"you\""},
        {"text":""},
        {"toolUse":{"toolUseId":"c1","name":"f","input":{"x":[1]}}},
        {"toolUse":{"toolUseId":"c2","name":"g","input":{},"type":"tool_use"}},
        {"toolUse":{"toolUseId":"s1","name":"search","input":{"q":1},"type":"server_tool_use"}},
        {"citationsContent":{"content":[{"text":"Grass is green."}],"citations":[
            {"title":"Doc","sourceContent":[{"text":"green"}],"location":{"web":{"url":"https://x"}}}]}},
        {"image":{"format":"png","source":{"bytes":"iVBO"}}},
        {"video":{"format":"mp4"}}]"#;
    let want = r#"start
open 0 thinking
0 text hm

0 signature maker:sig
close 0
open 1 hidden maker:AAAA
close 1
open 2 text
2 text Hi "you"
close 2
open 3 call c1 f
3 arguments {"x":[1]}
close 3
open 4 call c2 g
close 4
open 5 foreign {"toolUse":{"toolUseId":"s1","name":"search","input":{"q":1},"type":"server_tool_use"}}
close 5
open 6 text
6 text Grass is green.
6 citation https://x Doc green
close 6
open 7 media image/png iVBO
close 7
open 8 foreign {"video":{"format":"mp4"}}
close 8
finish ToolCalls
end"#;
    assert_eq!(of_content(content, "tool_use"), want);
}

#[test]
fn reasons_to_stop_have_their_meaning() {
    let check = |reason: &str, want: &str| {
        let text = of_content(r#"[{"text":"a"}]"#, reason);
        assert!(text.ends_with(&format!("finish {want}\nend")), "{reason}: {text}");
    };
    check("end_turn", "Stop");
    check("stop_sequence", "Stop");
    check("tool_use", "Stop");
    check("max_tokens", "Length");
    check("model_context_window_exceeded", "ContextFull");
    check("guardrail_intervened", "ContentFilter");
    check("content_filtered", "ContentFilter");
    check("malformed_model_output", "Stop");
    check("something_new", "Stop");
    let call = r#"[{"toolUse":{"toolUseId":"c","name":"f","input":{}}}]"#;
    assert!(of_content(call, "end_turn").ends_with("finish ToolCalls\nend"));
    assert!(of_content(call, "max_tokens").ends_with("finish Length\nend"));
    let stopped = seen(
        r#"{"output":{"message":{"content":[]}},"stopReason":"stop_sequence",
            "additionalModelResponseFields":{"stop_sequence":"END"}}"#,
    );
    assert_eq!(stopped.text(), "start\nfinish Stop at END\nend");
}

#[test]
fn usage_counts_the_cache_as_input_and_invents_nothing() {
    let check = |text: &str, want: Usage| {
        let mut members = Vec::new();
        let value = Node::document(text.as_bytes(), &mut members).expect(text);
        assert_eq!(read_usage(value), want, "{text}");
    };
    let plain = Usage { input: Some(3), output: Some(5), stated_total: Some(8), ..Usage::default() };
    check(r#"{"inputTokens":3,"outputTokens":5,"totalTokens":8}"#, plain);
    check("{}", Usage::default());
    check(r#"{"inputTokens":-1,"outputTokens":1.5}"#, Usage::default());
    let cached = Usage {
        input: Some(2403),
        output: Some(9),
        cache_read: Some(0),
        cache_write: Some(2387),
        stated_total: Some(2412),
        ..Usage::default()
    };
    check(
        r#"{"inputTokens":16,"outputTokens":9,"totalTokens":2412,"cacheReadInputTokens":0,"cacheWriteInputTokens":2387}"#,
        cached,
    );
    let by_lifetime =
        Usage { cache_write_1h: Some(7), cache_write: Some(9), input: Some(12), ..older_output() };
    check(
        r#"{"inputTokens":3,"outputTokens":1,"cacheWriteInputTokens":9,"cacheDetails":[{"ttl":"1h","inputTokens":7},{"ttl":"5m","inputTokens":2}]}"#,
        by_lifetime,
    );
    // A total that leaves no room for the cache beside the input shows that it is within it.
    let within = Usage {
        input: Some(100),
        output: Some(9),
        cache_read: Some(80),
        stated_total: Some(109),
        ..Usage::default()
    };
    check(r#"{"inputTokens":100,"outputTokens":9,"totalTokens":109,"cacheReadInputTokens":80}"#, within);
    let older = Usage { input: Some(5), output: Some(1), cache_read: Some(2), ..Usage::default() };
    check(r#"{"inputTokens":3,"outputTokens":1,"cacheReadInputTokenCount":2}"#, older);
}

fn older_output() -> Usage {
    Usage { output: Some(1), ..Usage::default() }
}

#[test]
fn an_answer_without_a_message_is_an_error() {
    let unknown =
        r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#;
    assert_eq!(seen(unknown).text(), "error Server 502 The provider's answer holds no message.");
    let denied = r#"{"__type":"AccessDeniedException","message":"no access"}"#;
    assert_eq!(seen(denied).text(), "error Permission 403 no access");
}

#[test]
fn recorded_answers_are_read_to_their_end() {
    let mut answers = 0;
    for (name, text) in recordings() {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        let places = ["", "/response", "/response/body", "/response/jsonBody"];
        let found = places.iter().filter_map(|place| value.pointer(place));
        if let Some(body) = found.into_iter().find(|body| body["output"]["message"].is_object()) {
            let text = seen(&body.to_string()).text();
            let is_whole = text.contains("finish ") && text.ends_with("\nend") && !text.contains("foreign");
            assert!(is_whole, "{name}: {text}");
            assert_eq!(text.contains("usage "), body["usage"].is_object(), "{name}: {text}");
            answers += 1;
        }
    }
    // Without recordings the tables above stand alone.
    println!("{answers} recorded answers");
}
