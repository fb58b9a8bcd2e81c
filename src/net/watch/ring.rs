//! Waiting with io_uring: one poll operation that tells again and again (multishot, kernel 5.13).
#![expect(
    unsafe_code,
    reason = "a ring's push trusts the entry to own its memory; a poll and its end have none"
)]

use std::collections::VecDeque;
use std::io;
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use io_uring::squeue::Entry;
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode};

use super::{Direction, Fired, Times, Told};

/// The ring of one thread.
pub(in crate::net) struct Ring {
    ring: IoUring,
    /// What found no room in the ring's queue, in order.
    behind: VecDeque<Entry>,
}

impl Ring {
    /// A ring with room for `entries` operations that were not handed over yet, and four times as much for what is told.
    /// One thread submits, and completions are worked off when that thread waits (kernel 6.1).
    pub(in crate::net) fn new(entries: u32) -> io::Result<Ring> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_cqsize(entries.saturating_mul(4));
        Ok(Ring { ring: builder.build(entries)?, behind: VecDeque::new() })
    }

    /// Waits for a socket as a shard does: it is told of, stays armed, and is let go of.
    pub(in crate::net) fn try_out(&mut self) -> io::Result<()> {
        let (near, far) = UnixStream::pair()?;
        self.arm(near.as_raw_fd(), 0, Direction::Read, Times::Always);
        (&far).write_all(b"x")?;
        if !self.try_wait()?.stays_armed {
            return Err(io::Error::other("the ring tells of a socket once only"));
        }
        self.disarm(0, Direction::Read);
        if self.try_wait()?.stays_armed {
            return Err(io::Error::other("the ring does not let go of a socket"));
        }
        Ok(())
    }

    fn try_wait(&mut self) -> io::Result<Fired> {
        let mut fired = Vec::new();
        self.wait(Some(TRIAL), &mut fired)?;
        fired.pop().ok_or_else(|| io::Error::other("the ring does not tell of a socket"))
    }

    /// Has a direction told of. Always is until the descriptor is closed: also for room, because the kernel tells of the
    /// peer's end with it, and someone who asks once would be told that again and again while there is none.
    pub(super) fn arm(&mut self, fd: RawFd, eye: usize, direction: Direction, times: Times) {
        let events = match direction {
            Direction::Read => libc::POLLIN | libc::POLLRDHUP,
            Direction::Write => libc::POLLOUT,
        };
        let poll = opcode::PollAdd::new(Fd(fd), u32::from(events.unsigned_abs()));
        let poll = poll.multi(times == Times::Always);
        self.push(poll.build().user_data(name(eye, direction)));
    }

    /// Ends what [`Ring::arm`] began. It tells so itself, as its last. (The removal of a poll, an operation of its own,
    /// fails while that poll is just being told.)
    pub(super) fn disarm(&mut self, eye: usize, direction: Direction) {
        self.push(opcode::AsyncCancel::new(name(eye, direction)).build().user_data(NOBODY));
    }

    pub(super) fn wait(&mut self, patience: Option<Duration>, fired: &mut Vec<Fired>) -> io::Result<()> {
        self.hand_over()?;
        // What could not be handed over yet waits for nobody.
        let patience = if self.behind.is_empty() { patience } else { Some(Duration::ZERO) };
        let waited = match patience {
            None => self.ring.submit_and_wait(1),
            Some(patience) => {
                let until = Timespec::from(patience);
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&until))
            }
        };
        fired.extend(self.ring.completion().filter_map(|told| read(&told)));
        match waited {
            Err(error) if !is_passing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Queues the operation. It is the kernel's from the next wait on.
    fn push(&mut self, entry: Entry) {
        if !self.behind.is_empty() || !self.has_taken(&entry) {
            self.behind.push_back(entry);
        }
    }

    /// Makes room in the queue until all operations are in it.
    fn hand_over(&mut self) -> io::Result<()> {
        while let Some(entry) = self.behind.pop_front() {
            if !self.has_taken(&entry) {
                self.behind.push_front(entry);
                match self.ring.submit() {
                    Err(error) if is_passing(&error) => return Ok(()),
                    submitted => submitted?,
                };
            }
        }
        Ok(())
    }

    fn has_taken(&mut self, entry: &Entry) -> bool {
        // SAFETY: the operations of this file point to no memory, so nothing can be freed under the kernel.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }
}

/// What an operation tells; `None` where nobody waits for it.
fn read(told: &cqueue::Entry) -> Option<Fired> {
    if told.user_data() == NOBODY {
        return None;
    }
    let direction = if told.user_data() & WRITES == 0 { Direction::Read } else { Direction::Write };
    let ends = i32::from(libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR);
    let outcome = match told.result() {
        error if error < 0 => Err(-error),
        events => Ok(Told { has_ended: events & ends != 0 }),
    };
    let eye = (told.user_data() & !WRITES) as usize;
    Some(Fired { eye, direction, outcome, stays_armed: cqueue::more(told.flags()) })
}

/// Whether a wait that ended so can be begun again: its time is over, a signal came, or the kernel wants to be relieved of
/// what it has to tell first.
fn is_passing(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| [libc::ETIME, libc::EINTR, libc::EAGAIN, libc::EBUSY].contains(&code))
}

fn name(eye: usize, direction: Direction) -> u64 {
    match direction {
        Direction::Read => eye as u64,
        Direction::Write => eye as u64 | WRITES,
    }
}

/// How long a ring may take to tell of a socket that is ready.
const TRIAL: Duration = Duration::from_secs(1);
const WRITES: u64 = 1 << 63;
const NOBODY: u64 = u64::MAX;
