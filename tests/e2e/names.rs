//! Names and addresses: refresh, both families, names that are unknown, a resolver that is silent. The gateway runs in a
//! mount namespace of its own with its own /etc/hosts and /etc/resolv.conf.

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::*;

/// A gateway whose names stand in a file of the test.
struct Named {
    gateway: Gateway,
    hosts: PathBuf,
}

impl Named {
    /// `None`, with the reason printed, where namespaces are not to be had.
    fn start(hosts: &str, resolver: &str, settings: &str) -> Option<Named> {
        let (hosts, resolv) = (temp_file(hosts), temp_file(resolver));
        let script = "mount --bind \"$1\" /etc/hosts && mount --bind \"$2\" /etc/resolv.conf && shift 2 && exec \"$@\"";
        let in_namespace = |more: &[&str]| {
            let mut command = Command::new("unshare");
            command.args(if is_root() { &["-m"][..] } else { &["-rm"][..] }).args(["sh", "-c", script, "sh"]);
            command.arg(&hosts).arg(&resolv).args(more);
            command
        };
        let tried = in_namespace(&["true"]).stderr(Stdio::null()).status();
        if !tried.is_ok_and(|status| status.success()) {
            eprintln!("skipped: mount namespaces cannot be made here");
            return None;
        }
        let config = temp_file(&format!(
            "models: {{configured_mode: allowlist}}\nretry: {{max_retries: 0}}\n{settings}"
        ));
        let file = config.display().to_string();
        let mut command = in_namespace(&[env!("CARGO_BIN_EXE_ringway"), "serve", "--config", &file]);
        command.env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0").env("RINGWAY_MASTER_KEY", KEY);
        Some(Named { gateway: Gateway::from(command, config), hosts })
    }

    /// Writes the names anew, in place: a file of the same name would not be seen in the namespace.
    fn now(&self, hosts: &str) {
        std::fs::write(&self.hosts, hosts).expect("the hosts file");
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

fn provider(name: &str, host: &str, port: u16) -> String {
    format!("  {name}: {{type: vllm, base_url: 'http://{host}:{port}/v1', models: [m]}}\n")
}

/// An upstream at this address that says where it is.
fn upstream_at(address: &str, port: u16) -> Option<Upstream> {
    let listener = TcpListener::bind((address, port)).ok()?;
    let body = format!(r#"{{"from":"{address}"}}"#);
    Some(Upstream::on(listener, move |_, seen, stream| {
        let answer = if find(&seen.body, b"\"stream\":true").is_some() {
            stream_answer(STREAM.as_bytes(), &[40])
        } else {
            json_answer(200, "", &body)
        };
        let _ = stream.write_all(&answer);
        After::KeepAlive
    }))
}

const NO_RESOLVER: &str = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

#[test]
fn a_name_that_moves_is_followed_though_the_old_address_still_serves() {
    let old = upstream_at("127.0.0.1", 0).expect("a port");
    let new = upstream_at("127.0.0.2", old.port).expect("the same port");
    let settings = format!(
        "server: {{shards: 2}}\nupstream: {{dns_refresh: 100ms}}\nproviders:\n{}",
        provider("up", "moving.test", old.port)
    );
    let Some(named) = Named::start("127.0.0.1 moving.test\n", NO_RESOLVER, &settings) else { return };
    // Two connections on two shards, each with a pooled connection to the old address.
    let mut links = [named.gateway.connect(), named.gateway.connect()];
    let mut from = |index: usize| {
        links[index].send(&post("/v1/chat/completions", ASK));
        links[index].answer(false).text()
    };
    for _ in 0..10 {
        assert_eq!([from(0), from(1)], [r#"{"from":"127.0.0.1"}"#; 2]);
    }
    named.now("127.0.0.2 moving.test\n");
    // Traffic goes on all the time, so no connection lies idle.
    eventually("both shards to follow", || [from(0), from(1)] == [r#"{"from":"127.0.0.2"}"#; 2]);
    let before = old.requests().len();
    for _ in 0..50 {
        assert_eq!([from(0), from(1)], [r#"{"from":"127.0.0.2"}"#; 2]);
    }
    assert_eq!(old.requests().len(), before);
    // A name that is lost keeps its last address: it is better than none.
    named.now("\n");
    let lost = std::time::Instant::now();
    while lost.elapsed() < std::time::Duration::from_millis(1500) {
        assert_eq!([from(0), from(1)], [r#"{"from":"127.0.0.2"}"#; 2]);
    }
    drop(new);
}

#[test]
fn one_dead_address_or_family_does_not_hide_the_living_one() {
    let four = upstream_at("127.0.0.1", 0).expect("a port");
    let Some(six) = upstream_at("::1", 0) else {
        eprintln!("skipped: there is no IPv6 on this machine");
        return;
    };
    // An address that never answers: its queue of connections is full.
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    silent.bind(&std::net::SocketAddr::from(([127, 0, 0, 3], four.port)).into()).unwrap();
    silent.listen(0).unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 3], four.port));
    let timeout = std::time::Duration::from_millis(100);
    let fill: Vec<TcpStream> =
        (0..8).map_while(|_| TcpStream::connect_timeout(&address, timeout).ok()).collect();
    assert!(fill.len() < 8, "the queue is full");
    let hosts = "::1 four.test six.test\n127.0.0.1 four.test six.test\n127.0.0.4 first.test\n127.0.0.1 first.test last.test\n\
                 127.0.0.4 last.test\n127.0.0.3 slow.test\n127.0.0.1 slow.test\n";
    let mut providers = String::from("providers:\n");
    for (name, port) in [
        ("four", four.port),
        ("six", six.port),
        ("first", four.port),
        ("last", four.port),
        ("slow", four.port),
    ] {
        providers += &provider(name, &format!("{name}.test"), port);
    }
    let Some(named) = Named::start(hosts, NO_RESOLVER, &providers) else { return };
    for (name, address) in [
        ("four", "127.0.0.1"),
        ("six", "::1"),
        ("first", "127.0.0.1"),
        ("last", "127.0.0.1"),
        ("slow", "127.0.0.1"),
    ] {
        let answer = named.gateway.chat(&ASK.replace("up/", &format!("{name}/")));
        assert_eq!(answer.text(), format!(r#"{{"from":"{address}"}}"#), "{name}");
    }
}

#[test]
fn an_unknown_name_is_told_and_used_as_soon_as_it_is_known() {
    let upstream = upstream_at("127.0.0.1", 0).expect("a port");
    let settings = format!("providers:\n{}", provider("up", "late.test", upstream.port));
    let Some(named) = Named::start("\n", NO_RESOLVER, &settings) else { return };
    for _ in 0..5 {
        let answer = named.gateway.chat(ASK);
        assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_dns_error"));
    }
    named.now("127.0.0.1 late.test\n");
    eventually("the name to be found", || named.gateway.chat(ASK).status == 200);
}

#[test]
fn a_silent_resolver_costs_its_own_requests_a_bounded_time_and_others_nothing() {
    let upstream = upstream_at("127.0.0.1", 0).expect("a port");
    // It takes questions and never answers.
    let Ok(_silent) = UdpSocket::bind("127.77.0.1:53") else {
        eprintln!("skipped: port 53 cannot be bound here");
        return;
    };
    let settings = format!(
        "upstream: {{connect_timeout: 300ms}}\nproviders:\n{}{}",
        provider("up", "nowhere.test", upstream.port),
        provider("near", "near.test", upstream.port)
    );
    let resolver = "nameserver 127.77.0.1\noptions timeout:2 attempts:1\n";
    let Some(named) = Named::start("127.0.0.1 near.test\n", resolver, &settings) else { return };
    let mut waiting = named.gateway.connect();
    waiting.send(&post("/v1/chat/completions", ASK));
    for _ in 0..20 {
        assert_eq!(named.gateway.chat(&ASK.replace("up/", "near/")).status, 200);
    }
    assert_eq!(waiting.answer(false).error_code(), "upstream_dns_error");
    named.now("127.0.0.1 near.test nowhere.test\n");
    eventually("the name to be found", || named.gateway.chat(ASK).status == 200);
}
