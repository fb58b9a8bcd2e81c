//! One socket of this shard: it says when it can move, and moves bytes without waiting.
//!
//! It is armed once, at its first wait, and then tells for as long as it lives: the wait for a client's next request is
//! the watch for its going away during the exchange, and the wait on an idle upstream is the check before its next use.
//! What it told is remembered until a call finds that there is nothing more, so a wait costs nothing but a look.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::task::{Context, Poll};

use super::sys;
use super::watch::Watched;

/// A connected socket, a listener, a timer, or the end of a pair: anything that polls. Closed when dropped.
pub struct Socket {
    watched: Watched,
    /// The descriptor, at hand.
    fd: RawFd,
}

impl Socket {
    /// Takes a descriptor into this thread's event loop.
    pub fn new(fd: OwnedFd) -> io::Result<Socket> {
        let watched = Watched::new(fd)?;
        let fd = watched.as_raw_fd();
        Ok(Socket { watched, fd })
    }

    /// Where the other end is; `None` where that is no address of the network.
    pub fn peer_ip(&self) -> Option<IpAddr> {
        let address = socket2::SockRef::from(&self.watched.as_fd()).peer_addr().ok()?;
        address.as_socket().map(|address| address.ip())
    }

    /// Ready when a read would give bytes, an end or an error. May be ready for nothing; the read then says so.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched.poll_readable(cx)
    }

    /// Ready when a write would take bytes or fail. May be ready for nothing.
    pub fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched.poll_writable(cx)
    }

    /// Ready when a connect has come to its end, well or not.
    pub fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched.poll_connected(cx)
    }

    /// Appends at most `room` bytes; `None` when there is nothing yet, 0 at the end of the stream.
    pub fn try_recv_append(&self, bytes: &mut Vec<u8>, room: usize) -> io::Result<Option<usize>> {
        let count = unless_blocked(|| sys::recv_append(self.fd, bytes, room))?;
        self.watched.has_read(count, room);
        Ok(count)
    }

    /// Fills from the front; results as in [`Socket::try_recv_append`].
    pub fn try_recv(&self, target: &mut [u8]) -> io::Result<Option<usize>> {
        let count = unless_blocked(|| sys::recv_into(self.fd, target))?;
        self.watched.has_read(count, target.len());
        Ok(count)
    }

    /// Says that a call of another kind than the two above has found nothing to read.
    pub(super) fn has_nothing(&self) {
        self.watched.has_read(None, 0);
    }

    /// Sends what the kernel takes now; `None` when it takes nothing.
    pub fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        match slices {
            [one] => unless_blocked(|| sys::send(self.fd, one)),
            many => unless_blocked(|| sys::send_slices(self.fd, many)),
        }
    }

    /// Ends both directions now, whatever waits are armed.
    pub fn shutdown(&self) {
        sys::shutdown(self.fd, std::net::Shutdown::Both);
    }

    /// Sends the end of our stream; the peer may still send.
    pub fn shutdown_write(&self) {
        sys::shutdown(self.fd, std::net::Shutdown::Write);
    }

    /// The error that a non-blocking connect left behind, if any.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        sys::socket_error(self.fd)
    }

    pub fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}

/// Makes "would block" an ordinary answer and repeats what a signal interrupted.
fn unless_blocked(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::net::alarm::Alarms;
    use crate::net::dial::within;
    use crate::net::driver::{self, Driver};

    /// monoio drops the bytes that a given-up read had already taken; here a wait takes none.
    #[expect(clippy::disallowed_methods, reason = "the sender of this test")]
    #[test]
    fn a_wait_that_is_given_up_again_and_again_loses_no_byte() {
        for driver in [driver::probe().driver, Driver::Epoll] {
            let (mut far, near) = UnixStream::pair().expect("a pair");
            let sender = std::thread::Builder::new().spawn(move || {
                for number in 0..8_000_u32 {
                    far.write_all(&number.to_le_bytes()).expect("the reader lives");
                    if number % 64 == 0 {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                }
            });
            let got = driver::run(driver, |_| async move {
                let (mut got, mut late, alarms) = (Vec::new(), 0, Alarms::default());
                let mut socket = Socket::new(near.into()).expect("a socket");
                let alarm = alarms.alarm();
                // Late from the beginning: each wait for which nothing is there yet is given up while it is armed.
                alarm.set_at(0);
                loop {
                    match within(&alarm, |cx| socket.poll_readable(cx)).await {
                        None => {
                            late += 1;
                            driver::sleep(std::time::Duration::from_micros(100)).await;
                        }
                        Some(ready) => ready.expect("a socket that can be waited on"),
                    }
                    if socket.try_recv_append(&mut got, 4).expect("a readable socket") == Some(0) {
                        return (got, late);
                    }
                }
            });
            sender.expect("a thread").join().expect("the sender ends well");
            let (got, late) = got.expect("the loop runs");
            let want: Vec<u8> = (0..8_000_u32).flat_map(u32::to_le_bytes).collect();
            assert!(got == want, "{} of {} bytes came", got.len(), want.len());
            assert!(late > 0, "some waits were given up");
        }
    }
}
