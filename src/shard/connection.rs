//! One client connection: request after request, each an exchange behind a barrier of its own.

use std::future::poll_fn;
use std::task::Poll;

use super::client::{Client, Fill};
use super::exchange::{self, Next};
use super::familiar;
use super::{Shard, answer};
use crate::base::limits::BUFFER_BYTES;
use crate::base::{Refusal, RefusalKind};
use crate::net::barrier::{Panicked, barrier};
use crate::net::conn::Conn;
use crate::net::tls;
use crate::wire::head::EndOfHead;
use crate::wire::request::RequestHead;
use crate::wire::{Malformed, Step};

/// Serves a connection to its end.
pub async fn serve(shard: &Shard, conn: Conn) {
    let mut client = Client::new(conn, &shard.alarms);
    let is_too_many = shard.loads.total() > shard.active().snapshot().server.connections_count_max;
    if Box::pin(start_tls(shard, &mut client)).await.is_err() {
        return;
    }
    if is_too_many {
        return Box::pin(turn_away(shard, &mut client)).await;
    }
    loop {
        client.take_turn().await;
        match next_head(shard, &mut client).await {
            Head::Whole(head_len) => match exchange_behind_barrier(shard, &mut client, head_len).await {
                Next::KeepAlive => {}
                Next::Linger => return Box::pin(answer::linger(shard, &mut client)).await,
                Next::Close => return client.peer.conn.close_write(),
                Next::Abort => return client.peer.conn.abort(),
            },
            Head::None => return client.peer.conn.close_write(),
            Head::Bad(bad) => {
                return Box::pin(refuse_head(shard, &mut client, &answer::of_malformed(bad))).await;
            }
            Head::Late => {
                let message = "The request's head did not come in time.";
                let refusal = Refusal::new(408, RefusalKind::InvalidRequest, "head_timeout", message);
                return Box::pin(refuse_head(shard, &mut client, &refusal)).await;
            }
        }
    }
}

/// TLS, where the listener has it; the handshake must end within the time of a head.
async fn start_tls(shard: &Shard, client: &mut Client) -> Result<(), ()> {
    let active = shard.active();
    let Some(config) = &active.compiled.server_tls else { return Ok(()) };
    client.peer.conn.start_tls(tls::server_session(config).map_err(drop)?);
    client.alarm.set_after(active.snapshot().server.head_timeout_ms);
    let Client { peer, alarm, .. } = client;
    poll_fn(|cx| match peer.conn.poll_handshake(cx) {
        Poll::Ready(result) => Poll::Ready(result.map_err(drop)),
        Poll::Pending => alarm.poll_late(cx).map(|()| Err(())),
    })
    .await
}

/// How the wait for a request ended.
enum Head {
    /// The head is the first bytes of the input.
    Whole(usize),
    /// No request came, or a drain came first.
    None,
    Bad(Malformed),
    Late,
}

/// Waits for the next request and reads its head. Bytes of a request that came early are used first.
async fn next_head(shard: &Shard, client: &mut Client) -> Head {
    let active = shard.active();
    let server = &active.snapshot().server;
    client.take_ahead(shard);
    if client.input.is_empty() {
        client.alarm.set_after(server.idle_timeout_ms);
        match client.fill_idle(shard, server.head_timeout_ms).await {
            Fill::Got(_) => {}
            Fill::End | Fill::Late | Fill::Draining => return Head::None,
        }
    }
    if let Some(head_len) = familiar::head_len(client) {
        client.alarm.clear();
        return Head::Whole(head_len);
    }
    client.alarm.set_after(server.head_timeout_ms);
    let (mut end, mut looked_at) = (EndOfHead::default(), 0);
    loop {
        match end.step(&client.input.filled()[looked_at..]) {
            Step::Done { used } => {
                client.alarm.clear();
                client.has_asked = true;
                return Head::Whole(looked_at + used);
            }
            Step::Bad(bad) => return Head::Bad(bad),
            Step::More => looked_at = client.input.len(),
        }
        match client.fill(shard, BUFFER_BYTES).await {
            Fill::Got(_) => {}
            Fill::Late => return Head::Late,
            Fill::End | Fill::Draining => return Head::None,
        }
    }
}

/// Runs one exchange. A panic in it is answered with 500 when nothing has been sent, and ends the connection.
async fn exchange_behind_barrier(shard: &Shard, client: &mut Client, head_len: usize) -> Next {
    let sent_before = client.bytes_out;
    shard.counters.borrow_mut().requests_in_flight += 1;
    let result = barrier(|| exchange::exchange(shard, client, head_len)).await;
    shard.counters.borrow_mut().requests_in_flight -= 1;
    match result {
        Ok(next) => next,
        Err(Panicked) => {
            shard.counters.borrow_mut().panics += 1;
            if client.bytes_out == sent_before {
                let message = "The gateway failed on this request.";
                let refusal = Refusal::new(500, RefusalKind::Server, "internal_error", message);
                Box::pin(refuse_head(shard, client, &refusal)).await;
            }
            Next::Abort
        }
    }
}

/// Refuses what is no request, or no longer one, and closes.
async fn refuse_head(shard: &Shard, client: &mut Client, refusal: &Refusal) {
    let timeout_ms = shard.active().snapshot().server.write_timeout_ms;
    let mut work = shard.works.lend();
    work.request = RequestHead::default();
    work.request_id.set_from_client(b"");
    if answer::refuse(shard, client, &mut work, refusal, timeout_ms).await.is_ok() {
        answer::linger(shard, client).await;
    }
    shard.works.give_back(work);
}

/// More connections than the settings allow.
async fn turn_away(shard: &Shard, client: &mut Client) {
    shard.counters.borrow_mut().connections_refused += 1;
    let message = "The gateway serves as many connections as it is allowed to.";
    let mut refusal = Refusal::new(503, RefusalKind::Server, "too_many_connections", message);
    refusal.retry_after_s = Some(1);
    refuse_head(shard, client, &refusal).await;
}
