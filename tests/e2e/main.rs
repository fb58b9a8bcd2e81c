//! End-to-end tests: the real binary on loopback between a raw client and a scripted upstream. `RINGWAY_DRIVER` chooses
//! the event loop, so the same tests run on io_uring and on epoll.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests use threads, files and clocks"
)]

mod admin;
mod admin_edges;
mod agents;
mod answered;
mod api;
mod audit_bodies;
mod audit_sessions;
mod batches;
mod beginnings;
mod commands;
mod connections;
mod costs;
mod counts;
mod disks;
mod edges;
mod fairness;
mod familiar;
mod fidelity;
mod hostile;
mod instead;
mod isolation;
mod lifecycle;
mod limits;
mod live;
mod many_keys;
mod matrix;
mod mixup;
mod names;
mod pki;
mod price_list;
mod promises;
mod promises_upstream;
mod providers;
mod proxies;
mod records;
mod settings_api;
mod signing;
mod state;
mod support;
mod tls;
mod tokens;
mod upstream_tls;
mod upstreams;
mod workflows;
