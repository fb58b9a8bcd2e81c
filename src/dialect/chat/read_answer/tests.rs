//! Answers of many spellings as events, and events held to their promises.

use std::borrow::Cow;
use std::collections::HashMap;

use super::*;
use crate::dialect::middle::{Arguments, Block, Delta, Place};

fn rules() -> Rules {
    Rules { vendor: Cow::Borrowed("v"), ..Rules::default() }
}

/// An event in few words.
fn word(event: &Event<'_>) -> String {
    let at = |place: &Place| format!("{}.{}", place.choice, place.block);
    match event {
        Event::Start(start) => format!("start {} {}", start.id.decoded(), start.model.decoded()),
        Event::Open { at: place, block } => format!("open {} {}", at(place), block_word(block)),
        Event::Delta { at: place, delta } => format!("add {} {}", at(place), delta_word(delta)),
        Event::Close { at: place } => format!("close {}", at(place)),
        Event::Finish { choice, finish } => format!("finish {choice} {:?}", finish.reason),
        Event::Usage(usage) => format!("usage {:?} {:?}", usage.input, usage.output),
        Event::Error(error) => format!("error {:?} {} {}", error.kind, error.status, error.message),
        Event::Ping => "ping".to_owned(),
        Event::Surplus => "surplus".to_owned(),
        Event::End => "end".to_owned(),
    }
}

fn block_word(block: &Block<'_>) -> String {
    match block {
        Block::Text => "text".to_owned(),
        Block::Refusal => "refusal".to_owned(),
        Block::Thinking => "thinking".to_owned(),
        Block::HiddenThinking { data } => format!("hidden {}:{}", data.vendor, data.value.decoded()),
        Block::ToolCall { id, name, is_custom, signature } => {
            let signature = signature.as_ref().map(|s| format!(" {}:{}", s.vendor, s.value.decoded()));
            let kind = if *is_custom { "custom" } else { "call" };
            format!("{kind} {} {}{}", id.decoded(), name.decoded(), signature.unwrap_or_default())
        }
        Block::Media { kind, base64 } => format!("media {} {}", kind.decoded(), base64.decoded()),
        Block::Foreign { raw } => format!("foreign {}", String::from_utf8_lossy(raw)),
    }
}

fn delta_word(delta: &Delta<'_>) -> String {
    match delta {
        Delta::Text(text) => text.decoded().into_owned(),
        Delta::Arguments(Arguments::Piece(text)) => text.decoded().into_owned(),
        Delta::Arguments(Arguments::Whole(raw)) => format!("whole {}", String::from_utf8_lossy(raw)),
        Delta::Signature(signature) => {
            format!("signature {}:{}", signature.vendor, signature.value.decoded())
        }
        Delta::Citation { url, title, .. } => {
            let text = |text: &Option<Text<'_>>| text.as_ref().map(|t| t.decoded().into_owned());
            format!("source {:?} {:?}", text(url), text(title))
        }
        Delta::Logprobs(raw) => format!("logprobs {}", String::from_utf8_lossy(raw)),
    }
}

/// The promises of the middle that every reader gives.
#[derive(Default)]
struct Promises {
    has_started: bool,
    is_over: bool,
    opened: HashMap<u32, u32>,
    open: Vec<Place>,
    finished: Vec<u32>,
}

impl Promises {
    fn check(&mut self, event: &Event<'_>) {
        assert!(!self.is_over, "nothing follows the end: {event:?}");
        match event {
            Event::Start(_) => assert!(!std::mem::replace(&mut self.has_started, true), "one start"),
            Event::Error(_) => self.is_over = true,
            Event::Open { at, .. } => {
                let next = self.opened.entry(at.choice).or_default();
                assert_eq!(at.block, *next, "places are dense");
                *next += 1;
                self.open.push(*at);
            }
            Event::Delta { at, delta } => {
                assert!(self.open.contains(at), "an open block");
                assert!(!matches!(delta, Delta::Text(text) if text.is_empty()), "no empty delta");
            }
            Event::Close { at } => {
                let number = self.open.iter().position(|open| open == at).expect("an open block");
                self.open.remove(number);
            }
            Event::Finish { choice, .. } => {
                assert!(!self.open.iter().any(|open| open.choice == *choice), "all is closed");
                assert!(!self.finished.contains(choice), "one finish");
                self.finished.push(*choice);
            }
            Event::End => {
                assert_eq!(self.finished.len(), self.opened.len().max(self.finished.len()));
                self.is_over = true;
            }
            Event::Usage(_) | Event::Ping | Event::Surplus => {}
        }
        assert!(self.has_started || matches!(event, Event::Error(_)), "the start comes first: {event:?}");
    }
}

/// What a stream says, and whether its terminal was there.
fn stream(chunks: &[&str]) -> (Vec<String>, Stage) {
    let (mut words, mut promises) = (Vec::new(), Promises::default());
    let mut reader = StreamReader::new(&rules());
    let mut emit = |event: Event<'_>| {
        promises.check(&event);
        words.push(word(&event));
    };
    for chunk in chunks {
        reader.event(chunk.as_bytes(), &mut emit);
    }
    let stage = reader.end(&mut emit);
    (words, stage)
}

/// A stream of deltas of one choice, with a finish reason and `[DONE]` behind them: what it says between start and end.
fn deltas(deltas: &[&str], finish: &str) -> Vec<String> {
    let mut chunks: Vec<String> = deltas
        .iter()
        .map(|delta| {
            format!(
                r#"{{"id":"i","model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#
            )
        })
        .collect();
    chunks.push(format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":{finish}}}]}}"#));
    chunks.push("[DONE]".to_owned());
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    let (mut words, stage) = stream(&chunks);
    assert_eq!(
        (stage, words.remove(0), words.pop()),
        (Stage::Ended, "start i m".to_owned(), Some("end".to_owned()))
    );
    words
}

fn whole(body: &str) -> Vec<String> {
    let (mut words, mut promises) = (Vec::new(), Promises::default());
    let node = Node::document(body.as_bytes(), &mut Vec::new()).expect(body);
    read_answer(node, &rules(), &mut |event| {
        promises.check(&event);
        words.push(word(&event));
    });
    words
}

#[test]
fn texts_thoughts_and_refusals_become_blocks_in_the_order_they_came() {
    let words = deltas(
        &[
            r#"{"role":"assistant","content":"","refusal":null}"#,
            r#"{"content":null,"reasoning_content":"hm"}"#,
            r#"{"reasoning":"m","reasoning_content":""}"#,
            r#"{"content":"a\n"}"#,
            r#"{"content":"b"}"#,
            r#"{"refusal":"no"}"#,
        ],
        "\"stop\"",
    );
    let want = [
        "open 0.0 thinking",
        "add 0.0 hm",
        "add 0.0 m",
        "close 0.0",
        "open 0.1 text",
        "add 0.1 a\n",
        "add 0.1 b",
        "close 0.1",
        "open 0.2 refusal",
        "add 0.2 no",
        "close 0.2",
        "finish 0 Stop",
    ];
    assert_eq!(words, want);
}

#[test]
fn fragments_of_calls_find_their_call() {
    for (name, chunks, want) in CALLS {
        let mut words = deltas(chunks, "\"stop\"");
        assert_eq!(words.pop().as_deref(), Some("finish 0 ToolCalls"), "{name}");
        assert_eq!(words, *want, "{name}");
    }
}

#[test]
fn a_call_without_an_id_is_given_one_and_one_without_a_name_is_an_error() {
    let call = r#"{"tool_calls":[{"index":0,"id":"","function":{"name":"f","arguments":"{}"}}]}"#;
    let words = deltas(&[call], "\"tool_calls\"");
    assert!(words[0].starts_with("open 0.0 call call_") && words[0].ends_with(" f"), "{words:?}");
    assert_eq!(deltas(&[call], "\"stop\"")[0], words[0], "the same answer gives the same id");
    let twice = deltas(&[call, call], "\"stop\"");
    assert_eq!(twice.iter().filter(|word| word.starts_with("open")).count(), 2, "{twice:?}");
    let nameless =
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{}"}}]}}]}"#;
    let (words, stage) = stream(&[nameless, "[DONE]"]);
    assert_eq!(
        (stage, words.last().unwrap().starts_with("error Server 502")),
        (Stage::Ended, true),
        "{words:?}"
    );
}

#[test]
fn finish_reasons_are_kept_back_and_given_once() {
    for (reason, want) in [
        ("\"stop\"", "Stop"),
        ("\"\"", "Stop"),
        ("\"null\"", "Stop"),
        ("\"eos\"", "Stop"),
        ("null", "Stop"),
        ("\"length\"", "Length"),
        ("\"content_filter\"", "ContentFilter"),
        ("\"whatever\"", "Stop"),
        ("\"function_call\"", "ToolCalls"),
    ] {
        let words = deltas(&[r#"{"content":"a"}"#], reason);
        assert_eq!(words.last(), Some(&format!("finish 0 {want}")), "{reason}");
    }
    let chunk = |delta: &str, reason: &str| {
        format!(r#"{{"choices":[{{"delta":{delta},"finish_reason":"{reason}"}}]}}"#)
    };
    let chunks =
        [chunk(r#"{"content":"a"}"#, "stop"), chunk(r#"{"content":"b"}"#, "length"), chunk("{}", "")];
    let (words, stage) = stream(&[&chunks[0], &chunks[1], &chunks[2]]);
    let want = ["start  ", "open 0.0 text", "add 0.0 a", "add 0.0 b", "close 0.0", "finish 0 Length", "end"];
    assert_eq!((words, stage), (want.map(str::to_owned).to_vec(), Stage::Ended), "without [DONE]");
}

#[test]
fn a_stream_that_was_cut_has_no_end() {
    let text = r#"{"id":"i","choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    let other = r#"{"id":"i","choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#;
    for chunks in [&[text][..], &[text, other], &[]] {
        let (words, stage) = stream(chunks);
        assert_eq!(stage, Stage::Open, "{chunks:?}");
        assert!(!words.iter().any(|word| word == "end" || word.starts_with("finish")), "{words:?}");
    }
    let (words, stage) = stream(&["[DONE]"]);
    assert_eq!((words.len(), stage), (1, Stage::Ended));
    assert!(words[0].starts_with("error"), "{words:?}");
}

#[test]
fn an_error_inside_of_a_stream_is_its_end() {
    let text = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
    for (error, want) in [
        (r#"{"error":{"message":"m","code":429}}"#, "error RateLimit 429 m"),
        (r#"{"error":"m"}"#, "error Server 502 m"),
        (
            r#"{"choices":[{"error":{"message":"m","code":400},"finish_reason":"error"}]}"#,
            "error BadRequest 400 m",
        ),
        (
            r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#,
            "error Server 502 The provider broke its answer off.",
        ),
        (r#"{"object":"error","message":"m","code":400}"#, "error BadRequest 400 m"),
        (r#"{"choices":[{"delta":"#, "error Server 502 The provider sent an event that is no JSON."),
    ] {
        let (words, stage) = stream(&[text, error, text, "[DONE]"]);
        assert_eq!((words.last().map(String::as_str), stage), (Some(want), Stage::Ended), "{error}");
    }
}

#[test]
fn usage_is_read_wherever_it_stands_and_empty_chunks_are_nothing() {
    let (words, _) = stream(&[
        r#"{"id":"","model":"","choices":[],"prompt_filter_results":[{}]}"#,
        "",
        "{}",
        r#"{"id":"i","model":"m","choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1}}"#,
        r#"{"id":"i","choices":null,"usage":null}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":2}}}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":3}}"#,
        "[DONE]",
    ]);
    let want = [
        "start i m",
        "open 0.0 text",
        "add 0.0 a",
        "usage Some(1) None",
        "usage Some(1) Some(2)",
        "usage Some(1) Some(3)",
        "close 0.0",
        "finish 0 Stop",
        "end",
    ];
    assert_eq!(words, want);
}

#[test]
fn everything_in_one_delta_is_split_in_order() {
    let words = deltas(
        &[
            r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}],"content":[{"type":"thinking","thinking":[{"type":"text","text":"t"}]},{"type":"text","text":"c"},{"type":"odd"}],"annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"w"}}],"images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,QQ=="}}]}"#,
        ],
        "\"stop\"",
    );
    let want = [
        "open 0.0 thinking",
        "add 0.0 t",
        "close 0.0",
        "open 0.1 text",
        "add 0.1 c",
        "close 0.1",
        "open 0.2 foreign {\"type\":\"odd\"}",
        "close 0.2",
        "open 0.3 text",
        "add 0.3 source Some(\"u\") Some(\"w\")",
        "close 0.3",
        "open 0.4 media image/png QQ==",
        "close 0.4",
        "open 0.5 call a f",
        "add 0.5 {}",
        "close 0.5",
        "finish 0 ToolCalls",
    ];
    assert_eq!(words, want);
}

#[test]
fn signatures_stay_with_their_thoughts() {
    let words = deltas(
        &[
            r#"{"reasoning_content":"a","thinking_blocks":[{"type":"thinking","thinking":"a"}]}"#,
            r#"{"reasoning_content":"","thinking_blocks":[{"type":"thinking","thinking":"","signature":"s"}]}"#,
            r#"{"reasoning":"b","reasoning_details":[{"type":"reasoning.text","text":"b","signature":"t"}]}"#,
            r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"e"}]}"#,
        ],
        "\"stop\"",
    );
    let want = [
        "open 0.0 thinking",
        "add 0.0 a",
        "add 0.0 signature v:s",
        "close 0.0",
        "open 0.1 thinking",
        "add 0.1 b",
        "add 0.1 signature v:t",
        "close 0.1",
        "open 0.2 hidden v:e",
        "close 0.2",
        "finish 0 Stop",
    ];
    assert_eq!(words, want);
}

#[test]
fn a_whole_answer_is_read_as_the_same_events() {
    let words = whole(
        r#"{"id":"i","object":"chat.completion","created":5,"model":"m","choices":[
            {"index":1,"message":{"role":"assistant","content":"b"},"finish_reason":"length"},
            {"index":0,"message":{"role":"assistant","content":"a","reasoning":"r"},"logprobs":{"content":[{"token":"a"}]},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
    );
    let want = [
        "start i m",
        "open 1.0 text",
        "add 1.0 b",
        "open 0.0 thinking",
        "add 0.0 r",
        "close 0.0",
        "open 0.1 text",
        "add 0.1 a",
        "add 0.1 logprobs [{\"token\":\"a\"}]",
        "usage Some(1) Some(2)",
        "close 0.1",
        "finish 0 Stop",
        "close 1.0",
        "finish 1 Length",
        "end",
    ];
    assert_eq!(words, want);
    let both = r#"{"choices":[{"message":{"content":"a","audio":{"data":"QQ==","transcript":"a"}},"delta":{"content":""}}]}"#;
    assert_eq!(whole(both)[1..5], ["open 0.0 text", "add 0.0 a", "close 0.0", "open 0.1 media audio/* QQ=="]);
    for (body, want) in [
        (r#"{"error":{"message":"m","code":503}}"#, "error Overloaded 503 m"),
        (r#"{"id":"i","choices":[]}"#, "error Server 502 The provider's answer holds no choices."),
        (r#"{"detail":"m"}"#, "error Server 502 m"),
    ] {
        assert_eq!(whole(body).last().map(String::as_str), Some(want), "{body}");
    }
}

/// What it is about, the deltas, and the events between start and finish.
const CALLS: &[(&str, &[&str], &[&str])] = &[
    (
        "by index, from 1, empty id and name unchanged",
        &[
            r#"{"tool_calls":[{"index":1,"id":"a","function":{"name":"f","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"","function":{"name":"","arguments":"{\"x\""}}]}"#,
            r#"{"tool_calls":[{"index":1,"function":{"arguments":":1}"}}]}"#,
            r#"{"tool_calls":[{"index":3,"id":"b","function":{"name":"g"}}]}"#,
        ],
        &[
            "open 0.0 call a f",
            "add 0.0 {\"x\"",
            "add 0.0 :1}",
            "close 0.0",
            "open 0.1 call b g",
            "close 0.1",
        ],
    ),
    (
        "interleaved",
        &[
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}},{"index":1,"id":"b","function":{"name":"g","arguments":"{"}}]}"#,
            r#"{"tool_calls":[{"index":1,"function":{"arguments":"}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}"#,
        ],
        &[
            "open 0.0 call a f",
            "add 0.0 {",
            "open 0.1 call b g",
            "add 0.1 {",
            "add 0.1 }",
            "add 0.0 }",
            "close 0.0",
            "close 0.1",
        ],
    ),
    (
        "a new id under a known index is a new call",
        &[
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]}"#,
        ],
        &["open 0.0 call a f", "add 0.0 {}", "close 0.0", "open 0.1 call b f", "add 0.1 {}", "close 0.1"],
    ),
    (
        "no index: by id, then by place",
        &[
            r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}},{"id":"b","function":{"name":"g","arguments":"{"}}]}"#,
            r#"{"tool_calls":[{"id":"b","function":{"arguments":"1"}}]}"#,
            r#"{"tool_calls":[{"function":{"arguments":"2"}},{"function":{"arguments":"3"}}]}"#,
        ],
        &[
            "open 0.0 call a f",
            "add 0.0 {",
            "open 0.1 call b g",
            "add 0.1 {",
            "add 0.1 1",
            "add 0.0 2",
            "add 0.1 3",
            "close 0.0",
            "close 0.1",
        ],
    ),
    (
        "the id comes after the name and some arguments; a repeated call is not added",
        &[
            r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
        ],
        &["open 0.0 call a f", "add 0.0 {", "add 0.0 }", "close 0.0"],
    ),
    (
        "custom, with arguments that are no text, with a signature, and in the older form",
        &[
            r#"{"tool_calls":[{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":"x"}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":{"y":1}},"extra_content":{"google":{"thought_signature":"s"}}}]}"#,
            r#"{"function_call":{"name":"h","arguments":"{"}}"#,
        ],
        &[
            "open 0.0 custom a f",
            "add 0.0 x",
            "open 0.1 call b g v:s",
            "add 0.1 whole {\"y\":1}",
            "close 0.1",
            "open 0.2 call h h",
            "add 0.2 {",
            "close 0.0",
            "close 0.2",
        ],
    ),
];
