//! Writes a request for a provider that speaks Responses. Always asks for encrypted reasoning and for no storage: the
//! conversation lives at the client. What has no place here goes into the report.

use super::names::sendable;
use super::write_input;
use crate::base::Refusal;
use crate::dialect::middle::{
    Effort, Extra, Format, Reasoning, ReasoningStyle, Report, Request, Rules, StructuredOutput, Text, Tool,
    ToolChoice, ToolKind, Written,
};
use crate::wire::json::{self, Kind, Node};
use crate::wire::write::write_decimal;

/// Appends the request's body for the provider.
pub fn write_request(
    request: &Request<'_>,
    rules: &Rules,
    report: &mut Report,
    out: &mut Vec<u8>,
) -> Result<Written, Refusal> {
    let mut written = Written::default();
    out.extend_from_slice(b"{\"model\":");
    request.model.write(out);
    let first = write_input::write_instructions(&request.turns, out);
    out.extend_from_slice(b",\"input\":[");
    write_input::write_items(&request.turns[first..], rules, report, &mut written, out);
    out.push(b']');
    write_tools(request, rules, report, &mut written, out);
    write_sampling(request, rules, report, out);
    write_text(request, rules, out);
    write_reasoning(request, rules, report, out);
    write_wishes(request, report, out);
    for extra in &request.extras {
        write_extra(extra, report, out);
    }
    note_what_has_no_place(request, report);
    out.push(b'}');
    Ok(written)
}

fn write_tools(
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

fn write_sampling(request: &Request<'_>, rules: &Rules, report: &mut Report, out: &mut Vec<u8>) {
    if let Some(count) = request.max_tokens {
        out.extend_from_slice(b",\"max_output_tokens\":");
        write_decimal(count, out);
    }
    if let Some(temperature) = request.temperature {
        let value = Node::scanned(temperature).f64().unwrap_or_default();
        match rules.temperature_milli_max.map(|milli| f64::from(milli) / 1000.0) {
            Some(max) if value > max => {
                report.edited("temperature");
                write_member("temperature", max.to_string().as_bytes(), out);
            }
            _ => write_member("temperature", temperature, out),
        }
    }
    if let Some(top_p) = request.top_p {
        write_member("top_p", top_p, out);
    }
    if let Some(count) = request.top_logprobs {
        out.extend_from_slice(b",\"top_logprobs\":");
        write_decimal(count, out);
    }
}

/// `text`: the format of the answer and how many words it makes.
fn write_text(request: &Request<'_>, rules: &Rules, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(b",\"text\":{");
    let before = out.len();
    match &request.format {
        Format::Text => {}
        Format::Json => out.extend_from_slice(b"\"format\":{\"type\":\"json_object\"}"),
        Format::Schema { .. } if rules.structured_output == StructuredOutput::Tool => {}
        Format::Schema { name, description, schema, strict } => {
            out.extend_from_slice(b"\"format\":{\"type\":\"json_schema\",\"name\":");
            let name = name.as_ref().map(Text::decoded).unwrap_or_default();
            // The API demands a name; the client's dialect may have none.
            let name = if name.is_empty() { ANSWER_TOOL.into() } else { sendable(&name) };
            json::write_string(&name, out);
            if let Some(description) = description {
                out.extend_from_slice(b",\"description\":");
                description.write(out);
            }
            write_member("schema", schema, out);
            if let Some(strict) = strict {
                out.extend_from_slice(b",\"strict\":");
                write_bool(*strict, out);
            }
            out.push(b'}');
        }
    }
    if let Some(verbosity) = request.extras.iter().find(|extra| extra.name == "verbosity") {
        write_comma(before, out);
        out.extend_from_slice(b"\"verbosity\":");
        out.extend_from_slice(verbosity.raw);
    }
    if out.len() == before {
        return out.truncate(start);
    }
    out.push(b'}');
}

fn write_reasoning(request: &Request<'_>, rules: &Rules, report: &mut Report, out: &mut Vec<u8>) {
    let Some(reasoning) = &request.reasoning else { return };
    let effort = effort_of(reasoning);
    if rules.reasoning == ReasoningStyle::None {
        if effort.is_some() || reasoning.shows.is_some() {
            report.edited("reasoning");
        }
        return;
    }
    let automatic = Text::of("auto");
    let summary = match (&reasoning.summary, reasoning.shows) {
        (Some(summary), _) => Some(summary),
        (None, Some(true)) => Some(&automatic),
        _ => None,
    };
    if effort.is_none() && summary.is_none() {
        return;
    }
    out.extend_from_slice(b",\"reasoning\":{");
    let before = out.len();
    if let Some(effort) = effort {
        out.extend_from_slice(b"\"effort\":");
        json::write_string(effort.name(), out);
    }
    if let Some(summary) = summary {
        write_comma(before, out);
        out.extend_from_slice(b"\"summary\":");
        summary.write(out);
    }
    out.push(b'}');
}

fn effort_of(reasoning: &Reasoning<'_>) -> Option<Effort> {
    reasoning.effort.or_else(|| reasoning.budget_tokens.map(Effort::of_budget))
}

/// What else the request wishes for, and what every request of ours says.
fn write_wishes(request: &Request<'_>, report: &mut Report, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"store\":false,\"include\":[\"reasoning.encrypted_content\"");
    if request.logprobs == Some(true) || request.top_logprobs.is_some() {
        out.extend_from_slice(b",\"message.output_text.logprobs\"");
    }
    out.push(b']');
    if request.stream {
        out.extend_from_slice(b",\"stream\":true");
    }
    if let Some(user) = &request.user {
        out.extend_from_slice(b",\"user\":");
        user.write(out);
    }
    if let Some(metadata) = request.metadata {
        write_member("metadata", metadata, out);
    }
    match &request.service_tier {
        Some(tier) if SERVICE_TIERS.iter().any(|known| tier.is(known)) => {
            out.extend_from_slice(b",\"service_tier\":");
            tier.write(out);
        }
        Some(_) => report.edited("service_tier"),
        None => {}
    }
}

fn write_extra(extra: &Extra<'_>, report: &mut Report, out: &mut Vec<u8>) {
    let name = extra.name.as_str();
    let is_default = (name == "store" && extra.raw == b"false") || name == "verbosity";
    let is_text =
        name == "modalities" && Node::scanned(extra.raw).items().all(|item| item.raw() == b"\"text\"");
    if is_default || is_text {
        return;
    }
    if TAKEN.contains(&name) {
        write_member(name, extra.raw, out);
    } else if HARMLESS.contains(&name) {
        report.edited(name);
    } else {
        report.unsupported(name);
    }
}

fn note_what_has_no_place(request: &Request<'_>, report: &mut Report) {
    if !request.stop.is_empty() {
        report.unsupported("stop");
    }
    if request.choices_count.is_some_and(|count| count > 1) {
        report.unsupported("n");
    }
    // They steer the choice among likely words and do not change what is asked for.
    let steers = [
        ("seed", request.seed),
        ("frequency_penalty", request.frequency_penalty),
        ("presence_penalty", request.presence_penalty),
        ("top_k", request.top_k),
    ];
    for (name, _) in steers.into_iter().filter(|(_, value)| value.is_some()) {
        report.edited(name);
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

/// Appends a member behind others.
pub fn write_member(name: &str, raw: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(raw);
}

/// Appends a comma unless nothing has been written since.
pub fn write_comma(since: usize, out: &mut Vec<u8>) {
    if out.len() > since {
        out.push(b',');
    }
}

fn write_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// The tool whose input is the answer, and the name of a schema without one.
const ANSWER_TOOL: &str = "answer";
/// Extras of other dialects that mean the same here.
const TAKEN: &[&str] = &[
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "safety_identifier",
    "truncation",
    "max_tool_calls",
    "moderation",
];
/// Extras that are left out because the answer means the same without them.
const HARMLESS: &[&str] = &["store", "prediction", "stream_options"];
const SERVICE_TIERS: &[&str] = &["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"];
