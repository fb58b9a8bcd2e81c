//! What a caller's requests for one model stand on: what they are held against, follow and cost. Found out for the first of
//! them and kept for those that follow, for as long as the rules hold under which it was found. What it is about is
//! compared by its place in memory first: texts that are equal lie elsewhere, and to fetch them takes longer than all the rest.

use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::Shard;
use super::active::Upstream;
use super::caller::Caller;
use super::entry;
use super::route::Target;
use crate::base::Refusal;
use crate::identity::{Features, Workflow};
use crate::ledger::price::Price;
use crate::offload::Managed;
use crate::policy::access::Asked;
use crate::policy::hold::Applicable;

/// That a caller may use a model, and what its requests for it are held against, follow and cost.
pub struct Standing {
    /// Of the rules that say so.
    version: u64,
    upstream: Weak<Upstream>,
    model: Rc<str>,
    is_qualified: bool,
    alias: Option<Rc<str>>,
    /// `None` for nothing.
    pub applicable: Option<Applicable>,
    pub workflow: Arc<Workflow>,
    pub features: Features,
    pub price: Option<Rc<Price>>,
}

impl Standing {
    fn is_of(&self, version: u64, target: &Target, alias: Option<&Rc<str>>) -> bool {
        self.version == version
            && self.upstream.as_ptr() == Rc::as_ptr(&target.upstream)
            && self.is_qualified == target.is_qualified
            && is_same(&self.model, &target.model)
            && is_same_or_none(self.alias.as_ref(), alias)
    }
}

/// Whether both say the same.
fn is_same(one: &Rc<str>, other: &Rc<str>) -> bool {
    Rc::ptr_eq(one, other) || **one == **other
}

/// Whether both say the same, or nothing.
pub fn is_same_or_none(one: Option<&Rc<str>>, other: Option<&Rc<str>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => is_same(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

impl Caller {
    /// What a request for this model stands on. 403 where the caller may not use the model. `alias` is the name that it was
    /// asked for by, where that is another one.
    pub fn standing(
        &self,
        shard: &Shard,
        managed: &Managed,
        target: &Target,
        alias: Option<&Rc<str>>,
    ) -> Result<Rc<Standing>, Refusal> {
        let mut kept = self.standing.borrow_mut();
        if let Some(known) = kept.as_ref().filter(|known| known.is_of(managed.version, target, alias)) {
            return Ok(known.clone());
        }
        let (provider, model) = (&*target.upstream.provider, &*target.model);
        let asked = Asked { provider: &provider.name, model, alias: alias.map(|alias| &**alias) };
        let workflows = &managed.workflows;
        let found = || workflows.find(&self.path(), &provider.name, model);
        let workflow = workflows.only().unwrap_or_else(found);
        let standing = Rc::new(Standing {
            version: managed.version,
            upstream: Rc::downgrade(&target.upstream),
            model: target.model.clone(),
            is_qualified: target.is_qualified,
            alias: alias.cloned(),
            applicable: self.accounts(managed, asked)?,
            workflow: workflow.clone(),
            features: workflows.features(workflow),
            price: entry::price_of(shard, provider, model, None),
        });
        *kept = Some(standing.clone());
        Ok(standing)
    }
}
