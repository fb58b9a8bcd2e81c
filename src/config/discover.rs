//! Providers from the environment: `OPENAI_API_KEY` makes the instance `openai`, `OPENAI_EAST_API_KEY` makes
//! `openai-east`.

use std::collections::BTreeMap;

use crate::provider::file::ProviderFile;

/// An instance that the environment speaks of: its values by setting, each with the variable that it came from.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub kind: String,
    pub settings: BTreeMap<&'static str, (String, String)>,
    /// Keys in the order of their numbers.
    pub keys: Vec<(u32, String, String)>,
}

/// All instances by name, in the order of the files, and by suffix within one.
pub fn discover(files: &[ProviderFile], env: &BTreeMap<String, String>) -> Vec<(String, Found)> {
    let mut found: BTreeMap<(usize, String), Found> = BTreeMap::new();
    for (variable, value) in env.iter().filter(|(_, value)| !value.is_empty()) {
        let Some((index, suffix, setting, number)) = split(files, variable) else { continue };
        let entry = found.entry((index, suffix)).or_default();
        entry.kind = files[index].kind.clone();
        if setting == "api_key" {
            entry.keys.push((number, variable.clone(), value.clone()));
        } else {
            entry.settings.insert(setting, (variable.clone(), value.clone()));
        }
    }
    let name = |index: usize, suffix: &str| match suffix {
        "" => files[index].kind.clone(),
        suffix => format!("{}-{}", files[index].kind, suffix.to_lowercase().replace('_', "-")),
    };
    let mut list: Vec<(String, Found)> =
        found.into_iter().map(|((index, suffix), found)| (name(index, &suffix), found)).collect();
    list.iter_mut().for_each(|(_, found)| found.keys.sort());
    list
}

/// Takes a variable apart: which file, which suffix, which setting, which number of key. The longest prefix wins, so
/// that a type whose name begins with another's is not taken for its instance.
fn split(files: &[ProviderFile], variable: &str) -> Option<(usize, String, &'static str, u32)> {
    let (rest, setting, number) = setting_of(variable)?;
    let fits = |file: &&(usize, &ProviderFile)| {
        let prefix = &file.1.env;
        rest == prefix
            || rest.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.len() > 1 && rest.starts_with('_'))
    };
    let indexed: Vec<(usize, &ProviderFile)> = files.iter().enumerate().collect();
    let (index, file) = *indexed.iter().filter(fits).max_by_key(|(_, file)| file.env.len())?;
    let suffix = rest[file.env.len()..].trim_start_matches('_').to_owned();
    Some((index, suffix, setting, number))
}

fn setting_of(variable: &str) -> Option<(&str, &'static str, u32)> {
    const ENDINGS: [(&str, &str); 4] = [
        ("_API_KEY", "api_key"),
        ("_BASE_URL", "base_url"),
        ("_MODELS", "models"),
        ("_API_VERSION", "api_version"),
    ];
    for (ending, setting) in ENDINGS {
        if let Some(rest) = variable.strip_suffix(ending) {
            return Some((rest, setting, 1));
        }
    }
    let (rest, number) = variable.rsplit_once('_')?;
    let number = number.parse().ok().filter(|&number| number >= 2)?;
    Some((rest.strip_suffix("_API_KEY")?, "api_key", number))
}
