//! The live stream of the admin API: what is stored is told at once, to those who may see it, and for no longer than they
//! keep up or the gateway runs.

use serde_json::{Value as Json, json};

use crate::admin::{admin, call, chat, make_key, start, upstream};
use crate::support::*;

fn watch(gateway: &Gateway, key: &str, query: &str) -> Link {
    let mut link = gateway.connect();
    let head =
        format!("GET /admin/live/logs{query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n");
    link.send(head.as_bytes());
    let head = link.read_until("\n\n");
    assert!(head.contains("200 OK") && head.contains("text/event-stream"), "{head}");
    link
}

/// The documents of events that stand in a part of a stream.
fn documents(text: &str) -> Vec<Json> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|line| serde_json::from_str(line).expect("a document")).collect()
}

/// However they are kept.
const RECORDS: [&str; 2] = ["storage: {records: packs}\n", "storage: {records: rows}\n"];

#[test]
fn what_is_stored_is_told_to_those_who_may_see_it_and_again_to_those_who_come_back() {
    RECORDS.iter().for_each(|records| tell_those_who_may_see(records));
}

fn tell_those_who_may_see(records: &str) {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, records);
    let (_, key) = make_key(&gateway, json!({"name": "a", "user_path": "/a", "dashboard_access": "read"}));
    let (_, other) = make_key(&gateway, json!({"name": "b", "user_path": "/b", "dashboard_access": "read"}));
    let (mut all, mut own) = (watch(&gateway, KEY, ""), watch(&gateway, &key, "?types=usage"));
    let mut others = watch(&gateway, &other, "");
    assert_eq!(chat(&gateway, &key).status, 200);
    let told = documents(&(all.read_until("event: usage.flushed") + &all.read_until("\n\n")));
    let kinds: Vec<&str> = told.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, ["audit.flushed", "usage.flushed"]);
    assert_eq!(told[1]["data"]["input_uncached"], 3, "{told:?}");
    assert_eq!(chat(&gateway, &other).status, 200);
    let seen = own.read_until("event: usage.flushed") + &own.read_until("\n\n");
    assert!(!seen.contains("audit.flushed") && seen.contains("\"user_path\":\"/a\""), "{seen}");
    let seen = others.read_until("\"user_path\":\"/b\"");
    assert!(!seen.contains("\"user_path\":\"/a\""), "{seen}");
    // Who comes back behind the first event gets the others.
    let mut back = watch(&gateway, KEY, "?cursor=1&types=audit,usage");
    let missed = back.read_until("\"user_path\":\"/b\"");
    assert!(missed.contains("id: 2\n") && !missed.contains("id: 1\n"), "{missed}");
    let reset = watch(&gateway, KEY, "?cursor=99999");
    drop(reset);
    let (status, refused) = call(&gateway, KEY, "GET", "/live/logs?types=everything", None);
    assert_eq!(status, 400, "{refused}");
    assert_eq!(call(&gateway, "wrong", "GET", "/live/logs", None).0, 401);
}

#[test]
fn a_burst_is_told_whole_to_who_reads_it() {
    RECORDS.iter().for_each(|records| tell_a_burst(records));
}

fn tell_a_burst(records: &str) {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, &format!("server: {{shards: 2}}\n{records}"));
    let mut watching = watch(&gateway, KEY, "?types=usage");
    const COUNT: usize = 300;
    let mut link = gateway.connect();
    for _ in 0..COUNT {
        assert_eq!(crate::admin::chat_over(&mut link, KEY, ASK).status, 200);
    }
    let mut seen = 0;
    while seen < COUNT {
        let piece = watching.read_until("\n\n");
        assert!(!piece.contains("event: closed"), "after {seen}: {piece}");
        seen += usize::from(piece.contains("event: usage.flushed"));
    }
}

#[test]
fn a_stop_lets_those_who_watch_go_and_tells_them() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let mut gateway = start(&data.0, &upstream, "");
    let mut watching = watch(&gateway, KEY, "");
    gateway.signal(15);
    let end = watching.read_until("event: closed");
    assert!(!end.contains("slow_reader"), "{end}");
    let status = gateway.child.wait().expect("the process ends");
    assert!(status.success(), "{status}");
}

#[test]
fn only_so_many_watch_and_others_still_get_their_work_done() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "");
    let watching: Vec<Link> = (0..16).map(|_| watch(&gateway, KEY, "")).collect();
    let (status, refused) = call(&gateway, KEY, "GET", "/live/logs", None);
    assert_eq!((status, crate::admin::code(&refused)), (503, "live_unavailable"));
    admin(&gateway, "GET", "/budgets", Json::Null);
    drop(watching);
    eventually("one that left makes room", || {
        let mut link = gateway.connect();
        link.send(
            format!("GET /admin/live/logs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n")
                .as_bytes(),
        );
        link.read_until("\r\n").contains("200")
    });
}
