//! Writes turns as messages. Results of tools become messages of their own and come before what else the user says,
//! because every call must be answered right behind the turn that made it.

use super::names::Names;
use super::write_parts::{self, Joint};
use super::write_request::{comma, member, text_member};
use crate::base::Refusal;
use crate::dialect::middle::{Part, Report, Request, Role, Rules, Text, ToolKind, Turn};
use crate::wire::json;

/// Appends `messages`.
pub(super) fn write(
    request: &Request<'_>,
    rules: &Rules,
    names: &mut Names,
    report: &mut Report,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    out.extend_from_slice(b",\"messages\":[");
    let mut messages = Messages { rules, names, report, out, count: 0 };
    for run in request.turns.chunk_by(|one, next| one.role == next.role) {
        match run[0].role {
            Role::User => messages.users(run),
            Role::Assistant => messages.assistants(run),
            Role::System => run.iter().for_each(|turn| messages.plain("system", turn)),
            Role::Developer => run.iter().for_each(|turn| messages.plain("developer", turn)),
        }
    }
    out.push(b']');
    Ok(())
}

struct Messages<'w> {
    rules: &'w Rules,
    names: &'w mut Names,
    report: &'w mut Report,
    out: &'w mut Vec<u8>,
    count: usize,
}

impl Messages<'_> {
    /// Opens a message of this role.
    fn open(&mut self, role: &str) {
        comma(self.count, self.out);
        self.count += 1;
        self.out.extend_from_slice(b"{\"role\":");
        json::write_string(role, self.out);
    }

    fn plain(&mut self, role: &str, turn: &Turn<'_>) {
        let parts: Vec<&Part<'_>> = turn.parts.iter().collect();
        self.message(role, turn.name.as_ref(), &parts);
    }

    fn message(&mut self, role: &str, name: Option<&Text<'_>>, parts: &[&Part<'_>]) {
        self.open(role);
        if let Some(name) = name {
            text_member("name", name, self.out);
        }
        self.content(parts, Joint::Paragraph);
        self.out.push(b'}');
    }

    fn content(&mut self, parts: &[&Part<'_>], joint: Joint) {
        self.out.extend_from_slice(b",\"content\":");
        write_parts::content(parts, joint, self.rules, self.report, self.out);
    }

    /// User turns in a row. Messages of tools hold texts only, so the images of results follow in a user message.
    fn users(&mut self, turns: &[Turn<'_>]) {
        let results = || turns.iter().flat_map(|turn| &turn.parts);
        let mut media: Vec<&Part<'_>> = Vec::new();
        for part in results() {
            if let Part::ToolResult { id, parts, is_error, cache_control, .. } = part {
                self.result(id, parts, *is_error, *cache_control);
                media.extend(parts.iter().filter(|part| !is_text(part)));
            }
        }
        if !media.is_empty() {
            self.message("user", None, &media);
        }
        for turn in turns {
            let is_said = |part: &&Part<'_>| !matches!(part, Part::ToolResult { .. });
            let parts: Vec<&Part<'_>> = turn.parts.iter().filter(is_said).collect();
            if !parts.is_empty() || turn.parts.is_empty() {
                self.message("user", turn.name.as_ref(), &parts);
            }
        }
    }

    /// The result of one call. The dialect has no mark for a failure, so the text says it.
    fn result(&mut self, id: &Text<'_>, parts: &[Part<'_>], is_error: bool, mark: Option<&[u8]>) {
        self.open("tool");
        text_member("tool_call_id", id, self.out);
        let texts: Vec<&Part<'_>> = parts.iter().filter(|part| is_text(part)).collect();
        let words = if is_error { "Error: " } else { "" };
        let mark = mark.filter(|_| self.rules.takes_cache_control);
        self.out.extend_from_slice(b",\"content\":");
        if mark.is_some() {
            self.out.extend_from_slice(b"[{\"type\":\"text\",\"text\":");
        }
        write_parts::joined_behind(words, &texts, Joint::Line, self.out);
        if let Some(mark) = mark {
            member("cache_control", mark, self.out);
            self.out.extend_from_slice(b"}]");
        }
        self.out.push(b'}');
    }

    /// Assistant turns in a row. One that only thought or that made calls is joined with the next one, because nothing may
    /// stand between a call and its result.
    fn assistants(&mut self, turns: &[Turn<'_>]) {
        let is_whole = |turn: &Turn<'_>| {
            let has_calls = turn.parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
            !has_calls
                && turn.parts.iter().any(|part| matches!(part, Part::Text { .. } | Part::Refusal { .. }))
        };
        for run in turns.chunk_by(|one, _| !is_whole(one)) {
            self.assistant(run);
        }
    }

    fn assistant(&mut self, turns: &[Turn<'_>]) {
        let parts = || turns.iter().flat_map(|turn| &turn.parts);
        let is_content = |part: &&Part<'_>| {
            !matches!(
                part,
                Part::ToolCall { .. }
                    | Part::Thinking { .. }
                    | Part::HiddenThinking { .. }
                    | Part::Refusal { .. }
            )
        };
        let thoughts: Vec<&Part<'_>> = parts()
            .filter(|part| matches!(part, Part::Thinking { .. } | Part::HiddenThinking { .. }))
            .collect();
        let tagged = self.tagged(&thoughts);
        let content: Vec<&Part<'_>> = tagged.iter().chain(parts().filter(is_content)).collect();
        let has_calls = parts().any(|part| matches!(part, Part::ToolCall { .. }));
        self.open("assistant");
        if let Some(name) = turns.iter().find_map(|turn| turn.name.as_ref()) {
            text_member("name", name, self.out);
        }
        let refusals: Vec<&Part<'_>> = parts().filter(|part| matches!(part, Part::Refusal { .. })).collect();
        if content.is_empty() && (has_calls || !refusals.is_empty()) {
            self.out.extend_from_slice(b",\"content\":null");
        } else {
            self.content(&content, Joint::None);
        }
        if !refusals.is_empty() {
            self.out.extend_from_slice(b",\"refusal\":");
            write_parts::joined(&refusals, Joint::None, self.out);
        }
        if tagged.is_none() {
            self.thoughts(&thoughts);
        }
        if has_calls {
            self.out.extend_from_slice(b",\"tool_calls\":[");
            for (index, call) in parts().filter(|part| matches!(part, Part::ToolCall { .. })).enumerate() {
                comma(index, self.out);
                self.call(call);
            }
            self.out.push(b']');
        }
        self.out.push(b'}');
    }

    /// Earlier thoughts as the provider sent them: between tags, in front of the text.
    fn tagged(&self, thoughts: &[&Part<'_>]) -> Option<Part<'static>> {
        let texts = thoughts.iter().filter_map(|part| match part {
            Part::Thinking { text, .. } if !text.is_empty() => Some(text),
            _ => None,
        });
        let texts: Vec<&Text<'_>> = texts.collect();
        if !self.rules.has_think_tags || texts.is_empty() {
            return None;
        }
        let mut text = Text::of("<think>");
        for (index, thought) in texts.into_iter().enumerate() {
            text.push(&Text::of(if index > 0 { "\n\n" } else { "\n" }));
            text.push(thought);
        }
        text.push(&Text::of("\n</think>\n\n"));
        Some(Part::Text { text, cache_control: None })
    }

    /// Thoughts go back as a text, and only where the provider wants them. Their signatures and what is hidden have no
    /// place in the dialect.
    fn thoughts(&mut self, thoughts: &[&Part<'_>]) {
        let texts: Vec<&Part<'_>> = thoughts
            .iter()
            .filter(|part| matches!(part, Part::Thinking { text, .. } if !text.is_empty()))
            .copied()
            .collect();
        if self.rules.takes_reasoning_content && !texts.is_empty() {
            self.out.extend_from_slice(b",\"reasoning_content\":");
            write_parts::joined(&texts, Joint::Paragraph, self.out);
        } else if !thoughts.is_empty() {
            self.report.edited("thinking");
        }
    }

    fn call(&mut self, part: &Part<'_>) {
        let Part::ToolCall { id, name, arguments, kind, signature, cache_control } = part else { return };
        self.out.extend_from_slice(b"{\"id\":");
        id.write(self.out);
        let (word, input) = match kind {
            ToolKind::Custom => ("custom", "input"),
            ToolKind::Function | ToolKind::Foreign => ("function", "arguments"),
        };
        self.out.extend_from_slice(format!(",\"type\":\"{word}\",\"{word}\":{{\"name\":").as_bytes());
        self.names.write(name, self.out);
        if arguments.is_empty() && *kind != ToolKind::Custom {
            member(input, b"\"{}\"", self.out);
        } else {
            text_member(input, arguments, self.out);
        }
        self.out.push(b'}');
        // A signature goes to its maker only. A bare one could be anybody's: the maker's dialect need not be this one.
        let vendor = &*self.rules.vendor;
        if let Some(signature) = signature.as_ref().filter(|one| !vendor.is_empty() && one.is_for(vendor)) {
            self.out.extend_from_slice(b",\"extra_content\":{\"google\":{\"thought_signature\":");
            signature.value.write(self.out);
            self.out.extend_from_slice(b"}}");
        }
        if let Some(mark) = cache_control.filter(|_| self.rules.takes_cache_control) {
            member("cache_control", mark, self.out);
        }
        self.out.push(b'}');
    }
}

fn is_text(part: &Part<'_>) -> bool {
    matches!(part, Part::Text { .. } | Part::Refusal { .. })
}
