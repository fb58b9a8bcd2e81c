//! Who may administer what: a scope, and the rule that nobody grants more than he has.

use super::key::{Key, KeyFields};
use crate::base::{Refusal, RefusalKind};
use crate::identity::{ModelRule, UserPath};

/// What somebody may do in the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminScope {
    /// This place and all below it; `/` is everything.
    pub path: UserPath,
    pub access: AdminAccess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdminAccess {
    Read,
    Write,
}

impl AdminScope {
    /// Everything: the scope of a master key.
    pub fn whole() -> AdminScope {
        AdminScope { path: UserPath::root(), access: AdminAccess::Write }
    }

    /// Whether it may look at, or change, what belongs to this place.
    pub fn check(&self, place: &UserPath, access: AdminAccess) -> Result<(), Refusal> {
        if !place.is_within(&self.path) {
            let what = format!("{place} is outside of {}, which this key administers.", self.path);
            return Err(Refusal::new(403, RefusalKind::InvalidRequest, "user_path_out_of_scope", what));
        }
        if access > self.access {
            return Err(denied("This key may look and not change."));
        }
        Ok(())
    }

    /// The same for what belongs to no place, such as a provider's limit or a global workflow.
    pub fn check_global(&self, access: AdminAccess) -> Result<(), Refusal> {
        self.check(&UserPath::root(), access)
    }
}

/// Whether somebody with this scope may make a key with these fields. `own` is the granter's own key, where it has one:
/// what may be granted of models and endpoints is what it may use itself.
pub fn check(scope: &AdminScope, own: Option<&Key>, fields: &KeyFields) -> Result<(), Refusal> {
    // A key without a path takes its path from a header, which is any path.
    let place = fields.path.clone().unwrap_or_else(UserPath::root);
    scope.check(&place, AdminAccess::Write)?;
    if let Some(admin) = &fields.admin {
        scope.check(&admin.path, admin.access)?;
    }
    let Some(own) = own else { return Ok(()) };
    let covered = |rule: &ModelRule| own.models().iter().any(|granted| granted.covers(rule));
    let all_models = own.models().is_empty();
    if !all_models && (fields.models.is_empty() || !fields.models.iter().all(covered)) {
        return Err(denied("A key cannot grant models that it may not use itself."));
    }
    let has = |name: &String| own.endpoints().iter().any(|granted| **granted == **name);
    let all_endpoints = own.endpoints().is_empty();
    if !all_endpoints && (fields.endpoints.is_empty() || !fields.endpoints.iter().all(has)) {
        return Err(denied("A key cannot grant endpoints that it may not use itself."));
    }
    Ok(())
}

fn denied(what: &'static str) -> Refusal {
    Refusal::new(403, RefusalKind::InvalidRequest, "admin_scope_denied", what)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::key::{KeyId, Proof};
    use super::*;
    use crate::identity::Calendar;

    fn path(text: &str) -> UserPath {
        UserPath::new(text).unwrap()
    }

    fn scope(text: &str, access: AdminAccess) -> AdminScope {
        AdminScope { path: path(text), access }
    }

    #[test]
    fn a_scope_reaches_its_subtree_and_no_further() {
        let team = scope("/team", AdminAccess::Write);
        let code = |result: Result<(), Refusal>| result.err().map(|refusal| refusal.code);
        assert_eq!(code(team.check(&path("/team/a"), AdminAccess::Write)), None);
        assert_eq!(code(team.check(&path("/"), AdminAccess::Read)), Some("user_path_out_of_scope"));
        assert_eq!(code(team.check_global(AdminAccess::Read)), Some("user_path_out_of_scope"));
        let reader = scope("/", AdminAccess::Read);
        assert_eq!(code(reader.check(&path("/x"), AdminAccess::Read)), None);
        assert_eq!(code(reader.check(&path("/x"), AdminAccess::Write)), Some("admin_scope_denied"));
        assert_eq!(code(AdminScope::whole().check_global(AdminAccess::Write)), None);
    }

    #[test]
    fn nobody_grants_more_than_he_has() {
        let rules = |texts: &[&str]| texts.iter().filter_map(|text| ModelRule::new(text)).collect::<Vec<_>>();
        let fields =
            |at: Option<&str>, admin: Option<AdminScope>, models: &[&str], endpoints: &[&str]| KeyFields {
                path: at.map(path),
                admin,
                models: rules(models),
                endpoints: endpoints.iter().map(|name| (*name).to_owned()).collect(),
                ..KeyFields::default()
            };
        let id = KeyId::from_random([1; 16]);
        let own = fields(Some("/team"), None, &["a/*", "m"], &["chat"]);
        let own = Key::new(id, Proof::of_whole(b"x"), own, &Arc::new(Calendar::default()), None);
        let team = scope("/team", AdminAccess::Write);
        let cases = [
            (fields(Some("/team/x"), None, &["a/b"], &["chat"]), None),
            (fields(Some("/team/x"), None, &["b/m", "a/*"], &["chat"]), None),
            (fields(None, None, &["a/b"], &["chat"]), Some("user_path_out_of_scope")),
            (fields(Some("/other"), None, &["a/b"], &["chat"]), Some("user_path_out_of_scope")),
            (fields(Some("/team"), None, &[], &["chat"]), Some("admin_scope_denied")),
            (fields(Some("/team"), None, &["*"], &["chat"]), Some("admin_scope_denied")),
            (fields(Some("/team"), None, &["m"], &[]), Some("admin_scope_denied")),
            (fields(Some("/team"), None, &["m"], &["chat", "embeddings"]), Some("admin_scope_denied")),
            (fields(Some("/team"), Some(team.clone()), &["m"], &["chat"]), None),
            (
                fields(Some("/team"), Some(AdminScope::whole()), &["m"], &["chat"]),
                Some("user_path_out_of_scope"),
            ),
        ];
        for (fields, want) in cases {
            let got = check(&team, Some(&own), &fields).err().map(|refusal| refusal.code);
            assert_eq!(got, want, "{fields:?}");
        }
        assert!(
            check(&AdminScope::whole(), None, &fields(None, Some(AdminScope::whole()), &[], &[])).is_ok()
        );
        let reader = scope("/", AdminAccess::Read);
        assert!(check(&reader, None, &fields(Some("/x"), None, &[], &[])).is_err());
    }
}
