//! Costs of rows that are stored, counted anew with the prices that are known now for the time of each. What cannot be known
//! from a row is left as it is: a cost is never guessed.

use std::rc::Rc;

use serde_json::Value as Json;

use super::fields::{Asked, wrong};
use super::usage::meant_by;
use super::view::of_store;
use super::{Desk, Reply};
use crate::base::limits::STORE_SWEEP_ROWS;
use crate::base::{Pico, Refusal};
use crate::ledger::cost::{self, Cost, Unpriced};
use crate::ledger::price::Named;
use crate::ledger::usage::{Mode, ServerTool, ToolCalls, Usage};
use crate::offload::Managed;
use crate::offload::manage::{Change, Part};
use crate::offload::store::{Direction, Row, Select, Value, tables};
use crate::policy::grant::AdminAccess;
use crate::provider::Provider;

/// Counts the rows of a time, a place and a model anew.
pub async fn recalculate(desk: Rc<Desk>, asked: Asked) -> Result<Reply, Refusal> {
    asked.who.scope.check_global(AdminAccess::Write)?;
    let mut fields = asked.fields()?;
    if fields.name("confirmation")?.as_deref() != Some("recalculate") {
        return Err(wrong("confirmation", "must be `recalculate`: stored costs are about to change"));
    }
    let (filter, range) = meant_by(&asked, &mut fields)?;
    fields.end()?;
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let (compiled, managed) = (desk.manager.compiled(), desk.manager.current());
    let mut counts = Counts::default();
    // By time, which a page of packs is found by.
    let mut select =
        Select::new(&tables::USAGE, filter, STORE_SWEEP_ROWS).ordered("at_ms", Direction::Ascending);
    loop {
        let rows = store.select(select.clone()).await.map_err(|error| of_store(&error))?;
        let Some(last) = rows.last() else { break };
        let cursor = select.cursor(last);
        let is_end = rows.len() < STORE_SWEEP_ROWS;
        let changed =
            rows.iter().filter_map(|row| anew(row, &compiled.snapshot.providers, &managed, &mut counts));
        let changed: Vec<Row> = changed.collect();
        store.replace(&tables::USAGE, changed).await.map_err(|error| of_store(&error))?;
        if is_end {
            break;
        }
        select = select.after(cursor);
    }
    let Counts { matched, recalculated, with_pricing, without_pricing } = counts;
    let mut after = range;
    for (name, count) in [
        ("matched", matched),
        ("recalculated", recalculated),
        ("with_pricing", with_pricing),
        ("without_pricing", without_pricing),
    ] {
        after.insert(name.to_owned(), count.into());
    }
    let change = Change {
        action: "recalculate",
        part: Part::Usage,
        object_id: "pricing",
        user_path: "/",
        before: None,
        after: Some(Json::Object(after.clone())),
    };
    desk.manager.changed(&store, &asked.who.actor, change).await.map_err(|error| of_store(&error))?;
    after.insert("status".to_owned(), "ok".into());
    Reply::ok(Json::Object(after))
}

#[derive(Default)]
struct Counts {
    matched: u64,
    /// Rows whose cost is another one now.
    recalculated: u64,
    with_pricing: u64,
    without_pricing: u64,
}

/// The row with the cost that it has now, where that is another one.
fn anew(
    row: &Row,
    providers: &[std::sync::Arc<Provider>],
    managed: &Managed,
    counts: &mut Counts,
) -> Option<Row> {
    counts.matched += 1;
    let text = |column: &str| row.get(column).as_text().unwrap_or_default();
    let provider = providers.iter().find(|provider| provider.name == text("provider_name"));
    let usage = usage_of(row).filter(|usage| usage.is_known());
    let (Some(provider), Some(usage)) = (provider, usage) else {
        counts.without_pricing += 1;
        return None;
    };
    let answered = row.get("answered_model").as_text();
    let named =
        Named { provider: &provider.name, priced_as: &provider.priced_as, asked: text("model"), answered };
    let at_s = row.get("at_ms").as_integer().and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default() / 1000;
    let price = managed.prices.find(named, at_s);
    let cost = cost::cost(&usage, price.as_ref(), usage.mode.unwrap_or(Mode::Standard));
    *(if cost.is_ok() { &mut counts.with_pricing } else { &mut counts.without_pricing }) += 1;
    let new = with_cost(row, &cost);
    let is_same = ["input_cost", "output_cost", "total_cost", "cost_source", "cost_caveat"]
        .iter()
        .all(|column| new.get(column) == row.get(column));
    counts.recalculated += u64::from(!is_same);
    (!is_same).then_some(new)
}

fn with_cost(row: &Row, cost: &Result<Cost, Unpriced>) -> Row {
    let known = cost.as_ref().ok();
    let parts = known.and_then(|cost| cost.parts.as_ref());
    let money = |amount: Option<Pico>| Value::maybe(amount, Value::Money);
    let sum = |parts: &[Pico]| parts.iter().try_fold(Pico::ZERO, |sum, part| sum.checked_add(*part));
    let caveat = match cost {
        Ok(cost) => cost.remark.map(|remark| remark.sentence().to_owned()),
        Err(unpriced) => Some(unpriced.to_string()),
    };
    row.clone()
        .with("input_cost", money(parts.and_then(|of| sum(&[of.input, of.cache_read, of.cache_write]))))
        .with("output_cost", money(parts.and_then(|of| sum(&[of.output, of.reasoning]))))
        .with("total_cost", money(known.map(|cost| cost.total)))
        .with("cost_source", Value::maybe(known, |cost| Value::text(cost.source.name())))
        .with("cost_caveat", Value::maybe(caveat, Value::text))
}

/// The usage that a row was made from; `None` where the row does not hold all that its cost depends on: a surcharge that the
/// provider announced, or which part of what was read from a cache was sound.
fn usage_of(row: &Row) -> Option<Usage> {
    let count = |column: &str| row.get(column).as_integer().and_then(|count| u64::try_from(count).ok());
    let is_surcharged = row.get("cost_caveat").as_text() == Some(&Unpriced::Surcharge.to_string());
    let has_cached_sound = count("input_audio").is_some_and(|sound| sound > 0)
        && count("cache_read").is_some_and(|read| read > 0);
    let stated_cost = row.get("provider_cost").as_money();
    if (is_surcharged || has_cached_sound) && stated_cost.is_none() {
        return None;
    }
    let cache_write = match (count("cache_write_5m"), count("cache_write_1h")) {
        (None, None) => None,
        (short, long) => Some(short.unwrap_or(0).saturating_add(long.unwrap_or(0))),
    };
    let cached = count("cache_read").unwrap_or(0).saturating_add(cache_write.unwrap_or(0));
    Some(Usage {
        input: count("input_uncached").map(|fresh| fresh.saturating_add(cached)),
        output: count("output_total"),
        cache_read: count("cache_read"),
        cache_write,
        cache_write_1h: count("cache_write_1h"),
        input_audio: count("input_audio"),
        input_image: count("input_image"),
        reasoning: count("reasoning"),
        output_audio: count("output_audio"),
        output_image: count("output_image"),
        tools: tools(row),
        stated_cost,
        stated_total: count("provider_total"),
        mode: row.get("service_tier").as_text().and_then(Mode::of_word),
        is_estimated: row.get("usage_source").as_text() == Some("estimated"),
        ..Usage::default()
    })
}

fn tools(row: &Row) -> ToolCalls {
    let mut tools = ToolCalls::default();
    let text = row.get("server_tool_calls").as_text().unwrap_or("{}");
    let held: Json = serde_json::from_str(text).unwrap_or_default();
    for tool in ServerTool::ALL {
        tools.add(tool, held[tool.name()].as_u64().unwrap_or(0));
    }
    tools
}
