//! The admin API: what is made there holds at once on every shard, for whom it is, and for no longer than it should.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value as Json, json};

use crate::support::*;

/// One request to the admin API with this key; status and answer.
pub fn call(gateway: &Gateway, key: &str, method: &str, path: &str, body: Option<Json>) -> (u16, Json) {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let head = format!(
        "{method} /admin/api/v1{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = gateway.call((head + &body).as_bytes());
    assert!(answer.is_whole, "{method} {path}: {}", answer.head);
    let json = serde_json::from_slice(&answer.body);
    let json = json.unwrap_or_else(|error| panic!("{method} {path}: {error}: {}", answer.text()));
    (answer.status, json)
}

/// The same with the master key, where it must succeed.
pub fn admin(gateway: &Gateway, method: &str, path: &str, body: Json) -> Json {
    let body = (!body.is_null()).then_some(body);
    let (status, json) = call(gateway, KEY, method, path, body);
    assert!((200..300).contains(&status), "{method} {path}: {status} {json}");
    json
}

pub fn code(json: &Json) -> &str {
    json["error"]["code"].as_str().unwrap_or_default()
}

/// A chat with this key on a connection.
pub fn chat_over(link: &mut Link, key: &str, body: &str) -> Answer {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    link.send((head + body).as_bytes());
    link.answer(false)
}

pub fn chat(gateway: &Gateway, key: &str) -> Answer {
    chat_over(&mut gateway.connect(), key, ASK)
}

pub fn upstream() -> Upstream {
    Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive)
}

/// A gateway on this data, with prices of a dollar for a million tokens.
pub fn start(data: &Path, upstream: &Upstream, settings: &str) -> Gateway {
    let provider =
        format!("type: openai, base_url: 'http://127.0.0.1:{}/v1', api_key: {UPSTREAM_KEY}", upstream.port);
    let prices = "prices:\n  overrides: {m: {input_per_mtok: 1, output_per_mtok: 1}}\n";
    let settings = format!("providers:\n  up: {{{provider}}}\n{prices}{settings}");
    let config = temp_file(&settings);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["serve", "--config"]).arg(&config).env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0");
    command.env("RINGWAY_MASTER_KEY", KEY).env("RINGWAY_DATA_DIR", data);
    Gateway::from(command, config)
}

/// Makes a key and gives its id and its text.
pub fn make_key(gateway: &Gateway, fields: Json) -> (String, String) {
    let made = admin(gateway, "POST", "/auth-keys", fields);
    let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
    (text("id"), text("value"))
}

pub fn rows(data: &Path, sql: &str) -> Vec<Vec<String>> {
    if ["ringway_usage", "ringway_audit_logs"].iter().any(|table| sql.contains(table)) {
        return crate::records::unpacked(data).map_or(Vec::new(), |(store, _copy)| answers(&store, sql));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    answers(&Connection::open_with_flags(data.join("ringway.db"), flags).expect("the store"), sql)
}

fn answers(store: &Connection, sql: &str) -> Vec<Vec<String>> {
    let mut statement = store.prepare(sql).expect("a question");
    let count = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        (0..count)
            .map(|at| row.get::<_, rusqlite::types::Value>(at).map(|value| format!("{value:?}")))
            .collect()
    };
    statement.query_map([], row).expect("rows").collect::<Result<_, _>>().expect("rows")
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

#[test]
fn a_key_holds_at_once_on_every_shard_until_it_is_disabled() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "server: {shards: 4}\n");
    // Connections of their own, which the shards share evenly.
    let mut links: Vec<Link> = (0..8).map(|_| gateway.connect()).collect();
    let (id, key) = make_key(&gateway, json!({"name": "app", "user_path": "/team/app", "labels": ["blue"]}));
    for link in &mut links {
        eventually("the key is good", || chat_over(link, &key, ASK).status == 200);
    }
    let shown = admin(&gateway, "GET", &format!("/auth-keys/{id}"), Json::Null);
    assert_eq!(
        (&shown["name"], &shown["labels"], &shown["value"]),
        (&json!("app"), &json!(["blue"]), &Json::Null)
    );
    admin(&gateway, "POST", &format!("/auth-keys/{id}/deactivate"), Json::Null);
    for link in &mut links {
        eventually("the key is refused", || {
            let answer = chat_over(link, &key, ASK);
            answer.status == 401 && answer.error_code() == "key_disabled"
        });
    }
    assert_eq!(chat(&gateway, &format!("{key}x")).error_code(), "invalid_api_key");
}

#[test]
fn limits_and_budgets_refuse_with_the_time_that_is_left() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let mut gateway = start(&data.0, &upstream, "server: {shards: 2}\n");
    let (id, key) = make_key(&gateway, json!({"name": "limited", "user_path": "/limited"}));
    let window_s = 1_000_000;
    let limit = json!({"scope": "key", "subject": id, "period_seconds": window_s, "max_requests": 3});
    let made = admin(&gateway, "POST", "/rate-limits", limit);
    assert_eq!((&made["max_requests"], &made["source"]), (&json!(3), &json!("manual")));
    for _ in 0..3 {
        assert_eq!(chat(&gateway, &key).status, 200);
    }
    let rest = |now_s: u64| window_s - now_s % window_s;
    let (before, answer, after) = (rest(now_s()), chat(&gateway, &key), rest(now_s()));
    assert_eq!((answer.status, answer.error_code().as_str()), (429, "rate_limit_exceeded"));
    let told: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((after..=before).contains(&told), "{told} is not between {after} and {before}");
    assert_eq!(gateway.metric("ringway_refusals_total{code=\"rate_limit_exceeded\"}"), 1.0);

    let (_, key) = make_key(&gateway, json!({"name": "spender", "user_path": "/spender"}));
    let budget = json!({"user_path": "/spender", "period": "daily", "amount": "0.000150"});
    admin(&gateway, "POST", "/budgets", budget);
    let ask = r#"{"model":"up/m","max_tokens":5,"messages":[]}"#;
    let mut spent = 0;
    let refused = loop {
        let answer = chat_over(&mut gateway.connect(), &key, ask);
        if answer.status != 200 {
            break answer;
        }
        spent += 7;
        assert!(spent <= 150, "more was spent than the budget has");
    };
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (429, "budget_exceeded"),
        "{}",
        refused.text()
    );
    let told: u64 = refused.header("retry-after").expect("a time").parse().expect("seconds");
    let rest = 86_400 - now_s() % 86_400;
    assert!((rest..=rest + 60).contains(&told), "{told} is not {rest}");
    let budgets = admin(&gateway, "GET", "/budgets", Json::Null);
    assert_eq!(budgets["data"][0]["spent"], format!("0.{spent:06}"));

    // What was counted outlives the process, however it ends.
    eventually("the counters are saved", || {
        std::fs::read_to_string(data.0.join("counters")).is_ok_and(|text| text.contains(&format!("key:{id}")))
    });
    gateway.signal(9);
    let _ = gateway.child.wait();
    let gateway = start(&data.0, &upstream, "");
    eventually("the limit is still used up", || {
        let limits = admin(&gateway, "GET", "/rate-limits", Json::Null);
        limits["data"][0]["requests_used"] == 3
    });
    eventually("the budget knows what was spent", || {
        let budgets = admin(&gateway, "GET", "/budgets", Json::Null);
        budgets["data"][0]["spent"] == format!("0.{spent:06}")
    });
    assert_eq!(chat_over(&mut gateway.connect(), &key, ask).error_code(), "budget_exceeded");
    admin(&gateway, "POST", "/budgets/reset-one", json!({"user_path": "/spender", "period": "daily"}));
    eventually("the reset holds", || chat_over(&mut gateway.connect(), &key, ask).status == 200);
    let left = admin(&gateway, "GET", "/budgets", Json::Null);
    assert_eq!(left["data"][0]["spent"], "0.000007");
}

#[test]
fn a_budget_counts_what_the_store_knows_even_where_this_machine_forgot() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let settings = "budgets:\n  user_paths: [{path: /team, limits: [{period: monthly, amount: 1}]}]\n";
    let gateway = start(&data.0, &upstream, settings);
    let (_, key) = make_key(&gateway, json!({"name": "k", "user_path": "/team/app"}));
    for _ in 0..3 {
        assert_eq!(chat(&gateway, &key).status, 200);
    }
    let mut gateway = gateway;
    gateway.signal(9);
    let _ = gateway.child.wait();
    let _ = std::fs::remove_file(data.0.join("counters"));
    let gateway = start(&data.0, &upstream, settings);
    eventually("the spending is known", || {
        let budgets = admin(&gateway, "GET", "/budgets", Json::Null);
        budgets["data"][0]["spent"] == "0.000021" && budgets["data"][0]["source"] == "config"
    });
}

#[test]
fn an_admin_of_a_subtree_sees_and_changes_nothing_outside_of_it() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "");
    let (_, alpha) = make_key(
        &gateway,
        json!({"name": "alpha admin", "user_path": "/alpha", "dashboard_access": "write", "allowed_models": ["up/*"]}),
    );
    let (beta, _) = make_key(&gateway, json!({"name": "beta", "user_path": "/beta"}));
    let (_, plain) = make_key(&gateway, json!({"name": "plain", "user_path": "/alpha"}));
    let (_, reader) =
        make_key(&gateway, json!({"name": "reader", "user_path": "/alpha", "dashboard_access": "read"}));
    admin(&gateway, "POST", "/budgets", json!({"user_path": "/beta", "period": "daily", "amount": 5}));
    admin(&gateway, "POST", "/budgets", json!({"user_path": "/alpha", "period": "daily", "amount": 5}));
    let as_alpha = |method: &str, path: &str, body: Json| {
        call(&gateway, &alpha, method, path, (!body.is_null()).then_some(body))
    };
    let check = |method: &str, path: &str, body: Json, want: &str| {
        let (status, json) = as_alpha(method, path, body.clone());
        assert_eq!((status, code(&json)), (403, want), "{method} {path} {body}");
    };
    let out = "user_path_out_of_scope";
    check("GET", &format!("/auth-keys/{beta}"), Json::Null, out);
    check("POST", &format!("/auth-keys/{beta}/rotate"), Json::Null, out);
    check("DELETE", &format!("/auth-keys/{beta}"), Json::Null, out);
    check("GET", "/auth-keys?user_path=/", Json::Null, out);
    check("POST", "/auth-keys", json!({"name": "x", "user_path": "/beta"}), out);
    check("POST", "/auth-keys", json!({"name": "x"}), out);
    let wide = json!({"name": "x", "user_path": "/alpha/x", "dashboard_access": "write", "admin_path": "/", "allowed_models": ["up/m"]});
    check("POST", "/auth-keys", wide, out);
    check(
        "POST",
        "/auth-keys",
        json!({"name": "x", "user_path": "/alpha/x", "allowed_models": ["*"]}),
        "admin_scope_denied",
    );
    check("POST", "/budgets", json!({"user_path": "/beta", "period": "daily", "amount": 50}), out);
    check(
        "POST",
        "/budgets",
        json!({"user_path": "/alpha", "period": "daily", "amount": 50}),
        "admin_scope_denied",
    );
    check("DELETE", "/budgets?user_path=/alpha&period=daily", Json::Null, "admin_scope_denied");
    check(
        "POST",
        "/rate-limits",
        json!({"scope": "provider", "subject": "up", "period": "minute", "max_requests": 1}),
        out,
    );
    check("POST", "/virtual-models", json!({"source": "m", "target": "up/x"}), out);
    check("PUT", "/users", json!({"user_path": "/alpha", "allowed_models": ["*"]}), "admin_scope_denied");

    let (status, made) = as_alpha(
        "POST",
        "/auth-keys",
        json!({"name": "x", "user_path": "/alpha/x", "allowed_models": ["up/m"]}),
    );
    assert_eq!(status, 201, "{made}");
    let (_, keys) = as_alpha("GET", "/auth-keys", Json::Null);
    let names: Vec<&str> =
        keys["data"].as_array().unwrap().iter().filter_map(|key| key["name"].as_str()).collect();
    assert!(!names.contains(&"beta") && names.contains(&"x") && names.len() == 4, "{names:?}");
    let (_, budgets) = as_alpha("GET", "/budgets", Json::Null);
    assert_eq!(budgets["data"].as_array().map(Vec::len), Some(1), "{budgets}");
    let (status, reset) = as_alpha("POST", "/budgets/reset", Json::Null);
    assert_eq!((status, &reset["reset"]), (200, &json!(0)));

    let denied = |key: &str, method: &str, want: (u16, &str)| {
        let body = (method == "POST").then(|| json!({"name": "y", "user_path": "/alpha/y"}));
        let (status, json) = call(&gateway, key, method, "/auth-keys", body);
        assert_eq!((status, code(&json)), want);
    };
    denied(&plain, "GET", (403, "admin_scope_denied"));
    denied(&reader, "POST", (403, "admin_scope_denied"));
    denied("nobody", "GET", (401, "invalid_api_key"));
    assert_eq!(call(&gateway, &reader, "GET", "/auth-keys", None).0, 200);
    let bare = gateway.call(b"GET /admin/api/v1/auth-keys HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!((bare.status, bare.error_code().as_str()), (401, "missing_api_key"));
}

#[test]
fn a_secret_stands_nowhere_but_in_the_answer_that_made_it() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "");
    let canary = "sk-canary-0123456789abcdefghij";
    let (_, imported) = make_key(&gateway, json!({"name": "taken over", "key": canary}));
    assert_eq!(imported, "", "what is known is not told");
    assert_eq!(chat(&gateway, canary).status, 200);
    let (id, first) = make_key(&gateway, json!({"name": "made"}));
    let rotated = admin(&gateway, "POST", &format!("/auth-keys/{id}/rotate"), json!({"grace_seconds": 3600}));
    let second = rotated["value"].as_str().expect("another secret").to_owned();
    assert_ne!(first, second);
    assert_eq!((chat(&gateway, &first).status, chat(&gateway, &second).status), (200, 200));
    let again = admin(&gateway, "POST", &format!("/auth-keys/{id}/rotate"), Json::Null);
    let third = again["value"].as_str().expect("another secret").to_owned();
    eventually("the former secrets are refused", || {
        chat(&gateway, &first).status == 401 && chat(&gateway, &second).status == 401
    });
    assert_eq!(chat(&gateway, &third).status, 200);
    let secrets =
        [canary.to_owned(), first, second, third].map(|key| key.rsplit('-').next().unwrap().to_owned());
    let mut told = String::new();
    for path in ["/auth-keys", &format!("/auth-keys/{id}"), "/access"] {
        told += &admin(&gateway, "GET", path, Json::Null).to_string();
    }
    // A secret in a place where it does not belong is not repeated.
    let (status, refused) =
        call(&gateway, KEY, "POST", "/auth-keys", Some(json!({"name": "x", "labels": canary})));
    assert_eq!(status, 400);
    told += &refused.to_string();
    eventually("every change is written down", || {
        rows(&data.0, "SELECT id FROM ringway_admin_changes").len() == 4
    });
    for table in ["auth_keys", "admin_changes", "runtime_settings", "usage", "audit_logs"]
        .map(|name| format!("ringway_{name}"))
    {
        told += &format!("{:?}", rows(&data.0, &format!("SELECT * FROM {table}")));
    }
    told += &gateway.stderr();
    for secret in secrets {
        assert!(!told.contains(&secret), "{secret} is told in {told}");
    }
    // Changes of one millisecond have no order.
    let made =
        rows(&data.0, "SELECT actor_kind, action, object_kind FROM ringway_admin_changes ORDER BY action");
    let want = ["create", "create", "rotate", "rotate"];
    assert_eq!(made.len(), want.len());
    for (row, action) in made.iter().zip(want) {
        assert_eq!(row.join(" "), format!("Text(\"master_key\") Text(\"{action}\") Text(\"auth_key\")"));
    }
    assert_eq!(mode(&data.0.join("pepper")), 0o600);
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// Every file and folder below.
fn below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| if path.is_dir() { [vec![path.clone()], below(&path)].concat() } else { vec![path] })
        .collect()
}

#[test]
fn what_is_kept_and_what_is_in_memory_is_for_the_gateways_own_user() {
    let (folder, upstream) = (TempFolder::new(), upstream());
    let data = folder.0.join("data");
    // A file of an older version, which everybody could read.
    std::fs::create_dir_all(&data).expect("a folder");
    std::fs::write(data.join("ringway.db"), "").expect("a file");
    let closed = with_cores("false", &data, &upstream);
    assert_eq!(closed.chat(ASK).status, 200);
    admin(&closed, "POST", "/auth-keys", json!({"name": "made"}));
    eventually("a record in the store", || rows(&data, "SELECT id FROM ringway_usage").len() == 1);
    assert!(below(&data).len() >= 4, "{:?}", below(&data));
    for path in below(&data) {
        assert_eq!(mode(&path) & 0o077, 0, "{} is open to others", path.display());
    }
    let fresh = folder.0.join("fresh");
    let open = with_cores("true", &fresh, &upstream);
    assert_eq!(open.chat(ASK).status, 200);
    assert_eq!(mode(&fresh), 0o700, "a folder that the gateway makes is its own");
    assert!(!leaves_core(closed), "a core was written");
    if !leaves_core(open) {
        eprintln!("SKIPPED in part: this system writes no cores, so that none is missed");
    }
}

/// A gateway that may leave a core, in its own folder.
fn with_cores(dumps: &str, data: &Path, upstream: &Upstream) -> Gateway {
    let provider =
        format!("type: openai, base_url: 'http://127.0.0.1:{}/v1', api_key: {UPSTREAM_KEY}", upstream.port);
    let config = temp_file(&format!("providers:\n  up: {{{provider}}}\n"));
    let mut command = Command::new("sh");
    let serve = format!("ulimit -c unlimited; exec {} serve --config \"$0\"", env!("CARGO_BIN_EXE_ringway"));
    command.args(["-c", &serve]).arg(&config).env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0");
    command.env("RINGWAY_MASTER_KEY", KEY).env("RINGWAY_DATA_DIR", data).current_dir(data.parent().unwrap());
    command.env("RINGWAY_SERVER_CORE_DUMPS", dumps);
    Gateway::from(command, config)
}

/// Ends the gateway as a grave error would, and says whether the kernel wrote its memory down.
fn leaves_core(mut gateway: Gateway) -> bool {
    gateway.signal(6);
    let status = gateway.child.wait().expect("its end");
    std::os::unix::process::ExitStatusExt::core_dumped(&status)
}
