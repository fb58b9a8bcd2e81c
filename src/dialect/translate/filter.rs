//! What stands between reader and writer: tools get their own names back, and a tool that stands for a format of the answer
//! becomes text again.

use crate::dialect::middle::{Arguments, Block, Delta, Event, Finish, FinishReason, Place, Text, Written};

/// Undoes in the answer what the request's writer did to tools.
pub(super) struct Filter {
    renamed: Vec<(String, String)>,
    answer_tool: Option<&'static str>,
    /// Blocks that are unwrapped.
    unwrapped: Vec<Place>,
    /// Choices that call tools of the client's.
    calling: Vec<u32>,
}

impl Filter {
    pub(super) fn new(written: &Written) -> Filter {
        let Written { renamed_tools, answer_tool } = written.clone();
        Filter { renamed: renamed_tools, answer_tool, unwrapped: Vec::new(), calling: Vec::new() }
    }

    /// Hands the event on, changed where it must be.
    pub(super) fn pass(&mut self, event: Event<'_>, next: &mut dyn FnMut(&Event<'_>)) {
        if self.answer_tool.is_none() && self.renamed.is_empty() {
            return next(&event);
        }
        match event {
            Event::Open { at, block: Block::ToolCall { id, name, is_custom, signature } } => {
                if self.answer_tool.is_some_and(|tool| name.is(tool)) {
                    self.unwrapped.push(at);
                    return next(&Event::Open { at, block: Block::Text });
                }
                if !self.calling.contains(&at.choice) {
                    self.calling.push(at.choice);
                }
                let own = self.renamed.iter().find(|(sent, _)| name.is(sent));
                let name = own.map_or(name, |(_, own)| Text::of(own));
                next(&Event::Open { at, block: Block::ToolCall { id, name, is_custom, signature } });
            }
            Event::Delta { at, delta: Delta::Arguments(piece) } if self.unwrapped.contains(&at) => {
                let text = match piece {
                    Arguments::Piece(text) => text,
                    Arguments::Whole(raw) => Text::of_json(raw),
                };
                next(&Event::Delta { at, delta: Delta::Text(text) });
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str) -> Event<'static> {
        let (id, name) = (Text::of("c1"), Text::of(name));
        Event::Open {
            at: Place::default(),
            block: Block::ToolCall { id, name, is_custom: false, signature: None },
        }
    }

    fn finish() -> Event<'static> {
        let finish = Finish { reason: FinishReason::ToolCalls, stop_sequence: None };
        Event::Finish { choice: 0, finish }
    }

    fn passed(written: &Written, events: Vec<Event<'static>>) -> Vec<String> {
        let (mut filter, mut out) = (Filter::new(written), Vec::new());
        for event in events {
            filter.pass(event, &mut |event| out.push(format!("{event:?}")));
        }
        out
    }

    #[test]
    fn a_renamed_tool_gets_its_name_back() {
        let written =
            Written { renamed_tools: vec![("short".into(), "long name".into())], ..Written::default() };
        let got = passed(&written, vec![call("short"), finish()]);
        assert_eq!(got, [format!("{:?}", call("long name")), format!("{:?}", finish())]);
    }

    #[test]
    fn the_tool_that_stands_for_the_answer_becomes_text() {
        let written = Written { answer_tool: Some("answer"), ..Written::default() };
        let piece = Delta::Arguments(Arguments::Whole(br#"{"a":1}"#));
        let got = passed(
            &written,
            vec![call("answer"), Event::Delta { at: Place::default(), delta: piece }, finish()],
        );
        let stop = Finish { reason: FinishReason::Stop, stop_sequence: None };
        let want = [
            Event::Open { at: Place::default(), block: Block::Text },
            Event::Delta { at: Place::default(), delta: Delta::Text(Text::of_json(br#"{"a":1}"#)) },
            Event::Finish { choice: 0, finish: stop },
        ];
        assert_eq!(got, want.map(|event| format!("{event:?}")));
    }
}
