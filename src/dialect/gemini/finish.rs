//! Why an answer ended, in Gemini's words and in the middle's.

use super::super::middle::FinishReason;

/// The reason behind a `finishReason`. Words that are not known count as the provider's own `OTHER`: it stopped the answer.
pub(super) fn read_finish(word: &[u8]) -> FinishReason {
    match word {
        b"STOP" | b"FINISH_REASON_UNSPECIFIED" => FinishReason::Stop,
        b"MAX_TOKENS" => FinishReason::Length,
        // What the model said is no call that could be made; the answer has no more than its text.
        b"MALFORMED_FUNCTION_CALL"
        | b"UNEXPECTED_TOOL_CALL"
        | b"TOO_MANY_TOOL_CALLS"
        | b"MISSING_THOUGHT_SIGNATURE"
        | b"MALFORMED_RESPONSE" => FinishReason::Stop,
        _ => FinishReason::ContentFilter,
    }
}

/// The word for a reason. Calls have none: they end in `STOP`.
pub(super) fn finish_word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::ToolCalls => "STOP",
        FinishReason::Length | FinishReason::ContextFull => "MAX_TOKENS",
        FinishReason::ContentFilter | FinishReason::Refusal => "SAFETY",
        // A turn that is to be continued has no word here, and is not over.
        FinishReason::Pause => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_the_reference_has_its_meaning() {
        for (word, want) in [
            ("STOP", FinishReason::Stop),
            ("MAX_TOKENS", FinishReason::Length),
            ("SAFETY", FinishReason::ContentFilter),
            ("RECITATION", FinishReason::ContentFilter),
            ("IMAGE_SAFETY", FinishReason::ContentFilter),
            ("OTHER", FinishReason::ContentFilter),
            ("SOMETHING_NEW", FinishReason::ContentFilter),
            ("MALFORMED_FUNCTION_CALL", FinishReason::Stop),
        ] {
            assert_eq!(read_finish(word.as_bytes()), want, "{word}");
        }
        for reason in [FinishReason::Stop, FinishReason::Length, FinishReason::ContentFilter] {
            assert_eq!(read_finish(finish_word(reason).as_bytes()), reason);
        }
    }
}
