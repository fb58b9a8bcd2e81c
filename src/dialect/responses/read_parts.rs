//! Reads the content of messages and of results: texts, images, documents, sounds. Copies nothing that it can point at.

use super::fields::{full_text_of, missing, need_object, need_text, text, text_of, wrong_kind};
use crate::base::Refusal;
use crate::dialect::middle::{Media, Part, Source, Text};
use crate::wire::json::{Kind, Node};

/// Reads a text or an array of parts; `field` is its name in refusals.
pub fn read_content<'a>(content: Node<'a>, field: &str) -> Result<Vec<Part<'a>>, Refusal> {
    match content.kind() {
        Kind::String => {
            let text = need_text(content, field)?;
            Ok(vec![Part::Text { text, cache_control: None }])
        }
        Kind::Array => {
            let parts = content.items().enumerate();
            parts.map(|(index, part)| read_part(part, &format!("{field}[{index}]"))).collect()
        }
        _ => Err(wrong_kind(field, "a string or an array of parts")),
    }
}

fn read_part<'a>(part: Node<'a>, path: &str) -> Result<Part<'a>, Refusal> {
    need_object(part, path)?;
    let kind = part.get("type").and_then(Node::text).ok_or_else(|| missing(&format!("{path}.type")))?;
    let need = |key: &str| part.get(key).and_then(text).ok_or_else(|| missing(&format!("{path}.{key}")));
    let cache_control = part.get("cache_control").map(Node::raw);
    match &*kind {
        "input_text" | "output_text" | "text" | "summary_text" => {
            Ok(Part::Text { text: need("text")?, cache_control })
        }
        // The second name stands in some clients' copies of an answer.
        "refusal" => {
            Ok(Part::Refusal { text: need("refusal").or_else(|missing| need("text").map_err(|_| missing))? })
        }
        "input_image" => {
            let media = read_image(part).ok_or_else(|| missing(&format!("{path}.image_url")))?;
            Ok(Part::Image { media, detail: full_text_of(part, "detail"), cache_control })
        }
        "input_file" => {
            let media = read_file(part).ok_or_else(|| missing(&format!("{path}.file_data")))?;
            Ok(Part::File { media, name: full_text_of(part, "filename"), cache_control })
        }
        "input_audio" => {
            let media = read_audio(part).ok_or_else(|| missing(&format!("{path}.input_audio.data")))?;
            Ok(Part::Audio { media })
        }
        _ => Ok(Part::Foreign { path: path.to_owned(), raw: part.raw() }),
    }
}

fn read_image<'a>(part: Node<'a>) -> Option<Media<'a>> {
    match full_text_of(part, "image_url") {
        Some(_) => part.get("image_url").and_then(Node::escaped).map(read_url),
        None => file_id(part),
    }
}

fn read_file<'a>(part: Node<'a>) -> Option<Media<'a>> {
    if let Some(url) = full_text_of(part, "file_url") {
        return Some(Media { kind: pdf_by_name(part), source: Source::Url(url) });
    }
    let Some(data) = part.get("file_data").and_then(Node::escaped).filter(|data| !data.is_empty()) else {
        return file_id(part);
    };
    match data_url(data) {
        Some(media) => Some(media),
        None => Some(Media { kind: pdf_by_name(part), source: Source::Base64(Text::escaped(data)) }),
    }
}

fn file_id<'a>(part: Node<'a>) -> Option<Media<'a>> {
    full_text_of(part, "file_id").map(|id| Media { kind: None, source: Source::FileId(id) })
}

/// The media type of a document that tells it by its name only.
fn pdf_by_name(part: Node<'_>) -> Option<Text<'static>> {
    let name = text_of(part, "filename").decoded().to_ascii_lowercase();
    name.ends_with(".pdf").then(|| Text::of("application/pdf"))
}

fn read_audio<'a>(part: Node<'a>) -> Option<Media<'a>> {
    let audio = part.get("input_audio").unwrap_or(part);
    let source = Source::Base64(full_text_of(audio, "data")?);
    let kind = match audio.get("format").and_then(Node::text).as_deref() {
        None => None,
        // The registered name of what everybody calls mp3 (RFC 3003).
        Some("mp3") => Some(Text::of("audio/mpeg")),
        Some(format) => Some(Text::of(&format!("audio/{format}"))),
    };
    Some(Media { kind, source })
}

fn read_url<'a>(url: &'a [u8]) -> Media<'a> {
    data_url(url).unwrap_or_else(|| Media { kind: None, source: Source::Url(Text::escaped(url)) })
}

/// What a `data:` URL in base64 holds (RFC 2397), both parts as they are spelled.
pub fn data_url<'a>(url: &'a [u8]) -> Option<Media<'a>> {
    let rest = url.strip_prefix(b"data:")?;
    let comma = memchr::memchr(b',', rest)?;
    let head = rest[..comma].strip_suffix(b";base64")?;
    let kind = head.split(|&byte| byte == b';').next().unwrap_or_default();
    let kind = (!kind.is_empty()).then(|| Text::escaped(kind));
    Some(Media { kind, source: Source::Base64(Text::escaped(&rest[comma + 1..])) })
}
