//! A client's stream of this dialect: every event is a whole response with what is new. What a response can only hold whole
//! (calls) is kept until it is; reasons to end and counts stand in the last response. Nothing follows an error.

use super::super::middle::{Block, Delta, Event, FinishReason, Place, ProviderError, Start, Text, Told};
use super::error::write_error;
use super::logprobs::write_logprobs;
use super::spelling::{member_raw, separate};
use super::usage::write_usage;
use super::write_parts::{
    Call, add_source, begin_text, end_candidate, end_text, write_flat, write_names, write_sources,
    write_whole,
};
use super::{signature, write_parts};
use crate::ledger::usage::Usage;
use crate::wire::json::Node;

/// How responses are strung together: `alt=sse` in the path, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Sse,
    /// One JSON array, an element at a time.
    Array,
}

/// Writes the client's stream, framing included.
pub struct StreamWriter {
    told: Told,
    framing: Framing,
    /// The members that end every response, each behind a comma, and its closing brace.
    tail: Vec<u8>,
    open: Vec<(Place, Open)>,
    ends: Vec<End>,
    usage: Usage,
    scratch: Vec<u8>,
    /// An element of the array was written.
    has_written: bool,
    is_over: bool,
}

/// A block that is open.
enum Open {
    Text,
    Thought,
    Call(Call),
    /// All of it has come; it waits for those that were opened before it.
    WholeCall(Call),
    /// Written whole, or not at all.
    Done,
}

/// What a candidate's last response will hold.
struct End {
    choice: u32,
    reason: Option<FinishReason>,
    sources: Vec<u8>,
}

impl StreamWriter {
    pub fn new(told: Told, framing: Framing) -> StreamWriter {
        let mut writer = StreamWriter {
            told,
            framing,
            tail: Vec::new(),
            open: Vec::new(),
            ends: Vec::new(),
            usage: Usage::default(),
            scratch: Vec::new(),
            has_written: false,
            is_over: false,
        };
        writer.name(&Start::default());
        writer
    }

    /// What keeps a silent SSE connection alive: an event without any line, which is none. Not a comment, as elsewhere:
    /// Google's SDKs for Go and Python take every line that is neither empty nor `data:` for a broken answer. An array has
    /// nothing of the kind: see [`StreamWriter::keep_alive`].
    pub const KEEP_ALIVE: &'static [u8] = b"\r\n\r\n";

    /// What keeps a silent connection alive in this framing.
    pub fn keep_alive(&self) -> &'static [u8] {
        match self.framing {
            Framing::Sse => Self::KEEP_ALIVE,
            Framing::Array => b"",
        }
    }

    pub fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.is_over {
            return;
        }
        match event {
            Event::Start(start) => self.name(start),
            Event::Open { at, block } => self.open(*at, block, out),
            Event::Delta { at, delta } => self.delta(*at, delta, out),
            Event::Close { at } => self.close(*at, out),
            Event::Finish { choice, finish } => self.end_of(*choice).reason = Some(finish.reason),
            Event::Usage(usage) => self.usage.merge(*usage),
            Event::Ping => out.extend_from_slice(self.keep_alive()),
            Event::Surplus => {}
            Event::Error(error) => self.fail(error, out),
            Event::End => self.end(out),
        }
    }

    fn name(&mut self, start: &Start<'_>) {
        // A digit in front stands for the members before, so that the first of these gets its comma.
        self.tail.clear();
        self.tail.push(b'0');
        write_names(start, &self.told, &mut self.tail);
        self.tail.remove(0);
        self.tail.push(b'}');
    }

    fn open(&mut self, at: Place, block: &Block<'_>, out: &mut Vec<u8>) {
        let open = match block {
            Block::Text | Block::Refusal => Open::Text,
            Block::Thinking => Open::Thought,
            Block::ToolCall { id, name, is_custom, signature } => {
                Open::Call(Call::new(id, name, *is_custom, signature.as_ref()))
            }
            Block::HiddenThinking { .. } | Block::Media { .. } | Block::Foreign { .. } => {
                self.scratch.clear();
                write_whole(block, &mut self.scratch);
                if !self.scratch.is_empty() {
                    self.begin(out);
                    out.extend_from_slice(&self.scratch);
                    self.end_response(at, out);
                }
                Open::Done
            }
        };
        self.open.push((at, open));
    }

    fn delta(&mut self, at: Place, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let Some((_, open)) = self.open.iter_mut().find(|(place, _)| *place == at) else { return };
        let is_thought = matches!(open, Open::Thought);
        match (delta, open) {
            (Delta::Text(text), Open::Text | Open::Thought) => {
                self.begin(out);
                write_text(text, is_thought, b"", out);
                self.end_response(at, out);
            }
            (Delta::Arguments(arguments), Open::Call(call)) => arguments.write_escaped(&mut call.arguments),
            (Delta::Signature(given), Open::Text | Open::Thought) => {
                self.scratch.clear();
                signature::write_for_client(given, &mut self.scratch);
                self.begin(out);
                write_text(&Text::default(), is_thought, &self.scratch, out);
                self.end_response(at, out);
            }
            (Delta::Citation { url, title, .. }, _) => {
                add_source(url.as_ref(), title.as_ref(), &mut self.end_of(at.choice).sources);
            }
            (Delta::Logprobs(list), _) => {
                self.begin(out);
                write_text(&Text::default(), false, b"", out);
                out.extend_from_slice(b"],\"role\":\"model\"}");
                self.scratch.clear();
                write_logprobs(Node::scanned(list), &mut self.scratch);
                out.push(b',');
                write_flat(&self.scratch, out);
                end_candidate(at.choice, None, out);
                out.push(b']');
                self.end_element(out);
            }
            _ => {}
        }
    }

    fn close(&mut self, at: Place, out: &mut Vec<u8>) {
        let Some(index) = self.open.iter().position(|(place, _)| *place == at) else { return };
        if let (_, Open::Call(call)) = self.open.remove(index) {
            self.open.insert(index, (at, Open::WholeCall(call)));
            self.write_calls(at.choice, out);
        }
    }

    /// Calls leave in the order in which they were opened, as they stand in a whole answer.
    fn write_calls(&mut self, choice: u32, out: &mut Vec<u8>) {
        let is_call = |open: &Open| matches!(open, Open::Call(_) | Open::WholeCall(_));
        let first = |(place, open): &(Place, Open)| place.choice == choice && is_call(open);
        while let Some(index) = self.open.iter().position(first)
            && let (at, Open::WholeCall(call)) = &self.open[index]
        {
            let (at, mut part) = (*at, Vec::new());
            call.write(&mut part);
            self.open.remove(index);
            self.begin(out);
            out.extend_from_slice(&part);
            self.end_response(at, out);
        }
    }

    /// The last response: why each candidate ended, and the counts.
    fn end(&mut self, out: &mut Vec<u8>) {
        self.is_over = true;
        self.ends.sort_by_key(|end| end.choice);
        let ends = std::mem::take(&mut self.ends);
        if !ends.is_empty() || self.usage.is_known() {
            self.begin_element(out);
            out.push(b'{');
            if !ends.is_empty() {
                write_parts_of_end(&ends, out);
            }
            write_usage(&self.usage, out);
            self.end_element(out);
        }
        if self.framing == Framing::Array {
            out.extend_from_slice(if self.has_written { b"]" } else { b"[]" });
        }
    }

    /// The error, and nothing behind it: an array stays open, so that it is not taken for a whole one.
    fn fail(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        self.is_over = true;
        self.begin_element(out);
        write_error(error, "", out);
        self.end_framing(out);
    }

    fn end_of(&mut self, choice: u32) -> &mut End {
        let known = self.ends.iter().position(|end| end.choice == choice);
        let index = known.unwrap_or_else(|| {
            self.ends.push(End { choice, reason: None, sources: Vec::new() });
            self.ends.len() - 1
        });
        &mut self.ends[index]
    }

    /// Begins a response of one candidate, up to its parts.
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.begin_element(out);
        out.extend_from_slice(b"{\"candidates\":[{\"content\":{\"parts\":[");
    }

    fn end_response(&mut self, at: Place, out: &mut Vec<u8>) {
        out.extend_from_slice(b"],\"role\":\"model\"}");
        end_candidate(at.choice, None, out);
        out.push(b']');
        self.end_element(out);
    }

    fn begin_element(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self.framing, self.has_written) {
            (Framing::Sse, _) => b"data: ",
            (Framing::Array, false) => b"[",
            (Framing::Array, true) => b",\r\n",
        });
        self.has_written = true;
    }

    fn end_element(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tail);
        self.end_framing(out);
    }

    fn end_framing(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.framing {
            Framing::Sse => b"\r\n\r\n".as_slice(),
            Framing::Array => b"\r\n",
        });
    }
}

fn write_parts_of_end(ends: &[End], out: &mut Vec<u8>) {
    write_parts::begin_candidates(out);
    for end in ends {
        separate(out);
        out.push(b'{');
        // SDKs read the parts of every candidate.
        member_raw("content", b"{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"}", out);
        write_sources(&end.sources, out);
        end_candidate(end.choice, end.reason, out);
    }
    out.push(b']');
}

fn write_text(text: &Text<'_>, is_thought: bool, signature: &[u8], out: &mut Vec<u8>) {
    begin_text(out);
    out.extend_from_slice(text.as_escaped());
    out.push(b'"');
    end_text(is_thought, signature, out);
}

#[cfg(test)]
mod tests;
