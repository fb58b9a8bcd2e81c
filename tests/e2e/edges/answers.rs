//! Answers: how they begin and end, errors in them, and what is no text.

use serde_json::{Value, json};

use super::*;

/// A caller's stream that ends in an error of its dialect and not as a good one.
#[track_caller]
fn ends_in_error(answer: &Answer, client: Client) {
    let text = answer.text();
    for good in
        ["[DONE]", "message_stop", "response.completed", "\"finishReason\"", "\"finish_reason\":\"stop\""]
    {
        assert!(!text.contains(good), "{client:?}: it ended as a good one: {text}");
    }
    assert!(text.contains("error") || text.contains("response.failed"), "{client:?}: {text}");
}

#[test]
fn edge_14_a_chunk_without_choices_says_nothing_and_passes_as_it_is() {
    let desk = Desk::new();
    let first = json!({"id": "", "object": "", "created": 0, "model": "", "choices": [],
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]});
    let mut events = vec![first.to_string()];
    events.extend(chat(vec![json!({"role": "assistant", "content": "hi"})], "stop"));
    for client in others(Provider::Chat) {
        said(&desk.says(Provider::Chat, &events, client), json!([{"text": "hi"}]), "stop");
    }
    desk.stream(&events);
    let passed = desk.ask(Client::Chat, Provider::Chat, How::Stream, &hi());
    assert_eq!(passed.text(), sse(&events));
}

#[test]
fn edge_15_a_reason_that_is_said_twice_is_told_once() {
    let desk = Desk::new();
    let events = [chunk(json!({"content": "hi"})), chunk_end("stop"), chunk_end("stop"), done()];
    for client in others(Provider::Chat) {
        // The readers refuse a choice that ends twice.
        said(&desk.says(Provider::Chat, &events, client), json!([{"text": "hi"}]), "stop");
    }
}

#[test]
fn edge_16_a_text_that_comes_with_the_reason_is_told_before_it() {
    let desk = Desk::new();
    let last = chunk_of(json!([{"index": 0, "delta": {"content": "lo"}, "finish_reason": "length"}]));
    let events = [chunk(json!({"content": "hel"})), last, done()];
    for client in others(Provider::Chat) {
        said(&desk.says(Provider::Chat, &events, client), json!([{"text": "hello"}]), "length");
    }
}

#[test]
fn edge_17_reasons_that_are_none_are_not_told_and_strange_ones_are_a_stop() {
    let desk = Desk::new();
    for early in [json!(""), json!("null"), Value::Null] {
        let first = chunk_of(json!([{"index": 0, "delta": {"content": "hi"}, "finish_reason": early}]));
        let second = chunk(json!({"content": " you"}));
        for last in [vec![chunk_end("eos"), done()], vec![done()]] {
            let events = [vec![first.clone(), second.clone()], last].concat();
            for client in others(Provider::Chat) {
                let want = json!([{"text": "hi you"}]);
                said(&desk.says(Provider::Chat, &events, client), want, "stop");
            }
        }
        // Without a marker it must be seen that there was no reason yet.
        desk.stream(&[first, second]);
        ends_in_error(&desk.ask(Client::Messages, Provider::Chat, How::Stream, &hi()), Client::Messages);
    }
}

#[test]
fn edge_19_text_behind_the_reason_still_comes() {
    let desk = Desk::new();
    let part = |text: &str| json!([{"text": text}]);
    let events = [candidate(part("one"), json!("STOP")), candidate(part(" two"), json!("STOP"))];
    for client in others(Provider::Gemini) {
        said(&desk.says(Provider::Gemini, &events, client), json!([{"text": "one two"}]), "stop");
    }
    let events = [chunk_end("stop"), chunk(json!({"content": "late"})), done()];
    for client in others(Provider::Chat) {
        said(&desk.says(Provider::Chat, &events, client), json!([{"text": "late"}]), "stop");
    }
}

#[test]
fn edge_20_a_stream_that_has_its_reason_needs_no_marker() {
    let desk = Desk::new();
    let events = [chunk(json!({"content": "hi"})), chunk_end("stop")];
    for client in others(Provider::Chat) {
        said(&desk.says(Provider::Chat, &events, client), json!([{"text": "hi"}]), "stop");
    }
    desk.stream(&events);
    let passed = desk.ask(Client::Chat, Provider::Chat, How::Stream, &hi());
    assert!(passed.is_whole && passed.text() == sse(&events), "what passes gets no marker either");
}

#[test]
fn edge_21_a_stream_that_ends_without_its_terminal_ends_in_an_error() {
    let desk = Desk::new();
    let cut = [
        (Provider::Chat, vec![chunk(json!({"content": "hi"}))]),
        (
            Provider::Messages,
            message(&[(json!({"type": "text", "text": "hi"}), Vec::new())], "end_turn")[..3].to_vec(),
        ),
        (Provider::Gemini, vec![candidate(json!([{"text": "hi"}]), Value::Null)]),
    ];
    for (provider, events) in cut {
        for client in others(provider) {
            desk.stream(&events);
            let answer = desk.ask(client, provider, How::Stream, &hi());
            ends_in_error(&answer, client);
        }
    }
    desk.stream(&[chunk(json!({"content": "hi"}))]);
    let answer = desk.ask(Client::Chat, Provider::Chat, How::Stream, &hi());
    assert!(!answer.is_whole && !answer.text().contains("[DONE]"), "{}", answer.text());
}

#[test]
fn edge_22_an_error_inside_of_a_stream_is_told_as_one() {
    let desk = Desk::new();
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let opened =
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let long = "x".repeat(40_000);
    let delta =
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": long}});
    let events = [message_start(json!({})), opened.to_string(), delta.to_string(), error.to_string()];
    for client in others(Provider::Messages) {
        // The text leaves before the error comes.
        desk.stream_of(&sse(&events), 4096);
        let answer = desk.ask(client, Provider::Messages, How::Stream, &hi());
        ends_in_error(&answer, client);
        assert!(answer.text().contains("Overloaded"), "{client:?}: {}", answer.text());
    }
    let chat_error = json!({"error": {"message": "Broken", "type": "server_error", "code": 500}}).to_string();
    let events = [chunk(json!({"content": long})), chat_error, done()];
    for client in others(Provider::Chat) {
        desk.stream_of(&sse(&events), 4096);
        ends_in_error(&desk.ask(client, Provider::Chat, How::Stream, &hi()), client);
    }
}

#[test]
fn edge_37_a_refusal_is_told_as_one() {
    let desk = Desk::new();
    desk.whole(&whole_message(json!([]), "refusal"));
    for (client, finish) in [(Client::Chat, "content_filter"), (Client::Gemini, "content_filter")] {
        said(&desk.hears(client, Provider::Messages, How::Whole), json!([]), finish);
    }
    let refused = json!({"role": "assistant", "content": null, "refusal": "I will not."});
    desk.whole(&whole_chat(refused, "stop"));
    let heard = desk.hears(Client::Responses, Provider::Chat, How::Whole);
    assert!(heard.to_string().contains(r#""refusal":"I will not.""#), "{heard}");
    let text = desk.ask(Client::Messages, Provider::Chat, How::Whole, &hi()).text();
    assert!(text.contains(r#""stop_reason":"refusal""#) && text.contains("I will not."), "{text}");
    desk.raw(json_answer(
        200,
        "",
        &json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m",
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "refusal", "refusal": "I will not."}]}]})
        .to_string(),
    ));
    let text = desk.ask(Client::Chat, Provider::Responses, How::Whole, &hi()).text();
    assert!(text.contains(r#""refusal":"I will not.""#) && !text.contains(r#""content":"I"#), "{text}");
}

#[test]
fn edge_38_a_prompt_that_was_blocked_is_an_answer_that_says_so() {
    let desk = Desk::new();
    let blocked =
        json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}});
    for how in [How::Whole, How::Stream] {
        match how {
            How::Whole => desk.whole(&blocked),
            _ => desk.stream(&[blocked.to_string()]),
        }
        let heard = desk.hears(Client::Chat, Provider::Gemini, how);
        said(&heard, json!([]), "content_filter");
        let heard = desk.hears(Client::Messages, Provider::Gemini, how);
        said(&heard, json!([]), "refusal");
    }
    // A caller's prompt that a filter refuses with a status keeps the status.
    let error = json!({"error": {"message": "The response was filtered.", "type": null, "param": "prompt", "code": "content_filter", "status": 400}});
    desk.raw(json_answer(400, "", &error.to_string()));
    for client in others(Provider::Chat) {
        let answer = desk.ask(client, Provider::Chat, How::Whole, &hi());
        assert!(answer.status == 400 && answer.text().contains("was filtered"), "{}", answer.text());
    }
}

#[test]
fn edge_41_a_response_that_completes_without_its_output_has_it_all_the_same() {
    let desk = Desk::new();
    let events: Vec<String> = [
        json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "status": "in_progress"}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "msg_1", "role": "assistant", "content": []}}),
        json!({"type": "response.content_part.added", "output_index": 0, "content_index": 0, "item_id": "msg_1", "part": {"type": "output_text", "text": ""}}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": "hi"}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "model": "m", "status": "completed", "output": []}}),
    ]
    .iter()
    .map(Value::to_string)
    .collect();
    for client in others(Provider::Responses) {
        said(&desk.says(Provider::Responses, &events, client), json!([{"text": "hi"}]), "stop");
    }
}

#[test]
fn edge_45_several_answers_at_once_are_kept_apart_or_refused() {
    let desk = Desk::new();
    let choice = |index: u64, text: &str, reason: Value| json!([{"index": index, "delta": {"content": text}, "finish_reason": reason}]);
    let events = [
        chunk_of(choice(1, "b", Value::Null)),
        chunk_of(choice(0, "a", Value::Null)),
        chunk_of(choice(1, "B", json!("stop"))),
        chunk_of(choice(0, "A", json!("length"))),
        done(),
    ];
    let want = json!({"choices": [{"parts": [{"text": "aA"}], "finish": "length"}, {"parts": [{"text": "bB"}], "finish": "stop"}]});
    holds(&want, &desk.says(Provider::Chat, &events, Client::Gemini));
    let body =
        json!({"model": "ant/m", "n": 2, "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let answer = desk.gateway.chat(&body.to_string());
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "unsupported_field"));
}

#[test]
fn edge_55_an_error_in_a_good_status_is_told_as_an_error() {
    let desk = Desk::new();
    let errors = [
        json!({"id": "x", "choices": null, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
        json!({"error": {"message": "insufficient balance", "code": 402}}),
        json!({"id": "x", "choices": [{"index": 0, "error": {"message": "insufficient balance", "code": 502}, "message": {"role": "assistant", "content": ""}, "finish_reason": "error"}]}),
    ];
    for error in errors {
        for client in others(Provider::Chat) {
            desk.whole(&error);
            let answer = desk.ask(client, Provider::Chat, How::Whole, &hi());
            assert!(answer.status >= 400, "{client:?}: {error}: {} {}", answer.status, answer.text());
            assert!(answer.text().contains("insufficient balance"), "{client:?}: {}", answer.text());
            desk.stream(&[error.to_string()]);
            let answer = desk.ask(client, Provider::Chat, How::Stream, &hi());
            assert!(answer.status >= 400, "{client:?}: {error}: {} {}", answer.status, answer.text());
        }
    }
}
