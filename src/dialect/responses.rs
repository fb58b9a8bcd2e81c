//! The Responses dialect of OpenAI: requests and answers into the middle and back.
//!
//! Never resolves what only a store can: a request that points at earlier answers is refused by name, so whoever keeps
//! them puts them into the request before it comes here. A signature without a vendor's name is never written to a
//! provider: it came from a client of another dialect, so its maker is another one.

mod blocks;
mod echo;
mod errors;
mod fields;
mod item;
mod names;
mod output;
mod pieces;
mod read_answer;
mod read_input;
mod read_parts;
mod read_request;
mod stream_reader;
mod stream_writer;
mod write_answer;
mod write_input;
mod write_request;
mod write_tools;

#[cfg(test)]
mod tests;

pub use echo::echo;
pub use errors::write_error;
pub use read_answer::{read_answer, read_usage, usage_of};
pub use read_request::read_request;
pub use stream_reader::StreamReader;
pub use stream_writer::StreamWriter;
pub use write_answer::AnswerWriter;
pub use write_request::write_request;
