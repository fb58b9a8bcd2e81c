//! Streams: frames and the events that they become.

use super::super::testing::{Seen, recordings, rules, streams_in};
use super::*;
use crate::wire::eventstream::{FrameKind, FrameStep, Frames};

/// Reads lines of `eventType {"payload"…}`; a type that ends in `Exception` or `Error` is a frame of that kind.
fn read(lines: &str) -> (Seen, Stage) {
    let (mut reader, mut seen) = (StreamReader::new(&rules()), Seen::default());
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, payload) = line.split_once(' ').unwrap_or((line, ""));
        if name.ends_with("Exception") {
            reader.exception(name, payload.as_bytes(), &mut |event| seen.add(&event));
        } else {
            reader.event(name, payload.as_bytes(), &mut |event| seen.add(&event));
        }
    }
    let stage = reader.end(&mut |event| seen.add(&event));
    (seen, stage)
}

#[track_caller]
fn check(lines: &str, want: &str, want_stage: Stage) {
    let (seen, stage) = read(lines);
    let want: Vec<&str> = want.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(seen.lines, want);
    assert_eq!(stage, want_stage);
}

const START: &str = r#"messageStart {"p":"abc","role":"assistant"}"#;
const STOP: &str = r#"messageStop {"stopReason":"end_turn"}"#;
const METADATA: &str =
    r#"metadata {"metrics":{"latencyMs":9},"usage":{"inputTokens":3,"outputTokens":5,"totalTokens":8}}"#;

#[test]
fn texts_and_thoughts_begin_with_their_first_delta() {
    let lines = format!(
        r#"{START}
        contentBlockDelta {{"contentBlockIndex":0,"delta":{{"reasoningContent":{{"text":"h"}}}},"p":"ab"}}
        contentBlockDelta {{"contentBlockIndex":0,"delta":{{"reasoningContent":{{"text":"m"}}}}}}
        contentBlockDelta {{"contentBlockIndex":0,"delta":{{"reasoningContent":{{"signature":"sig"}}}}}}
        contentBlockStop {{"contentBlockIndex":0}}
        contentBlockDelta {{"contentBlockIndex":1,"delta":{{"reasoningContent":{{"redactedContent":"AAAA"}}}}}}
        contentBlockStop {{"contentBlockIndex":1}}
        contentBlockDelta {{"contentBlockIndex":2,"delta":{{"text":""}}}}
        contentBlockDelta {{"contentBlockIndex":2,"delta":{{"text":"Hi"}}}}
        contentBlockDelta {{"contentBlockIndex":2,"delta":{{"citation":{{"title":"T","location":{{"web":{{"url":"u"}}}}}}}}}}
        contentBlockStop {{"contentBlockIndex":2}}
        {STOP}
        {METADATA}"#
    );
    let want = "start
        open 0 thinking\n0 text h\n0 text m\n0 signature maker:sig\nclose 0
        open 1 hidden maker:AAAA\nclose 1
        open 2 text\n2 text Hi\n2 citation u T -\nclose 2
        finish Stop\nusage 3 5 cache - -\nend";
    check(&lines, want, Stage::Ended);
}

#[test]
fn calls_may_be_parallel_and_without_arguments() {
    let lines = format!(
        r#"{START}
        contentBlockStart {{"contentBlockIndex":3,"start":{{"toolUse":{{"toolUseId":"a","name":"f"}}}}}}
        contentBlockStart {{"contentBlockIndex":5,"start":{{"toolUse":{{"toolUseId":"b","name":"g","type":"tool_use"}}}}}}
        contentBlockDelta {{"contentBlockIndex":3,"delta":{{"toolUse":{{"input":""}}}}}}
        contentBlockDelta {{"contentBlockIndex":3,"delta":{{"toolUse":{{"input":"{{\"x\":"}}}}}}
        contentBlockDelta {{"contentBlockIndex":5,"delta":{{"toolUse":{{"input":""}}}}}}
        contentBlockDelta {{"contentBlockIndex":3,"delta":{{"toolUse":{{"input":"1}}"}}}}}}
        contentBlockStop {{"contentBlockIndex":3}}
        messageStop {{"stopReason":"tool_use"}}
        {METADATA}"#
    );
    let want = "start
        open 0 call a f\nopen 1 call b g
        0 arguments {\"x\":\n0 arguments 1}\nclose 0\nclose 1
        finish ToolCalls\nusage 3 5 cache - -\nend";
    check(&lines, want, Stage::Ended);
}

#[test]
fn what_the_provider_does_itself_is_left_out() {
    let lines = format!(
        r#"{START}
        contentBlockStart {{"contentBlockIndex":0,"start":{{"toolUse":{{"toolUseId":"s","name":"search","type":"server_tool_use"}}}}}}
        contentBlockDelta {{"contentBlockIndex":0,"delta":{{"toolUse":{{"input":"{{}}"}}}}}}
        contentBlockStop {{"contentBlockIndex":0}}
        contentBlockStart {{"contentBlockIndex":1,"start":{{"toolResult":{{"toolUseId":"s"}}}}}}
        contentBlockDelta {{"contentBlockIndex":1,"delta":{{"toolResult":[{{"text":"found"}}]}}}}
        contentBlockStop {{"contentBlockIndex":1}}
        contentBlockStart {{"contentBlockIndex":2,"start":{{"image":{{"format":"webp"}}}}}}
        contentBlockDelta {{"contentBlockIndex":2,"delta":{{"image":{{"source":{{"bytes":"UklG"}}}}}}}}
        contentBlockStop {{"contentBlockIndex":2}}
        contentBlockStart {{"contentBlockIndex":3,"start":{{}}}}
        contentBlockDelta {{"contentBlockIndex":3,"delta":{{"text":"ok"}}}}
        somethingNew {{"contentBlockIndex":3}}
        contentBlockDelta {{"contentBlockIndex":3,"delta":{{"newKind":1}}}}
        messageStop {{"stopReason":"tool_use"}}
        {METADATA}"#
    );
    let want = "start
        open 0 media image/webp UklG\nclose 0
        open 1 text\n1 text ok\nclose 1
        finish Stop\nusage 3 5 cache - -\nend";
    check(&lines, want, Stage::Ended);
}

#[test]
fn a_stream_ends_only_as_the_provider_ends_it() {
    let text = r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"a"}}"#;
    check("", "", Stage::Open);
    check(&format!("{START}\n{text}"), "start\nopen 0 text\n0 text a", Stage::Open);
    check(&format!("{START}\n{METADATA}"), "start\nusage 3 5 cache - -", Stage::Open);
    check(
        &format!("{text}\n{STOP}"),
        "start\nopen 0 text\n0 text a\nclose 0\nfinish Stop\nend",
        Stage::Ended,
    );
    let early = format!("{START}\n{METADATA}\n{STOP}\n{STOP}\n{text}\n{METADATA}");
    check(&early, "start\nusage 3 5 cache - -\nfinish Stop\nend", Stage::Ended);
    // Nothing is said between the finish and the usage that follows it.
    let late = format!("{START}\n{STOP}\n{text}\n{STOP}\n{METADATA}");
    check(&late, "start\nfinish Stop\nusage 3 5 cache - -\nend", Stage::Ended);
}

#[test]
fn exceptions_and_broken_events_are_errors_and_nothing_follows_them() {
    let text = r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"a"}}"#;
    let thrown = format!("{START}\n{text}\nthrottlingException {{\"message\":\"slow\"}}\n{STOP}\n{METADATA}");
    check(&thrown, "start\nopen 0 text\n0 text a\nerror RateLimit 429 slow", Stage::Ended);
    check("validationException {\"message\":\"bad\"}", "error BadRequest 400 bad", Stage::Ended);
    let broken = format!("{START}\ncontentBlockDelta {{\"contentBlockIndex\"\n{STOP}");
    check(&broken, "start\nerror Server 502 The provider sent an event that is not JSON.", Stage::Ended);
    let nameless = r#"contentBlockStart {"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"a"}}}"#;
    let want = "start\nerror Server 502 The provider sent a call of a tool without its id or its name.";
    check(nameless, want, Stage::Ended);
    let after_the_end = format!("{START}\n{STOP}\n{METADATA}\nthrottlingException {{}}");
    check(&after_the_end, "start\nfinish Stop\nusage 3 5 cache - -\nend", Stage::Ended);
}

#[test]
fn a_block_that_changes_its_kind_is_two_blocks() {
    let lines = format!(
        r#"{START}
        contentBlockDelta {{"contentBlockIndex":0,"delta":{{"reasoningContent":{{"text":"h"}}}}}}
        contentBlockDelta {{"contentBlockIndex":0,"delta":{{"text":"a"}}}}
        {STOP}"#
    );
    let want = "start
        open 0 thinking\n0 text h\nclose 0
        open 1 text\n1 text a\nclose 1
        finish Stop\nend";
    check(&lines, want, Stage::Ended);
}

#[test]
fn half_of_a_pair_passes_as_it_is_spelled() {
    let mut reader = StreamReader::new(&rules());
    let payload = br#"{"contentBlockIndex":0,"delta":{"text":"\ud83d"}}"#;
    let mut texts = Vec::new();
    reader.event("contentBlockDelta", payload, &mut |event| {
        if let Event::Delta { delta: Delta::Text(text), .. } = event {
            texts.push(text.into_owned());
        }
    });
    assert_eq!(texts, [Text::escaped(br"\ud83d")]);
}

#[test]
fn recorded_streams_are_read_to_their_end() {
    let (mut streams, mut frames_count, mut foreign) = (0, 0, 0);
    for (name, text) in recordings() {
        for stream in streams_in(&text) {
            let (mut frames, mut rest) = (Frames::default(), &stream[..]);
            let (mut reader, mut seen) = (StreamReader::new(&rules()), Seen::default());
            let mut is_converse = true;
            while !rest.is_empty() {
                let FrameStep::Frame(frame) = frames.next(rest) else {
                    panic!("{name}: {} bytes are no frame", rest.len());
                };
                assert_eq!(frame.kind, FrameKind::Event, "{name}");
                let event_type = std::str::from_utf8(frame.name.expect("a type").of(rest)).unwrap();
                // `InvokeModel` wraps the model's own events.
                is_converse &= event_type != "chunk";
                reader.event(event_type, frame.payload.of(rest), &mut |event| seen.add(&event));
                rest = &rest[frame.used..];
                frames_count += 1;
            }
            let stage = reader.end(&mut |event| seen.add(&event));
            assert_eq!(stage == Stage::Ended, is_converse, "{name}: {}", seen.text());
            assert!(!is_converse || seen.text().contains("\nusage "), "{name}: {}", seen.text());
            streams += usize::from(is_converse);
            foreign += usize::from(!is_converse);
        }
    }
    println!("{streams} recorded streams and {foreign} of InvokeModel, {frames_count} frames");
}

#[test]
fn recorded_events_without_frames_are_read_to_their_end() {
    let mut streams = 0;
    for (name, text) in recordings().iter().filter(|(name, _)| name.ends_with(".chunks.txt")) {
        let (mut reader, mut seen) = (StreamReader::new(&rules()), Seen::default());
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let line: serde_json::Value = serde_json::from_str(line).expect(name);
            let (event_type, payload) = line.as_object().and_then(|line| line.iter().next()).expect(name);
            reader.event(event_type, payload.to_string().as_bytes(), &mut |event| seen.add(&event));
        }
        let stage = reader.end(&mut |event| seen.add(&event));
        assert_eq!(stage, Stage::Ended, "{name}: {}", seen.text());
        streams += 1;
    }
    println!("{streams} recorded streams without frames");
}
