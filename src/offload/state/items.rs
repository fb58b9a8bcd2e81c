//! Items of conversations: their ids, the form in which lists show them, and pages of lists. An id names the record that
//! holds the item, so no table of items is needed.

use super::{Id, Missing, Response};
use crate::wire::json::{self, Kind, Node};

/// An item as a list shows it.
#[derive(Clone, Debug)]
pub struct Item {
    pub id: String,
    pub json: Vec<u8>,
}

/// Which part of a list is wanted.
#[derive(Clone, Debug)]
pub struct Page {
    /// Items of one page.
    pub limit: usize,
    /// The newest come first.
    pub is_descending: bool,
    /// Begins behind the item of this id.
    pub after: Option<String>,
}

impl Page {
    /// The list object with this part of all items.
    pub fn of(&self, all: &[Item]) -> Result<Vec<u8>, Missing> {
        let mut ordered: Vec<&Item> = all.iter().collect();
        if self.is_descending {
            ordered.reverse();
        }
        if let Some(after) = &self.after {
            let at = ordered.iter().position(|item| item.id == *after);
            let at = at.ok_or_else(|| Missing::Item(after.clone()))?;
            ordered.drain(..=at);
        }
        let has_more = ordered.len() > self.limit;
        ordered.truncate(self.limit);
        Ok(list(&ordered, has_more))
    }
}

/// A list object of these items.
pub fn list(items: &[&Item], has_more: bool) -> Vec<u8> {
    let mut out = b"{\"object\":\"list\",\"data\":[".to_vec();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&item.json);
    }
    out.push(b']');
    for (name, item) in [("first_id", items.first()), ("last_id", items.last())] {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        match item {
            Some(item) => json::write_string(&item.id, &mut out),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.extend_from_slice(format!(",\"has_more\":{has_more}}}").as_bytes());
    out
}

/// Adds an element behind others; nothing adds nothing.
pub fn push(element: &[u8], out: &mut Vec<u8>) {
    if !out.is_empty() && !element.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(element);
}

/// What a response said.
pub fn output(response: &Response) -> impl Iterator<Item = Node<'_>> {
    let output = Node::scanned(&response.body).get("output");
    output.into_iter().flat_map(Node::items)
}

/// What a response was asked, its ids made up where the client gave none.
pub fn input(response: &Response) -> impl Iterator<Item = Item> {
    elements(&response.input)
        .into_iter()
        .enumerate()
        .map(move |(index, raw)| listed(Node::scanned(&raw), &format!("{}_i{index}", response.id)))
}

/// The elements of an array, given without its brackets.
pub fn elements(inside: &[u8]) -> Vec<Vec<u8>> {
    let array = [b"[", inside, b"]"].concat();
    Node::scanned(&array).items().map(|item| item.raw().to_vec()).collect()
}

/// An item that has its id and its form already.
pub fn as_it_is(item: Node<'_>) -> Item {
    let id = item.get("id").and_then(Node::text).unwrap_or_default().into_owned();
    Item { id, json: item.raw().to_vec() }
}

/// An item with an id, a type and, for messages, parts; `place` is the end of an id that is made up.
pub fn listed(item: Node<'_>, place: &str) -> Item {
    let kind = item.get("type").and_then(Node::text).unwrap_or("message".into());
    let is_message = kind == "message";
    let own = item.get("id").and_then(Node::text).map(|id| id.into_owned());
    let id = own.unwrap_or_else(|| format!("{}_{place}", prefix(&kind)));
    let mut json = b"{\"id\":".to_vec();
    json::write_string(&id, &mut json);
    json.extend_from_slice(b",\"type\":");
    json::write_string(&kind, &mut json);
    if is_message && item.get("status").is_none() {
        json.extend_from_slice(b",\"status\":\"completed\"");
    }
    let said_by_model = item.get("role").and_then(Node::text).is_some_and(|role| role == "assistant");
    for (key, value) in item.members().filter(|(key, _)| !matches!(&**key, b"id" | b"type")) {
        json.push(b',');
        json::write_string(&String::from_utf8_lossy(&key), &mut json);
        json.push(b':');
        if is_message && *key == *b"content" && value.kind() == Kind::String {
            write_text_part(value, said_by_model, &mut json);
        } else {
            json.extend_from_slice(value.raw());
        }
    }
    json.push(b'}');
    Item { id, json }
}

fn write_text_part(text: Node<'_>, is_output: bool, out: &mut Vec<u8>) {
    let kind: &[u8] = if is_output { b"output_text\",\"annotations\":[" } else { b"input_text\"" };
    out.extend_from_slice(b"[{\"type\":\"");
    out.extend_from_slice(kind);
    out.extend_from_slice(if is_output { b"],\"text\":" } else { b",\"text\":" });
    out.extend_from_slice(text.raw());
    out.extend_from_slice(b"}]");
}

/// How ids of items of a kind begin.
fn prefix(kind: &str) -> &'static str {
    match kind {
        "message" => "msg",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "custom_tool_call" => "ctc",
        "custom_tool_call_output" => "ctco",
        "reasoning" => "rs",
        _ => "item",
    }
}

/// The record that holds the item of this id: the part between the kind and the place.
pub fn record_of(id: &str) -> Option<Id> {
    let (front, _) = id.rsplit_once('_')?;
    Id::of("", front.rsplit_once('_')?.1)
}
