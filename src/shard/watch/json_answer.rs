//! What a JSON answer says of itself as it passes: its usage, the model that made it, and about how much it says.

use std::borrow::Cow;
use std::rc::Rc;

use super::Turn;
use crate::dialect::bill::Bill;
use crate::dialect::endpoint::Grammar;
use crate::dialect::{estimate, facts};
use crate::ledger::usage::Usage;
use crate::wire::json::{self, Capture, Kind, Node};

/// A JSON answer that passes in its own dialect.
pub struct JsonAnswer {
    grammar: Grammar,
    /// The model that was asked for.
    asked: Rc<str>,
    /// What came so far, where it comes in pieces.
    capture: Option<Box<Capture>>,
    bill: Bill,
    /// About so many tokens, where no usage is stated.
    pub tokens: u64,
    /// The model that it names, where that is another one and all of it came at once.
    other_model: String,
}

impl JsonAnswer {
    pub fn new(grammar: Grammar, asked: &Rc<str>) -> JsonAnswer {
        let (capture, bill, other_model) = (None, Bill::default(), String::new());
        JsonAnswer { grammar, asked: asked.clone(), capture, bill, tokens: 0, other_model }
    }

    /// Looks for usage and model: at once when all of it is here, piece by piece otherwise. Counts about how many tokens this
    /// turn says where usage was not found at once.
    pub fn take(&mut self, turn: &Turn<'_>, members: &mut Vec<json::Member>, usage: &mut Usage) {
        let (grammar, keys) = (self.grammar, facts::answer_keys(self.grammar));
        if let (None, [only], true) = (&self.capture, turn.spans, turn.is_end) {
            let answer = only.of(turn.input);
            self.bill.take_last(grammar, answer, usage);
            let model = facts::answered_model(grammar, answer, members).unwrap_or_default();
            if *model != *self.asked {
                self.other_model = model.into_owned();
            }
            match json::object_value(answer, keys[0], members) {
                Some(object) => usage.merge(facts::read_scanned_usage(grammar, object, members)),
                None => self.tokens = estimate::tokens_of_answer(answer),
            }
            return;
        }
        let capture = self.capture.get_or_insert_with(|| Box::new(Capture::new(keys)));
        for data in turn.spans.iter().map(|span| span.of(turn.input)) {
            self.bill.take(grammar, data, usage);
            capture.step(data);
        }
        // Most of these say at their end what they used: their texts are not looked at.
        let bytes = turn.spans.iter().map(|span| span.len() as u64).sum::<u64>();
        self.tokens += bytes / estimate::BYTES_PER_TOKEN;
    }

    /// The JSON came to its own end, as far as it was followed.
    pub fn ended_well(&self) -> bool {
        self.capture.as_ref().is_none_or(|capture| capture.ended_well())
    }

    /// The usage that it states, where it came in pieces.
    pub fn state_usage(&self, usage: &mut Usage) {
        if let Some((value, Kind::Object)) = self.captured(0) {
            usage.merge(facts::read_usage(self.grammar, value));
        }
    }

    /// The model that it names, where that is another one than was asked for; empty where it names none.
    pub fn other_model(&self) -> Cow<'_, str> {
        match &self.capture {
            Some(_) => {
                let named = self.captured(1).and_then(|(value, _)| Node::scanned(value).text());
                named.filter(|model| **model != *self.asked).unwrap_or_default()
            }
            None => (&*self.other_model).into(),
        }
    }

    fn captured(&self, key: usize) -> Option<(&[u8], Kind)> {
        self.capture.as_ref()?.value(facts::answer_keys(self.grammar)[key])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Span;

    /// What an answer that comes in these pieces says: its usage, and the other model.
    fn said(asked: &str, pieces: &[&str]) -> (Usage, String) {
        let mut answer = JsonAnswer::new(Grammar::Chat, &asked.into());
        let mut usage = Usage::default();
        for (at, piece) in pieces.iter().enumerate() {
            let spans = [Span::new(0, piece.len())];
            let turn = Turn { input: piece.as_bytes(), spans: &spans, is_end: at + 1 == pieces.len() };
            answer.take(&turn, &mut Vec::new(), &mut usage);
        }
        assert!(answer.ended_well());
        answer.state_usage(&mut usage);
        (usage, answer.other_model().into_owned())
    }

    #[test]
    fn an_answer_says_the_same_at_once_and_in_pieces() {
        let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#;
        let counted = Usage { input: Some(3), output: Some(4), stated_total: Some(7), ..Usage::default() };
        for (named, other) in [
            (r#""model":"m","#, ""),
            (r#""model":"m-2026","#, "m-2026"),
            (r#""model":"\u006d","#, ""),
            (r#""model":"\u006d2","#, "m2"),
            (r#""model":"","#, ""),
            (r#""model":5,"#, ""),
            ("", ""),
        ] {
            let answer = format!(r#"{{"id":"a",{named}"choices":[],{usage}}}"#);
            let want = (counted, other.to_owned());
            assert_eq!(said("m", &[&answer]), want, "{answer}");
            for cut in 1..answer.len() {
                let (front, back) = answer.split_at(cut);
                assert_eq!(said("m", &[front, back]), want, "{answer} cut at {cut}");
            }
        }
    }
}
