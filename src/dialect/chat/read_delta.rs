//! Reads what one chunk adds to a choice, in every spelling of the field. A delta may hold everything at once: thoughts
//! come first then, the text behind them, calls last.

use super::assemble::{Choice, Emit, Fragment, Prose};
use super::read_parts::split_data_url;
use crate::dialect::middle::{Arguments, Block, Delta, Signature, Text};
use crate::wire::json::{self, Kind, Node};

/// The members of a delta, or of a whole message, that say something.
#[derive(Default)]
struct Members<'d> {
    content: Option<Node<'d>>,
    refusal: Option<Node<'d>>,
    reasoning: Option<Node<'d>>,
    reasoning_blocks: Option<Node<'d>>,
    tool_calls: Option<Node<'d>>,
    function_call: Option<Node<'d>>,
    annotations: Option<Node<'d>>,
    images: Option<Node<'d>>,
    audio: Option<Node<'d>>,
}

/// Adds a delta. `logprobs` is its choice's.
pub(super) fn add(
    choice: &mut Choice,
    delta: Node<'_>,
    logprobs: Option<Node<'_>>,
    vendor: &str,
    emit: Emit<'_>,
) {
    let members = members(delta);
    reasoning(choice, &members, vendor, emit);
    if let Some(value) = members.content {
        content(choice, value, emit);
    }
    add_logprobs(choice, Prose::Text, logprobs, "content", emit);
    for item in members.annotations.into_iter().flat_map(Node::items) {
        annotation(choice, item, emit);
    }
    if let Some(text) = members.refusal.and_then(Node::escaped) {
        choice.prose(Prose::Refusal, text, emit);
        add_logprobs(choice, Prose::Refusal, logprobs, "refusal", emit);
    }
    for item in members.images.into_iter().flat_map(Node::items) {
        image(choice, item, emit);
    }
    if let Some(value) = members.audio {
        // What is said in it is the text of the answer, unless that is there as well.
        let has_text = members.content.and_then(Node::escaped).is_some_and(|text| !text.is_empty());
        if let Some(text) = value.get("transcript").and_then(Node::escaped).filter(|_| !has_text) {
            choice.prose(Prose::Text, text, emit);
        }
        audio(choice, value, emit);
    }
    for (position, item) in members.tool_calls.into_iter().flat_map(Node::items).enumerate() {
        choice.call(&fragment(item, position), vendor, emit);
    }
    if let Some(call) = members.function_call.filter(|call| call.kind() == Kind::Object) {
        // The older form knows one call and no ids: the name stands for it, in the answer as in the history.
        let mut piece = function(call, Fragment::default());
        (piece.index, piece.id) = (Some(0), piece.name);
        choice.call(&piece, vendor, emit);
    }
}

fn members(delta: Node<'_>) -> Members<'_> {
    let mut found = Members::default();
    let mut plain = None;
    for (name, value) in delta.members().filter(|(_, value)| !value.is_null()) {
        match &*name {
            b"content" => found.content = Some(value),
            b"refusal" => found.refusal = Some(value),
            b"reasoning_content" => found.reasoning = Some(value),
            b"reasoning" => plain = Some(value),
            b"reasoning_details" | b"thinking_blocks" => found.reasoning_blocks = Some(value),
            b"tool_calls" => found.tool_calls = Some(value),
            b"function_call" => found.function_call = Some(value),
            b"annotations" => found.annotations = Some(value),
            b"images" => found.images = Some(value),
            b"audio" => found.audio = Some(value),
            _ => {}
        }
    }
    // Some send both names, with the same text.
    let is_empty = |value: &Node<'_>| value.escaped().is_some_and(<[u8]>::is_empty);
    found.reasoning = found.reasoning.filter(|value| !is_empty(value)).or(plain);
    found
}

/// Thoughts: the blocks where they hold texts, because signatures belong to blocks; else the plain text, and of the blocks
/// what is no text.
fn reasoning(choice: &mut Choice, members: &Members<'_>, vendor: &str, emit: Emit<'_>) {
    let blocks = || members.reasoning_blocks.into_iter().flat_map(Node::items);
    let with_texts = blocks().any(|block| block_text(block).is_some());
    if let Some(plain) = members.reasoning.filter(|_| !with_texts) {
        match plain.kind() {
            Kind::String => choice.prose(Prose::Thinking, plain.escaped().unwrap_or_default(), emit),
            _ => plain.items().for_each(|item| thinking_item(choice, item, emit)),
        }
    }
    for block in blocks() {
        if let Some(text) = block_text(block) {
            choice.prose(Prose::Thinking, text, emit);
        }
        if let Some(signature) = block.get("signature").and_then(Node::escaped) {
            choice.signature(signature, vendor, emit);
        }
        if let Some(data) = block.get("data").and_then(Node::escaped).filter(|data| !data.is_empty()) {
            let data = Signature::of_vendor(vendor, Text::escaped(data));
            choice.whole(Block::HiddenThinking { data }, emit);
        }
    }
}

/// The text of a block of thoughts: a thought, a text or a summary, by its type.
fn block_text(block: Node<'_>) -> Option<&[u8]> {
    let text = ["thinking", "text", "summary"].into_iter().find_map(|key| block.get(key)?.escaped());
    text.filter(|text| !text.is_empty())
}

/// The content: a text, or parts in an array.
fn content(choice: &mut Choice, value: Node<'_>, emit: Emit<'_>) {
    if let Some(text) = value.escaped() {
        return choice.content(text, emit);
    }
    for item in value.items() {
        if let Some(text) = item.escaped() {
            choice.prose(Prose::Text, text, emit);
            continue;
        }
        match item.get("type").and_then(Node::escaped).unwrap_or(b"text") {
            b"text" | b"output_text" => {
                if let Some(text) = item.get("text").and_then(Node::escaped) {
                    choice.prose(Prose::Text, text, emit);
                }
            }
            b"thinking" => thinking_item(choice, item, emit),
            b"refusal" => {
                if let Some(text) = item.get("refusal").and_then(Node::escaped) {
                    choice.prose(Prose::Refusal, text, emit);
                }
            }
            b"image_url" => image(choice, item, emit),
            _ => choice.whole(Block::Foreign { raw: item.raw() }, emit),
        }
    }
}

/// `{"type": "thinking", "thinking": "…"}`, or with an array of texts in it.
fn thinking_item(choice: &mut Choice, item: Node<'_>, emit: Emit<'_>) {
    let Some(value) = item.get("thinking").or(item.get("text")) else { return };
    if let Some(text) = value.escaped() {
        return choice.prose(Prose::Thinking, text, emit);
    }
    for inner in value.items() {
        if let Some(text) = inner.get("text").and_then(Node::escaped) {
            choice.prose(Prose::Thinking, text, emit);
        }
    }
}

fn add_logprobs(choice: &mut Choice, kind: Prose, logprobs: Option<Node<'_>>, key: &str, emit: Emit<'_>) {
    let found = logprobs.and_then(|logprobs| logprobs.get(key));
    if let Some(list) = found.filter(|list| list.kind() == Kind::Array && !json::is_empty_array(list.raw())) {
        choice.logprobs(kind, list.raw(), emit);
    }
}

/// `{"type": "url_citation", "url_citation": {"url", "title", "content"}}`, or without the object in the object.
fn annotation(choice: &mut Choice, item: Node<'_>, emit: Emit<'_>) {
    if item.get("type").and_then(Node::escaped) != Some(b"url_citation") {
        return;
    }
    let inner = item.get("url_citation").unwrap_or(item);
    let text = |key: &str| inner.get(key).and_then(Node::escaped).map(Text::escaped);
    if let Some(url) = text("url") {
        let delta = Delta::Citation { url: Some(url), title: text("title"), cited: text("content") };
        choice.of_text(delta, emit);
    }
}

/// An image as its bytes is a block. An address is not: the middle has no word for it.
fn image(choice: &mut Choice, item: Node<'_>, emit: Emit<'_>) {
    let value = item.get("image_url").unwrap_or(item);
    let url = value.escaped().or_else(|| value.get("url")?.escaped());
    match url.and_then(split_data_url) {
        Some((kind, base64)) => {
            let (kind, base64) = (Text::escaped(kind), Text::escaped(base64));
            choice.whole(Block::Media { kind, base64 }, emit);
        }
        None => choice.whole(Block::Foreign { raw: item.raw() }, emit),
    }
}

/// A sound. Its format is the request's, which is not known here. Of a stream every piece is base64 of its own, so every
/// piece is a block.
fn audio(choice: &mut Choice, value: Node<'_>, emit: Emit<'_>) {
    if let Some(data) = value.get("data").and_then(Node::escaped).filter(|data| !data.is_empty()) {
        let (kind, base64) = (Text::escaped(b"audio/*"), Text::escaped(data));
        choice.whole(Block::Media { kind, base64 }, emit);
    }
}

fn fragment(item: Node<'_>, position: usize) -> Fragment<'_> {
    let mut piece = Fragment { position, ..Fragment::default() };
    for (name, value) in item.members() {
        match &*name {
            b"index" => piece.index = value.u64(),
            b"id" => piece.id = value.escaped().unwrap_or_default(),
            b"function" => piece = function(value, piece),
            b"custom" if value.kind() == Kind::Object => {
                piece.is_custom = true;
                piece.name = value.get("name").and_then(Node::escaped).unwrap_or_default();
                let input = value.get("input").and_then(Node::escaped);
                piece.arguments = input.map(|input| Arguments::Piece(Text::escaped(input)));
            }
            b"extra_content" => {
                let signature =
                    value.get("google").and_then(|google| google.get("thought_signature")?.escaped());
                piece.signature = signature.unwrap_or_default();
            }
            _ => {}
        }
    }
    piece
}

fn function<'d>(value: Node<'d>, mut piece: Fragment<'d>) -> Fragment<'d> {
    for (name, value) in value.members() {
        match &*name {
            b"name" => piece.name = value.escaped().unwrap_or_default(),
            b"arguments" => {
                piece.arguments = match value.kind() {
                    Kind::String => value.escaped().map(|text| Arguments::Piece(Text::escaped(text))),
                    Kind::Object => Some(Arguments::Whole(value.raw())),
                    _ => None,
                }
            }
            _ => {}
        }
    }
    piece
}
