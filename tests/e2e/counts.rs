//! Counts of tokens, asked of providers that have them and estimated for those that do not; and whether anybody is there.

use std::io::Write;

use crate::support::*;

#[test]
fn a_count_that_the_provider_cannot_give_is_estimated() {
    let upstream = Upstream::answering(json_answer(200, "", r#"{"input_tokens":99}"#), After::KeepAlive);
    let at = |kind: &str| {
        format!(
            "{{type: {kind}, base_url: 'http://127.0.0.1:{}/v1', api_key: {UPSTREAM_KEY}}}",
            upstream.port
        )
    };
    let (chat, ant, gem, own) = (at("cerebras"), at("anthropic"), at("gemini"), at("openai"));
    let settings = format!("providers: {{up: {chat}, ant: {ant}, gem: {gem}, own: {own}}}");
    let gateway = Gateway::start_with(&settings, &[]);
    let messages = |provider: &str| {
        format!(r#"{{"model":"{provider}/m","messages":[{{"role":"user","content":"12345678"}}]}}"#)
    };
    let input = |provider: &str| format!(r#"{{"model":"{provider}/m","input":"12345678"}}"#);
    let contents = r#"{"contents":[{"parts":[{"text":"12345678"}]}]}"#;
    let (responses, tokens) = ("/v1/responses/input_tokens", "/v1/messages/count_tokens");
    let estimated = [
        (tokens, messages("up"), r#"{"input_tokens":6}"#),
        (tokens, messages("own"), r#"{"input_tokens":6}"#),
        (responses, input("ant"), r#"{"object":"response.input_tokens","input_tokens":6}"#),
        ("/v1beta/models/up/m:countTokens", contents.to_owned(), r#"{"totalTokens":6}"#),
    ];
    let mut link = gateway.connect();
    for (path, body, want) in estimated {
        link.send(&post(path, &body));
        let answer = link.answer(false);
        assert_eq!((answer.status, answer.text().as_str()), (200, want), "{path}");
        assert_eq!(answer.header("x-ringway-estimated").as_deref(), Some("true"));
    }
    let asked = [
        (tokens, messages("ant")),
        (responses, input("own")),
        ("/v1beta/models/gem/m:countTokens", contents.to_owned()),
    ];
    for (path, body) in asked {
        link.send(&post(path, &body));
        let answer = link.answer(false);
        assert_eq!(
            (answer.text().as_str(), answer.header("x-ringway-estimated")),
            (r#"{"input_tokens":99}"#, None)
        );
    }
    let embed = gateway.call(&post("/v1beta/models/up/m:embedContent", contents));
    assert_eq!(embed.status, 400, "nothing else can say it");
    assert_eq!(gateway.call(&post(tokens, r#"{"model":"up/m","messages":["#)).status, 400);
}

#[test]
fn agents_learn_that_somebody_is_there() {
    let upstream = Upstream::start(|_, _, stream| {
        let _ = stream.write_all(&json_answer(200, "", CHAT));
        After::KeepAlive
    });
    let gateway = Gateway::start(upstream.port, "");
    for request in ["GET /api/hello", "HEAD /api/hello", "HEAD /"] {
        let mut link = gateway.connect();
        link.send(format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes());
        assert_eq!(link.answer(request.starts_with("HEAD")).status, 200, "{request}");
    }
    assert_eq!(gateway.call(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").status, 404);
}
