//! The resolved plan as text: what `ringway check` prints. Secrets are masked.

use std::fmt::Write;

use super::snapshot::Server;
use super::table::SETTINGS;
use super::values::Values;
use crate::dialect::endpoint::Endpoint;
use crate::provider::Provider;

/// What the plan says of one provider.
pub struct OfProvider {
    text: String,
}

impl OfProvider {
    pub fn of(provider: &Provider, place: &str) -> OfProvider {
        let mut text = String::new();
        let scheme = if provider.origin.tls { "https" } else { "http" };
        let base = format!("{scheme}://{}{}", provider.origin.authority, provider.base_path);
        let _ = writeln!(text, "  {} (type {}, from {place})", provider.name, provider.kind);
        let _ = writeln!(text, "    base URL  {base}");
        let keys: Vec<&str> =
            provider.credentials.iter().map(|credential| credential.masked.as_str()).collect();
        let _ = writeln!(text, "    key       {}", keys.join(", "));
        let routes =
            Endpoint::ALL.into_iter().filter_map(|endpoint| Some((endpoint, provider.route(endpoint)?)));
        for (number, (endpoint, route)) in routes.enumerate() {
            let label = if number == 0 { "routes" } else { "" };
            let _ = writeln!(text, "    {label:<9} {:<11} {}", endpoint.name(), route.target);
        }
        if !provider.models.is_empty() {
            let _ = writeln!(text, "    models    {}", provider.models.join(", "));
        }
        if let Some(proxy) = &provider.proxy {
            let _ = writeln!(text, "    proxy     {}:{}", proxy.host, proxy.port);
        }
        let limits = &provider.limits;
        let _ = writeln!(
            text,
            "    limits    connect {} ms, TLS {} ms, first byte {} ms, idle {} ms, {} retries",
            limits.connect_timeout_ms,
            limits.tls_timeout_ms,
            limits.first_byte_timeout_ms,
            limits.idle_timeout_ms,
            provider.retry.count_max
        );
        OfProvider { text }
    }
}

/// The whole plan.
pub fn render(
    values: &Values,
    server: &Server,
    providers: &[OfProvider],
    default: Option<&Provider>,
    store: &str,
) -> String {
    let mut out = String::from("listens on\n");
    let scheme = if server.tls.is_empty() { "http" } else { "https" };
    for address in &server.listen {
        let _ = writeln!(out, "  {scheme}://{address}");
    }
    out.push_str("\nproviders, in the order in which a bare model id is looked for\n");
    if providers.is_empty() {
        out.push_str("  none: set a key such as OPENAI_API_KEY, or SIMULATED_BASE_URL to try out\n");
    }
    providers.iter().for_each(|provider| out.push_str(&provider.text));
    if let Some(provider) = default {
        let _ = writeln!(out, "  requests that name no known model go to {}", provider.name);
    } else if !providers.is_empty() {
        out.push_str("  requests that name no known model are refused: models.default_provider is not set\n");
    }
    let _ = writeln!(out, "\nkeeps records and what is managed in\n  {store}");
    out.push_str("\nsettings\n");
    for (path, value, place) in values.lines(SETTINGS) {
        let _ = writeln!(out, "  {path:<28} {value}  ({place})");
    }
    out
}
