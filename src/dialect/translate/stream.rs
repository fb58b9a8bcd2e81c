//! A stream between two grammars: the provider's bytes in, however they are cut, the client's events out. Keeps the bytes
//! of the unfinished event and what the grammars need of the finished ones.

use super::Translation;
use super::filter::Filter;
use super::voices::{Ear, Voice};
use crate::dialect::endpoint::Grammar;
use crate::dialect::middle::{Event, ProviderError, Stage};
use crate::ledger::usage::{Usage, UsageRules};
use crate::wire::eventstream::{FrameKind, FrameStep, Frames};
use crate::wire::sse::{EventData, EventStep, Events};

/// One stream on its way.
pub struct Stream {
    ear: Ear,
    filter: Filter,
    voice: Voice,
    split: Split,
    /// Bytes of the event that is not complete yet.
    held: Vec<u8>,
    event_bytes_max: usize,
    pub usage: Usage,
    /// The model that the provider names; empty until it does.
    pub model: String,
    /// What the provider's counts mean.
    usage_rules: UsageRules,
    /// The provider's terminal was there, or an error in its place.
    pub has_ended: bool,
    pub has_error: bool,
    /// Arguments of a call went on behind their object: the client got the object alone.
    pub has_surplus: bool,
    pub events_count: u64,
    /// The first error, for the status of an answer of which nothing has left.
    pub error: Option<Box<ProviderError>>,
}

/// How the provider marks off its events.
enum Split {
    Sse(Box<Events>),
    Frames(Frames),
}

/// Why a stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFault {
    EventTooLarge,
    /// A frame's checksum or length is wrong.
    Malformed,
}

impl Stream {
    pub(super) fn new(translation: &Translation, event_bytes_max: usize) -> Stream {
        let Translation { client, provider, as_array, told, written, rules, .. } = translation;
        let split = match provider {
            Grammar::Converse => Split::Frames(Frames::default()),
            _ => Split::Sse(Box::default()),
        };
        Stream {
            ear: Ear::new(*provider, rules),
            filter: Filter::new(written),
            voice: Voice::new(*client, *as_array, told.clone()),
            split,
            held: Vec::new(),
            event_bytes_max,
            usage: Usage::default(),
            model: String::new(),
            usage_rules: rules.usage,
            has_ended: false,
            has_error: false,
            has_surplus: false,
            events_count: 0,
            error: None,
        }
    }

    /// Takes more of the provider's bytes and appends what the client gets for them.
    pub fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), StreamFault> {
        if self.held.is_empty() {
            let used = self.pass(bytes, out)?;
            self.held.extend_from_slice(&bytes[used..]);
        } else {
            self.held.extend_from_slice(bytes);
            let mut held = std::mem::take(&mut self.held);
            let used = self.pass(&held, out)?;
            held.drain(..used);
            self.held = held;
        }
        if self.held.is_empty() && self.held.capacity() > HELD_BYTES_KEPT_MAX {
            self.held = Vec::new();
        }
        if self.held.len() > self.event_bytes_max { Err(StreamFault::EventTooLarge) } else { Ok(()) }
    }

    /// The provider's bytes are at their end. What its grammar kept back comes now; whether the end was a good one says
    /// [`Stream::has_ended`].
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        let last = match &mut self.split {
            Split::Sse(events) => events.at_eof(&held).map(|event| events.joined(&held, &event).into_owned()),
            Split::Frames(_) => None,
        };
        if let Some(data) = last {
            self.read(out, |ear, emit| ear.event(&data, emit));
        }
        if !self.has_ended {
            let mut stage = Stage::Open;
            self.read(out, |ear, emit| stage = ear.end(emit));
            self.has_ended |= stage == Stage::Ended;
        }
    }

    /// The finished answer, where it is to be kept; once.
    pub fn take_finished(&mut self) -> Option<Vec<u8>> {
        self.voice.take_finished()
    }

    /// Tells the client that the stream ends here although it should not.
    pub fn fail(&mut self, error: ProviderError, out: &mut Vec<u8>) {
        if !self.has_error {
            self.has_error = true;
            self.voice.event(&Event::Error(Box::new(error)), out);
        }
    }

    /// Reads the complete events at the front of `bytes` and gives how many bytes they are.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, StreamFault> {
        let mut at = 0;
        while !self.has_error {
            match &mut self.split {
                Split::Sse(events) => {
                    let EventStep::Event(event) = events.next(&bytes[at..]) else { break };
                    let event_bytes = &bytes[at..at + event.used];
                    at += event.used;
                    match event.data {
                        EventData::None => {}
                        EventData::One(data) => {
                            self.read(out, |ear, emit| ear.event(data.of(event_bytes), emit));
                        }
                        EventData::Many => {
                            let data = events.joined(event_bytes, &event).into_owned();
                            self.read(out, |ear, emit| ear.event(&data, emit));
                        }
                    }
                }
                Split::Frames(frames) => match frames.next(&bytes[at..]) {
                    FrameStep::More => break,
                    FrameStep::Bad(_) => return Err(StreamFault::Malformed),
                    FrameStep::Frame(frame) => {
                        let frame_bytes = &bytes[at..at + frame.used];
                        at += frame.used;
                        let name = frame.name.unwrap_or_default().of(frame_bytes);
                        let name = std::str::from_utf8(name).unwrap_or_default();
                        let payload = frame.error_message.unwrap_or(frame.payload).of(frame_bytes);
                        let is_error = matches!(frame.kind, FrameKind::Exception | FrameKind::Error);
                        self.read(out, |ear, emit| ear.frame(name, is_error, payload, emit));
                    }
                },
            }
        }
        Ok(if self.has_error { bytes.len() } else { at })
    }

    /// Reads something, and writes what it means.
    fn read(&mut self, out: &mut Vec<u8>, read: impl FnOnce(&mut Ear, &mut dyn FnMut(Event<'_>))) {
        self.events_count += 1;
        let Stream {
            ear,
            filter,
            voice,
            usage,
            usage_rules,
            model,
            has_ended,
            has_error,
            has_surplus,
            error,
            ..
        } = self;
        read(ear, &mut |mut event| {
            if *has_error {
                return;
            }
            match &mut event {
                Event::Usage(stated) => {
                    *stated = stated.by(*usage_rules);
                    usage.merge(*stated);
                }
                Event::Start(start) if model.is_empty() => *model = start.model.decoded().into_owned(),
                Event::End => *has_ended = true,
                Event::Surplus => {
                    *has_surplus = true;
                    return;
                }
                Event::Error(found) => {
                    (*has_error, *has_ended) = (true, true);
                    *error = Some(found.clone());
                }
                _ => {}
            }
            filter.pass(event, &mut |event| voice.event(event, out));
        });
    }
}

/// Memory for unfinished events that a stream keeps between them.
const HELD_BYTES_KEPT_MAX: usize = 4 * 1024;
