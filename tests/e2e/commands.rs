//! The commands that print and end: help, completions, `check`.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::*;

fn ringway(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(arguments).env_clear().envs(env.iter().copied()).current_dir(std::env::temp_dir());
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn every_command_explains_itself() {
    let overview = text(&ringway(&["--help"], &[]).stdout);
    let commands: Vec<&str> = overview
        .split_once("Commands:\n")
        .and_then(|(_, rest)| rest.split_once("\n\n"))
        .map(|(list, _)| list.lines().filter_map(|line| line.split_whitespace().next()).collect())
        .expect("a list of commands");
    for wanted in ["serve", "check", "export", "import", "prices", "simulate", "completions"] {
        assert!(commands.contains(&wanted), "{overview}");
    }
    for part in ["Examples:", "OPENAI_API_KEY", "Exit codes:"] {
        assert!(overview.contains(part), "{part}: {overview}");
    }
    for command in commands.iter().filter(|&&command| command != "help") {
        for flag in ["-h", "--help"] {
            let output = ringway(&[command, flag], &[]);
            let help = text(&output.stdout);
            assert!(output.status.success() && help.contains(&format!("Usage: ringway {command}")), "{help}");
            let options = help
                .split("\n")
                .filter(|line| line.trim_start().starts_with("--") || line.starts_with("  -"));
            for line in options {
                let at = help.find(line).expect("a line of it") + line.len();
                let has_words =
                    line.trim().contains("  ") || help[at..].trim_start_matches('\n').starts_with("    ");
                assert!(has_words, "{command}: `{line}` is not explained: {help}");
            }
            assert!(help.lines().all(|line| line.chars().count() <= 100), "{command}: lines of at most 100");
        }
    }
    assert!(text(&ringway(&["--version"], &[]).stdout).starts_with("ringway "));
}

#[test]
fn price_lists_are_shown_checked_imported_and_joined() {
    let folder = std::env::temp_dir().join(format!("ringway-prices-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (list, own) = (folder.join("list.json"), folder.join("own.jsonl"));
    let map = r#"{"gpt-5": {"litellm_provider": "openai", "input_cost_per_token": 1.25e-06}, "x-latest": {"litellm_provider": "openai", "input_cost_per_token": 1e-06}}"#;
    std::fs::write(&list, map).expect("a file");
    let list = list.to_str().expect("UTF-8");
    let imported = ringway(&["prices", "import", list, "--date", "2026-01-02", "--source", "a page"], &[]);
    let catalogue = text(&imported.stdout);
    let want = "{\"ringway_prices\":1,\"date\":\"2026-01-02\"}\n\
                {\"provider\":\"openai\",\"model\":\"gpt-5\",\"source\":\"a page\",\"prices\":{\"input\":1250000}}\n";
    assert_eq!(catalogue, want);
    assert!(text(&imported.stderr).contains("1 left out: a name that means whatever is newest"));
    std::fs::write(&own, &catalogue).expect("a file");
    let own = own.to_str().expect("UTF-8");
    assert_eq!(text(&ringway(&["prices", "join", own, own], &[]).stdout), catalogue);
    assert!(text(&ringway(&["prices", "check", own], &[]).stdout).contains("1 prices and 0 further names"));
    let env = [("OPENAI_API_KEY", "k"), ("RINGWAY_PRICES_FILE", own)];
    let shown = text(&ringway(&["prices", "show", "gpt-5"], &env).stdout);
    assert!(shown.starts_with("openai/gpt-5 (a page)") && shown.contains("1.25"), "{shown}");
    let unknown = ringway(&["prices", "show", "gpt-5-latest"], &env);
    assert_eq!((unknown.status.code(), text(&unknown.stdout).is_empty()), (Some(2), true));
    let wrong = ringway(&["prices", "check", list], &[]);
    assert!(text(&wrong.stderr).contains("the first line must be"), "{}", text(&wrong.stderr));
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn wrong_arguments_are_told_with_the_right_ones() {
    for (arguments, hint) in
        [(&["sevre"][..], "serve"), (&["serve", "--confg", "x"], "--config"), (&[], "Usage")]
    {
        let output = ringway(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(hint), "{arguments:?}: {}", text(&output.stderr));
    }
}

/// Gives a script to a shell that only parses it; without the shell there is nothing to see.
fn parses(shell: &str, script: &[u8]) -> Option<bool> {
    let mut command = Command::new(shell);
    command.args(if shell == "fish" { ["--no-execute", "/dev/stdin"] } else { ["-n", "/dev/stdin"] });
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    child.stdin.take().expect("a pipe").write_all(script).expect("the shell reads");
    Some(child.wait().expect("the shell ends").success())
}

#[test]
fn completions_parse_and_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = ringway(&["completions", shell], &[]);
        assert!(output.status.success(), "{shell}");
        let script = text(&output.stdout);
        for word in ["serve", "check", "simulate", "completions", "--config"] {
            let word = if shell == "fish" { word.trim_start_matches('-') } else { word };
            assert!(script.contains(word), "{shell} knows {word}");
        }
        if ["bash", "zsh", "fish"].contains(&shell) {
            assert_ne!(parses(shell, script.as_bytes()), Some(false), "{shell} takes the script");
        }
    }
    let offered = "source /dev/stdin; COMP_WORDS=(ringway serve --c); COMP_CWORD=2; _ringway ringway --c serve; \
                   echo \"${COMPREPLY[*]}\"";
    let mut bash = Command::new("bash");
    bash.args(["-c", offered]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = bash.spawn() else { return };
    let script = ringway(&["completions", "bash"], &[]).stdout;
    child.stdin.take().expect("a pipe").write_all(&script).expect("bash reads");
    let output = child.wait_with_output().expect("bash ends");
    assert_eq!(text(&output.stdout).trim(), "--config");
}

#[test]
fn check_prints_the_plan_and_its_warnings_and_no_secret() {
    let config = temp_file(
        "server: {listen: ['127.0.0.1:7001', '[::1]:7001'], body_max: 1M}\nmodels: {default_provider: voyage}\n\
         providers: {voyage: {api_keys: [sk-voyage-0123456789, short], proxy_url: 'http://me:hunter2@proxy:3128'}}\n",
    );
    let env = [
        ("RINGWAY_MASTER_KEY", "sk-master-0123456789"),
        ("GROQ_API_KEY", "sk-groq-0123456789"),
        ("XAI_BASE_URL", "http://x"),
    ];
    let output = ringway(&["check", "--config", config.to_str().expect("UTF-8")], &env);
    let (plan, said) = (text(&output.stdout), text(&output.stderr));
    let _ = std::fs::remove_file(config);
    assert!(output.status.success(), "{said}");
    for line in [
        "listens on\n  http://127.0.0.1:7001\n  http://[::1]:7001\n",
        "  voyage (type voyage, from ",
        "    base URL  https://api.voyageai.com/v1\n    key       ****6789, ****\n    routes    embeddings  /v1/embeddings\n",
        "    proxy     proxy:3128\n",
        "  groq (type groq, from environment)\n",
        "    routes    chat        /openai/v1/chat/completions\n              embeddings  /openai/v1/embeddings\n",
        "    limits    connect 5000 ms",
        "  requests that name no known model go to voyage\n",
        "server.body_max              1048576 bytes",
        "auth.master_key              ****6789  (RINGWAY_MASTER_KEY)",
    ] {
        assert!(plan.contains(line), "{line}\nis not in\n{plan}");
    }
    assert_eq!(said, "ringway: warn: XAI_BASE_URL makes no provider without XAI_API_KEY\n");
    for secret in ["sk-", "hunter2", "short"] {
        assert!(!plan.contains(secret), "{secret} is in\n{plan}");
    }
}

#[test]
fn settings_of_other_gateways_and_their_keys_are_imported() {
    let folder = TempFolder::new();
    let file = |name: &str, text: &str| {
        let path = folder.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let own = "sk-a-key-of-another-gateway";
    let digest = ring::digest::digest(&ring::digest::SHA256, own.as_bytes());
    let hash: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let config = file(
        "config.yaml",
        &format!(
            "model_list:\n  - model_name: fast\n    litellm_params: {{model: openai/m, api_base: \"http://127.0.0.1:{}/v1\", api_key: os.environ/UP_KEY}}\n\
             general_settings: {{master_key: os.environ/LITELLM_MASTER_KEY}}\nlitellm_settings: {{cache: true}}\n",
            upstream.port
        ),
    );
    let keys = file(
        "keys.json",
        &format!(
            r#"{{"keys":[{{"token":"{hash}","key_alias":"agent","team_id":"a","models":["fast"],"rpm_limit":2}}]}}"#
        ),
    );
    let out = folder.0.join("ringway.yaml");
    let out = out.to_str().expect("UTF-8");
    let made = ringway(&["import", "litellm", &config, "--out", out, "--keys", &keys], &[]);
    let told = text(&made.stderr);
    assert!(made.status.success(), "{told}");
    for part in ["LITELLM_MASTER_KEY, UP_KEY", "litellm_settings.cache has no equivalent", "1 key to make"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let again = ringway(&["import", "litellm", &config, "--out", out], &[]);
    assert_eq!(again.status.code(), Some(2), "a file that is there is not written over");
    let env =
        [("LITELLM_MASTER_KEY", KEY), ("UP_KEY", UPSTREAM_KEY), ("RINGWAY_SERVER_LISTEN", "127.0.0.1:0")];
    let checked = ringway(&["check", "--config", out], &env);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["serve", "--config", out]).envs(env);
    let gateway = Gateway::from(command, out.into());
    let url = format!("http://127.0.0.1:{}", gateway.port);
    let apply = ["import", "litellm", &config, "--keys", &keys, "--apply", "--url", &url];
    for want in ["1 key made, 0 were there", "0 keys made, 1 were there"] {
        let applied = ringway(&apply, &[("RINGWAY_MASTER_KEY", KEY)]);
        assert!(text(&applied.stderr).contains(want), "{want}: {}", text(&applied.stderr));
    }
    let chat = |model: &str| {
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {own}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        gateway.call((head + &body).as_bytes())
    };
    eventually("the key holds", || chat("fast").status != 401);
    assert_eq!(chat("openai/m").status, 403, "the key may use one model");
    eventually("its limit holds", || chat("fast").status == 429);
}
