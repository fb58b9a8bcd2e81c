//! `/v1/embeddings` (<https://platform.openai.com/docs/api-reference/embeddings>).

use super::{Asked, Vector, Way, is_array};
use crate::base::Refusal;
use crate::dialect::middle::{Report, Text, is_hint};
use crate::dialect::openai::read_usage;
use crate::ledger::usage::Usage;
use crate::wire::json::{self, Kind, Node};

/// Tokens in the place of texts mean something to one vendor's models only.
pub(super) fn read_request<'a>(body: Node<'a>, report: &mut Report) -> Result<Asked<'a>, Refusal> {
    let mut asked = Asked::default();
    let mut input = None;
    for (name, value) in body.members().filter(|(_, value)| !value.is_null()) {
        match &*name {
            b"model" => {}
            b"input" => input = Some(value),
            b"dimensions" => asked.dimensions = Some(value.raw()),
            b"encoding_format" => asked.as_base64 = value.escaped() == Some(b"base64"),
            // It changes no vector.
            b"user" => report.edited("user"),
            _ => {
                let name = String::from_utf8_lossy(&name);
                if is_hint(&name) { report.edited(name) } else { report.unsupported(name) }
            }
        }
    }
    let wrong =
        || Refusal::invalid("invalid_type", "`input` must be a text or an array of texts.").about("input");
    let input = input.ok_or_else(|| {
        Refusal::invalid("missing_required_parameter", "`input` is missing.").about("input")
    })?;
    match input.kind() {
        Kind::String => asked.texts.extend(input.escaped().map(Text::escaped)),
        Kind::Array => {
            for item in input.items() {
                match item.kind() {
                    Kind::String => asked.texts.extend(item.escaped().map(Text::escaped)),
                    Kind::Number | Kind::Array => {
                        report.unsupported("input");
                        asked.texts.push(Text::default());
                    }
                    _ => return Err(wrong()),
                }
            }
        }
        _ => return Err(wrong()),
    }
    Ok(asked)
}

pub(super) fn write_request(asked: &Asked<'_>, model: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"model\":");
    json::write_string(model, out);
    out.extend_from_slice(b",\"input\":[");
    for (index, text) in asked.texts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        text.write(out);
    }
    out.push(b']');
    if let Some(dimensions) = asked.dimensions {
        out.extend_from_slice(b",\"dimensions\":");
        out.extend_from_slice(dimensions);
    }
    out.push(b'}');
}

/// The vectors in the order of their numbers.
pub(super) fn read_answer(body: Node<'_>) -> (Vec<Vector<'_>>, Usage) {
    let mut vectors = Vec::new();
    for (position, item) in body.get("data").into_iter().flat_map(Node::items).enumerate() {
        let [index, embedding] = item.pick(["index", "embedding"]);
        let vector = embedding.and_then(|value| match value.escaped() {
            Some(text) => Some(Vector::Base64(text)),
            None => Some(value).filter(is_array).map(Vector::Numbers),
        });
        let index = index.and_then(Node::u64).unwrap_or(position as u64);
        vectors.extend(vector.map(|vector| (index, vector)));
    }
    vectors.sort_by_key(|(index, _)| *index);
    let usage = body.get("usage").filter(|usage| usage.kind() == Kind::Object);
    let usage = usage.map_or_else(Usage::default, |usage| read_usage(usage.raw()));
    (vectors.into_iter().map(|(_, vector)| vector).collect(), usage)
}

/// Writes the answer; `None` when a vector is none. The API demands the counts: 0 stands for what nobody stated.
pub(super) fn write_answer(way: &Way, vectors: &[Vector<'_>], usage: Usage, out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (index, vector) in vectors.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        out.extend_from_slice(
            format!("{comma}{{\"object\":\"embedding\",\"index\":{index},\"embedding\":").as_bytes(),
        );
        if way.as_base64 {
            vector.write_base64(out)?
        } else {
            vector.write_numbers(out)?
        };
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"model\":");
    json::write_string(&way.model, out);
    let input = usage.input.unwrap_or(0);
    out.extend_from_slice(
        format!(",\"usage\":{{\"prompt_tokens\":{input},\"total_tokens\":{input}}}}}").as_bytes(),
    );
    Some(())
}
