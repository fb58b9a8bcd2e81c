//! The arguments of a call: a text elsewhere, an object here. Judges, never repairs.

use crate::wire::json::{self, JsonFault};

/// The JSON object that a text holds, without the white space around it; `{}` for a blank text, `None` for anything else.
/// An object with a key that stands twice is one: models do write them.
pub(super) fn object_in(text: &str) -> Option<&[u8]> {
    let trimmed = text.as_bytes().trim_ascii();
    if trimmed.is_empty() {
        return Some(b"{}");
    }
    match json::scan_object(trimmed, &mut Vec::new()) {
        Ok(()) | Err(JsonFault::DuplicateKey { .. }) => Some(trimmed),
        Err(_) => None,
    }
}

/// The name under which the text of arguments stands that are no object.
pub(super) const INVALID: &str = "_invalid_arguments";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_is_taken_for_one() {
        for (text, want) in [
            ("", Some("{}")),
            (" \n", Some("{}")),
            (" {\"a\":[1]} ", Some("{\"a\":[1]}")),
            ("{\"a\":1,\"a\":2}", Some("{\"a\":1,\"a\":2}")),
            ("{\"a\":1}{\"b\":2}", None),
            ("{\"a\":", None),
            ("[]", None),
            ("null", None),
        ] {
            assert_eq!(object_in(text), want.map(str::as_bytes), "{text}");
        }
    }
}
