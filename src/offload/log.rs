//! Lines for the operator, on stderr, in text or JSON. Secrets never get this far: they have no `Display`.

use std::io::Write;

use crate::base::clock;
use crate::config::{Log, LogLevel};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

/// Writes one line, if its level is asked for.
pub fn write(log: &Log, level: Level, line: &str) {
    let wanted = match log.level {
        LogLevel::Error => Level::Error,
        LogLevel::Warn => Level::Warn,
        LogLevel::Info => Level::Info,
        LogLevel::Debug => Level::Debug,
    };
    if level > wanted {
        return;
    }
    let word = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    let text = if log.json {
        let mut quoted = Vec::new();
        crate::wire::json::write_string(line, &mut quoted);
        let quoted = String::from_utf8_lossy(&quoted).into_owned();
        format!("{{\"time_ms\":{},\"level\":\"{word}\",\"message\":{quoted}}}\n", clock::wall_ms())
    } else {
        format!("ringway: {word}: {line}\n")
    };
    // Nobody is left to tell when stderr is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
