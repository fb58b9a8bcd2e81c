//! What an answer says, step by step: the same steps whether it came as a stream or whole.
//!
//! Readers promise and writers rely on:
//! 1. `Start` comes first and once.
//! 2. A block is opened before its deltas and closed once, behind its last delta. Blocks may be open at the same time
//!    (parallel calls of tools). Places are dense: the blocks of a choice are numbered 0, 1, 2 in the order of opening.
//! 3. A call is opened when its id and name are known, never before. Its arguments are the deltas joined; none mean `{}`.
//! 4. No delta is empty.
//! 5. `Finish` comes once for each choice, behind the choice's last `Close`. A reader keeps a finish reason back
//!    until nothing can change it. Where calls were made, a plain stop is [`FinishReason::ToolCalls`].
//! 6. `Usage` may come at any time; what a later one states replaces what an earlier one said.
//! 7. `End` comes once, behind everything, when the provider's own terminal was there. An `Error` is the end as well. A
//!    stream without either was cut.

use super::text::{Signature, Text};
use crate::ledger::usage::Usage;

/// One step of an answer.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    Start(Start<'a>),
    Open {
        at: Place,
        block: Block<'a>,
    },
    Delta {
        at: Place,
        delta: Delta<'a>,
    },
    Close {
        at: Place,
    },
    Finish {
        choice: u32,
        finish: Finish<'a>,
    },
    Usage(Usage),
    Error(Box<ProviderError>),
    /// The provider shows that it is alive.
    Ping,
    /// The arguments of a call went on behind their object, and what followed was left out. Told to nobody but the counters.
    Surplus,
    End,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start<'a> {
    pub id: Text<'a>,
    pub model: Text<'a>,
    /// Seconds since 1970, where the provider says so.
    pub created_s: Option<u64>,
}

/// A block of a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    pub choice: u32,
    pub block: u32,
}

/// What a block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    Text,
    Refusal,
    Thinking,
    /// A thought that only its vendor can read, whole.
    HiddenThinking {
        data: Signature<'a>,
    },
    ToolCall {
        id: Text<'a>,
        name: Text<'a>,
        /// The input is a text, not JSON.
        is_custom: bool,
        /// State of the provider that must come back with the call.
        signature: Option<Signature<'a>>,
    },
    /// An image or a sound, whole: its media type and its bytes in base64.
    Media {
        kind: Text<'a>,
        base64: Text<'a>,
    },
    /// A block that only the provider's own dialect knows (a search that it made, code that it ran), whole. Writers of
    /// other dialects leave it out.
    Foreign {
        raw: &'a [u8],
    },
}

/// What is added to a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta<'a> {
    Text(Text<'a>),
    Arguments(Arguments<'a>),
    /// The signature of a thought, whole.
    Signature(Signature<'a>),
    /// A source of the text, with the address where there is one.
    Citation {
        url: Option<Text<'a>>,
        title: Option<Text<'a>>,
        cited: Option<Text<'a>>,
    },
    /// The chat dialect's `logprobs.content` for the text that came with it: a JSON array.
    Logprobs(&'a [u8]),
}

/// A piece of a call's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments<'a> {
    /// A piece of the JSON text, as the content of a JSON string.
    Piece(Text<'a>),
    /// All of it, as a JSON value.
    Whole(&'a [u8]),
}

impl Arguments<'_> {
    /// Appends the piece as the content of a JSON string.
    pub fn write_escaped(&self, out: &mut Vec<u8>) {
        match self {
            Arguments::Piece(text) => out.extend_from_slice(text.as_escaped()),
            Arguments::Whole(raw) => crate::wire::json::write_escaped(raw, out),
        }
    }
}

/// Why a choice ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish<'a> {
    pub reason: FinishReason,
    /// The stop sequence that was met.
    pub stop_sequence: Option<Text<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    Refusal,
    /// The provider paused a long turn that the client may go on with.
    Pause,
    /// The context window is full.
    ContextFull,
}

/// An error of the provider, in an answer or inside of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError {
    pub kind: ErrorKind,
    /// The HTTP status that goes with it.
    pub status: u16,
    /// The provider's own words.
    pub message: String,
    /// The provider's own code or type.
    pub code: Option<String>,
    pub param: Option<String>,
}

/// What is wrong, in the words that all dialects have a name for (each error's place in the dialects is its writer's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    BadRequest,
    ContextOverflow,
    ContentFilter,
    /// The gateway's own key was refused, which is not the client's fault.
    Credential,
    Permission,
    Billing,
    NotFound,
    TooLarge,
    RateLimit,
    Overloaded,
    Timeout,
    Server,
}

/// How far a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The provider's terminal has not come yet.
    Open,
    /// It has come, or an error in its place.
    Ended,
}
