//! Streams taken apart, plainly: server-sent events by lines, frames of AWS by their lengths. And put together, for streams
//! that are recorded without their framing.

use serde_json::{Value, json};

use crate::said::text;

/// One event, and where it stands.
#[derive(Clone, Debug)]
pub struct Event {
    /// The `event:` line, or the name of a frame.
    pub name: String,
    /// The data: JSON, or the text in a JSON string where it is none.
    pub data: Value,
    /// Where it begins in the stream.
    pub start: usize,
}

/// Server-sent events, by the letter: lines of any ending, an empty one between events.
pub fn sse(stream: &[u8]) -> Vec<Event> {
    let whole = String::from_utf8_lossy(stream);
    let (mut events, mut name, mut data, mut start, mut at) = (Vec::new(), String::new(), Vec::new(), 0, 0);
    let stream = whole.strip_prefix('\u{feff}').unwrap_or(&whole);
    let mut dispatch = |name: &mut String, data: &mut Vec<&str>, start: usize| {
        if !data.is_empty() {
            let joined = data.join("\n");
            let value = serde_json::from_str(&joined).unwrap_or(Value::String(joined));
            events.push(Event { name: std::mem::take(name), data: value, start });
        }
        data.clear();
        name.clear();
    };
    for line in stream.split_inclusive(['\n', '\r']) {
        let here = at;
        at += line.len();
        if line == "\n" && stream.as_bytes()[..here].ends_with(b"\r") {
            continue;
        }
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            dispatch(&mut name, &mut data, start);
            start = at;
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => data.push(value),
            "event" => name = value.to_owned(),
            _ => {}
        }
    }
    dispatch(&mut name, &mut data, start);
    events
}

/// Frames of an event stream; `None` when the bytes are none. An exception becomes an event of its name with its payload.
pub fn frames(stream: &[u8]) -> Option<Vec<Event>> {
    let (mut events, mut at) = (Vec::new(), 0);
    while at < stream.len() {
        let word = |at: usize| Some(u32::from_be_bytes(stream.get(at..at + 4)?.try_into().ok()?) as usize);
        let (length, headers) = (word(at)?, word(at + 4)?);
        let frame = stream.get(at..at + length)?;
        let found = strings(frame.get(12..12 + headers)?)?;
        let payload = frame.get(12 + headers..length.checked_sub(4)?)?;
        let find = |name: &str| found.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let name = [":event-type", ":exception-type", ":error-code"].into_iter().find_map(find)?;
        let is_error = find(":message-type")? != "event";
        let data = serde_json::from_slice(payload).unwrap_or(Value::Null);
        let data =
            if is_error { json!({"exception": name, "message": text(&data, "message")}) } else { data };
        events.push(Event { name, data, start: at });
        at += length;
    }
    Some(events)
}

/// Headers whose values are strings, which all that were recorded are.
fn strings(mut bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    while let Some((&name_length, rest)) = bytes.split_first() {
        let (name, rest) = rest.split_at_checked(name_length as usize)?;
        let [7, high, low, rest @ ..] = rest else { return None };
        let (value, rest) = rest.split_at_checked(u16::from_be_bytes([*high, *low]) as usize)?;
        found.push((String::from_utf8_lossy(name).into(), String::from_utf8_lossy(value).into()));
        bytes = rest;
    }
    Some(found)
}

/// One frame: an event, or an exception.
pub fn frame(is_exception: bool, name: &str, payload: &[u8]) -> Vec<u8> {
    let (kind, kind_header) =
        if is_exception { ("exception", ":exception-type") } else { ("event", ":event-type") };
    let mut headers = Vec::new();
    for (key, value) in [(kind_header, name), (":content-type", "application/json"), (":message-type", kind)]
    {
        headers.push(key.len() as u8);
        headers.extend_from_slice(key.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let length = 12 + headers.len() + payload.len() + 4;
    let mut frame = (length as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    frame.extend_from_slice(&checksum(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&checksum(&frame).to_be_bytes());
    frame
}

/// CRC-32 as IEEE 802.3 has it, bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// Server-sent events around data, each named by its `type` where it has one.
pub fn framed(events: &[Value]) -> Vec<u8> {
    let mut stream = String::new();
    for event in events {
        if let Some(name) = event["type"].as_str() {
            stream.push_str(&format!("event: {name}\n"));
        }
        // A marker is no JSON.
        let data = event.as_str().map_or_else(|| event.to_string(), str::to_owned);
        stream.push_str(&format!("data: {data}\n\n"));
    }
    stream.into_bytes()
}

/// The bytes that base64 stands for; characters that are none of its own are passed over.
pub fn from_base64(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
