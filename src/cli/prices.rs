//! The commands for price lists: files in, tables and catalogues out. No price is worked out here.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use super::args::PricesCommand;
use super::{WRONG_SETTINGS, load};
use crate::base::clock;
use crate::base::money::Pico;
use crate::config;
use crate::ledger::price::import::{self, Format, Names};
use crate::ledger::price::{Body, Catalogue, Named, Price, Rate};
use crate::ledger::usage::ServerTool;

/// Runs one of them.
pub fn run(command: &PricesCommand) -> ExitCode {
    let done = match command {
        PricesCommand::Show { model, settings } => match load(settings) {
            Ok(snapshot) => show(model, &snapshot),
            Err(code) => return code,
        },
        PricesCommand::Check { file } => check(file),
        PricesCommand::Import { file, from, source, date } => {
            import(file, from.as_deref(), source.as_deref(), date)
        }
        PricesCommand::Join { files } => join(files),
    };
    match done {
        Ok(text) => {
            // A closed pipe (`| head`) is no failure.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("ringway: error: {what}");
            ExitCode::from(WRONG_SETTINGS)
        }
    }
}

fn show(model: &str, snapshot: &config::Snapshot) -> Result<String, String> {
    let now_s = clock::wall_ms() / 1_000;
    let mut out = String::new();
    let mut kinds = config::builtin_provider_kinds();
    kinds.extend(snapshot.providers.iter().map(|provider| provider.priced_as.as_str()));
    kinds.sort_unstable();
    kinds.dedup();
    let instances =
        snapshot.providers.iter().map(|provider| (provider.name.as_str(), provider.priced_as.as_str()));
    let all: Vec<(&str, &str)> = instances.chain(kinds.into_iter().map(|kind| (kind, kind))).collect();
    let mut shown: Vec<(&str, Price)> = Vec::new();
    for (provider, priced_as) in all {
        let asked = model.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/')).unwrap_or(model);
        let named = Named { provider, priced_as, asked, answered: None };
        let Some(price) = snapshot.prices.prices.find(named, now_s) else { continue };
        let is_known = shown.iter().any(|(of, known)| *of == priced_as && *known == price);
        if !is_known {
            describe(provider, asked, &price, &mut out);
            shown.push((priced_as, price));
        }
    }
    if out.is_empty() { Err(format!("no price of `{model}` is known")) } else { Ok(out) }
}

/// The price in dollars per million tokens, a line for each rate.
fn describe(provider: &str, asked: &str, price: &Price, out: &mut String) {
    let listed = if asked == price.model { String::new() } else { format!(", listed as {}", price.model) };
    let _ = writeln!(out, "{provider}/{asked}{listed} ({})", price.source);
    for table in &price.tables {
        let size =
            if table.above > 0 { format!(", input above {} tokens", table.above) } else { String::new() };
        let _ = writeln!(out, "  {}{size}, US dollars per million tokens:", table.mode.name());
        for rate in Rate::ALL {
            if let Some(million) = table.rates.get(rate).map(|each| Pico(i128::from(each) * 1_000_000)) {
                let _ = writeln!(out, "    {:<17}{million}", rate.name());
            }
        }
    }
    for tool in ServerTool::ALL {
        if let Some(each) = price.calls[tool as usize] {
            let _ = writeln!(out, "  each call of {}: {}", tool.name(), Pico(i128::from(each)));
        }
    }
    if let Some(request) = price.request {
        let _ = writeln!(out, "  each request: {}", Pico(i128::from(request)));
    }
}

fn check(file: &Path) -> Result<String, String> {
    let catalogue = read_catalogue(file)?;
    let (mut prices, mut names) = (0_usize, 0_usize);
    for entry in catalogue.entries() {
        match entry.body {
            Body::Price(_) => prices += 1,
            Body::As(_) => names += 1,
        }
    }
    let shown = file.display();
    Ok(format!("{shown}: {prices} prices and {names} further names, as of {}\n", catalogue.date))
}

fn import(file: &Path, from: Option<&str>, source: Option<&str>, day: &str) -> Result<String, String> {
    let text = read(file)?;
    let (format, names) = match from {
        None => (None, names()?),
        Some(name) => match Format::of_name(name) {
            Some(format) => (Some(format), names()?),
            None if config::builtin_provider_kinds().contains(&name) => {
                (Some(Format::ModelList), Names(vec![(import::OWN.to_owned(), name.to_owned())]))
            }
            None => return Err(format!("`{name}` is neither a format nor a provider")),
        },
    };
    let file_name = file.file_name().unwrap_or_default().to_string_lossy();
    let imported = import::read(&text, format, source.unwrap_or(&file_name), &names)
        .map_err(|what| format!("{}: {what}", file.display()))?;
    eprintln!("ringway: {} prices and names", imported.entries.len());
    imported.left_out.iter().for_each(|(why, count)| eprintln!("ringway: {count} left out: {why}"));
    let catalogue = Catalogue::of(imported.entries, day);
    // What is written must be read again.
    Catalogue::read(catalogue.text()).map_err(|complaints| complaint(file, &complaints[0].what, 0))?;
    Ok(catalogue.text().to_owned())
}

fn join(files: &[std::path::PathBuf]) -> Result<String, String> {
    let (mut entries, mut day) = (Vec::new(), String::new());
    for file in files {
        let catalogue = read_catalogue(file)?;
        day = day.max(catalogue.date.clone());
        let merged = import::merge(entries, catalogue.entries().collect());
        for (provider, model) in &merged.differ {
            eprintln!(
                "ringway: {provider}/{model} costs something else in {}: left as it was",
                file.display()
            );
        }
        entries = merged.entries;
    }
    let catalogue = Catalogue::of(entries, &day);
    Catalogue::read(catalogue.text())
        .map(|read| read.text().to_owned())
        .map_err(|complaints| complaint(&files[0], &complaints[0].what, complaints[0].line))
}

fn read_catalogue(file: &Path) -> Result<Catalogue, String> {
    Catalogue::read(&read(file)?).map_err(|complaints| {
        let lines: Vec<String> = complaints.iter().map(|one| complaint(file, &one.what, one.line)).collect();
        lines.join("\nringway: error: ")
    })
}

fn complaint(file: &Path, what: &str, line: usize) -> String {
    let file = file.display();
    if line == 0 { format!("{file}: {what}") } else { format!("{file}:{line}: {what}") }
}

#[expect(clippy::disallowed_methods, reason = "the command's own file")]
fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Whom the names in public lists mean.
fn names() -> Result<Names, String> {
    let files = config::builtin_provider_files().map_err(|mistakes| mistakes[0].to_string())?;
    Ok(config::price_names(&files))
}
