//! The readers and writers of all grammars behind one name each: the choice is made when a conversation begins.

use crate::dialect::endpoint::Grammar;
use crate::dialect::middle::{Event, Rules, Stage, Told};
use crate::dialect::{chat, converse, gemini, messages, responses};
use crate::wire::json::Node;

/// Reads a whole answer of the provider.
pub(super) fn read_answer(grammar: Grammar, body: Node<'_>, rules: &Rules, emit: &mut dyn FnMut(Event<'_>)) {
    match grammar {
        Grammar::Chat => chat::read_answer(body, rules, emit),
        Grammar::Responses => responses::read_answer(body, rules, emit),
        Grammar::Messages => messages::read_answer(body, rules, emit),
        Grammar::Gemini => gemini::read_answer(body, rules, emit),
        Grammar::Converse => converse::read_answer(body, rules, emit),
    }
}

/// Writes a whole answer for the client.
pub(super) enum AnswerVoice {
    Chat(chat::AnswerWriter),
    Responses(responses::AnswerWriter),
    Messages(messages::AnswerWriter),
    Gemini(gemini::AnswerWriter),
}

impl AnswerVoice {
    pub(super) fn new(grammar: Grammar, told: Told) -> AnswerVoice {
        match grammar {
            Grammar::Chat => AnswerVoice::Chat(chat::AnswerWriter::new(told)),
            Grammar::Responses => AnswerVoice::Responses(responses::AnswerWriter::new(told)),
            Grammar::Messages => AnswerVoice::Messages(messages::AnswerWriter::new(told)),
            Grammar::Gemini => AnswerVoice::Gemini(gemini::AnswerWriter::new(told)),
            Grammar::Converse => unreachable!("no client speaks it"),
        }
    }

    pub(super) fn event(&mut self, event: &Event<'_>) {
        match self {
            AnswerVoice::Chat(writer) => writer.event(event),
            AnswerVoice::Responses(writer) => writer.event(event),
            AnswerVoice::Messages(writer) => writer.event(event),
            AnswerVoice::Gemini(writer) => writer.event(event),
        }
    }

    pub(super) fn finish(self, out: &mut Vec<u8>) {
        match self {
            AnswerVoice::Chat(writer) => writer.finish(out),
            AnswerVoice::Responses(writer) => writer.finish(out),
            AnswerVoice::Messages(writer) => writer.finish(out),
            AnswerVoice::Gemini(writer) => writer.finish(out),
        }
    }
}

/// Reads a provider's stream.
pub(super) enum Ear {
    Chat(chat::StreamReader),
    Responses(responses::StreamReader),
    Messages(messages::StreamReader),
    Gemini(gemini::StreamReader),
    Converse(converse::StreamReader),
}

impl Ear {
    pub(super) fn new(grammar: Grammar, rules: &Rules) -> Ear {
        match grammar {
            Grammar::Chat => Ear::Chat(chat::StreamReader::new(rules)),
            Grammar::Responses => Ear::Responses(responses::StreamReader::new(rules)),
            Grammar::Messages => Ear::Messages(messages::StreamReader::new(rules)),
            Grammar::Gemini => Ear::Gemini(gemini::StreamReader::new(rules)),
            Grammar::Converse => Ear::Converse(converse::StreamReader::new(rules)),
        }
    }

    /// The data of one server-sent event.
    pub(super) fn event(&mut self, data: &[u8], emit: &mut dyn FnMut(Event<'_>)) {
        match self {
            Ear::Chat(reader) => reader.event(data, emit),
            Ear::Responses(reader) => reader.event(data, emit),
            Ear::Messages(reader) => reader.event(data, emit),
            Ear::Gemini(reader) => reader.event(data, emit),
            Ear::Converse(_) => {}
        }
    }

    /// One frame of an event stream.
    pub(super) fn frame(
        &mut self,
        kind: &str,
        is_exception: bool,
        payload: &[u8],
        emit: &mut dyn FnMut(Event<'_>),
    ) {
        match (self, is_exception) {
            (Ear::Converse(reader), false) => reader.event(kind, payload, emit),
            (Ear::Converse(reader), true) => reader.exception(kind, payload, emit),
            _ => {}
        }
    }

    pub(super) fn end(&mut self, emit: &mut dyn FnMut(Event<'_>)) -> Stage {
        match self {
            Ear::Chat(reader) => reader.end(emit),
            Ear::Responses(reader) => reader.end(emit),
            Ear::Messages(reader) => reader.end(emit),
            Ear::Gemini(reader) => reader.end(emit),
            Ear::Converse(reader) => reader.end(emit),
        }
    }
}

/// Writes the client's stream.
pub(super) enum Voice {
    Chat(chat::StreamWriter),
    Responses(responses::StreamWriter),
    Messages(messages::StreamWriter),
    Gemini(gemini::StreamWriter),
}

impl Voice {
    pub(super) fn new(grammar: Grammar, as_array: bool, told: Told) -> Voice {
        match grammar {
            Grammar::Chat => Voice::Chat(chat::StreamWriter::new(told)),
            Grammar::Responses => Voice::Responses(responses::StreamWriter::new(told)),
            Grammar::Messages => Voice::Messages(messages::StreamWriter::new(told)),
            Grammar::Gemini => {
                let framing = if as_array { gemini::Framing::Array } else { gemini::Framing::Sse };
                Voice::Gemini(gemini::StreamWriter::new(told, framing))
            }
            Grammar::Converse => unreachable!("no client speaks it"),
        }
    }

    pub(super) fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match self {
            Voice::Chat(writer) => writer.event(event, out),
            Voice::Responses(writer) => writer.event(event, out),
            Voice::Messages(writer) => writer.event(event, out),
            Voice::Gemini(writer) => writer.event(event, out),
        }
    }
}

impl Voice {
    /// The finished answer, where it is to be kept.
    pub(super) fn take_finished(&mut self) -> Option<Vec<u8>> {
        match self {
            Voice::Responses(writer) => writer.take_finished(),
            _ => None,
        }
    }
}

/// What keeps a silent stream of this grammar alive.
pub fn keep_alive(grammar: Grammar, as_array: bool) -> &'static [u8] {
    match grammar {
        Grammar::Chat => chat::StreamWriter::KEEP_ALIVE,
        Grammar::Responses => responses::StreamWriter::KEEP_ALIVE,
        Grammar::Messages => messages::StreamWriter::KEEP_ALIVE,
        Grammar::Gemini if !as_array => gemini::StreamWriter::KEEP_ALIVE,
        _ => b"",
    }
}
