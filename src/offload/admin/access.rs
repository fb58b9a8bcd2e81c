//! What whoever asks may do here.

use std::rc::Rc;

use serde_json::json;

use super::fields::Asked;
use super::{Desk, Reply};
use crate::base::Refusal;
use crate::policy::grant::AdminAccess;

pub async fn access(_desk: Rc<Desk>, asked: Asked) -> Result<Reply, Refusal> {
    asked.query(&[])?.end()?;
    let who = &asked.who;
    let is_whole = who.scope.path.is_root();
    Reply::ok(json!({
        "auth_method": who.actor.kind.name(),
        "auth_key_id": if who.actor.id.is_empty() { None } else { Some(&who.actor.id) },
        "scope": if is_whole { "whole" } else { "subtree" },
        "user_path": who.scope.path.as_str(),
        "access": if who.scope.access == AdminAccess::Write { "write" } else { "read" },
    }))
}
