//! The gateway's records when the gateway dies, and when the store does: on every engine each exchange has one row in the
//! end, with its usage where it was answered.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ringway::config::{Engine, Storage};
use ringway::offload::store::tables::{SCHEMA, USAGE};
use ringway::offload::store::{Filter, Select, Store, Upgrade, Value};

use crate::servers::{Kind, Server};
use crate::support::*;
use crate::world::{for_every_place, new_file, new_name, remove, run, skip, storage, storage_of};

/// What the store has of one exchange.
#[derive(Clone, Debug, PartialEq)]
struct Stored {
    source: String,
    input: Option<i64>,
    output: Option<i64>,
}

/// The rows of usage by request id; none while the store cannot be read. Each request id stands for one exchange here.
fn stored(storage: &Storage) -> HashMap<String, Vec<Stored>> {
    let storage = Storage { call_timeout_ms: 20_000, ..storage.clone() };
    run(async {
        let mut found: HashMap<String, Vec<Stored>> = HashMap::new();
        let Ok(store) = Store::open(&storage, &SCHEMA, Upgrade::Never).await else { return found };
        let mut after: Option<Vec<Value>> = None;
        loop {
            let columns = ["id", "request_id", "usage_source", "input_uncached", "output_total"];
            let mut select = Select::new(&USAGE, Filter::all(), PAGE).only(&columns);
            if let Some(after) = after.take() {
                select = select.after(after);
            }
            let cursor = select.clone();
            let Ok(rows) = store.select(select).await else { return HashMap::new() };
            for row in &rows {
                let text = |name: &str| row.get(name).as_text().unwrap_or_default().to_owned();
                let (input, output) =
                    (row.get("input_uncached").as_integer(), row.get("output_total").as_integer());
                let stored = Stored { source: text("usage_source"), input, output };
                found.entry(text("request_id")).or_default().push(stored);
            }
            match rows.last().filter(|_| rows.len() == PAGE) {
                Some(last) => after = Some(cursor.cursor(last)),
                None => return found,
            }
        }
    })
}

const PAGE: usize = 2_000;

/// A gateway whose records go to this store.
fn serve(data: &Path, upstream: &Upstream, storage: &Storage) -> Gateway {
    let provider = format!("type: openai, base_url: 'http://127.0.0.1:{}/v1', api_key: sk-up", upstream.port);
    let config = temp_file(&format!("providers:\n  up: {{{provider}}}\nretry: {{max_retries: 0}}\n"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["serve", "--config"]).arg(&config).env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0");
    command.env("RINGWAY_MASTER_KEY", KEY).env("RINGWAY_DATA_DIR", data).env("RINGWAY_STORAGE_TIMEOUT", "2s");
    match &storage.engine {
        Engine::Sqlite { path } => command.env("SQLITE_PATH", path),
        Engine::Postgres { url, .. } => {
            command.env("STORAGE_TYPE", "postgresql").env("POSTGRES_URL", url.reveal())
        }
        Engine::Mongo { url, database } => {
            command.env("STORAGE_TYPE", "mongodb").env("MONGODB_URL", url.reveal());
            command.env("MONGODB_DATABASE", database)
        }
    };
    Gateway::from(command, config)
}

/// A chat that has this name, for the gateway and for the provider.
fn asking(name: &str, body: &str) -> Vec<u8> {
    let body = body.replacen('{', &format!(r#"{{"user":"{name}","#), 1);
    post_with("/v1/chat/completions", &format!("x-request-id: {name}\r\n"), body.as_bytes())
}

fn named(seen: &Seen) -> String {
    let body: serde_json::Value = serde_json::from_slice(&seen.body).expect("the request's body");
    body["user"].as_str().expect("its name").to_owned()
}

/// An answer whose counts tell the request, slow enough to be in the middle of many when the process goes.
fn counted(number: usize, seen: &Seen, stream: &mut TcpStream) -> After {
    let of: u64 = named(seen)[1..].parse().expect("its number");
    let usage = format!("{{\"prompt_tokens\":{of},\"completion_tokens\":{}}}", of + 1);
    let answer = if seen.body.windows(8).any(|part| part == b"\"stream\"") {
        let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n".repeat(8);
        let end = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"
        );
        stream_answer((event + &end).as_bytes(), &[40])
    } else {
        json_answer(200, "", &format!("{{\"choices\":[],\"usage\":{usage}}}"))
    };
    for piece in answer.chunks(answer.len() / 4 + 1) {
        // Only to be in the middle of something.
        thread::sleep(Duration::from_millis(number as u64 % 7));
        if stream.write_all(piece).is_err() {
            return After::Reset;
        }
    }
    After::KeepAlive
}

/// What a client knows of its request.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Answered,
    Cut,
}

/// Asks, whole answers and streams in turn, until the gateway is gone; what the client knows at the end.
fn ask_until_gone(port: u16, numbers: &AtomicUsize, answered: &AtomicUsize) -> Vec<(usize, Fate)> {
    let mut fates = Vec::new();
    while let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
        let mut link = Link::over(stream);
        loop {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let body = if number.is_multiple_of(2) { ASK } else { ASK_STREAM };
            link.send(&asking(&format!("n{number}"), body));
            let answer = link.answer(false);
            let has_end = answer.is_whole || answer.text().contains("[DONE]");
            if answer.status != 200 || !has_end {
                fates.push((number, Fate::Cut));
                break;
            }
            fates.push((number, Fate::Answered));
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    fates
}

/// The rounds of the next test; the whole claim is made with 50.
fn rounds() -> usize {
    std::env::var("CRASH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2)
}

const CLIENTS: usize = 200;

#[test]
fn a_process_that_is_killed_loses_no_record_and_doubles_none() {
    for_every_place(|storage, engine| {
        let (begun, data, upstream) = (Instant::now(), TempFolder::new(), Upstream::start(counted));
        let (numbers, mut fates) = (AtomicUsize::new(1), Vec::new());
        for round in 0..rounds() {
            let mut gateway = serve(&data.0, &upstream, storage);
            let answered = AtomicUsize::new(0);
            thread::scope(|scope| {
                let ask = || ask_until_gone(gateway.port, &numbers, &answered);
                let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
                eventually("answers", || answered.load(Ordering::Relaxed) > CLIENTS + 100 * (round % 5));
                gateway.signal(9);
                clients.into_iter().for_each(|client| fates.extend(client.join().expect("a client")));
            });
            let _ = gateway.child.wait();
        }
        // What the last one left is taken over by the next.
        let mut gateway = serve(&data.0, &upstream, storage);
        gateway.wait_for_line("took over the journal");
        check_fates(storage, &upstream, &fates, engine);
        let took = begun.elapsed().as_secs();
        let line = format!("{engine}: {} rounds, {} requests, {took} s\n", rounds(), fates.len());
        std::io::stderr().write_all(line.as_bytes()).expect("stderr");
    });
}

fn check_fates(storage: &Storage, upstream: &Upstream, fates: &[(usize, Fate)], engine: &str) {
    let asked: HashSet<String> = upstream.requests().iter().map(named).collect();
    let mut rows = HashMap::new();
    long_eventually("a row for everything that a provider was asked", || {
        rows = stored(storage);
        asked.iter().all(|number| rows.contains_key(number))
    });
    let doubled: Vec<_> = rows.iter().filter(|(_, rows)| rows.len() != 1).collect();
    assert!(doubled.is_empty(), "{engine}: {doubled:?}");
    let (mut ends, mut unknown) = (0, 0);
    for (number, fate) in fates {
        let row = rows.get(&format!("n{number}"));
        if *fate == Fate::Answered {
            let row =
                &row.unwrap_or_else(|| panic!("{engine}: request {number} was answered and has no row"))[0];
            let number = *number as i64;
            let want =
                Stored { source: "measured".to_owned(), input: Some(number), output: Some(number + 1) };
            assert_eq!(*row, want, "{engine}: request {number}");
            ends += 1;
        } else if row.is_some_and(|row| row[0].source == "unknown") {
            unknown += 1;
        }
    }
    assert!(ends > CLIENTS * rounds(), "{engine}: {ends} answers");
    assert!(unknown > 0, "{engine}: nothing was in the middle of its answer");
}

/// The store has many rows to take, on a machine that has other things to do.
fn long_eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(200));
    }
    panic!("never: {what}");
}

/// A client that goes on asking, none of whose requests may fail.
struct Asking {
    link: Link,
    count: usize,
}

impl Asking {
    fn ask(&mut self, count: usize, when: &str) {
        for number in self.count..self.count + count {
            let body = if number.is_multiple_of(2) { ASK } else { ASK_STREAM };
            self.link.send(&asking(&format!("n{}", number + 1), body));
            let answer = self.link.answer(false);
            assert!(answer.status == 200 && answer.is_whole, "request {number} {when}: {}", answer.head);
        }
        self.count += count;
    }

    fn check(&self, storage: &Storage, engine: &str) {
        let mut rows = HashMap::new();
        long_eventually("all rows", || {
            rows = stored(storage);
            rows.len() == self.count
        });
        for number in 1..=self.count {
            let counts = (Some(number as i64), Some(number as i64 + 1));
            let found: Vec<_> =
                rows[&format!("n{number}")].iter().map(|row| (row.input, row.output)).collect();
            assert_eq!(found, [counts], "{engine}: request {number}");
        }
    }
}

#[test]
fn a_server_that_is_down_at_the_start_killed_stopped_or_flaps_costs_no_request_and_no_row() {
    for (kind, engine) in [(Kind::Postgres, "postgresql"), (Kind::Mongo, "mongodb")] {
        let Some(mut server) = Server::start(kind) else {
            skip(engine);
            continue;
        };
        let storage = storage_of(&server, &new_name());
        let (data, upstream) = (TempFolder::new(), Upstream::start(counted));
        server.kill();
        let mut gateway = serve(&data.0, &upstream, &storage);
        let mut client = Asking { link: gateway.connect(), count: 0 };
        client.ask(40, "with the server down since the start");
        gateway.wait_for_line("records wait in the journal");
        server.start_again();
        gateway.wait_for_line("records reach the store again");
        client.ask(20, "with the server up");
        server.kill();
        client.ask(40, "with the server killed");
        server.start_again();
        server.signal("STOP");
        client.ask(40, "with the server stopped");
        server.signal("CONT");
        for _ in 0..4 {
            client.ask(5, "with the server flapping");
            server.signal("STOP");
            client.ask(5, "with the server flapping");
            server.signal("CONT");
            client.ask(5, "with the server flapping");
            server.kill();
            client.ask(5, "with the server flapping");
            server.start_again();
        }
        client.check(&storage, engine);
        assert_eq!(gateway.metric("ringway_records_dropped_total"), 0.0, "{engine}");
    }
}

#[test]
fn a_file_that_another_process_holds_costs_no_request_and_no_row() {
    let path = new_file();
    let storage = storage(Engine::Sqlite { path: path.clone() });
    let (data, upstream) = (TempFolder::new(), Upstream::start(counted));
    let mut gateway = serve(&data.0, &upstream, &storage);
    let mut client = Asking { link: gateway.connect(), count: 0 };
    client.ask(20, "with the file free");
    long_eventually("the file is there", || stored(&storage).len() == 20);
    let other = rusqlite::Connection::open(&path).expect("another connection");
    other.busy_timeout(Duration::from_secs(60)).expect("patience");
    for _ in 0..2 {
        other.execute_batch("BEGIN EXCLUSIVE").expect("the lock");
        client.ask(40, "with the file held");
        gateway.wait_for_line("records wait in the journal");
        other.execute_batch("ROLLBACK").expect("the lock is given back");
        client.ask(5, "with the file free again");
    }
    client.check(&storage, "sqlite");
    assert_eq!(gateway.metric("ringway_records_dropped_total"), 0.0);
    drop(gateway);
    remove(&path);
}
