//! From sources to a snapshot or to every mistake, as tables.
#![expect(clippy::disallowed_methods, reason = "tests write the files that they read")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

mod identity;

use super::table::{Kind, PROVIDER_SETTINGS, SETTINGS, Setting};
use super::*;
use crate::base::Secret;
use crate::ledger::price::{Named, Rate};
use crate::ledger::usage::Mode;

/// Variables and their values.
type Env<'e> = &'e [(&'e str, &'e str)];

/// A settings file that goes away.
struct File(PathBuf);

impl File {
    fn new(bytes: &[u8]) -> File {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("ringway-unit-{}-{}.yaml", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        File(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Loads; places in mistakes have `FILE` for the file's path.
fn load_bytes(bytes: &[u8], env: &[(&str, &str)]) -> Result<Snapshot, Vec<String>> {
    let file = File::new(bytes);
    let env = env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let shown = file.0.display().to_string();
    load(&Sources { file: Some(file.0.clone()), env })
        .map_err(|mistakes| mistakes.iter().map(|m| m.to_string().replace(&shown, "FILE")).collect())
}

fn good(text: &str, env: &[(&str, &str)]) -> Snapshot {
    load_bytes(text.as_bytes(), env).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:#?}"))
}

/// Each wanted text begins one mistake, in this order, and there are no others.
fn bad(text: &str, env: &[(&str, &str)], want: &[&str]) {
    let got = load_bytes(text.as_bytes(), env).map(|snapshot| snapshot.plan).expect_err(text);
    let fits = got.len() == want.len() && got.iter().zip(want).all(|(got, want)| got.starts_with(want));
    assert!(fits, "{text}\n{got:#?}\nis not\n{want:#?}");
}

/// The plan's line of a setting: its value and where it is from.
fn planned(snapshot: &Snapshot, path: &str) -> String {
    let line = snapshot.plan.lines().find(|line| line.split_whitespace().next() == Some(path));
    let line = line.unwrap_or_else(|| panic!("{path} is not in the plan:\n{}", snapshot.plan));
    line.trim_start()[path.len()..].trim_start().to_owned()
}

/// Two texts for a kind, in the file and in the environment, and how the plan shows them.
fn samples(setting: &Setting) -> [(&'static str, &'static str); 2] {
    match setting.kind {
        Kind::Text if setting.path == "models.default_provider" => [("one", "one"), ("two", "two")],
        Kind::Text if setting.path == "budgets.time_zone" => {
            [("Europe/Warsaw", "Europe/Warsaw"), ("Asia/Tokyo", "Asia/Tokyo")]
        }
        Kind::Text if setting.path == "auth.user_path_header" => [("X-A", "X-A"), ("X-B", "X-B")],
        Kind::Text => [("/a", "/a"), ("/b", "/b")],
        Kind::Secret => [("sk-0123456789abcd-one1", "****one1"), ("sk-0123456789abcd-two2", "****two2")],
        Kind::SecretList => [
            ("[short, sk-0123456789abcd-one1]", "****, ****one1"),
            ("sk-0123456789abcd-two2,b", "****two2, ****"),
        ],
        Kind::Document => [("/a.json", "****"), ("/b.json", "****")],
        Kind::File if setting.path == "prices.file" => [(LIST, LIST), (OTHER_LIST, OTHER_LIST)],
        Kind::File => [("/proc/sys", "/proc/sys"), ("/sys", "/sys")],
        Kind::Bool => [("yes", "true"), ("off", "false")],
        Kind::Count(_) => [("7", "7"), ("8", "8")],
        Kind::Bytes => [("3K", "3072 bytes"), ("1M", "1048576 bytes")],
        Kind::Millis(_) => [("1.5s", "1500 ms"), ("7", "7 ms")],
        Kind::Seconds(_) => [("250ms", "250 ms"), ("7", "7000 ms")],
        Kind::Ratio => [("0.25", "0.25"), ("3", "3")],
        // The others need a URL.
        Kind::Choice(_) if setting.path == "storage.type" => [("sqlite", "sqlite"), ("sqlite", "sqlite")],
        Kind::Choice(words) => [(words[0], words[0]), (words[1], words[1])],
        Kind::NameList => [("[a, b]", "a, b"), ("c,d", "c, d")],
        Kind::AddressList => {
            [("['127.0.0.1:1', '[::1]:2']", "127.0.0.1:1, [::1]:2"), ("127.0.0.1:3", "127.0.0.1:3")]
        }
        Kind::StatusList => [("[500, 503]", "500, 503"), ("429", "429")],
        Kind::Url => [("http://u:pw@one:1", "http://****@one:1"), ("http://two:2", "http://two:2")],
        Kind::DatabaseUrl(&["mongodb", ..]) => {
            [("mongodb://u:pw@one", "mongodb://****@one"), ("mongodb://two", "mongodb://two")]
        }
        Kind::DatabaseUrl(_) => [
            ("postgres://u:pw@one/d?password=x", "postgres://****@one/d?****"),
            ("postgres://two/d", "postgres://two/d"),
        ],
    }
}

/// Price lists that can be read.
const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/prices/by-hand.jsonl");
const OTHER_LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/prices/catalogue");

#[test]
fn for_every_setting_environment_beats_file_beats_default() {
    let providers = "providers: {one: {type: openai, api_key: k}, two: {type: openai, api_key: k}}\n";
    for setting in SETTINGS {
        let [in_file, in_env] = samples(setting);
        let (path, own) = (setting.path, setting.own_env());
        let text = match path.split_once('.') {
            Some((group, name)) => format!("{providers}{group}: {{{name}: {}}}\n", in_file.0),
            None => format!("{providers}{path}: {}\n", in_file.0),
        };
        let snapshot = good(&text, &[]);
        assert!(
            planned(&snapshot, path).starts_with(&format!("{}  (/", in_file.1)),
            "{path}: {}",
            snapshot.plan
        );
        for name in setting.env.iter().copied().chain([own.as_str()]) {
            let snapshot = good(&text, &[(name, in_env.0)]);
            assert_eq!(planned(&snapshot, path), format!("{}  ({name})", in_env.1));
        }
        if !setting.default.is_empty() {
            assert!(planned(&good(providers, &[]), path).ends_with("  (default)"), "{path}");
        }
        for secret in ["sk-0123", "pw"] {
            assert!(!snapshot.plan.contains(secret), "{path} shows {secret}");
        }
    }
}

#[test]
fn the_table_names_each_variable_once_and_its_defaults_are_good() {
    let mut seen = BTreeSet::new();
    for setting in SETTINGS {
        for name in setting.env.iter().map(|&name| name.to_owned()).chain([setting.own_env()]) {
            // Where a borrowed name is the setting's own, it stands once.
            assert!(seen.insert(name.clone()), "{name} stands twice");
        }
    }
    for setting in SETTINGS.iter().chain(PROVIDER_SETTINGS) {
        let is_sentence = setting.help.ends_with('.') && setting.help.starts_with(char::is_uppercase);
        assert!(is_sentence, "{}: {}", setting.path, setting.help);
    }
}

#[test]
fn files_of_every_shape_are_read_or_refused_with_their_place() {
    for text in [
        "",
        "\n\n",
        "# nothing\n",
        "---\n",
        "~\n",
        "{}\n",
        "server:\n",
        "providers:\n",
        "\u{feff}server: {shards: 1}\n",
    ] {
        good(text, &[]);
    }
    assert_eq!(good("\u{feff}server: {shards: 3}\r\n", &[]).server.shards, 3);
    let cases: &[(&str, &[&str])] = &[
        ("7\n", &["FILE:1:1: a single value stands here; expected groups of settings"]),
        ("- a\n", &["FILE:1:1: a list stands here; expected groups of settings"]),
        ("server:\n\tshards: 1\n", &["FILE:2:"]),
        ("server: {shards: 1\n", &["FILE:"]),
        ("server: {shards: 1}\n---\nserver: {}\n", &["FILE:2:1: a second document begins here"]),
        (
            "server: &a {shards: 1}\nretry: *a\n",
            &["FILE:2:8: an alias stands here; expected the value itself"],
        ),
        (
            "x: &a {shards: 1}\nserver:\n  <<: *a\n",
            &[
                "FILE:3:7: an alias stands here",
                "FILE:1:1: x: is not a setting",
                "FILE:3:3: server.<<: is not a setting",
            ],
        ),
        ("server: {driver: !env epoll}\n", &["FILE:1:18: a tag stands here; expected the value alone"]),
        ("server: {shards: 1, shards: 2}\n", &["FILE:1:21: shards: stands twice in its group"]),
        ("? [a]\n: 1\n", &["FILE:1:3: a list stands as a key; expected a name"]),
        ("server: 7\n", &["FILE:1:9: server: a single value stands here; expected a group of settings"]),
        ("server: {listen: {a: 1}}\n", &["FILE:1:18: server.listen: a group of settings stands here"]),
        ("server: {listen: []}\n", &["FILE:1:18: server.listen: `` cannot be used"]),
        ("server: {driver: [auto, epoll]}\n", &["FILE:1:18: server.driver: `auto, epoll` cannot be used"]),
        ("server: {tls: yes}\n", &["FILE:1:15: server.tls: a single value stands here"]),
        (
            "server: {tls: [{cert_file: /none, key: /x}]}\n",
            &[
                "FILE:1:16: server.tls.cert_file: there is no file",
                "FILE:1:16: server.tls.key_file: is missing",
            ],
        ),
        ("providers: [a]\n", &["FILE:1:12: providers: a list stands here; expected providers by name"]),
        ("providers: {'a/b': {type: openai, api_key: k}}\n", &["FILE:1:20: providers.a/b: is no name"]),
    ];
    for (text, want) in cases {
        bad(text, &[], want);
    }
    assert!(load_bytes(b"server: \xff\n", &[]).is_err_and(|m| m[0].contains("cannot be read")));
    let missing = Sources { file: Some("/nowhere/ringway.yaml".into()), env: BTreeMap::new() };
    assert!(
        load(&missing).is_err_and(|m| m[0].to_string().starts_with("/nowhere/ringway.yaml: the file cannot"))
    );
}

#[test]
fn a_mistyped_name_is_told_with_the_one_that_was_meant() {
    let cases = [
        ("server: {shard: 1}\n", "FILE:1:10: server.shard: is not a setting; expected `server.shards`"),
        ("sever: {shards: 1}\n", "FILE:1:1: sever: is not a setting; expected `server`"),
        ("zzz: 1\n", "FILE:1:1: zzz: is not a setting"),
        (
            "providers: {a: {type: openai, api_key: k, base_ulr: x}}\n",
            "FILE:1:43: providers.a.base_ulr: is not a setting of a provider; expected `base_url`",
        ),
        (
            "providers: {a: {type: grok, api_key: k}}\n",
            "FILE:1:23: providers.a.type: there is no provider type `grok`; expected `groq`",
        ),
    ];
    for (text, want) in cases {
        bad(text, &[], &[want]);
    }
    let typo = [("RINGWAY_MASTER_KYE", "x")];
    let want = "environment: RINGWAY_MASTER_KYE: is not a variable of Ringway; expected `RINGWAY_MASTER_KEY`";
    bad("", &typo, &[want]);
}

#[test]
fn values_in_the_environment_are_told_with_their_variable() {
    let keyed = ("OPENAI_API_KEY", "k");
    let cases: &[(Env<'_>, &[&str])] = &[
        (&[("PORT", "http")], &["PORT: server.listen: `http` is no port"]),
        (&[("BODY_SIZE_LIMIT", "lots")], &["BODY_SIZE_LIMIT: server.body_max: `lots` cannot be used"]),
        (
            &[keyed, ("OPENAI_BASE_URL", "ftp://x")],
            &["OPENAI_BASE_URL: providers.openai.base_url: `ftp://x` cannot"],
        ),
        (
            &[keyed, ("OPENAI_BASE_URL", "http://h/?a")],
            &["OPENAI_BASE_URL: providers.openai.base_url: is no URL"],
        ),
        (&[keyed, ("OPENAI_PROXY_URL", "https://p:1")], &["OPENAI_PROXY_URL: proxy_url: is no proxy"]),
        (&[("OPENAI_API_KEY", "a\u{7f}b")], &["OPENAI_API_KEY: providers.openai.api_key: holds a control"]),
        (
            &[
                ("AZURE_API_KEY", "k"),
                ("AZURE_BASE_URL", "http://h/openai/deployments/d"),
                ("AZURE_API_VERSION", "1 HTTP/1.1"),
            ],
            &["AZURE_API_VERSION: providers.azure.api_version: cannot stand in a query"],
        ),
        (&[("RINGWAY_MASTER_KEY", "")], &["RINGWAY_MASTER_KEY: auth.master_key: the value cannot be used"]),
    ];
    for (env, want) in cases {
        bad("", env, want);
    }
}

#[test]
fn a_secret_is_in_no_mistake_and_in_no_plan() {
    const SECRET: &str = "hunter2-hunter2";
    let texts = [
        "auth: {master_key: 'SECRET${'}\n",
        "auth: {master_key: '${SECRET bad}'}\n",
        "auth: {keys: ['SECRET', '']}\n",
        "auth: {master_key: [SECRET, SECRET]}\n",
        "upstream: {proxy_url: 'socks5://me:SECRET@h:1'}\n",
        "providers: {a: {type: openai, api_key: 'SECRET${A'}}\n",
        "providers: {a: {type: openai, api_key: k, headers: {x-a: 'SECRET${A'}}}\n",
        "providers: {a: {type: openai, api_key: k, headers: {content-length: SECRET}}}\n",
        "providers: {a: {type: openai, api_key: k, base_url: 'https://me:SECRET@h/v1'}}\n",
        "providers: {a: {type: openai, api_key: k, proxy_url: 'https://me:SECRET@h'}}\n",
    ];
    for text in texts {
        let mistakes =
            load_bytes(text.replace("SECRET", SECRET).as_bytes(), &[]).map(|s| s.plan).expect_err(text);
        assert!(!mistakes.concat().contains(SECRET), "{text}: {mistakes:?}");
    }
    let text = "auth: {master_key: SECRET, keys: [SECRET-2]}\nupstream: {proxy_url: 'http://me:SECRET@h:1'}\n\
                providers: {a: {type: openai, api_keys: [SECRET, SECRET-3], headers: {x-a: SECRET}}}\n";
    let snapshot =
        good(&text.replace("SECRET", SECRET), &[("GROQ_API_KEY", SECRET), ("GROQ_API_KEY_2", SECRET)]);
    let shown = format!("{}{:?}{:?}", snapshot.plan, snapshot.warnings, snapshot.providers);
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn references_reach_every_value_of_the_file() {
    let secret = File::new(b"sk-from-a-file-0001\n");
    let text = format!(
        "server: {{shards: '${{N:-3}}'}}\nauth: {{keys: ['${{file:{}}}', '${{K}}']}}\nproviders:\n  a:\n    type: \
         '${{T}}'\n    api_key: ${{K}}\n    base_url: https://${{HOST:-h.example}}/v1\n    models: ['${{M}}', b]\n    \
         headers: {{x-a: '${{K}}'}}\n",
        secret.0.display()
    );
    let env = [("K", "key-0"), ("T", "openai"), ("M", "gpt")];
    let snapshot = good(&text, &env);
    let provider = &snapshot.providers[0];
    assert_eq!((snapshot.server.shards, provider.origin.authority.as_str()), (3, "h.example"));
    assert!(snapshot.keys.admits(b"sk-from-a-file-0001") && snapshot.keys.admits(b"key-0"));
    assert_eq!(provider.models, ["gpt", "b"]);
    let lines = provider.credentials[0].header_lines.reveal();
    assert_eq!(lines, "authorization: Bearer key-0\r\nx-a: key-0\r\n");
    bad(
        "providers: {a: {type: openai, api_key: '${NOT_SET}'}}\n",
        &[],
        &[
            "FILE:1:40: providers.a.api_key: the variable NOT_SET is not set",
            "FILE:1:16: providers.a.api_key: is missing",
        ],
    );
}

#[test]
fn headers_of_the_settings_may_not_frame_the_request() {
    for name in ["Host", "content-length", "transfer-encoding", "connection", "expect", "authorization"] {
        let text = format!("providers: {{a: {{type: openai, api_key: k, headers: {{{name}: x}}}}}}\n");
        let want = format!("FILE:1:53: providers.a.headers.{}: is the gateway's own", name.to_lowercase());
        bad(&text, &[], &[&want]);
    }
    let keyless = "providers: {a: {type: ollama, headers: {authorization: Basic x}}}\n";
    let snapshot = good(keyless, &[]);
    assert_eq!(snapshot.providers[0].credentials[0].header_lines.reveal(), "authorization: Basic x\r\n");
}

#[test]
fn what_is_allowed_and_hardly_meant_is_warned_of() {
    let cases: &[(Env<'_>, &str)] = &[
        (&[("OPENAI_BASE_URL", "http://h/v1")], "OPENAI_BASE_URL makes no provider without OPENAI_API_KEY"),
        (
            &[("OPENAI_EU_BASE_URL", "http://h/v1")],
            "OPENAI_EU_BASE_URL makes no provider without OPENAI_EU_API_KEY",
        ),
        (&[("ORACLE_API_KEY", "k")], "ORACLE_API_KEY makes no provider without ORACLE_BASE_URL"),
        (&[("OLLAMA_MODELS", "/var/models")], "OLLAMA_MODELS makes no provider without OLLAMA_BASE_URL"),
        (
            &[("PORT", "1"), ("RINGWAY_SERVER_LISTEN", "127.0.0.1:2")],
            "PORT has no effect: RINGWAY_SERVER_LISTEN sets server.listen",
        ),
        (
            &[("RINGWAY_MASTER_KEY", "a"), ("GOMODEL_MASTER_KEY", "b")],
            "GOMODEL_MASTER_KEY says something else and has no effect: RINGWAY_MASTER_KEY sets auth.master_key",
        ),
    ];
    for (env, want) in cases {
        let snapshot = good("", env);
        assert!(
            snapshot.warnings.iter().any(|warning| warning.starts_with(want)),
            "{want}: {:?}",
            snapshot.warnings
        );
        assert!(snapshot.providers.is_empty());
    }
    let quiet =
        [("RINGWAY_MASTER_KEY", "a"), ("GOMODEL_MASTER_KEY", "a"), ("OPENAI_API_KEY", "k"), ("PORT", "1")];
    assert_eq!(good("", &quiet).warnings, Vec::<String>::new());
}

#[test]
fn port_listens_where_the_key_allows_it() {
    let listens = |env: &[(&str, &str)]| good("", env).server.listen[0].to_string();
    assert_eq!(listens(&[]), "127.0.0.1:8080");
    assert_eq!(listens(&[("PORT", "81")]), "127.0.0.1:81");
    assert_eq!(listens(&[("PORT", "81"), ("RINGWAY_MASTER_KEY", "k")]), "0.0.0.0:81");
    assert_eq!(listens(&[("PORT", ""), ("RINGWAY_MASTER_KEY", "k")]), "127.0.0.1:8080");
    bad(
        "server: {listen: ['127.0.0.1:1', '0.0.0.0:2']}\n",
        &[],
        &["FILE:1:18: server.listen: 0.0.0.0:2 is not a loop"],
    );
    good("server: {listen: '0.0.0.0:2', allow_unauthenticated: true}\n", &[]);
    good("server: {listen: '[::1]:2'}\n", &[]);
}

#[test]
fn file_and_environment_speak_of_the_same_instance() {
    let text =
        "providers:\n  second: {type: groq, api_key: k}\n  openai-east: {models: [a], api_key: of-file}\n";
    let env = [("OPENAI_EAST_API_KEY", "of-env"), ("OPENAI_EAST_API_KEY_2", "two"), ("XAI_API_KEY", "x")];
    let snapshot = good(text, &env);
    let names: Vec<&str> = snapshot.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["second", "openai-east", "xai"]);
    let east = &snapshot.providers[1];
    let keys: Vec<&str> = east.credentials.iter().map(|key| key.header_lines.reveal()).collect();
    assert_eq!(keys, ["authorization: Bearer of-env\r\n", "authorization: Bearer two\r\n"]);
    assert_eq!((east.kind.as_str(), east.models.as_slice()), ("openai", &["a".to_owned()][..]));
}

#[test]
fn the_built_in_list_is_the_folder() {
    let folder = format!("{}/config/providers", env!("CARGO_MANIFEST_DIR"));
    let entries =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let in_folder: BTreeSet<String> =
        entries.filter_map(|name| Some(name.to_str()?.strip_suffix(".yaml")?.to_owned())).collect();
    let built_in: BTreeSet<String> = builtin_provider_kinds().into_iter().map(str::to_owned).collect();
    assert_eq!(built_in, in_folder, "name the file in BUILTIN of provider_file.rs");
    assert_eq!(builtin_provider_kinds().len(), built_in.len());
}

#[test]
fn provider_files_tell_their_mistakes() {
    let cases = [
        ("auth: basic\n", "f:1:7: auth: `basic` is no way to show a key"),
        ("pahts: {}\n", "f:1:1: pahts: is not a setting of a provider file; expected `paths`"),
        ("paths: {chat: chat}\n", "f:1:8: paths: `chat: chat` is no endpoint's path"),
        ("paths: {chat: '/a b'}\n", "f:1:8: paths: `chat: /a b` is no endpoint's path"),
        ("paths: {talk: /a}\n", "f:1:8: paths: `talk: /a` is no endpoint's path"),
        ("usage_in_streams: maybe\n", "f:1:19: usage_in_streams: `maybe` is unknown"),
        ("edits: [{twist: a}]\n", "f:1:9: edits: this is no edit"),
        ("edits: [{default: a, value: '{'}]\n", "f:1:9: edits: this is no edit"),
        ("edits: [{drop: model}]\n", "f:1:8: edits: `model` is the gateway's own"),
        ("edits: [{rename: a, to: stream}]\n", "f:1:8: edits: `stream` is the gateway's own"),
        ("edits: [{drop: stream_options}]\n", "f:1:8: edits: `stream_options` is the gateway's own"),
        ("edits: [{rename: a, to: c}, {rename: b, to: c}]\n", "f:1:8: edits: two fields are renamed to `c`"),
        (
            "edits: [{rename: a, to: b}, {default: b, value: '1'}]\n",
            "f:1:8: edits: `b` is added and renamed to",
        ),
        (
            "header_variables: {site: x-site}\n",
            "f:1:19: header_variables: `site` is no end of a variable's name",
        ),
        ("- a\n", "f:1:1: a list stands here"),
    ];
    for (text, want) in cases {
        let mut mistakes = mistake::Mistakes::default();
        provider_file::read("f", "f", text, &mut mistakes);
        let got: Vec<String> = mistakes.list.iter().map(ToString::to_string).collect();
        assert!(got.len() == 1 && got[0].starts_with(want), "{text}: {got:?}");
    }
    let mut mistakes = mistake::Mistakes::default();
    let text = "usage_in_streams: always\nedits: [{drop: stream_options}, {rename: a, to: b}]\n";
    assert!(provider_file::read("f", "f", text, &mut mistakes).is_some_and(|file| file.edits.len() == 2));
    assert_eq!(mistakes.list, []);
}

#[test]
fn two_types_do_not_share_a_prefix() {
    let folder = std::env::temp_dir().join(format!("ringway-unit-types-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("mine.yaml"), "env: OPENAI\n").expect("a file");
    let text = format!("providers_dir: {}\n", folder.display());
    bad(&text, &[], &["mine: env: `OPENAI` is the prefix of `openai` already"]);
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

#[test]
fn prices_of_single_models_are_read_or_refused_with_their_place() {
    let text = "providers: {one: {type: openai, api_key: k}}\nprices:\n  overrides:\n    our-model: {input_per_mtok: 0.40, \
                output_per_mtok: 1.20, tiers: [{above_tokens: 9, input_per_mtok: 2}]}\n";
    let prices = good(text, &[]).prices.prices;
    let input = |asked: &str, tokens: u64| {
        let named = Named { provider: "one", priced_as: "openai", asked, answered: None };
        prices.find(named, 0)?.rates(Mode::Standard, tokens)?.get(Rate::Input)
    };
    assert_eq!([input("our-model", 9), input("our-model", 10)], [Some(400_000), Some(2_000_000)]);
    assert_eq!(input("another-model", 1), None);
    let wrong = "providers: {one: {type: openai, api_key: k}}\nprices:\n  overrides:\n    m: {input_per_mtoken: 1, per_image: 2}\n    \
                 n: cheap\n    o: {input_per_mtok: 1, tiers: [{input_per_mtok: 2}]}\n    p: {}\n  fiel: x\n";
    bad(
        wrong,
        &[],
        &[
            "FILE:8:3: prices.fiel: is not a setting; expected `prices.file`",
            "FILE:4:27: prices.overrides.m.input_per_mtoken: is no price; expected a price such as input_per_mtok; `input_per_mtok` is near",
            "FILE:4:41: prices.overrides.m.per_image: `2` cannot be taken; expected a price per token",
            "FILE:5:8: prices.overrides.n: a single value stands here",
            "FILE:6:36: prices.overrides.o: this tier has no size",
            "FILE:7:5: prices.overrides.p: no price is set",
        ],
    );
}

#[test]
fn the_store_is_sqlite_in_the_data_folder_unless_something_else_is_set() {
    let file = |env: &[(&str, &str)]| match good("", env).storage.engine {
        Engine::Sqlite { path } => path.display().to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(file(&[]), "data/ringway.db");
    assert_eq!(
        file(&[("STATE_DIRECTORY", "/var/lib/ringway:/var/lib/other")]),
        "/var/lib/ringway/ringway.db"
    );
    assert_eq!(file(&[("STATE_DIRECTORY", "/a"), ("RINGWAY_DATA_DIR", "/b")]), "/b/ringway.db");
    assert_eq!(file(&[("RINGWAY_DATA_DIR", "/b"), ("SQLITE_PATH", "/c.db")]), "/c.db");

    let postgres = [("STORAGE_TYPE", "postgresql"), ("POSTGRES_URL", "postgres://u:secret@h/d")];
    let snapshot = good("", &postgres);
    let url = Secret::new("postgres://u:secret@h/d");
    assert_eq!(snapshot.storage.engine, Engine::Postgres { url, connections_max: 10 });
    assert!(!snapshot.plan.contains("secret"), "{}", snapshot.plan);
    let mongo = [("STORAGE_TYPE", "mongodb"), ("MONGODB_URL", "mongodb+srv://h"), ("MONGODB_DATABASE", "d")];
    let url = Secret::new("mongodb+srv://h");
    assert_eq!(good("", &mongo).storage.engine, Engine::Mongo { url, database: "d".to_owned() });

    let records = |env: &[(&str, &str)]| good("", env).storage.records;
    assert_eq!(records(&[]), RecordsAs::Packs);
    assert_eq!(records(&[("STORAGE_RECORDS", "rows")]), RecordsAs::Rows);
    assert_eq!((records(&postgres), records(&mongo)), (RecordsAs::Rows, RecordsAs::Rows));
    assert!(good("", &[]).plan.contains("records in packs"));

    let days = [("USAGE_RETENTION_DAYS", "2"), ("LOGGING_RETENTION_DAYS", "0")];
    let storage = good("", &days).storage;
    assert_eq!((storage.usage_kept_ms, storage.audit_kept_ms), (Some(172_800_000), None));
    assert_eq!(good("", &[]).storage.usage_kept_ms, Some(90 * 86_400_000));
}

#[test]
fn a_store_that_cannot_be_reached_as_it_is_set_stops_the_start() {
    bad("storage: {type: postgresql}", &[], &["FILE:1:17: storage.postgresql.url: is missing"]);
    bad("", &[("STORAGE_TYPE", "mongodb")], &["STORAGE_TYPE: storage.mongodb.url: is missing"]);
    let packs = [("STORAGE_TYPE", "mongodb"), ("MONGODB_URL", "mongodb://h"), ("STORAGE_RECORDS", "packs")];
    bad("", &packs, &["STORAGE_RECORDS: storage.records: only SQLite holds packs"]);
    bad("", &[("STORAGE_TYPE", "mysql")], &["STORAGE_TYPE: storage.type: `mysql` cannot be used"]);
    bad(
        "",
        &[("POSTGRES_URL", "mysql://u:pw@h/d?x=1")],
        &["POSTGRES_URL: storage.postgresql.url: `mysql://****@h/d?****` cannot be used"],
    );
    bad(
        "storage: {type: mongodb, mongodb: {url: mongodb://h, database: a.b}}",
        &[],
        &["FILE:1:64: storage.mongodb.database: is no name"],
    );
}
