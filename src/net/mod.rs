//! The only room that names monoio: sockets, TLS, timers, pools, buffers. It knows no JSON and no policy.
//!
//! The ring (or epoll) says *when* a socket can move; the bytes are moved by `recv` and `sendmsg` at that moment. So no
//! buffer is ever owned by the kernel, a dropped wait loses nothing, and an idle connection holds no buffer
//! (`docs/adr/0002-readiness-by-ring-bytes-by-call.md`).

pub mod alarm;
pub mod barrier;
pub mod buffer;
pub mod conn;
pub mod dial;
pub mod doorbell;
pub mod driver;
pub mod listen;
pub mod pool;
pub mod socket;
mod sys;
pub mod timer;
pub mod tls;
mod watch;

pub use watch::looked_us;
