//! The table of conversations with tools.

use serde_json::{Value, json};

use super::cases::{asking, with};
use super::expect::{Case, items_mut, results};
use super::world::{Client, Provider};

fn tool(name: &str) -> Value {
    json!({"name": name, "about": format!("Looks up «{name}»."), "schema": {"type": "object",
        "properties": {"city": {"type": "string", "description": "Where, in 汉字 or not"}, "days": {"type": "integer"}}, "required": ["city"]}})
}

fn call(name: &str) -> Value {
    json!({"call": {"name": name, "args": {"city": "Paris", "days": 7}}})
}

fn weather() -> Value {
    with(asking("Weather?"), json!({"tools": [tool("weather"), tool("time")]}))
}

fn strict() -> Value {
    json!({"name": "weather", "about": "Weather.", "strict": true, "schema": {"type": "object",
        "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false}})
}

/// A conversation in which these calls were made and answered.
fn answered(calls: Value, results: Value) -> Value {
    let mut talk = weather();
    let turns = talk["turns"].as_array_mut().expect("turns");
    turns.push(json!({"role": "model", "parts": calls}));
    turns.push(json!({"role": "user", "parts": results}));
    talk
}

fn made(id: &str, name: &str) -> Value {
    json!({"call": {"id": id, "name": name, "args": {"city": "Zürich 😀 \"q\" \\ \n", "days": 3}}})
}

pub fn calls() -> Vec<Case> {
    vec![
        Case::new("a call", weather()).says("tools=1", json!([call("weather")]), "tool_calls"),
        Case::new("a call behind a text", weather()).says(
            "tools=1 events=2",
            json!([{"text": "word0 word1 "}, call("weather")]),
            "tool_calls",
        ),
        Case::new("parallel calls", weather()).says(
            "tools=3",
            json!([call("weather"), call("time"), call("weather")]),
            "tool_calls",
        ),
        Case::new("interleaved calls", weather()).says(
            "tools=2 interleave",
            json!([call("weather"), call("time")]),
            "tool_calls",
        ),
        Case::new("calls with ids and thoughts", weather())
            .says(
                "tools=2 ids thinking=2 reasoning_tokens=2",
                json!([{"thought": "thought0 thought1 "}, call("weather"), call("time")]),
                "tool_calls",
            )
            .uses(json!({"input": 21, "output": 9, "reasoning": 2})),
    ]
}

pub fn particulars() -> Vec<Case> {
    let long = "a_tool_with_a_name_of_eighty_characters_which_is_more_than_most_providers_take_x";
    let bare = json!({"name": "now", "about": "The time.", "schema": {"type": "object", "properties": {}}});
    vec![
        Case::new("a call with unicode", weather()).says(
            "tools=1 unicode=escaped",
            json!([{"call": {"name": "weather", "args": {"city": "Zürich 😀 \"q\" \\ \n 漢", "days": 7}}}]),
            "tool_calls",
        ),
        Case::new("a call without arguments", with(asking("When?"), json!({"tools": [bare]}))).says(
            "tools=1",
            json!([{"call": {"name": "now", "args": {}}}]),
            "tool_calls",
        ),
        Case::new("a tool with a long name", with(asking("Weather?"), json!({"tools": [tool(long)]}))).says(
            "tools=1",
            json!([call(long)]),
            "tool_calls",
        ),
        Case::new("a strict tool", with(asking("Weather?"), json!({"tools": [strict()]})))
            .needs(&["strict"])
            .says("tools=1", json!([{"call": {"name": "weather", "args": {"city": "Paris"}}}]), "tool_calls")
            .adjust(|want, client, provider| {
                // Google and Amazon hold every call to its schema, and have no word for it.
                if matches!(provider, Provider::Gemini | Provider::Converse) && !provider.is_same(client) {
                    items_mut(&mut want.sent["tools"]).for_each(|tool| tool["strict"] = Value::Null);
                    want.edits(&["tools.strict"]);
                }
            }),
        Case::new("one call at a time", with(weather(), json!({"parallel": false})))
            .needs(&["parallel"])
            .says("tools=1", json!([call("weather")]), "tool_calls")
            .adjust(|want, client, provider| {
                if provider == Provider::Converse {
                    want.loses("parallel", "parallel_tool_calls");
                }
                // Anthropic says it as a part of the choice.
                if provider == Provider::Messages || client == Client::Messages {
                    want.sent["choice"] = json!("auto");
                }
            }),
    ]
}

pub fn choices() -> Vec<Case> {
    let chosen = |name, choice: Value| Case::new(name, with(weather(), json!({"choice": choice})));
    vec![
        Case::new("tools that are not called", weather()).says(
            "tools=0 content=no",
            json!([{"text": "no"}]),
            "stop",
        ),
        chosen("a choice of its own", json!("auto")).says("tools=1", json!([call("weather")]), "tool_calls"),
        chosen("a call is a must", json!("required")).says("tools=1", json!([call("weather")]), "tool_calls"),
        chosen("a named tool", json!({"name": "time"})).says("tools=1", json!([call("time")]), "tool_calls"),
        chosen("no tool", json!("none")).says("tools=0 content=no", json!([{"text": "no"}]), "stop").adjust(
            |want, _, provider| {
                // Converse has no such word: the tools are left out.
                if provider == Provider::Converse {
                    want.sent.as_object_mut().map(|sent| (sent.remove("tools"), sent.remove("choice")));
                }
            },
        ),
    ]
}

pub fn outcomes() -> Vec<Case> {
    let said = |id: &str, text: &str| json!({"result": {"id": id, "parts": [{"text": text}]}});
    vec![
        Case::new(
            "a result",
            answered(json!([made("call_1", "weather")]), json!([said("call_1", "19 degrees, ☀")])),
        ),
        Case::new(
            "a result and a question",
            answered(
                json!([{"text": "I look."}, made("call_1", "weather")]),
                json!([said("call_1", "19"), {"text": "And tomorrow?"}]),
            ),
        ),
        Case::new(
            "parallel results",
            answered(
                json!([made("call_1", "weather"), made("call_2", "time"), made("call_3", "weather")]),
                json!([said("call_1", "19"), said("call_2", "noon"), said("call_3", "20")]),
            ),
        ),
        Case::new(
            "results in another order",
            answered(
                json!([made("call_1", "weather"), made("call_2", "time")]),
                json!([said("call_2", "noon"), said("call_1", "19")]),
            ),
        ),
        Case::new(
            "an empty result",
            answered(json!([made("call_1", "weather")]), json!([said("call_1", "")])),
        ),
        Case::new(
            "a result that is an object",
            answered(json!([made("call_1", "weather")]), json!([said("call_1", "{\"degrees\":19}")])),
        ),
    ]
}

pub fn other_outcomes() -> Vec<Case> {
    let png = json!({"image": {"kind": "image/png", "data": "iVBORw0KGgo="}});
    vec![
        Case::new(
            "a failed call",
            answered(
                json!([made("call_1", "weather")]),
                json!([{"result": {"id": "call_1", "parts": [{"text": "no such city"}], "error": true}}]),
            ),
        )
        .needs(&["error"]),
        Case::new(
            "a result with an image",
            answered(
                json!([made("call_1", "weather")]),
                json!([{"result": {"id": "call_1", "parts": [{"text": "see"}, png]}}]),
            ),
        )
        .needs(&["result_image"])
        .adjust(|want, client, provider| {
            // Messages of tools hold texts only: the image follows in the user's name.
            if provider == Provider::Chat && client != Client::Chat || provider == Provider::Gemini {
                let mut image = Value::Null;
                results(want, |result| {
                    image = result["parts"].as_array_mut().and_then(Vec::pop).unwrap_or_default()
                });
                want.sent["turns"][2]["parts"].as_array_mut().expect("parts").push(image);
            }
        }),
    ]
}
