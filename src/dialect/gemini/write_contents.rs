//! Turns as `contents`: roles that alternate and begin with the user, results right behind their calls.

use super::super::middle::{Part, ReasoningStyle, Report, Role, Rules, Signature, Text, ToolKind, Turn};
use super::names::Names;
use super::spelling::{member, separate};
use super::write_media::{Allowed, write_media};
use crate::base::Refusal;
use crate::wire::json;

/// The system turns in front, and the rest. Only these become the system's instruction: to move later ones up would
/// change the beginning that the provider has cached.
pub(super) fn leading_system<'t, 'a>(turns: &'t [Turn<'a>]) -> (&'t [Turn<'a>], &'t [Turn<'a>]) {
    let is_system = |turn: &Turn<'_>| matches!(turn.role, Role::System | Role::Developer);
    turns.split_at(turns.iter().position(|turn| !is_system(turn)).unwrap_or(turns.len()))
}

/// Writes `systemInstruction`, if there is a word in it: blank texts are refused there.
pub(super) fn write_system(turns: &[Turn<'_>], report: &mut Report, out: &mut Vec<u8>) {
    let start = out.len();
    member("systemInstruction", out);
    out.extend_from_slice(b"{\"parts\":[");
    let empty = out.len();
    for part in turns.iter().flat_map(|turn| &turn.parts) {
        match part {
            Part::Text { text, cache_control } => {
                note_cache(*cache_control, report);
                if !text.is_blank() {
                    write_text(text, out);
                }
            }
            Part::Foreign { path, .. } => report.unsupported(&**path),
            _ => report.unsupported("messages.content"),
        }
    }
    if out.len() == empty {
        out.truncate(start);
    } else {
        out.extend_from_slice(b"]}");
    }
}

/// Writes `contents`. A conversation that the model begins, or that has no turns, gets a user's turn with a blank, which
/// is what the API asks for at least.
pub(super) fn write_contents(
    turns: &[Turn<'_>],
    rules: &Rules,
    names: &Names,
    report: &mut Report,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    member("contents", out);
    out.push(b'[');
    let empty = out.len();
    let mut writer = Writer { rules, names, report, calls: Vec::new(), needs_signature: false };
    let said = |turn: &&Turn<'_>| turn.parts.iter().any(|part| is_said(part, rules));
    let said: Vec<&Turn<'_>> = turns.iter().filter(said).collect();
    turns.iter().for_each(|turn| writer.note_dropped(turn));
    for group in said.chunk_by(|one, other| is_model(one) == is_model(other)) {
        let is_model = is_model(group[0]);
        if is_model && out.len() == empty {
            writer.report.edited("messages");
            out.extend_from_slice(BLANK_TURN);
        }
        writer.write_content(group, is_model, out)?;
    }
    if out.len() == empty {
        report.edited("messages");
        out.extend_from_slice(BLANK_TURN);
    }
    out.push(b']');
    Ok(())
}

fn is_model(turn: &Turn<'_>) -> bool {
    turn.role == Role::Assistant
}

/// Whether the part is sent at all. Thoughts go back only to the one who signed them, and only for their signature.
fn is_said(part: &Part<'_>, rules: &Rules) -> bool {
    match part {
        Part::Text { text, .. } | Part::Refusal { text } => !text.is_empty(),
        Part::Thinking { signature, .. } => own(signature.as_ref(), rules).is_some(),
        Part::HiddenThinking { .. } => false,
        _ => true,
    }
}

/// The signature, if it is this provider's. A bare one may be anybody's: it is not sent.
fn own<'s, 'a>(signature: Option<&'s Signature<'a>>, rules: &Rules) -> Option<&'s Signature<'a>> {
    signature.filter(|signature| !rules.vendor.is_empty() && signature.is_for(&rules.vendor))
}

struct Writer<'w> {
    rules: &'w Rules,
    names: &'w Names,
    report: &'w mut Report,
    /// Ids and names of the calls so far.
    calls: Vec<(Text<'w>, Text<'w>)>,
    /// The next call is the first of its turn, which must be signed.
    needs_signature: bool,
}

impl<'w> Writer<'w> {
    fn note_dropped(&mut self, turn: &Turn<'_>) {
        let is_lost = |part: &Part<'_>| match part {
            Part::Thinking { text, signature } => {
                own(signature.as_ref(), self.rules).is_none() && !(text.is_empty() && signature.is_none())
            }
            Part::HiddenThinking { .. } => true,
            _ => false,
        };
        if turn.parts.iter().any(is_lost) {
            self.report.edited("messages.thinking");
        }
        if matches!(turn.role, Role::System | Role::Developer) {
            self.report.edited("messages.role");
        }
    }

    /// One content out of turns of one role: results of functions first, in the order of their calls.
    fn write_content(
        &mut self,
        turns: &[&'w Turn<'w>],
        is_model: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let start = out.len();
        separate(out);
        let role: &[u8] =
            if is_model { b"{\"role\":\"model\",\"parts\":[" } else { b"{\"role\":\"user\",\"parts\":[" };
        out.extend_from_slice(role);
        let empty = out.len();
        self.needs_signature = is_model && self.rules.reasoning == ReasoningStyle::Effort;
        let parts = || turns.iter().flat_map(|turn| &turn.parts);
        self.write_results(parts(), out)?;
        for part in parts().filter(|part| is_said(part, self.rules)) {
            self.write_part(part, out)?;
        }
        if out.len() == empty {
            out.truncate(start);
        } else {
            out.extend_from_slice(b"]}");
        }
        Ok(())
    }

    /// The results of functions among the parts, and behind all of them what they hold besides text.
    fn write_results<'p>(
        &mut self,
        parts: impl Iterator<Item = &'p Part<'w>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal>
    where
        'w: 'p,
    {
        let mut results = Vec::new();
        for part in parts {
            let Part::ToolResult { id, name, parts, is_error, cache_control } = part else { continue };
            note_cache(*cache_control, self.report);
            let place = self.calls.iter().rposition(|(other, _)| is_same(other, id));
            let called = place.map(|place| self.calls[place].1.clone());
            let Some(name) = called.or_else(|| name.clone()) else {
                let sentence =
                    format!("The result of the call `{}` belongs to no call before it.", id.decoded());
                return Err(Refusal::invalid("invalid_value", sentence).about("messages"));
            };
            results.push((place, name, parts, *is_error));
        }
        results.sort_by_key(|(place, ..)| place.unwrap_or(usize::MAX));
        for (_, name, parts, is_error) in &results {
            separate(out);
            out.extend_from_slice(b"{\"functionResponse\":{\"name\":");
            self.names.write(name, out);
            out.extend_from_slice(b",\"response\":");
            write_outcome(parts, *is_error, out);
            out.extend_from_slice(b"}}");
        }
        for part in results.iter().flat_map(|(_, _, parts, _)| *parts) {
            if !matches!(part, Part::Text { .. } | Part::Refusal { .. }) {
                self.write_part(part, out)?;
            }
        }
        Ok(())
    }

    fn write_part(&mut self, part: &Part<'w>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let allowed = Allowed { has_urls: self.rules.takes_media_urls };
        match part {
            Part::Text { text, cache_control } => {
                note_cache(*cache_control, self.report);
                write_text(text, out);
            }
            Part::Refusal { text } => write_text(text, out),
            Part::Thinking { text, signature } => {
                if let Some(signature) = own(signature.as_ref(), self.rules) {
                    write_thought(text, signature, out);
                }
            }
            Part::ToolCall { id, name, arguments, kind, signature, cache_control } => {
                note_cache(*cache_control, self.report);
                self.calls.push((id.clone(), name.clone()));
                self.write_call(name, arguments, *kind, signature.as_ref(), out)?;
            }
            Part::Image { media, detail, cache_control } => {
                note_cache(*cache_control, self.report);
                if detail.as_ref().is_some_and(|detail| !detail.is("auto")) {
                    self.report.edited("messages.content.detail");
                }
                write_media(media, "image", allowed, self.report, out)?;
            }
            Part::Audio { media } => write_media(media, "audio", allowed, self.report, out)?,
            Part::File { media, cache_control, .. } => {
                note_cache(*cache_control, self.report);
                write_media(media, "file", allowed, self.report, out)?;
            }
            // A part of this dialect came from a client that speaks it.
            Part::Foreign { path, raw } if path.starts_with("contents[") => {
                separate(out);
                out.extend_from_slice(raw);
            }
            Part::Foreign { path, .. } => self.report.unsupported(&**path),
            // Written in front of all others, or not at all.
            Part::ToolResult { .. } | Part::HiddenThinking { .. } => {}
        }
        Ok(())
    }

    fn write_call(
        &mut self,
        name: &Text<'_>,
        arguments: &Text<'_>,
        kind: ToolKind,
        signature: Option<&Signature<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        separate(out);
        out.extend_from_slice(b"{\"functionCall\":{\"name\":");
        self.names.write(name, out);
        out.extend_from_slice(b",\"args\":");
        if kind == ToolKind::Custom {
            member_of_text("input", arguments, out);
        } else {
            write_arguments(name, arguments, out)?;
        }
        out.push(b'}');
        let is_first = std::mem::take(&mut self.needs_signature);
        if let Some(signature) = own(signature, self.rules) {
            member("thoughtSignature", out);
            signature.value.write(out);
        } else if is_first {
            member("thoughtSignature", out);
            out.extend_from_slice(NO_SIGNATURE);
        }
        out.push(b'}');
        Ok(())
    }
}

/// The arguments of a call: an object.
fn write_arguments(name: &Text<'_>, arguments: &Text<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let decoded = arguments.decoded();
    let trimmed = decoded.trim();
    match trimmed {
        "" | "null" => out.extend_from_slice(b"{}"),
        _ if json::scan_object(trimmed.as_bytes(), &mut Vec::new()).is_ok() => {
            out.extend_from_slice(trimmed.as_bytes());
        }
        _ => {
            let sentence = format!("The arguments of the call of `{}` are no JSON object.", name.decoded());
            return Err(Refusal::invalid("invalid_tool_arguments", sentence).about("messages.tool_calls"));
        }
    }
    Ok(())
}

/// What a function has answered: an object as it is, everything else as the `result`, a failure as the `error`.
fn write_outcome(parts: &[Part<'_>], is_error: bool, out: &mut Vec<u8>) {
    let mut said = Text::default();
    for part in parts {
        if let Part::Text { text, .. } | Part::Refusal { text } = part {
            said.push(text);
        }
    }
    let decoded = said.decoded();
    if !is_error && json::scan_object(decoded.as_bytes(), &mut Vec::new()).is_ok() {
        out.extend_from_slice(decoded.trim().as_bytes());
    } else {
        member_of_text(if is_error { "error" } else { "result" }, &said, out);
    }
}

/// An object of one text.
fn member_of_text(name: &str, text: &Text<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    member(name, out);
    text.write(out);
    out.push(b'}');
}

fn write_text(text: &Text<'_>, out: &mut Vec<u8>) {
    separate(out);
    member_of_text("text", text, out);
}

/// A thought with its signature. One without words was the signature of what stands before it.
fn write_thought(text: &Text<'_>, signature: &Signature<'_>, out: &mut Vec<u8>) {
    separate(out);
    out.extend_from_slice(b"{\"text\":");
    text.write(out);
    if !text.is_empty() {
        out.extend_from_slice(b",\"thought\":true");
    }
    member("thoughtSignature", out);
    signature.value.write(out);
    out.push(b'}');
}

fn note_cache(cache_control: Option<&[u8]>, report: &mut Report) {
    if cache_control.is_some() {
        report.edited("cache_control");
    }
}

fn is_same(one: &Text<'_>, other: &Text<'_>) -> bool {
    one == other || one.decoded() == other.decoded()
}

const BLANK_TURN: &[u8] = b"{\"role\":\"user\",\"parts\":[{\"text\":\" \"}]}";
/// Stands for a signature that is not there, where models refuse the first call of a step without one: the models that are
/// told how much to think by a word (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
pub(in crate::dialect) const NO_SIGNATURE: &[u8] = b"\"skip_thought_signature_validator\"";
