//! One object with a member for each provider, each with an object of models. Dollars per million tokens.

use super::{Imported, NOT_EXACT, Names, OTHERS, decimal, priced};
use crate::ledger::price::entry::{Body, Entry};
use crate::ledger::price::rates::{Price, Rate, per_token_of_million};
use crate::ledger::usage::Mode;
use crate::wire::json::Node;

pub(super) fn read(list: Node<'_>, source: &str, names: &Names) -> Imported {
    let mut imported = Imported::default();
    for (id, provider) in list.members() {
        let ours = names.of(&String::from_utf8_lossy(&id));
        for (model, fields) in provider.get("models").into_iter().flat_map(Node::members) {
            let Some(cost) = fields.get("cost") else { continue };
            if ours.is_empty() {
                imported.leave_out(OTHERS);
                continue;
            }
            let model = String::from_utf8_lossy(&model).into_owned();
            let mut price = priced(&model, source);
            if read_cost(cost, &mut price).is_none() {
                imported.leave_out(NOT_EXACT);
                continue;
            }
            price.sort();
            let (from, body) = (String::new(), Body::Price(price));
            imported.take(&ours, Entry { provider: String::new(), model, from, is_dated: false, body });
        }
    }
    imported
}

fn read_cost(cost: Node<'_>, price: &mut Price) -> Option<()> {
    read_rates(cost, 0, price)?;
    for tier in cost.get("tiers").into_iter().flat_map(Node::items) {
        read_rates(tier, tier.get("tier")?.get("size")?.u64()?, price)?;
    }
    match cost.get("context_over_200k") {
        Some(above) => read_rates(above, 200_000, price),
        None => Some(()),
    }
}

fn read_rates(group: Node<'_>, above: u64, price: &mut Price) -> Option<()> {
    for (name, rate) in RATES {
        if let Some(value) = group.get(name) {
            price.rates_mut(Mode::Standard, above).set(rate, per_token_of_million(decimal(value)?)?);
        }
    }
    Some(())
}

const RATES: [(&str, Rate); 7] = [
    ("input", Rate::Input),
    ("output", Rate::Output),
    ("cache_read", Rate::CacheRead),
    ("cache_write", Rate::CacheWrite),
    ("reasoning", Rate::Reasoning),
    ("input_audio", Rate::InputAudio),
    ("output_audio", Rate::OutputAudio),
];
