//! Faults of every provider in the words of every caller: errors in the place of an answer and inside of one, answers that
//! were cut, answers that stall.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::cases::asking;
use super::report;
use super::world::{Client, How, Line, Provider, World, data, events};
use crate::support::*;

#[test]
fn every_caller_gets_every_providers_faults_in_its_own_words() {
    let world = World::start(1, "");
    let mut line = world.line(0);
    let (ran, mut failures) = (AtomicUsize::new(0), Vec::new());
    for client in Client::ALL {
        for provider in Provider::ALL {
            for (fault, want) in FAULTS {
                for how in [How::Whole, How::Stream].into_iter().filter(|how| want.comes(*how)) {
                    ran.fetch_add(1, Ordering::Relaxed);
                    let answer = ask(&mut line, client, provider, how, fault);
                    let mut found = Vec::new();
                    match provider.is_same(client) {
                        true => want.judge_passed(client, &answer, &mut found),
                        false => want.judge(client, &answer, &mut found),
                    }
                    failures.extend(
                        found
                            .into_iter()
                            .map(|what| format!("{fault}, {client:?} to {provider:?}, {how:?}: {what}")),
                    );
                }
            }
        }
    }
    report("faults", &ran, &failures);
}

/// What a silent provider's caller hears meanwhile is of its own dialect.
#[test]
fn a_stream_that_stalls_is_kept_alive_in_the_callers_words() {
    let world = World::start(1, "server: {keep_alive_interval: 50ms}");
    let line = world.line(0);
    for client in Client::ALL {
        for provider in Provider::ALL {
            let talk = asking("Hello? [[sim events=9 stall=body]]");
            let (path, body) = client.ask(&talk, &line.model(provider, "m"), How::Stream);
            let mut link = line.own_link();
            link.send(&post(&path, &body.to_string()));
            let sign = match client {
                Client::Chat | Client::Responses => ": keep-alive\n\n",
                Client::Messages => "event: ping\n",
                // Blank lines in a chunk of their own: Google's SDKs know no comments.
                Client::Gemini => "4\r\n\r\n\r\n\r\n",
            };
            // The first ping may be the one behind the start of a message.
            for _ in 0..3 {
                link.read_until(sign);
            }
        }
    }
}

fn ask(line: &mut Line, client: Client, provider: Provider, how: How, fault: &str) -> Answer {
    let talk = asking(&format!("Hello? [[sim {fault}]]"));
    let (path, body) = client.ask(&talk, &line.model(provider, "m"), how);
    line.call(&path, &body)
}

enum Fault {
    /// An error in the place of the answer, with this status for the caller.
    Error(u16),
    /// The same, with a pause that the provider asks for.
    Pause(u16, &'static str),
    /// An error in the place of a stream's first event: there is still a status to say it.
    Late(u16),
    /// An error behind some events.
    Inside(u16),
    /// An error behind more than what is held back.
    Deep,
    /// The provider's connection ends in the middle of a stream, or of an answer.
    CutStream,
    CutAnswer,
}

const FAULTS: &[(&str, Fault)] = &[
    ("status=400", Fault::Error(400)),
    ("status=401", Fault::Error(502)),
    ("status=404", Fault::Error(404)),
    ("status=429", Fault::Error(429)),
    ("status=429 retry_after=17", Fault::Pause(429, "17")),
    ("status=500", Fault::Error(502)),
    ("status=503 retry_after=3", Fault::Pause(503, "3")),
    ("events=6 error_after_events=0 error_status=429", Fault::Late(429)),
    ("status=529", Fault::Error(503)),
    ("events=6 error_after_events=4 error_status=429", Fault::Inside(429)),
    ("tools=1 thinking=3 events=6 error_after_events=6 error_status=500", Fault::Inside(502)),
    // More than one read, so that the beginning has left when the error comes.
    ("events=900 error_after_events=800 error_status=529", Fault::Deep),
    ("events=900 error_after_events=800 error_status=429", Fault::Deep),
    ("events=900 cut_after_events=800", Fault::CutStream),
    ("events=900 reset_after_events=800 half", Fault::CutStream),
    ("events=6 cut_after_events=4", Fault::CutStream),
    ("events=6 cut_after_events=5 half", Fault::CutStream),
    ("events=6 reset_after_events=4", Fault::CutStream),
    ("cut_after_bytes=60", Fault::CutAnswer),
];

impl Fault {
    /// Whether it can come in an answer of this kind.
    fn comes(&self, how: How) -> bool {
        match self {
            Fault::Error(_) | Fault::Pause(..) => true,
            Fault::Late(_) | Fault::Inside(_) | Fault::Deep | Fault::CutStream => how == How::Stream,
            Fault::CutAnswer => how == How::Whole,
        }
    }

    fn judge(&self, client: Client, answer: &Answer, found: &mut Vec<String>) {
        match self {
            Fault::Error(status) | Fault::Late(status) => refused(client, *status, answer, found),
            Fault::Pause(status, seconds) => {
                refused(client, *status, answer, found);
                if answer.header("retry-after").as_deref() != Some(seconds) {
                    found.push(format!("retry-after is {:?}", answer.header("retry-after")));
                }
            }
            // Where nothing has left yet, a status says it better.
            Fault::Inside(status) if answer.status != 200 => refused(client, *status, answer, found),
            Fault::CutStream if answer.status != 200 => refused(client, 502, answer, found),
            Fault::Inside(_) | Fault::Deep | Fault::CutStream => broken(client, answer, found),
            Fault::CutAnswer => refused(client, 502, answer, found),
        }
    }

    /// An answer that is not translated keeps the provider's own status and words.
    fn judge_passed(&self, client: Client, answer: &Answer, found: &mut Vec<String>) {
        match self {
            Fault::Error(502) if answer.status == 500 => {}
            Fault::Error(503) if answer.status == 529 => {}
            Fault::Error(status) | Fault::Pause(status, _) if answer.status == *status => {
                let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                if !body["error"]["message"].is_string() {
                    found.push(format!("no error: {body}"));
                }
            }
            Fault::Late(_) => broken(client, answer, found),
            _ => self.judge(client, answer, found),
        }
    }
}

/// The error answer in the caller's envelope.
pub fn refused(client: Client, status: u16, answer: &Answer, found: &mut Vec<String>) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status != status || !is_error(client, &body, status) {
        found.push(format!("want an error of {status}, got {} {}", answer.status, answer.text()));
    }
}

fn is_error(client: Client, body: &Value, status: u16) -> bool {
    let error = &body["error"];
    let says = error["message"].as_str().is_some_and(|message| !message.is_empty());
    let word = match client {
        Client::Chat | Client::Responses => match status {
            400 => "invalid_request_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            _ => "upstream_error",
        },
        Client::Messages => match status {
            400 => "invalid_request_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            503 => "overloaded_error",
            _ => "api_error",
        },
        Client::Gemini => match status {
            400 => "INVALID_ARGUMENT",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            _ => "INTERNAL",
        },
    };
    says && match client {
        Client::Chat | Client::Responses => {
            error["type"] == word && error.get("code").is_some() && error.get("param").is_some()
        }
        Client::Messages => body["type"] == "error" && error["type"] == word,
        Client::Gemini => error["status"] == word && error["code"] == status,
    }
}

/// A stream that ends in the caller's error event and in nothing that looks like a good end.
pub fn broken(client: Client, answer: &Answer, found: &mut Vec<String>) {
    let text = answer.text();
    let good_ends = match client {
        Client::Chat => ["[DONE]", "\"finish_reason\":\"stop\""],
        Client::Responses => ["response.completed", "response.incomplete"],
        Client::Messages => ["message_stop", "message_delta"],
        Client::Gemini => ["finishReason", "\r\n]"],
    };
    if answer.status != 200 || good_ends.iter().any(|end| text.contains(end)) {
        return found.push(format!("it ended as a whole one: {} {text}", answer.status));
    }
    let last = match events(&text) {
        Ok(events) => events.last().map(data),
        Err(sentence) => return found.push(sentence),
    };
    let last = last.and_then(Result::ok).unwrap_or_default();
    let is_error = match client {
        Client::Chat | Client::Gemini => last.get("error").is_some_and(Value::is_object),
        Client::Messages => last["type"] == "error" && last["error"]["type"].is_string(),
        Client::Responses => {
            last["type"] == "error"
                || last["type"] == "response.failed" && last["response"]["status"] == "failed"
        }
    };
    if !is_error || last == json!(null) {
        found.push(format!("it ends in {last}"));
    }
}
