//! Writes the turns of a conversation as the items of `input`. A thought goes back only to the vendor that signed it.

use super::write_request::write_comma;
use super::write_tools::write_name;
use crate::dialect::middle::{
    Media, Part, Report, Role, Rules, Signature, Source, Text, ToolKind, Turn, Written,
};
use crate::wire::json;

/// Appends `instructions` when the leading system turns are one plain text. Gives the number of turns that it took.
pub fn write_instructions(turns: &[Turn<'_>], out: &mut Vec<u8>) -> usize {
    let is_system = |turn: &&Turn<'_>| matches!(turn.role, Role::System | Role::Developer);
    if turns.iter().take_while(is_system).count() != 1 {
        return 0;
    }
    let [Part::Text { text, .. }] = &turns[0].parts[..] else { return 0 };
    out.extend_from_slice(b",\"instructions\":");
    text.write(out);
    1
}

/// Appends the items, commas between them.
pub fn write_items(
    turns: &[Turn<'_>],
    rules: &Rules,
    report: &mut Report,
    written: &mut Written,
    out: &mut Vec<u8>,
) {
    let custom_ids = custom_call_ids(turns);
    let mut items = Items { rules, report, written, start: out.len(), out, open: None, custom_ids };
    for turn in turns {
        if turn.name.is_some() {
            items.report.edited("name");
        }
        for part in &turn.parts {
            items.write_part(turn.role, part);
        }
        items.end_message();
    }
}

/// Results say only which call they belong to, and here their type depends on that call's.
fn custom_call_ids<'t>(turns: &'t [Turn<'_>]) -> Vec<&'t Text<'t>> {
    let parts = turns.iter().flat_map(|turn| &turn.parts);
    let ids = parts.filter_map(|part| match part {
        Part::ToolCall { id, kind: ToolKind::Custom, .. } => Some(id),
        _ => None,
    });
    ids.collect()
}

/// The items so far. Parts of a message gather in one that is open; everything else is an item of its own.
struct Items<'w> {
    rules: &'w Rules,
    report: &'w mut Report,
    written: &'w mut Written,
    out: &'w mut Vec<u8>,
    start: usize,
    /// Where the parts of the open message begin.
    open: Option<usize>,
    custom_ids: Vec<&'w Text<'w>>,
}

impl Items<'_> {
    fn write_part(&mut self, role: Role, part: &Part<'_>) {
        match part {
            Part::Thinking { text, signature } => self.write_thought(Some(text), signature.as_ref()),
            Part::HiddenThinking { data } => self.write_thought(None, Some(data)),
            Part::ToolCall { id, name, arguments, kind, cache_control, .. } => {
                self.note_cache_control(*cache_control);
                self.write_call(id, name, arguments, *kind);
            }
            Part::ToolResult { id, parts, is_error, cache_control, .. } => {
                self.note_cache_control(*cache_control);
                self.write_result(id, parts, *is_error);
            }
            Part::Foreign { path, .. } => self.report.unsupported(path),
            Part::Refusal { text } if role == Role::Assistant => {
                self.begin_content(role);
                self.out.extend_from_slice(b"{\"type\":\"refusal\",\"refusal\":");
                text.write(self.out);
                self.out.push(b'}');
            }
            Part::Text { text, .. } if text.is_empty() => {}
            Part::Text { .. } | Part::Refusal { .. } => {
                self.begin_content(role);
                self.write_content(role, part);
            }
            // What the model drew or said aloud cannot be given back.
            _ if role == Role::Assistant => self.report.unsupported("messages.content"),
            _ => {
                self.begin_content(role);
                self.write_content(role, part);
            }
        }
    }

    fn begin_content(&mut self, role: Role) {
        if let Some(at) = self.open {
            write_comma(at, self.out);
            return;
        }
        write_comma(self.start, self.out);
        self.out.extend_from_slice(b"{\"type\":\"message\",\"role\":");
        let role = match role {
            // The newer word for both; `system` is turned into it by the API itself.
            Role::System | Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        json::write_string(role, self.out);
        self.out.extend_from_slice(b",\"content\":[");
        self.open = Some(self.out.len());
    }

    fn end_message(&mut self) {
        if self.open.take().is_some() {
            self.out.extend_from_slice(b"]}");
        }
    }

    fn begin_item(&mut self, kind: &str) {
        self.end_message();
        write_comma(self.start, self.out);
        self.out.extend_from_slice(b"{\"type\":");
        json::write_string(kind, self.out);
    }

    /// Without a signature of this provider's vendor a thought is left out: the API takes its own only.
    fn write_thought(&mut self, text: Option<&Text<'_>>, signature: Option<&Signature<'_>>) {
        let vendor = &*self.rules.vendor;
        let Some(signature) = signature.filter(|s| !vendor.is_empty() && s.is_for(vendor)) else {
            self.report.edited("thinking");
            return;
        };
        self.begin_item("reasoning");
        self.out.extend_from_slice(b",\"summary\":[");
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.out.extend_from_slice(b"{\"type\":\"summary_text\",\"text\":");
            text.write(self.out);
            self.out.push(b'}');
        }
        self.out.extend_from_slice(b"],\"encrypted_content\":");
        signature.value.write(self.out);
        self.out.push(b'}');
    }

    fn write_call(&mut self, id: &Text<'_>, name: &Text<'_>, arguments: &Text<'_>, kind: ToolKind) {
        let is_custom = kind == ToolKind::Custom;
        self.begin_item(if is_custom { "custom_tool_call" } else { "function_call" });
        self.out.extend_from_slice(b",\"call_id\":");
        id.write(self.out);
        self.out.extend_from_slice(b",\"name\":");
        write_name(name, self.written, self.out);
        self.out.extend_from_slice(if is_custom { b",\"input\":" } else { b",\"arguments\":" });
        match (is_custom, arguments.is_empty()) {
            (false, true) => self.out.extend_from_slice(b"\"{}\""),
            _ => arguments.write(self.out),
        }
        self.out.push(b'}');
    }

    /// The API has no field for a failure: the text says it.
    fn write_result(&mut self, id: &Text<'_>, parts: &[Part<'_>], is_error: bool) {
        let is_custom = self.custom_ids.contains(&id);
        self.begin_item(if is_custom { "custom_tool_call_output" } else { "function_call_output" });
        self.out.extend_from_slice(b",\"call_id\":");
        id.write(self.out);
        self.out.extend_from_slice(b",\"output\":");
        let prefix = if is_error { ERROR_PREFIX } else { "" };
        match parts {
            [] => json::write_string(prefix.trim_end(), self.out),
            [Part::Text { text, cache_control }] => {
                self.note_cache_control(*cache_control);
                self.out.push(b'"');
                self.out.extend_from_slice(prefix.as_bytes());
                self.out.extend_from_slice(text.as_escaped());
                self.out.push(b'"');
            }
            parts => {
                self.out.push(b'[');
                let start = self.out.len();
                if is_error {
                    self.write_content(Role::User, &text_part(prefix.trim_end()));
                }
                for part in parts {
                    let before = self.out.len();
                    write_comma(start, self.out);
                    let behind_comma = self.out.len();
                    self.write_content(Role::User, part);
                    if self.out.len() == behind_comma {
                        self.out.truncate(before);
                    }
                }
                self.out.push(b']');
            }
        }
        self.out.push(b'}');
    }

    /// One part of a message or of a result. What cannot stand there is reported and leaves no trace.
    fn write_content(&mut self, role: Role, part: &Part<'_>) {
        match part {
            Part::Text { text, cache_control } => {
                self.note_cache_control(*cache_control);
                self.write_text(role, text);
            }
            Part::Refusal { text } => self.write_text(role, text),
            Part::Image { media, detail, cache_control } => {
                self.note_cache_control(*cache_control);
                self.write_image(media, detail.as_ref());
            }
            Part::File { media, name, cache_control } => {
                self.note_cache_control(*cache_control);
                self.write_file(role, media, name.as_ref());
            }
            Part::Audio { media } => self.write_audio(media),
            Part::Foreign { path, .. } => self.report.unsupported(path),
            _ => self.report.unsupported("messages.content"),
        }
    }

    fn write_text(&mut self, role: Role, text: &Text<'_>) {
        let kind = if role == Role::Assistant { "output_text" } else { "input_text" };
        self.out.extend_from_slice(b"{\"type\":");
        json::write_string(kind, self.out);
        self.out.extend_from_slice(b",\"text\":");
        text.write(self.out);
        self.out.push(b'}');
    }

    fn write_image(&mut self, media: &Media<'_>, detail: Option<&Text<'_>>) {
        if matches!(media.source, Source::Text(_)) {
            return self.write_placeholder("image");
        }
        self.out.extend_from_slice(b"{\"type\":\"input_image\",\"detail\":");
        detail.unwrap_or(&Text::escaped(b"auto")).write(self.out);
        match &media.source {
            Source::FileId(id) => self.write_string_member("file_id", id),
            _ => self.write_url("image_url", media, "image/png"),
        }
        self.out.push(b'}');
    }

    fn write_file(&mut self, role: Role, media: &Media<'_>, name: Option<&Text<'_>>) {
        if let Source::Text(text) = &media.source {
            return self.write_text(role, text);
        }
        self.out.extend_from_slice(b"{\"type\":\"input_file\"");
        match &media.source {
            Source::FileId(id) => self.write_string_member("file_id", id),
            Source::Url(_) => self.write_url("file_url", media, ""),
            _ => {
                // The API demands a name beside the bytes.
                self.write_string_member("filename", name.unwrap_or(&Text::escaped(b"document.pdf")));
                self.write_url("file_data", media, "application/pdf");
            }
        }
        self.out.push(b'}');
    }

    fn write_audio(&mut self, media: &Media<'_>) {
        let Source::Base64(data) = &media.source else { return self.write_placeholder("audio") };
        let kind = media.kind.as_ref().map(Text::decoded).unwrap_or_default();
        let format = match kind.strip_prefix("audio/").unwrap_or(&kind) {
            "mpeg" => "mp3",
            "x-wav" | "wave" | "" => "wav",
            format => format,
        };
        self.out.extend_from_slice(b"{\"type\":\"input_audio\",\"input_audio\":{\"format\":");
        json::write_string(format, self.out);
        self.write_string_member("data", data);
        self.out.extend_from_slice(b"}}");
    }

    /// An empty text in place of what the API has no form for, so that the message stays one.
    fn write_placeholder(&mut self, what: &str) {
        self.report.unsupported(what);
        self.write_text(Role::User, &Text::default());
    }

    fn write_string_member(&mut self, name: &str, value: &Text<'_>) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        value.write(self.out);
    }

    /// A URL, or bytes as one (RFC 2397).
    fn write_url(&mut self, name: &str, media: &Media<'_>, kind_default: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":\"");
        match &media.source {
            Source::Url(url) => {
                if !self.rules.takes_media_urls {
                    self.report.unsupported(name);
                }
                self.out.extend_from_slice(url.as_escaped());
            }
            Source::Base64(data) | Source::Text(data) | Source::FileId(data) => {
                self.out.extend_from_slice(b"data:");
                match &media.kind {
                    Some(kind) => self.out.extend_from_slice(kind.as_escaped()),
                    None => self.out.extend_from_slice(kind_default.as_bytes()),
                }
                self.out.extend_from_slice(b";base64,");
                self.out.extend_from_slice(data.as_escaped());
            }
        }
        self.out.push(b'"');
    }

    fn note_cache_control(&mut self, cache_control: Option<&[u8]>) {
        if cache_control.is_some() {
            self.report.edited("cache_control");
        }
    }
}

fn text_part(text: &str) -> Part<'static> {
    Part::Text { text: Text::of(text), cache_control: None }
}

/// Stands in front of the output of a tool that failed.
const ERROR_PREFIX: &str = "Error: ";
