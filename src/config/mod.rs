//! Settings: environment and an optional file in, a checked and compiled [`Snapshot`] out, or every mistake at once.
//! Nothing here is read while a request is served.

mod build;
mod compile;
mod credential;
mod discover;
mod entries;
pub mod fuzz;
mod grants;
mod identity;
pub mod import;
mod interpolate;
mod mistake;
mod names;
mod plan;
mod prices;
mod provider_file;
mod rules;
mod service_account;
mod snapshot;
mod storage;
pub mod table;
mod values;
mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use identity::WEEKDAYS;
pub use mistake::Mistake;
pub use prices::{PriceSettings, PriceUrl, price_names, read_price_list};
pub use snapshot::{
    Audit, ConfiguredMode, DriverChoice, Engine, Identity, Journal, Keys, Log, LogLevel, Metrics, Models,
    RecordsAs, Server, Snapshot, Storage,
};
pub use table::CHANGEABLE;

/// Where settings come from. The environment is passed in, so that a test can make one up.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The settings file. `None` looks at `RINGWAY_CONFIG`, then for `config/ringway.yaml` and `ringway.yaml`.
    pub file: Option<PathBuf>,
    pub env: BTreeMap<String, String>,
}

/// Reads, checks and compiles the settings: environment over file over default. The error lists every mistake found.
pub fn load(sources: &Sources) -> Result<Snapshot, Vec<Mistake>> {
    build::build(sources)
}

/// The names of the provider files that are built in.
pub fn builtin_provider_kinds() -> Vec<&'static str> {
    provider_file::BUILTIN.iter().map(|(name, _)| *name).collect()
}

/// The provider files that are built in, for the documents made from them.
pub fn builtin_provider_files() -> Result<Vec<crate::provider::file::ProviderFile>, Vec<Mistake>> {
    let mut mistakes = mistake::Mistakes::default();
    let files = provider_file::read_all(None, &mut mistakes);
    if mistakes.list.is_empty() { Ok(files) } else { Err(mistakes.list) }
}

#[cfg(test)]
mod tests;
