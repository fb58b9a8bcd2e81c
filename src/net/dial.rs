//! Opening an upstream connection: address after address, through a proxy when one is named, then TLS. Each stage has
//! its own time limit and its own fault.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;

use super::alarm::{Alarm, Alarms};
use super::buffer::{Buffer, Buffers};
use super::conn::Conn;
use super::listen::ready_for_small_answers;
use super::socket::Socket;
use super::tls;
use crate::base::fault::FaultKind;
use crate::base::limits::{CONNECT_SHARE_MS_MIN, HEAD_BYTES_MAX};
use crate::wire::{Step, head::EndOfHead, request::Method, response};

/// Where to, and how. Addresses are those of the proxy when there is one.
pub struct Way<'w> {
    pub addresses: &'w [SocketAddr],
    pub tunnel: Option<Tunnel<'w>>,
    pub tls: Option<(&'w Arc<rustls::ClientConfig>, &'w ServerName<'static>)>,
    pub connect_timeout_ms: u64,
    pub tls_timeout_ms: u64,
}

/// The request that asks a proxy for a tunnel: `CONNECT authority`, with ready-made header lines.
pub struct Tunnel<'w> {
    pub authority: &'w str,
    pub header_lines: &'w str,
}

/// Opens a connection that is ready for a request.
pub async fn dial(way: &Way<'_>, alarms: &Alarms) -> Result<Conn, FaultKind> {
    let alarm = alarms.alarm();
    let mut conn = connect_any(way, alarms, &alarm).await?;
    if let Some(tunnel) = &way.tunnel {
        alarm.set_after(way.connect_timeout_ms);
        open_tunnel(&mut conn, tunnel, &alarm).await?;
    }
    if let Some((config, name)) = way.tls {
        alarm.set_after(way.tls_timeout_ms);
        let session = tls::client_session(config, name).map_err(|_| FaultKind::TlsHandshake)?;
        conn.start_tls(session);
        match within(&alarm, |cx| conn.poll_handshake(cx)).await {
            None => return Err(FaultKind::TlsTimeout),
            Some(Err(error)) if tls::is_certificate_error(&error) => return Err(FaultKind::TlsCertificate),
            Some(Err(_)) => return Err(FaultKind::TlsHandshake),
            Some(Ok(())) => {}
        }
    }
    Ok(conn)
}

/// Tries the addresses in order; each but the last gets a share of the time, so that one dead address (or family)
/// cannot use it up.
async fn connect_any(way: &Way<'_>, alarms: &Alarms, alarm: &Alarm) -> Result<Conn, FaultKind> {
    let end_ms = alarms.now_ms() + way.connect_timeout_ms;
    let share_ms = (way.connect_timeout_ms / way.addresses.len().max(1) as u64).max(CONNECT_SHARE_MS_MIN);
    let mut fault = FaultKind::ConnectRefused;
    for (index, address) in way.addresses.iter().enumerate() {
        let is_last = index + 1 == way.addresses.len();
        let until_ms = if is_last { end_ms } else { end_ms.min(alarms.now_ms() + share_ms) };
        alarm.set_at(until_ms);
        match connect_one(*address, alarm).await {
            Ok(conn) => return Ok(conn),
            Err(found) => fault = found,
        }
    }
    Err(fault)
}

async fn connect_one(address: SocketAddr, alarm: &Alarm) -> Result<Conn, FaultKind> {
    let mut socket = begin_connect(address).map_err(|_| FaultKind::ConnectRefused)?;
    match within(alarm, |cx| socket.poll_connected(cx)).await {
        None => return Err(FaultKind::ConnectTimeout),
        Some(Err(_)) => return Err(FaultKind::ConnectRefused),
        Some(Ok(())) => {}
    }
    match socket.take_error() {
        Ok(None) => Ok(Conn::dialled(socket, address)),
        Ok(Some(error)) if error.kind() == io::ErrorKind::TimedOut => Err(FaultKind::ConnectTimeout),
        _ => Err(FaultKind::ConnectRefused),
    }
}

fn begin_connect(address: SocketAddr) -> io::Result<Socket> {
    let domain = socket2::Domain::for_address(address);
    let socket =
        socket2::Socket::new(domain, socket2::Type::STREAM.nonblocking(), Some(socket2::Protocol::TCP))?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let fd = OwnedFd::from(socket);
    ready_for_small_answers(&fd);
    Socket::new(fd)
}

/// Asks the proxy for a tunnel and reads its answer, which must be a success with nothing behind it.
async fn open_tunnel(conn: &mut Conn, tunnel: &Tunnel<'_>, alarm: &Alarm) -> Result<(), FaultKind> {
    let Tunnel { authority, header_lines } = tunnel;
    let request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n{header_lines}\r\n");
    let mut slices = [IoSlice::new(request.as_bytes())];
    let mut left = &mut slices[..];
    let sent = within(alarm, |cx| conn.poll_send(cx, &mut left)).await;
    match sent {
        None => return Err(FaultKind::ConnectTimeout),
        Some(Err(_)) => return Err(FaultKind::Proxy),
        Some(Ok(())) => {}
    }
    let head = read_proxy_head(conn, alarm).await?;
    let mut answer = response::ResponseHead::default();
    match response::read_response(head.filled(), Method::Head, &mut answer) {
        Ok(()) if (200..300).contains(&answer.status) => Ok(()),
        _ => Err(FaultKind::Proxy),
    }
}

/// Reads exactly one head: a byte behind it would be lost to the TLS session.
async fn read_proxy_head(conn: &mut Conn, alarm: &Alarm) -> Result<Buffer, FaultKind> {
    let (stock, mut buffer) = (Buffers::default(), Buffer::default());
    let mut end = EndOfHead::default();
    let mut looked_at = 0;
    loop {
        match within(alarm, |cx| conn.poll_fill(cx, &stock, &mut buffer, HEAD_BYTES_MAX)).await {
            None => return Err(FaultKind::ConnectTimeout),
            Some(Err(_)) | Some(Ok(0)) => return Err(FaultKind::Proxy),
            Some(Ok(_)) => {}
        }
        let fresh = &buffer.filled()[looked_at..];
        match end.step(fresh) {
            Step::More => looked_at = buffer.len(),
            Step::Done { used } if used == fresh.len() => return Ok(buffer),
            Step::Done { .. } | Step::Bad(_) => return Err(FaultKind::Proxy),
        }
    }
}

/// What `poll` gives, or `None` when the alarm's deadline passes first.
pub async fn within<T>(alarm: &Alarm, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    poll_fn(|cx| match poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => alarm.poll_late(cx).map(|()| None),
    })
    .await
}
