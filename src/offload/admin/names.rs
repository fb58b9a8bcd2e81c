//! Virtual models, and the models that user paths may use.

use std::rc::Rc;

use serde_json::{Map, Value as Json, json};

use super::fields::{Asked, not_found, wrong};
use super::grants::of_settings;
use super::view::{self, of_store};
use super::who::{Who, denied};
use super::{Desk, Reply};
use crate::base::limits::ADMIN_LIST_COUNT_MAX;
use crate::base::{Refusal, clock};
use crate::identity::alias::Strategy;
use crate::identity::{Alias, Gate, ModelRule, UserPath};
use crate::offload::manage::load::select_one;
use crate::offload::manage::rows::{self, Virtual};
use crate::offload::manage::{Change, Part};
use crate::offload::store::{Filter, Row, Store, Value, tables};
use crate::policy::grant::AdminAccess;

type Answer = Result<Reply, Refusal>;

/// Every virtual model that somebody within the scope may use, those of the settings included.
pub async fn virtual_models(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.query(&[])?.end()?;
    let (compiled, stored) = (desk.manager.compiled(), desk.manager.stored());
    let identity = &compiled.snapshot.identity;
    let mut shown: std::collections::BTreeMap<String, Json> = std::collections::BTreeMap::new();
    let sees = |paths: &[UserPath]| {
        let scope = &asked.who.scope.path;
        paths.is_empty() || paths.iter().any(|path| path.is_within(scope) || scope.is_within(path))
    };
    for (aliases, source) in [(&identity.aliases, "config"), (&stored.aliases, "manual")] {
        for alias in aliases {
            shown.remove(&*alias.source);
            if sees(&alias.user_paths) {
                shown.insert(alias.source.to_string(), of_alias(alias, source));
            }
        }
    }
    for (gates, source) in [(&identity.gates, "config"), (&stored.gates, "manual")] {
        for gate in gates.iter().filter(|gate| sees(&gate.user_paths)) {
            shown.insert(gate.rule.to_string(), of_gate(gate, source));
        }
    }
    Reply::ok(json!({"data": shown.into_values().collect::<Vec<_>>()}))
}

/// Makes a virtual model, or puts another in its place. Without a target it says who may use a model.
pub async fn put_virtual_model(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.who.scope.check_global(AdminAccess::Write)?;
    let mut fields = asked.fields()?;
    let source = fields.needed("source")?;
    let (target, targets) = (fields.name("target")?, fields.json("targets"));
    let strategy = fields.choice("strategy", &["round_robin", "failover"])?;
    let (description, is_enabled) = (fields.text("description")?, fields.flag("enabled")?.unwrap_or(true));
    let user_paths = fields.paths("user_paths")?.unwrap_or_default();
    fields.end()?;
    let targets = match (target, targets) {
        (Some(_), Some(_)) => return Err(wrong("targets", "stands beside `target`")),
        (Some(model), None) => vec![json!({"model": model, "weight": 1})],
        (None, targets) => read_targets(targets)?,
    };
    let is_gate = targets.is_empty();
    if is_gate && ModelRule::new(&source).is_none() {
        return Err(wrong("source", "names no model: without a target it says who may use one"));
    }
    let (mut extra, paths) = (Map::new(), user_paths.iter().map(UserPath::as_str).collect::<Vec<_>>());
    extra.insert("user_paths".to_owned(), json!(paths));
    extra.extend(strategy.map(|strategy| ("strategy".to_owned(), Json::from(strategy))));
    let now = Value::time_ms(clock::wall_ms());
    let row = Row::new(&tables::ALIASES)
        .with("name", Value::text(&*source))
        .with("description", Value::maybe(description, Value::text))
        .with("targets", Value::Json(Json::from(targets).to_string()))
        .with("is_enabled", Value::Flag(is_enabled))
        .with("source", Value::text("manual"))
        .with("created_at_ms", now.clone())
        .with("updated_at_ms", now)
        .with("extra", rows::extra_value(extra));
    let names: Vec<String> =
        desk.manager.current().aliases.iter().map(|alias| alias.source.to_string()).collect();
    refuse_chain(&row, &source, &names)?;
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let found = select_one(&store, &tables::ALIASES, "name", &source).await;
    let before = found.map_err(|error| of_store(&error))?;
    store.replace(&tables::ALIASES, vec![row.clone()]).await.map_err(|error| of_store(&error))?;
    let rows = (before.as_ref(), Some(&row));
    tell(&desk, &store, &asked.who, Part::VirtualModels, &source, &UserPath::root(), rows).await?;
    let shown = match rows::virtual_model(&row) {
        Some(Virtual::Alias(alias)) => of_alias(&alias, "manual"),
        Some(Virtual::Gate { gate, .. }) => of_gate(&gate, "manual"),
        None => Json::Null,
    };
    if before.is_some() { Reply::ok(shown) } else { Reply::created(shown) }
}

pub async fn delete_virtual_model(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.who.scope.check_global(AdminAccess::Write)?;
    let mut query = asked.query(&["source"])?;
    let source = query.needed("source")?;
    query.end()?;
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let found = select_one(&store, &tables::ALIASES, "name", &source).await;
    let Some(before) = found.map_err(|error| of_store(&error))? else {
        let compiled = desk.manager.compiled();
        let is_set = compiled.snapshot.identity.aliases.iter().any(|alias| *alias.source == *source);
        return Err(if is_set { of_settings() } else { not_found("virtual model") });
    };
    let filter = Filter::all().equal("name", Value::text(&*source));
    store.delete(&tables::ALIASES, filter).await.map_err(|error| of_store(&error))?;
    let rows = (Some(&before), None);
    tell(&desk, &store, &asked.who, Part::VirtualModels, &source, &UserPath::root(), rows).await?;
    Reply::ok(json!({"source": source, "deleted": true}))
}

/// The models that user paths may use.
pub async fn users(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.query(&[])?.end()?;
    let (compiled, stored) = (desk.manager.compiled(), desk.manager.stored());
    let lists = [(&compiled.snapshot.identity.model_lists, "config"), (&stored.model_lists, "manual")];
    let mut shown = std::collections::BTreeMap::new();
    for (lists, source) in lists {
        for (path, rules) in lists.iter().filter(|(path, _)| path.is_within(&asked.who.scope.path)) {
            shown.insert(path.clone(), of_list(path, rules, source));
        }
    }
    Reply::ok(json!({"data": shown.into_values().collect::<Vec<_>>()}))
}

/// Says which models a user path may use; an empty list says nothing.
pub async fn put_user(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut fields = asked.fields()?;
    let path = fields.path("user_path")?.ok_or_else(|| wrong("user_path", "is missing"))?;
    let models = fields.models("allowed_models")?.unwrap_or_default();
    fields.end()?;
    may_change(&asked.who, &path)?;
    let now = Value::time_ms(clock::wall_ms());
    let row = Row::new(&tables::MODEL_ACCESS)
        .with("scope", Value::text("user_path"))
        .with("subject", Value::text(path.as_str()))
        .with("allowed_models", Value::Names(models))
        .with("source", Value::text("manual"))
        .with("created_at_ms", now.clone())
        .with("updated_at_ms", now);
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let found = select_one(&store, &tables::MODEL_ACCESS, "subject", path.as_str()).await;
    let before = found.map_err(|error| of_store(&error))?;
    store.replace(&tables::MODEL_ACCESS, vec![row.clone()]).await.map_err(|error| of_store(&error))?;
    let rows = (before.as_ref(), Some(&row));
    tell(&desk, &store, &asked.who, Part::Users, path.as_str(), &path, rows).await?;
    let (path, rules) = rows::model_list(&row).ok_or_else(|| wrong("allowed_models", "cannot be read"))?;
    let shown = of_list(&path, &rules, "manual");
    if before.is_some() { Reply::ok(shown) } else { Reply::created(shown) }
}

pub async fn delete_user(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut query = asked.query(&["user_path"])?;
    let path = query.path("user_path")?.ok_or_else(|| wrong("user_path", "is missing"))?;
    query.end()?;
    may_change(&asked.who, &path)?;
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let found = select_one(&store, &tables::MODEL_ACCESS, "subject", path.as_str()).await;
    let Some(before) = found.map_err(|error| of_store(&error))? else {
        let compiled = desk.manager.compiled();
        let is_set = compiled.snapshot.identity.model_lists.iter().any(|(known, _)| *known == path);
        return Err(if is_set { of_settings() } else { not_found("user") });
    };
    let filter = Filter::all().equal("subject", Value::text(path.as_str()));
    store.delete(&tables::MODEL_ACCESS, filter).await.map_err(|error| of_store(&error))?;
    tell(&desk, &store, &asked.who, Part::Users, path.as_str(), &path, (Some(&before), None)).await?;
    Reply::ok(json!({"user_path": path.as_str(), "deleted": true}))
}

/// Whether somebody may say what a path may use. What holds for his own place was said by somebody above him.
fn may_change(who: &Who, path: &UserPath) -> Result<(), Refusal> {
    who.scope.check(path, AdminAccess::Write)?;
    if *path == who.scope.path && !path.is_root() {
        return Err(denied("The models of a key's own place are changed by somebody above it."));
    }
    // Lists narrow each other down the tree, so nothing that is listed here opens more.
    Ok(())
}

fn read_targets(targets: Option<Json>) -> Result<Vec<Json>, Refusal> {
    let list = match targets {
        None => return Ok(Vec::new()),
        Some(Json::Array(list)) if list.len() <= ADMIN_LIST_COUNT_MAX => list,
        Some(_) => return Err(wrong("targets", "must be a list of groups of `model` and `weight`")),
    };
    let read = |target: Json| {
        let mut fields = super::fields::of_object("targets", target)?;
        let (model, provider) = (fields.needed("model")?, fields.name("provider")?);
        let weight = fields.number("weight", 1, u64::from(u16::MAX))?.unwrap_or(1);
        fields.end()?;
        let model = provider.map_or(model.clone(), |provider| format!("{provider}/{model}"));
        Ok(json!({"model": model, "weight": weight}))
    };
    list.into_iter().map(read).collect()
}

/// An alias stands for models, never for another alias.
fn refuse_chain(row: &Row, source: &str, names: &[String]) -> Result<(), Refusal> {
    let Some(Virtual::Alias(alias)) = rows::virtual_model(row) else { return Ok(()) };
    let is_alias = |model: &str| model != source && names.iter().any(|name| name == model);
    match alias.targets.iter().any(|target| is_alias(&target.model)) {
        true => Err(wrong("targets", "names another virtual model")),
        false => Ok(()),
    }
}

async fn tell(
    desk: &Desk,
    store: &Store,
    who: &Who,
    part: Part,
    object_id: &str,
    place: &UserPath,
    (before, after): (Option<&Row>, Option<&Row>),
) -> Result<(), Refusal> {
    let members = |row: &Row| Json::Object(view::row(row, &[]));
    let action = match (before, after) {
        (None, _) => "create",
        (_, None) => "delete",
        _ => "update",
    };
    let (before, after) = (before.map(members), after.map(members));
    let change = Change { action, part, object_id, user_path: place.as_str(), before, after };
    desk.manager.changed(store, &who.actor, change).await.map_err(|error| of_store(&error))
}

fn of_alias(alias: &Alias, source: &str) -> Json {
    let target = |target: &crate::identity::alias::AliasTarget| json!({"model": &*target.model, "weight": target.weight});
    json!({
        "source": &*alias.source,
        "description": &*alias.description,
        "targets": alias.targets.iter().map(target).collect::<Vec<_>>(),
        "strategy": match alias.strategy {
            Strategy::RoundRobin => "round_robin",
            Strategy::Failover => "failover",
        },
        "user_paths": alias.user_paths.iter().map(UserPath::as_str).collect::<Vec<_>>(),
        "enabled": alias.is_enabled,
        "managed_by": source,
    })
}

fn of_gate(gate: &Gate, source: &str) -> Json {
    let paths: Vec<&str> = gate.user_paths.iter().map(UserPath::as_str).collect();
    json!({"source": gate.rule.to_string(), "targets": [], "user_paths": paths, "enabled": true, "managed_by": source})
}

fn of_list(path: &UserPath, rules: &[ModelRule], source: &str) -> Json {
    let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
    json!({"user_path": path.as_str(), "allowed_models": rules, "source": source})
}
