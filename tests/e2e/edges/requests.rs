//! What callers ask, and what reaches the provider.

use serde_json::{Value, json};

use super::*;

/// A desk at which every provider of messages and of chat has an answer.
fn desk(provider: Provider) -> Desk {
    let desk = Desk::new();
    match provider {
        Provider::Messages => desk.whole(&whole_message(json!([{"type": "text", "text": "ok"}]), "end_turn")),
        Provider::Gemini => {
            let answer = candidate(json!([{"text": "ok"}]), json!("STOP"));
            desk.whole(&serde_json::from_str(&answer).expect("JSON"));
        }
        _ => desk.whole(&whole_chat(json!({"role": "assistant", "content": "ok"}), "stop")),
    }
    desk
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

const CHAT_PATH: &str = "/v1/chat/completions";
const MESSAGES_PATH: &str = "/v1/messages";

#[test]
fn edge_33_only_the_system_turns_at_the_beginning_become_the_system_prompt() {
    let system = |text: &str| json!({"role": "system", "content": text});
    let messages = json!([system("one"), system("two"), user("hi"), {"role": "assistant", "content": "yes"}, system("late"), user("and?")]);
    let sent = desk(Provider::Messages).carries(CHAT_PATH, &json!({"model": "ant/m", "messages": messages}));
    let leading = sent["system"].to_string();
    assert!(leading.contains("one") && leading.contains("two") && !leading.contains("late"), "{sent}");
    assert!(sent["messages"].to_string().contains("late"), "{sent}");
    let sent = desk(Provider::Gemini).carries(CHAT_PATH, &json!({"model": "gem/m", "messages": messages}));
    assert!(!sent["systemInstruction"].to_string().contains("late"), "{sent}");
    assert!(sent["contents"].to_string().contains("late"), "{sent}");
}

#[test]
fn edge_34_of_a_tool_only_its_schema_becomes_the_parameters() {
    let schema = json!({"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]});
    let tool = json!({"type": "custom", "name": "f", "description": "F.", "input_schema": schema, "cache_control": {"type": "ephemeral"}});
    let body = json!({"model": "chat/m", "max_tokens": 9, "messages": [user("hi")], "tools": [tool]});
    let sent = desk(Provider::Chat).carries(MESSAGES_PATH, &body);
    let want =
        json!([{"type": "function", "function": {"name": "f", "description": "F.", "parameters": schema}}]);
    assert_eq!(sent["tools"], want);
}

#[test]
fn edge_35_a_tools_name_that_is_too_long_is_shortened_and_comes_back_in_full() {
    let long = "mcp__a_server_with_a_long_name__and_a_tool_with_one_that_is_longer_still";
    let twin = format!("{long}_too");
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object"}});
    let body = json!({"model": "chat/m", "max_tokens": 9, "messages": [user("hi")], "tools": [tool(long), tool(&twin)]});
    let desk = desk(Provider::Chat);
    let sent = desk.carries(MESSAGES_PATH, &body);
    let short = |at: usize| sent["tools"][at]["function"]["name"].as_str().expect("a name").to_owned();
    assert!(short(0).len() <= 64 && short(1).len() <= 64 && short(0) != short(1), "{sent}");
    let call = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function", "function": {"name": short(1), "arguments": "{}"}}]});
    desk.whole(&whole_chat(call, "tool_calls"));
    let text = desk.gateway.call(&post(MESSAGES_PATH, &body.to_string())).text();
    assert!(text.contains(&format!("\"name\":\"{twin}\"")), "{text}");
}

#[test]
fn edge_36_a_choice_among_no_tools_is_left_out_with_them() {
    let body = json!({"model": "chat/m", "max_tokens": 9, "messages": [user("hi")], "tools": [], "tool_choice": {"type": "auto"}});
    let sent = desk(Provider::Chat).carries(MESSAGES_PATH, &body);
    assert!(sent.get("tools").is_none() && sent.get("tool_choice").is_none(), "{sent}");
    let body = json!({"model": "ant/m", "messages": [user("hi")], "tools": [], "tool_choice": "auto"});
    let sent = desk(Provider::Messages).carries(CHAT_PATH, &body);
    assert!(sent.get("tools").is_none() && sent.get("tool_choice").is_none(), "{sent}");
}

#[test]
fn edge_47_a_temperature_beyond_the_range_is_clamped_and_said() {
    let desk = desk(Provider::Messages);
    let body = json!({"model": "ant/m", "temperature": 1.7, "messages": [user("hi")]});
    let answer = desk.gateway.chat(&body.to_string());
    assert_eq!(answer.header("x-ringway-edited").as_deref(), Some("temperature"));
    assert_eq!(desk.sent()["temperature"].as_f64(), Some(1.0));
    desk.whole(&whole_chat(json!({"role": "assistant", "content": "ok"}), "stop"));
    for (model, asked, sent) in [("moon/m", 1.5, 1.0), ("mini/m", 0.0, 1.0), ("moon/m", 0.5, 0.5)] {
        let body = json!({"model": model, "temperature": asked, "messages": [user("hi")]});
        let answer = desk.gateway.chat(&body.to_string());
        let edited = (asked != sent).then_some("temperature");
        assert_eq!(answer.header("x-ringway-edited").as_deref(), edited, "{model}");
        assert_eq!(desk.sent()["temperature"].as_f64(), Some(sent), "{model}");
    }
}

#[test]
fn edge_48_marks_for_a_cache_go_only_where_they_are_understood() {
    let marked = json!([{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}]);
    let body = |model: &str| json!({"model": model, "max_tokens": 9, "system": marked, "messages": [{"role": "user", "content": marked}]});
    let chat = desk(Provider::Chat);
    let sent = chat.carries(MESSAGES_PATH, &body("chat/m"));
    assert!(!sent.to_string().contains("cache_control"), "{sent}");
    let sent = chat.carries(MESSAGES_PATH, &body("router/m"));
    assert!(sent.to_string().contains("cache_control"), "{sent}");
    let sent = desk(Provider::Messages)
        .carries(CHAT_PATH, &json!({"model": "ant/m", "messages": [{"role": "user", "content": marked}]}));
    assert_eq!(sent["messages"][0]["content"][0]["cache_control"], json!({"type": "ephemeral"}));
    let sent = desk(Provider::Gemini).carries(MESSAGES_PATH, &body("gem/m"));
    assert!(!sent.to_string().contains("cache_control"), "{sent}");
}

#[test]
fn edge_49_the_billing_line_of_an_agent_stays_with_its_own_provider() {
    let system = json!([{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=a1b2c;"}, {"type": "text", "text": "Be brief."}]);
    let body =
        |model: &str| json!({"model": model, "max_tokens": 9, "system": system, "messages": [user("hi")]});
    for (provider, model) in [(Provider::Chat, "chat/m"), (Provider::Gemini, "gem/m")] {
        let sent = desk(provider).carries(MESSAGES_PATH, &body(model)).to_string();
        assert!(!sent.contains("cch=") && sent.contains("Be brief."), "{sent}");
    }
    let sent = desk(Provider::Messages).carries(MESSAGES_PATH, &body("ant/m"));
    assert_eq!(sent["system"], system);
}
