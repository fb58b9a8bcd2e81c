//! Media as parts: bytes as `inlineData`, addresses and uploads as `fileData`.

use super::super::middle::{Media, Report, Source, Text};
use super::part::guess_type;
use super::spelling::{member, separate};
use crate::base::Refusal;

/// What the provider takes.
#[derive(Clone, Copy)]
pub(super) struct Allowed {
    /// It fetches what an address of the web names.
    pub(super) has_urls: bool,
}

/// Writes a part for media. `word` is what it is in reports, and the front of types that come without one.
pub(super) fn write_media(
    media: &Media<'_>,
    word: &str,
    allowed: Allowed,
    report: &mut Report,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    match &media.source {
        Source::Base64(data) => {
            let Some(kind) = type_of(media, word) else {
                let sentence = format!("The {word} needs a media type, such as the one of a data URL.");
                return Err(Refusal::invalid("invalid_value", sentence).about("messages.content"));
            };
            separate(out);
            out.extend_from_slice(b"{\"inlineData\":{\"mimeType\":");
            kind.write(out);
            write_last("data", data, out);
        }
        // The API wants bytes in base64; as a text the document needs none.
        Source::Text(text) => {
            if !text.is_empty() {
                separate(out);
                out.extend_from_slice(b"{\"text\":");
                text.write(out);
                out.push(b'}');
            }
        }
        Source::Url(url) if allowed.has_urls || is_internal(url) => write_address(media, word, url, out),
        Source::Url(_) => report.unsupported(format!("messages.content.{word}.url")),
        Source::FileId(id) => write_address(media, word, id, out),
    }
    Ok(())
}

/// The type may stay open here: the provider sees it when it fetches.
fn write_address(media: &Media<'_>, word: &str, address: &Text<'_>, out: &mut Vec<u8>) {
    separate(out);
    out.extend_from_slice(b"{\"fileData\":{");
    if let Some(kind) = type_of(media, word) {
        member("mimeType", out);
        kind.write(out);
    }
    write_last("fileUri", address, out);
}

/// Writes the last member of the two open objects and closes them.
fn write_last(name: &str, text: &Text<'_>, out: &mut Vec<u8>) {
    member(name, out);
    text.write(out);
    out.extend_from_slice(b"}}");
}

/// The media type as given, else as far as it can be told. Sounds are named by their format alone in some dialects.
fn type_of<'m>(media: &'m Media<'_>, word: &str) -> Option<Text<'m>> {
    match &media.kind {
        Some(kind) if kind.decoded().contains('/') => Some(Text::escaped(kind.as_escaped())),
        Some(kind) if !kind.is_empty() && word != "file" => {
            Some(Text::of(&format!("{word}/{}", kind.decoded())))
        }
        _ => guess_type(&media.source).map(Text::of),
    }
}

/// Objects of the provider's own cloud are no addresses of the web: it always reads them itself.
fn is_internal(url: &Text<'_>) -> bool {
    url.decoded().starts_with("gs://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Option<&str>, source: Source<'_>, word: &str, want: &str) {
        let (mut report, mut out) = (Report::default(), Vec::new());
        let media = Media { kind: kind.map(Text::of), source };
        let refused = write_media(&media, word, Allowed { has_urls: false }, &mut report, &mut out).is_err();
        let got = if refused { "refused".to_owned() } else { String::from_utf8(out).unwrap() };
        assert_eq!(got + &report.unsupported.join(","), want);
    }

    #[test]
    fn media_are_sent_as_the_provider_can_take_them() {
        let data = || Source::Base64(Text::of("AAAA"));
        check(Some("image/png"), data(), "image", r#"{"inlineData":{"mimeType":"image/png","data":"AAAA"}}"#);
        check(Some("wav"), data(), "audio", r#"{"inlineData":{"mimeType":"audio/wav","data":"AAAA"}}"#);
        check(None, data(), "image", "refused");
        check(
            None,
            Source::Base64(Text::of("JVBERi0xLjQ")),
            "file",
            r#"{"inlineData":{"mimeType":"application/pdf","data":"JVBERi0xLjQ"}}"#,
        );
        check(None, Source::Url(Text::of("https://x.test/a.png")), "image", "messages.content.image.url");
        check(
            None,
            Source::Url(Text::of("gs://b/a.png")),
            "image",
            r#"{"fileData":{"mimeType":"image/png","fileUri":"gs://b/a.png"}}"#,
        );
        check(None, Source::FileId(Text::of("files/1")), "file", r#"{"fileData":{"fileUri":"files/1"}}"#);
        check(None, Source::Text(Text::of("t")), "file", r#"{"text":"t"}"#);
    }
}
