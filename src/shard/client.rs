//! The client's side of a connection: its bytes, its deadline, and whether it is still there.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::pin;
use std::task::{Context, Poll};

use super::Shard;
use crate::base::fault::FaultKind;
use crate::base::limits::BUFFER_BYTES;
use crate::net::alarm::{Alarm, Alarms};
use crate::net::buffer::Buffer;
use crate::net::conn::Conn;

/// A client connection on its shard.
pub struct Client {
    pub conn: Conn,
    /// The current request: its head and, where it is held, its body.
    pub input: Buffer,
    /// How many bytes of the input are the current request's; 0 once they were given back.
    pub request_len: usize,
    /// What came after it while it was being answered.
    ahead: Buffer,
    pub alarm: Alarm,
    /// The deadline of what is waited for from an upstream.
    pub upstream_alarm: Alarm,
    is_gone: bool,
    /// A request has come on this connection.
    pub has_asked: bool,
    /// Bytes of answers that the kernel took.
    pub bytes_out: u64,
}

/// How a wait for bytes ended.
pub enum Fill {
    Got(usize),
    /// The end of the stream, or an error: either way nothing more comes.
    End,
    Late,
    Draining,
}

/// The client left while something was being done for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Gone;

impl Client {
    pub fn new(conn: Conn, alarms: &Alarms) -> Client {
        let (alarm, upstream_alarm) = (alarms.alarm(), alarms.alarm());
        Client {
            conn,
            input: Buffer::default(),
            request_len: 0,
            ahead: Buffer::default(),
            alarm,
            upstream_alarm,
            is_gone: false,
            has_asked: false,
            bytes_out: 0,
        }
    }

    /// Appends to the current request; at most `room` bytes. The deadline is the caller's.
    pub async fn fill(&mut self, shard: &Shard, room: usize) -> Fill {
        let Client { conn, input, alarm, .. } = self;
        poll_fn(|cx| {
            if let Poll::Ready(result) = conn.poll_fill(cx, &shard.buffers, input, room) {
                return Poll::Ready(match result {
                    Ok(0) | Err(_) => Fill::End,
                    Ok(count) => Fill::Got(count),
                });
            }
            alarm.poll_late(cx).map(|()| Fill::Late)
        })
        .await
    }

    /// Waits for the first bytes of the next request. A drain ends the wait; a client that came just before it and has not
    /// been heard yet gets `first_ms`, for its request is likely on the way.
    pub async fn fill_idle(&mut self, shard: &Shard, first_ms: u64) -> Fill {
        let mut first_ms = Some(first_ms);
        let Client { conn, input, alarm, has_asked, .. } = self;
        poll_fn(|cx| {
            if let Poll::Ready(result) = conn.poll_fill(cx, &shard.buffers, input, BUFFER_BYTES) {
                return Poll::Ready(match result {
                    Ok(0) | Err(_) => Fill::End,
                    Ok(count) => Fill::Got(count),
                });
            }
            if shard.is_draining.get() {
                match first_ms.take() {
                    _ if *has_asked => return Poll::Ready(Fill::Draining),
                    Some(ms) => alarm.set_after(ms),
                    None => {}
                }
            }
            alarm.poll_late(cx).map(|()| Fill::Late)
        })
        .await
    }

    /// Ready when the client has closed its side, which we take as leaving: the end of its stream cannot be told from a
    /// closed socket until we write, and an answer that nobody reads costs money until then. nginx does the same; a client
    /// that ends its side after a request (`nc -N`) and waits for a provider's answer is not served. Reads ahead what it sends meanwhile, up to a
    /// buffer; beyond that a client is not watched, and its leaving shows when we write.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>, shard: &Shard) -> Poll<()> {
        while !self.is_gone && self.ahead.len() < BUFFER_BYTES {
            let room = BUFFER_BYTES - self.ahead.len();
            match self.conn.poll_fill(cx, &shard.buffers, &mut self.ahead, room) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => self.is_gone = true,
            }
        }
        if self.is_gone { Poll::Ready(()) } else { Poll::Pending }
    }

    /// What the future gives, unless the client leaves first.
    pub async fn unless_gone<F: Future>(&mut self, shard: &Shard, future: F) -> Result<F::Output, Gone> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll_gone(cx, shard).map(|()| Err(Gone)),
        })
        .await
    }

    /// Sends all slices; a client that takes nothing for `timeout_ms` is given up.
    pub async fn send(&mut self, slices: &mut [IoSlice<'_>], timeout_ms: u64) -> Result<(), FaultKind> {
        let count: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut left = slices;
        let mut left_bytes = usize::MAX;
        self.alarm.set_after(timeout_ms);
        let result = poll_fn(|cx| {
            if let Poll::Ready(result) = self.conn.poll_send(cx, &mut left) {
                return Poll::Ready(result.map_err(|_| FaultKind::ClientGone));
            }
            let now_left: usize = left.iter().map(|slice| slice.len()).sum();
            if now_left < left_bytes {
                // It took something: the time begins anew.
                left_bytes = now_left;
                self.alarm.set_after(timeout_ms);
            }
            self.alarm.poll_late(cx).map(|()| Err(FaultKind::ClientStalled))
        })
        .await;
        self.alarm.clear();
        if result.is_ok() {
            self.bytes_out += count as u64;
        }
        result
    }

    /// The request is done with: its bytes go, and those of the next one move up. The second time nothing happens.
    pub fn release(&mut self, shard: &Shard) {
        self.input.consume(std::mem::take(&mut self.request_len));
        self.take_ahead(shard);
        shard.buffers.take_back(&mut self.input);
    }

    /// Moves what came while the client was watched behind the rest of its input; true when there was something.
    pub fn take_ahead(&mut self, shard: &Shard) -> bool {
        if self.ahead.is_empty() {
            return false;
        }
        shard.buffers.equip(&mut self.input);
        self.input.compact();
        self.input.vec().extend_from_slice(self.ahead.filled());
        self.ahead.clear();
        shard.buffers.take_back(&mut self.ahead);
        true
    }

    pub fn is_gone(&self) -> bool {
        self.is_gone
    }
}
