//! What may never be written down: keys. Text in, the same text out with every known secret, and everything that has the
//! shape of a key, replaced. The one place that decides it, for headers and bodies alike.

use memchr::memmem;

use crate::base::limits::{KEY_SHAPE_BYTES_MIN, SECRET_BYTES_MIN};

/// What stands in the place of a secret.
pub const REDACTED: &[u8] = b"[REDACTED]";

/// Secrets that are known by their text.
#[derive(Default)]
pub struct Redactor {
    needles: Vec<Vec<u8>>,
}

/// Whether a text is all there is, or was cut off behind its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Whole,
    Cut,
}

impl Redactor {
    /// Adds a secret. One that is so short that half of all texts hold it is no secret.
    pub fn add(&mut self, secret: &[u8]) {
        if secret.len() < SECRET_BYTES_MIN || self.needles.iter().any(|needle| needle == secret) {
            return;
        }
        self.needles.push(secret.to_vec());
        // Some writers of JSON escape the slash.
        if secret.contains(&b'/') {
            self.needles.push(String::from_utf8_lossy(secret).replace('/', "\\/").into_bytes());
        }
    }

    /// Appends the text without its secrets. Where it was cut, the last word goes too: it may be half of one.
    pub fn write(&self, text: &[u8], extent: Extent, out: &mut Vec<u8>) {
        let text = if extent == Extent::Cut { self.without_a_half(text) } else { text };
        let mut found: Vec<(usize, usize)> = Vec::new();
        for needle in &self.needles {
            found.extend(memmem::find_iter(text, needle).map(|at| (at, at + needle.len())));
        }
        words(text, |start, end| {
            if is_key(&text[start..end]) || is_behind_bearer(text, start, end) {
                found.push((start, end));
            }
        });
        found.sort_unstable();
        let mut at = 0;
        for (start, end) in found {
            if start >= at {
                out.extend_from_slice(&text[at..start]);
                out.extend_from_slice(REDACTED);
            }
            at = at.max(end);
        }
        out.extend_from_slice(&text[at..]);
    }

    fn without_a_half<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let mut end = text.len();
        for needle in &self.needles {
            // All of it counts too: the word that goes may be the end of it.
            let mut halves = (1..=needle.len().min(text.len())).rev();
            if let Some(half) = halves.find(|&half| text.ends_with(&needle[..half])) {
                end = end.min(text.len() - half);
            }
        }
        while end > 0 && is_of_word(text[end - 1]) {
            end -= 1;
        }
        &text[..end]
    }
}

/// Calls with the place of every run of characters that keys are made of.
fn words(text: &[u8], mut found: impl FnMut(usize, usize)) {
    let mut start = None;
    for (at, &byte) in text.iter().enumerate() {
        match (is_of_word(byte), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                found(from, at);
                start = None;
            }
            _ => {}
        }
    }
    if let Some(from) = start {
        found(from, text.len());
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Whether the word has the shape of a key: the beginning that its issuer gives all of its keys, a digit, and some length.
fn is_key(word: &[u8]) -> bool {
    if word.len() < KEY_SHAPE_BYTES_MIN || !word.iter().any(u8::is_ascii_digit) {
        return false;
    }
    let is_token = || word.starts_with(b"eyJ") && word.iter().filter(|&&byte| byte == b'.').count() >= 2;
    let is_of_aws =
        || word.len() == 20 && [&b"AKIA"[..], b"ASIA"].iter().any(|start| word.starts_with(start));
    starts().any(|start| word.starts_with(start.as_bytes())) || is_of_aws() || is_token()
}

fn is_behind_bearer(text: &[u8], start: usize, end: usize) -> bool {
    const SCHEME: &[u8] = b"bearer ";
    let before = start.checked_sub(SCHEME.len()).map(|from| &text[from..start]);
    end - start >= KEY_SHAPE_BYTES_MIN && before.is_some_and(|word| word.eq_ignore_ascii_case(SCHEME))
}

/// How keys begin: data, for each issuer has its own.
fn starts() -> impl Iterator<Item = &'static str> {
    include_str!("../../config/key-shapes.txt").lines().filter(|line| !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secrets: &[&str], text: &str, extent: Extent, want: &str) {
        let mut redactor = Redactor::default();
        secrets.iter().for_each(|secret| redactor.add(secret.as_bytes()));
        let mut out = Vec::new();
        redactor.write(text.as_bytes(), extent, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), want, "{text}");
    }

    #[test]
    fn known_secrets_go_wherever_they_stand() {
        let secrets = ["CANARY/with+signs=", "CANARY"];
        check(&secrets, "a CANARY/with+signs= b", Extent::Whole, "a [REDACTED] b");
        check(&secrets, r#"{"k":"CANARY\/with+signs="}"#, Extent::Whole, r#"{"k":"[REDACTED]"}"#);
        check(&secrets, "xCANARYxCANARY", Extent::Whole, "x[REDACTED]x[REDACTED]");
        check(&["a"], "banana", Extent::Whole, "banana");
    }

    #[test]
    fn what_has_the_shape_of_a_key_goes_although_nobody_knows_it() {
        let cases = [
            ("my sk-ant-api03-0123456789abcdef is", "my [REDACTED] is"),
            ("sk-learn-is-a-library-of-python", "sk-learn-is-a-library-of-python"),
            ("x=AKIAIOSFODNN7EXAMPLE;", "x=[REDACTED];"),
            ("\"rw-abcdefghijkl-0123456789012345678901234567890123456789012\"", "\"[REDACTED]\""),
            ("Authorization: Bearer abcdefghijklmnopqrst", "Authorization: Bearer [REDACTED]"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_DEF-123", "[REDACTED]"),
            ("the bearer of bad news", "the bearer of bad news"),
        ];
        cases.iter().for_each(|(text, want)| check(&[], text, Extent::Whole, want));
    }

    #[test]
    fn a_cut_at_any_place_shows_no_part_of_a_secret() {
        let text = "say CANARY+0123456789 or sk-0123456789abcdefghij to nobody";
        let mut redactor = Redactor::default();
        redactor.add(b"CANARY+0123456789");
        for end in 0..=text.len() {
            let mut out = Vec::new();
            redactor.write(&text.as_bytes()[..end], Extent::Cut, &mut out);
            let shown = String::from_utf8(out).unwrap();
            assert!(!shown.contains("CAN") && !shown.contains("sk-") && !shown.contains("012"), "{shown}");
        }
    }
}
