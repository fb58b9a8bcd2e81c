//! The body of the fuzz target for what the dialect reads from a provider's bytes.

use serde_json::Value;

use super::openai;
use crate::base::Refusal;
use crate::ledger::usage::Usage;
use crate::wire::json;

/// What is learnt from an event is what a whole parse of it says, and an error's message survives its writing.
pub fn dialect(input: &[u8]) {
    let mut members = Vec::new();
    let facts = openai::read_event(input, &mut members);
    let usage = openai::read_usage(input);
    let is_scanned = json::scan_object(input, &mut members).is_ok();
    if !is_scanned {
        assert_eq!(usage, Usage::default(), "nothing is learnt from what is no object");
    } else if let Ok(value) = serde_json::from_slice::<Value>(input) {
        assert!(!facts.is_error || !value["error"].is_null());
        assert!(facts.usage.is_none() || value["usage"].is_object());
        assert!(!facts.is_usage_only || value["choices"].as_array().is_some_and(Vec::is_empty));
        // Keys that are spelled with escapes are not looked for: the search for events that matter is one for words. And of
        // a key that stands twice further inside, the parser keeps one only.
        let quotes = |text: &[u8]| memchr::memchr_iter(b'"', text).count();
        let is_told_whole = quotes(input) == quotes(value.to_string().as_bytes());
        if !input.contains(&b'\\') && is_told_whole {
            assert_eq!(facts.is_error, value.get("error").is_some_and(|error| !error.is_null()));
            assert_eq!(facts.usage.is_some(), value["usage"].is_object());
            assert_eq!(facts.is_finish, has_finish(&value));
            check_usage(&usage, &value);
        }
    }
    if let Some(message) = openai::error_message(input) {
        let mut out = Vec::new();
        openai::write_error(&Refusal::invalid("internal_error", message.clone()), &mut out);
        assert_eq!(openai::error_message(&out), Some(message));
    }
}

fn has_finish(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_finish),
        Value::Object(members) => members
            .iter()
            .any(|(key, value)| (key == "finish_reason" && is_reason(value)) || has_finish(value)),
        _ => false,
    }
}

fn is_reason(value: &Value) -> bool {
    value.as_str().is_some_and(|reason| !matches!(reason, "" | "null"))
}

fn check_usage(usage: &Usage, value: &Value) {
    // What stands beside a count may have been added to it.
    let is_stated = |count: Option<u64>, part: Option<u64>, names: [&str; 2]| {
        let stated = names.iter().find_map(|name| value.get(name)?.as_u64());
        count == stated || count == stated.and_then(|stated| Some(stated.saturating_add(part?)))
    };
    assert!(is_stated(usage.input, usage.cache_read, ["prompt_tokens", "input_tokens"]));
    assert!(is_stated(usage.output, usage.reasoning, ["completion_tokens", "output_tokens"]));
    let parts = [("cache_write_tokens", usage.cache_write), ("reasoning_tokens", usage.reasoning)];
    for (name, count) in parts {
        let stated = |object: &str| value.get(object).and_then(|details| details.get(name)?.as_u64());
        let is_stated = ["prompt_tokens_details", "completion_tokens_details"].map(stated).contains(&count);
        assert!(count.is_none() || is_stated, "{name} is not made up");
    }
}
