//! Bytes to places: HTTP/1 heads and bodies, SSE, AWS's event stream, JSON members, multipart. Pure functions; no socket, no clock, no await.
//!
//! Every parser here has four proofs: a table of cases; every cut of its input gives the same result; a naive twin
//! agrees with it; a fuzz target runs it, and the target's body runs as a unit test over its corpus.

pub mod chunked;
pub mod eventstream;
pub mod head;
mod malformed;
pub mod path;
pub mod request;
pub mod response;
pub mod write;

pub mod fuzz;
pub mod json;
pub mod multipart;
pub mod splice;
pub mod sse;

pub use malformed::Malformed;

/// What a parser says after it has looked at some input. `More` is an ordinary answer, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The whole input was taken and the message is not at its end.
    More,
    /// The message ended after `used` bytes of this input; the bytes behind it belong to whatever comes next.
    Done { used: usize },
    /// The input breaks a rule. The parser must not be stepped again.
    Bad(Malformed),
}
