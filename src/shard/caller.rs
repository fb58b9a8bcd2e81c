//! Who asks: the key, its place in the tree of users, and the labels. Found out once, before the body is read.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::Shard;
use super::client::Client;
use super::exchange::{Stop, stop_before_body};
use super::meaning::Meaning;
use super::route::Asked;
use super::standing::{Standing, is_same_or_none};
use super::work::Work;
use crate::base::limits::MANAGED_WAIT_MS_MAX;
use crate::base::{Refusal, RefusalKind};
use crate::config::Snapshot;
use crate::dialect::endpoint::Endpoint;
use crate::identity::UserPath;
use crate::journal::{Full, Need, Tail, Writer};
use crate::ledger::record::{self, Auth, Begun, RecordId, Session};
use crate::offload::Managed;
use crate::policy::access::Asked as AskedModel;
use crate::policy::hold::Applicable;
use crate::policy::key::Key;
use crate::policy::keyring::Found;
use crate::policy::{admit, caller};

/// A caller that was let in.
#[derive(Default)]
pub struct Caller {
    pub auth: Auth,
    pub key: Option<Arc<Key>>,
    /// `None` is the root.
    path: Option<UserPath>,
    pub labels: Vec<Box<str>>,
    /// The labels as a JSON array; empty without any.
    pub labels_json: String,
    /// What the name of a model meant that it asked for last.
    pub(super) meaning: RefCell<Option<Meaning>>,
    /// What was found out for the model that it asked for last.
    pub(super) standing: RefCell<Option<Rc<Standing>>>,
    /// What the beginnings of its records had in common, as it was written last.
    beginning: RefCell<Option<Beginning>>,
}

/// What the records of a caller's exchanges have in common whose heads are the same. The address is not in the head: a caller that is
/// known again may be one of many with the same head.
struct Beginning {
    client_ip: Box<str>,
    /// Says provider, model and workflow.
    standing: Rc<Standing>,
    requested: Option<Rc<str>>,
    session: Session,
    common: Tail,
}

impl Beginning {
    fn of(lead: &Lead<'_>, whole: &Begun<'_>) -> Beginning {
        let mut common = Vec::new();
        record::write_common(&mut common, whole);
        Beginning {
            client_ip: whole.client_ip.into(),
            standing: lead.standing.clone(),
            requested: lead.requested.cloned(),
            session: Session::of(whole),
            common: Tail::new(&common),
        }
    }

    fn is_of(&self, lead: &Lead<'_>, client_ip: &str) -> bool {
        Rc::ptr_eq(&self.standing, lead.standing)
            && is_same_or_none(self.requested.as_ref(), lead.requested)
            && *self.client_ip == *client_ip
    }
}

/// Who asks, what the request leads to, and the name that it said where that stands for another one.
pub struct Lead<'a> {
    pub caller: &'a Rc<Caller>,
    pub standing: &'a Rc<Standing>,
    pub requested: Option<&'a Rc<str>>,
}

impl Lead<'_> {
    /// Writes the beginning of an exchange into the journal, by way of an empty buffer. A caller that is remembered has said the
    /// same head before, so that nothing of `whole` but what stands in `own` can have changed.
    pub fn write_begun<'b>(
        &self,
        journal: &mut Writer,
        bytes: &mut Vec<u8>,
        id: RecordId,
        own: &Begun<'_>,
        whole: impl FnOnce() -> Begun<'b>,
    ) -> Result<(), Full> {
        let is_remembered = Rc::strong_count(self.caller) > 1;
        if !is_remembered {
            record::write_begun(bytes, id, &whole());
            return journal.append(bytes, Need::Begin);
        }
        let mut last = self.caller.beginning.borrow_mut();
        let written = match &mut *last {
            Some(written) if written.is_of(self, own.client_ip) => written,
            other => other.insert(Beginning::of(self, &whole())),
        };
        record::write_own(bytes, id, own, written.session);
        journal.append_with(bytes, &written.common, Need::Begin)
    }
}

impl Caller {
    pub fn path(&self) -> UserPath {
        self.path.clone().unwrap_or_else(UserPath::root)
    }

    pub fn path_text(&self) -> &str {
        self.path.as_ref().map_or("/", UserPath::as_str)
    }

    /// Whether the caller may use the model.
    pub fn may_use(&self, managed: &Managed, asked: AskedModel<'_>) -> bool {
        (self.key.is_none() && managed.access.is_open_to_all())
            || managed.access.allows(self.key.as_deref(), &self.path(), asked)
    }

    /// What a request for this model is held against; `None` for nothing. 403 where the caller may not use the model.
    pub(super) fn accounts(
        &self,
        managed: &Managed,
        asked: AskedModel<'_>,
    ) -> Result<Option<Applicable>, Refusal> {
        // Most callers have no accounts, and nobody pays for those of others.
        if self.key.is_none() && managed.access.is_open_to_all() && managed.book.is_empty() {
            return Ok(None);
        }
        managed.access.check(self.key.as_deref(), &self.path(), asked)?;
        let labels: Vec<&str> = self.labels.iter().map(|label| &**label).collect();
        let target = Some((asked.provider, asked.model));
        let applicable = managed.book.applicable(self.key.as_deref(), &self.path(), &labels, target);
        Ok((!applicable.accounts().is_empty()).then_some(applicable))
    }

    pub fn key_id(&self) -> &str {
        self.key.as_ref().map_or("", |key| key.id.as_str())
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
    work.caller = Rc::default();
    let mut found = Caller::default();
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
        found.auth = Auth::MasterKey;
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
        (found.auth, found.key) = (Auth::ApiKey, Some(key));
    } else if !(snapshot.keys.is_open() && shard.managed.borrow().keyring.is_empty()) {
        let was_presented = presented_any(client, work, head_len);
        let is_known = !was_presented || shard.managed.borrow().is_settled;
        let refusal = if is_known { refusal(was_presented) } else { unsettled() };
        return Err(stop_before_body(work, refusal));
    }
    let head = &client.input.filled()[..head_len];
    let names = &snapshot.identity.user_path_headers;
    let header = names.iter().find_map(|name| work.request.headers.get(head, name));
    let header = header.map(|value| value.of(head));
    let key = found.key.as_deref();
    if header.is_some() || key.is_some_and(|key| key.path.is_some()) {
        let path = caller::user_path(key, header).map_err(|refusal| stop_before_body(work, refusal))?;
        found.path = Some(path);
    }
    let said = snapshot.identity.tagging.iter().flat_map(|tagging| {
        let value = work.request.headers.get(head, &tagging.header).unwrap_or_default();
        tagging.labels(std::str::from_utf8(value.of(head)).unwrap_or_default())
    });
    let labels = caller::labels(found.key.as_deref(), said);
    found.labels = labels.into_iter().map(Box::from).collect();
    if !found.labels.is_empty() {
        found.labels_json = serde_json::to_string(&found.labels).unwrap_or_default();
    }
    work.caller = Rc::new(found);
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
    if is_settled() { Ok(()) } else { Err(stop_before_body(work, unsettled())) }
}

/// Nobody is told that a key is wrong while that is not known.
fn unsettled() -> Refusal {
    let message = "Which keys are good is not known yet: the store cannot be read.";
    let mut refusal = Refusal::new(503, RefusalKind::Server, "keys_unavailable", message);
    refusal.retry_after_s = Some(1);
    refusal
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
