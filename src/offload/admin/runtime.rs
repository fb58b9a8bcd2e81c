//! The running process: what its settings came to, and reading the store again.

use std::rc::Rc;

use serde_json::json;

use super::fields::Asked;
use super::{Desk, Reply};
use crate::base::Refusal;
use crate::policy::grant::AdminAccess;

/// What the settings came to, secrets masked: the text that `ringway check` prints.
pub async fn config(desk: Rc<Desk>, asked: Asked) -> Result<Reply, Refusal> {
    asked.query(&[])?.end()?;
    asked.who.scope.check_global(AdminAccess::Read)?;
    let (compiled, managed) = (desk.manager.compiled(), desk.manager.current());
    let plan: Vec<&str> = compiled.snapshot.plan.lines().collect();
    Reply::ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "settings_generation": compiled.generation,
        "managed_version": managed.version,
        "store": desk.manager.shelf.engine(),
        "store_is_read": managed.is_settled,
        "plan": plan,
    }))
}

/// Has the store read again, for what was written there by hand.
pub async fn refresh(desk: Rc<Desk>, asked: Asked) -> Result<Reply, Refusal> {
    asked.fields()?.end()?;
    asked.who.scope.check_global(AdminAccess::Write)?;
    desk.manager.reload();
    Ok(Reply { status: 202, json: json!({"status": "refreshing"}) })
}
