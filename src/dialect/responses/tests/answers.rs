//! Whole answers of providers.

use super::*;

#[test]
fn a_whole_answer_is_the_same_as_its_stream() {
    let body = r#"{"id":"resp_1","object":"response","created_at":7.0,"status":"completed","error":null,"model":"m","output":[
        {"id":"rs","type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"e"},
        {"id":"msg","type":"message","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[{"type":"url_citation","url":"u","title":"t"}],"logprobs":[]},{"type":"refusal","refusal":"no"}]},
        {"id":"fc","type":"function_call","call_id":"c","name":"f","arguments":{"a":1}},
        {"id":"fc2","type":"function_call","call_id":"d","name":"f","arguments":""}],
        "usage":{"input_tokens":1,"output_tokens":2}}"#;
    let want = [
        "start resp_1 m",
        "0 = thinking",
        "0 text hm",
        "0 signature maker e",
        "0 closed",
        "1 = text",
        "1 text a",
        "1 citation u t",
        "1 closed",
        "2 = refusal",
        "2 text no",
        "2 closed",
        "3 = call c f",
        "3 input {\"a\":1}",
        "3 closed",
        "4 = call d f",
        "4 closed",
        "finish ToolCalls",
        "usage in=1 cached=? out=2 reasoning=?",
        "end",
    ];
    assert_eq!(read_whole(body, &vendor_rules()), want);
}

#[test]
fn an_answer_that_did_not_complete_is_an_error() {
    let cases = [
        (r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#, "error BadRequest 400 m"),
        (
            r#"{"status":"failed","error":{"code":"rate_limit_exceeded","message":"m"}}"#,
            "error RateLimit 429 m",
        ),
        (
            r#"{"id":"resp_1","status":"queued","error":null,"output":[]}"#,
            "error Server 502 The provider's answer did not complete: its status is `queued`.",
        ),
    ];
    for (body, want) in cases {
        assert_eq!(read_whole(body, &Rules::default()).last().map(String::as_str), Some(want), "{body}");
    }
}

#[test]
fn an_error_has_the_envelope_of_the_api() {
    let error = |kind, code: Option<&str>| ProviderError {
        kind,
        status: 400,
        message: "a \"b\"".to_owned(),
        code: code.map(str::to_owned),
        param: Some("input[0]".to_owned()),
    };
    let cases = [
        (error(ErrorKind::BadRequest, Some("invalid_value")), "invalid_request_error", "invalid_value"),
        (error(ErrorKind::ContextOverflow, Some("x")), "invalid_request_error", "context_length_exceeded"),
        (error(ErrorKind::RateLimit, None), "rate_limit_error", "rate_limit_exceeded"),
        (error(ErrorKind::Server, None), "upstream_error", "upstream_error"),
    ];
    for (error, kind, code) in cases {
        let mut out = Vec::new();
        write_error(&error, "r", &mut out);
        let told: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let want = serde_json::json!({"error":
            {"message": "a \"b\"", "type": kind, "param": "input[0]", "code": code}});
        assert_eq!(told, want);
    }
}
