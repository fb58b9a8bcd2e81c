//! Which event loop a shard runs on: io_uring where it really works, epoll everywhere else.
//!
//! monoio's own detection passes in places where the ring then fails or spins: a memlock limit that fits its two-entry
//! test ring only, or a filter that denies `io_uring_enter` alone. So the ring is tried here as it will be used.

use std::cell::Cell;
use std::future::Future;
use std::io;

pub use super::sys::{allowed_cpus, pin_thread};
use super::timer::Timer;
use crate::base::limits::RING_ENTRIES;

/// An event loop that works on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    IoUring { entries: u32 },
    Epoll,
}

/// The outcome of a look at the machine.
pub struct Probe {
    pub driver: Driver,
    /// Why io_uring is not used, in words for the operator. `None` when it is.
    pub why_not: Option<String>,
}

impl Driver {
    /// The name in logs, metrics and settings.
    pub fn name(self) -> &'static str {
        match self {
            Driver::IoUring { .. } => "io_uring",
            Driver::Epoll => "epoll",
        }
    }
}

/// Makes a ring with the flags and size of a shard and sends a no-op through it; smaller rings are tried where the
/// memory limit refuses the large one.
pub fn probe() -> Probe {
    match smaller_until_it_fits(RING_ENTRIES, try_ring) {
        Ok((entries, ())) => Probe { driver: Driver::IoUring { entries }, why_not: None },
        Err(error) => Probe { driver: Driver::Epoll, why_not: Some(error.to_string()) },
    }
}

/// Runs one future, and all it spawns, on the calling thread until it is ready. A ring that cannot be made after all is
/// made smaller, and falls back to epoll at last: the limit on locked memory counts the rings of all shards together.
/// `make` hears which loop it is; an error means that none could be made.
pub fn run<M, F>(driver: Driver, make: M) -> io::Result<F::Output>
where
    M: FnOnce(Driver) -> F,
    F: Future,
{
    let ring = |entries| ring_runtime(entries).enable_timer().build();
    run_on(driver, ring, || epoll_runtime().enable_timer().build(), make)
}

/// As [`run`], without [`sleep`]: a loop that knows no timers waits without a deadline and does not look at the clock.
pub fn run_untimed<M, F>(driver: Driver, make: M) -> io::Result<F::Output>
where
    M: FnOnce(Driver) -> F,
    F: Future,
{
    run_on(driver, |entries| ring_runtime(entries).build(), || epoll_runtime().build(), make)
}

fn run_on<R, E, M, F>(
    driver: Driver,
    ring: impl Fn(u32) -> io::Result<monoio::Runtime<R>>,
    epoll: impl FnOnce() -> io::Result<monoio::Runtime<E>>,
    make: M,
) -> io::Result<F::Output>
where
    R: monoio::Driver,
    E: monoio::Driver,
    M: FnOnce(Driver) -> F,
    F: Future,
{
    if let Driver::IoUring { entries } = driver
        && let Ok((entries, mut runtime)) = smaller_until_it_fits(entries, ring)
    {
        IS_EPOLL.set(false);
        return Ok(runtime.block_on(make(Driver::IoUring { entries })));
    }
    IS_EPOLL.set(true);
    Ok(epoll()?.block_on(make(Driver::Epoll)))
}

fn ring_runtime(entries: u32) -> monoio::RuntimeBuilder<monoio::IoUringDriver> {
    monoio::RuntimeBuilder::new().uring_builder(ring_builder()).with_entries(entries)
}

fn epoll_runtime() -> monoio::RuntimeBuilder<monoio::LegacyDriver> {
    monoio::RuntimeBuilder::new()
}

/// Halves the number of entries while the memory limit refuses it.
fn smaller_until_it_fits<T>(mut entries: u32, make: impl Fn(u32) -> io::Result<T>) -> io::Result<(u32, T)> {
    loop {
        match make(entries) {
            Ok(made) => return Ok((entries, made)),
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && entries > RING_ENTRIES_MIN => {
                entries /= 2
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether this thread's event loop runs on epoll.
pub(super) fn is_epoll() -> bool {
    IS_EPOLL.get()
}

thread_local! {
    static IS_EPOLL: Cell<bool> = const { Cell::new(false) };
}

/// Lets every other task of this thread have its turn. A timer does it: monoio runs a task that wakes itself at once
/// again, before all others.
pub async fn give_way() {
    // Without a descriptor to spare nobody waits: connections end, and give some back, only when the work goes on.
    let Ok(mut timer) = Timer::once(std::time::Duration::from_millis(1)) else { return };
    // A timer that cannot be waited for has been waited for long enough.
    let _ = std::future::poll_fn(|cx| timer.poll_fired(cx)).await;
}

/// Waits on this thread's event loop, which [`run`] has made; precise to a millisecond.
pub async fn sleep(duration: std::time::Duration) {
    monoio::time::sleep(duration).await;
}

/// Sends one no-op through a ring of this size and waits for its completion.
fn try_ring(entries: u32) -> io::Result<()> {
    let mut ring = ring_builder().build(entries)?;
    let nop = io_uring::opcode::Nop::new().build().user_data(1);
    push(&mut ring, &nop)?;
    ring.submit_and_wait(1)?;
    match ring.completion().next() {
        Some(done) if done.result() >= 0 => Ok(()),
        Some(done) => Err(io::Error::from_raw_os_error(-done.result())),
        None => Err(io::Error::other("the ring gave no completion")),
    }
}

#[expect(unsafe_code, reason = "the ring's push trusts the entry to own its memory; a no-op has none")]
fn push(ring: &mut io_uring::IoUring, entry: &io_uring::squeue::Entry) -> io::Result<()> {
    // SAFETY: a no-op points to no memory, so nothing can be freed under the kernel.
    unsafe { ring.submission().push(entry) }.map_err(|_| io::Error::other("the ring's queue is full"))
}

/// The flags of a shard's ring: one thread submits, and completions are worked off when that thread waits (kernel 6.1).
fn ring_builder() -> io_uring::Builder {
    let mut builder = io_uring::IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun();
    builder
}

/// monoio's smallest ring.
const RING_ENTRIES_MIN: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_loops_run_a_future_with_a_timer() {
        for driver in [probe().driver, Driver::Epoll] {
            let answer = run(driver, |_| async {
                monoio::time::sleep(std::time::Duration::from_millis(1)).await;
                7
            });
            assert_eq!(answer.expect("the loop runs"), 7);
        }
    }
}
