//! What clients get: the stream's order and numbers, the object at its end, and that the reader understands the writer.

use super::*;
use serde_json::{Value, json};

fn told() -> Told {
    let (id, model) = ("abc".to_owned(), "asked".to_owned());
    Told { id, model, created_s: 9, include_usage: true, ..Told::default() }
}

fn at(block: u32) -> Place {
    Place { choice: 0, block }
}

fn start() -> Event<'static> {
    Event::Start(Start { id: Text::of("chatcmpl-1"), model: Text::of("m"), created_s: Some(7) })
}

fn text(block: u32, text: &str) -> Event<'_> {
    Event::Delta { at: at(block), delta: Delta::Text(Text::of(text)) }
}

fn input(block: u32, piece: &str) -> Event<'_> {
    Event::Delta { at: at(block), delta: Delta::Arguments(Arguments::Piece(Text::of(piece))) }
}

fn call(block: u32, id: &'static str, is_custom: bool) -> Event<'static> {
    let (id, name) = (Text::of(id), Text::of("f"));
    Event::Open { at: at(block), block: Block::ToolCall { id, name, is_custom, signature: None } }
}

fn finish(reason: FinishReason) -> Event<'static> {
    Event::Finish { choice: 0, finish: Finish { reason, stop_sequence: None } }
}

fn open(block: u32, kind: Block<'static>) -> Event<'static> {
    Event::Open { at: at(block), block: kind }
}

fn close(block: u32) -> Event<'static> {
    Event::Close { at: at(block) }
}

fn signed(block: u32, vendor: &'static str) -> Event<'static> {
    let signature = Signature::of_vendor(vendor, Text::of("sig"));
    Event::Delta { at: at(block), delta: Delta::Signature(signature) }
}

/// The events that a client gets, after a check of their framing and numbers.
fn stream_of(events: &[Event<'_>]) -> Vec<Value> {
    let mut writer = StreamWriter::new(told());
    let mut out = Vec::new();
    for event in events {
        writer.event(event, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    let frames: Vec<&str> = text.split_terminator("\n\n").filter(|frame| !frame.starts_with(':')).collect();
    let mut told = Vec::new();
    for (number, frame) in frames.into_iter().enumerate() {
        let (name, data) = frame.split_once('\n').expect(frame);
        let value: Value = serde_json::from_str(data.strip_prefix("data: ").expect(frame)).expect(frame);
        assert_eq!(name.strip_prefix("event: "), value["type"].as_str(), "{frame}");
        assert_eq!(value["sequence_number"], number);
        told.push(value);
    }
    told
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap().trim_start_matches("response.")).collect()
}

fn all_kinds_of_blocks() -> Vec<Event<'static>> {
    let citation = Delta::Citation { url: Some(Text::of("u")), title: Some(Text::of("t")), cited: None };
    vec![
        start(),
        open(0, Block::Thinking),
        text(0, "hm"),
        signed(0, "elsewhere"),
        close(0),
        open(1, Block::Text),
        text(1, "a\n"),
        text(1, "b"),
        Event::Delta { at: at(1), delta: citation },
        Event::Delta { at: at(1), delta: Delta::Logprobs(b"[{\"token\":\"b\",\n\"logprob\":-1}]") },
        Event::Ping,
        close(1),
        call(2, "c1", false),
        call(3, "c2", false),
        input(3, "{\"x\""),
        input(2, "{}"),
        input(3, ":1}"),
        close(2),
        close(3),
        call(4, "c3", true),
        input(4, "SELECT"),
        close(4),
        call(5, "c4", false),
        close(5),
        finish(FinishReason::ToolCalls),
        Event::Usage(Usage { input: Some(5), output: Some(3), ..Usage::default() }),
        Event::End,
    ]
}

#[test]
fn the_stream_has_every_event_in_its_order() {
    let events = stream_of(&all_kinds_of_blocks());
    let want = "created in_progress output_item.added reasoning_summary_part.added reasoning_summary_text.delta \
        reasoning_summary_text.done reasoning_summary_part.done output_item.done \
        output_item.added content_part.added output_text.delta output_text.delta output_text.annotation.added \
        output_text.delta output_text.done content_part.done output_item.done \
        output_item.added output_item.added function_call_arguments.delta function_call_arguments.delta \
        function_call_arguments.delta function_call_arguments.done function_call_arguments.done \
        output_item.done output_item.done \
        output_item.added custom_tool_call_input.delta custom_tool_call_input.done output_item.done \
        output_item.added function_call_arguments.delta function_call_arguments.done output_item.done completed";
    assert_eq!(kinds(&events), want.split_whitespace().collect::<Vec<_>>());
    let last = &events.last().unwrap()["response"];
    assert_eq!(last["id"], "resp_abc");
    assert_eq!(
        (&last["status"], &last["created_at"], &last["model"]),
        (&json!("completed"), &json!(7), &json!("m"))
    );
    let done: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|e| &e["item"])
        .collect();
    let mut done: Vec<Value> = done.into_iter().cloned().collect();
    done.sort_by_key(|item| last["output"].as_array().unwrap().iter().position(|other| other == item));
    assert_eq!(last["output"], Value::Array(done));
    assert_eq!(
        last["usage"],
        json!({"input_tokens": 5, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 8})
    );
    assert_eq!(
        last["output"][1]["content"][0],
        json!({"type": "output_text", "text": "a\nb", "logprobs": [{"token": "b", "logprob": -1}], "annotations":
            [{"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 0}]})
    );
    assert_eq!(last["output"][3]["arguments"], "{\"x\":1}");
    assert_eq!(last["output"][5]["arguments"], "{}");
    assert_eq!(last["output"][0]["encrypted_content"], "ringway:elsewhere:sig");
    for key in
        ["parallel_tool_calls", "tool_choice", "tools", "temperature", "top_p", "metadata", "instructions"]
    {
        assert!(last.get(key).is_some(), "{key}");
    }
}

#[test]
fn the_whole_answer_is_the_object_at_the_end_of_the_stream() {
    let mut writer = AnswerWriter::new(told());
    let events = all_kinds_of_blocks();
    for event in &events {
        writer.event(event);
    }
    let mut out = Vec::new();
    writer.finish(&mut out);
    let whole: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(whole, stream_of(&events).last().unwrap()["response"]);
}

#[test]
fn a_reader_understands_the_writer() {
    let events = all_kinds_of_blocks();
    let mut direct = Listener::default();
    for event in &events {
        direct.hear(event);
    }
    let datas: Vec<String> = stream_of(&events).iter().map(Value::to_string).collect();
    let datas: Vec<&str> = datas.iter().map(String::as_str).collect();
    let (lines, _) = read_stream(&datas, &vendor_rules());
    let texts = |lines: &[String]| -> Vec<String> {
        let kept = |line: &&String| [" = ", " text ", " input ", "finish"].iter().any(|w| line.contains(w));
        lines.iter().filter(kept).cloned().collect()
    };
    let mut want = texts(&direct.lines);
    // The writer gives a call without arguments those that it means.
    want.insert(want.len() - 1, "5 input {}".to_owned());
    assert_eq!(texts(&lines), want);
}

#[test]
fn what_was_cut_short_says_so() {
    let events = [
        start(),
        open(0, Block::Text),
        text(0, "a"),
        close(0),
        call(1, "c", false),
        input(1, "{\"x"),
        close(1),
        finish(FinishReason::Length),
        Event::End,
    ];
    let told = stream_of(&events);
    let last = told.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    let response = &last["response"];
    assert_eq!(response["incomplete_details"], json!({"reason": "max_output_tokens"}));
    let statuses: Vec<&Value> =
        response["output"].as_array().unwrap().iter().map(|item| &item["status"]).collect();
    assert_eq!(statuses, ["completed", "incomplete"]);
    assert!(response["usage"].is_null(), "nobody counted");
}

#[test]
fn an_error_fails_the_response_and_nothing_follows() {
    let (code, param) = (None, None);
    let (kind, message) = (ErrorKind::Overloaded, "busy\n".to_owned());
    let error = || {
        Event::Error(Box::new(ProviderError {
            kind,
            status: 529,
            message: message.clone(),
            code: code.clone(),
            param: param.clone(),
        }))
    };
    let told = stream_of(&[start(), open(0, Block::Text), text(0, "a"), error(), Event::End, Event::Ping]);
    assert_eq!(kinds(&told)[2..], ["output_item.added", "content_part.added", "output_text.delta", "failed"]);
    let response = &told.last().unwrap()["response"];
    assert_eq!(response["error"], json!({"code": "server_is_overloaded", "message": "busy\n"}));
    assert_eq!(
        (&response["status"], &response["output"][0]["status"]),
        (&json!("failed"), &json!("incomplete"))
    );
    let told = stream_of(&[error(), Event::End]);
    assert_eq!(kinds(&told), ["error"]);
    assert_eq!(told[0]["message"], "busy\n");
}

#[test]
fn a_code_that_clients_do_not_know_stands_beside_one_that_they_do() {
    let error = ProviderError {
        kind: ErrorKind::Server,
        status: 502,
        message: "cut".to_owned(),
        code: Some("upstream_cut".to_owned()),
        param: None,
    };
    let told = stream_of(&[start(), open(0, Block::Text), text(0, "a"), Event::Error(Box::new(error))]);
    let want = json!({"code": "server_error", "message": "cut", "type": "upstream_cut"});
    assert_eq!(told.last().unwrap()["response"]["error"], want);
}

#[test]
fn texts_that_follow_each_other_are_parts_of_one_message() {
    let refusal = [open(1, Block::Refusal), text(1, "no"), close(1)];
    let events: Vec<Event<'_>> = [start(), open(0, Block::Text), text(0, "a"), close(0)]
        .into_iter()
        .chain(refusal)
        .chain([finish(FinishReason::Refusal), Event::End])
        .collect();
    let told = stream_of(&events);
    let response = &told.last().unwrap()["response"];
    assert_eq!(response["status"], "completed");
    assert_eq!(response["output"].as_array().unwrap().len(), 1);
    assert_eq!(response["output"][0]["content"][1], json!({"type": "refusal", "refusal": "no"}));
    assert_eq!(told.iter().filter(|e| e["type"] == "response.output_item.done").count(), 1);
}

/// State of other providers comes back through a client of this dialect: that of a thought, of one whose text is kept
/// back, of one that only its vendor can read, and of a call.
#[test]
fn state_of_other_providers_comes_back_as_what_it_was() {
    let signature = Signature::of_vendor("elsewhere", Text::of("call state"));
    let (id, name, is_custom) = (Text::of("c"), Text::of("f"), false);
    let events = [
        start(),
        open(0, Block::Thinking),
        text(0, "hm"),
        signed(0, "elsewhere"),
        close(0),
        open(1, Block::Thinking),
        signed(1, "elsewhere"),
        close(1),
        open(2, Block::HiddenThinking { data: Signature::of_vendor("elsewhere", Text::of("hidden")) }),
        close(2),
        open(3, Block::ToolCall { id, name, is_custom, signature: Some(signature) }),
        close(3),
        finish(FinishReason::ToolCalls),
        Event::End,
    ];
    let told = stream_of(&events);
    let output = &told.last().unwrap()["response"]["output"];
    let body = json!({"model": "m", "input": output}).to_string();
    let node = Node::document(body.as_bytes(), &mut Vec::new()).unwrap();
    let request = read_request(node).unwrap();
    let [turn] = &request.turns[..] else { panic!("{:?}", request.turns) };
    let [
        Part::Thinking { text: first, signature: Some(first_signature) },
        Part::Thinking { text: second, signature: Some(_) },
        Part::HiddenThinking { data },
        Part::ToolCall { signature: Some(call), .. },
    ] = &turn.parts[..]
    else {
        panic!("{:?}", turn.parts)
    };
    assert!(first.is("hm") && first_signature.is_for("elsewhere") && first_signature.value.is("sig"));
    assert!(second.is_empty());
    assert!(data.is_for("elsewhere") && data.value.is("hidden"));
    assert!(call.is_for("elsewhere") && call.value.is("call state"));
}

/// The reader keeps its promises, which the listener checks, whatever a server leaves out, repeats or swaps; and without
/// the last event there is no end.
#[test]
fn a_mangled_stream_breaks_no_promise() {
    let datas: Vec<String> = stream_of(&all_kinds_of_blocks()).iter().map(Value::to_string).collect();
    let datas: Vec<&str> = datas.iter().map(String::as_str).collect();
    for at in 0..datas.len() {
        let (_, stage) = read_stream(&datas[..at], &vendor_rules());
        assert_eq!(stage, Stage::Open, "cut at {at}");
        let mut lost = datas.clone();
        lost.remove(at);
        read_stream(&lost, &vendor_rules());
        let mut repeated = datas.clone();
        repeated.insert(at, datas[at]);
        read_stream(&repeated, &vendor_rules());
        let mut swapped = datas.clone();
        swapped.swap(at, at.saturating_sub(1));
        read_stream(&swapped, &vendor_rules());
    }
}
