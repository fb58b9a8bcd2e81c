//! Errors of Bedrock by the names of its exceptions, which are the same in a stream, in a header and in a body.

use crate::dialect::middle::{ErrorKind, ProviderError};
use crate::wire::json::Node;

/// Reads an exception: its name as `:exception-type` or `x-amzn-errortype` has it, and what it says, which is JSON with a
/// `message` or just a text.
pub fn read_error(name: &str, payload: &[u8]) -> ProviderError {
    let mut members = Vec::new();
    let words = match Node::document(payload, &mut members) {
        Ok(document) => message_of(document),
        Err(_) => Some(String::from_utf8_lossy(payload.trim_ascii()).into_owned()),
    };
    let words = words.filter(|words| !words.is_empty());
    of_name(name, words.unwrap_or_else(|| "The provider gave no reason.".to_owned()))
}

/// The error of an answer that holds no message: what it says itself, if anything.
pub(super) fn without_message(body: Node<'_>) -> ProviderError {
    let name = [body.get("__type"), body.get("Output").and_then(|output| output.get("__type"))];
    let name = name.into_iter().flatten().find_map(Node::text).unwrap_or_default();
    let words = message_of(body);
    of_name(&name, words.unwrap_or_else(|| "The provider's answer holds no message.".to_owned()))
}

/// An event that is no JSON.
pub(super) fn no_json() -> ProviderError {
    of_name("", "The provider sent an event that is not JSON.".to_owned())
}

/// A call that nobody could answer.
pub(super) fn nameless_call() -> ProviderError {
    of_name("", "The provider sent a call of a tool without its id or its name.".to_owned())
}

fn message_of(document: Node<'_>) -> Option<String> {
    // The last of these is the model's own word behind an error of its stream.
    let found = ["message", "Message", "originalMessage"].iter().find_map(|key| document.get(key)?.text());
    found.map(|text| text.into_owned())
}

fn of_name(name: &str, message: String) -> ProviderError {
    // `ThrottlingException:http://internal…` in a header, `com.amazon…#ThrottlingException` in a body.
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default();
    let (kind, status) = match &*name.to_ascii_lowercase() {
        "validationexception" if is_overflow(&message) => (ErrorKind::ContextOverflow, 400),
        "validationexception" => (ErrorKind::BadRequest, 400),
        "throttlingexception" | "servicequotaexceededexception" => (ErrorKind::RateLimit, 429),
        "serviceunavailableexception" | "modeltimeoutexception" | "modelnotreadyexception" => {
            (ErrorKind::Overloaded, 503)
        }
        "resourcenotfoundexception" => (ErrorKind::NotFound, 404),
        "accessdeniedexception" => (ErrorKind::Permission, 403),
        "unrecognizedclientexception"
        | "invalidsignatureexception"
        | "incompletesignatureexception"
        | "missingauthenticationtokenexception"
        | "expiredtokenexception" => (ErrorKind::Credential, 401),
        _ => (ErrorKind::Server, 502),
    };
    let code = (!name.is_empty()).then(|| name.to_owned());
    ProviderError { kind, status, message, code, param: None }
}

/// Whether the words, which differ from model to model, say that the request is longer than the context window.
fn is_overflow(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let words = ["too long", "input tokens exceeded", "maximum context length", "too many input tokens"];
    words.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_known_by_their_names_however_these_are_spelled() {
        let check = |name: &str, payload: &str, kind: ErrorKind, status: u16, message: &str| {
            let error = read_error(name, payload.as_bytes());
            assert_eq!((error.kind, error.status, &*error.message), (kind, status, message), "{name}");
        };
        let slow = r#"{"message":"slow \"down\""}"#;
        check("throttlingException", slow, ErrorKind::RateLimit, 429, "slow \"down\"");
        check("ThrottlingException:http://internal/", slow, ErrorKind::RateLimit, 429, "slow \"down\"");
        check("com.amazon#ThrottlingException", slow, ErrorKind::RateLimit, 429, "slow \"down\"");
        check("modelTimeoutException", "{}", ErrorKind::Overloaded, 503, "The provider gave no reason.");
        check("serviceUnavailableException", "busy", ErrorKind::Overloaded, 503, "busy");
        check("validationException", r#"{"message":"bad"}"#, ErrorKind::BadRequest, 400, "bad");
        let long = "Input is too long for requested model.";
        check("validationException", long, ErrorKind::ContextOverflow, 400, long);
        check("internalServerException", "", ErrorKind::Server, 502, "The provider gave no reason.");
        let own = r#"{"originalStatusCode":500,"originalMessage":"model broke"}"#;
        check("modelStreamErrorException", own, ErrorKind::Server, 502, "model broke");
        check("accessDeniedException", "no", ErrorKind::Permission, 403, "no");
        check("ExpiredTokenException", "old", ErrorKind::Credential, 401, "old");
        assert_eq!(read_error("newException", b"x").code.as_deref(), Some("newException"));
    }
}
