//! What stands between reader and writer: tools get their own names back, the input of a custom tool becomes a text again,
//! and so does the input of a tool that stands for a format of the answer.

use crate::dialect::middle::{Arguments, Block, Delta, Event, Finish, FinishReason, Place, Text, Written};
use crate::wire::json::Node;

/// Undoes in the answer what the request's writer did to tools.
pub(super) struct Filter {
    written: Written,
    /// Blocks of the tool that stands for the answer.
    unwrapped: Vec<Place>,
    /// Calls of custom tools, with what has come of their input.
    custom: Vec<(Place, Vec<u8>)>,
    /// Choices that call tools of the client's.
    calling: Vec<u32>,
}

impl Filter {
    pub(super) fn new(written: &Written) -> Filter {
        let written = written.clone();
        Filter { written, unwrapped: Vec::new(), custom: Vec::new(), calling: Vec::new() }
    }

    /// Hands the event on, changed where it must be.
    pub(super) fn pass(&mut self, event: Event<'_>, next: &mut dyn FnMut(&Event<'_>)) {
        let Written { renamed_tools, custom_tools, answer_tool } = &self.written;
        if answer_tool.is_none() && renamed_tools.is_empty() && custom_tools.is_empty() {
            return next(&event);
        }
        match event {
            Event::Open { at, block: Block::ToolCall { id, name, is_custom, signature } } => {
                let call = Block::ToolCall { id, name, is_custom, signature };
                next(&Event::Open { at, block: self.opened(at, call) });
            }
            Event::Delta { at, delta: Delta::Arguments(piece) } => self.argued(at, piece, next),
            Event::Close { at } => {
                if let Some(index) = self.custom.iter().position(|(place, _)| *place == at) {
                    let (_, input) = self.custom.swap_remove(index);
                    next(&Event::Delta { at, delta: Delta::Arguments(Arguments::Piece(input_of(&input))) });
                }
                next(&Event::Close { at });
            }
            Event::Finish { choice, finish }
                if finish.reason == FinishReason::ToolCalls
                    && self.unwrapped.iter().any(|at| at.choice == choice)
                    && !self.calling.contains(&choice) =>
            {
                next(&Event::Finish { choice, finish: Finish { reason: FinishReason::Stop, ..finish } });
            }
            event => next(&event),
        }
    }

    fn opened<'a>(&mut self, at: Place, call: Block<'a>) -> Block<'a> {
        let Block::ToolCall { id, name, is_custom, signature } = call else { return call };
        if self.written.answer_tool.is_some_and(|tool| name.is(tool)) {
            self.unwrapped.push(at);
            return Block::Text;
        }
        if !self.calling.contains(&at.choice) {
            self.calling.push(at.choice);
        }
        let own = self.written.renamed_tools.iter().find(|(sent, _)| name.is(sent));
        let name = own.map_or(name, |(_, own)| Text::of(own));
        let was_wrapped = self.written.custom_tools.iter().any(|tool| name.is(tool));
        if was_wrapped {
            self.custom.push((at, Vec::new()));
        }
        Block::ToolCall { id, name, is_custom: is_custom || was_wrapped, signature }
    }

    fn argued(&mut self, at: Place, piece: Arguments<'_>, next: &mut dyn FnMut(&Event<'_>)) {
        if let Some((_, input)) = self.custom.iter_mut().find(|(place, _)| *place == at) {
            match piece {
                Arguments::Piece(text) => input.extend_from_slice(text.as_escaped()),
                Arguments::Whole(raw) => input.extend_from_slice(Text::of_json(raw).as_escaped()),
            }
            return;
        }
        let delta = match piece {
            Arguments::Piece(text) if self.unwrapped.contains(&at) => Delta::Text(text),
            Arguments::Whole(raw) if self.unwrapped.contains(&at) => Delta::Text(Text::of_json(raw)),
            piece => Delta::Arguments(piece),
        };
        next(&Event::Delta { at, delta });
    }
}

/// The text that the member `input` of a custom tool's arguments holds; the arguments as they are when they are another
/// thing.
fn input_of(escaped: &[u8]) -> Text<'static> {
    let arguments = Text::escaped(escaped).decoded().into_owned();
    let node = Node::document(arguments.as_bytes(), &mut Vec::new()).ok();
    let input = node.and_then(|node| node.get("input")).and_then(Node::text);
    input.map_or_else(|| Text::of(&arguments), |input| Text::of(&input))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, is_custom: bool) -> Event<'static> {
        let (id, name) = (Text::of("c1"), Text::of(name));
        Event::Open { at: Place::default(), block: Block::ToolCall { id, name, is_custom, signature: None } }
    }

    fn finish() -> Event<'static> {
        let finish = Finish { reason: FinishReason::ToolCalls, stop_sequence: None };
        Event::Finish { choice: 0, finish }
    }

    fn whole(raw: &'static [u8]) -> Event<'static> {
        Event::Delta { at: Place::default(), delta: Delta::Arguments(Arguments::Whole(raw)) }
    }

    fn check(written: &Written, events: Vec<Event<'static>>, want: &[Event<'static>]) {
        let (mut filter, mut out) = (Filter::new(written), Vec::new());
        for event in events {
            filter.pass(event, &mut |event| out.push(format!("{event:?}")));
        }
        assert_eq!(out, want.iter().map(|event| format!("{event:?}")).collect::<Vec<_>>());
    }

    #[test]
    fn a_renamed_tool_gets_its_name_back() {
        let written =
            Written { renamed_tools: vec![("short".into(), "long name".into())], ..Written::default() };
        check(&written, vec![call("short", false), finish()], &[call("long name", false), finish()]);
    }

    #[test]
    fn the_tool_that_stands_for_the_answer_becomes_text() {
        let written = Written { answer_tool: Some("answer"), ..Written::default() };
        let stop = Finish { reason: FinishReason::Stop, stop_sequence: None };
        let want = [
            Event::Open { at: Place::default(), block: Block::Text },
            Event::Delta { at: Place::default(), delta: Delta::Text(Text::of_json(br#"{"a":1}"#)) },
            Event::Finish { choice: 0, finish: stop },
        ];
        check(&written, vec![call("answer", false), whole(br#"{"a":1}"#), finish()], &want);
    }

    #[test]
    fn the_input_of_a_custom_tool_is_a_text_again() {
        let written = Written { custom_tools: vec!["shell".into()], ..Written::default() };
        let close = || Event::Close { at: Place::default() };
        let text = |text: &str| Event::Delta {
            at: Place::default(),
            delta: Delta::Arguments(Arguments::Piece(Text::of(text))),
        };
        let events = vec![call("shell", false), whole(br#"{"input":"ls \"a\""}"#), close()];
        check(&written, events, &[call("shell", true), text("ls \"a\""), close()]);
        let events = vec![call("shell", false), whole(br#"{"other":1}"#), close()];
        check(&written, events, &[call("shell", true), text(r#"{"other":1}"#), close()]);
    }
}
