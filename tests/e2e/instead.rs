//! A budget that names another model: when it is used up that one is asked, with every other byte as it was, and whoever
//! looks sees it.

use std::io::Write;

use serde_json::{Value as Json, json};

use crate::admin::{admin, make_key, rows};
use crate::support::*;

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":4}}"#;

/// A provider of each of two dialects on one port, and prices of a dollar for a million tokens, or a tenth of it.
fn start(data: &TempFolder, settings: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start(|_, seen, stream| {
        let body = if seen.head.starts_with("POST /v1/messages") { MESSAGE } else { CHAT };
        let _ = stream.write_all(&json_answer(200, "", body));
        After::KeepAlive
    });
    let port = upstream.port;
    let settings = format!(
        "providers:\n  up: {{type: openai, base_url: 'http://127.0.0.1:{port}/v1', api_key: k}}\n  \
         cl: {{type: anthropic, base_url: 'http://127.0.0.1:{port}/v1', api_key: k, models: [c]}}\n\
         prices:\n  overrides: {{m: {{input_per_mtok: 1, output_per_mtok: 1}}, c: {{input_per_mtok: 1, output_per_mtok: 1}}, \
         cheap: {{input_per_mtok: 0.1, output_per_mtok: 0.1}}}}\n{settings}"
    );
    let folder = data.0.display().to_string();
    (upstream, Gateway::start_with(&settings, &[("RINGWAY_DATA_DIR", &folder)]))
}

fn ask(gateway: &Gateway, key: &str, path: &str, lines: &str, body: &str) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n{lines}\r\n"
    );
    gateway.call((head + body).as_bytes())
}

fn chat(gateway: &Gateway, key: &str, body: &str) -> Answer {
    ask(gateway, key, "/v1/chat/completions", &format!("content-length: {}\r\n", body.len()), body)
}

#[test]
fn a_budget_that_is_used_up_turns_to_the_model_that_it_names() {
    let data = TempFolder::new();
    let settings = "server: {shards: 1}\nbudgets:\n  user_paths:\n    - path: /team\n      limits: [{period: monthly, \
                    amount: 0.000090, instead: up/cheap}]\n";
    let (upstream, gateway) = start(&data, settings);
    let (_, key) = make_key(&gateway, json!({"name": "k", "user_path": "/team/app"}));
    let (_, narrow) =
        make_key(&gateway, json!({"name": "n", "user_path": "/team/app", "allowed_models": ["up/m"]}));
    let body = r#"{ "unknown":1e0,"model":"up/m", "max_tokens":5,"messages":[]}"#;
    let mut asked = Vec::new();
    for _ in 0..20 {
        let answer = chat(&gateway, &key, body);
        assert_eq!((answer.status, answer.text().as_str()), (200, CHAT));
        let told = answer.header("x-ringway-instead");
        asked.push((String::from_utf8(upstream.requests().last().unwrap().body.clone()).unwrap(), told));
    }
    let turned = asked.iter().position(|(_, told)| told.is_some()).expect("the budget is used up");
    assert!((1..19).contains(&turned), "{turned}");
    for (at, (sent, told)) in asked.iter().enumerate() {
        let (model, header) = if at < turned { ("m", None) } else { ("cheap", Some("up/cheap")) };
        assert_eq!(sent, &body.replace("up/m", model), "{at}");
        assert_eq!(told.as_deref(), header, "{at}");
    }
    // What it costs is counted, to the last digit.
    let spent = 7 * turned as u64 * 10 + 7 * (20 - turned as u64);
    let budgets = admin(&gateway, "GET", "/budgets", Json::Null);
    assert_eq!(budgets["data"][0]["spent"], format!("{:.7}", spent as f64 / 1e7).trim_end_matches('0'));
    let sql = "SELECT requested_model, model, provider_name FROM ringway_usage WHERE model = 'cheap'";
    eventually("all are recorded", || rows(&data.0, sql).len() == 20 - turned);
    let want = ["Text(\"up/m\")", "Text(\"cheap\")", "Text(\"up\")"];
    assert_eq!(rows(&data.0, sql)[0], want);
    // Who asks for it by name goes on; who may not use it is refused as without it; and so is whom a limit refuses too.
    let by_name = chat(&gateway, &key, &body.replace("up/m", "up/cheap").replace("5", "5000"));
    assert_eq!(by_name.status, 200);
    let denied = chat(&gateway, &narrow, body);
    assert_eq!((denied.status, denied.error_code().as_str()), (429, "budget_exceeded"));
    let limit = json!({"user_path": "/team", "period_seconds": 1_000_000, "max_requests": 1});
    admin(&gateway, "POST", "/rate-limits", limit);
    let _ = chat(&gateway, &key, body);
    assert_eq!(chat(&gateway, &key, body).status, 429);
}

#[test]
fn the_other_model_may_speak_another_dialect() {
    let data = TempFolder::new();
    // No request has room in these.
    let settings = "budgets:\n  models:\n    - {model: m, limits: [{period: monthly, amount: 0.000001, instead: cl/c}]}\n    \
                    - {model: c, limits: [{period: monthly, amount: 0.000001, instead: cheap}]}\n\
                    aliases: {cheap: up/cheap, plain: org/n}\n";
    let (upstream, gateway) = start(&data, settings);
    let last = || upstream.requests().last().unwrap().clone();
    // From the caller's dialect into another one.
    let body = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;
    let answer = chat(&gateway, KEY, body);
    assert_eq!((answer.status, answer.header("x-ringway-instead").as_deref()), (200, Some("cl/c")));
    assert!(last().head.starts_with("POST /v1/messages "), "{}", last().head);
    let sent: Json = serde_json::from_slice(&last().body).unwrap();
    assert_eq!((&sent["model"], &sent["messages"][0]["role"]), (&json!("c"), &json!("user")));
    // And back out of one: the very bytes of the request, however they came.
    let body =
        r#"{"model":"cl/c" ,"temperature":1.0e0,"max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = format!("content-length: {}\r\n", body.len());
    for (lines, framed) in [(length.as_str(), body), ("transfer-encoding: chunked\r\n", &chunked)] {
        let answer = ask(&gateway, KEY, "/v1/chat/completions", lines, framed);
        assert_eq!((answer.status, answer.header("x-ringway-instead").as_deref()), (200, Some("up/cheap")));
        assert!(last().head.starts_with("POST /v1/chat/completions "), "{}", last().head);
        assert_eq!(String::from_utf8(last().body).unwrap(), body.replace("cl/c", "cheap"));
    }
    // An alias whose model stands alone reaches its provider by that name.
    let body = r#"{"model":"plain","max_tokens":5,"messages":[]}"#;
    let asks = || chat(&gateway, KEY, body).status == 200;
    eventually("the list of models is known", asks);
    assert_eq!(String::from_utf8(last().body).unwrap(), body.replace("plain", "org/n"));
}

#[test]
fn limits_of_the_model_that_was_refused_are_not_told_of_the_other() {
    let data = TempFolder::new();
    // No request has room in this budget; the other model has neither budgets nor limits.
    let settings = "budgets:\n  models:\n    - {model: m, limits: [{period: monthly, amount: 0.000001, instead: up/cheap}]}\n\
                    rate_limits:\n  models:\n    - {model: m, limits: [{period: hour, max_requests: 1000}]}\n";
    let (_upstream, gateway) = start(&data, settings);
    let answer = chat(&gateway, KEY, r#"{"model":"up/m","max_tokens":5,"messages":[]}"#);
    assert_eq!((answer.status, answer.header("x-ringway-instead").as_deref()), (200, Some("up/cheap")));
    assert!(!answer.head.contains("x-ratelimit-"), "{}", answer.head);
}
