//! Errors: Google's `Status` object (google.rpc, <https://google.aip.dev/193>) into the middle and back.

use super::super::middle::{ErrorKind, ProviderError};
use super::spelling::{field, member, member_count, member_text};
use crate::wire::json::{self, Node};

/// The error in an answer or in an event: an object with `error`, alone or as the first element of an array.
pub fn read_error(body: Node<'_>) -> Option<ProviderError> {
    let body = body.items().next().unwrap_or(body);
    let error = body.get("error")?;
    if let Some(message) = error.text() {
        return Some(ProviderError { message: message.into_owned(), ..of_server("") });
    }
    let message = field(error, "message").and_then(Node::text).unwrap_or_default().into_owned();
    let word = field(error, "status").and_then(Node::text).map(String::from);
    let code = field(error, "code").and_then(Node::u64).and_then(|code| u16::try_from(code).ok());
    let reason = field(error, "details")
        .and_then(|details| details.items().find_map(|detail| field(detail, "reason")))
        .and_then(Node::text);
    let kind = kind(word.as_deref().unwrap_or_default(), code, reason.as_deref(), &message);
    let status = code.filter(|code| (400..600).contains(code)).unwrap_or_else(|| usual_status(kind));
    Some(ProviderError { kind, status, message, code: word, param: None })
}

/// An error that the provider did not say but made.
pub(super) fn of_server(message: &str) -> ProviderError {
    let message = message.to_owned();
    ProviderError { kind: ErrorKind::Server, status: 502, message, code: None, param: None }
}

fn kind(word: &str, code: Option<u16>, reason: Option<&str>, message: &str) -> ErrorKind {
    // A refused key is an INVALID_ARGUMENT of status 400; only its details tell.
    if matches!(reason, Some("API_KEY_INVALID")) || message.contains("API key not valid") {
        return ErrorKind::Credential;
    }
    if message.contains("token count") && message.contains("exceeds") {
        return ErrorKind::ContextOverflow;
    }
    match (word, code) {
        ("UNAUTHENTICATED", _) | ("", Some(401)) => ErrorKind::Credential,
        ("PERMISSION_DENIED", _) | ("", Some(403)) => ErrorKind::Permission,
        ("NOT_FOUND", _) | ("", Some(404)) => ErrorKind::NotFound,
        ("RESOURCE_EXHAUSTED", _) | ("", Some(429)) => ErrorKind::RateLimit,
        ("UNAVAILABLE", _) | ("", Some(503)) => ErrorKind::Overloaded,
        ("DEADLINE_EXCEEDED", _) | ("", Some(504)) => ErrorKind::Timeout,
        ("FAILED_PRECONDITION", _) if message.contains("billing") => ErrorKind::Billing,
        (_, Some(402)) => ErrorKind::Billing,
        (_, Some(413)) => ErrorKind::TooLarge,
        ("INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE", _) => ErrorKind::BadRequest,
        ("" | "ALREADY_EXISTS", Some(400..499)) => ErrorKind::BadRequest,
        _ => ErrorKind::Server,
    }
}

/// Appends the error envelope; the request's id stands in it as a `google.rpc.RequestInfo`.
pub fn write_error(error: &ProviderError, request_id: &str, out: &mut Vec<u8>) {
    // The gateway's own key is none of the client's: to it this is a failure of the server.
    let is_ours = error.kind == ErrorKind::Credential && error.status < 500;
    out.extend_from_slice(b"{\"error\":{");
    member_count("code", if is_ours { 502 } else { u64::from(error.status) }, out);
    member_text("message", &error.message, out);
    member_text("status", status_word(error), out);
    if !request_id.is_empty() {
        member("details", out);
        out.extend_from_slice(b"[{\"@type\":\"type.googleapis.com/google.rpc.RequestInfo\",\"requestId\":");
        json::write_string(request_id, out);
        out.extend_from_slice(b"}]");
    }
    out.extend_from_slice(b"}}");
}

/// A permission that is refused with 401 is the client's own key.
fn status_word(error: &ProviderError) -> &'static str {
    match error.kind {
        ErrorKind::BadRequest
        | ErrorKind::ContextOverflow
        | ErrorKind::ContentFilter
        | ErrorKind::TooLarge => "INVALID_ARGUMENT",
        ErrorKind::Permission if error.status == 401 => "UNAUTHENTICATED",
        ErrorKind::Permission => "PERMISSION_DENIED",
        ErrorKind::NotFound => "NOT_FOUND",
        ErrorKind::RateLimit | ErrorKind::Billing => "RESOURCE_EXHAUSTED",
        ErrorKind::Overloaded => "UNAVAILABLE",
        ErrorKind::Timeout => "DEADLINE_EXCEEDED",
        ErrorKind::Credential | ErrorKind::Server => "INTERNAL",
    }
}

/// The status of HTTP for errors that come with none (google/rpc/code.proto).
fn usual_status(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::BadRequest | ErrorKind::ContextOverflow | ErrorKind::ContentFilter => 400,
        ErrorKind::Credential => 401,
        ErrorKind::Billing => 402,
        ErrorKind::Permission => 403,
        ErrorKind::NotFound => 404,
        ErrorKind::TooLarge => 413,
        ErrorKind::RateLimit => 429,
        ErrorKind::Overloaded => 503,
        ErrorKind::Timeout => 504,
        ErrorKind::Server => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_its_kind_whatever_its_wrapping() {
        for (body, kind, status) in [
            (
                r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#,
                ErrorKind::RateLimit,
                429,
            ),
            (r#"[{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]"#, ErrorKind::Overloaded, 503),
            (r#"{"error":{"code":499,"message":"m","status":"CANCELLED"}}"#, ErrorKind::Server, 499),
            (
                r#"{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
                ErrorKind::Credential,
                400,
            ),
            (
                r#"{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8).","status":"INVALID_ARGUMENT"}}"#,
                ErrorKind::ContextOverflow,
                400,
            ),
            (r#"{"error":{"status":"NOT_FOUND"}}"#, ErrorKind::NotFound, 404),
            (r#"{"error":"m"}"#, ErrorKind::Server, 502),
            (r#"{"error":{}}"#, ErrorKind::Server, 500),
        ] {
            let error = read_error(Node::scanned(body.as_bytes())).expect(body);
            assert_eq!((error.kind, error.status), (kind, status), "{body}");
        }
        assert_eq!(read_error(Node::scanned(br#"{"error":null,"candidates":[]}"#)), None);
    }

    #[test]
    fn an_error_is_written_in_googles_words() {
        let error = ProviderError { kind: ErrorKind::RateLimit, status: 429, ..of_server("slow \"down\"") };
        let mut out = Vec::new();
        write_error(&error, "r-1", &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"error": {"code": 429, "message": "slow \"down\"", "status": "RESOURCE_EXHAUSTED",
                "details": [{"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "r-1"}]}})
        );
        out.clear();
        let key = ProviderError { kind: ErrorKind::Permission, status: 401, ..error.clone() };
        assert_eq!((status_word(&key), status_word(&error)), ("UNAUTHENTICATED", "RESOURCE_EXHAUSTED"));
        write_error(&ProviderError { kind: ErrorKind::Credential, status: 401, ..error }, "", &mut out);
        assert!(out.starts_with(br#"{"error":{"code":502,"#) && out.ends_with(br#""status":"INTERNAL"}}"#));
    }
}
