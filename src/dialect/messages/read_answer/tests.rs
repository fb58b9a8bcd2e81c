//! Streams and whole answers of the provider as events.
#![allow(clippy::disallowed_methods, reason = "reads recordings")]

use super::super::testing::{Promises, data_of, line, message_of, read_stream, rules};
use super::*;

fn check(events: &[&str], want: &[&str]) {
    let read = read_stream(events.iter().copied());
    assert_eq!(read.lines, want, "{events:#?}");
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"c","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":43,"cache_read_input_tokens":0,"output_tokens":1}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

/// The stream with what every whole one has around the events.
fn check_inside(events: &[&str], want: &[&str]) {
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":61,"output_tokens":9}}"#;
    let all: Vec<&str> = [START].into_iter().chain(events.iter().copied()).chain([end, STOP]).collect();
    let has_calls = want.iter().any(|line| line.contains(" call "));
    let finish = if has_calls { "finish ToolCalls" } else { "finish Stop" };
    let start = ["start msg_1 c", "usage Some(43) Some(1) Some(0) None"];
    let ends = ["usage Some(61) Some(9) Some(0) None", finish, "end"];
    let want: Vec<&str> = start.into_iter().chain(want.iter().copied()).chain(ends).collect();
    check(&all, &want);
}

#[test]
fn a_text_comes_as_it_is_spelled() {
    check_inside(
        &[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type": "ping"}"#,
            r#"{"index":0,"delta":{"text":"H\u00e4\ud83d","type":"text_delta"},"type":"content_block_delta"}   "#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","cited_text":"c","url":"https://a.example","title":"t","encrypted_index":"x"}}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"delta_of_next_year","text":"x"}}"#,
            r#"{"type":"event_of_next_year","index":0}"#,
            r#"{"type":"content_block_stop","index":0}"#,
        ],
        &[
            "open 0 text",
            "ping",
            r"text 0 H\u00e4\ud83d",
            r#"cite 0 Some("https://a.example") Some("t") Some("c")"#,
            "close 0",
        ],
    );
}

#[test]
fn thoughts_keep_their_signature_whole_and_their_vendor() {
    check_inside(
        &[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"a","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"b"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"Eq=="}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"hid"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
        ],
        &[
            "open 0 thinking",
            "text 0 a",
            "text 0 b",
            "signature 0 claude/Eq==",
            "close 0",
            "open 1 hidden claude/hid",
            "close 1",
        ],
    );
}

#[test]
fn calls_have_their_arguments_once_wherever_they_came() {
    let start = r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{"a":1}}}"#;
    let none = r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"u","name":"g","input":{}}}"#;
    let piece = r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":2}"}}"#;
    let empty =
        r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}"#;
    let stops = [r#"{"type":"content_block_stop","index":2}"#, r#"{"type":"content_block_stop","index":3}"#];
    check_inside(
        &[start, none, empty, stops[0], stops[1]],
        &["open 0 call t f", "open 1 call u g", r#"whole 0 {"a":1}"#, "close 0", "close 1"],
    );
    check_inside(
        &[start, piece, none, stops[1], stops[0]],
        &["open 0 call t f", r#"piece 0 {\"a\":2}"#, "open 1 call u g", "close 1", "close 0"],
    );
}

#[test]
fn blocks_of_the_providers_own_tools_are_kept_whole_and_leak_nothing() {
    check_inside(
        &[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"query\": \"s"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"un\"}"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"web_search_tool_result","tool_use_id":"s","content":[]}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"compaction","content":null}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"compaction_delta","content":"a\n"}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"server_tool_use","id":"s","name":"x","input":{}}}"#,
            r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"cut"}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
        ],
        &[
            r#"open 0 foreign {"type":"server_tool_use","id":"s","name":"web_search","input":{"query": "sun"}}"#,
            "close 0",
            r#"open 1 foreign {"type":"web_search_tool_result","tool_use_id":"s","content":[]}"#,
            "close 1",
            r#"open 2 foreign {"type":"compaction","content":"a\n"}"#,
            "close 2",
            r#"open 3 foreign {"type":"server_tool_use","id":"s","name":"x","input":{}}"#,
            "close 3",
        ],
    );
}

#[test]
fn why_it_stopped_is_told_once_and_last() {
    let start = r#"{"type":"message_start","message":{"id":"i","model":"m"}}"#;
    for (delta, want) in [
        (r#"{"stop_reason":"stop_sequence","stop_sequence":"END"}"#, &["finish Stop END"][..]),
        (r#"{"stop_reason":"max_tokens","stop_sequence":null}"#, &["finish Length"]),
        (r#"{"stop_reason":"pause_turn"}"#, &["finish Pause"]),
        (r#"{"stop_reason":"model_context_window_exceeded"}"#, &["finish ContextFull"]),
        (r#"{"stop_reason":"of_next_year"}"#, &["finish Stop"]),
        (r#"{"stop_reason":null}"#, &["finish Stop"]),
        (r#"{"stop_reason":"refusal","stop_details":null}"#, &["finish Refusal"]),
        (
            r#"{"stop_reason":"refusal","stop_details":{"type":"refusal","category":"cyber","explanation":"No."}}"#,
            &["open 0 refusal", "text 0 No.", "close 0", "finish Refusal"],
        ),
    ] {
        let delta = format!(r#"{{"type":"message_delta","delta":{delta}}}"#);
        let want: Vec<&str> = ["start i m"].into_iter().chain(want.iter().copied()).chain(["end"]).collect();
        check(&[start, &delta, STOP], &want);
    }
}

#[test]
fn nothing_but_the_terminal_ends_a_stream_well() {
    for (events, want) in [
        (&[START][..], Stage::Open),
        (&[START, r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#], Stage::Open),
        (&[START, "[DONE]", ""], Stage::Open),
        (&[START, STOP], Stage::Ended),
        (&[START, STOP, START], Stage::Ended),
        (&["{}"], Stage::Open),
    ] {
        let read = read_stream(events.iter().copied());
        assert_eq!(read.stage, want, "{events:?}");
        assert_eq!(read.lines.contains(&"end".to_owned()), want == Stage::Ended, "{events:?}");
    }
}

#[test]
fn an_error_is_the_end_and_nothing_follows_it() {
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let bare = r#"{"error":{"message":"m"}}"#;
    let no_call =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"","name":"f"}}"#;
    let lost =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}"#;
    for (event, want) in [
        (overloaded, "error Overloaded 529 Overloaded"),
        (bare, "error Server 500 m"),
        ("{\"type\":", "error Server 502 The provider sent an event that is no JSON."),
        (no_call, "error Server 502 The provider called a tool without an id or a name."),
        (lost, "error Server 502 The provider sent arguments of a call that it never began."),
    ] {
        let read = read_stream([START, event, STOP, START]);
        assert_eq!(read.lines.last().map(String::as_str), Some(want));
        assert_eq!(read.stage, Stage::Ended);
    }
}

#[test]
fn a_head_that_is_repeated_changes_nothing_and_a_second_answer_is_an_error() {
    let text = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}"#;
    check(
        &[START, START, STOP],
        &[
            "start msg_1 c",
            "usage Some(43) Some(1) Some(0) None",
            "usage Some(43) Some(1) Some(0) None",
            "finish Stop",
            "end",
        ],
    );
    let read = read_stream([START, text, START]);
    assert!(read.lines.last().is_some_and(|line| line.starts_with("error Server")), "{:?}", read.lines);
}

#[test]
fn texts_without_a_start_are_not_lost() {
    check(
        &[
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"t"}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a"}}"#,
            STOP,
        ],
        &[
            "start  ",
            "open 0 thinking",
            "text 0 t",
            "open 1 text",
            "text 1 a",
            "close 0",
            "close 1",
            "finish Stop",
            "end",
        ],
    );
}

fn whole(body: &str) -> Vec<String> {
    let mut members = Vec::new();
    let (mut lines, mut promises) = (Vec::new(), Promises::default());
    let node = Node::document(body.as_bytes(), &mut members).expect("JSON");
    read_answer(node, &rules(), &mut |event| {
        promises.hold(&event);
        lines.push(line(&event));
    });
    assert!(promises.has_ended);
    lines
}

#[test]
fn a_whole_answer_comes_as_the_same_events() {
    let body = r#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[
        {"type":"thinking","thinking":"t","signature":"s"},
        {"type":"text","text":"a","citations":[{"type":"char_location","cited_text":"c","document_title":"d"}]},
        {"type":"tool_use","id":"t1","name":"f","input":{"a": [1]}},
        {"type":"tool_use","id":"t2","name":"g","input":{}},
        {"type":"server_tool_use","id":"s1","name":"w","input":{"q":"x"}}
      ],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":4}}"#;
    let want = [
        "start msg_1 c",
        "open 0 thinking",
        "text 0 t",
        "signature 0 claude/s",
        "close 0",
        "open 1 text",
        "text 1 a",
        r#"cite 1 None Some("d") Some("c")"#,
        "close 1",
        "open 2 call t1 f",
        r#"whole 2 {"a": [1]}"#,
        "close 2",
        "open 3 call t2 g",
        "close 3",
        r#"open 4 foreign {"type":"server_tool_use","id":"s1","name":"w","input":{"q":"x"}}"#,
        "close 4",
        "usage Some(3) Some(4) None None",
        "finish ToolCalls",
        "end",
    ];
    assert_eq!(whole(body), want);
}

#[test]
fn what_is_no_message_is_an_error() {
    for (body, want) in [
        (
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#,
            "error RateLimit 429 slow",
        ),
        (r#"{"choices":[]}"#, "error Server 502 The provider's answer is no message."),
    ] {
        assert_eq!(whole(body), [want]);
    }
}

/// The events of recorded streams, where the recordings stand beside the project.
fn recorded() -> Vec<(String, Vec<String>)> {
    let folder = format!("{}/../shared/fixtures", env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(format!("{folder}/manifest.jsonl")).unwrap_or_default();
    let entries = manifest.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let of_dialect = entries.filter(|entry| {
        entry["file"].as_str().is_some_and(|file| file.contains("anthropic/"))
            && entry["endpoints"].as_array().is_some_and(|all| all.iter().any(|one| one == "messages"))
    });
    let mut found = Vec::new();
    for entry in of_dialect {
        let file = entry["file"].as_str().unwrap_or_default().to_owned();
        let text = std::fs::read_to_string(format!("{folder}/{file}")).unwrap_or_default();
        let lines = text.lines().map(|line| line.trim().strip_prefix("data:").unwrap_or(line).trim());
        let mut events: Vec<String> = Vec::new();
        for line in lines.filter(|line| line.starts_with("{\"type\"")) {
            if line.starts_with("{\"type\":\"message_start\"")
                && !events.is_empty()
                && !file.contains("message-start")
            {
                found.push((file.clone(), std::mem::take(&mut events)));
            }
            events.push(line.to_owned());
        }
        if events.iter().any(|event| event.contains("message_start")) {
            found.push((file, events));
        }
    }
    assert!(manifest.is_empty() || found.len() > 20, "{}", found.len());
    found
}

#[test]
fn recorded_streams_keep_every_promise_and_reach_a_client_of_the_dialect() {
    for (file, events) in recorded() {
        let read = read_stream(events.iter().map(String::as_str));
        assert_eq!(read.stage, Stage::Ended, "{file}");
        let message = message_of(&read.stream);
        if read.lines.last().is_some_and(|line| line == "end") {
            let whole: serde_json::Value = serde_json::from_slice(&read.answer).expect("JSON");
            let is_full = |block: &&serde_json::Value| block["text"] != "";
            let shown: Vec<_> = message["content"].as_array().into_iter().flatten().filter(is_full).collect();
            let held: Vec<_> = whole["content"].as_array().into_iter().flatten().collect();
            assert_eq!(shown, held, "{file}");
            assert_eq!(message["usage"]["output_tokens"], whole["usage"]["output_tokens"], "{file}");
            // Read again, the client's stream says the same.
            let data = data_of(&read.stream);
            let again = read_stream(data.iter().map(String::as_str));
            let said = |lines: &[String]| -> Vec<String> {
                let is_text = |line: &&String| line.starts_with("text ") || line.starts_with("finish");
                lines
                    .iter()
                    .filter(is_text)
                    .map(|line| line.split_once(' ').map_or("", |(_, rest)| rest))
                    .map(|rest| rest.split_once(' ').map_or(rest, |(_, text)| text).to_owned())
                    .collect()
            };
            assert_eq!(said(&read.lines), said(&again.lines), "{file}");
        }
    }
}

/// Recorded documents: whole answers, and pairs of a request and its answer.
fn recorded_documents() -> Vec<(String, serde_json::Value)> {
    let folder = format!("{}/../shared/fixtures", env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(format!("{folder}/manifest.jsonl")).unwrap_or_default();
    let entries = manifest.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let files = entries.filter_map(|entry| Some(entry["file"].as_str()?.to_owned()));
    let files = files.filter(|file| file.contains("anthropic/") && file.ends_with(".json"));
    files
        .filter_map(|file| {
            let text = std::fs::read_to_string(format!("{folder}/{file}")).ok()?;
            Some((file, serde_json::from_str(&text).ok()?))
        })
        .collect()
}

#[test]
fn recorded_answers_and_requests_are_read_whole() {
    for (file, document) in recorded_documents() {
        if document["type"] == "message" {
            let lines = whole(&document.to_string());
            assert!(lines.last().is_some_and(|line| line == "end"), "{file}: {lines:?}");
        }
        let body = &document["request"]["body"];
        let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        if body.contains("\"messages\"") {
            let node = Node::document(body.as_bytes(), &mut Vec::new()).expect(&file).raw();
            let request = crate::dialect::messages::read_request(Node::scanned(node));
            let request = request.unwrap_or_else(|refusal| panic!("{file}: {}", refusal.message));
            let (mut report, mut out) = (crate::dialect::middle::Report::default(), Vec::new());
            let written = crate::dialect::messages::write_request(&request, &rules(), &mut report, &mut out);
            written.unwrap_or_else(|refusal| panic!("{file}: {}", refusal.message));
            let again = Node::document(&out, &mut Vec::new()).expect(&file).raw();
            assert!(crate::dialect::messages::read_request(Node::scanned(again)).is_ok(), "{file}");
        }
    }
}
