//! The request's body: held when it has to be looked into, streamed through when not. Never larger in memory than the
//! setting says, and never longer waited for.

use std::borrow::Cow;

use super::Shard;
use super::client::{Client, Fill};
use super::exchange::Stop;
use crate::base::fault::FaultKind;
use crate::base::limits::{BODY_PEEK_BYTES, BODY_READ_BYTES, BUFFER_BYTES};
use crate::base::{Refusal, RefusalKind, Span};
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
}

enum Framing {
    Length(u64),
    Chunked(Chunked),
    Ended,
}

impl Body {
    /// Whether all of it was read, so that what follows is the next request.
    pub fn is_complete(&self) -> bool {
        !matches!(self, Body::Streaming(inflow) if !inflow.is_ended())
    }

    /// The bytes of a held body; empty for others.
    pub fn held<'b>(&'b self, client: &'b Client) -> &'b [u8] {
        match self {
            Body::Held(span) => span.of(client.input.filled()),
            Body::Decoded(bytes) => bytes,
            Body::None | Body::Streaming(_) => b"",
        }
    }
}

/// Reads the whole body, which may have `bytes_max` bytes.
pub async fn read_held(
    shard: &Shard,
    client: &mut Client,
    head_len: usize,
    framing: RequestBody,
    bytes_max: usize,
    timeout_ms: u64,
) -> Result<Body, Stop> {
    match framing {
        RequestBody::None => Ok(Body::None),
        RequestBody::Length(length) => {
            let length = usize::try_from(length).ok().filter(|&length| length <= bytes_max);
            let end = head_len + length.ok_or_else(|| too_large(bytes_max))?;
            while client.input.len() < end {
                let room = (end - client.input.len()).min(BODY_READ_BYTES.max(client.input.len()));
                more(shard, client, room, timeout_ms).await?;
            }
            client.request_len = end;
            Ok(Body::Held(Span::new(head_len, end)))
        }
        RequestBody::Chunked => read_chunked(shard, client, head_len, bytes_max, timeout_ms).await,
    }
}

async fn read_chunked(
    shard: &Shard,
    client: &mut Client,
    head_len: usize,
    bytes_max: usize,
    timeout_ms: u64,
) -> Result<Body, Stop> {
    let (mut decoder, mut body) = (Chunked::default(), Vec::new());
    loop {
        let is_done = decode(client, head_len, &mut decoder, &mut body)?;
        if body.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if is_done {
            return Ok(Body::Decoded(body));
        }
        more(shard, client, BODY_READ_BYTES, timeout_ms).await?;
    }
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
    head_len: usize,
    framing: RequestBody,
    timeout_ms: u64,
    is_enough: impl Fn(&[u8]) -> bool,
) -> Result<Body, Stop> {
    let (framing, length) = match framing {
        RequestBody::None => return Ok(Body::None),
        RequestBody::Length(length) => (Framing::Length(length), Some(length)),
        RequestBody::Chunked => (Framing::Chunked(Chunked::default()), None),
    };
    let mut inflow = Inflow { peeked: Vec::new(), framing, length, has_flowed: false };
    loop {
        let mut fresh = Vec::new();
        inflow.take(client, head_len, &mut fresh)?;
        inflow.peeked.extend_from_slice(&fresh);
        let is_full = inflow.peeked.len() >= BODY_PEEK_BYTES;
        if inflow.is_ended() || is_full || is_enough(&inflow.peeked) {
            return Ok(Body::Streaming(inflow));
        }
        more(shard, client, BUFFER_BYTES, timeout_ms).await?;
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

async fn more(shard: &Shard, client: &mut Client, room: usize, timeout_ms: u64) -> Result<(), Stop> {
    client.alarm.set_after(timeout_ms);
    let fill = client.fill(shard, room).await;
    client.alarm.clear();
    match fill {
        Fill::Got(_) => Ok(()),
        Fill::Late => Err(Stop::refuse_and_close(Refusal::from_fault(FaultKind::ClientBody.fatal()))),
        Fill::End | Fill::Draining => Err(Stop::Gone),
    }
}

/// The refusal of a body that is larger than the settings allow.
pub fn too_large(bytes_max: usize) -> Stop {
    let message = format!("The body is larger than the {bytes_max} bytes that are allowed here.");
    let message: Cow<'static, str> = Cow::Owned(message);
    Stop::refuse_and_close(Refusal::new(413, RefusalKind::InvalidRequest, "body_too_large", message))
}
