//! What an answer's head says of usage and cost: our own names, and those that clients of another gateway look for. What is
//! unknown has no header; an unknown cost has one that says so.

use std::borrow::Cow;

use super::cost::{Cost, Unpriced};
use super::usage::{KnownBy, Usage};
use crate::base::Pico;
use crate::base::decimal;

/// Whose names the headers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dress {
    Own,
    /// Our own, and LiteLLM's beside them.
    AlsoLiteLlm,
}

/// Appends the headers, each as a line with its end. Only for answers whose head leaves when all is known. Costs are dollars
/// as decimal text, exact to the last digit.
pub fn write(usage: &Usage, cost: &Result<Cost, Unpriced>, dress: Dress, out: &mut Vec<u8>) {
    out.reserve(BYTES_USUAL);
    count(b"x-ringway-usage-input-tokens: ", usage.input, out);
    count(b"x-ringway-usage-output-tokens: ", usage.output, out);
    count(b"x-ringway-usage-cache-read-tokens: ", usage.cache_read, out);
    count(b"x-ringway-usage-cache-write-tokens: ", usage.cache_write, out);
    count(b"x-ringway-usage-reasoning-tokens: ", usage.reasoning, out);
    line(b"x-ringway-usage-source: ", source_of(usage).as_bytes(), out);
    match cost {
        Ok(cost) => {
            amount(b"x-ringway-cost: ", cost.total, out);
            line(b"x-ringway-cost-source: ", one_line(cost.source.name()).as_bytes(), out);
            if dress == Dress::AlsoLiteLlm {
                write_litellm(cost, out);
            }
        }
        Err(why) => {
            line(b"x-ringway-cost: ", b"unknown", out);
            line(b"x-ringway-cost-reason: ", why.sentence().as_bytes(), out);
        }
    }
}

fn source_of(usage: &Usage) -> &'static str {
    match usage.known_by() {
        KnownBy::Measured => "measured",
        KnownBy::Estimated => "estimated",
        KnownBy::Unknown => "unknown",
    }
}

fn write_litellm(cost: &Cost, out: &mut Vec<u8>) {
    amount(b"x-litellm-response-cost: ", cost.total, out);
    // No discount and no margin is ever applied.
    amount(b"x-litellm-response-cost-original: ", cost.total, out);
    let Some(parts) = &cost.parts else { return };
    amount(b"x-litellm-response-cost-input: ", parts.input, out);
    amount(b"x-litellm-response-cost-output: ", parts.output, out);
    amount(b"x-litellm-response-cost-cache-read: ", parts.cache_read, out);
    amount(b"x-litellm-response-cost-cache-creation: ", parts.cache_write, out);
    amount(b"x-litellm-response-cost-reasoning: ", parts.reasoning, out);
    amount(b"x-litellm-response-cost-tool-usage: ", parts.tools, out);
}

/// Whether a header is one of these: those of a provider that is a gateway itself speak of another bill.
pub fn is_one(name: &[u8]) -> bool {
    let starts = ["x-ringway-usage-", "x-ringway-cost", "x-litellm-response-cost"];
    starts
        .iter()
        .any(|start| name.get(..start.len()).is_some_and(|name| name.eq_ignore_ascii_case(start.as_bytes())))
}

/// A header by what stands in front of its value. Lengths that are known when this is compiled make copies short.
#[inline]
fn line<const N: usize>(start: &[u8; N], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(start);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn count<const N: usize>(start: &[u8; N], count: Option<u64>, out: &mut Vec<u8>) {
    let Some(count) = count else { return };
    out.extend_from_slice(start);
    decimal::append(count, out);
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn amount<const N: usize>(start: &[u8; N], amount: Pico, out: &mut Vec<u8>) {
    out.extend_from_slice(start);
    amount.append_to(out);
    out.extend_from_slice(b"\r\n");
}

/// Room for our own headers with numbers of a usual size.
const BYTES_USUAL: usize = 320;

/// A source may be an operator's text: nothing in it may end the header.
fn one_line(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    match text.bytes().all(is_plain) {
        true => text.into(),
        false => text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::money::Pico;
    use crate::ledger::cost::{CostSource, Parts};

    fn written(usage: &Usage, cost: &Result<Cost, Unpriced>, dress: Dress) -> String {
        let mut out = Vec::new();
        write(usage, cost, dress, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_known_cost_is_exact_and_comes_in_both_dresses() {
        let usage = Usage { input: Some(10), output: Some(3), cache_read: Some(4), ..Usage::default() };
        let parts = Parts { input: Pico(1), output: Pico(1_500_000), ..Parts::default() };
        let source = CostSource::Prices("a list\r\nx-evil: 1".into());
        let cost = Ok(Cost { total: Pico(1_500_001), parts: Some(parts), source, remark: None });
        let own = written(&usage, &cost, Dress::Own);
        assert_eq!(
            own,
            "x-ringway-usage-input-tokens: 10\r\nx-ringway-usage-output-tokens: 3\r\n\
             x-ringway-usage-cache-read-tokens: 4\r\nx-ringway-usage-source: measured\r\n\
             x-ringway-cost: 0.000001500001\r\nx-ringway-cost-source: a list??x-evil: 1\r\n"
        );
        let both = written(&usage, &cost, Dress::AlsoLiteLlm);
        assert!(both.starts_with(&own));
        assert!(both.contains("x-litellm-response-cost: 0.000001500001\r\n"), "{both}");
        assert!(both.contains("x-litellm-response-cost-output: 0.0000015\r\n"), "{both}");
    }

    #[test]
    fn the_unknown_is_said_to_be_unknown_and_never_0() {
        let unknown = written(&Usage::default(), &Err(Unpriced::Model), Dress::AlsoLiteLlm);
        assert_eq!(
            unknown,
            "x-ringway-usage-source: unknown\r\nx-ringway-cost: unknown\r\n\
             x-ringway-cost-reason: no price is known for this model\r\n"
        );
        let guessed = Usage { input: Some(1), is_estimated: true, ..Usage::default() };
        assert!(written(&guessed, &Err(Unpriced::Model), Dress::Own).contains("-source: estimated\r\n"));
    }
}
