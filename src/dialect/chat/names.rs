//! Names of tools that OpenAI takes: up to 64 of `[a-zA-Z0-9_-]`. Others are renamed for the provider and named back in
//! the answer; the same name always becomes the same one, so that a provider's cache of the prompt holds.

use crate::dialect::middle::Text;
use crate::wire::json;

/// The names that had to be changed in one request: what is sent, and the client's.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub renamed: Vec<(String, String)>,
}

impl Names {
    /// Appends the name as a JSON string, as the provider takes it.
    pub fn write(&mut self, name: &Text<'_>, out: &mut Vec<u8>) {
        if is_taken(name.as_escaped()) {
            return name.write(out);
        }
        let decoded = name.decoded();
        if is_taken(decoded.as_bytes()) || decoded.is_empty() {
            return json::write_string(&decoded, out);
        }
        let sent = renamed(&decoded);
        json::write_string(&sent, out);
        if !self.renamed.iter().any(|(known, _)| *known == sent) {
            self.renamed.push((sent, decoded.into_owned()));
        }
    }
}

/// Whether a name is one that OpenAI takes.
pub(super) fn is_taken(name: &[u8]) -> bool {
    let is_fit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.iter().all(is_fit)
}

/// The beginning of the name, and eight digits that stand for all of it.
fn renamed(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let mut sent: String = name.chars().map(fit).take(NAME_KEPT_CHARS).collect();
    let sum = hash(name.as_bytes());
    sent.push_str(&format!("_{:08x}", (sum ^ (sum >> 32)) as u32));
    sent
}

/// FNV-1a of 64 bits: for names, not for secrets.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

const NAME_BYTES_MAX: usize = 64;
const NAME_KEPT_CHARS: usize = 55;
const _: () =
    assert!(NAME_KEPT_CHARS + 1 + 8 <= NAME_BYTES_MAX, "a name that was changed is one that is taken");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_changed_only_where_it_must_be_and_always_into_the_same() {
        let long = "mcp__".repeat(20);
        for (name, is_kept) in [("get_weather-2", true), ("a.b", false), ("größe", false), (&*long, false)]
        {
            let (mut names, mut out) = (Names::default(), Vec::new());
            names.write(&Text::of(name), &mut out);
            names.write(&Text::of(name), &mut Vec::new());
            let sent = String::from_utf8(out).unwrap();
            let sent = sent.trim_matches('"');
            assert!(is_taken(sent.as_bytes()), "{sent}");
            assert_eq!(sent == name, is_kept);
            let want = if is_kept { vec![] } else { vec![(sent.to_owned(), name.to_owned())] };
            assert_eq!(names.renamed, want);
        }
        assert_ne!(renamed("a.b"), renamed("a:b"));
    }
}
