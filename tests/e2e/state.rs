//! Responses and conversations over several requests, at providers that keep nothing: what reached the provider, what can
//! be read again, and what is gone.

use std::io::Write;

use serde_json::{Value, json};

use crate::support::*;

const MESSAGE: &str = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":4}}"#;
const RESPONSE: &str = r#"{"id":"resp_own","object":"response","output":[]}"#;

/// Answers in the dialect of the path that is asked; streams where the body asks for one.
fn upstream() -> Upstream {
    Upstream::start(|_, seen, stream| {
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        let path = seen.head.split(' ').nth(1).unwrap_or_default();
        let answer = match path.rsplit('/').next().unwrap_or_default() {
            "completions" if body["stream"] == true => stream_answer(STREAM.as_bytes(), &[40]),
            "completions" => json_answer(200, "", CHAT),
            "messages" => json_answer(200, "", MESSAGE),
            _ => json_answer(200, "", RESPONSE),
        };
        let _ = stream.write_all(&answer);
        After::KeepAlive
    })
}

/// A gateway with a provider of chat, one of Messages, and one of Responses, and a second key.
fn gateway(port: u16, settings: &str) -> Gateway {
    let at = |kind: &str, more: &str| {
        format!("{{type: {kind}, base_url: 'http://127.0.0.1:{port}/v1', api_key: {UPSTREAM_KEY}{more}}}")
    };
    let (chat, messages, responses) = (at("cerebras", ""), at("anthropic", ""), at("openai", ""));
    Gateway::start_with(
        &format!(
            "auth: {{keys: [other-key]}}\nproviders:\n  up: {chat}\n  ant: {messages}\n  own: {responses}\n{settings}"
        ),
        &[],
    )
}

fn request(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn call(gateway: &Gateway, method: &str, path: &str, body: &Value) -> (u16, Value) {
    call_as(gateway, KEY, method, path, body)
}

fn call_as(gateway: &Gateway, key: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = gateway.call(&request(method, path, key, &body));
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

fn respond(gateway: &Gateway, body: &Value) -> Value {
    let (status, answer) = call(gateway, "POST", "/v1/responses", body);
    assert_eq!(status, 200, "{answer}");
    answer
}

fn id(answer: &Value) -> &str {
    answer["id"].as_str().expect("an id")
}

fn last(upstream: &Upstream) -> Value {
    serde_json::from_slice(&asked(upstream).last().expect("a request").body).expect("JSON")
}

/// What reached the provider, but for questions for its models.
fn asked(upstream: &Upstream) -> Vec<Seen> {
    upstream.requests().into_iter().filter(|seen| !seen.head.contains(" /v1/models")).collect()
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default())
}

#[test]
fn a_second_turn_brings_the_first_one_to_a_provider_of_chat() {
    let upstream = upstream();
    let gateway = gateway(upstream.port, "");
    let first = respond(&gateway, &json!({"model": "up/m", "input": "one", "instructions": "be kind"}));
    assert_eq!((first["store"].as_bool(), &first["previous_response_id"]), (Some(true), &Value::Null));
    let second =
        respond(&gateway, &json!({"model": "up/m", "input": "two", "previous_response_id": id(&first)}));
    assert_eq!(second["previous_response_id"], first["id"]);
    let want = json!([{"role": "user", "content": "one"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "two"}]);
    assert_eq!(last(&upstream)["messages"], want, "instructions are of one request only");
    let third = json!({"model": "ant/m", "input": [{"role": "user", "content": "three"}], "previous_response_id": id(&second)});
    respond(&gateway, &third);
    let messages = last(&upstream)["messages"].clone();
    let roles: Vec<&str> = messages.as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(
        roles,
        ["user", "assistant", "user", "assistant", "user"],
        "the chain goes on at another provider"
    );
}

#[test]
fn references_are_replaced_by_the_items_that_they_mean() {
    let upstream = upstream();
    let gateway = gateway(upstream.port, "");
    let first = respond(&gateway, &json!({"model": "ant/m", "input": "one"}));
    let item = first["output"][0]["id"].clone();
    let input = json!([{"role": "user", "content": "you said"}, {"type": "item_reference", "id": item}, {"role": "user", "content": "why?"}]);
    respond(&gateway, &json!({"model": "ant/m", "input": input, "store": false}));
    let messages = last(&upstream)["messages"].clone();
    assert_eq!(messages[1]["role"], "assistant");
    assert!(messages[1].to_string().contains("hi"), "{messages}");
    let unknown = json!({"model": "ant/m", "input": [{"type": "item_reference", "id": "msg_1"}]});
    assert_eq!(code(&call(&gateway, "POST", "/v1/responses", &unknown)), (404, "item_not_found"));
}

#[test]
fn a_response_is_read_listed_and_deleted() {
    let upstream = upstream();
    let gateway = gateway(upstream.port, "");
    let first = respond(&gateway, &json!({"model": "up/m", "input": "one"}));
    let second =
        respond(&gateway, &json!({"model": "up/m", "input": "two", "previous_response_id": id(&first)}));
    let path = format!("/v1/responses/{}", id(&second));
    let get = |path: &str| call(&gateway, "GET", path, &Value::Null);
    assert_eq!(get(&path), (200, second.clone()));
    let (_, list) = get(&format!("{path}/input_items?order=asc&limit=2"));
    assert_eq!(list["data"][0]["content"], json!([{"type": "input_text", "text": "one"}]));
    assert_eq!(
        (list["data"][1]["id"].clone(), list["has_more"].as_bool()),
        (first["output"][0]["id"].clone(), Some(true))
    );
    let after = list["last_id"].as_str().unwrap();
    let (_, rest) = get(&format!("{path}/input_items?order=asc&after={after}"));
    assert_eq!((rest["data"].as_array().unwrap().len(), rest["has_more"].as_bool()), (1, Some(false)));
    let cancelled = call(&gateway, "POST", &format!("{path}/cancel"), &Value::Null);
    assert_eq!(code(&cancelled), (400, "response_not_cancellable"));
    assert_eq!(code(&get(&format!("{path}?stream=true"))), (400, "unsupported_field"));
    let (status, gone) = call(&gateway, "DELETE", &path, &Value::Null);
    assert_eq!((status, gone), (200, json!({"id": second["id"], "object": "response", "deleted": true})));
    for answer in
        [get(&path), call(&gateway, "DELETE", &path, &Value::Null), get(&format!("{path}/input_items"))]
    {
        assert_eq!(code(&answer), (404, "response_not_found"));
    }
    let lost = json!({"model": "up/m", "input": "three", "previous_response_id": id(&second)});
    let lost = call(&gateway, "POST", "/v1/responses", &lost);
    assert_eq!(code(&lost), (400, "previous_response_not_found"));
    assert_eq!(lost.1["error"]["param"], "previous_response_id");
    assert_eq!(asked(&upstream).len(), 2, "nothing else reached a provider");
}

#[test]
fn another_key_finds_nothing() {
    let upstream = upstream();
    let gateway = gateway(upstream.port, "");
    let first = respond(&gateway, &json!({"model": "up/m", "input": "one"}));
    let path = format!("/v1/responses/{}", id(&first));
    for method in ["GET", "DELETE"] {
        assert_eq!(
            code(&call_as(&gateway, "other-key", method, &path, &Value::Null)),
            (404, "response_not_found")
        );
    }
    let second = json!({"model": "up/m", "input": "two", "previous_response_id": id(&first)});
    let answer = call_as(&gateway, "other-key", "POST", "/v1/responses", &second);
    assert_eq!(code(&answer), (400, "previous_response_not_found"));
    assert_eq!(call(&gateway, "GET", &path, &Value::Null).0, 200);
}

#[test]
fn a_stream_is_kept_when_it_is_complete() {
    let upstream = upstream();
    let gateway = gateway(upstream.port, "");
    let body = json!({"model": "up/m", "input": "one", "stream": true}).to_string();
    let answer = gateway.call(&request("POST", "/v1/responses", KEY, &body));
    let text = answer.text();
    let end = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().expect("events");
    let end: Value = serde_json::from_str(end).expect("JSON");
    assert_eq!(end["type"], "response.completed");
    let path = format!("/v1/responses/{}", id(&end["response"]));
    assert_eq!(call(&gateway, "GET", &path, &Value::Null), (200, end["response"].clone()));
    respond(
        &gateway,
        &json!({"model": "ant/m", "input": "two", "previous_response_id": id(&end["response"])}),
    );
    assert!(last(&upstream)["messages"][1].to_string().contains("h\u{e9}"));
}

#[test]
fn what_shall_not_be_kept_is_not() {
    let upstream = upstream();
    let on = gateway(upstream.port, "");
    let off = gateway(upstream.port, "responses: {memory_max: 0}\n");
    let wishes = [
        (&on, json!({"model": "up/m", "input": "one", "store": false})),
        (&off, json!({"model": "up/m", "input": "one"})),
    ];
    for (gateway, wish) in wishes {
        let answer = respond(gateway, &wish);
        assert_eq!(answer["store"], false);
        let (status, _) = call(gateway, "GET", &format!("/v1/responses/{}", id(&answer)), &Value::Null);
        assert!(status >= 400);
        let next = json!({"model": "up/m", "input": "two", "previous_response_id": id(&answer)});
        assert_eq!(call(gateway, "POST", "/v1/responses", &next).0, 400);
    }
}

#[test]
fn the_longest_unused_goes_when_memory_is_full() {
    let upstream = upstream();
    let gateway = gateway(upstream.port, "responses: {memory_max: 256K}\n");
    let text = "x".repeat(50_000);
    let ids: Vec<String> = (0..12)
        .map(|_| id(&respond(&gateway, &json!({"model": "up/m", "input": text}))).to_owned())
        .collect();
    let is_here = |id: &String| call(&gateway, "GET", &format!("/v1/responses/{id}"), &Value::Null).0 == 200;
    let here: Vec<bool> = ids.iter().map(is_here).collect();
    assert!(!here[0] && !here[6] && here[8..].iter().all(|is_here| *is_here), "{here:?}");
}

#[test]
fn memory_stays_flat_under_many_responses() {
    let upstream = upstream();
    let gateway = gateway(upstream.port, "responses: {memory_max: 4M}\n");
    let body = json!({"model": "up/m", "input": "x".repeat(100_000)}).to_string();
    let mut link = gateway.connect();
    let mut turn = |count: usize| {
        for _ in 0..count {
            link.send(&request("POST", "/v1/responses", KEY, &body));
            assert_eq!(link.answer(false).status, 200);
        }
    };
    turn(100);
    let before = gateway.rss_kib();
    turn(400);
    let grown = gateway.rss_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "grew by {grown} KiB while 40 MB were kept and dropped");
}

#[test]
fn a_provider_with_the_api_keeps_its_own() {
    let upstream = upstream();
    let gateway = gateway(upstream.port, "models: {default_provider: own}\n");
    let body = r#"{"model":"own/m","input":"two","previous_response_id":"resp_own"}"#;
    assert_eq!(gateway.call(&request("POST", "/v1/responses", KEY, body)).text(), RESPONSE);
    let sent = String::from_utf8(asked(&upstream).last().unwrap().body.clone()).unwrap();
    assert_eq!(sent, body.replace("own/m", "m"));
    let first = respond(&gateway, &json!({"model": "up/m", "input": "one"}));
    let ours = format!("/v1/responses/{}", id(&first));
    assert_eq!(call(&gateway, "GET", &ours, &Value::Null), (200, first.clone()));
    let unknown = format!("/v1/responses/resp_{}", id(&first)[5..].chars().rev().collect::<String>());
    for path in [
        "/v1/responses/resp_own",
        "/v1/responses/resp_own/input_items?limit=1",
        &unknown,
        "/v1/conversations/c",
    ] {
        for method in ["GET", "DELETE"] {
            assert_eq!(call(&gateway, method, path, &Value::Null).1["id"], "resp_own", "{path}");
            let head = asked(&upstream).last().unwrap().head.clone();
            assert!(head.starts_with(&format!("{method} {path} ")), "{head}");
        }
    }
    let named = format!("{ours}?provider=own");
    assert_eq!(
        call(&gateway, "GET", &named, &Value::Null).1["id"],
        "resp_own",
        "who names a provider means it"
    );
}

#[test]
fn a_conversation_takes_turns_and_items() {
    let upstream = upstream();
    let gateway = gateway(upstream.port, "");
    let new = json!({"metadata": {"topic": "x"}, "items": [{"role": "user", "content": "zero"}]});
    let (status, made) = call(&gateway, "POST", "/v1/conversations", &new);
    assert_eq!(
        (status, &made["object"], &made["metadata"]),
        (200, &json!("conversation"), &json!({"topic": "x"}))
    );
    let path = format!("/v1/conversations/{}", id(&made));
    for conversation in [made["id"].clone(), json!({"id": made["id"]})] {
        let answer =
            respond(&gateway, &json!({"model": "up/m", "input": "one", "conversation": conversation}));
        assert_eq!(answer["conversation"], json!({"id": made["id"]}));
    }
    let messages = last(&upstream)["messages"].clone();
    let texts: Vec<&str> =
        messages.as_array().unwrap().iter().map(|m| m["content"].as_str().unwrap()).collect();
    assert_eq!(texts, ["zero", "one", "hi", "one"]);
    let more = json!({"items": [{"role": "user", "content": "added"}]});
    let (_, added) = call(&gateway, "POST", &format!("{path}/items"), &more);
    let item = format!("{path}/items/{}", added["data"][0]["id"].as_str().unwrap());
    assert_eq!(call(&gateway, "GET", &item, &Value::Null).1["content"][0]["text"], "added");
    let (_, list) = call(&gateway, "GET", &format!("{path}/items?limit=2"), &Value::Null);
    assert_eq!((&list["data"][0], list["has_more"].as_bool()), (&added["data"][0], Some(true)));
    assert_eq!(call(&gateway, "DELETE", &item, &Value::Null).1["id"], made["id"]);
    assert_eq!(code(&call(&gateway, "GET", &item, &Value::Null)), (404, "item_not_found"));
    let updated = call(&gateway, "POST", &path, &json!({"metadata": {"topic": "y"}}));
    assert_eq!(updated.1["metadata"]["topic"], "y");
    assert_eq!(call(&gateway, "DELETE", &path, &Value::Null).1["object"], "conversation.deleted");
    assert_eq!(code(&call(&gateway, "GET", &path, &Value::Null)), (404, "conversation_not_found"));
    let lost = json!({"model": "up/m", "input": "one", "conversation": made["id"]});
    assert_eq!(code(&call(&gateway, "POST", "/v1/responses", &lost)), (404, "conversation_not_found"));
}
