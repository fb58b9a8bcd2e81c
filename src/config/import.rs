//! Settings of other gateways into ours: an environment file or a YAML in, a YAML of ours and a report out. Nothing is left
//! out in silence: what has no equivalent here is named with the reason. Secrets stay where they are, as references.

mod emit;
mod gomodel;
mod keys;
mod litellm;

use super::mistake::{Mistake, Mistakes};
use super::yaml::{self, Node};
use emit::Out;
pub use gomodel::gomodel;
pub use keys::{Key, keys};
pub use litellm::litellm;

/// What became of the settings.
#[derive(Debug, Default)]
pub struct Imported {
    /// The settings file.
    pub yaml: String,
    /// What has no equivalent, and what is done in another way: one sentence each, in the order of the source.
    pub remarks: Vec<String>,
    /// Variables that the file refers to: they have to be set for the gateway as well.
    pub variables: Vec<String>,
}

impl Imported {
    fn of(settings: &Out, remarks: Vec<String>) -> Imported {
        let yaml = emit::document(settings);
        let mut variables: Vec<String> = yaml
            .split("${")
            .skip(1)
            .filter_map(|rest| rest.split(['}', ':']).next())
            .map(str::to_owned)
            .collect();
        variables.sort();
        variables.dedup();
        Imported { yaml, remarks, variables }
    }
}

/// The names that other gateways have for things.
struct Names {
    root: Node,
}

impl Names {
    /// Of one gateway.
    fn of(gateway: &str) -> Names {
        let mut mistakes = Mistakes::default();
        let root = yaml::read("import.yaml", NAMES, &mut mistakes);
        let of_gateway = root.as_ref().and_then(|root| root.get(gateway)).cloned();
        assert!(mistakes.list.is_empty(), "the built-in names are YAML: {:?}", mistakes.list);
        let place = "import.yaml".to_owned();
        Names { root: of_gateway.unwrap_or(Node { place, value: yaml::Value::Null }) }
    }

    /// What stands in a group under this name, or under a pattern that fits it; `*` in the answer is what it stood for.
    fn find(&self, group: &str, name: &str) -> Option<String> {
        let members = self.root.get(group)?.members()?;
        let mut found = members.filter_map(|(pattern, _, value)| {
            let rest = fitting(pattern, name)?;
            Some(value.text()?.replacen('*', rest, usize::from(pattern.contains('*'))))
        });
        found.next()
    }
}

/// What the star of a pattern stands for in a name; empty for one without a star.
fn fitting<'n>(pattern: &str, name: &'n str) -> Option<&'n str> {
    match pattern.split_once('*') {
        None => (pattern == name).then_some(""),
        Some((front, "")) => name.strip_prefix(front),
        Some((front, back)) => {
            let rest = name.strip_prefix(front)?;
            rest.strip_suffix(back).or_else(|| rest.find(back).map(|at| &rest[..at]))
        }
    }
    .filter(|rest| !pattern.contains('*') || !rest.is_empty())
}

fn sentences(mistakes: Mistakes) -> impl Iterator<Item = String> {
    mistakes.list.into_iter().map(|mistake: Mistake| mistake.to_string())
}

const NAMES: &str = include_str!("../../config/import.yaml");

#[cfg(test)]
mod tests;
