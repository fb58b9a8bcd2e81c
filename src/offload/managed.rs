//! Everything that can be changed while the gateway runs: who may call, under which limits, by which names, at which
//! prices. One immutable value; a change makes another, and every shard gets it as a whole.

use std::sync::Arc;

use crate::base::Secret;
use crate::config::Snapshot;
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
    pub fn of_settings(snapshot: &Snapshot) -> Managed {
        let identity = &snapshot.identity;
        let pepper = identity.pepper.as_ref().map_or("", Secret::reveal);
        let (lists, gates) = (identity.model_lists.clone(), identity.gates.clone());
        Managed {
            version: 0,
            is_settled: false,
            keyring: Keyring::new(Arc::new(Pepper::new(pepper.as_bytes())), []),
            book: Book::new(&identity.allowances, identity.calendar.clone(), None),
            access: Access::new(lists, gates, identity.models_enabled),
            aliases: Aliases::new(identity.aliases.iter().cloned(), identity.lists_only_aliases),
            prices: snapshot.prices.prices.clone(),
        }
    }
}
