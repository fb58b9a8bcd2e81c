//! Small doers for names and values: fields in both spellings, objects and lists written member by member.

use std::borrow::Cow;

use crate::base::Refusal;
use crate::wire::json::{self, Node};
use crate::wire::write::write_decimal;

/// The member of this name in camel case or in snake case; `None` when there is none or it is null. The last one counts.
pub(super) fn field<'d>(node: Node<'d>, name: &str) -> Option<Node<'d>> {
    let found = node.members().filter(|(key, _)| is_name(key, name)).last();
    found.map(|(_, value)| value).filter(|value| !value.is_null())
}

/// Whether the key is this camel-case name in either spelling.
fn is_name(key: &[u8], name: &str) -> bool {
    let mut key = key.iter();
    let has_letters = name.bytes().all(|letter| match key.next() {
        Some(b'_') if letter.is_ascii_uppercase() => key.next() == Some(&letter.to_ascii_lowercase()),
        other => other == Some(&letter),
    });
    has_letters && key.next().is_none()
}

/// The camel-case form of a key.
pub(super) fn camel(key: &[u8]) -> Cow<'_, str> {
    match camel_bytes(key) {
        Cow::Borrowed(key) => String::from_utf8_lossy(key),
        Cow::Owned(key) => Cow::Owned(String::from_utf8_lossy(&key).into_owned()),
    }
}

/// The same for a key that is only compared.
pub(super) fn camel_bytes(key: &[u8]) -> Cow<'_, [u8]> {
    let lead = key.iter().take_while(|&&byte| byte == b'_').count();
    if !key[lead..].contains(&b'_') {
        return Cow::Borrowed(key);
    }
    let mut out = Vec::with_capacity(key.len());
    for (index, word) in key.split(|&byte| byte == b'_').enumerate() {
        match word.split_first() {
            Some((first, rest)) if index > 0 => {
                out.push(first.to_ascii_uppercase());
                out.extend_from_slice(rest);
            }
            _ => out.extend_from_slice(word),
        }
    }
    Cow::Owned(out)
}

/// Starts the next member of the object that is being written.
pub(super) fn member(name: &str, out: &mut Vec<u8>) {
    separate(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Writes a member whose value is JSON already.
pub(super) fn member_raw(name: &str, value: &[u8], out: &mut Vec<u8>) {
    member(name, out);
    out.extend_from_slice(value);
}

pub(super) fn member_text(name: &str, value: &str, out: &mut Vec<u8>) {
    member(name, out);
    json::write_string(value, out);
}

pub(super) fn member_count(name: &str, value: u64, out: &mut Vec<u8>) {
    member(name, out);
    count(value, out);
}

pub(super) fn count(value: u64, out: &mut Vec<u8>) {
    write_decimal(value, out);
}

/// A comma, unless the container that is being written has just begun.
pub(super) fn separate(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'{' | b'[')) {
        out.push(b',');
    }
}

/// A refusal of one field of the request.
pub(super) fn wrong(path: impl Into<String>, sentence: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::invalid("invalid_value", sentence).about(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_both_spellings_and_no_other() {
        for (key, name, want) in [
            ("maxOutputTokens", "maxOutputTokens", true),
            ("max_output_tokens", "maxOutputTokens", true),
            ("max_outputTokens", "maxOutputTokens", true),
            ("maxoutputtokens", "maxOutputTokens", false),
            ("max_output_tokens_", "maxOutputTokens", false),
            ("max_output", "maxOutputTokens", false),
            ("text", "text", true),
        ] {
            assert_eq!(is_name(key.as_bytes(), name), want, "{key}");
        }
        for (key, want) in [("top_p", "topP"), ("topP", "topP"), ("_x", "_x"), ("a_b_c", "aBC")] {
            assert_eq!(camel(key.as_bytes()), want);
        }
    }

    #[test]
    fn commas_stand_between_members_only() {
        let mut out = b"{".to_vec();
        member_count("a", 1, &mut out);
        member_text("b", "{", &mut out);
        member("c", &mut out);
        out.push(b'[');
        separate(&mut out);
        out.extend_from_slice(b"1");
        separate(&mut out);
        out.extend_from_slice(b"2]}");
        assert_eq!(out, br#"{"a":1,"b":"{","c":[1,2]}"#);
    }
}
