//! Packs: many exchanges in one row of the store, as the records that the journal had of them. Rows of usage and audit are
//! made of them when somebody asks, so that an exchange costs a copy of its bytes and no tree of its own
//! ([ADR 0016](../../../docs/adr/0016-records-in-packs.md)).
//!
//! **Once and only once.** A row names its exchange by its key, and the store takes each key once. A pack has no such key, so a
//! record goes into one only where it is sure to be new, and that is known of the journal of this process, while all goes
//! well:
//!
//! - The journal of a process begins empty, and what was read of it is passed over only after the store has it. As long as
//!   every call since the last step has come back good, what is read next was never given to the store.
//! - A call that failed may have been carried out all the same: it came too late to be waited for, or the answer was lost. So
//!   may one behind which the journal could not be cut. The same records come again then, with those behind them. From the
//!   first step of a journal that fails until one of the same journal has gone well, everything of it goes as rows, each kept
//!   out by its key or by a pack that holds its exchange already. The look into the packs and the insert are one transaction
//!   of the one thread that writes, so a call that was given up comes before them or not at all.
//! - The journal of a process that has ended may have been stored in part. All of it goes as rows, in the same way.
//! - Ids that are made of what they name, as those of answers of a batch, may come again at any time: they go as rows.
//!
//! A pack that is turned into rows goes away in the transaction in which these come, and whoever reads sees both or neither.

pub mod bytes;
pub mod columns;
pub mod fuzz;

#[cfg(test)]
mod tests;
