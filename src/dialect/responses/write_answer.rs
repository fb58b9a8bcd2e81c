//! Writes a whole answer as one response object.

use super::item::Status;
use super::output::{Moment, Output};
use crate::dialect::middle::{Block, Event, Told};

/// Collects the events of a whole answer and writes the client's document.
pub struct AnswerWriter {
    output: Output,
}

impl AnswerWriter {
    pub fn new(told: Told) -> AnswerWriter {
        AnswerWriter { output: Output::new(told) }
    }

    pub fn event(&mut self, event: &Event<'_>) {
        let output = &mut self.output;
        match event {
            Event::Start(start) => output.start(start),
            Event::Open { at, block } => {
                if let Block::ToolCall { signature: Some(signature), .. } = block {
                    output.add_call_state(signature);
                }
                output.open(*at, block);
            }
            Event::Delta { at, delta } => {
                if let Some(slot) = output.slot(*at) {
                    output.add(slot, delta);
                }
            }
            Event::Close { at } => {
                if let Some(slot) = output.slot(*at) {
                    output.close(slot);
                }
            }
            Event::Finish { choice: 0, finish } => output.finish(finish.reason),
            Event::Usage(usage) => output.usage.merge(*usage),
            Event::Finish { .. } | Event::Error(_) | Event::Ping | Event::Surplus | Event::End => {}
        }
    }

    /// Appends the JSON document.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        for index in 0..self.output.items.len() {
            self.output.items[index].status = self.output.status_of(index);
        }
        // In front of the text, as many programs take the last item for the answer; in a stream the text is over by then.
        for index in (0..self.output.items.len()).rev() {
            if self.output.has_text_state(index) {
                let mut state = self.output.text_state(index);
                state.status = Status::Completed;
                self.output.items.insert(index, state);
            }
        }
        self.output.write(Moment::Ended, out);
    }
}
