//! Sixteen bytes judged together. The only file of the room with unsafe code; the slow twins are `text::find_in_words` and,
//! for heads, the portable functions below.

/// How many bytes are judged together.
pub(in crate::wire) const BLOCK_BYTES: usize = 16;

/// The sixteen bytes from `at` on, filled up with zero bytes behind the end. `None` at the end, and when all of the bytes are
/// less than a block.
#[inline]
pub(in crate::wire) fn padded_block(bytes: &[u8], at: usize) -> Option<[u8; BLOCK_BYTES]> {
    if let Some(block) = bytes.get(at..)?.first_chunk::<BLOCK_BYTES>() {
        return Some(*block);
    }
    let rest = bytes.len() - at;
    let last = u128::from_le_bytes(*bytes.last_chunk::<BLOCK_BYTES>()?);
    (rest > 0).then(|| (last >> (8 * (BLOCK_BYTES - rest))).to_le_bytes())
}

/// One bit for each byte that is a quote, a backslash or a control byte; with `WIDE` also for those that are not ASCII.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "the compiler does not count a target's own features when it judges such a call"
)]
#[inline]
pub(super) fn block_marks<const WIDE: bool>(block: &[u8; BLOCK_BYTES]) -> u32 {
    // SAFETY: SSE2 belongs to every x86-64 processor, so the function's only condition is met.
    unsafe { marks::<WIDE>(block) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn marks<const WIDE: bool>(block: &[u8; BLOCK_BYTES]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    let bytes = loaded(block);
    let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
    let backslashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
    // Read with a sign, bytes that are no ASCII are negative, and so below the controls.
    let low = match WIDE {
        true => _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)),
        false => _mm_cmpeq_epi8(bytes, _mm_min_epu8(bytes, _mm_set1_epi8(0x1F))),
    };
    _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, backslashes), low)) as u32
}

/// One bit for each byte that is a quote, a backslash or a control byte; with `WIDE` also for those that are not ASCII.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn block_marks<const WIDE: bool>(block: &[u8; BLOCK_BYTES]) -> u32 {
    naive_marks(block, |byte| matches!(byte, b'"' | b'\\' | 0..0x20) || (WIDE && byte >= 0x80))
}

/// One bit for each byte that is below `LOWEST`, or DEL, or not ASCII. `LOWEST` is ASCII.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "the compiler does not count a target's own features when it judges such a call"
)]
#[inline]
pub(in crate::wire) fn odd_marks<const LOWEST: u8>(block: &[u8; BLOCK_BYTES]) -> u32 {
    // SAFETY: SSE2 belongs to every x86-64 processor, so the function's only condition is met.
    unsafe { below_marks::<LOWEST>(block) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn below_marks<const LOWEST: u8>(block: &[u8; BLOCK_BYTES]) -> u32 {
    use std::arch::x86_64::{_mm_add_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_set1_epi8};
    // One more, read with a sign: DEL and all bytes above it are negative or zero then, and so below as well.
    let raised = _mm_add_epi8(loaded(block), _mm_set1_epi8(1));
    _mm_movemask_epi8(_mm_cmplt_epi8(raised, _mm_set1_epi8(LOWEST as i8 + 1))) as u32
}

/// One bit for each byte that is this one.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "the compiler does not count a target's own features when it judges such a call"
)]
#[inline]
pub(in crate::wire) fn equal_marks(block: &[u8; BLOCK_BYTES], byte: u8) -> u32 {
    // SAFETY: SSE2 belongs to every x86-64 processor, so the function's only condition is met.
    unsafe { same_marks(block, byte) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn same_marks(block: &[u8; BLOCK_BYTES], byte: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set1_epi8};
    _mm_movemask_epi8(_mm_cmpeq_epi8(loaded(block), _mm_set1_epi8(byte as i8))) as u32
}

/// One bit for each byte that is no letter, digit, dash or underscore.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "the compiler does not count a target's own features when it judges such a call"
)]
#[inline]
pub(in crate::wire) fn name_end_marks(block: &[u8; BLOCK_BYTES]) -> u32 {
    // SAFETY: SSE2 belongs to every x86-64 processor, so the function's only condition is met.
    unsafe { no_name_marks(block) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn no_name_marks(block: &[u8; BLOCK_BYTES]) -> u32 {
    use std::arch::x86_64::{
        _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    let bytes = loaded(block);
    // The first of a range is moved to the lowest number with a sign, so that one comparison tells the range.
    let lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    let from_a = _mm_add_epi8(lower, _mm_set1_epi8((0x80 - b'a') as i8));
    let letters = _mm_cmplt_epi8(from_a, _mm_set1_epi8(i8::MIN + 26));
    let from_zero = _mm_add_epi8(bytes, _mm_set1_epi8((0x80 - b'0') as i8));
    let digits = _mm_cmplt_epi8(from_zero, _mm_set1_epi8(i8::MIN + 10));
    let dashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'-' as i8));
    let underscores = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'_' as i8));
    let names = _mm_or_si128(_mm_or_si128(letters, digits), _mm_or_si128(dashes, underscores));
    _mm_movemask_epi8(names) as u32 ^ 0xFFFF
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn loaded(block: &[u8; BLOCK_BYTES]) -> std::arch::x86_64::__m128i {
    let word = u128::from_le_bytes(*block);
    std::arch::x86_64::_mm_set_epi64x((word >> 64) as i64, word as i64)
}

/// One bit for each byte that is below `LOWEST`, or DEL, or not ASCII. `LOWEST` is ASCII.
#[cfg(not(target_arch = "x86_64"))]
pub(in crate::wire) fn odd_marks<const LOWEST: u8>(block: &[u8; BLOCK_BYTES]) -> u32 {
    naive_marks(block, |byte| !(LOWEST..0x7F).contains(&byte))
}

/// One bit for each byte that is this one.
#[cfg(not(target_arch = "x86_64"))]
pub(in crate::wire) fn equal_marks(block: &[u8; BLOCK_BYTES], byte: u8) -> u32 {
    naive_marks(block, |other| other == byte)
}

/// One bit for each byte that is no letter, digit, dash or underscore.
#[cfg(not(target_arch = "x86_64"))]
pub(in crate::wire) fn name_end_marks(block: &[u8; BLOCK_BYTES]) -> u32 {
    naive_marks(block, |byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_'))
}

/// The slow twin of all these functions.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn naive_marks(block: &[u8; BLOCK_BYTES], is_marked: impl Fn(u8) -> bool) -> u32 {
    block.iter().rev().fold(0, |marks, &byte| marks << 1 | u32::from(is_marked(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_at_the_end_is_filled_up() {
        let bytes: Vec<u8> = (1..=40).collect();
        for length in 0..=bytes.len() {
            for at in 0..=length + 1 {
                let rest = bytes[..length].get(at..).filter(|rest| !rest.is_empty() && length >= BLOCK_BYTES);
                let want =
                    rest.map(|rest| std::array::from_fn(|index| rest.get(index).copied().unwrap_or(0)));
                assert_eq!(padded_block(&bytes[..length], at), want, "{at} of {length}");
            }
        }
    }

    #[test]
    fn blocks_of_heads_are_marked_as_the_twin_does() {
        let mut random = crate::wire::fuzz::Random::new(11);
        for round in 0..20_000 {
            // Every byte stands at every place at least once.
            let mut block: [u8; BLOCK_BYTES] = std::array::from_fn(|_| random.below(256) as u8);
            block[round % BLOCK_BYTES] = (round / BLOCK_BYTES) as u8;
            assert_eq!(odd_marks::<b' '>(&block), naive_marks(&block, |byte| !(0x20..0x7F).contains(&byte)));
            assert_eq!(odd_marks::<b'!'>(&block), naive_marks(&block, |byte| !(0x21..0x7F).contains(&byte)));
            let is_name_end = |byte: u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_');
            assert_eq!(name_end_marks(&block), naive_marks(&block, is_name_end));
            for byte in [b'\r', b'\n', b':', block[3]] {
                assert_eq!(equal_marks(&block, byte), naive_marks(&block, |other| other == byte));
            }
        }
    }
}
