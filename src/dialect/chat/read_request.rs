//! Reads a client's chat request. A field of the wrong kind is refused with its path; a field without a word in the
//! middle is kept as an extra.

use super::{read_messages, read_tools};
use crate::base::Refusal;
use crate::dialect::middle::{Effort, Extra, Format, Reasoning, Request, Text, ToolChoice};
use crate::wire::json::{Kind, Node};

/// Reads a request. Null counts as absent, as it does with OpenAI.
pub fn read_request<'a>(body: Node<'a>) -> Result<Request<'a>, Refusal> {
    let mut request = Request::default();
    let mut later = Later::default();
    let mut has_messages = false;
    for (name, value) in body.members().filter(|(_, value)| !value.is_null()) {
        let Ok(name) = std::str::from_utf8(&name) else { continue };
        match name {
            "model" => request.model = text(value, name)?,
            "messages" => {
                has_messages = true;
                request.turns = read_messages::turns(value)?;
            }
            "tools" => request.tools.extend(read_tools::tools(value)?),
            "functions" => request.tools.extend(read_tools::functions(value)?),
            "tool_choice" => request.tool_choice = Some(read_tools::choice(value)?),
            "function_call" => later.function_call = Some(read_tools::function_choice(value)?),
            "stream" => request.stream = boolean(value, name)?,
            _ if read_scalar(&mut request, &mut later, name, value)? => {}
            _ => request.extras.push(Extra { name: name.to_owned(), raw: value.raw() }),
        }
    }
    if !has_messages {
        let hint = match body.get("input") {
            Some(_) => "`messages` is missing. `input` belongs to the responses endpoint.",
            None => "`messages` is missing.",
        };
        return Err(Refusal::invalid("missing_required_parameter", hint).about("messages"));
    }
    later.settle(&mut request);
    Ok(request)
}

/// What can only be said when all members were seen, because one field wins over another.
#[derive(Default)]
struct Later<'a> {
    max_completion_tokens: Option<u64>,
    user: Option<Text<'a>>,
    safety_identifier: Option<Text<'a>>,
    function_call: Option<ToolChoice<'a>>,
    reasoning_effort: Option<Effort>,
    thinking: Option<Reasoning<'a>>,
}

impl<'a> Later<'a> {
    fn settle(self, request: &mut Request<'a>) {
        request.max_tokens = self.max_completion_tokens.or(request.max_tokens);
        request.user = self.safety_identifier.or(self.user);
        request.tool_choice = request.tool_choice.take().or(self.function_call);
        if let Some(effort) = self.reasoning_effort {
            request.reasoning.get_or_insert_default().effort = Some(effort);
        }
        if request.reasoning.is_none() {
            request.reasoning = self.thinking;
        }
    }
}

/// Reads a field that holds one value or a small object; false when the name is not one of them.
fn read_scalar<'a>(
    request: &mut Request<'a>,
    later: &mut Later<'a>,
    name: &str,
    value: Node<'a>,
) -> Result<bool, Refusal> {
    match name {
        "max_tokens" => request.max_tokens = Some(count(value, name)?),
        "max_completion_tokens" => later.max_completion_tokens = Some(count(value, name)?),
        "temperature" => request.temperature = Some(number(value, name)?),
        "top_p" => request.top_p = Some(number(value, name)?),
        "top_k" => request.top_k = Some(number(value, name)?),
        "frequency_penalty" => request.frequency_penalty = Some(number(value, name)?),
        "presence_penalty" => request.presence_penalty = Some(number(value, name)?),
        "seed" => request.seed = Some(number(value, name)?),
        "n" => request.choices_count = Some(count(value, name)?),
        "logprobs" => request.logprobs = Some(boolean(value, name)?),
        "top_logprobs" => request.top_logprobs = Some(count(value, name)?),
        "parallel_tool_calls" => request.parallel_tool_calls = Some(boolean(value, name)?),
        "stop" => request.stop = stop(value)?,
        "response_format" => request.format = format(value)?,
        "reasoning_effort" => later.reasoning_effort = effort(value, name)?,
        "reasoning" => request.reasoning = Some(reasoning(value)?),
        "thinking" => later.thinking = thinking(value)?,
        "user" => later.user = Some(text(value, name)?),
        "safety_identifier" => later.safety_identifier = Some(text(value, name)?),
        "service_tier" => request.service_tier = Some(text(value, name)?),
        "metadata" => request.metadata = Some(object(value, name)?.raw()),
        "stream_options" => {
            let usage = object(value, name)?.get("include_usage");
            let path = "stream_options.include_usage";
            request.include_usage = usage.map(|usage| boolean(usage, path)).transpose()?.unwrap_or(false);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// One text or several.
fn stop(value: Node<'_>) -> Result<Vec<Text<'_>>, Refusal> {
    match value.kind() {
        Kind::String => Ok(vec![text(value, "stop")?]),
        Kind::Array => {
            value.items().enumerate().map(|(index, item)| text(item, &format!("stop[{index}]"))).collect()
        }
        _ => Err(wrong("stop", "must be a string or an array of strings")),
    }
}

fn format(value: Node<'_>) -> Result<Format<'_>, Refusal> {
    let kind = text(required(value, "response_format", "type")?, "response_format.type")?;
    match &*kind.decoded() {
        "text" => Ok(Format::Text),
        "json_object" => Ok(match value.get("schema") {
            // A schema beside the type is how some providers had structured output before OpenAI.
            Some(schema) => {
                Format::Schema { name: None, description: None, schema: schema.raw(), strict: None }
            }
            None => Format::Json,
        }),
        "json_schema" => {
            let path = "response_format.json_schema";
            let inner = object(required(value, "response_format", "json_schema")?, path)?;
            let schema = object(required(inner, path, "schema")?, "response_format.json_schema.schema")?;
            Ok(Format::Schema {
                name: optional_text(inner, path, "name")?,
                description: optional_text(inner, path, "description")?,
                schema: schema.raw(),
                strict: inner.get("strict").map(|strict| boolean(strict, path)).transpose()?,
            })
        }
        _ => Err(wrong("response_format.type", "must be one of `text`, `json_object` and `json_schema`")),
    }
}

/// A word for the effort. `default` and `auto`, which some providers know, ask for nothing.
fn effort(value: Node<'_>, path: &str) -> Result<Option<Effort>, Refusal> {
    let word = text(value, path)?;
    let word = word.decoded();
    if matches!(&*word, "default" | "auto") {
        return Ok(None);
    }
    let names = "must be one of `none`, `minimal`, `low`, `medium`, `high`, `xhigh` and `max`";
    Effort::of(&word).map(Some).ok_or_else(|| wrong(path, names))
}

/// `reasoning: {effort, max_tokens, enabled, exclude, summary}`, as routers have it.
fn reasoning(value: Node<'_>) -> Result<Reasoning<'_>, Refusal> {
    let value = object(value, "reasoning")?;
    let flag = |name: &str| {
        let path = format!("reasoning.{name}");
        value.get(name).map(|flag| boolean(flag, &path)).transpose()
    };
    let mut read = Reasoning {
        effort: match value.get("effort") {
            Some(word) => effort(word, "reasoning.effort")?,
            None => None,
        },
        budget_tokens: match value.get("max_tokens") {
            Some(tokens) => Some(count(tokens, "reasoning.max_tokens")?),
            None => None,
        },
        shows: flag("exclude")?.map(|is_excluded| !is_excluded),
        summary: optional_text(value, "reasoning", "summary")?,
    };
    match flag("enabled")? {
        Some(false) => (read.effort, read.budget_tokens) = (Some(Effort::None), None),
        Some(true) if read.effort.is_none() && read.budget_tokens.is_none() => {
            read.effort = Some(Effort::Medium);
        }
        _ => {}
    }
    Ok(read)
}

/// `thinking: {type, budget_tokens}`, as many providers took it over from Anthropic.
fn thinking(value: Node<'_>) -> Result<Option<Reasoning<'_>>, Refusal> {
    let value = object(value, "thinking")?;
    let kind = text(required(value, "thinking", "type")?, "thinking.type")?;
    let budget =
        value.get("budget_tokens").map(|tokens| count(tokens, "thinking.budget_tokens")).transpose()?;
    let (effort, budget_tokens) = match (&*kind.decoded(), budget) {
        ("disabled", _) => (Some(Effort::None), None),
        ("enabled", Some(budget)) => (None, Some(budget)),
        ("enabled", None) => (Some(Effort::Medium), None),
        // The model decides how much, and Anthropic's default for it is high.
        ("adaptive", _) => (Some(Effort::High), None),
        ("auto", _) => return Ok(None),
        _ => return Err(wrong("thinking.type", "must be one of `enabled`, `disabled` and `adaptive`")),
    };
    Ok(Some(Reasoning { effort, budget_tokens, ..Reasoning::default() }))
}

/// A refusal of a value: the field, and what it must be.
pub(super) fn wrong(path: &str, must: &str) -> Refusal {
    Refusal::invalid("invalid_value", format!("`{path}` {must}.")).about(path)
}

pub(super) fn text<'a>(value: Node<'a>, path: &str) -> Result<Text<'a>, Refusal> {
    value.escaped().map(Text::escaped).ok_or_else(|| wrong(path, "must be a string"))
}

pub(super) fn boolean(value: Node<'_>, path: &str) -> Result<bool, Refusal> {
    value.bool().ok_or_else(|| wrong(path, "must be true or false"))
}

pub(super) fn object<'a>(value: Node<'a>, path: &str) -> Result<Node<'a>, Refusal> {
    if value.kind() == Kind::Object { Ok(value) } else { Err(wrong(path, "must be an object")) }
}

pub(super) fn array<'a>(value: Node<'a>, path: &str) -> Result<Node<'a>, Refusal> {
    if value.kind() == Kind::Array { Ok(value) } else { Err(wrong(path, "must be an array")) }
}

/// A member that must be there; `path` is the path of its object.
pub(super) fn required<'a>(value: Node<'a>, path: &str, key: &str) -> Result<Node<'a>, Refusal> {
    present(value.get(key), path, key)
}

/// The same for a member that was looked for already.
pub(super) fn present<'a>(member: Option<Node<'a>>, path: &str, key: &str) -> Result<Node<'a>, Refusal> {
    member.ok_or_else(|| {
        let path = format!("{path}.{key}");
        Refusal::invalid("missing_required_parameter", format!("`{path}` is missing.")).about(path)
    })
}

pub(super) fn required_text<'a>(value: Node<'a>, path: &str, key: &str) -> Result<Text<'a>, Refusal> {
    text(required(value, path, key)?, &format!("{path}.{key}"))
}

pub(super) fn optional_text<'a>(value: Node<'a>, path: &str, key: &str) -> Result<Option<Text<'a>>, Refusal> {
    value.get(key).map(|inner| text(inner, &format!("{path}.{key}"))).transpose()
}

fn count(value: Node<'_>, path: &str) -> Result<u64, Refusal> {
    value.u64().ok_or_else(|| wrong(path, "must be a whole number that is not negative"))
}

fn number<'a>(value: Node<'a>, path: &str) -> Result<&'a [u8], Refusal> {
    if value.kind() == Kind::Number { Ok(value.raw()) } else { Err(wrong(path, "must be a number")) }
}

#[cfg(test)]
mod tests;
