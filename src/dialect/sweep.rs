//! Requests that pass in their own dialect: what another vendor signed is taken out, and what this one signed gets its own
//! spelling back. A conversation that went through several providers holds such state of all of them, each marked with its
//! vendor's name ([`Signature`]). Nothing else is looked at, and a body without a mark costs one search.

use super::endpoint::Grammar;
use super::gemini;
use super::middle::{ReasoningStyle, Rules, Signature, Text};
use super::words;
use crate::base::Span;
use crate::wire::json::{self, Kind, Node};

/// Places of a body and what stands there instead.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// In the body's order; they do not overlap.
    pub changes: Vec<(Span, Vec<u8>)>,
    /// Something of another vendor was taken out.
    pub has_foreign: bool,
}

/// What must change in a scanned body, an object, before a provider under these rules gets it.
pub fn sweep(grammar: Grammar, document: &[u8], rules: &Rules) -> Swept {
    let mark = if grammar == Grammar::Gemini { &words::GEMINI_MARK } else { &words::MARK };
    if mark.find(document).is_none() {
        return Swept::default();
    }
    let mut sweep = Sweep { grammar, document, rules, swept: Swept::default() };
    let key = match grammar {
        Grammar::Chat | Grammar::Messages => "messages",
        Grammar::Responses => "input",
        Grammar::Gemini => "contents",
        Grammar::Converse => return Swept::default(),
    };
    if let Some(turns) = Node::scanned(document).get(key)
        && sweep.items(turns, Sweep::turn) == Fate::Goes
    {
        let place = turns.place_in(sweep.document);
        sweep.swept.changes.push((place, b"[]".to_vec()));
    }
    sweep.swept.changes.sort_by_key(|(place, _)| place.start);
    sweep.swept
}

/// How the member that names what was taken out is called in a dialect.
pub fn name(grammar: Grammar) -> &'static str {
    match grammar {
        Grammar::Chat => "messages.thinking_blocks",
        Grammar::Responses => "input.reasoning",
        Grammar::Gemini => "contents.parts.thoughtSignature",
        Grammar::Messages | Grammar::Converse => "messages.content.thinking",
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
}

struct Sweep<'d> {
    grammar: Grammar,
    document: &'d [u8],
    rules: &'d Rules,
    swept: Swept,
}

impl<'d> Sweep<'d> {
    /// A message, an item of the input, or a content.
    fn turn(&mut self, turn: Node<'d>) -> Fate {
        match self.grammar {
            Grammar::Responses => self.holder(turn, "encrypted_content"),
            Grammar::Chat => self.members(turn, |sweep, key, value| match key {
                b"thinking_blocks" => sweep.items(value, Sweep::block),
                b"tool_calls" => sweep.items(value, Sweep::call),
                _ => Fate::Stays,
            }),
            _ => {
                let key = if self.grammar == Grammar::Gemini { "parts" } else { "content" };
                turn.get(key).map_or(Fate::Stays, |blocks| self.items(blocks, Sweep::block))
            }
        }
    }

    /// A block of a message, or a part of a content.
    fn block(&mut self, block: Node<'d>) -> Fate {
        if self.grammar == Grammar::Gemini {
            return self.part(block);
        }
        match block.get("type").and_then(Node::escaped).unwrap_or_default() {
            b"redacted_thinking" => self.holder(block, "data"),
            b"thinking" => self.holder(block, "signature"),
            b"tool_use" => self.members(block, |sweep, key, value| match key {
                b"signature" => sweep.state(value),
                _ => Fate::Stays,
            }),
            _ => Fate::Stays,
        }
    }

    /// What means nothing without its state.
    fn holder(&mut self, holder: Node<'d>, key: &str) -> Fate {
        holder.get(key).map_or(Fate::Stays, |state| self.state(state))
    }

    /// A thought goes with its signature, and so does an empty text, which is there for nothing else. A call stays, with
    /// the word for no signature where its model demands one.
    fn part(&mut self, part: Node<'d>) -> Fate {
        let Some(signature) = part.get("thoughtSignature") else { return Fate::Stays };
        let is_thought = part.get("thought").and_then(Node::bool) == Some(true);
        let is_empty = part.get("text").and_then(Node::escaped).is_some_and(<[u8]>::is_empty);
        let fate = self.state(signature);
        if fate == Fate::Stays || is_thought || is_empty {
            return fate;
        }
        if part.get("functionCall").is_some() && self.rules.reasoning == ReasoningStyle::Effort {
            let place = signature.place_in(self.document);
            self.swept.changes.push((place, gemini::NO_SIGNATURE.to_vec()));
        } else {
            return self.members(part, |_, key, _| match key {
                b"thoughtSignature" => Fate::Goes,
                _ => Fate::Stays,
            });
        }
        Fate::Stays
    }

    /// `{"extra_content": {"google": {"thought_signature": …}}}`, of which no empty object stays.
    fn call(&mut self, call: Node<'d>) -> Fate {
        self.members(call, |sweep, key, extra| match key {
            b"extra_content" => sweep.members(extra, |sweep, key, google| match key {
                b"google" => sweep.members(google, |sweep, key, value| match key {
                    b"thought_signature" => sweep.state(value),
                    _ => Fate::Stays,
                }),
                _ => Fate::Stays,
            }),
            _ => Fate::Stays,
        })
    }

    /// One piece of state: another vendor's goes, this one's is written as it gave it, any other is the client's own.
    fn state(&mut self, value: Node<'d>) -> Fate {
        let Some(escaped) = value.escaped() else { return Fate::Stays };
        let signature = match self.grammar {
            Grammar::Gemini => gemini::signature_from_client(Text::escaped(escaped)),
            _ => Signature::from_client(Text::escaped(escaped)),
        };
        if signature.vendor.is_empty() {
            return Fate::Stays;
        }
        if !signature.is_for(&self.rules.vendor) {
            self.swept.has_foreign = true;
            return Fate::Goes;
        }
        let mut text = Vec::new();
        signature.value.write(&mut text);
        let place = value.place_in(self.document);
        self.swept.changes.push((place, text));
        Fate::Stays
    }

    /// Takes out the elements that go. Where all of them do, none is touched: the array itself goes.
    fn items(&mut self, array: Node<'d>, mut judge: impl FnMut(&mut Self, Node<'d>) -> Fate) -> Fate {
        let mut elements = Vec::new();
        for item in array.items() {
            let place = item.place_in(self.document);
            elements.push((place, judge(self, item)));
        }
        self.take_out(&elements)
    }

    /// The same for the members of an object.
    fn members(
        &mut self,
        object: Node<'d>,
        mut judge: impl FnMut(&mut Self, &[u8], Node<'d>) -> Fate,
    ) -> Fate {
        let mut members = Vec::new();
        if object.kind() != Kind::Object || json::scan_object(object.raw(), &mut members).is_err() {
            return Fate::Stays;
        }
        let start = object.place_in(self.document).start as usize;
        let mut elements = Vec::new();
        for member in members {
            let (key, value) = (member.key.of(object.raw()), Node::scanned(member.value.of(object.raw())));
            // The key stands between its quotes.
            let place = Span::new(member.key.start as usize - 1, member.value.end as usize).shifted(start);
            elements.push((place, judge(self, key, value)));
        }
        self.take_out(&elements)
    }

    /// Takes out what goes, with one comma each.
    fn take_out(&mut self, elements: &[(Span, Fate)]) -> Fate {
        let first_kept = elements.iter().position(|(_, fate)| *fate == Fate::Stays);
        let Some(first_kept) = first_kept else {
            return if elements.is_empty() { Fate::Stays } else { Fate::Goes };
        };
        for (index, (place, _)) in elements.iter().enumerate().filter(|(_, (_, fate))| *fate == Fate::Goes) {
            let (start, end) = match index < first_kept {
                true => (place.start, elements[index + 1].0.start),
                false => (elements[index - 1].0.end, place.end),
            };
            self.swept.changes.push((Span::new(start as usize, end as usize), Vec::new()));
        }
        Fate::Stays
    }
}

#[cfg(test)]
mod tests;
