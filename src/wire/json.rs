//! JSON objects, looked at without a tree: the members of the top level as places, everything below only checked.
//! Read-only: the bytes that were scanned are the bytes that can be forwarded.
//!
//! The grammar is RFC 8259's, without its freedom to accept more; nesting and the number of keys are bounded; a key
//! that stands twice at the top level is refused, because readers differ in which of the two they take.

use std::borrow::Cow;

use crate::base::Span;

pub(super) mod block;
mod capture;
mod node;
mod quotes;
mod scanner;
mod text;
mod whole;

pub use capture::Capture;
pub use node::Node;
pub use quotes::quotes;
pub use scanner::Scanner;
pub use text::{find_text_end, unescaped, write_escaped, write_string};

/// What kind of value stands somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// A member of the top-level object. The key's place is without quotes, a string value's place with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub key: Span,
    pub value: Span,
    pub kind: Kind,
    /// The key is spelled with escapes.
    pub key_is_escaped: bool,
}

impl Member {
    /// The key without its escapes.
    #[inline]
    pub fn spelled_key<'d>(&self, document: &'d [u8]) -> Cow<'d, [u8]> {
        let raw = self.key.of(document);
        if self.key_is_escaped {
            Cow::Owned(unescaped(raw).into_owned().into_bytes())
        } else {
            Cow::Borrowed(raw)
        }
    }
}

/// Why a document is not one that can be acted on; `at` counts bytes from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// The top level is something else than an object.
    NotAnObject,
    Syntax {
        at: usize,
    },
    NotUtf8 {
        at: usize,
    },
    TooDeep {
        at: usize,
    },
    TooManyKeys,
    DuplicateKey {
        key: String,
    },
    Truncated,
    /// Something follows the object.
    Trailing {
        at: usize,
    },
}

impl JsonFault {
    /// What the client is told.
    pub fn sentence(&self) -> String {
        match self {
            JsonFault::NotAnObject => "The body must be a JSON object.".to_owned(),
            JsonFault::Syntax { at } => {
                format!("The body is not valid JSON: unexpected byte at offset {at}.")
            }
            JsonFault::NotUtf8 { at } => {
                format!("The body is not valid JSON: bytes at offset {at} are not UTF-8.")
            }
            JsonFault::TooDeep { at } => format!("The body nests deeper than 64 levels at offset {at}."),
            JsonFault::TooManyKeys => {
                "The body has more than 1024 keys at its top level, or 64 KiB of them.".to_owned()
            }
            JsonFault::DuplicateKey { key } => format!("The key `{key}` stands more than once in the body."),
            JsonFault::Truncated => "The body is not valid JSON: it ends in the middle.".to_owned(),
            JsonFault::Trailing { at } => {
                format!("Something follows the JSON object at offset {at} of the body.")
            }
        }
    }

    /// The code in the error object.
    pub fn code(&self) -> &'static str {
        match self {
            JsonFault::DuplicateKey { .. } => "duplicate_key",
            JsonFault::TooDeep { .. } => "json_too_deep",
            JsonFault::TooManyKeys => "too_many_keys",
            _ => "invalid_json",
        }
    }

    /// The field that is at fault, where one is.
    pub fn field(&self) -> Option<&str> {
        match self {
            JsonFault::DuplicateKey { key } => Some(key),
            _ => None,
        }
    }
}

/// What the scanner says after some input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonStep {
    /// All input was taken; the object is open.
    More,
    /// The object closed after `used` bytes of this input.
    Done {
        used: usize,
    },
    Bad(JsonFault),
}

/// Scans a whole document: one object with nothing but white space around it. Clears `members` first.
pub fn scan_object(document: &[u8], members: &mut Vec<Member>) -> Result<(), JsonFault> {
    members.clear();
    let (used, keys_differ) = match whole::scan(document, members) {
        Some(scanned) => (scanned.end, scanned.keys_differ),
        None => (judge(document, members)?, false),
    };
    match document[used..].iter().position(|&b| !is_space(b)) {
        Some(at) => Err(JsonFault::Trailing { at: used + at }),
        None if keys_differ => Ok(()),
        None => refuse_duplicates(document, members),
    }
}

/// The scanner's word on a document that the fast way did not take.
#[cold]
fn judge(document: &[u8], members: &mut Vec<Member>) -> Result<usize, JsonFault> {
    members.clear();
    match Scanner::default().step(document, members) {
        JsonStep::Done { used } => Ok(used),
        JsonStep::More => Err(JsonFault::Truncated),
        JsonStep::Bad(fault) => Err(fault),
    }
}

/// Refuses keys that stand twice, however they are spelled. A coarse filter spares most comparisons; beyond a few dozen keys
/// they are sorted.
fn refuse_duplicates(document: &[u8], members: &[Member]) -> Result<(), JsonFault> {
    if members.len() > KEYS_COMPARED_MAX || members.iter().any(|member| member.key_is_escaped) {
        let mut keys: Vec<Cow<'_, str>> =
            members.iter().map(|m| text::unescaped(m.key.of(document))).collect();
        keys.sort_unstable();
        let twice = keys.windows(2).find(|pair| pair[0] == pair[1]);
        return twice
            .map_or(Ok(()), |pair| Err(JsonFault::DuplicateKey { key: pair[0].clone().into_owned() }));
    }
    let mut seen = 0_u64;
    for (index, member) in members.iter().enumerate() {
        let key = member.key.of(document);
        let bit = whole::key_bit(key);
        if seen & bit != 0 && members[..index].iter().any(|other| other.key.of(document) == key) {
            return Err(JsonFault::DuplicateKey { key: String::from_utf8_lossy(key).into_owned() });
        }
        seen |= bit;
    }
    Ok(())
}

/// The object that a whole document holds under `key` at its top level. `members` has that object's members then, and none
/// where one of its keys stands twice. Reads the document from behind where its end tells enough, which for answers of LLMs
/// is nearly always; what it cannot tell so is scanned.
pub fn object_value<'d>(document: &'d [u8], key: &str, members: &mut Vec<Member>) -> Option<&'d [u8]> {
    members.clear();
    if let Some((place, keys_differ)) = whole::find_last_object(document, key, members) {
        let object = place.of(document);
        if !keys_differ && refuse_duplicates(object, members).is_err() {
            members.clear();
        }
        return Some(object);
    }
    scan_object(document, members).ok()?;
    let member = find(members, document, key).filter(|member| member.kind == Kind::Object)?;
    let object = member.value.of(document);
    if scan_object(object, members).is_err() {
        members.clear();
    }
    Some(object)
}

/// The text that a whole document holds under `key` at its top level. Looks no further than the first member of that key.
pub fn first_text<'d>(document: &'d [u8], key: &str, members: &mut Vec<Member>) -> Option<Cow<'d, str>> {
    if let Some(quoted) = whole::early_text(document, key) {
        let inside = Span::new(quoted.start as usize + 1, quoted.end as usize - 1);
        return Some(text::unescaped(inside.of(document)));
    }
    let member = match whole::first_member(document, key) {
        Some(found) => found?,
        None => {
            members.clear();
            // A document that breaks off has its whole members all the same.
            Scanner::new().step(document, members);
            *find(members, document, key)?
        }
    };
    string_value(document, &member)
}

/// The member of this key, however the key is spelled.
pub fn find<'m>(members: &'m [Member], document: &[u8], key: &str) -> Option<&'m Member> {
    members.iter().find(|member| key_is(document, member, key))
}

/// The position of the member of this key.
pub fn position(members: &[Member], document: &[u8], key: &str) -> Option<usize> {
    members.iter().position(|member| key_is(document, member, key))
}

fn key_is(document: &[u8], member: &Member, key: &str) -> bool {
    let raw = member.key.of(document);
    raw == key.as_bytes() || (member.key_is_escaped && text::unescaped(raw) == key)
}

/// The text of a string value; `None` for other kinds.
pub fn string_value<'d>(document: &'d [u8], member: &Member) -> Option<Cow<'d, str>> {
    if member.kind != Kind::String {
        return None;
    }
    let quoted = member.value.of(document);
    Some(text::unescaped(&quoted[1..quoted.len() - 1]))
}

/// A number that is a whole one, spelled without fraction and exponent, and fits; `None` for all else.
pub fn u64_value(document: &[u8], member: &Member) -> Option<u64> {
    let digits = member.value.of(document);
    if digits.is_empty() || digits.len() > U64_DIGITS_SURE {
        return std::str::from_utf8(digits).ok()?.parse().ok();
    }
    let mut value = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// Any number of so many digits fits 64 bits.
const U64_DIGITS_SURE: usize = 19;

pub fn bool_value(member: &Member) -> Option<bool> {
    match member.kind {
        Kind::True => Some(true),
        Kind::False => Some(false),
        _ => None,
    }
}

/// Whether the value is an array without elements.
pub fn is_empty_array(value: &[u8]) -> bool {
    let inside = value.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    inside.is_some_and(|inside| inside.iter().all(|&b| is_space(b)))
}

/// White space of JSON.
#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// Up to this many keys are compared pair by pair.
const KEYS_COMPARED_MAX: usize = 48;

#[cfg(test)]
mod tests;
