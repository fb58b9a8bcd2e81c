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
use crate::offload::store::{By, Direction, Filter, Row, Select, Summary, Table, Value, tables};
use crate::policy::grant::AdminAccess;

type Answer = Result<Reply, Refusal>;

/// Exchanges, the newest first, without their bodies.
pub async fn log(desk: Rc<Desk>, asked: Asked) -> Answer {
    let equal = ["request_id", "provider_name", "resolved_model", "auth_key_id"];
    newest(&desk, &asked, &tables::AUDIT_LOGS, &equal, &BODIES).await
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
    let mut members = view::row(row, &BODIES);
    let Some(Json::Object(data)) = members.get_mut("data") else { return members };
    for name in BODIES {
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

const BODIES: [&str; 4] = ["request_headers", "request_body", "response_headers", "response_body"];
const ATTEMPTS_MAX: usize = 100;
const GROUPS_MAX: usize = 10_000;
const LATELY_MS: i64 = 15 * 60 * 1000;
