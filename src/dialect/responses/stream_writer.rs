//! Writes the stream of a client that speaks Responses. Every event counts one further; the last one holds the whole
//! response; behind an error comes nothing. There is no `[DONE]` in this API.

use super::errors::stream_code;
use super::item::{Item, ItemKind, Part, PartKind, Status, write_text_member};
use super::output::{Moment, NO_ARGUMENTS, Output, Slot};
use crate::dialect::middle::{
    Block, Delta, Event, FinishReason, Place, ProviderError, Signature, Text, Told,
};
use crate::wire::json;
use crate::wire::write::write_decimal;

/// Writes the client's stream, SSE framing included.
pub struct StreamWriter {
    output: Output,
    events_count: u64,
    has_started: bool,
    has_ended: bool,
    /// The response object at its end, where it is kept.
    finished: Option<Vec<u8>>,
}

impl StreamWriter {
    /// A comment: readers of event streams skip it (WHATWG HTML §9.2.6).
    pub const KEEP_ALIVE: &'static [u8] = b": keep-alive\n\n";

    pub fn new(told: Told) -> StreamWriter {
        let (has_started, has_ended, finished) = (false, false, None);
        StreamWriter { output: Output::new(told), events_count: 0, has_started, has_ended, finished }
    }

    /// Appends what the event means to the client.
    pub fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.has_ended {
            return;
        }
        match event {
            Event::Start(start) => {
                self.output.start(start);
                self.has_started = true;
                self.write_response("response.created", Moment::Running, out);
                self.write_response("response.in_progress", Moment::Running, out);
            }
            Event::Open { at, block } => self.open(*at, block, out),
            Event::Delta { at, delta } => {
                if let Some(slot) = self.output.slot(*at) {
                    self.add(slot, delta, out);
                }
            }
            Event::Close { at } => {
                if let Some(slot) = self.output.slot(*at) {
                    self.close(slot, out);
                }
            }
            Event::Finish { choice: 0, finish } => self.finish(finish.reason, out),
            Event::Finish { .. } => {}
            Event::Usage(usage) => self.output.usage.merge(*usage),
            Event::Error(error) => self.fail(error, out),
            Event::Ping => out.extend_from_slice(Self::KEEP_ALIVE),
            Event::Surplus => {}
            Event::End => {
                self.has_ended = true;
                let is_incomplete = self.output.incomplete_reason().is_some();
                let kind = if is_incomplete { "response.incomplete" } else { "response.completed" };
                self.write_response(kind, Moment::Ended, out);
                if self.output.is_kept {
                    let mut finished = Vec::new();
                    self.output.write(Moment::Ended, &mut finished);
                    self.finished = Some(finished);
                }
            }
        }
    }

    /// The response object, once it is complete and where it is to be kept.
    pub fn take_finished(&mut self) -> Option<Vec<u8>> {
        self.finished.take()
    }

    fn open(&mut self, at: Place, block: &Block<'_>, out: &mut Vec<u8>) {
        if at.choice != 0 {
            return;
        }
        let is_text = matches!(block, Block::Text | Block::Refusal);
        for index in 0..self.output.items.len() {
            let is_last = index + 1 == self.output.items.len();
            let goes_on = is_text && is_last && self.output.items[index].kind == ItemKind::Message;
            if !goes_on && !self.output.items[index].has_open_part() {
                self.end_item(index, Status::Completed, out);
            }
        }
        if let Block::ToolCall { signature: Some(signature), .. } = block {
            self.write_call_state(signature, out);
        }
        let items_count = self.output.items.len();
        let Some(slot) = self.output.open(at, block) else { return };
        if self.output.items.len() > items_count {
            self.begin_item(slot.item, out);
        }
        if is_text {
            self.write_part("response.content_part.added", slot, out);
        }
    }

    fn write_call_state(&mut self, signature: &Signature<'_>, out: &mut Vec<u8>) {
        let index = self.output.add_call_state(signature);
        self.begin_item(index, out);
        self.end_item(index, Status::Completed, out);
    }

    fn begin_item(&mut self, index: usize, out: &mut Vec<u8>) {
        self.begin("response.output_item.added", out);
        write_count("output_index", index as u64, out);
        out.extend_from_slice(b",\"item\":");
        self.output.items[index].write_begun(out);
        out.extend_from_slice(END);
    }

    fn end_item(&mut self, index: usize, status: Status, out: &mut Vec<u8>) {
        if self.output.items[index].status != Status::InProgress {
            return;
        }
        self.output.items[index].status = status;
        self.begin("response.output_item.done", out);
        write_count("output_index", index as u64, out);
        out.extend_from_slice(b",\"item\":");
        self.output.items[index].write(out);
        out.extend_from_slice(END);
        if self.output.has_text_state(index) {
            self.write_text_state(index, out);
        }
    }

    fn write_text_state(&mut self, of: usize, out: &mut Vec<u8>) {
        let item = self.output.text_state(of);
        self.output.items.push(item);
        let slot = Slot { item: self.output.items.len() - 1, part: 0 };
        self.begin_item(slot.item, out);
        self.write_part("response.reasoning_summary_part.added", slot, out);
        self.close(slot, out);
        self.end_item(slot.item, Status::Completed, out);
    }

    fn add(&mut self, slot: Slot, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let item = &self.output.items[slot.item];
        if item.status != Status::InProgress {
            return;
        }
        let parts_count = item.parts.len();
        self.output.add(slot, delta);
        if self.output.items[slot.item].parts.len() > parts_count {
            self.write_part("response.reasoning_summary_part.added", slot, out);
        }
        match delta {
            Delta::Text(text) => self.write_text_delta(slot, text, out),
            Delta::Arguments(_) => {
                let input = std::mem::take(&mut self.output.input);
                self.write_input_delta(slot, &input, out);
                self.output.input = input;
            }
            Delta::Logprobs(_) => self.write_logprobs(slot, out),
            Delta::Citation { url: Some(_), .. } => self.write_annotation(slot, out),
            Delta::Citation { .. } | Delta::Signature(_) => {}
        }
    }

    fn write_text_delta(&mut self, slot: Slot, text: &Text<'_>, out: &mut Vec<u8>) {
        let Some(part) = self.part(slot) else { return };
        let kind = part.kind;
        self.begin_part(part_event(kind, "delta"), slot, out);
        write_text_member("delta", text.as_escaped(), out);
        if kind == PartKind::Text {
            out.extend_from_slice(b",\"logprobs\":[]");
        }
        out.extend_from_slice(END);
    }

    fn write_input_delta(&mut self, slot: Slot, piece: &[u8], out: &mut Vec<u8>) {
        let kind = self.output.items[slot.item].kind;
        self.begin_part(input_event(kind, "delta"), slot, out);
        write_text_member("delta", piece, out);
        out.extend_from_slice(END);
    }

    /// The text that they belong to is out already, so they come with an empty one.
    fn write_logprobs(&mut self, slot: Slot, out: &mut Vec<u8>) {
        self.begin_part("response.output_text.delta", slot, out);
        out.extend_from_slice(b",\"delta\":\"\",\"logprobs\":[");
        out.extend_from_slice(self.part(slot).map_or(b"", Part::last_logprobs));
        out.push(b']');
        out.extend_from_slice(END);
    }

    fn write_annotation(&mut self, slot: Slot, out: &mut Vec<u8>) {
        let Some(index) = self.part(slot).and_then(|part| part.annotations_count.checked_sub(1)) else {
            return;
        };
        self.begin_part("response.output_text.annotation.added", slot, out);
        write_count("annotation_index", index, out);
        out.extend_from_slice(b",\"annotation\":");
        out.extend_from_slice(self.part(slot).map_or(b"null", Part::last_annotation));
        out.extend_from_slice(END);
    }

    fn close(&mut self, slot: Slot, out: &mut Vec<u8>) {
        let is_empty = self.part(slot).is_some_and(|part| part.text.is_empty());
        if !self.part(slot).is_some_and(|part| part.is_open) {
            return;
        }
        self.output.close(slot);
        let item = &self.output.items[slot.item];
        match item.kind {
            ItemKind::Message | ItemKind::Reasoning => self.end_part(slot, out),
            ItemKind::Call | ItemKind::CustomCall => {
                if is_empty && item.kind == ItemKind::Call {
                    self.write_input_delta(slot, NO_ARGUMENTS, out);
                }
                self.end_input(slot, out);
            }
            ItemKind::Image => {}
        }
    }

    fn end_part(&mut self, slot: Slot, out: &mut Vec<u8>) {
        let Some(kind) = self.part(slot).map(|part| part.kind) else { return };
        self.begin_part(part_event(kind, "done"), slot, out);
        let part = &self.output.items[slot.item].parts[slot.part];
        let field = if kind == PartKind::Refusal { "refusal" } else { "text" };
        write_text_member(field, &part.text, out);
        if kind == PartKind::Text {
            out.extend_from_slice(b",\"logprobs\":[");
            out.extend_from_slice(&part.logprobs);
            out.push(b']');
        }
        out.extend_from_slice(END);
        let event = match kind {
            PartKind::Summary => "response.reasoning_summary_part.done",
            _ => "response.content_part.done",
        };
        self.write_part(event, slot, out);
    }

    fn end_input(&mut self, slot: Slot, out: &mut Vec<u8>) {
        let kind = self.output.items[slot.item].kind;
        self.begin_part(input_event(kind, "done"), slot, out);
        let Item { name, parts, .. } = &self.output.items[slot.item];
        write_text_member("name", name, out);
        write_text_member(kind.input_field(), &parts[slot.part].text, out);
        out.extend_from_slice(END);
    }

    fn finish(&mut self, reason: FinishReason, out: &mut Vec<u8>) {
        self.output.finish(reason);
        for item in 0..self.output.items.len() {
            for part in 0..self.output.items[item].parts.len() {
                self.close(Slot { item, part }, out);
            }
            self.end_item(item, self.output.status_of(item), out);
        }
    }

    /// The API's own way to fail: a response that says why. Where none was begun, an event of its own.
    fn fail(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        self.has_ended = true;
        if self.has_started {
            for item in &mut self.output.items {
                if item.status == Status::InProgress {
                    item.status = Status::Incomplete;
                }
            }
            return self.write_response("response.failed", Moment::Failed(error), out);
        }
        self.begin("error", out);
        out.extend_from_slice(b",\"code\":");
        json::write_string(stream_code(error), out);
        out.extend_from_slice(b",\"message\":");
        json::write_string(&error.message, out);
        out.extend_from_slice(b",\"param\":");
        super::errors::write_nullable(error.param.as_deref(), out);
        out.extend_from_slice(END);
    }

    fn write_response(&mut self, kind: &str, moment: Moment<'_>, out: &mut Vec<u8>) {
        self.begin(kind, out);
        out.extend_from_slice(b",\"response\":");
        self.output.write(moment, out);
        out.extend_from_slice(END);
    }

    /// An event about a part that holds the part itself.
    fn write_part(&mut self, kind: &str, slot: Slot, out: &mut Vec<u8>) {
        let Some(part_kind) = self.part(slot).map(|part| part.kind) else { return };
        self.begin_part(kind, slot, out);
        out.extend_from_slice(b",\"part\":");
        if kind.ends_with(".added") {
            Part::new(part_kind).write(out);
        } else {
            self.output.items[slot.item].parts[slot.part].write(out);
        }
        out.extend_from_slice(END);
    }

    fn part(&self, slot: Slot) -> Option<&Part> {
        self.output.items[slot.item].parts.get(slot.part)
    }

    fn begin(&mut self, kind: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: {\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        write_count("sequence_number", self.events_count, out);
        self.events_count += 1;
    }

    /// Begins an event about an item, or about a part of it where its kind has parts.
    fn begin_part(&mut self, kind: &str, slot: Slot, out: &mut Vec<u8>) {
        self.begin(kind, out);
        let item = &self.output.items[slot.item];
        write_text_member("item_id", &item.id, out);
        write_count("output_index", slot.item as u64, out);
        match item.kind {
            ItemKind::Message => write_count("content_index", slot.part as u64, out),
            ItemKind::Reasoning => write_count("summary_index", slot.part as u64, out),
            ItemKind::Call | ItemKind::CustomCall | ItemKind::Image => {}
        }
    }
}

fn part_event(kind: PartKind, step: &str) -> &'static str {
    match (kind, step) {
        (PartKind::Refusal, "delta") => "response.refusal.delta",
        (PartKind::Refusal, _) => "response.refusal.done",
        (PartKind::Summary, "delta") => "response.reasoning_summary_text.delta",
        (PartKind::Summary, _) => "response.reasoning_summary_text.done",
        (_, "delta") => "response.output_text.delta",
        _ => "response.output_text.done",
    }
}

fn input_event(kind: ItemKind, step: &str) -> &'static str {
    match (kind, step) {
        (ItemKind::CustomCall, "delta") => "response.custom_tool_call_input.delta",
        (ItemKind::CustomCall, _) => "response.custom_tool_call_input.done",
        (_, "delta") => "response.function_call_arguments.delta",
        _ => "response.function_call_arguments.done",
    }
}

fn write_count(name: &str, count: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_decimal(count, out);
}

const END: &[u8] = b"}\n\n";
