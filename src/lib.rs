//! Ringway, an LLM gateway: requests in an application's dialect, out to the right provider, and back.
//!
//! The rooms, each of which may use only those above it; rooms on one line do not know each other
//! (`docs/ARCHITECTURE.md`; `tests/tidy.rs` holds them to it).

pub mod base;

pub mod wire;

pub mod identity;
pub mod ledger;

pub mod dialect;

pub mod provider;

pub mod config;

pub mod journal;
pub mod net;
pub mod policy;

pub mod offload;

pub mod shard;

pub mod simulate;

pub mod cli;
