//! Images and documents: by bytes, by address where the provider fetches them, or by an id that Anthropic gave out.

use std::borrow::Cow;
use std::fmt;

use super::{Writer, write_mark};
use crate::dialect::middle::{Media, Source, Text};
use crate::wire::json;

impl Writer<'_> {
    /// Appends an image with a comma behind it, or reports it.
    pub(super) fn write_image(
        &mut self,
        media: &Media<'_>,
        cache_control: Option<&[u8]>,
        place: &dyn fmt::Display,
        out: &mut Vec<u8>,
    ) {
        let is_written = match found(media) {
            Found::Bytes { kind, base64 } if kind.starts_with("image/") => {
                out.extend_from_slice(b"{\"type\":\"image\",\"source\":");
                // A media type that is often written and never was one.
                let kind = if kind == "image/jpg" { "image/jpeg" } else { &*kind };
                write_bytes(kind, base64, out);
                true
            }
            source => self.write_reference("image", &source, out),
        };
        self.end_block(is_written, None, cache_control, place, out);
    }

    /// Appends a document with a comma behind it, or reports it.
    pub(super) fn write_document(
        &mut self,
        media: &Media<'_>,
        name: Option<&Text<'_>>,
        cache_control: Option<&[u8]>,
        place: &dyn fmt::Display,
        out: &mut Vec<u8>,
    ) {
        let is_written = match found(media) {
            Found::Bytes { kind, base64 } if kind == "application/pdf" => {
                out.extend_from_slice(b"{\"type\":\"document\",\"source\":");
                write_bytes(&kind, base64, out);
                true
            }
            Found::Bytes { kind, base64 } if kind.starts_with("text/") => match text_in(base64) {
                Some(text) => {
                    write_plain(&Text::of(&text), out);
                    true
                }
                None => false,
            },
            Found::Text(text) => {
                write_plain(text, out);
                true
            }
            source => self.write_reference("document", &source, out),
        };
        self.end_block(is_written, name, cache_control, place, out);
    }

    /// Appends a block that names its bytes by an address or an id, without its end. An id of another provider's making means
    /// nothing here; Anthropic's begin with `file_`.
    fn write_reference(&mut self, block: &str, source: &Found<'_>, out: &mut Vec<u8>) -> bool {
        let (kind, member, text) = match source {
            Found::Url(url) if self.rules.takes_media_urls => ("url", "url", url),
            Found::FileId(id) if id.as_escaped().starts_with(b"file_") => ("file", "file_id", id),
            _ => return false,
        };
        let begin = format!("{{\"type\":\"{block}\",\"source\":{{\"type\":\"{kind}\",\"{member}\":");
        out.extend_from_slice(begin.as_bytes());
        text.write(out);
        out.push(b'}');
        true
    }

    fn end_block(
        &mut self,
        is_written: bool,
        title: Option<&Text<'_>>,
        cache_control: Option<&[u8]>,
        place: &dyn fmt::Display,
        out: &mut Vec<u8>,
    ) {
        if !is_written {
            return self.report.unsupported(place.to_string());
        }
        if let Some(title) = title.filter(|title| !title.is_blank()) {
            out.extend_from_slice(b",\"title\":");
            title.write(out);
        }
        write_mark(cache_control, out);
        out.extend_from_slice(b"},");
    }
}

/// A source, with what a `data:` address holds taken out of it.
enum Found<'m> {
    Bytes {
        kind: Cow<'m, str>,
        /// As it is spelled between quotes.
        base64: &'m [u8],
    },
    Url(&'m Text<'m>),
    FileId(&'m Text<'m>),
    Text(&'m Text<'m>),
}

fn found<'m>(media: &'m Media<'_>) -> Found<'m> {
    let (kind, base64) = match &media.source {
        Source::Base64(base64) => (None, base64.as_escaped()),
        Source::Url(url) => match data_url(url.as_escaped()) {
            Some((kind, base64)) => (Some(kind), base64),
            None => return Found::Url(url),
        },
        Source::FileId(id) => return Found::FileId(id),
        Source::Text(text) => return Found::Text(text),
    };
    let kind = kind.filter(|kind| !kind.is_empty()).map(Cow::Owned);
    let kind = kind.or_else(|| media.kind.as_ref().map(Text::decoded));
    Found::Bytes { kind: kind.unwrap_or_else(|| Cow::Borrowed(guessed_kind(base64))), base64 }
}

/// The media type and the bytes of an address that holds them itself (RFC 2397, in base64).
fn data_url(url: &[u8]) -> Option<(String, &[u8])> {
    let comma = memchr::memchr(b',', url)?;
    let head = json::unescaped(&url[..comma]).into_owned();
    let kind = head.strip_prefix("data:")?.strip_suffix(";base64")?;
    let kind = kind.split(';').next().unwrap_or_default().to_owned();
    Some((kind, &url[comma + 1..]))
}

/// The media type that the first bytes tell, in base64.
fn guessed_kind(base64: &[u8]) -> &'static str {
    let known = [
        ("/9j/", "image/jpeg"),
        ("\\/9j\\/", "image/jpeg"),
        ("iVBORw0KGgo", "image/png"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi", "application/pdf"),
    ];
    let found = known.iter().find(|(begin, _)| base64.starts_with(begin.as_bytes()));
    found.map_or("", |(_, kind)| kind)
}

fn write_bytes(kind: &str, base64: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"base64\",\"media_type\":");
    json::write_string(kind, out);
    out.extend_from_slice(b",\"data\":\"");
    out.extend_from_slice(base64);
    out.extend_from_slice(b"\"}");
}

/// Appends a document that is a plain text, without its end.
fn write_plain(text: &Text<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":",
    );
    text.write(out);
    out.push(b'}');
}

/// The text that base64 holds (RFC 4648 §4); `None` for anything else.
fn text_in(base64: &[u8]) -> Option<String> {
    let unescaped = json::unescaped(base64);
    let digits = unescaped.trim_end_matches('=').bytes();
    let mut bytes = Vec::with_capacity(unescaped.len() / 4 * 3 + 2);
    let (mut word, mut bits_count) = (0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        word = word << 6 | u32::from(value);
        bits_count += 6;
        if bits_count >= 8 {
            bits_count -= 8;
            bytes.push((word >> bits_count & 0xFF) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_a_text_is_read_and_other_bytes_are_not_taken_for_one() {
        for text in ["", "f", "fo", "foo", "für alle\n"] {
            let coded = crate::base::base64(text.as_bytes());
            assert_eq!(text_in(coded.as_bytes()).as_deref(), Some(text), "{coded}");
        }
        assert_eq!(text_in(b"/w=="), None, "not UTF-8");
        assert_eq!(text_in(b"a b"), None);
    }

    #[test]
    fn an_address_that_holds_its_bytes_is_taken_apart_however_it_is_spelled() {
        for (url, want) in [
            (r"data:image/png;base64,AAAA", Some(("image/png", "AAAA"))),
            (r"data:image\/png;base64,A\/AA", Some(("image/png", r"A\/AA"))),
            (r"data:text/plain;charset=utf-8;base64,AA==", Some(("text/plain", "AA=="))),
            (r"data:;base64,AA", Some(("", "AA"))),
            (r"data:text/plain,hello", None),
            (r"https://a.example/x,y", None),
        ] {
            let got = data_url(url.as_bytes());
            let want = want.map(|(kind, bytes)| (kind.to_owned(), bytes.as_bytes()));
            assert_eq!(got, want, "{url}");
        }
    }
}
