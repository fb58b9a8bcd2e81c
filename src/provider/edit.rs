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

/// Adds the edits that this body needs to `edits` and `object`, and gives the names of the fields they change.
pub fn apply(
    list: &[BodyEdit],
    document: &[u8],
    members: &[Member],
    edits: &mut Edits,
    object: &mut ObjectEdits,
) -> Vec<String> {
    list.iter()
        .filter(|edit| apply_one(edit, document, members, edits, object))
        .map(|edit| edit.field().to_owned())
        .collect()
}

fn apply_one(
    edit: &BodyEdit,
    document: &[u8],
    members: &[Member],
    edits: &mut Edits,
    object: &mut ObjectEdits,
) -> bool {
    let found = json::position(members, document, edit.field());
    match (edit, found) {
        (BodyEdit::Default { field, value }, None) => object.add(field, value.as_bytes()),
        (_, None) | (BodyEdit::Default { .. }, Some(_)) => return false,
        (BodyEdit::Rename { to, .. }, Some(index)) => {
            if json::position(members, document, to).is_some() {
                object.remove(index);
            } else {
                edits.replace(members[index].key, to.as_bytes());
            }
        }
        (BodyEdit::Drop { .. }, Some(index)) => object.remove(index),
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

/// The field in which two edits could meet, so that they would overlap or give a key twice; `None` when the list is sound.
/// Several [`BodyEdit::Map`] of one field are, as at most one of them fits a value.
pub fn conflict(list: &[BodyEdit]) -> Option<String> {
    let targets = |edit: &BodyEdit| match edit {
        BodyEdit::Rename { from, to } => vec![from.clone(), to.clone()],
        other => vec![other.field().to_owned()],
    };
    for (index, edit) in list.iter().enumerate() {
        for field in targets(edit) {
            let is_map = |edit: &BodyEdit| matches!(edit, BodyEdit::Map { .. });
            let meets =
                |other: &BodyEdit| targets(other).contains(&field) && !(is_map(edit) && is_map(other));
            let same_value = |other: &BodyEdit| match (edit, other) {
                (BodyEdit::Map { field: a, from: x, .. }, BodyEdit::Map { field: b, from: y, .. }) => {
                    a == b && x == y
                }
                _ => false,
            };
            let is_taken = list[..index].iter().any(|other| meets(other) || same_value(other));
            if OURS.contains(&field.as_str()) || is_taken {
                return Some(field);
            }
        }
    }
    None
}

/// Fields that the gateway reads or edits itself.
const OURS: [&str; 3] = ["model", "stream", "stream_options"];

fn number(document: &[u8], member: &Member) -> Option<f64> {
    let text = std::str::from_utf8(member.value.of(document)).ok().filter(|_| member.kind == Kind::Number)?;
    text.parse().ok()
}

impl BodyEdit {
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

    #[test]
    fn edits_that_could_meet_in_one_field_are_found() {
        let rename = |from: &str, to: &str| BodyEdit::Rename { from: name(from), to: name(to) };
        let drop = |field: &str| BodyEdit::Drop { field: name(field) };
        let map = |from: &str| BodyEdit::Map { field: name("t"), from: name(from), to: name("z") };
        assert_eq!(conflict(&[rename("a", "b"), drop("c"), map("x"), map("y")]), None);
        for (list, field) in [
            (vec![rename("a", "b"), drop("a")], "a"),
            (vec![rename("a", "b"), rename("c", "b")], "b"),
            (vec![map("x"), map("x")], "t"),
            (vec![map("x"), drop("t")], "t"),
            (vec![drop("model")], "model"),
            (vec![drop("stream_options")], "stream_options"),
        ] {
            assert_eq!(conflict(&list).as_deref(), Some(field), "{list:?}");
        }
    }

    fn check(edit: BodyEdit, body: &str, want: &str) {
        let mut members = Vec::new();
        json::scan_object(body.as_bytes(), &mut members).expect("the case is an object");
        let (mut edits, mut object) = (Edits::default(), ObjectEdits::default());
        apply(&[edit], body.as_bytes(), &members, &mut edits, &mut object);
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
        check(BodyEdit::Above { field: name("t"), above: 0.0, otherwise: 1.0 }, r#"{"t":0}"#, r#"{"t":1}"#);
    }
}
