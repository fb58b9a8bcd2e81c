//! What the settings say and what the providers offer, to be looked at: nothing here is changed.

use std::rc::Rc;

use jiff::civil::Weekday;
use serde_json::{Map, Value as Json, json};

use super::fields::Asked;
use super::view;
use super::{Desk, Reply};
use crate::base::{Pico, Refusal, clock};
use crate::identity::Tagging;
use crate::ledger::price::{FIELDS, Named, Price};
use crate::ledger::usage::Mode;
use crate::policy::grant::AdminAccess;

type Answer = Result<Reply, Refusal>;

/// Every setting with its value, secrets masked, and where it comes from.
pub async fn all(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.query(&[])?.end()?;
    asked.who.scope.check_global(AdminAccess::Read)?;
    let compiled = desk.manager.compiled();
    let lines = compiled.snapshot.settings.iter();
    let shown = lines.map(|(name, value, place)| json!({"key": name, "value": value, "source": place}));
    Reply::ok(json!({"data": shown.collect::<Vec<_>>()}))
}

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
