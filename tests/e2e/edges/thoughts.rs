//! Thoughts: blocks that open and close, signatures that must come back, and where providers put them.

use serde_json::{Value, json};

use super::*;

fn thinking(text: &str, signature: &str) -> (Value, Vec<Value>) {
    (
        json!({"type": "thinking", "thinking": "", "signature": ""}),
        vec![
            json!({"type": "thinking_delta", "thinking": text}),
            json!({"type": "signature_delta", "signature": signature}),
        ],
    )
}

fn text(text: &str) -> (Value, Vec<Value>) {
    (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": text})])
}

#[test]
fn edge_29_every_block_is_closed_before_another_kind_begins() {
    let desk = Desk::new();
    let deltas = vec![
        json!({"role": "assistant", "content": "", "reasoning_content": "Hm."}),
        json!({"content": "So"}),
        call(json!(0), json!("a"), json!("f"), json!("{}")),
        json!({"reasoning_content": "Once more."}),
        json!({"content": " be it."}),
    ];
    let events = chat(deltas, "tool_calls");
    // The reader refuses a delta in a block of another kind, and a start or stop that has no partner.
    let heard = desk.says(Provider::Chat, &events, Client::Messages);
    let parts = heard["choices"][0]["parts"].clone();
    holds(&json!({"thought": "Hm."}), &parts[0]);
    holds(&json!({"text": "So"}), &parts[1]);
    assert!(parts.to_string().contains("Once more.") && parts.to_string().contains(" be it."), "{parts}");
    desk.says(Provider::Chat, &events, Client::Responses);
}

#[test]
fn edge_30_a_message_ends_once_and_behind_its_usage() {
    let desk = Desk::new();
    let mut events = chat(vec![json!({"content": "hi"})], "stop");
    events.insert(1, chunk_usage(5, 1));
    events.insert(3, chunk_end("stop"));
    events.insert(4, chunk_usage(5, 7));
    desk.stream(&events);
    let text = desk.ask(Client::Messages, Provider::Chat, How::Stream, &hi()).text();
    assert_eq!(text.matches("event: message_delta").count(), 1, "{text}");
    assert_eq!(text.matches("event: message_stop").count(), 1, "{text}");
    let end = text.rsplit("event: message_delta").next().expect("the end");
    assert!(end.contains("\"output_tokens\":7"), "{end}");
}

#[test]
fn edge_31_a_signature_comes_back_to_its_maker_as_it_was_and_before_the_text() {
    const SIGNATURE: &str = "EqQB+/9=\\u00e9";
    let desk = Desk::new();
    let events = message(&[thinking("Hm.", SIGNATURE), text("Yes.")], "end_turn");
    for client in others(Provider::Messages) {
        let heard = desk.says(Provider::Messages, &events, client);
        let mut talk = hi();
        let turns = talk["turns"].as_array_mut().expect("turns");
        turns.push(json!({"role": "model", "parts": heard["choices"][0]["parts"]}));
        turns.push(json!({"role": "user", "parts": [{"text": "And?"}]}));
        desk.whole(&whole_message(json!([{"type": "text", "text": "ok"}]), "end_turn"));
        let answer = desk.ask(client, Provider::Messages, How::Whole, &talk);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let want = json!([{"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE}, {"type": "text", "text": "Yes."}]);
        holds(&want, &desk.sent()["messages"][1]["content"]);
    }
    desk.stream(&events);
    assert_eq!(desk.ask(Client::Messages, Provider::Messages, How::Stream, &hi()).text(), sse(&events));
}

#[test]
fn edge_32_a_budget_for_thoughts_is_at_least_what_the_provider_demands() {
    let desk = Desk::new();
    desk.whole(&whole_message(json!([{"type": "text", "text": "ok"}]), "end_turn"));
    let small = json!({"model": "ant/m", "max_tokens": 4000, "messages": [{"role": "user", "content": "hi"}], "reasoning": {"max_tokens": 500}});
    let sent = desk.carries("/v1/chat/completions", &small);
    assert_eq!(sent["thinking"]["budget_tokens"], 1024);
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 4000, "thinkingConfig": {"thinkingBudget": 512}}});
    let sent = desk.carries("/v1beta/models/ant/m:generateContent", &gemini);
    assert_eq!(sent["thinking"]["budget_tokens"], 1024);
}

#[test]
fn edge_40_content_in_parts_is_read_as_its_texts_and_thoughts() {
    let desk = Desk::new();
    let deltas = vec![
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}),
        json!({"content": [{"type": "text", "text": "So "}, {"type": "text", "text": "be it."}]}),
        json!({"content": "."}),
    ];
    for client in others(Provider::Chat) {
        let heard = desk.says(Provider::Chat, &chat(deltas.clone(), "stop"), client);
        let parts = json!([{"thought": "Hm."}, {"text": "So be it.."}]);
        said(&heard, parts, "stop");
    }
}

#[test]
fn edge_42_thoughts_go_back_to_the_chat_providers_that_demand_them() {
    let desk = Desk::new();
    desk.whole(&whole_chat(json!({"role": "assistant", "content": "ok"}), "stop"));
    let body = json!({"model": "moon/m", "messages": [{"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}, {"role": "user", "content": "And?"}]});
    let sent = desk.carries("/v1/chat/completions", &body);
    assert_eq!(sent["messages"], body["messages"], "what passes keeps them");
}

#[test]
fn edge_43_a_call_without_the_signature_that_is_demanded_gets_the_one_for_none() {
    let desk = Desk::new();
    desk.whole(&serde_json::from_str(&candidate(json!([{"text": "ok"}]), json!("STOP"))).expect("JSON"));
    let body = json!({"model": "gem/gemini-3-pro", "messages": [{"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "19"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]});
    let sent = desk.carries("/v1/chat/completions", &body);
    let part = &sent["contents"][1]["parts"][0];
    assert_eq!(part["thoughtSignature"], "skip_thought_signature_validator", "{sent}");
}

/// A server of chat whose content begins with its thoughts; MiniMax is asked in another dialect by those who do not speak
/// chat.
#[test]
fn edge_39_thoughts_between_tags_are_thoughts_for_callers_of_other_dialects() {
    let folder = std::env::temp_dir().join(format!("ringway-think-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file =
        "paths: {chat: /chat/completions}\nbase_url: http://127.0.0.1:1/v1\nrules: {think_tags: true}\n";
    std::fs::write(folder.join("tagged.yaml"), file).expect("a file");
    let desk = Desk::with("tagged", &format!("providers_dir: '{}'\n", folder.display()));
    let pieces = ["\n<th", "ink>H", "m. <", "/th", "ink>\n\n", "Yes <think>", "."];
    let events = chat(pieces.iter().map(|piece| json!({"content": piece})).collect(), "stop");
    let parts = json!([{"thought": "Hm. "}, {"text": "Yes <think>."}]);
    for client in others(Provider::Chat) {
        said(&desk.says(Provider::Chat, &events, client), parts.clone(), "stop");
        desk.whole(&whole_chat(json!({"role": "assistant", "content": pieces.concat()}), "stop"));
        said(&desk.hears(client, Provider::Chat, How::Whole), parts.clone(), "stop");
    }
    desk.stream(&events);
    assert_eq!(desk.ask(Client::Chat, Provider::Chat, How::Stream, &hi()).text(), sse(&events));
    desk.whole(&whole_chat(json!({"role": "assistant", "content": "ok"}), "stop"));
    let body = json!({"model": "chat/m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": ""}, {"type": "text", "text": "Yes."}]},
        {"role": "user", "content": "And?"}]});
    let sent = desk.carries("/v1/messages", &body);
    assert_eq!(sent["messages"][1]["content"], "<think>\nHm.\n</think>\n\nYes.");
    std::fs::remove_dir_all(&folder).expect("the folder");
}
