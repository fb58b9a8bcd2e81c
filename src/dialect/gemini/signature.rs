//! Signatures on their way through clients of this dialect. `thoughtSignature` is of type bytes there, and SDKs decode it:
//! what is not base64 makes them fail. So a signature that carries its vendor's name is wrapped in base64 once more.

use super::super::middle::{Signature, Text};
use crate::base::{base64, unbase64};
use crate::wire::json;

/// Writes the member's value for a client that will give it back.
pub(in crate::dialect) fn write_for_client(signature: &Signature<'_>, out: &mut Vec<u8>) {
    if signature.vendor.is_empty() {
        return signature.write_for_client(out);
    }
    let mut quoted = Vec::new();
    signature.write_for_client(&mut quoted);
    let inside = json::unescaped(&quoted[1..quoted.len() - 1]);
    json::write_string(&base64(inside.as_bytes()), out);
}

/// The signature that a client has given back: one of ours unwrapped, any other as it stands.
pub(in crate::dialect) fn from_client(value: Text<'_>) -> Signature<'_> {
    let unwrapped = value.as_escaped().starts_with(MARK).then(|| decoded(&value.decoded())).flatten();
    match unwrapped {
        Some(text) => Signature::from_client(Text::of(&text)),
        None => Signature::from_client(value),
    }
}

/// The text in base64, standard or for URLs, with padding or without; `None` when it is none.
fn decoded(text: &str) -> Option<String> {
    String::from_utf8(unbase64(text)?).ok()
}

/// What base64 of the mark of wrapped signatures begins with.
pub(in crate::dialect) const MARK: &[u8] = b"cmluZ3dheT";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_bytes_for_the_client_and_itself_again_afterwards() {
        for value in ["", "a", "ab", "abc", "EqQB+/=\"\\ä\n"] {
            let signature = Signature::of_vendor("vendor", Text::of(value));
            let mut out = Vec::new();
            write_for_client(&signature, &mut out);
            let text = &out[1..out.len() - 1];
            assert!(text.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b)), "{value}");
            let back = from_client(Text::escaped(text));
            assert!(back.is_for("vendor") && back.value.is(value), "{value}: {back:?}");
        }
        let bare = from_client(Text::of("EqQBCgIYAg=="));
        assert!(bare.is_for("") && bare.value.is("EqQBCgIYAg=="));
    }
}
