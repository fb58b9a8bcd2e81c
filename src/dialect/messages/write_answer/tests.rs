//! The client's whole message, from events of any provider.

use serde_json::{Value, json};

use super::super::testing::told;
use super::*;
use crate::dialect::middle::{Arguments, Finish, FinishReason, Place, Signature, Text};

fn at(block: u32) -> Place {
    Place { choice: 0, block }
}

fn write(events: &[Event<'_>]) -> Value {
    let mut writer = AnswerWriter::new(told());
    events.iter().for_each(|event| writer.event(event));
    let mut out = Vec::new();
    writer.finish(&mut out);
    serde_json::from_slice(&out).expect("JSON")
}

fn call(arguments: &[Arguments<'static>], is_custom: bool) -> Value {
    let (id, name) = (Text::of("a"), Text::of("f"));
    let mut events =
        vec![Event::Open { at: at(0), block: Block::ToolCall { id, name, is_custom, signature: None } }];
    for piece in arguments {
        events.push(Event::Delta { at: at(0), delta: Delta::Arguments(piece.clone()) });
    }
    write(&events)["content"][0].clone()
}

#[test]
fn a_message_has_everything_that_the_sdks_demand() {
    let finish = Finish { reason: FinishReason::Stop, stop_sequence: Some(Text::of("#")) };
    let events = [
        Event::Start(Start::default()),
        Event::Open { at: at(0), block: Block::Text },
        Event::Close { at: at(0) },
        Event::Open { at: at(1), block: Block::Thinking },
        Event::Delta { at: at(1), delta: Delta::Text(Text::of("t")) },
        Event::Delta { at: at(1), delta: Delta::Signature(Signature::of_vendor("v", Text::of("s"))) },
        Event::Open { at: at(2), block: Block::Text },
        Event::Delta { at: at(2), delta: Delta::Text(Text::of("a\n")) },
        Event::Delta { at: at(2), delta: Delta::Text(Text::of("b")) },
        Event::Close { at: at(2) },
        Event::Close { at: at(1) },
        Event::Finish { choice: 0, finish },
        Event::Usage(Usage { input: Some(5), output: Some(2), ..Usage::default() }),
        Event::End,
    ];
    let want = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "alias",
        "content": [
            {"type": "thinking", "thinking": "t", "signature": "ringway:v:s"},
            {"type": "text", "text": "a\nb"},
        ],
        "stop_reason": "stop_sequence", "stop_sequence": "#",
        "usage": {"input_tokens": 5, "output_tokens": 2},
    });
    assert_eq!(write(&events), want);
    let empty = write(&[Event::End]);
    assert_eq!((&empty["content"], &empty["stop_reason"]), (&json!([]), &json!("end_turn")));
}

#[test]
fn arguments_are_an_object_and_those_that_are_none_are_shown_as_they_are() {
    let piece = |text: &str| Arguments::Piece(Text::of(text));
    assert_eq!(call(&[], false)["input"], json!({}));
    assert_eq!(call(&[piece("{\"a\":"), piece("\"\\ud83d\\ude00\"}")], false)["input"], json!({"a": "😀"}));
    assert_eq!(call(&[Arguments::Whole(br#"{"a":[1]}"#)], false)["input"], json!({"a": [1]}));
    assert_eq!(call(&[piece("{\"a\":")], false)["input"], json!({"_invalid_arguments": "{\"a\":"}));
    assert_eq!(call(&[piece("[1]")], false)["input"], json!({"_invalid_arguments": "[1]"}));
    assert_eq!(call(&[piece("say \"hi\"")], true)["input"], json!({"input": "say \"hi\""}));
}
