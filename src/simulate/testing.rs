//! What the tests of the dialects share: a request's path and body, and the bytes that answer it.

use serde_json::Value;

use super::answer::{self, Body};
use super::dialect::Ask;

/// The events, or the one body, that answer a request, as text.
pub fn told(path: &str, body: &Value) -> Vec<String> {
    bytes(path, body).into_iter().map(|event| String::from_utf8(event).expect("text")).collect()
}

pub fn bytes(path: &str, body: &Value) -> Vec<Vec<u8>> {
    match answer::of(&ask(path), body.to_string().as_bytes()).1.body {
        Body::Whole(body) => vec![body],
        Body::Stream(events) => events,
    }
}

/// The whole answer as JSON.
pub fn whole(path: &str, body: &Value) -> Value {
    serde_json::from_str(&told(path, body)[0]).expect("JSON")
}

/// The data of the events, those that are JSON.
pub fn data(path: &str, body: &Value) -> Vec<Value> {
    let events = told(path, body);
    let lines = events.iter().flat_map(|event| event.lines()).filter_map(|line| line.strip_prefix("data: "));
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// All texts at this place, joined.
pub fn joined(values: &[Value], at: &str) -> String {
    values.iter().filter_map(|value| value.pointer(at)?.as_str()).collect()
}

pub fn ask(path: &str) -> Ask {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Ask::of(path.as_bytes(), query.as_bytes()).expect("a known path")
}
