//! What a simulated model says, before any dialect writes it down. The request's wishes decide, in every dialect alike.

use serde_json::{Value, json};

use super::behaviour::{TokenWishes, Wishes};
use super::question::Question;
use super::schema;

/// An answer in the words of no dialect.
#[derive(Clone, Debug)]
pub struct Script {
    pub model: String,
    pub thought: Option<Thought>,
    /// Empty where nothing is said.
    pub text: String,
    pub is_refusal: bool,
    pub calls: Vec<Call>,
    pub finish: Finish,
    pub tokens: Tokens,
    pub choices: u64,
    pub interleave: bool,
    pub ids: bool,
    is_escaped: bool,
    pieces_count: Option<usize>,
}

/// What is thought before the answer.
#[derive(Clone, Debug)]
pub struct Thought {
    pub pieces: Vec<String>,
    pub is_redacted: bool,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub name: String,
    pub arguments: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    Stop,
    Calls,
    Length,
    Filter,
    Refusal,
    /// A word of the dialect that the request chose.
    Other(String),
}

/// Tokens of an exchange. The input is without what came from a cache or went into one, the output with reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub cached: u64,
    pub written: u64,
    pub output: u64,
    pub reasoning: u64,
}

impl Script {
    /// What is said to a question; the body is what an echo repeats.
    pub fn new(question: &Question, wishes: &Wishes, body: &[u8]) -> Script {
        let calls = if wishes.refusal { Vec::new() } else { calls(question, wishes) };
        let text = said(question, wishes, body, !calls.is_empty());
        let thought = (wishes.thinking > 0 || wishes.redacted).then(|| Thought {
            pieces: (0..wishes.thinking.max(1)).map(|index| format!("thought{index} ")).collect(),
            is_redacted: wishes.redacted,
        });
        let finish = match wishes.finish.as_deref() {
            Some("length") => Finish::Length,
            Some("filter") => Finish::Filter,
            Some("stop") => Finish::Stop,
            Some(other) => Finish::Other(other.to_owned()),
            None if wishes.refusal => Finish::Refusal,
            None if !calls.is_empty() => Finish::Calls,
            None => Finish::Stop,
        };
        let thoughts = thought.as_ref().map_or(0, |thought| thought.pieces.len() as u64);
        let made = words(&text) + calls.iter().map(|call| call.text().len() as u64 / 4 + 1).sum::<u64>();
        Script {
            model: question.model.clone(),
            thought,
            text,
            is_refusal: wishes.refusal,
            finish,
            tokens: Tokens::new(&wishes.tokens, question.input_bytes as u64 / 4 + 1, made, thoughts),
            choices: question.choices.clamp(1, CHOICES_MAX),
            interleave: wishes.interleave,
            ids: wishes.ids,
            is_escaped: wishes.escaped,
            pieces_count: wishes.events.filter(|_| !calls.is_empty() || wishes.has_own_text()),
            calls,
        }
    }

    /// Whether one text, said to the end, is all that there is.
    pub fn is_plain(&self) -> bool {
        self.calls.is_empty()
            && self.thought.is_none()
            && !self.is_refusal
            && !self.is_escaped
            && self.finish == Finish::Stop
            && self.choices == 1
    }

    /// The pieces in which a stream brings the text: as many as were asked for, or words, or parts where there are none.
    pub fn pieces(&self) -> Vec<&str> {
        match self.pieces_count {
            Some(count) if count > 0 => {
                let chars = self.text.chars().count();
                parts(&self.text, |index| (index + 1) * chars.div_ceil(count))
            }
            _ if self.text.contains(' ') => self.text.split_inclusive(' ').collect(),
            _ => fragments(&self.text),
        }
    }

    /// JSON as this answer spells it.
    pub fn json(&self, value: &Value) -> String {
        let text = value.to_string();
        if !self.is_escaped || text.is_ascii() {
            return text;
        }
        let mut out = String::with_capacity(text.len() * 2);
        for c in text.chars() {
            match c.is_ascii() {
                true => out.push(c),
                false => c
                    .encode_utf16(&mut [0; 2])
                    .iter()
                    .for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            }
        }
        out
    }
}

impl Wishes {
    /// Whether the text is another one than words that are counted.
    fn has_own_text(&self) -> bool {
        self.content.is_some() || self.unicode || self.echo
    }
}

impl Thought {
    pub fn text(&self) -> String {
        self.pieces.concat()
    }
}

impl Call {
    /// The arguments as the text of a JSON object.
    pub fn text(&self) -> String {
        self.arguments.to_string()
    }

    /// Whether there are no arguments, for dialects that then send no piece of them.
    pub fn is_bare(&self) -> bool {
        self.arguments.as_object().is_some_and(|object| object.is_empty())
    }
}

impl Tokens {
    fn new(wishes: &TokenWishes, input: u64, made: u64, thoughts: u64) -> Tokens {
        let reasoning = wishes.reasoning.unwrap_or(thoughts);
        Tokens {
            input: wishes.input.unwrap_or(input),
            cached: wishes.cached.unwrap_or(0),
            written: wishes.written.unwrap_or(0),
            output: wishes.output.unwrap_or(made + reasoning),
            reasoning,
        }
    }

    /// Whether there is nothing to tell beside input and output.
    pub fn is_plain(&self) -> bool {
        self.cached + self.written + self.reasoning == 0
    }

    /// All that was read.
    pub fn read(&self) -> u64 {
        self.input + self.cached + self.written
    }

    pub fn total(&self) -> u64 {
        self.read() + self.output
    }
}

/// Calls of the tools in turn, as many as were asked for, unless one was just answered.
fn calls(question: &Question, wishes: &Wishes) -> Vec<Call> {
    if !question.results.is_empty() {
        return Vec::new();
    }
    let count = wishes.calls.unwrap_or(1).min(CALLS_MAX);
    let call = |tool: &super::question::Tool| {
        let mut arguments =
            Some(schema::instance(&tool.schema)).filter(Value::is_object).unwrap_or(json!({}));
        if wishes.unicode {
            schema::replace_texts(&mut arguments, UNICODE_ARGUMENT);
        }
        Call { name: tool.name.clone(), arguments }
    };
    question.tools.iter().cycle().take(if question.tools.is_empty() { 0 } else { count }).map(call).collect()
}

fn said(question: &Question, wishes: &Wishes, body: &[u8], calls: bool) -> String {
    if wishes.empty {
        return String::new();
    }
    if wishes.refusal {
        return REFUSAL.to_owned();
    }
    if let Some(content) = &wishes.content {
        return content.clone();
    }
    if wishes.unicode && !calls {
        return UNICODE.to_owned();
    }
    match (wishes.events, &question.schema) {
        (Some(events), _) if calls => (0..events).map(word).collect(),
        _ if calls => String::new(),
        _ if wishes.echo => String::from_utf8_lossy(body).into_owned(),
        (_, Some(schema)) => schema::instance(schema).to_string(),
        _ if !question.results.is_empty() => format!("{TOLD}{}", question.results.join(" | ")),
        (Some(events), None) => (0..events).map(word).collect(),
        (None, None) => TEXT.to_owned(),
    }
}

/// A text in parts of a few bytes, as arguments come.
pub fn fragments(text: &str) -> Vec<&str> {
    parts(text, |index| (index + 1) * FRAGMENT_CHARS)
}

/// A text in parts; the function gives the characters before the end of each.
fn parts(text: &str, end: impl Fn(usize) -> usize) -> Vec<&str> {
    let (mut out, mut from) = (Vec::new(), 0);
    for (count, (at, _)) in text.char_indices().enumerate() {
        if count == end(out.len()) {
            out.push(&text[from..at]);
            from = at;
        }
    }
    if from < text.len() {
        out.push(&text[from..]);
    }
    out
}

pub fn words(text: &str) -> u64 {
    // Where a word begins, found in many bytes at once.
    let bytes = text.as_bytes();
    let begins = bytes.windows(2).filter(|pair| pair[0] == b' ' && pair[1] != b' ').count();
    begins as u64 + u64::from(bytes.first().is_some_and(|first| *first != b' '))
}

fn word(index: usize) -> String {
    format!("word{index} ")
}

/// Tool calls in one answer.
const CALLS_MAX: usize = 16;
const CHOICES_MAX: u64 = 16;
const FRAGMENT_CHARS: usize = 7;
/// What proves a thought to its provider; base64, as real ones are.
pub const SIGNATURE: &str = "c2ltdWxhdGVkIHNpZ25hdHVyZSAvLys/";
/// A thought that cannot be read.
pub const REDACTED: &str = "c2ltdWxhdGVkIHJlZGFjdGVkIHRob3VnaHQ=";
const REFUSAL: &str = "I cannot help with that.";
const TOLD: &str = "This is the simulated provider. The tool said: ";
/// Every width of UTF-8, a joined emoji, both line separators, and all that JSON must or may escape.
const UNICODE: &str = "Grüße 漢字 😀 👩\u{200d}🚀 𝄞 \"quoted\" back\\slash sl/ash \t tab \n line \r \u{8} \u{c} \u{1f} \u{7f} \u{2028}\u{2029} </script> {end}";
const UNICODE_ARGUMENT: &str = "Zürich 😀 \"q\" \\ \n 漢";
/// An answer of about 1 KB, the usual size of a chat's.
const TEXT: &str = "This is the simulated provider. It answers every question with the same text, which is long enough \
    to look like the answer of a real model and short enough to be read in one glance. It is here so that the gateway \
    can be tried, tested and measured without a key, without a network and without a bill. Ask it for a stream and the \
    words come one by one; ask it for faults and it stalls, drips, cuts and resets as providers do on a bad day. The \
    gateway in front of it must never make a cut answer look complete, never change a byte that it was not asked to \
    change, and never lose count of what was used. If you can read this through the gateway, all three have just held \
    for one more request.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::question::Tool;

    fn script(question: &Question, sim: Value) -> Script {
        Script::new(question, &crate::simulate::behaviour::Behaviour::read(&sim).wishes, b"{}")
    }

    #[test]
    fn texts_come_in_as_many_pieces_as_were_asked_for() {
        let check = |sim: Value, want: &[&str]| {
            let script = script(&Question::default(), sim.clone());
            assert_eq!(
                (script.pieces(), script.pieces().concat()),
                (want.to_vec(), script.text.clone()),
                "{sim}"
            );
        };
        check(json!({"events": 2}), &["word0 ", "word1 "]);
        check(json!({"events": 0}), &[]);
        check(json!({"empty": true}), &[]);
        check(json!({"content": "a b"}), &["a ", "b"]);
        check(json!({"content": "ab😀d", "events": 2}), &["ab", "😀d"]);
        check(json!({"content": "12345678"}), &["1234567", "8"]);
    }

    #[test]
    fn words_are_what_stands_between_spaces() {
        for text in ["", " ", "a", "ab", " a", "a ", "a b", "  a  bc d  ", "ä b", TEXT] {
            let want = text.split(' ').filter(|word| !word.is_empty()).count();
            assert_eq!(words(text), want as u64, "{text:?}");
        }
    }

    #[test]
    fn tools_are_called_in_turn_until_they_are_answered() {
        let tool = |name: &str| Tool {
            name: name.into(),
            schema: json!({"properties": {"city": {"type": "string"}}}),
        };
        let mut question = Question { tools: vec![tool("a"), tool("b")], ..Question::default() };
        let names = |question: &Question, sim: Value| {
            let said = script(question, sim);
            (said.calls.iter().map(|call| call.name.clone()).collect::<String>(), said.text, said.finish)
        };
        assert_eq!(names(&question, json!({})), ("a".into(), String::new(), Finish::Calls));
        assert_eq!(
            names(&question, json!({"tools": 3, "events": 1})),
            ("aba".into(), "word0 ".into(), Finish::Calls)
        );
        assert_eq!(
            names(&question, json!({"tools": 0, "events": 1})),
            (String::new(), "word0 ".into(), Finish::Stop)
        );
        assert_eq!(names(&question, json!({"refusal": 1})), (String::new(), REFUSAL.into(), Finish::Refusal));
        assert_eq!(script(&question, json!({})).calls[0].text(), r#"{"city":"Paris"}"#);
        question.results = vec!["warm".into(), "dry".into()];
        assert_eq!(
            names(&question, json!({"tools": 2})),
            (String::new(), format!("{TOLD}warm | dry"), Finish::Stop)
        );
    }

    #[test]
    fn tokens_are_counted_or_stated() {
        let tokens = script(&Question::default(), json!({"events": 3, "thinking": 2})).tokens;
        assert_eq!(tokens, Tokens { input: 1, cached: 0, written: 0, output: 5, reasoning: 2 });
        let sim = json!({"input_tokens": 10, "cached_tokens": 5, "cache_write_tokens": 3, "output_tokens": 7, "reasoning_tokens": 4});
        let tokens = script(&Question::default(), sim).tokens;
        assert_eq!((tokens.read(), tokens.total(), tokens.reasoning), (18, 25, 4));
    }

    #[test]
    fn an_escaped_answer_is_the_same_json_in_ascii() {
        let script = script(&Question::default(), json!({"unicode": "escaped"}));
        let value = json!({"text": script.text});
        let text = script.json(&value);
        assert!(text.is_ascii() && text.contains("\\ud83d\\ude00"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
