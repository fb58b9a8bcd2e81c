//! A response as it grows: which item each block belongs to, and the response object at any moment. Both writers of
//! answers keep one; the object at the end of a stream is the same as that of a whole answer.

use super::errors::failed_code;
use super::item::{Item, ItemKind, PartKind, Status, escaped, write_text_member};
use super::read_input::CALL_STATE_MARK;
use crate::dialect::middle::{
    Block, Delta, FinishReason, Place, ProviderError, Signature, Start, Text, Told,
};
use crate::ledger::usage::Usage;
use crate::wire::json;
use crate::wire::write::write_decimal;

pub struct Output {
    /// As the contents of JSON strings.
    id: Vec<u8>,
    response_id: Vec<u8>,
    model: Vec<u8>,
    created_s: u64,
    echo: Vec<u8>,
    pub is_kept: bool,
    pub items: Vec<Item>,
    /// Where each block went, by its number; blocks that this dialect leaves out went nowhere.
    slots: Vec<Option<Slot>>,
    pub usage: Usage,
    finish: Option<FinishReason>,
    /// The piece of a call's input that came last, as the content of a JSON string.
    pub input: Vec<u8>,
}

/// A block's place in the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub item: usize,
    pub part: usize,
}

/// Why a response object is written.
#[derive(Clone, Copy)]
pub enum Moment<'e> {
    Running,
    Ended,
    Failed(&'e ProviderError),
}

impl Output {
    pub fn new(told: Told) -> Output {
        let id = escaped(&told.id);
        let mut response_id = RESPONSE_PREFIX.as_bytes().to_vec();
        response_id.extend_from_slice(&id);
        let echo = if told.echo.is_empty() {
            super::echo::echo(json::Node::scanned(b"{}"), true)
        } else {
            told.echo
        };
        let (items, slots, usage, finish) = (Vec::new(), Vec::new(), Usage::default(), None);
        let model = escaped(&told.model);
        let (created_s, is_kept, input) = (told.created_s, told.is_kept, Vec::new());
        Output { id, response_id, model, created_s, echo, is_kept, items, slots, usage, finish, input }
    }

    /// An id of another dialect's is not taken over: clients of this one tell responses by the prefix. Neither is any where
    /// the response is found again by ours.
    pub fn start(&mut self, start: &Start<'_>) {
        if !self.is_kept && start.id.as_escaped().starts_with(RESPONSE_PREFIX.as_bytes()) {
            self.response_id = start.id.as_escaped().to_vec();
        }
        if !start.model.is_empty() {
            self.model = start.model.as_escaped().to_vec();
        }
        self.created_s = start.created_s.unwrap_or(self.created_s);
    }

    /// Makes a place for a block. Texts that follow each other are parts of one message. `None` for blocks that this
    /// dialect has no item for, and for other choices than the first: a response has one.
    pub fn open(&mut self, at: Place, block: &Block<'_>) -> Option<Slot> {
        if at.choice != 0 {
            return None;
        }
        let slot = self.make(block);
        let place = at.block as usize;
        if place >= self.slots.len() {
            self.slots.resize(place + 1, None);
        }
        self.slots[place] = slot;
        slot
    }

    fn make(&mut self, block: &Block<'_>) -> Option<Slot> {
        let (kind, part) = match block {
            Block::Text => (ItemKind::Message, Some(PartKind::Text)),
            Block::Refusal => (ItemKind::Message, Some(PartKind::Refusal)),
            Block::Thinking | Block::HiddenThinking { .. } => (ItemKind::Reasoning, None),
            Block::ToolCall { is_custom: true, .. } => (ItemKind::CustomCall, Some(PartKind::Input)),
            Block::ToolCall { .. } => (ItemKind::Call, Some(PartKind::Input)),
            Block::Media { kind, .. } if kind.decoded().starts_with("image/") => {
                (ItemKind::Image, Some(PartKind::Input))
            }
            Block::Media { .. } | Block::Foreign { .. } => return None,
        };
        let index = match self.open_message() {
            Some(message) if kind == ItemKind::Message => message,
            _ => {
                self.items.push(Item::new(kind, &self.id, self.items.len()));
                self.items.len() - 1
            }
        };
        let item = &mut self.items[index];
        match block {
            Block::HiddenThinking { data } => item.set_state(data),
            Block::ToolCall { id, name, .. } => {
                item.call_id = id.as_escaped().to_vec();
                item.name = name.as_escaped().to_vec();
            }
            _ => {}
        }
        let part = part.map_or(0, |part| item.add_part(part));
        if let Block::Media { base64, .. } = block {
            item.parts[part].text = base64.as_escaped().to_vec();
        }
        Some(Slot { item: index, part })
    }

    /// The message that the next text belongs to.
    fn open_message(&self) -> Option<usize> {
        let last = self.items.len().checked_sub(1)?;
        let item = &self.items[last];
        (item.kind == ItemKind::Message && item.status == Status::InProgress).then_some(last)
    }

    /// An item for the state of the call that comes next, which must come back with it: a call has no field for it.
    pub fn add_call_state(&mut self, signature: &Signature<'_>) -> usize {
        let mut value = Text::of(CALL_STATE_MARK);
        value.push(&signature.value);
        let mut item = Item::new(ItemKind::Reasoning, &self.id, self.items.len());
        item.set_state(&Signature { vendor: signature.vendor.clone(), value });
        self.items.push(item);
        self.items.len() - 1
    }

    /// Whether the item is a text whose state must come back with it.
    pub fn has_text_state(&self, index: usize) -> bool {
        self.items[index].kind == ItemKind::Message && !self.items[index].state.is_empty()
    }

    /// An item for the state of a text, which stands behind it: a summary of one empty text, because there is no thought.
    pub fn text_state(&mut self, of: usize) -> Item {
        let mut item = Item::new(ItemKind::Reasoning, &self.id, self.items.len());
        item.state = std::mem::take(&mut self.items[of].state);
        item.add_part(PartKind::Summary);
        item
    }

    pub fn slot(&self, at: Place) -> Option<Slot> {
        if at.choice != 0 { None } else { *self.slots.get(at.block as usize)? }
    }

    /// Keeps what was added to a block. A thought gets its part at the first text, or at a signature without one: a summary
    /// of one empty text tells a thought whose text is kept back from one that only its vendor can read.
    pub fn add(&mut self, slot: Slot, delta: &Delta<'_>) {
        let item = &mut self.items[slot.item];
        if item.kind == ItemKind::Reasoning && item.parts.is_empty() {
            item.add_part(PartKind::Summary);
        }
        if let Delta::Signature(signature) = delta {
            item.set_state(signature);
        }
        let Some(part) = item.parts.get_mut(slot.part) else { return };
        match delta {
            Delta::Text(text) => part.keep(text.as_escaped()),
            Delta::Arguments(arguments) => {
                self.input.clear();
                arguments.write_escaped(&mut self.input);
                part.keep(&self.input);
            }
            Delta::Logprobs(array) => part.add_logprobs(array),
            // What has no address is no citation of this dialect's.
            Delta::Citation { url: Some(url), title, .. } => {
                part.add_annotation(url, title.as_ref());
            }
            Delta::Citation { .. } | Delta::Signature(_) => {}
        }
    }

    /// Closes a block, and gives a call without arguments those that it means.
    pub fn close(&mut self, slot: Slot) {
        let item = &mut self.items[slot.item];
        let Some(part) = item.parts.get_mut(slot.part) else { return };
        if item.kind == ItemKind::Call && part.text.is_empty() {
            part.text.extend_from_slice(NO_ARGUMENTS);
        }
        part.is_open = false;
    }

    pub fn finish(&mut self, reason: FinishReason) {
        self.finish = Some(reason);
    }

    /// The status of an item that is the last one or not, once the choice is finished.
    pub fn status_of(&self, item: usize) -> Status {
        let is_last = item + 1 == self.items.len();
        if is_last && self.incomplete_reason().is_some() { Status::Incomplete } else { Status::Completed }
    }

    /// Why the response is not complete. Other dialects say `refusal` where this one has a text for it or a filter.
    pub fn incomplete_reason(&self) -> Option<&'static str> {
        match self.finish? {
            FinishReason::Length | FinishReason::ContextFull => Some("max_output_tokens"),
            FinishReason::ContentFilter => Some("content_filter"),
            FinishReason::Refusal if !self.has_refusal() => Some("content_filter"),
            _ => None,
        }
    }

    fn has_refusal(&self) -> bool {
        self.items.iter().flat_map(|item| &item.parts).any(|part| part.kind == PartKind::Refusal)
    }

    /// Appends the response object.
    pub fn write(&self, moment: Moment<'_>, out: &mut Vec<u8>) {
        let incomplete = self.incomplete_reason();
        let status = match (moment, incomplete) {
            (Moment::Running, _) => "in_progress",
            (Moment::Failed(_), _) => "failed",
            (Moment::Ended, Some(_)) => "incomplete",
            (Moment::Ended, None) => "completed",
        };
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(&self.response_id);
        out.extend_from_slice(b"\",\"object\":\"response\",\"created_at\":");
        write_decimal(self.created_s, out);
        write_text_member("status", status.as_bytes(), out);
        out.extend_from_slice(b",\"error\":");
        match moment {
            Moment::Failed(error) => {
                let (code, own) = failed_code(error);
                out.extend_from_slice(b"{\"code\":");
                json::write_string(code, out);
                out.extend_from_slice(b",\"message\":");
                json::write_string(&error.message, out);
                if let Some(own) = own {
                    out.extend_from_slice(b",\"type\":");
                    json::write_string(own, out);
                }
                out.push(b'}');
            }
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"incomplete_details\":");
        match (moment, incomplete) {
            (Moment::Ended, Some(reason)) => {
                out.extend_from_slice(b"{\"reason\":\"");
                out.extend_from_slice(reason.as_bytes());
                out.extend_from_slice(b"\"}");
            }
            _ => out.extend_from_slice(b"null"),
        }
        write_text_member("model", &self.model, out);
        out.extend_from_slice(b",\"output\":[");
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item.write(out);
        }
        out.extend_from_slice(b"],");
        out.extend_from_slice(&self.echo);
        out.extend_from_slice(b"\"usage\":");
        write_usage(&self.usage, out);
        out.push(b'}');
    }
}

/// The SDKs' types demand a number for every count, so of known usage the counts that the provider left out are 0; when it
/// stated nothing at all, the whole is null.
fn write_usage(usage: &Usage, out: &mut Vec<u8>) {
    if !usage.is_known() {
        return out.extend_from_slice(b"null");
    }
    let (input, output) = (usage.input.unwrap_or(0), usage.output.unwrap_or(0));
    out.extend_from_slice(b"{\"input_tokens\":");
    write_decimal(input, out);
    out.extend_from_slice(b",\"input_tokens_details\":{\"cached_tokens\":");
    write_decimal(usage.cache_read.unwrap_or(0), out);
    out.extend_from_slice(b",\"cache_write_tokens\":");
    write_decimal(usage.cache_write.unwrap_or(0), out);
    out.extend_from_slice(b"},\"output_tokens\":");
    write_decimal(output, out);
    out.extend_from_slice(b",\"output_tokens_details\":{\"reasoning_tokens\":");
    write_decimal(usage.reasoning.unwrap_or(0), out);
    out.extend_from_slice(b"},\"total_tokens\":");
    write_decimal(input.saturating_add(output), out);
    out.push(b'}');
}

const RESPONSE_PREFIX: &str = "resp_";
/// The arguments of a call without any.
pub const NO_ARGUMENTS: &[u8] = b"{}";
