//! Calls of tools: their numbers, ids and arguments.

use serde_json::{Value, json};

use super::*;

const NULL: Value = Value::Null;

fn args(name: &str, args: Value) -> Value {
    json!({"call": {"name": name, "args": args}})
}

/// A stream of a chat provider reaches everybody else with these calls.
#[track_caller]
fn calls(deltas: Vec<Value>, reason: &str, want: Value) {
    let desk = Desk::new();
    for client in others(Provider::Chat) {
        said(&desk.says(Provider::Chat, &chat(deltas.clone(), reason), client), want.clone(), "tool_calls");
    }
}

fn tool_use(name: &str, pieces: &[&str]) -> (Value, Vec<Value>) {
    let block = json!({"type": "tool_use", "id": format!("toolu_{name}"), "name": name, "input": {}});
    let delta = |piece: &&str| json!({"type": "input_json_delta", "partial_json": piece});
    (block, pieces.iter().map(delta).collect())
}

#[test]
fn edge_01_calls_are_numbered_among_calls_whatever_blocks_stand_before_them() {
    let desk = Desk::new();
    let text = (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": "I look."})]);
    let thought = (
        json!({"type": "thinking", "thinking": "", "signature": ""}),
        vec![json!({"type": "thinking_delta", "thinking": "Hm."})],
    );
    let events =
        message(&[thought, text, tool_use("a", &[r#"{"x":1}"#]), tool_use("b", &[r#"{"y":2}"#])], "tool_use");
    desk.stream(&events);
    let answer = desk.ask(Client::Chat, Provider::Messages, How::Stream, &hi());
    let text = answer.text();
    let numbers: Vec<u64> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0/index")?.as_u64())
        .collect();
    assert!(numbers.starts_with(&[0]) && numbers.ends_with(&[1]), "{text}");
    assert!(numbers.is_sorted() && numbers.iter().all(|number| *number < 2), "{numbers:?}");
}

#[test]
fn edge_02_numbers_that_begin_at_one_or_have_gaps_become_dense() {
    let deltas = vec![
        call(json!(1), json!("a"), json!("f"), json!("{\"x\":")),
        call(json!(1), NULL, NULL, json!("1}")),
        call(json!(5), json!("b"), json!("g"), json!("{}")),
    ];
    calls(deltas, "tool_calls", json!([args("f", json!({"x": 1})), args("g", json!({}))]));
}

#[test]
fn edge_03_a_call_without_a_number_is_found_by_its_id_then_by_its_place() {
    let deltas = vec![
        call(NULL, json!("a"), json!("f"), json!("{\"x\":")),
        call(NULL, json!("a"), NULL, json!("1}")),
        call(NULL, json!("b"), json!("g"), json!("{\"y\":2}")),
    ];
    calls(deltas, "tool_calls", json!([args("f", json!({"x": 1})), args("g", json!({"y": 2}))]));
    let both = json!({"tool_calls": [
        {"function": {"name": "f", "arguments": "{\"x\":1}"}}, {"function": {"name": "g", "arguments": "{\"y\":2}"}}]});
    calls(vec![both], "tool_calls", json!([args("f", json!({"x": 1})), args("g", json!({"y": 2}))]));
}

#[test]
fn edge_04_an_empty_id_or_name_in_a_later_delta_changes_nothing() {
    let deltas = vec![
        call(json!(0), json!("a"), json!("f"), json!("")),
        call(json!(0), json!(""), json!(""), json!("{\"x\":")),
        call(json!(0), json!(""), json!(""), json!("1}")),
    ];
    calls(deltas, "tool_calls", json!([args("f", json!({"x": 1}))]));
}

#[test]
fn edge_05_a_call_that_comes_whole_is_taken_apart_for_those_who_want_steps() {
    let whole = || vec![call(json!(0), json!("a"), json!("f"), json!("{\"x\":1}"))];
    calls(whole(), "tool_calls", json!([args("f", json!({"x": 1}))]));
    let desk = Desk::new();
    desk.stream(&chat(whole(), "tool_calls"));
    for (client, steps) in [
        (Client::Messages, ["content_block_start", "input_json_delta", "content_block_stop"]),
        (
            Client::Responses,
            ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done"],
        ),
    ] {
        let text = desk.ask(client, Provider::Chat, How::Stream, &hi()).text();
        let places = steps.map(|step| text.find(step).unwrap_or_else(|| panic!("no {step}: {text}")));
        assert!(places.is_sorted(), "{text}");
    }
}

#[test]
fn edge_06_calls_that_come_in_turns_keep_their_arguments_apart() {
    let deltas = vec![
        call(json!(0), json!("a"), json!("f"), json!("{\"x\":")),
        call(json!(1), json!("b"), json!("g"), json!("{\"y\":")),
        call(json!(0), NULL, NULL, json!("1}")),
        call(json!(1), NULL, NULL, json!("2}")),
    ];
    // The reader of messages refuses a block that is opened inside of another one.
    calls(deltas, "tool_calls", json!([args("f", json!({"x": 1})), args("g", json!({"y": 2}))]));
}

#[test]
fn edge_07_a_call_without_arguments_gets_an_empty_object() {
    let desk = Desk::new();
    for client in others(Provider::Messages) {
        let events = message(&[tool_use("f", &[])], "tool_use");
        said(&desk.says(Provider::Messages, &events, client), json!([args("f", json!({}))]), "tool_calls");
    }
    for arguments in [json!(""), NULL] {
        let deltas = vec![call(json!(0), json!("a"), json!("f"), arguments)];
        calls(deltas, "tool_calls", json!([args("f", json!({}))]));
    }
    desk.whole(&whole_message(json!([tool_use("f", &[]).0]), "tool_use"));
    let text = desk.ask(Client::Chat, Provider::Messages, How::Whole, &hi()).text();
    assert!(text.contains(r#""arguments":"{}""#), "{text}");
}

/// Where the arguments pass they are not touched. Everyone else gets the first object, and the second is not silently gone.
#[test]
fn edge_08_of_two_objects_in_one_text_the_first_is_the_call_and_the_rest_is_counted() {
    const TWO: &str = r#"{"x":1} {"y":"}"}"#;
    let desk = Desk::new();
    let first = || json!([args("f", json!({"x": 1}))]);
    let whole = |arguments: &str| {
        let message = json!({"role": "assistant", "content": null, "tool_calls":
            [{"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}]});
        whole_chat(message, "tool_calls")
    };
    let document = whole(TWO);
    desk.whole(&document);
    let passed = desk.ask(Client::Chat, Provider::Chat, How::Whole, &hi());
    assert_eq!(passed.text(), document.to_string());
    assert_eq!(passed.header("x-ringway-edited"), None);
    for client in others(Provider::Chat) {
        desk.whole(&document);
        let answer = desk.ask(client, Provider::Chat, How::Whole, &hi());
        assert_eq!(answer.header("x-ringway-edited").as_deref(), Some("tool_calls.arguments"), "{client:?}");
        said(&desk.hears(client, Provider::Chat, How::Whole), first(), "tool_calls");
    }
    // Line ends behind the object are nothing that was left out.
    desk.whole(&whole("{\"x\":1}\n"));
    let answer = desk.ask(Client::Messages, Provider::Chat, How::Whole, &hi());
    assert_eq!(answer.header("x-ringway-edited"), None);
    // In a stream the second may begin in the first one's last piece; and several providers say the whole once more.
    for pieces in [["{\"x\":", "1}{\"y\"", ":2}"], ["{\"x\":", "1}", "{\"x\":1}"]] {
        let deltas = pieces.map(|piece| call(json!(0), json!("a"), json!("f"), json!(piece)));
        calls(deltas.to_vec(), "tool_calls", first());
    }
    let deltas = [TWO].map(|piece| call(json!(0), json!("a"), json!("f"), json!(piece)));
    desk.stream(&chat(deltas.to_vec(), "tool_calls"));
    let before = desk.gateway.metric(CUT);
    let _ = desk.ask(Client::Messages, Provider::Chat, How::Stream, &hi());
    eventually("the count of what was cut", || desk.gateway.metric(CUT) == before + 1.0);
}

const CUT: &str = "ringway_arguments_cut_total{provider=\"chat\"}";

#[test]
fn edge_09_the_input_of_a_tool_that_the_provider_runs_is_no_call() {
    let desk = Desk::new();
    let block = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}});
    let deltas = vec![json!({"type": "input_json_delta", "partial_json": "{\"query\":\"x\"}"})];
    let found = json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []});
    let text = (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": "Found."})]);
    let events = message(&[(block, deltas), (found, Vec::new()), text], "end_turn");
    for client in others(Provider::Messages) {
        said(&desk.says(Provider::Messages, &events, client), json!([{"text": "Found."}]), "stop");
    }
}

#[test]
fn edge_18_a_stop_behind_calls_is_told_as_calls() {
    let deltas = vec![call(json!(0), json!("a"), json!("f"), json!("{}"))];
    calls(deltas, "stop", json!([args("f", json!({}))]));
    let desk = Desk::new();
    let events = [candidate(json!([{"functionCall": {"name": "f", "args": {"x": 1}}}]), json!("STOP"))];
    for client in others(Provider::Gemini) {
        let want = json!([args("f", json!({"x": 1}))]);
        said(&desk.says(Provider::Gemini, &events, client), want, "tool_calls");
    }
}
