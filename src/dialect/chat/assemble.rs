//! Puts the pieces of one choice together as blocks: opens and closes them in order, and finds the call that a fragment
//! belongs to. Keeps what is needed to find it, no texts.

use super::complete::Progress;
use super::names::hash;
use super::think_tags::ThinkTags;
use crate::dialect::middle::{Arguments, Block, Delta, Event, Finish, FinishReason, Place, Signature, Text};

pub(super) type Emit<'e> = &'e mut dyn FnMut(Event<'_>);

/// A choice of an answer while it comes.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub index: u32,
    /// Kept back until nothing can change it; the last one counts.
    pub finish: Option<FinishReason>,
    blocks_count: u32,
    prose: Option<(Prose, u32)>,
    calls: Vec<Call>,
    /// Where the provider puts thoughts between tags.
    tags: Option<ThinkTags>,
}

/// Blocks that are texts. One of them is open at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prose {
    Text,
    Refusal,
    Thinking,
}

#[derive(Debug, Default)]
struct Call {
    /// The provider's number, where it gives one.
    index: Option<u64>,
    /// The place in the array that it came in first.
    position: usize,
    id: Vec<u8>,
    name: Vec<u8>,
    is_custom: bool,
    signature: Vec<u8>,
    /// Arguments that came before the call could be opened.
    pending: Vec<u8>,
    progress: Progress,
    has_surplus: bool,
    block: Option<u32>,
    is_closed: bool,
}

/// A piece of a call as it came. An empty id or name says that it is as before.
#[derive(Clone, Debug, Default)]
pub(super) struct Fragment<'a> {
    pub index: Option<u64>,
    pub position: usize,
    pub id: &'a [u8],
    pub name: &'a [u8],
    pub is_custom: bool,
    pub signature: &'a [u8],
    pub arguments: Option<Arguments<'a>>,
}

impl Choice {
    pub fn new(index: u32, has_think_tags: bool) -> Choice {
        let tags = has_think_tags.then(ThinkTags::default);
        Choice { index, tags, ..Choice::default() }
    }

    /// Adds to the content, in which thoughts may stand between tags.
    pub fn content(&mut self, text: &[u8], emit: Emit<'_>) {
        match self.tags.take() {
            None => self.prose(Prose::Text, text, emit),
            Some(mut tags) => {
                tags.take(text, &mut |kind, text| self.prose(kind, text, emit));
                self.tags = Some(tags);
            }
        }
    }

    /// Gives what looked like the beginning of a tag and is none.
    fn end_content(&mut self, emit: Emit<'_>) {
        if let Some(mut tags) = self.tags.take() {
            tags.finish(&mut |kind, text| self.prose(kind, text, emit));
        }
    }

    /// Whether nothing came yet.
    pub fn is_blank(&self) -> bool {
        self.blocks_count == 0 && self.calls.is_empty()
    }

    /// Adds to the text of this kind; nothing when it is empty.
    pub fn prose(&mut self, kind: Prose, text: &[u8], emit: Emit<'_>) {
        if !text.is_empty() {
            let at = self.open_prose(kind, emit);
            emit(Event::Delta { at, delta: Delta::Text(Text::escaped(text)) });
        }
    }

    /// Adds what belongs to a text: a source.
    pub fn of_text(&mut self, delta: Delta<'_>, emit: Emit<'_>) {
        let at = self.open_prose(Prose::Text, emit);
        emit(Event::Delta { at, delta });
    }

    /// Adds the probabilities of a text that is open; without one they are for nothing that was given on.
    pub fn logprobs(&mut self, kind: Prose, raw: &[u8], emit: Emit<'_>) {
        if let Some((open, block)) = self.prose
            && open == kind
        {
            let at = self.place(block);
            emit(Event::Delta { at, delta: Delta::Logprobs(raw) });
        }
    }

    /// Adds the signature of a thought, which is its end.
    pub fn signature(&mut self, value: &[u8], vendor: &str, emit: Emit<'_>) {
        if !value.is_empty() {
            let at = self.open_prose(Prose::Thinking, emit);
            let signature = Signature::of_vendor(vendor, Text::escaped(value));
            emit(Event::Delta { at, delta: Delta::Signature(signature) });
            self.close_prose(emit);
        }
    }

    /// A block that is whole at once.
    pub fn whole(&mut self, block: Block<'_>, emit: Emit<'_>) {
        self.close_others(emit);
        let at = self.next_place();
        emit(Event::Open { at, block });
        emit(Event::Close { at });
    }

    /// Adds a piece of a call, or begins one.
    pub fn call(&mut self, fragment: &Fragment<'_>, vendor: &str, emit: Emit<'_>) {
        let number = self.find(fragment).unwrap_or_else(|| {
            self.calls.push(Call { index: fragment.index, position: fragment.position, ..Call::default() });
            self.calls.len() - 1
        });
        let call = &mut self.calls[number];
        call.is_custom |= fragment.is_custom;
        for (known, new) in [
            (&mut call.id, fragment.id),
            (&mut call.name, fragment.name),
            (&mut call.signature, fragment.signature),
        ] {
            if known.is_empty() {
                known.extend_from_slice(new);
            }
        }
        if call.block.is_none() && !call.id.is_empty() && !call.name.is_empty() {
            self.open_call(number, vendor, emit);
        }
        if let Some(arguments) = &fragment.arguments {
            self.arguments(number, arguments, emit);
        }
    }

    /// The end of the choice: what was kept back is given, and what is open is closed. False when there is a call that
    /// nobody can make, because it has no name.
    pub fn finish(&mut self, answer_id: &[u8], vendor: &str, emit: Emit<'_>) -> bool {
        self.end_content(emit);
        for number in 0..self.calls.len() {
            if self.calls[number].block.is_some() {
                continue;
            }
            let call = &mut self.calls[number];
            if call.name.is_empty() {
                if call.id.is_empty() && call.pending.is_empty() {
                    continue;
                }
                return false;
            }
            if call.id.is_empty() {
                let index = self.index;
                let seed = [answer_id, &call.name[..], &call.pending[..]].concat();
                call.id = format!("call_{:016x}{index:02x}{number:02x}", hash(&seed)).into_bytes();
            }
            self.open_call(number, vendor, emit);
        }
        self.close_prose(emit);
        let mut open: Vec<u32> =
            self.calls.iter().filter(|call| !call.is_closed).filter_map(|call| call.block).collect();
        open.sort_unstable();
        for block in open {
            emit(Event::Close { at: self.place(block) });
        }
        let has_calls = self.calls.iter().any(|call| call.block.is_some());
        let reason = match self.finish.unwrap_or(FinishReason::Stop) {
            FinishReason::Stop if has_calls => FinishReason::ToolCalls,
            reason => reason,
        };
        emit(Event::Finish { choice: self.index, finish: Finish { reason, stop_sequence: None } });
        true
    }

    /// The call that a fragment is a piece of; `None` for a new one. The number that the provider gives counts first, then
    /// the id, then the place in the array; a new id under a known number is a new call, and so is one that names a tool
    /// after the call of that number was complete.
    fn find(&self, fragment: &Fragment<'_>) -> Option<usize> {
        let is_same_number = |call: &Call| match (call.index, fragment.index) {
            (Some(known), Some(new)) => known == new,
            _ => true,
        };
        if !fragment.id.is_empty() {
            let same = |call: &Call| call.id == fragment.id && is_same_number(call);
            if let Some(number) = self.calls.iter().rposition(same) {
                return Some(number);
            }
        }
        let number = match fragment.index {
            Some(_) => self.calls.iter().rposition(|call| call.index == fragment.index)?,
            None if !fragment.id.is_empty() || !fragment.name.is_empty() => return None,
            None => self.calls.iter().rposition(|call| call.position == fragment.position)?,
        };
        let call = &self.calls[number];
        let is_other_id = !fragment.id.is_empty() && !call.id.is_empty();
        let is_next =
            !fragment.name.is_empty() && fragment.arguments.is_some() && call.progress.is_complete();
        (!is_other_id && !is_next).then_some(number)
    }

    fn open_call(&mut self, number: usize, vendor: &str, emit: Emit<'_>) {
        self.close_others(emit);
        let at = self.next_place();
        let call = &mut self.calls[number];
        call.block = Some(at.block);
        let signature = (!call.signature.is_empty())
            .then(|| Signature::of_vendor(vendor, Text::escaped(&call.signature)));
        let block = Block::ToolCall {
            id: Text::escaped(&call.id),
            name: Text::escaped(&call.name),
            is_custom: call.is_custom,
            signature,
        };
        emit(Event::Open { at, block });
        if !call.pending.is_empty() {
            let piece = Arguments::Piece(Text::escaped(&call.pending));
            emit(Event::Delta { at, delta: Delta::Arguments(piece) });
            call.pending = Vec::new();
        }
    }

    /// What follows a complete object is a repetition or a second one, and no argument of this call: it is left out, and told
    /// once for each call.
    fn arguments(&mut self, number: usize, arguments: &Arguments<'_>, emit: Emit<'_>) {
        let index = self.index;
        let call = &mut self.calls[number];
        if matches!(arguments, Arguments::Piece(text) if text.is_empty()) {
            return;
        }
        let (mut own, mut has_surplus) = (arguments.clone(), call.progress.is_complete());
        let is_behind = has_surplus;
        match arguments {
            _ if is_behind => has_surplus = !matches!(arguments, Arguments::Piece(text) if text.is_blank()),
            Arguments::Whole(_) => call.progress.complete(),
            Arguments::Piece(_) if call.is_custom => {}
            Arguments::Piece(text) => {
                let (object, rest) = text.as_escaped().split_at(call.progress.step(text.as_escaped()));
                if !Text::escaped(rest).is_blank() {
                    (own, has_surplus) = (Arguments::Piece(Text::escaped(object)), true);
                }
            }
        }
        if has_surplus && !std::mem::replace(&mut call.has_surplus, true) {
            emit(Event::Surplus);
        }
        if is_behind {
            return;
        }
        let call = &mut self.calls[number];
        let arguments = &own;
        match call.block {
            Some(block) => {
                let at = Place { choice: index, block };
                emit(Event::Delta { at, delta: Delta::Arguments(arguments.clone()) });
            }
            None => arguments.write_escaped(&mut call.pending),
        }
    }

    /// The place of the open text of this kind, opened if need be.
    fn open_prose(&mut self, kind: Prose, emit: Emit<'_>) -> Place {
        if let Some((open, block)) = self.prose
            && open == kind
        {
            return self.place(block);
        }
        self.close_others(emit);
        let at = self.next_place();
        self.prose = Some((kind, at.block));
        let block = match kind {
            Prose::Text => Block::Text,
            Prose::Refusal => Block::Refusal,
            Prose::Thinking => Block::Thinking,
        };
        emit(Event::Open { at, block });
        at
    }

    /// Closes what is over when another block begins: the text, and calls whose arguments are complete. Calls that are
    /// not may come side by side.
    fn close_others(&mut self, emit: Emit<'_>) {
        self.close_prose(emit);
        let choice = self.index;
        for call in self.calls.iter_mut().filter(|call| !call.is_closed && call.progress.is_complete()) {
            if let Some(block) = call.block {
                call.is_closed = true;
                emit(Event::Close { at: Place { choice, block } });
            }
        }
    }

    fn close_prose(&mut self, emit: Emit<'_>) {
        if let Some((_, block)) = self.prose.take() {
            emit(Event::Close { at: self.place(block) });
        }
    }

    fn place(&self, block: u32) -> Place {
        Place { choice: self.index, block }
    }

    fn next_place(&mut self) -> Place {
        self.blocks_count += 1;
        self.place(self.blocks_count - 1)
    }
}
