//! The only place that reads a clock. Durations use the monotonic clock; the wall clock is for records and headers.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the first call in this process, by the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the room that owns the clock")]
pub fn monotonic_us() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds since the Unix epoch, by the wall clock. 0 when the clock stands before the epoch.
#[expect(clippy::disallowed_methods, reason = "the room that owns the clock")]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
