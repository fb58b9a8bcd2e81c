//! A provider is a file. This room knows what such a file says, and turns it into targets and edits; it holds no code
//! for any one provider.

pub mod edit;
pub mod file;
pub mod fuzz;
pub mod ids;
mod models;
mod target;

pub use models::Models;
pub use target::{
    AwsSigning, Credential, Limits, MODEL, Origin, Proof, Provider, Proxy, Retry, Route, SourceId,
    TokenSource,
};
