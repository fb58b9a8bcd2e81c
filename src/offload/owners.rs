//! Whose the objects are that providers keep for callers. What was told lately is known at once; the rest is asked of the
//! store, aside. An owner never changes, and the first that was told stays.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use super::log::Level;
use super::records::{Records, rows};
use super::shelf::Shelf;
use super::store::{Filter, Select, StoreError, Value, tables};
use super::{Compiled, log};
use crate::base::limits::{OWNERS_ASKED_MAX, OWNERS_KNOWN_MAX, STATE_MS_MAX};
use crate::ledger::record::Owned;

/// What a shard tells of an object that was made.
pub struct Belonging {
    pub at_ms: u64,
    pub object: Box<str>,
    pub tenant: Box<str>,
    /// A journal has it, from where it reaches the store.
    pub is_journaled: bool,
}

/// The owners of objects, in their order; `None` for an object that nobody was told of.
pub type Tenants = Vec<Option<Box<str>>>;

/// What is known of owners, and the way to the rest.
pub struct Owners {
    shelf: Rc<Shelf>,
    records: Option<Rc<Records>>,
    known: RefCell<Known>,
}

/// The owners that were told or found last, oldest first in `order`.
#[derive(Default)]
struct Known {
    tenants: HashMap<Box<str>, Box<str>>,
    order: VecDeque<Box<str>>,
}

impl Known {
    fn learn(&mut self, object: &str, tenant: &str) {
        if self.tenants.contains_key(object) {
            return;
        }
        if self.order.len() >= OWNERS_KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.tenants.remove(&oldest);
        }
        self.tenants.insert(object.into(), tenant.into());
        self.order.push_back(object.into());
    }
}

impl Owners {
    pub fn new(shelf: Rc<Shelf>, records: Option<Rc<Records>>) -> Owners {
        Owners { shelf, records, known: RefCell::default() }
    }

    /// Takes in whose an object is. Without a journal it goes to the store from here, once.
    pub fn learn(self: &Rc<Self>, belonging: Belonging, compiled: &Compiled) {
        let Belonging { at_ms, object, tenant, is_journaled } = belonging;
        self.known.borrow_mut().learn(&object, &tenant);
        if is_journaled {
            return;
        }
        let (owners, settings) = (self.clone(), compiled.snapshot.log);
        tokio::task::spawn_local(async move {
            let owned = Owned { at_ms, object: &object, tenant: &tenant };
            let row = rows::owned_row(&owned);
            let written = async {
                owners.shelf.store().await?.insert(&tables::STORED_OBJECTS, vec![row]).await.map(drop)
            };
            if let Err(error) = written.await {
                let line =
                    format!("whose {object} is was not stored, and is not known after a restart: {error}");
                log::write(&settings, Level::Warn, &line);
            }
        });
    }

    /// The owners that are known without the store; `None` when some are not.
    pub fn at_hand(&self, objects: &[Box<str>]) -> Option<Tenants> {
        let known = self.known.borrow();
        objects.iter().map(|object| known.tenants.get(object).cloned().map(Some)).collect()
    }

    /// The owners; `None` when the store cannot be read, or does not have yet what an ended process left.
    pub async fn find(&self, objects: &[Box<str>]) -> Option<Tenants> {
        if !self.has_inherited().await {
            return None;
        }
        self.look_up(objects).await.ok()?;
        let known = self.known.borrow();
        Some(objects.iter().map(|object| known.tenants.get(object).cloned()).collect())
    }

    /// Waits for what an ended process left to be in the store, as it is a moment after a start. False when that takes
    /// longer than anybody waits for the answer.
    async fn has_inherited(&self) -> bool {
        let is_so = || self.records.as_ref().is_none_or(|records| records.counts.has_inherited.get());
        for _ in 0..STATE_MS_MAX / INHERITED_LOOK_MS {
            if is_so() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(INHERITED_LOOK_MS)).await;
        }
        is_so()
    }

    async fn look_up(&self, objects: &[Box<str>]) -> Result<(), StoreError> {
        let is_missing = |object: &&str| !self.known.borrow().tenants.contains_key(*object);
        let missing: Vec<&str> = objects.iter().map(|object| &**object).filter(is_missing).collect();
        let store = self.shelf.store().await?;
        for some in missing.chunks(OWNERS_ASKED_MAX) {
            let ids = some.iter().map(|object| Value::text(*object)).collect();
            let filter = Filter::all().equal("kind", Value::text(rows::OWNED)).one_of("id", ids);
            let select = Select::new(&tables::STORED_OBJECTS, filter, some.len());
            for row in store.select(select.only(&["kind", "id", "owner"])).await? {
                if let (Some(object), Some(tenant)) = (row.get("id").as_text(), row.get("owner").as_text()) {
                    self.known.borrow_mut().learn(object, tenant);
                }
            }
        }
        Ok(())
    }
}

/// How often it is looked whether the store has what an ended process left.
const INHERITED_LOOK_MS: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_owner_stays_and_the_oldest_is_forgotten_first() {
        let mut known = Known::default();
        known.learn("a", "/one");
        known.learn("a", "/two");
        assert_eq!(known.tenants["a"].as_ref(), "/one");
        for number in 1..=OWNERS_KNOWN_MAX {
            known.learn(&number.to_string(), "/one");
        }
        assert!(!known.tenants.contains_key("a") && known.tenants.contains_key("1"));
        assert_eq!((known.tenants.len(), known.order.len()), (OWNERS_KNOWN_MAX, OWNERS_KNOWN_MAX));
    }
}
