//! What the tests of this dialect share: events as lines that can be compared, and checks of what readers promise.

use super::super::middle::{Arguments, Block, Delta, Event, Place, Rules, Signature, Stage, Text};
use super::StreamReader;

/// Rules of a provider of this dialect.
pub(super) fn rules() -> Rules {
    Rules { vendor: "maker".into(), ..Rules::default() }
}

/// An event as a line.
pub(super) fn line(event: &Event<'_>) -> String {
    match event {
        Event::Start(start) => format!("start {} {}", start.id.decoded(), start.model.decoded()),
        Event::Open { at, block } => format!("open {} {}", place(*at), open(block)),
        Event::Delta { at, delta } => format!("{} {}", place(*at), added(delta)),
        Event::Close { at } => format!("close {}", place(*at)),
        Event::Finish { choice, finish } => format!("finish {choice} {:?}", finish.reason),
        Event::Usage(usage) => {
            let count = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
            let counts = [usage.input, usage.output, usage.cache_read, usage.reasoning].map(count);
            format!("usage {}", counts.join(" "))
        }
        Event::Error(error) => format!("error {:?} {} {}", error.kind, error.status, error.message),
        Event::Ping => "ping".to_owned(),
        Event::Surplus => "surplus".to_owned(),
        Event::End => "end".to_owned(),
    }
}

fn place(at: Place) -> String {
    format!("{}.{}", at.choice, at.block)
}

fn open(block: &Block<'_>) -> String {
    match block {
        Block::Text => "text".to_owned(),
        Block::Refusal => "refusal".to_owned(),
        Block::Thinking => "thinking".to_owned(),
        Block::HiddenThinking { data } => format!("hidden {}", signature(data)),
        Block::ToolCall { id, name, is_custom, signature: given } => {
            let custom = if *is_custom { " custom" } else { "" };
            let signed = given.as_ref().map_or(String::new(), |given| format!(" {}", signature(given)));
            format!("call {} {}{custom}{signed}", id.decoded(), name.decoded())
        }
        Block::Media { kind, base64 } => format!("media {} {}", kind.decoded(), base64.decoded()),
        Block::Foreign { raw } => format!("foreign {}", String::from_utf8_lossy(raw)),
    }
}

fn added(delta: &Delta<'_>) -> String {
    let or_none =
        |text: &Option<Text<'_>>| text.as_ref().map_or("-".into(), |text| text.decoded().into_owned());
    match delta {
        Delta::Text(text) => format!("{:?}", text.decoded()),
        Delta::Arguments(Arguments::Piece(text)) => format!("piece {}", text.decoded()),
        Delta::Arguments(Arguments::Whole(raw)) => format!("whole {}", String::from_utf8_lossy(raw)),
        Delta::Signature(given) => format!("signature {}", signature(given)),
        Delta::Citation { url, title, cited } => {
            format!("cites {} {} {}", or_none(url), or_none(title), or_none(cited))
        }
        Delta::Logprobs(raw) => format!("logprobs {}", String::from_utf8_lossy(raw)),
    }
}

fn signature(given: &Signature<'_>) -> String {
    format!("{}:{}", given.vendor, given.value.decoded())
}

/// The lines of a stream of these responses, and whether it ended.
pub(super) fn read_stream(events: &[&str]) -> (Vec<String>, Stage) {
    let mut reader = StreamReader::new(&rules());
    let mut lines = Vec::new();
    let mut promises = Promises::default();
    let mut emit = |event: Event<'_>| {
        promises.check(&event);
        lines.push(line(&event));
    };
    events.iter().for_each(|event| reader.event(event.as_bytes(), &mut emit));
    let stage = reader.end(&mut emit);
    (lines, stage)
}

/// Holds a reader to what `middle::Event` says that readers promise.
#[derive(Default)]
pub(super) struct Promises {
    has_started: bool,
    has_ended: bool,
    open: Vec<Place>,
    counts: Vec<(u32, u32)>,
    finished: Vec<u32>,
}

impl Promises {
    pub(super) fn check(&mut self, event: &Event<'_>) {
        assert!(!self.has_ended, "nothing follows the end: {event:?}");
        match event {
            Event::Start(_) => assert!(!std::mem::replace(&mut self.has_started, true), "one start"),
            Event::Open { at, .. } => {
                let known = self.counts.iter().position(|(choice, _)| *choice == at.choice);
                let index = known.unwrap_or_else(|| {
                    self.counts.push((at.choice, 0));
                    self.counts.len() - 1
                });
                assert_eq!(self.counts[index].1, at.block, "places are dense");
                self.counts[index].1 += 1;
                self.open.push(*at);
            }
            Event::Delta { at, delta } => {
                assert!(self.open.contains(at), "{at:?} is open: {event:?}");
                assert!(!matches!(delta, Delta::Text(text) if text.is_empty()), "no delta is empty");
            }
            Event::Close { at } => {
                let index = self.open.iter().position(|open| open == at).expect("an open block is closed");
                self.open.remove(index);
            }
            Event::Finish { choice, .. } => {
                assert!(!self.finished.contains(choice), "one finish for each choice");
                assert!(!self.open.iter().any(|at| at.choice == *choice), "all blocks are closed");
                self.finished.push(*choice);
            }
            Event::Error(_) => self.has_ended = true,
            Event::End => {
                assert!(self.open.is_empty() && !self.finished.is_empty(), "all is closed and finished");
                self.has_ended = true;
            }
            Event::Usage(_) | Event::Ping | Event::Surplus => {}
        }
        assert!(self.has_started || matches!(event, Event::Error(_)), "the start comes first: {event:?}");
    }
}
