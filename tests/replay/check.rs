//! The checks of one recording and one client.

use std::ops::Range;

use ringway::dialect::endpoint::Grammar;
use ringway::dialect::translate::Translation;
use ringway::ledger::usage::Usage;
use serde_json::Value;

use crate::compare::{compare, compare_counts, compare_cut};
use crate::drive::{self, CUT_OFF, Client, Got, translation};
use crate::framing::{Event, frames, sse};
use crate::said::{Counts, Said, items, text};
use crate::shelf::Recording;
use crate::signatures::signatures_in;
use crate::{read_chat, read_converse, read_gemini, read_messages, read_responses, rules, rules_responses};

/// What a recording says by itself.
pub fn wanted(recording: &Recording) -> Said {
    if recording.is_stream {
        let events = events_of(recording.grammar, &recording.body);
        let broken = events.iter().position(|event| event.data.is_string() && event.data != "[DONE]");
        let mut said = read_stream(recording.grammar, &events[..broken.unwrap_or(events.len())]);
        if broken.is_some() && !said.has_ended {
            said.error = Some(String::new());
        }
        return said;
    }
    read_answer(recording.grammar, &serde_json::from_slice(&recording.body).unwrap_or_default())
}

/// Replays a recording to a client.
pub fn check(recording: &Recording, want: &Said, client: Client) -> Result<(), String> {
    if recording.is_stream {
        return check_stream(recording, want, client);
    }
    let mut out = Vec::new();
    let done = translation(client, recording.grammar, false).answer(&recording.body, &mut out);
    match (done, &want.error) {
        (Err(error), Some(message)) if error.message.contains(message.as_str()) => Ok(()),
        (Err(error), _) => Err(format!("fails with {:?}; wanted {:?}", error.message, want.error)),
        (Ok(_), Some(message)) => Err(format!("is no error, and should be {message:?}")),
        (Ok(answered), None) => {
            let value: Value = serde_json::from_slice(&out).map_err(|error| format!("no JSON: {error}"))?;
            check_head(client.grammar, &value)?;
            compare(want, &read_answer(client.grammar, &value), client)?;
            compare_counts(want.counts, counts_of(answered.usage))?;
            check_signatures(recording, client, &out)
        }
    }
}

fn check_stream(recording: &Recording, want: &Said, client: Client) -> Result<(), String> {
    let translation = translation(client, recording.grammar, true);
    let body = recording.body.as_slice();
    let whole = drive::stream(&translation, std::iter::once(body));
    let got = read_client(client, &whole)?;
    let is_cut = !want.has_ended && want.error.is_none();
    if is_cut {
        compare_cut(want, &got, CUT_OFF)?;
    } else {
        compare(want, &got, client)?;
        compare_counts(want.counts, counts_of(whole.usage))?;
    }
    if want.has_ended {
        check_signatures(recording, client, &whole.bytes)?;
    }
    let mut random = Random::seeded(&recording.name);
    for round in 0..CUTS_COUNT {
        let piece_max = if round == 0 && body.len() <= EVERY_BYTE_MAX { 1 } else { 1 << (3 + 4 * round) };
        let cut = drive::stream(&translation, Pieces { body, at: 0, piece_max, random: &mut random });
        if cut != whole {
            return Err(format!("cut into pieces of at most {piece_max} bytes it is another answer"));
        }
    }
    if recording.grammar != Grammar::Converse {
        check_line_ends(&translation, body, &whole)?;
    }
    let terminal = terminal(recording.grammar, body);
    let starts = events_of(recording.grammar, body).into_iter().map(|event| event.start);
    let mut lengths: Vec<usize> = starts.filter(|start| *start <= terminal).take(EVENTS_ENDED_MAX).collect();
    lengths.extend((0..TRUNCATIONS_COUNT).map(|_| random.below(terminal + 1)));
    for length in lengths {
        let short = drive::stream(&translation, std::iter::once(&body[..length]));
        let is_clean = short.is_well || is_clean(client, &short.bytes);
        if is_clean {
            return Err(format!(
                "ends well with the first {length} bytes alone ({terminal} before the terminal)"
            ));
        }
        let got = read_client(client, &short).map_err(|error| format!("cut at {length}: {error}"))?;
        if got.error.is_none() && !short.bytes.is_empty() {
            return Err(format!("tells no error with the first {length} bytes"));
        }
    }
    Ok(())
}

/// Lines may end in LF, CRLF or CR, and comments may stand between events.
fn check_line_ends(translation: &Translation, body: &[u8], want: &Got) -> Result<(), String> {
    let plain = String::from_utf8_lossy(body).replace("\r\n", "\n").replace('\r', "\n");
    let plain = if plain.ends_with("\n\n") { plain } else { format!("{}\n\n", plain.trim_end_matches('\n')) };
    for (what, changed) in [
        ("LF", plain.clone()),
        ("CRLF", plain.replace('\n', "\r\n")),
        ("CR", plain.replace('\n', "\r")),
        ("comments", plain.replace("\n\n", "\n\n: a comment\n\n:\n")),
        ("no space", plain.replace("\ndata: ", "\ndata:")),
    ] {
        if drive::stream(translation, std::iter::once(changed.as_bytes())) != *want {
            return Err(format!("with {what} it is another answer"));
        }
    }
    Ok(())
}

/// Every state that the provider wants back is in what the client got.
fn check_signatures(recording: &Recording, client: Client, bytes: &[u8]) -> Result<(), String> {
    let mut wanted = Vec::new();
    if recording.is_stream {
        let events = events_of(recording.grammar, &recording.body);
        events.iter().for_each(|event| signatures_in(&event.data, client.grammar, &mut wanted));
    } else {
        signatures_in(
            &serde_json::from_slice(&recording.body).unwrap_or_default(),
            client.grammar,
            &mut wanted,
        );
    }
    let told = String::from_utf8_lossy(bytes);
    match wanted.into_iter().find(|signature| !told.contains(signature.as_str())) {
        Some(signature) => Err(format!("a signature is lost: {signature:.80}")),
        None => Ok(()),
    }
}

/// Events of a stream by the plain readers.
fn events_of(grammar: Grammar, body: &[u8]) -> Vec<Event> {
    match grammar {
        Grammar::Converse => frames(body).unwrap_or_default(),
        _ => sse(body),
    }
}

fn read_stream(grammar: Grammar, events: &[Event]) -> Said {
    match grammar {
        Grammar::Chat => read_chat::stream(events),
        Grammar::Responses => read_responses::stream(events),
        Grammar::Messages => read_messages::stream(events),
        Grammar::Gemini => read_gemini::stream(events),
        Grammar::Converse => read_converse::stream(events),
    }
}

fn read_answer(grammar: Grammar, body: &Value) -> Said {
    match grammar {
        Grammar::Chat => read_chat::answer(body),
        Grammar::Responses => read_responses::answer(body),
        Grammar::Messages => read_messages::answer(body),
        Grammar::Gemini => read_gemini::answer(body),
        Grammar::Converse => read_converse::answer(body),
    }
}

/// Reads what a client got, as its SDK would, and holds it against what SDKs take for granted.
fn read_client(client: Client, got: &Got) -> Result<Said, String> {
    let events = if client.as_array { elements(&got.bytes)? } else { sse(&got.bytes) };
    match client.grammar {
        Grammar::Chat => rules::chat(&events)?,
        Grammar::Responses => rules_responses::check(&events)?,
        Grammar::Messages => rules::messages(&events)?,
        Grammar::Gemini => rules::gemini(&events)?,
        Grammar::Converse => {}
    }
    if std::str::from_utf8(&got.bytes).is_err() {
        return Err("no UTF-8".to_owned());
    }
    let is_clean = is_clean(client, &got.bytes);
    if is_clean != got.is_well {
        return Err(format!("the client sees a clean end: {is_clean}; the gateway: {}", got.is_well));
    }
    Ok(read_stream(client.grammar, &events))
}

/// The elements of an array that may have no end.
fn elements(bytes: &[u8]) -> Result<Vec<Event>, String> {
    let text = String::from_utf8_lossy(bytes);
    let closed = if bytes.is_empty() || text.ends_with(']') { text.into_owned() } else { format!("{text}]") };
    let list: Vec<Value> = match closed.as_str() {
        "" => Vec::new(),
        text => serde_json::from_str(text).map_err(|error| format!("no array: {error}"))?,
    };
    Ok(list.into_iter().map(|data| Event { name: String::new(), data, start: 0 }).collect())
}

/// Whether a client takes it for an answer that ended well.
fn is_clean(client: Client, bytes: &[u8]) -> bool {
    if client.as_array {
        return bytes.ends_with(b"]");
    }
    let events = sse(bytes);
    let Some(last) = events.last() else { return false };
    match client.grammar {
        Grammar::Chat => last.data == "[DONE]",
        Grammar::Responses => matches!(last.name.as_str(), "response.completed" | "response.incomplete"),
        Grammar::Messages => last.name == "message_stop",
        _ => read_gemini::stream(&events).has_ended,
    }
}

/// Where the first event begins that ends an answer; what comes before is never whole.
fn terminal(grammar: Grammar, body: &[u8]) -> usize {
    let ends = |event: &Event| {
        let data = &event.data;
        let kind = text(data, "type");
        let has_reason = |list: &str, name: &str| items(&data[list]).any(|item| !text(item, name).is_empty());
        let is_error = !data["error"].is_null() || data["exception"].is_string() || kind == "error";
        is_error
            || (data.is_string() && *data != "[DONE]")
            || match grammar {
                Grammar::Chat => *data == "[DONE]" || has_reason("choices", "finish_reason"),
                Grammar::Responses => {
                    let ends = [
                        "response.completed",
                        "response.incomplete",
                        "response.failed",
                        "response.cancelled",
                    ];
                    ends.contains(&kind)
                }
                Grammar::Messages => kind == "message_stop",
                Grammar::Gemini => {
                    has_reason("candidates", "finishReason")
                        || data["promptFeedback"]["blockReason"].is_string()
                }
                Grammar::Converse => event.name == "messageStop",
            }
    };
    events_of(grammar, body).iter().find(|event| ends(event)).map_or(body.len(), |event| event.start)
}

fn check_head(grammar: Grammar, answer: &Value) -> Result<(), String> {
    let holds = match grammar {
        Grammar::Chat => answer["object"] == "chat.completion" && answer["created"].is_u64(),
        Grammar::Responses => answer["object"] == "response" && text(answer, "id").starts_with("resp"),
        Grammar::Messages => answer["type"] == "message" && text(answer, "id").starts_with("msg_"),
        _ => answer["candidates"].is_array(),
    };
    if holds { Ok(()) } else { Err(format!("not an answer of the dialect: {answer:.300}")) }
}

fn counts_of(usage: Usage) -> Counts {
    let [input, output, cached, reasoning] =
        [usage.input, usage.output, usage.cache_read, usage.reasoning].map(Option::unwrap_or_default);
    Counts { input, output, cached, reasoning }
}

/// A body in pieces of random lengths.
struct Pieces<'b, 'r> {
    body: &'b [u8],
    at: usize,
    piece_max: usize,
    random: &'r mut Random,
}

impl<'b> Iterator for Pieces<'b, '_> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        let left = self.body.len() - self.at;
        let length = (1 + self.random.below(self.piece_max)).min(left);
        let place: Range<usize> = self.at..self.at + length;
        self.at = place.end;
        (length > 0).then(|| &self.body[place])
    }
}

/// Marsaglia's xorshift: the same numbers for the same name.
struct Random(u64);

impl Random {
    fn seeded(name: &str) -> Random {
        Random(
            name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
            }) | 1,
        )
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// Streams up to this length are also cut behind every byte.
const EVERY_BYTE_MAX: usize = 8 * 1024;
const CUTS_COUNT: u32 = 3;
/// Streams are also ended before each of so many events.
const EVENTS_ENDED_MAX: usize = 24;
const TRUNCATIONS_COUNT: u32 = 8;
