//! `embedContent` and `batchEmbedContents` (<https://ai.google.dev/api/embeddings>).

use super::{Asked, Vector, is_array};
use crate::base::Refusal;
use crate::dialect::gemini::read_usage;
use crate::dialect::middle::{Report, Text};
use crate::ledger::usage::Usage;
use crate::wire::json::{self, Kind, Node};

pub(super) fn read_request<'a>(
    body: Node<'a>,
    is_batch: bool,
    report: &mut Report,
) -> Result<Asked<'a>, Refusal> {
    let mut asked = Asked::default();
    if !is_batch {
        read_one(body, "", &mut asked, report)?;
        return Ok(asked);
    }
    let requests = body.get("requests").filter(is_array);
    let requests = requests.ok_or_else(|| missing("requests"))?;
    for (index, request) in requests.items().enumerate() {
        let before = asked.dimensions.take();
        read_one(request, &format!("requests[{index}]."), &mut asked, report)?;
        // The other form has one number for all of them.
        if index > 0 && before != asked.dimensions {
            report.unsupported(format!("requests[{index}].outputDimensionality"));
        }
    }
    Ok(asked)
}

/// One text; what its parts hold beside texts has no place elsewhere.
fn read_one<'a>(
    request: Node<'a>,
    at: &str,
    asked: &mut Asked<'a>,
    report: &mut Report,
) -> Result<(), Refusal> {
    let mut text: Option<Text<'a>> = None;
    for (name, value) in request.members().filter(|(_, value)| !value.is_null()) {
        match &*name {
            b"model" => {}
            b"content" => {
                for (index, part) in value.get("parts").into_iter().flat_map(Node::items).enumerate() {
                    match (part.get("text").and_then(Node::escaped), &mut text) {
                        (None, _) => report.unsupported(format!("{at}content.parts[{index}]")),
                        (Some(more), None) => text = Some(Text::escaped(more)),
                        (Some(more), Some(text)) => {
                            text.push(&Text::escaped(br"\n"));
                            text.push(&Text::escaped(more));
                        }
                    }
                }
            }
            b"outputDimensionality" | b"output_dimensionality" => asked.dimensions = Some(value.raw()),
            _ => report.unsupported(format!("{at}{}", String::from_utf8_lossy(&name))),
        }
    }
    asked.texts.push(text.ok_or_else(|| missing(&format!("{at}content.parts")))?);
    Ok(())
}

fn missing(field: &str) -> Refusal {
    Refusal::invalid("missing_required_parameter", format!("`{field}` is missing.")).about(field)
}

pub(super) fn write_batch(asked: &Asked<'_>, model: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"requests\":[");
    for (index, text) in asked.texts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(text, asked.dimensions, model, out);
    }
    out.extend_from_slice(b"]}");
}

pub(super) fn write_one(asked: &Asked<'_>, model: &str, out: &mut Vec<u8>) {
    write_text(&asked.texts.first().cloned().unwrap_or_default(), asked.dimensions, model, out);
}

fn write_text(text: &Text<'_>, dimensions: Option<&[u8]>, model: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"model\":");
    json::write_string(&format!("models/{model}"), out);
    out.extend_from_slice(b",\"content\":{\"parts\":[{\"text\":");
    text.write(out);
    out.extend_from_slice(b"}]}");
    if let Some(dimensions) = dimensions {
        out.extend_from_slice(b",\"outputDimensionality\":");
        out.extend_from_slice(dimensions);
    }
    out.push(b'}');
}

pub(super) fn read_answer(body: Node<'_>) -> (Vec<Vector<'_>>, Usage) {
    let [one, many, usage] = body.pick(["embedding", "embeddings", "usageMetadata"]);
    let all = one.into_iter().chain(many.into_iter().flat_map(Node::items));
    let vectors = all.filter_map(|embedding| embedding.get("values").filter(is_array).map(Vector::Numbers));
    let usage = usage.filter(|usage| usage.kind() == Kind::Object).map(read_usage).unwrap_or_default();
    (vectors.collect(), usage)
}

/// Writes the answer; `None` when a vector is none.
pub(super) fn write_answer(
    vectors: &[Vector<'_>],
    is_batch: bool,
    usage: Usage,
    out: &mut Vec<u8>,
) -> Option<()> {
    out.extend_from_slice(if is_batch { b"{\"embeddings\":[" } else { b"{\"embedding\":" });
    for (index, vector) in vectors.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",{\"values\":" } else { b"{\"values\":" });
        vector.write_numbers(out)?;
        out.push(b'}');
    }
    out.extend_from_slice(if is_batch { b"]" } else { b"" });
    if let Some(input) = usage.input {
        out.extend_from_slice(format!(",\"usageMetadata\":{{\"promptTokenCount\":{input}}}").as_bytes());
    }
    out.push(b'}');
    Some(())
}
