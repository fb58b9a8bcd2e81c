//! What a request means: the model that it names, the provider that has it, the edits of its body, and where it goes.

use std::borrow::Cow;
use std::rc::Rc;

use super::Shard;
use super::active::Active;
use super::answer;
use super::asking;
use super::body::Body;
use super::client::Client;
use super::collection::{self, Collection};
use super::count;
use super::credential;
use super::exchange::Stop;
use super::meaning::{Found, await_target, look_up};
use super::outgoing::{self, Outgoing};
use super::owners::{self, Owner};
use super::recall::{self, Recalled};
use super::route::{self, Asked, Target};
use super::stored;
use super::stream;
use super::transcode;
use super::work::Work;
use crate::base::{Refusal, Span};
use crate::dialect::endpoint::Endpoint;
use crate::dialect::translate::Translation;
use crate::provider::{Provider, Route, edit, file::UsageInStreams};
use crate::wire::head::Known;
use crate::wire::json::{self, Kind};
use crate::wire::multipart::{self, FieldSearch};
use crate::wire::path;
use crate::wire::request::Method;

/// What the request means: which endpoint of which provider, and what its body asks for.
pub struct Call {
    pub endpoint: Endpoint,
    /// The provider's endpoint; another one than the client's where they speak different dialects.
    pub egress: Endpoint,
    /// The way back between the two dialects.
    pub translation: Option<Box<Translation>>,
    pub target: Target,
    /// The name that the caller used, where it stands for another one.
    pub requested: Option<Rc<str>>,
    /// The model takes the place of one for which a budget is used up.
    pub is_instead: bool,
    /// The body asks for a stream of events.
    pub wants_stream: bool,
    /// We asked for usage in the stream; the client did not, and will not see it.
    pub hides_usage: bool,
    /// The path goes to the provider as it came, and so do its errors.
    pub is_passthrough: bool,
    /// Sending it a second time does no harm, even when the provider has seen it.
    pub is_repeatable: bool,
    /// Fields that the provider's file made us change, for a header.
    pub edited: Vec<String>,
    /// Fields that the provider's dialect cannot say, for a header.
    pub dropped: Vec<String>,
    /// What was found for the request, and what its answer is kept with.
    pub recalled: Option<Box<Recalled>>,
    /// What is asked of files or batches.
    pub collection: Option<Box<Collection>>,
    /// The provider's first key, and none in turn: what the request speaks of is known to that one.
    pub keeps_credential: bool,
    /// Whose it is what the provider makes for the request; `None` for the operator, and where it makes nothing to keep.
    pub owner: Option<Box<Owner>>,
}

impl Call {
    /// The provider speaks another dialect than the client.
    pub fn is_translated(&self) -> bool {
        self.translation.is_some() || self.egress != self.endpoint
    }

    /// A call that is passed on to this endpoint of the target in its own dialect.
    pub fn to(endpoint: Endpoint, target: Target) -> Call {
        Call {
            endpoint,
            egress: endpoint,
            translation: None,
            target,
            requested: None,
            is_instead: false,
            wants_stream: false,
            hides_usage: false,
            is_passthrough: endpoint == Endpoint::Other,
            is_repeatable: true,
            edited: Vec::new(),
            dropped: Vec::new(),
            recalled: None,
            collection: None,
            keeps_credential: false,
            owner: None,
        }
    }
}

/// Finds out what the request means, and prepares the edits of its body. `instead` is a model that is asked in the place of
/// the one that the request names.
#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each borrowed on its own")]
pub async fn understand(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    head_len: usize,
    asked: Asked,
    body: &mut Body,
    instead: Option<&str>,
) -> Result<Call, Stop> {
    work.edits.clear();
    work.object.clear();
    let (endpoint, in_path) = match asked {
        Asked::Api(endpoint, _) => (endpoint, None),
        Asked::ApiOfModel(endpoint, model) => (endpoint, Some(model)),
        Asked::Collection(endpoint, rest) => {
            let asked = (endpoint, rest);
            return Box::pin(collection::understand(shard, active, client, work, head_len, asked, body))
                .await;
        }
        _ => return passthrough(active, client, work, head_len, asked),
    };
    let head = &client.input.filled()[..head_len];
    let query = work.request.query.of(head);
    let hint = if query.is_empty() { None } else { path::query_value(query, "provider") };
    let model = named_model(client, work, head_len, endpoint, in_path, body)?;
    let model_at = model.as_ref().and_then(|(_, at)| *at);
    let named = model.map(|(name, _)| name);
    // The provider that the query names is that of the request's own model.
    let hint = hint.filter(|_| instead.is_none());
    let (found, requested) = look_up(shard, active, work, named, instead, hint)?;
    let target = match found {
        Found::Target(target) => target,
        Found::NotYet(model, hint) => Box::pin(await_target(shard, active, client, model, hint)).await?,
    };
    let owner = owner(shard, client, work, head_len, asked, body, &target).await?;
    count::answer_here(&target.upstream.provider, asked, endpoint, client, body)?;
    let wants_stream = wants_stream(client, work, endpoint, body);
    let provider = &target.upstream.provider;
    let egress = egress(provider, endpoint, &target.model, wants_stream)?;
    // Where another name stands for it, the body has that one.
    let is_renamed = target.is_qualified || requested.is_some();
    let is_instead = instead.is_some();
    let mut call = Call { egress, requested, is_instead, wants_stream, owner, ..Call::to(endpoint, target) };
    call.is_repeatable = !call.is_passthrough || is_repeatable(client, work, head_len);
    let is_renamed = is_renamed && egress == endpoint && !call.target.upstream.provider.drops_model();
    if let Some(at) = model_at.filter(|_| is_renamed) {
        rename(work, body, at, &call.target.model);
    }
    if endpoint == Endpoint::Responses && egress != endpoint {
        call.recalled = Some(Box::pin(recall::recall(shard, active, client, work, head_len, body)).await?);
    }
    transcode::transcode(shard, active, client, work, head_len, body, &mut call)?;
    if !work.members.is_empty() {
        let document = body.held(&client.input);
        call.keeps_credential =
            collection::splice_ids(active, &call.target.upstream, document, &mut work.edits)?;
    }
    if call.translation.is_none() {
        transcode::sweep(body.held(&client.input), work, &mut call);
    }
    if endpoint != Endpoint::Other {
        prepare_edits(active, client, work, body, &mut call);
    }
    Ok(call)
}

/// Puts the model's own name into the body, or into the form that streams.
fn rename(work: &mut Work, body: &Body, at: Span, model: &str) {
    work.edits.replace_by(at, |text| match body {
        Body::Streaming(_) => text.extend_from_slice(model.as_bytes()),
        _ => json::write_string(model, text),
    });
}

/// Refuses what is another tenant's, and says who owns what the provider may keep for this request: a response, or a
/// conversation. Nobody in particular does where the operator asks.
async fn owner(
    shard: &Shard,
    client: &Client,
    work: &Work,
    head_len: usize,
    asked: Asked,
    body: &Body,
    target: &Target,
) -> Result<Option<Box<Owner>>, Stop> {
    let (Asked::Api(endpoint, _) | Asked::ApiOfModel(endpoint, _)) = asked else { return Ok(None) };
    if work.caller.key.is_none() {
        return Ok(None);
    }
    let provider = &target.upstream.provider;
    let egress = transcode::egress(provider, endpoint, &target.model, false).unwrap_or(endpoint);
    owners::check(shard, client, work, body, endpoint, egress, provider).await?;
    let is_kept = match asked {
        Asked::Api(Endpoint::Other, rest)
            if !stored::is_path(rest.of(&client.input.filled()[..head_len])) =>
        {
            let path = String::from_utf8_lossy(rest.of(&client.input.filled()[..head_len])).into_owned();
            owners::check_path(shard, work, &path).await?
        }
        Asked::Api(Endpoint::Responses, _) => egress == Endpoint::Responses,
        Asked::Api(Endpoint::Other, rest) => {
            let path = rest.of(&client.input.filled()[..head_len]);
            work.request.method == Method::Post && stored::is_path(path)
        }
        _ => false,
    };
    Ok(is_kept.then(|| Owner::of(work, provider)).flatten())
}

/// The provider's endpoint for the request, or the refusal where it has none.
fn egress(
    provider: &Provider,
    endpoint: Endpoint,
    model: &str,
    wants_stream: bool,
) -> Result<Endpoint, Refusal> {
    transcode::egress(provider, endpoint, model, wants_stream).ok_or_else(|| no_endpoint(provider, endpoint))
}

/// The refusal where a provider does not have the endpoint.
pub fn no_endpoint(provider: &Provider, endpoint: Endpoint) -> Refusal {
    let message = format!("The provider `{}` has no {} endpoint.", provider.name, endpoint.name());
    Refusal::invalid("unsupported_endpoint", message)
}

/// Whether the request asks for a stream: by its path, or by its body.
fn wants_stream(client: &Client, work: &Work, endpoint: Endpoint, body: &Body) -> bool {
    let document = body.held(&client.input);
    let is_true = |member: &json::Member| member.kind == Kind::True;
    endpoint == Endpoint::GenerateStream
        || (endpoint.streams() && json::find(&work.members, document, "stream").is_some_and(is_true))
}

fn passthrough(
    active: &Active,
    client: &Client,
    work: &mut Work,
    head_len: usize,
    asked: Asked,
) -> Result<Call, Stop> {
    // What stands in it are places in the body of another request.
    work.members.clear();
    let Asked::Passthrough { provider, .. } = asked else { unreachable!("the caller matched the endpoints") };
    let name = provider.of(client.input.filled());
    let upstream = active.by_name(name).ok_or_else(|| Stop::from(route::unknown_provider(name)))?;
    let target =
        Target { upstream: upstream.clone(), model: Rc::default(), is_qualified: false, is_known: false };
    let is_repeatable = is_repeatable(client, work, head_len);
    Ok(Call { is_repeatable, ..Call::to(Endpoint::Other, target) })
}

/// Whether sending it twice does no harm, as far as its head tells.
pub fn is_repeatable(client: &Client, work: &Work, head_len: usize) -> bool {
    let head = &client.input.filled()[..head_len];
    outgoing::is_repeatable(work.request.method, &work.request.headers, head)
}

/// A model's name, and its place in the body where it stands there.
type Named<'b> = (Cow<'b, str>, Option<Span>);

/// The model that the path or the body names, with its place in the body. Bodies of known endpoints must be objects;
/// others may be anything, and then name none.
fn named_model<'b>(
    client: &'b Client,
    work: &mut Work,
    head_len: usize,
    endpoint: Endpoint,
    in_path: Option<Span>,
    body: &'b Body,
) -> Result<Option<Named<'b>>, Stop> {
    work.members.clear();
    if let Body::Streaming(inflow) = body {
        let content_type = work.request.headers.find(Known::ContentType).unwrap_or_default();
        let boundary = multipart::boundary(content_type.of(&client.input.filled()[..head_len]));
        let Some(boundary) = boundary else { return Ok(None) };
        return match multipart::find_field(&inflow.peeked, boundary, "model") {
            FieldSearch::Found(at) => {
                Ok(std::str::from_utf8(at.of(&inflow.peeked)).ok().map(|m| (m.into(), Some(at))))
            }
            FieldSearch::Twice => {
                let refusal = Refusal::invalid("duplicate_key", "The field `model` stands more than once.");
                Err(Stop::refuse_and_close(refusal.about("model")))
            }
            FieldSearch::Absent | FieldSearch::NotYet => Ok(None),
        };
    }
    let document = body.held(&client.input);
    if let Err(fault) = json::scan_object(document, &mut work.members) {
        work.members.clear();
        let is_ambiguous = matches!(fault, json::JsonFault::DuplicateKey { .. });
        if endpoint == Endpoint::Other && !is_ambiguous {
            return Ok(None);
        }
        let mut refusal = Refusal::invalid(fault.code(), fault.sentence());
        refusal.param = fault.field().map(str::to_owned);
        return Err(refusal.into());
    }
    if let Some(in_path) = in_path {
        let model = route::model_id(in_path.of(client.input.filled())).unwrap_or_default();
        return Ok(Some((model.into(), None)));
    }
    let Some(member) = json::find(&work.members, document, "model") else { return Ok(None) };
    match json::string_value(document, member) {
        Some(model) => Ok(Some((model, Some(member.value)))),
        None if endpoint == Endpoint::Other => Ok(None),
        None => Err(Refusal::invalid("invalid_type", "`model` must be a string.").about("model").into()),
    }
}

/// The edits that the provider needs, and the question for usage in streams.
fn prepare_edits(active: &Active, client: &Client, work: &mut Work, body: &Body, call: &mut Call) {
    let provider = &call.target.upstream.provider;
    let document = body.held(&client.input);
    let Work { members, edits, object, .. } = work;
    let is_openai = matches!(call.egress, Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings);
    // The edits speak of the provider's main dialect.
    if is_openai || provider.route(Endpoint::Chat).is_none() {
        call.edited.extend(edit::apply(&provider.edits, document, members, edits, object));
    }
    let asks = active.snapshot().ask_usage_in_streams && provider.usage_in_streams == UsageInStreams::Ask;
    if call.wants_stream && asks && is_openai && call.translation.is_none() {
        call.hides_usage = stream::ask_for_usage(document, members, edits, object);
    }
    let brace_at = document.iter().rposition(|&b| b == b'}').unwrap_or_default();
    object.apply(members, brace_at, edits);
}

/// The request as it goes to the provider, but for the credential. Its target is put into `Work::target`.
pub fn prepare_outgoing(
    client: &Client,
    work: &mut Work,
    head_len: usize,
    asked: Asked,
    call: &Call,
    body: &Body,
) -> Result<Outgoing, Stop> {
    let head = &client.input.filled()[..head_len];
    let provider = &call.target.upstream.provider;
    let query = work.request.query.of(head);
    credential::check_signable(provider, body)?;
    let mut target = std::mem::take(&mut work.target);
    target.clear();
    match asked {
        Asked::Passthrough { rest, .. } => {
            let rest = rest.of(head);
            check_path(rest)?;
            // `/p/name/v1/…` is the same as `/p/name/…` where the base URL ends in the version.
            let again = if provider.base_path.ends_with("/v1") { rest.strip_prefix(b"/v1") } else { None };
            target.extend_from_slice(provider.base_path.as_bytes());
            target.extend_from_slice(again.filter(|rest| rest.starts_with(b"/")).unwrap_or(rest));
            add_queries(&mut target, provider.query.as_bytes(), query);
        }
        Asked::Collection(..) => {
            let Some(collection) = &call.collection else { unreachable!("it was understood as one") };
            asking::write_target(call, collection, query, &mut target);
            check_path(target.split(|&b| b == b'?').next().unwrap_or_default())?;
        }
        Asked::Api(Endpoint::Other, rest) => {
            check_path(rest.of(head))?;
            target.extend_from_slice(provider.base_path.as_bytes());
            target.extend_from_slice(rest.of(head));
            add_queries(&mut target, provider.query.as_bytes(), &without_hint(query));
        }
        _ => {
            let route = provider.route_for(call.egress, call.wants_stream);
            if let Some(route) = route {
                route.write(&call.target.model, &mut target);
            }
            match (asked, &call.translation) {
                // Its own query speaks of another dialect.
                (_, Some(_)) => {}
                (Asked::ApiOfModel(..), None) => {
                    // How a stream is framed is the client's to say.
                    let end = memchr::memchr(b'?', &target).unwrap_or(target.len());
                    target.truncate(end);
                    add_query(&mut target, &without_key(&without_hint(query)));
                }
                // What it says of the usual path may be refused on this one.
                _ if route.is_some_and(Route::names_model) => {}
                _ => add_query(&mut target, &without_hint(query)),
            }
        }
    }
    let held = body.held(&client.input).len();
    work.target = target;
    Ok(Outgoing::new(work, body, held))
}

fn check_path(rest: &[u8]) -> Result<(), Stop> {
    path::check_forwardable(rest).map_err(|bad| Stop::refuse_and_close(answer::of_malformed(bad)))
}

fn without_hint(query: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    if query.is_empty() {
        return kept;
    }
    path::query_without(query, "provider", &mut kept);
    kept
}

/// A key in the query is the caller's for us.
fn without_key(query: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    path::query_without(query, "key", &mut kept);
    kept
}

/// The provider's own query, then the client's without what the provider's has.
fn add_queries(target: &mut Vec<u8>, own: &[u8], of_client: &[u8]) {
    add_query(target, own);
    let mut rest = of_client.to_vec();
    for pair in own.split(|&b| b == b'&').filter(|pair| !pair.is_empty()) {
        let name = String::from_utf8_lossy(pair.split(|&b| b == b'=').next().unwrap_or_default());
        let mut kept = Vec::new();
        path::query_without(&rest, &name, &mut kept);
        rest = kept;
    }
    add_query(target, &rest);
}

fn add_query(target: &mut Vec<u8>, query: &[u8]) {
    if !query.is_empty() {
        target.push(if target.contains(&b'?') { b'&' } else { b'?' });
        target.extend_from_slice(query);
    }
}
