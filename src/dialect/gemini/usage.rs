//! `usageMetadata` into the canonical counts and back. A count that nobody gave is not written.

use super::spelling::{field, member, member_count, member_raw};
use crate::ledger::usage::{Mode, Usage};
use crate::wire::json::Node;

const AUDIO: &str = "AUDIO";
const IMAGE: &str = "IMAGE";

/// Reads a `usageMetadata` object. Prompts of the provider's own tools are input as well; thoughts stand beside the
/// candidates' tokens, not among them.
pub fn read_usage(value: Node<'_>) -> Usage {
    let count = |name: &str| field(value, name).and_then(Node::u64);
    let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (Some(one), Some(other)) => one.checked_add(other),
        (one, other) => one.or(other),
    };
    let reasoning = count("thoughtsTokenCount");
    let prompt = count("promptTokenCount");
    let of = |name: &str, kind: &str| field(value, name).and_then(|parts| of_kind(parts, kind));
    Usage {
        // Without the prompt's own count the sum would be too small to be true.
        input: prompt.and_then(|prompt| sum(Some(prompt), count("toolUsePromptTokenCount"))),
        output: sum(count("candidatesTokenCount"), reasoning),
        cache_read: count("cachedContentTokenCount"),
        input_audio: sum(of("promptTokensDetails", AUDIO), of("toolUsePromptTokensDetails", AUDIO)),
        input_image: sum(of("promptTokensDetails", IMAGE), of("toolUsePromptTokensDetails", IMAGE)),
        cache_read_audio: of("cacheTokensDetails", AUDIO),
        reasoning,
        output_audio: of("candidatesTokensDetails", AUDIO),
        output_image: of("candidatesTokensDetails", IMAGE),
        stated_total: count("totalTokenCount"),
        mode: field(value, "trafficType").or_else(|| field(value, "serviceTier")).and_then(mode),
        ..Usage::default()
    }
}

/// `trafficType` of Vertex (`ON_DEMAND`, `ON_DEMAND_FLEX`, `PROVISIONED_THROUGHPUT`, …) or `serviceTier` of the Gemini API.
fn mode(value: Node<'_>) -> Option<Mode> {
    let word = value.text()?.to_ascii_lowercase();
    let word = word.strip_prefix("on_demand_").unwrap_or(&word);
    if word.ends_with("_unspecified") { None } else { Mode::of_word(word) }
}

/// The tokens of one kind in a list of counts by kind. A list without the kind says that there are none of it; an empty list
/// says nothing.
fn of_kind(parts: Node<'_>, kind: &str) -> Option<u64> {
    let is_kind = |part: &Node<'_>| {
        field(*part, "modality").and_then(Node::text).is_some_and(|name| name.eq_ignore_ascii_case(kind))
    };
    let count = |part: Node<'_>| field(part, "tokenCount").and_then(Node::u64);
    parts.items().next()?;
    parts.items().filter(is_kind).try_fold(0_u64, |sum, part| sum.checked_add(count(part)?))
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
