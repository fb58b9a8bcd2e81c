//! What the tests of this dialect share: events as short texts, the promises of a reader, and a client that holds a stream
//! to the rules of the SDKs.

use serde_json::Value;

use super::{AnswerWriter, StreamReader, StreamWriter};
use crate::dialect::middle::{Arguments, Block, Delta, Event, Place, Rules, Stage, Text, Told};

pub(super) fn rules() -> Rules {
    Rules { vendor: "claude".into(), ..Rules::default() }
}

pub(super) fn told() -> Told {
    Told { id: "1".to_owned(), model: "alias".to_owned(), ..Told::default() }
}

/// One event in a line.
pub(super) fn line(event: &Event<'_>) -> String {
    let text = |escaped: &[u8]| String::from_utf8_lossy(escaped).into_owned();
    match event {
        Event::Start(start) => {
            format!("start {} {}", text(start.id.as_escaped()), text(start.model.as_escaped()))
        }
        Event::Open { at, block } => format!("open {} {}", at.block, block_line(block)),
        Event::Delta { at, delta } => match delta {
            Delta::Text(piece) => format!("text {} {}", at.block, text(piece.as_escaped())),
            Delta::Arguments(Arguments::Piece(piece)) => {
                format!("piece {} {}", at.block, text(piece.as_escaped()))
            }
            Delta::Arguments(Arguments::Whole(raw)) => format!("whole {} {}", at.block, text(raw)),
            Delta::Signature(signature) => {
                format!("signature {} {}/{}", at.block, signature.vendor, signature.value.decoded())
            }
            Delta::Citation { url, title, cited } => {
                let [url, title, cited] = [url, title, cited].map(|text| text.as_ref().map(Text::decoded));
                format!("cite {} {url:?} {title:?} {cited:?}", at.block)
            }
            Delta::Logprobs(raw) => format!("logprobs {} {}", at.block, text(raw)),
        },
        Event::Close { at } => format!("close {}", at.block),
        Event::Finish { finish, .. } => match &finish.stop_sequence {
            None => format!("finish {:?}", finish.reason),
            Some(sequence) => format!("finish {:?} {}", finish.reason, sequence.decoded()),
        },
        Event::Usage(usage) => format!(
            "usage {:?} {:?} {:?} {:?}",
            usage.input, usage.output, usage.cache_read, usage.cache_write
        ),
        Event::Error(error) => format!("error {:?} {} {}", error.kind, error.status, error.message),
        Event::Ping => "ping".to_owned(),
        Event::Surplus => "surplus".to_owned(),
        Event::End => "end".to_owned(),
    }
}

fn block_line(block: &Block<'_>) -> String {
    match block {
        Block::Text => "text".to_owned(),
        Block::Refusal => "refusal".to_owned(),
        Block::Thinking => "thinking".to_owned(),
        Block::HiddenThinking { data } => format!("hidden {}/{}", data.vendor, data.value.decoded()),
        Block::ToolCall { id, name, .. } => format!("call {} {}", id.decoded(), name.decoded()),
        Block::Media { kind, .. } => format!("media {}", kind.decoded()),
        Block::Foreign { raw } => format!("foreign {}", String::from_utf8_lossy(raw)),
    }
}

/// What a stream became: the events as lines, the client's stream and its whole answer.
pub(super) struct Read {
    pub(super) lines: Vec<String>,
    pub(super) stream: String,
    pub(super) answer: Vec<u8>,
    pub(super) stage: Stage,
}

/// Reads the data of a stream's events and writes them again, holding reader and writer to their promises.
pub(super) fn read_stream<'d>(events: impl IntoIterator<Item = &'d str>) -> Read {
    let mut reader = StreamReader::new(&rules());
    let (mut lines, mut stream, mut promises) = (Vec::new(), Vec::new(), Promises::default());
    let (mut writer, mut answer) = (StreamWriter::new(told()), AnswerWriter::new(told()));
    let mut emit = |event: Event<'_>| {
        promises.hold(&event);
        lines.push(line(&event));
        writer.event(&event, &mut stream);
        answer.event(&event);
    };
    for data in events {
        reader.event(data.as_bytes(), &mut emit);
    }
    let stage = reader.end(&mut emit);
    assert_eq!(promises.has_ended, stage == Stage::Ended, "{lines:#?}");
    let mut whole = Vec::new();
    answer.finish(&mut whole);
    Read { lines, stream: String::from_utf8(stream).expect("UTF-8"), answer: whole, stage }
}

/// The numbered promises of a reader.
#[derive(Default)]
pub(super) struct Promises {
    has_started: bool,
    has_finished: bool,
    pub(super) has_ended: bool,
    open: Vec<Place>,
    opened_count: u32,
}

impl Promises {
    pub(super) fn hold(&mut self, event: &Event<'_>) {
        assert!(!self.has_ended, "nothing follows the end: {event:?}");
        if !matches!(event, Event::Start(_) | Event::Error(_) | Event::Ping) {
            assert!(self.has_started, "the start comes first: {event:?}");
        }
        match event {
            Event::Start(_) => assert!(!std::mem::replace(&mut self.has_started, true), "one start"),
            Event::Open { at, .. } => {
                assert!(!self.has_finished);
                assert_eq!(at.block, self.opened_count, "places are dense");
                self.opened_count += 1;
                self.open.push(*at);
            }
            Event::Delta { at, delta } => {
                assert!(self.open.contains(at), "a delta of an open block: {event:?}");
                let is_empty = match delta {
                    Delta::Text(text) | Delta::Arguments(Arguments::Piece(text)) => text.is_empty(),
                    _ => false,
                };
                assert!(!is_empty, "no delta is empty");
            }
            Event::Close { at } => {
                let position = self.open.iter().position(|open| open == at);
                self.open.remove(position.expect("a close of an open block"));
            }
            Event::Finish { .. } => {
                assert!(self.open.is_empty(), "the finish is behind the last close");
                assert!(!std::mem::replace(&mut self.has_finished, true), "one finish");
            }
            Event::End => {
                assert!(self.has_finished && self.open.is_empty());
                self.has_ended = true;
            }
            Event::Error(_) => self.has_ended = true,
            Event::Usage(_) | Event::Ping | Event::Surplus => {}
        }
    }
}

/// The data of the events of a stream, whose every event must have its line `event:` as the SDKs demand.
pub(super) fn data_of(stream: &str) -> Vec<String> {
    let events = stream.split_terminator("\n\n");
    events
        .map(|event| {
            let (name, data) = event.split_once('\n').expect("two lines");
            let (name, data) = (name.strip_prefix("event: "), data.strip_prefix("data: "));
            let data = data.expect("data");
            let value: Value = serde_json::from_str(data).expect(data);
            assert_eq!(value["type"].as_str(), name, "{event}");
            data.to_owned()
        })
        .collect()
}

/// A client that builds the message from its stream as the SDKs do and complains about everything that they would trip over.
pub(super) fn message_of(stream: &str) -> Value {
    let mut message = Value::Null;
    let (mut open, mut inputs, mut is_done) = (None, String::new(), false);
    for data in data_of(stream) {
        assert!(!is_done, "nothing follows the end: {data}");
        let event: Value = serde_json::from_str(&data).expect("JSON");
        match event["type"].as_str().expect("a type") {
            "message_start" => {
                assert!(message.is_null(), "one message_start");
                message = event["message"].clone();
            }
            "content_block_start" => {
                assert!(open.is_none(), "one block at a time: {data}");
                let blocks = message["content"].as_array_mut().expect("a message");
                assert_eq!(event["index"], blocks.len());
                open = Some(blocks.len());
                blocks.push(event["content_block"].clone());
                inputs.clear();
            }
            "content_block_delta" => {
                assert_eq!(event["index"].as_u64().map(|index| index as usize), open, "{data}");
                add(&mut message["content"][open.expect("an open block")], &event["delta"], &mut inputs);
            }
            "content_block_stop" => {
                let index = open.take().expect("an open block");
                assert_eq!(event["index"], index);
                if !inputs.is_empty() {
                    let input = serde_json::from_str(&inputs).unwrap_or_else(|_| inputs.as_str().into());
                    message["content"][index]["input"] = input;
                }
            }
            "message_delta" => {
                assert!(
                    open.is_none() && message["stop_reason"].is_null(),
                    "one message_delta, behind all blocks"
                );
                for (key, value) in event["delta"].as_object().expect("an object") {
                    message[key] = value.clone();
                }
                for (key, value) in event["usage"].as_object().expect("an object") {
                    message["usage"][key] = value.clone();
                }
                assert!(message["stop_reason"].is_string());
            }
            "message_stop" => {
                assert!(message["stop_reason"].is_string(), "message_stop is behind message_delta");
                is_done = true;
            }
            "error" => {
                assert!(event["error"]["type"].is_string() && event["error"]["message"].is_string());
                is_done = true;
            }
            "ping" => {}
            other => panic!("unknown event {other}"),
        }
    }
    message
}

fn add(block: &mut Value, delta: &Value, inputs: &mut String) {
    let (kind, member, of) = match delta["type"].as_str().expect("a type") {
        "text_delta" => ("text", "text", "text"),
        "thinking_delta" => ("thinking", "thinking", "thinking"),
        "signature_delta" => ("thinking", "signature", "signature"),
        "input_json_delta" => {
            assert_eq!(block["type"], "tool_use");
            let piece = delta["partial_json"].as_str().expect("a text");
            assert!(!piece.is_empty());
            return inputs.push_str(piece);
        }
        "citations_delta" => {
            assert_eq!(block["type"], "text");
            if block["citations"].is_null() {
                block["citations"] = Value::Array(Vec::new());
            }
            return block["citations"].as_array_mut().expect("a list").push(delta["citation"].clone());
        }
        other => panic!("unknown delta {other}"),
    };
    assert_eq!(block["type"], kind, "{delta}");
    let piece = delta[of].as_str().expect("a text");
    assert!(!piece.is_empty());
    block[member] = format!("{}{piece}", block[member].as_str().expect("a text")).into();
}
