//! One whole exchange by the code that serves: head, key, body, call, edits, a pooled upstream, relay, counters. Client,
//! shard and upstream are tasks of one event loop on this thread, over streams in memory (socket pairs), so the figure is
//! the CPU time of all three together; "pairs-alone" is the same talk without a gateway between, to be taken off.
//!
//! `cargo bench --bench exchange`; with `-- --quick` it takes a few seconds and is good for a look.

use std::future::poll_fn;
use std::io::IoSlice;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ringway::config::{Sources, load};
use ringway::net::barrier;
use ringway::net::buffer::{Buffer, Buffers};
use ringway::net::conn::Conn;
use ringway::net::driver::{self, Driver};
use ringway::net::tls;
use ringway::offload::{self, Compiled};
use ringway::shard::bench::Bench;

criterion_group!(benches, exchanges);
criterion_main!(benches);

fn exchanges(c: &mut Criterion) {
    let mut group = c.benchmark_group("exchange");
    let compiled = compiled();
    for driver in [driver::probe().driver, Driver::Epoll] {
        for talk in [chat(), long_prompt(), stream()].map(Rc::new) {
            group.bench_function(format!("{}/{}", talk.name, driver.name()), |b| {
                b.iter_custom(|count| run(driver, Some(&compiled), &talk, count));
            });
            group.bench_function(format!("{}/{}/pairs-alone", talk.name, driver.name()), |b| {
                b.iter_custom(|count| run(driver, None, &talk, count));
            });
        }
    }
    group.finish();
}

/// A request, its answer, and the ends by which the tasks know that they have all of either.
struct Talk {
    name: &'static str,
    request: Vec<u8>,
    answer: Vec<u8>,
}

fn chat() -> Talk {
    let prompt = "a".repeat(480);
    let body = format!(
        r#"{{"model":"vllm/small","messages":[{{"role":"user","content":"{prompt}"}}],"temperature":0.7,"max_tokens":64}}"#
    );
    Talk { name: "chat-590B-1KB", request: request(&body), answer: json_answer() }
}

fn long_prompt() -> Talk {
    let prompt = "a b c d ".repeat(4096);
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{prompt}"}}],"model":"vllm/small"}}"#);
    Talk { name: "chat-32KB-1KB", request: request(&body), answer: json_answer() }
}

fn stream() -> Talk {
    let delta = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"finish_reason\":null}]}\n\n";
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n";
    let text = format!("{}{usage}data: [DONE]\n\n", delta.repeat(60));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = format!("{head}{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    let body = r#"{"model":"vllm/small","messages":[{"role":"user","content":"hello"}],"stream":true}"#;
    Talk { name: "stream-60-events", request: request(body), answer: answer.into_bytes() }
}

fn request(body: &str) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\naccept: application/json\r\n\
         content-type: application/json\r\nuser-agent: bench\r\nauthorization: Bearer {KEY}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn json_answer() -> Vec<u8> {
    let text = "b".repeat(800);
    let body = format!(
        r#"{{"id":"c","object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":4}}}}"#
    );
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_1\r\n";
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Settings with a key and one provider that is never dialled.
fn compiled() -> Arc<Compiled> {
    let env = [("RINGWAY_MASTER_KEY", KEY), ("VLLM_BASE_URL", "http://127.0.0.1:9/v1")];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let snapshot = load(&Sources { file: None, env }).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let client_tls = tls::client_config(None).unwrap_or_else(|_| panic!("the system's certificates"));
    Arc::new(Compiled { snapshot: Arc::new(snapshot), client_tls, server_tls: None, generation: 0 })
}

/// The time of `count` exchanges in a row over one connection.
fn run(driver: Driver, compiled: Option<&Arc<Compiled>>, talk: &Rc<Talk>, count: u64) -> Duration {
    let (compiled, talk) = (compiled.cloned(), talk.clone());
    driver::run(driver, move |_| exchange_in_a_row(compiled, talk, count)).expect("the loop runs")
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
async fn exchange_in_a_row(compiled: Option<Arc<Compiled>>, talk: Rc<Talk>, count: u64) -> Duration {
    let (mut client, near) = pair();
    let answer = talk.answer.clone();
    // The queue's other end is kept, and read by nobody: what is told to it is dropped when it is full.
    let (offload, _queue) = offload::queue();
    match compiled {
        Some(compiled) => {
            let bench = Rc::new(Bench::new(compiled, offload));
            let (gateway, upstream) = pair();
            bench.pool(gateway);
            barrier::spawn(answer_forever(upstream, answer));
            barrier::spawn(async move { bench.serve(near).await });
        }
        None => barrier::spawn(answer_forever(near, answer)),
    }
    let end = &talk.answer[talk.answer.len() - END_BYTES..];
    let (stock, mut buffer) = (Buffers::default(), Buffer::default());
    let mut started = Instant::now();
    // The first one fills caches and stocks.
    for index in 0..=count {
        if index == 1 {
            started = Instant::now();
        }
        send(&mut client, &talk.request).await;
        while !buffer.filled().ends_with(end) {
            assert!(fill(&mut client, &stock, &mut buffer).await > 0, "the answer comes to its end");
            let is_good = buffer.filled().starts_with(b"HTTP/1.1 200");
            assert!(is_good, "{}", String::from_utf8_lossy(buffer.filled()));
        }
        buffer.clear();
    }
    started.elapsed()
}

/// The upstream: whatever request came to its end gets the same answer.
async fn answer_forever(mut conn: Conn, answer: Vec<u8>) {
    let (stock, mut buffer) = (Buffers::default(), Buffer::default());
    while fill(&mut conn, &stock, &mut buffer).await > 0 {
        if buffer.filled().ends_with(b"}") && is_whole(buffer.filled()) {
            buffer.clear();
            send(&mut conn, &answer).await;
        }
    }
}

/// Whether a request's body is as long as its head says.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    length == Some(body.len())
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
/// Answers are told to be whole by their last bytes, which framing that the gateway makes anew has in common.
const END_BYTES: usize = 5;
