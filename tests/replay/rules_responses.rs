//! What the SDKs of Responses take for granted of a stream: they put a response together from its events, and the last one
//! must be the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::framing::Event;
use crate::said::{items, text};

/// Checks a client's stream; tells the first rule that is broken.
pub fn check(events: &[Event]) -> Result<(), String> {
    let mut snapshot = Snapshot::default();
    for (number, Event { name, data, .. }) in events.iter().enumerate() {
        let fails = |rule: String| format!("event {number}, {rule}: {data:.300}");
        if data["type"] != **name {
            return Err(fails("an event is named by its type".to_owned()));
        }
        if data["sequence_number"] != number {
            return Err(fails("events are numbered densely".to_owned()));
        }
        snapshot.take(name, data).map_err(|rule| fails(rule.to_owned()))?;
    }
    Ok(())
}

#[derive(Default)]
struct Snapshot {
    is_created: bool,
    is_over: bool,
    items: Vec<Item>,
}

#[derive(Default)]
struct Item {
    id: String,
    done: Option<Value>,
    /// What the deltas gave, by the kind of text and its index.
    texts: BTreeMap<(&'static str, u64), String>,
    /// Texts that were told whole, and so are over.
    ended: Vec<(&'static str, u64)>,
}

impl Snapshot {
    fn take(&mut self, name: &str, data: &Value) -> Result<(), &'static str> {
        if self.is_over {
            return Err("nothing follows the end");
        }
        match name {
            "response.created" if self.is_created => Err("there is one start"),
            "response.created" => {
                self.is_created = true;
                Ok(())
            }
            "error" if data["message"].is_string() => {
                self.is_over = true;
                Ok(())
            }
            _ if !self.is_created => Err("response.created comes first"),
            "response.in_progress" => Ok(()),
            "response.output_item.added" => self.add(data),
            "response.output_item.done" => self.end_item(data),
            "response.completed" | "response.incomplete" => self.end(name, &data["response"]),
            "response.failed" => {
                self.is_over = true;
                let has_error = data["response"]["error"]["message"].is_string();
                if has_error { Ok(()) } else { Err("a failure says why") }
            }
            _ => self.piece(name, data),
        }
    }

    fn add(&mut self, data: &Value) -> Result<(), &'static str> {
        if data["output_index"] != self.items.len() {
            return Err("items are numbered densely");
        }
        let id = text(&data["item"], "id").to_owned();
        if id.is_empty() || self.items.iter().any(|item| item.id == id) {
            return Err("an item has an id of its own");
        }
        self.items.push(Item { id, ..Item::default() });
        Ok(())
    }

    fn item(&mut self, data: &Value, id: &str) -> Result<&mut Item, &'static str> {
        let index = data["output_index"].as_u64().and_then(|index| usize::try_from(index).ok());
        let item = index.and_then(|index| self.items.get_mut(index)).ok_or("an item was added before")?;
        if item.id != id {
            return Err("an item keeps its id");
        }
        if item.done.is_some() { Err("nothing follows the end of an item") } else { Ok(item) }
    }

    fn end_item(&mut self, data: &Value) -> Result<(), &'static str> {
        let item = self.item(data, text(&data["item"], "id"))?;
        let whole = &data["item"];
        for ((kind, index), given) in &item.texts {
            let index = *index as usize;
            let told = match *kind {
                "arguments" | "input" => text(whole, kind),
                "summary" => text(&whole["summary"][index], "text"),
                "refusal" => text(&whole["content"][index], "refusal"),
                _ => text(&whole["content"][index], "text"),
            };
            if told != given {
                return Err("an item is what its deltas gave");
            }
        }
        item.done = Some(whole.clone());
        Ok(())
    }

    fn end(&mut self, name: &str, response: &Value) -> Result<(), &'static str> {
        self.is_over = true;
        if name.trim_start_matches("response.") != text(response, "status") {
            return Err("the last event is named by the status");
        }
        let told: Vec<&Value> = items(&response["output"]).collect();
        let given: Vec<&Value> = self.items.iter().filter_map(|item| item.done.as_ref()).collect();
        if given.len() != self.items.len() {
            return Err("every item ends");
        }
        if told == given { Ok(()) } else { Err("the output is what the items gave") }
    }

    /// A piece of an item, or a part of it that begins or ends.
    fn piece(&mut self, name: &str, data: &Value) -> Result<(), &'static str> {
        let index = data["content_index"].as_u64().or(data["summary_index"].as_u64()).unwrap_or(0);
        let item = self.item(data, text(data, "item_id"))?;
        let (what, moment) = name.trim_start_matches("response.").rsplit_once('.').unwrap_or_default();
        let kind = match what {
            "output_text" => "text",
            "refusal" => "refusal",
            "reasoning_summary_text" => "summary",
            "reasoning_text" => "thought",
            "function_call_arguments" => "arguments",
            "custom_tool_call_input" => "input",
            "content_part" | "reasoning_summary_part" => return item.part(what, moment, index, data),
            "output_text.annotation" => return Ok(()),
            _ => return Err("an event of the dialect"),
        };
        let is_call = matches!(kind, "arguments" | "input");
        if item.ended.contains(&(kind, index)) {
            return Err("nothing follows the end of a text");
        }
        if !is_call && !item.texts.contains_key(&(kind, index)) {
            return Err("a part was added before its text");
        }
        let given = item.texts.entry((kind, index)).or_default();
        if moment == "delta" {
            given.push_str(data["delta"].as_str().ok_or("a delta is a text")?);
            return Ok(());
        }
        let field = if matches!(kind, "summary" | "thought") { "text" } else { kind };
        if data[field] != json!(given) {
            return Err("a text is what its deltas gave");
        }
        item.ended.push((kind, index));
        Ok(())
    }
}

impl Item {
    fn part(&mut self, what: &str, moment: &str, index: u64, data: &Value) -> Result<(), &'static str> {
        let kind = match (what, text(&data["part"], "type")) {
            ("content_part", "output_text") => "text",
            ("content_part", "refusal") => "refusal",
            ("content_part", "reasoning_text") => "thought",
            ("reasoning_summary_part", "summary_text") => "summary",
            _ => return Err("a part of the dialect"),
        };
        let is_known = self.texts.contains_key(&(kind, index));
        match moment {
            "added" if is_known => Err("a part is added once"),
            "added" => {
                self.texts.insert((kind, index), String::new());
                Ok(())
            }
            _ if !is_known => Err("a part that was added ends"),
            _ => {
                let field = if kind == "refusal" { "refusal" } else { "text" };
                let is_same = text(&data["part"], field) == self.texts[&(kind, index)];
                if is_same { Ok(()) } else { Err("a part is what its deltas gave") }
            }
        }
    }
}
