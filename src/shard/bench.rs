//! A shard that is handed its connections, for measuring exchanges over streams in memory. Everything behind the accept
//! and the dial is what `serve` runs.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::{Loads, Shard, connection};
use crate::base::clock;
use crate::net::alarm::Alarms;
use crate::net::conn::Conn;
use crate::offload::{Compiled, Managed, Offload};

/// The shard; lives on the thread whose event loop is running.
pub struct Bench {
    shard: Rc<Shard>,
}

impl Bench {
    pub fn new(compiled: Arc<Compiled>, offload: Offload) -> Bench {
        let alarms = Alarms::default();
        alarms.tick(clock::monotonic_us() / 1000);
        let shard = Shard::new(0, "bench", compiled, offload, Vec::new(), Arc::new(Loads::new(1)), &alarms);
        let settled = Managed { is_settled: true, ..(**shard.managed.borrow()).clone() };
        *shard.managed.borrow_mut() = Arc::new(settled);
        Bench { shard: Rc::new(shard) }
    }

    /// Puts a connection into the pool of the first provider, as if an answer had just been read from it. The provider's
    /// host is an address, which the connection is taken to have been dialled to.
    pub fn pool(&self, mut conn: Conn) {
        let active = self.shard.active();
        let upstream = &active.upstreams[0];
        let origin = &upstream.provider.origin;
        conn.dialled = origin.host.parse().ok().map(|ip| SocketAddr::new(ip, origin.port));
        assert!(upstream.names.is_current(&conn), "the provider's host is an address");
        upstream.pool.put(Box::new(conn), self.shard.alarms.now_ms(), usize::MAX);
    }

    /// Serves a client's connection to its end.
    pub async fn serve(&self, conn: Conn) {
        connection::serve(&self.shard, conn).await;
    }
}
