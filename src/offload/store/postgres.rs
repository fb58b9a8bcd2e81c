//! PostgreSQL: a few connections that are opened when they are needed and given up when they do not answer.
//!
//! Statements are sent with the types of their parameters in one round trip and are not prepared, so a pooler in between
//! may hand every transaction to another server process.

mod tls;
mod url;

use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Transaction};

use super::error::{ErrorKind, StoreError};
use super::migrate::{Upgrade, missing_steps};
use super::query::{Filter, Groups, Select, Summary};
use super::schema::{Kind, Schema, Table};
use super::sql::{self, Flavour, OnConflict, Statement};
use super::sqlite::{cut, group, summary_kinds};
use super::value::{Row, Value, escaped, unescaped};
use crate::base::clock;
use crate::base::limits::{
    STORE_CONNECT_MS_MAX, STORE_PARAMETERS_MAX, STORE_PAUSE_MS_MAX, STORE_PAUSE_MS_MIN,
};

/// The way to the server.
pub struct Postgres {
    config: Config,
    tls: tls::Connector,
    call_ms_max: u64,
    permits: Semaphore,
    pool: Mutex<Pool>,
}

/// Connections that nobody uses right now, and how connecting goes.
#[derive(Default)]
struct Pool {
    idle: Vec<Client>,
    /// After an attempt to connect that failed, the next one waits until then. What comes before fails at once.
    closed_until_us: u64,
    pause_ms: u64,
    last_error: Option<StoreError>,
}

/// A connection in use. Dropped without being given back, it is closed.
struct Lease<'p> {
    client: Client,
    _permit: SemaphorePermit<'p>,
}

impl Postgres {
    /// Connects once, and brings the schema forward.
    pub async fn open(
        url: &str,
        connections_max: usize,
        call_ms_max: u64,
        schema: &Schema,
        upgrade: Upgrade,
    ) -> Result<Postgres, StoreError> {
        let (mut config, tls) = url::read(url)?;
        let connect_ms_max = STORE_CONNECT_MS_MAX.min(call_ms_max);
        config.connect_timeout(Duration::from_millis(connect_ms_max));
        if config.get_application_name().is_none() {
            config.application_name("ringway");
        }
        let permits = Semaphore::new(connections_max.clamp(1, Semaphore::MAX_PERMITS));
        let postgres = Postgres { config, tls, call_ms_max, permits, pool: Mutex::default() };
        postgres.timed(postgres.bring_forward(schema, upgrade)).await?;
        Ok(postgres)
    }

    pub async fn insert(&self, table: &'static Table, rows: &[Row]) -> Result<u64, StoreError> {
        let answer = self.batch(rows, |part| sql::insert_answering(Flavour::Postgres, table, part)).await?;
        Ok(answer.len() as u64)
    }

    pub async fn replace(&self, table: &'static Table, rows: &[Row]) -> Result<(), StoreError> {
        let replace = |part: &[Row]| sql::insert(Flavour::Postgres, table, part, OnConflict::Replace);
        self.batch(rows, replace).await.map(drop)
    }

    pub async fn select(&self, select: &Select) -> Result<Vec<Row>, StoreError> {
        let kinds: Vec<Kind> = select.columns.iter().map(|column| column.kind).collect();
        let rows = self.query(&sql::select(Flavour::Postgres, select)).await?;
        let row = |row| Ok(Row::of(select.table, &select.columns, read_all(row, &kinds)?));
        rows.iter().map(row).collect()
    }

    pub async fn summarise(&self, summary: &Summary) -> Result<Groups, StoreError> {
        let kinds = summary_kinds(summary);
        let rows = self.query(&sql::summarise(Flavour::Postgres, summary)).await?;
        let groups = rows.iter().map(|row| Ok(group(summary, read_all(row, &kinds)?)));
        Ok(cut(summary, groups.collect::<Result<_, StoreError>>()?))
    }

    pub async fn update(
        &self,
        table: &'static Table,
        filter: &Filter,
        values: &[(&'static str, Value)],
    ) -> Result<u64, StoreError> {
        self.execute(&sql::update(Flavour::Postgres, table, filter, values)).await
    }

    pub async fn delete(&self, table: &'static Table, filter: &Filter) -> Result<u64, StoreError> {
        self.execute(&sql::delete(Flavour::Postgres, table, filter)).await
    }

    pub async fn sweep(
        &self,
        table: &'static Table,
        column: &str,
        before_ms: i64,
        rows_max: usize,
    ) -> Result<u64, StoreError> {
        self.execute(&sql::sweep(Flavour::Postgres, table, column, before_ms, rows_max)).await
    }

    /// As many statements as the rows need for their parameters, in one transaction.
    async fn batch(
        &self,
        rows: &[Row],
        statement: impl Fn(&[Row]) -> Statement,
    ) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        let width = rows.first().map_or(1, |row| row.values().len());
        let parts: Vec<Statement> = rows.chunks(STORE_PARAMETERS_MAX / width).map(statement).collect();
        self.timed(async {
            let mut lease = self.lease().await?;
            let answers = match &parts[..] {
                [one] => query(&lease.client, one).await,
                several => in_transaction(&mut lease.client, several).await,
            };
            self.give_back(lease, answers).await
        })
        .await
    }

    async fn query(&self, statement: &Statement) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        self.timed(async {
            let lease = self.lease().await?;
            let rows = query(&lease.client, statement).await;
            self.give_back(lease, rows).await
        })
        .await
    }

    async fn execute(&self, statement: &Statement) -> Result<u64, StoreError> {
        self.timed(async {
            let lease = self.lease().await?;
            let params = bound(statement);
            let params: Vec<_> = params.iter().map(Bound::typed).collect();
            let count = lease.client.execute_typed(&statement.text, &params).await;
            self.give_back(lease, count).await
        })
        .await
    }

    /// One transaction under a lock, so that a second process waits and then finds nothing left to do.
    async fn bring_forward(&self, schema: &Schema, upgrade: Upgrade) -> Result<(), StoreError> {
        let mut lease = self.lease().await?;
        let encoding: String =
            lease.client.query_one("SHOW server_encoding", &[]).await.map_err(translated)?.get(0);
        if encoding != "UTF8" {
            let what = format!("the database has the encoding {encoding}; UTF8 is needed");
            return Err(StoreError::new(ErrorKind::Broken, what));
        }
        let transaction = lease.client.transaction().await.map_err(translated)?;
        migrate(transaction, schema, upgrade).await?;
        self.give_back(lease, Ok(())).await
    }

    async fn timed<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let late = || StoreError::new(ErrorKind::Late, format_args!("no answer for {} ms", self.call_ms_max));
        let timed = tokio::time::timeout(Duration::from_millis(self.call_ms_max), call).await;
        timed.unwrap_or_else(|_| Err(late()))
    }

    /// A connection that was open a moment ago, or a new one.
    async fn lease(&self) -> Result<Lease<'_>, StoreError> {
        let permit = self.permits.acquire().await;
        let permit = permit.map_err(|_| StoreError::new(ErrorKind::Down, "the pool is closed"))?;
        let idle = {
            let mut pool = self.pool.lock().await;
            pool.idle.retain(|client| !client.is_closed());
            match (pool.idle.pop(), &pool.last_error) {
                (None, Some(error)) if clock::monotonic_us() < pool.closed_until_us => {
                    return Err(error.clone());
                }
                (idle, _) => idle,
            }
        };
        let client = match idle {
            Some(client) => client,
            None => Box::pin(self.connect()).await?,
        };
        Ok(Lease { client, _permit: permit })
    }

    async fn connect(&self) -> Result<Client, StoreError> {
        let connect_ms_max = STORE_CONNECT_MS_MAX.min(self.call_ms_max);
        let timed = tokio::time::timeout(Duration::from_millis(connect_ms_max), self.connect_now()).await;
        let connected = timed.unwrap_or_else(|_| {
            Err(StoreError::new(ErrorKind::Late, format_args!("no connection for {connect_ms_max} ms")))
        });
        let mut pool = self.pool.lock().await;
        match &connected {
            Ok(_) => (pool.pause_ms, pool.last_error) = (0, None),
            Err(error) => {
                pool.pause_ms = (pool.pause_ms * 2).clamp(STORE_PAUSE_MS_MIN, STORE_PAUSE_MS_MAX);
                pool.closed_until_us = clock::monotonic_us() + pool.pause_ms * 1000;
                pool.last_error = Some(error.clone());
            }
        }
        connected
    }

    async fn connect_now(&self) -> Result<Client, StoreError> {
        let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(translated)?;
        // It ends with the client, or when the server is gone; what it then says is said to the calls as well.
        tokio::spawn(connection);
        // The server gives up first, so that it does not go on with what nobody waits for.
        let statement_ms = self.call_ms_max * 9 / 10;
        client.batch_execute(&format!("SET statement_timeout = {statement_ms}")).await.map_err(translated)?;
        Ok(client)
    }

    /// Keeps the connection for the next call, unless it broke with this one.
    async fn give_back<T>(
        &self,
        lease: Lease<'_>,
        answer: Result<T, tokio_postgres::Error>,
    ) -> Result<T, StoreError> {
        if !lease.client.is_closed() {
            self.pool.lock().await.idle.push(lease.client);
        }
        answer.map_err(translated)
    }
}

async fn query(
    client: &Client,
    statement: &Statement,
) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
    let params = bound(statement);
    let params: Vec<_> = params.iter().map(Bound::typed).collect();
    client.query_typed(&statement.text, &params).await
}

async fn in_transaction(
    client: &mut Client,
    statements: &[Statement],
) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let mut rows = Vec::new();
    for statement in statements {
        rows.extend(query(transaction.client(), statement).await?);
    }
    transaction.commit().await?;
    Ok(rows)
}

async fn migrate(transaction: Transaction<'_>, schema: &Schema, upgrade: Upgrade) -> Result<(), StoreError> {
    let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    transaction.batch_execute(&lock).await.map_err(translated)?;
    for text in sql::version_table() {
        transaction.batch_execute(&text).await.map_err(translated)?;
    }
    let found: i64 = transaction.query_one(&sql::version(), &[]).await.map_err(translated)?.get(0);
    for step in missing_steps(schema, found, upgrade)? {
        transaction.batch_execute(&sql::step(Flavour::Postgres, &step)).await.map_err(translated)?;
    }
    transaction.batch_execute(&sql::set_version(schema.version)).await.map_err(translated)?;
    transaction.commit().await.map_err(translated)
}

/// Any number that others are unlikely to lock: `ringway` as bytes.
const MIGRATION_LOCK: i64 = 0x0072_696e_6777_6179;

/// A value as a parameter of its column's type.
enum Bound {
    Text(Option<String>),
    Number(Option<i64>),
    Flag(Option<bool>),
    Names(Option<Vec<String>>),
    Bytes(Option<Vec<u8>>),
}

impl Bound {
    fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Bound::Text(text) => (text, Type::TEXT),
            Bound::Number(number) => (number, Type::INT8),
            Bound::Flag(flag) => (flag, Type::BOOL),
            Bound::Names(names) => (names, Type::TEXT_ARRAY),
            Bound::Bytes(bytes) => (bytes, Type::BYTEA),
        }
    }
}

fn bound(statement: &Statement) -> Vec<Bound> {
    statement.params.iter().map(|(kind, value)| bind(*kind, value)).collect()
}

fn bind(kind: Kind, value: &Value) -> Bound {
    match kind {
        Kind::Text | Kind::Json => Bound::Text(value.as_text().map(escaped)),
        Kind::Flag => Bound::Flag(value.as_flag()),
        Kind::Bytes => Bound::Bytes(value.as_bytes().map(<[u8]>::to_vec)),
        Kind::Names => {
            Bound::Names(value.as_names().map(|names| names.iter().map(|name| escaped(name)).collect()))
        }
        Kind::Integer | Kind::Money | Kind::TimeMs => {
            Bound::Number((!value.is_null()).then(|| value.clamped_number()))
        }
    }
}

fn read_all(row: &tokio_postgres::Row, kinds: &[Kind]) -> Result<Vec<Value>, StoreError> {
    let all = kinds.iter().enumerate().map(|(place, kind)| read(row, place, *kind));
    all.collect::<Result<_, _>>().map_err(translated)
}

fn read(row: &tokio_postgres::Row, place: usize, kind: Kind) -> Result<Value, tokio_postgres::Error> {
    Ok(match kind {
        Kind::Text => Value::maybe(row.try_get(place)?, |text| Value::Text(unescaped(text))),
        Kind::Json => Value::maybe(row.try_get(place)?, |text| Value::Json(unescaped(text))),
        Kind::Flag => Value::maybe(row.try_get(place)?, Value::Flag),
        Kind::Bytes => Value::maybe(row.try_get(place)?, Value::Bytes),
        Kind::Names => Value::maybe(row.try_get::<_, Option<Vec<String>>>(place)?, |names| {
            Value::Names(names.into_iter().map(unescaped).collect())
        }),
        Kind::Integer | Kind::Money | Kind::TimeMs => {
            Value::maybe(row.try_get(place)?, |number| Value::of_number(kind, number))
        }
    })
}

/// PostgreSQL's codes (its manual, appendix A) in the house's words.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn translated(error: tokio_postgres::Error) -> StoreError {
    let Some(db) = error.as_db_error() else {
        let inner = std::error::Error::source(&error).map(|inner| format!(": {inner}")).unwrap_or_default();
        return StoreError::new(ErrorKind::Down, format_args!("{error}{inner}"));
    };
    let code = db.code();
    let kind = match code.code().get(..2).unwrap_or_default() {
        _ if *code == SqlState::DISK_FULL => ErrorKind::Full,
        _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => ErrorKind::ReadOnly,
        _ if *code == SqlState::QUERY_CANCELED => ErrorKind::Late,
        _ if *code == SqlState::UNIQUE_VIOLATION => ErrorKind::Conflict,
        _ if *code == SqlState::INSUFFICIENT_PRIVILEGE => ErrorKind::Refused,
        // Program limits, data and integrity.
        "54" | "22" | "23" => ErrorKind::Unfit,
        "28" | "3D" => ErrorKind::Refused,
        // Lost against another transaction, or somebody holds the lock.
        "40" | "55" => ErrorKind::Busy,
        // Connections, resources, an operator, the system.
        "08" | "53" | "57" | "58" => ErrorKind::Down,
        _ => ErrorKind::Broken,
    };
    StoreError::new(kind, format_args!("{} ({})", db.message(), code.code()))
}
