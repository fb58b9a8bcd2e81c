//! Collects the events of a whole answer and writes the message. Arguments become the object that the dialect demands;
//! those that are none are shown as the text that they are.

use super::arguments;
use super::stop_reason::Ending;
use super::usage::write_usage;
use super::write_stream::{is_image, write_call_head, write_citation, write_head, write_hidden, write_image};
use crate::dialect::middle::{Block, Delta, Event, Start, Told};
use crate::ledger::usage::Usage;
use crate::wire::json;

/// Collects one answer. The dialect has one answer in a message: of several choices the first is written.
pub struct AnswerWriter {
    told: Told,
    /// The members of the head, each followed by a comma.
    head: Vec<u8>,
    blocks: Vec<Collected>,
    usage: Usage,
    ending: Ending,
}

/// A block as far as it has come.
struct Collected {
    block: u32,
    kind: CollectedKind,
    /// A text or arguments, as they are spelled between quotes; a block that came whole.
    content: Vec<u8>,
    /// The citations, each followed by a comma; the head of a call; the signature of a thought, quotes included.
    beside: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CollectedKind {
    Text,
    Thinking,
    ToolCall,
    CustomCall,
    Whole,
}

impl AnswerWriter {
    pub fn new(told: Told) -> AnswerWriter {
        let (head, blocks) = (Vec::new(), Vec::new());
        AnswerWriter { told, head, blocks, usage: Usage::default(), ending: Ending::default() }
    }

    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(start) => {
                self.head.clear();
                write_head(start, &self.told, &mut self.head);
            }
            Event::Open { at, block } if at.choice == 0 => self.open(at.block, block),
            Event::Delta { at, delta } if at.choice == 0 => self.delta(at.block, delta),
            Event::Finish { choice: 0, finish } => {
                self.ending.reason = Some(finish.reason);
                self.ending.stop_sequence =
                    finish.stop_sequence.as_ref().map(|sequence| sequence.as_escaped().to_vec());
            }
            Event::Usage(usage) => self.usage.merge(*usage),
            _ => {}
        }
    }

    /// Appends the message.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        if self.head.is_empty() {
            write_head(&Start::default(), &self.told, &mut self.head);
        }
        out.push(b'{');
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"\"content\":[");
        let begin = out.len();
        for block in &self.blocks {
            let before = out.len();
            block.write(out);
            if out.len() > before {
                out.push(b',');
            }
        }
        if out.len() > begin {
            out.pop();
        }
        out.extend_from_slice(b"],");
        self.ending.write(out);
        out.extend_from_slice(b",\"usage\":");
        write_usage(&self.usage, out);
        out.push(b'}');
    }

    fn open(&mut self, number: u32, block: &Block<'_>) {
        let (mut content, mut beside) = (Vec::new(), Vec::new());
        let kind = match block {
            Block::Text => CollectedKind::Text,
            Block::Refusal => {
                self.ending.has_refusal = true;
                CollectedKind::Text
            }
            Block::Thinking => CollectedKind::Thinking,
            Block::ToolCall { id, name, is_custom, signature } => {
                write_call_head(id, name, signature.as_ref(), &mut beside);
                if *is_custom { CollectedKind::CustomCall } else { CollectedKind::ToolCall }
            }
            Block::HiddenThinking { data } => {
                write_hidden(data, &mut content);
                CollectedKind::Whole
            }
            Block::Media { kind, base64 } if is_image(kind) => {
                write_image(kind, base64, &mut content);
                CollectedKind::Whole
            }
            Block::Media { .. } | Block::Foreign { .. } => return,
        };
        self.blocks.push(Collected { block: number, kind, content, beside });
    }

    fn delta(&mut self, number: u32, delta: &Delta<'_>) {
        let Some(place) = self.blocks.iter().rposition(|block| block.block == number) else { return };
        let block = &mut self.blocks[place];
        match (block.kind, delta) {
            (CollectedKind::Text | CollectedKind::Thinking, Delta::Text(text)) => {
                block.content.extend_from_slice(text.as_escaped());
            }
            (CollectedKind::ToolCall | CollectedKind::CustomCall, Delta::Arguments(piece)) => {
                piece.write_escaped(&mut block.content);
            }
            (CollectedKind::Thinking, Delta::Signature(signature)) => {
                block.beside.clear();
                signature.write_for_client(&mut block.beside);
            }
            // It stands in front of the text in a thought without words: the dialect has no other place for it, and agents
            // take the last block for the answer. That is why a stream, where it comes behind the text, cannot carry it.
            (CollectedKind::Text, Delta::Signature(signature)) => {
                let (kind, content, mut beside) = (CollectedKind::Thinking, Vec::new(), Vec::new());
                signature.write_for_client(&mut beside);
                self.blocks.insert(place, Collected { block: u32::MAX, kind, content, beside });
            }
            (CollectedKind::Text, Delta::Citation { url: Some(url), title, cited }) => {
                write_citation(url, title.as_ref(), cited.as_ref(), &mut block.beside);
                block.beside.push(b',');
            }
            _ => {}
        }
    }
}

impl Collected {
    /// Appends the block. An empty text is none: the API refuses one that comes back.
    fn write(&self, out: &mut Vec<u8>) {
        match self.kind {
            CollectedKind::Text => self.write_text(out),
            CollectedKind::Thinking => self.write_thinking(out),
            CollectedKind::Whole => out.extend_from_slice(&self.content),
            CollectedKind::ToolCall | CollectedKind::CustomCall => self.write_call(out),
        }
    }

    fn write_text(&self, out: &mut Vec<u8>) {
        if self.content.is_empty() {
            return;
        }
        out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"");
        out.extend_from_slice(&self.content);
        out.push(b'"');
        if let Some((_, citations)) = self.beside.split_last() {
            out.extend_from_slice(b",\"citations\":[");
            out.extend_from_slice(citations);
            out.push(b']');
        }
        out.push(b'}');
    }

    fn write_thinking(&self, out: &mut Vec<u8>) {
        if self.content.is_empty() && self.beside.is_empty() {
            return;
        }
        out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":\"");
        out.extend_from_slice(&self.content);
        out.extend_from_slice(b"\",\"signature\":");
        out.extend_from_slice(if self.beside.is_empty() { b"\"\"" } else { &self.beside });
        out.push(b'}');
    }

    fn write_call(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.beside);
        out.extend_from_slice(b"\"input\":");
        let text = json::unescaped(&self.content);
        match (self.kind, arguments::object_in(&text)) {
            (CollectedKind::CustomCall, _) => self.write_content_as("input", out),
            (_, Some(object)) => out.extend_from_slice(object),
            (_, None) => self.write_content_as(arguments::INVALID, out),
        }
        out.push(b'}');
    }

    /// Appends an object with the content as its one text.
    fn write_content_as(&self, key: &str, out: &mut Vec<u8>) {
        out.push(b'{');
        json::write_string(key, out);
        out.extend_from_slice(b":\"");
        out.extend_from_slice(&self.content);
        out.extend_from_slice(b"\"}");
    }
}

#[cfg(test)]
mod tests;
