//! A translated stream costs no allocation for an event once it runs, and holds little while it does. Only what a dialect
//! has to say once more at the end is kept: by Responses in room that grows by a quarter, by Gemini in room that doubles.

mod counter;
mod streams;

use counter::{Count, Counting, count};
use ringway::dialect::endpoint::Grammar;
use ringway::dialect::middle::{Rules, Told};
use ringway::dialect::translate::Translation;
use streams::{Said, Stream};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn no_event_of_a_translated_stream_costs_an_allocation() {
    for stream in streams::all() {
        for client in CLIENTS.into_iter().filter(|client| *client != stream.provider) {
            for cut in [Cut::Never, Cut::InTheMiddle] {
                let run = run(client, &stream, cut);
                let steady = run.steady;
                let what = format!("{client:?} client, {stream}, {cut:?}: {steady:?}");
                assert!(
                    run.written > EVENTS * 8 || is_kept(client, stream.said),
                    "{what}: {} bytes for the client",
                    run.written
                );
                assert_eq!(steady.fresh, 0, "{what}");
                let most = if is_kept(client, stream.said) { GROWTHS_MAX } else { 0 };
                assert!(steady.resized <= most, "{what}");
            }
        }
    }
}

#[test]
fn a_translated_stream_holds_little() {
    for stream in streams::all() {
        for client in CLIENTS.into_iter().filter(|client| *client != stream.provider) {
            let run = run(client, &stream, Cut::InTheMiddle);
            let kept = match client {
                Grammar::Responses => run.said_bytes + run.said_bytes / 4,
                // What doubles is at most twice as large as what is in it.
                _ if is_kept(client, stream.said) => 2 * run.said_bytes,
                _ => 0,
            };
            let most = STREAM_BYTES_MAX + kept as i64;
            assert!(run.held_bytes <= most, "{client:?} client, {stream}: {} bytes", run.held_bytes);
        }
    }
}

#[test]
fn the_counter_counts() {
    let before = count();
    let mut bytes = Vec::with_capacity(100);
    bytes.push(1_u8);
    assert_eq!(count() - before, Count { fresh: 1, resized: 0, held_bytes: 100 });
    bytes.reserve_exact(200);
    assert_eq!(count() - before, Count { fresh: 1, resized: 1, held_bytes: 201 });
    drop(bytes);
    assert_eq!(count() - before, Count { fresh: 1, resized: 1, held_bytes: 0 });
}

/// What the dialect of the client says once more at the end: Responses all of it, Gemini the calls, which stand whole.
fn is_kept(client: Grammar, said: Said) -> bool {
    client == Grammar::Responses || (client == Grammar::Gemini && said == Said::Arguments)
}

#[derive(Clone, Copy, Debug)]
enum Cut {
    Never,
    InTheMiddle,
}

struct Run {
    /// What the steady events cost.
    steady: Count,
    /// What the stream holds behind them.
    held_bytes: i64,
    written: usize,
    /// The bytes of what all events said.
    said_bytes: usize,
}

/// Begins the stream, lets it run warm, and counts.
fn run(client: Grammar, stream: &Stream, cut: Cut) -> Run {
    let told = Told { id: "1".into(), model: "m".into(), created_s: 1, ..Told::default() };
    let translation = Translation::of_answers(client, stream.provider, Rules::default(), told);
    let mut out = Vec::with_capacity(OUT_BYTES);
    let mut written = 0;
    let before = count();
    let mut running = translation.stream(1 << 20);
    let mut step = |bytes: &[u8]| {
        out.clear();
        running.take(bytes, &mut out).expect("the stream is good");
        written += out.len();
    };
    let event = |step: &mut dyn FnMut(&[u8])| match cut {
        Cut::Never => step(&stream.event),
        Cut::InTheMiddle => {
            let (front, rest) = stream.event.split_at(stream.event.len() / 2);
            step(front);
            step(rest);
        }
    };
    step(&stream.begin);
    (0..WARM_EVENTS).for_each(|_| event(&mut step));
    let warm = count();
    (0..EVENTS).for_each(|_| event(&mut step));
    let now = count();
    let said_bytes = (WARM_EVENTS + EVENTS) * streams::PIECE.len();
    let run = Run { steady: now - warm, held_bytes: (now - before).held_bytes, written, said_bytes };
    assert!(!running.has_error, "{client:?} client, {stream}: {:?}", running.error);
    run
}

const CLIENTS: [Grammar; 4] = [Grammar::Chat, Grammar::Responses, Grammar::Messages, Grammar::Gemini];
/// Events until everything has the size that it keeps.
const WARM_EVENTS: usize = 64;
const EVENTS: usize = 1024;
/// What is kept grows from the size that it has after [`WARM_EVENTS`]: seventeen times as much are thirteen quarters.
const GROWTHS_MAX: u64 = 14;
/// Room for what the client gets at a time, which is the connection's.
const OUT_BYTES: usize = 16 * 1024;
/// What the translation of one stream may hold beside what it must say again.
const STREAM_BYTES_MAX: i64 = 4 * 1024;
