//! `contents` into turns. Calls and their responses find each other here: by id where there is one, else by name in order.

use super::super::middle::{Media, Part, Role, Signature, Source, Text, ToolKind, Turn};
use super::part::{MediaKind, kind_of_media};
use super::spelling::{field, wrong};
use crate::base::Refusal;
use crate::wire::json::{Kind, Node};

pub(super) fn read_contents<'a>(contents: Node<'a>, turns: &mut Vec<Turn<'a>>) -> Result<(), Refusal> {
    if contents.kind() != Kind::Array {
        return Err(wrong("contents", "`contents` must be a list of turns."));
    }
    let mut calls = Calls::default();
    for (turn_index, content) in contents.items().enumerate() {
        let role = read_role(content, turn_index)?;
        let mut parts = Vec::new();
        for (index, part) in parts_of(content).enumerate() {
            let at = At { turn: turn_index, part: index };
            read_part(part, at, &mut calls, &mut parts)?;
        }
        turns.push(Turn { role, parts, name: None });
    }
    Ok(())
}

fn read_role(content: Node<'_>, index: usize) -> Result<Role, Refusal> {
    match field(content, "role").and_then(Node::text).as_deref() {
        None | Some("" | "user" | "function" | "tool") => Ok(Role::User),
        Some("model") => Ok(Role::Assistant),
        Some("system") => Ok(Role::System),
        Some(_) => Err(wrong(format!("contents[{index}].role"), "The role must be `user` or `model`.")),
    }
}

/// The parts of a content. One that is no list counts as a list of one, as it does at the API.
fn parts_of(content: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    let parts = field(content, "parts");
    let alone = parts.filter(|parts| parts.kind() == Kind::Object);
    parts.into_iter().flat_map(Node::items).chain(alone)
}

/// The parts of the system's instruction, which are texts.
pub(super) fn read_parts_of_system<'a>(content: Node<'a>) -> Result<Vec<Part<'a>>, Refusal> {
    let texts = parts_of(content).enumerate().map(|(index, part)| {
        let path = || format!("systemInstruction.parts[{index}]");
        field(part, "text")
            .filter(|text| text.kind() == Kind::String)
            .map(text_part)
            .ok_or_else(|| wrong(path(), "The system's instruction must consist of texts."))
    });
    texts.collect()
}

/// A string as a part.
pub(super) fn text_part(text: Node<'_>) -> Part<'_> {
    Part::Text { text: Text::escaped(text.escaped().unwrap_or_default()), cache_control: None }
}

/// Where a part stands in `contents`.
#[derive(Clone, Copy)]
struct At {
    turn: usize,
    part: usize,
}

impl At {
    fn path(self) -> String {
        format!("contents[{}].parts[{}]", self.turn, self.part)
    }
}

/// Reads one part; a signature of a text becomes a thought without words behind it.
fn read_part<'a>(
    part: Node<'a>,
    at: At,
    calls: &mut Calls<'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), Refusal> {
    let signature = field(part, "thoughtSignature").and_then(Node::escaped).filter(|value| !value.is_empty());
    let signature = signature.map(|value| super::signature::from_client(Text::escaped(value)));
    let is_thought = field(part, "thought").and_then(Node::bool) == Some(true);
    // How a video is cut, and the like: a part that nobody else could take as it was meant.
    let is_special = field(part, "videoMetadata").is_some();
    let text = field(part, "text").and_then(Node::escaped).map(Text::escaped);
    let media = field(part, "inlineData").or_else(|| field(part, "fileData")).filter(|_| !is_special);
    if let Some(text) = text {
        read_text(text, signature, is_thought, parts);
    } else if let Some(call) = field(part, "functionCall") {
        parts.push(read_call(call, signature, at, calls)?);
    } else if let Some(response) = field(part, "functionResponse") {
        parts.push(read_response(response, at, calls)?);
    } else if let Some(media) = media {
        parts.push(read_media(part, media, at)?);
    } else if let (true, Some(data)) = (is_thought, &signature) {
        parts.push(Part::HiddenThinking { data: data.clone() });
    } else if let (Some(signature), 1) = (&signature, part.members().count()) {
        parts.push(Part::Thinking { text: Text::default(), signature: Some(signature.clone()) });
    } else {
        parts.push(Part::Foreign { path: at.path(), raw: part.raw() });
    }
    Ok(())
}

fn read_text<'a>(
    text: Text<'a>,
    signature: Option<Signature<'a>>,
    is_thought: bool,
    parts: &mut Vec<Part<'a>>,
) {
    if is_thought {
        parts.push(Part::Thinking { text, signature });
        return;
    }
    if !(text.is_empty() && signature.is_some()) {
        parts.push(Part::Text { text, cache_control: None });
    }
    if signature.is_some() {
        parts.push(Part::Thinking { text: Text::default(), signature });
    }
}

fn read_call<'a>(
    call: Node<'a>,
    signature: Option<Signature<'a>>,
    at: At,
    calls: &mut Calls<'a>,
) -> Result<Part<'a>, Refusal> {
    let name = read_name(call, at, "functionCall")?;
    let arguments = field(call, "args").map_or_else(Text::default, |args| Text::of_json(args.raw()));
    let id = read_id(call).unwrap_or_else(|| Text::of(&format!("call_{}_{}", at.turn, at.part)));
    calls.open.push((id.clone(), name.clone()));
    let kind = ToolKind::Function;
    Ok(Part::ToolCall { id, name, arguments, kind, signature, cache_control: None })
}

fn read_response<'a>(response: Node<'a>, at: At, calls: &mut Calls<'a>) -> Result<Part<'a>, Refusal> {
    let name = read_name(response, at, "functionResponse")?;
    let id = calls.answer(read_id(response), &name, at);
    let (said, is_error) = read_outcome(field(response, "response"));
    let mut parts = vec![Part::Text { text: said, cache_control: None }];
    for (index, part) in field(response, "parts").into_iter().flat_map(Node::items).enumerate() {
        let media = field(part, "inlineData").or_else(|| field(part, "fileData"));
        parts.push(match media {
            Some(media) => read_media(part, media, at)?,
            None => {
                let path = format!("{}.functionResponse.parts[{index}]", at.path());
                Part::Foreign { path, raw: part.raw() }
            }
        });
    }
    Ok(Part::ToolResult { id, name: Some(name), parts, is_error, cache_control: None })
}

/// What a function has answered, as a text, and whether that is an error. The API reads `output` and `error` as the
/// function's words; `result` is what most clients write. Any other object is given as its JSON.
fn read_outcome<'a>(response: Option<Node<'a>>) -> (Text<'a>, bool) {
    let Some(response) = response else { return (Text::default(), false) };
    let mut members = response.members();
    let (Some((key, value)), None) = (members.next(), members.next()) else {
        return (Text::of_json(response.raw()), false);
    };
    let is_error = *key == *b"error";
    if !is_error && !matches!(&*key, b"output" | b"result") {
        return (Text::of_json(response.raw()), false);
    }
    (value.escaped().map_or_else(|| Text::of_json(value.raw()), Text::escaped), is_error)
}

fn read_name<'a>(node: Node<'a>, at: At, member: &str) -> Result<Text<'a>, Refusal> {
    let name = field(node, "name").and_then(Node::escaped).filter(|name| !name.is_empty());
    name.map(Text::escaped).ok_or_else(|| {
        wrong(format!("{}.{member}.name", at.path()), format!("A `{member}` must have a name."))
    })
}

fn read_id<'a>(node: Node<'a>) -> Option<Text<'a>> {
    field(node, "id").and_then(Node::escaped).filter(|id| !id.is_empty()).map(Text::escaped)
}

fn read_media<'a>(part: Node<'a>, media: Node<'a>, at: At) -> Result<Part<'a>, Refusal> {
    let text = |name: &str| field(media, name).and_then(Node::escaped).map(Text::escaped);
    let kind = text("mimeType").filter(|kind| !kind.is_empty());
    let source = match (text("data"), text("fileUri")) {
        (Some(data), _) => Source::Base64(data),
        (None, Some(uri)) => Source::Url(uri),
        (None, None) => return Err(wrong(at.path(), "Media must have `data` or a `fileUri`.")),
    };
    let what = kind_of_media(kind.as_ref(), &source);
    let name = text("displayName");
    let media = Media { kind, source };
    Ok(match what {
        MediaKind::Image => Part::Image { media, detail: read_detail(part), cache_control: None },
        MediaKind::Audio => Part::Audio { media },
        MediaKind::File => Part::File { media, name, cache_control: None },
    })
}

/// `mediaResolution` of a part, in the words of image details.
fn read_detail<'a>(part: Node<'a>) -> Option<Text<'a>> {
    let level = field(part, "mediaResolution").and_then(|resolution| field(resolution, "level"))?;
    match level.escaped()? {
        b"MEDIA_RESOLUTION_LOW" => Some(Text::escaped(b"low")),
        b"MEDIA_RESOLUTION_HIGH" | b"MEDIA_RESOLUTION_ULTRA_HIGH" => Some(Text::escaped(b"high")),
        _ => None,
    }
}

/// Calls that wait for their responses: ids and names, in order.
#[derive(Default)]
struct Calls<'a> {
    open: Vec<(Text<'a>, Text<'a>)>,
}

impl<'a> Calls<'a> {
    /// The id of the call that a response of this id or name belongs to. One that belongs to none gets an id of its own,
    /// for the provider to judge.
    fn answer(&mut self, id: Option<Text<'a>>, name: &Text<'a>, at: At) -> Text<'a> {
        let by_id = id.as_ref().and_then(|id| self.open.iter().position(|(other, _)| other == id));
        let by_name = || self.open.iter().position(|(_, other)| other == name);
        match by_id.or_else(by_name) {
            Some(place) => self.open.remove(place).0,
            None => id.unwrap_or_else(|| Text::of(&format!("call_{}_{}", at.turn, at.part))),
        }
    }
}
