//! Who asks the admin API, and what he may do: a master key, a virtual key with a scope, or, on a machine where no key is
//! set at all, whoever is on it.

use std::sync::Arc;

use axum::http::HeaderMap;

use super::routes::{Needs, Route};
use super::{Guest, Visitor};
use crate::base::clock;
use crate::base::{Refusal, RefusalKind};
use crate::identity::UserPath;
use crate::ledger::record::Auth;
use crate::offload::manage::{Actor, ActorKind, Manager};
use crate::policy::grant::{AdminAccess, AdminScope};
use crate::policy::key::Key;
use crate::policy::keyring::Found;

/// Somebody who may ask.
pub struct Who {
    pub scope: AdminScope,
    /// His own key; none for a master key.
    pub key: Option<Arc<Key>>,
    pub actor: Actor,
    /// For a caller that asks for its own: where it is.
    pub path: UserPath,
}

/// Lets somebody in for a route, or says why not.
pub fn admitted(
    manager: &Manager,
    guest: &Guest,
    route: &Route,
    headers: &HeaderMap,
) -> Result<Who, Refusal> {
    let who = match &guest.visitor {
        Visitor::Caller { key, path, auth } => caller(guest, key.clone(), path.clone(), *auth),
        Visitor::Admin(presented) => {
            let presented = presented.as_ref().map(|secret| secret.reveal().as_bytes());
            of_admin(manager, guest, presented, headers)?
        }
    };
    match (route.needs, &guest.visitor) {
        (Needs::Caller, Visitor::Caller { .. }) => Ok(who),
        (Needs::Caller, _) | (_, Visitor::Caller { .. }) => Err(super::unknown()),
        (Needs::Read, _) => Ok(who),
        (Needs::Write, _) if who.scope.access < AdminAccess::Write => {
            Err(denied("This key may look and not change."))
        }
        (Needs::Write, _) => Ok(who),
    }
}

fn caller(guest: &Guest, key: Option<Arc<Key>>, path: UserPath, auth: Auth) -> Who {
    let kind = match auth {
        Auth::MasterKey => ActorKind::MasterKey,
        Auth::ApiKey => ActorKind::Key,
        Auth::NoKey => ActorKind::Nobody,
    };
    let scope = AdminScope { path: path.clone(), access: AdminAccess::Read };
    Who { scope, actor: actor(guest, kind, key.as_deref()), key, path }
}

fn of_admin(
    manager: &Manager,
    guest: &Guest,
    presented: Option<&[u8]>,
    headers: &HeaderMap,
) -> Result<Who, Refusal> {
    let (managed, compiled) = (manager.current(), manager.compiled());
    let keys = &compiled.snapshot.keys;
    let whole = |kind| Who {
        scope: AdminScope::whole(),
        key: None,
        actor: actor(guest, kind, None),
        path: UserPath::root(),
    };
    if let Some(presented) = presented {
        if !keys.is_open() && keys.admits(presented) {
            return Ok(whole(ActorKind::MasterKey));
        }
        return match managed.keyring.find(presented, clock::wall_ms()) {
            Found::Key(key) => of_key(guest, key),
            Found::Unknown if !managed.is_settled => Err(unsettled()),
            Found::Unknown if is_open(manager) => match is_local(guest, headers) {
                true => Ok(whole(ActorKind::Nobody)),
                false => Err(unauthenticated("invalid_api_key", "The API key is not valid here.")),
            },
            Found::Unknown => Err(unauthenticated("invalid_api_key", "The API key is not valid here.")),
        };
    }
    if !managed.is_settled {
        return Err(unsettled());
    }
    if is_open(manager) && is_local(guest, headers) {
        return Ok(whole(ActorKind::Nobody));
    }
    let what = "The admin API needs a key: send the master key, or one with an admin scope, as `Authorization: Bearer KEY`.";
    Err(unauthenticated("missing_api_key", what))
}

fn of_key(guest: &Guest, key: Arc<Key>) -> Result<Who, Refusal> {
    key.check(clock::wall_ms())?;
    let Some(scope) = key.admin().cloned() else {
        return Err(denied("This key has no part in the admin API."));
    };
    let path = scope.path.clone();
    Ok(Who { scope, actor: actor(guest, ActorKind::Key, Some(&*key)), key: Some(key), path })
}

fn actor(guest: &Guest, kind: ActorKind, key: Option<&Key>) -> Actor {
    Actor {
        kind,
        id: key.map_or(String::new(), |key| key.id.as_str().to_owned()),
        client_ip: guest.client_ip.to_string(),
        request_id: guest.request_id.clone(),
    }
}

/// Whether whoever is on this machine may administer: no key is set that could be asked for, and nobody else can reach the
/// gateway.
pub fn is_open(manager: &Manager) -> bool {
    let (managed, compiled) = (manager.current(), manager.compiled());
    let is_loopback = compiled.snapshot.server.listen.iter().all(|address| address.ip().is_loopback());
    compiled.snapshot.keys.is_open()
        && is_loopback
        && managed.is_settled
        && !managed.keyring.iter().any(|key| key.admin().is_some())
}

/// Whether it is certainly somebody on this machine who asks, and no page of the web that his browser shows.
fn is_local(guest: &Guest, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text("host").unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let is_from_afar =
        ["forwarded", "via", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name));
    let is_known = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
    let is_own_page = text("origin").is_none_or(|origin| origin == format!("http://{host}"));
    let is_cross = matches!(text("sec-fetch-site"), Some("cross-site" | "same-site"));
    let is_near = guest.client_ip.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    !is_from_afar && is_known && is_own_page && !is_cross && is_near
}

fn unauthenticated(code: &'static str, message: &'static str) -> Refusal {
    Refusal::new(401, RefusalKind::Authentication, code, message)
}

pub fn denied(message: &'static str) -> Refusal {
    Refusal::new(403, RefusalKind::InvalidRequest, "admin_scope_denied", message)
}

fn unsettled() -> Refusal {
    let message = "Which keys are good is not known yet: the store cannot be read.";
    let mut refusal = Refusal::new(503, RefusalKind::Server, "keys_unavailable", message);
    refusal.retry_after_s = Some(1);
    refusal
}
