//! Users, aliases, workflows and labels of the settings file, and the variables that set them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring::digest;

use super::entries::{Default, Entry, Reader};
use super::yaml::{self, Node, Value};
use crate::identity::alias::{AliasTarget, Strategy};
use crate::identity::{Alias, Features, Gate, ModelRule, Scope, Tagging, UserPath, Workflow};

/// The models that a user path may use at most.
pub fn users(list: Option<&Node>, reader: &mut Reader<'_>) -> Vec<(UserPath, Vec<ModelRule>)> {
    let mut found: Vec<(UserPath, Vec<ModelRule>)> = Vec::new();
    for entry in reader.entries(list, "users", &["path", "allowed_models"]) {
        reader.needed(entry, "path");
        let path = reader.read(entry, "path", USER_PATH, |text| UserPath::new(text).ok());
        let rules = each(entry, "allowed_models", MODEL_RULE, ModelRule::new, reader);
        let Some(path) = path else { continue };
        if found.iter().any(|(other, _)| *other == path) {
            reader.wrong(
                &entry.node.place,
                "users.path",
                format!("{path} stands twice"),
                "one entry for a path",
            );
        }
        found.push((path, rules));
    }
    found
}

/// What the virtual models come to: aliases, and those without a target, which say who may use a model.
#[derive(Default)]
pub struct Virtual {
    pub aliases: Vec<Alias>,
    pub gates: Vec<Gate>,
}

/// `aliases` as names and targets, `virtual_models` as a list, and the variable VIRTUAL_MODELS, which wins.
pub fn virtual_models(aliases: Option<&Node>, list: Option<&Node>, reader: &mut Reader<'_>) -> Virtual {
    let mut found = Virtual::default();
    plain(aliases, &mut found, reader);
    of_list(list, "virtual_models", &mut found, reader);
    let text = reader.env.get("VIRTUAL_MODELS").filter(|text| !text.trim().is_empty());
    let mut of_env = Virtual::default();
    let root = text.and_then(|text| yaml::read("VIRTUAL_MODELS", text, reader.mistakes));
    of_list(root.as_ref(), "virtual_models", &mut of_env, reader);
    let is_said = |name: &str| of_env.aliases.iter().any(|alias| *alias.source == *name);
    found.aliases.retain(|alias| !is_said(&alias.source));
    found.gates.retain(|gate| !of_env.gates.iter().any(|other| other.rule == gate.rule));
    found.aliases.append(&mut of_env.aliases);
    found.gates.append(&mut of_env.gates);
    let place = root.as_ref().or(list).or(aliases).map_or("VIRTUAL_MODELS", |node| &node.place);
    check_targets(place, &found, reader);
    found
}

fn plain(group: Option<&Node>, found: &mut Virtual, reader: &mut Reader<'_>) {
    let Some(group) = group.filter(|group| !matches!(group.value, Value::Null)) else { return };
    let Some(members) = group.members() else {
        let what = format!("{} stands here", group.kind());
        return reader.wrong(&group.place, "aliases", what, "names and the models that they stand for");
    };
    for (name, key, value) in members {
        let target = value.text().map(|text| super::interpolate::interpolate(text, reader.env));
        match target {
            Some(Ok(target)) if !target.trim().is_empty() => {
                let targets = vec![AliasTarget { model: target.trim().into(), weight: 1 }];
                found.aliases.push(alias(name, targets));
            }
            Some(Err(what)) => reader.wrong(&value.place, "aliases", what, ""),
            _ => reader.wrong(&key.place, &format!("aliases.{name}"), "names no model", "`provider/model`"),
        }
    }
}

fn alias(source: &str, targets: Vec<AliasTarget>) -> Alias {
    Alias {
        source: source.into(),
        description: "".into(),
        targets,
        strategy: Strategy::RoundRobin,
        user_paths: Vec::new(),
        is_enabled: true,
    }
}

const VIRTUAL: [&str; 7] =
    ["source", "target", "targets", "strategy", "user_paths", "description", "enabled"];

fn of_list(list: Option<&Node>, path: &str, found: &mut Virtual, reader: &mut Reader<'_>) {
    for entry in reader.entries(list, path, &VIRTUAL) {
        let Some(source) = reader.needed(entry, "source") else { continue };
        let user_paths = each(entry, "user_paths", USER_PATH, |text| UserPath::new(text).ok(), reader);
        let is_enabled = reader.is_on(entry, "enabled", Default::On);
        let strategy = reader.read(entry, "strategy", "round_robin or failover", strategy);
        let description = reader.text(entry, "description").unwrap_or_default();
        let targets = targets(entry, reader);
        if targets.is_empty() && entry.node.get("target").or(entry.node.get("targets")).is_none() {
            match ModelRule::new(&source) {
                Some(rule) if is_enabled => found.gates.push(Gate { rule, user_paths }),
                Some(_) => {}
                None => reader.wrong(
                    &entry.node.place,
                    &entry.setting("source"),
                    format!("`{source}` names no models"),
                    MODEL_RULE,
                ),
            }
            continue;
        }
        if found.aliases.iter().any(|alias| *alias.source == *source) {
            reader.wrong(
                &entry.node.place,
                &entry.setting("source"),
                format!("`{source}` stands twice"),
                "one entry",
            );
        }
        let strategy = strategy.unwrap_or(Strategy::RoundRobin);
        let made = Alias {
            description: description.into(),
            strategy,
            user_paths,
            is_enabled,
            ..alias(&source, targets)
        };
        found.aliases.push(made);
    }
}

/// A target is a model. Another alias as a target would be taken for a model that nobody has; its own name is the
/// model that it hides.
fn check_targets(place: &str, found: &Virtual, reader: &mut Reader<'_>) {
    for alias in &found.aliases {
        for target in &alias.targets {
            let is_alias = found.aliases.iter().any(|other| other.source == target.model);
            if is_alias && target.model != alias.source {
                let what = format!("`{}` stands for the alias `{}`", alias.source, target.model);
                reader.wrong(place, "virtual_models", what, "a model as its target");
            }
        }
    }
}

fn strategy(text: &str) -> Option<Strategy> {
    match text {
        "round_robin" => Some(Strategy::RoundRobin),
        "failover" => Some(Strategy::Failover),
        _ => None,
    }
}

fn targets(entry: Entry<'_>, reader: &mut Reader<'_>) -> Vec<AliasTarget> {
    let one = reader.text(entry, "target").filter(|model| !model.is_empty());
    let mut targets: Vec<AliasTarget> =
        one.into_iter().map(|model| AliasTarget { model: model.into(), weight: 1 }).collect();
    let path = entry.setting("targets");
    for target in reader.entries(entry.node.get("targets"), &path, &["model", "provider", "weight"]) {
        let Some(model) = reader.needed(target, "model") else { continue };
        let provider = reader.text(target, "provider").filter(|provider| !provider.is_empty());
        let weight = reader.read(target, "weight", "a whole number above 0", |text| {
            text.parse().ok().filter(|&weight: &u32| weight > 0)
        });
        let model = provider.map_or(model.clone(), |provider| format!("{provider}/{model}"));
        targets.push(AliasTarget { model: model.into(), weight: weight.unwrap_or(1) });
    }
    if targets.is_empty() && entry.node.get("targets").is_some() {
        reader.wrong(&entry.node.place, &path, "names no model", "at least one");
    }
    targets
}

const WORKFLOW: [&str; 7] =
    ["name", "description", "provider", "model", "user_path", "features", "guardrails"];

/// The workflows of the file; each is the first version for its scope.
pub fn workflows(list: Option<&Node>, providers: &[&str], reader: &mut Reader<'_>) -> Vec<Arc<Workflow>> {
    let mut found: Vec<Arc<Workflow>> = Vec::new();
    for entry in reader.entries(list, "workflows", &WORKFLOW) {
        let name = reader.needed(entry, "name").unwrap_or_default();
        let scope = scope(entry, providers, reader);
        if found.iter().any(|other| other.scope == scope) {
            reader.wrong(
                &entry.node.place,
                "workflows",
                format!("`{name}` has the scope of another one"),
                "one for a scope",
            );
        }
        let path = entry.setting("guardrails");
        let mut guardrails = Vec::new();
        for item in reader.entries(entry.node.get("guardrails"), &path, &["ref", "step"]) {
            let step = reader.read(item, "step", "a whole number", |text| text.parse().ok()).unwrap_or(0);
            guardrails.extend(reader.needed(item, "ref").map(|guardrail| (guardrail.into(), step)));
        }
        let description = reader.text(entry, "description").unwrap_or_default().into();
        let features = features(entry, reader);
        let id = workflow_id(&name, &scope, features, &guardrails).into();
        let name = name.into();
        found.push(Arc::new(Workflow { id, scope, version: 1, name, description, features, guardrails }));
    }
    found
}

/// Tells by its end what the workflow says: one that is changed in the file has another id in the records from then on.
fn workflow_id(name: &str, scope: &Scope, features: Features, guardrails: &[(Box<str>, u32)]) -> String {
    let content = format!("{} {:?} {guardrails:?}", scope.key(), features.named());
    let digest = digest::digest(&digest::SHA256, content.as_bytes());
    let ending: String = digest.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("settings:{name}:{ending}")
}

fn scope(entry: Entry<'_>, providers: &[&str], reader: &mut Reader<'_>) -> Scope {
    let expected = format!("one of {}", providers.join(", "));
    let known = |text: &str| providers.contains(&text).then(|| text.into());
    let scope = Scope {
        provider: reader.read(entry, "provider", &expected, known),
        model: reader.text(entry, "model").map(Into::into),
        path: reader.read(entry, "user_path", USER_PATH, |text| UserPath::new(text).ok()),
    };
    if entry.node.get("model").is_some() && entry.node.get("provider").is_none() {
        reader.wrong(&entry.node.place, &entry.setting("model"), "has no provider", "`provider` beside it");
    }
    scope
}

fn features(entry: Entry<'_>, reader: &mut Reader<'_>) -> Features {
    let mut features = Features::ALL;
    let Some(group) = entry.node.get("features") else { return features };
    let path = entry.setting("features");
    let of_group = Entry { node: group, path: &path };
    for (name, key, _) in group.members().into_iter().flatten() {
        let is_on = reader.is_on(of_group, name, Default::On);
        if !features.set(name, is_on) {
            let expected = "cache, audit, usage, budget, guardrails or failover";
            reader.wrong(&key.place, &format!("{path}.{name}"), "is no feature", expected);
        }
    }
    features
}

/// Headers that carry labels: `tagging.headers`, and TAGGING_HEADER_1 and so on, which replace an entry of their name.
pub fn tagging(list: Option<&Node>, reader: &mut Reader<'_>) -> Vec<Tagging> {
    let mut found: BTreeMap<String, Tagging> = BTreeMap::new();
    for entry in reader.entries(list, "tagging.headers", &["header", "prefix", "delimiter", "do_not_pass"]) {
        reader.needed(entry, "header");
        let header = reader.read(entry, "header", HEADER, header_name);
        let prefix = reader.text(entry, "prefix").unwrap_or_default();
        let delimiter = reader.text(entry, "delimiter").filter(|text| !text.is_empty());
        let is_kept_back = reader.is_on(entry, "do_not_pass", Default::Off);
        let delimiter = delimiter.unwrap_or_else(|| ",".to_owned());
        let Some(header) = header else { continue };
        found.insert(header.clone(), Tagging { header, prefix, delimiter, is_kept_back });
    }
    let env = reader.env;
    for (name, text) in env.iter().filter(|(name, text)| is_tagging(name) && !text.trim().is_empty()) {
        let companion = |ending: &str| env.get(&format!("{name}_{ending}")).filter(|text| !text.is_empty());
        let Some(header) = header_name(text.trim()) else {
            reader.wrong(name, "tagging.headers", format!("`{text}` is no header"), HEADER);
            continue;
        };
        let is_kept_back =
            companion("DONOTPASS").is_some_and(|text| matches!(text.trim(), "true" | "1" | "yes" | "on"));
        let prefix = companion("PREFIX").cloned().unwrap_or_default();
        let delimiter = companion("DELIMITER").cloned().unwrap_or_else(|| ",".to_owned());
        found.insert(header.clone(), Tagging { header, prefix, delimiter, is_kept_back });
    }
    found.into_values().collect()
}

/// A header's name in lower case.
pub fn header_name(text: &str) -> Option<String> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (!text.is_empty() && text.bytes().all(is_good)).then(|| text.to_ascii_lowercase())
}

fn is_tagging(name: &str) -> bool {
    let number = name.strip_prefix("TAGGING_HEADER_");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What each text of a member means.
fn each<T>(
    entry: Entry<'_>,
    name: &str,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
    reader: &mut Reader<'_>,
) -> Vec<T> {
    let mut found = Vec::new();
    for text in reader.texts(entry, name) {
        match read(&text) {
            Some(value) => found.push(value),
            None => {
                let place = entry.node.get(name).map_or(&entry.node.place, |node| &node.place);
                reader.wrong(place, &entry.setting(name), format!("`{text}` cannot be used"), expected);
            }
        }
    }
    found
}

const USER_PATH: &str = "a path such as /team/alpha";
const MODEL_RULE: &str = "`provider/*`, `provider/model`, `model` or `*`";
const HEADER: &str = "the name of a header";
