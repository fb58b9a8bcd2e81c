//! Idle upstream connections of one shard to one origin: last in, first out, each with its wait armed.

use std::cell::RefCell;
use std::task::{Context, Waker};

use super::conn::Conn;

/// The idle connections to one origin. Nothing else is ever put here than a connection whose answer was read to its end.
#[derive(Default)]
pub struct Pool {
    idle: RefCell<Vec<Idle>>,
}

struct Idle {
    /// Boxed: it moves with every exchange.
    conn: Box<Conn>,
    since_ms: u64,
}

impl Pool {
    /// A connection that is open and silent as far as the event loop knows; spoiled ones are dropped on the way.
    pub fn take(&self, cx: &mut Context<'_>) -> Option<Box<Conn>> {
        loop {
            let mut conn = self.idle.borrow_mut().pop()?.conn;
            if !conn.is_spoiled(cx) {
                return Some(conn);
            }
        }
    }

    /// Keeps a connection for the next exchange, unless `count_max` are kept already. Its wait is armed from here on, so
    /// that the event loop knows of a close, or of bytes that nobody asked for, before the next request goes out: an answer
    /// that came before its question must not be taken for it.
    pub fn put(&self, mut conn: Box<Conn>, now_ms: u64, count_max: usize) {
        let is_spoiled = conn.is_spoiled(&mut Context::from_waker(Waker::noop()));
        let mut idle = self.idle.borrow_mut();
        if idle.len() < count_max && !is_spoiled {
            idle.push(Idle { conn, since_ms: now_ms });
        }
    }

    /// Drops the connections that were closed by the other side or lay idle for longer than `idle_max_ms`.
    pub fn sweep(&self, now_ms: u64, idle_max_ms: u64) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut kept = std::mem::take(&mut *self.idle.borrow_mut());
        kept.retain_mut(|idle| {
            now_ms.saturating_sub(idle.since_ms) < idle_max_ms && !idle.conn.is_spoiled(&mut cx)
        });
        *self.idle.borrow_mut() = kept;
    }

    /// How many connections lie idle.
    pub fn idle_count(&self) -> usize {
        self.idle.borrow().len()
    }

    /// Closes the idle connections that do not satisfy the condition.
    pub fn retain(&self, is_kept: impl Fn(&Conn) -> bool) {
        self.idle.borrow_mut().retain(|idle| is_kept(&idle.conn));
    }
}
