//! What is about bytes: events that are cut, long or oddly framed, and numbers that must keep their spelling.

use serde_json::{Value, json};

use super::*;

const MANY: &str = "Grüße 漢字 😀 👩\u{200d}🚀 𝄞";

#[test]
fn edge_25_characters_that_are_cut_between_reads_arrive_whole() {
    let desk = Desk::new();
    let texts = |text: &str| json!([{"text": text}]);
    let events = chat(vec![json!({"content": MANY})], "stop");
    for size in [1, 2, 3] {
        for client in others(Provider::Chat) {
            desk.stream_of(&sse(&events), size);
            said(&desk.hears(client, Provider::Chat, How::Stream), texts(MANY), "stop");
        }
    }
}

#[test]
fn edge_26_a_line_of_more_than_a_megabyte_is_read_whole() {
    let desk = Desk::new();
    let long = "0123456789abcdef".repeat(100_000);
    let events = chat(vec![json!({"content": long})], "stop");
    for client in others(Provider::Chat) {
        said(&desk.says(Provider::Chat, &events, client), json!([{"text": long}]), "stop");
    }
    desk.stream(&events);
    let passed = desk.ask(Client::Chat, Provider::Chat, How::Stream, &hi());
    assert!(passed.is_whole && passed.text() == sse(&events));
}

#[test]
fn edge_27_line_ends_comments_and_missing_spaces_change_nothing() {
    let desk = Desk::new();
    let events = chat(vec![json!({"content": "hel"}), json!({"content": "lo"})], "stop");
    let plain = sse(&events);
    let odd = [
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "\r"),
        plain.replace("data: ", "data:"),
        plain.replace("data: ", ": a comment\ndata: "),
        plain.replace("data: ", "id: 7\nretry: 5\nevent: message\ndata: "),
        plain.replace("{\"index\"", "\ndata: {\"index\""),
    ];
    for stream in odd {
        for client in others(Provider::Chat) {
            desk.stream_of(&stream, 7);
            said(&desk.hears(client, Provider::Chat, How::Stream), json!([{"text": "hello"}]), "stop");
        }
        desk.stream_of(&stream, 7);
        assert_eq!(desk.ask(Client::Chat, Provider::Chat, How::Stream, &hi()).text(), stream);
    }
}

#[test]
fn edge_28_what_a_caller_can_unpack_is_not_asked_of_the_provider() {
    let desk = Desk::new();
    desk.stream(&chat(vec![json!({"content": "hi"})], "stop"));
    for (client, model) in [(Client::Chat, "chat/m"), (Client::Messages, "chat/m")] {
        let (path, body) = client.ask(&hi(), model, How::Stream);
        let line = "accept-encoding: gzip, deflate, br, zstd\r\n";
        let answer = desk.gateway.call(&post_with(&path, line, body.to_string().as_bytes()));
        assert_eq!((answer.status, answer.header("content-encoding")), (200, None));
        let seen = desk.last();
        assert_eq!(seen.header("accept-encoding").as_deref(), Some("identity"));
    }
}

#[test]
fn edge_50_members_in_any_order_and_spaces_behind_them_mean_the_same() {
    let desk = Desk::new();
    let events = [
        r#"{"message":{"usage":{"input_tokens":5},"model":"m","id":"msg_1"},"type":"message_start"}      "#,
        r#"{"content_block":{"text":"","type":"text"},"index":0,"type":"content_block_start"}  "#,
        r#"{"delta":{"text":"hi","type":"text_delta"},"index":0,"type":"content_block_delta"}"#,
        r#"{"index":0,"type":"content_block_stop"}   "#,
        r#"{"usage":{"output_tokens":3},"delta":{"stop_reason":"end_turn"},"type":"message_delta"}"#,
        r#"{"type":"message_stop"}           "#,
    ];
    let events: Vec<String> = events.iter().map(|event| (*event).to_owned()).collect();
    for client in others(Provider::Messages) {
        let heard = desk.says(Provider::Messages, &events, client);
        said(&heard, json!([{"text": "hi"}]), "stop");
        holds(&json!({"input": 5, "output": 3}), &heard["usage"]);
    }
    desk.stream(&events);
    let passed = desk.ask(Client::Messages, Provider::Messages, How::Stream, &hi());
    assert_eq!(passed.text(), sse(&events));
}

/// Both halves stand in the caller's stream as they stood in the provider's, and its JSON reader joins them.
#[test]
fn edge_51_a_character_whose_halves_come_in_two_events_is_not_lost() {
    let desk = Desk::new();
    let piece = |text: &str| {
        format!(
            r#"{{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#
        )
    };
    let events = [piece(r"a \ud83d"), piece(r"\ude80 z"), chunk_end("stop"), done()];
    for client in others(Provider::Chat) {
        desk.stream(&events);
        let text = desk.ask(client, Provider::Chat, How::Stream, &hi()).text();
        assert!(text.contains(r"\ud83d") && text.contains(r"\ude80"), "{client:?}: {text}");
    }
    desk.raw(json_answer(
        200,
        "",
        r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"\ud83d\ude80"},"finish_reason":"stop"}]}"#,
    ));
    for client in others(Provider::Chat) {
        said(&desk.hears(client, Provider::Chat, How::Whole), json!([{"text": "🚀"}]), "stop");
    }
}

#[test]
fn edge_52_numbers_keep_their_spelling() {
    let desk = Desk::new();
    const ARGUMENTS: &str = r#"{"big":12345678901234567890123,"small":1e-7,"zero":0.0}"#;
    let message = json!({"role": "assistant", "content": null, "tool_calls":
        [{"id": "a", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}}]});
    desk.whole(&whole_chat(message, "tool_calls"));
    for client in [Client::Messages, Client::Gemini] {
        let text = desk.ask(client, Provider::Chat, How::Whole, &hi()).text();
        assert!(text.contains(ARGUMENTS), "{client:?}: {text}");
    }
    let history = format!(
        r#"{{"model":"ant/m","max_tokens":9,"temperature":1e-7,"messages":[{{"role":"user","content":"hi"}},{{"role":"assistant","tool_calls":[{{"id":"a","type":"function","function":{{"name":"f","arguments":{}}}}}]}},{{"role":"tool","tool_call_id":"a","content":"ok"}}]}}"#,
        Value::from(ARGUMENTS)
    );
    desk.whole(&whole_message(json!([{"type": "text", "text": "ok"}]), "end_turn"));
    assert_eq!(desk.gateway.chat(&history).status, 200);
    let last = desk.last().body;
    let last = String::from_utf8(last).expect("UTF-8");
    assert!(last.contains(ARGUMENTS) && last.contains("1e-7"), "{last}");
}

#[test]
fn edge_54_pictures_and_sounds_of_megabytes_pass_in_one_event() {
    let desk = Desk::new();
    let data = "QUJD".repeat(750_000);
    let image = json!({"images": [{"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}}]});
    let events = chat(vec![image], "stop");
    desk.stream(&events);
    let passed = desk.ask(Client::Chat, Provider::Chat, How::Stream, &hi());
    assert!(passed.is_whole && passed.text() == sse(&events));
    desk.stream(&events);
    let answer = desk.ask(Client::Gemini, Provider::Chat, How::Stream, &hi());
    assert!(answer.is_whole && answer.text().contains(&data), "{}", answer.text().len());
}

#[test]
fn edge_57_events_without_content_are_nothing() {
    let desk = Desk::new();
    let whole = sse(&chat(vec![json!({"content": "hi"})], "stop"));
    let stream = format!("data: \n\ndata:\n\ndata: {{}}\n\nevent: x\n\n{whole}");
    for client in others(Provider::Chat) {
        desk.stream_of(&stream, 1 << 14);
        said(&desk.hears(client, Provider::Chat, How::Stream), json!([{"text": "hi"}]), "stop");
    }
    let whole = sse(&message(&[(json!({"type": "text", "text": "hi"}), Vec::new())], "end_turn"));
    for client in others(Provider::Messages) {
        desk.stream_of(&format!("data: {{}}\n\ndata: \n\n{whole}"), 1 << 14);
        said(&desk.hears(client, Provider::Messages, How::Stream), json!([{"text": "hi"}]), "stop");
    }
}

#[test]
fn edge_58_a_byte_order_mark_before_the_first_event_is_not_part_of_it() {
    let desk = Desk::new();
    let stream = format!("\u{feff}{}", sse(&chat(vec![json!({"content": "hi"})], "stop")));
    for size in [1, 4096] {
        for client in others(Provider::Chat) {
            desk.stream_of(&stream, size);
            said(&desk.hears(client, Provider::Chat, How::Stream), json!([{"text": "hi"}]), "stop");
        }
    }
}
