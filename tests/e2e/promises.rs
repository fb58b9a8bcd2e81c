//! What is promised to clients: one answer to each request in its place, a reload that moves nobody, ends that cannot be
//! mistaken, memory and time that nobody can take by sending little or much.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::*;

const CHAT_PATH: &str = "/v1/chat/completions";
const HUP: i32 = 1;

/// The settings of a provider that offers these models and no others.
fn offering(port: u16, models: &str) -> String {
    format!("{{type: vllm, base_url: 'http://127.0.0.1:{port}/v1', models: [{models}]}}")
}

/// Answers with the request's body, but does to the client's `"do"` what it says.
fn obedient() -> Upstream {
    Upstream::start(|_, seen, stream| {
        let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        let answer = match body["do"].as_str() {
            Some("close") => return After::Close,
            Some("reset") => return After::Reset,
            Some("half") => b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(),
            Some("401") => json_answer(401, "", r#"{"error":{"message":"bad key"}}"#),
            Some("page") => {
                b"HTTP/1.1 500 X\r\ncontent-type: text/html\r\ncontent-length: 8\r\n\r\n<h1>Oops".to_vec()
            }
            _ => json_answer(200, "", &String::from_utf8_lossy(&seen.body)),
        };
        let _ = stream.write_all(&answer);
        if body["do"] == "half" { After::Close } else { After::KeepAlive }
    })
}

fn start_obedient(upstream: &Upstream) -> Gateway {
    let (up, chat) = (offering(upstream.port, "m"), upstream.port);
    Gateway::start_with(
        &format!(
            "metrics: {{enabled: false}}\nretry: {{max_retries: 0}}\nmodels: {{configured_mode: allowlist}}\nproviders:\n  \
             up: {up}\n  only-chat: {{type: perplexity, base_url: 'http://127.0.0.1:{chat}', api_key: k, models: [c]}}\n"
        ),
        &[],
    )
}

/// Requests that are refused and leave the connection open, with status and code.
fn refused() -> Vec<(Vec<u8>, u16, &'static str)> {
    let chat = |body: &str| post(CHAT_PATH, body);
    let doing = |what: &str| chat(&format!(r#"{{"model":"m","do":"{what}"}}"#));
    let keyless = |line: &str| format!("GET /v1/models HTTP/1.1\r\nhost: x\r\n{line}\r\n").into_bytes();
    vec![
        (keyless(""), 401, "missing_api_key"),
        (keyless("x-api-key: wrong\r\n"), 401, "invalid_api_key"),
        (get("/nowhere"), 404, "unknown_url"),
        (get(CHAT_PATH), 405, "method_not_allowed"),
        (get("/metrics"), 404, "unknown_url"),
        (chat("{broken"), 400, "invalid_json"),
        (chat(r#"{"model":"m","model":"m"}"#), 400, "duplicate_key"),
        (chat(r#"{"model":"nobody"}"#), 404, "model_not_found"),
        (post("/v1/embeddings", r#"{"model":"only-chat/c","input":"x"}"#), 400, "unsupported_endpoint"),
        (doing("close"), 502, "upstream_closed"),
        (doing("reset"), 502, "upstream_closed"),
        (doing("half"), 502, "upstream_closed"),
        (doing("401"), 502, "upstream_auth_error"),
        (doing("page"), 500, "upstream_error"),
    ]
}

#[test]
fn every_refusal_is_said_once_and_the_next_request_on_the_connection_gets_its_own_answer() {
    let upstream = obedient();
    let gateway = start_obedient(&upstream);
    let mut link = gateway.connect();
    let mut turn = 0;
    for (request, status, code) in refused() {
        let next_len = post(CHAT_PATH, r#"{"model":"m","turn":100}"#).len();
        // The next request comes later, in two parts, or at once.
        for cut in [0, 1, 30, next_len - 5, next_len] {
            let body = format!(r#"{{"model":"m","turn":{}}}"#, 100 + turn);
            let next = post(CHAT_PATH, &body);
            link.send(&[&request[..], &next[..cut]].concat());
            let answer = link.answer(false);
            assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{cut}");
            assert_eq!(answer.header("connection"), None, "{code}");
            link.send(&next[cut..]);
            let answer = link.answer(false);
            assert_eq!((answer.status, answer.text()), (200, body), "behind {code}, cut at {cut}");
            turn += 1;
        }
    }
    link.send(&get("/health"));
    assert_eq!(link.answer(false).text(), r#"{"status":"ok"}"#, "nothing is left over");
}

#[test]
fn a_refusal_before_a_body_is_said_once_and_ends_the_connection() {
    let upstream = obedient();
    let gateway = start_obedient(&upstream);
    let wrong = String::from_utf8(post(CHAT_PATH, ASK)).unwrap().replace(KEY, "wrong");
    let put = String::from_utf8(post(CHAT_PATH, ASK)).unwrap().replace("POST ", "PUT ");
    for (request, status) in
        [(post("/nowhere", ASK), 404), (wrong.into_bytes(), 401), (put.into_bytes(), 405)]
    {
        let mut link = gateway.connect();
        link.send(&[request, post(CHAT_PATH, r#"{"model":"m"}"#)].concat());
        let answer = link.answer(false);
        assert_eq!((answer.status, answer.header("connection").as_deref()), (status, Some("close")));
        assert!(link.is_closed(), "{status}");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_request_that_came_while_an_upstream_was_failing_stays_behind_and_whole() {
    for after in [After::Close, After::Reset] {
        let (open, gate) = mpsc::channel::<()>();
        let waiting = Mutex::new((gate, BTreeSet::new()));
        let upstream = Upstream::start(move |_, seen, stream| {
            if find(&seen.body, b"fail").is_some() {
                let (gate, known) = &mut *waiting.lock().unwrap();
                // One that came over a connection from the pool comes again over a new one.
                if known.insert(seen.body.clone()) {
                    let _ = gate.recv();
                }
                return after;
            }
            let _ = stream.write_all(&json_answer(200, "", &String::from_utf8_lossy(&seen.body)));
            After::KeepAlive
        });
        let gateway = Gateway::start(upstream.port, "retry: {max_retries: 0}\n");
        let mut link = gateway.connect();
        let body = r#"{"model":"m","text":"the second"}"#;
        let second = post(CHAT_PATH, body);
        for cut in (0..=second.len()).step_by(11) {
            let before = upstream.requests().len();
            link.send(&post(CHAT_PATH, &format!(r#"{{"model":"m","text":"fail {cut}"}}"#)));
            eventually("the first one at the upstream", || upstream.requests().len() > before);
            link.send(&second[..cut]);
            open.send(()).unwrap();
            let answer = link.answer(false);
            assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_closed"), "{cut}");
            link.send(&second[cut..]);
            let answer = link.answer(false);
            assert_eq!((answer.status, answer.text().as_str()), (200, body), "{after:?}, cut at {cut}");
        }
    }
}

#[test]
fn a_reload_that_swaps_providers_sends_no_prompt_to_the_wrong_one() {
    let (one, two) = (obedient(), obedient());
    let settings = |turn: usize| {
        let (one, two) = (offering(one.port, "a"), offering(two.port, "b"));
        let both = [format!("  one: {one}\n"), format!("  two: {two}\n")];
        let marker = offering(9, &format!("marker-{turn}"));
        format!(
            "server: {{shards: 1}}\nmodels: {{configured_mode: allowlist}}\nproviders:\n{}{}  mark: {marker}\n",
            both[turn % 2],
            both[(turn + 1) % 2]
        )
    };
    let mut gateway = Gateway::start_with(&settings(0), &[]);
    for turn in 1..=6 {
        let prompts: Vec<String> = ["a", "b", "one/x", "two/y"]
            .iter()
            .map(|model| format!(r#"{{"model":"{model}","turn":{turn},"text":"{}"}}"#, "z".repeat(40_000)))
            .collect();
        let mut links: Vec<(Link, Vec<u8>)> = Vec::new();
        for prompt in &prompts {
            let (mut link, request) = (gateway.connect(), post(CHAT_PATH, prompt));
            link.send(&request[..20_000]);
            links.push((link, request));
        }
        // The scrape is a request itself.
        eventually("the halves", || gateway.metric("ringway_requests_in_flight") == 5.0);
        std::fs::write(&gateway.config, settings(turn)).unwrap();
        gateway.signal(HUP);
        gateway.wait_for_line(&format!("(generation {turn})"));
        eventually("the new settings", || {
            gateway.call(&get(&format!("/v1/models/marker-{turn}"))).status == 200
        });
        for (link, request) in &mut links {
            link.send(&request[20_000..]);
            assert_eq!(link.answer(false).status, 200);
        }
    }
    for (upstream, models) in [(&one, ["a", "x"]), (&two, ["b", "y"])] {
        let requests = upstream.requests();
        let bodies = requests.iter().map(|seen| serde_json::from_slice(&seen.body).expect("a whole prompt"));
        let got: BTreeSet<String> =
            bodies.map(|body: serde_json::Value| body["model"].as_str().unwrap().to_owned()).collect();
        assert_eq!((requests.len(), got), (12, models.map(str::to_owned).into()));
    }
}

#[test]
fn a_reload_without_the_key_is_refused_while_others_can_reach_the_gateway() {
    let settings =
        |auth: &str, listen: &str| format!("server: {{listen: ['{listen}']}}\n{auth}providers: {{}}\n");
    let auth = format!("auth: {{master_key: {KEY}}}\n");
    let config = temp_file(&settings(&auth, "0.0.0.0:0"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["serve", "--config"]).arg(&config);
    command.env_remove("RINGWAY_MASTER_KEY").env_remove("RINGWAY_SERVER_LISTEN");
    let mut gateway = Gateway::from(command, config);
    let statuses = |gateway: &Gateway| {
        let keyless = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n";
        (gateway.call(keyless).status, gateway.call(&get("/v1/models")).status)
    };
    assert_eq!(statuses(&gateway), (401, 200));
    let texts = ["is not a loopback address and no key is set", "the new settings have no key"];
    for (turn, listen) in ["0.0.0.0:0", "127.0.0.1:0"].into_iter().enumerate() {
        std::fs::write(&gateway.config, settings("", listen)).unwrap();
        gateway.signal(HUP);
        gateway.wait_for_line(texts[turn]);
        eventually("the word", || gateway.stderr().matches("the old ones stay active").count() == turn + 1);
        assert_eq!(statuses(&gateway), (401, 200), "{listen}");
    }
    std::fs::write(&gateway.config, settings("auth: {master_key: other}\n", "0.0.0.0:0")).unwrap();
    gateway.signal(HUP);
    gateway.wait_for_line("(generation 1)");
    eventually("the new key", || statuses(&gateway) == (401, 401));
}

/// All bytes until the end, and whether that was an orderly one.
fn read_out(link: &mut Link) -> (Vec<u8>, Result<(), ErrorKind>) {
    let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        match link.stream.read(&mut bytes) {
            Ok(0) => return (all, Ok(())),
            Ok(count) => all.extend_from_slice(&bytes[..count]),
            Err(error) => return (all, Err(error.kind())),
        }
    }
}

#[test]
fn a_client_of_the_first_version_sees_a_cut_as_a_reset_and_a_whole_answer_as_an_end() {
    let large = format!(r#"{{"data":"{}"}}"#, "x".repeat(100_000));
    let as_kind = |bytes: Vec<u8>, kind: &str| {
        let at = find(&bytes, b"text/event-stream").unwrap();
        [&bytes[..at], kind.as_bytes(), &bytes[at + 17..]].concat()
    };
    let stream = stream_answer(STREAM.as_bytes(), &[40]);
    let json = as_kind(stream_answer(large.as_bytes(), &[5000]), "application/json");
    let lines = as_kind(stream_answer("{\"a\":1}\n".repeat(9000).as_bytes(), &[800]), "application/x-ndjson");
    for (name, path, whole, ask) in [
        ("a stream", CHAT_PATH, stream.clone(), ASK_STREAM),
        ("a large answer", CHAT_PATH, json, ASK),
        ("lines", "/p/up/lines", lines, ASK),
        ("an unknown stream", "/v1/things", stream, ASK),
    ] {
        // Behind the first event, and where only the last chunk's end is missing.
        for (cut, after) in [
            (whole.len() * 3 / 4, After::Close),
            (whole.len() * 3 / 4, After::Reset),
            (whole.len() - 5, After::Close),
            (whole.len() - 1, After::Close),
            (whole.len(), After::KeepAlive),
        ] {
            let upstream = Upstream::answering(&whole[..cut], after);
            let gateway = Gateway::start(upstream.port, "retry: {max_retries: 0}\n");
            let mut link = gateway.connect();
            let request = String::from_utf8(post(path, ask)).unwrap().replace("HTTP/1.1", "HTTP/1.0");
            link.send(request.as_bytes());
            let (said, end) = read_out(&mut link);
            let want = if cut == whole.len() { Ok(()) } else { Err(ErrorKind::ConnectionReset) };
            let shown = String::from_utf8_lossy(&said);
            assert_eq!(end, want, "{name} cut at {cut} of {}: {shown:.300}", whole.len());
            assert!(!shown.contains("chunked"), "{name}: {shown:.300}");
        }
    }
}

#[test]
fn bodies_that_mean_nothing_are_neither_waited_for_nor_held() {
    let gateway = Gateway::start_with("server: {shards: 1}\nproviders: {}\n", &[]);
    let length = 10 << 20;
    let announced = |method: &str, path: &str, framing: &str| {
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n").into_bytes()
    };
    // The first of each kind makes what is kept for the next ones.
    gateway.call(&get("/metrics"));
    let rss = gateway.rss_kib();
    let with_length = format!("content-length: {length}");
    let mut links = Vec::new();
    for (method, path, status) in [
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("OPTIONS", CHAT_PATH, 204),
        ("GET", "/health/ready", 503),
    ] {
        for turn in 0..20 {
            let framing = if turn % 2 == 0 { &with_length } else { "transfer-encoding: chunked" };
            let mut link = gateway.connect();
            link.send(&announced(method, path, framing));
            let answer = link.answer(false);
            assert_eq!(
                (answer.status, answer.header("connection").as_deref()),
                (status, Some("close")),
                "{path}"
            );
            let begun = if turn % 2 == 0 { String::new() } else { format!("{length:x}\r\n") };
            link.send(begun.as_bytes());
            link.send(&vec![b'x'; length]);
            links.push(link);
        }
    }
    let grown = gateway.rss_kib().saturating_sub(rss);
    assert!(grown < 6 * 1024, "{grown} KiB for bodies that nobody wants");
    assert!(links.iter_mut().all(Link::is_closed), "what came behind is no request");
}

#[test]
fn a_gateway_that_is_its_own_provider_says_so_and_lives_on() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!(
        "models: {{configured_mode: allowlist}}\nproviders:\n  me: {{type: openai, base_url: 'http://127.0.0.1:{port}/v1', \
         api_key: {KEY}, models: [m]}}\n"
    );
    let listen = format!("127.0.0.1:{port}");
    let gateway = Gateway::start_with(&settings, &[("RINGWAY_SERVER_LISTEN", &listen)]);
    let mut link = gateway.connect();
    for _ in 0..20 {
        for request in [post(CHAT_PATH, r#"{"model":"m"}"#), get("/p/me/things"), post("/v1/things", "{}")] {
            link.send(&request);
            let answer = link.answer(false);
            assert_eq!((answer.status, answer.error_code().as_str()), (508, "loop_detected"));
        }
    }
    assert_eq!(gateway.call(&get("/health")).status, 200);
    assert!(gateway.fds() < 200, "{} descriptors", gateway.fds());
}

#[test]
fn a_body_that_drips_is_cut_and_one_that_flows_is_not() {
    let upstream = obedient();
    let gateway = Gateway::start(upstream.port, "server: {body_timeout: 1500ms}\n");
    for framing in ["content-length: 4000", "transfer-encoding: chunked"] {
        let mut link = gateway.connect();
        link.send(
            format!("POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n{framing}\r\n\r\n")
                .as_bytes(),
        );
        let mut writer = link.stream.try_clone().unwrap();
        let piece: &[u8] = if framing.starts_with("content") { b"x" } else { b"1\r\nx\r\n" };
        // Every pause is allowed by itself, by far; all of the body would take longer than the test waits for an answer.
        let sender = thread::spawn(move || {
            while writer.write_all(piece).is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        let answer = link.answer(false);
        assert_eq!((answer.status, answer.error_code().as_str()), (408, "client_body_cut"), "{framing}");
        drop(link.read_to_end());
        drop(link);
        sender.join().unwrap();
    }
    // Longer than the timeout on the whole, and never slow.
    let gateway = Gateway::start(upstream.port, "server: {body_timeout: 1s}\n");
    let body = format!(r#"{{"model":"m","text":"{}"}}"#, "y".repeat(1 << 20));
    let mut link = gateway.connect();
    for piece in post(CHAT_PATH, &body).chunks(40_000) {
        link.send(piece);
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(link.answer(false).text(), body);
}

#[test]
fn bodies_beyond_the_memory_for_them_are_turned_away_and_later_ones_taken() {
    let upstream = obedient();
    let gateway = Gateway::start(upstream.port, "server: {shards: 1, held_max: 1M}\n");
    let large = format!(r#"{{"model":"m","text":"{}"}}"#, "y".repeat(700_000));
    let (whole, chunk) = (post(CHAT_PATH, &large), format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len()));
    let chunked = format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"
    );
    for second in [&whole, chunked.as_bytes()] {
        for first_leaves in [false, true] {
            let mut first = gateway.connect();
            first.send(&whole[..650_000]);
            // The scrape is a request itself.
            eventually("the first one", || gateway.metric("ringway_requests_in_flight") == 2.0);
            let answer = gateway.call(second);
            assert_eq!((answer.status, answer.error_code().as_str()), (503, "overloaded"));
            assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
            assert_eq!(gateway.chat(r#"{"model":"m"}"#).status, 200, "small ones have room");
            if first_leaves {
                drop(first);
                eventually("its end", || gateway.metric("ringway_requests_in_flight") == 1.0);
            } else {
                first.send(&whole[650_000..]);
                assert_eq!(first.answer(false).text(), large);
            }
            assert_eq!(gateway.call(second).text(), large);
        }
    }
}
