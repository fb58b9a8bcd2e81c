//! Counts that all shards share, exact and without a lock: how much of something was taken in a window, and how many
//! requests are under way.

use std::sync::atomic::{AtomicU32, Ordering};

use portable_atomic::AtomicU128;

/// How much was taken in the current window: reservations and what was really used. Beside it, what was really used
/// alone, which is what outlives the process: a reservation dies with it.
///
/// Each is one number of 128 bits, so that window and amount change together: 32 bits for the window (the second at
/// which it began), 16 for the generation (a reset begins a new one), 80 for the amount.
#[derive(Debug, Default)]
pub struct Meter {
    taken: AtomicU128,
    settled: AtomicU128,
}

/// The window and the generation in which something was taken. Later changes to it name this stamp, and are without
/// effect once the meter has gone on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(u64);

/// It does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// What is taken of the window already.
    pub taken: u128,
    pub window_start_s: u32,
}

/// What a meter shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    pub window_start_s: u32,
    pub amount: u128,
}

impl Meter {
    /// Takes `amount` in the window that began at `start_s`, or nothing when more than `max` would be taken. Taking
    /// nothing always fits. A window that is older than the meter's counts as the meter's: clocks of two shards may
    /// differ a little at its edge.
    pub fn take(&self, start_s: u32, amount: u128, max: u128) -> Result<Stamp, Full> {
        let mut taken = Stamp::default();
        let changed = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |cell| {
            let (stamp, before) = split(advanced(cell, start_s));
            taken = stamp;
            let after = before.saturating_add(amount);
            (amount == 0 || after <= max).then(|| join(stamp, after))
        });
        match changed {
            Ok(_) => Ok(taken),
            Err(cell) => {
                let (stamp, taken) = split(advanced(cell, start_s));
                Err(Full { taken, window_start_s: stamp.window_start_s() })
            }
        }
    }

    /// What was reserved turns out to be less, or more. Without effect when the window is over.
    pub fn adjust(&self, stamp: Stamp, reserved: u128, used: u128) {
        change(&self.taken, stamp, |amount| amount.saturating_sub(reserved).saturating_add(used));
    }

    /// Counts something as really used, in the window in which it was taken. What was used in that window then: before
    /// and after. `None` when the window is over.
    pub fn settle(&self, stamp: Stamp, used: u128) -> Option<(u128, u128)> {
        let mut change = None;
        let written = self.settled.fetch_update(Ordering::AcqRel, Ordering::Acquire, |cell| {
            let (own, amount) = split(cell);
            let before = if own < stamp { 0 } else { amount };
            change = (own <= stamp).then_some((before, before.saturating_add(used)));
            change.map(|(_, after)| join(stamp, after))
        });
        written.ok().and(change)
    }

    /// Takes back what was counted as used.
    pub fn unsettle(&self, stamp: Stamp, used: u128) {
        change(&self.settled, stamp, |amount| amount.saturating_sub(used));
    }

    /// What is taken in the window that began at `start_s`, reservations included.
    pub fn taken(&self, start_s: u32) -> u128 {
        split(advanced(self.taken.load(Ordering::Acquire), start_s)).1
    }

    /// What was really used in the last window that was used.
    pub fn settled(&self) -> Reading {
        let (stamp, amount) = split(self.settled.load(Ordering::Acquire));
        Reading { window_start_s: stamp.window_start_s(), amount }
    }

    /// What a former process knew. Without effect when the meter is in a later window, or has counted in this one.
    pub fn restore(&self, reading: Reading) {
        let stamp = Stamp::new(reading.window_start_s, 0);
        for cell in [&self.settled, &self.taken] {
            // A refusal is no fault: the meter knows better.
            let _ = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |cell| {
                (split(cell).0 < stamp).then(|| join(stamp, reading.amount))
            });
        }
    }

    /// Somebody knows that at least this much was used in a window, by whoever: what the meter lacks of it counts as taken
    /// and as used. Without effect when the meter is in a later window or knows of as much.
    pub fn raise(&self, reading: Reading) {
        let start = Stamp::new(reading.window_start_s, 0);
        let mut missing = 0;
        let raised = self.settled.fetch_update(Ordering::AcqRel, Ordering::Acquire, |cell| {
            let (own, amount) = split(cell);
            let known = if own < start { 0 } else { amount };
            missing = reading.amount.saturating_sub(known);
            let is_this_or_earlier = own.window_start_s() <= reading.window_start_s;
            (is_this_or_earlier && missing > 0).then(|| join(own.max(start), reading.amount))
        });
        if raised.is_ok() {
            // A refusal is no fault: the meter is in a later window by now.
            let _ = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |cell| {
                let (own, amount) = split(advanced(cell, reading.window_start_s));
                let is_this = own.window_start_s() == reading.window_start_s;
                is_this.then(|| join(own, amount.saturating_add(missing)))
            });
        }
    }

    /// Forgets what was taken in the current window. What is under way is no longer counted in it either.
    pub fn reset(&self) {
        let forget = |cell| Some(join(split(cell).0.next_generation(), 0));
        let _ = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, forget);
        let stamp = split(self.taken.load(Ordering::Acquire)).0;
        let _ = self.settled.fetch_update(Ordering::AcqRel, Ordering::Acquire, |cell| {
            (split(cell).0 < stamp).then(|| join(stamp, 0))
        });
    }
}

impl Stamp {
    fn new(window_start_s: u32, generation: u16) -> Stamp {
        Stamp(u64::from(window_start_s) << GENERATION_BITS | u64::from(generation))
    }

    pub fn window_start_s(self) -> u32 {
        (self.0 >> GENERATION_BITS) as u32
    }

    /// A generation that runs over takes the window's next second: it still is later.
    fn next_generation(self) -> Stamp {
        Stamp((self.0 + 1).min((1 << (u128::BITS - AMOUNT_BITS)) - 1))
    }
}

/// The cell as it is in the window that began at `start_s`, or in its own when that is later.
fn advanced(cell: u128, start_s: u32) -> u128 {
    let (own, _) = split(cell);
    if own.window_start_s() >= start_s { cell } else { join(Stamp::new(start_s, 0), 0) }
}

fn change(cell: &AtomicU128, stamp: Stamp, change: impl Fn(u128) -> u128) {
    // A refusal is no fault: the window is over, and nobody asks any more.
    let _ = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |cell| {
        let (own, amount) = split(cell);
        (own == stamp).then(|| join(stamp, change(amount)))
    });
}

fn split(cell: u128) -> (Stamp, u128) {
    (Stamp((cell >> AMOUNT_BITS) as u64), cell & AMOUNT_MAX)
}

fn join(stamp: Stamp, amount: u128) -> u128 {
    u128::from(stamp.0) << AMOUNT_BITS | amount.min(AMOUNT_MAX)
}

/// How many requests are under way.
#[derive(Debug, Default)]
pub struct Gauge {
    count: AtomicU32,
}

impl Gauge {
    /// One more, unless there are `max` already.
    pub fn enter(&self, max: u32) -> bool {
        let more = |count: u32| (count < max).then(|| count + 1);
        self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// One of those that entered is done.
    pub fn leave(&self) {
        let before = self.count.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before > 0, "who leaves has entered");
    }

    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }
}

const GENERATION_BITS: u32 = 16;
const AMOUNT_BITS: u32 = 80;
/// A million million dollars in pico-dollars; greater amounts count as this.
pub const AMOUNT_MAX: u128 = (1 << AMOUNT_BITS) - 1;
const _: () =
    assert!(32 + GENERATION_BITS + AMOUNT_BITS == u128::BITS, "window, generation and amount fill a cell");

#[cfg(test)]
mod tests {
    use super::*;

    /// Four times the limit from eight threads, over windows that follow each other: each window admits its limit.
    #[test]
    fn a_meter_that_is_raised_knows_of_what_others_used_and_keeps_what_is_reserved() {
        let meter = Meter::default();
        let of = |amount| Reading { window_start_s: 60, amount };
        let held = meter.take(60, 5, 100).expect("room");
        meter.raise(of(40));
        assert_eq!((meter.taken(60), meter.settled()), (45, of(40)));
        meter.raise(of(30));
        assert_eq!((meter.taken(60), meter.settled()), (45, of(40)), "it knew of more");
        meter.settle(held, 5);
        meter.raise(of(50));
        assert_eq!((meter.taken(60), meter.settled()), (50, of(50)));
        meter.reset();
        meter.raise(of(7));
        assert_eq!((meter.taken(60), meter.settled()), (7, of(7)), "after a reset it counts anew");
        meter.take(120, 1, 100).expect("room");
        meter.raise(of(90));
        assert_eq!(meter.taken(120), 1, "the window is over");
    }

    #[test]
    fn every_window_admits_exactly_its_limit_whatever_the_threads_do() {
        const THREADS: u32 = 8;
        const WINDOWS: u32 = 25;
        const MAX: u32 = 1_000;
        let meter = Meter::default();
        let admitted: Vec<AtomicU32> = (0..WINDOWS).map(|_| AtomicU32::default()).collect();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for window in 0..WINDOWS {
                        for _ in 0..4 * MAX / THREADS {
                            if let Ok(stamp) = meter.take(60 * window, 1, u128::from(MAX)) {
                                let taken_in = stamp.window_start_s() / 60;
                                admitted[taken_in as usize].fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
        let counts: Vec<u32> = admitted.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(counts.iter().max(), Some(&MAX), "{counts:?}");
        assert_eq!(*counts.last().unwrap(), MAX, "the last window is used up");
        assert_eq!(meter.taken(60 * (WINDOWS - 1)), u128::from(MAX));
    }

    #[test]
    fn reservations_that_are_settled_from_many_threads_sum_up_exactly() {
        let meter = Meter::default();
        std::thread::scope(|scope| {
            for thread in 0..8_u128 {
                let meter = &meter;
                scope.spawn(move || {
                    for _ in 0..2_000 {
                        let stamp = meter.take(60, 100, AMOUNT_MAX).unwrap();
                        meter.adjust(stamp, 100, thread);
                        meter.settle(stamp, thread);
                    }
                });
            }
        });
        assert_eq!(meter.taken(60), 2_000 * 28);
        assert_eq!(meter.settled(), Reading { window_start_s: 60, amount: 2_000 * 28 });
    }

    #[test]
    fn what_does_not_fit_takes_nothing_and_nothing_always_fits() {
        let meter = Meter::default();
        assert!(meter.take(60, 7, 10).is_ok());
        assert_eq!(meter.take(60, 4, 10), Err(Full { taken: 7, window_start_s: 60 }));
        assert!(meter.take(60, 3, 10).is_ok());
        assert!(meter.take(60, 0, 5).is_ok());
        assert_eq!(meter.take(60, u128::MAX, AMOUNT_MAX), Err(Full { taken: 10, window_start_s: 60 }));
    }

    #[test]
    fn a_window_that_is_over_is_not_changed_and_not_opened_again() {
        let meter = Meter::default();
        let old = meter.take(60, 5, 10).unwrap();
        let new = meter.take(120, 1, 10).unwrap();
        meter.adjust(old, 5, 0);
        assert_eq!(meter.taken(120), 1);
        assert_eq!(meter.take(60, 9, 10), Ok(new), "a slow clock counts in the window that is open");
        assert_eq!((meter.settle(new, 2), meter.settle(old, 5)), (Some((0, 2)), None));
        assert_eq!(meter.taken(180), 0);
    }

    #[test]
    fn a_reset_lets_nothing_of_before_count() {
        let meter = Meter::default();
        let before = meter.take(60, 5, 10).unwrap();
        meter.settle(before, 3);
        meter.reset();
        assert_eq!((meter.taken(60), meter.settled().amount), (0, 0));
        let after = meter.take(60, 4, 10).unwrap();
        meter.adjust(before, 5, 0);
        assert_eq!(
            (meter.settle(before, 5), meter.taken(60)),
            (None, 4),
            "what was under way is of another time"
        );
        assert_eq!(meter.settle(after, 4), Some((0, 4)));
    }

    #[test]
    fn a_crash_keeps_what_was_used_and_no_reservation() {
        let meter = Meter::default();
        let one = meter.take(60, 50, 100).unwrap();
        meter.adjust(one, 50, 10);
        meter.settle(one, 10);
        meter.take(60, 50, 100).unwrap();
        let restarted = Meter::default();
        restarted.restore(meter.settled());
        assert_eq!((restarted.taken(60), restarted.settled().amount), (10, 10));
        restarted.restore(Reading { window_start_s: 0, amount: 99 });
        assert_eq!(restarted.taken(60), 10, "an older window tells nothing");
    }

    #[test]
    fn a_gauge_holds_its_bound_under_threads() {
        let (gauge, most) = (Gauge::default(), AtomicU32::default());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        if gauge.enter(3) {
                            most.fetch_max(gauge.count(), Ordering::Relaxed);
                            gauge.leave();
                        }
                    }
                });
            }
        });
        assert_eq!(gauge.count(), 0);
        assert!((1..=3).contains(&most.load(Ordering::Relaxed)));
        assert!(gauge.enter(1) && !gauge.enter(1));
    }
}
