//! A small client for the admin API of a running gateway: one request, one answer, over HTTP or under TLS. Under TLS the
//! certificate is always verified.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value as Json;

use crate::wire::Step;
use crate::wire::chunked::Chunked;
use crate::wire::head::EndOfHead;
use crate::wire::path::percent_encode;
use crate::wire::request::Method;
use crate::wire::response::{ResponseBody, ResponseHead, read_response};

use super::manage_args::GatewayArgs;
use crate::net::tls;

/// Asks the gateway. The error is a sentence for people.
pub fn ask(
    gateway: &GatewayArgs,
    method: &str,
    path: &str,
    query: &[(&str, &str)],
    body: Option<&Json>,
) -> Result<Json, String> {
    let (scheme, authority) = place(&gateway.url)?;
    let mut out = format!("{method} /admin/api/v1{path}").into_bytes();
    for (at, (name, value)) in query.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"?" } else { b"&" });
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        percent_encode(value.as_bytes(), &mut out);
    }
    out.extend_from_slice(format!(" HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n").as_bytes());
    if let Some(key) = &gateway.key {
        if key.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err("the key holds what no header can".to_owned());
        }
        out.extend_from_slice(format!("authorization: Bearer {key}\r\n").as_bytes());
    }
    let body = body.map(Json::to_string).unwrap_or_default();
    let lines = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    out.extend_from_slice(lines.as_bytes());
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", gateway.url);
    let answer = match scheme {
        Scheme::Http => exchange(connect(authority, 80).map_err(|error| failed(&error))?, &out),
        Scheme::Https => {
            let config = tls::client_config(gateway.ca_file.as_deref()).map_err(|error| error.to_string())?;
            let name =
                tls::server_name(host(authority)).ok_or_else(|| failed(&"no certificate has such a name"))?;
            let session = rustls::ClientConnection::new(config, name).map_err(|error| failed(&error))?;
            let stream = connect(authority, 443).map_err(|error| failed(&error))?;
            exchange(rustls::StreamOwned::new(session, stream), &out)
        }
    };
    let answer = answer.map_err(|error| failed(&error))?;
    let (status, body) =
        read(&answer).ok_or_else(|| format!("{}: the answer is no HTTP, or cut", gateway.url))?;
    let json: Json = serde_json::from_slice(&body).unwrap_or(Json::Null);
    if (200..300).contains(&status) {
        return Ok(json);
    }
    let told = json["error"]["message"].as_str().unwrap_or("no reason was given");
    Err(format!("{told} ({status} {})", json["error"]["code"].as_str().unwrap_or("without a code")))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// Scheme, and host with port, of the URL.
fn place(url: &str) -> Result<(Scheme, &str), String> {
    let plain = url.strip_prefix("http://").map(|rest| (Scheme::Http, rest));
    let found = plain.or_else(|| url.strip_prefix("https://").map(|rest| (Scheme::Https, rest)));
    let (scheme, rest) = found.ok_or_else(|| {
        format!("`{url}` is no URL such as http://127.0.0.1:8080 or https://gateway.example")
    })?;
    let authority = rest.trim_end_matches('/');
    let is_good = !authority.is_empty() && !authority.contains(['/', '@', '?', '#', ' ']);
    if is_good {
        Ok((scheme, authority))
    } else {
        Err(format!("`{url}` is more or less than a host and a port"))
    }
}

/// The host without its port.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => authority,
    }
}

fn connect(authority: &str, port: u16) -> std::io::Result<TcpStream> {
    let has_port = host(authority) != authority;
    let address = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // Whether the answer is whole is told by its own framing.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(answer),
        result => result.map(|_| answer),
    }
}

/// Status and body of a whole answer.
fn read(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let Step::Done { used } = EndOfHead::default().step(answer) else { return None };
    let (head, rest) = answer.split_at(used);
    let mut response = ResponseHead::default();
    read_response(head, Method::Get, &mut response).ok()?;
    let body = match response.body {
        ResponseBody::None => Vec::new(),
        ResponseBody::Length(length) => rest.get(..usize::try_from(length).ok()?)?.to_vec(),
        // Nothing would tell a cut from the end.
        ResponseBody::UntilClose => return None,
        ResponseBody::Chunked => {
            let mut spans = Vec::new();
            let Step::Done { .. } = Chunked::default().step(rest, &mut spans) else { return None };
            spans.iter().flat_map(|span| span.of(rest)).copied().collect()
        }
    };
    Some((response.status, body))
}

const ANSWER_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_scheme_a_host_and_a_port_are_taken() {
        assert_eq!(place("http://127.0.0.1:8080/"), Ok((Scheme::Http, "127.0.0.1:8080")));
        assert_eq!(place("http://[::1]:8080"), Ok((Scheme::Http, "[::1]:8080")));
        assert_eq!(place("https://x"), Ok((Scheme::Https, "x")));
        for url in ["ftp://x", "http://", "x:1", "http://x/v1", "http://u@x", "https://x?y"] {
            assert!(place(url).is_err(), "{url}");
        }
        let hosts = ["x", "x:1", "[::1]:8080", "[::1]"].map(host);
        assert_eq!(hosts, ["x", "x", "[::1]", "[::1]"]);
    }

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let check = |answer: &str, want: Option<(u16, &str)>| {
            let got = read(answer.as_bytes());
            let got = got.map(|(status, body)| (status, String::from_utf8(body).unwrap()));
            assert_eq!(got, want.map(|(status, body)| (status, body.to_owned())), "{answer}");
        };
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", Some((200, "{}")));
        check("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", None);
        check("HTTP/1.1 404 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", Some((404, "{}")));
        check("HTTP/1.1 404 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", None);
        check("HTTP/1.1 200 OK\r\n\r\n{}", None);
        check("HTTP/1.1 200 OK\r\n", None);
        check("nonsense", None);
    }
}
