//! How the model is told to think: by a word (`adaptive`) or by a number of tokens (`enabled`), and what has to give way
//! for it. <https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking> states the rules.

use std::io::Write as _;

use super::Writer;
use super::turns::Conversation;
use crate::dialect::middle::{Effort, Reasoning, ReasoningStyle, Request};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// The request says nothing of it.
    Unsaid,
    Off,
    /// By the model's own measure.
    Adaptive {
        display: &'static str,
        effort: Option<Effort>,
    },
    /// With a budget.
    Manual {
        budget_tokens: u64,
        display: &'static str,
    },
}

/// Decides how the model shall think. Manual thinking gives way where the API would refuse the request for it: to an answer
/// that must be the call of one tool, and to a turn that goes on behind calls whose thoughts are gone.
pub(super) fn plan(
    request: &Request<'_>,
    conversation: &Conversation<'_, '_>,
    writer: &mut Writer<'_>,
) -> Thinking {
    let Some(reasoning) = &request.reasoning else { return Thinking::Unsaid };
    let display = if reasoning.shows == Some(false) { "omitted" } else { "summarized" };
    match writer.rules.reasoning {
        ReasoningStyle::Effort => adaptive(reasoning, display, writer),
        ReasoningStyle::Budget => {
            let thinking = manual(reasoning, display, writer);
            let must_give_way =
                writer.written.answer_tool.is_some() || conversation.lacks_thoughts(writer.rules);
            if must_give_way && matches!(thinking, Thinking::Manual { .. }) {
                writer.report.edited(FIELD);
                return Thinking::Off;
            }
            thinking
        }
        ReasoningStyle::None => {
            if asked_tokens(reasoning).is_some_and(|tokens| tokens > 0) {
                writer.report.edited(FIELD);
            }
            Thinking::Unsaid
        }
    }
}

/// The number of tokens that was asked for, in one way or the other.
fn asked_tokens(reasoning: &Reasoning<'_>) -> Option<u64> {
    reasoning.budget_tokens.or_else(|| reasoning.effort.map(Effort::budget_tokens))
}

fn adaptive(reasoning: &Reasoning<'_>, display: &'static str, writer: &mut Writer<'_>) -> Thinking {
    let effort = match reasoning.effort.or_else(|| reasoning.budget_tokens.map(Effort::of_budget)) {
        Some(Effort::None) => return Thinking::Off,
        // The word is not known here; the next one is.
        Some(Effort::Minimal) => {
            writer.report.edited(FIELD);
            Some(Effort::Low)
        }
        effort => effort,
    };
    Thinking::Adaptive { display, effort }
}

fn manual(reasoning: &Reasoning<'_>, display: &'static str, writer: &mut Writer<'_>) -> Thinking {
    match asked_tokens(reasoning) {
        None => Thinking::Unsaid,
        Some(0) => Thinking::Off,
        Some(tokens) => {
            if tokens < BUDGET_TOKENS_MIN {
                writer.report.edited(FIELD);
            }
            Thinking::Manual { budget_tokens: tokens.max(BUDGET_TOKENS_MIN), display }
        }
    }
}

impl Thinking {
    pub(super) fn is_manual(&self) -> bool {
        matches!(self, Thinking::Manual { .. })
    }

    /// The word for `output_config.effort`.
    pub(super) fn effort(&self) -> Option<&'static str> {
        match self {
            Thinking::Adaptive { effort, .. } => effort.map(Effort::name),
            _ => None,
        }
    }

    /// Appends the member `thinking`, a comma behind it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let _ = match self {
            Thinking::Unsaid => Ok(()),
            Thinking::Off => write!(out, "\"thinking\":{{\"type\":\"disabled\"}},"),
            Thinking::Adaptive { display, .. } => {
                write!(out, "\"thinking\":{{\"type\":\"adaptive\",\"display\":\"{display}\"}},")
            }
            // Models with a budget show their thoughts unless told not to, and the older of them know no other word.
            Thinking::Manual { budget_tokens, display: "omitted" } => write!(
                out,
                "\"thinking\":{{\"type\":\"enabled\",\"budget_tokens\":{budget_tokens},\"display\":\"omitted\"}},"
            ),
            Thinking::Manual { budget_tokens, .. } => {
                write!(out, "\"thinking\":{{\"type\":\"enabled\",\"budget_tokens\":{budget_tokens}}},")
            }
        };
    }
}

/// The least budget that the API takes.
const BUDGET_TOKENS_MIN: u64 = 1024;
const FIELD: &str = "reasoning_effort";
