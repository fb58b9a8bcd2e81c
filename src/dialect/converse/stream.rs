//! Streams of Converse as events, one frame at a time. Never gives an end that the provider did not give.
//!
//! Only calls and images are announced by `contentBlockStart`; texts and thoughts begin with their first delta. The last
//! word is `metadata`, behind `messageStop`.

use crate::dialect::middle::{
    Arguments, Block, Delta, Event, Place, ProviderError, Rules, Signature, Stage, Start, Text,
};
use crate::wire::json::{Member, Node};

use super::answer::{citation, image_kind, read_finish, read_usage, text_of, was_run_by_provider};
use super::errors;

/// Reads the stream of `ConverseStream`.
pub struct StreamReader {
    vendor: String,
    members: Vec<Member>,
    /// The blocks that are open, by the provider's index.
    open: Vec<Open>,
    blocks_count: u32,
    is_started: bool,
    has_calls: bool,
    is_finished: bool,
    has_metadata: bool,
    /// `End` or an error was given; nothing follows.
    is_over: bool,
}

/// A block that the provider has begun.
#[derive(Clone, Copy)]
struct Open {
    index: u64,
    at: Place,
    kind: OpenKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OpenKind {
    Text,
    Thinking,
    Call,
    /// Bytes of an image come with its deltas; this is its media type. It has no place until then.
    Image(&'static str),
    /// A block that no other dialect has a word for, and that comes in pieces: it is left out.
    Skipped,
}

impl StreamReader {
    pub fn new(rules: &Rules) -> StreamReader {
        StreamReader {
            vendor: rules.vendor.to_string(),
            members: Vec::new(),
            open: Vec::new(),
            blocks_count: 0,
            is_started: false,
            has_calls: false,
            is_finished: false,
            has_metadata: false,
            is_over: false,
        }
    }

    /// Reads one frame: the value of its `:event-type`, and its payload.
    pub fn event(&mut self, event_type: &str, payload: &[u8], emit: &mut dyn FnMut(Event<'_>)) {
        if self.is_over {
            return;
        }
        let Ok(event) = Node::document(payload, &mut self.members) else {
            return self.fail(errors::no_json(), emit);
        };
        if !std::mem::replace(&mut self.is_started, true) {
            emit(Event::Start(Start::default()));
        }
        match event_type {
            "contentBlockDelta" if !self.is_finished => self.read_delta(event, emit),
            "contentBlockStart" if !self.is_finished => self.read_start(event, emit),
            "contentBlockStop" => self.close(index_of(event), emit),
            "messageStop" if !self.is_finished => self.finish(event, emit),
            "metadata" => {
                if let Some(usage) = event.get("usage") {
                    emit(Event::Usage(read_usage(usage)));
                }
                self.has_metadata = true;
                self.end_if_complete(emit);
            }
            // `messageStart` says nothing that is not known, and an event that is not known says nothing.
            _ => {}
        }
    }

    /// Reads a frame that is an exception or an error: its name, and its payload or its message.
    pub fn exception(&mut self, name: &str, payload: &[u8], emit: &mut dyn FnMut(Event<'_>)) {
        if !self.is_over {
            self.fail(errors::read_error(name, payload), emit);
        }
    }

    /// The stream's bytes ended. An answer whose `messageStop` was there is whole, even where no usage followed it.
    pub fn end(&mut self, emit: &mut dyn FnMut(Event<'_>)) -> Stage {
        self.has_metadata = true;
        if !self.is_over {
            self.end_if_complete(emit);
        }
        if self.is_over { Stage::Ended } else { Stage::Open }
    }

    fn read_start(&mut self, event: Node<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let index = index_of(event);
        self.close(index, emit);
        let Some(start) = event.get("start") else { return };
        if let Some(call) = start.get("toolUse").filter(|call| !was_run_by_provider(*call)) {
            let (id, name) = (call.get("toolUseId").and_then(text_of), call.get("name").and_then(text_of));
            let (Some(id), Some(name)) = (id, name) else {
                return self.fail(errors::nameless_call(), emit);
            };
            self.has_calls = true;
            let block = Block::ToolCall { id, name, is_custom: false, signature: None };
            self.open(index, OpenKind::Call, block, emit);
        } else if let Some(image) = start.get("image") {
            let kind = image.get("format").and_then(image_kind).map_or(OpenKind::Skipped, OpenKind::Image);
            self.open.push(Open { index, at: Place::default(), kind });
        } else if start.members().next().is_some() {
            self.open.push(Open { index, at: Place::default(), kind: OpenKind::Skipped });
        }
    }

    fn read_delta(&mut self, event: Node<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let index = index_of(event);
        let Some((name, delta)) = event.get("delta").and_then(|delta| delta.members().next()) else { return };
        match &*name {
            b"text" => {
                if let Some(text) = text_of(delta) {
                    self.say(index, OpenKind::Text, Delta::Text(text), emit);
                }
            }
            b"toolUse" => {
                let call = self.find(index).filter(|open| open.kind == OpenKind::Call);
                if let (Some(call), Some(input)) = (call, delta.get("input").and_then(text_of)) {
                    emit(Event::Delta { at: call.at, delta: Delta::Arguments(Arguments::Piece(input)) });
                }
            }
            b"reasoningContent" => self.read_thought(index, delta, emit),
            b"citation" => self.say(index, OpenKind::Text, citation(delta), emit),
            b"image" => self.read_image(index, delta, emit),
            _ => {}
        }
    }

    fn read_thought(&mut self, index: u64, delta: Node<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(text) = delta.get("text").and_then(text_of) {
            self.say(index, OpenKind::Thinking, Delta::Text(text), emit);
        }
        if let Some(value) = delta.get("signature").and_then(text_of)
            && let Some(at) = self.place_for(index, OpenKind::Thinking, emit)
        {
            let signature = Signature::of_vendor(&self.vendor, value);
            emit(Event::Delta { at, delta: Delta::Signature(signature) });
        }
        if let Some(value) = delta.get("redactedContent").and_then(text_of) {
            let at = self.next_place();
            let data = Signature::of_vendor(&self.vendor, value);
            emit(Event::Open { at, block: Block::HiddenThinking { data } });
            emit(Event::Close { at });
        }
    }

    fn read_image(&mut self, index: u64, delta: Node<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let bytes = delta.get("source").and_then(|source| source.get("bytes")).and_then(text_of);
        if let (Some(base64), Some(Open { kind: OpenKind::Image(kind), .. })) = (bytes, self.find(index)) {
            let at = self.next_place();
            let kind = Text::escaped(kind.as_bytes());
            emit(Event::Open { at, block: Block::Media { kind, base64 } });
            emit(Event::Close { at });
        }
    }

    /// Adds to the block of this index, which begins here or was begun as one of this kind.
    fn say(&mut self, index: u64, kind: OpenKind, delta: Delta<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(at) = self.place_for(index, kind, emit) {
            emit(Event::Delta { at, delta });
        }
    }

    /// The place of the text or thought of this index. One that changes from one to the other is two blocks; what comes for
    /// a block of another kind has no place.
    fn place_for(&mut self, index: u64, kind: OpenKind, emit: &mut dyn FnMut(Event<'_>)) -> Option<Place> {
        match self.find(index) {
            Some(open) if open.kind == kind => return Some(open.at),
            Some(Open { kind: OpenKind::Text | OpenKind::Thinking, .. }) => self.close(index, emit),
            Some(_) => return None,
            None => {}
        }
        let block = if kind == OpenKind::Thinking { Block::Thinking } else { Block::Text };
        Some(self.open(index, kind, block, emit))
    }

    fn open(
        &mut self,
        index: u64,
        kind: OpenKind,
        block: Block<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Place {
        let at = self.next_place();
        self.open.push(Open { index, at, kind });
        emit(Event::Open { at, block });
        at
    }

    fn close(&mut self, index: u64, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(position) = self.open.iter().position(|open| open.index == index) {
            let open = self.open.remove(position);
            if !matches!(open.kind, OpenKind::Skipped | OpenKind::Image(_)) {
                emit(Event::Close { at: open.at });
            }
        }
    }

    fn finish(&mut self, event: Node<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        while let Some(open) = self.open.first() {
            self.close(open.index, emit);
        }
        self.is_finished = true;
        emit(Event::Finish { choice: 0, finish: read_finish(event, self.has_calls) });
        self.end_if_complete(emit);
    }

    fn end_if_complete(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        if self.is_finished && self.has_metadata {
            self.is_over = true;
            emit(Event::End);
        }
    }

    fn fail(&mut self, error: ProviderError, emit: &mut dyn FnMut(Event<'_>)) {
        self.is_over = true;
        emit(Event::Error(Box::new(error)));
    }

    fn find(&self, index: u64) -> Option<Open> {
        self.open.iter().find(|open| open.index == index).copied()
    }

    fn next_place(&mut self) -> Place {
        let at = Place { choice: 0, block: self.blocks_count };
        self.blocks_count += 1;
        at
    }
}

fn index_of(event: Node<'_>) -> u64 {
    event.get("contentBlockIndex").and_then(Node::u64).unwrap_or(0)
}

#[cfg(test)]
mod tests;
