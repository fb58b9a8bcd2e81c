//! What all shards' journals hold together, and what they could not hold: counted by the writers, read by everybody. And by
//! shard, which files are written again.

use std::sync::atomic::{AtomicU64, Ordering};

use super::again::Again;

/// Counts of one instance's journal. Bytes are those of its files.
#[derive(Debug)]
pub struct Gauge {
    bytes: AtomicU64,
    bytes_max: AtomicU64,
    lost: AtomicU64,
    /// Records, by the shard that wrote them. Each count has one writer, for whom a load and a store are enough.
    appended: Box<[Appended]>,
    /// Files that are written again, by shard.
    again: Box<[Again]>,
    failures: AtomicU64,
}

/// Alone on its cache lines, so that shards do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Appended(AtomicU64);

impl Gauge {
    /// For the journals of so many shards.
    pub fn new(bytes_max: u64, shards_count: usize) -> Gauge {
        Gauge {
            bytes: AtomicU64::new(0),
            bytes_max: AtomicU64::new(bytes_max),
            lost: AtomicU64::new(0),
            appended: (0..shards_count).map(|_| Appended::default()).collect(),
            again: (0..shards_count).map(|_| Again::default()).collect(),
            failures: AtomicU64::new(0),
        }
    }

    /// Takes room for a file. False when that would be more than the journal may hold.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let is_room = before.saturating_add(bytes) <= self.bytes_max.load(Ordering::Relaxed);
        if !is_room {
            self.give_back(bytes);
        }
        is_room
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether files may stay that nobody needs: others find room for as many again.
    pub(super) fn is_roomy(&self) -> bool {
        self.bytes() <= self.bytes_max.load(Ordering::Relaxed) / 2
    }

    pub(super) fn lose(&self, records: u64) {
        self.lost.fetch_add(records, Ordering::Relaxed);
    }

    /// Counts a record of this shard's. Only the shard's own thread may.
    pub(super) fn append(&self, shard: usize) {
        let count = &self.appended[shard].0;
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(super) fn again(&self, shard: u32) -> &Again {
        &self.again[shard as usize]
    }

    pub(super) fn fail(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// A setting that changed counts from the next file on.
    pub fn set_bytes_max(&self, bytes_max: u64) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Exchanges that have no record, because there was no room for one.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Files that could not be made: no room on the disk, or no permission.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub fn appended(&self) -> u64 {
        self.appended.iter().map(|count| count.0.load(Ordering::Relaxed)).sum()
    }
}
