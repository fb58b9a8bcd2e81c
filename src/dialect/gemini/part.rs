//! What kind of thing a piece of media is, by its type, its address or its first bytes.

use super::super::middle::{Source, Text};
use crate::wire::json;

/// How the middle sorts media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaKind {
    Image,
    Audio,
    File,
}

/// The kind of media of this type; where no type is given, of the type that its source tells.
pub(super) fn kind_of_media(kind: Option<&Text<'_>>, source: &Source<'_>) -> MediaKind {
    let kind = kind.map(|kind| kind.decoded().into_owned());
    let kind = kind.or_else(|| guess_type(source).map(str::to_owned)).unwrap_or_default();
    match kind.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        _ => MediaKind::File,
    }
}

/// The media type that the ending of an address or the first bytes tell.
pub(super) fn guess_type(source: &Source<'_>) -> Option<&'static str> {
    match source {
        Source::Base64(data) => {
            let start = &data.as_escaped()[..data.as_escaped().len().min(START_BYTES)];
            let start = json::unescaped(start);
            // RIFF is a container: what is in it stands behind its length.
            match (start.starts_with("UklGR"), start.get(12..16)) {
                (true, Some("RUJQ")) => Some("image/webp"),
                (true, Some("QVZF")) => Some("audio/wav"),
                _ => MAGIC.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, kind)| *kind),
            }
        }
        Source::Url(url) => {
            let url = url.decoded();
            let path = url.split(['?', '#']).next().unwrap_or_default();
            let (_, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
            let ending = ending.to_ascii_lowercase();
            ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, kind)| *kind)
        }
        Source::Text(_) => Some("text/plain"),
        Source::FileId(_) => None,
    }
}

/// What is looked at of the base64: enough for the marks, slashes escaped or not.
const START_BYTES: usize = 32;
/// What base64 of well-known formats begins with.
const MAGIC: &[(&str, &str)] = &[
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("JVBERi0", "application/pdf"),
    ("SUQz", "audio/mpeg"),
];

const ENDINGS: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("webm", "video/webm"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_guessed_from_endings_and_first_bytes() {
        let url = |url: &str| guess_type(&Source::Url(Text::of(url)));
        assert_eq!(url("https://x.test/a.b/c.PNG?d=e.pdf#f"), Some("image/png"));
        assert_eq!(url("gs://bucket/film.mp4"), Some("video/mp4"));
        assert_eq!(url("https://x.test/watch"), None);
        assert_eq!(guess_type(&Source::Base64(Text::of("/9j/4AAQ"))), Some("image/jpeg"));
        assert_eq!(guess_type(&Source::Base64(Text::escaped(br"\/9j\/4AAQ"))), Some("image/jpeg"));
        assert_eq!(guess_type(&Source::Base64(Text::of("UklGRiQAAABXQVZFZm10"))), Some("audio/wav"));
        assert_eq!(guess_type(&Source::Base64(Text::of("UklGRiQAAABXRUJQVlA4"))), Some("image/webp"));
        assert_eq!(guess_type(&Source::Base64(Text::of("AAAA"))), None);
        assert_eq!(kind_of_media(None, &Source::Url(Text::of("a.wav"))), MediaKind::Audio);
        assert_eq!(
            kind_of_media(Some(&Text::of("image/x")), &Source::Base64(Text::of(""))),
            MediaKind::Image
        );
    }
}
