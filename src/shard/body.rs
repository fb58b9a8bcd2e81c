//! The request's body: held when it has to be looked into, streamed through when not. Never larger in memory than the
//! setting says, and never longer waited for.

use std::borrow::Cow;

use super::Shard;
use super::client::{Client, Fill};
use super::exchange::Stop;
use super::upload::Lines;
use super::work::{Held, Work};
use crate::base::fault::FaultKind;
use crate::base::limits::{BODY_BYTES_PER_SECOND_MIN, BODY_PEEK_BYTES, BODY_READ_BYTES, BUFFER_BYTES};
use crate::base::{Refusal, RefusalKind, Span};
use crate::config::Server;
use crate::net::buffer::Buffer;
use crate::wire::Step;
use crate::wire::chunked::Chunked;
use crate::wire::request::RequestBody;

/// A request's body.
pub enum Body {
    None,
    /// In the client's input buffer, behind the head.
    Held(Span),
    /// Taken out of its chunks.
    Decoded(Vec<u8>),
    Streaming(Inflow),
}

/// A body that streams through: what was peeked at, and what is still to come.
pub struct Inflow {
    pub peeked: Vec<u8>,
    framing: Framing,
    /// The length of the whole body, where the client said it.
    pub length: Option<u64>,
    /// More than the peeked bytes went to an upstream, so the request cannot be sent again.
    pub has_flowed: bool,
    /// It is the input of a batch, and its lines are spelled anew.
    pub lines: Option<Box<Lines>>,
}

enum Framing {
    Length(u64),
    Chunked(Chunked),
    Ended,
}

impl Body {
    /// The bytes of a held body; empty for others.
    pub fn held<'b>(&'b self, input: &'b Buffer) -> &'b [u8] {
        match self {
            Body::Held(span) => span.of(input.filled()),
            Body::Decoded(bytes) => bytes,
            Body::None | Body::Streaming(_) => b"",
        }
    }

    /// All of it was read: what follows it is the next request.
    pub fn is_complete(&self) -> bool {
        !matches!(self, Body::Streaming(inflow) if !inflow.is_ended())
    }
}

/// Reads the whole body, which may have as many bytes as the settings say.
pub async fn read_held(
    shard: &Shard,
    client: &mut Client,
    work: &mut Work,
    server: &Server,
    head_len: usize,
) -> Result<Body, Stop> {
    let mut pace = Pace::begin(shard, server.body_timeout_ms);
    match work.request.body {
        RequestBody::None => Ok(Body::None),
        RequestBody::Length(length) => {
            let length = usize::try_from(length).ok().filter(|&length| length <= server.body_bytes_max);
            let length = length.ok_or_else(|| too_large(server.body_bytes_max))?;
            hold(shard, server, work, length)?;
            tell_to_go_on(client, work, server, head_len).await?;
            let end = head_len + length;
            while client.input.len() < end {
                let room = (end - client.input.len()).min(BODY_READ_BYTES.max(client.input.len()));
                pace.more(shard, client, room).await?;
            }
            work.request_len = end;
            Ok(Body::Held(Span::new(head_len, end)))
        }
        RequestBody::Chunked => {
            tell_to_go_on(client, work, server, head_len).await?;
            let (mut decoder, mut body) = (Chunked::default(), Vec::new());
            loop {
                let before = body.len();
                let is_done = decode(client, head_len, &mut decoder, &mut body)?;
                if body.len() > server.body_bytes_max {
                    return Err(too_large(server.body_bytes_max));
                }
                hold(shard, server, work, body.len() - before)?;
                if is_done {
                    return Ok(Body::Decoded(body));
                }
                pace.more(shard, client, BODY_READ_BYTES).await?;
            }
        }
    }
}

/// Counts memory for a body, or refuses the request when the shard holds as much as it may.
pub fn hold(shard: &Shard, server: &Server, work: &mut Work, bytes: usize) -> Result<(), Stop> {
    work.held = Some(grown(shard, server, work.held.take(), bytes)?);
    Ok(())
}

/// Counts memory for what stays of a body longer than the body itself.
pub fn held_aside(shard: &Shard, server: &Server, bytes: usize) -> Result<Held, Stop> {
    grown(shard, server, None, bytes)
}

/// Counts more memory for what is counted already.
pub fn held_more(shard: &Shard, server: &Server, held: Option<Held>, bytes: usize) -> Result<Held, Stop> {
    grown(shard, server, held, bytes)
}

fn grown(shard: &Shard, server: &Server, held: Option<Held>, bytes: usize) -> Result<Held, Stop> {
    let bytes_max = server.held_bytes_max / shard.peers.len().max(1);
    if let Some(held) = Held::grown(held, &shard.held_bytes, bytes, bytes_max) {
        return Ok(held);
    }
    let message = "The gateway holds as many request bodies as it may; ask again in a moment.";
    let mut refusal = Refusal::new(503, RefusalKind::Server, "overloaded", message);
    refusal.retry_after_s = Some(1);
    Err(Stop::refuse_and_close(refusal))
}

/// A client that waits to be told is told to send its body (RFC 9110 §10.1.1), unless it has begun already.
async fn tell_to_go_on(
    client: &mut Client,
    work: &Work,
    server: &Server,
    head_len: usize,
) -> Result<(), Stop> {
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    if !work.request.expects_continue || client.input.len() > head_len {
        return Ok(());
    }
    let sent = client.send(&mut [std::io::IoSlice::new(CONTINUE)], server.write_timeout_ms).await;
    sent.map_err(|_| Stop::Gone)
}

/// Takes the framed bytes behind the head out of the input and appends their data; true at the body's end. What follows
/// the body stays in the input.
fn decode(
    client: &mut Client,
    head_len: usize,
    decoder: &mut Chunked,
    body: &mut Vec<u8>,
) -> Result<bool, Stop> {
    let mut spans = Vec::new();
    let input = &client.input.filled()[head_len..];
    let step = decoder.step(input, &mut spans);
    spans.iter().for_each(|span| body.extend_from_slice(span.of(input)));
    let used = match step {
        Step::More => input.len(),
        Step::Done { used } => used,
        Step::Bad(bad) => return Err(Stop::refuse_and_close(super::answer::of_malformed(bad))),
    };
    take_out(client, head_len, used);
    Ok(matches!(step, Step::Done { .. }))
}

/// Removes `count` bytes behind the head from the input.
fn take_out(client: &mut Client, head_len: usize, count: usize) {
    client.input.compact();
    client.input.vec().drain(head_len..head_len + count);
}

/// Begins a body that streams through: peeks until `is_enough` is content or the peek is full.
pub async fn begin_streaming(
    shard: &Shard,
    client: &mut Client,
    work: &Work,
    server: &Server,
    head_len: usize,
    mut is_enough: impl FnMut(&[u8]) -> bool,
) -> Result<Body, Stop> {
    let (framing, length) = match work.request.body {
        RequestBody::None => return Ok(Body::None),
        RequestBody::Length(length) => (Framing::Length(length), Some(length)),
        RequestBody::Chunked => (Framing::Chunked(Chunked::default()), None),
    };
    tell_to_go_on(client, work, server, head_len).await?;
    let mut pace = Pace::begin(shard, server.body_timeout_ms);
    let mut inflow = Inflow { peeked: Vec::new(), framing, length, has_flowed: false, lines: None };
    loop {
        let mut fresh = Vec::new();
        inflow.take(client, head_len, &mut fresh)?;
        inflow.peeked.extend_from_slice(&fresh);
        let is_full = inflow.peeked.len() >= BODY_PEEK_BYTES;
        if inflow.is_ended() || is_full || is_enough(&inflow.peeked) {
            return Ok(Body::Streaming(inflow));
        }
        pace.more(shard, client, BUFFER_BYTES).await?;
    }
}

/// Takes all that is still to come of a body behind what was peeked at, as far as bodies may be held.
pub async fn collect(
    shard: &Shard,
    client: &mut Client,
    work: &mut Work,
    server: &Server,
    head_len: usize,
    inflow: &mut Inflow,
) -> Result<(), Stop> {
    if inflow.length.is_some_and(|length| length > server.body_bytes_max as u64) {
        return Err(too_large(server.body_bytes_max));
    }
    let mut pace = Pace::begin(shard, server.body_timeout_ms);
    let mut counted = 0;
    loop {
        let mut fresh = Vec::new();
        inflow.take(client, head_len, &mut fresh)?;
        inflow.peeked.extend_from_slice(&fresh);
        if inflow.peeked.len() > server.body_bytes_max {
            return Err(too_large(server.body_bytes_max));
        }
        hold(shard, server, work, inflow.peeked.len() - counted)?;
        counted = inflow.peeked.len();
        if inflow.is_ended() {
            return Ok(());
        }
        pace.more(shard, client, BODY_READ_BYTES).await?;
    }
}

impl Inflow {
    pub fn is_ended(&self) -> bool {
        matches!(self.framing, Framing::Ended)
    }

    /// Takes what the input holds of the body into `out`.
    pub fn take(&mut self, client: &mut Client, head_len: usize, out: &mut Vec<u8>) -> Result<(), Stop> {
        match &mut self.framing {
            Framing::Ended => {}
            Framing::Length(left) => {
                let here = client.input.len() - head_len;
                let count = usize::try_from(*left).map_or(here, |left| left.min(here));
                out.extend_from_slice(&client.input.filled()[head_len..head_len + count]);
                take_out(client, head_len, count);
                *left -= count as u64;
                if *left == 0 {
                    self.framing = Framing::Ended;
                }
            }
            Framing::Chunked(decoder) => {
                if decode(client, head_len, decoder, out)? {
                    self.framing = Framing::Ended;
                }
            }
        }
        Ok(())
    }
}

/// How fast a body has to come: no pause longer than the setting, and not slower on the whole than
/// [`BODY_BYTES_PER_SECOND_MIN`].
struct Pace {
    begun_ms: u64,
    timeout_ms: u64,
    got: u64,
}

impl Pace {
    fn begin(shard: &Shard, timeout_ms: u64) -> Pace {
        Pace { begun_ms: shard.alarms.now_ms(), timeout_ms, got: 0 }
    }

    async fn more(&mut self, shard: &Shard, client: &mut Client, room: usize) -> Result<(), Stop> {
        let earned_ms = self.got.saturating_mul(1000) / BODY_BYTES_PER_SECOND_MIN;
        let end_ms = self.begun_ms.saturating_add(self.timeout_ms).saturating_add(earned_ms);
        client.alarm.set_at(end_ms.min(shard.alarms.now_ms().saturating_add(self.timeout_ms)));
        let fill = client.fill(shard, room).await;
        client.alarm.clear();
        match fill {
            Fill::Got(count) => {
                self.got += count as u64;
                Ok(())
            }
            Fill::Late => Err(Stop::refuse_and_close(Refusal::from_fault(FaultKind::ClientBody.fatal()))),
            Fill::End | Fill::Draining => Err(Stop::Gone),
        }
    }
}

/// The refusal of a body that is larger than may be looked into.
pub fn too_large(bytes_max: usize) -> Stop {
    let message = format!("The body is larger than the {bytes_max} bytes that are allowed here.");
    let message: Cow<'static, str> = Cow::Owned(message);
    Stop::refuse_and_close(Refusal::new(413, RefusalKind::InvalidRequest, "body_too_large", message))
}
