//! The system calls that move bytes: each is one `recv` or `sendmsg` that never waits (`MSG_DONTWAIT`) and never raises
//! SIGPIPE. With them, what else of sockets has no safe form.
#![expect(
    unsafe_code,
    reason = "recv into a buffer's spare room and sendmsg of slices have no safe form in std"
)]

use std::io::{self, IoSlice};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Appends what the socket has, at most `room` bytes, to `bytes`, which grows when its capacity is too small.
/// Gives 0 at the end of the stream; an error of kind `WouldBlock` when there is nothing yet.
pub fn recv_append(fd: RawFd, bytes: &mut Vec<u8>, room: usize) -> io::Result<usize> {
    bytes.reserve(room);
    let spare = &mut bytes.spare_capacity_mut()[..room];
    // SAFETY: `spare` is `room` writable bytes owned by `bytes`, which is borrowed for the whole call.
    let got = unsafe { recv(fd, spare.as_mut_ptr().cast(), spare.len()) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    assert!(got <= room, "recv never gives more than it was asked for");
    // SAFETY: `reserve` made at least `room` bytes of capacity behind `len`, and the kernel wrote the first `got`.
    unsafe { bytes.set_len(bytes.len() + got) };
    Ok(got)
}

/// Fills `target` from the front. Results as in [`recv_append`].
pub fn recv_into(fd: RawFd, target: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `target` is a writable slice, borrowed for the whole call.
    let got = unsafe { recv(fd, target.as_mut_ptr().cast(), target.len()) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// `recv` that never waits. The calls are made directly: libc's own are cancellation points, which costs each of them two
/// more calls, and nothing here is ever cancelled by a thread.
///
/// # Safety
/// `target` must be `room` writable bytes.
unsafe fn recv(fd: RawFd, target: *mut u8, room: usize) -> libc::c_long {
    let (no_address, none) = (std::ptr::null::<libc::sockaddr>(), std::ptr::null::<libc::socklen_t>());
    // SAFETY: the caller's promise; null pointers say that the sender's address is not wanted.
    unsafe { libc::syscall(libc::SYS_recvfrom, fd, target, room, libc::MSG_DONTWAIT, no_address, none) }
}

const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// Sends from the slices in order and gives how many bytes the kernel took, which may be fewer than all.
pub fn send_slices(fd: RawFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: an all-zero msghdr is a valid value of this plain C struct.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = slices.as_ptr().cast_mut().cast();
    message.msg_iovlen = slices.len().min(libc::UIO_MAXIOV as usize);
    // SAFETY: IoSlice has the layout of iovec (documented by std); sendmsg only reads through msg_iov, and the slices
    // outlive the call.
    let sent = unsafe { libc::syscall(libc::SYS_sendmsg, fd, &raw const message, SEND_FLAGS) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Sends from one slice; results as in [`send_slices`].
pub fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let (no_address, none) = (std::ptr::null::<libc::sockaddr>(), 0_usize);
    // SAFETY: `bytes` is a readable slice, borrowed for the whole call; a null address means the connected peer.
    let sent = unsafe {
        libc::syscall(libc::SYS_sendto, fd, bytes.as_ptr(), bytes.len(), SEND_FLAGS, no_address, none)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Ends the directions of a socket; a socket that is already gone is no error.
pub fn shutdown(fd: RawFd, how: std::net::Shutdown) {
    let how = match how {
        std::net::Shutdown::Read => libc::SHUT_RD,
        std::net::Shutdown::Write => libc::SHUT_WR,
        std::net::Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: shutdown takes two integers; a stale descriptor cannot occur because the caller holds the socket.
    unsafe { libc::shutdown(fd, how) };
}

/// Binds the calling thread to one CPU. Fails when the CPU is not allowed for this process.
pub fn pin_thread(cpu: usize) -> io::Result<()> {
    // SAFETY: an all-zero cpu_set_t is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: `cpu` is below CPU_SETSIZE, checked above.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` is a valid cpu_set_t of the given size; 0 names the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The CPUs that this process may run on, in ascending order; empty when the kernel does not say.
pub fn allowed_cpus() -> Vec<usize> {
    // SAFETY: an all-zero cpu_set_t is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid, writable cpu_set_t of the given size.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    if result != 0 {
        return Vec::new();
    }
    // SAFETY: every index is below CPU_SETSIZE.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// Takes the pending error of a socket (`SO_ERROR`), which a finished non-blocking connect leaves there.
pub fn socket_error(fd: RawFd) -> io::Result<Option<io::Error>> {
    let mut code: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `code` and `size` are writable and of the size that SO_ERROR asks for.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut code).cast(), &raw mut size)
    };
    match (result, code) {
        (0, 0) => Ok(None),
        (0, code) => Ok(Some(io::Error::from_raw_os_error(code))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes one waiting connection from a listener: non-blocking, closed on exec. `WouldBlock` when none waits.
pub fn accept(fd: RawFd) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: null pointers say that the peer's address is not wanted.
    let got = unsafe { libc::accept4(fd, std::ptr::null_mut(), std::ptr::null_mut(), flags) };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: accept4 gave a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(got) })
}

/// A timer that fires every `period`: non-blocking, closed on exec. Its descriptor is readable while a firing was not read.
pub fn timer(period: Duration) -> io::Result<OwnedFd> {
    let spec = libc::itimerspec { it_interval: timespec(period), it_value: timespec(period) };
    // SAFETY: timerfd_create takes two integers.
    let got = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: timerfd_create gave a new descriptor that nobody else owns.
    let fd = unsafe { OwnedFd::from_raw_fd(got) };
    // SAFETY: `spec` is readable; a null pointer says that the setting before is not wanted.
    let result = unsafe { libc::timerfd_settime(got, 0, &raw const spec, std::ptr::null_mut()) };
    if result == 0 { Ok(fd) } else { Err(io::Error::last_os_error()) }
}

/// Reads a timer's firings. `WouldBlock` when there are none.
pub fn read_timer(fd: RawFd) -> io::Result<()> {
    let mut count = 0_u64;
    // SAFETY: `count` is writable and of the size given.
    let got = unsafe { libc::read(fd, (&raw mut count).cast(), size_of::<u64>()) };
    if got < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn timespec(duration: Duration) -> libc::timespec {
    // SAFETY: an all-zero timespec is a valid value of this plain C struct.
    let mut spec: libc::timespec = unsafe { std::mem::zeroed() };
    spec.tv_sec = libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX);
    spec.tv_nsec = libc::c_long::from(duration.subsec_nanos() as i32);
    spec
}

/// Sends small segments at once (TCP_NODELAY). Fails on sockets that are not TCP.
pub fn set_nodelay(fd: RawFd) -> io::Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)
}

/// Wakes a writer only when less than `bytes` wait unsent in the kernel, so that a slow reader holds little memory.
pub fn set_notsent_lowat(fd: RawFd, bytes: i32) -> io::Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, bytes)
}

fn set_option(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is readable and of the size given.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the close of a socket a reset (SO_LINGER with no time).
pub fn set_linger_zero(fd: RawFd) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: `linger` is readable and of the size given.
    let result =
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
