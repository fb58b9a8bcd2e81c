//! Records of usage: every exchange has one in the store, whatever happens to the process or the store meanwhile.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use ringway::config::{Engine, RecordsAs, Storage};
use ringway::offload::store::tables::{AUDIT_LOGS, SCHEMA, USAGE};
use ringway::offload::store::{Filter, Row, Select, Store, StoreError, Upgrade};
use rusqlite::Connection;

use crate::support::*;

/// A copy of usage and the audit log in which every exchange has its rows, to be asked by SQL; none while the store cannot be
/// read.
pub fn unpacked(data: &Path) -> Option<(Connection, TempFolder)> {
    let copy = TempFolder::new();
    let path = copy.0.join("copy.db");
    let copied = async {
        let store = Store::open(&storage(&data.join("ringway.db")), &SCHEMA, Upgrade::Never).await?;
        let to = Store::open(&storage(&path), &SCHEMA, Upgrade::Forward).await?;
        for table in [&USAGE, &AUDIT_LOGS] {
            let rows: Vec<Row> = store.select(Select::new(table, Filter::all(), 1_000_000)).await?;
            to.insert(table, rows).await?;
        }
        Ok::<(), StoreError>(())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(copied).ok()?;
    Some((Connection::open(&path).ok()?, copy))
}

fn storage(path: &Path) -> Storage {
    Storage {
        engine: Engine::Sqlite { path: path.to_owned() },
        records: RecordsAs::Rows,
        call_timeout_ms: 20_000,
        usage_kept_ms: None,
        audit_kept_ms: None,
        changes_kept_ms: None,
    }
}

/// What the store has of one exchange.
#[derive(Debug, PartialEq)]
pub struct Stored {
    source: String,
    status: Option<u16>,
    input: Option<u64>,
    output: Option<u64>,
    model: String,
}

/// The rows of the table `usage` by request id. Each request id stands for one exchange in these tests.
pub fn stored(data: &Path) -> HashMap<String, Vec<Stored>> {
    let Some((store, _copy)) = unpacked(data) else { return HashMap::new() };
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

pub fn start(data: &Path, provider: &str, settings: &str) -> Gateway {
    let settings = format!("providers:\n  up: {{{provider}}}\n{settings}");
    let config = temp_file(&settings);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["serve", "--config"]).arg(&config).env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0");
    command.env("RINGWAY_MASTER_KEY", KEY).env("RINGWAY_DATA_DIR", data);
    Gateway::from(command, config)
}

pub fn provider_at(port: u16) -> String {
    format!("type: openai, base_url: 'http://127.0.0.1:{port}/v1', api_key: sk-up")
}

/// A chat that has this name, for the gateway and for the provider.
pub fn asking(name: &str, body: &str) -> Vec<u8> {
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
    // The provider stated nothing although it was asked to: its events count, and so many bytes were asked.
    let asked = ASK_STREAM.len() + r#""user":"stream","#.len();
    check("stream", "estimated", 200, Some(asked.div_ceil(4) as u64), Some(3));
    check("refused", "unknown", 400, None, None);
    // Three events were seen, and so many bytes were asked.
    let asked = ASK_STREAM.len() + r#""user":"cut","#.len();
    check("cut", "estimated", 200, Some(asked.div_ceil(4) as u64), Some(3));
}

#[test]
fn usage_that_nobody_stated_is_estimated_and_its_cost_says_so() {
    const SAID: &str = "The quick brown fox jumps over the lazy dog.";
    let data = TempFolder::new();
    let upstream = Upstream::start(|_, seen, stream| {
        let message = format!(r#"{{"role":"assistant","content":"{SAID}"}}"#);
        let usage = match named(seen).as_str() {
            "stated" => r#","usage":{"prompt_tokens":3,"completion_tokens":4}"#,
            _ => "",
        };
        let choice = format!(r#"{{"index":0,"message":{message},"finish_reason":"stop"}}"#);
        let body =
            format!(r#"{{"id":"c","object":"chat.completion","model":"m","choices":[{choice}]{usage}}}"#);
        let _ = stream.write_all(&json_answer(200, "", &body));
        After::KeepAlive
    });
    let prices = "prices:\n  overrides:\n    up/m: {input_per_mtok: 1, output_per_mtok: 2}\n";
    let gateway = start(&data.0, &provider_at(upstream.port), prices);
    for id in ["stated", "silent"] {
        assert_eq!(gateway.call(&asking(id, ASK)).status, 200);
    }
    // This one's answer is translated.
    let body = r#"{"model":"up/m","max_tokens":9,"metadata":{"user_id":"other"},"messages":[{"role":"user","content":"hi"}]}"#;
    let other = post_with("/v1/messages", "x-request-id: other\r\n", body.as_bytes());
    assert_eq!(gateway.call(&other).status, 200);
    type Cost = (String, (Option<i64>, Option<i64>), rusqlite::types::Value, Option<String>);
    let costs = || -> Option<HashMap<String, Cost>> {
        let (store, _copy) = unpacked(&data.0)?;
        let sql = "SELECT request_id, usage_source, input_uncached, output_total, total_cost, cost_caveat FROM ringway_usage";
        let mut rows = store.prepare(sql).ok()?;
        let rows = rows.query_map([], |row| {
            let id: String = row.get(0)?;
            let source: String = row.get(1)?;
            let counts: (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
            let cost: rusqlite::types::Value = row.get(4)?;
            let caveat: Option<String> = row.get(5)?;
            Ok((id, (source, counts, cost, caveat)))
        });
        Some(rows.ok()?.flatten().collect())
    };
    eventually("three rows", || costs().is_some_and(|rows| rows.len() == 3));
    let rows = costs().expect("the rows");
    let asked = |id: &str| ASK.len() + format!(r#""user":"{id}","#).len();
    let said = ringway::dialect::estimate::tokens_of(SAID) as i64;
    assert_eq!(
        (&*rows["stated"].0, rows["stated"].1, &rows["stated"].3),
        ("measured", (Some(3), Some(4)), &None)
    );
    // What is translated counts as the provider got it.
    let other = upstream.requests().last().expect("three requests").body.len();
    for (id, bytes) in [("silent", asked("silent")), ("other", other)] {
        let (source, counts, cost, caveat) = &rows[id];
        assert_eq!((&**source, *counts), ("estimated", (Some(bytes.div_ceil(4) as i64), Some(said))), "{id}");
        assert!(!matches!(cost, rusqlite::types::Value::Null), "{id}");
        assert_eq!(caveat.as_deref(), Some("some of the tokens are an estimate"), "{id}");
    }
}

#[test]
fn each_answer_of_a_batch_has_one_record_however_often_its_results_are_fetched() {
    const RESULTS: &str = concat!(
        r#"{"id":"batch_req_1","custom_id":"a","response":{"status_code":200,"body":{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"m","choices":[],"usage":{"prompt_tokens":30,"completion_tokens":40,"total_tokens":70}}},"error":null}"#,
        "\n",
        r#"{"id":"batch_req_2","custom_id":"b","response":{"status_code":400,"body":{"error":{"message":"no"}}},"error":null}"#,
        "\n",
        r#"{"id":"batch_req_3","custom_id":"c","response":{"status_code":200,"body":{"id":"chatcmpl-3","object":"chat.completion","created":1750000001,"model":"other","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11}}},"error":null}"#,
        "\n"
    );
    let data = TempFolder::new();
    let upstream = Upstream::start(|_, _, stream| {
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunks: String = RESULTS
            .as_bytes()
            .chunks(100)
            .map(|c| format!("{:x}\r\n{}\r\n", c.len(), String::from_utf8_lossy(c)))
            .collect();
        let _ = stream.write_all(format!("{head}{chunks}0\r\n\r\n").as_bytes());
        After::KeepAlive
    });
    let prices = "prices:\n  overrides:\n    up/m: {input_per_mtok: 2, output_per_mtok: 4, batch_input_per_mtok: 1, batch_output_per_mtok: 2}\n";
    let gateway = start(&data.0, &provider_at(upstream.port), prices);
    for fetch in ["first", "again"] {
        let request = String::from_utf8(get("/v1/files/file-1~up/content")).expect("a head");
        let request = request.replacen("\r\n", &format!("\r\nx-request-id: {fetch}\r\n"), 1);
        let answer = gateway.call(request.as_bytes());
        assert_eq!((answer.status, answer.text().as_str()), (200, RESULTS));
    }
    type Row = (String, Option<i64>, Option<i64>, Option<String>, rusqlite::types::Value, Option<String>);
    let rows = || -> Option<Vec<Row>> {
        let (store, _copy) = unpacked(&data.0)?;
        let sql = "SELECT model, input_uncached, output_total, service_tier, total_cost, cost_caveat FROM ringway_usage \
                   WHERE input_uncached IS NOT NULL ORDER BY model";
        let mut rows = store.prepare(sql).ok()?;
        let rows = rows.query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        });
        rows.ok()?.collect::<Result<Vec<_>, _>>().ok()
    };
    eventually("the rows of both fetches", || stored(&data.0).contains_key("again"));
    let rows = rows().expect("the rows");
    assert_eq!(rows.len(), 2, "{rows:?}");
    let (model, input, output, tier, cost, caveat) = &rows[0];
    assert_eq!((&**model, *input, *output, tier.as_deref()), ("m", Some(30), Some(40), Some("batch")));
    assert!(!matches!(cost, rusqlite::types::Value::Null) && caveat.is_none(), "{cost:?} {caveat:?}");
    let (model, input, output, tier, cost, caveat) = &rows[1];
    assert_eq!((&**model, *input, *output, tier.as_deref()), ("other", Some(5), Some(6), Some("batch")));
    assert!(matches!(cost, rusqlite::types::Value::Null), "a price is never guessed: {cost:?} {caveat:?}");

    // The workflow of one model leaves its answers out.
    let data = TempFolder::new();
    let workflow = "{name: quiet, provider: up, model: other, features: {usage: false}}";
    let gateway = start(&data.0, &provider_at(upstream.port), &format!("workflows: [{workflow}]\n"));
    assert_eq!(gateway.call(&get("/v1/files/file-1~up/content")).status, 200);
    eventually("the answer of the other model", || {
        stored(&data.0).values().flatten().any(|row| row.model == "m")
    });
    assert!(!stored(&data.0).values().flatten().any(|row| row.model == "other"));
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

/// A request with a long record that has little in common with those of other numbers: it fills a journal sooner, and where one
/// finds no room no other does.
pub fn long(number: usize) -> Vec<u8> {
    let agent = "a".repeat(256);
    let lines = format!("x-ringway-user-path: /{number:0200}\r\nuser-agent: {agent}\r\n");
    post_with("/v1/chat/completions", &lines, ASK.as_bytes())
}

#[test]
fn what_was_stored_and_cannot_be_let_go_is_not_stored_again() {
    const COUNT: usize = 8_000;
    let data = TempFolder::new();
    let upstream = Upstream::start(|_, seen, stream| {
        if named(seen) == "open" {
            return After::Hold;
        }
        let _ = stream.write_all(&json_answer(200, "", CHAT));
        After::KeepAlive
    });
    let mut gateway = start(&data.0, &provider_at(upstream.port), "server: {shards: 1}\n");
    let mut open = gateway.connect();
    open.send(&asking("open", ASK));
    eventually("one that stays open", || upstream.requests().len() == 1);
    // The beginning of that one has to outlive its segment, and cannot: this name is taken.
    let folders = std::fs::read_dir(data.0.join("journal")).expect("the journal").flatten();
    let folder = folders.map(|entry| entry.path()).find(|path| path.is_dir()).expect("its folder");
    std::fs::create_dir(folder.join("carried.new")).expect("a folder in the way");
    let (mut link, long) = (gateway.connect(), "x".repeat(200));
    for number in 0..COUNT {
        let body = ASK.replacen('{', &format!(r#"{{"user":"n{number}","#), 1);
        let lines =
            format!("x-request-id: n{number}\r\nuser-agent: {long}\r\nx-ringway-user-path: /{long}\r\n");
        link.send(&post_with("/v1/chat/completions", &lines, body.as_bytes()));
        assert_eq!(link.answer(false).status, 200, "{number}");
    }
    gateway.wait_for_line("records wait in the journal: the journal");
    std::fs::remove_dir(folder.join("carried.new")).expect("it goes");
    gateway.wait_for_line("records reach the store again");
    eventually("all rows", || stored(&data.0).len() == COUNT);
    let doubled: Vec<String> =
        stored(&data.0).into_iter().filter(|(_, rows)| rows.len() > 1).map(|(id, _)| id).collect();
    assert_eq!(doubled, [""; 0]);
}

#[test]
fn a_journal_of_a_later_version_is_left_for_one() {
    let data = TempFolder::new();
    let segment = data.0.join("journal/1-1-0/0-0000000000000001.seg");
    std::fs::create_dir_all(segment.parent().expect("a folder")).expect("it is made");
    let bytes = [&b"RWJ\xff"[..], &[7; 4096]].concat();
    std::fs::write(&segment, &bytes).expect("it is written");
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let mut gateway = start(&data.0, &provider_at(upstream.port), "");
    gateway.wait_for_line("0-0000000000000001.seg is no segment that this version can read");
    assert_eq!(gateway.call(&asking("first", ASK)).status, 200);
    eventually("everything else goes on", || stored(&data.0).len() == 1);
    assert!(std::fs::read(&segment).is_ok_and(|left| left == bytes));
}

/// A journal of three files on a gateway of one shard whose store is away, asked until it is full.
fn fill(settings: &str) -> (Gateway, TempFolder, TempFolder, usize, u16) {
    let (data, elsewhere) = (TempFolder::new(), TempFolder::new());
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    std::fs::write(elsewhere.0.join("later"), "").unwrap();
    let path = elsewhere.0.join("later").join("ringway.db");
    let settings = format!(
        "server: {{shards: 1}}\nstorage: {{sqlite: {{path: '{}'}}}}\njournal: {{max_size: 3M, {settings}}}",
        path.display()
    );
    let gateway = start(&data.0, &provider_at(upstream.port), &settings);
    let mut link = gateway.connect();
    let (mut served, mut last) = (0, 0);
    for _ in 0..30_000 {
        link.send(&long(served));
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
    for number in 0..20 {
        assert_eq!(gateway.call(&long(served + number)).status, 200);
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
