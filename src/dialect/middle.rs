//! The middle: one vocabulary for what every dialect can say. A dialect reads its requests and answers into it and writes
//! it as its own; no dialect knows another one.
//!
//! Texts travel as JSON spells them ([`Text`]), because every dialect is JSON: they are copied, not decoded, and what
//! cannot be decoded (half of a surrogate pair) survives. Nothing disappears silently: what a writer cannot say it
//! notes in a [`Report`], and what a reader does not know it keeps as an [`Extra`] for the writer to judge.

mod event;
mod hints;
mod report;
mod request;
mod rules;
mod text;
mod told;

pub use event::{
    Arguments, Block, Delta, ErrorKind, Event, Finish, FinishReason, Place, ProviderError, Stage, Start,
};
pub use hints::is_hint;
pub use report::Report;
pub use request::{
    Effort, Extra, Format, Media, Part, Reasoning, Request, Role, Source, Tool, ToolChoice, ToolKind, Turn,
};
pub use rules::{ReasoningStyle, Rules, StructuredOutput};
pub use text::{Signature, Text};
pub use told::{Told, Written};
