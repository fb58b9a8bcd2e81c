//! The table of conversations: what is thought, counted and held to a form, and how answers end.

use serde_json::json;

use super::cases::{asking, hi, with};
use super::expect::{Case, Outcome, Want};
use super::world::{Client, Provider};

pub fn reasoning() -> Vec<Case> {
    let thinking = |name, talk| {
        Case::new(name, talk).says(
            "content=\"So be it.\" thinking=2 input_tokens=30 output_tokens=20 reasoning_tokens=8",
            json!([{"thought": "thought0 thought1 "}, {"text": "So be it."}]),
            "stop",
        )
    };
    let tokens = json!({"input": 30, "output": 20, "reasoning": 8});
    vec![
        thinking("effort", with(hi(), json!({"effort": "high", "max": 9000})))
            .uses(tokens.clone())
            .adjust(|want, client, provider| budgeted(want, 4096, client, provider)),
        thinking("little effort", with(hi(), json!({"effort": "low"})))
            .uses(tokens.clone())
            .adjust(|want, client, provider| budgeted(want, 1024, client, provider)),
        thinking("a budget", with(hi(), json!({"budget": 2500, "max": 9000})))
            .needs(&["budget"])
            .uses(tokens.clone())
            .adjust(|want, client, provider| budgeted(want, 2500, client, provider)),
        thinking("effort with a temperature", with(hi(), json!({"effort": "medium", "max": 9000, "temperature": 0.5})))
            .uses(tokens)
            .adjust(|want, client, provider| {
                budgeted(want, 2048, client, provider);
                // Models that think by a budget take no other temperature than 1.
                if matches!(provider, Provider::Messages | Provider::Converse) && !provider.is_same(client) {
                    want.loses("temperature", "temperature");
                }
            }),
        Case::new("effort of a model that takes words", with(hi(), json!({"effort": "low", "max": 9000})))
            .model("claude-opus-4-6")
            .adjust(|want, client, provider| match provider {
                Provider::Messages if !provider.is_same(client) => want.sent["thinking"] = json!("adaptive"),
                _ => budgeted(want, 1024, client, provider),
            }),
        Case::new("a level of thinking", with(hi(), json!({"effort": "low", "max": 9000})))
            .model("gemini-3-pro")
            .adjust(|want, client, provider| match provider {
                Provider::Gemini => {}
                _ => budgeted(want, 1024, client, provider),
            }),
        Case::new("usage with a cache", hi())
            .says(
                "content=\"a b\" input_tokens=50 output_tokens=30 cached_tokens=700 cache_write_tokens=200 reasoning_tokens=12",
                json!([{"text": "a b"}]),
                "stop",
            )
            .uses(json!({"input": 50, "output": 30, "cached": 700, "written": 200, "reasoning": 12})),
    ]
}

/// Providers that think by a budget, and how it is fitted into the bound.
fn budgeted(want: &mut Want, tokens: u64, client: Client, provider: Provider) {
    if provider.is_same(client) || matches!(provider, Provider::Chat | Provider::Responses) {
        return;
    }
    want.sent.as_object_mut().map(|sent| sent.remove("effort"));
    want.sent["budget"] = json!(tokens);
    if provider == Provider::Messages {
        want.sent["thinking"] = json!("enabled");
    }
    if provider != Provider::Gemini
        && let Some(max) = want.sent["max"].as_u64().filter(|max| *max <= tokens)
    {
        want.sent["max"] = json!(max + tokens);
        want.edits(&["max_tokens"]);
    }
}

pub fn endings() -> Vec<Case> {
    vec![
        Case::new("cut by the bound", hi()).says(
            "content=\"one two\" finish=length",
            json!([{"text": "one two"}]),
            "length",
        ),
        Case::new("filtered", hi()).says(
            "content=\"one two\" finish=filter",
            json!([{"text": "one two"}]),
            "content_filter",
        ),
        Case::new("refused", hi())
            .says("refusal", json!([{"refusal": "I cannot help with that."}]), "stop")
            .adjust(|want, client, provider| {
                let choice = &mut want.said["choices"][0];
                let words = choice["parts"][0]["refusal"].take();
                let is_named = matches!(provider, Provider::Chat | Provider::Responses);
                choice["parts"] = match (client, provider) {
                    // A blocked prompt has no words.
                    (_, Provider::Gemini) => json!([]),
                    (Client::Chat | Client::Responses, _) if is_named => json!([{"refusal": words}]),
                    _ => json!([{"text": words}]),
                };
                choice["finish"] = match client {
                    Client::Messages => json!("refusal"),
                    // A refusal in words is a text as any other there.
                    _ if is_named => json!("stop"),
                    _ => json!("content_filter"),
                };
            }),
        Case::new("a stop sequence was met", with(hi(), json!({"stop": ["###"]})))
            .needs(&["stop"])
            .says("content=\"one two\" finish=stop_sequence", json!([{"text": "one two"}]), "stop")
            .adjust(|want, client, provider| match (client, provider) {
                (Client::Messages, Provider::Messages) => {
                    want.said["choices"][0]["stop_sequence"] = json!("###");
                }
                (_, Provider::Messages | Provider::Converse) => {}
                _ => want.outcome = Outcome::NotAsked,
            }),
    ]
}

pub fn formats() -> Vec<Case> {
    let schema = json!({"type": "object", "properties": {"place": {"type": "string"}, "n": {"type": "integer"}},
        "required": ["place", "n"], "additionalProperties": false});
    vec![
        Case::new("structured output", with(asking("Where?"), json!({"format": {"schema": schema}})))
            .says("tools=1", json!([{"json": {"place": "Paris", "n": 7}}]), "stop")
            .adjust(|want, _, provider| {
                if provider == Provider::Converse {
                    let schema = want.sent["format"]["schema"].take();
                    want.sent.as_object_mut().map(|sent| sent.remove("format"));
                    want.sent["tools"] = json!([{"name": "answer_as_json", "about": "Give the answer by calling this tool.", "schema": schema}]);
                    want.sent["choice"] = json!({"name": "answer_as_json"});
                }
            }),
        Case::new("any JSON", with(asking("Where?"), json!({"format": "json"})))
            .needs(&["json"])
            .says(r#"content="{\"answer\":1}""#, json!([{"json": {"answer": 1}}]), "stop")
            .adjust(|want, _, provider| match provider {
                Provider::Messages => want.outcome = Outcome::Unsupported("response_format"),
                // Amazon has no such word; whoever asks for JSON says so in the conversation too.
                Provider::Converse => want.loses("format", "response_format"),
                _ => {}
            }),
    ]
}
