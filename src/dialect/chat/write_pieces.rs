//! Pieces that answers are written of, the same in chunks and in whole documents.

use super::write_request::{member, text_member};
use crate::dialect::middle::{FinishReason, Signature, Start, Text, Told};
use crate::wire::json;
use crate::wire::write::write_decimal;

/// Appends what an answer begins with, behind `"id":`.
pub(super) fn write_head(start: &Start<'_>, told: &Told, object: &str, out: &mut Vec<u8>) {
    if start.id.is_empty() {
        out.extend_from_slice(b"\"chatcmpl-");
        json::write_escaped(told.id.as_bytes(), out);
        out.push(b'"');
    } else {
        start.id.write(out);
    }
    out.extend_from_slice(b",\"object\":\"");
    out.extend_from_slice(object.as_bytes());
    out.extend_from_slice(b"\",\"created\":");
    write_decimal(start.created_s.unwrap_or(told.created_s), out);
    if start.model.is_empty() {
        out.extend_from_slice(b",\"model\":");
        json::write_string(&told.model, out);
    } else {
        text_member("model", &start.model, out);
    }
}

/// Appends a call up to its arguments, which come inside of the same object.
pub(super) fn write_call_head(
    number: Option<u32>,
    id: &Text<'_>,
    name: &Text<'_>,
    is_custom: bool,
    out: &mut Vec<u8>,
) {
    if let Some(number) = number {
        out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
        write_number(number, out);
        out.extend_from_slice(b",\"id\":");
    } else {
        out.extend_from_slice(b"{\"id\":");
    }
    id.write(out);
    let head: &[u8] = if is_custom {
        b",\"type\":\"custom\",\"custom\":{\"name\":"
    } else {
        b",\"type\":\"function\",\"function\":{\"name\":"
    };
    out.extend_from_slice(head);
    name.write(out);
}

/// Appends the signature of a call behind its object, as the endpoint that makes them spells it.
pub(super) fn write_call_signature(signature: &Signature<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"extra_content\":{\"google\":{\"thought_signature\":");
    signature.write_for_client(out);
    out.extend_from_slice(b"}}");
}

/// Appends a call up to the text of its arguments, which the caller ends.
pub(super) fn write_call_input(number: u32, is_custom: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
    write_number(number, out);
    let key: &[u8] =
        if is_custom { b",\"custom\":{\"input\":\"" } else { b",\"function\":{\"arguments\":\"" };
    out.extend_from_slice(key);
}

/// Appends a source. The SDKs demand the places in the text and a title; the places are not known, so they are 0.
pub(super) fn write_citation(
    url: &Text<'_>,
    title: Option<&Text<'_>>,
    cited: Option<&Text<'_>>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"type\":\"url_citation\",\"url_citation\":{\"url\":");
    url.write(out);
    text_member("title", title.unwrap_or(&Text::default()), out);
    member("start_index", b"0", out);
    member("end_index", b"0", out);
    if let Some(cited) = cited {
        text_member("content", cited, out);
    }
    out.extend_from_slice(b"}}");
}

/// Appends an image.
pub(super) fn write_image(kind: &Text<'_>, base64: &Text<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:");
    out.extend_from_slice(kind.as_escaped());
    out.extend_from_slice(b";base64,");
    out.extend_from_slice(base64.as_escaped());
    out.extend_from_slice(b"\"}}");
}

/// Appends a sound. The SDKs demand an id and the time after which it is gone; it is ours, and gone at once.
pub(super) fn write_audio(base64: &Text<'_>, told: &Told, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    Text::of(&format!("audio_{}", told.id)).write(out);
    out.extend_from_slice(format!(",\"expires_at\":{}", told.created_s).as_bytes());
    text_member("data", base64, out);
    out.extend_from_slice(b",\"transcript\":\"\"}");
}

/// Appends the probabilities of a text, or of a refusal.
pub(super) fn write_logprobs(raw: &[u8], is_refusal: bool, out: &mut Vec<u8>) {
    let (before, behind): (&[u8], &[u8]) = if is_refusal {
        (b"{\"content\":null,\"refusal\":", b"}")
    } else {
        (b"{\"content\":", b",\"refusal\":null}")
    };
    out.extend_from_slice(before);
    out.extend_from_slice(raw);
    out.extend_from_slice(behind);
}

/// The dialect's word for an end.
pub(super) fn reason(reason: FinishReason) -> &'static str {
    match reason {
        // A paused turn cannot be taken up again in this dialect.
        FinishReason::Stop | FinishReason::Pause => "stop",
        FinishReason::Length | FinishReason::ContextFull => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter | FinishReason::Refusal => "content_filter",
    }
}

/// Appends a small number, which costs no allocation.
pub(super) fn write_number(number: u32, out: &mut Vec<u8>) {
    write_decimal(u64::from(number), out);
}
