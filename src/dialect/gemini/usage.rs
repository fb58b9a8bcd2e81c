//! `usageMetadata` into the canonical counts and back. A count that nobody gave is not written.

use super::spelling::{field, member, member_count};
use crate::ledger::usage::Usage;
use crate::wire::json::Node;

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
    Usage {
        // Without the prompt's own count the sum would be too small to be true.
        input: prompt.and_then(|prompt| sum(Some(prompt), count("toolUsePromptTokenCount"))),
        output: sum(count("candidatesTokenCount"), reasoning),
        cache_read: count("cachedContentTokenCount"),
        cache_write: None,
        reasoning,
    }
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
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_they_were_meant_and_written_back() {
        let known = |input, output| Usage { input: Some(input), output: Some(output), ..Usage::default() };
        let cases = [
            (r#"{"promptTokenCount":29,"candidatesTokenCount":15,"totalTokenCount":44}"#, known(29, 15)),
            (
                r#"{"promptTokenCount":21,"candidatesTokenCount":96,"toolUsePromptTokenCount":160,"thoughtsTokenCount":86}"#,
                Usage { reasoning: Some(86), ..known(181, 182) },
            ),
            (
                r#"{"prompt_token_count":9,"thoughtsTokenCount":3,"cachedContentTokenCount":4}"#,
                Usage { reasoning: Some(3), cache_read: Some(4), ..known(9, 3) },
            ),
            (r#"{"promptTokenCount":15,"totalTokenCount":15}"#, Usage { output: None, ..known(15, 0) }),
            (r#"{"trafficType":"ON_DEMAND"}"#, Usage::default()),
            (r#"{"promptTokenCount":-1,"candidatesTokenCount":"5"}"#, Usage::default()),
        ];
        for (text, want) in cases {
            let usage = read_usage(Node::scanned(text.as_bytes()));
            assert_eq!(usage, want, "{text}");
            let mut out = b"{".to_vec();
            write_usage(&usage, &mut out);
            out.push(b'}');
            let back = Node::scanned(&out).get("usageMetadata").map(read_usage).unwrap_or_default();
            assert_eq!(back, want, "{}", String::from_utf8_lossy(&out));
        }
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
