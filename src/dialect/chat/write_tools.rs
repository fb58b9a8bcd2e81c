//! Writes tools and the choice of them.

use super::names::Names;
use super::write_request::{comma, member, text_member};
use crate::dialect::middle::{Format, Report, Request, Rules, Text, Tool, ToolChoice, ToolKind};
use crate::wire::json::{self, Kind, Node};

/// Appends `tools`, `tool_choice` and `parallel_tool_calls`. Without tools OpenAI refuses the other two, so all three are
/// left out.
pub(super) fn write(
    request: &Request<'_>,
    rules: &Rules,
    with_answer_tool: bool,
    names: &mut Names,
    report: &mut Report,
    out: &mut Vec<u8>,
) {
    let mut count = 0;
    let start = out.len();
    out.extend_from_slice(b",\"tools\":[");
    for tool in &request.tools {
        let end = out.len();
        comma(count, out);
        if write_tool(tool, rules, names, out) {
            count += 1;
        } else {
            out.truncate(end);
            report.unsupported(format!("tools.{}", tool.name.decoded()));
        }
    }
    if with_answer_tool {
        comma(count, out);
        write_answer_tool(&request.format, out);
        count += 1;
    }
    if count == 0 {
        return out.truncate(start);
    }
    out.push(b']');
    let choice = match (&request.tool_choice, with_answer_tool) {
        (_, true) if request.tools.is_empty() => {
            Some(ToolChoice::Named(Text::escaped(ANSWER_TOOL.as_bytes())))
        }
        // The answer itself is a call of a tool: the model must make that one or another.
        (None | Some(ToolChoice::Auto | ToolChoice::None), true) => Some(ToolChoice::Required),
        (choice, _) => choice.clone(),
    };
    if let Some(choice) = choice {
        write_choice(&choice, request, names, report, out);
    }
    if let Some(allowed) = request.parallel_tool_calls {
        member("parallel_tool_calls", if allowed { b"true" } else { b"false" }, out);
    }
}

/// Appends a tool; false when it is one that the dialect does not know.
fn write_tool(tool: &Tool<'_>, rules: &Rules, names: &mut Names, out: &mut Vec<u8>) -> bool {
    let kind = match tool.kind {
        ToolKind::Function => "function",
        ToolKind::Custom => "custom",
        ToolKind::Foreign => return write_own_custom(tool, out),
    };
    out.extend_from_slice(format!("{{\"type\":\"{kind}\",\"{kind}\":{{\"name\":").as_bytes());
    names.write(&tool.name, out);
    if let Some(description) = &tool.description {
        text_member("description", description, out);
    }
    if tool.kind == ToolKind::Function {
        // Several providers demand a schema.
        member("parameters", tool.schema.unwrap_or(b"{\"type\":\"object\",\"properties\":{}}"), out);
        if let Some(strict) = tool.strict {
            member("strict", if strict { b"true" } else { b"false" }, out);
        }
    }
    out.push(b'}');
    if let Some(mark) = tool.cache_control.filter(|_| rules.takes_cache_control) {
        member("cache_control", mark, out);
    }
    out.push(b'}');
    true
}

/// A custom tool with a grammar, as this dialect spells it.
fn write_own_custom(tool: &Tool<'_>, out: &mut Vec<u8>) -> bool {
    let raw = tool.schema.unwrap_or_default();
    let is_own = tool.name.is("custom")
        && Node::scanned(raw).get("custom").is_some_and(|inner| inner.kind() == Kind::Object);
    if is_own {
        out.extend_from_slice(raw);
    }
    is_own
}

fn write_answer_tool(format: &Format<'_>, out: &mut Vec<u8>) {
    let Format::Schema { description, schema, strict, .. } = format else { return };
    out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
    json::write_string(ANSWER_TOOL, out);
    match description {
        Some(description) => text_member("description", description, out),
        None => member("description", b"\"Gives the answer.\"", out),
    }
    member("parameters", schema, out);
    if let Some(strict) = strict {
        member("strict", if *strict { b"true" } else { b"false" }, out);
    }
    out.extend_from_slice(b"}}");
}

fn write_choice(
    choice: &ToolChoice<'_>,
    request: &Request<'_>,
    names: &mut Names,
    report: &mut Report,
    out: &mut Vec<u8>,
) {
    match choice {
        ToolChoice::Auto => member("tool_choice", b"\"auto\"", out),
        ToolChoice::None => member("tool_choice", b"\"none\"", out),
        ToolChoice::Required => member("tool_choice", b"\"required\"", out),
        ToolChoice::Named(name) => {
            let is_it =
                |tool: &&Tool<'_>| tool.kind == ToolKind::Custom && tool.name.decoded() == name.decoded();
            let kind = if request.tools.iter().any(|tool| is_it(&tool)) { "custom" } else { "function" };
            out.extend_from_slice(
                format!(",\"tool_choice\":{{\"type\":\"{kind}\",\"{kind}\":{{\"name\":").as_bytes(),
            );
            names.write(name, out);
            out.extend_from_slice(b"}}");
        }
        // The dialect's own choice among allowed tools stands in an object of that name; others' does not.
        ToolChoice::Foreign(raw) => match Node::scanned(raw).get("allowed_tools") {
            Some(inner) if inner.kind() == Kind::Object => member("tool_choice", raw, out),
            _ => report.unsupported("tool_choice"),
        },
    }
}

/// The tool whose input is the answer.
pub(super) const ANSWER_TOOL: &str = "json_answer";
