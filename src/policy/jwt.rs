//! JSON Web Tokens by which a service account asks for access (RFC 7523): claims, a key and randomness in, the signed text
//! out. Reads no clock and keeps nothing.

use ring::rand::SecureRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use serde_json::json;

use crate::base::{Secret, base64_url};

/// What is claimed.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// Which of the account's keys signs; empty where that is not known.
    pub key_id: &'a str,
    /// The account.
    pub issuer: &'a str,
    /// Who is to believe it: the URL that it is sent to.
    pub audience: &'a str,
    pub scope: &'a str,
    /// Seconds since 1970.
    pub issued_s: u64,
    pub lifetime_s: u64,
}

/// The assertion, signed with RS256. `None` when the key cannot sign.
pub fn assertion(claims: &Claims<'_>, key: &KeyPair, random: &dyn SecureRandom) -> Option<Secret> {
    let mut header = json!({"alg": "RS256", "typ": "JWT"});
    if !claims.key_id.is_empty() {
        header["kid"] = json!(claims.key_id);
    }
    let body = json!({
        "iss": claims.issuer,
        "aud": claims.audience,
        "scope": claims.scope,
        "iat": claims.issued_s,
        "exp": claims.issued_s + claims.lifetime_s,
    });
    let part = |value: &serde_json::Value| base64_url(value.to_string().as_bytes());
    let mut text = format!("{}.{}", part(&header), part(&body));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, random, text.as_bytes(), &mut signature).ok()?;
    text.push('.');
    text.push_str(&base64_url(&signature));
    Some(Secret::new(text))
}
