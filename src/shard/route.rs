//! What a request asks for, by its method and path, and which provider a model means.

use std::rc::Rc;

use super::active::{Active, Upstream};
use super::{owners, stored};
use crate::base::{Refusal, RefusalKind, Span};
use crate::dialect::endpoint::{Endpoint, Grammar};
use crate::dialect::{gemini, messages};
use crate::offload::Catalogue;
use crate::wire::path::percent_decoded;
use crate::wire::request::{Method, RequestHead};

/// What a request asks for. Places are in the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Health,
    Ready,
    /// Whether anybody is there, as agents for coding ask before their first request.
    Hello,
    Metrics,
    /// The list of models, or one of them, in the shape of this dialect.
    Models(Grammar),
    Model(Grammar, Span),
    /// An endpoint below `/v1`; the place is the path behind it.
    Api(Endpoint, Span),
    /// A response or a conversation that may be kept here; the place is the path behind `/v1`.
    Stored(Span),
    /// Files or batches; the place is the path behind the collection's own.
    Collection(Endpoint, Span),
    /// A conversation whose model stands in the path, at this place.
    ApiOfModel(Endpoint, Span),
    /// `/p/{provider}/…`: the provider's name and the path behind it.
    Passthrough {
        provider: Span,
        rest: Span,
    },
    Options,
    /// The admin API.
    Admin,
    /// What the caller itself has used.
    OwnUsage,
}

impl Asked {
    /// The endpoint's word, for keys that may use some endpoints only.
    pub fn endpoint_name(self) -> &'static str {
        match self {
            Asked::Api(endpoint, _) | Asked::ApiOfModel(endpoint, _) => endpoint.name(),
            Asked::Models(_) | Asked::Model(..) => Endpoint::Models.name(),
            Asked::Stored(_) => Endpoint::Responses.name(),
            Asked::Collection(endpoint, _) => endpoint.name(),
            _ => Endpoint::Other.name(),
        }
    }

    /// Whether the gateway can see to it that a caller meets nothing of another's there.
    pub fn tells_tenants_apart(self, head: &[u8], method: Method) -> bool {
        match self {
            Asked::Passthrough { .. } => false,
            Asked::Api(Endpoint::Other, rest) => {
                let path = rest.of(head);
                let is_forgetful = || method == Method::Post && Endpoint::keeps_nothing(path);
                is_forgetful() || owners::sees_to(&String::from_utf8_lossy(path), method)
            }
            _ => true,
        }
    }

    /// The dialect in which the caller expects errors.
    pub fn error_grammar(self) -> Grammar {
        match self {
            Asked::Api(endpoint, _) | Asked::ApiOfModel(endpoint, _) | Asked::Collection(endpoint, _) => {
                endpoint.error_grammar()
            }
            Asked::Models(grammar) | Asked::Model(grammar, _) => grammar,
            _ => Grammar::Chat,
        }
    }
}

/// Callers of Anthropic's dialect name its version on every request; Google's SDKs name themselves.
fn of_caller(head: &[u8], request: &RequestHead) -> Grammar {
    let has = |name| request.headers.get(head, name).is_some();
    if has(messages::VERSION_HEADER) {
        Grammar::Messages
    } else if has(gemini::CLIENT_HEADER) {
        Grammar::Gemini
    } else {
        Grammar::Chat
    }
}

/// `/v1/models/{model}:{method}` or `/v1beta/…`: where the model stands in the path, and what is asked of it. Google's
/// SDKs use the one or the other, and Vercel's leaves `models/` out where the model's name has a slash.
fn of_model(path: &[u8]) -> Option<(Endpoint, usize, usize)> {
    let starts = [&b"/v1/models/"[..], b"/v1beta/models/", b"/v1beta/"];
    let start = starts.into_iter().find(|start| path.starts_with(start))?.len();
    let colon = memchr::memrchr(b':', &path[start..]).filter(|&at| at > 0)? + start;
    Some((Endpoint::of_method(&path[colon + 1..])?, start, colon))
}

/// Reads the path. `Err` is a path or a method that is not served; the methods that are stand beside it.
pub fn read(head: &[u8], request: &RequestHead, metrics_path: &str) -> Result<Asked, &'static str> {
    let path = request.path.of(head);
    let behind = |prefix: usize| Span::new(request.path.start as usize + prefix, request.path.end as usize);
    let is_read = matches!(request.method, Method::Get | Method::Head);
    if request.method == Method::Options && !path.starts_with(b"/p/") {
        return Ok(Asked::Options);
    }
    let only_read = |asked: Asked| if is_read { Ok(asked) } else { Err("GET, HEAD, OPTIONS") };
    match path {
        b"/health" => return only_read(Asked::Health),
        b"/health/ready" => return only_read(Asked::Ready),
        b"/api/hello" => return only_read(Asked::Hello),
        b"/v1/usage" => return only_read(Asked::OwnUsage),
        _ if path == b"/admin" || path.starts_with(b"/admin/") => return Ok(Asked::Admin),
        b"/" if request.method == Method::Head => return Ok(Asked::Hello),
        b"/v1/models" if is_read => return Ok(Asked::Models(of_caller(head, request))),
        b"/v1beta/models" => return only_read(Asked::Models(Grammar::Gemini)),
        _ if path == metrics_path.as_bytes() => return only_read(Asked::Metrics),
        _ => {}
    }
    if let Some((endpoint, start, end)) = of_model(path) {
        if request.method != Method::Post {
            return Err("POST, OPTIONS");
        }
        let at = request.path.start as usize;
        return Ok(Asked::ApiOfModel(endpoint, Span::new(at + start, at + end)));
    }
    if path.starts_with(b"/v1/models/") && is_read && path.len() > 11 {
        return Ok(Asked::Model(of_caller(head, request), behind(11)));
    }
    if path.starts_with(b"/v1/") && path.len() > 4 {
        if let Some((endpoint, own)) = Endpoint::of_collection(&path[3..], || of_caller(head, request)) {
            // An answer to HEAD would state the length of the provider's own.
            let is_served = request.method != Method::Head;
            return if is_served {
                Ok(Asked::Collection(endpoint, behind(3 + own)))
            } else {
                Err("GET, POST, DELETE, OPTIONS")
            };
        }
        let endpoint = Endpoint::of_path(&path[3..]);
        if endpoint != Endpoint::Other && request.method != Method::Post {
            return Err("POST, OPTIONS");
        }
        if endpoint == Endpoint::Other && stored::is_path(&path[3..]) {
            return Ok(Asked::Stored(behind(3)));
        }
        return Ok(Asked::Api(endpoint, behind(3)));
    }
    if path.starts_with(b"/v1beta/models/") && is_read && path.len() > 15 {
        return Ok(Asked::Model(Grammar::Gemini, behind(15)));
    }
    if let Some(rest) = path.strip_prefix(b"/p/")
        && let Some(slash) = memchr::memchr(b'/', rest).filter(|&at| at > 0)
    {
        let start = request.path.start as usize + 3;
        let provider = Span::new(start, start + slash);
        return Ok(Asked::Passthrough { provider, rest: behind(3 + slash) });
    }
    Err("")
}

/// A model with the provider that it means.
pub struct Target {
    pub upstream: Rc<Upstream>,
    /// The model as the provider knows it, when the request named one.
    pub model: Rc<str>,
    /// The request's spelling differs: the provider's name stood in front.
    pub is_qualified: bool,
    /// The provider's list has it.
    pub is_known: bool,
}

impl Target {
    /// The same provider, for a request of the gateway's own.
    pub fn plain_copy(&self) -> Target {
        let upstream = self.upstream.clone();
        Target { upstream, model: Rc::default(), is_qualified: false, is_known: false }
    }
}

/// Finds the provider: by the name in front of the model, by the hint in the query, by the lists, or the default one.
/// `None` when the lists are not complete yet and might still know the model.
pub fn target(
    active: &Active,
    catalogue: &Catalogue,
    model: Option<&str>,
    hint: Option<&[u8]>,
) -> Option<Result<Target, Refusal>> {
    if active.upstreams.is_empty() {
        return Some(Err(no_providers()));
    }
    if let Some(hint) = hint {
        return Some(match active.by_name(hint) {
            None => Err(unknown_provider(hint)),
            Some(upstream) => Ok(hinted(catalogue, upstream, model)),
        });
    }
    let Some(model) = model else {
        let default = active.snapshot().default_provider;
        return Some(
            default.map(|at| of(&active.upstreams[at], "", false, false)).ok_or_else(which_provider),
        );
    };
    if let Some(slash) = memchr::memchr(b'/', model.as_bytes())
        && let (name, rest) = (&model[..slash], &model[slash + 1..])
        && let Some(upstream) = active.by_name(name.as_bytes())
        && !rest.is_empty()
    {
        let is_known = catalogue.offers(&upstream.provider.name, rest);
        return Some(Ok(of(upstream, rest, true, is_known)));
    }
    if let Some(upstream) = catalogue.provider_of(model).and_then(|name| active.by_name(name.as_bytes())) {
        return Some(Ok(of(upstream, model, false, true)));
    }
    if let Some(index) = active.snapshot().default_provider {
        return Some(Ok(of(&active.upstreams[index], model, false, false)));
    }
    if !catalogue.is_settled {
        return None;
    }
    Some(Err(unknown_model(model)))
}

/// The provider was named in the query; its name may stand in front of the model as well.
fn hinted(catalogue: &Catalogue, upstream: &Rc<Upstream>, model: Option<&str>) -> Target {
    let model = model.unwrap_or_default();
    let own = model.strip_prefix(upstream.provider.name.as_str()).and_then(|rest| rest.strip_prefix('/'));
    let (name, is_qualified) = (own.unwrap_or(model), own.is_some());
    of(upstream, name, is_qualified, catalogue.offers(&upstream.provider.name, name))
}

fn of(upstream: &Rc<Upstream>, model: &str, is_qualified: bool, is_known: bool) -> Target {
    Target { upstream: upstream.clone(), model: model.into(), is_qualified, is_known }
}

/// The id in `/v1/models/{id}`, decoded; `None` when it is not UTF-8.
pub fn model_id(path: &[u8]) -> Option<String> {
    String::from_utf8(percent_decoded(path).into_owned()).ok()
}

pub fn unknown_provider(name: &[u8]) -> Refusal {
    let message = format!("There is no provider `{}` here.", String::from_utf8_lossy(name));
    Refusal::new(404, RefusalKind::NotFound, "provider_not_found", message).about("provider")
}

/// OpenAI's own answer to a model that it does not know is a 404 of this code.
pub fn unknown_model(model: &str) -> Refusal {
    let message = format!("The model `{model}` does not exist: no provider here offers it.");
    Refusal::new(404, RefusalKind::InvalidRequest, "model_not_found", message).about("model")
}

fn no_providers() -> Refusal {
    let message = "No provider is configured: set a key such as OPENAI_API_KEY and reload.";
    Refusal::new(503, RefusalKind::Server, "no_providers", message)
}

fn which_provider() -> Refusal {
    let message = "The request names no model, so it does not say which provider it is for. Name one with `?provider=`, \
                   or set models.default_provider.";
    Refusal::invalid("provider_required", message).about("model")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::request::read_request;

    fn asked(line: &str, headers: &str) -> (Vec<u8>, Result<Asked, &'static str>) {
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").into_bytes();
        let mut request = RequestHead::default();
        read_request(&head, &mut request).expect("a good head");
        let asked = read(&head, &request, "/metrics");
        (head, asked)
    }

    #[test]
    fn a_model_in_the_path_is_found_in_both_versions_of_googles_api() {
        for version in ["/v1", "/v1beta"] {
            for (method, endpoint) in
                [("generateContent", Endpoint::Generate), ("streamGenerateContent", Endpoint::GenerateStream)]
            {
                let (head, asked) = asked(&format!("POST {version}/models/anthropic/m:{method}?alt=sse"), "");
                let Ok(Asked::ApiOfModel(found, model)) = asked else {
                    panic!("{version} {method}: {asked:?}")
                };
                assert_eq!((found, model.of(&head)), (endpoint, &b"anthropic/m"[..]));
            }
            let line = format!("GET {version}/models/m:generateContent");
            assert_eq!(asked(&line, "").1, Err("POST, OPTIONS"), "{version}");
        }
        let (head, bare) = asked("POST /v1beta/anthropic/m:generateContent", "");
        assert!(matches!(bare, Ok(Asked::ApiOfModel(_, model)) if model.of(&head) == b"anthropic/m"));
        assert!(matches!(asked("POST /v1/models/m:copy", "").1, Ok(Asked::Api(Endpoint::Other, _))));
        assert_eq!(asked("POST /v1beta/m:copy", "").1, Err(""));
    }

    #[test]
    fn models_are_listed_in_the_shape_that_the_caller_knows() {
        let check = |headers: &str, want: Grammar| {
            assert_eq!(asked("GET /v1/models", headers).1, Ok(Asked::Models(want)), "{headers}");
        };
        check("", Grammar::Chat);
        check("anthropic-version: 2023-06-01\r\n", Grammar::Messages);
        check("X-Goog-Api-Client: google-genai-sdk/3\r\n", Grammar::Gemini);
        check("x-goog-api-key: k\r\n", Grammar::Chat);
    }
}
