//! What request and response heads share: where a head ends, and its headers as places. Allocates only the table of
//! headers, which is used again for the next head.

use std::mem::MaybeUninit;

use super::{Malformed, Step};
use crate::base::Span;
use crate::base::limits::{CONNECTION_BYTES_MAX, HEAD_BYTES_MAX, HEAD_LINE_BYTES_MAX, HEADERS_COUNT_MAX};

mod known;
mod quick;

pub use known::Known;
pub(super) use quick::{header_lines, text_end};

/// Finds the blank line that ends a head, over any number of inputs, looking at each byte once. Strict about line ends:
/// only CRLF is one (RFC 9112 §2.2 lets a recipient accept a bare LF; smuggling lives there).
#[derive(Clone, Debug, Default)]
pub struct EndOfHead {
    head_bytes: usize,
    line_bytes: usize,
    after_cr: bool,
}

impl EndOfHead {
    /// Looks at more bytes of the head. `Done { used }` counts the bytes of this input up to and including the blank
    /// line.
    pub fn step(&mut self, input: &[u8]) -> Step {
        if self.head_bytes == 0
            && let Some(used) = quick::head_len(input)
        {
            return Step::Done { used };
        }
        let mut at = 0;
        if self.after_cr && !input.is_empty() {
            if input[0] != b'\n' {
                return self.refuse(1, Malformed::BareCarriageReturn);
            }
            at = 1;
            if let Some(step) = self.end_line(0, at) {
                return step;
            }
        }
        loop {
            let rest = &input[at..];
            let Some(found) = memchr::memchr2(b'\r', b'\n', rest) else { break };
            if rest[found] == b'\n' {
                return self.refuse(found + 1, Malformed::BareLineFeed);
            }
            match rest.get(found + 1) {
                None => {
                    self.after_cr = true;
                    return self.count(found + 1).map_or(Step::More, Step::Bad);
                }
                Some(b'\n') => {
                    at += found + 2;
                    if let Some(step) = self.end_line(found + 1, at) {
                        return step;
                    }
                }
                Some(_) => return self.refuse(found + 2, Malformed::BareCarriageReturn),
            }
        }
        self.count(input.len() - at).map_or(Step::More, Step::Bad)
    }

    /// A line ended: `more` bytes of it before its LF were not counted yet. Gives the answer when the head is at its end.
    fn end_line(&mut self, more: usize, used: usize) -> Option<Step> {
        if let Some(bad) = self.count(more + 1) {
            return Some(Step::Bad(bad));
        }
        let is_blank = self.line_bytes == 2;
        self.line_bytes = 0;
        self.after_cr = false;
        is_blank.then_some(Step::Done { used })
    }

    /// Refuses the last of `bytes` more bytes, unless a bound was broken before it: what is told must not depend on cuts.
    #[cold]
    fn refuse(&mut self, bytes: usize, bad: Malformed) -> Step {
        Step::Bad(self.count(bytes).unwrap_or(bad))
    }

    /// Counts more bytes and gives the bound that they broke; of two the one that was broken first.
    fn count(&mut self, bytes: usize) -> Option<Malformed> {
        self.head_bytes += bytes;
        self.line_bytes += bytes;
        let line_over = self.line_bytes.saturating_sub(HEAD_LINE_BYTES_MAX);
        let head_over = self.head_bytes.saturating_sub(HEAD_BYTES_MAX);
        match (line_over, head_over) {
            (0, 0) => None,
            _ if head_over > line_over => Some(Malformed::HeadTooLarge),
            _ => Some(Malformed::LineTooLong),
        }
    }
}

/// One header: its places in the head, and what is known about its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: Span,
    pub value: Span,
    pub known: Known,
}

/// The headers of one head, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    pub fields: Vec<Field>,
    /// A bit for every name that stands among the fields, so that what is not there need not be looked for.
    names: u64,
}

impl Headers {
    /// Whether there is a header of this name.
    #[inline]
    pub fn has(&self, known: Known) -> bool {
        self.names & known.bit() != 0
    }

    /// The value of the first header of this name.
    #[inline]
    pub fn find(&self, known: Known) -> Option<Span> {
        if !self.has(known) {
            return None;
        }
        self.fields.iter().find(|field| field.known == known).map(|field| field.value)
    }

    #[inline]
    pub fn count(&self, known: Known) -> usize {
        if !self.has(known) {
            return 0;
        }
        self.fields.iter().filter(|field| field.known == known).count()
    }

    /// The value of the first header of any name, in any case.
    pub fn get(&self, head: &[u8], name: &str) -> Option<Span> {
        self.fields.iter().find(|f| f.name.of(head).eq_ignore_ascii_case(name.as_bytes())).map(|f| f.value)
    }

    /// Whether a Connection header names this header, which then is for us only.
    #[inline]
    pub fn named_by_connection(&self, head: &[u8], name: &[u8]) -> bool {
        self.has(Known::Connection) && self.is_option_of_connection(head, name)
    }

    fn is_option_of_connection(&self, head: &[u8], name: &[u8]) -> bool {
        let of_connection = |field: &&Field| field.known == Known::Connection;
        let mut options = self.fields.iter().filter(of_connection).flat_map(|f| list_items(f.value.of(head)));
        options.any(|option| option.eq_ignore_ascii_case(name))
    }

    /// Whether a Connection header holds this option.
    pub(super) fn connection_has(&self, head: &[u8], option: &str) -> bool {
        self.named_by_connection(head, option.as_bytes())
    }

    /// Takes over what httparse found. It has refused names that are no tokens, folded lines, and control characters in
    /// values.
    pub(super) fn take_over(
        &mut self,
        head: &[u8],
        parsed: &[httparse::Header<'_>],
    ) -> Result<(), Malformed> {
        self.clear();
        for header in parsed {
            let (name, value) = (place(head, header.name.as_bytes()), place(head, header.value));
            if name.is_empty() {
                return Err(Malformed::HeaderName);
            }
            self.push(Field { name, value, known: Known::of(header.name.as_bytes()) });
        }
        Ok(())
    }

    /// Becomes the same as the other one, in the memory that it has.
    pub(super) fn copy_from(&mut self, other: &Headers) {
        self.fields.clone_from(&other.fields);
        self.names = other.names;
    }

    fn clear(&mut self) {
        self.fields.clear();
        self.names = 0;
    }

    #[inline]
    fn push(&mut self, field: Field) {
        self.names |= field.known.bit();
        self.fields.push(field);
    }

    /// Refuses Connection headers that are too long together.
    #[inline]
    pub(super) fn check_connection(&self) -> Result<(), Malformed> {
        if !self.has(Known::Connection) {
            return Ok(());
        }
        let of_connection = self.fields.iter().filter(|field| field.known == Known::Connection);
        let connection_bytes: usize = of_connection.map(|field| field.value.len()).sum();
        if connection_bytes > CONNECTION_BYTES_MAX { Err(Malformed::ConnectionTooLong) } else { Ok(()) }
    }

    /// The one Content-Length, `None` without any.
    #[inline]
    pub(super) fn content_length(&self, head: &[u8]) -> Result<Option<u64>, Malformed> {
        let Some(digits) = self.find(Known::ContentLength) else { return Ok(None) };
        if self.count(Known::ContentLength) > 1 {
            return Err(Malformed::ContentLengthTwice);
        }
        decimal(digits.of(head)).map(Some).ok_or(Malformed::ContentLength)
    }

    /// Whether the body is chunked. Any other coding, or two of them, is refused.
    #[inline]
    pub(super) fn is_chunked(&self, head: &[u8]) -> Result<bool, Malformed> {
        let Some(coding) = self.find(Known::TransferEncoding) else { return Ok(false) };
        let is_it =
            self.count(Known::TransferEncoding) == 1 && coding.of(head).eq_ignore_ascii_case(b"chunked");
        if is_it { Ok(true) } else { Err(Malformed::TransferEncoding) }
    }
}

/// The protocol version of a head. Anything else is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    V10,
    #[default]
    V11,
}

impl Version {
    pub(super) fn from_minor(minor: Option<u8>) -> Result<Version, Malformed> {
        match minor {
            Some(0) => Ok(Version::V10),
            Some(1) => Ok(Version::V11),
            _ => Err(Malformed::Version),
        }
    }
}

/// Room for the headers of one head while httparse looks at it; it writes what it uses.
pub(super) type Table<'h> = [MaybeUninit<httparse::Header<'h>>; HEADERS_COUNT_MAX];

pub(super) fn table<'h>() -> Table<'h> {
    [const { MaybeUninit::uninit() }; HEADERS_COUNT_MAX]
}

/// What httparse's errors mean in our words. Line ends were judged before.
pub(super) fn from_httparse(error: httparse::Error, first_line: Malformed) -> Malformed {
    match error {
        httparse::Error::HeaderName => Malformed::HeaderName,
        httparse::Error::HeaderValue => Malformed::HeaderValue,
        httparse::Error::TooManyHeaders => Malformed::TooManyHeaders,
        httparse::Error::Version => Malformed::Version,
        httparse::Error::NewLine => Malformed::BareCarriageReturn,
        _ => first_line,
    }
}

/// The place of a slice inside the head that it was cut from.
pub(super) fn place(head: &[u8], part: &[u8]) -> Span {
    if part.is_empty() {
        return Span::default();
    }
    let start = part.as_ptr() as usize - head.as_ptr() as usize;
    Span::new(start, start + part.len())
}

/// A decimal number of digits only, at most 2^53 (RFC 9110 §8.6 says `1*DIGIT`).
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut value = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    (value <= crate::base::limits::BODY_LENGTH_MAX).then_some(value)
}

/// A control character as header values judge it: below space, or DEL.
pub(super) fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7F
}

fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests;
