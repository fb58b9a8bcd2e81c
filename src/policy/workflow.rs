//! Which workflow a request follows: exactly one. The deepest user path wins; at one path provider and model before
//! provider before path alone; then, without a path, provider and model, provider, and the global one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::identity::{Features, Scope, UserPath, Workflow};

/// The workflows in force. Immutable; a change makes another table.
#[derive(Clone, Debug)]
pub struct Workflows {
    /// Those for a place in the tree of users, the narrowest target first.
    placed: HashMap<UserPath, Vec<Arc<Workflow>>>,
    /// Those for a target at any place, in the same order.
    anywhere: Vec<Arc<Workflow>>,
    global: Arc<Workflow>,
    /// What the process has switched off is off in every workflow.
    switches: Features,
}

impl Workflows {
    /// Of several versions for one scope the highest is in force, and of equal ones the later. Without a global one
    /// everything is on.
    pub fn new(workflows: impl IntoIterator<Item = Arc<Workflow>>, switches: Features) -> Workflows {
        let (placed, anywhere, global) = (HashMap::new(), Vec::new(), Arc::new(everything()));
        let mut table = Workflows { placed, anywhere, global, switches };
        workflows.into_iter().for_each(|workflow| table.put(workflow));
        table
    }

    fn put(&mut self, workflow: Arc<Workflow>) {
        if workflow.scope == Scope::default() {
            if workflow.version >= self.global.version {
                self.global = workflow;
            }
            return;
        }
        let list = match &workflow.scope.path {
            Some(path) => self.placed.entry(path.clone()).or_default(),
            None => &mut self.anywhere,
        };
        match list.iter().position(|held| held.scope == workflow.scope) {
            Some(at) if list[at].version > workflow.version => {}
            Some(at) => list[at] = workflow,
            None => {
                list.push(workflow);
                list.sort_by_key(|held| (held.scope.provider.is_none(), held.scope.model.is_none()));
            }
        }
    }

    fn is_plain(&self) -> bool {
        self.placed.is_empty() && self.anywhere.is_empty()
    }

    /// The one that every request follows, where none was defined for some of them.
    pub fn only(&self) -> Option<&Arc<Workflow>> {
        self.is_plain().then_some(&self.global)
    }

    /// The workflow of a request.
    pub fn find(&self, path: &UserPath, provider: &str, model: &str) -> &Arc<Workflow> {
        let placed = path.upward().filter_map(|place| self.placed.get(place));
        let mut lists = placed.chain([&self.anywhere]);
        let found = lists.find_map(|list| list.iter().find(|held| held.scope.is_for(provider, model)));
        found.unwrap_or(&self.global)
    }

    /// What is on for a request that follows this workflow.
    pub fn features(&self, workflow: &Workflow) -> Features {
        workflow.features.and(self.switches)
    }

    /// Every workflow in force, the global one first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Workflow>> {
        [&self.global].into_iter().chain(&self.anywhere).chain(self.placed.values().flatten())
    }
}

fn everything() -> Workflow {
    Workflow {
        // Records name none where none was defined.
        id: "".into(),
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
            let path = UserPath::new(path).unwrap();
            let mut left: Vec<&str> = all.into_iter().rev().collect();
            for want in winners.iter().chain([&"- - -"]) {
                let table = Workflows::new(left.iter().map(|text| workflow(text, 1)), Features::ALL);
                assert_eq!(&*table.find(&path, provider, model).name, *want, "{path} {provider} {model}");
                left.retain(|text| text != want);
            }
            let none = Workflows::new([], Features::ALL);
            assert_eq!(none.find(&path, provider, model).version, 0, "everything is on");
        }
    }

    #[test]
    fn the_highest_version_is_in_force_and_switches_hold_for_all() {
        let (path, first) = (UserPath::new("/t").unwrap(), workflow("/t - -", 1));
        let features = Features { cache: false, ..Features::ALL };
        let second = Arc::new(Workflow { version: 2, features, ..(*first).clone() });
        for versions in [[&first, &second], [&second, &first]] {
            let table = Workflows::new(versions.map(Arc::clone), Features::ALL);
            assert_eq!((table.find(&path, "p", "m"), table.iter().count()), (&second, 2));
        }
        let stored = Arc::new(Workflow { name: "stored".into(), ..(*first).clone() });
        let table = Workflows::new([first, stored.clone()], Features::ALL);
        assert_eq!(table.find(&path, "p", "m"), &stored, "of equal versions the later");
        let global = Workflows::new([workflow("- - -", 1)], Features::ALL);
        assert_eq!((global.only().map(|only| &*only.name), table.only()), (Some("- - -"), None));
        let switches = Features { audit: false, ..Features::ALL };
        let switched = Workflows::new([second.clone()], switches).features(&second);
        assert_eq!(switched, Features { cache: false, audit: false, ..Features::ALL });
    }
}
