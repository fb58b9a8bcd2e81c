//! The blocks of an answer while they are open. Numbers of the provider become dense places; what a block holds until its
//! end (a signature, an input that came with its start, a block of the provider's own) is kept here.

use std::borrow::Cow;

use super::errors;
use crate::dialect::middle::{Arguments, Block, Delta, Event, Place, ProviderError, Signature, Text};
use crate::wire::json::{self, Kind, Node};

/// The blocks of one answer.
pub(super) struct Blocks {
    vendor: Cow<'static, str>,
    open: Vec<OpenBlock>,
    opened_count: u32,
    has_calls: bool,
}

struct OpenBlock {
    /// The provider's number.
    index: u64,
    place: Place,
    kind: BlockKind,
    /// The signature of a thought; the input that came with the start of a call; the start of a foreign block.
    held: Vec<u8>,
    /// What deltas added to a foreign block, decoded.
    added: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    Text,
    Thinking,
    HiddenThinking,
    ToolCall,
    /// Opened for the client only at its end, when it is whole.
    Foreign,
}

impl Blocks {
    pub(super) fn new(vendor: Cow<'static, str>) -> Blocks {
        Blocks { vendor, open: Vec::new(), opened_count: 0, has_calls: false }
    }

    /// Whether any block has been begun.
    pub(super) fn has_any(&self) -> bool {
        self.opened_count > 0 || !self.open.is_empty()
    }

    pub(super) fn has_calls(&self) -> bool {
        self.has_calls
    }

    /// The place of a block that is opened now.
    pub(super) fn next_place(&mut self) -> Place {
        let place = Place { choice: 0, block: self.opened_count };
        self.opened_count += 1;
        place
    }

    /// A block begins, with whatever it holds already.
    pub(super) fn open(
        &mut self,
        index: u64,
        block: Node<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), ProviderError> {
        self.close(index, emit);
        let escaped = |key: &str| block.get(key).and_then(Node::escaped).unwrap_or_default();
        let [kind, text, citations] = block.pick(["type", "text", "citations"]);
        match kind.and_then(Node::escaped).unwrap_or_default() {
            b"text" => {
                let place = self.begin(index, BlockKind::Text, Block::Text, emit);
                add_text(place, text.and_then(Node::escaped).unwrap_or_default(), emit);
                citations
                    .into_iter()
                    .flat_map(Node::items)
                    .for_each(|citation| add_citation(place, citation, emit));
            }
            b"thinking" => {
                let place = self.begin(index, BlockKind::Thinking, Block::Thinking, emit);
                add_text(place, escaped("thinking"), emit);
                self.hold(index, escaped("signature"));
            }
            b"redacted_thinking" => {
                let vendor = self.vendor.clone();
                let data = Signature::of_vendor(&vendor, Text::escaped(escaped("data")));
                self.begin(index, BlockKind::HiddenThinking, Block::HiddenThinking { data }, emit);
            }
            b"tool_use" => {
                let (id, name) = (Text::escaped(escaped("id")), Text::escaped(escaped("name")));
                if id.is_empty() || name.is_empty() {
                    return Err(errors::broken("The provider called a tool without an id or a name."));
                }
                let call = Block::ToolCall { id, name, is_custom: false, signature: None };
                self.begin(index, BlockKind::ToolCall, call, emit);
                self.has_calls = true;
                let input = block.get("input").filter(|input| input.members().next().is_some());
                self.hold(index, input.map(Node::raw).unwrap_or_default());
            }
            _ if block.kind() == Kind::Object => {
                self.push(index, Place::default(), BlockKind::Foreign);
                self.hold(index, block.raw());
            }
            _ => {}
        }
        Ok(())
    }

    /// Something is added to a block. Texts of a block that was never begun begin it, as some servers leave the start out.
    pub(super) fn delta(
        &mut self,
        index: u64,
        delta: Node<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), ProviderError> {
        let (mut kind, mut value) = (&b""[..], None);
        for (key, member) in delta.members() {
            match &*key {
                b"type" => kind = member.escaped().unwrap_or_default(),
                b"text" | b"thinking" | b"partial_json" | b"signature" | b"citation" | b"content" => {
                    value = Some(member);
                }
                _ => {}
            }
        }
        let escaped = value.and_then(Node::escaped).unwrap_or_default();
        match kind {
            b"text_delta" => self.add_text(index, BlockKind::Text, Block::Text, escaped, emit),
            b"thinking_delta" => self.add_text(index, BlockKind::Thinking, Block::Thinking, escaped, emit),
            b"input_json_delta" => return self.add_input(index, escaped, emit),
            b"signature_delta" => self.hold_signature(index, escaped),
            b"citations_delta" => {
                if let Some(block) = self.find(index).filter(|block| block.kind == BlockKind::Text) {
                    value.into_iter().for_each(|citation| add_citation(block.place, citation, emit));
                }
            }
            b"compaction_delta" => {
                if let Some(block) = self.find(index).filter(|block| block.kind == BlockKind::Foreign) {
                    block.added.extend_from_slice(json::unescaped(escaped).as_bytes());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add_text(
        &mut self,
        index: u64,
        kind: BlockKind,
        block: Block<'_>,
        escaped: &[u8],
        emit: &mut dyn FnMut(Event<'_>),
    ) {
        match self.find(index).map(|open| (open.kind, open.place)) {
            Some((BlockKind::Text | BlockKind::Thinking, place)) => add_text(place, escaped, emit),
            Some(_) => {}
            None if escaped.is_empty() => {}
            None => {
                let place = self.begin(index, kind, block, emit);
                add_text(place, escaped, emit);
            }
        }
    }

    /// A piece of an input. What the provider's own tools are asked stays in their blocks.
    fn add_input(
        &mut self,
        index: u64,
        escaped: &[u8],
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), ProviderError> {
        let Some(block) = self.find(index) else {
            return Err(errors::broken("The provider sent arguments of a call that it never began."));
        };
        match block.kind {
            BlockKind::ToolCall if !escaped.is_empty() => {
                block.held.clear();
                let piece = Arguments::Piece(Text::escaped(escaped));
                emit(Event::Delta { at: block.place, delta: Delta::Arguments(piece) });
            }
            BlockKind::Foreign => block.added.extend_from_slice(json::unescaped(escaped).as_bytes()),
            _ => {}
        }
        Ok(())
    }

    /// A block ends; nothing happens when it is not open.
    pub(super) fn close(&mut self, index: u64, emit: &mut dyn FnMut(Event<'_>)) {
        let Some(position) = self.open.iter().position(|block| block.index == index) else { return };
        let OpenBlock { place, kind, held, added, .. } = self.open.remove(position);
        match kind {
            BlockKind::Thinking if !held.is_empty() => {
                let signature = Signature::of_vendor(&self.vendor, Text::escaped(&held));
                emit(Event::Delta { at: place, delta: Delta::Signature(signature) });
            }
            BlockKind::ToolCall if !held.is_empty() => {
                emit(Event::Delta { at: place, delta: Delta::Arguments(Arguments::Whole(&held)) });
            }
            BlockKind::Foreign => {
                let at = self.next_place();
                emit(Event::Open { at, block: Block::Foreign { raw: &completed(&held, &added) } });
                return emit(Event::Close { at });
            }
            _ => {}
        }
        emit(Event::Close { at: place });
    }

    pub(super) fn close_all(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        while let Some(index) = self.open.first().map(|block| block.index) {
            self.close(index, emit);
        }
    }

    fn begin(
        &mut self,
        index: u64,
        kind: BlockKind,
        block: Block<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Place {
        let at = self.next_place();
        emit(Event::Open { at, block });
        self.push(index, at, kind);
        at
    }

    fn push(&mut self, index: u64, place: Place, kind: BlockKind) {
        self.open.push(OpenBlock { index, place, kind, held: Vec::new(), added: Vec::new() });
    }

    /// Keeps the signature of a thought until the block's end; a later one replaces it, as in the SDKs.
    fn hold_signature(&mut self, index: u64, escaped: &[u8]) {
        if self.find(index).is_some_and(|block| block.kind == BlockKind::Thinking) {
            self.hold(index, escaped);
        }
    }

    fn hold(&mut self, index: u64, bytes: &[u8]) {
        if let Some(block) = self.find(index) {
            block.held.clear();
            block.held.extend_from_slice(bytes);
        }
    }

    fn find(&mut self, index: u64) -> Option<&mut OpenBlock> {
        self.open.iter_mut().find(|block| block.index == index)
    }
}

fn add_text(at: Place, escaped: &[u8], emit: &mut dyn FnMut(Event<'_>)) {
    if !escaped.is_empty() {
        emit(Event::Delta { at, delta: Delta::Text(Text::escaped(escaped)) });
    }
}

/// A citation: of a page with its address, of a search result with its source, or of a document with its title.
fn add_citation(at: Place, citation: Node<'_>, emit: &mut dyn FnMut(Event<'_>)) {
    let text = |key: &str| citation.get(key).and_then(Node::escaped).map(Text::escaped);
    let (url, title) =
        (text("url").or_else(|| text("source")), text("title").or_else(|| text("document_title")));
    let cited = text("cited_text");
    if url.is_some() || title.is_some() || cited.is_some() {
        emit(Event::Delta { at, delta: Delta::Citation { url, title, cited } });
    }
}

/// A foreign block with what its deltas added: the JSON of its `input`, or the text of its `content`.
fn completed<'b>(start: &'b [u8], added: &[u8]) -> Cow<'b, [u8]> {
    if added.is_empty() {
        return Cow::Borrowed(start);
    }
    let start = Node::scanned(start);
    let is_input = start.get("input").is_some();
    if is_input && json::scan_object(added, &mut Vec::new()).is_err() {
        return Cow::Borrowed(start.raw());
    }
    let replaced: &[u8] = if is_input { b"input" } else { b"content" };
    let mut whole = vec![b'{'];
    for (key, value) in start.members() {
        json::write_string(&String::from_utf8_lossy(&key), &mut whole);
        whole.push(b':');
        match *key == *replaced {
            true if is_input => whole.extend_from_slice(added.trim_ascii()),
            true => json::write_string(&String::from_utf8_lossy(added), &mut whole),
            false => whole.extend_from_slice(value.raw()),
        }
        whole.push(b',');
    }
    whole.pop();
    whole.push(b'}');
    Cow::Owned(whole)
}
