//! A shard that is handed its connections, for measuring exchanges over streams in memory. Everything behind the accept
//! and the dial is what `serve` runs.

use std::rc::Rc;
use std::sync::Arc;

use super::{Loads, Shard, connection};
use crate::base::clock;
use crate::net::alarm::Alarms;
use crate::net::conn::Conn;
use crate::offload::{Compiled, Offload};

/// The shard; lives on the thread whose event loop is running.
pub struct Bench {
    shard: Rc<Shard>,
}

impl Bench {
    pub fn new(compiled: Arc<Compiled>, offload: Offload) -> Bench {
        let alarms = Alarms::default();
        alarms.tick(clock::monotonic_us() / 1000);
        let shard = Shard::new(0, "bench", compiled, offload, Vec::new(), Arc::new(Loads::new(1)), &alarms);
        Bench { shard: Rc::new(shard) }
    }

    /// Puts a connection into the pool of the first provider, as if an answer had just been read from it.
    pub fn pool(&self, conn: Conn) {
        self.shard.active().upstreams[0].pool.put(conn, self.shard.alarms.now_ms(), usize::MAX);
    }

    /// Serves a client's connection to its end.
    pub async fn serve(&self, conn: Conn) {
        connection::serve(&self.shard, conn).await;
    }
}
