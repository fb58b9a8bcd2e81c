//! The request as it goes to a provider: its line, the headers that pass, the credential, the framing. What names the
//! caller or this hop stays behind.

use super::body::Body;
use super::call::Call;
use super::credential::Shown;
use super::work::Work;
use crate::provider::Provider;
use crate::wire::head::{Headers, Known};
use crate::wire::request::Method;
use crate::wire::write::HeadWriter;

/// What every attempt sends, but for the credential. The request target is `Work::target`.
pub struct Outgoing {
    pub method: Method,
    pub framing: OutFraming,
    /// The body is not the client's, and is of this type.
    pub content_type: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutFraming {
    None,
    Length(u64),
    Chunked,
}

impl Outgoing {
    /// `held` is the length of a body that is held.
    pub fn new(work: &Work, body: &Body, held: usize) -> Outgoing {
        Outgoing { method: work.request.method, framing: framing(work, body, held), content_type: None }
    }

    /// Writes the whole head of one attempt. `head` is the client's.
    pub fn write_head(&self, head: &[u8], work: &Work, call: &Call, shown: &Shown<'_>, out: &mut Vec<u8>) {
        let upstream = &call.target.upstream;
        let provider = &upstream.provider;
        let headers = &work.request.headers;
        let mut writer = HeadWriter::request(out, self.method.as_str(), &[&work.target]);
        writer.ready_lines(&upstream.first_lines);
        writer.checked_header(b"x-request-id", work.request_id.as_bytes());
        writer.number(b"x-ringway-hops", work.hops + 1);
        for field in &headers.fields {
            let name = field.name.of(head);
            let passes = match call.is_passthrough {
                true => passes_through(field.known, name),
                false => {
                    is_forwarded(field.known, name)
                        || (!call.is_translated() && is_listed(&provider.forward_headers, name))
                }
            };
            let is_own = || provider.own_headers.iter().any(|own| is_read_as(name, own.as_bytes()));
            let is_replaced = self.content_type.is_some() && field.known == Known::ContentType;
            if passes && !is_replaced && !is_own() && !headers.named_by_connection(head, name) {
                writer.header_of(head, field);
            }
        }
        if let Some(content_type) = &self.content_type {
            writer.checked_header(b"content-type", content_type.as_bytes());
        }
        let is_given = |name: &str| headers.get(head, name).is_some() && !call.is_translated();
        for (name, value) in provider.default_headers.iter().filter(|(name, _)| !is_given(name)) {
            writer.checked_header(name.as_bytes(), value.as_bytes());
        }
        shown.write(self.method.as_str(), &work.target, out);
        let mut writer = HeadWriter::continuing(out);
        match self.framing {
            OutFraming::None => {}
            OutFraming::Length(length) => writer.number(b"content-length", length),
            OutFraming::Chunked => writer.checked_header(b"transfer-encoding", b"chunked"),
        }
        writer.finish();
    }
}

/// The header lines that every request to a provider begins with.
pub fn first_lines(provider: &Provider) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut writer = HeadWriter::continuing(&mut lines);
    writer.checked_header(b"host", provider.origin.authority.as_bytes());
    writer.checked_header(b"accept-encoding", b"identity");
    lines
}

fn framing(work: &Work, body: &Body, held: usize) -> OutFraming {
    match body {
        Body::None if matches!(work.request.method, Method::Post | Method::Put | Method::Patch) => {
            OutFraming::Length(0)
        }
        Body::None => OutFraming::None,
        Body::Held(_) | Body::Decoded(_) => OutFraming::Length(work.edits.body_len(held) as u64),
        Body::Streaming(inflow) => match inflow.length.and_then(|length| usize::try_from(length).ok()) {
            Some(length) => OutFraming::Length(work.edits.body_len(length) as u64),
            None => OutFraming::Chunked,
        },
    }
}

/// Whether sending the request a second time can do no harm on a path that we do not know (RFC 9110 §9.2.2), or the client
/// has said so.
pub fn is_repeatable(method: Method, headers: &Headers, head: &[u8]) -> bool {
    !matches!(method, Method::Post | Method::Patch) || headers.get(head, "idempotency-key").is_some()
}

/// The headers that go to a provider on the endpoints that we know.
fn is_forwarded(known: Known, name: &[u8]) -> bool {
    const OTHERS: [&str; 4] = ["idempotency-key", "traceparent", "tracestate", "x-client-request-id"];
    match known {
        Known::Accept | Known::ContentType | Known::UserAgent => true,
        Known::Other => OTHERS.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes())),
        _ => false,
    }
}

fn is_listed(list: &[String], name: &[u8]) -> bool {
    list.iter().any(|listed| name.eq_ignore_ascii_case(listed.as_bytes()))
}

/// Whether a server may take one name for the other: some read an underscore as a dash, as CGI's variables made usual.
fn is_read_as(name: &[u8], other: &[u8]) -> bool {
    let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == other.len() && name.iter().map(fold).eq(other.iter().map(fold))
}

/// The headers that go along on paths that we do not know: all but those of this hop, those that name the caller, and
/// those that rewrite the path for some servers.
fn passes_through(known: Known, name: &[u8]) -> bool {
    const OURS: [&str; 8] = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "via",
        "x-original-url",
        "x-rewrite-url",
    ];
    let is_ours = known.names_caller()
        || known.is_hop_by_hop()
        || matches!(known, Known::Host | Known::Expect | Known::AcceptEncoding)
        || matches!(known, Known::XRequestId | Known::XRingwayHops);
    let is_disguised = || {
        let dashed: Vec<u8> = name.iter().map(|&b| if b == b'_' { b'-' } else { b }).collect();
        dashed != name && Known::of(&dashed) != Known::Other
    };
    let is_listed = OURS.iter().any(|ours| is_read_as(name, ours.as_bytes()));
    !is_ours && !is_listed && (!name.contains(&b'_') || !is_disguised())
}
