//! The states of thoughts and calls that a provider wants back: they must reach every client as they are.

use ringway::dialect::endpoint::Grammar;
use serde_json::Value;

use crate::said::text;

/// All that stand in an answer, or in an event. Those of texts have a place in the chat dialect alone.
pub fn signatures_in(value: &Value, client: Grammar, found: &mut Vec<String>) {
    let kind = text(value, "type");
    // The state of an item is encrypted anew for each event; the one that counts is that of the whole item.
    let is_other = kind.starts_with("response.") && kind != "response.output_item.done";
    let is_of_text =
        value["text"].is_string() && !value["thoughtSignature"].is_null() && value["thought"] != true;
    if is_other || (is_of_text && client != Grammar::Chat) {
        return;
    }
    let Some(members) = value.as_object() else {
        return value.as_array().into_iter().flatten().for_each(|item| signatures_in(item, client, found));
    };
    for (name, member) in members {
        let is_state = match name.as_str() {
            "signature" | "thoughtSignature" | "thought_signature" | "redactedContent" => true,
            "encrypted_content" => kind == "reasoning",
            "data" => kind == "redacted_thinking",
            _ => false,
        };
        match member.as_str() {
            Some(state) if is_state && !state.is_empty() => found.push(state.to_owned()),
            Some(_) => {}
            None => signatures_in(member, client, found),
        }
    }
}
