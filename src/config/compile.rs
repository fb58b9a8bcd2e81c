//! One provider instance from its file and its settings: URLs taken apart, header lines made, every choice taken.

use std::collections::BTreeMap;

use super::credential;
use super::discover::Found;
use super::interpolate::interpolate;
use super::mistake::{Mistakes, nearest};
use super::values::Values;
use super::yaml::Node;
use crate::base::{Secret, base64};
use crate::dialect::endpoint::Endpoint;
use crate::provider::file::{PLACES, ProviderFile};
use crate::provider::{Limits, Origin, Provider, Proxy, Retry, Route};
use crate::wire::write::HeadWriter;

/// What is known of an instance before it is compiled.
pub struct Instance<'i> {
    pub name: &'i str,
    pub place: &'i str,
    pub own: &'i Values,
    pub found: &'i Found,
    pub headers: Option<&'i Node>,
    pub is_in_file: bool,
}

/// Compiles an instance. `None` when it is not meant (a base URL alone, for a type that needs a key) or wrong.
pub fn provider(
    instance: &Instance<'_>,
    files: &[ProviderFile],
    values: &Values,
    env: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> Option<Provider> {
    let path = |key: &str| format!("providers.{}.{key}", instance.name);
    let own = instance.own;
    let default_kind = if instance.found.kind.is_empty() { instance.name } else { &instance.found.kind };
    let kind = own.text("type").unwrap_or(default_kind);
    let Some(file) = files.iter().find(|file| file.kind == kind) else {
        let near = nearest(kind, files.iter().map(|file| file.kind.as_str()));
        let expected = near.map_or("the name of a provider file".to_owned(), |near| format!("`{near}`"));
        mistakes.add(
            own.place("type"),
            &path("type"),
            format!("there is no provider type `{kind}`"),
            expected,
        );
        return None;
    };
    check_name(instance, mistakes);
    if let (false, Some(missing)) = (instance.is_in_file, instance.found.missing(file)) {
        let names = instance.found.variables();
        let make = if names.len() == 1 { "makes" } else { "make" };
        let missing = variable(instance, file, missing);
        mistakes.warn(format!("{} {make} no provider without {missing}", names.join(" and ")));
        return None;
    }
    let shown = credential::shown(instance, file, values, mistakes)?;
    let (origin, base_path) = base(instance, file, mistakes)?;
    let query = query(instance, file, &base_path, mistakes);
    let headers = own_headers(instance, file, env, &shown.headers(), mistakes);
    let static_lines = header_lines(&headers);
    Some(Provider {
        name: instance.name.to_owned(),
        kind: file.kind.clone(),
        priced_as: file.priced_as.clone(),
        credentials: shown.credentials(instance, &static_lines, mistakes),
        routes: routes(file, &base_path, &query),
        messages_stream: route(file.messages_stream.as_deref(), &base_path, &query),
        base_path,
        query,
        forward_headers: file.forward_headers.clone(),
        own_headers: headers
            .into_iter()
            .map(|(name, _)| name)
            .chain(credential::headers(&file.auth))
            .collect(),
        usage_in_streams: file.usage_in_streams,
        edits: file.edits.clone(),
        rules: file.rules.clone(),
        rules_of_models: file.rules_of_models.clone(),
        only_responses: file.only_responses.clone(),
        default_headers: file.default_headers.clone(),
        models: own.list("models").to_vec(),
        limits: limits(own, values),
        retry: retry(own, values),
        proxy: proxy(instance, values, &origin, mistakes),
        origin,
    })
}

/// Where the instance lives: its origin, and the path that stands for `/v1`.
fn base(instance: &Instance<'_>, file: &ProviderFile, mistakes: &mut Mistakes) -> Option<(Origin, String)> {
    let setting = format!("providers.{}.base_url", instance.name);
    let of_file = match (&file.base_url, instance.own.text("base_url")) {
        (Some(url), None) => Some(filled(url, instance, file, mistakes)?),
        _ => None,
    };
    let Some(url) = instance.own.text("base_url").or(of_file.as_deref()) else {
        let expected = format!("`base_url`, or the variable {}", variable(instance, file, "BASE_URL"));
        mistakes.add(instance.place, &setting, "is missing", expected);
        return None;
    };
    let parts = split_url(url);
    if parts.is_none() {
        let (place, expected) = (instance.own.place("base_url"), "http(s)://host[:port][/path]");
        mistakes.add(place, &setting, "is no URL that can be used", expected);
    }
    parts
}

/// The file's base URL with the instance's words in their places.
fn filled(
    url: &str,
    instance: &Instance<'_>,
    file: &ProviderFile,
    mistakes: &mut Mistakes,
) -> Option<String> {
    let mut filled = url.to_owned();
    for (setting, ending) in PLACES.into_iter().filter(|(setting, _)| file.has_place(setting)) {
        let path = format!("providers.{}.{setting}", instance.name);
        let Some(word) = instance.own.text(setting) else {
            let expected = format!("`{setting}`, or the variable {}", variable(instance, file, ending));
            mistakes.add(instance.place, &path, "is missing", expected);
            return None;
        };
        if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)) {
            let place = instance.own.place(setting);
            mistakes.add(place, &path, "cannot stand in a URL", "letters, digits, `-`, `_`, `.` and `:`");
            return None;
        }
        let with_dash = if word == "global" { String::new() } else { format!("{word}-") };
        filled =
            filled.replace(&format!("{{{setting}-}}"), &with_dash).replace(&format!("{{{setting}}}"), word);
    }
    Some(filled)
}

/// A name is the first part of `provider/model`, of `/p/name/…` and a label of metrics.
fn check_name(instance: &Instance<'_>, mistakes: &mut Mistakes) {
    let is_good = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if instance.name.is_empty() || !instance.name.chars().all(is_good) {
        let setting = format!("providers.{}", instance.name);
        mistakes.add(instance.place, &setting, "is no name", "letters, digits, `-`, `_` and `.`");
    }
}

/// The variable of an instance, by the rule that finds it: `openai-east` has OPENAI_EAST_….
pub fn variable(instance: &Instance<'_>, file: &ProviderFile, ending: &str) -> String {
    let suffix = instance.name.strip_prefix(file.kind.as_str()).filter(|rest| rest.starts_with('-'));
    let suffix = suffix.unwrap_or_default().to_uppercase().replace(['-', '.'], "_");
    format!("{}{suffix}_{ending}", file.env)
}

/// Scheme, host, port and path of a URL; the path has no slash at its end.
pub fn split_url(url: &str) -> Option<(Origin, String)> {
    let (tls, rest) = match url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://")?),
    };
    let path_at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    if path.contains(['?', '#']) || authority.contains('@') || authority.is_empty() {
        return None;
    }
    let default_port = if tls { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (authority, default_port),
    };
    let bare = host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']'))?;
    let is_good = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if bare.is_empty() || !bare.chars().all(is_good) || (bare.contains(':') && bare == host) {
        return None;
    }
    if !path.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    crate::wire::path::check_forwardable(path.trim_end_matches('/').as_bytes()).ok()?;
    let authority = if port == default_port { host.to_owned() } else { format!("{host}:{port}") };
    Some((Origin { tls, host: bare.to_owned(), port, authority }, path.trim_end_matches('/').to_owned()))
}

fn query(instance: &Instance<'_>, file: &ProviderFile, base_path: &str, mistakes: &mut Mistakes) -> String {
    let is_wanted = file.query_when_base_has.as_ref().is_none_or(|part| base_path.contains(part.as_str()));
    if !is_wanted {
        return String::new();
    }
    let version = instance.own.text("api_version").or(file.api_version.as_deref()).unwrap_or_default();
    let pairs = file.query.iter().map(|(key, value)| (key, value.replace("${api_version}", version)));
    let query = pairs.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&");
    if !query.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        let setting = format!("providers.{}.api_version", instance.name);
        let place = instance.own.place("api_version");
        mistakes.add(place, &setting, "cannot stand in a query", "letters, digits and `-`");
    }
    query
}

fn routes(file: &ProviderFile, base_path: &str, query: &str) -> [Option<Route>; Endpoint::COUNT] {
    let above = file.collections_above.as_deref().and_then(|text| base_path.find(text));
    let root = &base_path[..above.unwrap_or(base_path.len())];
    Endpoint::ALL.map(|endpoint| {
        let base = if endpoint.is_collection() { root } else { base_path };
        route(file.paths[endpoint as usize].as_deref(), base, query)
    })
}

fn route(path: Option<&str>, base_path: &str, query: &str) -> Option<Route> {
    let path = path?;
    let mark = if query.is_empty() { "" } else { "?" };
    // `//path` is below the host.
    let (base, path) = if path.starts_with("//") { ("", &path[1..]) } else { (base_path, path) };
    let mark = if path.contains('?') && !query.is_empty() { "&" } else { mark };
    Some(Route::new(format!("{base}{path}{mark}{query}")))
}

/// The headers of every request: the file's, then what the environment and the instance say instead of them or besides.
fn own_headers(
    instance: &Instance<'_>,
    file: &ProviderFile,
    env: &BTreeMap<String, String>,
    of_credential: &[String],
    mistakes: &mut Mistakes,
) -> Vec<(String, String)> {
    let place_of_file = format!("provider type {}", file.kind);
    let of_file =
        file.headers.iter().map(|(name, value)| (&*place_of_file, name.as_str(), Ok(value.clone())));
    let found = &instance.found.headers;
    let of_env = found.iter().map(|(name, variable, value)| (&**variable, name.as_str(), Ok(value.clone())));
    let nodes = instance.headers.and_then(Node::members).into_iter().flatten();
    let of_node = nodes.map(|(name, key, value)| {
        let text = value.text().ok_or_else(|| format!("{} stands here", value.kind()));
        (&*key.place, name, text.and_then(|text| interpolate(text, env)))
    });
    let mut headers: Vec<(String, String)> = Vec::new();
    for (place, name, value) in of_file.chain(of_env).chain(of_node) {
        let name = name.to_lowercase();
        let is_taken = OURS.contains(&&*name) || of_credential.contains(&name);
        let is_good = |value: &String| {
            HeadWriter::continuing(&mut Vec::new()).header(name.as_bytes(), value.as_bytes())
        };
        let what = match value {
            _ if is_taken => "is the gateway's own".to_owned(),
            Err(what) => what,
            Ok(value) if is_good(&value).is_err() => "is no header".to_owned(),
            Ok(value) => {
                headers.retain(|(other, _)| *other != name);
                headers.push((name, value));
                continue;
            }
        };
        let setting = format!("providers.{}.headers.{name}", instance.name);
        mistakes.add(place, &setting, what, "a token as name and a value without control characters");
    }
    headers
}

fn header_lines(headers: &[(String, String)]) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut head = HeadWriter::continuing(&mut lines);
    headers.iter().for_each(|(name, value)| head.checked_header(name.as_bytes(), value.as_bytes()));
    lines
}

pub fn limits(own: &Values, values: &Values) -> Limits {
    let ms = |key: &str| own.number(key).or(values.number(&format!("upstream.{key}"))).unwrap_or_default();
    Limits {
        connect_timeout_ms: ms("connect_timeout"),
        tls_timeout_ms: ms("tls_timeout"),
        first_byte_timeout_ms: ms("first_byte_timeout"),
        idle_timeout_ms: ms("idle_timeout"),
        pool_idle_timeout_ms: ms("pool_idle_timeout"),
        pool_idle_count_max: usize::try_from(ms("pool_idle_max")).unwrap_or(usize::MAX),
    }
}

fn retry(own: &Values, values: &Values) -> Retry {
    let number = |key: &str| values.number(&format!("retry.{key}")).unwrap_or_default();
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Retry {
        count_max: small(own.number("max_retries").unwrap_or(number("max_retries"))),
        initial_backoff_ms: number("initial_backoff"),
        max_backoff_ms: number("max_backoff"),
        backoff_factor_milli: small(number("backoff_factor")),
        jitter_milli: small(number("jitter_factor")).min(1000),
        statuses: values.list("retry.statuses").iter().filter_map(|status| status.parse().ok()).collect(),
        retry_after_ms_max: number("retry_after_max"),
        budget_ratio_milli: small(number("budget_ratio")),
        budget_per_second: small(number("budget_per_second")),
    }
}

/// The provider's own proxy, or the common one unless it is passed by.
pub fn proxy(
    instance: &Instance<'_>,
    values: &Values,
    origin: &Origin,
    mistakes: &mut Mistakes,
) -> Option<Proxy> {
    match instance.own.text("proxy_url") {
        Some(url) => read_proxy(url, instance.own.place("proxy_url"), mistakes),
        None => common_proxy(values, origin, mistakes),
    }
}

/// The common proxy for a server, unless it is passed by. It is for TLS only: plain HTTP is mostly a neighbour's,
/// HTTPS_PROXY does not speak of it elsewhere either, and many proxies tunnel to port 443 only.
pub fn common_proxy(values: &Values, origin: &Origin, mistakes: &mut Mistakes) -> Option<Proxy> {
    let is_meant = origin.tls && !is_passed_by(values, origin);
    let url = values.text("upstream.proxy_url").filter(|_| is_meant)?;
    read_proxy(url, values.place("upstream.proxy_url"), mistakes)
}

fn read_proxy(url: &str, place: &str, mistakes: &mut Mistakes) -> Option<Proxy> {
    let (user, plain) = match url.strip_prefix("http://").and_then(|rest| rest.rsplit_once('@')) {
        Some((user, rest)) => (Some(user), format!("http://{rest}")),
        None => (None, url.to_owned()),
    };
    let Some((proxy, _)) = split_url(&plain).filter(|(proxy, path)| !proxy.tls && path.is_empty()) else {
        let expected = "http://[user:password@]host:port";
        mistakes.add(place, "proxy_url", "is no proxy that can be used", expected);
        return None;
    };
    let header_lines = user.map_or(Secret::new(""), |user| basic("proxy-authorization", user));
    Some(Proxy { host: proxy.host, port: proxy.port, header_lines })
}

/// The header line that shows a user of a URL and his password.
pub fn basic(header: &str, user: &str) -> Secret {
    let user = crate::wire::path::percent_decoded(user.as_bytes());
    let (mut line, value) = (Vec::new(), format!("Basic {}", base64(&user)));
    HeadWriter::continuing(&mut line).checked_header(header.as_bytes(), value.as_bytes());
    Secret::new(String::from_utf8_lossy(&line).into_owned())
}

/// Whether NO_PROXY names the host. A provider on a loopback address never needs a proxy.
fn is_passed_by(values: &Values, origin: &Origin) -> bool {
    let is_loopback = origin.host == "localhost"
        || origin.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let host = origin.host.to_ascii_lowercase();
    let fits = |name: &str| {
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix(&format!(":{}", origin.port)).unwrap_or(&name);
        let suffix = name.trim_start_matches('.').trim_start_matches('[').trim_end_matches(']');
        let is_suffix = || host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'));
        name == "*" || (!suffix.is_empty() && (host == suffix || is_suffix()))
    };
    is_loopback || values.list("upstream.no_proxy").iter().any(|name| fits(name))
}

/// Headers that say how a request is framed, or that are written for each request.
const OURS: &[&str] = &[
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "content-type",
    "expect",
    "accept-encoding",
    "x-request-id",
    "x-ringway-hops",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_or_refused() {
        let parts = |url: &str| split_url(url).map(|(o, path)| (o.tls, o.host, o.port, o.authority, path));
        let want = |tls, host: &str, port, authority: &str, path: &str| {
            Some((tls, host.to_owned(), port, authority.to_owned(), path.to_owned()))
        };
        assert_eq!(parts("https://api.x.ai/v1/"), want(true, "api.x.ai", 443, "api.x.ai", "/v1"));
        assert_eq!(parts("http://localhost:8000"), want(false, "localhost", 8000, "localhost:8000", ""));
        assert_eq!(parts("http://[::1]:80/a"), want(false, "::1", 80, "[::1]", "/a"));
        assert_eq!(parts("https://[::1]:8443"), want(true, "::1", 8443, "[::1]:8443", ""));
        for bad in [
            "https://",
            "http://a b",
            "http://u:p@h",
            "http://h/?q",
            "http://h:99999",
            "http://::1/",
            "http://h/../x",
            "http://h/a b",
            "http://h/é",
        ] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
