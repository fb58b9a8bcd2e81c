//! Base64 (RFC 4648 §4): for a header, for embeddings, and for signatures of thoughts.

/// The bytes in base64, padded.
pub fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word =
            group.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for index in 0..4 {
            let digit =
                if index <= group.len() { DIGITS[(word >> (18 - 6 * index) & 63) as usize] } else { b'=' };
            out.push(digit as char);
        }
    }
    out
}

/// The same in the alphabet for URLs (RFC 4648 §5), without padding.
pub fn base64_url(bytes: &[u8]) -> String {
    base64(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// The bytes of a text in either alphabet, with padding or without; `None` when it is no base64.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 3);
    let (mut word, mut bits) = (0_u32, 0);
    for &digit in digits {
        word = (word << 6 | value_of(digit)?) & 0xFFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits & 0xFF) as u8);
        }
    }
    Some(bytes)
}

fn value_of(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_come_out() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
            assert_eq!(unbase64(coded).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(
            (base64(b"\xfb\xff\xfe?"), base64_url(b"\xfb\xff\xfe?")),
            ("+//+Pw==".into(), "-__-Pw".into())
        );
        assert_eq!(unbase64("-__-Pw").as_deref(), Some(&b"\xfb\xff\xfe?"[..]));
        assert_eq!(unbase64("a b"), None);
    }
}
