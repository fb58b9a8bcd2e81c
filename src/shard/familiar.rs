//! Heads that were read before. A client that goes on asking says the same head again, but for the length of the body: what
//! was found out of it (the request, what it asks for, who asks) is kept, and holds for as long as the rules do under which
//! it was found. A head that differs in anything else is read like any other; nothing here lets anybody in.

use std::rc::{Rc, Weak};

use super::Shard;
use super::active::Active;
use super::caller::Caller;
use super::client::Client;
use super::route::Asked;
use super::work::Work;
use crate::base::Span;
use crate::base::limits::{FAMILIAR_HEAD_BYTES_MAX, FAMILIAR_HEADS_COUNT_MAX, FAMILIAR_MISSES_MAX};
use crate::dialect::endpoint::Endpoint;
use crate::policy::key::Key;
use crate::wire::head::Known;
use crate::wire::request::{RequestBody, RequestHead, body_of_length};

/// A head, and what it means.
pub struct Familiar {
    head: Box<[u8]>,
    /// Where the digits of its Content-Length stand; empty where it has none.
    length: Span,
    request: RequestHead,
    asked: Asked,
    hops: u64,
    caller: Rc<Caller>,
    /// The rules and the settings that say so.
    version: u64,
    active: Weak<Active>,
}

/// What a connection remembers.
#[derive(Default)]
pub struct Remembered {
    last: Option<Rc<Familiar>>,
    /// Heads in a row that were others.
    misses: u8,
}

impl Familiar {
    /// Whether the input begins with this head, but for the digits of its length. Takes the same time wherever a difference
    /// is: the head holds a key.
    fn is_at(&self, input: &[u8]) -> bool {
        let Some(head) = input.get(..self.head.len()) else { return false };
        let differs = |range: std::ops::Range<usize>| {
            let pairs = head[range.clone()].iter().zip(&self.head[range]);
            pairs.fold(0, |all, (one, other)| all | (one ^ other)) != 0
        };
        let (start, end) = (self.length.start as usize, self.length.end as usize);
        !(differs(0..start) | differs(end..head.len()))
    }

    fn holds(&self, shard: &Shard, active: &Rc<Active>) -> bool {
        self.version == shard.managed.borrow().version && self.active.as_ptr() == Rc::as_ptr(active)
    }

    fn body(&self, head: &[u8]) -> Option<RequestBody> {
        let digits = self.length.of(head);
        if digits.is_empty() { Some(self.request.body) } else { body_of_length(digits) }
    }
}

/// The length of the head that the client's input begins with, where that is the one that it said last.
pub fn head_len(client: &Client) -> Option<usize> {
    let last = client.remembered.last.as_ref()?;
    last.is_at(client.input.filled()).then_some(last.head.len())
}

/// What a head asks for that was read before; the tables are filled as if it had been read now.
pub fn recall(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    head_len: usize,
) -> Option<Asked> {
    let last = client.remembered.last.as_ref()?;
    let head = &client.input.filled()[..head_len];
    if head.len() != last.head.len() || !last.holds(shard, active) || !last.is_at(head) {
        return None;
    }
    let body = last.body(head)?;
    // A key that has come to its end meanwhile is refused in the usual way.
    let key = last.caller.key.as_ref();
    if key.is_some_and(|key| key.check(shard.wall_ms()).is_err()) {
        return None;
    }
    work.request.copy_from(&last.request);
    work.request.body = body;
    work.grammar = last.asked.error_grammar();
    work.hops = last.hops;
    work.caller = last.caller.clone();
    client.remembered.misses = 0;
    Some(last.asked)
}

/// Remembers a head that was read and whose caller was let in, once the client has shown that it goes on asking, and not
/// where its heads keep changing.
pub fn remember(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &Work,
    head_len: usize,
    asked: Asked,
) {
    let goes_on = client.bytes_out > 0 && client.remembered.misses < FAMILIAR_MISSES_MAX;
    let is_usual = match asked {
        Asked::Api(endpoint, _) | Asked::ApiOfModel(endpoint, _) => endpoint != Endpoint::Other,
        _ => false,
    };
    // An old secret is good for a time of its own.
    let has_one_proof = work.caller.key.as_deref().is_none_or(Key::has_one_proof);
    let is_short = head_len <= FAMILIAR_HEAD_BYTES_MAX;
    if !goes_on || !is_usual || !has_one_proof || !is_short || work.request.expects_continue {
        return;
    }
    client.remembered.misses += 1;
    let head = &client.input.filled()[..head_len];
    let mut known = shard.familiar.borrow_mut();
    let is_it =
        |one: &&Rc<Familiar>| one.head.len() == head_len && one.holds(shard, active) && one.is_at(head);
    let familiar = match known.iter().find(is_it) {
        Some(same) => same.clone(),
        None => {
            let made = Rc::new(Familiar {
                head: head.into(),
                length: work.request.headers.find(Known::ContentLength).unwrap_or_default(),
                request: work.request.clone(),
                asked,
                hops: work.hops,
                caller: work.caller.clone(),
                version: shard.managed.borrow().version,
                active: Rc::downgrade(active),
            });
            if known.len() >= FAMILIAR_HEADS_COUNT_MAX {
                known.pop_front();
            }
            known.push_back(made.clone());
            made
        }
    };
    client.remembered.last = Some(familiar);
}
