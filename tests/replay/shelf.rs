//! The recordings: files of several tools, found beside the project where they are, taken apart to answers. Each answer that
//! is in a dialect is replayed; each other one has its reason.

use std::path::Path;

use ringway::dialect::endpoint::Grammar;
use serde_json::{Value, json};

use crate::framing::{frame, framed, frames, from_base64, sse};
use crate::said::{items, text};
use crate::{inflate, yaml};

/// An answer of a provider, as it would come.
pub struct Recording {
    pub name: String,
    pub grammar: Grammar,
    pub is_stream: bool,
    pub body: Vec<u8>,
}

/// What lies on the shelf: a recording, or a name with the reason why it is none.
pub type Found = Result<Recording, (String, String)>;

/// Everything that is recorded, nothing where no recordings are.
pub fn recordings() -> Vec<Found> {
    let folder = format!("{}/../shared/fixtures", env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(format!("{folder}/manifest.jsonl")).unwrap_or_default();
    let entries = manifest.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut found = Vec::new();
    for entry in entries {
        let name = text(&entry, "file").to_owned();
        match std::fs::read(Path::new(&folder).join(&name)) {
            Ok(bytes) => open(&name, text(&entry, "format"), &bytes, &mut found),
            Err(error) => found.push(Err((name, format!("cannot be read: {error}")))),
        }
    }
    found
}

/// One recorded answer before it is known what it is.
struct Raw {
    status: u64,
    body: Vec<u8>,
}

fn open(name: &str, format: &str, bytes: &[u8], found: &mut Vec<Found>) {
    let answers = match format {
        "cassette-yaml" => cassette(&String::from_utf8_lossy(bytes)),
        "httprr" => httprr(bytes),
        _ if format.starts_with("vercel-chunks") || format == "jsonl" => Ok(vec![lines(bytes)]),
        _ => Ok(file(bytes)),
    };
    match answers {
        Err(reason) => found.push(Err((name.to_owned(), reason))),
        Ok(answers) if answers.is_empty() => found.push(Err((name.to_owned(), "holds no answer".to_owned()))),
        Ok(answers) => {
            let is_one = answers.len() == 1;
            for (number, raw) in (1..).zip(answers) {
                let name = if is_one { name.to_owned() } else { format!("{name} #{number}") };
                found.push(judge(name, raw));
            }
        }
    }
}

/// Tells the dialect by what stands in the body.
fn judge(name: String, raw: Raw) -> Found {
    let Raw { status, mut body } = raw;
    let refuse = |reason: &str| Err((name.clone(), reason.to_owned()));
    if status >= 300 {
        return refuse(&format!("an answer of status {status}: not a conversation"));
    }
    if body.starts_with(&[0x1F, 0x8B]) {
        let Some(bytes) = inflate::gunzip(&body) else {
            return refuse("compressed in a way that cannot be read");
        };
        body = bytes;
    }
    if body.trim_ascii().is_empty() {
        return refuse("an empty body");
    }
    if let Ok(value) = serde_json::from_slice::<Value>(&body) {
        // Streams that were kept as a list of their events.
        if let Some(list) = value.as_array().filter(|list| list.iter().any(|item| of_event(item).is_some())) {
            body = framed(list);
        } else {
            let Some(grammar) = of_answer(&value) else { return refuse(&why_none(&value)) };
            return Ok(Recording { name, grammar, is_stream: false, body });
        }
    }
    if body.starts_with(&[0, 0]) {
        let Some(events) = frames(&body) else { return refuse("an event stream that is cut or changed") };
        let is_spoken = events.iter().any(|event| event.name == "contentBlockDelta");
        return match is_spoken {
            true => Ok(Recording { name, grammar: Grammar::Converse, is_stream: true, body }),
            false => refuse("native format not spoken: an event stream of another API"),
        };
    }
    let events = sse(&body);
    let first = events.iter().find_map(|event| of_event(&event.data));
    match first {
        Some(grammar) => Ok(Recording { name, grammar, is_stream: true, body }),
        None if events.is_empty() => refuse("not an answer: neither JSON nor events"),
        None => refuse("native format not spoken: a stream of another API"),
    }
}

fn of_answer(value: &Value) -> Option<Grammar> {
    let is_chat = text(value, "object") == "chat.completion";
    let has_message = is_chat || items(&value["choices"]).any(|choice| choice["message"].is_object());
    if text(value, "object") == "response" {
        Some(Grammar::Responses)
    } else if has_message {
        Some(Grammar::Chat)
    } else if text(value, "type") == "message" && value["content"].is_array() {
        Some(Grammar::Messages)
    } else if value["candidates"].is_array() || value["promptFeedback"].is_object() {
        Some(Grammar::Gemini)
    } else if value["output"]["message"].is_object() && value["stopReason"].is_string() {
        Some(Grammar::Converse)
    } else {
        None
    }
}

fn of_event(data: &Value) -> Option<Grammar> {
    let kind = text(data, "type");
    if text(data, "object") == "chat.completion.chunk"
        || items(&data["choices"]).any(|c| c["delta"].is_object())
    {
        Some(Grammar::Chat)
    } else if kind.starts_with("response.") {
        Some(Grammar::Responses)
    } else if kind == "message_start" || kind == "content_block_start" {
        Some(Grammar::Messages)
    } else if data["candidates"].is_array() || data["promptFeedback"].is_object() {
        Some(Grammar::Gemini)
    } else {
        None
    }
}

fn why_none(value: &Value) -> String {
    let members: Vec<&str> =
        value.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).take(6).collect();
    match value {
        _ if value["error"].is_object() || value["error"].is_string() => "not an answer: an error".to_owned(),
        Value::Object(_) => format!("not an answer of a dialect: {{{}}}", members.join(", ")),
        _ => "not an answer: no object".to_owned(),
    }
}

/// The pairs of a cassette, whichever tool wrote it.
fn cassette(text: &str) -> Result<Vec<Raw>, String> {
    let documents = yaml::documents(text).map_err(|error| format!("YAML that cannot be read: {error}"))?;
    let mut answers = Vec::new();
    for document in &documents {
        let pairs = [&document["interactions"], &document["http_interactions"]].into_iter().flat_map(items);
        answers.extend(pairs.map(|pair| answer_in(&pair["response"])));
        if document["then"].is_object() {
            answers.push(answer_in(&document["then"]));
        }
    }
    Ok(answers)
}

/// A recorded answer, whatever its members are called.
fn answer_in(response: &Value) -> Raw {
    let status = &response["status"];
    let word = || status.as_str().and_then(|status| status.get(..3)?.parse().ok());
    let code = status.as_u64().or(status["code"].as_u64()).or(response["code"].as_u64()).or_else(word);
    let bodies = ["body", "parsed_body", "content", "body_base64", "jsonBody", "base64Body"];
    let is_base64 = response["body_encoding"] == "base64";
    let body = bodies.into_iter().find(|name| !response[*name].is_null());
    let bytes = body.map(|name| {
        let inner = [&response[name]["string"], &response[name]["base64_string"], &response[name]];
        let value = inner.into_iter().find(|value| !value.is_null()).unwrap_or(&Value::Null);
        match value {
            Value::String(text) if is_base64 || name.contains("base64") => from_base64(text),
            Value::String(text) => text.clone().into_bytes(),
            Value::Object(members) if members.contains_key("!binary") => from_base64(text(value, "!binary")),
            other => other.to_string().into_bytes(),
        }
    });
    Raw { status: code.unwrap_or(200), body: bytes.unwrap_or_default() }
}

/// A file that holds one answer, or a pair.
fn file(bytes: &[u8]) -> Vec<Raw> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(pair) if pair["response"].is_object() && pair["request"].is_object() => {
            vec![answer_in(&pair["response"])]
        }
        _ => vec![Raw { status: 200, body: bytes.to_vec() }],
    }
}

/// A stream of which each event's data was kept as a line.
fn lines(bytes: &[u8]) -> Raw {
    let values: Vec<Value> = String::from_utf8_lossy(bytes)
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| json!(line)))
        .flat_map(|line| line["response"].as_array().cloned().unwrap_or_else(|| vec![line]))
        .collect();
    let is_converse = values.iter().any(|value| value["contentBlockDelta"].is_object());
    let body = if is_converse {
        let one = |value: &Value| {
            let member = value
                .as_object()
                .and_then(|members| members.iter().next().map(|(n, p)| (n.clone(), p.to_string())));
            let (name, payload) = member.unwrap_or_default();
            frame(name.ends_with("Exception"), &name, payload.as_bytes())
        };
        values.iter().flat_map(one).collect()
    } else {
        framed(&values)
    };
    Raw { status: 200, body }
}

/// Pairs as raw HTTP, behind their lengths.
fn httprr(bytes: &[u8]) -> Result<Vec<Raw>, String> {
    let broken = || "a raw recording that cannot be read".to_owned();
    let mut rest = bytes.strip_prefix(b"httprr trace v1\n").ok_or_else(broken)?;
    let mut answers = Vec::new();
    while !rest.trim_ascii().is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        let lengths = line
            .split_once(' ')
            .and_then(|(a, b)| Some((a.parse::<usize>().ok()?, b.parse::<usize>().ok()?)));
        let (request, response) = lengths.ok_or_else(broken)?;
        let answer = rest.get(end + 1 + request..end + 1 + request + response).ok_or_else(broken)?;
        rest = &rest[end + 1 + request + response..];
        answers.push(http(answer));
    }
    Ok(answers)
}

fn http(answer: &[u8]) -> Raw {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(200);
    let mut body = answer[end..].to_vec();
    if head.contains("transfer-encoding: chunked") {
        body = unchunked(&body).unwrap_or(body);
    }
    Raw { status, body }
}

fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(end + 2..end + 2 + size)?);
        bytes = bytes.get(end + 4 + size..)?;
    }
}
