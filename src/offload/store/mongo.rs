//! MongoDB: one collection for each table, one document for each row.
//!
//! A row's key is its `_id`; nulls are left out. Sums are made here and not by the server: its own sums of 64-bit integers
//! turn into floating-point numbers when they grow too large.

mod documents;

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{Error, ErrorKind as DriverKind, WriteFailure};
use mongodb::options::{Acknowledgment, ClientOptions, IndexOptions, WriteConcern};
use mongodb::{Client, Collection, Database, IndexModel};

use super::error::{ErrorKind, StoreError};
use super::fold::{Fold, common};
use super::migrate::{Upgrade, missing_steps};
use super::query::{Filter, Groups, Select, Summary};
use super::schema::{Index, Schema, Step, Table, Uniqueness, VERSION_TABLE};
use super::value::{Columns, Row, Value};
use crate::base::limits::STORE_CONNECT_MS_MAX;
use documents::{document, field, identity, matching, row_of};

/// The way to the server. The driver keeps its own connections.
pub struct Mongo {
    database: Database,
    call_ms_max: u64,
}

impl Mongo {
    /// Connects, and brings the schema forward.
    pub async fn open(
        url: &str,
        database: &str,
        call_ms_max: u64,
        schema: &Schema,
        upgrade: Upgrade,
    ) -> Result<Mongo, StoreError> {
        let options = options(url, call_ms_max).await?;
        let client = Client::with_options(options).map_err(|error| translated(&error))?;
        let mongo = Mongo { database: client.database(database), call_ms_max };
        mongo.timed(mongo.bring_forward(schema, upgrade)).await?;
        Ok(mongo)
    }

    pub async fn insert(&self, table: &'static Table, rows: &[Row]) -> Result<u64, StoreError> {
        self.timed(async {
            let documents: Vec<Document> = rows.iter().map(|row| document(table, row)).collect();
            let collection = self.collection(table);
            let inserted = collection.insert_many(&documents).ordered(false).await;
            let Err(error) = inserted else { return Ok(rows.len() as u64) };
            let taken = taken_places(&error).ok_or_else(|| translated(&error))?;
            self.refuse_other_conflicts(&collection, &documents, &taken).await?;
            Ok((0..rows.len()).filter(|place| !taken.contains(place)).count() as u64)
        })
        .await
    }

    /// Rows that could not be written because of their key are there; others were kept out by another unique value.
    async fn refuse_other_conflicts(
        &self,
        collection: &Collection<Document>,
        documents: &[Document],
        taken: &[usize],
    ) -> Result<(), StoreError> {
        let mut wanted: Vec<Bson> =
            taken.iter().filter_map(|&place| documents.get(place)?.get("_id").cloned()).collect();
        let mut found = collection
            .find(doc! { "_id": { "$in": wanted.clone() } })
            .projection(doc! { "_id": 1 })
            .await
            .map_err(|error| translated(&error))?;
        while found.advance().await.map_err(|error| translated(&error))? {
            let one = found.deserialize_current().map_err(|error| translated(&error))?;
            wanted.retain(|id| Some(id) != one.get("_id"));
        }
        if wanted.is_empty() { Ok(()) } else { Err(conflict()) }
    }

    pub async fn replace(&self, table: &'static Table, rows: &[Row]) -> Result<(), StoreError> {
        self.timed(async {
            let collection = self.collection(table);
            for row in rows {
                let filter = doc! { "_id": identity(table, row) };
                let replaced = || {
                    collection.replace_one(filter.clone(), document(table, row)).upsert(true).into_future()
                };
                match replaced().await {
                    // Two that write a new row at once: the second finds it there when it tries again.
                    Err(error) if is_duplicate(&error) => replaced().await,
                    other => other,
                }
                .map_err(|error| translated(&error))?;
            }
            Ok(())
        })
        .await
    }

    pub async fn select(&self, select: &Select) -> Result<Vec<Row>, StoreError> {
        if select.limit == 0 {
            return Ok(Vec::new());
        }
        self.timed(async {
            let collection = self.collection(select.table);
            let found = collection
                .find(documents::page(select))
                .sort(documents::order(select))
                .projection(documents::projection(select.table, &select.columns))
                .limit(i64::try_from(select.limit).unwrap_or(i64::MAX));
            let mut found = found.await.map_err(|error| translated(&error))?;
            let mut rows = Vec::new();
            while found.advance().await.map_err(|error| translated(&error))? {
                let one = found.deserialize_current().map_err(|error| translated(&error))?;
                rows.push(row_of(select.table, &select.columns, &one)?);
            }
            Ok(rows)
        })
        .await
    }

    /// Reads the columns that matter of every row that is meant, and holds one sum for each group.
    pub async fn summarise(&self, summary: &Summary) -> Result<Groups, StoreError> {
        self.timed(async {
            let mut names: Vec<&'static str> = summary.by.iter().map(|by| by.column()).collect();
            names.extend(&summary.sums);
            names.extend(summary.table.key);
            names.sort_unstable();
            names.dedup();
            let columns = Columns::named(summary.table, &names);
            let collection = self.collection(summary.table);
            let found = collection
                .find(matching(summary.table, &summary.filter))
                .projection(documents::projection(summary.table, &columns));
            let mut found = found.await.map_err(|error| translated(&error))?;
            let mut fold = Fold::new(summary);
            while found.advance().await.map_err(|error| translated(&error))? {
                let one = found.deserialize_current().map_err(|error| translated(&error))?;
                let row = row_of(summary.table, &columns, &one)?;
                let by = summary.by.iter().map(|by| common(*by, row.get(by.column()).clone())).collect();
                fold.add(by, summary.sums.iter().map(|name| row.get(name).clone()));
            }
            Ok(fold.groups())
        })
        .await
    }

    pub async fn update(
        &self,
        table: &'static Table,
        filter: &Filter,
        values: &[(&'static str, Value)],
    ) -> Result<u64, StoreError> {
        self.timed(async {
            let change = documents::change(table, values);
            let updated = self.collection(table).update_many(matching(table, filter), change).await;
            updated.map(|updated| updated.matched_count).map_err(|error| translated(&error))
        })
        .await
    }

    pub async fn delete(&self, table: &'static Table, filter: &Filter) -> Result<u64, StoreError> {
        self.timed(self.delete_matching(table, matching(table, filter))).await
    }

    pub async fn sweep(
        &self,
        table: &'static Table,
        column: &str,
        before_ms: i64,
        rows_max: usize,
    ) -> Result<u64, StoreError> {
        if rows_max == 0 {
            return Ok(0);
        }
        self.timed(async {
            let column = field(table, column);
            let collection = self.collection(table);
            let found = collection
                .find(doc! { column: { "$lt": before_ms } })
                .sort(doc! { column: 1 })
                .projection(doc! { "_id": 1 })
                .limit(i64::try_from(rows_max).unwrap_or(i64::MAX));
            let mut found = found.await.map_err(|error| translated(&error))?;
            let mut ids = Vec::new();
            while found.advance().await.map_err(|error| translated(&error))? {
                let one = found.deserialize_current().map_err(|error| translated(&error))?;
                ids.extend(one.get("_id").cloned());
            }
            self.delete_matching(table, doc! { "_id": { "$in": ids } }).await
        })
        .await
    }

    async fn delete_matching(&self, table: &Table, filter: Document) -> Result<u64, StoreError> {
        let deleted = self.collection(table).delete_many(filter).await;
        deleted.map(|deleted| deleted.deleted_count).map_err(|error| translated(&error))
    }

    /// Every step may be taken twice, so two processes need no lock. The version only grows.
    async fn bring_forward(&self, schema: &Schema, upgrade: Upgrade) -> Result<(), StoreError> {
        let versions: Collection<Document> = self.database.collection(VERSION_TABLE);
        let found = versions.find_one(doc! { "_id": 1_i64 }).await.map_err(|error| translated(&error))?;
        let found = found.as_ref().and_then(|found| documents::integer(found.get("version")?)).unwrap_or(0);
        for step in missing_steps(schema, found, upgrade)? {
            if let Step::CreateIndex(table, index) = step {
                let created = self.collection(table).create_index(model(table, index)).await;
                created.map_err(|error| translated(&error))?;
            }
        }
        let version = doc! { "$max": { "version": i64::from(schema.version) } };
        let written = versions.update_one(doc! { "_id": 1_i64 }, version).upsert(true).await;
        written.map(drop).map_err(|error| translated(&error))
    }

    fn collection(&self, table: &Table) -> Collection<Document> {
        self.database.collection(&table.stored_name())
    }

    async fn timed<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let late = || StoreError::new(ErrorKind::Late, format_args!("no answer for {} ms", self.call_ms_max));
        let timed = tokio::time::timeout(Duration::from_millis(self.call_ms_max), call).await;
        timed.unwrap_or_else(|_| Err(late()))
    }
}

/// What the URL says, and what it leaves open: writes count when a majority has them in its journal.
async fn options(url: &str, call_ms_max: u64) -> Result<ClientOptions, StoreError> {
    // What the driver says of a wrong URL may hold a part of it.
    let wrong = |_| StoreError::new(ErrorKind::Broken, "the URL of MongoDB cannot be read");
    let mut options = ClientOptions::parse(url).await.map_err(wrong)?;
    let connect = Duration::from_millis(STORE_CONNECT_MS_MAX.min(call_ms_max));
    options.server_selection_timeout.get_or_insert(connect);
    options.connect_timeout.get_or_insert(connect);
    options.app_name.get_or_insert_with(|| "ringway".to_owned());
    options
        .write_concern
        .get_or_insert_with(|| WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    Ok(options)
}

fn model(table: &Table, index: &Index) -> IndexModel {
    let keys: Document =
        index.columns.iter().map(|column| (field(table, column).to_owned(), Bson::Int32(1))).collect();
    let is_unique = index.uniqueness == Uniqueness::Unique;
    let name = format!("{}_{}", table.stored_name(), index.name);
    let options = IndexOptions::builder().unique(is_unique).name(name).build();
    IndexModel::builder().keys(keys).options(options).build()
}

/// The places of the rows of a batch that were kept out by a unique value; `None` when something else went wrong too.
fn taken_places(error: &Error) -> Option<Vec<usize>> {
    let DriverKind::InsertMany(error) = &*error.kind else { return None };
    let errors = error.write_errors.as_ref()?;
    let are_all = error.write_concern_error.is_none() && errors.iter().all(|one| one.code == DUPLICATE_KEY);
    are_all.then(|| errors.iter().map(|one| one.index).collect())
}

fn is_duplicate(error: &Error) -> bool {
    matches!(&*error.kind, DriverKind::Write(WriteFailure::WriteError(one)) if one.code == DUPLICATE_KEY)
}

/// Said without the server's words, which hold the value.
fn conflict() -> StoreError {
    StoreError::new(ErrorKind::Conflict, "a unique index of MongoDB refused a document")
}

/// The driver's errors in the house's words; codes from MongoDB's `error_codes.yml`.
fn translated(error: &Error) -> StoreError {
    let (kind, what) = match &*error.kind {
        DriverKind::Authentication { .. } => (ErrorKind::Refused, error.to_string()),
        DriverKind::Command(one) => (of_code(one.code), format!("{} ({})", one.code_name, one.code)),
        DriverKind::Write(WriteFailure::WriteError(one)) => {
            (of_code(one.code), format!("a write failed ({})", one.code))
        }
        DriverKind::Write(WriteFailure::WriteConcernError(one)) => {
            (of_concern(one.code), format!("{} ({})", one.code_name, one.code))
        }
        DriverKind::InsertMany(many) => of_many(many),
        DriverKind::BsonDeserialization(_) | DriverKind::InvalidResponse { .. } => {
            (ErrorKind::Broken, "a document cannot be read".to_owned())
        }
        DriverKind::BsonSerialization(_) | DriverKind::InvalidArgument { .. } => {
            (ErrorKind::Unfit, "a document cannot be written".to_owned())
        }
        _ => (ErrorKind::Down, error.to_string()),
    };
    if kind == ErrorKind::Conflict { conflict() } else { StoreError::new(kind, what) }
}

fn of_many(many: &mongodb::error::InsertManyError) -> (ErrorKind, String) {
    if let Some(one) = many.write_errors.iter().flatten().find(|one| one.code != DUPLICATE_KEY) {
        return (of_code(one.code), format!("a write failed ({})", one.code));
    }
    match &many.write_concern_error {
        Some(one) => (of_concern(one.code), format!("{} ({})", one.code_name, one.code)),
        None => (ErrorKind::Conflict, String::new()),
    }
}

/// A write that is not known to be safe: it may be tried again.
fn of_concern(code: i32) -> ErrorKind {
    let kind = of_code(code);
    if kind.is_passing() { kind } else { ErrorKind::Late }
}

fn of_code(code: i32) -> ErrorKind {
    match code {
        DUPLICATE_KEY => ErrorKind::Conflict,
        // Unauthorized, AuthenticationFailed, AtlasError.
        13 | 18 | 8000 => ErrorKind::Refused,
        // LockTimeout, WriteConflict.
        24 | 112 => ErrorKind::Busy,
        // MaxTimeMSExpired, NetworkInterfaceExceededTimeLimit, ExceededTimeLimit.
        50 | 202 | 262 => ErrorKind::Late,
        // OutOfDiskSpace.
        14031 => ErrorKind::Full,
        // HostUnreachable, HostNotFound, NetworkTimeout, ShutdownInProgress, PrimarySteppedDown, NotWritablePrimary, and
        // the interruptions that come with a change of the primary.
        6 | 7 | 89 | 91 | 189 | 9001 | 10107 | 11600 | 11602 | 13435 | 13436 => ErrorKind::Down,
        // BadValue, DocumentValidationFailure, KeyTooLong, BSONObjectTooLarge.
        2 | 121 | 17280 | 10334 => ErrorKind::Unfit,
        _ => ErrorKind::Broken,
    }
}

const DUPLICATE_KEY: i32 = 11000;
