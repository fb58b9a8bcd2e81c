//! Segments of one shard whose files are written again when they were read to their end: the memory is there already, and the
//! disk has its place. The writer says which it keeps, the reader says of which it is done.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::limits::SEGMENTS_KEPT_MAX;

/// The numbers of these segments, twice each, and one more when it was read. Zero is for none: numbers begin with one.
#[derive(Debug, Default)]
pub(super) struct Again([AtomicU64; SEGMENTS_KEPT_MAX]);

impl Again {
    /// The writer keeps this segment, which it is about to close. Gives the place that it has among the kept ones; `None`
    /// when there are enough of them.
    pub(super) fn keep(&self, number: u64) -> Option<usize> {
        let place = self.0.iter().position(|slot| slot.load(Ordering::Relaxed) == 0)?;
        self.0[place].store(number << 1, Ordering::Release);
        Some(place)
    }

    /// Where a segment has its place, that is read now.
    pub(super) fn place_of(&self, number: u64) -> Option<usize> {
        self.0.iter().position(|slot| slot.load(Ordering::Acquire) == number << 1)
    }

    /// The reader is done with the segment in this place, and the writer's to have.
    pub(super) fn give(&self, place: usize) {
        self.0[place].fetch_or(READ, Ordering::Release);
    }

    /// Takes one that was read: its place, and the number that it had.
    pub(super) fn take(&self) -> Option<(usize, u64)> {
        let read = |slot: &AtomicU64| slot.load(Ordering::Acquire) & READ != 0;
        let place = self.0.iter().position(read)?;
        Some((place, self.0[place].swap(0, Ordering::Relaxed) >> 1))
    }
}

const READ: u64 = 1;
