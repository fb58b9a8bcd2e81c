//! `ringway simulate`: the simulated provider on its own event loops, until a signal ends it.

use std::process::ExitCode;
use std::sync::Arc;

use super::args::SimulateArgs;
use super::choose_driver;
use crate::net::{driver, listen};
use crate::simulate::{self, Shelf};

/// Runs the simulated provider.
pub fn run(args: &SimulateArgs) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("ringway: error: {what}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts the simulated provider's threads")]
fn start(args: &SimulateArgs) -> Result<(), String> {
    let (driver, fallback) = choose_driver(args.driver.into())?;
    fallback.into_iter().for_each(|line| eprintln!("ringway: warn: {line}"));
    let count = if args.shards > 0 { args.shards } else { driver::allowed_cpus().len().max(1) };
    let mut address = args.listen;
    let mut threads = Vec::new();
    let shelf = Arc::new(Shelf::default());
    for id in 0..count {
        let fd = listen::bind(address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
        address = listen::local_address(&fd).map_err(|error| error.to_string())?;
        let serve = {
            let shelf = shelf.clone();
            move || simulate::run(driver, fd, shelf)
        };
        let thread = std::thread::Builder::new().name(format!("simulate-{id}")).spawn(serve);
        threads.push(thread.map_err(|error| error.to_string())?);
    }
    eprintln!("ringway: info: simulating a provider on http://{address}/v1");
    for thread in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("a thread of the simulated provider panicked".to_owned()),
        }
    }
    Ok(())
}
