//! Which workflow a request follows: exactly one. The deepest user path wins; at one path provider and model before
//! provider before path alone; then, without a path, provider and model, provider, and the global one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::identity::{Features, Scope, UserPath, Workflow};

/// The workflows in force. Immutable; a change makes another table.
#[derive(Clone, Debug)]
pub struct Workflows {
    in_force: HashMap<Scope, Arc<Workflow>>,
    global: Arc<Workflow>,
    /// What the process has switched off is off in every workflow.
    switches: Features,
}

impl Workflows {
    /// Of two versions for one scope the higher is in force. Without a global one everything is on.
    pub fn new(workflows: impl IntoIterator<Item = Arc<Workflow>>, switches: Features) -> Workflows {
        let mut table = Workflows { in_force: HashMap::new(), global: Arc::new(everything()), switches };
        for workflow in workflows {
            table.put(workflow);
        }
        table
    }

    fn put(&mut self, workflow: Arc<Workflow>) {
        if workflow.scope == Scope::default() {
            if workflow.version >= self.global.version {
                self.global = workflow;
            }
            return;
        }
        let is_newer = |held: &Arc<Workflow>| held.version <= workflow.version;
        if self.in_force.get(&workflow.scope).is_none_or(is_newer) {
            self.in_force.insert(workflow.scope.clone(), workflow);
        }
    }

    /// The table with a new version for a scope. The one before keeps its content, and whoever holds it.
    pub fn with(&self, workflow: Arc<Workflow>) -> Workflows {
        let mut next = self.clone();
        next.put(workflow);
        next
    }

    /// The table without a workflow for this scope. `None` for the global one, which is always there.
    pub fn without(&self, scope: &Scope) -> Option<Workflows> {
        let mut next = self.clone();
        (*scope != Scope::default()).then(|| next.in_force.remove(scope))?;
        Some(next)
    }

    /// The version that the next one for this scope has.
    pub fn next_version(&self, scope: &Scope) -> u32 {
        let held = if *scope == Scope::default() { Some(&self.global) } else { self.in_force.get(scope) };
        held.map_or(1, |workflow| workflow.version + 1)
    }

    /// The workflow of a request.
    pub fn find(&self, path: &UserPath, provider: &str, model: &str) -> &Arc<Workflow> {
        if self.in_force.is_empty() {
            return &self.global;
        }
        let provider: Option<Box<str>> = Some(provider.into());
        let model: Option<Box<str>> = Some(model.into());
        let at = |path: Option<UserPath>| {
            let narrow = Scope { provider: provider.clone(), model: model.clone(), path: path.clone() };
            let wide = Scope { provider: provider.clone(), model: None, path: path.clone() };
            let widest = Scope { provider: None, model: None, path };
            [narrow, wide, widest].into_iter().find_map(|scope| self.in_force.get(&scope))
        };
        // A part of a path in its normal form is one too.
        let places = path.upward().filter_map(|place| UserPath::new(place).ok()).map(Some);
        places.chain([None]).find_map(at).unwrap_or(&self.global)
    }

    /// What is on for a request that follows this workflow.
    pub fn features(&self, workflow: &Workflow) -> Features {
        workflow.features.and(self.switches)
    }

    /// Every workflow in force, the global one first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Workflow>> {
        [&self.global].into_iter().chain(self.in_force.values())
    }
}

fn everything() -> Workflow {
    Workflow {
        id: "global".into(),
        scope: Scope::default(),
        version: 0,
        name: "global".into(),
        description: "".into(),
        features: Features::ALL,
        guardrails: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow(text: &str, version: u32) -> Arc<Workflow> {
        let mut parts = text.split(' ').map(|part| (part != "-").then_some(part));
        let mut next = || parts.next().flatten();
        let path = next().map(|path| UserPath::new(path).unwrap());
        let scope = Scope { path, provider: next().map(Into::into), model: next().map(Into::into) };
        assert!(scope.is_good());
        Arc::new(Workflow { scope, version, name: text.into(), ..everything() })
    }

    #[test]
    fn the_deepest_path_wins_and_then_the_narrowest_target() {
        let all = ["/t/x p m", "/t/x p -", "/t/x - -", "/t p m", "/ - -", "- p m", "- p -", "- - -"];
        // Each case takes the winner away and asks again: (path, provider, model, winners in their order).
        let cases: [(&str, &str, &str, &[&str]); 4] = [
            ("/t/x/y", "p", "m", &["/t/x p m", "/t/x p -", "/t/x - -", "/t p m", "/ - -", "- p m", "- p -"]),
            ("/t", "p", "m", &["/t p m", "/ - -", "- p m", "- p -"]),
            ("/t/x", "q", "m", &["/t/x - -", "/ - -"]),
            ("/", "p", "n", &["/ - -", "- p -"]),
        ];
        for (path, provider, model, winners) in cases {
            let mut table = Workflows::new(all.map(|text| workflow(text, 1)), Features::ALL);
            let path = UserPath::new(path).unwrap();
            for want in winners {
                let found = table.find(&path, provider, model).clone();
                assert_eq!(&*found.name, *want, "{path} {provider} {model}");
                table = table.without(&found.scope).unwrap();
            }
            assert_eq!(&*table.find(&path, provider, model).name, "- - -");
            assert!(table.without(&Scope::default()).is_none(), "the global one stays");
        }
    }

    #[test]
    fn a_new_version_is_in_force_and_the_old_one_stays_as_it_was() {
        let first = workflow("/t - -", 1);
        let table = Workflows::new([first.clone()], Features::ALL);
        assert_eq!((table.next_version(&first.scope), table.next_version(&Scope::default())), (2, 1));
        let features = Features { cache: false, ..Features::ALL };
        let second = Arc::new(Workflow { version: 2, features, ..(*first).clone() });
        let next = table.with(second.clone()).with(first.clone());
        let path = UserPath::new("/t").unwrap();
        assert_eq!(next.find(&path, "p", "m"), &second, "an older version does not come back");
        assert_eq!(table.find(&path, "p", "m"), &first);
        let switches = Features { audit: false, ..Features::ALL };
        let switched = Workflows::new([second.clone()], switches).features(&second);
        assert_eq!(switched, Features { cache: false, audit: false, ..Features::ALL });
    }
}
