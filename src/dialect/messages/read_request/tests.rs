//! Requests of clients, and what is wrong with them.

use super::*;
use crate::dialect::middle::{Effort, Format, Source, ToolChoice};

/// Reads a request that has, besides the members given, what every one must have.
fn read(members: &str, look: impl FnOnce(Request<'_>)) {
    let turns =
        if members.contains("\"messages\"") { "" } else { r#","messages":[{"role":"user","content":"q"}]"# };
    let comma = if members.is_empty() { "" } else { "," };
    let body = format!(r#"{{"model":"m","max_tokens":5{turns}{comma}{members}}}"#);
    let node = Node::document(body.as_bytes(), &mut Vec::new()).expect(&body);
    look(read_request(node).unwrap_or_else(|refusal| panic!("{body}: {}", refusal.message)));
}

/// Reads the parts of one turn.
fn read_parts(role: &str, content: &str, look: impl FnOnce(&[Part<'_>], &[Extra<'_>])) {
    let members = format!(r#""messages":[{{"role":"{role}","content":{content}}}]"#);
    read(&members, |request| look(&request.turns[0].parts, &request.extras));
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let message = |content: &str| {
        format!(r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":{content}}}]}}"#)
    };
    let with = |members: &str| {
        format!(r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":"a"}}],{members}}}"#)
    };
    for (body, path) in [
        ("{}".to_owned(), "model"),
        (r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#.to_owned(), "max_tokens"),
        (r#"{"model":"m","max_tokens":1}"#.to_owned(), "messages"),
        (r#"{"model":"m","max_tokens":1,"messages":[]}"#.to_owned(), "messages"),
        (r#"{"model":1}"#.to_owned(), "model"),
        (r#"{"model":"m","max_tokens":1.5}"#.to_owned(), "max_tokens"),
        (r#"{"messages":[{"role":"bot","content":""}]}"#.to_owned(), "messages[0].role"),
        (r#"{"messages":[{"role":"user"}]}"#.to_owned(), "messages[0].content"),
        (message("5"), "messages[0].content"),
        (message(r#"[{"text":"a"}]"#), "messages[0].content[0].type"),
        (message(r#"[{"type":"text","text":"a"},{"type":"text"}]"#), "messages[0].content[1].text"),
        (message(r#"[{"type":"image","source":{"type":"base64"}}]"#), "messages[0].content[0].source.data"),
        (message(r#"[{"type":"tool_use","id":"a","name":"f","input":"x"}]"#), "messages[0].content[0].input"),
        (
            message(r#"[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":1}]}]"#),
            "messages[0].content[0].content[0].text",
        ),
        (with(r#""tools":[{"input_schema":{}}]"#), "tools[0].name"),
        (with(r#""tools":[{"name":"f","input_schema":[]}]"#), "tools[0].input_schema"),
        (with(r#""stop_sequences":["a",1]"#), "stop_sequences[1]"),
        (with(r#""thinking":{"type":"enabled"}"#), "thinking.budget_tokens"),
        (with(r#""thinking":{"type":"hard"}"#), "thinking.type"),
        (with(r#""output_config":{"effort":"huge"}"#), "output_config.effort"),
        (with(r#""output_config":{"format":{"type":"json_schema"}}"#), "output_config.format.schema"),
        (with(r#""tool_choice":{"type":"tool"}"#), "tool_choice.name"),
        (with(r#""metadata":{"user_id":5}"#), "metadata.user_id"),
    ] {
        let node = Node::document(body.as_bytes(), &mut Vec::new()).expect(&body);
        let refusal = read_request(node).expect_err(&body);
        assert_eq!((refusal.status, refusal.param.as_deref()), (400, Some(path)), "{body}");
    }
}

#[test]
fn the_system_prompt_leads_without_the_header_that_changes_with_every_request() {
    read(
        r#""system":"s","messages":[{"role":"user","content":"q"},{"role":"system","content":"later"}]"#,
        |request| {
            let roles: Vec<_> = request.turns.iter().map(|turn| turn.role).collect();
            assert_eq!(roles, [Role::System, Role::User, Role::System]);
        },
    );
    let system = r#""system":[{"type":"text","text":"x-anthropic-billing-header: cch=1;"},{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]"#;
    read(system, |request| {
        let [Part::Text { text, cache_control: Some(mark) }] = &request.turns[0].parts[..] else {
            panic!("{:?}", request.turns)
        };
        assert!(text.is("s") && *mark == br#"{"type":"ephemeral"}"#);
    });
    read(r#""system":"""#, |request| assert_eq!(request.turns.len(), 1));
}

#[test]
fn every_block_has_its_part() {
    let content = r#"[{"type":"tool_result","tool_use_id":"a","is_error":true,"content":[{"type":"text","text":"r"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},{"type":"tool_reference","tool_name":"f"}]},
        {"type":"tool_result","tool_use_id":"b","content":"r"},
        {"type":"image","source":{"type":"url","url":"https://a.example/i.png"},"cache_control":{"type":"ephemeral"}},
        {"type":"document","title":"d","citations":{"enabled":true},"source":{"type":"content","content":[{"type":"text","text":"1"},{"type":"text","text":"2"}]}},
        {"type":"document","citations":{"enabled":false},"source":{"type":"file","file_id":"file_1"}},
        {"type":"search_result","title":"t","source":"s","content":[{"type":"text","text":"found"}]},
        {"type":"container_upload","file_id":"file_2"}]"#;
    read_parts("user", content, |parts, extras| {
        let Part::ToolResult { id, parts: inner, is_error: true, .. } = &parts[0] else {
            panic!("{parts:?}")
        };
        assert!(id.is("a") && inner.len() == 3);
        assert!(matches!(&inner[2], Part::Text { text, .. } if text.is("f")));
        assert!(matches!(&parts[1], Part::ToolResult { parts, .. } if parts.len() == 1));
        assert!(
            matches!(&parts[2], Part::Image { media, cache_control: Some(_), .. } if matches!(media.source, Source::Url(_)))
        );
        let Part::File { media, name: Some(name), .. } = &parts[3] else { panic!("{parts:?}") };
        assert!(name.is("d") && matches!(&media.source, Source::Text(text) if text.is("1\n2")));
        assert!(matches!(&parts[4], Part::File { media, .. } if matches!(&media.source, Source::FileId(_))));
        assert!(matches!(&parts[5], Part::Text { text, .. } if text.is("t\ns\nfound")), "{parts:?}");
        assert!(matches!(&parts[6], Part::Foreign { path, .. } if path == "messages[0].content[6]"));
        let names: Vec<_> = extras.iter().map(|extra| extra.name.as_str()).collect();
        assert_eq!(names, ["messages[0].content[3].citations"]);
    });
    let content = r#"[{"type":"thinking","thinking":"t","signature":"ringway:gem:s"},{"type":"thinking","thinking":"u","signature":""},{"type":"redacted_thinking","data":"d"},
        {"type":"tool_use","id":"a","name":"f","input":{"x": "ä\n"}},{"type":"server_tool_use","id":"s","name":"w","input":{}}]"#;
    read_parts("assistant", content, |parts, _| {
        assert!(
            matches!(&parts[0], Part::Thinking { signature: Some(signature), .. } if signature.is_for("gem"))
        );
        assert!(matches!(&parts[1], Part::Thinking { signature: None, .. }));
        assert!(matches!(&parts[2], Part::HiddenThinking { data } if data.is_for("")));
        let Part::ToolCall { arguments, kind: ToolKind::Function, .. } = &parts[3] else {
            panic!("{parts:?}")
        };
        assert_eq!(arguments.decoded(), r#"{"x": "ä\n"}"#);
        assert!(matches!(&parts[4], Part::Foreign { .. }));
    });
}

#[test]
fn tools_are_functions_unless_the_provider_runs_them() {
    let tools = r#""tools":[{"type":"custom","name":"f","description":"d","input_schema":{"type":"object"},"strict":true,"defer_loading":true,"allowed_callers":["x"],"cache_control":{"type":"ephemeral"}},{"name":"g","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}]"#;
    read(&format!(r#"{tools},"tool_choice":{{"type":"any","disable_parallel_tool_use":true}}"#), |request| {
        let kinds: Vec<_> = request.tools.iter().map(|tool| tool.kind).collect();
        assert_eq!(kinds, [ToolKind::Function, ToolKind::Function, ToolKind::Foreign]);
        let tool = &request.tools[0];
        assert_eq!((tool.schema, tool.strict), (Some(&br#"{"type":"object"}"#[..]), Some(true)));
        assert!(tool.cache_control.is_some());
        assert!(matches!(request.tool_choice, Some(ToolChoice::Required)));
        assert_eq!(request.parallel_tool_calls, Some(false));
        let names: Vec<_> = request.extras.iter().map(|extra| extra.name.as_str()).collect();
        assert_eq!(names, ["tools[0].allowed_callers"]);
    });
    read(r#""tools":[],"tool_choice":{"type":"auto"}"#, |request| {
        assert!(request.tools.is_empty() && request.tool_choice.is_none());
    });
}

#[test]
fn thinking_has_a_word_a_budget_or_neither() {
    for (members, effort, budget_tokens, shows) in [
        (r#""thinking":{"type":"enabled","budget_tokens":2000}"#, None, Some(2000), Some(true)),
        (r#""thinking":{"type":"adaptive","display":"omitted"}"#, Some(Effort::High), None, Some(false)),
        (
            r#""output_config":{"effort":"low"},"thinking":{"type":"adaptive"}"#,
            Some(Effort::Low),
            None,
            Some(true),
        ),
        (
            r#""thinking":{"type":"adaptive"},"output_config":{"effort":"max"}"#,
            Some(Effort::Max),
            None,
            Some(true),
        ),
        (
            r#""thinking":{"type":"disabled"},"output_config":{"effort":"low"}"#,
            Some(Effort::None),
            Some(0),
            None,
        ),
        (
            r#""output_config":{"effort":"low"},"thinking":{"type":"disabled"}"#,
            Some(Effort::None),
            Some(0),
            None,
        ),
        (r#""output_config":{"effort":"medium"}"#, Some(Effort::Medium), None, None),
    ] {
        read(members, |request| {
            let reasoning = request.reasoning.expect(members);
            assert_eq!(
                (reasoning.effort, reasoning.budget_tokens, reasoning.shows),
                (effort, budget_tokens, shows),
                "{members}"
            );
        });
    }
}

#[test]
fn the_other_settings_are_found_and_what_is_not_known_is_kept() {
    let members = r#""temperature":0.50,"top_p":1e-1,"top_k":4,"stop_sequences":["a"],"stream":true,"metadata":{"user_id":"u","x":1},"service_tier":"standard_only","context_management":{"edits":[]},"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}},"task_budget":{}},"container":null"#;
    read(members, |request| {
        assert_eq!((request.temperature, request.top_p), (Some(&b"0.50"[..]), Some(&b"1e-1"[..])));
        assert!(request.stream && request.stop.len() == 1 && request.max_tokens == Some(5));
        assert!(request.user.is_some_and(|user| user.is("u")));
        assert!(request.service_tier.is_some_and(|tier| tier.is("default")));
        assert!(matches!(request.format, Format::Schema { strict: Some(true), .. }));
        let names: Vec<_> = request.extras.iter().map(|extra| extra.name.as_str()).collect();
        assert_eq!(names, ["metadata.x", "context_management", "output_config.task_budget"]);
    });
    let open = r#""output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string"}}}}}"#;
    read(open, |request| assert!(matches!(request.format, Format::Schema { strict: None, .. })));
}
