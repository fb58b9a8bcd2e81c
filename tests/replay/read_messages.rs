//! Messages, read by itself: blocks are put together from their deltas, and a message says what its blocks say.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::framing::Event;
use crate::said::{Choice, Counts, Finish, Said, append, input_in, input_of, items, merge, text};

pub fn answer(body: &Value) -> Said {
    let mut said = Said { has_ended: true, ..Said::default() };
    if body["error"].is_object() {
        said.error = Some(text(&body["error"], "message").to_owned());
        return said;
    }
    let mut choice = Choice::default();
    items(&body["content"]).for_each(|block| read_block(block, &mut choice));
    end(body, choice, &mut said);
    let mut usage = Map::new();
    merge(&mut usage, &body["usage"]);
    said.counts = counts(&usage);
    said
}

pub fn stream(events: &[Event]) -> Said {
    let mut said = Said::default();
    let (mut usage, mut message) = (Map::new(), Map::new());
    let mut blocks: BTreeMap<u64, Map<String, Value>> = BTreeMap::new();
    for Event { data, .. } in events {
        let index = data["index"].as_u64().unwrap_or(0);
        match text(data, "type") {
            // Two answers in one are none.
            "message_start" if !blocks.is_empty() => said.error = Some(String::new()),
            "message_start" => {
                merge(&mut usage, &data["message"]["usage"]);
                for (index, block) in (0..).zip(items(&data["message"]["content"])) {
                    blocks.insert(index, block.as_object().cloned().unwrap_or_default());
                }
                merge(&mut message, &data["message"]);
            }
            "content_block_start" => {
                blocks.insert(index, data["content_block"].as_object().cloned().unwrap_or_default());
            }
            "content_block_delta" => add(blocks.entry(index).or_default(), &data["delta"]),
            "message_delta" => {
                merge(&mut message, &data["delta"]);
                merge(&mut usage, &data["usage"]);
            }
            "message_stop" => said.has_ended = true,
            "error" => said.error = Some(text(&data["error"], "message").to_owned()),
            _ => {}
        }
        if said.has_ended || said.error.is_some() {
            break;
        }
    }
    let mut choice = Choice::default();
    for block in blocks.values() {
        read_block(&Value::Object(block.clone()), &mut choice);
    }
    if said.has_ended {
        end(&Value::Object(message), choice, &mut said);
    } else {
        said.choices.insert(0, choice);
    }
    said.counts = counts(&usage);
    said
}

fn add(block: &mut Map<String, Value>, delta: &Value) {
    match text(delta, "type") {
        "text_delta" => append(block, "text", text(delta, "text")),
        "thinking_delta" => append(block, "thinking", text(delta, "thinking")),
        "signature_delta" => append(block, "signature", text(delta, "signature")),
        "input_json_delta" => append(block, "partial_json", text(delta, "partial_json")),
        _ => {}
    }
    block.entry("type").or_insert_with(|| json!("text"));
}

fn read_block(block: &Value, choice: &mut Choice) {
    match text(block, "type") {
        "text" => choice.say(text(block, "text")),
        "thinking" => choice.think(text(block, "thinking")),
        "tool_use" => {
            let pieces = text(block, "partial_json");
            let input = if pieces.is_empty() { block["input"].clone() } else { input_of(pieces) };
            choice.call(text(block, "name"), input_in(&input));
        }
        _ => {}
    }
}

fn end(message: &Value, mut choice: Choice, said: &mut Said) {
    let finish = match text(message, "stop_reason") {
        "max_tokens" | "compaction" => Finish::Length,
        "tool_use" => Finish::Calls,
        "refusal" => Finish::Refusal,
        "pause_turn" => Finish::Pause,
        "model_context_window_exceeded" => Finish::ContextFull,
        _ => Finish::Stop,
    };
    if finish == Finish::Refusal {
        choice.refuse(text(&message["stop_details"], "explanation"));
    }
    choice.finish(finish);
    said.choices.insert(0, choice);
}

/// The input is all of it here: what was read from and written to the cache as well.
fn counts(usage: &Map<String, Value>) -> Counts {
    let usage = Value::Object(usage.clone());
    let count = |name: &str| usage[name].as_u64();
    let by_lifetime =
        usage["cache_creation"].as_object().map(|parts| parts.values().filter_map(Value::as_u64).sum());
    let written = count("cache_creation_input_tokens").or(by_lifetime).unwrap_or(0);
    let cached = count("cache_read_input_tokens").unwrap_or(0);
    Counts {
        input: count("input_tokens").map_or(0, |input| input + written + cached),
        output: count("output_tokens").unwrap_or(0),
        cached,
        reasoning: usage["output_tokens_details"]["thinking_tokens"].as_u64().unwrap_or(0),
    }
}
