//! TLS settings for both sides, by rustls with ring: roots and certificates in, sessions out. No protocol below 1.2.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// What was wrong with a file of certificates or keys, for the operator.
#[derive(Debug)]
pub struct TlsFileError {
    pub file: PathBuf,
    pub what: String,
}

impl std::fmt::Display for TlsFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

/// How upstreams are trusted: the system's roots, and those of `ca_file` when one is given.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<rustls::ClientConfig>, TlsFileError> {
    let mut roots = rustls::RootCertStore::empty();
    // Single broken files in the system's store are the system's affair; an empty store shows at the first handshake.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = ca_file {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|error| bad_file(file, &error))?;
        }
    }
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| bad_file(Path::new("(built in)"), &error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A session towards an upstream of this name.
pub fn client_session(
    config: &Arc<rustls::ClientConfig>,
    name: &ServerName<'static>,
) -> Result<rustls::Connection, rustls::Error> {
    rustls::ClientConnection::new(config.clone(), name.clone()).map(rustls::Connection::Client)
}

/// A name or address as certificates spell it; `None` when it can be neither.
pub fn server_name(host: &str) -> Option<ServerName<'static>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).ok()
}

/// How clients are met: the pairs of certificate and key files, the first of which answers names that fit none.
pub fn server_config(pairs: &[(PathBuf, PathBuf)]) -> Result<Arc<rustls::ServerConfig>, TlsFileError> {
    let keys = pairs.iter().map(|(cert, key)| certified_key(cert, key)).collect::<Result<Vec<_>, _>>()?;
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| bad_file(Path::new("(built in)"), &error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByName { keys }));
    Ok(Arc::new(config))
}

/// A session towards a client.
pub fn server_session(config: &Arc<rustls::ServerConfig>) -> Result<rustls::Connection, rustls::Error> {
    rustls::ServerConnection::new(config.clone()).map(rustls::Connection::Server)
}

/// Whether a failed handshake failed because of the peer's certificate.
pub fn is_certificate_error(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
}

/// The certificates of the listener; `keys` is never empty.
#[derive(Debug)]
struct ByName {
    keys: Vec<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name().and_then(server_name);
        let fits = |key: &&Arc<CertifiedKey>| wanted.as_ref().is_some_and(|name| is_for(key, name));
        self.keys.iter().find(fits).or(self.keys.first()).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let Ok(certificate) = key.end_entity_cert().and_then(ParsedCertificate::try_from) else { return false };
    rustls::client::verify_server_name(&certificate, name).is_ok()
}

fn certified_key(cert_file: &Path, key_file: &Path) -> Result<Arc<CertifiedKey>, TlsFileError> {
    let chain = certificates(cert_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| bad_file(key_file, &error))?;
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| bad_file(key_file, &error))?;
    Ok(Arc::new(key))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| bad_file(file, &error));
    match chain {
        Ok(chain) if chain.is_empty() => {
            Err(TlsFileError { file: file.to_owned(), what: "holds no certificate".to_owned() })
        }
        other => other,
    }
}

fn bad_file(file: &Path, error: &dyn std::fmt::Display) -> TlsFileError {
    TlsFileError { file: file.to_owned(), what: error.to_string() }
}

/// One crypto provider for both sides, named so that no second one can slip in.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<rustls::crypto::CryptoProvider>> = std::sync::OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())).clone()
}
