//! Words everyone shares. This room knows no other.

pub mod clock;
pub mod fault;
pub mod id;
pub mod limits;
pub mod refusal;
mod secret;
mod span;

pub use refusal::{Refusal, RefusalKind};
pub use secret::Secret;
pub use span::Span;
