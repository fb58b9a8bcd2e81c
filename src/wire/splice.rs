//! Edits of a body that is never rewritten: what to take out and what to put in, as pieces for one send.

use super::json::{Member, write_string};
use crate::base::Span;

/// A set of edits of one body. They must not overlap, but for one that takes others out with it; the order in which they are made does not matter, except that
/// insertions at one place keep it.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// In the body's order.
    list: Vec<Edit>,
    text: Vec<u8>,
}

/// The bytes `at` of the body give way to the bytes `with` of the text.
#[derive(Clone, Copy, Debug)]
struct Edit {
    at: Span,
    with: Span,
}

impl Edits {
    pub fn clear(&mut self) {
        self.list.clear();
        self.text.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Puts `with` in the place of `at`.
    pub fn replace(&mut self, at: Span, with: &[u8]) {
        self.replace_by(at, |text| text.extend_from_slice(with));
    }

    /// The same with what `write` appends.
    pub fn replace_by(&mut self, at: Span, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.text.len();
        write(&mut self.text);
        let edit = Edit { at, with: Span::new(start, self.text.len()) };
        let index = self.list.partition_point(|other| (other.at.start, other.at.end) <= (at.start, at.end));
        let is_behind = index == 0 || self.list[index - 1].at.end <= at.start;
        let is_before = self.list.get(index).is_none_or(|next| at.end <= next.at.start);
        assert!(is_behind && is_before, "edits of one body do not overlap");
        self.list.insert(index, edit);
    }

    pub fn insert(&mut self, at: usize, with: &[u8]) {
        self.replace(Span::new(at, at), with);
    }

    /// Takes the bytes out, together with the edits that were made inside them.
    pub fn remove(&mut self, at: Span) {
        let is_inside = |edit: &Edit| {
            let is_at_edge = edit.at.is_empty() && (edit.at.start == at.start || edit.at.end == at.end);
            at.start <= edit.at.start && edit.at.end <= at.end && !is_at_edge
        };
        self.list.retain(|edit| !is_inside(edit));
        self.replace(at, b"");
    }

    /// Whether an edit was made inside this place, which then cannot be edited again.
    pub fn touches(&self, at: Span) -> bool {
        // An empty key is an empty place: two edits of it do not overlap, and yet there is room for one.
        self.list.iter().any(|edit| edit.at == at || (edit.at.start < at.end && at.start < edit.at.end))
    }

    /// The length of a body of `original` bytes after the edits.
    pub fn body_len(&self, original: usize) -> usize {
        let added: usize = self.list.iter().map(|edit| edit.with.len()).sum();
        let taken: usize = self.list.iter().map(|edit| edit.at.len()).sum();
        original + added - taken
    }

    /// Appends the edited body itself: for small bodies one copy is cheaper than many pieces.
    pub fn append_to(&self, body: &[u8], out: &mut Vec<u8>) {
        let mut at = 0;
        for edit in &self.list {
            out.extend_from_slice(&body[at..edit.at.start as usize]);
            out.extend_from_slice(edit.with.of(&self.text));
            at = edit.at.end as usize;
        }
        out.extend_from_slice(&body[at..]);
    }

    /// Appends the pieces of the edited body to `out`, none of them empty.
    pub fn pieces<'a>(&'a self, body: &'a [u8], out: &mut Vec<&'a [u8]>) {
        let mut at = 0;
        for edit in &self.list {
            out.push(&body[at..edit.at.start as usize]);
            out.push(edit.with.of(&self.text));
            at = edit.at.end as usize;
        }
        out.push(&body[at..]);
        out.retain(|piece| !piece.is_empty());
    }
}

/// What should become of the members of one object: collected first, so that commas come out right whatever is taken
/// out beside what.
#[derive(Clone, Debug, Default)]
pub struct ObjectEdits {
    removed: Vec<usize>,
    added: Vec<u8>,
    /// The keys that the object gets anew.
    given: Vec<Span>,
    names: Vec<u8>,
}

impl ObjectEdits {
    pub fn clear(&mut self) {
        self.removed.clear();
        self.added.clear();
        self.given.clear();
        self.names.clear();
    }

    /// Takes the member out.
    pub fn remove(&mut self, index: usize) {
        if !self.removed.contains(&index) {
            self.removed.push(index);
        }
    }

    /// Whether the member is to be taken out.
    pub fn is_removed(&self, index: usize) -> bool {
        self.removed.contains(&index)
    }

    /// Notes a key that the object gets anew; false when it was noted before.
    pub fn give(&mut self, key: &str) -> bool {
        if self.given.iter().any(|given| given.of(&self.names) == key.as_bytes()) {
            return false;
        }
        let start = self.names.len();
        self.names.extend_from_slice(key.as_bytes());
        self.given.push(Span::new(start, self.names.len()));
        true
    }

    /// Adds a member at the object's end; false when the object gets one of this key already. `value` is JSON.
    pub fn add(&mut self, key: &str, value: &[u8]) -> bool {
        if !self.give(key) {
            return false;
        }
        if !self.added.is_empty() {
            self.added.push(b',');
        }
        write_string(key, &mut self.added);
        self.added.push(b':');
        self.added.extend_from_slice(value);
        true
    }

    /// Turns them into edits of the document, whose last byte of the object (its brace) is at `brace_at`.
    pub fn apply(&self, members: &[Member], brace_at: usize, edits: &mut Edits) {
        let is_kept = |index: &usize| !self.removed.contains(index);
        let mut kept_before = false;
        for index in 0..members.len() {
            if is_kept(&index) {
                kept_before = true;
            } else {
                edits.remove(place_with_comma(members, index, kept_before));
            }
        }
        if self.added.is_empty() {
            return;
        }
        let mut text = Vec::with_capacity(self.added.len() + 1);
        if kept_before {
            text.push(b',');
        }
        text.extend_from_slice(&self.added);
        // Behind the last member where one is kept, so that white space before the brace stays where it is.
        let at = match members.last() {
            Some(last) => last.value.end as usize,
            None => brace_at,
        };
        edits.insert(at, &text);
    }
}

/// The place of a member that goes: with the comma in front of it when a kept member stands there, else with the comma
/// behind it.
fn place_with_comma(members: &[Member], index: usize, kept_before: bool) -> Span {
    let member = members[index];
    let key_quote = member.key.start as usize - 1;
    if kept_before {
        let start = members[index - 1].value.end as usize;
        return Span::new(start, member.value.end as usize);
    }
    let end = members.get(index + 1).map_or(member.value.end as usize, |next| next.key.start as usize - 1);
    Span::new(key_quote, end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::scan_object;

    fn edited(document: &str, removed: &[usize], added: &[(&str, &str)]) -> String {
        let mut members = Vec::new();
        scan_object(document.as_bytes(), &mut members).expect("the case is an object");
        let mut object = ObjectEdits::default();
        removed.iter().for_each(|&index| object.remove(index));
        added.iter().for_each(|(key, value)| assert!(object.add(key, value.as_bytes())));
        let mut edits = Edits::default();
        let brace_at = document.rfind('}').expect("an object closes");
        object.apply(&members, brace_at, &mut edits);
        let mut pieces = Vec::new();
        edits.pieces(document.as_bytes(), &mut pieces);
        let body = pieces.concat();
        assert_eq!(body.len(), edits.body_len(document.len()));
        String::from_utf8(body).expect("edits keep UTF-8")
    }

    #[test]
    fn every_subset_can_be_taken_out_and_leaves_an_object() {
        let documents = [
            r#"{"a":1,"b":[2,{"x":0}],"c":"d","e":null}"#,
            " { \"a\" : 1 , \"b\" : 2 ,\n \"c\":3 , \"d\":4 } ",
        ];
        for document in documents {
            for subset in 0..16_usize {
                for added in [&[][..], &[("n", "7")], &[("n", "7"), ("m", "{}")]] {
                    let removed: Vec<usize> = (0..4).filter(|index| subset >> index & 1 == 1).collect();
                    let got = edited(document, &removed, added);
                    let mut want: serde_json::Map<String, serde_json::Value> =
                        serde_json::from_str(document).expect("the case is an object");
                    let keys: Vec<String> = want.keys().cloned().collect();
                    removed.iter().for_each(|&index| drop(want.remove(&keys[index])));
                    for (key, value) in added {
                        want.insert((*key).to_owned(), serde_json::from_str(value).expect("a value"));
                    }
                    let got: serde_json::Value =
                        serde_json::from_str(&got).unwrap_or_else(|e| panic!("{got}: {e}"));
                    assert_eq!(got, serde_json::Value::Object(want), "{document} without {removed:?}");
                }
            }
        }
    }

    #[test]
    fn an_empty_object_takes_members() {
        assert_eq!(edited("{}", &[], &[("a", "1")]), r#"{"a":1}"#);
        assert_eq!(edited("{ }", &[], &[("a", "1"), ("b", "2")]), r#"{ "a":1,"b":2}"#);
    }

    #[test]
    fn what_is_not_edited_stays_byte_for_byte() {
        assert_eq!(edited(r#"{"a" : 1.0e5,  "b":"é"}"#, &[0], &[]), r#"{"b":"é"}"#);
        assert_eq!(edited(r#"{"a" : 1.0e5,  "b":"é"}"#, &[1], &[]), r#"{"a" : 1.0e5}"#);
    }

    #[test]
    fn what_is_taken_out_takes_the_edits_inside_it_along() {
        let mut edits = Edits::default();
        edits.replace(Span::new(3, 4), b"x");
        edits.insert(6, b"y");
        assert!(edits.touches(Span::new(2, 6)) && !edits.touches(Span::new(4, 6)));
        edits.remove(Span::new(2, 6));
        let mut out = Vec::new();
        edits.append_to(b"01234567", &mut out);
        assert_eq!(out, b"01y67");
    }

    #[test]
    #[should_panic(expected = "do not overlap")]
    fn overlapping_edits_are_our_bug() {
        let mut edits = Edits::default();
        edits.remove(Span::new(2, 6));
        edits.remove(Span::new(5, 8));
    }
}
