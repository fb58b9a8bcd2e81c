//! What an exchange works with and does not keep: tables and scratch buffers, lent from the shard's stock so that a
//! request in steady state allocates next to nothing.

use std::cell::RefCell;

use crate::base::Span;
use crate::base::id::IdText;
use crate::base::limits::BUFFER_BYTES;
use crate::wire::json::Member;
use crate::wire::request::RequestHead;
use crate::wire::response::ResponseHead;
use crate::wire::splice::{Edits, ObjectEdits};

/// The tables of one exchange.
#[derive(Default)]
pub struct Work {
    pub request: RequestHead,
    pub response: ResponseHead,
    pub members: Vec<Member>,
    pub edits: Edits,
    pub object: ObjectEdits,
    pub spans: Vec<Span>,
    /// The head, or head and framing, of what is sent next.
    pub out: Vec<u8>,
    pub request_id: RequestId,
}

/// The id of a request: the client's own, or one of ours.
#[derive(Clone, Debug, Default)]
pub struct RequestId {
    bytes: Vec<u8>,
}

impl RequestId {
    pub fn set_own(&mut self, id: &IdText) {
        self.bytes.clear();
        self.bytes.extend_from_slice(id);
    }

    pub fn set_from_client(&mut self, id: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(id);
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The shard's stock.
#[expect(clippy::vec_box, reason = "lent and given back as boxes: a move is a pointer")]
#[derive(Default)]
pub struct Works {
    stock: RefCell<Vec<Box<Work>>>,
}

impl Works {
    pub fn lend(&self) -> Box<Work> {
        self.stock.borrow_mut().pop().unwrap_or_default()
    }

    pub fn give_back(&self, mut work: Box<Work>) {
        if work.out.capacity() > BUFFER_BYTES {
            work.out = Vec::new();
        }
        work.out.clear();
        work.edits.clear();
        work.object.clear();
        let mut stock = self.stock.borrow_mut();
        if stock.len() < WORKS_KEPT_MAX {
            stock.push(work);
        }
    }
}

/// Kept for the next exchanges, about 8 KiB each.
const WORKS_KEPT_MAX: usize = 128;
