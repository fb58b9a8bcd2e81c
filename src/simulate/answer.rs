//! From a request's body to an answer: the dialect's own question, the same script for all, the dialect's own words.

use serde_json::Value;

use super::behaviour::Behaviour;
use super::dialect::{Ask, Dialect, Task};
use super::messages;
use super::openai::{self, Asked};
use super::script::Script;

/// What is sent, before anything goes wrong on purpose.
pub struct Answer {
    pub status: u16,
    pub media: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
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
        Answer {
            status: 200,
            media: "application/json",
            headers: headers(Dialect::Chat),
            body: Body::Whole(body),
        }
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
    answer(ask, failing(ask, body, &asked.behaviour))
}

fn told(ask: &Ask, body: &[u8], parsed: &Value) -> (Behaviour, Answer) {
    let mut question = messages::question(parsed);
    question.input_bytes = body.len();
    let behaviour = Behaviour::of(&question.user_text, parsed.get("sim").cloned());
    if let Some(refused) = refused(ask, &behaviour) {
        return (behaviour, refused);
    }
    let script = Script::new(&question, &behaviour.wishes, body);
    let body = match ask.task {
        Task::CountTokens => Body::Whole(messages::token_count(&script)),
        Task::Answer if question.streams => Body::Stream(messages::events(&script)),
        _ => Body::Whole(messages::whole(&script)),
    };
    let body = failing(ask, body, &behaviour);
    (behaviour, answer(ask, body))
}

/// A good answer with the headers of its dialect.
fn answer(ask: &Ask, body: Body) -> Answer {
    let media = match body {
        Body::Whole(_) => "application/json",
        Body::Stream(_) => "text/event-stream; charset=utf-8",
    };
    Answer { status: 200, media, headers: headers(ask.dialect), body }
}

fn headers(dialect: Dialect) -> &'static [(&'static str, &'static str)] {
    match dialect {
        Dialect::Messages => {
            &[("request-id", "req_simulated"), ("anthropic-ratelimit-requests-remaining", "9999")]
        }
        _ => &[("x-request-id", "req_simulated"), ("x-ratelimit-remaining-requests", "9999")],
    }
}

/// The error that was asked for in the place of an answer.
fn refused(ask: &Ask, behaviour: &Behaviour) -> Option<Answer> {
    let status = behaviour.status.filter(|&status| status != 200)?;
    Some(error(ask.dialect, status, FAULT))
}

fn no_object(ask: &Ask) -> (Behaviour, Answer) {
    (Behaviour::default(), error(ask.dialect, 400, "The body is not a JSON object."))
}

/// An error in the dialect's own shape.
pub fn error(dialect: Dialect, status: u16, message: &str) -> Answer {
    let body = match dialect {
        Dialect::Messages => messages::error(status, message),
        _ => openai::error(status, message),
    };
    Answer { status, media: "application/json", headers: headers(dialect), body: Body::Whole(body) }
}

/// A stream that ends early with the dialect's own error, where that was asked for.
fn failing(ask: &Ask, body: Body, behaviour: &Behaviour) -> Body {
    let Some(after) = behaviour.error_after else { return body };
    let Body::Stream(mut events) = body else { return body };
    // The end of a whole stream never stands before an error.
    events.truncate(after.min(events.len().saturating_sub(1)));
    let (status, message) = (behaviour.error_status.unwrap_or(STATUS_OVERLOADED), FAULT);
    events.push(match ask.dialect {
        Dialect::Messages => messages::error_event(status, message),
        _ => openai::error_event(status, message),
    });
    Body::Stream(events)
}

const FAULT: &str = "A fault that was asked for.";
const STATUS_OVERLOADED: u16 = 529;
