//! What it costs to translate: memory that is asked for, counted, and time. A whole exchange of JSON (0.6 KB in, 1 KB out),
//! and one event of a stream, for a client of every dialect on a provider of every other one.
//!
//! `cargo bench --bench translation` prints the table. `-- Chat Gemini 2000` runs that exchange so often and prints
//! nothing, for counting instructions: `valgrind --tool=callgrind` on the binary with two counts, the difference divided
//! by that of the counts.

use std::hint::black_box;
use std::time::Instant;

use counter::{Count, Counting, count};
use ringway::dialect::endpoint::Grammar;
use ringway::dialect::middle::{Report, Rules, Told};
use ringway::dialect::translate::{self, Asked, Translation};
use ringway::wire::json::Node;
use streams::Stream;

#[path = "../tests/allocations/counter.rs"]
mod counter;
#[path = "../tests/allocations/streams.rs"]
mod streams;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [client, provider, times] = &arguments[..] {
        let times = times.parse().expect("a count");
        return exchange(grammar(client), grammar(provider)).repeat(times);
    }
    println!("{:<22}{:>10}{:>12}{:>12}{:>12}", "JSON", "ns", "fresh", "resized", "bytes out");
    for client in CLIENTS {
        for provider in PROVIDERS.into_iter().filter(|provider| *provider != client) {
            exchange(client, provider).print(client, provider);
        }
    }
    println!("\n{:<38}{:>10}{:>12}{:>12}{:>12}", "per event", "ns", "fresh", "resized", "held bytes");
    for stream in streams::all() {
        for client in CLIENTS.into_iter().filter(|client| *client != stream.provider) {
            print_stream(client, &stream);
        }
    }
}

fn grammar(name: &str) -> Grammar {
    PROVIDERS.into_iter().find(|grammar| format!("{grammar:?}") == name).expect("a dialect")
}

/// A request of a client and the answer of a provider.
struct Exchange {
    client: Grammar,
    provider: Grammar,
    request: String,
    answer: String,
}

fn exchange(client: Grammar, provider: Grammar) -> Exchange {
    Exchange { client, provider, request: request(client), answer: answer(provider) }
}

impl Exchange {
    fn run(&self, out: &mut Vec<u8>) {
        let told = Told {
            id: "0199f2a47c5b7d0e8a1c".to_owned(),
            model: "model-1".to_owned(),
            created_s: 1_750_000_000,
            ..Told::default()
        };
        let body = Node::document(self.request.as_bytes(), &mut Vec::with_capacity(32)).expect("JSON");
        let (client, provider, rules) = (self.client, self.provider, &Rules::default());
        let (wants_stream, as_array, model) = (false, false, "model-1");
        let asked =
            Asked { client, provider, body, original: body, model, wants_stream, as_array, rules, told };
        let mut report = Report::default();
        out.clear();
        let translation = translate::request(asked, &mut report, out).expect("the request can be said");
        black_box(&out);
        out.clear();
        translation.answer(self.answer.as_bytes(), out).expect("the answer is good");
        black_box(&out);
    }

    fn repeat(&self, times: usize) {
        let mut out = Vec::with_capacity(8 * 1024);
        (0..times).for_each(|_| self.run(&mut out));
    }

    fn print(&self, client: Grammar, provider: Grammar) {
        let mut out = Vec::with_capacity(8 * 1024);
        self.run(&mut out);
        let before = count();
        self.run(&mut out);
        let Count { fresh, resized, .. } = count() - before;
        let ns = ns_each(ROUNDS, || self.run(&mut out));
        let name = format!("{client:?} on {provider:?}");
        println!("{name:<22}{ns:>10.0}{fresh:>12}{resized:>12}{:>12}", out.len());
    }
}

fn print_stream(client: Grammar, stream: &Stream) {
    let told = Told { id: "1".into(), model: "m".into(), created_s: 1, ..Told::default() };
    let translation = Translation::of_answers(client, stream.provider, Rules::default(), told);
    let mut out = Vec::with_capacity(64 * 1024);
    let empty = count();
    let mut running = translation.stream(1 << 20);
    running.take(&stream.begin, &mut out).expect("the stream is good");
    let mut step = || {
        out.clear();
        running.take(&stream.event, &mut out).expect("the stream is good");
    };
    (0..64).for_each(|_| step());
    let before = count();
    let held = (before - empty).held_bytes;
    (0..EVENTS).for_each(|_| step());
    let Count { fresh, resized, .. } = count() - before;
    let each = |sum: u64| sum as f64 / EVENTS as f64;
    let ns = ns_each(ROUNDS, step);
    let name = format!("{client:?} client, {stream}");
    println!("{name:<38}{ns:>10.0}{:>12.3}{:>12.3}{held:>12}", each(fresh), each(resized));
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn ns_each(rounds: u32, mut run: impl FnMut()) -> f64 {
    let begun = Instant::now();
    (0..rounds).for_each(|_| run());
    begun.elapsed().as_nanos() as f64 / f64::from(rounds)
}

/// 0.6 KB.
fn request(client: Grammar) -> String {
    let prompt = "a word and another, ".repeat(22);
    match client {
        Grammar::Responses => format!(
            r#"{{"model":"model-1","input":[{{"role":"user","content":"{prompt}"}}],"temperature":0.7,"max_output_tokens":64}}"#
        ),
        Grammar::Gemini => format!(
            r#"{{"contents":[{{"role":"user","parts":[{{"text":"{prompt}"}}]}}],"generationConfig":{{"temperature":0.7,"maxOutputTokens":64}}}}"#
        ),
        _ => format!(
            r#"{{"model":"model-1","messages":[{{"role":"user","content":"{prompt}"}}],"temperature":0.7,"max_tokens":64}}"#
        ),
    }
}

/// 1 KB.
fn answer(provider: Grammar) -> String {
    let text = "said in a word, ".repeat(44);
    match provider {
        Grammar::Chat => format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"model-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":90,"completion_tokens":120,"total_tokens":210}}}}"#
        ),
        Grammar::Responses => format!(
            r#"{{"id":"resp_1","object":"response","created_at":1750000000,"status":"completed","model":"model-1","output":[{{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{{"type":"output_text","text":"{text}","annotations":[]}}]}}],"usage":{{"input_tokens":90,"output_tokens":120,"total_tokens":210}}}}"#
        ),
        Grammar::Messages => format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"model-1","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":90,"output_tokens":120}}}}"#
        ),
        Grammar::Gemini => format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}],"role":"model"}},"finishReason":"STOP","index":0}}],"usageMetadata":{{"promptTokenCount":90,"candidatesTokenCount":120,"totalTokenCount":210,"promptTokensDetails":[{{"modality":"TEXT","tokenCount":90}}]}},"modelVersion":"model-1","responseId":"r-1"}}"#
        ),
        Grammar::Converse => format!(
            r#"{{"output":{{"message":{{"role":"assistant","content":[{{"text":"{text}"}}]}}}},"stopReason":"end_turn","usage":{{"inputTokens":90,"outputTokens":120,"totalTokens":210}}}}"#
        ),
    }
}

const CLIENTS: [Grammar; 4] = [Grammar::Chat, Grammar::Responses, Grammar::Messages, Grammar::Gemini];
const PROVIDERS: [Grammar; 5] =
    [Grammar::Chat, Grammar::Responses, Grammar::Messages, Grammar::Gemini, Grammar::Converse];
const ROUNDS: u32 = 20_000;
const EVENTS: u64 = 1024;
