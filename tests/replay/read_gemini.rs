//! Gemini, read by itself: the parts of all responses of a stream, one behind the other, are the parts of the answer.

use serde_json::{Map, Value};

use crate::framing::Event;
use crate::said::{Choice, Counts, Finish, Said, input_in, items, merge, text};

/// A whole answer. One of candidates that neither say nor end anything is none.
pub fn answer(body: &Value) -> Said {
    let mut said = stream(&[Event { name: String::new(), data: body.clone(), start: 0 }]);
    let is_blank =
        |candidate: &Value| candidate["finishReason"].is_null() && candidate["content"]["parts"].is_null();
    if items(&body["candidates"]).any(is_blank) {
        said.error = Some(String::new());
    }
    if said.error.is_none() {
        said.has_ended = true;
        for choice in said.choices.values_mut().filter(|choice| choice.finish.is_none()) {
            choice.finish(Finish::Stop);
        }
    }
    said
}

pub fn stream(events: &[Event]) -> Said {
    let mut said = Said::default();
    let mut usage = Map::new();
    let mut is_blocked = false;
    for Event { data, .. } in events {
        if data["error"].is_object() {
            said.error = Some(text(&data["error"], "message").to_owned());
            break;
        }
        for (position, candidate) in items(&data["candidates"]).enumerate() {
            let index = candidate["index"].as_u64().unwrap_or(position as u64);
            let choice = said.choices.entry(index).or_default();
            items(&candidate["content"]["parts"]).for_each(|part| read_part(part, choice));
            if let Some(word) = candidate["finishReason"].as_str() {
                choice.finish = Some(finish_of(word));
            }
        }
        let feedback = &data["promptFeedback"];
        is_blocked |= !feedback["blockReason"].is_null() || !feedback["blockReasonMessage"].is_null();
        // Calls in pieces come only to those who ask for them.
        let is_piece = |part: &Value| {
            part["functionCall"]["partialArgs"].is_array() || part["functionCall"]["willContinue"] == true
        };
        let mut contents = items(&data["candidates"]).map(|candidate| &candidate["content"]["parts"]);
        if contents.any(|parts| items(parts).any(is_piece)) {
            said.error = Some(String::new());
            break;
        }
        merge(&mut usage, &data["usageMetadata"]);
    }
    if is_blocked {
        let choices = &mut said.choices;
        choices.entry(0).or_default();
        choices.values_mut().for_each(|choice| choice.finish = choice.finish.or(Some(Finish::Filter)));
    }
    let is_finished = said.choices.values().all(|choice| choice.finish.is_some());
    said.has_ended = said.error.is_none() && !said.choices.is_empty() && is_finished;
    for choice in said.choices.values_mut() {
        if let Some(finish) = choice.finish {
            choice.finish(finish);
        }
    }
    said.counts = counts(&Value::Object(usage));
    said
}

fn read_part(part: &Value, choice: &mut Choice) {
    if part["functionCall"].is_object() {
        let call = &part["functionCall"];
        if !text(call, "name").is_empty() {
            choice.call(text(call, "name"), input_in(&call["args"]));
        }
    } else if part["thought"] == true {
        choice.think(text(part, "text"));
    } else {
        choice.say(text(part, "text"));
    }
}

fn finish_of(word: &str) -> Finish {
    match word {
        "STOP" | "FINISH_REASON_UNSPECIFIED" => Finish::Stop,
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" => Finish::Stop,
        "MISSING_THOUGHT_SIGNATURE" | "MALFORMED_RESPONSE" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        _ => Finish::Filter,
    }
}

/// Prompts of the provider's own tools are input as well; thoughts stand beside what the candidates count.
fn counts(usage: &Value) -> Counts {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let has_input = usage["promptTokenCount"].is_u64();
    Counts {
        input: if has_input { count("promptTokenCount") + count("toolUsePromptTokenCount") } else { 0 },
        output: count("candidatesTokenCount") + count("thoughtsTokenCount"),
        cached: count("cachedContentTokenCount"),
        reasoning: count("thoughtsTokenCount"),
    }
}
