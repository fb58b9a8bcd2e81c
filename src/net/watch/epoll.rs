//! Waiting with epoll, edge-triggered: where io_uring is missing or forbidden.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::{Direction, Fired, Told};

/// The set of one thread.
pub(in crate::net) struct Epoll {
    set: OwnedFd,
    events: Vec<Event>,
}

impl Epoll {
    pub(in crate::net) fn new() -> io::Result<Epoll> {
        Ok(Epoll { set: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Both directions are told of for as long as the descriptor lives.
    pub(super) fn arm(&mut self, fd: BorrowedFd<'_>, eye: usize) -> io::Result<()> {
        let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.set, fd, EventData::new_u64(eye as u64), events)?)
    }

    /// Ends what [`Epoll::arm`] began, at once.
    pub(super) fn disarm(&mut self, fd: BorrowedFd<'_>) {
        // A descriptor that is closed leaves the set anyway.
        let _ = epoll::delete(&self.set, fd);
    }

    pub(super) fn wait(&mut self, patience: Option<Duration>, fired: &mut Vec<Fired>) -> io::Result<()> {
        // Whole milliseconds, rounded up, so that nobody is woken for nothing.
        let patience = patience.map(|patience| {
            let ms = i64::try_from(patience.as_micros().div_ceil(1000)).unwrap_or(i64::MAX);
            Timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 }
        });
        self.events.clear();
        match epoll::wait(&self.set, spare_capacity(&mut self.events), patience.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            let flags = event.flags;
            let has_ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
            let eye = event.data.u64() as usize;
            let mut tell = |direction| {
                fired.push(Fired { eye, direction, outcome: Ok(Told { has_ended }), stays_armed: true })
            };
            if has_ended || flags.contains(EventFlags::IN) {
                tell(Direction::Read);
            }
            if flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
                tell(Direction::Write);
            }
        }
        Ok(())
    }
}

/// What one wait tells at most; the rest comes with the next.
const EVENTS_MAX: usize = 1024;
