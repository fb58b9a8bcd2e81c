//! Settings as YAML text. Every text is quoted, so that none is taken for anything else.

use std::fmt::Write;

/// A value that is to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Out {
    Text(String),
    List(Vec<Out>),
    Map(Vec<(String, Out)>),
}

impl Out {
    pub fn text(text: impl Into<String>) -> Out {
        Out::Text(text.into())
    }

    pub fn map<const N: usize>(members: [(&str, Out); N]) -> Out {
        Out::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Puts a value at a path of groups, such as `server.listen`, behind what stands there.
    pub fn set(&mut self, path: &str, value: Out) {
        let Out::Map(members) = self else { return };
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let at = members.iter().position(|(name, _)| name == first).unwrap_or_else(|| {
            members.push((first.to_owned(), Out::Map(Vec::new())));
            members.len() - 1
        });
        match rest {
            Some(rest) => members[at].1.set(rest, value),
            None => members[at].1 = value,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Out::Text(_) => false,
            Out::List(items) => items.is_empty(),
            Out::Map(members) => members.is_empty(),
        }
    }
}

/// The whole document.
pub fn document(settings: &Out) -> String {
    let mut out = String::new();
    if let Out::Map(members) = settings {
        for (name, value) in members.iter().filter(|(_, value)| !value.is_empty()) {
            member(name, value, 0, &mut out);
        }
    }
    out
}

fn member(name: &str, value: &Out, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    let is_bare = name.bytes().all(is_plain) && name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    let name = if is_bare { name.to_owned() } else { quoted(name) };
    match value {
        Out::Text(text) => {
            let _ = writeln!(out, "{indent}{name}: {}", quoted(text));
        }
        Out::List(items) if items.iter().all(|item| matches!(item, Out::Text(_))) => {
            let _ = writeln!(out, "{indent}{name}: {}", flow(value));
        }
        Out::List(items) => {
            let _ = writeln!(out, "{indent}{name}:");
            for item in items {
                let _ = writeln!(out, "{indent}  - {}", flow(item));
            }
        }
        Out::Map(members) => {
            let _ = writeln!(out, "{indent}{name}:");
            for (name, value) in members.iter().filter(|(_, value)| !value.is_empty()) {
                member(name, value, depth + 1, out);
            }
        }
    }
}

/// A value on one line.
fn flow(value: &Out) -> String {
    match value {
        Out::Text(text) => quoted(text),
        Out::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Out::Map(members) => {
            let pair = |(name, value): &(String, Out)| format!("{name}: {}", flow(value));
            format!("{{{}}}", members.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text in double quotes: what JSON escapes, YAML reads.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A literal as a value of the file, in which a dollar sign begins a reference.
pub fn literal(text: &str) -> String {
    text.replace('$', "$$")
}
