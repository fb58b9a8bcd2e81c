//! Decisions: who may, what, how much, and what next after a failure. No I/O, no await, no clock: time is passed in.

pub mod access;
pub mod account;
pub mod admit;
pub mod alias;
pub mod book;
pub mod caller;
pub mod fuzz;
pub mod grant;
pub mod hold;
pub mod jwt;
pub mod key;
pub mod keyring;
pub mod meter;
pub mod rate;
pub mod rejected;
pub mod reserve;
pub mod retry;
pub mod sigv4;
pub mod workflow;
