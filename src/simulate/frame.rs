//! Frames of `application/vnd.amazon.eventstream`, writing only: lengths, headers, payload, both checksums.

/// An event with a JSON payload.
pub fn event(kind: &str, payload: &[u8]) -> Vec<u8> {
    frame(
        &[(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")],
        payload,
    )
}

/// An exception with a JSON payload.
pub fn exception(kind: &str, payload: &[u8]) -> Vec<u8> {
    frame(
        &[(":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")],
        payload,
    )
}

/// Numbers are big-endian: total length, length of the headers, CRC-32 of these eight bytes, headers, payload, CRC-32 of
/// all before it.
fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        lines.push(name.len() as u8);
        lines.extend_from_slice(name.as_bytes());
        lines.push(TYPE_STRING);
        lines.extend_from_slice(&(value.len() as u16).to_be_bytes());
        lines.extend_from_slice(value.as_bytes());
    }
    let total = (PRELUDE_BYTES + lines.len() + payload.len() + CRC_BYTES) as u32;
    let mut out = Vec::with_capacity(total as usize);
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&(lines.len() as u32).to_be_bytes());
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out.extend_from_slice(&lines);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out
}

/// The checksum of IEEE 802.3.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut crc, mut bit) = (at as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
}

const POLYNOMIAL: u32 = 0xEDB8_8320;
const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;
/// The type of a header's value.
const TYPE_STRING: u8 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        for (text, want) in [("", 0), ("123456789", 0xCBF4_3926), ("a", 0xE8B7_BE43)] {
            assert_eq!(crc32(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn a_frame_states_its_lengths_and_sums() {
        let frame = event("messageStop", b"{}");
        let number = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        assert_eq!(number(0) as usize, frame.len());
        assert_eq!(number(8), crc32(&frame[..8]));
        assert_eq!(number(frame.len() - 4), crc32(&frame[..frame.len() - 4]));
        let payload_at = PRELUDE_BYTES + number(4) as usize;
        assert_eq!(&frame[payload_at..frame.len() - 4], b"{}");
        assert!(frame[PRELUDE_BYTES..].starts_with(b"\x0b:event-type\x07\x00\x0bmessageStop"));
        assert!(exception("x", b"{}").windows(15).any(|window| window == b":exception-type"));
    }
}
