//! `usageMetadata` into the canonical counts and back. A count that nobody gave is not written.

use super::spelling::{camel_bytes, field, member, member_count, member_raw};
use crate::ledger::usage::{Mode, ServerTool, ToolCalls, Usage};
use crate::wire::json::Node;

const AUDIO: &str = "AUDIO";
const IMAGE: &str = "IMAGE";

/// Reads a `usageMetadata` object. Prompts of the provider's own tools are input as well; thoughts stand beside the
/// candidates' tokens, not among them.
pub fn read_usage(value: Node<'_>) -> Usage {
    let found = Members::of(value);
    let count = |member: Option<Node<'_>>| member.and_then(Node::u64);
    let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (Some(one), Some(other)) => one.checked_add(other),
        (one, other) => one.or(other),
    };
    let of = |parts: Option<Node<'_>>| parts.map_or((None, None), of_kinds);
    let (prompt, tools) = (of(found.prompt_details), of(found.tool_prompt_details));
    let (output_audio, output_image) = of(found.candidates_details);
    let reasoning = count(found.thoughts);
    Usage {
        // Without the prompt's own count the sum would be too small to be true.
        input: count(found.prompt).and_then(|prompt| sum(Some(prompt), count(found.tool_prompt))),
        output: sum(count(found.candidates), reasoning),
        cache_read: count(found.cached),
        input_audio: sum(prompt.0, tools.0),
        input_image: sum(prompt.1, tools.1),
        cache_read_audio: of(found.cache_details).0,
        reasoning,
        output_audio,
        output_image,
        stated_total: count(found.total),
        mode: found.traffic.or(found.tier).and_then(mode),
        ..Usage::default()
    }
}

/// Counts the searches of an answer, or of a chunk: its usage leaves them out, and each may cost a fee. The queries stand in the
/// `groundingMetadata` of a candidate.
pub fn count_searches(answer: Node<'_>, usage: &mut Usage) {
    let candidates = answer.get("candidates").into_iter().flat_map(Node::items);
    let count = candidates.filter_map(|candidate| candidate.get("groundingMetadata")).map(searches_in).sum();
    set_searches(count, usage);
}

/// The queries that a `groundingMetadata` lists.
pub(super) fn searches_in(grounding: Node<'_>) -> u64 {
    field(grounding, "webSearchQueries").map_or(0, |queries| queries.items().count() as u64)
}

/// Notes so many searches, in the place of those that were noted before.
pub(super) fn set_searches(count: u64, usage: &mut Usage) {
    if count > 0 {
        usage.tools = ToolCalls::default();
        usage.tools.add(ServerTool::WebSearch, count);
    }
}

/// The members of a `usageMetadata` that matter, found in one walk.
#[derive(Default)]
struct Members<'d> {
    prompt: Option<Node<'d>>,
    tool_prompt: Option<Node<'d>>,
    candidates: Option<Node<'d>>,
    thoughts: Option<Node<'d>>,
    cached: Option<Node<'d>>,
    total: Option<Node<'d>>,
    prompt_details: Option<Node<'d>>,
    tool_prompt_details: Option<Node<'d>>,
    cache_details: Option<Node<'d>>,
    candidates_details: Option<Node<'d>>,
    traffic: Option<Node<'d>>,
    tier: Option<Node<'d>>,
}

impl<'d> Members<'d> {
    fn of(value: Node<'d>) -> Members<'d> {
        let mut found = Members::default();
        for (key, value) in value.members() {
            let place = match &*camel_bytes(&key) {
                b"promptTokenCount" => &mut found.prompt,
                b"toolUsePromptTokenCount" => &mut found.tool_prompt,
                b"candidatesTokenCount" => &mut found.candidates,
                b"thoughtsTokenCount" => &mut found.thoughts,
                b"cachedContentTokenCount" => &mut found.cached,
                b"totalTokenCount" => &mut found.total,
                b"promptTokensDetails" => &mut found.prompt_details,
                b"toolUsePromptTokensDetails" => &mut found.tool_prompt_details,
                b"cacheTokensDetails" => &mut found.cache_details,
                b"candidatesTokensDetails" => &mut found.candidates_details,
                b"trafficType" => &mut found.traffic,
                b"serviceTier" => &mut found.tier,
                _ => continue,
            };
            *place = (!value.is_null()).then_some(value);
        }
        found
    }
}

/// `trafficType` of Vertex (`ON_DEMAND`, `ON_DEMAND_FLEX`, `PROVISIONED_THROUGHPUT`, …) or `serviceTier` of the Gemini API.
fn mode(value: Node<'_>) -> Option<Mode> {
    let word = value.text()?.to_ascii_lowercase();
    let word = word.strip_prefix("on_demand_").unwrap_or(&word);
    if word.ends_with("_unspecified") { None } else { Mode::of_word(word) }
}

/// The tokens of sounds and of pictures in a list of counts by kind. A list without the kind says that there are none of it;
/// an empty list says nothing.
fn of_kinds(parts: Node<'_>) -> (Option<u64>, Option<u64>) {
    let (mut audio, mut image, mut is_empty) = (Some(0_u64), Some(0_u64), true);
    for part in parts.items() {
        is_empty = false;
        let (mut kind, mut count) = (None, None);
        for (key, value) in part.members() {
            match &*camel_bytes(&key) {
                b"modality" => kind = value.escaped(),
                b"tokenCount" => count = value.u64(),
                _ => {}
            }
        }
        let sum = match kind {
            Some(kind) if kind.eq_ignore_ascii_case(AUDIO.as_bytes()) => &mut audio,
            Some(kind) if kind.eq_ignore_ascii_case(IMAGE.as_bytes()) => &mut image,
            _ => continue,
        };
        *sum = sum.zip(count).and_then(|(sum, count)| sum.checked_add(count));
    }
    if is_empty { (None, None) } else { (audio, image) }
}

/// Writes the member `usageMetadata`, if anything is known.
pub(super) fn write_usage(usage: &Usage, out: &mut Vec<u8>) {
    if !usage.is_known() {
        return;
    }
    // Readers add the two, so the sum must be the output even where a provider counts more thoughts than output.
    let reasoning = usage.reasoning.map(|reasoning| reasoning.min(usage.output.unwrap_or(reasoning)));
    let candidates = usage.output.map(|output| output - reasoning.unwrap_or(0));
    let total = usage.input.zip(usage.output).map(|(input, output)| input.saturating_add(output));
    member("usageMetadata", out);
    out.push(b'{');
    for (name, count) in [
        ("promptTokenCount", usage.input),
        ("candidatesTokenCount", candidates),
        ("totalTokenCount", total),
        ("cachedContentTokenCount", usage.cache_read),
        ("thoughtsTokenCount", reasoning),
    ] {
        if let Some(count) = count {
            member_count(name, count, out);
        }
    }
    write_kinds("promptTokensDetails", usage.input_audio, usage.input_image, out);
    write_kinds("cacheTokensDetails", usage.cache_read_audio, None, out);
    write_kinds("candidatesTokensDetails", usage.output_audio, usage.output_image, out);
    out.push(b'}');
}

/// Writes a list of counts by kind, where any is known and not 0.
fn write_kinds(name: &str, audio: Option<u64>, image: Option<u64>, out: &mut Vec<u8>) {
    let kinds = [(AUDIO, audio.unwrap_or(0)), (IMAGE, image.unwrap_or(0))];
    let known: Vec<String> = kinds
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{{\"modality\":\"{kind}\",\"tokenCount\":{count}}}"))
        .collect();
    if !known.is_empty() {
        member_raw(name, format!("[{}]", known.join(",")).as_bytes(), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_they_were_meant_and_written_back() {
        let known = |input, output| Usage { input: Some(input), output: Some(output), ..Usage::default() };
        let cases = [
            (
                r#"{"promptTokenCount":29,"candidatesTokenCount":15,"totalTokenCount":44}"#,
                Usage { stated_total: Some(44), ..known(29, 15) },
            ),
            (
                r#"{"promptTokenCount":21,"candidatesTokenCount":96,"toolUsePromptTokenCount":160,"thoughtsTokenCount":86}"#,
                Usage { reasoning: Some(86), ..known(181, 182) },
            ),
            (
                r#"{"prompt_token_count":9,"thoughtsTokenCount":3,"cachedContentTokenCount":4}"#,
                Usage { reasoning: Some(3), cache_read: Some(4), ..known(9, 3) },
            ),
            (
                r#"{"promptTokenCount":15,"totalTokenCount":15}"#,
                Usage { output: None, stated_total: Some(15), ..known(15, 0) },
            ),
            (r#"{"cachedContentTokenCount":null}"#, Usage::default()),
            (r#"{"promptTokenCount":-1,"candidatesTokenCount":"5"}"#, Usage::default()),
        ];
        for (text, want) in cases {
            let usage = read_usage(Node::scanned(text.as_bytes()));
            assert_eq!(usage, want, "{text}");
            // A total is written where both of its parts are known.
            let want = Usage { stated_total: want.input.zip(want.output).map(|(i, o)| i + o), ..want };
            let mut out = b"{".to_vec();
            write_usage(&usage, &mut out);
            out.push(b'}');
            let back = Node::scanned(&out).get("usageMetadata").map(read_usage).unwrap_or_default();
            assert_eq!(back, want, "{}", String::from_utf8_lossy(&out));
        }
    }

    #[test]
    fn kinds_of_tokens_and_the_class_of_service_are_read() {
        let read = |text: &str| read_usage(Node::scanned(text.as_bytes()));
        let usage = read(
            r#"{"promptTokenCount":20,"candidatesTokenCount":5,"cachedContentTokenCount":6,"trafficType":"ON_DEMAND_FLEX",
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":3},{"modality":"AUDIO","tokenCount":17}],
                "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":4},{"modality":"TEXT","tokenCount":2}],
                "candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":5}]}"#,
        );
        assert_eq!(
            (usage.input_audio, usage.input_image, usage.cache_read_audio),
            (Some(17), Some(0), Some(4))
        );
        assert_eq!(
            (usage.output_audio, usage.output_image, usage.mode),
            (Some(0), Some(5), Some(Mode::Flex))
        );
        let mut out = b"{".to_vec();
        write_usage(&usage, &mut out);
        out.push(b'}');
        let back = Node::scanned(&out).get("usageMetadata").map(read_usage).expect("usage");
        assert_eq!(
            (back.input_audio, back.cache_read_audio, back.output_image),
            (Some(17), Some(4), Some(5))
        );
        assert_eq!(read(r#"{"trafficType":"PROVISIONED_THROUGHPUT"}"#).mode, Some(Mode::Other));
        assert_eq!(read(r#"{"trafficType":"TRAFFIC_TYPE_UNSPECIFIED"}"#).mode, None);
        assert_eq!(read(r#"{"promptTokensDetails":[]}"#).input_audio, None);
    }

    #[test]
    fn thoughts_are_never_more_than_the_output() {
        let usage = Usage { output: Some(16), reasoning: Some(19), ..Usage::default() };
        let mut out = b"{".to_vec();
        write_usage(&usage, &mut out);
        let want = r#"{"usageMetadata":{"candidatesTokenCount":0,"thoughtsTokenCount":16}"#;
        assert_eq!(String::from_utf8_lossy(&out), want);
    }
}
