//! One candidate of an answer: its parts as blocks. A block goes on as long as parts of its kind come.

use std::borrow::Cow;

use super::super::middle::{
    Arguments, Block, Delta, Event, FinishReason, Place, ProviderError, Signature, Text,
};
use super::error::of_server;
use super::finish::read_finish;
use super::logprobs::read_logprobs;
use super::spelling::{camel_bytes, field};
use super::usage::searches_in;
use crate::wire::json::{Kind, Node};

/// What all candidates of an answer share.
pub(super) struct Shared {
    vendor: Cow<'static, str>,
    /// The answer's id.
    pub(super) id: Text<'static>,
    /// Calls that came without an id.
    nameless_count: u32,
    scratch: Vec<u8>,
}

impl Shared {
    pub(super) fn of_vendor(vendor: Cow<'static, str>) -> Shared {
        Shared { vendor, id: Text::default(), nameless_count: 0, scratch: Vec::new() }
    }

    /// An id for a call that has none: unique in the conversation as far as the answer's id is.
    fn make_id(&mut self) -> Text<'static> {
        let count = self.nameless_count;
        self.nameless_count += 1;
        let id = self.id.decoded();
        Text::of(&if id.is_empty() { format!("call_{count}") } else { format!("call_{id}_{count}") })
    }
}

pub(super) struct Candidate {
    pub(super) choice: u32,
    pub(super) finish: Option<FinishReason>,
    blocks_count: u32,
    open: Option<Open>,
    has_calls: bool,
    /// Searches of the provider's own.
    pub(super) searches: u64,
    /// Addresses that were cited: providers repeat them.
    cited: Vec<Vec<u8>>,
}

/// The block that is open.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Open {
    is_thought: bool,
    /// Its signature was there, which is whole: another one belongs to another block.
    is_signed: bool,
}

/// The members of a part.
#[derive(Default)]
struct Part<'d> {
    text: Option<Text<'d>>,
    is_thought: bool,
    signature: Option<&'d [u8]>,
    call: Option<Node<'d>>,
    media: Option<Node<'d>>,
    is_foreign: bool,
}

impl<'d> Part<'d> {
    fn of(part: Node<'d>) -> Part<'d> {
        let mut found = Part::default();
        for (key, value) in part.members().filter(|(_, value)| !value.is_null()) {
            match &*camel_bytes(&key) {
                b"text" => found.text = value.escaped().map(Text::escaped),
                b"thought" => found.is_thought = value.bool() == Some(true),
                b"thoughtSignature" => found.signature = value.escaped().filter(|value| !value.is_empty()),
                b"functionCall" => found.call = Some(value),
                b"inlineData" => found.media = Some(value),
                b"partMetadata" | b"videoMetadata" | b"mediaResolution" => {}
                _ => found.is_foreign = true,
            }
        }
        found
    }
}

impl Candidate {
    pub(super) fn new(choice: u32) -> Candidate {
        let cited = Vec::new();
        Candidate { choice, finish: None, blocks_count: 0, open: None, has_calls: false, searches: 0, cited }
    }

    pub(super) fn read(
        &mut self,
        candidate: Node<'_>,
        shared: &mut Shared,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), ProviderError> {
        let (mut sources, mut logprobs) = ([None, None], None);
        for (key, value) in candidate.members().filter(|(_, value)| !value.is_null()) {
            match &*camel_bytes(&key) {
                b"content" => {
                    for part in field(value, "parts").into_iter().flat_map(Node::items) {
                        self.part(part, shared, emit)?;
                    }
                }
                b"finishReason" => {
                    let word = value.escaped().filter(|word| !word.is_empty());
                    self.finish = word.map(read_finish).or(self.finish);
                }
                b"groundingMetadata" => {
                    sources[0] = Some(value);
                    self.searches = self.searches.max(searches_in(value));
                }
                b"citationMetadata" => sources[1] = Some(value),
                b"logprobsResult" => logprobs = Some(value),
                _ => {}
            }
        }
        if let Some(result) = logprobs {
            self.logprobs(result, shared, emit);
        }
        self.grounding(sources[0], emit);
        self.citations(sources[1], emit);
        Ok(())
    }

    fn part(
        &mut self,
        part: Node<'_>,
        shared: &mut Shared,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), ProviderError> {
        let found = Part::of(part);
        if let Some(call) = found.call {
            return self.call(call, found.signature, shared, emit);
        }
        if let Some(media) = found.media {
            let text =
                |name| field(media, name).and_then(Node::escaped).map(Text::escaped).unwrap_or_default();
            self.whole(Block::Media { kind: text("mimeType"), base64: text("data") }, emit);
        } else if found.is_foreign {
            self.whole(Block::Foreign { raw: part.raw() }, emit);
        }
        if let Some(text) = found.text.filter(|text| !text.is_empty()) {
            self.write(found.is_thought, Delta::Text(text), emit);
        }
        if let Some(value) = found.signature {
            // What comes without a text belongs to what stands before it, whatever that is.
            let open = self.open.filter(|open| !open.is_signed);
            let is_thought = found.is_thought || open.is_none_or(|open| open.is_thought);
            let signature = Signature::of_vendor(&shared.vendor, Text::escaped(value));
            self.write(is_thought, Delta::Signature(signature), emit);
            self.open = Some(Open { is_thought, is_signed: true });
        }
        Ok(())
    }

    fn call(
        &mut self,
        call: Node<'_>,
        signature: Option<&[u8]>,
        shared: &mut Shared,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), ProviderError> {
        let text = |name| field(call, name).and_then(Node::escaped).filter(|text| !text.is_empty());
        let is_piece = field(call, "partialArgs").is_some()
            || field(call, "willContinue").and_then(Node::bool) == Some(true);
        if is_piece {
            // Only requests that ask for it (`streamFunctionCallArguments`) are answered so.
            return Err(of_server("The provider sent a call in pieces, which was not asked for."));
        }
        let Some(name) = text("name") else { return Ok(()) };
        self.close(emit);
        let id = text("id").map_or_else(|| shared.make_id(), Text::escaped);
        let signature = signature.map(|value| Signature::of_vendor(&shared.vendor, Text::escaped(value)));
        let at = self
            .open_block(Block::ToolCall { id, name: Text::escaped(name), is_custom: false, signature }, emit);
        let arguments = field(call, "args").filter(|args| args.members().next().is_some());
        if let Some(arguments) = arguments {
            emit(Event::Delta { at, delta: Delta::Arguments(Arguments::Whole(arguments.raw())) });
        }
        emit(Event::Close { at });
        self.has_calls = true;
        Ok(())
    }

    /// A block that comes in one piece.
    fn whole(&mut self, block: Block<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        self.close(emit);
        let at = self.open_block(block, emit);
        emit(Event::Close { at });
    }

    fn open_block(&mut self, block: Block<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Place {
        let at = Place { choice: self.choice, block: self.blocks_count };
        self.blocks_count += 1;
        emit(Event::Open { at, block });
        at
    }

    /// A delta of a text or of a thought, in a block that fits.
    fn write(&mut self, is_thought: bool, delta: Delta<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let wanted = Open { is_thought, is_signed: false };
        if self.open != Some(wanted) {
            self.close(emit);
            self.open_block(if is_thought { Block::Thinking } else { Block::Text }, emit);
            self.open = Some(wanted);
        }
        emit(Event::Delta { at: self.place(), delta });
    }

    /// The place of the open block.
    fn place(&self) -> Place {
        Place { choice: self.choice, block: self.blocks_count.saturating_sub(1) }
    }

    pub(super) fn close(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        if self.open.take().is_some() {
            emit(Event::Close { at: self.place() });
        }
    }

    fn logprobs(&mut self, result: Node<'_>, shared: &mut Shared, emit: &mut dyn FnMut(Event<'_>)) {
        let has_tokens =
            field(result, "chosenCandidates").is_some_and(|chosen| chosen.items().next().is_some());
        if has_tokens && self.open.is_some_and(|open| !open.is_thought) {
            shared.scratch.clear();
            read_logprobs(result, &mut shared.scratch);
            emit(Event::Delta { at: self.place(), delta: Delta::Logprobs(&shared.scratch) });
        }
    }

    /// The sources that the answer is grounded on, each with the first words that lean on it.
    fn grounding(&mut self, metadata: Option<Node<'_>>, emit: &mut dyn FnMut(Event<'_>)) {
        let Some(metadata) = metadata else { return };
        let chunks = field(metadata, "groundingChunks");
        for (index, chunk) in chunks.into_iter().flat_map(Node::items).enumerate() {
            let source = ["web", "retrievedContext", "maps"].into_iter().find_map(|kind| field(chunk, kind));
            if let Some(source) = source {
                self.cite(source, cited_words(metadata, index), emit);
            }
        }
    }

    /// Passages that the model has recited.
    fn citations(&mut self, metadata: Option<Node<'_>>, emit: &mut dyn FnMut(Event<'_>)) {
        let Some(metadata) = metadata else { return };
        let list = field(metadata, "citationSources").or_else(|| field(metadata, "citations"));
        for source in list.into_iter().flat_map(Node::items) {
            self.cite(source, None, emit);
        }
    }

    fn cite(&mut self, source: Node<'_>, cited: Option<Text<'_>>, emit: &mut dyn FnMut(Event<'_>)) {
        let text = |name| field(source, name).and_then(Node::escaped).filter(|text| !text.is_empty());
        let (url, title) = (text("uri"), text("title"));
        let Some(key) = url.or(title) else { return };
        if self.cited.iter().any(|known| known == key) {
            return;
        }
        self.cited.push(key.to_vec());
        // A source of the text: a thought that is open has ended.
        if self.open.is_none_or(|open| open.is_thought) {
            self.close(emit);
            self.open_block(Block::Text, emit);
            self.open = Some(Open { is_thought: false, is_signed: false });
        }
        let delta = Delta::Citation { url: url.map(Text::escaped), title: title.map(Text::escaped), cited };
        emit(Event::Delta { at: self.place(), delta });
    }

    /// The answer was whole: what has a content and no reason to end has simply ended.
    pub(super) fn end_whole(&mut self) {
        if self.finish.is_none() && self.blocks_count > 0 {
            self.finish = Some(FinishReason::Stop);
        }
    }

    /// Why it ended. The reason for calls is a plain stop in this dialect.
    pub(super) fn reason(&self) -> Option<FinishReason> {
        match self.finish {
            Some(FinishReason::Stop) if self.has_calls => Some(FinishReason::ToolCalls),
            other => other,
        }
    }
}

/// The first words that lean on the source of this number.
fn cited_words<'d>(metadata: Node<'d>, index: usize) -> Option<Text<'d>> {
    let supports = field(metadata, "groundingSupports")?;
    let leans = |support: &Node<'d>| {
        let indices = field(*support, "groundingChunkIndices");
        indices.is_some_and(|indices| indices.items().any(|other| other.u64() == Some(index as u64)))
    };
    let segment = field(supports.items().find(leans)?, "segment")?;
    field(segment, "text").filter(|text| text.kind() == Kind::String)?.escaped().map(Text::escaped)
}
