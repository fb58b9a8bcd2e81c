//! Many virtual keys in the store: after a start the last of them is good. How long that takes is told and not judged; a
//! million of them by `KEYS_COUNT=1000000 cargo test --test e2e many_keys -- --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use ringway::policy::key::{NewKey, Pepper, Proof};
use rusqlite::Connection;
use serde_json::json;

use crate::admin::{admin, chat, make_key};
use crate::support::*;

/// More than are read from the store at once.
const KEYS_USUAL: u32 = 12_000;
const PEPPER: &str = "a pepper of this test alone";

fn begin(data: &TempFolder, upstream: &Upstream) -> Gateway {
    let settings = format!(
        "providers:\n  up: {{type: openai, base_url: 'http://127.0.0.1:{}/v1', api_key: {UPSTREAM_KEY}}}\n",
        upstream.port
    );
    let folder = data.0.to_str().expect("UTF-8");
    Gateway::start_with(&settings, &[("RINGWAY_DATA_DIR", folder), ("RINGWAY_KEY_PEPPER", PEPPER)])
}

/// Puts keys beside the gateway's first one, each with an id and a secret of its own, and gives the last of them.
fn insert_keys(data: &TempFolder, numbers: std::ops::Range<u32>) -> String {
    let pepper = Arc::new(Pepper::new(PEPPER.as_bytes()));
    let mut store = Connection::open(data.0.join("ringway.db")).expect("the store");
    let columns = "name, description, user_path, labels, allowed_models, dashboard_access, redacted_value, hash_kind, \
                   previous_hash, previous_until_ms, is_enabled, expires_at_ms, deactivated_at_ms, created_at_ms, updated_at_ms, extra";
    let sql = format!(
        "INSERT INTO ringway_auth_keys (id, secret_hash, {columns}) SELECT ?1, ?2, {columns} FROM ringway_auth_keys WHERE name = 'first' LIMIT 1"
    );
    let batch = store.transaction().expect("a transaction");
    let mut last = String::new();
    {
        let mut insert = batch.prepare(&sql).expect("a statement");
        for number in numbers {
            let mut random = [9; 48];
            for place in [0, 44] {
                random[place..place + 4].copy_from_slice(&number.to_be_bytes());
            }
            let new = NewKey::make(&random, &pepper);
            let Proof::Hmac(hash) = new.proof else { panic!("keys of our own have this proof") };
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            insert.execute((new.id.as_str(), hash)).expect("a row");
            last = new.text.reveal().to_owned();
        }
    }
    batch.commit().expect("a commit");
    last
}

#[test]
fn the_last_of_many_keys_is_good_after_a_start() {
    let keys =
        std::env::var("KEYS_COUNT").map_or(KEYS_USUAL, |text| text.parse().expect("KEYS_COUNT is a number"));
    let (data, upstream) = (TempFolder::new(), crate::admin::upstream());
    // A gateway makes the tables, and one key that the others are made after.
    let mut gateway = begin(&data, &upstream);
    make_key(&gateway, json!({"name": "first", "user_path": "/team/first", "labels": ["cost-center-1"]}));
    gateway.signal(15);
    assert!(gateway.child.wait().expect("an end").success());
    let last = insert_keys(&data, 1..keys);
    let begun = Instant::now();
    let gateway = begin(&data, &upstream);
    let listening = begun.elapsed();
    // A request with a key that is not known yet waits until the keys are read.
    let mut tries = 0;
    eventually("the last key is good", || {
        tries += 1;
        chat(&gateway, &last).status == 200
    });
    let known = begun.elapsed();
    println!(
        "{keys} keys: listening after {} ms, the last one good after {} ms ({tries} requests) and {} ms of the CPU, {} MiB resident",
        listening.as_millis(),
        known.as_millis(),
        cpu_ms(&gateway),
        gateway.rss_kib() / 1024
    );
}

#[test]
fn what_becomes_of_keys_while_all_are_read_again_stays_so() {
    const ROUNDS: u32 = 4;
    let (data, upstream) = (TempFolder::new(), crate::admin::upstream());
    let mut gateway = begin(&data, &upstream);
    make_key(&gateway, json!({"name": "first"}));
    // These are read before most others.
    let early: Vec<(String, String)> =
        (0..ROUNDS).map(|_| make_key(&gateway, json!({"name": "early"}))).collect();
    gateway.signal(15);
    assert!(gateway.child.wait().expect("an end").success());
    insert_keys(&data, 1..KEYS_USUAL);
    let gateway = begin(&data, &upstream);
    for ((id, value), round) in early.iter().zip(0..) {
        eventually("they are read", || chat(&gateway, value).status == 200);
        // Nobody told the gateway of this one: it is good as soon as all were read once more.
        let by_hand = insert_keys(&data, KEYS_USUAL + round..KEYS_USUAL + round + 1);
        admin(&gateway, "POST", "/runtime/refresh", json!({}));
        admin(&gateway, "POST", &format!("/auth-keys/{id}/deactivate"), json!({}));
        let (_, made) = make_key(&gateway, json!({"name": "late"}));
        eventually("all were read again", || chat(&gateway, &by_hand).status == 200);
        let statuses = (chat(&gateway, value).status, chat(&gateway, &made).status);
        assert_eq!(statuses, (401, 200), "round {round}");
    }
}

#[test]
fn a_key_that_may_be_good_is_not_called_wrong_while_the_store_cannot_be_read() {
    // A database that lets everybody in and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("postgresql://keeper@{}/postgres", silent.local_addr().expect("its address"));
    let upstream = crate::admin::upstream();
    let settings = format!(
        "providers:\n  up: {{type: openai, base_url: 'http://127.0.0.1:{}/v1', api_key: {UPSTREAM_KEY}}}\n",
        upstream.port
    );
    let data = TempFolder::new();
    let folder = data.0.to_str().expect("UTF-8");
    let store =
        [("STORAGE_TYPE", "postgresql"), ("POSTGRES_URL", url.as_str()), ("RINGWAY_DATA_DIR", folder)];
    for master in [None, Some(("RINGWAY_MASTER_KEY", "the-master-key-of-this-test"))] {
        let env: Vec<(&str, &str)> = store.into_iter().chain(master).collect();
        let gateway = Gateway::start_with(&settings, &env);
        let answer = chat(&gateway, &format!("rw-abcdefghijkl-{}", "0".repeat(43)));
        assert_eq!((answer.status, answer.error_code().as_str()), (503, "keys_unavailable"), "{master:?}");
        assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    }
}

#[test]
fn a_body_that_comes_while_the_keys_are_read_is_not_waited_for_again() {
    let (data, upstream) = (TempFolder::new(), crate::admin::upstream());
    let mut gateway = begin(&data, &upstream);
    let (_, key) = make_key(&gateway, json!({"name": "first"}));
    gateway.signal(15);
    assert!(gateway.child.wait().expect("an end").success());
    // Nobody else can open the file for now.
    let store = Connection::open(data.0.join("ringway.db")).expect("the store");
    store.pragma_update(None, "locking_mode", "EXCLUSIVE").expect("a mode");
    store.execute_batch("BEGIN EXCLUSIVE").expect("all of the file");
    let gateway = begin(&data, &upstream);
    let lines = format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\n");
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{lines}content-length: {}\r\n\r\n{ASK}",
        ASK.len()
    );
    let (head, body) = request.split_at(request.len() - ASK.len());
    let mut store = Some(store);
    eventually("the key is good", || {
        let mut link = gateway.connect();
        link.send(head.as_bytes());
        // The head has been read when another connection was answered twice, and waits for the keys.
        (0..2).for_each(|_| assert_eq!(gateway.call(&get("/health")).status, 200));
        link.send(body.as_bytes());
        (0..2).for_each(|_| assert_eq!(gateway.call(&get("/health")).status, 200));
        drop(store.take());
        let answer = link.answer(false);
        assert!(answer.status == 200 || answer.error_code() == "keys_unavailable", "{}", answer.text());
        answer.status == 200
    });
}

/// What the process has had of the CPU so far: fields 14 and 15 of its status, in hundredths of a second (proc(5)).
fn cpu_ms(gateway: &Gateway) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.child.id())).expect("its status");
    let behind_name = stat.rsplit_once(") ").expect("a name in brackets").1;
    let ticks = behind_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    ticks.sum::<u64>() * 10
}
