//! The items of an answer that is read, as blocks of the middle. An item may come in pieces, whole behind its pieces, or
//! whole only; each text leaves here once.

use super::fields::{full_text_of, is_word, text_of};
use super::pieces::{ItemKind, Key, Part, PartKind, arguments, citation, kind_of, spelled};
use super::read_input::PARAGRAPH;
use crate::dialect::middle::{Block, Delta, Event, Place, Signature, Text};
use crate::wire::json::Node;

pub type Emit<'e> = dyn FnMut(Event<'_>) + 'e;

/// All items so far.
pub struct Blocks {
    vendor: String,
    items: Vec<Item>,
    blocks_count: u32,
    pub has_calls: bool,
}

struct Item {
    index: Option<u64>,
    /// As they are spelled; empty when they are unknown.
    id: Vec<u8>,
    call_id: Vec<u8>,
    kind: ItemKind,
    is_done: bool,
    parts: Vec<Part>,
}

impl Blocks {
    pub fn new(vendor: &str) -> Blocks {
        Blocks { vendor: vendor.to_owned(), items: Vec::new(), blocks_count: 0, has_calls: false }
    }

    /// An item begins. A call is opened when its name is known; all else waits for its first text.
    pub fn add(&mut self, index: Option<u64>, node: Node<'_>, emit: &mut Emit<'_>) {
        let key = Key { index, id: spelled(node, "id") };
        let kind = kind_of(node);
        let is_again = |item: &Item| {
            item.index == index && item.kind == kind && (*item.id == *key.id || key.id.is_empty())
        };
        if !self.items.iter().any(is_again) {
            let item = self.push(key, kind);
            self.open_call(item, node, emit);
        }
    }

    /// The item of a piece; one that nothing has announced begins here.
    pub fn item(&mut self, key: Key<'_>, kind: ItemKind) -> usize {
        self.find(key).filter(|&item| self.items[item].kind == kind).unwrap_or_else(|| self.push(key, kind))
    }

    /// A piece of a message's text or refusal.
    pub fn add_text(
        &mut self,
        item: usize,
        index: u64,
        kind: PartKind,
        delta: &Text<'_>,
        emit: &mut Emit<'_>,
    ) {
        if delta.is_empty() {
            return;
        }
        if let Some(part) = self.part(item, index, kind, emit) {
            part.has_text = true;
            emit(Event::Delta { at: part.at, delta: Delta::Text(delta.clone()) });
        }
    }

    /// The probabilities of the tokens that came last.
    pub fn add_logprobs(&mut self, item: usize, index: u64, logprobs: Node<'_>, emit: &mut Emit<'_>) {
        if logprobs.items().next().is_none() {
            return;
        }
        if let Some(part) = self.part(item, index, PartKind::Text, emit) {
            emit(Event::Delta { at: part.at, delta: Delta::Logprobs(logprobs.raw()) });
        }
    }

    pub fn add_citation(&mut self, item: usize, index: u64, annotation: Node<'_>, emit: &mut Emit<'_>) {
        if let Some(part) = self.part(item, index, PartKind::Text, emit) {
            part.has_citations = true;
            emit(Event::Delta { at: part.at, delta: citation(annotation) });
        }
    }

    /// A piece of a thought or of its summary; `paragraph` counts the parts of either.
    pub fn add_thought(
        &mut self,
        item: usize,
        paragraph: u64,
        kind: PartKind,
        delta: &Text<'_>,
        emit: &mut Emit<'_>,
    ) {
        if delta.is_empty() {
            return;
        }
        let Some(part) = self.part(item, 0, kind, emit).filter(|part| part.kind == kind) else { return };
        if part.has_text && part.paragraph != paragraph {
            emit(Event::Delta { at: part.at, delta: Delta::Text(Text::escaped(PARAGRAPH)) });
        }
        part.has_text = true;
        part.paragraph = paragraph;
        emit(Event::Delta { at: part.at, delta: Delta::Text(delta.clone()) });
    }

    /// A piece of a call's input. That of a call without a name waits until the item comes whole.
    pub fn add_input(&mut self, item: usize, delta: Node<'_>, emit: &mut Emit<'_>) {
        let part = self.items[item].parts.first_mut().filter(|part| part.is_open);
        if let (Some(part), Some(arguments)) = (part, arguments(delta)) {
            part.has_text = true;
            emit(Event::Delta { at: part.at, delta: Delta::Arguments(arguments) });
        }
    }

    /// A call's input as a whole, behind its pieces or instead of them.
    pub fn complete_input(&mut self, item: usize, input: Node<'_>, emit: &mut Emit<'_>) {
        if self.items[item].parts.first().is_some_and(|part| !part.has_text) {
            self.add_input(item, input, emit);
        }
    }

    /// A part of a message as a whole, behind its pieces or instead of them.
    pub fn complete_part(&mut self, item: usize, index: u64, node: Node<'_>, emit: &mut Emit<'_>) {
        let (kind, field) = if is_word(node, "type", "output_text") {
            (PartKind::Text, "text")
        } else if is_word(node, "type", "refusal") {
            (PartKind::Refusal, "refusal")
        } else {
            return;
        };
        let known = self.items[item].parts.iter().find(|part| part.index == index);
        let (has_text, has_citations) = known.map_or((false, false), |p| (p.has_text, p.has_citations));
        if !has_text {
            self.add_text(item, index, kind, &text_of(node, field), emit);
            if let Some(logprobs) = node.get("logprobs") {
                self.add_logprobs(item, index, logprobs, emit);
            }
        }
        if let Some(annotations) = node.get("annotations").filter(|_| !has_citations) {
            for annotation in annotations.items() {
                self.add_citation(item, index, annotation, emit);
            }
        }
        for part in self.items[item].parts.iter_mut().filter(|part| part.index == index) {
            part.close(emit);
        }
    }

    /// An item as a whole, behind its pieces or instead of them.
    pub fn complete(&mut self, index: Option<u64>, node: Node<'_>, emit: &mut Emit<'_>) {
        let item = self.item(Key { index, id: spelled(node, "id") }, kind_of(node));
        self.complete_item(item, node, emit);
    }

    /// An item of the list that a finished answer holds: most have come before.
    pub fn complete_listed(&mut self, position: u64, node: Node<'_>, emit: &mut Emit<'_>) {
        let (id, call_id, kind) = (spelled(node, "id"), spelled(node, "call_id"), kind_of(node));
        let is_same = |own: &[u8], other: &[u8]| !own.is_empty() && own == other;
        let by_id = |item: &Item| is_same(&item.id, id) || is_same(&item.call_id, call_id);
        let by_position = |item: &Item| item.index == Some(position) && item.kind == kind;
        let known = self.items.iter().position(by_id).or_else(|| self.items.iter().position(by_position));
        let item = known.unwrap_or_else(|| self.push(Key { index: Some(position), id }, kind));
        self.complete_item(item, node, emit);
    }

    /// Closes what is open: nothing more comes.
    pub fn close(&mut self, emit: &mut Emit<'_>) {
        for part in self.items.iter_mut().flat_map(|item| &mut item.parts) {
            part.close(emit);
        }
    }

    fn complete_item(&mut self, item: usize, node: Node<'_>, emit: &mut Emit<'_>) {
        if self.items[item].is_done {
            return;
        }
        match self.items[item].kind {
            ItemKind::Message => {
                let parts = node.get("content").into_iter().flat_map(Node::items);
                for (index, part) in (0..).zip(parts) {
                    self.complete_part(item, index, part, emit);
                }
            }
            ItemKind::Call | ItemKind::CustomCall => {
                self.open_call(item, node, emit);
                if let Some(input) = node.get("arguments").or_else(|| node.get("input")) {
                    self.complete_input(item, input, emit);
                }
            }
            ItemKind::Reasoning => self.complete_thought(item, node, emit),
            ItemKind::Other => self.emit_whole(node, emit),
        }
        self.items[item].is_done = true;
        for part in &mut self.items[item].parts {
            part.close(emit);
        }
    }

    /// A thought, and the state that makes it the vendor's own. Without any text it is one that only the vendor can read;
    /// a summary of one empty text says that its text is kept back.
    fn complete_thought(&mut self, item: usize, node: Node<'_>, emit: &mut Emit<'_>) {
        if self.items[item].parts.is_empty() {
            for (key, kind) in [("summary", PartKind::Summary), ("content", PartKind::Thought)] {
                let texts = node.get(key).into_iter().flat_map(Node::items);
                for (paragraph, part) in (0..).zip(texts) {
                    self.add_thought(item, paragraph, kind, &text_of(part, "text"), emit);
                }
            }
        }
        let Some(value) = full_text_of(node, "encrypted_content") else { return };
        let vendor = std::mem::take(&mut self.vendor);
        let signature = Signature::of_vendor(&vendor, value);
        let has_summary = node.get("summary").is_some_and(|list| list.items().next().is_some());
        if has_summary || !self.items[item].parts.is_empty() {
            if let Some(part) = self.part(item, 0, PartKind::Summary, emit) {
                emit(Event::Delta { at: part.at, delta: Delta::Signature(signature) });
            }
        } else {
            self.emit_block(Block::HiddenThinking { data: signature }, emit);
        }
        self.vendor = vendor;
    }

    /// Items that the middle has no pieces of.
    fn emit_whole(&mut self, node: Node<'_>, emit: &mut Emit<'_>) {
        let image = full_text_of(node, "result").filter(|_| is_word(node, "type", "image_generation_call"));
        let Some(base64) = image else { return self.emit_block(Block::Foreign { raw: node.raw() }, emit) };
        // The API draws PNG unless it was told otherwise.
        let format = node.get("output_format").and_then(Node::text).unwrap_or("png".into());
        let kind = Text::of(&format!("image/{format}"));
        self.emit_block(Block::Media { kind, base64 }, emit);
    }

    fn emit_block(&mut self, block: Block<'_>, emit: &mut Emit<'_>) {
        let at = self.next_place();
        emit(Event::Open { at, block });
        emit(Event::Close { at });
    }

    /// Opens a call once its name is known.
    fn open_call(&mut self, item: usize, node: Node<'_>, emit: &mut Emit<'_>) {
        let own = &self.items[item];
        let is_call = matches!(own.kind, ItemKind::Call | ItemKind::CustomCall);
        let id = full_text_of(node, "call_id").or_else(|| full_text_of(node, "id"));
        let (Some(id), Some(name)) = (id, full_text_of(node, "name")) else { return };
        if !is_call || !own.parts.is_empty() {
            return;
        }
        let is_custom = own.kind == ItemKind::CustomCall;
        self.items[item].call_id = id.as_escaped().to_vec();
        self.has_calls = true;
        let block = Block::ToolCall { id, name, is_custom, signature: None };
        self.open(item, 0, PartKind::Call, block, emit);
    }

    /// The open part of this place, which is opened at its first use; `None` when it is closed.
    fn part(&mut self, item: usize, index: u64, kind: PartKind, emit: &mut Emit<'_>) -> Option<&mut Part> {
        if self.items[item].is_done {
            return None;
        }
        let known = self.items[item].parts.iter().position(|part| part.index == index);
        let place = known.unwrap_or_else(|| {
            let block = match kind {
                PartKind::Text => Block::Text,
                PartKind::Refusal => Block::Refusal,
                _ => Block::Thinking,
            };
            self.open(item, index, kind, block, emit);
            self.items[item].parts.len() - 1
        });
        self.items[item].parts.get_mut(place).filter(|part| part.is_open)
    }

    fn open(&mut self, item: usize, index: u64, kind: PartKind, block: Block<'_>, emit: &mut Emit<'_>) {
        let at = self.next_place();
        let (has_text, has_citations, is_open, paragraph) = (false, false, true, 0);
        self.items[item].parts.push(Part { kind, index, at, has_text, has_citations, is_open, paragraph });
        emit(Event::Open { at, block });
    }

    fn next_place(&mut self) -> Place {
        let block = self.blocks_count;
        self.blocks_count += 1;
        Place { choice: 0, block }
    }

    fn push(&mut self, key: Key<'_>, kind: ItemKind) -> usize {
        let (id, call_id) = (key.id.to_vec(), Vec::new());
        let item = Item { index: key.index, id, call_id, kind, is_done: false, parts: Vec::new() };
        self.items.push(item);
        self.items.len() - 1
    }

    /// The item that both names fit; else the last one of the index; else the one of the id.
    pub fn find(&self, key: Key<'_>) -> Option<usize> {
        let has_id = |item: &Item| !key.id.is_empty() && *item.id == *key.id;
        let has_index = |item: &Item| key.index.is_some() && item.index == key.index;
        let items = &self.items;
        let both = items.iter().rposition(|item| has_id(item) && has_index(item));
        both.or_else(|| items.iter().rposition(has_index)).or_else(|| items.iter().rposition(has_id))
    }
}
