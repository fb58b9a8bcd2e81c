//! Which event loop a shard runs on: io_uring where it really works, epoll everywhere else.
//!
//! monoio's own detection passes in places where the ring then fails or spins: a memlock limit that fits its two-entry
//! test ring only, or a filter that denies `io_uring_enter` alone. So the ring is tried here as it will be used.

use std::future::Future;
use std::io;

pub use super::sys::{allowed_cpus, pin_thread};
use super::watch::{self, Epoll, Ring, Waiter};
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

/// Makes the rings of a shard and waits for a socket with them; smaller rings are tried where the memory limit refuses the
/// large one.
pub fn probe() -> Probe {
    match smaller_until_it_fits(RING_ENTRIES, |entries| both_rings(entries)?.0.try_out()) {
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
    F: Future + 'static,
    F::Output: 'static,
{
    if let Driver::IoUring { entries } = driver
        && let Ok((entries, (ring, mut runtime))) = smaller_until_it_fits(entries, both_rings)
    {
        return Ok(runtime.block_on(watch::run(Waiter::Ring(ring), make(Driver::IoUring { entries }))));
    }
    let mut runtime = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().build()?;
    Ok(runtime.block_on(watch::run(Waiter::Epoll(Epoll::new()?), make(Driver::Epoll))))
}

/// Ours, in which the thread waits, and that of monoio, which stays empty.
fn both_rings(entries: u32) -> io::Result<(Ring, monoio::Runtime<monoio::IoUringDriver>)> {
    let ring = Ring::new(entries)?;
    let runtime =
        monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().with_entries(RING_ENTRIES_MIN).build()?;
    Ok((ring, runtime))
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

/// Lets every other task of this thread have its turn. A sleep does it: monoio runs a task that wakes itself at once
/// again, before all others.
pub async fn give_way() {
    sleep(std::time::Duration::from_millis(1)).await;
}

/// Waits on this thread's event loop, which [`run`] has made.
pub async fn sleep(duration: std::time::Duration) {
    watch::sleep(duration).await;
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
                sleep(std::time::Duration::from_millis(1)).await;
                7
            });
            assert_eq!(answer.expect("the loop runs"), 7);
        }
    }
}
