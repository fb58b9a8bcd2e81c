//! Everything that can be changed while the gateway runs: who may call, under which limits, by which names, at which
//! prices. One immutable value; a change makes another, and every shard gets it as a whole.

use std::sync::Arc;

use crate::config::Snapshot;
use crate::identity::Calendar;
use crate::ledger::price::Prices;
use crate::policy::access::Access;
use crate::policy::alias::Aliases;
use crate::policy::book::Book;
use crate::policy::key::Pepper;
use crate::policy::keyring::Keyring;

/// What the shards decide by.
pub struct Managed {
    /// Counts changes: what a shard derived from an older one is derived anew.
    pub version: u64,
    /// The store has been read, or there is none to read.
    pub is_settled: bool,
    pub keyring: Keyring,
    pub book: Book,
    pub access: Access,
    pub aliases: Aliases,
    pub prices: Prices,
}

impl Managed {
    /// What the settings alone say.
    pub fn of_settings(_snapshot: &Snapshot) -> Managed {
        Managed {
            version: 0,
            is_settled: false,
            keyring: Keyring::new(Arc::new(Pepper::new(b"")), []),
            book: Book::new(&[], Calendar::default(), None),
            access: Access::default(),
            aliases: Aliases::default(),
            prices: Prices::builtin(),
        }
    }
}
