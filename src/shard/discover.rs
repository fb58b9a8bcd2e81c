//! Asking the providers which models they offer: at the start, after new settings, and every so often. Runs on the
//! first shard; the lists are read on the offload thread. The price list is asked for here on its behalf.

use std::rc::Rc;

use super::Shard;
use super::active::{Active, Upstream};
use super::reach;
use crate::base::limits::MODEL_LIST_BYTES_MAX;
use crate::dialect::endpoint::Endpoint;
use crate::net::barrier;
use crate::offload::{Level, PriceQuestion, ToOffload, catalogue};

/// Asks all providers again and again, as the settings say.
pub async fn forever(shard: Rc<Shard>) {
    let alarm = shard.alarms.alarm();
    loop {
        let active = shard.active();
        for upstream in &active.upstreams {
            if catalogue::is_asked(&upstream.provider, active.snapshot().models.configured_mode) {
                barrier::spawn(ask(shard.clone(), active.clone(), upstream.clone()));
            }
        }
        let generation = active.compiled.generation;
        alarm.set_after(active.snapshot().models.refresh_interval_ms);
        drop(active);
        // New settings are asked for at once.
        std::future::poll_fn(|cx| {
            if shard.active().compiled.generation != generation {
                return std::task::Poll::Ready(());
            }
            alarm.poll_late_listening(cx)
        })
        .await;
    }
}

/// Asks one provider and tells the offload thread what came of it.
async fn ask(shard: Rc<Shard>, active: Rc<Active>, upstream: Rc<Upstream>) {
    let target =
        upstream.provider.route(Endpoint::Models).map(|route| route.target.clone()).unwrap_or_default();
    let result = reach::get(&shard, &active, &upstream, &target, MODEL_LIST_BYTES_MAX).await;
    let body = match result {
        Ok((200, body)) => Some(body),
        Ok((status, _)) => {
            log(&shard, &upstream, &format!("status {status}"));
            None
        }
        Err(kind) => {
            log(&shard, &upstream, kind.sentence());
            None
        }
    };
    shard.offload.tell(ToOffload::Listed {
        generation: active.compiled.generation,
        provider: upstream.index,
        body,
    });
}

fn log(shard: &Shard, upstream: &Upstream, what: &str) {
    shard.log(Level::Warn, format!("the models of {} are not known: {what}", upstream.provider.name));
}

/// Fetches the price list and tells the offload thread what came of it.
pub async fn ask_prices(shard: Rc<Shard>, question: Box<PriceQuestion>) {
    let active = shard.active();
    let answer = reach::get_prices(&shard, &active, &question).await;
    let answer = answer.map_err(|kind| kind.code().to_owned());
    shard.offload.tell(ToOffload::Prices { number: question.number, answer });
}
