//! One connection to the simulated provider: request after request, each answered well or as badly as it asks.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;

use super::World;
use super::answer::{self, Answer};
use super::behaviour::Behaviour;
use super::dialect::{Ask, Dialect};
use super::plain::{self, Shape};
use super::shelf;
use crate::base::Span;
use crate::base::limits::BUFFER_BYTES;
use crate::net::buffer::Buffer;
use crate::net::conn::Conn;
use crate::wire::Step;
use crate::wire::chunked::Chunked;
use crate::wire::head::{EndOfHead, Known};
use crate::wire::request::{Method, RequestBody, RequestHead, read_request};

/// A request that was read whole.
pub struct Request {
    pub method: Method,
    pub head: Vec<u8>,
    pub path: Span,
    pub query: Span,
    /// Cut at [`OTHER_BODY_BYTES_MAX`] where the path is not one that is answered by what the body says.
    pub body: Vec<u8>,
    pub body_len: u64,
    ask: Option<Ask>,
    keep_alive: bool,
}

impl Request {
    fn path(&self) -> &[u8] {
        self.path.of(&self.head)
    }

    /// The request as it was, but for its body.
    pub fn without_body(&self) -> Request {
        Request { head: self.head.clone(), body: Vec::new(), ask: self.ask.clone(), ..*self }
    }

    /// A request to the provider, for tests.
    #[cfg(test)]
    pub fn read_whole(head: &[u8], body: Vec<u8>) -> Request {
        let mut parsed = RequestHead::default();
        read_request(head, &mut parsed).expect("a good head");
        let (method, path, query) = (parsed.method, parsed.path, parsed.query);
        let body_len = body.len() as u64;
        Request { method, head: head.to_vec(), path, query, body, body_len, ask: None, keep_alive: true }
    }
}

/// Serves a connection to its end; every error ends it.
pub async fn serve(world: &World, conn: Conn) {
    let mut link =
        Link { world, conn, input: Buffer::default(), out: Vec::new(), head: RequestHead::default() };
    while let Ok(Some(request)) = link.request().await {
        let (keep_alive, request) = (request.keep_alive, Rc::new(request));
        if !request.path().starts_with(b"/sim/") {
            world.last.remember(&request);
        }
        match link.answer(&request).await {
            Ok(true) if keep_alive => {}
            Ok(_) => return link.conn.close_write(),
            Err(_) => return,
        }
    }
}

pub struct Link<'w> {
    world: &'w World,
    pub(super) conn: Conn,
    pub(super) input: Buffer,
    pub(super) out: Vec<u8>,
    head: RequestHead,
}

impl Link<'_> {
    /// Reads what comes, into the room that there is; false at the end of the connection.
    pub(super) async fn fill(&mut self) -> io::Result<bool> {
        let room = Some(self.input.room()).filter(|room| *room > 0).unwrap_or(BUFFER_BYTES);
        self.fill_by(room).await
    }

    async fn fill_by(&mut self, room: usize) -> io::Result<bool> {
        let Link { world, conn, input, .. } = self;
        Ok(poll_fn(|cx| conn.poll_fill(cx, &world.buffers, input, room)).await? > 0)
    }

    pub(super) async fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut left = &mut slices[..];
        poll_fn(|cx| self.conn.poll_send(cx, &mut left)).await
    }

    /// The next request; `None` at the end of the connection.
    async fn request(&mut self) -> io::Result<Option<Request>> {
        let (mut end, mut looked_at) = (EndOfHead::default(), 0);
        let head_len = loop {
            match end.step(&self.input.filled()[looked_at..]) {
                Step::Done { used } => break looked_at + used,
                Step::Bad(_) => return Err(io::ErrorKind::InvalidData.into()),
                Step::More => looked_at = self.input.len(),
            }
            if !self.fill().await? {
                return Ok(None);
            }
        };
        let head = self.input.filled()[..head_len].to_vec();
        read_request(&head, &mut self.head).map_err(|bad| io::Error::other(bad.sentence()))?;
        let (method, path, query) = (self.head.method, self.head.path, self.head.query);
        let (framing, keep_alive) = (self.head.body, self.head.keep_alive);
        self.input.consume(head_len);
        let is_post = method == Method::Post;
        let ask = is_post.then(|| Ask::of(path.of(&head), query.of(&head))).flatten();
        let kept_max = match ask.is_some() {
            true => usize::MAX,
            false if shelf::is_path(path.of(&head)) => shelf::BODY_BYTES_MAX,
            false => OTHER_BODY_BYTES_MAX,
        };
        let (body, body_len) = self.body(framing, kept_max).await?;
        self.world.buffers.take_back(&mut self.input);
        Ok(Some(Request { method, head, path, query, body, body_len, ask, keep_alive }))
    }

    /// Reads a body to its end and keeps its beginning.
    async fn body(&mut self, framing: RequestBody, kept_max: usize) -> io::Result<(Vec<u8>, u64)> {
        let (mut body, mut length) = (Vec::new(), 0);
        let (mut decoder, mut spans) = (Chunked::default(), Vec::new());
        loop {
            let here = self.input.filled();
            spans.clear();
            let (used, is_end) = match framing {
                RequestBody::None => return Ok((body, 0)),
                RequestBody::Length(whole) => {
                    let count = here.len().min(usize::try_from(whole - length).unwrap_or(usize::MAX));
                    spans.push(Span::new(0, count));
                    (count, length + count as u64 == whole)
                }
                RequestBody::Chunked => match decoder.step(here, &mut spans) {
                    Step::More => (here.len(), false),
                    Step::Done { used } => (used, true),
                    Step::Bad(bad) => return Err(io::Error::other(bad.sentence())),
                },
            };
            for span in &spans {
                length += span.len() as u64;
                let room = kept_max - body.len();
                body.extend_from_slice(&span.of(here)[..span.len().min(room)]);
            }
            self.input.consume(used);
            if is_end {
                return Ok((body, length));
            }
            if !self.fill_by(BUFFER_BYTES * 4).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Answers; false when the connection must not be used again.
    async fn answer(&mut self, request: &Request) -> io::Result<bool> {
        if let Some(ask) = &request.ask {
            let (behaviour, answer) = answer::of(ask, &request.body);
            return self.bring(answer, &behaviour).await;
        }
        if shelf::is_path(request.path())
            && let Some(answer) = self.of_shelf(request)
        {
            return self.whole(answer, false, &Behaviour::default()).await;
        }
        let is_head = request.method == Method::Head;
        let answer = match request.method {
            Method::Get | Method::Head => self.page(request),
            _ => None,
        };
        self.whole(answer.unwrap_or_else(|| echo(request)), is_head, &Behaviour::default()).await
    }

    fn of_shelf(&self, request: &Request) -> Option<Answer> {
        if request.body_len > request.body.len() as u64 {
            return Some(answer::error(Dialect::Chat, 413, "The body is too large.", None));
        }
        let content_type = self.head.headers.find(Known::ContentType).unwrap_or_default().of(&request.head);
        self.world.shelf.answer(request.method, request.path(), content_type, request)
    }

    /// What is read without a body: lists of models, and the last request.
    fn page(&self, request: &Request) -> Option<Answer> {
        let path = request.path();
        if path == b"/sim/last" {
            return Some(Answer::json(self.world.last.page()));
        }
        let (shape, path) = match path.strip_prefix(b"/v1beta") {
            Some(path) => (Shape::Gemini, path),
            None if self.head.headers.get(&request.head, "anthropic-version").is_some() => {
                (Shape::Anthropic, path.strip_prefix(b"/v1").unwrap_or(path))
            }
            None => (Shape::OpenAi, path.strip_prefix(b"/v1").unwrap_or(path)),
        };
        let rest = path.strip_prefix(b"/models")?;
        let id = match rest {
            b"" => None,
            _ => Some(String::from_utf8_lossy(rest.strip_prefix(b"/")?).into_owned()),
        };
        let missing = || answer::error(shape.dialect(), 404, "The model does not exist.", None);
        Some(plain::models(shape, id.as_deref()).map_or_else(missing, Answer::json))
    }
}

/// The answer for a path that is not known.
fn echo(request: &Request) -> Answer {
    let path = String::from_utf8_lossy(request.path());
    let (method, bytes) = (request.method.as_str(), request.body_len);
    let body = serde_json::json!({"object": "echo", "method": method, "path": path, "body_bytes": bytes});
    Answer::json(body.to_string().into_bytes())
}

/// What is kept of a body that nobody looks into.
const OTHER_BODY_BYTES_MAX: usize = 64 * 1024;
