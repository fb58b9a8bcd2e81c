//! Batches as jobs (Mistral's API reference, `/v1/batch/jobs`), as OpenAI's: a job brings its requests, all of them for one
//! model and one endpoint, and when it is asked for with `inline=true` its answers stand in it, in the shape of OpenAI's lines.

use super::{Form, Outcome, Shown, answer, write_items, write_result};
use crate::dialect::endpoint::Grammar;
use crate::dialect::middle::{Rules, Told};
use crate::wire::json::Node;

/// Writes a scanned job. `ending` names its provider.
pub fn write_batch(job: Node<'_>, form: Form, ending: &str, out: &mut Vec<u8>) {
    let text = |key: &str| job.get(key).and_then(Node::text).unwrap_or_default();
    let number = |key: &str| job.get(key).and_then(Node::u64);
    let own = text("id");
    let status = status(&text("status"));
    let counts = ["total_requests", "succeeded_requests", "failed_requests"].map(number);
    let counts = counts[0].map(|total| [total, counts[1].unwrap_or(0), counts[2].unwrap_or(0)]);
    let is_over = ["completed", "cancelled", "expired"].contains(&status);
    let shown = Shown {
        own: &own,
        status,
        created: number("created_at"),
        ended: number("completed_at"),
        has_results: is_over && counts.is_some_and(|[_, good, bad]| good + bad > 0),
        counts,
        metadata: job.get("metadata"),
        ..Shown::default()
    };
    shown.write(form, ending, out);
}

fn status(word: &str) -> &'static str {
    match word {
        "QUEUED" => "validating",
        "SUCCESS" => "completed",
        "FAILED" => "failed",
        "TIMEOUT_EXCEEDED" => "expired",
        "CANCELLATION_REQUESTED" => "cancelling",
        "CANCELLED" => "cancelled",
        _ => "in_progress",
    }
}

/// Writes a scanned list of jobs. Its total counts those of all pages.
pub fn write_list(list: Node<'_>, ending: &str, out: &mut Vec<u8>) {
    let jobs = || list.get("data").into_iter().flat_map(Node::items);
    let total = list.get("total").and_then(Node::u64).unwrap_or(0);
    let has_more = total > jobs().count() as u64;
    let items = jobs().map(|job| (job.get("id").and_then(Node::text).unwrap_or_default().into_owned(), job));
    write_items(items, has_more, ending, out, write_batch);
}

/// The answers of a job that is over.
pub(super) fn answers(job: Node<'_>) -> Option<Node<'_>> {
    job.get("outputs").filter(|outputs| outputs.items().next().is_some())
}

/// Writes the lines of a scanned job's results; false when it has none yet. An answer in the caller's own API keeps its
/// members as they are.
pub fn write_results(job: Node<'_>, form: Form, rules: &Rules, out: &mut Vec<u8>) -> bool {
    let Some(answers) = answers(job) else { return false };
    for (at, line) in answers.items().enumerate() {
        let [id, response, error] = line.pick(["custom_id", "response", "error"]);
        let status = response.and_then(|response| response.get("status_code")?.u64()).unwrap_or(0);
        let status = u16::try_from(status).unwrap_or(0);
        let body = response.and_then(|response| response.get("body"));
        let outcome = match body {
            Some(body) if status < 300 && form != Form::Chat => {
                let text = |key: &str| body.get(key).and_then(Node::text).unwrap_or_default().into_owned();
                let told = Told { id: text("id"), model: text("model"), ..Told::default() };
                answer(form, Grammar::Chat, rules, told, body.raw())
            }
            Some(body) if status < 300 => Outcome::Answered(status, body.raw().to_vec()),
            Some(body) => super::refused(status, body.raw()),
            None => super::refused(status, error.map_or(b"", Node::raw)),
        };
        write_result(at as u64 + 1, id, &outcome, out);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUED: &str = r#"{"id":"ca1c-1","object":"batch","input_files":["5c"],"metadata":{"k":"v"},"endpoint":"/v1/chat/completions","model":"m","output_file":null,"errors":[],"outputs":null,"status":"QUEUED","created_at":1787150442,"total_requests":0,"succeeded_requests":0,"failed_requests":0,"completed_at":null}"#;
    const OVER: &str = r#"{"id":"ca1c-1","object":"batch","metadata":null,"outputs":[
        {"id":"batch-1","custom_id":"a","response":{"status_code":200,"body":{"id":"x","object":"chat.completion","model":"m","usage":{"prompt_tokens":27,"completion_tokens":2,"total_tokens":29},"created":1787150442,"choices":[{"index":0,"finish_reason":"stop",
            "message":{"role":"assistant","content":"4"}}]}},"error":null},
        {"id":"batch-2","custom_id":"b","response":{"status_code":422,"body":{"object":"error","message":"no","type":"invalid"}},"error":null},
        {"id":"batch-3","custom_id":"c","response":null,"error":{"message":"gone"}}
        ],"status":"SUCCESS","created_at":1787150442,"total_requests":3,"succeeded_requests":1,"failed_requests":2,"completed_at":1787150467}"#;

    fn shown(job: &str) -> serde_json::Value {
        let mut out = Vec::new();
        write_batch(Node::scanned(job.as_bytes()), Form::Chat, "~m", &mut out);
        serde_json::from_slice(&out).expect("JSON")
    }

    fn results(form: Form) -> Vec<serde_json::Value> {
        let mut out = Vec::new();
        assert!(write_results(Node::scanned(OVER.as_bytes()), form, &Rules::default(), &mut out));
        let text = String::from_utf8(out).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[test]
    fn a_job_is_shown_as_a_batch() {
        let queued = shown(QUEUED);
        assert_eq!((&queued["id"], &queued["status"]), (&"batch_c_ca1c-1~m".into(), &"validating".into()));
        assert_eq!((&queued["created_at"], &queued["metadata"]["k"]), (&1_787_150_442.into(), &"v".into()));
        assert!(queued["output_file_id"].is_null());
        let over = shown(OVER);
        assert_eq!((&over["status"], &over["completed_at"]), (&"completed".into(), &1_787_150_467.into()));
        assert_eq!(over["output_file_id"], "file-c_ca1c-1~m");
        assert_eq!(over["request_counts"], serde_json::json!({"total": 3, "completed": 1, "failed": 2}));
        for (word, want) in [("CANCELLATION_REQUESTED", "cancelling"), ("TIMEOUT_EXCEEDED", "expired")] {
            assert_eq!(shown(&QUEUED.replace("QUEUED", word))["status"], want);
        }
        let mut out = Vec::new();
        let list = format!(r#"{{"object":"list","data":[{QUEUED}],"total":2}}"#);
        write_list(Node::scanned(list.as_bytes()), "~m", &mut out);
        let list: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!((&list["data"][0]["id"], &list["has_more"]), (&"batch_c_ca1c-1~m".into(), &true.into()));
    }

    #[test]
    fn outputs_become_lines_in_the_api_of_the_requests() {
        let mut out = Vec::new();
        assert!(!write_results(Node::scanned(QUEUED.as_bytes()), Form::Chat, &Rules::default(), &mut out));
        let lines = results(Form::Chat);
        assert_eq!(lines[0]["response"]["body"]["choices"][0]["message"]["content"], "4");
        assert_eq!(
            (&lines[1]["custom_id"], &lines[1]["response"]["status_code"]),
            (&"b".into(), &422.into())
        );
        assert_eq!(lines[1]["response"]["body"]["error"]["message"], "no");
        assert_eq!(lines[2]["response"]["body"]["error"]["message"], "gone");
        let body = &results(Form::Responses)[0]["response"]["body"];
        assert_eq!(
            (&body["object"], &body["output"][0]["content"][0]["text"]),
            (&"response".into(), &"4".into())
        );
    }
}
