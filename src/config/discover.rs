//! Providers from the environment: `OPENAI_API_KEY` makes the instance `openai`, `OPENAI_EAST_API_KEY` makes
//! `openai-east`. What belongs to no provider file is not looked at.

use std::collections::BTreeMap;

use super::table::{PROVIDER_SETTINGS, Setting};
use crate::provider::file::{Auth, PLACES, ProviderFile};

/// An instance that the environment speaks of: the variable of each setting, of each key and of each header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub kind: String,
    pub settings: BTreeMap<&'static str, String>,
    /// Number, variable and key, in the order of their numbers.
    pub keys: Vec<(u32, String, String)>,
    /// Header, variable and value.
    pub headers: Vec<(String, String, String)>,
    /// The variables that others have for settings of which nothing else speaks.
    pub common: BTreeMap<&'static str, String>,
}

/// All instances by name, in the order of the files, and by suffix within one.
pub fn discover(files: &[ProviderFile], env: &BTreeMap<String, String>) -> Vec<(String, Found)> {
    let mut found: BTreeMap<(usize, String), Found> = BTreeMap::new();
    for (variable, value) in env.iter().map(|(variable, value)| (variable, value.trim())) {
        let Some((index, suffix, what)) = split(files, variable).filter(|_| !value.is_empty()) else {
            continue;
        };
        let entry = found.entry((index, suffix)).or_default();
        entry.kind = files[index].kind.clone();
        match what {
            What::Key(number) => entry.keys.push((number, variable.clone(), value.to_owned())),
            What::Header(name) => entry.headers.push((name, variable.clone(), value.to_owned())),
            What::Setting(setting) => drop(entry.settings.insert(setting, variable.clone())),
        }
    }
    for (index, file) in files.iter().enumerate() {
        let mut lone = Found { kind: file.kind.clone(), ..Found::default() };
        lone.add_common(file, env, |_| false);
        if !lone.common.is_empty() && lone.missing(file).is_none() {
            found.entry((index, String::new())).or_insert(lone);
        }
    }
    for ((index, _), found) in &mut found {
        found.add_common(&files[*index], env, |_| false);
    }
    let name = |index: usize, suffix: &str| match suffix {
        "" => files[index].kind.clone(),
        suffix => format!("{}-{suffix}", files[index].kind),
    };
    let mut list: Vec<(String, Found)> =
        found.into_iter().map(|((index, suffix), found)| (name(index, &suffix), found)).collect();
    list.iter_mut().for_each(|(_, found)| found.keys.sort());
    list
}

impl Found {
    /// What is missing to make a provider of it, where nothing but the environment speaks of it. A key makes one, and
    /// so does an address where no key is needed; other variables alone may well belong to another program.
    pub fn missing(&self, file: &ProviderFile) -> Option<&'static str> {
        let has = |setting: &str| self.settings.contains_key(setting) || self.common.contains_key(setting);
        let has_key = !self.keys.is_empty() || has("api_key");
        let signs = !has_key && has("access_key_id") && has("secret_access_key");
        let proves = has_key || signs || has("credentials") || file.auth == Auth::OptionalBearer;
        let place = PLACES.into_iter().find(|(setting, _)| file.has_place(setting) && !has(setting));
        match &file.base_url {
            _ if !proves && matches!(file.auth, Auth::GoogleServiceAccount { .. }) => Some("CREDENTIALS"),
            _ if !proves => Some("API_KEY"),
            _ if signs && !has("region") => Some("REGION"),
            _ if has("base_url") => None,
            Some(_) if has_key || file.auth != Auth::OptionalBearer => place.map(|(_, ending)| ending),
            _ => Some("BASE_URL"),
        }
    }

    /// Adds the variables that others have for settings of this type. Those of which the environment or the file
    /// (`is_in_file`) speaks already are left alone; credentials are not mixed with others.
    pub fn add_common(
        &mut self,
        file: &ProviderFile,
        env: &BTreeMap<String, String>,
        is_in_file: impl Fn(&str) -> bool,
    ) {
        let is_said = |setting: &str| self.settings.contains_key(setting) || is_in_file(setting);
        let has_credential = !self.keys.is_empty() || CREDENTIALS.into_iter().any(is_said);
        let is_open = |setting: &&Setting| match CREDENTIALS.contains(&setting.path) {
            true => !has_credential,
            false => !is_said(setting.path),
        };
        let is_set = |name: &&String| env.get(*name).is_some_and(|value| !value.trim().is_empty());
        let common = file.variables.iter().filter_map(|(setting, names)| {
            let setting = PROVIDER_SETTINGS.iter().find(|known| known.path == setting).filter(is_open)?;
            Some((setting.path, names.iter().find(is_set)?.clone()))
        });
        self.common = common.collect();
    }

    /// Every variable that speaks of it.
    pub fn variables(&self) -> Vec<&str> {
        let keys = self.keys.iter().map(|(_, variable, _)| variable.as_str());
        let headers = self.headers.iter().map(|(_, variable, _)| variable.as_str());
        keys.chain(self.settings.values().map(String::as_str)).chain(headers).collect()
    }
}

/// The settings that show who asks. One instance has all of its from one hand.
const CREDENTIALS: [&str; 6] =
    ["api_key", "api_keys", "access_key_id", "secret_access_key", "session_token", "credentials"];

/// What a variable sets.
enum What {
    /// A key and its number.
    Key(u32),
    Setting(&'static str),
    Header(String),
}

/// Takes a variable apart: which file, which suffix as it stands in the instance's name, what it sets. The longest
/// prefix wins, so that a type whose name begins with another's is not taken for its instance.
fn split(files: &[ProviderFile], variable: &str) -> Option<(usize, String, What)> {
    let candidates = files.iter().enumerate().filter_map(|(index, file)| {
        let behind = variable.strip_prefix(file.env.as_str())?;
        let (suffix, what) = ending(file, behind)?;
        let is_good = suffix.is_empty() || (suffix.starts_with('_') && suffix.len() > 1);
        let suffix = suffix.trim_start_matches('_').to_lowercase().replace('_', "-");
        is_good.then_some((index, suffix, what))
    });
    candidates.max_by_key(|(index, _, _)| files[*index].env.len())
}

/// The suffix (with the `_` before it) and the meaning of a variable's end.
fn ending<'v>(file: &ProviderFile, behind: &'v str) -> Option<(&'v str, What)> {
    const SETTINGS: [(&str, &str); 11] = [
        ("_BASE_URL", "base_url"),
        ("_MODELS", "models"),
        ("_API_VERSION", "api_version"),
        ("_PROXY_URL", "proxy_url"),
        ("_REGION", "region"),
        ("_PROJECT", "project"),
        ("_LOCATION", "location"),
        ("_CREDENTIALS", "credentials"),
        ("_ACCESS_KEY_ID", "access_key_id"),
        ("_SECRET_ACCESS_KEY", "secret_access_key"),
        ("_SESSION_TOKEN", "session_token"),
    ];
    for (ending, setting) in SETTINGS.into_iter().filter(|(_, setting)| file.takes(setting)) {
        if let Some(suffix) = behind.strip_suffix(ending) {
            return Some((suffix, What::Setting(setting)));
        }
    }
    for (ending, header) in &file.header_variables {
        if let Some(suffix) = behind.strip_suffix(ending.as_str()).and_then(|rest| rest.strip_suffix('_')) {
            return Some((suffix, What::Header(header.clone())));
        }
    }
    if let Some(suffix) = behind.strip_suffix("_API_KEY") {
        return Some((suffix, What::Key(1)));
    }
    let (rest, number) = behind.rsplit_once('_')?;
    let number = number.parse().ok().filter(|&number| number >= 1)?;
    Some((rest.strip_suffix("_API_KEY")?, What::Key(number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::mistake::Mistakes;
    use crate::config::provider_file;

    /// Built-in files and those of two types of which one's name begins with the other's.
    fn files() -> Vec<ProviderFile> {
        let mut mistakes = Mistakes::default();
        let mut files = provider_file::read_all(None, &mut mistakes);
        for kind in ["openai-eu", "with-a-dash"] {
            files.extend(provider_file::read(kind, kind, "base_url: https://h/v1", &mut mistakes));
        }
        assert_eq!(mistakes.list, []);
        files
    }

    fn check(variables: &[&str], want: &[&str]) {
        let env = variables.iter().map(|&name| (name.to_owned(), format!(" {name}\n"))).collect();
        let files = files();
        let got: Vec<String> = discover(&files, &env)
            .iter()
            .map(|(name, found)| {
                let file = files.iter().find(|file| file.kind == found.kind).expect("a file");
                let missing = found.missing(file).map_or(String::new(), |what| format!(" lacks {what}"));
                format!("{name} ({}) {}{missing}", found.kind, found.variables().join(" "))
            })
            .collect();
        assert_eq!(got, want, "{variables:?}");
    }

    #[test]
    fn variables_make_instances() {
        check(&["OPENAI_API_KEY"], &["openai (openai) OPENAI_API_KEY"]);
        check(
            &["OPENAI_EAST_API_KEY", "OPENAI_EAST_BASE_URL", "OPENAI_API_KEY"],
            &[
                "openai (openai) OPENAI_API_KEY",
                "openai-east (openai) OPENAI_EAST_API_KEY OPENAI_EAST_BASE_URL",
            ],
        );
        check(
            &["VLLM_GPU_2_BASE_URL", "VLLM_GPU_2_MODELS", "VLLM_GPU_2_PROXY_URL"],
            &["vllm-gpu-2 (vllm) VLLM_GPU_2_BASE_URL VLLM_GPU_2_MODELS VLLM_GPU_2_PROXY_URL"],
        );
        check(
            &["AZURE_API_KEY", "AZURE_BASE_URL", "AZURE_API_VERSION"],
            &["azure (azure) AZURE_API_KEY AZURE_API_VERSION AZURE_BASE_URL"],
        );
        check(
            &["OPENROUTER_API_KEY", "OPENROUTER_SITE_URL", "OPENROUTER_APP_NAME"],
            &["openrouter (openrouter) OPENROUTER_API_KEY OPENROUTER_APP_NAME OPENROUTER_SITE_URL"],
        );
        check(&["OLLAMA_API_KEY", "OLLAMA_BASE_URL"], &["ollama (ollama) OLLAMA_API_KEY OLLAMA_BASE_URL"]);
    }

    #[test]
    fn keys_come_in_the_order_of_their_numbers() {
        check(
            &["XAI_API_KEY_10", "XAI_API_KEY_2", "XAI_API_KEY", "XAI_WEST_API_KEY_2"],
            &["xai (xai) XAI_API_KEY XAI_API_KEY_2 XAI_API_KEY_10", "xai-west (xai) XAI_WEST_API_KEY_2"],
        );
        check(&["XAI_API_KEY_1", "XAI_API_KEY_2"], &["xai (xai) XAI_API_KEY_1 XAI_API_KEY_2"]);
    }

    #[test]
    fn the_longest_type_wins_and_dashes_are_underscores() {
        check(&["OPENAI_EU_API_KEY"], &["openai-eu (openai-eu) OPENAI_EU_API_KEY"]);
        check(&["OPENAI_EU_2_API_KEY"], &["openai-eu-2 (openai-eu) OPENAI_EU_2_API_KEY"]);
        check(&["OPENAI_EUROPE_API_KEY"], &["openai-europe (openai) OPENAI_EUROPE_API_KEY"]);
        check(&["GITHUB_MODELS_API_KEY"], &["github-models (github-models) GITHUB_MODELS_API_KEY"]);
        check(
            &["GITHUB_MODELS_API_KEY", "GITHUB_MODELS_MODELS"],
            &["github-models (github-models) GITHUB_MODELS_API_KEY GITHUB_MODELS_MODELS"],
        );
        check(&["TOGETHER_EAST_API_KEY"], &["together-east (together) TOGETHER_EAST_API_KEY"]);
        check(&["WITH_A_DASH_B_C_API_KEY"], &["with-a-dash-b-c (with-a-dash) WITH_A_DASH_B_C_API_KEY"]);
    }

    #[test]
    fn what_is_not_meant_makes_nothing() {
        for variable in [
            "API_KEY",
            "OPENAIAPI_KEY",
            "OPENAIX_API_KEY",
            "OPENAI__API_KEY",
            "OPENAI_API_KEY_0",
            "OPENAI_API_KEY_X",
            "OPENAI_API_KEY_FILE",
            "OPENAI_SITE_URL",
            "openai_api_key",
            "MY_OPENAI_API_KEY",
            "OPENAI_API_BASE",
        ] {
            check(&[variable], &[]);
        }
        let env = BTreeMap::from([("OPENAI_API_KEY".to_owned(), " ".to_owned())]);
        assert_eq!(discover(&files(), &env), []);
    }

    #[test]
    fn variables_of_others_make_an_instance_when_they_are_enough() {
        let pair = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        check(&[pair[0], pair[1], "AWS_REGION"], &["bedrock (bedrock) "]);
        check(&[pair[0], pair[1], "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"], &["bedrock (bedrock) "]);
        check(&["AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION"], &["bedrock (bedrock) "]);
        check(&[pair[0], pair[1]], &[]);
        check(&["AWS_REGION"], &[]);
        check(&[pair[0], "AWS_REGION"], &[]);
        check(&["BEDROCK_REGION", pair[0], pair[1]], &["bedrock (bedrock) BEDROCK_REGION"]);
        check(
            &["BEDROCK_EU_REGION", "AWS_REGION"],
            &["bedrock-eu (bedrock) BEDROCK_EU_REGION lacks API_KEY"],
        );
        check(&["BEDROCK_API_KEY"], &["bedrock (bedrock) BEDROCK_API_KEY lacks REGION"]);
        check(&["OPENAI_REGION", "OPENAI_SESSION_TOKEN", "OPENAI_PROJECT", "OPENAI_CREDENTIALS"], &[]);
        let google = ["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"];
        check(&google, &["vertex (vertex) ", "vertex-anthropic (vertex-anthropic) "]);
        check(&google[..2], &[]);
        check(
            &["VERTEX_CREDENTIALS", "VERTEX_PROJECT"],
            &["vertex (vertex) VERTEX_CREDENTIALS VERTEX_PROJECT lacks LOCATION"],
        );
        check(&["VERTEX_PROJECT"], &["vertex (vertex) VERTEX_PROJECT lacks CREDENTIALS"]);
    }

    #[test]
    fn credentials_are_not_mixed() {
        let names = ["BEDROCK_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"];
        let env = names.iter().map(|&name| (name.to_owned(), "x".to_owned())).collect();
        let found = discover(&files(), &env);
        let common: Vec<&str> = found[0].1.common.keys().copied().collect();
        assert_eq!((found.len(), common), (1, vec!["region"]));
    }

    #[test]
    fn half_an_instance_says_what_it_lacks() {
        check(&["OPENAI_BASE_URL"], &["openai (openai) OPENAI_BASE_URL lacks API_KEY"]);
        check(&["ORACLE_API_KEY"], &["oracle (oracle) ORACLE_API_KEY lacks BASE_URL"]);
        check(&["AZURE_API_VERSION"], &["azure (azure) AZURE_API_VERSION lacks API_KEY"]);
        // Ollama itself has a variable of this name: the folder of its models.
        check(&["OLLAMA_MODELS"], &["ollama (ollama) OLLAMA_MODELS lacks BASE_URL"]);
        check(&["OPENROUTER_SITE_URL"], &["openrouter (openrouter) OPENROUTER_SITE_URL lacks API_KEY"]);
    }
}
