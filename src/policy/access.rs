//! Who may use which model: the lists of user paths, which narrow each other down the tree, the key's own list, and
//! gates, which keep a model to some places.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::key::Key;
use crate::base::{Refusal, RefusalKind};
use crate::identity::{Gate, ModelRule, UserPath};

/// The rules of a gateway. Immutable.
#[derive(Clone, Debug)]
pub struct Access {
    lists: HashMap<UserPath, Arc<[ModelRule]>, RandomState>,
    /// The narrowest first.
    gates: Vec<Gate>,
    /// Whether a model that no gate speaks of is open.
    is_open: bool,
}

/// A model as it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub provider: &'a str,
    pub model: &'a str,
    /// The alias by which the caller asked, where there is one: a rule that names it allows what stands behind it.
    pub alias: Option<&'a str>,
}

impl Default for Access {
    fn default() -> Self {
        Access { lists: HashMap::default(), gates: Vec::new(), is_open: true }
    }
}

impl Access {
    /// `lists` are the models that a path and all below it may use at most; an empty list says nothing.
    pub fn new(
        lists: impl IntoIterator<Item = (UserPath, Vec<ModelRule>)>,
        gates: impl IntoIterator<Item = Gate>,
        is_open: bool,
    ) -> Access {
        let lists = lists.into_iter().filter(|(_, rules)| !rules.is_empty());
        let mut gates: Vec<Gate> = gates.into_iter().collect();
        gates.sort_by_key(|gate| std::cmp::Reverse(gate.rule.rank()));
        Access { lists: lists.map(|(path, rules)| (path, rules.into())).collect(), gates, is_open }
    }

    /// Whether this caller may use the model: 403 where not. The sentence does not tell which rule it was.
    pub fn check(&self, key: Option<&Key>, path: &UserPath, asked: Asked<'_>) -> Result<(), Refusal> {
        if self.allows(key, path, asked) {
            return Ok(());
        }
        let model = asked.alias.unwrap_or(asked.model);
        let what = format!("The model {model} may not be used by this caller.");
        Err(Refusal::new(403, RefusalKind::InvalidRequest, "model_access_denied", what).about("model"))
    }

    /// No rule narrows anybody but for those of keys.
    pub fn is_open_to_all(&self) -> bool {
        self.lists.is_empty() && self.gates.is_empty() && self.is_open
    }

    /// The same as a word, for lists of models.
    pub fn allows(&self, key: Option<&Key>, path: &UserPath, asked: Asked<'_>) -> bool {
        let of_key = key.map(Key::models).unwrap_or_default();
        let by_key = of_key.is_empty() || is_among(of_key, asked);
        let lists = || path.upward().filter_map(|place| self.lists.get(place));
        by_key && lists().all(|rules| is_among(rules, asked)) && self.passes_gates(path, asked)
    }

    fn passes_gates(&self, path: &UserPath, asked: Asked<'_>) -> bool {
        let target = (asked.provider, asked.model);
        let Some(first) = self.gates.iter().find(|gate| gate.rule.matches(target)) else {
            return self.is_open;
        };
        let same = |gate: &&Gate| gate.rule == first.rule;
        let is_open_to = |gate: &Gate| {
            gate.user_paths.is_empty() || gate.user_paths.iter().any(|place| path.is_within(place))
        };
        self.gates.iter().filter(same).any(is_open_to)
    }
}

fn is_among(rules: &[ModelRule], asked: Asked<'_>) -> bool {
    let is_named = |rule: &ModelRule| asked.alias.is_some_and(|alias| rule.names(alias));
    rules.iter().any(|rule| rule.matches((asked.provider, asked.model)) || is_named(rule))
}

#[cfg(test)]
mod tests {
    use super::super::key::{KeyFields, KeyId, Proof};
    use super::*;
    use crate::identity::Calendar;

    fn rules(texts: &[&str]) -> Vec<ModelRule> {
        texts.iter().map(|text| ModelRule::new(text).unwrap()).collect()
    }

    fn path(text: &str) -> UserPath {
        UserPath::new(text).unwrap()
    }

    fn key(models: &[&str]) -> Key {
        let fields = KeyFields { models: rules(models), ..KeyFields::default() };
        Key::new(
            KeyId::from_random([0; 16]),
            Proof::of_whole(b"k"),
            fields,
            &Arc::new(Calendar::default()),
            None,
        )
    }

    fn check(access: &Access, models: &[&str], at: &str, asked: &str, want: bool) {
        let (asked_name, alias) =
            asked.split_once(" by ").map_or((asked, None), |(name, alias)| (name, Some(alias)));
        let (provider, model) = asked_name.split_once('/').unwrap();
        let asked_for = Asked { provider, model, alias };
        let got = access.check(Some(&key(models)), &path(at), asked_for);
        assert_eq!(got.is_ok(), want, "{models:?} {at} {asked}");
        if let Err(refusal) = got {
            assert_eq!((refusal.status, refusal.code), (403, "model_access_denied"));
        }
    }

    #[test]
    fn lists_narrow_each_other_down_the_tree_and_by_the_key() {
        let lists = [("/", &["a/*", "b/*"][..]), ("/team", &["a/*", "m"]), ("/team/x", &["m", "n"])];
        let access = Access::new(lists.map(|(at, list)| (path(at), rules(list))), [], true);
        check(&access, &[], "/", "a/m", true);
        check(&access, &[], "/", "c/m", false);
        check(&access, &[], "/other", "b/z", true);
        check(&access, &[], "/team", "b/m", true);
        check(&access, &[], "/team", "b/n", false);
        check(&access, &[], "/team/x", "a/n", true);
        check(&access, &[], "/team/x", "a/z", false);
        check(&access, &[], "/team/x/deep", "a/z", false);
        check(&access, &["a/m"], "/team/x", "a/m", true);
        check(&access, &["a/m"], "/team/x", "b/m", false);
        check(&access, &["*"], "/", "c/m", false);
        check(&Access::default(), &[], "/", "c/m", true);
        check(&Access::default(), &["a/*"], "/", "c/m", false);
    }

    #[test]
    fn a_rule_that_names_an_alias_allows_what_stands_behind_it() {
        check(&Access::default(), &["smart"], "/", "a/m by smart", true);
        check(&Access::default(), &["smart"], "/", "a/m", false);
        check(&Access::default(), &["a/m"], "/", "a/m by smart", true);
        check(&Access::default(), &["b/smart"], "/", "a/m by smart", false);
    }

    #[test]
    fn the_narrowest_gate_decides() {
        let gate = |rule: &str, places: &[&str]| Gate {
            rule: ModelRule::new(rule).unwrap(),
            user_paths: places.iter().map(|place| path(place)).collect(),
        };
        let gates = [gate("a/", &["/team"]), gate("a/m", &[]), gate("n", &["/x"]), gate("n", &["/y"])];
        let access = Access::new([], gates.clone(), true);
        check(&access, &[], "/", "a/z", false);
        check(&access, &[], "/team/x", "a/z", true);
        check(&access, &[], "/", "a/m", true);
        check(&access, &[], "/y", "a/n", true);
        check(&access, &[], "/team", "a/n", false);
        check(&access, &[], "/", "b/z", true);
        check(&Access::new([], gates, false), &[], "/", "b/z", false);
    }
}
