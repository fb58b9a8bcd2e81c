//! The bodies of the fuzz targets as ordinary tests over their seeds, and the proof that none is left out: every target has
//! a body here, a binary, and seeds, and nothing else lies in the folders.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::PathBuf;

/// A target's name and its body.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 22] = [
    ("assembly", ringway::dialect::translate::fuzz::assembly),
    ("batches", ringway::dialect::batches::fuzz::batches),
    ("chunked", ringway::wire::fuzz::chunked),
    ("config", ringway::config::fuzz::config),
    ("dialect", ringway::dialect::fuzz::dialect),
    ("edits", ringway::provider::fuzz::edits),
    ("eventstream", ringway::wire::fuzz::eventstream),
    ("journal", ringway::ledger::fuzz::journal),
    ("json", ringway::wire::fuzz::json),
    ("model_list", ringway::offload::catalogue::fuzz::model_list),
    ("multipart", ringway::wire::fuzz::multipart),
    ("pack", ringway::offload::packs::fuzz::pack),
    ("path", ringway::wire::fuzz::path),
    ("prices", ringway::ledger::price::fuzz::prices),
    ("redact", ringway::ledger::fuzz::redact),
    ("request_head", ringway::wire::fuzz::request_head),
    ("response_head", ringway::wire::fuzz::response_head),
    ("retry_after", ringway::policy::fuzz::retry_after),
    ("route", ringway::shard::fuzz::route),
    ("sse", ringway::wire::fuzz::sse),
    ("stream", ringway::shard::fuzz::stream),
    ("url", ringway::config::fuzz::url),
];

#[test]
fn every_target_holds_on_its_seeds_and_on_their_beginnings() {
    for (name, body) in TARGETS {
        let seeds = files(&format!("fuzz/corpus/{name}"));
        assert!(!seeds.is_empty(), "fuzz/corpus/{name} holds seeds");
        for path in seeds {
            let seed = read(&path);
            for length in 0..=seed.len() {
                let holds = catch_unwind(|| body(&seed[..length])).is_ok();
                assert!(holds, "{} fails at its first {length} bytes", path.display());
                if seed.len() > EVERY_BEGINNING_BYTES_MAX {
                    break;
                }
            }
            assert!(catch_unwind(|| body(&seed)).is_ok(), "{} fails", path.display());
        }
    }
}

#[test]
fn every_target_has_a_body_a_binary_and_seeds() {
    let want: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(want.len(), TARGETS.len(), "a target stands once");
    let stems = |folder: &str| -> BTreeSet<String> {
        entries(folder).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(stems("fuzz/fuzz_targets"), want, "the binaries");
    assert_eq!(stems("fuzz/corpus"), want, "the folders of seeds");
    let manifest = String::from_utf8(read(&root().join("fuzz/Cargo.toml"))).unwrap();
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is built");
        let binary = String::from_utf8(read(&root().join(format!("fuzz/fuzz_targets/{name}.rs")))).unwrap();
        assert!(binary.contains(&format!("fuzz::{name}(data)")), "{name} runs its own body");
    }
}

#[test]
fn seeds_are_few_and_small() {
    for (name, _) in TARGETS {
        let sizes: Vec<usize> =
            files(&format!("fuzz/corpus/{name}")).iter().map(|path| read(path).len()).collect();
        assert!(sizes.len() <= 100 && sizes.iter().sum::<usize>() < 100 * 1024, "{name}: {sizes:?}");
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[expect(clippy::disallowed_methods, reason = "a test reads its folders")]
fn entries(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries.map(|entry| entry.expect("a readable folder").path()).collect()
}

fn files(folder: &str) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| path.is_file()).collect()
}

#[expect(clippy::disallowed_methods, reason = "a test reads its seeds")]
fn read(path: &PathBuf) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Longer seeds are only run whole and empty.
const EVERY_BEGINNING_BYTES_MAX: usize = 512;
