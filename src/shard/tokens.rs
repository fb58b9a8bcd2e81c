//! Access tokens on a shard: asking for one on behalf of the offload thread, and waiting for one.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::Shard;
use super::reach;
use crate::base::limits::TOKEN_WAIT_MS_MAX;
use crate::offload::{ToOffload, Token, TokenQuestion};
use crate::provider::TokenSource;

/// Sends the question and tells the offload thread what came of it.
pub async fn ask(shard: Rc<Shard>, question: Box<TokenQuestion>) {
    let active = shard.active();
    let answer = reach::post_form(&shard, &active, &question).await;
    let answer = answer.map_err(|kind| kind.code().to_owned());
    shard.offload.tell(ToOffload::Token { id: question.source.id, answer });
}

/// The token of this source; the first one is waited for, but not long.
pub async fn wait(shard: &Shard, source: &TokenSource) -> Option<Arc<Token>> {
    let find = || shard.tokens.borrow().find(&source.id, shard.alarms.now_ms()).cloned();
    if let Some(token) = find() {
        return Some(token);
    }
    let alarm = shard.alarms.alarm();
    alarm.set_after(TOKEN_WAIT_MS_MAX);
    poll_fn(|cx| match find() {
        Some(token) => Poll::Ready(Some(token)),
        None => alarm.poll_late_listening(cx).map(|()| None),
    })
    .await
}
