//! Reads an answer, whole or in chunks: a whole one is a chunk that holds everything. Finish reasons are kept back until
//! the terminal, because some providers send text or a better reason behind the first one.

use super::assemble::{Choice, Emit};
use super::{read_delta, usage};
use crate::dialect::errors;
use crate::dialect::middle::{ErrorKind, Event, FinishReason, ProviderError, Rules, Stage, Start, Text};
use crate::dialect::openai;
use crate::wire::json::{Kind, Member, Node};

/// Reads a whole answer. An answer without choices is an error, whatever its status was.
pub fn read_answer(body: Node<'_>, rules: &Rules, emit: &mut dyn FnMut(Event<'_>)) {
    let mut answer = Answer::new(rules, Form::Whole);
    answer.chunk(body, emit);
    if answer.is_over {
        return;
    }
    if answer.choices.is_empty() {
        let mut error = errors::read(200, body.raw(), None);
        if body.get("message").is_none() && body.get("detail").is_none() {
            error.message = "The provider's answer holds no choices.".to_owned();
        }
        return emit(Event::Error(Box::new(error)));
    }
    answer.done(emit);
}

/// Reads a stream, one event's data at a time.
#[derive(Debug)]
pub struct StreamReader {
    answer: Answer,
    members: Vec<Member>,
}

impl StreamReader {
    pub fn new(rules: &Rules) -> StreamReader {
        StreamReader { answer: Answer::new(rules, Form::Stream), members: Vec::new() }
    }

    /// Reads one event. What comes behind the end is not looked at.
    pub fn event(&mut self, data: &[u8], emit: &mut dyn FnMut(Event<'_>)) {
        let data = data.trim_ascii();
        if self.answer.is_over || data.is_empty() {
            return;
        }
        if data == b"[DONE]" {
            return self.answer.done(emit);
        }
        match Node::document(data, &mut self.members) {
            Ok(chunk) => self.answer.chunk(chunk, emit),
            Err(_) => {
                self.answer.fail(ErrorKind::Server, "The provider sent an event that is no JSON.", emit)
            }
        }
    }

    /// The bytes ended. Several providers never send `[DONE]`: a finish reason for every choice is a terminal too.
    pub fn end(&mut self, emit: &mut dyn FnMut(Event<'_>)) -> Stage {
        let choices = &self.answer.choices;
        let is_finished = !choices.is_empty() && choices.iter().all(|choice| choice.finish.is_some());
        if !self.answer.is_over && is_finished {
            self.answer.done(emit);
        }
        if self.answer.is_over { Stage::Ended } else { Stage::Open }
    }
}

/// An answer while it comes.
#[derive(Debug)]
struct Answer {
    form: Form,
    vendor: String,
    has_think_tags: bool,
    id: Vec<u8>,
    choices: Vec<Choice>,
    has_started: bool,
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Whole,
    Stream,
}

/// The members of a chunk that say something.
#[derive(Default)]
struct Chunk<'d> {
    id: Option<Node<'d>>,
    model: Option<Node<'d>>,
    created: Option<Node<'d>>,
    choices: Option<Node<'d>>,
    usage: Option<Node<'d>>,
    service_tier: Option<Node<'d>>,
    is_error: bool,
}

impl Answer {
    fn new(rules: &Rules, form: Form) -> Answer {
        let vendor = rules.vendor.clone().into_owned();
        let has_think_tags = rules.has_think_tags;
        let (id, choices) = (Vec::new(), Vec::new());
        Answer { form, vendor, has_think_tags, id, choices, has_started: false, is_over: false }
    }

    fn chunk(&mut self, document: Node<'_>, emit: Emit<'_>) {
        let chunk = members(document);
        if chunk.is_error {
            self.is_over = true;
            return emit(Event::Error(Box::new(errors::read(200, document.raw(), None))));
        }
        self.start(&chunk, emit);
        for (position, item) in chunk.choices.into_iter().flat_map(Node::items).enumerate() {
            self.choice(item, position, document, emit);
            if self.is_over {
                return;
            }
        }
        if let Some(value) = chunk.usage {
            let mut usage = usage::read_usage(value);
            usage.mode = chunk.service_tier.and_then(|tier| openai::mode(tier.raw()));
            if usage.is_known() && self.has_started {
                emit(Event::Usage(usage));
            }
        }
    }

    /// The start is given with the first chunk that holds something: the first one of some providers holds neither id nor
    /// model.
    fn start(&mut self, chunk: &Chunk<'_>, emit: Emit<'_>) {
        let has_choices = chunk.choices.is_some_and(|choices| choices.items().next().is_some());
        let text = |node: Option<Node<'_>>| node.and_then(Node::escaped).is_some_and(|text| !text.is_empty());
        if self.has_started || !(has_choices || text(chunk.id) || chunk.usage.is_some()) {
            return;
        }
        self.has_started = true;
        let (id, model) = (chunk.id.and_then(Node::escaped), chunk.model.and_then(Node::escaped));
        self.id.extend_from_slice(id.unwrap_or_default());
        let created_s = chunk.created.and_then(Node::u64);
        let (id, model) = (id.unwrap_or_default(), model.unwrap_or_default());
        emit(Event::Start(Start { id: Text::escaped(id), model: Text::escaped(model), created_s }));
    }

    fn choice(&mut self, item: Node<'_>, position: usize, document: Node<'_>, emit: Emit<'_>) {
        let (mut delta, mut message, mut logprobs, mut finish, mut error) = (None, None, None, None, None);
        let mut index = u32::try_from(position).unwrap_or(u32::MAX);
        for (name, value) in item.members().filter(|(_, value)| !value.is_null()) {
            match &*name {
                b"index" => index = value.u64().and_then(|index| index.try_into().ok()).unwrap_or(index),
                b"delta" => delta = Some(value),
                b"message" => message = Some(value),
                b"logprobs" => logprobs = Some(value),
                b"finish_reason" => finish = value.escaped().filter(|reason| !reason.is_empty()),
                b"error" => error = Some(value),
                _ => {}
            }
        }
        if error.is_some() {
            self.is_over = true;
            return emit(Event::Error(Box::new(errors::read(200, document.raw(), None))));
        }
        let at = self.choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            self.choices.push(Choice::new(index, self.has_think_tags));
            self.choices.len() - 1
        });
        let choice = &mut self.choices[at];
        // Some give the message so far beside every delta, and an empty delta beside the whole message.
        let added = match self.form {
            Form::Whole => message.or(delta),
            Form::Stream => delta.or(message.filter(|_| choice.is_blank())),
        };
        if let Some(added) = added {
            read_delta::add(choice, added, logprobs, &self.vendor, emit);
        }
        match finish.map(ending) {
            None | Some(Ending::NotYet) => {}
            Some(Ending::Reason(reason)) => self.choices[at].finish = Some(reason),
            Some(Ending::Broken(kind)) => self.fail(kind, "The provider broke its answer off.", emit),
        }
    }

    /// The terminal was there.
    fn done(&mut self, emit: Emit<'_>) {
        if self.choices.is_empty() {
            return self.fail(ErrorKind::Server, "The provider ended its stream without an answer.", emit);
        }
        self.choices.sort_by_key(|choice| choice.index);
        let mut is_well = true;
        for choice in &mut self.choices {
            is_well &= choice.finish(&self.id, &self.vendor, emit);
        }
        if !is_well {
            return self.fail(ErrorKind::Server, "The provider sent a tool call without a name.", emit);
        }
        self.is_over = true;
        emit(Event::End);
    }

    #[cold]
    fn fail(&mut self, kind: ErrorKind, message: &str, emit: Emit<'_>) {
        self.is_over = true;
        let status = if kind == ErrorKind::Overloaded { 503 } else { 502 };
        let message = message.to_owned();
        emit(Event::Error(Box::new(ProviderError { kind, status, message, code: None, param: None })));
    }
}

fn members(document: Node<'_>) -> Chunk<'_> {
    let mut chunk = Chunk::default();
    for (name, value) in document.members().filter(|(_, value)| !value.is_null()) {
        match &*name {
            b"id" => chunk.id = Some(value),
            b"model" => chunk.model = Some(value),
            b"created" => chunk.created = Some(value),
            b"choices" => chunk.choices = Some(value),
            b"service_tier" => chunk.service_tier = Some(value),
            b"usage" if value.kind() == Kind::Object => chunk.usage = Some(value),
            b"x_groq" => {
                chunk.usage = chunk.usage.or(value.get("usage").filter(|u| u.kind() == Kind::Object))
            }
            b"error" => {
                chunk.is_error |=
                    value.kind() == Kind::Object || value.escaped().is_some_and(|t| !t.is_empty())
            }
            b"object" | b"type" => chunk.is_error |= value.escaped() == Some(b"error"),
            // One provider reports errors with status 200 in an object of its own.
            b"base_resp" => {
                chunk.is_error |= value.get("status_code").and_then(Node::u64).is_some_and(|code| code != 0)
            }
            _ => {}
        }
    }
    chunk
}

enum Ending {
    NotYet,
    Reason(FinishReason),
    /// The answer is not whole, and nobody calls it an error.
    Broken(ErrorKind),
}

/// The meaning of a finish reason. An unknown one is a stop, because clients know no other words.
fn ending(word: &[u8]) -> Ending {
    Ending::Reason(match word {
        b"null" => return Ending::NotYet,
        b"error" => return Ending::Broken(ErrorKind::Server),
        b"insufficient_system_resource" => return Ending::Broken(ErrorKind::Overloaded),
        b"length" | b"max_tokens" | b"model_length" | b"MAX_TOKENS" => FinishReason::Length,
        b"tool_calls" | b"function_call" | b"tool_use" => FinishReason::ToolCalls,
        b"content_filter" | b"safety" | b"SAFETY" | b"sensitive" => FinishReason::ContentFilter,
        b"refusal" => FinishReason::Refusal,
        b"pause_turn" => FinishReason::Pause,
        b"model_context_window_exceeded" => FinishReason::ContextFull,
        _ => FinishReason::Stop,
    })
}

#[cfg(test)]
mod tests;
