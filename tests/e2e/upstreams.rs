//! Upstreams that misbehave: a broken answer never looks complete, is tried again only where that is allowed, and
//! leaves the gateway as it was.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::*;

const FAST: &str = "upstream: {connect_timeout: 1s, first_byte_timeout: 300ms, idle_timeout: 300ms}\nretry: {max_retries: 0}\n";

/// Answers that are broken, with what follows on the connection.
#[expect(clippy::too_many_lines, reason = "a table")]
fn broken() -> Vec<(&'static str, Vec<u8>, After)> {
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let sse = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let text = |text: String| text.into_bytes();
    let mut cases = vec![
        ("nothing", Vec::new(), After::Close),
        ("nothing and a reset", Vec::new(), After::Reset),
        ("silence", Vec::new(), After::Hold),
        ("half a status line", b"HTTP/1.1 2".to_vec(), After::Close),
        ("half a head", text(ok.to_owned()), After::Close),
        ("half a head and silence", text(ok.to_owned()), After::Hold),
        ("half a head and a reset", text(ok.to_owned()), After::Reset),
        ("garbage", b"\x16\x03\x01 garbage\r\n\r\n".to_vec(), After::Close),
        ("HTTP/2", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00".to_vec(), After::Hold),
        ("HTTP/2 version", b"HTTP/2 200\r\n\r\n".to_vec(), After::Close),
        ("a bare LF head", b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}".to_vec(), After::Close),
        (
            "two lengths",
            text(format!("{ok}content-length: 2\r\ncontent-length: 2\r\n\r\n{{}}")),
            After::KeepAlive,
        ),
        (
            "two unequal lengths",
            text(format!("{ok}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}")),
            After::KeepAlive,
        ),
        (
            "length and encoding",
            text(format!("{ok}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")),
            After::KeepAlive,
        ),
        ("a negative length", text(format!("{ok}content-length: -2\r\n\r\n{{}}")), After::Close),
        ("a length of words", text(format!("{ok}content-length: two\r\n\r\n{{}}")), After::Close),
        (
            "gzip framing",
            text(format!("{ok}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
            After::Close,
        ),
        ("NUL in a header", text(format!("{ok}x: a\0b\r\ncontent-length: 2\r\n\r\n{{}}")), After::Close),
        ("CR in a header", text(format!("{ok}x: a\rb\r\ncontent-length: 2\r\n\r\n{{}}")), After::Close),
        ("a folded header", text(format!("{ok}x: a\r\n b\r\ncontent-length: 2\r\n\r\n{{}}")), After::Close),
        ("a space before a colon", text(format!("{ok}x : a\r\ncontent-length: 2\r\n\r\n{{}}")), After::Close),
        ("no status", b"HTTP/1.1 \r\ncontent-length: 2\r\n\r\n{}".to_vec(), After::Close),
        ("status 99", b"HTTP/1.1 099 X\r\ncontent-length: 2\r\n\r\n{}".to_vec(), After::Close),
        ("status 700", b"HTTP/1.1 700 X\r\ncontent-length: 2\r\n\r\n{}".to_vec(), After::Close),
        ("another protocol", b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n".to_vec(), After::Hold),
        ("endless interim answers", b"HTTP/1.1 100 Continue\r\n\r\n".repeat(40), After::Hold),
        (
            "a large head",
            [ok.as_bytes(), &b"x: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(2000)].concat(),
            After::Close,
        ),
        ("an endless header", [ok.as_bytes(), b"x: ", &vec![b'a'; 100_000]].concat(), After::Close),
        ("a short body", text(format!("{ok}content-length: 20\r\n\r\n{{}}")), After::Close),
        ("a short body and a reset", text(format!("{ok}content-length: 20\r\n\r\n{{}}")), After::Reset),
        ("a short body and silence", text(format!("{ok}content-length: 20\r\n\r\n{{}}")), After::Hold),
        (
            "compressed though asked not to",
            text(format!("{ok}content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{{}}")),
            After::KeepAlive,
        ),
        ("half JSON until close", text(format!("{ok}\r\n{{\"a\":")), After::Close),
    ];
    for size in ["g", "-2", " 2", "0x2", "11111111111111111", "2;\u{1}", ""] {
        cases.push((
            "a bad chunk size",
            text(format!("{ok}transfer-encoding: chunked\r\n\r\n{size}\r\n{{}}\r\n0\r\n\r\n")),
            After::Close,
        ));
    }
    for body in ["2\r\n{}", "2\r\n{}\r\n", "2\r\n{}\r\n0\r\n", "5\r\n{}\r\n0\r\n\r\n"] {
        cases.push((
            "a cut chunked body",
            text(format!("{ok}transfer-encoding: chunked\r\n\r\n{body}")),
            After::Close,
        ));
    }
    for body in ["", "5\r\ndata:", "a\r\ndata: {}\n\n\r\n", "a\r\ndata: {}\n\n\r\nzz\r\n"] {
        for after in [After::Close, After::Reset, After::Hold] {
            cases.push(("a cut stream", text(format!("{sse}{body}")), after));
        }
    }
    cases
}

#[test]
fn broken_answers_become_errors_and_the_next_request_is_fine() {
    let cases = broken();
    assert!(cases.len() >= 40, "{} cases", cases.len());
    let answers: Vec<(Vec<u8>, After)> =
        cases.iter().map(|(_, bytes, after)| (bytes.clone(), *after)).collect();
    // The body names the case: a connection that was closed under a request is tried again, and gets the same.
    let upstream = Upstream::start(move |_, seen, stream| {
        let body: serde_json::Value = serde_json::from_slice(&seen.body).expect("the request's own body");
        let Some(case) = body["case"].as_u64() else {
            let _ = stream.write_all(&json_answer(200, "", CHAT));
            return After::KeepAlive;
        };
        let (bytes, after) = &answers[usize::try_from(case).unwrap()];
        let _ = stream.write_all(bytes);
        *after
    });
    let gateway = Gateway::start(upstream.port, FAST);
    // The first request of every kind makes what is kept for the next ones.
    assert_eq!(gateway.chat(ASK).status, 200);
    let rss = gateway.rss_kib();
    for (index, (name, bytes, after)) in cases.iter().enumerate() {
        let answer = gateway.chat(&ASK_STREAM.replace("\"stream\"", &format!("\"case\":{index},\"stream\"")));
        let shown = format!("{name} ({after:?}): {} {}", answer.head, answer.text());
        if answer.status == 200 {
            assert!(!answer.is_whole && !answer.text().contains("[DONE]"), "{shown}");
            let is_stream = String::from_utf8_lossy(bytes).contains("event-stream");
            assert_eq!(answer.text().contains(r#"data: {"error":{"message""#), is_stream, "{shown}");
        } else {
            assert!(matches!(answer.status, 502 | 504), "{shown}");
            assert!(answer.error_code().starts_with("upstream_"), "{shown}");
        }
        let next = gateway.chat(ASK);
        assert_eq!((next.status, next.text().as_str()), (200, CHAT), "after {name}");
    }
    assert!(gateway.rss_kib() < rss + 8 * 1024, "memory stays bounded");
}

#[test]
fn a_cut_at_any_byte_never_looks_complete() {
    let stream = stream_answer(STREAM.as_bytes(), &[40]);
    let json = json_answer(200, "", CHAT);
    for (whole, ask) in [(stream, ASK_STREAM), (json, ASK)] {
        let bytes = whole.clone();
        let upstream = Upstream::start(move |number, _, upstream| {
            let _ = upstream.write_all(&bytes[..number]);
            if number % 2 == 0 { After::Close } else { After::Reset }
        });
        let gateway = Gateway::start(upstream.port, FAST);
        for cut in 0..whole.len() {
            let answer = gateway.chat(ask);
            let shown = format!("cut at {cut}: {} {}", answer.head, answer.text());
            if answer.status == 200 {
                assert!(!answer.is_whole, "{shown}");
                let has_error = answer.text().contains("\"error\":{");
                assert!(has_error, "{shown}");
                // All events may have come when only the framing's end is missing; the error still follows them.
                assert!(!answer.text().ends_with("[DONE]\n\n"), "{shown}");
            } else {
                assert!(matches!(answer.status, 502 | 504), "{shown}");
                answer.error_code();
            }
        }
    }
}

#[test]
fn a_chat_stream_without_its_marker_and_finish_is_an_error() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n";
    let upstream = Upstream::answering(stream_answer(body.as_bytes(), &[1000]), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, FAST);
    let answer = gateway.chat(ASK_STREAM);
    assert!(!answer.is_whole && answer.text().starts_with(body) && answer.text().contains("upstream_cut"));
}

#[test]
fn bytes_behind_an_answer_spoil_the_connection_and_reach_nobody() {
    const SMUGGLED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled";
    for comes_with_the_answer in [true, false] {
        let behind = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let streams = behind.clone();
        let upstream = Upstream::start(move |_, _, stream| {
            let more = if comes_with_the_answer { SMUGGLED } else { b"" };
            streams.lock().unwrap().push(stream.try_clone().expect("a second handle"));
            let _ = stream.write_all(&[&json_answer(200, "", CHAT)[..], more].concat());
            After::KeepAlive
        });
        let gateway = Gateway::start(upstream.port, FAST);
        for _ in 0..20 {
            assert_eq!(gateway.chat(ASK).text(), CHAT);
            if !comes_with_the_answer {
                // On loopback these bytes are in the gateway's socket when the write returns.
                let _ = behind.lock().unwrap().last_mut().expect("an answer was sent").write_all(SMUGGLED);
            }
        }
    }
}

#[test]
fn a_client_that_leaves_closes_its_upstream() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\na\r\ndata: {}\n\n\r\n";
    for begun in ["", head] {
        let upstream = Upstream::answering(begun.as_bytes(), After::Hold);
        let gateway = Gateway::start(upstream.port, "");
        for is_reset in [false, true] {
            let before = upstream.released.load(Ordering::SeqCst);
            let mut link = gateway.connect();
            link.send(&post("/v1/chat/completions", ASK_STREAM));
            if begun.is_empty() {
                eventually("the request at the upstream", || upstream.requests().len() > before);
            } else {
                link.read_until("data: {}");
            }
            if is_reset {
                socket2::SockRef::from(&link.stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(link);
            eventually("the upstream to be closed", || upstream.released.load(Ordering::SeqCst) > before);
        }
    }
}

#[test]
fn only_faults_and_listed_statuses_are_tried_again_and_only_before_the_first_byte() {
    let retry =
        "retry: {max_retries: 2, initial_backoff: 1ms, max_backoff: 2ms}\nupstream: {idle_timeout: 500ms}\n";
    let failing: Vec<(Vec<u8>, After, u16, usize)> = vec![
        (Vec::new(), After::Reset, 200, 2),
        (Vec::new(), After::Close, 200, 2),
        (json_answer(500, "", "{}"), After::KeepAlive, 200, 2),
        (json_answer(503, "", "{}"), After::Close, 200, 2),
        (json_answer(429, "retry-after: 0\r\n", "{}"), After::KeepAlive, 200, 2),
        (json_answer(408, "", "{}"), After::KeepAlive, 200, 2),
        (json_answer(409, "", "{}"), After::KeepAlive, 200, 2),
        (json_answer(200, "", CHAT)[..80].to_vec(), After::Close, 200, 2),
        (json_answer(400, "", r#"{"error":{}}"#), After::KeepAlive, 400, 1),
        (json_answer(403, "", r#"{"error":{}}"#), After::KeepAlive, 403, 1),
        (json_answer(404, "", r#"{"error":{}}"#), After::KeepAlive, 404, 1),
        (json_answer(422, "", r#"{"error":{}}"#), After::KeepAlive, 422, 1),
        (json_answer(429, "retry-after: 9999\r\n", r#"{"error":{}}"#), After::KeepAlive, 429, 1),
        // Once bytes have come, what they say is counted as said: cut in its first event, and behind it.
        (stream_answer(STREAM.as_bytes(), &[40])[..150].to_vec(), After::Close, 502, 1),
        (stream_answer(STREAM.as_bytes(), &[40])[..220].to_vec(), After::Close, 200, 1),
        (stream_answer(STREAM.as_bytes(), &[40])[..80].to_vec(), After::Close, 200, 2),
    ];
    for (bytes, after, status, requests) in failing {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let upstream = Upstream::start(move |number, _, stream| {
            let _ = stream.write_all(if number == 0 { &bytes } else { b"" });
            if number > 0 {
                let _ = stream.write_all(&json_answer(200, "", CHAT));
                return After::KeepAlive;
            }
            after
        });
        let gateway = Gateway::start(upstream.port, retry);
        let answer = gateway.chat(ASK);
        assert_eq!((answer.status, upstream.requests().len()), (status, requests), "{shown}");
        if status == 429 {
            assert_eq!(answer.header("retry-after").as_deref(), Some("9999"));
        }
    }
}

#[test]
fn a_client_is_told_when_the_gateway_has_tried_already() {
    let upstream =
        Upstream::answering(json_answer(503, "", r#"{"error":{"message":"x"}}"#), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "retry: {max_retries: 1, initial_backoff: 1ms}");
    let answer = gateway.chat(ASK);
    assert_eq!((answer.status, answer.header("x-should-retry").as_deref()), (503, Some("false")));
    assert_eq!(upstream.requests().len(), 2);
    assert_eq!(gateway.metric(r#"ringway_retries_total{provider="up",reason="status"}"#), 1.0);
}

#[test]
fn the_retry_budget_keeps_retries_a_part_of_the_traffic() {
    let upstream = Upstream::answering(json_answer(503, "", "{}"), After::KeepAlive);
    let settings = "retry: {max_retries: 5, initial_backoff: 0ms, budget_ratio: 0.2, budget_per_second: 0}";
    let gateway = Gateway::start(upstream.port, settings);
    (0..100).for_each(|_| assert_eq!(gateway.chat(ASK).status, 503));
    let tries = upstream.requests().len();
    assert!((118..=120).contains(&tries), "{tries} tries for 100 requests");
}

#[test]
fn connections_that_the_upstream_closed_in_its_pool_cost_no_request() {
    // Every answer is followed by a close that the gateway may not have seen when it takes the connection again.
    let upstream = Upstream::start(|_, _, stream| {
        let _ = stream.write_all(&json_answer(200, "", CHAT));
        After::Close
    });
    let gateway = Gateway::start(upstream.port, "retry: {max_retries: 0}");
    let mut link = gateway.connect();
    for turn in 0..500 {
        link.send(&post("/v1/chat/completions", ASK));
        assert_eq!(link.answer(false).status, 200, "turn {turn}");
    }
}

#[test]
fn a_key_that_the_provider_refuses_is_not_the_clients_fault() {
    let body = r#"{"error":{"message":"Incorrect API key provided: sk-upst*6789"}}"#;
    let upstream = Upstream::answering(json_answer(401, "", body), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "");
    let answer = gateway.chat(ASK);
    assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_auth_error"));
    assert_eq!(gateway.call(&get("/p/up/things")).status, 401, "passthrough shows errors as they are");
}

#[test]
fn errors_that_are_no_json_get_the_apis_shape_and_keep_their_status() {
    let page = "HTTP/1.1 503 X\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<h1>Busy</h1>";
    let upstream = Upstream::answering(page, After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "retry: {max_retries: 0}");
    let answer = gateway.chat(ASK);
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "upstream_error"));
    assert!(answer.text().contains("<h1>Busy</h1>"));
}

#[test]
fn each_kind_of_unreachable_upstream_has_its_own_code() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let settings = format!(
        "retry: {{max_retries: 0}}\nproviders:\n  refused: {{type: vllm, base_url: 'http://127.0.0.1:{port}/v1'}}\n  \
         unknown: {{type: vllm, base_url: 'http://name.invalid/v1'}}\n  proxied: {{type: openai, api_key: k, \
         base_url: 'https://[::1]:1/v1', proxy_url: 'http://127.0.0.1:{port}'}}\n"
    );
    let gateway = Gateway::start_with(&settings, &[]);
    for (provider, code) in [
        ("refused", "upstream_connect_error"),
        ("unknown", "upstream_dns_error"),
        ("proxied", "upstream_connect_error"),
    ] {
        let answer = gateway.chat(&ASK.replace("up/", &format!("{provider}/")));
        assert_eq!((answer.status, answer.error_code().as_str()), (502, code), "{provider}");
    }
}

#[test]
fn slow_drips_arrive_whole() {
    let upstream = Upstream::start(|_, _, stream| {
        for byte in stream_answer(STREAM.as_bytes(), &[40]) {
            let _ = stream.write_all(&[byte]);
        }
        After::KeepAlive
    });
    let gateway = Gateway::start(upstream.port, "");
    let answer = gateway.chat(ASK_STREAM);
    assert!(answer.is_whole && answer.text() == STREAM);
}
