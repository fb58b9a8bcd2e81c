//! Small readers of fields: a value of the right kind, or a refusal that names the field.

use crate::base::Refusal;
use crate::dialect::middle::Text;
use crate::wire::json::{Kind, Node};

/// A string as a text.
pub fn text<'a>(node: Node<'a>) -> Option<Text<'a>> {
    node.escaped().map(Text::escaped)
}

/// The member's text; empty when it is absent or something else.
pub fn text_of<'a>(node: Node<'a>, key: &str) -> Text<'a> {
    node.get(key).and_then(text).unwrap_or_default()
}

/// The member's text; `None` also for an empty one.
pub fn full_text_of<'a>(node: Node<'a>, key: &str) -> Option<Text<'a>> {
    node.get(key).and_then(text).filter(|text| !text.is_empty())
}

/// Whether the member is exactly this word.
pub fn is_word(node: Node<'_>, key: &str, word: &str) -> bool {
    node.get(key).and_then(Node::text).is_some_and(|text| text == word)
}

pub fn need_text<'a>(node: Node<'a>, field: &str) -> Result<Text<'a>, Refusal> {
    text(node).ok_or_else(|| wrong_kind(field, "a string"))
}

pub fn need_count(node: Node<'_>, field: &str) -> Result<u64, Refusal> {
    node.u64().ok_or_else(|| wrong_kind(field, "a whole number that is not negative"))
}

pub fn need_bool(node: Node<'_>, field: &str) -> Result<bool, Refusal> {
    node.bool().ok_or_else(|| wrong_kind(field, "true or false"))
}

/// A number as it is spelled.
pub fn need_number<'a>(node: Node<'a>, field: &str) -> Result<&'a [u8], Refusal> {
    need(node, Kind::Number, field, "a number").map(Node::raw)
}

pub fn need_object<'a>(node: Node<'a>, field: &str) -> Result<Node<'a>, Refusal> {
    need(node, Kind::Object, field, "an object")
}

pub fn need_array<'a>(node: Node<'a>, field: &str) -> Result<Node<'a>, Refusal> {
    need(node, Kind::Array, field, "an array")
}

fn need<'a>(node: Node<'a>, kind: Kind, field: &str, what: &str) -> Result<Node<'a>, Refusal> {
    if node.kind() == kind { Ok(node) } else { Err(wrong_kind(field, what)) }
}

pub fn wrong_kind(field: &str, what: &str) -> Refusal {
    Refusal::invalid("invalid_type", format!("`{field}` must be {what}.")).about(field)
}

pub fn wrong_value(field: &str, sentence: String) -> Refusal {
    Refusal::invalid("invalid_value", sentence).about(field)
}

pub fn missing(field: &str) -> Refusal {
    Refusal::invalid("missing_required_parameter", format!("`{field}` is missing.")).about(field)
}

/// Seconds since 1970, which some servers spell with a fraction.
pub fn seconds(node: Node<'_>) -> Option<u64> {
    node.u64().or_else(|| node.f64().filter(|&seconds| seconds >= 0.0).map(|seconds| seconds as u64))
}

/// Appends JSON without the line ends that stand between its tokens: a line of an event stream must hold none (none
/// can stand inside of a string, RFC 8259 §7).
pub fn write_on_one_line(raw: &[u8], out: &mut Vec<u8>) {
    out.extend(raw.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
}
