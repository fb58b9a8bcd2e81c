//! What an exchange costs: counts times prices, in whole pico-dollars. A cost is exact or it is unknown; where something of
//! it has no price, the whole has none, and the reason is told. Nothing here rounds, and nothing is ever left out of a sum.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::price::{Price, Rate, Rates};
use super::usage::{Mode, ServerTool, Usage};
use crate::base::money::Pico;

/// What one exchange costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    pub total: Pico,
    /// What it is made of; `None` where the provider stated a sum.
    pub parts: Option<Parts>,
    pub source: CostSource,
    /// What should be known of it, although it is the best that can be said.
    pub remark: Option<Remark>,
}

/// The parts of a cost; they add up to its total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// What was read fresh, of every kind.
    pub input: Pico,
    pub cache_read: Pico,
    pub cache_write: Pico,
    /// What was generated, of every kind, but for reasoning.
    pub output: Pico,
    pub reasoning: Pico,
    /// Calls of the provider's tools.
    pub tools: Pico,
    /// What a request costs beside its tokens.
    pub request: Pico,
}

/// Who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostSource {
    /// The provider, in the answer.
    Provider,
    /// A price list: where it was read, and when.
    Prices(Arc<str>),
}

impl CostSource {
    /// As records and headers have it.
    pub fn name(&self) -> &str {
        match self {
            CostSource::Provider => "provider",
            CostSource::Prices(source) => source,
        }
    }
}

/// Why a cost is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpriced {
    /// No price list knows the model.
    Model,
    /// Nobody counted it, and it is not sure to be 0.
    Uncounted(&'static str),
    /// The price list has no price for it.
    Rate(Rate),
    /// The price list has no prices for this class of service, or none for requests of this size in it.
    Mode(Mode),
    Tool(ServerTool),
    /// The provider takes more for where or how fast it ran, and no price list says how much.
    Surcharge,
    /// The parts are more than the whole.
    Contradiction,
    /// The sum does not fit.
    TooLarge,
}

impl Unpriced {
    /// The reason, for people.
    pub fn sentence(self) -> Cow<'static, str> {
        match self {
            Unpriced::Model => "no price is known for this model".into(),
            Unpriced::Uncounted(what) => format!("nobody counted {what}").into(),
            Unpriced::Rate(rate) => format!("no price is known for its {} tokens", rate.name()).into(),
            Unpriced::Mode(mode) => {
                let mode = mode.name();
                format!("no price is known for a request of this size in the class of service {mode}").into()
            }
            Unpriced::Tool(tool) => format!("no price is known for its calls of {}", tool.name()).into(),
            Unpriced::Surcharge => "the provider takes a surcharge that no price list holds".into(),
            Unpriced::Contradiction => "the parts of its counts are more than the whole".into(),
            Unpriced::TooLarge => "the sum does not fit".into(),
        }
    }
}

impl fmt::Display for Unpriced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

/// What should be known of a cost that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Some counts are the gateway's estimates.
    Estimated,
    /// Audio costs something else than text, and the provider did not say whether there was any.
    KindsUnstated,
}

impl Remark {
    /// As records have it.
    pub fn sentence(self) -> &'static str {
        match self {
            Remark::Estimated => "some of the tokens are an estimate",
            Remark::KindsUnstated => {
                "audio has another price, and the provider did not say whether there was any"
            }
        }
    }
}

/// What an exchange costs. What the provider stated comes first, where its file says that it bills that. `mode` is the class
/// of service that the exchange had; what the usage says of it comes before. `price` is the one that held at its time.
pub fn cost(usage: &Usage, price: Option<&Price>, mode: Mode) -> Result<Cost, Unpriced> {
    if let Some(total) = usage.stated_cost {
        return Ok(Cost { total, parts: None, source: CostSource::Provider, remark: None });
    }
    if usage.has_surcharge {
        return Err(Unpriced::Surcharge);
    }
    let price = price.ok_or(Unpriced::Model)?;
    let mode = usage.mode.unwrap_or(mode);
    let tokens = Tokens::of(usage)?;
    let rates = price.rates(mode, tokens.input).ok_or(Unpriced::Mode(mode))?;
    let mut parts = Parts::default();
    price_input(&tokens, rates, &mut parts)?;
    price_output(&tokens, rates, &mut parts)?;
    parts.tools = price_tools(usage, price)?;
    parts.request = Pico(i128::from(price.request.unwrap_or(0)));
    let total = parts.sum().ok_or(Unpriced::TooLarge)?;
    let source = CostSource::Prices(price.source.clone());
    Ok(Cost { total, parts: Some(parts), source, remark: remark(usage, rates) })
}

/// What so many tokens cost at most: writing to a cache may cost more than reading afresh, and thoughts more than words.
/// `None` where they have no price.
pub fn at_most(price: &Price, input: u64, output: u64) -> Option<Pico> {
    let rates = price.rates(Mode::Standard, input)?;
    let most = |tokens: u64, kinds: &[Rate]| {
        let dearest = kinds.iter().filter_map(|&rate| rates.get(rate)).max();
        if tokens == 0 { Some(Pico::ZERO) } else { Pico(i128::from(dearest?)).checked_times(tokens) }
    };
    let input = most(input, &[Rate::Input, Rate::CacheWrite, Rate::CacheWrite1h])?;
    let output = most(output, &[Rate::Output, Rate::Reasoning])?;
    input.checked_add(output)?.checked_add(Pico(i128::from(price.request.unwrap_or(0))))
}

impl Parts {
    fn sum(&self) -> Option<Pico> {
        [self.cache_read, self.cache_write, self.output, self.reasoning, self.tools, self.request]
            .into_iter()
            .try_fold(self.input, Pico::checked_add)
    }
}

/// The counts with what is sure about those that nobody stated. A provider that bills a part apart states it, so a part that
/// was not stated is 0; a whole that was not stated is unknown.
struct Tokens {
    input: u64,
    cache_read: u64,
    cache_write: u64,
    /// `None` where what was written was not split by its lifetime.
    cache_write_1h: Option<u64>,
    input_audio: u64,
    /// `None` where it was not said how much of the audio was cached.
    cache_read_audio: Option<u64>,
    input_image: u64,
    output: u64,
    /// `None` where nobody said.
    reasoning: Option<u64>,
    output_audio: u64,
    output_image: u64,
}

impl Tokens {
    fn of(usage: &Usage) -> Result<Tokens, Unpriced> {
        let input = usage.input.ok_or(Unpriced::Uncounted("its input"))?;
        // Embeddings have no output, and their total says so.
        let has_no_output = usage.stated_total == Some(input);
        let output = usage.output.or(has_no_output.then_some(0)).ok_or(Unpriced::Uncounted("its output"))?;
        let (cache_read, cache_write) = (usage.cache_read.unwrap_or(0), usage.cache_write.unwrap_or(0));
        let input_audio = usage.input_audio.unwrap_or(0);
        let is_split = input_audio == 0 || cache_read == 0;
        Ok(Tokens {
            input,
            cache_read,
            cache_write,
            cache_write_1h: usage.cache_write_1h.or((cache_write == 0).then_some(0)),
            input_audio,
            cache_read_audio: if is_split { Some(0) } else { usage.cache_read_audio },
            input_image: usage.input_image.unwrap_or(0),
            output,
            reasoning: usage.reasoning.or((output == 0).then_some(0)),
            output_audio: usage.output_audio.unwrap_or(0),
            output_image: usage.output_image.unwrap_or(0),
        })
    }
}

fn price_input(tokens: &Tokens, rates: &Rates, parts: &mut Parts) -> Result<(), Unpriced> {
    let cached_audio = match tokens.cache_read_audio {
        Some(cached) => cached,
        // The split does not matter where all kinds cost the same.
        None if rates.get(Rate::InputAudio) == rates.get(Rate::Input) => 0,
        None => return Err(Unpriced::Uncounted("how much of its audio was cached")),
    };
    let fresh_audio = less(tokens.input_audio, cached_audio)?;
    let image_rate = rates.get(Rate::InputImage).filter(|&rate| Some(rate) != rates.get(Rate::Input));
    // Images are read at the price of text where the list has no price of their own: providers count them as input.
    let image = image_rate.map_or(0, |_| tokens.input_image);
    if image > 0 && (tokens.cache_read > 0 || tokens.cache_write > 0) {
        return Err(Unpriced::Uncounted("how many of its image tokens were cached"));
    }
    let cached = tokens.cache_read.checked_add(tokens.cache_write).ok_or(Unpriced::Contradiction)?;
    let fresh = less(less(less(tokens.input, cached)?, fresh_audio)?, image)?;
    let cached_text = less(tokens.cache_read, cached_audio)?;
    parts.input = sum([
        times(fresh, Rate::Input, rates)?,
        times(fresh_audio, Rate::InputAudio, rates)?,
        times(image, Rate::InputImage, rates)?,
    ])?;
    parts.cache_read = sum([
        times(cached_text, Rate::CacheRead, rates)?,
        times(cached_audio, Rate::CacheReadAudio, rates)?,
        Pico::ZERO,
    ])?;
    parts.cache_write = price_cache_write(tokens, rates)?;
    Ok(())
}

/// A split by lifetime that nobody stated does not matter where one price is asked for all lifetimes.
fn price_cache_write(tokens: &Tokens, rates: &Rates) -> Result<Pico, Unpriced> {
    let hour_rate = rates.get(Rate::CacheWrite1h);
    let hour = match tokens.cache_write_1h {
        Some(hour) => hour,
        None if hour_rate.is_none() || hour_rate == rates.get(Rate::CacheWrite) => 0,
        None => return Err(Unpriced::Uncounted("for how long its cache was written")),
    };
    let short = less(tokens.cache_write, hour)?;
    sum([times(short, Rate::CacheWrite, rates)?, times(hour, Rate::CacheWrite1h, rates)?, Pico::ZERO])
}

fn price_output(tokens: &Tokens, rates: &Rates, parts: &mut Parts) -> Result<(), Unpriced> {
    let own_rate = rates.get(Rate::Reasoning).filter(|&rate| Some(rate) != rates.get(Rate::Output));
    let reasoning = match (tokens.reasoning, own_rate) {
        (Some(reasoning), _) => reasoning,
        (None, None) => 0,
        (None, Some(_)) => return Err(Unpriced::Uncounted("its reasoning, which has a price of its own")),
    };
    let rest = less(less(less(tokens.output, reasoning)?, tokens.output_audio)?, tokens.output_image)?;
    parts.output = sum([
        times(rest, Rate::Output, rates)?,
        times(tokens.output_audio, Rate::OutputAudio, rates)?,
        times(tokens.output_image, Rate::OutputImage, rates)?,
    ])?;
    // Thoughts are output, and cost the same unless the list says otherwise.
    parts.reasoning =
        times(reasoning, if own_rate.is_some() { Rate::Reasoning } else { Rate::Output }, rates)?;
    Ok(())
}

fn price_tools(usage: &Usage, price: &Price) -> Result<Pico, Unpriced> {
    let mut total = Pico::ZERO;
    for tool in ServerTool::ALL {
        let calls = usage.tools.of(tool);
        if calls > 0 {
            let each = price.calls[tool as usize].ok_or(Unpriced::Tool(tool))?;
            let cost = Pico(i128::from(each)).checked_times(u64::from(calls));
            total = cost.and_then(|cost| cost.checked_add(total)).ok_or(Unpriced::TooLarge)?;
        }
    }
    Ok(total)
}

fn remark(usage: &Usage, rates: &Rates) -> Option<Remark> {
    let audio = rates.get(Rate::InputAudio);
    let may_hide_audio = usage.input_audio.is_none() && audio.is_some() && audio != rates.get(Rate::Input);
    if usage.is_estimated { Some(Remark::Estimated) } else { may_hide_audio.then_some(Remark::KindsUnstated) }
}

/// No tokens cost nothing, whether their price is known or not.
fn times(tokens: u64, rate: Rate, rates: &Rates) -> Result<Pico, Unpriced> {
    if tokens == 0 {
        return Ok(Pico::ZERO);
    }
    let each = rates.get(rate).ok_or(Unpriced::Rate(rate))?;
    Pico(i128::from(each)).checked_times(tokens).ok_or(Unpriced::TooLarge)
}

fn sum(amounts: [Pico; 3]) -> Result<Pico, Unpriced> {
    amounts.into_iter().try_fold(Pico::ZERO, Pico::checked_add).ok_or(Unpriced::TooLarge)
}

fn less(whole: u64, part: u64) -> Result<u64, Unpriced> {
    whole.checked_sub(part).ok_or(Unpriced::Contradiction)
}

#[cfg(test)]
mod tests;
