//! Words everyone shares. This room knows no other.

mod base64;
pub mod clock;
pub mod decimal;
pub mod fault;
pub mod heap;
pub mod id;
pub mod limits;
pub mod money;
pub mod refusal;
mod secret;
mod span;

pub use base64::{base64, base64_url, unbase64};
pub use money::Pico;
pub use refusal::{Refusal, RefusalKind};
pub use secret::Secret;
pub use span::Span;
