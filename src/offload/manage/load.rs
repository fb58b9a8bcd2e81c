//! Reading what is stored: all of it at the start, parts of it after a change.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::pepper;
use super::rows::{self, Virtual};
use super::{Manager, Part, workflows};
use crate::base::clock;
use crate::base::limits::STORE_LOAD_ROWS;
use crate::ledger::price::Override;
use crate::offload::Level;
use crate::offload::managed::Managed;
use crate::offload::store::{ErrorKind, Filter, Row, Scan, Select, Store, StoreError, Table, Value, tables};
use crate::policy::key::{KeyId, Pepper};
use crate::policy::keyring::{Change as KeyChange, Keyring};

impl Manager {
    /// Reads everything, and puts it in force.
    pub(super) async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let _alone = self.loading.lock().await;
        self.changed_meanwhile.borrow_mut().clear();
        // Changes of other processes that come meanwhile are seen afterwards.
        if self.see_changes(store).await?.iter().any(|part| matches!(part, Part::Usage | Part::All)) {
            self.forget_sums();
        }
        let of_limits = [Part::Budgets, Part::RateLimits];
        let of_models = [Part::VirtualModels, Part::Users, Part::Prices, Part::Workflows];
        for part in of_limits.into_iter().chain(of_models) {
            self.read_part(store, part).await?;
        }
        self.read_resets(store).await?;
        self.read_overrides(store).await?;
        let pepper = self.pepper(store).await?;
        let keyring = self.read_keys(store, pepper).await?;
        let keyring = self.read_changed(store, keyring).await?;
        // From the last look at what has changed until here nobody else had a turn.
        let managed = Managed { is_settled: true, ..self.join(keyring) };
        self.has_loaded.set(true);
        self.publish(managed);
        Ok(())
    }

    /// What was changed here while everything was read may have been read before: it is read again, until nothing was.
    async fn read_changed(&self, store: &Store, mut keyring: Keyring) -> Result<Keyring, StoreError> {
        loop {
            let parts = std::mem::take(&mut *self.changed_meanwhile.borrow_mut());
            if parts.is_empty() {
                return Ok(keyring);
            }
            for part in parts {
                match part {
                    Part::Key(id) => keyring = keyring.with([self.read_key(store, id).await?]),
                    Part::Resets => self.read_resets(store).await?,
                    Part::Settings => self.read_overrides(store).await?,
                    part => self.read_part(store, part).await?,
                }
            }
        }
    }

    /// Reads one part again, and puts it in force.
    pub async fn refresh(&self, store: &Store, part: Part) -> Result<(), StoreError> {
        let _alone = self.refreshing.lock().await;
        if self.loading.try_lock().is_err() {
            self.changed_meanwhile.borrow_mut().push(part);
            if !self.has_loaded.get() {
                // Whoever reads everything now reads this again before it is done.
                drop(self.loading.lock().await);
            }
        }
        if !self.has_loaded.get() {
            return self.load(store).await;
        }
        if let Part::Key(id) = part {
            let change = self.read_key(store, id).await?;
            // Another change may have come in between: what is in force now counts.
            let current = self.current();
            self.publish(current.with_keys(current.keyring.with([change])));
            return Ok(());
        }
        if part == Part::Settings {
            return self.read_overrides(store).await;
        }
        if part == Part::Usage {
            self.forget_sums();
            return Ok(());
        }
        if part == Part::Resets {
            return self.read_resets(store).await;
        }
        self.read_part(store, part).await?;
        let keyring = self.current().keyring.clone();
        self.publish(self.join(keyring));
        Ok(())
    }

    async fn read_key(&self, store: &Store, id: KeyId) -> Result<KeyChange, StoreError> {
        let row = select_one(store, &tables::AUTH_KEYS, "id", id.as_str()).await?;
        Ok(match row.as_ref().and_then(rows::key) {
            Some(key) => KeyChange::Put(Arc::new(key)),
            None => KeyChange::Remove(id),
        })
    }

    /// The pepper, with a word to the operator when the keys in the store were made with another one.
    pub async fn pepper(&self, store: &Store) -> Result<Arc<Pepper>, StoreError> {
        let snapshot = self.compiled().snapshot.clone();
        let secret = pepper::pepper(&snapshot)
            .map_err(|error| StoreError::new(ErrorKind::ReadOnly, format_args!("the pepper: {error}")))?;
        let own = serde_json::Value::from(pepper::fingerprint(&secret));
        let own_text = own.to_string();
        let row = select_one(store, &tables::RUNTIME_SETTINGS, "name", PEPPER).await?;
        match row.as_ref().and_then(|row| row.get("value").as_text()) {
            None => {
                let row = rows::setting(PEPPER, &own, clock::wall_ms());
                store.insert(&tables::RUNTIME_SETTINGS, vec![row]).await?;
            }
            Some(known) if known != own_text => {
                let line = "the virtual keys in the store were made with another pepper and are refused here: set \
                            auth.key_pepper (RINGWAY_KEY_PEPPER) to theirs, or rotate them";
                self.log(Level::Error, line.to_owned());
            }
            Some(_) => {}
        }
        Ok(Arc::new(Pepper::new(secret.reveal().as_bytes())))
    }

    /// Reads all keys. There may be a million: a page of them is read while those of the page before are made, on a thread of
    /// their own, and no second copy of them is ever there.
    async fn read_keys(&self, store: &Store, pepper: Arc<Pepper>) -> Result<Keyring, StoreError> {
        let (pages, coming) = mpsc::channel(1);
        let making = tokio::task::spawn_blocking(move || make_keys(pepper, coming));
        let mut scan = Scan::new(&tables::AUTH_KEYS, rows::OF_KEY, STORE_LOAD_ROWS);
        loop {
            let page = store.scan(&mut scan).await?;
            if page.is_empty() || pages.send(page).await.is_err() {
                break;
            }
        }
        drop(pages);
        let made = making.await.map_err(|error| StoreError::new(ErrorKind::Broken, error))?;
        let (keyring, unread_count) = made;
        self.tell_unread(&tables::AUTH_KEYS, unread_count);
        Ok(keyring)
    }

    /// Reads when accounts were reset. Those that were since the last look forget what they have counted.
    async fn read_resets(&self, store: &Store) -> Result<(), StoreError> {
        let _alone = self.reading_resets.lock().await;
        let mut resets = std::collections::HashMap::new();
        let filter = Filter::all().prefix("name", RESET);
        each_row(store, &tables::RUNTIME_SETTINGS, filter, |row| {
            let id = row.get("name").as_text().and_then(|name| name.strip_prefix(RESET));
            let ms = row.get("value").as_text().and_then(|text| text.parse::<u64>().ok());
            resets.extend(id.map(str::to_owned).zip(ms));
        })
        .await?;
        // What was counted before the start knows of the resets before it.
        if let Some(known) = &*self.resets.borrow() {
            let (current, is_new) = (self.current(), |id: &str| resets.get(id) != known.get(id));
            current.book.accounts().filter(|account| is_new(&account.id)).for_each(|account| account.reset());
        }
        *self.resets.borrow_mut() = Some(resets);
        Ok(())
    }

    async fn read_part(&self, store: &Store, part: Part) -> Result<(), StoreError> {
        match part {
            Part::Budgets => {
                let made = self.read(store, &tables::BUDGETS, rows::budget).await?;
                self.stored.borrow_mut().budgets = made;
            }
            Part::RateLimits => {
                let made = self.read(store, &tables::RATE_LIMITS, rows::limits).await?;
                self.stored.borrow_mut().limits = made.into_iter().flatten().collect();
            }
            Part::VirtualModels => {
                let made = self.read(store, &tables::ALIASES, rows::virtual_model).await?;
                let stored = &mut *self.stored.borrow_mut();
                (stored.aliases, stored.gates) = (Vec::new(), Vec::new());
                for one in made {
                    match one {
                        Virtual::Alias(alias) => stored.aliases.push(alias),
                        Virtual::Gate { gate, is_enabled: true } => stored.gates.push(gate),
                        Virtual::Gate { .. } => {}
                    }
                }
            }
            Part::Users => {
                let made = self.read(store, &tables::MODEL_ACCESS, rows::model_list).await?;
                self.stored.borrow_mut().model_lists = made;
            }
            Part::Prices => {
                let made = self.read(store, &tables::MODEL_PRICING_OVERRIDES, price).await?;
                self.stored.borrow_mut().prices = made;
            }
            Part::Workflows => {
                let made = self.read(store, &tables::WORKFLOW_VERSIONS, workflows::in_force).await?;
                self.stored.borrow_mut().workflows = made.into_iter().flatten().map(Arc::new).collect();
            }
            Part::Key(_) | Part::Resets | Part::Usage | Part::Settings | Part::All => {}
        }
        Ok(())
    }

    async fn read<T>(
        &self,
        store: &Store,
        table: &'static Table,
        read: impl Fn(&Row) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let (mut made, mut unread_count) = (Vec::new(), 0);
        each_row(store, table, Filter::all(), |row| match read(row) {
            Some(one) => made.push(one),
            None => unread_count += 1,
        })
        .await?;
        self.tell_unread(table, unread_count);
        Ok(made)
    }

    fn tell_unread(&self, table: &Table, count: usize) {
        if count > 0 {
            let line = format!("{count} rows of {} mean nothing here and are left out", table.name);
            self.log(Level::Warn, line);
        }
    }
}

/// The keys of all pages that come, and how many rows are none.
fn make_keys(pepper: Arc<Pepper>, mut pages: mpsc::Receiver<Vec<Row>>) -> (Keyring, usize) {
    let mut unread_count = 0;
    let rows = std::iter::from_fn(|| pages.blocking_recv()).flatten();
    let keys = rows.filter_map(|row| {
        let key = rows::key(&row);
        unread_count += usize::from(key.is_none());
        key
    });
    (Keyring::new(pepper, keys), unread_count)
}

/// A price that was set, from its row.
fn price(row: &Row) -> Option<Override> {
    let pricing: serde_json::Value = serde_json::from_str(row.get("pricing").as_text()?).ok()?;
    let fields: Vec<(String, String)> = pricing
        .as_object()?
        .iter()
        .filter(|(name, _)| *name != "tiers")
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    let pairs = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Override::of_fields(row.get("selector").as_text()?, "admin", pairs, []).ok()
}

/// One row, by a column that names it.
pub async fn select_one(
    store: &Store,
    table: &'static Table,
    column: &'static str,
    name: &str,
) -> Result<Option<Row>, StoreError> {
    let filter = Filter::all().equal(column, Value::text(name));
    Ok(store.select(Select::new(table, filter, 1)).await?.pop())
}

/// Looks at all rows that are meant, a page at a time.
pub(super) async fn each_row(
    store: &Store,
    table: &'static Table,
    filter: Filter,
    mut look: impl FnMut(&Row),
) -> Result<(), StoreError> {
    let mut select = Select::new(table, filter, STORE_LOAD_ROWS);
    loop {
        let page = store.select(select.clone()).await?;
        page.iter().for_each(&mut look);
        match page.last() {
            Some(last) if page.len() == STORE_LOAD_ROWS => select = select.clone().after(select.cursor(last)),
            _ => return Ok(()),
        }
    }
}

/// Names in `runtime_settings`.
pub const RESET: &str = "reset:";
const PEPPER: &str = "pepper";
