//! Requests of Bedrock's Converse in the words of the matrix, as a provider hears them.

use serde_json::{Value, json};

use super::neutral::{Words, items, known, part_text, text};

pub fn heard(words: &mut Words) {
    let system = words.take("system");
    let system: Vec<&str> = items(&system).map(|block| text(&block["text"])).collect();
    words.put("system", if system.is_empty() { Value::Null } else { json!(system.join("\n\n")) });
    let turn = |message: &Value| {
        let role = if message["role"] == "assistant" { "model" } else { text(&message["role"]) };
        json!({"role": role, "parts": items(&message["content"]).map(understood).collect::<Vec<_>>()})
    };
    let messages = words.take("messages");
    words.put("turns", items(&messages).map(turn).collect());
    words.open("toolConfig");
    let tools = words.take("tools");
    let tool = |tool: &Value| {
        let tool = &tool["toolSpec"];
        known(
            json!({"name": tool["name"], "about": tool["description"], "schema": tool["inputSchema"]["json"]}),
        )
    };
    words.put("tools", items(&tools).map(tool).collect());
    let choice = words.take("toolChoice");
    let chosen = choice.pointer("/tool/name").map(|name| json!({"name": name}));
    let word = [("auto", "auto"), ("any", "required")]
        .iter()
        .find(|(key, _)| choice.get(key).is_some())
        .map(|(_, word)| json!(word));
    words.put("choice", chosen.or(word).unwrap_or_default());
    words.open("inferenceConfig");
    for (name, to) in
        [("maxTokens", "max"), ("temperature", "temperature"), ("topP", "top_p"), ("stopSequences", "stop")]
    {
        words.carry(name, to);
    }
    words.open("additionalModelRequestFields");
    words.carry("top_k", "top_k");
    let thinking = words.take("thinking");
    words.put("budget", thinking["budget_tokens"].clone());
    let schema = words.take("outputConfig").pointer("/textFormat/structure/jsonSchema/schema").cloned();
    let schema = schema.and_then(|schema| serde_json::from_str::<Value>(text(&schema)).ok());
    words.put("format", schema.map(|schema| json!({"schema": schema})).unwrap_or_default());
}

fn understood(block: &Value) -> Value {
    if let Some(call) = block.get("toolUse") {
        return json!({"call": {"id": call["toolUseId"], "name": call["name"], "args": call["input"]}});
    }
    if let Some(result) = block.get("toolResult") {
        let parts: Vec<Value> = items(&result["content"]).map(understood).collect();
        let error = (result["status"] == "error").then_some(true);
        return json!({"result": known(json!({"id": result["toolUseId"], "parts": parts, "error": error}))});
    }
    if let Some(thought) = block.pointer("/reasoningContent/reasoningText") {
        return known(json!({"thought": thought["text"], "signature": thought["signature"]}));
    }
    if let Some(data) = block.pointer("/reasoningContent/redactedContent") {
        return json!({"hidden": true, "signature": data});
    }
    if let Some(image) = block.get("image") {
        let kind = format!("image/{}", text(&image["format"]));
        return json!({"image": {"kind": kind, "data": image["source"]["bytes"]}});
    }
    if let Some(file) = block.get("document") {
        let kind = format!("application/{}", text(&file["format"]));
        return json!({"file": {"kind": kind, "data": file["source"]["bytes"], "name": file["name"]}});
    }
    match block.get("text") {
        Some(text) => part_text(text.clone()),
        None => json!({"unknown": block}),
    }
}
