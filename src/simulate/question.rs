//! What a request of any dialect asks, as far as the simulated provider looks into it.

use serde_json::Value;

/// A request in the words of no dialect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    pub model: String,
    pub streams: bool,
    /// The tools that may be called now.
    pub tools: Vec<Tool>,
    /// What the tools said since the model spoke last.
    pub results: Vec<String>,
    /// The text of the last user turn that has any.
    pub user_text: String,
    /// The schema of the answer, where one is asked for.
    pub schema: Option<Value>,
    /// How many answers; 0 counts as 1.
    pub choices: u64,
    /// Bytes that count as input.
    pub input_bytes: usize,
}

/// A tool as the request declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    pub schema: Value,
}

/// Which tools may be called.
pub enum Choice<'c> {
    Any,
    None,
    Named(&'c str),
}

impl<'c> Choice<'c> {
    /// By its name where there is one.
    pub fn named(name: Option<&'c Value>) -> Choice<'c> {
        name.and_then(Value::as_str).map_or(Choice::Any, Choice::Named)
    }
}

/// The tools that were declared and that the choice leaves; the place of the schema is the dialect's.
pub fn tools<'t>(
    declared: impl Iterator<Item = &'t Value>,
    schema_at: &str,
    choice: &Choice<'_>,
) -> Vec<Tool> {
    let tool = |tool: &Value| {
        let name = tool["name"].as_str()?.to_owned();
        let is_left = match choice {
            Choice::Any => true,
            Choice::None => false,
            Choice::Named(chosen) => *chosen == name,
        };
        let schema = tool.pointer(schema_at).cloned().unwrap_or_default();
        is_left.then_some(Tool { name, schema })
    };
    declared.filter_map(tool).collect()
}

/// The members of a list; none of what is no list.
pub fn items(value: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The text of a content: a string, or the texts of its parts joined.
pub fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        parts => items(parts).filter_map(|part| part["text"].as_str()).collect(),
    }
}

/// The text of the last turn of a user that has any.
pub fn user_text(turns: &Value, content_at: &str) -> String {
    let of_users = items(turns).rev().filter(|turn| turn["role"].as_str().is_none_or(|role| role == "user"));
    of_users.map(|turn| text(&turn[content_at])).find(|text| !text.is_empty()).unwrap_or_default()
}

/// The turns, or items, since the model spoke last.
pub fn since_answer(turns: &Value) -> Vec<&Value> {
    let is_answer = |turn: &Value| {
        let (role, kind) = (turn["role"].as_str(), turn["type"].as_str().unwrap_or_default());
        matches!(role, Some("assistant" | "model")) || kind.ends_with("_call") || kind == "reasoning"
    };
    let mut turns: Vec<&Value> = items(turns).rev().take_while(|turn| !is_answer(turn)).collect();
    turns.reverse();
    turns
}

/// The schema of an answer that must be JSON, whatever it holds.
pub fn any_object() -> Value {
    serde_json::json!({"properties": {"answer": {"type": "string"}}})
}
