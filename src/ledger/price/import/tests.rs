//! Each public format in small, what is left out of it, and how two lists become one.

use super::*;
use crate::ledger::price::rates::Rate;
use crate::ledger::usage::Mode;

fn names() -> Names {
    Names([("theirs", "ours"), (OWN, "ours")].map(|(a, b)| (a.to_owned(), b.to_owned())).into())
}

/// The lines that come of a list, and how many models were left out.
fn lines_of(text: &str, format: Format) -> (Vec<String>, usize) {
    let found = read(text, None, "s", &names()).expect(text);
    let told = read(text, Some(format), "s", &names()).expect(text);
    assert_eq!(found.entries, told.entries, "the format is found out");
    let lines = found.entries.iter().map(|entry| {
        let mut out = String::new();
        entry.write(&mut out);
        out.trim_end().to_owned()
    });
    (lines.collect(), found.left_out.values().sum())
}

#[test]
fn a_map_of_models_is_read_with_classes_sizes_and_tools() {
    let text = r#"{
        "sample_spec": {"litellm_provider": "one of many", "input_cost_per_token": 0.0},
        "theirs/m": {"litellm_provider": "theirs", "mode": "chat",
            "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1.5e-05, "cache_read_input_token_cost": 2.5e-07,
            "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
            "input_cost_per_token_above_272k_tokens": 5e-06, "output_cost_per_token_above_272k_tokens_batches": 1.125e-05,
            "input_cost_per_token_flex": 1.25e-06, "input_cost_per_token_ultrafast": 9e-06,
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
            "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.01}},
        "steps": {"litellm_provider": "theirs", "tiered_pricing": [
            {"input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07, "range": [0, 256000.0]},
            {"input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06, "range": [256000.0, 1000000.0]}]},
        "dear-search": {"litellm_provider": "theirs", "input_cost_per_token": 1e-06,
            "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.02}},
        "picture": {"litellm_provider": "theirs", "output_cost_per_image": 0.04},
        "free": {"litellm_provider": "theirs", "input_cost_per_token": 0, "output_cost_per_token": 0},
        "too-fine": {"litellm_provider": "theirs", "input_cost_per_token": 1.5e-13},
        "m-latest": {"litellm_provider": "theirs", "input_cost_per_token": 1e-06},
        "a/b": {"litellm_provider": "theirs", "input_cost_per_token": 1e-06},
        "m": {"litellm_provider": "theirs", "input_cost_per_token": 9e-06}
    }"#;
    let (lines, left_out) = lines_of(text, Format::LiteLlm);
    let want = [
        r#"{"provider":"ours","model":"a/b","source":"s","prices":{"input":1000000}}"#,
        r#"{"provider":"ours","model":"dear-search","source":"s","prices":{"input":1000000}}"#,
        r#"{"provider":"ours","model":"m","source":"s","prices":{"input":2500000,"output":15000000,"cache_read":250000,"cache_write":3750000,"cache_write_1h":6000000},"flex":{"input":1250000},"above":[{"tokens":200000,"prices":{"cache_write_1h":12000000}},{"tokens":272000,"prices":{"input":5000000},"batch":{"output":11250000}}],"calls":{"web_search":10000000000}}"#,
        r#"{"provider":"ours","model":"steps","source":"s","prices":{"input":50000,"output":400000},"above":[{"tokens":256000,"prices":{"input":250000,"output":2000000}}]}"#,
    ];
    assert_eq!(lines, want);
    assert_eq!(left_out, 6, "sample, picture, free, too fine, latest, and the second m");
}

#[test]
fn a_list_with_rules_for_names_is_read_with_days_and_sizes() {
    let text = r#"[{"id":"theirs","models":[
        {"id":"m-latest","match":{"or":[{"starts_with":"m-1"},{"equals":"m.1"},{"contains":"m"}]},"prices":[
            {"prices":{"input_mtok":2,"output_mtok":{"base":10,"tiers":[{"start":200000,"price":15}]}}},
            {"constraint":{"start_date":"2026-09-01"},"prices":{"input_mtok":3,"output_mtok":15}}]},
        {"id":"night","match":{"equals":"night"},"prices":[{"prices":{"input_mtok":1}},
            {"constraint":{"start_time":"00:30:00Z","end_time":"16:30:00Z"},"prices":{"input_mtok":2}}]},
        {"id":"latest","match":{"contains":"x"},"prices":{"input_mtok":1}},
        {"id":"asked","match":{"equals":"asked"},"prices":{"input_mtok":0.003625,"requests_kcount":5}}]},
        {"id":"others","models":[{"id":"o","prices":{"input_mtok":1}}]}]"#;
    let (lines, left_out) = lines_of(text, Format::GenaiPrices);
    let want = [
        r#"{"provider":"ours","model":"asked","source":"s","prices":{"input":3625},"request":5000000000}"#,
        r#"{"provider":"ours","model":"m-1","dated":true,"source":"s","prices":{"input":2000000,"output":10000000},"above":[{"tokens":200000,"prices":{"output":15000000}}]}"#,
        r#"{"provider":"ours","model":"m-1","from":"2026-09-01","dated":true,"source":"s","prices":{"input":3000000,"output":15000000}}"#,
        r#"{"provider":"ours","model":"m.1","as":"m-1"}"#,
    ];
    assert_eq!(lines, want);
    assert_eq!(left_out, 3, "by the hour, too broad, and another provider's");
}

#[test]
fn lists_by_provider_and_lists_of_one_provider_are_read() {
    let by_provider = r#"{"theirs":{"models":{"m":{"cost":{"input":0.14,"output":0.28,"cache_read":0.0028,
        "tiers":[{"tier":{"type":"context","size":32000},"input":0.3,"output":0.6}]}},"free":{"cost":{"input":0,"output":0}},"n":{}}}}"#;
    let (lines, left_out) = lines_of(by_provider, Format::ModelsDev);
    let want = r#"{"provider":"ours","model":"m","source":"s","prices":{"input":140000,"output":280000,"cache_read":2800},"above":[{"tokens":32000,"prices":{"input":300000,"output":600000}}]}"#;
    assert_eq!((lines, left_out), (vec![want.to_owned()], 1));
    let own = r#"{"data":[{"id":"v/m","pricing":{"prompt":"0.00003","completion":"0.00015","internal_reasoning":"0",
        "web_search":"0.01","input_cache_read":"0.000003"}},{"id":"auto","pricing":{"prompt":"-1","completion":"-1"}}]}"#;
    let (lines, left_out) = lines_of(own, Format::ModelList);
    let want = r#"{"provider":"ours","model":"v/m","source":"s","prices":{"input":30000000,"output":150000000,"cache_read":3000000},"calls":{"web_search":10000000000}}"#;
    assert_eq!((lines, left_out), (vec![want.to_owned()], 1));
}

#[test]
fn what_is_no_list_of_prices_is_refused() {
    for text in ["", "{", "[]", "{}", r#"{"a":1}"#, r#"{"data":[]}"#, "<html>"] {
        assert!(read(text, None, "s", &names()).is_err(), "{text}");
    }
    assert!(read(r#"{"a":1}"#, Some(Format::LiteLlm), "s", &names()).is_err());
}

#[test]
fn of_two_catalogues_the_first_has_the_word_and_the_second_knows_the_past() {
    let read = |lines: &str| lines.lines().map(|line| Entry::read(line).expect(line)).collect::<Vec<_>>();
    let first = read(concat!(
        r#"{"provider":"p","model":"agreed","source":"1","prices":{"input":3,"output":15},"batch":{"input":1}}"#,
        "\n",
        r#"{"provider":"p","model":"dear","source":"1","prices":{"input":9,"output":15}}"#,
        "\n",
        r#"{"provider":"p","model":"behind","source":"1","prices":{"input":2,"output":10},"flex":{"input":1}}"#,
    ));
    let second = read(concat!(
        r#"{"provider":"p","model":"agreed","source":"2","prices":{"input":2,"output":10}}"#,
        "\n",
        r#"{"provider":"p","model":"agreed","from":"2026-09-01","dated":true,"source":"2","prices":{"input":3,"output":15}}"#,
        "\n",
        r#"{"provider":"p","model":"behind","source":"2","prices":{"input":2,"output":10}}"#,
        "\n",
        r#"{"provider":"p","model":"behind","from":"2026-09-01","source":"2","prices":{"input":3,"output":15}}"#,
        "\n",
        r#"{"provider":"p","model":"dear","source":"2","prices":{"input":8,"output":15}}"#,
        "\n",
        r#"{"provider":"p","model":"new","source":"2","prices":{"input":1}}"#,
        "\n",
        r#"{"provider":"p","model":"alias","as":"new"}"#,
    ));
    let merged = merge(first, second);
    assert_eq!(merged.differ, [("p".to_owned(), "dear".to_owned())]);
    let mut entries = merged.entries;
    entries.sort_by(|a, b| a.key().cmp(&b.key()));
    let told: Vec<String> = entries
        .iter()
        .map(|entry| match &entry.body {
            Body::As(other) => format!("{} = {other}", entry.model),
            Body::Price(price) => {
                let input = price.rates(Mode::Standard, 1).and_then(|rates| rates.get(Rate::Input));
                let from = if entry.from.is_empty() { "ever" } else { &entry.from };
                format!("{} {from} {} {} {}", entry.model, entry.is_dated, price.source, input.unwrap_or(0))
            }
        })
        .collect();
    let want = [
        "agreed ever false 2 2",
        "agreed 2026-09-01 true 1 3",
        "alias = new",
        "behind ever false 1 2",
        "behind 2026-09-01 false 2 3",
        "dear ever false 1 9",
        "new ever false 2 1",
    ];
    assert_eq!(told, want);
}
