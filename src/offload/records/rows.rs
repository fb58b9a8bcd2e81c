//! What the journal says of an exchange, as rows of the store.

use std::sync::Arc;

use crate::base::Pico;
use crate::base::decimal::Digits;
use crate::base::id::Ids;
use crate::base::limits::RESPONSES_OWNED_MS;
use crate::identity::UserPath;
use crate::ledger::record::{
    Attempt, AttemptKind, Begun, Ended, Outcome, Owned, Part, PartKind, RecordId, Remarks,
};
use crate::ledger::usage::{KnownBy, ServerTool, Usage};
use crate::offload::admin::view;
use crate::offload::live::{Live, LiveKind};
use crate::offload::store::{ErrorKind, Row, Store, StoreError, Table, Value, tables};

/// Rows that go to the store together.
pub struct Rows {
    audits: bool,
    usage: Vec<Row>,
    audit: Vec<Row>,
    attempts: Vec<Row>,
    owned: Vec<Row>,
}

/// The headers and bodies of an exchange, joined from their pieces.
#[derive(Default)]
pub struct Bodies {
    texts: [Option<Vec<u8>>; 4],
    remarks: Remarks,
}

impl Bodies {
    pub fn of<'p>(parts: impl Iterator<Item = Part<'p>>) -> Bodies {
        let mut bodies = Bodies::default();
        for part in parts {
            match part.kind {
                PartKind::Remarks => bodies.remarks = Remarks::of_bytes(part.bytes),
                kind => {
                    bodies.texts[kind as usize].get_or_insert_default().extend_from_slice(part.bytes);
                }
            }
        }
        bodies
    }

    fn text(&mut self, kind: PartKind) -> Option<String> {
        let bytes = self.texts[kind as usize].take()?;
        // Only a body that was cut within a character is none.
        Some(String::from_utf8(bytes).unwrap_or_else(|wrong| {
            let end = wrong.utf8_error().valid_up_to();
            String::from_utf8_lossy(&wrong.as_bytes()[..end]).into_owned()
        }))
    }
}

impl Rows {
    /// No rows yet; those of the audit log come only where it is kept.
    pub fn new(audits: bool) -> Rows {
        Rows { audits, usage: Vec::new(), audit: Vec::new(), attempts: Vec::new(), owned: Vec::new() }
    }

    /// Adds an exchange. Without its beginning, which is the case when that could not be read, what is known goes in.
    pub fn add(&mut self, id: RecordId, begun: Option<&Begun<'_>>, ended: &Ended<'_>, bodies: Bodies) {
        let id = uuid(id);
        let nothing = Begun::default();
        let begun = begun.unwrap_or(&nothing);
        if !begun.skips_usage {
            self.usage.push(usage_row(&id, begun, ended));
        }
        if begun.skips_audit || !self.audits {
            return;
        }
        self.audit.push(audit_row(&id, begun, ended, bodies));
        if only_attempt(begun, ended).is_some() {
            return;
        }
        for (at, attempt) in ended.attempts.iter().enumerate() {
            self.attempts.push(attempt_row(&id, at, begun, attempt));
        }
    }

    /// Adds whose an object is.
    pub fn own(&mut self, owned: &Owned<'_>) {
        self.owned.push(owned_row(owned));
    }

    /// The rows as those who watch get them, without bodies, in the order in which the exchanges ended.
    pub fn told(&self) -> Vec<Told> {
        let of =
            |kind: LiveKind, rows: &[Row]| rows.iter().map(|row| Told::of(kind, row)).collect::<Vec<_>>();
        let mut told = of(LiveKind::Audit, &self.audit);
        told.extend(of(LiveKind::Usage, &self.usage));
        told
    }

    /// Stores them, and says how many rows the store can never take. Each id is taken once, so that doing it again does no
    /// harm; the audit log comes first, because what is in `usage` is taken to be complete.
    pub async fn store(self, store: &Store) -> Result<usize, StoreError> {
        let mut unfit = insert(store, &tables::STORED_OBJECTS, self.owned).await?;
        unfit += insert(store, &tables::AUDIT_LOG_ATTEMPTS, self.attempts).await?;
        unfit += insert(store, &tables::AUDIT_LOGS, self.audit).await?;
        Ok(unfit + insert(store, &tables::USAGE, self.usage).await?)
    }
}

/// A row for those who watch.
pub struct Told {
    kind: LiveKind,
    request_id: String,
    at_ms: u64,
    place: UserPath,
    data: String,
}

impl Told {
    fn of(kind: LiveKind, row: &Row) -> Told {
        let text = |column: &str| row.get(column).as_text().unwrap_or_default().to_owned();
        let at_ms = row.get("at_ms").as_integer().and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default();
        let place = UserPath::new(&text("user_path")).unwrap_or_else(|_| UserPath::root());
        let data = serde_json::Value::Object(view::row(row, &view::BODIES)).to_string();
        Told { kind, request_id: text("request_id"), at_ms, place, data }
    }

    pub fn tell(self, live: &Live) {
        live.tell(self.kind, self.request_id, self.at_ms, self.place, self.data);
    }
}

/// Inserts rows. One that does not fit must not keep all others out for ever: then each goes by itself.
async fn insert(store: &Store, table: &'static Table, rows: Vec<Row>) -> Result<usize, StoreError> {
    let is_lasting = |error: &StoreError| matches!(error.kind, ErrorKind::Unfit | ErrorKind::Conflict);
    let rows: Arc<[Row]> = rows.into();
    match store.insert(table, rows.clone()).await {
        Ok(_) => return Ok(0),
        Err(error) if !is_lasting(&error) => return Err(error),
        Err(_) => {}
    }
    let mut unfit = 0;
    for row in rows.iter() {
        match store.insert(table, vec![row.clone()]).await {
            Ok(_) => {}
            Err(error) if is_lasting(&error) => unfit += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(unfit)
}

/// The row that says whose an object is. It goes when the provider is sure to have forgotten the object.
pub fn owned_row(owned: &Owned<'_>) -> Row {
    let is_response =
        !owned.object.contains(crate::provider::ids::MARK) && !owned.object.starts_with("conv_");
    let expires_ms = is_response.then(|| owned.at_ms.saturating_add(RESPONSES_OWNED_MS));
    Row::new(&tables::STORED_OBJECTS)
        .with("kind", Value::text(OWNED))
        .with("id", Value::text(owned.object))
        .with("owner", Value::text(owned.tenant))
        .with("data", Value::Json("{}".to_owned()))
        .with("created_at_ms", Value::time_ms(owned.at_ms))
        .with("expires_at_ms", Value::maybe(expires_ms, Value::time_ms))
}

/// The kind of the rows that say whose an object is.
pub const OWNED: &str = "owned";

/// The id in the form of a UUID.
fn uuid(id: RecordId) -> String {
    String::from_utf8_lossy(&Ids::text_of(id.0)).into_owned()
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

fn usage_row(id: &str, begun: &Begun<'_>, ended: &Ended<'_>) -> Row {
    let usage = &ended.usage;
    let is_unknown = ended.outcome == Outcome::Unknown;
    let mut row = Row::new(&tables::USAGE)
        .with("id", Value::text(id))
        .with("at_ms", Value::time_ms(begun.at_ms))
        .with("request_id", Value::short_text(begun.request_id))
        .with("endpoint", Value::text(begun.endpoint))
        .with("user_path", place(begun.user_path))
        .with("auth_key_id", text(begun.key_id))
        .with("session_id", session(begun.session))
        .with("labels", labels(begun.labels))
        .with("requested_model", text(begun.requested_model))
        .with("model", text(begun.model))
        .with("answered_model", text(ended.answered_model))
        .with("provider_name", text(begun.provider))
        .with("workflow_version_id", text(begun.workflow))
        .with("is_stream", Value::Flag(begun.is_stream))
        .with("status_code", status(ended.status))
        .with("duration_us", if is_unknown { Value::Null } else { Value::count(ended.duration_us) })
        .with("usage_source", Value::text(source(usage)))
        .with("provider_cost", money(usage.stated_cost))
        .with("input_cost", money(ended.input_cost))
        .with("output_cost", money(ended.output_cost))
        .with("total_cost", money(ended.cost))
        .with("cost_source", text(ended.cost_source))
        .with("cost_caveat", text(ended.cost_caveat));
    for (column, value) in counts(usage) {
        row = row.with(column, count(value));
    }
    row.with("service_tier", Value::maybe(usage.mode, |mode| Value::text(mode.name())))
        .with("server_tool_calls", tools(usage))
}

fn source(usage: &Usage) -> &'static str {
    match usage.known_by() {
        KnownBy::Measured => "measured",
        KnownBy::Estimated => "estimated",
        KnownBy::Unknown => "unknown",
    }
}

/// The counts under the names of their columns. What was read fresh is what is left of the input.
fn counts(usage: &Usage) -> [(&'static str, Option<u64>); 11] {
    let cached = usage.cache_read.unwrap_or(0).saturating_add(usage.cache_write.unwrap_or(0));
    let short = usage.cache_write.map(|all| all.saturating_sub(usage.cache_write_1h.unwrap_or(0)));
    [
        ("input_uncached", usage.input.map(|input| input.saturating_sub(cached))),
        ("cache_read", usage.cache_read),
        ("cache_write_5m", short),
        ("cache_write_1h", usage.cache_write_1h),
        ("input_audio", usage.input_audio),
        ("input_image", usage.input_image),
        ("output_total", usage.output),
        ("reasoning", usage.reasoning),
        ("output_audio", usage.output_audio),
        ("output_image", usage.output_image),
        ("provider_total", usage.stated_total),
    ]
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

fn audit_row(id: &str, begun: &Begun<'_>, ended: &Ended<'_>, mut bodies: Bodies) -> Row {
    let is_unknown = ended.outcome == Outcome::Unknown;
    let data = data(begun, ended, bodies.remarks);
    let row = Row::new(&tables::AUDIT_LOGS)
        .with("id", Value::text(id))
        .with("at_ms", Value::time_ms(begun.at_ms))
        .with("duration_us", if is_unknown { Value::Null } else { Value::count(ended.duration_us) })
        .with("request_id", Value::short_text(begun.request_id))
        .with("method", Value::text(begun.method))
        .with("path", Value::text(begun.path))
        .with("user_path", place(begun.user_path))
        .with("requested_model", text(begun.requested_model))
        .with("resolved_model", text(begun.model))
        .with("provider_name", text(begun.provider))
        .with("workflow_version_id", text(begun.workflow))
        .with("status_code", status(ended.status))
        .with("auth_key_id", text(begun.key_id))
        .with("auth_method", Value::text(begun.auth.name()))
        .with("client_ip", text(begun.client_ip))
        .with("user_agent", text(begun.user_agent))
        .with("session_id", session(begun.session))
        .with("labels", labels(begun.labels))
        .with("is_stream", Value::Flag(begun.is_stream))
        .with("error_code", text(ended.error))
        .with("data", Value::Json(data));
    if bodies.texts.iter().all(Option::is_none) {
        return row;
    }
    row.with("request_headers", Value::maybe(bodies.text(PartKind::RequestHeaders), Value::Json))
        .with("request_body", Value::maybe(bodies.text(PartKind::RequestBody), Value::Text))
        .with("response_headers", Value::maybe(bodies.text(PartKind::ResponseHeaders), Value::Json))
        .with("response_body", Value::maybe(bodies.text(PartKind::ResponseBody), Value::Text))
}

/// The one attempt of an exchange that nothing happened to: the exchange's own row tells all of it, and a second row would
/// be paid for by every request.
fn only_attempt<'r, 'a>(begun: &Begun<'_>, ended: &'r Ended<'a>) -> Option<&'r Attempt<'a>> {
    let [attempt] = ended.attempts.as_slice() else { return None };
    let is_plain =
        attempt.kind == AttemptKind::Primary && attempt.fault.is_empty() && ended.attempts_unlisted == 0;
    let is_same =
        (attempt.provider, attempt.model, attempt.status) == (begun.provider, begun.model, ended.status);
    (is_plain && is_same).then_some(attempt)
}

/// What has no column of its own. Names and numbers only, so that nothing has to be escaped.
fn data(begun: &Begun<'_>, ended: &Ended<'_>, remarks: Remarks) -> String {
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
        ("attempt_us", only_attempt(begun, ended).map(|attempt| attempt.duration_us)),
    ];
    for (name, number) in numbers {
        [",\"", name, "\":"].into_iter().for_each(|part| out.push_str(part));
        match number {
            Some(number) => out.push_str(Digits::of(number).as_str()),
            None => out.push_str("null"),
        }
    }
    tell(remarks, &mut out);
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

fn attempt_row(id: &str, at: usize, begun: &Begun<'_>, attempt: &Attempt<'_>) -> Row {
    Row::new(&tables::AUDIT_LOG_ATTEMPTS)
        .with("audit_id", Value::text(id))
        .with("number", Value::count(at as u64))
        .with("at_ms", Value::time_ms(begun.at_ms))
        .with("reason", Value::text(attempt.kind.name()))
        .with("provider_name", text(attempt.provider))
        .with("model", text(attempt.model))
        .with("status_code", status(attempt.status))
        .with("error_code", text(attempt.fault))
        .with("duration_us", Value::count(attempt.duration_us))
}
