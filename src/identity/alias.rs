//! Aliases: stable names for models, as they are defined.

use super::path::UserPath;

/// A name and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The name that callers use. Equal to a model's real name it hides that model.
    pub source: Box<str>,
    pub description: Box<str>,
    /// At least one.
    pub targets: Vec<AliasTarget>,
    pub strategy: Strategy,
    /// Who may use it: these places and all below them; empty for everybody.
    pub user_paths: Vec<UserPath>,
    pub is_enabled: bool,
}

impl Alias {
    /// The model for one request, by a number that is drawn for it: as often as the weights say, or always the first.
    pub fn target(&self, random: u64) -> &AliasTarget {
        let total: u64 = self.targets.iter().map(|target| u64::from(target.weight)).sum();
        let first = &self.targets[0];
        if self.strategy == Strategy::Failover || total == 0 {
            return first;
        }
        let mut left = random % total;
        for target in &self.targets {
            match left.checked_sub(target.weight.into()) {
                Some(rest) => left = rest,
                None => return target,
            }
        }
        first
    }
}

/// One of the models behind an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasTarget {
    /// As it would be asked for: `provider/model`, or a model alone.
    pub model: Box<str>,
    /// At least 1.
    pub weight: u32,
}

/// How one of several targets is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// In turn, as often as their weights say.
    RoundRobin,
    /// The first, and the next ones only when it fails.
    Failover,
}
