//! Every provider file against its golden file in `tests/golden`: what leaves for the provider, byte for byte.
//!
//! A golden file says where the provider lives (`base URL`, or `base none, here /path` where the operator must say it),
//! where its list of models is (`models /path` or `models none`), further variables (`env NAME=value`), and cases:
//! `> METHOD path`, `> header: value`, the client's body; then `< METHOD target`, every header beside those that each
//! request has, and the body that goes out, or `< refused: code`. The key is `golden-NAME-0123456789`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::support::*;

struct Golden {
    name: String,
    /// Where it lives by itself.
    base: Option<String>,
    /// The path of its base URL.
    path: String,
    models: Option<String>,
    env: Vec<(String, String)>,
    cases: Vec<Case>,
}

struct Case {
    request: String,
    headers: Vec<String>,
    body: String,
    want: String,
    want_headers: BTreeSet<String>,
    want_body: String,
}

fn names_in(folder: &str, ending: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let names = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.to_str()?.strip_suffix(ending).map(str::to_owned)).collect()
}

fn read_golden(name: &str) -> Golden {
    let path = format!("{}/tests/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("a golden file");
    let (facts, cases) =
        text.split_once("\n\n").unwrap_or_else(|| panic!("{path}: facts, an empty line, cases"));
    let fact = |word: &str| {
        let found = facts.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("{path}: no line `{word}`"))
    };
    let base = fact("base");
    let (base, path_of_base) = match base.strip_prefix("none, here ") {
        Some(path) => (None, path.to_owned()),
        None => {
            let host_at = base.find("://").expect("a URL") + 3;
            let path_at = base[host_at..].find('/').map_or(base.len(), |at| host_at + at);
            (Some(base.to_owned()), base[path_at..].to_owned())
        }
    };
    let variables = facts.lines().filter_map(|line| line.strip_prefix("env ")?.split_once('='));
    Golden {
        name: name.to_owned(),
        base,
        path: path_of_base,
        models: Some(fact("models").to_owned()).filter(|models| models != "none"),
        env: variables.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        cases: cases.trim_end().split("\n\n").map(read_case).collect(),
    }
}

fn read_case(text: &str) -> Case {
    let (asked, wanted) = text.split_at(text.find("\n< ").expect("what is wanted") + 1);
    let take_apart = |text: &str, mark: &str| {
        let mut lines: Vec<String> =
            text.lines().filter_map(|line| Some(line.strip_prefix(mark)?.to_owned())).collect();
        let body = text.lines().find(|line| !line.starts_with(mark)).unwrap_or_default().to_owned();
        (lines.remove(0), lines, body)
    };
    let (request, headers, body) = take_apart(asked, "> ");
    let (want, want_headers, want_body) = take_apart(wanted, "< ");
    Case { request, headers, body, want, want_headers: want_headers.into_iter().collect(), want_body }
}

fn golden_files() -> Vec<Golden> {
    names_in("tests/golden", ".txt").iter().map(|name| read_golden(name)).collect()
}

fn key(name: &str) -> String {
    format!("golden-{name}-0123456789")
}

/// The settings of all providers, each with its own key, at this address or where it lives.
fn environment(files: &[Golden], host: Option<&str>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for file in files {
        let prefix = file.name.to_uppercase().replace('-', "_");
        env.insert(format!("{prefix}_API_KEY"), key(&file.name));
        if let Some(host) = host.or_else(|| file.base.is_none().then_some("https://host.example")) {
            env.insert(format!("{prefix}_BASE_URL"), format!("{host}{}", file.path));
        }
        env.extend(file.env.iter().cloned());
    }
    env
}

#[test]
fn every_provider_file_has_a_golden_file_and_lives_where_that_says() {
    assert_eq!(names_in("tests/golden", ".txt"), names_in("config/providers", ".yaml"));
    let files = golden_files();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.arg("check").env_clear().envs(environment(&files, None)).current_dir(std::env::temp_dir());
    let output = command.output().unwrap();
    let plan = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!plan.contains("golden-"), "secrets are masked");
    for file in &files {
        let head = format!("\n  {} (type {0}, from environment)\n", file.name);
        let at = plan.find(&head).unwrap_or_else(|| panic!("{} is not built in:\n{plan}", file.name));
        let line = plan[at + head.len()..].lines().next().unwrap_or_default();
        let want = file.base.clone().unwrap_or_else(|| format!("https://host.example{}", file.path));
        assert_eq!(line, format!("    base URL  {want}"), "{}", file.name);
    }
}

/// Answers what was asked: lists of models, and a chat to everything else, as a stream where one is asked for.
fn upstream() -> Upstream {
    Upstream::start(|_, seen, stream| {
        let asks_stream = find(&seen.body, b"\"stream\":true").is_some();
        let answer = match seen.head.starts_with("GET ") {
            true => json_answer(200, "", r#"{"data":[]}"#),
            false if asks_stream => stream_answer(STREAM.as_bytes(), &[100]),
            false => json_answer(200, "", answer_of(seen.head.lines().next().unwrap_or_default())),
        };
        let _ = stream.write_all(&answer);
        After::KeepAlive
    })
}

/// An answer in the dialect of the path.
fn answer_of(line: &str) -> &'static str {
    let path = line.split([' ', '?']).nth(1).unwrap_or_default();
    match path {
        _ if path.ends_with("/messages") || path.ends_with(":rawPredict") => {
            r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":"end_turn","usage":{}}"#
        }
        _ if path.ends_with(":generateContent") => {
            r#"{"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}]}"#
        }
        _ if path.ends_with("/converse") => {
            r#"{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn"}"#
        }
        _ if path.ends_with(":batchEmbedContents") => r#"{"embeddings":[{"values":[1,-2.5]}]}"#,
        _ => CHAT,
    }
}

/// Checks the headers that every request has, and gives the others.
fn headers_beside_the_common(seen: &Seen, port: u16, body: &[u8]) -> BTreeSet<String> {
    let common = [
        ("host", format!("127.0.0.1:{port}")),
        ("accept-encoding", "identity".to_owned()),
        ("x-ringway-hops", "1".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("content-length", body.len().to_string()),
    ];
    for (name, want) in &common {
        assert_eq!(seen.header(name).as_ref(), Some(want), "{name}: {}", seen.head);
    }
    assert!(seen.header("x-request-id").is_some_and(|id| !id.is_empty()), "{}", seen.head);
    let lines: Vec<&str> = seen.head.trim_end().lines().skip(1).collect();
    let is_common = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        name == "x-request-id" || common.iter().any(|(common, _)| *common == name)
    };
    let others: Vec<&str> = lines.iter().copied().filter(|line| !is_common(line)).collect();
    assert_eq!(lines.len() - others.len(), common.len() + 1, "no header stands twice: {}", seen.head);
    let set: BTreeSet<String> = others.iter().map(|&line| line.to_owned()).collect();
    assert_eq!(set.len(), others.len(), "no header stands twice: {}", seen.head);
    set
}

#[test]
fn what_leaves_for_every_provider_is_what_its_golden_file_says() {
    let files = golden_files();
    let upstream = upstream();
    let env = environment(&files, Some(&format!("http://127.0.0.1:{}", upstream.port)));
    let env: Vec<(&str, &str)> = env.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let gateway = Gateway::start_with("", &env);
    let mut link = gateway.connect();
    let is_list = |seen: &Seen| seen.head.starts_with("GET ");
    for file in &files {
        for (number, case) in file.cases.iter().enumerate() {
            let about = format!("{}, case {}", file.name, number + 1);
            let before = upstream.requests().iter().filter(|seen| !is_list(seen)).count();
            let path =
                case.request.strip_prefix("POST ").unwrap_or_else(|| panic!("{about}: {}", case.request));
            let lines: String = case.headers.iter().map(|line| format!("{line}\r\n")).collect();
            link.send(&post_with(
                path,
                &format!("cookie: a=b\r\nx-api-key: {KEY}\r\n{lines}"),
                case.body.as_bytes(),
            ));
            let answer = link.answer(false);
            let mut seen = upstream.requests();
            seen.retain(|seen| !is_list(seen));
            if let Some(code) = case.want.strip_prefix("refused: ") {
                assert_eq!((answer.status, answer.error_code().as_str()), (400, code), "{about}");
                assert_eq!(seen.len(), before, "{about}");
                continue;
            }
            assert_eq!(answer.status, 200, "{about}: {}", answer.text());
            assert_eq!(seen.len(), before + 1, "{about}");
            let seen = &seen[before];
            assert_eq!(seen.head.lines().next(), Some(format!("{} HTTP/1.1", case.want).as_str()), "{about}");
            let want: BTreeSet<String> = case.want_headers.clone();
            assert_eq!(String::from_utf8_lossy(&seen.body), case.want_body, "{about}");
            assert_eq!(
                headers_beside_the_common(seen, upstream.port, case.want_body.as_bytes()),
                want,
                "{about}"
            );
        }
    }
    lists_are_asked_for(&files, &upstream);
}

/// Which lists of models were asked for, told apart by their keys.
fn lists_are_asked_for(files: &[Golden], upstream: &Upstream) {
    let asked = || {
        let seen = upstream.every_request();
        let lists = seen.iter().filter(|seen| seen.head.starts_with("GET "));
        let told = lists.map(|seen| {
            let names = ["authorization", "api-key", "x-api-key", "x-goog-api-key"];
            let shown = names.iter().find_map(|name| seen.header(name)).unwrap_or_default();
            let shown = shown.trim_start_matches("Bearer ").to_owned();
            (shown, seen.head.lines().next().unwrap_or_default().to_owned())
        });
        told.collect::<BTreeMap<String, String>>()
    };
    let with_list = files.iter().filter_map(|file| Some((file, file.models.as_ref()?)));
    let want: BTreeMap<String, String> =
        with_list.map(|(file, models)| (key(&file.name), format!("GET {models} HTTP/1.1"))).collect();
    eventually("the lists of models", || asked().len() >= want.len());
    assert_eq!(asked(), want);
}

#[test]
fn a_keyless_server_gets_no_authorization() {
    let upstream = upstream();
    let base = format!("http://127.0.0.1:{}/v1", upstream.port);
    let gateway = Gateway::start_with("", &[("OLLAMA_BASE_URL", &base)]);
    assert_eq!(gateway.chat(r#"{"model":"ollama/m"}"#).status, 200);
    let seen = upstream.requests().pop().expect("a request");
    assert!(!seen.head.to_lowercase().contains("authorization"), "{}", seen.head);
}

#[test]
fn a_private_provider_needs_a_file_in_a_folder_and_nothing_else() {
    let folder = std::env::temp_dir().join(format!("ringway-e2e-providers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let upstream = upstream();
    let text = "auth: header X-Token\npaths: {chat: /talk, models: //list}\nheaders: {X-Team: a}\nquery: {v: '2'}\n\
                edits: [{default: safe, value: 'true'}, {clamp: temperature, max: 1}]\nusage_in_streams: never\n";
    std::fs::write(folder.join("house.yaml"), text).unwrap();
    let settings = format!(
        "providers_dir: {}\nproviders:\n  house:\n    api_key: k1\n    base_url: http://127.0.0.1:{}/a\n    headers: \
         {{x-team: '${{TEAM}}', user-agent: gateway}}\n",
        folder.display(),
        upstream.port
    );
    let gateway = Gateway::start_with(&settings, &[("TEAM", "blue")]);
    let lines = "x-team: of the client\r\nuser-agent: client\r\nx-token: stolen\r\n";
    for path in ["/v1/chat/completions", "/p/house/talk"] {
        let answer = gateway.call(&post_with(path, lines, br#"{"model":"house/m","temperature":7}"#));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let asked = upstream.requests();
        let seen = asked.iter().rfind(|seen| !seen.head.starts_with("GET ")).expect("a request");
        assert_eq!(seen.head.lines().next(), Some("POST /a/talk?v=2 HTTP/1.1"));
        let of_ours = |line: &&str| line.starts_with("x-t") || line.starts_with("user-agent");
        let mut lines: Vec<&str> = seen.head.lines().filter(of_ours).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["user-agent: gateway", "x-team: blue", "x-token: k1"], "{}", seen.head);
        let body = if path == "/p/house/talk" {
            r#"{"model":"house/m","temperature":7}"#
        } else {
            r#"{"model":"m","temperature":1,"safe":true}"#
        };
        assert_eq!(String::from_utf8_lossy(&seen.body), body);
    }
    std::fs::remove_dir_all(folder).unwrap();
}
