//! Provider files: YAML in, a checked [`ProviderFile`] out. The built-in ones are compiled in; an operator's folder adds
//! to them.

use std::path::Path;

use super::mistake::{Mistakes, nearest};
use super::rules;
use super::table::PROVIDER_SETTINGS;
use super::yaml::{self, Node, Value};
use crate::dialect::endpoint::Endpoint;
use crate::provider::edit::BodyEdit;
use crate::provider::file::{Auth, Checked, ProviderFile, UsageInStreams};
use crate::provider::{MODEL, Models};
use crate::wire::head::Known;
use crate::wire::path::check_forwardable;

macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        /// The built-in files by name, in the order in which the environment is searched.
        pub const BUILTIN: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../config/providers/", $name, ".yaml")))),*];
    };
}

builtin!(
    "openai",
    "anthropic",
    "gemini",
    "bedrock",
    "vertex",
    "vertex-anthropic",
    "azure",
    "azure-v1",
    "groq",
    "xai",
    "openrouter",
    "deepseek",
    "zai",
    "oracle",
    "mistral",
    "together",
    "fireworks",
    "perplexity",
    "cerebras",
    "nvidia",
    "huggingface",
    "moonshot",
    "minimax",
    "dashscope",
    "cohere",
    "ai21",
    "baseten",
    "chutes",
    "cloudflare",
    "crusoe",
    "databricks",
    "deepinfra",
    "digitalocean",
    "doubleword",
    "friendli",
    "gemini-openai",
    "github-models",
    "heroku",
    "hyperbolic",
    "meta",
    "nebius",
    "novita",
    "sambanova",
    "scaleway",
    "siliconflow",
    "snowflake",
    "venice",
    "vercel",
    "voyage",
    "xiaomi",
    "ollama",
    "vllm",
    "llamacpp",
    "lmstudio",
    "sglang",
    "tgi",
    "mistralrs",
    "localai",
    "gpustack",
    "simulated",
);

/// All provider files: the built-in ones, then those of the folder, which replace built-in ones of the same name.
pub fn read_all(folder: Option<&str>, mistakes: &mut Mistakes) -> Vec<ProviderFile> {
    let mut files: Vec<ProviderFile> = BUILTIN
        .iter()
        .filter_map(|(name, text)| read(name, &format!("config/providers/{name}.yaml"), text, mistakes))
        .collect();
    for (name, path, text) in folder.map(|folder| texts_of(folder, mistakes)).unwrap_or_default() {
        let Some(file) = read(&name, &path, &text, mistakes) else { continue };
        match files.iter_mut().find(|known| known.kind == name) {
            Some(known) => *known = file,
            None => files.push(file),
        }
    }
    refuse_shared_prefixes(&files, mistakes);
    files
}

/// Two types with one prefix would make it a matter of luck whose a variable is.
fn refuse_shared_prefixes(files: &[ProviderFile], mistakes: &mut Mistakes) {
    for (index, file) in files.iter().enumerate() {
        if let Some(other) = files[..index].iter().find(|other| other.env == file.env) {
            let what = format!("`{}` is the prefix of `{}` already", file.env, other.kind);
            mistakes.add(&file.kind, "env", what, "a prefix of its own");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "settings are read from files")]
fn texts_of(folder: &str, mistakes: &mut Mistakes) -> Vec<(String, String, String)> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            mistakes.add(folder, "providers_dir", format!("the folder cannot be read: {error}"), "a folder");
            return Vec::new();
        }
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"));
    paths.sort();
    let mut out = Vec::new();
    for path in paths {
        let shown = path.display().to_string();
        match (std::fs::read_to_string(&path), path.file_stem().and_then(|stem| stem.to_str())) {
            (Ok(text), Some(name)) => out.push((name.to_owned(), shown, text)),
            (Err(error), _) => mistakes.add(&shown, "", format!("the file cannot be read: {error}"), ""),
            (_, None) => mistakes.add(&shown, "", "the file's name is not UTF-8", ""),
        }
    }
    out
}

/// Reads one file. `None` when it is no group of settings; every mistake is noted.
pub fn read(kind: &str, path: &str, text: &str, mistakes: &mut Mistakes) -> Option<ProviderFile> {
    let root = yaml::read(Path::new(path).to_str()?, text, mistakes)?;
    let Some(members) = root.members() else {
        mistakes.add(&root.place, "", format!("{} stands here", root.kind()), "the settings of a provider");
        return None;
    };
    for (name, key, _) in members {
        if !KEYS.contains(&name) {
            let hint =
                nearest(name, KEYS.iter().copied()).map_or(String::new(), |known| format!("`{known}`"));
            mistakes.add(&key.place, name, "is not a setting of a provider file", hint);
        }
    }
    let mut reader = FileReader { root: &root, mistakes };
    reader.check_forward_headers();
    let env_default = kind.to_uppercase().replace('-', "_");
    let common = rules::read(&root, reader.mistakes);
    Some(ProviderFile {
        kind: kind.to_owned(),
        title: reader.text("title").unwrap_or(kind).to_owned(),
        checked: reader.checked(),
        env: reader.text("env").map_or(env_default, str::to_owned),
        base_url: reader.text("base_url").map(str::to_owned),
        auth: reader.auth(),
        paths: reader.paths(),
        collections_above: reader.text("collections_above").map(str::to_owned),
        messages_stream: reader
            .pairs("paths")
            .into_iter()
            .find(|(name, _)| name == MESSAGES_STREAM)
            .map(|(_, path)| path),
        api_version: reader.text("api_version").map(str::to_owned),
        query: reader.pairs("query"),
        query_when_base_has: reader.text("query_when_base_has").map(str::to_owned),
        headers: reader.pairs("headers"),
        default_headers: reader.pairs("default_headers"),
        header_variables: reader.header_variables(),
        variables: reader.variables(),
        forward_headers: reader.list("forward_headers"),
        usage_in_streams: reader.usage_in_streams(),
        edits: reader.edits(),
        priced_as: reader.text("priced_as").unwrap_or(kind).to_owned(),
        price_names: reader.list("price_names"),
        rules_of_models: rules::read_of_models(&root, &common, reader.mistakes),
        rules: common,
        only_responses: Models::new(reader.list("only_responses")),
    })
    .inspect(|file| refuse_clashes(file, &root, mistakes))
}

/// Fields that the gateway reads or changes itself, and fields that would come to stand twice.
fn refuse_clashes(file: &ProviderFile, root: &Node, mistakes: &mut Mistakes) {
    let place = root.get("edits").map_or("", |node| &node.place);
    let asks = file.usage_in_streams == UsageInStreams::Ask;
    let is_ours = |field: &str| field == "model" || field == "stream" || (asks && field == "stream_options");
    let is_in_path = file.paths.iter().flatten().any(|path| path.contains(MODEL));
    let targets: Vec<&str> = file.edits.iter().filter_map(BodyEdit::new_name).collect();
    for edit in &file.edits {
        let names = [Some(edit.field()), edit.new_name()].into_iter().flatten();
        // A body need not name the model that the path names.
        let may_go = |field: &str| is_in_path && field == "model" && matches!(edit, BodyEdit::Drop { .. });
        let field = names.into_iter().find(|field| is_ours(field) && !may_go(field));
        if let Some(field) = field {
            let expected = "another field; stream_options only where usage_in_streams is always or never";
            mistakes.add(place, "edits", format!("`{field}` is the gateway's own"), expected);
        }
        if let BodyEdit::Default { field, .. } = edit
            && targets.contains(&field.as_str())
        {
            mistakes.add(place, "edits", format!("`{field}` is added and renamed to"), "one of the two");
        }
    }
    if let Some(twice) = targets.iter().enumerate().find(|(at, name)| targets[..*at].contains(name)) {
        mistakes.add(place, "edits", format!("two fields are renamed to `{}`", twice.1), "one of them");
    }
}

struct FileReader<'n, 'm> {
    root: &'n Node,
    mistakes: &'m mut Mistakes,
}

impl<'n> FileReader<'n, '_> {
    fn text(&mut self, key: &str) -> Option<&'n str> {
        let node = self.root.get(key)?;
        if node.text().is_none() {
            self.mistakes.add(&node.place, key, format!("{} stands here", node.kind()), "a single value");
        }
        node.text()
    }

    fn pairs(&mut self, key: &str) -> Vec<(String, String)> {
        let Some(node) = self.root.get(key) else { return Vec::new() };
        let Some(members) = node.members() else {
            self.mistakes.add(&node.place, key, format!("{} stands here", node.kind()), "names and values");
            return Vec::new();
        };
        members.filter_map(|(name, _, value)| Some((name.to_owned(), value.text()?.to_owned()))).collect()
    }

    fn list(&mut self, key: &str) -> Vec<String> {
        match self.root.get(key).map(|node| (&node.value, &node.place)) {
            None => Vec::new(),
            Some((Value::List(items), _)) => {
                items.iter().filter_map(|item| Some(item.text()?.to_lowercase())).collect()
            }
            Some((_, place)) => {
                self.mistakes.add(place, key, "this is no list", "a list of names");
                Vec::new()
            }
        }
    }

    /// A header that shows the caller's key, frames the message or is ours must not be listed.
    fn check_forward_headers(&mut self) {
        for name in self.list("forward_headers") {
            let known = Known::of(name.as_bytes());
            let is_ours = matches!(known, Known::Host | Known::AcceptEncoding | Known::XRequestId);
            if known.names_caller() || known.is_hop_by_hop() || is_ours || known == Known::XRingwayHops {
                let place = self.root.get("forward_headers").map_or("", |node| &node.place);
                let expected = "headers that neither show the caller nor belong to one hop";
                self.mistakes.add(place, "forward_headers", format!("`{name}` never passes"), expected);
            }
        }
    }

    fn header_variables(&mut self) -> Vec<(String, String)> {
        let place = self.root.get("header_variables").map_or("", |node| &node.place);
        let pairs = self.pairs("header_variables");
        for (ending, header) in &pairs {
            let is_good = ending.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && !ending.is_empty();
            if !is_good {
                let what = format!("`{ending}` is no end of a variable's name, for the header {header}");
                self.mistakes.add(place, "header_variables", what, "capitals and underscores");
            }
        }
        pairs.into_iter().map(|(ending, header)| (ending, header.to_lowercase())).collect()
    }

    /// Settings of an instance and the names that others have for them.
    fn variables(&mut self) -> Vec<(String, Vec<String>)> {
        let Some(node) = self.root.get("variables") else { return Vec::new() };
        let mut variables = Vec::new();
        for (setting, key, value) in node.members().into_iter().flatten() {
            let names: Vec<String> = match &value.value {
                Value::List(items) => items.iter().filter_map(Node::text).map(str::to_owned).collect(),
                _ => value.text().into_iter().map(str::to_owned).collect(),
            };
            if names.is_empty() || !PROVIDER_SETTINGS.iter().any(|known| known.path == setting) {
                let expected = "a setting of a provider with a variable or a list of them";
                self.mistakes.add(&key.place, "variables", format!("`{setting}` cannot be set so"), expected);
            }
            variables.push((setting.to_owned(), names));
        }
        variables
    }

    fn auth(&mut self) -> Auth {
        let text = self.text("auth").unwrap_or("bearer");
        let (way, rest) = text.split_once(' ').map_or((text, ""), |(way, rest)| (way, rest.trim()));
        match (way, rest) {
            ("bearer", "") => Auth::Bearer,
            ("optional_bearer", "") => Auth::OptionalBearer,
            ("header", name) if !name.is_empty() => Auth::Header(name.to_lowercase()),
            ("aws_sigv4", service) if !service.is_empty() => Auth::AwsSigV4 { service: service.to_owned() },
            ("google_service_account", scope) if !scope.is_empty() => {
                Auth::GoogleServiceAccount { scope: scope.to_owned() }
            }
            _ => {
                let place = self.root.get("auth").map_or("", |node| &node.place);
                let expected = "bearer, optional_bearer, `header NAME`, `aws_sigv4 SERVICE` or \
                                `google_service_account SCOPE`";
                self.mistakes.add(place, "auth", format!("`{text}` is no way to show a key"), expected);
                Auth::Bearer
            }
        }
    }

    fn checked(&mut self) -> Checked {
        match self.text("checked") {
            None | Some("documentation") => Checked::Documentation,
            Some("recordings") => Checked::Recordings,
            Some(other) => {
                let place = self.root.get("checked").map_or("", |node| &node.place);
                let what = format!("`{other}` is unknown");
                self.mistakes.add(place, "checked", what, "recordings or documentation");
                Checked::Documentation
            }
        }
    }

    fn usage_in_streams(&mut self) -> UsageInStreams {
        match self.text("usage_in_streams") {
            None | Some("ask") => UsageInStreams::Ask,
            Some("always") => UsageInStreams::Always,
            Some("never") => UsageInStreams::Never,
            Some(other) => {
                let place = self.root.get("usage_in_streams").map_or("", |node| &node.place);
                self.mistakes.add(
                    place,
                    "usage_in_streams",
                    format!("`{other}` is unknown"),
                    "ask, always or never",
                );
                UsageInStreams::Ask
            }
        }
    }

    fn paths(&mut self) -> [Option<String>; Endpoint::COUNT] {
        let mut paths = [const { None }; Endpoint::COUNT];
        for (name, path) in self.pairs("paths") {
            match Endpoint::ALL.into_iter().find(|e| e.name() == name && *e != Endpoint::Other) {
                Some(endpoint) if is_path(&path) => paths[endpoint as usize] = Some(path),
                None if name == MESSAGES_STREAM && is_path(&path) => {}
                _ => {
                    let place = self.root.get("paths").map_or("", |node| &node.place);
                    let names: Vec<&str> = Endpoint::ALL.iter().map(|endpoint| endpoint.name()).collect();
                    let expected = format!(
                        "one of {}, each with a path that begins with /",
                        names[..names.len() - 1].join(", ")
                    );
                    let what = format!("`{name}: {path}` is no endpoint's path");
                    self.mistakes.add(place, "paths", what, expected);
                }
            }
        }
        paths
    }

    fn edits(&mut self) -> Vec<BodyEdit> {
        let Some(node) = self.root.get("edits") else { return Vec::new() };
        let Value::List(items) = &node.value else {
            self.mistakes.add(
                &node.place,
                "edits",
                format!("{} stands here", node.kind()),
                "a list of edits",
            );
            return Vec::new();
        };
        let mut edits = Vec::new();
        for item in items {
            match edit(item) {
                Some(edit) => edits.push(edit),
                None => self.mistakes.add(&item.place, "edits", "this is no edit", EDIT_EXPECTED),
            }
        }
        edits
    }
}

/// A path below the base URL (`/x`) or below the host (`//x`).
fn is_path(path: &str) -> bool {
    let below = path.strip_prefix("//").map_or(path.strip_prefix('/'), Some);
    let is_good = |b: u8| b.is_ascii_graphic() && b != b'#';
    below.is_some_and(|below| {
        // The model's name is written in percent-encoding.
        let filled = below.replace(MODEL, "model");
        let (path, query) = filled.split_once('?').unwrap_or((&filled, ""));
        let is_safe = check_forwardable(format!("/{path}").as_bytes()).is_ok() && !query.contains('?');
        !path.is_empty() && filled.bytes().all(is_good) && !filled.contains(['{', '}']) && is_safe
    })
}

fn edit(node: &Node) -> Option<BodyEdit> {
    let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let number = |key: &str| text(key)?.parse::<f64>().ok().filter(|number| number.is_finite());
    if let Some(from) = text("rename") {
        return Some(BodyEdit::Rename { from, to: text("to")? });
    }
    if let Some(field) = text("drop") {
        return Some(BodyEdit::Drop { field });
    }
    if let Some(field) = text("default") {
        let value = text("value")?;
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&value).is_ok();
        return is_json.then_some(BodyEdit::Default { field, value });
    }
    if let Some(field) = text("map") {
        return Some(BodyEdit::Map { field, from: text("from")?, to: text("to")? });
    }
    let field = text("clamp")?;
    if let Some(above) = number("above") {
        return Some(BodyEdit::Above { field, above, otherwise: number("else")? });
    }
    let (min, max) = (number("min"), number("max"));
    (min.is_some() || max.is_some()).then_some(BodyEdit::Clamp { field, min, max })
}

/// The path of streams of the messages endpoint.
const MESSAGES_STREAM: &str = "messages_stream";
const KEYS: &[&str] = &[
    "title",
    "checked",
    "env",
    "base_url",
    "auth",
    "paths",
    "collections_above",
    "api_version",
    "query",
    "query_when_base_has",
    "headers",
    "default_headers",
    "header_variables",
    "variables",
    "forward_headers",
    "usage_in_streams",
    "edits",
    "priced_as",
    "price_names",
    "rules",
    "rules_of_models",
    "only_responses",
];
const EDIT_EXPECTED: &str = "`rename: A, to: B`, `drop: A`, `default: A, value: JSON`, `map: A, from: X, to: Y`, \
                             `clamp: A, min: N, max: N` or `clamp: A, above: N, else: M`";
