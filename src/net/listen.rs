//! Listeners: one per shard and address with SO_REUSEPORT, so that a new process can take over while the old one drains.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use super::socket::Socket;
use super::sys;

/// Binds and listens; called before the shards start, so that an address that is taken is told at once.
pub fn bind(address: SocketAddr) -> io::Result<OwnedFd> {
    let domain = socket2::Domain::for_address(address);
    let socket =
        socket2::Socket::new(domain, socket2::Type::STREAM.nonblocking(), Some(socket2::Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

/// The address that a bound descriptor really has; tells the port when 0 was asked for.
pub fn local_address(fd: &OwnedFd) -> io::Result<SocketAddr> {
    let address = socket2::SockRef::from(fd).local_addr()?;
    address.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// A listener on its shard.
pub struct Listener {
    socket: Socket,
}

impl Listener {
    pub fn new(fd: OwnedFd) -> io::Result<Listener> {
        Ok(Listener { socket: Socket::new(fd)? })
    }

    /// The next connection, non-blocking and with TCP_NODELAY. A wait that is given up loses no connection: they stay
    /// in the listener's queue.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        loop {
            if let Some(fd) = self.try_accept()? {
                return Poll::Ready(Ok(fd));
            }
            ready!(self.socket.poll_readable(cx))?;
        }
    }

    /// The next connection if one waits.
    pub fn try_accept(&self) -> io::Result<Option<OwnedFd>> {
        loop {
            match sys::accept(self.socket.as_raw_fd()) {
                Ok(fd) => {
                    ready_for_small_answers(&fd);
                    return Ok(Some(fd));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.has_nothing();
                    return Ok(None);
                }
                // The client gave up while it waited in the queue; the next one may be fine.
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Stops the queue: clients that come from now on are refused, or served by another process on the same port. A client
    /// whose handshake ends between the last look into the queue and this call is reset by the kernel, some microseconds
    /// in all; `net.ipv4.tcp_migrate_req=1` closes that gap, too.
    pub fn stop(self) {
        self.socket.shutdown();
    }
}

/// Sets what every client and upstream socket needs. A socket that refuses is still a socket.
pub fn ready_for_small_answers(fd: &OwnedFd) {
    use std::os::fd::AsRawFd;
    let _ = sys::set_nodelay(fd.as_raw_fd());
    let _ = sys::set_notsent_lowat(fd.as_raw_fd(), NOTSENT_BYTES);
}

fn is_of_one_client(error: &io::Error) -> bool {
    let of_one_client =
        [libc::ECONNABORTED, libc::EINTR, libc::EPROTO, libc::EPERM, libc::ENETDOWN, libc::EHOSTUNREACH];
    error.raw_os_error().is_some_and(|code| of_one_client.contains(&code))
}

/// Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn.
const LISTEN_BACKLOG: i32 = 4096;
/// Unsent bytes in the kernel above which a stream's writer waits.
const NOTSENT_BYTES: i32 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::net::alarm::Alarms;
    use crate::net::dial::within;
    use crate::net::driver::{self, Driver};

    /// monoio loses the client of a given-up accept, and its descriptor: the client would wait here for ever.
    #[expect(clippy::disallowed_methods, reason = "the clients of this test")]
    #[test]
    fn a_wait_for_clients_that_is_given_up_again_and_again_loses_none() {
        const CLIENTS: usize = 3_000;
        for driver in [driver::probe().driver, Driver::Epoll] {
            let fd = bind("127.0.0.1:0".parse().expect("an address")).expect("a listener");
            let address = local_address(&fd).expect("an address");
            let clients = std::thread::Builder::new().spawn(move || {
                for number in 0..CLIENTS {
                    let mut client = std::net::TcpStream::connect(address).expect("a connection");
                    client.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("a timeout");
                    let mut got = Vec::new();
                    client.read_to_end(&mut got).unwrap_or_else(|error| panic!("client {number}: {error}"));
                    assert_eq!(got, b"!", "client {number}");
                }
            });
            let late = driver::run(driver, |_| async move {
                let (mut served, mut late, alarms) = (0, 0, Alarms::default());
                let mut listener = Listener::new(fd).expect("a socket");
                let alarm = alarms.alarm();
                alarm.set_at(0);
                while served < CLIENTS {
                    match within(&alarm, |cx| listener.poll_accept(cx)).await {
                        None => {
                            late += 1;
                            driver::sleep(std::time::Duration::from_micros(50)).await;
                        }
                        Some(fd) => {
                            let mut stream = std::net::TcpStream::from(fd.expect("a client"));
                            stream.write_all(b"!").expect("room for a byte");
                            served += 1;
                        }
                    }
                }
                late
            });
            assert!(late.expect("the loop runs") > 0, "some waits were given up");
            clients.expect("a thread").join().expect("every client is answered");
        }
    }
}
