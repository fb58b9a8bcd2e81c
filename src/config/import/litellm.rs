//! LiteLLM's `config.yaml`: deployments become providers, their groups virtual models, and what is granted becomes budgets
//! and limits.

use std::collections::BTreeMap;

use super::emit::{Out, literal};
use super::gomodel::put_allowances;
use super::keys::period_of;
use super::{Imported, Names};
use crate::base::Pico;
use crate::config::mistake::{Mistake, Mistakes};
use crate::config::provider_file;
use crate::config::yaml::{self, Node, Value};
use crate::identity::{Allowance, Measure, Period, Subject, UserPath};
use crate::provider::file::{Auth, ProviderFile};

/// Reads the file. The error is for what is no YAML.
pub fn litellm(text: &str) -> Result<Imported, Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    let root = yaml::read("config.yaml", text, &mut mistakes);
    if !mistakes.list.is_empty() {
        return Err(mistakes.list);
    }
    let mut reading = Reading {
        names: Names::of("litellm"),
        files: provider_file::read_all(None, &mut Mistakes::default()),
        variables: BTreeMap::new(),
        providers: Vec::new(),
        groups: Vec::new(),
        limits: Vec::new(),
        budgets: Vec::new(),
        settings: Out::Map(Vec::new()),
        remarks: Vec::new(),
    };
    for (section, _, node) in root.iter().filter_map(Node::members).flatten() {
        if section == "environment_variables" {
            let members = node.members().into_iter().flatten();
            reading.variables.extend(
                members.filter_map(|(name, _, value)| Some((name.to_owned(), value.text()?.to_owned()))),
            );
        }
    }
    for (section, _, node) in root.iter().filter_map(Node::members).flatten() {
        reading.section(section, node);
    }
    reading.finish();
    Ok(Imported::of(&reading.settings, reading.remarks))
}

struct Reading {
    names: Names,
    files: Vec<ProviderFile>,
    /// What the file itself sets in the environment.
    variables: BTreeMap<String, String>,
    /// Instances: name and settings.
    providers: Vec<(String, Out)>,
    groups: Vec<Group>,
    limits: Vec<Allowance>,
    budgets: Vec<Allowance>,
    settings: Out,
    remarks: Vec<String>,
}

/// Deployments that callers know by one name.
struct Group {
    name: String,
    /// The model, its weight, and its place where the deployments are in order.
    targets: Vec<(String, u64, Option<u64>)>,
}

impl Reading {
    fn section(&mut self, section: &str, node: &Node) {
        match section {
            "model_list" => {
                if let Value::List(entries) = &node.value {
                    entries.iter().for_each(|entry| self.deployment(entry));
                }
            }
            "litellm_settings" | "general_settings" | "router_settings" => {
                for (name, _, value) in node.members().into_iter().flatten() {
                    self.setting(section, name, value, node);
                }
            }
            "environment_variables" => {}
            _ => self.missing(section, section),
        }
    }

    fn missing(&mut self, name: &str, place: &str) {
        let why = self.names.find("without", name);
        let why = why.unwrap_or_else(|| "it is not known here".to_owned());
        self.remarks.push(format!("{place} has no equivalent: {why}"));
    }

    /// A text of the file as ours: `os.environ/NAME` is a reference.
    fn text(&self, node: &Node) -> String {
        let text = node.text().unwrap_or_default();
        match text.strip_prefix("os.environ/") {
            Some(name) => match self.variables.get(name) {
                Some(value) => literal(value),
                None => format!("${{{name}}}"),
            },
            None => literal(text),
        }
    }

    fn deployment(&mut self, entry: &Node) {
        let name = entry.get("model_name").and_then(Node::text).unwrap_or_default().to_owned();
        let Some(params) = entry.get("litellm_params") else {
            return self.remarks.push(format!("model_list: `{name}` has no litellm_params and is left out"));
        };
        let model = params.get("model").and_then(Node::text).unwrap_or_default();
        let (prefix, rest) = model.split_once('/').unwrap_or(("", model));
        let kind = self.names.find("types", prefix).unwrap_or_else(|| prefix.to_owned());
        let Some(file) = self.files.iter().find(|file| file.kind == kind).cloned() else {
            let what = format!(
                "model_list: `{name}` is left out: there is no file for the provider `{prefix}`; one in \
                 `providers_dir` makes it known"
            );
            return self.remarks.push(what);
        };
        let instance = self.instance(&file, params);
        let rest = rest.to_owned();
        self.parameters(&name, &format!("{instance}/{rest}"), params);
        let weight =
            params.get("weight").and_then(Node::text).and_then(|text| text.parse().ok()).unwrap_or(1);
        let order = params.get("order").and_then(Node::text).and_then(|text| text.parse().ok());
        if name.contains('*') || rest.contains('*') {
            let what = format!(
                "model_list: `{name}` needs no entry: the models of the provider are asked for as `{instance}/…`, and \
                 by their names alone where it lists them"
            );
            return self.remarks.push(what);
        }
        let target = (format!("{instance}/{rest}"), weight, order);
        match self.groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.targets.push(target),
            None => self.groups.push(Group { name, targets: vec![target] }),
        }
    }

    /// The instance with these credentials and this place; a new one when there is none yet.
    fn instance(&mut self, file: &ProviderFile, params: &Node) -> String {
        let mut settings = Out::map([("type", Out::text(file.kind.clone()))]);
        for (name, _, value) in params.members().into_iter().flatten() {
            let Some(setting) = self.names.find("settings", name) else { continue };
            let mut text = self.text(value);
            if setting == "base_url" {
                text = text.trim_end_matches('/').to_owned();
                let path = self.names.find("base_paths", &file.kind).filter(|path| !text.ends_with(&**path));
                text.push_str(path.as_deref().unwrap_or_default());
            }
            settings.set(&setting, Out::Text(text));
        }
        let has_key = matches!(&settings, Out::Map(members) if members.len() > 1
            && members.iter().any(|(name, _)| name == "api_key"));
        if !has_key && matches!(file.auth, Auth::Bearer | Auth::Header(_)) {
            settings.set("api_key", Out::text(format!("${{{}_API_KEY}}", file.env)));
        }
        if let Some((name, _)) = self.providers.iter().find(|(_, known)| *known == settings) {
            return name.clone();
        }
        let of_kind = |(name, _): &&(String, Out)| {
            *name == file.kind || name.strip_prefix(&file.kind).is_some_and(|rest| rest.starts_with('-'))
        };
        let count = self.providers.iter().filter(of_kind).count();
        let name = if count == 0 { file.kind.clone() } else { format!("{}-{}", file.kind, count + 1) };
        self.providers.push((name.clone(), settings));
        name
    }

    /// Limits of one deployment, and its parameters that have no equivalent.
    fn parameters(&mut self, name: &str, target: &str, params: &Node) {
        let minute = Period::Seconds(60);
        for (param, _, value) in params.members().into_iter().flatten() {
            let number = value.text().and_then(|text| text.parse::<u64>().ok()).map(u128::from);
            let measure = match param {
                "model" | "weight" | "order" => continue,
                "rpm" => Measure::Requests(minute),
                "tpm" => Measure::Tokens(minute),
                "max_parallel_requests" => Measure::Concurrent,
                _ if self.names.find("settings", param).is_some() => continue,
                _ => {
                    self.missing(param, &format!("litellm_params.{param} of `{name}`"));
                    continue;
                }
            };
            if let Some(number) = number.filter(|&number| number > 0) {
                let allowance = Allowance::hard(Subject::Model(target.into()), measure, number);
                if self.limits.iter().all(|other| other.id() != allowance.id()) {
                    self.limits.push(allowance);
                }
            }
        }
    }

    fn setting(&mut self, section: &str, name: &str, value: &Node, group: &Node) {
        let text = self.text(value);
        let is_true = text.eq_ignore_ascii_case("true");
        let mut set = |path: &str, text: String| self.settings.set(path, Out::Text(text));
        match (section, name) {
            ("general_settings", "master_key") => set("auth.master_key", text),
            (_, "num_retries") => set("retry.max_retries", text),
            ("litellm_settings", "request_timeout") | ("router_settings", "timeout") => {
                set("upstream.first_byte_timeout", text);
            }
            ("litellm_settings", "drop_params") => {
                set("translation.on_unsupported", if is_true { "drop" } else { "refuse" }.to_owned());
            }
            ("litellm_settings", "set_verbose") if is_true => set("log.level", "debug".to_owned()),
            ("litellm_settings", "set_verbose" | "budget_duration") => {}
            ("litellm_settings", "max_budget") => {
                let duration = group.get("budget_duration").and_then(Node::text);
                self.budget("litellm_settings.max_budget", Subject::Path(UserPath::root()), value.text(), duration);
            }
            ("router_settings", "provider_budget_config") => self.provider_budgets(value),
            ("router_settings", "model_group_alias") => self.aliases(value),
            ("router_settings", "routing_strategy") if text == "simple-shuffle" => {}
            ("router_settings", "routing_strategy") => self.remarks.push(format!(
                "router_settings.routing_strategy `{text}` has no equivalent: deployments of a group are asked in \
                 turn, as often as their weights say"
            )),
            _ => self.missing(name, &format!("{section}.{name}")),
        }
    }

    fn budget(&mut self, place: &str, subject: Subject, amount: Option<&str>, duration: Option<&str>) {
        let dollars = amount.and_then(Pico::from_dollars).and_then(|pico| u128::try_from(pico.0).ok());
        match (dollars.filter(|&dollars| dollars > 0), period_of(duration)) {
            (Some(dollars), Some(period)) => {
                self.budgets.push(Allowance::hard(subject, Measure::Cost(period), dollars));
            }
            _ => self.remarks.push(format!("{place} is no amount with a duration, and is left out")),
        }
    }

    fn provider_budgets(&mut self, node: &Node) {
        for (provider, _, budget) in node.members().into_iter().flatten() {
            let kind = self.names.find("types", provider).unwrap_or_else(|| provider.to_owned());
            let of = |name: &str| budget.get(name).and_then(Node::text);
            let (amount, duration) =
                (of("budget_limit").or(of("max_budget")), of("time_period").or(of("budget_duration")));
            let place = format!("router_settings.provider_budget_config.{provider}");
            self.budget(&place, Subject::Provider(kind.as_str().into()), amount, duration);
        }
    }

    /// Other names for groups.
    fn aliases(&mut self, node: &Node) {
        for (name, _, value) in node.members().into_iter().flatten() {
            let of = value.text().or_else(|| value.get("model").and_then(Node::text)).unwrap_or_default();
            match self.groups.iter().find(|group| group.name == of) {
                Some(group) => {
                    let targets = group.targets.clone();
                    self.groups.push(Group { name: name.to_owned(), targets });
                }
                None => {
                    let what = format!(
                        "router_settings.model_group_alias: `{name}` is left out: there is no `{of}`"
                    );
                    self.remarks.push(what);
                }
            }
        }
    }

    fn finish(&mut self) {
        for (name, provider) in &self.providers {
            self.settings.set(&format!("providers.{name}"), provider.clone());
        }
        let names: Vec<&String> = self.providers.iter().map(|(name, _)| name).collect();
        let (known, unknown): (Vec<Allowance>, Vec<Allowance>) = self
            .budgets
            .drain(..)
            .partition(|budget| !matches!(&budget.subject, Subject::Provider(name) if !names.iter().any(|known| ***known == **name)));
        for budget in unknown {
            let name = budget.subject.name();
            self.remarks.push(format!("the budget of the provider `{name}` is left out: no model is of it"));
        }
        put_allowances(&mut self.settings, "budgets", &known);
        put_allowances(&mut self.settings, "rate_limits", &self.limits);
        let groups = self.groups.iter().map(virtual_model).collect();
        self.settings.set("virtual_models", Out::List(groups));
        if self.groups.iter().any(|group| group.targets.iter().any(|(.., order)| order.is_some())) {
            self.remarks.push(
                "deployments with an `order` become targets in that order, of which this version asks the first"
                    .to_owned(),
            );
        }
    }
}

fn virtual_model(group: &Group) -> Out {
    let mut targets = group.targets.clone();
    let is_ordered = targets.iter().any(|(.., order)| order.is_some());
    if is_ordered {
        targets.sort_by_key(|(.., order)| order.unwrap_or(u64::MAX));
    }
    let target = |(model, weight, _): &(String, u64, Option<u64>)| {
        let model = ("model", Out::text(literal(model)));
        Out::map([model, ("weight", Out::text(weight.max(&1).to_string()))])
    };
    Out::map([
        ("source", Out::text(literal(&group.name))),
        ("strategy", Out::text(if is_ordered { "failover" } else { "round_robin" })),
        ("targets", Out::List(targets.iter().map(target).collect())),
    ])
}
