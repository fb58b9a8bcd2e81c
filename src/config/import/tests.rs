//! Whole files of other gateways, and what they mean here.

use std::collections::BTreeMap;

use super::*;
use crate::config::build;
use crate::config::snapshot::Snapshot;
use crate::identity::Period;

/// The settings as the gateway reads them, with every variable that they refer to set to its own name.
fn compiled(imported: &Imported) -> Snapshot {
    let mut mistakes = Mistakes::default();
    let root = yaml::read("imported.yaml", &imported.yaml, &mut mistakes);
    let env: BTreeMap<String, String> =
        imported.variables.iter().map(|name| (name.clone(), format!("value-of-{name}"))).collect();
    build::of_file(root.as_ref(), &env, mistakes)
        .unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{}", imported.yaml))
}

fn allowances(snapshot: &Snapshot) -> Vec<String> {
    snapshot.identity.allowances.iter().map(|one| format!("{} {}", one.id(), one.amount())).collect()
}

const GOMODEL: &str = r#"
# The gateway of the platform team.
PORT=8080
export GOMODEL_MASTER_KEY="master-0123456789"
LOG_LEVEL=debug
BODY_SIZE_LIMIT=20M
OPENAI_API_KEY='sk-one'   # the usual account
OPENAI_API_KEY_2=sk-two
OPENAI_EAST_API_KEY=sk-east
OPENAI_EAST_BASE_URL=https://east.example/v1
VLLM_GPU_BASE_URL=http://10.0.0.7:8000/v1
VLLM_GPU_MODELS=llama-70b,qwen
ANTHROPIC_API_KEY=sk-ant
KILO_API_KEY=sk-kilo
GROQ_BASE_URL=https://api.groq.example/openai/v1
STORAGE_TYPE=postgresql
POSTGRES_URL=postgresql://ringway:secret@db/ringway
USAGE_RETENTION_DAYS=120
SET_BUDGET_TEAM__ALPHA="daily=10,weekly=50.5"
SET_RATE_LIMIT_TEAM__ALPHA=rpm=100,tpm=50000,concurrent=10
SET_PROVIDER_RATE_LIMIT_OPENAI=rpm=500
VIRTUAL_MODELS=[{"source":"fast","targets":[{"model":"gpt-4o-mini","provider":"openai","weight":3},{"model":"qwen","provider":"vllm-gpu"}]},{"source":"openai/","user_paths":["/team"]}]
TAGGING_HEADER_1=X-Team
TAGGING_HEADER_1_PREFIX=team-
TAGGING_HEADER_1_DONOTPASS=true
REDIS_URL=redis://cache
SEMANTIC_CACHE_ENABLED=true
GUARDRAILS_ENABLED=false
MY_OWN=1
this is no line
"#;

#[test]
fn an_environment_of_gomodel_becomes_a_file_that_means_the_same() {
    let imported = gomodel(GOMODEL);
    for secret in ["sk-", "master-0123456789", "secret@db"] {
        assert!(!imported.yaml.contains(secret), "{secret} stays where it is: {}", imported.yaml);
    }
    let wants = [
        "ANTHROPIC_API_KEY",
        "GOMODEL_MASTER_KEY",
        "OPENAI_API_KEY",
        "OPENAI_API_KEY_2",
        "OPENAI_EAST_API_KEY",
    ];
    assert!(
        wants.iter().all(|name| imported.variables.iter().any(|other| other == name)),
        "{:?}",
        imported.variables
    );
    let mut with_database = Imported { variables: imported.variables.clone(), ..Imported::default() };
    // A URL has to be one, for the check.
    with_database.yaml = imported.yaml.replace("${POSTGRES_URL}", "postgresql://u:p@db/x");
    let snapshot = compiled(&with_database);
    let names: Vec<&str> = snapshot.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(
        ["openai", "openai-east", "anthropic", "vllm-gpu"].iter().all(|name| names.contains(name)),
        "{names:?}"
    );
    assert_eq!(snapshot.server.body_bytes_max, 20 << 20);
    assert!(snapshot.keys.admits(b"value-of-GOMODEL_MASTER_KEY"));
    let mut granted = allowances(&snapshot);
    granted.sort();
    assert_eq!(
        granted,
        [
            "path:/team/alpha:concurrent 10 requests at a time",
            "path:/team/alpha:cost:daily 10 US dollars",
            "path:/team/alpha:cost:weekly 50.5 US dollars",
            "path:/team/alpha:requests:60s 100 requests",
            "path:/team/alpha:tokens:60s 50000 tokens",
            "provider:openai:requests:60s 500 requests",
        ]
    );
    let alias = &snapshot.identity.aliases[0];
    let targets: Vec<(&str, u32)> =
        alias.targets.iter().map(|target| (&*target.model, target.weight)).collect();
    assert_eq!((&*alias.source, targets), ("fast", vec![("openai/gpt-4o-mini", 3), ("vllm-gpu/qwen", 1)]));
    assert_eq!(snapshot.identity.gates.len(), 1);
    let tagging = &snapshot.identity.tagging[0];
    assert_eq!(
        (tagging.header.as_str(), tagging.prefix.as_str(), tagging.is_kept_back),
        ("x-team", "team-", true)
    );
}

#[test]
fn what_gomodel_has_and_we_have_not_is_named_with_a_reason() {
    let remarks = gomodel(GOMODEL).remarks;
    let check = |part: &str, why: &str| {
        let found: Vec<&String> = remarks.iter().filter(|remark| remark.contains(part)).collect();
        assert!(found.len() == 1 && found[0].contains(why), "{part}: {remarks:#?}");
    };
    check("REDIS_URL", "no equivalent: answers are not cached");
    check("SEMANTIC_CACHE_ENABLED", "answers are not cached");
    check("GUARDRAILS_ENABLED", "there are no guardrails");
    check("KILO_API_KEY", "there is no file");
    check("provider groq", "lacks its API_KEY");
    check("MY_OWN", "is not known");
    check("is no `NAME=value`", "line");
    assert_eq!(remarks.len(), 7, "{remarks:#?}");
}

const LITELLM: &str = r#"
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 500
      tpm: 100000
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://eu.example/openai/deployments/gpt-4o-eu
      api_key: os.environ/AZURE_API_KEY
      api_version: "2024-10-21"
      weight: 3
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet-4-5, stream_timeout: 30}
  - model_name: local
    litellm_params: {model: ollama_chat/llama3, api_base: "http://10.0.0.7:11434"}
  - model_name: second
    litellm_params: {model: gpt-4o-mini, api_key: "sk-literal-$1"}
  - model_name: odd
    litellm_params: {model: watsonx/granite}
  - model_name: "anthropic/*"
    litellm_params: {model: "anthropic/*", api_key: os.environ/ANTHROPIC_API_KEY}
litellm_settings:
  drop_params: true
  num_retries: 3
  request_timeout: 120
  max_budget: 100
  budget_duration: 30d
  callbacks: [langfuse]
  cache: true
router_settings:
  routing_strategy: latency-based-routing
  model_group_alias: {"gpt-4": "gpt-4o", none: nothing}
  provider_budget_config:
    openai: {budget_limit: 12.5, time_period: 1d}
    groq: {budget_limit: 1, time_period: 1d}
  redis_host: cache
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  database_url: os.environ/DATABASE_URL
"#;

#[test]
fn a_config_of_litellm_becomes_a_file_that_means_the_same() {
    let imported = litellm(LITELLM).expect("YAML");
    let snapshot = compiled(&imported);
    let providers: Vec<(&str, &str)> = snapshot
        .providers
        .iter()
        .map(|provider| (provider.name.as_str(), provider.origin.authority.as_str()))
        .collect();
    let wants = [
        ("openai", "api.openai.com"),
        ("azure", "eu.example"),
        ("anthropic", "api.anthropic.com"),
        ("ollama", "10.0.0.7:11434"),
        ("openai-2", "api.openai.com"),
    ];
    assert_eq!(providers.len(), wants.len(), "{providers:?}");
    assert!(wants.iter().all(|want| providers.contains(want)), "{providers:?}");
    let aliases: Vec<String> = snapshot
        .identity
        .aliases
        .iter()
        .map(|alias| {
            let target =
                |target: &crate::identity::alias::AliasTarget| format!("{}*{}", target.model, target.weight);
            let targets: Vec<String> = alias.targets.iter().map(target).collect();
            format!("{} = {}", alias.source, targets.join(" "))
        })
        .collect();
    assert_eq!(
        aliases,
        [
            "gpt-4o = openai/gpt-4o*1 azure/gpt-4o-eu*3",
            "claude = anthropic/claude-sonnet-4-5*1",
            "local = ollama/llama3*1",
            "second = openai-2/gpt-4o-mini*1",
            "gpt-4 = openai/gpt-4o*1 azure/gpt-4o-eu*3",
        ]
    );
    let mut granted = allowances(&snapshot);
    granted.sort();
    assert_eq!(
        granted,
        [
            "model:openai/gpt-4o:requests:60s 500 requests",
            "model:openai/gpt-4o:tokens:60s 100000 tokens",
            "path:/:cost:monthly 100 US dollars",
            "provider:openai:cost:daily 12.5 US dollars",
        ]
    );
    assert!(snapshot.drops_unsupported && snapshot.keys.admits(b"value-of-LITELLM_MASTER_KEY"));
    let second = snapshot.providers.iter().find(|provider| provider.name == "openai-2").expect("the second");
    assert!(second.credentials[0].secrets.iter().any(|secret| secret.reveal().contains("sk-literal-$1")));
    assert_eq!(second.retry.count_max, 3);
}

#[test]
fn what_litellm_has_and_we_have_not_is_named_with_a_reason() {
    let remarks = litellm(LITELLM).expect("YAML").remarks;
    let check = |part: &str, why: &str| {
        let found: Vec<&String> = remarks.iter().filter(|remark| remark.contains(part)).collect();
        assert!(found.len() == 1 && found[0].contains(why), "{part}: {remarks:#?}");
    };
    check("`odd`", "there is no file for the provider `watsonx`");
    check("stream_timeout of `claude`", "not known");
    check("`anthropic/*`", "needs no entry");
    check("litellm_settings.callbacks", "records go to the store");
    check("litellm_settings.cache", "answers are not cached");
    check("routing_strategy", "in turn");
    check("model_group_alias: `none`", "there is no `nothing`");
    check("provider `groq`", "no model is of it");
    check("redis_host", "need no server");
    check("database_url", "--keys");
    assert_eq!(remarks.len(), 10, "{remarks:#?}");
    assert!(litellm("a: [").is_err());
}

#[test]
fn keys_come_over_by_their_hashes_with_what_is_granted_to_them() {
    let hash = "ab".repeat(32);
    let text = format!(
        r#"{{"keys": [
            {{"token": "{hash}", "key_alias": "agent", "key_name": "sk-...1234", "team_id": "Team A", "user_id": "u1",
              "models": ["gpt-4o"], "tags": ["prod"], "max_budget": 12.5, "budget_duration": "1d", "soft_budget": 10,
              "rpm_limit": 60, "tpm_limit": null, "max_parallel_requests": 4, "expires": "2030-01-01T00:00:00Z",
              "spend": 3.25, "blocked": true, "aliases": {{}}, "model_max_budget": {{"gpt-4o": 1}}}},
            {{"token": "{hash}", "models": ["all-team-models"], "max_budget": 5}},
            {{"token": "short", "key_alias": "odd"}}
        ]}}"#
    );
    let (keys, remarks) = keys(&text).expect("keys");
    assert_eq!(keys.len(), 2);
    let first = &keys[0];
    assert_eq!(first.body["key_hash"], hash);
    assert_eq!(first.body["allowed_models"], serde_json::json!(["gpt-4o"]));
    assert_eq!((first.is_disabled, first.budgets.len(), first.limits.len()), (true, 2, 2));
    assert_eq!(
        first.budgets[0],
        serde_json::json!({"scope": "key", "amount": "12.5", "soft": false, "period": "daily"})
    );
    let for_good =
        serde_json::json!({"scope": "key", "amount": "5", "soft": false, "period_seconds": u32::MAX});
    assert_eq!((&keys[1].budgets[..], keys[1].body.get("allowed_models")), (&[for_good][..], None));
    for part in ["has spent 3.25", "`model_max_budget`", "`odd` is left out"] {
        assert!(remarks.iter().any(|remark| remark.contains(part)), "{part}: {remarks:#?}");
    }
    let row = format!(r#"{{"id":"1","name":"n","user_path":"/t","secret_hash":"{hash}","enabled":true}}"#);
    let (of_rows, _) = super::keys(&format!("{row}\n{row}\n")).expect("lines");
    assert_eq!(
        (of_rows.len(), of_rows[0].is_disabled, &of_rows[0].body["user_path"]),
        (2, false, &"/t".into())
    );
    assert!(super::keys("no JSON").is_err());
}

#[test]
fn durations_are_windows_of_the_calendar_where_they_can_be() {
    let check =
        |text: Option<&str>, want: Option<Period>| assert_eq!(keys::period_of(text), want, "{text:?}");
    check(Some("24h"), Some(Period::Day));
    check(Some("7d"), Some(Period::Week));
    check(Some("1mo"), Some(Period::Month));
    check(Some("90m"), Some(Period::Seconds(5_400)));
    check(None, Some(Period::Seconds(u32::MAX)));
    check(Some("soon"), None);
    check(Some("0d"), None);
}

#[test]
fn a_star_stands_for_any_rest() {
    for (pattern, name, want) in [
        ("REDIS_*", "REDIS_URL", Some("URL")),
        ("REDIS_*", "REDIS_", None),
        ("*_FILE", "A_B_FILE", Some("A_B")),
        ("*_FILE", "_FILE", None),
        ("*_FILTER_*", "A_FILTER_INCLUDE", Some("A")),
        ("EXACT", "EXACT", Some("")),
        ("EXACT", "EXACTLY", None),
    ] {
        assert_eq!(fitting(pattern, name), want, "{pattern} {name}");
    }
}
