//! The words between the reader of a stream and the blocks that it fills: how an event names its item, what an item is,
//! and what a block of it holds.

use super::blocks::Emit;
use super::fields::full_text_of;
use crate::dialect::middle::{Arguments, Delta, Event, Place, Text};
use crate::wire::json::{Kind, Node};

/// How an event names its item. Some servers give an item another id in each event, some count all items as the first.
#[derive(Clone, Copy, Default)]
pub struct Key<'d> {
    pub index: Option<u64>,
    pub id: &'d [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    Message,
    Call,
    CustomCall,
    Reasoning,
    Other,
}

/// A block that was opened.
pub struct Part {
    pub kind: PartKind,
    /// The place in the item's content.
    pub index: u64,
    pub at: Place,
    pub has_text: bool,
    pub has_citations: bool,
    pub is_open: bool,
    /// The paragraph of a thought that was last added to.
    pub paragraph: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    Text,
    Refusal,
    /// A summary of thoughts, or the thoughts themselves: whichever comes first is the block.
    Summary,
    Thought,
    Call,
}

impl Part {
    /// Closes the block unless it is closed.
    pub fn close(&mut self, emit: &mut Emit<'_>) {
        if std::mem::take(&mut self.is_open) {
            emit(Event::Close { at: self.at });
        }
    }
}

/// A member's text as it is spelled; empty when there is none.
pub fn spelled<'d>(node: Node<'d>, key: &str) -> &'d [u8] {
    node.get(key).and_then(Node::escaped).unwrap_or_default()
}

/// What an item is.
pub fn kind_of(node: Node<'_>) -> ItemKind {
    match node.get("type").and_then(Node::text).as_deref() {
        Some("message") => ItemKind::Message,
        Some("function_call") => ItemKind::Call,
        Some("custom_tool_call") => ItemKind::CustomCall,
        Some("reasoning") => ItemKind::Reasoning,
        _ => ItemKind::Other,
    }
}

/// A call's input: a JSON text in a string as the API has it, or the value itself as some servers do.
pub fn arguments<'d>(input: Node<'d>) -> Option<Arguments<'d>> {
    match input.kind() {
        Kind::String => {
            let piece = input.escaped().filter(|piece| !piece.is_empty())?;
            Some(Arguments::Piece(Text::escaped(piece)))
        }
        Kind::Object => Some(Arguments::Whole(input.raw())),
        _ => None,
    }
}

/// What an annotation says of its source.
pub fn citation<'d>(annotation: Node<'d>) -> Delta<'d> {
    let title = full_text_of(annotation, "title").or_else(|| full_text_of(annotation, "filename"));
    Delta::Citation { url: full_text_of(annotation, "url"), title, cited: None }
}
