//! Reads the content of a message: a text, or parts.

use super::read_request::{object, optional_text, required, required_text, wrong};
use crate::base::Refusal;
use crate::dialect::middle::{Media, Part, Source, Text};
use crate::wire::json::{Kind, Node};

/// The parts of `content`; none when it is absent or null, as it is in turns that only call tools.
pub(super) fn content<'a>(message: Node<'a>, path: &str) -> Result<Vec<Part<'a>>, Refusal> {
    let [content, cache_control] = message.pick(["content", "cache_control"]);
    let Some(content) = content else { return Ok(Vec::new()) };
    if let Some(text) = content.escaped() {
        let (text, cache_control) = (Text::escaped(text), cache_control.map(Node::raw));
        // An empty text beside calls or thoughts says nothing.
        let is_filler =
            text.is_empty() && message.get("role").is_some_and(|role| role.raw() == b"\"assistant\"");
        return Ok(if is_filler { Vec::new() } else { vec![Part::Text { text, cache_control }] });
    }
    let path = format!("{path}.content");
    if content.kind() != Kind::Array {
        return Err(wrong(&path, "must be a string or an array of parts"));
    }
    content.items().enumerate().map(|(index, item)| part(item, &format!("{path}[{index}]"))).collect()
}

fn part<'a>(item: Node<'a>, path: &str) -> Result<Part<'a>, Refusal> {
    let kind = required_text(object(item, path)?, path, "type")?;
    let cache_control = item.get("cache_control").map(Node::raw);
    Ok(match &*kind.decoded() {
        "text" => Part::Text { text: required_text(item, path, "text")?, cache_control },
        "refusal" => Part::Refusal { text: required_text(item, path, "refusal")? },
        "image_url" => {
            let (media, detail) = image(required(item, path, "image_url")?, &format!("{path}.image_url"))?;
            Part::Image { media, detail, cache_control }
        }
        "input_audio" => {
            let value = required(item, path, "input_audio")?;
            let path = format!("{path}.input_audio");
            let inner = object(value, &path)?;
            let format = optional_text(inner, &path, "format")?;
            let kind = format.map(|format| Text::of(&format!("audio/{}", format.decoded())));
            let source = Source::Base64(required_text(inner, &path, "data")?);
            Part::Audio { media: Media { kind, source } }
        }
        "file" => {
            let inner = object(required(item, path, "file")?, &format!("{path}.file"))?;
            file(inner, &format!("{path}.file"), cache_control)?
        }
        _ => Part::Foreign { path: path.to_owned(), raw: item.raw() },
    })
}

/// `{url, detail}`, or the address itself as some clients send it.
fn image<'a>(value: Node<'a>, path: &str) -> Result<(Media<'a>, Option<Text<'a>>), Refusal> {
    if let Some(url) = value.escaped() {
        return Ok((of_url(url), None));
    }
    let url = required(object(value, path)?, path, "url")?;
    let url = url.escaped().ok_or_else(|| wrong(&format!("{path}.url"), "must be a string"))?;
    Ok((of_url(url), optional_text(value, path, "detail")?))
}

fn file<'a>(inner: Node<'a>, path: &str, cache_control: Option<&'a [u8]>) -> Result<Part<'a>, Refusal> {
    let name = optional_text(inner, path, "filename")?;
    let media = match (optional_text(inner, path, "file_data")?, optional_text(inner, path, "file_id")?) {
        (Some(_), _) => {
            let data = inner.get("file_data").and_then(Node::escaped).unwrap_or_default();
            // Bare base64 is taken too; the name tells what it is.
            if split_data_url(data).is_none() && memchr::memchr(b':', &data[..data.len().min(16)]).is_none() {
                let kind = name.as_ref().and_then(kind_of_name);
                Media { kind, source: Source::Base64(Text::escaped(data)) }
            } else {
                of_url(data)
            }
        }
        (None, Some(id)) => Media { kind: None, source: Source::FileId(id) },
        (None, None) => return Err(wrong(path, "must have `file_data` or `file_id`")),
    };
    Ok(Part::File { media, name, cache_control })
}

fn kind_of_name(name: &Text<'_>) -> Option<Text<'static>> {
    let name = name.decoded().to_ascii_lowercase();
    let is = |ending: &str| name.ends_with(ending);
    match () {
        () if is(".pdf") => Some(Text::of("application/pdf")),
        () if is(".txt") || is(".md") => Some(Text::of("text/plain")),
        () => None,
    }
}

/// What an address holds: the bytes of a data URL (RFC 2397), or a place elsewhere. `url` is a JSON string's inside, of
/// which nothing is copied.
pub(super) fn of_url(url: &[u8]) -> Media<'_> {
    match split_data_url(url) {
        Some((kind, base64)) => {
            let kind = (!kind.is_empty()).then(|| Text::escaped(kind));
            Media { kind, source: Source::Base64(Text::escaped(base64)) }
        }
        None => Media { kind: None, source: Source::Url(Text::escaped(url)) },
    }
}

/// The media type and the base64 text of a data URL. Parameters of the type, such as a charset, are left out.
pub(super) fn split_data_url(url: &[u8]) -> Option<(&[u8], &[u8])> {
    let (scheme, rest) = url.split_at_checked(5)?;
    if !scheme.eq_ignore_ascii_case(b"data:") {
        return None;
    }
    let comma = memchr::memchr(b',', &rest[..rest.len().min(HEAD_BYTES_MAX)])?;
    let head = rest[..comma].strip_suffix(b";base64")?;
    let kind = head.split(|&byte| byte == b';').next()?;
    Some((kind, &rest[comma + 1..]))
}

/// What stands in front of a data URL's comma is no longer than this.
const HEAD_BYTES_MAX: usize = 256;
