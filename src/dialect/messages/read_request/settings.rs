//! What a request says about the answer besides its tokens: choice of tools, thinking, form, tier, user.

use super::{boolean, invalid, keep, missing, string, whole_number};
use crate::base::Refusal;
use crate::dialect::middle::{Effort, Format, Reasoning, Request, Text, ToolChoice};
use crate::wire::json::{Kind, Node};

pub(super) fn read_tool_choice<'a>(value: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    let kind = value.get("type").and_then(Node::text).ok_or_else(|| missing("tool_choice.type"))?;
    request.tool_choice = Some(match &*kind {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => {
            let name = value.get("name").ok_or_else(|| missing("tool_choice.name"))?;
            ToolChoice::Named(string(name, "tool_choice.name")?)
        }
        _ => ToolChoice::Foreign(value.raw()),
    });
    if let Some(is_disabled) = value.get("disable_parallel_tool_use") {
        let is_disabled = boolean(is_disabled, "tool_choice.disable_parallel_tool_use")?;
        request.parallel_tool_calls = is_disabled.then_some(false);
    }
    Ok(())
}

/// Anthropic's `metadata` holds the end user and, by its documents, nothing else.
pub(super) fn read_metadata<'a>(value: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    if value.kind() != Kind::Object {
        return Err(invalid("metadata", "must be an object"));
    }
    for (key, value) in value.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            b"user_id" => request.user = Some(string(value, "metadata.user_id")?),
            other => {
                keep(&mut request.extras, format!("metadata.{}", String::from_utf8_lossy(other)), value);
            }
        }
    }
    Ok(())
}

/// The tier in the words that most dialects share: `standard_only` is their `default`.
pub(super) fn service_tier<'a>(value: Node<'a>) -> Result<Text<'a>, Refusal> {
    let tier = string(value, "service_tier")?;
    Ok(if tier.is("standard_only") { Text::escaped(b"default") } else { tier })
}

/// Thinking by budget, by the model's own measure, or none. The effort may come from `output_config`, before or behind.
pub(super) fn read_thinking<'a>(value: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    let kind = value.get("type").and_then(Node::text).ok_or_else(|| missing("thinking.type"))?;
    let reasoning = request.reasoning.get_or_insert_default();
    // Thoughts are in the answer unless the client leaves them out.
    let display = value.get("display").and_then(Node::text);
    reasoning.shows = Some(display.is_none_or(|display| display != "omitted"));
    match &*kind {
        "enabled" => {
            let budget = value.get("budget_tokens").ok_or_else(|| missing("thinking.budget_tokens"))?;
            reasoning.budget_tokens = Some(whole_number(budget, "thinking.budget_tokens")?);
        }
        // Without a word the model's effort is high.
        "adaptive" => reasoning.effort = reasoning.effort.or(Some(Effort::High)),
        "disabled" => *reasoning = disabled(),
        _ => return Err(invalid("thinking.type", "must be `enabled`, `adaptive` or `disabled`")),
    }
    Ok(())
}

fn disabled() -> Reasoning<'static> {
    Reasoning { effort: Some(Effort::None), budget_tokens: Some(0), ..Reasoning::default() }
}

pub(super) fn read_output_config<'a>(value: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    if value.kind() != Kind::Object {
        return Err(invalid("output_config", "must be an object"));
    }
    for (key, value) in value.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            b"effort" => {
                let word = string(value, "output_config.effort")?;
                let effort = Effort::of(&word.decoded());
                let effort = effort
                    .ok_or_else(|| invalid("output_config.effort", "must be a known word of effort"))?;
                let reasoning = request.reasoning.get_or_insert_default();
                // Thinking that is switched off stays off.
                if reasoning.effort != Some(Effort::None) {
                    reasoning.effort = Some(effort);
                }
            }
            b"format" => read_format(value, "output_config.format", request)?,
            other => {
                let name = format!("output_config.{}", String::from_utf8_lossy(other));
                keep(&mut request.extras, name, value);
            }
        }
    }
    Ok(())
}

/// The schema of the answer. The provider holds the model to it; where the schema allows that elsewhere, so will others.
pub(super) fn read_format<'a>(value: Node<'a>, path: &str, request: &mut Request<'a>) -> Result<(), Refusal> {
    let kind = value.get("type").and_then(Node::text).ok_or_else(|| missing(format!("{path}.type")))?;
    if *kind != *"json_schema" {
        return Err(invalid(format!("{path}.type"), "must be `json_schema`"));
    }
    let schema = value.get("schema").ok_or_else(|| missing(format!("{path}.schema")))?;
    if schema.kind() != Kind::Object {
        return Err(invalid(format!("{path}.schema"), "must be an object"));
    }
    let text = |key: &str| value.get(key).and_then(Node::escaped).map(Text::escaped);
    request.format = Format::Schema {
        name: text("name"),
        description: text("description"),
        schema: schema.raw(),
        strict: is_strict(schema).then_some(true),
    };
    Ok(())
}

/// Whether a schema leaves nothing open, as strict modes demand it: every object names all its properties as required and
/// allows no others.
fn is_strict(schema: Node<'_>) -> bool {
    let properties = schema.get("properties");
    let is_object = properties.is_some() || schema.get("type").and_then(Node::escaped) == Some(b"object");
    let required: Vec<_> =
        schema.get("required").into_iter().flat_map(Node::items).filter_map(Node::text).collect();
    let is_required = |key: &[u8]| required.iter().any(|name| name.as_bytes() == key);
    let is_closed = || schema.get("additionalProperties").and_then(Node::bool) == Some(false);
    let mut names = properties.into_iter().flat_map(Node::members).map(|(key, _)| key);
    if is_object && !(is_closed() && names.all(|key| is_required(&key))) {
        return false;
    }
    let maps = ["properties", "$defs", "definitions"].into_iter().filter_map(|key| schema.get(key));
    let lists = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| schema.get(key));
    let in_maps = maps.flat_map(Node::members).map(|(_, inner)| inner);
    in_maps.chain(lists.flat_map(Node::items)).chain(schema.get("items")).all(is_strict)
}

/// What only the whole request tells: without tools there is nothing to choose.
pub(super) fn settle(request: &mut Request<'_>) {
    if request.tools.is_empty() {
        request.tool_choice = None;
        request.parallel_tool_calls = None;
    }
}
