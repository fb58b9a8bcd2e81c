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
    /// Where it lives, when the operator names no other place.
    pub base_url: Option<String>,
    pub auth: Auth,
    /// The path of each endpoint it speaks, below the base URL; with `//` in front, below the host instead. `None` where
    /// it has none.
    pub paths: [Option<String>; Endpoint::COUNT],
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
    /// Headers of the client that pass beyond the common ones, in lower case.
    pub forward_headers: Vec<String>,
    pub usage_in_streams: UsageInStreams,
    pub edits: Vec<BodyEdit>,
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
}

/// What a file was checked against. Nobody calls a provider in the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Recorded traffic of the provider, and its documentation.
    Recordings,
    /// Its documentation only.
    Documentation,
}

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
