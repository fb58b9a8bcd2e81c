//! Start, reload, stop, and machines without io_uring.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::support::*;

const TERM: i32 = 15;
const HUP: i32 = 1;

/// An upstream whose streams go on until the test lets them end.
fn gated() -> (Upstream, Arc<(Mutex<bool>, Condvar)>) {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let inner = gate.clone();
    let upstream = Upstream::start(move |_, _, stream| {
        let bytes = stream_answer(STREAM.as_bytes(), &[find(STREAM.as_bytes(), b"\n\n").unwrap() + 2]);
        let half = find(&bytes, b"\n\n\r\n").map_or(bytes.len(), |at| at + 4);
        let _ = stream.write_all(&bytes[..half]);
        let (open, changed) = &*inner;
        let guard = open.lock().unwrap();
        drop(changed.wait_while(guard, |open| !*open).unwrap());
        let _ = stream.write_all(&bytes[half..]);
        After::KeepAlive
    });
    (upstream, gate)
}

fn open_gate(gate: &(Mutex<bool>, Condvar)) {
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
}

#[test]
fn a_drain_lets_streams_finish_and_takes_nothing_new() {
    let (upstream, gate) = gated();
    let mut gateway = Gateway::start(upstream.port, "");
    let mut idle = gateway.connect();
    idle.send(&get("/health"));
    assert_eq!(idle.answer(false).status, 200);
    let mut link = gateway.connect();
    link.send(&post("/v1/chat/completions", ASK_STREAM));
    let begun = link.read_until("data: ");
    gateway.signal(TERM);
    gateway.wait_for_line("draining");
    assert!(idle.is_closed(), "idle connections are closed");
    eventually("new connections to be refused", || TcpStream::connect(("127.0.0.1", gateway.port)).is_err());
    assert!(gateway.child.try_wait().unwrap().is_none(), "the stream still runs");
    open_gate(&gate);
    let rest = String::from_utf8(link.read_to_end()).unwrap();
    assert!((begun + &rest).contains("[DONE]") && rest.ends_with("0\r\n\r\n"));
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let (upstream, _gate) = gated();
    let mut gateway = Gateway::start(upstream.port, "");
    let mut link = gateway.connect();
    link.send(&post("/v1/chat/completions", ASK_STREAM));
    link.read_until("data: ");
    gateway.signal(TERM);
    gateway.wait_for_line("draining");
    gateway.signal(TERM);
    assert_eq!(gateway.child.wait().unwrap().code(), Some(1));
    let rest = String::from_utf8_lossy(&link.read_to_end()).into_owned();
    assert!(!rest.contains("[DONE]") && !rest.ends_with("0\r\n\r\n"));
}

#[test]
fn reloads_under_load_drop_nothing_and_a_broken_file_changes_nothing() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let provider = format!("{{type: openai, base_url: 'http://127.0.0.1:{}/v1', api_key: k}}", upstream.port);
    let settings = |more: &str| format!("providers:\n  up: {provider}\n{more}");
    let mut gateway = Gateway::start_with(&settings(""), &[]);
    let (stop, done, port) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), gateway.port);
    let clients: Vec<_> = (0..8)
        .map(|index| {
            let (stop, done) = (stop.clone(), done.clone());
            thread::spawn(move || {
                let mut link = Link::to(port);
                while !stop.load(Ordering::Relaxed) {
                    if index % 2 == 0 {
                        link = Link::to(port);
                    }
                    link.send(&post("/v1/chat/completions", ASK));
                    let answer = link.answer(false);
                    assert_eq!((answer.status, answer.text().as_str()), (200, CHAT));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for turn in 1..=20 {
        std::fs::write(&gateway.config, settings(&format!("  extra{turn}: {provider}\n"))).unwrap();
        gateway.signal(HUP);
        gateway.wait_for_line(&format!("reloaded (generation {turn})"));
        let before = done.load(Ordering::Relaxed);
        eventually("traffic", || done.load(Ordering::Relaxed) > before + 10);
    }
    std::fs::write(&gateway.config, "providers:\n  up: {type: nonsense}\nserver: {shards: x}\nunknown: 1\n")
        .unwrap();
    gateway.signal(HUP);
    gateway.wait_for_line("the old ones stay active");
    let said = gateway.stderr();
    for text in ["there is no provider type `nonsense`", "server.shards", "unknown: is not a setting"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let answer = gateway.chat(&ASK.replace("up/", "extra20/"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("no client saw a failure"));
}

/// The kernel resets handshakes that are half done when a listener stops, unless `net.ipv4.tcp_migrate_req` lets it hand
/// them to the new process's listener. That setting belongs to a network namespace, so the test runs itself in its own.
#[test]
fn a_new_process_takes_over_beside_the_old_one_and_no_client_is_refused() {
    const INSIDE: &str = "E2E_IN_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        return take_over_under_load();
    }
    let prepare = "ip link set lo up && echo 1 > /proc/sys/net/ipv4/tcp_migrate_req && exec \"$@\"";
    let inside = |what: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", prepare, "sh"]).args(what).env(INSIDE, "1");
        command.output().is_ok_and(|output| {
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            output.status.success()
        })
    };
    if !inside(&["true"]) {
        return eprintln!("skipped: network namespaces cannot be made here");
    }
    let own = std::env::current_exe().unwrap().display().to_string();
    let name = "lifecycle::a_new_process_takes_over_beside_the_old_one_and_no_client_is_refused";
    assert!(inside(&[&own, "--exact", name, "--nocapture"]));
}

fn take_over_under_load() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let mut old = Gateway::start(upstream.port, "server: {shards: 2}\n");
    let (port, provider) = (
        old.port,
        format!("{{type: openai, base_url: 'http://127.0.0.1:{}/v1', api_key: k}}", upstream.port),
    );
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, done) = (stop.clone(), done.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let mut link = Link::to(port);
                    link.send(&post_with("/v1/chat/completions", "connection: close\r\n", ASK.as_bytes()));
                    let answer = link.answer(false);
                    assert_eq!(
                        (answer.status, answer.text().as_str()),
                        (200, CHAT),
                        "after {done:?} connections"
                    );
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let more = |count: usize| {
        let before = done.load(Ordering::SeqCst);
        eventually("traffic", || {
            done.load(Ordering::SeqCst) > before + count || clients.iter().any(|client| client.is_finished())
        });
    };
    for _ in 0..5 {
        more(200);
        let config = temp_file(&format!("server: {{shards: 2}}\nproviders:\n  up: {provider}\n"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
        command.args(["serve", "--config"]).arg(&config).env("RINGWAY_MASTER_KEY", KEY);
        command.env("RINGWAY_SERVER_LISTEN", format!("127.0.0.1:{port}"));
        let new = Gateway::from(command, config);
        more(50);
        old.signal(TERM);
        assert_eq!(old.child.wait().unwrap().code(), Some(0));
        more(200);
        old = new;
    }
    stop.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().expect("no client was refused or cut"));
    assert!(done.load(Ordering::SeqCst) >= 2_000);
}

#[test]
fn settings_with_many_mistakes_list_them_all_with_their_lines() {
    let text = "server:\n  listen: nowhere\n  driver: fast\n  head_timout: 3s\nauth:\n  master_key: ${UNSET_VARIABLE}\nretry:\n  \
                statuses: [200]\n  statuses: [500]\nproviders:\n  a: {type: opanai, api_key: k}\n  b: {type: openai}\n  c: 7\nmodels:\n  \
                default_provider: nobody\n";
    let config = temp_file(text);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    let output = command
        .args(["check", "--config"])
        .arg(&config)
        .env("RINGWAY_TYPO", "1")
        .env_remove("RINGWAY_DRIVER")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let file = config.display().to_string();
    for (line, what) in [
        (2, "server.listen: `nowhere` cannot be used; expected an address and port"),
        (3, "server.driver: `fast` cannot be used; expected one of auto, io_uring, epoll"),
        (4, "server.head_timout: is not a setting; expected `server.head_timeout`"),
        (6, "auth.master_key: the variable UNSET_VARIABLE is not set"),
        (8, "retry.statuses: `200` cannot be used"),
        (9, "statuses: stands twice in its group"),
        (11, "providers.a.type: there is no provider type `opanai`; expected `openai`"),
        (12, "providers.b.api_key: is missing"),
        (13, "providers.c: a single value stands here"),
        (15, "models.default_provider: there is no provider `nobody`"),
    ] {
        let found = said.lines().any(|said| said.contains(&format!("{file}:{line}:")) && said.contains(what));
        assert!(found, "line {line}: {what}\n{said}");
    }
    assert!(said.contains("environment: RINGWAY_TYPO: is not a variable of Ringway"), "{said}");
    let _ = std::fs::remove_file(config);
}

#[test]
fn providers_are_found_in_the_environment() {
    let env = [
        ("OPENAI_API_KEY", "sk-one-0123456789"),
        ("OPENAI_EAST_API_KEY", "sk-two-0123456789"),
        ("OPENAI_EAST_BASE_URL", "https://east.example/v1"),
        ("GROQ_API_KEY", "g"),
        ("XAI_API_KEY", "x"),
        ("AZURE_API_KEY", "a"),
        ("AZURE_BASE_URL", "https://r.openai.azure.com/openai/deployments/d"),
        ("ORACLE_API_KEY", "o"),
        ("ORACLE_BASE_URL", "https://inference.generativeai.r.oci.oraclecloud.com/openai/v1"),
        ("OLLAMA_BASE_URL", "http://localhost:11434/v1"),
        ("MISTRAL_BASE_URL", "http://only.a.base.url/v1"),
        ("VLLM_GPU_2_BASE_URL", "http://gpu2:8000/v1"),
        ("VLLM_GPU_2_MODELS", "a,b"),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    let output =
        command.arg("check").env_clear().envs(env).current_dir(std::env::temp_dir()).output().unwrap();
    let plan = String::from_utf8_lossy(&output.stdout).into_owned();
    let names: Vec<&str> = plan
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once(" (type ").map(|(name, _)| name))
        .collect();
    assert_eq!(
        names,
        ["openai", "openai-east", "azure", "groq", "xai", "oracle", "ollama", "vllm-gpu-2"],
        "{plan}"
    );
    for text in ["https://east.example/v1", "****6789", "models    a, b"] {
        assert!(plan.contains(text), "{text}: {plan}");
    }
    assert!(!plan.contains("sk-one"), "secrets are masked");
}

/// A copy of the binary and a settings file where any user may read them; gone when dropped.
struct Readable(std::path::PathBuf);

impl Readable {
    fn new() -> Readable {
        let folder = temp_file("");
        std::fs::remove_file(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_ringway"), folder.join("ringway")).unwrap();
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Readable(folder)
    }
}

impl Drop for Readable {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a binary under `deny.py` with two shards.
fn start_without(what: &str, binary: &std::path::Path, upstream: u16) -> Gateway {
    let provider = format!("{{type: openai, base_url: 'http://127.0.0.1:{upstream}/v1', api_key: k}}");
    let config = temp_file(&format!("server: {{shards: 2}}\nproviders:\n  up: {provider}\n"));
    let mut command = Command::new("python3");
    command.arg(format!("{}/tests/e2e/deny.py", env!("CARGO_MANIFEST_DIR"))).arg(what);
    command.arg(binary).args(["serve", "--config"]).arg(&config);
    command
        .env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0")
        .env("RINGWAY_MASTER_KEY", KEY)
        .env("RINGWAY_DRIVER", "auto");
    Gateway::from(command, config)
}

/// How many shards run on this loop.
fn shards_on(gateway: &Gateway, driver: &str) -> usize {
    let page = gateway.call(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").text();
    page.lines()
        .filter(|line| !line.starts_with('#') && line.contains(&format!("driver=\"{driver}\"")))
        .count()
}

#[test]
fn where_io_uring_is_forbidden_epoll_serves_and_says_so_once() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    // io_uring_setup 425, io_uring_enter 426, io_uring_register 427. An old kernel knows no call (ENOSYS) or not the
    // ring's flags (EINVAL).
    for calls in ["425,426,427", "426", "425", "425,426,427:38", "425:22", "425:12"] {
        let gateway = start_without(calls, env!("CARGO_BIN_EXE_ringway").as_ref(), upstream.port);
        assert_eq!(gateway.chat(ASK).text(), CHAT, "without {calls}");
        let said = gateway.stderr();
        assert_eq!(said.matches("running on epoll").count(), 1, "without {calls}: {said}");
        assert_eq!(shards_on(&gateway, "epoll"), 2, "without {calls}");
    }
}

#[test]
fn a_user_who_may_lock_little_memory_is_served_by_what_fits() {
    if !std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0) {
        eprintln!("skipped: only root can become a user who is held to the limit");
        return;
    }
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let readable = Readable::new();
    let mut on_epoll = Vec::new();
    for limit_kib in [0, 16, 64, 96, 160, 8192] {
        let mut gateway =
            start_without(&format!("memlock:{limit_kib}"), &readable.0.join("ringway"), upstream.port);
        (0..20).for_each(|_| assert_eq!(gateway.chat(ASK).text(), CHAT, "{limit_kib} KiB"));
        let (said, epoll) = (gateway.stderr(), shards_on(&gateway, "epoll"));
        assert_eq!(shards_on(&gateway, "io_uring") + epoll, 2, "{limit_kib} KiB");
        let told =
            if said.contains("running on epoll") { 2 } else { said.matches("it runs on epoll").count() };
        assert_eq!(told, epoll, "{limit_kib} KiB: every fall-back is told: {said}");
        on_epoll.push((limit_kib, epoll));
        // The kernel gives the locked memory back some time after the end.
        gateway.signal(TERM);
        assert_eq!(gateway.child.wait().unwrap().code(), Some(0), "{limit_kib} KiB");
    }
    eprintln!("limit in KiB, shards on epoll: {on_epoll:?}");
    let free = has_io_uring();
    assert!(!free || on_epoll.last().is_some_and(|(_, epoll)| *epoll == 0), "{on_epoll:?}");
}

/// Whether a gateway without limits takes io_uring on this machine.
fn has_io_uring() -> bool {
    let gateway = Gateway::start_with("providers: {}\n", &[("RINGWAY_DRIVER", "auto")]);
    shards_on(&gateway, "io_uring") > 0
}
