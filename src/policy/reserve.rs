//! What to reserve for a request before anything is known of its answer: tokens at most by its size and by `max_tokens`,
//! or by what the model's answers were like so far.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::base::limits::{ANSWERS_COUNT_MAX, ANSWERS_COUNT_MIN, MODELS_LABELLED_MAX, OUTPUT_TOKENS_DEFAULT};

/// What a request says of its own size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub body_bytes: u64,
    /// `max_tokens` and its other names.
    pub output_tokens_max: Option<u64>,
    /// `n`: answers that are asked for. 0 counts as 1.
    pub choices: u64,
}

/// Tokens to reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
}

/// What the answers of one shard's models were like. Each model takes 2 KiB.
#[derive(Debug, Default)]
pub struct Observed {
    models: HashMap<Box<str>, Model, RandomState>,
}

#[derive(Debug, Default)]
struct Model {
    /// Input tokens in 1,024 bytes of body.
    density: Distribution,
    output: Distribution,
}

impl Observed {
    /// What to reserve. The output is an upper bound where the request has one, and so is the input of a text: no
    /// tokenizer makes more tokens than bytes. An output without a bound is what 99 of 100 answers of the model stayed
    /// within, and so is the input where `Usual` is asked for, once enough is known. What a body only points at, such as
    /// an image by its URL or an earlier response, is not in its bytes: who knows of it adds it.
    pub fn reserve(&self, model: &str, size: Size, strictness: Strictness) -> Tokens {
        let known = || self.models.get(model);
        let density = || known().and_then(|model| model.density.usual());
        let usual = if strictness == Strictness::Usual { density() } else { None };
        let by_density = usual.map(|density| size.body_bytes.saturating_mul(density).div_ceil(1024));
        let input = by_density.map_or(size.body_bytes, |tokens| tokens.min(size.body_bytes));
        let of_model = || known().and_then(|model| model.output.usual());
        let output = size.output_tokens_max.or_else(of_model).unwrap_or(OUTPUT_TOKENS_DEFAULT);
        Tokens { input, output: output.saturating_mul(size.choices.max(1)) }
    }

    /// An answer has stated its usage. Models beyond the first 256 are not learned.
    pub fn observe(&mut self, model: &str, size: Size, used: Tokens) {
        let is_full = self.models.len() >= MODELS_LABELLED_MAX;
        let model = match self.models.get_mut(model) {
            Some(known) => known,
            None if is_full => return,
            None => self.models.entry(model.into()).or_default(),
        };
        model.density.add(used.input.saturating_mul(1024).div_ceil(size.body_bytes.max(1)));
        model.output.add(used.output.div_ceil(size.choices.max(1)));
    }
}

/// Which reservations are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Never less than what the request can take, where it bounds its output: nothing is ever overspent then.
    Bound,
    /// What requests of the kind usually take: one in a hundred may take more.
    Usual,
}

/// How numbers were spread, the newer ones counting more: a histogram with eight steps to each doubling.
///
/// Its bound: a quantile is at least the true one of the numbers that it holds, and less than an eighth more.
#[derive(Clone, Debug)]
pub struct Distribution {
    counts: Box<[u32; STEPS]>,
    total: u32,
    /// The step up to which so many of a hundred lie, and how many lie up to it: followed with each number, because it is
    /// asked for with each request.
    at: usize,
    within: u32,
}

impl Default for Distribution {
    fn default() -> Self {
        Distribution { counts: Box::new([0; STEPS]), total: 0, at: 0, within: 0 }
    }
}

impl Distribution {
    pub fn add(&mut self, number: u64) {
        let step = step(number);
        self.counts[step] += 1;
        self.total += 1;
        self.within += u32::from(step <= self.at);
        if self.total >= ANSWERS_COUNT_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
            self.within = self.counts[..=self.at].iter().sum();
        }
        self.follow();
    }

    /// Moves on to the first step up to which there are enough.
    fn follow(&mut self) {
        let wanted = (u64::from(self.total) * PER_HUNDRED).div_ceil(100);
        while u64::from(self.within) < wanted {
            self.at += 1;
            self.within += self.counts[self.at];
        }
        while self.at > 0 && u64::from(self.within - self.counts[self.at]) >= wanted {
            self.within -= self.counts[self.at];
            self.at -= 1;
        }
    }

    /// The number that 99 of a hundred stay within. `None` while too few are known.
    pub fn usual(&self) -> Option<u64> {
        (self.total >= ANSWERS_COUNT_MIN).then(|| most_of(self.at))
    }
}

/// The step of a number. Numbers below eight have steps of their own.
fn step(number: u64) -> usize {
    if number < 8 {
        return number as usize;
    }
    let doubling = number.ilog2();
    let eighth = (number >> (doubling - 3)) as usize & 7;
    ((doubling as usize - 2) * 8 + eighth).min(STEPS - 1)
}

/// The greatest number of a step.
fn most_of(step: usize) -> u64 {
    if step < 8 {
        return step as u64;
    }
    let (doubling, eighth) = (step / 8 + 2, (step % 8) as u64);
    ((9 + eighth) << (doubling - 3)) - 1
}

/// 32 doublings: up to 17 thousand million.
const STEPS: usize = 8 * 32;
const PER_HUNDRED: u64 = 99;

#[cfg(test)]
mod tests;
