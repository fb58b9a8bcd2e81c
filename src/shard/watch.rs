//! What is done with a body on its way: nothing, looking for what it says of itself, or putting it into another dialect.
//! Chosen once for an answer. Never lets a cut answer look whole.

mod json_answer;

use std::borrow::Cow;

use self::json_answer::JsonAnswer;

use super::call::Call;
use super::collection::{Collection, Reads};
use super::naming::Naming;
use super::stream::{Tail, Watcher};
use crate::base::Span;
use crate::base::fault::FaultKind;
use crate::base::limits::TRANSLATED_BYTES_MAX;
use crate::config::Server;
use crate::dialect::batches::billed::{self, Billed};
use crate::dialect::batches::{Api, Results};
use crate::dialect::belongings;
use crate::dialect::bill::Bill;
use crate::dialect::endpoint::{Endpoint, Grammar};
use crate::dialect::middle::{ErrorKind, ProviderError, Rules};
use crate::dialect::translate::{self, StreamFault, Translation};
use crate::dialect::{errors, estimate, facts};
use crate::ledger::usage::Usage;
use crate::wire::json::{self, Node};

/// What is learnt from a body on its way, or made of it.
pub enum Watch {
    Nothing,
    /// The events of a stream that passes in its own dialect.
    Events(Box<Watcher>),
    /// The events of a stream in another dialect than the client's.
    Translated(Box<translate::Stream>),
    /// A whole answer in another dialect, collected until it can be translated.
    Whole(Box<Whole>),
    /// A whole answer about files or batches, collected until its ids can be named after their provider.
    Named(Box<Named>),
    /// The lines of a batch's results in another dialect.
    Results(Box<Results>),
    /// A content that passes, in which results of a batch may stand.
    Content(Box<billed::Lines>),
    /// Where the lines of any other stream end.
    Tail(Tail),
    /// The usage in a JSON answer, and what it says beside.
    Json(JsonAnswer),
    /// The same of a response that the provider keeps for a tenant, and the ids in it.
    Kept(Box<Kept>),
}

/// A whole answer in another dialect.
#[derive(Default)]
pub struct Whole {
    body: Vec<u8>,
    /// The model that it names.
    model: String,
    /// Tokens of what it says, about, where it states no usage.
    tokens: u64,
    has_surplus: bool,
    /// The provider answered with an error, or with what is no answer.
    pub error: Option<Box<ProviderError>>,
}

/// A JSON answer of the Responses API, as far as it has passed: ids stand anywhere in it.
#[derive(Default)]
pub struct Kept {
    body: Vec<u8>,
    bill: Bill,
    ids: Vec<String>,
    /// The model that it names.
    model: String,
    /// Tokens of what it says, about, where it states no usage.
    tokens: u64,
    is_whole: bool,
    is_too_large: bool,
}

impl Kept {
    fn take(&mut self, turn: &Turn<'_>, members: &mut Vec<json::Member>, usage: &mut Usage) {
        for data in turn.spans.iter().map(|span| span.of(turn.input)) {
            self.bill.take(Grammar::Responses, data, usage);
            self.is_too_large |= self.body.len() + data.len() > TRANSLATED_BYTES_MAX;
            if !self.is_too_large {
                self.body.extend_from_slice(data);
            }
        }
        if turn.is_end && !self.is_too_large && json::scan_object(&self.body, members).is_ok() {
            self.is_whole = true;
            let document = Node::scanned(&self.body);
            self.model = document.get("model").and_then(Node::text).unwrap_or_default().into_owned();
            self.ids = belongings::of_response(document);
            if let Some(stated) = document.get(facts::answer_keys(Grammar::Responses)[0]) {
                usage.merge(facts::read_usage(Grammar::Responses, stated.raw()));
            }
            if !usage.is_known() {
                self.tokens = estimate::tokens_of_answer(&self.body);
            }
        }
    }
}

impl Whole {
    /// All of it is here: it is translated, or it is an error.
    fn finish(&mut self, translation: &Translation, usage: &mut Usage, stage: &mut Vec<u8>) {
        let body = std::mem::take(&mut self.body);
        match translation.answer(&body, stage) {
            Ok(answered) => {
                usage.merge(answered.usage);
                (self.has_surplus, self.model) = (answered.has_surplus, answered.model);
                if !usage.is_known() {
                    self.tokens = estimate::tokens_of_answer(&body);
                }
            }
            Err(error) => self.error = Some(error),
        }
    }
}

/// A whole answer about files or batches.
pub struct Named {
    body: Vec<u8>,
    naming: Naming,
    reads: Reads,
    rules: Rules,
    is_json: bool,
    /// Answers among the results that were shown.
    found: Vec<Billed>,
    /// The batch has no results that could be shown.
    pub error: Option<Box<ProviderError>>,
}

impl Named {
    fn new(naming: Naming, reads: Reads, rules: &Rules) -> Named {
        Named {
            body: Vec::new(),
            naming,
            reads,
            rules: rules.clone(),
            is_json: false,
            found: Vec::new(),
            error: None,
        }
    }

    fn take(
        &mut self,
        turn: &Turn<'_>,
        members: &mut Vec<json::Member>,
        stage: &mut Vec<u8>,
    ) -> Result<(), FaultKind> {
        turn.spans.iter().for_each(|span| self.body.extend_from_slice(span.of(turn.input)));
        if self.body.len() > TRANSLATED_BYTES_MAX {
            return Err(FaultKind::EventTooLarge);
        }
        if turn.is_end {
            self.finish(members, stage);
        }
        Ok(())
    }

    /// Writes the answer with our ids. What is no JSON has none in it.
    fn finish(&mut self, members: &mut Vec<json::Member>, stage: &mut Vec<u8>) {
        self.is_json = json::scan_object(&self.body, members).is_ok();
        match (self.is_json, self.reads) {
            (false, _) => stage.append(&mut self.body),
            (true, Reads::Results(api, form)) => {
                match api.write_results(Node::scanned(&self.body), form, &self.rules, stage) {
                    Some(found) => self.found = found,
                    None => self.error = Some(Box::new(no_results())),
                }
            }
            (true, reads) => self.naming.write(reads, &self.body, stage),
        }
    }
}

/// There are no results to be had of a batch.
pub fn no_results() -> ProviderError {
    ProviderError {
        kind: ErrorKind::NotFound,
        status: 404,
        message: "The batch has no results: it is not over, or it has failed.".to_owned(),
        code: Some("no_results".to_owned()),
        param: None,
    }
}

/// The data of one turn.
pub struct Turn<'a> {
    pub input: &'a [u8],
    pub spans: &'a [Span],
    /// The body ends with it.
    pub is_end: bool,
}

impl Watch {
    /// Chooses by what the answer is.
    pub fn choose(server: &Server, call: &Call, is_stream: bool, is_success: bool) -> Watch {
        let grammar = call.endpoint.grammar().unwrap_or_default();
        let is_known = call.endpoint != Endpoint::Other && is_success;
        if let (Some(translation), true) = (&call.translation, is_success) {
            return match is_stream {
                true => Watch::Translated(Box::new(translation.stream(server.event_bytes_max))),
                false => Watch::Whole(Box::default()),
            };
        }
        if let Some(collection) = &call.collection {
            return Watch::of_collection(collection, call, server, is_success);
        }
        if call.owner.is_some() && is_success && !is_stream {
            return Watch::Kept(Box::default());
        }
        let streams = call.endpoint.streams() || call.endpoint == Endpoint::GenerateStream;
        match (is_stream, is_known) {
            (true, true) if streams => {
                let mut watcher = Watcher::new(grammar, call.hides_usage, server.event_bytes_max);
                watcher.wants_ids = call.owner.is_some();
                Watch::Events(Box::new(watcher))
            }
            (true, _) => Watch::Tail(Tail::default()),
            (false, true) => Watch::Json(JsonAnswer::new(grammar, &call.target.model)),
            (false, false) => Watch::Nothing,
        }
    }

    fn of_collection(collection: &Collection, call: &Call, server: &Server, is_success: bool) -> Watch {
        match collection.reads {
            _ if !is_success => Watch::Nothing,
            Reads::Content => Watch::Content(Box::new(billed::Lines::new(server.event_bytes_max))),
            Reads::Results(Api::Messages, form) => {
                let rules = call.target.upstream.provider.rules.clone();
                Watch::Results(Box::new(Results::new(form, rules, server.event_bytes_max)))
            }
            reads => {
                let rules = &call.target.upstream.provider.rules;
                Watch::Named(Box::new(Named::new(collection.naming.clone(), reads, rules)))
            }
        }
    }

    /// What leaves stands in the stage, not in the provider's bytes.
    pub fn is_staged(&self) -> bool {
        matches!(
            self,
            Watch::Events(_) | Watch::Translated(_) | Watch::Whole(_) | Watch::Named(_) | Watch::Results(_)
        )
    }

    /// The whole answer leaves at once, when it is complete.
    pub fn is_whole(&self) -> bool {
        matches!(self, Watch::Whole(_) | Watch::Named(_))
    }

    /// The content tells a cut from the end, where the framing does not.
    pub fn tells_its_end(&self) -> bool {
        !matches!(self, Watch::Nothing | Watch::Tail(_) | Watch::Results(_) | Watch::Content(_))
    }

    /// The body states usage.
    pub fn reads_usage(&self) -> bool {
        self.tells_its_end() && !matches!(self, Watch::Named(_))
    }

    /// Takes the data of one turn; what leaves for it goes to the stage.
    pub fn take(
        &mut self,
        turn: &Turn<'_>,
        translation: Option<&Translation>,
        members: &mut Vec<json::Member>,
        usage: &mut Usage,
        stage: &mut Vec<u8>,
    ) -> Result<(), FaultKind> {
        let data = || turn.spans.iter().map(|span| span.of(turn.input));
        match self {
            Watch::Nothing => {}
            Watch::Content(lines) => lines.take_all(data(), turn.is_end),
            Watch::Tail(tail) => data().for_each(|data| tail.take(data)),
            Watch::Kept(kept) => kept.take(turn, members, usage),
            Watch::Json(answer) => answer.take(turn, members, usage),
            Watch::Events(watcher) => {
                for data in data() {
                    watcher.take(data, stage).map_err(|_| FaultKind::EventTooLarge)?;
                }
                if turn.is_end {
                    watcher.finish(stage);
                }
            }
            Watch::Translated(stream) => {
                for data in data() {
                    stream.take(data, stage).map_err(of_stream)?;
                }
                if turn.is_end {
                    stream.finish(stage);
                }
            }
            Watch::Results(results) => {
                for data in data() {
                    results.take(data, stage).map_err(|_| FaultKind::EventTooLarge)?;
                }
                if turn.is_end {
                    results.finish(stage);
                }
            }
            Watch::Named(named) => named.take(turn, members, stage)?,
            Watch::Whole(whole) => {
                data().for_each(|data| whole.body.extend_from_slice(data));
                if whole.body.len() > TRANSLATED_BYTES_MAX {
                    return Err(FaultKind::EventTooLarge);
                }
                if let (true, Some(translation)) = (turn.is_end, translation) {
                    whole.finish(translation, usage, stage);
                }
            }
        }
        Ok(())
    }

    /// Answers of a batch that this turn has brought.
    pub fn take_billed(&mut self) -> Vec<Billed> {
        match self {
            Watch::Content(lines) => std::mem::take(&mut lines.found),
            Watch::Results(results) => std::mem::take(&mut results.found),
            Watch::Named(named) => std::mem::take(&mut named.found),
            _ => Vec::new(),
        }
    }

    /// The finished answer in the client's dialect, where it is to be kept: once, in the turn that completed it.
    pub fn take_finished(&mut self, is_end: bool, stage: &[u8]) -> Option<Vec<u8>> {
        match self {
            Watch::Translated(stream) => stream.take_finished(),
            Watch::Whole(whole) if is_end && whole.error.is_none() => Some(stage.to_vec()),
            _ => None,
        }
    }

    /// The ids of kept objects that came with the last turn.
    pub fn take_ids(&mut self) -> Vec<String> {
        match self {
            Watch::Events(watcher) => std::mem::take(&mut watcher.ids),
            Watch::Kept(kept) => std::mem::take(&mut kept.ids),
            _ => Vec::new(),
        }
    }

    /// Whether the end that the framing shows is a good one. `is_until_close` when it shows none.
    pub fn judge_end(&self, is_until_close: bool) -> Result<(), FaultKind> {
        let is_good = match self {
            Watch::Nothing | Watch::Tail(_) | Watch::Content(_) => true,
            Watch::Kept(kept) => kept.is_whole || kept.is_too_large || !is_until_close,
            Watch::Events(watcher) => watcher.has_ended(),
            Watch::Translated(stream) => stream.has_ended,
            // What is no JSON has no answer in it, and that is told as an error.
            Watch::Whole(_) => true,
            // In another dialect there is nothing to show of what is no JSON.
            Watch::Named(named) => named.is_json || (!is_until_close && named.reads == Reads::Objects),
            Watch::Results(results) => results.is_good(),
            // Without a length, the end of the connection may be a cut: the JSON tells.
            Watch::Json(answer) => answer.ended_well() || !is_until_close,
        };
        if is_good { Ok(()) } else { Err(FaultKind::ClosedInAnswer) }
    }

    /// The stream's own end, or an error in its place, was seen: what follows is framing.
    pub fn is_at_its_end(&self) -> bool {
        match self {
            Watch::Events(watcher) => watcher.is_done || watcher.has_error,
            Watch::Translated(stream) => stream.has_ended,
            _ => false,
        }
    }

    /// Events of a stream so far; each holds about a token.
    pub fn events_seen(&self) -> Option<u64> {
        match self {
            Watch::Events(watcher) => Some(watcher.events_count),
            Watch::Translated(stream) => Some(stream.events_count),
            _ => None,
        }
    }

    /// About how many tokens an answer said that is no stream and states no usage.
    pub fn tokens_said(&self) -> Option<u64> {
        match self {
            Watch::Json(answer) => Some(answer.tokens),
            Watch::Whole(whole) => Some(whole.tokens),
            Watch::Kept(kept) => Some(kept.tokens),
            _ => None,
        }
    }

    /// Whether arguments of a call went on behind their object, which is all that the client got.
    pub fn has_surplus(&self) -> bool {
        match self {
            Watch::Translated(stream) => stream.has_surplus,
            Watch::Whole(whole) => whole.has_surplus,
            _ => false,
        }
    }

    /// Adds to the usage what the body has stated by its end.
    pub fn state_usage(&self, usage: &mut Usage) {
        match self {
            Watch::Events(watcher) => usage.merge(watcher.usage),
            Watch::Translated(stream) => usage.merge(stream.usage),
            Watch::Json(answer) => answer.state_usage(usage),
            _ => {}
        }
    }

    /// The model that the answer has named so far, mostly only where it is not the one that was asked for; empty for none.
    pub fn answered_model(&self) -> Cow<'_, str> {
        match self {
            Watch::Events(watcher) => (&*watcher.model).into(),
            Watch::Translated(stream) => (&*stream.model).into(),
            Watch::Whole(whole) => (&*whole.model).into(),
            Watch::Json(answer) => answer.other_model(),
            Watch::Kept(kept) => (&*kept.model).into(),
            _ => Cow::default(),
        }
    }

    /// The provider's own error in an answer that began well.
    pub fn has_error(&self) -> bool {
        match self {
            Watch::Events(watcher) => watcher.has_error,
            Watch::Translated(stream) => stream.has_error,
            _ => false,
        }
    }

    /// Writes the event that tells the client that its stream ends here although it should not.
    pub fn fail(&mut self, grammar: Grammar, refusal: &crate::base::Refusal, id: &[u8], out: &mut Vec<u8>) {
        let error = errors::of_refusal(refusal);
        match self {
            Watch::Translated(stream) => return stream.fail(error, out),
            Watch::Tail(tail) => out.extend_from_slice(tail.missing_end()),
            _ => {}
        }
        facts::write_error_event(grammar, &error, &String::from_utf8_lossy(id), out);
    }
}

fn of_stream(fault: StreamFault) -> FaultKind {
    match fault {
        StreamFault::EventTooLarge => FaultKind::EventTooLarge,
        StreamFault::Malformed => FaultKind::Malformed,
    }
}
