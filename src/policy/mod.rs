//! Decisions: which target, and what next after a failure. No I/O, no await, no clock: time is passed in.

pub mod admit;
pub mod fuzz;
pub mod jwt;
pub mod retry;
pub mod sigv4;
