//! What every test begins with: an empty place on each engine, opened.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use ringway::base::Secret;
use ringway::config::{Engine, RecordsAs, Storage};
use ringway::offload::store::tables::SCHEMA;
use ringway::offload::store::{Row, Schema, Store, Table, Upgrade, Value};

use crate::servers::{Kind, PASSWORD, Server, USER};

/// Runs the test once for each engine that is there, with an empty store of the program's own schema.
pub fn on_every_engine(test: impl AsyncFn(&Store, &str)) {
    with_every_place(async |storage, engine| test(&open(storage, &SCHEMA).await, engine).await);
}

/// The same with the place only, for tests that open it themselves.
pub fn with_every_place(test: impl AsyncFn(&Storage, &str)) {
    for_every_place(|storage, name| run(test(storage, name)));
}

/// The same for tests that wait for other processes.
pub fn for_every_place(test: impl Fn(&Storage, &str)) {
    for (name, storage) in places() {
        test(&storage, name);
        if let Engine::Sqlite { path } = storage.engine {
            remove(&path);
        }
    }
}

pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

pub async fn open(storage: &Storage, schema: &Schema) -> Store {
    Store::open(storage, schema, Upgrade::Forward).await.expect("the store opens")
}

/// A row of a table in which everything that must be there is.
pub fn row(table: &'static Table, fill: impl Fn(&str) -> Value) -> Row {
    let mut row = Row::new(table);
    for column in table.columns.iter().filter(|column| !column.is_nullable) {
        row.set(column.name, fill(column.name));
    }
    row
}

/// A storage for a server, with a database of its own.
pub fn storage_of(server: &Server, database: &str) -> Storage {
    let port = server.port;
    let engine = match server.kind {
        Kind::Postgres => {
            run(create_database(port, database));
            let password = "p%40ss%3Aw%2Frd";
            let url = Secret::new(format!("postgres://{USER}:{password}@127.0.0.1:{port}/{database}"));
            Engine::Postgres { url, connections_max: 4 }
        }
        Kind::Mongo => {
            // The stand-in is one server and no set of them, and keeps no journal.
            let url = format!("mongodb://127.0.0.1:{port}/?directConnection=true&w=1&journal=false");
            Engine::Mongo { url: Secret::new(url), database: database.to_owned() }
        }
    };
    storage(engine)
}

pub fn storage(engine: Engine) -> Storage {
    Storage {
        engine,
        records: RecordsAs::Packs,
        call_timeout_ms: 60_000,
        usage_kept_ms: None,
        audit_kept_ms: None,
        changes_kept_ms: None,
    }
}

async fn create_database(port: u16, name: &str) {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port).user(USER).password(PASSWORD).dbname("postgres");
    for attempt in 0.. {
        // It accepts before it is ready.
        match config.connect(tokio_postgres::NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
            }
            Err(error) if attempt == 200 => panic!("{error}"),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

/// One server of each kind serves all tests of the process.
fn places() -> Vec<(&'static str, Storage)> {
    static SERVERS: OnceLock<Vec<Option<Server>>> = OnceLock::new();
    let servers =
        SERVERS.get_or_init(|| [Kind::Postgres, Kind::Mongo].into_iter().map(Server::start).collect());
    let mut places = vec![("sqlite", storage(Engine::Sqlite { path: new_file() }))];
    for (name, server) in ["postgresql", "mongodb"].into_iter().zip(servers) {
        match server {
            Some(server) => places.push((name, storage_of(server, &new_name()))),
            None => skip(name),
        }
    }
    places
}

/// Says past the harness, which shows nothing of tests that pass, that one went without an engine.
pub fn skip(engine: &str) {
    static SKIPPED: Mutex<usize> = Mutex::new(0);
    assert!(
        std::env::var("STORES").as_deref() != Ok("required"),
        "{engine} is not installed: run scripts/prepare-stores"
    );
    let mut count = SKIPPED.lock().expect("the count");
    *count += 1;
    let line = format!("SKIPPED: a test without {engine}, which is not installed ({} so far)\n", *count);
    std::io::stderr().write_all(line.as_bytes()).expect("stderr");
}

pub fn new_name() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A file in a folder of its own that is not there yet.
pub fn new_file() -> PathBuf {
    std::env::temp_dir().join(format!("ringway-stores-{}", new_name())).join("ringway.db")
}

/// Takes a file of [`new_file`] away with its folder.
pub fn remove(file: &Path) {
    std::fs::remove_dir_all(file.parent().expect("a folder")).expect("the folder of the file");
}
