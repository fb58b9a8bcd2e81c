//! Clients that say the same head again and again: the gateway knows it again, and it never means more than it says.

use std::io::Write;
use std::sync::Arc;

use serde_json::json;

use crate::admin::{admin, chat_over, make_key, start, upstream};
use crate::support::*;

const HUP: i32 = 1;

/// An answer with the model that the provider was asked for, and a body as long as the request's.
fn echo() -> Upstream {
    Upstream::start(|_, seen, stream| {
        let _ = stream.write_all(&json_answer(200, "", &String::from_utf8_lossy(&seen.body)));
        After::KeepAlive
    })
}

#[test]
fn bodies_of_all_lengths_follow_one_head() {
    let upstream = echo();
    let gateway = Gateway::start(upstream.port, "");
    let mut link = gateway.connect();
    for round in 0..3 {
        for length in [0, 1, 30, 39, 40, 41, 99, 100, 941, 942, 9_000, 20_000] {
            let ask = format!(r#"{{"model":"up/m","messages":[],"text":"{}{round}"}}"#, "x".repeat(length));
            link.send(&post("/v1/chat/completions", &ask));
            let answer = link.answer(false);
            assert_eq!((answer.status, answer.text()), (200, ask.replace("up/m", "m")), "{length}");
        }
    }
    // Several at once, and one in two pieces, the cut inside of the head.
    let asks = ["a", "b", "c"].map(|text| format!(r#"{{"model":"up/m","messages":[],"text":"{text}"}}"#));
    let all: Vec<u8> = asks.iter().flat_map(|ask| post("/v1/chat/completions", ask)).collect();
    for cut in [all.len(), 1, 20, 60, 120] {
        link.send(&all[..cut]);
        link.send(&all[cut..]);
        for ask in &asks {
            assert_eq!(link.answer(false).text(), ask.replace("up/m", "m"), "cut at {cut}");
        }
    }
}

#[test]
fn a_length_that_is_none_is_refused_behind_good_ones() {
    let upstream = echo();
    let gateway = Gateway::start(upstream.port, "");
    for wrong in ["5x", "-5", "+5", " 5", "5 ", "0x"] {
        let mut link = gateway.connect();
        for _ in 0..3 {
            link.send(&post("/v1/chat/completions", ASK));
            assert_eq!(link.answer(false).status, 200);
        }
        let request = String::from_utf8(post("/v1/chat/completions", ASK)).unwrap();
        let length = format!("content-length: {}", ASK.len());
        assert_eq!(ASK.len().to_string().len(), wrong.len(), "the head stays as long");
        let sent = request.replace(&length, &format!("content-length: {wrong}"));
        link.send(sent.as_bytes());
        let answer = link.answer(false);
        // Blanks around a value do not belong to it: such a body is five bytes long, and no JSON.
        assert_eq!(answer.status, 400, "{wrong:?}: {}", answer.text());
    }
    assert_eq!(upstream.requests().len(), 18);
}

#[test]
fn a_key_that_is_taken_away_ends_on_connections_that_are_open() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "server: {shards: 1}\n");
    let (id, key) = make_key(&gateway, json!({"name": "k", "user_path": "/k"}));
    let (_, other) = make_key(&gateway, json!({"name": "o", "user_path": "/o"}));
    let mut links: Vec<Link> = (0..3).map(|_| gateway.connect()).collect();
    let mut of_other = gateway.connect();
    for _ in 0..4 {
        for link in &mut links {
            assert_eq!(chat_over(link, &key, ASK).status, 200);
        }
        assert_eq!(chat_over(&mut of_other, &other, ASK).status, 200);
    }
    // One character of the secret is another one.
    let mut wrong = key.clone();
    let last = if wrong.pop() == Some('a') { 'b' } else { 'a' };
    wrong.push(last);
    assert_eq!(chat_over(&mut links.remove(0), &wrong, ASK).status, 401);
    // Another key on the same connection, as a proxy in front would have it.
    for key in [&other, &key, &other, &key] {
        assert_eq!(chat_over(&mut links[0], key, ASK).status, 200);
    }
    admin(&gateway, "POST", &format!("/auth-keys/{id}/deactivate"), json!({}));
    eventually("the key to be refused", || chat_over(&mut gateway.connect(), &key, ASK).status == 401);
    for link in &mut links {
        assert_eq!(chat_over(link, &key, ASK).status, 401);
    }
    assert_eq!(chat_over(&mut of_other, &other, ASK).status, 200);
}

#[test]
fn a_key_that_expires_is_refused_with_the_head_that_was_good() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "server: {shards: 1}\n");
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(2);
    let soon_s = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let expires = jiff::Timestamp::from_second(i64::try_from(soon_s).unwrap()).unwrap().to_string();
    let (_, key) = make_key(&gateway, json!({"name": "k", "user_path": "/k", "expires_at": expires}));
    let mut link = gateway.connect();
    let mut good = 0;
    eventually("the key to expire", || {
        let answer = chat_over(&mut link, &key, ASK);
        good += usize::from(answer.status == 200);
        answer.status == 401 && answer.error_code() == "key_expired"
    });
    assert!(good > 2, "it was good before: {good}");
}

/// Whatever a name has meant before on a connection, it means what the rules say now.
#[test]
fn what_a_models_name_means_changes_with_the_rules_on_connections_that_are_open() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "server: {shards: 1}\n");
    let (_, key) = make_key(&gateway, json!({"name": "k", "user_path": "/team"}));
    let ask = |link: &mut Link, model: &str| {
        let answer = chat_over(link, &key, &json!({"model": model, "messages": []}).to_string());
        if answer.status != 200 {
            return answer.error_code();
        }
        let last = upstream.requests().pop().expect("a request");
        let body: serde_json::Value = serde_json::from_slice(&last.body).expect("JSON");
        body["model"].as_str().expect("a model").to_owned()
    };
    let mut link = gateway.connect();
    let mut check = |what: &str, want: &str| {
        eventually(what, || ask(&mut gateway.connect(), "up/m") == want);
        for _ in 0..4 {
            assert_eq!(ask(&mut link, "up/m"), want, "{what}");
        }
        // Another one in between, and the same again.
        assert_eq!(ask(&mut link, "up/other"), "other", "{what}");
        assert_eq!(ask(&mut link, "up/m"), want, "{what}");
    };
    check("its own name", "m");
    admin(&gateway, "POST", "/virtual-models", json!({"source": "up/m", "target": "up/n"}));
    check("an alias in front of it", "n");
    admin(&gateway, "POST", "/virtual-models", json!({"source": "up/m", "target": "up/l"}));
    check("another one", "l");
    admin(&gateway, "DELETE", "/virtual-models?source=up/m", json!(null));
    check("its own name again", "m");
    let only = |models: serde_json::Value| json!({"user_path": "/team", "allowed_models": models});
    admin(&gateway, "PUT", "/users", only(json!(["up/other"])));
    check("a list without it", "model_access_denied");
    admin(&gateway, "PUT", "/users", only(json!(["up/other", "up/m"])));
    check("a list with it", "m");
}

/// Rules that change between head and body hold for the request: its head was good, and what it asks for is not known yet.
#[test]
fn a_familiar_head_whose_body_comes_later_follows_the_rules_of_then() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "server: {shards: 1}\n");
    let (_, key) = make_key(&gateway, json!({"name": "k", "user_path": "/team"}));
    let model = || {
        let last = upstream.requests().pop().expect("a request");
        let body: serde_json::Value = serde_json::from_slice(&last.body).expect("JSON");
        body["model"].as_str().expect("a model").to_owned()
    };
    let request = String::from_utf8(post("/v1/chat/completions", ASK)).unwrap().replace(KEY, &key);
    let (head, body) = request.split_at(request.len() - ASK.len());
    let mut links = [gateway.connect(), gateway.connect()];
    for link in &mut links {
        for _ in 0..4 {
            link.send(request.as_bytes());
            assert_eq!((link.answer(false).status, model()), (200, "m".to_owned()));
        }
        link.send(head.as_bytes());
    }
    let fresh = || chat_over(&mut gateway.connect(), &key, ASK);
    admin(&gateway, "PUT", "/users", json!({"user_path": "/team", "allowed_models": ["up/other"]}));
    eventually("the list", || fresh().status == 403);
    links[0].send(body.as_bytes());
    assert_eq!(links[0].answer(false).error_code(), "model_access_denied");
    admin(&gateway, "DELETE", "/users?user_path=/team", json!(null));
    admin(&gateway, "POST", "/virtual-models", json!({"source": "up/m", "target": "up/n"}));
    eventually("the alias", || fresh().status == 200 && model() == "n");
    links[1].send(body.as_bytes());
    assert_eq!((links[1].answer(false).status, model()), (200, "n".to_owned()));
}

#[test]
fn the_provider_of_a_name_changes_with_the_settings_on_connections_that_are_open() {
    let (one, two) = (echo(), echo());
    let settings = |default: &str, names: [&str; 2]| {
        let ports = [one.port, two.port];
        let provider = |at: usize| {
            let (name, port) = (names[at], ports[at]);
            format!(
                "  {name}: {{type: vllm, base_url: 'http://127.0.0.1:{port}/v1', models: [listed-{name}]}}\n"
            )
        };
        format!(
            "server: {{shards: 1}}\nauth: {{master_key: {KEY}}}\n\
             models: {{configured_mode: allowlist, default_provider: {default}}}\nproviders:\n{}{}",
            provider(0),
            provider(1)
        )
    };
    let config = temp_file(&settings("a", ["a", "b"]));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["serve", "--config"]).arg(&config).env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0");
    let mut gateway = Gateway::from(command, config.clone());
    let mut link = gateway.connect();
    let mut ask = |model: &str| {
        let before = [one.requests().len(), two.requests().len()];
        let body = json!({"model": model, "messages": []}).to_string();
        assert_eq!(chat_over(&mut link, KEY, &body).status, 200, "{model}");
        (one.requests().len() - before[0], two.requests().len() - before[1])
    };
    for model in ["free", "listed-a", "a/x"] {
        for _ in 0..4 {
            assert_eq!(ask(model), (1, 0), "{model}");
        }
    }
    std::fs::write(&config, settings("b", ["b", "a"])).unwrap();
    gateway.signal(HUP);
    gateway.wait_for_line("reloaded (generation 1)");
    // `b` is the first server now, and `a` the other.
    eventually("the other settings", || ask("a/x") == (0, 1));
    for (model, want) in [("a/x", (0, 1)), ("free", (1, 0)), ("b/x", (1, 0))] {
        for _ in 0..4 {
            assert_eq!(ask(model), want, "{model}");
        }
    }
    eventually("the other lists", || ask("listed-a") == (0, 1));
    assert_eq!(ask("listed-a"), (0, 1));
}

#[test]
fn the_provider_of_a_name_changes_with_the_lists_of_models_on_connections_that_are_open() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let offers = Arc::new(AtomicUsize::new(0));
    let lister = |number: usize| {
        let offers = offers.clone();
        Upstream::start(move |_, seen, stream| {
            let has_it = offers.load(Ordering::Acquire) == number;
            let list = if has_it { r#"{"data":[{"id":"moving"}]}"# } else { r#"{"data":[{"id":"other"}]}"# };
            let body = if seen.head.starts_with("GET ") { list } else { "{}" };
            let _ = stream.write_all(&json_answer(200, "", body));
            After::KeepAlive
        })
    };
    let servers = [lister(0), lister(1)];
    let provider = |name: &str, at: usize| {
        format!("  {name}: {{type: vllm, base_url: 'http://127.0.0.1:{}/own/v1'}}\n", servers[at].port)
    };
    let settings = format!(
        "server: {{shards: 1}}\nauth: {{master_key: {KEY}}}\nmodels: {{refresh_interval: 1}}\nproviders:\n{}{}",
        provider("a", 0),
        provider("b", 1)
    );
    let config = temp_file(&settings);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["serve", "--config"]).arg(&config).env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0");
    let gateway = Gateway::from(command, config.clone());
    let mut link = gateway.connect();
    let asked = |at: usize| {
        let requests = servers[at].requests();
        requests.iter().filter(|seen| seen.head.starts_with("POST ")).count()
    };
    for at in [0, 1, 0] {
        offers.store(at, Ordering::Release);
        eventually("the list that has it", || {
            let before = asked(at);
            let body = json!({"model": "moving", "messages": []}).to_string();
            chat_over(&mut link, KEY, &body).status == 200 && asked(at) > before
        });
    }
}

#[test]
fn other_settings_hold_for_heads_that_were_good_before() {
    let upstream = echo();
    let provider = format!("{{type: vllm, base_url: 'http://127.0.0.1:{}/v1', models: [m]}}", upstream.port);
    let settings = |key: &str| {
        format!(
            "server: {{shards: 1}}\nauth: {{master_key: {key}}}\nmodels: {{configured_mode: allowlist}}\n\
             providers:\n  up: {provider}\n"
        )
    };
    let config = temp_file(&settings(KEY));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["serve", "--config"]).arg(&config).env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0");
    let mut gateway = Gateway::from(command, config.clone());
    let mut link = gateway.connect();
    for _ in 0..4 {
        assert_eq!(chat_over(&mut link, KEY, ASK).status, 200);
    }
    std::fs::write(&config, settings("another-key")).unwrap();
    gateway.signal(HUP);
    gateway.wait_for_line("reloaded (generation 1)");
    eventually("the new key", || chat_over(&mut gateway.connect(), "another-key", ASK).status == 200);
    assert_eq!(chat_over(&mut link, KEY, ASK).status, 401);
}

#[test]
fn request_ids_differ_although_heads_do_not() {
    let upstream = echo();
    let gateway = Gateway::start(upstream.port, "");
    let mut link = gateway.connect();
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..5 {
        link.send(&post("/v1/chat/completions", ASK));
        ids.insert(link.answer(false).header("x-request-id").expect("an id"));
    }
    assert_eq!(ids.len(), 5);
    let seen = upstream.requests();
    assert_eq!(
        seen.iter().filter_map(|seen| seen.header("x-request-id")).collect::<std::collections::BTreeSet<_>>(),
        ids
    );
}

/// A connection to the gateway from another address of this machine.
fn connect_from(address: &str, gateway: &Gateway) -> Link {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let at = |address: &str, port| std::net::SocketAddr::new(address.parse().expect("an address"), port);
    socket.bind(&at(address, 0).into()).expect("its end");
    socket.connect(&at("127.0.0.1", gateway.port).into()).expect("a connection");
    Link::over(socket.into())
}

#[test]
fn records_of_clients_with_one_head_say_where_each_request_came_from() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "server: {shards: 1}\n");
    let addresses = ["127.0.0.1", "127.0.0.2"];
    let mut links = addresses.map(|address| connect_from(address, &gateway));
    // One after the other, and then by turns.
    for client in [0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0, 1] {
        assert_eq!(chat_over(&mut links[client], KEY, ASK).status, 200);
    }
    let mut told = json!(null);
    eventually("all records", || {
        told = admin(&gateway, "GET", "/audit/log?limit=100", json!(null));
        told["data"].as_array().is_some_and(|rows| rows.len() == 12)
    });
    let rows = told["data"].as_array().expect("rows");
    let from = |address: &str| rows.iter().filter(|row| row["client_ip"] == address).count();
    assert_eq!(addresses.map(from), [6, 6], "{told}");
}

#[test]
fn records_of_familiar_clients_say_what_each_request_said() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "server: {shards: 1}\n");
    let (_, key) = make_key(&gateway, json!({"name": "k", "user_path": "/k", "labels": ["a", "b"]}));
    let asks = ["up/m", "m", "up/n", "up/m", "up/n", "m", "m"];
    let mut links = [gateway.connect(), gateway.connect()];
    for (index, model) in asks.iter().enumerate() {
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        // The second connection says a session of its own.
        for (link, session) in links.iter_mut().zip(["", "session-id: s2\r\n"]) {
            let request =
                String::from_utf8(post_with("/v1/chat/completions", session, body.as_bytes())).unwrap();
            let request =
                request.replace(KEY, &key).replace("host: x\r\n", "host: x\r\nuser-agent: me/1\r\n");
            link.send(request.as_bytes());
            assert_eq!(link.answer(false).status, 200, "{index}");
        }
    }
    let mut told = json!(null);
    eventually("all records", || {
        told = admin(&gateway, "GET", "/audit/log?limit=100", json!(null));
        told["data"].as_array().is_some_and(|rows| rows.len() == 2 * asks.len())
    });
    let mut got: Vec<String> = Vec::new();
    for row in told["data"].as_array().unwrap() {
        for (name, want) in [
            ("path", json!("/v1/chat/completions")),
            ("method", json!("POST")),
            ("user_agent", json!("me/1")),
            ("user_path", json!("/k")),
            ("labels", json!(["a", "b"])),
            ("client_ip", json!("127.0.0.1")),
            ("status_code", json!(200)),
        ] {
            assert_eq!(row[name], want, "{name}: {row}");
        }
        got.push(format!("{} {} {}", row["requested_model"], row["resolved_model"], row["session_id"]));
    }
    let name = |model: &str| model.trim_start_matches("up/").to_owned();
    let mut want: Vec<String> = asks
        .iter()
        .flat_map(|model| {
            ["null", "\"s2\""].map(|session| format!("\"{model}\" \"{}\" {session}", name(model)))
        })
        .collect();
    got.sort();
    want.sort();
    assert_eq!(got, want);
}

#[test]
fn records_of_familiar_clients_say_where_the_price_of_each_request_came_from() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway = start(&data.0, &upstream, "server: {shards: 1}\n");
    let (_, key) = make_key(&gateway, json!({"name": "k"}));
    let mut link = gateway.connect();
    let mut ask = || {
        for _ in 0..3 {
            assert_eq!(chat_over(&mut link, &key, ASK).status, 200);
        }
    };
    ask();
    let dearer = json!({"selector": "up/m", "pricing": {"input_per_mtok": "2", "output_per_mtok": "2"}});
    admin(&gateway, "PUT", "/model-pricing-overrides", dearer);
    ask();
    admin(&gateway, "DELETE", "/model-pricing-overrides?selector=up/m", json!(null));
    ask();
    let mut told = json!(null);
    eventually("all records", || {
        told = admin(&gateway, "GET", "/usage/log?limit=100", json!(null));
        told["data"].as_array().is_some_and(|rows| rows.len() == 9)
    });
    let mut got: Vec<_> = told["data"].as_array().unwrap().iter().collect();
    got.sort_by_key(|row| row["id"].as_str().map(str::to_owned));
    let got: Vec<_> =
        got.iter().map(|row| (row["cost_source"].as_str(), row["total_cost"].as_str())).collect();
    let [settings, api] =
        [(Some("override in the settings"), Some("0.000007")), (Some("admin"), Some("0.000014"))];
    assert_eq!(got, [[settings; 3], [api; 3], [settings; 3]].concat());
}
