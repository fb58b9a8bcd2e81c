//! Writes OpenAI's error object: all four members there, `param` and `code` nullable.

use crate::dialect::errors;
use crate::dialect::middle::ProviderError;
use crate::wire::json;

/// Appends the envelope. The dialect has no place for the request's id in it; clients read it from a header.
pub fn write_error(error: &ProviderError, _request_id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"error\":{\"message\":");
    json::write_string(&error.message, out);
    out.extend_from_slice(b",\"type\":");
    json::write_string(errors::openai_type(error), out);
    out.extend_from_slice(b",\"param\":");
    write_nullable(error.param.as_deref(), out);
    out.extend_from_slice(b",\"code\":");
    write_nullable(errors::openai_code(error), out);
    out.extend_from_slice(b"}}");
}

fn write_nullable(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => json::write_string(text, out),
        None => out.extend_from_slice(b"null"),
    }
}
