//! The shard's end of its journal. Appending copies a record into memory that is a file; only every few thousand records
//! the next file is begun, which mostly is one that was read to its end.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::fast::RandomState;

use memmap2::MmapMut;

use super::gauge::Gauge;
use super::{map, place};
use crate::base::clock;
use crate::base::limits::{
    CACHE_LINE_BYTES, JOURNAL_AHEAD_BYTES, JOURNAL_FETCH_BYTES, JOURNAL_RETRY_MS, JOURNAL_TAILS_MAX,
    SEGMENT_BYTES, SEGMENTS_KEPT_MAX,
};
use crate::ledger::frame::{self, CLOSE_BYTES, Checksums, HEADER_BYTES, Header, TAIL_BYTES};
use crate::ledger::record;

/// There is no room for the record: the journal holds as much as it may, or the disk gives no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What the record is to its exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The exchange has not begun: it can still be refused.
    Begin,
    /// The exchange has been recorded as begun, and its end has to find room.
    End,
}

/// What many records end with: in each segment it is written once, and those that follow say where it stands.
pub struct Tail {
    bytes: Arc<[u8]>,
    /// Where it was written last: the number of the segment, and the place in it.
    written: Cell<Option<(u64, frame::Tail)>>,
}

impl Tail {
    pub fn new(bytes: &[u8]) -> Tail {
        Tail { bytes: bytes.into(), written: Cell::new(None) }
    }
}

/// Appends records for one shard.
pub struct Writer {
    folder: PathBuf,
    shard: u32,
    gauge: Arc<Gauge>,
    open: Option<Segment>,
    /// Held back for the ends of exchanges that began when there still was room.
    spare: Option<Segment>,
    /// Those that are written again when they were read, and where each was closed.
    kept: [Option<(MmapMut, usize)>; SEGMENTS_KEPT_MAX],
    /// The disk gives a file its place once, so that writing it again cannot fail.
    can_write_again: bool,
    next_number: u64,
    /// Exchanges without a record since the last record that was written.
    lost: u64,
    /// Making a file failed: when to try again, in milliseconds of the monotonic clock.
    retry_ms: u64,
}

struct Segment {
    number: u64,
    map: MmapMut,
    sums: Checksums,
    at: usize,
    /// Everything before it was brought into memory.
    resident_to: usize,
    /// The tails that stand in it, as far as they are remembered.
    tails: HashMap<Arc<[u8]>, frame::Tail, RandomState>,
}

impl Segment {
    /// Begins the segment of this header in a file's memory.
    fn begin(mut map: MmapMut, header: Header) -> Segment {
        frame::begin(&mut map, header);
        let sums = Checksums::of_segment(header.number);
        Segment {
            number: header.number,
            map,
            sums,
            at: HEADER_BYTES,
            resident_to: 0,
            tails: HashMap::default(),
        }
    }

    fn has_room(&self, record_len: usize) -> bool {
        self.at + frame::framed_len(record_len) + CLOSE_BYTES <= SEGMENT_BYTES
    }

    fn write(&mut self, record: &[u8]) {
        self.bring_in(record.len());
        let next = frame::write(&mut self.map, self.at, &self.sums, record);
        self.moves_on(next);
    }

    fn write_like(&mut self, beginning: &[u8], tail: frame::Tail) {
        self.bring_in(TAIL_BYTES + beginning.len());
        let next = frame::write_like(&mut self.map, self.at, &self.sums, beginning, tail);
        self.moves_on(next);
    }

    /// The next frame begins there. The memory of those behind it is asked for now: it was last touched when the file was made
    /// or written before, and the next atomic operation after a write to it would wait until it is near.
    fn moves_on(&mut self, next: usize) {
        let line_of = |at: usize| at / CACHE_LINE_BYTES;
        let asked_for = line_of(self.at + JOURNAL_FETCH_BYTES).max(line_of(next));
        (asked_for..line_of(next + JOURNAL_FETCH_BYTES))
            .for_each(|line| map::fetch(&self.map, line * CACHE_LINE_BYTES));
        self.at = next;
    }

    /// Where this tail stands in the segment, if it does.
    fn place_of(&self, tail: &Tail) -> Option<frame::Tail> {
        match tail.written.get() {
            Some((number, place)) if number == self.number => Some(place),
            _ => {
                let place = *self.tails.get(&tail.bytes)?;
                tail.written.set(Some((self.number, place)));
                Some(place)
            }
        }
    }

    /// Notes that the record that is written next ends with this tail, behind as many bytes.
    fn ends_with(&mut self, tail: &Tail, skip: usize) {
        let place = frame::Tail { place: self.at as u32, skip: skip as u32 };
        tail.written.set(Some((self.number, place)));
        if self.tails.len() < JOURNAL_TAILS_MAX {
            self.tails.insert(tail.bytes.clone(), place);
        }
    }

    fn bring_in(&mut self, record_len: usize) {
        let end = self.at + frame::framed_len(record_len);
        while end > self.resident_to {
            map::bring_in(&self.map, self.resident_to, JOURNAL_AHEAD_BYTES);
            self.resident_to += JOURNAL_AHEAD_BYTES;
        }
    }
}

impl Writer {
    /// A writer for this shard, below the folder of the running instance.
    pub fn new(folder: &Path, shard: usize, gauge: Arc<Gauge>) -> Writer {
        let shard = u32::try_from(shard).expect("a shard's number is small");
        let folder = folder.to_owned();
        Writer {
            can_write_again: !map::copies_on_write(&folder),
            folder,
            shard,
            gauge,
            open: None,
            spare: None,
            kept: Default::default(),
            next_number: 1,
            lost: 0,
            retry_ms: 0,
        }
    }

    /// Makes the first files, which takes a few milliseconds that no request should wait for. Where that fails, the first
    /// record tries again.
    pub fn prepare(&mut self) {
        let _ = self.turn_over(Need::Begin);
    }

    /// Appends a record, or says that there is no room for it. The beginning of an exchange finds none as soon as the
    /// journal is full; an end may use what is held back for ends.
    pub fn append(&mut self, record: &[u8], need: Need) -> Result<(), Full> {
        self.with_room(record.len(), need)?.write(record);
        self.gauge.append(self.shard as usize);
        Ok(())
    }

    /// Appends a record that ends with this tail. `record` is what stands before it; where the segment has no such tail yet, that
    /// is put behind it.
    pub fn append_with(&mut self, record: &mut Vec<u8>, tail: &Tail, need: Need) -> Result<(), Full> {
        let open = self.with_room(record.len() + tail.bytes.len().max(TAIL_BYTES), need)?;
        match open.place_of(tail) {
            Some(place) => open.write_like(record, place),
            None => {
                open.ends_with(tail, record.len());
                record.extend_from_slice(&tail.bytes);
                open.write(record);
            }
        }
        self.gauge.append(self.shard as usize);
        Ok(())
    }

    /// The segment that has room for a record of this length.
    fn with_room(&mut self, record_len: usize, need: Need) -> Result<&mut Segment, Full> {
        let is_on_reserve = self.open.is_some() && self.spare.is_none();
        if is_on_reserve && need == Need::Begin {
            self.spare = Some(self.make().ok_or(Full)?);
        }
        if !self.open.as_ref().is_some_and(|open| open.has_room(record_len + LOST_BYTES_MAX)) {
            self.turn_over(need)?;
        }
        let open = self.open.as_mut().ok_or(Full)?;
        if self.lost > 0 {
            let mut lost = Vec::with_capacity(LOST_BYTES_MAX);
            record::write_lost(&mut lost, std::mem::take(&mut self.lost));
            open.write(&lost);
        }
        Ok(open)
    }

    /// Counts an exchange that goes on without a record.
    pub fn lose(&mut self) {
        self.lost += 1;
        self.gauge.lose(1);
    }

    /// Closes the segment and goes on in the one that was held back, for which another one is held back.
    fn turn_over(&mut self, need: Need) -> Result<(), Full> {
        if self.spare.is_none() {
            self.spare = self.make();
        }
        if self.spare.is_none() {
            return Err(Full);
        }
        let after = self.make();
        if after.is_none() && need == Need::Begin {
            return Err(Full);
        }
        let next = std::mem::replace(&mut self.spare, after);
        if let Some(mut before) = std::mem::replace(&mut self.open, next) {
            let is_kept = self.can_write_again && self.gauge.is_roomy();
            let place = is_kept.then(|| self.gauge.again(self.shard).keep(before.number)).flatten();
            frame::close(&mut before.map, before.at);
            if let Some(place) = place {
                self.kept[place] = Some((before.map, before.at));
            }
        }
        Ok(())
    }

    /// The next segment: in a file that was read to its end, or in a new one.
    fn make(&mut self) -> Option<Segment> {
        let segment = self.begin_again().or_else(|| self.begin_new())?;
        self.next_number += 1;
        Some(segment)
    }

    /// Begins a segment in a file that is there. Until it has its name nobody reads it.
    fn begin_again(&mut self) -> Option<Segment> {
        let (place, before) = self.gauge.again(self.shard).take()?;
        let (mut map, closed_at) = self.kept[place].take()?;
        frame::unclose(&mut map, closed_at);
        let header = Header { shard: self.shard, number: self.next_number };
        let segment = Segment::begin(map, header);
        match place::rename_from_read(&self.folder, self.shard, before, self.next_number) {
            Ok(()) => Some(segment),
            Err(_) => {
                self.gauge.give_back(SEGMENT_BYTES as u64);
                self.gauge.fail();
                None
            }
        }
    }

    /// Makes a file. After a failure the next try comes a moment later, so that a full disk costs no more than that.
    fn begin_new(&mut self) -> Option<Segment> {
        let now_ms = clock::monotonic_us() / 1000;
        if now_ms < self.retry_ms || !self.gauge.take(SEGMENT_BYTES as u64) {
            return None;
        }
        let header = Header { shard: self.shard, number: self.next_number };
        match map::create(&self.folder.join(place::segment_name(self.shard, header.number))) {
            Ok(map) => Some(Segment::begin(map, header)),
            Err(_) => {
                self.gauge.give_back(SEGMENT_BYTES as u64);
                self.gauge.fail();
                self.retry_ms = now_ms + JOURNAL_RETRY_MS;
                None
            }
        }
    }
}

/// What a record of lost ones takes at most, framed.
const LOST_BYTES_MAX: usize = frame::framed_len(16);
