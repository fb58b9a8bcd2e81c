//! The other end of a journal: reads records behind the writer, hands them out in batches, and forgets only what was said
//! to be safe elsewhere.
#![expect(clippy::disallowed_methods, reason = "the room that owns the journal's files")]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use foldhash::fast::RandomState;

use super::gauge::Gauge;
use super::place::{self, Left};
use crate::base::Span;
use crate::base::limits::{
    JOURNAL_JOINED_BYTES, JOURNAL_TAILS_MAX, RECORD_BYTES_MAX, SEGMENT_BYTES, SEGMENT_BYTES_MAX,
};
use crate::ledger::frame::{self, Checksums, Frame, HEADER_BYTES, Header, Tail, framed_len};

/// Reads the segments of one shard, in their order.
pub struct Reader {
    shard: u32,
    at: Place,
    file: Option<File>,
    /// Ends that records of this segment share, as far as they were needed.
    tails: HashMap<Tail, Box<[u8]>, RandomState>,
    segments: Segments,
}

/// Where the segments are that are read.
enum Segments {
    /// In the folder of this process, where one follows the other, each with its number as its name.
    Growing { folder: PathBuf, gauge: Arc<Gauge> },
    /// These, one after the other, which nobody writes any more: what is cut is cut for good.
    Left(Vec<Left>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Which segment of those that were left; the same of all that grow.
    nth: usize,
    number: u64,
    at: usize,
}

impl Place {
    fn is_in_segment_of(self, other: Place) -> bool {
        (self.nth, self.number) == (other.nth, other.number)
    }
}

/// Records that were read and not yet let go.
pub struct Batch {
    bytes: Vec<u8>,
    /// Records that end like others, put together.
    joined: Vec<u8>,
    records: Vec<At>,
    records_max: usize,
    next: Place,
    /// A record was cut here by the end of the process.
    pub is_torn: bool,
    /// The segment is read to its end.
    pub ends_segment: bool,
    /// There may be more than was read.
    pub is_full: bool,
}

/// Where a record of a batch is.
#[derive(Clone, Copy)]
enum At {
    Read(Span),
    Joined(Span),
}

impl Batch {
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().map(|at| match at {
            At::Read(record) => record.of(&self.bytes),
            At::Joined(record) => record.of(&self.joined),
        })
    }

    fn has_enough(&self) -> bool {
        self.records.len() >= self.records_max || self.joined.len() >= JOURNAL_JOINED_BYTES
    }

    fn join(&mut self, beginning: Span, tail: &[u8]) {
        let start = self.joined.len();
        self.joined.extend_from_slice(beginning.of(&self.bytes));
        self.joined.extend_from_slice(tail);
        self.records.push(At::Joined(Span::new(start, self.joined.len())));
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl Reader {
    /// Reads the journal that a shard of this process is writing, from its beginning.
    pub fn behind(folder: &Path, shard: usize, gauge: Arc<Gauge>) -> Reader {
        let shard = u32::try_from(shard).expect("a shard's number is small");
        Reader::of(shard, 1, Segments::Growing { folder: folder.to_owned(), gauge })
    }

    /// Reads what a shard of an ended process left, from the oldest segment that is still there.
    pub fn of_orphan(folder: &Path, shard: u32) -> io::Result<Reader> {
        let mut left = place::left(folder)?;
        left.retain(|segment| segment.shard == shard);
        let first = left.first().map_or(1, |segment| segment.number);
        Ok(Reader::of(shard, first, Segments::Left(left)))
    }

    fn of(shard: u32, first: u64, segments: Segments) -> Reader {
        let at = Place { nth: 0, number: first, at: HEADER_BYTES };
        Reader { shard, at, file: None, tails: HashMap::default(), segments }
    }

    fn is_orphan(&self) -> bool {
        matches!(self.segments, Segments::Left(_))
    }

    /// The next records, at most so many, without letting go of them: the same ones come again until [`Reader::release`]. An empty batch
    /// that ends no segment means that there is nothing more, for now or for good. An error of the kind `InvalidData` is for
    /// a segment that a later version wrote, or that is none.
    pub fn peek(&mut self, records_max: usize) -> io::Result<Batch> {
        let mut batch = Batch {
            bytes: Vec::new(),
            joined: Vec::new(),
            records: Vec::new(),
            records_max,
            next: self.at,
            is_torn: false,
            ends_segment: false,
            is_full: false,
        };
        let Some(file) = self.open()? else { return Ok(batch) };
        // A look at the first bytes tells whether there is anything, which mostly there is not.
        let mut first = [0; 8];
        let seen = read_at(&file, &mut first, self.at.at)?;
        if seen == first.len() && first == [0; 8] && !self.is_orphan() {
            self.file = Some(file);
            return Ok(batch);
        }
        // What earlier versions made is longer.
        let len = file.metadata()?.len().min(SEGMENT_BYTES_MAX as u64) as usize;
        let left = len.saturating_sub(self.at.at);
        read_to(&file, &mut batch.bytes, self.at.at, left)?;
        self.look(&file, &mut batch)?;
        self.file = Some(file);
        batch.is_full = batch.has_enough();
        Ok(batch)
    }

    /// Finds the records in what was read.
    fn look(&mut self, file: &File, batch: &mut Batch) -> io::Result<()> {
        let (base, sums) = (self.at.at, Checksums::of_segment(self.at.number));
        while !batch.has_enough() {
            let mut frame = frame::look(&batch.bytes, base, batch.next.at, &sums);
            if let Frame::Record { tail: Some(tail), .. } = frame
                && !self.knows(file, tail, &sums)?
            {
                frame = Frame::Torn;
            }
            match frame {
                Frame::Record { record, tail, next } => {
                    let span = Span::new(record.start as usize - base, record.end as usize - base);
                    match tail {
                        None => batch.records.push(At::Read(span)),
                        Some(tail) => batch.join(span, &self.tails[&tail]),
                    }
                    batch.next.at = next;
                }
                Frame::Closed => {
                    batch.ends_segment = true;
                    batch.next = self.following();
                    break;
                }
                // A writer may be in the middle of it.
                Frame::Open | Frame::Torn if !self.is_orphan() => break,
                // Nothing follows in what an ended process wrote, but perhaps in its next segment.
                end => {
                    batch.is_torn = end == Frame::Torn;
                    batch.ends_segment = true;
                    batch.next = self.following();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether the end of a record is known; where it is not, it is read.
    fn knows(&mut self, file: &File, tail: Tail, sums: &Checksums) -> io::Result<bool> {
        if self.tails.contains_key(&tail) {
            return Ok(true);
        }
        let Some(bytes) = read_tail(file, tail, sums)? else { return Ok(false) };
        if self.tails.len() >= JOURNAL_TAILS_MAX {
            self.tails.clear();
        }
        self.tails.insert(tail, bytes);
        Ok(true)
    }

    /// The batch is safe elsewhere. A segment that was read to its end is the writer's again, where it keeps that, and else taken
    /// away. Where that fails the batch comes once more.
    pub fn release(&mut self, batch: &Batch) -> io::Result<()> {
        if let Segments::Growing { folder, gauge } = &self.segments
            && !batch.next.is_in_segment_of(self.at)
        {
            give_up(folder, gauge, self.shard, self.at.number)?;
        }
        self.pass_over(batch);
        Ok(())
    }

    /// Goes on behind the batch and takes nothing away: for what an ended process left, which goes as a whole.
    pub fn pass_over(&mut self, batch: &Batch) {
        if !batch.next.is_in_segment_of(self.at) {
            self.file = None;
            self.tails.clear();
        }
        self.at = batch.next;
    }

    /// The segment to read, when it is there and has its header.
    fn open(&mut self) -> io::Result<Option<File>> {
        if let Some(file) = self.file.take() {
            return Ok(Some(file));
        }
        let Some(path) = self.path() else { return Ok(None) };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut header = [0; HEADER_BYTES];
        let got = read_at(&file, &mut header, 0)?;
        let expected = Header { shard: self.shard, number: self.at.number };
        match Header::read(&header[..got]) {
            Some(header) if header == expected => Ok(Some(file)),
            // Nobody has written it yet.
            None if header == [0; HEADER_BYTES] => Ok(None),
            _ => {
                let name = place::segment_name(self.shard, self.at.number);
                let what = format!("{name} is no segment that this version can read");
                Err(io::Error::new(io::ErrorKind::InvalidData, what))
            }
        }
    }

    fn path(&self) -> Option<PathBuf> {
        match &self.segments {
            Segments::Growing { folder, .. } => {
                Some(folder.join(place::segment_name(self.shard, self.at.number)))
            }
            Segments::Left(left) => left.get(self.at.nth).map(|segment| segment.path.clone()),
        }
    }

    /// The beginning of the next segment.
    fn following(&self) -> Place {
        let after = Place { number: self.at.number + 1, at: HEADER_BYTES, ..self.at };
        match &self.segments {
            Segments::Growing { .. } => after,
            Segments::Left(left) => {
                let nth = self.at.nth + 1;
                let number = left.get(nth).map_or(after.number, |segment| segment.number);
                Place { nth, number, ..after }
            }
        }
    }
}

/// All of this segment is safe elsewhere: it is the writer's again, or goes.
fn give_up(folder: &Path, gauge: &Gauge, shard: u32, number: u64) -> io::Result<()> {
    let again = gauge.again(shard);
    // Whoever has seen a segment closed sees that it is kept.
    fence(Ordering::Acquire);
    let is_there = |done: io::Result<()>| match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    if let Some(place) = again.place_of(number) {
        // Of one that is not there the writer finds no file, and makes another one.
        is_there(place::rename_to_read(folder, shard, number))?;
        again.give(place);
    } else {
        is_there(fs::remove_file(folder.join(place::segment_name(shard, number))))?;
        gauge.give_back(SEGMENT_BYTES as u64);
    }
    Ok(())
}

/// Reads as much as there is, at most so much, into an empty buffer. Nothing is written to it first: that would cost more than
/// all else that is done with a batch.
fn read_to(file: &File, bytes: &mut Vec<u8>, at: usize, count: usize) -> io::Result<()> {
    let mut from = file;
    from.seek(SeekFrom::Start(at as u64))?;
    bytes.reserve_exact(count);
    from.take(count as u64).read_to_end(bytes).map(drop)
}

/// The end of the record that stands there; `None` where none does.
fn read_tail(file: &File, tail: Tail, sums: &Checksums) -> io::Result<Option<Box<[u8]>>> {
    let at = tail.place as usize;
    for bytes_max in [TAILED_BYTES_USUAL, framed_len(RECORD_BYTES_MAX)] {
        let mut bytes = vec![0; bytes_max.min(SEGMENT_BYTES_MAX.saturating_sub(at))];
        let got = read_at(file, &mut bytes, at)?;
        match frame::look(&bytes[..got], at, at, sums) {
            Frame::Record { record, tail: None, .. } => {
                let record = &bytes[record.start as usize - at..record.end as usize - at];
                return Ok(record.get(tail.skip as usize..).map(Box::from));
            }
            Frame::Open => {}
            _ => break,
        }
    }
    Ok(None)
}

/// What most records take whose end others have as well.
const TAILED_BYTES_USUAL: usize = 1_024;

/// Reads as much as there is, at most the length of `bytes`.
fn read_at(file: &File, bytes: &mut [u8], at: usize) -> io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match file.read_at(&mut bytes[got..], (at + got) as u64) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// Makes what is written to a journal safe from a loss of power.
#[derive(Debug, Default)]
pub struct Syncer {
    /// Segments of each shard that were closed and safe the last time, up to this number.
    closed: HashMap<u32, u64, RandomState>,
}

impl Syncer {
    /// Makes everything safe that was written in this folder. Waits for the disk.
    pub fn sync(&mut self, folder: &Path) -> io::Result<()> {
        let segments = place::segments(folder)?;
        // The newest first: they hold what no sync before has seen.
        for &(shard, number) in segments.iter().rev() {
            if self.closed.get(&shard).is_some_and(|&closed| number <= closed) {
                continue;
            }
            match File::open(folder.join(place::segment_name(shard, number))) {
                Ok(file) => file.sync_data()?,
                // It was read to its end meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        // The newest is open or held back, and the one before it may be open.
        self.closed.extend(segments.into_iter().map(|(shard, number)| (shard, number.saturating_sub(2))));
        Ok(())
    }
}
