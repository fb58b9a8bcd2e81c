//! Streams for clients: what is written, and that it is read again as it was meant.

use super::super::super::middle::{Arguments, ErrorKind, Finish, Signature, Stage};
use super::super::testing::{line, rules};
use super::*;
use crate::dialect::gemini::{AnswerWriter, StreamReader};

fn told() -> Told {
    Told { id: "own".into(), model: "alias".into(), ..Told::default() }
}

fn at(choice: u32, block: u32) -> Place {
    Place { choice, block }
}

fn text(at: Place, text: &str) -> Event<'_> {
    Event::Delta { at, delta: Delta::Text(Text::of(text)) }
}

fn finish(choice: u32, reason: FinishReason) -> Event<'static> {
    Event::Finish { choice, finish: Finish { reason, stop_sequence: None } }
}

fn piece(at: Place, piece: &str) -> Event<'_> {
    Event::Delta { at, delta: Delta::Arguments(Arguments::Piece(Text::of(piece))) }
}

fn call<'a>(at: Place, id: &str, name: &str) -> Event<'a> {
    let block = Block::ToolCall { id: Text::of(id), name: Text::of(name), is_custom: false, signature: None };
    Event::Open { at, block }
}

/// An answer with parallel calls, thoughts, and counts behind the end.
fn answer() -> Vec<Event<'static>> {
    vec![
        Event::Start(Start { id: Text::of("r1"), model: Text::of("m-1"), created_s: None }),
        Event::Open { at: at(0, 0), block: Block::Thinking },
        text(at(0, 0), "hm\n"),
        Event::Delta {
            at: at(0, 0),
            delta: Delta::Signature(Signature::of_vendor("maker", Text::of("sig"))),
        },
        Event::Close { at: at(0, 0) },
        Event::Open { at: at(0, 1), block: Block::Text },
        text(at(0, 1), "Hel"),
        text(at(0, 1), "lo"),
        Event::Close { at: at(0, 1) },
        call(at(0, 2), "c1", "f"),
        call(at(0, 3), "c2", "g"),
        piece(at(0, 2), "{\"a\":\n"),
        piece(at(0, 3), "{bad"),
        piece(at(0, 2), "\"\\n\"}"),
        Event::Close { at: at(0, 2) },
        Event::Close { at: at(0, 3) },
        finish(0, FinishReason::ToolCalls),
        Event::Usage(Usage { input: Some(3), output: Some(5), reasoning: Some(2), ..Usage::default() }),
        Event::End,
    ]
}

fn written(events: &[Event<'_>], framing: Framing) -> String {
    let (mut writer, mut out) = (StreamWriter::new(told(), framing), Vec::new());
    events.iter().for_each(|event| writer.event(event, &mut out));
    String::from_utf8(out).unwrap()
}

#[test]
fn every_event_is_a_response_and_the_last_one_says_why() {
    let names = r#""modelVersion":"m-1","responseId":"r1"}"#;
    let part = |part: &str| {
        let content = format!(r#""content":{{"parts":[{part}],"role":"model"}}"#);
        format!("data: {{\"candidates\":[{{{content},\"index\":0}}],{names}\r\n\r\n")
    };
    let want = [
        part(r#"{"text":"hm\n","thought":true}"#),
        part(r#"{"text":"","thought":true,"thoughtSignature":"cmluZ3dheTptYWtlcjpzaWc="}"#),
        part(r#"{"text":"Hel"}"#),
        part(r#"{"text":"lo"}"#),
        part(r#"{"functionCall":{"id":"c1","name":"f","args":{"a": "\n"}}}"#),
        part(r#"{"functionCall":{"id":"c2","name":"g","args":{"_invalid_arguments":"{bad"}}}"#),
        format!(
            "data: {{\"candidates\":[{{{},{},\"index\":0}}],{},{names}\r\n\r\n",
            r#""content":{"parts":[{"text":""}],"role":"model"}"#,
            r#""finishReason":"STOP""#,
            r#""usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":3,"totalTokenCount":8,"thoughtsTokenCount":2}"#,
        ),
    ];
    assert_eq!(written(&answer(), Framing::Sse), want.concat());
}

#[test]
fn an_array_holds_the_same_responses_and_is_closed_by_a_clean_end_only() {
    let all = written(&answer(), Framing::Array);
    let array: Vec<serde_json::Value> = serde_json::from_str(&all).expect("an array");
    let sse = written(&answer(), Framing::Sse);
    let events: Vec<serde_json::Value> = sse
        .split("\r\n\r\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect();
    assert_eq!(array, events);
    assert!(all.contains("}\r\n,\r\n{"), "{all}");
    let count = answer().len() - 1;
    let cut = written(&answer()[..count], Framing::Array);
    assert!(serde_json::from_str::<serde_json::Value>(&cut).is_err(), "{cut}");
    assert_eq!(written(&[Event::End], Framing::Array), "[]");
    assert_eq!(written(&[Event::Ping], Framing::Array), "");
    assert_eq!(written(&[Event::Ping], Framing::Sse), "\r\n\r\n");
}

#[test]
fn nothing_follows_an_error() {
    let error = ProviderError {
        kind: ErrorKind::Overloaded,
        status: 503,
        message: "busy".into(),
        code: None,
        param: None,
    };
    let object = r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#;
    let mut events = answer();
    events[4] = Event::Error(Box::new(error));
    let sse = written(&events, Framing::Sse);
    assert!(sse.ends_with(&format!("\r\n\r\ndata: {object}\r\n\r\n")), "{sse}");
    let array = written(&events, Framing::Array);
    assert!(array.ends_with(&format!("\r\n,\r\n{object}\r\n")), "{array}");
    assert_eq!(written(&events[4..], Framing::Array), format!("[{object}\r\n"));
}

#[test]
fn a_stream_and_a_whole_answer_are_read_as_they_were_meant() {
    let lines = |events: &[Event<'_>]| events.iter().map(line).collect::<Vec<_>>();
    let mut want: Vec<Event<'_>> =
        answer().into_iter().filter(|e| !matches!(e, Event::Delta { .. })).collect();
    want.truncate(want.len() - 2);
    let mut read = Vec::new();
    let mut keep = |event: Event<'_>| {
        if !matches!(event, Event::Delta { .. } | Event::Usage(_)) {
            read.push(line(&event));
        }
    };
    let mut reader = StreamReader::new(&rules());
    let sse = written(&answer(), Framing::Sse);
    for event in sse.split("\r\n\r\n").filter_map(|event| event.strip_prefix("data: ")) {
        reader.event(event.as_bytes(), &mut keep);
    }
    assert_eq!(reader.end(&mut keep), Stage::Ended);
    let mut stream = std::mem::take(&mut read);
    assert_eq!(stream.pop().as_deref(), Some("end"));
    // Calls that were open at the same time come one behind the other.
    let mut expected = lines(&want);
    expected.swap(6, 7);
    assert_eq!(stream, expected);

    let mut writer = AnswerWriter::new(told());
    answer().iter().for_each(|event| writer.event(event));
    let mut document = Vec::new();
    writer.finish(&mut document);
    let mut whole = Vec::new();
    crate::dialect::gemini::read_answer(Node::scanned(&document), &rules(), &mut |event| {
        if !matches!(event, Event::Delta { .. } | Event::Usage(_)) {
            whole.push(line(&event));
        }
    });
    assert_eq!(whole.pop().as_deref(), Some("end"));
    assert_eq!(whole, expected);
}

#[test]
fn what_is_special_has_its_place_or_none() {
    let hidden = Block::HiddenThinking { data: Signature::of_vendor("v", Text::of("x")) };
    let events = [
        Event::Open { at: at(1, 0), block: hidden },
        Event::Close { at: at(1, 0) },
        Event::Open { at: at(1, 1), block: Block::Foreign { raw: b"{\"type\":\"search\"}" } },
        Event::Close { at: at(1, 1) },
        Event::Open { at: at(1, 2), block: Block::Foreign { raw: b"{\"executableCode\":\n{}}" } },
        Event::Close { at: at(1, 2) },
        Event::Open {
            at: at(1, 3),
            block: Block::Media { kind: Text::of("image/png"), base64: Text::of("AA") },
        },
        Event::Close { at: at(1, 3) },
        Event::Open { at: at(1, 4), block: Block::Refusal },
        text(at(1, 4), "no"),
        Event::Delta {
            at: at(1, 4),
            delta: Delta::Citation { url: Some(Text::of("u")), title: None, cited: None },
        },
        Event::Delta { at: at(1, 4), delta: Delta::Logprobs(b"[{\"token\":\"no\",\"logprob\":-1}]") },
        Event::Close { at: at(1, 4) },
        finish(1, FinishReason::Refusal),
        Event::End,
    ];
    let sse = written(&events, Framing::Sse);
    for (index, want) in [
        r#"{"thought":true,"thoughtSignature":"cmluZ3dheTp2Ong="}"#,
        r#"{"executableCode": {}}"#,
        r#"{"inlineData":{"mimeType":"image/png","data":"AA"}}"#,
        r#"{"text":"no"}"#,
        r#""logprobsResult":{"topCandidates":[{"candidates":[]}],"chosenCandidates":[{"token":"no","logProbability":-1}]},"index":1}],"modelVersion":"alias","responseId":"own"}"#,
        r#""groundingMetadata":{"groundingChunks":[{"web":{"uri":"u"}}]},"finishReason":"SAFETY","index":1}],"modelVersion":"alias","responseId":"own"}"#,
    ]
    .iter()
    .enumerate()
    {
        let event = sse.split("\r\n\r\n").nth(index).unwrap();
        assert!(event.contains(want), "{event}");
        let json = event.strip_prefix("data: ").unwrap();
        serde_json::from_str::<serde_json::Value>(json).expect(json);
    }
    assert_eq!(sse.matches("\r\n\r\n").count(), 6);
    let mut writer = AnswerWriter::new(told());
    events.iter().for_each(|event| writer.event(event));
    let mut out = Vec::new();
    writer.finish(&mut out);
    let value: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    let candidate = &value["candidates"][0];
    assert_eq!(candidate["content"]["parts"].as_array().map(Vec::len), Some(4));
    assert_eq!(candidate["logprobsResult"]["chosenCandidates"][0]["token"], "no");
    assert_eq!(candidate["groundingMetadata"]["groundingChunks"][0]["web"]["uri"], "u");
    assert_eq!((&candidate["finishReason"], &candidate["index"]), (&"SAFETY".into(), &1.into()));
}

#[test]
fn calls_that_end_in_another_order_leave_in_that_of_their_opening() {
    let events = [
        call(at(0, 0), "c1", "f"),
        call(at(0, 1), "c2", "g"),
        call(at(1, 0), "c3", "h"),
        Event::Close { at: at(0, 1) },
        Event::Close { at: at(1, 0) },
        Event::Close { at: at(0, 0) },
    ];
    let written = written(&events, Framing::Sse);
    let places = ["c3", "c1", "c2"].map(|id| written.find(id).expect(id));
    assert!(places.is_sorted(), "{written}");
}
