//! The command line: turns arguments into one of the things Ringway does. No logic of its own.

mod args;
mod client;
mod doctor;
mod export;
mod import;
mod manage;
mod manage_args;
mod prices;
mod serve;
mod simulate;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::Shell as Complete;

use args::{Args, Command, DriverArg, SettingsArgs, Shell};

use crate::config::{self, DriverChoice, Snapshot, Sources};
use crate::net::driver::{self, Driver};

/// Runs the command that the arguments name and gives the process's exit code.
pub fn main() -> ExitCode {
    match Args::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(settings) => check(&settings),
        Command::Export(args) => export::run(&args),
        Command::Keys(args) => manage::keys(&args),
        Command::Budgets(args) => manage::budgets(&args),
        Command::Usage(args) => manage::usage(&args),
        Command::Import(args) => import::run(&args),
        Command::Doctor(settings) => doctor::run(&settings),
        Command::Prices(command) => prices::run(&command),
        Command::Simulate(args) => simulate::run(&args),
        Command::Completions { shell } => completions(shell),
    }
}

fn check(settings: &SettingsArgs) -> ExitCode {
    match load(settings) {
        Ok(snapshot) => {
            snapshot.warnings.iter().for_each(|warning| eprintln!("ringway: warn: {warning}"));
            // A closed pipe (`| head`) is no failure of the check.
            let _ = std::io::stdout().write_all(snapshot.plan.as_bytes());
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn completions(shell: Shell) -> ExitCode {
    let shell = match shell {
        Shell::Bash => Complete::Bash,
        Shell::Zsh => Complete::Zsh,
        Shell::Fish => Complete::Fish,
        Shell::Elvish => Complete::Elvish,
        Shell::Powershell => Complete::PowerShell,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "ringway", &mut script);
    let _ = std::io::stdout().write_all(&script);
    ExitCode::SUCCESS
}

fn sources(settings: &SettingsArgs) -> Sources {
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Sources { file: settings.config.clone(), env }
}

/// Reads the settings, or prints every mistake.
fn load(settings: &SettingsArgs) -> Result<Snapshot, ExitCode> {
    config::load(&sources(settings)).map_err(|mistakes| {
        mistakes.iter().for_each(|mistake| eprintln!("ringway: error: {mistake}"));
        eprintln!(
            "ringway: error: {} in the settings; nothing was started",
            counted(mistakes.len(), "mistake")
        );
        ExitCode::from(WRONG_SETTINGS)
    })
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The event loop to use, with the line that tells of a fallback.
fn choose_driver(wanted: DriverChoice) -> Result<(Driver, Option<String>), String> {
    if wanted == DriverChoice::Epoll {
        return Ok((Driver::Epoll, None));
    }
    let probe = driver::probe();
    match (probe.why_not, wanted) {
        (None, _) => Ok((probe.driver, None)),
        (Some(why), DriverChoice::IoUring) => Err(format!("io_uring is asked for and cannot be used: {why}")),
        (Some(why), _) => {
            Ok((probe.driver, Some(format!("io_uring cannot be used here ({why}): running on epoll"))))
        }
    }
}

impl From<DriverArg> for DriverChoice {
    fn from(arg: DriverArg) -> DriverChoice {
        match arg {
            DriverArg::Auto => DriverChoice::Auto,
            DriverArg::IoUring => DriverChoice::IoUring,
            DriverArg::Epoll => DriverChoice::Epoll,
        }
    }
}

/// The exit code of wrong settings, the same that clap uses for wrong arguments.
const WRONG_SETTINGS: u8 = 2;
