//! A timer of the kernel's, which the event loop watches as it watches sockets: for what beats as long as the loop runs. A
//! sleep would give each of its waits a deadline, and two looks at the clock.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::socket::Socket;
use super::sys;

/// A timer that fires again and again.
pub struct Timer {
    socket: Socket,
}

impl Timer {
    /// Fires after `period` and then every `period`.
    pub fn every(period: Duration) -> io::Result<Timer> {
        Ok(Timer { socket: Socket::new(sys::timer(period)?)? })
    }

    /// Ready when the timer has fired since it was ready last.
    pub fn poll_fired(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.socket.poll_readable(cx))?;
            match sys::read_timer(self.socket.as_raw_fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.has_nothing(),
                result => {
                    self.socket.has_nothing();
                    return Poll::Ready(result);
                }
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
    fn a_timer_fires_when_its_time_has_come() {
        for driver in [driver::probe().driver, Driver::Epoll] {
            let took_us = driver::run(driver, |_| async {
                let begun_us = clock::monotonic_us();
                let mut every = Timer::every(Duration::from_millis(5)).expect("a timer");
                for _ in 0..4 {
                    poll_fn(|cx| every.poll_fired(cx)).await.expect("it fires");
                }
                clock::monotonic_us() - begun_us
            });
            assert!(took_us.expect("the loop runs") >= 20_000);
        }
    }
}
