//! A request head, from bytes to places, or the rule it breaks. httparse finds the parts; the strictness is ours.

use super::Malformed;
use super::head::{Headers, Known, Version, decimal, from_httparse, header_lines, place, table, text_end};
use crate::base::Span;

/// The methods that are served. CONNECT, TRACE and unknown ones are refused with 405.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        }
    }

    /// Methods are case-sensitive (RFC 9110 §9.1).
    fn of(name: &str) -> Result<Method, Malformed> {
        const ALL: [Method; 7] = [
            Method::Post,
            Method::Get,
            Method::Head,
            Method::Put,
            Method::Patch,
            Method::Delete,
            Method::Options,
        ];
        ALL.into_iter().find(|method| method.as_str() == name).ok_or(Malformed::Method)
    }
}

/// How long the body is. There is no "until close" in requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestBody {
    #[default]
    None,
    Length(u64),
    Chunked,
}

/// A request head as places in its bytes.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    pub method: Method,
    pub version: Version,
    pub target: Span,
    /// The path without the query; never empty but for `OPTIONS *`, where it is `*`.
    pub path: Span,
    /// The query without its `?`; empty when there is none.
    pub query: Span,
    pub host: Span,
    pub body: RequestBody,
    pub keep_alive: bool,
    pub expects_continue: bool,
    pub headers: Headers,
}

impl RequestHead {
    /// Becomes the same as the other one, in the memory that it has.
    pub fn copy_from(&mut self, other: &RequestHead) {
        let mut headers = std::mem::take(&mut self.headers);
        headers.copy_from(&other.headers);
        *self = RequestHead { headers, ..*other };
    }
}

/// The body that a Content-Length of these digits announces; `None` where they are none.
pub fn body_of_length(digits: &[u8]) -> Option<RequestBody> {
    Some(match decimal(digits)? {
        0 => RequestBody::None,
        length => RequestBody::Length(length),
    })
}

/// Reads a whole head: the bytes that [`super::head::EndOfHead`] delimited, blank line included. After an error the
/// connection must be closed: where the next request begins is not known.
pub fn read_request(head: &[u8], out: &mut RequestHead) -> Result<(), Malformed> {
    if quick(head, out).is_none() {
        thorough(head, out)?;
    }
    out.headers.check_connection()?;
    out.host = host(head, out)?;
    split_target(head, out)?;
    out.body = body(head, out)?;
    out.keep_alive = match out.version {
        Version::V11 => !out.headers.connection_has(head, "close"),
        Version::V10 => {
            out.headers.connection_has(head, "keep-alive") && !out.headers.connection_has(head, "close")
        }
    };
    out.expects_continue = expects_continue(head, out)?;
    Ok(())
}

/// Takes a usual head apart. `None` says nothing about the head: [`thorough`], its slow twin, judges it.
fn quick(head: &[u8], out: &mut RequestHead) -> Option<()> {
    let (method, target_at) = match head {
        [b'P', b'O', b'S', b'T', b' ', ..] => (Method::Post, 5),
        [b'G', b'E', b'T', b' ', ..] => (Method::Get, 4),
        _ => return None,
    };
    let target_end = text_end::<b'!'>(head, target_at).filter(|&end| end > target_at)?;
    let version = head[target_end..].first_chunk::<11>()?;
    out.version = match version {
        b" HTTP/1.1\r\n" => Version::V11,
        b" HTTP/1.0\r\n" => Version::V10,
        _ => return None,
    };
    out.method = method;
    out.target = Span::new(target_at, target_end);
    header_lines(head, target_end + version.len(), &mut out.headers)
}

/// Takes a head apart, or says which rule it breaks.
#[cold]
fn thorough(head: &[u8], out: &mut RequestHead) -> Result<(), Malformed> {
    let mut table = table();
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut table) {
        Ok(httparse::Status::Complete(used)) if used == head.len() => {}
        Ok(_) => return Err(Malformed::RequestLine),
        Err(error) => return Err(from_httparse(error, Malformed::RequestLine)),
    }
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    refuse_loose_request_line(head, method, target)?;
    out.version = Version::from_minor(parsed.version)?;
    out.method = Method::of(method)?;
    out.target = place(head, target.as_bytes());
    out.headers.take_over(head, parsed.headers)
}

/// Whether the fast way through a head finds what the slow one does, or leaves it the judgement. For tests and fuzz targets.
pub(super) fn ways_agree(head: &[u8]) -> bool {
    let (mut fast, mut slow) = (RequestHead::default(), RequestHead::default());
    let parts = |head: &RequestHead| (head.method, head.version, head.target, head.headers.clone());
    quick(head, &mut fast).is_none() || (thorough(head, &mut slow).is_ok() && parts(&fast) == parts(&slow))
}

/// httparse skips empty lines before the request line and is loose about the spaces in it; we are not.
fn refuse_loose_request_line(head: &[u8], method: &str, target: &str) -> Result<(), Malformed> {
    let line_bytes = method.len() + 1 + target.len() + 1 + "HTTP/1.1\r\n".len();
    let line = head.get(..line_bytes).ok_or(Malformed::RequestLine)?;
    let (start, end) = line.split_at(method.len() + 1 + target.len());
    let is_exact = start.starts_with(method.as_bytes())
        && start[method.len()] == b' '
        && end.starts_with(b" HTTP/1.")
        && end.ends_with(b"\r\n");
    if is_exact { Ok(()) } else { Err(Malformed::RequestLine) }
}

/// The value of the one Host header: `host[:port]`, nothing else.
fn host(head: &[u8], out: &RequestHead) -> Result<Span, Malformed> {
    match (out.headers.count(Known::Host), out.version) {
        (0, Version::V11) => return Err(Malformed::HostMissing),
        (0, Version::V10) => return Ok(Span::default()),
        (1, _) => {}
        _ => return Err(Malformed::HostTwice),
    }
    let span = out.headers.find(Known::Host).unwrap_or_default();
    if is_authority(span.of(head)) { Ok(span) } else { Err(Malformed::Host) }
}

/// `host[:port]` with a registered name, an IPv4 address or a bracketed IPv6 address (RFC 3986 §3.2.2), no user part.
fn is_authority(bytes: &[u8]) -> bool {
    let is_host_byte = |b: &u8| IS_HOST_BYTE[usize::from(*b)];
    let (host_len, port) = match bytes.first() {
        Some(b'[') => {
            let Some(end) = memchr::memchr(b']', bytes) else { return false };
            if !bytes[1..end].iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')) {
                return false;
            }
            (end - 1, &bytes[end + 1..])
        }
        _ => {
            let end = bytes.iter().position(|b| !is_host_byte(b)).unwrap_or(bytes.len());
            (end, &bytes[end..])
        }
    };
    let is_port =
        port.is_empty() || (port[0] == b':' && port.len() <= 6 && port[1..].iter().all(u8::is_ascii_digit));
    host_len > 0 && is_port
}

/// Splits the target into path and query. The absolute form must name the Host's authority (RFC 9112 §3.2.2).
fn split_target(head: &[u8], out: &mut RequestHead) -> Result<(), Malformed> {
    let target = out.target.of(head);
    let is_in_target = |&b: &u8| IS_TARGET_BYTE[usize::from(b)];
    let mark_at = target.iter().position(|b| !is_in_target(b) || *b == b'?').unwrap_or(target.len());
    if !target[mark_at..].iter().all(is_in_target) {
        return Err(Malformed::Target);
    }
    let path_at = match target {
        [b'/', ..] => 0,
        b"*" if out.method == Method::Options => 0,
        _ => absolute_path_at(target, out.host.of(head))?,
    };
    let start = out.target.start as usize;
    out.path = Span::new(start + path_at, start + mark_at);
    out.query = Span::new(start + target.len().min(mark_at + 1), start + target.len());
    Ok(())
}

fn absolute_path_at(target: &[u8], host: &[u8]) -> Result<usize, Malformed> {
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme));
    let authority_at = scheme.ok_or(Malformed::Target)?.len();
    let rest = &target[authority_at..];
    let end = memchr::memchr2(b'/', b'?', rest).filter(|&at| rest[at] == b'/').ok_or(Malformed::Target)?;
    if rest[..end].eq_ignore_ascii_case(host) { Ok(authority_at + end) } else { Err(Malformed::TargetHost) }
}

fn body(head: &[u8], out: &RequestHead) -> Result<RequestBody, Malformed> {
    let has_encoding = out.headers.count(Known::TransferEncoding) > 0;
    if has_encoding && out.headers.count(Known::ContentLength) > 0 {
        return Err(Malformed::LengthAndEncoding);
    }
    if has_encoding && out.version == Version::V10 {
        return Err(Malformed::TransferEncoding);
    }
    if out.headers.is_chunked(head)? {
        return Ok(RequestBody::Chunked);
    }
    Ok(match out.headers.content_length(head)? {
        None | Some(0) => RequestBody::None,
        Some(length) => RequestBody::Length(length),
    })
}

/// RFC 9110 §10.1.1: an HTTP/1.0 client cannot expect anything.
fn expects_continue(head: &[u8], out: &RequestHead) -> Result<bool, Malformed> {
    let Some(value) = out.headers.find(Known::Expect) else { return Ok(false) };
    if !value.of(head).eq_ignore_ascii_case(b"100-continue") {
        return Err(Malformed::Expectation);
    }
    Ok(out.version == Version::V11)
}

/// Bytes that may stand in a host that is no bracketed address.
const IS_HOST_BYTE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x7F {
        let is_mark =
            matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')');
        table[byte as usize] =
            byte.is_ascii_alphanumeric() || is_mark || matches!(byte, b'*' | b'+' | b';' | b'=');
        byte += 1;
    }
    table
};
/// Bytes that may stand in a target: printable ASCII without those that no URI may hold.
const IS_TARGET_BYTE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7F {
        table[byte] = !matches!(byte as u8, b'#' | b'"' | b'<' | b'>' | b'\\');
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests;
