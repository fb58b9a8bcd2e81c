//! One request and its answer, in a straight line: read, scan, admit, plan, attempt, relay, settle.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use super::active::Active;
use super::answer::{self, Answer};
use super::attempt::{self, Outgoing};
use super::body::{self, Body};
use super::client::Client;
use super::relay::{self, Relayed};
use super::route::{self, Asked, Target};
use super::tally::{Tally, WasWaitedFor};
use super::work::Work;
use super::{Shard, stream};
use crate::base::limits::{CATALOGUE_WAIT_MS_MAX, REQUEST_ID_BYTES_MAX};
use crate::base::{Refusal, RefusalKind, Span};
use crate::dialect::endpoint::Endpoint;
use crate::policy::admit;
use crate::provider::{edit, file::UsageInStreams};
use crate::wire::head::Known;
use crate::wire::json::{self, Kind};
use crate::wire::multipart::{self, FieldSearch};
use crate::wire::path;
use crate::wire::request::{Method, RequestBody, read_request};

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    KeepAlive,
    /// Our answer is whole; the client may still be sending.
    Linger,
    Close,
    /// The answer is not whole, and must not look it.
    Abort,
}

/// Why an exchange ends before it has an answer of an upstream.
#[derive(Debug)]
pub enum Stop {
    Refuse {
        refusal: Box<Refusal>,
        closes: bool,
    },
    /// Nobody is there to answer.
    Gone,
}

impl Stop {
    /// Refuses on a connection whose next bytes are not known to be a request.
    pub fn refuse_and_close(refusal: Refusal) -> Stop {
        Stop::Refuse { refusal: Box::new(refusal), closes: true }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refuse { refusal: Box::new(refusal), closes: false }
    }
}

/// What the request means: which endpoint of which provider, and what its body asks for.
pub struct Call {
    pub endpoint: Endpoint,
    pub target: Target,
    /// The body asks for a stream of events.
    pub wants_stream: bool,
    /// We asked for usage in the stream; the client did not, and will not see it.
    pub hides_usage: bool,
    /// The path goes to the provider as it came, and so do its errors.
    pub is_passthrough: bool,
    /// Fields that the provider's file made us change, for a header.
    pub edited: Vec<String>,
}

/// Serves the request whose head is the first `head_len` bytes of the client's input.
pub async fn exchange(shard: &Shard, client: &mut Client, head_len: usize) -> Next {
    let active = shard.active();
    let mut work = shard.works.lend();
    let mut tally = Tally::begin(client.bytes_out);
    client.request_len = head_len;
    let result = straight(shard, &active, client, &mut work, &mut tally, head_len).await;
    let next = match result {
        Ok(next) => next,
        Err(Stop::Gone) => Next::Abort,
        Err(Stop::Refuse { refusal, closes }) => {
            let keeps_alive = !closes && work.request.keep_alive && !shard.is_draining.get();
            let timeout_ms = active.snapshot().server.write_timeout_ms;
            let sent = answer::refuse(shard, client, &mut work, &refusal, keeps_alive, timeout_ms).await;
            tally.refused(refusal.status);
            // Wherever it was refused: left in the input, the request would be answered again and again.
            client.release(shard);
            match (sent, keeps_alive) {
                (Err(_), _) => Next::Abort,
                (Ok(()), true) => Next::KeepAlive,
                (Ok(()), false) => Next::Linger,
            }
        }
    };
    tally.settle(shard, client);
    shard.works.give_back(work);
    next
}

async fn straight(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    head_len: usize,
) -> Result<Next, Stop> {
    work.request_id.set_from_client(b"");
    let head = &client.input.filled()[..head_len];
    work.request.keep_alive = false;
    read_request(head, &mut work.request).map_err(|bad| Stop::refuse_and_close(answer::of_malformed(bad)))?;
    name_request(shard, head, work);
    tally.has_head(head_len);
    let asked = route::read(head, &work.request, &active.snapshot().metrics.path);
    let asked = asked.map_err(|allowed| not_served(head, work, allowed))?;
    admit(active, asked, head, work)?;
    match asked {
        Asked::Api(..) | Asked::Passthrough { .. } => {
            through_provider(shard, active, client, work, tally, head_len, asked).await
        }
        own => answer_own(shard, active, client, work, head_len, own).await,
    }
}

/// Takes over the client's request id, if it can be shown, or makes one.
fn name_request(shard: &Shard, head: &[u8], work: &mut Work) {
    let given = work.request.headers.find(Known::XRequestId).unwrap_or_default().of(head);
    let is_good = (1..=REQUEST_ID_BYTES_MAX).contains(&given.len()) && given.iter().all(u8::is_ascii_graphic);
    if is_good {
        work.request_id.set_from_client(given);
    } else {
        work.request_id.set_own(&shard.ids.next(shard.wall_ms()));
    }
}

/// The refusal of a path or method that is not served. A body may follow, so the connection does not go on after one.
fn not_served(head: &[u8], work: &Work, allowed: &'static str) -> Stop {
    let path = String::from_utf8_lossy(work.request.path.of(head)).into_owned();
    let refusal = if allowed.is_empty() {
        let message = format!("There is no endpoint {path} here.");
        Refusal::new(404, RefusalKind::InvalidRequest, "unknown_url", message)
    } else {
        let message =
            format!("{} is not a method of {path}; its methods are {allowed}.", work.request.method.as_str());
        Refusal::new(405, RefusalKind::InvalidRequest, "method_not_allowed", message).about(allowed)
    };
    stop_before_body(work, refusal)
}

/// A refusal before the body was read: without a body the connection can go on.
fn stop_before_body(work: &Work, refusal: Refusal) -> Stop {
    Stop::Refuse { refusal: Box::new(refusal), closes: work.request.body != RequestBody::None }
}

/// Lets the caller in, or says why not. Health is for everybody; metrics when the settings say so.
fn admit(active: &Active, asked: Asked, head: &[u8], work: &Work) -> Result<(), Stop> {
    let snapshot = active.snapshot();
    let is_free = match asked {
        Asked::Health | Asked::Ready | Asked::Options => true,
        Asked::Metrics => !snapshot.metrics.needs_key,
        _ => false,
    };
    if is_free {
        return Ok(());
    }
    let presented = admit::presented_key(head, &work.request.headers);
    admit::admit(&snapshot.keys, presented).map_err(|refusal| stop_before_body(work, refusal))
}

/// Answers what needs no provider.
async fn answer_own(
    shard: &Shard,
    active: &Active,
    client: &mut Client,
    work: &mut Work,
    head_len: usize,
    asked: Asked,
) -> Result<Next, Stop> {
    let server = &active.snapshot().server;
    // A body means nothing here; it is read so that the next request is found behind it.
    let framing = work.request.body;
    body::read_held(shard, client, head_len, framing, server.body_bytes_max, server.body_timeout_ms).await?;
    let keeps_alive = work.request.keep_alive && !shard.is_draining.get();
    let is_head = work.request.method == Method::Head;
    let catalogue = shard.catalogue.borrow().clone();
    let metrics;
    let mut answer = match asked {
        Asked::Health => Answer::json(br#"{"status":"ok"}"#),
        Asked::Ready if shard.is_draining.get() => {
            Answer { status: 503, ..Answer::json(br#"{"status":"draining"}"#) }
        }
        Asked::Ready if active.upstreams.is_empty() => Answer {
            status: 503,
            ..Answer::json(br#"{"status":"not_ready","reason":"no provider is configured"}"#)
        },
        Asked::Ready => Answer::json(br#"{"status":"ready"}"#),
        Asked::Options => Answer {
            status: 204,
            content_type: "",
            header_lines: b"allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n",
            ..Answer::json(b"")
        },
        Asked::Metrics => {
            metrics = metrics_page(shard, active).await?;
            Answer {
                content_type: "text/plain; version=0.0.4; charset=utf-8",
                ..Answer::json(metrics.as_bytes())
            }
        }
        Asked::Model(id) => {
            let id = route::model_id(id.of(client.input.filled())).unwrap_or_default();
            let entry = catalogue.entry(&id).ok_or_else(|| route::unknown_model(&id, Endpoint::Models))?;
            Answer::json(entry)
        }
        _ => Answer::json(&catalogue.list),
    };
    (answer.is_head, answer.keeps_alive) = (is_head, keeps_alive);
    answer::send(client, work, &answer, server.write_timeout_ms).await.map_err(|_| Stop::Gone)?;
    client.release(shard);
    Ok(if keeps_alive { Next::KeepAlive } else { Next::Linger })
}

async fn metrics_page(shard: &Shard, active: &Active) -> Result<String, Stop> {
    if !active.snapshot().metrics.enabled {
        let refusal =
            Refusal::new(404, RefusalKind::InvalidRequest, "unknown_url", "Metrics are switched off.");
        return Err(refusal.into());
    }
    let page = shard.ask_for_metrics(METRICS_MS_MAX).await;
    page.ok_or_else(|| {
        let message = "The metrics could not be collected in time.";
        Refusal::new(503, RefusalKind::Server, "metrics_unavailable", message).into()
    })
}

/// The way through a provider: body, call, attempt, relay.
async fn through_provider(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    head_len: usize,
    asked: Asked,
) -> Result<Next, Stop> {
    let here_before = client.input.len();
    let mut body = take_body(shard, active, client, work, head_len, asked).await?;
    let was_waited_for = if client.input.len() == here_before { WasWaitedFor::No } else { WasWaitedFor::Yes };
    tally.has_body(&body, was_waited_for);
    let result = with_body(shard, active, client, work, tally, head_len, asked, &mut body).await;
    match result {
        Err(Stop::Refuse { refusal, closes }) => {
            Err(Stop::Refuse { refusal, closes: closes || !body.is_complete() })
        }
        other => other,
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each borrowed on its own")]
async fn with_body(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    head_len: usize,
    asked: Asked,
    body: &mut Body,
) -> Result<Next, Stop> {
    let call = understand(shard, active, client, work, head_len, asked, body).await?;
    tally.names(&call);
    let outgoing = outgoing(client, work, head_len, asked, &call, body)?;
    let server = &active.snapshot().server;
    let result = attempt::attempt(shard, active, client, work, tally, &call, &outgoing, body, head_len).await;
    let answered = match result {
        Ok(answered) => answered,
        Err(stop) => {
            tally.takes_model(call);
            return Err(stop);
        }
    };
    if let Some(refusal) = relay::replacement(&call, work, &answered) {
        attempt::discard(shard, answered);
        tally.answered(work.response.status);
        tally.takes_model(call);
        return Err(refusal.into());
    }
    // A byte of the answer is about to leave: from here on the request is never sent again.
    let is_complete = body.is_complete();
    client.release(shard);
    let relayed = relay::relay(shard, server, client, work, tally, &call, answered).await;
    tally.takes_model(call);
    Ok(match relayed {
        Relayed::Whole if is_complete && work.request.keep_alive && !shard.is_draining.get() => {
            Next::KeepAlive
        }
        Relayed::Whole => Next::Linger,
        Relayed::UntilClose => Next::Close,
        Relayed::Cut => Next::Abort,
    })
}

/// Takes the body in the way that the endpoint needs: whole when it must be looked into, else as a stream of which the
/// first bytes are seen.
async fn take_body(
    shard: &Shard,
    active: &Active,
    client: &mut Client,
    work: &mut Work,
    head_len: usize,
    asked: Asked,
) -> Result<Body, Stop> {
    let server = &active.snapshot().server;
    let framing = work.request.body;
    let content_type = work.request.headers.find(Known::ContentType).unwrap_or_default();
    let is_json = is_json(content_type.of(client.input.filled()));
    let is_encoded = work.request.headers.find(Known::ContentEncoding).is_some();
    let is_known = matches!(asked, Asked::Api(endpoint, _) if endpoint != Endpoint::Other);
    if is_known && is_encoded {
        let message = "Compressed request bodies are not taken here.";
        let refusal = Refusal::new(415, RefusalKind::InvalidRequest, "content_encoding", message);
        return Err(stop_before_body(work, refusal.about("content-encoding")));
    }
    if is_known && matches!(framing, RequestBody::Length(length) if length > server.body_bytes_max as u64) {
        // Before the body is asked for.
        return Err(body::too_large(server.body_bytes_max));
    }
    if work.request.expects_continue && client.input.len() == head_len {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let sent = client.send(&mut [std::io::IoSlice::new(CONTINUE)], server.write_timeout_ms).await;
        sent.map_err(|_| Stop::Gone)?;
    }
    let is_small = matches!(framing, RequestBody::Length(length) if length <= server.body_bytes_max as u64);
    if is_known || (is_json && !is_encoded && is_small && matches!(asked, Asked::Api(..))) {
        return body::read_held(
            shard,
            client,
            head_len,
            framing,
            server.body_bytes_max,
            server.body_timeout_ms,
        )
        .await;
    }
    let boundary = multipart::boundary(content_type.of(client.input.filled())).map(<[u8]>::to_vec);
    let needs_model = matches!(asked, Asked::Api(..));
    let is_enough = |peeked: &[u8]| match &boundary {
        Some(boundary) if needs_model => {
            multipart::find_field(peeked, boundary, "model") != FieldSearch::NotYet
        }
        _ => !needs_model || !is_json,
    };
    body::begin_streaming(shard, client, head_len, framing, server.body_timeout_ms, is_enough).await
}

fn is_json(content_type: &[u8]) -> bool {
    let kind = content_type.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(b"application/json")
}

/// Finds out what the request means, and prepares the edits of its body.
async fn understand(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    head_len: usize,
    asked: Asked,
    body: &Body,
) -> Result<Call, Stop> {
    work.edits.clear();
    work.object.clear();
    let Asked::Api(endpoint, _) = asked else { return passthrough(active, client, asked) };
    let head = &client.input.filled()[..head_len];
    let hint = path::query_value(work.request.query.of(head), "provider").map(|hint| hint.into_owned());
    let model = named_model(client, work, head_len, endpoint, body)?;
    let model_at = model.as_ref().map(|(_, at)| *at);
    let target = find_target(shard, active, client, model.map(|(name, _)| name), hint, endpoint).await?;
    let mut call = Call {
        endpoint,
        target,
        wants_stream: false,
        hides_usage: false,
        is_passthrough: endpoint == Endpoint::Other,
        edited: Vec::new(),
    };
    if let (Some(at), true) = (model_at, call.target.is_qualified) {
        let mut text = Vec::new();
        match body {
            Body::Streaming(_) => text.extend_from_slice(call.target.model.as_bytes()),
            _ => json::write_string(&call.target.model, &mut text),
        }
        work.edits.replace(at, &text);
    }
    if endpoint != Endpoint::Other {
        prepare_edits(active, client, work, body, &mut call)?;
    }
    Ok(call)
}

fn passthrough(active: &Active, client: &Client, asked: Asked) -> Result<Call, Stop> {
    let Asked::Passthrough { provider, .. } = asked else { unreachable!("the caller matched the endpoints") };
    let name = provider.of(client.input.filled());
    let upstream =
        active.by_name(name).ok_or_else(|| Stop::refuse_and_close(route::unknown_provider(name)))?;
    let target =
        Target { upstream: upstream.clone(), model: String::new(), is_qualified: false, is_known: false };
    let (endpoint, edited) = (Endpoint::Other, Vec::new());
    Ok(Call { endpoint, target, wants_stream: false, hides_usage: false, is_passthrough: true, edited })
}

/// The model that the body names, with its place in the body. Bodies of known endpoints must be objects; others may be
/// anything, and then name none.
fn named_model(
    client: &Client,
    work: &mut Work,
    head_len: usize,
    endpoint: Endpoint,
    body: &Body,
) -> Result<Option<(String, Span)>, Stop> {
    work.members.clear();
    if let Body::Streaming(inflow) = body {
        let content_type = work.request.headers.find(Known::ContentType).unwrap_or_default();
        let boundary = multipart::boundary(content_type.of(&client.input.filled()[..head_len]));
        let Some(boundary) = boundary else { return Ok(None) };
        return match multipart::find_field(&inflow.peeked, boundary, "model") {
            FieldSearch::Found(at) => {
                Ok(std::str::from_utf8(at.of(&inflow.peeked)).ok().map(|m| (m.to_owned(), at)))
            }
            FieldSearch::Twice => {
                let refusal = Refusal::invalid("duplicate_key", "The field `model` stands more than once.");
                Err(Stop::refuse_and_close(refusal.about("model")))
            }
            FieldSearch::Absent | FieldSearch::NotYet => Ok(None),
        };
    }
    let document = body.held(client);
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
    let Some(member) = json::find(&work.members, document, "model") else { return Ok(None) };
    match json::string_value(document, member) {
        Some(model) => Ok(Some((model.into_owned(), member.value))),
        None if endpoint == Endpoint::Other => Ok(None),
        None => Err(Refusal::invalid("invalid_type", "`model` must be a string.").about("model").into()),
    }
}

/// Finds the provider. Right after a start the lists of models may still be on their way; then they are waited for.
async fn find_target(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    model: Option<String>,
    hint: Option<Vec<u8>>,
    endpoint: Endpoint,
) -> Result<Target, Stop> {
    let look = || {
        let catalogue = shard.catalogue.borrow().clone();
        route::target(active, &catalogue, model.as_deref().map(Into::into), hint.as_deref(), endpoint)
    };
    if let Some(found) = look() {
        return found.map_err(Stop::from);
    }
    let alarm = shard.alarms.alarm();
    alarm.set_after(CATALOGUE_WAIT_MS_MAX);
    let settled = poll_fn(|cx| {
        if let Some(found) = look() {
            return Poll::Ready(Some(found));
        }
        shard.wait(cx);
        alarm.poll_late(cx).map(|()| None)
    });
    let found = client.unless_gone(shard, settled).await.map_err(|_| Stop::Gone)?;
    let unknown = || Err(route::unknown_model(model.as_deref().unwrap_or_default(), endpoint));
    found.unwrap_or_else(unknown).map_err(Stop::from)
}

/// The edits that the provider needs, and the question for usage in streams.
fn prepare_edits(
    active: &Active,
    client: &Client,
    work: &mut Work,
    body: &Body,
    call: &mut Call,
) -> Result<(), Stop> {
    let provider = &call.target.upstream.provider;
    if provider.route(call.endpoint).is_none() {
        let message = format!("The provider `{}` has no {} endpoint.", provider.name, call.endpoint.name());
        return Err(Refusal::invalid("unsupported_endpoint", message).into());
    }
    let document = body.held(client);
    let Work { members, edits, object, .. } = work;
    call.edited = edit::apply(&provider.edits, document, members, edits, object);
    let is_true =
        |key: &str| json::find(members, document, key).is_some_and(|member| member.kind == Kind::True);
    call.wants_stream = call.endpoint.streams() && is_true("stream");
    let asks = active.snapshot().ask_usage_in_streams && provider.usage_in_streams == UsageInStreams::Ask;
    if call.wants_stream && asks {
        call.hides_usage = stream::ask_for_usage(document, members, edits, object);
    }
    let brace_at = document.iter().rposition(|&b| b == b'}').unwrap_or_default();
    object.apply(members, brace_at, edits);
    Ok(())
}

/// The request as it goes to the provider, but for the credential.
fn outgoing(
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
    let mut target = Vec::new();
    match asked {
        Asked::Passthrough { rest, .. } => {
            let rest = rest.of(head);
            check_path(rest)?;
            // `/p/name/v1/…` is the same as `/p/name/…` where the base URL ends in the version.
            let again = if provider.base_path.ends_with("/v1") { rest.strip_prefix(b"/v1") } else { None };
            target.extend_from_slice(provider.base_path.as_bytes());
            target.extend_from_slice(again.filter(|rest| rest.starts_with(b"/")).unwrap_or(rest));
            add_query(&mut target, provider.query.as_bytes());
            add_query(&mut target, query);
        }
        Asked::Api(Endpoint::Other, rest) => {
            check_path(rest.of(head))?;
            target.extend_from_slice(provider.base_path.as_bytes());
            target.extend_from_slice(rest.of(head));
            add_query(&mut target, provider.query.as_bytes());
            add_query(&mut target, &without_hint(query));
        }
        _ => {
            let route = provider.route(call.endpoint);
            target.extend_from_slice(route.map_or("", |route| &route.target).as_bytes());
            add_query(&mut target, &without_hint(query));
        }
    }
    let held = body.held(client).len();
    Ok(Outgoing::write(head, work, call, &target, body, held))
}

fn check_path(rest: &[u8]) -> Result<(), Stop> {
    path::check_forwardable(rest).map_err(|bad| Stop::refuse_and_close(answer::of_malformed(bad)))
}

fn without_hint(query: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    path::query_without(query, "provider", &mut kept);
    kept
}

fn add_query(target: &mut Vec<u8>, query: &[u8]) {
    if !query.is_empty() {
        target.push(if target.contains(&b'?') { b'&' } else { b'?' });
        target.extend_from_slice(query);
    }
}

/// How long a scrape may take altogether.
const METRICS_MS_MAX: u64 = 3_000;
