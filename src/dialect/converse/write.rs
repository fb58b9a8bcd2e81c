//! Pieces of JSON: commas, names, values. A container that was just opened ends in its bracket, which is how a comma is
//! known to be needed.

use crate::dialect::middle::Text;
use crate::wire::json;

/// Begins an element of the array, or the list of elements, that `out` ends in.
pub(super) fn element(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'{' | b'[')) {
        out.push(b',');
    }
}

/// Begins a member of the object that `out` ends in. The name needs no escapes.
pub(super) fn member(name: &str, out: &mut Vec<u8>) {
    element(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

pub(super) fn raw_member(name: &str, value: &[u8], out: &mut Vec<u8>) {
    member(name, out);
    out.extend_from_slice(value);
}

pub(super) fn text_member(name: &str, value: &Text<'_>, out: &mut Vec<u8>) {
    member(name, out);
    value.write(out);
}

pub(super) fn str_member(name: &str, value: &str, out: &mut Vec<u8>) {
    member(name, out);
    json::write_string(value, out);
}

/// An element `{"text":…}`.
pub(super) fn text_element(text: &Text<'_>, out: &mut Vec<u8>) {
    element(out);
    out.push(b'{');
    text_member("text", text, out);
    out.push(b'}');
}

/// What stands for `cache_control`: everything before it is to be cached, for as long as the client said.
pub(super) fn cache_point(cache_control: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(given) = cache_control.map(json::Node::scanned).filter(|given| !given.is_null()) else { return };
    element(out);
    out.extend_from_slice(b"{\"cachePoint\":{\"type\":\"default\"");
    if let Some(ttl @ ("5m" | "1h")) = given.get("ttl").and_then(json::Node::text).as_deref() {
        str_member("ttl", ttl, out);
    }
    out.extend_from_slice(b"}}");
}

/// [`Text::is_blank`], without decoding a text whose first byte says enough.
pub(super) fn is_blank(text: &Text<'_>) -> bool {
    match text.as_escaped().first() {
        None => true,
        Some(byte) if byte.is_ascii_graphic() && *byte != b'\\' => false,
        Some(_) => text.is_blank(),
    }
}
