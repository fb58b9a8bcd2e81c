//! What a model costs: a table of rates for each class of service and each size of request, in whole pico-dollars.

use std::sync::Arc;

use crate::base::money::Pico;
use crate::ledger::usage::{Mode, ServerTool};

/// A kind of token that may have a price of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    Input,
    Output,
    CacheRead,
    /// Written to the cache for five minutes, or for whatever time where one price is asked for all.
    CacheWrite,
    CacheWrite1h,
    /// Thoughts, where they cost something else than the rest of the output.
    Reasoning,
    InputAudio,
    OutputAudio,
    CacheReadAudio,
    InputImage,
    OutputImage,
}

impl Rate {
    pub const COUNT: usize = 11;
    pub const ALL: [Rate; Rate::COUNT] = [
        Rate::Input,
        Rate::Output,
        Rate::CacheRead,
        Rate::CacheWrite,
        Rate::CacheWrite1h,
        Rate::Reasoning,
        Rate::InputAudio,
        Rate::OutputAudio,
        Rate::CacheReadAudio,
        Rate::InputImage,
        Rate::OutputImage,
    ];

    /// Its name in the catalogue's format.
    pub fn name(self) -> &'static str {
        [
            "input",
            "output",
            "cache_read",
            "cache_write",
            "cache_write_1h",
            "reasoning",
            "input_audio",
            "output_audio",
            "cache_read_audio",
            "input_image",
            "output_image",
        ][self as usize]
    }

    pub(super) fn of_name(name: &[u8]) -> Option<Rate> {
        Rate::ALL.into_iter().find(|rate| rate.name().as_bytes() == name)
    }
}

/// Pico-dollars per token, by [`Rate`]. `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates(pub [Option<u64>; Rate::COUNT]);

impl Rates {
    pub fn get(&self, rate: Rate) -> Option<u64> {
        self.0[rate as usize]
    }

    pub fn set(&mut self, rate: Rate, pico_per_token: u64) {
        self.0[rate as usize] = Some(pico_per_token);
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// The rates of one class of service for requests whose whole input is above so many tokens. They hold for all tokens of
/// such a request, and not only for those above, as the providers have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    pub mode: Mode,
    /// In tokens; 0 for the table that begins with the first.
    pub above: u64,
    pub rates: Rates,
}

/// The price of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    pub tables: Vec<Table>,
    /// Pico-dollars per call of a tool of the provider's, by [`ServerTool`].
    pub calls: [Option<u64>; ServerTool::COUNT],
    /// Pico-dollars per request beside its tokens. `None` is nothing: few providers take any.
    pub request: Option<u64>,
    /// The name under which it is listed.
    pub model: String,
    /// Where it was read, and when.
    pub source: Arc<str>,
}

impl Price {
    /// The rates for a request of this size. `None` where the class of service has no table for sizes like it, although some
    /// class has one: the price of smaller requests would be too low.
    pub fn rates(&self, mode: Mode, input: u64) -> Option<&Rates> {
        let above =
            self.tables.iter().map(|table| table.above).filter(|&above| above < input.max(1)).max()?;
        let is_it = |table: &&Table| table.mode == mode && table.above == above;
        self.tables.iter().find(is_it).map(|table| &table.rates)
    }

    /// The table's rates, made where there are none.
    pub fn rates_mut(&mut self, mode: Mode, above: u64) -> &mut Rates {
        let is_it = |table: &Table| table.mode == mode && table.above == above;
        let at = self.tables.iter().position(is_it).unwrap_or_else(|| {
            self.tables.push(Table { mode, above, rates: Rates::default() });
            self.tables.len() - 1
        });
        &mut self.tables[at].rates
    }

    /// Whether nothing in it costs anything. Public lists write 0 where they do not know.
    pub fn is_free(&self) -> bool {
        let rates = self.tables.iter().flat_map(|table| table.rates.0).flatten();
        rates.chain(self.request).all(|rate| rate == 0)
    }

    /// Tables in the order of the format.
    pub(super) fn sort(&mut self) {
        self.tables.retain(|table| !table.rates.is_empty());
        self.tables.sort_by_key(|table| (table.above, table.mode as u8));
    }
}

/// Pico-dollars per token of a decimal text of dollars per million tokens. `None` for what is no such number, or negative,
/// or no whole number of pico-dollars per token.
pub fn per_token_of_million(text: &str) -> Option<u64> {
    const TOKENS: i128 = 1_000_000;
    let Pico(million) = Pico::from_dollars(text)?;
    (million % TOKENS == 0).then(|| u64::try_from(million / TOKENS).ok()).flatten()
}

/// Pico-dollars of a decimal text of dollars for one thing. `None` as above.
pub(super) fn pico_each(text: &str) -> Option<u64> {
    u64::try_from(Pico::from_dollars(text)?.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_per_million_become_pico_dollars_per_token_or_nothing() {
        let cases = [
            ("1.25", Some(1_250_000)),
            ("0.003625", Some(3_625)),
            ("15", Some(15_000_000)),
            ("0", Some(0)),
            ("0.0000015", None),
            ("-1", None),
            ("free", None),
        ];
        for (text, want) in cases {
            assert_eq!(per_token_of_million(text), want, "{text}");
        }
    }

    #[test]
    fn a_large_request_has_its_own_table_and_never_a_smaller_ones() {
        let mut price = Price::default();
        price.rates_mut(Mode::Standard, 0).set(Rate::Input, 1);
        price.rates_mut(Mode::Standard, 200).set(Rate::Input, 2);
        price.rates_mut(Mode::Batch, 0).set(Rate::Input, 3);
        let input = |mode, tokens| price.rates(mode, tokens).and_then(|rates| rates.get(Rate::Input));
        assert_eq!([0, 1, 200, 201].map(|tokens| input(Mode::Standard, tokens)), [1, 1, 1, 2].map(Some));
        assert_eq!([200, 201].map(|tokens| input(Mode::Batch, tokens)), [Some(3), None]);
        assert_eq!(input(Mode::Flex, 1), None);
    }
}
