//! From a request's body to an answer: the dialect's own question, the same script for all, the dialect's own words.

use serde_json::Value;

use super::behaviour::Behaviour;
use super::dialect::{Ask, Dialect, Task};
use super::openai::{self, Asked};
use super::script::Script;
use super::{converse, gemini, messages, responses};

/// What is sent, before anything goes wrong on purpose.
pub struct Answer {
    pub status: u16,
    pub media: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
    /// The header that names an error, where the dialect has one.
    pub error_type: Option<&'static str>,
    pub body: Body,
}

pub enum Body {
    Whole(Vec<u8>),
    /// Events, each with its framing.
    Stream(Vec<Vec<u8>>),
}

impl Answer {
    /// A good answer in OpenAI's way.
    pub fn json(body: Vec<u8>) -> Answer {
        let headers = headers(Dialect::Chat);
        Answer { status: 200, media: "application/json", headers, error_type: None, body: Body::Whole(body) }
    }
}

/// The answer to a request, and how to bring it.
pub fn of(ask: &Ask, body: &[u8]) -> (Behaviour, Answer) {
    match ask.dialect {
        Dialect::Chat | Dialect::Completions | Dialect::Embeddings => {
            let Some(asked) = Asked::read(body) else { return no_object(ask) };
            let behaviour = asked.behaviour.clone();
            let answer = refused(ask, &behaviour).unwrap_or_else(|| openai_answer(ask, &asked));
            (behaviour, answer)
        }
        _ => {
            let parsed: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
            let Some(parsed) = parsed else { return no_object(ask) };
            told(ask, body, &parsed)
        }
    }
}

fn openai_answer(ask: &Ask, asked: &Asked<'_>) -> Answer {
    let streams = asked.streams() && ask.task == Task::Answer;
    let body = match (ask.dialect, streams) {
        (Dialect::Chat, true) => Body::Stream(asked.chat_events()),
        (Dialect::Chat, false) => Body::Whole(asked.chat()),
        (Dialect::Completions, true) => Body::Stream(asked.completion_events()),
        (Dialect::Completions, false) => Body::Whole(asked.completion()),
        _ => Body::Whole(asked.embeddings()),
    };
    answer(ask, failing(ask, body, &asked.behaviour, None))
}

fn told(ask: &Ask, body: &[u8], parsed: &Value) -> (Behaviour, Answer) {
    let mut question = match ask.dialect {
        Dialect::Messages => messages::question(parsed),
        Dialect::Responses => responses::question(parsed),
        Dialect::Gemini => gemini::question(parsed),
        _ => converse::question(parsed),
    };
    question.input_bytes = body.len();
    if let Some(model) = &ask.model {
        question.model.clone_from(model);
    }
    let behaviour = Behaviour::of(&question.user_text, parsed.get("sim").cloned());
    if let Some(refused) = refused(ask, &behaviour) {
        return (behaviour, refused);
    }
    let script = Script::new(&question, &behaviour.wishes, body);
    let streams = question.streams;
    let failure = behaviour.error_after.map(|_| behaviour.error_status.unwrap_or(STATUS_OVERLOADED));
    let body = match (ask.dialect, ask.task) {
        (Dialect::Messages, Task::CountTokens) => Body::Whole(messages::token_count(&script)),
        (Dialect::Messages, _) if streams => Body::Stream(messages::events(&script)),
        (Dialect::Messages, _) => Body::Whole(messages::whole(&script)),
        (Dialect::Responses, _) if streams => Body::Stream(responses::events(&script, parsed)),
        (Dialect::Responses, _) => Body::Whole(responses::whole(&script, parsed, failure)),
        (Dialect::Gemini, Task::CountTokens) => Body::Whole(gemini::token_count(&script)),
        (Dialect::Gemini, Task::Stream | Task::ArrayStream) => {
            Body::Stream(gemini::events(&script, ask.task))
        }
        (Dialect::Gemini, _) => Body::Whole(gemini::whole(&script)),
        (_, Task::Stream) => Body::Stream(converse::events(&script)),
        _ => Body::Whole(converse::whole(&script)),
    };
    let body = failing(ask, body, &behaviour, Some((&script, parsed)));
    (behaviour, answer(ask, body))
}

/// A good answer with the headers of its dialect.
fn answer(ask: &Ask, body: Body) -> Answer {
    let media = match (&body, ask.dialect, ask.task) {
        (Body::Whole(_), Dialect::Gemini, _) | (_, _, Task::ArrayStream) => "application/json; charset=UTF-8",
        (Body::Whole(_), ..) => "application/json",
        (Body::Stream(_), Dialect::Converse, _) => "application/vnd.amazon.eventstream",
        (Body::Stream(_), Dialect::Gemini, _) => "text/event-stream",
        (Body::Stream(_), ..) => "text/event-stream; charset=utf-8",
    };
    Answer { status: 200, media, headers: headers(ask.dialect), error_type: None, body }
}

fn headers(dialect: Dialect) -> &'static [(&'static str, &'static str)] {
    match dialect {
        Dialect::Messages => {
            &[("request-id", "req_simulated"), ("anthropic-ratelimit-requests-remaining", "9999")]
        }
        Dialect::Gemini => &[],
        Dialect::Converse => &[("x-amzn-requestid", "req_simulated")],
        _ => &[("x-request-id", "req_simulated"), ("x-ratelimit-remaining-requests", "9999")],
    }
}

/// The error that was asked for in the place of an answer.
fn refused(ask: &Ask, behaviour: &Behaviour) -> Option<Answer> {
    let status = behaviour.status.filter(|&status| status != 200)?;
    let retry_after = behaviour.retry_after.as_deref();
    Some(error(ask.dialect, status, FAULT, retry_after))
}

fn no_object(ask: &Ask) -> (Behaviour, Answer) {
    (Behaviour::default(), error(ask.dialect, 400, "The body is not a JSON object.", None))
}

/// An error in the dialect's own shape.
pub fn error(dialect: Dialect, status: u16, message: &str, retry_after: Option<&str>) -> Answer {
    let body = match dialect {
        Dialect::Messages => messages::error(status, message),
        Dialect::Gemini => gemini::error(status, message, retry_after),
        Dialect::Converse => converse::error(message),
        _ => openai::error(status, message),
    };
    let error_type = (dialect == Dialect::Converse).then(|| converse::error_type(status));
    Answer {
        status,
        media: "application/json",
        headers: headers(dialect),
        error_type,
        body: Body::Whole(body),
    }
}

/// A stream that ends early with the dialect's own error, where that was asked for.
fn failing(ask: &Ask, body: Body, behaviour: &Behaviour, told: Option<(&Script, &Value)>) -> Body {
    let Some(after) = behaviour.error_after else { return body };
    let Body::Stream(mut events) = body else { return body };
    // The end of a whole stream never stands before an error.
    events.truncate(after.min(events.len().saturating_sub(1)));
    let (status, message) = (behaviour.error_status.unwrap_or(STATUS_OVERLOADED), FAULT);
    let end = match (ask.dialect, told) {
        (Dialect::Messages, _) => vec![messages::error_event(status, message)],
        (Dialect::Responses, Some((script, parsed))) => {
            responses::error_events(status, message, events.len(), script, parsed)
        }
        (Dialect::Gemini, _) => gemini::error_events(status, message, ask.task, events.is_empty()),
        (Dialect::Converse, _) => vec![converse::error_event(status, message)],
        _ => vec![openai::error_event(status, message)],
    };
    events.extend(end);
    Body::Stream(events)
}

const FAULT: &str = "A fault that was asked for.";
const STATUS_OVERLOADED: u16 = 529;
