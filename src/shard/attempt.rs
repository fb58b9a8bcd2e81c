//! The only loop that asks a provider again. It ends with an answer of which no byte has reached the client, or with the
//! reason why there is none.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::Poll;

use super::Shard;
use super::active::{Active, Upstream};
use super::body::{Body, Inflow};
use super::client::{Client, Gone, Peer};
use super::exchange::{Call, Stop};
use super::outgoing::{OutFraming, Outgoing};
use super::reach;
use super::tally::Tally;
use super::work::Work;
use crate::base::Refusal;
use crate::base::clock;
use crate::base::fault::{Fault, FaultKind, RetryRule};
use crate::base::limits::{
    ANSWER_HELD_BYTES_MAX, BUFFER_BYTES, COPIED_BYTES_MAX, HEAD_BYTES_MAX, INTERIM_ANSWERS_MAX, STALE_MS_MAX,
};
use crate::net::alarm::Alarm;
use crate::net::buffer::Buffer;
use crate::net::conn::Conn;
use crate::policy::retry;
use crate::wire::chunked::{Chunked, chunk_tail, write_chunk_head};
use crate::wire::head::{EndOfHead, Known};
use crate::wire::response::{ResponseBody, read_response};
use crate::wire::{Malformed, Step};

/// An answer whose head is read and whose first bytes are in the buffer. `work.response` holds the places of its head.
pub struct Answered {
    pub upstream: Rc<Upstream>,
    pub conn: Conn,
    pub buffer: Buffer,
    pub head_len: usize,
    /// Attempts that were made, this one included.
    pub attempts: u32,
    /// The length of head and body, when all of it is in the buffer.
    whole_len: Option<usize>,
    /// The provider has the whole request. Otherwise what goes over the connection next would be taken for its rest.
    request_is_whole: bool,
    busy: Busy,
}

/// A connection that is in use, in the count of its provider.
pub struct Busy {
    upstream: Rc<Upstream>,
}

impl Busy {
    pub fn begin(upstream: &Rc<Upstream>) -> Busy {
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

/// What follows an attempt.
enum Verdict {
    Answer(Answered),
    /// Once more, after a pause when the provider or our own rules ask for one.
    Again {
        pause_ms: Option<u64>,
    },
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
    let rules = &call.target.upstream.provider.retry;
    call.target.upstream.budget.earn(rules.budget_ratio_milli);
    let (mut attempts, mut only_fresh) = (0, false);
    loop {
        attempts += 1;
        let mut one = One { shard, active, client, work, tally, call, outgoing, only_fresh };
        let result = one.run(body, head_len, attempts).await;
        let can_repeat = !matches!(body, Body::Streaming(inflow) if inflow.has_flowed);
        let verdict = match result {
            Err(Failed::Gone) => return Err(Stop::Gone),
            Ok(answered) => after_answer(shard, work, tally, call, answered, can_repeat),
            Err(Failed::Fault(fault)) if fault.retry == RetryRule::StaleConnection && can_repeat => {
                tally.fault(fault.kind);
                tally.retried_stale();
                (attempts, only_fresh) = (attempts - 1, true);
                continue;
            }
            Err(Failed::Fault(fault)) => after_fault(shard, tally, call, fault, can_repeat, attempts)?,
        };
        match verdict {
            Verdict::Answer(answered) => return Ok(answered),
            Verdict::Again { pause_ms } => {
                let backoff_ms = backoff_ms(call, attempts, shard.ids.random());
                pause(shard, client, pause_ms.unwrap_or(backoff_ms)).await?;
                tally.begins_again();
            }
        }
    }
}

fn backoff_ms(call: &Call, attempts: u32, random: u64) -> u64 {
    let rules = &call.target.upstream.provider.retry;
    let (initial_ms, max_ms) = (rules.initial_backoff_ms, rules.max_backoff_ms);
    retry::backoff_ms(attempts, initial_ms, max_ms, rules.backoff_factor_milli, rules.jitter_milli, random)
}

/// Whether the provider's answer is the one, by its status, its own wish, and what retries are left.
fn after_answer(
    shard: &Shard,
    work: &Work,
    tally: &mut Tally,
    call: &Call,
    answered: Answered,
    can_repeat: bool,
) -> Verdict {
    let rules = &call.target.upstream.provider.retry;
    let head = &answered.buffer.filled()[..answered.head_len];
    let value = |known: Known| work.response.headers.find(known).map(|span| span.of(head));
    let pause_ms = retry::wished_ms(value(Known::RetryAfterMs), value(Known::RetryAfter), shard.wall_ms());
    let status = work.response.status;
    let is_retried = match value(Known::XShouldRetry) {
        Some(b"true") => status >= 400,
        Some(b"false") => false,
        _ => rules.statuses.contains(&status),
    };
    let is_too_long = pause_ms.is_some_and(|ms| ms > rules.retry_after_ms_max);
    let has_tries = answered.attempts <= rules.count_max;
    let allowed = is_retried && !call.is_passthrough && can_repeat && !is_too_long && has_tries;
    if !allowed || !tally.may_retry(shard, &call.target.upstream) {
        return Verdict::Answer(answered);
    }
    tally.retried_after_status();
    discard(shard, work, answered);
    Verdict::Again { pause_ms }
}

/// Whether a fault may be followed by another attempt; the refusal when not.
fn after_fault(
    shard: &Shard,
    tally: &mut Tally,
    call: &Call,
    fault: Fault,
    can_repeat: bool,
    attempts: u32,
) -> Result<Verdict, Stop> {
    tally.fault(fault.kind);
    let count_max = call.target.upstream.provider.retry.count_max;
    let is_harmless = call.is_repeatable || fault.kind.is_before_sending();
    let allowed = fault.retry != RetryRule::Never && can_repeat && is_harmless && attempts <= count_max;
    if !allowed || !tally.may_retry(shard, &call.target.upstream) {
        let mut refusal = Refusal::from_fault(fault);
        refusal.was_retried = attempts > 1;
        return Err(refusal.into());
    }
    tally.retried_after_fault();
    Ok(Verdict::Again { pause_ms: None })
}

async fn pause(shard: &Shard, client: &mut Client, ms: u64) -> Result<(), Stop> {
    let alarm = shard.alarms.alarm();
    alarm.set_after(ms);
    client.unless_gone(shard, alarm.late()).await.map_err(|_| Stop::Gone)
}

/// Ends an answer that nobody wants. Its connection is kept when the whole answer is already here.
pub fn discard(shard: &Shard, work: &Work, mut answered: Answered) {
    if let Some(length) = answered.whole_len {
        answered.buffer.consume(length);
        if work.response.keep_alive && answered.buffer.is_empty() {
            return answered.keep(shard);
        }
    }
    answered.buffer.clear();
    shard.buffers.take_back(&mut answered.buffer);
}

impl Answered {
    /// The answer was read to its end and nothing follows it: the connection may serve the next request, if the provider
    /// has all of this one.
    pub fn keep(self, shard: &Shard) {
        let Answered { upstream, conn, mut buffer, request_is_whole, busy, .. } = self;
        drop(busy);
        shard.buffers.take_back(&mut buffer);
        if request_is_whole {
            let limit = upstream.provider.limits.pool_idle_count_max;
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
        let pooled = if self.only_fresh { None } else { upstream.pool.take() };
        let is_pooled = pooled.is_some();
        let mut conn = match pooled {
            Some(conn) => conn,
            None => self.connect(&upstream).await?,
        };
        let mut buffer = Buffer::default();
        let sent_ms = self.shard.alarms.now_ms();
        let sent = self.send(&mut conn, &mut buffer, body, head_len).await;
        self.tally.sent();
        let read = match sent {
            Ok(_) => self.read_head(&mut conn, &mut buffer).await,
            // The provider may have answered before it closed, as with a body that is too large.
            Err(Failed::Fault(fault)) if fault.kind == FaultKind::SendFailed => {
                self.read_head(&mut conn, &mut buffer).await.map_err(|_| Failed::Fault(fault))
            }
            Err(Failed::Fault(fault)) => Err(Failed::Fault(fault)),
            Err(Failed::Gone) => Err(Failed::Gone),
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
        let request_is_whole = matches!(sent, Ok(Sent::Whole));
        let mut answered =
            Answered { upstream, conn, buffer, head_len, attempts, whole_len: None, request_is_whole, busy };
        if !self.call.is_passthrough {
            self.hold_small(&mut answered).await?;
        }
        Ok(answered)
    }

    /// Opens a connection, unless the client leaves first.
    async fn connect(&mut self, upstream: &Rc<Upstream>) -> Result<Conn, Failed> {
        let started_us = clock::monotonic_us();
        let opening = reach::open(self.shard, self.active, upstream);
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
        body: &mut Body,
        head_len: usize,
    ) -> Result<Sent, Failed> {
        let upstream = &self.call.target.upstream;
        let idle_ms = upstream.provider.limits.idle_timeout_ms;
        let Work { out, edits, .. } = &mut *self.work;
        self.outgoing.write_head(&upstream.provider.credentials[upstream.next_credential()], out);
        let Client { peer, input, upstream_alarm, .. } = &mut *self.client;
        let mut sending = Sending { shard: self.shard, peer, alarm: upstream_alarm, conn, buffer, idle_ms };
        let bytes: &[u8] = match &*body {
            Body::Streaming(inflow) => &inflow.peeked,
            held => held.held(input),
        };
        let is_streaming = matches!(&*body, Body::Streaming(_));
        if !is_streaming && bytes.len() <= COPIED_BYTES_MAX {
            // One copy and one plain send cost less than many pieces.
            edits.append_to(bytes, out);
            self.tally.upstream_out(out.len());
            return sending.all(&mut [IoSlice::new(out)]).await;
        }
        let is_chunked = self.outgoing.framing == OutFraming::Chunked;
        let is_last = !matches!(&*body, Body::Streaming(inflow) if !inflow.is_ended());
        let mut pieces = Vec::with_capacity(PIECES_USUAL);
        edits.pieces(bytes, &mut pieces);
        let size: usize = pieces.iter().map(|piece| piece.len()).sum();
        if is_chunked {
            if size > 0 {
                write_chunk_head(size, out);
            }
            pieces.push(chunk_tail(size, is_last));
        }
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(pieces.len() + 1);
        slices.push(IoSlice::new(out));
        slices.extend(pieces.iter().map(|piece| IoSlice::new(piece)));
        self.tally.upstream_out(slices.iter().map(|slice| slice.len()).sum());
        match (sending.all(&mut slices).await?, body) {
            (Sent::Whole, Body::Streaming(inflow)) if !inflow.is_ended() => {
                self.stream_body(conn, buffer, inflow, head_len).await
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
            Failed::Gone => Failed::Gone,
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

    /// Waits for the rest of an answer that is small and no stream: a cut in it can then still be told, or tried again.
    async fn hold_small(&mut self, answered: &mut Answered) -> Result<(), Failed> {
        let response = &self.work.response;
        let (head_len, framing) = (answered.head_len, response.body);
        let content_type = response.headers.find(Known::ContentType).unwrap_or_default();
        let is_stream = is_event_stream(content_type.of(&answered.buffer.filled()[..head_len]));
        if is_stream || matches!(framing, ResponseBody::Length(l) if l > ANSWER_HELD_BYTES_MAX as u64) {
            return Ok(());
        }
        let (mut decoder, mut looked_at) = (Chunked::default(), head_len);
        let idle_ms = answered.upstream.provider.limits.idle_timeout_ms;
        loop {
            answered.whole_len = match framing {
                ResponseBody::None => Some(head_len),
                ResponseBody::Length(length) => Some(head_len + length as usize),
                ResponseBody::UntilClose => None,
                ResponseBody::Chunked => {
                    self.work.spans.clear();
                    match decoder.step(&answered.buffer.filled()[looked_at..], &mut self.work.spans) {
                        Step::Done { used } => Some(looked_at + used),
                        Step::Bad(bad) => return Err(of_malformed(bad).retryable().into()),
                        Step::More => None,
                    }
                }
            };
            looked_at = answered.buffer.len();
            if answered.whole_len.is_some_and(|length| looked_at >= length) {
                return Ok(());
            }
            let missing = answered.whole_len.take().map_or(BUFFER_BYTES, |length| length - looked_at);
            if looked_at - head_len >= ANSWER_HELD_BYTES_MAX {
                return Ok(());
            }
            self.client.upstream_alarm.set_after(idle_ms);
            // A byte more than is missing would spoil the connection, and shows only when there is room for it.
            let room = (missing + 1).min(BUFFER_BYTES);
            match fill(self.shard, self.client, &mut answered.conn, &mut answered.buffer, room).await {
                Turn::Bytes(Ok(count)) if count > 0 => {
                    self.tally.upstream_in(count);
                    self.tally.has_more_of_answer();
                }
                // Without a length the end is the end; the relay judges whether it is a good one.
                Turn::Bytes(Ok(_)) if framing == ResponseBody::UntilClose => return Ok(()),
                Turn::Bytes(_) => return Err(FaultKind::ClosedInAnswer.retryable().into()),
                Turn::Gone => return Err(Failed::Gone),
                Turn::Late => return Err(FaultKind::IdleTimeout.fatal().into()),
            }
        }
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

/// Room for the pieces of a body with the usual edits.
const PIECES_USUAL: usize = 8;
