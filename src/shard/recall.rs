//! What a request of the Responses API refers to, where its provider keeps nothing: found before the request is translated,
//! and its own answer kept when that is complete. Waits for what is kept no longer than [`STATE_MS_MAX`].
//!
//! [`STATE_MS_MAX`]: crate::base::limits::STATE_MS_MAX

use super::Shard;
use super::active::Active;
use super::body::{self, Body};
use super::client::Client;
use super::exchange::Stop;
use super::owners;
use super::watch::Watch;
use super::work::{Held, Work};
use crate::base::{Refusal, RefusalKind};
use crate::offload::Level;
use crate::offload::state::{Context, Id, Missing, Owner, Question, Reply, Response};
use crate::wire::json::{self, Kind, Node};

/// What the way to the provider must know.
#[derive(Default)]
pub struct Recalled {
    /// The request's body with the items that it refers to; `None` when it refers to none.
    pub body: Option<Vec<u8>>,
    /// What the answer is kept with; `None` when it is not.
    pub keeping: Option<Keeping>,
}

/// What an answer is kept with.
pub struct Keeping {
    owner: Owner,
    /// The elements of the request's own input, commas between them.
    input: Vec<u8>,
    previous: Option<Id>,
    conversation: Option<Id>,
    /// Known when the request is translated.
    id: Option<Id>,
    bytes_max: usize,
    /// The input's part of the shard's memory for bodies.
    _held: Option<Held>,
}

impl Keeping {
    /// The answer has this id.
    pub fn name(&mut self, id: &str) {
        self.id = Id::of("", id);
    }
}

/// What a request's body refers to.
#[derive(Default)]
struct Wanted {
    previous: Option<Id>,
    conversation: Option<Id>,
    references: Vec<String>,
}

/// Finds what the request refers to. With the store switched off nothing is looked for, and whoever reads the request
/// refuses it by the field's name.
pub async fn recall(
    shard: &Shard,
    active: &Active,
    client: &Client,
    work: &mut Work,
    head_len: usize,
    body: &Body,
) -> Result<Box<Recalled>, Stop> {
    let bytes_max = active.snapshot().responses_bytes_max;
    let document = Node::scanned(body.held(&client.input));
    let input = document.get("input");
    let is_readable = input.is_none_or(|input| matches!(input.kind(), Kind::String | Kind::Array));
    if bytes_max == 0 || !is_readable {
        return Ok(Box::default());
    }
    let server = &active.snapshot().server;
    let owner = owners::keeper(client, work, head_len);
    let wanted = Wanted::read(document)?;
    let (previous, conversation) = (wanted.previous, wanted.conversation);
    let is_asked = previous.is_some() || conversation.is_some() || !wanted.references.is_empty();
    let context = match is_asked {
        true => ask(shard, owner, wanted, server.body_bytes_max).await?,
        false => Context::default(),
    };
    let own = own_items(input, &context);
    let resolved = is_asked.then(|| with_items(document, &[&context.before, &own]));
    if let Some(resolved) = &resolved {
        if resolved.len() > server.body_bytes_max {
            return Err(body::too_large(server.body_bytes_max));
        }
        body::hold(shard, server, work, resolved.len())?;
    }
    let is_kept = document.get("store").and_then(Node::bool) != Some(false);
    let keeping = match is_kept {
        false => None,
        true => {
            let held = body::held_aside(shard, server, own.len())?;
            let (input, _held) = (own, Some(held));
            Some(Keeping { owner, input, previous, conversation, id: None, bytes_max, _held })
        }
    };
    Ok(Box::new(Recalled { body: resolved, keeping }))
}

async fn ask(shard: &Shard, owner: Owner, wanted: Wanted, bytes_max: usize) -> Result<Context, Stop> {
    let Wanted { previous, conversation, references } = wanted;
    let question = Question::Context { previous, conversation, references, bytes_max };
    match shard.ask_state(owner, question).await? {
        Reply::Context(context) => Ok(context),
        Reply::Missing(Missing::TooLarge) => Err(body::too_large(bytes_max)),
        Reply::Missing(Missing::Conversation) => Err(no_conversation(conversation).into()),
        Reply::Missing(Missing::Item(id)) => Err(no_item(&id).into()),
        Reply::Missing(Missing::Response | Missing::File) | Reply::Document(_) => {
            Err(no_previous(&previous.map(|id| format!("resp_{id}")).unwrap_or_default()).into())
        }
    }
}

impl Wanted {
    fn read(document: Node<'_>) -> Result<Wanted, Refusal> {
        let mut wanted = Wanted::default();
        if let Some(value) = document.get("previous_response_id") {
            let id = value.text().ok_or_else(|| no_text("previous_response_id"))?;
            wanted.previous = Some(Id::of("resp_", &id).ok_or_else(|| no_previous(&id))?);
        }
        if let Some(value) = document.get("conversation") {
            let id = value.get("id").unwrap_or(value).text().ok_or_else(|| no_text("conversation"))?;
            let known = Id::of("conv_", &id).ok_or_else(|| conversation_not_found(&id))?;
            wanted.conversation = Some(known);
        }
        if wanted.previous.is_some() && wanted.conversation.is_some() {
            let message = "`previous_response_id` and `conversation` cannot stand together.";
            return Err(Refusal::invalid("invalid_value", message).about("previous_response_id"));
        }
        let items = document.get("input").into_iter().flat_map(Node::items);
        wanted.references = items.filter_map(reference).collect();
        Ok(wanted)
    }
}

/// The id of an item that only refers to another one; its type may be left out (the API's `ItemReferenceParam`).
fn reference(item: Node<'_>) -> Option<String> {
    let is_reference = match item.get("type") {
        Some(kind) => kind.text().is_some_and(|kind| kind == "item_reference"),
        None => item.kind() == Kind::Object && item.get("role").is_none(),
    };
    if is_reference { item.get("id").and_then(Node::text).map(|id| id.into_owned()) } else { None }
}

/// The request's own input as elements of an array, references replaced by what they mean.
fn own_items(input: Option<Node<'_>>, context: &Context) -> Vec<u8> {
    let Some(input) = input else { return Vec::new() };
    let mut out = Vec::with_capacity(input.raw().len() + 64);
    if input.kind() == Kind::String {
        out.extend_from_slice(b"{\"type\":\"message\",\"role\":\"user\",\"content\":");
        out.extend_from_slice(input.raw());
        out.push(b'}');
        return out;
    }
    let mut referred = context.referred.iter();
    for item in input.items() {
        if !out.is_empty() {
            out.push(b',');
        }
        let meant = reference(item).and_then(|_| referred.next());
        out.extend_from_slice(meant.map_or(item.raw(), Vec::as_slice));
    }
    out
}

/// The request with these items as its input, and without the fields that pointed at them.
fn with_items(document: Node<'_>, parts: &[&[u8]]) -> Vec<u8> {
    let items_len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(document.raw().len() + items_len);
    out.extend_from_slice(b"{\"input\":[");
    for (index, part) in parts.iter().filter(|part| !part.is_empty()).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(part);
    }
    out.push(b']');
    let is_other = |key: &[u8]| !matches!(key, b"input" | b"previous_response_id" | b"conversation");
    for (key, value) in document.members().filter(|(key, _)| is_other(key)) {
        out.push(b',');
        json::write_string(&String::from_utf8_lossy(&key), &mut out);
        out.push(b':');
        out.extend_from_slice(value.raw());
    }
    out.push(b'}');
    out
}

/// Keeps the answer when this turn has completed it. Called before its last bytes leave, so that a client that has them
/// finds it.
pub fn keep(shard: &Shard, keeping: &Keeping, watch: &mut Watch, is_end: bool, stage: &[u8]) {
    let (Some(id), Some(body)) = (keeping.id, watch.take_finished(is_end, stage)) else { return };
    let Keeping { owner, previous, conversation, bytes_max, .. } = *keeping;
    let response = Response { id, owner, body, input: keeping.input.clone(), previous, conversation };
    if !shard.offload.keep(Box::new(response), bytes_max) {
        shard.log(
            Level::Warn,
            format!("resp_{id} could not be kept: too much is on its way, or it is too large"),
        );
    }
}

fn no_text(field: &'static str) -> Refusal {
    Refusal::invalid("invalid_type", format!("`{field}` must be a string.")).about(field)
}

/// OpenAI's own words, status and code.
pub fn no_previous(id: &str) -> Refusal {
    let message = format!("Previous response with id '{id}' not found.");
    Refusal::invalid("previous_response_not_found", message).about("previous_response_id")
}

fn no_conversation(id: Option<Id>) -> Refusal {
    conversation_not_found(&id.map(|id| format!("conv_{id}")).unwrap_or_default())
}

/// The refusal of a conversation that is not kept here, or not for this caller.
pub fn conversation_not_found(id: &str) -> Refusal {
    let message = format!("Conversation with id '{id}' not found.");
    Refusal::new(404, RefusalKind::InvalidRequest, "conversation_not_found", message).about("conversation")
}

/// The same of an item.
pub fn no_item(id: &str) -> Refusal {
    let message =
        format!("Item with id '{id}' not found. Items of requests with `store: false` are not kept.");
    Refusal::new(404, RefusalKind::InvalidRequest, "item_not_found", message).about("input")
}
