//! The API as clients see it: keys, ids, routes, methods, limits, metrics.

use std::io::Write;
use std::process::Command;

use crate::support::*;

#[test]
fn a_key_is_taken_from_any_of_four_headers() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "");
    let ask = |line: &str| {
        let length = ASK.len();
        gateway.call(
            format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{line}content-length: {length}\r\n\r\n{ASK}"
            )
            .as_bytes(),
        )
    };
    for name in
        ["authorization: Bearer ", "Authorization: bearer ", "x-api-key: ", "api-key: ", "x-goog-api-key: "]
    {
        assert_eq!(ask(&format!("{name}{KEY}\r\n")).status, 200, "{name}");
        for wrong in ["", "x", &format!("{KEY}x"), &KEY[..5]] {
            let answer = ask(&format!("{name}{wrong}\r\n"));
            assert_eq!(
                (answer.status, answer.error_code().as_str()),
                (401, "invalid_api_key"),
                "{name}{wrong}"
            );
        }
    }
    assert_eq!(ask("").error_code(), "missing_api_key");
    assert!(
        upstream
            .requests()
            .iter()
            .all(|seen| seen.header("authorization").unwrap() == format!("Bearer {UPSTREAM_KEY}"))
    );
    assert!(upstream.requests().iter().all(|seen| seen.header("x-api-key").is_none()));
}

#[test]
fn without_a_key_only_loopback_is_listened_on_unless_allowed_by_name() {
    let run = |settings: &str| {
        let config = temp_file(settings);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
        command.args(["check", "--config"]).arg(&config).env_remove("RINGWAY_MASTER_KEY");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run("server: {listen: '0.0.0.0:8080'}");
    assert!(code == Some(2) && said.contains("is not a loopback address and no key is set"), "{said}");
    assert_eq!(run("server: {listen: '0.0.0.0:8080', allow_unauthenticated: true}").0, Some(0));
    assert_eq!(run("server: {listen: '127.0.0.1:8080'}").0, Some(0));
    assert_eq!(run("server: {listen: '0.0.0.0:8080'}\nauth: {master_key: k}").0, Some(0));
    assert_eq!(run("auth: {master_key: ''}").0, Some(2));
}

#[test]
fn ids_and_the_providers_headers_pass_in_and_out() {
    let lines = "x-request-id: req_up\r\nx-ratelimit-remaining-tokens: 7\r\nopenai-processing-ms: 5\r\nretry-after: 3\r\n\
                 set-cookie: a=b\r\nconnection: x-hop\r\nx-hop: gone\r\n";
    let upstream = Upstream::answering(json_answer(200, lines, CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "");
    let answer = gateway.call(&post_with(
        "/v1/chat/completions",
        "x-request-id: mine-1\r\ncookie: c=d\r\nte: trailers\r\n",
        ASK.as_bytes(),
    ));
    let header = |name: &str| answer.header(name);
    assert_eq!(header("x-request-id").as_deref(), Some("mine-1"));
    assert_eq!(header("x-upstream-request-id").as_deref(), Some("req_up"));
    assert_eq!(header("x-ratelimit-remaining-tokens").as_deref(), Some("7"));
    assert_eq!(header("retry-after").as_deref(), Some("3"));
    assert_eq!((header("set-cookie"), header("x-hop")), (None, None));
    let seen = &upstream.requests()[0];
    assert_eq!(seen.header("x-request-id").as_deref(), Some("mine-1"));
    assert_eq!((seen.header("cookie"), seen.header("te")), (None, None));
    assert_eq!(seen.header("accept-encoding").as_deref(), Some("identity"));
    assert_eq!(gateway.chat(ASK).header("x-request-id").unwrap().len(), 36);
}

#[test]
fn models_are_listed_once_bare_and_once_with_their_provider() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "");
    let mut ids = Vec::new();
    eventually("the list", || {
        let list: serde_json::Value = serde_json::from_slice(&gateway.call(&get("/v1/models")).body).unwrap();
        assert_eq!(list["object"], "list");
        ids = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["id"].as_str().unwrap().to_owned())
            .collect();
        !ids.is_empty()
    });
    assert_eq!(ids, ["m", "org/n", "up/m", "up/org/n"]);
    for id in ["m", "org/n", "org%2Fn", "up/org/n"] {
        let answer = gateway.call(&get(&format!("/v1/models/{id}")));
        let model: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, model["object"].as_str()), (200, Some("model")), "{id}");
    }
    let answer = gateway.call(&get("/v1/models/nope"));
    assert_eq!((answer.status, answer.error_code().as_str()), (404, "model_not_found"));
}

#[test]
fn a_request_finds_its_provider_by_name_list_hint_or_default() {
    let (one, two) = (
        Upstream::answering(json_answer(200, "", r#"{"from":1}"#), After::KeepAlive),
        Upstream::answering(json_answer(200, "", r#"{"from":2}"#), After::KeepAlive),
    );
    let provider = |port: u16, models: &str| {
        format!("{{type: vllm, base_url: 'http://127.0.0.1:{port}/v1', models: [{models}]}}")
    };
    let both = |more: &str| {
        let (one, two) = (provider(one.port, "a, same"), provider(two.port, "b, same"));
        format!("providers:\n  one: {one}\n  two: {two}\nmodels: {{configured_mode: allowlist{more}}}\n")
    };
    let gateway = Gateway::start_with(&both(""), &[]);
    let from = |path: &str, body: &str| gateway.call(&post(path, body));
    for (path, body, want) in [
        ("/v1/chat/completions", r#"{"model":"a"}"#, 1),
        ("/v1/chat/completions", r#"{"model":"b"}"#, 2),
        ("/v1/chat/completions", r#"{"model":"same"}"#, 1),
        ("/v1/chat/completions", r#"{"model":"two/same"}"#, 2),
        ("/v1/chat/completions", r#"{"model":"two/unknown"}"#, 2),
        ("/v1/embeddings", r#"{"model":"b","input":"x"}"#, 2),
        ("/v1/completions", r#"{"model":"b","prompt":"x"}"#, 2),
        ("/v1/images/generations", r#"{"model":"two/x","prompt":"p"}"#, 2),
        ("/v1/things?provider=two&x=1", r#"{}"#, 2),
        ("/p/two/anything?y=2", r#"{"model":"a"}"#, 2),
        ("/p/one/v1/anything", r#"no json"#, 1),
    ] {
        let answer = from(path, body);
        assert_eq!((answer.status, answer.text()), (200, format!(r#"{{"from":{want}}}"#)), "{path} {body}");
    }
    let target = |upstream: &Upstream, index: usize| {
        upstream.requests()[index].head.lines().next().unwrap().to_owned()
    };
    let last = two.requests().len();
    assert_eq!(target(&two, last - 1), "POST /v1/anything?y=2 HTTP/1.1");
    assert_eq!(target(&two, last - 2), "POST /v1/things?x=1 HTTP/1.1");
    assert_eq!(two.requests()[last - 3].body, br#"{"model":"x","prompt":"p"}"#);
    let unknown = from("/v1/chat/completions", r#"{"model":"nobody"}"#);
    assert_eq!((unknown.status, unknown.error_code().as_str()), (404, "model_not_found"));
    assert_eq!(from("/v1/things", "{}").error_code(), "provider_required");
    assert_eq!(from("/v1/things?provider=three", "{}").error_code(), "provider_not_found");
    assert_eq!(from("/p/three/x", "{}").status, 404);
    let gateway = Gateway::start_with(&both(", default_provider: two"), &[]);
    for body in [r#"{"model":"nobody"}"#, "{}"] {
        assert_eq!(gateway.call(&post("/v1/chat/completions", body)).text(), r#"{"from":2}"#);
    }
}

#[test]
fn every_method_passes_through_and_head_has_no_body() {
    let upstream = Upstream::start(|_, seen, stream| {
        let answer = json_answer(200, "", CHAT);
        let body_at = find(&answer, b"\r\n\r\n").unwrap() + 4;
        let end = if seen.head.starts_with("HEAD") { body_at } else { answer.len() };
        let _ = stream.write_all(&answer[..end]);
        After::KeepAlive
    });
    let gateway = Gateway::start(upstream.port, "");
    let mut link = gateway.connect();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] {
        link.send(format!("{method} /p/up/x HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nx-custom: kept\r\ncontent-length: 2\r\n\r\nhi").as_bytes());
        let answer = link.answer(method == "HEAD");
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(answer.header("content-length"), Some(CHAT.len().to_string()), "{method}");
        let seen = upstream.requests().pop().unwrap();
        assert!(seen.head.starts_with(&format!("{method} /v1/x HTTP/1.1\r\n")) && seen.body == b"hi");
        assert_eq!(seen.header("x-custom").as_deref(), Some("kept"));
    }
    for (path, status) in [("/health", 200), ("/health/ready", 200), ("/v1/models", 200), ("/nope", 404)] {
        link.send(format!("HEAD {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n").as_bytes());
        assert_eq!(link.answer(true).status, status, "{path}");
    }
    let answer = gateway.call(b"OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(answer.status == 204 && answer.header("allow").unwrap().contains("POST"));
    let answer = gateway.call(&get("/v1/chat/completions"));
    assert_eq!((answer.status, answer.header("allow").as_deref()), (405, Some("POST, OPTIONS")));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start(|_, seen, stream| {
        let _ = stream.write_all(&json_answer(200, "", &String::from_utf8_lossy(&seen.body)));
        After::KeepAlive
    });
    let gateway = Gateway::start(upstream.port, "");
    let mut link = gateway.connect();
    let bodies: Vec<String> = (0..50).map(|index| format!(r#"{{"model":"m","index":{index}}}"#)).collect();
    link.send(&bodies.iter().flat_map(|body| post("/v1/chat/completions", body)).collect::<Vec<u8>>());
    for body in &bodies {
        assert_eq!(&link.answer(false).text(), body);
    }
}

#[test]
fn a_client_that_expects_to_be_told_is_told_to_go_on() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "");
    let mut link = gateway.connect();
    let request = post_with("/v1/chat/completions", "expect: 100-continue\r\n", ASK.as_bytes());
    let (head, body) = request.split_at(request.len() - ASK.len());
    link.send(head);
    assert_eq!(link.answer(false).status, 100);
    link.send(body);
    assert_eq!(link.answer(false).text(), CHAT);
    let wrong = String::from_utf8(head.to_vec()).unwrap().replace(KEY, "wrong");
    let mut link = gateway.connect();
    link.send(wrong.as_bytes());
    assert_eq!(link.answer(false).status, 401, "a key is judged before the body is asked for");
}

#[test]
fn limits_on_time_and_size_are_kept() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let settings = "server: {head_timeout: 200ms, body_timeout: 200ms, idle_timeout: 400ms, body_max: 1000}";
    let gateway = Gateway::start(upstream.port, settings);
    let mut link = gateway.connect();
    link.send(b"POST /v1/chat");
    assert_eq!((link.answer(false).status, link.is_closed()), (408, true), "a slow head");
    let mut link = gateway.connect();
    let request = post("/v1/chat/completions", ASK);
    link.send(&request[..request.len() - 5]);
    let answer = link.answer(false);
    assert_eq!(
        (answer.status, answer.error_code().as_str(), link.is_closed()),
        (408, "client_body_cut", true),
        "a slow body"
    );
    assert!(gateway.connect().is_closed(), "an idle connection");
    let large = format!(r#"{{"model":"m","text":"{}"}}"#, "x".repeat(2000));
    assert_eq!(gateway.chat(&large).error_code(), "body_too_large");
    let mut link = gateway.connect();
    let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    link.send(format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n{chunk}").as_bytes());
    assert_eq!(link.answer(false).status, 413);
    let gateway = Gateway::start(upstream.port, "server: {connections_max: 3}");
    let held: Vec<Link> = (0..3)
        .map(|_| {
            let mut link = gateway.connect();
            link.send(&get("/health"));
            assert_eq!(link.answer(false).status, 200);
            link
        })
        .collect();
    let answer = gateway.call(&get("/health"));
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "too_many_connections"));
    drop(held);
    eventually("room for one more", || gateway.call(&get("/health")).status == 200);
}

#[test]
fn a_large_upload_streams_through_in_flat_memory() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "");
    let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nup/whisper\r\n--b\r\nContent-Disposition: \
                form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n";
    let (file, end) = (vec![b'\xFF'; 64 << 20], "\r\n--b--\r\n");
    let length = form.len() + file.len() + end.len();
    assert_eq!(gateway.chat(ASK).status, 200);
    let rss = gateway.rss_kib();
    for is_chunked in [false, true] {
        let mut link = gateway.connect();
        let framing = if is_chunked {
            "transfer-encoding: chunked".to_owned()
        } else {
            format!("content-length: {length}")
        };
        link.send(format!("POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-type: multipart/form-data; boundary=b\r\n{framing}\r\n\r\n").as_bytes());
        for piece in [form.as_bytes(), &file, end.as_bytes()] {
            if is_chunked {
                link.send(format!("{:x}\r\n", piece.len()).as_bytes());
            }
            link.send(piece);
            if is_chunked {
                link.send(b"\r\n");
            }
        }
        if is_chunked {
            link.send(b"0\r\n\r\n");
        }
        assert_eq!(link.answer(false).text(), CHAT);
        let got = upstream.requests().pop().unwrap().body;
        assert_eq!(got.len(), length - "up/".len());
        assert!(
            got.starts_with(form.replace("up/whisper", "whisper").as_bytes())
                && got.ends_with(end.as_bytes())
        );
    }
    assert!(gateway.rss_kib() < rss + 4 * 1024, "{} KiB more", gateway.rss_kib() - rss);
}

#[test]
fn a_reader_that_stops_holds_little_memory_and_is_given_up() {
    let upstream = Upstream::start(|_, _, stream| {
        let event = format!("data: {{\"choices\":[],\"x\":\"{}\"}}\n\n", "y".repeat(8000));
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        while stream.write_all(event.as_bytes()).is_ok() {}
        After::Close
    });
    let gateway = Gateway::start(upstream.port, "server: {write_timeout: 700ms}");
    // The first stream of a gateway makes what is kept for the next ones.
    let mut first = gateway.connect();
    first.send(&post("/v1/chat/completions", ASK_STREAM));
    first.read_until("data: ");
    drop(first);
    eventually("the first stream to end", || gateway.metric("ringway_clients_gone_total") == 1.0);
    // The store, too, is made with the first record.
    eventually("its record to be stored", || gateway.metric("ringway_records_stored_total") == 1.0);
    let rss = gateway.rss_kib();
    let links: Vec<Link> = (0..40)
        .map(|_| {
            let mut link = gateway.connect();
            link.send(&post("/v1/chat/completions", ASK_STREAM));
            link.read_until("data: ");
            link
        })
        .collect();
    assert!(gateway.rss_kib() < rss + 40 * 130, "{} KiB for 40 readers", gateway.rss_kib() - rss);
    eventually("the readers to be given up", || {
        gateway.metric(r#"ringway_upstream_faults_total{provider="up",kind="client_stalled"}"#) == 40.0
    });
    drop(links);
}

#[test]
fn metrics_count_what_happened_with_bounded_labels() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "");
    eventually("the list of models", || gateway.call(&get("/v1/models/m")).status == 200);
    (0..20).for_each(|_| assert_eq!(gateway.chat(ASK).status, 200));
    (0..1000).for_each(|index| {
        assert_eq!(gateway.chat(&format!(r#"{{"model":"up/random-{index}"}}"#)).status, 200)
    });
    let sample = |name: &str| gateway.metric(name);
    assert_eq!(
        sample(r#"ringway_requests_total{provider="up",model="m",endpoint="chat",status="2xx"}"#),
        20.0
    );
    assert_eq!(
        sample(r#"ringway_requests_total{provider="up",model="other",endpoint="chat",status="2xx"}"#),
        1000.0
    );
    assert_eq!(sample(r#"ringway_tokens_total{provider="up",model="m",kind="in"}"#), 60.0);
    assert_eq!(sample(r#"ringway_tokens_total{provider="up",model="m",kind="out"}"#), 80.0);
    assert_eq!(sample(r#"ringway_gateway_added_seconds_count{endpoint="chat"}"#), 1020.0);
    assert_eq!(sample(r#"ringway_first_byte_seconds_count{provider="up",endpoint="chat"}"#), 1020.0);
    let page = gateway.call(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").text();
    assert!(page.lines().count() < 400, "{} lines", page.lines().count());
    let mut families = std::collections::HashSet::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(families.insert(rest.split(' ').next().unwrap().to_owned()), "{line} stands twice");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            let family = name.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| family.strip_suffix(end))
                .unwrap_or(family);
            assert!(families.contains(family) || families.contains(base), "{line} has no type");
            value.parse::<f64>().expect("a number");
        }
    }
}

#[test]
fn few_connections_are_spread_evenly_over_the_shards() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "server: {shards: 4}");
    for _ in 0..5 {
        let links: Vec<Link> = (0..32).map(|_| gateway.connect()).collect();
        let mut counts = [0.0; 4];
        eventually("all connections", || {
            counts = [0, 1, 2, 3]
                .map(|shard| gateway.metric(&format!("ringway_connections{{shard=\"{shard}\"}}")));
            counts.iter().sum::<f64>() >= 32.0
        });
        // The scrape itself is one connection more.
        assert!(counts.iter().all(|&count| count <= 8.0 * 1.3), "{counts:?}");
        drop(links);
        eventually("their end", || gateway.metric("ringway_requests_in_flight") <= 1.0 && gateway.fds() < 80);
    }
}

#[test]
fn a_refused_request_is_answered_once_and_the_next_one_gets_its_own_answer() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let extra = format!(
        "  only-chat: {{type: perplexity, base_url: 'http://127.0.0.1:{}', api_key: k}}\n",
        upstream.port
    );
    let gone = "  gone: {type: openai, base_url: 'http://127.0.0.1:9/v1', api_key: k, max_retries: 0}\n";
    let gateway = Gateway::start(upstream.port, &(extra + gone));
    eventually("the lists of models", || gateway.chat(r#"{"model":"nobody"}"#).status == 404);
    let with_head = |path: &str, head: &str| format!("{path} HTTP/1.1\r\nhost: x\r\n{head}\r\n").into_bytes();
    let key = format!("authorization: Bearer {KEY}\r\n");
    let refused = [
        (post("/v1/chat/completions", r#"{"model":"gone/m"}"#), 502, "upstream_connect_error"),
        (post("/v1/responses", r#"{"model":"gone/m"}"#), 502, "upstream_connect_error"),
        (post("/v1/embeddings", r#"{"model":"only-chat/e","input":"hi"}"#), 400, "unsupported_endpoint"),
        (post("/v1/chat/completions", r#"{"model":"nobody"}"#), 404, "model_not_found"),
        (post("/v1/chat/completions", r#"{"model":7}"#), 400, "invalid_type"),
        (post("/v1/chat/completions", r#"{"model":"#), 400, "invalid_json"),
        (post("/v1/responses?provider=nobody", r#"{"model":"m"}"#), 404, "provider_not_found"),
        (get("/v1/models/nobody"), 404, "model_not_found"),
        (get("/nowhere"), 404, "unknown_url"),
        (with_head("DELETE /v1/chat/completions", &key), 405, "method_not_allowed"),
        (with_head("GET /v1/models", ""), 401, "missing_api_key"),
        (
            with_head("POST /v1/chat/completions", &format!("{key}content-encoding: gzip\r\n")),
            415,
            "content_encoding",
        ),
    ];
    for (request, status, code) in refused {
        let mut link = gateway.connect();
        // The next request is there already, and a third comes later.
        link.send(&[request, post("/v1/chat/completions", ASK)].concat());
        let answer = link.answer(false);
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code));
        for _ in 0..2 {
            let answer = link.answer(false);
            assert_eq!((answer.status, answer.text().as_str()), (200, CHAT), "after {code}");
            link.send(&post("/v1/chat/completions", ASK));
        }
    }
}
