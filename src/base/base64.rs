//! Base64 (RFC 4648 §4), writing only: for one header and for the simulated provider's embeddings.

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

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_come_out() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(
            (base64(b"\xfb\xff\xfe?"), base64_url(b"\xfb\xff\xfe?")),
            ("+//+Pw==".into(), "-__-Pw".into())
        );
    }
}
