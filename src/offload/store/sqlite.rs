//! SQLite: two threads of its own, one for what writes and one for what only reads, so that a long summary does not keep
//! records waiting. WAL lets them work side by side.
//!
//! A commit is on the disk when the call returns (`synchronous=FULL`: one fsync for each batch). A journal may be cut
//! behind it.

mod opening;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, TransactionBehavior};
use worker::{Thread, Worker};

use super::News;
use super::error::{ErrorKind, StoreError};
use super::migrate::Upgrade;
use super::packed;
use super::query::{By, Filter, Group, Groups, Select, Sum, Summary};
use super::schema::{Kind, Schema, Table};
use super::sql::{self, Flavour, OnConflict, Statement};
use super::value::{Row, Value};

use crate::base::limits::SQLITE_INSERT_ROWS;
use crate::offload::packs::columns::made;

/// The open file.
pub struct Sqlite {
    writer: Worker,
    reader: Worker,
}

impl Sqlite {
    /// Opens the file, or makes it, with the folders above it.
    pub async fn open(
        path: &Path,
        call_ms_max: u64,
        schema: &Schema,
        upgrade: Upgrade,
    ) -> Result<Sqlite, StoreError> {
        // Others' locks are waited for within a call.
        let lock_wait = Duration::from_millis(call_ms_max / 2);
        let (file, schema) = (path.to_owned(), *schema);
        let open = move || opening::to_write(&file, lock_wait, &schema, upgrade);
        let writer = Worker::start("store-write", call_ms_max, open).await?;
        let file = path.to_owned();
        let reader =
            Worker::start("store-read", call_ms_max, move || opening::to_read(&file, lock_wait)).await?;
        Ok(Sqlite { writer, reader })
    }

    pub async fn insert(
        &self,
        table: &'static Table,
        rows: Arc<[Row]>,
        news: News,
    ) -> Result<u64, StoreError> {
        let made = made(table).filter(|_| news == News::Doubtful);
        self.change(move |transaction| match made {
            Some(made) => packed::insert(transaction, made, &rows),
            None => Ok(insert_all(transaction, table, &rows, OnConflict::Keep)?),
        })
        .await
    }

    pub async fn replace(&self, table: &'static Table, rows: Vec<Row>) -> Result<(), StoreError> {
        self.change(move |transaction| {
            if made(table).is_some() {
                packed::unpack_ids(transaction, &rows)?;
            }
            insert_all(transaction, table, &rows, OnConflict::Replace)?;
            Ok(())
        })
        .await
    }

    pub async fn select(&self, select: Select) -> Result<Vec<Row>, StoreError> {
        self.look(move |transaction| match made(select.table) {
            Some(made) => packed::select(transaction, made, &select, |select| rows_of(transaction, select)),
            None => rows_of(transaction, &select),
        })
        .await
    }

    /// Rows in the order in which they lie, behind the one of this number, and the number of the last one.
    pub async fn scan(&self, select: Select, behind: i64) -> Result<(Vec<Row>, i64), StoreError> {
        self.reader
            .call(move |connection| {
                let kinds: Vec<Kind> = select.columns.iter().map(|column| column.kind).collect();
                let statement = sql::scan(&select, behind);
                let params = statement.params.iter().map(|(_, value)| Bound(value));
                let mut prepared = connection.prepare_cached(&statement.text)?;
                let mut answer = prepared.query(rusqlite::params_from_iter(params))?;
                let (mut rows, mut reached) = (Vec::with_capacity(select.limit), behind);
                while let Some(row) = answer.next()? {
                    reached = row.get(0)?;
                    let value = |(place, kind): (usize, &Kind)| read(*kind, row.get_ref(place + 1)?);
                    let values = kinds.iter().enumerate().map(value).collect::<rusqlite::Result<_>>()?;
                    rows.push(Row::of(select.table, &select.columns, values));
                }
                Ok((rows, reached))
            })
            .await
    }

    pub async fn summarise(&self, summary: Summary) -> Result<Groups, StoreError> {
        let work = move |held: &mut Thread| {
            let transaction = held.connection.transaction()?;
            let kinds = summary_kinds(&summary);
            let statement = sql::summarise(Flavour::Sqlite, &summary);
            let groups = query(&transaction, &statement, &kinds, |values| group(&summary, values))?;
            let groups = cut(&summary, groups);
            match made(summary.table) {
                Some(made) => packed::summarise(&transaction, made, &summary, groups, &mut held.kept),
                None => Ok(groups),
            }
        };
        self.reader.call_with(work).await
    }

    pub async fn update(
        &self,
        table: &'static Table,
        filter: Filter,
        values: Vec<(&'static str, Value)>,
    ) -> Result<u64, StoreError> {
        let statement = sql::update(Flavour::Sqlite, table, &filter, &values);
        self.execute(table, filter, statement).await
    }

    pub async fn delete(&self, table: &'static Table, filter: Filter) -> Result<u64, StoreError> {
        let statement = sql::delete(Flavour::Sqlite, table, &filter);
        self.execute(table, filter, statement).await
    }

    pub async fn sweep(
        &self,
        table: &'static Table,
        column: &str,
        before_ms: i64,
        rows_max: usize,
    ) -> Result<u64, StoreError> {
        let statement = sql::sweep(Flavour::Sqlite, table, column, before_ms, rows_max);
        self.change(move |transaction| {
            if let Some(made) = made(table) {
                packed::sweep(transaction, made, before_ms)?;
            }
            Ok(execute(transaction, &statement)? as u64)
        })
        .await
    }

    /// Runs a statement on the rows that are meant, those that stand in packs among them.
    async fn execute(
        &self,
        table: &'static Table,
        filter: Filter,
        statement: Statement,
    ) -> Result<u64, StoreError> {
        self.change(move |transaction| {
            if let Some(made) = made(table) {
                packed::unpack_matching(transaction, made, &filter)?;
            }
            Ok(execute(transaction, &statement)? as u64)
        })
        .await
    }

    /// One transaction of the thread that writes.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer
            .call(move |connection| {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let done = work(&transaction)?;
                transaction.commit()?;
                Ok(done)
            })
            .await
    }

    /// Looks at one state of all tables.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.reader.call(move |connection| work(&*connection.transaction()?)).await
    }
}

fn rows_of(connection: &Connection, select: &Select) -> Result<Vec<Row>, StoreError> {
    let kinds: Vec<Kind> = select.columns.iter().map(|column| column.kind).collect();
    let row = |values| Row::of(select.table, &select.columns, values);
    Ok(query(connection, &sql::select(Flavour::Sqlite, select), &kinds, row)?)
}

/// The kinds of the columns that a summary answers with.
pub(super) fn summary_kinds(summary: &Summary) -> Vec<Kind> {
    let by = summary.by.iter().map(|by| match by {
        By::Column(name) => summary.table.column(name).kind,
        By::Span { .. } => Kind::TimeMs,
    });
    by.chain(std::iter::repeat_n(Kind::Integer, 1 + 3 * summary.sums.len())).collect()
}

/// One answered row of a summary.
pub(super) fn group(summary: &Summary, mut values: Vec<Value>) -> Group {
    let numbers = values.split_off(summary.by.len());
    let number = |at: usize| numbers.get(at).and_then(Value::as_integer).unwrap_or_default();
    let count = |at: usize| u64::try_from(number(at)).unwrap_or_default();
    let sum = |at: usize| Sum {
        known: count(at),
        total: (i128::from(number(at + 1)) << 32) + i128::from(number(at + 2)),
    };
    Group { by: values, rows: count(0), sums: (0..summary.sums.len()).map(|at| sum(1 + 3 * at)).collect() }
}

/// The groups that were asked for, of one more.
pub(super) fn cut(summary: &Summary, mut groups: Vec<Group>) -> Groups {
    let is_cut = groups.len() > summary.limit;
    groups.truncate(summary.limit);
    Groups { groups, is_cut }
}

fn execute(connection: &Connection, statement: &Statement) -> rusqlite::Result<usize> {
    let params = statement.params.iter().map(|(_, value)| Bound(value));
    connection.prepare_cached(&statement.text)?.execute(rusqlite::params_from_iter(params))
}

/// Many rows with each statement, because every run of one opens and closes all trees of the table; the rest of them one by
/// one. Statements are prepared once. Says how many rows were written.
pub(super) fn insert_all(
    connection: &Connection,
    table: &Table,
    rows: &[Row],
    on_conflict: OnConflict,
) -> rusqlite::Result<u64> {
    let places = sql::places_in_use(rows);
    let (many, rest) = rows.as_chunks::<SQLITE_INSERT_ROWS>();
    let of_many = insert_by(connection, table, &places, many.iter().map(|rows| &rows[..]), on_conflict)?;
    Ok(of_many + insert_by(connection, table, &places, rest.chunks(1), on_conflict)?)
}

/// Runs one statement for each part; all parts have the same size.
fn insert_by<'r>(
    connection: &Connection,
    table: &Table,
    places: &[usize],
    parts: impl Iterator<Item = &'r [Row]>,
    on_conflict: OnConflict,
) -> rusqlite::Result<u64> {
    let mut parts = parts.peekable();
    let Some(first) = parts.peek() else { return Ok(0) };
    let text = sql::insert_places(Flavour::Sqlite, table, places, first, on_conflict).text;
    let mut prepared = connection.prepare_cached(&text)?;
    let mut one = |rows: &[Row]| {
        let values = rows.iter().flat_map(|row| places.iter().map(|&place| &row.values()[place]));
        for (number, value) in values.enumerate() {
            prepared.raw_bind_parameter(number + 1, Bound(value))?;
        }
        prepared.raw_execute().map(|count| count as u64)
    };
    parts.map(&mut one).sum()
}

fn query<T>(
    connection: &Connection,
    statement: &Statement,
    kinds: &[Kind],
    make: impl Fn(Vec<Value>) -> T,
) -> rusqlite::Result<Vec<T>> {
    let params = statement.params.iter().map(|(_, value)| Bound(value));
    let mut prepared = connection.prepare_cached(&statement.text)?;
    let rows = prepared.query_map(rusqlite::params_from_iter(params), |row| {
        let value = |(place, kind): (usize, &Kind)| read(*kind, row.get_ref(place)?);
        Ok(make(kinds.iter().enumerate().map(value).collect::<rusqlite::Result<_>>()?))
    })?;
    rows.collect()
}

fn read(kind: Kind, value: ValueRef<'_>) -> rusqlite::Result<Value> {
    if value == ValueRef::Null {
        return Ok(Value::Null);
    }
    Ok(match kind {
        Kind::Text => Value::Text(value.as_str()?.to_owned()),
        Kind::Json => Value::Json(value.as_str()?.to_owned()),
        Kind::Names => {
            let names = serde_json::from_str(value.as_str()?);
            Value::Names(names.map_err(|_| rusqlite::types::FromSqlError::InvalidType)?)
        }
        Kind::Bytes => Value::Bytes(value.as_blob()?.to_owned()),
        Kind::Flag => Value::Flag(value.as_i64()? != 0),
        Kind::Integer | Kind::Money | Kind::TimeMs => Value::of_number(kind, value.as_i64()?),
    })
}

/// A value as a parameter.
struct Bound<'v>(&'v Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Text(text) | Value::Json(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Names(names) => {
                let list = serde_json::Value::from(names.as_slice());
                ToSqlOutput::Owned(rusqlite::types::Value::Text(list.to_string()))
            }
            Value::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Value::Flag(flag) => ToSqlOutput::Owned(i64::from(*flag).into()),
            Value::Integer(_) | Value::TimeMs(_) | Value::Money(_) => {
                // A filter may name more money than any row can hold: that compares like the largest.
                ToSqlOutput::Owned(self.0.clamped_number().into())
            }
        })
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        translated(&error)
    }
}

/// SQLite's result codes (sqlite.org/rescode.html) in the house's words.
fn translated(error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode as Code;
    let Some(code) = error.sqlite_error() else {
        return StoreError::new(ErrorKind::Broken, error);
    };
    let kind = match code.code {
        Code::DatabaseBusy | Code::DatabaseLocked | Code::SchemaChanged | Code::FileLockingProtocolFailed => {
            ErrorKind::Busy
        }
        Code::DiskFull => ErrorKind::Full,
        Code::ReadOnly => ErrorKind::ReadOnly,
        Code::PermissionDenied | Code::AuthorizationForStatementDenied => ErrorKind::Refused,
        Code::CannotOpen | Code::SystemIoFailure | Code::OutOfMemory => ErrorKind::Down,
        Code::OperationInterrupted | Code::OperationAborted => ErrorKind::Late,
        Code::ConstraintViolation
            if [rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE, rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY]
                .contains(&code.extended_code) =>
        {
            ErrorKind::Conflict
        }
        Code::ConstraintViolation | Code::TooBig | Code::TypeMismatch => ErrorKind::Unfit,
        _ => ErrorKind::Broken,
    };
    StoreError::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offload::store::tables::{RUNTIME_SETTINGS, SCHEMA};

    /// The second call after SQLite was told by a pragma to behave as the disk would.
    fn check(pragma: &str, want: ErrorKind) {
        let name = format!("ringway-sqlite-{}-{pragma}.db", std::process::id());
        let file = std::env::temp_dir().join(name.replace([' ', '='], "_"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Sqlite::open(&file, 60_000, &SCHEMA, Upgrade::Forward).await.unwrap();
            let row = |name: &str, bytes: usize| {
                let row = Row::new(&RUNTIME_SETTINGS).with("name", Value::text(name));
                row.with("value", Value::Json("x".repeat(bytes))).with("updated_at_ms", Value::TimeMs(1))
            };
            store.insert(&RUNTIME_SETTINGS, [row("a", 1)].into(), News::Sure).await.unwrap();
            let pragma = pragma.to_owned();
            store
                .writer
                .call(move |connection| Ok(connection.execute_batch(&format!("PRAGMA {pragma}"))?))
                .await
                .unwrap();
            let batch = vec![row("b", 1), row("c", 100_000)];
            let error = store.insert(&RUNTIME_SETTINGS, batch.into(), News::Sure).await.unwrap_err();
            assert_eq!((error.kind, error.kind.is_passing()), (want, true), "{error}");
            // Nothing of the batch was written, and reading goes on.
            let rows = store.select(Select::new(&RUNTIME_SETTINGS, Filter::all(), 9)).await;
            assert_eq!(rows, Ok(vec![row("a", 1)]));
        });
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", file.display()));
        }
    }

    #[test]
    fn a_full_disk_is_told_from_one_that_takes_no_writes() {
        check("max_page_count=1", ErrorKind::Full);
        check("query_only=1", ErrorKind::ReadOnly);
    }
}
