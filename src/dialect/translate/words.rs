//! The names of fields as the caller's own dialect spells them: reports are written in the words of chat.

use crate::base::Refusal;
use crate::dialect::endpoint::Grammar;
use crate::dialect::middle::Report;

/// How many turns at the beginning of a request the caller holds elsewhere than among its turns.
#[derive(Clone, Copy)]
pub(super) struct Apart(pub usize);

/// Puts the caller's names into a report on its request. What has the same name everywhere stays, and so does what the
/// caller's own reader has named.
pub(super) fn put(client: Grammar, apart: Apart, report: &mut Report) {
    for list in [&mut report.unsupported, &mut report.edited] {
        let mut own: Vec<String> = Vec::with_capacity(list.len());
        for field in list.drain(..) {
            let field = name(client, apart, &field).unwrap_or(field);
            if !own.contains(&field) {
                own.push(field);
            }
        }
        *list = own;
    }
}

/// The same for a refusal.
pub(super) fn put_into(client: Grammar, apart: Apart, mut refusal: Refusal) -> Refusal {
    if let Some(field) = &refusal.param
        && let Some(own) = name(client, apart, field)
    {
        refusal.message = refusal.message.replace(&format!("`{field}`"), &format!("`{own}`")).into();
        refusal.param = Some(own);
    }
    refusal
}

/// The caller's name of a field; `None` where it is the same.
fn name(client: Grammar, apart: Apart, field: &str) -> Option<String> {
    let (table, places) = match client {
        Grammar::Chat => (CHAT, PLACES_OF_CHAT),
        Grammar::Messages => (MESSAGES, PLACES_OF_MESSAGES),
        Grammar::Responses => (RESPONSES, PLACES_OF_RESPONSES),
        Grammar::Gemini => (GEMINI, PLACES_OF_GEMINI),
        Grammar::Converse => return None,
    };
    if let Some((_, own)) = table.iter().find(|(name, _)| *name == field) {
        return Some((*own).to_owned());
    }
    if let Some(rest) = field.strip_prefix("tools[") {
        let (index, rest) = rest.split_once(']')?;
        let form = if rest == ".function.parameters" { places.schema } else { "" };
        return (!form.is_empty()).then(|| form.replace('#', index));
    }
    let rest = field
        .strip_prefix("messages")
        .filter(|rest| matches!(rest.as_bytes().first(), None | Some(b'.' | b'[')))?;
    let (index, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((index, rest)) => (index.parse::<usize>().ok(), rest),
        None => (None, rest),
    };
    let turn = match index {
        Some(index) if places.has_turns && index < apart.0 => return Some(places.system.to_owned()),
        Some(index) if places.has_turns => format!("{}[{}]", places.turns, index - apart.0),
        _ => places.turns.to_owned(),
    };
    let inner = rest.trim_start_matches('.');
    let word = &inner[..inner.find(['.', '[']).unwrap_or(inner.len())];
    let own = match word {
        "" => return Some(turn),
        "content" if client == Grammar::Chat => return Some(format!("{turn}{rest}")),
        "content" => places.content,
        "thinking" => places.thinking,
        "tool_calls" => places.calls,
        _ => return Some(format!("{turn}{rest}")),
    };
    Some(format!("{turn}.{own}"))
}

/// What is nested in the turns of a dialect.
struct Places {
    turns: &'static str,
    /// Its turns are those of the middle, one by one.
    has_turns: bool,
    system: &'static str,
    content: &'static str,
    thinking: &'static str,
    calls: &'static str,
    /// Where a tool's schema stands; `#` is the tool's number. Empty where it is as in the report.
    schema: &'static str,
}

const PLACES_OF_CHAT: &Places = &Places {
    turns: "messages",
    has_turns: true,
    system: "messages",
    content: "content",
    thinking: "reasoning_content",
    calls: "tool_calls",
    schema: "",
};

const PLACES_OF_MESSAGES: &Places = &Places {
    turns: "messages",
    has_turns: true,
    system: "system",
    content: "content",
    thinking: "content.thinking",
    calls: "content.input",
    schema: "tools[#].input_schema",
};

const PLACES_OF_RESPONSES: &Places = &Places {
    turns: "input",
    has_turns: false,
    system: "instructions",
    content: "content",
    thinking: "reasoning",
    calls: "arguments",
    schema: "tools[#].parameters",
};

const PLACES_OF_GEMINI: &Places = &Places {
    turns: "contents",
    has_turns: true,
    system: "systemInstruction",
    content: "parts",
    thinking: "parts.thought",
    calls: "parts.functionCall",
    schema: "tools.functionDeclarations[#].parameters",
};

const CHAT: &[(&str, &str)] = &[
    ("thinking", "messages.reasoning_content"),
    ("image.url", "messages.content.image_url.url"),
    ("image.media_type", "messages.content.image_url"),
    ("file.url", "messages.content.file"),
    ("file.media_type", "messages.content.file"),
    ("file", "messages.content.file"),
    ("audio.media_type", "messages.content.input_audio"),
    ("tool_result.content", "messages.content"),
    ("name", "messages.name"),
    ("system", "messages.role"),
];

const MESSAGES: &[(&str, &str)] = &[
    ("stop", "stop_sequences"),
    ("thinking", "messages.content.thinking"),
    ("image.url", "messages.content.source.url"),
    ("image.media_type", "messages.content.source.media_type"),
    ("file.url", "messages.content.source.url"),
    ("file.media_type", "messages.content.source.media_type"),
    ("file", "messages.content.source"),
    ("tool_result.content", "messages.content.content"),
    ("response_format", "output_config.format"),
    ("response_format.json_schema.schema", "output_config.format.schema"),
    ("reasoning", "thinking"),
    ("reasoning_effort", "thinking"),
    ("user", "metadata.user_id"),
    ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
];

const RESPONSES: &[(&str, &str)] = &[
    ("max_tokens", "max_output_tokens"),
    ("thinking", "input.reasoning"),
    ("image.url", "input.content.image_url"),
    ("image.media_type", "input.content.image_url"),
    ("file.url", "input.content.file_url"),
    ("file.media_type", "input.content.file_data"),
    ("file", "input.content.file_data"),
    ("audio.media_type", "input.content.input_audio"),
    ("tool_result.content", "input.output"),
    ("name", "input.name"),
    ("system", "input.role"),
    ("response_format", "text.format"),
    ("response_format.json_schema.schema", "text.format.schema"),
    ("reasoning_effort", "reasoning"),
];

const GEMINI: &[(&str, &str)] = &[
    ("n", "generationConfig.candidateCount"),
    ("thinking", "contents.parts.thought"),
    ("image.url", "contents.parts.fileData.fileUri"),
    ("image.media_type", "contents.parts.inlineData.mimeType"),
    ("file.url", "contents.parts.fileData.fileUri"),
    ("file.media_type", "contents.parts.inlineData.mimeType"),
    ("file", "contents.parts.inlineData"),
    ("audio.media_type", "contents.parts.inlineData.mimeType"),
    ("tool_result.content", "contents.parts.functionResponse"),
    ("system", "systemInstruction"),
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

    #[track_caller]
    fn check(client: Grammar, apart: usize, rows: &[(&str, &str)]) {
        for (field, want) in rows {
            let mut report = Report::default();
            report.unsupported(*field);
            report.edited(*field);
            put(client, Apart(apart), &mut report);
            assert_eq!(
                (report.unsupported, report.edited),
                (vec![(*want).to_owned()], vec![(*want).to_owned()])
            );
            let refusal = Refusal::invalid("x", format!("`{field}` is wrong.")).about(*field);
            let refusal = put_into(client, Apart(apart), refusal);
            assert_eq!(refusal.param.as_deref(), Some(*want));
            assert_eq!(refusal.message, format!("`{want}` is wrong."));
        }
    }

    #[test]
    fn a_report_names_fields_as_the_caller_spells_them() {
        check(
            Grammar::Chat,
            0,
            &[
                ("n", "n"),
                ("messages[0].name", "messages[0].name"),
                ("messages[2].content[1]", "messages[2].content[1]"),
                ("messages[2].thinking", "messages[2].reasoning_content"),
                ("tools[1].function.parameters", "tools[1].function.parameters"),
                ("image.url", "messages.content.image_url.url"),
            ],
        );
        check(
            Grammar::Messages,
            1,
            &[
                ("stop", "stop_sequences"),
                ("reasoning", "thinking"),
                ("thinking", "messages.content.thinking"),
                ("messages.thinking", "messages.content.thinking"),
                ("tools[1].function.parameters", "tools[1].input_schema"),
                ("tools[1]", "tools[1]"),
                ("tools.web_search", "tools.web_search"),
                ("image.url", "messages.content.source.url"),
            ],
        );
        check(
            Grammar::Responses,
            1,
            &[
                ("messages[3].role", "input.role"),
                ("messages[3].content[0].detail", "input.content"),
                ("messages", "input"),
                ("messages.tool_calls", "input.arguments"),
                ("tools[1].function.parameters", "tools[1].parameters"),
                ("thinking", "input.reasoning"),
                ("messagesx", "messagesx"),
            ],
        );
        check(
            Grammar::Gemini,
            1,
            &[
                ("stop", "generationConfig.stopSequences"),
                ("messages[0].content[0]", "systemInstruction"),
                ("messages[3].content[1]", "contents[2].parts"),
                ("messages[3].thinking", "contents[2].parts.thought"),
                ("tools[1].function.parameters", "tools.functionDeclarations[1].parameters"),
                ("contents[0].parts[1]", "contents[0].parts[1]"),
            ],
        );
    }
}
