//! How a stream begins: nothing reaches the caller before there is something to say, so that what breaks off before can be
//! asked for again, or be told with a status.

use std::io::Write;
use std::net::TcpStream;

use crate::matrix::world::{Client, How};
use crate::support::*;

/// How an answer that began well breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    /// Behind its head.
    Close,
    Reset,
    /// By an end where the first event should be.
    Empty,
    EmptyLength,
    /// In the middle of the first event.
    InEvent,
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

impl Break {
    const ALL: [Break; 5] = [Break::Close, Break::Reset, Break::Empty, Break::EmptyLength, Break::InEvent];

    fn play(self, stream: &mut TcpStream) -> After {
        let (more, after) = match self {
            Break::Close => ("transfer-encoding: chunked\r\n\r\n", After::Close),
            Break::Reset => ("transfer-encoding: chunked\r\n\r\n", After::Reset),
            Break::Empty => ("transfer-encoding: chunked\r\n\r\n0\r\n\r\n", After::KeepAlive),
            Break::EmptyLength => ("content-length: 0\r\n\r\n", After::KeepAlive),
            Break::InEvent => ("transfer-encoding: chunked\r\n\r\n9\r\ndata: {\"i\r\n", After::Close),
        };
        let _ = stream.write_all(format!("{HEAD}{more}").as_bytes());
        after
    }
}

/// An upstream whose first answers break off, all of them where `count` says so.
fn breaking(how: Break, count: usize) -> Upstream {
    Upstream::start(move |number, _, stream| {
        if number < count {
            return how.play(stream);
        }
        let _ = stream.write_all(&stream_answer(STREAM.as_bytes(), &[30]));
        After::KeepAlive
    })
}

fn gateway(upstream: &Upstream, retries: u32) -> Gateway {
    let up = format!(
        "{{type: vllm, base_url: 'http://127.0.0.1:{}/v1', api_key: {UPSTREAM_KEY}, models: [m]}}",
        upstream.port
    );
    let retry = format!(
        "{{max_retries: {retries}, initial_backoff: 1ms, max_backoff: 2ms, budget_per_second: 1000}}"
    );
    let models = "models: {configured_mode: allowlist}\n";
    Gateway::start_with(
        &format!("server: {{shards: 1}}\n{models}retry: {retry}\nproviders: {{up: {up}}}\n"),
        &[],
    )
}

fn ask(gateway: &Gateway, client: Client) -> Answer {
    let talk = serde_json::json!({"max": 300, "turns": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let (path, body) = client.ask(&talk, "up/m", How::Stream);
    gateway.call(&post(&path, &body.to_string()))
}

#[test]
fn a_stream_that_breaks_off_before_its_first_byte_is_asked_for_again() {
    for how in Break::ALL.into_iter().filter(|how| *how != Break::InEvent) {
        let upstream = breaking(how, 1);
        let gateway = gateway(&upstream, 1);
        for client in Client::ALL {
            upstream.seen.lock().unwrap().clear();
            let before = upstream.requests().len();
            let answer = ask(&gateway, client);
            assert!(answer.status == 200 && answer.is_whole, "{how:?} {client:?}: {}", answer.text());
            client.read(&answer, How::Stream).map(drop).unwrap_or_else(|rule| {
                assert!(client == Client::Chat, "{how:?} {client:?}: {rule}: {}", answer.text());
            });
            let tries = upstream.requests().len() - before;
            assert_eq!(tries, if client == Client::ALL[0] { 2 } else { 1 }, "{how:?} {client:?}");
        }
    }
}

#[test]
fn a_stream_that_never_begins_ends_in_a_status_in_the_callers_words() {
    for how in Break::ALL {
        let upstream = breaking(how, usize::MAX);
        let gateway = gateway(&upstream, 1);
        for client in Client::ALL {
            let before = upstream.requests().len();
            let answer = ask(&gateway, client);
            let text = answer.text();
            assert!(answer.status == 502 && answer.is_whole, "{how:?} {client:?}: {} {text}", answer.head);
            let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
            assert!(body["error"]["message"].is_string(), "{how:?} {client:?}: {text}");
            match client {
                Client::Messages => assert_eq!(body["type"], "error"),
                Client::Gemini => assert_eq!(body["error"]["code"], 502),
                _ => assert_eq!(body["error"]["code"], "upstream_cut", "{text}"),
            }
            let tries = upstream.requests().len() - before;
            // Where bytes have come the first try was the last: they may have been counted.
            assert_eq!(tries, if how == Break::InEvent { 1 } else { 2 }, "{how:?} {client:?}");
        }
    }
}

#[test]
fn a_provider_that_is_silent_for_long_is_not_waited_for_with_the_head() {
    let upstream = Upstream::start(|_, _, stream| {
        let _ = stream.write_all(format!("{HEAD}transfer-encoding: chunked\r\n\r\n").as_bytes());
        After::Hold
    });
    let port = upstream.port;
    let gateway = Gateway::start_with(
        &format!(
            "server: {{shards: 1, keep_alive_interval: 50ms}}\nproviders:\n  up: {{type: vllm, base_url: 'http://127.0.0.1:{port}/v1', models: [m]}}\n"
        ),
        &[],
    );
    for client in Client::ALL {
        let talk = serde_json::json!({"turns": [{"role": "user", "parts": [{"text": "hi"}]}]});
        let (path, body) = client.ask(&talk, "up/m", How::Stream);
        let mut link = gateway.connect();
        link.send(&post(&path, &body.to_string()));
        let head = link.read_until("\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 "), "{client:?}: {head}");
    }
}
