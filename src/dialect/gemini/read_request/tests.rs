//! Requests of clients.

use super::super::super::middle::{Effort, Format, Source, Text, ToolChoice, ToolKind};
use super::*;

fn read(body: &str) -> Request<'_> {
    read_request(Node::scanned(body.as_bytes())).expect(body)
}

fn part(part: &Part<'_>) -> String {
    let text = |text: &Text<'_>| text.decoded().into_owned();
    let source = |source: &Source<'_>| match source {
        Source::Base64(data) => format!("data {}", text(data)),
        Source::Url(url) => format!("url {}", text(url)),
        other => format!("{other:?}"),
    };
    let kind = |kind: &Option<Text<'_>>| kind.as_ref().map_or("-".to_owned(), text);
    match part {
        Part::Text { text: said, .. } => format!("text {}", text(said)),
        Part::Image { media, .. } => format!("image {} {}", kind(&media.kind), source(&media.source)),
        Part::Audio { media } => format!("audio {} {}", kind(&media.kind), source(&media.source)),
        Part::File { media, .. } => format!("file {} {}", kind(&media.kind), source(&media.source)),
        Part::Thinking { text: said, signature } => {
            let signature = signature.as_ref().map(|s| format!("{}:{}", s.vendor, text(&s.value)));
            format!("thinking {:?} {}", said.decoded(), signature.unwrap_or_default())
        }
        Part::HiddenThinking { data } => format!("hidden {}:{}", data.vendor, text(&data.value)),
        Part::ToolCall { id, name, arguments, signature, .. } => {
            let signed = if signature.is_some() { " signed" } else { "" };
            format!("call {} {} {}{signed}", text(id), text(name), text(arguments))
        }
        Part::ToolResult { id, name, parts, is_error, .. } => {
            let parts: Vec<_> = parts.iter().map(self::part).collect();
            let failed = if *is_error { " failed" } else { "" };
            format!("result {} {} [{}]{failed}", text(id), kind(name), parts.join(", "))
        }
        Part::Foreign { path, raw } => format!("foreign {path} {}", String::from_utf8_lossy(raw)),
        Part::Refusal { .. } => "refusal".to_owned(),
    }
}

fn turns(body: &str) -> Vec<String> {
    let request = read(body);
    let turn = |turn: &Turn<'_>| {
        let parts: Vec<_> = turn.parts.iter().map(part).collect();
        format!("{:?}: {}", turn.role, parts.join(" | "))
    };
    request.turns.iter().map(turn).collect()
}

#[test]
fn turns_are_read_in_both_spellings() {
    let body = r#"{"contents":[{"parts":[{"text":"a\n"},{"inline_data":{"mime_type":"image/png","data":"AA"}}]},
        {"role":"model","parts":[{"text":"hm","thought":true,"thoughtSignature":"s"},{"text":"b","thought_signature":"s"}]},
        {"role":"user","parts":[{"fileData":{"mimeType":"audio/wav","fileUri":"u"}},{"fileData":{"fileUri":"gs://b/x.jpg"}},
            {"inlineData":{"mimeType":"application/pdf","data":"AA"}}]},
        {"role":"model","parts":[{"executableCode":{"code":"1"}},{"thought":true,"thoughtSignature":"cmluZ3dheTp2Ong="}]}],
        "system_instruction":{"parts":[{"text":"s1"},{"text":"s2"}]}}"#;
    assert_eq!(
        turns(body),
        [
            "System: text s1 | text s2",
            "User: text a\n | image image/png data AA",
            "Assistant: thinking \"hm\" :s | text b | thinking \"\" :s",
            "User: audio audio/wav url u | image - url gs://b/x.jpg | file application/pdf data AA",
            "Assistant: foreign contents[3].parts[0] {\"executableCode\":{\"code\":\"1\"}} | hidden v:x",
        ]
    );
    let bare = r#"{"systemInstruction":"s","contents":[{"parts":{"text":"a"}}]}"#;
    assert_eq!(turns(bare), ["System: text s", "User: text a"]);
}

#[test]
fn calls_and_responses_are_paired_by_id_then_by_name_in_order() {
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"q"}]},
        {"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":"\""}},"thoughtSignature":"s"},{"functionCall":{"name":"f"}},
            {"functionCall":{"id":"own","name":"g","args":{}}}]},
        {"role":"function","parts":[{"functionResponse":{"id":"own","name":"g","response":{"result":"r"}}},
            {"functionResponse":{"name":"f","response":{"output":{"x":1}}}},
            {"functionResponse":{"name":"f","response":{"error":"e"},"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}}]}},
            {"functionResponse":{"name":"h","response":{"a":1,"b":[]}}}]}]}"#;
    assert_eq!(
        turns(body)[1..],
        [
            "Assistant: call call_1_0 f {\"a\":\"\\\"\"} signed | call call_1_1 f  | call own g {}",
            "User: result own g [text r] | result call_1_0 f [text {\"x\":1}] | \
             result call_1_1 f [text e, image image/png data AA] failed | result call_2_3 h [text {\"a\":1,\"b\":[]}]",
        ]
    );
}

#[test]
fn the_configuration_has_its_words_and_the_rest_is_extra() {
    let request = read(
        r#"{"contents":[],"generation_config":{"maxOutputTokens":5,"temperature":0.50,"top_p":1,"topK":40,"candidateCount":2,
            "stopSequences":["a","b"],"seed":-1,"presencePenalty":1e-1,"responseLogprobs":true,"logprobs":3,
            "responseMimeType":"application/json","thinkingConfig":{"thinkingBudget":0,"includeThoughts":true},
            "speechConfig":{"a":1}},"safetySettings":[1],"cached_content":"c","model":"x"}"#,
    );
    assert_eq!(
        (request.max_tokens, request.choices_count, request.top_logprobs),
        (Some(5), Some(2), Some(3))
    );
    assert_eq!(request.temperature, Some(b"0.50".as_slice()));
    assert_eq!((request.top_p, request.top_k), (Some(b"1".as_slice()), Some(b"40".as_slice())));
    assert_eq!((request.seed, request.presence_penalty), (Some(b"-1".as_slice()), Some(b"1e-1".as_slice())));
    assert_eq!((request.stop.len(), request.logprobs), (2, Some(true)));
    assert!(matches!(request.format, Format::Json));
    let reasoning = request.reasoning.expect("reasoning");
    assert_eq!((reasoning.budget_tokens, reasoning.effort, reasoning.shows), (Some(0), None, Some(true)));
    let extras: Vec<_> = request.extras.iter().map(|extra| &*extra.name).collect();
    assert_eq!(extras, ["generationConfig.speechConfig", "safetySettings", "cachedContent"]);
    assert!(request.model.is_empty() && !request.stream);
}

#[test]
fn schemas_and_levels_are_read() {
    let request = read(
        r#"{"contents":[],"generationConfig":{"thinkingConfig":{"thinkingLevel":"LOW","thinkingBudget":-1},
            "responseMimeType":"application/json","responseJsonSchema":{"type":"object"}}}"#,
    );
    let reasoning = request.reasoning.expect("reasoning");
    assert_eq!((reasoning.effort, reasoning.budget_tokens), (Some(Effort::Low), None));
    assert!(matches!(request.format, Format::Schema { schema: br#"{"type":"object"}"#, .. }));
    let words = read(
        r#"{"contents":[],"generationConfig":{"responseMimeType":"text/x.enum","responseSchema":{"enum":["a"]}}}"#,
    );
    assert_eq!((words.extras.len(), &*words.extras[0].name), (2, "generationConfig.responseMimeType"));
}

#[test]
fn tools_and_modes_are_read() {
    let tools = r#""tools":[{"googleSearch":{}},{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{}},{"name":"g"}]}]"#;
    let read_mode =
        |mode: &str| format!(r#"{{"contents":[],"toolConfig":{{"functionCallingConfig":{mode}}},{tools}}}"#);
    let body = read_mode(r#"{"mode":"VALIDATED"}"#);
    let request = read(&body);
    assert!(matches!(request.tool_choice, Some(ToolChoice::Auto)));
    let seen: Vec<_> = request
        .tools
        .iter()
        .map(|tool| (tool.kind, tool.name.decoded(), tool.schema.map(String::from_utf8_lossy), tool.strict))
        .collect();
    assert_eq!(
        seen,
        [
            (ToolKind::Foreign, "googleSearch".into(), Some("{\"googleSearch\":{}}".into()), None),
            (ToolKind::Function, "f".into(), Some("{}".into()), Some(true)),
            (ToolKind::Function, "g".into(), None, Some(true)),
        ]
    );
    for (mode, want) in [
        (r#"{"mode":"AUTO"}"#, "Some(Auto)"),
        (r#"{"mode":"NONE"}"#, "Some(None)"),
        (r#"{"mode":"ANY"}"#, "Some(Required)"),
        (r#"{"mode":"ANY","allowed_function_names":["f"]}"#, "Some(Named("),
        (r#"{"mode":"ANY","allowedFunctionNames":["f","g"]}"#, "Some(Foreign("),
        (r#"{"mode":"MODE_UNSPECIFIED"}"#, "None"),
    ] {
        let body = read_mode(mode);
        let choice = format!("{:?}", read(&body).tool_choice);
        assert!(choice.starts_with(want), "{mode}: {choice}");
    }
}

#[test]
fn a_refusal_names_the_field() {
    for (body, param) in [
        ("{}", "contents"),
        (r#"{"contents":"a"}"#, "contents"),
        (r#"{"contents":[{"role":"wizard"}]}"#, "contents[0].role"),
        (r#"{"contents":[{},{"parts":[{},{"functionCall":{}}]}]}"#, "contents[1].parts[1].functionCall.name"),
        (r#"{"contents":[{"parts":[{"inlineData":{}}]}]}"#, "contents[0].parts[0]"),
        (r#"{"contents":[],"generationConfig":{"topP":"1"}}"#, "generationConfig.topP"),
        (r#"{"contents":[],"generationConfig":{"maxOutputTokens":1.5}}"#, "generationConfig.maxOutputTokens"),
        (
            r#"{"contents":[],"generationConfig":{"thinkingConfig":{"thinkingLevel":"x"}}}"#,
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (
            r#"{"contents":[],"tools":[{"functionDeclarations":[{}]}]}"#,
            "tools[0].functionDeclarations[0].name",
        ),
        (
            r#"{"contents":[],"toolConfig":{"functionCallingConfig":{"mode":"X"}}}"#,
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            r#"{"contents":[],"systemInstruction":{"parts":[{"inlineData":{}}]}}"#,
            "systemInstruction.parts[0]",
        ),
    ] {
        let refusal = read_request(Node::scanned(body.as_bytes())).expect_err(body);
        assert_eq!(refusal.param.as_deref(), Some(param), "{body}");
    }
}
