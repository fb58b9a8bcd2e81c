//! Collects the events of a whole answer and writes it as one document.

use super::usage::write_usage;
use super::write_pieces::{
    reason, write_audio, write_call_head, write_call_signature, write_citation, write_head, write_image,
    write_logprobs, write_number,
};
use super::write_request::{comma, text_member};
use crate::dialect::middle::{Block, Delta, Event, Finish, FinishReason, Place, Start, Text, Told};
use crate::ledger::usage::Usage;
use crate::wire::json;

/// Collects one answer.
#[derive(Debug)]
pub struct AnswerWriter {
    told: Told,
    start: Start<'static>,
    choices: Vec<Choice>,
    usage: Usage,
}

/// A choice as it will be written: texts as the inside of JSON strings, lists without their brackets.
#[derive(Debug, Default)]
struct Choice {
    index: u32,
    text: Vec<u8>,
    has_text: bool,
    refusal: Vec<u8>,
    thinking: Vec<u8>,
    thinking_blocks: Vec<u8>,
    /// Whether the blocks hold state that the client must bring back; without it they only repeat the text.
    has_signatures: bool,
    calls: Vec<Call>,
    annotations: Vec<u8>,
    images: Vec<u8>,
    audio: Vec<u8>,
    logprobs: Vec<u8>,
    refusal_logprobs: Vec<u8>,
    finish: Option<Finish<'static>>,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Call {
    block: u32,
    head: Vec<u8>,
    input: Vec<u8>,
    signature: Vec<u8>,
    is_custom: bool,
}

#[derive(Debug)]
struct Open {
    block: u32,
    kind: Kind,
    /// Where the thought of this block begins in its choice's.
    thinking_at: usize,
    /// The signature of the thought as a JSON string.
    signature: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Thinking,
}

impl AnswerWriter {
    pub fn new(told: Told) -> AnswerWriter {
        AnswerWriter { told, start: Start::default(), choices: Vec::new(), usage: Usage::default() }
    }

    /// Takes an event in.
    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(start) => {
                let (id, model) = (start.id.clone().into_owned(), start.model.clone().into_owned());
                self.start = Start { id, model, created_s: start.created_s };
            }
            Event::Open { at, block } => choice(&mut self.choices, at.choice).open(*at, block, &self.told),
            Event::Delta { at, delta } => choice(&mut self.choices, at.choice).delta(*at, delta),
            Event::Close { at } => choice(&mut self.choices, at.choice).close(*at),
            Event::Finish { choice: index, finish } => {
                let stop_sequence = finish.stop_sequence.clone().map(Text::into_owned);
                choice(&mut self.choices, *index).finish =
                    Some(Finish { reason: finish.reason, stop_sequence });
            }
            Event::Usage(usage) => self.usage.merge(*usage),
            Event::Error(_) | Event::Ping | Event::Surplus | Event::End => {}
        }
    }

    /// Appends the document.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        write_head(&self.start, &self.told, "chat.completion", out);
        out.extend_from_slice(b",\"choices\":[");
        self.choices.sort_by_key(|choice| choice.index);
        for (number, choice) in self.choices.iter().enumerate() {
            comma(number, out);
            choice.write(out);
        }
        out.push(b']');
        if self.usage.is_known() {
            out.extend_from_slice(b",\"usage\":");
            write_usage(&self.usage, out);
        }
        out.push(b'}');
    }
}

/// The choice of this index, made if need be.
fn choice(choices: &mut Vec<Choice>, index: u32) -> &mut Choice {
    let known = choices.iter().position(|choice| choice.index == index);
    let at = known.unwrap_or_else(|| {
        choices.push(Choice { index, ..Choice::default() });
        choices.len() - 1
    });
    &mut choices[at]
}

impl Choice {
    fn open(&mut self, at: Place, block: &Block<'_>, told: &Told) {
        let kind = match block {
            Block::Text => Kind::Text,
            Block::Refusal => Kind::Refusal,
            Block::Thinking => Kind::Thinking,
            Block::ToolCall { id, name, is_custom, signature } => {
                let mut call = Call {
                    block: at.block,
                    head: Vec::new(),
                    input: Vec::new(),
                    signature: Vec::new(),
                    is_custom: *is_custom,
                };
                write_call_head(None, id, name, *is_custom, &mut call.head);
                if let Some(signature) = signature {
                    write_call_signature(signature, &mut call.signature);
                }
                return self.calls.push(call);
            }
            Block::HiddenThinking { data } => {
                self.has_signatures = true;
                next(&mut self.thinking_blocks);
                self.thinking_blocks.extend_from_slice(b"{\"type\":\"redacted_thinking\",\"data\":");
                data.write_for_client(&mut self.thinking_blocks);
                return self.thinking_blocks.push(b'}');
            }
            Block::Media { kind, base64 } if kind.as_escaped().starts_with(b"audio") => {
                // The dialect has room for one.
                self.audio.clear();
                return write_audio(base64, told, &mut self.audio);
            }
            Block::Media { kind, base64 } => {
                next(&mut self.images);
                return write_image(kind, base64, &mut self.images);
            }
            Block::Foreign { .. } => return,
        };
        let thinking_at = self.thinking.len();
        self.open.push(Open { block: at.block, kind, thinking_at, signature: Vec::new() });
    }

    fn delta(&mut self, at: Place, delta: &Delta<'_>) {
        if let Delta::Arguments(piece) = delta {
            if let Some(call) = self.calls.iter_mut().find(|call| call.block == at.block) {
                piece.write_escaped(&mut call.input);
            }
            return;
        }
        let Some(open) = self.open.iter_mut().find(|open| open.block == at.block) else { return };
        match (delta, open.kind) {
            (Delta::Text(text), Kind::Text) => {
                self.has_text = true;
                self.text.extend_from_slice(text.as_escaped());
            }
            (Delta::Text(text), Kind::Refusal) => self.refusal.extend_from_slice(text.as_escaped()),
            (Delta::Text(text), Kind::Thinking) => self.thinking.extend_from_slice(text.as_escaped()),
            (Delta::Signature(signature), _) => {
                open.signature.clear();
                signature.write_for_client(&mut open.signature);
            }
            (Delta::Citation { url: Some(url), title, cited }, _) => {
                next(&mut self.annotations);
                write_citation(url, title.as_ref(), cited.as_ref(), &mut self.annotations);
            }
            (Delta::Logprobs(raw), kind) => {
                let list =
                    if kind == Kind::Refusal { &mut self.refusal_logprobs } else { &mut self.logprobs };
                let inside = raw.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
                next(list);
                list.extend_from_slice(inside.unwrap_or_default());
            }
            _ => {}
        }
    }

    fn close(&mut self, at: Place) {
        let Some(number) = self.open.iter().position(|open| open.block == at.block) else { return };
        let open = self.open.remove(number);
        if open.kind != Kind::Thinking && open.signature.is_empty() {
            return;
        }
        // A signature of a text stands in a block without a thought, as in a stream.
        let thinking: &[u8] =
            if open.kind == Kind::Thinking { &self.thinking[open.thinking_at..] } else { b"" };
        next(&mut self.thinking_blocks);
        self.thinking_blocks.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":");
        Text::escaped(thinking).write(&mut self.thinking_blocks);
        if !open.signature.is_empty() {
            self.has_signatures = true;
            self.thinking_blocks.extend_from_slice(b",\"signature\":");
            self.thinking_blocks.extend_from_slice(&open.signature);
        }
        self.thinking_blocks.push(b'}');
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"index\":");
        write_number(self.index, out);
        out.extend_from_slice(b",\"message\":{\"role\":\"assistant\",\"content\":");
        let says_else = !self.calls.is_empty() || !self.refusal.is_empty() || !self.audio.is_empty();
        let nullable = |is_there: bool, text: &[u8], out: &mut Vec<u8>| {
            if is_there { Text::escaped(text).write(out) } else { out.extend_from_slice(b"null") }
        };
        nullable(self.has_text || !says_else, &self.text, out);
        out.extend_from_slice(b",\"refusal\":");
        nullable(!self.refusal.is_empty(), &self.refusal, out);
        if !self.thinking.is_empty() {
            text_member("reasoning_content", &Text::escaped(&self.thinking), out);
        }
        if self.has_signatures {
            write_list("thinking_blocks", &self.thinking_blocks, out);
        }
        self.write_calls(out);
        write_list("annotations", &self.annotations, out);
        write_list("images", &self.images, out);
        if !self.audio.is_empty() {
            out.extend_from_slice(b",\"audio\":");
            out.extend_from_slice(&self.audio);
        }
        out.extend_from_slice(b"},\"logprobs\":");
        self.write_logprobs(out);
        // The reader gives a finish for every choice; a stop is what its absence would mean.
        let finish = self.finish.as_ref();
        out.extend_from_slice(b",\"finish_reason\":");
        json::write_string(reason(finish.map_or(FinishReason::Stop, |finish| finish.reason)), out);
        if let Some(sequence) = finish.and_then(|finish| finish.stop_sequence.as_ref()) {
            text_member("stop_reason", sequence, out);
        }
        out.push(b'}');
    }

    fn write_calls(&self, out: &mut Vec<u8>) {
        if self.calls.is_empty() {
            return;
        }
        out.extend_from_slice(b",\"tool_calls\":[");
        for (number, call) in self.calls.iter().enumerate() {
            comma(number, out);
            out.extend_from_slice(&call.head);
            let key = if call.is_custom { "input" } else { "arguments" };
            let is_none = call.input.is_empty() && !call.is_custom;
            text_member(key, &Text::escaped(if is_none { b"{}" } else { &call.input }), out);
            out.push(b'}');
            out.extend_from_slice(&call.signature);
            out.push(b'}');
        }
        out.push(b']');
    }

    fn write_logprobs(&self, out: &mut Vec<u8>) {
        let list = |inside: &[u8]| [b"[", inside, b"]"].concat();
        match (self.logprobs.is_empty(), self.refusal_logprobs.is_empty()) {
            (true, true) => out.extend_from_slice(b"null"),
            (false, _) => write_logprobs(&list(&self.logprobs), false, out),
            (true, false) => write_logprobs(&list(&self.refusal_logprobs), true, out),
        }
    }
}

/// Appends a list that holds something as a member behind others.
fn write_list(key: &str, inside: &[u8], out: &mut Vec<u8>) {
    if !inside.is_empty() {
        out.push(b',');
        json::write_string(key, out);
        out.extend_from_slice(b":[");
        out.extend_from_slice(inside);
        out.push(b']');
    }
}

/// Makes room for the next element of a list without brackets.
fn next(list: &mut Vec<u8>) {
    if !list.is_empty() {
        list.push(b',');
    }
}

#[cfg(test)]
mod tests;
