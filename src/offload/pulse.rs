//! How the offload core is, for shards to tell: requests go on without it, but somebody should look.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::base::clock;
use crate::base::limits::OFFLOAD_STALL_MS;

/// Written by the offload thread, read by everybody.
#[derive(Debug)]
pub struct Pulse {
    /// Milliseconds of the monotonic clock.
    beat_ms: AtomicU64,
    is_store_away: AtomicBool,
}

/// What of the gateway does not work, while requests do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Whole,
    /// Records wait in the journal.
    StoreAway,
    /// The thread has not come to its turn for [`OFFLOAD_STALL_MS`].
    Stalled,
}

impl Pulse {
    pub fn new(now_ms: u64) -> Pulse {
        Pulse { beat_ms: AtomicU64::new(now_ms), is_store_away: AtomicBool::new(false) }
    }

    pub(super) fn beat(&self, now_ms: u64) {
        self.beat_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn set_store_away(&self, is_away: bool) {
        self.is_store_away.store(is_away, Ordering::Relaxed);
    }

    pub fn health(&self, now_ms: u64) -> Health {
        if now_ms.saturating_sub(self.beat_ms.load(Ordering::Relaxed)) > OFFLOAD_STALL_MS {
            Health::Stalled
        } else if self.is_store_away.load(Ordering::Relaxed) {
            Health::StoreAway
        } else {
            Health::Whole
        }
    }
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse::new(clock::monotonic_us() / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_does_not_come_to_its_turn_counts_before_a_store_that_is_away() {
        let pulse = Pulse::new(1_000);
        assert_eq!(pulse.health(1_000 + OFFLOAD_STALL_MS), Health::Whole);
        assert_eq!(pulse.health(1_001 + OFFLOAD_STALL_MS), Health::Stalled);
        pulse.set_store_away(true);
        assert_eq!(pulse.health(1_001 + OFFLOAD_STALL_MS), Health::Stalled);
        pulse.beat(1_001 + OFFLOAD_STALL_MS);
        assert_eq!(pulse.health(1_001 + OFFLOAD_STALL_MS), Health::StoreAway);
        pulse.set_store_away(false);
        assert_eq!(pulse.health(1_001 + OFFLOAD_STALL_MS), Health::Whole);
    }
}
