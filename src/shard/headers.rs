//! Which headers of a provider's answer reach the client: all but those of its hop, of its host, and of its browsers.

use super::work::Work;
use crate::wire::head::{Field, Known};
use crate::wire::write::HeadWriter;

/// Writes a header of the provider's answer, if it is one that passes.
pub fn pass_header(writer: &mut HeadWriter<'_>, work: &Work, head: &[u8], field: &Field) {
    let name = field.name.of(head);
    if passes(field.known, name) && !work.response.headers.named_by_connection(head, name) {
        writer.header_of(head, field);
    } else if field.known == Known::XRequestId {
        writer.checked_header(b"x-upstream-request-id", field.value.of(head));
    }
}

/// The headers of a provider that reach the client. Its cookies, its host's transport policies and its permissions for
/// browsers are not the gateway's.
fn passes(known: Known, name: &[u8]) -> bool {
    // By the first letter, which most others do not have.
    let is_policy = || match name.first().map(u8::to_ascii_lowercase) {
        Some(b's') => name.eq_ignore_ascii_case(b"strict-transport-security"),
        Some(b'c') => name.eq_ignore_ascii_case(b"clear-site-data"),
        Some(b'n') => name.eq_ignore_ascii_case(b"nel"),
        Some(b'a') => starts_with(name, b"access-control-"),
        _ => false,
    };
    match known {
        Known::Other => !is_policy(),
        Known::SetCookie | Known::AltSvc | Known::XRequestId | Known::Server | Known::XRingwayHops => false,
        _ => !known.is_hop_by_hop(),
    }
}

/// Whether a header tells of limits, under the names that OpenAI's API has for them.
pub fn is_of_rates(name: &[u8]) -> bool {
    starts_with(name, b"x-ratelimit-")
}

fn starts_with(name: &[u8], start: &[u8]) -> bool {
    name.get(..start.len()).is_some_and(|name| name.eq_ignore_ascii_case(start))
}
