//! Tools and the choice among them, for a provider of this dialect.

use super::super::middle::{Extra, Report, Request, Tool, ToolChoice, ToolKind};
use super::names::Names;
use super::spelling::{field, member, member_raw, separate};
use super::write_request::{IN_TOOL_CONFIG, is_own, write_dotted};
use crate::wire::json::Node;

/// Writes `tools`, if there are any, and gives the number of functions among them.
pub(super) fn write_tools(
    tools: &[Tool<'_>],
    has_search: bool,
    names: &Names,
    report: &mut Report,
    out: &mut Vec<u8>,
) -> usize {
    let start = out.len();
    member("tools", out);
    out.push(b'[');
    let empty = out.len();
    let functions_count = tools.iter().filter(|tool| tool.kind == ToolKind::Function).count();
    if functions_count > 0 {
        out.extend_from_slice(b"{\"functionDeclarations\":[");
        for tool in tools.iter().filter(|tool| tool.kind == ToolKind::Function) {
            write_function(tool, names, report, out);
        }
        out.extend_from_slice(b"]}");
    }
    for (index, tool) in tools.iter().enumerate().filter(|(_, tool)| tool.kind != ToolKind::Function) {
        write_other(tool, index, report, out);
    }
    if has_search {
        separate(out);
        out.extend_from_slice(b"{\"googleSearch\":{}}");
    }
    if out.len() == empty {
        out.truncate(start);
    } else {
        out.push(b']');
    }
    functions_count
}

fn write_function(tool: &Tool<'_>, names: &Names, report: &mut Report, out: &mut Vec<u8>) {
    // A call is always held to its schema or never, whatever single tools ask for.
    if tool.strict == Some(true) {
        report.edited("tools.strict");
    }
    if tool.cache_control.is_some() {
        report.edited("cache_control");
    }
    separate(out);
    out.extend_from_slice(b"{\"name\":");
    names.write(&tool.name, out);
    if let Some(description) = &tool.description {
        member("description", out);
        description.write(out);
    }
    if let Some(schema) = tool.schema {
        member_raw("parametersJsonSchema", schema, out);
    }
    out.push(b'}');
}

/// A tool of the provider's own, if it is one: written under its name alone, since functions may have stood beside it.
fn write_other(tool: &Tool<'_>, index: usize, report: &mut Report, out: &mut Vec<u8>) {
    let name = tool.name.decoded();
    let own = tool.schema.filter(|raw| tool.kind == ToolKind::Foreign && is_own(raw, &name));
    match own.and_then(|raw| field(Node::scanned(raw), &name)) {
        Some(value) => {
            separate(out);
            out.push(b'{');
            member_raw(&name, value.raw(), out);
            out.push(b'}');
        }
        None => report.unsupported(format!("tools[{index}]")),
    }
}

/// Writes `toolConfig`. A choice among no functions is none: it is left out.
pub(super) fn write_tool_config(
    request: &Request<'_>,
    functions_count: usize,
    names: &Names,
    report: &mut Report,
    out: &mut Vec<u8>,
) {
    let is_dotted = |extra: &Extra<'_>| extra.name.starts_with(IN_TOOL_CONFIG);
    let choice = request.tool_choice.as_ref().filter(|_| functions_count > 0);
    if choice.is_none() && !request.extras.iter().any(is_dotted) {
        return;
    }
    let start = out.len();
    member("toolConfig", out);
    out.push(b'{');
    let empty = out.len();
    if let Some(choice) = choice {
        write_choice(choice, names, report, out);
    }
    write_dotted(&request.extras, IN_TOOL_CONFIG, out);
    if out.len() == empty {
        out.truncate(start);
    } else {
        out.push(b'}');
    }
}

fn write_choice(choice: &ToolChoice<'_>, names: &Names, report: &mut Report, out: &mut Vec<u8>) {
    const NAME: &str = "functionCallingConfig";
    match choice {
        ToolChoice::Auto => member_raw(NAME, b"{\"mode\":\"AUTO\"}", out),
        ToolChoice::None => member_raw(NAME, b"{\"mode\":\"NONE\"}", out),
        ToolChoice::Required => member_raw(NAME, b"{\"mode\":\"ANY\"}", out),
        ToolChoice::Named(name) => {
            member(NAME, out);
            out.extend_from_slice(b"{\"mode\":\"ANY\",\"allowedFunctionNames\":[");
            names.write(name, out);
            out.extend_from_slice(b"]}");
        }
        ToolChoice::Foreign(raw) if is_own(raw, "mode") => member_raw(NAME, raw, out),
        ToolChoice::Foreign(_) => report.unsupported("tool_choice"),
    }
}
