//! What a provider's error answer means, whatever its shape: its kind, the status that a client is given, and its words.
//! Judged by the body first, because statuses lie: some providers answer 400 for a bad key and 500 for a bad request.

mod classify;
mod shape;

use super::middle::{ErrorKind, ProviderError};
use crate::base::{Refusal, RefusalKind};

/// Reads an error answer, or an error inside of a stream whose status was a success. `hint` is what the provider says
/// beside the body, such as the error type in a header of AWS (`x-amzn-errortype`), of which what is behind a colon does
/// not count. Never fails: what is no JSON is taken as text.
pub fn read(status: u16, body: &[u8], hint: Option<&str>) -> ProviderError {
    let found = shape::read(body);
    let status = if status >= 400 { status } else { found.status.unwrap_or(0) };
    let hint = hint.map(|hint| hint.split(':').next().unwrap_or(hint).trim().to_owned());
    let kind = classify::kind(status, &found, hint.as_deref());
    let code = found.code.or(found.words.into_iter().next()).or(hint);
    let message = match kind {
        // Its words may show parts of the gateway's key, and tell the client what it cannot change.
        ErrorKind::Credential => "The provider refused the gateway's own credential.".to_owned(),
        _ if found.message.is_empty() => {
            format!("The provider answered with status {status} and no message.")
        }
        _ => found.message,
    };
    ProviderError { kind, status: client_status(kind, status), message, code, param: found.param }
}

/// The gateway's own refusal in the words of a provider's error, for dialects that write only those.
pub fn of_refusal(refusal: &Refusal) -> ProviderError {
    let kind = match (refusal.kind, refusal.status, refusal.code) {
        (_, _, "context_length_exceeded") => ErrorKind::ContextOverflow,
        (_, _, "content_filter") => ErrorKind::ContentFilter,
        (_, _, "insufficient_quota") => ErrorKind::Billing,
        (RefusalKind::NotFound, ..) | (RefusalKind::InvalidRequest, 404, _) => ErrorKind::NotFound,
        (RefusalKind::InvalidRequest, 413, _) => ErrorKind::TooLarge,
        (RefusalKind::InvalidRequest, 408, _) => ErrorKind::Timeout,
        (RefusalKind::InvalidRequest, 403, _) | (RefusalKind::Authentication, ..) => ErrorKind::Permission,
        (RefusalKind::InvalidRequest, ..) => ErrorKind::BadRequest,
        (RefusalKind::RateLimit, ..) => ErrorKind::RateLimit,
        (RefusalKind::Upstream | RefusalKind::Server, 504, _) => ErrorKind::Timeout,
        (RefusalKind::Upstream | RefusalKind::Server, 503, _) => ErrorKind::Overloaded,
        (RefusalKind::Upstream | RefusalKind::Server, ..) => ErrorKind::Server,
    };
    ProviderError {
        kind,
        status: refusal.status,
        message: refusal.message.clone().into_owned(),
        code: Some(refusal.provider_code.as_deref().unwrap_or(refusal.code).to_owned()),
        param: refusal.param.clone(),
    }
}

/// A provider's error as the refusal that the client gets; [`of_refusal`] gives the same kind again. What a reader of
/// streams or of whole answers found has the provider's status, which need not be one for clients.
pub fn to_refusal(error: &ProviderError) -> Refusal {
    let (kind, code) = match error.kind {
        ErrorKind::BadRequest => (RefusalKind::InvalidRequest, "provider_refused"),
        ErrorKind::ContextOverflow => (RefusalKind::InvalidRequest, "context_length_exceeded"),
        ErrorKind::ContentFilter => (RefusalKind::InvalidRequest, "content_filter"),
        ErrorKind::TooLarge => (RefusalKind::InvalidRequest, "request_too_large"),
        ErrorKind::Permission => (RefusalKind::InvalidRequest, "permission_denied"),
        ErrorKind::NotFound => (RefusalKind::NotFound, "model_not_found"),
        ErrorKind::Billing => (RefusalKind::RateLimit, "insufficient_quota"),
        ErrorKind::RateLimit => (RefusalKind::RateLimit, "rate_limit_exceeded"),
        ErrorKind::Credential => (RefusalKind::Upstream, "upstream_auth_error"),
        ErrorKind::Overloaded => (RefusalKind::Upstream, "overloaded"),
        ErrorKind::Timeout => (RefusalKind::Upstream, "upstream_timeout"),
        ErrorKind::Server => (RefusalKind::Upstream, "upstream_error"),
    };
    let status = client_status(error.kind, error.status);
    let mut refusal = Refusal::new(status, kind, code, error.message.clone());
    refusal.provider_code = error.code.as_deref().map(Into::into);
    refusal.param.clone_from(&error.param);
    refusal
}

/// The `type` of OpenAI's error object. A permission that is refused with 401 is the client's own key.
pub fn openai_type(error: &ProviderError) -> &'static str {
    match error.kind {
        ErrorKind::BadRequest
        | ErrorKind::ContextOverflow
        | ErrorKind::ContentFilter
        | ErrorKind::NotFound
        | ErrorKind::TooLarge => "invalid_request_error",
        ErrorKind::Permission if error.status == 401 => "authentication_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::Billing => "insufficient_quota",
        ErrorKind::RateLimit => "rate_limit_error",
        ErrorKind::Server if error.status == 500 => "server_error",
        ErrorKind::Credential | ErrorKind::Overloaded | ErrorKind::Timeout | ErrorKind::Server => {
            "upstream_error"
        }
    }
}

/// The `code` of OpenAI's error object. Where OpenAI has a word that clients compare with, it is that one; else the
/// provider's own.
pub fn openai_code(error: &ProviderError) -> Option<&str> {
    match error.kind {
        ErrorKind::ContextOverflow => Some("context_length_exceeded"),
        ErrorKind::ContentFilter => Some("content_filter"),
        ErrorKind::Billing => Some("insufficient_quota"),
        ErrorKind::Credential => Some("upstream_credential"),
        kind => error.code.as_deref().or(usual_code(kind)).filter(|code| *code != openai_type(error)),
    }
}

fn usual_code(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Permission => Some("permission_denied"),
        ErrorKind::NotFound => Some("model_not_found"),
        ErrorKind::TooLarge => Some("request_too_large"),
        ErrorKind::RateLimit => Some("rate_limit_exceeded"),
        ErrorKind::Overloaded => Some("overloaded"),
        ErrorKind::Timeout => Some("upstream_timeout"),
        ErrorKind::Server => Some("upstream_error"),
        _ => None,
    }
}

/// The status for the client. A fault of the gateway's own key is the gateway's: never 401.
fn client_status(kind: ErrorKind, status: u16) -> u16 {
    match kind {
        // 401 to 404, 408, 413 and 429 say something else than that the request is wrong.
        ErrorKind::BadRequest => {
            if matches!(status, 405 | 409 | 415 | 422) {
                status
            } else {
                400
            }
        }
        ErrorKind::ContextOverflow | ErrorKind::ContentFilter => 400,
        ErrorKind::Permission => 403,
        ErrorKind::NotFound => 404,
        ErrorKind::TooLarge => 413,
        ErrorKind::Billing | ErrorKind::RateLimit => 429,
        ErrorKind::Credential | ErrorKind::Server => 502,
        ErrorKind::Overloaded => 503,
        ErrorKind::Timeout => 504,
    }
}

#[cfg(test)]
mod tests;
