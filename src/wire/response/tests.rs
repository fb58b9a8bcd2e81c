//! Response heads: framing by RFC 9112 §6.3, and what is refused.

use super::super::Malformed;
use super::*;
use crate::wire::fuzz;

fn read(head: &str, to: Method) -> Result<ResponseHead, Malformed> {
    let mut out = ResponseHead::default();
    read_response(head.as_bytes(), to, &mut out).map(|()| out)
}

#[test]
fn the_body_ends_as_status_method_and_headers_say() {
    for (head, to, want, keeps) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Method::Get, ResponseBody::Length(5), true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Method::Head, ResponseBody::None, true),
        ("HTTP/1.1 204 No\r\n\r\n", Method::Get, ResponseBody::None, true),
        ("HTTP/1.1 304 No\r\ncontent-length: 5\r\n\r\n", Method::Get, ResponseBody::None, true),
        ("HTTP/1.1 100 C\r\n\r\n", Method::Post, ResponseBody::None, true),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n", Method::Get, ResponseBody::Chunked, true),
        ("HTTP/1.1 200 OK\r\n\r\n", Method::Get, ResponseBody::UntilClose, false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n", Method::Get, ResponseBody::Length(1), false),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Method::Get,
            ResponseBody::None,
            false,
        ),
        ("HTTP/1.1 200\r\ncontent-length: 1\r\n\r\n", Method::Get, ResponseBody::Length(1), true),
    ] {
        let got = read(head, to).unwrap_or_else(|bad| panic!("{head:?}: {bad:?}"));
        assert_eq!((got.body, got.keep_alive), (want, keeps), "{head:?}");
    }
}

#[test]
fn ambiguous_and_broken_answers_are_refused() {
    for (head, want) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n", Malformed::ContentLengthTwice),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            Malformed::LengthAndEncoding,
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", Malformed::TransferEncoding),
        ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Malformed::TransferEncoding),
        ("HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n", Malformed::ContentLength),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999\r\n\r\n", Malformed::ContentLength),
        ("HTTP/1.1 99 Low\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.1 600 High\r\n\r\n", Malformed::StatusLine),
        ("HTTP/2 200 OK\r\n\r\n", Malformed::Version),
        ("HTTP/1.1 200 OK\r\na b: c\r\n\r\n", Malformed::HeaderName),
        ("HTTP/1.1 200 OK\r\n folded: c\r\n\r\n", Malformed::HeaderName),
        ("HTTP/1.1 200 OK\r\na: b\x00\r\n\r\n", Malformed::HeaderValue),
    ] {
        assert_eq!(read(head, Method::Get).unwrap_err(), want, "{head:?}");
    }
}

#[test]
fn usual_heads_go_the_fast_way() {
    for head in USUAL {
        assert!(quick(head.as_bytes(), &mut ResponseHead::default()).is_some(), "{head:?}");
    }
}

#[test]
fn the_fast_way_through_a_head_agrees_with_the_slow_one() {
    let usual = USUAL.iter().map(|head| head.as_bytes().to_vec());
    for head in fuzz::seeds("response_head").into_iter().chain(usual) {
        let bytes = (0..=u8::MAX).filter(|byte| !byte.is_ascii_lowercase());
        fuzz::for_each_mutation(&head, bytes, |head| assert!(ways_agree(head), "{}", head.escape_ascii()));
    }
}

const USUAL: [&str; 3] = [
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_1\r\ncontent-length: 400\r\n\r\n",
    "HTTP/1.1 204 \r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nserver: a\r\n\r\n",
    "HTTP/1.1 429 Too Many Requests\r\nretry-after-ms: 20\r\nTransfer-Encoding: chunked\r\n\r\n",
];
