//! What may never be written down: keys. Text in, the same text out with every known secret, and everything that has the
//! shape of a key, replaced. The one place that decides it, for headers and bodies alike.

use std::ops::Range;

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

    /// Appends the text without its secrets; what was JSON stays JSON. Where it was cut, the last word goes too: it may be half
    /// of one.
    pub fn write(&self, text: &[u8], extent: Extent, out: &mut Vec<u8>) {
        let text = if extent == Extent::Cut { self.without_a_half(text) } else { text };
        let known = self.known(text);
        if known.is_empty() {
            return replace(text, shaped(text), out);
        }
        let mut once = Vec::with_capacity(text.len());
        replace(text, [known, shaped(text)].concat(), &mut once);
        // What a secret stood before is a word of its own now.
        replace(&once, shaped(&once), out);
    }

    /// Where secrets stand that are known by their text.
    fn known(&self, text: &[u8]) -> Vec<Range<usize>> {
        let of = |needle: &Vec<u8>| {
            let bytes = needle.len();
            memmem::find_iter(text, needle).map(|at| at..at + bytes).collect::<Vec<_>>()
        };
        self.needles.iter().flat_map(of).collect()
    }

    fn without_a_half<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let known = self.known(text);
        let mut end = text.len();
        for needle in &self.needles {
            // All of it counts too: the word that goes may be the end of it.
            let mut halves = (1..=needle.len().min(text.len())).rev();
            if let Some(half) = halves.find(|&half| text.ends_with(&needle[..half])) {
                end = end.min(text.len() - half);
            }
        }
        loop {
            // Where a half may follow, so may half of what JSON escapes.
            while end > 0 && (is_of_word(text[end - 1]) || text[end - 1] == b'\\') {
                end -= 1;
            }
            // And the word may have been the end of a secret whose beginning must not stay.
            match known
                .iter()
                .filter(|secret| secret.start < end && end < secret.end)
                .map(|it| it.start)
                .min()
            {
                Some(start) => end = start,
                None => return &text[..end],
            }
        }
    }
}

/// Appends the text with all of these places replaced, and with what has to go with them so that JSON stays JSON: all of an
/// escape, or of a number.
fn replace(text: &[u8], mut found: Vec<Range<usize>>, out: &mut Vec<u8>) {
    found.sort_unstable_by_key(|place| (place.start, place.end));
    let mut strings = Strings::new(text);
    let mut at = 0;
    for place in found {
        if place.start < at {
            if place.end > at {
                at = whole_end(text, place.end, &mut strings);
            }
            continue;
        }
        let is_outside = strings.is_outside(place.start);
        let start =
            if is_outside { scalar_start(text, place.start) } else { escape_start(text, place.start) };
        out.extend_from_slice(&text[at..start.max(at)]);
        let quote: &[u8] = if is_outside { b"\"" } else { b"" };
        [quote, REDACTED, quote].iter().for_each(|part| out.extend_from_slice(part));
        at = whole_end(text, place.end, &mut strings);
    }
    out.extend_from_slice(&text[at..]);
}

/// Which places of a text lie outside of the strings of JSON. In a text that is none, no place does.
struct Strings<'t> {
    text: &'t [u8],
    is_json: bool,
    at: usize,
    is_inside: bool,
}

impl<'t> Strings<'t> {
    fn new(text: &'t [u8]) -> Strings<'t> {
        let is_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
        Strings { text, is_json, at: 0, is_inside: false }
    }

    /// Asked for places in their order.
    fn is_outside(&mut self, place: usize) -> bool {
        while self.is_json && self.at < place {
            match self.text[self.at] {
                b'\\' if self.is_inside => self.at += 1,
                b'"' => self.is_inside = !self.is_inside,
                _ => {}
            }
            self.at += 1;
        }
        self.is_json && !self.is_inside
    }
}

fn scalar_start(text: &[u8], place: usize) -> usize {
    place - text[..place].iter().rev().take_while(|&&byte| is_of_scalar(byte)).count()
}

fn whole_end(text: &[u8], end: usize, strings: &mut Strings<'_>) -> usize {
    if !strings.is_outside(end) {
        return end;
    }
    end + text[end..].iter().take_while(|&&byte| is_of_scalar(byte)).count()
}

fn is_of_scalar(byte: u8) -> bool {
    is_of_word(byte) || byte == b'+'
}

/// Where the escape begins that the place lies in, and the pair of them that is one character; else the place itself.
fn escape_start(text: &[u8], place: usize) -> usize {
    let is_begun = |at: usize| {
        let before = text[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
        text.get(at) == Some(&b'\\') && before % 2 == 0
    };
    let lies_in = |at: &usize| is_begun(*at) && (place - at == 1 || text.get(at + 1) == Some(&b'u'));
    let Some(start) = (place.saturating_sub(5)..place).find(lies_in) else { return place };
    let of = |at: usize, marks: &[u8]| {
        let code = text.get(at..at + 6);
        code.is_some_and(|code| {
            code.starts_with(b"\\u")
                && code[2..].iter().all(u8::is_ascii_hexdigit)
                && code[2].eq_ignore_ascii_case(&b'd')
                && marks.contains(&code[3].to_ascii_lowercase())
        })
    };
    match start.checked_sub(6) {
        Some(first) if of(start, b"cdef") && of(first, b"89ab") && is_begun(first) => first,
        _ => start,
    }
}

/// The places of all words that have the shape of a key.
fn shaped(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    words(text, |start, end| {
        let behind = behind_escape(text, start, end);
        let is_shaped = |from: &usize| is_key(&text[*from..end]) || is_behind_bearer(text, *from, end);
        found.extend([start, behind].into_iter().find(is_shaped).map(|from| from..end));
    });
    found
}

/// Where the word begins if it is JSON's and its first letters are an escape: `\nsk-…` is a line end and a key.
fn behind_escape(text: &[u8], start: usize, end: usize) -> usize {
    let is_escaped = start > 0 && text[start - 1] == b'\\';
    match &text[start..end] {
        [b'u', code @ ..] if is_escaped && code.len() >= 4 && code[..4].iter().all(u8::is_ascii_hexdigit) => {
            start + 5
        }
        [b'b' | b'f' | b'n' | b'r' | b't', ..] if is_escaped => start + 1,
        _ => start,
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
        check(&["CANARY"], "xCANARYsk-0123456789abcdefghij", Extent::Whole, "x[REDACTED][REDACTED]");
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
    fn keys_go_from_json_and_leave_it_json() {
        let key = "sk-0123456789abcdefghij";
        let cases = [
            (r#"["\nKEY","\tKEY","\u00e9KEY"]"#, r#"["\n[REDACTED]","\t[REDACTED]","\u00e9[REDACTED]"]"#),
            // An argument of a call is JSON within JSON.
            (r#"{"arguments":"{\"a\":\"\\nKEY\"}"}"#, r#"{"arguments":"{\"a\":\"\\n[REDACTED]\"}"}"#),
            // No escape, where it is a path, and one where it is JSON.
            (r#"{"path":"C:\rk_0123456789abcdefghij"}"#, r#"{"path":"C:[REDACTED]"}"#),
            (r#"{"a":[-123456e+5,true,"123456"]}"#, r#"{"a":["[REDACTED]",true,"[REDACTED]"]}"#),
            (r#"["\ud83d\udc00ab"]"#, r#"["[REDACTED]"]"#),
            // The first is no escape, and so the two are no pair.
            (r#"["\ud83x\udc00ab"]"#, r#"["\ud83x[REDACTED]"]"#),
        ];
        for (text, want) in cases {
            check(&["123456", "dc00ab"], &text.replace("KEY", key), Extent::Whole, want);
        }
    }

    #[test]
    fn a_secret_in_front_of_the_last_word_does_not_stay_in_half() {
        check(&["ab+cdefgh"], "x ab+cdefghzz", Extent::Cut, "x ");
        check(&["ab+cdefgh"], "x ab+cdefghzz ", Extent::Cut, "x [REDACTED]zz ");
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
