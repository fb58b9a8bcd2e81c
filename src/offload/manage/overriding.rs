//! Settings that are changed while running: they stand above the file and the environment, are kept in the store, and are
//! put in force as a reload is, by the main thread, which alone reads settings.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Manager;
use super::load::each_row;
use crate::base::limits::SETTINGS_MS_MAX;
use crate::config::CHANGEABLE;
use crate::offload::log::Level;
use crate::offload::store::{Filter, Store, StoreError, tables};

/// Settings by their paths, as texts.
pub type Overrides = BTreeMap<String, String>;

/// A wish for the main thread: these settings above all others, and none else. The answer says what is wrong with them.
pub struct Overriding {
    pub settings: Overrides,
    pub reply: oneshot::Sender<Result<(), String>>,
}

/// The way to the main thread, which is waiting for signals.
pub struct Settler {
    pub wishes: std::sync::mpsc::Sender<Overriding>,
    /// Wakes it.
    pub ring: fn(),
}

/// The time in which a setting is being changed.
pub struct OverridingTurn<'m>(&'m Cell<bool>);

impl Drop for OverridingTurn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Manager {
    /// What is changed at present.
    pub fn overrides(&self) -> Overrides {
        self.overrides.borrow().clone()
    }

    /// Until what it gives is dropped, the store is not asked which settings are changed: one is about to be.
    pub fn begin_overriding(&self) -> OverridingTurn<'_> {
        self.is_overriding.set(true);
        OverridingTurn(&self.is_overriding)
    }

    /// Puts these in force, or says why they cannot be: then what was stays.
    pub async fn override_settings(&self, settings: Overrides) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let wish = Overriding { settings: settings.clone(), reply };
        self.settler.wishes.send(wish).map_err(|_| "the gateway is stopping".to_owned())?;
        (self.settler.ring)();
        let limit = Duration::from_millis(SETTINGS_MS_MAX);
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(result)) => result?,
            _ => return Err("the settings were not put in force in time".to_owned()),
        }
        *self.overrides.borrow_mut() = settings;
        Ok(())
    }

    /// Reads what is changed in the store, and puts it in force where it is something else than before.
    pub(super) async fn read_overrides(&self, store: &Store) -> Result<(), StoreError> {
        let mut found = Overrides::new();
        each_row(store, &tables::RUNTIME_SETTINGS, Filter::all().prefix("name", OVERRIDE), |row| {
            let path = row.get("name").as_text().and_then(|name| name.strip_prefix(OVERRIDE));
            let value = row.get("value").as_text().and_then(|text| serde_json::from_str(text).ok());
            found.extend(path.filter(|path| CHANGEABLE.contains(path)).map(str::to_owned).zip(value));
        })
        .await?;
        if self.is_overriding.get() || found == self.overrides() {
            return Ok(());
        }
        if let Err(what) = self.override_settings(found).await {
            self.log(
                Level::Error,
                format!("settings that were changed through the admin API are not in force: {what}"),
            );
        }
        Ok(())
    }
}

/// In front of a setting's path in `runtime_settings`.
pub const OVERRIDE: &str = "setting:";
