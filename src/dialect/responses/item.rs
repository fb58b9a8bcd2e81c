//! The items of an answer that is written: what each holds so far, and its JSON. Texts are kept as JSON spells them.

use super::fields::write_on_one_line;
use crate::dialect::middle::{Signature, Text};
use crate::wire::json;

/// One element of a response's `output`.
pub struct Item {
    pub kind: ItemKind,
    /// As the content of a JSON string.
    pub id: Vec<u8>,
    pub call_id: Vec<u8>,
    pub name: Vec<u8>,
    /// The content of a message, the summary of a thought, or the one input of a call.
    pub parts: Vec<Part>,
    /// `encrypted_content` as a JSON string; empty when there is none.
    pub state: Vec<u8>,
    pub status: Status,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    Message,
    Call,
    CustomCall,
    Reasoning,
    Image,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Status {
    InProgress,
    Completed,
    Incomplete,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    Text,
    Refusal,
    Summary,
    Input,
}

pub struct Part {
    pub kind: PartKind,
    pub text: Vec<u8>,
    /// Elements of an array, commas between them.
    pub annotations: Vec<u8>,
    pub annotations_count: u64,
    /// Elements of an array, commas between them.
    pub logprobs: Vec<u8>,
    /// Where the last annotation and the last probabilities begin.
    annotation_at: usize,
    logprobs_at: usize,
    pub is_open: bool,
}

impl Item {
    /// The item at this place of the output. `answer_id` is the content of a JSON string without its prefix.
    pub fn new(kind: ItemKind, answer_id: &[u8], index: usize) -> Item {
        let mut id = kind.id_prefix().as_bytes().to_vec();
        id.extend_from_slice(answer_id);
        id.extend_from_slice(format!("_{index}").as_bytes());
        let (call_id, name, parts, state) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Item { kind, id, call_id, name, parts, state, status: Status::InProgress }
    }

    pub fn set_state(&mut self, signature: &Signature<'_>) {
        self.state.clear();
        signature.write_for_client(&mut self.state);
    }

    pub fn add_part(&mut self, kind: PartKind) -> usize {
        self.parts.push(Part::new(kind));
        self.parts.len() - 1
    }

    pub fn has_open_part(&self) -> bool {
        self.parts.iter().any(|part| part.is_open)
    }

    /// Appends the item as it is now.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_with(&self.parts, out);
    }

    /// Appends the item as it was when it began.
    pub fn write_begun(&self, out: &mut Vec<u8>) {
        self.write_with(&[], out);
    }

    fn write_with(&self, parts: &[Part], out: &mut Vec<u8>) {
        let first_text = parts.first().map_or(&b""[..], |part| &part.text);
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(&self.id);
        out.extend_from_slice(b"\",\"type\":\"");
        out.extend_from_slice(self.kind.name().as_bytes());
        out.extend_from_slice(b"\",\"status\":\"");
        out.extend_from_slice(self.status.name().as_bytes());
        out.push(b'"');
        match self.kind {
            ItemKind::Message => {
                out.extend_from_slice(b",\"role\":\"assistant\",\"content\":[");
                write_parts(parts, out);
                out.push(b']');
            }
            ItemKind::Call | ItemKind::CustomCall => {
                write_text_member("call_id", &self.call_id, out);
                write_text_member("name", &self.name, out);
                write_text_member(self.kind.input_field(), first_text, out);
            }
            ItemKind::Reasoning => {
                out.extend_from_slice(b",\"summary\":[");
                write_parts(parts, out);
                out.push(b']');
                if !self.state.is_empty() {
                    out.extend_from_slice(b",\"encrypted_content\":");
                    out.extend_from_slice(&self.state);
                }
            }
            ItemKind::Image => write_text_member("result", first_text, out),
        }
        out.push(b'}');
    }
}

fn write_parts(parts: &[Part], out: &mut Vec<u8>) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        part.write(out);
    }
}

impl Part {
    /// Adds to the text, which stays until the response's last event says all of it again. Its room grows by a quarter, so
    /// that a long text is never held in twice its size.
    pub fn keep(&mut self, more: &[u8]) {
        let room = self.text.capacity() - self.text.len();
        if room < more.len() {
            self.text.reserve_exact(more.len().max(self.text.len() / 4).max(TEXT_BYTES_MIN));
        }
        self.text.extend_from_slice(more);
    }

    pub fn new(kind: PartKind) -> Part {
        Part {
            kind,
            text: Vec::new(),
            annotations: Vec::new(),
            annotations_count: 0,
            logprobs: Vec::new(),
            annotation_at: 0,
            logprobs_at: 0,
            is_open: true,
        }
    }

    pub fn last_annotation(&self) -> &[u8] {
        &self.annotations[self.annotation_at..]
    }

    pub fn last_logprobs(&self) -> &[u8] {
        &self.logprobs[self.logprobs_at..]
    }

    /// Appends the part as it is now.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.kind {
            PartKind::Refusal => out.extend_from_slice(b"{\"type\":\"refusal\""),
            PartKind::Summary => out.extend_from_slice(b"{\"type\":\"summary_text\""),
            PartKind::Text | PartKind::Input => {
                out.extend_from_slice(b"{\"type\":\"output_text\",\"annotations\":[");
                out.extend_from_slice(&self.annotations);
                out.extend_from_slice(b"],\"logprobs\":[");
                out.extend_from_slice(&self.logprobs);
                out.push(b']');
            }
        }
        let field = if self.kind == PartKind::Refusal { "refusal" } else { "text" };
        write_text_member(field, &self.text, out);
        out.push(b'}');
    }

    /// Keeps the elements of an array of probabilities.
    pub fn add_logprobs(&mut self, array: &[u8]) {
        let elements = array.trim_ascii().strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
        let elements = elements.unwrap_or_default().trim_ascii();
        if !elements.is_empty() {
            if !self.logprobs.is_empty() {
                self.logprobs.push(b',');
            }
            self.logprobs_at = self.logprobs.len();
            write_on_one_line(elements, &mut self.logprobs);
        }
    }

    /// Keeps a source of the text.
    pub fn add_annotation(&mut self, url: &Text<'_>, title: Option<&Text<'_>>) {
        if self.annotations_count > 0 {
            self.annotations.push(b',');
        }
        self.annotation_at = self.annotations.len();
        self.annotations.extend_from_slice(b"{\"type\":\"url_citation\"");
        write_text_member("url", url.as_escaped(), &mut self.annotations);
        write_text_member("title", title.map_or(b"", Text::as_escaped), &mut self.annotations);
        // Where in the text the source belongs is not known; the SDKs' types demand numbers.
        self.annotations.extend_from_slice(b",\"start_index\":0,\"end_index\":0}");
        self.annotations_count += 1;
    }
}

impl ItemKind {
    pub fn name(self) -> &'static str {
        match self {
            ItemKind::Message => "message",
            ItemKind::Call => "function_call",
            ItemKind::CustomCall => "custom_tool_call",
            ItemKind::Reasoning => "reasoning",
            ItemKind::Image => "image_generation_call",
        }
    }

    pub fn input_field(self) -> &'static str {
        if self == ItemKind::CustomCall { "input" } else { "arguments" }
    }

    fn id_prefix(self) -> &'static str {
        match self {
            ItemKind::Message => "msg_",
            ItemKind::Call => "fc_",
            ItemKind::CustomCall => "ctc_",
            ItemKind::Reasoning => "rs_",
            ItemKind::Image => "ig_",
        }
    }
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::InProgress => "in_progress",
            Status::Completed => "completed",
            Status::Incomplete => "incomplete",
        }
    }
}

/// Appends a member behind others; the text is one that JSON spells already.
pub fn write_text_member(name: &str, escaped: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(escaped);
    out.push(b'"');
}

/// A text of ours as the content of a JSON string.
pub fn escaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    json::write_escaped(text.as_bytes(), &mut out);
    out
}

/// The room that a text begins with.
const TEXT_BYTES_MIN: usize = 256;
