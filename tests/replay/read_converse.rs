//! Converse, read by itself: blocks are put together from their deltas, and a message says what its blocks say.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::framing::Event;
use crate::said::{Choice, Counts, Finish, Said, append, input_in, input_of, items, text};

pub fn answer(body: &Value) -> Said {
    let mut choice = Choice::default();
    items(&body["output"]["message"]["content"]).for_each(|block| read_block(block, &mut choice));
    choice.finish(finish_of(text(body, "stopReason")));
    let mut said = Said { has_ended: true, counts: counts(&body["usage"]), ..Said::default() };
    said.choices.insert(0, choice);
    said
}

pub fn stream(events: &[Event]) -> Said {
    let mut said = Said::default();
    let mut blocks: BTreeMap<u64, Map<String, Value>> = BTreeMap::new();
    let mut finish = None;
    for Event { name, data, .. } in events {
        if data["exception"].is_string() {
            said.error = Some(text(data, "message").to_owned());
            break;
        }
        let index = data["contentBlockIndex"].as_u64().unwrap_or(0);
        match name.as_str() {
            "contentBlockStart" => {
                blocks.insert(index, data["start"].as_object().cloned().unwrap_or_default());
            }
            "contentBlockDelta" => add(blocks.entry(index).or_default(), &data["delta"]),
            "messageStop" => finish = Some(finish_of(text(data, "stopReason"))),
            "metadata" => said.counts = counts(&data["usage"]),
            _ => {}
        }
    }
    let mut choice = Choice::default();
    for block in blocks.values() {
        read_block(&Value::Object(block.clone()), &mut choice);
    }
    if let Some(finish) = finish {
        choice.finish(finish);
    }
    said.has_ended = finish.is_some() && said.error.is_none();
    said.choices.insert(0, choice);
    said
}

fn add(block: &mut Map<String, Value>, delta: &Value) {
    if let Some(piece) = delta["text"].as_str() {
        append(block, "text", piece);
    }
    if let Some(piece) = delta["toolUse"]["input"].as_str() {
        append(block, "pieces", piece);
    }
    if let Some(piece) = delta["reasoningContent"]["text"].as_str() {
        append(block, "thought", piece);
    }
}

fn read_block(block: &Value, choice: &mut Choice) {
    choice.think(text(block, "thought"));
    choice.think(text(&block["reasoningContent"]["reasoningText"], "text"));
    choice.say(text(block, "text"));
    // What has a type of its own was run by the provider.
    if block["toolUse"].is_object() && matches!(text(&block["toolUse"], "type"), "" | "tool_use") {
        let pieces = input_of(text(block, "pieces"));
        let input =
            if block["toolUse"]["input"].is_null() { pieces } else { block["toolUse"]["input"].clone() };
        choice.call(text(&block["toolUse"], "name"), input_in(&input));
    }
}

fn finish_of(word: &str) -> Finish {
    match word {
        "max_tokens" => Finish::Length,
        "model_context_window_exceeded" => Finish::ContextFull,
        "tool_use" => Finish::Calls,
        "guardrail_intervened" | "content_filtered" => Finish::Filter,
        _ => Finish::Stop,
    }
}

/// The input is all of it here: what was read from and written to the cache as well.
fn counts(usage: &Value) -> Counts {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let cached = count("cacheReadInputTokens");
    let input = count("inputTokens") + cached + count("cacheWriteInputTokens");
    Counts {
        input: if json!(null) == *usage { 0 } else { input },
        output: count("outputTokens"),
        cached,
        reasoning: 0,
    }
}
