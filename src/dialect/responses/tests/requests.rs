//! Requests: what clients send, what providers get, and what is refused or reported on the way.

use super::*;
use serde_json::{Value, json};

fn with_request<T>(body: &str, look: impl FnOnce(Result<Request<'_>, crate::base::Refusal>) -> T) -> T {
    look(read_request(Node::document(body.as_bytes(), &mut Vec::new()).expect(body)))
}

fn written(request: &Request<'_>, rules: &Rules) -> (Value, Report, Written) {
    let (mut report, mut out) = (Report::default(), Vec::new());
    let written = write_request(request, rules, &mut report, &mut out).expect("a request");
    (serde_json::from_slice(&out).expect("JSON"), report, written)
}

#[track_caller]
fn check_refused(members: &str, param: &str) {
    let body = format!(r#"{{"model":"m","input":"x",{members}}}"#);
    with_request(&body, |request| {
        let refusal = request.expect_err(&body);
        assert_eq!((refusal.status, refusal.param.as_deref()), (400, Some(param)), "{body}");
        assert!(refusal.message.contains(param), "{}", refusal.message);
    });
}

#[test]
fn items_of_the_model_become_one_turn_and_results_another() {
    let body = r#"{"model":"m","instructions":"be brief","input":[
        {"role":"user","content":"hi"},
        {"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"a"},{"type":"summary_text","text":"b"}],"encrypted_content":"ringway:v:s"},
        {"type":"message","role":"assistant","content":[{"type":"output_text","text":"calling"}]},
        {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"a\":1}"},
        {"type":"custom_tool_call","call_id":"c2","name":"sql","input":"SELECT"},
        {"type":"function_call_output","call_id":"c1","output":"1"},
        {"type":"custom_tool_call_output","call_id":"c2","output":[{"type":"input_text","text":"t"},{"type":"input_image","image_url":"data:image\/png;base64,AA\/A","detail":"low"}]},
        {"type":"message","role":"developer","content":[{"type":"input_text","text":"now"}]},
        {"type":"web_search_call","id":"ws","status":"completed"},
        {"type":"computer_call_output","call_id":"cc","output":{}}]}"#;
    with_request(body, |request| {
        let request = request.unwrap();
        let roles: Vec<Role> = request.turns.iter().map(|turn| turn.role).collect();
        use Role::*;
        assert_eq!(roles, [System, User, Assistant, User, Developer, Assistant, User]);
        let [Part::Thinking { text, signature: Some(signature) }, Part::Text { .. }, first, second] =
            &request.turns[2].parts[..]
        else {
            panic!("{:?}", request.turns[2])
        };
        assert!(text.is("a\n\nb") && signature.is_for("v"));
        assert!(matches!(first, Part::ToolCall { id, arguments, kind: ToolKind::Function, .. }
            if id.is("c1") && arguments.is("{\"a\":1}")));
        assert!(
            matches!(second, Part::ToolCall { arguments, kind: ToolKind::Custom, .. } if arguments.is("SELECT"))
        );
        let [Part::ToolResult { .. }, Part::ToolResult { parts, .. }] = &request.turns[3].parts[..] else {
            panic!("{:?}", request.turns[3])
        };
        let Part::Image { media: Media { kind: Some(kind), source: Source::Base64(data) }, detail, .. } =
            &parts[1]
        else {
            panic!("{parts:?}")
        };
        assert!(kind.is("image/png") && data.is("AA/A") && detail.as_ref().is_some_and(|d| d.is("low")));
        assert!(matches!(&request.turns[5].parts[..], [Part::Foreign { path, .. }] if path == "input[8]"));
        assert!(matches!(&request.turns[6].parts[..], [Part::Foreign { path, .. }] if path == "input[9]"));
    });
}

#[test]
fn fields_have_their_places_and_unknown_ones_are_extras() {
    let body = r#"{"model":"m","input":"hi","max_output_tokens":9,"temperature":0.10,"top_p":null,"stream":true,
        "tools":[{"type":"function","name":"f","parameters":{"type":"object"}},{"type":"function","name":"g","strict":null,"parameters":null},
            {"type":"custom","name":"sql","format":{"type":"grammar","syntax":"lark","definition":"x"}},{"type":"web_search"}],
        "tool_choice":{"type":"function","name":"f"},"parallel_tool_calls":false,
        "text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true},"verbosity":"low"},
        "reasoning":{"effort":"high","summary":"detailed","mode":"x"},"include":["reasoning.encrypted_content"],
        "top_logprobs":2,"store":true,"background":false,"truncation":"disabled","user":"u","metadata":{"a":"b"},
        "service_tier":"flex","prompt_cache_key":"k","brand_new":[1],"previous_response_id":null}"#;
    with_request(body, |request| {
        let request = request.unwrap();
        assert_eq!(
            (request.max_tokens, request.temperature, request.stream),
            (Some(9), Some(&b"0.10"[..]), true)
        );
        let strict: Vec<Option<bool>> = request.tools.iter().map(|tool| tool.strict).collect();
        assert_eq!(strict, [Some(true), None, None, None]);
        assert!(request.tools[3].kind == ToolKind::Foreign && request.tools[3].name.is("web_search"));
        assert!(matches!(&request.tool_choice, Some(ToolChoice::Named(name)) if name.is("f")));
        assert!(matches!(&request.format, Format::Schema { strict: Some(true), .. }));
        let reasoning = request.reasoning.as_ref().unwrap();
        assert_eq!((reasoning.effort, reasoning.shows), (Some(Effort::High), Some(true)));
        assert_eq!((request.logprobs, request.top_logprobs), (Some(true), Some(2)));
        let mut extras: Vec<&str> = request.extras.iter().map(|extra| &*extra.name).collect();
        extras.sort_unstable();
        assert_eq!(extras, ["brand_new", "prompt_cache_key", "reasoning.mode", "store", "verbosity"]);
    });
}

#[test]
fn what_needs_a_store_or_is_wrong_is_refused_by_name() {
    check_refused(r#""previous_response_id":"resp_1""#, "previous_response_id");
    check_refused(r#""conversation":"conv_1""#, "conversation");
    check_refused(r#""background":true"#, "background");
    check_refused(r#""temperature":"hot""#, "temperature");
    check_refused(r#""tools":[{"type":"function"}]"#, "tools[0].name");
    check_refused(r#""tool_choice":"maybe""#, "tool_choice");
    check_refused(r#""reasoning":{"effort":"huge"}"#, "reasoning.effort");
    check_refused(r#""text":{"format":{"type":"xml"}}"#, "text.format.type");
    for (input, param) in [
        (r#"[{"type":"item_reference","id":"x"}]"#, "input[0]"),
        (r#"[{"role":"user","content":"a"},{"role":"robot","content":"a"}]"#, "input[1].role"),
        (r#"[{"role":"user"}]"#, "input[0].content"),
        (r#"[{"role":"user","content":[{"type":"input_image"}]}]"#, "input[0].content[0].image_url"),
        (r#"[{"type":"function_call","name":"f","arguments":"{}"}]"#, "input[0].call_id"),
        (r#"[{"id":"x"}]"#, "input[0].type"),
        ("5", "input"),
        ("null", "input"),
    ] {
        with_request(&format!(r#"{{"model":"m","input":{input}}}"#), |request| {
            assert_eq!(request.expect_err(input).param.as_deref(), Some(param), "{input}");
        });
    }
}

#[test]
fn what_the_api_can_say_comes_back_as_it_was() {
    let body = r#"{"model":"m","instructions":"be brief","input":[
        {"role":"user","content":[{"type":"input_text","text":"hi"},{"type":"input_image","image_url":"https://e.x/a.png"},
            {"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,AA"},{"type":"input_file","file_id":"file_1"},
            {"type":"input_audio","input_audio":{"data":"AA","format":"mp3"}}]},
        {"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"ringway:maker:s"},
        {"type":"reasoning","summary":[],"encrypted_content":"ringway:other:s"},
        {"type":"function_call","call_id":"c1","name":"f","arguments":"{\"a\":1}"},
        {"type":"custom_tool_call","call_id":"c2","name":"sql","input":"SELECT"},
        {"type":"function_call_output","call_id":"c1","output":"1"},
        {"type":"custom_tool_call_output","call_id":"c2","output":"2"},
        {"role":"system","content":"now"},{"role":"assistant","content":"so"},{"role":"user","content":"go"}],
        "tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"}},{"type":"custom","name":"sql"}],
        "tool_choice":"required","max_output_tokens":9,"temperature":0.10,"stream":true,
        "text":{"format":{"type":"json_object"},"verbosity":"low"},"reasoning":{"effort":"high"},"top_logprobs":1}"#;
    let want = json!({"model": "m", "instructions": "be brief", "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"},
            {"type": "input_image", "detail": "auto", "image_url": "https://e.x/a.png"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
            {"type": "input_file", "file_id": "file_1"},
            {"type": "input_audio", "input_audio": {"format": "mp3", "data": "AA"}}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "s"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "sql", "input": "SELECT"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "2"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "now"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "so"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]}],
        "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true},
            {"type": "custom", "name": "sql"}],
        "tool_choice": "required", "max_output_tokens": 9, "temperature": 0.10, "top_logprobs": 1,
        "text": {"format": {"type": "json_object"}, "verbosity": "low"}, "reasoning": {"effort": "high"},
        "store": false, "include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "stream": true});
    with_request(body, |request| {
        let (told, report, _) = written(&request.unwrap(), &vendor_rules());
        assert_eq!(told, want);
        assert_eq!(report.unsupported, Vec::<String>::new());
        assert_eq!(report.edited, ["thinking"], "the other vendor's");
    });
}

#[test]
fn what_has_no_place_is_reported() {
    let extra = |name: &str, raw| Extra { name: name.to_owned(), raw };
    let request = Request {
        model: Text::of("m"),
        turns: vec![Turn {
            role: Role::User,
            parts: vec![Part::ToolResult {
                id: Text::of("c"),
                name: None,
                parts: vec![
                    Part::Foreign { path: "messages[0].content[1]".to_owned(), raw: b"{}" },
                    Part::Text { text: Text::of("boom"), cache_control: Some(b"{}") },
                ],
                is_error: true,
                cache_control: None,
            }],
            name: Some(Text::of("bob")),
        }],
        stop: vec![Text::of("x")],
        choices_count: Some(2),
        seed: Some(b"1"),
        top_k: Some(b"1"),
        temperature: Some(b"1.5"),
        tool_choice: Some(ToolChoice::Auto),
        service_tier: Some(Text::of("standard_only")),
        extras: vec![
            extra("logit_bias", b"{}"),
            extra("modalities", b"[\"text\"]"),
            extra("prediction", b"{}"),
            extra("context_management", b"{\"edits\":[]}"),
            extra("prompt_cache_key", b"\"k\""),
        ],
        ..Request::default()
    };
    let rules = Rules { temperature_milli_max: Some(1000), ..Rules::default() };
    let (told, report, _) = written(&request, &rules);
    assert_eq!(report.unsupported, ["messages[0].content[1]", "logit_bias", "stop", "n"]);
    let edited = [
        "name",
        "cache_control",
        "temperature",
        "service_tier",
        "prediction",
        "context_management",
        "seed",
        "top_k",
    ];
    assert_eq!(report.edited, edited);
    assert_eq!(told["temperature"], json!(1));
    assert_eq!(told["prompt_cache_key"], "k");
    assert!(told.get("tools").is_none() && told.get("tool_choice").is_none());
    let output = &told["input"][0]["output"];
    assert_eq!(
        *output,
        json!([{"type": "input_text", "text": "Error:"}, {"type": "input_text", "text": "boom"}])
    );
}

#[test]
fn tools_are_renamed_where_they_must_and_the_answer_can_be_a_tool() {
    let tool = |name: &str| Tool {
        kind: ToolKind::Function,
        name: Text::of(name),
        description: None,
        schema: None,
        strict: None,
        cache_control: None,
    };
    let mut request = Request {
        model: Text::of("m"),
        tools: vec![tool("a.b")],
        tool_choice: Some(ToolChoice::Named(Text::of("a.b"))),
        reasoning: Some(Reasoning { budget_tokens: Some(2048), shows: Some(true), ..Reasoning::default() }),
        ..Request::default()
    };
    let (told, report, notes) = written(&request, &Rules::default());
    let sent = told["tools"][0]["name"].as_str().unwrap();
    assert!(sent.starts_with("a_b_"));
    assert_eq!(notes.renamed_tools, [(sent.to_owned(), "a.b".to_owned())]);
    assert_eq!(told["tool_choice"], json!({"type": "function", "name": sent}));
    assert_eq!(told["tools"][0]["strict"], json!(false));
    assert_eq!(told["reasoning"], json!({"effort": "medium", "summary": "auto"}));
    assert_eq!(report, Report::default());

    request.tools.clear();
    request.format = Format::Schema { name: None, description: None, schema: b"{}", strict: Some(true) };
    let rules = Rules {
        structured_output: StructuredOutput::Tool,
        reasoning: ReasoningStyle::None,
        ..Rules::default()
    };
    let (told, report, notes) = written(&request, &rules);
    assert_eq!((notes.answer_tool, &told["tool_choice"]["name"]), (Some("answer"), &json!("answer")));
    assert!(told.get("text").is_none() && told.get("reasoning").is_none());
    assert_eq!(report.edited, ["reasoning"]);
    let (told, ..) = written(&request, &Rules::default());
    assert_eq!(told["text"]["format"]["name"], "answer");
}
