//! Single values: where each one came from, and what its text means. Environment beats file beats default.

use std::collections::BTreeMap;

use super::interpolate::interpolate;
use super::mistake::Mistakes;
use super::table::{Kind, Setting};
use super::yaml::{Node, Value};
use crate::base::Secret;

/// A value that was understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    Text(String),
    Bool(bool),
    /// Counts, bytes, milliseconds, thousandths.
    Number(u64),
    List(Vec<String>),
}

/// A value with its source.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub meaning: Meaning,
    pub place: String,
    pub is_default: bool,
}

/// The values of one table of settings. A setting that is not set has none.
#[derive(Clone, Debug, Default)]
pub struct Values {
    map: BTreeMap<&'static str, Resolved>,
}

impl Values {
    /// Resolves every setting of the table. `file` gives the node of a path; `env` the variables of a setting.
    pub fn resolve(
        table: &'static [Setting],
        file: &BTreeMap<String, Node>,
        env: &BTreeMap<String, String>,
        env_names: impl Fn(&Setting) -> Vec<String>,
        prefix: &str,
        mistakes: &mut Mistakes,
    ) -> Values {
        let mut values = Values::default();
        for setting in table {
            let path = format!("{prefix}{}", setting.path);
            let from_env = env_names(setting).into_iter().find_map(|name| {
                let text = env.get(&name).filter(|text| !text.is_empty() || setting.kind == Kind::Secret)?;
                Some((name, vec![text.clone()]))
            });
            let from_file = || file.get(&path).and_then(|node| texts(node, &path, setting, env, mistakes));
            let (place, texts, is_default) = match from_env.or_else(from_file) {
                Some((place, texts)) => (place, texts, false),
                None if setting.default.is_empty() => continue,
                None => ("default".to_owned(), vec![setting.default.to_owned()], true),
            };
            match understand(setting.kind, &texts) {
                Some(meaning) => {
                    drop(values.map.insert(setting.path, Resolved { meaning, place, is_default }))
                }
                None => {
                    let shown = match setting.kind {
                        Kind::Secret | Kind::SecretList => "the value cannot be used".to_owned(),
                        _ => format!("`{}` cannot be used", texts.join(", ")),
                    };
                    mistakes.add(&place, &path, shown, setting.kind.expected());
                }
            }
        }
        values
    }

    pub fn get(&self, path: &str) -> Option<&Resolved> {
        self.map.get(path)
    }

    /// The place that set a value, for mistakes about it.
    pub fn place(&self, path: &str) -> &str {
        self.get(path).map_or("default", |resolved| &resolved.place)
    }

    pub fn number(&self, path: &str) -> Option<u64> {
        match self.get(path)?.meaning {
            Meaning::Number(number) => Some(number),
            _ => None,
        }
    }

    pub fn bool(&self, path: &str) -> bool {
        matches!(self.get(path).map(|resolved| &resolved.meaning), Some(Meaning::Bool(true)))
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        match &self.get(path)?.meaning {
            Meaning::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn list(&self, path: &str) -> &[String] {
        match self.get(path).map(|resolved| &resolved.meaning) {
            Some(Meaning::List(list)) => list,
            _ => &[],
        }
    }

    /// The values as `ringway check` shows them.
    pub fn lines(&self, table: &[Setting]) -> Vec<(String, String, String)> {
        let line = |setting: &Setting| {
            let resolved = self.get(setting.path)?;
            Some((setting.path.to_owned(), shown(setting.kind, &resolved.meaning), resolved.place.clone()))
        };
        table.iter().filter_map(line).collect()
    }
}

/// The texts of a node, with references put in. A list gives several.
fn texts(
    node: &Node,
    path: &str,
    setting: &Setting,
    env: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> Option<(String, Vec<String>)> {
    let nodes: Vec<&Node> = match &node.value {
        Value::Null => return None,
        Value::List(items) => items.iter().collect(),
        Value::Text(_) => vec![node],
        Value::Map(_) => {
            mistakes.add(&node.place, path, format!("{} stands here", node.kind()), setting.kind.expected());
            return None;
        }
    };
    let mut out = Vec::new();
    for item in nodes {
        match item.text().map(|text| interpolate(text, env)) {
            Some(Ok(text)) => out.push(text),
            Some(Err(what)) => mistakes.add(&item.place, path, what, ""),
            None => mistakes.add(&item.place, path, format!("{} stands here", item.kind()), "a single value"),
        }
    }
    (!out.is_empty()).then(|| (node.place.clone(), out))
}

/// What the texts mean for a setting of this kind; `None` when they mean nothing.
pub fn understand(kind: Kind, texts: &[String]) -> Option<Meaning> {
    if let Kind::AddressList | Kind::StatusList | Kind::SecretList = kind {
        let items: Vec<String> =
            texts.iter().flat_map(|text| text.split(',')).map(|t| t.trim().to_owned()).collect();
        let is_good = |item: &String| match kind {
            Kind::AddressList => item.parse::<std::net::SocketAddr>().is_ok(),
            Kind::StatusList => item.parse().is_ok_and(|status: u16| (400..600).contains(&status)),
            _ => !item.is_empty(),
        };
        return items.iter().all(is_good).then_some(Meaning::List(items));
    }
    if kind == Kind::Text && texts.len() > 1 {
        return Some(Meaning::List(texts.to_vec()));
    }
    let [text] = texts else { return None };
    let text = text.trim();
    match kind {
        Kind::Text | Kind::File => Some(Meaning::Text(text.to_owned())),
        Kind::Secret => {
            (!text.is_empty() && !text.contains(char::is_control)).then(|| Meaning::Text(text.to_owned()))
        }
        Kind::Url => url_is_plausible(text).then(|| Meaning::Text(text.to_owned())),
        Kind::Choice(words) => words.contains(&text).then(|| Meaning::Text(text.to_owned())),
        Kind::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(Meaning::Bool(true)),
            "false" | "no" | "off" | "0" => Some(Meaning::Bool(false)),
            _ => None,
        },
        Kind::Count(least) => text.parse().ok().filter(|&count| count >= least).map(Meaning::Number),
        Kind::Bytes => {
            with_unit(text, 1, &[("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30)]).map(Meaning::Number)
        }
        Kind::Millis => with_unit(text, 1, DURATIONS).map(Meaning::Number),
        Kind::Seconds => with_unit(text, 1000, DURATIONS).map(Meaning::Number),
        Kind::Ratio => {
            let ratio: f64 = text.parse().ok()?;
            (0.0..=1e6).contains(&ratio).then_some(Meaning::Number((ratio * 1000.0).round() as u64))
        }
        Kind::AddressList | Kind::StatusList | Kind::SecretList => None,
    }
}

fn url_is_plausible(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !text.contains(|c: char| c.is_control() || c == ' '))
}

/// A decimal number with an optional unit behind it.
fn with_unit(text: &str, bare: u64, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit);
    let factor = if unit.is_empty() { bare } else { units.iter().find(|(name, _)| *name == unit)?.1 };
    let number: f64 = digits.parse().ok()?;
    (number * factor as f64 <= MOST).then_some((number * factor as f64).round() as u64)
}

fn shown(kind: Kind, meaning: &Meaning) -> String {
    let masked = |text: &String| Secret::new(text.clone()).masked();
    match (kind, meaning) {
        (Kind::Secret, Meaning::Text(text)) => masked(text),
        (Kind::SecretList, Meaning::List(list)) => list.iter().map(masked).collect::<Vec<_>>().join(", "),
        (Kind::Url, Meaning::Text(url)) => without_user(url),
        (_, Meaning::Text(text)) => text.clone(),
        (_, Meaning::List(list)) => list.join(", "),
        (_, Meaning::Bool(is_on)) => is_on.to_string(),
        (Kind::Millis | Kind::Seconds, Meaning::Number(ms)) => format!("{ms} ms"),
        (Kind::Bytes, Meaning::Number(bytes)) => format!("{bytes} bytes"),
        (Kind::Ratio, Meaning::Number(milli)) => format!("{}", *milli as f64 / 1000.0),
        (_, Meaning::Number(number)) => number.to_string(),
    }
}

/// A URL without the password that may stand in it.
fn without_user(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}****{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}

const DURATIONS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
/// Larger values are mistakes; below it f64 counts exactly.
const MOST: f64 = 9e15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_understood_by_their_kind() {
        let cases = [
            (Kind::Bytes, "10M", Some(Meaning::Number(10 << 20))),
            (Kind::Bytes, "512KiB", Some(Meaning::Number(512 << 10))),
            (Kind::Bytes, "-1", None),
            (Kind::Millis, "250", Some(Meaning::Number(250))),
            (Kind::Millis, "1.5s", Some(Meaning::Number(1500))),
            (Kind::Seconds, "30", Some(Meaning::Number(30_000))),
            (Kind::Seconds, "30ms", Some(Meaning::Number(30))),
            (Kind::Seconds, "soon", None),
            (Kind::Bool, "Yes", Some(Meaning::Bool(true))),
            (Kind::Bool, "2", None),
            (Kind::Ratio, "0.2", Some(Meaning::Number(200))),
            (Kind::Ratio, "-1", None),
            (Kind::Count(1), "0", None),
            (Kind::Secret, "", None),
            (Kind::Choice(&["a", "b"]), "c", None),
            (Kind::StatusList, "429, 503", Some(Meaning::List(vec!["429".to_owned(), "503".to_owned()]))),
            (Kind::StatusList, "200", None),
            (Kind::AddressList, "localhost", None),
            (Kind::Url, "ftp://x", None),
        ];
        for (kind, text, want) in cases {
            assert_eq!(understand(kind, &[text.to_owned()]), want, "{kind:?} {text}");
        }
    }
}
