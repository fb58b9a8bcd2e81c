//! `ringway serve`: settings, event loops, signals. The main thread waits for signals and nothing else.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::args::{ServeArgs, SettingsArgs};
use super::{choose_driver, load};
use crate::config::{Snapshot, table};
use crate::journal::{Gauge, Instance, Writer};
use crate::net::doorbell::{Mailbox, Unopened, mailbox};
use crate::net::driver::{self, Driver};
use crate::net::{listen, tls};
use crate::offload::manage::overriding::{Overrides, Overriding, Settler};
use crate::offload::{self, Compiled, Level, Managed, Offload, ToOffload, ToShard, manage};
use crate::shard::{self, Loads};

/// Runs the gateway until it is told to stop.
pub fn run(args: &ServeArgs) -> ExitCode {
    let snapshot = match load(&args.settings) {
        Ok(snapshot) => snapshot,
        Err(code) => return code,
    };
    match start(snapshot) {
        Ok((running, shards, signals)) => running.until_stopped(shards, signals, &args.settings),
        Err(what) => {
            eprintln!("ringway: error: {what}");
            ExitCode::FAILURE
        }
    }
}

/// A started gateway.
struct Running {
    mailboxes: Vec<Mailbox<ToShard>>,
    offload: Offload,
    offload_thread: JoinHandle<()>,
    compiled: Arc<Compiled>,
    /// What is really listened on, until the process ends.
    addresses: Vec<SocketAddr>,
    /// Wishes of the admin API for settings above those of file and environment, and those that are in force.
    wishes: Receiver<Overriding>,
    overrides: Overrides,
}

fn start(snapshot: Snapshot) -> Result<(Running, Vec<JoinHandle<()>>, Signals), String> {
    // Before any thread is started, so that no signal is lost or ends the process.
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(|error| format!("signals: {error}"))?;
    keep_private(&snapshot)?;
    let (driver, fallback) = choose_driver(snapshot.server.driver)?;
    let compiled = Arc::new(compile(snapshot, None)?);
    let server = &compiled.snapshot.server;
    let cpus = driver::allowed_cpus();
    let count = if server.shards > 0 { server.shards } else { cpus.len().max(1) };
    let (listeners, addresses) = bind_all(&server.listen, count)?;
    let (offload, queue) = offload::queue();
    let (mailboxes, inboxes) = mailboxes(count).map_err(|error| format!("doorbells: {error}"))?;
    let told = |level: Level, line: String| offload.log(level, line);
    compiled.snapshot.warnings.iter().for_each(|warning| told(Level::Warn, warning.clone()));
    fallback.into_iter().for_each(|line| told(Level::Warn, line));
    let journal = begin_journal(&compiled.snapshot, count)?;
    let left = manage::read_counters(&compiled.snapshot.data_dir).unwrap_or_else(|error| {
        told(Level::Warn, format!("what limits had counted before cannot be read: {error}"));
        Vec::new()
    });
    let managed = Arc::new(Managed::of_settings(&compiled.snapshot));
    managed.book.restore(&left);
    let journal_of = |shard: usize| {
        let (instance, gauge) = journal.as_ref()?;
        Some(Writer::new(&instance.folder, shard, gauge.clone()))
    };
    let writers: Vec<_> = (0..count).map(journal_of).collect();
    let (wish, wishes) = channel();
    let plan = offload::Plan {
        own: offload.clone(),
        queue,
        shards: mailboxes.clone(),
        compiled: compiled.clone(),
        journal,
        managed: managed.clone(),
        left,
        settler: Settler { wishes: wish, ring: wake_main },
    };
    let offload_thread = offload::start(plan);
    let offload_thread = offload_thread.map_err(|error| format!("the offload thread: {error}"))?;
    let loads = Arc::new(Loads::new(count));
    let mut shards = Vec::new();
    for (id, ((listeners, inbox), journal)) in listeners.into_iter().zip(inboxes).zip(writers).enumerate() {
        let plan = shard::Plan {
            id,
            cpu: (count <= cpus.len()).then(|| cpus[id]),
            driver,
            listeners,
            inbox,
            peers: mailboxes.clone(),
            loads: loads.clone(),
            offload: offload.clone(),
            compiled: compiled.clone(),
            managed: managed.clone(),
            journal,
        };
        shards.push(start_shard(plan).map_err(|error| format!("shard {id}: {error}"))?);
    }
    tell_start(&offload, &compiled, &addresses, count, driver);
    let overrides = Overrides::new();
    let running = Running { mailboxes, offload, offload_thread, compiled, addresses, wishes, overrides };
    Ok((running, shards, signals))
}

/// The main thread waits for signals and nothing else: what is wished of it comes with one.
fn wake_main() {
    // A process may signal itself.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP);
}

/// What this process writes is for its own user alone, and so is its memory: other processes of that user cannot look into
/// it, and no core dump holds keys and conversations.
fn keep_private(snapshot: &Snapshot) -> Result<(), String> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    if snapshot.server.dumps_core {
        return Ok(());
    }
    let kept = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    kept.map_err(|error| {
        format!("the process's memory cannot be kept out of core dumps: {error}. Allow them with server.core_dumps.")
    })
}

/// A journal for this process, where records are kept.
fn begin_journal(snapshot: &Snapshot, shards_count: usize) -> Result<Option<(Instance, Arc<Gauge>)>, String> {
    if !snapshot.journal.enabled {
        return Ok(None);
    }
    let instance = Instance::begin(&snapshot.data_dir).map_err(|error| {
        let folder = snapshot.data_dir.display();
        format!(
            "records of usage are kept in {folder}, which cannot be written: {error}. Name another folder with \
             RINGWAY_DATA_DIR, or keep no records with USAGE_ENABLED=false."
        )
    })?;
    Ok(Some((instance, Arc::new(Gauge::new(snapshot.journal.bytes_max, shards_count)))))
}

/// Reads the files that the settings name. The trust of the settings before stays while it is the system's: connections
/// that were opened under it may then stay too.
fn compile(snapshot: Snapshot, before: Option<&Compiled>) -> Result<Compiled, String> {
    let same_trust = before.filter(|b| snapshot.ca_file.is_none() && b.snapshot.ca_file.is_none());
    let client_tls = match same_trust {
        Some(before) => before.client_tls.clone(),
        None => tls::client_config(snapshot.ca_file.as_deref()).map_err(|error| error.to_string())?,
    };
    let pairs = &snapshot.server.tls;
    let server_tls = match pairs.is_empty() {
        true => None,
        false => Some(tls::server_config(pairs).map_err(|error| error.to_string())?),
    };
    let generation = before.map_or(0, |before| before.generation + 1);
    Ok(Compiled { snapshot: Arc::new(snapshot), client_tls, server_tls, generation })
}

/// One listener per shard and address; port 0 becomes the same free port for all shards.
fn bind_all(wanted: &[SocketAddr], shards: usize) -> Result<(Vec<Vec<OwnedFd>>, Vec<SocketAddr>), String> {
    let mut addresses = wanted.to_vec();
    let mut all = Vec::new();
    for _ in 0..shards {
        let mut of_shard = Vec::new();
        for address in &mut addresses {
            let named = |error: io::Error| format!("cannot listen on {address}: {error}");
            let fd = listen::bind(*address).map_err(named)?;
            *address = listen::local_address(&fd).map_err(|error| error.to_string())?;
            of_shard.push(fd);
        }
        all.push(of_shard);
    }
    Ok((all, addresses))
}

type Boxes = (Vec<Mailbox<ToShard>>, Vec<Unopened<ToShard>>);

fn mailboxes(count: usize) -> io::Result<Boxes> {
    let pairs = (0..count).map(|_| mailbox()).collect::<io::Result<Vec<_>>>()?;
    Ok(pairs.into_iter().unzip())
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts shards")]
fn start_shard(plan: shard::Plan) -> io::Result<JoinHandle<()>> {
    let (id, offload) = (plan.id, plan.offload.clone());
    std::thread::Builder::new().name(format!("shard-{id}")).spawn(move || {
        if let Err(error) = shard::run(plan) {
            offload.log(Level::Error, format!("shard {id} ended: {error}"));
        }
    })
}

fn tell_start(
    offload: &Offload,
    compiled: &Compiled,
    addresses: &[SocketAddr],
    shards: usize,
    driver: Driver,
) {
    let scheme = if compiled.server_tls.is_some() { "https" } else { "http" };
    let names: Vec<&str> =
        compiled.snapshot.providers.iter().map(|provider| provider.name.as_str()).collect();
    let providers = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    for address in addresses {
        let line = format!(
            "listening on {scheme}://{address} with {shards} shards on {}; providers: {providers}",
            driver.name()
        );
        offload.log(Level::Info, line);
    }
}

impl Running {
    /// Hears signals until the shards have ended.
    fn until_stopped(
        mut self,
        shards: Vec<JoinHandle<()>>,
        mut signals: Signals,
        settings: &SettingsArgs,
    ) -> ExitCode {
        let handle = signals.handle();
        let watcher = watch_shards(shards, move || handle.close());
        if let Err(error) = watcher {
            eprintln!("ringway: error: {error}");
            return ExitCode::FAILURE;
        }
        let mut is_draining = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => self.settle(settings),
                _ if is_draining => {
                    eprintln!("ringway: warn: a second signal came: ending at once");
                    return ExitCode::FAILURE;
                }
                _ => {
                    is_draining = true;
                    self.drain();
                }
            }
        }
        self.offload.log(Level::Info, "stopped".to_owned());
        self.offload.tell(ToOffload::Stop);
        // It ends after what it was told before; if it panicked, that was on stderr.
        let _ = self.offload_thread.join();
        if is_draining { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Works off what is wished of the settings; without a wish they are read again.
    fn settle(&mut self, settings: &SettingsArgs) {
        let mut wishes = self.wishes.try_iter().collect::<Vec<_>>();
        let Some(wish) = wishes.pop() else {
            let overrides = self.overrides.clone();
            // What is wrong was logged; nobody else waits for it.
            let _ = self.reload(settings, overrides);
            return;
        };
        // Who wished before is answered by what came after it, which holds its wish.
        let result = self.reload(settings, wish.settings);
        let told = result.map_err(|mistakes| mistakes.join("; "));
        for reply in wishes.into_iter().map(|wish| wish.reply).chain([wish.reply]) {
            // Whoever asked may have given up.
            let _ = reply.send(told.clone());
        }
    }

    /// Takes new settings over, or says why not and keeps the old ones.
    fn reload(&mut self, settings: &SettingsArgs, overrides: Overrides) -> Result<(), Vec<String>> {
        let mut sources = super::sources(settings);
        for (path, value) in &overrides {
            sources.env.extend(table::setting(path).map(|setting| (setting.own_env(), value.clone())));
        }
        let compiled = crate::config::load(&sources)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>())
            .and_then(|snapshot| self.refuse_opening(snapshot).map_err(|what| vec![what]))
            .and_then(|snapshot| compile(snapshot, Some(&self.compiled)).map_err(|what| vec![what]));
        match compiled {
            Err(mistakes) => {
                mistakes.iter().for_each(|mistake| self.offload.log(Level::Error, mistake.clone()));
                let line = "the settings were not reloaded: the old ones stay active";
                self.offload.log(Level::Error, line.to_owned());
                Err(mistakes)
            }
            Ok(compiled) => {
                self.warn_of_fixed(&compiled.snapshot);
                self.overrides = overrides;
                self.compiled = Arc::new(compiled);
                self.offload.tell(ToOffload::Settings(self.compiled.clone()));
                self.tell_all(|| ToShard::Settings(self.compiled.clone()));
                let generation = self.compiled.generation;
                self.offload
                    .log(Level::Info, format!("the settings were reloaded (generation {generation})"));
                Ok(())
            }
        }
    }

    /// New settings without a key must not open an address that others can reach, whatever they say of addresses: the old
    /// ones are listened on until the next start.
    fn refuse_opening(&self, new: Snapshot) -> Result<Snapshot, String> {
        let is_guarded = !new.keys.is_open() || new.server.allow_unauthenticated;
        match self.addresses.iter().find(|address| !address.ip().is_loopback()) {
            Some(address) if !is_guarded => Err(format!(
                "the new settings have no key, and {address} is listened on until the next start"
            )),
            _ => Ok(new),
        }
    }

    /// Some settings take a restart; saying nothing would be a lie.
    fn warn_of_fixed(&self, new: &Snapshot) {
        let (old, new) = (&self.compiled.snapshot.server, &new.server);
        let changed = [
            ("server.listen", old.listen != new.listen),
            ("server.shards", old.shards != new.shards),
            ("server.driver", old.driver != new.driver),
        ];
        for (name, _) in changed.into_iter().filter(|(_, is_changed)| *is_changed) {
            self.offload
                .log(Level::Warn, format!("{name} has changed: that takes effect with the next start"));
        }
    }

    /// Tells every shard what it must hear, however full its inbox is. One that does not empty it is stuck, and said so.
    fn tell_all(&self, make: impl Fn() -> ToShard) {
        for (id, mailbox) in self.mailboxes.iter().enumerate() {
            let heard = (0..TELL_TRIES_MAX).any(|_| {
                let is_told = mailbox.tell(make()).is_ok();
                if !is_told {
                    std::thread::sleep(Duration::from_millis(1));
                }
                is_told
            });
            if !heard {
                self.offload
                    .log(Level::Error, format!("shard {id} does not empty its inbox: it was not told"));
            }
        }
    }

    fn drain(&self) {
        self.offload.log(Level::Info, "draining: running exchanges finish, no new ones begin".to_owned());
        self.tell_all(|| ToShard::Drain);
        // A queue that is full empties again, or the gateway has other worries than who watches it.
        self.offload.tell(ToOffload::Drain);
        if let Some(ms) = self.compiled.snapshot.server.drain_timeout_ms {
            end_after(Duration::from_millis(ms));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "joining blocks; the main thread hears signals meanwhile")]
fn watch_shards(
    shards: Vec<JoinHandle<()>>,
    ended: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("watcher".to_owned()).spawn(move || {
        // A shard that panicked outside of an exchange ended; its message is on stderr.
        shards.into_iter().for_each(|shard| drop(shard.join()));
        ended();
    })
}

#[expect(clippy::disallowed_methods, reason = "a drain that takes too long is ended from aside")]
fn end_after(limit: Duration) {
    let end = move || {
        std::thread::sleep(limit);
        eprintln!("ringway: warn: the drain took longer than allowed: ending now");
        std::process::exit(1);
    };
    // Without the thread the drain has no limit, as by default.
    let _ = std::thread::Builder::new().name("drain-limit".to_owned()).spawn(end);
}

/// Ten seconds of tries, for a shard whose inbox is full.
const TELL_TRIES_MAX: usize = 10_000;
