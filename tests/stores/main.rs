//! The store on every engine: SQLite, and real servers of PostgreSQL and of MongoDB's protocol that are started here, on
//! loopback. `scripts/prepare-stores` installs them; one that is missing is skipped and said so, with the count of tests
//! that went without it. Where STORES is `required` that is a failure.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests start servers and threads")]

mod crashes;
mod exporting;
mod faults;
mod hostile;
mod operations;
mod schemas;
mod secure;
mod servers;
#[path = "../e2e/support.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the end-to-end tests use all of it, and it is theirs")]
mod support;
mod world;
