//! Prices that are set over those of the catalogue.

use std::rc::Rc;

use serde_json::{Map, Value as Json, json};

use super::fields::{Asked, not_found, wrong};
use super::grants::of_settings;
use super::view::{self, of_store};
use super::{Desk, Reply};
use crate::base::{Refusal, clock};
use crate::ledger::price::Override;
use crate::offload::manage::load::select_one;
use crate::offload::manage::{Change, Part};
use crate::offload::store::{Filter, Row, Select, Store, Value, tables};
use crate::policy::grant::AdminAccess;

type Answer = Result<Reply, Refusal>;

/// The prices that are stored, and the selectors that the settings price.
pub async fn list(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.query(&[])?.end()?;
    asked.who.scope.check_global(AdminAccess::Read)?;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let select = Select::new(&tables::MODEL_PRICING_OVERRIDES, Filter::all(), OVERRIDES_MAX);
    let rows = store.select(select).await.map_err(|error| of_store(&error))?;
    let compiled = desk.manager.compiled();
    let of_settings = compiled.snapshot.prices.prices.overrides().iter().map(|one| one.selector.as_str());
    let of_settings: Vec<&str> = of_settings.collect();
    Reply::ok(json!({"data": rows.iter().map(shown).collect::<Vec<_>>(), "in_settings": of_settings}))
}

/// Sets the whole price of a model, in dollars: what is left out is unknown.
pub async fn put(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.who.scope.check_global(AdminAccess::Write)?;
    let mut fields = asked.fields()?;
    let selector = fields.needed("selector")?;
    let pricing = pricing(fields.json("pricing"))?;
    fields.end()?;
    let pairs = pricing.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()));
    if let Err(mistakes) = Override::of_fields(&selector, "admin", pairs, []) {
        let told = mistakes
            .iter()
            .map(|wrong| format!("{} {}; expected {}", wrong.name, wrong.what, wrong.expected));
        return Err(wrong("pricing", &format!("cannot be taken: {}", told.collect::<Vec<_>>().join(". "))));
    }
    let (provider, model) = match selector.split_once('/') {
        Some((provider, model)) => (Value::text(provider), Value::text(model)),
        None => (Value::Null, Value::text(&*selector)),
    };
    let now = Value::time_ms(clock::wall_ms());
    let row = Row::new(&tables::MODEL_PRICING_OVERRIDES)
        .with("selector", Value::text(&*selector))
        .with("provider_name", provider)
        .with("model", model)
        .with("pricing", Value::Json(Json::Object(pricing).to_string()))
        .with("created_at_ms", now.clone())
        .with("updated_at_ms", now);
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let found = select_one(&store, &tables::MODEL_PRICING_OVERRIDES, "selector", &selector).await;
    let before = found.map_err(|error| of_store(&error))?;
    let written = store.replace(&tables::MODEL_PRICING_OVERRIDES, vec![row.clone()]).await;
    written.map_err(|error| of_store(&error))?;
    tell(&desk, &store, &asked, &selector, before.as_ref(), Some(&row)).await?;
    if before.is_some() { Reply::ok(shown(&row)) } else { Reply::created(shown(&row)) }
}

pub async fn delete(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.who.scope.check_global(AdminAccess::Write)?;
    let mut query = asked.query(&["selector"])?;
    let selector = query.needed("selector")?;
    query.end()?;
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let found = select_one(&store, &tables::MODEL_PRICING_OVERRIDES, "selector", &selector).await;
    let Some(before) = found.map_err(|error| of_store(&error))? else {
        let compiled = desk.manager.compiled();
        let is_set = compiled.snapshot.prices.prices.overrides().iter().any(|one| one.selector == selector);
        return Err(if is_set { of_settings() } else { not_found("price") });
    };
    let filter = Filter::all().equal("selector", Value::text(&*selector));
    store.delete(&tables::MODEL_PRICING_OVERRIDES, filter).await.map_err(|error| of_store(&error))?;
    tell(&desk, &store, &asked, &selector, Some(&before), None).await?;
    Reply::ok(json!({"selector": selector, "deleted": true}))
}

/// Prices as texts; a number is taken as it is spelled.
fn pricing(value: Option<Json>) -> Result<Map<String, Json>, Refusal> {
    let Some(Json::Object(members)) = value else {
        return Err(wrong("pricing", "must be a group of prices"));
    };
    let as_text = |(name, value): (String, Json)| match value {
        Json::String(text) => Ok((name, Json::String(text))),
        Json::Number(number) => Ok((name, Json::String(number.to_string()))),
        _ => Err(wrong("pricing", "must hold numbers or texts")),
    };
    members.into_iter().filter(|(_, value)| !value.is_null()).map(as_text).collect()
}

async fn tell(
    desk: &Desk,
    store: &Store,
    asked: &Asked,
    selector: &str,
    before: Option<&Row>,
    after: Option<&Row>,
) -> Result<(), Refusal> {
    let action = match (before, after) {
        (None, _) => "create",
        (_, None) => "delete",
        _ => "update",
    };
    let (before, after) = (before.map(shown), after.map(shown));
    let change = Change { action, part: Part::Prices, object_id: selector, user_path: "/", before, after };
    desk.manager.changed(store, &asked.who.actor, change).await.map_err(|error| of_store(&error))
}

fn shown(row: &Row) -> Json {
    Json::Object(view::row(row, &[]))
}

const OVERRIDES_MAX: usize = 10_000;
