//! The journal: files that a shard appends to without waiting, and that the offload thread reads behind it. What was
//! appended is safe from the death of the process at once, and from a loss of power after the next sync.
//!
//! Knows bytes and files; what a record means is not its business. Files of an instance of the gateway:
//!
//! ```text
//! <data folder>/journal/<instance>/lock                  held for as long as the instance lives
//!                                 /carried               beginnings without an end out of segments that are gone
//!                                 /<shard>-<number>.seg
//!                                 /<shard>-<number>.read  was read to its end, and is written again as another one
//! ```

mod again;
mod gauge;
mod map;
mod place;
mod reader;
mod writer;

pub use gauge::Gauge;
pub use place::{Instance, Orphan};
pub use reader::{Batch, Reader, Syncer};
pub use writer::{Full, Need, Tail, Writer};

#[cfg(test)]
mod tests;
