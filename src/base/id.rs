//! Request ids: UUID version 7 (RFC 9562 §5.7), made on a shard without a lock or a system call.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};

/// A shard's source of ids. Two sources never give the same id, but for a chance of 2^-62 per millisecond.
pub struct Ids {
    state: Cell<u64>,
}

/// The 36 characters of an id.
pub type IdText = [u8; 36];

impl Default for Ids {
    fn default() -> Self {
        // RandomState is seeded by the operating system, afresh in every call.
        let seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
        Ids { state: Cell::new(seed | 1) }
    }
}

impl Ids {
    /// The next pseudo-random number (xorshift64*); good enough for ids and jitter, not for secrets.
    pub fn random(&self) -> u64 {
        let mut x = self.state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.state.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// An id of this moment, given as milliseconds of the Unix epoch.
    pub fn next(&self, wall_ms: u64) -> IdText {
        let (first, second) = self.halves(wall_ms);
        text(first, second)
    }

    /// The same as a number.
    pub fn next_number(&self, wall_ms: u64) -> u128 {
        let (first, second) = self.halves(wall_ms);
        u128::from(first) << 64 | u128::from(second)
    }

    /// The text of an id that was made as a number.
    pub fn text_of(number: u128) -> IdText {
        text((number >> 64) as u64, number as u64)
    }

    fn halves(&self, wall_ms: u64) -> (u64, u64) {
        let (high, low) = (self.random(), self.random());
        ((wall_ms << 16) | 0x7000 | (high & 0x0FFF), (low >> 2) | (1 << 63))
    }
}

/// The digits in groups of 8, 4, 4, 4 and 12 with dashes between them.
fn text(first: u64, second: u64) -> IdText {
    let mut out = [b'-'; 36];
    let (middle, next) = (hex(first as u32), hex((second >> 32) as u32));
    out[..8].copy_from_slice(&hex((first >> 32) as u32));
    out[9..13].copy_from_slice(&middle[..4]);
    out[14..18].copy_from_slice(&middle[4..]);
    out[19..23].copy_from_slice(&next[..4]);
    out[24..28].copy_from_slice(&next[4..]);
    out[28..].copy_from_slice(&hex(second as u32));
    out
}

/// The eight hexadecimal digits of a number, all of them at once.
fn hex(number: u32) -> [u8; 8] {
    const EVERY_BYTE: u64 = u64::from_le_bytes([1; 8]);
    // Halves are moved apart until each digit has a byte of its own, the highest first.
    let mut spread = u64::from(number);
    spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF;
    spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF;
    spread = (spread | spread << 4) & (EVERY_BYTE * 0x0F);
    // A digit of ten or more reaches 16 when six is added; the letters do not stand right behind the digits.
    let letters = ((spread + EVERY_BYTE * 6) >> 4) & EVERY_BYTE;
    (spread + EVERY_BYTE * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_time_version_and_variant() {
        let id = Ids::default().next(0x0123_4567_89AB);
        let id = std::str::from_utf8(&id).unwrap();
        assert!(id.starts_with("01234567-89ab-7"), "{id}");
        assert!("89ab".contains(&id[19..20]), "{id}");
        assert_eq!(id.match_indices('-').map(|(at, _)| at).collect::<Vec<_>>(), [8, 13, 18, 23]);
    }

    #[test]
    fn numbers_are_spelled_as_by_the_standard_library() {
        let ids = Ids::default();
        for number in (0..10_000).map(|_| ids.random()).chain([0, u64::MAX, 0x0123_4567_89AB_CDEF]) {
            let digits = [hex((number >> 32) as u32), hex(number as u32)].concat();
            assert_eq!(String::from_utf8(digits).unwrap(), format!("{number:016x}"));
        }
    }

    #[test]
    fn ids_of_one_millisecond_differ() {
        let ids = Ids::default();
        let made: std::collections::HashSet<IdText> = (0..10_000).map(|_| ids.next(7)).collect();
        assert_eq!(made.len(), 10_000);
    }
}
