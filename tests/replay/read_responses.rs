//! Responses, read by itself: items are put together from their events, and an output says what its items say.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::framing::Event;
use crate::said::{Choice, Counts, Finish, Said, custom_input, input_in, input_of, items, text};

pub fn answer(body: &Value) -> Said {
    let mut said = Said { has_ended: true, ..Said::default() };
    let status = body["status"].as_str().unwrap_or("completed");
    if body["error"].is_object() || !matches!(status, "completed" | "incomplete") {
        said.error = Some(text(&body["error"], "message").to_owned());
        return said;
    }
    let mut choice = Choice::default();
    items(&body["output"]).for_each(|item| read_item(item, &mut choice));
    end(body, status, choice, &mut said);
    said
}

pub fn stream(events: &[Event]) -> Said {
    let (mut said, mut output) = (Said::default(), BTreeMap::new());
    for Event { data, .. } in events {
        let kind = text(data, "type");
        match kind {
            "error" => {
                let error = if data["error"].is_object() { &data["error"] } else { data };
                said.error = Some(text(error, "message").to_owned());
            }
            "response.failed" | "response.cancelled" => {
                said.error = Some(text(&data["response"]["error"], "message").to_owned());
            }
            "response.completed" | "response.incomplete" => {
                finish(kind, &data["response"], &output, &mut said);
            }
            _ => add(kind, data, &mut output),
        }
        if said.has_ended || said.error.is_some() {
            break;
        }
    }
    if !said.has_ended {
        said.choices.insert(0, choice_of(&output));
    }
    said
}

/// The items by their place, each with whether it is whole.
type Output = BTreeMap<u64, (Value, bool)>;

fn add(kind: &str, data: &Value, output: &mut Output) {
    let Some(place) = data["output_index"].as_u64() else { return };
    let (is_added, is_done) = (kind == "response.output_item.added", kind == "response.output_item.done");
    if is_added || is_done {
        let grown = output.remove(&place).map(|(item, _)| item);
        output.insert(place, (with_grown(data["item"].clone(), grown.unwrap_or_default()), is_done));
        return;
    }
    let Some((item, is_whole)) = output.get_mut(&place) else { return };
    if *is_whole {
        return;
    }
    let piece = text(data, "delta");
    let index = data["content_index"].as_u64().or(data["summary_index"].as_u64()).unwrap_or(0) as usize;
    let (list, part_kind, field) = match kind {
        "response.output_text.delta" => ("content", "output_text", "text"),
        "response.refusal.delta" => ("content", "refusal", "refusal"),
        "response.reasoning_summary_text.delta" => ("summary", "summary_text", "text"),
        "response.reasoning_text.delta" => ("content", "reasoning_text", "text"),
        "response.function_call_arguments.delta" => return grow(item, "arguments", piece),
        "response.custom_tool_call_input.delta" => return grow(item, "input", piece),
        _ => return,
    };
    if !item[list].is_array() {
        item[list] = json!([]);
    }
    if let Some(parts) = item[list].as_array_mut() {
        while parts.len() <= index {
            parts.push(json!({ "type": part_kind }));
        }
        grow(&mut parts[index], field, piece);
    }
}

/// An item that is told whole behind its pieces. Where they differ, the client has seen the pieces.
fn with_grown(mut item: Value, grown: Value) -> Value {
    for (list, fields) in [("content", ["text", "refusal"]), ("summary", ["text", "text"])] {
        for (index, part) in items(&grown[list]).enumerate() {
            for field in fields.into_iter().filter(|field| !text(part, field).is_empty()) {
                if item[list][index].is_object() {
                    item[list][index][field] = part[field].clone();
                }
            }
        }
    }
    item
}

fn grow(value: &mut Value, field: &str, piece: &str) {
    value[field] = json!(format!("{}{piece}", text(value, field)));
}

fn choice_of(output: &Output) -> Choice {
    let mut choice = Choice::default();
    output.values().for_each(|(item, _)| read_item(item, &mut choice));
    choice
}

/// The terminal. Items that no event brought stand in its response alone.
fn finish(kind: &str, response: &Value, output: &Output, said: &mut Said) {
    let status = response["status"].as_str().filter(|status| matches!(*status, "failed" | "incomplete"));
    let status = status.unwrap_or(kind.trim_start_matches("response."));
    if status == "failed" || response["error"].is_object() {
        said.error = Some(text(&response["error"], "message").to_owned());
        return;
    }
    let mut all = output.clone();
    for (place, item) in (0..).zip(items(&response["output"])) {
        let is_known = all.values().any(|(known, _)| !known["id"].is_null() && known["id"] == item["id"]);
        if !is_known {
            all.entry(place).or_insert((item.clone(), true));
        }
    }
    end(response, status, choice_of(&all), said);
    said.has_ended = true;
}

fn end(response: &Value, status: &str, mut choice: Choice, said: &mut Said) {
    let is_filtered = text(&response["incomplete_details"], "reason") == "content_filter";
    choice.finish(match status {
        "incomplete" if is_filtered => Finish::Filter,
        "incomplete" => Finish::Length,
        _ => Finish::Stop,
    });
    said.choices.insert(0, choice);
    let usage = &response["usage"];
    let count = |value: &Value, name: &str| value[name].as_u64().unwrap_or(0);
    said.counts = Counts {
        input: count(usage, "input_tokens"),
        output: count(usage, "output_tokens"),
        cached: count(&usage["input_tokens_details"], "cached_tokens"),
        reasoning: count(&usage["output_tokens_details"], "reasoning_tokens"),
    };
}

pub fn read_item(item: &Value, choice: &mut Choice) {
    match text(item, "type") {
        "message" => {
            for part in items(&item["content"]) {
                match text(part, "type") {
                    "refusal" => choice.refuse(text(part, "refusal")),
                    "output_text" => choice.say(text(part, "text")),
                    _ => {}
                }
            }
        }
        "reasoning" => {
            let texts = |list: &str| -> Vec<String> {
                items(&item[list])
                    .map(|part| text(part, "text").to_owned())
                    .filter(|t| !t.is_empty())
                    .collect()
            };
            // The thoughts themselves where they are given, else what is told of them.
            let thoughts = texts("content");
            choice.think(&if thoughts.is_empty() { texts("summary") } else { thoughts }.join("\n\n"));
        }
        "function_call" => {
            let input = match &item["arguments"] {
                Value::String(arguments) => input_in(&input_of(arguments)),
                other => input_in(other),
            };
            choice.call(text(item, "name"), input);
        }
        "custom_tool_call" => choice.call(text(item, "name"), custom_input(text(item, "input"))),
        _ => {}
    }
}
