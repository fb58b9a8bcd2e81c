//! Batches of a file whose results come in pages (xAI's API reference, `/v1/batches` with `/results`), as OpenAI's. There is no
//! word for the state of such a batch: it is what the counts of its requests say.

use std::borrow::Cow;

use super::{CANCELLED, Form, Outcome, Shown, answer, generate, seconds, write_items, write_result};
use crate::dialect::endpoint::Grammar;
use crate::dialect::middle::{Rules, Told};
use crate::wire::json::{self, Kind, Node};

/// What stands behind the id of the file in the body that makes a batch of it.
pub const NEW: &[u8] = b",\"name\":\"batch\"}";

/// Writes a scanned batch. `ending` names its provider.
pub fn write_batch(batch: Node<'_>, form: Form, ending: &str, out: &mut Vec<u8>) {
    let time = |key: &str| text(batch, key).and_then(|text| seconds(&text));
    let counts = Counts::of(batch);
    let (own, input_file) = (own_id(batch), text(batch, "input_file_id"));
    let shown = Shown {
        own: &own,
        status: status(batch, &counts),
        created: time("create_time"),
        expires: time("expire_time"),
        cancelling: time("cancel_time"),
        has_results: has_results(batch),
        counts: Some([counts.total, counts.good, counts.bad + counts.cancelled]),
        input_file: input_file.as_deref(),
        ..Shown::default()
    };
    shown.write(form, ending, out);
}

/// Whether a scanned batch is over and has results.
pub fn has_results(batch: Node<'_>) -> bool {
    let counts = Counts::of(batch);
    matches!(status(batch, &counts), "completed" | "cancelled") && counts.good + counts.bad > 0
}

fn status(batch: Node<'_>, counts: &Counts) -> &'static str {
    let is_cancelled = text(batch, "cancel_time").is_some() || counts.cancelled > 0;
    match () {
        // Said by the provider, of a file that cannot be read too.
        () if text(batch, "cancel_by_xai_message").is_some() => "failed",
        () if is_cancelled && counts.pending > 0 => "cancelling",
        () if is_cancelled => "cancelled",
        // A file is read some time after its batch was made of it.
        () if counts.total == 0 => "validating",
        () if counts.pending > 0 => "in_progress",
        () => "completed",
    }
}

/// The requests of a batch by what became of them.
struct Counts {
    total: u64,
    pending: u64,
    good: u64,
    bad: u64,
    cancelled: u64,
}

impl Counts {
    fn of(batch: Node<'_>) -> Counts {
        let state = batch.get("state");
        let count = |key: &str| state.and_then(|state| state.get(key)?.u64()).unwrap_or(0);
        Counts {
            total: count("num_requests"),
            pending: count("num_pending"),
            good: count("num_success"),
            bad: count("num_error"),
            cancelled: count("num_cancelled"),
        }
    }
}

/// A text that says something.
fn text<'d>(batch: Node<'d>, key: &str) -> Option<Cow<'d, str>> {
    batch.get(key).and_then(Node::text).filter(|text| !text.is_empty())
}

fn own_id(batch: Node<'_>) -> String {
    let id = batch.get("batch_id").or_else(|| batch.get("id"));
    id.and_then(Node::text).unwrap_or_default().into_owned()
}

/// Writes a scanned list of batches.
pub fn write_list(list: Node<'_>, ending: &str, out: &mut Vec<u8>) {
    let items = list.get("batches").into_iter().flat_map(Node::items);
    let items = items.map(|batch| (own_id(batch), batch));
    write_items(items, next(list).is_some(), ending, out, write_batch);
}

/// The word that asks for the page behind a scanned one; `None` behind the last.
pub fn next(page: Node<'_>) -> Option<String> {
    let token = page.get("pagination_token").and_then(Node::text).filter(|token| !token.is_empty());
    token.map(|token| token.into_owned())
}

/// Writes the lines of a scanned page of results, behind `count` others. An answer in the caller's own API keeps its members
/// as they are. False where the document is no page of results.
pub fn write_results(page: Node<'_>, form: Form, rules: &Rules, count: &mut u64, out: &mut Vec<u8>) -> bool {
    let Some(results) = page.get("results") else { return false };
    for line in results.items() {
        *count += 1;
        let outcome = match of_line(line) {
            Some(body) => of_answer(body, form, rules),
            None => of_error(line),
        };
        write_result(*count, line.get("batch_request_id"), &outcome, out);
    }
    true
}

/// The requests of a page that were answered, by their ids, with the answers.
pub(super) fn answers(page: Node<'_>) -> impl Iterator<Item = (Node<'_>, Node<'_>)> {
    let results = page.get("results").into_iter().flat_map(Node::items);
    results.filter_map(|line| line.get("batch_request_id").zip(of_line(line)))
}

/// The answer in a result: it stands under the name of the call that was made for it.
fn of_line(line: Node<'_>) -> Option<Node<'_>> {
    let response = line.get("batch_result").and_then(|result| result.get("response"));
    let (_, body) = response.or_else(|| line.get("response"))?.members().next()?;
    Some(body)
}

fn of_answer(body: Node<'_>, form: Form, rules: &Rules) -> Outcome {
    let text = |key: &str| body.get(key).and_then(Node::text).unwrap_or_default().into_owned();
    let grammar = if text("object") == "response" { Grammar::Responses } else { Grammar::Chat };
    if grammar == form.grammar() {
        return Outcome::Answered(200, body.raw().to_vec());
    }
    let told = Told { id: text("id"), model: text("model"), ..Told::default() };
    answer(form, grammar, rules, told, body.raw())
}

/// An error is that of an RPC, or a sentence.
fn of_error(line: Node<'_>) -> Outcome {
    let inside = line.get("batch_result").and_then(|result| result.get("error"));
    let error = inside.or_else(|| line.get("error")).filter(|error| error.kind() == Kind::Object);
    if error.is_some() {
        return generate::of_error(error);
    }
    let Some(message) = line.get("error_message").and_then(Node::text) else { return CANCELLED };
    let mut wrapped = b"{\"error\":{\"message\":".to_vec();
    json::write_string(&message, &mut wrapped);
    wrapped.extend_from_slice(b"}}");
    super::refused(0, &wrapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: &str = r#"{"batch_id":"batch_1","name":"batch","create_time":"2026-09-23T10:00:00.5Z","expire_time":"2026-10-23T10:00:00Z","cancel_time":null,"cancel_by_xai_message":null,"state":{"num_requests":3,"num_pending":1,"num_success":1,"num_error":1,"num_cancelled":0},"input_file_id":"file_1"}"#;
    const PAGE: &str = r#"{"results":[
        {"batch_request_id":"a","batch_result":{"response":{"chat_get_completion":{"id":"c1","object":"chat.completion","created":5,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}}}},
        {"batch_request_id":"b","batch_result":{"error":{"code":3,"message":"no"}}},
        {"batch_request_id":"c","error_message":"late"},
        {"batch_request_id":"d"}],"pagination_token":"d"}"#;

    fn shown(batch: &str) -> serde_json::Value {
        let mut out = Vec::new();
        write_batch(Node::scanned(batch.as_bytes()), Form::Chat, "~x", &mut out);
        serde_json::from_slice(&out).expect("JSON")
    }

    #[test]
    fn the_counts_of_a_batch_tell_its_state() {
        let running = shown(BATCH);
        assert_eq!(
            (&running["id"], &running["status"]),
            (&"batch_c_batch_1~x".into(), &"in_progress".into())
        );
        assert_eq!(
            (&running["input_file_id"], &running["created_at"]),
            (&"file_1~x".into(), &1_790_157_600.into())
        );
        assert!(running["output_file_id"].is_null());
        let pending = r#""num_pending":1"#;
        let over = shown(&BATCH.replace(pending, r#""num_pending":0"#));
        assert_eq!(
            (&over["status"], &over["output_file_id"]),
            (&"completed".into(), &"file-c_batch_1~x".into())
        );
        assert_eq!(over["request_counts"], serde_json::json!({"total": 3, "completed": 1, "failed": 1}));
        let cancel = r#""cancel_time":null"#;
        let cancelling = BATCH.replace(cancel, r#""cancel_time":"2026-09-23T11:00:00Z""#);
        assert_eq!(shown(&cancelling)["status"], "cancelling");
        assert_eq!(shown(&cancelling.replace(pending, r#""num_pending":0"#))["status"], "cancelled");
        let refused = BATCH.replace(r#""cancel_by_xai_message":null"#, r#""cancel_by_xai_message":"line 3""#);
        assert_eq!(shown(&refused)["status"], "failed");
        assert_eq!(
            shown(r#"{"batch_id":"b","state":{"num_requests":0,"num_pending":0}}"#)["status"],
            "validating"
        );
        let mut out = Vec::new();
        let list = format!(r#"{{"batches":[{BATCH}],"pagination_token":""}}"#);
        write_list(Node::scanned(list.as_bytes()), "~x", &mut out);
        let list: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!((&list["data"][0]["id"], &list["has_more"]), (&"batch_c_batch_1~x".into(), &false.into()));
    }

    #[test]
    fn a_page_of_results_becomes_lines() {
        let page = Node::scanned(PAGE.as_bytes());
        assert_eq!(next(page).as_deref(), Some("d"));
        for (form, object) in [(Form::Chat, "chat.completion"), (Form::Responses, "response")] {
            let (mut out, mut count) = (Vec::new(), 7);
            assert!(write_results(page, form, &Rules::default(), &mut count, &mut out));
            let text = String::from_utf8(out).expect("text");
            let lines: Vec<serde_json::Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            assert_eq!((count, &lines[0]["id"]), (11, &"batch_req_8".into()));
            assert_eq!(lines[0]["response"]["body"]["object"], object);
            assert_eq!(
                (&lines[1]["custom_id"], &lines[1]["response"]["status_code"]),
                (&"b".into(), &400.into())
            );
            assert_eq!(lines[2]["response"]["body"]["error"]["message"], "late");
            assert_eq!(lines[3]["error"]["code"], "batch_cancelled");
        }
        let (mut out, mut count) = (Vec::new(), 0);
        assert!(!write_results(Node::scanned(b"{}"), Form::Chat, &Rules::default(), &mut count, &mut out));
    }
}
