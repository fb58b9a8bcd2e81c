//! The fast way through a head that is as usual. It only ever says yes, and then finds what httparse, its slow twin, finds
//! under our rules; what it does not like is judged by the twin, which knows the broken rule.

use super::known::{NAME_WORD_BYTES, NameWord};
use super::{Field, Headers, Known};
use crate::base::Span;
use crate::base::limits::{HEAD_LINE_BYTES_MAX, HEADERS_COUNT_MAX};
use crate::wire::json::block::{BLOCK_BYTES, equal_marks, name_end_marks, odd_marks, padded_block};

/// The length of the head that an input begins with, when all of it is here and too short to break a bound. `None` leaves
/// the judgement to [`super::EndOfHead`].
pub(super) fn head_len(input: &[u8]) -> Option<usize> {
    let input = &input[..input.len().min(HEAD_LINE_BYTES_MAX)];
    // What the bytes in front of a block mean for it: an LF must be its first byte; a line began at its second or first.
    let (mut after_cr, mut begun) = (0, 0b10);
    for at in (0..input.len()).step_by(BLOCK_BYTES) {
        let block = padded_block(input, at)?;
        let (returns, feeds) = (equal_marks(&block, b'\r'), equal_marks(&block, b'\n'));
        let wrong = (returns << 1 | after_cr) ^ feeds;
        let blank = feeds & (feeds << 2 | begun);
        if blank != 0 {
            let end = blank.trailing_zeros();
            return (wrong << (31 - end) == 0).then_some(at + end as usize + 1);
        }
        // The LF behind a CR that is the block's last byte is asked of the next block.
        if wrong & 0xFFFF != 0 {
            return None;
        }
        (after_cr, begun) = (returns >> (BLOCK_BYTES - 1), feeds >> (BLOCK_BYTES - 2));
    }
    None
}

/// Reads the header lines from `at` to the blank line that ends the head. `None` leaves the judgement to the twin: for names
/// with rare bytes, values that are not printable ASCII, more headers than may be, and all that breaks a rule.
pub(in crate::wire) fn header_lines(head: &[u8], mut at: usize, out: &mut Headers) -> Option<()> {
    out.clear();
    loop {
        let block = padded_block(head, at)?;
        let name_len = name_end_marks(&block).trailing_zeros() as usize;
        let (name_end, known) = match name_len {
            0 => return (&head[at..] == b"\r\n").then_some(()),
            1..NAME_WORD_BYTES => (at + name_len, Known::of_word(NameWord::of_usual(&block, name_len))),
            _ => {
                let name_end = long_name_end(head, at + BLOCK_BYTES)?;
                (name_end, Known::of(&head[at..name_end]))
            }
        };
        if head.get(name_end) != Some(&b':') || out.fields.len() == HEADERS_COUNT_MAX {
            return None;
        }
        let (value, line_end) = value(head, name_end + 1)?;
        out.push(Field { name: Span::new(at, name_end), value, known });
        at = line_end;
    }
}

fn long_name_end(head: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let marks = name_end_marks(&padded_block(head, at)?);
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize);
        }
        at += BLOCK_BYTES;
    }
}

/// The value that begins behind a colon, without the spaces around it, and where the next line begins.
#[inline]
fn value(head: &[u8], colon_end: usize) -> Option<(Span, usize)> {
    let mut start = colon_end;
    while let Some(b' ') = head.get(start) {
        start += 1;
    }
    let line_end = text_end::<b' '>(head, start)?;
    if head[line_end..].first_chunk::<2>()? != b"\r\n" {
        return None;
    }
    let mut end = line_end;
    while let [.., b' '] = head[start..end] {
        end -= 1;
    }
    // An empty value has no place, as everywhere.
    Some((if start < end { Span::new(start, end) } else { Span::default() }, line_end + 2))
}

/// Where the first byte from `at` on stands that is below `LOWEST`, or DEL, or not ASCII.
#[inline]
pub(in crate::wire) fn text_end<const LOWEST: u8>(head: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let marks = odd_marks::<LOWEST>(&padded_block(head, at)?);
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize);
        }
        at += BLOCK_BYTES;
    }
}
