//! Versions of workflows as rows, both ways. A row is never changed but for whether it is active.

use ring::digest;
use serde_json::{Map, Value as Json, json};

use super::pepper::hex;
use crate::identity::{Features, Scope, UserPath, Workflow};
use crate::offload::store::{Row, Value, tables};

/// The version of a row that is active; nothing inside for one that is not.
pub fn in_force(row: &Row) -> Option<Option<Workflow>> {
    match row.get("is_active").as_flag()? {
        true => version(row).map(Some),
        false => Some(None),
    }
}

/// One version, active or not.
pub fn version(row: &Row) -> Option<Workflow> {
    let text = |column: &str| row.get(column).as_text();
    let named = |column: &str| text(column).filter(|text| !text.is_empty());
    let path = named("scope_user_path").map(UserPath::new).transpose().ok()?;
    let (provider, model) = (named("scope_provider_name"), named("scope_model"));
    let scope = Scope { provider: provider.map(Into::into), model: model.map(Into::into), path };
    let (features, guardrails) = content(&serde_json::from_str(text("payload")?).ok()?)?;
    scope.is_good().then_some(Workflow {
        id: text("id")?.into(),
        scope,
        version: u32::try_from(row.get("version").as_integer()?).ok()?,
        name: text("name")?.into(),
        description: text("description").unwrap_or_default().into(),
        features,
        guardrails,
    })
}

type Guardrails = Vec<(Box<str>, u32)>;

/// What a payload says. A feature that it does not name is on.
fn content(payload: &Json) -> Option<(Features, Guardrails)> {
    let mut features = Features::ALL;
    for (name, is_on) in payload.get("features")?.as_object()? {
        features.set(name, is_on.as_bool()?);
    }
    let guardrails = payload.get("guardrails").and_then(Json::as_array).into_iter().flatten();
    let guardrail = |guardrail: &Json| {
        let step = guardrail.get("step").map_or(Some(0), Json::as_u64)?;
        Some((guardrail.get("ref")?.as_str()?.into(), u32::try_from(step).ok()?))
    };
    Some((features, guardrails.map(guardrail).collect::<Option<_>>()?))
}

/// What a workflow says, as it is stored and shown.
pub fn payload(workflow: &Workflow) -> Json {
    let features: Map<String, Json> =
        workflow.features.named().map(|(name, is_on)| (name.to_owned(), is_on.into())).into_iter().collect();
    let guardrail = |(name, step): &(Box<str>, u32)| json!({"ref": &**name, "step": step});
    let guardrails: Vec<Json> = workflow.guardrails.iter().map(guardrail).collect();
    json!({"schema_version": SCHEMA_VERSION, "features": features, "guardrails": guardrails})
}

/// Tells contents apart.
pub fn hash(payload: &Json) -> String {
    hex(digest::digest(&digest::SHA256, payload.to_string().as_bytes()).as_ref())
}

/// The row of a new version, active from its beginning.
pub fn row(workflow: &Workflow, now_ms: u64) -> Row {
    let maybe = |text: Option<&str>| Value::maybe(text, Value::text);
    let (scope, payload) = (&workflow.scope, payload(workflow));
    Row::new(&tables::WORKFLOW_VERSIONS)
        .with("id", Value::text(&*workflow.id))
        .with("scope_key", Value::text(scope.key()))
        .with("version", Value::Integer(workflow.version.into()))
        .with("scope_provider_name", maybe(scope.provider.as_deref()))
        .with("scope_model", maybe(scope.model.as_deref()))
        .with("scope_user_path", maybe(scope.path.as_ref().map(UserPath::as_str)))
        .with("is_active", Value::Flag(true))
        .with("is_managed_default", Value::Flag(false))
        .with("name", Value::text(&*workflow.name))
        .with("description", maybe(Some(&*workflow.description).filter(|text| !text.is_empty())))
        .with("payload_hash", Value::text(hash(&payload)))
        .with("payload", Value::Json(payload.to_string()))
        .with("created_at_ms", Value::time_ms(now_ms))
}

/// The form of payloads.
pub const SCHEMA_VERSION: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_was_written() {
        let features = Features { cache: false, budget: false, ..Features::ALL };
        let path = Some(UserPath::new("/team").unwrap());
        let workflow = Workflow {
            id: "1".into(),
            scope: Scope { provider: Some("p".into()), model: Some("m:8b".into()), path },
            version: 3,
            name: "quiet".into(),
            description: "".into(),
            features,
            guardrails: vec![("safety".into(), 2)],
        };
        let written = row(&workflow, 7);
        assert_eq!(in_force(&written), Some(Some(workflow.clone())));
        let off = written.clone().with("is_active", Value::Flag(false));
        assert_eq!((in_force(&off), version(&off)), (Some(None), Some(workflow.clone())));
        assert_eq!(in_force(&written.with("payload", Value::Json("{}".into()))), None);
        let other = Workflow { features: Features::ALL, ..workflow.clone() };
        assert_ne!(hash(&payload(&other)), hash(&payload(&workflow)));
    }
}
