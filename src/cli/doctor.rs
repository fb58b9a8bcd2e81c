//! `ringway doctor`: looks at everything that a start needs, and says of each thing whether it is well, or what is wrong and
//! how it is mended. It changes nothing.

use std::path::Path;
use std::process::ExitCode;

use super::args::SettingsArgs;
use super::{WRONG_SETTINGS, counted, load};
use crate::base::clock;
use crate::config::{Engine, Snapshot};
use crate::net::driver;
use crate::offload::store::tables::SCHEMA;
use crate::offload::store::{Store, Upgrade};

/// What was found of one thing.
enum Finding {
    Well(String),
    /// It works, and not as well as it could.
    Weak(String),
    Wrong(String),
}

use Finding::{Weak, Well, Wrong};

pub fn run(settings: &SettingsArgs) -> ExitCode {
    let snapshot = match load(settings) {
        Ok(snapshot) => snapshot,
        Err(code) => return code,
    };
    let mut wrong = 0;
    for (name, finding) in [
        ("settings", of_settings(&snapshot)),
        ("data folder", of_folder(&snapshot)),
        ("journal", of_journal(&snapshot)),
        ("store", of_store(&snapshot)),
        ("clock", of_clock()),
        ("event loop", of_event_loop()),
        ("open files", of_files(&snapshot)),
    ] {
        let (word, what) = match finding {
            Well(what) => ("ok", what),
            Weak(what) => ("warn", what),
            Wrong(what) => {
                wrong += 1;
                ("wrong", what)
            }
        };
        println!("{word:5}  {name}: {what}");
    }
    if wrong == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("ringway: error: {} to mend", counted(wrong, "thing"));
    ExitCode::from(WRONG_SETTINGS)
}

fn of_settings(snapshot: &Snapshot) -> Finding {
    let providers = counted(snapshot.providers.len(), "provider");
    match &snapshot.warnings[..] {
        [] if snapshot.providers.is_empty() => {
            Weak("no provider is configured: set a key such as OPENAI_API_KEY".to_owned())
        }
        [] => Well(providers),
        warnings => Weak(format!("{providers}; {}", warnings.join("; "))),
    }
}

fn of_folder(snapshot: &Snapshot) -> Finding {
    let folder = &snapshot.data_dir;
    let shown = folder.display();
    if !folder.exists() {
        return Well(format!("{shown} is made at the first start"));
    }
    let is_writable = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    match is_writable {
        Ok(()) => Well(shown.to_string()),
        Err(_) => Wrong(format!(
            "{shown} cannot be written by this user: change its owner, or name another with RINGWAY_DATA_DIR"
        )),
    }
}

fn of_journal(snapshot: &Snapshot) -> Finding {
    if !snapshot.journal.enabled {
        return Weak("no records are kept: USAGE_ENABLED is false".to_owned());
    }
    let folder = existing(&snapshot.data_dir);
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let most = snapshot.journal.bytes_max;
            if free < most {
                return Weak(format!(
                    "its disk has {} MiB free, less than the {} MiB that it may take while the store is away: make room, or \
                     lower journal.max_size",
                    free >> 20,
                    most >> 20
                ));
            }
            Well(format!("{} MiB free for {} MiB at most", free >> 20, most >> 20))
        }
        Err(error) => Wrong(format!("its disk cannot be looked at: {error}")),
    }
}

/// The folder, or the nearest one above it that is there.
fn existing(folder: &Path) -> &Path {
    let mut above = folder.ancestors().filter(|folder| !folder.as_os_str().is_empty());
    above.find(|folder| folder.exists()).unwrap_or(Path::new("."))
}

fn of_store(snapshot: &Snapshot) -> Finding {
    if let Engine::Sqlite { path } = &snapshot.storage.engine
        && !path.exists()
    {
        return Well(format!("SQLite; {} is made at the first start", path.display()));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Wrong(format!("no runtime could be started: {error}")),
    };
    let engine = match &snapshot.storage.engine {
        Engine::Sqlite { .. } => "SQLite",
        Engine::Postgres { .. } => "PostgreSQL",
        Engine::Mongo { .. } => "MongoDB",
    };
    let opened = runtime.block_on(Store::open(&snapshot.storage, &SCHEMA, Upgrade::Never));
    match opened {
        Ok(_) => Well(format!("{engine}, schema version {}", SCHEMA.version)),
        Err(error) => Wrong(format!("{engine}: {error}; records wait in the journal until this is mended")),
    }
}

/// Windows of budgets and the ages of tokens follow the wall clock.
fn of_clock() -> Finding {
    match clock::wall_ms() {
        now_ms if now_ms < BUILT_AFTER_MS => {
            Wrong("it shows a time before this program was made: set it, by NTP for example".to_owned())
        }
        _ => Well("it shows a time that can be".to_owned()),
    }
}

fn of_event_loop() -> Finding {
    let probe = driver::probe();
    match probe.why_not {
        None => Well(probe.driver.name().to_owned()),
        Some(why) => {
            Weak(format!("io_uring cannot be used here ({why}): epoll is used, which costs more CPU"))
        }
    }
}

fn of_files(snapshot: &Snapshot) -> Finding {
    let wanted = snapshot.server.connections_count_max as u64;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.current {
        // A client and its provider take one each.
        Some(most) if most < wanted.saturating_mul(2) => Weak(format!(
            "{most} may be open, which is enough for about {} connections, and server.connections_max is {wanted}: raise it with \
             `ulimit -n` or LimitNOFILE=",
            most / 2
        )),
        Some(most) => Well(format!("{most} may be open")),
        None => Well("as many as there are may be open".to_owned()),
    }
}

/// 2026-01-01.
const BUILT_AFTER_MS: u64 = 1_767_225_600_000;
