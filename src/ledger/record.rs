//! What the journal says of one exchange: a `Begun` before its first byte goes to a provider, an `Ended` before the last
//! byte of the answer goes to the client. Values in, bytes out, and back; texts that came from outside are cut to stated
//! lengths, so that no record outgrows its frame.

use super::codec::{Take, put_cut, put_number};
use super::usage::Usage;
use crate::base::Pico;
use crate::base::limits::{
    ATTEMPTS_RECORDED_MAX, OBJECT_NAME_BYTES_MAX, PART_BYTES_MAX, RECORD_BYTES_MAX, RECORD_LABELS_BYTES_MAX,
    RECORD_NAME_BYTES_MAX, RECORD_TEXT_BYTES_MAX, USER_PATH_BYTES_MAX,
};

mod attempt;
mod counts;
mod ended;
mod glance;
mod part;

pub use attempt::{Attempt, AttemptKind, Attempts};
pub use ended::write_ended;
use ended::{is_ended, take_ended};
pub use glance::{BegunGlance, End, Glance, OwnGlance, glance, glance_own};
pub use part::{Part, PartKind, Remarks};

/// Names one exchange for good: the store takes each id once. Of the same form as a UUID of version 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId(pub u128);

/// What was known of an exchange when it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun<'a> {
    pub at_ms: u64,
    pub request_id: &'a str,
    /// The request id is the record's own, in the form of a UUID; `request_id` is empty then.
    pub is_named_by_id: bool,
    /// The public id of the caller's key; empty for the master key and for none.
    pub key_id: &'a str,
    pub auth: Auth,
    pub user_path: &'a str,
    /// A JSON array of texts; empty for none.
    pub labels: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    /// The endpoint by its metric name.
    pub endpoint: &'a str,
    /// The model as the client wrote it, the provider's instance, and the model as that knows it.
    pub requested_model: &'a str,
    pub provider: &'a str,
    pub model: &'a str,
    /// The workflow's id; empty for none.
    pub workflow: &'a str,
    pub client_ip: &'a str,
    pub user_agent: &'a str,
    /// What the client calls the conversation that it belongs to; empty for nothing.
    pub session: &'a str,
    /// Where the price of the model came from; empty where none is known.
    pub price_source: &'a str,
    pub is_stream: bool,
    /// Its workflow leaves it out of the rows of usage.
    pub skips_usage: bool,
    /// The same for the audit log.
    pub skips_audit: bool,
}

/// How the caller showed who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Auth {
    #[default]
    NoKey = 0,
    MasterKey = 1,
    ApiKey = 2,
}

impl Auth {
    /// The word in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Auth::NoKey => "no_key",
            Auth::MasterKey => "master_key",
            Auth::ApiKey => "api_key",
        }
    }
}

/// How an exchange ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended<'a> {
    pub duration_us: u64,
    /// Until the first byte of the answer, where one came.
    pub first_byte_us: Option<u64>,
    pub first_token_us: Option<u64>,
    /// The status that the client got; 0 when it got none.
    pub status: u16,
    pub outcome: Outcome,
    /// The code of the refusal or of the last fault; empty for none.
    pub error: &'a str,
    pub usage: Usage,
    /// `None` is unknown, and never free of charge.
    pub cost: Option<Pico>,
    pub input_cost: Option<Pico>,
    pub output_cost: Option<Pico>,
    pub cost_source: SourceName<'a>,
    /// What should be known of the cost; empty for nothing.
    pub cost_caveat: &'a str,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// The model that the answer names, where that is another one than was asked of the provider; empty where not.
    pub answered_model: &'a str,
    pub attempts: Attempts<'a>,
    /// More attempts were made than are listed.
    pub attempts_unlisted: u64,
}

/// Where a cost comes from, by name; empty where it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceName<'a> {
    Own(&'a str),
    /// That of the price which the beginning knew, as mostly is the case: there it is written once for many.
    OfBeginning,
}

impl Default for SourceName<'_> {
    fn default() -> Self {
        SourceName::Own("")
    }
}

impl<'a> SourceName<'a> {
    /// The name, in an exchange that began so.
    pub fn of(self, begun: &Begun<'a>) -> &'a str {
        match self {
            SourceName::Own(name) => name,
            SourceName::OfBeginning => begun.price_source,
        }
    }
}

/// What became of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// The client has been sent all of it.
    #[default]
    Whole = 0,
    /// The provider's answer was cut, or an error came inside a stream.
    Cut = 1,
    /// The client left first.
    ClientGone = 2,
    /// The gateway answered by itself, with an error.
    Refused = 3,
    /// Nobody saw how it ended: the process went away.
    Unknown = 4,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Whole => "whole",
            Outcome::Cut => "cut",
            Outcome::ClientGone => "client_gone",
            Outcome::Refused => "refused",
            Outcome::Unknown => "unknown",
        }
    }
}

/// A record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    Begun(RecordId, Box<Begun<'a>>),
    Ended(RecordId, Box<Ended<'a>>),
    /// This many records could not be written before this one, and are lost.
    Lost(u64),
    Owned(Owned<'a>),
    /// In front of the end of its exchange.
    Part(RecordId, Part<'a>),
}

/// An object that a provider keeps for one of the gateway's callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned<'a> {
    pub at_ms: u64,
    /// The object's name: its id, with the provider's where ids carry it.
    pub object: &'a str,
    /// Whose it is: a user path, or the public id of a key.
    pub tenant: &'a str,
}

/// Writes a beginning: what it says of its exchange alone, and behind that what it may have in common with others.
pub fn write_begun(out: &mut Vec<u8>, id: RecordId, begun: &Begun<'_>) {
    write_own(out, id, begun, Session::of(begun));
    write_common(out, begun);
}

/// Whether the second part of a beginning ends with the name of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    Named,
    Nameless,
}

impl Session {
    pub fn of(begun: &Begun<'_>) -> Session {
        if begun.session.is_empty() { Session::Nameless } else { Session::Named }
    }
}

/// The first part of a beginning: id, time, request id and flags. Of `begun` nothing else counts.
pub fn write_own(out: &mut Vec<u8>, id: RecordId, begun: &Begun<'_>, session: Session) {
    out.push(match session {
        Session::Named => KIND_BEGUN_IN_SESSION,
        Session::Nameless => KIND_BEGUN,
    });
    out.extend_from_slice(&id.0.to_le_bytes());
    put_number(out, if id.made_ms() == begun.at_ms { TIME_OF_ID } else { begun.at_ms });
    out.push(begun.auth as u8);
    let flags = [
        (begun.is_stream, FLAG_STREAM),
        (begun.skips_usage, FLAG_SKIPS_USAGE),
        (begun.skips_audit, FLAG_SKIPS_AUDIT),
        (begun.is_named_by_id, FLAG_NAMED_BY_ID),
    ];
    out.push(flags.into_iter().fold(0, |bits, (is_set, flag)| if is_set { bits | flag } else { bits }));
    put_cut(out, begun.request_id, RECORD_NAME_BYTES_MAX);
}

/// The second part of a beginning: texts that stay the same for all that a caller asks in one way.
pub fn write_common(out: &mut Vec<u8>, begun: &Begun<'_>) {
    out.reserve(COMMON_BYTES_USUAL);
    for (text, bytes_max) in [
        (begun.key_id, RECORD_NAME_BYTES_MAX),
        (begun.user_path, RECORD_TEXT_BYTES_MAX),
        (begun.labels, RECORD_LABELS_BYTES_MAX),
        (begun.method, RECORD_NAME_BYTES_MAX),
        (begun.path, RECORD_TEXT_BYTES_MAX),
        (begun.endpoint, RECORD_NAME_BYTES_MAX),
        (begun.requested_model, RECORD_NAME_BYTES_MAX),
        (begun.provider, RECORD_NAME_BYTES_MAX),
        (begun.model, RECORD_NAME_BYTES_MAX),
        (begun.workflow, RECORD_NAME_BYTES_MAX),
        (begun.client_ip, RECORD_NAME_BYTES_MAX),
        (begun.user_agent, RECORD_NAME_BYTES_MAX),
        (begun.price_source, RECORD_NAME_BYTES_MAX),
    ] {
        put_cut(out, text, bytes_max);
    }
    if !begun.session.is_empty() {
        put_cut(out, begun.session, RECORD_NAME_BYTES_MAX);
    }
}

/// Room for the texts of most beginnings.
const COMMON_BYTES_USUAL: usize = 256;

/// Reads a beginning whose parts stand apart.
pub fn read_begun<'a>(own: &'a [u8], common: &'a [u8]) -> Option<(RecordId, Box<Begun<'a>>)> {
    let (mut own, mut common) = (Take(own), Take(common));
    let kind = own.byte().filter(|&kind| is_begun(kind))?;
    let id = take_id(&mut own)?;
    let begun = take_own(&mut own, id)?;
    let begun = take_common(&mut common, kind, begun)?;
    (own.0.is_empty() && common.0.is_empty()).then(|| (id, Box::new(begun)))
}

fn take_id(take: &mut Take<'_>) -> Option<RecordId> {
    Some(RecordId(u128::from_le_bytes(take.bytes(ID_BYTES)?.try_into().ok()?)))
}

/// When an exchange began: mostly the moment that stands in its id.
fn take_time(take: &mut Take<'_>, id: RecordId) -> Option<u64> {
    Some(match take.number()? {
        TIME_OF_ID => id.made_ms(),
        at_ms => at_ms,
    })
}

fn take_own<'a>(take: &mut Take<'a>, id: RecordId) -> Option<Begun<'a>> {
    let at_ms = take_time(take, id)?;
    let auth = match take.byte()? {
        0 => Auth::NoKey,
        1 => Auth::MasterKey,
        2 => Auth::ApiKey,
        _ => return None,
    };
    // Versions before this one knew the first of them.
    let flags = take.byte()?;
    Some(Begun {
        at_ms,
        auth,
        is_stream: flags & FLAG_STREAM != 0,
        skips_usage: flags & FLAG_SKIPS_USAGE != 0,
        skips_audit: flags & FLAG_SKIPS_AUDIT != 0,
        is_named_by_id: flags & FLAG_NAMED_BY_ID != 0,
        request_id: take.text()?,
        ..Begun::default()
    })
}

fn take_common<'a>(take: &mut Take<'a>, kind: u8, own: Begun<'a>) -> Option<Begun<'a>> {
    let begun = Begun {
        key_id: take.text()?,
        user_path: take.text()?,
        labels: take.text()?,
        method: take.text()?,
        path: take.text()?,
        endpoint: take.text()?,
        requested_model: take.text()?,
        provider: take.text()?,
        model: take.text()?,
        workflow: take.text()?,
        client_ip: take.text()?,
        user_agent: take.text()?,
        price_source: if matches!(kind, KIND_BEGUN | KIND_BEGUN_IN_SESSION) { take.text()? } else { "" },
        ..own
    };
    if matches!(kind, KIND_BEGUN | KIND_BEGUN_UNPRICED) {
        return Some(begun);
    }
    // An empty name has the other kind.
    let session = take.text().filter(|session| !session.is_empty())?;
    Some(Begun { session, ..begun })
}

fn is_begun(kind: u8) -> bool {
    matches!(kind, KIND_BEGUN | KIND_BEGUN_IN_SESSION | KIND_BEGUN_UNPRICED | KIND_BEGUN_UNPRICED_IN_SESSION)
}

pub fn write_lost(out: &mut Vec<u8>, count: u64) {
    out.push(KIND_LOST);
    put_number(out, count);
}

pub fn write_owned(out: &mut Vec<u8>, owned: &Owned<'_>) {
    out.push(KIND_OWNED);
    put_number(out, owned.at_ms);
    put_cut(out, owned.object, RECORD_NAME_BYTES_MAX);
    put_cut(out, owned.tenant, RECORD_NAME_BYTES_MAX);
}

fn take_owned<'a>(take: &mut Take<'a>) -> Option<Owned<'a>> {
    Some(Owned { at_ms: take.number()?, object: take.text()?, tenant: take.text()? })
}

pub fn write_part(out: &mut Vec<u8>, id: RecordId, part: &Part<'_>) {
    out.push(KIND_PART);
    out.extend_from_slice(&id.0.to_le_bytes());
    out.push(part.kind as u8);
    out.extend_from_slice(part.bytes);
}

fn take_part<'a>(take: &mut Take<'a>) -> Option<Part<'a>> {
    let kind = match take.byte()? {
        0 => PartKind::RequestHeaders,
        1 => PartKind::RequestBody,
        2 => PartKind::ResponseHeaders,
        3 => PartKind::ResponseBody,
        4 => PartKind::Remarks,
        _ => return None,
    };
    let count = take.0.len();
    Some(Part { kind, bytes: take.bytes(count)? })
}

/// Reads a record; `None` when it is none, or one of a later version of the gateway.
pub fn read(bytes: &[u8]) -> Option<Record<'_>> {
    let mut take = Take(bytes);
    let kind = take.byte()?;
    if kind == KIND_LOST {
        return take.number().map(Record::Lost).filter(|_| take.0.is_empty());
    }
    if kind == KIND_OWNED {
        return take_owned(&mut take).map(Record::Owned).filter(|_| take.0.is_empty());
    }
    let id = take_id(&mut take)?;
    let record = match kind {
        kind if is_begun(kind) => {
            let own = take_own(&mut take, id)?;
            Record::Begun(id, Box::new(take_common(&mut take, kind, own)?))
        }
        kind if is_ended(kind) => return Some(Record::Ended(id, Box::new(take_ended(&mut take, kind)?))),
        KIND_PART => Record::Part(id, take_part(&mut take)?),
        _ => return None,
    };
    take.0.is_empty().then_some(record)
}

const ID_BYTES: usize = 16;
/// In the place of a time: it stands in the record's id.
const TIME_OF_ID: u64 = 0;
const FLAG_STREAM: u8 = 1;
const FLAG_SKIPS_USAGE: u8 = 2;
const FLAG_SKIPS_AUDIT: u8 = 4;
const FLAG_NAMED_BY_ID: u8 = 8;

/// A beginning as versions before this one wrote it: it names no source of a price.
const KIND_BEGUN_UNPRICED: u8 = 1;
// 2, 5 and 10 are ends (`ended`).
const KIND_LOST: u8 = 3;
const KIND_OWNED: u8 = 4;
const KIND_PART: u8 = 6;
const KIND_BEGUN_UNPRICED_IN_SESSION: u8 = 7;
const KIND_BEGUN: u8 = 8;
/// A beginning with the name of its session, which stands behind all the rest.
const KIND_BEGUN_IN_SESSION: u8 = 9;

const _: () = assert!(PART_BYTES_MAX + 18 <= RECORD_BYTES_MAX, "a piece of a body fits its frame");

const _: () = assert!(
    OBJECT_NAME_BYTES_MAX <= RECORD_NAME_BYTES_MAX && USER_PATH_BYTES_MAX <= RECORD_NAME_BYTES_MAX,
    "whose an object is, is never cut"
);

/// The longest record there can be: kinds, id and numbers of at most ten bytes each beside the texts.
const _: () = assert!(
    17 + 20 * 10 + 12 * RECORD_NAME_BYTES_MAX + 3 * RECORD_TEXT_BYTES_MAX + RECORD_LABELS_BYTES_MAX
        < RECORD_BYTES_MAX,
    "a record of what began fits its frame"
);
const _: () = assert!(
    17 + 40 * 10 + 5 * RECORD_NAME_BYTES_MAX + ATTEMPTS_RECORDED_MAX * (3 * RECORD_NAME_BYTES_MAX + 40)
        < RECORD_BYTES_MAX,
    "a record of an end fits its frame"
);

#[cfg(test)]
mod tests;
