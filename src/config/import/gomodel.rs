//! GoModel's environment file. Most of its variables are ours as well; they become settings of the file, and the keys in
//! them references.

use std::collections::{BTreeMap, BTreeSet};

use super::emit::{Out, literal};
use super::{Imported, Names, sentences};
use crate::base::Pico;
use crate::config::discover::{self, Found};
use crate::config::entries::Reader;
use crate::config::mistake::Mistakes;
use crate::config::table::{Kind, SETTINGS, Setting};
use crate::config::{grants, names, provider_file};
use crate::identity::alias::Strategy;
use crate::identity::{Allowance, Measure, Period, Strength, Subject};

/// Reads `NAME=value` lines.
pub fn gomodel(text: &str) -> Imported {
    let known = Names::of("gomodel");
    let (mut env, mut own_names, mut remarks) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for (at, line) in text.lines().enumerate() {
        match variable(line) {
            None => {}
            Some(Err(())) => remarks.push(format!("line {} is no `NAME=value`", at + 1)),
            Some(Ok((name, value))) => {
                let ours = known.find("renamed", &name).unwrap_or_else(|| name.clone());
                own_names.insert(ours.clone(), name);
                env.insert(ours, value);
            }
        }
    }
    let mut reading = Reading { env, own_names, used: BTreeSet::new(), settings: Out::Map(Vec::new()) };
    reading.plain();
    let providers = reading.providers(&mut remarks);
    reading.lists(&providers, &mut remarks);
    remarks.extend(reading.rest(&known));
    Imported::of(&reading.settings, remarks)
}

/// One line: nothing, a variable, or neither.
fn variable(line: &str) -> Option<Result<(String, String), ()>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((name, value)) = line.split_once('=') else { return Some(Err(())) };
    let name = name.trim();
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let value = value.trim();
    let quoted = |mark: char| value.strip_prefix(mark).and_then(|rest| rest.split(mark).next());
    let bare = || value.split(" #").next().unwrap_or_default().trim_end();
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or_else(bare);
    Some(if is_name { Ok((name.to_owned(), value.to_owned())) } else { Err(()) })
}

struct Reading {
    /// Under our names.
    env: BTreeMap<String, String>,
    /// As the file spells them.
    own_names: BTreeMap<String, String>,
    used: BTreeSet<String>,
    settings: Out,
}

impl Reading {
    /// A reference to a variable that stays set.
    fn reference(&self, name: &str) -> String {
        format!("${{{}}}", self.own_names.get(name).map_or(name, String::as_str))
    }

    /// The value as it stands in the file: secrets as references.
    fn value(&self, name: &str, kind: Kind) -> Out {
        let is_secret =
            matches!(kind, Kind::Secret | Kind::SecretList | Kind::Document | Kind::DatabaseUrl(_));
        let text = self.env.get(name).map_or("", |text| text.trim());
        Out::text(if is_secret { self.reference(name) } else { literal(text) })
    }

    /// The settings that have variables of their own.
    fn plain(&mut self) {
        if let Some(port) = self.env.get("PORT").filter(|port| !port.is_empty()) {
            self.settings.set("server.listen", Out::text(format!("0.0.0.0:{port}")));
            self.used.insert("PORT".to_owned());
        }
        for setting in SETTINGS {
            let own = setting.own_env();
            let names = setting.env.iter().copied().chain([own.as_str()]);
            let is_set = |name: &&str| self.env.get(*name).is_some_and(|text| !text.trim().is_empty());
            let Some(name) = names.into_iter().find(is_set).map(str::to_owned) else { continue };
            self.settings.set(setting.path, self.value(&name, setting.kind));
            self.used.insert(name);
        }
    }

    /// Every provider that the variables speak of; their names.
    fn providers(&mut self, remarks: &mut Vec<String>) -> Vec<String> {
        let files = provider_file::read_all(None, &mut Mistakes::default());
        let mut named = Vec::new();
        for (name, found) in discover::discover(&files, &self.env) {
            let file = files.iter().find(|file| file.kind == found.kind);
            let variables: Vec<String> = found.variables().iter().map(|name| (*name).to_owned()).collect();
            self.used.extend(variables);
            self.used.extend(found.common.values().cloned());
            if let Some(missing) = file.and_then(|file| found.missing(file)) {
                remarks.push(format!("the provider {name} lacks its {missing} and is left out"));
                continue;
            }
            let provider = self.provider(&found);
            self.settings.set(&format!("providers.{name}"), provider);
            named.push(name);
        }
        named
    }

    fn provider(&self, found: &Found) -> Out {
        let mut members = vec![("type".to_owned(), Out::text(found.kind.clone()))];
        let keys: Vec<Out> =
            found.keys.iter().map(|(_, variable, _)| Out::text(self.reference(variable))).collect();
        match &keys[..] {
            [] => {}
            [key] => members.push(("api_key".to_owned(), key.clone())),
            _ => members.push(("api_keys".to_owned(), Out::List(keys))),
        }
        for (setting, variable) in found.settings.iter().chain(&found.common) {
            let kind = |table: &'static [Setting]| table.iter().find(|known| known.path == *setting);
            let kind = kind(crate::config::table::PROVIDER_SETTINGS).map_or(Kind::Secret, |known| known.kind);
            members.push(((*setting).to_owned(), self.value(variable, kind)));
        }
        if !found.headers.is_empty() {
            let header = |(name, variable, _): &(String, String, String)| {
                (name.clone(), self.value(variable, Kind::Text))
            };
            members.push(("headers".to_owned(), Out::Map(found.headers.iter().map(header).collect())));
        }
        Out::Map(members)
    }

    /// Budgets, limits, virtual models and labels, which have families of variables.
    fn lists(&mut self, providers: &[String], remarks: &mut Vec<String>) {
        let mut mistakes = Mistakes::default();
        let providers: Vec<&str> = providers.iter().map(String::as_str).collect();
        let mut reader = Reader { env: &self.env, mistakes: &mut mistakes };
        let none = BTreeMap::new();
        let budgets = grants::budgets(&none, &providers, &mut reader);
        let limits = grants::limits(&none, &providers, &mut reader);
        let of_models = names::virtual_models(None, None, &mut reader);
        let tagging = names::tagging(None, &mut reader);
        put_allowances(&mut self.settings, "budgets", &budgets);
        put_allowances(&mut self.settings, "rate_limits", &limits);
        let paths = |paths: &[crate::identity::UserPath]| {
            Out::List(paths.iter().map(|path| Out::text(path.as_str())).collect())
        };
        let alias = |alias: &crate::identity::Alias| {
            let target = |target: &crate::identity::alias::AliasTarget| {
                Out::map([
                    ("model", Out::text(&*target.model)),
                    ("weight", Out::text(target.weight.to_string())),
                ])
            };
            let strategy = if alias.strategy == Strategy::Failover { "failover" } else { "round_robin" };
            Out::map([
                ("source", Out::text(&*alias.source)),
                ("description", Out::text(&*alias.description)),
                ("strategy", Out::text(strategy)),
                ("enabled", Out::text(alias.is_enabled.to_string())),
                ("user_paths", paths(&alias.user_paths)),
                ("targets", Out::List(alias.targets.iter().map(target).collect())),
            ])
        };
        let gate = |gate: &crate::identity::Gate| {
            Out::map([("source", Out::text(gate.rule.to_string())), ("user_paths", paths(&gate.user_paths))])
        };
        let virtual_models =
            of_models.aliases.iter().map(alias).chain(of_models.gates.iter().map(gate)).collect();
        self.settings.set("virtual_models", Out::List(virtual_models));
        let headers = tagging.iter().map(|tagging| {
            Out::map([
                ("header", Out::text(tagging.header.clone())),
                ("prefix", Out::text(literal(&tagging.prefix))),
                ("delimiter", Out::text(literal(&tagging.delimiter))),
                ("do_not_pass", Out::text(tagging.is_kept_back.to_string())),
            ])
        });
        self.settings.set("tagging.headers", Out::List(headers.collect()));
        remarks.append(&mut mistakes.warnings);
        remarks.extend(sentences(mistakes));
        let is_of_list = |name: &&String| LISTS.iter().any(|prefix| name.starts_with(prefix));
        let of_lists: Vec<String> = self.env.keys().filter(is_of_list).cloned().collect();
        self.used.extend(of_lists);
    }

    /// What nothing here has read.
    fn rest(&self, known: &Names) -> Vec<String> {
        let unread = self.env.iter().filter(|(name, text)| !self.used.contains(*name) && !text.is_empty());
        let sentence = |(name, _): (&String, &String)| {
            let own = self.own_names.get(name).unwrap_or(name);
            match known.find("without", own) {
                Some(why) => format!("{own} has no equivalent: {why}"),
                None if own.ends_with("_API_KEY") || own.ends_with("_BASE_URL") => format!(
                    "{own} belongs to a provider of which there is no file: a file in `providers_dir`, or an entry \
                     below `providers` with a type that speaks its dialect, makes one"
                ),
                None => format!("{own} is not known"),
            }
        };
        unread.map(sentence).collect()
    }
}

/// Writes allowances as the lists of the file have them, one entry for each subject.
pub fn put_allowances(settings: &mut Out, group: &str, allowances: &[Allowance]) {
    for (list, member) in grants::LISTS {
        let mut entries: Vec<(String, Vec<Out>)> = Vec::new();
        for allowance in allowances.iter().filter(|allowance| list_of(&allowance.subject) == list) {
            let name = allowance.subject.name().to_owned();
            let at = entries.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
                entries.push((name, Vec::new()));
                entries.len() - 1
            });
            entries[at].1.push(window(allowance));
        }
        let entry = |(name, limits): (String, Vec<Out>)| {
            Out::map([(member, Out::text(name)), ("limits", Out::List(limits))])
        };
        settings.set(&format!("{group}.{list}"), Out::List(entries.into_iter().map(entry).collect()));
    }
}

fn list_of(subject: &Subject) -> &'static str {
    match subject {
        Subject::Path(_) => "user_paths",
        Subject::Label(_) => "labels",
        Subject::Key(_) => "keys",
        Subject::Provider(_) => "providers",
        Subject::Model(_) => "models",
    }
}

fn window(allowance: &Allowance) -> Out {
    let max = allowance.max.to_string();
    let (period, amount) = match allowance.measure {
        Measure::Concurrent => {
            return Out::map([("period", Out::text("concurrent")), ("max_requests", Out::text(max))]);
        }
        Measure::Requests(period) => (period, ("max_requests", Out::text(max))),
        Measure::Tokens(period) => (period, ("max_tokens", Out::text(max))),
        Measure::Cost(period) => {
            let dollars = Pico(i128::try_from(allowance.max).unwrap_or(i128::MAX)).to_string();
            (period, ("amount", Out::text(dollars)))
        }
    };
    let period = match period {
        Period::Seconds(seconds) => ("period_seconds", Out::text(seconds.to_string())),
        Period::Hour => ("period", Out::text("hourly")),
        Period::Day => ("period", Out::text("daily")),
        Period::Week => ("period", Out::text("weekly")),
        Period::Month => ("period", Out::text("monthly")),
    };
    match allowance.strength {
        Strength::Hard => Out::map([period, amount]),
        Strength::Soft => Out::map([period, amount, ("soft", Out::text("true"))]),
    }
}

/// How the variables of lists begin.
const LISTS: [&str; 5] =
    ["SET_BUDGET_", "SET_RATE_LIMIT_", "SET_PROVIDER_RATE_LIMIT_", "VIRTUAL_MODELS", "TAGGING_HEADER_"];
