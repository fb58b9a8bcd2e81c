//! Questions for the count of a request's tokens, where the provider has no such endpoint: estimated here. A provider that has
//! it is asked.

use super::body::Body;
use super::client::Client;
use super::exchange::Stop;
use super::route::Asked;
use crate::dialect::endpoint::{Endpoint, Grammar};
use crate::dialect::estimate;
use crate::provider::Provider;
use crate::wire::json::Node;

/// The header line of an answer that is an estimate.
pub const HEADER: &[u8] = b"x-ringway-estimated: true\r\n";

/// Ends the exchange with an estimate, where the request asks for a count that this provider cannot give.
pub fn answer_here(
    provider: &Provider,
    asked: Asked,
    endpoint: Endpoint,
    client: &Client,
    body: &Body,
) -> Result<(), Stop> {
    let input = &client.input;
    let path = if let Asked::Api(Endpoint::Other, rest) = asked { rest.of(input.filled()) } else { b"" };
    estimated(provider, endpoint, path, body.held(input))
        .map_or(Ok(()), |answer| Err(Stop::Estimated(answer)))
}

/// The answer to a question for a count that this provider cannot answer; `None` for all other requests. `path` stands
/// behind `/v1`, for endpoints that have no name; the body was scanned, unless it is empty.
fn estimated(provider: &Provider, endpoint: Endpoint, path: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let grammar = match endpoint.counted() {
        Some(_) if provider.route(endpoint).is_some() => return None,
        Some(grammar) => grammar,
        // The path has no name of its own: where the provider speaks Responses it passes like any other.
        None if path == b"/responses/input_tokens" && provider.route(Endpoint::Responses).is_none() => {
            Grammar::Responses
        }
        None => return None,
    };
    let is_object = body.trim_ascii().first() == Some(&b'{');
    let count = if is_object { estimate::input_tokens(Node::scanned(body)) } else { 0 };
    estimate::answer(grammar, count).map(String::into_bytes)
}
