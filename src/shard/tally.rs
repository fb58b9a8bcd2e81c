//! What one exchange tells the counters: collected while it runs, counted once at its end.

use std::rc::Rc;

use super::Shard;
use super::active::Upstream;
use super::answer;
use super::body::Body;
use super::call::Call;
use super::client::Client;
use super::entry::{self, Entry};
use super::work::Work;
use crate::base::Refusal;
use crate::base::clock;
use crate::base::fault::FaultKind;
use crate::dialect::endpoint::Endpoint;
use crate::ledger::record::{Attempt, AttemptKind, Attempts, Ended, Outcome};
use crate::ledger::usage::Usage;
use crate::net;
use crate::offload::metrics::{ADDED_US, LATENCY_US};

/// The notes of one exchange. Times are microseconds of the monotonic clock.
pub struct Tally {
    begun_us: u64,
    /// The request was whole and its work began.
    ready_us: u64,
    sent_us: u64,
    answered_us: u64,
    /// The attempt that runs has an answer.
    is_answered: bool,
    first_byte_us: Option<u64>,
    first_token_us: Option<u64>,
    /// Time since `ready_us` in which the gateway waited for others.
    waited_us: u64,
    /// When that was, for exchanges that end with it.
    passed_on_us: u64,
    came_in_parts: bool,
    /// What is left of the time until the first byte was passed on: the gateway's own.
    added_us: Option<u64>,
    provider: Option<Named>,
    status: u16,
    usage: Usage,
    is_cut: bool,
    client_gone: bool,
    bytes_in: u64,
    bytes_out_before: u64,
    upstream_in: u64,
    upstream_out: u64,
    faults: Vec<FaultKind>,
    after_fault: u64,
    after_status: u64,
    stale: u64,
    refused_retries: u64,
    connects: u64,
    states_usage: bool,
    /// Events that were seen of a stream.
    events_seen: Option<u64>,
    /// About how many tokens an answer said that is no stream.
    tokens_said: Option<u64>,
    /// Arguments of a call went on behind their object.
    has_surplus: bool,
    attempts: Vec<Failed>,
    /// What the journal and the accounts get.
    pub entry: Entry,
}

/// An attempt that did not bring the answer.
struct Failed {
    status: u16,
    fault: &'static str,
    duration_us: u64,
}

struct Named {
    upstream: Rc<Upstream>,
    model: Rc<str>,
    is_known: bool,
    endpoint: Endpoint,
}

/// Whether bytes of the body came after the exchange had begun.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WasWaitedFor {
    Yes,
    No,
}

impl Tally {
    /// When it began, in microseconds of the monotonic clock.
    pub fn begun_us(&self) -> u64 {
        self.begun_us
    }

    /// Begins with the bytes that the client had been sent before. The time is that at which the event loop learned of the request:
    /// what it waits for its turn is time that the gateway takes.
    pub fn begin(bytes_out_before: u64) -> Tally {
        let now_us = net::looked_us();
        Tally {
            begun_us: now_us,
            ready_us: now_us,
            sent_us: now_us,
            answered_us: now_us,
            is_answered: false,
            first_byte_us: None,
            first_token_us: None,
            waited_us: 0,
            added_us: None,
            passed_on_us: 0,
            came_in_parts: false,
            provider: None,
            status: 0,
            usage: Usage::default(),
            is_cut: false,
            client_gone: false,
            bytes_in: 0,
            bytes_out_before,
            upstream_in: 0,
            upstream_out: 0,
            faults: Vec::new(),
            after_fault: 0,
            after_status: 0,
            stale: 0,
            refused_retries: 0,
            connects: 0,
            states_usage: false,
            events_seen: None,
            tokens_said: None,
            has_surplus: false,
            attempts: Vec::new(),
            entry: Entry::default(),
        }
    }

    pub fn has_head(&mut self, head_len: usize) {
        self.bytes_in += head_len as u64;
    }

    /// The body is here, as far as it is waited for.
    pub fn has_body(&mut self, body: &Body, was_waited_for: WasWaitedFor) {
        self.bytes_in += match body {
            Body::None => 0,
            Body::Held(span) => span.len() as u64,
            Body::Decoded(bytes) => bytes.len() as u64,
            Body::Streaming(inflow) => inflow.length.unwrap_or(inflow.peeked.len() as u64),
        };
        if was_waited_for == WasWaitedFor::Yes {
            self.ready_us = clock::monotonic_us();
        }
    }

    /// The request means this provider and model.
    pub fn names(&mut self, call: &Call) {
        let upstream = call.target.upstream.clone();
        let (model, is_known, endpoint) = (call.target.model.clone(), call.target.is_known, call.endpoint);
        self.provider = Some(Named { upstream, model, is_known, endpoint });
    }

    /// The request has left for the upstream.
    pub fn sent(&mut self) {
        self.sent_us = clock::monotonic_us();
        self.is_answered = false;
    }

    /// The head of the upstream's answer is here, since the event loop learned of it.
    pub fn has_answer(&mut self) {
        self.answered_us = net::looked_us().max(self.sent_us);
        self.is_answered = true;
        self.first_byte_us = Some(self.answered_us.saturating_sub(self.sent_us));
    }

    /// More of the answer was waited for behind its head.
    pub fn has_more_of_answer(&mut self) {
        self.answered_us = net::looked_us().max(self.sent_us);
    }

    /// The upstream's answer is the one that is passed on; what passed since it was asked was not our time.
    pub fn answered(&mut self, status: u16) {
        self.status = status;
        self.waited_us += self.answered_us.saturating_sub(self.sent_us);
    }

    /// The first bytes of the answer are with the client: the gateway's own part is over.
    pub fn passed_on(&mut self, is_stream: bool) {
        if self.added_us.is_some() {
            self.came_in_parts = true;
            return;
        }
        let now_us = clock::monotonic_us();
        self.added_us = Some(now_us.saturating_sub(self.ready_us).saturating_sub(self.waited_us));
        self.passed_on_us = now_us;
        if is_stream {
            self.first_token_us = Some(now_us.saturating_sub(self.begun_us));
        }
    }

    /// Another attempt begins: all that was before it was waiting.
    pub fn begins_again(&mut self) {
        self.waited_us = clock::monotonic_us().saturating_sub(self.ready_us);
    }

    pub fn connected(&mut self, took_us: u64) {
        self.connects += 1;
        self.waited_us += took_us;
    }

    pub fn upstream_in(&mut self, count: usize) {
        self.upstream_in += count as u64;
    }

    pub fn upstream_out(&mut self, count: usize) {
        self.upstream_out += count as u64;
    }

    pub fn fault(&mut self, kind: FaultKind) {
        self.faults.push(kind);
    }

    /// An attempt ended without the answer: by a fault, or with a status that is asked for again.
    pub fn failed(&mut self, status: u16, fault: &'static str) {
        let duration_us = clock::monotonic_us().saturating_sub(self.begun_us + self.waited_us);
        self.attempts.push(Failed { status, fault, duration_us });
    }

    pub fn retried_after_fault(&mut self) {
        self.after_fault += 1;
    }

    pub fn retried_after_status(&mut self) {
        self.after_status += 1;
    }

    pub fn retried_stale(&mut self) {
        self.stale += 1;
    }

    /// Takes a retry out of the provider's budget.
    pub fn may_retry(&mut self, shard: &Shard, upstream: &Upstream) -> bool {
        let can = upstream.budget.spend(shard.alarms.now_ms(), upstream.provider.retry.budget_per_second);
        self.refused_retries += u64::from(!can);
        can
    }

    /// What the provider said it counted; `is_expected` when an answer like this one should say it.
    pub fn usage(&mut self, usage: Usage, is_expected: bool) {
        // By now the model is known, and with it what the provider's counts mean.
        self.usage = self
            .provider
            .as_ref()
            .map_or(usage, |named| usage.by(named.upstream.provider.rules_for(&named.model).usage));
        self.states_usage = is_expected;
    }

    /// The answer names this model as the one that made it; empty where it names none.
    pub fn answered_by(&mut self, shard: &Shard, model: &str) {
        if let Some(named) =
            self.provider.as_ref().filter(|named| !model.is_empty() && *named.model != *model)
        {
            self.entry.answered_by(shard, &named.upstream.provider, &named.model, model);
        }
    }

    /// Writes the headers that tell usage and cost of a whole answer, as its record will have them.
    pub fn tell_cost(&mut self, out: &mut Vec<u8>) {
        if self.states_usage && !self.usage.is_known() {
            let mut usage = self.usage;
            self.estimate_unstated(&mut usage);
            return self.entry.tell_cost(&usage, out);
        }
        self.entry.tell_cost(&self.usage, out);
    }

    /// The answer did not come to its end.
    pub fn cut(&mut self) {
        self.is_cut = true;
    }

    /// The gateway answered by itself.
    pub fn refused(&mut self, status: u16) {
        self.status = status;
    }

    /// What was seen of the answer so far: the events of a stream, about how many tokens any other one said, and whether
    /// arguments in it were cut behind their object.
    pub fn seen(&mut self, events: Option<u64>, tokens: Option<u64>, has_surplus: bool) {
        (self.events_seen, self.tokens_said, self.has_surplus) = (events, tokens, has_surplus);
    }

    /// The gateway answers by itself: its record is written before the answer leaves.
    pub fn is_refused(&mut self, shard: &Shard, work: &Work, refusal: &Refusal) {
        if self.entry.is_open() {
            if let Some(capture) = &mut self.entry.capture {
                capture.is_refused(answer::refusal_body(work, refusal));
            }
            self.status = refusal.status;
            self.ends(shard, 0, Outcome::Refused, refusal.code);
        }
    }

    /// Writes down how the exchange ends and settles its accounts, once. `bytes_out` is what the client has been sent on
    /// this connection, what leaves next included.
    pub fn ends(&mut self, shard: &Shard, bytes_out: u64, outcome: Outcome, error: &str) {
        let now_us = clock::monotonic_us();
        let mut usage = self.usage;
        self.estimate(&mut usage, outcome);
        let (provider, model) = self
            .provider
            .as_ref()
            .map_or((None, ""), |named| (Some(&*named.upstream.provider), &*named.model));
        let Some(costed) = self.entry.settle(shard, model, &usage, outcome) else { return };
        self.entry.write_capture(shard, provider, outcome);
        let last = (self.first_byte_us.is_some() && outcome != Outcome::Refused).then(|| {
            let fault = if outcome == Outcome::Whole { "" } else { error };
            [attempt(self.attempts.len(), self.status, fault, now_us.saturating_sub(self.sent_us))]
        });
        let last = last.as_ref().map_or(&[][..], |last| last);
        let (input_cost, output_cost) = entry::costs_of(costed.cost());
        self.entry.write_end(
            shard,
            &Ended {
                duration_us: now_us.saturating_sub(self.begun_us),
                first_byte_us: self.first_byte_us,
                first_token_us: self.first_token_us,
                status: self.status,
                outcome,
                error,
                usage,
                cost: costed.cost().map(|cost| cost.total),
                input_cost,
                output_cost,
                cost_source: costed.source_name(),
                cost_caveat: costed.caveat(),
                bytes_in: self.bytes_in,
                bytes_out: bytes_out.saturating_sub(self.bytes_out_before),
                answered_model: self.entry.answered_model(),
                attempts: self.with_failed(last),
                attempts_unlisted: 0,
            },
        );
    }

    /// All attempts: those that failed, and then the last.
    fn with_failed<'a>(&'a self, last: &'a [Attempt<'a>]) -> Attempts<'a> {
        if self.attempts.is_empty() {
            return Attempts::Shown(last);
        }
        let failed = self.attempts.iter().enumerate();
        let failed = failed.map(|(at, failed)| attempt(at, failed.status, failed.fault, failed.duration_us));
        Attempts::Own(failed.chain(last.iter().copied()).collect())
    }

    /// Puts what was seen into the place of what the provider did not come to count, or does not state.
    fn estimate(&self, usage: &mut Usage, outcome: Outcome) {
        let is_success = (200..300).contains(&self.status);
        let is_cut = matches!(outcome, Outcome::Cut | Outcome::ClientGone);
        if is_success && is_cut && self.is_answered {
            self.estimate_cut(usage);
        }
        if is_success && outcome == Outcome::Whole && self.states_usage && !usage.is_known() {
            self.estimate_unstated(usage);
        }
    }

    /// The provider did work that it did not come to count: what was seen of it stands in for its count, and says so.
    fn estimate_cut(&self, usage: &mut Usage) {
        let Some(events) = self.events_seen else { return };
        if usage.input.is_none() {
            usage.input = Some(self.entry.body_bytes().div_ceil(BYTES_PER_TOKEN));
            usage.is_estimated = true;
        }
        usage.estimate_cut_output(events);
    }

    /// The provider did its work and stated no count of it.
    fn estimate_unstated(&self, usage: &mut Usage) {
        let tokens = self.events_seen.or(self.tokens_said);
        if let Some(tokens) = tokens.filter(|_| self.is_conversation()) {
            usage.estimate_missing(self.entry.body_bytes().div_ceil(BYTES_PER_TOKEN), tokens);
        }
    }

    /// Whether the answer is made of words, so that its tokens can be told from them.
    fn is_conversation(&self) -> bool {
        let endpoint = self.provider.as_ref().map(|named| named.endpoint);
        endpoint.is_some_and(|endpoint| endpoint.grammar().is_some() || endpoint == Endpoint::Completions)
    }

    /// Counts it all.
    pub fn settle(&mut self, shard: &Shard, client: &Client) {
        let is_over = self.added_us.is_some() && !self.came_in_parts && !self.is_cut;
        let now_us = if is_over { self.passed_on_us } else { clock::monotonic_us() };
        self.client_gone = client.is_gone();
        if self.entry.is_open() {
            let last = self.faults.last().map_or("", |fault| fault.code());
            let (outcome, error) = match self.client_gone {
                true => (Outcome::ClientGone, "client_gone"),
                false => (Outcome::Cut, last),
            };
            self.ends(shard, client.bytes_out, outcome, error);
        }
        let mut counters = shard.counters.borrow_mut();
        let counters = &mut **counters;
        counters.client_bytes_in += self.bytes_in;
        counters.client_bytes_out += client.bytes_out - self.bytes_out_before;
        counters.clients_gone += u64::from(self.client_gone);
        let Some(named) = &self.provider else { return };
        let endpoint = named.endpoint as usize;
        if let Some(added_us) = self.added_us {
            counters.added[endpoint].observe(&ADDED_US, added_us);
        }
        let provider = counters.provider(&named.upstream.provider.name);
        provider.bytes_in += self.upstream_in;
        provider.bytes_out += self.upstream_out;
        provider.connects += self.connects;
        provider.retries_after_fault += self.after_fault;
        provider.retries_after_status += self.after_status;
        provider.retries_of_stale += self.stale;
        provider.retries_refused += self.refused_retries;
        self.faults.iter().for_each(|&kind| provider.faults[kind as usize] += 1);
        provider.duration[endpoint].observe(&LATENCY_US, now_us.saturating_sub(self.begun_us));
        if let Some(first_byte_us) = self.first_byte_us {
            provider.first_byte[endpoint].observe(&LATENCY_US, first_byte_us);
        }
        if let Some(first_token_us) = self.first_token_us {
            provider.first_token[endpoint].observe(&LATENCY_US, first_token_us);
        }
        let is_whole = !self.is_cut && !self.client_gone && self.status > 0;
        provider.usage_unknown += u64::from(self.states_usage && is_whole && !self.usage.is_known());
        provider.arguments_cut += u64::from(self.has_surplus);
        let model = provider.model(&named.model, named.is_known);
        let class = if is_whole { usize::from(self.status / 100).min(5) } else { 0 };
        model.requests[endpoint][class] += 1;
        model.count_usage(&self.usage);
        if let Some(cost) = self.entry.cost {
            model.count_cost(cost);
        }
    }
}

/// The attempt at this place in the order.
fn attempt(at: usize, status: u16, fault: &str, duration_us: u64) -> Attempt<'_> {
    let kind = if at == 0 { AttemptKind::Primary } else { AttemptKind::Retry };
    Attempt::own(kind, status, fault, duration_us)
}

/// Bytes of a request that make a token, where only an estimate can be had: English text and JSON have four or more.
const BYTES_PER_TOKEN: u64 = 4;
