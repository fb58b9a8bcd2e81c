//! What is about connections: an error when part of an answer has left, events that are cut between reads, callers that leave,
//! and bodies whose fields have other names at their provider.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::*;

/// The beginning of a stream of each dialect, and a text as the reader of the matrix has it.
fn begun(provider: Provider) -> Vec<String> {
    match provider {
        Provider::Chat => vec![chunk(json!({"role": "assistant", "content": "so far"}))],
        Provider::Messages => {
            let block = json!({"type": "text", "text": ""});
            let whole =
                message(&[(block, vec![json!({"type": "text_delta", "text": "so far"})])], "end_turn");
            whole[..3].to_vec()
        }
        Provider::Gemini => vec![candidate(json!([{"text": "so far"}]), Value::Null)],
        _ => unreachable!("three dialects are enough to begin in"),
    }
}

const BEGINNERS: [Provider; 3] = [Provider::Chat, Provider::Messages, Provider::Gemini];

#[test]
fn edge_23_an_error_behind_a_part_of_the_answer_is_told_and_nobody_is_asked_again() {
    let desk = Desk::with("vllm", "retry: {max_retries: 3, initial_backoff: 1ms}\n");
    for provider in BEGINNERS {
        let mut events = begun(provider);
        events.push(json!({"type": "error", "error": {"type": "overloaded_error", "code": 529, "message": "too much"}}).to_string());
        // The beginning is more than what waits for the first event.
        let text = sse(&events);
        for client in others(provider) {
            desk.stream_of(&text, 64);
            let before = desk.upstream.requests().len();
            let answer = desk.ask(client, provider, How::Stream, &hi());
            assert!(answer.text().contains("too much"), "{client:?} {provider:?}: {}", answer.text());
            let seen = desk.upstream.requests();
            let asked = seen[before..].iter().filter(|seen| seen.head.starts_with("POST")).count();
            // Where all of it came at once nothing had left, and a status may be asked for again.
            assert!(asked == 1 || answer.status != 200, "{client:?} {provider:?}: asked {asked} times");
        }
    }
}

#[test]
fn edge_24_events_that_are_cut_between_reads_are_the_same_events() {
    let desk = Desk::new();
    for provider in BEGINNERS {
        let mut events = begun(provider);
        match provider {
            Provider::Chat => events.extend([chunk_end("stop"), done()]),
            Provider::Messages => {
                events.push(json!({"type": "content_block_stop", "index": 0}).to_string());
                events.extend(message_end("end_turn", json!({"output_tokens": 7})));
            }
            _ => events.push(candidate(json!([]), json!("STOP"))),
        }
        for size in [1, 2, 5, 13, 1 << 14] {
            for client in others(provider) {
                desk.stream_of(&sse(&events), size);
                said(&desk.hears(client, provider, How::Stream), json!([{"text": "so far"}]), "stop");
            }
        }
    }
}

#[test]
fn edge_53_a_caller_that_leaves_closes_the_connection_to_its_provider() {
    for provider in BEGINNERS {
        let text = sse(&begun(provider));
        let stream = String::from_utf8(stream_answer(text.as_bytes(), &[64])).expect("text");
        let open = stream.trim_end_matches("0\r\n\r\n").as_bytes().to_vec();
        let upstream = Upstream::answering(open, After::Hold);
        let base = if provider == Provider::Gemini { "/v1beta" } else { "/v1" };
        let kind = if provider == Provider::Chat { "vllm" } else { provider.kind() };
        let settings = format!(
            "providers:\n  up: {{type: {kind}, base_url: 'http://127.0.0.1:{}{base}', api_key: k, models: [m]}}\n",
            upstream.port
        );
        let gateway = Gateway::start_with(&settings, &[]);
        for client in others(provider) {
            let before = upstream.released.load(Ordering::SeqCst);
            let (path, body) = client.ask(&hi(), "up/m", How::Stream);
            let mut link = gateway.connect();
            link.send(&post(&path, &body.to_string()));
            link.read_until("so far");
            drop(link);
            eventually("the provider's connection to be closed", || {
                upstream.released.load(Ordering::SeqCst) > before
            });
        }
    }
}

#[test]
fn peer_13_fields_have_the_names_that_their_provider_has_for_them() {
    let desk = Desk::with("zai", "");
    desk.whole(&whole_chat(json!({"role": "assistant", "content": "hi"}), "stop"));
    let turns = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": "chat/m", "messages": turns, "max_completion_tokens": 9, "tool_choice": "required", "presence_penalty": 1});
    let sent = desk.carries("/v1/chat/completions", &body);
    assert_eq!(sent, json!({"model": "m", "messages": turns, "max_tokens": 9, "tool_choice": "auto"}));
    let body = json!({"model": "mini/m", "messages": turns, "temperature": 0});
    let sent = desk.carries("/v1/chat/completions", &body);
    assert_eq!((sent["temperature"].as_f64(), &sent["messages"]), (Some(1.0), &turns));
}
