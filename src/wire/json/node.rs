//! Values below the top level of a document that was scanned, as places in its bytes: no tree, no copies. For bytes that
//! are translated; what is forwarded needs its top-level members only.
//!
//! The document was judged as a whole before, so walking it cannot fail; a value that is not what the caller hopes for
//! gives `None`. Of a nested key that stands twice the last one counts, as most readers have it.

use std::borrow::Cow;

use super::{JsonFault, Kind, Member, is_space, scan_object, text, whole};
use crate::base::Span;

/// One value of a scanned document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'d> {
    bytes: &'d [u8],
}

impl<'d> Node<'d> {
    /// Scans a document and gives its top-level object. `members` is a table to work with.
    pub fn document(document: &'d [u8], members: &mut Vec<Member>) -> Result<Node<'d>, JsonFault> {
        scan_object(document, members)?;
        Ok(Node { bytes: document.trim_ascii() })
    }

    /// A value of a document that was scanned before.
    pub fn scanned(bytes: &'d [u8]) -> Node<'d> {
        Node { bytes: bytes.trim_ascii() }
    }

    /// The value as it is spelled, without white space around it.
    pub fn raw(self) -> &'d [u8] {
        self.bytes
    }

    /// Where the value stands in the document that it is a part of.
    pub fn place_in(self, document: &[u8]) -> Span {
        let start = self.bytes.as_ptr().addr().wrapping_sub(document.as_ptr().addr());
        assert!(start + self.bytes.len() <= document.len(), "the value is a part of the document");
        Span::new(start, start + self.bytes.len())
    }

    pub fn kind(self) -> Kind {
        match self.bytes.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't') => Kind::True,
            Some(b'f') => Kind::False,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => Kind::Null,
        }
    }

    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The members of an object, keys unescaped; none of anything else.
    pub fn members(self) -> Members<'d> {
        Members { document: self.bytes, at: usize::from(self.kind() == Kind::Object) }
    }

    /// The elements of an array; none of anything else.
    pub fn items(self) -> Items<'d> {
        Items { document: self.bytes, at: usize::from(self.kind() == Kind::Array) }
    }

    /// The member of this key; `None` when there is none or it is null.
    pub fn get(self, key: &str) -> Option<Node<'d>> {
        let found = self.members().filter(|(name, _)| **name == *key.as_bytes()).last();
        found.map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// The members of these keys, each as [`Node::get`] would give it, in one pass: what a large member costs to step over
    /// is paid once.
    pub fn pick<const COUNT: usize>(self, keys: [&str; COUNT]) -> [Option<Node<'d>>; COUNT] {
        let mut found = [None; COUNT];
        for (name, value) in self.members() {
            if let Some(index) = keys.iter().position(|key| *key.as_bytes() == *name) {
                found[index] = Some(value).filter(|value| !value.is_null());
            }
        }
        found
    }

    /// What stands between the quotes of a string, escapes left in.
    pub fn escaped(self) -> Option<&'d [u8]> {
        (self.kind() == Kind::String).then(|| &self.bytes[1..self.bytes.len() - 1])
    }

    /// The text of a string.
    pub fn text(self) -> Option<Cow<'d, str>> {
        self.escaped().map(text::unescaped)
    }

    /// A whole number that is spelled without fraction and exponent, and fits.
    pub fn u64(self) -> Option<u64> {
        std::str::from_utf8(self.bytes).ok()?.parse().ok()
    }

    pub fn f64(self) -> Option<f64> {
        if self.kind() == Kind::Number { std::str::from_utf8(self.bytes).ok()?.parse().ok() } else { None }
    }

    pub fn bool(self) -> Option<bool> {
        match self.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }
}

/// The members of one object.
pub struct Members<'d> {
    document: &'d [u8],
    at: usize,
}

impl<'d> Iterator for Members<'d> {
    type Item = (Cow<'d, [u8]>, Node<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        let key_at = next_value(self.document, self.at)?;
        let (key_end, key_is_escaped) = whole::text(self.document, key_at + 1)?;
        let key = &self.document[key_at + 1..key_end - 1];
        let value_at = next_value(self.document, key_end)?;
        let (_, end) = whole::value(self.document, value_at)?;
        self.at = end;
        let key = if key_is_escaped {
            Cow::Owned(text::unescaped(key).into_owned().into_bytes())
        } else {
            Cow::Borrowed(key)
        };
        Some((key, Node { bytes: &self.document[value_at..end] }))
    }
}

/// The elements of one array.
pub struct Items<'d> {
    document: &'d [u8],
    at: usize,
}

impl<'d> Iterator for Items<'d> {
    type Item = Node<'d>;

    fn next(&mut self) -> Option<Node<'d>> {
        let at = next_value(self.document, self.at)?;
        let (_, end) = whole::value(self.document, at)?;
        self.at = end;
        Some(Node { bytes: &self.document[at..end] })
    }
}

/// The place of the next value behind separators; `None` at the container's end, and in a value that is no container.
fn next_value(document: &[u8], at: usize) -> Option<usize> {
    if at == 0 {
        return None;
    }
    let mut at = at;
    loop {
        match document.get(at)? {
            b'}' | b']' => return None,
            b',' | b':' => at += 1,
            &byte if is_space(byte) => at += 1,
            _ => return Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(node: Node<'_>) -> serde_json::Value {
        match node.kind() {
            Kind::Object => node
                .members()
                .map(|(key, value)| (String::from_utf8(key.into_owned()).expect("UTF-8"), walk(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Kind::Array => node.items().map(walk).collect::<Vec<_>>().into(),
            Kind::String => node.text().expect("a string").into(),
            Kind::Number => serde_json::from_slice(node.raw()).expect("a number"),
            Kind::True | Kind::False => node.bool().into(),
            Kind::Null => serde_json::Value::Null,
        }
    }

    #[test]
    fn walking_a_document_gives_what_a_tree_of_it_holds() {
        for document in [
            "{}",
            r#" { "a" : [ ] , "b":{} } "#,
            r#"{"a":[1,-2.5e3,"x\"y\\",null,true,false,[[]],{"b":{"c":[{"d":"\u00e4\ud83d\ude00"}]}}]}"#,
            "{\"k\\u0065y\":\"a:b,c}d]e\",\n\t\"z\": [ \"}\" , \"]\" ]\r\n}",
            r#"{"twice":{"a":1,"a":2}}"#,
        ] {
            let node = Node::document(document.as_bytes(), &mut Vec::new()).expect(document);
            let want: serde_json::Value = serde_json::from_str(document).expect(document);
            assert_eq!(walk(node), want, "{document}");
        }
    }

    #[test]
    fn picking_keys_together_gives_what_getting_each_gives() {
        let keys = ["a", "b", "absent", "twice", "then_null", "null_first", "k\u{e4}y"];
        let text = r#"{"twice":1,"a":{"b":[1]},"twice":2,"then_null":1,"then_null":null,"b":"x","null_first":null,
                       "null_first":3,"k\u00e4y":true}"#;
        // A key stands twice only below the top level, where nobody refuses it.
        let document = format!("{{\"inner\":{text}}}");
        let node =
            Node::document(document.as_bytes(), &mut Vec::new()).expect("JSON").get("inner").expect("inner");
        assert_eq!(node.pick(keys), keys.map(|key| node.get(key)));
        assert_eq!(node.pick(keys).iter().flatten().count(), 5);
        assert_eq!(Node::scanned(b"[1]").pick(["a"]), [None]);
    }

    #[test]
    fn a_value_of_another_kind_is_none() {
        let node =
            Node::document(br#"{"n":null,"s":"1","i":1,"f":1.5,"t":true}"#, &mut Vec::new()).expect("JSON");
        let get = |key: &str| node.get(key);
        assert_eq!((get("n"), get("absent")), (None, None));
        assert_eq!(get("s").and_then(Node::u64), None);
        assert_eq!(get("i").and_then(Node::u64), Some(1));
        assert_eq!((get("f").and_then(Node::u64), get("f").and_then(Node::f64)), (None, Some(1.5)));
        assert_eq!(get("i").and_then(Node::escaped), None);
        assert_eq!(get("t").and_then(Node::bool), Some(true));
        assert_eq!(get("i").map(|node| (node.members().count(), node.items().count())), Some((0, 0)));
    }
}
