//! Ids of calls and names of tools as Anthropic takes them (`^[a-zA-Z0-9_-]+$`, names up to 128 of them). The same id or name
//! always becomes the same one, in calls, results and choices alike.

use std::collections::HashMap;

use crate::dialect::middle::{Text, Written};
use crate::wire::json;

/// The ids of the calls so far. One that comes again, as some providers number the calls of each answer from 0, becomes
/// another one, for the call and for the results that follow it.
#[derive(Default)]
pub(super) struct Ids {
    uses: HashMap<String, u32>,
}

impl Ids {
    pub(super) fn write_of_call(&mut self, id: &Text<'_>, out: &mut Vec<u8>) {
        let id = id.decoded();
        let uses = self.uses.entry(id.clone().into_owned()).or_insert(0);
        *uses += 1;
        json::write_string(&accepted(&id, *uses, usize::MAX), out);
    }

    pub(super) fn write_of_result(&self, id: &Text<'_>, out: &mut Vec<u8>) {
        let id = id.decoded();
        let uses = self.uses.get(&*id).copied().unwrap_or(1);
        json::write_string(&accepted(&id, uses, usize::MAX), out);
    }
}

/// Appends a tool's name; a changed one is noted, so that the client hears its own again.
pub(super) fn write_name(name: &Text<'_>, written: &mut Written, out: &mut Vec<u8>) {
    let name = name.decoded();
    let sent = accepted(&name, 1, NAME_BYTES_MAX);
    if sent != name && !written.renamed_tools.iter().any(|(known, _)| *known == sent) {
        written.renamed_tools.push((sent.clone(), name.into_owned()));
    }
    json::write_string(&sent, out);
}

/// The text itself, or what stands for it: its accepted characters and a hash that tells it from others.
fn accepted(text: &str, uses: u32, bytes_max: usize) -> String {
    let is_accepted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_fine = !text.is_empty() && text.len() <= bytes_max && text.bytes().all(is_accepted);
    if is_fine && uses == 1 {
        return text.to_owned();
    }
    let cleaned = text.chars().map(|c| if c.is_ascii() && is_accepted(c as u8) { c } else { '_' });
    let cleaned: String = cleaned.take(REWRITTEN_CHARS_MAX).collect();
    format!("{cleaned}_{:08x}", hash(text, uses))
}

/// FNV-1a, which needs to be the same in every process.
fn hash(text: &str, uses: u32) -> u32 {
    let bytes = text.bytes().chain(uses.to_le_bytes());
    bytes.fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

const NAME_BYTES_MAX: usize = 128;
/// What is kept of a text that is rewritten. With the hash it fits the bound of other providers of the dialect (64) too.
const REWRITTEN_CHARS_MAX: usize = 55;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_taken_stays_and_any_other_is_rewritten_the_same_way_each_time() {
        let mut ids = Ids::default();
        let (mut call, mut result) = (Vec::new(), Vec::new());
        for id in ["toolu_01-A", "functions.f:0", "ä", "", "call_0", "call_0"] {
            call.clear();
            result.clear();
            ids.write_of_call(&Text::of(id), &mut call);
            ids.write_of_result(&Text::of(id), &mut result);
            assert_eq!(call, result, "{id}");
            assert!(call.len() > 2, "{id}");
        }
        assert!(call.starts_with(b"\"call_0_"), "the second one of a name differs from the first");
        let mut of_unknown = Vec::new();
        ids.write_of_result(&Text::of("toolu_x"), &mut of_unknown);
        assert_eq!(of_unknown, b"\"toolu_x\"");
    }

    #[test]
    fn a_changed_name_is_noted_once() {
        let mut written = Written::default();
        let mut out = Vec::new();
        for name in ["get_weather", "mcp.get weather", "mcp.get weather", &"n".repeat(129)] {
            write_name(&Text::of(name), &mut written, &mut out);
        }
        assert_eq!(written.renamed_tools.len(), 2);
        assert_eq!(written.renamed_tools[0].1, "mcp.get weather");
        assert!(written.renamed_tools[0].0.starts_with("mcp_get_weather_"));
    }
}
