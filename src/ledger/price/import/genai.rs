//! A list of providers with lists of models, each with rules for its names and prices that may change on a day. Dollars per
//! million tokens.

use super::{BROAD, BY_HOUR, Imported, NOT_EXACT, Names, OTHERS, decimal, priced};
use crate::ledger::price::date::{is_day, is_moving};
use crate::ledger::price::entry::{Body, Entry};
use crate::ledger::price::rates::{Price, Rate, per_token_of_million, pico_each};
use crate::ledger::usage::Mode;
use crate::wire::json::{Kind, Node};

pub(super) fn read(list: Node<'_>, source: &str, names: &Names) -> Imported {
    let mut imported = Imported::default();
    for provider in list.items() {
        let id = provider.get("id").and_then(Node::text).unwrap_or_default();
        let ours = names.of(&id);
        for model in provider.get("models").into_iter().flat_map(Node::items) {
            if ours.is_empty() {
                imported.leave_out(OTHERS);
                continue;
            }
            read_model(model, &ours, source, &mut imported);
        }
    }
    imported
}

fn read_model(model: Node<'_>, providers: &[&str], source: &str, imported: &mut Imported) {
    let known_as = KnownAs::read(model);
    let Some((first, others)) = known_as.0.split_first() else { return imported.leave_out(BROAD) };
    let prices = match read_prices(model, &first.name, source) {
        Ok(prices) => prices,
        Err(reason) => return imported.leave_out(reason),
    };
    for (from, price) in prices {
        let (model, body) = (first.name.clone(), Body::Price(price));
        imported
            .take(providers, Entry { provider: String::new(), model, from, is_dated: first.is_dated, body });
    }
    let is_there = imported.entries.last().is_some_and(|entry| entry.model == first.name);
    for other in others.iter().filter(|_| is_there) {
        let (model, body) = (other.name.clone(), Body::As(first.name.clone()));
        let from = String::new();
        imported
            .take(providers, Entry { provider: String::new(), model, from, is_dated: other.is_dated, body });
    }
}

/// The names that a model goes by.
struct KnownAs(Vec<Name>);

struct Name {
    name: String,
    /// A date may follow.
    is_dated: bool,
}

impl KnownAs {
    /// A rule `equals` is a name; `starts_with` is one that a date may follow, and no other ending. A rule that only names a
    /// part is too broad to find a price by.
    fn read(model: Node<'_>) -> KnownAs {
        let mut known_as = KnownAs(Vec::new());
        if let Some(id) = model.get("id").and_then(Node::text) {
            known_as.add(&id, false);
        }
        if let Some(rule) = model.get("match") {
            known_as.rule(rule);
        }
        known_as
    }

    fn rule(&mut self, rule: Node<'_>) {
        for (kind, value) in rule.members() {
            match (&*kind, value.text()) {
                (b"or", _) => value.items().for_each(|rule| self.rule(rule)),
                (b"equals", Some(name)) => self.add(&name, false),
                (b"starts_with", Some(name)) => {
                    self.add(name.trim_end_matches(['-', '@']), true);
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, name: &str, is_dated: bool) {
        if name.is_empty() || is_moving(name) {
            return;
        }
        match self.0.iter_mut().find(|known| known.name == name) {
            Some(known) => known.is_dated |= is_dated,
            None => self.0.push(Name { name: name.to_owned(), is_dated }),
        }
    }
}

/// The prices with their first days; `Err` is why they cannot be taken.
fn read_prices(model: Node<'_>, name: &str, source: &str) -> Result<Vec<(String, Price)>, &'static str> {
    let Some(prices) = model.get("prices") else { return Ok(Vec::new()) };
    if prices.kind() == Kind::Object {
        return Ok(vec![(String::new(), read_price(prices, name, source)?)]);
    }
    let mut out = Vec::new();
    for dated in prices.items() {
        let constraint = dated.get("constraint");
        let from = constraint.and_then(|c| c.get("start_date")).and_then(Node::text).unwrap_or_default();
        if constraint.is_some() && !is_day(&from) {
            return Err(BY_HOUR);
        }
        let Some(prices) = dated.get("prices") else { continue };
        out.push((from.into_owned(), read_price(prices, name, source)?));
    }
    Ok(out)
}

fn read_price(prices: Node<'_>, name: &str, source: &str) -> Result<Price, &'static str> {
    let mut price = priced(name, source);
    for (field, value) in prices.members() {
        if &*field == b"requests_kcount" {
            // Dollars for a thousand requests.
            let thousand = decimal(value).and_then(pico_each).ok_or(NOT_EXACT)?;
            price.request = Some(thousand / 1_000).filter(|_| thousand % 1_000 == 0);
            price.request.ok_or(NOT_EXACT)?;
            continue;
        }
        let is_it = |(name, _): &&(&str, Rate)| name.as_bytes() == &*field;
        let Some((_, rate)) = RATES.iter().find(is_it) else { continue };
        read_rate(value, *rate, &mut price).ok_or(NOT_EXACT)?;
    }
    price.sort();
    Ok(price)
}

/// A number, or a base with steps that hold for all tokens of a request above them.
fn read_rate(value: Node<'_>, rate: Rate, price: &mut Price) -> Option<()> {
    if value.is_null() {
        return Some(());
    }
    let base = if value.kind() == Kind::Object { value.get("base")? } else { value };
    price.rates_mut(Mode::Standard, 0).set(rate, per_token_of_million(decimal(base)?)?);
    for tier in value.get("tiers").into_iter().flat_map(Node::items) {
        let amount = per_token_of_million(decimal(tier.get("price")?)?)?;
        price.rates_mut(Mode::Standard, tier.get("start")?.u64()?).set(rate, amount);
    }
    Some(())
}

const RATES: [(&str, Rate); 7] = [
    ("input_mtok", Rate::Input),
    ("output_mtok", Rate::Output),
    ("cache_read_mtok", Rate::CacheRead),
    ("cache_write_mtok", Rate::CacheWrite),
    ("cache_audio_read_mtok", Rate::CacheReadAudio),
    ("input_audio_mtok", Rate::InputAudio),
    ("output_audio_mtok", Rate::OutputAudio),
];
