//! Budgets and rate limits through the real binary: exact over all shards and many clients at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::*;

/// Answers that the provider bills for itself, in dollars, so that the sums of these tests are whole.
const BILLED: &str = r#"{"id":"c","object":"chat.completion","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}"#;

/// What so many clients got who asked so often, by status.
fn ask(gateway: &Gateway, clients: usize, each: usize, body: &str) -> (usize, usize, Option<Answer>) {
    let (good, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let last = std::sync::Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut link = gateway.connect();
                for _ in 0..each {
                    link.send(&post("/v1/chat/completions", body));
                    let answer = link.answer(false);
                    match answer.status {
                        200 => good.fetch_add(1, Ordering::Relaxed),
                        429 => {
                            let count = refused.fetch_add(1, Ordering::Relaxed);
                            *last.lock().unwrap() = Some(answer);
                            count
                        }
                        _ => panic!("{} {}", answer.head, answer.text()),
                    };
                }
            });
        }
    });
    (good.into_inner(), refused.into_inner(), last.into_inner().unwrap())
}

/// What all models cost so far. A model has its own name there only once the provider's list is known.
fn costs(gateway: &Gateway) -> f64 {
    let page = gateway.call(&get("/metrics")).text();
    let lines = page.lines().filter(|line| line.starts_with("ringway_cost_dollars_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn a_caller_with_limits_is_told_its_own_and_not_the_providers() {
    let provider = "x-ratelimit-limit-requests: 9999\r\nx-ratelimit-remaining-tokens: 7\r\nx-other: 1\r\n";
    let upstream = Upstream::answering(json_answer(200, provider, BILLED), After::KeepAlive);
    let settings = "rate_limits:\n  user_paths:\n    - {path: /, limits: [{period: day, max_requests: 2}]}\n";
    let gateway = Gateway::start(upstream.port, settings);
    for left in ["1", "0"] {
        let answer = gateway.chat(ASK);
        assert_eq!(answer.header("x-ratelimit-limit-requests").as_deref(), Some("2"), "{}", answer.head);
        assert_eq!(answer.header("x-ratelimit-remaining-requests").as_deref(), Some(left));
        assert!(
            answer.header("x-ratelimit-remaining-tokens").is_none() && answer.header("x-other").is_some()
        );
    }
    let refused = gateway.chat(ASK);
    assert_eq!((refused.status, refused.error_code().as_str()), (429, "rate_limit_exceeded"));
    assert_eq!(refused.header("x-ratelimit-remaining-requests").as_deref(), Some("0"));
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn a_limit_of_requests_is_exact_over_all_shards() {
    let upstream = Upstream::answering(json_answer(200, "", BILLED), After::KeepAlive);
    let settings = "server: {shards: 2}\nrate_limits:\n  user_paths:\n    - {path: /, limits: [{period: day, max_requests: 500}]}\n";
    let gateway = Gateway::start(upstream.port, settings);
    let (good, refused, last) = ask(&gateway, 64, 32, ASK);
    assert_eq!((good, refused), (500, 64 * 32 - 500));
    assert_eq!(upstream.requests().len(), 500, "nothing that was refused reached the provider");
    let last = last.unwrap();
    assert_eq!(last.error_code(), "rate_limit_exceeded");
    let wait: u64 = last.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=86_400).contains(&wait), "{wait}");
}

#[test]
fn a_budget_for_ten_requests_lets_no_eleventh_through() {
    let upstream = Upstream::answering(json_answer(200, "", BILLED), After::KeepAlive);
    // A token in costs 1 dollar and a token out 2: an answer costs 20 dollars. Its reservation is higher, by the bytes of
    // the request, so that fewer than ten may be under way at once; one after the other all ten fit.
    let settings = "server: {shards: 2}\nretry: {max_retries: 0}\nprices:\n  overrides:\n    up/m: {input_per_mtok: 1000000, output_per_mtok: 2000000}\n\
                    budgets:\n  user_paths:\n    - {path: /, limits: [{period: monthly, amount: 300}]}\n";
    let gateway = Gateway::start(upstream.port, settings);
    let body = r#"{"model":"up/m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;
    let (good, refused, _) = ask(&gateway, 500, 2, body);
    assert_eq!(good + refused, 1000);
    // The storm may have been refused for what was only reserved; what is left of the budget is there for who asks alone.
    let mut good = good;
    let last = loop {
        let answer = gateway.chat(body);
        match answer.status {
            200 => good += 1,
            _ => break answer,
        }
    };
    // What a request reserves is its bytes and its limit: when less than that is left, nothing more is let in.
    let reserved = body.len() + 2 * 5;
    let spent = good * 20;
    assert!(spent <= 300, "{spent} of 300 dollars");
    assert!(
        spent + reserved > 300,
        "{spent} dollars were spent, and {reserved} are reserved for each request"
    );
    assert_eq!((last.status, last.error_code().as_str()), (429, "budget_exceeded"));
    assert!(last.header("retry-after").is_some());
    eventually("the metric", || costs(&gateway) == spent as f64);
}

#[test]
fn a_caller_sees_and_uses_the_models_that_are_his_and_the_names_that_stand_for_them() {
    let upstream = Upstream::answering(json_answer(200, "", BILLED), After::KeepAlive);
    let provider = |name: &str| {
        let base = format!("base_url: 'http://127.0.0.1:{}/v1'", upstream.port);
        format!("  {name}: {{type: openai, {base}, api_key: k, models: [small, large]}}\n")
    };
    let settings = format!(
        "providers:\n{}{}models: {{configured_mode: allowlist}}\nusers:\n  - {{path: /team, allowed_models: [one/*]}}\n\
         aliases: {{fast: one/small, other: two/small}}\n",
        provider("one"),
        provider("two")
    );
    let gateway = Gateway::start_with(&settings, &[]);
    let get = |path: &str, place: &str| {
        let lines = format!("authorization: Bearer {KEY}\r\nx-ringway-user-path: {place}\r\n");
        gateway.call(format!("GET {path} HTTP/1.1\r\nhost: x\r\n{lines}\r\n").as_bytes())
    };
    let listed = |place: &str| -> Vec<String> {
        let list: serde_json::Value = serde_json::from_slice(&get("/v1/models", place).body).expect("a list");
        let ids = list["data"].as_array().expect("models").iter();
        ids.map(|model| model["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!(listed("/team/a"), ["fast", "small", "large", "one/small", "one/large"]);
    assert_eq!(
        listed("/"),
        ["fast", "other", "small", "large", "one/small", "one/large", "two/small", "two/large"]
    );
    assert_eq!(get("/v1/models/two%2Fsmall", "/team").status, 404);
    assert_eq!(get("/v1/models/fast", "/team").status, 200);
    assert_eq!(get("/v1/models/other", "/team").status, 404);
    let ask = |model: &str, place: &str| {
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        let lines = format!("x-ringway-user-path: {place}\r\n");
        gateway.call(&post_with("/v1/chat/completions", &lines, body.as_bytes()))
    };
    assert_eq!(ask("fast", "/team").status, 200);
    let denied = ask("other", "/team");
    assert_eq!((denied.status, denied.error_code().as_str()), (403, "model_access_denied"));
    let denied = ask("two/large", "/team/a");
    assert_eq!((denied.status, denied.error_code().as_str()), (403, "model_access_denied"));
    let sent = upstream.requests();
    assert_eq!(sent.len(), 1, "what is denied reaches no provider");
    let body: serde_json::Value = serde_json::from_slice(&sent[0].body).expect("the request's body");
    assert_eq!(body["model"], "small");
}
