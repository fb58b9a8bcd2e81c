//! The names of fields as the caller's own dialect spells them: reports are written in the words of chat.

use crate::dialect::endpoint::Grammar;
use crate::dialect::middle::Report;

/// Puts the caller's names into a report on its request. What has the same name everywhere, or is named by its place, stays.
pub(super) fn put(client: Grammar, report: &mut Report) {
    let table = match client {
        Grammar::Messages => MESSAGES,
        Grammar::Responses => RESPONSES,
        Grammar::Gemini => GEMINI,
        Grammar::Chat | Grammar::Converse => return,
    };
    for list in [&mut report.unsupported, &mut report.edited] {
        for field in list.iter_mut() {
            if let Some((_, own)) = table.iter().find(|(name, _)| name == field) {
                (*own).clone_into(field);
            }
        }
    }
}

const MESSAGES: &[(&str, &str)] = &[
    ("stop", "stop_sequences"),
    ("response_format", "output_config.format"),
    ("response_format.json_schema.schema", "output_config.format.schema"),
    ("reasoning", "thinking"),
    ("reasoning_effort", "thinking"),
    ("user", "metadata.user_id"),
    ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
];

const RESPONSES: &[(&str, &str)] = &[
    ("max_tokens", "max_output_tokens"),
    ("response_format", "text.format"),
    ("response_format.json_schema.schema", "text.format.schema"),
    ("reasoning_effort", "reasoning"),
];

const GEMINI: &[(&str, &str)] = &[
    ("n", "generationConfig.candidateCount"),
    ("stop", "generationConfig.stopSequences"),
    ("max_tokens", "generationConfig.maxOutputTokens"),
    ("temperature", "generationConfig.temperature"),
    ("top_p", "generationConfig.topP"),
    ("top_k", "generationConfig.topK"),
    ("seed", "generationConfig.seed"),
    ("frequency_penalty", "generationConfig.frequencyPenalty"),
    ("presence_penalty", "generationConfig.presencePenalty"),
    ("logprobs", "generationConfig.responseLogprobs"),
    ("top_logprobs", "generationConfig.logprobs"),
    ("response_format", "generationConfig.responseMimeType"),
    ("response_format.json_schema.schema", "generationConfig.responseJsonSchema"),
    ("reasoning", "generationConfig.thinkingConfig"),
    ("reasoning_effort", "generationConfig.thinkingConfig"),
    ("tool_choice", "toolConfig.functionCallingConfig"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_fields_as_the_caller_spells_them() {
        let named = |client| {
            let mut report = Report::default();
            ["n", "stop", "messages[0].name"].iter().for_each(|field| report.unsupported(*field));
            report.edited("reasoning");
            put(client, &mut report);
            (report.unsupported.join(" "), report.edited.join(" "))
        };
        let check = |client, unsupported: &str, edited: &str| {
            assert_eq!(named(client), (unsupported.to_owned(), edited.to_owned()));
        };
        check(Grammar::Chat, "n stop messages[0].name", "reasoning");
        check(Grammar::Messages, "n stop_sequences messages[0].name", "thinking");
        let gemini = "generationConfig.candidateCount generationConfig.stopSequences messages[0].name";
        check(Grammar::Gemini, gemini, "generationConfig.thinkingConfig");
    }
}
