//! Upstreams under TLS: whom the gateway trusts, what it says when it does not, and connections that are used again.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::pki::*;
use crate::support::*;

#[test]
fn an_upstream_is_trusted_by_the_ca_file_and_its_connections_are_used_again() {
    let authority = Authority::new();
    let pair = authority.issue(&["localhost", "127.0.0.1"], 2100);
    for host in ["localhost", "127.0.0.1"] {
        let upstream = TlsUpstream::start(pair.server_config(), |_, seen, stream| {
            let is_stream = find(&seen.body, b"\"stream\":true").is_some();
            let answer = if is_stream {
                stream_answer(STREAM.as_bytes(), &[30])
            } else {
                json_answer(200, "", &String::from_utf8_lossy(&seen.body))
            };
            let _ = stream.write_all(&answer);
            After::KeepAlive
        });
        let gateway = Gateway::start_with(&upstream.settings(host, &authority, "server: {shards: 1}\n"), &[]);
        let large = format!(r#"{{"model":"m","text":"{}"}}"#, "0123456789abcdef".repeat(65536));
        let mut link = gateway.connect();
        for turn in 0..50 {
            link.send(&post("/v1/chat/completions", r#"{"model":"m"}"#));
            assert_eq!(link.answer(false).text(), r#"{"model":"m"}"#, "turn {turn}");
            link.send(&post("/v1/chat/completions", ASK_STREAM));
            assert_eq!(link.answer(false).text(), STREAM, "turn {turn}");
            if turn % 10 == 0 {
                link.send(&post("/v1/chat/completions", &large));
                assert!(link.answer(false).text() == large, "turn {turn}: 1 MiB both ways");
            }
        }
        // Session tickets came behind the handshake's end, that is, while the connection was in use or idle.
        assert_eq!(upstream.connections.load(Ordering::SeqCst), 1, "{host}");
        assert_eq!(upstream.seen.lock().unwrap().len(), 105);
        assert_eq!(gateway.metric(r#"ringway_retries_total{provider="up",reason="stale"}"#), 0.0);
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_and_not_tried_again() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (what, pair) in [
        ("an unknown authority", other.issue(&["localhost"], 2100)),
        ("expired", authority.issue(&["localhost"], 2020)),
        ("another host", authority.issue(&["elsewhere.test"], 2100)),
    ] {
        let upstream =
            TlsUpstream::answering(pair.server_config(), json_answer(200, "", CHAT), After::KeepAlive);
        let settings =
            upstream.settings("localhost", &authority, "retry: {max_retries: 3, initial_backoff: 1ms}\n");
        let gateway = Gateway::start_with(&settings, &[]);
        let answer = gateway.chat(ASK);
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (502, "upstream_certificate_error"),
            "{what}"
        );
        assert_eq!(upstream.connections.load(Ordering::SeqCst), 1, "{what}: no second try");
        assert!(upstream.seen.lock().unwrap().is_empty(), "{what}: nothing was sent");
        assert_eq!(
            gateway
                .metric(r#"ringway_upstream_faults_total{provider="up",kind="upstream_certificate_error"}"#),
            1.0
        );
    }
}

/// A listener that does this with each connection and counts them.
fn raw_upstream(act: impl Fn(std::net::TcpStream) + Send + Sync + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let (counted, act) = (count.clone(), Arc::new(act));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let act = act.clone();
            thread::spawn(move || act(stream));
        }
    });
    (port, count)
}

#[test]
fn handshakes_that_fail_or_stall_have_codes_of_their_own_and_are_tried_again_only_when_they_failed() {
    let stall = |mut stream: std::net::TcpStream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    };
    let reset = |mut stream: std::net::TcpStream| {
        let _ = stream.read(&mut [0; 10]);
        let _ = socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
    };
    let close = |mut stream: std::net::TcpStream| {
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    };
    let no_tls = |mut stream: std::net::TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    };
    // The alert that a server of TLS 1.0 alone gives: protocol_version.
    let too_old = |mut stream: std::net::TcpStream| {
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.write_all(&[21, 3, 1, 0, 2, 2, 70]);
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    };
    let cases = [
        ("stall", raw_upstream(stall), 504, "upstream_tls_timeout"),
        ("reset", raw_upstream(reset), 502, "upstream_tls_error"),
        ("close", raw_upstream(close), 502, "upstream_tls_error"),
        ("no TLS", raw_upstream(no_tls), 502, "upstream_tls_error"),
        ("too old", raw_upstream(too_old), 502, "upstream_tls_error"),
    ];
    for (what, (port, count), status, code) in cases {
        let settings = format!(
            "models: {{configured_mode: allowlist}}\nupstream: {{tls_timeout: 300ms}}\nretry: {{max_retries: 1, \
             initial_backoff: 1ms}}\nproviders:\n  up: {{type: vllm, base_url: 'https://127.0.0.1:{port}/v1', models: [m]}}\n"
        );
        let gateway = Gateway::start_with(&settings, &[]);
        let answer = gateway.chat(ASK);
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{what}");
        assert_eq!(
            count.load(Ordering::SeqCst),
            2,
            "{what}: nothing of the request was sent, so it may be tried again"
        );
    }
}

#[test]
fn a_body_until_close_is_whole_only_after_a_goodbye() {
    let (authority, sse) = (Authority::new(), "content-type: text/event-stream\r\n");
    let pair = authority.issue(&["localhost"], 2100);
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(100_000));
    // Bodies that look complete by themselves, but for the last, of which nobody could tell.
    for (lines, body, ask) in [
        ("content-type: application/json\r\n", CHAT, ASK),
        ("content-type: application/json\r\n", long.as_str(), ASK),
        (sse, STREAM, ASK_STREAM),
        ("content-type: application/octet-stream\r\n", "abc", ASK),
    ] {
        for after in [After::Close, After::Hold, After::Reset] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{lines}\r\n{body}");
            let upstream = TlsUpstream::answering(pair.server_config(), bytes, after);
            let settings = upstream.settings("localhost", &authority, "retry: {max_retries: 0}\n");
            let gateway = Gateway::start_with(&settings, &[]);
            let answer = gateway.call(&post("/p/up/chat/completions", ask));
            let shown = format!("{lines} {after:?}: {} {:.200}", answer.head, answer.text());
            if after == After::Close {
                assert!(answer.status == 200 && answer.is_whole && answer.text() == body, "{shown}");
            } else if answer.status == 200 {
                assert!(!answer.is_whole, "{shown}");
            } else {
                assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_cut"), "{shown}");
            }
        }
    }
}

#[test]
fn an_idle_connection_that_the_upstream_closed_costs_no_request() {
    let authority = Authority::new();
    let pair = authority.issue(&["localhost"], 2100);
    for after in [After::Close, After::Hold, After::Reset] {
        let upstream = TlsUpstream::answering(pair.server_config(), json_answer(200, "", CHAT), after);
        let gateway = Gateway::start_with(
            &upstream.settings("localhost", &authority, "retry: {max_retries: 0}\n"),
            &[],
        );
        let mut link = gateway.connect();
        for turn in 0..100 {
            link.send(&post("/v1/chat/completions", ASK));
            assert_eq!(link.answer(false).status, 200, "turn {turn} {after:?}");
        }
    }
}
