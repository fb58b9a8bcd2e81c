//! What the settings say and what the providers offer, to be looked at; and the settings that may change while running.

use std::rc::Rc;

use jiff::civil::Weekday;
use serde_json::{Map, Value as Json, json};

use super::fields::{Asked, not_found, wrong};
use super::view::{self, of_store};
use super::{Desk, Reply};
use crate::base::{Pico, Refusal, clock};
use crate::config::CHANGEABLE;
use crate::identity::Tagging;
use crate::ledger::price::{FIELDS, Named, Price};
use crate::ledger::usage::Mode;
use crate::offload::Level;
use crate::offload::manage::overriding::OVERRIDE;
use crate::offload::manage::{Change, Part, rows};
use crate::offload::store::{Filter, Value, tables};
use crate::policy::grant::AdminAccess;

type Answer = Result<Reply, Refusal>;

/// Every setting with its value, secrets masked, and where it comes from.
pub async fn all(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.query(&[])?.end()?;
    asked.who.scope.check_global(AdminAccess::Read)?;
    let compiled = desk.manager.compiled();
    let overrides = desk.manager.overrides();
    let lines = compiled.snapshot.settings.iter();
    let shown = lines.map(|(name, value, place)| {
        let source = if overrides.contains_key(name) { ADMIN } else { place };
        let is_changeable = CHANGEABLE.contains(&name.as_str());
        json!({"key": name, "value": value, "source": source, "changeable": is_changeable})
    });
    Reply::ok(json!({"data": shown.collect::<Vec<_>>()}))
}

/// Sets a setting above what file and environment say, until it is taken back.
pub async fn put(desk: Rc<Desk>, asked: Asked) -> Answer {
    let path = changeable(&asked)?;
    let mut fields = asked.fields()?;
    let value = fields.json("value").as_ref().and_then(text_of);
    let value =
        value.ok_or_else(|| wrong("value", "must be a text, a number, true, false or a list of texts"))?;
    fields.end()?;
    change(&desk, &asked, path, Some(value)).await
}

/// Takes a setting back to what file and environment say.
pub async fn delete(desk: Rc<Desk>, asked: Asked) -> Answer {
    let path = changeable(&asked)?;
    asked.query(&[])?.end()?;
    if !desk.manager.overrides().contains_key(path) {
        return Err(not_found("changed setting"));
    }
    change(&desk, &asked, path, None).await
}

/// The setting in the path, if whoever asks may change it.
fn changeable(asked: &Asked) -> Result<&'static str, Refusal> {
    asked.who.scope.check_global(AdminAccess::Write)?;
    let named = asked.param("key");
    let known = CHANGEABLE.iter().find(|path| **path == named);
    known.copied().ok_or_else(|| {
        let message = format!("`{named}` is no setting that can be changed while the gateway runs.");
        Refusal::invalid("setting_is_fixed", message).about("key")
    })
}

fn text_of(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Number(number) => Some(number.to_string()),
        Json::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Json::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}

async fn change(desk: &Desk, asked: &Asked, path: &'static str, value: Option<String>) -> Answer {
    let manager = &desk.manager;
    let _turn = manager.begin_change().await;
    let _overriding = manager.begin_overriding();
    let store = manager.store().await.map_err(|error| of_store(&error))?;
    let before = manager.overrides();
    let mut after = before.clone();
    match &value {
        Some(value) => drop(after.insert(path.to_owned(), value.clone())),
        None => drop(after.remove(path)),
    }
    manager
        .override_settings(after)
        .await
        .map_err(|what| wrong("value", &format!("cannot be taken: {what}")))?;
    let name = format!("{OVERRIDE}{path}");
    let written = match &value {
        Some(value) => {
            let row = rows::setting(&name, &value.as_str().into(), clock::wall_ms());
            store.replace(&tables::RUNTIME_SETTINGS, vec![row]).await
        }
        None => {
            let filter = Filter::all().equal("name", Value::text(&*name));
            store.delete(&tables::RUNTIME_SETTINGS, filter).await.map(drop)
        }
    };
    if let Err(error) = written {
        // What is not kept is not in force either.
        if let Err(what) = manager.override_settings(before).await {
            manager.log(Level::Error, format!("{path} is changed until the next start: {what}"));
        }
        return Err(of_store(&error));
    }
    let held = |value: Option<&String>| value.map(|value| json!({"value": value}));
    let change = Change {
        action: if value.is_some() { "update" } else { "delete" },
        part: Part::Settings,
        object_id: path,
        user_path: "/",
        before: held(before.get(path)),
        after: held(value.as_ref()),
    };
    manager.changed(&store, &asked.who.actor, change).await.map_err(|error| of_store(&error))?;
    let source = value.as_ref().map(|_| ADMIN);
    Reply::ok(json!({"key": path, "value": value, "source": source, "changeable": true}))
}

/// Where a setting comes from that was changed here.
const ADMIN: &str = "admin API";

/// When the windows of budgets begin.
pub async fn of_budgets(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.query(&[])?.end()?;
    asked.who.scope.check_global(AdminAccess::Read)?;
    let compiled = desk.manager.compiled();
    let identity = &compiled.snapshot.identity;
    let calendar = &identity.calendar;
    Reply::ok(json!({
        "enabled": identity.budgets_enabled,
        "time_zone": calendar.zone.iana_name().unwrap_or("UTC"),
        "daily_reset_hour": calendar.hour,
        "daily_reset_minute": calendar.minute,
        "weekly_reset_weekday": weekday(calendar.weekday),
        "monthly_reset_day": calendar.day,
    }))
}

/// The headers that carry labels.
pub async fn of_tagging(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.query(&[])?.end()?;
    asked.who.scope.check_global(AdminAccess::Read)?;
    let compiled = desk.manager.compiled();
    let shown = compiled.snapshot.identity.tagging.iter().map(|tagging| {
        let Tagging { header, prefix, delimiter, is_kept_back } = tagging;
        json!({"header": header, "prefix": prefix, "delimiter": delimiter, "do_not_pass": is_kept_back})
    });
    Reply::ok(json!({"headers": shown.collect::<Vec<_>>()}))
}

/// The models that the providers offer, each with the price that holds now, or none where it is not known.
pub async fn models(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.query(&[])?.end()?;
    asked.who.scope.check_global(AdminAccess::Read)?;
    let (compiled, managed) = (desk.manager.compiled(), desk.manager.current());
    let catalogue = desk.manager.catalogue();
    let mut shown = Vec::new();
    for provider in &compiled.snapshot.providers {
        for model in catalogue.models_of(&provider.name) {
            let (name, priced_as) = (provider.name.as_str(), provider.priced_as.as_str());
            let named = Named { provider: name, priced_as, asked: model, answered: None };
            let price = managed.prices.find(named, clock::wall_ms() / 1000);
            shown.push(json!({
                "id": format!("{name}/{model}"),
                "provider_name": name,
                "model": model,
                "price_source": price.as_ref().map(|price| &*price.source),
                "pricing": price.as_ref().map(pricing),
            }));
        }
    }
    Reply::ok(json!({"data": shown, "is_complete": catalogue.is_settled}))
}

/// The usual prices in dollars for a million tokens.
fn pricing(price: &Price) -> Json {
    let Some(rates) = price.rates(Mode::Standard, 1) else { return Json::Null };
    let of = |(name, rate): (&str, _)| {
        let million = Pico(i128::from(rates.get(rate)?) * 1_000_000);
        Some((name.to_owned(), view::money(million)))
    };
    Json::Object(FIELDS.into_iter().filter_map(of).collect::<Map<_, _>>())
}

fn weekday(day: Weekday) -> &'static str {
    crate::config::WEEKDAYS[usize::from(day.to_monday_zero_offset().unsigned_abs())]
}
