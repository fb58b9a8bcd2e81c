//! The URL of a PostgreSQL database: what it says of TLS is read here, the rest by the driver.
//!
//! `sslmode` means what it means to libpq (its manual, 34.19), with one difference: where TLS is used the certificate is
//! verified, with its name, in every mode. Without `sslmode` the connection is plain.

use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::tls::Connector;
use crate::net::tls::client_config;
use crate::offload::store::error::{ErrorKind, StoreError};

/// The driver's settings, and how TLS is made.
pub fn read(url: &str) -> Result<(Config, Connector), StoreError> {
    let wrong = |what: &str| StoreError::new(ErrorKind::Broken, format_args!("the URL of PostgreSQL {what}"));
    let parts = split(url);
    let mode = match parts.mode.as_deref() {
        None | Some("disable") => SslMode::Disable,
        Some("allow" | "prefer") => SslMode::Prefer,
        Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
        Some(_) => return Err(wrong("has an `sslmode` that does not exist")),
    };
    // What the driver says of a wrong URL may hold a part of it.
    let mut config: Config = parts.url.parse().map_err(|_| wrong("cannot be read"))?;
    config.ssl_mode(mode);
    let tls = client_config(parts.root_file.as_deref());
    let config_of_tls = tls.map_err(|error| StoreError::new(ErrorKind::Broken, error))?;
    Ok((config, Connector { config: config_of_tls }))
}

#[derive(Debug, PartialEq)]
struct Parts {
    url: String,
    mode: Option<String>,
    root_file: Option<PathBuf>,
}

fn split(url: &str) -> Parts {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut parts = Parts { url: base.to_owned(), mode: None, root_file: None };
    let mut mark = '?';
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", mode)) => parts.mode = Some(mode.to_owned()),
            Some(("sslrootcert", file)) => {
                let file = crate::wire::path::percent_decoded(file.as_bytes());
                parts.root_file = Some(PathBuf::from(String::from_utf8_lossy(&file).into_owned()));
            }
            _ => {
                parts.url.push(mark);
                parts.url.push_str(pair);
                mark = '&';
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_says_of_tls_is_taken_out_and_the_rest_stays() {
        let check = |url: &str, rest: &str, mode: Option<&str>, file: Option<&str>| {
            let want = Parts {
                url: rest.to_owned(),
                mode: mode.map(str::to_owned),
                root_file: file.map(PathBuf::from),
            };
            assert_eq!(split(url), want);
        };
        check("postgres://u:p@h/d", "postgres://u:p@h/d", None, None);
        check("postgres://h/d?sslmode=require", "postgres://h/d", Some("require"), None);
        check(
            "postgres://h/d?a=1&sslmode=verify-full&sslrootcert=/c%20a.pem&b=2",
            "postgres://h/d?a=1&b=2",
            Some("verify-full"),
            Some("/c a.pem"),
        );
    }

    #[test]
    fn modes_are_those_of_libpq_and_a_wrong_url_is_not_repeated() {
        let mode = |url: &str| read(url).map(|(config, _)| config.get_ssl_mode());
        assert_eq!(mode("postgres://h/d"), Ok(SslMode::Disable));
        assert_eq!(mode("postgres://h/d?sslmode=prefer"), Ok(SslMode::Prefer));
        assert_eq!(mode("postgres://h/d?sslmode=verify-ca"), Ok(SslMode::Require));
        for wrong in
            ["postgres://h/d?sslmode=secret", "postgres://u:secret@h:port/d", "postgres://h/d?secret=1"]
        {
            let error = mode(wrong).expect_err(wrong);
            assert!(error.kind == ErrorKind::Broken && !error.to_string().contains("secret"), "{error}");
        }
    }
}
