//! The body of the fuzz target for the journal's bytes.

use super::frame::{self, Frame, HEADER_BYTES, Header};
use super::record::{self, Begun, Ended, Record, RecordId};
use crate::base::limits::SEGMENT_BYTES;

/// Whatever a segment holds, reading it comes to an end and gives records that lie in it; and what is written is read back,
/// with texts that came from anywhere.
pub fn journal(input: &[u8]) {
    let mut segment = Header { shard: 0, number: NUMBER }.bytes().to_vec();
    segment.extend_from_slice(input);
    assert!(Header::read(&segment).is_some());
    let mut at = HEADER_BYTES;
    while let Frame::Record { record, next } = frame::look(&segment, 0, at, NUMBER) {
        assert!(next > at && next <= SEGMENT_BYTES);
        let _ = record::read(record.of(&segment));
        at = next;
    }
    let _ = record::read(input);
    let text = String::from_utf8_lossy(input);
    let (front, back) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let begun = Begun { request_id: front, user_path: back, path: &text, ..Begun::default() };
    let ended = Ended { error: front, cost_source: back, ..Ended::default() };
    let mut bytes = Vec::new();
    record::write_begun(&mut bytes, RecordId(1), &begun);
    match record::read(&bytes) {
        Some(Record::Begun(id, read)) => {
            assert!(id == RecordId(1) && front.starts_with(read.request_id) && text.starts_with(read.path));
        }
        other => panic!("{other:?}"),
    }
    bytes.clear();
    record::write_ended(&mut bytes, RecordId(2), &ended);
    match record::read(&bytes) {
        Some(Record::Ended(_, read)) => assert!(front.starts_with(read.error)),
        other => panic!("{other:?}"),
    }
}

const NUMBER: u64 = 7;
