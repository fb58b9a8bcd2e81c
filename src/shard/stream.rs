//! What is special about streams of the OpenAI dialect: asking for usage, and watching events go by. Of streams that we do
//! not know, only where a line ends.

use std::ops::Range;

use crate::base::Span;
use crate::dialect::belongings;
use crate::dialect::endpoint::Grammar;
use crate::dialect::facts;
use crate::ledger::usage::Usage;
use crate::wire::json::{self, Kind, Member, Node};
use crate::wire::splice::{Edits, ObjectEdits};
use crate::wire::sse::{self, EventData, EventStep, Events};

/// Adds the edits that make the provider state usage. True when the client did not ask for it itself.
pub fn ask_for_usage(
    document: &[u8],
    members: &[Member],
    edits: &mut Edits,
    object: &mut ObjectEdits,
) -> bool {
    const ASKED: &[u8] = br#"{"include_usage":true}"#;
    let Some(options) = json::find(members, document, "stream_options") else {
        return object.add("stream_options", ASKED);
    };
    match options.kind {
        // A provider's own edit of the options stands.
        _ if edits.touches(options.value) => return false,
        Kind::Null => edits.replace(options.value, ASKED),
        Kind::Object => return ask_in_options(document, options.value, edits),
        // No options at all: the provider will say so.
        _ => return false,
    }
    true
}

fn ask_in_options(document: &[u8], options: Span, edits: &mut Edits) -> bool {
    let text = options.of(document);
    let mut inner = Vec::new();
    if json::scan_object(text, &mut inner).is_err() {
        return false;
    }
    let start = options.start as usize;
    match json::find(&inner, text, "include_usage") {
        Some(member) if member.kind == Kind::True => return false,
        Some(member) => edits.replace(member.value.shifted(start), b"true"),
        None if inner.is_empty() => edits.insert(options.end as usize - 1, br#""include_usage":true"#),
        None => edits.insert(start + 1, br#""include_usage":true,"#),
    }
    true
}

/// Watches the events of one stream: what leaves, what stays, and what was learnt.
pub struct Watcher {
    grammar: Grammar,
    events: Events,
    members: Vec<Member>,
    /// Bytes of the event that is not complete yet.
    held: Vec<u8>,
    hides_usage: bool,
    /// The last event was hidden, and so is what a cut has split off its end.
    hid_last: bool,
    event_bytes_max: usize,
    pub usage: Usage,
    /// The model that the stream names; empty until it does.
    pub model: String,
    pub is_done: bool,
    pub has_finish: bool,
    pub has_error: bool,
    pub events_count: u64,
    /// The provider keeps the response, and somebody has to know whose it is.
    pub wants_ids: bool,
    pub ids: Vec<String>,
}

/// An event grew beyond what is allowed.
#[derive(Debug, PartialEq, Eq)]
pub struct EventTooLarge;

impl Watcher {
    pub fn new(grammar: Grammar, hides_usage: bool, event_bytes_max: usize) -> Watcher {
        Watcher {
            grammar,
            events: Events::default(),
            members: Vec::new(),
            held: Vec::new(),
            hides_usage,
            hid_last: false,
            event_bytes_max,
            usage: Usage::default(),
            model: String::new(),
            is_done: false,
            has_finish: false,
            has_error: false,
            events_count: 0,
            wants_ids: false,
            ids: Vec::new(),
        }
    }

    /// Takes more of the stream and appends to `out` the events that are complete and not hidden.
    pub fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), EventTooLarge> {
        if self.held.is_empty() {
            let used = self.pass(bytes, out);
            self.held.extend_from_slice(&bytes[used..]);
        } else {
            self.held.extend_from_slice(bytes);
            let mut held = std::mem::take(&mut self.held);
            let used = self.pass(&held, out);
            held.drain(..used);
            self.held = held;
        }
        if self.held.is_empty() && self.held.capacity() > HELD_BYTES_KEPT_MAX {
            self.held = Vec::new();
        }
        if self.held.len() > self.event_bytes_max { Err(EventTooLarge) } else { Ok(()) }
    }

    /// The stream ended: the rest goes as it is when it holds a whole event but for its blank line.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        let lead = self.events.lead();
        let shown_from = if self.hid_last { lead } else { 0 };
        let Some(event) = self.events.at_eof(&held) else {
            // Comments or line ends behind the last event.
            out.extend_from_slice(&held[shown_from..]);
            return;
        };
        let data = self.events.joined(&held, &event).into_owned();
        let is_whole = sse::is_done_marker(&data) || json::scan_object(&data, &mut self.members).is_ok();
        let is_shown = is_whole && !self.is_hidden(&data);
        // What ends the event before goes with that one.
        out.extend_from_slice(if is_shown { &held[shown_from..] } else { &held[shown_from..lead] });
    }

    /// Copies the complete events at the front of `bytes` and gives how many bytes they are.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let (mut at, mut shown_from) = (0, 0);
        while let EventStep::Event(event) = self.events.next(&bytes[at..]) {
            let event_bytes = &bytes[at..at + event.used];
            let place: Range<usize> = at..at + event.used;
            if self.hid_last {
                shown_from = place.start + event.lead;
            }
            let is_hidden = match event.data {
                EventData::None => false,
                EventData::One(data) => self.is_hidden(data.of(event_bytes)),
                EventData::Many => {
                    let data = self.events.joined(event_bytes, &event).into_owned();
                    self.is_hidden(&data)
                }
            };
            if is_hidden {
                out.extend_from_slice(&bytes[shown_from..place.start + event.lead]);
                shown_from = place.end;
            }
            self.hid_last = is_hidden;
            at = place.end;
        }
        out.extend_from_slice(&bytes[shown_from..at]);
        at
    }

    /// Learns from an event's data; true when the client must not see it.
    fn is_hidden(&mut self, data: &[u8]) -> bool {
        self.events_count += 1;
        if sse::is_done_marker(data) {
            self.is_done = true;
            return false;
        }
        if self.model.is_empty() && self.events_count <= EVENTS_NAMING {
            self.model = facts::model_of_event(self.grammar, data, &mut self.members).unwrap_or_default();
        }
        if self.wants_ids && memchr::memmem::find(data, b"\"response\"").is_some() {
            self.take_ids(data);
        }
        let facts = facts::read_event(self.grammar, data, &mut self.members);
        self.has_finish |= facts.is_finish;
        self.has_error |= facts.is_error;
        if let Some(usage) = facts.usage {
            self.usage.merge(usage);
        }
        self.hides_usage && facts.is_usage_only
    }

    fn take_ids(&mut self, data: &[u8]) {
        if let Ok(event) = Node::document(data, &mut self.members) {
            self.ids.extend(belongings::of_response(event));
        }
    }

    /// Whether the stream came to an end of its own: its marker, a finish reason or an error of the provider's.
    pub fn has_ended(&self) -> bool {
        self.is_done || self.has_finish || self.has_error
    }
}

/// The last bytes of a stream that passes unread: an event of ours can only stand behind a blank line.
#[derive(Default)]
pub struct Tail {
    last: [u8; 4],
    count: usize,
}

impl Tail {
    pub fn take(&mut self, bytes: &[u8]) {
        for &byte in &bytes[bytes.len().saturating_sub(4)..] {
            self.last.rotate_left(1);
            self.last[3] = byte;
        }
        self.count = self.count.saturating_add(bytes.len());
    }

    /// What must be sent before another event can begin.
    pub fn missing_end(&self) -> &'static [u8] {
        let is_between =
            self.last.ends_with(b"\n\n") || self.last.ends_with(b"\r\r") || self.last == *b"\r\n\r\n";
        if self.count == 0 || is_between { b"" } else { b"\n\n" }
    }
}

/// A stream that names its model does so in one of its first events.
const EVENTS_NAMING: u64 = 3;
/// Memory for unfinished events that a stream keeps between them.
const HELD_BYTES_KEPT_MAX: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> (String, bool) {
        let mut members = Vec::new();
        json::scan_object(body.as_bytes(), &mut members).expect("the case is an object");
        let (mut edits, mut object) = (Edits::default(), ObjectEdits::default());
        let hides = ask_for_usage(body.as_bytes(), &members, &mut edits, &mut object);
        object.apply(&members, body.len() - 1, &mut edits);
        let mut pieces = Vec::new();
        edits.pieces(body.as_bytes(), &mut pieces);
        (String::from_utf8(pieces.concat()).expect("edits keep UTF-8"), hides)
    }

    #[test]
    fn usage_is_asked_for_without_touching_anything_else() {
        let cases = [
            (r#"{"a":1}"#, r#"{"a":1,"stream_options":{"include_usage":true}}"#, true),
            (r#"{"stream_options":null}"#, r#"{"stream_options":{"include_usage":true}}"#, true),
            (r#"{"stream_options":{}}"#, r#"{"stream_options":{"include_usage":true}}"#, true),
            (r#"{"stream_options":{"x":1}}"#, r#"{"stream_options":{"include_usage":true,"x":1}}"#, true),
            (
                r#"{"stream_options":{"include_usage": false}}"#,
                r#"{"stream_options":{"include_usage": true}}"#,
                true,
            ),
            (
                r#"{"stream_options":{"include_usage":true}}"#,
                r#"{"stream_options":{"include_usage":true}}"#,
                false,
            ),
            (r#"{"stream_options":7}"#, r#"{"stream_options":7}"#, false),
        ];
        for (body, want, hides) in cases {
            assert_eq!(asked(body), (want.to_owned(), hides), "{body}");
        }
    }

    const STREAM: &str = concat!(
        ": hello\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"é\"},\"finish_reason\":null}],\"usage\":null}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
        "data: [DONE]\n\n",
    );

    #[test]
    fn every_cut_gives_the_same_bytes_and_the_same_knowledge() {
        let hidden = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n";
        for (hides, want) in [(true, STREAM.replace(hidden, "")), (false, STREAM.to_owned())] {
            for cut in 0..=STREAM.len() {
                let mut watcher = Watcher::new(Grammar::Chat, hides, 1 << 20);
                let mut out = Vec::new();
                watcher.take(&STREAM.as_bytes()[..cut], &mut out).expect("small events");
                watcher.take(&STREAM.as_bytes()[cut..], &mut out).expect("small events");
                watcher.finish(&mut out);
                assert_eq!(String::from_utf8_lossy(&out), want, "cut at {cut}");
                assert_eq!((watcher.usage.input, watcher.usage.output), (Some(3), Some(4)));
                assert!(watcher.is_done && watcher.has_finish && !watcher.has_error);
            }
        }
    }

    #[test]
    fn a_hidden_event_goes_with_its_whole_line_end_at_every_cut() {
        let hidden = "data: {\"choices\":[],\"usage\":{}}\r\n\r\n";
        for (stream, want) in [
            (format!("{hidden}data: [DONE]\r\n\r\n"), "data: [DONE]\r\n\r\n"),
            (format!(": a\r\n\r\n{hidden}"), ": a\r\n\r\n"),
            (format!("{hidden}data: [DONE]"), "data: [DONE]"),
            (format!("{hidden}data: {{"), ""),
        ] {
            for cut in 0..=stream.len() {
                let mut watcher = Watcher::new(Grammar::Chat, true, 1 << 20);
                let mut out = Vec::new();
                watcher.take(&stream.as_bytes()[..cut], &mut out).expect("small events");
                watcher.take(&stream.as_bytes()[cut..], &mut out).expect("small events");
                watcher.finish(&mut out);
                assert_eq!(String::from_utf8_lossy(&out), want, "{stream:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_rest_that_is_no_whole_event_does_not_leave() {
        for (rest, want) in [
            ("data: {\"a\":1}\n", "data: {\"a\":1}\n"),
            ("data: {\"a\":", ""),
            ("data: [DONE]", "data: [DONE]"),
            ("\n", "\n"),
        ] {
            let mut watcher = Watcher::new(Grammar::Chat, true, 1 << 20);
            let mut out = Vec::new();
            watcher.take(rest.as_bytes(), &mut out).expect("small events");
            watcher.finish(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), want, "{rest}");
        }
    }

    #[test]
    fn an_event_of_ours_stands_behind_a_blank_line_wherever_the_stream_was_cut() {
        for (text, want) in [
            ("", ""),
            ("data: x\n\n", ""),
            ("data: x\r\n\r\n", ""),
            ("data: x\r\r", ""),
            ("data: x\n", "\n\n"),
            ("da", "\n\n"),
        ] {
            for cut in 0..=text.len() {
                let mut tail = Tail::default();
                tail.take(&text.as_bytes()[..cut]);
                tail.take(&text.as_bytes()[cut..]);
                assert_eq!(tail.missing_end(), want.as_bytes(), "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn an_event_that_grows_too_large_is_told() {
        let mut watcher = Watcher::new(Grammar::Chat, true, 100);
        let mut out = Vec::new();
        assert_eq!(watcher.take(&[b'x'; 100], &mut out), Ok(()));
        assert_eq!(watcher.take(b"x", &mut out), Err(EventTooLarge));
    }
}
