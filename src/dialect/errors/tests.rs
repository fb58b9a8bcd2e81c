//! What each recorded shape of error means.

use super::*;

fn check(status: u16, body: &str, hint: Option<&str>, want: (ErrorKind, u16, &str)) {
    let error = read(status, body.as_bytes(), hint);
    assert_eq!((error.kind, error.status, &*error.message), want, "{status} {body}");
}

#[test]
fn every_shape_gives_its_sentence_and_its_kind() {
    use ErrorKind::*;
    let cases: &[(u16, &str, (ErrorKind, u16, &str))] = &[
        (
            429,
            r#"{"error":{"message":"slow","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
            (RateLimit, 429, "slow"),
        ),
        (
            400,
            r#"[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]"#,
            (BadRequest, 400, "bad"),
        ),
        (400, r#"{"code":"invalid-argument","error":"bad"}"#, (BadRequest, 400, "bad")),
        (
            404,
            r#"{"error":"model \"x\" not found, try pulling it first"}"#,
            (NotFound, 404, "model \"x\" not found, try pulling it first"),
        ),
        (
            422,
            r#"{"detail":[{"loc":["body","messages",0],"msg":"required","type":"missing"}]}"#,
            (BadRequest, 422, "required"),
        ),
        (
            401,
            r#"{"detail":"Unauthorized"}"#,
            (Credential, 502, "The provider refused the gateway's own credential."),
        ),
        (
            400,
            r#"{"object":"error","message":"bad","type":"invalid_request_error","code":"3210"}"#,
            (BadRequest, 400, "bad"),
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            (Overloaded, 503, "Overloaded"),
        ),
        (
            200,
            r#"{"base_resp":{"status_code":1002,"status_msg":"rate limit"}}"#,
            (RateLimit, 429, "rate limit"),
        ),
        (200, r#"{"base_resp":{"status_code":1008,"status_msg":"balance"}}"#, (Billing, 429, "balance")),
        (503, "upstream connect error", (Overloaded, 503, "upstream connect error")),
        (
            502,
            "<html><body>502</body></html>",
            (Server, 502, "The provider answered with status 502 and no message."),
        ),
        (500, "", (Server, 502, "The provider answered with status 500 and no message.")),
        (
            200,
            r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{\"error\":{\"message\":\"inner\"}}"}}}"#,
            (RateLimit, 429, "inner"),
        ),
        (
            200,
            r#"{"choices":[{"finish_reason":"error","error":{"code":502,"message":"broken"}}]}"#,
            (Server, 502, "broken"),
        ),
    ];
    for (status, body, want) in cases {
        check(*status, body, None, *want);
    }
    let found = read(422, br#"{"detail":[{"loc":["body","messages",0],"msg":"required"}]}"#, None);
    assert_eq!(found.param.as_deref(), Some("messages.0"));
}

#[test]
fn the_body_is_believed_before_the_status() {
    for (status, body, want) in BODIES {
        check(*status, body, None, *want);
    }
    check(
        401,
        r#"{"error":{"message":"Unauthorized","type":"api_error"}}"#,
        None,
        (ErrorKind::Credential, 502, KEY),
    );
    check(429, r#"{"error":{"message":"m","type":"api_error"}}"#, None, (ErrorKind::RateLimit, 429, "m"));
    check(400, r#"{"error":{"message":"m","type":"api_error"}}"#, None, (ErrorKind::BadRequest, 400, "m"));
    check(400, r#"{"message":"m"}"#, Some("ThrottlingException:http://x"), (ErrorKind::RateLimit, 429, "m"));
    check(403, r#"{"message":"m"}"#, Some("UnrecognizedClientException"), (ErrorKind::Credential, 502, KEY));
    check(
        400,
        r#"{"message":"Input is too long for requested model."}"#,
        Some("ValidationException"),
        (ErrorKind::ContextOverflow, 400, "Input is too long for requested model."),
    );
}

#[test]
fn a_refusal_of_ours_keeps_its_status_and_its_words() {
    let refusal = Refusal::new(401, RefusalKind::Authentication, "invalid_api_key", "No.").about("key");
    let error = of_refusal(&refusal);
    assert_eq!((openai_type(&error), openai_code(&error)), ("authentication_error", Some("invalid_api_key")));
    assert_eq!((error.status, error.param.as_deref()), (401, Some("key")));
    let error = of_refusal(&Refusal::new(404, RefusalKind::InvalidRequest, "model_not_found", "No."));
    assert_eq!(
        (openai_type(&error), openai_code(&error)),
        ("invalid_request_error", Some("model_not_found"))
    );
    let error = of_refusal(&Refusal::new(504, RefusalKind::Upstream, "upstream_read_timeout", "Late."));
    assert_eq!((error.kind, openai_type(&error)), (ErrorKind::Timeout, "upstream_error"));
}

#[test]
fn a_type_is_not_said_twice() {
    let error = read(400, br#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#, None);
    assert_eq!((openai_type(&error), openai_code(&error)), ("invalid_request_error", None));
}

/// Bodies that say something else than their status.
const BODIES: &[(u16, &str, (ErrorKind, u16, &str))] = &[
    (
        400,
        r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***"}"#,
        (ErrorKind::Credential, 502, KEY),
    ),
    (
        400,
        r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
        (ErrorKind::Credential, 502, KEY),
    ),
    (
        429,
        r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
        (ErrorKind::Billing, 429, "You exceeded your current quota"),
    ),
    (
        429,
        r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED"}}"#,
        (ErrorKind::RateLimit, 429, "You exceeded your current quota"),
    ),
    (
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#,
        (ErrorKind::Billing, 429, "Your credit balance is too low"),
    ),
    (
        429,
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
        (ErrorKind::Billing, 429, "m"),
    ),
    (
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 2 tokens > 1 maximum"}}"#,
        (ErrorKind::ContextOverflow, 400, "prompt is too long: 2 tokens > 1 maximum"),
    ),
    (
        500,
        r#"{"error":{"code":500,"message":"the request exceeds the available context size","type":"server_error"}}"#,
        (ErrorKind::ContextOverflow, 400, "the request exceeds the available context size"),
    ),
    (
        500,
        r#"{"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}"#,
        (ErrorKind::BadRequest, 400, "tools param requires --jinja flag"),
    ),
    (
        500,
        r#"{"error":{"code":500,"message":"it broke","type":"server_error"}}"#,
        (ErrorKind::Server, 502, "it broke"),
    ),
    (
        400,
        r#"{"error":{"message":"The response was filtered due to the content management policy.","code":"content_filter"}}"#,
        (ErrorKind::ContentFilter, 400, "The response was filtered due to the content management policy."),
    ),
    (
        400,
        r#"{"code":"invalid-argument","error":"The model grok-9 does not exist"}"#,
        (ErrorKind::NotFound, 404, "The model grok-9 does not exist"),
    ),
    (402, "{}", (ErrorKind::Billing, 429, "The provider answered with status 402 and no message.")),
];

const KEY: &str = "The provider refused the gateway's own credential.";

#[test]
fn an_error_out_of_a_stream_has_a_status_for_clients() {
    for (kind, status, want) in [
        (ErrorKind::Overloaded, 529, 503),
        (ErrorKind::Server, 500, 502),
        (ErrorKind::Billing, 402, 429),
        (ErrorKind::RateLimit, 429, 429),
        (ErrorKind::BadRequest, 400, 400),
    ] {
        let error = ProviderError { kind, status, message: "m".into(), code: None, param: None };
        let refusal = to_refusal(&error);
        assert_eq!(refusal.status, want);
        assert_eq!(of_refusal(&refusal).kind, kind);
    }
}
