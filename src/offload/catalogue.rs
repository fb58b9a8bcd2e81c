//! The models that the providers offer: which provider a bare id means, and the answers of `/v1/models`, ready to send.

pub mod fuzz;
mod shapes;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde_json::{Map, Value, json};

use super::Compiled;
use crate::config::ConfiguredMode;
use crate::dialect::endpoint::Grammar;

/// What shards look models up in. Immutable; a new one replaces it.
#[derive(Default)]
pub struct Catalogue {
    /// The first provider that offers a bare id. Providers are known by name: their order may be another one in the
    /// settings that a shard has by now.
    by_bare_id: HashMap<String, Arc<str>, RandomState>,
    /// The bare ids of each provider, which are few.
    by_provider: Vec<(Arc<str>, HashSet<String, RandomState>)>,
    /// The body of `GET /v1/models`.
    pub list: Vec<u8>,
    /// The same for callers of Anthropic's and of Gemini's dialect.
    list_of_messages: Vec<u8>,
    list_of_gemini: Vec<u8>,
    /// The bodies of `GET /v1/models/{id}`, for bare and for qualified ids.
    entries: HashMap<String, Vec<u8>>,
    /// Every provider has said what it offers, or that it cannot.
    pub is_settled: bool,
}

impl Catalogue {
    /// The name of the provider that a bare id means.
    pub fn provider_of(&self, model: &str) -> Option<&str> {
        self.by_bare_id.get(model).map(|name| &**name)
    }

    /// Whether this provider offers the model, as far as is known.
    pub fn offers(&self, provider: &str, model: &str) -> bool {
        let of_provider = self.by_provider.iter().find(|(name, _)| **name == *provider);
        of_provider.is_some_and(|(_, models)| models.contains(model))
    }

    /// The bare ids of a provider's models, sorted.
    pub fn models_of(&self, provider: &str) -> Vec<&str> {
        let of_provider = self.by_provider.iter().filter(|(name, _)| **name == *provider);
        let mut models: Vec<&str> = of_provider.flat_map(|(_, models)| models).map(String::as_str).collect();
        models.sort_unstable();
        models
    }

    /// The list of models in the shape of this dialect.
    pub fn list_for(&self, grammar: Grammar) -> &[u8] {
        match grammar {
            Grammar::Messages => &self.list_of_messages,
            Grammar::Gemini => &self.list_of_gemini,
            _ => &self.list,
        }
    }

    /// The list as somebody may see it who may not use everything, or who has names of his own for models: `shows` is
    /// asked for each model of each provider.
    pub fn list_of(&self, grammar: Grammar, names: &[&str], shows: impl Fn(&str, &str) -> bool) -> Vec<u8> {
        let mut models: Vec<Value> = names.iter().map(|name| named(name)).collect();
        let list: Value = serde_json::from_slice(&self.list).unwrap_or_default();
        let of = |id: &str| self.means(id).is_some_and(|(provider, model)| shows(provider, model));
        let all = list["data"].as_array().into_iter().flatten();
        // A name that hides a model stands for it.
        let seen = all.filter(|model| model["id"].as_str().is_some_and(|id| !names.contains(&id) && of(id)));
        models.extend(seen.cloned());
        shapes::list(grammar, &models)
    }

    /// The provider that an id of the list means, and the model as that knows it.
    pub fn means<'i>(&self, id: &'i str) -> Option<(&str, &'i str)> {
        if let Some(provider) = self.provider_of(id) {
            return Some((provider, id));
        }
        let (provider, model) = id.split_once('/')?;
        let (name, _) = self.by_provider.iter().find(|(name, _)| **name == *provider)?;
        Some((name, model))
    }

    /// A name that stands for a model, as an entry in the shape of this dialect.
    pub fn entry_of_name(grammar: Grammar, name: &str) -> Vec<u8> {
        shapes::shape(grammar, &named(name)).to_string().into_bytes()
    }

    /// One model in the shape of this dialect.
    pub fn entry_for(&self, grammar: Grammar, id: &str) -> Option<Vec<u8>> {
        let model: Value = serde_json::from_slice(self.entry(id)?).ok()?;
        Some(shapes::shape(grammar, &model).to_string().into_bytes())
    }

    /// The body of `GET /v1/models/{id}`.
    pub fn entry(&self, id: &str) -> Option<&[u8]> {
        self.entries.get(id).map(Vec::as_slice)
    }
}

/// A name of the gateway's own among the models.
fn named(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": 0, "owned_by": "ringway"})
}

/// Collects model lists. A provider whose list could not be had again keeps the one it had.
pub struct Builder {
    providers: Vec<Listed>,
}

struct Listed {
    name: String,
    configured: Vec<String>,
    mode: ConfiguredMode,
    /// What the provider said last, and whether it has said anything (or failed to).
    offered: Vec<Value>,
    is_settled: bool,
}

impl Builder {
    pub fn new(compiled: &Arc<Compiled>) -> Builder {
        let mut builder = Builder { providers: Vec::new() };
        builder.resettle(compiled);
        builder
    }

    /// New settings: providers that stay keep what they offered.
    pub fn resettle(&mut self, compiled: &Compiled) {
        let mut before = std::mem::take(&mut self.providers);
        let snapshot = &compiled.snapshot;
        let listed = snapshot.providers.iter().map(|provider| {
            let known = before.iter().position(|listed| listed.name == provider.name);
            let (offered, was_settled) = known.map_or((Vec::new(), false), |at| {
                let listed = before.swap_remove(at);
                (listed.offered, listed.is_settled)
            });
            let is_settled = was_settled || !is_asked(provider, snapshot.models.configured_mode);
            let (name, configured) = (provider.name.clone(), provider.models.clone());
            Listed { name, configured, mode: snapshot.models.configured_mode, offered, is_settled }
        });
        self.providers = listed.collect();
    }

    /// A provider answered, or could not be asked.
    pub fn listed(&mut self, provider: usize, body: Option<&[u8]>) {
        let Some(listed) = self.providers.get_mut(provider) else { return };
        listed.is_settled = true;
        if let Some(models) = body.and_then(read_list) {
            listed.offered = models;
        }
    }

    pub fn build(&self) -> Catalogue {
        let mut catalogue =
            Catalogue { is_settled: self.providers.iter().all(|p| p.is_settled), ..Catalogue::default() };
        let (mut bare, mut qualified) = (Vec::new(), Vec::new());
        for provider in &self.providers {
            let (name, mut own): (Arc<str>, _) = (provider.name.as_str().into(), HashSet::default());
            for model in provider.models() {
                let Some(id) = model.get("id").and_then(Value::as_str).map(str::to_owned) else { continue };
                if !own.insert(id.clone()) {
                    continue;
                }
                let full = format!("{}/{id}", provider.name);
                add_entry(&mut catalogue.entries, &mut qualified, full.clone(), with_id(&model, &full));
                if !catalogue.by_bare_id.contains_key(&id) {
                    catalogue.by_bare_id.insert(id.clone(), name.clone());
                    add_entry(&mut catalogue.entries, &mut bare, id, model);
                }
            }
            catalogue.by_provider.push((name, own));
        }
        bare.append(&mut qualified);
        catalogue.list = shapes::list(Grammar::Chat, &bare);
        catalogue.list_of_messages = shapes::list(Grammar::Messages, &bare);
        catalogue.list_of_gemini = shapes::list(Grammar::Gemini, &bare);
        catalogue
    }
}

/// Whether the provider's own list is asked for at all.
pub fn is_asked(provider: &crate::provider::Provider, mode: ConfiguredMode) -> bool {
    let has_list = provider.route(crate::dialect::endpoint::Endpoint::Models).is_some();
    has_list && (mode != ConfiguredMode::Allowlist || provider.models.is_empty())
}

impl Listed {
    /// The models that count, by the mode for configured ones.
    fn models(&self) -> Vec<Value> {
        let configured = || self.configured.iter().map(|id| self.model(&json!({"id": id})));
        let offered = || self.offered.iter().map(|model| self.model(model));
        match self.mode {
            _ if self.configured.is_empty() => offered().collect(),
            ConfiguredMode::Allowlist => configured().collect(),
            ConfiguredMode::Fallback if self.offered.is_empty() => configured().collect(),
            ConfiguredMode::Fallback => offered().collect(),
            ConfiguredMode::Merge => offered().chain(configured()).collect(),
        }
    }

    /// A model as OpenAI's API spells it; what the provider said beyond that stays.
    fn model(&self, said: &Value) -> Value {
        let mut model = said.as_object().cloned().unwrap_or_else(Map::new);
        model.entry("object").or_insert_with(|| json!("model"));
        model.entry("created").or_insert_with(|| json!(0));
        model.entry("owned_by").or_insert_with(|| json!(self.name));
        Value::Object(model)
    }
}

fn with_id(model: &Value, id: &str) -> Value {
    let mut model = model.clone();
    model["id"] = json!(id);
    model
}

fn add_entry(entries: &mut HashMap<String, Vec<u8>>, list: &mut Vec<Value>, id: String, model: Value) {
    entries.entry(id).or_insert_with(|| {
        let body = model.to_string().into_bytes();
        list.push(model);
        body
    });
}

/// The models in a provider's answer: `{"data": […]}`, a bare array, or Ollama's and others' `{"models": […]}`.
fn read_list(body: &[u8]) -> Option<Vec<Value>> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let list = value.get("data").or_else(|| value.get("models")).unwrap_or(&value).as_array()?;
    let id_of = |model: &Value| {
        let id = model.get("id").or_else(|| model.get("name")).unwrap_or(model).as_str()?;
        // Gemini's list names each model by its path.
        let id = id.strip_prefix("models/").unwrap_or(id).to_owned();
        let mut model = if model.is_object() { model.clone() } else { json!({}) };
        model["id"] = json!(id);
        Some(model)
    };
    Some(list.iter().filter_map(id_of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, configured: &[&str], mode: ConfiguredMode) -> Listed {
        let configured = configured.iter().map(|&id| id.to_owned()).collect();
        Listed { name: name.to_owned(), configured, mode, offered: Vec::new(), is_settled: false }
    }

    #[test]
    fn lists_are_merged_and_the_first_provider_owns_a_bare_id() {
        let mut builder = Builder {
            providers: vec![
                listed("a", &[], ConfiguredMode::Fallback),
                listed("b", &["fallback"], ConfiguredMode::Fallback),
                listed("c", &["x", "only"], ConfiguredMode::Merge),
            ],
        };
        builder.listed(0, Some(br#"{"data":[{"id":"x","context_window":7},{"id":"y"}]}"#));
        assert!(!builder.build().is_settled);
        builder.listed(1, None);
        builder.listed(2, Some(br#"[{"name":"y"},"z",{"no":"id"}]"#));
        let catalogue = builder.build();
        assert!(catalogue.is_settled);
        let list: Value = serde_json::from_slice(&catalogue.list).unwrap();
        let ids: Vec<&str> =
            list["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
        assert_eq!(
            ids,
            ["x", "y", "fallback", "z", "only", "a/x", "a/y", "b/fallback", "c/y", "c/z", "c/x", "c/only"]
        );
        assert_eq!(catalogue.provider_of("y"), Some("a"));
        assert!(catalogue.offers("c", "y") && !catalogue.offers("b", "y"));
        let entry: Value = serde_json::from_slice(catalogue.entry("a/x").unwrap()).unwrap();
        assert_eq!(
            entry,
            json!({"id": "a/x", "object": "model", "created": 0, "owned_by": "a", "context_window": 7})
        );
    }

    #[test]
    fn a_provider_that_fails_later_keeps_its_list() {
        let mut builder = Builder { providers: vec![listed("a", &[], ConfiguredMode::Fallback)] };
        builder.listed(0, Some(br#"{"data":[{"id":"x"}]}"#));
        builder.listed(0, None);
        builder.listed(0, Some(b"<html>"));
        assert_eq!(builder.build().provider_of("x"), Some("a"));
    }
}
