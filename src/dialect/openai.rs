//! The OpenAI dialect: its error object, its usage, and what single events of its streams mean.

use crate::base::Refusal;
use crate::base::money::Pico;
use crate::ledger::usage::{Mode, ServerTool, Usage};
use crate::wire::json::{self, Kind, Member, Node};

/// Writes the error object of OpenAI's API: all four members present, `param` and `code` nullable.
pub fn write_error(refusal: &Refusal, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"error\":{\"message\":");
    json::write_string(&refusal.message, out);
    out.extend_from_slice(b",\"type\":");
    json::write_string(refusal.kind.name(), out);
    out.extend_from_slice(b",\"param\":");
    match &refusal.param {
        Some(param) => json::write_string(param, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"code\":");
    json::write_string(refusal.provider_code.as_deref().unwrap_or(refusal.code), out);
    out.extend_from_slice(b"}}");
}

/// Writes the event that ends a stream that did not end well. SDKs raise on any event with an `error` member.
pub fn write_error_event(refusal: &Refusal, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    write_error(refusal, out);
    out.extend_from_slice(b"\n\n");
}

/// Reads a `usage` object. Counts that are missing, negative or no whole numbers stay unknown. Of several spellings of one
/// count OpenAI's own wins.
pub fn read_usage(value: &[u8]) -> Usage {
    let mut members = Vec::with_capacity(USAGE_MEMBERS_USUAL);
    match json::scan_object(value, &mut members) {
        Ok(()) => read_scanned_usage(value, &members),
        Err(_) => Usage::default(),
    }
}

/// The same of an object that was scanned, with its members.
pub fn read_scanned_usage(value: &[u8], members: &[Member]) -> Usage {
    let mut usage = Usage::default();
    // By their other names, which count where the first ones are not there.
    let (mut input, mut output, mut cache_read) = (None, None, None);
    let (mut details, mut is_plain) = (Vec::new(), true);
    for member in members {
        let count = || json::u64_value(value, member);
        match (member.key.of(value), member.kind) {
            (b"total_tokens", Kind::Number) => usage.stated_total = count(),
            (b"prompt_tokens", Kind::Number) => usage.input = count(),
            (b"completion_tokens", Kind::Number) => usage.output = count(),
            (b"input_tokens", Kind::Number) => input = count(),
            (b"output_tokens", Kind::Number) => output = count(),
            (b"prompt_cache_hit_tokens", Kind::Number) => cache_read = count(),
            (b"cached_tokens", Kind::Number) => cache_read = cache_read.or_else(count),
            (b"prompt_tokens_details" | b"input_tokens_details", Kind::Object) => {
                read_details(member.value.of(value), Part::Input, &mut details, &mut usage);
            }
            (b"completion_tokens_details" | b"output_tokens_details", Kind::Object) => {
                read_details(member.value.of(value), Part::Output, &mut details, &mut usage);
            }
            (b"cost" | b"cost_in_usd_ticks" | b"server_tool_use", _) => is_plain = false,
            _ => {}
        }
    }
    usage.input = usage.input.or(input);
    usage.output = usage.output.or(output);
    usage.cache_read = usage.cache_read.or(cache_read);
    if !is_plain {
        read_bill(Node::scanned(value), &mut usage);
    }
    with_what_stands_beside(usage)
}

/// What some providers add to the counts: the cost in dollars, as a number, as a text or as the sum of an object of parts; or
/// in ticks of 10⁻¹⁰ dollars; and calls of their own tools. Whether a cost is what is billed, the provider's file says.
pub(super) fn read_bill(value: Node<'_>, usage: &mut Usage) {
    let [cost, ticks, tools, is_byok, details] =
        value.pick(["cost", "cost_in_usd_ticks", "server_tool_use", "is_byok", "cost_details"]);
    let whole = cost.map(|cost| cost.get("total_cost").unwrap_or(cost)).and_then(dollars);
    let ticks = ticks.and_then(Node::u64).and_then(|ticks| Pico(PICO_PER_TICK).checked_times(ticks));
    usage.stated_cost = match is_byok.and_then(Node::bool) {
        // The caller's own account with the provider behind pays too.
        Some(true) => details
            .and_then(|details| details.get("upstream_inference_cost"))
            .and_then(dollars)
            .and_then(|behind| behind.checked_add(whole?)),
        _ => whole.or(ticks),
    };
    if let Some(calls) = tools.and_then(|tools| tools.get("web_search_requests")).and_then(Node::u64) {
        usage.tools.add(ServerTool::WebSearch, calls);
    }
}

/// A number of dollars, or a text that is one.
fn dollars(value: Node<'_>) -> Option<Pico> {
    let text = match value.kind() {
        Kind::Number => value.raw(),
        _ => value.escaped()?,
    };
    Pico::nearest_to_dollars(std::str::from_utf8(text).ok()?)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Input,
    Output,
}

/// Some providers count thoughts beside the output instead of inside of it; their total shows it. Some count what was
/// cached beside the input; it shows where the part would be larger than the whole.
fn with_what_stands_beside(mut usage: Usage) -> Usage {
    if let (Some(input), Some(output), Some(reasoning), Some(total)) =
        (usage.input, usage.output, usage.reasoning, usage.stated_total)
        && reasoning > 0
        && input.checked_add(output).and_then(|sum| sum.checked_add(reasoning)) == Some(total)
    {
        usage.output = Some(output + reasoning);
    }
    if let (Some(input), Some(cached)) = (usage.input, usage.cache_read)
        && cached > input
    {
        usage.input = Some(input.saturating_add(cached));
    }
    usage
}

/// The parts of one of the two counts. Some providers state a part in the object of the other.
fn read_details(value: &[u8], part: Part, members: &mut Vec<Member>, usage: &mut Usage) {
    if json::scan_object(value, members).is_err() {
        return;
    }
    for member in members.iter() {
        let count = json::u64_value(value, member);
        match member.key.of(value) {
            b"cached_tokens" => usage.cache_read = count,
            b"cache_write_tokens" => usage.cache_write = count,
            b"reasoning_tokens" => usage.reasoning = count,
            b"audio_tokens" if part == Part::Input => usage.input_audio = count,
            b"audio_tokens" => usage.output_audio = count,
            b"image_tokens" if part == Part::Input => usage.input_image = count,
            b"image_tokens" => usage.output_image = count,
            _ => {}
        }
    }
}

/// What one event of a chat or completions stream says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFacts {
    pub usage: Option<Usage>,
    /// The event carries nothing but usage: its `choices` are an empty array.
    pub is_usage_only: bool,
    /// A `finish_reason` that is not null.
    pub is_finish: bool,
    pub is_error: bool,
}

/// Looks at an event's data. `members` is a table to work with. Most events hold none of the words that matter and are
/// told apart by one look for all of them.
pub fn read_event(data: &[u8], members: &mut Vec<Member>) -> EventFacts {
    let (mut facts, mut may_matter) = (EventFacts::default(), false);
    for at in json::quotes(data, *b"fue") {
        if let Some(behind) = data[at..].strip_prefix(FINISH_REASON) {
            facts.is_finish |= names_reason(behind);
        } else if let Some(behind) = data[at..].strip_prefix(USAGE) {
            may_matter |= begins_object(behind);
        } else {
            may_matter |= data[at..].starts_with(ERROR);
        }
    }
    if !may_matter || json::scan_object(data, members).is_err() {
        return facts;
    }
    let find = |key: &str| json::find(members, data, key);
    facts.is_error = find("error").is_some_and(|error| error.kind != Kind::Null);
    if let Some(usage) = find("usage").filter(|usage| usage.kind == Kind::Object) {
        let mut usage = read_usage(usage.value.of(data));
        usage.mode = find("service_tier").and_then(|tier| mode(tier.value.of(data)));
        facts.usage = Some(usage);
        facts.is_usage_only =
            find("choices").is_some_and(|choices| json::is_empty_array(choices.value.of(data)));
    }
    facts
}

/// The class of service that an answer's `service_tier` names.
pub fn mode(value: &[u8]) -> Option<Mode> {
    Mode::of_word(&Node::scanned(value).text()?)
}

const FINISH_REASON: &[u8] = b"\"finish_reason\"";
const USAGE: &[u8] = b"\"usage\"";
const ERROR: &[u8] = b"\"error\"";

/// Whether what follows a key is the start of an object: `"usage":null`, in most events, is not.
fn begins_object(behind: &[u8]) -> bool {
    behind.iter().filter(|b| !b.is_ascii_whitespace()).take(2).eq(b":{")
}

/// Whether what follows a key is a text that is a reason. Some providers spell "not yet" as an empty text or as the text
/// "null".
fn names_reason(behind: &[u8]) -> bool {
    let value = behind.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
    let text = value.and_then(|value| value.strip_prefix(b"\""));
    text.is_some_and(|text| !text.starts_with(b"\"") && !text.starts_with(b"null\""))
}

/// The message in a provider's error answer, whatever its shape; `None` when the body is not JSON.
pub fn error_message(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let value = value.get(0).unwrap_or(&value);
    let candidates =
        [value.pointer("/error/message"), value.get("error"), value.get("detail"), value.get("message")];
    candidates.into_iter().flatten().find_map(|found| found.as_str()).map(str::to_owned)
}

/// The unit of `cost_in_usd_ticks`: 10⁻¹⁰ dollars.
const PICO_PER_TICK: i128 = 100;
/// Members that a `usage` object has in most answers, so that its table is made at once.
const USAGE_MEMBERS_USUAL: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_object_has_all_four_members() {
        let mut out = Vec::new();
        write_error(&Refusal::invalid("bad \"thing\"", "a\nb").about("messages[0]"), &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let want = serde_json::json!({"error": {
            "message": "a\nb", "type": "invalid_request_error", "param": "messages[0]", "code": "bad \"thing\""}});
        assert_eq!(value, want);
    }

    #[test]
    fn usage_is_read_in_every_recorded_spelling_and_never_invented() {
        let known = |input, output| Usage { input: Some(input), output: Some(output), ..Usage::default() };
        let eight = Usage { stated_total: Some(8), ..known(3, 5) };
        let cases = [
            (r#"{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}"#, eight),
            (r#"{"input_tokens":3,"output_tokens":5}"#, known(3, 5)),
            (r#"{"prompt_tokens":-3,"completion_tokens":5.5}"#, Usage::default()),
            (r#"{}"#, Usage::default()),
            (r#"[1]"#, Usage::default()),
            (
                r#"{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},
                    "completion_tokens_details":{"reasoning_tokens":2}}"#,
                Usage { cache_read: Some(4), reasoning: Some(2), ..known(9, 5) },
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":5,"prompt_cache_hit_tokens":7}"#,
                Usage { cache_read: Some(7), ..known(9, 5) },
            ),
        ];
        for (text, want) in cases {
            assert_eq!(read_usage(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn audio_images_tools_and_costs_are_read() {
        let read = |text: &str| read_usage(text.as_bytes());
        let spoken = read(
            r#"{"prompt_tokens":30,"completion_tokens":9,"prompt_tokens_details":{"audio_tokens":20,"image_tokens":3},
                "completion_tokens_details":{"audio_tokens":7}}"#,
        );
        let parts = (spoken.input_audio, spoken.input_image, spoken.output_audio, spoken.output_image);
        assert_eq!(parts, (Some(20), Some(3), Some(7), None));
        let cost = |text: &str| read(text).stated_cost.map(|cost| cost.0);
        assert_eq!(cost(r#"{"cost":0.00001255}"#), Some(12_550_000));
        assert_eq!(cost(r#"{"cost":{"total_cost":0.00501,"request_cost":0.005}}"#), Some(5_010_000_000));
        assert_eq!(cost(r#"{"cost":"0.25"}"#), Some(250_000_000_000));
        assert_eq!(cost(r#"{"cost_in_usd_ticks":12406000}"#), Some(1_240_600_000));
        let own_key = r#"{"cost":0.001,"is_byok":true,"cost_details":{"upstream_inference_cost":0.02}}"#;
        assert_eq!(cost(own_key), Some(21_000_000_000));
        assert_eq!(cost(r#"{"cost":0.001,"is_byok":true}"#), None, "half a bill is none");
        assert_eq!(cost(r#"{"cost":null}"#), None);
        let searched = read(r#"{"prompt_tokens":1,"server_tool_use":{"web_search_requests":2}}"#);
        assert_eq!(searched.tools.of(ServerTool::WebSearch), 2);
    }

    #[test]
    fn an_event_says_what_matters_and_its_text_does_not() {
        let facts = |text: &str| read_event(text.as_bytes(), &mut Vec::new());
        let plain = EventFacts::default();
        assert_eq!(
            facts(r#"{"choices":[{"delta":{"content":"a"},"finish_reason":null}],"usage":null}"#),
            plain
        );
        assert_eq!(facts(r#"{"choices":[{"delta":{"content":"\"usage\":{ \"error\""}}]}"#), plain);
        assert!(facts(r#"{"choices":[{"delta":{},"finish_reason": "stop"}]}"#).is_finish);
        for not_yet in ["\"\"", "\"null\"", "null"] {
            assert!(
                !facts(&format!(r#"{{"choices":[{{"finish_reason" : {not_yet}}}]}}"#)).is_finish,
                "{not_yet}"
            );
        }
        assert!(facts(r#"{"error":{"message":"x"}}"#).is_error);
        assert!(!facts(r#"{"error":null,"choices":[]}"#).is_error);
        let last = facts(r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#);
        assert!(last.is_usage_only && last.usage.is_some_and(|usage| usage.output == Some(2)));
        let tier = facts(r#"{"usage":{"prompt_tokens":1},"service_tier":"flex"}"#).usage.and_then(|u| u.mode);
        assert_eq!(tier, Some(Mode::Flex));
        let with_finish = facts(r#"{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#);
        assert!(!with_finish.is_usage_only && with_finish.is_finish && with_finish.usage.is_some());
    }

    #[test]
    fn a_message_is_found_in_every_recorded_shape_of_error() {
        let cases = [
            (r#"{"error":{"message":"m"}}"#, Some("m")),
            (r#"[{"error":{"message":"m"}}]"#, Some("m")),
            (r#"{"code":"invalid-argument","error":"m"}"#, Some("m")),
            (r#"{"detail":"m"}"#, Some("m")),
            (r#"{"message":"m"}"#, Some("m")),
            (r#"<html>"#, None),
        ];
        for (body, want) in cases {
            assert_eq!(error_message(body.as_bytes()).as_deref(), want, "{body}");
        }
    }
}
