//! Writes a client's stream: chunks in the order of the events, `[DONE]` behind a good end only. What the dialect has no
//! word for is left out.

use super::error::write_error;
use super::usage::write_usage;
use super::write_pieces::{
    reason, write_audio, write_call_head, write_call_input, write_call_signature, write_citation, write_head,
    write_image, write_logprobs, write_number,
};
use super::write_request::text_member;
use crate::dialect::middle::{Block, Delta, Event, Finish, Place, ProviderError, Start, Text, Told};
use crate::ledger::usage::Usage;

/// Writes the stream of one answer.
#[derive(Debug)]
pub struct StreamWriter {
    told: Told,
    /// What every chunk begins with, up to its choice's delta.
    prefix: Vec<u8>,
    choices: Vec<Choice>,
    open: Vec<Open>,
    usage: Usage,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Choice {
    index: u32,
    has_role: bool,
    calls_count: u32,
    /// Entries so far of the lists that only extensions have.
    thinking_count: u32,
    sources_count: u32,
    images_count: u32,
}

/// An open block, as its deltas need it.
#[derive(Debug)]
struct Open {
    at: Place,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Refusal,
    Thinking,
    Call { number: u32, is_custom: bool, has_arguments: bool },
}

impl StreamWriter {
    /// A comment, which every reader of server-sent events leaves out (WHATWG HTML §9.2.6).
    pub const KEEP_ALIVE: &'static [u8] = b": keep-alive\n\n";

    pub fn new(told: Told) -> StreamWriter {
        let (choices, open) = (Vec::new(), Vec::new());
        let mut writer =
            StreamWriter { told, prefix: Vec::new(), choices, open, usage: Usage::default(), is_over: false };
        writer.start(&Start::default());
        writer
    }

    /// Appends what the event says, framing included.
    pub fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.is_over {
            return;
        }
        match event {
            Event::Start(start) => self.start(start),
            Event::Open { at, block } => self.open(*at, block, out),
            Event::Delta { at, delta } => self.delta(*at, delta, out),
            Event::Close { at } => self.close(*at, out),
            Event::Finish { choice, finish } => self.finish(*choice, finish, out),
            Event::Usage(usage) => self.usage.merge(*usage),
            Event::Error(error) => self.error(error, out),
            Event::Ping => out.extend_from_slice(StreamWriter::KEEP_ALIVE),
            Event::Surplus => {}
            Event::End => self.end(out),
        }
    }

    fn start(&mut self, start: &Start<'_>) {
        let prefix = &mut self.prefix;
        prefix.clear();
        prefix.extend_from_slice(b"data: {\"id\":");
        write_head(start, &self.told, "chat.completion.chunk", prefix);
        prefix.extend_from_slice(b",\"choices\":[");
    }

    fn open(&mut self, at: Place, block: &Block<'_>, out: &mut Vec<u8>) {
        let kind = match block {
            Block::Text => Kind::Text,
            Block::Refusal => Kind::Refusal,
            Block::Thinking => Kind::Thinking,
            Block::ToolCall { id, name, is_custom, signature } => {
                let number = self.choice(at.choice).calls_count;
                self.choice(at.choice).calls_count += 1;
                self.begin(at.choice, out);
                write_call_head(Some(number), id, name, *is_custom, out);
                out.extend_from_slice(if *is_custom { b",\"input\":\"\"}" } else { b",\"arguments\":\"\"}" });
                if let Some(signature) = signature {
                    write_call_signature(signature, out);
                }
                out.extend_from_slice(b"}]");
                finish_chunk(out);
                Kind::Call { number, is_custom: *is_custom, has_arguments: false }
            }
            Block::HiddenThinking { data } => {
                self.begin(at.choice, out);
                out.extend_from_slice(b"\"thinking_blocks\":[{\"type\":\"redacted_thinking\",\"data\":");
                data.write_for_client(out);
                out.push(b'}');
                return end_list(&mut self.choice(at.choice).thinking_count, out);
            }
            Block::Media { kind, base64 } if kind.as_escaped().starts_with(b"audio") => {
                self.begin(at.choice, out);
                out.extend_from_slice(b"\"audio\":");
                write_audio(base64, &self.told, out);
                return finish_chunk(out);
            }
            Block::Media { kind, base64 } => {
                self.begin(at.choice, out);
                out.extend_from_slice(b"\"images\":[");
                write_image(kind, base64, out);
                return end_list(&mut self.choice(at.choice).images_count, out);
            }
            Block::Foreign { .. } => return,
        };
        self.open.push(Open { at, kind });
    }

    fn delta(&mut self, at: Place, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let Some(number) = self.open.iter().position(|open| open.at == at) else { return };
        let kind = self.open[number].kind;
        match (delta, kind) {
            (Delta::Text(text), Kind::Text) => self.text(at, "content", text, out),
            (Delta::Text(text), Kind::Refusal) => self.text(at, "refusal", text, out),
            (Delta::Text(text), Kind::Thinking) => self.text(at, "reasoning_content", text, out),
            (Delta::Arguments(piece), Kind::Call { number: call, is_custom, .. }) => {
                self.open[number].kind = Kind::Call { number: call, is_custom, has_arguments: true };
                self.begin(at.choice, out);
                write_call_input(call, is_custom, out);
                piece.write_escaped(out);
                out.extend_from_slice(b"\"}}]");
                finish_chunk(out);
            }
            (Delta::Signature(signature), _) => {
                self.begin(at.choice, out);
                out.extend_from_slice(
                    b"\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":",
                );
                signature.write_for_client(out);
                out.push(b'}');
                end_list(&mut self.choice(at.choice).thinking_count, out);
            }
            (Delta::Citation { url: Some(url), title, cited }, _) => {
                self.begin(at.choice, out);
                out.extend_from_slice(b"\"annotations\":[");
                write_citation(url, title.as_ref(), cited.as_ref(), out);
                end_list(&mut self.choice(at.choice).sources_count, out);
            }
            (Delta::Logprobs(raw), kind) => {
                self.begin_without(at.choice, out);
                out.extend_from_slice(b"},\"logprobs\":");
                write_logprobs(raw, matches!(kind, Kind::Refusal), out);
                out.extend_from_slice(b",\"finish_reason\":null}]}\n\n");
            }
            _ => {}
        }
    }

    fn text(&mut self, at: Place, key: &str, text: &Text<'_>, out: &mut Vec<u8>) {
        self.begin(at.choice, out);
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        text.write(out);
        finish_chunk(out);
    }

    fn close(&mut self, at: Place, out: &mut Vec<u8>) {
        let Some(number) = self.open.iter().position(|open| open.at == at) else { return };
        let open = self.open.remove(number);
        if let Kind::Call { number, is_custom: false, has_arguments: false } = open.kind {
            self.begin(at.choice, out);
            write_call_input(number, false, out);
            out.extend_from_slice(b"{}\"}}]");
            finish_chunk(out);
        }
    }

    fn finish(&mut self, choice: u32, finish: &Finish<'_>, out: &mut Vec<u8>) {
        self.begin_without(choice, out);
        out.extend_from_slice(b"},\"finish_reason\":\"");
        out.extend_from_slice(reason(finish.reason).as_bytes());
        out.push(b'"');
        if let Some(sequence) = &finish.stop_sequence {
            // As a server of open models names it.
            text_member("stop_reason", sequence, out);
        }
        out.extend_from_slice(b"}]}\n\n");
    }

    fn error(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        self.is_over = true;
        out.extend_from_slice(b"data: ");
        write_error(error, &self.told.id, out);
        out.extend_from_slice(b"\n\n");
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.is_over = true;
        if self.told.include_usage && self.usage.is_known() {
            out.extend_from_slice(&self.prefix);
            out.extend_from_slice(b"],\"usage\":");
            write_usage(&self.usage, out);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// Begins a chunk up to the first member of its delta. The first of a choice names the role.
    fn begin(&mut self, index: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(b"{\"index\":");
        write_number(index, out);
        out.extend_from_slice(b",\"delta\":{");
        let choice = self.choice(index);
        if !choice.has_role {
            choice.has_role = true;
            out.extend_from_slice(b"\"role\":\"assistant\",");
        }
    }

    /// Begins a chunk whose delta says nothing.
    fn begin_without(&mut self, index: u32, out: &mut Vec<u8>) {
        let is_first = !self.choice(index).has_role;
        self.begin(index, out);
        if is_first {
            out.extend_from_slice(b"\"content\":\"\"");
        }
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let known = self.choices.iter().position(|choice| choice.index == index);
        let at = known.unwrap_or_else(|| {
            self.choices.push(Choice { index, ..Choice::default() });
            self.choices.len() - 1
        });
        &mut self.choices[at]
    }
}

/// Ends a chunk behind the entry of a list, and counts it. Clients put the lists of deltas together by the entries' `index`, and
/// OpenAI's SDK takes none without.
fn end_list(count: &mut u32, out: &mut Vec<u8>) {
    let brace = out.pop();
    debug_assert_eq!(brace, Some(b'}'), "an entry is an object");
    out.extend_from_slice(b",\"index\":");
    write_number(*count, out);
    *count += 1;
    out.extend_from_slice(b"}]");
    finish_chunk(out);
}

/// Ends a chunk behind the last member of its delta.
fn finish_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"},\"finish_reason\":null}]}\n\n");
}

#[cfg(test)]
mod tests;
