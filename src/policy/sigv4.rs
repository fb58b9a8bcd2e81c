//! Signature Version 4 of AWS: a request, credentials and the time in; header lines out. Reads no clock and no environment,
//! and keeps nothing.
//!
//! Source: AWS's reference "Create a signed AWS API request". The canonical path is the path as it is sent, percent-encoded
//! once more, as that page demands of every service but S3: a model `a:b` is `a%3Ab` on the wire and `a%253Ab` in here.

use ring::{digest, hmac};

use crate::base::Secret;
use crate::wire::path::percent_decoded;

/// Who signs.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    pub access_key: &'a str,
    pub secret_key: &'a Secret,
    /// Comes with temporary keys.
    pub session_token: Option<&'a Secret>,
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signing<'a> {
    pub method: &'a str,
    /// As it is sent: percent-encoded once, without the query.
    pub path: &'a str,
    /// As it is sent, without `?`.
    pub query: &'a str,
    /// The headers that are to be signed, each name once and in lower case: `host` at least, and `content-type` where
    /// there is one. Those that signing adds are not among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// [`body_hash`] of the exact bytes that are sent.
    pub body_hash: BodyHash,
    pub region: &'a str,
    pub service: &'a str,
    /// Seconds since 1970. AWS takes no signature that is more than five minutes off.
    pub time_s: u64,
}

/// The SHA-256 of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyHash([u8; 32]);

/// The hash of a body that is sent in these pieces; of no piece for a request without one.
pub fn body_hash<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> BodyHash {
    let mut context = digest::Context::new(&digest::SHA256);
    pieces.into_iter().for_each(|piece| context.update(piece));
    BodyHash(bytes_of(&context.finish()))
}

/// The headers that make the request a signed one, as lines that each end in CRLF: `x-amz-date`, `x-amz-security-token`
/// where there is one, `authorization`.
pub fn header_lines(signing: &Signing<'_>, credentials: &Credentials<'_>) -> Secret {
    let date = amz_date(signing.time_s);
    let day = &date[..8];
    let token = credentials.session_token.map(Secret::reveal);
    let mut headers: Vec<(&str, &str)> = signing.headers.to_vec();
    headers.push(("x-amz-date", &date));
    headers.extend(token.map(|token| ("x-amz-security-token", token)));
    headers.sort_unstable();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");

    let canonical = Secret::new(canonical_request(signing, &headers, &names));
    let scope = format!("{day}/{}/{}/aws4_request", signing.region, signing.service);
    let hash = hex(&sha256(canonical.reveal().as_bytes()));
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{hash}");
    let signature = hex(&signature(signing, credentials.secret_key, day, &to_sign));

    let mut lines = format!("x-amz-date: {date}\r\n");
    if let Some(token) = token {
        lines.push_str(&format!("x-amz-security-token: {token}\r\n"));
    }
    let key = &credentials.access_key;
    lines.push_str(&format!(
        "authorization: {ALGORITHM} Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}\r\n"
    ));
    Secret::new(lines)
}

fn canonical_request(signing: &Signing<'_>, headers: &[(&str, &str)], names: &str) -> String {
    let mut out = format!("{}\n", signing.method);
    escape_into(signing.path.as_bytes(), b"/", &mut out);
    out.push('\n');
    out.push_str(&canonical_query(signing.query));
    out.push('\n');
    for (name, value) in headers {
        out.push_str(name);
        out.push(':');
        let words = value.split([' ', '\t']).filter(|word| !word.is_empty());
        out.push_str(&words.collect::<Vec<_>>().join(" "));
        out.push('\n');
    }
    out.push_str(&format!("\n{names}\n{}", hex(&signing.body_hash.0)));
    out
}

/// The parameters in one spelling, sorted by it.
fn canonical_query(query: &str) -> String {
    let spelled = |text: &str| {
        let mut out = String::with_capacity(text.len());
        escape_into(&percent_decoded(text.as_bytes()), b"", &mut out);
        out
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut pairs: Vec<(String, String)> =
        pairs.map(|(name, value)| (spelled(name), spelled(value))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// A key is derived step by step, so that one that leaks is good for one day, region and service only.
fn signature(signing: &Signing<'_>, secret_key: &Secret, day: &str, to_sign: &str) -> [u8; 32] {
    let first = Secret::new(format!("AWS4{}", secret_key.reveal()));
    let mut key = keyed_hash(first.reveal().as_bytes(), day);
    for part in [signing.region, signing.service, "aws4_request", to_sign] {
        key = keyed_hash(&key, part);
    }
    key
}

fn keyed_hash(key: &[u8], text: &str) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    bytes_of(&digest::digest(&digest::SHA256, bytes))
}

fn bytes_of(digest: &digest::Digest) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Percent-encodes all bytes but those that RFC 3986 §2.3 leaves free, and those to keep.
fn escape_into(bytes: &[u8], keep: &[u8], out: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// A time as `20260102T030405Z`, in UTC.
fn amz_date(time_s: u64) -> String {
    let (days, second) = (time_s / DAY_S, time_s % DAY_S);
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of the Gregorian calendar, so many days after 1970-01-01. Counts in years that begin in March, so
/// that the day that leap years add is their last.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_UNTIL_1970;
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / (ERA_DAYS - 1);
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on have 153 days in every five of them.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DAY_S: u64 = 86_400;
/// The Gregorian calendar repeats itself after 400 years.
const ERA_DAYS: u64 = 146_097;
/// From the first of March of the year 0.
const DAYS_UNTIL_1970: u64 = 719_468;

#[cfg(test)]
mod tests;
