//! The usage object of the dialect, both ways. Here `input_tokens` leaves out what was read from and written to the cache;
//! in the canonical record the input is all of it.

use std::io::Write as _;

use crate::ledger::usage::{Mode, ServerTool, ToolCalls, Usage};
use crate::wire::json::Node;

/// Reads a `usage` object. Counts that are missing or no whole numbers stay unknown.
pub fn read_usage(value: Node<'_>) -> Usage {
    Counts::read(value).usage()
}

/// The counts as the dialect has them. A stream states them twice (`message_start`, `message_delta`); the later statement
/// replaces the earlier one field by field, so they are merged before they are added up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_1h: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
    /// What is no count of tokens: calls of tools, the class of service, a surcharge.
    beside: Usage,
}

impl Counts {
    pub(super) fn read(value: Node<'_>) -> Counts {
        let mut counts = Counts::default();
        let mut written_by_lifetime = None;
        for (key, value) in value.members() {
            match &*key {
                b"input_tokens" => counts.input = value.u64(),
                b"output_tokens" => counts.output = value.u64(),
                b"cache_read_input_tokens" => counts.cache_read = value.u64(),
                b"cache_creation_input_tokens" => counts.cache_write = value.u64(),
                b"cache_creation" => {
                    counts.cache_write_1h = value.get("ephemeral_1h_input_tokens").and_then(Node::u64);
                    written_by_lifetime =
                        value.members().filter_map(|(_, count)| count.u64()).reduce(|a, b| a + b);
                }
                b"output_tokens_details" => {
                    counts.thinking = value.get("thinking_tokens").and_then(Node::u64)
                }
                b"server_tool_use" => read_tools(value, &mut counts.beside.tools),
                b"service_tier" => counts.beside.mode = value.text().and_then(|word| Mode::of_word(&word)),
                b"inference_geo" => {
                    let place = value.text().unwrap_or_default();
                    counts.beside.has_surcharge |= !matches!(&*place, "" | "global" | "not_available");
                }
                b"speed" => {
                    counts.beside.has_surcharge |= value.text().is_some_and(|speed| speed != "standard")
                }
                _ => {}
            }
        }
        counts.cache_write = counts.cache_write.or(written_by_lifetime);
        counts
    }

    pub(super) fn merge(&mut self, later: Counts) {
        self.input = later.input.or(self.input);
        self.cache_read = later.cache_read.or(self.cache_read);
        self.cache_write = later.cache_write.or(self.cache_write);
        self.cache_write_1h = later.cache_write_1h.or(self.cache_write_1h);
        self.beside.merge(later.beside);
        self.output = later.output.or(self.output);
        self.thinking = later.thinking.or(self.thinking);
    }

    pub(super) fn usage(self) -> Usage {
        let cached = self.cache_read.unwrap_or(0).saturating_add(self.cache_write.unwrap_or(0));
        Usage {
            input: self.input.map(|input| input.saturating_add(cached)),
            output: self.output,
            cache_read: self.cache_read,
            cache_write: self.cache_write,
            cache_write_1h: self.cache_write_1h,
            reasoning: self.thinking,
            ..self.beside
        }
    }
}

/// Calls of the provider's own tools, named `…_requests`.
fn read_tools(value: Node<'_>, tools: &mut ToolCalls) {
    for (key, count) in value.members() {
        let tool = match &*key {
            b"web_search_requests" => ServerTool::WebSearch,
            b"web_fetch_requests" => ServerTool::WebFetch,
            b"code_execution_requests" => ServerTool::CodeExecution,
            _ => ServerTool::Other,
        };
        tools.add(tool, count.u64().unwrap_or(0));
    }
}

/// Appends the usage object of a whole message. The SDKs demand `input_tokens` and `output_tokens` as numbers; what nobody
/// counted is 0 there.
pub(super) fn write_usage(usage: &Usage, out: &mut Vec<u8>) {
    write(usage, Some(uncached(usage).unwrap_or(0)), out);
}

/// Appends the usage object of a `message_delta`, which may leave `input_tokens` out; the SDKs then keep what they had.
pub(super) fn write_final_usage(usage: &Usage, out: &mut Vec<u8>) {
    write(usage, uncached(usage), out);
}

fn write(usage: &Usage, input: Option<u64>, out: &mut Vec<u8>) {
    out.push(b'{');
    let known = [
        ("input_tokens", input),
        ("cache_creation_input_tokens", usage.cache_write),
        ("cache_read_input_tokens", usage.cache_read),
    ];
    for (name, count) in known {
        if let Some(count) = count {
            let _ = write!(out, "\"{name}\":{count},");
        }
    }
    if let (Some(all), Some(hour)) = (usage.cache_write, usage.cache_write_1h) {
        let rest = all.saturating_sub(hour);
        let _ = write!(
            out,
            "\"cache_creation\":{{\"ephemeral_5m_input_tokens\":{rest},\"ephemeral_1h_input_tokens\":{hour}}},"
        );
    }
    let _ = write!(out, "\"output_tokens\":{}", usage.output.unwrap_or(0));
    if let Some(count) = usage.reasoning {
        let _ = write!(out, ",\"output_tokens_details\":{{\"thinking_tokens\":{count}}}");
    }
    out.push(b'}');
}

fn uncached(usage: &Usage) -> Option<u64> {
    let cached = usage.cache_read.unwrap_or(0).saturating_add(usage.cache_write.unwrap_or(0));
    usage.input.map(|input| input.saturating_sub(cached))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Usage {
        read_usage(Node::document(text.as_bytes(), &mut Vec::new()).expect("JSON"))
    }

    #[test]
    fn the_input_is_all_that_was_read_and_the_cached_counts_are_parts_of_it() {
        let cases = [
            (r#"{"input_tokens":3,"output_tokens":5}"#, (Some(3), Some(5), None, None, None)),
            (
                r#"{"input_tokens":6,"cache_creation_input_tokens":3337,"cache_read_input_tokens":6289,"output_tokens":198,"output_tokens_details":{"thinking_tokens":67}}"#,
                (Some(9632), Some(198), Some(6289), Some(3337), Some(67)),
            ),
            (
                r#"{"input_tokens":1,"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":300}}"#,
                (Some(321), None, None, Some(320), None),
            ),
            (r#"{"cache_read_input_tokens":4,"input_tokens":null}"#, (None, None, Some(4), None, None)),
            (r#"{"input_tokens":-1,"output_tokens":"7"}"#, (None, None, None, None, None)),
        ];
        for (text, (input, output, cache_read, cache_write, reasoning)) in cases {
            let usage = read(text);
            let parts = (usage.cache_read, usage.cache_write, usage.reasoning);
            assert_eq!(
                (usage.input, usage.output, parts),
                (input, output, (cache_read, cache_write, reasoning)),
                "{text}"
            );
        }
    }

    #[test]
    fn lifetimes_tools_and_what_costs_more_are_read() {
        let text = r#"{"input_tokens":1,"cache_creation_input_tokens":320,"cache_creation":{"ephemeral_5m_input_tokens":20,
            "ephemeral_1h_input_tokens":300},"server_tool_use":{"web_search_requests":2,"web_fetch_requests":1},
            "service_tier":"batch","inference_geo":"global"}"#;
        let usage = read(text);
        assert_eq!((usage.cache_write, usage.cache_write_1h), (Some(320), Some(300)));
        assert_eq!(usage.tools.0, [2, 1, 0, 0, 0]);
        assert_eq!((usage.mode, usage.has_surcharge), (Some(Mode::Batch), false));
        assert!(read(r#"{"inference_geo":"us"}"#).has_surcharge);
        assert!(read(r#"{"speed":"fast"}"#).has_surcharge);
        assert!(!read(r#"{"speed":"standard","inference_geo":"not_available"}"#).has_surcharge);
    }

    #[test]
    fn usage_comes_back_as_it_was_written_and_the_unknown_is_left_out_where_it_may_be() {
        let usage = Usage {
            input: Some(100),
            output: Some(7),
            cache_read: Some(60),
            cache_write: Some(30),
            cache_write_1h: Some(10),
            reasoning: Some(2),
            ..Usage::default()
        };
        let mut out = Vec::new();
        write_usage(&usage, &mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(text.starts_with(r#"{"input_tokens":10,"#), "{text}");
        assert_eq!(read(&text), usage);
        let (mut whole, mut last) = (Vec::new(), Vec::new());
        write_usage(&Usage::default(), &mut whole);
        write_final_usage(&Usage::default(), &mut last);
        assert_eq!(whole, br#"{"input_tokens":0,"output_tokens":0}"#);
        assert_eq!(last, br#"{"output_tokens":0}"#);
    }
}
