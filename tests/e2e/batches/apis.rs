//! Batches at providers whose API for them is their own: jobs that bring their requests, and results that come in pages.

use std::io::Write;

use serde_json::{Value, json};

use super::{FORM, JSON, Simulated, asked, chat_request, form, lines_of, request, value};
use crate::admin::admin;
use crate::support::*;

const JOB: &str = r#"{"id":"j1","object":"batch","status":"RUNNING","created_at":5,"total_requests":1,"succeeded_requests":0,"failed_requests":0,"metadata":{"k":"v"},"outputs":null}"#;

/// A gateway with one provider of this kind, called `up`.
fn gateway(kind: &str, upstream: &Upstream) -> Gateway {
    let url = format!("http://127.0.0.1:{}/v1", upstream.port);
    let settings =
        format!("providers:\n  up: {{type: {kind}, base_url: '{url}', api_key: k, models: [m]}}\n");
    Gateway::start_with(&settings, &[])
}

#[test]
fn a_job_brings_its_requests_for_one_model_as_the_providers_file_has_them() {
    let up = Upstream::answering(json_answer(200, "", JOB), After::KeepAlive);
    let gateway = gateway("mistral", &up);
    let create = |requests: Value| {
        let body = json!({"requests": requests, "metadata": {"k": "v"}}).to_string();
        gateway.call(&request("POST", "/v1/batches", JSON, &body))
    };
    let mut one = chat_request("a", "up/m", "hi");
    (one["body"]["max_completion_tokens"], one["body"]["seed"]) = (json!(9), json!(7));
    let two = json!({"custom_id": "b", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "x": 1}});
    let batch = value(&create(json!([one, two])));
    assert_eq!((&batch["id"], &batch["status"]), (&json!("batch_c_j1~up"), &json!("in_progress")), "{batch}");
    assert_eq!(batch["metadata"], json!({"k": "v"}));
    let sent: Value = serde_json::from_str(&asked(&up)[0].1).expect("JSON");
    let messages = json!([{"role": "user", "content": "hi"}]);
    let want = json!({
        "requests": [
            {"custom_id": "a", "body": {"messages": messages, "max_tokens": 9, "random_seed": 7}},
            {"custom_id": "b", "body": {"x": 1}},
        ],
        "endpoint": "/v1/chat/completions", "model": "m", "metadata": {"k": "v"},
    });
    assert_eq!((asked(&up)[0].0.as_str(), sent), ("POST /v1/batch/jobs", want));
    let differ = create(json!([chat_request("a", "up/m", "x"), chat_request("b", "up/n", "x")]));
    assert_eq!((differ.status, differ.error_code().as_str()), (400, "models_differ"));
    for (method, target, line) in [
        ("GET", "/v1/batches/batch_c_j1~up", "GET /v1/batch/jobs/j1"),
        ("POST", "/v1/batches/batch_c_j1~up/cancel", "POST /v1/batch/jobs/j1/cancel"),
        ("GET", "/v1/batches?provider=up&limit=3", "GET /v1/batch/jobs?page_size=3"),
        ("GET", "/v1/files/file-c_j1~up/content", "GET /v1/batch/jobs/j1?inline=true"),
    ] {
        gateway.call(&request(method, target, JSON, ""));
        assert_eq!(asked(&up).last().expect("a request").0, line);
    }
    let early = gateway.call(&request("GET", "/v1/batches/batch_c_j1~up/results", "", ""));
    assert_eq!((early.status, early.error_code().as_str()), (404, "no_results"));
    let behind = gateway.call(&request("GET", "/v1/batches?after=batch_c_j1~up", "", ""));
    assert_eq!(behind.error_code(), "unsupported_field");
}

#[test]
fn requests_of_responses_become_jobs_and_come_back_as_responses() {
    let simulated = Simulated::start();
    let gateway = simulated.gateway("");
    for name in ["job", "paged"] {
        // A file passes to its provider as it is, so what is asked for there is chat.
        let (url, body) = match name {
            "job" => ("/v1/responses", json!({"model": "job/m", "input": "hi [[sim content=yes]]"})),
            _ => (
                "/v1/chat/completions",
                chat_request("a", "paged/m", "hi [[sim content=yes]]")["body"].take(),
            ),
        };
        let requests = json!([{"custom_id": "a", "method": "POST", "url": url, "body": body}]);
        let create = json!({"requests": requests, "endpoint": url}).to_string();
        let batch = value(&gateway.call(&request("POST", "/v1/batches", JSON, &create)));
        let id = batch["id"].as_str().unwrap_or_else(|| panic!("{batch}"));
        assert_eq!(batch["endpoint"], url);
        let done = value(&gateway.call(&request("GET", &format!("/v1/batches/{id}"), "", "")));
        assert_eq!(done["status"], "completed", "{done}");
        let lines = lines_of(&gateway.call(&request("GET", &format!("/v1/batches/{id}/results"), "", "")));
        let body = &lines[0]["response"]["body"];
        let text = body.pointer("/output/0/content/0/text").or(body.pointer("/choices/0/message/content"));
        assert_eq!(text, Some(&json!("yes")), "{body}");
    }
}

#[test]
fn pages_of_results_become_one_file() {
    let simulated = Simulated::start();
    let gateway = simulated.gateway("");
    let lines: Vec<String> = (0..5)
        .map(|at| {
            chat_request(&format!("r{at}"), "paged/m", &format!("say [[sim content=t{at}]]")).to_string()
        })
        .collect();
    let body = form(&[("purpose", "batch")], &lines.join("\n"));
    let file = value(&gateway.call(&request("POST", "/v1/files", FORM, &body)));
    let create =
        json!({"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let batch = value(&gateway.call(&request("POST", "/v1/batches", JSON, &create.to_string())));
    assert_eq!(batch["input_file_id"], file["id"], "{batch}");
    let id = batch["id"].as_str().unwrap_or_else(|| panic!("{batch}"));
    let results = || gateway.call(&request("GET", &format!("/v1/batches/{id}/results"), "", ""));
    // Asking for results looks at the batch first, which makes the simulated one go on.
    let got = lines_of(&results());
    let texts: Vec<&str> = got
        .iter()
        .filter_map(|line| line["response"]["body"]["choices"][0]["message"]["content"].as_str())
        .collect();
    assert_eq!(texts, ["t0", "t1", "t2", "t3", "t4"]);
    assert_eq!(results().body, results().body);
}

#[test]
fn answers_in_pages_are_recorded_once_however_often_they_are_fetched() {
    let up = Upstream::start(|_, seen, stream| {
        let line = seen.head.lines().next().unwrap_or_default();
        let page = |id: &str, token: &str| {
            let answer = json!({"id": id, "object": "chat.completion", "created": 5, "model": "m", "choices": [],
                "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}});
            let result = json!({"response": {"chat_get_completion": answer}});
            json!({"results": [{"batch_request_id": id, "batch_result": result}], "pagination_token": token})
        };
        let answer = match () {
            () if !line.contains("/results") => {
                json!({"batch_id": "b", "state": {"num_requests": 2, "num_success": 2}})
            }
            () if line.contains("token=") => page("c2", ""),
            () => page("c1", "c1"),
        };
        let _ = stream.write_all(&json_answer(200, "", &answer.to_string()));
        After::KeepAlive
    });
    let gateway = gateway("xai", &up);
    let fetch = |target: &str| lines_of(&gateway.call(&request("GET", target, "", ""))).len();
    assert_eq!(fetch("/v1/files/file-c_b~up/content"), 2);
    assert_eq!(fetch("/v1/batches/batch_c_b~up/results"), 2);
    let recorded = || {
        let log = admin(&gateway, "GET", "/usage/log?model=m", Value::Null);
        log["data"].as_array().map_or(0, Vec::len)
    };
    eventually("a record of each answer", || recorded() >= 2);
    assert_eq!(recorded(), 2);
}

#[test]
fn pages_that_break_off_or_have_no_end_are_errors_and_not_files() {
    let batch = r#"{"batch_id":"b","state":{"num_requests":2,"num_pending":0,"num_success":2,"num_error":0,"num_cancelled":0}}"#;
    let page = |token: &str| {
        format!(
            r#"{{"results":[{{"batch_request_id":"a","batch_result":{{"response":{{"chat_get_completion":{{"id":"c"}}}}}}}}],"pagination_token":{token}}}"#
        )
    };
    let up = Upstream::start(move |_, seen, stream| {
        let line = seen.head.lines().next().unwrap_or_default();
        let answer = match () {
            () if line.contains("/early") => {
                json_answer(200, "", &batch.replace("\"num_pending\":0", "\"num_pending\":1"))
            }
            () if !line.contains("/results") => json_answer(200, "", batch),
            () if line.contains("/fails") && line.contains("token=") => json_answer(
                500,
                "",
                r#"{"error":{"message":"no second page","type":"x","param":null,"code":null}}"#,
            ),
            () if line.contains("/empty") => json_answer(200, "", r#"{"results":[],"pagination_token":"x"}"#),
            () if line.contains("/other") => json_answer(200, "", "{}"),
            () => json_answer(200, "", &page("\"x\"")),
        };
        let _ = stream.write_all(&answer);
        After::KeepAlive
    });
    let gateway = gateway("xai", &up);
    let content =
        |id: &str| gateway.call(&request("GET", &format!("/v1/files/file-c_{id}~up/content"), "", ""));
    for id in ["loops", "empty", "other"] {
        let answer = content(id);
        assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_malformed"), "{id}");
    }
    let fails = content("fails");
    assert!(fails.status >= 500 && fails.text().contains("no second page"), "{}", fails.text());
    let early = content("early");
    assert_eq!((early.status, early.error_code().as_str()), (404, "no_results"));
    let lines: Vec<String> = asked(&up).into_iter().map(|(line, _)| line).collect();
    assert_eq!(
        &lines[..3],
        [
            "GET /v1/batches/loops",
            "GET /v1/batches/loops/results?limit=100",
            "GET /v1/batches/loops/results?limit=100&pagination_token=x",
        ]
    );
}

#[test]
fn a_batch_of_pages_is_made_of_a_file_listed_and_cancelled() {
    let up = Upstream::start(|_, seen, stream| {
        let answer = match seen.head.contains("/files") {
            true => r#"{"id":"file_1","object":"file"}"#,
            false if seen.head.contains("GET /v1/batches?") => {
                r#"{"batches":[{"batch_id":"b1"}],"pagination_token":"z"}"#
            }
            false => {
                r#"{"batch_id":"b1","input_file_id":"file_1","cancel_time":null,"state":{"num_requests":0,"num_pending":0}}"#
            }
        };
        let _ = stream.write_all(&json_answer(200, "", answer));
        After::KeepAlive
    });
    let gateway = gateway("xai", &up);
    let create = json!({"requests": [chat_request("a", "up/m", "x")]}).to_string();
    let batch = value(&gateway.call(&request("POST", "/v1/batches", JSON, &create)));
    assert_eq!((&batch["id"], &batch["input_file_id"]), (&json!("batch_c_b1~up"), &json!("file_1~up")));
    assert_eq!(batch["status"], "validating");
    let made = &asked(&up)[1];
    assert_eq!(
        (made.0.as_str(), made.1.as_str()),
        ("POST /v1/batches", r#"{"input_file_id":"file_1","name":"batch"}"#)
    );
    let list = value(&gateway.call(&request("GET", "/v1/batches?provider=up&limit=3", "", "")));
    assert_eq!((&list["data"][0]["id"], &list["has_more"]), (&json!("batch_c_b1~up"), &json!(true)));
    gateway.call(&request("POST", "/v1/batches/batch_c_b1~up/cancel", JSON, ""));
    let last = asked(&up).pop().expect("a request").0;
    assert_eq!(last, "POST /v1/batches/b1:cancel");
    let other = json!({"input_file_id": "file_1~up", "endpoint": "/v1/embeddings"}).to_string();
    let refused = gateway.call(&request("POST", "/v1/batches", JSON, &other));
    assert_eq!((refused.status, refused.error_code().as_str()), (400, "unsupported_endpoint"));
}
