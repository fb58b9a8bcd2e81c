//! The one open store of the process: whoever needs it first opens it, and all share it.

use std::rc::Rc;

use tokio::sync::OnceCell;

use super::store::{Store, StoreError, Upgrade, tables};
use crate::config::{Engine, Storage};

/// Where the store stands, and the store once it is open. Another store takes a restart.
pub struct Shelf {
    storage: Storage,
    store: OnceCell<Rc<Store>>,
}

impl Shelf {
    pub fn new(storage: Storage) -> Shelf {
        Shelf { storage, store: OnceCell::new() }
    }

    /// The store, opened when it is not yet. After a failure the next call tries again.
    pub async fn store(&self) -> Result<Rc<Store>, StoreError> {
        let open = async || Store::open(&self.storage, &tables::SCHEMA, Upgrade::Forward).await.map(Rc::new);
        self.store.get_or_try_init(open).await.cloned()
    }

    /// Whether there is certainly nothing in it: a file that nobody made.
    pub fn is_unmade(&self) -> bool {
        self.store.get().is_none()
            && matches!(&self.storage.engine, Engine::Sqlite { path } if !path.exists())
    }

    /// Which engine it is.
    pub fn engine(&self) -> &'static str {
        match self.storage.engine {
            Engine::Sqlite { .. } => "sqlite",
            Engine::Postgres { .. } => "postgresql",
            Engine::Mongo { .. } => "mongodb",
        }
    }
}
