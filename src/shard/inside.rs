//! Handing a request over to the offload thread: it goes there over a pair of sockets inside the process, and the answer is
//! passed on like a provider's, with the same loop and the same care. There is no listener that others could reach.

use std::future::poll_fn;
use std::io::IoSlice;
use std::rc::Rc;
use std::task::Poll;

use super::Shard;
use super::active::Active;
use super::attempt::{Answered, Busy};
use super::body;
use super::call::Call;
use super::client::Client;
use super::exchange::{Next, Stop, release};
use super::once::{Turn, fill};
use super::relay::{self, Relayed};
use super::route::{Asked, Target};
use super::tally::{Tally, WasWaitedFor};
use super::work::Work;
use crate::base::limits::{ADMIN_BODY_BYTES_MAX, BUFFER_BYTES, HEAD_BYTES_MAX};
use crate::base::{Refusal, RefusalKind, Secret};
use crate::config::Server;
use crate::dialect::endpoint::Endpoint;
use crate::net::buffer::Buffer;
use crate::net::conn::Conn;
use crate::offload::ToOffload;
use crate::offload::admin::{Visit, Visitor};
use crate::policy::admit;
use crate::wire::Step;
use crate::wire::head::EndOfHead;
use crate::wire::response::read_response;
use crate::wire::write::HeadWriter;

/// Hands the request over and passes the answer on.
pub async fn hand_over(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    head_len: usize,
    asked: Asked,
) -> Result<Next, Stop> {
    let server = &active.snapshot().server;
    let bytes_max = server.body_bytes_max.min(ADMIN_BODY_BYTES_MAX);
    let small = Server { body_bytes_max: bytes_max, ..server.clone() };
    let body = body::read_held(shard, client, work, &small, head_len).await?;
    tally.has_body(&body, WasWaitedFor::Yes);
    let (mut conn, theirs) = Conn::pair().map_err(|_| unavailable())?;
    let visitor = visitor(client, work, head_len, asked);
    let visit = Visit {
        fd: theirs,
        visitor,
        client_ip: client.address.clone(),
        request_id: String::from_utf8_lossy(work.request_id.as_bytes()).into_owned(),
    };
    if !shard.offload.tell(ToOffload::Visit(Box::new(visit))) {
        return Err(unavailable());
    }
    let mut out = shard.buffers.lend();
    write_head(work, &client.input.filled()[..head_len], body.held(&client.input).len(), &mut out);
    out.extend_from_slice(body.held(&client.input));
    let sent = send(shard, client, &mut conn, &out).await;
    shard.buffers.give_back(out);
    sent?;
    tally.sent();
    let mut buffer = Buffer::default();
    let head_len = read_head(shard, active, client, work, &mut conn, &mut buffer).await?;
    tally.has_answer();
    let upstream = active.inside.clone();
    let target =
        Target { upstream: upstream.clone(), model: Rc::default(), is_qualified: false, is_known: false };
    let call = Call { is_repeatable: false, ..Call::to(Endpoint::Other, target) };
    let answered = Answered {
        busy: Busy::begin(&upstream),
        upstream,
        conn: Box::new(conn),
        buffer,
        head_len,
        attempts: 1,
        whole_len: None,
        request_is_whole: true,
        token: None,
        is_silent: false,
    };
    work.request.keep_alive &= body.is_complete() && !shard.is_draining.get();
    release(shard, client, work);
    let relayed = relay::relay(shard, server, client, work, tally, &call, answered).await;
    Ok(match relayed {
        Relayed::Whole if work.request.keep_alive => Next::KeepAlive,
        Relayed::Whole => Next::Linger,
        Relayed::UntilClose => Next::Close,
        Relayed::Cut => Next::Abort,
    })
}

/// Who asks: for the admin API whoever the key says, which is looked at there; for its own usage the caller that was let in.
fn visitor(client: &Client, work: &Work, head_len: usize, asked: Asked) -> Visitor {
    let head = &client.input.filled()[..head_len];
    match asked {
        Asked::OwnUsage => Visitor::Caller {
            key: work.caller.key.clone(),
            path: work.caller.path().clone(),
            auth: work.caller.auth,
        },
        _ => {
            let presented = admit::presented_key(head, &work.request.headers);
            Visitor::Admin(presented.map(|key| Secret::new(String::from_utf8_lossy(key))))
        }
    }
}

/// The request's line and the headers that mean something there. No header of the client's says who it is.
fn write_head(work: &Work, head: &[u8], body_len: usize, out: &mut Vec<u8>) {
    let request = &work.request;
    let query = request.query.of(head);
    let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    let mut writer = HeadWriter::request(out, request.method.as_str(), &[request.path.of(head), mark, query]);
    for name in PASSED {
        if let Some(value) = request.headers.get(head, name) {
            writer.checked_header(name.as_bytes(), value.of(head));
        }
    }
    if request.headers.get(head, "host").is_none() {
        writer.checked_header(b"host", b"inside");
    }
    writer.number(b"content-length", body_len as u64);
    writer.finish();
}

/// Sends the request. An answer may come before all of it is taken; it is read next, whatever became of the rest.
async fn send(shard: &Shard, client: &mut Client, conn: &mut Conn, bytes: &[u8]) -> Result<(), Stop> {
    let mut slices = [IoSlice::new(bytes)];
    let mut left = &mut slices[..];
    poll_fn(|cx| {
        if conn.poll_send(cx, &mut left).is_ready() {
            return Poll::Ready(Ok(()));
        }
        client.peer.poll_gone(cx, &shard.buffers).map(|()| Err(Stop::Gone))
    })
    .await
}

/// Reads the head of the answer; its length.
async fn read_head(
    shard: &Shard,
    active: &Active,
    client: &mut Client,
    work: &mut Work,
    conn: &mut Conn,
    buffer: &mut Buffer,
) -> Result<usize, Stop> {
    client.upstream_alarm.set_after(active.inside.provider.limits.first_byte_timeout_ms);
    let (mut end, mut looked_at) = (EndOfHead::default(), 0);
    let head_len = loop {
        match end.step(&buffer.filled()[looked_at..]) {
            Step::Done { used } => break looked_at + used,
            Step::Bad(_) => return Err(unavailable()),
            Step::More => looked_at = buffer.len(),
        }
        let room = BUFFER_BYTES.min(HEAD_BYTES_MAX + 1 - looked_at);
        match fill(shard, client, conn, buffer, room).await {
            Turn::Bytes(Ok(count)) if count > 0 => {}
            Turn::Gone => return Err(Stop::Gone),
            _ => return Err(unavailable()),
        }
    };
    read_response(&buffer.filled()[..head_len], work.request.method, &mut work.response)
        .map_err(|_| unavailable())?;
    Ok(head_len)
}

fn unavailable() -> Stop {
    let message = "The admin API does not answer.";
    let mut refusal = Refusal::new(503, RefusalKind::Server, "admin_unavailable", message);
    refusal.retry_after_s = Some(1);
    refusal.into()
}

/// Headers of the client that pass.
const PASSED: [&str; 9] = [
    "host",
    "content-type",
    "accept",
    "origin",
    "sec-fetch-site",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-real-ip",
];
