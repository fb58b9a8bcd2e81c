//! Events: a table, every cut, other line ends, comments between, and a slow twin.

use super::*;
use crate::wire::fuzz::{Random, event_data, twin};

const CASES: [&str; 9] = [
    "data: a\n\ndata: [DONE]\n\n",
    "data:a\r\n\r\nevent: x\r\ndata: b\r\ndata: c\r\n\r\n",
    "data: a\r\rdata: b\r\r",
    ": comment\n\n: another\ndata: x\n\n",
    "\u{FEFF}data: first\n\n",
    "id: 1\nretry: 5\nunknown\ndata\n\n",
    "data:  two spaces\n\ndatax: no\n\n",
    "data: no end\n",
    "\n\n\ndata: a",
];

#[test]
fn events_are_those_of_the_twin_at_every_cut() {
    for case in CASES {
        let want = twin::events(case.as_bytes());
        for cut in 0..=case.len() {
            let got = event_data(&[&case.as_bytes()[..cut], &case.as_bytes()[cut..]]);
            assert_eq!(got, want, "{case:?} cut at {cut}");
        }
        let bytes: Vec<&[u8]> = case.as_bytes().chunks(1).collect();
        assert_eq!(event_data(&bytes), want, "{case:?} byte by byte");
    }
}

#[test]
fn mutated_streams_give_the_twins_events() {
    let mut random = Random::new(3);
    for _ in 0..40_000 {
        let mut bytes = CASES[random.below(CASES.len())].as_bytes().to_vec();
        for _ in 0..1 + random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = b"\r\n: d"[random.below(5)];
        }
        let cut = random.below(bytes.len() + 1);
        assert_eq!(
            event_data(&[&bytes[..cut], &bytes[cut..]]),
            twin::events(&bytes),
            "{bytes:?} cut at {cut}"
        );
    }
}

#[test]
fn no_byte_of_the_stream_is_lost_between_events() {
    for case in CASES {
        let (mut events, mut rest, mut used) = (Events::default(), case.as_bytes(), 0);
        while let EventStep::Event(event) = events.next(rest) {
            used += event.used;
            rest = &rest[event.used..];
        }
        assert_eq!(used + rest.len(), case.len());
    }
}

#[test]
fn recorded_streams_mean_the_same_in_any_partition_and_with_any_line_end() {
    let mut streams = 0;
    for stream in crate::wire::fuzz::recorded_streams() {
        let want = event_data(&[&stream]);
        let mut random = Random::new(stream.len() as u64);
        let (mut pieces, mut rest): (Vec<&[u8]>, &[u8]) = (Vec::new(), &stream);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(1 + random.below(rest.len().min(200)));
            pieces.push(piece);
            rest = behind;
        }
        assert_eq!(event_data(&pieces), want);
        let text = String::from_utf8_lossy(&stream).replace("\r\n", "\n");
        if !text.contains('\r') {
            let lossless = event_data(&[text.as_bytes()]);
            assert_eq!(event_data(&[text.replace('\n', "\r\n").as_bytes()]), lossless);
            assert_eq!(event_data(&[text.replace('\n', "\r").as_bytes()]), lossless);
        }
        streams += 1;
    }
    // Without recordings the table above stands alone.
    println!("{streams} recorded streams");
}

#[test]
fn the_marker_is_told_with_space_around_it() {
    assert!(is_done_marker(b"[DONE]") && is_done_marker(b" [DONE] ") && !is_done_marker(b"[DONE]x"));
}
