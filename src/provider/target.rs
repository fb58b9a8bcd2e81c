//! A provider as the request path sees it: every string ready-made, every choice taken when the settings were read.

use std::sync::Arc;

use crate::base::Secret;
use crate::dialect::endpoint::Endpoint;
use crate::wire::path::percent_encode;

use super::edit::BodyEdit;
use super::file::UsageInStreams;
use super::models::Models;
use crate::dialect::middle::Rules;

/// One configured instance of a provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The instance's name: the first part of `provider/model`.
    pub name: String,
    /// The provider file's name.
    pub kind: String,
    /// The name under which catalogues list its prices.
    pub priced_as: String,
    pub origin: Origin,
    /// Used in turn.
    pub credentials: Vec<Credential>,
    pub routes: [Option<Route>; Endpoint::COUNT],
    /// Where streams of the messages endpoint have a route of their own.
    pub messages_stream: Option<Route>,
    /// The base URL's path, without a slash at its end: what `/v1` and `/p/{provider}` stand for.
    pub base_path: String,
    /// The query added to every request, without `?`; empty for most.
    pub query: String,
    pub forward_headers: Vec<String>,
    /// The headers that every request carries by our settings, in lower case. The client's of the same name stay behind.
    pub own_headers: Vec<String>,
    pub usage_in_streams: UsageInStreams,
    pub edits: Vec<BodyEdit>,
    pub rules: Rules,
    pub rules_of_models: Vec<(Models, Rules)>,
    pub only_responses: Models,
    /// Header lines for requests whose client has none of the same name, with those names in lower case.
    pub default_headers: Vec<(String, String)>,
    /// Models named in the settings.
    pub models: Vec<String>,
    pub limits: Limits,
    pub retry: Retry,
    pub proxy: Option<Proxy>,
}

/// The server behind a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    pub tls: bool,
    /// A name or an address, brackets of IPv6 removed.
    pub host: String,
    pub port: u16,
    /// The Host header.
    pub authority: String,
}

/// What shows a provider who asks.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Header lines, each ended by CRLF: the key's where there is one, and those that every request to the provider
    /// carries.
    pub header_lines: Secret,
    pub proof: Proof,
    /// What no answer to a client may hold.
    pub secrets: Vec<Secret>,
    /// For plans and logs.
    pub masked: String,
}

/// Whether the header lines are all that a request must show.
#[derive(Clone, Debug)]
pub enum Proof {
    /// They are.
    InHeaders,
    /// Each request is signed, its body included.
    AwsSigV4(Box<AwsSigning>),
    /// Each request shows the access token of this moment.
    Token(Arc<TokenSource>),
}

/// Tells one source of tokens from others: a hash of the account.
pub type SourceId = [u8; 32];

/// A service account, and where it gets its access tokens.
#[derive(Clone, Debug)]
pub struct TokenSource {
    pub id: SourceId,
    pub email: String,
    /// Which of the account's keys this is; empty when that is not known.
    pub key_id: String,
    /// PEM.
    pub private_key: Secret,
    pub uri: String,
    pub scope: String,
    /// The URI's server and path.
    pub origin: Origin,
    pub target: String,
    pub proxy: Option<Proxy>,
    pub limits: Limits,
}

/// What signs requests to a service of AWS.
#[derive(Clone, Debug)]
pub struct AwsSigning {
    pub access_key: String,
    pub secret_key: Secret,
    /// Comes with temporary keys.
    pub session_token: Option<Secret>,
    pub region: String,
    pub service: String,
}

/// An endpoint of a provider.
#[derive(Clone, Debug)]
pub struct Route {
    /// The whole request target, base path and added query included. `{model}` stands for the model.
    pub target: String,
    /// Where `{model}` stands.
    model_at: Option<usize>,
}

impl Route {
    pub fn new(target: String) -> Route {
        let model_at = target.find(MODEL);
        Route { target, model_at }
    }

    /// Whether the path names the model, and so is none that a client of another provider would ask.
    pub fn names_model(&self) -> bool {
        self.model_at.is_some()
    }

    /// Appends the target of a request for this model.
    pub fn write(&self, model: &str, out: &mut Vec<u8>) {
        let target = self.target.as_bytes();
        match self.model_at {
            None => out.extend_from_slice(target),
            Some(at) => {
                out.extend_from_slice(&target[..at]);
                percent_encode(model.as_bytes(), out);
                out.extend_from_slice(&target[at + MODEL.len()..]);
            }
        }
    }
}

/// The model's place in a path.
pub const MODEL: &str = "{model}";

/// Time limits in milliseconds, and the size of the pool per shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connect_timeout_ms: u64,
    pub tls_timeout_ms: u64,
    pub first_byte_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub pool_idle_timeout_ms: u64,
    pub pool_idle_count_max: usize,
}

/// When to ask again. Factors and ratios are in thousandths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    pub count_max: u32,
    pub initial_backoff_ms: u64,
    pub max_backoff_ms: u64,
    pub backoff_factor_milli: u32,
    pub jitter_milli: u32,
    pub statuses: Vec<u16>,
    pub retry_after_ms_max: u64,
    pub budget_ratio_milli: u32,
    pub budget_per_second: u32,
}

/// An HTTP proxy that is asked for a tunnel.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub host: String,
    pub port: u16,
    /// `proxy-authorization: …` with its CRLF, or nothing.
    pub header_lines: Secret,
}

impl Provider {
    /// No provider: the gateway's own other thread, whose answers are passed on like a provider's.
    pub fn inside() -> Provider {
        let host = "inside".to_owned();
        Provider {
            name: String::new(),
            kind: String::new(),
            priced_as: String::new(),
            origin: Origin { tls: false, authority: host.clone(), host, port: 0 },
            credentials: Vec::new(),
            routes: [const { None }; Endpoint::COUNT],
            messages_stream: None,
            base_path: String::new(),
            query: String::new(),
            forward_headers: Vec::new(),
            own_headers: Vec::new(),
            usage_in_streams: UsageInStreams::Never,
            edits: Vec::new(),
            rules: Rules::default(),
            rules_of_models: Vec::new(),
            only_responses: Models::default(),
            default_headers: Vec::new(),
            models: Vec::new(),
            limits: Limits {
                connect_timeout_ms: 0,
                tls_timeout_ms: 0,
                first_byte_timeout_ms: INSIDE_MS_MAX,
                idle_timeout_ms: INSIDE_MS_MAX,
                pool_idle_timeout_ms: 0,
                pool_idle_count_max: 0,
            },
            retry: Retry {
                count_max: 0,
                initial_backoff_ms: 0,
                max_backoff_ms: 0,
                backoff_factor_milli: 0,
                jitter_milli: 0,
                statuses: Vec::new(),
                retry_after_ms_max: 0,
                budget_ratio_milli: 0,
                budget_per_second: 0,
            },
            proxy: None,
        }
    }

    /// What a request for this model must respect.
    pub fn rules_for(&self, model: &str) -> &Rules {
        let own = self.rules_of_models.iter().find(|(models, _)| models.has(model));
        own.map_or(&self.rules, |(_, rules)| rules)
    }

    /// Whether a request must be known whole before its head can be written.
    pub fn signs(&self) -> bool {
        self.credentials.iter().any(|credential| matches!(credential.proof, Proof::AwsSigV4(_)))
    }

    /// Where access tokens come from, when requests show one.
    pub fn token_source(&self) -> Option<&Arc<TokenSource>> {
        self.credentials.iter().find_map(|credential| match &credential.proof {
            Proof::Token(source) => Some(source),
            _ => None,
        })
    }

    /// Whether the body names no model: the path does.
    pub fn drops_model(&self) -> bool {
        self.edits.iter().any(|edit| matches!(edit, BodyEdit::Drop { field } if field == "model"))
    }

    /// The route of a request, where the provider has the endpoint.
    pub fn route_for(&self, endpoint: Endpoint, wants_stream: bool) -> Option<&Route> {
        let of_stream = self.messages_stream.as_ref();
        of_stream.filter(|_| wants_stream && endpoint == Endpoint::Messages).or_else(|| self.route(endpoint))
    }

    /// The route of an endpoint, where the provider has it.
    pub fn route(&self, endpoint: Endpoint) -> Option<&Route> {
        self.routes[endpoint as usize].as_ref()
    }
}

/// How long the other thread may take for an answer, and be silent in one.
const INSIDE_MS_MAX: u64 = 60_000;
