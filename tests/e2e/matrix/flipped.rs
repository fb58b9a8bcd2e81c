//! A provider's binary stream in which one bit is another: nobody is told a wrong text, or a good end.

use std::io::Write;
use std::ops::Range;

use serde_json::{Value, json};

use super::cases::asking;
use super::faults::{broken, refused};
use super::world::{Client, How, World};
use crate::admin::admin;
use crate::support::*;

/// What of a frame the flipped bit stands in: the number of the byte for a frame of this length, with headers of this length.
type At = fn(usize, usize) -> usize;

const PLACES: [(&str, At); 8] = [
    ("the frame's length", |_, _| 3),
    ("the headers' length", |_, _| 7),
    ("the prelude's checksum", |_, _| 9),
    ("a header's name", |_, _| 14),
    ("a header's value", |_, headers| 12 + headers - 1),
    ("the payload's first byte", |_, headers| 12 + headers),
    ("the payload's middle", |frame, headers| (12 + headers + frame - 4) / 2),
    ("the frame's checksum", |frame, _| frame - 1),
];

#[test]
fn a_flipped_bit_is_an_error_for_every_caller_and_a_failure_in_the_record() {
    let stream = stream_of_converse();
    let frames = frames(&stream);
    assert!(frames.len() > 800, "{} frames", frames.len());
    // The first frame, of which nothing may have left; one in the middle, and the end and what follows it.
    let chosen = [0, frames.len() - 40, frames.len() - 2, frames.len() - 1];
    let variants: Vec<(String, Vec<u8>)> = chosen
        .iter()
        .flat_map(|&number| PLACES.iter().map(move |(what, at)| (number, *what, *at)))
        .map(|(number, what, at)| {
            (format!("{what} of frame {number}"), flipped(&stream, &frames[number], at))
        })
        .collect();
    let bodies: Vec<Vec<u8>> = variants.iter().map(|(_, body)| body.clone()).collect();
    let upstream = Upstream::start(move |_, seen, up| {
        let rest = seen.head.split("/model/v").nth(1).unwrap_or_default();
        let number: usize = rest.split('/').next().and_then(|digits| digits.parse().ok()).expect("a variant");
        let answer = String::from_utf8_lossy(&stream_answer(b"", &[1])).replace("text/event-stream", KIND);
        let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
        let body = &bodies[number];
        let chunk =
            [format!("{head}\r\n\r\n{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
        let _ = up.write_all(&chunk);
        After::KeepAlive
    });
    let gateway = Gateway::start_with(
        &format!(
            "retry: {{max_retries: 0}}\nproviders:\n  aws: {{type: bedrock, base_url: 'http://127.0.0.1:{}', api_key: k}}\n",
            upstream.port
        ),
        &[],
    );
    let mut failures = Vec::new();
    for client in Client::ALL {
        for (number, (what, _)) in variants.iter().enumerate() {
            let (path, body) = client.ask(&asking("Hello?"), &format!("aws/v{number}"), How::Stream);
            let id = format!("{client:?}-{number}");
            let answer = gateway.call(&post_with(
                &path,
                &format!("x-request-id: {id}\r\n"),
                body.to_string().as_bytes(),
            ));
            let mut found = Vec::new();
            match answer.status {
                200 => broken(client, &answer, &mut found),
                _ => refused(client, 502, &answer, &mut found),
            }
            if answer.text().contains("word") && !text_is_the_providers(&answer.text()) {
                found.push("a text that nobody sent".to_owned());
            }
            failures.extend(found.into_iter().map(|why| format!("{what}, {client:?}: {why:.300}")));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    check_records(&gateway, Client::ALL.len() * variants.len());
}

/// Every exchange is written down as one that failed by its provider's fault.
fn check_records(gateway: &Gateway, count: usize) {
    let log = || admin(gateway, "GET", "/audit/log?limit=1000", Value::Null)["data"].clone();
    eventually("a record of every exchange", || log().as_array().is_some_and(|rows| rows.len() >= count));
    for row in log().as_array().expect("rows") {
        assert_eq!(row["error_code"], "upstream_malformed", "{row}");
        assert_ne!(row["data"]["outcome"], "whole", "{row}");
    }
}

/// A long stream, as the simulated provider writes it.
fn stream_of_converse() -> Vec<u8> {
    let world = World::start(1, "");
    let text = "Hello? [[sim events=900]]";
    let body = json!({"messages": [{"role": "user", "content": [{"text": text}]}]});
    let answer = world.line(0).ask_provider("/model/m/converse-stream", &body);
    assert!(answer.is_whole && answer.status == 200, "{}", answer.head);
    answer.body
}

/// The places of the frames, by the lengths that they state.
fn frames(stream: &[u8]) -> Vec<Range<usize>> {
    let (mut frames, mut at) = (Vec::new(), 0);
    while at < stream.len() {
        let end = at + word(stream, at);
        frames.push(at..end);
        at = end;
    }
    frames
}

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

fn flipped(stream: &[u8], frame: &Range<usize>, at: At) -> Vec<u8> {
    let mut stream = stream.to_vec();
    let headers = word(&stream, frame.start + 4);
    // The lowest bit: of a text it makes another text.
    stream[frame.start + at(frame.len(), headers)] ^= 1;
    stream
}

/// The words of the simulated provider are numbered, whatever stands around them.
fn text_is_the_providers(text: &str) -> bool {
    text.split("word").skip(1).all(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

const KIND: &str = "application/vnd.amazon.eventstream";
