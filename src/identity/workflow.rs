//! Workflows: which features apply to which requests, as they are defined. A version never changes.

use super::path::UserPath;

/// One version of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workflow {
    /// Unique over all versions of all scopes. Empty for what holds where none was defined.
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

    /// Whether a request to this model of this provider is meant, wherever it comes from.
    pub fn is_for(&self, provider: &str, model: &str) -> bool {
        let is = |named: &Option<Box<str>>, is: &str| named.as_deref().is_none_or(|named| named == is);
        is(&self.provider, provider) && is(&self.model, model)
    }

    /// One text for it, the same for the same scope and for no other: no name of a provider and no path has a colon.
    pub fn key(&self) -> String {
        let part = |part: Option<&str>| part.map_or(String::new(), |part| format!(":{part}"));
        let (provider, model) = (self.provider.as_deref(), self.model.as_deref());
        let path = self.path.as_ref().map(UserPath::as_str);
        let kinds = [("provider", provider), ("model", model), ("path", path)];
        let kinds: Vec<&str> =
            kinds.iter().filter(|(_, named)| named.is_some()).map(|(kind, _)| *kind).collect();
        match kinds.is_empty() {
            true => "global".to_owned(),
            false => format!("{}{}{}{}", kinds.join("_"), part(provider), part(model), part(path)),
        }
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

    /// Each with its name.
    pub fn named(self) -> [(&'static str, bool); 6] {
        [
            ("cache", self.cache),
            ("audit", self.audit),
            ("usage", self.usage),
            ("budget", self.budget),
            ("guardrails", self.guardrails),
            ("failover", self.failover),
        ]
    }

    /// Those that can be switched and are not acted on yet.
    pub const WITHOUT_EFFECT: [&str; 3] = ["cache", "guardrails", "failover"];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_one_key() {
        let check = |provider: Option<&str>, model: Option<&str>, path: Option<&str>, want: &str| {
            let path = path.map(|path| UserPath::new(path).unwrap());
            let scope = Scope { provider: provider.map(Into::into), model: model.map(Into::into), path };
            assert_eq!((scope.key().as_str(), scope.is_good()), (want, true));
        };
        check(None, None, None, "global");
        check(None, None, Some("/"), "path:/");
        check(Some("p"), None, None, "provider:p");
        check(Some("p"), None, Some("/t"), "provider_path:p:/t");
        check(Some("p"), Some("m:8b"), None, "provider_model:p:m:8b");
        check(Some("p"), Some("m"), Some("/t/x"), "provider_model_path:p:m:/t/x");
        assert!(!Scope { model: Some("m".into()), ..Scope::default() }.is_good());
    }
}
