//! Money: whole pico-dollars (10⁻¹² US dollars). Every public token price is a whole number of them; nothing here is ever
//! a floating-point number, and nothing wraps.

use std::fmt;

use super::decimal::{self, Digits};

/// An amount of pico-dollars. May be negative, as a correction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pico(pub i128);

/// Pico-dollars in a dollar.
pub const PICO_PER_DOLLAR: i128 = 1_000_000_000_000;

impl Pico {
    pub const ZERO: Pico = Pico(0);

    pub fn checked_add(self, other: Pico) -> Option<Pico> {
        self.0.checked_add(other.0).map(Pico)
    }

    pub fn checked_sub(self, other: Pico) -> Option<Pico> {
        self.0.checked_sub(other.0).map(Pico)
    }

    /// The price of that many units, each at this price.
    pub fn checked_times(self, units: u64) -> Option<Pico> {
        self.0.checked_mul(i128::from(units)).map(Pico)
    }

    /// Appends the dollars as decimal text, exact to the last digit: `0.15`, `-12`.
    pub fn append_to(self, out: &mut Vec<u8>) {
        let per_dollar = PICO_PER_DOLLAR.unsigned_abs();
        let amount = self.0.unsigned_abs();
        if self.0 < 0 {
            out.push(b'-');
        }
        let (whole, rest) = match u64::try_from(amount) {
            Ok(amount) => (u128::from(amount / per_dollar as u64), amount % per_dollar as u64),
            Err(_) => (amount / per_dollar, (amount % per_dollar) as u64),
        };
        match u64::try_from(whole) {
            Ok(whole) => decimal::append(whole, out),
            Err(_) => out.extend_from_slice(whole.to_string().as_bytes()),
        }
        if rest == 0 {
            return;
        }
        // The digit in front keeps the zeros behind the point.
        let digits = Digits::of(rest + per_dollar as u64);
        let fraction = &digits.text()[1..];
        let end = fraction.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        out.push(b'.');
        out.extend_from_slice(&fraction[..end]);
    }

    /// Reads dollars as decimal text: `12`, `0.15`, `2.5e-6`, `1E3`, with a sign in front or not. `None` for anything
    /// else, and for what is no whole number of pico-dollars: an amount is exact or it is not taken.
    pub fn from_dollars(text: &str) -> Option<Pico> {
        let (amount, is_exact) = read(text)?;
        is_exact.then_some(amount)
    }

    /// The same for an amount that somebody else worked out and may have spelled with more digits than money has: what is
    /// less than a pico-dollar is rounded to the nearest one, a half away from zero.
    pub fn nearest_to_dollars(text: &str) -> Option<Pico> {
        read(text).map(|(amount, _)| amount)
    }
}

/// The nearest amount to a decimal text of dollars, and whether it is exactly that.
fn read(text: &str) -> Option<(Pico, bool)> {
    let (is_negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], unsigned[at + 1..].parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number =
        digits().try_fold(0_i128, |sum, digit| sum.checked_mul(10)?.checked_add(i128::from(digit - b'0')))?;
    // The number counts units of 10^-fraction dollars; a pico-dollar is 10^-12.
    let shift = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?.checked_add(12)?;
    let (pico, is_exact) = shifted(number, shift)?;
    Some((Pico(if is_negative { -pico } else { pico }), is_exact))
}

/// The whole number nearest to a number times ten to that power, and whether it is exactly that; `None` when it does not
/// fit.
fn shifted(number: i128, power: i32) -> Option<(i128, bool)> {
    let factor = 10_i128.checked_pow(power.unsigned_abs());
    if number == 0 {
        return Some((0, true));
    }
    if power >= 0 {
        return Some((number.checked_mul(factor?)?, true));
    }
    // Ten to a power that does not fit is more than twice any number that does.
    let Some(factor) = factor else { return Some((0, false)) };
    let rest = number % factor;
    Some((number / factor + i128::from(rest >= factor - rest), rest == 0))
}

/// Dollars as decimal text without an exponent and without zeros behind the last digit that counts: `0.00000015`.
impl fmt::Display for Pico {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(TEXT_BYTES_USUAL);
        self.append_to(&mut text);
        // Digits, a point and a sign are text.
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// Room for amounts of a usual size.
const TEXT_BYTES_USUAL: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_to_the_last_pico_dollar_and_printed_as_such() {
        let check = |text: &str, pico: i128, printed: &str| {
            let read = Pico::from_dollars(text);
            assert_eq!(read, Some(Pico(pico)), "{text}");
            assert_eq!(read.unwrap().to_string(), printed, "{text}");
        };
        check("0", 0, "0");
        check("-0.0", 0, "0");
        check("1", PICO_PER_DOLLAR, "1");
        check("+12.50", 12_500_000_000_000, "12.5");
        check("2.5e-6", 2_500_000, "0.0000025");
        check("1.5E-07", 150_000, "0.00000015");
        check(".5", 500_000_000_000, "0.5");
        check("5.", 5_000_000_000_000, "5");
        check("-0.000000000001", -1, "-0.000000000001");
        check("1e3", 1000 * PICO_PER_DOLLAR, "1000");
        check("0e99", 0, "0");
    }

    #[test]
    fn what_is_no_exact_amount_is_not_taken() {
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1,5",
            "0x1",
            "NaN",
            "inf",
            "1 ",
            "1e-13",
            "0.0000000000001",
            "1e99",
            "--1",
        ] {
            assert_eq!(Pico::from_dollars(text), None, "{text}");
        }
    }

    #[test]
    fn an_amount_with_more_digits_than_money_has_is_rounded_to_the_nearest() {
        let check = |text: &str, pico: i128| {
            assert_eq!(Pico::nearest_to_dollars(text), Some(Pico(pico)), "{text}");
        };
        check("0.000033600000000000004", 33_600_000);
        check("0.00003359999999999999999", 33_600_000);
        check("4.9e-13", 0);
        check("5e-13", 1);
        check("-0.0000000000015", -2);
        check("1e-99", 0);
        check("0.25", 250_000_000_000);
        assert_eq!(Pico::nearest_to_dollars("1e99"), None);
        assert_eq!(Pico::nearest_to_dollars("a"), None);
    }

    #[test]
    fn sums_and_products_that_do_not_fit_are_none() {
        assert_eq!(Pico(i128::MAX).checked_add(Pico(1)), None);
        assert_eq!(Pico(i128::MIN).checked_sub(Pico(1)), None);
        assert_eq!(Pico(i128::MAX).checked_times(2), None);
        assert_eq!(Pico(3).checked_times(5), Some(Pico(15)));
    }
}
