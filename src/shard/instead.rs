//! From a request to a call whose entry is open. Where budgets are used up that name another model, that one is asked in
//! the place of the request's own; where it cannot be asked the budget refuses, as it would without it.

use std::rc::Rc;

use super::Shard;
use super::active::Active;
use super::body::Body;
use super::call::{Call, understand};
use super::client::Client;
use super::entry::{self, Unopened};
use super::exchange::Stop;
use super::route::Asked;
use super::tally::Tally;
use super::work::Work;
use crate::dialect::endpoint::Endpoint;

/// Understands the request and opens its entry.
#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each borrowed on its own")]
pub async fn open(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    head_len: usize,
    asked: Asked,
    body: &mut Body,
) -> Result<Call, Stop> {
    // Reading the request may put it into another dialect, from which there is no way back.
    let original = if shard.managed.borrow().book.names_instead { copy(asked, body) } else { None };
    let call = understand(shard, active, client, work, head_len, asked, body, None).await?;
    tally.names(&call);
    let Unopened { refusal, instead } =
        match entry::open(shard, active, client, work, tally, &call, head_len, body) {
            Ok(()) => return Ok(call),
            Err(unopened) => unopened,
        };
    let (Some(model), Some(original), false) = (instead, original, call.target.model.is_empty()) else {
        return Err(Stop::Refuse { refusal, closes: false });
    };
    *body = original;
    let again = understand(shard, active, client, work, head_len, asked, body, Some(&model));
    let other = match Box::pin(again).await {
        Err(Stop::Gone) => return Err(Stop::Gone),
        Err(_) => return Err(Stop::Refuse { refusal, closes: false }),
        Ok(other) => other,
    };
    match entry::open(shard, active, client, work, tally, &other, head_len, body) {
        Err(_) => Err(Stop::Refuse { refusal, closes: false }),
        Ok(()) => {
            tally.names(&other);
            Ok(other)
        }
    }
}

/// The body once more, where its request names a model and all of it is here.
fn copy(asked: Asked, body: &Body) -> Option<Body> {
    let names_model = match asked {
        Asked::Api(endpoint, _) => endpoint != Endpoint::Other,
        Asked::ApiOfModel(..) => true,
        _ => false,
    };
    match body {
        _ if !names_model => None,
        Body::Held(span) => Some(Body::Held(*span)),
        Body::Decoded(bytes) => Some(Body::Decoded(bytes.clone())),
        Body::None | Body::Streaming(_) => None,
    }
}
