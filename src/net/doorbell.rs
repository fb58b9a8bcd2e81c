//! How another thread reaches a shard: a bounded queue and a bell. The bell rings only when the shard may be asleep.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::task::{Context, Poll, ready};

use super::socket::Socket;
use crate::base::limits::INBOX_MESSAGES_MAX;

/// The sending side, for any thread.
pub struct Mailbox<M> {
    queue: SyncSender<M>,
    bell: Arc<Bell>,
}

struct Bell {
    /// Set by the sender that rang, cleared by the shard before it looks into the queue.
    rung: AtomicBool,
    wire: UnixStream,
}

/// The receiving side before it reached its thread.
pub struct Unopened<M> {
    queue: Receiver<M>,
    bell: Arc<Bell>,
    wire: UnixStream,
}

/// The receiving side, on the shard's thread.
pub struct Inbox<M> {
    queue: Receiver<M>,
    bell: Arc<Bell>,
    socket: Socket,
}

/// A queue of [`INBOX_MESSAGES_MAX`] messages with its bell.
pub fn mailbox<M>() -> io::Result<(Mailbox<M>, Unopened<M>)> {
    let (send, receive) = sync_channel(INBOX_MESSAGES_MAX);
    let (ring, heard) = UnixStream::pair()?;
    ring.set_nonblocking(true)?;
    heard.set_nonblocking(true)?;
    let bell = Arc::new(Bell { rung: AtomicBool::new(false), wire: ring });
    Ok((Mailbox { queue: send, bell: bell.clone() }, Unopened { queue: receive, bell, wire: heard }))
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Mailbox { queue: self.queue.clone(), bell: self.bell.clone() }
    }
}

impl<M> Mailbox<M> {
    /// Leaves a message; gives it back when the queue is full or the shard is gone. Never waits.
    pub fn tell(&self, message: M) -> Result<(), M> {
        match self.queue.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => return Err(message),
        }
        if !self.bell.rung.swap(true, Ordering::AcqRel) {
            // A full pipe already means that the shard will wake.
            let _ = io::Write::write(&mut &self.bell.wire, &[1]);
        }
        Ok(())
    }
}

impl<M> Unopened<M> {
    /// Opens the inbox on the thread that will read it.
    pub fn open(self) -> io::Result<Inbox<M>> {
        Ok(Inbox { queue: self.queue, bell: self.bell, socket: Socket::new(self.wire.into())? })
    }
}

impl<M> Inbox<M> {
    /// The next message; waits until there is one.
    pub async fn next(&mut self) -> io::Result<M> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Ready with the next message.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<M>> {
        loop {
            if let Ok(message) = self.queue.try_recv() {
                return Poll::Ready(Ok(message));
            }
            // The bell is silenced before the last look, so a message that comes after it rings again.
            self.bell.rung.swap(false, Ordering::AcqRel);
            if let Ok(message) = self.queue.try_recv() {
                return Poll::Ready(Ok(message));
            }
            ready!(self.socket.poll_readable(cx))?;
            let mut rings = [0; 64];
            if self.socket.try_recv(&mut rings)? == Some(0) {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::driver::{self, Driver};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the other thread of this test")]
    fn every_message_of_another_thread_arrives_in_order() {
        for driver in [driver::probe().driver, Driver::Epoll] {
            let (mailbox, unopened) = mailbox::<u32>().expect("a socket pair");
            let sender = std::thread::Builder::new().spawn(move || {
                for number in 0..20_000 {
                    while mailbox.tell(number).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
            let sum = driver::run(driver, |_| async {
                let mut inbox = unopened.open().expect("a socket");
                for number in 0..20_000 {
                    assert_eq!(inbox.next().await.expect("the sender lives"), number);
                }
            });
            sum.expect("the loop runs");
            sender.expect("a thread").join().expect("the sender ends well");
        }
    }
}
