//! The settings of prices: the price list of the operator, and prices of single models. Every mistake is noted with its
//! place.

use std::path::PathBuf;
use std::sync::Arc;

use super::compile;
use super::mistake::{Mistakes, nearest};
use super::values::Values;
use super::yaml::{Node, Value};
use crate::base::Secret;
use crate::ledger::price::import::{self, Names};
use crate::ledger::price::{Catalogue, FIELDS, Override, Prices, day_of};
use crate::provider::file::ProviderFile;
use crate::provider::{Origin, Proxy};

/// Prices as they were set.
#[derive(Clone, Debug)]
pub struct PriceSettings {
    /// Overrides, the list of the file, and the built-in catalogue.
    pub prices: Prices,
    /// A list to fetch, which then comes in front of the file's.
    pub fetched: Option<Arc<PriceUrl>>,
    /// Whom the names in public lists mean.
    pub names: Names,
}

/// Where a price list is fetched from, and how often.
#[derive(Clone, Debug)]
pub struct PriceUrl {
    /// Without a user.
    pub url: String,
    /// `authorization: …` with its CRLF, where the URL has a user.
    pub header_lines: Secret,
    pub origin: Origin,
    pub target: String,
    pub proxy: Option<Proxy>,
    pub connect_timeout_ms: u64,
    pub tls_timeout_ms: u64,
    pub refresh_ms: u64,
}

pub(super) fn read(
    values: &Values,
    overrides: &[(Node, Node)],
    names: Names,
    mistakes: &mut Mistakes,
) -> PriceSettings {
    let mut prices = Prices::builtin();
    if let Some(path) = values.text("prices.file") {
        match read_file(path, &names) {
            Ok(catalogue) => prices = prices.with_catalogue(catalogue),
            Err(what) => mistakes.add(values.place("prices.file"), "prices.file", what, "a price list"),
        }
    }
    let overrides = overrides.iter().filter_map(|(key, value)| read_override(key, value, mistakes)).collect();
    PriceSettings {
        prices: prices.with_overrides(overrides),
        fetched: price_url(values, mistakes).map(Arc::new),
        names,
    }
}

fn price_url(values: &Values, mistakes: &mut Mistakes) -> Option<PriceUrl> {
    let url = values.text("prices.url")?;
    let (user, url) = split_user(url);
    let Some((origin, path)) = compile::split_url(&url) else {
        let expected = "http[s]://[user:password@]host/path, without a query";
        mistakes.add(values.place("prices.url"), "prices.url", "cannot be fetched", expected);
        return None;
    };
    let ms = |setting: &str| values.number(setting).unwrap_or_default();
    Some(PriceUrl {
        url,
        header_lines: user.map_or(Secret::new(""), |user| compile::basic("authorization", user)),
        proxy: compile::common_proxy(values, &origin, mistakes),
        origin,
        target: if path.is_empty() { "/".to_owned() } else { path },
        connect_timeout_ms: ms("upstream.connect_timeout"),
        tls_timeout_ms: ms("upstream.tls_timeout"),
        refresh_ms: values.number("prices.refresh_interval").unwrap_or(REFRESH_MS),
    })
}

/// Takes the user out of a URL.
fn split_user(url: &str) -> (Option<&str>, String) {
    let Some((scheme, rest)) = url.split_once("://") else { return (None, url.to_owned()) };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), format!("{scheme}://{host}{path}")),
        None => (None, url.to_owned()),
    }
}

/// Whom the names in public price lists mean, as the provider files say. A provider is known by its own name too.
pub fn price_names<'f>(files: impl IntoIterator<Item = &'f ProviderFile>) -> Names {
    let mut pairs = Vec::new();
    for file in files.into_iter().filter(|file| file.priced_as == file.kind) {
        pairs.push((file.kind.clone(), file.kind.clone()));
        pairs.extend(file.price_names.iter().map(|theirs| (theirs.clone(), file.kind.clone())));
    }
    pairs.sort();
    pairs.dedup();
    Names(pairs)
}

/// Reads a price list: our own format, or a public one whose prices are then said to come from `source`, as of `day`. The
/// error is one sentence, whose first complaint stands for all.
pub fn read_price_list(text: &str, source: &str, day: &str, names: &Names) -> Result<Catalogue, String> {
    if text.trim_start().starts_with(OWN_FORMAT) {
        return Catalogue::read(text).map_err(|complaints| {
            let first = complaints.first().map(|one| format!("line {}: {}", one.line, one.what));
            format!("{} ({} in all)", first.unwrap_or_default(), complaints.len())
        });
    }
    let imported = import::read(text, None, &format!("{source}, {day}"), names)?;
    if imported.entries.is_empty() {
        return Err("no price in it can be taken".to_owned());
    }
    Ok(Catalogue::of(imported.entries, day))
}

#[expect(clippy::disallowed_methods, reason = "settings are read from files")]
fn read_file(path: &str, names: &Names) -> Result<Catalogue, String> {
    let path = PathBuf::from(path);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("the file cannot be read: {error}"))?;
    // The day on which the list was saved.
    let modified = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
    let age = modified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    read_price_list(&text, &name, &day_of(age.as_secs()), names)
}

/// One model's prices: names and texts, and `tiers` with the sizes above which others hold.
fn read_override(key: &Node, value: &Node, mistakes: &mut Mistakes) -> Option<Override> {
    let selector = key.text()?;
    let setting = format!("prices.overrides.{selector}");
    let Some(fields) = texts_of(value) else {
        mistakes.add(&value.place, &setting, format!("{} stands here", value.kind()), "names and prices");
        return None;
    };
    let mut tiers = Vec::new();
    if let Some(Value::List(items)) = value.get("tiers").map(|tiers| &tiers.value) {
        for item in items {
            let above =
                item.get("above_tokens").and_then(Node::text).and_then(|text| text.parse::<u64>().ok());
            match (above.filter(|&above| above > 0), texts_of(item)) {
                (Some(above), Some(fields)) => tiers.push((above, fields)),
                _ => mistakes.add(
                    &item.place,
                    &setting,
                    "this tier has no size",
                    "`above_tokens: NUMBER` and prices",
                ),
            }
        }
    }
    let made = Override::of_fields(selector, "override in the settings", fields, tiers);
    let wrong = match made {
        Ok(made) => return Some(made),
        Err(wrong) => wrong,
    };
    for field in wrong {
        let place = value.get(&field.name).map_or(&key.place, |node| &node.place);
        let near = nearest(&field.name, FIELDS.iter().map(|(name, _)| *name));
        let hint = near.filter(|near| *near != field.name).map(|near| format!("; `{near}` is near"));
        let expected = field.expected + &hint.unwrap_or_default();
        let setting = [&setting, &*field.name].join(".");
        mistakes.add(place, setting.trim_end_matches('.'), field.what, expected);
    }
    None
}

/// The single values of a group, but for those that say which tier it is.
fn texts_of(group: &Node) -> Option<Vec<(&str, &str)>> {
    let members = group.members()?.filter(|(name, ..)| !matches!(*name, "tiers" | "above_tokens"));
    Some(members.map(|(name, _, value)| (name, value.text().unwrap_or_default())).collect())
}

/// How a catalogue of our own begins.
const OWN_FORMAT: &str = "{\"ringway_prices\"";
const REFRESH_MS: u64 = 86_400_000;
