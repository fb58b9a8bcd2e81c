//! One socket of this shard: it says when it can move, and moves bytes without waiting.
//!
//! A wait that was armed stays armed until it fires, whoever asks: the wait for a client's next request is the watch
//! for its going away during the exchange, and the wait on an idle upstream is the check before its next use. That is
//! one poll operation per direction and exchange.

use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use monoio::net::TcpStream;

use super::{driver, sys};

/// A connected socket, a listener, or the end of a pair: anything that polls. Closed when dropped.
pub struct Socket {
    stream: Rc<TcpStream>,
    read_wait: Option<Wait>,
    write_wait: Option<Wait>,
}

type Wait = Pin<Box<dyn Future<Output = io::Result<()>>>>;

impl Socket {
    /// Takes a descriptor into this thread's event loop.
    pub fn new(fd: OwnedFd) -> io::Result<Socket> {
        let stream = TcpStream::from_std(std::net::TcpStream::from(fd))?;
        Ok(Socket { stream: Rc::new(stream), read_wait: None, write_wait: None })
    }

    /// Ready when a read would give bytes, an end or an error. May be ready for nothing; the read then says so.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &self.stream;
        poll_wait(&mut self.read_wait, cx, |is_relaxed| {
            let stream = stream.clone();
            Box::pin(async move { stream.readable(is_relaxed).await })
        })
    }

    /// Ready when a write would take bytes or fail.
    pub fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &self.stream;
        poll_wait(&mut self.write_wait, cx, |is_relaxed| {
            let stream = stream.clone();
            Box::pin(async move { stream.writable(is_relaxed).await })
        })
    }

    /// Appends at most `room` bytes; `None` when there is nothing yet, 0 at the end of the stream.
    pub fn try_recv_append(&self, bytes: &mut Vec<u8>, room: usize) -> io::Result<Option<usize>> {
        unless_blocked(|| sys::recv_append(self.stream.as_raw_fd(), bytes, room))
    }

    /// Fills from the front; results as in [`Socket::try_recv_append`].
    pub fn try_recv(&self, target: &mut [u8]) -> io::Result<Option<usize>> {
        unless_blocked(|| sys::recv_into(self.stream.as_raw_fd(), target))
    }

    /// Sends what the kernel takes now; `None` when it takes nothing.
    pub fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        match slices {
            [one] => unless_blocked(|| sys::send(self.stream.as_raw_fd(), one)),
            many => unless_blocked(|| sys::send_slices(self.stream.as_raw_fd(), many)),
        }
    }

    /// Ends both directions now, whatever waits are armed.
    pub fn shutdown(&self) {
        sys::shutdown(self.stream.as_raw_fd(), std::net::Shutdown::Both);
    }

    /// Sends the end of our stream; the peer may still send.
    pub fn shutdown_write(&self) {
        sys::shutdown(self.stream.as_raw_fd(), std::net::Shutdown::Write);
    }

    /// The error that a non-blocking connect left behind, if any.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        sys::socket_error(self.stream.as_raw_fd())
    }

    pub fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.stream.as_raw_fd()
    }
}

/// Goes on with the wait, or begins one.
///
/// On a ring one poll operation is the whole wait. On epoll monoio keeps a socket's readiness until it is told that there
/// is none, and a strict wait asks the kernel (one `poll` call) each time it is polled: once at its beginning is right,
/// because our calls move bytes past monoio; after that its event alone tells, so a relaxed wait takes over.
fn poll_wait(
    slot: &mut Option<Wait>,
    cx: &mut Context<'_>,
    begin: impl Fn(bool) -> Wait,
) -> Poll<io::Result<()>> {
    if slot.is_none() {
        let mut strict = begin(false);
        if let Poll::Ready(result) = strict.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        if !driver::is_epoll() {
            *slot = Some(strict);
            return Poll::Pending;
        }
        *slot = Some(begin(true));
    }
    let Some(wait) = slot else { return Poll::Pending };
    let result = ready!(wait.as_mut().poll(cx));
    *slot = None;
    Poll::Ready(result)
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
