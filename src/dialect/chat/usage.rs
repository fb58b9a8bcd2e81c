//! Usage in the chat dialect. `completion_tokens` is everything generated, thoughts included.

use crate::dialect::openai;
use crate::ledger::usage::Usage;
use crate::wire::json::Node;
use crate::wire::write::write_decimal;

/// Reads a `usage` object as [`openai::read_usage`] does.
pub fn read_usage(value: Node<'_>) -> Usage {
    openai::read_usage(value.raw())
}

/// Appends a `usage` object with what is known; false, and nothing appended, when nothing is.
pub(super) fn write_usage(usage: &Usage, out: &mut Vec<u8>) -> bool {
    if !usage.is_known() {
        return false;
    }
    // The SDKs demand all three numbers: of a pair of which the provider gave one, the other is 0.
    let (input, output) = (usage.input.unwrap_or(0), usage.output.unwrap_or(0));
    let total = input.saturating_add(output);
    for (name, count) in [
        (&b"{\"prompt_tokens\":"[..], input),
        (b",\"completion_tokens\":", output),
        (b",\"total_tokens\":", total),
    ] {
        out.extend_from_slice(name);
        write_decimal(count, out);
    }
    let prompt = [
        ("cached_tokens", usage.cache_read),
        ("cache_write_tokens", usage.cache_write),
        ("audio_tokens", usage.input_audio),
        ("image_tokens", usage.input_image),
    ];
    let completion = [
        ("reasoning_tokens", usage.reasoning),
        ("audio_tokens", usage.output_audio),
        ("image_tokens", usage.output_image),
    ];
    write_details("prompt_tokens_details", &prompt, out);
    write_details("completion_tokens_details", &completion, out);
    out.push(b'}');
    true
}

/// Appends an object of those counts that are known as a member behind others; nothing when none is.
fn write_details(name: &str, counts: &[(&str, Option<u64>)], out: &mut Vec<u8>) {
    let mut begins_with: &[&[u8]] = &[b",\"", name.as_bytes(), b"\":{\""];
    for (name, count) in counts {
        let Some(count) = count else { continue };
        begins_with.iter().for_each(|piece| out.extend_from_slice(piece));
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        write_decimal(*count, out);
        begins_with = &[b",\""];
    }
    if begins_with.len() == 1 {
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Usage {
        read_usage(Node::document(text.as_bytes(), &mut Vec::new()).expect(text))
    }

    #[test]
    fn thoughts_beside_the_answer_are_counted_into_it() {
        let counts = |total: u64| {
            format!(
                r#"{{"prompt_tokens":10,"completion_tokens":5,"total_tokens":{total},"completion_tokens_details":{{"reasoning_tokens":3}}}}"#
            )
        };
        assert_eq!(read(&counts(15)).output, Some(5), "inside");
        assert_eq!(read(&counts(18)).output, Some(8), "beside");
        assert_eq!(read(r#"{"prompt_tokens":1}"#).output, None);
    }

    #[test]
    fn what_was_cached_beside_the_prompt_is_counted_into_it() {
        let counts = |cached: u64| {
            let details = format!(r#""prompt_tokens_details":{{"cached_tokens":{cached}}}"#);
            read(&format!(r#"{{"prompt_tokens":24,"completion_tokens":2,"total_tokens":26,{details}}}"#))
                .input
        };
        assert_eq!([counts(16), counts(24), counts(161)], [Some(24), Some(24), Some(185)]);
    }

    #[test]
    fn what_is_written_is_read_again_and_nothing_unknown_is_written() {
        let usage = Usage {
            input: Some(9),
            output: Some(5),
            cache_read: Some(4),
            reasoning: Some(2),
            input_audio: Some(1),
            output_image: Some(0),
            stated_total: Some(14),
            ..Usage::default()
        };
        let mut out = Vec::new();
        assert!(write_usage(&usage, &mut out));
        assert_eq!(read(std::str::from_utf8(&out).unwrap()), usage);
        assert!(!write_usage(&Usage::default(), &mut Vec::new()));
    }
}
