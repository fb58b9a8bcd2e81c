//! The other thread: whatever may wait or take long. Names are resolved here, model lists are read, metrics are put
//! together and lines are logged. No shard waits for it without a deadline, and traffic goes on without it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::base::clock;
use crate::base::limits::{
    BLOCKING_THREADS_MAX, INBOX_MESSAGES_MAX, OFFLOAD_BEAT_MS, OFFLOAD_NICE, RECORDS_STOP_MS_MAX,
    TRIM_AFTER_MS,
};
use crate::config::Snapshot;
use crate::journal::{Gauge, Instance};
use crate::net::doorbell::Mailbox;
use crate::policy::account::Counter;
use crate::provider::SourceId;

pub mod admin;
pub mod catalogue;
mod dns;
pub mod live;
mod log;
pub mod manage;
mod managed;
pub mod metrics;
mod owners;
pub mod packs;
mod prices;
mod pulse;
mod records;
mod scrape;
mod shelf;
pub mod state;
pub mod store;
mod tokens;
mod trim;

pub use catalogue::Catalogue;
pub use log::Level;
use manage::Manager;
use manage::overriding::Settler;
pub use managed::Managed;
use owners::Owners;
pub use owners::{Belonging, Tenants};
pub use prices::PriceQuestion;
pub use pulse::{Health, Pulse};
use records::Records;
use shelf::Shelf;
pub use tokens::{Token, TokenQuestion, Tokens};

/// What a shard hears.
pub enum ToShard {
    /// A connection that another shard accepted and hands over, to keep the shards even.
    Accepted {
        fd: OwnedFd,
    },
    /// The addresses of a name, or none when it has none.
    Resolved {
        host: String,
        port: u16,
        addresses: Vec<SocketAddr>,
    },
    Catalogue(Arc<Catalogue>),
    /// The access tokens of this moment.
    Tokens(Arc<Tokens>),
    /// Send this question for an access token, for the offload thread has no sockets.
    AskToken(Box<TokenQuestion>),
    /// Fetch this price list, likewise.
    AskPrices(Box<PriceQuestion>),
    Settings(Arc<Compiled>),
    /// Decide by this from the next request on.
    Managed(Arc<Managed>),
    /// Send your counters there.
    Report(SyncSender<(usize, Box<metrics::Counters>)>),
    /// The answer to the question with this ticket.
    Answer {
        ticket: u64,
        answer: Answer,
    },
    Drain,
}

/// What was asked for.
pub enum Answer {
    Metrics(String),
    State(state::Reply),
    /// `None` when the store cannot be read.
    Owners(Option<Tenants>),
}

/// Settings with the TLS that was read for them: what a shard swaps to in one step.
pub struct Compiled {
    pub snapshot: Arc<Snapshot>,
    pub client_tls: Arc<rustls::ClientConfig>,
    pub server_tls: Option<Arc<rustls::ServerConfig>>,
    /// Counts reloads, so that answers for older settings can be told apart.
    pub generation: u64,
}

/// What the offload thread hears.
pub enum ToOffload {
    Resolve {
        shard: usize,
        host: String,
        port: u16,
    },
    /// A provider's model list as it came; `None` when it could not be had.
    Listed {
        generation: u64,
        provider: usize,
        body: Option<Vec<u8>>,
    },
    /// What a question for an access token was answered: status and body, or the code of a fault.
    Token {
        id: SourceId,
        answer: Result<(u16, Vec<u8>), String>,
    },
    /// What came of fetching the price list: status and body, or the code of a fault.
    Prices {
        number: u64,
        answer: Result<(u16, Vec<u8>), String>,
    },
    Scrape {
        shard: usize,
        ticket: u64,
    },
    /// Keeps a response: [`Offload::keep`].
    Keep(Box<state::Response>),
    /// A question about what is kept, of a caller with this identity.
    State {
        shard: usize,
        ticket: u64,
        owner: state::Owner,
        question: state::Question,
    },
    /// Whose an object is that a provider has made.
    Own(Box<Belonging>),
    /// A question for the owners of objects.
    Owners {
        shard: usize,
        ticket: u64,
        objects: Vec<Box<str>>,
    },
    /// A request for the admin API, and the connection that it comes over.
    Visit(Box<admin::Visit>),
    /// A scrape has ended with this text.
    Scraped(String),
    Settings(Arc<Compiled>),
    Log(Level, String),
    /// The shards finish what is running: streams of the gateway's own end.
    Drain,
    /// Ends the thread.
    Stop,
}

/// The way to the offload thread, for any thread. Telling never waits.
#[derive(Clone)]
pub struct Offload {
    queue: Sender<ToOffload>,
    /// Bytes of responses that wait in the queue to be kept.
    keeping_bytes: Arc<AtomicUsize>,
    /// How the thread is.
    pub pulse: Arc<Pulse>,
}

impl Offload {
    /// Leaves a message. False when the thread is so far behind that its queue is full.
    pub fn tell(&self, message: ToOffload) -> bool {
        self.queue.try_send(message).is_ok()
    }

    /// Leaves a response to be kept. False when that would be more than `bytes_max` on their way, or the queue is full.
    /// Who asks for it after this call finds it: the queue keeps the order.
    pub fn keep(&self, response: Box<state::Response>, bytes_max: usize) -> bool {
        let weight = response.weight();
        let is_room =
            self.keeping_bytes.fetch_add(weight, Ordering::Relaxed).saturating_add(weight) <= bytes_max;
        let is_kept = is_room && self.tell(ToOffload::Keep(response));
        if !is_kept {
            self.keeping_bytes.fetch_sub(weight, Ordering::Relaxed);
        }
        is_kept
    }

    /// Leaves a message and waits for room: for threads that have nothing else to do.
    fn tell_surely(&self, message: ToOffload) {
        // The thread is gone when the process ends.
        let _ = self.queue.blocking_send(message);
    }

    /// Logs a line, or loses it when the queue is full: lines are for people, records go another way.
    pub fn log(&self, level: Level, line: String) {
        self.tell(ToOffload::Log(level, line));
    }
}

/// The queue of the offload thread, made before anyone can tell it something.
pub fn queue() -> (Offload, Receiver<ToOffload>) {
    let (send, receive) = channel(INBOX_MESSAGES_MAX);
    (Offload { queue: send, keeping_bytes: Arc::default(), pulse: Arc::default() }, receive)
}

/// What the thread is made from.
pub struct Plan {
    pub own: Offload,
    pub queue: Receiver<ToOffload>,
    pub shards: Vec<Mailbox<ToShard>>,
    pub compiled: Arc<Compiled>,
    /// The journals of the shards, where records are kept.
    pub journal: Option<(Instance, Arc<Gauge>)>,
    /// What the shards decide by at first.
    pub managed: Arc<Managed>,
    /// What the limits of the last process had counted.
    pub left: Vec<Counter>,
    /// The way to whoever reads settings.
    pub settler: Settler,
}

/// Starts the thread. It ends after [`ToOffload::Stop`], when what was told before is done and the records are stored, or
/// when that takes too long.
#[expect(clippy::disallowed_methods, reason = "the one place that starts the offload thread")]
pub fn start(plan: Plan) -> io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("offload-aside")
        .build()?;
    std::thread::Builder::new().name("offload".to_owned()).spawn(move || {
        // Where it shares a core with a shard, requests go first. The threads that it starts inherit that. A system that
        // does not allow it only loses this order.
        let _ = rustix::process::nice(OFFLOAD_NICE);
        tokio::task::LocalSet::new().block_on(&runtime, run(plan));
        // What still waits for a disk or a server has had its time.
        runtime.shutdown_background();
    })
}

async fn run(plan: Plan) {
    let Plan { own, mut queue, shards, compiled, journal, managed, left, settler } = plan;
    let catalogue = catalogue::Builder::new(&compiled);
    let mut tokens = tokens::Keeper::default();
    tokens.resettle(&compiled);
    let kept = state::Store::default();
    let shelf = Rc::new(Shelf::new(compiled.snapshot.storage.clone()));
    let records = journal
        .map(|(instance, gauge)| Rc::new(Records::new(instance, gauge, compiled.clone(), shelf.clone())));
    let keeping = records.clone().map(|records| {
        tokio::task::spawn_local(records::sync_forever(records.clone()));
        tokio::task::spawn_local(records::Keeper::new(records, own.clone(), shards.len()).run())
    });
    tokio::task::spawn_local(beat_forever(own.pulse.clone()));
    tokio::task::spawn_local(async {
        tokio::time::sleep(Duration::from_millis(TRIM_AFTER_MS)).await;
        // Where that cannot be done, memory is what it was.
        let _ = trim::code();
    });
    let owners = Rc::new(Owners::new(shelf.clone(), records.clone()));
    let (told, kept_in) = (compiled.clone(), records.clone());
    let manager = Manager::new(own.clone(), shards.clone(), shelf, told, managed, left, kept_in, settler);
    let manager = Rc::new(manager);
    tokio::task::spawn_local(manager.clone().run());
    tokio::task::spawn_local(manager.clone().save_forever());
    let prices = Rc::new(prices::Keeper::new(manager.clone(), shards[0].clone()));
    tokio::task::spawn_local(prices.clone().run());
    let door = admin::Door::new(&manager);
    let asking = Vec::new();
    let mut state = State {
        own,
        shards,
        catalogue,
        tokens,
        compiled,
        asking,
        kept,
        owners,
        records,
        manager,
        prices,
        door,
    };
    state.publish_catalogue();
    loop {
        state.ask_for_tokens();
        let is_over = match state.next(&mut queue).await {
            Some(Some(message)) => !state.hear(message),
            Some(None) => true,
            None => false,
        };
        if is_over {
            break;
        }
    }
    state.manager.save();
    if let (Some(records), Some(keeping)) = (state.records.take(), keeping) {
        records.stop();
        let limit = Duration::from_millis(RECORDS_STOP_MS_MAX);
        let is_over = tokio::time::timeout(limit, keeping).await.is_ok();
        if !is_over || !records.end() {
            let line = "the journal holds records that the store has not: the next start takes them over";
            log::write(&state.compiled.snapshot.log, Level::Warn, line);
        }
    }
}

async fn beat_forever(pulse: Arc<Pulse>) {
    loop {
        pulse.beat(now_ms());
        tokio::time::sleep(Duration::from_millis(OFFLOAD_BEAT_MS)).await;
    }
}

struct State {
    own: Offload,
    shards: Vec<Mailbox<ToShard>>,
    catalogue: catalogue::Builder,
    tokens: tokens::Keeper,
    compiled: Arc<Compiled>,
    /// Who gets the text of the scrape that is running: shards and their tickets.
    asking: Vec<(usize, u64)>,
    kept: state::Store,
    owners: Rc<Owners>,
    records: Option<Rc<Records>>,
    manager: Rc<Manager>,
    prices: Rc<prices::Keeper>,
    door: admin::Door,
}

impl State {
    /// The next message, or `None` inside when there will be none; nothing when a token is due first.
    async fn next(&self, queue: &mut Receiver<ToOffload>) -> Option<Option<ToOffload>> {
        let Some(due_ms) = self.tokens.next_due_ms() else { return Some(queue.recv().await) };
        let left = Duration::from_millis(due_ms.saturating_sub(now_ms()));
        tokio::time::timeout(left, queue.recv()).await.ok()
    }

    /// Starts the questions for tokens that are due: the look-up of the address and the signing aside, the sending on
    /// the first shard.
    fn ask_for_tokens(&mut self) {
        for source in self.tokens.due(now_ms()) {
            let mailbox = self.shards[0].clone();
            let (host, port) = match &source.proxy {
                Some(proxy) => (proxy.host.clone(), proxy.port),
                None => (source.origin.host.clone(), source.origin.port),
            };
            // What gets lost here is asked for again.
            let _ = dns::resolve_aside(host, port, move |_, addresses| {
                if let Some(body) = tokens::question_body(&source, clock::wall_ms()) {
                    let _ =
                        mailbox.tell(ToShard::AskToken(Box::new(TokenQuestion { source, addresses, body })));
                }
            });
        }
    }

    fn publish_tokens(&self) {
        let tokens = Arc::new(self.tokens.tokens());
        for shard in &self.shards {
            if shard.tell(ToShard::Tokens(tokens.clone())).is_err() {
                self.own.log(Level::Warn, "a shard's inbox is full: it keeps its older tokens".to_owned());
            }
        }
    }

    /// Works one message off; false ends the thread.
    fn hear(&mut self, message: ToOffload) -> bool {
        match message {
            ToOffload::Resolve { shard, host, port } => self.resolve(shard, host, port),
            ToOffload::Listed { generation, provider, body } => {
                if generation == self.compiled.generation {
                    self.catalogue.listed(provider, body.as_deref());
                    self.publish_catalogue();
                }
            }
            ToOffload::Token { id, answer } => match self.tokens.answered(&id, answer, now_ms()) {
                Ok(()) => self.publish_tokens(),
                Err(line) => log::write(&self.compiled.snapshot.log, Level::Warn, &line),
            },
            ToOffload::Prices { number, answer } => self.prices.answered(number, answer),
            ToOffload::Keep(response) => {
                self.own.keeping_bytes.fetch_sub(response.weight(), Ordering::Relaxed);
                self.kept.keep(*response, self.compiled.snapshot.responses_bytes_max);
            }
            ToOffload::State { shard, ticket, owner, question } => {
                let bytes_max = self.compiled.snapshot.responses_bytes_max;
                let answer = Answer::State(self.kept.answer(&owner, question, bytes_max));
                // A shard whose inbox is full stops waiting by itself.
                let _ = self.shards[shard].tell(ToShard::Answer { ticket, answer });
            }
            ToOffload::Own(belonging) => self.owners.learn(*belonging, &self.compiled),
            ToOffload::Owners { shard, ticket, objects } => self.find_owners(shard, ticket, objects),
            ToOffload::Visit(visit) => self.door.open(*visit),
            ToOffload::Scrape { shard, ticket } => self.scrape(shard, ticket),
            ToOffload::Scraped(text) => {
                for (shard, ticket) in std::mem::take(&mut self.asking) {
                    // A shard whose inbox is full has other worries than its counters.
                    let _ = self.shards[shard]
                        .tell(ToShard::Answer { ticket, answer: Answer::Metrics(text.clone()) });
                }
            }
            ToOffload::Settings(compiled) => {
                self.catalogue.resettle(&compiled);
                self.tokens.resettle(&compiled);
                if let Some(records) = &self.records {
                    records.resettle(compiled.clone());
                }
                self.manager.resettle(compiled.clone());
                self.compiled = compiled;
                self.kept.shrink(self.compiled.snapshot.responses_bytes_max);
                self.publish_catalogue();
            }
            ToOffload::Log(level, line) => log::write(&self.compiled.snapshot.log, level, &line),
            ToOffload::Drain => {
                if let Some(records) = &self.records {
                    records.live.close();
                }
            }
            ToOffload::Stop => return false,
        }
        true
    }

    /// Answers at once when all are known, else when the store has answered.
    fn find_owners(&self, shard: usize, ticket: u64, objects: Vec<Box<str>>) {
        let mailbox = self.shards[shard].clone();
        let answer = move |tenants| {
            // A shard whose inbox is full stops waiting by itself.
            let _ = mailbox.tell(ToShard::Answer { ticket, answer: Answer::Owners(tenants) });
        };
        if let Some(tenants) = self.owners.at_hand(&objects) {
            return answer(Some(tenants));
        }
        let owners = self.owners.clone();
        tokio::task::spawn_local(async move { answer(owners.find(&objects).await) });
    }

    fn resolve(&self, shard: usize, host: String, port: u16) {
        let mailbox = self.shards[shard].clone();
        let asked = host.clone();
        let started = dns::resolve_aside(host, port, move |host, addresses| {
            let _ = mailbox.tell(ToShard::Resolved { host, port, addresses });
        });
        if started.is_err() {
            let _ = self.shards[shard].tell(ToShard::Resolved { host: asked, port, addresses: Vec::new() });
        }
    }

    /// Starts a scrape, or joins the one that is running.
    fn scrape(&mut self, shard: usize, ticket: u64) {
        self.asking.push((shard, ticket));
        if self.asking.len() > 1 {
            return;
        }
        let (shards, compiled, own) = (self.shards.clone(), self.compiled.clone(), self.own.clone());
        let records = self.records.as_ref().map(|records| records.state());
        let prices = self.manager.price_list();
        let counts = scrape::Own { refreshes: self.tokens.counts(), records, prices };
        let started = scrape::collect_aside(shards, compiled, counts, move |text| {
            own.tell_surely(ToOffload::Scraped(text));
        });
        if started.is_err() {
            self.asking.clear();
        }
    }

    fn publish_catalogue(&self) {
        let catalogue = Arc::new(self.catalogue.build());
        self.manager.set_catalogue(catalogue.clone());
        for shard in &self.shards {
            if shard.tell(ToShard::Catalogue(catalogue.clone())).is_err() {
                self.own
                    .log(Level::Warn, "a shard's inbox is full: it keeps its older model list".to_owned());
            }
        }
    }
}

fn now_ms() -> u64 {
    clock::monotonic_us() / 1000
}
