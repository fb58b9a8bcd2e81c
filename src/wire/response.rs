//! A response head, from bytes to places, or the rule it breaks. As strict as with requests: what a broken upstream
//! means is never guessed.

use super::Malformed;
use super::head::{Headers, Known, Version, from_httparse, header_lines, place, table, text_end};
use super::request::Method;
use crate::base::Span;

/// How the body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseBody {
    #[default]
    None,
    Length(u64),
    Chunked,
    /// At the end of the connection; a cut cannot be told from the end.
    UntilClose,
}

/// A response head as places in its bytes.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    pub status: u16,
    pub version: Version,
    pub reason: Span,
    pub body: ResponseBody,
    pub keep_alive: bool,
    pub headers: Headers,
}

/// Reads a whole head, the answer `to` a request of this method. Interim answers (1xx) have no body; the caller reads on.
pub fn read_response(head: &[u8], to: Method, out: &mut ResponseHead) -> Result<(), Malformed> {
    if quick(head, out).is_none() {
        thorough(head, out)?;
    }
    out.headers.check_connection()?;
    out.body = body(head, to, out)?;
    // A body where none may be would be taken for the next answer.
    let has_forbidden_body = matches!(out.status, 204)
        && (out.headers.count(Known::TransferEncoding) > 0
            || out.headers.content_length(head)?.is_some_and(|length| length > 0));
    out.keep_alive = out.body != ResponseBody::UntilClose
        && !has_forbidden_body
        && match out.version {
            Version::V11 => !out.headers.connection_has(head, "close"),
            Version::V10 => out.headers.connection_has(head, "keep-alive"),
        };
    Ok(())
}

/// Takes a usual head apart. `None` says nothing about the head: [`thorough`], its slow twin, judges it.
fn quick(head: &[u8], out: &mut ResponseHead) -> Option<()> {
    let [hundreds, tens, ones] = *head.strip_prefix(b"HTTP/1.1 ")?.first_chunk::<3>()?;
    let is_status = matches!(hundreds, b'1'..=b'5') && tens.is_ascii_digit() && ones.is_ascii_digit();
    let reason_at = b"HTTP/1.1 200 ".len();
    if !is_status || head.get(reason_at - 1) != Some(&b' ') {
        return None;
    }
    let reason_end = text_end::<b' '>(head, reason_at)?;
    if head.get(reason_end..reason_end + 2)? != b"\r\n" {
        return None;
    }
    let digit = |byte: u8| u16::from(byte - b'0');
    out.status = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
    out.version = Version::V11;
    out.reason = if reason_at < reason_end { Span::new(reason_at, reason_end) } else { Span::default() };
    header_lines(head, reason_end + 2, &mut out.headers)
}

/// Takes a head apart, or says which rule it breaks.
#[cold]
fn thorough(head: &[u8], out: &mut ResponseHead) -> Result<(), Malformed> {
    let mut table = table();
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, head, &mut table) {
        Ok(httparse::Status::Complete(used)) if used == head.len() => {}
        Ok(_) => return Err(Malformed::StatusLine),
        Err(error) => return Err(from_httparse(error, Malformed::StatusLine)),
    }
    if !head.starts_with(b"HTTP/1.") {
        return Err(Malformed::StatusLine);
    }
    out.version = Version::from_minor(parsed.version)?;
    out.status = parsed.code.filter(|code| (100..=599).contains(code)).ok_or(Malformed::StatusLine)?;
    out.reason = place(head, parsed.reason.unwrap_or_default().as_bytes());
    out.headers.take_over(head, parsed.headers)
}

/// Whether the fast way through a head finds what the slow one does, or leaves it the judgement. For tests and fuzz targets.
pub(super) fn ways_agree(head: &[u8]) -> bool {
    let (mut fast, mut slow) = (ResponseHead::default(), ResponseHead::default());
    let parts = |head: &ResponseHead| (head.status, head.version, head.reason, head.headers.clone());
    quick(head, &mut fast).is_none() || (thorough(head, &mut slow).is_ok() && parts(&fast) == parts(&slow))
}

/// RFC 9112 §6.3, with the ambiguous cases refused instead of repaired.
fn body(head: &[u8], to: Method, out: &ResponseHead) -> Result<ResponseBody, Malformed> {
    if out.headers.count(Known::TransferEncoding) > 0 && out.headers.count(Known::ContentLength) > 0 {
        return Err(Malformed::LengthAndEncoding);
    }
    let length = out.headers.content_length(head)?;
    let is_chunked = out.headers.is_chunked(head)?;
    if is_chunked && out.version == Version::V10 {
        return Err(Malformed::TransferEncoding);
    }
    if out.status < 200 || matches!(out.status, 204 | 304) || to == Method::Head {
        return Ok(ResponseBody::None);
    }
    Ok(match (is_chunked, length) {
        (true, _) => ResponseBody::Chunked,
        (false, Some(0)) => ResponseBody::None,
        (false, Some(length)) => ResponseBody::Length(length),
        (false, None) => ResponseBody::UntilClose,
    })
}

#[cfg(test)]
mod tests;
