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
    let (blocks, rest) = input.as_chunks::<BLOCK_BYTES>();
    // As if an LF stood in front of the first line.
    let mut ends = LineEnds { after_cr: 0, behind_feed: 0b10 };
    let mut at = 0;
    for block in blocks {
        match ends.blank_end(block) {
            Look::Usual => at += BLOCK_BYTES,
            Look::Blank(end) => return Some(at + end),
            Look::Wrong => return None,
        }
    }
    match ends.blank_end(&padded_block(input, input.len() - rest.len())?) {
        Look::Blank(end) => Some(at + end),
        _ => None,
    }
}

/// What the bytes in front of a block mean for it.
struct LineEnds {
    /// The bit of its first byte, if that must be an LF.
    after_cr: u32,
    /// The bits of its bytes that stand two behind an LF, where another one would end a blank line.
    behind_feed: u32,
}

enum Look {
    Usual,
    /// A blank line ends behind so many bytes of the block.
    Blank(usize),
    Wrong,
}

impl LineEnds {
    #[inline]
    fn blank_end(&mut self, block: &[u8; BLOCK_BYTES]) -> Look {
        let (returns, feeds) = (equal_marks(block, b'\r'), equal_marks(block, b'\n'));
        let wrong = (returns << 1 | self.after_cr) ^ feeds;
        let blank = feeds & (feeds << 2 | self.behind_feed);
        if blank != 0 {
            let end = blank.trailing_zeros();
            return if wrong << (31 - end) == 0 { Look::Blank(end as usize + 1) } else { Look::Wrong };
        }
        // The LF behind a CR that is the block's last byte is asked of the next block.
        if wrong & 0xFFFF != 0 {
            return Look::Wrong;
        }
        (self.after_cr, self.behind_feed) = (returns >> (BLOCK_BYTES - 1), feeds >> (BLOCK_BYTES - 2));
        Look::Usual
    }
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
