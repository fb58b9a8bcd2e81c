//! `application/vnd.amazon.eventstream`, the binary stream of AWS: bytes in, frame places out. Keeps no bytes, allocates
//! nothing, and hands out no frame whose checksums are not right.
//!
//! A frame is a prelude of three big-endian words (its whole length, the length of its headers, the CRC-32 of these two),
//! its headers, its payload, and the CRC-32 of everything before. Source: the format as Smithy's specification of
//! `Amazon Event Stream` and the developer guide of Amazon Transcribe ("Event stream encoding") give it.

use crate::base::Span;
use crate::base::limits::{FRAME_BYTES_MAX, FRAME_HEADERS_BYTES_MAX};

/// Splits a stream into frames. The caller keeps the bytes of the unfinished frame, always passes them from its first
/// byte, and drops `used` bytes after each frame. Bytes that are left when the stream ends are a frame that was cut.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// How far the unfinished frame has been looked at, and the checksum of that much (0 and 0 before its prelude).
    looked_at: usize,
    crc: u32,
}

/// What there is at the input's front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameStep {
    /// No frame ends in this input.
    More,
    Frame(Frame),
    /// The bytes are no frame. There is no way to find the next one: the stream is over.
    Bad(FrameFault),
}

/// One frame, as places in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of the input that the frame takes.
    pub used: usize,
    pub kind: FrameKind,
    /// The value of `:event-type`, `:exception-type` or `:error-code`, as the kind of the frame has it.
    pub name: Option<Span>,
    /// The value of `:error-message`: what a frame of the kind [`FrameKind::Error`] has to say, in place of a payload.
    pub error_message: Option<Span>,
    pub payload: Span,
}

/// The value of `:message-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    Event,
    /// An error that the service's model knows; its payload says more.
    Exception,
    /// An error that it does not know.
    Error,
    /// None of these, or none at all.
    Other,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// The checksum of the prelude is not right: this is no frame's beginning.
    Prelude,
    /// The lengths contradict each other or are beyond what the format allows.
    Length,
    /// The checksum of the whole frame is not right.
    Checksum,
    /// The headers do not fill their place, or one is of a type that there is not.
    Headers,
}

impl FrameFault {
    /// What the log is told.
    pub fn sentence(self) -> &'static str {
        match self {
            FrameFault::Prelude => "The provider sent an event whose prelude does not match its checksum.",
            FrameFault::Length => "The provider sent an event with lengths that cannot be.",
            FrameFault::Checksum => "The provider sent an event that does not match its checksum.",
            FrameFault::Headers => "The provider sent an event whose headers cannot be read.",
        }
    }
}

impl Frames {
    /// Looks for the end of the frame that begins at the input's first byte. No byte is looked at twice. After
    /// [`FrameStep::Bad`] it must not be called again.
    pub fn next(&mut self, input: &[u8]) -> FrameStep {
        let Some(prelude) = input.first_chunk::<PRELUDE_BYTES>() else { return FrameStep::More };
        let (frame_bytes, headers_bytes) = (word(prelude, 0) as usize, word(prelude, 4) as usize);
        if self.looked_at == 0 {
            if crc32(0, &prelude[..8]) != word(prelude, 8) {
                return FrameStep::Bad(FrameFault::Prelude);
            }
            let is_possible = frame_bytes <= FRAME_BYTES_MAX
                && headers_bytes <= FRAME_HEADERS_BYTES_MAX
                && frame_bytes >= PRELUDE_BYTES + headers_bytes + CRC_BYTES;
            if !is_possible {
                return FrameStep::Bad(FrameFault::Length);
            }
        }
        let crc_at = frame_bytes - CRC_BYTES;
        let until = crc_at.min(input.len());
        self.crc = crc32(self.crc, &input[self.looked_at..until]);
        self.looked_at = until;
        let Some(crc) = input.get(crc_at..frame_bytes) else { return FrameStep::More };
        if word(crc, 0) != self.crc {
            return FrameStep::Bad(FrameFault::Checksum);
        }
        *self = Frames::default();
        let headers_end = PRELUDE_BYTES + headers_bytes;
        let mut frame = Frame {
            used: frame_bytes,
            kind: FrameKind::Other,
            name: None,
            error_message: None,
            payload: Span::new(headers_end, crc_at),
        };
        match read_headers(input, Span::new(PRELUDE_BYTES, headers_end), &mut frame) {
            Some(()) => FrameStep::Frame(frame),
            None => FrameStep::Bad(FrameFault::Headers),
        }
    }
}

/// Reads the headers that matter; all others are skipped by their length. `None` when they do not fill their place exactly.
fn read_headers(input: &[u8], place: Span, frame: &mut Frame) -> Option<()> {
    let (mut event, mut exception, mut error) = (None, None, None);
    let mut rest = place.of(input);
    while let Some((&name_bytes, behind)) = rest.split_first() {
        let (name, behind) = behind.split_at_checked(name_bytes.into()).filter(|_| name_bytes > 0)?;
        let (&kind, behind) = behind.split_first()?;
        let (front, value_bytes) = value_bytes(kind, behind)?;
        let value_at = place.end as usize - behind.len() + front;
        let (value, behind) = behind[front..].split_at_checked(value_bytes)?;
        let value_place = Span::new(value_at, value_at + value_bytes);
        match name {
            _ if kind != STRING => {}
            b":message-type" => frame.kind = kind_of(value),
            b":event-type" => event = Some(value_place),
            b":exception-type" => exception = Some(value_place),
            b":error-code" => error = Some(value_place),
            b":error-message" => frame.error_message = Some(value_place),
            _ => {}
        }
        rest = behind;
    }
    frame.name = match frame.kind {
        FrameKind::Event => event,
        FrameKind::Exception => exception,
        FrameKind::Error => error,
        FrameKind::Other => None,
    };
    Some(())
}

fn kind_of(value: &[u8]) -> FrameKind {
    match value {
        b"event" => FrameKind::Event,
        b"exception" => FrameKind::Exception,
        b"error" => FrameKind::Error,
        _ => FrameKind::Other,
    }
}

/// The bytes in front of a header's value (a length of two bytes, or nothing), and those of the value.
fn value_bytes(kind: u8, behind: &[u8]) -> Option<(usize, usize)> {
    Some(match kind {
        // True and false, which are their own value.
        0 | 1 => (0, 0),
        // Whole numbers of one, two, four and eight bytes; the last of these kinds is a time.
        2 => (0, 1),
        3 => (0, 2),
        4 => (0, 4),
        5 | 8 => (0, 8),
        BYTES | STRING => (2, usize::from(u16::from_be_bytes(*behind.first_chunk()?))),
        UUID => (0, 16),
        _ => return None,
    })
}

/// The big-endian word at this place.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// Goes on with a CRC-32 (IEEE 802.3, reflected, as in gzip; RFC 1952 §8): 0 is the one of no bytes.
pub(super) fn crc32(before: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!before, |crc, &byte| CRC_TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

/// What each byte does to a checksum.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;

/// Types of headers.
const BYTES: u8 = 6;
const STRING: u8 = 7;
const UUID: u8 = 9;

#[cfg(test)]
mod tests;
