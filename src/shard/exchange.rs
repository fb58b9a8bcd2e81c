//! One request and its answer, in a straight line: read, scan, admit, plan, attempt, relay, settle.

use std::rc::Rc;

use super::Shard;
use super::active::Active;
use super::answer::{self, Answer};
use super::attempt;
use super::body::{self, Body};
use super::call::prepare_outgoing;
use super::caller;
use super::capture::Sent;
use super::client::Client;
use super::count;
use super::familiar;
use super::inside;
use super::instead;
use super::listing::{self, Listed};
use super::models;
use super::pages;
use super::relay::{self, Relayed};
use super::replace;
use super::route::{self, Asked};
use super::stored;
use super::tally::{Tally, WasWaitedFor};
use super::work::Work;
use crate::base::clock;
use crate::base::limits::{HOPS_MAX, REQUEST_ID_BYTES_MAX};
use crate::base::{Refusal, RefusalKind};
use crate::dialect::endpoint::{Endpoint, Grammar};
use crate::offload::Health;
use crate::wire::head::Known;
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
    /// The answer is an estimate of the gateway's own: this JSON document.
    Estimated(Vec<u8>),
    /// The answer is what is kept here.
    Answer {
        body: Vec<u8>,
        content_type: &'static str,
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

/// Serves the request whose head is the first `head_len` bytes of the client's input.
pub async fn exchange(shard: &Shard, client: &mut Client, head_len: usize) -> Next {
    let active = shard.active();
    let mut work = shard.works.lend();
    work.request_len = head_len;
    let mut tally = Tally::begin(client.bytes_out);
    let result = straight(shard, &active, client, &mut work, &mut tally, head_len).await;
    if let Err(Stop::Refuse { refusal, .. }) = &result {
        tally.is_refused(shard, &work, refusal);
    }
    let next = match result {
        Ok(next) => next,
        Err(Stop::Gone) => Next::Abort,
        Err(Stop::Estimated(document)) => {
            let answer = Answer { header_lines: count::HEADER, ..Answer::json(&document) };
            send_own(shard, &active, client, &mut work, &answer).await
        }
        Err(Stop::Answer { body, content_type }) => {
            let answer = Answer { content_type, ..Answer::json(&body) };
            send_own(shard, &active, client, &mut work, &answer).await
        }
        Err(Stop::Refuse { refusal, closes }) => {
            work.request.keep_alive &= !closes && !shard.is_draining.get();
            let timeout_ms = active.snapshot().server.write_timeout_ms;
            let sent = Box::pin(answer::refuse(shard, client, &mut work, &refusal, timeout_ms)).await;
            tally.refused(refusal.status);
            match (sent, work.request.keep_alive) {
                (Err(_), _) => Next::Abort,
                (Ok(()), true) => Next::KeepAlive,
                (Ok(()), false) => Next::Linger,
            }
        }
    };
    release(shard, client, &mut work);
    tally.settle(shard, client);
    shard.works.give_back(work);
    next
}

/// Sends an answer of our own to a request that was read whole.
async fn send_own(
    shard: &Shard,
    active: &Active,
    client: &mut Client,
    work: &mut Work,
    answer: &Answer<'_>,
) -> Next {
    work.request.keep_alive &= !shard.is_draining.get();
    let timeout_ms = active.snapshot().server.write_timeout_ms;
    match Box::pin(answer::send(shard, client, work, answer, timeout_ms)).await {
        Err(_) => Next::Abort,
        Ok(()) if work.request.keep_alive => Next::KeepAlive,
        Ok(()) => Next::Linger,
    }
}

/// Gives the request's bytes and memory back, once: what follows them is the next request.
pub fn release(shard: &Shard, client: &mut Client, work: &mut Work) {
    client.release(shard, std::mem::take(&mut work.request_len));
    work.held = None;
}

async fn straight(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    head_len: usize,
) -> Result<Next, Stop> {
    let asked = match familiar::recall(shard, active, client, work, head_len) {
        Some(asked) => {
            name_request(shard, &client.input.filled()[..head_len], work, tally.begun_us());
            tally.has_head(head_len);
            asked
        }
        None => read_head(shard, active, client, work, tally, head_len).await?,
    };
    let asked = match asked {
        Asked::Stored(rest) => {
            if let Some(next) = Box::pin(stored::answer(shard, active, client, work, head_len, rest)).await? {
                return Ok(next);
            }
            stored::check(shard, client, work, head_len, rest).await?;
            Asked::Api(Endpoint::Other, rest)
        }
        asked => asked,
    };
    match asked {
        Asked::Admin | Asked::OwnUsage => {
            Box::pin(inside::hand_over(shard, active, client, work, tally, head_len, asked)).await
        }
        Asked::Api(..) | Asked::ApiOfModel(..) | Asked::Collection(..) | Asked::Passthrough { .. } => {
            through_provider(shard, active, client, work, tally, head_len, asked).await
        }
        own => Box::pin(answer_own(shard, active, client, work, own)).await,
    }
}

/// Reads the head: what is asked for, and by whom.
async fn read_head(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    head_len: usize,
) -> Result<Asked, Stop> {
    work.request_id.set_from_client(b"");
    work.grammar = Grammar::default();
    let head = &client.input.filled()[..head_len];
    // What stands here is another request's, until this one is read.
    (work.request.keep_alive, work.request.method) = (false, Method::Get);
    read_request(head, &mut work.request).map_err(|bad| Stop::refuse_and_close(answer::of_malformed(bad)))?;
    name_request(shard, head, work, tally.begun_us());
    tally.has_head(head_len);
    let asked = route::read(head, &work.request, &active.snapshot().metrics.path);
    let asked = asked.map_err(|allowed| not_served(head, work, allowed))?;
    work.grammar = asked.error_grammar();
    refuse_loop(head, work)?;
    caller::admit(shard, active.snapshot(), client, work, head_len, asked).await?;
    familiar::remember(shard, active, client, work, head_len, asked);
    Ok(asked)
}

/// A gateway that is its own provider, by itself or through others, would ask itself until its descriptors end.
fn refuse_loop(head: &[u8], work: &mut Work) -> Result<(), Stop> {
    let passed = work.request.headers.find(Known::XRingwayHops).map(|value| value.of(head));
    let count = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    work.hops = passed.map_or(0, |text| count(text).unwrap_or(HOPS_MAX));
    if work.hops < HOPS_MAX {
        return Ok(());
    }
    let message = "The request has passed too many gateways: one of them is its own provider.";
    Err(stop_before_body(work, Refusal::new(508, RefusalKind::Server, "loop_detected", message)))
}

/// Takes over the client's request id, if it can be shown, or makes one.
fn name_request(shard: &Shard, head: &[u8], work: &mut Work, begun_us: u64) {
    let given = work.request.headers.find(Known::XRequestId).unwrap_or_default().of(head);
    let is_good = (1..=REQUEST_ID_BYTES_MAX).contains(&given.len()) && given.iter().all(u8::is_ascii_graphic);
    if is_good {
        work.request_id.set_from_client(given);
    } else {
        work.request_id.set_own(shard.ids.next_number(shard.wall_ms_at(begun_us)));
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
pub fn stop_before_body(work: &Work, refusal: Refusal) -> Stop {
    Stop::Refuse { refusal: Box::new(refusal), closes: work.request.body != RequestBody::None }
}

/// Answers what needs no provider. A body means nothing here and is not waited for.
async fn answer_own(
    shard: &Shard,
    active: &Active,
    client: &mut Client,
    work: &mut Work,
    asked: Asked,
) -> Result<Next, Stop> {
    work.request.keep_alive &= work.request.body == RequestBody::None && !shard.is_draining.get();
    let catalogue = shard.catalogue.borrow().clone();
    let (metrics, entry, list);
    let answer = match asked {
        Asked::Hello => Answer::json(br#"{"status":"ok"}"#),
        Asked::Health => Answer::json(match shard.offload.pulse.health(clock::monotonic_us() / 1000) {
            Health::Whole => br#"{"status":"ok"}"#,
            Health::StoreAway => br#"{"status":"degraded","reason":"records wait for the store"}"#,
            Health::Stalled => br#"{"status":"degraded","reason":"the offload thread stands still"}"#,
        }),
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
        Asked::Model(grammar, id) => {
            let id = route::model_id(id.of(client.input.filled())).unwrap_or_default();
            entry = models::entry(shard, &catalogue, &work.caller, grammar, &id)
                .ok_or_else(|| route::unknown_model(&id))?;
            Answer::json(&entry)
        }
        _ => {
            list = models::list(shard, &catalogue, &work.caller, work.grammar);
            Answer::json(&list)
        }
    };
    let timeout_ms = active.snapshot().server.write_timeout_ms;
    answer::send(shard, client, work, &answer, timeout_ms).await.map_err(|_| Stop::Gone)?;
    Ok(if work.request.keep_alive { Next::KeepAlive } else { Next::Linger })
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
    let audit = &active.snapshot().audit;
    if let (Body::Decoded(bytes), true) = (&body, audit.bodies) {
        // Its chunks are gone, and a translation would take its place.
        tally.entry.sent = Some(Sent::of(bytes, audit.body_bytes_max));
    }
    let result = ask_and_relay(shard, active, client, work, tally, head_len, asked, &mut body).await;
    result.map_err(|stop| match stop {
        // The rest of the body is still to come, where a request would be looked for.
        Stop::Refuse { refusal, closes } => Stop::Refuse { refusal, closes: closes || !body.is_complete() },
        other => other,
    })
}

#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each borrowed on its own")]
async fn ask_and_relay(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    head_len: usize,
    asked: Asked,
    body: &mut Body,
) -> Result<Next, Stop> {
    let mut call = instead::open(shard, active, client, work, tally, head_len, asked, body).await?;
    if let Some(inline) = call.collection.as_mut().and_then(|collection| collection.inline.take()) {
        Box::pin(inline.upload(shard, active, client, work, tally, &call, body, head_len)).await?;
    }
    if pages::are_asked(&call) {
        let results = pages::collect(shard, active, client, work, tally, &call, asked, body, head_len);
        return Err(Box::pin(results).await?);
    }
    let is_list = call.collection.as_ref().is_some_and(|collection| collection.is_list);
    let answered = match call.owner.as_deref().filter(|_| is_list) {
        Some(owner) => {
            let listing =
                listing::list(shard, active, client, work, tally, &call, owner, asked, body, head_len);
            match Box::pin(listing).await? {
                Listed::Own(body) => return Err(Stop::Answer { body, content_type: "application/json" }),
                Listed::Passed(answered) => *answered,
            }
        }
        None => {
            let outgoing = prepare_outgoing(client, work, head_len, asked, &call, body)?;
            attempt::attempt(shard, active, client, work, tally, &call, &outgoing, body, head_len).await?
        }
    };
    if let Some(refusal) = replace::replacement(&call, work, &answered) {
        tally.answered(work.response.status);
        attempt::discard(shard, work, answered);
        return Err(refusal.into());
    }
    // A byte of the answer is about to leave: from here on the request is never sent again.
    work.request.keep_alive &= body.is_complete() && !shard.is_draining.get();
    if let Body::Decoded(_) = body {
        *body = Body::None;
    }
    release(shard, client, work);
    let server = &active.snapshot().server;
    let relayed = relay::relay(shard, server, client, work, tally, &call, answered).await;
    Ok(match relayed {
        Relayed::Whole if work.request.keep_alive => Next::KeepAlive,
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
    let head = &client.input.filled()[..head_len];
    let content_type = work.request.headers.find(Known::ContentType).unwrap_or_default().of(head);
    let is_encoded = work.request.headers.find(Known::ContentEncoding).is_some();
    let is_json = is_json(content_type) && !is_encoded;
    let is_form = multipart::boundary(content_type).is_some();
    let is_known = match asked {
        Asked::Api(endpoint, _) => endpoint != Endpoint::Other,
        Asked::ApiOfModel(..) => true,
        Asked::Collection(..) => !is_form,
        _ => false,
    };
    let is_signed = matches!(asked, Asked::Passthrough { provider, .. }
        if active.by_name(provider.of(head)).is_some_and(|upstream| upstream.provider.signs()));
    if (is_known || matches!(asked, Asked::Collection(..))) && is_encoded {
        let message = "Compressed request bodies are not taken here.";
        let refusal = Refusal::new(415, RefusalKind::InvalidRequest, "content_encoding", message);
        return Err(stop_before_body(work, refusal.about("content-encoding")));
    }
    let needs_model = matches!(asked, Asked::Api(..));
    // A body that is too long to be looked into streams through all the same, when it need not name its provider.
    let is_long = matches!(work.request.body, RequestBody::Length(n) if n > server.body_bytes_max as u64);
    let names_itself = || {
        active.snapshot().default_provider.is_some()
            || path::query_value(work.request.query.of(head), "provider").is_some()
    };
    // What a tenant's request speaks of has to be seen.
    let is_of_tenant = work.caller.key.is_some();
    let is_of_state = matches!(asked, Asked::Api(Endpoint::Other, rest) if stored::is_path(rest.of(head)));
    if is_of_tenant && (is_of_state || (needs_model && is_json)) {
        return body::read_held(shard, client, work, server, head_len).await;
    }
    if is_known || is_signed || (needs_model && is_json && !(is_long && names_itself())) {
        return body::read_held(shard, client, work, server, head_len).await;
    }
    let mut search = multipart::boundary(content_type)
        .filter(|_| needs_model)
        .map(|named| multipart::Search::new(named, "model"));
    let is_enough = |peeked: &[u8]| match &mut search {
        Some(search) => search.look(peeked) != FieldSearch::NotYet,
        // All that may be looked at: whose file it is may stand behind it.
        None if matches!(asked, Asked::Collection(..)) => false,
        _ => true,
    };
    Box::pin(body::begin_streaming(shard, client, work, server, head_len, is_enough)).await
}

fn is_json(content_type: &[u8]) -> bool {
    let kind = content_type.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(b"application/json")
}

/// How long a scrape may take altogether.
const METRICS_MS_MAX: u64 = 3_000;
