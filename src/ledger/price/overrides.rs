//! Prices that an operator sets for single models, in dollars as decimal text: from the settings and from the admin API. An
//! override is the whole price of its model: what it leaves out is unknown, never taken from a catalogue.

use super::rates::{Price, Rate, per_token_of_million, pico_each};
use crate::ledger::usage::{Mode, ServerTool};

/// The price of the models that a selector names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// `model`, or `instance/model` for one instance alone.
    pub selector: String,
    pub price: Price,
}

/// A field of an override that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongField {
    pub name: String,
    pub what: String,
    pub expected: String,
}

impl Override {
    /// Makes an override of names and texts. `tiers` are the groups of fields for larger requests, each with the size, in
    /// tokens, above which it holds. The error lists every field that is wrong.
    pub fn of_fields<'f>(
        selector: &str,
        source: &str,
        fields: impl IntoIterator<Item = (&'f str, &'f str)>,
        tiers: impl IntoIterator<Item = (u64, Vec<(&'f str, &'f str)>)>,
    ) -> Result<Override, Vec<WrongField>> {
        let mut price = Price { model: selector.to_owned(), source: source.into(), ..Price::default() };
        let mut wrong = Vec::new();
        for (name, text) in fields {
            if let Err(field) = set(&mut price, 0, name, text) {
                wrong.push(field);
            }
        }
        for (above, fields) in tiers {
            for (name, text) in fields {
                if let Err(field) = set(&mut price, above, name, text) {
                    wrong.push(field);
                }
            }
        }
        price.sort();
        if wrong.is_empty() && price.tables.is_empty() && price.request.is_none() {
            wrong.push(wrong_field("", "no price is set", "at least one of the prices"));
        }
        if wrong.is_empty() { Ok(Override { selector: selector.to_owned(), price }) } else { Err(wrong) }
    }

    /// Whether it is for this model of this instance.
    pub fn is_for(&self, provider: &str, model: &str) -> bool {
        let own = self.selector.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/'));
        self.selector == model || own == Some(model)
    }
}

/// The fields of an override, each with what it is; the first part of a name may be `batch_`, `flex_` or `priority_`.
pub const FIELDS: [(&str, Rate); Rate::COUNT] = [
    ("input_per_mtok", Rate::Input),
    ("output_per_mtok", Rate::Output),
    ("cached_input_per_mtok", Rate::CacheRead),
    ("cache_write_per_mtok", Rate::CacheWrite),
    ("cache_write_1h_per_mtok", Rate::CacheWrite1h),
    ("reasoning_output_per_mtok", Rate::Reasoning),
    ("audio_input_per_mtok", Rate::InputAudio),
    ("audio_output_per_mtok", Rate::OutputAudio),
    ("cached_audio_input_per_mtok", Rate::CacheReadAudio),
    ("image_input_per_mtok", Rate::InputImage),
    ("image_output_per_mtok", Rate::OutputImage),
];

fn set(price: &mut Price, above: u64, name: &str, text: &str) -> Result<(), WrongField> {
    if name == "currency" {
        let is_dollars = text.eq_ignore_ascii_case("usd");
        return if is_dollars {
            Ok(())
        } else {
            Err(refused(name, text, "USD: no other currency is counted"))
        };
    }
    if OTHER_UNITS.contains(&name) {
        return Err(refused(name, text, "a price per token, request or call: usage counts nothing else"));
    }
    let each = || pico_each(text).ok_or_else(|| refused(name, text, "dollars, in whole pico-dollars"));
    if name == "per_request" {
        price.request = Some(each()?);
        return Ok(());
    }
    let tool = |tool: &ServerTool| name.strip_prefix("per_") == Some(tool.name());
    if let Some(tool) = ServerTool::ALL.into_iter().find(tool) {
        price.calls[tool as usize] = Some(each()?);
        return Ok(());
    }
    let (mode, field) = Mode::PRICED
        .into_iter()
        .find_map(|mode| Some((mode, name.strip_prefix(mode.name())?.strip_prefix('_')?)))
        .unwrap_or((Mode::Standard, name));
    let rate = FIELDS.iter().find(|(known, _)| *known == field).map(|(_, rate)| *rate);
    let rate = rate.ok_or_else(|| wrong_field(name, "is no price", "a price such as input_per_mtok"))?;
    let expected = "dollars per million tokens, such as 2.50, in whole pico-dollars per token";
    let amount = per_token_of_million(text).ok_or_else(|| refused(name, text, expected))?;
    price.rates_mut(mode, above).set(rate, amount);
    Ok(())
}

fn refused(name: &str, text: &str, expected: &str) -> WrongField {
    wrong_field(name, &format!("`{text}` cannot be taken"), expected)
}

fn wrong_field(name: &str, what: &str, expected: &str) -> WrongField {
    WrongField { name: name.to_owned(), what: what.to_owned(), expected: expected.to_owned() }
}

/// Prices that other gateways know, in units that no usage counts.
const OTHER_UNITS: [&str; 6] = [
    "per_image",
    "input_per_image",
    "per_second_input",
    "per_second_output",
    "per_character_input",
    "per_page",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_is_read_to_the_pico_dollar() {
        let fields = [
            ("currency", "usd"),
            ("input_per_mtok", "2.50"),
            ("output_per_mtok", "10"),
            ("batch_cached_input_per_mtok", "0.003625"),
            ("priority_reasoning_output_per_mtok", "20"),
            ("per_request", "0.005"),
            ("per_web_search", "0.01"),
        ];
        let tiers = [(200_000, vec![("input_per_mtok", "5")])];
        let made = Override::of_fields("m", "settings", fields, tiers).expect("prices");
        let rate = |mode, tokens, rate| made.price.rates(mode, tokens).and_then(|rates| rates.get(rate));
        assert_eq!(rate(Mode::Standard, 1, Rate::Input), Some(2_500_000));
        assert_eq!(rate(Mode::Standard, 200_001, Rate::Input), Some(5_000_000));
        assert_eq!(rate(Mode::Batch, 1, Rate::CacheRead), Some(3_625));
        assert_eq!(rate(Mode::Priority, 1, Rate::Reasoning), Some(20_000_000));
        assert_eq!(rate(Mode::Standard, 1, Rate::CacheRead), None);
        assert_eq!(made.price.request, Some(5_000_000_000));
        assert_eq!(made.price.calls[ServerTool::WebSearch as usize], Some(10_000_000_000));
    }

    #[test]
    fn every_wrong_field_is_named() {
        let fields = [
            ("input_per_mtok", "0.0000001"),
            ("output_per_mtok", "-1"),
            ("inputs_per_mtok", "1"),
            ("per_image", "0.1"),
            ("currency", "EUR"),
        ];
        let wrong = Override::of_fields("m", "settings", fields, []).expect_err("all are wrong");
        assert_eq!(wrong.iter().map(|field| &*field.name).collect::<Vec<_>>(), fields.map(|(name, _)| name));
        assert!(Override::of_fields("m", "settings", [("currency", "USD")], []).is_err(), "no price at all");
    }

    #[test]
    fn a_selector_is_for_a_model_of_all_instances_or_of_one() {
        let of = |selector: &str| Override { selector: selector.to_owned(), price: Price::default() };
        assert!(of("m").is_for("east", "m") && of("east/m").is_for("east", "m"));
        assert!(!of("west/m").is_for("east", "m") && !of("m").is_for("east", "m2"));
        assert!(of("a/b").is_for("east", "a/b") && of("east/a/b").is_for("east", "a/b"));
    }
}
