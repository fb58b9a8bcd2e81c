//! The client's side of a connection: its bytes, its deadline, and whether it is still there.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::pin;
use std::task::{Context, Poll};

use super::Shard;
use super::familiar::Remembered;
use crate::base::fault::FaultKind;
use crate::base::limits::{BUFFER_BYTES, TURNS_MAX};
use crate::net::alarm::{Alarm, Alarms};
use crate::net::buffer::{Buffer, Buffers};
use crate::net::conn::Conn;
use crate::net::driver;

/// A client connection on its shard.
pub struct Client {
    pub peer: Peer,
    /// The current request: its head and, where it is held, its body.
    pub input: Buffer,
    pub alarm: Alarm,
    /// The deadline of what is waited for from an upstream.
    pub upstream_alarm: Alarm,
    /// Bytes of answers that the kernel took.
    pub bytes_out: u64,
    /// Where the connection comes from; empty where that is not known.
    pub address: Box<str>,
    /// Pieces of work that were done without having to wait once.
    turns: Cell<u32>,
    /// A request has come on this connection.
    pub has_asked: bool,
    /// The head of its last request.
    pub remembered: Remembered,
}

/// The connection, and what is known of the other end while its request is being served.
pub struct Peer {
    pub conn: Conn,
    /// What came behind the request while it was being answered.
    ahead: Buffer,
    is_gone: bool,
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

impl Peer {
    /// Ready when the client has closed its side, which we take as leaving: the end of its stream cannot be told from a
    /// closed socket until we write, and an answer that nobody reads costs money until then. So a client that ends its
    /// side after a request (`nc -N`) and waits for a provider's answer is not served. Reads ahead what it sends meanwhile, up to a buffer; beyond that a client
    /// is not watched, and its leaving shows when we write.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>, stock: &Buffers) -> Poll<()> {
        while !self.is_gone && self.ahead.len() < BUFFER_BYTES {
            let room = BUFFER_BYTES - self.ahead.len();
            match self.conn.poll_fill(cx, stock, &mut self.ahead, room) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => self.is_gone = true,
            }
        }
        if self.is_gone { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Client {
    pub fn new(conn: Conn, alarms: &Alarms) -> Client {
        let address = conn.peer_ip().map_or_else(Box::default, |ip| ip.to_string().into());
        Client {
            address,
            peer: Peer { conn, ahead: Buffer::default(), is_gone: false },
            input: Buffer::default(),
            alarm: alarms.alarm(),
            upstream_alarm: alarms.alarm(),
            bytes_out: 0,
            turns: Cell::new(0),
            has_asked: false,
            remembered: Remembered::default(),
        }
    }

    /// Appends to the current request; at most `room` bytes. The deadline is the caller's.
    pub async fn fill(&mut self, shard: &Shard, room: usize) -> Fill {
        self.fill_unless(shard, room, |_| false).await
    }

    /// Waits for the first bytes of the next request. A drain ends the wait; a client that came just before it and has not
    /// been heard yet gets `first_ms`, for its request is likely on the way.
    pub async fn fill_idle(&mut self, shard: &Shard, first_ms: u64) -> Fill {
        let (has_asked, mut first_ms) = (self.has_asked, Some(first_ms));
        let is_over = move |alarm: &Alarm| {
            if shard.is_draining.get()
                && !has_asked
                && let Some(ms) = first_ms.take()
            {
                alarm.set_after(ms);
            }
            shard.is_draining.get() && has_asked
        };
        self.fill_unless(shard, BUFFER_BYTES, is_over).await
    }

    async fn fill_unless(
        &mut self,
        shard: &Shard,
        room: usize,
        mut is_over: impl FnMut(&Alarm) -> bool,
    ) -> Fill {
        // What was read while the client was watched comes first: no more need follow it.
        let before = self.input.len();
        if self.take_ahead(shard) {
            return Fill::Got(self.input.len() - before);
        }
        let Client { peer, input, alarm, turns, .. } = self;
        poll_fn(|cx| {
            if let Poll::Ready(result) = peer.conn.poll_fill(cx, &shard.buffers, input, room) {
                return Poll::Ready(match result {
                    Ok(0) | Err(_) => Fill::End,
                    Ok(count) => Fill::Got(count),
                });
            }
            turns.set(0);
            if is_over(alarm) {
                return Poll::Ready(Fill::Draining);
            }
            alarm.poll_late(cx).map(|()| Fill::Late)
        })
        .await
    }

    /// What the future gives, unless the client leaves first.
    pub async fn unless_gone<F: Future>(&mut self, shard: &Shard, future: F) -> Result<F::Output, Gone> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => {
                self.turns.set(0);
                self.peer.poll_gone(cx, &shard.buffers).map(|()| Err(Gone))
            }
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
            if let Poll::Ready(result) = self.peer.conn.poll_send(cx, &mut left) {
                return Poll::Ready(result.map_err(|_| FaultKind::ClientGone));
            }
            self.turns.set(0);
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
        match result {
            Ok(()) => self.bytes_out += count as u64,
            Err(FaultKind::ClientGone) => self.peer.is_gone = true,
            Err(_) => {}
        }
        result
    }

    /// Counts a piece of work. A connection that never has to wait makes a pause now and then, so that the others of its
    /// shard get their turn.
    pub async fn take_turn(&self) {
        self.turns.set(self.turns.get() + 1);
        if self.turns.get() >= TURNS_MAX {
            self.turns.set(0);
            driver::give_way().await;
        }
    }

    /// The connection had to wait: the others had their turn.
    pub fn waited(&self) {
        self.turns.set(0);
    }

    /// The request of `length` bytes is done with: its bytes go, and those of the next one move up.
    pub fn release(&mut self, shard: &Shard, length: usize) {
        self.input.consume(length);
        self.take_ahead(shard);
        shard.buffers.take_back(&mut self.input);
    }

    /// Moves what came while the client was watched behind the rest of its input; true when there was something.
    pub fn take_ahead(&mut self, shard: &Shard) -> bool {
        let ahead = &mut self.peer.ahead;
        if ahead.is_empty() {
            return false;
        }
        shard.buffers.equip(&mut self.input);
        self.input.compact();
        self.input.vec().extend_from_slice(ahead.filled());
        ahead.clear();
        shard.buffers.take_back(ahead);
        true
    }

    pub fn is_gone(&self) -> bool {
        self.peer.is_gone
    }
}
