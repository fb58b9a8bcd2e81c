//! A service account's key file: JSON in, a checked source of tokens out. Says what is wrong without showing any of it.

use ring::digest;
use ring::rsa::KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use super::compile::split_url;
use crate::base::Secret;
use crate::provider::{Limits, TokenSource};

/// Reads the account. `text` is the file's path, or what stands in the file.
pub fn read(text: &str, scope: &str, limits: Limits) -> Result<TokenSource, String> {
    let content = if text.starts_with('{') { text.to_owned() } else { content_of(text)? };
    of_json(&content, scope, limits)
}

#[expect(clippy::disallowed_methods, reason = "settings name a file that holds an account")]
fn content_of(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("the file {path} cannot be read: {error}"))
}

fn of_json(content: &str, scope: &str, limits: Limits) -> Result<TokenSource, String> {
    let account: Value = serde_json::from_str(content).map_err(|_| "is no JSON".to_owned())?;
    let text = |member: &str| account[member].as_str().filter(|text| !text.is_empty());
    if text("type") != Some("service_account") {
        return Err(format!("is of the type `{}`", text("type").unwrap_or_default()));
    }
    let needed = |member: &str| text(member).ok_or_else(|| format!("has no `{member}`"));
    let (email, key, uri) = (needed("client_email")?, needed("private_key")?, needed("token_uri")?);
    let is_usable = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes())
        .is_ok_and(|der| KeyPair::from_pkcs8(der.secret_pkcs8_der()).is_ok());
    if !is_usable {
        return Err("has a `private_key` that is no RSA key in PKCS #8".to_owned());
    }
    let (origin, target) = split_url(uri).ok_or("has a `token_uri` that is no URL")?;
    let mut id = [0; 32];
    let facts = Secret::new([email, key, uri, scope].join("\0"));
    id.copy_from_slice(digest::digest(&digest::SHA256, facts.reveal().as_bytes()).as_ref());
    Ok(TokenSource {
        id,
        email: email.to_owned(),
        key_id: text("private_key_id").unwrap_or_default().to_owned(),
        private_key: Secret::new(key),
        uri: uri.to_owned(),
        scope: scope.to_owned(),
        origin,
        target: if target.is_empty() { "/".to_owned() } else { target },
        proxy: None,
        limits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_account_is_named_and_not_shown() {
        let limits = Limits {
            connect_timeout_ms: 1,
            tls_timeout_ms: 1,
            first_byte_timeout_ms: 1,
            idle_timeout_ms: 1,
            pool_idle_timeout_ms: 1,
            pool_idle_count_max: 1,
        };
        for (text, want) in [
            ("/nowhere/x.json", "the file /nowhere/x.json cannot be read"),
            ("{secret", "is no JSON"),
            ("{}", "is of the type ``"),
            (r#"{"type":"authorized_user"}"#, "is of the type `authorized_user`"),
            (r#"{"type":"service_account"}"#, "has no `client_email`"),
            (
                r#"{"type":"service_account","client_email":"a","private_key":"secret","token_uri":"https://h/"}"#,
                "has a `private_key` that is no RSA key",
            ),
        ] {
            let what = read(text, "scope", limits).unwrap_err();
            assert!(what.starts_with(want) && !what.contains("secret"), "{what}");
        }
    }
}
