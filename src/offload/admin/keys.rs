//! Virtual keys: made, shown, changed, renewed and taken away. A secret is shown once, when it is made.

use std::rc::Rc;

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value as Json, json};

use super::fields::{Asked, Fields, not_found, wrong};
use super::view::{self, of_store};
use super::who::Who;
use super::{Desk, Reply};
use crate::base::clock;
use crate::base::{Refusal, RefusalKind, Secret};
use crate::identity::UserPath;
use crate::offload::manage::load::select_one;
use crate::offload::manage::pepper::of_hex;
use crate::offload::manage::{Change, Part, rows};
use crate::offload::store::{Filter, Row, Select, Store, Value, tables};
use crate::policy::grant::{self, AdminAccess};
use crate::policy::key::{KeyId, NewKey, Proof};

type Answer = Result<Reply, Refusal>;

/// The keys within the scope, by their ids, a page at a time.
pub async fn list(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut query = asked.query(&["limit", "after", "user_path"])?;
    let (limit, after) = (query.limit()?, query.name("after")?);
    let place = query.path("user_path")?.unwrap_or_else(|| asked.who.scope.path.clone());
    query.end()?;
    asked.who.scope.check(&place, AdminAccess::Read)?;
    // A key without a path belongs to the whole.
    let filter =
        if place.is_root() { Filter::all() } else { Filter::all().within("user_path", place.as_str()) };
    let mut select = Select::new(&tables::AUTH_KEYS, filter, limit);
    if let Some(after) = after {
        select = select.after(vec![Value::text(after)]);
    }
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let keys = store.select(select).await.map_err(|error| of_store(&error))?;
    let next = keys.last().filter(|_| keys.len() == limit).map(|row| view::value(row.get("id")));
    Reply::ok(json!({"data": keys.iter().map(shown).collect::<Vec<_>>(), "next": next}))
}

pub async fn get(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.fields()?.end()?;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let row = find(&store, asked.param("id")).await?;
    asked.who.scope.check(&place(&row), AdminAccess::Read)?;
    Reply::ok(shown(&row))
}

/// Makes a key; or takes one over from another gateway, by its text or by its hash.
pub async fn create(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut fields = asked.fields()?;
    let now_ms = clock::wall_ms();
    let (whole, hash) = (fields.text("key")?, fields.name("key_hash")?);
    let mut row = Row::new(&tables::AUTH_KEYS)
        .with("name", Value::text(fields.needed("name")?))
        .with("is_enabled", Value::Flag(true))
        .with("created_at_ms", Value::time_ms(now_ms))
        .with("updated_at_ms", Value::time_ms(now_ms));
    set_description(&mut fields, &mut row)?;
    let path = fields.path("user_path")?;
    row.set("user_path", Value::maybe(path, |path| Value::text(path.as_str())));
    set_labels(&mut fields, &mut row)?;
    set_models(&mut fields, &mut row)?;
    set_endpoints(&mut fields, &mut row)?;
    set_dashboard(&mut fields, &mut row)?;
    set_expiry(&mut fields, &mut row)?;
    fields.end()?;
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let secret = match imported(whole.as_deref(), hash.as_deref())? {
        Some(proof) => {
            row.set("id", Value::text(KeyId::from_random(random()?).as_str()));
            set_proof(&mut row, &proof);
            row.set("redacted_value", Value::text(whole.as_deref().map_or("****".to_owned(), masked)));
            None
        }
        None => {
            let pepper = desk.manager.pepper(&store).await.map_err(|error| of_store(&error))?;
            let made = NewKey::make(&random()?, &pepper);
            row.set("id", Value::text(made.id.as_str()));
            set_new(&mut row, &made);
            Some(made.text)
        }
    };
    may_grant(&asked.who, &row)?;
    let new = store.insert(&tables::AUTH_KEYS, vec![row.clone()]).await.map_err(|error| of_store(&error))?;
    if new == 0 {
        return Err(Refusal::new(
            409,
            RefusalKind::InvalidRequest,
            "already_exists",
            "This key is here already.",
        ));
    }
    tell(&desk, &store, &asked.who, "create", None, Some(&row)).await?;
    Reply::created(with_secret(shown(&row), secret.as_ref()))
}

pub async fn labels(desk: Rc<Desk>, asked: Asked) -> Answer {
    change(desk, asked, "set_labels", set_labels).await
}

pub async fn dashboard_access(desk: Rc<Desk>, asked: Asked) -> Answer {
    change(desk, asked, "set_dashboard_access", set_dashboard).await
}

pub async fn allowed_models(desk: Rc<Desk>, asked: Asked) -> Answer {
    change(desk, asked, "set_allowed_models", set_models).await
}

pub async fn deactivate(desk: Rc<Desk>, asked: Asked) -> Answer {
    change(desk, asked, "deactivate", |_, row| {
        row.set("is_enabled", Value::Flag(false));
        row.set("deactivated_at_ms", Value::time_ms(clock::wall_ms()));
        Ok(())
    })
    .await
}

/// Gives a key another secret. The one before stays good for `grace_seconds`.
pub async fn rotate(desk: Rc<Desk>, asked: Asked) -> Answer {
    let mut fields = asked.fields()?;
    let grace_s = fields.number("grace_seconds", 0, GRACE_S_MAX)?.unwrap_or(0);
    fields.end()?;
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let before = found_to_change(&store, &asked).await?;
    if before.get("hash_kind").as_text() != Some(rows::HMAC) {
        let what = "This key was taken over from another gateway: make a new one in its place.";
        return Err(Refusal::invalid("key_is_imported", what));
    }
    let id = KeyId::new(before.get("id").as_text().unwrap_or_default()).ok_or_else(|| not_found("key"))?;
    let pepper = desk.manager.pepper(&store).await.map_err(|error| of_store(&error))?;
    let made = NewKey::rotate(id, &random()?, &pepper);
    let mut row = before.clone();
    let until_ms = clock::wall_ms() + grace_s * 1000;
    let previous = if grace_s > 0 { before.get("secret_hash").clone() } else { Value::Null };
    row.set("previous_hash", previous);
    row.set("previous_until_ms", if grace_s > 0 { Value::time_ms(until_ms) } else { Value::Null });
    set_new(&mut row, &made);
    row.set("updated_at_ms", Value::time_ms(clock::wall_ms()));
    store.replace(&tables::AUTH_KEYS, vec![row.clone()]).await.map_err(|error| of_store(&error))?;
    tell(&desk, &store, &asked.who, "rotate", Some(&before), Some(&row)).await?;
    Reply::ok(with_secret(shown(&row), Some(&made.text)))
}

pub async fn delete(desk: Rc<Desk>, asked: Asked) -> Answer {
    asked.fields()?.end()?;
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let before = found_to_change(&store, &asked).await?;
    let filter = Filter::all().equal("id", before.get("id").clone());
    store.delete(&tables::AUTH_KEYS, filter).await.map_err(|error| of_store(&error))?;
    tell(&desk, &store, &asked.who, "delete", Some(&before), None).await?;
    Reply::ok(json!({"id": asked.param("id"), "deleted": true}))
}

/// Changes one key by the fields of the body.
async fn change(
    desk: Rc<Desk>,
    asked: Asked,
    action: &'static str,
    edit: impl FnOnce(&mut Fields, &mut Row) -> Result<(), Refusal>,
) -> Answer {
    let mut fields = asked.fields()?;
    let _turn = desk.manager.begin_change().await;
    let store = desk.manager.store().await.map_err(|error| of_store(&error))?;
    let before = found_to_change(&store, &asked).await?;
    let mut row = before.clone();
    edit(&mut fields, &mut row)?;
    fields.end()?;
    row.set("updated_at_ms", Value::time_ms(clock::wall_ms()));
    may_grant(&asked.who, &row)?;
    store.replace(&tables::AUTH_KEYS, vec![row.clone()]).await.map_err(|error| of_store(&error))?;
    tell(&desk, &store, &asked.who, action, Some(&before), Some(&row)).await?;
    Reply::ok(shown(&row))
}

async fn find(store: &Store, id: &str) -> Result<Row, Refusal> {
    let id = KeyId::new(id).ok_or_else(|| not_found("key"))?;
    let row = select_one(store, &tables::AUTH_KEYS, "id", id.as_str()).await;
    row.map_err(|error| of_store(&error))?.ok_or_else(|| not_found("key"))
}

/// A key that is to be changed. Who could not have made it cannot change it: its secret would be his.
async fn found_to_change(store: &Store, asked: &Asked) -> Result<Row, Refusal> {
    let row = find(store, asked.param("id")).await?;
    may_grant(&asked.who, &row)?;
    Ok(row)
}

fn place(row: &Row) -> UserPath {
    let path = row.get("user_path").as_text().and_then(|path| UserPath::new(path).ok());
    path.unwrap_or_else(UserPath::root)
}

fn may_grant(who: &Who, row: &Row) -> Result<(), Refusal> {
    let unreadable = || wrong("key", "is not as this version keeps keys");
    let fields = rows::key(row).ok_or_else(unreadable)?.fields();
    grant::check(&who.scope, who.key.as_deref(), &fields)
}

async fn tell(
    desk: &Desk,
    store: &Store,
    who: &Who,
    action: &'static str,
    before: Option<&Row>,
    after: Option<&Row>,
) -> Result<(), Refusal> {
    let row = before.or(after).expect("one of both is there");
    let id = row.get("id").as_text().unwrap_or_default();
    let Some(key_id) = KeyId::new(id) else { return Err(not_found("key")) };
    let user_path = place(row);
    let change = Change {
        action,
        part: Part::Key(key_id),
        object_id: id,
        user_path: user_path.as_str(),
        before: before.map(shown),
        after: after.map(shown),
    };
    desk.manager.changed(store, &who.actor, change).await.map_err(|error| of_store(&error))
}

/// A key as it is shown, without what could prove it.
fn shown(row: &Row) -> Json {
    let hidden = ["secret_hash", "previous_hash", "hash_kind", "extra", "is_enabled", "previous_until_ms"];
    let mut members = view::row(row, &hidden);
    let extra = rows::extra(row);
    members.insert("enabled".to_owned(), view::value(row.get("is_enabled")));
    for name in ["labels", "allowed_models"] {
        let list = row.get(name).as_names().unwrap_or_default();
        members.insert(name.to_owned(), list.into());
    }
    let or_empty = |name: &str| extra.get(name).cloned().unwrap_or_else(|| json!([]));
    members.insert("endpoints".to_owned(), or_empty("endpoints"));
    members.insert("admin_path".to_owned(), extra.get("admin_path").cloned().unwrap_or(Json::Null));
    members.insert("previous_valid_until".to_owned(), view::value(row.get("previous_until_ms")));
    let access = row.get("dashboard_access").as_text().unwrap_or("none");
    members.insert("dashboard_access".to_owned(), access.into());
    members.insert("imported".to_owned(), (row.get("hash_kind").as_text() != Some(rows::HMAC)).into());
    Json::Object(members)
}

fn with_secret(mut shown: Json, secret: Option<&Secret>) -> Json {
    if let (Some(secret), Some(members)) = (secret, shown.as_object_mut()) {
        members.insert("value".to_owned(), secret.reveal().into());
    }
    shown
}

fn set_description(fields: &mut Fields, row: &mut Row) -> Result<(), Refusal> {
    row.set("description", Value::maybe(fields.text("description")?, Value::text));
    Ok(())
}

fn set_labels(fields: &mut Fields, row: &mut Row) -> Result<(), Refusal> {
    row.set("labels", Value::maybe(fields.labels("labels")?, Value::Names));
    Ok(())
}

fn set_models(fields: &mut Fields, row: &mut Row) -> Result<(), Refusal> {
    row.set("allowed_models", Value::maybe(fields.models("allowed_models")?, Value::Names));
    Ok(())
}

fn set_endpoints(fields: &mut Fields, row: &mut Row) -> Result<(), Refusal> {
    let endpoints = fields.names("endpoints")?;
    let is_known =
        |name: &String| crate::dialect::endpoint::Endpoint::ALL.iter().any(|one| one.name() == name);
    if !endpoints.iter().flatten().all(is_known) {
        return Err(wrong("endpoints", "holds what is no endpoint"));
    }
    set_extra(row, "endpoints", endpoints.filter(|list| !list.is_empty()).map(Json::from));
    Ok(())
}

fn set_dashboard(fields: &mut Fields, row: &mut Row) -> Result<(), Refusal> {
    let access = fields.choice("dashboard_access", &["none", "read", "write"])?.unwrap_or("none");
    let admin_path = fields.path("admin_path")?;
    row.set("dashboard_access", Value::text(access));
    set_extra(row, "admin_path", admin_path.map(|path| path.as_str().into()));
    Ok(())
}

fn set_expiry(fields: &mut Fields, row: &mut Row) -> Result<(), Refusal> {
    let expires_ms = fields.moment("expires_at")?;
    if expires_ms.is_some_and(|ms| ms <= clock::wall_ms()) {
        return Err(wrong("expires_at", "lies in the past"));
    }
    row.set("expires_at_ms", Value::maybe(expires_ms, Value::time_ms));
    Ok(())
}

fn set_extra(row: &mut Row, name: &str, value: Option<Json>) {
    let mut members: Map<String, Json> = rows::extra(row);
    match value {
        Some(value) => drop(members.insert(name.to_owned(), value)),
        None => drop(members.remove(name)),
    }
    row.set("extra", rows::extra_value(members));
}

fn set_new(row: &mut Row, made: &NewKey) {
    set_proof(row, &made.proof);
    row.set("redacted_value", Value::text(format!("rw-{}-****", made.id.as_str())));
}

fn set_proof(row: &mut Row, proof: &Proof) {
    let (kind, hash) = rows::stored_proof(proof);
    row.set("hash_kind", Value::text(kind));
    row.set("secret_hash", Value::text(hash));
}

/// The proof of a key that comes from elsewhere.
fn imported(whole: Option<&str>, hash: Option<&str>) -> Result<Option<Proof>, Refusal> {
    match (whole, hash) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(wrong("key_hash", "cannot stand beside `key`")),
        (Some(text), None) if text.len() < IMPORTED_BYTES_MIN || text.starts_with("rw-") => {
            let what = format!("must have {IMPORTED_BYTES_MIN} bytes or more, and may not begin with `rw-`");
            Err(wrong("key", &what))
        }
        (Some(text), None) => Ok(Some(Proof::of_whole(text.as_bytes()))),
        (None, Some(hash)) => {
            let bytes = of_hex(&hash.to_ascii_lowercase());
            bytes
                .map(|bytes| Some(Proof::Sha256(bytes)))
                .ok_or_else(|| wrong("key_hash", "must be SHA-256 in hex"))
        }
    }
}

/// The beginning of a key from elsewhere, by which its owner knows it.
fn masked(whole: &str) -> String {
    Secret::new(whole).masked()
}

fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    let no_random =
        |_| Refusal::new(503, RefusalKind::Server, "no_random_bytes", "No random bytes can be had.");
    SystemRandom::new().fill(&mut bytes).map_err(no_random)?;
    Ok(bytes)
}

/// A month: a secret that was renewed because it leaked should not stay good for longer.
const GRACE_S_MAX: u64 = 31 * 86_400;
/// Shorter keys could be guessed from their hash.
const IMPORTED_BYTES_MIN: usize = 16;
