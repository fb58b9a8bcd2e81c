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
            let from_env = from_env(setting, &path, env, env_names(setting), mistakes);
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
                        Kind::Secret | Kind::SecretList | Kind::Document => {
                            "the value cannot be used".to_owned()
                        }
                        Kind::DatabaseUrl(_) => {
                            format!("`{}` cannot be used", without_secrets(&texts.join(", ")))
                        }
                        Kind::Url => format!("`{}` cannot be used", without_user(&texts.join(", "))),
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

/// The first of the variables that is set. Others that say something else are without effect, which should be known.
fn from_env(
    setting: &Setting,
    path: &str,
    env: &BTreeMap<String, String>,
    names: Vec<String>,
    mistakes: &mut Mistakes,
) -> Option<(String, Vec<String>)> {
    let is_set = |text: &&String| !text.is_empty() || setting.kind == Kind::Secret;
    let mut set = names.into_iter().filter_map(|name| Some((env.get(&name).filter(is_set)?, name)));
    let (text, name) = set.next()?;
    for (other, beaten) in set.filter(|(other, _)| *other != text) {
        let what = if other.is_empty() { "is empty" } else { "says something else" };
        mistakes.warn(format!("{beaten} {what} and has no effect: {name} sets {path}"));
    }
    Some((name, vec![text.clone()]))
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
    let is_empty_list = nodes.is_empty();
    for item in nodes {
        match item.text().map(|text| interpolate(text, env)) {
            Some(Ok(text)) => out.push(text),
            Some(Err(what)) => mistakes.add(&item.place, path, what, ""),
            None => mistakes.add(&item.place, path, format!("{} stands here", item.kind()), "a single value"),
        }
    }
    (is_empty_list || !out.is_empty()).then(|| (node.place.clone(), out))
}

/// What the texts mean for a setting of this kind; `None` when they mean nothing.
pub fn understand(kind: Kind, texts: &[String]) -> Option<Meaning> {
    if let Kind::AddressList | Kind::StatusList | Kind::SecretList | Kind::NameList = kind {
        return list(kind, texts);
    }
    let [text] = texts else { return None };
    let text = text.trim();
    match kind {
        Kind::Text | Kind::File | Kind::Document => Some(Meaning::Text(text.to_owned())),
        Kind::Secret => {
            (!text.is_empty() && !text.contains(char::is_control)).then(|| Meaning::Text(text.to_owned()))
        }
        Kind::Url => url_is_plausible(text).then(|| Meaning::Text(text.to_owned())),
        Kind::DatabaseUrl(schemes) => {
            database_url_is_plausible(text, schemes).then(|| Meaning::Text(text.to_owned()))
        }
        Kind::Choice(words) => words.contains(&text).then(|| Meaning::Text(text.to_owned())),
        Kind::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(Meaning::Bool(true)),
            "false" | "no" | "off" | "0" => Some(Meaning::Bool(false)),
            _ => None,
        },
        Kind::Count(least) => text.parse().ok().filter(|&count| count >= least).map(Meaning::Number),
        Kind::Bytes => with_unit(text, 1, SIZES).map(Meaning::Number),
        Kind::Millis(least) => with_unit(text, 1, DURATIONS).filter(|&ms| ms >= least).map(Meaning::Number),
        Kind::Seconds(least) => {
            with_unit(text, 1000, DURATIONS).filter(|&ms| ms >= least).map(Meaning::Number)
        }
        Kind::Ratio => {
            let ratio: f64 = text.parse().ok()?;
            (0.0..=1e6).contains(&ratio).then_some(Meaning::Number((ratio * 1000.0).round() as u64))
        }
        Kind::AddressList | Kind::StatusList | Kind::SecretList | Kind::NameList => None,
    }
}

fn list(kind: Kind, texts: &[String]) -> Option<Meaning> {
    let mut items: Vec<String> =
        texts.iter().flat_map(|text| text.split(',')).map(|text| text.trim().to_owned()).collect();
    if kind == Kind::NameList {
        items.retain(|item| !item.is_empty());
    }
    let is_good = |item: &String| match kind {
        Kind::AddressList => item.parse::<std::net::SocketAddr>().is_ok(),
        Kind::StatusList => item.parse().is_ok_and(|status: u16| (400..600).contains(&status)),
        _ => !item.is_empty() && !item.contains(char::is_control),
    };
    let is_enough = !items.is_empty() || kind != Kind::AddressList;
    (is_enough && items.iter().all(is_good)).then_some(Meaning::List(items))
}

fn url_is_plausible(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !text.contains(|c: char| c.is_control() || c == ' '))
}

fn database_url_is_plausible(text: &str, schemes: &[&str]) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    schemes.contains(&scheme) && !rest.is_empty() && !text.contains(|c: char| c.is_control() || c == ' ')
}

/// A decimal number with an optional unit behind it, which together make a whole number.
fn with_unit(text: &str, bare: u64, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let unit = unit.trim().to_ascii_lowercase();
    let factor = if unit.is_empty() { bare } else { units.iter().find(|(name, _)| **name == unit)?.1 };
    let number = digits.parse::<f64>().ok()? * factor as f64;
    let is_whole = (number - number.round()).abs() < 1e-6;
    (is_whole && number <= MOST).then_some(number.round() as u64)
}

fn shown(kind: Kind, meaning: &Meaning) -> String {
    let masked = |text: &String| Secret::new(text.clone()).masked();
    match (kind, meaning) {
        (Kind::Secret | Kind::Document, Meaning::Text(text)) => masked(text),
        (Kind::SecretList, Meaning::List(list)) => list.iter().map(masked).collect::<Vec<_>>().join(", "),
        (Kind::Url, Meaning::Text(url)) => without_user(url),
        (Kind::DatabaseUrl(_), Meaning::Text(url)) => without_secrets(url),
        (_, Meaning::Text(text)) => text.clone(),
        (_, Meaning::List(list)) => list.join(", "),
        (_, Meaning::Bool(is_on)) => is_on.to_string(),
        (Kind::Millis(_) | Kind::Seconds(_), Meaning::Number(ms)) => format!("{ms} ms"),
        (Kind::Bytes, Meaning::Number(bytes)) => format!("{bytes} bytes"),
        (Kind::Ratio, Meaning::Number(milli)) => format!("{}", *milli as f64 / 1000.0),
        (_, Meaning::Number(number)) => number.to_string(),
    }
}

/// A URL without the password that may stand in it.
fn without_user(url: &str) -> String {
    let Some(at) = url.rfind('@') else { return url.to_owned() };
    let start = url.find("://").map_or(0, |scheme| scheme + 3).min(at);
    format!("{}****{}", &url[..start], &url[at..])
}

/// The URL of a database without user, password and options. Where an `@` stands among the options it is not clear what is
/// what, and nothing but the scheme is shown.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (front, options) = rest.split_once('?').unwrap_or((rest, ""));
    let shown = match front.rsplit_once('@') {
        _ if options.contains('@') => "****".to_owned(),
        Some((_, host)) => format!("****@{host}"),
        None => front.to_owned(),
    };
    format!("{scheme}://{shown}{}", if options.is_empty() { "" } else { "?****" })
}

const SIZES: &[(&str, u64)] = &[
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1 << 30),
    ("gib", 1 << 30),
];
const DURATIONS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
/// Larger values are mistakes; below it f64 counts exactly.
const MOST: f64 = 9e15;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, text: &str, want: Option<Meaning>) {
        assert_eq!(understand(kind, &[text.to_owned()]), want, "{kind:?} {text}");
    }

    #[test]
    fn numbers_with_units_are_understood_or_refused() {
        let cases = [
            (Kind::Bytes, "10M", Some(10 << 20)),
            (Kind::Bytes, "512KiB", Some(512 << 10)),
            (Kind::Bytes, "1.5 gb", Some(3 << 29)),
            (Kind::Bytes, "7", Some(7)),
            (Kind::Bytes, "7b", Some(7)),
            (Kind::Bytes, "0", Some(0)),
            (Kind::Bytes, "-1", None),
            (Kind::Bytes, "1.5", None),
            (Kind::Bytes, "10ib", None),
            (Kind::Bytes, "10T", None),
            (Kind::Bytes, "", None),
            (Kind::Bytes, ".", None),
            (Kind::Bytes, "1.2.3k", None),
            (Kind::Bytes, "1e3", None),
            (Kind::Bytes, "9999999999g", None),
            (Kind::Millis(1), "250", Some(250)),
            (Kind::Millis(1), "1.5s", Some(1_500)),
            (Kind::Millis(1), "0.1s", Some(100)),
            (Kind::Millis(1), "2 m", Some(120_000)),
            (Kind::Millis(1), "1h", Some(3_600_000)),
            (Kind::Millis(1), "1d", Some(86_400_000)),
            (Kind::Millis(1), "0", None),
            (Kind::Millis(1), "0s", None),
            (Kind::Millis(1), "0.5", None),
            (Kind::Millis(1), "5mb", None),
            (Kind::Millis(1), "10b", None),
            (Kind::Millis(1), "-1s", None),
            (Kind::Millis(1), "1m30s", None),
            (Kind::Millis(1), "inf", None),
            (Kind::Millis(0), "0", Some(0)),
            (Kind::Seconds(1), "30", Some(30_000)),
            (Kind::Seconds(1), "30ms", Some(30)),
            (Kind::Seconds(1), "0.25", Some(250)),
            (Kind::Seconds(1), "soon", None),
            (Kind::Seconds(1), "0", None),
            (Kind::Ratio, "0.2", Some(200)),
            (Kind::Ratio, "0", Some(0)),
            (Kind::Ratio, "1e2", Some(100_000)),
            (Kind::Ratio, "-1", None),
            (Kind::Ratio, "-0.1", None),
            (Kind::Ratio, "nan", None),
            (Kind::Ratio, "inf", None),
            (Kind::Ratio, "1,5", None),
            (Kind::Count(1), "1", Some(1)),
            (Kind::Count(1), " 7 ", Some(7)),
            (Kind::Count(1), "0", None),
            (Kind::Count(1), "1.0", None),
            (Kind::Count(1), "+x", None),
            (Kind::Count(1), "18446744073709551616", None),
        ];
        for (kind, text, want) in cases {
            check(kind, text, want.map(Meaning::Number));
        }
    }

    #[test]
    fn other_values_are_understood_by_their_kind() {
        let text = |text: &str| Some(Meaning::Text(text.to_owned()));
        let list = |items: &[&str]| Some(Meaning::List(items.iter().map(|&item| item.to_owned()).collect()));
        let cases = [
            (Kind::Bool, "Yes", Some(Meaning::Bool(true))),
            (Kind::Bool, "0", Some(Meaning::Bool(false))),
            (Kind::Bool, "off", Some(Meaning::Bool(false))),
            (Kind::Bool, "2", None),
            (Kind::Bool, "", None),
            (Kind::Secret, "", None),
            (Kind::Secret, " \t", None),
            (Kind::Secret, "a\nb", None),
            (Kind::Secret, "sk\n", text("sk")),
            (Kind::Choice(&["a", "b"]), "c", None),
            (Kind::Choice(&["a", "b"]), "A", None),
            (Kind::Choice(&["a", "b"]), "b", text("b")),
            (Kind::StatusList, "429, 503", list(&["429", "503"])),
            (Kind::StatusList, "200", None),
            (Kind::StatusList, "429,", None),
            (Kind::SecretList, "a,b", list(&["a", "b"])),
            (Kind::SecretList, "a,,b", None),
            (Kind::NameList, "a, b,", list(&["a", "b"])),
            (Kind::NameList, "", list(&[])),
            (Kind::AddressList, "127.0.0.1:1,[::1]:2", list(&["127.0.0.1:1", "[::1]:2"])),
            (Kind::AddressList, "localhost", None),
            (Kind::AddressList, "8080", None),
            (Kind::AddressList, "127.0.0.1:70000", None),
            (Kind::AddressList, "", None),
            (Kind::Url, "https://h/v1", text("https://h/v1")),
            (Kind::Url, "ftp://x", None),
            (Kind::Url, "https://", None),
            (Kind::Url, "http://a b", None),
            (Kind::DatabaseUrl(&["postgres"]), "postgres://u:p@h/d", text("postgres://u:p@h/d")),
            (Kind::DatabaseUrl(&["postgres"]), "mysql://h", None),
            (Kind::DatabaseUrl(&["postgres"]), "postgres://", None),
            (Kind::DatabaseUrl(&["postgres"]), "host=h password=x", None),
            (Kind::Text, " x ", text("x")),
            (Kind::File, "/a b", text("/a b")),
        ];
        for (kind, text, want) in cases {
            check(kind, text, want);
        }
    }

    #[test]
    fn lists_belong_where_a_list_is_meant() {
        let two = ["1".to_owned(), "2".to_owned()];
        assert_eq!(understand(Kind::NameList, &two), Some(Meaning::List(two.to_vec())));
        assert_eq!(understand(Kind::StatusList, &[]), Some(Meaning::List(Vec::new())));
        assert_eq!(understand(Kind::AddressList, &[]), None);
        for kind in [Kind::Text, Kind::Count(0), Kind::Bool, Kind::Secret, Kind::Millis(0)] {
            assert_eq!((understand(kind, &two), understand(kind, &[])), (None, None), "{kind:?}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        assert_eq!(without_user("http://user:p@ss@host:1/x"), "http://****@host:1/x");
        assert_eq!(without_user("ftp://u:p@h"), "ftp://****@h");
        assert_eq!(without_user("http://host"), "http://host");
        assert_eq!(without_user("u:p@host:1"), "****@host:1");
        let cases = [
            ("postgres://h:1/d", "postgres://h:1/d"),
            ("postgres://u:p@ss@h:1/d?password=x", "postgres://****@h:1/d?****"),
            ("postgres://u:p?a@h:1/d", "postgres://****?****"),
            ("postgres://h/d?user=a@b&password=x", "postgres://****?****"),
            ("p:secret@h", "://****@h"),
        ];
        cases.iter().for_each(|(url, shown)| assert_eq!(without_secrets(url), *shown));
    }
}
