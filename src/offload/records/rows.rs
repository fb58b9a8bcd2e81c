//! What the journal says of an exchange, as rows of the store.

use std::sync::Arc;

use crate::base::limits::RESPONSES_OWNED_MS;
use crate::identity::UserPath;
use crate::ledger::record::{Begun, Ended, Owned, Part, PartKind, RecordId, Remarks};
use crate::offload::admin::view;
use crate::offload::live::{Live, LiveKind};
use crate::offload::packs::columns::{self, Exchange};
use crate::offload::store::{ErrorKind, News, Row, Store, StoreError, Table, Value, tables};

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

    /// The row with them in it.
    fn into_row(mut self, row: Row) -> Row {
        if self.texts.iter().all(Option::is_none) {
            return row;
        }
        row.with("request_headers", Value::maybe(self.text(PartKind::RequestHeaders), Value::Json))
            .with("request_body", Value::maybe(self.text(PartKind::RequestBody), Value::Text))
            .with("response_headers", Value::maybe(self.text(PartKind::ResponseHeaders), Value::Json))
            .with("response_body", Value::maybe(self.text(PartKind::ResponseBody), Value::Text))
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
        let nothing = Begun::default();
        let exchange = Exchange { id, begun: begun.unwrap_or(&nothing), ended, remarks: bodies.remarks };
        let rows_of = |made: &columns::Made| 0..(made.rows)(&exchange);
        self.usage.extend(rows_of(&columns::USAGE).map(|number| columns::USAGE.row(&exchange, number)));
        if !self.audits {
            return;
        }
        if (columns::AUDIT.rows)(&exchange) > 0 {
            self.audit.push(bodies.into_row(columns::AUDIT.row(&exchange, 0)));
        }
        let attempts = rows_of(&columns::ATTEMPTS).map(|number| columns::ATTEMPTS.row(&exchange, number));
        self.attempts.extend(attempts);
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
    pub async fn store(self, store: &Store, news: News) -> Result<usize, StoreError> {
        let mut unfit = insert(store, &tables::STORED_OBJECTS, self.owned, news).await?;
        unfit += insert(store, &tables::AUDIT_LOG_ATTEMPTS, self.attempts, news).await?;
        unfit += insert(store, &tables::AUDIT_LOGS, self.audit, news).await?;
        Ok(unfit + insert(store, &tables::USAGE, self.usage, news).await?)
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
async fn insert(
    store: &Store,
    table: &'static Table,
    rows: Vec<Row>,
    news: News,
) -> Result<usize, StoreError> {
    let is_lasting = |error: &StoreError| matches!(error.kind, ErrorKind::Unfit | ErrorKind::Conflict);
    let rows: Arc<[Row]> = rows.into();
    match store.insert_known(table, rows.clone(), news).await {
        Ok(_) => return Ok(0),
        Err(error) if !is_lasting(&error) => return Err(error),
        Err(_) => {}
    }
    let mut unfit = 0;
    for row in rows.iter() {
        match store.insert_known(table, vec![row.clone()], news).await {
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
