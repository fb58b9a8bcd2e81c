//! Texts: where the next byte of interest stands, UTF-8 over cuts, escapes in and out.

use std::borrow::Cow;

use super::block::{BLOCK_BYTES, block_marks};

/// The place of the first quote, backslash, control byte or non-ASCII byte; the length when there is none.
#[inline]
pub(super) fn find_plain_end(bytes: &[u8]) -> usize {
    find::<true>(bytes)
}

/// The place of the first quote, backslash or control byte; the length when there is none.
pub fn find_text_end(bytes: &[u8]) -> usize {
    find::<false>(bytes)
}

/// Searches two blocks by two, the rest block by block and word by word. `WIDE` stops at bytes that are no ASCII too.
#[inline(always)]
fn find<const WIDE: bool>(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(pair) = bytes[at..].first_chunk::<{ 2 * BLOCK_BYTES }>()
        && let ([low, high], _) = pair.as_chunks()
    {
        let marks = block_marks::<WIDE>(low) | block_marks::<WIDE>(high) << BLOCK_BYTES;
        if marks != 0 {
            return at + marks.trailing_zeros() as usize;
        }
        at += 2 * BLOCK_BYTES;
    }
    while let Some(block) = bytes[at..].first_chunk::<BLOCK_BYTES>() {
        let marks = block_marks::<WIDE>(block);
        if marks != 0 {
            return at + marks.trailing_zeros() as usize;
        }
        at += BLOCK_BYTES;
    }
    at + find_in_words::<WIDE>(&bytes[at..])
}

/// The search without blocks: for what is shorter than one, and the slow twin of those that are not.
fn find_in_words<const WIDE: bool>(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let marks = word_marks(u64::from_le_bytes(*word), if WIDE { HIGH_BITS } else { 0 });
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let stops = |&byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20) || (WIDE && byte >= 0x80);
    at + bytes[at..].iter().position(stops).unwrap_or(bytes.len() - at)
}

/// The high bit of every byte that is a quote, a backslash or a control byte, or has a bit of `high`. A borrow can mark a
/// byte too many, but only above one that is rightly marked, so the lowest mark is exact.
#[inline(always)]
fn word_marks(word: u64, high: u64) -> u64 {
    let ones = u64::from_le_bytes([1; 8]);
    let is_zero = |word: u64| word.wrapping_sub(ones) & !word & HIGH_BITS;
    let quotes = is_zero(word ^ (ones * 0x22));
    let backslashes = is_zero(word ^ (ones * 0x5C));
    let controls = word.wrapping_sub(ones * 0x20) & !word & HIGH_BITS;
    quotes | backslashes | controls | (word & high)
}

/// The bytes of a character that a cut has split.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8Tail {
    bytes: [u8; 4],
    count: usize,
}

impl Utf8Tail {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Checks a run of text. When the input ends behind it, an unfinished last character is kept for [`Utf8Tail::push`].
    /// The error is the offset of the first wrong byte.
    pub(super) fn check(&mut self, run: &[u8], input_ends: bool) -> Result<(), usize> {
        let Err(error) = std::str::from_utf8(run) else { return Ok(()) };
        let tail = &run[error.valid_up_to()..];
        if error.error_len().is_some() || !input_ends {
            return Err(error.valid_up_to());
        }
        self.bytes[..tail.len()].copy_from_slice(tail);
        self.count = tail.len();
        Ok(())
    }

    /// One more byte of the split character.
    pub(super) fn push(&mut self, byte: u8) -> Result<(), ()> {
        self.bytes[self.count] = byte;
        self.count += 1;
        match std::str::from_utf8(&self.bytes[..self.count]) {
            Ok(_) => self.count = 0,
            Err(error) if error.error_len().is_some() => return Err(()),
            Err(_) => {}
        }
        Ok(())
    }
}

/// The text behind escapes. Half of a surrogate pair, which is no character, becomes U+FFFD.
pub fn unescaped(raw: &[u8]) -> Cow<'_, str> {
    if !has_escape(raw) {
        return std::str::from_utf8(raw).map_or_else(|_| String::from_utf8_lossy(raw), Cow::Borrowed);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.push_str(&String::from_utf8_lossy(&rest[..at]));
        let (character, used) = escape(&rest[at..]);
        out.push(character);
        rest = &rest[at + used..];
    }
    out.push_str(&String::from_utf8_lossy(rest));
    Cow::Owned(out)
}

/// Whether a backslash is in it. Nearly all names are shorter than what a search in blocks pays for.
#[inline]
fn has_escape(raw: &[u8]) -> bool {
    if raw.len() > ESCAPES_SEARCHED_MIN {
        return memchr::memchr(b'\\', raw).is_some();
    }
    raw.iter().fold(false, |has, &byte| has | (byte == b'\\'))
}

/// The character of the escape at the front, and its length.
fn escape(text: &[u8]) -> (char, usize) {
    let simple = match text.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{C}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(text),
        Some(&other) => char::from(other),
        None => return (char::REPLACEMENT_CHARACTER, 1),
    };
    (simple, 2)
}

fn unicode_escape(text: &[u8]) -> (char, usize) {
    let Some(first) = hex_unit(text) else { return (char::REPLACEMENT_CHARACTER, text.len().min(6)) };
    if let Some(character) = char::from_u32(first) {
        return (character, 6);
    }
    let second = text.get(6..).and_then(hex_unit).filter(|unit| (0xDC00..0xE000).contains(unit));
    match second {
        Some(second) if first < 0xDC00 => {
            let scalar = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        _ => (char::REPLACEMENT_CHARACTER, 6),
    }
}

fn hex_unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}

/// Appends a text as a JSON string, quotes included.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    write_escaped(text.as_bytes(), out);
    out.push(b'"');
}

/// Appends bytes of a text with the escapes that they need inside of a JSON string.
pub fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let end = find_text_end(rest);
        out.extend_from_slice(&rest[..end]);
        let Some(&byte) = rest.get(end) else { break };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[b'0' + (byte >> 4), b"0123456789abcdef"[usize::from(byte & 15)]]);
            }
        }
        rest = &rest[end + 1..];
    }
}

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Texts that are longer are searched by the crate for it.
const ESCAPES_SEARCHED_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_words_find_the_same_byte() {
        for length in 0..70 {
            for at in 0..length.max(1) {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b' '; length];
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                    assert_eq!(
                        find_plain_end(&bytes),
                        find_in_words::<true>(&bytes),
                        "{byte} at {at} of {length}"
                    );
                    assert_eq!(
                        find_text_end(&bytes),
                        find_in_words::<false>(&bytes),
                        "{byte} at {at} of {length}"
                    );
                    let naive =
                        |stops: fn(u8) -> bool| bytes.iter().position(|&b| stops(b)).unwrap_or(length);
                    let is_text_end = |b: u8| b == b'"' || b == b'\\' || b < 0x20;
                    assert_eq!(find_text_end(&bytes), naive(is_text_end));
                    assert_eq!(
                        find_plain_end(&bytes),
                        naive(|b| b == b'"' || b == b'\\' || !(0x20..0x80).contains(&b))
                    );
                }
            }
        }
    }
}
