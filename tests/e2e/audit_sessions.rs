//! Sessions that clients name, the conversation around one exchange, tokens of late, and costs that are counted anew.

use serde_json::{Value as Json, json};

use crate::admin::{admin, call, chat, code, make_key, rows, start, upstream};
use crate::support::*;

fn ask(gateway: &Gateway, key: &str, lines: &str) {
    let request = post_with("/v1/chat/completions", lines, ASK.as_bytes());
    let request = String::from_utf8(request).unwrap().replace(KEY, key);
    assert_eq!(gateway.call(request.as_bytes()).status, 200);
}

/// Waits until so many exchanges are stored.
fn await_rows(gateway: &Gateway, count: u64) {
    eventually("all are stored", || call(gateway, KEY, "GET", "/usage/summary", None).1["requests"] == count);
}

#[test]
fn exchanges_of_one_session_are_one_conversation_of_one_caller() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "audit: {bodies: true}\n");
    let key = |name: &str| {
        make_key(&gateway, json!({"name": name, "user_path": format!("/{name}"), "dashboard_access": "read"}))
            .1
    };
    let (one, two) = (key("one"), key("two"));
    for (key, lines) in [
        (&one, "X-Session-Id: s1\r\n"),
        (&one, "x-claude-code-session-id: s2\r\n"),
        (&one, "Session_id: s1\r\n"),
        (&two, "x-session-id: s1\r\n"),
        (&one, ""),
    ] {
        ask(&gateway, key, lines);
    }
    await_rows(&gateway, 5);
    let (status, sessions) = call(&gateway, &one, "GET", "/audit/sessions", None);
    assert_eq!(status, 200, "{sessions}");
    let shown: Vec<(&Json, &Json)> = sessions["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["session_id"], &row["requests"]))
        .collect();
    // Two of one moment may come in either order.
    let last = |session: &str| {
        let is_it = |row: &&Json| row["session_id"] == session;
        sessions["data"].as_array().unwrap().iter().find(is_it).expect("the session").clone()
    };
    assert_eq!(shown.len(), 2, "{sessions}");
    assert_eq!((&last("s1")["requests"], &last("s2")["requests"]), (&json!(2), &json!(1)), "{sessions}");
    let times: Vec<Option<&str>> =
        sessions["data"].as_array().unwrap().iter().map(|row| row["last_at"].as_str()).collect();
    assert!(times.is_sorted_by(|one, next| one >= next), "the newest first: {sessions}");
    let id = last("s1")["last_id"].as_str().unwrap().to_owned();
    let (_, found) = call(&gateway, &one, "GET", &format!("/audit/conversation?log_id={id}"), None);
    let entries = found["entries"].as_array().unwrap();
    assert_eq!((entries.len(), &found["anchor_id"], &found["truncated"]), (2, &json!(id), &json!(false)));
    assert!(entries[0]["at"].as_str() <= entries[1]["at"].as_str(), "{found}");
    let of_last = entries.iter().find(|entry| entry["id"] == *id).expect("the exchange that was asked for");
    assert_eq!(of_last["at"], entries[1]["at"], "{found}");
    assert_eq!(entries[0]["data"]["request_body"]["model"], "up/m", "{found}");
    let (_, one_of_two) =
        call(&gateway, KEY, "GET", &format!("/audit/conversation?log_id={id}&limit=1"), None);
    assert_eq!(
        (one_of_two["entries"].as_array().unwrap().len(), &one_of_two["truncated"]),
        (1, &json!(true))
    );
    let (status, denied) = call(&gateway, &two, "GET", &format!("/audit/conversation?log_id={id}"), None);
    assert_eq!((status, code(&denied)), (403, "user_path_out_of_scope"));
    let by_session = admin(&gateway, "GET", "/usage/sessions", Json::Null);
    assert!(
        by_session["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["session_id"] == "s1" && row["requests"] == 3)
    );
}

#[test]
fn tokens_of_late_are_counted_by_spans() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "");
    chat(&gateway, KEY);
    chat(&gateway, KEY);
    await_rows(&gateway, 2);
    for (granularity, seconds) in [("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400)] {
        let path = format!("/usage/throughput?granularity={granularity}");
        let told = admin(&gateway, "GET", &path, Json::Null);
        assert_eq!(told["bucket_seconds"], seconds, "{told}");
        let buckets = told["buckets"].as_array().unwrap();
        let sum = |name: &str| buckets.iter().filter_map(|bucket| bucket[name].as_i64()).sum::<i64>();
        assert_eq!((sum("input_tokens"), sum("output_tokens")), (6, 8), "{told}");
    }
    for path in ["/usage/throughput", "/usage/throughput?granularity=weekly"] {
        assert_eq!(call(&gateway, KEY, "GET", path, None).0, 400, "{path}");
    }
}

#[test]
fn costs_are_counted_anew_with_the_prices_of_now_and_it_is_written_down_by_whom() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "");
    chat(&gateway, KEY);
    await_rows(&gateway, 1);
    let cost = || {
        let found = rows(&data.0, "SELECT total_cost FROM ringway_usage");
        found.first().map(|row| row[0].clone())
    };
    // Three tokens in and four out, of a dollar for a million.
    assert_eq!(cost().as_deref(), Some("Integer(7000000)"));
    let (status, refused) = call(&gateway, KEY, "POST", "/usage/recalculate-pricing", Some(json!({})));
    assert_eq!((status, refused["error"]["param"].as_str()), (400, Some("confirmation")));
    let confirmed = json!({"confirmation": "recalculate"});
    let again = admin(&gateway, "POST", "/usage/recalculate-pricing", confirmed.clone());
    assert_eq!((&again["matched"], &again["recalculated"]), (&json!(1), &json!(0)), "{again}");
    let price = json!({"selector": "up/m", "pricing": {"input_per_mtok": "2", "output_per_mtok": "3"}});
    admin(&gateway, "PUT", "/model-pricing-overrides", price);
    let told = admin(&gateway, "POST", "/usage/recalculate-pricing", confirmed);
    let counts =
        ["matched", "recalculated", "with_pricing", "without_pricing"].map(|name| told[name].clone());
    assert_eq!((counts, &told["status"]), ([json!(1), json!(1), json!(1), json!(0)], &json!("ok")));
    assert_eq!(cost().as_deref(), Some("Integer(18000000)"));
    let changes = admin(&gateway, "GET", "/changes?action=recalculate", Json::Null);
    assert_eq!(changes["data"][0]["actor_kind"], "master_key", "{changes}");
    let (_, lower) = make_key(&gateway, json!({"name": "l", "user_path": "/l", "dashboard_access": "write"}));
    let (status, denied) = call(
        &gateway,
        &lower,
        "POST",
        "/usage/recalculate-pricing",
        Some(json!({"confirmation": "recalculate"})),
    );
    assert_eq!((status, code(&denied)), (403, "user_path_out_of_scope"));
}
