//! The bodies of the fuzz targets: ordinary functions over bytes that assert what must hold for any input. `tests/corpus.rs`
//! runs them over the seeds in `fuzz/corpus`, and `fuzz/` over everything else.
//!
//! Most properties are "a cut changes nothing"; where an input is cut follows from its bytes, so that a seed is just the
//! input that it looks like.

use super::chunked::{Chunked, write_chunk_head};
use super::eventstream::{FrameStep, Frames};
use super::head::{EndOfHead, Headers};
use super::json::{self, Capture, JsonFault, JsonStep, Member, Scanner, scan_object};
use super::request::{self, Method, RequestBody, RequestHead, read_request};
use super::response::{self, ResponseBody, ResponseHead, read_response};
use super::sse::{EventStep, Events};
use super::write::HeadWriter;
use super::{Step, multipart, path};
use crate::base::limits::{JSON_CAPTURE_BYTES_MAX, JSON_DEPTH_MAX, JSON_KEYS_COUNT_MAX, TRAILER_BYTES_MAX};

#[cfg(test)]
mod testing;
pub mod twin;

#[cfg(test)]
pub use testing::{Random, for_each_mutation, hostile_requests, recorded_streams, seeds};

/// A request head ends where the twin says, whatever the cut; its framing is the only one that its lines allow; and
/// what we would write of it reads the same.
pub fn request_head(input: &[u8]) {
    assert!(request::ways_agree(input), "the fast way through a head agrees with the slow one");
    let Some(head) = whole_head(input) else { return };
    assert!(request::ways_agree(head), "the fast way through a head agrees with the slow one");
    let mut read = RequestHead::default();
    if read_request(head, &mut read).is_err() {
        return;
    }
    let path = read.path.of(head);
    assert!(path.starts_with(b"/") || path == b"*", "a path starts at the root");
    match (
        &twin::header_values(head, "transfer-encoding")[..],
        &twin::header_values(head, "content-length")[..],
    ) {
        ([], []) => assert_eq!(read.body, RequestBody::None),
        ([], [length]) => assert!(is_length(read.body, length), "the length is the one in the head"),
        ([coding], []) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked") && read.body == RequestBody::Chunked)
        }
        both => panic!("one framing at most: {both:?}"),
    }
    let mut out = Vec::new();
    let mut writer = HeadWriter::request(&mut out, read.method.as_str(), &[read.target.of(head)]);
    write_headers(&mut writer, head, &read.headers);
    writer.finish();
    let mut again = RequestHead::default();
    if read.version == super::head::Version::V11 {
        assert_eq!(read_request(&out, &mut again), Ok(()));
        assert_eq!((again.body, again.keep_alive), (read.body, read.keep_alive));
        assert_eq!(headers_of(&out, &again.headers), headers_of(head, &read.headers));
    }
}

fn is_length(body: RequestBody, digits: &[u8]) -> bool {
    let length: Option<u64> = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    match body {
        RequestBody::None => length == Some(0),
        RequestBody::Length(found) => length == Some(found),
        RequestBody::Chunked => false,
    }
}

/// As with requests, for answers to GET and to HEAD.
pub fn response_head(input: &[u8]) {
    assert!(response::ways_agree(input), "the fast way through a head agrees with the slow one");
    let Some(head) = whole_head(input) else { return };
    assert!(response::ways_agree(head), "the fast way through a head agrees with the slow one");
    let mut read = ResponseHead::default();
    if read_response(head, Method::Head, &mut read).is_ok() {
        assert_eq!(read.body, ResponseBody::None, "an answer to HEAD has no body");
    }
    if read_response(head, Method::Get, &mut read).is_err() {
        return;
    }
    assert!((100..=599).contains(&read.status));
    let codings = twin::header_values(head, "transfer-encoding");
    let lengths = twin::header_values(head, "content-length");
    assert!(codings.len() + lengths.len() <= 1, "one framing at most");
    match read.body {
        ResponseBody::Chunked => assert!(codings[0].eq_ignore_ascii_case(b"chunked")),
        ResponseBody::Length(length) => assert!(is_length(RequestBody::Length(length), lengths[0])),
        ResponseBody::UntilClose => assert!(codings.is_empty() && lengths.is_empty() && !read.keep_alive),
        ResponseBody::None => {}
    }
    let mut out = Vec::new();
    let mut writer = HeadWriter::response(&mut out, read.status);
    write_headers(&mut writer, head, &read.headers);
    writer.finish();
    let mut again = ResponseHead::default();
    if read.version == super::head::Version::V11 {
        assert_eq!(read_response(&out, Method::Get, &mut again), Ok(()));
        assert_eq!((again.status, again.body, again.keep_alive), (read.status, read.body, read.keep_alive));
        assert_eq!(headers_of(&out, &again.headers), headers_of(head, &read.headers));
    }
}

/// The head at the input's front, when there is one. Cut in any way it ends at the same byte, which is the twin's.
fn whole_head(input: &[u8]) -> Option<&[u8]> {
    let whole = EndOfHead::default().step(input);
    assert_eq!(whole, twin::end_of_head(input));
    for cut in cuts(input) {
        let mut end = EndOfHead::default();
        let in_two = match end.step(&input[..cut]) {
            Step::More => match end.step(&input[cut..]) {
                Step::Done { used } => Step::Done { used: used + cut },
                other => other,
            },
            other => other,
        };
        assert_eq!(whole, in_two, "a cut at {cut} changes where the head ends");
    }
    match whole {
        Step::Done { used } => Some(&input[..used]),
        _ => None,
    }
}

fn write_headers(writer: &mut HeadWriter<'_>, head: &[u8], headers: &Headers) {
    for field in &headers.fields {
        let written = writer.header(field.name.of(head), field.value.of(head));
        assert_eq!(written, Ok(()), "what was read can be written");
    }
}

fn headers_of<'h>(head: &'h [u8], headers: &Headers) -> Vec<(&'h [u8], &'h [u8])> {
    headers.fields.iter().map(|field| (field.name.of(head), field.value.of(head))).collect()
}

/// The data of a chunked body, and where it ends, do not depend on cuts and are the twin's; written again it reads the
/// same.
pub fn chunked(input: &[u8]) {
    let whole = chunked_data(&[input]);
    for cut in cuts(input) {
        let in_two = chunked_data(&[&input[..cut], &input[cut..]]);
        assert_eq!(whole, in_two, "a cut at {cut} changes the body");
    }
    let (data, step) = whole;
    let is_done = matches!(step, Step::Done { .. });
    // Below this the bounds on all extensions and on all trailers, which the twin does not know, cannot be reached.
    if input.len() <= TRAILER_BYTES_MAX {
        assert_eq!(is_done.then_some(&data), twin::chunked(input).as_ref());
    }
    if !data.is_empty() {
        let mut out = Vec::new();
        write_chunk_head(data.len(), &mut out);
        out.extend_from_slice(&data);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(super::chunked::LAST_CHUNK);
        assert_eq!(chunked_data(&[&out]), (data, Step::Done { used: out.len() }));
    }
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

/// The scanner accepts what serde_json accepts (within our own bounds) and finds the same members, at every cut; a
/// capture judges and finds as the scanner does; texts survive.
pub fn json(input: &[u8]) {
    let mut members = Vec::new();
    let whole = scan_object(input, &mut members);
    check_against_serde(input, &whole, &members);
    for cut in cuts(input) {
        let (mut scanner, mut in_two) = (Scanner::new(), Vec::new());
        if let JsonStep::More = scanner.step(&input[..cut], &mut in_two) {
            let _ = scanner.step(&input[cut..], &mut in_two);
        }
        if whole.is_ok() {
            assert_eq!(members, in_two, "a cut at {cut} changes the members");
        }
        check_capture(&[&input[..cut], &input[cut..]], input, &whole, &members);
    }
    if whole.is_ok() {
        check_quick_finds(input, &members);
    }
    check_texts(input);
}

fn check_against_serde(input: &[u8], whole: &Result<(), JsonFault>, members: &[Member]) {
    let is_object = twin::is_json_object(input);
    match whole {
        Ok(()) => {
            assert!(
                is_object && twin::depth(input) <= JSON_DEPTH_MAX && members.len() <= JSON_KEYS_COUNT_MAX
            );
            for member in members {
                let value = member.value.of(input);
                let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(value).is_ok();
                assert!(is_json, "a member's value is JSON");
                if let Ok(text) = serde_json::from_slice::<String>(value) {
                    assert_eq!(json::string_value(input, member).as_deref(), Some(&*text));
                }
            }
        }
        Err(JsonFault::DuplicateKey { .. }) => assert!(is_object),
        Err(JsonFault::TooDeep { .. } | JsonFault::TooManyKeys) => {}
        Err(fault) => assert!(!is_object, "serde_json takes it, the scanner does not: {fault:?}"),
    }
}

/// What is found without a scan of the whole is what the scan has found: under each of its keys, and under others.
pub(super) fn check_quick_finds(document: &[u8], members: &[Member]) {
    let plain = members.iter().filter(|member| !member.key_is_escaped);
    let keys = plain.map(|member| String::from_utf8_lossy(member.key.of(document)).into_owned());
    for key in keys.chain(["usage".to_owned(), "model".to_owned()]) {
        let member = json::find(members, document, &key);
        let text = member.and_then(|member| json::string_value(document, member));
        let mut inner = Vec::new();
        assert_eq!(json::first_text(document, &key, &mut inner).as_deref(), text.as_deref(), "{key}");
        let want = member.filter(|member| member.kind == json::Kind::Object);
        let want = want.map(|member| member.value.of(document));
        assert_eq!(json::object_value(document, &key, &mut inner), want, "{key}");
        if let Some(object) = want {
            let mut of_object = Vec::new();
            if scan_object(object, &mut of_object).is_err() {
                of_object.clear();
            }
            assert_eq!(inner, of_object, "the members of {key}");
        }
    }
}

fn check_capture(pieces: &[&[u8]], input: &[u8], whole: &Result<(), JsonFault>, members: &[Member]) {
    let mut capture = Capture::new(&["usage", "model"]);
    pieces.iter().for_each(|piece| capture.step(piece));
    assert_eq!(capture.ended_well(), whole.is_ok(), "the capture judges as the scanner does");
    for key in ["usage", "model"] {
        let found = json::find(members, input, key).filter(|_| whole.is_ok());
        let kept = found.filter(|member| member.value.len() <= JSON_CAPTURE_BYTES_MAX);
        if whole.is_ok() {
            let want = kept.map(|member| (member.value.of(input), member.kind));
            assert_eq!(capture.value(key), want, "the capture keeps what the scanner finds");
        }
    }
}

fn check_texts(input: &[u8]) {
    let end = input.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20).unwrap_or(input.len());
    assert_eq!(json::find_text_end(input), end);
    if let Ok(text) = std::str::from_utf8(input) {
        let mut out = Vec::new();
        json::write_string(text, &mut out);
        assert_eq!(serde_json::from_slice::<String>(&out).ok().as_deref(), Some(text));
    }
}

/// Events do not depend on cuts, are the twin's, and their bytes are the stream's bytes in order.
pub fn sse(input: &[u8]) {
    let want = twin::events(input);
    assert_eq!(event_data(&[input]), want);
    for cut in cuts(input) {
        assert_eq!(event_data(&[&input[..cut], &input[cut..]]), want, "a cut at {cut} changes the events");
    }
    let (mut events, mut rest) = (Events::default(), input);
    while let EventStep::Event(event) = events.next(rest) {
        assert!(event.used > 0 && event.lead <= event.used);
        rest = &rest[event.used..];
    }
}

/// The frames of AWS's event stream do not depend on cuts and are the twin's, and so is whether it ends well. Most inputs
/// are no frames at all, because checksums are hard to guess, so the input is read a second time as what is in a frame.
pub fn eventstream(input: &[u8]) {
    check_frames(input);
    let mut framed = (input.len() as u32 + 16).to_be_bytes().to_vec();
    let headers_length = u32::from(input.first().copied().unwrap_or(0)).min(input.len() as u32);
    framed.extend_from_slice(&headers_length.to_be_bytes());
    framed.extend_from_slice(&twin::crc32(&framed).to_be_bytes());
    framed.extend_from_slice(input.get(1..).unwrap_or_default());
    framed.extend_from_slice(&input[..input.len().min(1)]);
    framed.extend_from_slice(&twin::crc32(&framed).to_be_bytes());
    check_frames(&framed);
}

fn check_frames(stream: &[u8]) {
    let want = twin::frames(stream);
    assert_eq!(frames_of(&[stream]), want);
    for cut in cuts(stream) {
        assert_eq!(frames_of(&[&stream[..cut], &stream[cut..]]), want, "a cut at {cut} changes the frames");
    }
}

/// The name and the payload of every frame of a stream that comes in pieces, and whether it ends behind a whole frame.
pub fn frames_of(pieces: &[&[u8]]) -> (Vec<twin::NamedPayload>, bool) {
    let (mut frames, mut kept, mut out) = (Frames::default(), Vec::new(), Vec::new());
    for piece in pieces {
        kept.extend_from_slice(piece);
        loop {
            match frames.next(&kept) {
                FrameStep::More => break,
                FrameStep::Bad(_) => return (out, false),
                FrameStep::Frame(frame) => {
                    let name = frame.name.map(|name| name.of(&kept).to_vec());
                    out.push((name.unwrap_or_default(), frame.payload.of(&kept).to_vec()));
                    kept.drain(..frame.used);
                }
            }
        }
    }
    (out, kept.is_empty())
}

/// The data of every event of a stream that comes in pieces; empty for events without data.
pub fn event_data(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut events = Events::default();
    let (mut kept, mut out): (Vec<u8>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    for piece in pieces {
        kept.extend_from_slice(piece);
        let mut at = 0;
        while let EventStep::Event(event) = events.next(&kept[at..]) {
            out.push(events.joined(&kept[at..], &event).into_owned());
            at += event.used;
        }
        kept.drain(..at);
    }
    if let Some(event) = events.at_eof(&kept) {
        out.push(events.joined(&kept, &event).into_owned());
    }
    out
}

/// The search stays inside the body, more bytes never take back or move what was found, and a search that goes on finds
/// what one from the start does.
pub fn multipart(input: &[u8]) {
    use multipart::FieldSearch::{Absent, Found, NotYet, Twice};
    let later = multipart::find_field(input, b"b", "model");
    for cut in cuts(input) {
        match (multipart::find_field(&input[..cut], b"b", "model"), later) {
            (Found(place), Found(still)) => assert!(place == still && place.end as usize <= cut),
            (NotYet, _) | (Found(_), Twice) => {}
            (now @ (Absent | Twice), then) => assert_eq!(now, then, "more bytes change nothing"),
            (Found(_), then) => panic!("more bytes took the field back: {then:?}"),
        }
    }
    let mut growing = multipart::Search::new(b"b", "model");
    let mut cuts: Vec<usize> = cuts(input).chain([input.len()]).collect();
    cuts.sort_unstable();
    for cut in cuts {
        let from_start = multipart::find_field(&input[..cut], b"b", "model");
        assert_eq!(growing.look(&input[..cut]), from_start, "grown to {cut}");
    }
    if let Found(place) = later {
        let before = &input[..place.start as usize];
        assert!(before.ends_with(b"\r\n\r\n"), "a value stands behind its part's headers");
    }
    if let Some(boundary) = multipart::boundary(input) {
        multipart::find_field(input, boundary, "model");
    }
}

/// Paths are judged as the twin does; a parameter that is taken out is gone and the others stay; escapes decode to what
/// was escaped.
pub fn path(input: &[u8]) {
    assert_eq!(path::check_forwardable(input).is_ok(), twin::is_forwardable(input));
    let mut without = Vec::new();
    path::query_without(input, "provider", &mut without);
    assert_eq!(path::query_value(&without, "provider"), None);
    let is_other = |pair: &&[u8]| pair.split(|&b| b == b'=').next() != Some(b"provider");
    let others: Vec<&[u8]> = input.split(|&b| b == b'&').filter(is_other).collect();
    assert_eq!(without, others.join(&b'&'));
    let escaped: String = input.iter().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(&*path::percent_decoded(escaped.as_bytes()), input);
    assert!(path::percent_decoded(input).len() <= input.len());
}

/// Where to cut an input: everywhere when it is short, else in a few places that its bytes decide.
pub fn cuts(input: &[u8]) -> impl Iterator<Item = usize> {
    let is_short = input.len() <= CUT_EVERYWHERE_BYTES_MAX;
    let mut hash = input.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let places = if is_short { input.len() + 1 } else { CUTS_OF_LONG_COUNT };
    let bytes = input.len() as u64;
    (0..places).map(move |place| {
        hash = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        if is_short { place } else { (hash % (bytes + 1)) as usize }
    })
}

const CUT_EVERYWHERE_BYTES_MAX: usize = 24;
const CUTS_OF_LONG_COUNT: usize = 4;
