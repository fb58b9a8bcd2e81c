//! Budgets and rate limits: those of the settings and those that are stored, each with what is taken of it.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value as Json, json};

use super::fields::{Asked, Fields, not_found, wrong};
use super::view::{self, of_store};
use super::who::{Who, denied};
use super::{Desk, Reply};
use crate::base::{Pico, Refusal, RefusalKind, clock};
use crate::identity::{Allowance, Measure, Origin, Period, Strength, Subject, UserPath};
use crate::offload::manage::rows::{self, CONCURRENT};
use crate::offload::manage::{Change, Manager, Part, RESET};
use crate::offload::store::{Filter, Row, Store, Table, Value, tables};
use crate::policy::account::Account;
use crate::policy::grant::AdminAccess;
use crate::policy::key::KeyId;

type Answer = Result<Reply, Refusal>;

/// What makes a row of budgets or of limits this one.
struct Named {
    subject: Subject,
    period: String,
}

pub async fn budgets(desk: Rc<Desk>, asked: Asked) -> Answer {
    list(&desk, &asked, Part::Budgets)
}

pub async fn limits(desk: Rc<Desk>, asked: Asked) -> Answer {
    list(&desk, &asked, Part::RateLimits)
}

/// Makes a budget, or puts another in its place.
pub async fn put_budget(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut fields = asked.fields()?;
    let named = named(&mut fields, Part::Budgets)?;
    let amount = fields.dollars("amount")?.ok_or_else(|| missing("amount"))?;
    let (is_soft, instead) = (fields.flag("soft")?.unwrap_or(false), fields.name("instead")?);
    refuse_per_child(&mut fields)?;
    fields.end()?;
    let mut extra = Map::new();
    if is_soft {
        extra.insert("soft".to_owned(), true.into());
    }
    extra.extend(instead.map(|model| ("instead".to_owned(), Json::from(model))));
    let row = new_row(&tables::BUDGETS, &named)
        .with("amount", Value::Money(amount))
        .with("extra", rows::extra_value(extra));
    put(&desk, &asked.who, Part::Budgets, &named, row).await
}

/// Makes a rate limit, or puts another in its place.
pub async fn put_limit(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut fields = asked.fields()?;
    let named = named(&mut fields, Part::RateLimits)?;
    let requests = fields.number("max_requests", 1, COUNT_MAX)?;
    let tokens = fields.number("max_tokens", 1, COUNT_MAX)?;
    refuse_per_child(&mut fields)?;
    fields.end()?;
    let mut row = new_row(&tables::RATE_LIMITS, &named);
    match (named.period == CONCURRENT, requests, tokens) {
        (true, Some(most), None) => row.set("concurrent_max", Value::count(most)),
        (true, _, Some(_)) => return Err(wrong("max_tokens", "means nothing for requests at a time")),
        (_, None, None) => return Err(missing("max_requests")),
        (_, requests, tokens) => {
            row.set("requests_max", Value::maybe(requests, Value::count));
            row.set("tokens_max", Value::maybe(tokens, Value::count));
        }
    }
    put(&desk, &asked.who, Part::RateLimits, &named, row).await
}

pub async fn delete_budget(desk: Rc<Desk>, asked: Asked) -> Answer {
    delete(&desk, &asked, Part::Budgets).await
}

pub async fn delete_limit(desk: Rc<Desk>, asked: Asked) -> Answer {
    delete(&desk, &asked, Part::RateLimits).await
}

pub async fn reset_budget(desk: Rc<Desk>, asked: Asked) -> Answer {
    reset_one(&desk, &asked, Part::Budgets).await
}

pub async fn reset_limit(desk: Rc<Desk>, asked: Asked) -> Answer {
    reset_one(&desk, &asked, Part::RateLimits).await
}

pub async fn reset_budgets(desk: Rc<Desk>, asked: Asked) -> Answer {
    reset_all(&desk, &asked, Part::Budgets).await
}

pub async fn reset_limits(desk: Rc<Desk>, asked: Asked) -> Answer {
    reset_all(&desk, &asked, Part::RateLimits).await
}

fn list(desk: &Desk, asked: &Asked, part: Part) -> Answer {
    asked.query(&[])?.end()?;
    let managed = desk.manager.current();
    let mut shown: BTreeMap<(String, String, String), Map<String, Json>> = BTreeMap::new();
    for account in managed.book.accounts().filter(|account| is_of(&account.allowance, part)) {
        let allowance = &account.allowance;
        if !sees(&desk.manager, &asked.who, &allowance.subject) {
            continue;
        }
        let period = period_name(allowance.measure);
        let key = (rows::scope(&allowance.subject).to_owned(), allowance.subject.name().to_owned(), period);
        let members = shown.entry(key).or_default();
        show(&desk.manager, account, members);
    }
    Reply::ok(json!({"data": shown.into_values().collect::<Vec<_>>()}))
}

/// Adds what an account says to the row that is shown of it.
fn show(manager: &Manager, account: &Account, members: &mut Map<String, Json>) {
    let allowance = &account.allowance;
    let standing = account.standing(clock::wall_ms());
    let left = allowance.max.saturating_sub(standing.taken);
    let mut put = |name: &str, value: Json| drop(members.insert(name.to_owned(), value));
    put("scope", rows::scope(&allowance.subject).into());
    put("subject", allowance.subject.name().into());
    if let Subject::Path(path) = &allowance.subject {
        put("user_path", path.as_str().into());
    }
    put("period", period_name(allowance.measure).into());
    put("source", if allowance.origin == Origin::Settings { "config" } else { "manual" }.into());
    if let Some(window) = standing.window {
        put("window_start", view::time(i64::from(window.start_s) * 1000));
        put("window_end", view::time(i64::from(window.end_s) * 1000));
    }
    let reset_ms = manager.reset_ms(&account.id).and_then(|ms| i64::try_from(ms).ok());
    put("last_reset_at", reset_ms.map_or(Json::Null, view::time));
    let count = |count: u128| Json::from(u64::try_from(count).unwrap_or(u64::MAX));
    match allowance.measure {
        Measure::Cost(_) => {
            let dollars = |amount: u128| view::money(Pico(i128::try_from(amount).unwrap_or(i128::MAX)));
            put("amount", dollars(allowance.max));
            put("spent", dollars(standing.used));
            put("reserved", dollars(standing.taken.saturating_sub(standing.used)));
            put("remaining", dollars(left));
            put("soft", (allowance.strength == Strength::Soft).into());
            put("instead", allowance.instead.as_deref().map_or(Json::Null, Json::from));
        }
        Measure::Requests(_) | Measure::Concurrent => {
            put("max_requests", count(allowance.max));
            put("requests_used", count(standing.taken));
            put("requests_remaining", count(left));
        }
        Measure::Tokens(_) => {
            put("max_tokens", count(allowance.max));
            put("tokens_used", count(standing.used));
            put("tokens_reserved", count(standing.taken.saturating_sub(standing.used)));
            put("tokens_remaining", count(left));
        }
    }
}

/// Which row is meant: `scope` and `subject`, or `user_path` alone; `period`, or `period_seconds`.
fn named(fields: &mut Fields, part: Part) -> Result<Named, Refusal> {
    let scope = fields.choice("scope", &["user_path", "label", "key", "provider", "model"])?;
    let subject = match (scope, fields.path("user_path")?, fields.has("subject")) {
        (None | Some("user_path"), Some(path), false) => Subject::Path(path),
        (_, Some(_), _) => return Err(wrong("user_path", "stands beside another subject")),
        (scope, None, _) => {
            let scope = scope.ok_or_else(|| missing("scope"))?;
            let name = fields.needed("subject")?;
            rows::subject(scope, &name)
                .ok_or_else(|| wrong("subject", "cannot be a subject of this scope"))?
        }
    };
    let (name, seconds) = (fields.name("period")?, fields.number("period_seconds", 1, u64::from(u32::MAX))?);
    let period = match (name, seconds) {
        (Some(_), Some(_)) => return Err(wrong("period_seconds", "stands beside `period`")),
        (None, None) => return Err(missing("period")),
        (None, Some(seconds)) => format!("{seconds}s"),
        (Some(name), None) => period(&name, part).ok_or_else(|| {
            wrong("period", "must be minute, hour, day or concurrent for limits, hourly, daily, weekly or monthly for budgets, or seconds such as 90s")
        })?,
    };
    Ok(Named { subject, period })
}

/// A period in its one spelling. Minutes, hours and days of limits are lengths; those of budgets follow the calendar.
fn period(name: &str, part: Part) -> Option<String> {
    if part == Part::RateLimits {
        match name {
            "minute" => return Some("60s".to_owned()),
            "hour" => return Some("3600s".to_owned()),
            "day" => return Some("86400s".to_owned()),
            CONCURRENT => return Some(CONCURRENT.to_owned()),
            _ => {}
        }
        return matches!(Period::from_name(name)?, Period::Seconds(_)).then(|| name.trim().to_owned());
    }
    Some(Period::from_name(name)?.to_string())
}

fn period_name(measure: Measure) -> String {
    measure.period().map_or(CONCURRENT.to_owned(), |period| period.to_string())
}

fn is_of(allowance: &Allowance, part: Part) -> bool {
    matches!(allowance.measure, Measure::Cost(_)) == (part == Part::Budgets)
}

fn table(part: Part) -> &'static Table {
    if part == Part::Budgets { &tables::BUDGETS } else { &tables::RATE_LIMITS }
}

fn new_row(table: &'static Table, named: &Named) -> Row {
    let now = Value::time_ms(clock::wall_ms());
    Row::new(table)
        .with("scope", Value::text(rows::scope(&named.subject)))
        .with("subject", Value::text(named.subject.name()))
        .with("period", Value::text(&*named.period))
        .with("source", Value::text("manual"))
        .with("created_at_ms", now.clone())
        .with("updated_at_ms", now)
}

async fn put(desk: &Desk, who: &Who, part: Part, named: &Named, mut row: Row) -> Answer {
    let place = may_change(&desk.manager, who, &named.subject)?;
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let before = find(&store, part, named).await?;
    if let Some(before) = &before {
        row.set("created_at_ms", before.get("created_at_ms").clone());
    }
    store.replace(table(part), vec![row.clone()]).await.map_err(|error| of_store(&error))?;
    let action = if before.is_some() { "update" } else { "create" };
    tell(desk, &store, who, (action, part), &place, named, (before.as_ref(), Some(&row))).await?;
    let shown = shown(desk, part, named);
    if before.is_some() { Reply::ok(shown) } else { Reply::created(shown) }
}

async fn delete(desk: &Desk, asked: &Asked, part: Part) -> Answer {
    let mut query = asked.query(&["scope", "subject", "user_path", "period", "period_seconds"])?;
    let named = named(&mut query, part)?;
    query.end()?;
    let place = may_change(&desk.manager, &asked.who, &named.subject)?;
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let Some(before) = find(&store, part, &named).await? else {
        let is_set = !shown(desk, part, &named).is_null();
        return Err(if is_set { of_settings() } else { not_found(part.kind()) });
    };
    store.delete(table(part), filter(&named)).await.map_err(|error| of_store(&error))?;
    tell(desk, &store, &asked.who, ("delete", part), &place, &named, (Some(&before), None)).await?;
    Reply::ok(json!({"deleted": true}))
}

async fn reset_one(desk: &Desk, asked: &Asked, part: Part) -> Answer {
    let mut fields = asked.fields()?;
    let named = named(&mut fields, part)?;
    fields.end()?;
    may_change(&desk.manager, &asked.who, &named.subject)?;
    let managed = desk.manager.current();
    let is_meant = |account: &&std::sync::Arc<Account>| is_row(account, part, &named);
    let accounts: Vec<_> = managed.book.accounts().filter(is_meant).cloned().collect();
    if accounts.is_empty() {
        return Err(not_found(part.kind()));
    }
    reset(desk, &asked.who, &accounts).await?;
    Reply::ok(shown(desk, part, &named))
}

/// Resets all that may be changed by whoever asks.
async fn reset_all(desk: &Desk, asked: &Asked, part: Part) -> Answer {
    asked.fields()?.end()?;
    let managed = desk.manager.current();
    let may = |subject: &Subject| may_change(&desk.manager, &asked.who, subject).is_ok();
    let is_meant = |account: &&std::sync::Arc<Account>| {
        is_of(&account.allowance, part) && may(&account.allowance.subject)
    };
    let accounts: Vec<_> = managed.book.accounts().filter(is_meant).cloned().collect();
    reset(desk, &asked.who, &accounts).await?;
    Reply::ok(json!({"reset": accounts.len()}))
}

async fn reset(desk: &Desk, who: &Who, accounts: &[std::sync::Arc<Account>]) -> Result<(), Refusal> {
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let now_ms = clock::wall_ms();
    let row = |account: &std::sync::Arc<Account>| {
        rows::setting(&format!("{RESET}{}", account.id), &now_ms.into(), now_ms)
    };
    let rows: Vec<Row> = accounts.iter().map(row).collect();
    store.replace(&tables::RUNTIME_SETTINGS, rows).await.map_err(|error| of_store(&error))?;
    for account in accounts {
        let place = place(&desk.manager, &account.allowance.subject);
        let taken = account.standing(now_ms).taken;
        let change = Change {
            action: "reset",
            part: Part::Resets,
            object_id: &account.id,
            user_path: place.as_str(),
            before: Some(json!({"taken": taken.to_string()})),
            after: Some(json!({"taken": "0"})),
        };
        desk.manager.changed(&store, &who.actor, change).await.map_err(|error| of_store(&error))?;
    }
    Ok(())
}

fn is_row(account: &Account, part: Part, named: &Named) -> bool {
    let allowance = &account.allowance;
    is_of(allowance, part)
        && allowance.subject == named.subject
        && period_name(allowance.measure) == named.period
}

/// The row as it stands now; null where there is none.
fn shown(desk: &Desk, part: Part, named: &Named) -> Json {
    let managed = desk.manager.current();
    let mut members = Map::new();
    let mut accounts: Vec<_> =
        managed.book.accounts().filter(|account| is_row(account, part, named)).collect();
    accounts.sort_by(|a, b| a.id.cmp(&b.id));
    accounts.iter().for_each(|account| show(&desk.manager, account, &mut members));
    if members.is_empty() { Json::Null } else { Json::Object(members) }
}

async fn tell(
    desk: &Desk,
    store: &Store,
    who: &Who,
    (action, part): (&'static str, Part),
    place: &UserPath,
    named: &Named,
    (before, after): (Option<&Row>, Option<&Row>),
) -> Result<(), Refusal> {
    let members = |row: &Row| Json::Object(view::row(row, &[]));
    let id = format!("{}:{}:{}", rows::scope(&named.subject), named.subject.name(), named.period);
    let change = Change {
        action,
        part,
        object_id: &id,
        user_path: place.as_str(),
        before: before.map(members),
        after: after.map(members),
    };
    desk.manager.changed(store, &who.actor, change).await.map_err(|error| of_store(&error))
}

async fn find(store: &Store, part: Part, named: &Named) -> Result<Option<Row>, Refusal> {
    let select = crate::offload::store::Select::new(table(part), filter(named), 1);
    Ok(store.select(select).await.map_err(|error| of_store(&error))?.pop())
}

fn filter(named: &Named) -> Filter {
    Filter::all()
        .equal("scope", Value::text(rows::scope(&named.subject)))
        .equal("subject", Value::text(named.subject.name()))
        .equal("period", Value::text(&*named.period))
}

/// Where a subject belongs: a key at its path, what has none at the top.
fn place(manager: &Manager, subject: &Subject) -> UserPath {
    match subject {
        Subject::Path(path) => path.clone(),
        Subject::Key(id) => {
            let key = KeyId::new(id).and_then(|id| manager.current().keyring.get(id).cloned());
            key.and_then(|key| key.path.clone()).unwrap_or_else(UserPath::root)
        }
        _ => UserPath::root(),
    }
}

fn sees(manager: &Manager, who: &Who, subject: &Subject) -> bool {
    who.scope.check(&place(manager, subject), AdminAccess::Read).is_ok()
}

/// Whether somebody may say how much a subject gets. What he is held to himself was said by somebody above him.
fn may_change(manager: &Manager, who: &Who, subject: &Subject) -> Result<UserPath, Refusal> {
    let place = place(manager, subject);
    who.scope.check(&place, AdminAccess::Write)?;
    let own = who.key.as_ref().map(|key| key.id.as_str());
    let is_own_key = matches!(subject, Subject::Key(id) if own == Some(&**id));
    let is_own_place = matches!(subject, Subject::Path(path) if *path == who.scope.path) && !place.is_root();
    if is_own_key || is_own_place {
        return Err(denied("What a key is held to itself is changed by somebody above it."));
    }
    Ok(place)
}

fn refuse_per_child(fields: &mut Fields) -> Result<(), Refusal> {
    match fields.flag("per_child")? {
        Some(true) => Err(wrong("per_child", "is not supported: name each of the children")),
        _ => Ok(()),
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::invalid("missing_field", format!("`{name}` is missing.")).about(name)
}

pub fn of_settings() -> Refusal {
    let message = "It comes from the settings: change it there, or put another in its place.";
    Refusal::new(409, RefusalKind::InvalidRequest, "defined_in_settings", message)
}

const COUNT_MAX: u64 = 1_000_000_000_000_000;
