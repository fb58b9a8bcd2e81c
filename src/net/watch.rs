//! What the tasks of one thread wait for: descriptors, each armed once for as long as it lives, and times.
//!
//! monoio runs the tasks. Where it would wait in its own ring, the thread waits here: a wait of monoio's is one operation,
//! to be armed, completed and forgotten each time, and that was a tenth of what a small exchange cost
//! (`docs/adr/0018-waits-stay-armed.md`).

mod epoll;
mod ring;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;

pub(super) use self::epoll::Epoll;
pub(super) use self::ring::Ring;
use super::barrier::{Panicked, barrier, spawn};
use crate::base::clock;

/// All that one thread waits for.
pub(super) struct Watch {
    waiter: RefCell<Waiter>,
    eyes: RefCell<Slab<Rc<Eye>>>,
    sleepers: RefCell<BTreeMap<Hour, Waker>>,
    sleeps_begun: Cell<u64>,
    /// Empty between two looks; its memory is used again.
    fired: RefCell<Vec<Fired>>,
}

/// Where the thread waits.
#[expect(clippy::large_enum_variant, reason = "there is one for each thread")]
pub(super) enum Waiter {
    Ring(Ring),
    Epoll(Epoll),
}

/// When a sleeper wakes, in microseconds of the monotonic clock, and which of those of one moment it is.
type Hour = (u64, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

/// What is known of one descriptor. All by direction.
#[derive(Default)]
struct Eye {
    /// The kernel tells when this direction can move.
    is_armed: [Cell<bool>; 2],
    /// It can move, as far as is known: it was told so, and no call has found otherwise since.
    is_ready: [Cell<bool>; 2],
    waker: [Cell<Option<Waker>>; 2],
    /// The peer sends nothing more, or all is over. That is not told again, so a read that gets less than it asked for has the
    /// end still before it.
    has_ended: Cell<bool>,
    /// Why it can not be waited for, as an error number. Told once.
    failure: Cell<Option<i32>>,
    /// Its owner is gone; the kernel may still have something to tell.
    is_closed: Cell<bool>,
}

/// One thing that the kernel tells.
struct Fired {
    eye: usize,
    direction: Direction,
    /// What is the case, or the number of the error for which nothing can be told.
    outcome: Result<Told, i32>,
    /// More may be told without arming again.
    stays_armed: bool,
}

struct Told {
    has_ended: bool,
}

/// How often the kernel is to tell of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    Once,
    Always,
}

/// A descriptor under watch. Closed when dropped.
pub(super) struct Watched {
    watch: Rc<Watch>,
    eye: Rc<Eye>,
    name: usize,
    fd: OwnedFd,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Watch>>> = const { RefCell::new(None) };
    /// How often a task of this thread has had its turn.
    static TURNS: Cell<u64> = const { Cell::new(0) };
    /// When the last look came back, in microseconds of the monotonic clock.
    static LOOKED_US: Cell<u64> = const { Cell::new(0) };
}

/// When this thread last learned which of its sockets can move, in microseconds of the monotonic clock: whatever is read now was
/// there by then, or came since. A thread that never looked has learned everything now. Costs no look at the clock.
pub fn looked_us() -> u64 {
    match LOOKED_US.get() {
        0 => clock::monotonic_us(),
        looked_us => looked_us,
    }
}

/// Says that a task is having its turn. The thread waits only after nobody has had one.
pub(super) fn count_turn() {
    TURNS.set(TURNS.get().wrapping_add(1));
}

/// Waits on this thread's event loop; precise to a millisecond, and never too short.
pub(super) async fn sleep(duration: Duration) {
    let watch = current().expect("sleeps on an event loop");
    let at_us = clock::monotonic_us().saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    let sleep = Sleep { hour: (at_us, watch.sleeps_begun.get()), watch };
    sleep.watch.sleeps_begun.set(sleep.hour.1 + 1);
    poll_fn(|cx| {
        if clock::monotonic_us() >= at_us {
            return Poll::Ready(());
        }
        sleep.watch.sleepers.borrow_mut().insert(sleep.hour, cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// Takes its sleeper along when it goes.
struct Sleep {
    watch: Rc<Watch>,
    hour: Hour,
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = self.watch.sleepers.borrow_mut().remove(&self.hour);
        drop(waker);
    }
}

/// What this thread waits with, while it runs an event loop.
fn current() -> Option<Rc<Watch>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Runs the future, and all that it spawns, until it is ready; to be given to monoio's `block_on`.
///
/// monoio runs its tasks by turns, and waits on its own driver when none is left, which never is the case here: two
/// lookouts, tasks like others, wake each other, and wait in its place. So one of them stands in the queue at any time, was
/// put at its end, and when it has its turn, all who stood before it had theirs. It may wait for the kernel when nobody had one since
/// it was woken: then nobody was in the queue before it, and nobody has come behind it, as only a turn wakes others. (One
/// would do, if monoio did not run a task that wakes itself at once again.)
pub(super) async fn run<F>(waiter: Waiter, future: F) -> F::Output
where
    F: Future + 'static,
    F::Output: 'static,
{
    let watch = Rc::new(Watch::new(waiter));
    CURRENT.set(Some(watch.clone()));
    let outcome = Rc::new(Cell::new(None));
    let lookouts = Rc::new(Lookouts::default());
    let (put, end) = (outcome.clone(), lookouts.clone());
    spawn(async move {
        put.set(Some(barrier(|| future).await));
        end.relieve();
    });
    for which in 0..lookouts.own.len() {
        lookouts.own[which].turns_before.set(TURNS.get());
        monoio::spawn(look_out(watch.clone(), lookouts.clone(), which));
    }
    let outcome: Result<F::Output, Panicked> = poll_fn(|cx| {
        lookouts.main.set(Some(cx.waker().clone()));
        outcome.take().map_or(Poll::Pending, Poll::Ready)
    })
    .await;
    CURRENT.set(None);
    LOOKED_US.set(0);
    // They hold their wakers, which hold them.
    lookouts.own.iter().for_each(|own| drop(own.waker.take()));
    watch.forget_all();
    // What was closed last is closed for its peer once the kernel was told to let go of it.
    watch.look_or_end(false);
    outcome.expect("the future of an event loop does not panic")
}

/// What the two lookouts know of each other.
#[derive(Default)]
struct Lookouts {
    own: [Lookout; 2],
    /// One of them has let its last turn go by.
    have_passed: Cell<bool>,
    are_relieved: Cell<bool>,
    /// Wakes the future of `block_on`.
    main: Cell<Option<Waker>>,
}

#[derive(Default)]
struct Lookout {
    waker: Cell<Option<Waker>>,
    /// [`TURNS`] when it was woken.
    turns_before: Cell<u64>,
}

impl Lookouts {
    /// All is over: nobody waits any more.
    fn relieve(&self) {
        self.are_relieved.set(true);
        self.main.take().into_iter().for_each(Waker::wake);
    }
}

async fn look_out(watch: Rc<Watch>, lookouts: Rc<Lookouts>, which: usize) {
    let (own, other) = (&lookouts.own[which], &lookouts.own[1 - which]);
    poll_fn(|cx| {
        if lookouts.are_relieved.get() {
            return Poll::Ready(());
        }
        own.waker.set(Some(cx.waker().clone()));
        let is_alone = own.turns_before.get() == TURNS.get();
        // Among others it passes once: most often the other one's turn comes alone.
        if is_alone || lookouts.have_passed.get() {
            watch.look_or_end(is_alone);
            lookouts.have_passed.set(false);
        } else {
            lookouts.have_passed.set(true);
        }
        if let Some(waker) = other.waker.take() {
            other.turns_before.set(TURNS.get());
            waker.wake();
        }
        Poll::Pending
    })
    .await;
}

impl Watch {
    fn new(waiter: Waiter) -> Watch {
        Watch {
            waiter: RefCell::new(waiter),
            eyes: RefCell::default(),
            sleepers: RefCell::default(),
            sleeps_begun: Cell::new(0),
            fired: RefCell::default(),
        }
    }

    /// Looks, or ends the process: a thread that cannot wait serves nobody, and the listener it holds would go on taking its
    /// part of the clients. Journals are in files and lose nothing by it.
    #[expect(clippy::print_stderr, reason = "the last words of the process, whose log may be out of reach")]
    fn look_or_end(&self, may_wait: bool) {
        if let Err(error) = self.look(may_wait) {
            eprintln!("ringway: an event loop can no longer wait: {error}");
            std::process::abort();
        }
    }

    /// Wakes the tasks for which there is something, after waiting for it if that is allowed.
    fn look(&self, may_wait: bool) -> io::Result<()> {
        let patience = if may_wait { self.until_next_sleeper() } else { Some(Duration::ZERO) };
        let mut fired = self.fired.take();
        let waited = self.waiter.borrow_mut().wait(patience, &mut fired);
        let now_us = clock::monotonic_us();
        LOOKED_US.set(now_us);
        for told in fired.drain(..) {
            // What belongs to the waker's task may go with it, so nothing is borrowed here.
            let waker = self.note(&told);
            waker.into_iter().for_each(Waker::wake);
        }
        self.fired.replace(fired);
        self.wake_sleepers(now_us);
        waited
    }

    /// Keeps what was told, and gives who waits for it.
    fn note(&self, told: &Fired) -> Option<Waker> {
        let direction = told.direction as usize;
        let eye = self.eyes.borrow().get(told.eye)?.clone();
        eye.is_armed[direction].set(told.stays_armed);
        eye.is_ready[direction].set(true);
        match told.outcome {
            Ok(Told { has_ended }) => eye.has_ended.set(eye.has_ended.get() || has_ended),
            Err(code) => eye.failure.set(Some(code)),
        }
        self.forget_if_over(told.eye, &eye);
        eye.waker[direction].take()
    }

    /// The place of a closed descriptor is free for another one when the kernel has told the last of it.
    fn forget_if_over(&self, name: usize, eye: &Eye) {
        if eye.is_closed.get() && !eye.is_armed.iter().any(Cell::get) {
            self.eyes.borrow_mut().remove(name);
        }
    }

    /// How long the next sleeper has to sleep yet, an hour at most; `None` where nobody sleeps.
    fn until_next_sleeper(&self) -> Option<Duration> {
        let sleepers = self.sleepers.borrow();
        let ((at_us, _), _) = sleepers.first_key_value()?;
        Some(
            Duration::from_micros(at_us.saturating_sub(clock::monotonic_us())).min(Duration::from_secs(3600)),
        )
    }

    fn wake_sleepers(&self, now_us: u64) {
        while let Some(waker) = self.next_to_wake(now_us) {
            waker.wake();
        }
    }

    fn next_to_wake(&self, now_us: u64) -> Option<Waker> {
        let mut sleepers = self.sleepers.borrow_mut();
        let first = sleepers.first_entry()?;
        (first.key().0 <= now_us).then(|| first.remove())
    }

    /// Lets go of all tasks that wait for nothing else than this. They own descriptors, which own the watch.
    fn forget_all(&self) {
        let wakers: Vec<Waker> = {
            let eyes = self.eyes.borrow();
            let of_eyes = eyes.iter().flat_map(|(_, eye)| eye.waker.iter().filter_map(Cell::take));
            of_eyes.chain(std::mem::take(&mut *self.sleepers.borrow_mut()).into_values()).collect()
        };
        drop(wakers);
    }
}

impl Waiter {
    /// Waits until there is something to tell, or for as long as is said; `None` is for ever. A wait that ends early is no
    /// error.
    fn wait(&mut self, patience: Option<Duration>, fired: &mut Vec<Fired>) -> io::Result<()> {
        match self {
            Waiter::Ring(ring) => ring.wait(patience, fired),
            Waiter::Epoll(epoll) => epoll.wait(patience, fired),
        }
    }
}

impl Watched {
    /// Takes the descriptor under the watch of this thread. Fails where the thread runs no event loop.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Watched> {
        let watch = current().ok_or_else(|| io::Error::other("this thread runs no event loop"))?;
        let eye = Rc::<Eye>::default();
        let name = watch.eyes.borrow_mut().insert(eye.clone());
        Ok(Watched { watch, eye, name, fd })
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(Direction::Read, Times::Always, cx)
    }

    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write(Times::Always, cx)
    }

    /// As [`Watched::poll_writable`], once: most sockets never wait for room again.
    pub(super) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write(Times::Once, cx)
    }

    fn poll_write(&self, times: Times, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_ready = self.poll(Direction::Write, times, cx);
        // A caller that finds no room all the same waits for the kernel to say that there is some again.
        self.eye.is_ready[Direction::Write as usize].set(false);
        is_ready
    }

    fn poll(&self, direction: Direction, times: Times, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let eye = &*self.eye;
        if eye.is_ready[direction as usize].get() {
            return Poll::Ready(eye.failure.take().map_or(Ok(()), |code| {
                eye.is_ready[direction as usize].set(false);
                Err(io::Error::from_raw_os_error(code))
            }));
        }
        if !eye.is_armed[direction as usize].get() {
            self.arm(direction, times)?;
        }
        let slot = &eye.waker[direction as usize];
        let waker = slot.take().filter(|waker| waker.will_wake(cx.waker()));
        slot.set(Some(waker.unwrap_or_else(|| cx.waker().clone())));
        Poll::Pending
    }

    fn arm(&self, direction: Direction, times: Times) -> io::Result<()> {
        match &mut *self.watch.waiter.borrow_mut() {
            Waiter::Ring(ring) => ring.arm(self.fd.as_raw_fd(), self.name, direction, times),
            Waiter::Epoll(epoll) => {
                epoll.arm(self.fd.as_fd(), self.name)?;
                self.eye.is_armed.iter().for_each(|is_armed| is_armed.set(true));
            }
        }
        self.eye.is_armed[direction as usize].set(true);
        Ok(())
    }

    /// A read that asked for `room` bytes got `count`, or nothing: whether the next one has to wait.
    pub(super) fn has_read(&self, count: Option<usize>, room: usize) {
        let is_empty = match count {
            None => true,
            Some(count) => 0 < count && count < room && !self.eye.has_ended.get(),
        };
        if is_empty {
            self.eye.is_ready[Direction::Read as usize].set(false);
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let eye = &*self.eye;
        eye.is_closed.set(true);
        // A waker may be the last that holds its task, and with it others of these.
        drop(eye.waker.each_ref().map(Cell::take));
        match &mut *self.watch.waiter.borrow_mut() {
            Waiter::Ring(ring) => {
                for direction in [Direction::Read, Direction::Write] {
                    if eye.is_armed[direction as usize].get() {
                        ring.disarm(self.name, direction);
                    }
                }
            }
            Waiter::Epoll(epoll) => {
                if eye.is_armed[Direction::Read as usize].take()
                    | eye.is_armed[Direction::Write as usize].take()
                {
                    epoll.disarm(self.fd.as_fd());
                }
            }
        }
        self.watch.forget_if_over(self.name, eye);
    }
}
