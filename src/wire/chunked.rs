//! Chunked bodies (RFC 9112 §7.1): framing in, places of data out. Keeps no bytes; extensions and trailers are dropped.

use super::head::is_control;
use super::write::is_token_byte;
use super::{Malformed, Step};
use crate::base::Span;
use crate::base::limits::{
    CHUNK_EXTENSION_BYTES_MAX, CHUNK_EXTENSIONS_BYTES_MAX, CHUNK_SIZE_DIGITS_MAX, CHUNK_SIZE_ZEROS_MAX,
    TRAILER_BYTES_MAX,
};

/// The decoder of one chunked body, over any number of inputs.
#[derive(Clone, Debug, Default)]
pub struct Chunked {
    state: State,
    /// Digits of the size read so far, and how many of them were leading zeros.
    digits: usize,
    zeros: usize,
    size: u64,
    extension_bytes: usize,
    extensions_bytes: usize,
    trailer_bytes: usize,
    line_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

impl Chunked {
    /// Takes more of the body and appends the places of its data in this input to `out`. `Done` comes after the CRLF
    /// behind the last chunk and the trailers.
    pub fn step(&mut self, input: &[u8], out: &mut Vec<Span>) -> Step {
        let mut at = 0;
        while at < input.len() {
            if self.state == State::Data {
                let rest = input.len() - at;
                let take = usize::try_from(self.size).map_or(rest, |size| size.min(rest));
                out.push(Span::new(at, at + take));
                at += take;
                self.size -= take as u64;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            match self.byte(input[at]) {
                Ok(false) => at += 1,
                Ok(true) => return Step::Done { used: at + 1 },
                Err(bad) => return Step::Bad(bad),
            }
        }
        Step::More
    }

    /// Whether nothing of the body has been seen.
    pub fn is_at_start(&self) -> bool {
        self.state == State::Size && self.digits == 0 && self.extensions_bytes == 0
    }

    /// One byte of framing; true when it was the last.
    fn byte(&mut self, byte: u8) -> Result<bool, Malformed> {
        self.state = match (self.state, byte) {
            (State::Size, _) => self.size_byte(byte)?,
            (State::Extension, _) => self.extension_byte(byte)?,
            (State::SizeLf, b'\n') if self.size == 0 => State::TrailerStart,
            (State::SizeLf, b'\n') => State::Data,
            (State::SizeLf, _) => return Err(Malformed::ChunkSize),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                (self.digits, self.zeros, self.extension_bytes) = (0, 0, 0);
                State::Size
            }
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::Trailer, _) => self.trailer_byte(byte)?,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => return Ok(true),
            (State::TrailerLf | State::EndLf, _) => return Err(Malformed::Trailer),
            (State::Data | State::DataCr | State::DataLf, _) => return Err(Malformed::ChunkEnd),
        };
        Ok(false)
    }

    fn size_byte(&mut self, byte: u8) -> Result<State, Malformed> {
        let Some(digit) = (byte as char).to_digit(16) else {
            return match byte {
                b'\r' if self.digits > 0 => Ok(State::SizeLf),
                b';' if self.digits > 0 => Ok(State::Extension),
                _ => Err(Malformed::ChunkSize),
            };
        };
        if self.digits == 0 {
            self.size = 0;
        }
        self.zeros += usize::from(digit == 0 && self.zeros == self.digits);
        self.digits += 1;
        // A single "0" is the last chunk's size; more zeros than that in front are somebody probing.
        if self.digits > CHUNK_SIZE_DIGITS_MAX || self.zeros > CHUNK_SIZE_ZEROS_MAX {
            return Err(Malformed::ChunkSize);
        }
        self.size = self.size << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn extension_byte(&mut self, byte: u8) -> Result<State, Malformed> {
        if byte == b'\r' {
            return Ok(State::SizeLf);
        }
        self.extension_bytes += 1;
        self.extensions_bytes += 1;
        let is_too_long = self.extension_bytes > CHUNK_EXTENSION_BYTES_MAX
            || self.extensions_bytes > CHUNK_EXTENSIONS_BYTES_MAX;
        if is_too_long || (is_control(byte) && byte != b'\t') {
            return Err(Malformed::ChunkExtension);
        }
        Ok(State::Extension)
    }

    /// A byte of a trailer line, which is checked for its shape (`token:`) and dropped.
    fn trailer_byte(&mut self, byte: u8) -> Result<State, Malformed> {
        let starts_line = self.state == State::TrailerStart;
        self.trailer_bytes += 1;
        if starts_line {
            self.line_bytes = 0;
        }
        let in_name = self.line_bytes != COLON_SEEN;
        let is_bad_name = in_name && !is_token_byte(byte) && (starts_line || !matches!(byte, b':' | b'\r'));
        let is_bad = is_bad_name || (is_control(byte) && byte != b'\t' && byte != b'\r');
        if is_bad || self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(Malformed::Trailer);
        }
        if byte == b'\r' {
            // A line without a colon is no trailer.
            return if self.line_bytes == COLON_SEEN {
                Ok(State::TrailerLf)
            } else {
                Err(Malformed::Trailer)
            };
        }
        if byte == b':' {
            self.line_bytes = COLON_SEEN;
        }
        Ok(State::Trailer)
    }
}

/// Appends the line in front of a chunk of `size` bytes. The chunk is closed by CRLF, the body by [`LAST_CHUNK`].
pub fn write_chunk_head(size: usize, out: &mut Vec<u8>) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for index in (0..digits).rev() {
        out.push(b"0123456789abcdef"[size >> (4 * index) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// What follows a piece of `size` bytes in a chunked body: the end of its chunk, where it made one, and the body's end
/// behind the last.
pub fn chunk_tail(size: usize, is_last: bool) -> &'static [u8] {
    match (size > 0, is_last) {
        (false, false) => b"",
        (true, false) => b"\r\n",
        (false, true) => LAST_CHUNK,
        (true, true) => b"\r\n0\r\n\r\n",
    }
}

/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

const COLON_SEEN: usize = usize::MAX;

#[cfg(test)]
mod tests;
