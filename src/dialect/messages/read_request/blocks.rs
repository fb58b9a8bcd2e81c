//! The blocks of a message. What only Anthropic's own tools mean is kept whole with its path.

use super::{At, invalid, keep, missing, string};
use crate::base::Refusal;
use crate::dialect::middle::{Extra, Media, Part, Signature, Source, Text, ToolKind};
use crate::wire::json::{Kind, Node};

/// Reads one block of a message, of a tool's result or of the system prompt.
pub(super) fn read_block<'a>(
    block: Node<'a>,
    at: At<'_>,
    extras: &mut Vec<Extra<'a>>,
) -> Result<Part<'a>, Refusal> {
    if block.kind() != Kind::Object {
        return Err(invalid(at, "must be an object"));
    }
    let kind = block.get("type").and_then(Node::text).ok_or_else(|| missing(at.member("type")))?;
    let cache_control = block.get("cache_control").map(Node::raw);
    Ok(match &*kind {
        "text" => Part::Text { text: required(block, "text", at)?, cache_control },
        "image" => match read_source(block, at)? {
            Some(media) => Part::Image { media, detail: None, cache_control },
            None => foreign(block, at),
        },
        "document" => read_document(block, at, extras)?,
        "tool_use" => read_call(block, at)?,
        "tool_result" => read_result(block, at, extras)?,
        "thinking" => {
            let signature = block.get("signature").and_then(Node::escaped).map(Text::escaped);
            let signature = signature.filter(|value| !value.is_empty()).map(Signature::from_client);
            Part::Thinking { text: required(block, "thinking", at)?, signature }
        }
        "redacted_thinking" => {
            Part::HiddenThinking { data: Signature::from_client(required(block, "data", at)?) }
        }
        "search_result" => Part::Text { text: search_result(block), cache_control },
        "tool_reference" => Part::Text { text: required(block, "tool_name", at)?, cache_control },
        _ => foreign(block, at),
    })
}

fn required<'a>(block: Node<'a>, key: &str, at: At<'_>) -> Result<Text<'a>, Refusal> {
    let path = at.member(key);
    string(block.get(key).ok_or_else(|| missing(&path))?, path)
}

fn foreign<'a>(block: Node<'a>, at: At<'_>) -> Part<'a> {
    Part::Foreign { path: at.to_string(), raw: block.raw() }
}

/// Where the bytes of an image or a document are; `None` for a kind of source that is not known.
fn read_source<'a>(block: Node<'a>, at: At<'_>) -> Result<Option<Media<'a>>, Refusal> {
    let path = at.member("source");
    let source = block.get("source").ok_or_else(|| missing(&path))?;
    let word = source.get("type").and_then(Node::text).ok_or_else(|| missing(format!("{path}.type")))?;
    let text = |key: &str| {
        let path = format!("{path}.{key}");
        string(source.get(key).ok_or_else(|| missing(&path))?, path)
    };
    let read = match &*word {
        "base64" => Source::Base64(text("data")?),
        "text" => Source::Text(text("data")?),
        "url" => Source::Url(text("url")?),
        "file" => Source::FileId(text("file_id")?),
        "content" => match joined(source.get("content").unwrap_or(source)) {
            Some(text) => Source::Text(text),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let kind = source.get("media_type").and_then(Node::escaped).map(Text::escaped);
    Ok(Some(Media { kind, source: read }))
}

/// A document. That it is to be cited, and what is said about it, has no place in the middle.
fn read_document<'a>(block: Node<'a>, at: At<'_>, extras: &mut Vec<Extra<'a>>) -> Result<Part<'a>, Refusal> {
    let Some(media) = read_source(block, at)? else { return Ok(foreign(block, at)) };
    if let Some(citations) = block.get("citations")
        && citations.get("enabled").and_then(Node::bool) == Some(true)
    {
        keep(extras, at.member("citations"), citations);
    }
    if let Some(context) = block.get("context") {
        keep(extras, at.member("context"), context);
    }
    let name = block.get("title").and_then(Node::escaped).map(Text::escaped);
    Ok(Part::File { media, name, cache_control: block.get("cache_control").map(Node::raw) })
}

fn read_call<'a>(block: Node<'a>, at: At<'_>) -> Result<Part<'a>, Refusal> {
    let input = block.get("input").ok_or_else(|| missing(at.member("input")))?;
    if input.kind() != Kind::Object {
        return Err(invalid(at.member("input"), "must be an object"));
    }
    let signature = block.get("signature").and_then(Node::escaped).map(Text::escaped);
    Ok(Part::ToolCall {
        id: required(block, "id", at)?,
        name: required(block, "name", at)?,
        arguments: Text::of_json(input.raw()),
        kind: ToolKind::Function,
        signature: signature.map(Signature::from_client),
        cache_control: block.get("cache_control").map(Node::raw),
    })
}

fn read_result<'a>(block: Node<'a>, at: At<'_>, extras: &mut Vec<Extra<'a>>) -> Result<Part<'a>, Refusal> {
    let mut parts = Vec::new();
    if let Some(content) = block.get("content") {
        match content.kind() {
            Kind::String => parts.extend(super::plain_text(content)),
            Kind::Array => {
                for (index, inner) in content.items().enumerate() {
                    let at = At { parent: Some(&at), name: "content", index };
                    parts.push(read_block(inner, at, extras)?);
                }
            }
            _ => return Err(invalid(at.member("content"), "must be a string or an array of blocks")),
        }
    }
    Ok(Part::ToolResult {
        id: required(block, "tool_use_id", at)?,
        name: None,
        parts,
        is_error: block.get("is_error").and_then(Node::bool).unwrap_or(false),
        cache_control: block.get("cache_control").map(Node::raw),
    })
}

/// A search result as a text: its title, its source and what was found, each on lines of its own.
fn search_result<'a>(block: Node<'a>) -> Text<'a> {
    let mut text = Text::default();
    let fields = [block.get("title"), block.get("source")].into_iter().flatten();
    for field in fields.filter_map(Node::escaped).filter(|field| !field.is_empty()) {
        text.push(&Text::escaped(field));
        text.push(&Text::escaped(br"\n"));
    }
    if let Some(found) = block.get("content").and_then(joined) {
        text.push(&found);
    }
    text
}

/// The texts of a string or of blocks, one below the other; `None` when there is anything else.
fn joined<'a>(content: Node<'a>) -> Option<Text<'a>> {
    if let Some(text) = content.escaped() {
        return Some(Text::escaped(text));
    }
    let mut joined: Option<Text<'a>> = None;
    for block in content.items() {
        let text = Text::escaped(block.get("text")?.escaped()?);
        match &mut joined {
            None => joined = Some(text),
            Some(joined) => {
                joined.push(&Text::escaped(br"\n"));
                joined.push(&text);
            }
        }
    }
    joined
}
