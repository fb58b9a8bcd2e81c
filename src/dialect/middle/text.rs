//! A text as JSON spells it, and provider state that only its maker can read.

use std::borrow::Cow;

use crate::wire::json;

/// A text as it stands between the quotes of a JSON string, escapes left in. Copying it into another JSON string is right;
/// comparing it is not: one text has many spellings. Compare [`Text::decoded`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a> {
    escaped: Cow<'a, [u8]>,
}

impl<'a> Text<'a> {
    /// What a JSON string holds between its quotes.
    pub fn escaped(escaped: &'a [u8]) -> Text<'a> {
        Text { escaped: Cow::Borrowed(escaped) }
    }

    /// A text of ours, or one that was decoded.
    pub fn of(text: &str) -> Text<'a> {
        let mut escaped = Vec::with_capacity(text.len());
        json::write_escaped(text.as_bytes(), &mut escaped);
        Text { escaped: Cow::Owned(escaped) }
    }

    /// JSON, as the content of a string: arguments of tools in the dialects that spell them so.
    pub fn of_json(raw: &[u8]) -> Text<'a> {
        let mut escaped = Vec::with_capacity(raw.len() + 16);
        json::write_escaped(raw, &mut escaped);
        Text { escaped: Cow::Owned(escaped) }
    }

    pub fn as_escaped(&self) -> &[u8] {
        &self.escaped
    }

    pub fn decoded(&self) -> Cow<'_, str> {
        json::unescaped(&self.escaped)
    }

    pub fn is_empty(&self) -> bool {
        self.escaped.is_empty()
    }

    /// Nothing but white space, which some providers refuse as a text.
    pub fn is_blank(&self) -> bool {
        self.decoded().trim().is_empty()
    }

    pub fn is(&self, text: &str) -> bool {
        *self.escaped == *text.as_bytes() || self.decoded() == text
    }

    /// Appends the other text.
    pub fn push(&mut self, other: &Text<'_>) {
        self.escaped.to_mut().extend_from_slice(&other.escaped);
    }

    /// Appends the text as a JSON string, quotes included.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(&self.escaped);
        out.push(b'"');
    }

    /// The same text without a borrow.
    pub fn into_owned(self) -> Text<'static> {
        Text { escaped: Cow::Owned(self.escaped.into_owned()) }
    }
}

/// State of a provider that rides along with a conversation and that no other provider may see: the signature of a
/// thought, encrypted reasoning. On its way through a client of another dialect it carries its vendor's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Who can read it: [`super::Rules::vendor`]. Empty when the client sent it bare, in the dialect of the provider
    /// that made it.
    pub vendor: Cow<'a, str>,
    pub value: Text<'a>,
}

impl<'a> Signature<'a> {
    /// One that came from a provider.
    pub fn of_vendor(vendor: &'a str, value: Text<'a>) -> Signature<'a> {
        Signature { vendor: Cow::Borrowed(vendor), value }
    }

    /// One that came from a client: with the vendor's name in front where we wrote it.
    pub fn from_client(value: Text<'a>) -> Signature<'a> {
        let decoded = value.decoded();
        let tagged = decoded.strip_prefix(TAG).and_then(|rest| rest.split_once(':'));
        if let Some((vendor, inner)) = tagged {
            return Signature { vendor: Cow::Owned(vendor.to_owned()), value: Text::of(inner) };
        }
        drop(decoded);
        Signature { vendor: Cow::Borrowed(""), value }
    }

    /// Whether this vendor made it, as far as can be known.
    pub fn is_for(&self, vendor: &str) -> bool {
        self.vendor == vendor
    }

    /// Appends it as a JSON string for a client that will give it back.
    pub fn write_for_client(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        if !self.vendor.is_empty() {
            out.extend_from_slice(TAG.as_bytes());
            json::write_escaped(self.vendor.as_bytes(), out);
            out.push(b':');
        }
        out.extend_from_slice(self.value.as_escaped());
        out.push(b'"');
    }
}

/// Marks a signature that has passed through the gateway into another dialect.
const TAG: &str = "ringway:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_copied_as_it_is_spelled_and_compared_as_it_is_meant() {
        let half = Text::escaped(br"\ud83d");
        let mut out = Vec::new();
        half.write(&mut out);
        assert_eq!(out, br#""\ud83d""#);
        assert!(Text::escaped(br"\u0061b").is("ab"));
        assert_eq!(Text::of("a\"\n").as_escaped(), br#"a\"\n"#);
        assert!(Text::escaped(br" \n\t").is_blank() && !Text::of("x").is_blank());
    }

    #[test]
    fn a_signature_knows_its_vendor_again_after_a_client_had_it() {
        let mut out = Vec::new();
        Signature::of_vendor("anthropic", Text::of("abc:=/+\"")).write_for_client(&mut out);
        let inside = &out[1..out.len() - 1];
        let back = Signature::from_client(Text::escaped(inside));
        assert!(back.is_for("anthropic") && back.value.is("abc:=/+\""), "{back:?}");
        let bare = Signature::from_client(Text::of("EqQBCgIYAg=="));
        assert!(!bare.is_for("anthropic") && bare.is_for(""), "{bare:?}");
    }
}
