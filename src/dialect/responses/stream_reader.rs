//! Reads a stream of the Responses API. Ends only where the response itself does; a stream that is cut stays open.

use super::blocks::{Blocks, Emit};
use super::errors::{broken_answer, read_error};
use super::fields::{is_word, text};
use super::pieces::{ItemKind, Key, PartKind};
use super::read_answer::{finish, start};
use crate::dialect::middle::{Event, ProviderError, Rules, Stage, Start};
use crate::wire::json::{Member, Node};

/// Reads a provider's stream, one event's data at a time.
pub struct StreamReader {
    members: Vec<Member>,
    blocks: Blocks,
    has_started: bool,
    has_ended: bool,
}

impl StreamReader {
    pub fn new(rules: &Rules) -> StreamReader {
        let (has_started, has_ended) = (false, false);
        StreamReader { members: Vec::new(), blocks: Blocks::new(&rules.vendor), has_started, has_ended }
    }

    /// Reads the data of one event. Markers that are no JSON, such as `[DONE]`, mean nothing here; nothing is read behind
    /// the end.
    pub fn event(&mut self, data: &[u8], emit: &mut dyn FnMut(Event<'_>)) {
        let data = data.trim_ascii();
        if self.has_ended || data.is_empty() || data == b"[DONE]" {
            return;
        }
        let mut members = std::mem::take(&mut self.members);
        match Node::document(data, &mut members) {
            Ok(node) => self.step(&Fields::of(node), emit),
            Err(_) => self.fail(broken_answer("The provider sent an event that is no JSON."), emit),
        }
        self.members = members;
    }

    /// The stream's bytes ended. Nothing is kept back in this dialect.
    pub fn end(&mut self, _emit: &mut dyn FnMut(Event<'_>)) -> Stage {
        if self.has_ended { Stage::Ended } else { Stage::Open }
    }

    fn step(&mut self, fields: &Fields<'_>, emit: &mut Emit<'_>) {
        let kind = fields.kind.and_then(Node::text).unwrap_or_default();
        match &*kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.begin(fields.response, emit);
            }
            "response.output_item.added" => {
                self.begin(None, emit);
                if let Some(item) = fields.item {
                    self.blocks.add(fields.key.index, item, emit);
                }
            }
            "response.output_item.done" => {
                self.begin(None, emit);
                if let Some(item) = fields.item {
                    self.blocks.complete(fields.key.index, item, emit);
                }
            }
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                self.finish(&kind, fields.response, emit);
            }
            "keepalive" => emit(Event::Ping),
            "error" => self.fail(read_error(fields.error.unwrap_or(fields.whole)), emit),
            "" if fields.error.is_some() => self.fail(read_error(fields.error.unwrap_or(fields.whole)), emit),
            kind => self.piece(kind, fields, emit),
        }
    }

    /// Pieces of items.
    fn piece(&mut self, kind: &str, fields: &Fields<'_>, emit: &mut Emit<'_>) {
        let Some((item_kind, field)) = piece_of(kind) else { return };
        // Parts of thoughts are announced by the same events, and come by others.
        let is_thought = fields.part.is_some_and(|part| is_word(part, "type", "reasoning_text"));
        if is_thought {
            return;
        }
        self.begin(None, emit);
        let found = match item_kind {
            // A call that nothing has announced has no name yet: it comes whole later.
            ItemKind::Call => self.blocks.find(fields.key),
            kind => Some(self.blocks.item(fields.key, kind)),
        };
        let (Some(item), Some(value)) = (found, fields.value(field)) else { return };
        let piece = || text(value).unwrap_or_default();
        let blocks = &mut self.blocks;
        match kind {
            "response.output_text.delta" => {
                blocks.add_text(item, fields.index, PartKind::Text, &piece(), emit);
                if let Some(logprobs) = fields.logprobs {
                    blocks.add_logprobs(item, fields.index, logprobs, emit);
                }
            }
            "response.refusal.delta" => {
                blocks.add_text(item, fields.index, PartKind::Refusal, &piece(), emit);
            }
            "response.output_text.annotation.added" => {
                blocks.add_citation(item, fields.index, value, emit);
            }
            "response.content_part.done" => blocks.complete_part(item, fields.index, value, emit),
            "response.reasoning_summary_text.delta" => {
                blocks.add_thought(item, fields.index, PartKind::Summary, &piece(), emit);
            }
            "response.reasoning_text.delta" => {
                blocks.add_thought(item, fields.index, PartKind::Thought, &piece(), emit);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                blocks.add_input(item, value, emit);
            }
            _ => blocks.complete_input(item, value, emit),
        }
    }

    fn begin(&mut self, response: Option<Node<'_>>, emit: &mut Emit<'_>) {
        if !std::mem::replace(&mut self.has_started, true) {
            emit(Event::Start(response.map_or_else(Start::default, start)));
        }
    }

    fn finish(&mut self, kind: &str, response: Option<Node<'_>>, emit: &mut Emit<'_>) {
        let is_error = matches!(kind, "response.failed" | "response.cancelled");
        let Some(response) = response.filter(|response| !is_error || response.get("error").is_some()) else {
            let message = format!("The provider ended the stream with `{kind}` and gave no reason.");
            return self.fail(broken_answer(&message), emit);
        };
        if !is_error {
            self.begin(Some(response), emit);
        }
        self.has_ended = true;
        // The event is the terminal; the response in it may be an older copy, unless it tells of worse.
        let status = response.get("status").and_then(Node::text).unwrap_or_default();
        let ending = kind.trim_start_matches("response.");
        let is_worse = matches!(&*status, "failed" | "cancelled" | "incomplete");
        finish(response, if is_worse { &status } else { ending }, &mut self.blocks, emit);
    }

    fn fail(&mut self, error: ProviderError, emit: &mut Emit<'_>) {
        self.has_ended = true;
        emit(Event::Error(Box::new(error)));
    }
}

/// The item that an event's piece belongs to, and the field that holds the piece. `None` for events that say nothing
/// which does not come again, or that other dialects have no word for.
fn piece_of(kind: &str) -> Option<(ItemKind, Piece)> {
    Some(match kind {
        "response.output_text.delta" | "response.refusal.delta" => (ItemKind::Message, Piece::Delta),
        "response.output_text.annotation.added" => (ItemKind::Message, Piece::Annotation),
        "response.content_part.done" => (ItemKind::Message, Piece::Part),
        "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
            (ItemKind::Reasoning, Piece::Delta)
        }
        "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
            (ItemKind::Call, Piece::Delta)
        }
        "response.function_call_arguments.done" => (ItemKind::Call, Piece::Arguments),
        "response.custom_tool_call_input.done" => (ItemKind::Call, Piece::Input),
        _ => return None,
    })
}

#[derive(Clone, Copy)]
enum Piece {
    Delta,
    Annotation,
    Part,
    Arguments,
    Input,
}

/// The fields of an event, found in one walk.
struct Fields<'d> {
    whole: Node<'d>,
    key: Key<'d>,
    /// The place in the item: of its content, or of its summary.
    index: u64,
    kind: Option<Node<'d>>,
    response: Option<Node<'d>>,
    item: Option<Node<'d>>,
    error: Option<Node<'d>>,
    logprobs: Option<Node<'d>>,
    delta: Option<Node<'d>>,
    annotation: Option<Node<'d>>,
    part: Option<Node<'d>>,
    arguments: Option<Node<'d>>,
    input: Option<Node<'d>>,
}

impl<'d> Fields<'d> {
    fn of(whole: Node<'d>) -> Fields<'d> {
        let mut fields = Fields::empty(whole);
        for (key, value) in whole.members().filter(|(_, value)| !value.is_null()) {
            let place = match &*key {
                b"type" => &mut fields.kind,
                b"response" => &mut fields.response,
                b"item" => &mut fields.item,
                b"error" => &mut fields.error,
                b"logprobs" => &mut fields.logprobs,
                b"delta" => &mut fields.delta,
                b"annotation" => &mut fields.annotation,
                b"part" => &mut fields.part,
                b"arguments" => &mut fields.arguments,
                b"input" => &mut fields.input,
                b"output_index" => {
                    fields.key.index = value.u64();
                    continue;
                }
                b"item_id" => {
                    fields.key.id = value.escaped().unwrap_or_default();
                    continue;
                }
                b"content_index" | b"summary_index" => {
                    fields.index = value.u64().unwrap_or_default();
                    continue;
                }
                _ => continue,
            };
            *place = Some(value);
        }
        fields
    }

    fn empty(whole: Node<'d>) -> Fields<'d> {
        Fields {
            whole,
            key: Key::default(),
            index: 0,
            kind: None,
            response: None,
            item: None,
            error: None,
            logprobs: None,
            delta: None,
            annotation: None,
            part: None,
            arguments: None,
            input: None,
        }
    }

    fn value(&self, piece: Piece) -> Option<Node<'d>> {
        match piece {
            Piece::Delta => self.delta,
            Piece::Annotation => self.annotation,
            Piece::Part => self.part,
            Piece::Arguments => self.arguments,
            Piece::Input => self.input,
        }
    }
}
