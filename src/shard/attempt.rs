//! The only loop that asks a provider again. It ends with an answer of which no byte has reached the client, or with the
//! reason why there is none.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::Poll;

use super::Shard;
use super::active::{Active, Lookup, Names, Upstream};
use super::body::Body;
use super::client::{Client, Gone};
use super::exchange::{Call, Stop};
use super::tally::Tally;
use super::work::Work;
use crate::base::Refusal;
use crate::base::clock;
use crate::base::fault::{Fault, FaultKind, RetryRule};
use crate::base::limits::{ANSWER_HELD_BYTES_MAX, BUFFER_BYTES, HEAD_BYTES_MAX, INTERIM_ANSWERS_MAX};
use crate::net::buffer::Buffer;
use crate::net::conn::Conn;
use crate::net::dial::{self, Tunnel, Way};
use crate::offload::ToOffload;
use crate::policy::retry;
use crate::wire::chunked::{Chunked, LAST_CHUNK, write_chunk_head};
use crate::wire::head::{EndOfHead, Headers, Known};
use crate::wire::request::Method;
use crate::wire::response::{ResponseBody, read_response};
use crate::wire::write::HeadWriter;
use crate::wire::{Malformed, Step};

/// The request as every attempt sends it: its head but for the credential, and how long its body is.
pub struct Outgoing {
    method: Method,
    /// Request line and common headers.
    first: Vec<u8>,
    framing: OutFraming,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutFraming {
    None,
    Length(u64),
    Chunked,
}

/// An answer whose head is read and whose first bytes are in the buffer. `work.response` holds the places of its head.
pub struct Answered {
    pub upstream: Rc<Upstream>,
    pub conn: Conn,
    pub buffer: Buffer,
    pub head_len: usize,
    /// Attempts that were made, this one included.
    pub attempts: u32,
    busy: Busy,
}

/// A connection that is in use, in the count of its provider.
struct Busy {
    upstream: Rc<Upstream>,
}

impl Busy {
    fn begin(upstream: &Rc<Upstream>) -> Busy {
        upstream.busy.set(upstream.busy.get() + 1);
        Busy { upstream: upstream.clone() }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.upstream.busy.set(self.upstream.busy.get() - 1);
    }
}

/// How a single attempt failed.
enum Failed {
    Fault(Fault),
    Gone,
}

impl From<Gone> for Failed {
    fn from(_: Gone) -> Failed {
        Failed::Gone
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Failed {
        Failed::Fault(fault)
    }
}

/// Asks the provider until there is an answer that need not be asked for again, or no further attempt is allowed.
#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each borrowed on its own")]
pub async fn attempt(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    call: &Call,
    outgoing: &Outgoing,
    body: &mut Body,
    head_len: usize,
) -> Result<Answered, Stop> {
    let upstream = &call.target.upstream;
    let rules = &upstream.provider.retry;
    upstream.budget.earn(rules.budget_ratio_milli);
    let (mut attempts, mut only_fresh) = (0, false);
    loop {
        attempts += 1;
        let mut one = One { shard, active, client, work, tally, call, outgoing, only_fresh };
        let result = one.run(body, head_len, attempts).await;
        let can_repeat = !matches!(body, Body::Streaming(inflow) if inflow.has_flowed);
        let pause_ms = match result {
            Err(Failed::Gone) => return Err(Stop::Gone),
            Ok(answered) => {
                let wished_ms = wished_ms(work, &answered);
                let is_retried = rules.statuses.contains(&work.response.status) && !call.is_passthrough;
                let is_too_long = wished_ms.is_some_and(|ms| ms > rules.retry_after_ms_max);
                let allowed = is_retried && can_repeat && !is_too_long && attempts <= rules.count_max;
                if !allowed || !tally.may_retry(shard, upstream) {
                    return Ok(answered);
                }
                tally.retried_after_status();
                discard(shard, answered);
                wished_ms
            }
            Err(Failed::Fault(fault)) => {
                tally.fault(fault.kind);
                if fault.retry == RetryRule::StaleConnection && can_repeat {
                    tally.retried_stale();
                    (attempts, only_fresh) = (attempts - 1, true);
                    continue;
                }
                let allowed = fault.retry != RetryRule::Never && can_repeat && attempts <= rules.count_max;
                if !allowed || !tally.may_retry(shard, upstream) {
                    return Err(refused(fault, attempts));
                }
                tally.retried_after_fault();
                None
            }
        };
        let backoff_ms = retry::backoff_ms(
            attempts,
            rules.initial_backoff_ms,
            rules.max_backoff_ms,
            rules.backoff_factor_milli,
            rules.jitter_milli,
            shard.ids.random(),
        );
        pause(shard, client, pause_ms.unwrap_or(backoff_ms)).await?;
        tally.begins_again();
    }
}

/// The refusal after the last attempt.
fn refused(fault: Fault, attempts: u32) -> Stop {
    let mut refusal = Refusal::from_fault(fault);
    refusal.was_retried = attempts > 1;
    refusal.into()
}

/// What the provider's answer says about asking again.
fn wished_ms(work: &Work, answered: &Answered) -> Option<u64> {
    let head = &answered.buffer.filled()[..answered.head_len];
    let value = |known: Known| work.response.headers.find(known).map(|span| span.of(head));
    retry::wished_ms(value(Known::RetryAfterMs), value(Known::RetryAfter))
}

async fn pause(shard: &Shard, client: &mut Client, ms: u64) -> Result<(), Stop> {
    let alarm = shard.alarms.alarm();
    alarm.set_after(ms);
    client.unless_gone(shard, alarm.late()).await.map_err(|_| Stop::Gone)
}

/// Ends an answer that nobody wants. Its connection is kept only when the whole answer is already here.
pub fn discard(shard: &Shard, mut answered: Answered) {
    answered.buffer.clear();
    shard.buffers.take_back(&mut answered.buffer);
}

impl Answered {
    /// The answer was read to its end and nothing follows it: the connection may serve the next request.
    pub fn keep(self, shard: &Shard) {
        let Answered { upstream, conn, mut buffer, busy, .. } = self;
        drop(busy);
        shard.buffers.take_back(&mut buffer);
        let limit = upstream.provider.limits.pool_idle_count_max;
        // The host may have moved meanwhile.
        if upstream.names.is_current(&conn) {
            upstream.pool.put(conn, shard.alarms.now_ms(), limit);
        }
    }
}

/// One attempt and all it works with.
struct One<'a> {
    shard: &'a Shard,
    active: &'a Rc<Active>,
    client: &'a mut Client,
    work: &'a mut Work,
    tally: &'a mut Tally,
    call: &'a Call,
    outgoing: &'a Outgoing,
    /// A pooled connection was stale: this time a new one is opened.
    only_fresh: bool,
}

impl One<'_> {
    async fn run(&mut self, body: &mut Body, head_len: usize, attempts: u32) -> Result<Answered, Failed> {
        let upstream = self.call.target.upstream.clone();
        let busy = Busy::begin(&upstream);
        let pooled = match self.only_fresh {
            true => None,
            false => upstream.pool.take(),
        };
        let is_pooled = pooled.is_some();
        let mut conn = match pooled {
            Some(conn) => conn,
            None => self.connect(&upstream).await?,
        };
        let mut buffer = Buffer::default();
        let sent = self.send(&mut conn, &mut buffer, body, head_len).await;
        let read = match sent {
            Ok(()) => {
                self.tally.sent();
                self.read_head(&mut conn, &mut buffer).await
            }
            // The provider may have answered before it closed, as with a body that is too large.
            Err(Failed::Fault(fault)) if fault.kind == FaultKind::SendFailed => {
                self.read_head(&mut conn, &mut buffer).await.map_err(|_| Failed::Fault(fault))
            }
            Err(failed) => Err(failed),
        };
        let nothing_answered = buffer.is_empty();
        let head_len = read.map_err(|failed| match failed {
            Failed::Fault(fault) if is_pooled && nothing_answered && closed_on_us(fault.kind) => {
                Failed::Fault(Fault { retry: RetryRule::StaleConnection, ..fault })
            }
            other => other,
        })?;
        let mut answered = Answered { upstream, conn, buffer, head_len, attempts, busy };
        self.hold_small(&mut answered).await?;
        Ok(answered)
    }

    /// Opens a connection, unless the client leaves first.
    async fn connect(&mut self, upstream: &Rc<Upstream>) -> Result<Conn, Failed> {
        let started_us = clock::monotonic_us();
        let connected = self.client.unless_gone(self.shard, open(self.shard, self.active, upstream)).await?;
        self.tally.connected(clock::monotonic_us() - started_us);
        connected.map_err(|kind| match kind {
            FaultKind::TlsCertificate => kind.fatal().into(),
            kind => kind.retryable().into(),
        })
    }

    /// Sends head and body. A body that streams goes on until it ends or an answer comes first.
    async fn send(
        &mut self,
        conn: &mut Conn,
        buffer: &mut Buffer,
        body: &mut Body,
        head_len: usize,
    ) -> Result<(), Failed> {
        let limits = &self.call.target.upstream.provider.limits;
        let credential = self.call.target.upstream.next_credential();
        let Work { out, edits, .. } = &mut *self.work;
        self.outgoing.write_head(&self.call.target.upstream.provider.credentials[credential], out);
        let bytes: &[u8] = match &*body {
            Body::Streaming(inflow) => &inflow.peeked,
            held => held.held(self.client),
        };
        let alarm = &self.client.upstream_alarm;
        let is_plain = !matches!(&*body, Body::Streaming(_));
        if is_plain && bytes.len() <= COPIED_BYTES_MAX {
            // One copy and one plain send cost less than many pieces.
            edits.append_to(bytes, out);
            send_all(conn, &mut [IoSlice::new(out)], alarm, limits.idle_timeout_ms).await?;
            self.tally.upstream_out(out.len());
            return Ok(());
        }
        let mut pieces = Vec::with_capacity(8);
        edits.pieces(bytes, &mut pieces);
        if self.outgoing.framing == OutFraming::Chunked {
            let size: usize = pieces.iter().map(|piece| piece.len()).sum();
            if size > 0 {
                write_chunk_head(size, out);
                pieces.push(b"\r\n");
            }
        }
        let ends_chunked = matches!(&*body, Body::Streaming(i) if i.is_ended())
            && self.outgoing.framing == OutFraming::Chunked;
        if ends_chunked {
            pieces.push(LAST_CHUNK);
        }
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(pieces.len() + 1);
        slices.push(IoSlice::new(out));
        slices.extend(pieces.iter().map(|piece| IoSlice::new(piece)));
        let count: usize = slices.iter().map(|slice| slice.len()).sum();
        send_all(conn, &mut slices, alarm, limits.idle_timeout_ms).await?;
        self.tally.upstream_out(count);
        match body {
            Body::Streaming(inflow) if !inflow.is_ended() => {
                self.stream_body(conn, buffer, inflow, head_len).await
            }
            _ => Ok(()),
        }
    }

    /// Passes on the rest of a body, piece by piece, as fast as the provider takes it.
    async fn stream_body(
        &mut self,
        conn: &mut Conn,
        buffer: &mut Buffer,
        inflow: &mut super::body::Inflow,
        head_len: usize,
    ) -> Result<(), Failed> {
        let server = &self.active.snapshot().server;
        let alarm = self.shard.alarms.alarm();
        inflow.has_flowed = true;
        let mut piece = Vec::with_capacity(BUFFER_BYTES);
        while !inflow.is_ended() {
            let (client, shard) = (&mut *self.client, self.shard);
            if client.take_ahead(shard) {
                // The watch for the client's leaving read on: those bytes come first.
                self.pass_on(conn, &mut piece, inflow, head_len, &alarm).await?;
                continue;
            }
            self.client.alarm.set_after(server.body_timeout_ms);
            let client = &mut *self.client;
            let event = poll_fn(|cx| {
                if let Poll::Ready(result) = conn.poll_fill(cx, &shard.buffers, buffer, BUFFER_BYTES) {
                    return Poll::Ready(Upload::Answer(result));
                }
                let filled = client.conn.poll_fill(cx, &shard.buffers, &mut client.input, BUFFER_BYTES);
                if let Poll::Ready(result) = filled {
                    return Poll::Ready(Upload::More(result));
                }
                client.alarm.poll_late(cx).map(|()| Upload::Late)
            })
            .await;
            self.client.alarm.clear();
            match event {
                // An early answer ends the upload; the rest of the body is not wanted.
                Upload::Answer(Ok(count)) if count > 0 => return Ok(()),
                Upload::Answer(_) => return Err(FaultKind::SendFailed.fatal().into()),
                Upload::Late => return Err(FaultKind::ClientBody.fatal().into()),
                Upload::More(Ok(0) | Err(_)) => return Err(Failed::Gone),
                Upload::More(Ok(_)) => {}
            }
            self.pass_on(conn, &mut piece, inflow, head_len, &alarm).await?;
        }
        Ok(())
    }

    /// Passes on what the client's input holds of the body. `piece` is memory to work with.
    async fn pass_on(
        &mut self,
        conn: &mut Conn,
        piece: &mut Vec<u8>,
        inflow: &mut super::body::Inflow,
        head_len: usize,
        alarm: &crate::net::alarm::Alarm,
    ) -> Result<(), Failed> {
        let idle_ms = self.call.target.upstream.provider.limits.idle_timeout_ms;
        piece.clear();
        inflow.take(self.client, head_len, piece).map_err(|_| FaultKind::ClientBody.fatal())?;
        self.send_piece(conn, piece, inflow.is_ended(), alarm, idle_ms).await
    }

    async fn send_piece(
        &mut self,
        conn: &mut Conn,
        piece: &[u8],
        is_last: bool,
        alarm: &crate::net::alarm::Alarm,
        idle_ms: u64,
    ) -> Result<(), Failed> {
        let is_chunked = self.outgoing.framing == OutFraming::Chunked;
        let mut chunk_head = Vec::new();
        if is_chunked && !piece.is_empty() {
            write_chunk_head(piece.len(), &mut chunk_head);
        }
        let end: &[u8] = match (is_chunked, piece.is_empty(), is_last) {
            (false, ..) | (true, true, false) => b"",
            (true, false, false) => b"\r\n",
            (true, true, true) => LAST_CHUNK,
            (true, false, true) => b"\r\n0\r\n\r\n",
        };
        let mut slices = [IoSlice::new(&chunk_head), IoSlice::new(piece), IoSlice::new(end)];
        send_all(conn, &mut slices, alarm, idle_ms).await.map_err(|fault| fault.kind.fatal())?;
        self.tally.upstream_out(chunk_head.len() + piece.len() + end.len());
        Ok(())
    }

    /// Reads the head of the final answer, past interim ones. Gives its length; the buffer begins with it.
    async fn read_head(&mut self, conn: &mut Conn, buffer: &mut Buffer) -> Result<usize, Failed> {
        let limits = &self.call.target.upstream.provider.limits;
        self.client.upstream_alarm.set_after(limits.first_byte_timeout_ms);
        for _ in 0..INTERIM_ANSWERS_MAX {
            let head_len = self.read_one_head(conn, buffer).await?;
            let head = &buffer.filled()[..head_len];
            read_response(head, self.outgoing.method, &mut self.work.response)
                .map_err(|bad| of_malformed(bad).retryable())?;
            match self.work.response.status {
                // Nobody asked for another protocol.
                101 => return Err(FaultKind::Malformed.retryable().into()),
                100..=199 => buffer.consume(head_len),
                _ => return Ok(head_len),
            }
            self.shard.buffers.equip(buffer);
        }
        Err(FaultKind::Malformed.retryable().into())
    }

    async fn read_one_head(
        &mut self,
        conn: &mut Conn,
        buffer: &mut Buffer,
    ) -> Result<usize, Failed> {
        let (mut end, mut looked_at) = (EndOfHead::default(), 0);
        loop {
            match end.step(&buffer.filled()[looked_at..]) {
                Step::Done { used } => return Ok(looked_at + used),
                Step::Bad(bad) => return Err(of_malformed(bad).retryable().into()),
                Step::More => looked_at = buffer.len(),
            }
            let room = BUFFER_BYTES.min(HEAD_BYTES_MAX + 1 - looked_at);
            match fill(self.shard, self.client, conn, buffer, room).await {
                Turn::Bytes(Ok(count)) if count > 0 => self.tally.upstream_in(count),
                Turn::Bytes(_) => return Err(FaultKind::ClosedBeforeAnswer.retryable().into()),
                Turn::Gone => return Err(Failed::Gone),
                Turn::Late => return Err(FaultKind::FirstByteTimeout.fatal().into()),
            }
        }
    }

    /// Waits for the rest of an answer that is small and no stream: a cut in it can then still be told, or tried again.
    async fn hold_small(&mut self, answered: &mut Answered) -> Result<(), Failed> {
        let response = &self.work.response;
        let head = &answered.buffer.filled()[..answered.head_len];
        let content_type = response.headers.find(Known::ContentType).unwrap_or_default();
        if is_event_stream(content_type.of(head)) {
            return Ok(());
        }
        let end = match response.body {
            ResponseBody::None => return Ok(()),
            ResponseBody::Length(length) if length > ANSWER_HELD_BYTES_MAX as u64 => return Ok(()),
            ResponseBody::Length(length) => Some(answered.head_len + length as usize),
            ResponseBody::Chunked | ResponseBody::UntilClose => None,
        };
        let is_chunked = response.body == ResponseBody::Chunked;
        let (mut decoder, mut looked_at) = (Chunked::default(), answered.head_len);
        let idle_ms = answered.upstream.provider.limits.idle_timeout_ms;
        loop {
            if is_chunked {
                self.work.spans.clear();
                match decoder.step(&answered.buffer.filled()[looked_at..], &mut self.work.spans) {
                    Step::Done { .. } => return Ok(()),
                    Step::Bad(bad) => return Err(of_malformed(bad).retryable().into()),
                    Step::More => looked_at = answered.buffer.len(),
                }
            }
            let held = answered.buffer.len() - answered.head_len;
            if end.is_some_and(|end| answered.buffer.len() >= end) || held >= ANSWER_HELD_BYTES_MAX {
                return Ok(());
            }
            self.client.upstream_alarm.set_after(idle_ms);
            let room = end.map_or(BUFFER_BYTES, |end| end - answered.buffer.len()).max(1);
            match fill(self.shard, self.client, &mut answered.conn, &mut answered.buffer, room).await
            {
                Turn::Bytes(Ok(count)) if count > 0 => self.tally.upstream_in(count),
                // Without a length the end is the end; the relay judges whether it is a good one.
                Turn::Bytes(Ok(_)) if self.work.response.body == ResponseBody::UntilClose => return Ok(()),
                Turn::Bytes(_) => return Err(FaultKind::ClosedInAnswer.retryable().into()),
                Turn::Gone => return Err(Failed::Gone),
                Turn::Late => return Err(FaultKind::IdleTimeout.fatal().into()),
            }
        }
    }
}

/// What happens first while a body is passed on.
enum Upload {
    Answer(io::Result<usize>),
    More(io::Result<usize>),
    Late,
}

/// What happens first while an upstream is waited for.
pub enum Turn {
    Bytes(io::Result<usize>),
    Gone,
    Late,
}

/// Waits for bytes of the upstream; the client's leaving and the upstream's deadline end the wait.
pub async fn fill(
    shard: &Shard,
    client: &mut Client,
    conn: &mut Conn,
    buffer: &mut Buffer,
    room: usize,
) -> Turn {
    poll_fn(|cx| {
        if let Poll::Ready(result) = conn.poll_fill(cx, &shard.buffers, buffer, room) {
            return Poll::Ready(Turn::Bytes(result));
        }
        if client.poll_gone(cx, shard).is_ready() {
            return Poll::Ready(Turn::Gone);
        }
        client.upstream_alarm.poll_late(cx).map(|()| Turn::Late)
    })
    .await
}

/// Sends all of it to the upstream.
async fn send_all(
    conn: &mut Conn,
    slices: &mut [IoSlice<'_>],
    alarm: &crate::net::alarm::Alarm,
    timeout_ms: u64,
) -> Result<(), Fault> {
    let mut left = slices;
    alarm.set_after(timeout_ms);
    poll_fn(|cx| match conn.poll_send(cx, &mut left) {
        Poll::Ready(result) => Poll::Ready(result.map_err(|_| FaultKind::SendFailed.retryable())),
        Poll::Pending => alarm.poll_late(cx).map(|()| Err(FaultKind::IdleTimeout.fatal())),
    })
    .await
}

/// Opens a connection to a provider: its addresses first, then the dialling.
async fn open(shard: &Shard, active: &Active, upstream: &Upstream) -> Result<Conn, FaultKind> {
    let addresses = addresses(shard, active, upstream).await?;
    let provider = &upstream.provider;
    let (host, port) = (&provider.origin.host, provider.origin.port);
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let tunnel = provider
        .proxy
        .as_ref()
        .map(|proxy| Tunnel { authority: &authority, header_lines: proxy.header_lines.reveal() });
    let way = Way {
        addresses: &addresses,
        tunnel,
        tls: upstream.tls.as_ref().map(|name| (&active.compiled.client_tls, name)),
        connect_timeout_ms: provider.limits.connect_timeout_ms,
        tls_timeout_ms: provider.limits.tls_timeout_ms,
    };
    dial::dial(&way, &shard.alarms).await
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
            shard.wait(cx);
            alarm.poll_late(cx).map(|()| Err(FaultKind::Dns))
        }
    })
    .await
}

/// Starts a look-up, unless one runs.
pub fn ask_for(shard: &Shard, names: &Names) {
    if names.ask(shard.alarms.now_ms()) {
        let (host, port) = (names.host.clone(), names.port);
        shard.offload.tell(ToOffload::Resolve { shard: shard.id, host, port });
    }
}

impl Outgoing {
    /// Writes what is the same in every attempt.
    pub fn write(head: &[u8], work: &Work, call: &Call, target: &[u8], body: &Body, held: usize) -> Outgoing {
        let provider = &call.target.upstream.provider;
        let request = &work.request;
        let framing = match body {
            Body::None if matches!(request.method, Method::Post | Method::Put | Method::Patch) => {
                OutFraming::Length(0)
            }
            Body::None => OutFraming::None,
            Body::Held(_) | Body::Decoded(_) => OutFraming::Length(work.edits.body_len(held) as u64),
            Body::Streaming(inflow) => match inflow.length.and_then(|length| usize::try_from(length).ok()) {
                Some(length) => OutFraming::Length(work.edits.body_len(length) as u64),
                None => OutFraming::Chunked,
            },
        };
        let mut first = Vec::with_capacity(512);
        let mut writer = HeadWriter::request(&mut first, request.method.as_str(), &[target]);
        writer.checked_header(b"host", provider.origin.authority.as_bytes());
        writer.checked_header(b"accept-encoding", b"identity");
        writer.checked_header(b"x-request-id", work.request_id.as_bytes());
        for field in &request.headers.fields {
            let name = field.name.of(head);
            let passes = match call.is_passthrough {
                true => passes_through(field.known, name),
                false => is_forwarded(field.known, name) || is_listed(&provider.forward_headers, name),
            };
            if passes && !named_by_connection(&request.headers, head, name) {
                writer.checked_header(name, field.value.of(head));
            }
        }
        Outgoing { method: request.method, first, framing }
    }

    fn write_head(&self, credential: &crate::provider::Credential, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.first);
        let mut writer = HeadWriter::continuing(out);
        writer.ready_lines(credential.header_lines.reveal().as_bytes());
        match self.framing {
            OutFraming::None => {}
            OutFraming::Length(length) => writer.number(b"content-length", length),
            OutFraming::Chunked => writer.checked_header(b"transfer-encoding", b"chunked"),
        }
        writer.finish();
    }
}

fn named_by_connection(headers: &Headers, head: &[u8], name: &[u8]) -> bool {
    headers.named_by_connection(head, name)
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

/// The headers that go along on paths that we do not know: all but those of this hop, and those that name the caller.
fn passes_through(known: Known, name: &[u8]) -> bool {
    const OURS: [&str; 6] =
        ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"];
    let is_ours = matches!(
        known,
        Known::Host
            | Known::Authorization
            | Known::XApiKey
            | Known::ApiKey
            | Known::XGoogApiKey
            | Known::Cookie
            | Known::Expect
            | Known::AcceptEncoding
            | Known::XRequestId
    );
    !is_ours && !known.is_hop_by_hop() && !OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}

/// Whether an answer is a stream of server-sent events.
pub fn is_event_stream(content_type: &[u8]) -> bool {
    const KIND: &[u8] = b"text/event-stream";
    content_type.len() >= KIND.len() && content_type[..KIND.len()].eq_ignore_ascii_case(KIND)
}

/// What a broken answer of an upstream is called.
pub fn of_malformed(bad: Malformed) -> FaultKind {
    match bad {
        Malformed::HeadTooLarge | Malformed::LineTooLong | Malformed::TooManyHeaders => {
            FaultKind::HeadTooLarge
        }
        _ => FaultKind::Malformed,
    }
}

/// The faults with which an upstream's closing of an idle connection shows.
fn closed_on_us(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::SendFailed | FaultKind::ClosedBeforeAnswer)
}

/// One GET to a provider without any client behind it: status and body. For questions of the gateway's own.
pub async fn get(
    shard: &Shard,
    active: &Active,
    upstream: &Rc<Upstream>,
    target: &str,
    bytes_max: usize,
) -> Result<(u16, Vec<u8>), FaultKind> {
    let mut conn = open(shard, active, upstream).await?;
    let _busy = Busy::begin(upstream);
    let provider = &upstream.provider;
    let mut out = Vec::new();
    let mut head = HeadWriter::request(&mut out, "GET", &[target.as_bytes()]);
    head.checked_header(b"host", provider.origin.authority.as_bytes());
    head.checked_header(b"accept-encoding", b"identity");
    head.checked_header(b"connection", b"close");
    head.ready_lines(provider.credentials[upstream.next_credential()].header_lines.reveal().as_bytes());
    head.finish();
    let alarm = shard.alarms.alarm();
    send_all(&mut conn, &mut [IoSlice::new(&out)], &alarm, OWN_QUESTION_MS_MAX)
        .await
        .map_err(|fault| fault.kind)?;
    alarm.set_after(OWN_QUESTION_MS_MAX);
    let mut buffer = Buffer::default();
    let (mut end, mut looked_at) = (EndOfHead::default(), 0);
    let head_len = loop {
        match end.step(&buffer.filled()[looked_at..]) {
            Step::Done { used } => break looked_at + used,
            Step::Bad(bad) => return Err(of_malformed(bad)),
            Step::More => looked_at = buffer.len(),
        }
        if !more(shard, &mut conn, &mut buffer, &alarm).await? {
            return Err(FaultKind::ClosedBeforeAnswer);
        }
    };
    let mut response = crate::wire::response::ResponseHead::default();
    read_response(&buffer.filled()[..head_len], Method::Get, &mut response).map_err(of_malformed)?;
    let body = read_body(shard, &mut conn, &mut buffer, head_len, response.body, bytes_max, &alarm).await?;
    Ok((response.status, body))
}

/// Reads a whole body of at most `bytes_max` bytes.
async fn read_body(
    shard: &Shard,
    conn: &mut Conn,
    buffer: &mut Buffer,
    head_len: usize,
    framing: ResponseBody,
    bytes_max: usize,
    alarm: &crate::net::alarm::Alarm,
) -> Result<Vec<u8>, FaultKind> {
    buffer.consume(head_len);
    let (mut body, mut decoder, mut spans) = (Vec::new(), Chunked::default(), Vec::new());
    loop {
        let here = buffer.filled();
        let is_end = match framing {
            ResponseBody::None => true,
            ResponseBody::Length(length) => {
                body.extend_from_slice(here);
                body.len() as u64 >= length
            }
            ResponseBody::UntilClose => {
                body.extend_from_slice(here);
                false
            }
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
        };
        buffer.clear();
        if is_end {
            return Ok(body);
        }
        if body.len() > bytes_max {
            return Err(FaultKind::EventTooLarge);
        }
        if !more(shard, conn, buffer, alarm).await? {
            let is_end = framing == ResponseBody::UntilClose;
            return if is_end { Ok(body) } else { Err(FaultKind::ClosedInAnswer) };
        }
    }
}

/// Reads more of an own question's answer; false at the end of the connection.
async fn more(
    shard: &Shard,
    conn: &mut Conn,
    buffer: &mut Buffer,
    alarm: &crate::net::alarm::Alarm,
) -> Result<bool, FaultKind> {
    match dial::within(alarm, |cx| conn.poll_fill(cx, &shard.buffers, buffer, BUFFER_BYTES)).await {
        None => Err(FaultKind::FirstByteTimeout),
        Some(Err(_)) => Err(FaultKind::ClosedInAnswer),
        Some(Ok(count)) => Ok(count > 0),
    }
}

/// A request body up to this size is copied behind its head.
const COPIED_BYTES_MAX: usize = 8 * 1024;
/// A question of the gateway's own, from its sending to its answer's end.
const OWN_QUESTION_MS_MAX: u64 = 10_000;
