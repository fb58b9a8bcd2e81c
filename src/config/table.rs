//! Every setting, once: its path in the file, its unit, its default, its names in the environment, and its sentence.
//! Reading, the plan of `ringway check` and `docs/configuration.md` are made from this table.

use super::identity::WEEKDAYS;

/// One setting.
pub struct Setting {
    /// Groups and name, joined by dots.
    pub path: &'static str,
    pub kind: Kind,
    /// As it would be written; empty for "not set".
    pub default: &'static str,
    /// Names in the environment that others gave it. `RINGWAY_` and the path in capitals comes before them.
    pub env: &'static [&'static str],
    pub help: &'static str,
}

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Shown masked.
    Secret,
    SecretList,
    /// A file that holds a secret, or what stands in it. Never shown.
    Document,
    File,
    Bool,
    /// A whole number of at least this.
    Count(u64),
    /// Bytes: `10485760`, `10M`, `512K`, `1G` (powers of 1024).
    Bytes,
    /// A duration of at least so many milliseconds: a bare number of them, or `250ms`, `2s`, `5m`, `1h`.
    Millis(u64),
    /// The same with a bare number of seconds; kept in milliseconds.
    Seconds(u64),
    /// A decimal number of at least 0, kept in thousandths.
    Ratio,
    Choice(&'static [&'static str]),
    /// Names separated by commas or as a list.
    NameList,
    /// `host:port`, several separated by commas or as a list.
    AddressList,
    StatusList,
    Url,
    /// A URL of one of these schemes. User, password and options are never shown.
    DatabaseUrl(&'static [&'static str]),
}

impl Kind {
    /// What a person should write.
    pub fn expected(self) -> String {
        match self {
            Kind::Text => "a text".to_owned(),
            Kind::Secret => "a key that is not empty".to_owned(),
            Kind::SecretList => "a list of keys".to_owned(),
            Kind::Document => "the path of a JSON file, or what stands in it".to_owned(),
            Kind::File => "the path of a file".to_owned(),
            Kind::Bool => "true or false".to_owned(),
            Kind::Count(least) => format!("a whole number of at least {least}"),
            Kind::Bytes => "a number of bytes, such as 10485760, 512K or 10M".to_owned(),
            Kind::Millis(least) => {
                format!("a duration{}, such as 250 (milliseconds), 250ms, 2s or 5m", above(least))
            }
            Kind::Seconds(least) => {
                format!("a duration{}, such as 30 (seconds), 250ms, 2s or 5m", above(least))
            }
            Kind::Ratio => "a decimal number of at least 0".to_owned(),
            Kind::Choice(words) => format!("one of {}", words.join(", ")),
            Kind::NameList => "names, separated by commas or as a list".to_owned(),
            Kind::AddressList => "an address and port, such as 127.0.0.1:8080 or [::1]:8080".to_owned(),
            Kind::StatusList => "a list of HTTP statuses from 400 to 599".to_owned(),
            Kind::Url => "a URL that begins with http:// or https://".to_owned(),
            Kind::DatabaseUrl(schemes) => {
                let schemes: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
                format!("a URL that begins with {}", schemes.join(" or "))
            }
        }
    }
}

fn above(least: u64) -> &'static str {
    if least > 0 { " above 0" } else { "" }
}

macro_rules! settings {
    ($($path:literal $kind:expr, $default:literal, [$($env:literal),*], $help:literal;)*) => {
        &[$(Setting { path: $path, kind: $kind, default: $default, env: &[$($env),*], help: $help }),*]
    };
}

/// The settings of the gateway.
pub const SETTINGS: &[Setting] = settings! {
    "server.listen" Kind::AddressList, "127.0.0.1:8080", [], "Addresses to listen on. The variable PORT alone means 127.0.0.1 with that port, or 0.0.0.0 when a key is set.";
    "server.allow_unauthenticated" Kind::Bool, "false", [], "Allows listening on other addresses than loopback without any key.";
    "server.core_dumps" Kind::Bool, "false", [], "Lets core dumps and debuggers have the memory of the process, keys and conversations included. Takes a restart.";
    "server.shards" Kind::Count(0), "0", [], "Event loops, each on its own CPU; 0 is one for every CPU that the process may use.";
    "server.driver" Kind::Choice(&["auto", "io_uring", "epoll"]), "auto", ["RINGWAY_DRIVER"], "The event loop: auto takes io_uring where it works and epoll elsewhere.";
    "server.connections_max" Kind::Count(1), "100000", [], "Client connections at a time; further ones get 503.";
    "server.head_timeout" Kind::Millis(1), "10s", [], "From the first byte of a request to the end of its head.";
    "server.body_timeout" Kind::Millis(1), "30s", [], "Between two pieces of a request body.";
    "server.idle_timeout" Kind::Millis(1), "75s", [], "How long a connection may lie idle between requests.";
    "server.write_timeout" Kind::Seconds(1), "60", ["STREAM_STALL_TIMEOUT"], "How long a client may read nothing while an answer waits for it.";
    "server.body_max" Kind::Bytes, "10M", ["BODY_SIZE_LIMIT"], "The largest body that has to be looked into. Other bodies stream through and have no limit.";
    "server.held_max" Kind::Bytes, "1G", [], "Memory for all request bodies that are held at a time; requests beyond it get 503.";
    "server.event_max" Kind::Bytes, "16M", [], "The largest single event of a stream.";
    "server.drain_timeout" Kind::Millis(0), "", [], "How long a stop waits for exchanges that are running; not set is without end.";
    "server.keep_alive_interval" Kind::Millis(0), "15s", [], "How long a stream may be silent before the gateway sends a comment or a ping of the caller's dialect; 0 is never.";
    "auth.master_key" Kind::Secret, "", ["RINGWAY_MASTER_KEY", "GOMODEL_MASTER_KEY"], "The key that clients show as `Authorization: Bearer`, `x-api-key`, `api-key` or `x-goog-api-key`.";
    "auth.keys" Kind::SecretList, "", [], "Further keys that are as good as the master key, to change keys without a gap.";
    "auth.key_pepper" Kind::Secret, "", ["RINGWAY_KEY_PEPPER"], "The secret that the hashes of virtual keys are made with; 16 bytes or more. Another one makes all keys of the gateway's own making invalid.";
    "auth.user_path_header" Kind::Text, "X-Ringway-User-Path", ["USER_PATH_HEADER"], "The header that says which user path a request belongs to, where its key has none. `X-Ringway-User-Path` and `X-GoModel-User-Path` are understood as well.";
    "budgets.enabled" Kind::Bool, "true", ["BUDGETS_ENABLED"], "Whether budgets are held; without any it has no effect.";
    "budgets.time_zone" Kind::Text, "UTC", [], "The IANA time zone in which hourly, daily, weekly and monthly budgets begin.";
    "budgets.reset_hour" Kind::Count(0), "0", [], "The hour at which days, weeks and months of budgets begin; 23 at most.";
    "budgets.reset_minute" Kind::Count(0), "0", [], "The minute of that hour.";
    "budgets.reset_weekday" Kind::Choice(&WEEKDAYS), "monday", [], "The day on which weeks of budgets begin.";
    "budgets.reset_day" Kind::Count(1), "1", [], "The day on which months of budgets begin; in shorter months the last.";
    "rate_limits.enabled" Kind::Bool, "true", ["RATE_LIMITS_ENABLED"], "Whether rate limits are held; without any it has no effect.";
    "metrics.enabled" Kind::Bool, "true", ["METRICS_ENABLED"], "Serves Prometheus metrics.";
    "metrics.path" Kind::Text, "/metrics", ["METRICS_ENDPOINT"], "Where they are.";
    "metrics.require_key" Kind::Bool, "false", [], "Whether they need a key like the API.";
    "usage.ask_in_streams" Kind::Bool, "true", ["ENFORCE_RETURNING_USAGE_DATA"], "Asks providers to state usage at the end of streams, and hides that event from clients that did not ask.";
    "usage.headers" Kind::Choice(&["off", "own", "litellm"]), "own", [], "Headers that tell usage and cost on answers that are no streams: `x-ringway-usage-…` and `x-ringway-cost`, LiteLLM's `x-litellm-response-cost` beside them, or none.";
    "translation.on_unsupported" Kind::Choice(&["refuse", "drop"]), "refuse", [], "What becomes of a request with a field that the provider's dialect cannot say: 400 that names it, or sent without it, with the header `x-ringway-dropped`.";
    "responses.memory_max" Kind::Bytes, "64M", [], "Memory for responses and conversations of the Responses API, and for files that batches are made of, kept for providers that have no such API; what was unused for longest goes first. 0 keeps none.";
    "data_dir" Kind::File, "", [], "The folder for what is kept on this machine. When left out it is the first of STATE_DIRECTORY, which systemd sets, or `data`.";
    "storage.type" Kind::Choice(&["sqlite", "postgresql", "mongodb"]), "sqlite", ["STORAGE_TYPE"], "Where records and all that is managed are kept.";
    "storage.timeout" Kind::Millis(1), "15s", [], "How long one call to the store may take.";
    "storage.records" Kind::Choice(&["packs", "rows"]), "", ["STORAGE_RECORDS"], "How records of usage and audit are kept: many exchanges in one row, which only the gateway reads and which costs a fraction, or each as rows. When left out it is `packs` on SQLite, which alone can hold them, and `rows` elsewhere.";
    "storage.sqlite.path" Kind::File, "", ["SQLITE_PATH"], "The file of SQLite; `ringway.db` in `data_dir` when left out.";
    "storage.postgresql.url" Kind::DatabaseUrl(&["postgresql", "postgres"]), "", ["POSTGRES_URL"], "The database of PostgreSQL. With `sslmode=require` the connection is under TLS and the certificate is verified; `sslrootcert` names the file of its CA.";
    "storage.postgresql.max_connections" Kind::Count(1), "10", ["POSTGRES_MAX_CONNS"], "Connections to PostgreSQL.";
    "storage.mongodb.url" Kind::DatabaseUrl(&["mongodb", "mongodb+srv"]), "", ["MONGODB_URL"], "The server of MongoDB.";
    "storage.mongodb.database" Kind::Text, "ringway", ["MONGODB_DATABASE"], "The database there.";
    "usage.enabled" Kind::Bool, "true", ["USAGE_ENABLED"], "Keeps a record of every exchange with a provider: who, which model, how many tokens, what it cost.";
    "journal.max_size" Kind::Bytes, "1G", [], "What all journals may hold while the store is away.";
    "journal.when_full" Kind::Choice(&["fail_open", "fail_closed"]), "fail_open", [], "What becomes of requests when a journal is full or its disk is: served without a record, each of them counted, or refused with 503.";
    "journal.sync_interval" Kind::Millis(0), "1s", [], "How often the journal is made safe from a loss of power, which costs what was written since; 0 is never. The end of the process costs nothing.";
    "audit.enabled" Kind::Bool, "true", ["LOGGING_ENABLED"], "Keeps the audit log: the circumstances of every exchange, and every attempt at a provider.";
    "audit.headers" Kind::Bool, "false", ["LOGGING_LOG_HEADERS"], "Keeps the headers of requests and answers in the audit log. Values are shown of those that hold no secret; of all others the name is.";
    "audit.headers_shown" Kind::NameList, "", [], "Further headers whose values the audit log may show; a star at the end of a name stands for whatever follows.";
    "audit.bodies" Kind::Bool, "false", ["LOGGING_LOG_BODIES"], "Keeps the bodies of requests and answers in the audit log, streams as the whole answer that they come to. Keys in them are replaced; whatever else stands in them is kept.";
    "audit.body_max" Kind::Bytes, "1M", [], "What is kept of one body, 4M at most; of a longer one the beginning is, and the row says so.";
    "usage.retention_days" Kind::Count(0), "90", ["USAGE_RETENTION_DAYS"], "How long rows of usage are kept; 0 is for ever.";
    "audit.retention_days" Kind::Count(0), "30", ["LOGGING_RETENTION_DAYS"], "How long the audit log is kept; 0 is for ever.";
    "audit.changes_retention_days" Kind::Count(0), "365", [], "How long it is kept who changed what through the admin API; 0 is for ever.";
    "models.default_provider" Kind::Text, "", [], "The provider of requests that name neither a provider nor a known model. With one provider it is that one.";
    "models.configured_mode" Kind::Choice(&["fallback", "allowlist", "merge"]), "fallback", ["CONFIGURED_PROVIDER_MODELS_MODE"], "What `models` of a provider means: used when its own list cannot be had; instead of it; or beside it.";
    "models.refresh_interval" Kind::Seconds(1), "3600", ["CACHE_REFRESH_INTERVAL"], "How often the providers' model lists are read again.";
    "models.enabled_by_default" Kind::Bool, "true", ["MODELS_ENABLED_BY_DEFAULT"], "Whether a model may be used that no entry of `virtual_models` without a target opens to somebody.";
    "models.only_aliases" Kind::Bool, "false", ["KEEP_ONLY_ALIASES_AT_MODELS_ENDPOINT"], "Whether the list of models shows aliases and nothing else.";
    "upstream.ca_file" Kind::File, "", [], "Certificates (PEM) that are trusted besides the system's.";
    "upstream.proxy_url" Kind::Url, "", ["HTTPS_PROXY", "https_proxy"], "An HTTP proxy that is asked for a tunnel to every `https` provider that NO_PROXY does not name.";
    "upstream.no_proxy" Kind::NameList, "", ["NO_PROXY", "no_proxy"], "Hosts that are reached without the proxy: names with or without a port, `.suffixes` or `*`, separated by commas.";
    "upstream.dns_refresh" Kind::Millis(1), "30s", [], "How old a resolved address may be before it is looked up again.";
    "upstream.connect_timeout" Kind::Millis(1), "5s", [], "Opening a connection to a provider.";
    "upstream.tls_timeout" Kind::Millis(1), "5s", [], "The TLS handshake with a provider.";
    "upstream.first_byte_timeout" Kind::Seconds(1), "600", ["HTTP_RESPONSE_HEADER_TIMEOUT"], "From the request being sent to the first byte of the answer.";
    "upstream.idle_timeout" Kind::Seconds(1), "300", ["HTTP_STREAM_IDLE_TIMEOUT"], "Between two pieces of an answer.";
    "upstream.pool_idle_timeout" Kind::Millis(1), "60s", [], "How long an idle connection is kept for the next request.";
    "upstream.pool_idle_max" Kind::Count(0), "1024", [], "Idle connections kept per provider and shard.";
    "retry.max_retries" Kind::Count(0), "2", ["RETRY_MAX_RETRIES"], "Further attempts after a failed one, before any byte has reached the client.";
    "retry.initial_backoff" Kind::Millis(0), "500ms", ["RETRY_INITIAL_BACKOFF"], "The pause before the first retry.";
    "retry.max_backoff" Kind::Millis(0), "8s", ["RETRY_MAX_BACKOFF"], "The longest pause.";
    "retry.backoff_factor" Kind::Ratio, "2.0", ["RETRY_BACKOFF_FACTOR"], "How the pause grows from one retry to the next.";
    "retry.jitter_factor" Kind::Ratio, "0.1", ["RETRY_JITTER_FACTOR"], "By which part of itself a pause is spread.";
    "retry.statuses" Kind::StatusList, "408,409,429,500,502,503,504,529", [], "Answers that are retried.";
    "retry.retry_after_max" Kind::Millis(0), "20s", [], "The longest wait that a provider may ask for; an answer that asks for more goes to the client.";
    "retry.budget_ratio" Kind::Ratio, "0.2", [], "Retries that every first attempt pays for.";
    "retry.budget_per_second" Kind::Count(0), "10", [], "Retries per second and shard that are free.";
    "prices.file" Kind::File, "", [], "A price list in front of the built-in one: a catalogue, or one of the public formats. Read again at every reload.";
    "prices.url" Kind::Url, "", [], "A price list to fetch, in front of the one of `prices.file`: a catalogue, or one of the public formats. The prices before stay in force while it cannot be had or read.";
    "prices.refresh_interval" Kind::Seconds(60), "86400", [], "How often it is fetched.";
    "providers_dir" Kind::File, "", [], "A folder of provider files (`*.yaml`) besides the built-in ones; a file of the same name replaces the built-in one.";
    "log.level" Kind::Choice(&["error", "warn", "info", "debug"]), "info", ["RINGWAY_LOG"], "How much is logged.";
    "log.format" Kind::Choice(&["text", "json"]), "text", [], "How it is logged.";
};

/// Settings that the admin API may change while the gateway runs. None of them opens the gateway, moves its data, or takes a
/// restart.
pub const CHANGEABLE: &[&str] = &[
    "audit.bodies",
    "audit.body_max",
    "audit.changes_retention_days",
    "audit.enabled",
    "audit.headers",
    "audit.headers_shown",
    "audit.retention_days",
    "budgets.enabled",
    "log.format",
    "log.level",
    "metrics.enabled",
    "models.only_aliases",
    "rate_limits.enabled",
    "responses.memory_max",
    "retry.max_retries",
    "translation.on_unsupported",
    "usage.ask_in_streams",
    "usage.headers",
    "usage.retention_days",
];

/// The settings of one provider, below `providers.<name>`.
pub const PROVIDER_SETTINGS: &[Setting] = settings! {
    "type" Kind::Text, "", [], "The provider file that it follows; its own name when left out.";
    "api_key" Kind::Secret, "", [], "Its key.";
    "api_keys" Kind::SecretList, "", [], "Several keys, used in turn.";
    "access_key_id" Kind::Secret, "", [], "The id of a pair of AWS keys that signs requests, where its type has `auth: aws_sigv4` and no `api_key` is set.";
    "secret_access_key" Kind::Secret, "", [], "The secret half of that pair.";
    "session_token" Kind::Secret, "", [], "The token that comes with a temporary pair.";
    "credentials" Kind::Document, "", [], "The service account that gets its access tokens, where its type has `auth: google_service_account` and no `api_key` is set.";
    "project" Kind::Text, "", [], "The project, where its own base URL has one.";
    "location" Kind::Text, "", [], "The location, where its own base URL has one; `global` is one too.";
    "region" Kind::Text, "", [], "Where it is asked: part of its own base URL, and of signatures.";
    "base_url" Kind::Url, "", [], "Where it lives, with the path that stands for `/v1`.";
    "api_version" Kind::Text, "", [], "The version that goes into its query, where it has one.";
    "models" Kind::NameList, "", [], "Models, as a list or separated by commas.";
    "proxy_url" Kind::Url, "", [], "Its own proxy, asked for a tunnel also where the provider speaks plain HTTP and whatever NO_PROXY says.";
    "headers" Kind::Text, "", [], "Headers on every request to it, as a group of names and values.";
    "connect_timeout" Kind::Millis(1), "", [], "As `upstream.connect_timeout`.";
    "tls_timeout" Kind::Millis(1), "", [], "As `upstream.tls_timeout`.";
    "first_byte_timeout" Kind::Seconds(1), "", [], "As `upstream.first_byte_timeout`.";
    "idle_timeout" Kind::Seconds(1), "", [], "As `upstream.idle_timeout`.";
    "max_retries" Kind::Count(0), "", [], "As `retry.max_retries`.";
};

/// The setting of this path.
pub fn setting(path: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.path == path)
}

impl Setting {
    /// The setting's own name in the environment.
    pub fn own_env(&self) -> String {
        format!("RINGWAY_{}", self.path.to_uppercase().replace('.', "_"))
    }
}

/// The table as Markdown, for the documentation.
pub fn markdown(settings: &[Setting]) -> String {
    let mut out = String::from("| setting | default | environment | meaning |\n|---|---|---|---|\n");
    for setting in settings {
        let default =
            if setting.default.is_empty() { "–".to_owned() } else { format!("`{}`", setting.default) };
        let env: Vec<String> = setting.env.iter().map(|name| format!("`{name}`")).collect();
        let env = if env.is_empty() { "–".to_owned() } else { env.join(", ") };
        let line = format!(
            "| `{}` | {default} | {env} | {} Expects {}. |\n",
            setting.path,
            setting.help,
            setting.kind.expected()
        );
        out.push_str(&line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_changed_is_a_setting_and_no_secret() {
        for path in CHANGEABLE {
            let setting = setting(path).unwrap_or_else(|| panic!("{path} is no setting"));
            let is_secret =
                matches!(setting.kind, Kind::Secret | Kind::SecretList | Kind::Document | Kind::File);
            assert!(!is_secret, "{path}");
        }
    }
}
