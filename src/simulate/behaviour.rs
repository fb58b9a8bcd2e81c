//! What a request asks of the simulated provider beside its answer: the member `sim` of its body, or the parameters of
//! its query.

use serde_json::Value;

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
    /// A pause after every byte.
    pub drip_ms: Option<u64>,
    pub garbage: bool,
    pub events: Option<usize>,
    pub pace_ms: u64,
    pub content: Option<String>,
    /// Tool calls in the answer to a request that offers tools.
    pub calls: Option<usize>,
    /// Answers with the request's own body as text.
    pub echo: bool,
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
        let number = |key: &str| sim.get(key).and_then(Value::as_u64);
        let count = |keys: [&str; 2]| keys.into_iter().find_map(number).and_then(|n| usize::try_from(n).ok());
        let flag = |key: &str| sim.get(key).and_then(Value::as_bool).unwrap_or(false);
        Behaviour {
            status: number("status")
                .and_then(|status| u16::try_from(status).ok())
                .filter(|s| (200..600).contains(s)),
            retry_after: sim.get("retry_after").map(|value| value.to_string().trim_matches('"').to_owned()),
            delay_ms: number("delay_ms").unwrap_or(0),
            stall: match sim.get("stall").and_then(Value::as_str) {
                Some("head") => Some(Stall::Head),
                Some("body") => Some(Stall::Body),
                _ => None,
            },
            cut_after: count(["cut_after_events", "cut_after_bytes"]),
            reset_after: count(["reset_after_events", "reset_after_bytes"]),
            drip_ms: number("drip_ms"),
            garbage: flag("garbage"),
            events: count(["events", "events"]),
            pace_ms: number("pace_ms").unwrap_or(0),
            calls: count(["calls", "calls"]),
            content: sim.get("content").and_then(Value::as_str).map(str::to_owned),
            echo: flag("echo"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_how_to_behave() {
        let sim = serde_json::json!({"status": 429, "retry_after": 2, "stall": "body", "cut_after_events": 3, "events": 5});
        let behaviour = Behaviour::read(&sim);
        assert_eq!(behaviour.status, Some(429));
        assert_eq!(behaviour.retry_after.as_deref(), Some("2"));
        assert_eq!(
            (behaviour.stall, behaviour.cut_after, behaviour.events),
            (Some(Stall::Body), Some(3), Some(5))
        );
        assert_eq!(Behaviour::read(&serde_json::json!({"status": 7, "nonsense": 1})), Behaviour::default());
    }
}
