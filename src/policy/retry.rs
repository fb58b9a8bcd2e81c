//! Whether and when to ask a provider again: a count, a pause that grows, the provider's own wish, and a budget that
//! keeps retries a small part of the traffic however bad the provider is.

use std::cell::Cell;

/// The tokens that pay for retries, of one provider on one shard. Every first attempt adds `ratio` of one, time adds
/// `per_second`; a retry takes one.
pub struct RetryBudget {
    /// In thousandths of a retry.
    tokens_milli: Cell<u64>,
    refilled_ms: Cell<u64>,
}

impl RetryBudget {
    /// A budget that starts with one second's worth.
    pub fn new(per_second: u32) -> RetryBudget {
        RetryBudget { tokens_milli: Cell::new(u64::from(per_second) * 1000), refilled_ms: Cell::new(0) }
    }

    /// A first attempt was made: it earns `ratio_milli` thousandths of a retry.
    pub fn earn(&self, ratio_milli: u32) {
        let most = TOKENS_MILLI_MAX;
        self.tokens_milli.set((self.tokens_milli.get() + u64::from(ratio_milli)).min(most));
    }

    /// Takes one retry out of the budget; false when it is used up.
    pub fn spend(&self, now_ms: u64, per_second: u32) -> bool {
        let passed_ms = now_ms.saturating_sub(self.refilled_ms.replace(now_ms)).min(1000);
        let refill = passed_ms * u64::from(per_second);
        let tokens = (self.tokens_milli.get() + refill).min(TOKENS_MILLI_MAX);
        let can = tokens >= 1000;
        self.tokens_milli.set(if can { tokens - 1000 } else { tokens });
        can
    }
}

/// How long to pause before attempt `attempt` (1 is the first retry): exponential, at most `max_ms`, spread by
/// `jitter_milli` thousandths around it with the given random number.
pub fn backoff_ms(
    attempt: u32,
    initial_ms: u64,
    max_ms: u64,
    factor_milli: u32,
    jitter_milli: u32,
    random: u64,
) -> u64 {
    let mut pause_ms = initial_ms;
    for _ in 1..attempt {
        pause_ms = (pause_ms.saturating_mul(u64::from(factor_milli)) / 1000).min(max_ms);
    }
    let pause_ms = pause_ms.min(max_ms);
    let spread = pause_ms.saturating_mul(u64::from(jitter_milli)) / 1000;
    (pause_ms - spread.min(pause_ms)).saturating_add(random % (2 * spread + 1))
}

/// The wait that a provider asks for, in milliseconds: `retry-after-ms` first, then `retry-after` in seconds (a whole
/// or decimal number) or as a date (RFC 9110 §10.2.3), which is held against the wall clock. Anything else is no wish.
pub fn wished_ms(retry_after_ms: Option<&[u8]>, retry_after: Option<&[u8]>, wall_ms: u64) -> Option<u64> {
    let text = |bytes: &'_ [u8]| std::str::from_utf8(bytes).ok().map(|text| text.trim().to_owned());
    let number = |bytes: &[u8]| text(bytes)?.parse::<f64>().ok();
    let seconds = || retry_after.and_then(number).map(|seconds| seconds * 1000.0);
    if let Some(wished) = retry_after_ms.and_then(number).or_else(seconds) {
        return (wished.is_finite() && wished >= 0.0).then_some(wished.min(1e15) as u64);
    }
    let date = httpdate::parse_http_date(&text(retry_after?)?).ok()?;
    let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(u64::try_from(since_epoch.as_millis()).ok()?.saturating_sub(wall_ms))
}

/// Retries that can be saved up.
const TOKENS_MILLI_MAX: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_always_fails_gets_a_fifth_more_traffic_and_ten_a_second() {
        let budget = RetryBudget::new(10);
        let mut retries = 0;
        for request in 0..10_000_u64 {
            budget.earn(200);
            retries += u64::from(budget.spend(request / 10, 10));
        }
        // One second passes: 10 saved + 10 earned by time + 2,000 earned by requests.
        assert!((2_000..=2_020).contains(&retries), "{retries}");
    }

    #[test]
    fn pauses_grow_to_their_bound_and_stay_inside_the_jitter() {
        for random in [0, 1, u64::MAX / 3, u64::MAX] {
            assert_eq!(backoff_ms(1, 500, 8_000, 2_000, 0, random), 500);
            assert_eq!(backoff_ms(3, 500, 8_000, 2_000, 0, random), 2_000);
            assert_eq!(backoff_ms(60, 500, 8_000, 2_000, 0, random), 8_000);
            assert!((450..=550).contains(&backoff_ms(1, 500, 8_000, 2_000, 100, random)));
        }
    }

    #[test]
    fn a_providers_wish_is_read_in_milliseconds_first() {
        let cases: [(Option<&str>, Option<&str>, Option<u64>); 9] = [
            (None, Some("2"), Some(2_000)),
            (None, Some("0.25"), Some(250)),
            (Some("40"), Some("2"), Some(40)),
            (Some("x"), Some("2"), Some(2_000)),
            (None, Some("Thu, 01 Jan 1970 00:00:09 GMT"), Some(2_000)),
            (None, Some("Thu, 01 Jan 1970 00:00:01 GMT"), Some(0)),
            (None, Some("tomorrow"), None),
            (None, Some("-1"), None),
            (None, None, None),
        ];
        for (ms, seconds, want) in cases {
            assert_eq!(
                wished_ms(ms.map(str::as_bytes), seconds.map(str::as_bytes), 7_000),
                want,
                "{ms:?} {seconds:?}"
            );
        }
    }
}
