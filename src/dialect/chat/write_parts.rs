//! Writes the content of messages: texts as one string where nothing hangs on their being parts, because many who speak
//! the dialect take arrays with images only.

use super::write_request::{comma, member, text_member};
use crate::dialect::middle::{Media, Part, Report, Rules, Source, Text};

/// What stands between texts that are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    None,
    Line,
    Paragraph,
}

/// Appends the value of `content`.
pub(super) fn content(
    parts: &[&Part<'_>],
    joint: Joint,
    rules: &Rules,
    report: &mut Report,
    out: &mut Vec<u8>,
) {
    let is_plain = |part: &&Part<'_>| match part {
        Part::Text { cache_control, .. } => cache_control.is_none() || !rules.takes_cache_control,
        Part::Refusal { .. } => true,
        _ => false,
    };
    if parts.iter().all(is_plain) {
        return joined(parts, joint, out);
    }
    out.push(b'[');
    let mut count = 0;
    for part in parts {
        let end = out.len();
        comma(count, out);
        match write_part(part, rules, out) {
            Ok(()) => count += 1,
            Err(field) => {
                out.truncate(end);
                report.unsupported(field);
            }
        }
    }
    out.push(b']');
}

/// Appends the texts of the parts as one string.
pub(super) fn joined(parts: &[&Part<'_>], joint: Joint, out: &mut Vec<u8>) {
    joined_behind("", parts, joint, out);
}

/// Appends the texts of the parts as one string that begins with words of ours, which need no escapes.
pub(super) fn joined_behind(words: &str, parts: &[&Part<'_>], joint: Joint, out: &mut Vec<u8>) {
    let joint: &[u8] = match joint {
        Joint::None => b"",
        Joint::Line => br"\n",
        Joint::Paragraph => br"\n\n",
    };
    out.push(b'"');
    out.extend_from_slice(words.as_bytes());
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } | Part::Refusal { text } | Part::Thinking { text, .. } => Some(text),
        _ => None,
    });
    // Nothing stands beside an empty text.
    for (index, text) in texts.filter(|text| !text.is_empty()).enumerate() {
        if index > 0 {
            out.extend_from_slice(joint);
        }
        out.extend_from_slice(text.as_escaped());
    }
    out.push(b'"');
}

/// Appends a part; the error is the field that the dialect has no word for.
fn write_part(part: &Part<'_>, rules: &Rules, out: &mut Vec<u8>) -> Result<(), String> {
    let mark = match part {
        Part::Text { text, cache_control } => {
            write_text(text, out);
            *cache_control
        }
        Part::Refusal { text } => {
            write_text(text, out);
            None
        }
        Part::Image { media, detail, cache_control } => {
            write_image(media, detail.as_ref(), rules, out)?;
            *cache_control
        }
        Part::Audio { media } => {
            write_audio(media, out)?;
            None
        }
        Part::File { media, name, cache_control } => {
            write_file(media, name.as_ref(), out)?;
            *cache_control
        }
        Part::Foreign { path, .. } => return Err(path.clone()),
        Part::Thinking { .. } | Part::HiddenThinking { .. } => return Err("thinking".to_owned()),
        Part::ToolCall { .. } => return Err("tool_calls".to_owned()),
        Part::ToolResult { .. } => return Err("tool_results".to_owned()),
    };
    if let Some(mark) = mark.filter(|_| rules.takes_cache_control) {
        member("cache_control", mark, out);
    }
    out.push(b'}');
    Ok(())
}

fn write_text(text: &Text<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
    text.write(out);
}

fn write_image(
    media: &Media<'_>,
    detail: Option<&Text<'_>>,
    rules: &Rules,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    out.extend_from_slice(b"{\"type\":\"image_url\",\"image_url\":{\"url\":");
    match &media.source {
        Source::Base64(data) => {
            let kind = media.kind.clone().unwrap_or_else(|| Text::escaped(kind_of_image(data)));
            write_data_url(&kind, data, out);
        }
        Source::Url(url) if rules.takes_media_urls => url.write(out),
        Source::Url(_) => return Err("image.url".to_owned()),
        Source::FileId(_) => return Err("image.file_id".to_owned()),
        Source::Text(_) => return Err("image.text".to_owned()),
    }
    if let Some(detail) = detail {
        text_member("detail", detail, out);
    }
    out.push(b'}');
    Ok(())
}

/// The kind of an image whose client did not say it, by the first bytes of its format.
fn kind_of_image(base64: &Text<'_>) -> &'static [u8] {
    let data = base64.as_escaped();
    let starts =
        [("/9j/", "image/jpeg"), (r"\/9j\/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];
    let found = starts.iter().find(|(start, _)| data.starts_with(start.as_bytes()));
    found.map_or("image/png", |found| found.1).as_bytes()
}

fn write_audio(media: &Media<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    let Source::Base64(data) = &media.source else { return Err("audio.url".to_owned()) };
    out.extend_from_slice(b"{\"type\":\"input_audio\",\"input_audio\":{\"data\":");
    data.write(out);
    let kind = media.kind.as_ref().map(Text::decoded).unwrap_or_default();
    let format = match &*kind {
        "audio/mpeg" | "audio/mpga" => "mp3",
        "audio/x-wav" | "audio/wave" | "" => "wav",
        kind => kind.strip_prefix("audio/").unwrap_or(kind),
    };
    text_member("format", &Text::of(format), out);
    out.push(b'}');
    Ok(())
}

/// A document. One that is a text needs no file.
fn write_file(media: &Media<'_>, name: Option<&Text<'_>>, out: &mut Vec<u8>) -> Result<(), String> {
    match &media.source {
        Source::Text(text) => {
            write_text(text, out);
            return Ok(());
        }
        Source::Url(_) => return Err("file.url".to_owned()),
        Source::FileId(id) => {
            out.extend_from_slice(b"{\"type\":\"file\",\"file\":{\"file_id\":");
            id.write(out);
        }
        Source::Base64(data) => {
            out.extend_from_slice(b"{\"type\":\"file\",\"file\":{\"file_data\":");
            let kind = media.kind.clone().unwrap_or_else(|| Text::escaped(b"application/pdf"));
            write_data_url(&kind, data, out);
            // The dialect demands a name beside the data; the model sees it.
            let name = name.cloned().unwrap_or_else(|| Text::escaped(b"file"));
            text_member("filename", &name, out);
        }
    }
    out.push(b'}');
    Ok(())
}

fn write_data_url(kind: &Text<'_>, base64: &Text<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"data:");
    out.extend_from_slice(kind.as_escaped());
    out.extend_from_slice(b";base64,");
    out.extend_from_slice(base64.as_escaped());
    out.push(b'"');
}
