//! Requests that are signed for AWS: the upstream checks each signature as the service does, from what it received.

use std::io::Write;
use std::process::Command;

use ring::{digest, hmac};

use crate::support::*;

const ID: &str = "AKIDEXAMPLE012345678";
const SECRET: &str = "secret/of+the/tests-0123456789";
const TOKEN: &str = "session-token-of-the-tests==";
const ANSWER: &str =
    r#"{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn"}"#;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tag(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// The signature of a request as it was received, worked out from the names that its own header lists.
fn verify(seen: &Seen, region: &str) {
    let shown = seen.header("authorization").expect("a signature");
    let rest = shown.strip_prefix("AWS4-HMAC-SHA256 Credential=").expect("the algorithm");
    let (credential, rest) = rest.split_once(", SignedHeaders=").expect("names");
    let (names, signature) = rest.split_once(", Signature=").expect("a signature");
    let date = seen.header("x-amz-date").expect("a date");
    let scope = format!("{}/{region}/bedrock/aws4_request", &date[..8]);
    assert_eq!(credential, format!("{ID}/{scope}"));
    let line = seen.head.lines().next().unwrap();
    let (method, target) = (line.split(' ').next().unwrap(), line.split(' ').nth(1).unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // The paths of these tests hold nothing but `%`, `:` and `/` besides what stays as it is.
    let path = path.replace('%', "%25").replace(':', "%3A");
    let values: String =
        names.split(';').map(|name| format!("{name}:{}\n", seen.header(name).expect(name))).collect();
    let hash = hex(digest::digest(&digest::SHA256, &seen.body).as_ref());
    let canonical = format!("{method}\n{path}\n{query}\n{values}\n{names}\n{hash}");
    let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/') {
        key = tag(&key, part);
    }
    let want = hex(&tag(&key, &format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}")));
    assert_eq!(signature, want, "{}", seen.head);
    for needed in ["host", "content-type", "x-amz-date"] {
        assert!(names.split(';').any(|name| name == needed), "{needed} is signed: {names}");
    }
    assert_eq!(seen.head.to_lowercase().matches("\r\nauthorization:").count(), 1, "{}", seen.head);
    assert_eq!(seen.head.to_lowercase().matches("\r\nx-amz-date:").count(), 1, "{}", seen.head);
}

/// The time as AWS writes it, so many seconds from now.
fn stamp(seconds: i64) -> String {
    let mut command = Command::new("date");
    command.args(["-u", "-d", &format!("{seconds} seconds"), "+%Y%m%dT%H%M%SZ"]);
    String::from_utf8(command.output().expect("date runs").stdout).unwrap().trim().to_owned()
}

/// A gateway with only AWS's own variables and an address.
fn gateway(upstream: &Upstream, more: &[(&str, &str)]) -> Gateway {
    let base = format!("http://127.0.0.1:{}", upstream.port);
    let mut env = vec![
        ("BEDROCK_BASE_URL", base.as_str()),
        ("AWS_ACCESS_KEY_ID", ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ];
    env.extend(more);
    Gateway::start_with("log:\n  level: debug\nretry:\n  initial_backoff: 1ms\n", &env)
}

#[test]
fn requests_are_signed_as_they_are_sent() {
    let upstream = Upstream::answering(json_answer(200, "", ANSWER), After::KeepAlive);
    let gateway = gateway(&upstream, &[("AWS_SESSION_TOKEN", TOKEN)]);
    let before = stamp(-5);
    let long = "x".repeat(100_000);
    for text in ["hi", "Gr\u{fc}\u{df}e", long.as_str()] {
        let body = format!(
            r#"{{"model":"bedrock/eu.vendor.model-v1:0","messages":[{{"role":"user","content":"{text}"}}]}}"#
        );
        let answer = gateway.chat(&body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let seen = upstream.requests();
    assert_eq!(seen.len(), 3);
    for seen in &seen {
        assert!(seen.head.starts_with("POST /model/eu.vendor.model-v1%3A0/converse HTTP/1.1\r\n"));
        verify(seen, "eu-central-1");
        assert_eq!(seen.header("x-amz-security-token").as_deref(), Some(TOKEN));
        let date = seen.header("x-amz-date").unwrap();
        assert!(before <= date && date <= stamp(5), "{before} {date}");
    }
    for secret in [SECRET, TOKEN, "Signature="] {
        assert!(!gateway.stderr().contains(secret), "{}", gateway.stderr());
    }
}

#[test]
fn each_attempt_is_signed_and_the_callers_signature_stays_behind() {
    let upstream = Upstream::start(|number, _, stream| {
        let status = if number == 0 { 503 } else { 200 };
        let _ = stream.write_all(&json_answer(status, "", ANSWER));
        After::KeepAlive
    });
    let gateway = gateway(&upstream, &[]);
    let body = br#"{"model":"bedrock/m","messages":[{"role":"user","content":"hi"}]}"#;
    let lines = "x-amz-date: 20200101T000000Z\r\nx-amz-security-token: stolen\r\n";
    assert_eq!(gateway.call(&post_with("/v1/chat/completions", lines, body)).status, 200);
    let lines = format!("{lines}x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nx-amz-own: a\r\n");
    let answer = gateway.call(&post_with("/p/bedrock/model/a:b/invoke?trace=1", &lines, b" {\"raw\": 1.0} "));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = upstream.requests();
    assert_eq!(seen.len(), 3);
    for seen in &seen {
        verify(seen, "eu-central-1");
        assert!(!seen.head.contains("stolen") && !seen.head.contains("UNSIGNED"), "{}", seen.head);
    }
    assert!(seen[2].head.starts_with("POST /model/a:b/invoke?trace=1 HTTP/1.1\r\n"), "{}", seen[2].head);
    assert_eq!(
        (seen[2].body.as_slice(), seen[2].header("x-amz-own").as_deref()),
        (&b" {\"raw\": 1.0} "[..], Some("a"))
    );
}

#[test]
fn a_body_that_streams_cannot_be_signed() {
    let upstream = Upstream::answering(json_answer(200, "", ANSWER), After::KeepAlive);
    let gateway = gateway(&upstream, &[]);
    let request = |path: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: text/plain\r\n\
             transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
        );
        gateway.call(head.as_bytes())
    };
    let answer = request("/v1/audio/speech?provider=bedrock");
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "unsignable_body"), "{}", answer.text());
    assert_eq!(upstream.requests().len(), 0);
    // Below the provider's own path all bodies are held.
    assert_eq!(request("/p/bedrock/files").status, 200);
    let seen = upstream.requests();
    verify(&seen[0], "eu-central-1");
    assert_eq!(seen[0].body, b"body");
}

#[test]
fn an_error_that_repeats_the_secret_does_not_reach_the_caller() {
    let page = format!("your key {SECRET} and {TOKEN} are wrong");
    let answer =
        format!("HTTP/1.1 400 X\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    let upstream = Upstream::answering(answer, After::KeepAlive);
    let gateway = gateway(&upstream, &[("AWS_SESSION_TOKEN", TOKEN)]);
    let answer = gateway.chat(r#"{"model":"bedrock/m","messages":[{"role":"user","content":"hi"}]}"#);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("your key **** and **** are wrong"), "{}", answer.text());
}

#[test]
fn a_key_is_shown_as_a_bearer_token_before_any_pair_signs() {
    let upstream = Upstream::answering(json_answer(200, "", ANSWER), After::KeepAlive);
    let gateway = gateway(&upstream, &[("AWS_BEARER_TOKEN_BEDROCK", "bedrock-key-0123456789")]);
    let answer = gateway.chat(r#"{"model":"bedrock/m","messages":[{"role":"user","content":"hi"}]}"#);
    assert_eq!(answer.status, 200);
    let seen = upstream.requests().pop().unwrap();
    assert_eq!(seen.header("authorization").as_deref(), Some("Bearer bedrock-key-0123456789"));
    assert_eq!(seen.header("x-amz-date"), None);
}
