//! What the end-to-end tests share: the real binary, a scripted upstream that records, a raw client that checks framing.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The key that clients of these tests show, and the one that upstreams get.
pub const KEY: &str = "client-key";
pub const UPSTREAM_KEY: &str = "sk-upstream-0123456789";

/// A running gateway; killed when dropped.
pub struct Gateway {
    pub port: u16,
    pub child: Child,
    pub config: PathBuf,
    stderr: Arc<Mutex<String>>,
    /// Its data, unless the test named a folder; goes with the gateway.
    _data: Option<TempFolder>,
}

impl Gateway {
    /// Starts the binary with one provider `up` at this port, and further settings in YAML.
    pub fn start(upstream: u16, settings: &str) -> Gateway {
        let provider =
            format!("type: openai, base_url: 'http://127.0.0.1:{upstream}/v1', api_key: {UPSTREAM_KEY}");
        Gateway::start_with(&format!("providers:\n  up: {{{provider}}}\n{settings}"), &[])
    }

    /// Starts the binary with these settings; a key and a free port are added.
    pub fn start_with(settings: &str, env: &[(&str, &str)]) -> Gateway {
        let config = temp_file(settings);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
        command.args(["serve", "--config"]).arg(&config).env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0");
        command.env("RINGWAY_MASTER_KEY", KEY).envs(env.iter().copied());
        Gateway::from(command, config)
    }

    /// Runs a prepared command and waits for the line that tells its address.
    pub fn from(mut command: Command, config: PathBuf) -> Gateway {
        let is_named = command.get_envs().any(|(name, _)| name == "RINGWAY_DATA_DIR");
        let data = (!is_named).then(TempFolder::new);
        // Tests look at its descriptors, which else nobody but root may.
        if !command.get_envs().any(|(name, _)| name == "RINGWAY_SERVER_CORE_DUMPS") {
            command.env("RINGWAY_SERVER_CORE_DUMPS", "true");
        }
        if let Some(data) = &data {
            command.env("RINGWAY_DATA_DIR", &data.0);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut pipe = child.stderr.take().expect("a pipe");
        let stderr = Arc::new(Mutex::new(String::new()));
        let copy = stderr.clone();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = pipe.read(&mut bytes) {
                if count == 0 {
                    break;
                }
                copy.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        let mut gateway = Gateway { port: 0, child, config, stderr, _data: data };
        let line = gateway.wait_for_line("listening on ");
        let address = line.split("://").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
        gateway.port = address.parse::<SocketAddr>().expect("an address").port();
        gateway
    }

    /// The first line on stderr that holds the text; fails the test when the process ends or says nothing for long.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let mut found = None;
        eventually(&format!("the line `{text}`"), || {
            found = self.stderr().lines().find(|line| line.contains(text)).map(str::to_owned);
            assert!(found.is_some() || self.child.try_wait().unwrap().is_none(), "ended: {}", self.stderr());
            found.is_some()
        });
        found.unwrap()
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    pub fn connect(&self) -> Link {
        Link::to(self.port)
    }

    /// One request on a connection of its own.
    pub fn call(&self, request: &[u8]) -> Answer {
        let mut link = self.connect();
        link.send(request);
        link.answer(false)
    }

    /// A chat with this body.
    pub fn chat(&self, body: &str) -> Answer {
        self.call(&post("/v1/chat/completions", body))
    }

    pub fn signal(&self, signal: i32) {
        let status = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// The value of a metric's sample, 0 when it is not there.
    pub fn metric(&self, sample: &str) -> f64 {
        let page = self.call(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").text();
        let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    pub fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    pub fn fds(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("/proc").count()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.config);
    }
}

/// A file of this process that no other test uses.
pub fn temp_file(text: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("ringway-e2e-{}-{}.yaml", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).expect("a temporary file");
    path
}

/// A folder that goes with the value.
pub struct TempFolder(pub PathBuf);

impl TempFolder {
    pub fn new() -> TempFolder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ringway-e2e-{}-data-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        // Some tests run the gateway as somebody else.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&path, everybody).expect("permissions");
        TempFolder(path)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until the condition holds; the bound only keeps a failing test from hanging.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A POST of JSON with the key of these tests.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    post_with(path, "", body.as_bytes())
}

/// The same with further header lines.
pub fn post_with(path: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n{lines}\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n").into_bytes()
}

/// A raw client connection, plain or under TLS.
pub struct Link {
    pub stream: TcpStream,
    pub tls: Option<rustls::ClientConnection>,
    /// The connection ended by an error, or under TLS without a goodbye.
    pub is_cut: bool,
    rest: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// The body came to the end that its framing promised.
    pub is_whole: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    /// The code of the error object; fails when the body is none.
    pub fn error_code(&self) -> String {
        let value: serde_json::Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {} {}", self.head, self.text()));
        for member in ["message", "type", "param", "code"] {
            assert!(value["error"].get(member).is_some(), "{member} is missing in {value}");
        }
        value["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Link {
    pub fn to(port: u16) -> Link {
        Link::over(TcpStream::connect(("127.0.0.1", port)).expect("a connection"))
    }

    pub fn over(stream: TcpStream) -> Link {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        Link { stream, tls: None, is_cut: false, rest: Vec::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // The gateway may refuse before it has read all; what it says is read next.
        let _ = match &mut self.tls {
            None => self.stream.write_all(bytes),
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).write_all(bytes),
        };
    }

    fn more(&mut self) -> bool {
        let mut bytes = [0; 65536];
        let result = match &mut self.tls {
            None => self.stream.read(&mut bytes),
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).read(&mut bytes),
        };
        match result {
            Ok(0) => false,
            Ok(count) => {
                self.rest.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the gateway said nothing for 30 s; so far: {:?}", String::from_utf8_lossy(&self.rest))
            }
            Err(_) => {
                self.is_cut = true;
                false
            }
        }
    }

    /// Reads until this text has come.
    pub fn read_until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = find(&self.rest, text.as_bytes()) {
                let read: Vec<u8> = self.rest.drain(..at + text.len()).collect();
                return String::from_utf8_lossy(&read).into_owned();
            }
            assert!(self.more(), "`{text}` did not come: {:?}", String::from_utf8_lossy(&self.rest));
        }
    }

    /// Everything until the connection is closed.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.rest)
    }

    /// Whether the peer has closed, with nothing left to read.
    pub fn is_closed(&mut self) -> bool {
        self.rest.is_empty() && !self.more()
    }

    /// The next answer; status 0 when the connection closes before one.
    pub fn answer(&mut self, is_head: bool) -> Answer {
        let head_end = loop {
            if let Some(at) = find(&self.rest, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more() {
                let head = String::from_utf8_lossy(&self.rest).into_owned();
                return Answer { status: 0, head, body: Vec::new(), is_whole: false };
            }
        };
        let head = String::from_utf8_lossy(&self.rest[..head_end]).into_owned();
        self.rest.drain(..head_end);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let lower = head.to_lowercase();
        let mut answer = Answer { status, head, body: Vec::new(), is_whole: true };
        if status < 200 || status == 204 || status == 304 || is_head {
            return answer;
        }
        if lower.contains("transfer-encoding: chunked") {
            answer.is_whole = self.chunked(&mut answer.body);
        } else if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().expect("a length");
            while self.rest.len() < length && self.more() {}
            answer.is_whole = self.rest.len() >= length;
            answer.body = self.rest.drain(..length.min(self.rest.len())).collect();
        } else {
            answer.body = self.read_to_end();
            // Only an orderly end is the end of such a body.
            answer.is_whole = !self.is_cut;
        }
        answer
    }

    fn chunked(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let line_end = loop {
                match find(&self.rest, b"\r\n") {
                    Some(at) => break at,
                    None if self.more() => {}
                    None => return false,
                }
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.rest[..line_end]).unwrap(), 16)
                .expect("a size");
            self.rest.drain(..line_end + 2);
            while self.rest.len() < size + 2 && self.more() {}
            if self.rest.len() < size + 2 {
                body.append(&mut self.rest);
                return false;
            }
            body.extend_from_slice(&self.rest[..size]);
            assert_eq!(&self.rest[size..size + 2], b"\r\n", "a chunk ends in CRLF");
            self.rest.drain(..size + 2);
            if size == 0 {
                return true;
            }
        }
    }
}

pub fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// A request as the upstream got it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }
}

/// What the script does with the connection after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    KeepAlive,
    Close,
    /// A reset instead of an orderly close.
    Reset,
    /// Nothing more is sent or read until the gateway closes.
    Hold,
}

/// A scripted upstream that records what it gets. Its script is called for each request with its number.
pub struct Upstream {
    pub port: u16,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    /// Requests for the list of models that were answered here.
    listed: Arc<Mutex<Vec<Seen>>>,
    pub connections: Arc<AtomicUsize>,
    /// Connections that the gateway closed while they were held.
    pub released: Arc<AtomicUsize>,
}

impl Upstream {
    pub fn start(script: impl Fn(usize, &Seen, &mut TcpStream) -> After + Send + Sync + 'static) -> Upstream {
        Upstream::on(TcpListener::bind("127.0.0.1:0").expect("a port"), script)
    }

    /// The same on a listener of the test's own.
    pub fn on(
        listener: TcpListener,
        script: impl Fn(usize, &Seen, &mut TcpStream) -> After + Send + Sync + 'static,
    ) -> Upstream {
        let port = listener.local_addr().unwrap().port();
        let upstream = Upstream {
            port,
            seen: Arc::default(),
            listed: Arc::default(),
            connections: Arc::default(),
            released: Arc::default(),
        };
        let listed = upstream.listed.clone();
        let (seen, connections, released) =
            (upstream.seen.clone(), upstream.connections.clone(), upstream.released.clone());
        let (script, number) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (seen, script, number, released) =
                    (seen.clone(), script.clone(), number.clone(), released.clone());
                let listed = listed.clone();
                thread::spawn(move || serve(stream, [&seen, &listed], &number, &released, &*script));
            }
        });
        upstream
    }

    /// Answers every chat with these bytes.
    pub fn answering(bytes: impl Into<Vec<u8>>, after: After) -> Upstream {
        let bytes = bytes.into();
        Upstream::start(move |_, _, stream| {
            let _ = stream.write_all(&bytes);
            after
        })
    }

    /// The requests so far but for those for the list of models.
    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// All requests so far, first those of [`Upstream::requests`].
    pub fn every_request(&self) -> Vec<Seen> {
        let mut all = self.requests();
        all.extend(self.listed.lock().unwrap().iter().cloned());
        all
    }
}

fn serve(
    mut stream: TcpStream,
    [seen, listed]: [&Mutex<Vec<Seen>>; 2],
    number: &AtomicUsize,
    released: &AtomicUsize,
    script: &(dyn Fn(usize, &Seen, &mut TcpStream) -> After + Send + Sync),
) {
    let _ = stream.set_nodelay(true);
    let mut rest = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut rest) {
        if request.head.starts_with("GET /v1/models ") {
            let body =
                r#"{"object":"list","data":[{"id":"m","object":"model"},{"id":"org/n","object":"model"}]}"#;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            listed.lock().unwrap().push(request);
            let _ = stream.write_all(answer.as_bytes());
            continue;
        }
        seen.lock().unwrap().push(request.clone());
        match script(number.fetch_add(1, Ordering::SeqCst), &request, &mut stream) {
            After::KeepAlive => {}
            After::Close => {
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                while matches!(stream.read(&mut [0; 4096]), Ok(count) if count > 0) {}
                return;
            }
            After::Reset => {
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                return;
            }
            After::Hold => {
                while matches!(stream.read(&mut [0; 4096]), Ok(count) if count > 0) {}
                released.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
    }
}

/// Reads one request; `None` when the connection ends before it does.
pub fn read_request(stream: &mut impl Read, rest: &mut Vec<u8>) -> Option<Seen> {
    let mut more = |rest: &mut Vec<u8>| {
        let mut bytes = [0; 65536];
        match stream.read(&mut bytes) {
            Ok(count) if count > 0 => {
                rest.extend_from_slice(&bytes[..count]);
                true
            }
            _ => false,
        }
    };
    let end = loop {
        if let Some(at) = find(rest, b"\r\n\r\n") {
            break at + 4;
        }
        if !more(rest) {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&rest[..end]).into_owned();
    rest.drain(..end);
    let mut request = Seen { head, body: Vec::new() };
    if let Some(length) = request.header("content-length") {
        let length: usize = length.parse().expect("the gateway sends good lengths");
        while rest.len() < length {
            if !more(rest) {
                return None;
            }
        }
        request.body = rest.drain(..length).collect();
    } else if request.header("transfer-encoding").is_some() {
        loop {
            while find(rest, b"\r\n").is_none() {
                if !more(rest) {
                    return None;
                }
            }
            let line_end = find(rest, b"\r\n").unwrap();
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line_end]).unwrap(), 16)
                .expect("a good size");
            while rest.len() < line_end + 2 + size + 2 {
                if !more(rest) {
                    return None;
                }
            }
            request.body.extend_from_slice(&rest[line_end + 2..line_end + 2 + size]);
            rest.drain(..line_end + 2 + size + 2);
            if size == 0 {
                break;
            }
        }
    }
    Some(request)
}

/// An answer of JSON with a length.
pub fn json_answer(status: u16, lines: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{lines}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A stream of events in chunks of these sizes.
pub fn stream_answer(body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let (mut rest, mut turn) = (body, 0);
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(sizes[turn % sizes.len()].min(rest.len()));
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
        rest = behind;
        turn += 1;
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

pub const CHAT: &str = r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
pub const STREAM: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\\u00e9\"},\"finish_reason\":null}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
pub const ASK: &str = r#"{"model":"up/m","messages":[{"role":"user","content":"hi"}]}"#;
pub const ASK_STREAM: &str = r#"{"model":"up/m","stream":true,"messages":[]}"#;
