//! The few shapes that records are made of, as bytes: numbers of variable length, texts with their length in front.
//! Reading never panics and never allocates; what is cut or wrong gives `None`.

/// Appends a number: seven bits a byte, the lowest first, the top bit says that more follow.
pub fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a number that may be unknown: zero, or one more than the number.
pub fn put_optional(out: &mut Vec<u8>, number: Option<u64>) {
    put_number(out, number.map_or(0, |number| number.saturating_add(1)));
}

pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()) {
        // Many of a record are empty.
        Ok(0) => return out.push(0),
        // Most others are this short: one byte and the text, with one look at the room for both.
        Ok(len @ 1..0x80) => {
            out.reserve(1 + text.len());
            out.push(len);
        }
        _ => put_number(out, text.len() as u64),
    }
    out.extend_from_slice(text);
}

/// Appends a text of which at most that many bytes count, cut between two characters.
pub fn put_cut(out: &mut Vec<u8>, text: &str, bytes_max: usize) {
    let mut end = text.len();
    if end <= bytes_max {
        return put_text(out, text.as_bytes());
    }
    end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    put_text(out, &text.as_bytes()[..end]);
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub struct Take<'a>(pub &'a [u8]);

impl<'a> Take<'a> {
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub fn optional(&mut self) -> Option<Option<u64>> {
        Some(self.number()?.checked_sub(1))
    }

    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.raw()?).ok()
    }

    pub fn raw(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.bytes(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, number);
            assert_eq!(Take(&out).number(), Some(number));
            for cut in 0..out.len() {
                assert_eq!(Take(&out[..cut]).number(), None, "{number} cut at {cut}");
            }
            out.clear();
            put_optional(&mut out, Some(number));
            assert_eq!(Take(&out).optional(), Some(Some(number.min(u64::MAX - 1))));
        }
        assert_eq!(Take(&[0xFF; 10]).number(), None, "more than 64 bits");
        assert_eq!(Take(&[0]).optional(), Some(None));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut out = Vec::new();
        put_cut(&mut out, "grüße", 3);
        assert_eq!(Take(&out).text(), Some("gr"));
    }
}
