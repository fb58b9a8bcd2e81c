//! Buffers that a connection holds only while bytes are in them, and the shard's stock of empty ones.

use std::cell::RefCell;
use std::rc::Rc;

use crate::base::limits::{BUFFER_BYTES, BUFFERS_KEPT_MAX};

/// Bytes that were received and not yet used. Holds no memory while it is empty and given back.
///
/// Invariant: `start <= bytes.len()`; the unused bytes are `bytes[start..]`.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// The bytes that are waiting to be used.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Marks the first `count` bytes as used.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "only bytes that are there can be used");
        self.start += count;
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Moves the unused bytes to the front so that the room behind them is one piece.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// The vector behind the buffer, for a read that appends to it.
    pub fn vec(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Room for more bytes without growing.
    pub fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Drops all bytes, used or not.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}

/// The shard's stock of empty buffers of [`BUFFER_BYTES`] each; at most [`BUFFERS_KEPT_MAX`] are kept.
#[derive(Clone, Default)]
pub struct Buffers {
    stock: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl Buffers {
    /// Gives `buffer` room for at least one read, from the stock when it holds no memory yet.
    pub fn equip(&self, buffer: &mut Buffer) {
        if buffer.bytes.capacity() == 0 {
            buffer.bytes = self.lend();
        } else if buffer.room() == 0 {
            buffer.compact();
        }
    }

    /// Takes the memory of an empty buffer back. A buffer with bytes in it keeps them.
    pub fn take_back(&self, buffer: &mut Buffer) {
        if !buffer.is_empty() || buffer.bytes.capacity() == 0 {
            return;
        }
        buffer.start = 0;
        self.give_back(std::mem::take(&mut buffer.bytes));
    }

    /// Empty memory in which something is put together that leaves at once: the piece that was used last, which the
    /// processor still has at hand.
    pub fn lend(&self) -> Vec<u8> {
        let taken = self.stock.borrow_mut().pop();
        taken.unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    /// Takes lent memory back, with whatever is in it.
    pub fn give_back(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        let mut stock = self.stock.borrow_mut();
        if bytes.capacity() == BUFFER_BYTES && stock.len() < BUFFERS_KEPT_MAX {
            stock.push(bytes);
        }
    }
}
