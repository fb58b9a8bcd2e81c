//! What passes in its own dialect, seen as it goes by: usage, the end, errors. And the words with which the gateway ends a
//! stream itself.

use std::borrow::Cow;

use super::endpoint::Grammar;
use super::middle::ProviderError;
use super::openai::{self, EventFacts};
use super::words::{self, Word};
use super::{gemini, messages, responses};
use crate::ledger::usage::Usage;
use crate::wire::json::{self, Kind, Member, Node};

/// The members of an answer that hold its usage and the model that made it.
pub fn answer_keys(grammar: Grammar) -> &'static [&'static str; 2] {
    if grammar == Grammar::Gemini { &["usageMetadata", "modelVersion"] } else { &["usage", "model"] }
}

/// The model that a whole answer names. `members` is a table to work with.
pub fn answered_model<'a>(
    grammar: Grammar,
    answer: &'a [u8],
    members: &mut Vec<Member>,
) -> Option<Cow<'a, str>> {
    let [_, key] = answer_keys(grammar);
    json::first_text(answer, key, members)
}

/// The model that the data of a stream's event names, where it is one of those that do: the first of most dialects.
pub fn model_of_event(grammar: Grammar, data: &[u8], members: &mut Vec<Member>) -> Option<String> {
    let [_, key] = answer_keys(grammar);
    let event = object(data, true, members)?;
    let holder = match grammar {
        Grammar::Messages => event.get("message")?,
        Grammar::Responses => event.get("response")?,
        _ => event,
    };
    holder.get(key).and_then(Node::text).map(Cow::into_owned)
}

/// Reads that member's object.
pub fn read_usage(grammar: Grammar, value: &[u8]) -> Usage {
    match grammar {
        Grammar::Chat => openai::read_usage(value),
        _ => read_scanned_usage(grammar, value, &[]),
    }
}

/// The same of an object that was scanned, with its members.
pub fn read_scanned_usage(grammar: Grammar, value: &[u8], members: &[Member]) -> Usage {
    match grammar {
        Grammar::Chat => openai::read_scanned_usage(value, members),
        Grammar::Responses => responses::read_usage(Node::scanned(value)),
        Grammar::Messages => messages::read_usage(Node::scanned(value)),
        Grammar::Gemini => gemini::read_usage(Node::scanned(value)),
        Grammar::Converse => Usage::default(),
    }
}

/// Looks at the data of one event of a stream. Most events hold none of the words that matter and are told apart by a few
/// searches. `members` is a table to work with.
pub fn read_event(grammar: Grammar, data: &[u8], members: &mut Vec<Member>) -> EventFacts {
    match grammar {
        Grammar::Chat => openai::read_event(data, members),
        Grammar::Messages => of_messages(data, members),
        Grammar::Responses => of_responses(data, members),
        Grammar::Gemini => of_gemini(data, members),
        Grammar::Converse => EventFacts::default(),
    }
}

fn has_any(data: &[u8], words: &[&Word]) -> bool {
    words.iter().any(|word| word.find(data).is_some())
}

/// `message_start` and `message_delta` state usage, `message_stop` is the end.
fn of_messages(data: &[u8], members: &mut Vec<Member>) -> EventFacts {
    let mut facts = EventFacts::default();
    let may_matter = has_any(data, &[&words::MESSAGE, &words::ERROR]);
    let Some(event) = object(data, may_matter, members) else { return facts };
    let kind = event.get("type").and_then(Node::text).unwrap_or_default();
    facts.is_finish = kind == "message_stop";
    facts.is_error = kind == "error";
    let holder = event.get("message").unwrap_or(event);
    facts.usage = holder.get("usage").map(messages::read_usage);
    facts
}

/// `response.completed` and its like carry the whole response with its usage.
fn of_responses(data: &[u8], members: &mut Vec<Member>) -> EventFacts {
    let mut facts = EventFacts::default();
    let words = [&words::COMPLETED, &words::INCOMPLETE, &words::FAILED, &words::ERROR];
    let may_matter = has_any(data, &words);
    let Some(event) = object(data, may_matter, members) else { return facts };
    let kind = event.get("type").and_then(Node::text).unwrap_or_default();
    facts.is_finish = matches!(&*kind, "response.completed" | "response.incomplete");
    facts.is_error = matches!(&*kind, "response.failed" | "error");
    if facts.is_finish || facts.is_error {
        facts.usage = event.get("response").and_then(responses::usage_of);
    }
    facts
}

/// Every chunk may state usage; the last finish reason is followed by the end of the bytes.
fn of_gemini(data: &[u8], members: &mut Vec<Member>) -> EventFacts {
    let mut facts = EventFacts::default();
    let words = [&words::USAGE_METADATA, &words::FINISH, &words::BLOCK, &words::ERROR];
    let may_matter = has_any(data, &words);
    let Some(chunk) = object(data, may_matter, members) else { return facts };
    facts.is_error = chunk.get("error").is_some();
    let mut usage = chunk.get("usageMetadata").map_or_else(Usage::default, gemini::read_usage);
    gemini::count_searches(chunk, &mut usage);
    facts.usage = (usage != Usage::default()).then_some(usage);
    let mut candidates = chunk.get("candidates").into_iter().flat_map(Node::items);
    let is_blocked = chunk.get("promptFeedback").is_some_and(|said| said.get("blockReason").is_some());
    facts.is_finish = is_blocked || candidates.any(|candidate| candidate.get("finishReason").is_some());
    facts
}

fn object<'d>(data: &'d [u8], may_matter: bool, members: &mut Vec<Member>) -> Option<Node<'d>> {
    let is_object = may_matter && json::scan_object(data, members).is_ok();
    is_object.then(|| Node::scanned(data)).filter(|node| node.kind() == Kind::Object)
}

/// Writes the body of an error answer.
pub fn write_error(grammar: Grammar, error: &ProviderError, request_id: &str, out: &mut Vec<u8>) {
    match grammar {
        Grammar::Chat | Grammar::Converse => super::chat::write_error(error, request_id, out),
        Grammar::Responses => responses::write_error(error, request_id, out),
        Grammar::Messages => messages::write_error(error, request_id, out),
        Grammar::Gemini => gemini::write_error(error, request_id, out),
    }
}

/// Writes the event that ends a stream which did not end well.
pub fn write_error_event(grammar: Grammar, error: &ProviderError, request_id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(match grammar {
        Grammar::Messages => &b"event: error\ndata: "[..],
        Grammar::Responses => b"event: error\ndata: ",
        _ => b"data: ",
    });
    if grammar == Grammar::Responses {
        // The API's own event has no envelope.
        out.extend_from_slice(b"{\"type\":\"error\",\"code\":");
        json::write_string(error.code.as_deref().unwrap_or("server_error"), out);
        out.extend_from_slice(b",\"message\":");
        json::write_string(&error.message, out);
        out.extend_from_slice(b",\"param\":null}");
    } else {
        write_error(grammar, error, request_id, out);
    }
    out.extend_from_slice(if grammar == Grammar::Gemini { b"\r\n\r\n" } else { b"\n\n" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::usage::ServerTool;

    fn facts(grammar: Grammar, data: &str) -> EventFacts {
        read_event(grammar, data.as_bytes(), &mut Vec::new())
    }

    #[test]
    fn answers_and_streams_name_the_model_that_made_them() {
        let check = |grammar: Grammar, answer: &str, event: &str, want: Option<&str>| {
            let members = &mut Vec::new();
            assert_eq!(answered_model(grammar, answer.as_bytes(), members).as_deref(), want, "{answer}");
            assert_eq!(model_of_event(grammar, event.as_bytes(), members).as_deref(), want, "{event}");
        };
        let chat = r#"{"id":"1","model":"m-2026","choices":[{"model":"x"}]}"#;
        check(Grammar::Chat, chat, chat, Some("m-2026"));
        let message = r#"{"type":"message","content":[],"model":"m\u00e9"}"#;
        let start = format!(r#"{{"type":"message_start","message":{message}}}"#);
        check(Grammar::Messages, message, &start, Some("m\u{e9}"));
        let response = r#"{"id":"r","output":[{"model":"x"}],"model":"m"}"#;
        let created = format!(r#"{{"type":"response.created","response":{response}}}"#);
        check(Grammar::Responses, response, &created, Some("m"));
        let chunk = r#"{"candidates":[],"modelVersion":"g-001"}"#;
        check(Grammar::Gemini, chunk, chunk, Some("g-001"));
        check(Grammar::Chat, r#"{"model":7}"#, r#"{"choices":[]}"#, None);
    }

    #[test]
    fn an_anthropic_stream_tells_its_usage_twice_and_its_end_once() {
        let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":1}}}"#;
        let start = facts(Grammar::Messages, start);
        assert_eq!(start.usage.and_then(|usage| usage.input), Some(9));
        let delta = facts(Grammar::Messages, r#"{"type":"message_delta","usage":{"output_tokens":7}}"#);
        assert_eq!((delta.usage.and_then(|usage| usage.output), delta.is_finish), (Some(7), false));
        assert!(facts(Grammar::Messages, r#"{"type":"message_stop"}"#).is_finish);
        assert!(facts(Grammar::Messages, r#"{"type":"error","error":{"type":"overloaded_error"}}"#).is_error);
        let text =
            r#"{"type":"content_block_delta","delta":{"text":"{\"type\":\"message_stop\"} \"error\""}}"#;
        assert_eq!(facts(Grammar::Messages, text), EventFacts::default());
    }

    #[test]
    fn a_response_ends_as_completed_incomplete_or_failed() {
        let done =
            r#"{"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":4}}}"#;
        let done = facts(Grammar::Responses, done);
        assert!(done.is_finish && done.usage.is_some_and(|usage| usage.output == Some(4)));
        assert!(facts(Grammar::Responses, r#"{"type":"response.failed","response":{}}"#).is_error);
        assert!(facts(Grammar::Responses, r#"{"type":"error","message":"x"}"#).is_error);
        let text = r#"{"type":"response.output_text.delta","delta":"response.completed"}"#;
        assert_eq!(facts(Grammar::Responses, text), EventFacts::default());
    }

    #[test]
    fn a_gemini_stream_states_usage_on_every_chunk() {
        let chunk = r#"{"candidates":[{"content":{},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":6}}"#;
        let chunk = facts(Grammar::Gemini, chunk);
        assert!(chunk.is_finish && chunk.usage.is_some_and(|usage| usage.input == Some(5)));
        assert!(facts(Grammar::Gemini, r#"{"error":{"code":429}}"#).is_error);
        let searched = r#"{"candidates":[{"finishReason":"STOP","groundingMetadata":{"webSearchQueries":["a","b"]}}],"usageMetadata":{"promptTokenCount":5}}"#;
        let usage = facts(Grammar::Gemini, searched).usage.expect("usage");
        assert_eq!((usage.input, usage.tools.of(ServerTool::WebSearch)), (Some(5), 2));
    }
}
