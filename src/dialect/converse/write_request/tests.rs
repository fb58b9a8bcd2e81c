//! Requests: one table row is a request and the body that it becomes, with what the report says.

use super::*;
use crate::dialect::middle::{
    Media, Part, Reasoning, Role, Signature, Source, Tool, ToolChoice, ToolKind, Turn,
};
use serde_json::{Value, json};

fn text(text: &str) -> Part<'static> {
    Part::Text { text: Text::of(text), cache_control: None }
}

fn turn(role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn { role, parts, name: None }
}

fn user(words: &str) -> Turn<'static> {
    turn(Role::User, vec![text(words)])
}

fn assistant(parts: Vec<Part<'static>>) -> Turn<'static> {
    turn(Role::Assistant, parts)
}

fn call(id: &str, name: &str, arguments: &str) -> Part<'static> {
    let (id, name, arguments) = (Text::of(id), Text::of(name), Text::of(arguments));
    Part::ToolCall { id, name, arguments, kind: ToolKind::Function, signature: None, cache_control: None }
}

fn result(id: &str, parts: Vec<Part<'static>>, is_error: bool) -> Part<'static> {
    Part::ToolResult { id: Text::of(id), name: None, parts, is_error, cache_control: None }
}

fn tool(name: &str) -> Tool<'static> {
    Tool {
        kind: ToolKind::Function,
        name: Text::of(name),
        description: Some(Text::of("does it")),
        schema: Some(br#"{"type":"object","properties":{"x":{"type":"number"}}}"#),
        strict: None,
        cache_control: None,
    }
}

fn of(turns: Vec<Turn<'static>>) -> Request<'static> {
    Request { turns, ..Request::default() }
}

fn claude() -> Rules {
    Rules {
        vendor: "maker".into(),
        reasoning: ReasoningStyle::Budget,
        structured_output: StructuredOutput::Tool,
        ..Rules::default()
    }
}

fn written(request: &Request<'_>, rules: &Rules) -> (Value, Report, Written) {
    let (mut report, mut out) = (Report::default(), Vec::new());
    let written =
        write_request(request, rules, &mut report, &mut out).expect("a request that can be written");
    assert!(json::scan_object(&out, &mut Vec::new()).is_ok(), "{}", String::from_utf8_lossy(&out));
    (serde_json::from_slice(&out).expect("JSON"), report, written)
}

/// The body of the request, of which the report says nothing.
fn body(request: &Request<'_>) -> Value {
    let (body, report, _) = written(request, &claude());
    assert_eq!(report, Report::default());
    body
}

#[track_caller]
fn check_turns(turns: Vec<Turn<'static>>, want: Value, edited: &[&str]) {
    let (body, report, _) = written(&of(turns), &claude());
    assert_eq!(body["messages"], want);
    assert_eq!((report.edited, report.unsupported), (edited.iter().map(|s| s.to_string()).collect(), vec![]));
}

#[test]
fn a_plain_request_is_its_messages() {
    assert_eq!(
        body(&of(vec![user("hi")])),
        json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]})
    );
}

#[test]
fn leading_system_turns_stand_apart_and_later_ones_stay_in_place() {
    let marked =
        Part::Text { text: Text::of("b"), cache_control: Some(br#"{"type":"ephemeral","ttl":"1h"}"#) };
    let turns = vec![
        turn(Role::System, vec![text("a"), text(" ")]),
        turn(Role::Developer, vec![marked]),
        user("hi"),
        turn(Role::System, vec![text("be brief")]),
    ];
    let (body, report, _) = written(&of(turns), &claude());
    let cache_point = json!({"cachePoint": {"type": "default", "ttl": "1h"}});
    assert_eq!(body["system"], json!([{"text": "a"}, {"text": "b"}, cache_point]));
    assert_eq!(
        body["messages"],
        json!([{"role": "user", "content": [{"text": "hi"}, {"text": "be brief"}]}])
    );
    assert_eq!(report.edited, ["system"]);
}

#[test]
fn turns_alternate_and_begin_with_the_user() {
    let merged = vec![
        user("a"),
        user("b"),
        assistant(vec![text(" \n")]),
        user("c"),
        assistant(vec![text("d")]),
        assistant(vec![text("e")]),
        user("f"),
    ];
    let want = json!([
        {"role": "user", "content": [{"text": "a"}, {"text": "b"}, {"text": "c"}]},
        {"role": "assistant", "content": [{"text": "d"}, {"text": "e"}]},
        {"role": "user", "content": [{"text": "f"}]}]);
    check_turns(merged, want, &[]);
    let greeted = vec![assistant(vec![text("Hello!")]), user("hi")];
    let want = json!([
        {"role": "user", "content": [{"text": "."}]},
        {"role": "assistant", "content": [{"text": "Hello!"}]},
        {"role": "user", "content": [{"text": "hi"}]}]);
    check_turns(greeted, want, &["messages"]);
    let prefilled = vec![user("go"), assistant(vec![text("The answer is \n")])];
    let want = json!([
        {"role": "user", "content": [{"text": "go"}]},
        {"role": "assistant", "content": [{"text": "The answer is"}]}]);
    check_turns(prefilled, want, &[]);
}

#[test]
fn calls_come_last_in_their_turn_and_results_first_in_theirs() {
    let turns = vec![
        user("go"),
        assistant(vec![call("c1", "f", r#"{"x": 1}"#), text("calling"), call("bad id!", "f", "")]),
        turn(Role::User, vec![text("and then?"), result("c1", vec![text("one")], false)]),
        turn(Role::User, vec![result("bad id!", vec![text("")], true)]),
    ];
    let id = super::super::tools::sent_id(&Text::of("bad id!"));
    let want = json!([
        {"role": "user", "content": [{"text": "go"}]},
        {"role": "assistant", "content": [
            {"text": "calling"},
            {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"x": 1}}},
            {"toolUse": {"toolUseId": id, "name": "f", "input": {}}}]},
        {"role": "user", "content": [
            {"toolResult": {"toolUseId": "c1", "content": [{"text": "one"}]}},
            {"toolResult": {"toolUseId": id, "content": [], "status": "error"}},
            {"text": "and then?"}]}]);
    let request = of(turns);
    let body = body(&request);
    assert_eq!(body["messages"], want);
    // Without tools of its own the request declares those that were called.
    let spec =
        json!({"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}});
    assert_eq!(body["toolConfig"], json!({"tools": [spec]}));
}

#[test]
fn arguments_that_are_no_object_and_empty_conversations_are_refused() {
    for arguments in ["{", "[1]", "1", "{}x"] {
        let request = of(vec![user("go"), assistant(vec![call("c", "f", arguments)])]);
        let refusal =
            write_request(&request, &claude(), &mut Report::default(), &mut Vec::new()).unwrap_err();
        assert_eq!((refusal.status, refusal.code), (400, "invalid_tool_arguments"));
    }
    let request = of(vec![turn(Role::System, vec![text("s")]), user(" ")]);
    let refusal = write_request(&request, &claude(), &mut Report::default(), &mut Vec::new()).unwrap_err();
    assert_eq!((refusal.code, refusal.param.as_deref()), ("empty_conversation", Some("messages")));
}

#[test]
fn thoughts_go_back_to_their_maker_only() {
    let thought = |vendor: &'static str| Part::Thinking {
        text: Text::of("hm"),
        signature: Some(Signature::of_vendor(vendor, Text::of("sig"))),
    };
    let hidden =
        |vendor: &'static str| Part::HiddenThinking { data: Signature::of_vendor(vendor, Text::of("AAAA")) };
    let turns = vec![
        user("go"),
        assistant(vec![thought("maker"), hidden("maker"), thought("other"), hidden(""), text("done")]),
        user("more"),
    ];
    let (body, report, _) = written(&of(turns), &claude());
    let want = json!([
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"text": "done"}]);
    assert_eq!(body["messages"][1]["content"], want);
    assert_eq!(report.edited, ["thinking"]);
    let nameless = Rules { vendor: "".into(), ..claude() };
    let (body, ..) = written(&of(vec![user("go"), assistant(vec![thought(""), text("x")])]), &nameless);
    assert_eq!(body["messages"][1]["content"], json!([{"text": "x"}]));
}

#[test]
fn media_go_as_bytes_and_addresses_are_reported() {
    let media = |kind: Option<&str>, source| Media { kind: kind.map(Text::of), source };
    let image = |kind, source| Part::Image { media: media(kind, source), detail: None, cache_control: None };
    let file = |kind, source, name: Option<&str>| Part::File {
        media: media(kind, source),
        name: name.map(Text::of),
        cache_control: None,
    };
    let bytes = |text: &str| Source::Base64(Text::of(text));
    let parts = vec![
        image(Some("image/jpg"), bytes("AAAA")),
        image(None, bytes("iVBORw0KGgoAAA")),
        file(Some("application/pdf"), bytes("BBBB"), Some("my_file.pdf")),
        file(None, bytes("CCCC"), Some("my file.xlsx")),
        file(None, Source::Text(Text::of("plain")), None),
        Part::Audio { media: media(Some("audio/wav"), bytes("DDDD")) },
    ];
    let document = |format: &str, name: &str, bytes: &str| json!({"document": {"format": format, "name": name, "source": {"bytes": bytes}}});
    let want = json!([
        {"image": {"format": "jpeg", "source": {"bytes": "AAAA"}}},
        {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgoAAA"}}},
        document("pdf", "my file", "BBBB"),
        document("xlsx", "my file 2", "CCCC"),
        document("txt", "document", "cGxhaW4="),
        {"audio": {"format": "wav", "source": {"bytes": "DDDD"}}},
        {"text": "See the document."}]);
    check_turns(vec![turn(Role::User, parts)], json!([{"role": "user", "content": want}]), &["file"]);

    let addressed = vec![
        text("look"),
        image(None, Source::Url(Text::of("https://x/y.png"))),
        file(None, Source::FileId(Text::of("file-1")), None),
        file(Some("application/zip"), bytes("AA"), Some("a.zip")),
        image(Some("image/tiff"), bytes("AA")),
        Part::Foreign { path: "messages[0].content[5]".to_owned(), raw: b"{}" },
    ];
    let (body, report, _) = written(&of(vec![turn(Role::User, addressed)]), &claude());
    assert_eq!(body["messages"], json!([{"role": "user", "content": [{"text": "look"}]}]));
    let want = ["image.url", "file.file_id", "file.media_type", "image.media_type", "messages[0].content[5]"];
    assert_eq!(report.unsupported, want);
}

#[test]
fn tools_and_the_choice_among_them_are_offered() {
    let schema = json!({"type": "object", "properties": {"x": {"type": "number"}}});
    let spec = json!({"toolSpec": {"name": "f", "description": "does it", "inputSchema": {"json": schema}}});
    let check = |choice: Option<ToolChoice<'static>>, want: Value| {
        let request = Request { tools: vec![tool("f")], tool_choice: choice, ..of(vec![user("go")]) };
        assert_eq!(body(&request)["toolConfig"], want);
    };
    check(None, json!({"tools": [spec]}));
    check(Some(ToolChoice::Auto), json!({"tools": [spec], "toolChoice": {"auto": {}}}));
    check(Some(ToolChoice::Required), json!({"tools": [spec], "toolChoice": {"any": {}}}));
    check(
        Some(ToolChoice::Named(Text::of("f"))),
        json!({"tools": [spec], "toolChoice": {"tool": {"name": "f"}}}),
    );
    check(Some(ToolChoice::None), Value::Null);
    // Where the history has calls, tools must be there.
    let turns = vec![
        user("go"),
        assistant(vec![call("c", "f", "{}")]),
        turn(Role::User, vec![result("c", vec![], false)]),
    ];
    let request = Request { tools: vec![tool("f")], tool_choice: Some(ToolChoice::None), ..of(turns) };
    let (body, report, _) = written(&request, &claude());
    assert_eq!(
        (&body["toolConfig"], report.edited),
        (&json!({"tools": [spec]}), vec!["tool_choice".to_owned()])
    );
}

#[test]
fn names_that_are_no_names_come_back_through_the_table() {
    let mut odd = tool("mcp.server/do");
    odd.schema = Some(b"{\"properties\":{}}");
    odd.description = Some(Text::of(""));
    odd.cache_control = Some(br#"{"type":"ephemeral"}"#);
    let request = Request {
        tools: vec![odd],
        tool_choice: Some(ToolChoice::Named(Text::of("mcp.server/do"))),
        ..of(vec![user("go"), assistant(vec![call("c", "mcp.server/do", "{}")])])
    };
    let (body, _, written) = written(&request, &claude());
    let (sent, original) = &written.renamed_tools[0];
    assert_eq!((written.renamed_tools.len(), original.as_str()), (1, "mcp.server/do"));
    let schema = json!({"type": "object", "properties": {}});
    let want = json!([{"toolSpec": {"name": sent, "inputSchema": {"json": schema}}}, {"cachePoint": {"type": "default"}}]);
    assert_eq!(body["toolConfig"]["tools"], want);
    assert_eq!(body["toolConfig"]["toolChoice"]["tool"]["name"], json!(sent));
    assert_eq!(body["messages"][1]["content"][0]["toolUse"]["name"], json!(sent));
}

#[test]
fn an_answer_of_a_given_shape_is_asked_for_by_a_tool_or_by_the_field() {
    let format = || Format::Schema {
        name: Some(Text::of("point")),
        description: None,
        schema: br#"{"type":"object","properties":{"x":{"type":"number"}}}"#,
        strict: Some(true),
    };
    let request = Request { format: format(), ..of(vec![user("go")]) };
    let (body, _, told) = written(&request, &claude());
    assert_eq!(told.answer_tool, Some(ANSWER_TOOL));
    assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]["type"], json!("object"));
    assert_eq!(body["toolConfig"]["toolChoice"], json!({"tool": {"name": ANSWER_TOOL}}));
    let request = Request { format: format(), tools: vec![tool("f")], ..of(vec![user("go")]) };
    let (body, ..) = written(&request, &claude());
    assert_eq!(body["toolConfig"]["tools"].as_array().map(Vec::len), Some(2));
    assert_eq!(body["toolConfig"]["toolChoice"], json!({"any": {}}));
    let list = Format::Schema { name: None, description: None, schema: br#"{"type":"array"}"#, strict: None };
    let (_, report, told) = written(&Request { format: list, ..of(vec![user("go")]) }, &claude());
    assert_eq!((told.answer_tool, report.unsupported), (None, vec!["response_format".to_owned()]));
    let native = Rules { structured_output: StructuredOutput::Native, ..claude() };
    let (body, _, told) = written(&request, &native);
    assert_eq!((told.answer_tool, &body["toolConfig"]["toolChoice"]), (None, &Value::Null));
    let want = json!({"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {
        "schema": r#"{"type":"object","properties":{"x":{"type":"number"}}}"#, "name": "point"}}}});
    assert_eq!(body["outputConfig"], want);
}

#[test]
fn settings_have_their_places() {
    let request = Request {
        max_tokens: Some(100),
        temperature: Some(b"0.70"),
        top_p: Some(b"0.9"),
        top_k: Some(b"40"),
        stop: vec![Text::of("END"), Text::of("\n")],
        service_tier: Some(Text::of("flex")),
        seed: Some(b"1"),
        user: Some(Text::of("u")),
        ..of(vec![user("go")])
    };
    let (body, report, _) = written(&request, &claude());
    let want = json!({"maxTokens": 100, "temperature": 0.7, "topP": 0.9, "stopSequences": ["END"]});
    assert_eq!(body["inferenceConfig"], want);
    assert_eq!(body["additionalModelRequestFields"], json!({"top_k": 40}));
    assert_eq!(body["serviceTier"], json!({"type": "flex"}));
    assert_eq!(
        (report.edited, report.unsupported),
        (vec!["seed".into(), "user".into(), "stop".into()], vec![])
    );

    let request = Request { temperature: Some(b"1.7"), ..of(vec![user("go")]) };
    for (most, want) in [(None, json!(1)), (Some(700), json!(0.7)), (Some(2000), json!(1))] {
        let (body, report, _) = written(&request, &Rules { temperature_milli_max: most, ..claude() });
        assert_eq!(
            (&body["inferenceConfig"]["temperature"], report.edited),
            (&want, vec!["temperature".to_owned()])
        );
    }
}

#[test]
fn what_has_no_place_is_reported() {
    let extra = |name: &str, raw| Extra { name: name.to_owned(), raw };
    let request = Request {
        choices_count: Some(2),
        logprobs: Some(true),
        top_logprobs: Some(3),
        presence_penalty: Some(b"1"),
        frequency_penalty: Some(b"1"),
        metadata: Some(b"{}"),
        parallel_tool_calls: Some(false),
        format: Format::Json,
        tools: vec![
            tool("f"),
            Tool { kind: ToolKind::Custom, ..tool("c") },
            Tool { kind: ToolKind::Foreign, ..tool("w") },
        ],
        extras: vec![
            extra("logit_bias", b"{\"1\":2}"),
            extra("modalities", b"null"),
            extra("store", b"true"),
            extra("context_management", b"{\"edits\":[]}"),
            extra("client_metadata", b"{}"),
            extra("guardrailConfig", b"{\"guardrailIdentifier\":\"g\"}"),
            extra("additionalModelRequestFields", b"{\"inferenceConfig\":{\"topK\":5}}"),
        ],
        ..of(vec![user("go")])
    };
    let (body, report, _) = written(&request, &claude());
    let unsupported = ["tools.custom", "tools", "n", "logprobs", "top_logprobs", "logit_bias"];
    assert_eq!(report.unsupported, unsupported);
    assert_eq!(
        report.edited,
        [
            "parallel_tool_calls",
            "frequency_penalty",
            "presence_penalty",
            "metadata",
            "response_format",
            "store",
            "context_management",
            "client_metadata"
        ]
    );
    assert_eq!(body["guardrailConfig"], json!({"guardrailIdentifier": "g"}));
    assert_eq!(body["additionalModelRequestFields"], json!({"inferenceConfig": {"topK": 5}}));
}

#[test]
fn thinking_is_asked_for_where_it_can_be() {
    let reasoning = |effort, budget_tokens| Some(Reasoning { effort, budget_tokens, ..Reasoning::default() });
    let request = Request {
        reasoning: reasoning(Some(Effort::Medium), None),
        max_tokens: Some(1000),
        temperature: Some(b"0.5"),
        top_k: Some(b"5"),
        top_p: Some(b"0.5"),
        ..of(vec![user("go")])
    };
    let (body, report, _) = written(&request, &claude());
    let fields = json!({"thinking": {"type": "enabled", "budget_tokens": 2048}});
    assert_eq!(body["additionalModelRequestFields"], fields);
    assert_eq!(body["inferenceConfig"], json!({"maxTokens": 3048}));
    assert_eq!(report.edited, ["max_tokens", "temperature", "top_p", "top_k"]);

    let asked = |reasoning, rules: Rules| {
        let request = Request { reasoning, ..of(vec![user("go")]) };
        let (body, report, _) = written(&request, &rules);
        (body["additionalModelRequestFields"].clone(), body["outputConfig"].clone(), report.edited)
    };
    let none = (Value::Null, Value::Null, Vec::<String>::new());
    assert_eq!(asked(reasoning(Some(Effort::None), None), claude()), none);
    assert_eq!(asked(reasoning(None, None), claude()), none);
    let small = asked(reasoning(None, Some(100)), claude());
    assert_eq!(
        (small.0["thinking"]["budget_tokens"].clone(), small.2),
        (json!(1024), vec!["reasoning".to_owned()])
    );
    let by_word = Rules { reasoning: ReasoningStyle::Effort, ..claude() };
    assert_eq!(asked(reasoning(Some(Effort::High), None), by_word).1, json!({"effort": "high"}));
    let not_at_all = Rules { reasoning: ReasoningStyle::None, ..claude() };
    assert_eq!(asked(reasoning(Some(Effort::High), None), not_at_all).2, ["reasoning"]);

    // In the middle of calls without the thoughts that led to them, and where a call is forced, it is left out.
    let turns = vec![
        user("go"),
        assistant(vec![call("c", "f", "{}")]),
        turn(Role::User, vec![result("c", vec![], false)]),
    ];
    let request = Request { reasoning: reasoning(Some(Effort::High), None), ..of(turns.clone()) };
    let (body, report, _) = written(&request, &claude());
    assert_eq!(
        (&body["additionalModelRequestFields"], report.edited),
        (&Value::Null, vec!["reasoning".to_owned()])
    );
    let turns = [turns, vec![assistant(vec![text("done")]), user("more")]].concat();
    let request = Request { reasoning: reasoning(Some(Effort::High), None), ..of(turns) };
    let (body, ..) = written(&request, &claude());
    assert_eq!(body["additionalModelRequestFields"]["thinking"]["budget_tokens"], json!(4096));
    let request = Request {
        reasoning: reasoning(Some(Effort::High), None),
        tools: vec![tool("f")],
        tool_choice: Some(ToolChoice::Required),
        ..of(vec![user("go")])
    };
    let (body, ..) = written(&request, &claude());
    assert_eq!(body["additionalModelRequestFields"], Value::Null);
}
