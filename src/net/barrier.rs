//! Panics stop here: a task that panics costs its own exchange, never the shard (monoio itself lets it through).

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::watch;

/// The sign that a future panicked. Its text went to stderr by the panic hook.
#[derive(Debug, PartialEq, Eq)]
pub struct Panicked;

/// A future whose panic is its answer. It must not be polled again after it was ready.
pub struct Barrier<F> {
    future: Pin<Box<F>>,
}

/// Puts a barrier around the future that `make` gives. It is made on the heap, where it stays: a future that was made
/// before would be copied there with all the room for what it has not come to yet.
pub fn barrier<F: Future>(make: impl FnOnce() -> F) -> Barrier<F> {
    // Not `Box::pin`, which is handed what was made. The maker must not be a call of its own: a compiler that follows a profile
    // copies what comes out of one.
    Barrier { future: Box::into_pin(Box::write(Box::new_uninit(), make())) }
}

impl<F: Future> Future for Barrier<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.future.as_mut();
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}

/// Runs a task of this shard to its end, whatever becomes of it. A panic ends the task only.
pub fn spawn<F: Future<Output = ()> + 'static>(future: F) {
    let mut task = barrier(|| future);
    monoio::spawn(poll_fn(move |cx| {
        watch::count_turn();
        Pin::new(&mut task).poll(cx).map(|_: Result<(), Panicked>| ())
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::driver::{self, Driver};

    #[test]
    fn a_panicking_task_leaves_the_shard_and_its_other_tasks_running() {
        for driver in [driver::probe().driver, Driver::Epoll] {
            let answered = driver::run(driver, |_| async {
                let done = std::rc::Rc::new(std::cell::Cell::new(0));
                let seen = done.clone();
                spawn(async { panic!("a task of this test panics on purpose") });
                spawn(async move { seen.set(seen.get() + 1) });
                while done.get() == 0 {
                    driver::sleep(std::time::Duration::from_millis(1)).await;
                }
                barrier(|| async { panic!("so does this future") as u8 }).await
            });
            assert_eq!(answered.expect("the driver runs"), Err(Panicked));
        }
    }
}
