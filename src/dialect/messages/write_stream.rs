//! Writes the events of an answer as a stream of the dialect: one block open at a time, every delta between the start and the
//! stop of its block, one `message_delta` and one `message_stop` behind everything. Nothing follows an error.

use std::io::Write as _;

use super::errors;
use super::stop_reason::Ending;
use super::usage::{write_final_usage, write_usage};
use crate::dialect::middle::{Block, Delta, Event, Place, Signature, Start, Text, Told};
use crate::ledger::usage::Usage;
use crate::wire::json;

/// Writes the client's stream. The dialect has one answer in a message: of several choices the first is written.
pub struct StreamWriter {
    told: Told,
    /// The block that is open for the client, and behind it those that were opened meanwhile.
    blocks: Vec<OpenBlock>,
    next_index: u32,
    usage: Usage,
    ending: Ending,
    is_done: bool,
}

struct OpenBlock {
    /// The middle's number.
    block: u32,
    /// The client's number.
    index: u32,
    kind: BlockKind,
    /// What waits until the blocks in front are closed.
    waiting: Vec<u8>,
    is_closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    Text,
    Thinking,
    ToolCall,
    CustomCall,
    Whole,
}

impl StreamWriter {
    /// What keeps a silent connection alive: the SDKs pass over it.
    pub const KEEP_ALIVE: &'static [u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

    pub fn new(told: Told) -> StreamWriter {
        StreamWriter {
            told,
            blocks: Vec::new(),
            next_index: 0,
            usage: Usage::default(),
            ending: Ending::default(),
            is_done: false,
        }
    }

    /// Appends what the event means for the client.
    pub fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.is_done {
            return;
        }
        match event {
            Event::Start(start) => self.write_message_start(start, out),
            Event::Open { at, block } if at.choice == 0 => self.open(*at, block, out),
            Event::Delta { at, delta } if at.choice == 0 => self.delta(*at, delta, out),
            Event::Close { at } if at.choice == 0 => self.close(*at, out),
            Event::Finish { choice: 0, finish } => {
                self.ending.reason = Some(finish.reason);
                self.ending.stop_sequence =
                    finish.stop_sequence.as_ref().map(|sequence| sequence.as_escaped().to_vec());
            }
            Event::Usage(usage) => self.usage.merge(*usage),
            Event::Ping => out.extend_from_slice(Self::KEEP_ALIVE),
            Event::Error(error) => {
                self.is_done = true;
                out.extend_from_slice(b"event: error\ndata: {\"type\":\"error\",\"error\":");
                errors::write_object(error, out);
                out.extend_from_slice(b"}\n\n");
            }
            Event::End => self.end(out),
            Event::Surplus => {}
            Event::Open { .. } | Event::Delta { .. } | Event::Close { .. } | Event::Finish { .. } => {}
        }
    }

    /// The head of the message, and a ping as Anthropic's own API sends one.
    fn write_message_start(&mut self, start: &Start<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{");
        write_head(start, &self.told, out);
        out.extend_from_slice(b"\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
        write_usage(&self.usage, out);
        out.extend_from_slice(b"}}\n\n");
        out.extend_from_slice(Self::KEEP_ALIVE);
    }

    fn open(&mut self, at: Place, block: &Block<'_>, out: &mut Vec<u8>) {
        let Some(kind) = kind_of(block) else { return };
        self.ending.has_refusal |= *block == Block::Refusal;
        let index = self.next_index;
        self.next_index += 1;
        let mut waiting = Vec::new();
        let out = if self.blocks.is_empty() { out } else { &mut waiting };
        begin(b"content_block_start", index, out);
        out.extend_from_slice(b"\"content_block\":");
        write_block_start(block, out);
        out.extend_from_slice(b"}\n\n");
        if kind == BlockKind::CustomCall {
            write_custom_edge(index, br#"{\"input\":\""#, out);
        }
        self.blocks.push(OpenBlock { block: at.block, index, kind, waiting, is_closed: false });
    }

    fn delta(&mut self, at: Place, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let Some(position) = self.position(at) else { return };
        let block = &mut self.blocks[position];
        let out = if position == 0 { out } else { &mut block.waiting };
        write_delta(block.index, block.kind, delta, out);
    }

    /// The block's end. When it is the one that is open for the client, what waited behind it follows.
    fn close(&mut self, at: Place, out: &mut Vec<u8>) {
        let Some(position) = self.position(at) else { return };
        let block = &mut self.blocks[position];
        block.is_closed = true;
        let (index, kind) = (block.index, block.kind);
        write_stop(index, kind, if position == 0 { &mut *out } else { &mut block.waiting });
        while self.blocks.first().is_some_and(|block| block.is_closed) {
            self.blocks.remove(0);
            if let Some(next) = self.blocks.first_mut() {
                out.append(&mut next.waiting);
            }
        }
    }

    fn position(&self, at: Place) -> Option<usize> {
        self.blocks.iter().position(|block| block.block == at.block && !block.is_closed)
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.is_done = true;
        while let Some(block) = self.blocks.iter().find(|block| !block.is_closed).map(|block| block.block) {
            self.close(Place { choice: 0, block }, out);
        }
        out.extend_from_slice(b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{");
        self.ending.write(out);
        out.extend_from_slice(b"},\"usage\":");
        write_final_usage(&self.usage, out);
        out.extend_from_slice(b"}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    }
}

/// Appends the members that a message begins with, each followed by a comma.
pub(super) fn write_head(start: &Start<'_>, told: &Told, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"id\":");
    if start.id.as_escaped().starts_with(b"msg_") {
        start.id.write(out);
    } else {
        out.extend_from_slice(b"\"msg_");
        json::write_escaped(told.id.as_bytes(), out);
        out.push(b'"');
    }
    out.extend_from_slice(b",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    if start.model.is_empty() {
        json::write_string(&told.model, out);
    } else {
        start.model.write(out);
    }
    out.push(b',');
}

/// What is written of a block; `None` for what the dialect has no block for: sounds, which none of its requests can ask
/// for, and what only another provider knows.
fn kind_of(block: &Block<'_>) -> Option<BlockKind> {
    match block {
        Block::Text | Block::Refusal => Some(BlockKind::Text),
        Block::Thinking => Some(BlockKind::Thinking),
        Block::ToolCall { is_custom: false, .. } => Some(BlockKind::ToolCall),
        Block::ToolCall { is_custom: true, .. } => Some(BlockKind::CustomCall),
        Block::HiddenThinking { .. } => Some(BlockKind::Whole),
        Block::Media { kind, .. } => is_image(kind).then_some(BlockKind::Whole),
        Block::Foreign { .. } => None,
    }
}

pub(super) fn is_image(kind: &Text<'_>) -> bool {
    kind.decoded().starts_with("image/")
}

/// Appends the block as it is at its start.
fn write_block_start(block: &Block<'_>, out: &mut Vec<u8>) {
    match block {
        Block::Text | Block::Refusal => out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"\"}"),
        Block::Thinking => {
            out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
        }
        Block::ToolCall { id, name, signature, .. } => {
            write_call_head(id, name, signature.as_ref(), out);
            out.extend_from_slice(b"\"input\":{}}");
        }
        Block::HiddenThinking { data } => write_hidden(data, out),
        Block::Media { kind, base64 } => write_image(kind, base64, out),
        Block::Foreign { raw } => out.extend_from_slice(raw),
    }
}

/// Appends a call up to its input.
pub(super) fn write_call_head(
    id: &Text<'_>,
    name: &Text<'_>,
    signature: Option<&Signature<'_>>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
    id.write(out);
    out.extend_from_slice(b",\"name\":");
    name.write(out);
    if let Some(signature) = signature {
        out.extend_from_slice(b",\"signature\":");
        signature.write_for_client(out);
    }
    out.push(b',');
}

pub(super) fn write_hidden(data: &Signature<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"redacted_thinking\",\"data\":");
    data.write_for_client(out);
    out.push(b'}');
}

pub(super) fn write_image(kind: &Text<'_>, base64: &Text<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":");
    kind.write(out);
    out.extend_from_slice(b",\"data\":");
    base64.write(out);
    out.extend_from_slice(b"}}");
}

/// Appends one citation. What was cited from a page stands in the form of the dialect's own search, without the state that
/// only that search has. A citation without an address has no form that needs no document of the request.
pub(super) fn write_citation(
    url: &Text<'_>,
    title: Option<&Text<'_>>,
    cited: Option<&Text<'_>>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"type\":\"web_search_result_location\",\"url\":");
    url.write(out);
    out.extend_from_slice(b",\"title\":");
    match title {
        Some(title) => title.write(out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"cited_text\":");
    cited.unwrap_or(&Text::default()).write(out);
    out.extend_from_slice(b",\"encrypted_index\":\"\"}");
}

/// Appends a delta, if it is one that a block of this kind can take.
fn write_delta(index: u32, kind: BlockKind, delta: &Delta<'_>, out: &mut Vec<u8>) {
    match (kind, delta) {
        (BlockKind::Text, Delta::Text(text)) => write_text_delta(index, "text_delta", "text", text, out),
        (BlockKind::Thinking, Delta::Text(text)) => {
            write_text_delta(index, "thinking_delta", "thinking", text, out);
        }
        (BlockKind::ToolCall, Delta::Arguments(piece)) => {
            begin_input(index, out);
            piece.write_escaped(out);
            out.extend_from_slice(b"\"}}\n\n");
        }
        (BlockKind::CustomCall, Delta::Arguments(piece)) => {
            // The text stands in a JSON string inside of the JSON text of the input.
            let mut text = Vec::new();
            piece.write_escaped(&mut text);
            begin_input(index, out);
            json::write_escaped(&text, out);
            out.extend_from_slice(b"\"}}\n\n");
        }
        (BlockKind::Thinking, Delta::Signature(signature)) => {
            begin(b"content_block_delta", index, out);
            out.extend_from_slice(b"\"delta\":{\"type\":\"signature_delta\",\"signature\":");
            signature.write_for_client(out);
            out.extend_from_slice(b"}}\n\n");
        }
        (BlockKind::Text, Delta::Citation { url: Some(url), title, cited }) => {
            begin(b"content_block_delta", index, out);
            out.extend_from_slice(b"\"delta\":{\"type\":\"citations_delta\",\"citation\":");
            write_citation(url, title.as_ref(), cited.as_ref(), out);
            out.extend_from_slice(b"}}\n\n");
        }
        _ => {}
    }
}

fn write_text_delta(index: u32, kind: &str, member: &str, text: &Text<'_>, out: &mut Vec<u8>) {
    begin(b"content_block_delta", index, out);
    let _ = write!(out, "\"delta\":{{\"type\":\"{kind}\",\"{member}\":");
    text.write(out);
    out.extend_from_slice(b"}}\n\n");
}

/// What stands around the text of a custom call, so that its input is an object.
fn write_custom_edge(index: u32, escaped: &[u8], out: &mut Vec<u8>) {
    begin_input(index, out);
    out.extend_from_slice(escaped);
    out.extend_from_slice(b"\"}}\n\n");
}

fn begin_input(index: u32, out: &mut Vec<u8>) {
    begin(b"content_block_delta", index, out);
    out.extend_from_slice(b"\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"");
}

fn write_stop(index: u32, kind: BlockKind, out: &mut Vec<u8>) {
    if kind == BlockKind::CustomCall {
        write_custom_edge(index, br#"\"}"#, out);
    }
    begin(b"content_block_stop", index, out);
    out.pop();
    out.extend_from_slice(b"}\n\n");
}

/// Appends the start of an event of a block: its name, its type and its number, with a comma behind.
fn begin(name: &[u8], index: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name);
    out.extend_from_slice(b"\ndata: {\"type\":\"");
    out.extend_from_slice(name);
    let _ = write!(out, "\",\"index\":{index},");
}

#[cfg(test)]
mod tests;
