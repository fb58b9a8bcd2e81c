//! YAML text to a tree whose every node knows its place. Keys that stand twice, aliases (and so merges) and
//! tags are mistakes; so is anything that is not one document.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::mistake::Mistakes;

/// A node with its place, `file:line:column`.
#[derive(Clone, Debug)]
pub struct Node {
    pub place: String,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    Null,
    /// A scalar as it was written; quoted ones are texts even where they look like numbers.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The words for what stands here.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Text(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a group of settings",
        }
    }

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members of a map, with their keys as text; `None` for other nodes.
    pub fn members(&self) -> Option<impl Iterator<Item = (&str, &Node, &Node)>> {
        match &self.value {
            Value::Map(members) => {
                Some(members.iter().filter_map(|(key, value)| Some((key.text()?, key, value))))
            }
            _ => None,
        }
    }

    /// The member of this key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.members()?.find(|(name, _, _)| *name == key).map(|(_, _, value)| value)
    }
}

/// Reads one document. `None` when it is no YAML (a mistake tells why) or empty.
pub fn read(file: &str, text: &str, mistakes: &mut Mistakes) -> Option<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { file, events: Parser::new_from_str(text), depth: 0, mistakes };
    reader.document()
}

struct Reader<'t, 'm> {
    file: &'t str,
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// Lists and groups that are open.
    depth: usize,
    mistakes: &'m mut Mistakes,
}

impl<'t> Reader<'t, '_> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        while let Some((event, span)) = self.next() {
            match event {
                Event::DocumentStart(_) if root.is_some() => {
                    self.mistake(&span, "a second document begins here", "one document in the file");
                    return root;
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => return root,
                other => root = Some(self.node(other, span)?),
            }
        }
        None
    }

    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        match self.events.next()? {
            Ok(event) => Some(event),
            Err(error) => {
                let place = self.place(error.marker());
                self.mistakes.add(&place, "", format!("this is not YAML: {}", error.info()), "");
                None
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Option<Node> {
        let place = self.place(&span.start);
        if let Event::Scalar(_, _, _, Some(_))
        | Event::SequenceStart(_, Some(_))
        | Event::MappingStart(_, Some(_)) = &event
        {
            self.mistake(&span, "a tag stands here", "the value alone");
        }
        let value = match event {
            Event::Scalar(text, style, _, _) => scalar(&text, style),
            Event::SequenceStart(..) | Event::MappingStart(..) if self.depth == DEPTH_MAX => {
                self.mistake(&span, "this nests too deep", "at most 32 levels");
                return None;
            }
            Event::SequenceStart(..) => self.deeper(Reader::list)?,
            Event::MappingStart(..) => self.deeper(Reader::map)?,
            _ => {
                self.mistake(&span, "an alias stands here", "the value itself, written out");
                Value::Null
            }
        };
        Some(Node { place, value })
    }

    fn deeper(&mut self, read: impl Fn(&mut Self) -> Option<Value>) -> Option<Value> {
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Option<Value> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(Value::List(items)),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Option<Value> {
        let mut members: Vec<(Node, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Some(Value::Map(members));
            }
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            match key.text() {
                None => {
                    self.mistakes.add(&key.place, "", format!("{} stands as a key", key.kind()), "a name")
                }
                Some(name) if members.iter().any(|(other, _)| other.text() == Some(name)) => {
                    self.mistakes.add(&key.place, name, "stands twice in its group", "one value");
                }
                Some(_) => members.push((key, value)),
            }
        }
    }

    fn mistake(&mut self, span: &Span, what: &str, expected: &str) {
        let place = self.place(&span.start);
        self.mistakes.add(&place, "", what, expected);
    }

    fn place(&self, marker: &Marker) -> String {
        format!("{}:{}:{}", self.file, marker.line(), marker.col() + 1)
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    let is_plain = style == ScalarStyle::Plain;
    if is_plain && matches!(text, "" | "~" | "null") { Value::Null } else { Value::Text(text.to_owned()) }
}

/// Far beyond what settings need, and far below what the stack holds.
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_nests_without_end_is_a_mistake_and_no_overflow() {
        for text in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000)] {
            let mut mistakes = Mistakes::default();
            assert!(read("file", &text, &mut mistakes).is_none());
            assert_eq!(mistakes.list.len(), 1, "{:?}", mistakes.list);
        }
    }
}
