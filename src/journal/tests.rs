//! A journal on a real disk: what a writer appended comes out of a reader, whatever happens in between.
#![expect(clippy::disallowed_methods, reason = "looks at the files of the journal")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::base::limits::{
    BATCH_PACKED_RECORDS_MAX, JOURNAL_TAILS_MAX, RECORD_BYTES_MAX, SEGMENT_BYTES, SEGMENT_BYTES_MAX,
    SEGMENTS_KEPT_MAX,
};
use crate::ledger::frame::{self, CLOSE_BYTES, Checksums, HEADER_BYTES, Header};
use crate::ledger::record::{self, Record};

/// A folder of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ringway-journal-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn writer(folder: &Path, segments_max: u64) -> (Writer, Arc<Gauge>) {
    let gauge = Arc::new(Gauge::new(segments_max * SEGMENT_BYTES as u64, 4));
    (Writer::new(folder, 0, gauge.clone()), gauge)
}

/// Reads and lets go of everything that is there.
fn drain(reader: &mut Reader) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let batch = reader.peek(BATCH_PACKED_RECORDS_MAX).unwrap();
        if batch.is_empty() && !batch.ends_segment {
            return all;
        }
        all.extend(batch.records().map(<[u8]>::to_vec));
        reader.release(&batch).unwrap();
    }
}

fn segments(folder: &Path) -> usize {
    let is_segment = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".seg");
    std::fs::read_dir(folder)
        .unwrap()
        .filter(|entry| is_segment(&entry.as_ref().unwrap().file_name()))
        .count()
}

/// The number of the newest.
fn segments_made(folder: &Path) -> usize {
    place::segments(folder).unwrap().last().map_or(0, |(_, number)| *number as usize)
}

/// Records that tell their number, of lengths that differ.
fn numbered(count: u32) -> Vec<Vec<u8>> {
    let one = |n: u32| [&n.to_le_bytes()[..], &vec![b'x'; (n as usize * 37) % 3000]].concat();
    (0..count).map(one).collect()
}

#[test]
fn everything_comes_out_in_order_over_many_segments_and_drained_ones_go() {
    let folder = Folder::new("order");
    let (mut writer, gauge) = writer(&folder.0, 100);
    let mut reader = Reader::behind(&folder.0, 0, gauge.clone());
    assert!(drain(&mut reader).is_empty(), "nothing was made yet");
    let records = numbered(8_000);
    let mut got = Vec::new();
    for (n, record) in records.iter().enumerate() {
        writer.append(record, Need::Begin).unwrap();
        if n % 1_500 == 0 {
            got.extend(drain(&mut reader));
        }
    }
    got.extend(drain(&mut reader));
    assert_eq!(got, records);
    assert_eq!(segments(&folder.0), 2, "the one that is written and the spare one");
}

#[test]
fn records_with_a_common_end_come_out_whole_wherever_that_was_written() {
    let folder = Folder::new("tails");
    let (mut writer, gauge) = writer(&folder.0, 100);
    let text = |n: usize| [&n.to_le_bytes()[..], &vec![b'a' + (n % 26) as u8; 200 + n * 97 % 2_000]].concat();
    // More than are remembered, some of the same bytes, and one that is empty.
    let mut tails: Vec<Tail> = (0..JOURNAL_TAILS_MAX + 100).map(|n| Tail::new(&text(n))).collect();
    tails.extend([Tail::new(&text(3)), Tail::new(b"")]);
    let mut reader = Reader::behind(&folder.0, 0, gauge.clone());
    let (mut want, mut got) = (Vec::new(), Vec::new());
    for n in 0..40_000_usize {
        // Most of them end like few others.
        let at = if n % 4 == 0 { n * 31 % tails.len() } else { tails.len() - 1 - n % 8 };
        let beginning = vec![b'0' + (n % 10) as u8; n % 90 + usize::from(at == tails.len() - 1)];
        let tail =
            if at == tails.len() - 1 { Vec::new() } else { text(if at == tails.len() - 2 { 3 } else { at }) };
        let mut record = beginning.clone();
        writer.append_with(&mut record, &tails[at], Need::Begin).unwrap();
        want.push([beginning, tail].concat());
        if n % 5 == 0 {
            writer.append(&n.to_le_bytes(), Need::End).unwrap();
            want.push(n.to_le_bytes().to_vec());
        }
        if n % 3_001 == 0 {
            got.extend(drain(&mut reader));
        }
    }
    got.extend(drain(&mut reader));
    assert!(got == want, "{} of {}", got.len(), want.len());
    assert!(gauge.appended() == want.len() as u64);
    let made = segments_made(&folder.0);
    let bytes: usize = want.iter().map(Vec::len).sum();
    assert!(made * SEGMENT_BYTES < bytes * 2 / 3, "{made} segments for {bytes} bytes");
}

#[test]
fn a_record_is_none_whose_end_is_damaged() {
    let folder = Folder::new("tail-torn");
    let (mut writer, gauge) = writer(&folder.0, 4);
    let tail = Tail::new(b" of both");
    let mut reader = Reader::behind(&folder.0, 0, gauge.clone());
    writer.append_with(&mut b"one".to_vec(), &tail, Need::Begin).unwrap();
    assert_eq!(drain(&mut reader), [b"one of both"]);
    writer.append_with(&mut b"two".to_vec(), &tail, Need::Begin).unwrap();
    let segment = folder.0.join("0-0000000000000001.seg");
    let at = std::fs::read(&segment).unwrap().windows(8).position(|window| window == b" of both").unwrap();
    let set = |byte: &[u8]| {
        let file = std::fs::File::options().write(true).open(&segment).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, byte, at as u64).unwrap();
    };
    set(b"x");
    assert_eq!(reader.peek(BATCH_PACKED_RECORDS_MAX).unwrap().len(), 0);
    set(b" ");
    assert_eq!(drain(&mut reader), [b"two of both"]);
}

#[test]
fn a_record_that_ends_like_none_is_where_an_ended_process_was_cut() {
    let folder = Folder::new("tail-none");
    let (mut writer, _) = writer(&folder.0, 4);
    writer.append(b"a whole record", Need::Begin).unwrap();
    let segment = folder.0.join("0-0000000000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let (sums, first) = (Checksums::of_segment(1), HEADER_BYTES as u32);
    let second = HEADER_BYTES + frame::framed_len(14);
    for (place, skip, whole) in [(first, 7, Some(&b"my record"[..])), (first, 99, None), (first + 8, 0, None)]
    {
        frame::write_like(&mut bytes, second, &sums, b"my", frame::Tail { place, skip });
        std::fs::write(&segment, &bytes).unwrap();
        let batch = Reader::of_orphan(&folder.0, 0).unwrap().peek(BATCH_PACKED_RECORDS_MAX).unwrap();
        let read: Vec<&[u8]> = batch.records().collect();
        let want: Vec<&[u8]> = [&b"a whole record"[..]].into_iter().chain(whole).collect();
        assert_eq!((read, batch.is_torn), (want, whole.is_none()), "{place} {skip}");
    }
}

#[test]
fn a_segment_of_a_later_version_is_an_error_and_stays() {
    let folder = Folder::new("later");
    let (mut writer, gauge) = writer(&folder.0, 4);
    writer.append(b"one", Need::Begin).unwrap();
    let segment = folder.0.join("0-0000000000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[3] += 1;
    std::fs::write(&segment, bytes).unwrap();
    for mut reader in [Reader::behind(&folder.0, 0, gauge.clone()), Reader::of_orphan(&folder.0, 0).unwrap()]
    {
        let error = reader.peek(BATCH_PACKED_RECORDS_MAX).err().expect("it cannot be read");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    }
}

/// What of the segments of a folder is in the memory of this process.
fn resident_bytes(folder: &Path) -> usize {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let name = folder.to_string_lossy();
    let kib_of = |map: &str| {
        let line = map.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    };
    maps.split(&*name).skip(1).map(kib_of).sum::<usize>() * 1024
}

#[test]
fn what_waits_for_the_reader_is_in_files_and_not_in_memory() {
    let folder = Folder::new("resident");
    let (mut writer, gauge) = writer(&folder.0, 100);
    let records = numbered(10_000);
    records.iter().for_each(|record| writer.append(record, Need::Begin).unwrap());
    let most = (SEGMENTS_KEPT_MAX + 2) * SEGMENT_BYTES;
    assert!(records.iter().map(Vec::len).sum::<usize>() > 2 * most);
    let resident = resident_bytes(&folder.0);
    assert!((1..=most).contains(&resident), "{resident} bytes");
    assert_eq!(drain(&mut Reader::behind(&folder.0, 0, gauge.clone())), records);
}

/// The files of segments, whatever they are called.
fn files(folder: &Path) -> std::collections::BTreeSet<u64> {
    use std::os::unix::fs::MetadataExt;
    let inode = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().metadata().unwrap().ino();
    std::fs::read_dir(folder).unwrap().map(inode).collect()
}

#[test]
fn files_that_were_read_are_written_again() {
    let folder = Folder::new("reuse");
    let (mut writer, gauge) = writer(&folder.0, 100);
    let mut reader = Reader::behind(&folder.0, 0, gauge.clone());
    let record = vec![b'x'; 50_000];
    let mut round = |segments: usize| {
        (0..segments * SEGMENT_BYTES / record.len())
            .for_each(|_| writer.append(&record, Need::Begin).unwrap());
        let _ = drain(&mut reader);
        let (files, made) = (files(&folder.0), segments_made(&folder.0));
        assert_eq!(gauge.bytes(), (files.len() * SEGMENT_BYTES) as u64);
        (files, made)
    };
    // More at a time than are kept: the others are made and taken away.
    let (first, made) = round(3 * SEGMENTS_KEPT_MAX);
    assert_eq!(
        first.len(),
        SEGMENTS_KEPT_MAX + 2,
        "of {made}: the kept ones, the one that is written, the spare one"
    );
    let rounds: Vec<_> = (0..20).map(|_| round(2)).collect();
    assert!(rounds.iter().all(|(files, _)| *files == first), "no file was made or taken away");
    assert!(rounds[19].1 > made + 30, "{} after {made}", rounds[19].1);
}

/// What another process would find here, had this one ended, and in how many places it was cut.
fn left_in(folder: &Path) -> (Vec<Vec<u8>>, usize) {
    let (mut reader, mut all, mut torn) = (Reader::of_orphan(folder, 0).unwrap(), Vec::new(), 0);
    loop {
        let batch = reader.peek(BATCH_PACKED_RECORDS_MAX).unwrap();
        if batch.is_empty() && !batch.ends_segment {
            return (all, torn);
        }
        all.extend(batch.records().map(<[u8]>::to_vec));
        torn += usize::from(batch.is_torn);
        reader.pass_over(&batch);
    }
}

#[test]
fn files_that_others_may_need_do_not_stay() {
    let folder = Folder::new("roomy");
    let (mut writer, gauge) = writer(&folder.0, 2 * SEGMENTS_KEPT_MAX as u64);
    let record = vec![b'x'; 50_000];
    while writer.append(&record, Need::Begin).is_ok() {}
    assert_eq!(gauge.bytes(), (2 * SEGMENTS_KEPT_MAX * SEGMENT_BYTES) as u64);
    let _ = drain(&mut Reader::behind(&folder.0, 0, gauge.clone()));
    let kept = files(&folder.0).len() - segments(&folder.0);
    assert!(
        (1..SEGMENTS_KEPT_MAX).contains(&kept),
        "{kept}: those that were closed while half of all was free"
    );
    assert_eq!(gauge.bytes(), (files(&folder.0).len() * SEGMENT_BYTES) as u64);
}

#[test]
fn what_a_file_held_before_is_no_record_of_what_it_holds_now() {
    let folder = Folder::new("before");
    let (mut writer, gauge) = writer(&folder.0, 100);
    let mut reader = Reader::behind(&folder.0, 0, gauge.clone());
    // Of one length: where the frames of now end, those of before begin.
    let record = |n: u32| [&n.to_le_bytes()[..], &[b'x'; 1_020]].concat();
    let per_segment = (SEGMENT_BYTES / frame::framed_len(1_024)) as u32;
    for n in 0..8 * per_segment {
        writer.append(&record(n), Need::Begin).unwrap();
        if n % 400 == 0 {
            let (left, torn) = left_in(&folder.0);
            assert!(left.len() >= n.min(400) as usize && torn == 0, "{} and {torn} torn at {n}", left.len());
            assert!(
                left.len() <= per_segment as usize + 400,
                "{} are left, of them many that were read",
                left.len()
            );
            let first = n + 1 - left.len() as u32;
            assert!(left.into_iter().eq((first..=n).map(record)), "from {first} to {n}");
            assert_eq!(drain(&mut reader).len(), n.min(399) as usize + 1 - usize::from(n > 0 && n < 400));
        }
    }
    assert!(files(&folder.0).len() < 8, "files were written again");
}

/// A record of 50 KB that tells its number.
fn long(n: u32) -> Vec<u8> {
    [&n.to_le_bytes()[..], &[b'x'; 50_000]].concat()
}

const LONG_PER_SEGMENT: u32 = (SEGMENT_BYTES / frame::framed_len(50_004)) as u32;

#[test]
fn after_a_loss_of_power_the_headers_tell_which_segments_there_are() {
    let folder = Folder::new("power");
    let (mut writer, gauge) = writer(&folder.0, 100);
    let mut reader = Reader::behind(&folder.0, 0, gauge.clone());
    for n in 0..4 * LONG_PER_SEGMENT {
        writer.append(&long(n), Need::Begin).unwrap();
        let _ = drain(&mut reader);
    }
    let undrained = 4 * LONG_PER_SEGMENT..7 * LONG_PER_SEGMENT;
    undrained.clone().for_each(|n| writer.append(&long(n), Need::Begin).unwrap());
    let want = left_in(&folder.0);
    assert!(want.0.ends_with(&undrained.map(long).collect::<Vec<_>>()) && want.1 == 0);
    // Names as they were before the last changes, in an order that is none.
    let older = [
        "0-0000000000000002.read",
        "0-0000000000000003.seg",
        "0-0000000000000001.read",
        "0-0000000000000004.seg",
    ];
    let left = place::left(&folder.0).unwrap();
    assert!(left.len() > 3, "{left:?}");
    for (segment, name) in left.iter().zip(older) {
        std::fs::rename(&segment.path, folder.0.join(name)).unwrap();
    }
    assert_eq!(left_in(&folder.0), want);
}

#[test]
fn a_file_that_has_a_new_header_and_no_new_name_hides_no_segment() {
    let folder = Folder::new("nameless");
    let (mut writer, gauge) = writer(&folder.0, 100);
    let mut reader = Reader::behind(&folder.0, 0, gauge.clone());
    (0..2 * LONG_PER_SEGMENT).for_each(|n| writer.append(&long(n), Need::Begin).unwrap());
    assert_eq!(drain(&mut reader).len(), 2 * LONG_PER_SEGMENT as usize);
    (2 * LONG_PER_SEGMENT..5 * LONG_PER_SEGMENT).for_each(|n| writer.append(&long(n), Need::Begin).unwrap());
    let want = left_in(&folder.0);
    assert!(want.0.len() >= 2 * LONG_PER_SEGMENT as usize && want.1 == 0);
    // As if a name could not be changed, or the process had ended in front of that.
    let newest = segments_made(&folder.0) as u64;
    for number in [newest - 2, newest - 1, newest, newest + 1] {
        let mut bytes = vec![0; SEGMENT_BYTES];
        frame::begin(&mut bytes, Header { shard: 0, number });
        std::fs::write(folder.0.join(format!("0-{:016}.read", 10_000 - number)), &bytes).unwrap();
        std::fs::write(folder.0.join(format!("0-{:016}.seg", 0)), &bytes).unwrap();
        assert_eq!(left_in(&folder.0), want, "{number}");
    }
}

#[test]
fn a_file_that_cannot_be_renamed_is_tried_again_and_one_that_is_gone_is_made_anew() {
    let folder = Folder::new("rename");
    let (mut writer, gauge) = writer(&folder.0, 100);
    let mut reader = Reader::behind(&folder.0, 0, gauge.clone());
    (0..LONG_PER_SEGMENT + 1).for_each(|n| writer.append(&long(n), Need::Begin).unwrap());
    // What stands in the way is no file.
    let taken = folder.0.join("0-0000000000000001.read");
    std::fs::create_dir_all(taken.join("x")).unwrap();
    for _ in 0..2 {
        let batch = reader.peek(BATCH_PACKED_RECORDS_MAX).unwrap();
        if !batch.ends_segment {
            reader.release(&batch).unwrap();
            continue;
        }
        assert!(reader.release(&batch).is_err());
        let again = reader.peek(BATCH_PACKED_RECORDS_MAX).unwrap();
        assert_eq!((again.len(), again.ends_segment), (batch.len(), true), "it comes once more");
    }
    std::fs::remove_dir_all(&taken).unwrap();
    let _ = drain(&mut reader);
    assert!(taken.is_file());
    std::fs::remove_file(&taken).unwrap();
    let (files_before, failures) = (files(&folder.0).len() as u64, gauge.failures());
    let rest = LONG_PER_SEGMENT + 1..3 * LONG_PER_SEGMENT;
    rest.clone().for_each(|n| writer.append(&long(n), Need::Begin).unwrap());
    assert_eq!(drain(&mut reader), rest.map(long).collect::<Vec<_>>());
    assert_eq!(gauge.failures(), failures + 1, "a file that is gone is told");
    assert_eq!(gauge.bytes(), (files(&folder.0).len() * SEGMENT_BYTES) as u64, "of {files_before} files");
}

#[test]
fn nothing_is_lost_between_two_threads_that_share_files() {
    let folder = Folder::new("threads");
    let (mut writer, gauge) = writer(&folder.0, 100);
    let mut reader = Reader::behind(&folder.0, 0, gauge);
    let count = 200_000_u64;
    let tail = Tail::new(&[b't'; 100]);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut next = 0;
            while next < count {
                let batch = reader.peek(BATCH_PACKED_RECORDS_MAX).unwrap();
                for record in batch.records() {
                    let (number, rest) = record.split_first_chunk().expect("a number");
                    assert_eq!(u64::from_le_bytes(*number), next);
                    assert!(rest.iter().all(|&byte| byte == b'x') || rest == [b't'; 100]);
                    next += 1;
                }
                reader.release(&batch).unwrap();
            }
        });
        for n in 0..count {
            let mut record = n.to_le_bytes().to_vec();
            let appended = match n % 3 {
                0 => writer.append_with(&mut record, &tail, Need::Begin),
                _ => {
                    record.resize(8 + (n % 97) as usize * 3, b'x');
                    writer.append(&record, Need::Begin)
                }
            };
            appended.expect("the reader keeps up");
        }
    });
}

#[test]
fn longer_segments_of_earlier_versions_are_read_to_their_end() {
    let folder = Folder::new("longer");
    let mut bytes = vec![0; SEGMENT_BYTES_MAX];
    bytes[..HEADER_BYTES].copy_from_slice(&Header { shard: 0, number: 3 }.bytes());
    let (mut at, mut want, sums) = (HEADER_BYTES, Vec::new(), Checksums::of_segment(3));
    let record = |n: usize| [&n.to_le_bytes()[..], &vec![b'x'; n * 37 % 5_000]].concat();
    let mut tail = frame::Tail { place: 0, skip: 8 };
    while at + frame::framed_len(6_000) + CLOSE_BYTES <= bytes.len() {
        let n = want.len();
        if n % 5 == 0 {
            tail.place = at as u32;
            at = frame::write(&mut bytes, at, &sums, &record(n));
            want.push(record(n));
        } else {
            at = frame::write_like(&mut bytes, at, &sums, &n.to_le_bytes(), tail);
            want.push([&n.to_le_bytes()[..], &record(n / 5 * 5)[8..]].concat());
        }
    }
    frame::close(&mut bytes, at);
    std::fs::write(folder.0.join("0-0000000000000003.seg"), bytes).unwrap();
    assert!(left_in(&folder.0) == (want, 0));
}

#[test]
fn a_batch_says_whether_there_may_be_more() {
    let folder = Folder::new("more");
    let (mut writer, gauge) = writer(&folder.0, 100);
    let mut reader = Reader::behind(&folder.0, 0, gauge.clone());
    for (count, is_full) in [(1, false), (99, false), (100, true)] {
        (0..count).for_each(|_| writer.append(b"short", Need::Begin).unwrap());
        let batch = reader.peek(100).unwrap();
        assert_eq!((batch.len(), batch.is_full), (count, is_full));
        reader.release(&batch).unwrap();
    }
    let long = vec![b'x'; RECORD_BYTES_MAX];
    let count = 3 * SEGMENT_BYTES / RECORD_BYTES_MAX;
    (0..count).for_each(|_| writer.append(&long, Need::Begin).unwrap());
    let mut got = 0;
    while got < count {
        let batch = reader.peek(7).unwrap();
        assert!(
            (batch.is_full || batch.ends_segment) && !batch.is_empty() || got + batch.len() == count,
            "a batch that is not full and ends no segment is the last"
        );
        got += batch.len();
        reader.release(&batch).unwrap();
    }
    assert_eq!(got, count);
}

#[test]
fn what_was_not_released_comes_again() {
    let folder = Folder::new("again");
    let (mut writer, gauge) = writer(&folder.0, 4);
    writer.append(b"one", Need::Begin).unwrap();
    let mut reader = Reader::behind(&folder.0, 0, gauge.clone());
    for _ in 0..2 {
        let batch = reader.peek(BATCH_PACKED_RECORDS_MAX).unwrap();
        assert_eq!(batch.records().collect::<Vec<_>>(), [b"one"]);
    }
    assert_eq!(drain(&mut Reader::of_orphan(&folder.0, 0).unwrap()), [b"one"]);
}

#[test]
fn a_full_journal_refuses_beginnings_keeps_room_for_ends_and_counts_what_is_lost() {
    let folder = Folder::new("full");
    let (mut writer, gauge) = writer(&folder.0, 3);
    let record = vec![7; RECORD_BYTES_MAX];
    let mut begun = 0;
    while writer.append(&record, Need::Begin).is_ok() {
        begun += 1;
    }
    let per_segment = SEGMENT_BYTES / (RECORD_BYTES_MAX + 16);
    assert!(begun >= 2 * per_segment - 2, "{begun} records of {per_segment} a segment");
    writer.lose();
    let mut ended = 0;
    while writer.append(&record, Need::End).is_ok() {
        ended += 1;
    }
    assert!(ended >= per_segment - 2, "{ended}");
    assert_eq!(gauge.lost(), 1);
    assert_eq!(gauge.bytes(), 3 * SEGMENT_BYTES as u64);

    let mut reader = Reader::behind(&folder.0, 0, gauge.clone());
    let (mut records, mut lost) = (0, 0);
    loop {
        let batch = reader.peek(BATCH_PACKED_RECORDS_MAX).unwrap();
        if batch.is_empty() && !batch.ends_segment {
            break;
        }
        for bytes in batch.records() {
            match record::read(bytes) {
                Some(Record::Lost(count)) => lost += count,
                _ => records += 1,
            }
        }
        reader.release(&batch).unwrap();
    }
    assert_eq!((records, lost), (begun + ended, 1), "the journal says itself what it lost");
    writer.append(&record, Need::Begin).expect("there is room again");
}

#[test]
fn a_record_that_was_cut_by_the_end_of_the_process_is_none_and_those_before_it_stay() {
    let folder = Folder::new("torn");
    let instance = Instance::begin(&folder.0).unwrap();
    assert!(Orphan::find(&folder.0).unwrap().is_empty(), "the instance lives");
    let (mut writer, _) = writer(&instance.folder, 4);
    for record in [&b"first"[..], b"second", b"third record"] {
        writer.append(record, Need::Begin).unwrap();
    }
    let segment = instance.folder.join("0-0000000000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let third = bytes.windows(12).position(|window| window == b"third record").unwrap();
    bytes[third + 5..third + 12].fill(0);
    std::fs::write(&segment, bytes).unwrap();
    drop((writer, instance));

    let orphans = Orphan::find(&folder.0).unwrap();
    let [orphan] = &orphans[..] else { panic!("{orphans:?}") };
    assert_eq!(orphan.shards().unwrap(), [0]);
    let mut reader = Reader::of_orphan(&orphan.folder, 0).unwrap();
    let batch = reader.peek(BATCH_PACKED_RECORDS_MAX).unwrap();
    assert_eq!(batch.records().collect::<Vec<_>>(), [&b"first"[..], b"second"]);
    assert!(batch.is_torn && batch.ends_segment);
    reader.release(&batch).unwrap();
    assert!(drain(&mut reader).is_empty());
    assert!(Orphan::find(&folder.0).unwrap().is_empty(), "somebody is at it");
    let left = orphans.into_iter().next().unwrap();
    left.remove().unwrap();
    assert!(Orphan::find(&folder.0).unwrap().is_empty());
}
