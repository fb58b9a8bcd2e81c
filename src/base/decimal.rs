//! Numbers as decimal digits, without the machinery of formatting: heads hold several of them, and every answer has a head.

/// The digits of a number.
pub struct Digits {
    space: [u8; DIGITS_MAX],
    first: usize,
}

impl Digits {
    #[inline]
    pub fn of(value: u64) -> Digits {
        let mut space = [b'0'; DIGITS_MAX];
        let end = DIGITS_MAX - 8;
        let lowest = eight(value % EIGHT);
        space[end..].copy_from_slice(&text_of(lowest));
        if value < EIGHT {
            return Digits { space, first: end + zeros_in_front(lowest) };
        }
        let upper = value / EIGHT;
        let middle = eight(upper % EIGHT);
        space[end - 8..end].copy_from_slice(&text_of(middle));
        if upper < EIGHT {
            return Digits { space, first: end - 8 + zeros_in_front(middle) };
        }
        let highest = eight(upper / EIGHT);
        space[end - 16..end - 8].copy_from_slice(&text_of(highest));
        Digits { space, first: end - 16 + zeros_in_front(highest) }
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

/// Appends the digits of a number, always eight or sixteen at once; what is behind the last one is taken away again. That is
/// less work than a copy whose length has to be looked at.
pub fn append(value: u64, out: &mut Vec<u8>) {
    if value < EIGHT {
        let digits = eight(value);
        let zeros = zeros_in_front(digits);
        out.extend_from_slice(&text_of(digits >> (8 * zeros)));
        return out.truncate(out.len() - zeros);
    }
    let (upper, lower) = (value / EIGHT, value % EIGHT);
    if upper >= EIGHT {
        append(upper, out);
        return out.extend_from_slice(&text_of(eight(lower)));
    }
    let upper = eight(upper);
    let zeros = zeros_in_front(upper);
    let digits = u128::from(upper) | u128::from(eight(lower)) << 64;
    out.extend_from_slice(&(digits >> (8 * zeros) | ZEROS).to_le_bytes());
    out.truncate(out.len() - zeros);
}

/// The eight digits of a number below 10^8, all of them at once: halves, quarters and digits lie side by side, and a division is a
/// multiplication that is exact for numbers as small as these. The first digit is the lowest byte.
#[inline]
fn eight(value: u64) -> u64 {
    const HALVES: u64 = 0x0000_007F_0000_007F;
    const QUARTERS: u64 = 0x000F_000F_000F_000F;
    let halves = (value / 10_000) | (value % 10_000) << 32;
    let hundreds = (halves * 10_486) >> 20 & HALVES;
    let quarters = hundreds | (halves - hundreds * 100) << 16;
    let tens = (quarters * 103) >> 10 & QUARTERS;
    tens | (quarters - tens * 10) << 8
}

#[inline]
fn text_of(digits: u64) -> [u8; 8] {
    (digits | u64::from_le_bytes([b'0'; 8])).to_le_bytes()
}

/// How many of eight digits are zeros before the first other one; the last digit counts as another.
#[inline]
fn zeros_in_front(digits: u64) -> usize {
    (digits.trailing_zeros() / 8).min(7) as usize
}

/// Sixteen digits `0`.
const ZEROS: u128 = u128::from_le_bytes([b'0'; 16]);

const EIGHT: u64 = 100_000_000;

/// Room for three times eight digits: 2^64 - 1 has 20.
const DIGITS_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(value: u64) -> String {
        let mut out = b"x".to_vec();
        append(value, &mut out);
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for value in [0, 1, 9, 10, 11, 99, 100, 101, 1_000, 12_345_678_901, u64::MAX - 1, u64::MAX] {
            assert_eq!(Digits::of(value).text(), value.to_string().as_bytes());
            assert_eq!(appended(value), format!("x{value}"));
        }
        for value in 0..100_000 {
            for value in [value, value * 1_000 + value % 997, value * 104_729 * 999_983] {
                assert_eq!(Digits::of(value).as_str(), value.to_string());
                assert_eq!(appended(value), format!("x{value}"));
            }
        }
        for power in 0..64 {
            for value in [(1 << power) - 1, 1 << power, 10_u64.saturating_pow(power) - 1] {
                assert_eq!(Digits::of(value).as_str(), value.to_string());
                assert_eq!(appended(value), format!("x{value}"));
            }
        }
        for power in 0..19 {
            for value in [10_u64.pow(power) - 1, 10_u64.pow(power), 10_u64.pow(power) + 7] {
                assert_eq!(appended(value), format!("x{value}"));
            }
        }
    }
}
