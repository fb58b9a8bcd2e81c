//! Files and batches at several providers behind one surface: whose a request is, what reaches the provider, and what of its
//! answer is changed.

mod apis;

use std::io::Write;

use serde_json::{Value, json};

use crate::support::*;

/// Answers as providers do: a file, a batch, lists of them, content.
fn upstream() -> Upstream {
    Upstream::start(|_, seen, stream| {
        let target = seen.head.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let _ = stream.write_all(&answer_to(path, seen.head.starts_with("POST")));
        After::KeepAlive
    })
}

fn answer_to(path: &str, is_post: bool) -> Vec<u8> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.iter().rev().take(3).rev().copied().collect::<Vec<_>>()[..] {
        [.., "files"] if is_post => json_answer(200, "", FILE),
        [.., "files"] => json_answer(200, "", FILES),
        [.., "messages", "batches"] if is_post => json_answer(200, "", MESSAGE_BATCH),
        [.., "batches"] if is_post => json_answer(200, "", BATCH),
        [.., "batches"] => json_answer(200, "", BATCHES),
        [.., "content"] => json_answer(200, "", CONTENT),
        [.., "results"] => stream_of_lines(),
        ["files", ..] | [_, "files", _] => json_answer(200, "", FILE),
        ["messages", "batches", _] | ["batches", _, _] if path.contains("messages") => {
            json_answer(200, "", MESSAGE_BATCH)
        }
        ["batches", ..] | [_, "batches", _] => json_answer(200, "", BATCH),
        [.., "completions"] => json_answer(200, "", CHAT),
        _ => json_answer(404, "", r#"{"error":{"message":"what?","type":"x","param":null,"code":null}}"#),
    }
}

fn stream_of_lines() -> Vec<u8> {
    let mut out =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-jsonl\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    for line in RESULTS.split_inclusive('\n') {
        out.extend_from_slice(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes());
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

const FILE: &str = "{ \"id\" : \"file-1\", \"object\":\"file\",\"bytes\":1.20e1,\"x\":\"\\u00e9\" }\n";
const FILES: &str =
    r#"{"object":"list","data":[{"id":"file-1"},{"id":"file-2"}],"first_id":"file-1","last_id":"file-2"}"#;
const BATCH: &str = r#"{"id":"batch_1","object":"batch","input_file_id":"file-1","output_file_id":"file-2","error_file_id":null}"#;
const BATCHES: &str =
    r#"{"object":"list","data":[{"id":"batch_1","input_file_id":"file-1"}],"last_id":"batch_1"}"#;
const MESSAGE_BATCH: &str = r#"{"id":"msgbatch_1","type":"message_batch","results_url":"https://api.example/v1/messages/batches/msgbatch_1/results"}"#;
const CONTENT: &str = r#"{"id":"file-1","custom_id":"1"}"#;
const RESULTS: &str = "{\"custom_id\":\"1\",\"result\":{\"type\":\"succeeded\",\"message\":{\"id\":\"m\"}}}\n{\"custom_id\":\"2\"}\n";

/// Two providers with files and batches, one of Messages with two keys, one with neither.
fn gateway(one: &Upstream, two: &Upstream) -> Gateway {
    let at = |kind: &str, port: u16, keys: &str| {
        format!("{{type: {kind}, base_url: 'http://127.0.0.1:{port}/v1', {keys}}}")
    };
    let key = format!("api_key: {UPSTREAM_KEY}");
    Gateway::start_with(
        &format!(
            "providers:\n  one: {}\n  two: {}\n  ant: {}\n  none: {}\n",
            at("openai", one.port, "api_keys: [key-a, key-b, key-c]"),
            at("groq", two.port, &key),
            at("anthropic", one.port, &key),
            at("cerebras", one.port, &key),
        ),
        &[],
    )
}

fn request(method: &str, target: &str, lines: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {target} HTTP/1.1\r\nhost: gate.example:1\r\nauthorization: Bearer {KEY}\r\n{lines}content-length: \
         {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

const JSON: &str = "content-type: application/json\r\n";
const FORM: &str = "content-type: multipart/form-data; boundary=b\r\n";
const ANTHROPIC: &str = "anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n";

fn form(fields: &[(&str, &str)], file: &str) -> String {
    let field = |(name, value): &(&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.jsonl\"\r\n\r\n";
    fields.iter().map(field).collect::<String>() + head + file + "\r\n--b--\r\n"
}

fn line(id: usize, model: &str) -> String {
    format!(
        "{{\"custom_id\":\"{id}\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{{\"model\":\"{model}\"}}}}\n"
    )
}

/// What reached the provider: line and body.
fn asked(upstream: &Upstream) -> Vec<(String, String)> {
    let of = |seen: Seen| {
        let line = seen.head.lines().next().unwrap_or_default().replace(" HTTP/1.1", "");
        (line, String::from_utf8(seen.body).expect("text"))
    };
    upstream.requests().into_iter().map(of).filter(|(line, _)| !line.contains("/models")).collect()
}

#[test]
fn an_id_says_whose_file_it_is_and_the_rest_of_an_answer_keeps_its_bytes() {
    let (one, two) = (upstream(), upstream());
    let gateway = gateway(&one, &two);
    let body = form(&[("purpose", "user_data")], "data");
    for (name, upstream) in [("one", &one), ("two", &two)] {
        let target = format!("/v1/files?provider={name}&x=1");
        let answer = gateway.call(&request("POST", &target, FORM, &body));
        assert_eq!(
            (answer.status, answer.text()),
            (200, FILE.replace("\"file-1\"", &format!("\"file-1~{name}\"")))
        );
        let own = format!("/v1/files/file-1~{name}");
        let escaped = format!("/v1/files/file-1%7E{name}?y=2");
        for (method, target) in [("GET", &own), ("GET", &escaped), ("DELETE", &own)] {
            assert_eq!(gateway.call(&request(method, target, "", "")).status, 200, "{method} {target}");
        }
        let content = gateway.call(&request("GET", &format!("{own}/content"), "", ""));
        assert_eq!(content.text(), CONTENT, "content is nobody's but the client's");
        let want = [
            ("POST /v1/files?x=1", body.as_str()),
            ("GET /v1/files/file-1", ""),
            ("GET /v1/files/file-1?y=2", ""),
            ("DELETE /v1/files/file-1", ""),
            ("GET /v1/files/file-1/content", ""),
        ];
        assert_eq!(asked(upstream), want.map(|(line, body)| (line.to_owned(), body.to_owned())), "{name}");
    }
}

#[test]
fn lists_are_of_the_provider_that_is_named_or_that_the_cursor_names() {
    let (one, two) = (upstream(), upstream());
    let gateway = gateway(&one, &two);
    let get = |target: &str| gateway.call(&request("GET", target, "", ""));
    let list = get("/v1/files?provider=two&limit=2");
    assert_eq!(list.text(), FILES.replace("file-1", "file-1~two").replace("file-2", "file-2~two"));
    assert_eq!(get("/v1/files?limit=2&after=file-2~two").status, 200);
    let batches = get("/v1/batches?after=batch_9%7Eone&provider=one");
    assert_eq!(batches.text(), BATCHES.replace("_1\"", "_1~one\"").replace("file-1", "file-1~one"));
    assert_eq!(asked(&two)[0].0, "GET /v1/files?limit=2");
    assert_eq!(asked(&two)[1].0, "GET /v1/files?limit=2&after=file-2");
    assert_eq!(asked(&one)[0].0, "GET /v1/batches?after=batch_9");
}

#[test]
fn a_batch_goes_to_the_provider_of_its_file_with_the_models_of_its_lines_as_that_knows_them() {
    let (one, two) = (upstream(), upstream());
    let gateway = gateway(&one, &two);
    let lines: String = (0..5000).map(|id| line(id, "two/org/m")).collect();
    let body = form(&[("purpose", "batch")], &lines);
    assert!(body.len() > 256 * 1024, "much more than is looked at");
    let answer = gateway.call(&request("POST", "/v1/files", FORM, &body));
    assert!(answer.text().contains("file-1~two"), "{}", answer.text());
    let sent = &asked(&two)[0].1;
    assert_eq!(sent.len(), body.len(), "lengths stay true");
    assert_eq!(*sent, body.replace("\"two/org/m\"", "\"org/m\"    "));
    let create =
        r#"{ "endpoint":"/v1/chat/completions", "input_file_id" : "file-1~two","completion_window":"24h"}"#;
    let batch = gateway.call(&request("POST", "/v1/batches", JSON, create));
    let want = BATCH
        .replace("batch_1", "batch_1~two")
        .replace("file-1", "file-1~two")
        .replace("file-2", "file-2~two");
    assert_eq!(batch.text(), want);
    assert_eq!(asked(&two)[1], ("POST /v1/batches".to_owned(), create.replace("~two", "")));
    assert_eq!(gateway.call(&request("GET", "/v1/batches/batch_1~two", "", "")).text(), want);
    assert_eq!(gateway.call(&request("POST", "/v1/batches/batch_1~two/cancel", JSON, "")).text(), want);
    assert_eq!(asked(&two)[2].0, "GET /v1/batches/batch_1");
    assert_eq!(asked(&two)[3].0, "POST /v1/batches/batch_1/cancel");
    assert_eq!(asked(&one), []);
}

#[test]
fn a_form_may_name_the_provider_and_the_field_stays_here() {
    let (one, two) = (upstream(), upstream());
    let gateway = gateway(&one, &two);
    let lines = line(1, "m");
    let fields = [("purpose", "batch"), ("provider", "two")];
    let answer = gateway.call(&request("POST", "/v1/files", FORM, &form(&fields, &lines)));
    assert!(answer.text().contains("file-1~two"), "{}", answer.text());
    assert_eq!(asked(&two)[0].1, form(&fields[..1], &lines));
    let chunked = form(&[("model", "one/m"), ("purpose", "user_data")], "data");
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n{FORM}transfer-encoding: chunked\r\n\r\n"
    );
    let mut link = gateway.connect();
    link.send(head.as_bytes());
    for piece in chunked.as_bytes().chunks(7) {
        link.send(&[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    link.send(b"0\r\n\r\n");
    assert!(link.answer(false).text().contains("file-1~one"));
    assert_eq!(asked(&one)[0].1, form(&[("purpose", "user_data")], "data"));
}

#[test]
fn a_batch_of_two_providers_is_refused_and_never_reaches_one_whole() {
    let (one, two) = (upstream(), upstream());
    let gateway = gateway(&one, &two);
    let mut lines: String = (0..3000).map(|id| line(id, "two/m")).collect();
    lines.push_str(&line(9, "one/m"));
    for target in ["/v1/files", "/v1/files?provider=two"] {
        let answer = gateway.call(&request("POST", target, FORM, &form(&[("purpose", "batch")], &lines)));
        assert_eq!((answer.status, answer.error_code()), (400, "providers_differ".to_owned()), "{target}");
    }
    assert_eq!((asked(&one), asked(&two)), (Vec::new(), Vec::new()));
}

#[test]
fn what_a_provider_does_not_have_and_whom_nobody_named_is_told() {
    let (one, two) = (upstream(), upstream());
    let gateway = gateway(&one, &two);
    let create =
        |id: &str| format!(r#"{{"input_file_id":"{id}","endpoint":"/v1/x","completion_window":"24h"}}"#);
    let file = form(&[("purpose", "user_data")], "x");
    let cases: [(&str, &str, &str, String, u16, &str); 11] = [
        ("GET", "/v1/files", "", String::new(), 400, "provider_required"),
        ("POST", "/v1/files", FORM, file.clone(), 400, "provider_required"),
        ("GET", "/v1/files/file-1", "", String::new(), 400, "provider_required"),
        ("GET", "/v1/files?provider=none", "", String::new(), 400, "unsupported_endpoint"),
        ("POST", "/v1/files?provider=none", FORM, file, 400, "unsupported_endpoint"),
        ("GET", "/v1/files/file-x~ant", "", String::new(), 404, "file_not_found"),
        ("GET", "/v1/files/file-1~nobody", "", String::new(), 404, "provider_not_found"),
        ("GET", "/v1/files/file-1~one?provider=two", "", String::new(), 400, "providers_differ"),
        ("POST", "/v1/batches?provider=one", JSON, create("file-1~two"), 400, "providers_differ"),
        ("POST", "/v1/batches?provider=one", JSON, r#"{"requests":[]}"#.to_owned(), 400, "invalid_value"),
        ("HEAD", "/v1/files", "", String::new(), 405, ""),
    ];
    for (method, target, lines, body, status, code) in cases {
        let mut link = gateway.connect();
        link.send(&request(method, target, lines, &body));
        let answer = link.answer(method == "HEAD");
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
        if !code.is_empty() {
            assert_eq!(answer.error_code(), code, "{method} {target}");
        }
    }
    assert_eq!((asked(&one), asked(&two)), (Vec::new(), Vec::new()));
}

#[test]
fn one_provider_or_the_default_one_needs_no_name() {
    let up = upstream();
    let gateway = Gateway::start(up.port, "");
    let answer = gateway.call(&request("GET", "/v1/files/file-1", "", ""));
    assert_eq!(answer.text(), FILE.replace("\"file-1\"", "\"file-1~up\""));
    let (one, two) = (upstream(), upstream());
    let settings = format!(
        "providers:\n  one: {{type: openai, base_url: 'http://127.0.0.1:{}/v1', api_key: k}}\n  two: {{type: groq, base_url: 'http://127.0.0.1:{}/v1', api_key: k}}\nmodels: {{default_provider: two}}\n",
        one.port, two.port
    );
    let gateway = Gateway::start_with(&settings, &[]);
    assert!(gateway.call(&request("GET", "/v1/batches", "", "")).text().contains("batch_1~two"));
}

#[test]
fn files_are_always_asked_for_with_the_key_that_brought_them() {
    let (one, two) = (upstream(), upstream());
    let gateway = gateway(&one, &two);
    for _ in 0..3 {
        gateway.call(&request("GET", "/v1/files/file-1~one", "", ""));
    }
    let chat = r#"{"model":"one/m","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1~one"}}]}]}"#;
    assert_eq!(gateway.chat(chat).status, 200);
    let keys: Vec<_> = one.requests().iter().filter_map(|seen| seen.header("authorization")).collect();
    assert_eq!(keys, ["Bearer key-a"; 4]);
}

#[test]
fn a_file_in_a_conversation_is_the_providers_own_or_refused() {
    let (one, two) = (upstream(), upstream());
    let gateway = gateway(&one, &two);
    let chat = r#"{"model":"one/m","messages":[{"role":"user","content":[ {"type":"file","file":{"file_id":"file-1~one"}},{"type":"text","text":"~ file_id file-2~two"}]}]}"#;
    assert_eq!(gateway.chat(chat).status, 200);
    assert_eq!(asked(&one)[0].1, chat.replace("one/m", "m").replace("file-1~one", "file-1"));
    for other in ["file-1~two", "file-1~nobody"] {
        let answer = gateway.chat(&chat.replace("file-1~one", other));
        assert_eq!((answer.status, answer.error_code()), (400, "file_of_other_provider".to_owned()));
    }
    assert_eq!(gateway.chat(&chat.replace("file-1~one", "file-1")).status, 200, "ids of before pass");
    assert_eq!(asked(&one).len(), 2);
}

#[test]
fn batches_of_messages_pass_with_models_spliced_and_results_to_be_had_here() {
    let (one, two) = (upstream(), upstream());
    let gateway = gateway(&one, &two);
    let create = r#"{"requests": [{"custom_id":"1","params":{"model":"ant/claude","max_tokens":1.0,"x":"\u00e9"}}, {"custom_id":"2","params":{"model":"claude"}}]}"#;
    let answer = gateway.call(&request("POST", "/v1/messages/batches", ANTHROPIC, create));
    let url = "http://gate.example:1/v1/messages/batches/msgbatch_1~ant/results";
    let want = MESSAGE_BATCH
        .replace("https://api.example/v1/messages/batches/msgbatch_1/results", url)
        .replace("\"msgbatch_1\"", "\"msgbatch_1~ant\"");
    assert_eq!(answer.text(), want);
    assert_eq!(asked(&one)[0], ("POST /v1/messages/batches".to_owned(), create.replace("ant/", "")));
    let sent = one.requests().into_iter().find(|seen| seen.head.starts_with("POST /v1/messages/batches"));
    assert_eq!(sent.expect("a batch").header("anthropic-version").as_deref(), Some("2023-06-01"));
    let behind = format!("{ANTHROPIC}x-forwarded-proto: https\r\n");
    let again = gateway.call(&request("GET", "/v1/messages/batches/msgbatch_1~ant", &behind, ""));
    assert_eq!(again.text(), want.replace("http://gate", "https://gate"));
    let results = gateway.call(&request("GET", "/v1/messages/batches/msgbatch_1~ant/results", ANTHROPIC, ""));
    assert_eq!((results.text().as_str(), results.is_whole), (RESULTS, true));
    for (method, target, line) in [
        ("POST", "/v1/messages/batches/msgbatch_1~ant/cancel", "POST /v1/messages/batches/msgbatch_1/cancel"),
        ("DELETE", "/v1/messages/batches/msgbatch_1", "DELETE /v1/messages/batches/msgbatch_1"),
        (
            "GET",
            "/v1/messages/batches?before_id=msgbatch_1~ant",
            "GET /v1/messages/batches?before_id=msgbatch_1",
        ),
        ("GET", "/v1/files?limit=1", "GET /v1/files?limit=1"),
    ] {
        assert_eq!(gateway.call(&request(method, target, ANTHROPIC, "")).status, 200, "{method} {target}");
        assert_eq!(asked(&one).last().unwrap().0, line);
    }
    let mixed = create.replace("\"claude\"", "\"one/m\"");
    let refused: Value = serde_json::from_slice(
        &gateway.call(&request("POST", "/v1/messages/batches", ANTHROPIC, &mixed)).body,
    )
    .expect("JSON");
    assert_eq!(
        (&refused["type"], &refused["error"]["type"]),
        (&json!("error"), &json!("invalid_request_error"))
    );
    let elsewhere = create.replace("ant/", "two/");
    let refused = gateway.call(&request("POST", "/v1/messages/batches", ANTHROPIC, &elsewhere));
    assert_eq!(refused.status, 400, "{}", refused.text());
}

#[test]
fn errors_of_a_provider_pass_and_a_batch_is_not_begun_twice() {
    let up = Upstream::answering(
        json_answer(503, "", r#"{"error":{"message":"later","type":"x","param":null,"code":"busy"}}"#),
        After::KeepAlive,
    );
    let gateway = Gateway::start(up.port, "retry: {initial_backoff: 1ms, max_retries: 2}\n");
    let create = r#"{"input_file_id":"file-1~up","endpoint":"/v1/x","completion_window":"24h"}"#;
    let answer = gateway.call(&request("POST", "/v1/batches", JSON, create));
    assert_eq!((answer.status, answer.error_code()), (503, "busy".to_owned()));
    assert_eq!(asked(&up).len(), 1);
    gateway.call(&request("GET", "/v1/batches/batch_1", "", ""));
    assert!(asked(&up).len() > 2, "reading is tried again");
}

#[test]
fn a_long_upload_is_never_held() {
    let up = upstream();
    let gateway = Gateway::start(up.port, "");
    let text = line(1, "up/m").repeat(16_000);
    let body = form(&[("purpose", "batch")], &text);
    gateway.call(&request("POST", "/v1/files", FORM, &body));
    let before = gateway.rss_kib();
    let long = form(&[("purpose", "batch")], &text.repeat(24));
    assert!(long.len() > 24 << 20);
    assert_eq!(gateway.call(&request("POST", "/v1/files", FORM, &long)).status, 200);
    let grown = gateway.rss_kib().saturating_sub(before);
    assert!(grown < 4 * 1024, "grew by {grown} KiB for {} MiB", long.len() >> 20);
    assert_eq!(asked(&up)[1].1.len(), long.len());
}

#[test]
fn collections_of_a_deployment_are_those_of_its_resource() {
    let up = upstream();
    let settings = format!(
        "providers:\n  az: {{type: azure, base_url: 'http://127.0.0.1:{}/openai/deployments/d', api_key: k}}\n",
        up.port
    );
    let gateway = Gateway::start_with(&settings, &[]);
    gateway.call(&request("GET", "/v1/batches/batch_1~az?x=1", "", ""));
    assert_eq!(asked(&up)[0].0, "GET /openai/batches/batch_1?api-version=2024-10-21&x=1");
}

/// A provider of messages, played by the simulator.
struct Simulated {
    child: std::process::Child,
    port: u16,
}

impl Simulated {
    fn start() -> Simulated {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ringway"))
            .args(["simulate", "--listen", "127.0.0.1:0", "--shards", "2"])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the simulated provider");
        let mut line = String::new();
        let mut said = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
        while !line.contains("http://") {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut said, &mut line).expect("a line") > 0, "it ended");
        }
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let address = line.split("://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        Simulated { child, port }
    }

    fn gateway(&self, settings: &str) -> Gateway {
        let at = |kind: &str| {
            format!(
                "{{type: {kind}, base_url: 'http://127.0.0.1:{}/v1', api_key: k, models: [m]}}",
                self.port
            )
        };
        let google = at("gemini").replace("/v1'", "/v1beta'");
        let paged = at("xai").replace("/v1'", "/paged/v1'");
        let providers = format!(
            "providers:\n  open: {}\n  ant: {}\n  goo: {google}\n  job: {}\n  paged: {paged}\n",
            at("openai"),
            at("anthropic"),
            at("mistral")
        );
        Gateway::start_with(&(providers + settings), &[])
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn value(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.text()))
}

fn lines_of(answer: &Answer) -> Vec<Value> {
    assert!(answer.is_whole, "{}", answer.text());
    let text = answer.text();
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    lines.sort_by_key(|line| line["custom_id"].as_str().unwrap_or_default().to_owned());
    lines
}

fn chat_request(id: &str, model: &str, text: &str) -> Value {
    let body = json!({"model": model, "messages": [{"role": "user", "content": text}]});
    json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body})
}

#[test]
fn a_file_becomes_a_batch_and_its_results_at_every_kind_of_provider() {
    let simulated = Simulated::start();
    let gateway = simulated.gateway("");
    let get = |target: &str| gateway.call(&request("GET", target, "", ""));
    for name in ["open", "ant", "goo", "job", "paged"] {
        let bad = if name == "open" { "error_file_id" } else { "output_file_id" };
        let model = format!("{name}/m");
        let lines = [
            chat_request("a", &model, "say [[sim content=h\u{e9}llo]]").to_string(),
            chat_request("b", &model, "fail [[sim status=400]]").to_string(),
        ]
        .join("\n");
        let file = gateway.call(&request("POST", "/v1/files", FORM, &form(&[("purpose", "batch")], &lines)));
        let file = value(&file);
        assert_eq!((&file["object"], &file["bytes"]), (&json!("file"), &json!(lines.len())), "{file}");
        let id = file["id"].as_str().expect("an id");
        assert!(id.starts_with("file-") && id.ends_with(&format!("~{name}")), "{id}");
        assert_eq!(get(&format!("/v1/files/{id}/content")).body.len(), lines.len());
        let create =
            json!({"input_file_id": id, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
        let batch = value(&gateway.call(&request("POST", "/v1/batches", JSON, &create.to_string())));
        let id = batch["id"].as_str().unwrap_or_else(|| panic!("{batch}"));
        assert!(id.starts_with("batch_") && id.ends_with(&format!("~{name}")), "{id}");
        assert_eq!(batch["endpoint"], "/v1/chat/completions");
        let done = value(&get(&format!("/v1/batches/{id}")));
        assert_eq!(
            (&done["status"], &done["id"], &done["object"]),
            (&json!("completed"), &json!(id), &json!("batch"))
        );
        assert_eq!(done["request_counts"], json!({"total": 2, "completed": 1, "failed": 1}));
        let content = |field: &str| {
            let id = done[field].as_str().unwrap_or_else(|| panic!("{field} in {done}"));
            lines_of(&get(&format!("/v1/files/{id}/content")))
        };
        let good = content("output_file_id").remove(0);
        assert_eq!(
            (&good["custom_id"], &good["response"]["status_code"]),
            (&json!("a"), &json!(200)),
            "{good}"
        );
        assert_eq!(good["response"]["body"]["choices"][0]["message"]["content"], "h\u{e9}llo");
        let bad = content(bad).into_iter().find(|line| line["custom_id"] == "b").expect("the other one");
        assert_eq!(bad["response"]["status_code"], 400, "{bad}");
        let list = value(&get(&format!("/v1/batches?provider={name}&limit=5")));
        assert!(list["data"][0]["id"].as_str().is_some_and(|id| id.ends_with(&format!("~{name}"))), "{list}");
    }
}

#[test]
fn requests_inline_become_messages_and_come_back_in_the_api_they_were_written_in() {
    let simulated = Simulated::start();
    let gateway = simulated.gateway("");
    let request_of =
        |url: &str, body: Value| json!({"custom_id": "a", "method": "POST", "url": url, "body": body});
    let create = |requests: Value| {
        gateway.call(&request("POST", "/v1/batches", JSON, &json!({"requests": requests}).to_string()))
    };
    let body = json!({"model": "ant/m", "input": "hi [[sim content=yes]]"});
    let batch = value(&create(json!([request_of("/v1/responses", body)])));
    let id = batch["id"].as_str().unwrap_or_else(|| panic!("{batch}"));
    assert_eq!((&batch["endpoint"], &batch["status"]), (&json!("/v1/responses"), &json!("in_progress")));
    let get = |target: &str| gateway.call(&request("GET", target, "", ""));
    assert_eq!(value(&get(&format!("/v1/batches/{id}")))["status"], "completed");
    let lines = lines_of(&get(&format!("/v1/batches/{id}/results")));
    let answer = &lines[0]["response"]["body"];
    assert_eq!(
        (&answer["object"], &answer["output"][0]["content"][0]["text"]),
        (&json!("response"), &json!("yes"))
    );
    let waits = value(&create(json!([chat_request("sim_polls_9", "ant/m", "x")])));
    let cancel = format!("/v1/batches/{}/cancel", waits["id"].as_str().expect("an id"));
    let cancelled = value(&gateway.call(&request("POST", &cancel, JSON, "")));
    assert_eq!(
        (&cancelled["status"], cancelled["cancelled_at"].is_u64()),
        (&json!("cancelled"), true),
        "{cancelled}"
    );
    let check = |requests: Value, code: &str, word: &str| {
        let answer = create(requests);
        assert_eq!((answer.status, answer.error_code().as_str()), (400, code), "{}", answer.text());
        assert!(answer.text().contains(word), "{}", answer.text());
    };
    let chat = |id: &str| chat_request(id, "ant/m", "x");
    check(json!([chat("a"), chat_request("b", "open/m", "x")]), "providers_differ", "open/m");
    check(
        json!([chat("a"), request_of("/v1/responses", json!({"model": "m"}))]),
        "endpoints_differ",
        "/v1/responses",
    );
    check(
        json!([request_of("/v1/embeddings", json!({"model": "ant/m", "input": "x"}))]),
        "unsupported_endpoint",
        "embeddings",
    );
    check(
        json!([{"method": "POST", "url": "/v1/chat/completions", "body": {"model": "ant/m"}}]),
        "missing_required_parameter",
        "custom_id",
    );
    let mut two = chat("seven");
    two["body"]["n"] = json!(2);
    check(json!([two]), "unsupported_field", "seven");
}

#[test]
fn files_that_are_kept_are_their_owners_and_have_a_bound() {
    let simulated = Simulated::start();
    let gateway = simulated.gateway("responses: {memory_max: 64K}\nauth: {keys: [other-key]}\n");
    let upload = |file: &str, purpose: &str| {
        let body = form(&[("purpose", purpose)], file);
        gateway.call(&request("POST", "/v1/files?provider=ant", FORM, &body))
    };
    let line = chat_request("a", "ant/m", "x").to_string();
    let file = value(&upload(&line, "batch"));
    let target = format!("/v1/files/{}", file["id"].as_str().expect("an id"));
    let get = |target: &str| gateway.call(&request("GET", target, "", ""));
    assert_eq!(value(&get(&target)), file);
    assert_eq!(value(&get("/v1/files?provider=ant"))["data"], json!([file]));
    let other = String::from_utf8(request("GET", &target, "", "")).expect("text").replace(KEY, "other-key");
    assert_eq!(gateway.call(other.as_bytes()).error_code(), "file_not_found");
    let large = upload(&line.repeat(2000), "batch");
    assert_eq!((large.status, large.error_code().as_str()), (413, "file_too_large"));
    assert_eq!(upload("x", "user_data").error_code(), "unsupported_purpose");
    let gone = value(&gateway.call(&request("DELETE", &target, "", "")));
    assert_eq!((&gone["deleted"], &gone["id"]), (&json!(true), &file["id"]));
    assert_eq!(get(&target).error_code(), "file_not_found");
    let create =
        json!({"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let answer = gateway.call(&request("POST", "/v1/batches", JSON, &create.to_string()));
    assert_eq!((answer.status, answer.error_code().as_str()), (404, "file_not_found"));
}

#[test]
fn results_that_are_cut_never_look_whole() {
    let up = Upstream::start(|_, seen, stream| {
        let whole = RESULTS.lines().next().unwrap_or_default();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-jsonl\r\n";
        let bytes = match seen.head.contains("/b1/") {
            true => format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{whole}\n\r\n", whole.len() + 1),
            false => format!("{head}content-length: 9\r\n\r\n{{\"custom\""),
        };
        let _ = stream.write_all(bytes.as_bytes());
        After::Close
    });
    let settings = format!(
        "providers:\n  ant: {{type: anthropic, base_url: 'http://127.0.0.1:{}/v1', api_key: k}}\n",
        up.port
    );
    let gateway = Gateway::start_with(&settings, &[]);
    for id in ["b1", "b2"] {
        let answer = gateway.call(&request("GET", &format!("/v1/batches/{id}~ant/results"), "", ""));
        assert!(!answer.is_whole || answer.status >= 500, "{} {}", answer.head, answer.text());
    }
}

#[test]
fn a_batch_of_geminis_has_one_model_no_early_results_and_can_be_cancelled() {
    let simulated = Simulated::start();
    let gateway = simulated.gateway("");
    let create = |requests: Value| {
        gateway.call(&request("POST", "/v1/batches", JSON, &json!({"requests": requests}).to_string()))
    };
    let two = create(json!([chat_request("a", "goo/m", "x"), chat_request("b", "goo/n", "x")]));
    assert_eq!((two.status, two.error_code().as_str()), (400, "models_differ"));
    let batch = value(&create(json!([chat_request("sim_polls_9", "goo/m", "x")])));
    let id = batch["id"].as_str().unwrap_or_else(|| panic!("{batch}"));
    assert_eq!((&batch["status"], &batch["request_counts"]["total"]), (&json!("in_progress"), &json!(1)));
    let early = gateway.call(&request("GET", &format!("/v1/batches/{id}/results"), "", ""));
    assert_eq!(early.status, 404, "{}", early.text());
    let cancelled = value(&gateway.call(&request("POST", &format!("/v1/batches/{id}/cancel"), JSON, "")));
    assert_eq!((&cancelled["id"], &cancelled["status"]), (&json!(id), &json!("cancelling")));
    let after = value(&gateway.call(&request("GET", &format!("/v1/batches/{id}"), "", "")));
    assert_eq!(after["status"], "cancelled");
    let list = gateway.call(&request("GET", &format!("/v1/batches?after={id}"), "", ""));
    assert_eq!(list.error_code(), "unsupported_field");
}

#[test]
fn requests_inline_become_a_file_of_the_provider_and_a_batch_of_it() {
    let (one, two) = (upstream(), upstream());
    let gateway = gateway(&one, &two);
    let a = r#"{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"two/m","x":1.0e0,"u":"\u00e9"}}"#;
    let b = r#"{"custom_id":"b", "method":"POST","url":"/v1/embeddings","body":{"model":"m","input":[
        "x"]}}"#;
    let create = format!(r#"{{"requests":[{a}, {b}],"metadata":{{"k": "v"}}}}"#);
    let batch = gateway.call(&request("POST", "/v1/batches", JSON, &create));
    assert_eq!((batch.status, value(&batch)["id"].as_str()), (200, Some("batch_1~two")), "{}", batch.text());
    let [(upload, form), (made, body)] = &asked(&two)[..] else { panic!("{:?}", asked(&two)) };
    assert_eq!((upload.as_str(), made.as_str()), ("POST /v1/files", "POST /v1/batches"));
    let lines = format!("{}\n{}\n", a.replace("\"two/m\"", "\"m\"    "), b.replace('\n', " "));
    assert!(form.contains(&lines) && form.contains("name=\"purpose\"\r\n\r\nbatch\r\n"), "{form}");
    let head = two.requests()[0].header("content-type").expect("a type");
    let boundary = head.strip_prefix("multipart/form-data; boundary=").expect("a form");
    assert!(
        form.starts_with(&format!("--{boundary}\r\n")) && form.ends_with(&format!("\r\n--{boundary}--\r\n"))
    );
    let body: Value = serde_json::from_str(body).expect("JSON");
    let want = json!({"input_file_id": "file-1", "endpoint": "/v1/embeddings", "completion_window": "24h", "metadata": {"k": "v"}});
    assert_eq!(body, want);
    assert_eq!(two.requests()[1].header("content-type").as_deref(), Some("application/json"));
    let mixed = create.replacen("embeddings", "responses", 1);
    let refused = gateway.call(&request("POST", "/v1/batches", JSON, &mixed));
    assert_eq!((refused.status, refused.error_code().as_str()), (400, "endpoints_differ"));
    assert_eq!(asked(&two).len(), 2);
}

#[test]
fn an_upload_of_inline_requests_that_fails_makes_no_batch() {
    let up = Upstream::answering(
        json_answer(
            400,
            "",
            r#"{"error":{"message":"too many","type":"invalid_request_error","param":null,"code":"full"}}"#,
        ),
        After::KeepAlive,
    );
    let gateway = Gateway::start(up.port, "");
    let create = json!({"requests": [chat_request("a", "up/m", "x")]}).to_string();
    let answer = gateway.call(&request("POST", "/v1/batches", JSON, &create));
    assert_eq!((answer.status, value(&answer)["error"]["message"].as_str()), (400, Some("too many")));
    assert_eq!(asked(&up).len(), 1);
}
