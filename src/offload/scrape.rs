//! One scrape: asks every shard for its counters, merges them and writes Prometheus' text format (version 0.0.4).

use std::fmt::{Display, Write};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::manage::PriceList;
use super::metrics::{ADDED_US, Counters, Histogram, LATENCY_US, OfProvider};
use super::records::OfRecords;
use super::tokens::Refreshes;
use super::{Compiled, ToShard};
use crate::base::Pico;
use crate::base::fault::FaultKind;
use crate::base::limits::SCRAPE_SHARD_MS_MAX;
use crate::dialect::endpoint::Endpoint;
use crate::net::doorbell::Mailbox;

/// What the offload thread counts by itself.
pub struct Own {
    pub refreshes: Vec<Refreshes>,
    /// The state of the records, where they are kept.
    pub records: Option<OfRecords>,
    /// The price list that is fetched.
    pub prices: PriceList,
}

/// Collects and calls `done` with the text, on a thread of its own: a shard that is stuck must not hold up the rest.
#[expect(clippy::disallowed_methods, reason = "a scrape waits for the shards; it must not hold up look-ups")]
pub fn collect_aside(
    shards: Vec<Mailbox<ToShard>>,
    compiled: Arc<Compiled>,
    own: Own,
    done: impl FnOnce(String) + Send + 'static,
) -> io::Result<()> {
    let collect = move || {
        let (send, receive) = sync_channel(shards.len());
        shards.iter().for_each(|shard| drop(shard.tell(ToShard::Report(send.clone()))));
        drop(send);
        let wait = Duration::from_millis(SCRAPE_SHARD_MS_MAX);
        let mut reports: Vec<_> =
            std::iter::from_fn(|| receive.recv_timeout(wait).ok()).take(shards.len()).collect();
        reports.sort_by_key(|(shard, _)| *shard);
        done(text(&reports, shards.len(), &compiled, &own));
    };
    std::thread::Builder::new().name("scrape".to_owned()).spawn(collect).map(drop)
}

/// The whole text.
pub fn text(reports: &[(usize, Box<Counters>)], shards: usize, compiled: &Compiled, own: &Own) -> String {
    let mut page = Page::default();
    let mut all = Counters::default();
    for provider in &compiled.snapshot.providers {
        // Every provider has its lines, from the first scrape on.
        all.provider(&provider.name);
    }
    reports.iter().for_each(|(_, counters)| all.merge(counters));
    page.of_process(reports.len(), shards, compiled.generation);
    page.of_shards(reports);
    page.of_requests(&all);
    page.of_upstreams(&all.providers);
    page.of_tokens(&own.refreshes);
    page.of_prices(&own.prices);
    if let Some(records) = &own.records {
        page.of_records(records);
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (index, (label, content)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{label}=\"{}\"", escaped(content));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn histogram<const N: usize>(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        bounds: &[u64; N],
        h: &Histogram<N>,
    ) {
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        let with = |le: &str, value: u64, page: &mut Page| {
            page.sample(&bucket, &[labels, &[("le", le)]].concat(), value);
        };
        for (bound, count) in bounds.iter().zip(&h.buckets) {
            below += count;
            with(&seconds(*bound), below, self);
        }
        with("+Inf", h.count, self);
        self.sample(&format!("{name}_sum"), labels, seconds(h.sum_us));
        self.sample(&format!("{name}_count"), labels, h.count);
    }

    fn of_process(&mut self, heard: usize, shards: usize, generation: u64) {
        self.family("ringway_build_info", "gauge", "The running version.");
        self.sample("ringway_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.single("ringway_shards", "gauge", "Shards of this process.", shards);
        self.single("ringway_shards_reporting", "gauge", "Shards whose counters are in this page.", heard);
        self.single("ringway_config_generation", "gauge", "Settings taken over since the start.", generation);
        if let Some(process) = process() {
            let help = "Resident memory size in bytes.";
            self.single("process_resident_memory_bytes", "gauge", help, process.rss_bytes);
            self.single("process_open_fds", "gauge", "Number of open file descriptors.", process.fds);
            let help = "Total user and system CPU time spent in seconds.";
            self.single("process_cpu_seconds_total", "counter", help, process.cpu_seconds);
        }
    }

    fn of_shards(&mut self, reports: &[(usize, Box<Counters>)]) {
        type Of = fn(&Counters) -> u64;
        let families: [(&str, &str, &str, Of); 5] = [
            ("ringway_connections", "gauge", "Open client connections.", |c| c.connections_open),
            ("ringway_connections_accepted_total", "counter", "Client connections accepted.", |c| {
                c.connections_accepted
            }),
            (
                "ringway_connections_handed_over_total",
                "counter",
                "Connections given to a less busy shard.",
                |c| c.connections_handed_over,
            ),
            ("ringway_connections_refused_total", "counter", "Connections above the limit.", |c| {
                c.connections_refused
            }),
            ("ringway_panics_total", "counter", "Exchanges that ended in a panic.", |c| c.panics),
        ];
        for (name, kind, help, value) in families {
            self.family(name, kind, help);
            for (shard, counters) in reports {
                self.sample(name, &[("shard", &shard.to_string())], value(counters));
            }
        }
        self.family("ringway_driver_info", "gauge", "The event loop that a shard runs on.");
        for (shard, counters) in reports {
            self.sample(
                "ringway_driver_info",
                &[("shard", &shard.to_string()), ("driver", counters.driver)],
                1,
            );
        }
    }

    fn of_requests(&mut self, all: &Counters) {
        let help = "Exchanges that are running.";
        self.single("ringway_requests_in_flight", "gauge", help, all.requests_in_flight);
        let help = "Clients that left before their answer was complete.";
        self.single("ringway_clients_gone_total", "counter", help, all.clients_gone);
        let help = "Bodies that the audit log was to keep and for which memory or the journal had no room.";
        self.single("ringway_audit_bodies_unkept_total", "counter", help, all.audit_unkept);
        self.family("ringway_client_bytes_total", "counter", "Bytes from and to clients, before TLS.");
        self.sample("ringway_client_bytes_total", &[("direction", "in")], all.client_bytes_in);
        self.sample("ringway_client_bytes_total", &[("direction", "out")], all.client_bytes_out);
        self.family(
            "ringway_refusals_total",
            "counter",
            "Requests answered with an error of the gateway's own.",
        );
        for (code, count) in &all.refusals {
            self.sample("ringway_refusals_total", &[("code", code)], count);
        }
        let name = "ringway_gateway_added_seconds";
        self.family(name, "histogram", "Time of an exchange that was spent in the gateway itself.");
        for endpoint in Endpoint::ALL {
            let histogram = &all.added[endpoint as usize];
            if histogram.count > 0 {
                self.histogram(name, &[("endpoint", endpoint.name())], &ADDED_US, histogram);
            }
        }
    }

    fn of_tokens(&mut self, refreshes: &[Refreshes]) {
        let name = "ringway_token_refreshes_total";
        self.family(name, "counter", "Questions for an access token, by how they ended.");
        for of in refreshes {
            self.sample(name, &[("provider", &of.provider), ("outcome", "good")], of.good);
            self.sample(name, &[("provider", &of.provider), ("outcome", "failed")], of.failed);
        }
    }

    fn of_prices(&mut self, list: &PriceList) {
        let name = "ringway_price_list_fetches_total";
        self.family(name, "counter", "Attempts to fetch the price list, by how they ended.");
        self.sample(name, &[("outcome", "good")], list.good);
        self.sample(name, &[("outcome", "failed")], list.failed);
    }

    fn of_records(&mut self, records: &OfRecords) {
        let gauges = [
            ("ringway_journal_bytes", "What the files of the journal take.", records.journal_bytes),
            ("ringway_records_open", "Exchanges that have begun and not ended.", records.open),
            (
                "ringway_store_up",
                "Whether the last call to the store was answered.",
                u64::from(!records.is_store_down),
            ),
        ];
        for (name, help, value) in gauges {
            self.single(name, "gauge", help, value);
        }
        let help = "How long ago the journal was last empty: how far the store is behind.";
        self.single("ringway_store_lag_seconds", "gauge", help, seconds(records.lag_ms * 1000));
        let counters = [
            ("ringway_journal_records_total", "Records that were written to the journal.", records.appended),
            ("ringway_records_stored_total", "Exchanges whose record reached the store.", records.stored),
            (
                "ringway_records_dropped_total",
                "Exchanges that have no record, for want of room.",
                records.lost,
            ),
            (
                "ringway_records_unreadable_total",
                "Records that this version cannot read.",
                records.unreadable,
            ),
            (
                "ringway_journal_failures_total",
                "Files of the journal that could not be made.",
                records.failures,
            ),
            (
                "ringway_journal_sync_failures_total",
                "Syncs of the journal that failed.",
                records.sync_failures,
            ),
        ];
        for (name, help, value) in counters {
            self.single(name, "counter", help, value);
        }
    }

    fn of_upstreams(&mut self, providers: &[OfProvider]) {
        self.requests_by_model(providers);
        self.tokens_by_model(providers);
        type Of = fn(&OfProvider) -> &[Histogram<16>; Endpoint::COUNT];
        let families: [(&str, &str, Of); 3] = [
            ("ringway_request_duration_seconds", "Exchanges, from head to last byte.", |p| &p.duration),
            (
                "ringway_first_byte_seconds",
                "From the request being sent to the provider's first byte.",
                |p| &p.first_byte,
            ),
            (
                "ringway_time_to_first_token_seconds",
                "From the client's head to a stream's first event.",
                |p| &p.first_token,
            ),
        ];
        for (name, help, of) in families {
            self.family(name, "histogram", help);
            for provider in providers {
                for endpoint in Endpoint::ALL {
                    let histogram = &of(provider)[endpoint as usize];
                    if histogram.count > 0 {
                        let labels = [("provider", provider.name.as_str()), ("endpoint", endpoint.name())];
                        self.histogram(name, &labels, &LATENCY_US, histogram);
                    }
                }
            }
        }
        self.faults_and_retries(providers);
        self.pools(providers);
    }

    fn requests_by_model(&mut self, providers: &[OfProvider]) {
        let name = "ringway_requests_total";
        self.family(
            name,
            "counter",
            "Exchanges with a provider, by the class of their status; none when cut or left.",
        );
        for provider in providers {
            for (model, counters) in &provider.models {
                for endpoint in Endpoint::ALL {
                    for (class, &count) in counters.requests[endpoint as usize].iter().enumerate() {
                        if count > 0 {
                            let labels = [
                                ("provider", provider.name.as_str()),
                                ("model", model),
                                ("endpoint", endpoint.name()),
                                ("status", STATUS_CLASSES[class]),
                            ];
                            self.sample(name, &labels, count);
                        }
                    }
                }
            }
        }
    }

    fn tokens_by_model(&mut self, providers: &[OfProvider]) {
        let name = "ringway_tokens_total";
        self.family(
            name,
            "counter",
            "Tokens that providers stated; cache reads and reasoning are parts of in and out.",
        );
        for provider in providers {
            for (model, counters) in &provider.models {
                let kinds = [
                    ("in", counters.tokens_in),
                    ("out", counters.tokens_out),
                    ("cache_read", counters.tokens_cache_read),
                    ("reasoning", counters.tokens_reasoning),
                ];
                for (kind, count) in kinds {
                    let labels = [("provider", provider.name.as_str()), ("model", model), ("kind", kind)];
                    self.sample(name, &labels, count);
                }
            }
        }
        let name = "ringway_cost_dollars_total";
        self.family(name, "counter", "What exchanges cost, as far as it is known.");
        for provider in providers {
            for (model, counters) in &provider.models {
                let labels = [("provider", provider.name.as_str()), ("model", model)];
                self.sample(name, &labels, Pico(counters.cost_pico));
            }
        }
        let name = "ringway_cost_unknown_total";
        self.family(name, "counter", "Exchanges with a provider whose cost is not known.");
        for provider in providers {
            for (model, counters) in &provider.models {
                let labels = [("provider", provider.name.as_str()), ("model", model)];
                self.sample(name, &labels, counters.unpriced);
            }
        }
        let name = "ringway_usage_unknown_total";
        self.family(name, "counter", "Successful exchanges whose provider stated no usage.");
        providers.iter().for_each(|p| self.sample(name, &[("provider", &p.name)], p.usage_unknown));
        let name = "ringway_arguments_cut_total";
        self.family(name, "counter", "Translated answers in which arguments went on behind their object.");
        providers.iter().for_each(|p| self.sample(name, &[("provider", &p.name)], p.arguments_cut));
    }

    fn faults_and_retries(&mut self, providers: &[OfProvider]) {
        let name = "ringway_upstream_faults_total";
        self.family(name, "counter", "What went wrong with upstreams, attempt by attempt.");
        for provider in providers {
            for kind in FaultKind::ALL {
                let count = provider.faults[kind as usize];
                if count > 0 {
                    self.sample(name, &[("provider", &provider.name), ("kind", kind.code())], count);
                }
            }
        }
        let name = "ringway_retries_total";
        self.family(name, "counter", "Further attempts, by what made them necessary.");
        for p in providers {
            let reasons = [
                ("fault", p.retries_after_fault),
                ("status", p.retries_after_status),
                ("stale", p.retries_of_stale),
            ];
            for (reason, count) in reasons {
                self.sample(name, &[("provider", &p.name), ("reason", reason)], count);
            }
        }
        let name = "ringway_retries_refused_total";
        self.family(name, "counter", "Attempts that the retry budget did not allow.");
        providers.iter().for_each(|p| self.sample(name, &[("provider", &p.name)], p.retries_refused));
    }

    fn pools(&mut self, providers: &[OfProvider]) {
        let name = "ringway_upstream_connections";
        self.family(name, "gauge", "Connections to upstreams.");
        for p in providers {
            self.sample(name, &[("provider", &p.name), ("state", "busy")], p.busy);
            self.sample(name, &[("provider", &p.name), ("state", "idle")], p.idle);
        }
        let name = "ringway_upstream_connects_total";
        self.family(name, "counter", "Connections to upstreams that were opened.");
        providers.iter().for_each(|p| self.sample(name, &[("provider", &p.name)], p.connects));
        let name = "ringway_upstream_bytes_total";
        self.family(name, "counter", "Bytes from and to upstreams, before TLS.");
        for p in providers {
            self.sample(name, &[("provider", &p.name), ("direction", "in")], p.bytes_in);
            self.sample(name, &[("provider", &p.name), ("direction", "out")], p.bytes_out);
        }
    }
}

struct Process {
    rss_bytes: u64,
    fds: usize,
    cpu_seconds: f64,
}

/// What the kernel says of this process; `None` where there is no /proc.
#[expect(clippy::disallowed_methods, reason = "the offload thread may read /proc")]
fn process() -> Option<Process> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    let fds = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some(Process { rss_bytes: pages * PAGE_BYTES, fds, cpu_seconds: ticks / TICKS_PER_SECOND })
}

fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

const STATUS_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// Linux on x86-64 and arm64 with default settings.
const PAGE_BYTES: u64 = 4096;
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_seconds_without_rounding() {
        for (us, want) in
            [(0, "0"), (10, "0.00001"), (1_000_000, "1"), (2_500_000, "2.5"), (300_000_000, "300")]
        {
            assert_eq!(seconds(us), want);
        }
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_in_its_count() {
        let mut page = Page::default();
        let mut histogram = Histogram::<16>::default();
        [5, 15, 15, 2_000_000].into_iter().for_each(|us| histogram.observe(&ADDED_US, us));
        page.histogram("x", &[("a", "b\"c")], &ADDED_US, &histogram);
        let lines: Vec<&str> = page.text.lines().collect();
        assert_eq!(lines[0], r#"x_bucket{a="b\"c",le="0.00001"} 1"#);
        assert_eq!(lines[1], r#"x_bucket{a="b\"c",le="0.00002"} 3"#);
        assert_eq!(lines[15], r#"x_bucket{a="b\"c",le="1"} 3"#);
        assert_eq!(
            lines[16..],
            [r#"x_bucket{a="b\"c",le="+Inf"} 4"#, r#"x_sum{a="b\"c"} 2.000035"#, r#"x_count{a="b\"c"} 4"#]
        );
    }
}
