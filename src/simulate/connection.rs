//! One connection to the simulated provider: request after request, each answered well or as badly as it asks.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::time::Duration;

use super::World;
use super::answer::{self, Asked};
use super::behaviour::{Behaviour, Stall};
use crate::base::limits::BUFFER_BYTES;
use crate::net::buffer::Buffer;
use crate::net::conn::Conn;
use crate::wire::Step;
use crate::wire::chunked::{Chunked, LAST_CHUNK, write_chunk_head};
use crate::wire::head::EndOfHead;
use crate::wire::request::{Method, RequestBody, RequestHead, read_request};
use crate::wire::write::HeadWriter;

/// A request that was read whole; bodies of unknown paths are counted and not kept.
struct Request {
    method: Method,
    path: Vec<u8>,
    body: Vec<u8>,
    body_len: u64,
    keep_alive: bool,
}

/// Serves a connection to its end; every error ends it.
pub async fn serve(world: &World, conn: Conn) {
    let mut link =
        Link { world, conn, input: Buffer::default(), out: Vec::new(), head: RequestHead::default() };
    while let Ok(Some(request)) = link.request().await {
        let keep_alive = request.keep_alive;
        match link.answer(&request).await {
            Ok(true) if keep_alive => {}
            Ok(_) => return link.conn.close_write(),
            Err(_) => return,
        }
    }
}

struct Link<'w> {
    world: &'w World,
    conn: Conn,
    input: Buffer,
    out: Vec<u8>,
    head: RequestHead,
}

impl Link<'_> {
    async fn fill(&mut self) -> io::Result<bool> {
        let Link { world, conn, input, .. } = self;
        Ok(poll_fn(|cx| conn.poll_fill(cx, &world.buffers, input, BUFFER_BYTES * 4)).await? > 0)
    }

    async fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
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
        let head = &self.input.filled()[..head_len];
        read_request(head, &mut self.head).map_err(|bad| io::Error::other(bad.sentence()))?;
        let (method, path) = (self.head.method, self.head.path.of(head).to_vec());
        let (framing, keep_alive) = (self.head.body, self.head.keep_alive);
        self.input.consume(head_len);
        let keeps = is_known(&path);
        let (body, body_len) = self.body(framing, keeps).await?;
        self.world.buffers.take_back(&mut self.input);
        Ok(Some(Request { method, path, body, body_len, keep_alive }))
    }

    /// Reads a body to its end; kept when the path is one that is answered by what it says.
    async fn body(&mut self, framing: RequestBody, keeps: bool) -> io::Result<(Vec<u8>, u64)> {
        let (mut body, mut length) = (Vec::new(), 0);
        let (mut decoder, mut spans) = (Chunked::default(), Vec::new());
        loop {
            let here = self.input.filled();
            spans.clear();
            let (used, is_end) = match framing {
                RequestBody::None => return Ok((body, 0)),
                RequestBody::Length(whole) => {
                    let count = here.len().min(usize::try_from(whole - length).unwrap_or(usize::MAX));
                    spans.push(crate::base::Span::new(0, count));
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
                if keeps {
                    body.extend_from_slice(span.of(here));
                }
            }
            self.input.consume(used);
            if is_end {
                return Ok((body, length));
            }
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Answers; false when the connection must not be used again.
    async fn answer(&mut self, request: &Request) -> io::Result<bool> {
        let path = request.path.strip_prefix(b"/v1").unwrap_or(&request.path);
        match (request.method, path) {
            (Method::Get | Method::Head, b"/models") => self.models(None, request).await,
            (Method::Get | Method::Head, _) if path.starts_with(b"/models/") => {
                let id = String::from_utf8_lossy(&path[8..]).into_owned();
                self.models(Some(&id), request).await
            }
            (Method::Post, b"/chat/completions" | b"/completions" | b"/embeddings") => {
                self.generate(path, request).await
            }
            _ => {
                let path = String::from_utf8_lossy(&request.path);
                let (method, bytes) = (request.method.as_str(), request.body_len);
                let body = serde_json::json!({"object": "echo", "method": method, "path": path, "body_bytes": bytes});
                self.whole(
                    200,
                    body.to_string().as_bytes(),
                    request.method == Method::Head,
                    &Behaviour::default(),
                )
                .await
            }
        }
    }

    async fn models(&mut self, id: Option<&str>, request: &Request) -> io::Result<bool> {
        let is_head = request.method == Method::Head;
        match answer::models(id) {
            Some(body) => self.whole(200, &body, is_head, &Behaviour::default()).await,
            None => {
                let body = answer::error(404, "The model does not exist.");
                self.whole(404, &body, is_head, &Behaviour::default()).await
            }
        }
    }

    async fn generate(&mut self, path: &[u8], request: &Request) -> io::Result<bool> {
        let Some(asked) = Asked::read(&request.body) else {
            let body = answer::error(400, "The body is not a JSON object.");
            return self.whole(400, &body, false, &Behaviour::default()).await;
        };
        let behaviour = asked.behaviour.clone();
        sleep(behaviour.delay_ms).await;
        if behaviour.stall == Some(Stall::Head) {
            return self.stall().await;
        }
        if behaviour.garbage {
            self.send(&[b"\x16\x03garbage \xFF\x00 this is no HTTP\n\n\r\r"]).await?;
            return Ok(false);
        }
        if let Some(status) = behaviour.status.filter(|&status| status != 200) {
            let body = answer::error(status, "A fault that was asked for.");
            return self.whole(status, &body, false, &behaviour).await;
        }
        if asked.streams() && path != b"/embeddings" {
            let is_chat = path == b"/chat/completions";
            let events = if is_chat { asked.chat_events() } else { asked.completion_events() };
            return self.stream(events, &behaviour).await;
        }
        let body = match path {
            b"/chat/completions" => asked.chat(),
            b"/completions" => asked.completion(),
            _ => asked.embeddings(),
        };
        self.whole(200, &body, false, &behaviour).await
    }

    /// An answer with a length, or the part of it that the behaviour allows.
    async fn whole(
        &mut self,
        status: u16,
        body: &[u8],
        is_head: bool,
        behaviour: &Behaviour,
    ) -> io::Result<bool> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let mut head = HeadWriter::response(&mut out, status);
        head.checked_header(b"content-type", b"application/json");
        head.checked_header(b"x-request-id", b"req_simulated");
        head.checked_header(b"x-ratelimit-remaining-requests", b"9999");
        if let Some(seconds) = &behaviour.retry_after {
            head.checked_header(b"retry-after", seconds.as_bytes());
        }
        head.number(b"content-length", body.len() as u64);
        head.finish();
        let body = if is_head { b"" } else { body };
        let part = behaviour.cut_after.or(behaviour.reset_after).unwrap_or(body.len()).min(body.len());
        let result = match (behaviour.drip_ms, behaviour.stall) {
            (Some(ms), _) => self.drip(&[&out[..], &body[..part]].concat(), ms).await,
            (None, Some(_)) => self.send(&[&out]).await,
            (None, None) => self.send(&[&out, &body[..part]]).await,
        };
        self.out = out;
        result?;
        self.end(behaviour, part == body.len()).await
    }

    /// A chunked stream of events, at the pace that was asked for.
    async fn stream(&mut self, events: Vec<Vec<u8>>, behaviour: &Behaviour) -> io::Result<bool> {
        let mut out = Vec::with_capacity(1024);
        let mut head = HeadWriter::response(&mut out, 200);
        head.checked_header(b"content-type", b"text/event-stream; charset=utf-8");
        head.checked_header(b"x-request-id", b"req_simulated");
        head.checked_header(b"transfer-encoding", b"chunked");
        head.finish();
        let limit = behaviour.cut_after.or(behaviour.reset_after).unwrap_or(events.len()).min(events.len());
        let is_paced = behaviour.pace_ms > 0 || behaviour.drip_ms.is_some();
        for event in &events[..limit] {
            write_chunk_head(event.len(), &mut out);
            out.extend_from_slice(event);
            out.extend_from_slice(b"\r\n");
            if is_paced || out.len() >= BUFFER_BYTES {
                match behaviour.drip_ms {
                    Some(ms) => self.drip(&out, ms).await?,
                    None => self.send(&[&out]).await?,
                }
                out.clear();
                sleep(behaviour.pace_ms).await;
            }
            if behaviour.stall == Some(Stall::Body) {
                self.send(&[&out]).await?;
                return self.stall().await;
            }
        }
        let is_whole = limit == events.len();
        if is_whole {
            out.extend_from_slice(LAST_CHUNK);
        }
        self.send(&[&out]).await?;
        self.end(behaviour, is_whole).await
    }

    /// What happens behind the last byte that was sent.
    async fn end(&mut self, behaviour: &Behaviour, is_whole: bool) -> io::Result<bool> {
        if behaviour.stall.is_some() {
            return self.stall().await;
        }
        if behaviour.reset_after.is_some() && !is_whole {
            self.conn.reset_on_close();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(is_whole)
    }

    /// Sends nothing more until the peer closes. A future that waits for nothing would be dropped, and the connection with
    /// it.
    async fn stall(&mut self) -> io::Result<bool> {
        while self.fill().await? {
            self.input.clear();
        }
        Ok(false)
    }

    async fn drip(&mut self, bytes: &[u8], ms: u64) -> io::Result<()> {
        for byte in bytes.chunks(1) {
            self.send(&[byte]).await?;
            sleep(ms).await;
        }
        Ok(())
    }
}

fn is_known(path: &[u8]) -> bool {
    let path = path.strip_prefix(b"/v1").unwrap_or(path);
    matches!(path, b"/chat/completions" | b"/completions" | b"/embeddings")
}

async fn sleep(ms: u64) {
    if ms > 0 {
        crate::net::driver::sleep(Duration::from_millis(ms)).await;
    }
}
