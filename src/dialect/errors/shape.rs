//! Takes what an error answer says out of its shape. Knows the shapes of the field, judges nothing.

use serde_json::Value;

/// What an error answer holds, whatever its shape.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub message: String,
    /// The provider's code, where it is a word.
    pub code: Option<String>,
    /// Types, reasons and codes that stand anywhere near it, as they were spelled.
    pub words: Vec<String>,
    pub param: Option<String>,
    /// A status that the body names.
    pub status: Option<u16>,
}

/// Reads a body. What is no JSON gives its text, unless it is a page for people.
pub(super) fn read(body: &[u8]) -> Found {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => of_value(&value, NESTED_MAX),
        Err(_) => Found { message: plain(body), ..Found::default() },
    }
}

fn of_value(value: &Value, nested_left: usize) -> Found {
    // One provider wraps its error in an array.
    let value = value.get(0).unwrap_or(value);
    let mut found = Found::default();
    match value {
        Value::String(text) => found.message.clone_from(text),
        Value::Object(_) => {
            let choice_error = value.pointer("/choices/0/error").filter(|error| !error.is_null());
            match value.get("error").filter(|error| !error.is_null()).or(choice_error) {
                Some(error @ Value::Object(_)) => of_object(&mut found, error, nested_left),
                Some(Value::String(text)) => found.message.clone_from(text),
                _ => {}
            }
            of_top(&mut found, value, nested_left);
        }
        _ => {}
    }
    found
}

/// What stands in the error object, or in a body that is one.
fn of_object(found: &mut Found, error: &Value, nested_left: usize) {
    note_word(found, error.get("code"), Word::Code);
    for key in ["type", "status", "reason", "error_type", "__type"] {
        note_word(found, error.get(key), Word::Other);
    }
    for key in ["code", "status", "status_code", "raw_status_code", "originalStatusCode", "http_code"] {
        note_status(found, error.get(key));
    }
    found.param = found.param.take().or_else(|| error.get("param")?.as_str().map(str::to_owned));
    if found.message.is_empty() {
        let message = error.get("message").or(error.get("Message"));
        found.message = message.and_then(Value::as_str).unwrap_or_default().to_owned();
    }
    // Reasons of Google's ErrorInfo, the code of a spend limit, the result of a content filter.
    for detail in error.get("details").and_then(Value::as_array).into_iter().flatten() {
        note_word(found, detail.get("reason"), Word::Other);
    }
    for place in ["/details/error_code", "/innererror/code"] {
        note_word(found, error.pointer(place), Word::Other);
    }
    // A router gives the words of the provider behind it as a text.
    let raw = error.pointer("/metadata/raw").and_then(Value::as_str).filter(|raw| !raw.is_empty());
    if let Some(raw) = raw.filter(|_| nested_left > 0) {
        let inner = match serde_json::from_str::<Value>(raw) {
            Ok(value) => of_value(&value, nested_left - 1),
            Err(_) => Found { message: plain(raw.as_bytes()), ..Found::default() },
        };
        if !inner.message.is_empty() {
            found.message = inner.message;
        }
        found.words.extend(inner.code);
        found.words.extend(inner.words);
    }
}

/// What stands beside the error object, or in its place.
fn of_top(found: &mut Found, value: &Value, nested_left: usize) {
    match value.get("detail") {
        Some(Value::String(text)) if found.message.is_empty() => found.message.clone_from(text),
        Some(Value::Array(items)) if found.message.is_empty() => of_detail_list(found, items),
        Some(detail @ Value::Object(_)) => of_object(found, detail, nested_left),
        _ => {}
    }
    of_object(found, value, nested_left);
    if let Some(base) = value.get("base_resp") {
        if found.message.is_empty() {
            found.message = base.get("status_msg").and_then(Value::as_str).unwrap_or_default().to_owned();
        }
        // Numbers of its own, no HTTP statuses.
        let word = base.get("status_code").and_then(Value::as_u64).map(|code| format!("base_resp_{code}"));
        found.words.extend(word);
    }
}

/// `[{"loc": ["body", "messages"], "msg": "field required", "type": "missing"}]`
fn of_detail_list(found: &mut Found, items: &[Value]) {
    let sentences: Vec<&str> =
        items.iter().filter_map(|item| item.get("msg").unwrap_or(item).as_str()).collect();
    found.message = sentences.join("; ");
    let place = items.first().and_then(|item| item.get("loc")?.as_array());
    let names: Vec<String> = place
        .into_iter()
        .flatten()
        .filter(|name| *name != "body")
        .map(|name| name.as_str().map_or_else(|| name.to_string(), str::to_owned))
        .collect();
    found.param = (!names.is_empty()).then(|| names.join("."));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Code,
    Other,
}

fn note_word(found: &mut Found, value: Option<&Value>, word: Word) {
    let Some(text) = value.and_then(Value::as_str) else { return };
    // A number in quotes is a status, and "error" says nothing.
    if text.is_empty() || text == "error" || text.bytes().all(|byte| byte.is_ascii_digit()) {
        return;
    }
    if word == Word::Code && found.code.is_none() {
        found.code = Some(text.to_owned());
    } else {
        found.words.push(text.to_owned());
    }
}

fn note_status(found: &mut Found, value: Option<&Value>) {
    let number = match value {
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64().and_then(|number| u16::try_from(number).ok()),
        None => None,
    };
    found.status = found.status.or(number.filter(|status| (400..600).contains(status)));
}

/// The text of a body that is no JSON, cut to a length; nothing of a page in HTML.
fn plain(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(MESSAGE_BYTES_MAX)]);
    let text = text.trim();
    if text.starts_with('<') { String::new() } else { text.to_owned() }
}

/// Of a text that is no JSON the client gets this much.
const MESSAGE_BYTES_MAX: usize = 2048;
/// Errors inside of errors are followed this deep.
const NESTED_MAX: usize = 2;
