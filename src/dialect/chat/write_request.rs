//! Writes a request for a provider that speaks the chat dialect. What the dialect cannot say is reported, never dropped
//! in silence.

use super::names::Names;
use super::write_messages;
use super::write_tools::{self, ANSWER_TOOL};
use crate::base::Refusal;
use crate::dialect::middle::{
    Effort, Extra, Format, Reasoning, ReasoningStyle, Report, Request, Rules, StructuredOutput, Text,
    Written, is_hint,
};
use crate::wire::json::{self, Kind, Node};

/// Appends the request's body. Usage is always asked for in a stream, because the gateway counts; the client's writer
/// leaves it out again.
pub fn write_request(
    request: &Request<'_>,
    rules: &Rules,
    report: &mut Report,
    out: &mut Vec<u8>,
) -> Result<Written, Refusal> {
    let mut names = Names::default();
    out.extend_from_slice(b"{\"model\":");
    request.model.write(out);
    write_messages::write(request, rules, &mut names, report, out)?;
    if request.stream {
        out.extend_from_slice(b",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    }
    write_limits(request, rules, report, out);
    write_sampling(request, rules, report, out);
    write_reasoning(request.reasoning.as_ref(), rules, report, out);
    let answer_tool = answer_tool(&request.format, rules);
    write_tools::write(request, rules, answer_tool.is_some(), &mut names, report, out);
    if answer_tool.is_none() {
        write_format(&request.format, out);
    }
    write_records(request, report, out);
    for extra in &request.extras {
        write_extra(extra, report, out);
    }
    out.push(b'}');
    Ok(Written { renamed_tools: names.renamed, answer_tool, ..Written::default() })
}

/// The tool that stands in for a schema where the provider has no field for one.
fn answer_tool(format: &Format<'_>, rules: &Rules) -> Option<&'static str> {
    let is_needed =
        rules.structured_output == StructuredOutput::Tool && matches!(format, Format::Schema { .. });
    is_needed.then_some(ANSWER_TOOL)
}

fn write_limits(request: &Request<'_>, rules: &Rules, report: &mut Report, out: &mut Vec<u8>) {
    if let Some(tokens) = request.max_tokens {
        let key = if rules.takes_max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        member(key, tokens.to_string().as_bytes(), out);
    }
    if let Some(count) = request.choices_count.filter(|&count| count != 1) {
        member("n", count.to_string().as_bytes(), out);
    }
    if request.stop.is_empty() {
        return;
    }
    // OpenAI's reference of the endpoint: up to four sequences.
    if request.stop.len() > STOPS_COUNT_MAX {
        report.edited("stop");
    }
    out.extend_from_slice(b",\"stop\":[");
    for (index, text) in request.stop.iter().take(STOPS_COUNT_MAX).enumerate() {
        comma(index, out);
        text.write(out);
    }
    out.push(b']');
}

fn write_sampling(request: &Request<'_>, rules: &Rules, report: &mut Report, out: &mut Vec<u8>) {
    if let Some(raw) = request.temperature {
        let asked: Option<f64> = std::str::from_utf8(raw).ok().and_then(|text| text.parse().ok());
        let most = rules.temperature_milli_max.map(|milli| f64::from(milli) / 1000.0);
        match (asked, most) {
            (Some(asked), Some(most)) if asked > most => {
                report.edited("temperature");
                member("temperature", most.to_string().as_bytes(), out);
            }
            _ => member("temperature", raw, out),
        }
    }
    let numbers = [
        ("top_p", request.top_p),
        ("frequency_penalty", request.frequency_penalty),
        ("presence_penalty", request.presence_penalty),
        ("seed", request.seed),
    ];
    for (key, raw) in numbers {
        raw.inspect(|raw| member(key, raw, out));
    }
    // The dialect has no word for it, and most who speak it refuse fields that they do not know.
    if request.top_k.is_some() {
        report.edited("top_k");
    }
    if let Some(wanted) = request.logprobs {
        member("logprobs", if wanted { b"true" } else { b"false" }, out);
    }
    if let Some(count) = request.top_logprobs {
        member("top_logprobs", count.to_string().as_bytes(), out);
    }
}

fn write_reasoning(reasoning: Option<&Reasoning<'_>>, rules: &Rules, report: &mut Report, out: &mut Vec<u8>) {
    let Some(reasoning) = reasoning else { return };
    let effort = reasoning.effort.or(reasoning.budget_tokens.map(Effort::of_budget));
    let Some(effort) = effort else { return };
    match rules.reasoning {
        ReasoningStyle::Effort => {
            out.extend_from_slice(b",\"reasoning_effort\":");
            json::write_string(effort.name(), out);
        }
        ReasoningStyle::Budget if effort == Effort::None => {
            member("thinking", b"{\"type\":\"disabled\"}", out)
        }
        ReasoningStyle::Budget => {
            let tokens = reasoning.budget_tokens.unwrap_or(effort.budget_tokens());
            let thinking = format!("{{\"type\":\"enabled\",\"budget_tokens\":{tokens}}}");
            member("thinking", thinking.as_bytes(), out);
        }
        ReasoningStyle::None if effort == Effort::None => {}
        ReasoningStyle::None => report.edited("reasoning_effort"),
    }
}

fn write_format(format: &Format<'_>, out: &mut Vec<u8>) {
    let Format::Schema { name, description, schema, strict } = format else {
        if matches!(format, Format::Json) {
            member("response_format", b"{\"type\":\"json_object\"}", out);
        }
        return;
    };
    out.extend_from_slice(b",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":");
    match name.as_ref().filter(|name| super::names::is_taken(name.as_escaped())) {
        Some(name) => name.write(out),
        // The dialect demands a name; nothing depends on it.
        None => out.extend_from_slice(b"\"answer\""),
    }
    if let Some(description) = description {
        out.extend_from_slice(b",\"description\":");
        description.write(out);
    }
    member("schema", schema, out);
    if let Some(strict) = strict {
        member("strict", if *strict { b"true" } else { b"false" }, out);
    }
    out.extend_from_slice(b"}}");
}

/// What is for the provider's records.
fn write_records(request: &Request<'_>, report: &mut Report, out: &mut Vec<u8>) {
    if let Some(user) = &request.user {
        out.extend_from_slice(b",\"user\":");
        if user.as_escaped().len() <= USER_BYTES_MAX {
            user.write(out);
        } else {
            // OpenAI's reference: at most 64 characters. The same user stays the same.
            report.edited("user");
            let sum = super::names::hash(user.decoded().as_bytes());
            json::write_string(&format!("user_{sum:016x}"), out);
        }
    }
    if let Some(tier) = &request.service_tier {
        if TIERS.iter().any(|known| tier.is(known)) {
            out.extend_from_slice(b",\"service_tier\":");
            tier.write(out);
        } else {
            report.edited("service_tier");
        }
    }
    if let Some(metadata) = request.metadata {
        // OpenAI takes it for answers that are stored only, and refuses it else.
        let is_stored = request.extras.iter().any(|extra| extra.name == "store" && extra.raw == b"true");
        if is_stored { member("metadata", metadata, out) } else { report.edited("metadata") }
    }
}

fn write_extra(extra: &Extra<'_>, report: &mut Report, out: &mut Vec<u8>) {
    if TAKEN.contains(&extra.name.as_str()) {
        return member(&extra.name, extra.raw, out);
    }
    // Off is what a provider without the field does anyway.
    let value = Node::scanned(extra.raw);
    let is_off = match value.kind() {
        Kind::Null | Kind::False => true,
        Kind::Array => json::is_empty_array(extra.raw),
        _ => false,
    };
    if is_off {
        return;
    }
    if is_hint(&extra.name) {
        report.edited(extra.name.as_str());
    } else {
        report.unsupported(extra.name.as_str());
    }
}

/// Appends a member behind others.
pub(super) fn member(key: &str, raw: &[u8], out: &mut Vec<u8>) {
    out.push(b',');
    json::write_string(key, out);
    out.push(b':');
    out.extend_from_slice(raw);
}

/// Appends a member that is a text behind others.
pub(super) fn text_member(key: &str, text: &Text<'_>, out: &mut Vec<u8>) {
    out.push(b',');
    json::write_string(key, out);
    out.push(b':');
    text.write(out);
}

/// Appends a comma in front of every element but the first.
pub(super) fn comma(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

const STOPS_COUNT_MAX: usize = 4;
const USER_BYTES_MAX: usize = 64;
const TIERS: &[&str] = &["auto", "default", "flex", "priority", "scale"];

/// Fields of the dialect that the middle has no word for.
const TAKEN: &[&str] = &[
    "audio",
    "logit_bias",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "store",
    "verbosity",
    "web_search_options",
];

#[cfg(test)]
mod tests;
