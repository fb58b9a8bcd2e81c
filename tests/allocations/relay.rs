//! The same for the code that serves: head, body, call, a pooled upstream and the relay, over streams in memory. One thread plays
//! the client, the shard and the provider, and the count is that of all three.

use std::future::poll_fn;
use std::io::IoSlice;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use ringway::config::{Sources, load};
use ringway::dialect::endpoint::Grammar;
use ringway::net::barrier;
use ringway::net::buffer::{Buffer, Buffers};
use ringway::net::conn::Conn;
use ringway::net::driver::{self, Driver};
use ringway::net::tls;
use ringway::offload::{self, Compiled};
use ringway::shard::bench::Bench;

use crate::counter::{Count, count};
use crate::streams::Stream;

/// A client of this dialect asks, the provider sends its stream, and what each of `events` costs once it runs is counted.
pub fn run(client: Grammar, stream: &Stream, events: u64) -> Count {
    driver::run(Driver::Epoll, |_| talk(client, stream, events)).expect("the loop runs")
}

async fn talk(client: Grammar, stream: &Stream, events: u64) -> Count {
    let (offload, _queue) = offload::queue();
    let bench = Bench::new(compiled(stream.provider), offload);
    let ((gateway, mut provider), (mut caller, near)) = (pair(), pair());
    bench.pool(gateway);
    barrier::spawn(async move { bench.serve(near).await });
    let (stock, mut buffer) = (Buffers::default(), Buffer::default());
    send(&mut caller, &request(client, stream.provider)).await;
    while !buffer.filled().ends_with(b"}") {
        assert!(fill(&mut provider, &stock, &mut buffer).await > 0, "the request reaches the provider");
    }
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    send(&mut provider, &[&head[..], &chunk(&stream.begin)].concat()).await;
    let event = chunk(&stream.event);
    let mut before = count();
    for number in 0..WARM_EVENTS + events {
        if number == WARM_EVENTS {
            before = count();
        }
        send(&mut provider, &event).await;
        buffer.clear();
        // The piece tells this event from what the beginning brought.
        while memchr::memmem::find(buffer.filled(), PIECE).is_none() {
            assert!(fill(&mut caller, &stock, &mut buffer).await > 0, "the event reaches the client");
        }
    }
    count() - before
}

fn request(client: Grammar, provider: Grammar) -> Vec<u8> {
    let model = match provider {
        Grammar::Messages => "anthropic/m",
        Grammar::Gemini => "gemini/m",
        _ => "vllm/m",
    };
    let (path, body) = match client {
        Grammar::Responses => {
            ("/v1/responses", format!(r#"{{"model":"{model}","stream":true,"input":"hi"}}"#))
        }
        Grammar::Messages => (
            "/v1/messages",
            format!(
                r#"{{"model":"{model}","stream":true,"max_tokens":9,"messages":[{{"role":"user","content":"hi"}}]}}"#
            ),
        ),
        Grammar::Gemini => (
            &*format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#.to_owned(),
        ),
        _ => (
            "/v1/chat/completions",
            format!(r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"hi"}}]}}"#),
        ),
    };
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\nauthorization: Bearer {KEY}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Settings with a key and one provider, which is never dialled.
fn compiled(provider: Grammar) -> Arc<Compiled> {
    let (name, base) = match provider {
        Grammar::Messages => ("ANTHROPIC", "http://127.0.0.1:9/v1"),
        Grammar::Gemini => ("GEMINI", "http://127.0.0.1:9/v1beta"),
        _ => ("VLLM", "http://127.0.0.1:9/v1"),
    };
    let env = [
        ("RINGWAY_MASTER_KEY".to_owned(), KEY.to_owned()),
        (format!("{name}_BASE_URL"), base.to_owned()),
        (format!("{name}_API_KEY"), "k".to_owned()),
    ];
    let snapshot =
        load(&Sources { file: None, env: env.into() }).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let client_tls = tls::client_config(None).unwrap_or_else(|_| panic!("the system's certificates"));
    Arc::new(Compiled { snapshot: Arc::new(snapshot), client_tls, server_tls: None, generation: 0 })
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn pair() -> (Conn, Conn) {
    let (one, other) = UnixStream::pair().expect("a pair");
    let conn = |stream: UnixStream| {
        stream.set_nonblocking(true).expect("a socket");
        Conn::plain(stream.into()).expect("a connection")
    };
    (conn(one), conn(other))
}

async fn send(conn: &mut Conn, bytes: &[u8]) {
    let mut slices = [IoSlice::new(bytes)];
    let mut left = &mut slices[..];
    poll_fn(|cx| conn.poll_send(cx, &mut left)).await.expect("the other side reads");
}

async fn fill(conn: &mut Conn, stock: &Buffers, buffer: &mut Buffer) -> usize {
    poll_fn(|cx| conn.poll_fill(cx, stock, buffer, 64 * 1024)).await.unwrap_or(0)
}

const KEY: &str = "bench-key";
/// What every piece of the streams has in it.
const PIECE: &[u8] = b"so";
const WARM_EVENTS: u64 = 64;
