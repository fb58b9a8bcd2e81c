//! Lists of groups in the settings file, such as budgets and aliases: members are read by name, and whatever is wrong
//! with them is noted with its place.

use std::collections::BTreeMap;

use super::interpolate::interpolate;
use super::mistake::{Mistakes, nearest};
use super::table::Kind;
use super::values::{Meaning, understand};
use super::yaml::{Node, Value};

/// What reading needs at hand.
pub struct Reader<'r> {
    pub env: &'r BTreeMap<String, String>,
    pub mistakes: &'r mut Mistakes,
}

/// One group of a list, with the path of the list.
#[derive(Clone, Copy)]
pub struct Entry<'n> {
    pub node: &'n Node,
    pub path: &'n str,
}

impl Reader<'_> {
    /// The groups of a list, which may hold these members and no others.
    pub fn entries<'n>(&mut self, list: Option<&'n Node>, path: &'n str, known: &[&str]) -> Vec<Entry<'n>> {
        let Some(list) = list else { return Vec::new() };
        let nodes = match &list.value {
            Value::Null => return Vec::new(),
            Value::List(nodes) => nodes,
            _ => {
                self.wrong(&list.place, path, format!("{} stands here", list.kind()), "a list of groups");
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for node in nodes {
            let Some(members) = node.members() else {
                self.wrong(&node.place, path, format!("{} stands here", node.kind()), "names and values");
                continue;
            };
            for (name, key, _) in members.filter(|(name, ..)| !known.contains(name)) {
                let near = nearest(name, known.iter().copied());
                let hint = near.map_or_else(|| known.join(", "), |near| format!("`{near}`"));
                self.wrong(&key.place, &format!("{path}.{name}"), "is not a setting here", &hint);
            }
            entries.push(Entry { node, path });
        }
        entries
    }

    pub fn text(&mut self, entry: Entry<'_>, name: &str) -> Option<String> {
        let node = entry.node.get(name)?;
        self.text_of(node, &entry.setting(name))
    }

    /// The same where it must be there.
    pub fn needed(&mut self, entry: Entry<'_>, name: &str) -> Option<String> {
        if entry.node.get(name).is_none_or(|node| matches!(node.value, Value::Null)) {
            self.wrong(&entry.node.place, &entry.setting(name), "is missing", "");
            return None;
        }
        self.text(entry, name)
    }

    fn text_of(&mut self, node: &Node, setting: &str) -> Option<String> {
        match &node.value {
            Value::Null => None,
            Value::Text(text) => match interpolate(text, self.env) {
                Ok(text) => Some(text.trim().to_owned()),
                Err(what) => {
                    self.wrong(&node.place, setting, what, "");
                    None
                }
            },
            _ => {
                self.wrong(&node.place, setting, format!("{} stands here", node.kind()), "a single value");
                None
            }
        }
    }

    /// The texts of a list, or of a single value in which commas stand between them.
    pub fn texts(&mut self, entry: Entry<'_>, name: &str) -> Vec<String> {
        let Some(node) = entry.node.get(name) else { return Vec::new() };
        let setting = entry.setting(name);
        if let Value::List(items) = &node.value {
            return items.iter().filter_map(|item| self.text_of(item, &setting)).collect();
        }
        let text = self.text_of(node, &setting).unwrap_or_default();
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// What a member means to `read`; where it means nothing, that is a mistake.
    pub fn read<T>(
        &mut self,
        entry: Entry<'_>,
        name: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(entry, name)?;
        let value = read(&text);
        if value.is_none() {
            let place = entry.node.get(name).map_or(&entry.node.place, |node| &node.place);
            self.wrong(place, &entry.setting(name), format!("`{text}` cannot be used"), expected);
        }
        value
    }

    pub fn is_on(&mut self, entry: Entry<'_>, name: &str, default: Default) -> bool {
        let read = |text: &str| match understand(Kind::Bool, &[text.to_owned()]) {
            Some(Meaning::Bool(is_on)) => Some(is_on),
            _ => None,
        };
        self.read(entry, name, "true or false", read).unwrap_or(default == Default::On)
    }

    pub fn wrong(&mut self, place: &str, setting: &str, what: impl Into<String>, expected: &str) {
        self.mistakes.add(place, setting, what, expected);
    }
}

/// What a switch is when nobody sets it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Default {
    On,
    Off,
}

impl Entry<'_> {
    pub fn setting(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }
}
