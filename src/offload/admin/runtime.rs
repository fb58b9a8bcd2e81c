//! The running process: what its settings came to, and reading the store again.

use std::rc::Rc;

use serde_json::json;

use super::fields::Asked;
use super::view;
use super::{Desk, Reply};
use crate::base::Refusal;
use crate::policy::grant::AdminAccess;

/// What the settings came to, secrets masked: the text that `ringway check` prints.
pub async fn config(desk: Rc<Desk>, asked: Asked) -> Result<Reply, Refusal> {
    asked.query(&[])?.end()?;
    asked.who.scope.check_global(AdminAccess::Read)?;
    let (compiled, managed) = (desk.manager.compiled(), desk.manager.current());
    let list = desk.manager.price_list();
    let fetched_ms = list.fetched_ms.and_then(|ms| i64::try_from(ms).ok());
    let prices = json!({
        "url": list.url,
        "date": list.date,
        "fetched_at": fetched_ms.map_or(serde_json::Value::Null, view::time),
        "last_error": list.trouble,
    });
    let plan: Vec<&str> = compiled.snapshot.plan.lines().collect();
    Reply::ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "settings_generation": compiled.generation,
        "managed_version": managed.version,
        "store": desk.manager.shelf.engine(),
        "store_is_read": managed.is_settled,
        "price_list": prices,
        "plan": plan,
    }))
}

/// Has the store read again, for what was written there by hand, and the price list fetched.
pub async fn refresh(desk: Rc<Desk>, asked: Asked) -> Result<Reply, Refusal> {
    asked.fields()?.end()?;
    asked.who.scope.check_global(AdminAccess::Write)?;
    desk.manager.reload();
    desk.manager.prices_due.notify_one();
    Ok(Reply { status: 202, json: json!({"status": "refreshing"}), events: None })
}
