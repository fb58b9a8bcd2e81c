//! Request heads: what is read, and the file of hostile requests, each of which must be refused (or read) as it says.

use super::super::chunked::Chunked;
use super::super::head::EndOfHead;
use super::super::{Malformed, Step};
use super::*;
use crate::wire::fuzz;

fn read(head: &str) -> Result<RequestHead, Malformed> {
    let mut out = RequestHead::default();
    read_request(head.as_bytes(), &mut out).map(|()| out)
}

#[test]
fn a_head_is_read_as_places() {
    let text = "POST /v1/chat?a=b HTTP/1.1\r\nHost: x:8080\r\nContent-Length: 12\r\nConnection: x-drop, keep-alive\r\n\r\n";
    let head = read(text).expect("a good head");
    let of = |span: Span| std::str::from_utf8(span.of(text.as_bytes())).expect("ASCII");
    assert_eq!(
        (head.method, of(head.path), of(head.query), of(head.host)),
        (Method::Post, "/v1/chat", "a=b", "x:8080")
    );
    assert_eq!((head.body, head.keep_alive, head.expects_continue), (RequestBody::Length(12), true, false));
    assert!(head.headers.named_by_connection(text.as_bytes(), b"X-Drop"));
}

#[test]
fn persistence_follows_version_and_connection() {
    for (head, want) in [
        ("GET / HTTP/1.1\r\nhost: x\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nconnection: keep-alive, close\r\n\r\n", false),
    ] {
        assert_eq!(read(head).expect("a good head").keep_alive, want, "{head:?}");
    }
}

#[test]
fn an_absolute_target_must_be_for_this_host() {
    let head = read("GET http://x/a?b HTTP/1.1\r\nhost: x\r\n\r\n").expect("a good head");
    assert_eq!((head.path.len(), head.query.len()), (2, 1));
    assert_eq!(read("GET http://y/a HTTP/1.1\r\nhost: x\r\n\r\n").unwrap_err(), Malformed::TargetHost);
    assert_eq!(read("GET ftp://x/a HTTP/1.1\r\nhost: x\r\n\r\n").unwrap_err(), Malformed::Target);
}

/// Reads one request with its body as a connection does: true when it is well-formed to its end.
fn is_taken(bytes: &[u8]) -> bool {
    let Step::Done { used } = EndOfHead::default().step(bytes) else { return false };
    let mut head = RequestHead::default();
    if read_request(&bytes[..used], &mut head).is_err() {
        return false;
    }
    match head.body {
        RequestBody::None => true,
        RequestBody::Length(length) => (bytes.len() - used) as u64 >= length,
        RequestBody::Chunked => {
            matches!(Chunked::default().step(&bytes[used..], &mut Vec::new()), Step::Done { .. })
        }
    }
}

#[test]
fn every_hostile_request_is_refused_and_every_good_one_read() {
    let cases = fuzz::hostile_requests();
    assert!(cases.len() >= 200, "{} cases", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter(|case| is_taken(&case.bytes) != case.is_good)
        .map(|case| format!("{}: {:.120}", case.name, String::from_utf8_lossy(&case.bytes).escape_debug()))
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn usual_heads_go_the_fast_way() {
    for head in USUAL {
        assert!(quick(head.as_bytes(), &mut RequestHead::default()).is_some(), "{head:?}");
    }
}

#[test]
fn the_fast_way_through_a_head_agrees_with_the_slow_one() {
    let hostile = fuzz::hostile_requests().into_iter().map(|case| case.bytes);
    let usual = USUAL.iter().map(|head| head.as_bytes().to_vec());
    for input in hostile.chain(fuzz::seeds("request_head")).chain(usual) {
        let head = match EndOfHead::default().step(&input) {
            Step::Done { used } => &input[..used],
            _ => &input[..],
        };
        assert!(ways_agree(head), "{}", head.escape_ascii());
        if head.len() <= 512 {
            let bytes = (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphanumeric() || *byte == b'K');
            fuzz::for_each_mutation(head, bytes, |head| assert!(ways_agree(head), "{}", head.escape_ascii()));
        }
    }
}

#[test]
fn the_fast_way_counts_headers_as_the_slow_one_does() {
    for count in [99, 100, 101] {
        let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a:\r\n".repeat(count));
        assert!(ways_agree(head.as_bytes()));
        assert_eq!(quick(head.as_bytes(), &mut RequestHead::default()).is_some(), count <= 100);
    }
}

const USUAL: [&str; 4] = [
    "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer k\r\n\
     Content-Type: application/json\r\nContent-Length: 600\r\n\r\n",
    "GET /v1/models?a=b HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nx-name-of-sixteen-and-more:  a b \r\n\
     proxy-authorization:x\r\nempty:\r\nspaces:   \r\n\r\n",
    "GET / HTTP/1.1\r\nhost: openai\r\nx_y: \"quoted\"; a=b\r\ncookie: a:b\r\nabcdefghijklmno: 15\r\n\
     abcdefghijklmnop: 16\r\nabcdefghijklmnopq: 17\r\n\r\n",
];
