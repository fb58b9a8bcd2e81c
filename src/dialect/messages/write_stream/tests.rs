//! The client's stream, from events of any provider.

use serde_json::json;

use super::super::testing::{message_of, told};
use super::*;
use crate::dialect::middle::{Arguments, ErrorKind, Finish, FinishReason, ProviderError};

fn at(block: u32) -> Place {
    Place { choice: 0, block }
}

fn text(block: u32, text: &'static str) -> Event<'static> {
    Event::Delta { at: at(block), delta: Delta::Text(Text::of(text)) }
}

fn piece(block: u32, text: &'static str) -> Event<'static> {
    Event::Delta { at: at(block), delta: Delta::Arguments(Arguments::Piece(Text::of(text))) }
}

fn call(block: u32, id: &'static str) -> Event<'static> {
    let (id, name) = (Text::of(id), Text::of("f"));
    Event::Open { at: at(block), block: Block::ToolCall { id, name, is_custom: false, signature: None } }
}

fn finish(reason: FinishReason) -> Event<'static> {
    Event::Finish { choice: 0, finish: Finish { reason, stop_sequence: None } }
}

fn start(id: &'static str, model: &'static str) -> Event<'static> {
    Event::Start(Start { id: Text::of(id), model: Text::of(model), created_s: None })
}

fn write(events: &[Event<'_>]) -> String {
    let mut writer = StreamWriter::new(told());
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.event(event, &mut out));
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn a_short_answer_byte_for_byte() {
    let usage = Usage { input: Some(10), output: Some(2), cache_read: Some(4), ..Usage::default() };
    let stream = write(&[
        start("chatcmpl-1", ""),
        Event::Open { at: at(0), block: Block::Text },
        text(0, "a\"b"),
        Event::Close { at: at(0) },
        finish(FinishReason::Stop),
        Event::Usage(usage),
        Event::End,
    ]);
    let want = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"alias","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}

event: ping
data: {"type": "ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\"b"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":6,"cache_read_input_tokens":4,"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}

"#;
    assert_eq!(stream, want);
}

#[test]
fn interleaved_calls_come_one_behind_the_other() {
    let stream = write(&[
        start("msg_x", "m"),
        Event::Open { at: at(0), block: Block::Thinking },
        text(0, "t"),
        call(1, "a"),
        piece(1, "{\"x\""),
        call(2, "b"),
        piece(2, "{\"y\":"),
        Event::Close { at: at(0) },
        piece(1, ":1}"),
        Event::Close { at: at(2) },
        call(3, "c"),
        Event::Close { at: at(1) },
        piece(3, "{\"z\":3}"),
        Event::Close { at: at(3) },
        finish(FinishReason::ToolCalls),
        Event::End,
    ]);
    let message = message_of(&stream);
    let calls: Vec<_> = message["content"].as_array().expect("blocks")[1..].iter().collect();
    assert_eq!(message["id"], "msg_x");
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(message["content"][0], json!({"type":"thinking","thinking":"t","signature":""}));
    let inputs: Vec<_> = calls.iter().map(|call| (&call["id"], &call["input"])).collect();
    let want =
        [(&json!("a"), &json!({"x":1})), (&json!("b"), &json!("{\"y\":")), (&json!("c"), &json!({"z":3}))];
    assert_eq!(inputs, want);
}

#[test]
fn what_is_open_at_the_end_is_closed_and_other_choices_are_left_out() {
    let other = Place { choice: 1, block: 0 };
    let stream = write(&[
        start("", "m"),
        Event::Open { at: at(0), block: Block::Text },
        text(0, "a"),
        Event::Open { at: other, block: Block::Text },
        Event::Delta { at: other, delta: Delta::Text(Text::of("other")) },
        Event::Close { at: other },
        call(1, "a"),
        text(7, "of no block"),
        Event::Close { at: at(7) },
        finish(FinishReason::Length),
        Event::Finish { choice: 1, finish: Finish { reason: FinishReason::Stop, stop_sequence: None } },
        Event::End,
    ]);
    let message = message_of(&stream);
    assert_eq!(message["stop_reason"], "max_tokens");
    assert_eq!(message["content"].as_array().map(Vec::len), Some(2));
    assert!(!stream.contains("other") && !stream.contains("of no block"), "{stream}");
}

#[test]
fn nothing_follows_an_error() {
    let error = ProviderError {
        kind: ErrorKind::Overloaded,
        status: 529,
        message: "busy".to_owned(),
        code: None,
        param: None,
    };
    let stream = write(&[
        start("", "m"),
        Event::Open { at: at(0), block: Block::Text },
        Event::Error(Box::new(error)),
        text(0, "a"),
        Event::End,
    ]);
    let want = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    assert!(stream.ends_with(want), "{stream}");
}

#[test]
fn state_of_a_provider_carries_its_name() {
    let signature = |value| Signature::of_vendor("gem", Text::of(value));
    let (id, name) = (Text::of("a"), Text::of("f"));
    let block = Block::ToolCall { id, name, is_custom: false, signature: Some(signature("c")) };
    let message = message_of(&write(&[
        start("", "m"),
        Event::Open { at: at(0), block: Block::HiddenThinking { data: signature("h") } },
        Event::Close { at: at(0) },
        Event::Open { at: at(1), block: Block::Thinking },
        Event::Delta { at: at(1), delta: Delta::Signature(signature("s")) },
        Event::Close { at: at(1) },
        Event::Open { at: at(2), block },
        Event::Close { at: at(2) },
        finish(FinishReason::ToolCalls),
        Event::End,
    ]));
    assert_eq!(message["content"][0], json!({"type":"redacted_thinking","data":"ringway:gem:h"}));
    assert_eq!(message["content"][1]["signature"], "ringway:gem:s");
    let call = json!({"type":"tool_use","id":"a","name":"f","signature":"ringway:gem:c","input":{}});
    assert_eq!(message["content"][2], call);
}

#[test]
fn refusals_citations_images_and_custom_inputs_have_their_form() {
    let (id, name) = (Text::of("a"), Text::of("f"));
    let custom = Block::ToolCall { id, name, is_custom: true, signature: None };
    let image = Block::Media { kind: Text::of("image/png"), base64: Text::of("AA==") };
    let sound = Block::Media { kind: Text::of("audio/wav"), base64: Text::of("AA==") };
    let citation =
        Delta::Citation { url: Some(Text::of("https://a.example")), title: None, cited: Some(Text::of("c")) };
    let message = message_of(&write(&[
        start("", "m"),
        Event::Open { at: at(0), block: custom },
        piece(0, "say \"hi\""),
        piece(0, "\n"),
        Event::Close { at: at(0) },
        Event::Open { at: at(1), block: image },
        Event::Close { at: at(1) },
        Event::Open { at: at(2), block: sound },
        Event::Close { at: at(2) },
        Event::Open { at: at(3), block: Block::Foreign { raw: b"{}" } },
        Event::Close { at: at(3) },
        Event::Open { at: at(4), block: Block::Text },
        Event::Delta { at: at(4), delta: citation },
        Event::Close { at: at(4) },
        Event::Open { at: at(5), block: Block::Refusal },
        text(5, "No."),
        Event::Close { at: at(5) },
        finish(FinishReason::Stop),
        Event::End,
    ]));
    let blocks = message["content"].as_array().expect("blocks");
    assert_eq!(blocks.len(), 4);
    assert_eq!(blocks[0]["input"], json!({"input":"say \"hi\"\n"}));
    assert_eq!(blocks[1]["source"], json!({"type":"base64","media_type":"image/png","data":"AA=="}));
    assert_eq!(blocks[2]["citations"][0]["url"], "https://a.example");
    assert_eq!(blocks[3], json!({"type":"text","text":"No."}));
    assert_eq!(message["stop_reason"], "refusal");
}
