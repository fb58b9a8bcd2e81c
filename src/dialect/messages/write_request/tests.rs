//! Requests for the provider: what they say, and what the report says that they do not.

use serde_json::{Value, json};

use super::*;
use crate::dialect::middle::{
    Effort, Extra, Media, Part, Reasoning, ReasoningStyle, Role, Signature, Source, Text, Tool, ToolChoice,
    ToolKind, Turn,
};

/// A written request, and the report on it.
struct Sent {
    body: Value,
    report: Report,
    written: Written,
}

fn rules() -> Rules {
    Rules { vendor: "claude".into(), ..Rules::default() }
}

fn send_by(request: &Request<'_>, rules: &Rules) -> Sent {
    let (mut report, mut out) = (Report::default(), Vec::new());
    let written = write_request(request, rules, &mut report, &mut out)
        .unwrap_or_else(|refusal| panic!("{}", refusal.message));
    let body = serde_json::from_slice(&out).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out)));
    Sent { body, report, written }
}

fn send(request: &Request<'_>) -> Sent {
    send_by(request, &rules())
}

fn text(text: &str) -> Part<'static> {
    Part::Text { text: Text::of(text), cache_control: None }
}

fn call(id: &str, arguments: &str) -> Part<'static> {
    Part::ToolCall {
        id: Text::of(id),
        name: Text::of("f"),
        arguments: Text::of(arguments),
        kind: ToolKind::Function,
        signature: None,
        cache_control: None,
    }
}

fn result(id: &str, parts: Vec<Part<'static>>) -> Part<'static> {
    Part::ToolResult { id: Text::of(id), name: None, parts, is_error: false, cache_control: None }
}

fn thought(vendor: &'static str) -> Part<'static> {
    let signature = Some(Signature::of_vendor(vendor, Text::of("s")));
    Part::Thinking { text: Text::of("t"), signature }
}

fn request(turns: Vec<(Role, Vec<Part<'static>>)>) -> Request<'static> {
    let turns = turns.into_iter().map(|(role, parts)| Turn { role, parts, name: None }).collect();
    Request { model: Text::of("m"), turns, ..Request::default() }
}

fn ask() -> Request<'static> {
    request(vec![(Role::User, vec![text("q")])])
}

fn tool(name: &str) -> Tool<'static> {
    Tool {
        kind: ToolKind::Function,
        name: Text::of(name),
        description: None,
        schema: None,
        strict: None,
        cache_control: None,
    }
}

#[test]
fn the_smallest_request() {
    let sent = send(&ask());
    let want = json!({"model":"m","max_tokens":4096,"messages":[{"role":"user","content":[{"type":"text","text":"q"}]}]});
    assert_eq!(sent.body, want);
    assert_eq!(sent.report, Report::default());
}

#[test]
fn only_leading_system_turns_are_hoisted_and_turns_of_one_role_become_one() {
    let mark: &[u8] = br#"{"type":"ephemeral","ttl":"1h"}"#;
    let marked = Part::Text { text: Text::of("s2"), cache_control: Some(mark) };
    let sent = send(&request(vec![
        (Role::System, vec![text("s1"), text("  ")]),
        (Role::Developer, vec![marked]),
        (Role::User, vec![text("u1")]),
        (Role::System, vec![text("later")]),
        (Role::Assistant, vec![text("a1")]),
        (Role::Assistant, vec![text("a2 \n")]),
    ]));
    let block = |text: &str| json!({"type":"text","text":text});
    let marked = json!({"type":"text","text":"s2","cache_control":{"type":"ephemeral","ttl":"1h"}});
    assert_eq!(sent.body["system"], json!([block("s1"), marked]));
    let want = json!([
        {"role":"user","content":[block("u1"), block("later")]},
        {"role":"assistant","content":[block("a1"), block("a2")]},
    ]);
    assert_eq!(sent.body["messages"], want);
}

#[test]
fn results_come_first_calls_last_and_thoughts_only_to_who_can_read_them() {
    let sent = send(&request(vec![
        (Role::User, vec![text("q")]),
        (
            Role::Assistant,
            vec![call("a:1", ""), text("x"), thought("gem"), thought("claude"), call("b", "{\"k\":1}")],
        ),
        (Role::User, vec![text("and")]),
        (Role::User, vec![result("a:1", vec![text("r"), text("")]), result("b", vec![])]),
    ]));
    let id = sent.body["messages"][1]["content"][2]["id"].clone();
    let want = json!([
        {"role":"user","content":[{"type":"text","text":"q"}]},
        {"role":"assistant","content":[
            {"type":"thinking","thinking":"t","signature":"s"},
            {"type":"text","text":"x"},
            {"type":"tool_use","id":id,"name":"f","input":{}},
            {"type":"tool_use","id":"b","name":"f","input":{"k":1}},
        ]},
        {"role":"user","content":[
            {"type":"tool_result","tool_use_id":id,"content":[{"type":"text","text":"r"}]},
            {"type":"tool_result","tool_use_id":"b"},
            {"type":"text","text":"and"},
        ]},
    ]);
    assert_eq!(sent.body["messages"], want);
    assert!(id.as_str().is_some_and(|id| id.starts_with("a_1_")), "{id}");
    // The API refuses calls of tools that it does not know; the client brought none, so none may be called.
    let declared = json!([{"name":"f","input_schema":{"type":"object","properties":{}}}]);
    assert_eq!((&sent.body["tools"], &sent.body["tool_choice"]), (&declared, &json!({"type":"none"})));
}

#[test]
fn what_is_wrong_in_itself_is_refused() {
    for (request, path) in [
        (
            request(vec![(Role::User, vec![text("q")]), (Role::Assistant, vec![call("a", "{")])]),
            "messages[1].tool_calls",
        ),
        (request(vec![(Role::User, vec![text(" ")])]), "messages[0].content"),
        (request(vec![(Role::System, vec![text("s")])]), "messages"),
    ] {
        let refusal = write_request(&request, &rules(), &mut Report::default(), &mut Vec::new());
        let refusal = refusal.expect_err(path);
        assert_eq!((refusal.status, refusal.param.as_deref()), (400, Some(path)));
    }
}

#[test]
fn media_go_by_bytes_address_or_id_and_what_cannot_is_reported() {
    let media = |kind: Option<&str>, source| Media { kind: kind.map(Text::of), source };
    let image = |source| Part::Image { media: media(None, source), detail: None, cache_control: None };
    let file = |kind, source| Part::File {
        media: media(kind, source),
        name: Some(Text::of("n")),
        cache_control: None,
    };
    let parts = || {
        vec![
            text("q"),
            image(Source::Url(Text::of("data:image/jpg;base64,/9j/AA"))),
            image(Source::Url(Text::of("https://a.example/i.png"))),
            image(Source::Base64(Text::of("iVBORw0KGgoAAA"))),
            file(Some("application/pdf"), Source::Base64(Text::of("JVBERi0"))),
            file(Some("text/plain"), Source::Base64(Text::of("aGk="))),
            file(None, Source::FileId(Text::of("file-abc"))),
            Part::Audio { media: media(None, Source::Base64(Text::of("AA"))) },
            Part::Foreign { path: "input[3]".to_owned(), raw: b"{}" },
        ]
    };
    let sent = send(&request(vec![(Role::User, parts())]));
    let blocks = &sent.body["messages"][0]["content"];
    assert_eq!(blocks[1]["source"], json!({"type":"base64","media_type":"image/jpeg","data":"/9j/AA"}));
    assert_eq!(blocks[2]["source"], json!({"type":"url","url":"https://a.example/i.png"}));
    assert_eq!(blocks[3]["source"]["media_type"], "image/png");
    let pdf = json!({"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0"},"title":"n"});
    assert_eq!(blocks[4], pdf);
    assert_eq!(blocks[5]["source"], json!({"type":"text","media_type":"text/plain","data":"hi"}));
    assert_eq!(sent.report.unsupported, ["messages[0].content[6]", "messages[0].content[7]", "input[3]"]);
    let by_bytes_only = Rules { takes_media_urls: false, ..rules() };
    let sent = send_by(&request(vec![(Role::User, parts())]), &by_bytes_only);
    assert_eq!(sent.report.unsupported[0], "messages[0].content[2]");
}

#[test]
fn tools_and_choices_have_their_form() {
    let custom = Tool { kind: ToolKind::Custom, ..tool("c.d") };
    let foreign = Tool { kind: ToolKind::Foreign, ..tool("w") };
    let strict = Tool {
        schema: Some(br#"{"type":"object","properties":{"a":{"type":"string","minLength":1}}}"#),
        strict: Some(true),
        ..tool("s")
    };
    let mut request = ask();
    request.tools = vec![tool("f"), custom, foreign, strict];
    request.parallel_tool_calls = Some(false);
    let sent = send(&request);
    let tools = &sent.body["tools"];
    assert_eq!(tools[0], json!({"name":"f","input_schema":{"type":"object","properties":{}}}));
    assert_eq!(tools[1]["input_schema"]["properties"], json!({"input":{"type":"string"}}));
    assert_eq!(
        sent.written.renamed_tools,
        [(tools[1]["name"].as_str().expect("a name").to_owned(), "c.d".to_owned())]
    );
    assert_eq!(tools[2]["strict"], true);
    assert_eq!(tools[2]["input_schema"]["properties"]["a"], json!({"type":"string"}));
    assert_eq!(sent.report.unsupported, ["tools[2]"]);
    assert_eq!(sent.report.edited, ["tools[3].function.parameters"]);
    assert_eq!(sent.body["tool_choice"], json!({"type":"auto","disable_parallel_tool_use":true}));
    for (choice, want) in [
        (ToolChoice::None, json!({"type":"none"})),
        (ToolChoice::Required, json!({"type":"any","disable_parallel_tool_use":true})),
        (
            ToolChoice::Named(Text::of("f")),
            json!({"type":"tool","name":"f","disable_parallel_tool_use":true}),
        ),
    ] {
        request.tool_choice = Some(choice);
        assert_eq!(send(&request).body["tool_choice"], want);
    }
    request.parallel_tool_calls = None;
    request.tool_choice = None;
    assert_eq!(send(&request).body["tool_choice"], Value::Null);
}

#[test]
fn a_schema_is_asked_for_by_a_field_or_by_a_tool() {
    let schema = br#"{"type":"object","properties":{"a":{"type":"integer","minimum":1}},"required":["a"],"additionalProperties":false}"#;
    let mut request = ask();
    request.format = Format::Schema { name: None, description: None, schema, strict: Some(true) };
    let sent = send(&request);
    let want = json!({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false});
    assert_eq!(sent.body["output_config"]["format"], json!({"type":"json_schema","schema":want}));
    assert_eq!(sent.report.edited, ["response_format.json_schema.schema"]);
    let by_tool = Rules { structured_output: StructuredOutput::Tool, ..rules() };
    let sent = send_by(&request, &by_tool);
    let name = sent.written.answer_tool.expect("an answer tool");
    assert_eq!(sent.body["tools"][0]["name"], name);
    assert_eq!(sent.body["tool_choice"], json!({"type":"tool","name":name,"disable_parallel_tool_use":true}));
    request.tools = vec![tool("f")];
    let sent = send_by(&request, &by_tool);
    assert_eq!(sent.body["tool_choice"]["type"], "any");
    request.format = Format::Json;
    assert_eq!(send(&request).report.unsupported, ["response_format"]);
}

#[test]
fn thinking_is_asked_for_as_the_model_knows_it() {
    let think = |effort, budget_tokens| {
        let mut request = ask();
        let reasoning = Reasoning { effort, budget_tokens, ..Reasoning::default() };
        (request.reasoning, request.temperature) = (Some(reasoning), Some(&b"1.5"[..]));
        (request.top_k, request.max_tokens) = (Some(&b"3"[..]), Some(2000));
        request
    };
    let sent = send(&think(Some(Effort::High), None));
    assert_eq!(sent.body["thinking"], json!({"type":"adaptive","display":"summarized"}));
    assert_eq!(sent.body["output_config"], json!({"effort":"high"}));
    assert_eq!((&sent.body["temperature"], &sent.body["top_k"]), (&json!(1), &json!(3)));
    assert_eq!(send(&think(Some(Effort::None), None)).body["thinking"], json!({"type":"disabled"}));
    assert_eq!(send(&think(None, Some(5000))).body["output_config"]["effort"], "high");
    let by_budget = Rules { reasoning: ReasoningStyle::Budget, ..rules() };
    let sent = send_by(&think(Some(Effort::Medium), None), &by_budget);
    assert_eq!(sent.body["thinking"], json!({"type":"enabled","budget_tokens":2048}));
    assert_eq!(sent.body["max_tokens"], 4048);
    assert_eq!(sent.report.edited, ["max_tokens", "temperature", "top_k"]);
    let mut forced = think(None, Some(10));
    (forced.tools, forced.tool_choice) = (vec![tool("f")], Some(ToolChoice::Required));
    let sent = send_by(&forced, &by_budget);
    assert_eq!(
        (&sent.body["thinking"]["budget_tokens"], &sent.body["tool_choice"]["type"]),
        (&json!(1024), &json!("auto"))
    );
    let by_nothing = Rules { reasoning: ReasoningStyle::None, ..rules() };
    let sent = send_by(&think(Some(Effort::Low), None), &by_nothing);
    assert_eq!(sent.body["thinking"], Value::Null);
    assert!(sent.report.edited.contains(&"reasoning_effort".to_owned()));
}

#[test]
fn manual_thinking_gives_way_to_calls_whose_thoughts_are_gone() {
    let by_budget = Rules { reasoning: ReasoningStyle::Budget, ..rules() };
    for (vendor, want) in [("claude", "enabled"), ("gem", "disabled")] {
        let mut request = request(vec![
            (Role::User, vec![text("q")]),
            (Role::Assistant, vec![thought(vendor), call("a", "{}")]),
            (Role::User, vec![result("a", vec![text("r")])]),
        ]);
        request.tools = vec![tool("f")];
        request.reasoning = Some(Reasoning { effort: Some(Effort::High), ..Reasoning::default() });
        assert_eq!(send_by(&request, &by_budget).body["thinking"]["type"], want);
    }
}

#[test]
fn the_other_settings_are_sent_clamped_or_named() {
    let extra = |name: &str, raw: &'static [u8]| Extra { name: name.to_owned(), raw };
    let mut request = ask();
    request.stop = ["a", " \n"].into_iter().map(Text::of).collect();
    (request.seed, request.choices_count, request.logprobs) = (Some(&b"1"[..]), Some(2), Some(true));
    (request.user, request.service_tier) = (Some(Text::of("u")), Some(Text::of("default")));
    (request.stream, request.metadata, request.top_p) = (true, Some(&b"{}"[..]), Some(&b"0.5"[..]));
    request.extras = vec![
        extra("cache_control", br#"{"type":"ephemeral"}"#),
        extra("logit_bias", b"{}"),
        extra("store", b"true"),
        extra("modalities", br#"["text"]"#),
        extra("client_metadata", b"{}"),
        extra("context_management", b"[]"),
    ];
    let sent = send(&request);
    let want = json!({
        "model":"m","max_tokens":4096,"messages":[{"role":"user","content":[{"type":"text","text":"q"}]}],
        "top_p":0.5,"stop_sequences":["a"],"metadata":{"user_id":"u"},"service_tier":"standard_only",
        "stream":true,"cache_control":{"type":"ephemeral"},
    });
    assert_eq!(sent.body, want);
    assert_eq!(sent.report.unsupported, ["logit_bias", "n", "logprobs"]);
    let edited = ["stop", "store", "modalities", "client_metadata", "context_management", "seed", "metadata"];
    assert_eq!(sent.report.edited, edited);
    let mut request = ask();
    request.user = Some(Text::of("someone@a.example"));
    assert_eq!(send(&request).report.edited, ["user"]);
}

#[test]
fn what_becomes_of_late_system_turns_and_foreign_thoughts_is_said() {
    let sent = send(&request(vec![
        (Role::System, vec![text("first")]),
        (Role::User, vec![text("a")]),
        (Role::Assistant, vec![thought("claude"), text("b")]),
        (Role::System, vec![text("late")]),
        (Role::User, vec![text("c")]),
        (Role::Assistant, vec![thought("another"), text("d")]),
        (Role::User, vec![text("e")]),
    ]));
    assert_eq!(sent.report.edited, ["messages[3].role", "messages[5].thinking"]);
}
