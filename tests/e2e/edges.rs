//! The catalogue of edge cases in `docs/edge-cases.md`, by number: what providers send that breaks gateways, and what callers
//! ask that gateways break. The real binary between a raw caller and an upstream that says what the case says; answers
//! are read by the readers of the matrix, which know the rules of each dialect.

mod answers;
mod bytes;
mod connections;
mod embeddings;
mod peers;
mod requests;
mod thoughts;
mod tools;
mod usage;

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::matrix::world::{Client, How, Provider};
use crate::support::*;

/// A gateway with a provider of each dialect, all of them at one upstream.
pub struct Desk {
    pub gateway: Gateway,
    pub upstream: Upstream,
    next: Arc<Mutex<Vec<u8>>>,
}

impl Desk {
    pub fn new() -> Desk {
        Desk::with("vllm", "")
    }

    /// The same with another provider of chat and further settings.
    pub fn with(chat: &str, settings: &str) -> Desk {
        let next = Arc::new(Mutex::new(Vec::new()));
        let said = next.clone();
        let upstream = Upstream::start(move |_, _, stream| {
            let _ = stream.write_all(&said.lock().unwrap());
            After::KeepAlive
        });
        let port = upstream.port;
        let provider = |name: &str, kind: &str, base: &str| {
            format!(
                "  {name}: {{type: {kind}, base_url: 'http://127.0.0.1:{port}{base}', api_key: {UPSTREAM_KEY}, models: [m]}}\n"
            )
        };
        let kinds = [
            ("chat", chat, "/v1"),
            ("oai", "openai", "/v1"),
            ("ant", "anthropic", "/v1"),
            ("gem", "gemini", "/v1beta"),
            ("moon", "moonshot", "/v1"),
            ("router", "openrouter", "/v1"),
            ("mini", "minimax", "/v1"),
        ];
        let providers: String = kinds.iter().map(|(name, kind, base)| provider(name, kind, base)).collect();
        let gateway =
            Gateway::start_with(&format!("server: {{shards: 1}}\n{settings}providers:\n{providers}"), &[]);
        Desk { gateway, upstream, next }
    }

    /// The next answers are these bytes.
    pub fn raw(&self, bytes: Vec<u8>) {
        *self.next.lock().unwrap() = bytes;
    }

    /// The next answers are this stream, in pieces of this size.
    pub fn stream_of(&self, body: &str, size: usize) {
        self.raw(stream_answer(body.as_bytes(), &[size]));
    }

    /// The next answers are streams of these events.
    pub fn stream(&self, events: &[String]) {
        self.stream_of(&sse(events), 1 << 14);
    }

    /// The next answers are this document.
    pub fn whole(&self, document: &Value) {
        self.raw(json_answer(200, "", &document.to_string()));
    }

    /// Asks with a conversation in the form of the matrix.
    pub fn ask(&self, client: Client, provider: Provider, how: How, talk: &Value) -> Answer {
        self.ask_model(client, model(provider), how, talk)
    }

    pub fn ask_model(&self, client: Client, model: &str, how: How, talk: &Value) -> Answer {
        let (path, body) = client.ask(talk, model, how);
        self.gateway.call(&post(&path, &body.to_string()))
    }

    /// What a stream of these events says to this caller.
    pub fn says(&self, provider: Provider, events: &[String], client: Client) -> Value {
        self.stream(events);
        self.hears(client, provider, How::Stream)
    }

    /// What the next answer says to this caller.
    pub fn hears(&self, client: Client, provider: Provider, how: How) -> Value {
        let answer = self.ask(client, provider, how, &hi());
        assert!(answer.status == 200 && answer.is_whole, "{client:?}: {} {}", answer.head, answer.text());
        client.read(&answer, how).unwrap_or_else(|rule| panic!("{client:?}: {rule}: {}", answer.text()))
    }

    /// The last request that reached the provider, but for those for lists of models, which come when they like.
    pub fn last(&self) -> Seen {
        let is_asked = |seen: &Seen| seen.head.starts_with("POST ");
        self.upstream.requests().into_iter().rfind(is_asked).expect("a request")
    }

    /// Its body.
    pub fn sent(&self) -> Value {
        serde_json::from_slice(&self.last().body).expect("JSON")
    }

    /// What reaches the provider for this body.
    pub fn carries(&self, path: &str, body: &Value) -> Value {
        let answer = self.gateway.call(&post(path, &body.to_string()));
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        self.sent()
    }
}

pub fn model(provider: Provider) -> &'static str {
    match provider {
        Provider::Chat => "chat/m",
        Provider::Responses => "oai/gpt-5-pro",
        Provider::Messages => "ant/m",
        Provider::Gemini => "gem/m",
        Provider::Converse => unreachable!("requests to it are signed; the matrix has it"),
    }
}

pub fn hi() -> Value {
    json!({"max": 300, "turns": [{"role": "user", "parts": [{"text": "hi"}]}]})
}

/// Everybody whose dialect is another one than the provider's.
pub fn others(provider: Provider) -> impl Iterator<Item = Client> {
    Client::ALL.into_iter().filter(move |client| !provider.is_same(*client))
}

/// Events with their names, where their dialect has names, and `[DONE]` as it is.
pub fn sse(events: &[String]) -> String {
    let mut text = String::new();
    for event in events {
        let parsed: Option<Value> = serde_json::from_str(event).ok();
        if let Some(name) = parsed.as_ref().and_then(|value| value["type"].as_str()) {
            text += &format!("event: {name}\n");
        }
        text += &format!("data: {event}\n\n");
    }
    text
}

/// The chunk of a chat with this delta.
pub fn chunk(delta: Value) -> String {
    chunk_of(json!([{"index": 0, "delta": delta, "finish_reason": null}]))
}

pub fn chunk_of(choices: Value) -> String {
    json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices})
        .to_string()
}

pub fn chunk_end(reason: &str) -> String {
    chunk_of(json!([{"index": 0, "delta": {}, "finish_reason": reason}]))
}

pub fn chunk_usage(input: u64, output: u64) -> String {
    json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}})
    .to_string()
}

pub fn done() -> String {
    "[DONE]".to_owned()
}

/// A chat of these deltas that ends as this reason says.
pub fn chat(deltas: Vec<Value>, reason: &str) -> Vec<String> {
    let mut events: Vec<String> = deltas.into_iter().map(chunk).collect();
    events.extend([chunk_end(reason), done()]);
    events
}

/// A delta of a call of a tool; null leaves a member out.
pub fn call(index: Value, id: Value, name: Value, arguments: Value) -> Value {
    let mut call = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    for member in ["index", "id"] {
        if call[member].is_null() {
            call.as_object_mut().map(|call| call.remove(member));
        }
    }
    let function = call["function"].as_object_mut().expect("a function");
    function.retain(|_, value| !value.is_null());
    json!({"tool_calls": [call]})
}

/// A message of these blocks, each a start and its deltas, that ends as this reason says.
pub fn message(blocks: &[(Value, Vec<Value>)], reason: &str) -> Vec<String> {
    let mut events = vec![message_start(json!({"input_tokens": 5, "output_tokens": 1}))];
    for (index, (block, deltas)) in blocks.iter().enumerate() {
        events
            .push(json!({"type": "content_block_start", "index": index, "content_block": block}).to_string());
        for delta in deltas {
            events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}).to_string());
        }
        events.push(json!({"type": "content_block_stop", "index": index}).to_string());
    }
    events.extend(message_end(reason, json!({"output_tokens": 7})));
    events
}

pub fn message_start(usage: Value) -> String {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage}})
    .to_string()
}

pub fn message_end(reason: &str, usage: Value) -> [String; 2] {
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    [
        json!({"type": "message_delta", "delta": delta, "usage": usage}).to_string(),
        json!({"type": "message_stop"}).to_string(),
    ]
}

/// A whole message.
pub fn whole_message(content: Value, reason: &str) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": reason, "stop_sequence": null, "usage": {"input_tokens": 5, "output_tokens": 7}})
}

/// A whole chat completion.
pub fn whole_chat(message: Value, reason: &str) -> Value {
    json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}]})
}

/// A chunk of Gemini's with these parts.
pub fn candidate(parts: Value, reason: Value) -> String {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if !reason.is_null() {
        candidate["finishReason"] = reason;
    }
    json!({"candidates": [candidate], "modelVersion": "m", "responseId": "r1"}).to_string()
}

/// Fails unless all that is wanted stands in what was got: members that are not wanted may be there.
#[track_caller]
pub fn holds(want: &Value, got: &Value) {
    if let Some(place) = missing("", want, got) {
        panic!("at {place}\nwant {want}\ngot  {got}");
    }
}

fn missing(path: &str, want: &Value, got: &Value) -> Option<String> {
    match (want, got) {
        (Value::Object(want), Value::Object(_)) => {
            want.iter().find_map(|(key, want)| missing(&format!("{path}.{key}"), want, &got[key]))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(at, (want, got))| missing(&format!("{path}[{at}]"), want, got))
        }
        _ if want == got || (want.is_number() && want.as_f64() == got.as_f64()) => None,
        _ => Some(format!("{path}: {want} is not {got}")),
    }
}

/// The parts of the first choice and why it ended.
#[track_caller]
pub fn said(said: &Value, parts: Value, finish: &str) {
    holds(&json!({"choices": [{"parts": parts, "finish": finish}]}), said);
}
