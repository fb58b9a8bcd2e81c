//! Reads a client's request. What it demands and how it counts is Anthropic's reference of `POST /v1/messages`; a member
//! that is not known is kept for the writer to judge, with its path as the name.

mod blocks;
mod settings;

use std::fmt;

use crate::base::Refusal;
use crate::dialect::middle::{Extra, Part, Request, Role, Text, Tool, ToolKind, Turn};
use crate::wire::json::{Kind, Node};

/// Reads a client's request. Errors are refusals with the field's path in `param`.
pub fn read_request<'a>(body: Node<'a>) -> Result<Request<'a>, Refusal> {
    let mut request = Request::default();
    let mut system = Vec::new();
    for (key, value) in body.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            b"model" => request.model = string(value, "model")?,
            b"system" => read_system(value, &mut system)?,
            b"messages" => read_messages(value, &mut request)?,
            b"tools" => read_tools(value, &mut request)?,
            b"tool_choice" => settings::read_tool_choice(value, &mut request)?,
            b"max_tokens" => request.max_tokens = Some(whole_number(value, "max_tokens")?),
            b"temperature" => request.temperature = Some(number(value, "temperature")?),
            b"top_p" => request.top_p = Some(number(value, "top_p")?),
            b"top_k" => request.top_k = Some(number(value, "top_k")?),
            b"stop_sequences" => request.stop = strings(value, "stop_sequences")?,
            b"stream" => request.stream = boolean(value, "stream")?,
            b"metadata" => settings::read_metadata(value, &mut request)?,
            b"service_tier" => request.service_tier = Some(settings::service_tier(value)?),
            b"thinking" => settings::read_thinking(value, &mut request)?,
            b"output_config" => settings::read_output_config(value, &mut request)?,
            b"output_format" => settings::read_format(value, "output_format", &mut request)?,
            _ => keep(&mut request.extras, String::from_utf8_lossy(&key), value),
        }
    }
    for (name, is_missing) in [
        ("model", request.model.is_empty()),
        ("max_tokens", request.max_tokens.is_none()),
        ("messages", !request.turns.iter().any(|turn| turn.role != Role::System)),
    ] {
        if is_missing {
            return Err(missing(name));
        }
    }
    if !system.is_empty() {
        request.turns.insert(0, Turn { role: Role::System, parts: system, name: None });
    }
    settings::settle(&mut request);
    // Usage is a part of every stream of the dialect.
    request.include_usage = true;
    Ok(request)
}

/// The system prompt: a text, or blocks of which each keeps its cache mark.
fn read_system<'a>(value: Node<'a>, parts: &mut Vec<Part<'a>>) -> Result<(), Refusal> {
    match value.kind() {
        Kind::String => parts.extend(plain_text(value)),
        Kind::Array => {
            for (index, block) in value.items().enumerate() {
                let at = At { parent: None, name: "system", index };
                let text = block.get("text").and_then(Node::text).unwrap_or_default();
                if index > 0 || !text.starts_with(BILLING_HEADER) {
                    parts.push(blocks::read_block(block, at, &mut Vec::new())?);
                }
            }
        }
        _ => return Err(invalid("system", "must be a string or an array of blocks")),
    }
    Ok(())
}

fn read_messages<'a>(value: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    if value.kind() != Kind::Array {
        return Err(invalid("messages", "must be an array"));
    }
    for (index, message) in value.items().enumerate() {
        let at = At { parent: None, name: "messages", index };
        let role = match message.get("role").and_then(Node::text).as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some(_) => return Err(invalid(at.member("role"), "must be `user`, `assistant` or `system`")),
            None => return Err(missing(at.member("role"))),
        };
        let content = message.get("content").ok_or_else(|| missing(at.member("content")))?;
        let mut parts = Vec::new();
        match content.kind() {
            Kind::String => parts.extend(plain_text(content)),
            Kind::Array => {
                for (index, block) in content.items().enumerate() {
                    let at = At { parent: Some(&at), name: "content", index };
                    parts.push(blocks::read_block(block, at, &mut request.extras)?);
                }
            }
            _ => return Err(invalid(at.member("content"), "must be a string or an array of blocks")),
        }
        request.turns.push(Turn { role, parts, name: None });
    }
    Ok(())
}

fn plain_text(value: Node<'_>) -> Option<Part<'_>> {
    let text = value.escaped().filter(|text| !text.is_empty())?;
    Some(Part::Text { text: Text::escaped(text), cache_control: None })
}

fn read_tools<'a>(value: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    if value.kind() != Kind::Array {
        return Err(invalid("tools", "must be an array"));
    }
    for (index, tool) in value.items().enumerate() {
        let at = At { parent: None, name: "tools", index };
        let kind = tool.get("type").and_then(Node::text);
        request.tools.push(match kind.as_deref() {
            None | Some("custom") => read_tool(tool, at, &mut request.extras)?,
            Some(_) => Tool {
                kind: ToolKind::Foreign,
                name: Text::escaped(tool.get("name").and_then(Node::escaped).unwrap_or_default()),
                description: None,
                schema: Some(tool.raw()),
                strict: None,
                cache_control: None,
            },
        });
    }
    Ok(())
}

/// A tool of the client. Its type, `custom`, is this dialect's word for what others call a function.
fn read_tool<'a>(tool: Node<'a>, at: At<'_>, extras: &mut Vec<Extra<'a>>) -> Result<Tool<'a>, Refusal> {
    let mut read = Tool {
        kind: ToolKind::Function,
        name: Text::default(),
        description: None,
        schema: None,
        strict: None,
        cache_control: None,
    };
    for (key, value) in tool.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            b"name" => read.name = string(value, at.member("name"))?,
            b"description" => read.description = Some(string(value, at.member("description"))?),
            b"input_schema" if value.kind() == Kind::Object => read.schema = Some(value.raw()),
            b"input_schema" => return Err(invalid(at.member("input_schema"), "must be an object")),
            b"strict" => read.strict = Some(boolean(value, at.member("strict"))?),
            b"cache_control" => read.cache_control = Some(value.raw()),
            // How a tool is brought to the model, not what it is.
            b"type" | b"defer_loading" | b"eager_input_streaming" => {}
            other => keep(extras, at.member(&String::from_utf8_lossy(other)), value),
        }
    }
    if read.name.is_empty() {
        return Err(missing(at.member("name")));
    }
    Ok(read)
}

/// Where a value stands, for a refusal's `param`.
#[derive(Clone, Copy)]
struct At<'p> {
    parent: Option<&'p At<'p>>,
    name: &'static str,
    index: usize,
}

impl At<'_> {
    fn member(&self, name: &str) -> String {
        format!("{self}.{name}")
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        write!(f, "{}[{}]", self.name, self.index)
    }
}

fn keep<'a>(extras: &mut Vec<Extra<'a>>, name: impl Into<String>, value: Node<'a>) {
    extras.push(Extra { name: name.into(), raw: value.raw() });
}

fn string<'a>(value: Node<'a>, path: impl fmt::Display) -> Result<Text<'a>, Refusal> {
    value.escaped().map(Text::escaped).ok_or_else(|| invalid(path, "must be a string"))
}

fn strings<'a>(value: Node<'a>, path: &str) -> Result<Vec<Text<'a>>, Refusal> {
    if value.kind() != Kind::Array {
        return Err(invalid(path, "must be an array of strings"));
    }
    value.items().enumerate().map(|(index, item)| string(item, format_args!("{path}[{index}]"))).collect()
}

fn boolean(value: Node<'_>, path: impl fmt::Display) -> Result<bool, Refusal> {
    value.bool().ok_or_else(|| invalid(path, "must be true or false"))
}

fn number<'a>(value: Node<'a>, path: &str) -> Result<&'a [u8], Refusal> {
    value.f64().map(|_| value.raw()).ok_or_else(|| invalid(path, "must be a number"))
}

fn whole_number(value: Node<'_>, path: &str) -> Result<u64, Refusal> {
    value.u64().ok_or_else(|| invalid(path, "must be a whole number that is not negative"))
}

fn invalid(path: impl fmt::Display, what: &str) -> Refusal {
    Refusal::invalid("invalid_type", format!("`{path}` {what}.")).about(path.to_string())
}

/// A required field is absent, in the words of the API itself.
fn missing(path: impl fmt::Display) -> Refusal {
    Refusal::invalid("missing_required_parameter", format!("{path}: Field required")).about(path.to_string())
}

/// How the block begins that Claude Code puts in front of its system prompt.
const BILLING_HEADER: &str = "x-anthropic-billing-header:";

#[cfg(test)]
mod tests;
