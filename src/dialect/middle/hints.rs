//! Fields without which an answer means the same: hints for caches, places, records and speed.

/// Whether a field of a client's dialect is such a hint. A writer whose dialect does not have it leaves it out and says so;
/// any other field that it cannot say is unsupported.
pub fn is_hint(field: &str) -> bool {
    HINTS.contains(&field)
}

const HINTS: &[&str] = &[
    "anthropic_beta",
    "anthropic_version",
    "cache_control",
    "cachedContent",
    "client_metadata",
    "context_management",
    "include",
    "inference_geo",
    "labels",
    "performanceConfig",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "requestMetadata",
    "safety_identifier",
    "speed",
    "store",
    "stream_options",
    "truncation",
    "verbosity",
];
