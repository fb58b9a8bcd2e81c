//! The questions of one exchange to providers, as its record lists them.

use std::ops::Deref;

use crate::base::limits::{ATTEMPTS_RECORDED_MAX, RECORD_NAME_BYTES_MAX};
use crate::ledger::codec::{Take, put_cut, put_number};

/// One question to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt<'a> {
    pub kind: AttemptKind,
    /// Empty where provider and model are those that the exchange's beginning names, as nearly always.
    pub provider: &'a str,
    pub model: &'a str,
    /// The provider's status; 0 when it gave none.
    pub status: u16,
    /// The code of the fault; empty for none.
    pub fault: &'a str,
    pub duration_us: u64,
}

impl<'a> Attempt<'a> {
    /// A question to the provider and the model that the exchange's beginning names.
    pub fn own(kind: AttemptKind, status: u16, fault: &'a str, duration_us: u64) -> Attempt<'a> {
        Attempt { kind, provider: "", model: "", status, fault, duration_us }
    }
}

/// Those of one exchange. There is mostly one, which needs no memory of its own.
#[derive(Clone, Debug)]
pub enum Attempts<'a> {
    Shown(&'a [Attempt<'a>]),
    Own(Vec<Attempt<'a>>),
}

impl<'a> Deref for Attempts<'a> {
    type Target = [Attempt<'a>];

    fn deref(&self) -> &[Attempt<'a>] {
        match self {
            Attempts::Shown(attempts) => attempts,
            Attempts::Own(attempts) => attempts,
        }
    }
}

impl Default for Attempts<'_> {
    fn default() -> Self {
        Attempts::Shown(&[])
    }
}

impl PartialEq for Attempts<'_> {
    fn eq(&self, other: &Attempts<'_>) -> bool {
        **self == **other
    }
}

impl Eq for Attempts<'_> {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AttemptKind {
    Primary = 0,
    Retry = 1,
    Failover = 2,
}

impl AttemptKind {
    pub fn name(self) -> &'static str {
        match self {
            AttemptKind::Primary => "primary",
            AttemptKind::Retry => "retry",
            AttemptKind::Failover => "failover",
        }
    }
}

/// Lists so many as a record may, and counts the others beside those that were not listed before.
pub(super) fn put_attempts(out: &mut Vec<u8>, attempts: &[Attempt<'_>], unlisted: u64) {
    let listed = &attempts[..attempts.len().min(ATTEMPTS_RECORDED_MAX)];
    put_number(out, unlisted + (attempts.len() - listed.len()) as u64);
    put_number(out, listed.len() as u64);
    for attempt in listed {
        out.push(attempt.kind as u8);
        put_cut(out, attempt.provider, RECORD_NAME_BYTES_MAX);
        put_cut(out, attempt.model, RECORD_NAME_BYTES_MAX);
        put_number(out, attempt.status.into());
        put_cut(out, attempt.fault, RECORD_NAME_BYTES_MAX);
        put_number(out, attempt.duration_us);
    }
}

/// How many are not listed, and those that are.
pub(super) fn take_attempts<'a>(take: &mut Take<'a>) -> Option<(u64, Vec<Attempt<'a>>)> {
    let unlisted = take.number()?;
    let count = usize::try_from(take.number()?).ok().filter(|&count| count <= ATTEMPTS_RECORDED_MAX)?;
    let attempts = (0..count).map(|_| take_attempt(take)).collect::<Option<_>>()?;
    Some((unlisted, attempts))
}

fn take_attempt<'a>(take: &mut Take<'a>) -> Option<Attempt<'a>> {
    let kind = match take.byte()? {
        0 => AttemptKind::Primary,
        1 => AttemptKind::Retry,
        2 => AttemptKind::Failover,
        _ => return None,
    };
    Some(Attempt {
        kind,
        provider: take.text()?,
        model: take.text()?,
        status: u16::try_from(take.number()?).ok()?,
        fault: take.text()?,
        duration_us: take.number()?,
    })
}
