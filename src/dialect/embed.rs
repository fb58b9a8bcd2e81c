//! Embeddings between the two forms that ask for them: OpenAI's `/v1/embeddings`, and Gemini's `embedContent` and
//! `batchEmbedContents`. Texts in, one vector for each out, in their order. A vector's numbers keep their spelling; as base64
//! they are 32-bit floats, least byte first, which both sides lose nothing by.

use super::endpoint::Endpoint;
use super::middle::{ProviderError, Report, Text};
use crate::base::{Refusal, Span, base64, unbase64};
use crate::ledger::usage::Usage;
use crate::wire::json::{self, Kind, Node};

mod gemini;
mod openai;

/// What a request for embeddings asks.
#[derive(Debug, Default)]
struct Asked<'a> {
    texts: Vec<Text<'a>>,
    /// How many numbers each vector is to have, as it is spelled.
    dimensions: Option<&'a [u8]>,
    as_base64: bool,
}

/// A vector as it came.
#[derive(Clone, Copy, Debug)]
enum Vector<'a> {
    /// An array of numbers.
    Numbers(Node<'a>),
    /// The content of a JSON string.
    Base64(&'a [u8]),
}

/// What the way back must know.
#[derive(Clone, Debug)]
pub struct Way {
    client: Endpoint,
    provider: Endpoint,
    model: String,
    texts_count: usize,
    as_base64: bool,
}

/// Writes the request for the provider's endpoint into `out`. The body is a scanned object.
pub fn request(
    client: Endpoint,
    provider: Endpoint,
    body: Node<'_>,
    model: &str,
    report: &mut Report,
    out: &mut Vec<u8>,
) -> Result<Way, Refusal> {
    let asked = match client {
        Endpoint::Embeddings => openai::read_request(body, report)?,
        _ => gemini::read_request(body, client == Endpoint::EmbedBatch, report)?,
    };
    match provider {
        Endpoint::Embeddings => openai::write_request(&asked, model, out),
        Endpoint::EmbedBatch => gemini::write_batch(&asked, model, out),
        _ => {
            if asked.texts.len() > 1 {
                report.unsupported("input");
            }
            gemini::write_one(&asked, model, out);
        }
    }
    let (texts_count, as_base64) = (asked.texts.len(), asked.as_base64);
    Ok(Way { client, provider, model: model.to_owned(), texts_count, as_base64 })
}

/// Where a request of Gemini's form names its model in the body, and the name that the provider knows, for a request that
/// passes: the names in path and body must be one.
pub fn renamed(document: &[u8], model: &str) -> Vec<(Span, Vec<u8>)> {
    let body = Node::scanned(document);
    let requests = body.get("requests").into_iter().flat_map(Node::items);
    let names = std::iter::once(body).chain(requests).filter_map(|holder| holder.get("model"));
    let mut name = Vec::new();
    json::write_string(&format!("models/{model}"), &mut name);
    let strings = names.filter(|name| name.kind() == Kind::String);
    let mut places: Vec<_> = strings.map(|value| (value.place_in(document), name.clone())).collect();
    places.sort_by_key(|(place, _)| place.start);
    places
}

impl Way {
    /// Writes the answer for the client, and gives the usage that it states.
    pub fn answer(&self, body: Node<'_>, out: &mut Vec<u8>) -> Result<Usage, Box<ProviderError>> {
        let (vectors, usage) = match self.provider {
            Endpoint::Embeddings => openai::read_answer(body),
            _ => gemini::read_answer(body),
        };
        // A vector for each text, or nobody knows which is whose.
        if vectors.len() != self.texts_count {
            return Err(Box::new(super::errors::read(200, body.raw(), None)));
        }
        let written = match self.client {
            Endpoint::Embeddings => openai::write_answer(self, &vectors, usage, out),
            _ => gemini::write_answer(&vectors, self.client == Endpoint::EmbedBatch, usage, out),
        };
        written.ok_or_else(|| Box::new(super::errors::read(200, body.raw(), None)))?;
        Ok(usage)
    }
}

impl Vector<'_> {
    /// Appends the numbers as an array; `None` when they are none.
    fn write_numbers(self, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Vector::Numbers(array) => out.extend_from_slice(array.raw()),
            Vector::Base64(text) => {
                let bytes = unbase64(std::str::from_utf8(text).ok()?)?;
                let (numbers, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return None;
                }
                out.push(b'[');
                for (index, number) in numbers.iter().enumerate() {
                    let number = f32::from_le_bytes(*number);
                    if !number.is_finite() {
                        return None;
                    }
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(number.to_string().as_bytes());
                }
                out.push(b']');
            }
        }
        Some(())
    }

    /// Appends the numbers as a string of base64.
    fn write_base64(self, out: &mut Vec<u8>) -> Option<()> {
        out.push(b'"');
        match self {
            Vector::Base64(text) => out.extend_from_slice(text),
            Vector::Numbers(array) => {
                let mut bytes = Vec::new();
                for number in array.items() {
                    let number: f32 = std::str::from_utf8(number.raw()).ok()?.parse().ok()?;
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
                out.extend_from_slice(base64(&bytes).as_bytes());
            }
        }
        out.push(b'"');
        Some(())
    }
}

fn is_array(node: &Node<'_>) -> bool {
    node.kind() == Kind::Array
}

#[cfg(test)]
mod tests;
