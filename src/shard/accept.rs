//! Taking connections in, and keeping the shards even: a connection goes to the shard that has the fewest.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;

use super::{Shard, connection};
use crate::base::limits::{ACCEPT_PAUSE_MS, ACCEPTS_PER_TURN_MAX};
use crate::net::barrier;
use crate::net::conn::Conn;
use crate::net::listen::Listener;
use crate::offload::ToShard;

/// A running acceptor; stopping it closes its listener.
pub struct Acceptor {
    is_stopped: Rc<Cell<bool>>,
    shard: Rc<Shard>,
}

impl Acceptor {
    /// Ends it after the connections that already wait in its queue.
    pub fn stop(self) {
        self.is_stopped.set(true);
        self.shard.alarms.wake_all();
    }
}

/// Starts taking connections from a bound listener.
pub fn start(shard: &Rc<Shard>, fd: OwnedFd) -> io::Result<Acceptor> {
    let listener = Listener::new(fd)?;
    let is_stopped = Rc::new(Cell::new(false));
    shard.acceptors_running.set(shard.acceptors_running.get() + 1);
    let (counted, stopped) = (shard.clone(), is_stopped.clone());
    barrier::spawn(async move {
        accept_until_stopped(counted.clone(), listener, stopped).await;
        counted.acceptors_running.set(counted.acceptors_running.get() - 1);
        counted.alarms.tell_news();
    });
    Ok(Acceptor { is_stopped, shard: shard.clone() })
}

async fn accept_until_stopped(shard: Rc<Shard>, mut listener: Listener, is_stopped: Rc<Cell<bool>>) {
    let alarm = shard.alarms.alarm();
    loop {
        let accepted = poll_fn(|cx| match listener.poll_accept(cx) {
            Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
            Poll::Pending if is_stopped.get() => Poll::Ready(None),
            // Never late: the alarm is there so that a stop wakes this task.
            Poll::Pending => alarm.poll_late(cx).map(|()| None),
        });
        match accepted.await {
            None => return listener.stop(),
            Some(Ok(fd)) => {
                place(&shard, fd);
                for _ in 1..ACCEPTS_PER_TURN_MAX {
                    let Ok(Some(fd)) = listener.try_accept() else { break };
                    place(&shard, fd);
                }
            }
            Some(Err(error)) => {
                // Out of descriptors or memory: others must get the time to give some back.
                shard.log(crate::offload::Level::Warn, format!("cannot accept connections: {error}"));
                let pause = shard.alarms.alarm();
                pause.set_after(ACCEPT_PAUSE_MS);
                pause.late().await;
            }
        }
    }
}

/// Gives a new connection to the shard with the fewest.
fn place(shard: &Rc<Shard>, fd: OwnedFd) {
    shard.counters.borrow_mut().connections_accepted += 1;
    let best = shard.loads.best(shard.id);
    let is_open = shard.loads.add(best);
    if best == shard.id {
        return take(shard, fd);
    }
    if !is_open {
        shard.loads.remove(best);
        shard.loads.add(shard.id);
        return take(shard, fd);
    }
    shard.counters.borrow_mut().connections_handed_over += 1;
    if let Err(ToShard::Accepted { fd }) = shard.peers[best].tell(ToShard::Accepted { fd }) {
        // Its inbox is full: it is busier than its count says.
        shard.loads.remove(best);
        shard.loads.add(shard.id);
        take(shard, fd);
    }
}

/// Takes a connection, accepted here or handed over; it is counted already.
pub fn take(shard: &Rc<Shard>, fd: OwnedFd) {
    let counted = Counted { shard: shard.clone() };
    match Conn::plain(fd) {
        Ok(conn) => barrier::spawn(async move { connection::serve(&counted.shard, conn).await }),
        Err(error) => {
            shard.log(crate::offload::Level::Warn, format!("a connection cannot be served: {error}"))
        }
    }
}

/// A connection in the shard's count, until it is dropped.
struct Counted {
    shard: Rc<Shard>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shard.loads.remove(self.shard.id);
        if self.shard.is_draining.get() {
            self.shard.alarms.tell_news();
        }
    }
}
