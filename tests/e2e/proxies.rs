//! Providers behind an HTTP proxy: the tunnel, its refusals, and who goes through it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::pki::*;
use crate::support::*;

/// A proxy that records the heads it is asked with.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What the proxy does once it has read the request for a tunnel to `127.0.0.1:port`.
#[derive(Clone, Copy)]
enum Manner {
    Tunnel,
    /// The bytes of the answer, after which it says nothing more.
    Say(&'static [u8]),
    Close,
}

impl Proxy {
    fn start(target: u16, manner: Manner) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy { port: listener.local_addr().unwrap().port(), asked: Arc::default() };
        let asked = proxy.asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let asked = asked.clone();
                thread::spawn(move || serve(stream, target, manner, &asked));
            }
        });
        proxy
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, target: u16, manner: Manner, asked: &Mutex<Vec<String>>) {
    let mut rest = Vec::new();
    let Some(request) = read_request(&mut client, &mut rest) else { return };
    assert!(rest.is_empty(), "nothing is sent before the tunnel stands");
    asked.lock().unwrap().push(request.head);
    match manner {
        Manner::Close => {}
        Manner::Say(bytes) => {
            let _ = client.write_all(bytes);
            let _ = client.read_to_end(&mut Vec::new());
        }
        Manner::Tunnel => {
            let mut upstream = TcpStream::connect(("127.0.0.1", target)).expect("the target");
            let _ = client.write_all(b"HTTP/1.1 200 Connection established\r\nvia: a proxy\r\n\r\n");
            let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let _ = std::io::copy(&mut upstream, &mut client);
            let _ = client.shutdown(Shutdown::Write);
        }
    }
}

/// One provider that no resolver knows, so that only the proxy can reach it.
fn settings(scheme: &str, proxy: &str, ca_file: &str) -> String {
    format!(
        "models: {{configured_mode: allowlist}}\nretry: {{max_retries: 0}}\nupstream: {{connect_timeout: 500ms{ca_file}}}\n\
         providers:\n  up: {{type: vllm, base_url: '{scheme}://provider.test:8443/v1', models: [m]{proxy}}}\n"
    )
}

#[test]
fn tls_goes_through_the_tunnel_of_the_common_proxy() {
    let authority = Authority::new();
    let pair = authority.issue(&["provider.test"], 2100);
    let upstream = TlsUpstream::start(pair.server_config(), |_, seen, stream| {
        let is_stream = find(&seen.body, b"\"stream\":true").is_some();
        let answer =
            if is_stream { stream_answer(STREAM.as_bytes(), &[30]) } else { json_answer(200, "", CHAT) };
        let _ = stream.write_all(&answer);
        After::KeepAlive
    });
    let ca_file = format!(", ca_file: '{}'", temp_file(&authority.pem).display());
    let proxy = Proxy::start(upstream.port, Manner::Tunnel);
    let url = format!("http://us%40er:p%3Aw@127.0.0.1:{}", proxy.port);
    for name in ["HTTPS_PROXY", "https_proxy"] {
        let text = settings("https", "", &format!("{ca_file}}}\nserver: {{shards: 1"));
        let gateway = Gateway::start_with(&text, &[(name, &url)]);
        let before = proxy.asked().len();
        for _ in 0..10 {
            assert_eq!(gateway.chat(ASK).text(), CHAT);
            assert_eq!(gateway.chat(ASK_STREAM).text(), STREAM);
        }
        assert_eq!(proxy.asked().len(), before + 1, "the tunnel is used again");
    }
    let head = &proxy.asked()[0];
    let credentials = "dXNAZXI6cDp3"; // us@er:p:w
    for line in ["CONNECT provider.test:8443 HTTP/1.1\r\n", "host: provider.test:8443\r\n"] {
        assert!(head.contains(line), "{head}");
    }
    assert!(head.contains(&format!("proxy-authorization: Basic {credentials}\r\n")), "{head}");
    let seen = upstream.seen.lock().unwrap();
    assert!(
        seen.iter().all(|seen| seen.header("proxy-authorization").is_none()),
        "the provider sees no credentials"
    );
    assert_eq!(seen[0].header("host").as_deref(), Some("provider.test:8443"));
}

#[test]
fn a_certificate_is_judged_behind_the_tunnel() {
    let (authority, other) = (Authority::new(), Authority::new());
    let pair = other.issue(&["provider.test"], 2100);
    let upstream = TlsUpstream::answering(pair.server_config(), json_answer(200, "", CHAT), After::KeepAlive);
    let proxy = Proxy::start(upstream.port, Manner::Tunnel);
    let ca_file = format!(", ca_file: '{}'", temp_file(&authority.pem).display());
    let own = format!(", proxy_url: 'http://127.0.0.1:{}'", proxy.port);
    let gateway = Gateway::start_with(&settings("https", &own, &ca_file), &[]);
    assert_eq!(gateway.chat(ASK).error_code(), "upstream_certificate_error");
}

#[test]
fn a_proxy_that_refuses_stalls_or_says_too_much_is_told_from_the_provider() {
    let refused: &[u8] = b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 3\r\n\r\nno!";
    let cases = [
        ("407", Manner::Say(refused), 502, "upstream_proxy_error"),
        (
            "502",
            Manner::Say(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"),
            502,
            "upstream_proxy_error",
        ),
        ("403", Manner::Say(b"HTTP/1.0 403 Forbidden\r\n\r\n"), 502, "upstream_proxy_error"),
        ("101", Manner::Say(b"HTTP/1.1 101 Switching\r\n\r\n"), 502, "upstream_proxy_error"),
        ("garbage", Manner::Say(b"SSH-2.0-OpenSSH\r\n\r\n"), 502, "upstream_proxy_error"),
        ("close", Manner::Close, 502, "upstream_proxy_error"),
        ("bytes behind the head", Manner::Say(b"HTTP/1.1 200 OK\r\n\r\nx"), 502, "upstream_proxy_error"),
        ("silence", Manner::Say(b""), 504, "upstream_connect_timeout"),
        ("half a head", Manner::Say(b"HTTP/1.1 200 OK\r\nvia: "), 504, "upstream_connect_timeout"),
        ("an endless head", Manner::Say(&ENDLESS), 502, "upstream_proxy_error"),
    ];
    for (what, manner, status, code) in cases {
        let proxy = Proxy::start(0, manner);
        let own = format!(", proxy_url: 'http://127.0.0.1:{}'", proxy.port);
        let gateway = Gateway::start_with(&settings("https", &own, ""), &[]);
        let answer = gateway.chat(ASK);
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{what}");
        assert_eq!(proxy.asked().len(), 1, "{what}");
    }
}

/// A head without an end.
static ENDLESS: [u8; 70_000] = {
    let mut bytes = [b'a'; 70_000];
    let start = *b"HTTP/1.1 200 OK\r\nx: ";
    let mut index = 0;
    while index < start.len() {
        bytes[index] = start[index];
        index += 1;
    }
    bytes
};

#[test]
fn an_address_of_the_sixth_version_is_asked_for_in_brackets() {
    let proxy = Proxy::start(0, Manner::Close);
    let own = format!(", proxy_url: 'http://127.0.0.1:{}'", proxy.port);
    let text = settings("https", &own, "").replace("provider.test:8443", "[2001:db8::7]");
    let gateway = Gateway::start_with(&text, &[]);
    assert_eq!(gateway.chat(ASK).error_code(), "upstream_proxy_error");
    let head = &proxy.asked()[0];
    assert!(head.starts_with("CONNECT [2001:db8::7]:443 HTTP/1.1\r\nhost: [2001:db8::7]:443\r\n"), "{head}");
}

#[test]
fn the_common_proxy_is_for_tls_only_and_not_for_whom_no_proxy_names() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let proxy = Proxy::start(upstream.port, Manner::Tunnel);
    let own = format!(", proxy_url: 'http://127.0.0.1:{}'", proxy.port);
    let common = Proxy::start(0, Manner::Close);
    let common_url = format!("http://127.0.0.1:{}", common.port);
    let asked = || proxy.asked().len() + common.asked().len();
    let reach = |scheme: &str, own: &str, no_proxy: &str| {
        let before = asked();
        let env = [("HTTPS_PROXY", common_url.as_str()), ("NO_PROXY", no_proxy)];
        let gateway = Gateway::start_with(&settings(scheme, own, ""), &env);
        let answer = gateway.chat(ASK);
        let code = if answer.status == 200 { String::new() } else { answer.error_code() };
        (code, asked() - before)
    };
    let no_name = "upstream_dns_error".to_owned();
    assert_eq!(reach("https", "", ""), ("upstream_proxy_error".to_owned(), 1));
    for named in ["provider.test", ".test", "test", "x.y, PROVIDER.test", "*", "provider.test:8443"] {
        assert_eq!(reach("https", "", named), (no_name.clone(), 0), "{named}");
    }
    for other in ["vider.test", "est", "provider.test:1", "a.provider.test"] {
        assert_eq!(reach("https", "", other), ("upstream_proxy_error".to_owned(), 1), "{other}");
    }
    // Plain HTTP is mostly the neighbour's: HTTPS_PROXY does not speak of it, and many proxies tunnel to port 443 only.
    assert_eq!(reach("http", "", ""), (no_name.clone(), 0));
    // A provider's own proxy is meant, whatever the provider speaks.
    assert_eq!(reach("http", &own, "*"), (String::new(), 1));
}
