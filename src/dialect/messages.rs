//! The Messages dialect of Anthropic: requests and answers into the middle and back. Nothing that it reads is lost without
//! a word, and nothing that it writes breaks the order of events that Anthropic's SDKs hold an answer to.
//!
//! What the dialect has no words for it says by these rules:
//! - Arguments of a call that are no JSON object stand in a whole answer as `{"_invalid_arguments": "<the text>"}`: the
//!   dialect demands an object, and an empty one would be made up.
//! - State that a provider gave with a call stands as `signature` in the `tool_use` block and is read from there again.
//! - Custom tools, whose input is a text, become tools with one string: `{"input": "<the text>"}`.
//! - A first system block that begins with `x-anthropic-billing-header:` changes with every request and means something to
//!   Anthropic only; readers of other providers never see it.
//! - `tool_reference` in a result of a tool becomes the name of the tool, and `defer_loading` and
//!   `eager_input_streaming` of tools are left out: all tools are sent whole to providers that know neither.

mod arguments;
mod errors;
mod read_answer;
mod read_request;
mod stop_reason;
mod usage;
mod write_answer;
mod write_request;
mod write_stream;

#[cfg(test)]
mod testing;

pub use errors::write_error;
pub use read_answer::{StreamReader, read_answer};
pub use read_request::read_request;
pub use usage::read_usage;
pub use write_answer::AnswerWriter;
pub use write_request::write_request;
pub use write_stream::StreamWriter;

/// The header by which callers of this dialect say its version, on every request.
pub const VERSION_HEADER: &str = "anthropic-version";
