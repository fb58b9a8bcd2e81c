//! Rows of the store and what they define, both ways. A row that another program wrote and that means nothing here is no
//! definition; whoever reads it says so and goes on.

use serde_json::{Map, Value as Json};

use super::pepper::{hex, of_hex};
use crate::base::Pico;
use crate::identity::alias::{AliasTarget, Strategy};
use crate::identity::{
    Alias, Allowance, Gate, Measure, ModelRule, Origin, Period, Strength, Subject, UserPath,
};
use crate::offload::store::{Row, Value, tables};
use crate::policy::grant::{AdminAccess, AdminScope};
use crate::policy::key::{Key, KeyFields, KeyId, Proof};

/// The subject of an allowance, by the words in which it is stored and asked for.
pub fn subject(scope: &str, name: &str) -> Option<Subject> {
    let named = (!name.is_empty()).then_some(name);
    Some(match scope {
        "user_path" => Subject::Path(UserPath::new(name).ok()?),
        "label" => Subject::Label(named?.into()),
        "key" => Subject::Key(KeyId::new(name)?.as_str().into()),
        "provider" => Subject::Provider(named?.into()),
        "model" => Subject::Model(named?.into()),
        _ => return None,
    })
}

/// The word for the kind of a subject.
pub fn scope(subject: &Subject) -> &'static str {
    match subject {
        Subject::Path(_) => "user_path",
        other => other.kind(),
    }
}

/// One budget.
pub fn budget(row: &Row) -> Option<Allowance> {
    let amount = u128::try_from(row.get("amount").as_money()?.0).ok()?;
    let period = Period::from_name(row.get("period").as_text()?)?;
    let extra = extra(row);
    let subject = subject(row.get("scope").as_text()?, row.get("subject").as_text()?)?;
    let is_soft = extra.get("soft") == Some(&Json::Bool(true));
    Some(Allowance {
        subject,
        measure: Measure::Cost(period),
        max: amount,
        strength: if is_soft { Strength::Soft } else { Strength::Hard },
        instead: extra.get("instead").and_then(Json::as_str).map(Into::into),
        origin: Origin::Stored,
    })
}

/// The period that stands for requests at a time.
pub const CONCURRENT: &str = "concurrent";

/// The limits of one row: requests, tokens, or requests at a time.
pub fn limits(row: &Row) -> Option<Vec<Allowance>> {
    let subject = subject(row.get("scope").as_text()?, row.get("subject").as_text()?)?;
    let of = |column: &str, measure: Measure| {
        let max = u128::try_from(row.get(column).as_integer()?).ok()?;
        let (strength, origin) = (Strength::Hard, Origin::Stored);
        Some(Allowance { subject: subject.clone(), measure, max, strength, instead: None, origin })
    };
    let made: Vec<Allowance> = match row.get("period").as_text()? {
        CONCURRENT => of("concurrent_max", Measure::Concurrent).into_iter().collect(),
        text => {
            let period = Period::from_name(text)?;
            let requests = of("requests_max", Measure::Requests(period));
            requests.into_iter().chain(of("tokens_max", Measure::Tokens(period))).collect()
        }
    };
    (!made.is_empty()).then_some(made)
}

/// What a row of `aliases` defines: another name for models, or, without a target, who may use one.
pub enum Virtual {
    Alias(Alias),
    Gate { gate: Gate, is_enabled: bool },
}

pub fn virtual_model(row: &Row) -> Option<Virtual> {
    let extra = extra(row);
    let source = row.get("name").as_text()?;
    let user_paths = extra.get("user_paths").and_then(Json::as_array).into_iter().flatten();
    let user_paths: Option<Vec<UserPath>> =
        user_paths.map(|path| UserPath::new(path.as_str()?).ok()).collect();
    let user_paths = user_paths?;
    let is_enabled = row.get("is_enabled").as_flag()?;
    let targets: Json = serde_json::from_str(row.get("targets").as_text()?).ok()?;
    let target = |target: &Json| {
        let model = target.get("model").and_then(Json::as_str)?;
        let weight = target.get("weight").map_or(Some(1), Json::as_u64)?;
        Some(AliasTarget { model: model.into(), weight: u32::try_from(weight).ok()? })
    };
    let targets: Vec<AliasTarget> = targets.as_array()?.iter().map(target).collect::<Option<_>>()?;
    if targets.is_empty() {
        let gate = Gate { rule: ModelRule::new(source)?, user_paths };
        return Some(Virtual::Gate { gate, is_enabled });
    }
    let is_failover = extra.get("strategy").and_then(Json::as_str) == Some("failover");
    Some(Virtual::Alias(Alias {
        source: source.into(),
        description: row.get("description").as_text().unwrap_or_default().into(),
        targets,
        strategy: if is_failover { Strategy::Failover } else { Strategy::RoundRobin },
        user_paths,
        is_enabled,
    }))
}

/// The models that a user path may use.
pub fn model_list(row: &Row) -> Option<(UserPath, Vec<ModelRule>)> {
    if row.get("scope").as_text()? != "user_path" {
        return None;
    }
    let path = UserPath::new(row.get("subject").as_text()?).ok()?;
    Some((path, rules(row.get("allowed_models").as_names()?)?))
}

pub fn rules(texts: &[String]) -> Option<Vec<ModelRule>> {
    texts.iter().map(|text| ModelRule::new(text)).collect()
}

/// The columns that a virtual key is made of.
pub const OF_KEY: &[&str] = &[
    "id",
    "name",
    "description",
    "user_path",
    "labels",
    "allowed_models",
    "dashboard_access",
    "hash_kind",
    "secret_hash",
    "previous_hash",
    "previous_until_ms",
    "is_enabled",
    "expires_at_ms",
    "deactivated_at_ms",
    "created_at_ms",
    "extra",
];

/// A virtual key, from a row with those columns at least.
pub fn key(row: &Row) -> Option<Key> {
    let id = KeyId::new(row.get("id").as_text()?)?;
    let text = |column: &str| row.get(column).as_text().unwrap_or_default().to_owned();
    let names = |column: &str| row.get(column).as_names().unwrap_or_default().to_vec();
    let path = row.get("user_path").as_text().map(UserPath::new).transpose().ok()?;
    let extra = extra(row);
    let endpoints = extra.get("endpoints").and_then(Json::as_array).into_iter().flatten();
    let endpoints: Option<Vec<String>> = endpoints.map(|name| name.as_str().map(str::to_owned)).collect();
    let admin_path = extra.get("admin_path").and_then(Json::as_str).map(UserPath::new).transpose().ok()?;
    let access = match row.get("dashboard_access").as_text() {
        None | Some("none") => None,
        Some("read") => Some(AdminAccess::Read),
        Some("write") => Some(AdminAccess::Write),
        Some(_) => return None,
    };
    let admin = access.map(|access| AdminScope {
        path: admin_path.or_else(|| path.clone()).unwrap_or_else(UserPath::root),
        access,
    });
    let ms = |column: &str| row.get(column).as_integer().and_then(|ms| u64::try_from(ms).ok());
    let fields = KeyFields {
        name: text("name"),
        description: text("description"),
        path,
        labels: names("labels"),
        models: rules(&names("allowed_models"))?,
        endpoints: endpoints?,
        allowances: Vec::new(),
        created_ms: ms("created_at_ms").unwrap_or_default(),
        expires_ms: ms("expires_at_ms"),
        is_disabled: !row.get("is_enabled").as_flag()? || ms("deactivated_at_ms").is_some(),
        admin,
    };
    let kind = row.get("hash_kind").as_text()?;
    let proof = proof(kind, row.get("secret_hash").as_text()?)?;
    let key = Key::new(id, proof, fields, &std::sync::Arc::default(), None);
    Some(match (row.get("previous_hash").as_text(), ms("previous_until_ms")) {
        (Some(before), Some(until_ms)) => key.with_proof_before(self::proof(kind, before)?, until_ms),
        _ => key,
    })
}

fn proof(kind: &str, text: &str) -> Option<Proof> {
    match kind {
        HMAC => of_hex(text).map(Proof::Hmac),
        SHA256 => of_hex(text).map(Proof::Sha256),
        _ => None,
    }
}

/// How a proof is stored: its kind, and its hex digits.
pub fn stored_proof(proof: &Proof) -> (&'static str, String) {
    let kind = match proof {
        Proof::Hmac(_) => HMAC,
        Proof::Sha256(_) => SHA256,
    };
    (kind, hex(proof.bytes()))
}

/// The members that have no column of their own.
pub fn extra(row: &Row) -> Map<String, Json> {
    let text = row.get("extra").as_text();
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The same as a value; none when there are none.
pub fn extra_value(members: Map<String, Json>) -> Value {
    if members.is_empty() { Value::Null } else { Value::Json(Json::Object(members).to_string()) }
}

/// An amount of money as a store holds it; `None` for more than it can.
pub fn money(amount: Pico) -> Option<Value> {
    i64::try_from(amount.0).ok().map(|_| Value::Money(amount))
}

/// A row of `runtime_settings`.
pub fn setting(name: &str, value: &Json, now_ms: u64) -> Row {
    Row::new(&tables::RUNTIME_SETTINGS)
        .with("name", Value::text(name))
        .with("value", Value::Json(value.to_string()))
        .with("updated_at_ms", Value::time_ms(now_ms))
}

pub const HMAC: &str = "hmac-sha256";
const SHA256: &str = "sha256";
