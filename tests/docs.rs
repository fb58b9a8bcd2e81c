//! The documents, held against the code: tables that are made from it, lists that must be complete, links that must lead
//! somewhere. A table that is out of date is written anew by `UPDATE_DOCS=1 cargo test --test docs`.
#![allow(clippy::disallowed_methods, reason = "reads and writes documents")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ringway::base::fault::FaultKind;
use ringway::config::table::{PROVIDER_SETTINGS, SETTINGS, markdown};
use ringway::config::{Sources, builtin_provider_files, load};
use ringway::dialect::endpoint::Endpoint;
use ringway::provider::edit::BodyEdit;
use ringway::provider::file::{Auth, Checked, ProviderFile, UsageInStreams};
use ringway::wire::Malformed;

#[test]
fn the_tables_of_settings_are_those_of_the_code() {
    hold("docs/configuration.md", "settings", &markdown(SETTINGS));
    hold("docs/configuration.md", "provider-settings", &markdown(PROVIDER_SETTINGS));
}

#[test]
fn the_table_of_providers_is_that_of_the_files() {
    let files = builtin_provider_files().expect("the built-in files are good");
    let mut out =
        "| type | provider | variables | base URL | speaks | usage in streams | changes in the body |\n\
                   |---|---|---|---|---|---|---|\n"
            .to_owned();
    files.iter().for_each(|file| out.push_str(&provider_row(file)));
    hold("docs/providers.md", "providers", &out);
}

#[test]
fn the_readme_lists_the_providers_of_the_files_and_what_they_were_checked_against() {
    let mut files = builtin_provider_files().expect("the built-in files are good");
    files.sort_by_key(|file| file.title.to_lowercase());
    let mut out = "| provider | type | speaks | checked against |\n|---|---|---|---|\n".to_owned();
    for file in files {
        let spoken = Endpoint::ALL.into_iter().filter(|endpoint| file.paths[*endpoint as usize].is_some());
        let speaks = spoken.map(|endpoint| endpoint.name().replace('_', " ")).collect::<Vec<_>>().join(", ");
        let checked = match file.checked {
            Checked::Recordings => "recorded traffic",
            Checked::Documentation => "its documentation",
        };
        out.push_str(&format!("| {} | `{}` | {speaks} | {checked} |\n", file.title, file.kind));
    }
    hold("README.md", "providers", &out);
}

#[test]
fn the_tables_of_errors_are_those_of_the_code() {
    let mut faults = "| code | status | what the client is told |\n|---|---|---|\n".to_owned();
    for kind in FaultKind::ALL {
        faults.push_str(&format!("| `{}` | {} | {} |\n", kind.code(), kind.status(), kind.sentence()));
    }
    hold("docs/OPERATING.md", "faults", &faults);
    let mut malformed = "| code | status | what the client is told |\n|---|---|---|\n".to_owned();
    for bad in Malformed::ALL {
        malformed.push_str(&format!("| `{}` | {} | {} |\n", bad.code(), bad.status(), bad.sentence()));
    }
    hold("docs/OPERATING.md", "malformed", &malformed);
}

#[test]
fn the_table_of_the_admin_api_is_that_of_the_code() {
    hold("docs/admin-api.md", "routes", &ringway::offload::admin::routes::markdown());
}

/// Refusals are made where they are decided, so their codes are collected from the source.
#[test]
fn every_code_that_a_client_can_see_is_documented_and_no_other() {
    let mut codes = BTreeSet::new();
    for (path, text) in sources() {
        let own = text.split("#[cfg(test)]").next().unwrap_or_default();
        for call in ["Refusal::new(", "Refusal::invalid(", "(refusal("] {
            codes.extend(own.split(call).skip(1).filter_map(|rest| code_in(arguments(rest))));
        }
        if path.ends_with("src/wire/json.rs") {
            let arms =
                own.split("JsonFault::DuplicateKey { .. } => ").nth(1).expect("the codes of JSON faults");
            codes.extend(strings(arms.split("\n    }").next().unwrap_or_default()));
        }
    }
    assert!(
        codes.len() >= 20 && codes.contains("invalid_json") && codes.contains("missing_api_key"),
        "{codes:?}"
    );
    let page = read("docs/OPERATING.md");
    let table = section(&page, "refusals").expect("the table of refusals");
    let documented: BTreeSet<String> = first_cells(table).collect();
    assert_eq!(documented, codes, "left: docs/OPERATING.md, right: the code");
}

#[test]
fn every_family_of_metrics_is_documented_and_no_other() {
    let text = read("src/offload/scrape.rs");
    let own = text.split("#[cfg(test)]").next().unwrap_or_default();
    let is_family = |name: &String| name.starts_with("ringway_") || name.starts_with("process_");
    let served: BTreeSet<String> = strings(own).filter(is_family).collect();
    assert!(served.len() > 15, "{served:?}");
    let page = read("docs/OPERATING.md");
    let table = section(&page, "metrics").expect("the table of metrics");
    assert_eq!(
        first_cells(table).collect::<BTreeSet<_>>(),
        served,
        "left: docs/OPERATING.md, right: the code"
    );
}

#[test]
fn the_example_is_accepted_as_it_is_and_with_every_line_in_force() {
    let text = read("config/ringway.example.yaml");
    // `#key: value` is a setting that is switched off; `# text` is a comment.
    let in_force = |line: &str| match line.trim_start().strip_prefix('#') {
        Some(rest) if !rest.starts_with([' ', '!']) && !rest.is_empty() => line.replacen('#', "", 1),
        _ => line.to_owned(),
    };
    let whole: String = text.lines().map(|line| in_force(line) + "\n").collect();
    let folder = std::env::temp_dir().join(format!("ringway-docs-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("providers")).expect("a folder");
    let env: BTreeMap<String, String> = ["RINGWAY_MASTER_KEY", "OPENAI_API_KEY", "OPENAI_KEY_2"]
        .map(|name| (name.to_owned(), "k-0123".to_owned()))
        .into();
    for name in ["cert.pem", "key.pem", "ca.pem", "secret"] {
        std::fs::write(folder.join(name), "x").expect("a file");
    }
    let prices = "{\"ringway_prices\":1,\"date\":\"2026-01-01\"}\n";
    std::fs::write(folder.join("prices.jsonl"), prices).expect("a file");
    for (name, text) in [("as-it-is.yaml", &text), ("whole.yaml", &whole)] {
        let text = text.replace("/etc/ringway/providers", &folder.join("providers").display().to_string());
        let text = text.replace("/etc/ringway", &folder.display().to_string());
        let file = folder.join(name);
        std::fs::write(&file, text).expect("a file");
        let loaded = load(&Sources { file: Some(file), env: env.clone() });
        if let Err(mistakes) = loaded {
            panic!("{name}: {}", mistakes.iter().map(|m| m.to_string() + "\n").collect::<String>());
        }
    }
    let _ = std::fs::remove_dir_all(folder);
    for setting in SETTINGS.iter().chain(PROVIDER_SETTINGS) {
        let key = format!("{}:", setting.path.rsplit('.').next().unwrap_or_default());
        assert!(whole.contains(&key), "config/ringway.example.yaml does not show {}", setting.path);
    }
}

#[test]
fn the_architecture_names_every_room_and_stays_short() {
    let page = read("docs/ARCHITECTURE.md");
    assert!(page.lines().count() <= 300, "{} lines", page.lines().count());
    let lib = read("src/lib.rs");
    for room in lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        let heading = page
            .split(&format!("\n### `{room}`"))
            .nth(1)
            .unwrap_or_else(|| panic!("`{room}` has no paragraph"));
        let paragraph = heading.split("\n#").next().unwrap_or_default();
        assert!(paragraph.contains("**Invariant:**"), "`{room}` states no invariant");
    }
}

#[test]
fn decisions_are_numbered_without_gaps_and_have_their_parts() {
    let folder = root().join("docs/adr");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("decisions")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    for (index, name) in names.iter().enumerate() {
        assert!(
            name.starts_with(&format!("{:04}-", index + 1)),
            "{name} should have the number {}",
            index + 1
        );
        let page = read(&format!("docs/adr/{name}"));
        for part in ["\n## Context", "\n## Decision", "\n## What was given up", "\n## Numbers"] {
            assert!(page.contains(part), "{name} has no part `{}`", part.trim());
        }
        assert!(page.lines().count() <= 70, "{name} is longer than a page");
    }
}

/// Every number of the catalogue has a test that exists, and every test that bears a number stands in it.
#[test]
fn every_edge_case_has_its_test_and_every_test_its_edge_case() {
    let mut files = Vec::new();
    walk(&root().join("src"), "rs", &mut files);
    walk(&root().join("tests"), "rs", &mut files);
    let mut tests = BTreeSet::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a source");
        let named =
            text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split_once("()"));
        tests.extend(named.map(|(name, _)| name.to_owned()));
    }
    let page = read("docs/edge-cases.md");
    let mut named = BTreeSet::new();
    for (list, mark, prefix, count) in [("edges", "", "edge_", 58), ("peers", "P", "peer_", 13)] {
        let rows: Vec<Vec<&str>> = section(&page, list)
            .expect("the list")
            .lines()
            .filter(|line| line.starts_with("| ") && !line.starts_with("| number"))
            .map(|line| line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect())
            .collect();
        assert_eq!(rows.len(), count, "{list}");
        for (number, row) in (1..).zip(rows) {
            let [is, .., test] = row[..] else { panic!("{row:?}") };
            let test = test.trim_matches('`');
            assert_eq!(is, format!("{mark}{number}"), "{list} are numbered in turn");
            assert!(tests.contains(test), "{is}: there is no test {test}");
            let own = format!("{prefix}{number:02}_");
            let is_numbered = test.starts_with("edge_") || test.starts_with("peer_");
            assert!(!is_numbered || test.starts_with(&own), "{is} has the test of another number: {test}");
            named.insert(test.to_owned());
        }
    }
    let is_numbered = |name: &&String| name.starts_with("edge_") || name.starts_with("peer_");
    let missing: Vec<&String> =
        tests.iter().filter(is_numbered).filter(|name| !named.contains(*name)).collect();
    assert!(missing.is_empty(), "not in docs/edge-cases.md: {missing:?}");
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for path in documents() {
        let text = std::fs::read_to_string(&path).expect("a document");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let is_elsewhere = target.contains("://") || file.is_empty();
            if !is_elsewhere && !path.parent().expect("a folder").join(file).exists() {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Files that the documents and the code name in backticks or comments exist.
#[test]
fn files_that_are_named_exist() {
    let mut missing = Vec::new();
    let texts = documents()
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).expect("a document")));
    for (path, text) in texts.chain(sources().into_iter().map(|(path, text)| (PathBuf::from(path), text))) {
        let named = text.split('`').skip(1).step_by(2).filter(|name| {
            let is_ours = ["docs/", "src/", "tests/", "scripts/", "loadtest/", "config/", "fuzz/"];
            is_ours.iter().any(|folder| name.starts_with(folder)) && !name.contains(['*', '{', ' ', 'N', '<'])
        });
        missing.extend(
            named
                .filter(|name| !root().join(name).exists())
                .map(|name| format!("{}: {name}", path.display())),
        );
    }
    // Files that people make.
    missing.retain(|line| !line.ends_with("config/ringway.yaml") && !line.ends_with("loadtest/results"));
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Holds a section of a document, between `<!-- NAME:begin -->` and `<!-- NAME:end -->`, against what it should be.
fn hold(path: &str, name: &str, want: &str) {
    let page = read(path);
    let found = section(&page, name).unwrap_or_else(|| panic!("{path} has no section `{name}`"));
    let want = format!("\n{want}");
    if found == want {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_DOCS").is_some(),
        "{path} is out of date in `{name}`; refresh it with\n    UPDATE_DOCS=1 cargo test --test docs\n"
    );
    let page = read(path);
    let found = section(&page, name).expect("it was there").to_owned();
    let begin = format!("<!-- {name}:begin -->{found}");
    std::fs::write(root().join(path), page.replacen(&begin, &format!("<!-- {name}:begin -->{want}"), 1))
        .expect("a document");
}

fn section<'p>(page: &'p str, name: &str) -> Option<&'p str> {
    page.split_once(&format!("<!-- {name}:begin -->"))?
        .1
        .split_once(&format!("<!-- {name}:end -->"))
        .map(|parts| parts.0)
}

/// The names in backticks in the first cells of a table.
fn first_cells(table: &str) -> impl Iterator<Item = String> {
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|parts| parts.0.to_owned()));
    rows.collect::<Vec<_>>().into_iter()
}

fn provider_row(file: &ProviderFile) -> String {
    let code = |text: &str| format!("`{text}`");
    let key = match &file.auth {
        Auth::AwsSigV4 { .. } => {
            let common = |setting: &str| {
                let names = file.variables.iter().find(|(known, _)| known == setting).map(|(_, names)| names);
                names.map_or_else(
                    || code(&format!("{}_{}", file.env, setting.to_uppercase())),
                    |names| names.iter().map(|name| code(name)).collect::<Vec<_>>().join(" or "),
                )
            };
            let (key, region) =
                (format!("`{}_API_KEY` or {}", file.env, common("api_key")), common("region"));
            let pair = format!("{} with {}", common("access_key_id"), common("secret_access_key"));
            format!("{key}, or {pair} ({} too for temporary ones); {region}", common("session_token"))
        }
        Auth::GoogleServiceAccount { .. } => {
            let own =
                ["CREDENTIALS", "PROJECT", "LOCATION"].map(|name| code(&format!("{}_{name}", file.env)));
            let names = file.variables.iter().flat_map(|(_, names)| names).map(|name| code(name));
            format!("{}; or {}", own.join(", "), names.collect::<Vec<_>>().join(", "))
        }
        Auth::OptionalBearer => format!("`{0}_BASE_URL`, `{0}_API_KEY` (optional)", file.env),
        _ if file.base_url.is_none() => format!("`{0}_API_KEY`, `{0}_BASE_URL`", file.env),
        _ => format!("`{}_API_KEY`", file.env),
    };
    let spoken = Endpoint::ALL.into_iter().filter(|endpoint| file.paths[*endpoint as usize].is_some());
    let usage = match file.usage_in_streams {
        UsageInStreams::Ask => "asked for",
        UsageInStreams::Always => "always",
        UsageInStreams::Never => "never",
    };
    let edits: Vec<String> = file.edits.iter().map(edit_in_words).collect();
    format!(
        "| `{}` | {} | {key} | {} | {} | {usage} | {} |\n",
        file.kind,
        file.title,
        file.base_url.as_deref().map_or("none: always name it".to_owned(), code),
        spoken.map(Endpoint::name).collect::<Vec<_>>().join(", "),
        if edits.is_empty() { "–".to_owned() } else { edits.join("; ") },
    )
}

fn edit_in_words(edit: &BodyEdit) -> String {
    let bound = |number: &Option<f64>, word: &str| {
        number.map(|number| format!(" {word} {number}")).unwrap_or_default()
    };
    match edit {
        BodyEdit::Rename { from, to } => format!("`{from}` becomes `{to}`"),
        BodyEdit::Drop { field } => format!("`{field}` is dropped"),
        BodyEdit::Default { field, value } => format!("`{field}` defaults to `{value}`"),
        BodyEdit::Map { field, from, to } => format!("`{field}` `{from}` becomes `{to}`"),
        BodyEdit::Clamp { field, min, max } => {
            format!("`{field}` is kept{}{}", bound(min, "from"), bound(max, "up to"))
        }
        BodyEdit::Above { field, above, otherwise } => {
            format!("`{field}` of {above} or less becomes {otherwise}")
        }
    }
}

/// The text of a call's arguments, from behind its opening parenthesis to the closing one.
fn arguments(rest: &str) -> &str {
    let mut depth = 1;
    let end = rest.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    &rest[..end.unwrap_or(rest.len())]
}

/// The first string of some arguments that looks like a code.
fn code_in(arguments: &str) -> Option<String> {
    strings(arguments)
        .find(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

/// The simple strings of a piece of source.
fn strings(source: &str) -> impl Iterator<Item = String> {
    let found: Vec<String> = source.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    found.into_iter()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The sources of the crate, tests in their own files left out.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(&root().join("src"), "rs", &mut found);
    found.retain(|path| !path.ends_with("tests.rs"));
    let read =
        |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).expect("a source"));
    found.into_iter().map(read).collect()
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md")];
    walk(&root().join("docs"), "md", &mut found);
    found
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, ending, found);
        } else if path.extension().is_some_and(|other| other == ending) {
            found.push(path);
        }
    }
}
