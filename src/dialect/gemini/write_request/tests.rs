//! Requests for providers.

use super::super::super::middle::{
    Effort, Format, Media, Part, Reasoning, ReasoningStyle, Role, Signature, Source, Text, Tool, ToolChoice,
    ToolKind,
};
use super::super::testing::rules;
use super::*;

fn text(said: &str) -> Part<'_> {
    Part::Text { text: Text::of(said), cache_control: None }
}

fn turn<'a>(role: Role, parts: Vec<Part<'a>>) -> Turn<'a> {
    Turn { role, parts, name: None }
}

fn call<'a>(id: &str, name: &str, arguments: &str, signature: Option<Signature<'a>>) -> Part<'a> {
    Part::ToolCall {
        id: Text::of(id),
        name: Text::of(name),
        arguments: Text::of(arguments),
        kind: ToolKind::Function,
        signature,
        cache_control: None,
    }
}

fn result<'a>(id: &str, parts: Vec<Part<'a>>, is_error: bool) -> Part<'a> {
    Part::ToolResult { id: Text::of(id), name: None, parts, is_error, cache_control: None }
}

fn function<'a>(name: &str, schema: Option<&'a [u8]>) -> Tool<'a> {
    let kind = ToolKind::Function;
    Tool { kind, name: Text::of(name), description: None, schema, strict: None, cache_control: None }
}

fn user(said: &str) -> Vec<Turn<'_>> {
    vec![turn(Role::User, vec![text(said)])]
}

const USER: &str = r#"{"contents":[{"role":"user","parts":[{"text":"q"}]}]"#;

/// What is written for the request, then what was reported.
fn written(request: &Request<'_>, rules: &Rules) -> String {
    let (mut report, mut out) = (Report::default(), Vec::new());
    write_request(request, rules, &mut report, &mut out).expect("a request that can be written");
    serde_json::from_slice::<serde_json::Value>(&out).expect("JSON");
    let mut all = String::from_utf8(out).expect("UTF-8");
    for (word, names) in [("unsupported", report.unsupported), ("edited", report.edited)] {
        if !names.is_empty() {
            all += &format!(" {word} {}", names.join(","));
        }
    }
    all
}

fn check(request: Request<'_>, rest: &str) {
    assert_eq!(written(&request, &rules()), format!("{USER}{rest}"));
}

#[test]
fn the_leading_system_turns_are_the_instruction_and_roles_alternate() {
    let turns = vec![
        turn(Role::System, vec![text("s1"), text(" ")]),
        turn(Role::Developer, vec![text("s2")]),
        turn(Role::Assistant, vec![text("a"), text("")]),
        turn(Role::User, vec![text("b")]),
        turn(Role::System, vec![text("c")]),
        turn(Role::User, vec![text("")]),
    ];
    let want = concat!(
        r#"{"systemInstruction":{"parts":[{"text":"s1"},{"text":"s2"}]},"#,
        r#""contents":[{"role":"user","parts":[{"text":" "}]},{"role":"model","parts":[{"text":"a"}]},"#,
        r#"{"role":"user","parts":[{"text":"b"},{"text":"c"}]}]} edited messages.role,messages"#
    );
    assert_eq!(written(&Request { turns, ..Request::default() }, &rules()), want);
    let system = vec![turn(Role::System, vec![text("s")])];
    let want = r#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":" "}]}]} edited messages"#;
    assert_eq!(written(&Request { turns: system, ..Request::default() }, &rules()), want);
}

#[test]
fn results_stand_behind_their_calls_in_order() {
    let image = Part::Image {
        media: Media { kind: Some(Text::of("image/png")), source: Source::Base64(Text::of("AA")) },
        detail: None,
        cache_control: None,
    };
    let own = Signature::of_vendor("maker", Text::of("sig"));
    let other = Signature::of_vendor("other", Text::of("no"));
    let turns = vec![
        turn(Role::User, vec![text("q")]),
        turn(
            Role::Assistant,
            vec![
                Part::Thinking { text: Text::of("hm"), signature: Some(other.clone()) },
                Part::Thinking { text: Text::of("ha"), signature: Some(own.clone()) },
                call("1", "f", "{\"a\":1}", None),
                call("2", "a/b", "", Some(other)),
            ],
        ),
        turn(Role::User, vec![text("t"), result("2", vec![text("no JSON")], true)]),
        turn(Role::User, vec![result("1", vec![text("{\"x\":"), text("1}"), image], false)]),
        turn(Role::Assistant, vec![call("1", "g", "{}", Some(own))]),
        turn(Role::User, vec![result("1", vec![text("5")], false)]),
    ];
    let want = concat!(
        r#"{"contents":[{"role":"user","parts":[{"text":"q"}]},"#,
        r#"{"role":"model","parts":[{"text":"ha","thought":true,"thoughtSignature":"sig"},"#,
        r#"{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"skip_thought_signature_validator"},"#,
        r#"{"functionCall":{"name":"a_b","args":{}}}]},"#,
        r#"{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"x":1}}},"#,
        r#"{"functionResponse":{"name":"a_b","response":{"error":"no JSON"}}},"#,
        r#"{"inlineData":{"mimeType":"image/png","data":"AA"}},{"text":"t"}]},"#,
        r#"{"role":"model","parts":[{"functionCall":{"name":"g","args":{}},"thoughtSignature":"sig"}]},"#,
        r#"{"role":"user","parts":[{"functionResponse":{"name":"g","response":{"result":"5"}}}]}]} edited messages.thinking"#
    );
    let request = Request { turns, ..Request::default() };
    assert_eq!(written(&request, &rules()), want);
    let budget = Rules { reasoning: ReasoningStyle::Budget, ..rules() };
    assert!(!written(&request, &budget).contains("skip_thought"), "older models take calls without");
    let (mut report, mut out) = (Report::default(), Vec::new());
    let told = write_request(&request, &rules(), &mut report, &mut out).expect("a request");
    assert_eq!(told.renamed_tools, [("a_b".to_owned(), "a/b".to_owned())]);
}

#[test]
fn what_is_wrong_in_itself_is_refused() {
    let wrong = |turns: Vec<Turn<'_>>| {
        let request = Request { turns, ..Request::default() };
        let refusal = write_request(&request, &rules(), &mut Report::default(), &mut Vec::new());
        refusal.expect_err("a refusal").code
    };
    assert_eq!(wrong(Vec::new()), "invalid_value");
    assert_eq!(wrong(vec![turn(Role::User, vec![result("x", Vec::new(), false)])]), "invalid_value");
    for arguments in ["{", "[1]", "5"] {
        let turns = vec![turn(Role::Assistant, vec![call("1", "f", arguments, None)])];
        assert_eq!(wrong(turns), "invalid_tool_arguments");
    }
}

#[test]
fn tools_and_choices_are_written_or_reported() {
    let base = || Request { turns: user("q"), ..Request::default() };
    let foreign = |name: &str, raw| Tool { kind: ToolKind::Foreign, ..function(name, Some(raw)) };
    let mut strict = function("f", Some(b"{\"type\":\"object\"}"));
    (strict.strict, strict.description) = (Some(true), Some(Text::of("d")));
    check(
        Request {
            tools: vec![
                strict,
                foreign("googleSearch", b"{\"googleSearch\":{},\"functionDeclarations\":[]}"),
                foreign("web_search", b"{\"type\":\"web_search\"}"),
                function("g", None),
            ],
            tool_choice: Some(ToolChoice::Named(Text::of("g"))),
            ..base()
        },
        concat!(
            r#","tools":[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{"type":"object"}},{"name":"g"}]},"#,
            r#"{"googleSearch":{}}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["g"]}}}"#,
            r#" unsupported tools[2] edited tools.strict"#
        ),
    );
    for (choice, rest) in [
        (ToolChoice::Auto, r#","toolConfig":{"functionCallingConfig":{"mode":"AUTO"}}}"#),
        (ToolChoice::None, r#","toolConfig":{"functionCallingConfig":{"mode":"NONE"}}}"#),
        (ToolChoice::Required, r#","toolConfig":{"functionCallingConfig":{"mode":"ANY"}}}"#),
        (
            ToolChoice::Foreign(br#"{"mode":"ANY","allowedFunctionNames":["f","x"]}"#),
            r#","toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f","x"]}}}"#,
        ),
        (ToolChoice::Foreign(br#"{"type":"allowed_tools","mode":"auto"}"#), "} unsupported tool_choice"),
    ] {
        let tools = r#","tools":[{"functionDeclarations":[{"name":"f"}]}]"#;
        let request = Request { tools: vec![function("f", None)], tool_choice: Some(choice), ..base() };
        check(request, &format!("{tools}{rest}"));
    }
    check(Request { tool_choice: Some(ToolChoice::Required), ..base() }, "}");
    let search = vec![Extra { name: SEARCH.into(), raw: b"{}" }];
    check(Request { extras: search, ..base() }, r#","tools":[{"googleSearch":{}}]}"#);
}

#[test]
fn the_configuration_is_written_in_its_words() {
    let base = || Request { turns: user("q"), ..Request::default() };
    let config = |rest: &str| format!(",\"generationConfig\":{{{rest}}}}}");
    check(base(), "}");
    check(
        Request {
            max_tokens: Some(7),
            temperature: Some(b"1.0"),
            top_p: Some(b"0.9"),
            top_k: Some(b"4"),
            seed: Some(b"1"),
            frequency_penalty: Some(b"0.1"),
            choices_count: Some(2),
            stop: vec![Text::of("a"), Text::of("")],
            logprobs: Some(true),
            top_logprobs: Some(2),
            format: Format::Schema {
                name: None,
                description: None,
                schema: b"{\"a\":1}",
                strict: Some(true),
            },
            ..base()
        },
        &config(concat!(
            r#""maxOutputTokens":7,"temperature":1.0,"topP":0.9,"topK":4,"seed":1,"frequencyPenalty":0.1,"candidateCount":2,"#,
            r#""stopSequences":["a"],"responseLogprobs":true,"logprobs":2,"responseMimeType":"application/json","responseJsonSchema":{"a":1}"#
        )),
    );
    let six: Vec<_> = ["1", "2", "3", "4", "5", "6"].map(Text::of).to_vec();
    check(
        Request { stop: six, choices_count: Some(1), format: Format::Json, ..base() },
        &(config(r#""stopSequences":["1","2","3","4","5"],"responseMimeType":"application/json""#)
            + " unsupported stop"),
    );
    let hot = Request { temperature: Some(b"2.5"), ..base() };
    let clamped = written(&hot, &Rules { temperature_milli_max: Some(2000), ..rules() });
    assert_eq!(clamped, format!("{USER}{} edited temperature", config(r#""temperature":2"#)));
}

#[test]
fn thinking_is_a_level_or_a_budget_never_both() {
    let think = |style, effort, budget_tokens, shows| {
        let reasoning = Some(Reasoning { effort, budget_tokens, shows, summary: None });
        let request = Request { turns: user("q"), reasoning, ..Request::default() };
        let all = written(&request, &Rules { reasoning: style, ..rules() });
        let rest = all.strip_prefix(USER).expect("the same turn").to_owned();
        rest.replace(",\"generationConfig\":{\"thinkingConfig\":", "").replace("}}}", "}")
    };
    let (level, budget) = (ReasoningStyle::Effort, ReasoningStyle::Budget);
    for (style, effort, tokens, shows, want) in [
        (level, Some(Effort::Low), None, None, r#"{"thinkingLevel":"low","includeThoughts":true}"#),
        (
            level,
            Some(Effort::Max),
            Some(9),
            Some(false),
            r#"{"thinkingLevel":"high","includeThoughts":false} edited reasoning"#,
        ),
        (level, Some(Effort::None), None, None, r#"{"thinkingLevel":"minimal"} edited reasoning"#),
        (
            level,
            None,
            Some(2048),
            None,
            r#"{"thinkingLevel":"medium","includeThoughts":true} edited reasoning"#,
        ),
        (level, None, None, Some(true), r#"{"includeThoughts":true}"#),
        (budget, Some(Effort::High), None, None, r#"{"thinkingBudget":4096,"includeThoughts":true}"#),
        (budget, Some(Effort::High), Some(99), None, r#"{"thinkingBudget":99,"includeThoughts":true}"#),
        (budget, Some(Effort::None), None, None, r#"{"thinkingBudget":0}"#),
        (ReasoningStyle::None, Some(Effort::High), None, None, "} edited reasoning"),
    ] {
        assert_eq!(think(style, effort, tokens, shows), want);
    }
}

#[test]
fn what_has_no_place_is_reported() {
    let extra = |name: &str, raw| Extra { name: name.into(), raw };
    check(
        Request {
            turns: vec![turn(
                Role::User,
                vec![
                    text("q"),
                    Part::Foreign { path: "messages[0].content[1]".into(), raw: b"{\"type\":\"x\"}" },
                ],
            )],
            user: Some(Text::of("u")),
            metadata: Some(b"{}"),
            parallel_tool_calls: Some(false),
            extras: vec![
                extra("safety_settings", b"[1]"),
                extra("labels", b"{}"),
                extra("logit_bias", b"{}"),
                extra("store", b"true"),
                extra("client_metadata", b"{}"),
                extra("modalities", b"[\"text\",\"image\"]"),
                extra("generationConfig.speechConfig", b"{\"a\":1}"),
                extra("toolConfig.retrievalConfig", b"{}"),
            ],
            ..Request::default()
        },
        concat!(
            r#","toolConfig":{"retrievalConfig":{}},"generationConfig":{"responseModalities":["TEXT","IMAGE"],"speechConfig":{"a":1}},"#,
            r#""safetySettings":[1],"labels":{}}"#,
            " unsupported messages[0].content[1],logit_bias edited user,metadata,parallel_tool_calls,store,client_metadata"
        ),
    );
}

#[test]
fn a_request_that_is_read_and_written_says_the_same() {
    let body = concat!(
        r#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"q\u00e4"}]},"#,
        r#"{"role":"model","parts":[{"functionCall":{"name":"f","args":{"b":1,"a":[2.50]}},"thoughtSignature":"skip_thought_signature_validator"}]},"#,
        r#"{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"x":"y","z":1}}},{"text":"t"}]},"#,
        r#"{"role":"model","parts":[{"executableCode":{"code":"1"}}]},"#,
        r#"{"role":"user","parts":[{"fileData":{"mimeType":"video/mp4","fileUri":"u"}}]}],"#,
        r#""tools":[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{"type":"object"}}]},{"codeExecution":{}}],"#,
        r#""toolConfig":{"functionCallingConfig":{"mode":"AUTO"}},"#,
        r#""generationConfig":{"maxOutputTokens":5,"temperature":0.70,"thinkingConfig":{"thinkingLevel":"low","includeThoughts":true},"speechConfig":{}},"#,
        r#""safetySettings":[]}"#
    );
    let request = super::super::read_request(Node::scanned(body.as_bytes())).expect("a request");
    assert_eq!(written(&request, &rules()), body);
}
