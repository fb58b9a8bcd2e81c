//! Numbers as decimal digits, without the machinery of formatting: heads hold several of them, and every answer has a head.

/// The digits of a number.
pub struct Digits {
    space: [u8; DIGITS_MAX],
    first: usize,
}

impl Digits {
    #[inline]
    pub fn of(mut value: u64) -> Digits {
        let (mut space, mut first) = ([0; DIGITS_MAX], DIGITS_MAX);
        // Two at a time: each division waits for the one before it.
        while value >= 10 {
            first -= 2;
            let pair = 2 * (value % 100) as usize;
            (space[first], space[first + 1]) = (PAIRS[pair], PAIRS[pair + 1]);
            value /= 100;
        }
        if value > 0 || first == DIGITS_MAX {
            first -= 1;
            space[first] = b'0' + value as u8;
        }
        Digits { space, first }
    }

    /// At least one digit, and no zero in front of others.
    #[inline]
    pub fn text(&self) -> &[u8] {
        &self.space[self.first..]
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.text()).unwrap_or_default()
    }
}

/// The two digits of every number below 100.
const PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut number = 0;
    while number < 100 {
        (pairs[2 * number], pairs[2 * number + 1]) = (b'0' + (number / 10) as u8, b'0' + (number % 10) as u8);
        number += 1;
    }
    pairs
};

/// The digits of 2^64 - 1.
const DIGITS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for value in [0, 1, 9, 10, 11, 99, 100, 101, 1_000, 12_345_678_901, u64::MAX - 1, u64::MAX] {
            assert_eq!(Digits::of(value).text(), value.to_string().as_bytes());
        }
    }
}
