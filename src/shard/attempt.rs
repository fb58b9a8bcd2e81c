//! The only loop that asks a provider again. It ends with an answer of which no byte has reached the client, or with the
//! reason why there is none.

use std::rc::Rc;
use std::sync::Arc;

use super::Shard;
use super::active::{Active, Upstream};
use super::body::Body;
use super::call::Call;
use super::client::Client;
use super::exchange::Stop;
use super::once::{Failed, One};
use super::outgoing::Outgoing;
use super::tally::Tally;
use super::work::Work;
use crate::base::Refusal;
use crate::base::fault::{Fault, RetryRule};
use crate::net::buffer::Buffer;
use crate::net::conn::Conn;
use crate::offload::Token;
use crate::policy::retry;
use crate::wire::head::Known;

/// An answer whose head is read and whose first bytes are in the buffer. `work.response` holds the places of its head.
pub struct Answered {
    pub upstream: Rc<Upstream>,
    pub conn: Box<Conn>,
    pub buffer: Buffer,
    pub head_len: usize,
    /// Attempts that were made, this one included.
    pub attempts: u32,
    /// The length of head and body, when all of it is in the buffer.
    pub whole_len: Option<usize>,
    /// It is a stream that has said nothing for as long as a caller may be left without a sign.
    pub is_silent: bool,
    /// The provider has the whole request. Otherwise what goes over the connection next would be taken for its rest.
    pub request_is_whole: bool,
    /// The access token that was shown, which no answer may hold.
    pub token: Option<Arc<Token>>,
    pub busy: Busy,
}

/// A connection that is in use, in the count of its provider.
pub struct Busy {
    upstream: Rc<Upstream>,
}

impl Busy {
    pub fn begin(upstream: &Rc<Upstream>) -> Busy {
        upstream.busy.set(upstream.busy.get() + 1);
        Busy { upstream: upstream.clone() }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.upstream.busy.set(self.upstream.busy.get() - 1);
    }
}

/// What follows an attempt.
enum Verdict {
    Answer(Answered),
    /// Once more, after a pause when the provider or our own rules ask for one.
    Again {
        pause_ms: Option<u64>,
    },
}

/// Asks the provider until there is an answer that need not be asked for again, or no further attempt is allowed.
#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each borrowed on its own")]
pub async fn attempt(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    call: &Call,
    outgoing: &Outgoing,
    body: &mut Body,
    head_len: usize,
) -> Result<Answered, Stop> {
    let rules = &call.target.upstream.provider.retry;
    call.target.upstream.budget.earn(rules.budget_ratio_milli);
    let (mut attempts, mut only_fresh) = (0, false);
    loop {
        attempts += 1;
        let mut one = One { shard, active, client, work, tally, call, outgoing, only_fresh };
        let result = one.run(body, head_len, attempts).await;
        let can_repeat = !matches!(body, Body::Streaming(inflow) if inflow.has_flowed);
        let verdict = match result {
            Err(Failed::Gone) => return Err(Stop::Gone),
            Err(Failed::Stopped(stop)) => return Err(stop),
            Ok(answered) => after_answer(shard, work, tally, call, answered, can_repeat),
            Err(Failed::Fault(fault)) if fault.retry == RetryRule::StaleConnection && can_repeat => {
                tally.fault(fault.kind);
                tally.retried_stale();
                (attempts, only_fresh) = (attempts - 1, true);
                continue;
            }
            Err(Failed::Fault(fault)) => after_fault(shard, tally, call, fault, can_repeat, attempts)?,
        };
        match verdict {
            Verdict::Answer(answered) => return Ok(answered),
            Verdict::Again { pause_ms } => {
                let backoff_ms = backoff_ms(call, attempts, shard.ids.random());
                pause(shard, client, pause_ms.unwrap_or(backoff_ms)).await?;
                tally.begins_again();
            }
        }
    }
}

fn backoff_ms(call: &Call, attempts: u32, random: u64) -> u64 {
    let rules = &call.target.upstream.provider.retry;
    let (initial_ms, max_ms) = (rules.initial_backoff_ms, rules.max_backoff_ms);
    retry::backoff_ms(attempts, initial_ms, max_ms, rules.backoff_factor_milli, rules.jitter_milli, random)
}

/// Whether the provider's answer is the one, by its status, its own wish, and what retries are left.
fn after_answer(
    shard: &Shard,
    work: &Work,
    tally: &mut Tally,
    call: &Call,
    answered: Answered,
    can_repeat: bool,
) -> Verdict {
    let rules = &call.target.upstream.provider.retry;
    let status = work.response.status;
    if status < 400 && !rules.statuses.contains(&status) {
        return Verdict::Answer(answered);
    }
    let head = &answered.buffer.filled()[..answered.head_len];
    let value = |known: Known| work.response.headers.find(known).map(|span| span.of(head));
    let pause_ms = retry::wished_ms(value(Known::RetryAfterMs), value(Known::RetryAfter), shard.wall_ms());
    let is_retried = match value(Known::XShouldRetry) {
        Some(b"true") => status >= 400,
        Some(b"false") => false,
        _ => rules.statuses.contains(&status),
    };
    let is_too_long = pause_ms.is_some_and(|ms| ms > rules.retry_after_ms_max);
    let has_tries = answered.attempts <= rules.count_max;
    // What a provider has begun for a request, such as a batch, is not begun again.
    let is_harmless = call.collection.is_none() || call.is_repeatable;
    let allowed =
        is_retried && is_harmless && !call.is_passthrough && can_repeat && !is_too_long && has_tries;
    if !allowed || !tally.may_retry(shard, &call.target.upstream) {
        return Verdict::Answer(answered);
    }
    tally.retried_after_status();
    tally.failed(status, "");
    discard(shard, work, answered);
    Verdict::Again { pause_ms }
}

/// Whether a fault may be followed by another attempt; the refusal when not.
fn after_fault(
    shard: &Shard,
    tally: &mut Tally,
    call: &Call,
    fault: Fault,
    can_repeat: bool,
    attempts: u32,
) -> Result<Verdict, Stop> {
    tally.fault(fault.kind);
    tally.failed(0, fault.kind.code());
    let count_max = call.target.upstream.provider.retry.count_max;
    let is_harmless = call.is_repeatable || fault.kind.is_before_sending();
    let allowed = fault.retry != RetryRule::Never && can_repeat && is_harmless && attempts <= count_max;
    if !allowed || !tally.may_retry(shard, &call.target.upstream) {
        let mut refusal = Refusal::from_fault(fault);
        refusal.was_retried = attempts > 1;
        return Err(refusal.into());
    }
    tally.retried_after_fault();
    Ok(Verdict::Again { pause_ms: None })
}

async fn pause(shard: &Shard, client: &mut Client, ms: u64) -> Result<(), Stop> {
    let alarm = shard.alarms.alarm();
    alarm.set_after(ms);
    client.unless_gone(shard, alarm.late()).await.map_err(|_| Stop::Gone)
}

/// Ends an answer that nobody wants. Its connection is kept when the whole answer is already here.
pub fn discard(shard: &Shard, work: &Work, mut answered: Answered) {
    if let Some(length) = answered.whole_len {
        answered.buffer.consume(length);
        if work.response.keep_alive && answered.buffer.is_empty() {
            return answered.keep(shard);
        }
    }
    answered.buffer.clear();
    shard.buffers.take_back(&mut answered.buffer);
}

impl Answered {
    /// The answer was read to its end and nothing follows it: the connection may serve the next request, if the provider
    /// has all of this one.
    pub fn keep(self, shard: &Shard) {
        let Answered { upstream, conn, mut buffer, request_is_whole, busy, .. } = self;
        drop(busy);
        shard.buffers.take_back(&mut buffer);
        // The host may have moved meanwhile.
        if request_is_whole && upstream.names.is_current(&conn) {
            let limit = upstream.provider.limits.pool_idle_count_max;
            upstream.pool.put(conn, shard.alarms.now_ms(), limit);
        }
    }
}
