//! A client's whole answer of this dialect, out of the same events as a stream.

use super::super::middle::{Block, Delta, Event, FinishReason, Place, Start, Told};
use super::logprobs::write_logprobs;
use super::signature;
use super::spelling::separate;
use super::usage::write_usage;
use super::write_parts::{
    Call, add_source, begin_candidates, begin_text, end_candidate, end_text, write_names, write_sources,
    write_whole,
};
use crate::ledger::usage::Usage;
use crate::wire::json::Node;

/// Collects the events of a whole answer and writes the client's document.
pub struct AnswerWriter {
    told: Told,
    start: Start<'static>,
    blocks: Vec<(Place, Held)>,
    choices: Vec<Choice>,
    usage: Usage,
}

/// A block as far as it is known.
enum Held {
    Text {
        is_thought: bool,
        escaped: Vec<u8>,
        signature: Vec<u8>,
    },
    Call(Call),
    /// A part that came whole; empty when it has no place here.
    Whole(Vec<u8>),
}

/// What stands beside a candidate's parts.
struct Choice {
    number: u32,
    reason: Option<FinishReason>,
    sources: Vec<u8>,
    /// Lists of the chat dialect, one behind the other.
    logprobs: Vec<u8>,
}

impl AnswerWriter {
    pub fn new(told: Told) -> AnswerWriter {
        let (start, usage) = (Start::default(), Usage::default());
        AnswerWriter { told, start, blocks: Vec::new(), choices: Vec::new(), usage }
    }

    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(start) => {
                self.start = Start {
                    id: start.id.clone().into_owned(),
                    model: start.model.clone().into_owned(),
                    created_s: start.created_s,
                };
            }
            Event::Open { at, block } => {
                self.choice(at.choice);
                self.blocks.push((*at, Held::of(block)));
            }
            Event::Delta { at, delta } => self.delta(*at, delta),
            Event::Finish { choice, finish } => self.choice(*choice).reason = Some(finish.reason),
            Event::Usage(usage) => self.usage.merge(*usage),
            Event::Close { .. } | Event::Error(_) | Event::Ping | Event::Surplus | Event::End => {}
        }
    }

    fn delta(&mut self, at: Place, delta: &Delta<'_>) {
        match delta {
            Delta::Citation { url, title, .. } => {
                add_source(url.as_ref(), title.as_ref(), &mut self.choice(at.choice).sources);
                return;
            }
            Delta::Logprobs(list) => {
                let logprobs = &mut self.choice(at.choice).logprobs;
                for token in Node::scanned(list).items() {
                    separate(logprobs);
                    logprobs.extend_from_slice(token.raw());
                }
                return;
            }
            _ => {}
        }
        let Some((_, held)) = self.blocks.iter_mut().rfind(|(place, _)| *place == at) else { return };
        match (delta, held) {
            (Delta::Text(text), Held::Text { escaped, .. }) => escaped.extend_from_slice(text.as_escaped()),
            (Delta::Signature(given), Held::Text { signature, .. }) => {
                signature.clear();
                signature::write_for_client(given, signature);
            }
            (Delta::Arguments(arguments), Held::Call(call)) => arguments.write_escaped(&mut call.arguments),
            _ => {}
        }
    }

    fn choice(&mut self, number: u32) -> &mut Choice {
        let known = self.choices.iter().position(|choice| choice.number == number);
        let index = known.unwrap_or_else(|| {
            let (sources, logprobs) = (Vec::new(), Vec::new());
            self.choices.push(Choice { number, reason: None, sources, logprobs });
            self.choices.len() - 1
        });
        &mut self.choices[index]
    }

    /// Appends the JSON document.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.choices.sort_by_key(|choice| choice.number);
        self.blocks.sort_by_key(|(at, _)| (at.choice, at.block));
        out.push(b'{');
        begin_candidates(out);
        for choice in &self.choices {
            separate(out);
            out.extend_from_slice(b"{\"content\":{\"parts\":[");
            for (_, held) in self.blocks.iter().filter(|(at, _)| at.choice == choice.number) {
                held.write(out);
            }
            out.extend_from_slice(b"],\"role\":\"model\"}");
            write_sources(&choice.sources, out);
            if !choice.logprobs.is_empty() {
                let list = [b"[", &choice.logprobs[..], b"]"].concat();
                write_logprobs(Node::scanned(&list), out);
            }
            end_candidate(choice.number, choice.reason, out);
        }
        out.push(b']');
        write_usage(&self.usage, out);
        write_names(&self.start, &self.told, out);
        out.push(b'}');
    }
}

impl Held {
    fn of(block: &Block<'_>) -> Held {
        match block {
            Block::Text | Block::Refusal | Block::Thinking => Held::Text {
                is_thought: *block == Block::Thinking,
                escaped: Vec::new(),
                signature: Vec::new(),
            },
            Block::ToolCall { id, name, is_custom, signature } => {
                Held::Call(Call::new(id, name, *is_custom, signature.as_ref()))
            }
            Block::HiddenThinking { .. } | Block::Media { .. } | Block::Foreign { .. } => {
                let mut part = Vec::new();
                write_whole(block, &mut part);
                Held::Whole(part)
            }
        }
    }

    /// Writes the part, if there is anything in it.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Held::Text { escaped, signature, .. } if escaped.is_empty() && signature.is_empty() => {}
            Held::Text { is_thought, escaped, signature } => {
                begin_text(out);
                out.extend_from_slice(escaped);
                out.push(b'"');
                end_text(*is_thought, signature, out);
            }
            Held::Call(call) => {
                separate(out);
                call.write(out);
            }
            Held::Whole(part) if part.is_empty() => {}
            Held::Whole(part) => {
                separate(out);
                out.extend_from_slice(part);
            }
        }
    }
}

#[cfg(test)]
mod tests;
