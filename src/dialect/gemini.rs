//! The generateContent dialect of Gemini: requests and answers into the middle and back. The model, and whether the answer
//! is a stream, stand in the path, so neither is read or written here.
//!
//! Field names are those of the public reference (<https://ai.google.dev/api/generate-content>), which Vertex shares. As in
//! the JSON form of protocol buffers, requests may spell them in snake case as well.

mod error;
mod finish;
mod logprobs;
mod names;
mod part;
mod read_answer;
mod read_candidate;
mod read_config;
mod read_contents;
mod read_request;
mod read_tools;
mod schema;
mod signature;
mod spelling;
#[cfg(test)]
mod testing;
mod usage;
mod write_answer;
mod write_config;
mod write_contents;
mod write_media;
mod write_parts;
mod write_request;
mod write_stream;
mod write_tools;

pub use error::{read_error, write_error};
pub use read_answer::{StreamReader, read_answer};
pub use read_request::read_request;
pub use schema::with_json_schemas;
#[cfg(test)]
pub(super) use signature::write_for_client as write_signature_for_client;
pub(super) use signature::{MARK as SIGNATURE_MARK, from_client as signature_from_client};
pub use usage::{count_searches, read_usage};
pub use write_answer::AnswerWriter;
pub(super) use write_contents::NO_SIGNATURE;
pub use write_request::write_request;
pub use write_stream::{Framing, StreamWriter};

/// The header by which Google's SDKs name themselves, on every request.
pub const CLIENT_HEADER: &str = "x-goog-api-client";
