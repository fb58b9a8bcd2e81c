//! The admin API: JSON over the connections that shards hand over. Nothing listens; who may do what is looked at here, for
//! every request anew.

use std::cell::Cell;
use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, RawPathParams, RawQuery};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use futures_core::Stream;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::sync::{mpsc, oneshot};

use super::manage::Manager;
use crate::base::limits::{ADMIN_BODY_BYTES_MAX, ADMIN_VISITS_MAX};
use crate::base::{Refusal, RefusalKind, Secret};
use crate::dialect::openai;
use crate::identity::UserPath;
use crate::ledger::record::Auth;
use crate::policy::key::Key;

mod access;
mod audit;
mod fields;
mod grants;
mod keys;
mod live;
mod names;
mod openapi;
mod prices;
mod recalculate;
pub mod routes;
mod runtime;
mod settings;
mod usage;
pub mod view;
mod who;
mod workflows;

use routes::{ROUTES, Route};
pub use who::is_open;

/// A request that a shard hands over: one connection, one request.
pub struct Visit {
    pub fd: OwnedFd,
    pub visitor: Visitor,
    /// Where it comes from; empty where that is not known.
    pub client_ip: Box<str>,
    pub request_id: String,
}

/// Who asks.
#[derive(Clone)]
pub enum Visitor {
    /// Somebody for the admin API, with this key or none.
    Admin(Option<Secret>),
    /// A caller that was let in, for what it has used itself.
    Caller { key: Option<Arc<Key>>, path: UserPath, auth: Auth },
}

/// What is known of a visitor beside the request.
struct Guest {
    visitor: Visitor,
    client_ip: Box<str>,
    request_id: String,
}

/// Where the requests of shards come in.
pub struct Door {
    router: Router,
    visits: Rc<Cell<usize>>,
}

/// What every handler works with.
pub struct Desk {
    pub manager: Rc<Manager>,
}

/// A request on its way from the server, whose futures may move between threads, to its handler, whose may not.
struct Job {
    route: &'static Route,
    guest: Arc<Guest>,
    headers: HeaderMap,
    params: Vec<(String, String)>,
    query: String,
    body: Bytes,
    reply: oneshot::Sender<Result<Reply, Refusal>>,
}

/// What a handler answers.
pub struct Reply {
    pub status: u16,
    pub json: serde_json::Value,
    /// The answer is a stream of server-sent events instead.
    pub events: Option<mpsc::Receiver<Bytes>>,
}

impl Reply {
    pub fn ok(json: serde_json::Value) -> Result<Reply, Refusal> {
        Ok(Reply { status: 200, json, events: None })
    }

    pub fn created(json: serde_json::Value) -> Result<Reply, Refusal> {
        Ok(Reply { status: 201, json, events: None })
    }

    pub fn stream(events: mpsc::Receiver<Bytes>) -> Reply {
        Reply { status: 200, json: serde_json::Value::Null, events: Some(events) }
    }
}

impl Door {
    /// Starts what answers, on the local set that is running.
    pub fn new(manager: &Rc<Manager>) -> Door {
        let (send, receive) = mpsc::channel(ADMIN_VISITS_MAX);
        let desk = Rc::new(Desk { manager: manager.clone() });
        tokio::task::spawn_local(work(desk, receive));
        Door { router: router(&send), visits: Rc::default() }
    }

    /// Serves one visit. One too many is closed unanswered, which its shard tells as 503.
    pub fn open(&self, visit: Visit) {
        if self.visits.get() >= ADMIN_VISITS_MAX {
            return;
        }
        let Visit { fd, visitor, client_ip, request_id } = visit;
        let Ok(stream) = tokio::net::UnixStream::from_std(UnixStream::from(fd)) else { return };
        let guest = Arc::new(Guest { visitor, client_ip, request_id });
        let service = TowerToHyperService::new(self.router.clone().layer(Extension(guest)));
        let visits = self.visits.clone();
        visits.set(visits.get() + 1);
        tokio::task::spawn_local(async move {
            let mut server = auto::Builder::new(TokioExecutor::new()).http1_only();
            server.http1().keep_alive(false);
            // A client that left ends it; there is nobody to tell.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            visits.set(visits.get() - 1);
        });
    }
}

/// Every route under both of its names.
fn router(jobs: &mpsc::Sender<Job>) -> Router {
    let mut router = Router::new();
    let mut known: Vec<&str> = Vec::new();
    for route in ROUTES {
        if known.contains(&route.path) {
            continue;
        }
        known.push(route.path);
        let of_path = || ROUTES.iter().filter(|other| other.path == route.path);
        let methods = || of_path().fold(MethodRouter::new(), |methods, route| with(methods, route, jobs));
        for path in route.paths() {
            router = router.route(&path, methods());
        }
    }
    router
        .fallback(async || refused(&unknown()))
        .method_not_allowed_fallback(async || refused(&not_allowed()))
        .layer(axum::extract::DefaultBodyLimit::max(ADMIN_BODY_BYTES_MAX))
}

fn with(methods: MethodRouter, route: &'static Route, jobs: &mpsc::Sender<Job>) -> MethodRouter {
    let jobs = jobs.clone();
    let handler =
        async move |Extension(guest): Extension<Arc<Guest>>,
                    params: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
                    RawQuery(query): RawQuery,
                    headers: HeaderMap,
                    body: Bytes| {
            let Ok(params) = params else { return refused(&unknown()) };
            let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let (reply, answer) = oneshot::channel();
            let query = query.unwrap_or_default();
            let job = Job { route, guest, headers, params, query, body, reply };
            if jobs.send(job).await.is_err() {
                return refused(&failed());
            }
            match answer.await {
                Ok(Ok(reply)) => answered(reply),
                Ok(Err(refusal)) => refused(&refusal),
                // The handler panicked.
                Err(_) => refused(&failed()),
            }
        };
    methods.on(route.filter(), handler)
}

/// Works requests off, each as a task of its own: one that waits for the store does not hold up the others.
async fn work(desk: Rc<Desk>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        let desk = desk.clone();
        tokio::task::spawn_local(async move {
            let Job { route, guest, headers, params, query, body, reply } = job;
            let result = match who::admitted(&desk.manager, &guest, route, &headers) {
                Ok(who) => {
                    let asked = fields::Asked { who, params, query, body };
                    (route.run)(desk, asked).await
                }
                Err(refusal) => Err(refusal),
            };
            // Whoever asked may have left; what was done stands.
            let _ = reply.send(result);
        });
    }
}

fn answered(reply: Reply) -> Response {
    if let Some(events) = reply.events {
        let mut response = json(StatusCode::OK, axum::body::Body::from_stream(Told(events)));
        let is_stream = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, is_stream);
        return response;
    }
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let body = if reply.json.is_null() { String::new() } else { reply.json.to_string() };
    json(status, body)
}

/// A stream of events as the server takes it.
struct Told(mpsc::Receiver<Bytes>);

impl Stream for Told {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(Ok))
    }
}

fn refused(refusal: &Refusal) -> Response {
    let mut body = Vec::new();
    openai::write_error(refusal, &mut body);
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, body);
    let headers = response.headers_mut();
    if let Some(seconds) = refusal.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if refusal.status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Answers hold names, amounts and now and then a secret: nobody may keep them.
fn json(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, body.into()).into_response()
}

fn unknown() -> Refusal {
    Refusal::new(404, RefusalKind::NotFound, "unknown_url", "The admin API has no such path.")
}

fn not_allowed() -> Refusal {
    let message = "The admin API has this path, and not with this method.";
    Refusal::new(405, RefusalKind::InvalidRequest, "method_not_allowed", message)
}

fn failed() -> Refusal {
    Refusal::new(500, RefusalKind::Server, "internal_error", "The gateway failed on this request.")
}
