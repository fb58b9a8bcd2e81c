//! What an exchange works with and does not keep: tables and scratch buffers, lent from the shard's stock so that a
//! request in steady state allocates next to nothing.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::caller::Caller;
use crate::base::Span;
use crate::base::id::Ids;
use crate::dialect::endpoint::Grammar;
use crate::ledger::record::RecordId;
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
    /// The target of the request to the provider.
    pub target: Vec<u8>,
    pub request_id: RequestId,
    /// The dialect in which the caller expects errors.
    pub grammar: Grammar,
    /// Bytes at the front of the client's input that belong to the request: its head, and its body where that is held.
    pub request_len: usize,
    /// Gateways of this kind that the request has passed before.
    pub hops: u64,
    /// Who asks.
    pub caller: Rc<Caller>,
    /// What the request holds of the shard's memory for bodies.
    pub held: Option<Held>,
}

/// Memory for a held body, in the shard's count until it is dropped.
pub struct Held {
    count: Rc<Cell<usize>>,
    bytes: usize,
}

impl Held {
    /// Takes `bytes` more than `held` has; `None` when that goes beyond `bytes_max` of the whole shard.
    pub fn grown(
        held: Option<Held>,
        count: &Rc<Cell<usize>>,
        bytes: usize,
        bytes_max: usize,
    ) -> Option<Held> {
        let mut held = held.unwrap_or_else(|| Held { count: count.clone(), bytes: 0 });
        if count.get().saturating_add(bytes) > bytes_max {
            return None;
        }
        count.set(count.get() + bytes);
        held.bytes += bytes;
        Some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.count.set(self.count.get() - self.bytes);
    }
}

/// The id of a request: the client's own, or one of ours.
#[derive(Clone, Debug, Default)]
pub struct RequestId {
    bytes: Vec<u8>,
    /// The number of one of ours, until a record has it.
    number: Cell<Option<u128>>,
}

impl RequestId {
    pub fn set_own(&mut self, number: u128) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&Ids::text_of(number));
        self.number.set(Some(number));
    }

    /// The number of an id that was made at this time, for the one record that may have it.
    pub fn take_number(&self, at_ms: u64) -> Option<RecordId> {
        let id = self.number.get().map(RecordId).filter(|id| id.made_ms() == at_ms)?;
        self.number.set(None);
        Some(id)
    }

    pub fn set_from_client(&mut self, id: &[u8]) {
        self.number.set(None);
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
        work.edits.clear();
        work.object.clear();
        work.held = None;
        let mut stock = self.stock.borrow_mut();
        if stock.len() < WORKS_KEPT_MAX {
            stock.push(work);
        }
    }
}

/// Kept for the next exchanges, about 4 KiB each.
const WORKS_KEPT_MAX: usize = 1024;
