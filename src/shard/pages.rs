//! Results of a batch that come in pages: one after the other is asked for until none is left, and only then the lines leave, so
//! that what broke off on the way never looks whole. Bounded by [`TRANSLATED_BYTES_MAX`].

use std::rc::Rc;

use super::Shard;
use super::active::Active;
use super::asking;
use super::attempt;
use super::billed;
use super::body::Body;
use super::call::{Call, prepare_outgoing};
use super::client::Client;
use super::collection::Reads;
use super::exchange::Stop;
use super::listing::whole;
use super::outgoing::Outgoing;
use super::replace;
use super::route::Asked;
use super::tally::Tally;
use super::watch::no_results;
use super::work::Work;
use crate::base::Refusal;
use crate::base::fault::FaultKind;
use crate::base::limits::{RESULTS_PAGE_MAX, TRANSLATED_BYTES_MAX};
use crate::dialect::batches::{self, Api, Form, pages};
use crate::dialect::errors;
use crate::ledger::record::Outcome;
use crate::wire::json::Node;
use crate::wire::path::percent_encode;

/// Whether a request is for results in pages.
pub fn are_asked(call: &Call) -> bool {
    form_of(call).is_some()
}

fn form_of(call: &Call) -> Option<Form> {
    match call.collection.as_ref()?.reads {
        Reads::Results(Api::Pages, form) => Some(form),
        _ => None,
    }
}

/// Asks for every page, and gives the lines of all of them.
#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each borrowed on its own")]
pub async fn collect(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    call: &Call,
    asked: Asked,
    body: &mut Body,
    head_len: usize,
) -> Result<Stop, Stop> {
    let (Some(collection), Some(form)) = (&call.collection, form_of(call)) else {
        unreachable!("only results come in pages")
    };
    let rules = &call.target.upstream.provider.rules;
    let outgoing = prepare_outgoing(client, work, head_len, asked, call, body)?;
    let mut asking = Asking { shard, active, client, work, tally, call, outgoing, body, head_len };
    // Those of a batch that is not over are not all.
    asking::write_target(call, collection, b"", &mut asking.begin().target);
    let path_len = asking.work.target.len() - RESULTS.len();
    asking.work.target.truncate(path_len);
    if !asking.page(pages::has_results).await? {
        return Err(errors::to_refusal(&no_results()).into());
    }
    let (mut token, mut lines, mut count, mut found) = (None, Vec::new(), 0, Vec::new());
    loop {
        asking.tally.begins_again();
        let target = &mut asking.begin().target;
        asking::write_target(call, collection, b"", target);
        write_query(token.as_deref(), target);
        let before = count;
        let next = asking.page(|page| {
            let is_page = pages::write_results(page, form, rules, &mut count, &mut lines);
            found.extend(batches::billed::of_page(page));
            is_page.then(|| pages::next(page))
        });
        let next = next.await?.ok_or_else(|| broken(FaultKind::Malformed))?;
        if lines.len() > TRANSLATED_BYTES_MAX {
            return Err(broken(FaultKind::EventTooLarge));
        }
        match next {
            None => break,
            // A page that leads to itself, or to nothing, has no end.
            next if next == token || count == before => return Err(broken(FaultKind::Malformed)),
            next => token = next,
        }
    }
    billed::write(shard, client, work, call, &found);
    tally.ends(shard, client.bytes_out + lines.len() as u64, Outcome::Whole, "");
    Ok(Stop::Answer { body: lines, content_type: "application/x-jsonl" })
}

/// The exchange, and the request that is sent with one target after the other.
struct Asking<'a> {
    shard: &'a Shard,
    active: &'a Rc<Active>,
    client: &'a mut Client,
    work: &'a mut Work,
    tally: &'a mut Tally,
    call: &'a Call,
    outgoing: Outgoing,
    body: &'a mut Body,
    head_len: usize,
}

impl Asking<'_> {
    /// The next target is to be written.
    fn begin(&mut self) -> &mut Work {
        self.work.target.clear();
        self.work
    }

    /// Asks for the target, and reads the document that comes.
    async fn page<T>(&mut self, read: impl FnOnce(Node<'_>) -> T) -> Result<T, Stop> {
        let Asking { shard, active, client, work, tally, call, outgoing, body, head_len } = self;
        let asking = attempt::attempt(shard, active, client, work, tally, call, outgoing, body, *head_len);
        let answered = Box::pin(asking).await?;
        let (status, refusal) = (work.response.status, replace::replacement(call, work, &answered));
        tally.answered(status);
        if let Some(refusal) = refusal {
            attempt::discard(shard, work, answered);
            return Err(refusal.into());
        }
        let document = whole(shard, client, work, tally, answered).await?;
        if !(200..300).contains(&status) {
            return Err(errors::to_refusal(&errors::read(status, &document, None)).into());
        }
        let page = Node::document(&document, &mut work.members).map_err(|_| broken(FaultKind::Malformed))?;
        Ok(read(page))
    }
}

fn broken(kind: FaultKind) -> Stop {
    Refusal::from_fault(kind.fatal()).into()
}

fn write_query(token: Option<&str>, target: &mut Vec<u8>) {
    let mark = if target.contains(&b'?') { '&' } else { '?' };
    target.extend_from_slice(format!("{mark}limit={RESULTS_PAGE_MAX}").as_bytes());
    if let Some(token) = token {
        target.extend_from_slice(b"&pagination_token=");
        percent_encode(token.as_bytes(), target);
    }
}

/// What stands behind a batch's own path in that of its results.
const RESULTS: &str = "/results";
