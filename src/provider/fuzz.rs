//! The body of the fuzz target for edits: what a provider needs changed in a body, and the splicing that does it.

use std::ops::Range;

use super::edit::{self, BodyEdit};
use crate::base::limits::{JSON_DEPTH_MAX, JSON_KEYS_COUNT_MAX};
use crate::wire::fuzz::twin;
use crate::wire::json::{self, Kind, Member};
use crate::wire::splice::{Edits, ObjectEdits};

/// The input's first line holds edits, divided by `;`, the rest is a body. Whatever edits meet in whatever body: the
/// result is one object again, without a key that stands twice, and what no edit names is there byte for byte.
pub fn edits(input: &[u8]) {
    let Some(end) = input.iter().position(|&b| b == b'\n') else { return };
    let Ok(line) = std::str::from_utf8(&input[..end]) else { return };
    let list: Vec<BodyEdit> = line.split(';').take(EDITS_COUNT_MAX).filter_map(body_edit).collect();
    let body = &input[end + 1..];
    let mut members = Vec::new();
    let is_object = json::scan_object(body, &mut members).is_ok();
    if !is_object || members.len() + EDITS_COUNT_MAX > JSON_KEYS_COUNT_MAX {
        return;
    }
    let (mut edits, mut object) = (Edits::default(), ObjectEdits::default());
    // As the gateway does it: the model's name first, then the provider's edits.
    if let Some(model) = json::find(&members, body, "model").filter(|member| member.kind == Kind::String) {
        edits.replace(model.value, b"\"other\"");
    }
    edit::apply(&list, body, &members, &mut edits, &mut object);
    let brace_at = body.iter().rposition(|&b| b == b'}').unwrap_or_default();
    object.apply(&members, brace_at, &mut edits);
    let (mut pieces, mut copied) = (Vec::new(), Vec::new());
    edits.pieces(body, &mut pieces);
    let edited = pieces.concat();
    edits.append_to(body, &mut copied);
    assert_eq!(edited, copied, "pieces and copy are the same body");
    assert_eq!(edited.len(), edits.body_len(body.len()));
    let mut after = Vec::new();
    assert_eq!(json::scan_object(&edited, &mut after), Ok(()), "{}", String::from_utf8_lossy(&edited));
    let is_named = |document: &[u8], member: &Member| {
        list.iter().any(|edit| names(edit).any(|name| is_key(document, member, name)))
            || is_key(document, member, "model")
    };
    let kept = |document: &[u8], members: &[Member]| -> Vec<Vec<u8>> {
        let kept = members.iter().filter(|member| !is_named(document, member));
        kept.map(|member| document[whole(member)].to_vec()).collect()
    };
    assert_eq!(kept(&edited, &after), kept(body, &members), "what no edit names stays");
}

/// From the key's quote to the value's end.
fn whole(member: &Member) -> Range<usize> {
    member.key.start as usize - 1..member.value.end as usize
}

fn is_key(document: &[u8], member: &Member, name: &str) -> bool {
    json::find(std::slice::from_ref(member), document, name).is_some()
}

fn names(edit: &BodyEdit) -> impl Iterator<Item = &str> {
    let to = match edit {
        BodyEdit::Rename { to, .. } => Some(to.as_str()),
        _ => None,
    };
    std::iter::once(edit.field()).chain(to)
}

/// `drop a`, `rename a b`, `default a 1`, `map a x y`, `clamp a 0 1`, `above a 0 1`: as in provider files, but shorter.
fn body_edit(text: &str) -> Option<BodyEdit> {
    let mut words = text.split(' ');
    let kind = words.next()?;
    let mut word = || words.next().map(str::to_owned);
    let field = word()?;
    let number = |text: Option<String>| text?.parse::<f64>().ok().filter(|number| number.is_finite());
    Some(match kind {
        "drop" => BodyEdit::Drop { field },
        "rename" => BodyEdit::Rename { from: field, to: word()? },
        "default" => {
            let value = word()?;
            serde_json::from_str::<serde::de::IgnoredAny>(&value).ok()?;
            (twin::depth(value.as_bytes()) < JSON_DEPTH_MAX).then_some(BodyEdit::Default { field, value })?
        }
        "map" => BodyEdit::Map { field, from: word()?, to: word()? },
        "clamp" => BodyEdit::Clamp { field, min: number(word()), max: number(word()) },
        "above" => BodyEdit::Above { field, above: number(word())?, otherwise: number(word())? },
        _ => return None,
    })
}

const EDITS_COUNT_MAX: usize = 8;
