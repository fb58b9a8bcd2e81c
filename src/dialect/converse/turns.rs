//! The conversation in the shape that Converse demands: system texts apart, then turns of user and assistant in strict
//! alternation, beginning with the user, without blank texts.
//!
//! Within a turn of the user the results of tools come first, within one of the assistant its calls come last, because
//! models behind the API refuse every other order.

use crate::base::Refusal;
use crate::dialect::middle::{Part, Report, Request, Role, Rules, Signature, Text, Turn};

use super::media::{write_audio, write_document, write_image};
use super::tools::{Names, sent_id, write_arguments};
use super::write::{
    cache_point, element, is_blank, member, raw_member, str_member, text_element, text_member,
};

/// What was written.
pub(super) struct Turns {
    /// The elements of `system`.
    pub(super) system: Vec<u8>,
    /// The elements of `messages`; never empty.
    pub(super) messages: Vec<u8>,
    /// The model may be told to think: where it is in the middle of calling tools, that goes only if its thoughts so far
    /// are there.
    pub(super) may_think: bool,
}

/// Writes all turns.
pub(super) fn write_turns(
    request: &Request<'_>,
    rules: &Rules,
    names: &mut Names,
    report: &mut Report,
) -> Result<Turns, Refusal> {
    let is_system = |turn: &Turn<'_>| matches!(turn.role, Role::System | Role::Developer);
    let leading = request.turns.iter().take_while(|turn| is_system(turn)).count();
    let (system_turns, turns) = request.turns.split_at(leading);
    let mut system = Vec::new();
    for part in system_turns.iter().flat_map(|turn| &turn.parts) {
        write_system_part(part, report, &mut system);
    }
    let turns_written = Turns { system, messages: Vec::new(), may_think: true };
    let mut writer =
        Writer { rules, names, report, documents: Vec::new(), message: None, done: turns_written };
    let last = turns.len().saturating_sub(1);
    for (index, turn) in turns.iter().enumerate() {
        let prefill =
            (index == last && turn.role == Role::Assistant).then(|| turn.parts.len().saturating_sub(1));
        writer.write_turn(turn, prefill)?;
    }
    writer.flush();
    if writer.done.messages.is_empty() {
        let sentence = "The conversation holds no text that the model could answer.";
        return Err(Refusal::invalid("empty_conversation", sentence).about("messages"));
    }
    Ok(writer.done)
}

fn write_system_part(part: &Part<'_>, report: &mut Report, out: &mut Vec<u8>) {
    match part {
        Part::Text { text, cache_control } => {
            if !is_blank(text) {
                text_element(text, out);
                cache_point(*cache_control, out);
            }
        }
        Part::Foreign { path, .. } => report.unsupported(path.as_str()),
        _ => report.unsupported("system"),
    }
}

/// A message that is being put together.
struct Message {
    is_assistant: bool,
    /// Elements of its content: results of tools, or all but calls; then the others.
    front: Vec<u8>,
    back: Vec<u8>,
    has_text: bool,
    has_document: bool,
    has_thought: bool,
    has_call: bool,
    has_result: bool,
}

impl Message {
    fn new(is_assistant: bool) -> Message {
        Message {
            is_assistant,
            front: Vec::new(),
            back: Vec::new(),
            has_text: false,
            has_document: false,
            has_thought: false,
            has_call: false,
            has_result: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.front.is_empty() && self.back.is_empty()
    }

    /// Where the elements go that are neither calls nor results.
    fn lane(&mut self) -> &mut Vec<u8> {
        if self.is_assistant { &mut self.front } else { &mut self.back }
    }

    /// Thoughts keep their place among the calls.
    fn lane_of_thoughts(&mut self) -> &mut Vec<u8> {
        if self.has_call { &mut self.back } else { self.lane() }
    }
}

struct Writer<'w> {
    rules: &'w Rules,
    names: &'w mut Names,
    report: &'w mut Report,
    /// Names of documents so far.
    documents: Vec<String>,
    message: Option<Message>,
    done: Turns,
}

impl Writer<'_> {
    /// Adds a turn. `prefill` is the part that the model is to go on with, when there is one.
    fn write_turn(&mut self, turn: &Turn<'_>, prefill: Option<usize>) -> Result<(), Refusal> {
        if matches!(turn.role, Role::System | Role::Developer) {
            // Few models take such a turn; moving it to the front would cost the provider's cache of all before it.
            self.report.edited("system");
        }
        if turn.name.is_some() {
            self.report.edited("name");
        }
        let is_assistant = turn.role == Role::Assistant;
        let goes_on = self.message.take_if(|message| message.is_assistant == is_assistant);
        let mut message = goes_on.unwrap_or_else(|| Message::new(is_assistant));
        for (index, part) in turn.parts.iter().enumerate() {
            match part {
                Part::Text { text, .. }
                    if prefill == Some(index) && text.decoded().ends_with(char::is_whitespace) =>
                {
                    // A text to go on with must not end in white space.
                    let text = Text::of(text.decoded().trim_end());
                    self.write_part(&mut message, &Part::Text { text, cache_control: None })?;
                }
                part => self.write_part(&mut message, part)?,
            }
        }
        // One without content does not exist for the API, and does not keep its neighbours apart.
        if !message.is_empty() {
            self.flush();
            self.message = Some(message);
        }
        Ok(())
    }

    fn write_part(&mut self, message: &mut Message, part: &Part<'_>) -> Result<(), Refusal> {
        match part {
            Part::Text { text, cache_control } => {
                if !is_blank(text) {
                    message.has_text = true;
                    text_element(text, message.lane());
                    cache_point(*cache_control, message.lane());
                }
            }
            Part::Refusal { text } => {
                if !is_blank(text) {
                    message.has_text = true;
                    text_element(text, message.lane());
                }
            }
            Part::Image { media, cache_control, .. } => {
                if write_image(media, self.report, message.lane()) {
                    cache_point(*cache_control, message.lane());
                }
            }
            Part::Audio { media } => {
                write_audio(media, self.report, message.lane());
            }
            Part::File { media, name, cache_control } => {
                let lane = message.lane();
                if write_document(media, name.as_ref(), &mut self.documents, self.report, lane) {
                    message.has_document = true;
                    cache_point(*cache_control, message.lane());
                }
            }
            Part::Thinking { text, signature } => self.write_thought(message, text, signature.as_ref()),
            Part::HiddenThinking { data } => self.write_hidden_thought(message, data),
            Part::ToolCall { .. } => self.write_call(message, part)?,
            Part::ToolResult { .. } => self.write_result(message, part),
            Part::Foreign { path, .. } => self.report.unsupported(path.as_str()),
        }
        Ok(())
    }

    fn write_call(&mut self, message: &mut Message, part: &Part<'_>) -> Result<(), Refusal> {
        let Part::ToolCall { id, name, arguments, kind, cache_control, .. } = part else { return Ok(()) };
        message.has_call = true;
        let out = &mut message.back;
        element(out);
        out.extend_from_slice(b"{\"toolUse\":{");
        str_member("toolUseId", &sent_id(id), out);
        str_member("name", &self.names.called(name), out);
        member("input", out);
        write_arguments(arguments, *kind, out)?;
        out.extend_from_slice(b"}}");
        cache_point(*cache_control, out);
        Ok(())
    }

    fn write_result(&mut self, message: &mut Message, part: &Part<'_>) {
        let Part::ToolResult { id, parts, is_error, cache_control, .. } = part else { return };
        message.has_result = true;
        let out = &mut message.front;
        element(out);
        out.extend_from_slice(b"{\"toolResult\":{");
        str_member("toolUseId", &sent_id(id), out);
        member("content", out);
        out.push(b'[');
        parts.iter().for_each(|part| self.write_result_part(part, out));
        out.push(b']');
        // Not all models take the field, so that it is left out where it says nothing.
        if *is_error {
            raw_member("status", b"\"error\"", out);
        }
        out.extend_from_slice(b"}}");
        // Inside of a result there is no place for a mark: it stands behind.
        let inner = parts.iter().rev().find_map(cache_control_of);
        cache_point(cache_control.or(inner), out);
    }

    /// A part of a result. A result without any is taken; a blank text in it is not by all models.
    fn write_result_part(&mut self, part: &Part<'_>, out: &mut Vec<u8>) {
        match part {
            Part::Text { text, .. } => {
                if !is_blank(text) {
                    text_element(text, out);
                }
            }
            Part::Image { media, .. } => {
                write_image(media, self.report, out);
            }
            Part::File { media, name, .. } => {
                write_document(media, name.as_ref(), &mut self.documents, self.report, out);
            }
            Part::Foreign { path, .. } => self.report.unsupported(path.as_str()),
            _ => self.report.unsupported("tool_result.content"),
        }
    }

    /// A thought goes back to who had it; without a signature nobody takes it.
    fn write_thought(&mut self, message: &mut Message, text: &Text<'_>, signature: Option<&Signature<'_>>) {
        let Some(signature) = signature.filter(|signature| self.is_ours(signature)) else {
            return self.report.edited("thinking");
        };
        message.has_thought = true;
        let out = message.lane_of_thoughts();
        element(out);
        out.extend_from_slice(b"{\"reasoningContent\":{\"reasoningText\":{");
        text_member("text", text, out);
        text_member("signature", &signature.value, out);
        out.extend_from_slice(b"}}}");
    }

    fn write_hidden_thought(&mut self, message: &mut Message, data: &Signature<'_>) {
        if !self.is_ours(data) {
            return self.report.edited("thinking");
        }
        message.has_thought = true;
        let out = message.lane_of_thoughts();
        element(out);
        out.extend_from_slice(b"{\"reasoningContent\":{");
        text_member("redactedContent", &data.value, out);
        out.extend_from_slice(b"}}");
    }

    fn is_ours(&self, signature: &Signature<'_>) -> bool {
        !self.rules.vendor.is_empty() && signature.is_for(&self.rules.vendor)
    }

    /// Ends the message that is being put together.
    fn flush(&mut self) {
        let Some(mut message) = self.message.take() else { return };
        if message.has_document && !message.has_text {
            // A document must not stand without a text.
            text_element(&Text::of("See the document."), &mut message.back);
            self.report.edited("file");
        }
        let out = &mut self.done.messages;
        if out.is_empty() && message.is_assistant {
            out.extend_from_slice(b"{\"role\":\"user\",\"content\":[{\"text\":\".\"}]}");
            self.report.edited("messages");
        }
        let role: &str = if message.is_assistant { "assistant" } else { "user" };
        element(out);
        out.push(b'{');
        str_member("role", role, out);
        member("content", out);
        out.push(b'[');
        out.extend_from_slice(&message.front);
        if !message.front.is_empty() && !message.back.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(&message.back);
        out.extend_from_slice(b"]}");
        if message.is_assistant {
            self.done.may_think = !message.has_call || message.has_thought;
        } else {
            self.done.may_think |= !message.has_result || message.has_text;
        }
    }
}

fn cache_control_of<'a>(part: &Part<'a>) -> Option<&'a [u8]> {
    match part {
        Part::Text { cache_control, .. }
        | Part::Image { cache_control, .. }
        | Part::File { cache_control, .. } => *cache_control,
        _ => None,
    }
}
