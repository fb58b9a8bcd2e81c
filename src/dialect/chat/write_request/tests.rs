//! Requests as a provider gets them.

use super::*;
use crate::dialect::chat::read_request;
use crate::dialect::middle::{Media, Part, Role, Signature, Source, ToolKind, Turn};
use serde_json::{Value, json};

fn write(request: &Request<'_>, rules: &Rules) -> (Value, Report, Written) {
    let (mut report, mut out) = (Report::default(), Vec::new());
    let written = write_request(request, rules, &mut report, &mut out).expect("a request");
    let value = serde_json::from_slice(&out)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)));
    (value, report, written)
}

/// A client's request, read and written.
fn through(body: &str, rules: &Rules) -> (Value, Report, Written) {
    let node = Node::document(body.as_bytes(), &mut Vec::new()).expect(body);
    write(&read_request(node).expect(body), rules)
}

fn text(text: &'static str) -> Part<'static> {
    Part::Text { text: Text::of(text), cache_control: None }
}

fn turn(role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn { role, parts, name: None }
}

fn call(id: &'static str) -> Part<'static> {
    let (id, name, kind) = (Text::of(id), Text::of("f"), ToolKind::Function);
    let signature = Some(Signature { vendor: "v".into(), value: Text::of("s") });
    Part::ToolCall { id, name, arguments: Text::default(), kind, signature, cache_control: None }
}

fn result(id: &'static str, parts: Vec<Part<'static>>, is_error: bool) -> Part<'static> {
    Part::ToolResult { id: Text::of(id), name: None, parts, is_error, cache_control: Some(b"{}") }
}

fn image() -> Part<'static> {
    let media = Media { kind: None, source: Source::Base64(Text::of("/9j/4A")) };
    Part::Image { media, detail: None, cache_control: None }
}

fn messages(turns: Vec<Turn<'static>>, rules: &Rules) -> (Value, Report) {
    let request = Request { model: Text::of("m"), turns, ..Request::default() };
    let (mut value, report, _) = write(&request, rules);
    (value["messages"].take(), report)
}

#[test]
fn a_request_of_the_same_dialect_comes_out_as_it_went_in() {
    let body = r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"developer","content":"d"},
        {"role":"user","name":"n","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x/y","detail":"low"}},
            {"type":"input_audio","input_audio":{"data":"QQ==","format":"mp3"}},{"type":"file","file":{"file_data":"data:application/pdf;base64,QQ==","filename":"f"}}]},
        {"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
        {"role":"tool","tool_call_id":"a","content":"r"},{"role":"assistant","content":null,"refusal":"no"}],
        "stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"n":2,"stop":["x","y"],"temperature":0.50,"top_p":0.1,
        "frequency_penalty":0.1,"presence_penalty":0.2,"seed":4,"logprobs":true,"top_logprobs":2,"reasoning_effort":"low",
        "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},{"type":"custom","custom":{"name":"g"}},
            {"type":"custom","custom":{"name":"h","format":{"type":"grammar"}}}],
        "tool_choice":{"type":"custom","custom":{"name":"g"}},"parallel_tool_calls":false,
        "response_format":{"type":"json_schema","json_schema":{"name":"a","description":"d","schema":{"type":"object"},"strict":true}},
        "user":"u","service_tier":"flex","store":true,"metadata":{"a":"b"},"logit_bias":{"1":2},"verbosity":"low"}"#;
    let (found, report, written) = through(body, &Rules::default());
    assert_eq!(found, serde_json::from_str::<Value>(body).unwrap());
    assert_eq!((report, written), (Report::default(), Written::default()));
}

#[test]
fn results_come_first_and_their_images_behind_them() {
    let turns = vec![
        turn(Role::Assistant, vec![text("t"), call("a")]),
        turn(Role::Assistant, vec![call("b")]),
        turn(Role::User, vec![text("u"), result("a", vec![text("r"), image(), text("q")], true)]),
        turn(Role::User, vec![result("b", vec![], false)]),
    ];
    let (found, report) = messages(turns, &Rules::default());
    let call = |id: &str| json!({"id":id,"type":"function","function":{"name":"f","arguments":"{}"}});
    let want = json!([
        {"role":"assistant","content":"t","tool_calls":[call("a"), call("b")]},
        {"role":"tool","tool_call_id":"a","content":"Error: r\nq"},
        {"role":"tool","tool_call_id":"b","content":""},
        {"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,/9j/4A"}}]},
        {"role":"user","content":"u"}]);
    assert_eq!((found, report), (want, Report::default()));
}

#[test]
fn what_a_provider_takes_is_by_its_rules() {
    let thinking = |text: &'static str| Part::Thinking { text: Text::of(text), signature: None };
    let marked = || Part::Text { text: Text::of("m"), cache_control: Some(br#"{"type":"ephemeral"}"#) };
    let turns = || {
        vec![
            turn(Role::System, vec![text("a"), marked()]),
            turn(Role::Assistant, vec![thinking("t"), call("a")]),
            turn(Role::User, vec![result("a", vec![text("r")], false)]),
        ]
    };
    let (found, report) = messages(turns(), &Rules::default());
    assert_eq!(found[0]["content"], "a\n\nm");
    assert_eq!(
        (&found[1]["reasoning_content"], &report.edited[..]),
        (&Value::Null, &["thinking".to_owned()][..])
    );
    assert_eq!(found[1]["tool_calls"][0]["extra_content"], Value::Null, "no signature for others");
    let rules = Rules {
        vendor: "v".into(),
        takes_cache_control: true,
        takes_reasoning_content: true,
        ..Rules::default()
    };
    let (found, report) = messages(turns(), &rules);
    let mark = json!({"type":"text","text":"m","cache_control":{"type":"ephemeral"}});
    assert_eq!(found[0]["content"], json!([{"type":"text","text":"a"}, mark]));
    assert_eq!((&found[1]["reasoning_content"], report), (&json!("t"), Report::default()));
    assert_eq!(found[1]["tool_calls"][0]["extra_content"]["google"]["thought_signature"], "s");
    assert_eq!(found[2]["content"], json!([{"type":"text","text":"r","cache_control":{}}]));
}

#[test]
fn limits_and_thinking_are_named_as_the_provider_names_them() {
    let body = r#"{"model":"m","messages":[],"max_tokens":5,"temperature":1.7,"top_k":3,"stop":["a","b","c","d","e"],
        "reasoning":{"max_tokens":3000},"metadata":{},"service_tier":"standard_only","previous_response_id":"r","safe":false}"#;
    let rules =
        Rules { takes_max_completion_tokens: true, temperature_milli_max: Some(1500), ..Rules::default() };
    let (found, report, _) = through(body, &rules);
    let want = json!({"model":"m","messages":[],"max_completion_tokens":5,"temperature":1.5,
        "stop":["a","b","c","d"],"reasoning_effort":"medium"});
    assert_eq!(found, want);
    assert_eq!(report.unsupported, ["previous_response_id"]);
    assert_eq!(report.edited, ["stop", "temperature", "top_k", "service_tier", "metadata"]);
    let budget = Rules { reasoning: ReasoningStyle::Budget, ..Rules::default() };
    let (found, ..) = through(body, &budget);
    assert_eq!(found["thinking"], json!({"type":"enabled","budget_tokens":3000}));
    let none = Rules { reasoning: ReasoningStyle::None, ..Rules::default() };
    let (found, report, _) = through(body, &none);
    assert_eq!((&found["reasoning_effort"], &found["thinking"]), (&Value::Null, &Value::Null));
    assert!(report.edited.contains(&"reasoning_effort".to_owned()), "{report:?}");
}

#[test]
fn tools_are_named_so_that_the_provider_takes_them_or_left_out_with_their_choice() {
    let (found, ..) = through(
        r#"{"messages":[],"tools":[],"tool_choice":"auto","parallel_tool_calls":true}"#,
        &Rules::default(),
    );
    assert_eq!(found, json!({"model":"","messages":[]}));
    let body = r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"a.b","arguments":"{}"}}]}],
        "tools":[{"type":"function","function":{"name":"a.b"}},{"type":"web_search"}],"tool_choice":{"type":"function","function":{"name":"a.b"}}}"#;
    let (found, report, written) = through(body, &Rules::default());
    let sent = written.renamed_tools[0].0.clone();
    assert_eq!(written.renamed_tools, [(sent.clone(), "a.b".to_owned())]);
    let function = &found["tools"][0]["function"];
    assert_eq!((&function["name"], &function["parameters"]["type"]), (&json!(sent), &json!("object")));
    assert_eq!(found["tool_choice"]["function"]["name"], json!(sent));
    assert_eq!(found["messages"][0]["tool_calls"][0]["function"]["name"], json!(sent));
    assert_eq!(
        (found["tools"].as_array().map(Vec::len), &report.unsupported[..]),
        (Some(1), &["tools.web_search".to_owned()][..])
    );
}

#[test]
fn a_schema_can_be_the_input_of_a_tool() {
    let rules = Rules { structured_output: StructuredOutput::Tool, ..Rules::default() };
    let format = r#""response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object"}}}"#;
    let (found, _, written) = through(&format!(r#"{{"messages":[],{format}}}"#), &rules);
    assert_eq!(written.answer_tool, Some(ANSWER_TOOL));
    assert_eq!(found["tool_choice"]["function"]["name"], ANSWER_TOOL);
    assert_eq!(
        (&found["tools"][0]["function"]["parameters"], &found["response_format"]),
        (&json!({"type":"object"}), &Value::Null)
    );
    let tools = r#""tools":[{"function":{"name":"f"}}]"#;
    let (found, ..) = through(&format!(r#"{{"messages":[],{tools},{format}}}"#), &rules);
    assert_eq!(
        (&found["tool_choice"], found["tools"].as_array().map(Vec::len)),
        (&json!("required"), Some(2))
    );
    let (found, ..) = through(&format!(r#"{{"messages":[],{format}}}"#), &Rules::default());
    assert_eq!(found["response_format"]["json_schema"]["name"], "answer");
}

#[test]
fn what_the_dialect_has_no_word_for_is_reported() {
    let media = |source| Media { kind: None, source };
    let parts = vec![
        text("t"),
        Part::Audio { media: media(Source::Url(Text::of("u"))) },
        Part::File { media: media(Source::Text(Text::of("x"))), name: None, cache_control: None },
        Part::File { media: media(Source::Url(Text::of("u"))), name: None, cache_control: None },
        Part::Image { media: media(Source::Url(Text::of("u"))), detail: None, cache_control: None },
        Part::Foreign { path: "messages[0].content[5]".to_owned(), raw: b"{}" },
    ];
    let rules = Rules { takes_media_urls: false, ..Rules::default() };
    let (found, report) = messages(vec![turn(Role::User, parts)], &rules);
    assert_eq!(found[0]["content"], json!([{"type":"text","text":"t"},{"type":"text","text":"x"}]));
    assert_eq!(report.unsupported, ["audio.url", "file.url", "image.url", "messages[0].content[5]"]);
}

#[test]
fn an_empty_text_leaves_no_blank_line() {
    let turns = vec![turn(Role::User, vec![text(""), text("a"), text(""), text("b")])];
    assert_eq!(messages(turns, &Rules::default()).0[0]["content"], "a\n\nb");
}
