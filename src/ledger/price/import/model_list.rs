//! A list of models as the API of an aggregator serves it: `data[].pricing`, dollars per token as texts. All models are that
//! provider's.

use super::{Imported, NOT_EXACT, Names, OTHERS, decimal, priced};
use crate::ledger::price::entry::{Body, Entry};
use crate::ledger::price::rates::{Price, Rate, pico_each};
use crate::ledger::usage::{Mode, ServerTool};
use crate::wire::json::Node;

pub(super) fn read(list: Node<'_>, source: &str, names: &Names) -> Imported {
    let mut imported = Imported::default();
    let ours = names.of(OWN);
    for model in list.get("data").unwrap_or(list).items() {
        let Some(pricing) = model.get("pricing") else { continue };
        if ours.is_empty() {
            imported.leave_out(OTHERS);
            continue;
        }
        let id = model.get("id").and_then(Node::text).unwrap_or_default().into_owned();
        let mut price = priced(&id, source);
        if read_pricing(pricing, &mut price).is_none() {
            imported.leave_out(NOT_EXACT);
            continue;
        }
        price.sort();
        let (from, body) = (String::new(), Body::Price(price));
        imported.take(&ours, Entry { provider: String::new(), model: id, from, is_dated: false, body });
    }
    imported
}

fn read_pricing(pricing: Node<'_>, price: &mut Price) -> Option<()> {
    for (name, rate) in RATES {
        let Some(value) = pricing.get(name) else { continue };
        let amount = pico_each(decimal(value)?)?;
        // It writes 0 for thoughts that cost what the rest of the output does.
        if amount > 0 || matches!(rate, Rate::Input | Rate::Output) {
            price.rates_mut(Mode::Standard, 0).set(rate, amount);
        }
    }
    let each = |name: &str| pricing.get(name).map(|value| decimal(value).and_then(pico_each));
    price.request = each("request").unwrap_or(Some(0)).filter(|&request| request > 0);
    price.calls[ServerTool::WebSearch as usize] = each("web_search").flatten().filter(|&search| search > 0);
    Some(())
}

const RATES: [(&str, Rate); 6] = [
    ("prompt", Rate::Input),
    ("completion", Rate::Output),
    ("input_cache_read", Rate::CacheRead),
    ("input_cache_write", Rate::CacheWrite),
    ("internal_reasoning", Rate::Reasoning),
    ("audio", Rate::InputAudio),
];
/// In place of a provider's name, because the list names none.
pub const OWN: &str = "model-list";
