//! The form in which the matrix writes conversations and answers: JSON of its own, which no dialect and no code of the
//! gateway knows.
//!
//! A conversation has `system` (a text), `turns` (`role` is user, model or system; `parts`), `tools` (`name`, `about`,
//! `schema`), `choice`, and settings. A part is one of `text`, `url` or `image` or `file` (with `kind`, `data`), `thought`,
//! `call` (`id`, `name`, `args`), `result` (`id`, `name`, `parts`, `error`). `signature` may stand beside any of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A request's members while they are read: what nobody has taken at the end is said to be unknown.
pub struct Words {
    rest: Map<String, Value>,
    talk: Value,
}

impl Words {
    pub fn new(body: &Value) -> Words {
        Words { rest: body.as_object().cloned().unwrap_or_default(), talk: json!({}) }
    }

    /// Takes a member out; null when it is not there.
    pub fn take(&mut self, name: &str) -> Value {
        self.rest.remove(name).unwrap_or_default()
    }

    /// Takes a member out and puts it into the conversation under this name.
    pub fn carry(&mut self, name: &str, to: &str) {
        let value = self.take(name);
        self.put(to, value);
    }

    /// Goes on with the members of an object; what they are called stays known by its name.
    pub fn open(&mut self, name: &str) {
        if let Value::Object(inner) = self.take(name) {
            self.rest.extend(inner);
        }
    }

    pub fn put(&mut self, name: &str, value: Value) {
        if !value.is_null() && value != json!([]) {
            self.talk[name] = value;
        }
    }

    pub fn into_talk(mut self) -> Value {
        self.rest.retain(|_, value| !value.is_null());
        if !self.rest.is_empty() {
            self.talk["unknown"] = Value::Object(self.rest);
        }
        canonical(&self.talk)
    }
}

pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The value without members that are null.
pub fn known(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    value
}

pub fn part_text(text: impl Into<Value>) -> Value {
    json!({"text": text.into()})
}

/// The arguments of a call as a value; what is no JSON stays a text and so differs.
pub fn parsed(arguments: &Value) -> Value {
    serde_json::from_str(text(arguments)).unwrap_or_else(|_| arguments.clone())
}

/// `data:KIND;base64,DATA` as both.
pub fn data_url(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}

/// An image by its address, which may hold it.
pub fn image_of_url(url: &Value) -> Value {
    match data_url(text(url)) {
        Some((kind, data)) => json!({"image": {"kind": kind, "data": data}}),
        None => json!({"url": url}),
    }
}

/// The same conversation in one spelling: turns of one role that follow each other are one, texts that follow each other
/// are joined, and calls are numbered, because a provider may have no ids.
pub fn canonical(talk: &Value) -> Value {
    let mut talk = known(talk.clone());
    let mut turns: Vec<Value> = Vec::new();
    for turn in items(&talk["turns"]) {
        let parts = joined(&turn["parts"]);
        match turns.last_mut().filter(|last| last["role"] == turn["role"]) {
            Some(last) => {
                let all: Vec<Value> = items(&last["parts"]).chain(&parts).cloned().collect();
                last["parts"] = Value::Array(joined(&Value::Array(all)));
            }
            None => turns.push(json!({"role": turn["role"], "parts": parts})),
        }
    }
    number_calls(&mut turns);
    for turn in &mut turns {
        // Results stand in the order of their calls.
        let place = |part: &Value| part.pointer("/result/id").map_or(u64::MAX, |id| id.as_u64().unwrap_or(0));
        turn["parts"].as_array_mut().expect("parts").sort_by_key(place);
    }
    talk["turns"] = Value::Array(turns);
    talk
}

/// The parts without empty texts; texts that follow each other as one.
fn joined(parts: &Value) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for part in items(parts).filter(|part| part["text"] != "" || part.get("signature").is_some()) {
        let is_text = |part: &Value| part.get("text").is_some() && part.get("signature").is_none();
        match out.last_mut().filter(|last| is_text(last) && is_text(part)) {
            Some(last) => last["text"] = json!(format!("{}\n\n{}", text(&last["text"]), text(&part["text"]))),
            None => out.push(part.clone()),
        }
    }
    for part in out.iter_mut().filter(|part| part.get("result").is_some()) {
        part["result"]["parts"] = Value::Array(joined(&part["result"]["parts"]));
    }
    out
}

fn number_calls(turns: &mut [Value]) {
    let mut calls: Vec<(Value, Value, bool)> = Vec::new();
    for turn in turns {
        for part in turn["parts"].as_array_mut().into_iter().flatten() {
            if let Some(call) = part.get_mut("call") {
                calls.push((call["id"].clone(), call["name"].clone(), false));
                call["id"] = json!(calls.len() - 1);
            }
            let Some(result) = part.get_mut("result") else { continue };
            let is_it = |(id, name, is_answered): &(Value, Value, bool)| match &result["id"] {
                Value::Null => !is_answered && *name == result["name"],
                given => id == given,
            };
            let place = calls.iter().position(is_it);
            if let Some(at) = place {
                calls[at].2 = true;
            }
            result["id"] = json!(place);
            result["name"] = place.map_or(Value::Null, |at| calls[at].1.clone());
        }
    }
}

/// Where two values differ, one line for each place.
pub fn differences(path: &str, want: &Value, got: &Value, out: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(one), Value::Object(other)) => {
            let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let at = format!("{path}.{key}");
                differences(
                    &at,
                    one.get(key).unwrap_or(&Value::Null),
                    other.get(key).unwrap_or(&Value::Null),
                    out,
                );
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{path}[{at}]"), one, other, out);
            }
        }
        _ if want.as_f64().is_some() && want.as_f64() == got.as_f64() => {}
        _ if want == got => {}
        _ => out.push(format!("{path}: want {}, got {}", short(want), short(got))),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 300 { text.chars().take(300).collect::<String>() + "…" } else { text }
}

/// An answer while it is read: parts of its choices, why they ended, tokens.
#[derive(Default)]
pub struct Said {
    choices: BTreeMap<u64, Choice>,
    pub usage: Value,
}

#[derive(Default)]
struct Choice {
    parts: Vec<(String, Value)>,
    finish: Value,
    stop_sequence: Value,
}

impl Said {
    /// The part of this name, made with this value if it is not there.
    pub fn part(&mut self, choice: u64, name: &str, new: Value) -> &mut Value {
        let parts = &mut self.choices.entry(choice).or_default().parts;
        let at = parts.iter().position(|(key, _)| key == name).unwrap_or_else(|| {
            parts.push((name.to_owned(), new));
            parts.len() - 1
        });
        &mut parts[at].1
    }

    pub fn has(&self, choice: u64, name: &str) -> bool {
        self.choices.get(&choice).is_some_and(|choice| choice.parts.iter().any(|(key, _)| key == name))
    }

    /// Adds to the text of a part, which is named as the key is unless another name is given.
    pub fn add(&mut self, choice: u64, name: &str, key: &str, more: &str) {
        let part = self.part(choice, name, json!({key: ""}));
        let before = text(&part[key]).to_owned();
        part[key] = json!(before + more);
    }

    pub fn finish(&mut self, choice: u64, reason: &str, stop_sequence: &Value) {
        let choice = self.choices.entry(choice).or_default();
        assert!(choice.finish.is_null(), "a choice ends once");
        (choice.finish, choice.stop_sequence) = (json!(reason), stop_sequence.clone());
    }

    /// The answer in the neutral form, without empty texts.
    pub fn into_value(self) -> Result<Value, String> {
        let mut choices = Vec::new();
        for (_, choice) in self.choices {
            let mut parts: Vec<Value> = choice.parts.into_iter().map(|(_, part)| part).collect();
            parts.retain(|part| part["text"] != "" || part.get("signature").is_some());
            for part in
                parts.iter_mut().filter(|part| part.pointer("/call/args").is_some_and(Value::is_string))
            {
                part["call"]["args"] = parsed(&part["call"]["args"]);
            }
            let mut ids: Vec<&str> =
                parts.iter().filter_map(|part| part.pointer("/call/id")?.as_str()).collect();
            let count = ids.len();
            ids.sort();
            ids.dedup();
            if count != ids.len() || ids.iter().any(|id| id.is_empty()) {
                return Err(format!("the ids of calls are {ids:?}"));
            }
            let value =
                json!({"parts": parts, "finish": choice.finish, "stop_sequence": choice.stop_sequence});
            choices.push(known(value));
        }
        Ok(json!({"choices": choices, "usage": known(self.usage)}))
    }
}

/// Tokens: `input` is without what came from a cache or went into one. Counts that are 0 are not told from none.
pub fn usage(input: u64, cached: &Value, written: &Value, output: &Value, reasoning: &Value) -> Value {
    let count = |value: &Value| value.as_u64().filter(|&count| count > 0);
    json!({"input": input, "cached": count(cached), "written": count(written), "output": output, "reasoning": count(reasoning)})
}
