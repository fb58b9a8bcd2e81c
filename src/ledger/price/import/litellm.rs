//! The map of models in which every field's name holds its class of service and its size of request:
//! `input_cost_per_token_above_200k_tokens_batches`. Dollars per token.

use super::{Imported, NOT_EXACT, Names, OTHERS, decimal, priced};
use crate::ledger::price::entry::{Body, Entry};
use crate::ledger::price::rates::{Price, Rate, pico_each};
use crate::ledger::usage::{Mode, ServerTool};
use crate::wire::json::{Kind, Node};

pub(super) fn read(list: Node<'_>, source: &str, names: &Names) -> Imported {
    let mut imported = Imported::default();
    for (key, fields) in list.members() {
        let Some(family) = fields.get("litellm_provider").and_then(Node::text) else { continue };
        let key = String::from_utf8_lossy(&key);
        let providers = names.of(&family);
        if providers.is_empty() {
            imported.leave_out(OTHERS);
            continue;
        }
        let model = without_route(&key, &family);
        let mut price = priced(model, source);
        if read_fields(fields, &mut price).is_none() {
            imported.leave_out(NOT_EXACT);
            continue;
        }
        price.sort();
        let body = Body::Price(price);
        let entry = Entry {
            provider: String::new(),
            model: model.to_owned(),
            from: String::new(),
            is_dated: false,
            body,
        };
        imported.take(&providers, entry);
    }
    imported
}

/// The model's own name: the key without the route in front, where that is the provider's.
fn without_route<'k>(key: &'k str, family: &str) -> &'k str {
    match key.split_once('/') {
        Some((route, model)) if !model.is_empty() && family.starts_with(route) => model,
        _ => key,
    }
}

/// `None` when a price cannot be said exactly.
fn read_fields(fields: Node<'_>, price: &mut Price) -> Option<()> {
    for (name, value) in fields.members() {
        let name = std::str::from_utf8(&name).unwrap_or_default();
        if let Some((rate, mode, above)) = rate_of(name)
            && value.kind() == Kind::Number
        {
            price.rates_mut(mode, above).set(rate, pico_each(decimal(value)?)?);
        }
        match name {
            "tiered_pricing" => read_tiers(value, price)?,
            "input_cost_per_request" => price.request = Some(pico_each(decimal(value)?)?),
            "search_context_cost_per_query" => {
                price.calls[ServerTool::WebSearch as usize] = one_for_all(value);
            }
            _ => {}
        }
    }
    Some(())
}

/// What a search costs, where it costs the same whatever is read for it.
fn one_for_all(sizes: Node<'_>) -> Option<u64> {
    let mut prices = sizes.members().map(|(_, value)| decimal(value).and_then(pico_each));
    let first = prices.next()??;
    prices.all(|price| price == Some(first)).then_some(first)
}

/// Groups of fields for ranges of the input's size. Whoever is in the range pays all tokens at its rates.
fn read_tiers(tiers: Node<'_>, price: &mut Price) -> Option<()> {
    for tier in tiers.items() {
        let Some(begin) = tier.get("range").and_then(|range| range.items().next()) else { continue };
        // The bounds are spelled as `256000.0`.
        let begin = decimal(begin)?.split('.').next()?.parse::<u64>().ok()?;
        for (name, value) in tier.members() {
            if let Some((rate, mode, 0)) = rate_of(std::str::from_utf8(&name).unwrap_or_default()) {
                price.rates_mut(mode, begin).set(rate, pico_each(decimal(value)?)?);
            }
        }
    }
    Some(())
}

/// What a field's name says: `stem[_above_Nk_tokens][_class]`.
fn rate_of(name: &str) -> Option<(Rate, Mode, u64)> {
    let (rest, rate) = STEMS.iter().find_map(|(stem, rate)| Some((name.strip_prefix(stem)?, *rate)))?;
    let (above, class) = match rest.strip_prefix("_above_") {
        None => (0, rest),
        Some(size) => {
            let (thousands, class) = size.split_once("k_tokens")?;
            (thousands.parse::<u64>().ok()?.checked_mul(1_000)?, class)
        }
    };
    let mode = match class {
        "" => Mode::Standard,
        "_batches" => Mode::Batch,
        "_flex" => Mode::Flex,
        "_priority" => Mode::Priority,
        _ => return None,
    };
    Some((rate, mode, above))
}

/// What names begin with; those that begin like another come before it.
const STEMS: [(&str, Rate); 11] = [
    ("input_cost_per_token", Rate::Input),
    ("output_cost_per_token", Rate::Output),
    ("cache_read_input_token_cost", Rate::CacheRead),
    ("cache_creation_input_token_cost_above_1hr", Rate::CacheWrite1h),
    ("cache_creation_input_token_cost", Rate::CacheWrite),
    ("output_cost_per_reasoning_token", Rate::Reasoning),
    ("input_cost_per_audio_token", Rate::InputAudio),
    ("output_cost_per_audio_token", Rate::OutputAudio),
    ("cache_read_input_audio_token_cost", Rate::CacheReadAudio),
    ("input_cost_per_image_token", Rate::InputImage),
    ("output_cost_per_image_token", Rate::OutputImage),
];
