//! Chat, read by itself: deltas are put together to messages by their index, and messages say what they say.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::framing::Event;
use crate::said::{
    Choice, Counts, Finish, Said, append, custom_input, input_in, input_of, items, merge, text,
};

pub fn answer(body: &Value) -> Said {
    let mut said = Said { error: error_in(body), has_ended: true, ..Said::default() };
    let mut usage = Map::new();
    merge(&mut usage, &body["usage"]);
    for (position, item) in items(&body["choices"]).enumerate() {
        let mut choice = Choice::default();
        let message = if item["message"].is_null() { &item["delta"] } else { &item["message"] };
        read_message(message, &mut choice);
        choice.finish(finish_of(text(item, "finish_reason")).unwrap_or(Finish::Stop));
        said.choices.insert(item["index"].as_u64().unwrap_or(position as u64), choice);
    }
    said.counts = counts(&Value::Object(usage));
    said
}

pub fn stream(events: &[Event]) -> Said {
    let mut said = Said::default();
    let mut usage = Map::new();
    let mut messages: BTreeMap<u64, (Message, Option<Finish>)> = BTreeMap::new();
    for event in events {
        if event.data == "[DONE]" {
            said.has_ended = true;
            break;
        }
        if let Some(message) = error_in(&event.data) {
            said.error = Some(message);
            break;
        }
        for (position, item) in items(&event.data["choices"]).enumerate() {
            let index = item["index"].as_u64().unwrap_or(position as u64);
            let (message, finish) = messages.entry(index).or_default();
            let is_whole = item["delta"].is_null() && message.is_blank();
            message.add(if is_whole { &item["message"] } else { &item["delta"] });
            *finish = finish_of(text(item, "finish_reason")).or(*finish);
        }
        merge(&mut usage, &event.data["x_groq"]["usage"]);
        merge(&mut usage, &event.data["usage"]);
    }
    let is_finished = !messages.is_empty() && messages.values().all(|(_, finish)| finish.is_some());
    said.has_ended |= is_finished && said.error.is_none();
    for (index, (message, finish)) in messages {
        let mut choice = message.choice;
        for call in message.calls {
            read_call(&Value::Object(call), &mut choice);
        }
        if said.has_ended {
            choice.finish(finish.unwrap_or(Finish::Stop));
        }
        said.choices.insert(index, choice);
    }
    said.counts = counts(&Value::Object(usage));
    said
}

/// A message that grows. Texts go to the choice at once; calls are put together first.
#[derive(Default)]
struct Message {
    choice: Choice,
    calls: Vec<Map<String, Value>>,
}

impl Message {
    fn is_blank(&self) -> bool {
        self.calls.is_empty() && self.choice.visible.is_empty() && self.choice.thinking.is_empty()
    }

    fn add(&mut self, delta: &Value) {
        read_prose(delta, &mut self.choice);
        for (position, piece) in items(&delta["tool_calls"]).enumerate() {
            self.add_call(piece, position);
        }
        if delta["function_call"].is_object() {
            self.add_call(&json!({"index": 0, "function": delta["function_call"]}), 0);
        }
    }

    fn add_call(&mut self, piece: &Value, position: usize) {
        let id = text(piece, "id");
        let has_index = piece["index"].is_u64();
        let index = if has_index { piece["index"].clone() } else { json!(format!("at {position}")) };
        // A new id at a known place is a new call: some send every call whole, all at place 0.
        let place = self.calls.iter().rposition(|call| {
            let own = call["id"].as_str().unwrap_or_default();
            let is_same_id = id.is_empty() || own.is_empty() || own == id;
            if has_index || id.is_empty() { call["index"] == index && is_same_id } else { own == id }
        });
        let place = place.unwrap_or_else(|| {
            let call = json!({"index": index, "id": "", "name": "", "arguments": ""});
            self.calls.push(call.as_object().cloned().unwrap_or_default());
            self.calls.len() - 1
        });
        let call = &mut self.calls[place];
        let is_custom = piece["custom"].is_object();
        let inner = if is_custom { &piece["custom"] } else { &piece["function"] };
        for (name, value) in [("id", id), ("name", text(inner, "name"))] {
            if call[name] == "" {
                call.insert(name.to_owned(), json!(value));
            }
        }
        let arguments = &inner[if is_custom { "input" } else { "arguments" }];
        match arguments.as_str() {
            Some(piece) => append(call, "arguments", piece),
            None if arguments.is_object() => append(call, "arguments", &arguments.to_string()),
            None => {}
        }
        if is_custom {
            call.insert("is_custom".to_owned(), json!(true));
        }
    }
}

fn read_message(message: &Value, choice: &mut Choice) {
    let mut whole = Message::default();
    whole.add(message);
    *choice = whole.choice;
    for call in whole.calls {
        read_call(&Value::Object(call), choice);
    }
}

fn read_call(call: &Value, choice: &mut Choice) {
    if text(call, "name").is_empty() {
        return;
    }
    let arguments = text(call, "arguments");
    let input =
        if call["is_custom"] == true { custom_input(arguments) } else { input_in(&input_of(arguments)) };
    choice.call(text(call, "name"), input);
}

/// Thoughts, text and refusal of a delta or a message.
fn read_prose(delta: &Value, choice: &mut Choice) {
    let details = if delta["reasoning_details"].is_array() { "reasoning_details" } else { "thinking_blocks" };
    let of_block = |block: &Value| {
        let texts = ["thinking", "text", "summary"].map(|name| text(block, name).to_owned());
        texts.into_iter().find(|text| !text.is_empty())
    };
    let thoughts: Vec<String> = items(&delta[details]).filter_map(of_block).collect();
    let plain = ["reasoning_content", "reasoning"].into_iter().find(|name| !text(delta, name).is_empty());
    match plain {
        _ if !thoughts.is_empty() => choice.think(&thoughts.concat()),
        Some(name) => choice.think(text(delta, name)),
        None => {}
    }
    match &delta["content"] {
        Value::String(text) => choice.say(text),
        content => items(content).for_each(|part| read_part(part, choice)),
    }
    if text(delta, "content").is_empty() {
        choice.say(text(&delta["audio"], "transcript"));
    }
    choice.refuse(text(delta, "refusal"));
}

fn read_part(part: &Value, choice: &mut Choice) {
    match text(part, "type") {
        "thinking" if part["thinking"].is_string() => choice.think(text(part, "thinking")),
        "thinking" => items(&part["thinking"]).for_each(|inner| choice.think(text(inner, "text"))),
        "refusal" => choice.refuse(text(part, "refusal")),
        _ => choice.say(text(part, "text")),
    }
}

fn finish_of(word: &str) -> Option<Finish> {
    Some(match word {
        "" | "null" => return None,
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "tool_calls" | "function_call" => Finish::Calls,
        "content_filter" | "safety" | "SAFETY" | "sensitive" => Finish::Filter,
        "refusal" => Finish::Refusal,
        "pause_turn" => Finish::Pause,
        _ => Finish::Stop,
    })
}

/// The message of an error that stands in an answer or in an event: at the top, in a choice, or as its end.
fn error_in(body: &Value) -> Option<String> {
    let message = |error: &Value| match error {
        Value::Object(_) => Some(text(error, "message").to_owned()),
        Value::String(message) if !message.is_empty() => Some(message.clone()),
        _ => None,
    };
    let in_choices = items(&body["choices"]).find_map(|choice| {
        let is_broken = matches!(text(choice, "finish_reason"), "error" | "insufficient_system_resource");
        message(&choice["error"]).or(is_broken.then(String::new))
    });
    message(&body["error"]).or(in_choices)
}

fn counts(usage: &Value) -> Counts {
    let count = |value: &Value, names: &[&str]| names.iter().find_map(|name| value[*name].as_u64());
    let input = count(usage, &["prompt_tokens", "input_tokens"]);
    let mut output = count(usage, &["completion_tokens", "output_tokens"]);
    let reasoning = usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap_or(0);
    let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64();
    let cached = cached.or(count(usage, &["cached_tokens", "prompt_cache_hit_tokens"])).unwrap_or(0);
    // Where the total says so, thoughts stand beside what is counted as the completion.
    if let (Some(input), Some(given), Some(total)) = (input, output, usage["total_tokens"].as_u64())
        && reasoning > 0
        && input + given + reasoning == total
    {
        output = Some(given + reasoning);
    }
    // And a part that is larger than the whole stands beside it.
    let input = input.map(|input| if cached > input { input + cached } else { input });
    Counts { input: input.unwrap_or(0), output: output.unwrap_or(0), cached, reasoning }
}
