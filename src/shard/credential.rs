//! The credential on a request's head: ready-made lines, an access token, or a signature over what is sent. A signature is
//! made for every attempt, at its time; nothing of it is kept or logged.

use super::body::Body;
use super::exchange::Stop;
use crate::base::Refusal;
use crate::offload::Token;
use crate::policy::sigv4::{self, BodyHash};
use crate::provider::{AwsSigning, Credential, Proof, Provider};
use crate::wire::splice::Edits;

/// A credential with what it says of one request.
pub struct Shown<'c> {
    credential: &'c Credential,
    token: Option<&'c Token>,
    /// What signs, the hash of the body, and the second since 1970.
    signed: Option<(&'c AwsSigning, BodyHash, u64)>,
}

impl<'c> Shown<'c> {
    /// The credential for a request with this body, before its edits.
    pub fn new(
        credential: &'c Credential,
        token: Option<&'c Token>,
        edits: &Edits,
        body: &[u8],
        wall_ms: u64,
    ) -> Shown<'c> {
        let signed = match &credential.proof {
            Proof::InHeaders | Proof::Token(_) => None,
            Proof::AwsSigV4(signing) => {
                let mut pieces = Vec::new();
                edits.pieces(body, &mut pieces);
                Some((&**signing, sigv4::body_hash(pieces), wall_ms / 1000))
            }
        };
        Shown { credential, token, signed }
    }

    /// Appends its lines to `head`, in which the first line and all headers stand that a signature has to cover.
    pub fn write(&self, method: &str, target: &[u8], head: &mut Vec<u8>) {
        head.extend_from_slice(self.credential.header_lines.reveal().as_bytes());
        if let Some(token) = self.token {
            head.extend_from_slice(token.header_line.reveal().as_bytes());
        }
        if let Some((signing, body_hash, time_s)) = self.signed {
            let lines = signature_lines(signing, method, target, body_hash, time_s, head);
            head.extend_from_slice(lines.reveal().as_bytes());
        }
    }
}

fn signature_lines(
    signing: &AwsSigning,
    method: &str,
    target: &[u8],
    body_hash: BodyHash,
    time_s: u64,
    head: &[u8],
) -> crate::base::Secret {
    let target = String::from_utf8_lossy(target);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let headers = signed_headers(&String::from_utf8_lossy(head));
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let what = sigv4::Signing {
        method,
        path: if path.is_empty() { "/" } else { path },
        query,
        headers: &headers,
        body_hash,
        region: &signing.region,
        service: &signing.service,
        time_s,
    };
    let credentials = sigv4::Credentials {
        access_key: &signing.access_key,
        secret_key: &signing.secret_key,
        session_token: signing.session_token.as_ref(),
    };
    sigv4::header_lines(&what, &credentials)
}

/// The headers that AWS wants signed: `host`, `content-type`, and all of its own. The values of one name are joined.
fn signed_headers(head: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in head.split("\r\n").skip(1).filter_map(|line| line.split_once(": ")) {
        let name = name.to_ascii_lowercase();
        if name != "host" && name != "content-type" && !name.starts_with("x-amz-") {
            continue;
        }
        match headers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => {
                values.push(',');
                values.push_str(value);
            }
            None => headers.push((name, value.to_owned())),
        }
    }
    headers
}

/// Refuses a body that streams through where the signature covers all of it.
pub fn check_signable(provider: &Provider, body: &Body) -> Result<(), Stop> {
    if !provider.signs() || !matches!(body, Body::Streaming(_)) {
        return Ok(());
    }
    let message = format!(
        "Requests to the provider `{}` are signed with their body, and this one streams through. Send JSON, or \
         send it below `/p/{0}/`.",
        provider.name
    );
    Err(Stop::refuse_and_close(Refusal::invalid("unsignable_body", message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_aws_asks_for_is_signed() {
        let head = "POST /x HTTP/1.1\r\nHost: h\r\naccept: a\r\nX-Amz-Meta: 1\r\nx-amzn-other: 2\r\nx-amz-meta: 3\r\n\
                    content-type: t; a: b\r\n";
        let got = signed_headers(head);
        let got: Vec<(&str, &str)> = got.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(got, [("host", "h"), ("x-amz-meta", "1,3"), ("content-type", "t; a: b")]);
    }
}
