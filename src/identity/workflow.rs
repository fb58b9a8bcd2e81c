//! Workflows: which features apply to which requests, as they are defined. A version never changes.

use super::path::UserPath;

/// One version of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workflow {
    /// Unique over all versions of all scopes.
    pub id: Box<str>,
    pub scope: Scope,
    /// Counts from 1 within its scope.
    pub version: u32,
    pub name: Box<str>,
    pub description: Box<str>,
    pub features: Features,
    /// Guardrails by name, each with the step at which it runs; those of one step run together.
    pub guardrails: Vec<(Box<str>, u32)>,
}

/// Which requests a workflow is for. What is not named may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// A provider's instance.
    pub provider: Option<Box<str>>,
    /// A model of that provider; never without one.
    pub model: Option<Box<str>>,
    /// This place and all below it.
    pub path: Option<UserPath>,
}

/// What is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    pub cache: bool,
    pub audit: bool,
    pub usage: bool,
    pub budget: bool,
    pub guardrails: bool,
    pub failover: bool,
}

impl Scope {
    /// A model without its provider is no scope.
    pub fn is_good(&self) -> bool {
        self.provider.is_some() || self.model.is_none()
    }
}

impl Features {
    pub const ALL: Features =
        Features { cache: true, audit: true, usage: true, budget: true, guardrails: true, failover: true };

    /// On where both are on.
    pub fn and(self, other: Features) -> Features {
        Features {
            cache: self.cache && other.cache,
            audit: self.audit && other.audit,
            usage: self.usage && other.usage,
            budget: self.budget && other.budget,
            guardrails: self.guardrails && other.guardrails,
            failover: self.failover && other.failover,
        }
    }

    /// Switches a feature by its name; false when there is none of that name.
    pub fn set(&mut self, name: &str, is_on: bool) -> bool {
        let feature = match name {
            "cache" => &mut self.cache,
            "audit" => &mut self.audit,
            "usage" => &mut self.usage,
            "budget" => &mut self.budget,
            "guardrails" => &mut self.guardrails,
            "failover" => &mut self.failover,
            _ => return false,
        };
        *feature = is_on;
        true
    }
}
