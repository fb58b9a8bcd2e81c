//! Budgets, limits, users, aliases, workflows and labels: from settings to what they mean, or to every mistake.

use super::*;
use crate::identity::{Allowance, Origin, Strength};

const PROVIDERS: &str = "providers: {one: {type: openai, api_key: k}, two-b: {type: openai, api_key: k}}\n";

fn check_allowances(text: &str, env: Env<'_>, want: &[&str]) {
    let snapshot = good(&format!("{PROVIDERS}{text}"), env);
    let in_words = |allowance: &Allowance| {
        assert_eq!(allowance.origin, Origin::Settings);
        let instead = allowance.instead.as_deref().map_or(String::new(), |model| format!(", else {model}"));
        format!("{} {}{instead}", allowance.id(), allowance.amount())
    };
    let got: Vec<String> = snapshot.identity.allowances.iter().map(in_words).collect();
    assert_eq!(got, want, "{text} {env:?}");
}

#[test]
fn budgets_of_the_file_become_allowances() {
    let text = "budgets:\n  user_paths:\n    - path: team/alpha/\n      per_child: false\n      limits:\n        - {period: daily, \
                amount: 10.00}\n        - {period: daily, amount: 8, soft: true}\n        - {period_seconds: 2592000, \
                amount: '0.5', instead: one/small}\n        - {period_seconds: 90, amount: 1}\n  labels:\n    - label: \
                Mobile-App\n      limits: [{period: hourly, amount: 500}]\n  models: [{model: one/m, limits: [{period: \
                weekly, amount: 1}]}]\n  keys: [{key: abc, limits: [{period: monthly, amount: 1}]}]\n  providers: [{name: \
                two-b, limits: [{period: monthly, amount: 2}]}]\n";
    let want = [
        "path:/team/alpha:cost:daily 10 US dollars",
        "path:/team/alpha:cost:daily:soft 8 US dollars",
        "path:/team/alpha:cost:monthly 0.5 US dollars, else one/small",
        "path:/team/alpha:cost:90s 1 US dollars",
        "label:Mobile-App:cost:hourly 500 US dollars",
        "key:abc:cost:monthly 1 US dollars",
        "provider:two-b:cost:monthly 2 US dollars",
        "model:one/m:cost:weekly 1 US dollars",
    ];
    check_allowances(text, &[], &want);
    let soft = good(&format!("{PROVIDERS}{text}"), &[]).identity.allowances[1].strength;
    assert_eq!(soft, Strength::Soft);
    check_allowances(text, &[("BUDGETS_ENABLED", "false")], &[]);
}

#[test]
fn rate_limits_of_the_file_become_allowances() {
    let text = "rate_limits:\n  user_paths: [{path: /, limits: [{period: minute, max_requests: 100, max_tokens: 5000}, \
                {period: concurrent, max_requests: 9}]}]\n  providers: [{name: one, limits: [{period_seconds: 0, \
                max_requests: 5}, {period_seconds: 7, max_tokens: 1}]}]\n  models: [{model: m, limits: [{period: day, \
                max_requests: 1}]}]\n";
    let want = [
        "path:/:requests:60s 100 requests",
        "path:/:tokens:60s 5000 tokens",
        "path:/:concurrent 9 requests at a time",
        "provider:one:concurrent 5 requests at a time",
        "provider:one:tokens:7s 1 tokens",
        "model:m:requests:86400s 1 requests",
    ];
    check_allowances(text, &[], &want);
    check_allowances(text, &[("RATE_LIMITS_ENABLED", "no")], &[]);
}

#[test]
fn variables_set_budgets_and_limits_and_beat_the_file() {
    let text = "budgets: {user_paths: [{path: /team/alpha, limits: [{period: monthly, amount: 1}]}, {path: /b, limits: \
                [{period: daily, amount: 2}]}]}\n";
    let env = [("SET_BUDGET_TEAM__ALPHA", "daily=10,weekly=50"), ("SET_BUDGET_", "hourly: 0.5; 90s=1")];
    let want = [
        "path:/b:cost:daily 2 US dollars",
        "path:/:cost:hourly 0.5 US dollars",
        "path:/:cost:90s 1 US dollars",
        "path:/team/alpha:cost:daily 10 US dollars",
        "path:/team/alpha:cost:weekly 50 US dollars",
    ];
    check_allowances(text, &env, &want);
    let env = [
        ("SET_RATE_LIMIT_TEAM__ALPHA", "rpm=100,tpm=50000,rpd=10000,concurrent=10"),
        ("SET_PROVIDER_RATE_LIMIT_TWO_B", "rpm=500"),
        ("SET_RATE_LIMIT_A_B", "[{\"period\": \"hour\", \"max_tokens\": 7}]"),
        ("SET_RATE_LIMIT_EMPTY", " "),
    ];
    let want = [
        "path:/a_b:tokens:3600s 7 tokens",
        "path:/team/alpha:requests:60s 100 requests",
        "path:/team/alpha:tokens:60s 50000 tokens",
        "path:/team/alpha:requests:86400s 10000 requests",
        "path:/team/alpha:concurrent 10 requests at a time",
        "provider:two-b:requests:60s 500 requests",
    ];
    check_allowances("", &env, &want);
    check_allowances("", &[("SET_BUDGET_X", "{\"daily\": 10}")], &["path:/x:cost:daily 10 US dollars"]);
    let stranger = good(PROVIDERS, &[("SET_PROVIDER_RATE_LIMIT_THREE", "rpm=500")]);
    assert!(
        stranger
            .warnings
            .iter()
            .any(|warning| warning.starts_with("SET_PROVIDER_RATE_LIMIT_THREE has no effect"))
    );
}

#[test]
fn every_mistake_about_budgets_and_limits_is_told_with_its_place() {
    for (text, env, want) in MISTAKES {
        bad(text, env, want);
    }
}

/// A file, variables, and what is wrong with them.
const MISTAKES: &[(&str, Env<'_>, &[&str])] = &[
    (
        "budgets: {user_paths: 7}\n",
        &[],
        &["FILE:1:23: budgets.user_paths: a single value stands here; expected a list"],
    ),
    (
        "budgets: {user_path: []}\n",
        &[],
        &["FILE:1:11: budgets.user_path: is not a setting; expected `budgets.user_paths`"],
    ),
    (
        "budgets: {user_paths: [{path: /a/.., limits: [{period: daily, amount: 1}]}, {limits: []}, 7]}\n",
        &[],
        &[
            "FILE:1:91: budgets.user_paths: a single value stands here",
            "FILE:1:31: budgets.user_paths.path: `/a/..` is no user path: `.` and `..` are no segments",
            "FILE:1:77: budgets.user_paths.path: is missing",
        ],
    ),
    (
        "budgets: {labels: [{label: x, limits: [{period: yearly, amount: -1}, {amount: 1e-13}, {period: daily}]}]}\n",
        &[],
        &[
            "FILE:1:49: budgets.labels.limits.period: `yearly` cannot be used",
            "FILE:1:65: budgets.labels.limits.amount: `-1` cannot be used; expected US dollars above 0",
            "FILE:1:70: budgets.labels.limits.period: is missing",
            "FILE:1:79: budgets.labels.limits.amount: `1e-13` cannot be used",
            "FILE:1:87: budgets.labels.limits.amount: is missing",
        ],
    ),
    (
        "budgets: {labels: [{label: x, limits: [{period: daily, amount: 1}, {period: daily, amount: 2}]}, {label: x}]}\n",
        &[],
        &[
            "FILE:1:68: budgets.labels.limits: cost:daily stands twice",
            "FILE:1:98: budgets.labels.label: `x` stands twice",
        ],
    ),
    (
        "rate_limits: {providers: [{name: three, limits: []}]}\n",
        &[],
        &["FILE:1:34: rate_limits.providers.name: there is no provider `three`"],
    ),
    (
        "rate_limits: {models: [{model: m, limits: [{period: concurrent, max_tokens: 1}, {period: minute, max_requests: 0}]}]}\n",
        &[],
        &[
            "FILE:1:44: rate_limits.models.limits.max_tokens: means nothing for requests at a time",
            "FILE:1:112: rate_limits.models.limits.max_requests: `0` cannot be used",
        ],
    ),
    (
        "",
        &[
            ("SET_BUDGET_A", "daily=x,yearly=1"),
            ("SET_RATE_LIMIT_A", "rpm=1,rpm=2"),
            ("SET_BUDGET_A%", "daily=1"),
        ],
        &[
            "SET_BUDGET_A: budgets: `daily=x` cannot be used; expected `daily=10`",
            "SET_BUDGET_A: budgets: `yearly=1` cannot be used",
            "SET_BUDGET_A%: budgets: names no user path: it holds '%'",
            "SET_RATE_LIMIT_A: rate_limits: `rpm=2` comes twice",
        ],
    ),
    (
        "budgets: {time_zone: Mars/Olympus, reset_hour: 24, reset_day: 32}\n",
        &[],
        &[
            "FILE:1:22: budgets.time_zone: there is no time zone `Mars/Olympus`",
            "FILE:1:48: budgets.reset_hour: `24` cannot be used; expected 23 at most",
            "FILE:1:63: budgets.reset_day: `32` cannot be used; expected 31 at most",
        ],
    ),
    (
        "auth: {key_pepper: short, user_path_header: a b}\n",
        &[],
        &["FILE:1:45: auth.user_path_header: `a b` is no header", "FILE:1:20: auth.key_pepper: is too short"],
    ),
];

#[test]
fn the_calendar_of_budgets_is_set() {
    let text = "budgets: {time_zone: Europe/Warsaw, reset_hour: 6, reset_minute: 30, reset_weekday: sunday, reset_day: 15}\n";
    let calendar = good(text, &[]).identity.calendar;
    assert_eq!((calendar.hour, calendar.minute, calendar.day), (6, 30, 15));
    assert_eq!(
        (calendar.weekday, calendar.zone.iana_name()),
        (jiff::civil::Weekday::Sunday, Some("Europe/Warsaw"))
    );
    assert_eq!(good("", &[]).identity.calendar, crate::identity::Calendar::default());
}

#[test]
fn users_aliases_and_gates_are_read() {
    let text = "users:\n  - {path: /team, allowed_models: ['one/*', m]}\naliases: {fast: one/small}\nvirtual_models:\n  - \
                {source: smart, strategy: failover, user_paths: [/team], targets: [{model: m, provider: one, weight: 2}, \
                {model: two-b/n}]}\n  - {source: m, target: m, enabled: false}\n  - {source: one/, user_paths: [/team, /x]}\n";
    let json = "[{\"source\": \"fast\", \"target\": \"two-b/fast\"}, {\"source\": \"one/\", \"user_paths\": [\"/y\"]}]";
    let check = |env: Env<'_>, aliases: &[&str], gates: &[&str]| {
        let identity = good(&format!("{PROVIDERS}{text}"), env).identity;
        let in_words = |alias: &crate::identity::Alias| {
            let targets: Vec<String> =
                alias.targets.iter().map(|to| format!("{}*{}", to.model, to.weight)).collect();
            let places: Vec<&str> = alias.user_paths.iter().map(|place| place.as_str()).collect();
            let off = if alias.is_enabled { "" } else { " off" };
            format!("{} {} {:?} {places:?}{off}", alias.source, targets.join("+"), alias.strategy)
        };
        assert_eq!(identity.aliases.iter().map(in_words).collect::<Vec<_>>(), aliases);
        let in_words = |gate: &crate::identity::Gate| {
            let places: Vec<&str> = gate.user_paths.iter().map(|place| place.as_str()).collect();
            format!("{} {}", gate.rule, places.join(" "))
        };
        assert_eq!(identity.gates.iter().map(in_words).collect::<Vec<_>>(), gates);
        let (path, rules) = &identity.model_lists[0];
        let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
        assert_eq!((path.as_str(), rules.join(" ").as_str()), ("/team", "one/* m"));
    };
    let smart = "smart one/m*2+two-b/n*1 Failover [\"/team\"]";
    let shadow = "m m*1 RoundRobin [] off";
    check(&[], &["fast one/small*1 RoundRobin []", smart, shadow], &["one/* /team /x"]);
    check(&[("VIRTUAL_MODELS", json)], &[smart, shadow, "fast two-b/fast*1 RoundRobin []"], &["one/* /y"]);
    let only = good("", &[("KEEP_ONLY_ALIASES_AT_MODELS_ENDPOINT", "true"), ("USER_PATH_HEADER", "X-Team")])
        .identity;
    assert!(only.lists_only_aliases && only.models_enabled);
    assert_eq!(only.user_path_headers, ["x-team", "x-ringway-user-path", "x-gomodel-user-path"]);
}

#[test]
fn mistakes_about_names_are_told_with_their_place() {
    let cases: &[(&str, Env<'_>, &[&str])] = &[
        ("users: [{path: /a, models: [x]}]\n", &[], &["FILE:1:20: users.models: is not a setting here"]),
        (
            "users: [{path: /a, allowed_models: ['x*']}, {path: a}]\n",
            &[],
            &[
                "FILE:1:36: users.allowed_models: `x*` cannot be used",
                "FILE:1:45: users.path: /a stands twice",
            ],
        ),
        ("aliases: {fast: }\n", &[], &["FILE:1:11: aliases.fast: names no model"]),
        (
            "virtual_models: [{source: a, target: b}, {source: b, target: c/d}, {source: a, strategy: cost, target: x/y}]\n",
            &[],
            &[
                "FILE:1:90: virtual_models.strategy: `cost` cannot be used; expected round_robin or failover",
                "FILE:1:68: virtual_models.source: `a` stands twice",
                "FILE:1:17: virtual_models: `a` stands for the alias `b`",
            ],
        ),
        (
            "",
            &[("VIRTUAL_MODELS", "[{\"source\": \"a\", \"slowdown\": 2}]")],
            &["VIRTUAL_MODELS:1:18: virtual_models.slowdown"],
        ),
        (
            "workflows: [{name: w, model: m, features: {cash: off, cache: maybe}}]\n",
            &[],
            &[
                "FILE:1:13: workflows.model: has no provider",
                "FILE:1:44: workflows.features.cash: is no feature",
                "FILE:1:62: workflows.features.cache: `maybe` cannot be used",
            ],
        ),
        (
            "tagging: {headers: [{header: 'a b'}]}\n",
            &[],
            &["FILE:1:30: tagging.headers.header: `a b` cannot be used"],
        ),
        ("", &[("TAGGING_HEADER_1", "a b")], &["TAGGING_HEADER_1: tagging.headers: `a b` is no header"]),
    ];
    for (text, env, want) in cases {
        bad(text, env, want);
    }
}

#[test]
fn workflows_and_labels_are_read() {
    let text = "workflows: [{name: strict, provider: one, model: m, user_path: team/, features: {cache: false}, guardrails: \
                [{ref: safety, step: 2}]}]\ntagging: {headers: [{header: X-Team, prefix: team-}, {header: x-keep}]}\n";
    let env = [
        ("TAGGING_HEADER_1", "X-Team"),
        ("TAGGING_HEADER_1_DONOTPASS", "true"),
        ("TAGGING_HEADER_2", "X-Cost"),
        ("TAGGING_HEADER_2_DELIMITER", ";"),
        ("TAGGING_HEADER_2_PREFIX", "cc-"),
    ];
    let identity = good(&format!("{PROVIDERS}{text}"), &env).identity;
    let workflow = &identity.workflows[0];
    let scope = (workflow.scope.provider.as_deref(), workflow.scope.model.as_deref());
    assert_eq!(
        (scope, workflow.version, &*workflow.guardrails[0].0),
        ((Some("one"), Some("m")), 1, "safety")
    );
    assert_eq!(workflow.scope.path.as_ref().map(|path| path.as_str()), Some("/team"));
    assert!(!workflow.features.cache && workflow.features.audit);
    let id_of = |text: &str| good(&format!("{PROVIDERS}{text}"), &[]).identity.workflows[0].id.to_string();
    let (one, same) = ("workflows: [{name: w}]\n", "workflows: [{name: w, features: {cache: true}}]\n");
    let other = "workflows: [{name: w, features: {cache: false}}]\n";
    assert!(id_of(one).starts_with("settings:w:") && id_of(one) == id_of(same));
    assert_ne!(id_of(one), id_of(other), "another content is another version");
    let in_words = |tag: &crate::identity::Tagging| {
        format!("{} {:?} {:?} {}", tag.header, tag.prefix, tag.delimiter, tag.is_kept_back)
    };
    let tags: Vec<String> = identity.tagging.iter().map(in_words).collect();
    assert_eq!(tags, ["x-cost \"cc-\" \";\" false", "x-keep \"\" \",\" false", "x-team \"\" \",\" true"]);
}
