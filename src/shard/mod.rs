//! One CPU's world: accept, exchange, relay, settle. Owns everything that a request touches; holds no lock and makes no
//! blocking call.

mod accept;
mod active;
mod answer;
mod asking;
mod attempt;
mod batch;
#[doc(hidden)]
pub mod bench;
mod billed;
mod body;
mod call;
mod caller;
mod capture;
mod client;
mod collection;
mod connection;
mod count;
mod credential;
mod discover;
mod entry;
mod exchange;
mod familiar;
pub mod fuzz;
mod headers;
mod hold;
mod inline;
mod inside;
mod instead;
mod inward;
mod listing;
mod meaning;
mod models;
mod naming;
mod once;
mod outgoing;
mod owners;
mod pages;
mod question;
mod reach;
mod recall;
mod relay;
mod replace;
mod route;
mod standing;
mod stored;
mod stream;
mod tally;
mod tokens;
mod transcode;
mod upload;
mod watch;
mod work;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::base::clock;
use crate::base::id::Ids;
use crate::base::limits::POOL_SWEEP_MS;
use crate::journal::Writer;
use crate::net::alarm::Alarms;
use crate::net::barrier;
use crate::net::buffer::Buffers;
use crate::net::doorbell::{Inbox, Mailbox, Unopened};
use crate::net::driver::{self, Driver};
use crate::offload::metrics::Counters;
use crate::offload::{Catalogue, Compiled, Managed, Offload, ToShard, Tokens};
use crate::policy::reserve::Observed;

use active::Active;
use entry::Priced;
use familiar::Familiar;
use question::Questions;
use work::Works;

/// What a shard is made from, on the thread that starts it.
pub struct Plan {
    pub id: usize,
    pub cpu: Option<usize>,
    pub driver: Driver,
    /// Bound listeners, one per address.
    pub listeners: Vec<OwnedFd>,
    pub inbox: Unopened<ToShard>,
    pub peers: Vec<Mailbox<ToShard>>,
    pub loads: Arc<Loads>,
    pub offload: Offload,
    pub compiled: Arc<Compiled>,
    /// What it decides by at first; the same for all shards, as they count together.
    pub managed: Arc<Managed>,
    /// The shard's journal, where records are kept.
    pub journal: Option<Writer>,
}

/// How many client connections each shard holds: written when one comes or goes, read when one is accepted.
pub struct Loads {
    counts: Vec<Padded>,
}

/// Alone on its cache lines, so that shards do not slow each other down.
#[repr(align(128))]
#[derive(Default)]
struct Padded {
    count: AtomicUsize,
    /// The shard drains: nobody may hand connections over to it.
    is_closed: AtomicBool,
}

impl Loads {
    pub fn new(shards: usize) -> Loads {
        Loads { counts: (0..shards).map(|_| Padded::default()).collect() }
    }

    /// Counts a connection in. False when the shard is closed to others; the order of the two steps, and of those in
    /// [`Loads::is_finished`], is what keeps a connection from being handed to a shard that has just gone.
    fn add(&self, shard: usize) -> bool {
        self.counts[shard].count.fetch_add(1, Ordering::SeqCst);
        !self.counts[shard].is_closed.load(Ordering::SeqCst)
    }

    fn remove(&self, shard: usize) {
        self.counts[shard].count.fetch_sub(1, Ordering::SeqCst);
    }

    fn of(&self, shard: usize) -> usize {
        self.counts[shard].count.load(Ordering::Relaxed)
    }

    /// Closes the shard to connections of others; true when it has none.
    fn is_finished(&self, shard: usize) -> bool {
        self.counts[shard].is_closed.store(true, Ordering::SeqCst);
        self.counts[shard].count.load(Ordering::SeqCst) == 0
    }

    /// All connections of the process.
    fn total(&self) -> usize {
        (0..self.counts.len()).map(|shard| self.of(shard)).sum()
    }

    /// The shard that should take a connection accepted by `own`: itself, unless another has fewer.
    fn best(&self, own: usize) -> usize {
        let is_open = |shard: &usize| !self.counts[*shard].is_closed.load(Ordering::Relaxed);
        let least = (0..self.counts.len()).filter(is_open).min_by_key(|&shard| self.of(shard)).unwrap_or(own);
        if self.of(least) < self.of(own) { least } else { own }
    }
}

/// A running shard.
pub(crate) struct Shard {
    id: usize,
    alarms: Alarms,
    buffers: Buffers,
    works: Works,
    /// Heads that were read before, shared by the connections that say them.
    familiar: RefCell<VecDeque<Rc<Familiar>>>,
    ids: Ids,
    active: RefCell<Rc<Active>>,
    catalogue: RefCell<Arc<Catalogue>>,
    tokens: RefCell<Arc<Tokens>>,
    counters: RefCell<Box<Counters>>,
    offload: Offload,
    peers: Vec<Mailbox<ToShard>>,
    loads: Arc<Loads>,
    is_draining: Cell<bool>,
    /// Acceptors that may still take connections from their queues.
    acceptors_running: Cell<usize>,
    /// Bytes of request bodies that are held.
    held_bytes: Rc<Cell<usize>>,
    /// Bytes of bodies on their way to the audit log.
    captured_bytes: Rc<Cell<usize>>,
    questions: RefCell<Questions>,
    /// The wall clock less the monotonic one, in milliseconds.
    wall_offset_ms: Cell<u64>,
    journal: RefCell<Option<Writer>>,
    managed: RefCell<Arc<Managed>>,
    prices: Priced,
    owners: owners::Near,
    /// What answers were like, to reserve by.
    observed: RefCell<Observed>,
}

/// Runs a shard on the calling thread until it has drained. Errors are those of its first steps.
pub fn run(plan: Plan) -> io::Result<()> {
    if let Some(cpu) = plan.cpu
        && let Err(error) = driver::pin_thread(cpu)
    {
        let line = format!("shard {} runs unpinned: CPU {cpu}: {error}", plan.id);
        plan.offload.log(crate::offload::Level::Warn, line);
    }
    let driver = plan.driver;
    driver::run(driver, move |running| serve(plan, running))?
}

async fn serve(plan: Plan, running: Driver) -> io::Result<()> {
    let mut inbox = plan.inbox.open()?;
    if running.name() != plan.driver.name() {
        let line = format!("shard {}: no memory for its ring: it runs on {}", plan.id, running.name());
        plan.offload.log(crate::offload::Level::Warn, line);
    }
    let alarms = Alarms::default();
    alarms.tick(clock::monotonic_us() / 1000);
    let name = running.name();
    let mut shard = Shard::new(plan.id, name, plan.compiled, plan.offload, plan.peers, plan.loads, &alarms);
    shard.managed = RefCell::new(plan.managed);
    let mut journal = plan.journal;
    journal.iter_mut().for_each(Writer::prepare);
    shard.journal = RefCell::new(journal);
    let shard = Rc::new(shard);
    barrier::spawn(alarms.tick_forever(Alarms::ticker()?));
    barrier::spawn(keep_house(shard.clone()));
    let mut acceptors = Vec::new();
    for fd in plan.listeners {
        acceptors.push(accept::start(&shard, fd)?);
    }
    if shard.id == 0 {
        barrier::spawn(discover::forever(shard.clone()));
    }
    hear_until_drained(&shard, &mut inbox, acceptors).await
}

/// Works the inbox off until a drain was asked for and the last connection is gone.
async fn hear_until_drained(
    shard: &Rc<Shard>,
    inbox: &mut Inbox<ToShard>,
    acceptors: Vec<accept::Acceptor>,
) -> io::Result<()> {
    let mut acceptors = Some(acceptors);
    // Never set: it is there to hear the news that the last connection is gone.
    let alarm = shard.alarms.alarm();
    loop {
        let heard = std::future::poll_fn(|cx| {
            let accepts_no_more = shard.is_draining.get() && shard.acceptors_running.get() == 0;
            if accepts_no_more && shard.loads.is_finished(shard.id) {
                return std::task::Poll::Ready(None);
            }
            if alarm.poll_late_listening(cx).is_ready() {
                return std::task::Poll::Ready(None);
            }
            inbox.poll_next(cx).map(Some)
        });
        match heard.await {
            None => return Ok(()),
            Some(Err(error)) => return Err(error),
            Some(Ok(ToShard::Drain)) => {
                shard.is_draining.set(true);
                acceptors.take().into_iter().flatten().for_each(accept::Acceptor::stop);
                shard.alarms.wake_all();
            }
            Some(Ok(message)) => hear(shard, message),
        }
    }
}

fn hear(shard: &Rc<Shard>, message: ToShard) {
    match message {
        ToShard::Accepted { fd } => accept::take(shard, fd),
        ToShard::Resolved { host, port, addresses } => {
            shard.active().resolved(&host, port, addresses, shard.alarms.now_ms());
            shard.alarms.tell_news();
        }
        ToShard::Catalogue(catalogue) => {
            *shard.catalogue.borrow_mut() = catalogue;
            shard.alarms.tell_news();
        }
        ToShard::Tokens(tokens) => {
            *shard.tokens.borrow_mut() = tokens;
            shard.alarms.tell_news();
        }
        ToShard::AskToken(question) => barrier::spawn(tokens::ask(shard.clone(), question)),
        ToShard::AskPrices(question) => barrier::spawn(discover::ask_prices(shard.clone(), question)),
        ToShard::Settings(compiled) => {
            let before = shard.active();
            *shard.active.borrow_mut() = Rc::new(Active::new(compiled, Some(&before)));
            shard.alarms.tell_news();
        }
        ToShard::Managed(managed) => {
            *shard.managed.borrow_mut() = managed;
            shard.alarms.tell_news();
        }
        ToShard::Report(reply) => {
            let report = shard.report();
            // The scrape may have given up.
            let _ = reply.try_send((shard.id, report));
        }
        ToShard::Answer { ticket, answer } => {
            shard.questions.borrow_mut().answered(ticket, answer);
            shard.alarms.tell_news();
        }
        ToShard::Drain => {}
    }
}

/// Small regular work: closes idle upstream connections that are too old or gone, looks old addresses up again, and
/// follows the wall clock.
async fn keep_house(shard: Rc<Shard>) {
    let alarm = shard.alarms.alarm();
    loop {
        let (wall_ms, monotonic_ms) = (clock::wall_ms(), clock::monotonic_us() / 1000);
        shard.wall_offset_ms.set(wall_ms.saturating_sub(monotonic_ms));
        let active = shard.active();
        active.sweep(shard.alarms.now_ms());
        active.due_names(shard.alarms.now_ms()).for_each(|names| reach::ask_for(&shard, names));
        alarm.set_after(POOL_SWEEP_MS);
        // A drain wakes everybody; house-keeping just goes round once more.
        alarm.late().await;
    }
}

impl Shard {
    fn new(
        id: usize,
        driver: &'static str,
        compiled: Arc<Compiled>,
        offload: Offload,
        peers: Vec<Mailbox<ToShard>>,
        loads: Arc<Loads>,
        alarms: &Alarms,
    ) -> Shard {
        let counters = Counters { driver, ..Counters::default() };
        // What the settings say, until the offload thread has read the store.
        let managed = Arc::new(Managed::of_settings(&compiled.snapshot));
        Shard {
            id,
            alarms: alarms.clone(),
            buffers: Buffers::default(),
            works: Works::default(),
            familiar: RefCell::default(),
            ids: Ids::default(),
            active: RefCell::new(Rc::new(Active::new(compiled, None))),
            catalogue: RefCell::default(),
            tokens: RefCell::default(),
            counters: RefCell::new(Box::new(counters)),
            offload,
            peers,
            loads,
            is_draining: Cell::new(false),
            acceptors_running: Cell::new(0),
            held_bytes: Rc::default(),
            captured_bytes: Rc::default(),
            questions: RefCell::default(),
            wall_offset_ms: Cell::new(0),
            journal: RefCell::default(),
            managed: RefCell::new(managed),
            prices: Priced::default(),
            owners: owners::Near::default(),
            observed: RefCell::default(),
        }
    }

    /// The settings of this moment. An exchange keeps those it began with.
    fn active(&self) -> Rc<Active> {
        self.active.borrow().clone()
    }

    /// The wall clock as limits and headers need it; it goes on with the shard's beat, 20 times a second.
    fn wall_ms(&self) -> u64 {
        self.alarms.now_ms() + self.wall_offset_ms.get()
    }

    /// What the wall clock showed at this moment of the monotonic clock, as records need it.
    fn wall_ms_at(&self, monotonic_us: u64) -> u64 {
        monotonic_us / 1000 + self.wall_offset_ms.get()
    }

    /// A copy of the counters, with the gauges of this moment.
    fn report(&self) -> Box<Counters> {
        let mut counters = self.counters.borrow_mut();
        counters.connections_open = self.loads.of(self.id) as u64;
        for (name, idle, busy) in self.active().pools() {
            let provider = counters.provider(name);
            (provider.idle, provider.busy) = (idle, busy);
        }
        counters.clone()
    }

    fn log(&self, level: crate::offload::Level, line: String) {
        self.offload.log(level, line);
    }
}
