//! The price list that is fetched: asked for when it is due, read aside, and put in force. A list that cannot be had or
//! read leaves the prices before in force, and says so. A shard sends the question, for it has the sockets.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

mod kept;

use kept::Kept;

use super::log::Level;
use super::manage::{Manager, Origin};
use super::{ToShard, dns};
use crate::base::clock;
use crate::base::limits::{PRICE_LIST_AGAIN_MS, PRICE_LIST_MS_MAX};
use crate::config::{PriceUrl, read_price_list};
use crate::ledger::price::{Catalogue, day_of};
use crate::net::doorbell::Mailbox;

/// A question for the list, ready to be sent.
pub struct PriceQuestion {
    pub source: Arc<PriceUrl>,
    /// Those of the proxy where there is one.
    pub addresses: Vec<SocketAddr>,
    /// Which question it is: an answer that comes too late is not taken for another one's.
    pub number: u64,
}

type Answer = Result<(u16, Vec<u8>), String>;

/// Keeps the list fresh.
pub struct Keeper {
    manager: Rc<Manager>,
    /// The inbox of the shard that asks.
    shard: Mailbox<ToShard>,
    waiting: RefCell<Option<oneshot::Sender<Answer>>>,
    number: Cell<u64>,
}

impl Keeper {
    pub fn new(manager: Rc<Manager>, shard: Mailbox<ToShard>) -> Keeper {
        Keeper { manager, shard, waiting: RefCell::default(), number: Cell::new(0) }
    }

    /// Fetches whenever it is due, or asked for, for as long as the process lives.
    pub async fn run(self: Rc<Self>) {
        loop {
            let source = self.manager.compiled().snapshot.prices.fetched.clone();
            let Some(source) = source else {
                self.manager.forget_prices();
                self.manager.prices_due.notified().await;
                continue;
            };
            if self.manager.price_list().url != source.url {
                self.take_kept(&source).await;
            }
            let wait_ms = match self.fetch(&source).await {
                Ok((catalogue, fetched_ms)) => {
                    let line = format!("prices of {} are in force: {}", catalogue.date, source.url);
                    self.manager.set_prices(&source.url, catalogue, fetched_ms, Origin::Fetched);
                    self.manager.log(Level::Info, line);
                    source.refresh_ms
                }
                Err(what) => {
                    let line = format!("the prices before stay in force: {}: {what}", source.url);
                    self.manager.log(Level::Warn, line);
                    self.manager.miss_prices(&source.url, what);
                    source.refresh_ms.min(PRICE_LIST_AGAIN_MS)
                }
            };
            // Woken or not: what follows is the same.
            let wait = Duration::from_millis(wait_ms);
            let _ = tokio::time::timeout(wait, self.manager.prices_due.notified()).await;
        }
    }

    /// The list, and when it was fetched in milliseconds since 1970: the time that is kept with it.
    async fn fetch(&self, source: &Arc<PriceUrl>) -> Result<(Catalogue, u64), String> {
        let (send, receive) = oneshot::channel();
        *self.waiting.borrow_mut() = Some(send);
        self.number.set(self.number.get() + 1);
        self.ask(source).map_err(|error| format!("nobody can look its address up: {error}"))?;
        // The shard gives up by itself before; a look-up may take longer than a fetch.
        let limit = Duration::from_millis(2 * PRICE_LIST_MS_MAX);
        let answer = tokio::time::timeout(limit, receive).await;
        let (status, body) = match answer {
            Ok(Ok(answer)) => answer.map_err(|code| format!("it cannot be fetched ({code})"))?,
            _ => return Err("it was not fetched in time".to_owned()),
        };
        if status != 200 {
            return Err(format!("it was answered with status {status}"));
        }
        let text = String::from_utf8(body).map_err(|_| "it is no UTF-8".to_owned())?;
        let (url, names) = (source.url.clone(), self.manager.compiled().snapshot.prices.names.clone());
        let data_dir = self.manager.compiled().snapshot.data_dir.clone();
        // Reading it takes some tens of milliseconds.
        let read = tokio::task::spawn_blocking(move || {
            let fetched_ms = clock::wall_ms();
            let catalogue = read_price_list(&text, &url, &day_of(fetched_ms / 1000), &names)?;
            let written = kept::write(&data_dir, &url, &Kept { fetched_ms, text });
            Ok((catalogue, fetched_ms, written))
        });
        let (catalogue, fetched_ms, written) =
            read.await.unwrap_or_else(|_| Err("it cannot be read".to_owned()))?;
        if let Err(error) = written {
            let line = format!("the price list is in force and not kept for the next start: {error}");
            self.manager.log(Level::Warn, line);
        }
        Ok((catalogue, fetched_ms))
    }

    /// Puts the list in force that the process before fetched from the same place, until it is fetched anew.
    async fn take_kept(&self, source: &Arc<PriceUrl>) {
        let (url, snapshot) = (source.url.clone(), self.manager.compiled().snapshot.clone());
        let read = tokio::task::spawn_blocking(move || {
            let Some(kept) = kept::read(&snapshot.data_dir, &url).map_err(|error| error.to_string())? else {
                return Ok(None);
            };
            let day = day_of(kept.fetched_ms / 1000);
            let catalogue = read_price_list(&kept.text, &url, &day, &snapshot.prices.names)?;
            Ok(Some((catalogue, kept.fetched_ms)))
        });
        match read.await.unwrap_or_else(|_| Err("it cannot be read".to_owned())) {
            Ok(Some((catalogue, fetched_ms))) => {
                let line = format!(
                    "prices of {} are in force, kept since the last start: {}",
                    catalogue.date, source.url
                );
                self.manager.set_prices(&source.url, catalogue, fetched_ms, Origin::Kept);
                self.manager.log(Level::Info, line);
            }
            Ok(None) => {}
            Err(what) => {
                let line = format!("the price list of the last start cannot be read: {what}");
                self.manager.log(Level::Warn, line);
            }
        }
    }

    fn ask(&self, source: &Arc<PriceUrl>) -> std::io::Result<()> {
        let (host, port) = match &source.proxy {
            Some(proxy) => (proxy.host.clone(), proxy.port),
            None => (source.origin.host.clone(), source.origin.port),
        };
        let (mailbox, source, number) = (self.shard.clone(), source.clone(), self.number.get());
        dns::resolve_aside(host, port, move |_, addresses| {
            // What gets lost here is asked for again.
            let _ = mailbox.tell(ToShard::AskPrices(Box::new(PriceQuestion { source, addresses, number })));
        })
    }

    /// What the shard was answered.
    pub fn answered(&self, number: u64, answer: Answer) {
        if number != self.number.get() {
            return;
        }
        if let Some(waiting) = self.waiting.borrow_mut().take() {
            // Whoever waited may have given up.
            let _ = waiting.send(answer);
        }
    }
}
