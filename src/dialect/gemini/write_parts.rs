//! Parts and candidates of an answer, as its two writers need them.

use super::super::middle::{Block, FinishReason, Signature, Start, Text, Told};
use super::finish::finish_word;
use super::signature;
use super::spelling::{member, member_raw, member_text, separate};
use crate::wire::json::{self, Node};

/// A call whose arguments come in pieces and go out as a whole.
#[derive(Clone, Debug)]
pub(super) struct Call {
    id: Text<'static>,
    name: Text<'static>,
    is_custom: bool,
    /// As it is written, quotes included; empty without one.
    signature: Vec<u8>,
    /// The content of a JSON string.
    pub(super) arguments: Vec<u8>,
}

impl Call {
    pub(super) fn new(
        id: &Text<'_>,
        name: &Text<'_>,
        is_custom: bool,
        given: Option<&Signature<'_>>,
    ) -> Call {
        let (id, name) = (id.clone().into_owned(), name.clone().into_owned());
        let mut signature = Vec::new();
        if let Some(given) = given {
            signature::write_for_client(given, &mut signature);
        }
        Call { id, name, is_custom, signature, arguments: Vec::new() }
    }

    /// Writes the part. Arguments that are no JSON object are told as what they are.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"functionCall\":{");
        if !self.id.is_empty() {
            member("id", out);
            self.id.write(out);
        }
        member("name", out);
        self.name.write(out);
        member("args", out);
        let decoded = json::unescaped(&self.arguments);
        if self.is_custom {
            member_of_escaped("input", &self.arguments, out);
        } else if decoded.trim().is_empty() {
            out.extend_from_slice(b"{}");
        } else if json::scan_object(decoded.as_bytes(), &mut Vec::new()).is_ok() {
            write_flat(decoded.trim().as_bytes(), out);
        } else {
            member_of_escaped("_invalid_arguments", &self.arguments, out);
        }
        out.push(b'}');
        if !self.signature.is_empty() {
            member_raw("thoughtSignature", &self.signature, out);
        }
        out.push(b'}');
    }
}

fn member_of_escaped(name: &str, escaped: &[u8], out: &mut Vec<u8>) {
    out.push(b'{');
    member(name, out);
    Text::escaped(escaped).write(out);
    out.push(b'}');
}

/// Writes JSON on one line, as an event must be. Line ends stand between its tokens only: in texts they are escaped.
pub(super) fn write_flat(raw: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(raw);
    out[start..].iter_mut().filter(|b| matches!(b, b'\n' | b'\r')).for_each(|b| *b = b' ');
}

/// Writes a block that needs no deltas, if it has a part here. A hidden thought is a thought with a signature and no text.
/// Of foreign blocks only those are known that are this dialect's own.
pub(super) fn write_whole(block: &Block<'_>, out: &mut Vec<u8>) {
    match block {
        Block::HiddenThinking { data } => {
            out.extend_from_slice(b"{\"thought\":true,\"thoughtSignature\":");
            signature::write_for_client(data, out);
            out.push(b'}');
        }
        Block::Media { kind, base64 } => {
            out.extend_from_slice(b"{\"inlineData\":{\"mimeType\":");
            kind.write(out);
            member("data", out);
            base64.write(out);
            out.extend_from_slice(b"}}");
        }
        Block::Foreign { raw } if OWN.iter().any(|name| Node::scanned(raw).get(name).is_some()) => {
            write_flat(raw, out);
        }
        _ => {}
    }
}

/// Ends a part that was begun with a text: marks a thought, adds a signature.
pub(super) fn end_text(is_thought: bool, signature: &[u8], out: &mut Vec<u8>) {
    if is_thought {
        member_raw("thought", b"true", out);
    }
    if !signature.is_empty() {
        member_raw("thoughtSignature", signature, out);
    }
    out.push(b'}');
}

/// Adds a source to the list that [`write_sources`] writes.
pub(super) fn add_source(url: Option<&Text<'_>>, title: Option<&Text<'_>>, sources: &mut Vec<u8>) {
    if !sources.is_empty() {
        sources.push(b',');
    }
    sources.extend_from_slice(b"{\"web\":{");
    for (name, text) in [("uri", url), ("title", title)] {
        if let Some(text) = text {
            member(name, sources);
            text.write(sources);
        }
    }
    sources.extend_from_slice(b"}}");
}

/// Writes the member `groundingMetadata`, if there are sources.
pub(super) fn write_sources(sources: &[u8], out: &mut Vec<u8>) {
    if !sources.is_empty() {
        member("groundingMetadata", out);
        out.extend_from_slice(b"{\"groundingChunks\":[");
        out.extend_from_slice(sources);
        out.extend_from_slice(b"]}");
    }
}

/// Starts the list of candidates.
pub(super) fn begin_candidates(out: &mut Vec<u8>) {
    member("candidates", out);
    out.push(b'[');
}

/// The last members of a candidate, and its end.
pub(super) fn end_candidate(choice: u32, finish: Option<FinishReason>, out: &mut Vec<u8>) {
    if let Some(reason) = finish {
        member_text("finishReason", finish_word(reason), out);
    }
    super::spelling::member_count("index", u64::from(choice), out);
    out.push(b'}');
}

/// Writes the members that name the answer: what the provider said, else what was told.
pub(super) fn write_names(start: &Start<'_>, told: &Told, out: &mut Vec<u8>) {
    for (name, given, other) in
        [("modelVersion", &start.model, &told.model), ("responseId", &start.id, &told.id)]
    {
        if !given.is_empty() {
            member(name, out);
            given.write(out);
        } else if !other.is_empty() {
            member_text(name, other, out);
        }
    }
}

/// Starts the next element with a text member that is open, for its content.
pub(super) fn begin_text(out: &mut Vec<u8>) {
    separate(out);
    out.extend_from_slice(b"{\"text\":\"");
}

/// Parts of this dialect that the middle has no word for.
const OWN: &[&str] = &["executableCode", "codeExecutionResult"];
