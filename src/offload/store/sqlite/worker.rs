//! A thread with a connection to SQLite, whose calls would hold up any other.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::oneshot;

use super::super::error::{ErrorKind, StoreError};
use super::super::packed;

type Job = Box<dyn FnOnce(&mut Thread) + Send>;

/// What a thread of the store has.
pub struct Thread {
    pub connection: Connection,
    pub kept: packed::Kept,
}

/// A thread with a connection, which does one thing after the other.
pub struct Worker {
    jobs: Sender<Job>,
    interrupt: InterruptHandle,
    call_ms_max: u64,
}

impl Worker {
    #[expect(clippy::disallowed_methods, reason = "the one place that starts the threads of the store")]
    pub async fn start(
        name: &str,
        call_ms_max: u64,
        open: impl FnOnce() -> Result<Connection, StoreError> + Send + 'static,
    ) -> Result<Worker, StoreError> {
        let (jobs, queue) = channel::<Job>();
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut held = match open() {
                Ok(connection) => Thread { connection, kept: packed::Kept::default() },
                Err(error) => return drop(tell.send(Err(error))),
            };
            let _ = tell.send(Ok(held.connection.get_interrupt_handle()));
            for job in queue {
                job(&mut held);
            }
        });
        thread.map_err(|error| StoreError::new(ErrorKind::Down, format_args!("no thread: {error}")))?;
        Ok(Worker { jobs, interrupt: told.await.unwrap_or_else(|_| Err(gone()))?, call_ms_max })
    }

    /// [`Worker::call_with`], for work that needs the connection alone.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call_with(move |held| work(&mut held.connection)).await
    }

    /// Has the work done and waits for it. Work that takes too long is interrupted; so may be the one behind it, which can
    /// be tried again.
    pub async fn call_with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Thread) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        let job = move |held: &mut Thread| {
            // Nobody waits any more for what comes too late.
            let _ = tell.send(work(held));
        };
        self.jobs.send(Box::new(job)).map_err(|_| gone())?;
        match tokio::time::timeout(Duration::from_millis(self.call_ms_max), told).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(gone())),
            Err(_) => {
                self.interrupt.interrupt();
                Err(StoreError::new(ErrorKind::Late, "the call was given up"))
            }
        }
    }
}

fn gone() -> StoreError {
    StoreError::new(ErrorKind::Down, "the thread of the store has ended")
}
