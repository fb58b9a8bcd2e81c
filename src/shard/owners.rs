//! Whose the objects are that a provider keeps: what a caller with a key of its own asks for must be its tenant's, and what
//! it makes becomes so. Callers without one are the operator, for whom nothing is looked up and nothing is remembered.

use std::cell::RefCell;
use std::collections::HashMap;

use ring::digest;

use super::Shard;
use super::body::Body;
use super::client::Client;
use super::exchange::Stop;
use super::question::unavailable;
use super::recall::{conversation_not_found, no_item, no_previous};
use super::watch::Watch;
use super::work::Work;
use crate::base::limits::{OBJECT_NAME_BYTES_MAX, OWNERS_NEAR_MAX};
use crate::base::{Refusal, RefusalKind};
use crate::dialect::batches::{self, Api};
use crate::dialect::belongings::{self, InPath, Mention};
use crate::dialect::collection;
use crate::dialect::endpoint::Endpoint;
use crate::journal::Need;
use crate::ledger::record::{self, Owned};
use crate::offload::state::Id;
use crate::offload::{Belonging, Level, ToOffload};
use crate::policy::key::Key;
use crate::policy::{admit, caller};
use crate::provider::{Provider, ids};
use crate::wire::json::{self, Node};
use crate::wire::request::Method;

/// Owners that the shard knows by itself. They never change.
#[derive(Default)]
pub struct Near {
    tenants: RefCell<HashMap<Box<str>, Box<str>>>,
}

impl Near {
    fn is_of(&self, object: &str, tenant: &str) -> Option<bool> {
        self.tenants.borrow().get(object).map(|owner| **owner == *tenant)
    }

    fn learn(&self, object: &str, tenant: &str) {
        let mut tenants = self.tenants.borrow_mut();
        if tenants.len() >= OWNERS_NEAR_MAX {
            tenants.clear();
        }
        tenants.insert(object.into(), tenant.into());
    }
}

/// Who owns what an answer brings.
pub struct Owner {
    tenant: Box<str>,
    provider: Box<str>,
}

impl Owner {
    /// The caller's tenant as the owner of what this provider makes; `None` for the operator.
    pub fn of(work: &Work, provider: &Provider) -> Option<Box<Owner>> {
        let tenant = tenant(work)?.into();
        Some(Box::new(Owner { tenant, provider: provider.name.as_str().into() }))
    }

    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Takes over what this turn of an answer has brought. Called before its bytes leave, so that who has them can ask for
    /// it at once.
    pub fn take_over(&self, shard: &Shard, watch: &mut Watch, is_end: bool, stage: &[u8]) {
        match watch {
            Watch::Named(named) if is_end && named.error.is_none() => self.take_named(shard, stage),
            _ => watch.take_ids().into_iter().for_each(|id| shard.own(&self.tenant, &object_name(&id))),
        }
    }

    /// Takes over the objects of an answer in which ids carry their provider's name.
    fn take_named(&self, shard: &Shard, document: &[u8]) {
        let mut members = Vec::new();
        if Node::document(document, &mut members).is_err() {
            return;
        }
        for place in collection::places(document).ids {
            if let Some(id) = Node::scanned(place.of(document)).text() {
                shard.own(&self.tenant, &file_name(&id, &self.provider));
            }
        }
    }
}

/// The tenant that the caller's key belongs to; `None` for the operator.
pub fn tenant(work: &Work) -> Option<&str> {
    work.caller.key.as_deref().map(caller::tenant)
}

/// Who the caller is to what the gateway keeps itself.
pub fn keeper(client: &Client, work: &Work, head_len: usize) -> [u8; 32] {
    match tenant(work) {
        Some(tenant) => caller::owner(tenant),
        None => admit::owner(&client.input.filled()[..head_len], &work.request.headers),
    }
}

/// The name of a file or a batch: the provider's own id and its name, however the client spelled them.
pub fn file_name(id: &str, provider: &str) -> String {
    let own = match ids::split(id) {
        (own, Some(name)) if name == provider => own,
        _ => id,
    };
    object_name(&format!("{own}{}", ids::ending(provider)))
}

/// The name of an object by its id. No name is longer than its row can hold.
pub fn object_name(id: &str) -> String {
    if id.len() <= OBJECT_NAME_BYTES_MAX {
        return id.to_owned();
    }
    let hash = digest::digest(&digest::SHA256, id.as_bytes());
    let digits: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// Refuses a request that speaks of an object which is not the caller's.
pub async fn check(
    shard: &Shard,
    client: &Client,
    work: &Work,
    body: &Body,
    endpoint: Endpoint,
    egress: Endpoint,
    provider: &Provider,
) -> Result<(), Stop> {
    let Some(tenant) = tenant(work).filter(|_| !work.members.is_empty()) else { return Ok(()) };
    let document = Node::scanned(body.held(&client.input));
    let mut mentions = Vec::new();
    belongings::files(document, &mut mentions);
    if matches!(endpoint, Endpoint::Responses | Endpoint::Messages | Endpoint::Other) {
        belongings::stores(document, &mut mentions);
    }
    // What the gateway keeps itself is looked for under the caller's own name.
    if matches!((endpoint, egress), (Endpoint::Responses, Endpoint::Responses) | (Endpoint::Other, _)) {
        belongings::responses(document, &mut mentions);
    }
    let requests = json::find(&work.members, document.raw(), "requests");
    let requests = requests.map(|member| Node::scanned(member.value.of(document.raw())));
    for request in requests.into_iter().flat_map(Node::items) {
        belongings::line(request, &mut mentions);
    }
    let keeps_files = Api::of(egress).is_some_and(Api::brings_requests);
    if keeps_files && endpoint != egress && endpoint.is_collection() {
        mentions.retain(|mention| !is_kept_here(mention));
    }
    check_mentions(shard, tenant, &provider.name, &mentions).await
}

/// Whether the gateway sees to it that a caller meets only its own vector stores and containers there. A list of them all
/// it cannot tell apart.
pub fn sees_to(path: &str, method: Method) -> bool {
    match belongings::in_path(path) {
        InPath::Nothing => false,
        InPath::Collection => method == Method::Post,
        InPath::Object(_) => true,
    }
}

/// Refuses a path in which a vector store or container stands that is not the caller's, and says whether what is made there
/// becomes the caller's.
pub async fn check_path(shard: &Shard, work: &Work, path: &str) -> Result<bool, Stop> {
    let Some(tenant) = tenant(work) else { return Ok(false) };
    let id = match belongings::in_path(path) {
        InPath::Nothing => return Ok(false),
        InPath::Collection => return Ok(work.request.method == Method::Post),
        InPath::Object(id) => id,
    };
    // What nobody is known to own is the operator's: to be used by all, and changed by those who are trusted with it.
    let is_trusted = |key: &Key| key.check_trust(Endpoint::Other.name()).is_ok();
    let is_trusted = work.caller.key.as_deref().is_none_or(is_trusted);
    match shard.whose(tenant, vec![object_name(id)]).await?.first() {
        Some(Whose::Own) => Ok(false),
        Some(Whose::Nobodys) if is_trusted => Ok(false),
        _ => Err(no_object(id).into()),
    }
}

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Own,
    Others,
    Nobodys,
}

/// A file that waits here for the batch that is made of it.
fn is_kept_here(mention: &Mention) -> bool {
    matches!(mention, Mention::File(id) if Id::of(batches::FILE, ids::split(id).0).is_some())
}

/// Refuses when one of these is not the tenant's.
pub async fn check_mentions(
    shard: &Shard,
    tenant: &str,
    provider: &str,
    mentions: &[Mention],
) -> Result<(), Stop> {
    if mentions.is_empty() {
        return Ok(());
    }
    let name = |mention: &Mention| match mention {
        Mention::File(id) => file_name(id, provider),
        Mention::Response(id) | Mention::Conversation(id) | Mention::Item(id) => object_name(id),
        Mention::VectorStore(id) | Mention::Container(id) | Mention::Prompt(id) => object_name(id),
    };
    let whose = shard.whose(tenant, mentions.iter().map(name).collect()).await?;
    let is_refused = |(mention, whose): &(&Mention, Whose)| match mention {
        // What nobody is known to own, the operator has made for all.
        Mention::VectorStore(_) | Mention::Container(_) | Mention::Prompt(_) => *whose == Whose::Others,
        _ => *whose != Whose::Own,
    };
    match mentions.iter().zip(whose).find(is_refused) {
        None => Ok(()),
        Some((Mention::File(id), _)) => Err(no_file(id).into()),
        Some((Mention::Response(id), _)) => Err(no_previous(id).into()),
        Some((Mention::Conversation(id), _)) => Err(conversation_not_found(id).into()),
        Some((Mention::Item(id), _)) => Err(no_item(id).into()),
        Some((Mention::VectorStore(id) | Mention::Container(id) | Mention::Prompt(id), _)) => {
            Err(no_object(id).into())
        }
    }
}

/// The refusal of a file or batch that is not there, or not for this caller.
pub fn no_object(id: &str) -> Refusal {
    let message = format!("No such object: {id}");
    Refusal::new(404, RefusalKind::InvalidRequest, "not_found", message).about("id")
}

fn no_file(id: &str) -> Refusal {
    let message = format!("There is no file `{id}`.");
    Refusal::new(404, RefusalKind::InvalidRequest, "file_not_found", message).about("file_id")
}

impl Shard {
    /// Writes down that an object is this tenant's. Nothing waits: other shards know it when they ask next, and the store
    /// gets it by the journal.
    pub(super) fn own(&self, tenant: &str, object: &str) {
        if self.owners.is_of(object, tenant).is_some() {
            return;
        }
        self.owners.learn(object, tenant);
        let at_ms = self.wall_ms();
        let mut is_journaled = false;
        if let Some(journal) = &mut *self.journal.borrow_mut() {
            let mut bytes = self.buffers.lend();
            record::write_owned(&mut bytes, &Owned { at_ms, object, tenant });
            is_journaled = journal.append(&bytes, Need::Begin).is_ok();
            self.buffers.give_back(bytes);
        }
        let belonging = Belonging { at_ms, object: object.into(), tenant: tenant.into(), is_journaled };
        if !self.offload.tell(ToOffload::Own(Box::new(belonging))) && !is_journaled {
            self.log(Level::Warn, format!("whose {object} is could not be written down"));
        }
    }

    /// Whether these objects are the tenant's, in their order.
    pub(super) async fn are_of(&self, tenant: &str, objects: Vec<String>) -> Result<Vec<bool>, Refusal> {
        let whose = self.whose(tenant, objects).await?;
        Ok(whose.into_iter().map(|whose| whose == Whose::Own).collect())
    }

    /// Whose these objects are, in their order. The refusal is for a store that does not answer in time.
    async fn whose(&self, tenant: &str, objects: Vec<String>) -> Result<Vec<Whose>, Refusal> {
        let mut known: Vec<Option<bool>> =
            objects.iter().map(|object| self.owners.is_of(object, tenant)).collect();
        let is_unknown = |at: &usize| known[*at].is_none();
        let unknown: Vec<usize> = (0..objects.len()).filter(is_unknown).collect();
        if !unknown.is_empty() {
            let asked = unknown.iter().map(|&at| objects[at].as_str().into()).collect();
            let tenants = self.ask_owners(asked).await?;
            for (at, owner) in unknown.into_iter().zip(tenants) {
                if let Some(owner) = owner {
                    known[at] = Some(*owner == *tenant);
                    self.owners.learn(&objects[at], &owner);
                }
            }
        }
        let whose = |is_own: Option<bool>| match is_own {
            Some(true) => Whose::Own,
            Some(false) => Whose::Others,
            None => Whose::Nobodys,
        };
        Ok(known.into_iter().map(whose).collect())
    }

    /// Whether one object is the tenant's.
    pub(super) async fn is_of(&self, tenant: &str, object: String) -> Result<bool, Refusal> {
        Ok(self.are_of(tenant, vec![object]).await?.first().copied().unwrap_or(false))
    }

    async fn ask_owners(&self, objects: Vec<Box<str>>) -> Result<crate::offload::Tenants, Refusal> {
        self.ask_for_owners(objects)
            .await
            .ok_or_else(|| unavailable("Whose this is could not be read in time."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_one_name_however_its_id_is_spelled() {
        assert_eq!(file_name("file-1~one", "one"), "file-1~one");
        assert_eq!(file_name("file-1", "one"), "file-1~one");
        assert_eq!(file_name("file-1~two", "one"), "file-1~two~one");
        let long = "x".repeat(OBJECT_NAME_BYTES_MAX + 1);
        assert!(object_name(&long).len() <= OBJECT_NAME_BYTES_MAX);
        assert_ne!(object_name(&long), object_name(&"y".repeat(OBJECT_NAME_BYTES_MAX + 1)));
    }
}
