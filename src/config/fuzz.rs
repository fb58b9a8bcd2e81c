//! The bodies of the fuzz targets for settings: whatever a file says, the answer is a snapshot or a list of mistakes.

use std::collections::BTreeMap;

use super::mistake::Mistakes;
use super::table::{PROVIDER_SETTINGS, SETTINGS};
use super::{build, compile, interpolate, provider_file, values, yaml};

/// Arbitrary text as a settings file, as a provider file, and as the value of every setting. References to files are
/// left out: what they would read is not part of the input.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if text.contains("file:") || text.contains("_dir") {
        return;
    }
    let env: BTreeMap<String, String> = [("OPENAI_API_KEY", "sk-1"), ("KEY", "k\u{1}"), ("EMPTY", "")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut mistakes = Mistakes::default();
    let root = yaml::read("ringway.yaml", text, &mut mistakes);
    // Every build reads all built-in provider files: only for texts that could say something to it.
    let is_known = |name: &str| SETTINGS.iter().any(|setting| setting.path.split('.').next() == Some(name));
    let mut members = root.as_ref().and_then(|root| root.members()).into_iter().flatten();
    if !members.any(|(name, _, _)| is_known(name) || name == "providers") {
        return check_values(text, &env);
    }
    match build::of_file(root.as_ref(), &env, mistakes) {
        Ok(snapshot) => assert!(!snapshot.plan.is_empty()),
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "a start that is refused says why");
            mistakes.iter().for_each(|mistake| assert!(mistake.to_string().len() > mistake.place.len()));
        }
    }
    check_values(text, &env);
}

fn check_values(text: &str, env: &BTreeMap<String, String>) {
    let mut mistakes = Mistakes::default();
    provider_file::read("fuzzed", "fuzzed.yaml", text, &mut mistakes);
    if let Ok(once) = interpolate::interpolate(text, env)
        && !text.contains('$')
    {
        assert_eq!(once, text, "without a reference nothing changes");
    }
    for setting in SETTINGS.iter().chain(PROVIDER_SETTINGS) {
        values::understand(setting.kind, &[text.to_owned()]);
    }
}

/// A URL that is taken apart can be put together again and means the same.
pub fn url(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some((origin, path)) = compile::split_url(text) else { return };
    let scheme = if origin.tls { "https" } else { "http" };
    let again = compile::split_url(&format!("{scheme}://{}{path}", origin.authority));
    assert_eq!(again, Some((origin.clone(), path)));
    let is_written = origin.authority.bytes().all(|b| b.is_ascii_graphic());
    assert!(is_written && !origin.host.is_empty(), "the authority can stand in a head");
}
