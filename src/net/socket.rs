//! One socket of this shard: it says when it can move, and moves bytes without waiting.
//!
//! A wait that was armed stays armed until it fires, whoever asks: the wait for a client's next request is the watch
//! for its going away during the exchange, and the wait on an idle upstream is the check before its next use. That is
//! one poll operation per direction and exchange. All waits of one direction are one task without an end, which takes
//! its memory once.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use monoio::net::TcpStream;

use super::{driver, sys};

/// A connected socket, a listener, or the end of a pair: anything that polls. Closed when dropped.
pub struct Socket {
    shared: Rc<Shared>,
    /// The stream's own descriptor, at hand without two look-ups in cold memory.
    fd: RawFd,
    read_wait: Option<Wait>,
    write_wait: Option<Wait>,
}

/// What a socket shares with its waits.
struct Shared {
    stream: TcpStream,
    /// By direction: the wait has fired, and nobody has been told yet.
    has_fired: [Cell<bool>; 2],
}

/// The waits of one direction, one after the other. Ends with an error only.
type Wait = Pin<Box<dyn Future<Output = io::Result<Infallible>>>>;

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

impl Socket {
    /// Takes a descriptor into this thread's event loop.
    pub fn new(fd: OwnedFd) -> io::Result<Socket> {
        let stream = TcpStream::from_std(std::net::TcpStream::from(fd))?;
        let fd = stream.as_raw_fd();
        let shared = Rc::new(Shared { stream, has_fired: Default::default() });
        Ok(Socket { shared, fd, read_wait: None, write_wait: None })
    }

    /// Where the other end is; `None` where that is no address of the network.
    pub fn peer_ip(&self) -> Option<IpAddr> {
        self.shared.stream.peer_addr().ok().map(|address| address.ip())
    }

    /// Ready when a read would give bytes, an end or an error. May be ready for nothing; the read then says so.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_wait(&mut self.read_wait, cx, &self.shared, Direction::Read)
    }

    /// Ready when a write would take bytes or fail.
    pub fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_wait(&mut self.write_wait, cx, &self.shared, Direction::Write)
    }

    /// Appends at most `room` bytes; `None` when there is nothing yet, 0 at the end of the stream.
    pub fn try_recv_append(&self, bytes: &mut Vec<u8>, room: usize) -> io::Result<Option<usize>> {
        unless_blocked(|| sys::recv_append(self.fd, bytes, room))
    }

    /// Fills from the front; results as in [`Socket::try_recv_append`].
    pub fn try_recv(&self, target: &mut [u8]) -> io::Result<Option<usize>> {
        unless_blocked(|| sys::recv_into(self.fd, target))
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

/// Goes on with the wait, or begins one.
fn poll_wait(
    slot: &mut Option<Wait>,
    cx: &mut Context<'_>,
    shared: &Rc<Shared>,
    direction: Direction,
) -> Poll<io::Result<()>> {
    let wait = slot.get_or_insert_with(|| Box::pin(wait_again_and_again(shared.clone(), direction)));
    match wait.as_mut().poll(cx) {
        Poll::Pending if shared.has_fired[direction as usize].take() => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
        Poll::Ready(Err(error)) => {
            *slot = None;
            Poll::Ready(Err(error))
        }
    }
}

async fn wait_again_and_again(shared: Rc<Shared>, direction: Direction) -> io::Result<Infallible> {
    let is_epoll = driver::is_epoll();
    let (stream, has_fired) = (&shared.stream, &shared.has_fired[direction as usize]);
    loop {
        match direction {
            _ if is_epoll => wait_on_epoll(stream, direction).await?,
            Direction::Read => stream.readable(false).await?,
            Direction::Write => stream.writable(false).await?,
        }
        // Seen, and taken back, by the poll that brought us here; the next one begins the next wait.
        has_fired.set(true);
        poll_fn(|_| if has_fired.get() { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}

/// On a ring one poll operation is the whole wait. On epoll monoio keeps a socket's readiness until it is told that there
/// is none, and a strict wait asks the kernel (one `poll` call) each time it is polled: once at its beginning is right,
/// because our calls move bytes past monoio; after that its event alone tells, so a relaxed wait takes over.
async fn wait_on_epoll(stream: &TcpStream, direction: Direction) -> io::Result<()> {
    let at_once = {
        let mut strict = pin!(wait_once(stream, direction, false));
        poll_fn(|cx| Poll::Ready(strict.as_mut().poll(cx))).await
    };
    match at_once {
        Poll::Ready(result) => result,
        Poll::Pending => wait_once(stream, direction, true).await,
    }
}

async fn wait_once(stream: &TcpStream, direction: Direction, is_relaxed: bool) -> io::Result<()> {
    match direction {
        Direction::Read => stream.readable(is_relaxed).await,
        Direction::Write => stream.writable(is_relaxed).await,
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
