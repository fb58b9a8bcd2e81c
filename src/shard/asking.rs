//! The path and the query of a request about files or batches, as its provider has them.

use super::call::Call;
use super::collection::{CURSORS, Collection, Reads};
use crate::dialect::batches::{self, Api};
use crate::dialect::endpoint::Endpoint;
use crate::provider::ids;
use crate::wire::path::{percent_decoded, percent_encode};

/// Writes the path and the query of the request to the provider.
pub fn write_target(call: &Call, collection: &Collection, query: &[u8], out: &mut Vec<u8>) {
    let api = Api::of(call.egress).filter(|_| call.egress != call.endpoint);
    let provider = &call.target.upstream.provider;
    if let (Reads::Batch(Api::Operations, _), None, Some(route)) =
        (collection.reads, &collection.id, provider.route(Endpoint::GenerateBatch))
    {
        return route.write(&call.target.model, out);
    }
    let route = provider.route(call.egress).map_or("", |route| &route.target);
    let (path, own_query) = route.split_once('?').unwrap_or((route, ""));
    out.extend_from_slice(path.as_bytes());
    if let Some(id) = &collection.id {
        out.push(b'/');
        let id = if api.is_some() { batches::own_id(id).1 } else { id };
        percent_encode(id.as_bytes(), out);
        out.extend_from_slice(match collection.reads {
            Reads::Results(Api::Operations | Api::Jobs, _) => b"",
            Reads::Results(..) => b"/results",
            Reads::Cancelled(_) => b":cancel",
            Reads::Batch(Api::Pages, _) if collection.action == b"/cancel" => b":cancel",
            _ => &collection.action,
        });
    }
    let mut mark = b'?';
    let mut add = |pair: &[u8]| {
        if !pair.is_empty() {
            out.push(std::mem::replace(&mut mark, b'&'));
            out.extend_from_slice(pair);
        }
    };
    own_query.as_bytes().split(|&b| b == b'&').for_each(&mut add);
    if let Reads::Results(Api::Jobs, _) = collection.reads {
        add(b"inline=true");
    }
    for pair in query.split(|&b| b == b'&') {
        add(&own_pair(api, pair));
    }
}

/// A parameter of the query as the provider has it; empty where it has no such thing.
fn own_pair(api: Option<Api>, pair: &[u8]) -> Vec<u8> {
    let (name, value) = pair.split_at(memchr::memchr(b'=', pair).unwrap_or(pair.len()));
    let is_cursor = CURSORS.iter().any(|cursor| cursor.as_bytes() == name);
    match api {
        _ if name == b"provider" || name == b"key" => Vec::new(),
        None if !is_cursor => pair.to_vec(),
        Some(Api::Operations) if name == b"limit" => [b"pageSize", value].concat(),
        Some(Api::Jobs) if name == b"limit" => [b"page_size", value].concat(),
        Some(_) if name == b"limit" => pair.to_vec(),
        Some(_) if !is_cursor => Vec::new(),
        _ => {
            let text = percent_decoded(value.strip_prefix(b"=").unwrap_or(value));
            let text = String::from_utf8_lossy(&text).into_owned();
            let own = ids::split(&text).0;
            let (name, own) =
                if api.is_some() { (&b"after_id"[..], batches::own_id(own).1) } else { (name, own) };
            let mut named = [name, b"="].concat();
            percent_encode(own.as_bytes(), &mut named);
            named
        }
    }
}
