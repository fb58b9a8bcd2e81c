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
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                // The client gave up while it waited in the queue; the next one may be fine.
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Stops the queue: clients that come from now on are refused, or served by another process on the same port.
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
