//! Gemini's batches, which are operations, as OpenAI's: `name` has the id, `metadata` the state, and `response` the answers,
//! all of them in one document, each with the key that its request was given.

use super::{CANCELLED, EXPIRED, Form, Outcome, Shown, answer, refused, seconds, write_items, write_result};
use crate::dialect::endpoint::Grammar;
use crate::dialect::middle::{Rules, Told};
use crate::wire::json::Node;

/// The operation's id: its name without the collection's.
fn own_id(operation: Node<'_>) -> String {
    let name = operation.get("name").and_then(Node::text).unwrap_or_default();
    name.strip_prefix("batches/").unwrap_or(&name).to_owned()
}

/// Writes a scanned operation. `ending` names its provider.
pub fn write_batch(operation: Node<'_>, form: Form, ending: &str, out: &mut Vec<u8>) {
    let own = own_id(operation);
    let metadata = operation.get("metadata");
    let text = |key: &str| metadata.and_then(|metadata| metadata.get(key)?.text());
    let time = |key: &str| text(key).and_then(|text| seconds(&text));
    let status = status(&text("state").unwrap_or_default());
    let stats = metadata.and_then(|metadata| metadata.get("batchStats"));
    // 64-bit numbers are strings in this API.
    let count = |key: &str| {
        let value = stats?.get(key)?;
        value.u64().or_else(|| value.text()?.parse().ok())
    };
    let counts = count("requestCount").map(|total| {
        [total, count("successfulRequestCount").unwrap_or(0), count("failedRequestCount").unwrap_or(0)]
    });
    let shown = Shown {
        own: &own,
        status,
        created: time("createTime"),
        expires: None,
        ended: time("endTime"),
        cancelling: None,
        has_results: status == "completed" && answers(operation).is_some(),
        counts,
        ..Shown::default()
    };
    shown.write(form, ending, out);
}

/// The states of a batch, whichever word stands before them.
fn status(state: &str) -> &'static str {
    match state.rsplit('_').next().unwrap_or_default() {
        "PENDING" => "validating",
        "SUCCEEDED" => "completed",
        "FAILED" => "failed",
        "CANCELLED" => "cancelled",
        "EXPIRED" => "expired",
        _ => "in_progress",
    }
}

/// Writes the batch as it is known when its cancelling was answered, which says nothing about it.
pub fn write_cancelled(own: &str, form: Form, ending: &str, out: &mut Vec<u8>) {
    Shown { own, status: "cancelling", ..Shown::default() }.write(form, ending, out);
}

/// Writes a scanned list of operations.
pub fn write_list(list: Node<'_>, ending: &str, out: &mut Vec<u8>) {
    let items = list.get("operations").into_iter().flat_map(Node::items);
    let items = items.map(|operation| (own_id(operation), operation));
    write_items(items, list.get("nextPageToken").is_some(), ending, out, write_batch);
}

/// The answers of an operation that is over: in its response, or in the batch's output.
pub(super) fn answers(operation: Node<'_>) -> Option<Node<'_>> {
    let inside = |node: Node<'_>| node.get("inlinedResponses")?.get("inlinedResponses").map(|_| ());
    let places = [
        operation.get("response"),
        operation.get("response").and_then(|response| response.get("output")),
        operation.get("metadata").and_then(|metadata| metadata.get("output")),
    ];
    let place = places.into_iter().flatten().find(|node| inside(*node).is_some())?;
    place.get("inlinedResponses")?.get("inlinedResponses")
}

/// Writes the lines of a scanned operation's results; false when it has none yet.
pub fn write_results(operation: Node<'_>, form: Form, rules: &Rules, out: &mut Vec<u8>) -> bool {
    let Some(answers) = answers(operation) else { return false };
    let own = own_id(operation);
    let model =
        operation.get("metadata").and_then(|metadata| metadata.get("model")?.text()).unwrap_or_default();
    let model = model.strip_prefix("models/").unwrap_or(&model);
    for (at, item) in answers.items().enumerate() {
        let outcome = match (item.get("response"), item.get("error")) {
            (Some(response), _) => {
                let told = Told { id: format!("{own}-{at}"), model: model.to_owned(), ..Told::default() };
                answer(form, Grammar::Gemini, rules, told, response.raw())
            }
            (None, error) => of_error(error),
        };
        write_result(
            at as u64 + 1,
            item.get("metadata").and_then(|metadata| metadata.get("key")),
            &outcome,
            out,
        );
    }
    true
}

/// An error of one request: a status of an RPC (`google.rpc.Code`), which has other numbers than HTTP.
pub(super) fn of_error(error: Option<Node<'_>>) -> Outcome {
    let code = error.and_then(|error| error.get("code")?.u64()).unwrap_or(0);
    let status = match code {
        1 => return CANCELLED,
        4 => return EXPIRED,
        3 | 9 | 11 => 400,
        5 => 404,
        7 => 403,
        8 => 429,
        16 => 401,
        14 => 503,
        100..=599 => u16::try_from(code).unwrap_or(500),
        _ => 500,
    };
    let mut wrapped = b"{\"error\":".to_vec();
    wrapped.extend_from_slice(error.map_or(b"{}", Node::raw));
    wrapped.push(b'}');
    refused(status, &wrapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: &str = r#"{"name":"batches/b1","metadata":{"model":"models/g","state":"BATCH_STATE_RUNNING","createTime":"2024-08-20T18:37:24.5Z","batchStats":{"requestCount":"3","pendingRequestCount":"2","successfulRequestCount":"1"}}}"#;
    const OVER: &str = r#"{"name":"batches/b1","metadata":{"model":"models/g","state":"BATCH_STATE_SUCCEEDED","endTime":"2024-08-20T19:00:00Z"},"done":true,"response":{"inlinedResponses":{"inlinedResponses":[
        {"metadata":{"key":"a"},"response":{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4,"totalTokenCount":7}}},
        {"metadata":{"key":"b"},"error":{"code":3,"message":"no"}},
        {"metadata":{"key":"c"},"error":{"code":1,"message":"gone"}}]}}}"#;

    fn shown(operation: &str) -> serde_json::Value {
        let mut out = Vec::new();
        write_batch(Node::scanned(operation.as_bytes()), Form::Chat, "~g", &mut out);
        serde_json::from_slice(&out).expect("JSON")
    }

    #[test]
    fn an_operation_is_shown_as_a_batch() {
        let running = shown(RUNNING);
        assert_eq!((&running["id"], &running["status"]), (&"batch_c_b1~g".into(), &"in_progress".into()));
        assert_eq!(
            (&running["created_at"], &running["request_counts"]["total"]),
            (&1_724_179_044.into(), &3.into())
        );
        assert!(running["output_file_id"].is_null());
        let over = shown(OVER);
        assert_eq!((&over["status"], &over["completed_at"]), (&"completed".into(), &1_724_180_400.into()));
        assert_eq!(
            (&over["output_file_id"], &over["request_counts"]),
            (&"file-c_b1~g".into(), &serde_json::Value::Null)
        );
        for (state, want) in
            [("BATCH_STATE_PENDING", "validating"), ("JOB_STATE_EXPIRED", "expired"), ("?", "in_progress")]
        {
            assert_eq!(shown(&RUNNING.replace("BATCH_STATE_RUNNING", state))["status"], want);
        }
        let mut out = Vec::new();
        let list = format!(r#"{{"operations":[{RUNNING}],"nextPageToken":"x"}}"#);
        write_list(Node::scanned(list.as_bytes()), "~g", &mut out);
        let list: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!((&list["data"][0]["id"], &list["has_more"]), (&"batch_c_b1~g".into(), &true.into()));
    }

    #[test]
    fn answers_become_lines_by_their_keys() {
        let mut out = Vec::new();
        assert!(!write_results(Node::scanned(RUNNING.as_bytes()), Form::Chat, &Rules::default(), &mut out));
        assert!(write_results(Node::scanned(OVER.as_bytes()), Form::Chat, &Rules::default(), &mut out));
        let lines: Vec<serde_json::Value> = String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines[0]["response"]["body"]["choices"][0]["message"]["content"], "hi");
        assert_eq!(
            (&lines[1]["custom_id"], &lines[1]["response"]["status_code"]),
            (&"b".into(), &400.into())
        );
        assert_eq!(lines[2]["error"]["code"], "batch_cancelled");
    }
}
