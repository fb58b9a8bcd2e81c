//! The Converse dialect of Bedrock: requests out of the middle, answers into it. Nobody speaks it to us, so there is no
//! reader of requests and no writer of answers. It never sends a field that the API does not document.
//!
//! Source: the API reference of Amazon Bedrock Runtime (`Converse`, `ConverseStream` and their data types). The model is
//! named in the path, not in the body. A stream is binary (`wire::eventstream`), each frame one event whose payload is JSON.
//!
//! Decisions where the API leaves a choice or the middle has no word:
//! - Thoughts go back only with a signature of the same vendor. A bare signature comes from a client that speaks another
//!   dialect natively, and is dropped with its thought.
//! - A conversation that does not begin with the user gets a user's turn of a single dot in front, because the API refuses
//!   it otherwise and blank texts as well; the report says so.
//! - Custom tools are not offered: their calls would come back as JSON, and nothing here could tell them from functions.

mod answer;
mod errors;
mod media;
mod stream;
#[cfg(test)]
mod testing;
mod tools;
mod turns;
mod write;
mod write_request;

pub use answer::{read_answer, read_usage};
pub use errors::read_error;
pub use stream::StreamReader;
pub use tools::ANSWER_TOOL;
pub use write_request::write_request;
