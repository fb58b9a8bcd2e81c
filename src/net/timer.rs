//! A timer of the kernel's, which the event loop watches as it watches sockets. The runtime's own timers would give each
//! of its waits a deadline, and four looks at the clock.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::socket::Socket;
use super::sys;

/// A timer that fires once, or again and again.
pub struct Timer {
    socket: Socket,
}

impl Timer {
    /// Fires after `period` and then every `period`.
    pub fn every(period: Duration) -> io::Result<Timer> {
        Timer::new(period, period)
    }

    /// Fires once.
    pub fn once(after: Duration) -> io::Result<Timer> {
        Timer::new(after, Duration::ZERO)
    }

    fn new(first: Duration, then: Duration) -> io::Result<Timer> {
        Ok(Timer { socket: Socket::new(sys::timer(first, then)?)? })
    }

    /// Ready when the timer has fired since it was ready last.
    pub fn poll_fired(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.socket.poll_readable(cx))?;
            match sys::read_timer(self.socket.as_raw_fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::base::clock;
    use crate::net::driver::{self, Driver};

    #[test]
    fn a_timer_fires_when_its_time_has_come_on_a_loop_without_timers() {
        for driver in [driver::probe().driver, Driver::Epoll] {
            let took_us = driver::run_untimed(driver, |_| async {
                let begun_us = clock::monotonic_us();
                let mut once = Timer::once(Duration::from_millis(5)).expect("a timer");
                poll_fn(|cx| once.poll_fired(cx)).await.expect("it fires");
                let mut every = Timer::every(Duration::from_millis(5)).expect("a timer");
                for _ in 0..3 {
                    poll_fn(|cx| every.poll_fired(cx)).await.expect("it fires again");
                }
                clock::monotonic_us() - begun_us
            });
            assert!(took_us.expect("the loop runs") >= 20_000);
        }
    }
}
