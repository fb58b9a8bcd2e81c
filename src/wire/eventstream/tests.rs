//! Frames: a table of faults, every cut, every flipped bit, and a slow twin.

use super::*;
use crate::wire::fuzz::{Random, frames_of, twin};

/// A frame of these headers (name, type, value with its length where it has one) and this payload.
fn frame(headers: &[(&str, u8, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, kind, value) in headers {
        block.push(name.len() as u8);
        block.extend_from_slice(name.as_bytes());
        block.push(*kind);
        if matches!(kind, 6 | 7) {
            block.extend_from_slice(&(value.len() as u16).to_be_bytes());
        }
        block.extend_from_slice(value);
    }
    raw_frame(&block, payload)
}

fn raw_frame(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = (16 + headers.len() + payload.len()) as u32;
    let mut out = total.to_be_bytes().to_vec();
    out.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    out.extend_from_slice(&twin::crc32(&out).to_be_bytes());
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    let crc = twin::crc32(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

fn event(name: &str, payload: &str) -> Vec<u8> {
    frame(
        &[
            (":event-type", 7, name.as_bytes()),
            (":content-type", 7, b"application/json"),
            (":message-type", 7, b"event"),
        ],
        payload.as_bytes(),
    )
}

fn one(bytes: &[u8]) -> Frame {
    match Frames::default().next(bytes) {
        FrameStep::Frame(frame) => frame,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_checksum_is_the_known_one() {
    assert_eq!(crc32(0, b"123456789"), 0xCBF4_3926);
    assert_eq!(crc32(0, b""), 0);
    let text = b"The quick brown fox jumps over the lazy dog";
    assert_eq!(crc32(0, text), 0x414F_A339);
    for cut in 0..text.len() {
        assert_eq!(crc32(crc32(0, &text[..cut]), &text[cut..]), 0x414F_A339);
    }
    assert_eq!(twin::crc32(text), 0x414F_A339);
}

#[test]
fn a_frame_says_its_kind_its_name_and_its_payload() {
    let bytes = event("messageStart", r#"{"role":"assistant"}"#);
    let read = one(&bytes);
    assert_eq!((read.used, read.kind), (bytes.len(), FrameKind::Event));
    assert_eq!(read.name.map(|name| name.of(&bytes)), Some(&b"messageStart"[..]));
    assert_eq!(read.payload.of(&bytes), br#"{"role":"assistant"}"#);

    let bytes = frame(
        &[(":exception-type", 7, b"throttlingException"), (":message-type", 7, b"exception")],
        b"{\"message\":\"slow\"}",
    );
    let read = one(&bytes);
    assert_eq!(read.kind, FrameKind::Exception);
    assert_eq!(read.name.map(|name| name.of(&bytes)), Some(&b"throttlingException"[..]));

    let bytes = frame(
        &[(":error-code", 7, b"Boom"), (":error-message", 7, b"it broke"), (":message-type", 7, b"error")],
        b"",
    );
    let read = one(&bytes);
    assert_eq!((read.kind, read.payload.is_empty()), (FrameKind::Error, true));
    assert_eq!(read.name.map(|name| name.of(&bytes)), Some(&b"Boom"[..]));
    assert_eq!(read.error_message.map(|text| text.of(&bytes)), Some(&b"it broke"[..]));
}

#[test]
fn headers_of_every_type_are_skipped_by_their_length() {
    let bytes = frame(
        &[
            ("t", 0, b""),
            ("f", 1, b""),
            ("byte", 2, &[1]),
            ("short", 3, &[1; 2]),
            ("int", 4, &[1; 4]),
            ("long", 5, &[1; 8]),
            ("bytes", 6, b":message-type"),
            (":event-type", 6, b"bytes are no text"),
            ("time", 8, &[1; 8]),
            ("uuid", 9, &[1; 16]),
            (":event-type", 7, b"x"),
            (":message-type", 7, b"event"),
        ],
        b"p",
    );
    let read = one(&bytes);
    assert_eq!(read.name.map(|name| name.of(&bytes)), Some(&b"x"[..]));
    assert_eq!(read.payload.of(&bytes), b"p");
    let bare = raw_frame(b"", b"");
    let read = one(&bare);
    assert_eq!((read.used, read.kind, read.name), (16, FrameKind::Other, None));
}

#[test]
fn what_is_no_frame_is_told_by_what_is_wrong_with_it() {
    let check = |bytes: &[u8], want: FrameFault| {
        assert_eq!(Frames::default().next(bytes), FrameStep::Bad(want), "{bytes:?}");
    };
    check(b"HTTP/1.1 200 OK\r\n", FrameFault::Prelude);
    for (total, headers) in [(15_u32, 0_u32), (20, 5), (16, u32::MAX), (u32::MAX, 0), (300_000, 200_000)] {
        let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        bytes.extend_from_slice(&twin::crc32(&bytes).to_be_bytes());
        check(&bytes, FrameFault::Length);
    }
    // A name without bytes, an unknown type, a value that is longer than its place, a header that ends in its middle.
    let bad_headers: [&[u8]; 6] =
        [b"\0\x07\0\0", b"\x01a\x0A", b"\x01a\x07\0\x02x", b"\x01a\x05\0", b"\x01a", b"\x02a"];
    for headers in bad_headers {
        check(&raw_frame(headers, b"payload"), FrameFault::Headers);
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let bytes = event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"hi"}}"#);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let step = Frames::default().next(&flipped);
            assert!(matches!(step, FrameStep::Bad(_)), "bit {bit} of byte {at}: {step:?}");
        }
    }
}

#[test]
fn every_cut_gives_the_same_frames() {
    let stream =
        [event("a", "{}"), event("messageStop", r#"{"stopReason":"end_turn"}"#), raw_frame(b"", b"")]
            .concat();
    let want = twin::frames(&stream);
    assert_eq!((want.0.len(), want.1), (3, true));
    for cut in 0..=stream.len() {
        assert_eq!(frames_of(&[&stream[..cut], &stream[cut..]]), want, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(frames_of(&bytes), want);
}

#[test]
fn mutated_streams_give_the_twins_frames() {
    let stream = [event("a", "{}"), frame(&[("n", 4, &[0; 4])], b"x"), event("b", "[1]")].concat();
    let mut random = Random::new(11);
    for _ in 0..20_000 {
        let mut bytes = stream.clone();
        let from = random.below(3) * (bytes.len() / 3);
        let at = (from + random.below(40)).min(bytes.len() - 1);
        bytes[at] = [0, 1, 7, 9, 16, 255][random.below(6)];
        repair(&mut bytes);
        let cut = random.below(bytes.len() + 1);
        assert_eq!(frames_of(&[&bytes[..cut], &bytes[cut..]]), twin::frames(&bytes), "{bytes:?}");
    }
}

/// Puts the checksums of the frames right, as far as their lengths go, so that a change reaches what lies behind them.
fn repair(bytes: &mut [u8]) {
    let mut at = 0;
    while at + 16 <= bytes.len() {
        let crc = twin::crc32(&bytes[at..at + 8]);
        bytes[at + 8..at + 12].copy_from_slice(&crc.to_be_bytes());
        let total = word(bytes, at) as usize;
        if total < 16 || at + total > bytes.len() {
            return;
        }
        let crc = twin::crc32(&bytes[at..at + total - 4]);
        bytes[at + total - 4..at + total].copy_from_slice(&crc.to_be_bytes());
        at += total;
    }
}

#[test]
fn a_frame_that_is_cut_is_no_frame() {
    let bytes = event("a", "{}");
    for length in 0..bytes.len() {
        assert_eq!(Frames::default().next(&bytes[..length]), FrameStep::More, "{length}");
    }
}
