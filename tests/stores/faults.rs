//! What becomes of calls when the store is not well.

use std::time::Duration;

use ringway::base::Secret;
use ringway::config::{Engine, Storage};
use ringway::offload::store::tables::{SCHEMA, USAGE};
use ringway::offload::store::{ErrorKind, Filter, Row, Select, Store, StoreError, Upgrade, Value};

use crate::servers::{Kind, Server};
use crate::world::{new_file, new_name, open, remove, row, run, skip, storage, storage_of};

fn usage(id: &str) -> Vec<Row> {
    let filled = row(&USAGE, |name| Value::text(name)).with("at_ms", Value::TimeMs(1));
    vec![filled.with("id", Value::text(id))]
}

/// Tries until it works, as whoever writes records does.
async fn until_it_works(store: &Store, id: &str) -> u64 {
    for _ in 0..600 {
        match store.insert(&USAGE, usage(id)).await {
            Ok(new) => return new,
            Err(error) => assert!(error.kind.is_passing(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the store never came back");
}

fn with_own_servers(test: impl AsyncFn(&mut Server, &Storage)) {
    for (kind, name) in [(Kind::Postgres, "postgresql"), (Kind::Mongo, "mongodb")] {
        match Server::start(kind) {
            None => skip(name),
            Some(mut server) => {
                let storage = storage_of(&server, &new_name());
                run(test(&mut server, &storage));
            }
        }
    }
}

#[test]
fn a_server_that_was_killed_is_an_error_that_passes_and_is_found_again() {
    with_own_servers(async |server, storage| {
        let storage = Storage { call_timeout_ms: 3_000, ..storage.clone() };
        let store = open(&storage, &SCHEMA).await;
        assert_eq!(store.insert(&USAGE, usage("a")).await, Ok(1));
        server.kill();
        let error = store.insert(&USAGE, usage("b")).await.expect_err("the server is gone");
        assert!(matches!(error.kind, ErrorKind::Down | ErrorKind::Late), "{error}");
        let closed = Store::open(&storage, &SCHEMA, Upgrade::Forward).await.err().expect("no server");
        assert!(closed.kind.is_passing() && !closed.to_string().contains("p@ss"), "{closed}");
        server.start_again();
        // The first attempt may have been written and not have been answered.
        until_it_works(&store, "b").await;
        assert_eq!(store.insert(&USAGE, usage("a")).await, Ok(0), "{:?}", server.kind);
        let rows = store.select(Select::new(&USAGE, Filter::all(), 9)).await.expect("a select");
        assert_eq!(rows.len(), 2, "{:?}", server.kind);
    });
}

#[test]
fn a_server_that_stands_still_is_an_error_in_time_and_goes_on() {
    with_own_servers(async |server, storage| {
        let storage = Storage { call_timeout_ms: 700, ..storage.clone() };
        let store = open(&storage, &SCHEMA).await;
        assert_eq!(store.insert(&USAGE, usage("a")).await, Ok(1));
        server.signal("STOP");
        // The bound only keeps a call that hangs from hanging for ever.
        let select = store.select(Select::new(&USAGE, Filter::all(), 9));
        let answer = tokio::time::timeout(Duration::from_secs(60), select).await;
        server.signal("CONT");
        let error = answer.expect("an answer in time").expect_err("nobody answered");
        assert!(matches!(error.kind, ErrorKind::Late | ErrorKind::Down), "{error}");
        until_it_works(&store, "b").await;
    });
}

#[test]
fn a_wrong_password_is_told_from_a_server_that_is_down() {
    let Some(server) = Server::start(Kind::Postgres) else { return skip("postgresql") };
    let storage = storage_of(&server, &new_name());
    run(async {
        let Engine::Postgres { url, .. } = &storage.engine else { panic!("PostgreSQL") };
        for url in [url.reveal().replace("p%40ss", "wrong"), url.reveal().replace("test_", "none_")] {
            let engine = Engine::Postgres { url: Secret::new(url), connections_max: 1 };
            let opened = Store::open(&Storage { engine, ..storage.clone() }, &SCHEMA, Upgrade::Forward).await;
            assert_eq!(opened.err().map(|error| error.kind), Some(ErrorKind::Refused));
        }
    });
}

#[test]
fn a_file_that_is_no_database_or_cannot_be_made_is_said_so() {
    run(async {
        let file = new_file();
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, "this is no database, whatever its name may say".repeat(100)).expect("a file");
        let open = async |path| {
            let storage = storage(Engine::Sqlite { path });
            Store::open(&storage, &SCHEMA, Upgrade::Forward).await.err().expect("no store")
        };
        let error = open(file.clone()).await;
        assert!(error.kind == ErrorKind::Broken && error.what.contains("ringway.db"), "{error}");
        let error = open(file.join("below/a/file.db")).await;
        assert!(error.kind == ErrorKind::Down && error.what.contains("cannot be made"), "{error}");
        remove(&file);
    });
}

#[test]
fn a_file_that_another_process_holds_is_busy_and_then_free() {
    run(async {
        let path = new_file();
        let storage = Storage { call_timeout_ms: 400, ..storage(Engine::Sqlite { path: path.clone() }) };
        let store = open(&storage, &SCHEMA).await;
        let other = rusqlite::Connection::open(&path).expect("another connection");
        other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        let kind = |result: Result<u64, StoreError>| result.map_err(|error| error.kind);
        assert_eq!(kind(store.insert(&USAGE, usage("a")).await), Err(ErrorKind::Busy));
        // Reading goes on.
        assert_eq!(store.select(Select::new(&USAGE, Filter::all(), 9)).await, Ok(vec![]));
        other.execute_batch("ROLLBACK").expect("the lock is given back");
        assert_eq!(kind(store.insert(&USAGE, usage("a")).await), Ok(1));
        remove(&path);
    });
}
