//! A connection, plain or under TLS, with one way to fill a buffer and one way to send pieces.
//!
//! Promise: a wait that is given up loses no byte, so timeouts may simply stop polling.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, ready};

use super::buffer::{Buffer, Buffers};
use super::socket::Socket;
use super::sys;

/// One connection. Closed when dropped; under TLS without waiting for the peer's goodbye.
pub struct Conn {
    socket: Socket,
    tls: Option<Box<rustls::Connection>>,
    /// The close is to be a reset, so no orderly end may go before it.
    resets: bool,
    /// The address that was dialled; `None` where the peer came to us.
    pub dialled: Option<SocketAddr>,
}

impl Conn {
    /// A plain connection over a connected socket.
    pub fn plain(fd: OwnedFd) -> io::Result<Conn> {
        Ok(Conn::over(Socket::new(fd)?, None))
    }

    /// A connection inside the process, and its other end for another thread.
    pub fn pair() -> io::Result<(Conn, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        Ok((Conn::plain(ours.into())?, theirs.into()))
    }

    /// A plain connection that was dialled.
    pub fn dialled(socket: Socket, address: SocketAddr) -> Conn {
        Conn::over(socket, Some(address))
    }

    fn over(socket: Socket, dialled: Option<SocketAddr>) -> Conn {
        Conn { socket, tls: None, resets: false, dialled }
    }

    /// Where the peer is; `None` where that is no address of the network.
    pub fn peer_ip(&self) -> Option<IpAddr> {
        self.socket.peer_ip()
    }

    /// Puts TLS over the connection. The handshake runs with the first [`Conn::poll_handshake`].
    pub fn start_tls(&mut self, session: rustls::Connection) {
        self.tls = Some(Box::new(session));
    }

    /// Drives the TLS handshake. Ready with `Ok` at once on a plain connection. Errors of kind `InvalidData` carry the
    /// `rustls::Error`.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(tls) = &mut self.tls else { return Poll::Ready(Ok(())) };
            let blocked = send_records(tls, &self.socket)?;
            if !tls.is_handshaking() && !tls.wants_write() {
                return Poll::Ready(Ok(()));
            }
            if blocked {
                ready!(self.socket.poll_writable(cx))?;
            } else if read_records(tls, &self.socket)?.is_none() {
                ready!(self.socket.poll_readable(cx))?;
            }
        }
    }

    /// Waits until bytes come, and appends at most `room` of them to the buffer, which gets its memory from the stock only
    /// then. 0 is the end of the stream; a TLS peer that leaves without its goodbye gives `UnexpectedEof`.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stock: &Buffers,
        buffer: &mut Buffer,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        // The session may hold bytes that the socket has given already.
        if self.tls.is_some()
            && let Some(count) = self.fill_from_stock(stock, buffer, room)?
        {
            return Poll::Ready(Ok(count));
        }
        loop {
            ready!(self.socket.poll_readable(cx))?;
            if let Some(count) = self.fill_from_stock(stock, buffer, room)? {
                return Poll::Ready(Ok(count));
            }
        }
    }

    fn fill_from_stock(
        &mut self,
        stock: &Buffers,
        buffer: &mut Buffer,
        room: usize,
    ) -> io::Result<Option<usize>> {
        stock.equip(buffer);
        let result = self.try_fill(buffer, room);
        stock.take_back(buffer);
        result
    }

    /// Appends what is there, at most `room` bytes; `None` when nothing is.
    pub fn try_fill(&mut self, buffer: &mut Buffer, room: usize) -> io::Result<Option<usize>> {
        match &mut self.tls {
            None => self.socket.try_recv_append(buffer.vec(), room),
            Some(tls) => fill_from_tls(tls, &self.socket, buffer.vec(), room),
        }
    }

    /// Sends all slices; ready when the kernel has every byte. `slices` is moved on past what was sent, so the call is
    /// repeated with the same value until it is ready.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        slices: &mut &mut [IoSlice<'_>],
    ) -> Poll<io::Result<()>> {
        IoSlice::advance_slices(slices, 0);
        while !slices.is_empty() {
            let sent = match &mut self.tls {
                None => self.socket.try_send(slices)?,
                Some(tls) => send_into_tls(tls, &self.socket, slices)?,
            };
            match sent {
                Some(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Some(count) => IoSlice::advance_slices(slices, count),
                None => ready!(self.socket.poll_writable(cx))?,
            }
        }
        self.poll_flush(cx)
    }

    /// Ready when no encrypted record waits for the socket.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(tls) = &mut self.tls
            && send_records(tls, &self.socket)?
        {
            ready!(self.socket.poll_writable(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether an idle connection can no longer be used: the peer closed it, failed, or sent bytes nobody asked for. Known
    /// without a system call, unless the last that was told of it may have been read already.
    pub fn is_spoiled(&mut self, cx: &mut Context<'_>) -> bool {
        while let Poll::Ready(told) = self.socket.poll_readable(cx) {
            // Under TLS a session ticket may be all that came. Anything else spoils the connection.
            let mut scrap = Buffer::default();
            if told.is_err() || !matches!(self.try_fill(&mut scrap, 1), Ok(None)) {
                return true;
            }
        }
        false
    }

    /// Says goodbye under TLS, as far as the socket takes it at once, and ends our direction.
    pub fn close_write(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // Best effort: a peer that does not read will not miss it.
            let _ = send_records(tls, &self.socket);
        }
        self.socket.shutdown_write();
    }

    /// Ends both directions at once; under TLS without a goodbye, so that the peer sees the cut. After
    /// [`Conn::reset_on_close`] it leaves the end to the close, which the caller's drop brings.
    pub fn abort(&mut self) {
        if !self.resets {
            self.socket.shutdown();
        }
    }

    /// Makes the coming close a reset, which no peer can take for an orderly end.
    pub fn reset_on_close(&mut self) {
        // A socket that refuses is closed all the same.
        self.resets = sys::set_linger_zero(self.socket.as_raw_fd()).is_ok();
    }

    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }
}

/// Moves decrypted bytes out of the session, reading records from the socket as needed.
fn fill_from_tls(
    tls: &mut rustls::Connection,
    socket: &Socket,
    bytes: &mut Vec<u8>,
    room: usize,
) -> io::Result<Option<usize>> {
    loop {
        let waiting =
            tls.process_new_packets().map_err(io::Error::other)?.plaintext_bytes_to_read().min(room);
        let filled = bytes.len();
        // With nothing decrypted yet, one byte of room lets the session tell an end from "nothing yet".
        bytes.resize(filled + waiting.max(1), 0);
        let result = tls.reader().read(&mut bytes[filled..]);
        bytes.truncate(filled + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if read_records(tls, socket)?.is_none() {
            return Ok(None);
        }
    }
}

/// Encrypts as much as the session takes and sends the records; `None` when neither moved.
fn send_into_tls(
    tls: &mut rustls::Connection,
    socket: &Socket,
    slices: &[IoSlice<'_>],
) -> io::Result<Option<usize>> {
    if send_records(tls, socket)? {
        return Ok(None);
    }
    let taken = tls.writer().write_vectored(slices)?;
    send_records(tls, socket)?;
    Ok(Some(taken))
}

/// Sends waiting records; true when the socket takes no more and some are left.
fn send_records(tls: &mut rustls::Connection, socket: &Socket) -> io::Result<bool> {
    while tls.wants_write() {
        match tls.write_tls(&mut Pipe(socket)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Reads records from the socket into the session and works through them; `None` when the socket has nothing.
fn read_records(tls: &mut rustls::Connection, socket: &Socket) -> io::Result<Option<usize>> {
    match tls.read_tls(&mut Pipe(socket)) {
        Ok(count) => {
            if let Err(error) = tls.process_new_packets() {
                // The alert that tells the peer why; it may already be gone.
                let _ = send_records(tls, socket);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            if count == 0 && tls.is_handshaking() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(Some(count))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// The socket as rustls wants to see it.
struct Pipe<'s>(&'s Socket);

impl Read for Pipe<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.0.try_recv(target)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_send(&[IoSlice::new(bytes)])?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_send(slices)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
