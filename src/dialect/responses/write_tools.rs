//! Writes the tools of a request and the choice among them. Tools that another provider runs itself are reported.

use super::names::sendable;
use super::write_request::{write_bool, write_comma, write_member};
use crate::dialect::middle::{
    Format, Report, Request, Rules, StructuredOutput, Text, Tool, ToolChoice, ToolKind, Written,
};
use crate::wire::json::{self, Kind, Node};

/// Appends the tools and what goes with them; nothing when there are none.
pub fn write_tools(
    request: &Request<'_>,
    rules: &Rules,
    report: &mut Report,
    written: &mut Written,
    out: &mut Vec<u8>,
) {
    let answer = answer_tool(request, rules);
    let start = out.len();
    out.extend_from_slice(b",\"tools\":[");
    let before = out.len();
    for (index, tool) in request.tools.iter().enumerate() {
        if tool.kind == ToolKind::Foreign {
            report.unsupported(format!("tools[{index}]"));
            continue;
        }
        write_comma(before, out);
        write_tool(tool, report, written, out);
    }
    if let Some(schema) = answer {
        write_comma(before, out);
        out.extend_from_slice(b"{\"type\":\"function\",\"name\":\"answer\",\"strict\":false,\"parameters\":");
        out.extend_from_slice(schema);
        out.push(b'}');
        written.answer_tool = Some(ANSWER_TOOL);
    }
    if out.len() == before {
        // A choice among no tools is an error at the provider.
        out.truncate(start);
        return;
    }
    out.push(b']');
    match (answer, &request.tool_choice) {
        (Some(_), _) if request.tools.is_empty() => {
            out.extend_from_slice(b",\"tool_choice\":{\"type\":\"function\",\"name\":\"answer\"}");
        }
        (Some(_), Some(ToolChoice::Auto | ToolChoice::None) | None) => {
            out.extend_from_slice(b",\"tool_choice\":\"required\"");
        }
        (_, choice) => write_tool_choice(choice.as_ref(), &request.tools, report, out),
    }
    if let Some(is_parallel) = request.parallel_tool_calls {
        out.extend_from_slice(b",\"parallel_tool_calls\":");
        write_bool(is_parallel, out);
    }
}

/// The schema of the tool whose input is the answer, where the provider has no field for one.
fn answer_tool<'r>(request: &'r Request<'_>, rules: &Rules) -> Option<&'r [u8]> {
    match &request.format {
        Format::Schema { schema, .. } if rules.structured_output == StructuredOutput::Tool => Some(schema),
        _ => None,
    }
}

fn write_tool(tool: &Tool<'_>, report: &mut Report, written: &mut Written, out: &mut Vec<u8>) {
    let is_custom = tool.kind == ToolKind::Custom;
    out.extend_from_slice(if is_custom {
        b"{\"type\":\"custom\",\"name\":"
    } else {
        b"{\"type\":\"function\",\"name\":"
    });
    write_name(&tool.name, written, out);
    if let Some(description) = &tool.description {
        out.extend_from_slice(b",\"description\":");
        description.write(out);
    }
    match (is_custom, tool.schema) {
        (true, Some(format)) => write_custom_format(Node::scanned(format), out),
        (true, None) => {}
        (false, schema) => {
            out.extend_from_slice(b",\"parameters\":");
            out.extend_from_slice(schema.unwrap_or(b"{\"type\":\"object\",\"properties\":{}}"));
            // Other dialects mean no when they say nothing; here it would mean yes.
            out.extend_from_slice(b",\"strict\":");
            write_bool(tool.strict.unwrap_or(false), out);
        }
    }
    if tool.cache_control.is_some() {
        report.edited("cache_control");
    }
    out.push(b'}');
}

/// The grammar of a custom tool, which the chat dialect nests one level deeper.
fn write_custom_format(format: Node<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"format\":");
    let Some(grammar) = format.get("grammar").filter(|grammar| grammar.kind() == Kind::Object) else {
        out.extend_from_slice(format.raw());
        return;
    };
    out.extend_from_slice(b"{\"type\":\"grammar\"");
    for key in ["syntax", "definition"] {
        if let Some(value) = grammar.get(key) {
            write_member(key, value.raw(), out);
        }
    }
    out.push(b'}');
}

fn write_tool_choice(
    choice: Option<&ToolChoice<'_>>,
    tools: &[Tool<'_>],
    report: &mut Report,
    out: &mut Vec<u8>,
) {
    match choice {
        None => {}
        Some(ToolChoice::Auto) => out.extend_from_slice(b",\"tool_choice\":\"auto\""),
        Some(ToolChoice::None) => out.extend_from_slice(b",\"tool_choice\":\"none\""),
        Some(ToolChoice::Required) => out.extend_from_slice(b",\"tool_choice\":\"required\""),
        Some(ToolChoice::Named(name)) => {
            let decoded = name.decoded();
            let is_custom = tools.iter().any(|t| t.kind == ToolKind::Custom && t.name.is(&decoded));
            out.extend_from_slice(b",\"tool_choice\":{\"type\":");
            json::write_string(if is_custom { "custom" } else { "function" }, out);
            out.extend_from_slice(b",\"name\":");
            json::write_string(&sendable(&decoded), out);
            out.push(b'}');
        }
        Some(ToolChoice::Foreign(_)) => report.unsupported("tool_choice"),
    }
}

/// Appends a tool's name as a JSON string, renamed where it must be, and notes that.
pub fn write_name(name: &Text<'_>, written: &mut Written, out: &mut Vec<u8>) {
    let decoded = name.decoded();
    let sent = sendable(&decoded);
    json::write_string(&sent, out);
    if *sent != *decoded && !written.renamed_tools.iter().any(|(_, own)| **own == *decoded) {
        written.renamed_tools.push((sent.into_owned(), decoded.into_owned()));
    }
}

/// The tool whose input is the answer, and the name of a schema without one.
pub const ANSWER_TOOL: &str = "answer";
