//! Reaching a provider: its addresses, a new connection, and questions of the gateway's own.

use std::future::poll_fn;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use super::Shard;
use super::active::{self, Active, Lookup, Names, Upstream};
use super::attempt::Busy;
use super::credential::Shown;
use super::once::of_malformed;
use super::tokens;
use crate::base::fault::FaultKind;
use crate::base::limits::{BUFFER_BYTES, PRICE_LIST_BYTES_MAX, PRICE_LIST_MS_MAX, TOKEN_ANSWER_BYTES_MAX};
use crate::net::alarm::Alarm;
use crate::net::buffer::Buffer;
use crate::net::conn::Conn;
use crate::net::dial::{self, Tunnel, Way};
use crate::offload::{PriceQuestion, ToOffload, TokenQuestion};
use crate::provider::{Origin, Proxy};
use crate::wire::Step;
use crate::wire::chunked::Chunked;
use crate::wire::head::EndOfHead;
use crate::wire::request::Method;
use crate::wire::response::{ResponseBody, ResponseHead, read_response};
use crate::wire::splice::Edits;
use crate::wire::write::HeadWriter;

/// Opens a connection to a provider: its addresses first, then the dialling.
pub async fn open(shard: &Shard, active: &Active, upstream: &Upstream) -> Result<Conn, FaultKind> {
    let addresses = addresses(shard, active, upstream).await?;
    let provider = &upstream.provider;
    let authority = authority(&provider.origin);
    let way = Way {
        addresses: &addresses,
        tunnel: tunnel(provider.proxy.as_ref(), &authority),
        tls: upstream.tls.as_ref().map(|name| (&active.compiled.client_tls, name)),
        connect_timeout_ms: provider.limits.connect_timeout_ms,
        tls_timeout_ms: provider.limits.tls_timeout_ms,
    };
    dial::dial(&way, &shard.alarms).await
}

/// Host and port, as a proxy is asked for them.
fn authority(origin: &Origin) -> String {
    let (host, port) = (&origin.host, origin.port);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn tunnel<'t>(proxy: Option<&'t Proxy>, authority: &'t str) -> Option<Tunnel<'t>> {
    proxy.map(|proxy| Tunnel { authority, header_lines: proxy.header_lines.reveal() })
}

/// The addresses of a provider. Old ones are used while new ones are looked up; only the first look-up is waited for.
async fn addresses(
    shard: &Shard,
    active: &Active,
    upstream: &Upstream,
) -> Result<Rc<[std::net::SocketAddr]>, FaultKind> {
    let names = &upstream.names;
    let alarm = shard.alarms.alarm();
    alarm.set_after(upstream.provider.limits.connect_timeout_ms);
    poll_fn(|cx| match names.look_up(shard.alarms.now_ms(), active.snapshot().dns_refresh_ms) {
        Lookup::Known { addresses, is_old } => {
            if is_old {
                ask_for(shard, names);
            }
            Poll::Ready(Ok(addresses))
        }
        Lookup::Failed => Poll::Ready(Err(FaultKind::Dns)),
        Lookup::Unknown => {
            ask_for(shard, names);
            alarm.poll_late_listening(cx).map(|()| Err(FaultKind::Dns))
        }
    })
    .await
}

/// Starts a look-up, unless one is under way.
pub fn ask_for(shard: &Shard, names: &Names) {
    names.ask(shard.alarms.now_ms(), || {
        let (host, port) = (names.host.clone(), names.port);
        shard.offload.tell(ToOffload::Resolve { shard: shard.id, host, port })
    });
}

/// One GET to a provider without any client behind it: status and body.
pub async fn get(
    shard: &Shard,
    active: &Active,
    upstream: &Rc<Upstream>,
    target: &str,
    bytes_max: usize,
) -> Result<(u16, Vec<u8>), FaultKind> {
    let token = match upstream.provider.token_source() {
        Some(source) => Some(tokens::wait(shard, source).await.ok_or(FaultKind::NoToken)?),
        None => None,
    };
    let mut conn = open(shard, active, upstream).await?;
    let _busy = Busy::begin(upstream);
    let provider = &upstream.provider;
    let mut out = Vec::new();
    let mut head = HeadWriter::request(&mut out, "GET", &[target.as_bytes()]);
    head.checked_header(b"host", provider.origin.authority.as_bytes());
    head.checked_header(b"accept-encoding", b"identity");
    head.checked_header(b"connection", b"close");
    let credential = &provider.credentials[upstream.next_credential()];
    let shown = Shown::new(credential, token.as_deref(), &Edits::default(), b"", shard.wall_ms());
    shown.write("GET", target.as_bytes(), &mut out);
    HeadWriter::continuing(&mut out).finish();
    ask(shard, &mut conn, &out, bytes_max, OWN_QUESTION_MS_MAX).await
}

/// One GET of a price list: status and body.
pub async fn get_prices(
    shard: &Shard,
    active: &Active,
    question: &PriceQuestion,
) -> Result<(u16, Vec<u8>), FaultKind> {
    let PriceQuestion { source, addresses, .. } = question;
    let timeouts_ms = (source.connect_timeout_ms, source.tls_timeout_ms);
    let mut conn =
        dial_known(shard, active, &source.origin, source.proxy.as_ref(), addresses, timeouts_ms).await?;
    let mut out = Vec::new();
    let mut head = HeadWriter::request(&mut out, "GET", &[source.target.as_bytes()]);
    head.checked_header(b"host", source.origin.authority.as_bytes());
    head.checked_header(b"accept-encoding", b"identity");
    head.checked_header(b"connection", b"close");
    head.ready_lines(source.header_lines.reveal().as_bytes());
    head.finish();
    ask(shard, &mut conn, &out, PRICE_LIST_BYTES_MAX, PRICE_LIST_MS_MAX).await
}

/// One POST of a form to where an access token comes from: status and body.
pub async fn post_form(
    shard: &Shard,
    active: &Active,
    question: &TokenQuestion,
) -> Result<(u16, Vec<u8>), FaultKind> {
    let TokenQuestion { source, addresses, body } = question;
    let timeouts_ms = (source.limits.connect_timeout_ms, source.limits.tls_timeout_ms);
    let mut conn =
        dial_known(shard, active, &source.origin, source.proxy.as_ref(), addresses, timeouts_ms).await?;
    let mut out = Vec::new();
    let mut head = HeadWriter::request(&mut out, "POST", &[source.target.as_bytes()]);
    head.checked_header(b"host", source.origin.authority.as_bytes());
    head.checked_header(b"accept-encoding", b"identity");
    head.checked_header(b"connection", b"close");
    head.checked_header(b"content-type", b"application/x-www-form-urlencoded");
    head.number(b"content-length", body.reveal().len() as u64);
    head.finish();
    out.extend_from_slice(body.reveal().as_bytes());
    ask(shard, &mut conn, &out, TOKEN_ANSWER_BYTES_MAX, OWN_QUESTION_MS_MAX).await
}

/// A connection to a server whose addresses were looked up already; the time for connecting and the one for TLS.
async fn dial_known(
    shard: &Shard,
    active: &Active,
    origin: &Origin,
    proxy: Option<&Proxy>,
    addresses: &[SocketAddr],
    (connect_timeout_ms, tls_timeout_ms): (u64, u64),
) -> Result<Conn, FaultKind> {
    if addresses.is_empty() {
        return Err(FaultKind::Dns);
    }
    let authority = authority(origin);
    let name = origin.tls.then(|| active::server_name(&origin.host));
    let tls = name.as_ref().map(|name| (&active.compiled.client_tls, name));
    let tunnel = tunnel(proxy, &authority);
    let way = Way { addresses, tunnel, tls, connect_timeout_ms, tls_timeout_ms };
    dial::dial(&way, &shard.alarms).await
}

/// Sends a whole request and reads the whole answer, all of it within `ms_max`.
async fn ask(
    shard: &Shard,
    conn: &mut Conn,
    request: &[u8],
    bytes_max: usize,
    ms_max: u64,
) -> Result<(u16, Vec<u8>), FaultKind> {
    let mut question = Question { shard, conn, buffer: Buffer::default(), alarm: shard.alarms.alarm() };
    question.alarm.set_after(ms_max);
    question.send(request).await?;
    let (status, framing) = question.head().await?;
    Ok((status, question.body(framing, bytes_max).await?))
}

/// A question of the gateway's own, on its way.
struct Question<'q> {
    shard: &'q Shard,
    conn: &'q mut Conn,
    buffer: Buffer,
    /// The end of the whole question.
    alarm: Alarm,
}

impl Question<'_> {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), FaultKind> {
        let mut slices = [IoSlice::new(bytes)];
        let mut left = &mut slices[..];
        match dial::within(&self.alarm, |cx| self.conn.poll_send(cx, &mut left)).await {
            None => Err(FaultKind::SendTimeout),
            Some(result) => result.map_err(|_| FaultKind::SendFailed),
        }
    }

    /// Reads the head, which leaves the buffer: status, and how the body ends.
    async fn head(&mut self) -> Result<(u16, ResponseBody), FaultKind> {
        let (mut end, mut looked_at) = (EndOfHead::default(), 0);
        let head_len = loop {
            match end.step(&self.buffer.filled()[looked_at..]) {
                Step::Done { used } => break looked_at + used,
                Step::Bad(bad) => return Err(of_malformed(bad)),
                Step::More => looked_at = self.buffer.len(),
            }
            if !self.more().await? {
                return Err(FaultKind::ClosedBeforeAnswer);
            }
        };
        let mut response = ResponseHead::default();
        read_response(&self.buffer.filled()[..head_len], Method::Get, &mut response).map_err(of_malformed)?;
        self.buffer.consume(head_len);
        Ok((response.status, response.body))
    }

    /// Reads a whole body of at most `bytes_max` bytes.
    async fn body(&mut self, framing: ResponseBody, bytes_max: usize) -> Result<Vec<u8>, FaultKind> {
        let (mut body, mut decoder, mut spans) = (Vec::new(), Chunked::default(), Vec::new());
        loop {
            let here = self.buffer.filled();
            let is_end = match framing {
                ResponseBody::None => true,
                ResponseBody::Chunked => {
                    spans.clear();
                    let step = decoder.step(here, &mut spans);
                    spans.iter().for_each(|span| body.extend_from_slice(span.of(here)));
                    match step {
                        Step::More => false,
                        Step::Done { .. } => true,
                        Step::Bad(bad) => return Err(of_malformed(bad)),
                    }
                }
                ResponseBody::Length(length) => {
                    body.extend_from_slice(here);
                    body.len() as u64 >= length
                }
                ResponseBody::UntilClose => {
                    body.extend_from_slice(here);
                    false
                }
            };
            self.buffer.clear();
            if is_end {
                return Ok(body);
            }
            if body.len() > bytes_max {
                return Err(FaultKind::EventTooLarge);
            }
            if !self.more().await? {
                let is_end = framing == ResponseBody::UntilClose;
                return if is_end { Ok(body) } else { Err(FaultKind::ClosedInAnswer) };
            }
        }
    }

    /// Reads more; false at the end of the connection.
    async fn more(&mut self) -> Result<bool, FaultKind> {
        let Question { shard, conn, buffer, alarm } = self;
        match dial::within(alarm, |cx| conn.poll_fill(cx, &shard.buffers, buffer, BUFFER_BYTES)).await {
            None => Err(FaultKind::FirstByteTimeout),
            Some(Err(_)) => Err(FaultKind::ClosedInAnswer),
            Some(Ok(count)) => Ok(count > 0),
        }
    }
}

/// A question of the gateway's own, from its sending to its answer's end.
const OWN_QUESTION_MS_MAX: u64 = 10_000;
