//! What is promised about providers: nothing of one request in the next, nothing of the client's that is ours, nothing
//! sent twice that must not be, and none of the gateway's secrets in their errors.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::support::*;

const CHAT_PATH: &str = "/v1/chat/completions";
/// One try more, at once, and never a lack of budget.
const TWICE: &str =
    "retry: {max_retries: 1, initial_backoff: 1ms, max_backoff: 2ms, budget_per_second: 1000}\n";
const ONCE: &str = "retry: {max_retries: 0}\n";

/// The values of a header, in every line that has it.
fn values(head: &str, name: &str) -> Vec<String> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
}

/// An upstream that answers requests of the user agent `early` when it has their head, and takes down what follows on the
/// connection. Others are answered with their body.
struct Early {
    port: u16,
    behind: Arc<Mutex<Vec<u8>>>,
    connections: Arc<AtomicUsize>,
}

fn early() -> Early {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // What a connection takes unread must be less than the bodies.
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(128).unwrap();
    let listener = TcpListener::from(socket);
    let early = Early {
        port: listener.local_addr().unwrap().port(),
        behind: Arc::default(),
        connections: Arc::default(),
    };
    let (behind, connections) = (early.behind.clone(), early.connections.clone());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (behind, connections) = (behind.clone(), connections.clone());
            thread::spawn(move || serve_early(stream, &behind, &connections));
        }
    });
    early
}

fn serve_early(mut stream: TcpStream, behind: &Mutex<Vec<u8>>, connections: &AtomicUsize) {
    let mut input = Vec::new();
    let mut bytes = [0; 4096];
    let mut is_known = false;
    loop {
        while find(&input, b"\r\n\r\n").is_none() {
            match stream.read(&mut bytes) {
                Ok(count) if count > 0 => input.extend_from_slice(&bytes[..count]),
                _ => return,
            }
        }
        if !std::mem::replace(&mut is_known, true) {
            connections.fetch_add(1, Ordering::SeqCst);
        }
        if find(&input, b"user-agent: early").is_some() {
            let _ = stream.write_all(&json_answer(200, "", r#"{"early":true}"#));
            while let Ok(count) = stream.read(&mut bytes) {
                behind.lock().unwrap().extend_from_slice(&bytes[..count]);
                if count == 0 {
                    return;
                }
            }
            return;
        }
        let Some(seen) = read_request(&mut stream, &mut input) else { return };
        let _ = stream.write_all(&json_answer(200, "", &String::from_utf8_lossy(&seen.body)));
    }
}

#[test]
fn a_connection_with_an_early_answer_serves_nobody_else() {
    let upstream = early();
    let gateway = Gateway::start_with(
        &format!(
            "server: {{shards: 1, body_max: 32M}}\n{ONCE}models: {{configured_mode: allowlist}}\nproviders:\n  up: {{type: \
             vllm, base_url: 'http://127.0.0.1:{}/v1', models: [m]}}\n",
            upstream.port
        ),
        &[],
    );
    let streamed = |framing: &str, body: &str| {
        format!("PUT /p/up/x HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nuser-agent: early\r\n{framing}\r\n\r\n{body}")
            .into_bytes()
    };
    let large = format!(r#"{{"model":"m","text":"{}"}}"#, "x".repeat(20 << 20));
    let cases = [
        ("a length", streamed("content-length: 50000", "the first bytes")),
        ("chunks", streamed("transfer-encoding: chunked", "5\r\nfirst\r\n")),
        ("a held body", post_with(CHAT_PATH, "user-agent: early\r\n", large.as_bytes())),
    ];
    for (name, request) in cases {
        // With an empty pool, and with a connection in it.
        for turn in 0..2 {
            let mut link = gateway.connect();
            let before = upstream.connections.load(Ordering::SeqCst);
            link.send(&request);
            let answer = link.answer(false);
            assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"early":true}"#), "{name}");
            let body = format!(r#"{{"model":"m","next":{turn}}}"#);
            let answer = gateway.chat(&body);
            assert_eq!((answer.status, answer.text()), (200, body), "{name}");
            assert!(upstream.connections.load(Ordering::SeqCst) > before, "{name}: a new connection");
        }
    }
    eventually("the ends", || gateway.metric("ringway_requests_in_flight") == 1.0);
    let behind = upstream.behind.lock().unwrap().clone();
    assert!(find(&behind, b"HTTP/1.1").is_none(), "a request came behind half a body");
}

#[test]
fn bytes_of_a_body_that_a_204_cannot_have_reach_nobody() {
    for (lines, bytes) in [
        ("content-length: 5\r\n", "hello"),
        ("content-length: 5\r\ncontent-type: application/json\r\n", "hello"),
        ("transfer-encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        for comes_late in [false, true] {
            let streams = Arc::new(Mutex::new(Vec::new()));
            let inner = streams.clone();
            let upstream = Upstream::start(move |_, seen, stream| {
                if find(&seen.body, b"empty").is_none() {
                    let _ = stream.write_all(&json_answer(200, "", &String::from_utf8_lossy(&seen.body)));
                    return After::KeepAlive;
                }
                inner.lock().unwrap().push(stream.try_clone().expect("a second handle"));
                let rest = if comes_late { "" } else { bytes };
                let head = format!("HTTP/1.1 204 No Content\r\n{lines}\r\n{rest}");
                let _ = stream.write_all(head.as_bytes());
                After::KeepAlive
            });
            let gateway = Gateway::start(upstream.port, &format!("server: {{shards: 1}}\n{ONCE}"));
            let mut link = gateway.connect();
            for path in [CHAT_PATH, "/v1/things", "/p/up/things"] {
                for turn in 0..5 {
                    link.send(&post(path, r#"{"model":"m","empty":1}"#));
                    let answer = link.answer(false);
                    assert_eq!(answer.status, 204, "{path} {lines:?}: {}", answer.head);
                    assert_eq!(answer.header("content-length"), None, "{path} {lines:?}");
                    assert_eq!(answer.header("transfer-encoding"), None, "{path} {lines:?}");
                    if comes_late {
                        // On loopback these bytes are in the gateway's socket when the write returns.
                        let _ = streams.lock().unwrap().last_mut().unwrap().write_all(bytes.as_bytes());
                    }
                    let body = format!(r#"{{"model":"m","turn":{turn}}}"#);
                    link.send(&post(path, &body));
                    let answer = link.answer(false);
                    assert_eq!((answer.status, answer.text()), (200, body), "{path} {lines:?} {comes_late}");
                }
            }
        }
    }
}

#[test]
fn lines_and_events_of_unknown_endpoints_arrive_one_by_one_and_to_the_last() {
    const LINES: [&str; 3] = ["{\"n\":1}\n", "{\"n\":2}\n", "{\"n\":3}\n"];
    for is_chunked in [true, false] {
        let (open, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let upstream = Upstream::start(move |_, _, stream| {
            let framing = if is_chunked { "transfer-encoding: chunked\r\n" } else { "" };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n{framing}\r\n");
            let _ = stream.write_all(head.as_bytes());
            for line in LINES {
                let piece =
                    if is_chunked { format!("{:x}\r\n{line}\r\n", line.len()) } else { line.to_owned() };
                let _ = stream.write_all(piece.as_bytes());
                let _ = gate.lock().unwrap().recv();
            }
            let _ = stream.write_all(if is_chunked { b"0\r\n\r\n" } else { b"" });
            if is_chunked { After::KeepAlive } else { After::Close }
        });
        let gateway = Gateway::start(upstream.port, "");
        for path in ["/p/up/api/chat", "/v1/things"] {
            let mut link = gateway.connect();
            link.send(&post(path, ASK));
            for line in LINES {
                // The next one is not sent before this one has come.
                link.read_until(line);
                open.send(()).unwrap();
            }
            let rest = String::from_utf8(link.read_to_end_of(is_chunked)).unwrap();
            assert_eq!(rest, if is_chunked { "\r\n0\r\n\r\n" } else { "" }, "{path}");
        }
    }
    let events = "event: a\ndata: 1\n\ndata: the last one\n";
    let length = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{events}",
        events.len()
    );
    let until_close = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{events}");
    for (bytes, after) in [
        (stream_answer(events.as_bytes(), &[7]), After::KeepAlive),
        (length.into_bytes(), After::KeepAlive),
        (until_close.into_bytes(), After::Close),
    ] {
        let upstream = Upstream::answering(bytes, after);
        let gateway = Gateway::start(upstream.port, "");
        for path in ["/p/up/stream", "/v1/things"] {
            let answer = gateway.call(&post(path, ASK_STREAM));
            assert_eq!((answer.text().as_str(), answer.is_whole), (events, true), "{path} {after:?}");
        }
    }
}

impl Link {
    /// What comes behind the last line: the end of the chunks, or the end of the connection.
    fn read_to_end_of(&mut self, is_chunked: bool) -> Vec<u8> {
        if is_chunked { self.read_until("0\r\n\r\n").into_bytes() } else { self.read_to_end() }
    }
}

#[test]
fn on_unknown_endpoints_only_what_may_be_repeated_is_sent_again() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let faults: [(&str, String, After); 8] = [
        ("a close", String::new(), After::Close),
        ("a reset", String::new(), After::Reset),
        ("half a head", format!("{ok}content-le"), After::Close),
        ("half a head and a reset", format!("{ok}content-le"), After::Reset),
        ("no HTTP", "garbage\r\n\r\n".to_owned(), After::Close),
        ("half a body", format!("{ok}content-length: 9\r\n\r\nhalf"), After::Close),
        ("half a body and a reset", format!("{ok}content-length: 9\r\n\r\nhalf"), After::Reset),
        ("a bad status", "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n".to_owned(), After::KeepAlive),
    ];
    let script = faults.clone();
    let tries: Mutex<HashMap<String, usize>> = Mutex::default();
    // The target names the fault of the first try; a second one would be answered.
    let upstream = Upstream::start(move |_, seen, stream| {
        let target = seen.head.lines().next().unwrap().to_owned();
        let count = *tries.lock().unwrap().entry(target.clone()).and_modify(|count| *count += 1).or_insert(1);
        let fault = target.split("fault-").nth(1).map(|rest| usize::from(rest.as_bytes()[0] - b'0'));
        match fault {
            Some(fault) if count == 1 => {
                let _ = stream.write_all(script[fault].1.as_bytes());
                script[fault].2
            }
            _ => {
                let _ = stream.write_all(&json_answer(200, "", "{}"));
                After::KeepAlive
            }
        }
    });
    let gateway = Gateway::start(upstream.port, &format!("server: {{shards: 1}}\n{TWICE}"));
    let methods = [
        ("GET", "", false),
        ("PUT", "", false),
        ("DELETE", "", false),
        ("POST", "", true),
        ("PATCH", "", true),
    ];
    let with_key = [("POST", "idempotency-key: a\r\n", false)];
    for (fault, (name, ..)) in faults.iter().enumerate() {
        for base in ["/p/up/x", "/v1/things"] {
            for (method, line, is_single) in methods.into_iter().chain(with_key) {
                for is_pooled in [false, true] {
                    if is_pooled {
                        assert_eq!(gateway.call(&get("/p/up/fine")).status, 200);
                    }
                    let target = format!("{base}?fault-{fault}-{method}-{is_pooled}-{}", line.len());
                    let body = if method == "GET" { "" } else { "{}" };
                    let request = String::from_utf8(post_with(&target, line, body.as_bytes())).unwrap();
                    let answer = gateway.call(request.replace("POST ", &format!("{method} ")).as_bytes());
                    let seen = upstream.requests();
                    let tries = seen.iter().filter(|seen| {
                        seen.head.contains(&target[base.len()..])
                            && seen.head.contains(if base == "/p/up/x" { "/v1/x?" } else { "/things?" })
                    });
                    let (tries, shown) =
                        (tries.count(), format!("{method} {target}: {name}: {}", answer.head));
                    // Before the first byte of an answer has left, that is.
                    let can_repeat = !is_single && fault < 5;
                    assert_eq!(tries, 1 + usize::from(can_repeat), "{shown}");
                    match fault {
                        _ if can_repeat => assert_eq!(answer.status, 200, "{shown}"),
                        0..5 => assert_eq!(answer.status, 502, "{shown}"),
                        5 | 6 => assert!(!answer.is_whole || answer.status == 502, "{shown}"),
                        _ => assert_eq!(answer.status, 503, "{shown}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_chunked_body_of_an_unknown_endpoint_finds_its_provider() {
    let (one, two) = (
        Upstream::answering(json_answer(200, "", "1"), After::KeepAlive),
        Upstream::answering(json_answer(200, "", "2"), After::KeepAlive),
    );
    let provider = |port: u16| format!("{{type: vllm, base_url: 'http://127.0.0.1:{port}/v1'}}");
    let settings = format!("providers:\n  up: {}\n  up2: {}\n", provider(one.port), provider(two.port));
    let gateway = Gateway::start_with(&settings, &[]);
    let body = r#"{ "input" : "up2/y", "model":"up2/x" }"#;
    for size in [1, 5, 100] {
        let chunks: String = body
            .as_bytes()
            .chunks(size)
            .map(|piece| format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece)))
            .collect();
        let answer = gateway.call(format!("POST /v1/moderations HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").as_bytes());
        assert_eq!((answer.status, answer.text().as_str()), (200, "2"), "{size}");
        let seen = two.requests().pop().unwrap();
        assert!(seen.head.starts_with("POST /v1/moderations "), "{}", seen.head);
        assert_eq!(String::from_utf8_lossy(&seen.body), body.replace("up2/x", "x"));
    }
    assert!(one.requests().is_empty());
}

#[test]
fn a_clients_headers_never_stand_in_for_ours_nor_hide_as_others() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start_with(
        &format!(
            "providers:\n  az: {{type: azure, base_url: 'http://127.0.0.1:{}/openai/deployments/d', api_key: \
             {UPSTREAM_KEY}, headers: {{x-team: search}}, models: [m]}}\n",
            upstream.port
        ),
        &[],
    );
    let evil = [
        "api-key",
        "API-Key",
        "api_key",
        "x-api-key",
        "x-goog-api-key",
        "x-team",
        "X-Team",
        "x_team",
        "x-original-url",
        "x_original_url",
        "x-rewrite-url",
        "transfer_encoding",
        "content_length",
        "x-forwarded-for",
        "x_forwarded_for",
        "x_request_id",
        "accept_encoding",
        "cookie",
        "proxy_authorization",
    ];
    let show_key = format!("authorization: Bearer {KEY}\r\n");
    for name in evil {
        let lines = format!("{show_key}{name}: evil\r\nx-custom: kept\r\nmy_header: kept\r\n");
        for (path, body) in [("/p/az/x", "{}"), (CHAT_PATH, ASK), ("/v1/things", "{}")] {
            let length = body.len();
            let answer = gateway.call(
                format!("POST {path} HTTP/1.1\r\nhost: x\r\n{lines}content-length: {length}\r\n\r\n{body}")
                    .as_bytes(),
            );
            assert_eq!(answer.status, 200, "{name} {path}: {}", answer.text());
            let seen = upstream.requests().pop().unwrap();
            assert!(!seen.head.contains("evil") && !seen.head.contains(KEY), "{path}: {}", seen.head);
            assert_eq!(values(&seen.head, "api-key"), [UPSTREAM_KEY], "{path}");
            assert_eq!(values(&seen.head, "x-team"), ["search"], "{path}");
            let kept = if path == CHAT_PATH { None } else { Some("kept".to_owned()) };
            assert_eq!((seen.header("x-custom"), seen.header("my_header")), (kept.clone(), kept), "{path}");
        }
    }
    // The key that let the client in may stand in the very header that ours goes into.
    let answer =
        gateway.call(format!("GET /p/az/x HTTP/1.1\r\nhost: x\r\napi-key: {KEY}\r\n\r\n").as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(values(&upstream.requests().pop().unwrap().head, "api-key"), [UPSTREAM_KEY]);
}

#[test]
fn a_providers_word_on_retries_counts_and_the_client_hears_one() {
    let json = r#"{"error":{"message":"x"}}"#;
    let page = "HTTP/1.1 503 X\r\ncontent-type: text/html\r\nX-SHOULD-RETRY\r\ncontent-length: 4\r\n\r\nbusy";
    let saying = |word: &str| page.replace("X-SHOULD-RETRY", word).into_bytes();
    for (bytes, status, tries, want) in [
        (json_answer(503, "x-should-retry: false\r\n", json), 503, 1, "false"),
        (json_answer(400, "x-should-retry: true\r\n", json), 400, 2, "false"),
        (json_answer(503, "x-should-retry: true\r\n", json), 503, 2, "false"),
        (json_answer(503, "", json), 503, 2, "false"),
        (json_answer(401, "x-should-retry: true\r\n", json), 502, 2, "false"),
        (saying("x-should-retry: true"), 503, 2, "false"),
        (saying("x-should-retry: false"), 503, 1, "false"),
        (saying("x-other: 1"), 503, 2, "false"),
    ] {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let upstream = Upstream::answering(bytes, After::KeepAlive);
        let gateway = Gateway::start(upstream.port, TWICE);
        let answer = gateway.chat(ASK);
        assert_eq!((answer.status, upstream.requests().len()), (status, tries), "{shown}");
        assert_eq!(values(&answer.head, "x-should-retry"), [want], "{shown}: {}", answer.head);
    }
}

#[test]
fn a_date_to_ask_again_at_is_kept_to_or_handed_on() {
    // A pause of our own would be longer than the test waits for an answer.
    let patient = "retry: {max_retries: 1, initial_backoff: 60s, max_backoff: 60s, jitter_factor: 0.0}\n";
    let date = |time: SystemTime| httpdate::fmt_http_date(time);
    let past = date(SystemTime::now() - Duration::from_secs(3600));
    let far = date(SystemTime::now() + Duration::from_secs(3600));
    for (date, status, tries) in [(past, 200, 2), (far, 429, 1)] {
        let line = format!("retry-after: {date}\r\n");
        let upstream = Upstream::start(move |number, _, stream| {
            let error = json_answer(429, &line, r#"{"error":{"message":"x"}}"#);
            let _ = stream.write_all(&if number == 0 { error } else { json_answer(200, "", CHAT) });
            After::KeepAlive
        });
        let gateway = Gateway::start(upstream.port, patient);
        let answer = gateway.chat(ASK);
        assert_eq!((answer.status, upstream.requests().len()), (status, tries), "{date}");
        assert_eq!(values(&answer.head, "retry-after"), if status == 429 { vec![date] } else { vec![] });
    }
}

#[test]
fn a_page_that_shows_the_gateways_key_is_passed_on_without_it() {
    let lines = "content-type: text/html\r\nx-ratelimit-remaining-tokens: 7\r\nx-request-id: req_up\r\nretry-after: 9\r\n";
    let head = |framing: &str| format!("HTTP/1.1 429 X\r\n{lines}{framing}\r\n");
    let at = |before: usize| format!("{}{UPSTREAM_KEY}{}", "x".repeat(before), "y".repeat(900));
    // The page is shown in part: the key may stand across the place where it is cut.
    for before in (0..20).map(|less| 2048 - less).chain([0, 3, 100]) {
        let page = at(before);
        let length = head(&format!("content-length: {}\r\n", page.len())) + &page;
        let chunks: String = page
            .as_bytes()
            .chunks(5)
            .map(|piece| format!("{}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece)))
            .collect();
        let chunked = head("transfer-encoding: chunked\r\n") + &chunks + "0\r\n\r\n";
        for bytes in [length, chunked] {
            check_page(bytes, After::KeepAlive, before < 2000);
        }
    }
    // Of a large page only what is here already is shown, and that may end inside the key.
    for part in [4, 8, UPSTREAM_KEY.len() - 1] {
        let begun = format!("<p>Your key was {}", &UPSTREAM_KEY[..part]);
        check_page(head("content-length: 90000\r\n") + &begun, After::Hold, true);
    }
}

fn check_page(bytes: String, after: After, shows_stars: bool) {
    let upstream = Upstream::answering(bytes, after);
    let gateway = Gateway::start(upstream.port, ONCE);
    let answer = gateway.chat(ASK);
    let shown = format!("{} {}", answer.head, answer.text());
    assert_eq!((answer.status, answer.error_code().as_str()), (429, "upstream_error"), "{shown}");
    assert!(!answer.text().contains(&UPSTREAM_KEY[..4]), "{shown}");
    assert!(answer.text().contains("****") || !shows_stars, "{shown}");
    let header = |name: &str| values(&answer.head, name);
    assert_eq!(header("x-ratelimit-remaining-tokens"), ["7"], "{shown}");
    assert_eq!(header("x-upstream-request-id"), ["req_up"], "{shown}");
    assert_eq!(header("retry-after"), ["9"], "{shown}");
    assert_eq!(header("x-request-id").len(), 1, "{shown}");
}
