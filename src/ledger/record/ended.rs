//! The end of an exchange as bytes and back. Nearly all are of one kind: nothing went wrong, and the first provider's answer has the
//! price that was known before. Those say no more than their numbers.

use super::attempt::{put_attempts, take_attempts};
use super::counts::{put_money, put_usage, sum_of, take_money, take_usage};
use super::{Attempt, AttemptKind, Attempts, Ended, Outcome, RecordId, SourceName};
use crate::base::Pico;
use crate::base::limits::RECORD_NAME_BYTES_MAX;
use crate::ledger::codec::{Take, put_cut, put_number, put_optional};

pub(super) fn is_ended(kind: u8) -> bool {
    matches!(kind, KIND_ENDED | KIND_ENDED_BY | KIND_ENDED_PLAINLY)
}

pub fn write_ended(out: &mut Vec<u8>, id: RecordId, ended: &Ended<'_>) {
    let plainly = Plainly::of(ended);
    out.push(match (&plainly, ended.answered_model) {
        (Some(_), _) => KIND_ENDED_PLAINLY,
        (None, "") => KIND_ENDED,
        (None, _) => KIND_ENDED_BY,
    });
    out.extend_from_slice(&id.0.to_le_bytes());
    put_number(out, ended.duration_us);
    put_optional(out, ended.first_byte_us);
    put_optional(out, ended.first_token_us);
    match plainly {
        Some(plainly) => plainly.put(out, ended),
        None => put_rest(out, ended),
    }
}

/// What stands behind the times of any other end.
fn put_rest(out: &mut Vec<u8>, ended: &Ended<'_>) {
    put_number(out, ended.status.into());
    let is_of_beginning = ended.cost_source == SourceName::OfBeginning;
    out.push(ended.outcome as u8 | if is_of_beginning { FLAG_SOURCE_OF_BEGINNING } else { 0 });
    put_cut(out, ended.error, RECORD_NAME_BYTES_MAX);
    put_usage(out, &ended.usage);
    for cost in [ended.cost, ended.input_cost, ended.output_cost] {
        put_money(out, cost);
    }
    if let SourceName::Own(name) = ended.cost_source {
        put_cut(out, name, RECORD_NAME_BYTES_MAX);
    }
    put_cut(out, ended.cost_caveat, RECORD_NAME_BYTES_MAX);
    put_number(out, ended.bytes_in);
    put_number(out, ended.bytes_out);
    put_attempts(out, &ended.attempts, ended.attempts_unlisted);
    if !ended.answered_model.is_empty() {
        put_cut(out, ended.answered_model, RECORD_NAME_BYTES_MAX);
    }
}

/// What a plain end says beside its times and numbers: how long its one attempt took.
struct Plainly {
    attempt_us: u64,
}

impl Plainly {
    /// `None` where there is more to be said.
    fn of(ended: &Ended<'_>) -> Option<Plainly> {
        let [attempt] = *ended.attempts else { return None };
        let attempt_us = attempt.duration_us;
        let is_plain = ended.status == PLAIN_STATUS
            && ended.outcome == Outcome::Whole
            && ended.cost_source == SourceName::OfBeginning
            && [ended.error, ended.cost_caveat, ended.answered_model].iter().all(|text| text.is_empty())
            && ended.attempts_unlisted == 0
            && attempt == Plainly::attempt(attempt_us)
            && ended.cost.is_some()
            && ended.cost == sum_of(ended.input_cost, ended.output_cost);
        is_plain.then_some(Plainly { attempt_us })
    }

    fn attempt<'a>(attempt_us: u64) -> Attempt<'a> {
        Attempt::own(AttemptKind::Primary, PLAIN_STATUS, "", attempt_us)
    }

    fn put(self, out: &mut Vec<u8>, ended: &Ended<'_>) {
        put_number(out, self.attempt_us);
        put_usage(out, &ended.usage);
        put_money(out, ended.input_cost);
        put_money(out, ended.output_cost);
        put_number(out, ended.bytes_in);
        put_number(out, ended.bytes_out);
    }

    /// Reads what stands behind the times.
    fn take<'a>(take: &mut Take<'a>, times: Ended<'a>) -> Option<Ended<'a>> {
        let attempt_us = take.number()?;
        let usage = take_usage(take)?;
        let (input_cost, output_cost) = (take_money(take)?, take_money(take)?);
        Some(Ended {
            status: PLAIN_STATUS,
            usage,
            // An unknown one has another kind, and so has one that is no sum.
            cost: Some(sum_of(input_cost, output_cost)?),
            input_cost,
            output_cost,
            cost_source: SourceName::OfBeginning,
            bytes_in: take.number()?,
            bytes_out: take.number()?,
            attempts: Attempts::Own(vec![Plainly::attempt(attempt_us)]),
            ..times
        })
    }
}

pub(super) fn take_ended<'a>(take: &mut Take<'a>, kind: u8) -> Option<Ended<'a>> {
    let times = Ended {
        duration_us: take.number()?,
        first_byte_us: take.optional()?,
        first_token_us: take.optional()?,
        ..Ended::default()
    };
    let ended = match kind {
        KIND_ENDED_PLAINLY => Plainly::take(take, times)?,
        _ => take_rest(take, kind, times)?,
    };
    take.0.is_empty().then_some(ended)
}

fn take_rest<'a>(take: &mut Take<'a>, kind: u8, times: Ended<'a>) -> Option<Ended<'a>> {
    let mut ended = Ended { status: u16::try_from(take.number()?).ok()?, ..times };
    let outcome = take.byte()?;
    ended.outcome = match outcome & !FLAG_SOURCE_OF_BEGINNING {
        0 => Outcome::Whole,
        1 => Outcome::Cut,
        2 => Outcome::ClientGone,
        3 => Outcome::Refused,
        4 => Outcome::Unknown,
        _ => return None,
    };
    ended.error = take.text()?;
    ended.usage = take_usage(take)?;
    ended.cost = take_money(take)?;
    ended.input_cost = take_money(take)?;
    ended.output_cost = take_money(take)?;
    ended.cost_source = match outcome & FLAG_SOURCE_OF_BEGINNING {
        0 => SourceName::Own(take.text()?),
        _ => SourceName::OfBeginning,
    };
    ended.cost_caveat = take.text()?;
    ended.bytes_in = take.number()?;
    ended.bytes_out = take.number()?;
    let (unlisted, attempts) = take_attempts(take)?;
    (ended.attempts_unlisted, ended.attempts) = (unlisted, Attempts::Own(attempts));
    if kind == KIND_ENDED_BY {
        // An empty name has the other kind.
        ended.answered_model = take.text().filter(|model| !model.is_empty())?;
    }
    Some(ended)
}

/// What an end says of the cost, read from behind its id; `None` when it cannot be read.
pub(super) fn take_cost(take: &mut Take<'_>, kind: u8) -> Option<Option<Pico>> {
    // Duration, first byte, first token, and status or attempt.
    for _ in 0..4 {
        take.number()?;
    }
    if kind != KIND_ENDED_PLAINLY {
        // The outcome and the error.
        take.byte()?;
        take.raw()?;
    }
    take_usage(take)?;
    let first = take_money(take)?;
    match kind {
        KIND_ENDED_PLAINLY => sum_of(first, take_money(take)?).map(Some),
        _ => Some(first),
    }
}

/// The status of a plain end.
const PLAIN_STATUS: u16 = 200;

/// In the byte of the outcome: the name of the cost's source is not written.
const FLAG_SOURCE_OF_BEGINNING: u8 = 0x80;

const KIND_ENDED: u8 = 2;
/// An end whose answer names another model, which stands behind all the rest.
const KIND_ENDED_BY: u8 = 5;
/// An end without surprises: what it does not say is told by its kind.
const KIND_ENDED_PLAINLY: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::usage::Usage;

    const ID: RecordId = RecordId(7);

    fn plain() -> Ended<'static> {
        Ended {
            duration_us: 900,
            first_byte_us: Some(700),
            first_token_us: None,
            status: 200,
            outcome: Outcome::Whole,
            usage: Usage { input: Some(150), output: Some(20), stated_total: Some(170), ..Usage::default() },
            cost: Some(Pico(190_000_000)),
            input_cost: Some(Pico(150_000_000)),
            output_cost: Some(Pico(40_000_000)),
            cost_source: SourceName::OfBeginning,
            bytes_in: 700,
            bytes_out: 1_500,
            attempts: Attempts::Own(vec![Plainly::attempt(800)]),
            ..Ended::default()
        }
    }

    /// What stands in the record is what comes back; gives its kind and its length.
    fn kept(ended: &Ended<'_>) -> (u8, usize) {
        let mut bytes = Vec::new();
        write_ended(&mut bytes, ID, ended);
        let (kind, rest) = (bytes[0], &bytes[17..]);
        assert_eq!(take_ended(&mut Take(rest), kind).as_ref(), Some(ended));
        assert_eq!(take_cost(&mut Take(rest), kind), Some(ended.cost));
        for cut in 0..rest.len() {
            assert_eq!(take_ended(&mut Take(&rest[..cut]), kind), None, "cut at {cut}");
        }
        (kind, rest.len())
    }

    #[test]
    fn an_end_without_surprises_says_no_more_than_its_numbers() {
        assert_eq!(kept(&plain()), (KIND_ENDED_PLAINLY, 26));
        let streamed = Ended { first_token_us: Some(1), ..plain() };
        assert_eq!(kept(&streamed), (KIND_ENDED_PLAINLY, 26));
    }

    /// The bytes behind the id of [`plain`], as versions before plain ends wrote them.
    #[rustfmt::skip]
    const OLD: [u8; 50] = [
        0x84, 0x07, 0xBD, 0x05, 0x00, 0xC8, 0x01, 0x80, 0x00,
        // The counts and what else is known of them.
        0x83, 0x10, 0x96, 0x01, 0x14, 0xAA, 0x01, 0x00, 0x00, 0x00, 0x00,
        // All of the cost, that of the input, that of the output.
        0x04, 0x80, 0x2B, 0x53, 0x0B, 0x04, 0x80, 0xD1, 0xF0, 0x08, 0x04, 0x00, 0x5A, 0x62, 0x02,
        0x00, 0xBC, 0x05, 0xDC, 0x0B,
        // One attempt.
        0x00, 0x01, 0x00, 0x00, 0x00, 0xC8, 0x01, 0x00, 0xA0, 0x06,
    ];

    #[test]
    fn ends_of_earlier_versions_are_read_and_plain_ones_are_these_bytes() {
        assert_eq!(take_ended(&mut Take(&OLD), KIND_ENDED), Some(plain()));
        assert_eq!(take_cost(&mut Take(&OLD), KIND_ENDED), Some(plain().cost));
        let by = [&OLD[..], &[1, b'm']].concat();
        let by_other = Ended { answered_model: "m", ..plain() };
        assert_eq!(take_ended(&mut Take(&by), KIND_ENDED_BY), Some(by_other));
        let mut bytes = Vec::new();
        write_ended(&mut bytes, ID, &plain());
        #[rustfmt::skip]
        let want = [
            0x84, 0x07, 0xBD, 0x05, 0x00, 0xA0, 0x06, 0x83, 0x60, 0x96, 0x01, 0x14,
            0x04, 0x80, 0xD1, 0xF0, 0x08, 0x04, 0x00, 0x5A, 0x62, 0x02, 0xBC, 0x05, 0xDC, 0x0B,
        ];
        assert_eq!((bytes[0], &bytes[17..]), (10, &want[..]));
        assert_eq!(super::super::read(&bytes), Some(super::super::Record::Ended(ID, Box::new(plain()))));
    }

    #[test]
    fn an_end_with_anything_more_to_say_says_it() {
        let attempts = |attempts: &[Attempt<'static>]| Attempts::Own(attempts.to_vec());
        let own = Plainly::attempt(800);
        let money = |amount| Some(Pico(amount));
        for ended in [
            Ended { status: 201, ..plain() },
            Ended { outcome: Outcome::Cut, ..plain() },
            Ended { error: "reset", ..plain() },
            Ended { cost: money(190_000_001), ..plain() },
            Ended { cost: None, ..plain() },
            Ended { input_cost: None, ..plain() },
            Ended { cost: None, input_cost: None, output_cost: None, ..plain() },
            Ended { input_cost: money(i128::MAX), output_cost: money(1), ..plain() },
            Ended { cost_source: SourceName::Own("provider"), ..plain() },
            Ended { cost_caveat: "some", ..plain() },
            Ended { attempts: Attempts::default(), ..plain() },
            Ended { attempts: attempts(&[own, own]), ..plain() },
            Ended { attempts: attempts(&[Attempt { kind: AttemptKind::Retry, ..own }]), ..plain() },
            Ended { attempts: attempts(&[Attempt { provider: "other", ..own }]), ..plain() },
            Ended { attempts: attempts(&[Attempt { model: "other", ..own }]), ..plain() },
            Ended { attempts: attempts(&[Attempt { status: 201, ..own }]), ..plain() },
            Ended { attempts: attempts(&[Attempt { fault: "status", ..own }]), ..plain() },
            Ended { attempts_unlisted: 1, ..plain() },
        ] {
            assert_eq!(kept(&ended).0, KIND_ENDED, "{ended:?}");
        }
        assert_eq!(kept(&Ended { answered_model: "m", ..plain() }).0, KIND_ENDED_BY);
    }

    #[test]
    fn a_plain_end_whose_costs_are_no_sum_is_none() {
        for (input_cost, output_cost) in [(None, Some(Pico(1))), (Some(Pico(i128::MAX)), Some(Pico(1)))] {
            let mut bytes = vec![0, 0, 0];
            Plainly { attempt_us: 1 }.put(&mut bytes, &Ended { input_cost, output_cost, ..plain() });
            assert_eq!(take_ended(&mut Take(&bytes), KIND_ENDED_PLAINLY), None);
            assert_eq!(take_cost(&mut Take(&bytes), KIND_ENDED_PLAINLY), None);
        }
    }
}
