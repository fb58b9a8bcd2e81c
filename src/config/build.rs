//! From sources to a snapshot: reads the file, resolves every value, compiles the providers, checks what belongs
//! together. Goes on after a mistake, so that all are told at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::discover::{self, Found};
use super::entries::Reader;
use super::mistake::{Mistake, Mistakes, nearest};
use super::prices::{self, price_names};
use super::snapshot::{
    Audit, ConfiguredMode, DriverChoice, Identity, Keys, Log, LogLevel, Metrics, Models, Server, Snapshot,
};
use super::table::{Kind, PROVIDER_SETTINGS, SETTINGS, Setting};
use super::values::Values;
use super::yaml::{self, Node, Value};
use super::{Sources, compile, identity, plan, provider_file, storage};
use crate::base::Secret;
use crate::base::limits::{AUDIT_BODY_BYTES_MAX, HELD_BYTES_LIMIT};
use crate::ledger::headers::Dress;
use crate::provider::Provider;

/// Builds the snapshot, or says everything that is wrong.
pub fn build(sources: &Sources) -> Result<Snapshot, Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    let root = read_file(sources, &mut mistakes);
    of_file(root.as_ref(), &sources.env, mistakes)
}

/// Builds the snapshot from what the file said; `mistakes` are those of reading it.
pub fn of_file(
    root: Option<&Node>,
    env: &BTreeMap<String, String>,
    mut mistakes: Mistakes,
) -> Result<Snapshot, Vec<Mistake>> {
    let file = root.map(|root| flatten(root, &mut mistakes)).unwrap_or_default();
    refuse_unknown_variables(env, &mut mistakes);
    let values = Values::resolve(SETTINGS, &file.settings, env, env_names, "", &mut mistakes);
    let files = provider_file::read_all(values.text("providers_dir"), &mut mistakes);
    let found = discover::discover(&files, env);
    let (providers, provider_plans) = providers(&files, &file, found, &values, env, &mut mistakes);
    let keys = keys(&values);
    let server = server(&values, &file, env, &keys, &mut mistakes);
    let names: Vec<&str> = providers.iter().map(|provider| provider.name.as_str()).collect();
    let mut reader = Reader { env, mistakes: &mut mistakes };
    let identity = identity::identity(&file.lists, &values, &names, &mut reader);
    let default_provider = default_provider(&values, &providers, &mut mistakes);
    let data_dir = storage::data_dir(&values, env);
    let storage = storage::storage(&values, &data_dir, &mut mistakes);
    let audit = audit(&values, &mut mistakes);
    let prices = prices::read(&values, &file.price_overrides, price_names(&files), &mut mistakes);
    let mut warnings = std::mem::take(&mut mistakes.warnings);
    warnings.extend(without_effect(&identity).map(str::to_owned));
    if keys.is_open() {
        warnings.push(
            "no key is set: everybody who can reach the address may use the providers' keys".to_owned(),
        );
    }
    if !mistakes.list.is_empty() {
        return Err(mistakes.list);
    }
    let default = default_provider.map(|at| &*providers[at]);
    let plan = plan::render(&values, &server, &provider_plans, default, &storage::line(&storage));
    Ok(Snapshot {
        server,
        keys,
        default_provider,
        providers,
        models: models(&values),
        identity,
        metrics: Metrics {
            enabled: values.bool("metrics.enabled"),
            path: values.text("metrics.path").unwrap_or("/metrics").to_owned(),
            needs_key: values.bool("metrics.require_key"),
        },
        prices,
        ask_usage_in_streams: values.bool("usage.ask_in_streams"),
        settings: values.lines(SETTINGS),
        usage_headers: match values.text("usage.headers") {
            Some("off") => None,
            Some("litellm") => Some(Dress::AlsoLiteLlm),
            _ => Some(Dress::Own),
        },
        drops_unsupported: values.text("translation.on_unsupported") == Some("drop"),
        responses_bytes_max: usize::try_from(values.number("responses.memory_max").unwrap_or_default())
            .unwrap_or(usize::MAX),
        ca_file: values.text("upstream.ca_file").map(PathBuf::from),
        data_dir,
        storage,
        journal: storage::journal(&values),
        audit,
        dns_refresh_ms: values.number("upstream.dns_refresh").unwrap_or(30_000),
        log: log(&values),
        plan,
        warnings,
    })
}

/// What the file said: the nodes of settings by path, and the groups that have a shape of their own.
#[derive(Default)]
struct FileSettings {
    settings: BTreeMap<String, Node>,
    /// In the file's order.
    providers: Vec<(String, Node)>,
    tls: Vec<Node>,
    /// Prices of single models, by selector.
    price_overrides: Vec<(Node, Node)>,
    /// Lists and groups of identity, by path.
    lists: BTreeMap<String, Node>,
}

/// What can be set and is not acted on by this version: saying nothing would be a lie.
fn without_effect(identity: &Identity) -> impl Iterator<Item = &'static str> {
    let told = [(
        identity.workflows.iter().any(|workflow| !workflow.guardrails.is_empty()),
        "guardrails of workflows are read and not acted on: there are none",
    )];
    told.into_iter().filter_map(|(is_set, line)| is_set.then_some(line))
}

#[expect(clippy::disallowed_methods, reason = "settings are read from a file")]
fn read_file(sources: &Sources, mistakes: &mut Mistakes) -> Option<Node> {
    let named = sources
        .file
        .clone()
        .or_else(|| sources.env.get("RINGWAY_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from));
    let usual =
        || ["config/ringway.yaml", "ringway.yaml"].into_iter().map(PathBuf::from).find(|path| path.is_file());
    let path = named.or_else(usual)?;
    match std::fs::read_to_string(&path) {
        Ok(text) => yaml::read(&path.display().to_string(), &text, mistakes),
        Err(error) => {
            mistakes.add(&path.display().to_string(), "", format!("the file cannot be read: {error}"), "");
            None
        }
    }
}

fn flatten(root: &Node, mistakes: &mut Mistakes) -> FileSettings {
    let mut file = FileSettings::default();
    if root.members().is_none() && !matches!(root.value, Value::Null) {
        mistakes.add(&root.place, "", format!("{} stands here", root.kind()), "groups of settings");
    }
    flatten_group(root, "", &mut file, mistakes);
    file
}

fn flatten_group(group: &Node, prefix: &str, file: &mut FileSettings, mistakes: &mut Mistakes) {
    for (name, key, value) in group.members().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let below = format!("{path}.");
        // A group may hold settings, lists, or both.
        let is_group = |path: &str| path.starts_with(&below);
        let is_group = SETTINGS.iter().map(|setting| setting.path).chain(identity::LISTS).any(is_group);
        match (&*path, &value.value) {
            ("providers", Value::Null) | ("server.tls", Value::Null) => {}
            ("providers", Value::Map(_)) => {
                let members = value.members().into_iter().flatten();
                file.providers = members.map(|(name, _, node)| (name.to_owned(), node.clone())).collect();
            }
            ("server.tls", Value::List(items)) => file.tls = items.clone(),
            ("prices.overrides", Value::Null) => {}
            ("prices.overrides", Value::Map(members)) => file.price_overrides = members.clone(),
            ("prices.overrides", _) => {
                let what = format!("{} stands here", value.kind());
                mistakes.add(&value.place, &path, what, "models, each with its prices");
            }
            ("providers", _) => mistakes.add(
                &value.place,
                &path,
                format!("{} stands here", value.kind()),
                "providers by name",
            ),
            ("server.tls", _) => {
                let expected = "a list of `{cert_file: …, key_file: …}`";
                mistakes.add(&value.place, &path, format!("{} stands here", value.kind()), expected);
            }
            _ if identity::LISTS.contains(&&*path) => drop(file.lists.insert(path, value.clone())),
            _ if SETTINGS.iter().any(|setting| setting.path == path) => {
                file.settings.insert(path, value.clone());
            }
            (_, Value::Null) if is_group => {}
            _ if is_group => {
                if value.members().is_none() {
                    mistakes.add(
                        &value.place,
                        &path,
                        format!("{} stands here", value.kind()),
                        "a group of settings",
                    );
                }
                flatten_group(value, &below, file, mistakes);
            }
            _ => mistakes.add(&key.place, &path, "is not a setting", hint(&path)),
        }
    }
}

/// The setting that a mistyped path may mean.
fn hint(path: &str) -> String {
    let groups = [
        "server",
        "auth",
        "metrics",
        "usage",
        "models",
        "upstream",
        "retry",
        "log",
        "budgets",
        "rate_limits",
        "tagging",
        "providers",
        "server.tls",
        "prices",
        "prices.overrides",
    ];
    let known = SETTINGS.iter().map(|setting| setting.path).chain(groups);
    let known = known.chain(identity::LISTS);
    nearest(path, known).map_or(String::new(), |known| format!("`{known}`"))
}

fn env_names(setting: &Setting) -> Vec<String> {
    // What is said to this program by name beats what is said to every program.
    [setting.own_env()].into_iter().chain(setting.env.iter().map(|&name| name.to_owned())).collect()
}

/// A mistyped variable of ours would otherwise be silently without effect.
fn refuse_unknown_variables(env: &BTreeMap<String, String>, mistakes: &mut Mistakes) {
    let known: Vec<String> = SETTINGS
        .iter()
        .flat_map(env_names)
        .chain(["RINGWAY_CONFIG"].into_iter().chain(OF_CLIENTS).map(str::to_owned))
        .collect();
    for name in env.keys().filter(|name| name.starts_with("RINGWAY_") && !known.contains(name)) {
        let hint =
            nearest(name, known.iter().map(String::as_str)).map_or(String::new(), |near| format!("`{near}`"));
        mistakes.add("environment", name, "is not a variable of Ringway", hint);
    }
}

/// The variables that the commands read that ask a running gateway.
const OF_CLIENTS: [&str; 2] = ["RINGWAY_URL", "RINGWAY_CA_FILE"];

/// The file's providers in its order, then those that only the environment knows.
fn providers(
    files: &[crate::provider::file::ProviderFile],
    file: &FileSettings,
    found: Vec<(String, Found)>,
    values: &Values,
    env: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> (Vec<Arc<Provider>>, Vec<plan::OfProvider>) {
    let mut from_env: BTreeMap<String, Found> = found.iter().cloned().collect();
    let mut instances = Vec::new();
    for (name, node) in &file.providers {
        instances.push((name.clone(), Some(node), from_env.remove(name).unwrap_or_default()));
    }
    for (name, _) in found {
        if let Some(found) = from_env.remove(&name) {
            instances.push((name, None, found));
        }
    }
    let mut out = (Vec::new(), Vec::new());
    for (name, node, found) in instances {
        let settings = provider_nodes(&name, node, mistakes);
        let prefix = format!("providers.{name}.");
        let found = with_common(files, found, &name, node, env);
        let variable = |path: &str| found.settings.get(path).or_else(|| found.common.get(path)).cloned();
        let names = |setting: &Setting| variable(setting.path).into_iter().collect();
        let own = Values::resolve(PROVIDER_SETTINGS, &settings, env, names, &prefix, mistakes);
        let headers = node.and_then(|node| node.get("headers"));
        let place = node.map_or("environment", |node| &node.place);
        let instance = compile::Instance {
            name: &name,
            place,
            own: &own,
            found: &found,
            headers,
            is_in_file: node.is_some(),
        };
        if let Some(provider) = compile::provider(&instance, files, values, env, mistakes) {
            out.1.push(plan::OfProvider::of(&provider, place));
            out.0.push(Arc::new(provider));
        }
    }
    out
}

/// Adds the variables that others have for settings of the instance, by its type.
fn with_common(
    files: &[crate::provider::file::ProviderFile],
    mut found: Found,
    name: &str,
    node: Option<&Node>,
    env: &BTreeMap<String, String>,
) -> Found {
    let found_kind = if found.kind.is_empty() { name } else { &found.kind };
    let kind = node.and_then(|node| node.get("type")).and_then(Node::text).unwrap_or(found_kind);
    if let Some(file) = files.iter().find(|file| file.kind == kind) {
        found.add_common(file, env, |setting| node.is_some_and(|node| node.get(setting).is_some()));
    }
    found
}

fn provider_nodes(name: &str, node: Option<&Node>, mistakes: &mut Mistakes) -> BTreeMap<String, Node> {
    let mut settings = BTreeMap::new();
    let Some(node) = node else { return settings };
    let path = format!("providers.{name}");
    if !matches!(node.value, Value::Map(_) | Value::Null) {
        mistakes.add(&node.place, &path, format!("{} stands here", node.kind()), "the provider's settings");
    }
    for (key, place, value) in node.members().into_iter().flatten() {
        let known = PROVIDER_SETTINGS.iter().map(|setting| setting.path);
        if known.clone().any(|known| known == key) {
            if key != "headers" {
                settings.insert(format!("{path}.{key}"), value.clone());
            }
        } else {
            let hint = nearest(key, known).map_or(String::new(), |near| format!("`{near}`"));
            mistakes.add(&place.place, &format!("{path}.{key}"), "is not a setting of a provider", hint);
        }
    }
    settings
}

fn keys(values: &Values) -> Keys {
    let master = values.text("auth.master_key").map(str::to_owned);
    Keys::new(master.into_iter().chain(values.list("auth.keys").to_vec()).map(Secret::new).collect())
}

fn server(
    values: &Values,
    file: &FileSettings,
    env: &BTreeMap<String, String>,
    keys: &Keys,
    mistakes: &mut Mistakes,
) -> Server {
    let listen = listen(values, env, keys, mistakes);
    let ms = |path: &str| values.number(path).unwrap_or_default();
    let bytes = |path: &str| usize::try_from(ms(path)).unwrap_or(usize::MAX);
    if values.bool("server.allow_unauthenticated") || !keys.is_open() {
        // Said by name, or not needed.
    } else if let Some(open) = listen.iter().find(|address| !address.ip().is_loopback()) {
        let what = format!("{open} is not a loopback address and no key is set");
        let expected =
            "a key (RINGWAY_MASTER_KEY), a loopback address, or server.allow_unauthenticated: true";
        mistakes.add(values.place("server.listen"), "server.listen", what, expected);
    }
    for path in ["server.body_max", "server.event_max"] {
        if ms(path) > HELD_BYTES_LIMIT {
            mistakes.add(values.place(path), path, format!("{} bytes is too much", ms(path)), "2G at most");
        }
    }
    Server {
        listen,
        allow_unauthenticated: values.bool("server.allow_unauthenticated"),
        dumps_core: values.bool("server.core_dumps"),
        tls: file.tls.iter().filter_map(|node| certificate_pair(node, env, mistakes)).collect(),
        shards: bytes("server.shards"),
        driver: match values.text("server.driver") {
            Some("io_uring") => DriverChoice::IoUring,
            Some("epoll") => DriverChoice::Epoll,
            _ => DriverChoice::Auto,
        },
        connections_count_max: bytes("server.connections_max"),
        head_timeout_ms: ms("server.head_timeout"),
        body_timeout_ms: ms("server.body_timeout"),
        idle_timeout_ms: ms("server.idle_timeout"),
        write_timeout_ms: ms("server.write_timeout"),
        body_bytes_max: bytes("server.body_max"),
        held_bytes_max: bytes("server.held_max"),
        event_bytes_max: bytes("server.event_max"),
        keep_alive_ms: values.number("server.keep_alive_interval").unwrap_or_default(),
        drain_timeout_ms: values.number("server.drain_timeout"),
    }
}

/// The addresses; PORT alone makes one, as other gateways and platforms have it.
fn listen(
    values: &Values,
    env: &BTreeMap<String, String>,
    keys: &Keys,
    mistakes: &mut Mistakes,
) -> Vec<std::net::SocketAddr> {
    let is_default = values.get("server.listen").is_none_or(|resolved| resolved.is_default);
    let port = env.get("PORT").filter(|port| !port.is_empty());
    if port.is_some() && !is_default {
        let place = values.place("server.listen");
        mistakes.warn(format!("PORT has no effect: {place} sets server.listen"));
    }
    if let Some(port) = port.filter(|_| is_default) {
        let host = if keys.is_open() { [127, 0, 0, 1] } else { [0, 0, 0, 0] };
        match port.parse::<u16>() {
            Ok(port) => return vec![(host, port).into()],
            Err(_) => {
                mistakes.add("PORT", "server.listen", format!("`{port}` is no port"), "a number up to 65535")
            }
        }
    }
    values.list("server.listen").iter().filter_map(|address| address.parse().ok()).collect()
}

fn certificate_pair(
    node: &Node,
    env: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> Option<(PathBuf, PathBuf)> {
    let mut file = |key: &str| {
        let text = node.get(key).and_then(Node::text).map(|text| super::interpolate::interpolate(text, env));
        match text {
            Some(Ok(path)) if Path::new(&path).is_file() => return Some(PathBuf::from(path)),
            Some(Ok(path)) => mistakes.add(
                &node.place,
                &format!("server.tls.{key}"),
                format!("there is no file {path}"),
                "",
            ),
            Some(Err(what)) => mistakes.add(&node.place, &format!("server.tls.{key}"), what, ""),
            None => {
                mistakes.add(&node.place, &format!("server.tls.{key}"), "is missing", Kind::File.expected())
            }
        }
        None
    };
    let (cert, key) = (file("cert_file"), file("key_file"));
    Some((cert?, key?))
}

fn default_provider(values: &Values, providers: &[Arc<Provider>], mistakes: &mut Mistakes) -> Option<usize> {
    let Some(name) = values.text("models.default_provider") else {
        return (providers.len() == 1).then_some(0);
    };
    let found = providers.iter().position(|provider| provider.name == name);
    if found.is_none() {
        let known: Vec<&str> = providers.iter().map(|provider| provider.name.as_str()).collect();
        let place = values.place("models.default_provider");
        let expected = format!("one of the configured providers: {}", known.join(", "));
        mistakes.add(place, "models.default_provider", format!("there is no provider `{name}`"), expected);
    }
    found
}

fn audit(values: &Values, mistakes: &mut Mistakes) -> Audit {
    let path = "audit.body_max";
    let bytes_max = values.number(path).unwrap_or_default();
    if bytes_max > AUDIT_BODY_BYTES_MAX {
        let most = format!("at most {}M", AUDIT_BODY_BYTES_MAX >> 20);
        mistakes.add(values.place(path), path, "is more than a row of the store can hold", most);
    }
    Audit {
        enabled: values.bool("audit.enabled"),
        headers: values.bool("audit.headers"),
        bodies: values.bool("audit.bodies"),
        body_bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
        headers_shown: values
            .list("audit.headers_shown")
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect(),
    }
}

fn models(values: &Values) -> Models {
    Models {
        configured_mode: match values.text("models.configured_mode") {
            Some("allowlist") => ConfiguredMode::Allowlist,
            Some("merge") => ConfiguredMode::Merge,
            _ => ConfiguredMode::Fallback,
        },
        refresh_interval_ms: values.number("models.refresh_interval").unwrap_or(3_600_000).max(1_000),
    }
}

fn log(values: &Values) -> Log {
    let level = match values.text("log.level") {
        Some("error") => LogLevel::Error,
        Some("warn") => LogLevel::Warn,
        Some("debug") => LogLevel::Debug,
        _ => LogLevel::Info,
    };
    Log { level, json: values.text("log.format") == Some("json") }
}
