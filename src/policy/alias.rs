//! The table of aliases: from the name that a caller uses to the models behind it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::identity::{Alias, UserPath};

/// Every alias that is enabled. Immutable; a change makes another table.
#[derive(Clone, Debug, Default)]
pub struct Aliases {
    by_name: HashMap<Box<str>, Arc<Alias>>,
    /// The list of models shows aliases and nothing else.
    hides_originals: bool,
}

impl Aliases {
    /// Of two aliases with one name the later counts.
    pub fn new(aliases: impl IntoIterator<Item = Alias>, hides_originals: bool) -> Aliases {
        let mut by_name = HashMap::new();
        for alias in aliases {
            by_name.insert(alias.source.clone(), Arc::new(alias));
        }
        by_name.retain(|_, alias| alias.is_enabled);
        Aliases { by_name, hides_originals }
    }

    /// The alias of this name, for somebody at this place. It comes before a model whose real name this is; for others
    /// than those it is for the name means what it means without the alias.
    pub fn find(&self, name: &str, path: &UserPath) -> Option<&Arc<Alias>> {
        self.by_name.get(name).filter(|alias| is_for(alias, path))
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The names that somebody at this place may use, sorted.
    pub fn names(&self, path: &UserPath) -> Vec<&str> {
        let open = self.by_name.values().filter(|alias| is_for(alias, path));
        let mut names: Vec<&str> = open.map(|alias| &*alias.source).collect();
        names.sort_unstable();
        names
    }

    /// Whether the list of models shows a model under its own name.
    pub fn shows_originals(&self) -> bool {
        !self.hides_originals
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Alias>> {
        self.by_name.values()
    }
}

fn is_for(alias: &Alias, path: &UserPath) -> bool {
    alias.user_paths.is_empty() || alias.user_paths.iter().any(|place| path.is_within(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::alias::{AliasTarget, Strategy};

    fn alias(source: &str, target: &str, places: &[&str], is_enabled: bool) -> Alias {
        Alias {
            source: source.into(),
            description: "".into(),
            targets: vec![AliasTarget { model: target.into(), weight: 1 }],
            strategy: Strategy::RoundRobin,
            user_paths: places.iter().map(|place| UserPath::new(place).unwrap()).collect(),
            is_enabled,
        }
    }

    #[test]
    fn an_alias_is_found_by_those_it_is_for() {
        let table = [
            alias("smart", "a/m", &[], true),
            alias("smart", "a/n", &[], true),
            alias("gpt", "b/gpt", &["/team"], true),
            alias("off", "a/m", &[], false),
        ];
        let aliases = Aliases::new(table, true);
        let check = |name: &str, at: &str, want: Option<&str>| {
            let found = aliases.find(name, &UserPath::new(at).unwrap());
            assert_eq!(found.map(|alias| &*alias.targets[0].model), want, "{name} {at}");
        };
        check("smart", "/", Some("a/n"));
        check("gpt", "/team/x", Some("b/gpt"));
        check("gpt", "/", None);
        check("off", "/", None);
        check("a/m", "/", None);
        assert_eq!(aliases.names(&UserPath::new("/team").unwrap()), ["gpt", "smart"]);
        assert_eq!(aliases.names(&UserPath::root()), ["smart"]);
        assert!(!aliases.shows_originals() && Aliases::default().shows_originals());
    }
}
