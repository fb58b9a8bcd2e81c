//! Sixteen bytes of a text judged together. The only file of the room with unsafe code; its slow twin is
//! `text::find_in_words`.

/// How many bytes are judged together.
pub(super) const BLOCK_BYTES: usize = 16;

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
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let word = u128::from_le_bytes(*block);
    let bytes = _mm_set_epi64x((word >> 64) as i64, word as i64);
    let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
    let backslashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
    let controls = _mm_cmpeq_epi8(bytes, _mm_min_epu8(bytes, _mm_set1_epi8(0x1F)));
    let stops = _mm_or_si128(_mm_or_si128(quotes, backslashes), controls);
    // The mask takes the highest bit of each byte: that of the byte itself marks it as no ASCII.
    _mm_movemask_epi8(if WIDE { _mm_or_si128(stops, bytes) } else { stops }) as u32
}

/// One bit for each byte that is a quote, a backslash or a control byte; with `WIDE` also for those that are not ASCII.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn block_marks<const WIDE: bool>(block: &[u8; BLOCK_BYTES]) -> u32 {
    let stops = |byte: u8| matches!(byte, b'"' | b'\\' | 0..0x20) || (WIDE && byte >= 0x80);
    block.iter().rev().fold(0, |marks, &byte| marks << 1 | u32::from(stops(byte)))
}
