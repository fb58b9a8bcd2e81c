//! The paths of responses and conversations that are kept here: reading, listing, changing, deleting. What was made by a
//! provider stays the provider's: ids of others, and requests that name it, go on to it.

use std::borrow::Cow;

use super::Shard;
use super::active::Active;
use super::answer::{self, Answer};
use super::body;
use super::client::Client;
use super::exchange::{Next, Stop, stop_before_body};
use super::owners;
use super::recall::{conversation_not_found, no_item};
use super::work::Work;
use crate::base::limits::{STATE_PAGE_ITEMS_MAX, STATE_PAGE_ITEMS_USUAL};
use crate::base::{Refusal, RefusalKind, Span};
use crate::dialect::endpoint::Endpoint;
use crate::offload::state::{Id, Missing, Page, Question, Reply};
use crate::wire::json::{Kind, Node};
use crate::wire::path::query_value;
use crate::wire::request::{Method, RequestBody};

/// Whether a path below `/v1` is one of these.
pub fn is_path(path: &[u8]) -> bool {
    path.starts_with(b"/responses/") || path == b"/conversations" || path.starts_with(b"/conversations/")
}

/// What is asked of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish<'p> {
    Response(&'p str),
    DeleteResponse(&'p str),
    Cancel(&'p str),
    InputItems(&'p str),
    NewConversation,
    Conversation(&'p str),
    UpdateConversation(&'p str),
    DeleteConversation(&'p str),
    Items(&'p str),
    AddItems(&'p str),
    Item(&'p str, &'p str),
    DeleteItem(&'p str, &'p str),
}

impl<'p> Wish<'p> {
    fn read(method: Method, path: &'p str) -> Option<Wish<'p>> {
        let mut parts = path.split('/').skip(1);
        let parts = [
            parts.next()?,
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        ];
        let method = if method == Method::Head { Method::Get } else { method };
        Some(match (method, parts) {
            (Method::Post, ["conversations", "", "", ""]) => Wish::NewConversation,
            (_, [_, "", ..]) => return None,
            (Method::Get, ["responses", id, "", ""]) => Wish::Response(id),
            (Method::Delete, ["responses", id, "", ""]) => Wish::DeleteResponse(id),
            (Method::Post, ["responses", id, "cancel", ""]) => Wish::Cancel(id),
            (Method::Get, ["responses", id, "input_items", ""]) => Wish::InputItems(id),
            (Method::Get, ["conversations", id, "", ""]) => Wish::Conversation(id),
            (Method::Post, ["conversations", id, "", ""]) => Wish::UpdateConversation(id),
            (Method::Delete, ["conversations", id, "", ""]) => Wish::DeleteConversation(id),
            (Method::Get, ["conversations", id, "items", ""]) => Wish::Items(id),
            (Method::Post, ["conversations", id, "items", ""]) => Wish::AddItems(id),
            (Method::Get, ["conversations", id, "items", item]) => Wish::Item(id, item),
            (Method::Delete, ["conversations", id, "items", item]) => Wish::DeleteItem(id, item),
            _ => return None,
        })
    }

    /// The id in the path, and the number in it when it is one of ours.
    fn id(self) -> (&'p str, Option<Id>) {
        match self {
            Wish::NewConversation => ("", None),
            Wish::Response(id) | Wish::DeleteResponse(id) | Wish::Cancel(id) | Wish::InputItems(id) => {
                (id, Id::of("resp_", id))
            }
            Wish::Conversation(id)
            | Wish::UpdateConversation(id)
            | Wish::DeleteConversation(id)
            | Wish::Items(id)
            | Wish::AddItems(id)
            | Wish::Item(id, _)
            | Wish::DeleteItem(id, _) => (id, Id::of("conv_", id)),
        }
    }

    fn is_response(self) -> bool {
        matches!(self, Wish::Response(_) | Wish::DeleteResponse(_) | Wish::Cancel(_) | Wish::InputItems(_))
    }

    /// The request's body says something.
    fn has_body(self) -> bool {
        matches!(self, Wish::NewConversation | Wish::UpdateConversation(_) | Wish::AddItems(_))
    }
}

/// Answers from what is kept. `None` when the request is a provider's to answer; nothing of its body was read then.
pub async fn answer(
    shard: &Shard,
    active: &Active,
    client: &mut Client,
    work: &mut Work,
    head_len: usize,
    rest: Span,
) -> Result<Option<Next>, Stop> {
    let snapshot = active.snapshot();
    let head = &client.input.filled()[..head_len];
    let (path, query) = (rest.of(head).to_vec(), work.request.query.of(head).to_vec());
    let path = String::from_utf8_lossy(&path);
    let wish = Wish::read(work.request.method, &path);
    let default = snapshot.default_provider.map(|at| &active.upstreams[at].provider);
    let has_own = default.is_some_and(|provider| provider.route(Endpoint::Responses).is_some());
    let Some(wish) = wish else { return Ok(None) };
    if snapshot.responses_bytes_max == 0 || query_value(&query, "provider").is_some() {
        return Ok(None);
    }
    let (text, id) = wish.id();
    if id.is_none() && has_own {
        return Ok(None);
    }
    if id.is_none() && wish != Wish::NewConversation {
        return Err(stop_before_body(work, not_found(wish, text)));
    }
    let owner = owners::keeper(client, work, head_len);
    let page = page(&query).map_err(|refusal| stop_before_body(work, refusal))?;
    let body = match wish.has_body() {
        true => body::read_held(shard, client, work, &snapshot.server, head_len)
            .await?
            .held(&client.input)
            .to_vec(),
        false => Vec::new(),
    };
    let question = question(shard, wish, id, page, &body)?;
    let document = match shard.ask_state(owner, question).await? {
        Reply::Document(document) => document,
        Reply::Missing(_) if has_own && !wish.has_body() => return Ok(None),
        Reply::Missing(Missing::Item(item)) => return Err(refuse(work, wish, no_item(&item))),
        _ => return Err(refuse(work, wish, not_found(wish, text))),
    };
    if let Some(refusal) = forbidden(wish, &query) {
        return Err(refuse(work, wish, refusal));
    }
    let is_read = wish.has_body() || matches!(work.request.body, RequestBody::None | RequestBody::Length(0));
    work.request.keep_alive &= is_read && !shard.is_draining.get();
    let timeout_ms = snapshot.server.write_timeout_ms;
    answer::send(shard, client, work, &Answer::json(&document), timeout_ms).await.map_err(|_| Stop::Gone)?;
    Ok(Some(if work.request.keep_alive { Next::KeepAlive } else { Next::Linger }))
}

/// Whether the provider may be asked for it: the operator may ask for anything, a tenant for what is its own.
pub async fn check(
    shard: &Shard,
    client: &Client,
    work: &Work,
    head_len: usize,
    rest: Span,
) -> Result<(), Stop> {
    let Some(tenant) = owners::tenant(work) else { return Ok(()) };
    let path = String::from_utf8_lossy(rest.of(&client.input.filled()[..head_len])).into_owned();
    let is_post = work.request.method == Method::Post;
    match Wish::read(work.request.method, &path) {
        Some(Wish::NewConversation) => Ok(()),
        Some(wish) => {
            let (id, _) = wish.id();
            match shard.is_of(tenant, owners::object_name(id)).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(stop_before_body(work, not_found(wish, id))),
                Err(refusal) => Err(stop_before_body(work, refusal)),
            }
        }
        None if is_post && FORGETFUL.contains(&path.as_str()) => Ok(()),
        None => {
            let message = format!("There is no endpoint /v1{path} for this key.");
            let refusal = Refusal::new(404, RefusalKind::InvalidRequest, "unknown_url", message);
            Err(stop_before_body(work, refusal))
        }
    }
}

/// Paths beside those of kept objects, behind which nothing is kept.
const FORGETFUL: [&str; 2] = ["/responses/compact", "/responses/input_tokens"];

fn refuse(work: &Work, wish: Wish<'_>, refusal: Refusal) -> Stop {
    if wish.has_body() { refusal.into() } else { stop_before_body(work, refusal) }
}

fn question(
    shard: &Shard,
    wish: Wish<'_>,
    id: Option<Id>,
    page: Page,
    body: &[u8],
) -> Result<Question, Refusal> {
    let mut members = Vec::new();
    let body = match body.trim_ascii() {
        b"" => Node::scanned(b"{}"),
        body => Node::document(body, &mut members)
            .map_err(|fault| Refusal::invalid(fault.code(), fault.sentence()))?,
    };
    let Some(id) = id else { return new_conversation(shard, body) };
    Ok(match wish {
        Wish::Response(_) | Wish::Cancel(_) => Question::Response(id),
        Wish::DeleteResponse(_) => Question::DeleteResponse(id),
        Wish::InputItems(_) => Question::ResponseItems(id, page),
        Wish::UpdateConversation(_) => Question::UpdateConversation { id, metadata: metadata(body)? },
        Wish::DeleteConversation(_) => Question::DeleteConversation(id),
        Wish::Items(_) => Question::ConversationItems(id, page),
        Wish::AddItems(_) => Question::AddItems { id, items: items(body)? },
        Wish::Item(_, item) => Question::ConversationItem(id, item.to_owned()),
        Wish::DeleteItem(_, item) => Question::DeleteItem(id, item.to_owned()),
        Wish::Conversation(_) | Wish::NewConversation => Question::Conversation(id),
    })
}

fn new_conversation(shard: &Shard, body: Node<'_>) -> Result<Question, Refusal> {
    let wall_ms = shard.wall_ms();
    let text = String::from_utf8_lossy(&shard.ids.next(wall_ms)).replace('-', "");
    let id = Id::of("", &text).ok_or_else(|| conversation_not_found(&text))?;
    let (metadata, items) = (metadata(body)?, items(body)?);
    Ok(Question::NewConversation { id, created_s: wall_ms / 1000, metadata, items })
}

fn metadata(body: Node<'_>) -> Result<Vec<u8>, Refusal> {
    let Some(value) = body.get("metadata") else { return Ok(b"{}".to_vec()) };
    if value.kind() != Kind::Object {
        return Err(Refusal::invalid("invalid_type", "`metadata` must be an object.").about("metadata"));
    }
    Ok(value.raw().to_vec())
}

/// The items of a request, as the elements of an array.
fn items(body: Node<'_>) -> Result<Vec<u8>, Refusal> {
    let Some(value) = body.get("items") else { return Ok(Vec::new()) };
    let is_object = |item: Node<'_>| item.kind() == Kind::Object;
    if value.kind() != Kind::Array || !value.items().all(is_object) {
        return Err(Refusal::invalid("invalid_type", "`items` must be an array of items.").about("items"));
    }
    let elements: Vec<&[u8]> = value.items().map(Node::raw).collect();
    Ok(elements.join(&b','))
}

fn page(query: &[u8]) -> Result<Page, Refusal> {
    let text = |name| query_value(query, name).map(|value| String::from_utf8_lossy(&value).into_owned());
    let limit = match text("limit") {
        None => STATE_PAGE_ITEMS_USUAL,
        Some(limit) => {
            limit.parse().ok().filter(|limit| (1..=STATE_PAGE_ITEMS_MAX).contains(limit)).ok_or_else(
                || {
                    let message = format!("`limit` must be a number from 1 to {STATE_PAGE_ITEMS_MAX}.");
                    Refusal::invalid("invalid_value", message).about("limit")
                },
            )?
        }
    };
    let is_descending = match text("order").as_deref() {
        None | Some("desc") => true,
        Some("asc") => false,
        Some(_) => {
            return Err(Refusal::invalid("invalid_value", "`order` must be `asc` or `desc`.").about("order"));
        }
    };
    Ok(Page { limit, is_descending, after: text("after") })
}

/// What cannot be done with a response that is there: none of ours ran in the background.
fn forbidden(wish: Wish<'_>, query: &[u8]) -> Option<Refusal> {
    let streams = || query_value(query, "stream").is_some_and(|value| *value == *b"true");
    match wish {
        Wish::Cancel(_) => {
            let message = "Cannot cancel a synchronous response.";
            Some(Refusal::invalid("response_not_cancellable", message))
        }
        Wish::Response(_) if streams() => {
            let message = "Only a response that ran in the background can be streamed again.";
            Some(Refusal::invalid("unsupported_field", message).about("stream"))
        }
        _ => None,
    }
}

fn not_found(wish: Wish<'_>, id: &str) -> Refusal {
    if !wish.is_response() {
        return conversation_not_found(id);
    }
    let message: Cow<'static, str> = format!("Response with id '{id}' not found.").into();
    Refusal::new(404, RefusalKind::InvalidRequest, "response_not_found", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_say_what_is_wished() {
        let check = |method, path, want| assert_eq!(Wish::read(method, path), want, "{path}");
        check(Method::Get, "/responses/r", Some(Wish::Response("r")));
        check(Method::Head, "/responses/r", Some(Wish::Response("r")));
        check(Method::Delete, "/responses/r", Some(Wish::DeleteResponse("r")));
        check(Method::Post, "/responses/r/cancel", Some(Wish::Cancel("r")));
        check(Method::Get, "/responses/r/input_items", Some(Wish::InputItems("r")));
        check(Method::Post, "/responses/input_tokens", None);
        check(Method::Post, "/responses/compact", None);
        check(Method::Post, "/conversations", Some(Wish::NewConversation));
        check(Method::Get, "/conversations", None);
        check(Method::Post, "/conversations/c", Some(Wish::UpdateConversation("c")));
        check(Method::Get, "/conversations/c/items", Some(Wish::Items("c")));
        check(Method::Delete, "/conversations/c/items/i", Some(Wish::DeleteItem("c", "i")));
        check(Method::Get, "/conversations/c/other", None);
    }

    #[test]
    fn pages_have_defaults_and_bounds() {
        let usual = page(b"").expect("defaults");
        assert_eq!((usual.limit, usual.is_descending, usual.after), (20, true, None));
        let other = page(b"limit=3&order=asc&after=msg_1").expect("a page");
        assert_eq!((other.limit, other.is_descending, other.after.as_deref()), (3, false, Some("msg_1")));
        for bad in [&b"limit=0"[..], b"limit=101", b"limit=x", b"order=up"] {
            assert_eq!(page(bad).expect_err("out of bounds").code, "invalid_value");
        }
    }
}
