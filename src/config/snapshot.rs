//! Settings as the rest of the house sees them: compiled, checked, immutable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::prices::PriceSettings;
use crate::base::Secret;
use crate::identity::{Alias, Allowance, Calendar, Gate, ModelRule, Tagging, UserPath, Workflow};
use crate::ledger::headers::Dress;
use crate::provider::Provider;

/// Everything that was set, in the form in which it is used.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub server: Server,
    pub keys: Keys,
    /// In the order in which a bare model id is looked for.
    pub providers: Vec<Arc<Provider>>,
    /// Gets what names no provider and no known model.
    pub default_provider: Option<usize>,
    pub models: Models,
    pub identity: Identity,
    pub metrics: Metrics,
    pub prices: PriceSettings,
    /// Asks providers for usage in streams, and hides the extra event from clients that did not ask.
    pub ask_usage_in_streams: bool,
    /// Every setting with its value, secrets masked, and its place.
    pub settings: Vec<(String, String, String)>,
    /// Which headers tell usage and cost; `None` for none.
    pub usage_headers: Option<Dress>,
    /// Sends a translated request without what the provider's dialect cannot say, instead of refusing it.
    pub drops_unsupported: bool,
    /// Memory for responses and conversations that are kept; 0 keeps none.
    pub responses_bytes_max: usize,
    pub ca_file: Option<PathBuf>,
    pub dns_refresh_ms: u64,
    /// The folder for what is kept on this machine.
    pub data_dir: PathBuf,
    pub storage: Storage,
    pub journal: Journal,
    pub audit: Audit,
    pub log: Log,
    /// What `ringway check` prints.
    pub plan: String,
    /// Things that are allowed and should be known.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub listen: Vec<SocketAddr>,
    /// Everybody may be let in on addresses that others can reach.
    pub allow_unauthenticated: bool,
    /// Core dumps and debuggers may have the process's memory.
    pub dumps_core: bool,
    /// Certificate and key files; none for plain HTTP.
    pub tls: Vec<(PathBuf, PathBuf)>,
    /// 0 is one per CPU that the process may use.
    pub shards: usize,
    pub driver: DriverChoice,
    /// Of the whole process.
    pub connections_count_max: usize,
    pub head_timeout_ms: u64,
    pub body_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub write_timeout_ms: u64,
    /// A body that must be looked into; others stream through.
    pub body_bytes_max: usize,
    /// All bodies that are held at a time, in the whole process.
    pub held_bytes_max: usize,
    pub event_bytes_max: usize,
    /// How long a stream may be silent before a sign of life; 0 is without end.
    pub keep_alive_ms: u64,
    /// `None` lets streams finish however long they take.
    pub drain_timeout_ms: Option<u64>,
}

/// Who may ask and how much, as the settings say it. What is stored comes beside it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Headers that name a user path, in lower case; the first that a request has counts.
    pub user_path_headers: Vec<String>,
    /// What the hashes of virtual keys are made with, where it is set.
    pub pepper: Option<Secret>,
    /// Budgets and rate limits that are in force.
    pub allowances: Vec<Allowance>,
    pub budgets_enabled: bool,
    pub rate_limits_enabled: bool,
    /// When the windows of budgets begin.
    pub calendar: Calendar,
    /// The models that a user path may use at most.
    pub model_lists: Vec<(UserPath, Vec<ModelRule>)>,
    pub gates: Vec<Gate>,
    /// Whether a model that no gate speaks of is open.
    pub models_enabled: bool,
    pub aliases: Vec<Alias>,
    /// The list of models shows aliases and nothing else.
    pub lists_only_aliases: bool,
    pub workflows: Vec<Arc<Workflow>>,
    pub tagging: Vec<Tagging>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverChoice {
    Auto,
    IoUring,
    Epoll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Models {
    pub configured_mode: ConfiguredMode,
    pub refresh_interval_ms: u64,
}

/// What models named in the settings mean beside those that a provider lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfiguredMode {
    /// They count when the provider's list is empty or cannot be had.
    Fallback,
    /// Only they count, and the list is not asked for.
    Allowlist,
    /// Both count.
    Merge,
}

/// The store: which, and for how long things stay in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    pub engine: Engine,
    pub records: RecordsAs,
    pub call_timeout_ms: u64,
    /// `None` is for ever.
    pub usage_kept_ms: Option<u64>,
    pub audit_kept_ms: Option<u64>,
    pub changes_kept_ms: Option<u64>,
}

/// How records of usage and audit are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordsAs {
    /// Many exchanges in one row, as their journal has them. SQLite only.
    Packs,
    Rows,
}

/// Records on their way to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    pub enabled: bool,
    pub bytes_max: u64,
    /// Requests without a record are refused rather than served.
    pub fails_closed: bool,
    /// 0 is never.
    pub sync_interval_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    pub enabled: bool,
    /// Headers are kept, with the values of those that may be shown.
    pub headers: bool,
    pub bodies: bool,
    /// What is kept of one body.
    pub body_bytes_max: usize,
    /// Names in lower case, beside the usual ones; a star at the end stands for whatever follows.
    pub headers_shown: Vec<String>,
}

impl Audit {
    /// Whether the value of a header, by its name in lower case, may be shown.
    pub fn shows(&self, name: &str) -> bool {
        let is_meant = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        };
        !NEVER_SHOWN.contains(&name)
            && (usually_shown().any(is_meant) || self.headers_shown.iter().any(|pattern| is_meant(pattern)))
    }
}

/// Headers whose values are no secret of anybody: data.
fn usually_shown() -> impl Iterator<Item = &'static str> {
    include_str!("../../config/headers-shown.txt").lines().filter(|line| !line.starts_with('#'))
}

/// Headers that carry keys under the names that clients and providers use: no setting shows them.
const NEVER_SHOWN: &[&str] = &[
    "api-key",
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-access-token",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
    "x-goog-api-key",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite { path: PathBuf },
    Postgres { url: Secret, connections_max: usize },
    Mongo { url: Secret, database: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    pub enabled: bool,
    pub path: String,
    pub needs_key: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub level: LogLevel,
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

fn is_same(key: &[u8], presented: &[u8]) -> subtle::Choice {
    let at = |index: usize| presented.get(index).copied().unwrap_or(0);
    let same_bytes = key.iter().enumerate().map(|(index, byte)| byte.ct_eq(&at(index)));
    same_bytes.fold(key.len().ct_eq(&presented.len()), |all, one| all & one)
}

/// The keys that clients may use.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    keys: Vec<Secret>,
}

impl Keys {
    pub fn new(keys: Vec<Secret>) -> Keys {
        Keys { keys }
    }

    /// No key is set: everybody is let in.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a presented key is one of them. Takes the same time whatever is presented: all keys are looked at, each
    /// over its own length.
    pub fn admits(&self, presented: &[u8]) -> bool {
        let matches = self.keys.iter().map(|key| is_same(key.reveal().as_bytes(), presented));
        matches.fold(subtle::Choice::from(0), |any, one| any | one).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_shown_by_a_list_that_no_setting_opens_to_keys() {
        let headers_shown = vec!["x-team".to_owned(), "x-trace-*".to_owned(), "*".to_owned()];
        let audit = |headers_shown| Audit {
            enabled: true,
            headers: true,
            bodies: false,
            body_bytes_max: 0,
            headers_shown,
        };
        let (usual, named, all) =
            (audit(Vec::new()), audit(headers_shown[..2].to_vec()), audit(headers_shown.clone()));
        let shows = |name: &str| [&usual, &named, &all].map(|audit| audit.shows(name));
        assert_eq!(shows("content-type"), [true; 3]);
        assert_eq!(shows("x-team"), [false, true, true]);
        assert_eq!(shows("x-trace-id"), [false, true, true]);
        assert_eq!(shows("x-other"), [false, false, true]);
        assert_eq!(shows("authorization"), [false; 3]);
        assert_eq!(shows("x-api-key"), [false; 3]);
    }
}
