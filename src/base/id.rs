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
        let (high, low) = (self.random(), self.random());
        let first = (wall_ms << 16) | 0x7000 | (high & 0x0FFF);
        let second = (low >> 2) | (1 << 63);
        text(first, second)
    }
}

fn text(first: u64, second: u64) -> IdText {
    let mut digits = [0; 32];
    for (index, digit) in digits.iter_mut().enumerate() {
        let word = if index < 16 { first } else { second };
        *digit = HEX[(word >> (60 - 4 * (index % 16))) as usize & 15];
    }
    let mut out = [b'-'; 36];
    out[..8].copy_from_slice(&digits[..8]);
    out[9..13].copy_from_slice(&digits[8..12]);
    out[14..18].copy_from_slice(&digits[12..16]);
    out[19..23].copy_from_slice(&digits[16..20]);
    out[24..].copy_from_slice(&digits[20..]);
    out
}

const HEX: &[u8; 16] = b"0123456789abcdef";

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
    fn ids_of_one_millisecond_differ() {
        let ids = Ids::default();
        let made: std::collections::HashSet<IdText> = (0..10_000).map(|_| ids.next(7)).collect();
        assert_eq!(made.len(), 10_000);
    }
}
