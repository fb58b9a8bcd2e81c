//! What is stored, told at once to whoever watches: events with numbers, the last of them kept for those that come back.
//! Bounded on every side; a reader that does not keep up is let go and told so. Costs nothing while nobody watches.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::base::clock;
use crate::base::limits::{LIVE_EVENTS_KEPT_MAX, LIVE_EVENTS_WAITING_MAX, LIVE_LINGER_MS, LIVE_READERS_MAX};
use crate::identity::UserPath;

/// Something that was stored.
#[derive(Debug)]
pub struct LiveEvent {
    pub number: u64,
    pub kind: LiveKind,
    pub request_id: String,
    pub at_ms: u64,
    /// Where it belongs, for readers that may see a part only.
    pub place: UserPath,
    /// A JSON document.
    pub data: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveKind {
    Audit,
    Usage,
}

/// The events and those who watch them.
#[derive(Default)]
pub struct Live {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    last_number: u64,
    kept: VecDeque<Arc<LiveEvent>>,
    readers: Vec<Reader>,
    /// Events are kept until then although nobody watches, in milliseconds of the monotonic clock.
    heard_until_ms: u64,
    is_closed: bool,
}

struct Reader {
    events: mpsc::Sender<Arc<LiveEvent>>,
    why: Rc<Cell<Farewell>>,
}

/// Why a reader gets no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The gateway stops.
    Stopping,
    /// It did not keep up.
    TooSlow,
}

impl Farewell {
    pub fn word(self) -> &'static str {
        match self {
            Farewell::Stopping => "stopping",
            Farewell::TooSlow => "slow_reader",
        }
    }
}

/// What a new reader gets.
pub struct Watching {
    /// Events between the one that it knows and now.
    pub missed: Vec<Arc<LiveEvent>>,
    /// Not all of those are known any more: what it shows has to be fetched anew.
    pub is_reset: bool,
    pub events: mpsc::Receiver<Arc<LiveEvent>>,
    /// Why there are no more, once there are none.
    pub why: Rc<Cell<Farewell>>,
}

impl Live {
    /// Whether somebody watches, or did so until a moment ago.
    pub fn is_heard(&self) -> bool {
        let state = &mut *self.state.borrow_mut();
        let now_ms = clock::monotonic_us() / 1000;
        state.readers.retain(|reader| !reader.events.is_closed());
        if !state.readers.is_empty() {
            state.heard_until_ms = now_ms + LIVE_LINGER_MS;
        }
        let is_heard = now_ms < state.heard_until_ms;
        if !is_heard {
            state.kept.clear();
        }
        is_heard
    }

    /// Tells everybody of something.
    pub fn tell(&self, kind: LiveKind, request_id: String, at_ms: u64, place: UserPath, data: String) {
        let state = &mut *self.state.borrow_mut();
        state.last_number += 1;
        let event = Arc::new(LiveEvent { number: state.last_number, kind, request_id, at_ms, place, data });
        if state.kept.len() >= LIVE_EVENTS_KEPT_MAX {
            state.kept.pop_front();
        }
        state.kept.push_back(event.clone());
        state.readers.retain(|reader| match reader.events.try_send(event.clone()) {
            Ok(()) => true,
            Err(_) => {
                reader.why.set(Farewell::TooSlow);
                false
            }
        });
    }

    /// Begins to watch, behind the event of this number; 0 is from now on. `None` when there are enough readers already,
    /// or the gateway stops.
    pub fn watch(&self, behind: u64) -> Option<Watching> {
        let _ = self.is_heard();
        let state = &mut *self.state.borrow_mut();
        if state.is_closed || state.readers.len() >= LIVE_READERS_MAX {
            return None;
        }
        let (send, events) = mpsc::channel(LIVE_EVENTS_WAITING_MAX);
        let why = Rc::new(Cell::new(Farewell::Stopping));
        state.readers.push(Reader { events: send, why: why.clone() });
        state.heard_until_ms = clock::monotonic_us() / 1000 + LIVE_LINGER_MS;
        let first = state.kept.front().map_or(state.last_number + 1, |event| event.number);
        let is_known = behind + 1 >= first && behind <= state.last_number;
        let is_reset = behind > 0 && !is_known;
        let is_missed = |event: &&Arc<LiveEvent>| behind > 0 && !is_reset && event.number > behind;
        let missed = state.kept.iter().filter(is_missed).cloned().collect();
        Some(Watching { missed, is_reset, events, why })
    }

    /// The number of the last event.
    pub fn last_number(&self) -> u64 {
        self.state.borrow().last_number
    }

    /// The gateway stops: everybody is let go, so that nothing waits for those who watch.
    pub fn close(&self) {
        let state = &mut *self.state.borrow_mut();
        state.is_closed = true;
        state.readers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(live: &Live, count: usize) {
        for _ in 0..count {
            live.tell(LiveKind::Usage, String::new(), 0, UserPath::root(), "{}".to_owned());
        }
    }

    fn numbers(events: &[Arc<LiveEvent>]) -> Vec<u64> {
        events.iter().map(|event| event.number).collect()
    }

    #[test]
    fn who_comes_back_gets_what_it_missed_or_is_told_that_it_cannot() {
        let live = Live::default();
        assert!(!live.is_heard(), "nobody watches");
        let first = live.watch(0).unwrap();
        assert!(live.is_heard() && first.missed.is_empty() && !first.is_reset);
        tell(&live, 5);
        drop(first);
        assert!(live.is_heard(), "it may come back in a moment");
        let check = |behind: u64, want: &[u64], is_reset: bool| {
            let watching = live.watch(behind).unwrap();
            assert_eq!((numbers(&watching.missed), watching.is_reset), (want.to_vec(), is_reset), "{behind}");
        };
        check(0, &[], false);
        check(3, &[4, 5], false);
        check(5, &[], false);
        check(6, &[], true);
        tell(&live, LIVE_EVENTS_KEPT_MAX);
        check(4, &[], true);
        check(4 + LIVE_EVENTS_KEPT_MAX as u64, &[5 + LIVE_EVENTS_KEPT_MAX as u64], false);
    }

    #[test]
    fn a_slow_reader_is_let_go_and_others_are_not() {
        let live = Live::default();
        let (mut slow, mut quick) = (live.watch(0).unwrap(), live.watch(0).unwrap());
        for _ in 0..=LIVE_EVENTS_WAITING_MAX {
            tell(&live, 1);
            assert!(quick.events.try_recv().is_ok());
        }
        let mut got = 0;
        while slow.events.try_recv().is_ok() {
            got += 1;
        }
        assert_eq!((got, slow.why.get()), (LIVE_EVENTS_WAITING_MAX, Farewell::TooSlow));
        assert!(slow.events.is_closed() && !quick.events.is_closed());
        live.close();
        assert_eq!(quick.why.get(), Farewell::Stopping);
        assert!(quick.events.is_closed() && live.watch(0).is_none());
    }

    #[test]
    fn there_are_only_so_many_readers() {
        let live = Live::default();
        let mut readers: Vec<Watching> = std::iter::from_fn(|| live.watch(0)).collect();
        assert_eq!(readers.len(), LIVE_READERS_MAX);
        readers.pop();
        assert!(live.watch(0).is_some(), "one that left makes room");
    }
}
