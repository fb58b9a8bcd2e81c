//! The small vocabulary of edits that a provider's body may need. Each touches one top-level field and leaves every
//! other byte as it came.

use crate::wire::json::{self, Kind, Member};
use crate::wire::splice::{Edits, ObjectEdits};

/// One edit of a request body, as a provider file states it.
#[derive(Clone, Debug, PartialEq)]
pub enum BodyEdit {
    /// The field goes under another name. Where both are there, the one with the new name stays and the other goes.
    Rename { from: String, to: String },
    /// The field goes.
    Drop { field: String },
    /// The field is added where it is missing; `value` is JSON.
    Default { field: String, value: String },
    /// A text value gives way to another.
    Map { field: String, from: String, to: String },
    /// A number outside the range gives way to the bound.
    Clamp { field: String, min: Option<f64>, max: Option<f64> },
    /// A number that is not above the bound gives way to another.
    Above { field: String, above: f64, otherwise: f64 },
}

/// Adds the edits that this body needs to `edits` and `object`, and gives the names of the fields they change. Each looks
/// at the body as the client sent it; where two want the same place or the same new name the first has it, and a field
/// that goes is not changed.
pub fn apply(
    list: &[BodyEdit],
    document: &[u8],
    members: &[Member],
    edits: &mut Edits,
    object: &mut ObjectEdits,
) -> Vec<String> {
    let mut changed = Vec::new();
    let (taking_out, others): (Vec<_>, Vec<_>) =
        list.iter().partition(|edit| edit.takes_out(document, members));
    for edit in taking_out {
        if let Some(index) = json::position(members, document, edit.field()) {
            object.remove(index);
            changed.push(edit.field().to_owned());
        }
    }
    for edit in others {
        let found = json::position(members, document, edit.field());
        let goes = found.is_some_and(|index| object.is_removed(index));
        if !goes && apply_one(edit, found, document, members, edits, object) {
            changed.push(edit.field().to_owned());
        }
    }
    changed.dedup();
    changed
}

fn apply_one(
    edit: &BodyEdit,
    found: Option<usize>,
    document: &[u8],
    members: &[Member],
    edits: &mut Edits,
    object: &mut ObjectEdits,
) -> bool {
    match (edit, found) {
        (BodyEdit::Default { field, value }, None) => return object.add(field, value.as_bytes()),
        (_, None) | (BodyEdit::Default { .. }, Some(_)) => return false,
        (BodyEdit::Rename { from, to }, Some(_)) if from == to => return false,
        (BodyEdit::Rename { .. }, Some(index)) if edits.touches(members[index].key) => return false,
        (BodyEdit::Rename { to, .. }, Some(index)) => {
            if !object.give(to) {
                object.remove(index);
                return true;
            }
            let mut text = Vec::new();
            json::write_string(to, &mut text);
            edits.replace(members[index].key, &text[1..text.len() - 1]);
        }
        (BodyEdit::Drop { .. }, Some(index)) => object.remove(index),
        (_, Some(index)) if edits.touches(members[index].value) => return false,
        (BodyEdit::Map { from, to, .. }, Some(index)) => {
            if json::string_value(document, &members[index]).as_deref() != Some(from) {
                return false;
            }
            let mut text = Vec::new();
            json::write_string(to, &mut text);
            edits.replace(members[index].value, &text);
        }
        (BodyEdit::Clamp { min, max, .. }, Some(index)) => {
            let Some(number) = number(document, &members[index]) else { return false };
            let low = min.filter(|&min| number < min);
            let Some(bound) = low.or(max.filter(|&max| number > max)) else { return false };
            edits.replace(members[index].value, bound.to_string().as_bytes());
        }
        (BodyEdit::Above { above, otherwise, .. }, Some(index)) => {
            if number(document, &members[index]).is_none_or(|number| number > *above) {
                return false;
            }
            edits.replace(members[index].value, otherwise.to_string().as_bytes());
        }
    }
    true
}

fn number(document: &[u8], member: &Member) -> Option<f64> {
    let text = std::str::from_utf8(member.value.of(document)).ok().filter(|_| member.kind == Kind::Number)?;
    text.parse().ok()
}

impl BodyEdit {
    /// Whether the edit takes its field out of this body.
    fn takes_out(&self, document: &[u8], members: &[Member]) -> bool {
        match self {
            BodyEdit::Drop { .. } => true,
            BodyEdit::Rename { from, to } => from != to && json::position(members, document, to).is_some(),
            _ => false,
        }
    }

    /// The name that a field gets.
    pub fn new_name(&self) -> Option<&str> {
        match self {
            BodyEdit::Rename { to, .. } => Some(to),
            _ => None,
        }
    }

    /// The field that the edit looks at.
    pub fn field(&self) -> &str {
        match self {
            BodyEdit::Rename { from, .. } => from,
            BodyEdit::Drop { field }
            | BodyEdit::Default { field, .. }
            | BodyEdit::Map { field, .. }
            | BodyEdit::Clamp { field, .. }
            | BodyEdit::Above { field, .. } => field,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(edit: BodyEdit, body: &str, want: &str) {
        check_all(&[edit], body, want);
    }

    fn check_all(list: &[BodyEdit], body: &str, want: &str) {
        let mut members = Vec::new();
        json::scan_object(body.as_bytes(), &mut members).expect("the case is an object");
        let (mut edits, mut object) = (Edits::default(), ObjectEdits::default());
        apply(list, body.as_bytes(), &members, &mut edits, &mut object);
        object.apply(&members, body.len() - 1, &mut edits);
        let mut pieces = Vec::new();
        edits.pieces(body.as_bytes(), &mut pieces);
        assert_eq!(String::from_utf8(pieces.concat()).unwrap(), want);
    }

    fn name(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn each_edit_changes_its_field_and_nothing_else() {
        let rename = || BodyEdit::Rename { from: name("a"), to: name("b") };
        check(rename(), r#"{"a" : 1.50}"#, r#"{"b" : 1.50}"#);
        check(rename(), r#"{"a":1,"b":2}"#, r#"{"b":2}"#);
        check(rename(), r#"{"c":1}"#, r#"{"c":1}"#);
        check(BodyEdit::Drop { field: name("a") }, r#"{"a":[1], "c":2}"#, r#"{"c":2}"#);
        check(
            BodyEdit::Default { field: name("a"), value: name("true") },
            r#"{"c":2}"#,
            r#"{"c":2,"a":true}"#,
        );
        check(BodyEdit::Default { field: name("a"), value: name("true") }, r#"{"a":null}"#, r#"{"a":null}"#);
        let map = || BodyEdit::Map { field: name("t"), from: name("required"), to: name("any") };
        check(map(), r#"{"t":"required"}"#, r#"{"t":"any"}"#);
        check(map(), r#"{"t":{"type":"required"}}"#, r#"{"t":{"type":"required"}}"#);
        let clamp = || BodyEdit::Clamp { field: name("t"), min: Some(0.0), max: Some(1.0) };
        check(clamp(), r#"{"t":1.7}"#, r#"{"t":1}"#);
        check(clamp(), r#"{"t":-1e3}"#, r#"{"t":0}"#);
        check(clamp(), r#"{"t":0.70}"#, r#"{"t":0.70}"#);
        check(clamp(), r#"{"t":"1.7"}"#, r#"{"t":"1.7"}"#);
        check(BodyEdit::Rename { from: name("a"), to: name("a") }, r#"{"a":1}"#, r#"{"a":1}"#);
        check(BodyEdit::Above { field: name("t"), above: 0.0, otherwise: 1.0 }, r#"{"t":0}"#, r#"{"t":1}"#);
    }

    #[test]
    fn edits_of_one_field_get_along() {
        let list = [
            BodyEdit::Clamp { field: name("a"), min: None, max: Some(5.0) },
            BodyEdit::Map { field: name("a"), from: name("x"), to: name("y") },
            BodyEdit::Map { field: name("a"), from: name("x"), to: name("z") },
            BodyEdit::Above { field: name("a"), above: 9.0, otherwise: 10.0 },
            BodyEdit::Rename { from: name("a"), to: name("b") },
            BodyEdit::Drop { field: name("c") },
            BodyEdit::Map { field: name("c"), from: name("x"), to: name("y") },
        ];
        check_all(&list, r#"{"a":7,"c":"x","d":1}"#, r#"{"b":5,"d":1}"#);
        check_all(&list, r#"{"a":"x"}"#, r#"{"b":"y"}"#);
        check_all(&list, r#"{"a":7,"b":8}"#, r#"{"b":8}"#);
        check_all(&list, r#"{"b":8,"c":1}"#, r#"{"b":8}"#);
    }

    #[test]
    fn edits_that_meet_leave_one_object() {
        let rename = |from: &str, to: &str| BodyEdit::Rename { from: name(from), to: name(to) };
        let default = |value: &str| BodyEdit::Default { field: name("b"), value: name(value) };
        let map = |to: &str| BodyEdit::Map { field: name("a"), from: name("x"), to: name(to) };
        let drop = || BodyEdit::Drop { field: name("a") };
        check_all(&[map("y"), map("z")], r#"{"a":"x"}"#, r#"{"a":"y"}"#);
        check_all(&[map("y"), drop()], r#"{"a":"x","c":1}"#, r#"{"c":1}"#);
        check_all(&[rename("a", "b"), drop()], r#"{"a":"x","c":1}"#, r#"{"c":1}"#);
        check_all(&[rename("a", "b"), map("y")], r#"{"a":"x"}"#, r#"{"b":"y"}"#);
        check_all(&[rename("a", "b"), rename("c", "b")], r#"{"a":1,"c":2}"#, r#"{"b":1}"#);
        check_all(&[rename("a", "b"), rename("a", "c")], r#"{"a":1}"#, r#"{"b":1}"#);
        check_all(&[rename("a", "b"), default("2")], r#"{"a":1}"#, r#"{"b":1}"#);
        check_all(&[rename("", "b"), rename("", "c")], r#"{"":1}"#, r#"{"b":1}"#);
        check_all(&[default("2"), default("3")], r#"{}"#, r#"{"b":2}"#);
        check_all(&[rename("a", "\"b")], r#"{"a":1}"#, r#"{"\"b":1}"#);
    }
}
