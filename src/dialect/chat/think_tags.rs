//! Thoughts between `<think>` and `</think>` at the beginning of the content, as some servers send them. Takes the content in
//! any pieces, spelled as JSON spells it, and says which of it is thought and which is text. Tags anywhere else are text.

use super::assemble::Prose;
use super::complete::character;

/// Where in the content a choice is.
#[derive(Clone, Debug, Default)]
pub(super) struct ThinkTags {
    state: State,
    /// What may be a part of a tag, or the white space before one, as it is spelled.
    held: Vec<u8>,
    /// How much of the tag is there.
    matched: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but white space came yet, or the beginning of the tag.
    #[default]
    Before,
    /// White space behind the tag.
    Opened,
    Inside,
    /// White space behind the closing tag.
    Closed,
    Behind,
}

impl ThinkTags {
    /// Takes a piece of the content and hands on what is certain, each with its kind.
    pub fn take(&mut self, piece: &[u8], next: &mut dyn FnMut(Prose, &[u8])) {
        let mut at = 0;
        let mut run = Vec::new();
        while at < piece.len() {
            if self.state == State::Behind {
                return next(Prose::Text, &piece[at..]);
            }
            let (byte, used) = character(&piece[at..]);
            let used = used.min(piece.len() - at);
            self.character(byte, &piece[at..at + used], &mut run);
            at += used;
            if !matches!(self.state, State::Inside) && !run.is_empty() {
                let kind = if self.state == State::Behind { Prose::Text } else { Prose::Thinking };
                next(kind, &run);
                run.clear();
            }
        }
        if !run.is_empty() {
            next(Prose::Thinking, &run);
        }
    }

    /// The content is at its end: what was held is what it looks like.
    pub fn finish(&mut self, next: &mut dyn FnMut(Prose, &[u8])) {
        let held = std::mem::take(&mut self.held);
        match self.state {
            State::Inside if !held.is_empty() => next(Prose::Thinking, &held),
            State::Before if !held.is_empty() => next(Prose::Text, &held),
            _ => {}
        }
        self.state = State::Behind;
    }

    /// Takes one character; what is certain by it is added to `run`, and is of the kind of the state that follows, unless
    /// that is a closed one: then it was a thought.
    fn character(&mut self, byte: u8, spelled: &[u8], run: &mut Vec<u8>) {
        let is_space = byte.is_ascii_whitespace();
        match self.state {
            State::Before => {
                self.held.extend_from_slice(spelled);
                if self.matched == 0 && is_space {
                    return;
                }
                if byte != OPEN[self.matched] {
                    self.state = State::Behind;
                    return run.append(&mut self.held);
                }
                self.matched += 1;
                if self.matched == OPEN.len() {
                    self.enter(State::Opened);
                }
            }
            State::Opened | State::Closed if is_space => {}
            State::Closed => {
                self.state = State::Behind;
                run.extend_from_slice(spelled);
            }
            State::Opened | State::Inside => {
                self.state = State::Inside;
                if byte != CLOSE[self.matched] {
                    run.append(&mut self.held);
                    self.matched = 0;
                }
                // The first byte of the tag stands nowhere else in it.
                if byte != CLOSE[self.matched] {
                    return run.extend_from_slice(spelled);
                }
                self.held.extend_from_slice(spelled);
                self.matched += 1;
                if self.matched == CLOSE.len() {
                    self.enter(State::Closed);
                }
            }
            State::Behind => run.extend_from_slice(spelled),
        }
    }

    fn enter(&mut self, state: State) {
        (self.state, self.matched) = (state, 0);
        self.held.clear();
    }
}

pub(super) const OPEN: &[u8] = b"<think>";
pub(super) const CLOSE: &[u8] = b"</think>";

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> (String, String) {
        let (mut thought, mut text) = (Vec::new(), Vec::new());
        let mut tags = ThinkTags::default();
        let mut next = |kind: Prose, piece: &[u8]| match kind {
            Prose::Thinking => thought.extend_from_slice(piece),
            _ => text.extend_from_slice(piece),
        };
        pieces.iter().for_each(|piece| tags.take(piece, &mut next));
        tags.finish(&mut next);
        (String::from_utf8(thought).expect("UTF-8"), String::from_utf8(text).expect("UTF-8"))
    }

    /// The beginnings of the characters, where a JSON string can be cut.
    fn cuts(text: &str) -> Vec<usize> {
        let (mut at, mut cuts) = (0, vec![0]);
        while at < text.len() {
            at += match character(&text.as_bytes()[at..]) {
                (0xFF, 1) => text[at..].chars().next().map_or(1, char::len_utf8),
                (_, used) => used,
            };
            cuts.push(at);
        }
        cuts
    }

    #[test]
    fn tags_are_found_at_the_beginning_only_and_at_every_cut() {
        for (content, thought, text) in [
            ("<think>Hm.</think>Yes.", "Hm.", "Yes."),
            (r"\n<think>\nHm.\n</think>\n\nYes.\n", r"Hm.\n", r"Yes.\n"),
            (r"\u003cthink\u003eä < </thin </ </think\u003e<think>Yes", "ä < </thin </ ", "<think>Yes"),
            ("Yes <think>no</think>", "", "Yes <think>no</think>"),
            (r" \n<thin", "", r" \n<thin"),
            ("<think>never closed </th", "never closed </th", ""),
            ("<think></think>Yes", "", "Yes"),
            ("<<think>", "", "<<think>"),
            ("", "", ""),
        ] {
            for cut in cuts(content) {
                let pieces = [&content.as_bytes()[..cut], &content.as_bytes()[cut..]];
                assert_eq!(split(&pieces), (thought.to_owned(), text.to_owned()), "{content} at {cut}");
            }
        }
    }
}
