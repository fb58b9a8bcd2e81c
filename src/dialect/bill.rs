//! What an answer says beside its usage that decides what it costs: the class of service, and calls of the provider's own
//! tools. Found by words as the bytes pass, so that no answer has to be held or read whole for it.
//!
//! In a text of an answer each quote has a backslash in front, so a word with bare quotes is never part of a text.

use super::endpoint::Grammar;
use super::words;
use crate::ledger::usage::{Mode, ServerTool, ToolCalls, Usage};

/// A watch over the body of one whole (not streamed) answer.
#[derive(Clone, Debug, Default)]
pub struct Bill {
    /// The end of what has passed, in which a word may have begun.
    carry: Vec<u8>,
    searches: Searches,
}

impl Bill {
    /// Looks at more of the body.
    pub fn take(&mut self, grammar: Grammar, input: &[u8], usage: &mut Usage) {
        self.take_last(grammar, input, usage);
        if matches!(grammar, Grammar::Chat | Grammar::Responses) {
            self.keep_end(input);
        }
    }

    /// Looks at the rest of the body.
    pub fn take_last(&mut self, grammar: Grammar, input: &[u8], usage: &mut Usage) {
        match grammar {
            Grammar::Chat | Grammar::Responses => {}
            Grammar::Gemini => return self.searches.take(input, usage),
            Grammar::Messages | Grammar::Converse => return,
        }
        if self.carry.is_empty() {
            look(grammar, input, 0, usage);
        } else {
            // What ends in the carry was seen before; what begins in it ends within as many bytes behind it.
            let seen = self.carry.len();
            self.carry.extend_from_slice(&input[..input.len().min(CARRY_BYTES)]);
            look(grammar, &self.carry, seen, usage);
            look(grammar, input, self.carry.len() - seen, usage);
            self.carry.truncate(seen);
        }
    }

    fn keep_end(&mut self, input: &[u8]) {
        if input.len() >= CARRY_BYTES {
            self.carry.clear();
        }
        self.carry.extend_from_slice(&input[input.len().saturating_sub(CARRY_BYTES)..]);
        let surplus = self.carry.len().saturating_sub(CARRY_BYTES);
        self.carry.drain(..surplus);
    }
}

/// The searches that an answer of Gemini's lists: the texts of its lists of queries, counted as they pass.
#[derive(Clone, Debug, Default)]
struct Searches {
    /// The end of what has passed, in which the key may have begun.
    carry: Vec<u8>,
    place: Place,
    count: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    /// Behind the key, or in the list between its texts.
    Between,
    InText,
    /// Behind a backslash.
    InEscape,
}

impl Searches {
    fn take(&mut self, input: &[u8], usage: &mut Usage) {
        let mut at = 0;
        while at < input.len() {
            at = match self.place {
                Place::Outside => self.find_key(&input[at..]).map_or(input.len(), |end| at + end),
                _ => {
                    self.step(input[at]);
                    at + 1
                }
            };
        }
        if self.count > 0 {
            usage.tools = ToolCalls::default();
            usage.tools.add(ServerTool::WebSearch, self.count);
        }
    }

    /// Looks for the key, and gives the place behind it.
    fn find_key(&mut self, input: &[u8]) -> Option<usize> {
        let key = words::SEARCHES.needle();
        let seen = self.carry.len();
        self.carry.extend_from_slice(&input[..input.len().min(key.len())]);
        let in_both = words::SEARCHES.find(&self.carry).map(|begin| begin + key.len() - seen);
        let end = in_both.or_else(|| words::SEARCHES.find(input).map(|begin| begin + key.len()));
        self.carry.truncate(seen);
        if end.is_some() {
            self.carry.clear();
            self.place = Place::Between;
            return end;
        }
        // One byte less than the key: what holds all of it was found.
        self.carry.extend_from_slice(&input[input.len().saturating_sub(key.len() - 1)..]);
        let surplus = self.carry.len().saturating_sub(key.len() - 1);
        self.carry.drain(..surplus);
        None
    }

    fn step(&mut self, byte: u8) {
        self.place = match (self.place, byte) {
            (Place::Between, b'"') => {
                self.count += 1;
                Place::InText
            }
            // The list's end, or a value that is no list.
            (Place::Between, b']' | b'}' | b'n') => Place::Outside,
            (Place::InText, b'\\') => Place::InEscape,
            (Place::InText, b'"') => Place::Between,
            (Place::InEscape, _) => Place::InText,
            (place, _) => place,
        };
    }
}

/// Notes what ends behind `seen`.
fn look(grammar: Grammar, bytes: &[u8], seen: usize, usage: &mut Usage) {
    for at in words::SERVICE_TIER.find_iter(bytes) {
        if let Some((word, end)) = text_behind(bytes, at + words::SERVICE_TIER.needle().len())
            && end > seen
        {
            usage.mode = Mode::of_word(word).or(usage.mode);
        }
    }
    if grammar != Grammar::Responses {
        return;
    }
    for at in words::CALL.find_iter(bytes) {
        let end = at + words::CALL.needle().len();
        let kind = bytes[..end].strip_suffix(b"\"").map(|all| {
            let begin = all.iter().rposition(|&b| b == b'"').map_or(all.len(), |quote| quote + 1);
            (&all[begin..], begin)
        });
        if let Some((kind, begin)) = kind
            && end > seen
            && is_type(&bytes[..begin.saturating_sub(1)])
            && let Some(tool) = std::str::from_utf8(kind).ok().and_then(tool_of)
        {
            usage.tools.add(tool, 1);
        }
    }
}

/// The tool whose call an item of a response's output is. Calls that the client answers are none, and calls of MCP servers
/// cost nothing at the provider.
pub(super) fn tool_of(kind: &str) -> Option<ServerTool> {
    match kind {
        "web_search_call" => Some(ServerTool::WebSearch),
        "file_search_call" => Some(ServerTool::FileSearch),
        "code_interpreter_call" => Some(ServerTool::CodeExecution),
        "image_generation_call" => Some(ServerTool::Other),
        _ => None,
    }
}

/// The string that is the value of a member whose key ends here, and its end.
fn text_behind(bytes: &[u8], at: usize) -> Option<(&str, usize)> {
    let skip = |at: usize| at + bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    let colon = skip(at);
    let quote = skip(colon + usize::from(bytes.get(colon) == Some(&b':')));
    let rest = bytes.get(quote + 1..).filter(|_| bytes.get(quote) == Some(&b'"'))?;
    let len = memchr::memchr(b'"', &rest[..rest.len().min(CARRY_BYTES)])?;
    Some((std::str::from_utf8(&rest[..len]).ok()?, quote + 1 + len + 1))
}

/// Whether what follows is the value of a member `type`.
fn is_type(before: &[u8]) -> bool {
    let key = before.trim_ascii_end().strip_suffix(b":").map(<[u8]>::trim_ascii_end);
    key.is_some_and(|key| key.ends_with(b"\"type\""))
}

/// More than any of the words with its value, in bytes.
const CARRY_BYTES: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"output":[{"type":"web_search_call","id":"web_search_call"},{ "type" : "function_call","arguments":"{\"type\":\"web_search_call\",\"service_tier\":\"flex\"}"},
        {"type": "web_search_call"},{"type":"file_search_call"},{"type":"message","content":[{"text":"\"service_tier\":\"batch\""}]}],
        "include":["web_search_call.results"],"service_tier" : "priority","usage":{"input_tokens":1}}"#;

    #[test]
    fn every_cut_of_an_answer_tells_the_same() {
        let check = |pieces: &[&[u8]]| {
            let (mut bill, mut usage) = (Bill::default(), Usage::default());
            pieces.iter().for_each(|piece| bill.take(Grammar::Responses, piece, &mut usage));
            assert_eq!(
                (usage.mode, usage.tools.0),
                (Some(Mode::Priority), [2, 0, 1, 0, 0]),
                "{}",
                pieces.len()
            );
        };
        let all = ANSWER.as_bytes();
        check(&[all]);
        for cut in 0..=all.len() {
            check(&[&all[..cut], &all[cut..]]);
        }
        for size in 1..40 {
            check(&all.chunks(size).collect::<Vec<_>>());
        }
    }

    #[test]
    fn searches_of_gemini_are_counted_at_every_cut() {
        let answer = r#"{"candidates":[{"content":{"parts":[{"text":"\"webSearchQueries\":[\"x\"]"}]},"groundingMetadata":{"webSearchQueries" : ["a \"]\" b", "c\\"],"groundingChunks":[{"web":{"uri":"u"}}]}},
            {"groundingMetadata":{"webSearchQueries":[]}},{"groundingMetadata":{"webSearchQueries":["d"]}}],"usageMetadata":{"promptTokenCount":1}}"#;
        let check = |answer: &str, pieces: &[&[u8]], want: u32| {
            let (mut bill, mut usage) = (Bill::default(), Usage::default());
            pieces.iter().for_each(|piece| bill.take(Grammar::Gemini, piece, &mut usage));
            assert_eq!(usage.tools.of(ServerTool::WebSearch), want, "{} {answer:.40}", pieces.len());
        };
        let all = answer.as_bytes();
        for cut in 0..=all.len() {
            check(answer, &[&all[..cut], &all[cut..]], 3);
        }
        for size in 1..40 {
            check(answer, &all.chunks(size).collect::<Vec<_>>(), 3);
        }
        let none = r#"{"groundingMetadata":{"webSearchQueries":null,"searchEntryPoint":{"a":"b"}}}"#;
        check(none, &[none.as_bytes()], 0);
    }

    #[test]
    fn chat_has_a_class_of_service_and_no_calls() {
        let mut usage = Usage::default();
        Bill::default().take(Grammar::Chat, ANSWER.as_bytes(), &mut usage);
        assert_eq!((usage.mode, usage.tools.is_empty()), (Some(Mode::Priority), true));
        let mut usage = Usage::default();
        let unclear = br#"{"service_tier":null,"x":{"service_tier":"auto"}}"#;
        Bill::default().take(Grammar::Chat, unclear, &mut usage);
        assert_eq!(usage, Usage::default());
    }
}
