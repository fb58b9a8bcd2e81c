//! A provider's answer into events, whole or as a stream. Every element of a stream is a whole response that holds what is
//! new; blocks are made here. The end of the input is the only terminal: it counts when every candidate has said why it
//! ended.

use super::super::middle::{Event, Finish, FinishReason, ProviderError, Rules, Stage, Start, Text};
use super::error::{of_server, read_error};
use super::read_candidate::{Candidate, Shared};
use super::spelling::{camel_bytes, field};
use super::usage::{read_usage, set_searches};
use crate::ledger::usage::Usage;
use crate::wire::json::{Member, Node};

/// Reads a whole answer. One without any candidate that was not blocked is an error: there is nothing that could be given.
pub fn read_answer(body: Node<'_>, rules: &Rules, emit: &mut dyn FnMut(Event<'_>)) {
    let mut state = State::new(rules);
    if body.items().next().is_some() {
        body.items().for_each(|element| state.response(element, emit));
    } else {
        state.response(body, emit);
    }
    // The document is whole, so its candidates are, even those that do not say why they ended.
    state.candidates.iter_mut().for_each(Candidate::end_whole);
    if state.end(emit) == Stage::Open {
        state.fail(of_server("The provider's answer holds no candidates."), emit);
    }
}

/// Reads a provider's stream.
pub struct StreamReader {
    members: Vec<Member>,
    state: State,
}

impl StreamReader {
    pub fn new(rules: &Rules) -> StreamReader {
        StreamReader { members: Vec::new(), state: State::new(rules) }
    }

    /// One element of the stream: a response or an error, alone or in an array of one.
    pub fn event(&mut self, data: &[u8], emit: &mut dyn FnMut(Event<'_>)) {
        let data = data.trim_ascii();
        let inside = data.strip_prefix(b"[").and_then(|data| data.strip_suffix(b"]"));
        let data = inside.map_or(data, <[u8]>::trim_ascii);
        // Gateways in between end streams as the chat dialect does.
        if self.state.is_over || matches!(data, b"" | b"DONE") {
            return;
        }
        match Node::document(data, &mut self.members) {
            Ok(response) => self.state.response(response, emit),
            Err(_) => self.state.fail(of_server("The provider sent an event that is no JSON object."), emit),
        }
    }

    /// The stream's bytes have ended. Reasons to end are kept until here, because more text may follow the first one.
    pub fn end(&mut self, emit: &mut dyn FnMut(Event<'_>)) -> Stage {
        self.state.end(emit)
    }
}

struct State {
    shared: Shared,
    candidates: Vec<Candidate>,
    usage: Usage,
    has_started: bool,
    /// The prompt was refused: there will be no candidates.
    is_blocked: bool,
    /// The end was told, or an error.
    is_over: bool,
}

/// The members of a response that matter.
#[derive(Default)]
struct Response<'d> {
    candidates: Option<Node<'d>>,
    feedback: Option<Node<'d>>,
    usage: Option<Node<'d>>,
    id: Text<'d>,
    model: Text<'d>,
    has_error: bool,
    is_known: bool,
}

impl<'d> Response<'d> {
    fn of(response: Node<'d>) -> Response<'d> {
        let mut found = Response::default();
        for (key, value) in response.members().filter(|(_, value)| !value.is_null()) {
            let text = || value.escaped().map(Text::escaped).unwrap_or_default();
            match &*camel_bytes(&key) {
                b"candidates" => found.candidates = Some(value),
                b"promptFeedback" => found.feedback = Some(value),
                b"usageMetadata" => found.usage = Some(value),
                b"responseId" => found.id = text(),
                b"modelVersion" => found.model = text(),
                b"error" => found.has_error = true,
                _ => continue,
            }
            found.is_known = true;
        }
        found
    }
}

impl State {
    fn new(rules: &Rules) -> State {
        State {
            shared: Shared::of_vendor(rules.vendor.clone()),
            candidates: Vec::new(),
            usage: Usage::default(),
            has_started: false,
            is_blocked: false,
            is_over: false,
        }
    }

    fn response(&mut self, response: Node<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if self.is_over {
            return;
        }
        let found = Response::of(response);
        if found.has_error
            && let Some(error) = read_error(response)
        {
            return self.fail(error, emit);
        }
        if !found.is_known {
            return;
        }
        self.start(&found, emit);
        for (position, candidate) in found.candidates.into_iter().flat_map(Node::items).enumerate() {
            if let Err(error) = self.candidate(candidate, position, emit) {
                return self.fail(error, emit);
            }
        }
        let is_blocked = |feedback| {
            field(feedback, "blockReason").or_else(|| field(feedback, "blockReasonMessage")).is_some()
        };
        self.is_blocked |= found.feedback.is_some_and(is_blocked);
        let before = self.usage;
        if let Some(usage) = found.usage.map(read_usage) {
            self.usage.merge(usage);
        }
        set_searches(self.candidates.iter().map(|candidate| candidate.searches).sum(), &mut self.usage);
        if self.usage != before && self.usage.is_known() {
            emit(Event::Usage(self.usage));
        }
    }

    fn start(&mut self, found: &Response<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if self.has_started {
            return;
        }
        self.has_started = true;
        self.shared.id = found.id.clone().into_owned();
        emit(Event::Start(Start { id: found.id.clone(), model: found.model.clone(), created_s: None }));
    }

    fn candidate(
        &mut self,
        candidate: Node<'_>,
        position: usize,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), ProviderError> {
        let index = field(candidate, "index").and_then(Node::u64);
        let choice = index.and_then(|index| u32::try_from(index).ok()).unwrap_or(position as u32);
        let place = self.candidates.iter().position(|known| known.choice == choice);
        let place = place.unwrap_or_else(|| {
            self.candidates.push(Candidate::new(choice));
            self.candidates.len() - 1
        });
        self.candidates[place].read(candidate, &mut self.shared, emit)
    }

    fn fail(&mut self, error: ProviderError, emit: &mut dyn FnMut(Event<'_>)) {
        self.is_over = true;
        emit(Event::Error(Box::new(error)));
    }

    fn end(&mut self, emit: &mut dyn FnMut(Event<'_>)) -> Stage {
        if self.is_over {
            return Stage::Ended;
        }
        if self.is_blocked {
            if self.candidates.is_empty() {
                self.candidates.push(Candidate::new(0));
            }
            let unfinished = self.candidates.iter_mut().filter(|candidate| candidate.finish.is_none());
            unfinished.for_each(|candidate| candidate.finish = Some(FinishReason::ContentFilter));
        }
        let has_all = self.candidates.iter().all(|candidate| candidate.finish.is_some());
        if self.candidates.is_empty() || !has_all {
            return Stage::Open;
        }
        for candidate in &mut self.candidates {
            candidate.close(emit);
            if let Some(reason) = candidate.reason() {
                let finish = Finish { reason, stop_sequence: None };
                emit(Event::Finish { choice: candidate.choice, finish });
            }
        }
        self.is_over = true;
        if self.usage.is_known() {
            emit(Event::Usage(self.usage));
        }
        emit(Event::End);
        Stage::Ended
    }
}

#[cfg(test)]
mod tests;
