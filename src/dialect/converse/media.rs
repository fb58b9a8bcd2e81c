//! Images, sounds and documents as Converse takes them: always as bytes. What is only an address or an id is reported.

use crate::base::base64;
use crate::dialect::middle::{Media, Report, Source, Text};

use super::write::{element, member, str_member, text_member};

/// Writes an image block and says whether it did; the API takes four formats.
pub(super) fn write_image(media: &Media<'_>, report: &mut Report, out: &mut Vec<u8>) -> bool {
    let Some(bytes) = bytes_of(media, "image", report) else { return false };
    let named = media.kind.as_ref().map(Text::decoded);
    let format = match named.as_deref() {
        Some(kind) => IMAGE_FORMATS.iter().find(|(known, ..)| kind.eq_ignore_ascii_case(known)),
        // Without a media type the first bytes tell.
        None => IMAGE_FORMATS.iter().find(|(.., front)| bytes.as_escaped().starts_with(front)),
    };
    match format {
        Some((_, format, _)) => write_block("image", format, None, &bytes, out),
        None => report.unsupported("image.media_type"),
    }
    format.is_some()
}

/// Writes a block of sound and says whether it did.
pub(super) fn write_audio(media: &Media<'_>, report: &mut Report, out: &mut Vec<u8>) -> bool {
    let Some(bytes) = bytes_of(media, "audio", report) else { return false };
    let named = media.kind.as_ref().map(Text::decoded).unwrap_or_default();
    let format = AUDIO_FORMATS.iter().find(|(known, _)| named.eq_ignore_ascii_case(known));
    match format {
        Some((_, format)) => write_block("audio", format, None, &bytes, out),
        None => report.unsupported("audio.media_type"),
    }
    format.is_some()
}

/// Writes a document block and says whether it did. `names` are those that the request has used: none may stand twice.
pub(super) fn write_document(
    media: &Media<'_>,
    name: Option<&Text<'_>>,
    names: &mut Vec<String>,
    report: &mut Report,
    out: &mut Vec<u8>,
) -> bool {
    let (format, bytes) = match &media.source {
        Source::Text(text) => (Some("txt"), Text::of(&base64(text.decoded().as_bytes()))),
        _ => {
            let Some(bytes) = bytes_of(media, "file", report) else { return false };
            (document_format(media, name), bytes)
        }
    };
    let Some(format) = format else {
        report.unsupported("file.media_type");
        return false;
    };
    let name = document_name(name.map(Text::decoded).as_deref(), names);
    write_block("document", format, Some(&name), &bytes, out);
    names.push(name);
    true
}

fn write_block(block: &str, format: &str, name: Option<&str>, bytes: &Text<'_>, out: &mut Vec<u8>) {
    element(out);
    out.push(b'{');
    member(block, out);
    out.push(b'{');
    str_member("format", format, out);
    if let Some(name) = name {
        str_member("name", name, out);
    }
    member("source", out);
    out.push(b'{');
    text_member("bytes", bytes, out);
    out.extend_from_slice(b"}}}");
}

fn bytes_of<'m>(media: &'m Media<'_>, what: &str, report: &mut Report) -> Option<Text<'m>> {
    let missing = match &media.source {
        Source::Base64(bytes) => return Some(Text::escaped(bytes.as_escaped())),
        Source::Url(_) => "url",
        Source::FileId(_) => "file_id",
        Source::Text(_) => "text",
    };
    report.unsupported(format!("{what}.{missing}"));
    None
}

/// The format in the API's words: by the media type, else by how the file's name ends, else by what PDF begins with.
fn document_format(media: &Media<'_>, name: Option<&Text<'_>>) -> Option<&'static str> {
    let kind = media.kind.as_ref().map(Text::decoded).unwrap_or_default();
    // Parameters such as a character set may follow.
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let by_kind = DOCUMENT_FORMATS.iter().find(|(known, _)| kind.eq_ignore_ascii_case(known));
    let name = name.map(Text::decoded).unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending).unwrap_or_default();
    let by_name = || DOCUMENT_FORMATS.iter().find(|(_, format)| ending.eq_ignore_ascii_case(format));
    let is_pdf =
        || matches!(&media.source, Source::Base64(bytes) if bytes.as_escaped().starts_with(b"JVBERi0"));
    let found = by_kind
        .or_else(|| if kind.is_empty() || kind == "application/octet-stream" { by_name() } else { None });
    found.map(|(_, format)| *format).or_else(|| (kind.is_empty() && is_pdf()).then_some("pdf"))
}

/// A name that the API takes: letters, digits, hyphens, brackets and single spaces, at most 200, none of them given to an
/// earlier document (capitals make no difference). The ending is left out, because the format says it.
fn document_name(given: Option<&str>, names: &[String]) -> String {
    let given = given.unwrap_or_default();
    let stem = given.rsplit_once('.').map_or(given, |(stem, _)| stem);
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-()[]".contains(c) { c } else { ' ' };
    let plain: String = stem.chars().map(allowed).collect();
    let mut name = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    name.truncate(DOCUMENT_NAME_BYTES_MAX - NUMBER_BYTES_MAX);
    let mut name = name.trim_end().to_owned();
    if name.is_empty() {
        name.push_str("document");
    }
    let is_taken = |name: &str| names.iter().any(|other| other.eq_ignore_ascii_case(name));
    let numbered = (2..).map(|number| format!("{name} {number}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !is_taken(name)).unwrap_or(name)
}

/// Media type, the API's word, and how the bytes begin in base64.
const IMAGE_FORMATS: [(&str, &str, &[u8]); 5] = [
    ("image/png", "png", b"iVBORw0KGgo"),
    ("image/jpeg", "jpeg", b"/9j/"),
    ("image/jpg", "jpeg", b"\\/9j\\/"),
    ("image/gif", "gif", b"R0lGOD"),
    ("image/webp", "webp", b"UklGR"),
];

const AUDIO_FORMATS: [(&str, &str); 11] = [
    ("audio/mpeg", "mp3"),
    ("audio/mp3", "mp3"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/aac", "aac"),
    ("audio/flac", "flac"),
    ("audio/mp4", "mp4"),
    ("audio/ogg", "ogg"),
    ("audio/opus", "opus"),
    ("audio/pcm", "pcm"),
    ("audio/webm", "webm"),
];

const DOCUMENT_FORMATS: [(&str, &str); 9] = [
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("application/msword", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/markdown", "md"),
];

const DOCUMENT_NAME_BYTES_MAX: usize = 200;
const NUMBER_BYTES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_gets_a_name_that_the_api_takes_and_no_other_has() {
        let check = |given: &str, names: &[&str], want: &str| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(document_name(Some(given), &names), want, "{given}");
        };
        check("report.pdf", &[], "report");
        check("report.pdf", &["Report"], "report 2");
        check("report.pdf", &["report", "report 2"], "report 3");
        check("John's  report_#1 (final) [v2].tar.gz", &[], "John s report 1 (final) [v2] tar");
        check("分期.pdf", &["document"], "document 2");
        check("", &[], "document");
        assert_eq!(document_name(Some(&"x".repeat(500)), &[]).len(), 192);
    }
}
