//! The admin API at its edges: texts that should break it, other processes, nobody's key, and what it tells of usage.

use std::process::Command;

use serde_json::{Value as Json, json};

use crate::admin::{admin, call, chat, chat_over, code, make_key, start, upstream};
use crate::support::*;

/// Texts that somebody may send to see what breaks, a line for each, and longer ones.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = LINES.lines().map(str::to_owned).collect();
    let others = [
        "",
        " ",
        "\0",
        "\u{1}",
        "\r\nx: y",
        "\u{202e}abc",
        "\u{7f}",
        "\t",
        "\u{feff}",
        "x\u{0}y",
        "\u{d7ff}",
        "\u{10ffff}",
    ];
    texts.extend(others.map(str::to_owned));
    for length in [255, 256, 257, 511, 512, 513, 2_048, 2_049, 8_000] {
        texts.push("a".repeat(length));
        texts.push("/a".repeat(length / 2));
        texts.push("é".repeat(length / 2));
    }
    texts
}

const LINES: &str = r#"/
//
..
/../..
%2e%2e%2f
%00
'
"
' OR 1=1 --
'; DROP TABLE auth_keys; --
$where
{"$gt":""}
$ne
a.b
%
_
*
{id}
<script>
é
漢字
🦀
null
true
-1
1e999
NaN
NUL
\
\x00
${env}
{{7*7}}
/team/./x
key:
:soft
path:/:cost:daily
?a=b
#
&
=
+
;
,
|
`id`
$(id)
../pepper
reset:"#;

/// A text as a segment of a path, or a value of a query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn no_text_makes_the_admin_api_fail() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "");
    let mut asked = 0;
    let mut check = |method: &str, path: &str, body: Option<Json>| {
        if path.len() > 7_000 {
            return;
        }
        let shown = body.clone();
        let (status, json) = call(&gateway, KEY, method, path, body);
        assert!(status < 500, "{method} {path} {shown:?}: {status} {json}");
        asked += 1;
    };
    for text in hostile() {
        for name in [
            "name",
            "description",
            "user_path",
            "dashboard_access",
            "admin_path",
            "expires_at",
            "key",
            "key_hash",
        ] {
            let mut body = json!({"name": "x"});
            body[name] = text.clone().into();
            check("POST", "/auth-keys", Some(body));
        }
        for name in ["labels", "allowed_models", "endpoints"] {
            check("POST", "/auth-keys", Some(json!({"name": "x", name: [text]})));
        }
        for (method, path) in
            [("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/deactivate"), ("PUT", "/labels")]
        {
            let body = (method != "GET").then(|| json!({}));
            check(method, &format!("/auth-keys/{}{path}", encoded(&text)), body);
        }
        check("GET", &format!("/auth-keys?after={}", encoded(&text)), None);
        check("GET", &format!("/auth-keys?{}=1", encoded(&text)), None);
        check("DELETE", &format!("/virtual-models?source={}", encoded(&text)), None);
        check("GET", &format!("/{}", encoded(&text)), None);
        for scope in ["user_path", "label", "key", "provider", "model"] {
            check(
                "POST",
                "/budgets",
                Some(json!({"scope": scope, "subject": text, "period": "daily", "amount": 1})),
            );
            let limit =
                json!({"scope": scope, "subject": text, "period": "minute", "max_requests": 1_000_000});
            check("POST", "/rate-limits", Some(limit));
        }
        check("POST", "/budgets", Some(json!({"user_path": "/x", "period": text, "amount": text})));
        check("POST", "/virtual-models", Some(json!({"source": text, "target": text, "user_paths": [text]})));
        check("POST", "/virtual-models", Some(json!({"source": text, "targets": [{"model": text}]})));
        check("POST", "/virtual-models", Some(json!({"source": text})));
        check("PUT", "/users", Some(json!({"user_path": text, "allowed_models": [text]})));
        check("POST", "/auth-keys", Some(json!({text.as_str(): 1})));
        check("POST", "/auth-keys", Some(Json::String(text.clone())));
    }
    assert!(asked > 2_000, "{asked}");
    for path in ["/auth-keys?limit=1000", "/budgets", "/rate-limits", "/virtual-models", "/users"] {
        admin(&gateway, "GET", path, Json::Null);
    }
    // Another process reads it all.
    let mut again = start(&data.0, &upstream, "");
    eventually("it is read", || call(&again, KEY, "GET", "/budgets", None).0 == 200);
    assert!(!again.stderr().contains("mean nothing here"), "{}", again.stderr());
    let _ = again.child.kill();
}

#[test]
fn virtual_models_and_lists_of_models_hold_as_they_are_made() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "");
    let (_, key) = make_key(&gateway, json!({"name": "k", "user_path": "/team"}));
    let ask = |model: &str| {
        let body = json!({"model": model, "messages": []}).to_string();
        let answer = chat_over(&mut gateway.connect(), &key, &body);
        (answer.status, if answer.status == 200 { String::new() } else { answer.error_code() })
    };
    admin(&gateway, "POST", "/virtual-models", json!({"source": "fast", "target": "up/m"}));
    let asked_for = |model: &str| {
        let last = upstream.requests().pop().expect("a request");
        serde_json::from_slice::<Json>(&last.body).expect("JSON")["model"] == model
    };
    eventually("the alias is known", || ask("fast").0 == 200 && asked_for("m"));
    admin(&gateway, "PUT", "/users", json!({"user_path": "/team", "allowed_models": ["fast", "other"]}));
    let denied = (403, "model_access_denied".to_owned());
    eventually("the list holds", || ask("up/m") == denied);
    assert_eq!(ask("fast").0, 200);
    admin(&gateway, "DELETE", "/users?user_path=/team", Json::Null);
    eventually("the list is gone", || ask("up/m").0 == 200);
    admin(&gateway, "DELETE", "/virtual-models?source=fast", Json::Null);
    eventually("the alias is gone", || ask("fast").0 == 200 && asked_for("fast"));
    let (status, json) = call(&gateway, KEY, "DELETE", "/virtual-models?source=fast", None);
    assert_eq!((status, code(&json)), (404, "not_found"));
    let (status, json) = call(
        &gateway,
        KEY,
        "POST",
        "/virtual-models",
        Some(json!({"source": "a", "targets": [], "sources": 1})),
    );
    assert_eq!((status, code(&json), &json["error"]["param"]), (400, "unknown_field", &json!("sources")));
}

#[test]
fn two_processes_on_one_store_see_each_others_changes() {
    let (data, other, upstream) = (TempFolder::new(), TempFolder::new(), upstream());
    let pepper = "auth: {key_pepper: 0123456789abcdef}\n";
    let store = data.0.join("ringway.db");
    let settings = format!("{pepper}storage: {{sqlite: {{path: '{}'}}}}\n", store.display());
    let settings =
        settings.replace("storage: {sqlite: {path:", "storage:\n  sqlite: {path:").replace("}}\n", "}\n");
    let (one, two) = (start(&data.0, &upstream, &settings), start(&other.0, &upstream, &settings));
    // Both have read the store before anything is changed.
    for gateway in [&one, &two] {
        eventually("the store is read", || {
            call(gateway, KEY, "GET", "/runtime/config", None).1["store_is_read"] == true
        });
    }
    let (id, key) = make_key(&one, json!({"name": "k"}));
    eventually("the other process knows the key", || chat(&two, &key).status == 200);
    admin(&two, "POST", &format!("/auth-keys/{id}/deactivate"), Json::Null);
    eventually("the first knows that it ended", || {
        let answer = chat(&one, &key);
        answer.status == 401 && answer.error_code() == "key_disabled"
    });
}

#[test]
fn without_any_key_only_this_machine_may_administer_and_it_is_said() {
    let upstream = upstream();
    let settings = format!(
        "providers:\n  up: {{type: openai, base_url: 'http://127.0.0.1:{}/v1', api_key: {UPSTREAM_KEY}}}\n",
        upstream.port
    );
    let config = temp_file(&settings);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["serve", "--config"]).arg(&config).env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0");
    let mut gateway = Gateway::from(command, config);
    gateway.wait_for_line("everybody on this machine may use the admin API");
    let ask = |lines: &str| {
        let request = format!("GET /admin/api/v1/access HTTP/1.1\r\n{lines}\r\n");
        gateway.call(request.as_bytes()).status
    };
    let port = gateway.port;
    assert_eq!(ask(&format!("host: 127.0.0.1:{port}\r\n")), 200);
    assert_eq!(ask(&format!("host: localhost:{port}\r\norigin: http://localhost:{port}\r\n")), 200);
    assert_eq!(ask(&format!("host: localhost:{port}\r\norigin: http://evil.example\r\n")), 401);
    assert_eq!(ask("host: evil.example\r\n"), 401);
    assert_eq!(ask("host: localhost\r\nsec-fetch-site: cross-site\r\n"), 401);
    assert_eq!(ask("host: localhost\r\nx-forwarded-for: 203.0.113.7\r\n"), 401);
    // With an admin key it is no longer open.
    let made = gateway.call(
        b"POST /admin/api/v1/auth-keys HTTP/1.1\r\nhost: localhost\r\ncontent-length: 42\r\n\r\n{\"name\": \"a\", \"dashboard_access\": \"write\"}",
    );
    assert_eq!(made.status, 201, "{}", made.text());
    eventually("it asks for a key", || ask(&format!("host: 127.0.0.1:{port}\r\n")) == 401);
}

#[test]
fn what_was_used_is_told_by_who_and_what_and_to_callers_their_own() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "");
    let (alpha, alpha_key) = make_key(
        &gateway,
        json!({"name": "alpha", "user_path": "/alpha", "labels": ["blue", "green"], "endpoints": ["chat"]}),
    );
    let (_, beta_key) =
        make_key(&gateway, json!({"name": "beta", "user_path": "/beta", "labels": ["green"]}));
    admin(&gateway, "POST", "/budgets", json!({"user_path": "/alpha", "period": "monthly", "amount": 1}));
    eventually("the budget holds", || {
        admin(&gateway, "GET", "/budgets", Json::Null)["data"][0]["amount"] == "1"
    });
    for key in [&alpha_key, &alpha_key, &beta_key] {
        assert_eq!(chat(&gateway, key).status, 200);
    }
    eventually("three rows", || admin(&gateway, "GET", "/usage/summary", Json::Null)["requests"] == 3);
    let get = |path: &str| admin(&gateway, "GET", path, Json::Null);
    let all = get("/usage/summary");
    let told = (&all["input_uncached"], &all["output_total"], &all["total_cost"], &all["reasoning"]);
    assert_eq!(told, (&json!(9), &json!(12), &json!("0.000021"), &Json::Null), "{all}");
    let row = |path: &str, name: &str, value: &str| {
        let answer = get(path);
        let rows = answer["data"].as_array().expect("rows").clone();
        let found = rows.into_iter().find(|row| row[name] == value);
        found.unwrap_or_else(|| panic!("{path} has no {value}: {answer}"))["requests"].clone()
    };
    assert_eq!(row("/usage/models", "model", "m"), 3);
    assert_eq!(row("/usage/user-paths", "user_path", "/alpha"), 2);
    assert_eq!(row("/usage/keys", "auth_key_id", &alpha), 2);
    assert_eq!(
        (row("/usage/labels", "label", "blue"), row("/usage/labels", "label", "green")),
        (json!(2), json!(3))
    );
    // A day, or an hour, may end in between.
    let all_spans = |path: &str| -> u64 {
        let spans = get(path)["data"].as_array().expect("spans").clone();
        spans.iter().map(|span| span["requests"].as_u64().expect("a count")).sum()
    };
    assert_eq!(all_spans("/usage/daily"), 3);
    assert_eq!(get("/usage/summary?user_path=/beta")["requests"], 1);
    let first = get("/usage/log?limit=2");
    let next = first["next"].as_str().expect("another page").to_owned();
    let second = get(&format!("/usage/log?limit=2&after={next}"));
    assert_eq!(
        (first["data"].as_array().map(Vec::len), second["data"].as_array().map(Vec::len)),
        (Some(2), Some(1))
    );
    let id = second["data"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(get(&format!("/audit/detail?id={id}"))["attempts"][0]["status_code"], 200);
    assert_eq!(get("/audit/log?limit=10")["data"].as_array().map(Vec::len), Some(3));
    assert_eq!(all_spans("/audit/stats"), 3);
    assert_eq!(get("/providers/status")["data"][0]["requests_lately"], 3);
    assert_eq!(get("/changes?object_kind=auth_key")["data"].as_array().map(Vec::len), Some(2));

    let own = |key: &str| {
        let request = format!("GET /v1/usage HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n");
        let answer = gateway.call(request.as_bytes());
        serde_json::from_slice::<Json>(&answer.body).expect("JSON")
    };
    let mine = own(&alpha_key);
    assert_eq!(
        (&mine["requests"], &mine["user_path"], &mine["auth_key_id"]),
        (&json!(2), &json!("/alpha"), &json!(alpha))
    );
    assert_eq!(mine["allowances"][0]["taken"], "0.000014 US dollars", "{mine}");
    assert_eq!(own(&beta_key)["requests"], 1);
    assert_eq!(own("nobody")["error"]["code"], "invalid_api_key");
}

#[test]
fn a_price_that_is_set_holds_for_the_next_request() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "");
    let price = json!({"selector": "up/m", "pricing": {"input_per_mtok": 1000, "output_per_mtok": "2000"}});
    admin(&gateway, "PUT", "/model-pricing-overrides", price);
    let newest = || admin(&gateway, "GET", "/usage/log?limit=1", Json::Null)["data"][0]["total_cost"].clone();
    eventually("the price holds", || {
        assert_eq!(chat(&gateway, KEY).status, 200);
        newest() == "0.011"
    });
    let wrong = json!({"selector": "m", "pricing": {"input_per_token": 1, "output_per_mtok": -1}});
    let (status, json) = call(&gateway, KEY, "PUT", "/model-pricing-overrides", Some(wrong));
    let told = json["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(status == 400 && told.contains("input_per_token") && told.contains("output_per_mtok"), "{json}");
    admin(&gateway, "DELETE", "/model-pricing-overrides?selector=up/m", Json::Null);
}

#[test]
fn a_request_with_a_long_body_or_none_keeps_the_connection_in_order() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "");
    let mut link = gateway.connect();
    for path in ["/admin/api/v1/access", "/admin/access", "/admin/nothing", "/admin", "/admin/api/v1/budgets"]
    {
        link.send(&get(path));
        let answer = link.answer(false);
        let want = if path.ends_with("nothing") || path == "/admin" { 404 } else { 200 };
        assert_eq!((answer.status, answer.is_whole), (want, true), "{path}");
        assert!(
            answer.header("x-request-id").is_some() && answer.header("cache-control").is_some(),
            "{}",
            answer.head
        );
    }
    link.send(&post("/admin/api/v1/access", "{}"));
    let answer = link.answer(false);
    assert_eq!((answer.status, answer.error_code().as_str()), (405, "method_not_allowed"));
    let long = json!({"name": "x", "description": "y".repeat(900_000)}).to_string();
    link.send(&post("/admin/api/v1/auth-keys", &long));
    assert_eq!(link.answer(false).error_code(), "invalid_field");
    assert_eq!(chat_over(&mut link, KEY, ASK).status, 200);
    let longer = "x".repeat(1_100_000);
    let answer = gateway.call(&post("/admin/api/v1/auth-keys", &longer));
    assert_eq!((answer.status, answer.error_code().as_str()), (413, "body_too_large"));
}

#[test]
fn the_commands_ask_a_running_gateway() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "");
    let url = format!("http://127.0.0.1:{}", gateway.port);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
        command.args(arguments).env("RINGWAY_URL", &url).env("RINGWAY_MASTER_KEY", KEY);
        let output = command.output().expect("the binary runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (is_good, key, told) =
        run(&["keys", "create", "from the shell", "--user-path", "/shell", "--allow", "up/m"]);
    assert!(is_good && key.starts_with("rw-") && !told.contains(&key), "{told}");
    eventually("the key is good", || chat(&gateway, &key).status == 200);
    let (_, list, _) = run(&["keys", "list"]);
    let id = list.split_whitespace().next().expect("an id").to_owned();
    assert!(key.contains(&id) && list.ends_with("from the shell  /shell"), "{list}");
    let (_, renewed, _) = run(&["keys", "rotate", &id]);
    eventually("the former secret is refused", || chat(&gateway, &key).status == 401);
    assert_eq!(chat(&gateway, &renewed).status, 200);
    assert!(run(&["budgets", "set", "/shell", "--amount", "12.5", "--period", "daily"]).0);
    assert!(run(&["budgets", "list"]).1.contains("\"amount\": \"12.5\""));
    assert!(run(&["budgets", "reset", "/shell", "--period", "daily"]).0);
    assert!(run(&["budgets", "delete", "/shell", "--period", "daily"]).0);
    eventually("usage is told", || run(&["usage", "models"]).1.contains("\"model\": \"m\""));
    assert!(run(&["keys", "disable", &id]).0);
    eventually("the key is refused", || chat(&gateway, &renewed).status == 401);
    let (is_good, _, told) = run(&["keys", "show", "nobody000000"]);
    assert!(!is_good && told.contains("There is no such key"), "{told}");
}

#[test]
fn the_doctor_says_what_is_wrong_and_how_it_is_mended() {
    let data = TempFolder::new();
    let run = |env: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
        command.arg("doctor").env("RINGWAY_DATA_DIR", &data.0).envs(env.iter().copied());
        let output = command.output().expect("the binary runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, told) = run(&[("RINGWAY_MASTER_KEY", KEY)]);
    assert!(code == Some(0) && told.contains("ok     store:"), "{told}");
    std::fs::write(data.0.join("ringway.db"), "this is no database, whatever its name says").unwrap();
    let (code, told) = run(&[("RINGWAY_MASTER_KEY", KEY)]);
    assert!(code == Some(2) && told.contains("wrong  store: SQLite:"), "{told}");
}
