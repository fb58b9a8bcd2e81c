//! What an answer cost stands in its head, where that leaves when all is known; the body keeps every byte.

use serde_json::{Value as Json, json};

use crate::admin::call;
use crate::support::*;

fn start(data: &TempFolder, upstream: &Upstream, settings: &str) -> Gateway {
    let port = upstream.port;
    let settings = format!(
        "server: {{shards: 1}}\nproviders:\n  up: {{type: openai, base_url: 'http://127.0.0.1:{port}/v1', api_key: k}}\n\
         prices: {{overrides: {{m: {{input_per_mtok: 1, output_per_mtok: 2.5}}}}}}\n{settings}"
    );
    let folder = data.0.display().to_string();
    Gateway::start_with(&settings, &[("RINGWAY_DATA_DIR", &folder)])
}

/// The headers of usage and cost, in their order.
fn told(answer: &Answer) -> Vec<String> {
    let is_one = |line: &&str| {
        ["x-ringway-usage-", "x-ringway-cost", "x-litellm-response-cost"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    answer.head.lines().filter(is_one).map(str::to_owned).collect()
}

/// The row of usage of a request.
pub fn recorded(gateway: &Gateway, id: &str) -> Json {
    let mut rows = Vec::new();
    eventually("it is recorded", || {
        let (_, found) = call(gateway, KEY, "GET", &format!("/usage/log?request_id={id}"), None);
        rows = found["data"].as_array().cloned().unwrap_or_default();
        !rows.is_empty()
    });
    assert_eq!(rows.len(), 1, "{id}");
    rows.swap_remove(0)
}

const TOLD: [&str; 5] = [
    "x-ringway-usage-input-tokens: 3",
    "x-ringway-usage-output-tokens: 4",
    "x-ringway-usage-source: measured",
    "x-ringway-cost: 0.000013",
    "x-ringway-cost-source: override in the settings",
];

#[test]
fn whole_answers_tell_their_cost_and_keep_their_bytes() {
    let data = TempFolder::new();
    // The provider is a gateway itself, whose bill is another one.
    let lines = "X-Ringway-Cost: 5\r\nx-ringway-usage-input-tokens: 99\r\nx-kept: 1\r\n";
    // Headers of a client's own do not reach a provider: what it is to do stands in the body.
    let case = |body: &[u8]| {
        let text = String::from_utf8_lossy(body);
        ["stream", "failure", "chunked", "long"]
            .into_iter()
            .find(|case| text.contains(&format!("do {case}")))
            .unwrap_or("")
    };
    let upstream = Upstream::start(move |_, seen, stream| {
        let long = CHAT.replace("hi", &"h".repeat(40_000));
        let answer = match case(&seen.body) {
            "stream" => stream_answer(STREAM.as_bytes(), &[1000]),
            "failure" => json_answer(400, lines, r#"{"error":{"message":"no"}}"#),
            "chunked" => {
                let head =
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
                format!("{head}{:x}\r\n{CHAT}\r\n0\r\n\r\n", CHAT.len()).into_bytes()
            }
            "long" => json_answer(200, lines, &long),
            _ => json_answer(200, lines, CHAT),
        };
        let _ = std::io::Write::write_all(stream, &answer);
        After::KeepAlive
    });
    let gateway = start(&data, &upstream, "");
    let ask = |path: &str, lines: &str, body: &str| {
        let mut link = gateway.connect();
        // The connection goes on behind each of them.
        link.send(&post_with(path, lines, body.as_bytes()));
        let answer = link.answer(false);
        link.send(&get("/health"));
        assert_eq!((answer.is_whole, link.answer(false).status), (true, 200), "{}", answer.head);
        answer
    };
    let chat = |lines: &str, body: &str| ask("/v1/chat/completions", lines, body);
    let does = |case: &str, body: &str| {
        body.replace("\"messages\"", &format!("\"user\":\"do {case}\",\"messages\""))
    };
    let answer = chat("x-request-id: first\r\n", ASK);
    assert_eq!((told(&answer), answer.text().as_str()), (TOLD.map(str::to_owned).to_vec(), CHAT));
    assert_eq!(answer.header("x-kept").as_deref(), Some("1"));
    let row = recorded(&gateway, "first");
    let want = (&json!("0.000013"), &json!(3), &json!(4));
    assert_eq!(
        (&row["total_cost"], &row["input_uncached"], &row["output_total"]),
        want,
        "the same to the last digit"
    );
    let chunked = chat("", &does("chunked", ASK));
    assert_eq!((told(&chunked), chunked.text().as_str()), (TOLD.map(str::to_owned).to_vec(), CHAT));
    let messages = r#"{"model":"up/m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    assert_eq!(told(&ask("/v1/messages", "", messages)), TOLD, "in another dialect as well");
    let unpriced = told(&chat("", &ASK.replace("up/m", "up/nobody-knows")));
    let want = ["x-ringway-cost: unknown", "x-ringway-cost-reason: no price is known for this model"];
    assert_eq!(unpriced[3..], want);
    // What leaves before all is known says nothing, and nothing of another's.
    let long = chat("", &does("long", ASK));
    assert_eq!((told(&long), long.body.len()), (Vec::new(), CHAT.len() - 2 + 40_000));
    assert_eq!(told(&chat("", &does("stream", ASK_STREAM))), Vec::<String>::new());
    assert_eq!(told(&chat("", &does("failure", ASK))), Vec::<String>::new());
}

#[test]
fn the_headers_have_litellms_names_on_request_and_can_be_off() {
    let upstream =
        Upstream::answering(json_answer(200, "x-litellm-response-cost: 5\r\n", CHAT), After::KeepAlive);
    let data = TempFolder::new();
    let both = told(&start(&data, &upstream, "usage: {headers: litellm}\n").chat(ASK));
    assert_eq!(both[..5], TOLD);
    assert_eq!(
        both[5..8],
        [
            "x-litellm-response-cost: 0.000013",
            "x-litellm-response-cost-original: 0.000013",
            "x-litellm-response-cost-input: 0.000003"
        ]
    );
    let data = TempFolder::new();
    let off = start(&data, &upstream, "usage: {headers: off}\n").chat(ASK);
    assert_eq!(told(&off), ["x-litellm-response-cost: 5"], "then nothing is added and nothing taken");
    assert_eq!(off.text(), CHAT);
}

#[test]
fn searches_of_geminis_have_their_fee_or_make_the_cost_unknown() {
    let answer = json!({
        "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP", "index": 0,
            "groundingMetadata": {"webSearchQueries": ["one", "two"], "groundingChunks": [{"web": {"uri": "u"}}]}}],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
    });
    let upstream = Upstream::answering(json_answer(200, "", &answer.to_string()), After::KeepAlive);
    let port = upstream.port;
    let settings = format!(
        "providers:\n  goo: {{type: gemini, base_url: 'http://127.0.0.1:{port}/v1beta', api_key: k}}\nprices:\n  overrides:\n    \
         gemini-3-x: {{input_per_mtok: 1, output_per_mtok: 2, per_web_search: 0.014}}\n    \
         gemini-2.5-x: {{input_per_mtok: 1, output_per_mtok: 2, per_web_search: 0.035}}\n    \
         gemini-3-y: {{input_per_mtok: 1, output_per_mtok: 2}}\n"
    );
    let gateway = Gateway::start_with(&settings, &[]);
    for (model, cost) in [("gemini-3-x", "0.02802"), ("gemini-2.5-x", "0.03502"), ("gemini-3-y", "unknown")] {
        let chat = json!({"model": format!("goo/{model}"), "messages": [{"role": "user", "content": "hi"}]});
        let own = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
        for (path, body) in [
            ("/v1/chat/completions".to_owned(), chat),
            (format!("/v1beta/models/goo/{model}:generateContent"), own),
        ] {
            let answer = gateway.call(&post(&path, &body.to_string()));
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(
                answer.header("x-ringway-cost").as_deref(),
                Some(cost),
                "{path} {model}: {}",
                answer.head
            );
        }
    }
}

#[test]
fn a_record_tells_the_millisecond_in_which_its_request_came() {
    let data = TempFolder::new();
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = start(&data, &upstream, "");
    let mut link = gateway.connect();
    let wall_ms = || jiff::Timestamp::now().as_millisecond();
    // Each is somewhere else between two ticks of a clock that goes forward more rarely.
    let asked: Vec<_> = (0..10)
        .map(|number| {
            let before = wall_ms();
            link.send(&post_with(
                "/v1/chat/completions",
                &format!("x-request-id: at-{number}\r\n"),
                ASK.as_bytes(),
            ));
            assert_eq!(link.answer(false).status, 200);
            (number, before, wall_ms())
        })
        .collect();
    for (number, before, after) in asked {
        let row = recorded(&gateway, &format!("at-{number}"));
        let at: jiff::Timestamp = row["at"].as_str().expect("a moment").parse().expect("a moment");
        // Both clocks are rounded down.
        assert!((before - 1..=after + 1).contains(&at.as_millisecond()), "{before} {at} {after}");
    }
}
