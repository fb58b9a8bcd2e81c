//! An account: an allowance with what was taken of it. Accounts are shared by all shards and outlive changes of the
//! settings: what makes an allowance this one is its id, and the meter goes with the id.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::meter::{Full, Gauge, Meter, Reading, Stamp};
use crate::identity::{Allowance, Calendar, Measure, Strength, Window};

#[derive(Debug)]
pub struct Account {
    pub id: Arc<str>,
    pub allowance: Allowance,
    calendar: Arc<Calendar>,
    counts: Arc<Counts>,
    /// The current window, its beginning above its end: looking into a calendar takes longer than all the rest, and so does
    /// a division.
    window: AtomicU64,
}

/// What goes with the id.
#[derive(Debug, Default)]
struct Counts {
    meter: Meter,
    gauge: Gauge,
}

/// What is kept of an account beyond the life of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    pub id: Arc<str>,
    pub window_start_s: u32,
    /// Requests, tokens or pico-dollars.
    pub amount: u128,
}

/// An account as people look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Reservations included.
    pub taken: u128,
    pub used: u128,
    /// `None` for what has no window.
    pub window: Option<Window>,
}

impl Account {
    /// An account that goes on counting where the one before left off, when there is one of this id.
    pub fn new(allowance: Allowance, calendar: &Arc<Calendar>, before: Option<&Account>) -> Account {
        let id: Arc<str> = allowance.id().into();
        let same = before.filter(|account| account.id == id);
        let counts = same.map(|account| account.counts.clone()).unwrap_or_default();
        Account { id, allowance, calendar: calendar.clone(), counts, window: AtomicU64::new(0) }
    }

    /// The window that holds this moment; `None` for what is counted at a time.
    pub fn window(&self, now_ms: u64) -> Option<Window> {
        let period = self.allowance.measure.period()?;
        let cell = self.window.load(Ordering::Relaxed);
        let known = Window { start_s: (cell >> 32) as u32, end_s: cell as u32 };
        if known.holds(now_ms) {
            return Some(known);
        }
        let window = period.window(now_ms, &self.calendar);
        let cell = u64::from(window.start_s) << 32 | u64::from(window.end_s);
        self.window.store(cell, Ordering::Relaxed);
        Some(window)
    }

    /// Takes that much, where it fits. What is soft takes whatever comes.
    pub(super) fn take(&self, now_ms: u64, amount: u128, strength: Strength) -> Result<Stamp, Full> {
        let Some(window) = self.window(now_ms) else { return self.enter() };
        let max = if strength == Strength::Hard { self.allowance.max } else { u128::MAX };
        let stamp = self.counts.meter.take(window.start_s, amount, max)?;
        if let Measure::Requests(_) = self.allowance.measure {
            self.counts.meter.settle(stamp, amount);
        }
        Ok(stamp)
    }

    fn enter(&self) -> Result<Stamp, Full> {
        let max =
            if self.is_hard() { u32::try_from(self.allowance.max).unwrap_or(u32::MAX) } else { u32::MAX };
        if self.counts.gauge.enter(max) {
            return Ok(Stamp::default());
        }
        Err(Full { taken: u128::from(self.counts.gauge.count()), window_start_s: 0 })
    }

    /// Whether that much would fit.
    pub(super) fn fits(&self, now_ms: u64, amount: u128) -> bool {
        let taken = self.taken(now_ms).0;
        !self.is_hard() || amount == 0 || taken.saturating_add(amount) <= self.allowance.max
    }

    /// The request goes on its way no further: it was not admitted after all.
    pub(super) fn undo(&self, stamp: Stamp, reserved: u128) {
        match self.allowance.measure {
            Measure::Concurrent => self.counts.gauge.leave(),
            Measure::Requests(_) => {
                self.counts.meter.adjust(stamp, reserved, 0);
                self.counts.meter.unsettle(stamp, reserved);
            }
            _ => self.counts.meter.adjust(stamp, reserved, 0),
        }
    }

    /// The request is over. `used` is what it really took, `None` where that is not known: the reservation stands for it
    /// then. True when this brought a soft allowance above its amount.
    pub(super) fn settle(&self, stamp: Stamp, reserved: u128, used: Option<u128>) -> bool {
        match self.allowance.measure {
            Measure::Concurrent => self.counts.gauge.leave(),
            Measure::Requests(_) => {}
            Measure::Tokens(_) | Measure::Cost(_) => {
                let used = used.unwrap_or(reserved);
                self.counts.meter.adjust(stamp, reserved, used);
                let Some((before, after)) = self.counts.meter.settle(stamp, used) else { return false };
                return !self.is_hard() && before <= self.allowance.max && self.allowance.max < after;
            }
        }
        false
    }

    pub fn standing(&self, now_ms: u64) -> Standing {
        let (taken, window) = self.taken(now_ms);
        let used = window.map_or(taken, |window| {
            let settled = self.counts.meter.settled();
            if settled.window_start_s == window.start_s { settled.amount } else { 0 }
        });
        Standing { taken, used, window }
    }

    /// What is taken, reservations included, and the window; `None` for what has no window.
    pub(super) fn taken(&self, now_ms: u64) -> (u128, Option<Window>) {
        match self.window(now_ms) {
            Some(window) => (self.counts.meter.taken(window.start_s), Some(window)),
            None => (self.counts.gauge.count().into(), None),
        }
    }

    /// What is to be kept; `None` when nothing was counted yet, and for what is counted at a time.
    pub fn counter(&self) -> Option<Counter> {
        let Reading { window_start_s, amount } = self.counts.meter.settled();
        let is_kept = self.allowance.measure != Measure::Concurrent && amount > 0;
        is_kept.then(|| Counter { id: self.id.clone(), window_start_s, amount })
    }

    pub fn restore(&self, counter: &Counter) {
        let Counter { window_start_s, amount, .. } = *counter;
        self.counts.meter.restore(Reading { window_start_s, amount });
    }

    /// At least this much was used in the window that began then, by whoever.
    pub fn raise(&self, window_start_s: u32, amount: u128) {
        self.counts.meter.raise(Reading { window_start_s, amount });
    }

    /// Forgets what was counted in the current window.
    pub fn reset(&self) {
        self.counts.meter.reset();
    }

    pub fn is_hard(&self) -> bool {
        self.allowance.strength == Strength::Hard
    }
}
