//! The slow twins of the parsers: what each of them should find, worked out the plain way from the whole input. They
//! bound nothing and hurry nowhere; unit tests and fuzz targets hold the parsers against them.

use crate::base::limits::{HEAD_BYTES_MAX, HEAD_LINE_BYTES_MAX};
use crate::wire::head::is_control;
use crate::wire::write::is_token_byte;
use crate::wire::{Malformed, Step};

/// Where a head ends, byte by byte from the start.
pub fn end_of_head(input: &[u8]) -> Step {
    let (mut line_bytes, mut after_cr) = (0, false);
    for (at, &byte) in input.iter().enumerate() {
        line_bytes += 1;
        match (byte, after_cr) {
            _ if line_bytes > HEAD_LINE_BYTES_MAX => return Step::Bad(Malformed::LineTooLong),
            _ if at + 1 > HEAD_BYTES_MAX => return Step::Bad(Malformed::HeadTooLarge),
            (b'\n', false) => return Step::Bad(Malformed::BareLineFeed),
            (b'\n', true) if line_bytes == 2 => return Step::Done { used: at + 1 },
            (b'\n', true) => line_bytes = 0,
            (_, true) => return Step::Bad(Malformed::BareCarriageReturn),
            _ => {}
        }
        after_cr = byte == b'\r';
    }
    Step::More
}

/// The trimmed values of all headers of this name in a head, line by line.
pub fn header_values<'h>(head: &'h [u8], name: &str) -> Vec<&'h [u8]> {
    let lines = head.split(|&b| b == b'\n').skip(1);
    let values = lines.filter_map(|line| {
        let at = line.iter().position(|&b| b == b':')?;
        line[..at].eq_ignore_ascii_case(name.as_bytes()).then(|| line[at + 1..].trim_ascii())
    });
    values.collect()
}

/// The data of a chunked body, all of it at once. `None` when more is needed or a rule is broken.
pub fn chunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let (line, behind) = (&rest[..end], &rest[end + 2..]);
        let digits = line.split(|&b| b == b';').next()?;
        let zeros = digits.iter().take_while(|&&b| b == b'0').count();
        let is_size =
            (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit) && zeros <= 8;
        let extension = line.get(digits.len() + 1..).unwrap_or_default();
        let is_extension = extension.len() <= 256 && extension.iter().all(|&b| b == b'\t' || !is_control(b));
        if !is_size || !is_extension {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            return trailers_end(behind).then_some(data);
        }
        let size = usize::try_from(size).ok().filter(|&size| size <= behind.len())?;
        data.extend_from_slice(&behind[..size]);
        rest = behind[size..].strip_prefix(b"\r\n")?;
    }
}

fn trailers_end(mut rest: &[u8]) -> bool {
    loop {
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else { return false };
        let line = &rest[..end];
        if line.is_empty() {
            return true;
        }
        let Some(colon) = line.iter().position(|&b| b == b':') else { return false };
        let is_name = colon > 0 && line[..colon].iter().copied().all(is_token_byte);
        if !is_name || line.iter().any(|&b| is_control(b) && b != b'\t') {
            return false;
        }
        rest = &rest[end + 2..];
    }
}

/// The data of a stream's events: all lines first, then the rules of the standard.
pub fn events(stream: &[u8]) -> Vec<Vec<u8>> {
    let text = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let (mut lines, mut line, mut at) = (Vec::new(), Vec::new(), 0);
    while at < text.len() {
        match text[at] {
            b'\r' if text.get(at + 1) == Some(&b'\n') => {
                lines.push(std::mem::take(&mut line));
                at += 1;
            }
            b'\r' | b'\n' => lines.push(std::mem::take(&mut line)),
            byte => line.push(byte),
        }
        at += 1;
    }
    let (mut events, mut data): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    let take = |line: &[u8], data: &mut Vec<Vec<u8>>| {
        if line == b"data" {
            data.push(Vec::new());
        } else if let Some(value) = line.strip_prefix(b"data:") {
            data.push(value.strip_prefix(b" ").unwrap_or(value).to_vec());
        }
    };
    for line in lines {
        if line.is_empty() {
            events.push(data.join(&b'\n'));
            data.clear();
        } else {
            take(&line, &mut data);
        }
    }
    take(&line, &mut data);
    if !data.is_empty() {
        events.push(data.join(&b'\n'));
    }
    events
}

/// The frames of AWS's event stream as name and payload, and whether the stream ends well behind the last of them. Bounds
/// are left out: an input of a fuzz target cannot reach them.
pub fn frames(stream: &[u8]) -> (Vec<NamedPayload>, bool) {
    let (mut frames, mut rest) = (Vec::new(), stream);
    while !rest.is_empty() {
        let Some((name, payload, behind)) = frame(rest) else { return (frames, false) };
        frames.push((name, payload));
        rest = behind;
    }
    (frames, true)
}

/// The name of a frame, empty without one, and its payload.
pub type NamedPayload = (Vec<u8>, Vec<u8>);

fn frame(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>, &[u8])> {
    let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (total, headers_length, prelude_crc) = (word(0)? as usize, word(4)? as usize, word(8)?);
    if crc32(&bytes[..8]) != prelude_crc || total < headers_length.checked_add(16)? || bytes.len() < total {
        return None;
    }
    if crc32(&bytes[..total - 4]) != word(total - 4)? {
        return None;
    }
    let (mut headers, mut texts) = (&bytes[12..12 + headers_length], Vec::new());
    while let Some((&length, behind)) = headers.split_first() {
        let name = behind.get(..usize::from(length)).filter(|name| !name.is_empty())?;
        let kind = *behind.get(name.len())?;
        let behind = &behind[name.len() + 1..];
        let (skip, length) = match kind {
            0 | 1 => (0, 0),
            2..=5 => (0, 1 << (kind - 2)),
            6 | 7 => (2, usize::from(*behind.first()?) * 256 + usize::from(*behind.get(1)?)),
            8 => (0, 8),
            9 => (0, 16),
            _ => return None,
        };
        let value = behind.get(skip..skip + length)?;
        if kind == 7 {
            texts.push((name, value));
        }
        headers = &behind[skip + length..];
    }
    let find = |name: &[u8]| texts.iter().rev().find(|text| text.0 == name).map(|text| text.1);
    let name = match find(b":message-type") {
        Some(b"event") => find(b":event-type"),
        Some(b"exception") => find(b":exception-type"),
        Some(b"error") => find(b":error-code"),
        _ => None,
    };
    let payload = bytes[12 + headers_length..total - 4].to_vec();
    Some((name.unwrap_or_default().to_vec(), payload, &bytes[total..]))
}

/// CRC-32, bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, bit: u32| (crc >> 1) ^ if (crc ^ bit) & 1 == 1 { 0xEDB8_8320 } else { 0 };
    let bits = bytes.iter().flat_map(|&byte| (0..8).map(move |bit| u32::from(byte >> bit)));
    !bits.fold(u32::MAX, step)
}

/// Whether serde_json takes the document as one object; nesting and repeated keys are not its business.
pub fn is_json_object(document: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(document) else { return false };
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    is_json && text.trim_start_matches([' ', '\n', '\r', '\t']).starts_with('{')
}

/// How deep a JSON document nests.
pub fn depth(document: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for &byte in document {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether a path can be read in one way only: decoded as a whole, then taken apart.
pub fn is_forwardable(path: &[u8]) -> bool {
    let is_hidden = |byte: u8| byte < 0x20 || byte == 0x7F || byte == b'\\';
    let hex = |at: usize| path.get(at).and_then(|&b| char::from(b).to_digit(16));
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < path.len() {
        if path[at] != b'%' {
            decoded.push(path[at]);
            at += 1;
            continue;
        }
        let (Some(high), Some(low)) = (hex(at + 1), hex(at + 2)) else { return false };
        let byte = (high * 16 + low) as u8;
        if byte == b'/' || byte == b'%' {
            return false;
        }
        decoded.push(byte);
        at += 3;
    }
    let segments: Vec<&[u8]> = decoded.split(|&b| b == b'/').collect();
    let last = segments.len() - 1;
    let is_good = |(index, segment): (usize, &&[u8])| {
        let is_edge = index == 0 || index == last;
        *segment != b"." && *segment != b".." && (is_edge || !segment.is_empty())
    };
    !decoded.iter().any(|&b| is_hidden(b)) && segments.iter().enumerate().all(is_good)
}
