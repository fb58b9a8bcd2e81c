//! The manager of everything that can be changed while the gateway runs. It reads the store, joins it with the settings,
//! and gives every shard the result; a change goes to the store first and then to the shards. While the store is away what
//! is known stays in force.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::live::Live;
use super::log::Level;
use super::managed::Stored;
use super::records::Records;
use super::shelf::Shelf;
use super::store::{Row, Store, StoreError};
use super::{Catalogue, Compiled, Managed, Offload, ToShard};
use crate::base::clock;
use crate::base::limits::{
    CHANGES_POLL_MS, COUNTERS_SAVE_MS, RECORDS_PAUSE_MS_MAX, RECORDS_PAUSE_MS_MIN, SPEND_COUNT_MS,
};
use crate::net::doorbell::Mailbox;
use crate::policy::account::Counter;

pub mod changes;
mod counters;
mod fetched;
pub mod load;
pub mod overriding;
pub mod pepper;
pub mod rows;
mod spend;
pub mod workflows;

pub use changes::{Actor, ActorKind, Change, Part};
pub use counters::read as read_counters;
pub use fetched::{Origin, PriceList};
pub use load::RESET;
use overriding::{Overrides, Settler};

/// What is in force, and the way to change it.
pub struct Manager {
    own: Offload,
    shards: Vec<Mailbox<ToShard>>,
    pub shelf: Rc<Shelf>,
    compiled: RefCell<Arc<Compiled>>,
    current: RefCell<Arc<Managed>>,
    stored: RefCell<Stored>,
    /// When accounts were last reset, by their ids, in milliseconds of the Unix epoch; `None` until that was read.
    resets: RefCell<Option<HashMap<String, u64>>>,
    /// They are read by one at a time.
    reading_resets: tokio::sync::Mutex<()>,
    /// The counters that the last process left, for accounts that come from the store.
    left: RefCell<Vec<Counter>>,
    sums: RefCell<spend::Sums>,
    /// Changes that were seen, by any process.
    seen: RefCell<HashSet<String>>,
    /// The price list that was fetched last, and how the fetching goes.
    fetched: RefCell<fetched::Fetched>,
    /// The models that the providers offer.
    catalogue: RefCell<Arc<Catalogue>>,
    /// The price list is to be fetched now.
    pub prices_due: Notify,
    /// Rows of changes that the store has not taken yet.
    unwritten: RefCell<Vec<Row>>,
    /// Shards whose inbox was full.
    behind: RefCell<Vec<usize>>,
    saved: RefCell<Vec<Counter>>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    /// Everything is read by one at a time, and parts of it are read again by one at a time.
    loading: tokio::sync::Mutex<()>,
    refreshing: tokio::sync::Mutex<()>,
    /// Parts that were changed while everything was being read.
    changed_meanwhile: RefCell<Vec<Part>>,
    pub ids: crate::base::id::Ids,
    wake: Notify,
    is_reload_due: Cell<bool>,
    records: Option<Rc<Records>>,
    /// Everything was read once: from then on parts can be.
    has_loaded: Cell<bool>,
    has_told_open: Cell<bool>,
    /// Settings that are changed while running, as they are in force.
    overrides: RefCell<Overrides>,
    /// One of them is being changed: the store does not say yet what is in force.
    is_overriding: Cell<bool>,
    settler: Settler,
}

impl Manager {
    /// A manager of what the shards already decide by.
    #[expect(clippy::too_many_arguments, reason = "the parts of the offload thread, each made on its own")]
    pub fn new(
        own: Offload,
        shards: Vec<Mailbox<ToShard>>,
        shelf: Rc<Shelf>,
        compiled: Arc<Compiled>,
        managed: Arc<Managed>,
        left: Vec<Counter>,
        records: Option<Rc<Records>>,
        settler: Settler,
    ) -> Manager {
        Manager {
            own,
            shards,
            shelf,
            compiled: RefCell::new(compiled),
            current: RefCell::new(managed),
            stored: RefCell::default(),
            resets: RefCell::default(),
            reading_resets: tokio::sync::Mutex::new(()),
            saved: RefCell::new(left.clone()),
            left: RefCell::new(left),
            sums: RefCell::default(),
            seen: RefCell::default(),
            unwritten: RefCell::default(),
            fetched: RefCell::default(),
            catalogue: RefCell::default(),
            prices_due: Notify::new(),
            behind: RefCell::default(),
            changing: tokio::sync::Mutex::new(()),
            loading: tokio::sync::Mutex::new(()),
            refreshing: tokio::sync::Mutex::new(()),
            changed_meanwhile: RefCell::default(),
            ids: crate::base::id::Ids::default(),
            wake: Notify::new(),
            is_reload_due: Cell::new(false),
            records,
            has_loaded: Cell::new(false),
            has_told_open: Cell::new(false),
            overrides: RefCell::default(),
            is_overriding: Cell::new(false),
            settler,
        }
    }

    /// What is in force.
    pub fn current(&self) -> Arc<Managed> {
        self.current.borrow().clone()
    }

    pub fn compiled(&self) -> Arc<Compiled> {
        self.compiled.borrow().clone()
    }

    /// The models that the providers offer.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.borrow().clone()
    }

    pub fn set_catalogue(&self, catalogue: Arc<Catalogue>) {
        *self.catalogue.borrow_mut() = catalogue;
    }

    /// What the store defines, as it was last read.
    pub fn stored(&self) -> Stored {
        self.stored.borrow().clone()
    }

    /// When an account was last reset.
    pub fn reset_ms(&self, account: &str) -> Option<u64> {
        self.resets.borrow().as_ref()?.get(account).copied()
    }

    pub fn log(&self, level: Level, line: String) {
        self.own.log(level, line);
    }

    /// New settings: they hold at once, and the store is read again.
    pub fn resettle(&self, compiled: Arc<Compiled>) {
        *self.compiled.borrow_mut() = compiled;
        let before = self.current();
        self.publish(self.join(before.keyring.clone()));
        self.reload();
        self.prices_due.notify_one();
    }

    /// Has the store read again soon.
    pub fn reload(&self) {
        self.is_reload_due.set(true);
        self.wake.notify_one();
    }

    /// The journals that former processes left are in the store: what was spent can be counted.
    fn has_inherited(&self) -> bool {
        self.records.as_ref().is_none_or(|records| records.counts.has_inherited.get())
    }

    /// Settings and store together, with these keys.
    fn join(&self, keyring: crate::policy::keyring::Keyring) -> Managed {
        let before = self.current();
        let snapshot = &self.compiled.borrow().snapshot;
        let fetched = self.fetched.borrow().catalogue.clone();
        Managed::new(snapshot, keyring, &self.stored.borrow(), fetched, Some(&before))
    }

    /// Gives it to every shard.
    fn publish(&self, managed: Managed) {
        managed.book.restore(&self.left.borrow());
        if managed.is_settled {
            self.left.borrow_mut().clear();
        }
        *self.current.borrow_mut() = Arc::new(managed);
        *self.behind.borrow_mut() = (0..self.shards.len()).collect();
        self.tell_those_behind();
    }

    fn tell_those_behind(&self) {
        let current = self.current();
        if current.is_settled && !self.has_told_open.replace(true) && super::admin::is_open(self) {
            let line = "no key is set: everybody on this machine may use the admin API";
            self.log(Level::Warn, line.to_owned());
        }
        self.behind
            .borrow_mut()
            .retain(|&shard| self.shards[shard].tell(ToShard::Managed(current.clone())).is_err());
    }

    /// Keeps up with the store for as long as the process lives.
    pub async fn run(self: Rc<Self>) {
        let (mut pause_ms, mut is_down, mut due) = (0, false, Due::default());
        self.is_reload_due.set(true);
        loop {
            match self.turn(&mut due).await {
                Ok(()) => {
                    if std::mem::take(&mut is_down) {
                        self.log(Level::Info, "the store can be read again".to_owned());
                    }
                    pause_ms = 0;
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_down, true) {
                        let line = format!("what is managed stays as it is: {error}");
                        self.log(Level::Warn, line);
                    }
                    pause_ms = (pause_ms * 2).clamp(RECORDS_PAUSE_MS_MIN, RECORDS_PAUSE_MS_MAX);
                }
            }
            let wait_ms = if pause_ms == 0 { TURN_MS } else { pause_ms };
            // Woken or not: what follows is the same.
            let _ = tokio::time::timeout(Duration::from_millis(wait_ms), self.wake.notified()).await;
            self.tell_those_behind();
        }
    }

    async fn turn(&self, due: &mut Due) -> Result<(), StoreError> {
        let now_ms = clock::monotonic_us() / 1000;
        if self.is_reload_due.get() && self.has_nothing_stored() {
            self.is_reload_due.set(false);
            self.settle();
        }
        if self.has_nothing_stored() {
            return Ok(());
        }
        let store = self.shelf.store().await?;
        self.write_changes(&store).await?;
        if self.is_reload_due.get() || now_ms >= due.reload_ms {
            self.is_reload_due.set(false);
            if let Err(error) = self.load(&store).await {
                self.is_reload_due.set(true);
                return Err(error);
            }
            (due.reload_ms, due.poll_ms) = (now_ms + RELOAD_MS, now_ms + CHANGES_POLL_MS);
        }
        if now_ms >= due.poll_ms {
            self.poll_changes(&store).await?;
            due.poll_ms = now_ms + CHANGES_POLL_MS;
        }
        if self.has_inherited() && now_ms >= due.spend_ms {
            let is_done = self.count_spend(&store, clock::wall_ms()).await?;
            due.spend_ms = if is_done { now_ms + SPEND_COUNT_MS } else { now_ms };
        }
        Ok(())
    }

    /// Nothing was ever stored, and nobody asks for anything to be: no file need be made.
    fn has_nothing_stored(&self) -> bool {
        !self.compiled.borrow().snapshot.journal.enabled && self.shelf.is_unmade()
    }

    /// What is in force is all there is.
    fn settle(&self) {
        let managed = (*self.current()).clone();
        self.publish(Managed { version: managed.version + 1, is_settled: true, ..managed });
    }

    /// Writes what limits and budgets have counted to the file of this machine, again and again.
    pub async fn save_forever(self: Rc<Self>) {
        let mut is_failing = false;
        loop {
            tokio::time::sleep(Duration::from_millis(COUNTERS_SAVE_MS)).await;
            let Some(counters) = self.counters_to_save() else { continue };
            let (data_dir, kept) = (self.compiled().snapshot.data_dir.clone(), counters.clone());
            // A disk that takes long must not hold up this thread.
            let written = tokio::task::spawn_blocking(move || counters::write(&data_dir, &counters)).await;
            match written {
                Ok(Ok(())) => {
                    *self.saved.borrow_mut() = kept;
                    is_failing = false;
                }
                Ok(Err(error)) if !std::mem::replace(&mut is_failing, true) => {
                    let line = format!("what limits have counted cannot be saved: {error}");
                    self.log(Level::Warn, line);
                }
                _ => {}
            }
        }
    }

    /// The same once, at the end.
    pub fn save(&self) {
        if let Some(counters) = self.counters_to_save()
            && let Err(error) = counters::write(&self.compiled().snapshot.data_dir, &counters)
        {
            let line = format!("what limits have counted was not saved: {error}");
            super::log::write(&self.compiled().snapshot.log, Level::Warn, &line);
        }
    }

    /// The counters, with those that wait for their account; `None` when the file has them.
    fn counters_to_save(&self) -> Option<Vec<Counter>> {
        let current = self.current();
        let mut counters = current.book.counters();
        if !current.is_settled {
            let known: HashSet<Arc<str>> = counters.iter().map(|counter| counter.id.clone()).collect();
            counters.extend(self.left.borrow().iter().filter(|left| !known.contains(&left.id)).cloned());
        }
        counters.sort_by(|a, b| a.id.cmp(&b.id));
        (counters != *self.saved.borrow()).then_some(counters)
    }

    /// Where what is stored can be watched; `None` where no records are kept.
    pub fn live(&self) -> Option<Rc<Live>> {
        self.records.as_ref().map(|records| records.live.clone())
    }

    /// The store for a change or a question.
    pub async fn store(&self) -> Result<Rc<Store>, StoreError> {
        self.shelf.store().await
    }
}

/// When what is to be done next, in milliseconds of the monotonic clock.
#[derive(Default)]
struct Due {
    reload_ms: u64,
    poll_ms: u64,
    spend_ms: u64,
}

/// How often there may be something to do.
const TURN_MS: u64 = 1_000;
/// Everything is read again this often: what was written by hand has no change to be seen by.
const RELOAD_MS: u64 = 600_000;
