//! Why a message ended, in the dialect's words and in the middle's. A word that is not known is a plain stop.

use crate::dialect::middle::FinishReason;

/// The middle's word for a `stop_reason`. Anthropic documents that new ones may appear.
pub(super) fn read(word: &str) -> FinishReason {
    match word {
        "max_tokens" | "compaction" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::Refusal,
        "pause_turn" => FinishReason::Pause,
        "model_context_window_exceeded" => FinishReason::ContextFull,
        _ => FinishReason::Stop,
    }
}

/// The `stop_reason` of an answer that did not end by a stop sequence.
pub(super) fn name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "end_turn",
        FinishReason::Length => "max_tokens",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter | FinishReason::Refusal => "refusal",
        FinishReason::Pause => "pause_turn",
        FinishReason::ContextFull => "model_context_window_exceeded",
    }
}

/// How an answer ended, as far as its writer has been told.
#[derive(Debug, Default)]
pub(super) struct Ending {
    pub(super) reason: Option<FinishReason>,
    /// As it is spelled between quotes.
    pub(super) stop_sequence: Option<Vec<u8>>,
    pub(super) has_refusal: bool,
}

impl Ending {
    /// Appends the members `stop_reason` and `stop_sequence`, without braces around them.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let reason = match (self.has_refusal, self.reason) {
            (true, _) => FinishReason::Refusal,
            (false, reason) => reason.unwrap_or(FinishReason::Stop),
        };
        let sequence = self.stop_sequence.as_ref().filter(|_| reason == FinishReason::Stop);
        out.extend_from_slice(b"\"stop_reason\":\"");
        out.extend_from_slice(if sequence.is_some() { "stop_sequence" } else { name(reason) }.as_bytes());
        out.extend_from_slice(b"\",\"stop_sequence\":");
        match sequence {
            Some(sequence) => {
                out.push(b'"');
                out.extend_from_slice(sequence);
                out.push(b'"');
            }
            None => out.extend_from_slice(b"null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_both_sides_have_survives_the_way_there_and_back() {
        for reason in [
            FinishReason::Stop,
            FinishReason::Length,
            FinishReason::ToolCalls,
            FinishReason::Refusal,
            FinishReason::Pause,
            FinishReason::ContextFull,
        ] {
            assert_eq!(read(name(reason)), reason);
        }
        assert_eq!(read("a_word_of_next_year"), FinishReason::Stop);
        assert_eq!(read("stop_sequence"), FinishReason::Stop);
    }
}
