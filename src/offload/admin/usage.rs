//! What was used and what it cost: sums over the rows of usage, and the rows themselves. A sum of nothing that is known is
//! null, never 0.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value as Json, json};

use super::fields::{Asked, Fields, wrong};
use super::view::{self, of_store};
use super::{Desk, Reply};
use crate::base::limits::ADMIN_PAGE_ROWS_MAX;
use crate::base::{Pico, Refusal, clock};
use crate::offload::store::{By, Direction, Filter, Group, Select, Sum, Summary, Value, tables};
use crate::policy::grant::AdminAccess;

type Answer = Result<Reply, Refusal>;

/// All of a time in one.
pub async fn summary(desk: Rc<Desk>, asked: Asked) -> Answer {
    let (filter, range) = meant(&asked, &FILTERS)?;
    let groups = groups(&desk, filter, &[]).await?;
    let mut members = groups.first().map_or_else(|| sums(&nothing()), sums);
    members.extend(range);
    Reply::ok(Json::Object(members))
}

/// By days of UTC.
pub async fn daily(desk: Rc<Desk>, asked: Asked) -> Answer {
    grouped(desk, asked, &[By::Span { column: "at_ms", width_ms: DAY_MS }], &["date"]).await
}

pub async fn models(desk: Rc<Desk>, asked: Asked) -> Answer {
    let by = [By::Column("provider_name"), By::Column("model")];
    grouped(desk, asked, &by, &["provider_name", "model"]).await
}

pub async fn user_paths(desk: Rc<Desk>, asked: Asked) -> Answer {
    grouped(desk, asked, &[By::Column("user_path")], &["user_path"]).await
}

pub async fn keys(desk: Rc<Desk>, asked: Asked) -> Answer {
    grouped(desk, asked, &[By::Column("auth_key_id")], &["auth_key_id"]).await
}

/// By what clients call their conversations.
pub async fn sessions(desk: Rc<Desk>, asked: Asked) -> Answer {
    grouped(desk, asked, &[By::Column("session_id")], &["session_id"]).await
}

/// Tokens of late, in spans of one length: what has passed of the present one is the last of them.
pub async fn throughput(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut query = asked.query(&["granularity"])?;
    let words: Vec<&'static str> = GRANULARITIES.iter().map(|(word, ..)| *word).collect();
    let word = query.choice("granularity", &words)?.ok_or_else(|| wrong("granularity", "must be there"))?;
    query.end()?;
    let (_, span_ms, count) =
        GRANULARITIES.into_iter().find(|(known, ..)| *known == word).unwrap_or_default();
    let place = &asked.who.scope.path;
    let now_ms = i64::try_from(clock::wall_ms()).unwrap_or(i64::MAX);
    let last_ms = now_ms - now_ms.rem_euclid(span_ms);
    let first_ms = last_ms - (count - 1) * span_ms;
    let mut filter = Filter::all().between_ms("at_ms", first_ms, last_ms + span_ms);
    if !place.is_root() {
        filter = filter.within("user_path", place.as_str());
    }
    let by = [By::Span { column: "at_ms", width_ms: span_ms }];
    let found = groups(&desk, filter, &by).await?;
    let buckets = (0..count).map(|at| {
        let start_ms = first_ms + at * span_ms;
        let group = found.iter().find(|group| group.by[0].as_integer() == Some(start_ms));
        let sum = |names: &[&str]| -> i128 {
            let sums = group.into_iter().flat_map(|group| SUMS.iter().zip(&group.sums));
            sums.filter(|(name, _)| names.contains(name)).map(|(_, sum)| sum.total).sum()
        };
        let tokens = |names: &[&str]| i64::try_from(sum(names)).unwrap_or(i64::MAX);
        json!({
            "start": view::time(start_ms),
            "input_tokens": tokens(&["input_uncached", "cache_write_5m", "cache_write_1h"]),
            "output_tokens": tokens(&["output_total"]),
            "prompt_cached_tokens": tokens(&["cache_read"]),
            "locally_cached_tokens": 0,
        })
    });
    let buckets: Vec<Json> = buckets.collect();
    Reply::ok(json!({"granularity": word, "bucket_seconds": span_ms / 1000, "buckets": buckets}))
}

/// By labels. A row with several labels counts for each of them.
pub async fn labels(desk: Rc<Desk>, asked: Asked) -> Answer {
    let (filter, range) = meant(&asked, &FILTERS)?;
    let found = groups(&desk, filter, &[By::Column("labels")]).await?;
    let mut by_label: BTreeMap<String, Group> = BTreeMap::new();
    for group in &found {
        for label in group.by[0].as_names().unwrap_or_default() {
            let all = by_label.entry(label.clone()).or_insert_with(nothing);
            all.rows += group.rows;
            for (sum, more) in all.sums.iter_mut().zip(&group.sums) {
                sum.total += more.total;
                sum.known += more.known;
            }
        }
    }
    let row = |(label, group): (&String, &Group)| {
        let mut members = sums(group);
        members.insert("label".to_owned(), label.as_str().into());
        Json::Object(members)
    };
    let mut members = range;
    members.insert("data".to_owned(), by_label.iter().map(row).collect());
    Reply::ok(Json::Object(members))
}

/// The rows, the newest first.
pub async fn log(desk: Rc<Desk>, asked: Asked) -> Answer {
    let names: Vec<&'static str> = FILTERS.iter().chain(&["limit", "after"]).copied().collect();
    let mut query = asked.query(&names)?;
    let page = page(&mut query)?;
    let (filter, range) = meant_by(&asked, &mut query)?;
    query.end()?;
    let select = Select::new(&tables::USAGE, filter, page.0).ordered("at_ms", Direction::Descending);
    let mut answer = rows_page(&desk, select, page, &["raw_usage"]).await?;
    answer.extend(range);
    Reply::ok(Json::Object(answer))
}

/// What a caller has used itself, by its key or, without one, by its path; and what it may still use.
pub async fn own(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut query = asked.query(&["from", "to"])?;
    let (from_ms, to_ms) = range(&mut query)?;
    query.end()?;
    let who = &asked.who;
    let filter = Filter::all().between_ms("at_ms", from_ms, to_ms);
    let filter = match &who.key {
        Some(key) => filter.equal("auth_key_id", Value::text(key.id.as_str())),
        None => filter.within("user_path", who.path.as_str()),
    };
    let all = groups(&desk, filter.clone(), &[]).await?;
    let by_model = groups(&desk, filter, &[By::Column("provider_name"), By::Column("model")]).await?;
    let mut members = all.first().map_or_else(|| sums(&nothing()), sums);
    members.extend(range_members(from_ms, to_ms));
    members.insert("user_path".to_owned(), who.path.as_str().into());
    let key_id = who.key.as_ref().map(|key| key.id.as_str());
    members.insert("auth_key_id".to_owned(), key_id.into());
    members.insert("models".to_owned(), rows_of(&by_model, &["provider_name", "model"]));
    let managed = desk.manager.current();
    let applicable = managed.book.of_caller(who.key.as_deref(), &who.path, &[]);
    let allowance = |account: &std::sync::Arc<crate::policy::account::Account>| {
        let standing = account.standing(clock::wall_ms());
        let left = account.allowance.max.saturating_sub(standing.taken);
        let amount = |number| crate::identity::allowance::amount(account.allowance.measure, number);
        json!({
            "id": &*account.id,
            "amount": account.allowance.amount(),
            "taken": amount(standing.taken),
            "remaining": amount(left),
        })
    };
    let allowances: Vec<Json> = applicable.accounts().iter().map(allowance).collect();
    members.insert("allowances".to_owned(), allowances.into());
    Reply::ok(Json::Object(members))
}

async fn grouped(desk: Rc<Desk>, asked: Asked, by: &[By], names: &[&str]) -> Answer {
    let (filter, mut members) = meant(&asked, &FILTERS)?;
    let groups = groups(&desk, filter, by).await?;
    members.insert("data".to_owned(), rows_of(&groups, names));
    Reply::ok(Json::Object(members))
}

async fn groups(desk: &Desk, filter: Filter, by: &[By]) -> Result<Vec<Group>, Refusal> {
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let summary = Summary::new(&tables::USAGE, filter, by, &SUMS, GROUPS_MAX);
    let found = store.summarise(summary).await.map_err(|error| of_store(&error))?;
    if found.is_cut {
        return Err(wrong(
            "from",
            &format!("leads to more than {GROUPS_MAX} groups: ask for a shorter time"),
        ));
    }
    Ok(found.groups)
}

/// The rows that a query means, within the scope of whoever asks.
fn meant(asked: &Asked, names: &[&'static str]) -> Result<(Filter, Map<String, Json>), Refusal> {
    let mut query = asked.query(names)?;
    let meant = meant_by(asked, &mut query)?;
    query.end()?;
    Ok(meant)
}

pub fn meant_by(asked: &Asked, query: &mut Fields) -> Result<(Filter, Map<String, Json>), Refusal> {
    let (from_ms, to_ms) = range(query)?;
    let place = query.path("user_path")?.unwrap_or_else(|| asked.who.scope.path.clone());
    asked.who.scope.check(&place, AdminAccess::Read)?;
    let mut filter = Filter::all().between_ms("at_ms", from_ms, to_ms);
    if !place.is_root() {
        filter = filter.within("user_path", place.as_str());
    }
    for column in ["model", "provider_name", "auth_key_id", "request_id"] {
        if let Some(name) = query.name(column)? {
            filter = filter.equal(column, Value::text(name));
        }
    }
    if let Some(label) = query.name("label")? {
        filter = filter.lists("labels", label);
    }
    Ok((filter, range_members(from_ms, to_ms)))
}

/// From a moment to another; the last thirty days when nothing is said.
pub fn range(query: &mut Fields) -> Result<(i64, i64), Refusal> {
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    // A record that is written right now belongs to it.
    let to_ms = query.moment("to")?.map_or_else(|| ms(clock::wall_ms()) + 1_000, ms);
    let from_ms = query.moment("from")?.map_or(to_ms.saturating_sub(30 * DAY_MS), ms);
    if from_ms >= to_ms {
        return Err(wrong("from", "must lie before `to`"));
    }
    Ok((from_ms, to_ms))
}

fn range_members(from_ms: i64, to_ms: i64) -> Map<String, Json> {
    [("from", from_ms), ("to", to_ms)]
        .map(|(name, ms)| (name.to_owned(), view::time(ms)))
        .into_iter()
        .collect()
}

fn rows_of(groups: &[Group], names: &[&str]) -> Json {
    let row = |group: &Group| {
        let mut members = sums(group);
        for (name, held) in names.iter().zip(&group.by) {
            let shown = match held {
                Value::TimeMs(_) if *name == "date" => {
                    view::value(held).as_str().map_or(Json::Null, |time| time[..10].into())
                }
                held => view::value(held),
            };
            members.insert((*name).to_owned(), shown);
        }
        Json::Object(members)
    };
    let mut rows: Vec<Json> = groups.iter().map(row).collect();
    let place = |row: &Json| names.iter().map(|name| row[*name].to_string()).collect::<Vec<_>>();
    rows.sort_by_key(place);
    rows.into()
}

fn sums(group: &Group) -> Map<String, Json> {
    let mut members = Map::new();
    members.insert("requests".to_owned(), group.rows.into());
    for (name, sum) in SUMS.iter().zip(&group.sums) {
        let is_money = name.ends_with("_cost");
        let shown = match sum {
            Sum { known: 0, .. } => Json::Null,
            Sum { total, .. } if is_money => view::money(Pico(*total)),
            Sum { total, .. } => i64::try_from(*total).map_or_else(|_| total.to_string().into(), Json::from),
        };
        members.insert((*name).to_owned(), shown);
        if *name == "total_cost" {
            members.insert("requests_with_cost".to_owned(), sum.known.into());
        }
    }
    members
}

fn nothing() -> Group {
    Group { by: Vec::new(), rows: 0, sums: vec![Sum::default(); SUMS.len()] }
}

/// How many rows, and behind which.
pub type Page = (usize, Option<Vec<Value>>);

/// `limit`, and `after` as the page before said it.
pub fn page(query: &mut Fields) -> Result<Page, Refusal> {
    let (limit, after) = (query.limit()?, query.name("after")?);
    let Some(after) = after else { return Ok((limit, None)) };
    let cursor = after.split_once('.').and_then(|(ms, id)| Some((ms.parse().ok()?, id)));
    let (ms, id) = cursor.ok_or_else(|| wrong("after", "is no place between pages"))?;
    Ok((limit, Some(vec![Value::TimeMs(ms), Value::text(id)])))
}

/// A page of rows that are ordered by `at_ms`, and where the next one begins.
pub async fn rows_page(
    desk: &Desk,
    mut select: Select,
    (limit, after): Page,
    hidden: &[&str],
) -> Result<Map<String, Json>, Refusal> {
    if let Some(after) = after {
        select = select.after(after);
    }
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let rows = store.select(select).await.map_err(|error| of_store(&error))?;
    let last = rows.last().filter(|_| rows.len() == limit.min(ADMIN_PAGE_ROWS_MAX));
    let next = last.map(|row| {
        let ms = row.get("at_ms").as_integer().unwrap_or_default();
        format!("{ms}.{}", row.get("id").as_text().unwrap_or_default())
    });
    let shown: Vec<Json> = rows.iter().map(|row| Json::Object(view::row(row, hidden))).collect();
    let mut members = Map::new();
    members.insert("data".to_owned(), shown.into());
    members.insert("next".to_owned(), next.into());
    Ok(members)
}

const FILTERS: [&str; 8] =
    ["from", "to", "user_path", "model", "provider_name", "auth_key_id", "request_id", "label"];
const SUMS: [&str; 10] = [
    "input_uncached",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output_total",
    "reasoning",
    "input_cost",
    "output_cost",
    "total_cost",
    "duration_us",
];
const DAY_MS: i64 = 86_400_000;
/// Lengths of spans in milliseconds, and how many of them are shown.
const GRANULARITIES: [(&str, i64, i64); 4] =
    [("second", 1_000, 60), ("minute", 60_000, 60), ("hour", 3_600_000, 48), ("day", DAY_MS, 30)];
const GROUPS_MAX: usize = 10_000;
