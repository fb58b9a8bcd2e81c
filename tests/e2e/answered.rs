//! The model that an answer names is the one that ran: its price counts, and the record tells it.

use std::io::Write;

use serde_json::json;

use crate::costs::recorded;
use crate::support::*;

const LIST: &str = r#"{"ringway_prices":1,"date":"2026-10-01"}
{"provider":"openai","model":"m-2026-01-02","source":"s","prices":{"input":1000000,"output":1000000}}
{"provider":"openai","model":"n","source":"t","prices":{"input":2000000,"output":2000000}}
"#;

#[test]
fn the_model_that_answers_is_recorded_and_its_price_counts() {
    let (data, list) = (TempFolder::new(), temp_file(LIST));
    // The message says which model answers, and in which form.
    let upstream = Upstream::start(|_, seen, stream| {
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        let said =
            text.split("answer as ").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let (model, form) = said.split_once(" in ").unwrap_or((said, ""));
        let named = |text: &str| text.replacen("{\"", &format!("{{\"model\":\"{model}\",\""), 1);
        let bytes = match form {
            "stream" => {
                let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]";
                let body = named(STREAM).replace("data: [DONE]", usage);
                stream_answer(body.as_bytes(), &[7])
            }
            "parts" => {
                let body = named(&CHAT.replace("hi", &"h".repeat(40_000)));
                json_answer(200, "", &body)
            }
            _ => json_answer(200, "", &named(CHAT)),
        };
        let _ = stream.write_all(&bytes);
        After::KeepAlive
    });
    let settings = format!(
        "server: {{shards: 1}}\nproviders:\n  up: {{type: openai, base_url: 'http://127.0.0.1:{}/v1', api_key: k}}\n\
         prices: {{file: '{}'}}\n",
        upstream.port,
        list.display()
    );
    let folder = data.0.display().to_string();
    let gateway = Gateway::start_with(&settings, &[("RINGWAY_DATA_DIR", &folder)]);
    let mut count = 0;
    let mut check = |path: &str, form: &str, asked: &str, answers: &str, want: [&str; 2]| {
        count += 1;
        let id = format!("request-{count}");
        let lines = format!("x-request-id: {id}\r\n");
        let stream = if form == "stream" { r#","stream":true"# } else { "" };
        let body = format!(
            r#"{{"model":"up/{asked}","max_tokens":9{stream},"messages":[{{"role":"user","content":"answer as {answers} in {form}"}}]}}"#
        );
        let answer = gateway.call(&post_with(path, &lines, body.as_bytes()));
        assert_eq!((answer.status, answer.is_whole), (200, true), "{}", answer.text());
        let [answered, cost] = want;
        let row = recorded(&gateway, &id);
        let or_null = |text: &str| if text.is_empty() { json!(null) } else { json!(text) };
        // Of the price that counted, whatever was thought when the exchange began.
        let source = match cost {
            "" => "",
            "0.000014" => "t",
            _ => "s",
        };
        let got = (&row["model"], &row["answered_model"], &row["total_cost"], &row["cost_source"]);
        let wanted = (&json!(asked), &or_null(answered), &or_null(cost), &or_null(source));
        assert_eq!(got, wanted, "{path} {form} {asked} {answers}");
        if form.is_empty() {
            let told = answer.header("x-ringway-cost").expect("a cost");
            assert_eq!(told == "unknown", cost.is_empty(), "the header says the same: {told}");
        }
    };
    let dated = "m-2026-01-02";
    for path in ["/v1/chat/completions", "/v1/messages"] {
        for form in ["", "stream", "parts"] {
            // A name that moves has no price, and the model behind it has.
            check(path, form, "m-latest", dated, [dated, "0.000007"]);
        }
    }
    let chat = "/v1/chat/completions";
    check(chat, "", "m-latest", "m-2026-09-09", ["m-2026-09-09", ""]);
    check(chat, "", "n", "n", ["", "0.000014"]);
    check(chat, "", "n", "n-2026-05-05", ["n-2026-05-05", "0.000014"]);
    // What ran is another model: no price is guessed from the one that was asked for.
    check(chat, "", "n", "other", ["other", ""]);
    check(chat, "", "n", dated, [dated, "0.000007"]);
}
