//! `generationConfig` into the middle: how the answer is to be made and what it must look like.

use super::super::middle::{Effort, Extra, Format, Reasoning, Request, Text};
use super::spelling::{camel, field, wrong};
use crate::base::Refusal;
use crate::wire::json::{Kind, Node};

pub(super) fn read_config<'a>(config: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    if config.kind() != Kind::Object {
        return Err(wrong(PATH, "`generationConfig` must be an object."));
    }
    for (key, value) in config.members().filter(|(_, value)| !value.is_null()) {
        let name = camel(&key);
        match &*name {
            "maxOutputTokens" => request.max_tokens = Some(count(&name, value)?),
            "candidateCount" => request.choices_count = Some(count(&name, value)?),
            "logprobs" => request.top_logprobs = Some(count(&name, value)?),
            "temperature" => request.temperature = Some(number(&name, value)?),
            "topP" => request.top_p = Some(number(&name, value)?),
            "topK" => request.top_k = Some(number(&name, value)?),
            "seed" => request.seed = Some(number(&name, value)?),
            "presencePenalty" => request.presence_penalty = Some(number(&name, value)?),
            "frequencyPenalty" => request.frequency_penalty = Some(number(&name, value)?),
            "responseLogprobs" => request.logprobs = Some(flag(&name, value)?),
            "stopSequences" => read_stop(value, &mut request.stop)?,
            "thinkingConfig" => request.reasoning = Some(read_thinking(value)?),
            "responseMimeType" | "responseSchema" | "responseJsonSchema" | "_responseJsonSchema" => {}
            _ => request.extras.push(Extra { name: format!("{PATH}.{name}"), raw: value.raw() }),
        }
    }
    read_format(config, request)
}

/// The media type and the schema of the answer belong together.
fn read_format<'a>(config: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    let schema = field(config, "responseJsonSchema")
        .or_else(|| config.get("_responseJsonSchema"))
        .or_else(|| field(config, "responseSchema"));
    let kind = field(config, "responseMimeType");
    let word = kind.and_then(Node::text);
    request.format = match (word.as_deref(), schema) {
        (None | Some("application/json" | "text/plain"), Some(schema)) => {
            if schema.kind() != Kind::Object {
                return Err(refusal("responseJsonSchema", "must be an object"));
            }
            Format::Schema { name: None, description: None, schema: schema.raw(), strict: None }
        }
        (Some("application/json"), None) => Format::Json,
        (None | Some("text/plain"), None) => Format::Text,
        (Some(_), _) => {
            // One word out of a list (`text/x.enum`), or a type that is not known: nothing that others could say.
            for (name, value) in [("responseMimeType", kind), ("responseSchema", schema)] {
                let extra = value.map(|value| Extra { name: format!("{PATH}.{name}"), raw: value.raw() });
                request.extras.extend(extra);
            }
            Format::Text
        }
    };
    Ok(())
}

fn read_stop<'a>(value: Node<'a>, stop: &mut Vec<Text<'a>>) -> Result<(), Refusal> {
    let sequences = value.items().map(Node::escaped).collect::<Option<Vec<_>>>();
    let Some(sequences) = sequences.filter(|_| value.kind() == Kind::Array) else {
        return Err(refusal("stopSequences", "must be a list of strings"));
    };
    stop.extend(sequences.into_iter().map(Text::escaped));
    Ok(())
}

/// How much to think. A budget of -1 leaves it to the model, as no budget does.
fn read_thinking<'a>(config: Node<'a>) -> Result<Reasoning<'a>, Refusal> {
    let mut reasoning = Reasoning::default();
    if let Some(budget) = field(config, "thinkingBudget").filter(|budget| budget.raw() != b"-1") {
        reasoning.budget_tokens = Some(count("thinkingConfig.thinkingBudget", budget)?);
    }
    if let Some(level) = field(config, "thinkingLevel") {
        let word = level.text().unwrap_or_default().to_ascii_lowercase();
        reasoning.effort = match (&*word, Effort::of(&word)) {
            ("thinking_level_unspecified", _) => None,
            (_, Some(effort)) => Some(effort),
            (_, None) => {
                return Err(refusal("thinkingConfig.thinkingLevel", "must be MINIMAL, LOW, MEDIUM or HIGH"));
            }
        };
    }
    if let Some(shows) = field(config, "includeThoughts") {
        reasoning.shows = Some(flag("thinkingConfig.includeThoughts", shows)?);
    }
    Ok(reasoning)
}

fn count(name: &str, value: Node<'_>) -> Result<u64, Refusal> {
    value.u64().ok_or_else(|| refusal(name, "must be a whole number that is not negative"))
}

fn number<'a>(name: &str, value: Node<'a>) -> Result<&'a [u8], Refusal> {
    if value.kind() == Kind::Number { Ok(value.raw()) } else { Err(refusal(name, "must be a number")) }
}

fn flag(name: &str, value: Node<'_>) -> Result<bool, Refusal> {
    value.bool().ok_or_else(|| refusal(name, "must be true or false"))
}

fn refusal(name: &str, sentence: &str) -> Refusal {
    let path = format!("{PATH}.{name}");
    let sentence = format!("`{path}` {sentence}.");
    wrong(path, sentence)
}

const PATH: &str = "generationConfig";
