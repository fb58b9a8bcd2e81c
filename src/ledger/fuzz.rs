//! The bodies of the fuzz targets for the journal's bytes, and for what may not be written down.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::frame::{self, Checksums, Frame, HEADER_BYTES, Header, TAIL_BYTES, Tail, framed_len};
use super::record::{self, Attempt, AttemptKind, Attempts, Begun, Ended, Record, RecordId, SourceName};
use super::redact::{Extent, REDACTED, Redactor};
use super::usage::Usage;
use crate::base::Pico;
use crate::base::limits::{KEY_SHAPE_BYTES_MIN, SECRET_BYTES_MIN, SEGMENT_BYTES_MAX};

/// Whatever a segment holds, reading it comes to an end and gives records that lie in it; and what is written is read back,
/// with texts that came from anywhere.
pub fn journal(input: &[u8]) {
    let mut segment = Header { shard: 0, number: NUMBER }.bytes().to_vec();
    segment.extend_from_slice(input);
    assert!(Header::read(&segment).is_some());
    let (mut at, sums) = (HEADER_BYTES, Checksums::of_segment(NUMBER));
    while let Frame::Record { record, tail, next } = frame::look(&segment, 0, at, &sums) {
        assert!(next > at && next <= SEGMENT_BYTES_MAX);
        assert!(tail.is_none_or(|tail| (HEADER_BYTES..at).contains(&(tail.place as usize))));
        let _ = record::read(record.of(&segment));
        at = next;
    }
    let _ = record::read(input);
    let text = String::from_utf8_lossy(input);
    let middle = (0..=text.len() / 2).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let (front, back) = text.split_at(middle);
    let begun = Begun { request_id: front, user_path: back, path: &text, ..Begun::default() };
    let ended = Ended { error: front, cost_source: SourceName::Own(back), ..Ended::default() };
    let mut bytes = Vec::new();
    record::write_begun(&mut bytes, RecordId(1), &begun);
    match record::read(&bytes) {
        Some(Record::Begun(id, read)) => {
            assert!(id == RecordId(1) && front.starts_with(read.request_id) && text.starts_with(read.path));
        }
        other => panic!("{other:?}"),
    }
    bytes.clear();
    record::write_ended(&mut bytes, RecordId(2), &ended);
    match record::read(&bytes) {
        Some(Record::Ended(_, read)) => assert!(front.starts_with(read.error)),
        other => panic!("{other:?}"),
    }
    plain_end(input);
    like_another(input);
}

/// The end that nearly all exchanges have, with whatever numbers, comes back as it was.
fn plain_end(input: &[u8]) {
    let number = |at: usize| {
        input.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u64::from_le_bytes(*bytes))
    };
    let usage = Usage { input: number(0), output: number(8), stated_total: number(16), ..Usage::default() };
    let money = |at| number(at).map(|amount| Pico(i128::from(amount)));
    let (input_cost, output_cost) = (money(24).or(Some(Pico::ZERO)), money(32).or(Some(Pico::ZERO)));
    let attempt = Attempt::own(AttemptKind::Primary, 200, "", number(3).unwrap_or_default());
    let ended = Ended {
        duration_us: number(5).unwrap_or_default(),
        status: 200,
        usage,
        cost: input_cost.zip(output_cost).and_then(|(input, output)| input.checked_add(output)),
        input_cost,
        output_cost,
        cost_source: SourceName::OfBeginning,
        attempts: Attempts::Shown(&[attempt]),
        ..Ended::default()
    };
    let mut bytes = Vec::new();
    record::write_ended(&mut bytes, RecordId(3), &ended);
    assert_eq!(record::read(&bytes), Some(Record::Ended(RecordId(3), Box::new(ended))));
}

/// A record that ends as another one does is read as what it was written as, and not after a bit of it was changed.
fn like_another(input: &[u8]) {
    let (first, beginning) = input.split_at(input.len().div_ceil(2));
    if first.is_empty() {
        return;
    }
    let (sums, skip) = (Checksums::of_segment(NUMBER), (first.len() / 3) as u32);
    let tail = Tail { place: HEADER_BYTES as u32, skip };
    let mut segment =
        vec![0; HEADER_BYTES + framed_len(first.len()) + framed_len(TAIL_BYTES + beginning.len())];
    let at = frame::write(&mut segment, HEADER_BYTES, &sums, first);
    let end = frame::write_like(&mut segment, at, &sums, beginning, tail);
    let look = |segment: &[u8]| match frame::look(segment, 0, at, &sums) {
        Frame::Record { record, tail, next } => Some((record.of(segment).to_vec(), tail, next)),
        _ => None,
    };
    assert_eq!(look(&segment), Some((beginning.to_vec(), Some(tail), end)));
    let written = 8 + TAIL_BYTES + beginning.len();
    let bit =
        input.iter().fold(input.len(), |sum, &byte| sum * 31 % 65_521 + usize::from(byte)) % (8 * written);
    segment[at + bit / 8] ^= 1 << (bit % 8);
    assert_eq!(look(&segment), None, "bit {bit}");
}

const NUMBER: u64 = 7;

/// The first line is a secret that is known, the rest a text. Neither that secret nor anything that has the shape of a key
/// stays in it; JSON stays JSON; and of a text that was cut no more is shown than of the whole one.
pub fn redact(input: &[u8]) {
    let mut lines = input.splitn(2, |&byte| byte == b'\n');
    let (secret, text) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut redactor = Redactor::default();
    // Of what tokens are made (RFC 6750): anything else could be a part of any grammar.
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    let is_secret = secret.len() >= SECRET_BYTES_MIN && secret.iter().all(is_token);
    if is_secret {
        redactor.add(secret);
    }
    let redacted = |text: &[u8], extent| {
        let mut out = Vec::new();
        redactor.write(text, extent, &mut out);
        out
    };
    let whole = redacted(text, Extent::Whole);
    assert!(!is_secret || !holds(&whole, secret) || holds(REDACTED, secret), "a secret is shown");
    assert_keyless(&whole);
    if text.starts_with(b"{") || text.starts_with(b"[") {
        assert_json_stays(text, &whole);
    }
    // Not as JSON: where that is cut, nobody can tell what stands in a string.
    let plain = [b"x ", text].concat();
    let shown = redacted(&plain, Extent::Whole);
    for end in crate::wire::fuzz::cuts(&plain) {
        let cut = redacted(&plain[..end], Extent::Cut);
        assert!(shown.starts_with(&cut), "{}", String::from_utf8_lossy(&cut));
    }
}

/// No word begins as keys do, neither in the text itself nor behind a character that JSON escapes.
fn assert_keyless(text: &[u8]) {
    let starts = include_str!("../../config/key-shapes.txt").lines().filter(|line| !line.starts_with('#'));
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    for start in starts {
        for at in memchr::memmem::find_iter(text, start) {
            let word = text[at..].split(|byte| !is_of_word(byte)).next().unwrap_or_default();
            let is_long = word.len() >= KEY_SHAPE_BYTES_MIN && word.iter().any(u8::is_ascii_digit);
            let before = &text[..at];
            let is_behind = before.last().is_none_or(|byte| !is_of_word(byte)) || ends_in_escape(before);
            assert!(!is_long || !is_behind, "{}", String::from_utf8_lossy(word));
        }
    }
}

fn ends_in_escape(text: &[u8]) -> bool {
    let of_letter = matches!(text, [.., b'\\', letter] if b"bfnrt".contains(letter));
    let code = text.len().checked_sub(6).map(|from| &text[from..]);
    let is_code = |code: &[u8]| code.starts_with(b"\\u") && code[2..].iter().all(u8::is_ascii_hexdigit);
    of_letter || code.is_some_and(is_code)
}

/// What was JSON still is, for who reads it as values and for who only looks at its shape.
fn assert_json_stays(text: &[u8], redacted: &[u8]) {
    let is_json = |text: &[u8]| serde_json::from_slice::<IgnoredAny>(text).is_ok();
    let is_value = |text: &[u8]| serde_json::from_slice::<Value>(text).is_ok();
    let shown = || String::from_utf8_lossy(redacted);
    assert!(!is_json(text) || is_json(redacted), "{}", shown());
    assert!(!is_value(text) || is_value(redacted), "{}", shown());
}

fn holds(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(text, word).is_some()
}
