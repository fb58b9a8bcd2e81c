//! Reads the messages of a request as turns: results of tools become parts of user turns, thoughts come first in theirs.

use super::read_parts;
use super::read_request::{array, object, optional_text, present, required, required_text, text, wrong};
use crate::base::Refusal;
use crate::dialect::middle::{Part, Role, Signature, Text, ToolKind, Turn};
use crate::wire::json::{Kind, Node};

pub(super) fn turns(value: Node<'_>) -> Result<Vec<Turn<'_>>, Refusal> {
    let items = array(value, "messages")?.items().enumerate();
    items.map(|(index, item)| turn(item, &format!("messages[{index}]"))).collect()
}

fn turn<'a>(message: Node<'a>, path: &str) -> Result<Turn<'a>, Refusal> {
    let [role, name, content] = object(message, path)?.pick(["role", "name", "content"]);
    let role = present(role, path, "role")?;
    let role = role
        .escaped()
        .map(Text::escaped)
        .ok_or_else(|| wrong(&format!("{path}.role"), "must be a string"))?;
    let name = name.map(|name| text(name, &format!("{path}.name"))).transpose()?;
    let of = |role: Role, parts: Vec<Part<'a>>| Turn { role, parts, name: name.clone() };
    let needed = || {
        present(content, path, "content")?;
        read_parts::content(message, path)
    };
    match &*role.decoded() {
        "system" => Ok(of(Role::System, needed()?)),
        "developer" => Ok(of(Role::Developer, needed()?)),
        "user" => Ok(of(Role::User, needed()?)),
        "assistant" => Ok(of(Role::Assistant, assistant(message, path)?)),
        "tool" => {
            let id = required_text(message, path, "tool_call_id")?;
            Ok(result(message, path, id, name)?)
        }
        // The older form has no ids: the name of the function stands for the call.
        "function" => {
            let id = required_text(message, path, "name")?;
            Ok(result(message, path, id, name)?)
        }
        _ => Err(wrong(
            &format!("{path}.role"),
            "must be one of `system`, `developer`, `user`, `assistant` and `tool`",
        )),
    }
}

fn result<'a>(
    message: Node<'a>,
    path: &str,
    id: Text<'a>,
    name: Option<Text<'a>>,
) -> Result<Turn<'a>, Refusal> {
    let cache_control = message.get("cache_control").map(Node::raw);
    let mut parts = read_parts::content(message, path)?;
    // The mark is the result's own, not that of the text in it.
    if let (Some(_), [Part::Text { cache_control, .. }]) = (cache_control, &mut parts[..]) {
        *cache_control = None;
    }
    let part = Part::ToolResult { id, name, parts, is_error: false, cache_control };
    Ok(Turn { role: Role::User, parts: vec![part], name: None })
}

fn assistant<'a>(message: Node<'a>, path: &str) -> Result<Vec<Part<'a>>, Refusal> {
    let mut parts = thoughts(message, path)?;
    parts.extend(read_parts::content(message, path)?);
    if let Some(text) = optional_text(message, path, "refusal")?.filter(|text| !text.is_empty()) {
        parts.push(Part::Refusal { text });
    }
    if let Some(calls) = message.get("tool_calls") {
        let path = format!("{path}.tool_calls");
        for (index, item) in array(calls, &path)?.items().enumerate() {
            parts.push(call(item, &format!("{path}[{index}]"))?);
        }
    }
    if let Some(inner) = message.get("function_call") {
        let path = format!("{path}.function_call");
        let name = required_text(object(inner, &path)?, &path, "name")?;
        let arguments = optional_text(inner, &path, "arguments")?.unwrap_or_default();
        let (id, kind) = (name.clone(), ToolKind::Function);
        parts.push(Part::ToolCall { id, name, arguments, kind, signature: None, cache_control: None });
    }
    for key in ["audio", "prefix"] {
        if let Some(value) = message.get(key).filter(|value| value.bool() != Some(false)) {
            parts.push(Part::Foreign { path: format!("{path}.{key}"), raw: value.raw() });
        }
    }
    Ok(parts)
}

/// What the model thought: blocks with signatures where there are some, else the plain text.
fn thoughts<'a>(message: Node<'a>, path: &str) -> Result<Vec<Part<'a>>, Refusal> {
    let mut plain = None;
    for key in ["reasoning_content", "reasoning"] {
        let found = message.get(key).filter(|value| value.kind() == Kind::String);
        let found = found.map(|value| text(value, &format!("{path}.{key}"))).transpose()?;
        plain = plain.or(found.filter(|text| !text.is_empty()));
    }
    let mut parts = Vec::new();
    if let Some(blocks) = message.get("thinking_blocks") {
        let path = format!("{path}.thinking_blocks");
        for (index, item) in array(blocks, &path)?.items().enumerate() {
            parts.extend(thought(item, &format!("{path}[{index}]"))?);
        }
    }
    settle(&mut parts, plain);
    Ok(parts)
}

fn thought<'a>(item: Node<'a>, path: &str) -> Result<Option<Part<'a>>, Refusal> {
    let kind = required_text(object(item, path)?, path, "type")?;
    Ok(match &*kind.decoded() {
        "thinking" => {
            let signature = optional_text(item, path, "signature")?.filter(|text| !text.is_empty());
            let text = optional_text(item, path, "thinking")?.unwrap_or_default();
            Some(Part::Thinking { text, signature: signature.map(Signature::from_client) })
        }
        "redacted_thinking" => {
            let data = required_text(item, path, "data")?;
            Some(Part::HiddenThinking { data: Signature::from_client(data) })
        }
        _ => None,
    })
}

/// Gives blocks without a text the plain one: a stream brings a signature behind the text that it is for. With several
/// such blocks nobody knows whose text is where, so their signatures would be wrong.
fn settle<'a>(parts: &mut Vec<Part<'a>>, plain: Option<Text<'a>>) {
    let has_no_text = |part: &Part<'_>| matches!(part, Part::Thinking { text, .. } if text.is_empty());
    let has_text = |part: &Part<'_>| matches!(part, Part::Thinking { text, .. } if !text.is_empty());
    if parts.iter().any(has_text) {
        parts.retain(|part| !has_no_text(part));
        return;
    }
    let blanks = parts.iter().filter(|part| has_no_text(part)).count();
    match plain {
        Some(plain) if blanks == 1 => {
            for part in parts.iter_mut() {
                if let Part::Thinking { text, .. } = part {
                    *text = plain.clone();
                }
            }
        }
        Some(plain) => {
            parts.retain(|part| !has_no_text(part));
            parts.insert(0, Part::Thinking { text: plain, signature: None });
        }
        // A signature alone is state that some provider wants back; a block of nothing is not.
        None => {
            parts.retain(|part| !matches!(part, Part::Thinking { text, signature: None } if text.is_empty()))
        }
    }
}

fn call<'a>(item: Node<'a>, path: &str) -> Result<Part<'a>, Refusal> {
    let id = required_text(object(item, path)?, path, "id")?;
    let cache_control = item.get("cache_control").map(Node::raw);
    if let Some(inner) = item.get("custom") {
        let path = format!("{path}.custom");
        let name = required_text(object(inner, &path)?, &path, "name")?;
        let arguments = optional_text(inner, &path, "input")?.unwrap_or_default();
        let kind = ToolKind::Custom;
        return Ok(Part::ToolCall { id, name, arguments, kind, signature: None, cache_control });
    }
    let inner = required(item, path, "function")?;
    let path = format!("{path}.function");
    let name = required_text(object(inner, &path)?, &path, "name")?;
    let arguments = match inner.get("arguments") {
        // Some clients send the arguments as they are, not as a text.
        Some(value) if value.kind() == Kind::Object => Text::of_json(value.raw()),
        Some(value) => text(value, &format!("{path}.arguments"))?,
        None => Text::default(),
    };
    let signature = item.get("extra_content").and_then(|extra| extra.get("google")?.get("thought_signature"));
    let signature =
        signature.and_then(Node::escaped).map(|value| Signature::from_client(Text::escaped(value)));
    Ok(Part::ToolCall { id, name, arguments, kind: ToolKind::Function, signature, cache_control })
}
