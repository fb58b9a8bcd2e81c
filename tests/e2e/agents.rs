//! What coding agents send by default, to providers that know only a part of it.

use serde_json::{Value, json};

use crate::support::*;

/// Codex offers functions, a tool of free text, a search that OpenAI runs, and groups of tools.
fn of_codex() -> Value {
    json!({
        "model": "up/m", "stream": true, "store": false, "parallel_tool_calls": false, "tool_choice": "auto",
        "instructions": "You are a coding agent.", "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0199", "reasoning": {"effort": "medium", "summary": "auto"}, "text": {"verbosity": "low"},
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is the secret?"}]}],
        "tools": [
            {"type": "function", "name": "exec_command", "description": "Runs.", "strict": false,
                "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]}},
            {"type": "custom", "name": "apply_patch", "description": "Patches.",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
            {"type": "web_search", "external_web_access": false},
            {"type": "namespace", "name": "collaboration", "description": "Agents.",
                "tools": [{"type": "function", "name": "spawn_agent", "parameters": {"type": "object", "properties": {}}}]}]
    })
}

fn gateway(port: u16, settings: &str) -> Gateway {
    Gateway::start_with(
        &format!(
            "{settings}providers:\n  up: {{type: vllm, base_url: 'http://127.0.0.1:{port}/v1', api_key: {UPSTREAM_KEY}, models: [m]}}\n"
        ),
        &[],
    )
}

#[test]
fn tools_that_a_chat_provider_cannot_have_are_refused_by_name_or_dropped_and_said() {
    let upstream = Upstream::answering(stream_answer(STREAM.as_bytes(), &[4096]), After::KeepAlive);
    let refusing = gateway(upstream.port, "");
    let request = post("/v1/responses", &of_codex().to_string());
    let answer = refusing.call(&request);
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "unsupported_field"));
    let text = answer.text();
    for named in ["`tools.web_search`", "`tools.namespace`", "translation.on_unsupported"] {
        assert!(text.contains(named), "{named}: {text}");
    }
    assert!(upstream.requests().is_empty());
    let dropping = gateway(upstream.port, "translation: {on_unsupported: drop}\n");
    let answer = dropping.call(&request);
    assert!(answer.status == 200 && answer.text().contains("response.completed"), "{}", answer.text());
    let dropped = answer.header("x-ringway-dropped").unwrap_or_default();
    assert_eq!(dropped, "tools.web_search, tools.namespace");
    let sent: Value = serde_json::from_slice(&upstream.requests()[0].body).expect("JSON");
    let names: Vec<&str> = sent["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .filter_map(|tool| tool.pointer("/function/name").or(tool.pointer("/custom/name"))?.as_str())
        .collect();
    assert_eq!(names, ["exec_command", "apply_patch"]);
}
