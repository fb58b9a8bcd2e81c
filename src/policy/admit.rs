//! Who may call: the key that a client shows, and whether it is one of ours.

use ring::digest;

use crate::base::{Refusal, RefusalKind};
use crate::config::Keys;
use crate::wire::head::{Headers, Known};

/// The key in the head, from the first of the headers that clients use: `Authorization: Bearer`, `x-api-key`, `api-key`,
/// `x-goog-api-key`.
pub fn presented_key<'h>(head: &'h [u8], headers: &Headers) -> Option<&'h [u8]> {
    if let Some(value) = headers.find(Known::Authorization) {
        let value = value.of(head);
        return match value.split_at_checked(7) {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => Some(key.trim_ascii()),
            _ => Some(value),
        };
    }
    let of = |known: Known| headers.find(known).map(|value| value.of(head));
    of(Known::XApiKey).or_else(|| of(Known::ApiKey)).or_else(|| of(Known::XGoogApiKey))
}

/// Who the caller is to what is kept for it: a hash of the key that it shows, which cannot be turned back into the key.
pub fn owner(head: &[u8], headers: &Headers) -> [u8; 32] {
    let presented = presented_key(head, headers).unwrap_or_default();
    let mut owner = [0; 32];
    owner.copy_from_slice(digest::digest(&digest::SHA256, presented).as_ref());
    owner
}

/// Lets a caller in, or says what is wrong with its key. A gateway without keys is open.
pub fn admit(keys: &Keys, presented: Option<&[u8]>) -> Result<(), Refusal> {
    if keys.is_open() {
        return Ok(());
    }
    match presented {
        Some(key) if keys.admits(key) => Ok(()),
        Some(_) => Err(refusal("invalid_api_key", "The API key is not valid here.")),
        None => {
            Err(refusal("missing_api_key", "An API key is needed: send it as `Authorization: Bearer KEY`."))
        }
    }
}

fn refusal(code: &'static str, message: &'static str) -> Refusal {
    Refusal::new(401, RefusalKind::Authentication, code, message)
}
