//! Gives an error its kind: by words that mean one thing, then by what its sentence says, then by words that mean
//! little, then by its status.

use super::shape::Found;
use crate::dialect::middle::ErrorKind;

/// The kind of an error. `status` 0 is unknown.
pub(super) fn kind(status: u16, found: &Found, hint: Option<&str>) -> ErrorKind {
    let words =
        found.code.iter().map(String::as_str).chain(found.words.iter().map(String::as_str)).chain(hint);
    let words: Vec<String> = words.map(folded).collect();
    let message = found.message.to_ascii_lowercase();
    by_words(CLEAR_WORDS, &words)
        .or_else(|| by_message(status, &message))
        .or_else(|| by_words(VAGUE_WORDS, &words).filter(|&kind| is_possible(kind, status)))
        .unwrap_or_else(|| by_status(status))
}

/// Whether a word that means little may say more than the status. A status that says one thing is believed, and a server's
/// fault is none with a status of the client's.
fn is_possible(kind: ErrorKind, status: u16) -> bool {
    let is_clear = matches!(status, 401..=404 | 408 | 413 | 429 | 503 | 504 | 524 | 529);
    !is_clear && (kind != ErrorKind::Server || !(400..500).contains(&status))
}

/// Letters and digits only, so that `invalid-argument`, `INVALID_ARGUMENT` and `InvalidArgument` are one word. The names
/// of exceptions lose that they are one.
fn folded(word: &str) -> String {
    let mut folded: String =
        word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    for ending in ["exception", "error"] {
        if let Some(rest) = folded.strip_suffix(ending).filter(|rest| !rest.is_empty()) {
            folded.truncate(rest.len());
        }
    }
    folded
}

/// The first entry of the table that one of the words is.
fn by_words(table: &[(ErrorKind, &[&str])], words: &[String]) -> Option<ErrorKind> {
    let is_said = |entry: &&(ErrorKind, &[&str])| words.iter().any(|word| entry.1.contains(&word.as_str()));
    table.iter().find(is_said).map(|entry| entry.0)
}

fn by_message(status: u16, message: &str) -> Option<ErrorKind> {
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    let is_about_key = says(KEY_NOUNS) && says(KEY_FAULTS);
    if is_about_key && matches!(status, 0 | 400 | 401 | 403) {
        return Some(ErrorKind::Credential);
    }
    if says(OVERFLOWS) {
        return Some(ErrorKind::ContextOverflow);
    }
    if says(BILLS) {
        return Some(ErrorKind::Billing);
    }
    if says(FILTERS) && status < 500 {
        return Some(ErrorKind::ContentFilter);
    }
    if message.contains("model") && says(UNKNOWN_MODELS) && matches!(status, 0 | 400 | 404) {
        return Some(ErrorKind::NotFound);
    }
    // A server that says 500 where the request is at fault.
    (matches!(status, 500 | 501) && says(CLIENT_FAULTS)).then_some(ErrorKind::BadRequest)
}

fn by_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Credential,
        402 => ErrorKind::Billing,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        408 | 504 | 524 => ErrorKind::Timeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimit,
        503 | 529 => ErrorKind::Overloaded,
        400..=499 => ErrorKind::BadRequest,
        _ => ErrorKind::Server,
    }
}

/// Words that mean one thing wherever they stand, folded; the first kind that is named wins.
const CLEAR_WORDS: &[(ErrorKind, &[&str])] = &[
    (
        ErrorKind::ContextOverflow,
        &[
            "contextlengthexceeded",
            "contextwindowexceeded",
            "modelcontextwindowexceeded",
            "exceedcontextsize",
            "toomanytokens",
            "toomanyprompttokens",
            "stringabovemaxlength",
        ],
    ),
    (
        ErrorKind::ContentFilter,
        &[
            "contentfilter",
            "contentfiltered",
            "contentpolicyviolation",
            "responsibleaipolicyviolation",
            "datainspectionfailed",
            "moderationblocked",
            "promptblocked",
        ],
    ),
    (
        ErrorKind::Billing,
        &[
            "insufficientquota",
            "billing",
            "billinghardlimitreached",
            "billingnotactive",
            "enforcedspendlimitreached",
            "insufficientbalance",
            "insufficientcredits",
            "arrearage",
            "paymentrequired",
            "baseresp1008",
        ],
    ),
    (
        ErrorKind::Credential,
        &[
            "invalidapikey",
            "apikeyinvalid",
            "apikeyserviceblocked",
            "authentication",
            "unauthenticated",
            "unauthorized",
            "notauthenticated",
            "unrecognizedclient",
            "invalidsignature",
            "incompletesignature",
            "missingauthenticationtoken",
            "expiredtoken",
            "invalidclienttokenid",
            "baseresp1004",
            "baseresp2049",
        ],
    ),
    (
        ErrorKind::Permission,
        &["permission", "permissiondenied", "accessdenied", "notauthorized", "forbidden"],
    ),
    (
        ErrorKind::NotFound,
        &[
            "modelnotfound",
            "notfound",
            "resourcenotfound",
            "deploymentnotfound",
            "modelnotexist",
            "invalidmodel",
            "notauthorizedornotfound",
        ],
    ),
    (ErrorKind::TooLarge, &["requesttoolarge", "payloadtoolarge", "requestentitytoolarge"]),
    (
        ErrorKind::RateLimit,
        &[
            "ratelimit",
            "ratelimitexceeded",
            "ratelimitreached",
            "resourceexhausted",
            "throttling",
            "throttlingratequota",
            "throttlingallocationquota",
            "throttled",
            "toomanyrequests",
            "servicequotaexceeded",
            "limitrequests",
            "tokens",
            "requests",
            "baseresp1002",
            "baseresp1039",
        ],
    ),
    (
        ErrorKind::Overloaded,
        &[
            "overloaded",
            "unavailable",
            "serviceunavailable",
            "servertoobusy",
            "modelnotready",
            "engineoverloaded",
            "slowdown",
        ],
    ),
    (ErrorKind::Timeout, &["timeout", "deadlineexceeded", "modeltimeout", "requesttimeout", "baseresp1001"]),
];

/// Words that providers use for much, folded: what the sentence says goes first.
const VAGUE_WORDS: &[(ErrorKind, &[&str])] = &[
    (
        ErrorKind::BadRequest,
        &[
            "invalidrequest",
            "invalidargument",
            "invalidparameter",
            "invalidvalue",
            "validation",
            "badrequest",
            "failedprecondition",
            "unprocessableentity",
            "notsupported",
            "tooluse",
            "toolusefailed",
            "baseresp2013",
        ],
    ),
    (
        ErrorKind::Server,
        &["api", "server", "internal", "internalserver", "modelstream", "model", "baseresp1000"],
    ),
];

const KEY_NOUNS: &[&str] =
    &["api key", "api-key", "apikey", "api_key", "x-api-key", "security token", "access token"];
const KEY_FAULTS: &[&str] =
    &["incorrect", "invalid", "not valid", "no api", "expired", "leaked", "missing", "revoked", "not found"];

/// What providers say when the conversation does not fit the model, as their public error pages and answers have it.
const OVERFLOWS: &[&str] = &[
    "prompt is too long",
    "prompt too long",
    "exceeds the context window",
    "exceed context window",
    "exceeds context window",
    "maximum context length",
    "maximum prompt length",
    "context_length_exceeded",
    "context length exceeded",
    "exceeds the available context size",
    "exceeds the model's context",
    "input token count",
    "input tokens exceed",
    "input is too long",
    "too many input tokens",
    "too large for model with",
    "reduce the length of the messages",
    "longer than the model's context length",
];

const BILLS: &[&str] = &[
    "credit balance is too low",
    "insufficient balance",
    "insufficient credit",
    "requires more credits",
    "spend limit",
    "spending limit",
    "exceeded your current quota",
    "used all available credits",
];

const FILTERS: &[&str] = &[
    "content management policy",
    "content_filter",
    "content filter",
    "content policy",
    "safety system",
    "inappropriate content",
];

const UNKNOWN_MODELS: &[&str] =
    &["model not found", "does not exist", "no such model", "unknown model", "not a valid model"];

const CLIENT_FAULTS: &[&str] = &[
    "failed to parse",
    "failed to load image",
    "requires --jinja",
    "unsupported",
    "not supported by",
    "does not support",
    "missing '",
    "invalid type",
    "cannot be both",
    "must be ",
];
