//! The little of a record that says where it belongs, for those who pass its bytes on unread.

use super::ended::take_cost;
use super::{
    Ended, FLAG_SKIPS_AUDIT, FLAG_SKIPS_USAGE, KIND_LOST, KIND_OWNED, KIND_PART, RecordId, is_begun,
    is_ended, take_ended, take_id, take_time,
};
use crate::base::Pico;
use crate::ledger::codec::Take;

/// What a record is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    Begun(RecordId, BegunGlance),
    Ended(RecordId),
    Part(RecordId),
    /// Of another kind that this version knows.
    Other,
}

/// What a beginning says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BegunGlance {
    pub at_ms: u64,
    pub skips_usage: bool,
    pub skips_audit: bool,
    /// Its id was made for this one request, at its beginning. Those of other records are made of what they tell of, and may
    /// come again.
    pub is_request: bool,
    /// Where in the record the second part begins, which it may have in common with others.
    pub common_at: usize,
}

/// What the first part of a beginning says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnGlance {
    pub id: RecordId,
    pub skips_usage: bool,
}

/// Looks at the beginning of a record. `None` when it is none, or one of a later version.
pub fn glance(bytes: &[u8]) -> Option<Glance> {
    let mut take = Take(bytes);
    let kind = take.byte()?;
    if matches!(kind, KIND_LOST | KIND_OWNED) {
        return Some(Glance::Other);
    }
    let id = take_id(&mut take)?;
    match kind {
        kind if is_begun(kind) => Some(Glance::Begun(id, glance_begun(id, bytes.len(), &mut take)?)),
        kind if is_ended(kind) => Some(Glance::Ended(id)),
        KIND_PART => Some(Glance::Part(id)),
        _ => None,
    }
}

fn glance_begun(id: RecordId, len: usize, take: &mut Take<'_>) -> Option<BegunGlance> {
    let at_ms = take_time(take, id)?;
    take.byte()?;
    let flags = take.byte()?;
    // The request id ends the first part.
    take.raw()?;
    let common_at = len - take.0.len();
    for _ in TEXTS_BEFORE_PATH {
        take.raw()?;
    }
    let has_path = take.raw()?.first() == Some(&b'/');
    Some(BegunGlance {
        at_ms,
        skips_usage: flags & FLAG_SKIPS_USAGE != 0,
        skips_audit: flags & FLAG_SKIPS_AUDIT != 0,
        is_request: has_path && id.made_ms() == at_ms,
        common_at,
    })
}

/// Looks at the first part of a beginning. `None` when it is none.
pub fn glance_own(own: &[u8]) -> Option<OwnGlance> {
    let mut take = Take(own);
    take.byte().filter(|&kind| is_begun(kind))?;
    let id = take_id(&mut take)?;
    take.number()?;
    take.byte()?;
    Some(OwnGlance { id, skips_usage: take.byte()? & FLAG_SKIPS_USAGE != 0 })
}

/// An end without the id of its exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End<'e> {
    pub kind: u8,
    pub rest: &'e [u8],
}

impl<'e> End<'e> {
    /// The end in the record of one; `None` when it is another record.
    pub fn of(ended: &'e [u8]) -> Option<(RecordId, End<'e>)> {
        let mut take = Take(ended);
        let kind = take.byte().filter(|&kind| is_ended(kind))?;
        let id = take_id(&mut take)?;
        Some((id, End { kind, rest: take.0 }))
    }

    /// The end of these bytes: its kind, and the rest. `None` when they are none.
    pub fn of_bytes(bytes: &'e [u8]) -> Option<End<'e>> {
        let (&kind, rest) = bytes.split_first()?;
        is_ended(kind).then_some(End { kind, rest })
    }

    /// What it says; `None` when it cannot be read.
    pub fn read(self) -> Option<Box<Ended<'e>>> {
        take_ended(&mut Take(self.rest), self.kind).map(Box::new)
    }

    /// What it says of the cost, which may be that it is unknown; `None` when it cannot be read.
    pub fn cost(self) -> Option<Option<Pico>> {
        take_cost(&mut Take(self.rest), self.kind)
    }
}

impl RecordId {
    /// The milliseconds of the Unix epoch that stand in front of a UUID of version 7 (RFC 9562 §5.7).
    pub fn made_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }
}

/// Key, user path, labels, method.
const TEXTS_BEFORE_PATH: std::ops::Range<u8> = 0..4;

#[cfg(test)]
mod tests {
    use super::super::{Begun, Ended, Owned, Part, PartKind, Session, write_begun, write_ended, write_lost};
    use super::super::{write_own, write_owned, write_part};
    use super::*;
    use crate::ledger::usage::Usage;

    fn glance_of(write: impl Fn(&mut Vec<u8>)) -> Option<Glance> {
        let mut bytes = Vec::new();
        write(&mut bytes);
        glance(&bytes)
    }

    #[test]
    fn a_glance_tells_kinds_of_records_apart() {
        let id = RecordId(1_764_000_000_000 << 80 | 7 << 76 | 5);
        let ended = Ended::default();
        let by_other = Ended { answered_model: "m", ..Ended::default() };
        let part = Part { kind: PartKind::RequestBody, bytes: b"x" };
        let owned = Owned { at_ms: 1, object: "o", tenant: "t" };
        assert_eq!(glance_of(|out| write_ended(out, id, &ended)), Some(Glance::Ended(id)));
        assert_eq!(glance_of(|out| write_ended(out, id, &by_other)), Some(Glance::Ended(id)));
        assert_eq!(glance_of(|out| write_part(out, id, &part)), Some(Glance::Part(id)));
        assert_eq!(glance_of(|out| write_owned(out, &owned)), Some(Glance::Other));
        assert_eq!(glance_of(|out| write_lost(out, 3)), Some(Glance::Other));
        assert_eq!((glance(b""), glance(b"\xff1234567890123456789")), (None, None));
    }

    #[test]
    fn the_cost_is_found_in_an_end_with_or_without_another_model() {
        let cost_in = |bytes: &[u8]| End::of(bytes).and_then(|(_, end)| end.cost());
        let (id, usage) = (RecordId(9), Usage { output: Some(7), ..Usage::default() });
        for cost in [None, Some(0), Some(-1), Some(200), Some(i128::MAX)].map(|cost| cost.map(Pico)) {
            for answered_model in ["", "m"] {
                let ended =
                    Ended { error: "e", status: 500, usage, cost, answered_model, ..Ended::default() };
                let mut bytes = Vec::new();
                write_ended(&mut bytes, id, &ended);
                assert_eq!(cost_in(&bytes), Some(cost));
                assert_eq!((glance_own(&bytes), cost_in(&bytes[..24])), (None, None));
            }
        }
        let mut bytes = Vec::new();
        write_begun(&mut bytes, id, &Begun::default());
        assert_eq!((cost_in(&bytes), glance_own(&bytes[..18])), (None, None));
    }

    #[test]
    fn a_glance_at_a_beginning_sees_its_time_its_flags_and_whether_its_id_is_its_own() {
        let at_ms = 1_764_000_000_000;
        let (own, of_other) = (RecordId(u128::from(at_ms) << 80 | 1), RecordId(u128::from(at_ms - 1) << 80));
        for (id, path, session, is_request) in [
            (own, "/v1/x", "", true),
            (own, "/v1/x", "s", true),
            (own, "result of a batch", "", false),
            (own, "", "", false),
            (of_other, "/v1/x", "", false),
        ] {
            for (skips_usage, skips_audit) in [(false, false), (true, false), (false, true), (true, true)] {
                let begun = Begun {
                    at_ms,
                    path,
                    session,
                    labels: "[\"a\"]",
                    user_path: "/p",
                    skips_usage,
                    skips_audit,
                    is_stream: true,
                    ..Begun::default()
                };
                let mut own = Vec::new();
                write_own(&mut own, id, &begun, Session::of(&begun));
                let want = BegunGlance { at_ms, skips_usage, skips_audit, is_request, common_at: own.len() };
                assert_eq!(
                    glance_of(|out| write_begun(out, id, &begun)),
                    Some(Glance::Begun(id, want)),
                    "{path}"
                );
                assert_eq!(glance_own(&own), Some(OwnGlance { id, skips_usage }));
            }
        }
    }
}
