//! How an instance shows who asks, from its settings: keys as header lines, or what signs each request.

use std::sync::Arc;

use super::compile::{Instance, limits, proxy, variable};
use super::mistake::Mistakes;
use super::service_account;
use super::values::Values;
use crate::base::Secret;
use crate::provider::file::{Auth, ProviderFile};
use crate::provider::{AwsSigning, Credential, Proof, TokenSource};
use crate::wire::write::HeadWriter;

/// What an instance shows.
pub enum Shown<'f> {
    Nothing,
    Keys(Vec<String>, &'f Auth),
    Signature(Box<AwsSigning>, &'f Auth),
    Tokens(Arc<TokenSource>, &'f Auth),
}

/// What the settings give an instance to show. `None` when that is not enough.
pub fn shown<'f>(
    instance: &Instance<'_>,
    file: &'f ProviderFile,
    values: &Values,
    mistakes: &mut Mistakes,
) -> Option<Shown<'f>> {
    let keys = keys(instance);
    if !keys.is_empty() {
        return Some(Shown::Keys(keys, &file.auth));
    }
    let path = format!("providers.{}.api_key", instance.name);
    let name = variable(instance, file, "API_KEY");
    match &file.auth {
        Auth::OptionalBearer => Some(Shown::Nothing),
        Auth::AwsSigV4 { service } if instance.own.text("access_key_id").is_some() => {
            let signing = aws_signing(instance, file, service, mistakes)?;
            Some(Shown::Signature(Box::new(signing), &file.auth))
        }
        Auth::AwsSigV4 { .. } => {
            let expected =
                format!("`api_key`, or the variable {name}; or `access_key_id` with `secret_access_key`");
            mistakes.add(instance.place, &path, "is missing", expected);
            None
        }
        Auth::GoogleServiceAccount { scope } if instance.own.text("credentials").is_some() => {
            let source = token_source(instance, scope, values, mistakes)?;
            Some(Shown::Tokens(Arc::new(source), &file.auth))
        }
        Auth::GoogleServiceAccount { .. } => {
            let name = variable(instance, file, "CREDENTIALS");
            let expected = format!("`credentials`, or the variable {name}; or `api_key`");
            let path = format!("providers.{}.credentials", instance.name);
            mistakes.add(instance.place, &path, "is missing", expected);
            None
        }
        Auth::Bearer | Auth::Header(_) => {
            mistakes.add(instance.place, &path, "is missing", format!("`api_key`, or the variable {name}"));
            None
        }
    }
}

/// Keys of the file come first, unless the environment has its own.
fn keys(instance: &Instance<'_>) -> Vec<String> {
    if !instance.found.keys.is_empty() {
        return instance.found.keys.iter().map(|(_, _, key)| key.clone()).collect();
    }
    let one = instance.own.text("api_key").map(str::to_owned);
    one.into_iter().chain(instance.own.list("api_keys").to_vec()).collect()
}

fn aws_signing(
    instance: &Instance<'_>,
    file: &ProviderFile,
    service: &str,
    mistakes: &mut Mistakes,
) -> Option<AwsSigning> {
    let own = instance.own;
    let mut needed = |setting: &str| {
        let text = own.text(setting);
        if text.is_none() {
            let name = variable(instance, file, &setting.to_uppercase());
            let expected = format!("`{setting}`, or the variable {name}");
            let path = format!("providers.{}.{setting}", instance.name);
            mistakes.add(instance.place, &path, "is missing", expected);
        }
        text
    };
    let (access_key, secret_key) = (needed("access_key_id"), needed("secret_access_key"));
    let region = needed("region")?;
    if region.is_empty() || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        let path = format!("providers.{}.region", instance.name);
        mistakes.add(own.place("region"), &path, "is no region", "letters, digits and `-`");
        return None;
    }
    Some(AwsSigning {
        access_key: access_key?.to_owned(),
        secret_key: Secret::new(secret_key?),
        session_token: own.text("session_token").map(Secret::new),
        region: region.to_owned(),
        service: service.to_owned(),
    })
}

/// The account. One that only a variable of others names may well be meant for another program: it is left out.
fn token_source(
    instance: &Instance<'_>,
    scope: &str,
    values: &Values,
    mistakes: &mut Mistakes,
) -> Option<TokenSource> {
    let text = instance.own.text("credentials")?;
    match service_account::read(text, scope, limits(instance.own, values)) {
        Ok(mut source) => {
            source.proxy = proxy(instance, values, &source.origin, mistakes);
            Some(source)
        }
        Err(what) if !instance.is_in_file && instance.found.variables().is_empty() => {
            let place = instance.own.place("credentials");
            mistakes.warn(format!("{place} makes no provider {}: the account {what}", instance.name));
            None
        }
        Err(what) => {
            let path = format!("providers.{}.credentials", instance.name);
            let expected = "the key file of a service account";
            mistakes.add(instance.own.place("credentials"), &path, format!("the account {what}"), expected);
            None
        }
    }
}

/// The headers that show who asks, in lower case. The client's of the same names never pass.
pub fn headers(auth: &Auth) -> Vec<String> {
    let names: &[&str] = match auth {
        Auth::Header(name) => &[name.as_str()],
        Auth::Bearer | Auth::OptionalBearer | Auth::GoogleServiceAccount { .. } => &["authorization"],
        Auth::AwsSigV4 { .. } => {
            &["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"]
        }
    };
    names.iter().map(|&name| name.to_owned()).collect()
}

impl Shown<'_> {
    /// The headers that are written for it, which the settings therefore cannot set.
    pub fn headers(&self) -> Vec<String> {
        match self {
            Shown::Nothing => Vec::new(),
            Shown::Keys(_, auth) | Shown::Signature(_, auth) | Shown::Tokens(_, auth) => headers(auth),
        }
    }

    /// The credentials, each with the lines that every request carries.
    pub fn credentials(
        self,
        instance: &Instance<'_>,
        static_lines: &[u8],
        mistakes: &mut Mistakes,
    ) -> Vec<Credential> {
        let text = |lines: &[u8]| Secret::new(String::from_utf8_lossy(lines).into_owned());
        match self {
            Shown::Nothing => vec![Credential {
                header_lines: text(static_lines),
                proof: Proof::InHeaders,
                secrets: Vec::new(),
                masked: "no key".to_owned(),
            }],
            Shown::Keys(keys, auth) => {
                keys.iter().map(|key| of_key(key, auth, static_lines, instance, mistakes)).collect()
            }
            Shown::Tokens(source, _) => vec![Credential {
                header_lines: text(static_lines),
                secrets: vec![source.private_key.clone()],
                masked: format!("tokens of {}", source.email),
                proof: Proof::Token(source),
            }],
            Shown::Signature(signing, _) => {
                let masked = Secret::new(signing.access_key.clone()).masked();
                vec![Credential {
                    header_lines: text(static_lines),
                    secrets: signing.session_token.iter().chain([&signing.secret_key]).cloned().collect(),
                    masked: format!("{masked}, signs for {}", signing.region),
                    proof: Proof::AwsSigV4(signing),
                }]
            }
        }
    }
}

fn of_key(
    key: &str,
    auth: &Auth,
    static_lines: &[u8],
    instance: &Instance<'_>,
    mistakes: &mut Mistakes,
) -> Credential {
    let mut lines = Vec::new();
    let mut head = HeadWriter::continuing(&mut lines);
    let written = match auth {
        Auth::Header(name) => head.header(name.as_bytes(), key.as_bytes()),
        _ => head.header(b"authorization", format!("Bearer {key}").as_bytes()),
    };
    if written.is_err() {
        let setting = format!("providers.{}.api_key", instance.name);
        let variable = instance.found.keys.first().map(|(_, variable, _)| variable.as_str());
        mistakes.add(
            variable.unwrap_or(instance.place),
            &setting,
            "holds a control character",
            "a key as the provider gave it",
        );
    }
    lines.extend_from_slice(static_lines);
    Credential {
        header_lines: Secret::new(String::from_utf8_lossy(&lines).into_owned()),
        proof: Proof::InHeaders,
        secrets: vec![Secret::new(key)],
        masked: Secret::new(key).masked(),
    }
}
