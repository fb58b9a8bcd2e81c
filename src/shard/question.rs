//! Questions to the offload thread: each has a deadline, and whoever asks goes on without an answer.

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::Poll;

use super::Shard;
use crate::base::limits::STATE_MS_MAX;
use crate::base::{Refusal, RefusalKind};
use crate::offload::state::{Owner, Question, Reply};
use crate::offload::{Answer, Tenants, ToOffload};

/// Questions that are open, by ticket; the answer stands beside.
#[derive(Default)]
pub struct Questions {
    next_ticket: u64,
    open: HashMap<u64, Option<Answer>>,
}

impl Questions {
    fn begin(&mut self) -> u64 {
        self.next_ticket += 1;
        self.open.insert(self.next_ticket, None);
        self.next_ticket
    }

    /// Takes an answer in. One that nobody waits for any more is forgotten.
    pub fn answered(&mut self, ticket: u64, answer: Answer) {
        if let Some(open) = self.open.get_mut(&ticket) {
            *open = Some(answer);
        }
    }
}

impl Shard {
    /// Asks the offload thread for the metrics page; `None` when it does not answer in time.
    pub(super) async fn ask_for_metrics(&self, within_ms: u64) -> Option<String> {
        match self.ask(within_ms, |ticket| ToOffload::Scrape { shard: self.id, ticket }).await? {
            Answer::Metrics(page) => Some(page),
            Answer::State(_) | Answer::Owners(_) => None,
        }
    }

    /// Asks for what is kept of this owner's.
    pub(super) async fn ask_state(&self, owner: Owner, question: Question) -> Result<Reply, Refusal> {
        let message = |ticket| ToOffload::State { shard: self.id, ticket, owner, question };
        match self.ask(STATE_MS_MAX, message).await {
            Some(Answer::State(reply)) => Ok(reply),
            _ => Err(unavailable("What is kept of earlier responses could not be read in time.")),
        }
    }

    /// Asks whose these objects are; `None` when that is not known in time.
    pub(super) async fn ask_for_owners(&self, objects: Vec<Box<str>>) -> Option<Tenants> {
        let message = |ticket| ToOffload::Owners { shard: self.id, ticket, objects };
        match self.ask(STATE_MS_MAX, message).await? {
            Answer::Owners(tenants) => tenants,
            _ => None,
        }
    }

    async fn ask(&self, within_ms: u64, message: impl FnOnce(u64) -> ToOffload) -> Option<Answer> {
        let ticket = self.questions.borrow_mut().begin();
        let alarm = self.alarms.alarm();
        alarm.set_after(within_ms);
        let is_asked = self.offload.tell(message(ticket));
        let answer = poll_fn(|cx| {
            let answer = self.questions.borrow_mut().open.get_mut(&ticket).and_then(Option::take);
            if answer.is_some() || !is_asked || alarm.poll_late_listening(cx).is_ready() {
                return Poll::Ready(answer);
            }
            Poll::Pending
        });
        let answer = answer.await;
        self.questions.borrow_mut().open.remove(&ticket);
        answer
    }
}

/// The refusal where the offload thread has no answer in time.
pub fn unavailable(message: &'static str) -> Refusal {
    let mut refusal = Refusal::new(503, RefusalKind::Server, "state_unavailable", message);
    refusal.retry_after_s = Some(1);
    refusal
}
