//! Requests as the middle has them.

use super::*;
use crate::dialect::middle::{Part, Role, Source, Tool, ToolKind, Turn};

fn with<T>(body: &str, look: impl FnOnce(Request<'_>) -> T) -> T {
    let node = Node::document(body.as_bytes(), &mut Vec::new()).expect(body);
    look(read_request(node).unwrap_or_else(|refusal| panic!("{body}: {refusal:?}")))
}

/// A part in few words.
fn word(part: &Part<'_>) -> String {
    let inside = |parts: &[Part<'_>]| parts.iter().map(word).collect::<Vec<_>>().join(",");
    let mark = |mark: &Option<&[u8]>| if mark.is_some() { "!" } else { "" };
    match part {
        Part::Text { text, cache_control } => format!("{}{}", text.decoded(), mark(cache_control)),
        Part::Image { media, detail, .. } => {
            format!("image {} {}", source(media), detail.as_ref().map(|d| d.decoded()).unwrap_or_default())
        }
        Part::Audio { media } => format!("audio {}", source(media)),
        Part::File { media, name, .. } => {
            format!("file {} {}", source(media), name.as_ref().map(|n| n.decoded()).unwrap_or_default())
        }
        Part::Thinking { text, signature } => {
            let signature = signature.as_ref().map(|s| format!(" {}:{}", s.vendor, s.value.decoded()));
            format!("thinking {}{}", text.decoded(), signature.unwrap_or_default())
        }
        Part::HiddenThinking { data } => format!("hidden {}:{}", data.vendor, data.value.decoded()),
        Part::Refusal { text } => format!("refusal {}", text.decoded()),
        Part::ToolCall { id, name, arguments, kind, .. } => {
            format!("{kind:?} {} {} {}", id.decoded(), name.decoded(), arguments.decoded())
        }
        Part::ToolResult { id, parts, cache_control, .. } => {
            format!("result{} {} [{}]", mark(cache_control), id.decoded(), inside(parts))
        }
        Part::Foreign { path, raw } => format!("foreign {path} {}", String::from_utf8_lossy(raw)),
    }
}

fn source(media: &crate::dialect::middle::Media<'_>) -> String {
    let kind = media.kind.as_ref().map(|kind| kind.decoded().into_owned()).unwrap_or_default();
    let (name, text) = match &media.source {
        Source::Base64(text) => ("base64", text),
        Source::Url(text) => ("url", text),
        Source::Text(text) => ("text", text),
        Source::FileId(text) => ("id", text),
    };
    format!("{kind} {name} {}", text.decoded())
}

/// The turns of a request with these messages.
fn turns(messages: &str) -> Vec<String> {
    let turn = |turn: &Turn<'_>| {
        format!("{:?}: {}", turn.role, turn.parts.iter().map(word).collect::<Vec<_>>().join(" | "))
    };
    let body = format!(r#"{{"model":"m","messages":{messages}}}"#);
    with(&body, |request| request.turns.iter().map(turn).collect())
}

#[test]
fn messages_become_turns() {
    let cases: &[(&str, &[&str])] = &[
        (
            r#"[{"role":"system","content":"s"},{"role":"developer","content":[{"type":"text","text":"d","cache_control":{"type":"ephemeral"}}]},{"role":"user","content":"u","cache_control":{"type":"ephemeral"}}]"#,
            &["System: s", "Developer: d!", "User: u!"],
        ),
        (
            r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}},{"type":"image_url","image_url":{"url":"data:image\/png;base64,QQ=="}},{"type":"image_url","image_url":"data:image/gif;charset=x;base64,QQ"},{"type":"input_audio","input_audio":{"data":"QQ","format":"mp3"}},{"type":"file","file":{"file_data":"data:application/pdf;base64,QQ","filename":"a.pdf"}},{"type":"file","file":{"file_id":"f1"}},{"type":"file","file":{"file_data":"QUFB","filename":"b.PDF"}},{"type":"video_url","video_url":{}}]}]"#,
            &[
                "User: image  url https://x/y.png low | image image/png base64 QQ==  | image image/gif base64 QQ  | audio audio/mp3 base64 QQ | file application/pdf base64 QQ a.pdf | file  id f1  | file application/pdf base64 QUFB b.PDF | foreign messages[0].content[7] {\"type\":\"video_url\",\"video_url\":{}}",
            ],
        ),
        (
            r#"[{"role":"assistant","content":"","refusal":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"b","type":"custom","custom":{"name":"g","input":"y"}},{"id":"c","function":{"name":"h","arguments":{"z":2}}}]},{"role":"tool","tool_call_id":"a","content":"r","cache_control":{}},{"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"s"}]}]"#,
            &[
                "Assistant: Function a f {\"x\":1} | Custom b g y | Function c h {\"z\":2}",
                "User: result! a [r]",
                "User: result b [s]",
            ],
        ),
        (
            r#"[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"r"}]"#,
            &["Assistant: Function f f {}", "User: result f [r]"],
        ),
        (
            r#"[{"role":"assistant","content":"c","reasoning_content":"r"},{"role":"assistant","content":[{"type":"refusal","refusal":"n"}],"reasoning":"q","audio":{"id":"z"}}]"#,
            &[
                "Assistant: thinking r | c",
                "Assistant: thinking q | refusal n | foreign messages[1].audio {\"id\":\"z\"}",
            ],
        ),
    ];
    for (messages, want) in cases {
        assert_eq!(turns(messages), *want, "{messages}");
    }
}

#[test]
fn thoughts_keep_their_signatures_where_their_texts_are_known() {
    let cases = [
        (
            r#""thinking_blocks":[{"type":"thinking","thinking":"t","signature":"ringway:v:s"},{"type":"redacted_thinking","data":"d"}],"reasoning_content":"t""#,
            "thinking t v:s | hidden :d | c",
        ),
        (
            r#""thinking_blocks":[{"type":"thinking","thinking":"","signature":"s"}],"reasoning_content":"t""#,
            "thinking t :s | c",
        ),
        (
            r#""thinking_blocks":[{"type":"thinking","thinking":"","signature":"s"},{"type":"thinking","thinking":"","signature":"u"}],"reasoning_content":"t""#,
            "thinking t | c",
        ),
        (r#""thinking_blocks":[{"type":"thinking","thinking":""}]"#, "c"),
    ];
    for (members, want) in cases {
        let found = turns(&format!(r#"[{{"role":"assistant","content":"c",{members}}}]"#));
        assert_eq!(found, [format!("Assistant: {want}")], "{members}");
    }
}

#[test]
fn fields_have_their_places_and_the_rest_are_extras() {
    let body = r#"{"model":"m","messages":[{"role":"user","name":"n","content":"u"}],"stream":true,
        "stream_options":{"include_usage":true},"max_tokens":1,"max_completion_tokens":2,"temperature":0.50,"top_p":1e-1,
        "top_k":3,"n":2,"stop":"x","seed":-4,"logprobs":true,"top_logprobs":5,"user":"u","safety_identifier":"s",
        "service_tier":"auto","metadata":{"a":"b"},"parallel_tool_calls":false,"reasoning_effort":"high","logit_bias":{},
        "presence_penalty":null,"brand_new":[1],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"},"strict":true},"cache_control":{}},
        {"type":"custom","custom":{"name":"g"}},{"type":"custom","custom":{"name":"h","format":{"type":"grammar"}}},{"type":"web_search"}],
        "functions":[{"name":"i"}],"tool_choice":{"type":"function","function":{"name":"f"}},"function_call":"none",
        "response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object"},"strict":true}}}"#;
    with(body, |request| {
        assert!(request.stream && request.include_usage);
        assert_eq!(
            (request.max_tokens, request.choices_count, request.top_logprobs),
            (Some(2), Some(2), Some(5))
        );
        assert_eq!((request.temperature, request.top_p), (Some(&b"0.50"[..]), Some(&b"1e-1"[..])));
        assert_eq!((request.seed, request.presence_penalty), (Some(&b"-4"[..]), None));
        assert!(request.user.is_some_and(|user| user.is("s")));
        assert!(request.stop.len() == 1 && request.turns[0].name.as_ref().is_some_and(|name| name.is("n")));
        assert_eq!(request.turns[0].role, Role::User);
        let kinds: Vec<ToolKind> = request.tools.iter().map(|tool| tool.kind).collect();
        use ToolKind::{Custom, Foreign, Function};
        assert_eq!(kinds, [Function, Custom, Foreign, Foreign, Function]);
        let Tool { strict, schema, cache_control, .. } = request.tools[0];
        assert_eq!(
            (strict, schema, cache_control),
            (Some(true), Some(&br#"{"type":"object"}"#[..]), Some(&b"{}"[..]))
        );
        assert!(matches!(request.tool_choice, Some(ToolChoice::Named(name)) if name.is("f")));
        assert!(matches!(request.format, Format::Schema { strict: Some(true), .. }));
        assert_eq!(request.reasoning.and_then(|reasoning| reasoning.effort), Some(Effort::High));
        let names: Vec<&str> = request.extras.iter().map(|extra| &*extra.name).collect();
        assert_eq!(names, ["logit_bias", "brand_new"]);
    });
}

#[test]
fn thinking_is_asked_for_in_many_ways() {
    let cases = [
        (r#""reasoning_effort":"minimal""#, Some(Effort::Minimal), None),
        (r#""reasoning":{"effort":"low"}"#, Some(Effort::Low), None),
        (r#""reasoning":{"max_tokens":9}"#, None, Some(9)),
        (r#""reasoning":{"enabled":true}"#, Some(Effort::Medium), None),
        (r#""reasoning":{"enabled":false,"max_tokens":9}"#, Some(Effort::None), None),
        (r#""thinking":{"type":"enabled","budget_tokens":8}"#, None, Some(8)),
        (r#""thinking":{"type":"disabled"}"#, Some(Effort::None), None),
        (r#""thinking":{"type":"adaptive"},"reasoning_effort":"low""#, Some(Effort::Low), None),
        (r#""reasoning_effort":"default""#, None, None),
    ];
    for (member, effort, budget) in cases {
        with(&format!(r#"{{"messages":[],{member}}}"#), |request| {
            let found = request.reasoning.unwrap_or_default();
            assert_eq!((found.effort, found.budget_tokens), (effort, budget), "{member}");
        });
    }
}

#[test]
fn what_is_wrong_is_refused_with_its_place() {
    let cases = [
        ("{}", "messages"),
        (r#"{"input":"x"}"#, "messages"),
        (r#"{"messages":{}}"#, "messages"),
        (r#"{"messages":[{"content":"x"}]}"#, "messages[0].role"),
        (r#"{"messages":[{"role":"robot","content":"x"}]}"#, "messages[0].role"),
        (r#"{"messages":[{"role":"user"}]}"#, "messages[0].content"),
        (r#"{"messages":[{"role":"user","content":5}]}"#, "messages[0].content"),
        (r#"{"messages":[{"role":"user","content":["x"]}]}"#, "messages[0].content[0]"),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#,
            "messages[0].content[0].image_url",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"file","file":{}}]}]}"#,
            "messages[0].content[0].file",
        ),
        (r#"{"messages":[{"role":"tool","content":"x"}]}"#, "messages[0].tool_call_id"),
        (
            r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"a"}]}]}"#,
            "messages[0].tool_calls[0].function",
        ),
        (r#"{"messages":[],"tools":[{"type":"function","function":{}}]}"#, "tools[0].function.name"),
        (r#"{"messages":[],"tool_choice":"always"}"#, "tool_choice"),
        (r#"{"messages":[],"temperature":"1"}"#, "temperature"),
        (r#"{"messages":[],"max_tokens":-1}"#, "max_tokens"),
        (r#"{"messages":[],"stop":[1]}"#, "stop[0]"),
        (r#"{"messages":[],"reasoning_effort":"much"}"#, "reasoning_effort"),
        (r#"{"messages":[],"response_format":{"type":"xml"}}"#, "response_format.type"),
        (
            r#"{"messages":[],"response_format":{"type":"json_schema","json_schema":{}}}"#,
            "response_format.json_schema.schema",
        ),
    ];
    for (body, want) in cases {
        let node = Node::document(body.as_bytes(), &mut Vec::new()).expect(body);
        let refusal = read_request(node).expect_err(body);
        assert_eq!((refusal.status, refusal.param.as_deref()), (400, Some(want)), "{body}");
    }
}
