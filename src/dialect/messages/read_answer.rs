//! Reads answers of a provider that speaks the dialect, whole or as a stream: both go through the same steps. A stream ends
//! well with `message_stop` and with nothing else.

mod blocks;

use blocks::Blocks;

use super::{errors, stop_reason, usage::Counts};
use crate::dialect::middle::{
    Block, Delta, Event, Finish, FinishReason, ProviderError, Rules, Stage, Start, Text,
};
use crate::wire::json::{Kind, Member, Node};

/// Reads a whole answer as the events of a stream.
pub fn read_answer(body: Node<'_>, rules: &Rules, emit: &mut dyn FnMut(Event<'_>)) {
    let mut reader = StreamReader::new(rules);
    let message = Message::of(body);
    let is_message = message.content.is_some_and(|content| content.kind() == Kind::Array);
    let done = if message.has_error {
        Err(errors::read_error(body))
    } else if !is_message {
        Err(errors::broken("The provider's answer is no message."))
    } else {
        reader.begin(&message, emit)
    };
    match done {
        Ok(()) => reader.finish(emit),
        Err(error) => emit(Event::Error(Box::new(error))),
    }
}

/// Reads a provider's stream, one event's data at a time.
pub struct StreamReader {
    members: Vec<Member>,
    blocks: Blocks,
    counts: Counts,
    has_started: bool,
    stop: Option<FinishReason>,
    stop_sequence: Option<Text<'static>>,
    /// Why the provider says that it refused.
    refusal: Option<Text<'static>>,
    stage: Stage,
}

impl StreamReader {
    pub fn new(rules: &Rules) -> StreamReader {
        StreamReader {
            members: Vec::new(),
            blocks: Blocks::new(rules.vendor.clone()),
            counts: Counts::default(),
            has_started: false,
            stop: None,
            stop_sequence: None,
            refusal: None,
            stage: Stage::Open,
        }
    }

    /// Reads the data of one event. Anthropic documents that new types of events may appear; they are skipped.
    pub fn event(&mut self, data: &[u8], emit: &mut dyn FnMut(Event<'_>)) {
        let is_marker = matches!(data.trim_ascii(), b"" | b"[DONE]");
        if self.stage == Stage::Ended || is_marker {
            return;
        }
        let done = match Node::document(data, &mut self.members) {
            Ok(document) => self.step(document, emit),
            Err(_) => Err(errors::broken("The provider sent an event that is no JSON.")),
        };
        if let Err(error) = done {
            self.stage = Stage::Ended;
            emit(Event::Error(Box::new(error)));
        }
    }

    /// The stream's bytes ended. Nothing is kept back that could be told without the provider's terminal.
    pub fn end(&mut self, _emit: &mut dyn FnMut(Event<'_>)) -> Stage {
        self.stage
    }

    fn step(&mut self, document: Node<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), ProviderError> {
        let event = Parts::of(document);
        match event.kind {
            b"content_block_delta" => {
                self.ensure_start(emit);
                self.blocks.delta(event.index, event.delta, emit)?;
            }
            b"content_block_start" => {
                self.ensure_start(emit);
                self.blocks.open(event.index, event.block, emit)?;
            }
            b"content_block_stop" => self.blocks.close(event.index, emit),
            b"message_start" => self.begin(&Message::of(event.message), emit)?,
            b"message_delta" => {
                self.ensure_start(emit);
                self.read_stop(event.delta.pick(STOP));
                self.read_usage(event.usage, emit);
            }
            b"message_stop" => self.finish(emit),
            b"ping" => emit(Event::Ping),
            b"error" => return Err(errors::read_error(document)),
            _ if event.has_error => return Err(errors::read_error(document)),
            _ => {}
        }
        Ok(())
    }

    /// The head of a message, with the blocks that it already holds. Some relays repeat it, which changes nothing; one that
    /// begins anew behind blocks that the client has seen would give two answers in one.
    fn begin(&mut self, message: &Message<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), ProviderError> {
        if self.blocks.has_any() {
            return Err(errors::broken("The provider began its answer anew in the middle of it."));
        }
        if !self.has_started {
            self.has_started = true;
            let (id, model) = (Text::escaped(message.id), Text::escaped(message.model));
            emit(Event::Start(Start { id, model, created_s: None }));
        }
        for (index, block) in message.content.into_iter().flat_map(Node::items).enumerate() {
            let index = index as u64;
            self.blocks.open(index, block, emit)?;
            self.blocks.close(index, emit);
        }
        self.read_stop(message.stop);
        self.read_usage(message.usage.unwrap_or(nothing()), emit);
        Ok(())
    }

    /// Events that no head came before, as some servers of the dialect leave it out.
    fn ensure_start(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        if !self.has_started {
            self.has_started = true;
            emit(Event::Start(Start::default()));
        }
    }

    /// Why the message stopped, from the members [`STOP`]; a later word replaces an earlier one.
    fn read_stop(&mut self, [reason, sequence, details]: [Option<Node<'_>>; 3]) {
        if let Some(word) = reason.and_then(Node::text) {
            self.stop = Some(stop_reason::read(&word));
        }
        let text = |node: Node<'_>| node.escaped().map(|escaped| Text::escaped(escaped).into_owned());
        if let Some(sequence) = sequence.and_then(text).filter(|sequence| !sequence.is_empty()) {
            self.stop_sequence = Some(sequence);
        }
        let explanation = details.and_then(|details| details.get("explanation"));
        if let Some(explanation) = explanation.and_then(text).filter(|explanation| !explanation.is_empty()) {
            self.refusal = Some(explanation);
        }
    }

    fn read_usage(&mut self, usage: Node<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if usage.kind() == Kind::Object {
            self.counts.merge(Counts::read(usage));
            emit(Event::Usage(self.counts.usage()));
        }
    }

    /// The provider's terminal: everything that was kept back until nothing could change it.
    fn finish(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        self.ensure_start(emit);
        self.stage = Stage::Ended;
        self.blocks.close_all(emit);
        let reason = match self.stop.unwrap_or(FinishReason::Stop) {
            FinishReason::Stop if self.blocks.has_calls() => FinishReason::ToolCalls,
            reason => reason,
        };
        if let Some(text) = self.refusal.take().filter(|_| reason == FinishReason::Refusal) {
            let at = self.blocks.next_place();
            emit(Event::Open { at, block: Block::Refusal });
            emit(Event::Delta { at, delta: Delta::Text(text) });
            emit(Event::Close { at });
        }
        let stop_sequence = self.stop_sequence.take();
        emit(Event::Finish { choice: 0, finish: Finish { reason, stop_sequence } });
        emit(Event::End);
    }
}

/// The members of a message that matter, found in one walk.
struct Message<'d> {
    id: &'d [u8],
    model: &'d [u8],
    content: Option<Node<'d>>,
    usage: Option<Node<'d>>,
    stop: [Option<Node<'d>>; 3],
    has_error: bool,
}

impl<'d> Message<'d> {
    fn of(message: Node<'d>) -> Message<'d> {
        let [reason, sequence, details] = STOP;
        let [id, model, content, usage, error, reason, sequence, details] =
            message.pick(["id", "model", "content", "usage", "error", reason, sequence, details]);
        let text = |node: Option<Node<'d>>| node.and_then(Node::escaped).unwrap_or_default();
        let (id, model, stop) = (text(id), text(model), [reason, sequence, details]);
        Message { id, model, content, usage, stop, has_error: error.is_some() }
    }
}

/// The members that say why a message stopped.
const STOP: [&str; 3] = ["stop_reason", "stop_sequence", "stop_details"];

/// The members of an event that matter, found in one walk.
struct Parts<'d> {
    kind: &'d [u8],
    index: u64,
    delta: Node<'d>,
    block: Node<'d>,
    message: Node<'d>,
    usage: Node<'d>,
    has_error: bool,
}

impl<'d> Parts<'d> {
    fn of(document: Node<'d>) -> Parts<'d> {
        let kind = &b""[..];
        let (delta, block, message, usage) = (nothing(), nothing(), nothing(), nothing());
        let mut parts = Parts { kind, index: 0, delta, block, message, usage, has_error: false };
        for (key, value) in document.members() {
            match &*key {
                b"type" => parts.kind = value.escaped().unwrap_or_default(),
                b"index" => parts.index = value.u64().unwrap_or(0),
                b"delta" => parts.delta = value,
                b"content_block" => parts.block = value,
                b"message" => parts.message = value,
                b"usage" => parts.usage = value,
                b"error" => parts.has_error = !value.is_null(),
                _ => {}
            }
        }
        parts
    }
}

/// A value that has no members.
fn nothing() -> Node<'static> {
    Node::scanned(b"null")
}

#[cfg(test)]
mod tests;
