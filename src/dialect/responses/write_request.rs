//! Writes a request for a provider that speaks Responses. Always asks for encrypted reasoning and for no storage: the
//! conversation lives at the client. What has no place here goes into the report.

use super::names::sendable;
use super::write_input;
use super::write_tools::{ANSWER_TOOL, write_tools};
use crate::base::Refusal;
use crate::dialect::middle::{
    Effort, Extra, Format, Reasoning, ReasoningStyle, Report, Request, Rules, StructuredOutput, Text, Written,
};
use crate::wire::json::{self, Node};
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

/// Appends `true` or `false`.
pub fn write_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

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
const HARMLESS: &[&str] = &["store", "context_management", "prediction", "stream_options"];
const SERVICE_TIERS: &[&str] = &["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"];
