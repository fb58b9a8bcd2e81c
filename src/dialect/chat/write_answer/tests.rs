//! Events as one document.

use super::*;
use crate::dialect::chat::read_answer;
use crate::dialect::middle::{Rules, Signature};
use crate::wire::json::Node;
use serde_json::{Value, json};

/// The document that an answer of a provider becomes.
fn translated(answer: &str) -> Value {
    let told = Told { id: "x".to_owned(), model: "m".to_owned(), created_s: 7, ..Told::default() };
    let rules = Rules { vendor: "v".into(), ..Rules::default() };
    let mut writer = AnswerWriter::new(told);
    let node = Node::document(answer.as_bytes(), &mut Vec::new()).expect(answer);
    read_answer(node, &rules, &mut |event| writer.event(&event));
    let mut out = Vec::new();
    writer.finish(&mut out);
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
}

#[test]
fn a_text_is_a_document() {
    let found = translated(r#"{"choices":[{"message":{"content":"a\n"},"finish_reason":"stop"}]}"#);
    let want = json!({"id":"chatcmpl-x","object":"chat.completion","created":7,"model":"m","choices":[
        {"index":0,"message":{"role":"assistant","content":"a\n","refusal":null},"logprobs":null,"finish_reason":"stop"}]});
    assert_eq!(found, want, "without usage, because none is known");
}

#[test]
fn content_is_null_where_only_calls_are() {
    let found = translated(
        r#"{"id":"i","model":"n","created":1,"choices":[{"message":{"content":null,"tool_calls":[
            {"id":"a","type":"function","function":{"name":"f","arguments":""}},
            {"id":"b","type":"custom","custom":{"name":"g","input":"x"}}]},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2}}}"#,
    );
    let message = &found["choices"][0]["message"];
    assert_eq!(message["content"], Value::Null);
    let want = json!([
        {"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},
        {"id":"b","type":"custom","custom":{"name":"g","input":"x"}}]);
    assert_eq!(message["tool_calls"], want);
    assert_eq!(found["choices"][0]["finish_reason"], "tool_calls");
    let want = json!({"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":2}});
    assert_eq!(found["usage"], want);
    assert_eq!((&found["id"], &found["created"]), (&json!("i"), &json!(1)));
}

#[test]
fn choices_come_in_order_with_all_that_they_hold() {
    let found = translated(
        r#"{"choices":[
            {"index":1,"message":{"content":null,"refusal":"no"},"finish_reason":"stop"},
            {"index":0,"message":{"content":"c","thinking_blocks":[
                {"type":"thinking","thinking":"a","signature":"s"},{"type":"redacted_thinking","data":"h"}],
                "annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"t"}}],
                "images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,QQ=="}}]},
             "logprobs":{"content":[{"token":"c"}]},"finish_reason":"length"}]}"#,
    );
    let first = &found["choices"][0];
    let want = json!({"role":"assistant","content":"c","refusal":null,"reasoning_content":"a",
        "thinking_blocks":[{"type":"thinking","thinking":"a","signature":"ringway:v:s"},
                           {"type":"redacted_thinking","data":"ringway:v:h"}],
        "annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"t","start_index":0,"end_index":0}}],
        "images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,QQ=="}}]});
    assert_eq!(first["message"], want);
    assert_eq!(first["logprobs"], json!({"content":[{"token":"c"}],"refusal":null}));
    assert_eq!(first["finish_reason"], "length");
    assert_eq!(found["choices"][1]["message"], json!({"role":"assistant","content":null,"refusal":"no"}));
}

#[test]
fn a_signature_of_a_text_is_kept() {
    let at = Place { choice: 0, block: 0 };
    let signature = Signature::of_vendor("v", Text::of("s"));
    let mut writer = AnswerWriter::new(Told::default());
    for event in [
        Event::Open { at, block: Block::Text },
        Event::Delta { at, delta: Delta::Text(Text::of("a")) },
        Event::Delta { at, delta: Delta::Signature(signature) },
        Event::Close { at },
    ] {
        writer.event(&event);
    }
    let mut out = Vec::new();
    writer.finish(&mut out);
    let found: Value = serde_json::from_slice(&out).unwrap();
    let message = &found["choices"][0]["message"];
    let want = json!([{"type": "thinking", "thinking": "", "signature": "ringway:v:s"}]);
    assert_eq!((&message["content"], &message["thinking_blocks"]), (&json!("a"), &want));
    assert_eq!(message["reasoning_content"], Value::Null);
}
