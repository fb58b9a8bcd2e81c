//! Batches of messages as OpenAI's, and their results at every cut.

use super::*;

fn shown(batch: &str) -> serde_json::Value {
    let mut out = Vec::new();
    Api::Messages.write_batch(Node::scanned(batch.as_bytes()), Form::Chat, "~a", &mut out);
    serde_json::from_slice(&out).expect("JSON")
}

fn batch(status: &str, counts: &str, more: &str) -> String {
    format!(
        r#"{{"id":"msgbatch_1","type":"message_batch","processing_status":"{status}","request_counts":{{{counts}}},"created_at":"2024-08-20T18:37:24.100435Z","expires_at":"2024-08-21T18:37:24Z"{more}}}"#
    )
}

#[test]
fn a_batch_has_the_state_and_the_counts_that_openais_api_knows() {
    let running = shown(&batch("in_progress", r#""processing":3"#, ""));
    assert_eq!(
        (running["status"].as_str(), running["created_at"].as_u64()),
        (Some("in_progress"), Some(1_724_179_044))
    );
    assert_eq!(
        (running["expires_at"].as_u64(), &running["output_file_id"]),
        (Some(1_724_265_444), &serde_json::Value::Null)
    );
    assert_eq!(
        (running["id"].as_str(), running["object"].as_str()),
        (Some("batch_c_msgbatch_1~a"), Some("batch"))
    );
    let over = r#","ended_at":"2024-08-20T19:00:00+00:00","results_url":"https://x""#;
    let check = |counts: &str, more: &str, status: &str, failed: u64| {
        let got = shown(&batch("ended", counts, &format!("{over}{more}")));
        assert_eq!(
            (got["status"].as_str(), got["request_counts"]["failed"].as_u64()),
            (Some(status), Some(failed))
        );
        assert_eq!(got[format!("{status}_at")].as_u64(), Some(1_724_180_400), "{status}");
        assert_eq!(got["output_file_id"].as_str(), Some("file-c_msgbatch_1~a"));
    };
    check(r#""succeeded":2,"errored":1"#, "", "completed", 1);
    check(r#""succeeded":2,"expired":1"#, "", "expired", 1);
    check(r#""canceled":4"#, r#","cancel_initiated_at":"2024-08-20T18:40:00Z""#, "cancelled", 4);
    let mut out = Vec::new();
    let list = format!(r#"{{"data":[{}],"has_more":true}}"#, batch("in_progress", "", ""));
    Api::Messages.write_list(Node::scanned(list.as_bytes()), "~a", &mut out);
    let list: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(
        (list["last_id"].as_str(), list["has_more"].as_bool()),
        (Some("batch_c_msgbatch_1~a"), Some(true))
    );
}

#[test]
fn an_id_says_in_which_api_the_results_are_read() {
    for form in [Form::Chat, Form::Responses] {
        for prefix in [BATCH, FILE] {
            assert_eq!(own_id(&id(prefix, form, "msgbatch_1")), (form, "msgbatch_1"));
        }
        assert!(is_results(&id(FILE, form, "msgbatch_1")));
    }
    assert_eq!(own_id("msgbatch_1"), (Form::Chat, "msgbatch_1"));
    assert!(!is_results("file-abc") && !is_results("batch_c_x"));
}

const LINES: &str = concat!(
    r#"{"custom_id":"a","result":{"type":"succeeded","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"h\u00e9"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":4}}}}"#,
    "\n\r\n",
    r#"{"custom_id":"b\"","result":{"type":"errored","error":{"type":"error","error":{"type":"invalid_request_error","message":"no"}}}}"#,
    "\n",
    r#"{"custom_id":"c","result":{"type":"expired"}}"#,
    "\n",
    r#"{"custom_id":"d","result":{"type":"canceled"}}"#,
);

fn read(form: Form, cut: usize) -> Vec<serde_json::Value> {
    let mut results = Results::new(form, Rules::default(), 1 << 20);
    let mut out = Vec::new();
    results.take(&LINES.as_bytes()[..cut], &mut out).expect("short lines");
    results.take(&LINES.as_bytes()[cut..], &mut out).expect("short lines");
    results.finish(&mut out);
    assert!(results.is_good());
    out.split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("JSON"))
        .collect()
}

#[test]
fn results_are_read_line_by_line_at_every_cut() {
    let whole = read(Form::Chat, 0);
    for cut in 0..=LINES.len() {
        assert_eq!(read(Form::Chat, cut), whole, "cut at {cut}");
    }
    let body = &whole[0]["response"]["body"];
    assert_eq!(
        (body["object"].as_str(), body["usage"]["total_tokens"].as_u64()),
        (Some("chat.completion"), Some(7))
    );
    assert_eq!(body["choices"][0]["message"]["content"], "hé");
    assert_eq!((&whole[1]["custom_id"], &whole[1]["response"]["status_code"]), (&"b\"".into(), &400.into()));
    assert_eq!(whole[1]["response"]["body"]["error"]["message"], "no");
    assert_eq!(
        (&whole[2]["error"]["code"], &whole[3]["error"]["code"]),
        (&"batch_expired".into(), &"batch_cancelled".into())
    );
    assert_eq!(read(Form::Responses, 7)[0]["response"]["body"]["object"], "response");
}

#[test]
fn what_was_cut_is_told() {
    for end in [LINES.len() - 1, 40] {
        let mut results = Results::new(Form::Chat, Rules::default(), 1 << 20);
        let mut out = Vec::new();
        results.take(&LINES.as_bytes()[..end], &mut out).expect("short lines");
        results.finish(&mut out);
        assert!(!results.is_good(), "cut at {end}");
    }
    let mut results = Results::new(Form::Chat, Rules::default(), 10);
    assert_eq!(results.take(LINES.as_bytes(), &mut Vec::new()), Err(LineTooLong));
}
