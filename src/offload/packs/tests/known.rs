//! Exchanges that look like any, and are the same in every run.

use super::*;
use crate::ledger::record::{Attempt, AttemptKind, Attempts, Begun, Ended, Outcome, SourceName};
use crate::ledger::usage::{Mode, ToolCalls, Usage};

/// An exchange by its two records.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) id: RecordId,
    pub(super) at_ms: u64,
    pub(super) ended_ms: u64,
    pub(super) begun: Vec<u8>,
    pub(super) ended: Vec<u8>,
}

impl Known {
    pub(super) fn pair(&self) -> Pair<'_> {
        Pair::of(self.id, &self.begun, self.glance(), &self.ended).expect("both are of one exchange")
    }

    pub(super) fn glance(&self) -> BegunGlance {
        match record::glance(&self.begun) {
            Some(Glance::Begun(_, glance)) => glance,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn add_to(&self, rows: &mut Rows) {
        let (Some(Record::Begun(id, begun)), Some(Record::Ended(_, ended))) =
            (record::read(&self.begun), record::read(&self.ended))
        else {
            panic!("they are records")
        };
        rows.add(id, Some(&begun), &ended, Bodies::default());
    }
}

/// Numbers that look random and are the same in every run (xorshift64*).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }

    pub(super) fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len())]
    }

    pub(super) fn count(&mut self) -> Option<u64> {
        let most = self.one(&[1, 100, 1 << 40]);
        (self.roll(3) > 0).then(|| self.roll(most) as u64)
    }

    pub(super) fn money(&mut self) -> Option<Pico> {
        self.count().map(|pico| Pico(i128::from(pico)))
    }
}

pub(super) const START_MS: u64 = 1_764_000_000_000;

/// An exchange of some moment within three hours, with whatever may stand in one.
pub(super) fn exchange(dice: &mut Dice) -> Known {
    let at_ms = START_MS + dice.roll(10_800) as u64 * 1_000 + dice.roll(3) as u64;
    let duration = [1, 900, 30_000, 500_000];
    let most = dice.one(&duration);
    let duration_ms = dice.roll(most) as u64;
    let random = (dice.roll(1 << 31) as u128) << 31 | dice.roll(1 << 31) as u128;
    let id = RecordId(u128::from(at_ms) << 80 | 7 << 76 | 2 << 62 | random);
    let (request_id, long) = (format!("req-{}", dice.roll(50)), "é".repeat(400));
    let named = ["", &request_id, &request_id][(random % 3) as usize];
    let model = dice.one(&["", "m", "m2", "gpt%_", "\u{1}x"]);
    let begun = Begun {
        at_ms,
        request_id: if dice.roll(20) == 0 && !named.is_empty() { &long } else { named },
        key_id: dice.one(&["", "key-a", "key-b"]),
        auth: dice.one(&[record::Auth::NoKey, record::Auth::MasterKey, record::Auth::ApiKey]),
        user_path: dice.one(&["", "/", "/team", "/team/a", "/teams", "/t\0"]),
        labels: dice.one(&["", "[\"x\"]", "[\"x\",\"ü\"]", "broken"]),
        method: "POST",
        path: dice.one(&["/v1/chat/completions", "/v1/embeddings"]),
        endpoint: "chat",
        requested_model: dice.one(&["fast", "slow"]),
        provider: dice.one(&["up", "down", ""]),
        model,
        workflow: dice.one(&["", "w1"]),
        client_ip: dice.one(&["", "203.0.113.77"]),
        user_agent: dice.one(&["", "agent/9"]),
        session: dice.one(&["", "s1", "s2"]),
        price_source: ["", "catalogue", "list"][(random % 11 % 3) as usize],
        is_stream: dice.roll(2) == 0,
        skips_usage: dice.roll(8) == 0,
        skips_audit: dice.roll(8) == 0,
        is_named_by_id: named.is_empty(),
    };
    let status = dice.one(&[0, 200, 429, 500]);
    let attempts = (0..dice.roll(3)).map(|number| Attempt {
        kind: dice.one(&[AttemptKind::Primary, AttemptKind::Retry, AttemptKind::Failover]),
        provider: ["", begun.provider, "other"][(random % 7 % 3) as usize],
        model: [model, "elsewhere"][(random % 5 % 2) as usize],
        status: dice.one(&[status, 503]),
        fault: dice.one(&["", "", "reset"]),
        duration_us: number as u64,
    });
    let attempts = Attempts::Own(attempts.collect());
    let outcome = [Outcome::Whole, Outcome::Cut, Outcome::ClientGone, Outcome::Refused, Outcome::Unknown];
    let ended = Ended {
        duration_us: duration_ms * 1_000,
        first_byte_us: dice.count(),
        first_token_us: dice.count(),
        status,
        outcome: dice.one(&outcome),
        error: dice.one(&["", "reset"]),
        usage: usage(dice),
        cost: dice.money(),
        input_cost: dice.money(),
        output_cost: dice.money(),
        cost_source: dice.one(&[SourceName::Own(""), SourceName::Own("catalogue"), SourceName::OfBeginning]),
        cost_caveat: dice.one(&["", "a caveat"]),
        bytes_in: dice.roll(9) as u64,
        bytes_out: dice.roll(9) as u64,
        answered_model: dice.one(&["", "m-2026"]),
        attempts,
        attempts_unlisted: dice.one(&[0, 0, 2]),
    };
    let ended = if random % 13 < 5 { plain(&ended) } else { ended };
    let (mut first, mut last) = (Vec::new(), Vec::new());
    record::write_begun(&mut first, id, &begun);
    record::write_ended(&mut last, id, &ended);
    Known { id, at_ms, ended_ms: at_ms + duration_ms, begun: first, ended: last }
}

/// The same end as nearly all are.
pub(super) fn plain<'a>(ended: &Ended<'a>) -> Ended<'a> {
    let (input, output) = (Pico(150_000_000), Pico(i128::from(ended.bytes_out) * 1_000_000));
    Ended {
        status: 200,
        outcome: Outcome::Whole,
        error: "",
        cost: input.checked_add(output),
        input_cost: Some(input),
        output_cost: Some(output),
        cost_source: SourceName::OfBeginning,
        cost_caveat: "",
        answered_model: "",
        attempts: Attempts::Own(vec![Attempt::own(AttemptKind::Primary, 200, "", 700)]),
        attempts_unlisted: 0,
        ..ended.clone()
    }
}

pub(super) fn usage(dice: &mut Dice) -> Usage {
    Usage {
        input: dice.count(),
        output: dice.count(),
        cache_read: dice.count(),
        cache_write: dice.count(),
        cache_write_1h: dice.count(),
        reasoning: dice.count(),
        input_audio: dice.count(),
        tools: ToolCalls([0, dice.roll(2) as u32, 0, 0, 0]),
        stated_cost: dice.money(),
        stated_total: dice.count(),
        mode: dice.one(&[None, Some(Mode::Batch), Some(Mode::Standard)]),
        is_estimated: dice.roll(5) == 0,
        ..Usage::default()
    }
}

pub(super) fn exchanges(count: usize, seed: u64) -> Vec<Known> {
    let mut dice = Dice(seed);
    let mut all: Vec<Known> = (0..count).map(|_| exchange(&mut dice)).collect();
    all.sort_by_key(|known| known.ended_ms);
    all
}
