//! Changes: who made what of which, written beside what was changed; and those of other processes, which are seen by
//! them.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::Manager;
use crate::base::clock;
use crate::base::limits::CHANGES_SEEN_MAX;
use crate::offload::store::{Direction, Filter, Op, Row, Select, Store, StoreError, Value, tables};
use crate::policy::key::KeyId;

/// What a change touches, and has to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Key(KeyId),
    Budgets,
    RateLimits,
    VirtualModels,
    Users,
    Prices,
    Workflows,
    /// Rows of usage: what was spent is to be counted anew.
    Usage,
    /// Settings that are changed while running.
    Settings,
    /// What accounts had counted.
    Resets,
    /// Everything, for a change of a kind that is not known here.
    All,
}

/// Who makes a change.
#[derive(Clone, Debug)]
pub struct Actor {
    pub kind: ActorKind,
    /// The public id of the key; empty for others.
    pub id: String,
    pub client_ip: String,
    pub request_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    MasterKey,
    Key,
    /// Nobody needs a key here.
    Nobody,
}

/// One change, in words without a secret.
pub struct Change<'c> {
    /// create, update, delete, …
    pub action: &'static str,
    pub part: Part,
    pub object_id: &'c str,
    /// The place in the tree of users that it belongs to; `/` for what belongs to none.
    pub user_path: &'c str,
    pub before: Option<Json>,
    pub after: Option<Json>,
}

impl Part {
    /// The word for the kind of object.
    pub fn kind(self) -> &'static str {
        match self {
            Part::Key(_) => "auth_key",
            Part::Budgets => "budget",
            Part::RateLimits => "rate_limit",
            Part::VirtualModels => "virtual_model",
            Part::Users => "user",
            Part::Prices => "model_pricing_override",
            Part::Workflows => "workflow",
            Part::Resets => "reset",
            Part::Usage => "usage",
            Part::Settings => "setting",
            Part::All => "",
        }
    }

    fn of(kind: &str, object_id: &str) -> Part {
        let plain = [Part::Budgets, Part::RateLimits, Part::VirtualModels, Part::Users];
        let others = [Part::Prices, Part::Workflows, Part::Resets, Part::Usage, Part::Settings];
        match KeyId::new(object_id) {
            Some(id) if kind == "auth_key" => Part::Key(id),
            _ => plain.into_iter().chain(others).find(|part| part.kind() == kind).unwrap_or(Part::All),
        }
    }
}

impl ActorKind {
    pub fn name(self) -> &'static str {
        match self {
            ActorKind::MasterKey => "master_key",
            ActorKind::Key => "api_key",
            ActorKind::Nobody => "no_key",
        }
    }
}

impl Manager {
    /// Waits until no other change is being made; it is held until what it gives is dropped.
    pub async fn begin_change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// The store has a change: writes down who made it, and puts it in force on every shard.
    pub async fn changed(&self, store: &Store, actor: &Actor, change: Change<'_>) -> Result<(), StoreError> {
        let id = uuid(&self.ids.next(clock::wall_ms()));
        let json = |value: Option<Json>| Value::maybe(value, |value| Value::Json(value.to_string()));
        let text = |text: &str| if text.is_empty() { Value::Null } else { Value::text(text) };
        let row = Row::new(&tables::ADMIN_CHANGES)
            .with("id", Value::text(&*id))
            .with("at_ms", Value::time_ms(clock::wall_ms()))
            .with("actor_id", text(&actor.id))
            .with("actor_kind", Value::text(actor.kind.name()))
            .with("client_ip", text(&actor.client_ip))
            .with("request_id", text(&actor.request_id))
            .with("user_path", Value::text(change.user_path))
            .with("action", Value::text(change.action))
            .with("object_kind", Value::text(change.part.kind()))
            .with("object_id", Value::short_text(change.object_id))
            .with("before", json(change.before))
            .with("after", json(change.after));
        self.seen.borrow_mut().insert(id);
        self.unwritten.borrow_mut().push(row);
        let refreshed = self.refresh(store, change.part).await;
        // What the store does not take now it gets later; the change stands.
        if self.write_changes(store).await.is_err() {
            self.wake.notify_one();
        }
        refreshed
    }

    /// Writes the rows of changes that the store has not yet.
    pub(super) async fn write_changes(&self, store: &Store) -> Result<(), StoreError> {
        let rows = self.unwritten.borrow().clone();
        if rows.is_empty() {
            return Ok(());
        }
        store.insert(&tables::ADMIN_CHANGES, rows.clone()).await?;
        self.unwritten.borrow_mut().retain(|row| !rows.contains(row));
        Ok(())
    }

    /// Puts the changes that other processes made in force.
    pub(super) async fn poll_changes(&self, store: &Store) -> Result<(), StoreError> {
        for part in self.see_changes(store).await? {
            match part {
                Part::All => self.reload(),
                part => self.refresh(store, part).await?,
            }
        }
        Ok(())
    }

    /// What was changed since the last look. Clocks of processes may differ: the look goes some way back.
    pub(super) async fn see_changes(&self, store: &Store) -> Result<Vec<Part>, StoreError> {
        let from_ms = i64::try_from(clock::wall_ms()).unwrap_or(i64::MAX).saturating_sub(LOOK_BACK_MS);
        let filter = Filter::all().compare("at_ms", Op::AtLeast, Value::TimeMs(from_ms));
        let select = Select::new(&tables::ADMIN_CHANGES, filter, CHANGES_SEEN_MAX)
            .ordered("at_ms", Direction::Descending)
            .only(&["id", "at_ms", "object_kind", "object_id"]);
        let rows = store.select(select).await?;
        let text = |row: &Row, column: &str| row.get(column).as_text().unwrap_or_default().to_owned();
        let mut found = HashSet::new();
        let mut parts: Vec<Part> = Vec::new();
        let is_cut = rows.len() == CHANGES_SEEN_MAX;
        let mut seen = self.seen.borrow_mut();
        for row in &rows {
            let id = text(row, "id");
            let part = Part::of(&text(row, "object_kind"), &text(row, "object_id"));
            if !seen.contains(&id) && !parts.contains(&part) {
                parts.push(part);
            }
            found.insert(id);
        }
        let unwritten = self.unwritten.borrow();
        found.extend(unwritten.iter().map(|row| text(row, "id")));
        *seen = found;
        if is_cut && !parts.is_empty() {
            parts = vec![Part::All];
        }
        Ok(parts)
    }
}

fn uuid(id: &crate::base::id::IdText) -> String {
    String::from_utf8_lossy(id).into_owned()
}

/// How far clocks of processes on one store may differ.
const LOOK_BACK_MS: i64 = 5 * 60 * 1000;
