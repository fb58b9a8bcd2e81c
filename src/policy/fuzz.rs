//! The body of the fuzz target for what a provider wishes about retries.

use super::retry;

/// Any wish is a bounded number of milliseconds or none, and seconds are a thousand of them.
pub fn retry_after(input: &[u8]) {
    let ms = retry::wished_ms(Some(input), None, NOW_MS);
    let seconds = retry::wished_ms(None, Some(input), NOW_MS);
    assert!(ms.into_iter().chain(seconds).all(|ms| ms <= 1_000_000_000_000_000));
    if let (Some(ms), Some(seconds)) = (ms, seconds) {
        assert!(seconds >= ms, "{seconds} of {ms}");
    }
    assert_eq!(retry::wished_ms(Some(input), Some(input), NOW_MS), ms.or(seconds));
}

/// Some moment of 2025.
const NOW_MS: u64 = 1_750_000_000_000;
