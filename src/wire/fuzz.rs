//! The bodies of the fuzz targets: ordinary functions over bytes that assert what must hold for any input. The unit
//! tests run them over the corpora in `fuzz/corpus`.
//!
//! The first byte of the input says where the rest is cut; most properties are "a cut changes nothing".

use super::chunked::Chunked;
use super::head::EndOfHead;
use super::json::{Capture, JsonStep, Scanner, scan_object};
use super::request::{Method, RequestHead, read_request};
use super::response::{ResponseHead, read_response};
use super::sse::{EventStep, Events};
use super::{Step, multipart};

/// A request head is read without a panic, the end of its head does not depend on cuts, and no reading of it lets two
/// framings stand side by side.
pub fn request_head(data: &[u8]) {
    let Some((cut, input)) = cut_input(data) else { return };
    let Step::Done { used } = end_of_head_at_cut(input, cut) else { return };
    let mut head = RequestHead::default();
    if read_request(&input[..used], &mut head).is_ok() {
        let path = head.path.of(input);
        assert!(path.starts_with(b"/") || path == b"*", "a path starts at the root");
        let lines = input[..used].to_ascii_lowercase();
        let has = |name: &[u8]| memchr::memmem::find(&lines, name).is_some();
        assert!(!(has(b"\ncontent-length:") && has(b"\ntransfer-encoding:")), "one framing at most");
    }
}

/// As with requests, for answers to GET and to HEAD.
pub fn response_head(data: &[u8]) {
    let Some((cut, input)) = cut_input(data) else { return };
    let Step::Done { used } = end_of_head_at_cut(input, cut) else { return };
    let mut head = ResponseHead::default();
    for method in [Method::Get, Method::Head] {
        if read_response(&input[..used], method, &mut head).is_ok() {
            assert!((100..=599).contains(&head.status));
        }
    }
}

fn end_of_head_at_cut(input: &[u8], cut: usize) -> Step {
    let whole = EndOfHead::default().step(input);
    let mut end = EndOfHead::default();
    let in_two = match end.step(&input[..cut]) {
        Step::More => match end.step(&input[cut..]) {
            Step::Done { used } => Step::Done { used: used + cut },
            other => other,
        },
        other => other,
    };
    assert_eq!(whole, in_two, "a cut at {cut} changes where the head ends");
    whole
}

/// The data of a chunked body, and where it ends, do not depend on cuts.
pub fn chunked(data: &[u8]) {
    let Some((cut, input)) = cut_input(data) else { return };
    let whole = chunked_data(&[input]);
    let in_two = chunked_data(&[&input[..cut], &input[cut..]]);
    assert_eq!(whole, in_two, "a cut at {cut} changes the body");
}

/// The data of a chunked body that comes in pieces, and how it ended; `used` counts over all pieces.
pub fn chunked_data(pieces: &[&[u8]]) -> (Vec<u8>, Step) {
    let mut decoder = Chunked::default();
    let (mut data, mut before) = (Vec::new(), 0);
    for piece in pieces {
        let mut spans = Vec::new();
        let step = decoder.step(piece, &mut spans);
        spans.iter().for_each(|span| data.extend_from_slice(span.of(piece)));
        match step {
            Step::More => before += piece.len(),
            Step::Done { used } => return (data, Step::Done { used: before + used }),
            bad => return (data, bad),
        }
    }
    (data, Step::More)
}

/// The scanner accepts what serde_json accepts (within our own bounds) and finds the same members, at every cut.
pub fn json(data: &[u8]) {
    let Some((cut, input)) = cut_input(data) else { return };
    let mut members = Vec::new();
    let whole = scan_object(input, &mut members);
    let (mut scanner, mut in_two) = (Scanner::new(), Vec::new());
    if let JsonStep::More = scanner.step(&input[..cut], &mut in_two) {
        let _ = scanner.step(&input[cut..], &mut in_two);
    }
    if whole.is_ok() {
        assert_eq!(members, in_two, "a cut at {cut} changes the members");
        for member in &members {
            let value = member.value.of(input);
            assert!(
                serde_json::from_slice::<serde::de::IgnoredAny>(value).is_ok(),
                "a member's value is JSON"
            );
        }
    }
    let mut capture = Capture::new(&["usage", "model"]);
    capture.step(&input[..cut]);
    capture.step(&input[cut..]);
    assert_eq!(capture.ended_well(), whole.is_ok(), "the capture judges as the scanner does");
}

/// Events do not depend on cuts, and their bytes are the stream's bytes in order.
pub fn sse(data: &[u8]) {
    let Some((cut, input)) = cut_input(data) else { return };
    let whole = event_data(&[input]);
    let in_two = event_data(&[&input[..cut], &input[cut..]]);
    assert_eq!(whole, in_two, "a cut at {cut} changes the events");
}

/// The data of every event of a stream that comes in pieces; empty for events without data.
pub fn event_data(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut events = Events::default();
    let (mut kept, mut out): (Vec<u8>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    for piece in pieces {
        kept.extend_from_slice(piece);
        while let EventStep::Event(event) = events.next(&kept) {
            out.push(events.joined(&kept, &event).into_owned());
            kept.drain(..event.used);
        }
    }
    if let Some(event) = events.at_eof(&kept) {
        out.push(events.joined(&kept, &event).into_owned());
    }
    out
}

/// The search stays inside the body and more bytes never take a finding back.
pub fn multipart(data: &[u8]) {
    let Some((cut, input)) = cut_input(data) else { return };
    let first = multipart::find_field(&input[..cut], b"b", "model");
    let later = multipart::find_field(input, b"b", "model");
    if let multipart::FieldSearch::Found(place) = first {
        assert!(place.end as usize <= cut);
        let stays = matches!(later, multipart::FieldSearch::Twice | multipart::FieldSearch::Found(_));
        assert!(stays, "more bytes took the field back");
    }
    let _ = multipart::boundary(input);
}

fn cut_input(data: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, input) = data.split_first()?;
    Some((usize::from(first) * (input.len() + 1) / 256, input))
}

#[cfg(test)]
pub use testing::{Random, hostile_requests, recorded_streams};

#[cfg(test)]
mod testing {
    //! What the tests of the parsers share.

    /// A small pseudo-random source (xorshift64); the same seed gives the same test.
    pub struct Random(u64);

    impl Random {
        pub fn new(seed: u64) -> Random {
            Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
        }

        /// A number below `bound`.
        pub fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }
    }

    /// A request of `tests/hostile/requests.txt`.
    pub struct Hostile {
        pub name: String,
        pub is_good: bool,
        pub bytes: Vec<u8>,
    }

    /// The requests of the file; its first lines say how it is written.
    pub fn hostile_requests() -> Vec<Hostile> {
        let text = include_str!("../../tests/hostile/requests.txt");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let mut parts = line.splitn(3, " | ");
                let mut part = || parts.next().expect("three parts");
                let (name, verdict, bytes) = (part().to_owned(), part(), part());
                Hostile { name, is_good: verdict == "good", bytes: unescaped(bytes) }
            })
            .collect()
    }

    fn unescaped(text: &str) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find('\\') {
            out.extend_from_slice(&rest.as_bytes()[..at]);
            let kind = rest.as_bytes()[at + 1];
            rest = &rest[at + 2..];
            match kind {
                b'r' => out.push(b'\r'),
                b'n' => out.push(b'\n'),
                b't' => out.push(b'\t'),
                b'x' => {
                    out.push(u8::from_str_radix(&rest[..2], 16).expect("two digits"));
                    rest = &rest[2..];
                }
                b'{' => {
                    let (inner, behind) = rest.split_once('}').expect("a closed repetition");
                    let (count, text) = inner.split_once('*').expect("a count");
                    out.extend(unescaped(text).repeat(count.parse().expect("a number")));
                    rest = behind;
                }
                other => out.push(other),
            }
        }
        out.extend_from_slice(rest.as_bytes());
        out
    }

    /// Recorded streams, where the folder with recordings stands beside the project; none elsewhere.
    #[expect(clippy::disallowed_methods, reason = "a test reads recordings")]
    pub fn recorded_streams() -> Vec<Vec<u8>> {
        let folder = format!("{}/../shared/fixtures", env!("CARGO_MANIFEST_DIR"));
        let Ok(manifest) = std::fs::read_to_string(format!("{folder}/manifest.jsonl")) else {
            return Vec::new();
        };
        let entries =
            manifest.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let raw = entries.filter(|entry| entry["format"] == "sse-or-raw" && entry["streaming"] == true);
        raw.filter_map(|entry| std::fs::read(format!("{folder}/{}", entry["file"].as_str()?)).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    /// A target's name and its body.
    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 6] = [
        ("request_head", super::request_head),
        ("response_head", super::response_head),
        ("chunked", super::chunked),
        ("json", super::json),
        ("sse", super::sse),
        ("multipart", super::multipart),
    ];

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
    fn every_target_holds_on_its_corpus() {
        for (name, body) in TARGETS {
            let folder = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
            let entries: Vec<_> =
                std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder}: {e}")).collect();
            assert!(!entries.is_empty(), "{folder} holds seeds");
            for entry in entries {
                let path = entry.expect("a readable folder").path();
                let seed = std::fs::read(path).expect("a readable seed");
                for cut in [0, 1, 64, 128, 200, 255] {
                    body(&[&[cut], &seed[..]].concat());
                }
            }
        }
    }
}
