//! The journal's bytes: a segment is a header and then frames, one record each. Bytes in, places out; a frame that was
//! half written is never taken for a record.
//!
//! ```text
//! segment := magic "RWJ\x05" | shard u32 | number u64 | zero u128          (32 bytes, all numbers little-endian)
//! frame   := length u32 | checksum u32 | bytes | whatever, up to a multiple of 8
//! bytes   := record                               the highest bit of the length is 0
//!          | place u32 | skip u32 | beginning     the highest bit is 1
//! ```
//!
//! A record is the bytes of its frame, or ends as another one of its segment does: behind its own beginning follow the bytes
//! of the record in the frame at `place`, without the first `skip` of them. That one stands before it and is whole.
//!
//! A length of zero stands where nothing was written yet: behind the last frame there are always zeros enough to be the next
//! one's head and first bytes, whatever a file that is written again holds behind them. The largest length closes the segment. The
//! checksum (CRC-32 over the number of the segment and the bytes, of the second kind all bits the other way) tells a
//! frame that was cut by a crash.
//!
//! Segments of version 4 hold no plain ends and no usage that leaves anything out, those of version 3 no beginning that names a
//! source of prices, in those of version 2 every record says times and names in full, and those of version 1 have no frames of
//! the second kind; all are read like these.

use crate::base::Span;
use crate::base::limits::{RECORD_BYTES_MAX, SEGMENT_BYTES, SEGMENT_BYTES_MAX};

pub const HEADER_BYTES: usize = 32;

/// Which segment this is: of which shard, and the how-manieth that it made. What its file is called is not as sure: a loss of
/// power may undo a change of names that came before bytes which are safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub shard: u32,
    pub number: u64,
}

impl Header {
    pub fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(MAGICS[0]);
        bytes[4..8].copy_from_slice(&self.shard.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    /// The header at the front of a segment; `None` when these bytes are none of ours.
    pub fn read(segment: &[u8]) -> Option<Header> {
        let header = segment.get(..HEADER_BYTES)?;
        let rest = MAGICS.iter().find_map(|magic| header.strip_prefix(*magic))?;
        let (shard, rest) = rest.split_first_chunk()?;
        let (number, _) = rest.split_first_chunk()?;
        Some(Header { shard: u32::from_le_bytes(*shard), number: u64::from_le_bytes(*number) })
    }
}

/// The checksums of one segment. Each begins with the segment's number, which is looked at once.
#[derive(Clone, Debug)]
pub struct Checksums(crc32fast::Hasher);

impl Checksums {
    pub fn of_segment(number: u64) -> Checksums {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&number.to_le_bytes());
        Checksums(hasher)
    }

    fn of<'p>(&self, parts: impl IntoIterator<Item = &'p [u8]>, flag: u32) -> u32 {
        let mut hasher = self.0.clone();
        parts.into_iter().for_each(|part| hasher.update(part));
        let sum = hasher.finalize();
        if flag == IS_LIKE { !sum } else { sum }
    }
}

/// How many bytes a record of this length takes in a segment.
pub const fn framed_len(record_len: usize) -> usize {
    FRAME_HEAD_BYTES + record_len.next_multiple_of(ALIGNMENT)
}

/// The end of a record, by where it stands: in the frame at this place of its segment, behind the first bytes of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tail {
    pub place: u32,
    pub skip: u32,
}

impl Tail {
    /// What a frame says of it.
    fn bytes(self) -> [u8; TAIL_BYTES] {
        (u64::from(self.place) | u64::from(self.skip) << 32).to_le_bytes()
    }

    fn of_bytes(bytes: [u8; TAIL_BYTES]) -> Tail {
        let both = u64::from_le_bytes(bytes);
        Tail { place: both as u32, skip: (both >> 32) as u32 }
    }
}

/// Begins a segment: its header, and the place of its first frame, where nothing was written yet.
pub fn begin(segment: &mut [u8], header: Header) {
    blank(segment, HEADER_BYTES);
    segment[..HEADER_BYTES].copy_from_slice(&header.bytes());
}

/// Writes a record at this place of a segment and gives the place behind it. The length goes in last: whoever reads
/// meanwhile, or after a crash, sees nothing or all of it, and the checksum tells where a processor thought otherwise.
///
/// # Panics
/// When the record is empty, longer than a record may be, or has no room: the writer asks [`framed_len`] first.
pub fn write(segment: &mut [u8], at: usize, sums: &Checksums, record: &[u8]) -> usize {
    write_parts(segment, at, sums, [&[], record], 0)
}

/// The same of a record that ends as another one does, whose frame stands before this place. With [`TAIL_BYTES`] the bytes of
/// its beginning take as much room as a record would.
///
/// # Panics
/// As [`write`] does.
pub fn write_like(segment: &mut [u8], at: usize, sums: &Checksums, beginning: &[u8], tail: Tail) -> usize {
    assert!((tail.place as usize) < at, "it stands before");
    write_parts(segment, at, sums, [&tail.bytes(), beginning], IS_LIKE)
}

fn write_parts(segment: &mut [u8], at: usize, sums: &Checksums, parts: [&[u8]; 2], flag: u32) -> usize {
    let len = parts[0].len() + parts[1].len();
    assert!((1..=RECORD_BYTES_MAX).contains(&len), "a record has a length that a frame can say");
    let end = at + framed_len(len);
    // Of the bytes where they come from: what was just written to memory that is a file has yet to arrive there.
    let sum = sums.of(parts, flag);
    blank(segment, end);
    let frame = &mut segment[at..end];
    let bytes = &mut frame[FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + len];
    bytes[..parts[0].len()].copy_from_slice(parts[0]);
    bytes[parts[0].len()..].copy_from_slice(parts[1]);
    frame[4..8].copy_from_slice(&sum.to_le_bytes());
    std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
    frame[..4].copy_from_slice(&(len as u32 | flag).to_le_bytes());
    end
}

/// The segment of these bytes was closed at this place, and is to be another one: nothing closes that.
pub fn unclose(segment: &mut [u8], at: usize) {
    segment[at..at + 4].fill(0);
}

/// Makes a place one where nothing was written yet.
fn blank(segment: &mut [u8], at: usize) {
    let end = segment.len().min(at + FRAME_HEAD_BYTES + ALIGNMENT);
    segment[at..end].fill(0);
}

/// Closes a segment at this place: the shard goes on in the next one.
pub fn close(segment: &mut [u8], at: usize) {
    std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
    segment[at..at + 4].copy_from_slice(&CLOSED.to_le_bytes());
}

/// What stands at a place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A record at this place, or the beginning of one that ends like another, and where the next frame begins.
    Record { record: Span, tail: Option<Tail>, next: usize },
    /// Nothing yet, or not all of it.
    Open,
    /// Nothing more will come here.
    Closed,
    /// Bytes that are no frame. In a segment that nobody writes any more, a record was cut here.
    Torn,
}

/// Looks at the frame that begins at the place `at` of the segment of these checksums. `bytes` are what was read of it, from `base` on;
/// they may end early. Places of records are those in the segment.
pub fn look(bytes: &[u8], base: usize, at: usize, sums: &Checksums) -> Frame {
    if at + FRAME_HEAD_BYTES > SEGMENT_BYTES_MAX {
        return Frame::Closed;
    }
    let Some((length, rest)) = bytes.get(at - base..).unwrap_or_default().split_first_chunk() else {
        return Frame::Open;
    };
    let length = u32::from_le_bytes(*length);
    if length == CLOSED {
        return Frame::Closed;
    }
    let Some((expected, rest)) = rest.split_first_chunk() else { return Frame::Open };
    let (length, flag) = ((length & !IS_LIKE) as usize, length & IS_LIKE);
    if length == 0 {
        let is_blank = *expected == [0; 4] && flag == 0 && rest.iter().take(ALIGNMENT).all(|&byte| byte == 0);
        return if is_blank { Frame::Open } else { Frame::Torn };
    }
    let next = at.saturating_add(framed_len(length));
    if length > RECORD_BYTES_MAX || next > SEGMENT_BYTES_MAX {
        return Frame::Torn;
    }
    let Some(written) = rest.get(..length) else { return Frame::Open };
    if sums.of([written], flag) != u32::from_le_bytes(*expected) {
        return Frame::Torn;
    }
    let start = at + FRAME_HEAD_BYTES;
    let record = Span::new(start, start + length);
    if flag == 0 {
        return Frame::Record { record, tail: None, next };
    }
    match written.split_first_chunk().map(|(tail, _)| Tail::of_bytes(*tail)) {
        Some(tail) if (HEADER_BYTES..at).contains(&(tail.place as usize)) => {
            let record = Span::new(start + TAIL_BYTES, start + length);
            Frame::Record { record, tail: Some(tail), next }
        }
        _ => Frame::Torn,
    }
}

/// What a segment begins with: of this version, and of those before.
const MAGICS: [&[u8]; 5] = [b"RWJ\x05", b"RWJ\x04", b"RWJ\x03", b"RWJ\x02", b"RWJ\x01"];
/// Of a length: the record ends as another one does.
const IS_LIKE: u32 = 1 << 31;
/// What a frame says of the end of such a record.
pub const TAIL_BYTES: usize = 8;
const FRAME_HEAD_BYTES: usize = 8;
/// What a segment keeps free at its end, so that it can always be closed.
pub const CLOSE_BYTES: usize = 4;
const ALIGNMENT: usize = 8;
const CLOSED: u32 = u32::MAX;

const _: () = assert!(HEADER_BYTES.is_multiple_of(ALIGNMENT), "the first frame is aligned like all others");
const _: () = assert!(RECORD_BYTES_MAX < (CLOSED & !IS_LIKE) as usize, "no record's length closes a segment");
const _: () = assert!(
    HEADER_BYTES + framed_len(RECORD_BYTES_MAX) + CLOSE_BYTES <= SEGMENT_BYTES,
    "the longest record fits an empty segment"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(records: &[&[u8]]) -> (Vec<u8>, usize) {
        let mut segment = vec![0; SEGMENT_BYTES];
        segment[..HEADER_BYTES].copy_from_slice(&Header { shard: 1, number: 7 }.bytes());
        let end = records
            .iter()
            .fold(HEADER_BYTES, |at, record| write(&mut segment, at, &Checksums::of_segment(7), record));
        (segment, end)
    }

    fn read(segment: &[u8]) -> (Vec<Vec<u8>>, Frame) {
        let (mut at, mut records) = (HEADER_BYTES, Vec::new());
        loop {
            match look(segment, 0, at, &Checksums::of_segment(7)) {
                Frame::Record { record, tail, next } => {
                    assert_eq!(tail, None);
                    records.push(record.of(segment).to_vec());
                    at = next;
                }
                end => return (records, end),
            }
        }
    }

    #[test]
    fn records_come_back_and_the_end_is_told() {
        let (mut segment, end) = segment(&[b"a", b"12345678", b"123456789"]);
        assert_eq!(Header::read(&segment), Some(Header { shard: 1, number: 7 }));
        assert_eq!(Header::read(&[0; HEADER_BYTES]), None);
        assert_eq!(read(&segment).1, Frame::Open);
        close(&mut segment, end);
        let (records, last) = read(&segment);
        assert_eq!(
            (records, last),
            (vec![b"a".to_vec(), b"12345678".to_vec(), b"123456789".to_vec()], Frame::Closed)
        );
    }

    #[test]
    fn a_record_says_as_which_other_it_ends() {
        let (mut segment, end) = segment(&[b"one tail"]);
        let (sums, tail) = (Checksums::of_segment(7), Tail { place: HEADER_BYTES as u32, skip: 4 });
        let next = write_like(&mut segment, end, &sums, b"two ", tail);
        let start = end + FRAME_HEAD_BYTES + TAIL_BYTES;
        let record = Span::new(start, start + 4);
        assert_eq!(look(&segment, 0, end, &sums), Frame::Record { record, tail: Some(tail), next });
        // A beginning may be empty, and what comes from a place that is no earlier one is none.
        let last = write_like(&mut segment, next, &sums, b"", tail);
        assert!(matches!(look(&segment, 0, next, &sums), Frame::Record { record, .. } if record.is_empty()));
        for place in [0, 31, last as u32, last as u32 + 8, u32::MAX] {
            let bytes = Tail { place, skip: 0 }.bytes();
            write_parts(&mut segment, last, &sums, [&bytes, b"x"], IS_LIKE);
            assert_eq!(look(&segment, 0, last, &sums), Frame::Torn, "{place}");
        }
        write_parts(&mut segment, last, &sums, [b"", b"1234567"], IS_LIKE);
        assert_eq!(look(&segment, 0, last, &sums), Frame::Torn, "too short for a place");
        for bit in end * 8..(start + 4) * 8 {
            let mut broken = segment.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let seen = look(&broken[..next], 0, end, &sums);
            assert!(!matches!(seen, Frame::Record { .. } | Frame::Closed), "bit {bit}: {seen:?}");
        }
    }

    #[test]
    fn segments_of_earlier_versions_are_known_and_later_ones_are_not() {
        let mut bytes = Header { shard: 3, number: 9 }.bytes();
        for (version, is_known) in
            [(0, false), (1, true), (2, true), (3, true), (4, true), (5, true), (6, false)]
        {
            bytes[3] = version;
            assert_eq!(Header::read(&bytes), is_known.then_some(Header { shard: 3, number: 9 }), "{version}");
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_number_and_the_record() {
        let (segment, _) = segment(&[b"a"]);
        let frame = &segment[HEADER_BYTES..HEADER_BYTES + 16];
        assert_eq!(frame[..8], [1, 0, 0, 0, 0xa9, 0x28, 0xdd, 0xb8], "CRC-32 of 07 00 00 00 00 00 00 00 61");
        assert_eq!(frame[8..], *b"a\0\0\0\0\0\0\0");
    }

    #[test]
    fn a_segment_that_was_read_in_part_gives_whole_records_and_no_others() {
        let records: [&[u8]; 3] = [b"one", b"two and more", b"3"];
        let (segment, end) = segment(&records);
        for cut in HEADER_BYTES..=end {
            let (got, last) = read(&segment[..cut]);
            assert!(records.iter().zip(&got).all(|(want, got)| want == got), "{cut}");
            assert!(matches!(last, Frame::Open), "{cut}: {last:?}");
            assert!(got.len() < records.len() || cut + 8 > end, "{cut}");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let (segment, end) = segment(&[b"a record of some length"]);
        for bit in HEADER_BYTES * 8..(end - 1) * 8 {
            let mut broken = segment.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let (records, last) = read(&broken[..end + 64]);
            assert!(records.is_empty() && last != Frame::Closed, "bit {bit}: {records:?} {last:?}");
        }
    }

    #[test]
    fn a_frame_of_another_segment_is_none_of_this_one() {
        let (segment, _) = segment(&[b"left from before"]);
        assert_eq!(look(&segment, 0, HEADER_BYTES, &Checksums::of_segment(8)), Frame::Torn);
    }
}
