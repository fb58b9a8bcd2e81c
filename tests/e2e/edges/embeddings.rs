//! Embeddings: each caller gets vectors in the form that it asked for, whatever form its provider speaks.

use serde_json::{Value, json};

use super::*;

fn vectors(desk: &Desk, path: &str, body: &Value) -> Value {
    let answer = desk.gateway.call(&post(path, &body.to_string()));
    assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    serde_json::from_slice(&answer.body).expect("JSON")
}

const OPENAI: &str = "/v1/embeddings";
/// 1 and -2.5 as floats of 32 bits, least byte first.
const CODED: &str = "AACAPwAAIMA=";

#[test]
fn edge_56_vectors_come_as_base64_or_as_numbers_as_the_caller_asked() {
    let desk = Desk::new();
    desk.whole(&json!({"embeddings": [{"values": [1, -2.5]}, {"values": [0.25, 1e-7]}]}));
    for (format, want) in
        [(Value::Null, json!([1, -2.5])), (json!("float"), json!([1, -2.5])), (json!("base64"), json!(CODED))]
    {
        let body =
            json!({"model": "gem/m", "input": ["one", "two"], "dimensions": 2, "encoding_format": format});
        let got = vectors(&desk, OPENAI, &body);
        holds(
            &json!({"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": want}, {"index": 1}]}),
            &got,
        );
        let seen = desk.last();
        assert!(seen.head.starts_with("POST /v1beta/models/m:batchEmbedContents HTTP"), "{}", seen.head);
        let request = |text: &str| json!({"model": "models/m", "content": {"parts": [{"text": text}]}, "outputDimensionality": 2});
        assert_eq!(desk.sent(), json!({"requests": [request("one"), request("two")]}));
    }
    let usage = json!({"prompt_tokens": 3, "total_tokens": 3});
    for embedding in [json!([1, -2.5]), json!(CODED)] {
        desk.whole(&json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": embedding}], "model": "m", "usage": usage}));
        let content = json!({"parts": [{"text": "one"}]});
        let got = vectors(
            &desk,
            "/v1beta/models/chat/m:embedContent",
            &json!({"content": content, "outputDimensionality": 2}),
        );
        assert_eq!(
            got,
            json!({"embedding": {"values": [1, -2.5]}, "usageMetadata": {"promptTokenCount": 3}})
        );
        assert_eq!(desk.sent(), json!({"model": "m", "input": ["one"], "dimensions": 2}));
        let got = vectors(
            &desk,
            "/v1beta/models/chat/m:batchEmbedContents",
            &json!({"requests": [{"model": "models/chat/m", "content": content}]}),
        );
        holds(&json!({"embeddings": [{"values": [1, -2.5]}]}), &got);
    }
    // The same form on both sides: the very bytes, but for the model's name wherever it stands.
    desk.whole(&json!({"embeddings": [{"values": [1]}]}));
    let body = r#"{"requests": [{"model":"models/gem/m","content":{"parts":[{"text":"x"}]}, "x":1.50}]}"#;
    desk.gateway.call(&post("/v1beta/models/gem/m:batchEmbedContents", body));
    assert_eq!(desk.last().body, body.replace("gem/", "").as_bytes());
    let document = json!({"object": "list", "data": [{"embedding": CODED, "index": 0}], "usage": usage});
    desk.whole(&document);
    let body = r#"{"model":"chat/m","input":"x","encoding_format":"base64"}"#;
    assert_eq!(desk.gateway.call(&post(OPENAI, body)).text(), document.to_string());
    assert_eq!(desk.last().body, body.replace("chat/", "").as_bytes());
    let sample = "ringway_tokens_total{provider=\"chat\",model=\"m\",kind=\"in\"}";
    eventually("the tokens of all answers", || desk.gateway.metric(sample) == 15.0);
}

#[test]
fn vectors_that_are_not_there_and_fields_that_cannot_be_said_are_errors() {
    let desk = Desk::new();
    desk.whole(&json!({"embeddings": [{"values": [1]}]}));
    let two = json!({"model": "gem/m", "input": ["one", "two"]});
    let answer = desk.gateway.call(&post(OPENAI, &two.to_string()));
    assert!(answer.status >= 500 && !answer.error_code().is_empty(), "{}", answer.text());
    for (path, body, field) in [
        (OPENAI, json!({"model": "gem/m", "input": [1, 2, 3]}), "input"),
        (OPENAI, json!({"model": "gem/m", "input": "x", "input_type": "query"}), "input_type"),
        (
            "/v1beta/models/chat/m:embedContent",
            json!({"content": {"parts": [{"text": "x"}]}, "taskType": "RETRIEVAL_QUERY"}),
            "taskType",
        ),
    ] {
        let answer = desk.gateway.call(&post(path, &body.to_string()));
        assert!(answer.status == 400 && answer.text().contains(&format!("`{field}`")), "{}", answer.text());
    }
    let error = json!({"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}});
    desk.raw(json_answer(429, "", &error.to_string()));
    let answer = desk.gateway.call(&post(OPENAI, &two.to_string()));
    assert_eq!((answer.status, answer.error_code().as_str()), (429, "RESOURCE_EXHAUSTED"));
    assert!(
        answer.text().contains("rate_limit_error") && answer.text().contains("Slow down."),
        "{}",
        answer.text()
    );
    let error =
        json!({"error": {"message": "Slow down.", "type": "rate_limit", "param": null, "code": null}});
    desk.raw(json_answer(429, "", &error.to_string()));
    let body = json!({"content": {"parts": [{"text": "x"}]}});
    let answer = desk.gateway.call(&post("/v1beta/models/chat/m:embedContent", &body.to_string()));
    let said: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((answer.status, &said["error"]["status"]), (429, &json!("RESOURCE_EXHAUSTED")));
}
