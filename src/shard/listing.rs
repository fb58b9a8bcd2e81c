//! A tenant's list of files or batches: the provider's has everybody's, so its pages are looked through until as many of the
//! tenant's own are found as were asked for. At most [`LIST_PAGES_MAX`] pages; a list that stops there says that it has more.

use std::rc::Rc;

use super::Shard;
use super::active::Active;
use super::asking;
use super::attempt::{self, Answered};
use super::body::Body;
use super::call::{Call, prepare_outgoing};
use super::client::Client;
use super::collection::Reads;
use super::exchange::Stop;
use super::inward::Inward;
use super::once::{Turn, fill};
use super::owners::{Owner, file_name};
use super::replace;
use super::route::Asked;
use super::tally::Tally;
use super::work::Work;
use crate::base::Refusal;
use crate::base::fault::FaultKind;
use crate::base::limits::{BUFFER_BYTES, LIST_PAGE_BYTES_MAX, LIST_PAGES_MAX};
use crate::dialect::endpoint::Endpoint;
use crate::ledger::record::Outcome;
use crate::wire::json::{self, Node};
use crate::wire::path::{percent_encode, query_value, query_without};
use crate::wire::response::ResponseBody;

/// What became of the question.
pub enum Listed {
    /// The tenant's own list.
    Own(Vec<u8>),
    /// The provider's answer is no list: it has an error in it, and nobody's objects.
    Passed(Box<Answered>),
}

/// Asks for pages and makes the tenant's list of them.
#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each borrowed on its own")]
pub async fn list(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    call: &Call,
    owner: &Owner,
    asked: Asked,
    body: &mut Body,
    head_len: usize,
) -> Result<Listed, Stop> {
    let Some(listed) = &call.collection else { unreachable!("only collections have lists") };
    let asked_for = work.request.query.of(&client.input.filled()[..head_len]).to_vec();
    let outgoing = prepare_outgoing(client, work, head_len, asked, call, body)?;
    let mut list = List::begin(call.endpoint, &asked_for);
    list.is_one_page |= matches!(listed.reads, Reads::Batches(api) if !api.has_cursor());
    for page in 0..LIST_PAGES_MAX {
        if page > 0 {
            work.target.clear();
            asking::write_target(call, listed, &list.query(&asked_for), &mut work.target);
            tally.begins_again();
        }
        let asking = attempt::attempt(shard, active, client, work, tally, call, &outgoing, body, head_len);
        let answered = Box::pin(asking).await?;
        let refusal = replace::replacement(call, work, &answered);
        if refusal.is_none() && !(200..300).contains(&work.response.status) {
            return Ok(Listed::Passed(Box::new(answered)));
        }
        tally.answered(work.response.status);
        if let Some(refusal) = refusal {
            attempt::discard(shard, work, answered);
            return Err(refusal.into());
        }
        let document = whole(shard, client, work, tally, answered).await?;
        let mut shown = Vec::new();
        if json::scan_object(&document, &mut work.members).is_err() {
            return Err(Refusal::from_fault(FaultKind::Malformed.fatal()).into());
        }
        listed.naming.write(listed.reads, &document, &mut shown);
        let names = ids(&shown).map(|id| file_name(&id, &call.target.upstream.provider.name)).collect();
        let are_own = shard.are_of(owner.tenant(), names).await?;
        if list.take(&shown, &are_own) == Goes::No {
            break;
        }
    }
    let document = list.finish();
    tally.ends(shard, client.bytes_out + document.len() as u64, Outcome::Whole, "");
    Ok(Listed::Own(document))
}

/// The ids of the objects of a list.
fn ids(list: &[u8]) -> impl Iterator<Item = String> {
    let items = Node::scanned(list).get("data").into_iter().flat_map(Node::items);
    items.map(|item| item.get("id").and_then(Node::text).unwrap_or_default().into_owned())
}

/// Whether another page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    On,
    No,
}

/// The list as it grows.
struct List {
    endpoint: Endpoint,
    /// How many were asked for; the length of the first page where that was left to the provider.
    limit: Option<usize>,
    /// Its pages go backwards, or there is no way to ask for the next: what is not on the first is not looked through.
    is_one_page: bool,
    own: Vec<Vec<u8>>,
    /// The last page: what is not ours to say of the list is its own.
    page: Vec<u8>,
    last: String,
    has_more: bool,
}

impl List {
    fn begin(endpoint: Endpoint, query: &[u8]) -> List {
        let limit = query_value(query, "limit");
        let limit = limit.and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok());
        let is_one_page = query_value(query, "before_id").is_some();
        let (own, page, last) = (Vec::new(), Vec::new(), String::new());
        List { endpoint, limit, is_one_page, own, page, last, has_more: false }
    }

    /// The query for the page behind the last one.
    fn query(&self, asked_for: &[u8]) -> Vec<u8> {
        let name = match self.endpoint {
            Endpoint::MessageFiles | Endpoint::MessageBatches => "after_id",
            _ => "after",
        };
        let mut query = Vec::new();
        query_without(asked_for, name, &mut query);
        if !query.is_empty() {
            query.push(b'&');
        }
        query.extend_from_slice(format!("{name}=").as_bytes());
        percent_encode(self.last.as_bytes(), &mut query);
        query
    }

    /// Takes over what is the tenant's of a page.
    fn take(&mut self, page: &[u8], are_own: &[bool]) -> Goes {
        let document = Node::scanned(page);
        let items: Vec<&[u8]> =
            document.get("data").into_iter().flat_map(Node::items).map(Node::raw).collect();
        let own = items.iter().zip(are_own).filter(|(_, is_own)| **is_own);
        self.own.extend(own.map(|(item, _)| item.to_vec()));
        self.last = ids(page).last().unwrap_or_default();
        self.page = page.to_vec();
        let limit = *self.limit.get_or_insert(items.len().max(1));
        let has_more = document.get("has_more").and_then(Node::bool) == Some(true);
        self.has_more = has_more || self.own.len() > limit;
        let is_full = self.own.len() >= limit;
        self.own.truncate(limit);
        match is_full || !has_more || items.is_empty() || self.is_one_page {
            true => Goes::No,
            false => Goes::On,
        }
    }

    /// The last page with the tenant's own objects in it.
    fn finish(self) -> Vec<u8> {
        let id_of = |item: Option<&Vec<u8>>| {
            let id = item.and_then(|item| Node::scanned(item).get("id"));
            id.map_or(b"null".to_vec(), |id| id.raw().to_vec())
        };
        let mut out = b"{".to_vec();
        for (key, value) in Node::scanned(&self.page).members() {
            if out.len() > 1 {
                out.push(b',');
            }
            json::write_string(&String::from_utf8_lossy(&key), &mut out);
            out.push(b':');
            match &*key {
                b"data" => {
                    out.push(b'[');
                    out.extend_from_slice(&self.own.join(&b','));
                    out.push(b']');
                }
                b"first_id" => out.extend_from_slice(&id_of(self.own.first())),
                b"last_id" => out.extend_from_slice(&id_of(self.own.last())),
                b"has_more" => out.extend_from_slice(if self.has_more { b"true" } else { b"false" }),
                _ => out.extend_from_slice(value.raw()),
            }
        }
        out.push(b'}');
        out
    }
}

/// Reads an answer to its end, and gives its connection back.
pub(super) async fn whole(
    shard: &Shard,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    mut answered: Answered,
) -> Result<Vec<u8>, Stop> {
    let broken = |kind: FaultKind| Stop::from(Refusal::from_fault(kind.fatal()));
    let idle_ms = answered.upstream.provider.limits.idle_timeout_ms;
    let (mut inward, mut document, mut at_eof) = (Inward::of(work.response.body), Vec::new(), false);
    answered.buffer.consume(answered.head_len);
    loop {
        work.spans.clear();
        let step = inward.step(answered.buffer.filled(), at_eof, &mut work.spans);
        let (used, is_end) = step.map_err(broken)?;
        let here = answered.buffer.filled();
        work.spans.iter().for_each(|span| document.extend_from_slice(span.of(here)));
        answered.buffer.consume(used);
        if document.len() > LIST_PAGE_BYTES_MAX {
            return Err(broken(FaultKind::EventTooLarge));
        }
        if is_end {
            break;
        }
        client.upstream_alarm.set_after(idle_ms);
        let Answered { conn, buffer, .. } = &mut answered;
        match fill(shard, client, conn, buffer, BUFFER_BYTES).await {
            Turn::Bytes(Ok(0)) => at_eof = true,
            Turn::Bytes(Ok(count)) => tally.upstream_in(count),
            Turn::Bytes(Err(_)) => return Err(broken(FaultKind::ClosedInAnswer)),
            Turn::Gone => return Err(Stop::Gone),
            Turn::Late => return Err(broken(FaultKind::IdleTimeout)),
        }
    }
    let has_end = work.response.body != ResponseBody::UntilClose;
    if has_end && work.response.keep_alive && answered.buffer.is_empty() {
        answered.keep(shard);
    } else {
        answered.buffer.clear();
        shard.buffers.take_back(&mut answered.buffer);
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: &[&str], has_more: bool) -> Vec<u8> {
        let objects: Vec<String> = ids.iter().map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
        let (first, last) = (ids.first().unwrap_or(&""), ids.last().unwrap_or(&""));
        let objects = objects.join(",");
        format!(
            r#"{{"object":"list","data":[{objects}],"first_id":"{first}","last_id":"{last}","has_more":{has_more}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn a_list_goes_on_until_it_has_what_was_asked_for() {
        let mut list = List::begin(Endpoint::Files, b"limit=2&order=asc");
        assert_eq!(list.take(&page(&["a", "b"], true), &[false, true]), Goes::On);
        assert_eq!(list.query(b"limit=2&after=x"), b"limit=2&after=b");
        assert_eq!(list.take(&page(&["c", "d"], true), &[true, true]), Goes::No);
        let want = r#"{"object":"list","data":[{"id":"b"},{"id":"c"}],"first_id":"b","last_id":"c","has_more":true}"#;
        assert_eq!(String::from_utf8(list.finish()).unwrap(), want);
    }

    #[test]
    fn a_list_without_own_objects_is_empty_and_names_none_of_others() {
        let mut list = List::begin(Endpoint::MessageBatches, b"");
        assert_eq!(list.take(&page(&["a", "b"], true), &[false, false]), Goes::On);
        assert_eq!(list.query(b""), b"after_id=b");
        assert_eq!(list.take(&page(&["c"], false), &[false]), Goes::No);
        let want = r#"{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}"#;
        assert_eq!(String::from_utf8(list.finish()).unwrap(), want);
    }

    #[test]
    fn pages_that_go_backwards_are_not_gone_on_with() {
        let mut list = List::begin(Endpoint::MessageBatches, b"before_id=x");
        assert_eq!(list.take(&page(&["a"], true), &[false]), Goes::No);
    }
}
