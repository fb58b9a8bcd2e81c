//! Requests for files and batches: which provider they are for, and its own ids in the place of ours. An id that a client
//! was given names its provider, so that nothing has to be remembered; the rest of a body keeps its bytes.

use std::borrow::Cow;
use std::rc::Rc;

use super::Shard;
use super::active::{Active, Upstream};
use super::batch::{self, Wish};
use super::body::Body;
use super::call::{self, Call};
use super::client::Client;
use super::exchange::Stop;
use super::inline::Inline;
use super::meaning;
use super::naming::{Naming, results_base};
use super::owners::{self, Owner};
use super::route::{self, Target};
use super::upload::{self, Lines};
use super::work::Work;
use crate::base::{Refusal, RefusalKind, Span};
use crate::dialect::batches::{self, Api, Form};
use crate::dialect::collection;
use crate::dialect::endpoint::Endpoint;
use crate::offload::state::Id;
use crate::provider::{Provider, ids};
use crate::wire::head::Known;
use crate::wire::json::{self, Node};
use crate::wire::multipart;
use crate::wire::path::{percent_decoded, query_value};
use crate::wire::request::Method;
use crate::wire::splice::Edits;

/// What is asked of a collection, and what its answer needs.
pub struct Collection {
    /// The provider's own id, and what stands behind it in the path.
    pub id: Option<String>,
    pub action: Vec<u8>,
    /// All of it is asked for.
    pub is_list: bool,
    pub reads: Reads,
    pub naming: Naming,
    /// Requests that have to become a file first.
    pub inline: Option<Inline>,
}

/// How an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Content of a file or of results, which passes as it is.
    Content,
    /// Objects of the caller's own API, in which ids are named.
    Objects,
    /// A batch of another API that is shown as one of this form; a list of them; the lines of its results.
    Batch(Api, Form),
    Batches(Api),
    Results(Api, Form),
    /// An answer to cancelling a batch that says nothing of it.
    Cancelled(Form),
}

/// The place of the path behind the collection's own: empty, or an id with what follows.
fn parts(rest: &[u8]) -> (Option<String>, Vec<u8>) {
    let Some(rest) = rest.strip_prefix(b"/").filter(|rest| !rest.is_empty()) else {
        return (None, Vec::new());
    };
    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    (Some(String::from_utf8_lossy(&percent_decoded(&rest[..end])).into_owned()), rest[end..].to_vec())
}

/// Finds out what a request for a collection means.
pub async fn understand(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    head_len: usize,
    (endpoint, rest): (Endpoint, Span),
    body: &mut Body,
) -> Result<Call, Stop> {
    let head = &client.input.filled()[..head_len];
    let (id, action) = parts(rest.of(head));
    let results_base = results_base(active, head, work);
    let (method, query) = (work.request.method, work.request.query.of(head).to_vec());
    let mut wanted = Wanted { endpoint, upstream: None, model: None };
    if let Some(name) = query_value(&query, "provider") {
        wanted.name(active, &String::from_utf8_lossy(&name), "provider")?;
    }
    let own_id = match &id {
        None => None,
        Some(id) => Some(wanted.id(active, id)?.to_owned()),
    };
    for name in CURSORS {
        if let Some(value) = query_value(&query, name) {
            wanted.id(active, &String::from_utf8_lossy(&value))?;
        }
    }
    let is_new = id.is_none() && method == Method::Post;
    read_body(active, client, work, head_len, body, is_new, &mut wanted)?;
    let target = wanted.target(shard, active, client).await?;
    let provider = target.upstream.provider.clone();
    let mut call = Call::to(endpoint, target);
    call.owner = Owner::of(work, &provider);
    call.is_repeatable = call::is_repeatable(client, work, head_len);
    // A file is visible to the key that brought it.
    call.keeps_credential = true;
    let own = own_id.as_deref().map(|id| batches::own_id(id).1.to_owned());
    let naming =
        Naming { ending: ids::ending(&provider.name), own_id: own.unwrap_or_default(), results_base };
    call.egress = egress(&provider, endpoint).unwrap_or(endpoint);
    // Results that come in pages are a file that the provider does not know.
    let is_in_pages = own_id.as_deref().is_some_and(batches::is_results) && action == b"/content";
    if is_in_pages && provider.route(Endpoint::PagedBatches).is_some() {
        call.egress = Endpoint::PagedBatches;
    }
    if let (Some(owner), Some(id)) = (&call.owner, &own_id) {
        check_id(shard, owner, &call, id).await?;
    }
    owners::check(shard, client, work, body, endpoint, call.egress, &provider).await?;
    let inline;
    let reads = if let Some(api) = Api::of(call.egress).filter(|_| call.egress != endpoint) {
        let (id, action, ending) = (own_id.as_deref(), &action[..], &naming.ending[..]);
        let wish = Wish { provider: &provider, endpoint, api, method, id, action, ending };
        let prepared = Box::pin(batch::prepare(shard, active, client, work, head_len, &wish, body)).await?;
        (call.target.model, inline) = (prepared.model.into(), prepared.inline);
        prepared.reads
    } else {
        inline = self::inline(active, client, work, body, &call)?;
        if inline.is_none() {
            splice_body(active, client, work, body, &call)?;
            if let (Body::Streaming(inflow), Some(owner)) = (&mut *body, &call.owner) {
                upload::check_lines(shard, owner, inflow).await?;
            }
        }
        if matches!(&action[..], b"/content" | b"/results") { Reads::Content } else { Reads::Objects }
    };
    let is_list = own_id.is_none() && method == Method::Get;
    call.collection = Some(Box::new(Collection { id: own_id, is_list, action, reads, naming, inline }));
    Ok(call)
}

/// Refuses an object that is not the caller's. What the gateway keeps itself is looked for under the caller's own name.
async fn check_id(shard: &Shard, owner: &Owner, call: &Call, id: &str) -> Result<(), Stop> {
    let is_kept_here = call.egress != call.endpoint
        && call.endpoint == Endpoint::Files
        && Id::of(batches::FILE, id).is_some();
    let name = owners::file_name(id, &call.target.upstream.provider.name);
    if is_kept_here || shard.is_of(owner.tenant(), name).await? {
        return Ok(());
    }
    Err(owners::no_object(id).into())
}

/// The query's parameters that are ids.
pub const CURSORS: [&str; 3] = ["after", "after_id", "before_id"];

/// Whom a request is for, as far as it has said.
struct Wanted {
    endpoint: Endpoint,
    upstream: Option<Rc<Upstream>>,
    model: Option<String>,
}

impl Wanted {
    /// The request names a provider. What it names twice must be the same.
    fn name(&mut self, active: &Active, name: &str, field: &str) -> Result<(), Refusal> {
        let named =
            active.by_name(name.as_bytes()).ok_or_else(|| route::unknown_provider(name.as_bytes()))?;
        match &self.upstream {
            Some(upstream) if !Rc::ptr_eq(upstream, named) => {
                let (one, other) = (&upstream.provider.name, &named.provider.name);
                let message = format!(
                    "The request is for two providers, `{one}` and `{other}`: files and batches of one are not known \
                     to the other."
                );
                Err(Refusal::invalid("providers_differ", message).about(field))
            }
            _ => {
                self.upstream = Some(named.clone());
                Ok(())
            }
        }
    }

    /// The request has this id. Gives the provider's own.
    fn id<'i>(&mut self, active: &Active, id: &'i str) -> Result<&'i str, Refusal> {
        let (own, name) = ids::split(id);
        if let Some(name) = name {
            self.name(active, name, "id")?;
        }
        Ok(own)
    }

    /// The provider: the one that is named, that of the model, the default one if it has the endpoint, or the only one that
    /// has it, before those that have it by another's API.
    async fn target(self, shard: &Shard, active: &Rc<Active>, client: &mut Client) -> Result<Target, Stop> {
        let endpoint = self.endpoint;
        let has = |upstream: &&Rc<Upstream>| egress(&upstream.provider, endpoint).is_some();
        if let Some(upstream) = self.upstream {
            return if has(&&upstream) {
                Ok(plain(&upstream))
            } else {
                Err(unsupported(&upstream, endpoint).into())
            };
        }
        if let Some(model) = self.model {
            let target = Box::pin(meaning::await_target(shard, active, client, Some(model), None)).await?;
            let upstream = &target.upstream;
            return if has(&upstream) {
                Ok(plain(upstream))
            } else {
                Err(unsupported(upstream, endpoint).into())
            };
        }
        let default = active.snapshot().default_provider.map(|at| &active.upstreams[at]);
        if let Some(upstream) = default.filter(has) {
            return Ok(plain(upstream));
        }
        let has_own = |upstream: &&Rc<Upstream>| upstream.provider.route(endpoint).is_some();
        let mut own: Vec<_> = active.upstreams.iter().filter(has_own).collect();
        if own.is_empty() {
            own = active.upstreams.iter().filter(has).collect();
        }
        match own[..] {
            [only] => Ok(plain(only)),
            [] => Err(nobody(endpoint).into()),
            _ => Err(which_provider(active, endpoint).into()),
        }
    }
}

/// The provider's endpoint for a collection: its own, or the batches of another API for OpenAI's and for the files they are
/// made of.
fn egress(provider: &Provider, endpoint: Endpoint) -> Option<Endpoint> {
    let has = |endpoint: &Endpoint| provider.route(*endpoint).is_some();
    let is_openais = matches!(endpoint, Endpoint::Files | Endpoint::Batches);
    let others =
        [Endpoint::MessageBatches, Endpoint::GenerateBatches, Endpoint::BatchJobs, Endpoint::PagedBatches];
    Some(endpoint).filter(has).or_else(|| others.into_iter().find(|other| is_openais && has(other)))
}

/// The model of such a request is not what it is counted under.
fn plain(upstream: &Rc<Upstream>) -> Target {
    Target { upstream: upstream.clone(), model: Rc::default(), is_qualified: false, is_known: false }
}

/// Reads from the body whom the request is for. Bodies that stream through are looked at as far as they have come.
fn read_body(
    active: &Rc<Active>,
    client: &Client,
    work: &mut Work,
    head_len: usize,
    body: &mut Body,
    is_new: bool,
    wanted: &mut Wanted,
) -> Result<(), Stop> {
    work.members.clear();
    if let Body::Streaming(inflow) = body {
        let content_type = work.request.headers.find(Known::ContentType).unwrap_or_default();
        let Some(boundary) = multipart::boundary(content_type.of(&client.input.filled()[..head_len])) else {
            return Ok(());
        };
        let looked = upload::look(&inflow.peeked, boundary);
        if let Some(name) = &looked.provider {
            wanted.name(active, name, "provider").map_err(Stop::refuse_and_close)?;
        }
        wanted.model = looked.model;
        return Ok(());
    }
    let document = body.held(&client.input);
    if document.trim_ascii().is_empty() {
        return Ok(());
    }
    let document = Node::document(document, &mut work.members).map_err(|fault| {
        let mut refusal = Refusal::invalid(fault.code(), fault.sentence());
        refusal.param = fault.field().map(str::to_owned);
        refusal
    })?;
    let mut found = Vec::new();
    collection::file_ids(document, &mut found);
    for id in found.into_iter().filter_map(Node::text) {
        wanted.id(active, &id)?;
    }
    let models = if is_new { collection::batch_models(document) } else { Vec::new() };
    wanted.model = models.first().and_then(|model| model.text()).map(Cow::into_owned);
    Ok(())
}

/// The requests that a new batch brings with it, where its provider makes batches of files.
fn inline(
    active: &Rc<Active>,
    client: &Client,
    work: &Work,
    body: &Body,
    call: &Call,
) -> Result<Option<Inline>, Refusal> {
    let provider = &call.target.upstream.provider;
    let document = Node::scanned(body.held(&client.input));
    let is_inline = call.endpoint == Endpoint::Batches && document.get("requests").is_some();
    if work.members.is_empty() || !is_inline {
        return Ok(None);
    }
    if provider.route(Endpoint::Files).is_none() {
        return Err(unsupported(&call.target.upstream, Endpoint::Files));
    }
    Inline::read(active, &provider.name, document).map(Some)
}

/// Puts the provider's ids and models into the body.
fn splice_body(
    active: &Rc<Active>,
    client: &Client,
    work: &mut Work,
    body: &mut Body,
    call: &Call,
) -> Result<(), Stop> {
    let provider = &call.target.upstream.provider;
    if let Body::Streaming(inflow) = body {
        let content_type = work.request.headers.find(Known::ContentType).unwrap_or_default();
        let Some(boundary) = multipart::boundary(content_type.of(client.input.filled())) else {
            return Ok(());
        };
        let looked = upload::look(&inflow.peeked, boundary);
        looked.ours.iter().for_each(|&part| work.edits.remove(part));
        if looked.is_batch {
            let mut lines = Box::new(Lines::new(active.clone(), provider.name.clone()));
            lines.is_guarded = call.owner.is_some();
            let is_ended = inflow.is_ended();
            lines.pass(&mut inflow.peeked, is_ended).map_err(Stop::refuse_and_close)?;
            inflow.lines = Some(lines);
        }
        return Ok(());
    }
    let held = body.held(&client.input);
    if work.members.is_empty() {
        return Ok(());
    }
    let document = Node::scanned(held);
    splice_ids(active, &call.target.upstream, held, &mut work.edits)?;
    for model in collection::batch_models(document) {
        let Some(text) = model.text() else { continue };
        if let Some(own) = own_model(active, &provider.name, &text)? {
            let mut spelled = Vec::new();
            json::write_string(own, &mut spelled);
            work.edits.replace(model.place_in(held), &spelled);
        }
    }
    Ok(())
}

/// The model without the name of its provider; `None` when that does not stand before it. A batch is one provider's.
pub fn own_model<'m>(active: &Active, provider: &str, model: &'m str) -> Result<Option<&'m str>, Refusal> {
    let Some((name, own)) = model.split_once('/').filter(|(_, own)| !own.is_empty()) else { return Ok(None) };
    if name == provider {
        return Ok(Some(own));
    }
    if active.by_name(name.as_bytes()).is_none() {
        return Ok(None);
    }
    let message = format!(
        "The batch is for the provider `{provider}` and has a request for `{model}`: a batch has one provider."
    );
    Err(Refusal::invalid("providers_differ", message).about("model"))
}

/// Replaces ids of files in a scanned body by the provider's own. True when there were any.
pub fn splice_ids(
    active: &Active,
    upstream: &Upstream,
    document: &[u8],
    edits: &mut Edits,
) -> Result<bool, Refusal> {
    let provider = &upstream.provider.name;
    let mut has_any = false;
    for (place, own) in own_ids(active, provider, document)? {
        let mut spelled = Vec::new();
        json::write_string(&own, &mut spelled);
        if !edits.touches(place) {
            edits.replace(place, &spelled);
        }
        has_any = true;
    }
    Ok(has_any)
}

/// The places of ids that name a provider, each with the provider's own id. All must be of this one.
pub fn own_ids(active: &Active, provider: &str, document: &[u8]) -> Result<Vec<(Span, String)>, Refusal> {
    // Nearly all bodies end here.
    if memchr::memchr(ids::MARK as u8, document).is_none() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    collection::file_ids(Node::scanned(document), &mut found);
    let mut own_ids = Vec::new();
    for node in found {
        let Some(text) = node.text() else { continue };
        let (own, Some(name)) = ids::split(&text) else { continue };
        if name != provider {
            return Err(foreign(active, &text, name, provider));
        }
        own_ids.push((node.place_in(document), own.to_owned()));
    }
    Ok(own_ids)
}

fn foreign(active: &Active, id: &str, name: &str, provider: &str) -> Refusal {
    let message = match active.by_name(name.as_bytes()) {
        Some(_) => {
            format!("The file `{id}` is one of the provider `{name}`, and the request is for `{provider}`.")
        }
        None => format!("The file `{id}` is one of the provider `{name}`, which is not configured here."),
    };
    Refusal::invalid("file_of_other_provider", message).about("file_id")
}

fn unsupported(upstream: &Upstream, endpoint: Endpoint) -> Refusal {
    call::no_endpoint(&upstream.provider, endpoint)
}

fn nobody(endpoint: Endpoint) -> Refusal {
    let message = format!("No provider here has a {} endpoint.", endpoint.name());
    Refusal::new(501, RefusalKind::InvalidRequest, "unsupported_endpoint", message)
}

fn which_provider(active: &Active, endpoint: Endpoint) -> Refusal {
    let all = active.upstreams.iter().filter(|upstream| egress(&upstream.provider, endpoint).is_some());
    let names: Vec<String> = all.map(|upstream| format!("`{}`", upstream.provider.name)).collect();
    let message = format!(
        "The request does not say whose {} it means. Name one of {} with `?provider=`, or set models.default_provider.",
        endpoint.name(),
        names.join(", ")
    );
    Refusal::invalid("provider_required", message).about("provider")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_an_id_and_what_is_asked_of_it() {
        let check = |rest: &str, id: Option<&str>, action: &str| {
            assert_eq!(parts(rest.as_bytes()), (id.map(str::to_owned), action.as_bytes().to_vec()), "{rest}");
        };
        check("", None, "");
        check("/", None, "");
        check("/file-1~a", Some("file-1~a"), "");
        check("/file-1%7Ea/content", Some("file-1~a"), "/content");
        check("/b/cancel/x", Some("b"), "/cancel/x");
    }
}
