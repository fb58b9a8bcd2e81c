//! Every table, described once: engines, migrations, export and sweeps are made from these descriptions.
//!
//! A column that is added later gets the new schema version and is nullable; nothing that stands here is taken away.

use super::schema::Kind::{Bytes, Flag, Integer, Json, Money, Names, Text, TimeMs};
use super::schema::{Column, Index, Kind, Schema, Table, Uniqueness};

/// The tables of this version of the program.
pub const SCHEMA: Schema = Schema {
    version: 3,
    tables: &[
        &USAGE,
        &AUDIT_LOGS,
        &AUDIT_LOG_ATTEMPTS,
        &AUTH_KEYS,
        &BUDGETS,
        &RATE_LIMITS,
        &RATE_LIMIT_COUNTERS,
        &ALIASES,
        &MODEL_ACCESS,
        &MODEL_PRICING_OVERRIDES,
        &WORKFLOW_VERSIONS,
        &ADMIN_CHANGES,
        &RUNTIME_SETTINGS,
        &STORED_OBJECTS,
        &RECORD_PACKS,
        &RECORD_FLOORS,
    ],
};

/// One row for each exchange: what was used and what it cost. Counts and amounts that nobody stated are null.
pub const USAGE: Table = Table {
    name: "usage",
    columns: &[
        must("id", Text),
        must("at_ms", TimeMs),
        must("request_id", Text),
        // The id that the provider gave its answer.
        may("provider_id", Text),
        must("endpoint", Text),
        must("user_path", Text),
        may("auth_key_id", Text),
        may("session_id", Text),
        may("labels", Names),
        may("requested_model", Text),
        may("model", Text),
        // The type of the provider, and the name of the instance.
        may("provider", Text),
        may("provider_name", Text),
        may("workflow_version_id", Text),
        may("cache_type", Text),
        may("service_tier", Text),
        may("is_stream", Flag),
        may("status_code", Integer),
        may("duration_us", Integer),
        // Tokens. Billable input is uncached + read + written; the output holds reasoning, audio and images.
        may("input_uncached", Integer),
        may("cache_read", Integer),
        may("cache_write_5m", Integer),
        may("cache_write_1h", Integer),
        may("input_audio", Integer),
        may("input_image", Integer),
        may("output_total", Integer),
        may("reasoning", Integer),
        may("output_audio", Integer),
        may("output_image", Integer),
        may("server_tool_calls", Json),
        // The provider's own total of tokens, to hold the counts against.
        may("provider_total", Integer),
        // measured, estimated or unknown.
        must("usage_source", Text),
        may("raw_usage", Json),
        may("provider_cost", Money),
        may("input_cost", Money),
        may("output_cost", Money),
        may("total_cost", Money),
        // Where the cost comes from: a price with its source, or the provider's own statement.
        may("cost_source", Text),
        may("cost_caveat", Text),
        may("rewrite_tokens_saved", Integer),
        may("rewrite_cost_saved", Money),
        // The model that the answer names, where that is another one than was asked of the provider.
        later(2, may("answered_model", Text)),
    ],
    key: &["id"],
    // Each of them costs every exchange a place in a tree. By its request's id an exchange is found in the audit log.
    indexes: &[
        index("at", &["at_ms"]),
        index("user_path_at", &["user_path", "at_ms"]),
        sparse("auth_key_at", &["auth_key_id", "at_ms"]),
    ],
    swept_by: Some("at_ms"),
    since: 1,
};

/// One row for each audited exchange.
pub const AUDIT_LOGS: Table = Table {
    name: "audit_logs",
    columns: &[
        must("id", Text),
        must("at_ms", TimeMs),
        may("duration_us", Integer),
        must("request_id", Text),
        must("method", Text),
        must("path", Text),
        must("user_path", Text),
        may("requested_model", Text),
        may("resolved_model", Text),
        may("provider", Text),
        may("provider_name", Text),
        may("alias_used", Flag),
        may("workflow_version_id", Text),
        may("cache_type", Text),
        may("status_code", Integer),
        may("principal_id", Text),
        may("auth_key_id", Text),
        may("auth_method", Text),
        may("client_ip", Text),
        may("user_agent", Text),
        may("session_id", Text),
        may("labels", Names),
        may("is_stream", Flag),
        may("error_type", Text),
        may("error_code", Text),
        may("error_message", Text),
        // Whatever else is told of the exchange.
        may("data", Json),
        may("request_headers", Json),
        may("request_body", Text),
        may("response_headers", Json),
        may("response_body", Text),
    ],
    key: &["id"],
    indexes: &[
        index("at", &["at_ms"]),
        sparse("session_at", &["session_id", "at_ms"]),
        index("request", &["request_id"]),
    ],
    swept_by: Some("at_ms"),
    since: 1,
};

/// Every attempt of an audited exchange at a provider.
pub const AUDIT_LOG_ATTEMPTS: Table = Table {
    name: "audit_log_attempts",
    columns: &[
        must("audit_id", Text),
        must("number", Integer),
        must("at_ms", TimeMs),
        // primary, retry or failover.
        must("reason", Text),
        may("provider", Text),
        may("provider_name", Text),
        may("model", Text),
        may("status_code", Integer),
        may("duration_us", Integer),
        may("error_type", Text),
        may("error_code", Text),
        may("error_message", Text),
        may("response_body", Text),
    ],
    key: &["audit_id", "number"],
    indexes: &[index("at", &["at_ms"])],
    swept_by: Some("at_ms"),
    since: 1,
};

/// Managed keys. The secret itself is never here.
pub const AUTH_KEYS: Table = Table {
    name: "auth_keys",
    columns: &[
        must("id", Text),
        must("name", Text),
        may("description", Text),
        may("user_path", Text),
        may("labels", Names),
        may("allowed_models", Names),
        may("dashboard_access", Text),
        must("redacted_value", Text),
        // How the hash was made, and the hash.
        must("hash_kind", Text),
        must("secret_hash", Text),
        // The hash that stays good until then, after the secret was renewed.
        may("previous_hash", Text),
        may("previous_until_ms", TimeMs),
        must("is_enabled", Flag),
        may("expires_at_ms", TimeMs),
        may("deactivated_at_ms", TimeMs),
        must("created_at_ms", TimeMs),
        must("updated_at_ms", TimeMs),
        may("extra", Json),
    ],
    key: &["id"],
    indexes: &[unique("secret", &["secret_hash"])],
    swept_by: None,
    since: 1,
};

/// How much may be spent. `scope` says what the subject is: a user path, a label, a key, a provider, a model.
pub const BUDGETS: Table = Table {
    name: "budgets",
    columns: &[
        must("scope", Text),
        must("subject", Text),
        must("period", Text),
        must("amount", Money),
        may("per_child", Flag),
        // Set by the settings or by hand.
        must("source", Text),
        may("last_reset_at_ms", TimeMs),
        must("created_at_ms", TimeMs),
        must("updated_at_ms", TimeMs),
        may("extra", Json),
    ],
    key: &["scope", "subject", "period"],
    indexes: &[],
    swept_by: None,
    since: 1,
};

/// How often and how much at a time.
pub const RATE_LIMITS: Table = Table {
    name: "rate_limits",
    columns: &[
        must("scope", Text),
        must("subject", Text),
        must("period", Text),
        may("requests_max", Integer),
        may("tokens_max", Integer),
        may("concurrent_max", Integer),
        may("per_child", Flag),
        must("source", Text),
        must("created_at_ms", TimeMs),
        must("updated_at_ms", TimeMs),
        may("extra", Json),
    ],
    key: &["scope", "subject", "period"],
    indexes: &[],
    swept_by: None,
    since: 1,
};

/// Where limits and budgets stood when they were last written down.
pub const RATE_LIMIT_COUNTERS: Table = Table {
    name: "rate_limit_counters",
    columns: &[
        must("scope", Text),
        must("subject", Text),
        // One of the parts of a limit that counts each child alone; empty for others.
        must("partition", Text),
        must("period", Text),
        // requests, tokens or cost.
        must("measure", Text),
        must("window", Integer),
        must("amount", Integer),
        must("updated_at_ms", TimeMs),
    ],
    key: &["scope", "subject", "partition", "period", "measure"],
    indexes: &[index("updated", &["updated_at_ms"])],
    swept_by: Some("updated_at_ms"),
    since: 1,
};

/// Virtual models: a name, and what it stands for.
pub const ALIASES: Table = Table {
    name: "aliases",
    columns: &[
        must("name", Text),
        may("description", Text),
        must("targets", Json),
        must("is_enabled", Flag),
        must("source", Text),
        must("created_at_ms", TimeMs),
        must("updated_at_ms", TimeMs),
        may("extra", Json),
    ],
    key: &["name"],
    indexes: &[],
    swept_by: None,
    since: 1,
};

/// Which models a subject may use.
pub const MODEL_ACCESS: Table = Table {
    name: "model_access",
    columns: &[
        must("scope", Text),
        must("subject", Text),
        must("allowed_models", Names),
        must("source", Text),
        must("created_at_ms", TimeMs),
        must("updated_at_ms", TimeMs),
        may("extra", Json),
    ],
    key: &["scope", "subject"],
    indexes: &[],
    swept_by: None,
    since: 1,
};

/// Prices that an operator set over those of the catalogue.
pub const MODEL_PRICING_OVERRIDES: Table = Table {
    name: "model_pricing_overrides",
    columns: &[
        must("selector", Text),
        may("provider_name", Text),
        may("model", Text),
        must("pricing", Json),
        must("created_at_ms", TimeMs),
        must("updated_at_ms", TimeMs),
    ],
    key: &["selector"],
    indexes: &[],
    swept_by: None,
    since: 1,
};

/// Workflows. A version is never changed: a change is a new version.
pub const WORKFLOW_VERSIONS: Table = Table {
    name: "workflow_versions",
    columns: &[
        must("id", Text),
        // What provider, model and path come to: the versions of one workflow share it.
        must("scope_key", Text),
        must("version", Integer),
        may("scope_provider_name", Text),
        may("scope_model", Text),
        may("scope_user_path", Text),
        must("is_active", Flag),
        may("is_managed_default", Flag),
        must("name", Text),
        may("description", Text),
        must("payload", Json),
        must("payload_hash", Text),
        must("created_at_ms", TimeMs),
    ],
    key: &["id"],
    indexes: &[unique("scope_version", &["scope_key", "version"])],
    swept_by: None,
    since: 1,
};

/// Who changed what, with what stood there before and after.
pub const ADMIN_CHANGES: Table = Table {
    name: "admin_changes",
    columns: &[
        must("id", Text),
        must("at_ms", TimeMs),
        may("actor_id", Text),
        must("actor_kind", Text),
        may("client_ip", Text),
        may("request_id", Text),
        may("user_path", Text),
        must("action", Text),
        must("object_kind", Text),
        must("object_id", Text),
        may("before", Json),
        may("after", Json),
    ],
    key: &["id"],
    indexes: &[index("at", &["at_ms"]), index("object_at", &["object_kind", "object_id", "at_ms"])],
    swept_by: Some("at_ms"),
    since: 1,
};

/// Settings that can be changed while running.
pub const RUNTIME_SETTINGS: Table = Table {
    name: "runtime_settings",
    columns: &[must("name", Text), must("value", Json), must("updated_at_ms", TimeMs)],
    key: &["name"],
    indexes: &[],
    swept_by: None,
    since: 1,
};

/// Objects of callers: whose the files, batches, responses and conversations are that providers keep. Swept by the end of
/// their life, which they need not have.
pub const STORED_OBJECTS: Table = Table {
    name: "stored_objects",
    columns: &[
        must("kind", Text),
        must("id", Text),
        must("owner", Text),
        may("provider_name", Text),
        must("data", Json),
        must("created_at_ms", TimeMs),
        may("expires_at_ms", TimeMs),
    ],
    key: &["kind", "id"],
    indexes: &[
        index("owner_created", &["owner", "kind", "created_at_ms"]),
        index("expires", &["expires_at_ms"]),
    ],
    swept_by: Some("expires_at_ms"),
    since: 1,
};

/// Many exchanges in one row, as the journal had them. The id is the least of theirs. Only SQLite has any.
pub const RECORD_PACKS: Table = Table {
    name: "record_packs",
    columns: &[
        of_3(must("id", Text)),
        // When the first and the last of them began.
        of_3(must("from_ms", TimeMs)),
        of_3(must("to_ms", TimeMs)),
        // The latter again, while the pack counts for usage and for the audit log.
        of_3(may("usage_to_ms", TimeMs)),
        of_3(may("audit_to_ms", TimeMs)),
        of_3(must("count", Integer)),
        of_3(must("data", Bytes)),
    ],
    key: &["id"],
    indexes: &[
        Index { since: 3, ..index("from", &["from_ms", "to_ms", "usage_to_ms", "audit_to_ms"]) },
        Index { since: 3, ..sparse("usage_to", &["usage_to_ms", "from_ms"]) },
        Index { since: 3, ..sparse("audit_to", &["audit_to_ms", "from_ms"]) },
    ],
    swept_by: None,
    since: 3,
};

/// Before which time nothing in a pack counts for a table any more, by the table's name.
pub const RECORD_FLOORS: Table = Table {
    name: "record_floors",
    columns: &[of_3(must("name", Text)), of_3(must("before_ms", TimeMs))],
    key: &["name"],
    indexes: &[],
    swept_by: None,
    since: 3,
};

const fn of_3(column: Column) -> Column {
    later(3, column)
}

const fn must(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, is_nullable: false, since: 1 }
}

const fn may(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, is_nullable: true, since: 1 }
}

/// A column that came with this version of the schema.
const fn later(since: u32, column: Column) -> Column {
    Column { since, ..column }
}

const fn index(name: &'static str, columns: &'static [&'static str]) -> Index {
    Index { name, columns, uniqueness: Uniqueness::Repeating, is_sparse: false, since: 1 }
}

const fn sparse(name: &'static str, columns: &'static [&'static str]) -> Index {
    Index { is_sparse: true, ..index(name, columns) }
}

const fn unique(name: &'static str, columns: &'static [&'static str]) -> Index {
    Index { name, columns, uniqueness: Uniqueness::Unique, is_sparse: false, since: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::STORE_INDEXED_TEXT_BYTES_MAX as INDEXED_BYTES;

    #[test]
    fn every_description_holds_together() {
        let is_plain =
            |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        for table in SCHEMA.tables {
            assert!(is_plain(table.name) && (1..=SCHEMA.version).contains(&table.since), "{}", table.name);
            assert!(!table.key.is_empty(), "{} has no key", table.name);
            for column in table.columns {
                let place = format!("{}.{}", table.name, column.name);
                assert!(is_plain(column.name) && column.name != "_id", "{place}");
                assert!((table.since..=SCHEMA.version).contains(&column.since), "{place}");
                assert!(
                    column.since == table.since || column.is_nullable,
                    "{place}: older rows have no value"
                );
            }
            for key in table.key {
                assert!(!table.column(key).is_nullable, "{}.{key} is a key", table.name);
                assert!(matches!(table.column(key).kind, Text | Integer), "{}.{key} is a key", table.name);
            }
            for index in table.indexes {
                index.columns.iter().for_each(|column| assert!(table.column(column).since <= index.since));
            }
            // What a B-tree of PostgreSQL takes as one entry: a third of its page of 8 KiB.
            let entries = table.indexes.iter().map(|index| index.columns).chain([table.key]);
            for columns in entries {
                let bytes = |name: &&str| if table.column(name).kind == Text { INDEXED_BYTES } else { 8 };
                assert!(columns.iter().map(bytes).sum::<usize>() <= 2_690, "{} {columns:?}", table.name);
            }
            assert!(
                table.swept_by.is_none_or(|column| table.column(column).kind == TimeMs),
                "{}",
                table.name
            );
        }
    }
}
