//! `generationConfig` for a provider of this dialect.

use super::super::middle::{Effort, Format, Reasoning, ReasoningStyle, Report, Request, Rules};
use super::spelling::{member, member_count, member_raw, separate};
use super::write_request::{IN_CONFIG, write_dotted, write_modalities};

/// Writes the configuration, if there is anything to say in it.
pub(super) fn write_config(request: &Request<'_>, rules: &Rules, report: &mut Report, out: &mut Vec<u8>) {
    let start = out.len();
    member("generationConfig", out);
    out.push(b'{');
    let empty = out.len();
    if let Some(count) = request.max_tokens {
        member_count("maxOutputTokens", count, out);
    }
    write_temperature(request, rules, report, out);
    for (name, value) in [
        ("topP", request.top_p),
        ("topK", request.top_k),
        ("seed", request.seed),
        ("presencePenalty", request.presence_penalty),
        ("frequencyPenalty", request.frequency_penalty),
    ] {
        if let Some(value) = value {
            member_raw(name, value, out);
        }
    }
    if let Some(count) = request.choices_count.filter(|&count| count > 1) {
        member_count("candidateCount", count, out);
    }
    write_stop(request, report, out);
    if request.logprobs == Some(true) {
        member_raw("responseLogprobs", b"true", out);
        if let Some(count) = request.top_logprobs {
            member_count("logprobs", count, out);
        }
    }
    write_format(&request.format, out);
    if let Some(reasoning) = &request.reasoning {
        write_thinking(reasoning, rules, report, out);
    }
    write_modalities(&request.extras, out);
    write_dotted(&request.extras, IN_CONFIG, out);
    if out.len() == empty {
        out.truncate(start);
    } else {
        out.push(b'}');
    }
}

fn write_temperature(request: &Request<'_>, rules: &Rules, report: &mut Report, out: &mut Vec<u8>) {
    let Some(raw) = request.temperature else { return };
    let given = std::str::from_utf8(raw).ok().and_then(|text| text.parse::<f64>().ok());
    let most = rules.temperature_milli_max.map(|milli| f64::from(milli) / 1000.0);
    match (given, most) {
        (Some(given), Some(most)) if given > most => {
            report.edited("temperature");
            member_raw("temperature", most.to_string().as_bytes(), out);
        }
        _ => member_raw("temperature", raw, out),
    }
}

/// The stop sequences. The reference allows five; without the others the answer would go on where it should not.
fn write_stop(request: &Request<'_>, report: &mut Report, out: &mut Vec<u8>) {
    if request.stop.iter().all(|sequence| sequence.is_empty()) {
        return;
    }
    let sequences = || request.stop.iter().filter(|sequence| !sequence.is_empty());
    if sequences().count() > STOP_COUNT_MAX {
        report.unsupported("stop");
    }
    member("stopSequences", out);
    out.push(b'[');
    for sequence in sequences().take(STOP_COUNT_MAX) {
        separate(out);
        sequence.write(out);
    }
    out.push(b']');
}

/// JSON, and the schema as it is. An answer is always held to its schema here.
fn write_format(format: &Format<'_>, out: &mut Vec<u8>) {
    match format {
        Format::Text => {}
        Format::Json => member_raw("responseMimeType", b"\"application/json\"", out),
        Format::Schema { schema, .. } => {
            member_raw("responseMimeType", b"\"application/json\"", out);
            member_raw("responseJsonSchema", schema, out);
        }
    }
}

/// How much to think: a level or a budget, never both, which the API refuses. Thoughts are shown unless the client does not
/// want them.
fn write_thinking(reasoning: &Reasoning<'_>, rules: &Rules, report: &mut Report, out: &mut Vec<u8>) {
    if rules.reasoning == ReasoningStyle::None {
        report.edited("reasoning");
        return;
    }
    member("thinkingConfig", out);
    out.push(b'{');
    let is_off = if rules.reasoning == ReasoningStyle::Effort {
        write_level(reasoning, report, out)
    } else {
        write_budget(reasoning, out)
    };
    let shows = reasoning.shows.unwrap_or(!is_off);
    if shows || reasoning.shows.is_some() {
        member_raw("includeThoughts", if shows { b"true" } else { b"false" }, out);
    }
    out.push(b'}');
}

/// Writes the level, and says whether no thinking is wanted: the least level is as near to it as such models go.
fn write_level(reasoning: &Reasoning<'_>, report: &mut Report, out: &mut Vec<u8>) -> bool {
    let effort = reasoning.effort.or_else(|| reasoning.budget_tokens.map(Effort::of_budget));
    let Some(effort) = effort else { return false };
    let level: &[u8] = match effort {
        Effort::None | Effort::Minimal => b"\"minimal\"",
        Effort::Low => b"\"low\"",
        Effort::Medium => b"\"medium\"",
        Effort::High | Effort::XHigh | Effort::Max => b"\"high\"",
    };
    let is_other = matches!(effort, Effort::None | Effort::XHigh | Effort::Max);
    if is_other || reasoning.effort.is_none() {
        report.edited("reasoning");
    }
    member_raw("thinkingLevel", level, out);
    effort == Effort::None
}

/// Writes the budget, and says whether it is none.
fn write_budget(reasoning: &Reasoning<'_>, out: &mut Vec<u8>) -> bool {
    let budget = reasoning.budget_tokens.or_else(|| reasoning.effort.map(Effort::budget_tokens));
    if let Some(budget) = budget {
        member_count("thinkingBudget", budget, out);
    }
    budget == Some(0)
}

const STOP_COUNT_MAX: usize = 5;
