//! Requests for Converse. What the API has no field for is reported, never left out in silence.

use crate::base::Refusal;
use crate::dialect::middle::{
    Effort, Extra, Format, ReasoningStyle, Report, Request, Rules, StructuredOutput, Text, Written,
};
use crate::wire::json::{self, Node};

use super::tools::{ANSWER_TOOL, Names, Plan};
use super::turns::write_turns;
use super::write::{element, is_blank, member, raw_member, str_member, text_member};

/// Appends the body of `Converse`, which is that of `ConverseStream` as well; the model and whether to stream are said by
/// the path. Err only for arguments of calls that are no JSON object, and for a conversation without content.
pub fn write_request(
    request: &Request<'_>,
    rules: &Rules,
    report: &mut Report,
    out: &mut Vec<u8>,
) -> Result<Written, Refusal> {
    let mut names = Names::default();
    let turns = write_turns(request, rules, &mut names, report)?;
    let plan = Plan::of(request, rules, &mut names, report);
    let thinking = Thinking::of(request, rules, turns.may_think && !plan.is_forced(), report);
    report_the_unsayable(request, report);

    out.push(b'{');
    member("messages", out);
    write_array(&turns.messages, out);
    if !turns.system.is_empty() {
        member("system", out);
        write_array(&turns.system, out);
    }
    write_inference(request, rules, &thinking, report, out);
    plan.write(rules, &mut names, report, out);
    write_model_fields(request, &thinking, report, out);
    write_output(request, rules, &thinking, out);
    write_service_tier(request, report, out);
    request.extras.iter().for_each(|extra| write_extra(extra, report, out));
    out.push(b'}');
    Ok(names.into_written(plan.answer.map(|_| ANSWER_TOOL)))
}

fn write_array(elements: &[u8], out: &mut Vec<u8>) {
    out.push(b'[');
    out.extend_from_slice(elements);
    out.push(b']');
}

/// How the model is told to think.
enum Thinking {
    Unsaid,
    Budget(u64),
    Effort(Effort),
}

impl Thinking {
    fn of(request: &Request<'_>, rules: &Rules, may_think: bool, report: &mut Report) -> Thinking {
        let Some(asked) = &request.reasoning else { return Thinking::Unsaid };
        let effort = asked.effort.or(asked.budget_tokens.map(Effort::of_budget));
        let Some(effort) = effort.filter(|effort| *effort != Effort::None) else { return Thinking::Unsaid };
        match rules.reasoning {
            ReasoningStyle::None => report.edited("reasoning"),
            ReasoningStyle::Effort => return Thinking::Effort(effort),
            // Models that think by a budget refuse to while they must call, and in the middle of a turn without its thoughts.
            ReasoningStyle::Budget if !may_think => report.edited("reasoning"),
            ReasoningStyle::Budget => {
                let tokens = asked.budget_tokens.unwrap_or(effort.budget_tokens());
                if tokens < THINKING_TOKENS_MIN {
                    report.edited("reasoning");
                }
                return Thinking::Budget(tokens.max(THINKING_TOKENS_MIN));
            }
        }
        Thinking::Unsaid
    }

    fn budget(&self) -> Option<u64> {
        match self {
            Thinking::Budget(tokens) => Some(*tokens),
            _ => None,
        }
    }
}

/// Fields that have no place, each by what leaving it out would do.
fn report_the_unsayable(request: &Request<'_>, report: &mut Report) {
    let unsupported = [
        ("n", request.choices_count.is_some_and(|count| count != 1)),
        ("logprobs", request.logprobs == Some(true)),
        ("top_logprobs", request.top_logprobs.is_some_and(|count| count > 0)),
    ];
    let edited = [
        ("seed", request.seed.is_some()),
        ("frequency_penalty", request.frequency_penalty.is_some()),
        ("presence_penalty", request.presence_penalty.is_some()),
        ("user", request.user.is_some()),
        ("metadata", request.metadata.is_some()),
        // Whoever asks for JSON without a schema has to say so in the conversation too.
        ("response_format", matches!(request.format, Format::Json)),
    ];
    unsupported.iter().filter(|(_, is_there)| *is_there).for_each(|(name, _)| report.unsupported(*name));
    edited.iter().filter(|(_, is_there)| *is_there).for_each(|(name, _)| report.edited(*name));
}

/// Appends `inferenceConfig`. Without a bound the API takes the model's own.
fn write_inference(
    request: &Request<'_>,
    rules: &Rules,
    thinking: &Thinking,
    report: &mut Report,
    out: &mut Vec<u8>,
) {
    let mut config = Vec::new();
    if let Some(tokens) = request.max_tokens {
        // The bound holds for thoughts and answer together and must be above that of the thoughts.
        let budget = thinking.budget().filter(|budget| *budget >= tokens);
        if budget.is_some() {
            report.edited("max_tokens");
        }
        let tokens = budget.unwrap_or(0).saturating_add(tokens);
        raw_member("maxTokens", tokens.to_string().as_bytes(), &mut config);
    }
    if let Some(temperature) = request.temperature {
        write_temperature(temperature, rules, thinking, report, &mut config);
    }
    if let Some(top_p) = request.top_p {
        if thinking.budget().is_some()
            && Node::scanned(top_p).f64().is_some_and(|top_p| top_p < THINKING_TOP_P_MIN)
        {
            report.edited("top_p");
        } else {
            raw_member("topP", top_p, &mut config);
        }
    }
    let stops: Vec<&Text<'_>> = request.stop.iter().filter(|text| !is_blank(text)).collect();
    if stops.len() < request.stop.len() {
        report.edited("stop");
    }
    if !stops.is_empty() {
        member("stopSequences", &mut config);
        config.push(b'[');
        for stop in stops {
            element(&mut config);
            stop.write(&mut config);
        }
        config.push(b']');
    }
    write_object("inferenceConfig", &config, out);
}

fn write_temperature(
    temperature: &[u8],
    rules: &Rules,
    thinking: &Thinking,
    report: &mut Report,
    config: &mut Vec<u8>,
) {
    let value = Node::scanned(temperature).f64().unwrap_or(0.0);
    let most =
        f64::from(rules.temperature_milli_max.unwrap_or(TEMPERATURE_MILLI_MAX).min(TEMPERATURE_MILLI_MAX));
    if thinking.budget().is_some() {
        // A model that thinks by a budget takes 1 only, which is what it takes without being told.
        if value != 1.0 {
            report.edited("temperature");
        }
    } else if value * 1000.0 > most {
        report.edited("temperature");
        raw_member("temperature", (most / 1000.0).to_string().as_bytes(), config);
    } else {
        raw_member("temperature", temperature, config);
    }
}

/// Appends what goes to the model unread: the client's own fields of that kind, and ours.
fn write_model_fields(request: &Request<'_>, thinking: &Thinking, report: &mut Report, out: &mut Vec<u8>) {
    let mut fields = Vec::new();
    let given = request.extras.iter().find(|extra| extra.name == MODEL_FIELDS);
    let given = given.into_iter().flat_map(|extra| Node::scanned(extra.raw).members());
    let is_ours = |name: &[u8]| match name {
        b"thinking" => thinking.budget().is_some(),
        b"top_k" => request.top_k.is_some(),
        _ => false,
    };
    for (name, value) in given.filter(|(name, _)| !is_ours(name)) {
        element(&mut fields);
        json::write_string(&String::from_utf8_lossy(&name), &mut fields);
        fields.push(b':');
        fields.extend_from_slice(value.raw());
    }
    if let Some(tokens) = thinking.budget() {
        member("thinking", &mut fields);
        fields.extend_from_slice(b"{\"type\":\"enabled\",\"budget_tokens\":");
        fields.extend_from_slice(tokens.to_string().as_bytes());
        fields.push(b'}');
    }
    match request.top_k {
        Some(_) if thinking.budget().is_some() => report.edited("top_k"),
        Some(top_k) => raw_member("top_k", top_k, &mut fields),
        None => {}
    }
    write_object(MODEL_FIELDS, &fields, out);
}

/// Appends `outputConfig`: the shape of the answer and the effort, where the provider has fields for them.
fn write_output(request: &Request<'_>, rules: &Rules, thinking: &Thinking, out: &mut Vec<u8>) {
    let mut config = Vec::new();
    if let (Format::Schema { name, description, schema, .. }, StructuredOutput::Native) =
        (&request.format, rules.structured_output)
    {
        member("textFormat", &mut config);
        config.extend_from_slice(b"{\"type\":\"json_schema\",\"structure\":{\"jsonSchema\":{");
        // The schema is a text here.
        text_member("schema", &Text::of_json(schema), &mut config);
        if let Some(name) = name {
            text_member("name", name, &mut config);
        }
        if let Some(description) = description {
            text_member("description", description, &mut config);
        }
        config.extend_from_slice(b"}}}");
    }
    if let Thinking::Effort(effort) = thinking {
        let word = if *effort == Effort::Minimal { Effort::Low } else { *effort };
        str_member("effort", word.name(), &mut config);
    }
    write_object("outputConfig", &config, out);
}

/// Appends `serviceTier`. What no tier of the API's is called is left to it, as `auto` is.
fn write_service_tier(request: &Request<'_>, report: &mut Report, out: &mut Vec<u8>) {
    let Some(tier) = &request.service_tier else { return };
    match &*tier.decoded() {
        word @ ("priority" | "default" | "flex" | "reserved") => {
            member("serviceTier", out);
            out.extend_from_slice(b"{");
            str_member("type", word, out);
            out.push(b'}');
        }
        "auto" => {}
        _ => report.edited("service_tier"),
    }
}

/// A field that the middle has no word for: it passes when it is one of the API's own, and is reported otherwise.
fn write_extra(extra: &Extra<'_>, report: &mut Report, out: &mut Vec<u8>) {
    let name = extra.name.as_str();
    if Node::scanned(extra.raw).is_null() || name == MODEL_FIELDS {
        return;
    }
    if OWN_FIELDS.contains(&name) {
        raw_member(name, extra.raw, out);
    } else if HARMLESS_FIELDS.contains(&name) {
        report.edited(name);
    } else {
        report.unsupported(name);
    }
}

/// Appends an object of these members, unless there are none.
fn write_object(name: &str, members: &[u8], out: &mut Vec<u8>) {
    if !members.is_empty() {
        member(name, out);
        out.push(b'{');
        out.extend_from_slice(members);
        out.push(b'}');
    }
}

const MODEL_FIELDS: &str = "additionalModelRequestFields";

/// Fields of the API that clients may send through whatever dialect they speak.
const OWN_FIELDS: [&str; 5] = [
    "guardrailConfig",
    "performanceConfig",
    "requestMetadata",
    "promptVariables",
    "additionalModelResponseFieldPaths",
];

/// Fields that say how a provider is to keep, shorten or bill things, not what is to be answered.
const HARMLESS_FIELDS: [&str; 7] = [
    "store",
    "client_metadata",
    "context_management",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "stream_options",
];

/// The API's bound (`InferenceConfiguration`), in thousandths.
const TEMPERATURE_MILLI_MAX: u32 = 1000;
/// The least budget, and the least `topP` beside one, that Anthropic's models take ("Extended thinking" in the user guide).
const THINKING_TOKENS_MIN: u64 = 1024;
const THINKING_TOP_P_MIN: f64 = 0.95;

#[cfg(test)]
mod tests;
