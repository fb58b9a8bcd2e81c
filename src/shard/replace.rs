//! The refusal that takes the place of a provider's answer: of one that is the gateway's fault, that cannot be read, or
//! that is an error in another shape than the API's. Never shows the gateway's own key.

use super::attempt::Answered;
use super::call::Call;
use super::headers::pass_header;
use super::work::Work;
use crate::base::fault::FaultKind;
use crate::base::limits::ERROR_TEXT_BYTES_MAX;
use crate::base::{Refusal, RefusalKind};
use crate::dialect::errors;
use crate::wire::chunked::Chunked;
use crate::wire::head::Known;
use crate::wire::response::ResponseBody;
use crate::wire::write::HeadWriter;

/// The refusal that a client gets instead of the provider's answer: when the gateway's own key was refused, when the
/// body cannot be read, and when an error is not in the API's shape.
pub fn replacement(call: &Call, work: &Work, answered: &Answered) -> Option<Refusal> {
    if call.is_passthrough {
        return None;
    }
    let response = &work.response;
    let head = &answered.buffer.filled()[..answered.head_len];
    let value = |known: Known| response.headers.find(known).map_or(&b""[..], |span| span.of(head));
    let mut refusal = if response.status == 401 {
        let message = "The provider does not accept the gateway's key.";
        Refusal::new(502, RefusalKind::Upstream, "upstream_auth_error", message)
    } else if !matches!(value(Known::ContentEncoding), b"" | b"identity") {
        Refusal::from_fault(FaultKind::ContentEncoded.fatal())
    } else if response.status >= 400 && call.is_translated() {
        let hint = response.headers.get(head, "x-amzn-errortype").map(|span| span.of(head));
        let hint = hint.map(String::from_utf8_lossy);
        let mut error = errors::read(response.status, &held_body(work, answered), hint.as_deref());
        mask_keys(&mut error.message, call, answered);
        errors::to_refusal(&error)
    } else if response.status >= 400 && !is_json(value(Known::ContentType)) {
        let text = error_text(call, work, answered);
        Refusal::new(response.status, RefusalKind::Upstream, "upstream_error", text)
    } else {
        return None;
    };
    let has_tried = answered.attempts > 1;
    refusal.was_retried = has_tried;
    let mut writer = HeadWriter::continuing(&mut refusal.header_lines);
    let of_body = [Known::ContentType, Known::ContentEncoding, Known::Date, Known::WwwAuthenticate];
    let kept = response.headers.fields.iter().filter(|field| !of_body.contains(&field.known));
    // Having tried already, the gateway has a word of its own on that.
    let kept = kept.filter(|field| !(has_tried && field.known == Known::XShouldRetry));
    kept.for_each(|field| pass_header(&mut writer, work, head, field));
    Some(refusal)
}

fn is_json(content_type: &[u8]) -> bool {
    content_type.to_ascii_lowercase().windows(4).any(|part| part == b"json")
}

/// The body of an answer, as far as it is here.
pub fn held_body(work: &Work, answered: &Answered) -> Vec<u8> {
    let rest = &answered.buffer.filled()[answered.head_len..];
    let mut spans = Vec::new();
    match work.response.body {
        ResponseBody::Chunked => {
            Chunked::default().step(rest, &mut spans);
            spans.iter().flat_map(|span| span.of(rest)).copied().collect()
        }
        _ => rest.to_vec(),
    }
}

/// What a provider said in another shape than JSON, as far as it is here.
fn error_text(call: &Call, work: &Work, answered: &Answered) -> String {
    let mut text = String::from_utf8_lossy(&held_body(work, answered)).trim().to_owned();
    mask_keys(&mut text, call, answered);
    let mut length = text.len().min(ERROR_TEXT_BYTES_MAX);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    text.truncate(length);
    let status = work.response.status;
    if text.is_empty() { format!("The provider answered with status {status}.") } else { text }
}

/// A page that shows the request it got would show the gateway's key.
fn mask_keys(text: &mut String, call: &Call, answered: &Answered) {
    let credentials = &call.target.upstream.provider.credentials;
    let token = answered.token.as_ref().map(|token| &token.text);
    for secret in credentials.iter().flat_map(|credential| &credential.secrets).chain(token) {
        mask(text, secret.reveal());
    }
}

/// Takes the key out of a text, and the part of it with which a text ends of which the rest is not here yet.
fn mask(text: &mut String, key: &str) {
    if key.is_empty() {
        return;
    }
    *text = text.replace(key, STARS);
    let is_end = |&count: &usize| key.is_char_boundary(count) && text.ends_with(&key[..count]);
    if let Some(count) = (KEY_PART_BYTES_MIN..key.len()).rev().find(is_end) {
        text.truncate(text.len() - count);
        text.push_str(STARS);
    }
}

const STARS: &str = "****";
/// Fewer bytes of a key are as good as any others.
const KEY_PART_BYTES_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leaves_a_text_whole_and_in_part() {
        for (text, want) in [
            ("no key", "no key"),
            ("key sk-secret, twice sk-secret", "key ****, twice ****"),
            ("sk-secretsk-secret", "********"),
            ("cut in sk-secre", "cut in ****"),
            ("cut in sk-s", "cut in ****"),
            ("ends in sk-", "ends in sk-"),
            ("sk-secre stands before", "sk-secre stands before"),
        ] {
            let mut masked = text.to_owned();
            mask(&mut masked, "sk-secret");
            assert_eq!(masked, want);
            mask(&mut masked, "");
            assert_eq!(masked, want, "no key hides nothing");
        }
    }
}
