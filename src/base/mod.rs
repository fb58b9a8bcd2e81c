//! Words everyone shares. This room knows no other.

pub mod clock;
pub mod limits;
mod span;

pub use span::Span;
