//! Errors of the Responses API: the kind of one that a provider reports, and the words for one that a client gets.

use crate::dialect::middle::{ErrorKind, ProviderError};
use crate::wire::json::{self, Node};

/// Appends the error envelope of OpenAI's APIs. It has no place for the request's id, which goes into a header.
pub fn write_error(error: &ProviderError, _request_id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"error\":{\"message\":");
    json::write_string(&error.message, out);
    out.extend_from_slice(b",\"type\":");
    json::write_string(type_of(error), out);
    out.extend_from_slice(b",\"param\":");
    write_nullable(error.param.as_deref(), out);
    out.extend_from_slice(b",\"code\":");
    write_nullable(Some(envelope_code(error)), out);
    out.extend_from_slice(b"}}");
}

/// A JSON string, or null.
pub fn write_nullable(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => json::write_string(text, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// A permission that is refused with 401 is the client's own key.
fn type_of(error: &ProviderError) -> &'static str {
    match error.kind {
        ErrorKind::BadRequest | ErrorKind::ContextOverflow | ErrorKind::ContentFilter => {
            "invalid_request_error"
        }
        ErrorKind::TooLarge => "invalid_request_error",
        // The client's own key is fine.
        ErrorKind::Credential | ErrorKind::Server => "upstream_error",
        ErrorKind::Permission if error.status == 401 => "authentication_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::Billing => "insufficient_quota",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::RateLimit => "rate_limit_error",
        ErrorKind::Overloaded | ErrorKind::Timeout => "server_error",
    }
}

/// The code of a kind that clients act upon has OpenAI's word for it, whatever the provider calls it.
fn envelope_code(error: &ProviderError) -> &str {
    match (well_known_code(error.kind), &error.code) {
        (Some(code), _) => code,
        (None, Some(code)) => code,
        (None, None) => match error.kind {
            ErrorKind::BadRequest => "invalid_request",
            ErrorKind::TooLarge => "request_too_large",
            ErrorKind::Permission => "permission_denied",
            ErrorKind::Timeout => "timeout",
            _ => "upstream_error",
        },
    }
}

fn well_known_code(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::ContextOverflow => Some("context_length_exceeded"),
        ErrorKind::ContentFilter => Some("content_filter"),
        ErrorKind::Billing => Some("insufficient_quota"),
        ErrorKind::NotFound => Some("model_not_found"),
        ErrorKind::RateLimit => Some("rate_limit_exceeded"),
        ErrorKind::Overloaded => Some("server_is_overloaded"),
        ErrorKind::Credential => Some("upstream_error"),
        _ => None,
    }
}

/// The code in the `error` of a response that failed, which is one that clients of the API act on or that the SDKs' types know;
/// and the error's own, where it is another one.
pub fn failed_code(error: &ProviderError) -> (&str, Option<&str>) {
    let own = stream_code(error);
    let is_known = well_known_code(error.kind) == Some(own) || CODES_OF_RESPONSES.contains(&own);
    if is_known { (own, None) } else { ("server_error", Some(own)) }
}

/// The code in an `error` event, and the one of the error behind a response that failed.
pub fn stream_code(error: &ProviderError) -> &str {
    match (well_known_code(error.kind), error.kind, &error.code) {
        (_, ErrorKind::Credential, _) => "server_error",
        (Some(code), ..) => code,
        (None, _, Some(code)) => code,
        (None, ErrorKind::BadRequest | ErrorKind::TooLarge, None) => "invalid_prompt",
        (None, _, None) => "server_error",
    }
}

/// The codes of responses that failed (OpenAI's API reference, `ResponseError`).
const CODES_OF_RESPONSES: [&str; 21] = [
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "data_residency_mismatch",
    "bio_policy",
    "misalignment_policy_violation",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
];

/// Reads an error object: `{code, message}` of a failed response, `{type, code, message, param}` of an event.
pub fn read_error(error: Node<'_>) -> ProviderError {
    let text = |key: &str| error.get(key).and_then(Node::text).map(|text| text.into_owned());
    let message = error.text().map(|text| text.into_owned()).or_else(|| text("message"));
    // The `type` of an event is the word `error`, which says nothing.
    let code = text("code").or_else(|| text("type").filter(|kind| kind != "error"));
    let status = error.get("status").or_else(|| error.get("code"));
    let status = status.and_then(Node::u64);
    let message = message.unwrap_or_else(|| "The provider reported an error without a message.".to_owned());
    let kind = kind_of(code.as_deref().unwrap_or_default(), &message, status);
    ProviderError { kind, status: status_of(kind), message, code, param: text("param") }
}

/// An error that the reader of a stream or of an answer found itself.
pub fn broken_answer(message: &str) -> ProviderError {
    let kind = ErrorKind::Server;
    ProviderError { kind, status: status_of(kind), message: message.to_owned(), code: None, param: None }
}

/// The kind by the code; by the message where the code is one for many things.
fn kind_of(code: &str, message: &str, status: Option<u64>) -> ErrorKind {
    let is_overflow = message.contains("context window") || message.contains("maximum context length");
    match code {
        "context_length_exceeded" => ErrorKind::ContextOverflow,
        _ if is_overflow => ErrorKind::ContextOverflow,
        "rate_limit_exceeded" | "rate_limit_error" => ErrorKind::RateLimit,
        "insufficient_quota" | "billing_hard_limit_reached" | "usage_not_included" => ErrorKind::Billing,
        "content_filter" | "content_policy_violation" | "image_content_policy_violation" | "bio_policy" => {
            ErrorKind::ContentFilter
        }
        "model_not_found" | "not_found_error" | "not_found" => ErrorKind::NotFound,
        "invalid_api_key" | "authentication_error" => ErrorKind::Credential,
        "permission_error" | "permission_denied" => ErrorKind::Permission,
        "server_is_overloaded" | "slow_down" | "overloaded" | "overloaded_error" => ErrorKind::Overloaded,
        "timeout" | "vector_store_timeout" => ErrorKind::Timeout,
        "server_error" | "internal_error" => ErrorKind::Server,
        _ if code.starts_with("invalid") || code.contains("image") => ErrorKind::BadRequest,
        _ => kind_of_status(status),
    }
}

/// The kind by an HTTP status, which some servers give in place of a code.
fn kind_of_status(status: Option<u64>) -> ErrorKind {
    match status {
        Some(401) => ErrorKind::Credential,
        Some(402) => ErrorKind::Billing,
        Some(403) => ErrorKind::Permission,
        Some(404) => ErrorKind::NotFound,
        Some(408 | 504) => ErrorKind::Timeout,
        Some(413) => ErrorKind::TooLarge,
        Some(429) => ErrorKind::RateLimit,
        Some(503 | 529) => ErrorKind::Overloaded,
        Some(400..500) => ErrorKind::BadRequest,
        _ => ErrorKind::Server,
    }
}

fn status_of(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::BadRequest | ErrorKind::ContextOverflow | ErrorKind::ContentFilter => 400,
        ErrorKind::Credential | ErrorKind::Server => 502,
        ErrorKind::Permission => 403,
        ErrorKind::Billing | ErrorKind::RateLimit => 429,
        ErrorKind::NotFound => 404,
        ErrorKind::TooLarge => 413,
        ErrorKind::Overloaded => 503,
        ErrorKind::Timeout => 504,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_of_the_client_is_an_authentication_error() {
        for (status, want) in [(401, "authentication_error"), (403, "permission_error")] {
            let error = ProviderError { kind: ErrorKind::Permission, status, ..broken_answer("no") };
            assert_eq!(type_of(&error), want, "{status}");
        }
    }
}
