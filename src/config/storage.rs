//! Where things are kept: the folder of this machine, and the store with what it takes to reach it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::mistake::Mistakes;
use super::snapshot::{Engine, Journal, RecordsAs, Storage};
use super::values::Values;
use crate::base::Secret;

/// The folder for what is kept on this machine. systemd may name several folders for state; the first is taken.
pub fn data_dir(values: &Values, env: &BTreeMap<String, String>) -> PathBuf {
    let named = values.text("data_dir").filter(|text| !text.is_empty());
    let of_systemd = || env.get("STATE_DIRECTORY")?.split(':').next().filter(|text| !text.is_empty());
    PathBuf::from(named.or_else(of_systemd).unwrap_or("data"))
}

/// The store. What its engine needs must be set; what others need may be.
pub fn storage(values: &Values, data_dir: &Path, mistakes: &mut Mistakes) -> Storage {
    let mut url = |path: &str, variable: &str| match values.text(path) {
        Some(url) => Secret::new(url),
        None => {
            let place = values.place("storage.type");
            mistakes.add(place, path, "is missing", format!("a URL, also in the variable {variable}"));
            Secret::default()
        }
    };
    let engine = match values.text("storage.type") {
        Some("postgresql") => Engine::Postgres {
            url: url("storage.postgresql.url", "POSTGRES_URL"),
            connections_max: number(values, "storage.postgresql.max_connections") as usize,
        },
        Some("mongodb") => Engine::Mongo {
            url: url("storage.mongodb.url", "MONGODB_URL"),
            database: values.text("storage.mongodb.database").unwrap_or_default().to_owned(),
        },
        _ => {
            let path = values.text("storage.sqlite.path").filter(|text| !text.is_empty());
            Engine::Sqlite { path: path.map_or_else(|| data_dir.join("ringway.db"), PathBuf::from) }
        }
    };
    if let Engine::Mongo { database, .. } = &engine
        && !is_database_name(database)
    {
        let (path, expected) = ("storage.mongodb.database", "letters, digits, `_` and `-`, at most 63");
        mistakes.add(values.place(path), path, "is no name of a database", expected);
    }
    let records = records(values, &engine, mistakes);
    let kept_ms = |path: &str| Some(number(values, path).saturating_mul(DAY_MS)).filter(|ms| *ms > 0);
    Storage {
        engine,
        records,
        call_timeout_ms: number(values, "storage.timeout"),
        usage_kept_ms: kept_ms("usage.retention_days"),
        audit_kept_ms: kept_ms("audit.retention_days"),
        changes_kept_ms: kept_ms("audit.changes_retention_days"),
    }
}

/// A pack and the rows that are made of it change places within one transaction, which MongoDB need not have; and where a server
/// keeps the rows, other programs read them.
fn records(values: &Values, engine: &Engine, mistakes: &mut Mistakes) -> RecordsAs {
    let path = "storage.records";
    match (values.text(path).filter(|text| !text.is_empty()), engine) {
        (Some("packs") | None, Engine::Sqlite { .. }) => RecordsAs::Packs,
        (Some("packs"), _) => {
            mistakes.add(values.place(path), path, "only SQLite holds packs", "rows");
            RecordsAs::Rows
        }
        _ => RecordsAs::Rows,
    }
}

/// The line of the plan.
pub fn line(storage: &Storage) -> String {
    match &storage.engine {
        Engine::Sqlite { path } => {
            let records = if storage.records == RecordsAs::Packs { "packs" } else { "rows" };
            format!("SQLite, {}, records in {records}", path.display())
        }
        Engine::Postgres { .. } => "PostgreSQL, at storage.postgresql.url".to_owned(),
        Engine::Mongo { database, .. } => {
            format!("MongoDB, the database {database} at storage.mongodb.url")
        }
    }
}

fn number(values: &Values, path: &str) -> u64 {
    values.number(path).unwrap_or_default()
}

pub fn journal(values: &Values) -> Journal {
    Journal {
        enabled: values.bool("usage.enabled"),
        bytes_max: values.number("journal.max_size").unwrap_or(1 << 30),
        fails_closed: values.text("journal.when_full") == Some("fail_closed"),
        sync_interval_ms: values.number("journal.sync_interval").unwrap_or(1_000),
    }
}

/// MongoDB takes other names too, with exceptions that depend on its system.
fn is_database_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

const DAY_MS: u64 = 86_400_000;
