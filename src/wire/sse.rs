//! Server-sent events (WHATWG HTML §9.2.6): bytes in, event places out. Keeps no bytes and allocates nothing in steady
//! state.

use std::borrow::Cow;

use crate::base::Span;

/// Splits a stream into events. The caller keeps the bytes of the unfinished event, always passes them from its first
/// byte, and drops `used` bytes after each event.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// How far the unfinished event has been looked at, and where its unfinished line begins.
    looked_at: usize,
    line_at: usize,
    data: Vec<Span>,
    name: Option<Span>,
    /// The last line ended in a CR that was the last byte there was: an LF that comes next is its second half.
    skip_lf: bool,
    /// The last event was handed out; what is known of it goes with the next call.
    is_dispatched: bool,
    is_past_first_line: bool,
    lead: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventStep {
    /// No event ends in this input.
    More,
    Event(Event),
}

/// One event: everything up to and including its blank line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Bytes of the input that the event takes.
    pub used: usize,
    pub data: EventData,
    /// The value of its last `event:` line.
    pub name: Option<Span>,
    /// Bytes at its front (0 or 1) that end the event before: the LF of a CRLF that a cut has split.
    pub lead: usize,
}

/// The data lines of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventData {
    /// Only comments, other fields, or nothing at all.
    None,
    One(Span),
    /// Several; [`Events::joined`] puts them together.
    Many,
}

impl Events {
    /// Looks for the end of the event that begins at the input's first byte. No byte is looked at twice.
    pub fn next(&mut self, input: &[u8]) -> EventStep {
        if self.is_dispatched {
            self.data.clear();
            (self.name, self.is_dispatched) = (None, false);
        }
        if self.skip_lf && self.looked_at < input.len() {
            let skip = usize::from(input[self.looked_at] == b'\n');
            self.looked_at += skip;
            if self.line_at == 0 {
                self.lead = skip;
            }
            self.line_at += skip;
            self.skip_lf = false;
        }
        while let Some(found) = memchr::memchr2(b'\n', b'\r', &input[self.looked_at..]) {
            let end = self.looked_at + found;
            let is_crlf = input[end] == b'\r' && input.get(end + 1) == Some(&b'\n');
            self.skip_lf = input[end] == b'\r' && end + 1 == input.len();
            let next = end + 1 + usize::from(is_crlf);
            let line = self.without_bom(input, Span::new(self.line_at, end));
            if line.is_empty() {
                return EventStep::Event(self.dispatch(next));
            }
            self.take_line(input, line);
            (self.looked_at, self.line_at) = (next, next);
        }
        self.looked_at = input.len();
        EventStep::More
    }

    /// The stream ended behind `rest`, the bytes of the unfinished event: the event they make without its blank line,
    /// when they hold data. Whether that data is whole is for the caller to judge.
    pub fn at_eof(&mut self, rest: &[u8]) -> Option<Event> {
        if let EventStep::Event(event) = self.next(rest) {
            return Some(event);
        }
        if self.line_at < rest.len() {
            let line = self.without_bom(rest, Span::new(self.line_at, rest.len()));
            self.take_line(rest, line);
        }
        let event = self.dispatch(rest.len());
        (event.data != EventData::None).then_some(event)
    }

    /// Bytes at the front of the unfinished event (0 or 1) that end the event before; [`Event::lead`] in time.
    pub fn lead(&self) -> usize {
        self.lead
    }

    /// The data of the event that was handed out last, its lines joined by LF.
    pub fn joined<'a>(&self, input: &'a [u8], event: &Event) -> Cow<'a, [u8]> {
        match event.data {
            EventData::None => Cow::Borrowed(b""),
            EventData::One(span) => Cow::Borrowed(span.of(input)),
            EventData::Many => {
                let lines: Vec<&[u8]> = self.data.iter().map(|line| line.of(input)).collect();
                Cow::Owned(lines.join(&b'\n'))
            }
        }
    }

    fn dispatch(&mut self, used: usize) -> Event {
        (self.looked_at, self.line_at) = (0, 0);
        self.is_dispatched = true;
        let data = match self.data[..] {
            [] => EventData::None,
            [one] => EventData::One(one),
            _ => EventData::Many,
        };
        Event { used, data, name: self.name, lead: std::mem::take(&mut self.lead) }
    }

    /// A byte order mark may stand before the first line of a stream.
    fn without_bom(&mut self, input: &[u8], line: Span) -> Span {
        let is_first = !std::mem::replace(&mut self.is_past_first_line, true);
        if is_first && line.of(input).starts_with(b"\xEF\xBB\xBF") {
            return Span::new(line.start as usize + 3, line.end as usize);
        }
        line
    }

    fn take_line(&mut self, input: &[u8], line: Span) {
        if let Some(value) = field(input, line, b"data") {
            self.data.push(value);
        } else if let Some(value) = field(input, line, b"event") {
            self.name = Some(value);
        }
    }
}

/// The value of the line when it is this field: behind the colon and one space, or empty without a colon.
fn field(input: &[u8], line: Span, name: &[u8]) -> Option<Span> {
    let rest = line.of(input).strip_prefix(name)?;
    let skip = match rest {
        [] => 0,
        [b':', b' ', ..] => 2,
        [b':', ..] => 1,
        _ => return None,
    };
    Some(Span::new(line.start as usize + name.len() + skip, line.end as usize))
}

/// Whether an event's data is the marker that ends OpenAI's streams.
pub fn is_done_marker(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

#[cfg(test)]
mod tests;
