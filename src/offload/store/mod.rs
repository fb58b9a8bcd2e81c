//! The store: where records and everything that is managed live on. Tables are described once ([`tables`]); an engine knows
//! how to insert a batch, select, update and delete, and nothing of what the tables mean.

mod error;
mod export;
mod fold;
mod migrate;
mod mongo;
mod packed;
mod postgres;
mod query;
mod schema;
mod sql;
mod sqlite;
pub mod tables;
mod value;

pub use error::{ErrorKind, StoreError};
pub use export::{ExportError, ExportFormat, export};
pub use migrate::Upgrade;
pub use query::{By, Direction, Filter, Group, Groups, Op, Scan, Select, Sum, Summary};
pub use schema::{Column, Index, Kind, Schema, Step, Table, Uniqueness};
pub use value::{Columns, Row, Value};

use std::sync::Arc;

use crate::config::{Engine, Storage};

/// An open store. No call takes much longer than `storage.timeout`.
pub enum Store {
    Sqlite(sqlite::Sqlite),
    Postgres(Box<postgres::Postgres>),
    Mongo(Box<mongo::Mongo>),
}

/// What is known of rows that are to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// No pack holds them.
    Sure,
    Doubtful,
}

impl Store {
    /// Opens what the settings name, and brings it to this schema where that is allowed. Several processes may do so at
    /// once.
    ///
    /// The future must be awaited on a tokio runtime with time and I/O; connections live on that runtime.
    pub async fn open(storage: &Storage, schema: &Schema, upgrade: Upgrade) -> Result<Store, StoreError> {
        let call_ms_max = storage.call_timeout_ms;
        Ok(match &storage.engine {
            Engine::Sqlite { path } => {
                Store::Sqlite(sqlite::Sqlite::open(path, call_ms_max, schema, upgrade).await?)
            }
            Engine::Postgres { url, connections_max } => {
                let count = *connections_max;
                let postgres =
                    postgres::Postgres::open(url.reveal(), count, call_ms_max, schema, upgrade).await?;
                Store::Postgres(Box::new(postgres))
            }
            Engine::Mongo { url, database } => {
                let mongo = mongo::Mongo::open(url.reveal(), database, call_ms_max, schema, upgrade).await?;
                Store::Mongo(Box::new(mongo))
            }
        })
    }

    /// Writes the rows that are not there yet, by their key, and says how many were new. A batch that is written again
    /// changes nothing. All rows are written or none, except on MongoDB, where what was written stays written.
    pub async fn insert(
        &self,
        table: &'static Table,
        rows: impl Into<Arc<[Row]>>,
    ) -> Result<u64, StoreError> {
        self.insert_known(table, rows, News::Doubtful).await
    }

    /// The same by somebody who may know that no pack holds any of them, which spares a look.
    pub async fn insert_known(
        &self,
        table: &'static Table,
        rows: impl Into<Arc<[Row]>>,
        news: News,
    ) -> Result<u64, StoreError> {
        let rows: Arc<[Row]> = rows.into();
        check_rows(table, &rows)?;
        if rows.is_empty() {
            return Ok(0);
        }
        match self {
            Store::Sqlite(engine) => engine.insert(table, rows, news).await,
            Store::Postgres(engine) => engine.insert(table, &rows).await,
            Store::Mongo(engine) => engine.insert(table, &rows).await,
        }
    }

    /// Writes the rows, over those with the same key. Of several with one key the last stays.
    pub async fn replace(&self, table: &'static Table, rows: Vec<Row>) -> Result<(), StoreError> {
        check_rows(table, &rows)?;
        let rows = last_of_each(table, rows);
        if rows.is_empty() {
            return Ok(());
        }
        match self {
            Store::Sqlite(engine) => engine.replace(table, rows).await,
            Store::Postgres(engine) => engine.replace(table, &rows).await,
            Store::Mongo(engine) => engine.replace(table, &rows).await,
        }
    }

    /// The rows that are meant, in the order that was asked for.
    pub async fn select(&self, select: Select) -> Result<Vec<Row>, StoreError> {
        match self {
            Store::Sqlite(engine) => engine.select(select).await,
            Store::Postgres(engine) => engine.select(&select).await,
            Store::Mongo(engine) => engine.select(&select).await,
        }
    }

    /// The next rows of a table that is read whole; none at its end. A row that comes or goes meanwhile may be among them or not,
    /// every other one is exactly once. The key must be among the columns.
    pub async fn scan(&self, scan: &mut Scan) -> Result<Vec<Row>, StoreError> {
        if scan.is_over {
            return Ok(Vec::new());
        }
        let rows = match self {
            Store::Sqlite(engine) => {
                let (rows, reached) = engine.scan(scan.select.clone(), scan.row_number).await?;
                scan.row_number = reached;
                rows
            }
            Store::Postgres(_) | Store::Mongo(_) => self.select(scan.select.clone()).await?,
        };
        scan.is_over = rows.len() < scan.select.limit;
        if let Some(last) = rows.last() {
            scan.select.after = Some(scan.select.cursor(last));
        }
        Ok(rows)
    }

    /// Counts and sums of the rows that are meant; exact, however large.
    pub async fn summarise(&self, summary: Summary) -> Result<Groups, StoreError> {
        match self {
            Store::Sqlite(engine) => engine.summarise(summary).await,
            Store::Postgres(engine) => engine.summarise(&summary).await,
            Store::Mongo(engine) => engine.summarise(&summary).await,
        }
    }

    /// Sets values in the rows that are meant, and says how many those are. Values of the key stay as they are.
    pub async fn update(
        &self,
        table: &'static Table,
        filter: Filter,
        values: Vec<(&'static str, Value)>,
    ) -> Result<u64, StoreError> {
        for (name, value) in &values {
            assert!(!table.is_key(name), "{name} names the row");
            check_value(table, table.column(name), value)?;
        }
        if values.is_empty() {
            return Ok(0);
        }
        match self {
            Store::Sqlite(engine) => engine.update(table, filter, values).await,
            Store::Postgres(engine) => engine.update(table, &filter, &values).await,
            Store::Mongo(engine) => engine.update(table, &filter, &values).await,
        }
    }

    /// Takes the rows that are meant away, and says how many those were.
    pub async fn delete(&self, table: &'static Table, filter: Filter) -> Result<u64, StoreError> {
        match self {
            Store::Sqlite(engine) => engine.delete(table, filter).await,
            Store::Postgres(engine) => engine.delete(table, &filter).await,
            Store::Mongo(engine) => engine.delete(table, &filter).await,
        }
    }

    /// Takes away at most so many of the rows whose time lies before this one, the oldest first, and says how many those
    /// were: fewer than asked for means that none is left. Rows without a time stay, and so does all of a table that is
    /// not swept. What stands in packs goes at once and is not counted.
    pub async fn sweep(
        &self,
        table: &'static Table,
        before_ms: i64,
        rows_max: usize,
    ) -> Result<u64, StoreError> {
        let Some(column) = table.swept_by else { return Ok(0) };
        match self {
            Store::Sqlite(engine) => engine.sweep(table, column, before_ms, rows_max).await,
            Store::Postgres(engine) => engine.sweep(table, column, before_ms, rows_max).await,
            Store::Mongo(engine) => engine.sweep(table, column, before_ms, rows_max).await,
        }
    }
}

fn check_rows(table: &'static Table, rows: &[Row]) -> Result<(), StoreError> {
    for row in rows {
        assert_eq!(row.values().len(), table.columns.len(), "a row of {} has all of its columns", table.name);
        row.iter().try_for_each(|(column, value)| check_value(table, column, value))?;
    }
    Ok(())
}

fn check_value(table: &Table, column: &Column, value: &Value) -> Result<(), StoreError> {
    match value.misfit(table, column) {
        None => Ok(()),
        Some(why) => {
            Err(StoreError::new(ErrorKind::Unfit, format_args!("{}.{} {why}", table.name, column.name)))
        }
    }
}

/// Of rows with the same key the last, in the order of the first.
fn last_of_each(table: &Table, rows: Vec<Row>) -> Vec<Row> {
    let mut kept: Vec<Row> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for row in rows {
        let key = format!("{:?}", row.key(table));
        match places.get(&key) {
            Some(&place) => kept[place] = row,
            None => {
                places.insert(key, kept.len());
                kept.push(row);
            }
        }
    }
    kept
}
