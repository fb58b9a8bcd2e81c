//! Thirteen habits of another gateway that lose or bend what was said, and what happens here instead.

use serde_json::{Value, json};

use super::*;

fn user() -> Value {
    json!([{"role": "user", "content": "hi"}])
}

fn answering_message() -> Desk {
    let desk = Desk::new();
    desk.whole(&whole_message(json!([{"type": "text", "text": "ok"}]), "end_turn"));
    desk
}

const CHAT_PATH: &str = "/v1/chat/completions";

#[test]
fn peer_01_a_stream_with_an_error_or_without_its_end_gets_no_marker() {
    let desk = Desk::new();
    let error = json!({"type": "error", "error": {"type": "api_error", "message": "Broken"}}).to_string();
    let text = (
        json!({"type": "text", "text": ""}),
        vec![json!({"type": "text_delta", "text": "x".repeat(40_000)})],
    );
    let whole = message(&[text], "end_turn");
    let cut = &whole[..whole.len() - 2];
    for events in [[cut, &[error]].concat(), cut.to_vec()] {
        desk.stream_of(&sse(&events), 4096);
        let answer = desk.ask(Client::Chat, Provider::Messages, How::Stream, &hi());
        let text = answer.text();
        assert!(!text.contains("[DONE]") && text.contains("\"error\""), "{}", &text[text.len() - 300..]);
    }
}

#[test]
fn peer_02_the_prompt_counts_what_was_cached_and_says_how_much() {
    let desk = Desk::new();
    let mut answer = whole_message(json!([{"type": "text", "text": "ok"}]), "end_turn");
    answer["usage"] = json!({"input_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 7});
    desk.whole(&answer);
    let answer = desk.ask(Client::Chat, Provider::Messages, How::Whole, &hi());
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let want = json!({"prompt_tokens": 125, "completion_tokens": 7, "total_tokens": 132, "prompt_tokens_details": {"cached_tokens": 100}});
    holds(&want, &body["usage"]);
}

#[test]
fn peer_03_settings_reach_the_provider_or_are_named() {
    let desk = answering_message();
    let schema = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": {}, "additionalProperties": false}}});
    let body = json!({"model": "ant/claude-sonnet-4-5", "messages": user(), "top_p": 0.9, "top_k": 40, "stop": ["END"], "user": "u1", "response_format": schema});
    let sent = desk.carries(CHAT_PATH, &body);
    holds(
        &json!({"top_p": 0.9, "top_k": 40, "stop_sequences": ["END"], "metadata": {"user_id": "u1"}}),
        &sent,
    );
    assert!(sent["output_config"]["format"].is_object() || sent["tools"].is_array(), "{sent}");
    let body = json!({"model": "ant/m", "messages": user(), "temperature": 0.3, "reasoning_effort": "high", "seed": 7});
    let answer = desk.gateway.chat(&body.to_string());
    let edited = answer.header("x-ringway-edited").unwrap_or_default();
    assert!(edited.contains("temperature") && edited.contains("seed"), "{edited}");
}

#[test]
fn peer_04_a_choice_of_no_tool_keeps_the_tools_and_results_keep_their_pictures() {
    let desk = answering_message();
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let body = json!({"model": "ant/m", "messages": user(), "tools": tools, "tool_choice": "none"});
    let sent = desk.carries(CHAT_PATH, &body);
    holds(&json!({"tool_choice": {"type": "none"}, "tools": [{"name": "f"}]}), &sent);
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}});
    let messages = json!([user()[0], {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "see"}, image]}]);
    let sent = desk.carries(CHAT_PATH, &json!({"model": "ant/m", "messages": messages, "tools": tools}));
    assert!(sent["messages"][2]["content"].to_string().contains("QUJD"), "{sent}");
}

#[test]
fn peer_05_more_effort_never_means_fewer_thoughts() {
    let desk = answering_message();
    let mut budgets = Vec::new();
    for effort in ["low", "medium", "high", "xhigh", "max"] {
        let body =
            json!({"model": "ant/m", "max_tokens": 30000, "messages": user(), "reasoning_effort": effort});
        budgets.push(desk.carries(CHAT_PATH, &body)["thinking"]["budget_tokens"].as_u64().expect("a budget"));
    }
    assert!(budgets.is_sorted_by(|one, next| one < next), "{budgets:?}");
    desk.whole(&whole_chat(json!({"role": "assistant", "content": "ok"}), "stop"));
    for effort in ["low", "medium", "high"] {
        let body = json!({"model": "moon/m", "messages": user(), "reasoning_effort": effort});
        assert_eq!(desk.carries(CHAT_PATH, &body)["reasoning_effort"], effort);
    }
}

#[test]
fn peer_06_usage_stands_on_a_chunk_of_its_own_and_only_when_it_was_asked_for() {
    let desk = Desk::new();
    let text = (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": "hi"})]);
    desk.stream(&message(&[text], "end_turn"));
    for (options, count) in [(json!({"include_usage": true}), 1), (json!({"include_usage": false}), 0)] {
        let body = json!({"model": "ant/m", "stream": true, "stream_options": options, "messages": user()});
        let text = desk.gateway.chat(&body.to_string()).text();
        let stated: Vec<&str> = text.lines().filter(|line| line.contains("prompt_tokens")).collect();
        assert_eq!(stated.len(), count, "{text}");
        assert!(stated.iter().all(|line| line.contains("\"choices\":[]")), "{text}");
    }
}

#[test]
fn peer_07_thoughts_keep_their_signatures_over_turns_with_tools() {
    let desk = Desk::new();
    let thought = json!({"type": "thinking", "thinking": "Hm.", "signature": "EqQB"});
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}});
    desk.whole(&whole_message(json!([thought, call]), "tool_use"));
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let body = json!({"model": "ant/m", "messages": user(), "tools": tools});
    let answer = desk.gateway.chat(&body.to_string());
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let messages = json!([user()[0], answer["choices"][0]["message"], {"role": "tool", "tool_call_id": "toolu_1", "content": "19"}]);
    let sent = desk.carries(CHAT_PATH, &json!({"model": "ant/m", "messages": messages, "tools": tools}));
    holds(&json!([thought, call]), &sent["messages"][1]["content"]);
}

#[test]
fn peer_08_a_refusal_is_a_reason_that_callers_know() {
    let desk = Desk::new();
    let text = (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": "I"})]);
    let heard = desk.says(Provider::Messages, &message(&[text], "refusal"), Client::Chat);
    holds(&json!([{"finish": "content_filter"}]), &heard["choices"]);
}

#[test]
fn peer_09_a_system_turn_in_the_middle_stays_in_the_middle() {
    let messages = json!([{"role": "system", "content": "first"}, user()[0], {"role": "assistant", "content": "yes"},
        {"role": "system", "content": "late"}, {"role": "user", "content": "and?"}]);
    let sent = answering_message().carries(CHAT_PATH, &json!({"model": "ant/m", "messages": messages}));
    assert!(!sent["system"].to_string().contains("late"), "{sent}");
    let turns = sent["messages"].to_string();
    assert!(turns.find("yes") < turns.find("late") && turns.find("late") < turns.find("and?"), "{turns}");
}

#[test]
fn peer_10_gemini_is_spoken_to_in_its_own_dialect() {
    let desk = Desk::new();
    let parts = json!([{"functionCall": {"name": "f", "args": {}}}, {"functionCall": {"name": "f", "args": {"x": 1}}}]);
    let mut answer: Value = serde_json::from_str(&candidate(parts, json!("STOP"))).expect("JSON");
    answer["usageMetadata"] = json!({"promptTokenCount": 5, "candidatesTokenCount": 7, "thoughtsTokenCount": 11, "totalTokenCount": 23});
    desk.whole(&answer);
    let answer = desk.ask(Client::Chat, Provider::Gemini, How::Whole, &hi());
    let seen = desk.last();
    assert!(seen.head.starts_with("POST /v1beta/models/m:generateContent"), "{}", seen.head);
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let want = json!({"prompt_tokens": 5, "completion_tokens": 18, "total_tokens": 23, "completion_tokens_details": {"reasoning_tokens": 11}});
    holds(&want, &body["usage"]);
    let id = |at: usize| body["choices"][0]["message"]["tool_calls"][at]["id"].as_str().unwrap_or_default();
    assert!(!id(0).is_empty() && !id(1).is_empty() && id(0) != id(1), "{body}");
}

#[test]
fn peer_11_results_of_a_batch_pass_whatever_the_length_of_their_lines() {
    let desk = Desk::new();
    let long = "x".repeat(5 << 20);
    let lines = format!("{{\"custom_id\":\"a\",\"text\":\"{long}\"}}\n{{\"custom_id\":\"b\"}}\n");
    desk.raw(json_answer(200, "", &lines));
    let answer = desk.gateway.call(&get("/v1/files/file-1~oai/content"));
    assert!(answer.is_whole && answer.body == lines.as_bytes(), "{} bytes", answer.body.len());
}

#[test]
fn peer_12_a_stream_of_responses_completes_with_all_that_it_said() {
    let desk = Desk::new();
    let deltas = vec![
        json!({"reasoning_content": "Hm."}),
        json!({"content": "hi"}),
        call(json!(0), json!("a"), json!("f"), json!("{\"x\":1}")),
    ];
    desk.stream(&chat(deltas, "tool_calls"));
    let text = desk.ask(Client::Responses, Provider::Chat, How::Stream, &hi()).text();
    let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().expect("events");
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(last["type"], "response.completed");
    let output = last["response"]["output"].as_array().expect("the output");
    let kinds: Vec<&str> = output.iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"]);
    holds(&json!("hi"), &output[1]["content"][0]["text"]);
    holds(&json!({"name": "f", "arguments": "{\"x\":1}"}), &output[2]);
}
