//! What a writer must know of the provider it writes for. Data of the provider's file; no name is compared.

use std::borrow::Cow;

use crate::ledger::usage::UsageRules;

/// Facts of one target that change how a request is written for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whose signatures and encrypted reasoning this provider can read.
    pub vendor: Cow<'static, str>,
    /// Sent where the dialect demands a bound and the client gave none.
    pub max_tokens_default: u64,
    /// The name of the bound in the chat dialect is `max_completion_tokens`; elsewhere it is `max_tokens`.
    pub takes_max_completion_tokens: bool,
    pub reasoning: ReasoningStyle,
    pub structured_output: StructuredOutput,
    /// `cache_control` is understood in the chat dialect too.
    pub takes_cache_control: bool,
    /// Thoughts of earlier turns go back as `reasoning_content` in the chat dialect: some providers demand them.
    pub takes_reasoning_content: bool,
    /// Thoughts stand between `<think>` and `</think>` at the beginning of the content, in the chat dialect.
    pub has_think_tags: bool,
    /// Media may be given by URL; otherwise only as bytes.
    pub takes_media_urls: bool,
    /// Temperatures above it are clamped, and the answer says so. In thousandths.
    pub temperature_milli_max: Option<u32>,
    /// What the counts of its usage mean.
    pub usage: UsageRules,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningStyle {
    /// By a word: low, medium, high.
    Effort,
    /// By a number of tokens.
    Budget,
    /// Not at all: the field is left out and named in the report.
    None,
}

/// How a JSON schema for the answer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructuredOutput {
    /// The provider has a field for it.
    Native,
    /// As the input of one tool that must be called; the answer is unwrapped.
    Tool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            vendor: Cow::Borrowed(""),
            max_tokens_default: 4096,
            takes_max_completion_tokens: false,
            reasoning: ReasoningStyle::Effort,
            structured_output: StructuredOutput::Native,
            takes_cache_control: false,
            takes_reasoning_content: false,
            has_think_tags: false,
            takes_media_urls: true,
            temperature_milli_max: None,
            usage: UsageRules::default(),
        }
    }
}
