//! Multipart bodies (RFC 2046 §5.1, RFC 7578): finds one small text field in what has come so far of a body that streams
//! through. Linear in the input; decodes nothing.

use crate::base::Span;
use crate::base::limits::MULTIPART_BOUNDARY_BYTES_MAX;

/// What a search in the first bytes of a body found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldSearch {
    /// The place of the field's value.
    Found(Span),
    /// The body ended without the field.
    Absent,
    /// The field has not come yet.
    NotYet,
    /// Two fields of this name: readers differ in which they take.
    Twice,
}

const FORM: &[u8] = b"multipart/form-data";

/// The boundary that a `multipart/form-data` content type names; `None` when it is another type or the boundary is not
/// one of RFC 2046.
pub fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    // Every request is asked, and few of them are forms.
    let kind = content_type.trim_ascii_start();
    if !kind.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM)) {
        return None;
    }
    let mut parts = content_type.split(|&b| b == b';').map(<[u8]>::trim_ascii);
    if parts.next()?.len() != FORM.len() {
        return None;
    }
    let value = parts.find_map(|part| parameter(part, b"boundary"))?;
    let is_allowed = |&b: &u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    let fits = (1..=MULTIPART_BOUNDARY_BYTES_MAX).contains(&value.len());
    (fits && value.iter().all(is_allowed) && !value.ends_with(b" ")).then_some(value)
}

/// Looks for the field `name` in the first bytes of a body. Parts with a file name are files, not fields.
pub fn find_field(body: &[u8], boundary: &[u8], name: &str) -> FieldSearch {
    Search::new(boundary, name).look(body)
}

/// The search of [`find_field`] over a body that grows: a part that was seen to its end is not looked at again.
pub struct Search<'s> {
    delimiter: Vec<u8>,
    name: &'s str,
    /// The delimiter of the first part whose end was not seen.
    part_at: Option<usize>,
    found: Option<Span>,
}

impl<'s> Search<'s> {
    pub fn new(boundary: &[u8], name: &'s str) -> Search<'s> {
        Search { delimiter: [b"--", boundary].concat(), name, part_at: None, found: None }
    }

    /// Looks at the body again, from its first byte on, with what has come since.
    pub fn look(&mut self, body: &[u8]) -> FieldSearch {
        let finder = memchr::memmem::Finder::new(&self.delimiter);
        let first = self.part_at.or_else(|| first_delimiter(body, &self.delimiter, &finder));
        let Some(mut at) = first else { return FieldSearch::NotYet };
        loop {
            self.part_at = Some(at);
            let behind = &body[at + self.delimiter.len()..];
            if behind.starts_with(b"--") {
                return self.found.map_or(FieldSearch::Absent, FieldSearch::Found);
            }
            let Some(headers_len) = memchr::memmem::find(behind, b"\r\n\r\n") else { break };
            let value_at = at + self.delimiter.len() + headers_len + 4;
            let Some(next) = next_delimiter(body, value_at - 2, &finder) else { break };
            if is_field(&behind[..headers_len], self.name) {
                if self.found.is_some() {
                    return FieldSearch::Twice;
                }
                self.found = Some(Span::new(value_at, next.max(value_at + 2) - 2));
            }
            at = next;
        }
        self.found.map_or(FieldSearch::NotYet, FieldSearch::Found)
    }
}

/// One part of a body, as far as it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// From its delimiter to the next one; to the end of what has come where that has not.
    pub whole: Span,
    pub headers: Span,
    pub value: Span,
    /// The next delimiter has come.
    pub is_complete: bool,
}

impl Part {
    /// Whether it is the form field of this name.
    pub fn is_field(&self, body: &[u8], name: &str) -> bool {
        is_field(self.headers.of(body), name)
    }

    /// The name of the file in it, when it is spelled plainly.
    pub fn file_name(&self, body: &[u8]) -> Option<String> {
        let disposition = disposition(self.headers.of(body))?;
        let mut parts = disposition.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let name = parts.find_map(|part| parameter(part, b"filename"))?;
        std::str::from_utf8(name).ok().map(str::to_owned)
    }

    /// Whether it has a file name.
    pub fn is_file(&self, body: &[u8]) -> bool {
        let disposition = disposition(self.headers.of(body)).unwrap_or_default();
        disposition.split(|&b| b == b';').any(|part| is_file_name(part.trim_ascii()))
    }
}

/// The parts in the first bytes of a body whose headers have come.
pub fn parts(body: &[u8], boundary: &[u8]) -> Vec<Part> {
    let delimiter = [b"--", boundary].concat();
    let finder = memchr::memmem::Finder::new(&delimiter);
    let mut parts = Vec::new();
    let mut next = first_delimiter(body, &delimiter, &finder);
    while let Some(at) = next {
        let behind_at = at + delimiter.len();
        let behind = &body[behind_at..];
        let Some(headers_len) = memchr::memmem::find(behind, b"\r\n\r\n") else { break };
        if behind.starts_with(b"--") {
            break;
        }
        let value_at = behind_at + headers_len + 4;
        next = next_delimiter(body, value_at - 2, &finder);
        let value_end = next.map_or(body.len(), |next| next.max(value_at + 2) - 2);
        parts.push(Part {
            whole: Span::new(at, next.unwrap_or(body.len())),
            headers: Span::new(behind_at, behind_at + headers_len),
            value: Span::new(value_at, value_end),
            is_complete: next.is_some(),
        });
    }
    parts
}

fn first_delimiter(body: &[u8], delimiter: &[u8], finder: &memchr::memmem::Finder<'_>) -> Option<usize> {
    if body.starts_with(delimiter) { Some(0) } else { next_delimiter(body, 0, finder) }
}

/// The next delimiter at or behind `from + 2` that stands at the start of a line.
fn next_delimiter(body: &[u8], from: usize, finder: &memchr::memmem::Finder<'_>) -> Option<usize> {
    let mut hits = finder.find_iter(&body[from..]).map(|hit| from + hit);
    hits.find(|&hit| hit >= from + 2 && &body[hit - 2..hit] == b"\r\n")
}

/// Whether a part's headers make it the form field of this name.
fn is_field(headers: &[u8], name: &str) -> bool {
    let Some(disposition) = disposition(headers) else { return false };
    let mut parts = disposition.split(|&b| b == b';').map(<[u8]>::trim_ascii);
    if !parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(b"form-data")) {
        return false;
    }
    let mut is_named = false;
    for part in parts {
        if is_file_name(part) {
            return false;
        }
        is_named |= parameter(part, b"name") == Some(name.as_bytes());
    }
    is_named
}

fn disposition(headers: &[u8]) -> Option<&[u8]> {
    let mut lines = headers.split(|&b| b == b'\n').map(<[u8]>::trim_ascii);
    lines.find_map(|line| {
        let (key, value) = line.split_at(memchr::memchr(b':', line)?);
        key.eq_ignore_ascii_case(b"content-disposition").then(|| value[1..].trim_ascii())
    })
}

fn is_file_name(parameter: &[u8]) -> bool {
    parameter.len() >= 8 && parameter[..8].eq_ignore_ascii_case(b"filename")
}

/// The value of `key=value` or `key="value"`, when the part is this key.
fn parameter<'p>(part: &'p [u8], key: &[u8]) -> Option<&'p [u8]> {
    let at = memchr::memchr(b'=', part)?;
    if !part[..at].trim_ascii().eq_ignore_ascii_case(key) {
        return None;
    }
    let value = part[at + 1..].trim_ascii();
    Some(value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value))
}

#[cfg(test)]
mod tests;
