//! Certificates made for one test, clients and upstreams that speak TLS with them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, SignatureScheme};

use crate::support::*;

pub type TlsStream = rustls::StreamOwned<rustls::ServerConnection, TcpStream>;

/// An authority that lives as long as its test.
pub struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pub pem: String,
}

/// A certificate with its key.
pub struct Pair {
    pub cert: rcgen::Certificate,
    pub key: rcgen::KeyPair,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority of a test");
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: rcgen::Issuer::new(params, key), pem }
    }

    /// A certificate for these names and addresses that is good until this year.
    pub fn issue(&self, names: &[&str], until_year: i32) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).expect("good names");
        params.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        Pair { cert: params.signed_by(&key, &self.issuer).expect("a certificate"), key }
    }
}

impl Pair {
    /// The files that settings name.
    pub fn files(&self) -> (PathBuf, PathBuf) {
        (temp_file(&self.cert.pem()), temp_file(&self.key.serialize_pem()))
    }

    pub fn server_config(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        let config =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![self.cert.der().clone()], key);
        Arc::new(config.expect("key and certificate fit"))
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A client that takes any certificate: the tests look at it themselves.
pub fn client(versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(TakesAny(provider())));
    Arc::new(config.with_no_client_auth())
}

#[derive(Debug)]
struct TakesAny(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl Link {
    /// A TLS connection to the gateway under this name, or to this address without one.
    pub fn tls(port: u16, config: &Arc<ClientConfig>, name: &str) -> Link {
        let mut link = Link::to(port);
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut tls = ClientConnection::new(config.clone(), name).expect("a session");
        while tls.is_handshaking() {
            tls.complete_io(&mut link.stream).expect("the handshake");
        }
        link.tls = Some(tls);
        link
    }

    /// The certificate that the gateway showed.
    pub fn shown(&self) -> Vec<u8> {
        let certificates = self.tls.as_ref().and_then(|tls| tls.peer_certificates()).expect("a certificate");
        certificates[0].to_vec()
    }
}

/// An upstream under TLS, otherwise as [`Upstream`].
pub struct TlsUpstream {
    pub port: u16,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    /// TCP connections.
    pub connections: Arc<AtomicUsize>,
}

impl TlsUpstream {
    pub fn start(
        config: Arc<ServerConfig>,
        script: impl Fn(usize, &Seen, &mut TlsStream) -> After + Send + Sync + 'static,
    ) -> TlsUpstream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().unwrap().port();
        let upstream = TlsUpstream { port, seen: Arc::default(), connections: Arc::default() };
        let (seen, connections, script) =
            (upstream.seen.clone(), upstream.connections.clone(), Arc::new(script));
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                let session = rustls::ServerConnection::new(config.clone()).expect("a session");
                let (seen, script) = (seen.clone(), script.clone());
                let _ = tcp.set_nodelay(true);
                thread::spawn(move || serve(TlsStream::new(session, tcp), &seen, &*script));
            }
        });
        upstream
    }

    pub fn answering(config: Arc<ServerConfig>, bytes: impl Into<Vec<u8>>, after: After) -> TlsUpstream {
        let bytes = bytes.into();
        TlsUpstream::start(config, move |_, _, stream| {
            let _ = stream.write_all(&bytes);
            after
        })
    }

    /// Settings of a gateway that reaches it as `host`, trusting this authority, with its models given.
    pub fn settings(&self, host: &str, authority: &Authority, more: &str) -> String {
        let ca_file = temp_file(&authority.pem);
        format!(
            "models: {{configured_mode: allowlist}}\nupstream: {{ca_file: '{}', tls_timeout: 500ms}}\nproviders:\n  up: \
             {{type: openai, base_url: 'https://{host}:{}/v1', api_key: {UPSTREAM_KEY}, models: [m]}}\n{more}",
            ca_file.display(),
            self.port
        )
    }
}

fn serve(
    mut stream: TlsStream,
    seen: &Mutex<Vec<Seen>>,
    script: &(dyn Fn(usize, &Seen, &mut TlsStream) -> After + Send + Sync),
) {
    let mut rest = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut rest) {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        match script(number, &request, &mut stream) {
            After::KeepAlive => {}
            After::Close => {
                stream.conn.send_close_notify();
                let _ = stream.flush();
                return end(&mut stream.sock);
            }
            After::Reset => {
                let _ = socket2::SockRef::from(&stream.sock).set_linger(Some(Duration::ZERO));
                return;
            }
            // Without a goodbye of TLS.
            After::Hold => return end(&mut stream.sock),
        }
    }
}

/// Ends our direction and waits for the other's end.
fn end(socket: &mut TcpStream) {
    let _ = socket.shutdown(Shutdown::Write);
    let _ = socket.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = io::copy(&mut socket.take(1 << 20), &mut io::sink());
}
