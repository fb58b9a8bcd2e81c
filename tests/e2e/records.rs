//! Records of usage: every exchange has one in the store, whatever happens to the process or the store meanwhile.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use rusqlite::{Connection, OpenFlags};

use crate::support::*;

/// What the store has of one exchange.
#[derive(Debug, PartialEq)]
struct Stored {
    source: String,
    status: Option<u16>,
    input: Option<u64>,
    output: Option<u64>,
    model: String,
}

/// The rows of the table `usage` by request id. Each request id stands for one exchange in these tests.
fn stored(data: &Path) -> HashMap<String, Vec<Stored>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(store) = Connection::open_with_flags(data.join("ringway.db"), flags) else {
        return HashMap::new();
    };
    let sql = "SELECT request_id, usage_source, status_code, input_uncached, output_total, model FROM ringway_usage";
    let Ok(mut rows) = store.prepare(sql) else { return HashMap::new() };
    let rows = rows.query_map([], |row| {
        let id: String = row.get(0)?;
        let (status, input, output): (Option<i64>, Option<i64>, Option<i64>) =
            (row.get(2)?, row.get(3)?, row.get(4)?);
        let count = |count: Option<i64>| count.map(|count| count as u64);
        let (status, input, output) = (status.map(|status| status as u16), count(input), count(output));
        let model: Option<String> = row.get(5)?;
        Ok((id, Stored { source: row.get(1)?, status, input, output, model: model.unwrap_or_default() }))
    });
    let mut found: HashMap<String, Vec<Stored>> = HashMap::new();
    for (id, row) in rows.expect("a table of usage").flatten() {
        found.entry(id).or_default().push(row);
    }
    found
}

fn start(data: &Path, provider: &str, settings: &str) -> Gateway {
    let settings = format!("providers:\n  up: {{{provider}}}\n{settings}");
    let config = temp_file(&settings);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["serve", "--config"]).arg(&config).env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0");
    command.env("RINGWAY_MASTER_KEY", KEY).env("RINGWAY_DATA_DIR", data);
    Gateway::from(command, config)
}

fn provider_at(port: u16) -> String {
    format!("type: openai, base_url: 'http://127.0.0.1:{port}/v1', api_key: sk-up")
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

#[test]
fn an_answer_a_stream_a_refusal_of_the_provider_and_a_cut_each_have_one_row() {
    let data = TempFolder::new();
    let upstream = Upstream::start(|_, seen, stream| {
        let id = named(seen);
        let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
        let answer = match id.as_str() {
            "json" => json_answer(200, "", CHAT),
            "refused" => json_answer(400, "", r#"{"error":{"message":"no"}}"#),
            "cut" => stream_answer(event.repeat(3).as_bytes(), &[1000]),
            _ => stream_answer(STREAM.as_bytes(), &[9]),
        };
        // Without its end, and then a close.
        let end = if id == "cut" { answer.len() - 5 } else { answer.len() };
        let _ = stream.write_all(&answer[..end]);
        if id == "cut" { After::Close } else { After::KeepAlive }
    });
    let gateway = start(&data.0, &provider_at(upstream.port), "retry: {max_retries: 0}");
    for (id, body) in [("json", ASK), ("stream", ASK_STREAM), ("refused", ASK), ("cut", ASK_STREAM)] {
        let answer = gateway.call(&asking(id, body));
        assert_eq!(answer.is_whole, id != "cut", "{id}: {}", answer.text());
    }
    eventually("four rows", || stored(&data.0).len() == 4);
    let rows = stored(&data.0);
    let check = |id: &str, source: &str, status: u16, input: Option<u64>, output: Option<u64>| {
        let want =
            Stored { source: source.to_owned(), status: Some(status), input, output, model: "m".to_owned() };
        assert_eq!(rows[id], [want], "{id}");
    };
    check("json", "measured", 200, Some(3), Some(4));
    // The provider stated nothing although it was asked to.
    check("stream", "unknown", 200, None, None);
    check("refused", "unknown", 400, None, None);
    // Three events were seen, and so many bytes were asked.
    let asked = ASK_STREAM.len() + r#""user":"cut","#.len();
    check("cut", "estimated", 200, Some(asked.div_ceil(4) as u64), Some(3));
}

#[test]
fn while_the_store_is_away_nothing_waits_for_it_and_everything_arrives_afterwards_once() {
    let (data, elsewhere) = (TempFolder::new(), TempFolder::new());
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    // A file stands where the folder of the database has to be: SQLite cannot be opened.
    let folder = elsewhere.0.join("later");
    std::fs::write(&folder, "").unwrap();
    let storage = format!("storage: {{sqlite: {{path: '{}'}}}}", folder.join("ringway.db").display());
    let mut gateway = start(&data.0, &provider_at(upstream.port), &storage);
    let mut link = gateway.connect();
    for number in 0..300 {
        link.send(&asking(&format!("n{number}"), ASK));
        assert_eq!(link.answer(false).status, 200, "request {number}");
    }
    gateway.wait_for_line("records wait in the journal");
    eventually("the metric", || gateway.metric("ringway_store_up") == 0.0);
    let health = |gateway: &Gateway| gateway.call(&get("/health")).text();
    assert_eq!(health(&gateway), r#"{"status":"degraded","reason":"records wait for the store"}"#);
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    gateway.wait_for_line("records reach the store again");
    eventually("all rows", || stored(&folder).len() == 300);
    let rows = stored(&folder);
    assert!(rows.values().all(|rows| rows.len() == 1), "{rows:?}");
    eventually("the metric", || gateway.metric("ringway_store_up") == 1.0);
    assert_eq!(health(&gateway), r#"{"status":"ok"}"#);
    assert_eq!(gateway.metric("ringway_records_dropped_total"), 0.0);
}

/// A request with a long record: it fills a journal sooner, and where one finds no room no other does.
fn long() -> Vec<u8> {
    let (path, agent) = ("p".repeat(200), "a".repeat(256));
    let lines = format!("x-ringway-user-path: /{path}\r\nuser-agent: {agent}\r\n");
    post_with("/v1/chat/completions", &lines, ASK.as_bytes())
}

/// A journal of three files on a gateway of one shard whose store is away, asked until it is full.
fn fill(settings: &str) -> (Gateway, TempFolder, TempFolder, usize, u16) {
    let (data, elsewhere) = (TempFolder::new(), TempFolder::new());
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    std::fs::write(elsewhere.0.join("later"), "").unwrap();
    let path = elsewhere.0.join("later").join("ringway.db");
    let settings = format!(
        "server: {{shards: 1}}\nstorage: {{sqlite: {{path: '{}'}}}}\njournal: {{max_size: 12M, {settings}}}",
        path.display()
    );
    let gateway = start(&data.0, &provider_at(upstream.port), &settings);
    let mut link = gateway.connect();
    let (mut served, mut last) = (0, 0);
    for _ in 0..30_000 {
        link.send(&long());
        last = link.answer(false).status;
        if last != 200 || (served % 500 == 0 && gateway.metric("ringway_records_dropped_total") > 0.0) {
            break;
        }
        served += 1;
    }
    (gateway, data, elsewhere, served, last)
}

#[test]
fn a_full_journal_that_fails_closed_refuses_and_recovers_without_a_restart() {
    let (mut gateway, _data, elsewhere, served, last) = fill("when_full: fail_closed");
    assert_eq!(last, 503, "after {served} answers");
    assert_eq!(gateway.metric("ringway_records_dropped_total"), 0.0);
    let folder = elsewhere.0.join("later");
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    gateway.wait_for_line("records reach the store again");
    eventually("room", || gateway.chat(ASK).status == 200);
    eventually("all rows", || stored(&folder).values().map(Vec::len).sum::<usize>() > served);
}

#[test]
fn a_full_journal_that_fails_open_serves_and_counts_what_it_has_no_record_of() {
    let (mut gateway, _data, elsewhere, served, last) = fill("when_full: fail_open");
    assert_eq!(last, 200);
    let dropped = |gateway: &Gateway| gateway.metric("ringway_records_dropped_total");
    let before = dropped(&gateway);
    for _ in 0..20 {
        assert_eq!(gateway.call(&long()).status, 200);
    }
    assert_eq!(dropped(&gateway), before + 20.0, "each is counted");
    let folder = elsewhere.0.join("later");
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let all = (served + 1 + 20) as f64;
    gateway.wait_for_line("records reach the store again");
    eventually("what has a record", || {
        stored(&folder).values().map(Vec::len).sum::<usize>() as f64 + dropped(&gateway) >= all
    });
    let rows = stored(&folder).values().map(Vec::len).sum::<usize>() as f64;
    assert_eq!(rows + dropped(&gateway), all, "rows and losses add up");
}
