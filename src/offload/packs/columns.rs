//! What an exchange is in each column of usage and of the audit log: the one description of them, by which rows are written and
//! by which packs are read.

use crate::base::Pico;
use crate::base::decimal::Digits;
use crate::ledger::record::{Attempt, AttemptKind, Begun, Ended, Outcome, RecordId, Remarks};
use crate::ledger::usage::{KnownBy, ServerTool, Usage};
use crate::offload::store::{Row, Table, Value, tables};

use super::bytes::text_of;

/// An exchange as its records tell it.
#[derive(Clone, Copy)]
pub struct Exchange<'r> {
    pub id: RecordId,
    pub begun: &'r Begun<'r>,
    pub ended: &'r Ended<'r>,
    pub remarks: Remarks,
}

/// Makes the value of a column for the row of this number; an exchange has several rows only among the attempts.
pub type Make = fn(&Exchange<'_>, usize) -> Value;

/// A table whose rows are made of exchanges.
pub struct Made {
    pub table: &'static Table,
    columns: &'static [(&'static str, Make)],
    /// How many rows of it an exchange comes to.
    pub rows: fn(&Exchange<'_>) -> usize,
}

impl Made {
    /// What makes the values of a column; panics when there is none, as [`Table::place`] does.
    pub fn of(&self, column: &str) -> Make {
        self.columns[self.table.place(column)].1
    }

    /// A whole row. Headers and bodies are not in it.
    pub fn row(&self, exchange: &Exchange<'_>, number: usize) -> Row {
        let values = self.columns.iter().map(|(_, make)| make(exchange, number)).collect();
        Row::of_values(self.table, values)
    }
}

/// The tables that are made of exchanges.
pub static USAGE: Made = Made {
    table: &tables::USAGE,
    columns: USAGE_COLUMNS,
    rows: |exchange| usize::from(!exchange.begun.skips_usage),
};
pub static AUDIT: Made = Made {
    table: &tables::AUDIT_LOGS,
    columns: AUDIT_COLUMNS,
    rows: |exchange| usize::from(!exchange.begun.skips_audit),
};
pub static ATTEMPTS: Made = Made {
    table: &tables::AUDIT_LOG_ATTEMPTS,
    columns: ATTEMPT_COLUMNS,
    rows: |exchange| {
        let is_told = exchange.begun.skips_audit || only_attempt(exchange).is_some();
        if is_told { 0 } else { exchange.ended.attempts.len() }
    },
};

/// How a table is made; `None` for one of another kind.
pub fn made(table: &Table) -> Option<&'static Made> {
    [&USAGE, &AUDIT, &ATTEMPTS].into_iter().find(|made| made.table.name == table.name)
}

/// Whether a text of this column stands in the records of its exchange as it is, wherever it is not null; a request id may be that of
/// the record and stand there as a number.
pub fn is_verbatim(column: &str) -> bool {
    VERBATIM.contains(&column)
}

const VERBATIM: [&str; 9] = [
    "request_id",
    "session_id",
    "auth_key_id",
    "requested_model",
    "model",
    "resolved_model",
    "provider_name",
    "client_ip",
    "answered_model",
];

/// Whether a column of usage is made of nothing but the second part of beginnings, so that it is the same in all exchanges that have
/// that part in common.
pub fn is_common(column: &str) -> bool {
    COMMON.contains(&column)
}

const COMMON: [&str; 9] = [
    "endpoint",
    "user_path",
    "auth_key_id",
    "session_id",
    "labels",
    "requested_model",
    "model",
    "provider_name",
    "workflow_version_id",
];

const USAGE_COLUMNS: &[(&str, Make)] = &[
    ("id", |e, _| Value::Text(text_of(e.id))),
    ("at_ms", |e, _| Value::time_ms(e.begun.at_ms)),
    ("request_id", request_id),
    ("provider_id", nothing),
    ("endpoint", |e, _| Value::text(e.begun.endpoint)),
    ("user_path", |e, _| place(e.begun.user_path)),
    ("auth_key_id", |e, _| text(e.begun.key_id)),
    ("session_id", |e, _| session(e.begun.session)),
    ("labels", |e, _| labels(e.begun.labels)),
    ("requested_model", |e, _| text(e.begun.requested_model)),
    ("model", |e, _| text(e.begun.model)),
    ("provider", nothing),
    ("provider_name", |e, _| text(e.begun.provider)),
    ("workflow_version_id", |e, _| text(e.begun.workflow)),
    ("cache_type", nothing),
    ("service_tier", |e, _| Value::maybe(e.ended.usage.mode, |mode| Value::text(mode.name()))),
    ("is_stream", |e, _| Value::Flag(e.begun.is_stream)),
    ("status_code", |e, _| status(e.ended.status)),
    ("duration_us", duration),
    ("input_uncached", |e, _| count(uncached(&e.ended.usage))),
    ("cache_read", |e, _| count(e.ended.usage.cache_read)),
    ("cache_write_5m", |e, _| count(short_cache(&e.ended.usage))),
    ("cache_write_1h", |e, _| count(e.ended.usage.cache_write_1h)),
    ("input_audio", |e, _| count(e.ended.usage.input_audio)),
    ("input_image", |e, _| count(e.ended.usage.input_image)),
    ("output_total", |e, _| count(e.ended.usage.output)),
    ("reasoning", |e, _| count(e.ended.usage.reasoning)),
    ("output_audio", |e, _| count(e.ended.usage.output_audio)),
    ("output_image", |e, _| count(e.ended.usage.output_image)),
    ("server_tool_calls", |e, _| tools(&e.ended.usage)),
    ("provider_total", |e, _| count(e.ended.usage.stated_total)),
    ("usage_source", |e, _| Value::text(source(&e.ended.usage))),
    ("raw_usage", nothing),
    ("provider_cost", |e, _| money(e.ended.usage.stated_cost)),
    ("input_cost", |e, _| money(e.ended.input_cost)),
    ("output_cost", |e, _| money(e.ended.output_cost)),
    ("total_cost", |e, _| money(e.ended.cost)),
    ("cost_source", |e, _| text(e.ended.cost_source.of(e.begun))),
    ("cost_caveat", |e, _| text(e.ended.cost_caveat)),
    ("rewrite_tokens_saved", nothing),
    ("rewrite_cost_saved", nothing),
    ("answered_model", |e, _| text(e.ended.answered_model)),
];

const AUDIT_COLUMNS: &[(&str, Make)] = &[
    ("id", |e, _| Value::Text(text_of(e.id))),
    ("at_ms", |e, _| Value::time_ms(e.begun.at_ms)),
    ("duration_us", duration),
    ("request_id", request_id),
    ("method", |e, _| Value::text(e.begun.method)),
    ("path", |e, _| Value::text(e.begun.path)),
    ("user_path", |e, _| place(e.begun.user_path)),
    ("requested_model", |e, _| text(e.begun.requested_model)),
    ("resolved_model", |e, _| text(e.begun.model)),
    ("provider", nothing),
    ("provider_name", |e, _| text(e.begun.provider)),
    ("alias_used", nothing),
    ("workflow_version_id", |e, _| text(e.begun.workflow)),
    ("cache_type", nothing),
    ("status_code", |e, _| status(e.ended.status)),
    ("principal_id", nothing),
    ("auth_key_id", |e, _| text(e.begun.key_id)),
    ("auth_method", |e, _| Value::text(e.begun.auth.name())),
    ("client_ip", |e, _| text(e.begun.client_ip)),
    ("user_agent", |e, _| text(e.begun.user_agent)),
    ("session_id", |e, _| session(e.begun.session)),
    ("labels", |e, _| labels(e.begun.labels)),
    ("is_stream", |e, _| Value::Flag(e.begun.is_stream)),
    ("error_type", nothing),
    ("error_code", |e, _| text(e.ended.error)),
    ("error_message", nothing),
    ("data", |e, _| Value::Json(data(e))),
    ("request_headers", nothing),
    ("request_body", nothing),
    ("response_headers", nothing),
    ("response_body", nothing),
];

const ATTEMPT_COLUMNS: &[(&str, Make)] = &[
    ("audit_id", |e, _| Value::Text(text_of(e.id))),
    ("number", |_, number| Value::count(number as u64)),
    ("at_ms", |e, _| Value::time_ms(e.begun.at_ms)),
    ("reason", |e, number| of_attempt(e, number, |attempt| Value::text(attempt.kind.name()))),
    ("provider", nothing),
    ("provider_name", |e, number| of_attempt(e, number, |attempt| text(names(e, attempt).0))),
    ("model", |e, number| of_attempt(e, number, |attempt| text(names(e, attempt).1))),
    ("status_code", |e, number| of_attempt(e, number, |attempt| status(attempt.status))),
    ("duration_us", |e, number| of_attempt(e, number, |attempt| Value::count(attempt.duration_us))),
    ("error_type", nothing),
    ("error_code", |e, number| of_attempt(e, number, |attempt| text(attempt.fault))),
    ("error_message", nothing),
    ("response_body", nothing),
];

fn nothing(_: &Exchange<'_>, _: usize) -> Value {
    Value::Null
}

fn of_attempt(exchange: &Exchange<'_>, number: usize, make: impl Fn(&Attempt<'_>) -> Value) -> Value {
    exchange.ended.attempts.get(number).map_or(Value::Null, make)
}

/// The provider and the model of an attempt.
fn names<'r>(exchange: &Exchange<'r>, attempt: &Attempt<'r>) -> (&'r str, &'r str) {
    match attempt.provider {
        "" => (exchange.begun.provider, exchange.begun.model),
        provider => (provider, attempt.model),
    }
}

fn request_id(exchange: &Exchange<'_>, _: usize) -> Value {
    match exchange.begun.is_named_by_id {
        true => Value::Text(text_of(exchange.id)),
        false => Value::short_text(exchange.begun.request_id),
    }
}

fn duration(exchange: &Exchange<'_>, _: usize) -> Value {
    match exchange.ended.outcome {
        Outcome::Unknown => Value::Null,
        _ => Value::count(exchange.ended.duration_us),
    }
}

fn text(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => Value::text(text),
    }
}

fn place(user_path: &str) -> Value {
    Value::short_text(if user_path.is_empty() { "/" } else { user_path })
}

fn session(session: &str) -> Value {
    if session.is_empty() { Value::Null } else { Value::short_text(session) }
}

fn count(count: Option<u64>) -> Value {
    Value::maybe(count, Value::count)
}

fn money(amount: Option<Pico>) -> Value {
    Value::maybe(amount, Value::Money)
}

fn labels(json: &str) -> Value {
    if json.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(json).map_or(Value::Null, Value::Names)
}

fn status(status: u16) -> Value {
    if status == 0 { Value::Null } else { Value::Integer(status.into()) }
}

fn source(usage: &Usage) -> &'static str {
    match usage.known_by() {
        KnownBy::Measured => "measured",
        KnownBy::Estimated => "estimated",
        KnownBy::Unknown => "unknown",
    }
}

/// What was read fresh is what is left of the input.
fn uncached(usage: &Usage) -> Option<u64> {
    let cached = usage.cache_read.unwrap_or(0).saturating_add(usage.cache_write.unwrap_or(0));
    usage.input.map(|input| input.saturating_sub(cached))
}

fn short_cache(usage: &Usage) -> Option<u64> {
    usage.cache_write.map(|all| all.saturating_sub(usage.cache_write_1h.unwrap_or(0)))
}

fn tools(usage: &Usage) -> Value {
    if usage.tools.is_empty() {
        return Value::Null;
    }
    let used = ServerTool::ALL.into_iter().filter(|&tool| usage.tools.of(tool) > 0);
    let object: serde_json::Map<_, _> =
        used.map(|tool| (tool.name().to_owned(), usage.tools.of(tool).into())).collect();
    Value::Json(serde_json::Value::Object(object).to_string())
}

/// The one attempt of an exchange that nothing happened to: the exchange's own row tells all of it, and a second row would
/// be paid for by every request.
fn only_attempt<'r>(exchange: &Exchange<'r>) -> Option<&'r Attempt<'r>> {
    let (begun, ended) = (exchange.begun, exchange.ended);
    let [attempt] = &*ended.attempts else { return None };
    let is_plain =
        attempt.kind == AttemptKind::Primary && attempt.fault.is_empty() && ended.attempts_unlisted == 0;
    let is_same = names(exchange, attempt) == (begun.provider, begun.model) && attempt.status == ended.status;
    // Where the beginning could not be read, nothing tells it but its own row.
    (is_plain && is_same && !begun.provider.is_empty()).then_some(attempt)
}

/// What has no column of its own. Names and numbers only, so that nothing has to be escaped.
fn data(exchange: &Exchange<'_>) -> String {
    let ended = exchange.ended;
    let mut out = String::with_capacity(DATA_BYTES_USUAL);
    out.push_str("{\"outcome\":\"");
    out.push_str(ended.outcome.name());
    out.push('"');
    let numbers = [
        ("first_byte_us", ended.first_byte_us),
        ("first_token_us", ended.first_token_us),
        ("bytes_in", Some(ended.bytes_in)),
        ("bytes_out", Some(ended.bytes_out)),
        ("attempts", Some(ended.attempts.len() as u64 + ended.attempts_unlisted)),
        ("attempt_us", only_attempt(exchange).map(|attempt| attempt.duration_us)),
    ];
    for (name, number) in numbers {
        [",\"", name, "\":"].into_iter().for_each(|part| out.push_str(part));
        match number {
            Some(number) => out.push_str(Digits::of(number).as_str()),
            None => out.push_str("null"),
        }
    }
    tell(exchange.remarks, &mut out);
    out.push('}');
    out
}

/// What should be known of the bodies, as further members.
fn tell(remarks: Remarks, out: &mut String) {
    let all = [
        ("request_body_too_big_to_handle", remarks.request_too_big),
        ("response_body_too_big_to_handle", remarks.response_too_big),
        ("request_not_kept", remarks.request_unkept),
        ("response_not_kept", remarks.response_unkept),
        ("request_body_is_binary", remarks.request_is_binary),
        ("response_body_is_binary", remarks.response_is_binary),
        ("response_body_incomplete", remarks.response_incomplete),
    ];
    for (name, _) in all.into_iter().filter(|(_, is_so)| *is_so) {
        [",\"", name, "\":true"].into_iter().for_each(|part| out.push_str(part));
    }
}

/// Room for all of it with numbers of a usual size.
const DATA_BYTES_USUAL: usize = 192;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::record::{Attempts, Auth};

    #[test]
    fn what_is_common_is_made_of_nothing_else() {
        let begun = Begun {
            endpoint: "chat",
            user_path: "/p",
            key_id: "k",
            session: "s",
            labels: "[\"l\"]",
            requested_model: "r",
            model: "m",
            provider: "up",
            workflow: "w",
            ..Begun::default()
        };
        let other = Begun { at_ms: 7, request_id: "id", auth: Auth::ApiKey, is_stream: true, ..begun };
        let ended = Ended { status: 500, cost: Some(Pico(1)), answered_model: "a", ..Ended::default() };
        let exchange =
            |begun| Exchange { id: RecordId(1), begun, ended: &ended, remarks: Remarks::default() };
        let (nobody, changed) = (Begun::default(), Ended::default());
        for column in COMMON {
            let make = USAGE.of(column);
            let value = make(&exchange(&begun), 0);
            let nothing = make(&exchange(&nobody), 0);
            let same = Exchange { id: RecordId(2), ended: &changed, ..exchange(&other) };
            assert!(make(&same, 0) == value && value != nothing, "{column}");
        }
    }

    #[test]
    fn an_attempt_that_names_no_provider_went_to_the_exchanges_own() {
        let begun = Begun { provider: "up", model: "m", ..Begun::default() };
        let shown = |attempts: Vec<Attempt<'_>>| {
            let ended = Ended { status: 200, attempts: Attempts::Own(attempts), ..Ended::default() };
            let exchange =
                Exchange { id: RecordId(1), begun: &begun, ended: &ended, remarks: Remarks::default() };
            let name = |number, column| ATTEMPTS.of(column)(&exchange, number);
            let rows = 0..(ATTEMPTS.rows)(&exchange);
            let names = rows.map(|number| (name(number, "provider_name"), name(number, "model"))).collect();
            (names, only_attempt(&exchange).map(|attempt| attempt.duration_us))
        };
        let text = |provider, model| (Value::text(provider), Value::text(model));
        let own = |kind, status, fault| Attempt::own(kind, status, fault, 5);
        let primary = own(AttemptKind::Primary, 200, "");
        let other = Attempt { provider: "else", model: "o", ..primary };
        assert_eq!(shown(vec![primary]), (vec![], Some(5)), "its row would tell nothing new");
        assert_eq!(shown(vec![other]), (vec![text("else", "o")], None));
        let twice = vec![own(AttemptKind::Primary, 503, "status"), own(AttemptKind::Retry, 200, "")];
        assert_eq!(shown(twice), (vec![text("up", "m"); 2], None));
    }

    #[test]
    fn every_column_has_its_maker_in_its_place() {
        for made in [&USAGE, &AUDIT, &ATTEMPTS] {
            let names: Vec<&str> = made.columns.iter().map(|(name, _)| *name).collect();
            let want: Vec<&str> = made.table.columns.iter().map(|column| column.name).collect();
            assert_eq!(names, want, "{}", made.table.name);
            assert_eq!(super::made(made.table).map(|made| made.table.name), Some(made.table.name));
        }
        assert!(super::made(&tables::AUTH_KEYS).is_none());
    }
}
