//! Deadlines of a shard: one slot per task, looked at every `ALARM_TICK_MS` by one ticker. Setting one costs a store.
//!
//! A deadline ends a *wait*, never a read: bytes move by calls that do not wait, so a late answer loses nothing.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::timer::Timer;
use crate::base::clock;
use crate::base::limits::ALARM_TICK_MS;

/// All deadlines of one shard, with its coarse clock.
#[derive(Clone, Default)]
pub struct Alarms {
    inner: Rc<Inner>,
}

#[derive(Default)]
struct Inner {
    now_ms: Cell<u64>,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<usize>>,
}

/// `at_ms` is `NEVER` while no deadline is set.
struct Slot {
    at_ms: u64,
    waker: Option<Waker>,
    /// The task also waits for news of the shard.
    is_listening: bool,
}

impl Slot {
    const FREE: Slot = Slot { at_ms: NEVER, waker: None, is_listening: false };
}

/// One task's deadline. Free to set again and again; gone when dropped.
pub struct Alarm {
    alarms: Alarms,
    slot: usize,
}

impl Alarms {
    /// Milliseconds of the monotonic clock, at most one tick old.
    pub fn now_ms(&self) -> u64 {
        self.inner.now_ms.get()
    }

    /// A new alarm that is not set.
    pub fn alarm(&self) -> Alarm {
        let slot = match self.inner.free.borrow_mut().pop() {
            Some(slot) => slot,
            None => {
                let mut slots = self.inner.slots.borrow_mut();
                slots.push(Slot::FREE);
                slots.len() - 1
            }
        };
        Alarm { alarms: self.clone(), slot }
    }

    /// Wakes every task that waits with an alarm, so that it looks at the shard's state again.
    pub fn wake_all(&self) {
        let wakers: Vec<Waker> =
            self.inner.slots.borrow_mut().iter_mut().filter_map(|s| s.waker.take()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Wakes the tasks that wait for news with [`Alarm::poll_late_listening`].
    pub fn tell_news(&self) {
        let mut slots = self.inner.slots.borrow_mut();
        let heard =
            |slot: &mut Slot| std::mem::take(&mut slot.is_listening).then(|| slot.waker.take()).flatten();
        let wakers: Vec<Waker> = slots.iter_mut().filter_map(heard).collect();
        drop(slots);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Runs forever: advances the coarse clock and wakes the tasks whose deadline has passed.
    pub async fn tick_forever(self, mut ticker: Timer) {
        loop {
            self.tick(clock::monotonic_us() / 1000);
            let fired = poll_fn(|cx| ticker.poll_fired(cx)).await;
            assert!(fired.is_ok(), "a timer can be waited for as long as it is there: {fired:?}");
        }
    }

    /// What [`Alarms::tick_forever`] goes by.
    pub fn ticker() -> io::Result<Timer> {
        Timer::every(Duration::from_millis(ALARM_TICK_MS))
    }

    /// One look at the clock, given from outside.
    pub fn tick(&self, now_ms: u64) {
        self.inner.now_ms.set(now_ms);
        let mut late = Vec::new();
        for slot in self.inner.slots.borrow_mut().iter_mut() {
            if slot.at_ms <= now_ms
                && let Some(waker) = slot.waker.take()
            {
                late.push(waker);
            }
        }
        late.into_iter().for_each(Waker::wake);
    }
}

impl Alarm {
    /// Sets the deadline to `after_ms` from now; an earlier setting is forgotten.
    pub fn set_after(&self, after_ms: u64) {
        self.set_at(self.alarms.now_ms().saturating_add(after_ms));
    }

    /// Sets the deadline to a time of the shard's clock.
    pub fn set_at(&self, at_ms: u64) {
        self.alarms.inner.slots.borrow_mut()[self.slot].at_ms = at_ms;
    }

    /// Takes the deadline away.
    pub fn clear(&self) {
        self.set_at(NEVER);
    }

    /// Ready when the deadline has passed. Otherwise remembers the task, which is also woken by `wake_all`.
    pub fn poll_late(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut slots = self.alarms.inner.slots.borrow_mut();
        let slot = &mut slots[self.slot];
        if slot.at_ms <= self.alarms.inner.now_ms.get() {
            return Poll::Ready(());
        }
        match &slot.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => slot.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// As [`Alarm::poll_late`]; the task is also woken by [`Alarms::tell_news`], to look at the shard's state again.
    pub fn poll_late_listening(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.alarms.inner.slots.borrow_mut()[self.slot].is_listening = true;
        self.poll_late(cx)
    }

    /// Waits until the deadline has passed.
    pub async fn late(&self) {
        poll_fn(|cx| self.poll_late(cx)).await;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let slot = &mut self.alarms.inner.slots.borrow_mut()[self.slot];
        *slot = Slot::FREE;
        self.alarms.inner.free.borrow_mut().push(self.slot);
    }
}

const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn is_late(alarm: &Alarm) -> bool {
        alarm.poll_late(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_deadline_passes_with_the_clock_and_not_before() {
        let alarms = Alarms::default();
        alarms.tick(1_000);
        let alarm = alarms.alarm();
        alarm.set_after(200);
        assert!(!is_late(&alarm));
        alarms.tick(1_199);
        assert!(!is_late(&alarm));
        alarms.tick(1_200);
        assert!(is_late(&alarm));
        alarm.clear();
        assert!(!is_late(&alarm));
    }

    #[test]
    fn a_slot_is_used_again_and_forgets_its_deadline() {
        let alarms = Alarms::default();
        let first = alarms.alarm();
        first.set_at(0);
        let slot = first.slot;
        drop(first);
        let second = alarms.alarm();
        assert_eq!(second.slot, slot);
        alarms.tick(u64::MAX - 1);
        assert!(!is_late(&second));
    }
}
