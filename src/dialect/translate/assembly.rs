//! A stream put together again: the events that a client was sent, as the whole answer of the same grammar. Keeps what the
//! answer says, up to a bound, and not the bytes of the stream.

use super::voices::{AnswerVoice, Ear};
use crate::dialect::endpoint::Grammar;
use crate::dialect::middle::{Arguments, Block, Delta, Event, Rules, Told};
use crate::wire::sse::{EventData, EventStep, Events};

/// One stream that is put together.
pub struct Assembly {
    ear: Ear,
    voice: AnswerVoice,
    events: Box<Events>,
    /// Bytes of the event that is not complete yet.
    held: Vec<u8>,
    /// Bytes that the answer says so far, and how many it may.
    said: usize,
    said_max: usize,
    /// More was said than is kept.
    pub is_cut: bool,
    /// The stream's own end was there.
    pub has_ended: bool,
    /// What comes is the rest of an event whose beginning was not kept.
    is_passing_over: bool,
}

impl Assembly {
    /// Begins with the first byte of a stream in that grammar, of which so many bytes are kept.
    pub fn new(grammar: Grammar, said_max: usize) -> Assembly {
        Assembly {
            ear: Ear::new(grammar, &Rules::default()),
            voice: AnswerVoice::new(grammar, Told::default()),
            events: Box::default(),
            held: Vec::new(),
            said: 0,
            said_max,
            is_cut: false,
            has_ended: false,
            is_passing_over: false,
        }
    }

    /// Bytes that are held.
    pub fn weight(&self) -> usize {
        self.said + self.held.capacity()
    }

    /// Takes more of the stream, however it is cut.
    pub fn take(&mut self, bytes: &[u8]) {
        // One event that is longer than all that may be kept is not waited for: its rest is passed over.
        if self.held.len() > 2 * self.said_max {
            (self.is_cut, self.is_passing_over) = (true, true);
            // They know places in what is held.
            (self.held, *self.events) = (Vec::new(), Events::default());
        }
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let mut at = 0;
        while let EventStep::Event(event) = self.events.next(&held[at..]) {
            let event_bytes = &held[at..at + event.used];
            at += event.used;
            if std::mem::take(&mut self.is_passing_over) {
                continue;
            }
            match event.data {
                EventData::None => {}
                EventData::One(data) => self.read(data.of(event_bytes)),
                EventData::Many => {
                    let data = self.events.joined(event_bytes, &event).into_owned();
                    self.read(&data);
                }
            }
        }
        self.held = held;
        self.held.drain(..at);
    }

    /// Writes the answer as far as it came.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Assembled {
        if !self.has_ended {
            let Assembly { ear, voice, has_ended, .. } = &mut self;
            ear.end(&mut |event| match event {
                Event::End => *has_ended = true,
                event => voice.event(&event),
            });
        }
        self.voice.finish(out);
        Assembled { is_cut: self.is_cut, has_ended: self.has_ended }
    }

    fn read(&mut self, data: &[u8]) {
        let Assembly { ear, voice, said, said_max, is_cut, has_ended, .. } = self;
        ear.event(data, &mut |event| match event {
            Event::End => *has_ended = true,
            // The answer is what it was so far; that it broke off is told beside it.
            Event::Error(_) | Event::Ping | Event::Surplus => {}
            event => {
                *said += length(&event);
                if *said <= *said_max {
                    return voice.event(&event);
                }
                *is_cut = true;
                match event {
                    Event::Delta { .. } => {}
                    Event::Open { at, block: Block::Media { .. } | Block::Foreign { .. } } => {
                        voice.event(&Event::Open { at, block: Block::Text });
                    }
                    event => voice.event(&event),
                }
            }
        });
        if *is_cut {
            *said = (*said).min(*said_max);
        }
    }
}

/// How an answer was put together.
pub struct Assembled {
    pub is_cut: bool,
    pub has_ended: bool,
}

/// Bytes that an event adds to the answer, about.
fn length(event: &Event<'_>) -> usize {
    match event {
        Event::Open { block, .. } => {
            EVENT_BYTES
                + match block {
                    Block::Media { base64, .. } => base64.as_escaped().len(),
                    Block::Foreign { raw } => raw.len(),
                    _ => 0,
                }
        }
        Event::Delta { delta, .. } => match delta {
            Delta::Text(text) | Delta::Arguments(Arguments::Piece(text)) => text.as_escaped().len(),
            Delta::Arguments(Arguments::Whole(raw)) | Delta::Logprobs(raw) => raw.len(),
            Delta::Signature(_) | Delta::Citation { .. } => EVENT_BYTES,
        },
        _ => 0,
    }
}

/// What a block, a signature or a source costs beside its text.
const EVENT_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::Node;

    const STREAM: &str = concat!(
        "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"}}]}\n\n",
        "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}]}\n\n",
        "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}}]}}]}\n\n",
        "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}}]}\n\n",
        "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
        "data: [DONE]\n\n",
    );

    fn put_together(stream: &[u8], at: usize, said_max: usize) -> (String, Assembled) {
        let mut assembly = Assembly::new(Grammar::Chat, said_max);
        assembly.take(&stream[..at]);
        assembly.take(&stream[at..]);
        let mut out = Vec::new();
        let assembled = assembly.finish(&mut out);
        (String::from_utf8(out).unwrap(), assembled)
    }

    #[test]
    fn an_event_that_is_too_long_is_passed_over_and_the_stream_goes_on() {
        let long = format!("data: {}\ndata: {}\n\n{STREAM}", "A".repeat(5000), "B".repeat(5000));
        for piece_bytes in [1, 7, 1000] {
            let mut assembly = Assembly::new(Grammar::Chat, 1000);
            for piece in long.as_bytes().chunks(piece_bytes) {
                assembly.take(piece);
                assert!(assembly.weight() < 10_000);
            }
            let mut out = Vec::new();
            let assembled = assembly.finish(&mut out);
            assert_eq!((assembled.is_cut, assembled.has_ended), (true, true));
            assert_eq!(out, put_together(STREAM.as_bytes(), 0, 1000).0.into_bytes());
        }
    }

    #[test]
    fn a_stream_cut_anywhere_comes_to_the_same_whole_answer() {
        let (whole, assembled) = put_together(STREAM.as_bytes(), 0, 4096);
        assert!(assembled.has_ended && !assembled.is_cut);
        let message = Node::scanned(whole.as_bytes());
        let message = message.get("choices").unwrap().items().next().unwrap().get("message").unwrap();
        assert_eq!(message.get("content").unwrap().text().unwrap(), "Hello");
        assert!(whole.contains(r#""name":"f","arguments":"{\"a\":1}""#), "{whole}");
        for at in 0..STREAM.len() {
            assert_eq!(put_together(STREAM.as_bytes(), at, 4096).0, whole, "{at}");
        }
    }

    #[test]
    fn a_broken_off_stream_and_one_that_says_too_much_are_told_apart_from_whole_ones() {
        let end = STREAM.find("data: [DONE]").unwrap();
        let (_, assembled) = put_together(&STREAM.as_bytes()[..end / 2], 0, 4096);
        assert!(!assembled.has_ended);
        let (answer, assembled) = put_together(STREAM.as_bytes(), 0, 260);
        assert!(assembled.is_cut && assembled.has_ended);
        assert!(answer.contains("Hel") && !answer.contains("Hello"), "{answer}");
    }
}
