//! All virtual keys in memory, immutable: found by public id or, where they were imported, by their hash. A change makes
//! another keyring that shares the table of all keys and has a small table of what changed since; only when that has
//! grown is the table of all keys made anew, by whoever makes the change.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::account::{Account, Counter};
use super::key::{Key, KeyId, KnownUses, Pepper, Proof, parts};
use crate::base::limits::KEY_CHANGES_MAX;

#[derive(Clone)]
pub struct Keyring {
    pepper: Arc<Pepper>,
    base: Arc<Table>,
    changed: Arc<Changed>,
    count: usize,
}

/// A table of keys. An entry is one pointer.
#[derive(Default)]
struct Table {
    by_id: HashSet<ById>,
    /// Keys that were imported.
    by_hash: HashSet<ByHash>,
}

/// What changed since the table was made.
#[derive(Clone, Default)]
struct Changed {
    /// `None` for a key that is gone.
    keys: HashMap<KeyId, Option<Arc<Key>>>,
    hashes: HashMap<[u8; 32], KeyId>,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Change {
    /// A key that is new, or takes the place of the one of its id.
    Put(Arc<Key>),
    Remove(KeyId),
}

/// Who showed it.
#[derive(Clone, Debug)]
pub enum Found {
    /// The key is proven; whether it may be used now is [`Key::check`]'s to say.
    Key(Arc<Key>),
    Unknown,
}

impl Keyring {
    pub fn new(pepper: Arc<Pepper>, keys: impl IntoIterator<Item = Key>) -> Keyring {
        let (mut base, mut known) = (Table::default(), KnownUses::default());
        keys.into_iter().for_each(|key| base.put(Arc::new(key.sharing(&mut known))));
        base.by_hash.shrink_to_fit();
        Keyring { pepper, count: base.by_id.len(), base: Arc::new(base), changed: Arc::default() }
    }

    /// The keyring with these changes. Costs as much as there were changes since the table was made, 4,096 at most, and
    /// once in so many as much as there are keys.
    pub fn with(&self, changes: impl IntoIterator<Item = Change>) -> Keyring {
        let mut next = self.clone();
        let changed = Arc::make_mut(&mut next.changed);
        for change in changes {
            let (id, key) = match change {
                Change::Put(key) => (key.id, Some(key)),
                Change::Remove(id) => (id, None),
            };
            if let Some(Proof::Sha256(hash)) = key.as_ref().map(|key| key.proof()) {
                changed.hashes.insert(*hash, id);
            }
            let is_there = key.is_some();
            let was_there = match changed.keys.insert(id, key) {
                Some(before) => before.is_some(),
                None => self.base.by_id.contains(&id),
            };
            next.count = next.count + usize::from(is_there) - usize::from(was_there);
        }
        if next.changed.keys.len() > KEY_CHANGES_MAX { next.folded() } else { next }
    }

    fn folded(&self) -> Keyring {
        let mut base = Table::default();
        base.by_id.reserve(self.count);
        self.iter().for_each(|key| base.put(key.clone()));
        Keyring {
            pepper: self.pepper.clone(),
            count: self.count,
            base: Arc::new(base),
            changed: Arc::default(),
        }
    }

    /// Whose key was presented. Takes the same time for a wrong secret, wherever it is wrong, and for an id that there
    /// is not.
    pub fn find(&self, presented: &[u8], now_ms: u64) -> Found {
        let (id, proof) = match parts(presented) {
            Some((id, secret)) => (Some(id), self.pepper.proof(secret)),
            None => {
                let proof = Proof::of_whole(presented);
                (self.imported(proof.bytes()), proof)
            }
        };
        match id.and_then(|id| self.get(id)) {
            Some(key) if key.is_proven_by(&proof, now_ms) => Found::Key(key.clone()),
            _ => Found::Unknown,
        }
    }

    fn imported(&self, hash: &[u8; 32]) -> Option<KeyId> {
        let changed = self.changed.hashes.get(hash).copied();
        changed.or_else(|| self.base.by_hash.get(hash).map(|key| key.0.id))
    }

    /// The key of this id.
    pub fn get(&self, id: KeyId) -> Option<&Arc<Key>> {
        match self.changed.keys.get(&id) {
            Some(changed) => changed.as_ref(),
            None => self.base.by_id.get(&id).map(|key| &key.0),
        }
    }

    /// Every key, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key>> {
        let unchanged = self.base.by_id.iter().map(|key| &key.0);
        let unchanged = unchanged.filter(|key| !self.changed.keys.contains_key(&key.id));
        unchanged.chain(self.changed.keys.values().flatten())
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn pepper(&self) -> &Arc<Pepper> {
        &self.pepper
    }

    /// Every account that belongs to one key. Looks at all keys.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.iter().flat_map(|key| key.accounts())
    }

    /// What is to be kept beyond the life of the process.
    pub fn counters(&self) -> Vec<Counter> {
        self.accounts().filter_map(|account| account.counter()).collect()
    }

    /// What a former process kept.
    pub fn restore(&self, counters: &[Counter]) {
        let by_id: HashMap<&str, &Counter> = counters.iter().map(|counter| (&*counter.id, counter)).collect();
        for account in self.accounts() {
            if let Some(counter) = by_id.get(&*account.id) {
                account.restore(counter);
            }
        }
    }
}

impl Table {
    fn put(&mut self, key: Arc<Key>) {
        if let Proof::Sha256(_) = key.proof() {
            self.by_hash.replace(ByHash(key.clone()));
        }
        self.by_id.replace(ById(key));
    }
}

struct ById(Arc<Key>);

impl Borrow<KeyId> for ById {
    fn borrow(&self) -> &KeyId {
        &self.0.id
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &ById) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

struct ByHash(Arc<Key>);

impl Borrow<[u8; 32]> for ByHash {
    fn borrow(&self) -> &[u8; 32] {
        self.0.proof().bytes()
    }
}

impl Hash for ByHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.proof().bytes().hash(state);
    }
}

impl PartialEq for ByHash {
    fn eq(&self, other: &ByHash) -> bool {
        self.0.proof().bytes() == other.0.proof().bytes()
    }
}

impl Eq for ByHash {}

#[cfg(test)]
mod tests;
