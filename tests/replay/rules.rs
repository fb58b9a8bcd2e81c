//! What a client's SDK takes for granted of a stream, dialect by dialect: each check tells the first rule that is broken. A
//! stream may stop anywhere; only one that ends well must be complete.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::framing::Event;
use crate::said::{items, text};

type Checked = Result<(), String>;

fn hold(holds: bool, rule: &str, data: &Value) -> Checked {
    if holds { Ok(()) } else { Err(format!("{rule}: {data:.300}")) }
}

/// Chunks of one id; a choice's role first, its finish once and last; calls begin with id and name, numbered densely; usage
/// in a chunk without choices; `[DONE]` behind everything, an error as the last event.
pub fn chat(events: &[Event]) -> Checked {
    let mut choices: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
    let (mut id, mut is_over) = (None, false);
    for Event { data, .. } in events {
        hold(!is_over, "nothing follows the end", data)?;
        if *data == "[DONE]" || data["error"].is_object() {
            hold(*data == "[DONE]" || data["error"]["message"].is_string(), "an error has a message", data)?;
            is_over = true;
            continue;
        }
        hold(data["object"] == "chat.completion.chunk", "every event is a chunk", data)?;
        hold(data["created"].is_u64() && data["model"].is_string(), "a chunk has its head", data)?;
        hold(id.get_or_insert_with(|| data["id"].clone()) == &data["id"], "there is one id", data)?;
        hold(data["choices"].is_array(), "choices are a list", data)?;
        let is_empty = items(&data["choices"]).len() == 0;
        hold(data["usage"].is_null() || is_empty, "usage stands alone", data)?;
        for item in items(&data["choices"]) {
            let index = item["index"].as_u64().ok_or(format!("a choice has an index: {item}"))?;
            let is_first = !choices.contains_key(&index);
            let (calls_count, is_finished) = choices.entry(index).or_default();
            hold(!is_first || item["delta"]["role"] == "assistant", "the first delta names the role", item)?;
            hold(!*is_finished, "nothing follows the finish", item)?;
            for call in items(&item["delta"]["tool_calls"]) {
                check_chat_call(call, calls_count)?;
            }
            *is_finished = item["finish_reason"].is_string();
        }
    }
    let is_done = events.last().is_some_and(|last| last.data == "[DONE]");
    let is_finished = choices.values().all(|(_, is_finished)| *is_finished);
    hold(!is_done || (!choices.is_empty() && is_finished), "a good end has finished choices", &Value::Null)
}

fn check_chat_call(call: &Value, calls_count: &mut u64) -> Checked {
    let index = call["index"].as_u64().ok_or(format!("a call has an index: {call}"))?;
    hold(index <= *calls_count, "calls are numbered densely", call)?;
    if index == *calls_count {
        *calls_count += 1;
        let inner = if call["custom"].is_object() { &call["custom"] } else { &call["function"] };
        let is_named = !text(call, "id").is_empty() && !text(inner, "name").is_empty();
        return hold(is_named && call["type"].is_string(), "a call begins with its id, type and name", call);
    }
    hold(call["id"].is_null(), "a call has its id once", call)
}

/// One message around blocks that are opened and closed one at a time, numbered densely; deltas of the block's own kind; one
/// `message_delta` and one `message_stop` at the end.
pub fn messages(events: &[Event]) -> Checked {
    let (mut open, mut next, mut stage): (Option<String>, u64, u8) = (None, 0, 0);
    for Event { name, data, .. } in events {
        hold(data["type"] == **name, "an event is named by its type", data)?;
        hold(stage < 3, "nothing follows the end", data)?;
        match name.as_str() {
            "message_start" => {
                hold(stage == 0, "there is one start", data)?;
                hold(data["message"]["usage"]["input_tokens"].is_u64(), "a message has its usage", data)?;
                hold(text(&data["message"], "id").starts_with("msg_"), "a message has its id", data)?;
                stage = 1;
            }
            "content_block_start" => {
                hold(stage == 1 && open.is_none() && data["index"] == next, "one block at a time", data)?;
                open = Some(text(&data["content_block"], "type").to_owned());
            }
            "content_block_delta" => {
                let kind = open.as_deref().filter(|_| data["index"] == next);
                let fits = match text(&data["delta"], "type") {
                    "text_delta" | "citations_delta" => kind == Some("text"),
                    "thinking_delta" | "signature_delta" => kind == Some("thinking"),
                    "input_json_delta" => kind == Some("tool_use"),
                    _ => false,
                };
                hold(fits, "a delta fits the block that is open", data)?;
            }
            "content_block_stop" => {
                hold(open.take().is_some() && data["index"] == next, "a block that is open ends", data)?;
                next += 1;
            }
            "message_delta" => {
                hold(stage == 1 && open.is_none(), "one message_delta behind all blocks", data)?;
                hold(data["delta"]["stop_reason"].is_string(), "a message has a reason to stop", data)?;
                hold(data["usage"]["output_tokens"].is_u64(), "its usage is told", data)?;
                stage = 2;
            }
            "message_stop" => {
                hold(stage == 2, "message_stop follows message_delta", data)?;
                stage = 3;
            }
            "error" => {
                hold(data["error"]["message"].is_string(), "an error has a message", data)?;
                stage = 3;
            }
            "ping" => {}
            _ => hold(false, "an event of the dialect", data)?,
        }
    }
    Ok(())
}

/// Whole responses; a candidate's parts are whole; its reason to end comes once and with the last of it.
pub fn gemini(events: &[Event]) -> Checked {
    let mut finished = Vec::new();
    for (number, Event { data, .. }) in events.iter().enumerate() {
        if data["error"].is_object() {
            hold(number + 1 == events.len(), "nothing follows an error", data)?;
            hold(
                data["error"]["message"].is_string() && data["error"]["code"].is_u64(),
                "an error has its parts",
                data,
            )?;
            continue;
        }
        hold(
            data["candidates"].is_array() || data["usageMetadata"].is_object(),
            "a response says something",
            data,
        )?;
        for candidate in items(&data["candidates"]) {
            let index = candidate["index"].as_u64().unwrap_or(0);
            hold(!finished.contains(&index), "nothing follows the reason to end", candidate)?;
            if candidate["finishReason"].is_string() {
                finished.push(index);
            }
            for part in items(&candidate["content"]["parts"]) {
                let call = &part["functionCall"];
                let is_call = call["name"].is_string() && call["args"].is_object();
                hold(call.is_null() || is_call, "a call has a name and an object", part)?;
                let is_known = ["text", "functionCall", "inlineData", "thoughtSignature"];
                hold(is_known.iter().any(|name| !part[*name].is_null()), "a part says something", part)?;
            }
        }
    }
    Ok(())
}
