//! Faults of connections: half-closes, descriptors that run out, upstreams that sleep or answer early, clients of all
//! manners.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::thread;

use crate::support::*;

fn echo() -> Upstream {
    Upstream::start(|_, seen, stream| {
        let _ = stream.write_all(&json_answer(200, "", &String::from_utf8_lossy(&seen.body)));
        After::KeepAlive
    })
}

/// The end of a client's stream is its leaving: it cannot be told from a closed socket, and a paid answer that nobody
/// reads must not go on. What needs no upstream is answered all the same.
#[test]
fn a_client_that_ends_its_side_is_taken_as_gone() {
    let upstream = Upstream::answering(b"", After::Hold);
    let gateway = Gateway::start(upstream.port, "");
    let mut link = gateway.connect();
    link.send(&post("/v1/chat/completions", ASK));
    eventually("the request at the upstream", || upstream.requests().len() == 1);
    link.stream.shutdown(Shutdown::Write).unwrap();
    eventually("the upstream to be closed", || upstream.released.load(Ordering::SeqCst) == 1);
    assert!(link.is_closed());
    let mut link = gateway.connect();
    link.send(&get("/health"));
    link.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(link.answer(false).status, 200);
    assert!(link.is_closed());
}

#[test]
fn running_out_of_descriptors_pauses_the_accepting_and_nothing_spins() {
    let upstream = echo();
    let provider = format!("{{type: vllm, base_url: 'http://127.0.0.1:{}/v1', models: [m]}}", upstream.port);
    let config = temp_file(&format!(
        "server: {{shards: 1}}\nmodels: {{configured_mode: allowlist}}\nproviders:\n  up: {provider}\n"
    ));
    let mut command = Command::new("prlimit");
    command.args(["--nofile=64", env!("CARGO_BIN_EXE_ringway"), "serve", "--config"]).arg(&config);
    command.env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0").env("RINGWAY_MASTER_KEY", KEY);
    let mut gateway = Gateway::from(command, config);
    let mut first = gateway.connect();
    let served = |link: &mut Link| {
        link.send(&post("/v1/chat/completions", ASK));
        link.answer(false).status
    };
    assert_eq!(served(&mut first), 200);
    let mut links: Vec<Link> = (0..200).map(|_| gateway.connect()).collect();
    gateway.wait_for_line("cannot accept connections");
    let before = cpu_ticks(&gateway);
    for _ in 0..20 {
        assert_eq!(served(&mut first), 200, "connections that are there are served");
        thread::sleep(std::time::Duration::from_millis(50));
    }
    let spent = cpu_ticks(&gateway) - before;
    assert!(spent < 30, "{spent} ticks of 10 ms in a second");
    // Those that wait in the queue are served as soon as others leave.
    let mut last = links.split_off(150);
    drop(links);
    for link in &mut last {
        link.send(&get("/health"));
    }
    assert!(last.iter_mut().take(20).all(|link| link.answer(false).status == 200));
    drop(last);
    eventually("new connections", || gateway.chat(ASK).status == 200);
}

/// The process's time on CPUs, in ticks of 10 ms.
fn cpu_ticks(gateway: &Gateway) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.child.id())).expect("/proc");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn late_bytes_of_an_upstream_that_slept_reach_nobody() {
    let config = temp_file("");
    let mut simulated = Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(["simulate", "--listen", "127.0.0.1:0"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the simulated provider");
    let mut said = std::io::BufReader::new(simulated.stderr.take().unwrap());
    let simulated = KilledAtEnd(simulated);
    let mut line = String::new();
    while !line.contains("http://") {
        line.clear();
        assert!(
            std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0,
            "the simulated provider ended"
        );
    }
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let settings = format!(
        "retry: {{max_retries: 0}}\nupstream: {{first_byte_timeout: 300ms}}\nproviders:\n  up: {{type: vllm, base_url: 'http://{address}/v1', models: [m]}}\n"
    );
    let gateway = Gateway::start_with(&settings, &[]);
    let mut links: Vec<Link> = (0..8).map(|_| gateway.connect()).collect();
    let ask = |link: &mut Link, id: &str| {
        link.send(&post("/v1/chat/completions", &ASK.replace("hi", id)));
        link.answer(false)
    };
    for link in &mut links {
        assert_eq!(ask(link, "before").status, 200);
    }
    // Every thread must have stopped: the signal takes a moment to reach one that runs.
    let is_stopped = |pid: u32| {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        threads
            .map(|thread| std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default())
            .all(|stat| stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T')))
    };
    let stop = |signal: &str, pid: u32| {
        assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
        eventually("the signal to arrive", || is_stopped(pid) == (signal == "-STOP"));
    };
    for round in 0..3 {
        stop("-STOP", simulated.0.id());
        for link in &mut links {
            let answer = ask(link, "asleep");
            assert_eq!(
                (answer.status, answer.error_code().as_str()),
                (504, "upstream_first_byte_timeout"),
                "{round}"
            );
        }
        stop("-CONT", simulated.0.id());
        for link in &mut links {
            for turn in 0..20 {
                let answer = ask(link, &format!("awake-{round}-{turn}"));
                assert!(answer.status == 200 && answer.is_whole, "{} {}", answer.head, answer.text());
            }
        }
    }
    let _ = std::fs::remove_file(config);
}

/// A process that ends with its test, even when it is stopped and the test fails.
struct KilledAtEnd(std::process::Child);

impl Drop for KilledAtEnd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_upstream_that_closes_in_the_instant_of_reuse_costs_no_client_an_error() {
    // After each answer it closes at once, after a moment, or after the next request's first bytes came.
    let upstream = Upstream::start(|number, seen, stream| {
        let _ = stream.write_all(&json_answer(200, "", &String::from_utf8_lossy(&seen.body)));
        match number % 4 {
            0 => After::KeepAlive,
            1 => After::Close,
            2 => After::Reset,
            _ => {
                // The next request is read in part or not at all; its sender sees a close or a reset.
                let _ = stream.set_read_timeout(Some(std::time::Duration::from_micros(200)));
                let _ = stream.read(&mut [0; 64]);
                After::Reset
            }
        }
    });
    let gateway = Gateway::start(upstream.port, "retry: {max_retries: 0}\n");
    let port = gateway.port;
    let clients: Vec<_> = (0..4)
        .map(|client| {
            thread::spawn(move || {
                let mut link = Link::to(port);
                for turn in 0..2_500 {
                    let body = format!(r#"{{"model":"m","id":"{client}-{turn}"}}"#);
                    link.send(&post("/v1/chat/completions", &body));
                    let answer = link.answer(false);
                    assert_eq!((answer.status, answer.text()), (200, body), "client {client}, turn {turn}");
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("no client saw an error"));
}

#[test]
fn expectations_are_met_refused_or_overtaken() {
    let upstream = echo();
    const ASK: &str = r#"{"model":"m","messages":[]}"#;
    let gateway = Gateway::start(upstream.port, "");
    let whole = |lines: &str| post_with("/v1/chat/completions", lines, ASK.as_bytes());
    // A body that comes at once needs no word.
    let mut link = gateway.connect();
    link.send(&whole("expect: 100-continue\r\n"));
    assert_eq!((link.answer(false).text().as_str(), link.answer_of(&get("/health")).status), (ASK, 200));
    // Nor does a request without a body.
    link.send(b"GET /health HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(link.answer(false).status, 200);
    // HTTP/1.0 knows no interim answers.
    let request =
        String::from_utf8(whole("Expect: 100-Continue\r\n")).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    let (head, body) = request.split_at(request.len() - ASK.len());
    let mut link = gateway.connect();
    link.send(head.as_bytes());
    link.send(body.as_bytes());
    assert_eq!(link.answer(false).text(), ASK);
    // Others cannot be met.
    let mut link = gateway.connect();
    link.send(&whole("expect: something\r\n"));
    assert_eq!((link.answer(false).status, link.is_closed()), (417, true));
    // A chunked body, told to go on.
    let mut link = gateway.connect();
    link.send(format!("POST /p/up/x HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes());
    assert_eq!(link.answer(false).status, 100);
    link.send(b"3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(link.answer(false).text(), "abc");
    // A body that is too large is refused before it is sent.
    let mut link = gateway.connect();
    link.send(format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nexpect: 100-continue\r\ncontent-length: 999999999\r\n\r\n").as_bytes());
    let answer = link.answer(false);
    assert_eq!((answer.status, link.is_closed()), (413, true), "{}", answer.head);
}

impl Link {
    fn answer_of(&mut self, request: &[u8]) -> Answer {
        self.send(request);
        self.answer(false)
    }
}

#[test]
fn clients_of_the_first_version_get_answers_that_they_can_read() {
    let upstream = Upstream::start(|_, seen, stream| {
        let is_stream = find(&seen.body, b"\"stream\":true").is_some();
        let answer =
            if is_stream { stream_answer(STREAM.as_bytes(), &[9]) } else { json_answer(200, "", CHAT) };
        let _ = stream.write_all(&answer);
        After::KeepAlive
    });
    let gateway = Gateway::start(upstream.port, "");
    for (ask, want) in [(ASK, CHAT), (ASK_STREAM, STREAM)] {
        let request =
            String::from_utf8(post("/v1/chat/completions", ask)).unwrap().replace("HTTP/1.1", "HTTP/1.0");
        let mut link = gateway.connect();
        link.send(request.as_bytes());
        let said = String::from_utf8(link.read_to_end()).unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200") && body == want, "{said}");
        assert!(!head.contains("chunked") && head.contains("connection: close"), "{head}");
    }
    // One that asks for it keeps its connection where the answer has a length, and is told so.
    let mut link = gateway.connect();
    let chat =
        String::from_utf8(post_with("/v1/chat/completions", "connection: keep-alive\r\n", ASK.as_bytes()))
            .unwrap();
    for request in
        ["GET /health HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", &chat.replace("HTTP/1.1", "HTTP/1.0")]
            .repeat(3)
    {
        let answer = link.answer_of(request.as_bytes());
        assert_eq!((answer.status, answer.header("connection").as_deref()), (200, Some("keep-alive")));
    }
}

/// Every refusal that leaves the connection open, each followed by a good request: it is answered once.
#[test]
fn a_refused_request_is_answered_once() {
    let upstream = echo();
    let gateway = Gateway::start(upstream.port, "upstream: {connect_timeout: 1s}\nretry: {max_retries: 0}\n");
    let chat = |body: &str| post("/v1/chat/completions", body);
    let cases = [
        (get("/nope"), 404),
        (get("/v1/chat/completions"), 405),
        (b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), 401),
        (get("/v1/models/none"), 404),
        (get("/v1/files?provider=nobody"), 404),
        (chat("{broken"), 400),
        (chat(r#"{"model":7}"#), 400),
        (chat(r#"{"model":"m","model":"m"}"#), 400),
        (post("/v1/things?provider=nobody", "{}"), 404),
    ];
    let mut link = gateway.connect();
    for (request, status) in cases {
        let shown = String::from_utf8_lossy(&request).into_owned();
        let answer = link.answer_of(&request);
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
        if answer.header("connection").is_some() {
            assert!(link.is_closed(), "{shown}");
            link = gateway.connect();
        }
        assert_eq!(link.answer_of(&chat(r#"{"model":"m"}"#)).text(), r#"{"model":"m"}"#, "behind {shown}");
    }
}

#[test]
fn pipelined_requests_with_refusals_between_them_keep_their_order() {
    let upstream = echo();
    let gateway = Gateway::start(upstream.port, "");
    let good = |n: usize| post("/v1/chat/completions", &format!(r#"{{"model":"m","n":{n}}}"#));
    let mut link = gateway.connect();
    let requests = [
        good(0),
        post("/v1/chat/completions", "{broken"),
        good(1),
        get("/v1/models/none"),
        get("/health"),
        good(2),
    ];
    link.send(&requests.concat());
    let statuses: Vec<u16> = (0..requests.len()).map(|_| link.answer(false).status).collect();
    assert_eq!(statuses, [200, 400, 200, 404, 200, 200]);
    // What is no HTTP ends the connection; nothing behind it is looked at.
    let mut link = gateway.connect();
    link.send(&[&good(0)[..], b"BROKEN\r\n\r\n", &good(1)].concat());
    assert_eq!((link.answer(false).status, link.answer(false).status, link.is_closed()), (200, 400, true));
}

#[test]
fn head_gets_the_head_of_everything_and_no_body() {
    let upstream = Upstream::start(|_, seen, stream| {
        assert!(seen.head.starts_with("HEAD "));
        let lines = ["content-length: 5", "transfer-encoding: chunked", "x: none"];
        let line =
            lines.iter().find(|line| seen.head.contains(&format!("/{} ", &line[..1]))).expect("a known path");
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n").as_bytes());
        After::KeepAlive
    });
    let gateway = Gateway::start(upstream.port, "server: {shards: 1}\n");
    let mut link = gateway.connect();
    let paths = [
        "/health",
        "/health/ready",
        "/metrics",
        "/v1/models",
        "/v1/models/none",
        "/nope",
        "/p/up/c",
        "/p/up/t",
        "/p/up/x",
        "/v1/chat/completions",
    ];
    for path in paths {
        let request = String::from_utf8(get(path)).unwrap().replace("GET ", "HEAD ");
        link.send(request.as_bytes());
        let answer = link.answer(true);
        assert!((200..500).contains(&answer.status), "{path}: {}", answer.head);
        // The next answer follows at once, so no byte of a body stood between.
        link.send(&get("/health"));
        assert_eq!(link.answer(false).status, 200, "{path}");
    }
}

/// An upstream that answers an upload after its head and reads no byte of its body.
#[test]
fn an_early_answer_to_an_upload_reaches_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut head = Vec::new();
                while find(&head, b"\r\n\r\n").is_none() {
                    let mut byte = [0];
                    if stream.read(&mut byte).unwrap_or(0) == 0 {
                        return;
                    }
                    head.push(byte[0]);
                }
                // The gateway must be stuck in sending before the answer comes: both kernels' buffers are full by then.
                wait_until_full(&stream);
                let _ = stream.write_all(&json_answer(413, "", r#"{"error":{"message":"too large"}}"#));
                // The connection stays open and unread.
                thread::sleep(std::time::Duration::from_secs(20));
            });
        }
    });
    let gateway = Gateway::start(port, "upstream: {idle_timeout: 10s}\nretry: {max_retries: 0}\n");
    for framing in ["content-length: 99999999999", "transfer-encoding: chunked"] {
        let mut link = gateway.connect();
        link.send(
            format!("PUT /p/up/file HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n{framing}\r\n\r\n").as_bytes(),
        );
        let mut writer = link.stream.try_clone().unwrap();
        let chunked = framing.starts_with("transfer");
        let sender = thread::spawn(move || {
            let piece = [&b"10000\r\n"[..], &[b'x'; 65536], b"\r\n"].concat();
            let piece = if chunked { &piece[..] } else { &piece[7..65543] };
            while writer.write_all(piece).is_ok() {}
        });
        let answer = link.answer(false);
        assert_eq!((answer.status, answer.is_whole), (413, true), "{framing}: {}", answer.head);
        drop(link.read_to_end());
        drop(link);
        sender.join().expect("the sender ends");
    }
}

/// Waits until what arrives for a stream no longer grows.
fn wait_until_full(stream: &TcpStream) {
    let (mut before, mut same) = (0, 0);
    while same < 20 {
        thread::sleep(std::time::Duration::from_millis(5));
        let now = stream.peek(&mut vec![0; 8 << 20]).unwrap_or(0);
        same = if now == before && now > 0 { same + 1 } else { 0 };
        before = now;
    }
}

/// A provider that reads nothing must not keep the gateway from seeing that the client left.
#[test]
fn a_client_that_leaves_while_its_body_is_stuck_closes_the_upstream() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let gateway = Gateway::start(port, "retry: {max_retries: 0}\n");
    let mut link = gateway.connect();
    let body = format!(r#"{{"model":"up/m","text":"{}"}}"#, "x".repeat(9 << 20));
    link.send(&post("/v1/chat/completions", &body));
    let mut upstream = loop {
        let (stream, _) = listener.accept().unwrap();
        let mut start = [0; 4];
        if stream.peek(&mut start).unwrap_or(0) == 4 && &start == b"POST" {
            break stream;
        }
    };
    wait_until_full(&upstream);
    drop(link);
    eventually("the exchange to end", || gateway.metric("ringway_requests_in_flight") == 1.0);
    let _ = std::io::copy(&mut upstream, &mut std::io::sink());
}
