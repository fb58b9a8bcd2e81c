//! Who asks: the key, its place in the tree of users, and the labels. Found out once, before the body is read.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::Shard;
use super::client::Client;
use super::exchange::{Stop, stop_before_body};
use super::route::Asked;
use super::work::Work;
use crate::base::limits::MANAGED_WAIT_MS_MAX;
use crate::base::{Refusal, RefusalKind};
use crate::config::Snapshot;
use crate::dialect::endpoint::Endpoint;
use crate::identity::UserPath;
use crate::ledger::record::Auth;
use crate::policy::access::{self, Access};
use crate::policy::key::Key;
use crate::policy::keyring::Found;
use crate::policy::{admit, caller};

/// A caller that was let in.
pub struct Caller {
    pub auth: Auth,
    pub key: Option<Arc<Key>>,
    /// `None` is the root.
    path: Option<UserPath>,
    pub labels: Vec<Box<str>>,
}

impl Default for Caller {
    fn default() -> Self {
        Caller { auth: Auth::NoKey, key: None, path: None, labels: Vec::new() }
    }
}

impl Caller {
    pub fn path(&self) -> UserPath {
        self.path.clone().unwrap_or_else(UserPath::root)
    }

    pub fn path_text(&self) -> &str {
        self.path.as_ref().map_or("/", UserPath::as_str)
    }

    /// Whether the caller may use the model: 403 where not.
    pub fn may_use(&self, access: &Access, asked: access::Asked<'_>) -> Result<(), Refusal> {
        if self.key.is_none() && access.is_open_to_all() {
            return Ok(());
        }
        access.check(self.key.as_deref(), &self.path(), asked)
    }

    pub fn key_id(&self) -> &str {
        self.key.as_ref().map_or("", |key| key.id.as_str())
    }

    /// The labels as a JSON array; empty without any.
    pub fn labels_json(&self) -> String {
        if self.labels.is_empty() {
            return String::new();
        }
        serde_json::to_string(&self.labels).unwrap_or_default()
    }
}

/// Lets the caller in, or says why not. Health is for everybody; metrics when the settings say so.
pub async fn admit(
    shard: &Shard,
    snapshot: &Snapshot,
    client: &mut Client,
    work: &mut Work,
    head_len: usize,
    asked: Asked,
) -> Result<(), Stop> {
    work.caller = Caller::default();
    let is_free = match asked {
        Asked::Health | Asked::Ready | Asked::Hello | Asked::Options => true,
        // Its own rules say who may.
        Asked::Admin => true,
        Asked::Metrics => !snapshot.metrics.needs_key,
        _ => false,
    };
    if is_free {
        return Ok(());
    }
    if snapshot.keys.is_open() {
        wait_for_keys(shard, client, work).await?;
    }
    let head = &client.input.filled()[..head_len];
    let presented = admit::presented_key(head, &work.request.headers);
    if !snapshot.keys.is_open() && presented.is_some_and(|key| snapshot.keys.admits(key)) {
        work.caller.auth = Auth::MasterKey;
    } else if let Some(key) = of_keyring(shard, client, presented.map(<[u8]>::to_vec)).await? {
        let now_ms = shard.wall_ms();
        let checked = key.check(now_ms).and_then(|()| match asked {
            // Every key may know what it has used.
            Asked::OwnUsage => Ok(()),
            _ => key.check_endpoint(asked.endpoint_name()).and_then(|()| {
                let head = &client.input.filled()[..head_len];
                let is_told_apart = asked.tells_tenants_apart(head, work.request.method);
                if is_told_apart { Ok(()) } else { key.check_trust(Endpoint::Other.name()) }
            }),
        });
        checked.map_err(|refusal| stop_before_body(work, refusal))?;
        (work.caller.auth, work.caller.key) = (Auth::ApiKey, Some(key));
    } else if !(snapshot.keys.is_open() && shard.managed.borrow().keyring.is_empty()) {
        return Err(stop_before_body(work, refusal(presented_any(client, work, head_len))));
    }
    let head = &client.input.filled()[..head_len];
    let names = &snapshot.identity.user_path_headers;
    let header = names.iter().find_map(|name| work.request.headers.get(head, name));
    let header = header.map(|value| value.of(head));
    let key = work.caller.key.as_deref();
    if header.is_some() || key.is_some_and(|key| key.path.is_some()) {
        let path = caller::user_path(key, header).map_err(|refusal| stop_before_body(work, refusal))?;
        work.caller.path = Some(path);
    }
    let said = snapshot.identity.tagging.iter().flat_map(|tagging| {
        let value = work.request.headers.get(head, &tagging.header).unwrap_or_default();
        tagging.labels(std::str::from_utf8(value.of(head)).unwrap_or_default())
    });
    let labels = caller::labels(work.caller.key.as_deref(), said);
    work.caller.labels = labels.into_iter().map(Box::from).collect();
    Ok(())
}

fn presented_any(client: &Client, work: &Work, head_len: usize) -> bool {
    admit::presented_key(&client.input.filled()[..head_len], &work.request.headers).is_some()
}

/// A gateway without a master key may have keys in its store: until that was read nobody is let in without one.
async fn wait_for_keys(shard: &Shard, client: &mut Client, work: &Work) -> Result<(), Stop> {
    let is_settled = || shard.managed.borrow().is_settled;
    if is_settled() {
        return Ok(());
    }
    let alarm = shard.alarms.alarm();
    alarm.set_after(MANAGED_WAIT_MS_MAX);
    let waiting = poll_fn(|cx| match is_settled() {
        true => Poll::Ready(()),
        false => alarm.poll_late_listening(cx),
    });
    client.unless_gone(shard, Box::pin(waiting)).await.map_err(|_| Stop::Gone)?;
    if is_settled() {
        return Ok(());
    }
    let message = "Which keys are good is not known yet: the store cannot be read.";
    let mut refusal = Refusal::new(503, RefusalKind::Server, "keys_unavailable", message);
    refusal.retry_after_s = Some(1);
    Err(stop_before_body(work, refusal))
}

/// Whose key it is. Right after a start the keys may still be on their way from the store.
async fn of_keyring(
    shard: &Shard,
    client: &mut Client,
    presented: Option<Vec<u8>>,
) -> Result<Option<Arc<Key>>, Stop> {
    let Some(presented) = presented else { return Ok(None) };
    let look = || {
        let managed = shard.managed.borrow();
        match managed.keyring.find(&presented, shard.wall_ms()) {
            Found::Key(key) => Poll::Ready(Some(key)),
            Found::Unknown if managed.is_settled => Poll::Ready(None),
            Found::Unknown => Poll::Pending,
        }
    };
    if let Poll::Ready(found) = look() {
        return Ok(found);
    }
    let alarm = shard.alarms.alarm();
    alarm.set_after(MANAGED_WAIT_MS_MAX);
    let waiting = poll_fn(|cx| match look() {
        Poll::Pending => alarm.poll_late_listening(cx).map(|()| None),
        ready => ready,
    });
    client.unless_gone(shard, Box::pin(waiting)).await.map_err(|_| Stop::Gone)
}

fn refusal(was_presented: bool) -> Refusal {
    let (code, message) = match was_presented {
        true => ("invalid_api_key", "The API key is not valid here."),
        false => ("missing_api_key", "An API key is needed: send it as `Authorization: Bearer KEY`."),
    };
    Refusal::new(401, RefusalKind::Authentication, code, message)
}
