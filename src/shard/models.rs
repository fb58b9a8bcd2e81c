//! The models that a caller sees: those that it may use, and the names that stand for some.

use std::borrow::Cow;

use super::Shard;
use super::caller::Caller;
use crate::dialect::endpoint::Grammar;
use crate::offload::{Catalogue, Managed};
use crate::policy::access::Asked;

/// The body of the list of models. Made for the caller only where it may not see everything, or where there are aliases.
pub fn list<'c>(shard: &Shard, catalogue: &'c Catalogue, caller: &Caller, grammar: Grammar) -> Cow<'c, [u8]> {
    let managed = shard.managed.borrow();
    if managed.aliases.is_empty() && sees_all(&managed, caller) {
        return Cow::Borrowed(catalogue.list_for(grammar));
    }
    let path = caller.path();
    let may_use = |alias: &&str| names_usable(&managed, catalogue, caller, alias);
    let names: Vec<&str> = managed.aliases.names(&path).into_iter().filter(may_use).collect();
    let shows_originals = managed.aliases.shows_originals();
    let shows = |provider: &str, model: &str| {
        shows_originals && may(&managed, caller, Asked { provider, model, alias: None })
    };
    Cow::Owned(catalogue.list_of(grammar, &names, shows))
}

/// One model; `None` where there is none that the caller may use.
pub fn entry(
    shard: &Shard,
    catalogue: &Catalogue,
    caller: &Caller,
    grammar: Grammar,
    id: &str,
) -> Option<Vec<u8>> {
    let managed = shard.managed.borrow();
    if managed.aliases.find(id, &caller.path()).is_some() {
        let is_usable = names_usable(&managed, catalogue, caller, id);
        return is_usable.then(|| Catalogue::entry_of_name(grammar, id));
    }
    let found = catalogue.entry_for(grammar, id)?;
    let (provider, model) = catalogue.means(id)?;
    may(&managed, caller, Asked { provider, model, alias: None }).then_some(found)
}

fn sees_all(managed: &Managed, caller: &Caller) -> bool {
    managed.access.is_open_to_all() && caller.key.as_ref().is_none_or(|key| key.models().is_empty())
}

fn may(managed: &Managed, caller: &Caller, asked: Asked<'_>) -> bool {
    caller.may_use(managed, asked)
}

/// Whether the caller may use any of the models behind an alias.
fn names_usable(managed: &Managed, catalogue: &Catalogue, caller: &Caller, alias: &str) -> bool {
    let Some(found) = managed.aliases.find(alias, &caller.path()) else { return false };
    found.targets.iter().any(|target| {
        let (provider, model) = catalogue.means(&target.model).unwrap_or(("", &target.model));
        may(managed, caller, Asked { provider, model, alias: Some(alias) })
    })
}
