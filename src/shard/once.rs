//! One attempt: a connection, the request out, the head of the answer in. A request body that streams goes out piece by
//! piece; an answer that comes first ends it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::Shard;
use super::active::{Active, Upstream};
use super::attempt::{Answered, Busy};
use super::body::{Body, Inflow};
use super::call::Call;
use super::client::{Client, Gone, Peer};
use super::credential::Shown;
use super::exchange::Stop;
use super::outgoing::{OutFraming, Outgoing};
use super::reach;
use super::tally::Tally;
use super::tokens;
use super::upload;
use super::work::Work;
use crate::base::clock;
use crate::base::fault::{Fault, FaultKind, RetryRule};
use crate::base::limits::{
    BUFFER_BYTES, COPIED_BYTES_MAX, HEAD_BYTES_MAX, INTERIM_ANSWERS_MAX, STALE_MS_MAX,
};
use crate::net::alarm::Alarm;
use crate::net::buffer::Buffer;
use crate::net::conn::Conn;
use crate::offload::Token;
use crate::wire::chunked::{chunk_tail, write_chunk_head};
use crate::wire::head::EndOfHead;
use crate::wire::response::read_response;
use crate::wire::{Malformed, Step};

/// One attempt and all it works with.
pub struct One<'a> {
    pub shard: &'a Shard,
    pub active: &'a Rc<Active>,
    pub client: &'a mut Client,
    pub work: &'a mut Work,
    pub tally: &'a mut Tally,
    pub call: &'a Call,
    pub outgoing: &'a Outgoing,
    /// A pooled connection was stale: this time a new one is opened.
    pub only_fresh: bool,
}

impl One<'_> {
    /// Makes the attempt. `attempts` counts it.
    pub async fn run(&mut self, body: &mut Body, head_len: usize, attempts: u32) -> Result<Answered, Failed> {
        let upstream = self.call.target.upstream.clone();
        let token = self.token(&upstream).await?;
        let busy = Busy::begin(&upstream);
        let pooled = match self.only_fresh {
            true => None,
            false => poll_fn(|cx| Poll::Ready(upstream.pool.take(cx))).await,
        };
        let is_pooled = pooled.is_some();
        let mut conn = match pooled {
            Some(conn) => conn,
            None => Box::new(self.connect(&upstream).await?),
        };
        let mut buffer = Buffer::default();
        let sent_ms = self.shard.alarms.now_ms();
        let sent = self.send(&mut conn, &mut buffer, token.as_deref(), body, head_len).await;
        self.tally.sent();
        let request_is_whole = matches!(sent, Ok(Sent::Whole));
        let read = match sent {
            Ok(_) => self.read_head(&mut conn, &mut buffer).await,
            // The provider may have answered before it closed, as with a body that is too large.
            Err(Failed::Fault(fault)) if fault.kind == FaultKind::SendFailed => {
                self.read_head(&mut conn, &mut buffer).await.map_err(|_| Failed::Fault(fault))
            }
            Err(failed) => Err(failed),
        };
        let is_fresh_close = self.shard.alarms.now_ms().saturating_sub(sent_ms) <= STALE_MS_MAX;
        let may_be_stale = is_pooled && buffer.is_empty() && is_fresh_close && self.call.is_repeatable;
        let head_len = read.map_err(|failed| match failed {
            Failed::Fault(fault) if may_be_stale && closed_on_us(fault.kind) => {
                Failed::Fault(Fault { retry: RetryRule::StaleConnection, ..fault })
            }
            other => other,
        })?;
        self.tally.has_answer();
        let (whole_len, is_silent) = (None, false);
        let mut answered = Answered {
            upstream,
            conn,
            buffer,
            head_len,
            attempts,
            whole_len,
            is_silent,
            request_is_whole,
            token,
            busy,
        };
        if !self.call.is_passthrough {
            self.hold_small(&mut answered).await?;
        }
        Ok(answered)
    }

    /// The access token to show, where the provider wants one: waited for, unless the client leaves first.
    async fn token(&mut self, upstream: &Upstream) -> Result<Option<Arc<Token>>, Failed> {
        let Some(source) = upstream.provider.token_source() else { return Ok(None) };
        let waiting = Box::pin(tokens::wait(self.shard, source));
        let token = self.client.unless_gone(self.shard, waiting).await?;
        token.map(Some).ok_or_else(|| FaultKind::NoToken.fatal().into())
    }

    /// Opens a connection, unless the client leaves first.
    async fn connect(&mut self, upstream: &Rc<Upstream>) -> Result<Conn, Failed> {
        let started_us = clock::monotonic_us();
        // Boxed, as most exchanges find a connection in the pool.
        let opening = Box::pin(reach::open(self.shard, self.active, upstream));
        let connected = self.client.unless_gone(self.shard, opening).await?;
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
        token: Option<&Token>,
        body: &mut Body,
        head_len: usize,
    ) -> Result<Sent, Failed> {
        let upstream = &self.call.target.upstream;
        let idle_ms = upstream.provider.limits.idle_timeout_ms;
        let Client { peer, input, upstream_alarm, .. } = &mut *self.client;
        let head = &input.filled()[..head_len];
        let mut out = self.shard.buffers.lend();
        let edits = &self.work.edits;
        let bytes: &[u8] = match &*body {
            Body::Streaming(inflow) => &inflow.peeked,
            held => held.held(input),
        };
        let at = if self.call.keeps_credential { 0 } else { upstream.next_credential() };
        let credential = &upstream.provider.credentials[at];
        let shown = Shown::new(credential, token, edits, bytes, self.shard.wall_ms());
        self.outgoing.write_head(head, self.work, self.call, &shown, &mut out);
        let mut sending = Sending { shard: self.shard, peer, alarm: upstream_alarm, conn, buffer, idle_ms };
        let is_streaming = matches!(&*body, Body::Streaming(_));
        if !is_streaming && bytes.len() <= COPIED_BYTES_MAX {
            // One copy and one plain send cost less than many pieces.
            edits.append_to(bytes, &mut out);
            self.tally.upstream_out(out.len());
            let sent = sending.all(&mut [IoSlice::new(&out)]).await;
            self.shard.buffers.give_back(out);
            return sent;
        }
        let is_chunked = self.outgoing.framing == OutFraming::Chunked;
        let is_last = !matches!(&*body, Body::Streaming(inflow) if !inflow.is_ended());
        let mut pieces = Vec::with_capacity(PIECES_USUAL);
        edits.pieces(bytes, &mut pieces);
        let size: usize = pieces.iter().map(|piece| piece.len()).sum();
        if is_chunked {
            if size > 0 {
                write_chunk_head(size, &mut out);
            }
            pieces.push(chunk_tail(size, is_last));
        }
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(pieces.len() + 1);
        slices.push(IoSlice::new(&out));
        slices.extend(pieces.iter().map(|piece| IoSlice::new(piece)));
        self.tally.upstream_out(slices.iter().map(|slice| slice.len()).sum());
        let sent = sending.all(&mut slices).await;
        self.shard.buffers.give_back(out);
        match (sent?, body) {
            (Sent::Whole, Body::Streaming(inflow)) if !inflow.is_ended() => {
                Box::pin(self.stream_body(conn, buffer, inflow, head_len)).await
            }
            (sent, _) => Ok(sent),
        }
    }

    /// Passes on the rest of a body, piece by piece, as fast as the provider takes it.
    async fn stream_body(
        &mut self,
        conn: &mut Conn,
        buffer: &mut Buffer,
        inflow: &mut Inflow,
        head_len: usize,
    ) -> Result<Sent, Failed> {
        inflow.has_flowed = true;
        let mut piece = Vec::with_capacity(BUFFER_BYTES);
        loop {
            self.client.take_turn().await;
            // What the watch for the client's leaving read on comes first.
            if !self.client.take_ahead(self.shard)
                && let Sent::Early = self.await_more(conn, buffer).await?
            {
                return Ok(Sent::Early);
            }
            piece.clear();
            inflow.take(self.client, head_len, &mut piece).map_err(|_| FaultKind::ClientBody.fatal())?;
            let is_ended = inflow.is_ended();
            if let Some(lines) = &mut inflow.lines {
                lines.pass(&mut piece, is_ended).map_err(Stop::refuse_and_close)?;
                lines.count(self.shard, &self.active.snapshot().server)?;
            }
            if let Some(owner) = &self.call.owner {
                upload::check_lines(self.shard, owner, inflow).await.map_err(closing)?;
            }
            let sent = self.send_piece(conn, buffer, &piece, inflow.is_ended()).await?;
            if inflow.is_ended() || sent == Sent::Early {
                return Ok(sent);
            }
        }
    }

    /// Waits for more of the client's body, or for an early answer: the rest of the body is then not wanted.
    async fn await_more(&mut self, conn: &mut Conn, buffer: &mut Buffer) -> Result<Sent, Failed> {
        let (client, shard) = (&mut *self.client, self.shard);
        client.alarm.set_after(self.active.snapshot().server.body_timeout_ms);
        let event = poll_fn(|cx| {
            if let Poll::Ready(result) = conn.poll_fill(cx, &shard.buffers, buffer, BUFFER_BYTES) {
                return Poll::Ready(Upload::Answer(result));
            }
            let filled = client.peer.conn.poll_fill(cx, &shard.buffers, &mut client.input, BUFFER_BYTES);
            if let Poll::Ready(result) = filled {
                return Poll::Ready(Upload::More(result));
            }
            client.waited();
            client.alarm.poll_late(cx).map(|()| Upload::Late)
        })
        .await;
        client.alarm.clear();
        match event {
            Upload::Answer(Ok(count)) if count > 0 => Ok(Sent::Early),
            Upload::Answer(_) => Err(FaultKind::SendFailed.fatal().into()),
            Upload::Late => Err(FaultKind::ClientBody.fatal().into()),
            Upload::More(Ok(0) | Err(_)) => Err(Failed::Gone),
            Upload::More(Ok(_)) => Ok(Sent::Whole),
        }
    }

    async fn send_piece(
        &mut self,
        conn: &mut Conn,
        buffer: &mut Buffer,
        piece: &[u8],
        is_last: bool,
    ) -> Result<Sent, Failed> {
        let mut chunk_head = Vec::new();
        let mut end: &[u8] = b"";
        if self.outgoing.framing == OutFraming::Chunked {
            if !piece.is_empty() {
                write_chunk_head(piece.len(), &mut chunk_head);
            }
            end = chunk_tail(piece.len(), is_last);
        }
        self.tally.upstream_out(chunk_head.len() + piece.len() + end.len());
        let Client { peer, upstream_alarm, .. } = &mut *self.client;
        let idle_ms = self.call.target.upstream.provider.limits.idle_timeout_ms;
        let mut sending = Sending { shard: self.shard, peer, alarm: upstream_alarm, conn, buffer, idle_ms };
        let mut slices = [IoSlice::new(&chunk_head), IoSlice::new(piece), IoSlice::new(end)];
        sending.all(&mut slices).await.map_err(|failed| match failed {
            // Part of the body has flowed: nothing is sent again.
            Failed::Fault(fault) => fault.kind.fatal().into(),
            other => other,
        })
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

    async fn read_one_head(&mut self, conn: &mut Conn, buffer: &mut Buffer) -> Result<usize, Failed> {
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
}

/// The rest of the body is still to come, where a request would be looked for.
fn closing(stop: Stop) -> Stop {
    match stop {
        Stop::Refuse { refusal, .. } => Stop::Refuse { refusal, closes: true },
        other => other,
    }
}

/// How a single attempt failed.
pub enum Failed {
    Fault(Fault),
    /// The client's own body ends the exchange.
    Stopped(Stop),
    Gone,
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Failed {
        Failed::Stopped(stop)
    }
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

/// How much of the request the provider took.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Whole,
    /// It answered first and did not wait for the rest.
    Early,
}

/// A send to the upstream, with all that may end it.
struct Sending<'s> {
    shard: &'s Shard,
    peer: &'s mut Peer,
    alarm: &'s Alarm,
    conn: &'s mut Conn,
    /// Takes the first bytes of an early answer.
    buffer: &'s mut Buffer,
    /// How long the upstream may take nothing.
    idle_ms: u64,
}

impl Sending<'_> {
    /// Sends all slices, unless an answer, the client's leaving or a standstill comes first.
    async fn all(&mut self, slices: &mut [IoSlice<'_>]) -> Result<Sent, Failed> {
        let mut left = slices;
        let mut left_bytes = usize::MAX;
        self.alarm.set_after(self.idle_ms);
        poll_fn(|cx| {
            if let Poll::Ready(result) = self.conn.poll_send(cx, &mut left) {
                let sent = result.map(|()| Sent::Whole);
                return Poll::Ready(sent.map_err(|_| FaultKind::SendFailed.retryable().into()));
            }
            match self.conn.poll_fill(cx, &self.shard.buffers, self.buffer, BUFFER_BYTES) {
                Poll::Ready(Ok(count)) if count > 0 => return Poll::Ready(Ok(Sent::Early)),
                Poll::Ready(_) => return Poll::Ready(Err(FaultKind::SendFailed.retryable().into())),
                Poll::Pending => {}
            }
            if self.peer.poll_gone(cx, &self.shard.buffers).is_ready() {
                return Poll::Ready(Err(Failed::Gone));
            }
            let now_left: usize = left.iter().map(|slice| slice.len()).sum();
            if now_left < left_bytes {
                // It took something: the time begins anew.
                left_bytes = now_left;
                self.alarm.set_after(self.idle_ms);
            }
            self.alarm.poll_late(cx).map(|()| Err(FaultKind::SendTimeout.fatal().into()))
        })
        .await
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
        client.waited();
        if client.peer.poll_gone(cx, &shard.buffers).is_ready() {
            return Poll::Ready(Turn::Gone);
        }
        client.upstream_alarm.poll_late(cx).map(|()| Turn::Late)
    })
    .await
}

/// Whether an answer is a stream of server-sent events.
pub fn is_event_stream(content_type: &[u8]) -> bool {
    const KINDS: [&[u8]; 2] = [b"text/event-stream", b"application/vnd.amazon.eventstream"];
    let is = |kind: &[u8]| {
        content_type.len() >= kind.len() && content_type[..kind.len()].eq_ignore_ascii_case(kind)
    };
    KINDS.into_iter().any(is)
}

/// What a broken answer of an upstream is called.
pub fn of_malformed(bad: Malformed) -> FaultKind {
    match bad {
        Malformed::HeadTooLarge
        | Malformed::LineTooLong
        | Malformed::TooManyHeaders
        | Malformed::ConnectionTooLong => FaultKind::HeadTooLarge,
        _ => FaultKind::Malformed,
    }
}

/// The faults with which an upstream's closing of an idle connection shows.
fn closed_on_us(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::SendFailed | FaultKind::ClosedBeforeAnswer)
}

/// Room for the pieces of a body with the usual edits.
const PIECES_USUAL: usize = 8;
