//! Malformed and smuggling requests: refused and closed, and nothing wrong reaches the upstream.

use crate::support::*;

struct Case {
    name: String,
    is_good: bool,
    bytes: Vec<u8>,
}

/// The requests of `tests/hostile/requests.txt`; its first lines say how it is written.
fn cases() -> Vec<Case> {
    let lines = include_str!("../hostile/requests.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.splitn(3, " | ").collect();
            Case { name: parts[0].to_owned(), is_good: parts[1] == "good", bytes: unescaped(parts[2]) }
        })
        .collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let kind = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        match kind {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'x' => {
                out.push(u8::from_str_radix(&rest[..2], 16).unwrap());
                rest = &rest[2..];
            }
            b'{' => {
                let (inner, behind) = rest.split_once('}').unwrap();
                let (count, text) = inner.split_once('*').unwrap();
                out.extend(unescaped(text).repeat(count.parse().unwrap()));
                rest = behind;
            }
            other => out.push(other),
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

#[test]
fn hostile_requests_are_refused_and_never_reach_the_upstream() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let settings =
        format!("server: {{head_timeout: 300ms, body_timeout: 300ms}}\nauth: {{keys: [{}]}}", "test-key");
    let gateway = Gateway::start(upstream.port, &settings);
    let cases = cases();
    assert!(cases.len() >= 200, "{} cases", cases.len());
    let mut good = 0;
    for case in &cases {
        let mut link = gateway.connect();
        link.send(&case.bytes);
        // A second request behind the first: it must not be answered after a refusal.
        link.send(b"GET /v1/smuggled HTTP/1.1\r\nhost: x\r\nauthorization: Bearer test-key\r\n\r\n");
        let answer = link.answer(case.name.contains("HEAD"));
        if case.is_good {
            assert_eq!(answer.status, 200, "{}: {}", case.name, answer.text());
            good += 1;
            continue;
        }
        assert!(answer.status == 0 || (400..600).contains(&answer.status), "{}: {}", case.name, answer.head);
        assert!(link.is_closed(), "{}: the connection stays open after {}", case.name, answer.head);
    }
    let smuggled: Vec<Seen> =
        upstream.requests().into_iter().filter(|seen| !seen.head.contains("/v1/smuggled")).collect();
    assert_eq!(smuggled.len(), good, "{smuggled:?}");
    assert!(smuggled.iter().all(|seen| seen.body == br#"{"model":"m","messages":[]}"#));
    assert_eq!(gateway.chat(ASK).status, 200);
}

#[test]
fn paths_that_hide_others_are_refused() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "");
    for path in [
        "/p/up/../x",
        "/p/up/a/%2e%2e/b",
        "/p/up//a",
        "/p/up/a%2fb",
        "/v1/files/..",
        "/v1/%2e%2e/x",
        "/v1/a%00",
    ] {
        let answer = gateway.call(&get(path));
        assert_eq!((answer.status, answer.error_code().as_str()), (400, "bad_path"), "{path}");
    }
    assert!(upstream.requests().is_empty());
}
