//! What a request asks of the simulated provider beside its answer: the member `sim` of its body, or `[[sim …]]` in the
//! text of its last user turn, for a body that a translator wrote. The member wins where both say something.

use serde_json::{Map, Value};

/// How to behave. The default is well.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Behaviour {
    pub status: Option<u16>,
    pub retry_after: Option<String>,
    pub delay_ms: u64,
    pub stall: Option<Stall>,
    /// Events before the connection is closed, or reset, in the middle of a stream; bytes in other answers.
    pub cut_after: Option<usize>,
    pub reset_after: Option<usize>,
    /// Sends the first half of the event at which a stream is cut or reset.
    pub half: bool,
    /// Events before the stream ends with the dialect's own error event.
    pub error_after: Option<usize>,
    /// The status that this error event stands for.
    pub error_status: Option<u16>,
    /// A pause after every byte.
    pub drip_ms: Option<u64>,
    pub garbage: bool,
    pub pace_ms: u64,
    pub wishes: Wishes,
}

/// What the answer is to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Pieces of text.
    pub events: Option<usize>,
    pub content: Option<String>,
    /// Answers with the request's own body as text.
    pub echo: bool,
    /// No text at all.
    pub empty: bool,
    /// Characters of every width and everything that JSON has an escape for.
    pub unicode: bool,
    /// Writes every character beyond ASCII as `\u`.
    pub escaped: bool,
    /// Tool calls in the answer to a request that offers tools.
    pub calls: Option<usize>,
    /// Brings the arguments of several calls in turn, where the dialect can.
    pub interleave: bool,
    /// Gives calls an id where the dialect leaves it open.
    pub ids: bool,
    /// Pieces of thought before the answer.
    pub thinking: usize,
    /// Thinks in a way that only the provider can read, where the dialect can.
    pub redacted: bool,
    pub refusal: bool,
    /// `length`, `filter`, `stop`, or a word that is written as it is.
    pub finish: Option<String>,
    pub tokens: TokenWishes,
}

/// Counts of tokens that the answer is to state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenWishes {
    /// Without what came from a cache or went into one.
    pub input: Option<u64>,
    /// With reasoning.
    pub output: Option<u64>,
    pub cached: Option<u64>,
    pub written: Option<u64>,
    pub reasoning: Option<u64>,
}

/// Where to stop for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    Head,
    Body,
}

impl Behaviour {
    /// Reads the member `sim`; what it does not understand it leaves at the default.
    pub fn read(sim: &Value) -> Behaviour {
        let sim = Sim(sim);
        Behaviour {
            status: sim.status("status"),
            retry_after: sim.0.get("retry_after").map(|value| value.to_string().trim_matches('"').to_owned()),
            delay_ms: sim.number("delay_ms").unwrap_or(0),
            stall: match sim.0.get("stall").and_then(Value::as_str) {
                Some("head") => Some(Stall::Head),
                Some("body") => Some(Stall::Body),
                _ => None,
            },
            cut_after: sim.count(&["cut_after_events", "cut_after_bytes"]),
            reset_after: sim.count(&["reset_after_events", "reset_after_bytes"]),
            half: sim.flag("half"),
            error_after: sim.count(&["error_after_events"]),
            error_status: sim.status("error_status"),
            drip_ms: sim.number("drip_ms"),
            garbage: sim.flag("garbage"),
            pace_ms: sim.number("pace_ms").unwrap_or(0),
            wishes: Wishes::read(&sim),
        }
    }

    /// What the text of a turn and the member `sim` ask for together.
    pub fn of(text: &str, member: Option<Value>) -> Behaviour {
        let mut sim = directive(text).unwrap_or_default();
        if let Some(Value::Object(member)) = member {
            sim.extend(member);
        }
        Behaviour::read(&Value::Object(sim))
    }
}

impl Wishes {
    fn read(sim: &Sim<'_>) -> Wishes {
        let text = |key: &str| sim.0.get(key).and_then(Value::as_str).map(str::to_owned);
        let is_true = |key: &str| sim.0.get(key).and_then(Value::as_bool) == Some(true);
        let escaped = text("unicode").is_some_and(|how| how == "escaped");
        Wishes {
            events: sim.count(&["events"]),
            content: text("content"),
            echo: sim.flag("echo"),
            empty: sim.flag("empty"),
            unicode: sim.flag("unicode") || escaped,
            escaped,
            calls: sim.count(&["tools", "calls"]),
            interleave: sim.flag("interleave"),
            ids: sim.flag("ids"),
            thinking: if is_true("thinking") { THOUGHTS } else { sim.count(&["thinking"]).unwrap_or(0) },
            redacted: sim.flag("redacted"),
            refusal: sim.flag("refusal"),
            finish: text("finish"),
            tokens: TokenWishes {
                input: sim.number("input_tokens"),
                output: sim.number("output_tokens"),
                cached: sim.number("cached_tokens"),
                written: sim.number("cache_write_tokens"),
                reasoning: sim.number("reasoning_tokens"),
            },
        }
    }
}

/// The object of wishes, looked at key by key.
struct Sim<'s>(&'s Value);

impl Sim<'_> {
    fn number(&self, key: &str) -> Option<u64> {
        self.0.get(key).and_then(Value::as_u64)
    }

    fn count(&self, keys: &[&str]) -> Option<usize> {
        keys.iter().find_map(|key| self.number(key)).and_then(|n| usize::try_from(n).ok())
    }

    fn flag(&self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or_else(|| self.number(key).is_some_and(|n| n > 0))
    }

    fn status(&self, key: &str) -> Option<u16> {
        self.number(key).and_then(|status| u16::try_from(status).ok()).filter(|s| (200..600).contains(s))
    }
}

/// The wishes of the last `[[sim …]]` in a text: words `key=value` with blanks between them. A value is a JSON value or a
/// bare word; a key alone is true.
fn directive(text: &str) -> Option<Map<String, Value>> {
    let (_, rest) = text.rsplit_once(MARK)?;
    let inside = &rest[..rest.find("]]")?];
    let pairs = words(inside).into_iter().map(|word| match word.split_once('=') {
        Some((key, value)) => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            (key.to_owned(), value)
        }
        None => (word.to_owned(), Value::Bool(true)),
    });
    Some(pairs.collect())
}

/// The words of a text; blanks inside double quotes do not part them.
fn words(text: &str) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = text.split(|c: char| {
        let here = is_escaped;
        is_escaped = !here && is_quoted && c == '\\';
        is_quoted ^= c == '"' && !here;
        c.is_whitespace() && !is_quoted
    });
    parts.filter(|word| !word.is_empty()).collect()
}

/// How a directive begins.
pub const MARK: &str = "[[sim ";
/// Pieces of a thought whose number was not given.
const THOUGHTS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_says_how_to_behave() {
        let sim =
            json!({"status": 429, "retry_after": 2, "stall": "body", "cut_after_events": 3, "events": 5});
        let behaviour = Behaviour::read(&sim);
        assert_eq!(behaviour.status, Some(429));
        assert_eq!(behaviour.retry_after.as_deref(), Some("2"));
        assert_eq!(
            (behaviour.stall, behaviour.cut_after, behaviour.wishes.events),
            (Some(Stall::Body), Some(3), Some(5))
        );
        assert_eq!(Behaviour::read(&json!({"status": 7, "nonsense": 1})), Behaviour::default());
    }

    #[test]
    fn a_text_asks_as_the_member_does() {
        let check =
            |text: &str, want: Value| assert_eq!(directive(text).map(Value::Object), Some(want), "{text}");
        check(
            "Hi [[sim tools=2 thinking=1 finish=length]]",
            json!({"tools": 2, "thinking": 1, "finish": "length"}),
        );
        check("[[sim events=1]] then [[sim events=3]]!", json!({"events": 3}));
        check(
            r#"[[sim content="a \"b\" ]" echo=true empty]]"#,
            json!({"content": "a \"b\" ]", "echo": true, "empty": true}),
        );
        for text in ["", "[[sim", "[[sim x=1", "[[simple]]"] {
            assert_eq!(directive(text), None, "{text}");
        }
    }

    #[test]
    fn the_member_wins_over_the_text() {
        let got = Behaviour::of("[[sim events=3 tools=2]]", Some(json!({"events": 1})));
        assert_eq!((got.wishes.events, got.wishes.calls), (Some(1), Some(2)));
        assert_eq!(Behaviour::of("hello", None), Behaviour::default());
        let flags = Behaviour::of("[[sim thinking unicode=escaped refusal=1 garbage=0]]", None);
        assert_eq!((flags.wishes.thinking, flags.wishes.refusal, flags.garbage), (THOUGHTS, true, false));
        assert!(flags.wishes.unicode && flags.wishes.escaped);
    }
}
