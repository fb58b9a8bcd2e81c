//! A provider is a file. This room knows what such a file says, and turns it into targets and edits; it holds no code
//! for any one provider.

pub mod edit;
pub mod file;
pub mod fuzz;
mod models;
mod target;

pub use models::Models;
pub use target::{Credential, Limits, MODEL, Origin, Provider, Proxy, Retry, Route};
