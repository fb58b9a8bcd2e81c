//! What an answer cost in tokens: who hears it, when, and that nothing is counted twice or invented.

use serde_json::{Value, json};

use super::*;

fn text() -> (Value, Vec<Value>) {
    (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": "hi"})])
}

#[test]
fn edge_10_usage_is_told_to_those_who_asked_only() {
    let desk = Desk::new();
    desk.stream(&message(&[text()], "end_turn"));
    for (options, wants) in [(Value::Null, false), (json!({"include_usage": true}), true)] {
        let body = json!({"model": "ant/m", "stream": true, "stream_options": options, "messages": [{"role": "user", "content": "hi"}]});
        let text = desk.gateway.chat(&body.to_string()).text();
        assert_eq!(text.contains("\"usage\":{"), wants, "{text}");
    }
    let mut events = chat(vec![json!({"content": "hi"})], "stop");
    events.insert(2, chunk_usage(5, 7));
    desk.stream(&events);
    let body = json!({"model": "chat/m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let text = desk.gateway.chat(&body.to_string()).text();
    assert_eq!(desk.sent()["stream_options"], json!({"include_usage": true}));
    assert!(!text.contains("usage") && text.ends_with("[DONE]\n\n"), "{text}");
}

#[test]
fn edge_11_usage_that_never_comes_is_counted_as_unknown_and_told_to_nobody() {
    let desk = Desk::new();
    desk.stream(&chat(vec![json!({"content": "hi"})], "stop"));
    let text = desk.ask(Client::Responses, Provider::Chat, How::Stream, &hi()).text();
    assert!(text.contains("response.completed") && !text.contains("\"input_tokens\":"), "{text}");
    let sample = "ringway_usage_unknown_total{provider=\"chat\"}";
    eventually("the count of answers without usage", || desk.gateway.metric(sample) == 1.0);
    let tokens = "ringway_tokens_total{provider=\"chat\",model=\"m\",kind=\"out\"}";
    assert_eq!(
        desk.gateway.metric(tokens),
        0.0,
        "an estimate is none of the tokens that the provider stated"
    );
}

#[test]
fn edge_12_usage_that_is_said_twice_counts_as_it_was_said_last() {
    let desk = Desk::new();
    let mut events = chat(vec![json!({"content": "hi"})], "stop");
    events.insert(1, chunk_usage(5, 1));
    events.insert(3, chunk_usage(5, 7));
    for client in others(Provider::Chat) {
        holds(&json!({"input": 5, "output": 7}), &desk.says(Provider::Chat, &events, client)["usage"]);
    }
    let mut groq = chat(vec![json!({"content": "hi"})], "stop");
    let both: Value = serde_json::from_str(&chunk_usage(5, 7)).expect("JSON");
    let mut both = both.clone();
    both["x_groq"] = json!({"usage": both["usage"]});
    groq.insert(2, both.to_string());
    holds(&json!({"input": 5, "output": 7}), &desk.says(Provider::Chat, &groq, Client::Messages)["usage"]);
}

#[test]
fn edge_13_tokens_of_a_cache_are_counted_once() {
    let desk = Desk::new();
    let start = message_start(
        json!({"input_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1}),
    );
    let mut events = message(&[text()], "end_turn");
    events[0] = start;
    // The readers take what was cached out of the input where their dialect counts it in.
    for client in others(Provider::Messages) {
        let usage = desk.says(Provider::Messages, &events, client)["usage"].clone();
        let written = usage["written"].as_u64().unwrap_or(0);
        assert_eq!(usage["input"].as_u64().map(|input| input + written), Some(25), "{client:?} {usage}");
        holds(&json!({"cached": 100, "output": 7}), &usage);
    }
    let mut events = chat(vec![json!({"content": "hi"})], "stop");
    let stated = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": {"prompt_tokens": 125, "completion_tokens": 7, "total_tokens": 132, "prompt_tokens_details": {"cached_tokens": 100}}});
    events.insert(2, stated.to_string());
    let text = {
        desk.stream(&events);
        desk.ask(Client::Messages, Provider::Chat, How::Stream, &hi()).text()
    };
    assert!(
        text.contains(r#""input_tokens":25"#) && text.contains(r#""cache_read_input_tokens":100"#),
        "{text}"
    );
}

#[test]
fn edge_44_usage_that_the_end_corrects_is_the_corrected_one() {
    let desk = Desk::new();
    let mut events = message(&[text()], "end_turn");
    events[0] = message_start(json!({"input_tokens": 43, "output_tokens": 1}));
    let end = message_end("end_turn", json!({"input_tokens": 61, "output_tokens": 7}));
    let place = events.len() - 2;
    events[place] = end[0].clone();
    for client in others(Provider::Messages) {
        holds(&json!({"input": 61, "output": 7}), &desk.says(Provider::Messages, &events, client)["usage"]);
    }
}

#[test]
fn edge_46_probabilities_go_where_they_are_understood_and_are_refused_elsewhere() {
    let desk = Desk::new();
    let logprobs = json!({"content": [{"token": "hi", "logprob": -0.5, "bytes": [104, 105], "top_logprobs": []}], "refusal": null});
    let events = [
        chunk_of(
            json!([{"index": 0, "delta": {"content": "hi"}, "logprobs": logprobs, "finish_reason": null}]),
        ),
        chunk_end("stop"),
        done(),
    ];
    desk.stream(&events);
    let body = json!({"model": "chat/m", "stream": true, "input": "hi", "top_logprobs": 1, "include": ["message.output_text.logprobs"]});
    let text = desk.gateway.call(&post("/v1/responses", &body.to_string())).text();
    assert!(text.contains("\"logprob\":-0.5"), "{text}");
    let body = json!({"model": "ant/m", "logprobs": true, "messages": [{"role": "user", "content": "hi"}]});
    let answer = desk.gateway.chat(&body.to_string());
    assert!(answer.status == 400 && answer.text().contains("`logprobs`"), "{}", answer.text());
}
