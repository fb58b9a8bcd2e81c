//! What a client is told of its limits, in the headers that OpenAI's API has for it.

use std::sync::Arc;

use super::account::Account;
use crate::base::decimal::{self, Digits};
use crate::identity::Measure;

/// The tightest limits of one caller. What is soft is not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub requests: Option<Rate>,
    pub tokens: Option<Rate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub limit: u128,
    pub remaining: u128,
    /// Milliseconds until all of it is there again.
    pub reset_ms: u64,
}

impl Rates {
    pub(super) fn of(accounts: &[Arc<Account>], now_ms: u64) -> Rates {
        let mut rates = Rates::default();
        for account in accounts.iter().filter(|account| account.is_hard()) {
            let place = match account.allowance.measure {
                Measure::Requests(_) => &mut rates.requests,
                Measure::Tokens(_) => &mut rates.tokens,
                Measure::Cost(_) | Measure::Concurrent => continue,
            };
            let rate = Rate::of(account, now_ms);
            let is_tighter = |held: &Rate| {
                (rate.remaining, u64::MAX - rate.reset_ms) < (held.remaining, u64::MAX - held.reset_ms)
            };
            if place.as_ref().is_none_or(is_tighter) {
                *place = Some(rate);
            }
        }
        rates
    }

    pub fn are_told(&self) -> bool {
        self.requests.is_some() || self.tokens.is_some()
    }

    /// The header lines, each ended by CRLF: `x-ratelimit-limit-requests: 100` and so on.
    pub fn write_lines(&self, out: &mut Vec<u8>) {
        if let Some(rate) = &self.requests {
            let limit = b"x-ratelimit-limit-requests: ";
            let remaining = b"\r\nx-ratelimit-remaining-requests: ";
            rate.write_lines(limit, remaining, b"\r\nx-ratelimit-reset-requests: ", out);
        }
        if let Some(rate) = &self.tokens {
            let remaining = b"\r\nx-ratelimit-remaining-tokens: ";
            rate.write_lines(
                b"x-ratelimit-limit-tokens: ",
                remaining,
                b"\r\nx-ratelimit-reset-tokens: ",
                out,
            );
        }
    }
}

/// Room for the lines of one limit with numbers of a usual size.
const LINES_BYTES_USUAL: usize = 160;

impl Rate {
    /// Its three lines, by what stands in front of each number. Lengths that are known when this is compiled make copies short.
    #[inline]
    fn write_lines<const L: usize, const R: usize, const S: usize>(
        &self,
        limit: &[u8; L],
        remaining: &[u8; R],
        reset: &[u8; S],
        out: &mut Vec<u8>,
    ) {
        out.reserve(LINES_BYTES_USUAL);
        out.extend_from_slice(limit);
        write_count(self.limit, out);
        out.extend_from_slice(remaining);
        write_count(self.remaining, out);
        out.extend_from_slice(reset);
        write_duration(self.reset_ms, out);
    }

    fn of(account: &Account, now_ms: u64) -> Rate {
        let (taken, window) = account.taken(now_ms);
        let limit = account.allowance.max;
        Rate {
            limit,
            remaining: limit.saturating_sub(taken),
            reset_ms: window.map_or(0, |window| window.rest_ms(now_ms)),
        }
    }
}

fn write_count(count: u128, out: &mut Vec<u8>) {
    match u64::try_from(count) {
        Ok(count) => decimal::append(count, out),
        Err(_) => out.extend_from_slice(count.to_string().as_bytes()),
    }
}

/// A duration as OpenAI's headers have it, and the line's end: `20ms`, `1s`, `8.64s`, `6m0s`, `1h2m3s`.
fn write_duration(ms: u64, out: &mut Vec<u8>) {
    if ms < 1000 {
        decimal::append(ms, out);
        return out.extend_from_slice(b"ms\r\n");
    }
    let digits = Digits::of(ms);
    let Some((seconds, thousandths)) = digits.text().split_last_chunk::<3>() else { return };
    if ms < 60_000 {
        out.extend_from_slice(seconds);
    } else {
        let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
        if hours > 0 {
            decimal::append(hours, out);
            out.push(b'h');
        }
        decimal::append(minutes, out);
        out.push(b'm');
        decimal::append(ms / 1000 % 60, out);
    }
    if thousandths != b"000" {
        out.push(b'.');
        out.extend_from_slice(thousandths);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.extend_from_slice(b"s\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spelled_as_clients_know_them() {
        for (ms, want) in [
            (0, "0ms"),
            (20, "20ms"),
            (1_000, "1s"),
            (8_640, "8.64s"),
            (8_600, "8.6s"),
            (8_006, "8.006s"),
            (8_060, "8.06s"),
            (59_999, "59.999s"),
            (360_000, "6m0s"),
            (3_723_000, "1h2m3s"),
            (90_000_000, "25h0m0s"),
        ] {
            let mut out = Vec::new();
            write_duration(ms, &mut out);
            assert_eq!(String::from_utf8(out).as_deref(), Ok(&*format!("{want}\r\n")));
        }
    }

    #[test]
    fn lines_are_told_for_what_is_limited() {
        let requests = Some(Rate { limit: 100, remaining: 3, reset_ms: 1_500 });
        let mut out = Vec::new();
        let tokens = Some(Rate { limit: 1_000_000, remaining: 999_990, reset_ms: 0 });
        Rates { requests, tokens }.write_lines(&mut out);
        let want = "x-ratelimit-limit-requests: 100\r\nx-ratelimit-remaining-requests: 3\r\n\
                    x-ratelimit-reset-requests: 1.5s\r\nx-ratelimit-limit-tokens: 1000000\r\n\
                    x-ratelimit-remaining-tokens: 999990\r\nx-ratelimit-reset-tokens: 0ms\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
