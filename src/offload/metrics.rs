//! What a shard counts, plainly and without atomics: one shard writes, and hands out a copy when it is asked. Labels are
//! bounded: providers and faults by the settings, models by what the providers list.

use std::collections::BTreeMap;

use crate::base::Pico;
use crate::base::fault::FaultKind;
use crate::base::limits::MODELS_LABELLED_MAX;
use crate::dialect::endpoint::Endpoint;
use crate::ledger::usage::Usage;

/// All counters of one shard.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub providers: Vec<OfProvider>,
    /// Refusals that were made without a provider's part in it, by code.
    pub refusals: BTreeMap<&'static str, u64>,
    pub client_bytes_in: u64,
    pub client_bytes_out: u64,
    pub connections_accepted: u64,
    pub connections_handed_over: u64,
    pub connections_refused: u64,
    pub connections_open: u64,
    pub requests_in_flight: u64,
    pub clients_gone: u64,
    /// Bodies and headers that the audit log was to keep and that found no room.
    pub audit_unkept: u64,
    pub panics: u64,
    pub driver: &'static str,
    /// The time that the gateway itself took for an exchange, by endpoint.
    pub added: [Histogram<ADDED_BUCKETS>; Endpoint::COUNT],
}

/// The counters of one provider on one shard.
#[derive(Clone, Debug)]
pub struct OfProvider {
    pub name: String,
    pub models: BTreeMap<String, OfModel>,
    pub faults: [u64; FaultKind::ALL.len()],
    pub retries_after_fault: u64,
    pub retries_after_status: u64,
    pub retries_of_stale: u64,
    pub retries_refused: u64,
    pub connects: u64,
    pub busy: u64,
    pub idle: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub usage_unknown: u64,
    pub arguments_cut: u64,
    pub first_byte: [Histogram<LATENCY_BUCKETS>; Endpoint::COUNT],
    pub first_token: [Histogram<LATENCY_BUCKETS>; Endpoint::COUNT],
    pub duration: [Histogram<LATENCY_BUCKETS>; Endpoint::COUNT],
}

/// The counters of one model.
#[derive(Clone, Debug, Default)]
pub struct OfModel {
    /// By endpoint and status class: 1xx … 5xx; index 0 is "no answer" (the client left, or the answer was cut).
    pub requests: [[u64; 6]; Endpoint::COUNT],
    pub tokens_in: u64,
    pub tokens_out: u64,
    pub tokens_cache_read: u64,
    pub tokens_reasoning: u64,
    /// What the exchanges cost whose cost is known, in pico-dollars, and how many have an unknown one.
    pub cost_pico: i128,
    pub unpriced: u64,
}

/// A histogram with fixed bounds, which are given when it is used and when it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<const N: usize> {
    /// Observations up to each bound, not cumulated; those above the last bound are in `count` only.
    pub buckets: [u64; N],
    pub count: u64,
    pub sum_us: u64,
}

/// Bounds in microseconds of the time that others take: 1 ms to 5 min.
pub const LATENCY_US: [u64; LATENCY_BUCKETS] = [
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
];
/// Bounds in microseconds of the time that the gateway adds: 10 µs to 1 s.
pub const ADDED_US: [u64; ADDED_BUCKETS] =
    [10, 20, 30, 50, 75, 100, 150, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];
const LATENCY_BUCKETS: usize = 16;
const ADDED_BUCKETS: usize = 16;

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Histogram { buckets: [0; N], count: 0, sum_us: 0 }
    }
}

impl<const N: usize> Histogram<N> {
    /// Counts one observation.
    pub fn observe(&mut self, bounds_us: &[u64; N], value_us: u64) {
        self.count += 1;
        self.sum_us += value_us;
        let bucket = bounds_us.partition_point(|&bound| bound < value_us);
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            *bucket += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_us += other.sum_us;
        add_all(&mut self.buckets, &other.buckets);
    }
}

impl OfProvider {
    pub fn new(name: &str) -> OfProvider {
        OfProvider {
            name: name.to_owned(),
            models: BTreeMap::new(),
            faults: [0; FaultKind::ALL.len()],
            retries_after_fault: 0,
            retries_after_status: 0,
            retries_of_stale: 0,
            retries_refused: 0,
            connects: 0,
            busy: 0,
            idle: 0,
            bytes_in: 0,
            bytes_out: 0,
            usage_unknown: 0,
            arguments_cut: 0,
            first_byte: Default::default(),
            first_token: Default::default(),
            duration: Default::default(),
        }
    }

    /// The counters of a model that the provider is known to offer; all others share the label `other`.
    pub fn model(&mut self, name: &str, is_known: bool) -> &mut OfModel {
        let is_labelled =
            is_known && (self.models.len() < MODELS_LABELLED_MAX || self.models.contains_key(name));
        let label = if is_labelled { name } else { OTHER };
        if !self.models.contains_key(label) {
            self.models.insert(label.to_owned(), OfModel::default());
        }
        self.models.get_mut(label).expect("the label was inserted above")
    }

    fn merge(&mut self, other: &OfProvider) {
        for (name, model) in &other.models {
            self.models.entry(name.clone()).or_default().merge(model);
        }
        add_all(&mut self.faults, &other.faults);
        self.retries_after_fault += other.retries_after_fault;
        self.retries_after_status += other.retries_after_status;
        self.retries_of_stale += other.retries_of_stale;
        self.retries_refused += other.retries_refused;
        self.connects += other.connects;
        self.busy += other.busy;
        self.idle += other.idle;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.usage_unknown += other.usage_unknown;
        self.arguments_cut += other.arguments_cut;
        for endpoint in 0..Endpoint::COUNT {
            self.first_byte[endpoint].merge(&other.first_byte[endpoint]);
            self.first_token[endpoint].merge(&other.first_token[endpoint]);
            self.duration[endpoint].merge(&other.duration[endpoint]);
        }
    }
}

impl OfModel {
    /// Counts what the provider stated.
    pub fn count_usage(&mut self, usage: &Usage) {
        let add = |sum: &mut u64, count: Option<u64>| *sum = sum.saturating_add(count.unwrap_or(0));
        add(&mut self.tokens_in, usage.input);
        add(&mut self.tokens_out, usage.output);
        add(&mut self.tokens_cache_read, usage.cache_read);
        add(&mut self.tokens_reasoning, usage.reasoning);
    }

    /// Counts what an exchange costs; `None` is unknown.
    pub fn count_cost(&mut self, cost: Option<Pico>) {
        match cost {
            Some(cost) => self.cost_pico = self.cost_pico.saturating_add(cost.0),
            None => self.unpriced += 1,
        }
    }

    fn merge(&mut self, other: &OfModel) {
        self.requests.iter_mut().zip(&other.requests).for_each(|(own, more)| add_all(own, more));
        let add = |sum: &mut u64, count: u64| *sum = sum.saturating_add(count);
        add(&mut self.tokens_in, other.tokens_in);
        add(&mut self.tokens_out, other.tokens_out);
        add(&mut self.tokens_cache_read, other.tokens_cache_read);
        add(&mut self.tokens_reasoning, other.tokens_reasoning);
        add(&mut self.unpriced, other.unpriced);
        self.cost_pico = self.cost_pico.saturating_add(other.cost_pico);
    }
}

impl Counters {
    /// The counters of a provider, made at their first use. Names, not positions, so that they outlive a reload.
    pub fn provider(&mut self, name: &str) -> &mut OfProvider {
        let at = self.providers.iter().position(|provider| provider.name == name).unwrap_or_else(|| {
            self.providers.push(OfProvider::new(name));
            self.providers.len() - 1
        });
        &mut self.providers[at]
    }

    /// Adds another shard's counters; what is kept per shard (connections) is written before they are merged.
    pub fn merge(&mut self, other: &Counters) {
        for provider in &other.providers {
            self.provider(&provider.name).merge(provider);
        }
        for (code, count) in &other.refusals {
            *self.refusals.entry(code).or_default() += count;
        }
        self.client_bytes_in += other.client_bytes_in;
        self.client_bytes_out += other.client_bytes_out;
        self.requests_in_flight += other.requests_in_flight;
        self.clients_gone += other.clients_gone;
        self.audit_unkept += other.audit_unkept;
        for (own, more) in self.added.iter_mut().zip(&other.added) {
            own.merge(more);
        }
    }
}

fn add_all<const N: usize>(own: &mut [u64; N], more: &[u64; N]) {
    own.iter_mut().zip(more).for_each(|(own, more)| *own += more);
}

/// The label of every model that no list knows.
const OTHER: &str = "other";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_is_in_the_first_bucket_that_holds_it() {
        let mut histogram = Histogram::<16>::default();
        for value_us in [0, 10, 11, 1_000_000, 1_000_001] {
            histogram.observe(&ADDED_US, value_us);
        }
        assert_eq!((histogram.buckets[0], histogram.buckets[1], histogram.buckets[15]), (2, 1, 1));
        assert_eq!((histogram.count, histogram.sum_us), (5, 2_000_022));
    }

    #[test]
    fn model_labels_are_bounded_however_many_names_come() {
        let mut provider = OfProvider::new("p");
        for index in 0..10_000 {
            provider.model(&format!("m{index}"), index % 2 == 0);
        }
        assert_eq!(provider.models.len(), MODELS_LABELLED_MAX);
        assert!(provider.models.contains_key(OTHER));
    }
}
