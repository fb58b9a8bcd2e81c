//! What the parsers cost: heads, JSON scan and splice, events, chunks, usage.
//!
//! `cargo bench --bench parsers` measures all of them, `cargo bench --bench parsers -- json` those with that name, and
//! `cargo bench --bench parsers -- --quick` takes half a minute and is good for a look.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ringway::dialect::openai;
use ringway::wire::Step;
use ringway::wire::chunked::{Chunked, LAST_CHUNK, write_chunk_head};
use ringway::wire::head::EndOfHead;
use ringway::wire::json::{self, Capture};
use ringway::wire::request::{Method, RequestHead, read_request};
use ringway::wire::response::{ResponseHead, read_response};
use ringway::wire::splice::{Edits, ObjectEdits};
use ringway::wire::sse::{EventStep, Events};

criterion_group!(benches, heads, json_bodies, events, chunks, usage);
criterion_main!(benches);

/// As the OpenAI SDK for Python sends it.
const REQUEST: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.example.com:8080\r\n\
    Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nAccept: application/json\r\n\
    Content-Type: application/json\r\nUser-Agent: OpenAI/Python 1.99.0\r\nX-Stainless-Lang: python\r\n\
    X-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\n\
    Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\nX-Stainless-Async: false\r\n\
    x-stainless-retry-count: 0\r\nContent-Length: 590\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Type: application/json\r\n\
    Content-Length: 1024\r\nConnection: keep-alive\r\nopenai-processing-ms: 312\r\nopenai-version: 2020-10-01\r\n\
    x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\nx-request-id: req_0123456789abcdef\r\n\
    strict-transport-security: max-age=31536000\r\nServer: cloudflare\r\n\r\n";

fn heads(c: &mut Criterion) {
    let mut group = c.benchmark_group("head");
    group.throughput(Throughput::Bytes(REQUEST.len() as u64));
    let mut request = RequestHead::default();
    group.bench_function("request", |b| {
        b.iter(|| {
            let end = EndOfHead::default().step(black_box(REQUEST));
            assert_eq!(end, Step::Done { used: REQUEST.len() });
            read_request(black_box(REQUEST), &mut request)
        });
    });
    group.throughput(Throughput::Bytes(RESPONSE.len() as u64));
    let mut response = ResponseHead::default();
    group.bench_function("response", |b| {
        b.iter(|| {
            let end = EndOfHead::default().step(black_box(RESPONSE));
            assert_eq!(end, Step::Done { used: RESPONSE.len() });
            read_response(black_box(RESPONSE), Method::Post, &mut response)
        });
    });
    group.finish();
}

fn json_bodies(c: &mut Criterion) {
    let mut group = c.benchmark_group("json");
    for (size, name) in [(590, "590B"), (4 << 10, "4KB"), (32 << 10, "32KB"), (200 << 10, "200KB")] {
        for place in [ModelAt::First, ModelAt::Last] {
            let body = chat_body(size, place);
            group.throughput(Throughput::Bytes(body.len() as u64));
            let mut members = Vec::new();
            group.bench_function(format!("scan/{name}/{place:?}"), |b| {
                b.iter(|| json::scan_object(black_box(&body), &mut members));
            });
            let (mut edits, mut object, mut out) = (Edits::default(), ObjectEdits::default(), Vec::new());
            group.bench_function(format!("scan-and-splice/{name}/{place:?}"), |b| {
                b.iter(|| {
                    json::scan_object(black_box(&body), &mut members).expect("an object");
                    splice(&body, &members, &mut edits, &mut object);
                    out.clear();
                    edits.append_to(&body, &mut out);
                });
            });
        }
        let body = chat_body(size, ModelAt::Last);
        group.bench_function(format!("capture/{name}"), |b| {
            b.iter(|| {
                let mut capture = Capture::new(&["model"]);
                body.chunks(16 << 10).for_each(|piece| capture.step(black_box(piece)));
                assert!(capture.ended_well());
            });
        });
    }
    group.finish();
}

/// What every streaming chat does to its body: another model's name, and usage asked for.
fn splice(body: &[u8], members: &[json::Member], edits: &mut Edits, object: &mut ObjectEdits) {
    edits.clear();
    object.clear();
    let model = json::find(members, body, "model").expect("a model");
    edits.replace(model.value, b"\"gpt-4o-mini\"");
    object.add("stream_options", br#"{"include_usage":true}"#);
    object.apply(members, body.len() - 1, edits);
}

#[derive(Clone, Copy, Debug)]
enum ModelAt {
    First,
    Last,
}

/// A chat request of about this size, most of it one prompt with the odd escape.
fn chat_body(size: usize, model: ModelAt) -> Vec<u8> {
    let name = r#""model":"openai/gpt-4o-mini""#;
    let rest = r#""stream":true,"temperature":0.7,"max_tokens":256,"tools":[{"type":"function","function":{"name":"f"}}]"#;
    let sentence = "The quick brown fox jumps over the lazy dog, and says \\\"hello\\\".\\n";
    let length = size.saturating_sub(name.len() + rest.len() + 60);
    let prompt: String = sentence.chars().cycle().take(length / sentence.len() * sentence.len()).collect();
    let messages = format!(r#""messages":[{{"role":"user","content":"{prompt}"}}]"#);
    match model {
        ModelAt::First => format!("{{{name},{messages},{rest}}}").into_bytes(),
        ModelAt::Last => format!("{{{messages},{rest},{name}}}").into_bytes(),
    }
}

const EVENT: &str = "data: {\"id\":\"chatcmpl-A\",\"object\":\"chat.completion.chunk\",\"created\":1720000000,\
    \"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\
    \"finish_reason\":null}],\"usage\":null}\n\n";

fn events(c: &mut Criterion) {
    let mut group = c.benchmark_group("sse");
    let (chunk, small) = (EVENT.repeat(60), "data: x\n\n".repeat(60));
    for (name, stream) in [("60-events", &chunk), ("60-small-events", &small)] {
        let stream = stream.as_bytes();
        group.throughput(Throughput::Elements(60));
        let mut events = Events::default();
        group.bench_function(format!("split/{name}"), |b| {
            b.iter(|| split(&mut events, black_box(stream), |_| ()));
        });
        let mut members = Vec::new();
        group.bench_function(format!("split-and-read/{name}"), |b| {
            b.iter(|| {
                split(&mut events, black_box(stream), |data| {
                    black_box(openai::read_event(data, &mut members));
                });
            });
        });
    }
    group.finish();
}

fn split(events: &mut Events, stream: &[u8], mut each: impl FnMut(&[u8])) {
    let (mut rest, mut count) = (stream, 0);
    while let EventStep::Event(event) = events.next(rest) {
        each(&events.joined(rest, &event));
        rest = &rest[event.used..];
        count += 1;
    }
    assert_eq!(count, 60);
}

fn chunks(c: &mut Criterion) {
    let mut group = c.benchmark_group("chunked");
    for (name, size, count) in [("16-of-1KB", 1024, 16), ("60-of-250B", 250, 60), ("1000-of-1B", 1, 1000)] {
        let mut body = Vec::new();
        for _ in 0..count {
            write_chunk_head(size, &mut body);
            body.resize(body.len() + size, b'x');
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(LAST_CHUNK);
        group.throughput(Throughput::Bytes(body.len() as u64));
        let mut spans = Vec::new();
        group.bench_function(name, |b| {
            b.iter_batched(
                Chunked::default,
                |mut decoder| {
                    spans.clear();
                    decoder.step(black_box(&body), &mut spans)
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn usage(c: &mut Criterion) {
    let object = br#"{"prompt_tokens":11,"completion_tokens":42,"total_tokens":53,"prompt_tokens_details":{"cached_tokens":4,
        "audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":0}}"#;
    let last =
        [&br#"{"id":"chatcmpl-A","object":"chat.completion.chunk","choices":[],"usage":"#[..], object, b"}"]
            .concat();
    let delta = EVENT.trim_start_matches("data: ").trim_end().as_bytes();
    let mut members = Vec::new();
    let mut group = c.benchmark_group("usage");
    group.bench_function("object", |b| b.iter(|| openai::read_usage(black_box(object))));
    group.bench_function("last-event", |b| b.iter(|| openai::read_event(black_box(&last), &mut members)));
    group.bench_function("delta-event", |b| b.iter(|| openai::read_event(black_box(delta), &mut members)));
    group.finish();
}
