//! Reads a request of the Responses API into the middle. Never guesses: a field of the wrong kind is refused by its name,
//! a field without a place in the middle becomes an extra.

use super::fields::{
    is_word, missing, need_array, need_bool, need_count, need_number, need_object, need_text, text,
    wrong_kind, wrong_value,
};
use super::read_input;
use crate::base::Refusal;
use crate::dialect::middle::{
    Effort, Extra, Format, Part, Reasoning, Request, Role, Tool, ToolChoice, ToolKind, Turn,
};
use crate::wire::json::{Kind, Node};

/// Reads a client's request. `previous_response_id`, `conversation`, items that are references and `background` are
/// refused by name: they need a store.
pub fn read_request<'a>(body: Node<'a>) -> Result<Request<'a>, Refusal> {
    let mut request = Request::default();
    if let Some(instructions) = body.get("instructions") {
        read_instructions(instructions, &mut request)?;
    }
    for (name, value) in body.members().filter(|(_, value)| !value.is_null()) {
        let name = String::from_utf8_lossy(&name);
        if !read_field(&name, value, &mut request)? && !read_object_field(&name, value, &mut request)? {
            request.extras.push(Extra { name: name.into_owned(), raw: value.raw() });
        }
    }
    if request.model.is_empty() {
        return Err(missing("model"));
    }
    let has_prompt = request.extras.iter().any(|extra| extra.name == "prompt");
    if body.get("input").is_none() && !has_prompt {
        return Err(missing("input"));
    }
    // Usage is a part of every stream's last event in this dialect.
    request.include_usage = true;
    Ok(request)
}

/// Fields that hold one value. Says whether the field was one of them.
fn read_field<'a>(name: &str, value: Node<'a>, request: &mut Request<'a>) -> Result<bool, Refusal> {
    match name {
        "model" => request.model = need_text(value, name)?,
        "max_output_tokens" => request.max_tokens = Some(need_count(value, name)?),
        "temperature" => request.temperature = Some(need_number(value, name)?),
        "top_p" => request.top_p = Some(need_number(value, name)?),
        "parallel_tool_calls" => request.parallel_tool_calls = Some(need_bool(value, name)?),
        "stream" => request.stream = need_bool(value, name)?,
        "user" => request.user = Some(need_text(value, name)?),
        "service_tier" => request.service_tier = Some(need_text(value, name)?),
        "metadata" => request.metadata = Some(need_object(value, name)?.raw()),
        "top_logprobs" => {
            let count = need_count(value, name)?;
            if count > 0 {
                request.top_logprobs = Some(count);
                request.logprobs = Some(true);
            }
        }
        "truncation" => return Ok(value.text().is_some_and(|word| word == "disabled")),
        "background" if !need_bool(value, name)? => {}
        "background" => return Err(wrong_value(name, BACKGROUND.to_owned())),
        "previous_response_id" | "conversation" => {
            let sentence = format!(
                "`{name}` needs stored responses, which this route has none of: send all of `input`."
            );
            return Err(Refusal::invalid("unsupported_field", sentence).about(name));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Fields that hold more. Says whether the field was one of them.
fn read_object_field<'a>(name: &str, value: Node<'a>, request: &mut Request<'a>) -> Result<bool, Refusal> {
    match name {
        // Read before all others, because it stands in front of the conversation.
        "instructions" => {}
        "input" => read_input::read_input(value, &mut request.turns)?,
        "tools" => {
            for (index, tool) in need_array(value, name)?.items().enumerate() {
                request.tools.push(read_tool(tool, &format!("tools[{index}]"))?);
            }
        }
        "tool_choice" => request.tool_choice = Some(read_tool_choice(value)?),
        "text" => read_text(need_object(value, name)?, request)?,
        "reasoning" => read_reasoning(need_object(value, name)?, request)?,
        "include" => return read_include(value, request),
        "stream_options" => read_stream_options(need_object(value, name)?, request),
        _ => return Ok(false),
    }
    Ok(true)
}

/// A text, or items that the instructions consist of.
fn read_instructions<'a>(value: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    match value.kind() {
        Kind::String => {
            let text = need_text(value, "instructions")?;
            if !text.is_empty() {
                let parts = vec![Part::Text { text, cache_control: None }];
                request.turns.push(Turn { role: Role::System, parts, name: None });
            }
            Ok(())
        }
        Kind::Array => read_input::read_items(value, "instructions", &mut request.turns),
        _ => Err(wrong_kind("instructions", "a string")),
    }
}

fn read_tool<'a>(tool: Node<'a>, path: &str) -> Result<Tool<'a>, Refusal> {
    need_object(tool, path)?;
    let type_path = format!("{path}.type");
    let kind = tool.get("type").and_then(Node::text).ok_or_else(|| missing(&type_path))?;
    let kind = match &*kind {
        "function" => ToolKind::Function,
        "custom" => ToolKind::Custom,
        _ => ToolKind::Foreign,
    };
    let name = if kind == ToolKind::Foreign { "type" } else { "name" };
    let name = tool.get(name).and_then(text).ok_or_else(|| missing(&format!("{path}.name")))?;
    let schema = match kind {
        ToolKind::Function => tool.get("parameters"),
        // The grammar of a custom tool's input, in this dialect's flat form.
        ToolKind::Custom => tool.get("format"),
        ToolKind::Foreign => Some(tool),
    };
    Ok(Tool {
        kind,
        name,
        description: tool.get("description").and_then(text),
        schema: schema.map(Node::raw),
        strict: if kind == ToolKind::Function { read_strict(tool) } else { None },
        cache_control: tool.get("cache_control").map(Node::raw),
    })
}

/// Strict is the default of this API, other than in chat completions; an explicit null leaves it to the model's side.
fn read_strict(tool: Node<'_>) -> Option<bool> {
    match tool.members().filter(|(key, _)| **key == *b"strict").last() {
        Some((_, value)) => value.bool(),
        None => Some(true),
    }
}

fn read_tool_choice<'a>(value: Node<'a>) -> Result<ToolChoice<'a>, Refusal> {
    if value.kind() == Kind::Object {
        let is_named = is_word(value, "type", "function") || is_word(value, "type", "custom");
        return match value.get("name").and_then(text) {
            Some(name) if is_named => Ok(ToolChoice::Named(name)),
            _ if is_named => Err(missing("tool_choice.name")),
            _ => Ok(ToolChoice::Foreign(value.raw())),
        };
    }
    match value.text().as_deref() {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("none") => Ok(ToolChoice::None),
        Some("required") => Ok(ToolChoice::Required),
        _ => Err(wrong_value(
            "tool_choice",
            "`tool_choice` must be `auto`, `none`, `required` or an object.".to_owned(),
        )),
    }
}

fn read_text<'a>(value: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    for (key, value) in value.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            b"format" => request.format = read_format(need_object(value, "text.format")?)?,
            // The chat dialect has it at the top level, under this name.
            b"verbosity" => request.extras.push(Extra { name: "verbosity".to_owned(), raw: value.raw() }),
            _ => request.extras.push(nested("text", &key, value)),
        }
    }
    Ok(())
}

fn read_format<'a>(value: Node<'a>) -> Result<Format<'a>, Refusal> {
    match value.get("type").and_then(Node::text).as_deref() {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Json),
        Some("json_schema") => Ok(Format::Schema {
            name: value.get("name").and_then(text),
            description: value.get("description").and_then(text),
            schema: value.get("schema").ok_or_else(|| missing("text.format.schema"))?.raw(),
            strict: value.get("strict").and_then(Node::bool),
        }),
        _ => Err(wrong_value(
            "text.format.type",
            "`text.format.type` must be `text`, `json_object` or `json_schema`.".to_owned(),
        )),
    }
}

fn read_reasoning<'a>(value: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    let mut reasoning = Reasoning::default();
    for (key, value) in value.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            b"effort" => {
                let word = value.text().unwrap_or_default();
                let effort = Effort::of(&word).ok_or_else(|| {
                    let words: Vec<&str> = Effort::ALL.into_iter().map(Effort::name).collect();
                    let sentence = format!("`reasoning.effort` must be one of {}.", words.join(", "));
                    wrong_value("reasoning.effort", sentence)
                })?;
                reasoning.effort = Some(effort);
            }
            // The second is the first one's old name.
            b"summary" | b"generate_summary" => {
                reasoning.summary = Some(need_text(value, "reasoning.summary")?);
                reasoning.shows = Some(true);
            }
            _ => request.extras.push(nested("reasoning", &key, value)),
        }
    }
    request.reasoning = Some(reasoning);
    Ok(())
}

/// Encrypted reasoning comes back anyway and logprobs have a word in the middle; other wishes are an extra.
fn read_include<'a>(value: Node<'a>, request: &mut Request<'a>) -> Result<bool, Refusal> {
    let mut is_known = true;
    for item in need_array(value, "include")?.items() {
        match item.text().as_deref() {
            Some("reasoning.encrypted_content") => {}
            Some("message.output_text.logprobs") => request.logprobs = Some(true),
            _ => is_known = false,
        }
    }
    Ok(is_known)
}

/// Padding against the measuring of tokens by their length is the only option that there is; ours have none.
fn read_stream_options<'a>(value: Node<'a>, request: &mut Request<'a>) {
    for (key, value) in value.members() {
        let is_known = matches!(&*key, b"include_usage")
            || (*key == *b"include_obfuscation" && value.bool() == Some(false));
        if !is_known {
            request.extras.push(nested("stream_options", &key, value));
        }
    }
}

fn nested<'a>(field: &str, key: &[u8], value: Node<'a>) -> Extra<'a> {
    Extra { name: format!("{field}.{}", String::from_utf8_lossy(key)), raw: value.raw() }
}

const BACKGROUND: &str = "`background` needs stored responses, which this route has none of.";
