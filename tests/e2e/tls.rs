//! Clients under TLS: certificates by name and their reload, both protocol versions, ends that are told and cuts that
//! show.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rustls::version::{TLS12, TLS13};

use crate::pki::*;
use crate::support::*;

const HUP: i32 = 1;

fn tls_settings(upstream: u16, pairs: &[&(PathBuf, PathBuf)], more: &str) -> String {
    let files: Vec<String> = pairs
        .iter()
        .map(|(cert, key)| format!("{{cert_file: '{}', key_file: '{}'}}", cert.display(), key.display()))
        .collect();
    let provider = format!("{{type: openai, base_url: 'http://127.0.0.1:{upstream}/v1', api_key: k}}");
    let files = files.join(", ");
    format!("server: {{head_timeout: 500ms, tls: [{files}]}}\nproviders:\n  up: {provider}\n{more}")
}

/// A gateway with one certificate in front of an upstream.
fn gateway(upstream: &Upstream) -> Gateway {
    let files = Authority::new().issue(&["localhost"], 2100).files();
    Gateway::start_with(&tls_settings(upstream.port, &[&files], "retry: {max_retries: 0}"), &[])
}

fn ask(link: &mut Link) -> String {
    link.send(&post("/v1/chat/completions", ASK));
    link.answer(false).text()
}

#[test]
fn the_name_chooses_the_certificate_and_the_first_one_serves_all_others() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let authority = Authority::new();
    let (one, two) =
        (authority.issue(&["one.test"], 2100), authority.issue(&["two.test", "*.many.test"], 2100));
    let files = [one.files(), two.files()];
    let gateway = Gateway::start_with(&tls_settings(upstream.port, &[&files[0], &files[1]], ""), &[]);
    for version in [&TLS12, &TLS13] {
        let config = client(&[version]);
        for (name, pair) in [
            ("one.test", &one),
            ("two.test", &two),
            ("ONE.test", &one),
            ("any.many.test", &two),
            ("unknown.test", &one),
            // Without a name in the hello.
            ("127.0.0.1", &one),
        ] {
            let mut link = Link::tls(gateway.port, &config, name);
            assert_eq!(link.shown(), pair.cert.der().to_vec(), "{name}");
            assert_eq!(link.tls.as_ref().unwrap().protocol_version(), Some(version.version), "{name}");
            assert_eq!(ask(&mut link), CHAT, "{name}");
        }
    }
}

#[test]
fn a_reload_brings_new_certificates_and_leaves_open_connections_alone() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let authority = Authority::new();
    let (old, new) = (authority.issue(&["localhost"], 2100), authority.issue(&["localhost"], 2101));
    let files = old.files();
    let mut gateway = Gateway::start_with(&tls_settings(upstream.port, &[&files], ""), &[]);
    let config = client(&[&TLS13, &TLS12]);
    let mut before = Link::tls(gateway.port, &config, "localhost");
    assert_eq!((ask(&mut before).as_str(), before.shown()), (CHAT, old.cert.der().to_vec()));
    std::fs::write(&files.0, "no certificate").unwrap();
    gateway.signal(HUP);
    gateway.wait_for_line("the old ones stay active");
    let mut link = Link::tls(gateway.port, &config, "localhost");
    assert_eq!((ask(&mut link).as_str(), link.shown()), (CHAT, old.cert.der().to_vec()));
    std::fs::write(&files.0, new.cert.pem()).unwrap();
    std::fs::write(&files.1, new.key.serialize_pem()).unwrap();
    gateway.signal(HUP);
    gateway.wait_for_line("reloaded (generation 1)");
    // Shards hear of it one after the other.
    eventually("the new certificate", || {
        Link::tls(gateway.port, &config, "localhost").shown() == new.cert.der().to_vec()
    });
    assert_eq!(ask(&mut before), CHAT, "the old connection goes on");
    assert_eq!(ask(&mut link), CHAT);
}

#[test]
fn what_is_no_tls_is_closed_and_a_handshake_has_its_time() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = gateway(&upstream);
    for bytes in [
        &get("/health")[..],
        b"\x16\x03\x01\xff\xff",
        b"SSH-2.0-x\r\n",
        b"",
        b"\x16",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ] {
        let mut link = gateway.connect();
        link.send(bytes);
        let said = link.read_to_end();
        assert!(!String::from_utf8_lossy(&said).contains("HTTP/"), "{bytes:?}: {said:?}");
    }
    assert_eq!(ask(&mut Link::tls(gateway.port, &client(&[&TLS13]), "localhost")), CHAT);
    eventually("the connections to end", || gateway_connections(&gateway) <= 1);
}

/// Open client connections, this question's own included.
fn gateway_connections(gateway: &Gateway) -> u64 {
    let mut link = Link::tls(gateway.port, &client(&[&TLS13]), "localhost");
    link.send(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
    let page = link.answer(false).text();
    let lines = page.lines().filter(|line| line.starts_with("ringway_connections{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
}

#[test]
fn one_connection_serves_small_large_and_streamed_answers_in_both_versions() {
    let upstream = Upstream::start(|_, seen, stream| {
        let is_stream = find(&seen.body, b"\"stream\":true").is_some();
        let answer = if is_stream {
            stream_answer(STREAM.as_bytes(), &[7])
        } else {
            json_answer(200, "", &String::from_utf8_lossy(&seen.body))
        };
        let _ = stream.write_all(&answer);
        After::KeepAlive
    });
    let gateway = gateway(&upstream);
    let large = format!(r#"{{"model":"m","text":"{}"}}"#, "0123456789abcdef".repeat(65536));
    let chunked = format!(
        "POST /p/up/x HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    );
    for version in [&TLS12, &TLS13] {
        let mut link = Link::tls(gateway.port, &client(&[version]), "localhost");
        for turn in 0..3 {
            link.send(&post("/v1/chat/completions", r#"{"model":"m"}"#));
            assert_eq!(link.answer(false).text(), r#"{"model":"m"}"#, "turn {turn}");
            link.send(&post("/v1/chat/completions", &large));
            assert!(link.answer(false).text() == large, "turn {turn}: 1 MiB both ways");
            link.send(&post("/v1/chat/completions", ASK_STREAM));
            let answer = link.answer(false);
            assert!(answer.is_whole && answer.text() == STREAM, "turn {turn}");
            link.send(chunked.as_bytes());
            assert!(link.answer(false).text() == large, "turn {turn}: streamed through");
        }
        let both = [
            post("/v1/chat/completions", r#"{"model":"m","n":1}"#),
            post("/v1/chat/completions", r#"{"model":"m","n":2}"#),
        ];
        link.send(&both.concat());
        assert_eq!(link.answer(false).text(), r#"{"model":"m","n":1}"#);
        assert_eq!(link.answer(false).text(), r#"{"model":"m","n":2}"#);
    }
}

#[test]
fn only_a_whole_answer_is_followed_by_a_goodbye() {
    let stream = stream_answer(STREAM.as_bytes(), &[40]);
    let json = json_answer(200, "", &format!(r#"{{"text":"{}"}}"#, "x".repeat(100_000)));
    for (whole, ask) in [(stream, ASK_STREAM), (json, ASK)] {
        let bytes = whole.clone();
        let upstream = Upstream::start(move |number, _, stream| {
            let end = if number % 2 == 0 { bytes.len() } else { bytes.len() * 3 / 4 };
            let _ = stream.write_all(&bytes[..end]);
            if number % 2 == 0 { After::KeepAlive } else { After::Close }
        });
        let gateway = gateway(&upstream);
        for (version, lines) in [("1.1", "connection: close\r\n"), ("1.0", "")] {
            for is_cut in [false, true] {
                let request = post_with("/v1/chat/completions", lines, ask.as_bytes());
                let request =
                    String::from_utf8(request).unwrap().replace("HTTP/1.1", &format!("HTTP/{version}"));
                let mut link = Link::tls(gateway.port, &client(&[&TLS13]), "localhost");
                link.send(request.as_bytes());
                let answer = link.answer(false);
                let ended = link.is_closed();
                let shown = format!("HTTP/{version}, cut {is_cut}: {} {:.300}", answer.head, answer.text());
                assert!(ended && link.is_cut == is_cut, "{shown}");
                assert_eq!(answer.text().contains("[DONE]"), ask == ASK_STREAM && !is_cut, "{shown}");
                if version == "1.1" {
                    assert_eq!(answer.is_whole, !is_cut, "{shown}");
                }
            }
        }
    }
}

#[test]
fn a_client_that_leaves_under_tls_closes_its_upstream() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\na\r\ndata: {}\n\n\r\n";
    for begun in ["", head] {
        let upstream = Upstream::answering(begun.as_bytes(), After::Hold);
        let gateway = gateway(&upstream);
        for way in ["goodbye", "goodbye and end", "end", "reset"] {
            let before = upstream.released.load(Ordering::SeqCst);
            let mut link = Link::tls(gateway.port, &client(&[&TLS13]), "localhost");
            link.send(&post("/v1/chat/completions", ASK_STREAM));
            if begun.is_empty() {
                eventually("the request at the upstream", || upstream.requests().len() > before);
            } else {
                link.read_until("data: {}");
            }
            if way.starts_with("goodbye") {
                let tls = link.tls.as_mut().unwrap();
                tls.send_close_notify();
                tls.complete_io(&mut link.stream).expect("the goodbye is sent");
            }
            let kept = match way {
                "reset" => {
                    socket2::SockRef::from(&link.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
                    drop(link);
                    None
                }
                "goodbye" => Some(link),
                _ => {
                    link.stream.shutdown(std::net::Shutdown::Write).unwrap();
                    Some(link)
                }
            };
            eventually(&format!("the upstream to be closed after {way}"), || {
                upstream.released.load(Ordering::SeqCst) > before
            });
            assert!(kept.is_none_or(|mut link| !link.read_to_end().ends_with(b"0\r\n\r\n")));
        }
    }
}

#[test]
fn the_command_line_asks_a_gateway_under_tls_and_trusts_only_what_it_is_told_to() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let authority = Authority::new();
    let files = authority.issue(&["localhost"], 2100).files();
    let gateway = Gateway::start_with(&tls_settings(upstream.port, &[&files], ""), &[]);
    let ca_file = temp_file(&authority.pem);
    let ask = |url: &str, more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ringway"));
        command.args(["budgets", "--url", url, "--key", KEY]).args(more).arg("list");
        let output = command.env_remove("RINGWAY_CA_FILE").output().expect("the binary runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let ca = ["--ca-file", ca_file.to_str().expect("UTF-8")];
    let url = format!("https://localhost:{}", gateway.port);
    let (is_good, told) = ask(&url, &ca);
    assert!(is_good && told.contains("data"), "{told}");
    for (url, more) in [
        (url.as_str(), &[][..]),
        // The certificate is for another name.
        (&*format!("https://127.0.0.1:{}", gateway.port), &ca[..]),
    ] {
        let (is_good, told) = ask(url, more);
        assert!(!is_good && told.contains("certificate"), "{url}: {told}");
    }
}
