//! What an answer says, in words of no dialect: what is read from a recording and from what the client got, to be compared.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// An answer, as far as its bytes go.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub choices: BTreeMap<u64, Choice>,
    pub counts: Counts,
    /// An error stands in it: the message.
    pub error: Option<String>,
    /// Its terminal was there.
    pub has_ended: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Text and refusal, in the order in which they came.
    pub visible: String,
    pub refusal: String,
    pub thinking: String,
    pub calls: Vec<Call>,
    pub finish: Option<Finish>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub name: String,
    /// An object; a text where the arguments are none.
    pub input: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    Stop,
    Length,
    Calls,
    Filter,
    Refusal,
    Pause,
    ContextFull,
}

/// Counts; what nobody stated is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub input: u64,
    pub output: u64,
    pub cached: u64,
    pub reasoning: u64,
}

impl Choice {
    pub fn say(&mut self, text: &str) {
        self.visible.push_str(text);
    }

    pub fn refuse(&mut self, text: &str) {
        self.visible.push_str(text);
        self.refusal.push_str(text);
    }

    pub fn think(&mut self, text: &str) {
        self.thinking.push_str(text);
    }

    pub fn call(&mut self, name: &str, input: Value) {
        self.calls.push(Call { name: name.to_owned(), input });
    }

    /// The reason as every dialect has it: where calls were made, a plain stop is one for calls.
    pub fn finish(&mut self, finish: Finish) {
        let is_for_calls = finish == Finish::Stop && !self.calls.is_empty();
        self.finish = Some(if is_for_calls { Finish::Calls } else { finish });
    }
}

/// Arguments that came as a text.
pub fn input_of(text: &str) -> Value {
    if text.trim().is_empty() {
        return json!({});
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Value::Object(members),
        _ => Value::String(text.to_owned()),
    }
}

/// Arguments that came as a value. A dialect that demands an object holds a text that is none in one of its own.
pub fn input_in(value: &Value) -> Value {
    match value {
        Value::Object(members) if members.len() == 1 => {
            members.get("_invalid_arguments").cloned().unwrap_or_else(|| value.clone())
        }
        Value::Null => json!({}),
        other => other.clone(),
    }
}

/// The input of a custom tool, as the dialects without them hold it.
pub fn custom_input(text: &str) -> Value {
    json!({ "input": text })
}

/// The text of a member, empty when there is none.
pub fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

pub fn items(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// Appends to the text that stands at a member.
pub fn append(members: &mut Map<String, Value>, name: &str, piece: &str) {
    let entry = members.entry(name).or_insert_with(|| json!(""));
    let so_far = entry.as_str().unwrap_or_default();
    *entry = Value::String(format!("{so_far}{piece}"));
}

/// Takes over what a later statement states.
pub fn merge(into: &mut Map<String, Value>, later: &Value) {
    for (name, value) in later.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        into.insert(name.clone(), value.clone());
    }
}
