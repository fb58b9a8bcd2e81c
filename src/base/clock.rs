//! The only place that reads a clock. Durations use the monotonic clock; the wall clock is for records and headers.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Microseconds since the first call in this process, by the monotonic clock. Asked several times in each exchange, and so
/// without the standard library's arithmetic of durations.
pub fn monotonic_us() -> u64 {
    static START: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let now = clock_gettime(ClockId::Monotonic);
    let now_us = now.tv_sec.cast_unsigned() * 1_000_000 + now.tv_nsec.cast_unsigned() / 1000;
    now_us.saturating_sub(*START.get_or_init(|| now_us))
}

/// Milliseconds since the Unix epoch, by the wall clock. 0 when the clock stands before the epoch.
#[expect(clippy::disallowed_methods, reason = "the room that owns the clock")]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
