//! Reads tools and the choice of them, in today's words and in the older ones of functions.

use super::read_request::{array, boolean, object, optional_text, required, required_text, text, wrong};
use crate::base::Refusal;
use crate::dialect::middle::{Text, Tool, ToolChoice, ToolKind};
use crate::wire::json::{Kind, Node};

/// `tools`. A tool of an unknown type is kept whole.
pub(super) fn tools(value: Node<'_>) -> Result<Vec<Tool<'_>>, Refusal> {
    let items = array(value, "tools")?.items().enumerate();
    items.map(|(index, item)| tool(item, &format!("tools[{index}]"))).collect()
}

/// `functions`, which came before `tools`.
pub(super) fn functions(value: Node<'_>) -> Result<Vec<Tool<'_>>, Refusal> {
    let items = array(value, "functions")?.items().enumerate();
    items.map(|(index, item)| function(item, item, &format!("functions[{index}]"))).collect()
}

fn tool<'a>(item: Node<'a>, path: &str) -> Result<Tool<'a>, Refusal> {
    object(item, path)?;
    let kind = optional_text(item, path, "type")?.unwrap_or(Text::escaped(b"function"));
    match &*kind.decoded() {
        "function" => match item.get("function") {
            Some(inner) => function(inner, item, &format!("{path}.function")),
            // Some clients send a tool as the responses endpoint has it.
            None => function(item, item, path),
        },
        "custom" => custom(item, path),
        _ => Ok(foreign(kind, item)),
    }
}

/// A function, which stands inside of its tool or in its place.
fn function<'a>(inner: Node<'a>, tool: Node<'a>, path: &str) -> Result<Tool<'a>, Refusal> {
    object(inner, path)?;
    let schema = inner.get("parameters").map(|schema| object(schema, &format!("{path}.parameters")));
    let strict = inner.get("strict").map(|strict| boolean(strict, &format!("{path}.strict")));
    Ok(Tool {
        kind: ToolKind::Function,
        name: required_text(inner, path, "name")?,
        description: optional_text(inner, path, "description")?,
        schema: schema.transpose()?.map(Node::raw),
        strict: strict.transpose()?,
        cache_control: tool.get("cache_control").or(inner.get("cache_control")).map(Node::raw),
    })
}

/// A tool whose input is a text. One with a grammar for its text is foreign: without the grammar it would be another.
fn custom<'a>(item: Node<'a>, path: &str) -> Result<Tool<'a>, Refusal> {
    let path = format!("{path}.custom");
    let inner = item.get("custom").unwrap_or(item);
    object(inner, &path)?;
    let has_grammar =
        inner.get("format").and_then(|format| format.get("type")?.text()).is_some_and(|t| t != "text");
    if has_grammar {
        return Ok(foreign(Text::escaped(b"custom"), item));
    }
    Ok(Tool {
        kind: ToolKind::Custom,
        name: required_text(inner, &path, "name")?,
        description: optional_text(inner, &path, "description")?,
        schema: None,
        strict: None,
        cache_control: item.get("cache_control").map(Node::raw),
    })
}

fn foreign<'a>(name: Text<'a>, item: Node<'a>) -> Tool<'a> {
    let schema = Some(item.raw());
    Tool { kind: ToolKind::Foreign, name, description: None, schema, strict: None, cache_control: None }
}

/// `tool_choice`: a word or the name of a tool.
pub(super) fn choice(value: Node<'_>) -> Result<ToolChoice<'_>, Refusal> {
    if value.kind() == Kind::String {
        let word = text(value, "tool_choice")?;
        return match &*word.decoded() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" | "any" => Ok(ToolChoice::Required),
            _ => Err(wrong("tool_choice", "must be `auto`, `none`, `required` or an object")),
        };
    }
    let value = object(value, "tool_choice")?;
    let kind = required_text(value, "tool_choice", "type")?;
    if let Some(key) = ["function", "custom"].into_iter().find(|key| kind.is(key)) {
        let inner = value.get(key).unwrap_or(value);
        return Ok(ToolChoice::Named(required_text(inner, &format!("tool_choice.{key}"), "name")?));
    }
    Ok(ToolChoice::Foreign(value.raw()))
}

/// `function_call`, which came before `tool_choice`.
pub(super) fn function_choice(value: Node<'_>) -> Result<ToolChoice<'_>, Refusal> {
    match value.text().as_deref() {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("none") => Ok(ToolChoice::None),
        Some(_) => Err(wrong("function_call", "must be `auto`, `none` or an object")),
        None => {
            let name = required(object(value, "function_call")?, "function_call", "name")?;
            Ok(ToolChoice::Named(text(name, "function_call.name")?))
        }
    }
}
