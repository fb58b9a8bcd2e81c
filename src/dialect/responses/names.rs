//! Names of tools and schemas as the provider takes them: at most 64 letters, digits, `_` and `-`. The same name always
//! becomes the same other one, so what a conversation says later still fits what it said before.

use std::borrow::Cow;

/// The name to send; the same one where it may stand.
pub fn sendable(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_plain) {
        return Cow::Borrowed(name);
    }
    let mut made: String = name
        .chars()
        .map(|c| if c.is_ascii() && is_plain(c as u8) { c } else { '_' })
        .take(NAME_BYTES_MAX - HASH_BYTES)
        .collect();
    made.push('_');
    made.push_str(&format!("{:08x}", hash(name)));
    Cow::Owned(made)
}

/// FNV-1a: tells two names apart that were cut to the same one.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

const NAME_BYTES_MAX: usize = 64;
/// The underscore and eight digits.
const HASH_BYTES: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_may_stand_stays_and_others_become_one_that_may_and_differs() {
        assert_eq!(sendable("get_weather-2"), "get_weather-2");
        let long = "a".repeat(70);
        let longer = "a".repeat(71);
        assert_eq!(sendable(&long).len(), 64);
        assert_ne!(sendable(&long), sendable(&longer));
        assert_ne!(sendable("a.b"), sendable("a/b"));
        assert!(sendable("a.b").starts_with("a_b_") && sendable("é").starts_with("__"));
        assert_eq!(sendable("a.b"), sendable("a.b"));
    }
}
