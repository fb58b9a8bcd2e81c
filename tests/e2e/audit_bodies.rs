//! Headers and bodies in the audit log: only where the settings ask for them, streams as whole answers, and never a key.

use std::io::Write;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::admin::{admin, call, rows, start};
use crate::support::*;

const BOTH: &str = "audit: {headers: true, bodies: true, body_max: 4K}\nretry: {max_retries: 0}\n";

/// The exchange of this request id in full, when it has come to the store.
fn detail(gateway: &Gateway, request_id: &str) -> Json {
    let mut id = String::new();
    eventually("the exchange is in the audit log", || {
        let log = admin(gateway, "GET", &format!("/audit/log?request_id={request_id}"), Json::Null);
        id = log["data"][0]["id"].as_str().unwrap_or_default().to_owned();
        !id.is_empty()
    });
    admin(gateway, "GET", &format!("/audit/detail?id={id}"), Json::Null)
}

fn ask(gateway: &Gateway, path: &str, id: &str, body: &str) -> Answer {
    gateway.call(&post_with(path, &format!("x-request-id: {id}\r\nx-team: blue\r\n"), body.as_bytes()))
}

const ANSWERED: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"lo\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"look\",\"input\":{}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"at\\\":\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"7}\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":9}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

#[test]
fn a_stream_is_kept_as_the_whole_answer_of_the_callers_dialect() {
    let upstream = Upstream::answering(stream_answer(ANSWERED.as_bytes(), &[7]), After::KeepAlive);
    let config = format!(
        "providers:\n  up: {{type: anthropic, base_url: 'http://127.0.0.1:{}/v1', api_key: sk-up}}\n{BOTH}",
        upstream.port
    );
    let gateway = Gateway::start_with(&config, &[]);
    let body = r#"{"model":"up/m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    // Without a length, the same in chunks.
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\nx-request-id: chunked\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert_eq!(gateway.call(chunked.as_bytes()).status, 200);
    let kept = &detail(&gateway, "chunked")["data"]["request_body"];
    assert_eq!(
        *kept,
        serde_json::from_str::<Json>(body).unwrap(),
        "what the client sent, not what was made of it"
    );
    for path in ["/v1/messages", "/v1/chat/completions", "/v1/responses"] {
        let id = path.rsplit('/').next().unwrap();
        let body = if id == "responses" { r#"{"model":"up/m","stream":true,"input":"hi"}"# } else { body };
        assert_eq!(ask(&gateway, path, id, body).status, 200, "{path}");
        let kept = &detail(&gateway, id)["data"];
        assert_eq!(kept["request_body"], serde_json::from_str::<Json>(body).unwrap(), "{path}");
        let answer = &kept["response_body"];
        let (text, arguments) = match id {
            "messages" => (&answer["content"][0]["text"], answer["content"][1]["input"].to_string()),
            "completions" => {
                let message = &answer["choices"][0]["message"];
                let arguments = &message["tool_calls"][0]["function"]["arguments"];
                (&message["content"], arguments.as_str().unwrap_or_default().to_owned())
            }
            _ => {
                let arguments = answer["output"][1]["arguments"].as_str().unwrap_or_default();
                (&answer["output"][0]["content"][0]["text"], arguments.to_owned())
            }
        };
        assert_eq!((text, arguments.as_str()), (&json!("Hello"), r#"{"at":7}"#), "{path}: {answer}");
        assert!(kept.get("response_body_incomplete").is_none(), "{kept}");
        assert_eq!(kept["response_headers"]["content-type"], "text/event-stream", "{kept}");
    }
}

#[test]
fn what_was_cut_or_too_long_or_refused_says_so() {
    let data = TempFolder::new();
    let long = "word ".repeat(3_000);
    let answer = CHAT.replace(r#""content":"hi""#, &format!(r#""content":"{long}""#));
    let upstream = Upstream::start(move |_, seen, stream| {
        let is_stream = find(&seen.body, b"\"stream\":true").is_some();
        let bytes =
            if is_stream { stream_answer(STREAM.as_bytes(), &[1000]) } else { json_answer(200, "", &answer) };
        let end = if is_stream { find(&bytes, b"[DONE]").unwrap_or(bytes.len()) } else { bytes.len() };
        let _ = stream.write_all(&bytes[..end]);
        After::Close
    });
    let gateway = start(&data.0, &upstream, BOTH);
    let body = ASK.replace("\"hi\"", &format!("\"{long}\""));
    assert!(ask(&gateway, "/v1/chat/completions", "long", &body).is_whole);
    let kept = detail(&gateway, "long")["data"].clone();
    for side in ["request", "response"] {
        assert_eq!(kept[format!("{side}_body_too_big_to_handle")], true, "{side}");
        let text = kept[format!("{side}_body")].as_str().expect("the beginning of a body");
        assert!((4_000..=4_096).contains(&text.len()) && text.contains("word word"), "{side}");
    }
    assert!(!ask(&gateway, "/v1/chat/completions", "cut", ASK_STREAM).is_whole);
    let kept = detail(&gateway, "cut")["data"].clone();
    assert_eq!(kept["response_body_incomplete"], true, "{kept}");
    assert!(kept["response_body"].to_string().contains('h'), "what came is kept: {kept}");
    let headers = &kept["request_headers"];
    assert_eq!((&headers["authorization"], &headers["x-team"]), (&json!("[REDACTED]"), &json!("[REDACTED]")));
    assert_eq!((&headers["host"], &headers["x-request-id"]), (&json!("x"), &json!("cut")));
}

#[test]
fn nothing_is_kept_that_was_not_asked_for() {
    let (data, upstream) = (TempFolder::new(), crate::admin::upstream());
    let gateway =
        start(&data.0, &upstream, "audit: {headers: false, bodies: false, headers_shown: [x-team]}\n");
    ask(&gateway, "/v1/chat/completions", "off", ASK);
    let kept = detail(&gateway, "off");
    for name in ["request_headers", "request_body", "response_headers", "response_body"] {
        assert!(kept["data"].get(name).is_none() && kept.get(name).is_none(), "{name}: {kept}");
    }
    assert_eq!(gateway.metric("ringway_audit_bodies_unkept_total"), 0.0);
}

#[test]
fn bodies_outlive_the_process_and_the_segments_of_its_journal() {
    let (data, elsewhere) = (TempFolder::new(), TempFolder::new());
    let text = |number: &str| format!("{} number {number} ends here", "word ".repeat(20_000));
    let upstream = Upstream::start(move |_, seen, stream| {
        let said = String::from_utf8_lossy(&seen.body);
        let number =
            said.split(" number ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        let answer = CHAT.replace(r#""content":"hi""#, &format!(r#""content":"{}""#, text(number)));
        let _ = stream.write_all(&json_answer(200, "", &answer));
        After::KeepAlive
    });
    // A file stands where the folder of the database has to be: everything stays in the journal.
    let folder = elsewhere.0.join("later");
    std::fs::write(&folder, "").unwrap();
    let storage = format!("storage: {{sqlite: {{path: '{}'}}}}", folder.join("ringway.db").display());
    let settings = format!("{storage}\nserver: {{shards: 1}}\naudit: {{bodies: true}}\n");
    let mut gateway = start(&data.0, &upstream, &settings);
    // Twice as much as three segments hold.
    const COUNT: usize = 60;
    for number in 0..COUNT {
        let body = ASK.replace("hi", &text(&number.to_string()));
        let lines = format!("x-request-id: {number}\r\n");
        let answer = gateway.call(&post_with("/v1/chat/completions", &lines, body.as_bytes()));
        assert_eq!(answer.status, 200, "{number}");
    }
    gateway.child.kill().unwrap();
    gateway.child.wait().unwrap();
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let gateway = start(&data.0, &upstream, &settings);
    eventually("all rows", || call(&gateway, KEY, "GET", "/usage/summary", None).1["requests"] == COUNT);
    let sql = "SELECT request_id, request_body, response_body FROM ringway_audit_logs";
    let rows = rows(&folder, sql);
    assert_eq!(rows.len(), COUNT);
    for row in rows {
        let number = row[0].trim_start_matches("Text(\"").trim_end_matches("\")");
        for body in &row[1..] {
            let is_whole = body.contains(&text(number)) && body.ends_with("}\")");
            assert!(is_whole, "{number}: {} bytes", body.len());
        }
    }
}

/// Everything that stands in the files of a folder.
fn everything_in(folder: &Path, out: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        match entry.file_type().expect("a type").is_dir() {
            true => everything_in(&entry.path(), out),
            // A segment of the journal may just have gone.
            false => out.extend(std::fs::read(entry.path()).unwrap_or_default()),
        }
    }
}

const PROVIDER_CANARY: &str = "Pr0viderCANARY+of/the=provider";
const CLIENT_CANARY: &str = "client.CANARY-of-the-caller";
const BODY_CANARY: &str = "canary in what was said";

/// A provider that shows everything that it was sent, in every way.
fn echo(seen: &Seen, number: usize) -> Vec<u8> {
    let key = seen.header("authorization").unwrap_or_default();
    let said = String::from_utf8_lossy(&seen.body).replace('"', "'");
    let told = format!("you sent {key} and {CLIENT_CANARY} and {said}");
    let content =
        format!(r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":"{told}"}}}}]}}"#);
    let error = format!(r#"{{"error":{{"message":"{told}"}}}}"#);
    let half = PROVIDER_CANARY.len() / 2;
    let delta = |text: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    let stream = [delta(&told), delta(&PROVIDER_CANARY[..half]), delta(&PROVIDER_CANARY[half..])].concat();
    match number % 6 {
        0 => json_answer(200, &format!("x-echo: {key}\r\n"), &content),
        1 => json_answer(400, "", &error),
        2 => json_answer(401, "", &error),
        3 => json_answer(500, "", &format!("<html>{told}</html>")),
        4 => stream_answer((stream + "data: [DONE]\n\n").as_bytes(), &[64]),
        _ => b"HTTP/1.1 200 OK\r\nx-broken".to_vec(),
    }
}

#[test]
fn canaries_in_keys_are_told_nowhere_and_those_in_bodies_only_where_bodies_are_kept() {
    for (settings, keeps_bodies) in
        [("audit: {headers: false}", false), ("audit: {headers: true, bodies: true}", true)]
    {
        let data = TempFolder::new();
        let upstream = Upstream::start(|number, seen, stream| {
            let _ = stream.write_all(&echo(seen, number));
            After::Close
        });
        let config = format!(
            "providers:\n  up: {{type: openai, base_url: 'http://127.0.0.1:{}/v1', api_key: '{PROVIDER_CANARY}'}}\n\
             log: {{level: debug}}\nretry: {{max_retries: 0}}\n{settings}\n",
            upstream.port
        );
        let folder = data.0.to_str().expect("UTF-8");
        let env = [("RINGWAY_DATA_DIR", folder), ("RINGWAY_AUTH_KEYS", CLIENT_CANARY)];
        let gateway = Gateway::start_with(&config, &env);
        let body = ASK.replace("hi", BODY_CANARY);
        for round in 0..12 {
            let lines = format!("x-request-id: r{round}\r\ncookie: {CLIENT_CANARY}\r\n");
            let request = post_with("/v1/chat/completions", &lines, body.as_bytes());
            let request = String::from_utf8(request).unwrap().replace(KEY, CLIENT_CANARY);
            gateway.call(request.as_bytes());
        }
        let mut told = String::new();
        for round in 0..12 {
            told += &detail(&gateway, &format!("r{round}")).to_string();
        }
        for path in ["/runtime/config", "/runtime/settings", "/audit/log", "/usage/log", "/changes"] {
            told += &admin(&gateway, "GET", path, Json::Null).to_string();
        }
        told += &gateway.call(&get("/metrics")).text();
        told += &gateway.stderr();
        let mut files = Vec::new();
        everything_in(&data.0, &mut files);
        assert!(
            find(&files, b"/v1/chat/completions").is_some(),
            "the journal or the store is among the files"
        );
        for canary in [PROVIDER_CANARY, CLIENT_CANARY] {
            assert!(!told.contains(canary), "{canary} is told: {told}");
            assert!(find(&files, canary.as_bytes()).is_none(), "{canary} stands in a file");
        }
        assert_eq!(told.contains(BODY_CANARY), keeps_bodies, "{told}");
        assert_eq!(find(&files, BODY_CANARY.as_bytes()).is_some(), keeps_bodies);
    }
}
