//! The conversation: system turns in front as `system`, all others as turns of user and assistant by turns, each with its
//! parts in the order that the API demands.

use std::borrow::Cow;
use std::fmt;

use super::{Writer, close_list, names, write_mark};
use crate::base::Refusal;
use crate::dialect::messages::arguments;
use crate::dialect::middle::{Part, Request, Role, Rules, Text, ToolKind, Turn};
use crate::wire::json;

/// The turns as they will stand in the request. Only the leading system turns are hoisted: moving a later one would change
/// everything in front of it, and with that the provider's cache of it.
pub(super) struct Conversation<'r, 'a> {
    system: &'r [Turn<'a>],
    groups: Vec<Group<'r, 'a>>,
    turns: &'r [Turn<'a>],
}

struct Group<'r, 'a> {
    is_assistant: bool,
    parts: Vec<(Spot, &'r Part<'a>)>,
}

/// Where a part stands in the client's turns.
#[derive(Clone, Copy)]
struct Spot {
    turn: usize,
    part: usize,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "messages[{}].content[{}]", self.turn, self.part)
    }
}

impl<'r, 'a> Conversation<'r, 'a> {
    pub(super) fn of(request: &'r Request<'a>) -> Conversation<'r, 'a> {
        let is_system = |turn: &Turn<'_>| matches!(turn.role, Role::System | Role::Developer);
        let leading_count = request.turns.iter().take_while(|turn| is_system(turn)).count();
        let (system, others) = request.turns.split_at(leading_count);
        let mut groups: Vec<Group<'r, 'a>> = Vec::new();
        for (index, turn) in others.iter().enumerate() {
            let is_assistant = turn.role == Role::Assistant;
            if groups.last().is_none_or(|group| group.is_assistant != is_assistant) {
                groups.push(Group { is_assistant, parts: Vec::new() });
            }
            let spot = |part| Spot { turn: leading_count + index, part };
            let parts = turn.parts.iter().enumerate().map(|(part, p)| (spot(part), p));
            if let Some(group) = groups.last_mut() {
                group.parts.extend(parts);
            }
        }
        groups.iter_mut().for_each(Group::order);
        Conversation { system, groups, turns: &request.turns }
    }

    /// Turns that name their speaker, for which the dialect has no place.
    fn named_turns(&self) -> impl Iterator<Item = usize> {
        self.turns.iter().enumerate().filter(|(_, turn)| turn.name.is_some()).map(|(index, _)| index)
    }

    /// System turns behind the first other one, whose words the user says here.
    fn late_system_turns(&self) -> impl Iterator<Item = usize> {
        let is_system = |turn: &Turn<'_>| matches!(turn.role, Role::System | Role::Developer);
        let others = self.turns.iter().enumerate().skip(self.system.len());
        others.filter(move |(_, turn)| is_system(turn)).map(|(index, _)| index)
    }

    /// The calls of earlier turns, which must be of tools that are declared.
    pub(super) fn called_tools(&self) -> impl Iterator<Item = &'r Text<'a>> {
        let parts = self.groups.iter().flat_map(|group| &group.parts);
        parts.filter_map(|(_, part)| match part {
            Part::ToolCall { name, .. } => Some(name),
            _ => None,
        })
    }

    /// The model is in the middle of a turn with tools, and its thoughts of that turn are not there. Manual thinking cannot
    /// go on from that.
    pub(super) fn lacks_thoughts(&self, rules: &Rules) -> bool {
        let last_turn = self.groups.iter().rfind(|group| group.is_assistant);
        last_turn.is_some_and(|group| {
            let has_calls = group.parts.iter().any(|(_, part)| matches!(part, Part::ToolCall { .. }));
            let has_thoughts = group.parts.iter().any(|(_, part)| is_readable_thought(part, rules));
            has_calls && !has_thoughts
        })
    }
}

impl Group<'_, '_> {
    /// Results first in a user's turn; thoughts first and calls last in an assistant's, which else stays as it came.
    fn order(&mut self) {
        if !self.is_assistant {
            return self.parts.sort_by_key(|(_, part)| !matches!(part, Part::ToolResult { .. }));
        }
        let rank = |part: &Part<'_>| match part {
            Part::Thinking { .. } | Part::HiddenThinking { .. } => 0,
            Part::ToolCall { .. } => 2,
            _ => 1,
        };
        let ranks = || self.parts.iter().map(|(_, part)| rank(part));
        let begins_late = ranks().next() != Some(0) && ranks().any(|rank| rank == 0);
        let goes_on_behind_calls = ranks().skip_while(|&rank| rank != 2).any(|rank| rank == 1);
        if begins_late || goes_on_behind_calls {
            self.parts.sort_by_key(|(_, part)| rank(part));
        }
    }
}

impl Group<'_, '_> {
    /// The place of the text that the model is to go on with, when this is the last turn.
    fn prefill(&self) -> Option<usize> {
        let is_empty = |part: &Part<'_>| matches!(part, Part::Text { text, .. } if is_blank(text));
        let last = self.parts.iter().rposition(|(_, part)| !is_empty(part));
        last.filter(|_| self.is_assistant)
    }
}

/// Whether a part is a thought that this provider wrote. A bare signature came in a request of another dialect, which cannot
/// tell whose it is; a wrong one costs the whole request.
fn is_readable_thought(part: &Part<'_>, rules: &Rules) -> bool {
    match part {
        Part::Thinking { signature, .. } => {
            signature.as_ref().is_some_and(|signature| signature.is_for(&rules.vendor))
        }
        Part::HiddenThinking { data } => data.is_for(&rules.vendor),
        _ => false,
    }
}

impl Writer<'_> {
    pub(super) fn write_conversation(
        &mut self,
        conversation: &Conversation<'_, '_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        self.write_system(conversation.system, out);
        for turn in conversation.named_turns() {
            self.report.edited(format!("messages[{turn}].name"));
        }
        for turn in conversation.late_system_turns() {
            self.report.edited(format!("messages[{turn}].role"));
        }
        out.extend_from_slice(b"\"messages\":[");
        for (index, group) in conversation.groups.iter().enumerate() {
            let is_last = index + 1 == conversation.groups.len();
            self.write_group(group, if is_last { Ends::Conversation } else { Ends::Turn }, out)?;
        }
        if out.last() == Some(&b'[') {
            let message = "There is no message with anything in it; the provider needs one.";
            return Err(Refusal::invalid("invalid_value", message).about("messages"));
        }
        close_list(out);
        out.push(b',');
        Ok(())
    }

    fn write_system(&mut self, turns: &[Turn<'_>], out: &mut Vec<u8>) {
        let before = out.len();
        out.extend_from_slice(b"\"system\":[");
        let begin = out.len();
        for (turn, index) in turns.iter().zip(0..) {
            for (part, number) in turn.parts.iter().zip(0..) {
                match part {
                    Part::Text { text, cache_control } => write_text(text, *cache_control, out),
                    _ => self.report.unsupported(Spot { turn: index, part: number }.to_string()),
                }
            }
        }
        if out.len() == begin {
            return out.truncate(before);
        }
        close_list(out);
        out.push(b',');
    }

    fn write_group(&mut self, group: &Group<'_, '_>, ends: Ends, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let before = out.len();
        let role = if group.is_assistant { "assistant" } else { "user" };
        out.extend_from_slice(b"{\"role\":\"");
        out.extend_from_slice(role.as_bytes());
        out.extend_from_slice(b"\",\"content\":[");
        let begin = out.len();
        let prefill = if ends == Ends::Conversation { group.prefill() } else { None };
        for (index, (spot, part)) in group.parts.iter().enumerate() {
            match part {
                // The API refuses white space at the end of what the model is to go on with.
                Part::Text { text, cache_control } if prefill == Some(index) => {
                    write_text(&without_trailing_space(text), *cache_control, out);
                }
                // It takes media from the user only.
                Part::Image { .. } | Part::File { .. } if group.is_assistant => {
                    self.report.unsupported(spot.to_string());
                }
                _ => self.write_part(part, *spot, out)?,
            }
        }
        if out.len() == begin {
            out.truncate(before);
            if group.is_assistant {
                return Ok(());
            }
            let turn = group.parts.first().map_or(0, |(spot, _)| spot.turn);
            let message = "A user's message has nothing in it that the provider could read.";
            return Err(Refusal::invalid("invalid_value", message).about(format!("messages[{turn}].content")));
        }
        close_list(out);
        out.extend_from_slice(b"},");
        Ok(())
    }

    /// Appends a part as a block with a comma behind it, or nothing.
    fn write_part(&mut self, part: &Part<'_>, spot: Spot, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match part {
            Part::Text { text, cache_control } => write_text(text, *cache_control, out),
            Part::Refusal { text } => write_text(text, None, out),
            Part::Image { media, detail, cache_control } => {
                if detail.as_ref().is_some_and(|detail| !detail.is("auto")) {
                    self.report.edited(format!("{spot}.detail"));
                }
                self.write_image(media, *cache_control, &spot, out);
            }
            Part::File { media, name, cache_control } => {
                self.write_document(media, name.as_ref(), *cache_control, &spot, out);
            }
            Part::Audio { .. } => self.report.unsupported(spot.to_string()),
            Part::Foreign { path, .. } => self.report.unsupported(path.as_str()),
            Part::Thinking { text, signature: Some(signature) } if is_readable_thought(part, self.rules) => {
                out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":");
                text.write(out);
                out.extend_from_slice(b",\"signature\":");
                signature.value.write(out);
                out.extend_from_slice(b"},");
            }
            Part::HiddenThinking { data } if is_readable_thought(part, self.rules) => {
                out.extend_from_slice(b"{\"type\":\"redacted_thinking\",\"data\":");
                data.value.write(out);
                out.extend_from_slice(b"},");
            }
            // Thoughts that only another provider can read are nothing to this one.
            Part::Thinking { .. } | Part::HiddenThinking { .. } => {
                self.report.edited(format!("messages[{}].thinking", spot.turn));
            }
            Part::ToolCall { id, name, arguments, kind, cache_control, .. } => {
                out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
                self.ids.write_of_call(id, out);
                out.extend_from_slice(b",\"name\":");
                names::write_name(name, &mut self.written, out);
                out.extend_from_slice(b",\"input\":");
                write_input(id, name, arguments, *kind, spot, out)?;
                write_mark(*cache_control, out);
                out.extend_from_slice(b"},");
            }
            Part::ToolResult { id, parts, is_error, cache_control, .. } => {
                out.extend_from_slice(b"{\"type\":\"tool_result\",\"tool_use_id\":");
                self.ids.write_of_result(id, out);
                self.write_result_content(parts, spot, out)?;
                if *is_error {
                    out.extend_from_slice(b",\"is_error\":true");
                }
                write_mark(*cache_control, out);
                out.extend_from_slice(b"},");
            }
        }
        Ok(())
    }

    /// Appends the member `content`, unless there is nothing in it.
    fn write_result_content(
        &mut self,
        parts: &[Part<'_>],
        spot: Spot,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let before = out.len();
        out.extend_from_slice(b",\"content\":[");
        let begin = out.len();
        for part in parts {
            self.write_part(part, spot, out)?;
        }
        if out.len() == begin {
            out.truncate(before);
        } else {
            close_list(out);
        }
        Ok(())
    }
}

/// What a turn is the end of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Turn,
    Conversation,
}

/// Appends a text block with a comma behind it; nothing for a blank text, which the API refuses.
fn write_text(text: &Text<'_>, cache_control: Option<&[u8]>, out: &mut Vec<u8>) {
    if is_blank(text) {
        return;
    }
    out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
    text.write(out);
    write_mark(cache_control, out);
    out.extend_from_slice(b"},");
}

/// Whether there is nothing but white space, without decoding what begins with anything else.
fn is_blank(text: &Text<'_>) -> bool {
    let begins_plain = |first: &u8| first.is_ascii_graphic() && *first != b'\\';
    !text.as_escaped().first().is_some_and(begins_plain) && text.is_blank()
}

fn without_trailing_space<'t>(text: &'t Text<'_>) -> Cow<'t, Text<'t>> {
    let decoded = text.decoded();
    let trimmed = decoded.trim_end();
    if trimmed.len() == decoded.len() { Cow::Borrowed(text) } else { Cow::Owned(Text::of(trimmed)) }
}

/// Appends the input of a call: the object that its arguments hold.
fn write_input(
    id: &Text<'_>,
    name: &Text<'_>,
    arguments: &Text<'_>,
    kind: ToolKind,
    spot: Spot,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if kind == ToolKind::Custom {
        out.extend_from_slice(b"{\"input\":");
        arguments.write(out);
        out.push(b'}');
        return Ok(());
    }
    let text = json::unescaped(arguments.as_escaped());
    let Some(object) = arguments::object_in(&text) else {
        let (name, id) = (name.decoded(), id.decoded());
        let message = format!("The arguments of the call `{id}` of `{name}` are not a JSON object.");
        let path = format!("messages[{}].tool_calls", spot.turn);
        return Err(Refusal::invalid("invalid_value", message).about(path));
    };
    out.extend_from_slice(object);
    Ok(())
}
