//! Workflows: which features apply to which requests. A version is made and never changed; what it is followed by is
//! another one.

use std::rc::Rc;

use serde_json::{Map, Value as Json, json};

use super::fields::{Asked, Fields, not_found, of_object, wrong};
use super::grants::of_settings;
use super::view::{self, of_store};
use super::{Desk, Reply};
use crate::base::limits::{ADMIN_LIST_COUNT_MAX, ADMIN_PAGE_ROWS_MAX, WORKFLOWS_COUNT_MAX};
use crate::base::{Refusal, RefusalKind, clock};
use crate::identity::{Features, Scope, UserPath, Workflow};
use crate::offload::manage::load::select_one;
use crate::offload::manage::{Change, Part, workflows};
use crate::offload::store::{Direction, Filter, Op, Row, Select, Store, Value, tables};
use crate::policy::grant::AdminAccess;
use crate::policy::workflow::Workflows;

type Answer = Result<Reply, Refusal>;

/// What is in force for whom somebody may see; with `inactive` every version that the store has, the newest first.
pub async fn list(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut query = asked.query(&["inactive"])?;
    let all = query.flag("inactive")?.unwrap_or(false);
    query.end()?;
    let managed = desk.manager.current();
    let mut data = Vec::new();
    if all {
        let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
        let select = Select::new(&tables::WORKFLOW_VERSIONS, Filter::all(), ADMIN_PAGE_ROWS_MAX)
            .ordered("created_at_ms", Direction::Descending);
        let rows = store.select(select).await.map_err(|error| of_store(&error))?;
        for row in &rows {
            let Some(workflow) = workflows::version(row).filter(|workflow| sees(&asked, workflow)) else {
                continue;
            };
            data.push(of_row(row, &workflow, &managed.workflows));
        }
    } else {
        for workflow in managed.workflows.iter().filter(|workflow| sees(&asked, workflow)) {
            data.push(shown(workflow, source(&desk, workflow), &managed.workflows));
        }
    }
    Reply::ok(json!({"data": data}))
}

/// One version, whether it is in force or not.
pub async fn get(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.query(&[])?.end()?;
    let (id, managed) = (asked.param("id"), desk.manager.current());
    let in_force = managed.workflows.iter().find(|workflow| *workflow.id == *id && !id.is_empty());
    if let Some(workflow) =
        in_force.filter(|workflow| source(&desk, workflow) == "config" && sees(&asked, workflow))
    {
        return Reply::ok(shown(workflow, "config", &managed.workflows));
    }
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let row = find(&store, id).await?;
    match row.as_ref().and_then(|row| Some((row, workflows::version(row)?))) {
        Some((row, workflow)) if sees(&asked, &workflow) => {
            Reply::ok(of_row(row, &workflow, &managed.workflows))
        }
        _ => Err(not_found("workflow")),
    }
}

/// Makes a version for a scope, and puts it in force there.
pub async fn create(desk: Rc<Desk>, asked: Asked) -> Answer {
    // A workflow can take budgets and the audit log away, which whoever is held to them must not.
    asked.who.scope.check_global(AdminAccess::Write)?;
    let mut fields = asked.fields()?;
    let (name, description) = (fields.needed("name")?, fields.text("description")?.unwrap_or_default());
    let scope = scope(&desk, &mut fields)?;
    let (features, guardrails) = content(fields.json("workflow_payload"))?;
    fields.end()?;
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let before = last_version(&store, &scope).await?;
    let stored = desk.manager.stored().workflows;
    if stored.len() >= WORKFLOWS_COUNT_MAX && !stored.iter().any(|held| held.scope == scope) {
        let message = format!("There are {WORKFLOWS_COUNT_MAX} workflows, and no more can be in force.");
        return Err(Refusal::invalid("too_many_workflows", message));
    }
    let id = desk.manager.ids.next(clock::wall_ms());
    let workflow = Workflow {
        id: String::from_utf8_lossy(&id).into(),
        version: before.as_ref().map_or(1, |before| before.version + 1),
        scope,
        name: name.into(),
        description: description.into(),
        features,
        guardrails,
    };
    let row = workflows::row(&workflow, clock::wall_ms());
    store.insert(&tables::WORKFLOW_VERSIONS, vec![row.clone()]).await.map_err(|error| of_store(&error))?;
    // Until this is done both are active, and the higher version is in force.
    let older = Filter::all()
        .equal("scope_key", Value::text(workflow.scope.key()))
        .compare("version", Op::Less, Value::Integer(workflow.version.into()))
        .equal("is_active", Value::Flag(true));
    deactivate_rows(&store, older).await?;
    tell(&desk, &store, &asked, "create", before.as_ref(), &workflow).await?;
    Reply::created(of_row(&row, &workflow, &desk.manager.current().workflows))
}

/// Takes the workflow of a scope away: its requests follow what is wider from then on.
pub async fn deactivate(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.who.scope.check_global(AdminAccess::Write)?;
    asked.fields()?.end()?;
    let id = asked.param("id");
    if desk.manager.compiled().snapshot.identity.workflows.iter().any(|workflow| *workflow.id == *id) {
        return Err(of_settings());
    }
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let row = find(&store, id).await?.ok_or_else(|| not_found("workflow"))?;
    let workflow = workflows::version(&row).ok_or_else(|| not_found("workflow"))?;
    if workflow.scope == Scope::default() {
        let message = "The global workflow is always there: make another version of it.";
        return Err(Refusal::invalid("workflow_is_global", message));
    }
    if row.get("is_active").as_flag() != Some(true) {
        let message = "This version is not active.";
        return Err(Refusal::new(409, RefusalKind::InvalidRequest, "workflow_not_active", message));
    }
    deactivate_rows(&store, Filter::all().equal("id", Value::text(id))).await?;
    tell(&desk, &store, &asked, "deactivate", Some(&workflow), &workflow).await?;
    let row = row.with("is_active", Value::Flag(false));
    Reply::ok(of_row(&row, &workflow, &desk.manager.current().workflows))
}

fn scope(desk: &Desk, fields: &mut Fields) -> Result<Scope, Refusal> {
    let mut named = |name: &str| Ok::<_, Refusal>(fields.name(name)?.filter(|text| !text.trim().is_empty()));
    let provider = named("scope_provider_name")?;
    let (model, path) = (named("scope_model")?, named("scope_user_path")?);
    let compiled = desk.manager.compiled();
    let mut known = compiled.snapshot.providers.iter();
    if let Some(name) = &provider
        && !known.any(|provider| provider.name == *name)
    {
        return Err(wrong("scope_provider_name", "names no provider that is configured here"));
    }
    let path = path.map(|text| UserPath::new(&text)).transpose();
    let path =
        path.map_err(|bad| super::fields::no_path("scope_user_path", &format!("is no user path: {bad}")))?;
    let scope = Scope { provider: provider.map(Into::into), model: model.map(Into::into), path };
    match scope.is_good() {
        true => Ok(scope),
        false => Err(wrong("scope_model", "needs `scope_provider_name` beside it")),
    }
}

type Content = (Features, Vec<(Box<str>, u32)>);

fn content(payload: Option<Json>) -> Result<Content, Refusal> {
    let payload = payload.ok_or_else(|| wrong("workflow_payload", "is missing"))?;
    let mut payload = of_object("workflow_payload", payload)?;
    payload.number("schema_version", workflows::SCHEMA_VERSION, workflows::SCHEMA_VERSION)?;
    let (named, listed) = (payload.json("features"), payload.json("guardrails"));
    payload.end()?;
    let mut named = of_object("features", named.unwrap_or_else(|| json!({})))?;
    let mut features = Features::ALL;
    for (name, _) in features.named() {
        if let Some(is_on) = named.flag(name)? {
            features.set(name, is_on);
        }
    }
    // Its name of old.
    if let Some(is_on) = named.flag("fallback")? {
        features.failover &= is_on;
    }
    named.end()?;
    let listed = match listed {
        None => Vec::new(),
        Some(Json::Array(list)) if list.len() <= ADMIN_LIST_COUNT_MAX => list,
        Some(_) => return Err(wrong("guardrails", "must be a list of groups of `ref` and `step`")),
    };
    let mut guardrails: Vec<(Box<str>, u32)> = Vec::new();
    for one in listed {
        let mut one = of_object("guardrails", one)?;
        let (name, step) = (one.needed("ref")?, one.number("step", 0, u64::from(u32::MAX))?.unwrap_or(0));
        one.end()?;
        if guardrails.iter().any(|(other, _)| **other == *name) {
            return Err(wrong("guardrails", "names one guardrail twice"));
        }
        guardrails.push((name.into(), u32::try_from(step).unwrap_or(u32::MAX)));
    }
    guardrails.sort_by(|(a, x), (b, y)| (x, a).cmp(&(y, b)));
    Ok((features, guardrails))
}

async fn find(store: &Store, id: &str) -> Result<Option<Row>, Refusal> {
    select_one(store, &tables::WORKFLOW_VERSIONS, "id", id).await.map_err(|error| of_store(&error))
}

/// The highest version of a scope, active or not.
async fn last_version(store: &Store, scope: &Scope) -> Result<Option<Workflow>, Refusal> {
    let filter = Filter::all().equal("scope_key", Value::text(scope.key()));
    let select = Select::new(&tables::WORKFLOW_VERSIONS, filter, 1).ordered("version", Direction::Descending);
    let rows = store.select(select).await.map_err(|error| of_store(&error))?;
    Ok(rows.first().and_then(workflows::version))
}

async fn deactivate_rows(store: &Store, filter: Filter) -> Result<(), Refusal> {
    let off = vec![("is_active", Value::Flag(false))];
    store.update(&tables::WORKFLOW_VERSIONS, filter, off).await.map(|_| ()).map_err(|error| of_store(&error))
}

async fn tell(
    desk: &Desk,
    store: &Store,
    asked: &Asked,
    action: &'static str,
    before: Option<&Workflow>,
    after: &Workflow,
) -> Result<(), Refusal> {
    let members = |workflow: &Workflow| Json::Object(members(workflow));
    let user_path = after.scope.path.as_ref().map_or("/", UserPath::as_str);
    let is_gone = action == "deactivate";
    let (before, after_shown) = (before.map(members), (!is_gone).then(|| members(after)));
    let (part, object_id) = (Part::Workflows, &*after.id);
    let change = Change { action, part, object_id, user_path, before, after: after_shown };
    desk.manager.changed(store, &asked.who.actor, change).await.map_err(|error| of_store(&error))
}

/// Whether somebody may look at it: what belongs to no place is for whoever administers all of them.
fn sees(asked: &Asked, workflow: &Workflow) -> bool {
    let path = workflow.scope.path.clone().unwrap_or_else(UserPath::root);
    path.is_within(&asked.who.scope.path)
}

/// Who says it: the settings, somebody by the admin API, or nobody.
fn source(desk: &Desk, workflow: &Workflow) -> &'static str {
    let compiled = desk.manager.compiled();
    let is_set = compiled.snapshot.identity.workflows.iter().any(|held| held.id == workflow.id);
    match (is_set, workflow.id.is_empty()) {
        (true, _) => "config",
        (_, true) => "default",
        _ => "manual",
    }
}

fn of_row(row: &Row, workflow: &Workflow, table: &Workflows) -> Json {
    let mut json = shown(workflow, "manual", table);
    json["active"] = row.get("is_active").as_flag().into();
    json["created_at"] = view::value(row.get("created_at_ms"));
    json
}

fn shown(workflow: &Workflow, source: &str, table: &Workflows) -> Json {
    let mut members = members(workflow);
    let effective = table.features(workflow).named();
    let effective: Map<String, Json> =
        effective.into_iter().map(|(name, is_on)| (name.to_owned(), is_on.into())).collect();
    members.insert("active".to_owned(), true.into());
    members.insert("managed_default".to_owned(), (source == "default").into());
    members.insert("source".to_owned(), source.into());
    members.insert("effective_features".to_owned(), effective.into());
    members.insert("without_effect".to_owned(), json!(Features::WITHOUT_EFFECT));
    Json::Object(members)
}

fn members(workflow: &Workflow) -> Map<String, Json> {
    let scope = &workflow.scope;
    let parts = [
        ("scope_provider_name", scope.provider.as_deref()),
        ("scope_model", scope.model.as_deref()),
        ("scope_user_path", scope.path.as_ref().map(UserPath::as_str)),
    ];
    let named = parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), Json::from(part?))));
    let payload = workflows::payload(workflow);
    let hash = workflows::hash(&payload);
    let members = [
        ("id", if workflow.id.is_empty() { Json::Null } else { Json::from(&*workflow.id) }),
        ("scope", Json::Object(named.collect())),
        ("scope_key", scope.key().into()),
        ("version", workflow.version.into()),
        ("name", (&*workflow.name).into()),
        ("description", (&*workflow.description).into()),
        ("workflow_payload", payload),
        ("workflow_hash", hash.into()),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
