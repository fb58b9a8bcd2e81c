//! What a provider file says, after it was checked.

use super::edit::BodyEdit;
use super::models::Models;
use crate::dialect::endpoint::Endpoint;
use crate::dialect::middle::Rules;

/// A provider file: one kind of provider, of which there may be many instances.
#[derive(Clone, Debug)]
pub struct ProviderFile {
    /// The file's name without its ending: the `type` in settings.
    pub kind: String,
    pub title: String,
    /// What the file's facts were checked against.
    pub checked: Checked,
    /// The prefix of its environment variables, such as `OPENAI`.
    pub env: String,
    /// Where it lives, when the operator names no other place; `{region}`, `{project}` and `{location}`
    /// stand for the instance's, and `{location-}` for the location with a dash, or nothing where that is `global`.
    pub base_url: Option<String>,
    pub auth: Auth,
    /// The path of each endpoint it speaks, below the base URL; with `//` in front, below the host instead. `None` where
    /// it has none.
    pub paths: [Option<String>; Endpoint::COUNT],
    /// What of the base URL's path, from this text on, belongs to one model: files and batches live above it.
    pub collections_above: Option<String>,
    /// The path of streams of the messages endpoint, where they have one of their own.
    pub messages_stream: Option<String>,
    pub api_version: Option<String>,
    /// Query parameters on every request; `${api_version}` stands for the instance's.
    pub query: Vec<(String, String)>,
    /// The query is added only when the base URL's path holds this text.
    pub query_when_base_has: Option<String>,
    pub headers: Vec<(String, String)>,
    /// Headers of requests whose client has none of the same name.
    pub default_headers: Vec<(String, String)>,
    /// Headers that the environment may set: the end of a variable's name (behind [`ProviderFile::env`] and `_`), and the
    /// header.
    pub header_variables: Vec<(String, String)>,
    /// Variables that others have for settings of an instance, by setting; the first that is set counts.
    pub variables: Vec<(String, Vec<String>)>,
    /// Headers of the client that pass beyond the common ones, in lower case.
    pub forward_headers: Vec<String>,
    pub usage_in_streams: UsageInStreams,
    pub edits: Vec<BodyEdit>,
    /// The name under which catalogues list its prices.
    pub priced_as: String,
    /// Names that public price lists have for it.
    pub price_names: Vec<String>,
    /// What a request that comes from another dialect must respect.
    pub rules: Rules,
    /// The same for some of its models; the first that fits counts.
    pub rules_of_models: Vec<(Models, Rules)>,
    /// Models that answer conversations on the responses endpoint only.
    pub only_responses: Models,
}

/// How a provider wants to be shown its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    Bearer,
    /// The key alone in a header of this name.
    Header(String),
    /// As a bearer token when there is a key; none is needed.
    OptionalBearer,
    /// As a bearer token when there is a key; else a pair of keys signs each request, for this service of AWS.
    AwsSigV4 {
        service: String,
    },
    /// As a bearer token when there is a key; else a service account gets access tokens for this scope.
    GoogleServiceAccount {
        scope: String,
    },
}

/// What a file was checked against. Nobody calls a provider in the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Recorded traffic of the provider, and its documentation.
    Recordings,
    /// Its documentation only.
    Documentation,
}

impl ProviderFile {
    /// Whether a setting that not every provider has means something here.
    pub fn takes(&self, setting: &str) -> bool {
        let is_signed = matches!(self.auth, Auth::AwsSigV4 { .. });
        match setting {
            "region" => is_signed || self.has_place(setting),
            "project" | "location" => self.has_place(setting),
            "access_key_id" | "secret_access_key" | "session_token" => is_signed,
            "credentials" => matches!(self.auth, Auth::GoogleServiceAccount { .. }),
            _ => true,
        }
    }

    /// Whether the base URL has a place for a setting.
    pub fn has_place(&self, setting: &str) -> bool {
        let url = self.base_url.as_deref().unwrap_or_default();
        [format!("{{{setting}}}"), format!("{{{setting}-}}")].iter().any(|place| url.contains(place))
    }
}

/// The settings that may have a place in a base URL, and the ends of their variables.
pub const PLACES: [(&str, &str); 3] =
    [("region", "REGION"), ("project", "PROJECT"), ("location", "LOCATION")];

/// Whether a stream tells its usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageInStreams {
    /// When `stream_options.include_usage` asks for it.
    Ask,
    /// Without being asked.
    Always,
    /// Not at all.
    Never,
}
