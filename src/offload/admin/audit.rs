//! The audit log, and who changed what in the admin API.

use std::rc::Rc;

use serde_json::{Map, Value as Json, json};

use super::fields::{Asked, not_found};
use super::usage::{page, range, rows_page};
use super::view::{self, of_store};
use super::{Desk, Reply};
use crate::base::{Refusal, clock};
use crate::identity::UserPath;
use crate::offload::manage::load::select_one;
use crate::offload::store::{By, Direction, Filter, Op, Row, Select, Summary, Table, Value, tables};
use crate::policy::grant::AdminAccess;

type Answer = Result<Reply, Refusal>;

/// Exchanges, the newest first, without their bodies.
pub async fn log(desk: Rc<Desk>, asked: Asked) -> Answer {
    let equal = ["request_id", "provider_name", "resolved_model", "auth_key_id"];
    newest(&desk, &asked, &tables::AUDIT_LOGS, &equal, &view::BODIES).await
}

/// One exchange with all of its attempts.
pub async fn detail(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut query = asked.query(&["id"])?;
    let id = query.needed("id")?;
    query.end()?;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let found = select_one(&store, &tables::AUDIT_LOGS, "id", &id).await;
    let row = found.map_err(|error| of_store(&error))?.ok_or_else(|| not_found("exchange"))?;
    let path = row.get("user_path").as_text().and_then(|path| UserPath::new(path).ok());
    asked.who.scope.check(&path.unwrap_or_else(UserPath::root), AdminAccess::Read)?;
    let filter = Filter::all().equal("audit_id", Value::text(id));
    let attempts = store.select(Select::new(&tables::AUDIT_LOG_ATTEMPTS, filter, ATTEMPTS_MAX)).await;
    let attempts = attempts.map_err(|error| of_store(&error))?;
    let mut members = with_bodies(&row);
    let attempts = attempts.iter().map(|row| Json::Object(view::row(row, &["audit_id"])));
    let attempts: Vec<Json> = only_attempt(&members).into_iter().chain(attempts).collect();
    members.insert("attempts".to_owned(), attempts.into());
    Reply::ok(Json::Object(members))
}

/// An exchange with its headers and bodies among its data: those that are JSON as JSON.
fn with_bodies(row: &Row) -> Map<String, Json> {
    let mut members = view::row(row, &view::BODIES);
    let Some(Json::Object(data)) = members.get_mut("data") else { return members };
    for name in view::BODIES {
        let shown = match row.get(name) {
            Value::Null => continue,
            Value::Text(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
            value => view::value(value),
        };
        data.insert(name.to_owned(), shown);
    }
    members
}

/// The one attempt of an exchange that nothing happened to, which has no row of its own: the exchange's tells all of it.
fn only_attempt(exchange: &Map<String, Json>) -> Option<Json> {
    let duration_us = exchange.get("data")?.get("attempt_us").filter(|us| us.is_u64())?;
    let of = |name: &str| exchange.get(name).cloned().unwrap_or_default();
    Some(json!({
        "number": 0,
        "at": of("at"),
        "reason": "primary",
        "provider_name": of("provider_name"),
        "model": of("resolved_model"),
        "status_code": of("status_code"),
        "duration_us": duration_us,
    }))
}

/// Sessions: how many exchanges each has. Those that no client named have none.
pub async fn sessions(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut query = asked.query(&["from", "to", "limit"])?;
    let (limit, (from_ms, to_ms)) = (query.limit()?, range(&mut query)?);
    query.end()?;
    let filter = Filter::all().between_ms("at_ms", from_ms, to_ms).present("session_id");
    let filter = within(&asked, filter);
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    // The time of the last exchange is not summed up: the newest of them all are looked at for it.
    let summary =
        Summary::new(&tables::AUDIT_LOGS, filter.clone(), &[By::Column("session_id")], &[], GROUPS_MAX);
    let found = store.summarise(summary).await.map_err(|error| of_store(&error))?;
    let newest = Select::new(&tables::AUDIT_LOGS, filter, SESSIONS_ROWS_MAX)
        .ordered("at_ms", Direction::Descending)
        .only(&["id", "at_ms", "session_id", "user_path", "auth_key_id", "requested_model"]);
    let rows = store.select(newest).await.map_err(|error| of_store(&error))?;
    let mut shown: Vec<Json> = Vec::new();
    for row in &rows {
        let session = view::value(row.get("session_id"));
        if shown.len() == limit || shown.iter().any(|known| known["session_id"] == session) {
            continue;
        }
        let group = found.groups.iter().find(|group| &group.by[0] == row.get("session_id"));
        shown.push(json!({
            "session_id": session,
            "requests": group.map(|group| group.rows),
            "last_at": view::value(row.get("at_ms")),
            "last_id": view::value(row.get("id")),
            "user_path": view::value(row.get("user_path")),
            "auth_key_id": view::value(row.get("auth_key_id")),
            "requested_model": view::value(row.get("requested_model")),
        }));
    }
    let is_cut = found.is_cut || rows.len() == SESSIONS_ROWS_MAX;
    Reply::ok(
        json!({"from": view::time(from_ms), "to": view::time(to_ms), "data": shown, "truncated": is_cut}),
    )
}

/// The exchanges around one that belong to its session, in the order in which they were made, with their bodies.
pub async fn conversation(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut query = asked.query(&["log_id", "limit"])?;
    let (id, limit) = (query.needed("log_id")?, query.limit()?.min(CONVERSATION_MAX));
    query.end()?;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let found = select_one(&store, &tables::AUDIT_LOGS, "id", &id).await;
    let anchor = found.map_err(|error| of_store(&error))?.ok_or_else(|| not_found("exchange"))?;
    let path = anchor.get("user_path").as_text().and_then(|path| UserPath::new(path).ok());
    asked.who.scope.check(&path.unwrap_or_else(UserPath::root), AdminAccess::Read)?;
    let mut rows = vec![anchor.clone()];
    let mut is_cut = false;
    if let Some(session) = anchor.get("session_id").as_text() {
        // Two callers may give two conversations one name: only those of the same caller are one.
        let mut filter = within(&asked, Filter::all()).equal("session_id", Value::text(session));
        for column in ["user_path", "auth_key_id"] {
            filter = match anchor.get(column) {
                Value::Null => filter.null(column),
                value => filter.equal(column, value.clone()),
            };
        }
        let at_ms = anchor.get("at_ms").clone();
        for (op, direction) in [(Op::AtMost, Direction::Descending), (Op::Greater, Direction::Ascending)] {
            let some = filter.clone().compare("at_ms", op, at_ms.clone());
            let select = Select::new(&tables::AUDIT_LOGS, some, limit + 1).ordered("at_ms", direction);
            let found = store.select(select).await.map_err(|error| of_store(&error))?;
            is_cut |= found.len() > limit;
            rows.extend(found.into_iter().take(limit).filter(|row| row.get("id") != anchor.get("id")));
        }
    }
    rows.sort_by_key(|row| (row.get("at_ms").as_integer(), row.get("id").as_text().map(str::to_owned)));
    let place = rows.iter().position(|row| row.get("id") == anchor.get("id")).unwrap_or_default();
    let first = place.saturating_sub(limit / 2).min(rows.len().saturating_sub(limit));
    is_cut |= rows.len() > limit;
    let entries = rows.iter().skip(first).take(limit).map(|row| Json::Object(with_bodies(row)));
    Reply::ok(json!({"anchor_id": id, "entries": entries.collect::<Vec<_>>(), "truncated": is_cut}))
}

/// How many exchanges ended with which status, by provider.
pub async fn stats(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut query = asked.query(&["from", "to"])?;
    let (from_ms, to_ms) = range(&mut query)?;
    query.end()?;
    let filter = within(&asked, Filter::all().between_ms("at_ms", from_ms, to_ms));
    let rows = by_status(&desk, &tables::AUDIT_LOGS, filter).await?;
    Reply::ok(json!({"from": view::time(from_ms), "to": view::time(to_ms), "data": rows}))
}

/// Who changed what, the newest first.
pub async fn changes(desk: Rc<Desk>, asked: Asked) -> Answer {
    let equal = ["object_kind", "object_id", "actor_id", "action"];
    newest(&desk, &asked, &tables::ADMIN_CHANGES, &equal, &[]).await
}

/// The providers, and how the requests to them ended of late.
pub async fn providers(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.query(&[])?.end()?;
    asked.who.scope.check_global(AdminAccess::Read)?;
    let now_ms = i64::try_from(clock::wall_ms()).unwrap_or(i64::MAX);
    let filter = Filter::all().between_ms("at_ms", now_ms - LATELY_MS, now_ms + 1_000);
    let lately = by_status(&desk, &tables::USAGE, filter).await?;
    let compiled = desk.manager.compiled();
    let shown = compiled.snapshot.providers.iter().map(|provider| {
        let of_provider: Vec<&Json> =
            lately.iter().filter(|row| row["provider_name"] == provider.name).collect();
        let count = |is_meant: &dyn Fn(u64) -> bool| -> u64 {
            let meant = of_provider.iter().filter(|row| is_meant(row["status_code"].as_u64().unwrap_or(0)));
            meant.filter_map(|row| row["requests"].as_u64()).sum()
        };
        json!({
            "name": provider.name,
            "type": provider.kind,
            "host": provider.origin.authority,
            "credentials": provider.credentials.len(),
            "requests_lately": count(&|_| true),
            "failures_lately": count(&|status| status == 0 || status >= 500),
            "rate_limited_lately": count(&|status| status == 429),
        })
    });
    Reply::ok(json!({"data": shown.collect::<Vec<_>>(), "lately_seconds": LATELY_MS / 1000}))
}

async fn newest(
    desk: &Desk,
    asked: &Asked,
    table: &'static Table,
    equal: &[&'static str],
    hidden: &[&str],
) -> Answer {
    let names: Vec<&'static str> = equal.iter().chain(&["from", "to", "limit", "after"]).copied().collect();
    let mut query = asked.query(&names)?;
    let page = page(&mut query)?;
    let (from_ms, to_ms) = range(&mut query)?;
    let mut filter = within(asked, Filter::all().between_ms("at_ms", from_ms, to_ms));
    for column in equal {
        if let Some(name) = query.name(column)? {
            filter = filter.equal(column, Value::text(name));
        }
    }
    query.end()?;
    let select = Select::new(table, filter, page.0).ordered("at_ms", Direction::Descending);
    Reply::ok(Json::Object(rows_page(desk, select, page, hidden).await?))
}

fn within(asked: &Asked, filter: Filter) -> Filter {
    let path = &asked.who.scope.path;
    if path.is_root() { filter } else { filter.within("user_path", path.as_str()) }
}

async fn by_status(desk: &Desk, table: &'static Table, filter: Filter) -> Result<Vec<Json>, Refusal> {
    let by = [By::Column("provider_name"), By::Column("status_code")];
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let found = store.summarise(Summary::new(table, filter, &by, &[], GROUPS_MAX)).await;
    let groups = found.map_err(|error| of_store(&error))?.groups;
    let row = |group: &crate::offload::store::Group| {
        let (provider, status) = (view::value(&group.by[0]), view::value(&group.by[1]));
        json!({"provider_name": provider, "status_code": status, "requests": group.rows})
    };
    Ok(groups.iter().map(row).collect())
}

const ATTEMPTS_MAX: usize = 100;
const GROUPS_MAX: usize = 10_000;
/// Rows that are looked at for the newest of each session.
const SESSIONS_ROWS_MAX: usize = 10_000;
/// Exchanges of one conversation, each with its bodies.
const CONVERSATION_MAX: usize = 200;
const LATELY_MS: i64 = 15 * 60 * 1000;
