//! `ringway import`: the settings of another gateway into a file of ours, and its keys into a running gateway.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use super::args::{ImportArg, ImportArgs};
use super::client::ask;
use super::manage_args::GatewayArgs;
use super::{WRONG_SETTINGS, counted};
use crate::config::import::{self, Imported, Key};

pub fn run(args: &ImportArgs) -> ExitCode {
    let done = settings(args).and_then(|()| keys(args));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("ringway: error: {what}");
            ExitCode::from(WRONG_SETTINGS)
        }
    }
}

fn settings(args: &ImportArgs) -> Result<(), String> {
    let text = read(&args.file)?;
    let imported = match args.from {
        ImportArg::GoModel => import::gomodel(&text),
        ImportArg::LiteLlm => import::litellm(&text).map_err(|mistakes| {
            let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            lines.join("\n")
        })?,
    };
    tell(&imported);
    match &args.out {
        None => {
            // A closed pipe (`| head`) is no failure.
            let _ = std::io::stdout().write_all(imported.yaml.as_bytes());
            Ok(())
        }
        Some(path) => {
            let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let written = opened.and_then(|mut file| file.write_all(imported.yaml.as_bytes()));
            written.map_err(|error| format!("{}: {error}", path.display()))
        }
    }
}

fn tell(imported: &Imported) {
    if !imported.variables.is_empty() {
        eprintln!("ringway: these variables stay in the environment: {}", imported.variables.join(", "));
    }
    imported.remarks.iter().for_each(|remark| eprintln!("ringway: not taken over: {remark}"));
    eprintln!("ringway: {} not taken over", counted(imported.remarks.len(), "thing"));
}

fn keys(args: &ImportArgs) -> Result<(), String> {
    let Some(path) = &args.keys else { return Ok(()) };
    let (keys, remarks) = import::keys(&read(path)?).map_err(|what| format!("{}: {what}", path.display()))?;
    remarks.iter().for_each(|remark| eprintln!("ringway: not taken over: {remark}"));
    let (mut made, mut known) = (0, 0);
    for key in keys.iter().filter(|_| args.apply) {
        match make(&args.gateway, key) {
            Ok(true) => made += 1,
            Ok(false) => known += 1,
            Err(what) => return Err(format!("after {}: {what}", counted(made, "key"))),
        }
    }
    match args.apply {
        true => eprintln!("ringway: {} made, {known} were there already", counted(made, "key")),
        false => eprintln!(
            "ringway: {} to make: --apply makes them at a running gateway",
            counted(keys.len(), "key")
        ),
    }
    Ok(())
}

/// Makes one key with all that is granted to it; false when it is there already.
fn make(gateway: &GatewayArgs, key: &Key) -> Result<bool, String> {
    let made = match ask(gateway, "POST", "/auth-keys", &[], Some(&key.body)) {
        Err(what) if what.ends_with("(409 already_exists)") => return Ok(false),
        made => made?,
    };
    let id = made["id"].as_str().ok_or("the gateway made a key without an id")?;
    for (path, grants) in [("/budgets", &key.budgets), ("/rate-limits", &key.limits)] {
        for grant in grants {
            let mut body = grant.clone();
            body["subject"] = id.into();
            ask(gateway, "PUT", path, &[], Some(&body))?;
        }
    }
    if key.is_disabled {
        ask(gateway, "POST", &format!("/auth-keys/{id}/deactivate"), &[], None)?;
    }
    Ok(true)
}

#[expect(clippy::disallowed_methods, reason = "the settings of another gateway are this command's to read")]
fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
