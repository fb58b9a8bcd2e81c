//! Answers of the gateway's own: refusals, health, models, metrics. Each leaves in one send.

use std::io::IoSlice;

use super::Shard;
use super::client::Client;
use super::work::Work;
use crate::base::fault::FaultKind;
use crate::base::limits::{LINGER_BYTES_MAX, LINGER_MS_MAX};
use crate::base::{Refusal, RefusalKind};
use crate::dialect::endpoint::Grammar;
use crate::dialect::{errors, facts, openai};
use crate::wire::Malformed;
use crate::wire::request::Method;
use crate::wire::write::HeadWriter;

/// An answer of our own.
pub struct Answer<'a> {
    pub status: u16,
    pub content_type: &'a str,
    pub body: &'a [u8],
    /// Further header lines, each ended by CRLF.
    pub header_lines: &'a [u8],
}

impl Answer<'_> {
    /// A JSON answer of status 200.
    pub fn json(body: &[u8]) -> Answer<'_> {
        Answer { status: 200, content_type: "application/json", body, header_lines: b"" }
    }
}

/// Sends an answer to the request in `work`, which says whether the connection goes on.
pub async fn send(
    shard: &Shard,
    client: &mut Client,
    work: &mut Work,
    answer: &Answer<'_>,
    timeout_ms: u64,
) -> Result<(), FaultKind> {
    let Work { request, request_id, grammar, .. } = work;
    let mut out = shard.buffers.lend();
    let mut head = HeadWriter::response(&mut out, answer.status);
    if !answer.content_type.is_empty() {
        head.checked_header(b"content-type", answer.content_type.as_bytes());
    }
    if answer.status != 204 {
        head.number(b"content-length", answer.body.len() as u64);
    }
    write_id(&mut head, Some(*grammar), request_id.as_bytes(), answer.header_lines);
    head.connection(request.version, request.keep_alive);
    head.ready_lines(answer.header_lines);
    head.finish();
    let body = if request.method == Method::Head { b"" } else { answer.body };
    let sent = client.send(&mut [IoSlice::new(&out), IoSlice::new(body)], timeout_ms).await;
    shard.buffers.give_back(out);
    sent
}

/// Writes the request's id, if it has one yet; for callers of Anthropic's dialect also under the name that its SDKs read.
/// An answer that passes untranslated (`None`) has the provider's own of that name, and the lines may have it.
pub fn write_id(head: &mut HeadWriter<'_>, grammar: Option<Grammar>, id: &[u8], header_lines: &[u8]) {
    if id.is_empty() {
        return;
    }
    head.checked_header(b"x-request-id", id);
    let has_own = header_lines.split(|&b| b == b'\n').any(|line| {
        line.get(..OWN_ID.len()).is_some_and(|name| name.eq_ignore_ascii_case(OWN_ID))
            && line[OWN_ID.len()..].starts_with(b":")
    });
    if grammar == Some(Grammar::Messages) && !has_own {
        head.checked_header(OWN_ID, id);
    }
}

const OWN_ID: &[u8] = b"request-id";

/// Sends a refusal in the caller's dialect.
pub async fn refuse(
    shard: &Shard,
    client: &mut Client,
    work: &mut Work,
    refusal: &Refusal,
    timeout_ms: u64,
) -> Result<(), FaultKind> {
    *shard.counters.borrow_mut().refusals.entry(refusal.code).or_default() += 1;
    let body = refusal_body(work, refusal);
    let mut lines = refusal.header_lines.clone();
    let mut head = HeadWriter::continuing(&mut lines);
    if let Some(seconds) = refusal.retry_after_s {
        head.number(b"retry-after", seconds.into());
    }
    if refusal.was_retried {
        head.checked_header(b"x-should-retry", b"false");
    }
    if refusal.status == 401 {
        head.checked_header(b"www-authenticate", b"Bearer");
    }
    if refusal.status == 405
        && let Some(allowed) = &refusal.param
    {
        head.checked_header(b"allow", allowed.as_bytes());
    }
    let answer = Answer {
        status: refusal.status,
        content_type: "application/json",
        body: &body,
        header_lines: &lines,
    };
    send(shard, client, work, &answer, timeout_ms).await
}

/// A refusal as a document of the caller's dialect.
pub fn refusal_body(work: &Work, refusal: &Refusal) -> Vec<u8> {
    let mut body = Vec::new();
    match work.grammar {
        Grammar::Chat | Grammar::Responses => openai::write_error(refusal, &mut body),
        grammar => {
            let id = String::from_utf8_lossy(work.request_id.as_bytes());
            facts::write_error(grammar, &errors::of_refusal(refusal), &id, &mut body);
        }
    }
    body
}

/// Closes a connection on which the client may still be sending: our answer must reach it, and a close with bytes unread
/// would make the kernel throw it away (RFC 9112 §9.6).
pub async fn linger(shard: &Shard, client: &mut Client) {
    client.peer.conn.close_write();
    client.alarm.set_after(LINGER_MS_MAX);
    let mut taken = 0;
    while taken < LINGER_BYTES_MAX {
        client.input.clear();
        match client.fill(shard, crate::base::limits::BUFFER_BYTES).await {
            super::client::Fill::Got(count) => taken += count,
            _ => break,
        }
    }
}

/// The refusal of a request that is no HTTP.
pub fn of_malformed(bad: Malformed) -> Refusal {
    Refusal::new(bad.status(), RefusalKind::InvalidRequest, bad.code(), bad.sentence())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anthropics_sdks_find_the_id_once_under_their_own_name() {
        let check = |grammar: Option<Grammar>, lines: &str, want: &str| {
            let mut out = Vec::new();
            write_id(&mut HeadWriter::continuing(&mut out), grammar, b"1", lines.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), want, "{grammar:?} {lines}");
        };
        let (one, both) = ("x-request-id: 1\r\n", "x-request-id: 1\r\nrequest-id: 1\r\n");
        check(Some(Grammar::Messages), "", both);
        check(Some(Grammar::Messages), "retry-after: 1\r\nx-request-id: a\r\n", both);
        check(Some(Grammar::Messages), "retry-after: 1\r\nRequest-Id: a\r\n", one);
        check(Some(Grammar::Chat), "", one);
        check(None, "", one);
        let mut out = Vec::new();
        write_id(&mut HeadWriter::continuing(&mut out), Some(Grammar::Messages), b"", b"");
        assert!(out.is_empty());
    }
}
