//! Events as chunks.

use super::*;
use crate::dialect::chat::StreamReader;
use crate::dialect::middle::{Arguments, ErrorKind, FinishReason, Rules, Signature};
use serde_json::{Value, json};

fn told() -> Told {
    Told { id: "x".to_owned(), model: "m".to_owned(), created_s: 7, include_usage: true, ..Told::default() }
}

/// The data of the stream that these events make.
fn written(told: Told, events: &[Event<'_>]) -> Vec<String> {
    let (mut writer, mut out) = (StreamWriter::new(told), Vec::new());
    for event in events {
        writer.event(event, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    let parts: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(parts.last(), Some(&""), "every event is ended");
    parts[..parts.len() - 1]
        .iter()
        .filter_map(|part| part.strip_prefix("data: ").map(str::to_owned))
        .collect()
}

/// The deltas of choice 0, and what stands beside them.
fn deltas(data: &[String]) -> Vec<Value> {
    let parse =
        |text: &String| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    data.iter()
        .filter(|text| *text != "[DONE]")
        .map(parse)
        .map(|chunk| {
            assert_eq!(chunk["object"], "chat.completion.chunk");
            chunk["choices"][0].clone()
        })
        .collect()
}

const AT: Place = Place { choice: 0, block: 0 };
const NEXT: Place = Place { choice: 0, block: 1 };

fn text(at: Place, text: &'static str) -> Event<'static> {
    Event::Delta { at, delta: Delta::Text(Text::escaped(text.as_bytes())) }
}

fn call(at: Place, id: &str) -> Event<'static> {
    let (id, name) = (Text::of(id), Text::of("f"));
    Event::Open { at, block: Block::ToolCall { id, name, is_custom: false, signature: None } }
}

fn finish(reason: FinishReason) -> Event<'static> {
    Event::Finish { choice: 0, finish: Finish { reason, stop_sequence: None } }
}

#[test]
fn a_text_is_chunks_with_the_role_in_the_first_and_usage_in_the_last() {
    let events = [
        Event::Start(Start::default()),
        Event::Usage(Usage { input: Some(1), ..Usage::default() }),
        Event::Open { at: AT, block: Block::Text },
        text(AT, r"a\ud83d"),
        text(AT, "b"),
        Event::Close { at: AT },
        finish(FinishReason::Refusal),
        Event::Usage(Usage { output: Some(2), ..Usage::default() }),
        Event::End,
    ];
    let data = written(told(), &events);
    let head = r#"{"id":"chatcmpl-x","object":"chat.completion.chunk","created":7,"model":"m","choices":["#;
    let chunk = |choice: &str| format!("{head}{choice}]}}");
    let want = [
        chunk(r#"{"index":0,"delta":{"role":"assistant","content":"a\ud83d"},"finish_reason":null}"#),
        chunk(r#"{"index":0,"delta":{"content":"b"},"finish_reason":null}"#),
        chunk(r#"{"index":0,"delta":{},"finish_reason":"content_filter"}"#),
        format!(r#"{head}],"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}"#),
        "[DONE]".to_owned(),
    ];
    assert_eq!(data, want);
    let data = written(Told { include_usage: false, ..told() }, &events);
    assert_eq!(data.len(), 4, "no usage for who did not ask");
    let data = written(told(), &[finish(FinishReason::Pause), Event::End]);
    assert_eq!(data.len(), 2, "no usage that nobody knows");
    let want = json!({"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"});
    assert_eq!(deltas(&data), [want]);
}

#[test]
fn calls_have_numbers_of_their_own_and_arguments_in_any_case() {
    let piece = Event::Delta { at: AT, delta: Delta::Arguments(Arguments::Whole(br#"{"x":1}"#)) };
    let after = Place { choice: 0, block: 2 };
    let events = [
        Event::Open { at: after, block: Block::Text },
        Event::Close { at: after },
        call(AT, "a"),
        call(NEXT, "b"),
        piece,
        Event::Close { at: AT },
        Event::Close { at: NEXT },
        finish(FinishReason::ToolCalls),
        Event::End,
    ];
    let found = deltas(&written(told(), &events));
    let open = |index: u32, id: &str| json!([{"index":index,"id":id,"type":"function","function":{"name":"f","arguments":""}}]);
    assert_eq!(found[0]["delta"]["tool_calls"], open(0, "a"));
    assert_eq!(found[1]["delta"]["tool_calls"], open(1, "b"));
    assert_eq!(found[2]["delta"]["tool_calls"], json!([{"index":0,"function":{"arguments":"{\"x\":1}"}}]));
    assert_eq!(found[3]["delta"]["tool_calls"], json!([{"index":1,"function":{"arguments":"{}"}}]));
    assert_eq!(found[4]["finish_reason"], "tool_calls");
}

#[test]
fn an_error_ends_the_stream_without_a_terminal() {
    let (kind, message) = (ErrorKind::Overloaded, "busy".to_owned());
    let error = ProviderError { kind, status: 503, message, code: None, param: None };
    let data = written(told(), &[Event::Error(Box::new(error)), Event::End]);
    let want = r#"{"error":{"message":"busy","type":"upstream_error","param":null,"code":"overloaded"}}"#;
    assert_eq!(data, [want]);
}

#[test]
fn what_only_extensions_say_is_said_in_them() {
    let signature = |value: &str| Signature { vendor: "v".into(), value: Text::of(value) };
    let source = Delta::Citation { url: Some(Text::of("u")), title: None, cited: None };
    let (kind, base64) = (Text::of("image/png"), Text::of("QQ=="));
    let events = [
        Event::Open { at: AT, block: Block::Thinking },
        text(AT, "t"),
        Event::Delta { at: AT, delta: Delta::Signature(signature("s")) },
        Event::Close { at: AT },
        Event::Open { at: NEXT, block: Block::HiddenThinking { data: signature("h") } },
        Event::Close { at: NEXT },
        Event::Open { at: AT, block: Block::Text },
        Event::Delta { at: AT, delta: source },
        Event::Delta { at: AT, delta: Delta::Logprobs(b"[1]") },
        Event::Open { at: NEXT, block: Block::Media { kind, base64 } },
        Event::Open { at: NEXT, block: Block::Foreign { raw: b"{}" } },
    ];
    let found = deltas(&written(told(), &events));
    let thinking = json!([{"type":"thinking","thinking":"","signature":"ringway:v:s","index":0}]);
    let hidden = json!([{"type":"redacted_thinking","data":"ringway:v:h","index":1}]);
    let source = json!([{"type":"url_citation","url_citation":{"url":"u","title":"","start_index":0,"end_index":0},"index":0}]);
    let image = json!([{"type":"image_url","image_url":{"url":"data:image/png;base64,QQ=="},"index":0}]);
    assert_eq!(found[0]["delta"], json!({"role":"assistant","reasoning_content":"t"}));
    assert_eq!(found[1]["delta"]["thinking_blocks"], thinking);
    assert_eq!(found[2]["delta"]["thinking_blocks"], hidden);
    assert_eq!(found[3]["delta"]["annotations"], source);
    assert_eq!(found[4]["logprobs"], json!({"content":[1],"refusal":null}));
    assert_eq!(found[5]["delta"]["images"], image);
    assert_eq!(found.len(), 6);
}

#[test]
fn what_is_read_and_written_is_read_as_the_same() {
    let chunks = [
        r#"{"id":"i","model":"m","created":1,"choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"r"}}]}"#,
        r#"{"id":"i","choices":[{"index":0,"delta":{"content":"c\u00e4"}},{"index":1,"delta":{"refusal":"n"}}]}"#,
        r#"{"id":"i","choices":[{"index":0,"delta":{"tool_calls":[{"index":4,"id":"a","function":{"name":"f","arguments":"{\"a\""}}]}}]}"#,
        r#"{"id":"i","choices":[{"index":0,"delta":{"tool_calls":[{"index":4,"function":{"arguments":":2}"}}]},"finish_reason":"stop"}]}"#,
        r#"{"id":"i","choices":[{"index":1,"delta":{},"finish_reason":"length"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
        "[DONE]",
    ];
    let read = |chunks: &[String]| {
        let mut reader = StreamReader::new(&Rules::default());
        let (mut events, mut writer, mut out) = (Vec::new(), StreamWriter::new(told()), Vec::new());
        for chunk in chunks {
            reader.event(chunk.as_bytes(), &mut |event| {
                events.push(format!("{event:?}"));
                writer.event(&event, &mut out);
            });
        }
        let data: Vec<String> = String::from_utf8(out)
            .unwrap()
            .split_terminator("\n\n")
            .map(|event| event.strip_prefix("data: ").unwrap().to_owned())
            .collect();
        // Usage may come at any time.
        events.sort_by_key(|event| event.starts_with("Usage"));
        (events, data)
    };
    let (first, data) = read(&chunks.map(str::to_owned));
    let (second, again) = read(&data);
    assert_eq!(first, second);
    assert_eq!(data, again);
}
