//! A simulated provider: what the README, the tests and the load tests stand on. Speaks the dialects that providers speak,
//! fast, and misbehaves on request. Shares the gateway's wires and sockets, and none of its decisions: every shape is
//! written here once more, so that a mistake there cannot hide itself.

mod answer;
mod behaviour;
mod connection;
mod converse;
mod dialect;
mod frame;
mod gemini;
mod last;
mod messages;
mod openai;
mod plain;
mod question;
mod responses;
mod schema;
mod script;
mod send;
mod shelf;
#[cfg(test)]
mod testing;

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use self::last::Last;
pub use self::shelf::Shelf;
use crate::net::alarm::Alarms;
use crate::net::barrier;
use crate::net::buffer::Buffers;
use crate::net::conn::Conn;
use crate::net::driver::{self, Driver};
use crate::net::listen::Listener;

/// What the connections of one event loop share.
pub(crate) struct World {
    alarms: Alarms,
    buffers: Buffers,
    last: Last,
    shelf: Arc<Shelf>,
}

/// Serves one listener on the calling thread, for ever. The loops of one provider share a shelf.
pub fn run(driver: Driver, fd: OwnedFd, shelf: Arc<Shelf>) -> io::Result<()> {
    driver::run(driver, move |_| serve(fd, shelf))?
}

async fn serve(fd: OwnedFd, shelf: Arc<Shelf>) -> io::Result<()> {
    let world = Rc::new(World {
        alarms: Alarms::default(),
        buffers: Buffers::default(),
        last: Last::default(),
        shelf,
    });
    barrier::spawn(world.alarms.clone().tick_forever(Alarms::ticker()?));
    let mut listener = Listener::new(fd)?;
    loop {
        let fd = poll_fn(|cx| listener.poll_accept(cx)).await?;
        let conn = Conn::plain(fd)?;
        let world = world.clone();
        barrier::spawn(async move { connection::serve(&world, conn).await });
    }
}
