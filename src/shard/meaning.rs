//! What the name of a model means: the provider that has it and the model as that knows it, by aliases, lists and settings. A
//! caller that goes on asking says the same name again, so that what it meant is kept, for as long as all three hold that
//! say so.

use std::borrow::Cow;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Weak as ArcWeak};
use std::task::Poll;

use super::Shard;
use super::active::Active;
use super::caller::Caller;
use super::client::Client;
use super::exchange::Stop;
use super::route::{self, Target};
use super::work::Work;
use crate::base::Refusal;
use crate::base::limits::CATALOGUE_WAIT_MS_MAX;
use crate::offload::Catalogue;

/// What was found of a target.
pub enum Found {
    Target(Target),
    /// The lists are not complete yet that may know this model; with the provider that the query names.
    NotYet(Option<String>, Option<Vec<u8>>),
}

/// Finds the target of the model that is asked, and the name that stands for it in the request.
pub fn look_up(
    shard: &Shard,
    active: &Rc<Active>,
    work: &Work,
    named: Option<Cow<'_, str>>,
    instead: Option<&str>,
    hint: Option<Cow<'_, [u8]>>,
) -> Result<(Found, Option<Rc<str>>), Refusal> {
    let name_tells_all = hint.is_none() && instead.is_none();
    let kept = named.as_deref().filter(|_| name_tells_all);
    if let Some(target) = kept.and_then(|name| work.caller.meaning(shard, active, name)) {
        return Ok((Found::Target(target), None));
    }
    let (model, requested) = meant(shard, work, named, instead);
    let found = route::target(active, &shard.catalogue.borrow(), model.as_deref(), hint.as_deref());
    let Some(found) = found else {
        return Ok((Found::NotYet(model.map(Cow::into_owned), hint.map(Cow::into_owned)), requested));
    };
    let target = found?;
    if let Some(name) = model.as_deref().filter(|_| name_tells_all && requested.is_none()) {
        work.caller.learn_meaning(shard, active, name, &target);
    }
    Ok((Found::Target(target), requested))
}

/// The model that is asked, and the name that stands for it in the request.
fn meant<'m>(
    shard: &Shard,
    work: &Work,
    named: Option<Cow<'m, str>>,
    instead: Option<&'m str>,
) -> (Option<Cow<'m, str>>, Option<Rc<str>>) {
    let Some(other) = instead else { return behind_alias(shard, work, named) };
    let (model, alias) = behind_alias(shard, work, Some(Cow::Borrowed(other)));
    (model, named.as_deref().map(Rc::from).or(alias))
}

/// The model that an alias stands for, and the alias; any other name as it is.
fn behind_alias<'m>(
    shard: &Shard,
    work: &Work,
    model: Option<Cow<'m, str>>,
) -> (Option<Cow<'m, str>>, Option<Rc<str>>) {
    let Some(name) = model else { return (None, None) };
    let managed = shard.managed.borrow();
    if managed.aliases.is_empty() {
        return (Some(name), None);
    }
    let Some(alias) = managed.aliases.find(&name, &work.caller.path()) else { return (Some(name), None) };
    let target = alias.target(shard.ids.random());
    (Some(Cow::Owned(target.model.as_ref().to_owned())), Some(name.as_ref().into()))
}

/// Waits for the provider to be found: right after a start the lists of models may still be on their way.
pub async fn await_target(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    model: Option<String>,
    hint: Option<Vec<u8>>,
) -> Result<Target, Stop> {
    let look = || route::target(active, &shard.catalogue.borrow(), model.as_deref(), hint.as_deref());
    let alarm = shard.alarms.alarm();
    alarm.set_after(CATALOGUE_WAIT_MS_MAX);
    let settled = poll_fn(|cx| {
        if let Some(found) = look() {
            return Poll::Ready(Some(found));
        }
        alarm.poll_late_listening(cx).map(|()| None)
    });
    let found = client.unless_gone(shard, settled).await.map_err(|_| Stop::Gone)?;
    let unknown = || Err(route::unknown_model(model.as_deref().unwrap_or_default()));
    found.unwrap_or_else(unknown).map_err(Stop::from)
}

/// What a model's name means, where it stands for no other.
pub struct Meaning {
    name: Box<str>,
    /// Of the rules that say so.
    version: u64,
    active: Weak<Active>,
    catalogue: ArcWeak<Catalogue>,
    /// The provider's place among those of the settings.
    index: usize,
    model: Rc<str>,
    is_qualified: bool,
    is_known: bool,
}

impl Meaning {
    fn holds(&self, shard: &Shard, active: &Rc<Active>) -> bool {
        self.active.as_ptr() == Rc::as_ptr(active)
            && self.catalogue.as_ptr() == Arc::as_ptr(&*shard.catalogue.borrow())
            && self.version == shard.managed.borrow().version
    }
}

impl Caller {
    /// What this name meant when the caller said it last.
    pub fn meaning(&self, shard: &Shard, active: &Rc<Active>, name: &str) -> Option<Target> {
        let known = self.meaning.borrow();
        let known = known.as_ref().filter(|known| *known.name == *name && known.holds(shard, active))?;
        Some(Target {
            upstream: active.upstreams.get(known.index)?.clone(),
            model: known.model.clone(),
            is_qualified: known.is_qualified,
            is_known: known.is_known,
        })
    }

    /// Keeps what a name means of which [`Caller::meaning`] knew nothing. Only for a caller that is known again.
    pub fn learn_meaning(self: &Rc<Caller>, shard: &Shard, active: &Rc<Active>, name: &str, target: &Target) {
        if Rc::strong_count(self) == 1 {
            return;
        }
        *self.meaning.borrow_mut() = Some(Meaning {
            name: name.into(),
            version: shard.managed.borrow().version,
            active: Rc::downgrade(active),
            catalogue: Arc::downgrade(&shard.catalogue.borrow()),
            index: target.upstream.index,
            model: target.model.clone(),
            is_qualified: target.is_qualified,
            is_known: target.is_known,
        });
    }
}
