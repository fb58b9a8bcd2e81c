//! The chat completions dialect of OpenAI and of everybody who speaks it: requests and answers into the middle and back.
//!
//! What the dialect has no word for and clients of it know all the same travels in extensions that are common in the
//! field: `reasoning_content` for thoughts, `thinking_blocks` for their signatures, `images` for images in answers,
//! `extra_content` for the signature of a call.

mod assemble;
mod complete;
mod error;
mod names;
mod read_answer;
mod read_delta;
mod read_messages;
mod read_parts;
mod read_request;
mod read_tools;
mod think_tags;
mod usage;
mod write_answer;
mod write_messages;
mod write_parts;
mod write_pieces;
mod write_request;
mod write_stream;
mod write_tools;

pub use error::write_error;
pub use read_answer::{StreamReader, read_answer};
pub use read_request::read_request;
pub use usage::read_usage;
pub use write_answer::AnswerWriter;
pub use write_request::write_request;
pub use write_stream::StreamWriter;
