//! OpenAI's chat completions in the words of the matrix: requests of a caller, requests as a provider hears them, answers.

use serde_json::{Map, Value, json};

use super::neutral::{Said, Words, data_url, image_of_url, items, known, parsed, part_text, text, usage};
use super::world::data;

/// A caller's request.
pub fn ask(talk: &Value) -> Value {
    let mut messages = Vec::new();
    if let Some(system) = talk["system"].as_str() {
        messages.push(json!({"role": "system", "content": system}));
    }
    items(&talk["turns"]).for_each(|turn| say(turn, &mut messages));
    let tool = |tool: &Value| {
        let function = known(
            json!({"name": tool["name"], "description": tool["about"], "parameters": tool["schema"], "strict": tool["strict"]}),
        );
        json!({"type": "function", "function": function})
    };
    let choice = match &talk["choice"] {
        Value::Object(named) => json!({"type": "function", "function": {"name": named["name"]}}),
        word => word.clone(),
    };
    let format = match &talk["format"] {
        Value::Object(format) => {
            json!({"type": "json_schema", "json_schema": {"name": "place", "schema": format["schema"], "strict": true}})
        }
        Value::String(_) => json!({"type": "json_object"}),
        _ => Value::Null,
    };
    let tools: Vec<Value> = items(&talk["tools"]).map(tool).collect();
    known(json!({"messages": messages, "tools": if tools.is_empty() { Value::Null } else { json!(tools) },
        "tool_choice": choice, "parallel_tool_calls": talk["parallel"], "max_completion_tokens": talk["max"],
        "temperature": talk["temperature"], "top_p": talk["top_p"], "seed": talk["seed"], "stop": talk["stop"],
        "frequency_penalty": talk["frequency"], "presence_penalty": talk["presence"], "n": talk["n"],
        "response_format": format, "reasoning_effort": talk["effort"], "user": talk["user"]}))
}

fn say(turn: &Value, messages: &mut Vec<Value>) {
    let parts = || items(&turn["parts"]);
    for result in parts().filter_map(|part| part.get("result")) {
        let content: Vec<Value> = items(&result["parts"]).map(spoken).collect();
        messages.push(json!({"role": "tool", "tool_call_id": result["id"], "content": one_text(content)}));
    }
    let rest: Vec<Value> = parts().filter(|part| part.get("text").is_some()).map(spoken).collect();
    if turn["role"] == "model" {
        let calls: Vec<Value> = parts().filter_map(called).collect();
        let thoughts: Vec<&Value> = parts().filter(|part| part.get("thought").is_some()).collect();
        let block = |part: &Value| match (part.get("thought"), part.get("hidden"), part.get("signature")) {
            (Some(thought), _, Some(signature)) => {
                Some(json!({"type": "thinking", "thinking": thought, "signature": signature}))
            }
            (_, Some(_), Some(signature)) => Some(json!({"type": "redacted_thinking", "data": signature})),
            _ => None,
        };
        let blocks: Vec<Value> = parts().filter_map(block).collect();
        let mut message = json!({"role": "assistant", "content": if rest.is_empty() { Value::Null } else { one_text(rest) }});
        if !calls.is_empty() {
            message["tool_calls"] = json!(calls);
        }
        if let Some(thought) = thoughts.first() {
            message["reasoning_content"] = thought["thought"].clone();
        }
        if !blocks.is_empty() {
            message["thinking_blocks"] = json!(blocks);
        }
        return messages.push(message);
    }
    let rest: Vec<Value> = parts().filter(|part| part.get("result").is_none()).map(spoken).collect();
    if !rest.is_empty() || turn["parts"] == json!([]) {
        messages.push(json!({"role": turn["role"], "content": one_text(rest)}));
    }
}

fn called(part: &Value) -> Option<Value> {
    let call = part.get("call")?;
    let mut out = json!({"id": call["id"], "type": "function",
        "function": {"name": call["name"], "arguments": call["args"].to_string()}});
    if let Some(signature) = part.get("signature") {
        out["extra_content"] = json!({"google": {"thought_signature": signature}});
    }
    Some(out)
}

fn spoken(part: &Value) -> Value {
    let url = |media: &Value| format!("data:{};base64,{}", text(&media["kind"]), text(&media["data"]));
    if let Some(address) = part.get("url") {
        return json!({"type": "image_url", "image_url": {"url": address}});
    }
    if let Some(image) = part.get("image") {
        return json!({"type": "image_url", "image_url": {"url": url(image)}});
    }
    if let Some(file) = part.get("file") {
        return json!({"type": "file", "file": {"filename": file["name"], "file_data": url(file)}});
    }
    json!({"type": "text", "text": part["text"]})
}

/// A content of one text is a string.
fn one_text(parts: Vec<Value>) -> Value {
    match &parts[..] {
        [] => json!(""),
        [part] if part["type"] == "text" => part["text"].clone(),
        _ => Value::Array(parts),
    }
}

/// A request as a provider hears it.
pub fn heard(words: &mut Words) {
    let messages = words.take("messages");
    let mut messages: Vec<&Value> = items(&messages).collect();
    if messages.first().is_some_and(|message| message["role"] == "system" || message["role"] == "developer") {
        words.put("system", messages.remove(0)["content"].clone());
    }
    words.put("turns", messages.into_iter().map(turn).collect());
    let tools = words.take("tools");
    let function = |tool: &Value| {
        let function = &tool["function"];
        known(
            json!({"name": function["name"], "about": function["description"], "schema": function["parameters"],
                "strict": (function["strict"] == true).then_some(true)}),
        )
    };
    words.put("tools", items(&tools).map(function).collect());
    let choice = words.take("tool_choice");
    words
        .put("choice", choice.pointer("/function/name").map_or(choice.clone(), |name| json!({"name": name})));
    let format = words.take("response_format");
    words.put(
        "format",
        match text(&format["type"]) {
            "json_schema" => json!({"schema": format["json_schema"]["schema"]}),
            "json_object" => json!("json"),
            _ => Value::Null,
        },
    );
    for (name, to) in [
        ("parallel_tool_calls", "parallel"),
        ("max_completion_tokens", "max"),
        ("max_tokens", "max"),
        ("frequency_penalty", "frequency"),
        ("presence_penalty", "presence"),
        ("reasoning_effort", "effort"),
    ] {
        words.carry(name, to);
    }
    for name in ["temperature", "top_p", "seed", "stop", "n", "user"] {
        words.carry(name, name);
    }
    ["model", "stream", "stream_options", "store", "sim"].iter().for_each(|name| drop(words.take(name)));
}

fn turn(message: &Value) -> Value {
    let mut parts = Vec::new();
    if let Some(thought) = message.get("reasoning_content").filter(|thought| !thought.is_null()) {
        parts.push(json!({"thought": thought}));
    }
    match &message["content"] {
        Value::String(text) => parts.push(part_text(text.as_str())),
        list => parts.extend(items(list).map(understood)),
    }
    for call in items(&message["tool_calls"]) {
        let function = &call["function"];
        parts.push(json!({"call": {"id": call["id"], "name": function["name"], "args": parsed(&function["arguments"])}}));
    }
    match text(&message["role"]) {
        "tool" => {
            json!({"role": "user", "parts": [{"result": {"id": message["tool_call_id"], "parts": parts}}]})
        }
        "assistant" => json!({"role": "model", "parts": parts}),
        role => json!({"role": role, "parts": parts}),
    }
}

fn understood(part: &Value) -> Value {
    match text(&part["type"]) {
        "text" => part_text(part["text"].clone()),
        "image_url" => image_of_url(&part["image_url"]["url"]),
        "file" => {
            let file = &part["file"];
            let (kind, data) = data_url(text(&file["file_data"])).unwrap_or_default();
            json!({"file": {"kind": kind, "data": data, "name": file["filename"]}})
        }
        other => json!({"unknown": other}),
    }
}

/// A whole answer.
pub fn whole(body: &Value) -> Result<Value, String> {
    if body["object"] != "chat.completion" {
        return Err(format!("no completion: {body}"));
    }
    let mut said = Said::default();
    for choice in items(&body["choices"]) {
        let index = choice["index"].as_u64().ok_or("a choice without an index")?;
        add(&mut said, index, &choice["message"]);
        finish(&mut said, index, choice)?;
    }
    said.usage = tokens(&body["usage"]);
    said.into_value()
}

fn add(said: &mut Said, index: u64, message: &Value) {
    if let Some(thought) = message["reasoning_content"].as_str() {
        said.add(index, "thought", "thought", thought);
    }
    for block in items(&message["thinking_blocks"]) {
        if block["type"] == "redacted_thinking" {
            said.part(index, "hidden", json!({"hidden": true}))["signature"] = block["data"].clone();
        } else if let Some(signature) = block.get("signature") {
            said.part(index, "thought", json!({"thought": ""}))["signature"] = signature.clone();
        }
    }
    for (name, key) in [("content", "text"), ("refusal", "refusal")] {
        if let Some(text) = message[name].as_str().filter(|text| !text.is_empty()) {
            said.add(index, key, key, text);
        }
    }
    for (at, call) in items(&message["tool_calls"]).enumerate() {
        let name = format!("call{}", call["index"].as_u64().unwrap_or(at as u64));
        let function = &call["function"];
        let new = json!({"call": {"id": call["id"], "name": function["name"], "args": ""}});
        let part = said.part(index, &name, new);
        let before = text(&part["call"]["args"]).to_owned();
        part["call"]["args"] = json!(before + text(&function["arguments"]));
        if let Some(signature) = call.pointer("/extra_content/google/thought_signature") {
            part["signature"] = signature.clone();
        }
    }
}

fn finish(said: &mut Said, index: u64, choice: &Value) -> Result<(), String> {
    let reason = text(&choice["finish_reason"]);
    if !["stop", "length", "tool_calls", "content_filter"].contains(&reason) {
        return Err(format!("the finish reason is {}", choice["finish_reason"]));
    }
    said.finish(index, reason, &Value::Null);
    Ok(())
}

fn tokens(stated: &Value) -> Value {
    let (cached, written) = (
        &stated["prompt_tokens_details"]["cached_tokens"],
        &stated["prompt_tokens_details"]["cache_write_tokens"],
    );
    let input = stated["prompt_tokens"].as_u64().unwrap_or(0);
    let input = input - cached.as_u64().unwrap_or(0) - written.as_u64().unwrap_or(0);
    usage(
        input,
        cached,
        written,
        &stated["completion_tokens"],
        &stated["completion_tokens_details"]["reasoning_tokens"],
    )
}

/// A stream. Arguments are read as they are put together.
pub fn stream(events: &[(String, String)]) -> Result<Value, String> {
    let Some((last, events)) = events.split_last() else { return Err("no events".to_owned()) };
    if last.1 != "[DONE]" {
        return Err(format!("the stream ends in {last:?}"));
    }
    let (mut said, mut ids) = (Said::default(), Map::new());
    for event in events {
        let chunk = data(event)?;
        if chunk["object"] != "chat.completion.chunk" || !event.0.is_empty() {
            return Err(format!("no chunk: {event:?}"));
        }
        ids.insert(chunk["id"].to_string(), Value::Null);
        for choice in items(&chunk["choices"]) {
            let index = choice["index"].as_u64().ok_or("a choice without an index")?;
            add(&mut said, index, &choice["delta"]);
            if !choice["finish_reason"].is_null() {
                finish(&mut said, index, choice)?;
            }
        }
        if !chunk["usage"].is_null() {
            if chunk["choices"] != json!([]) || !said.usage.is_null() {
                return Err(format!("usage beside choices, or twice: {chunk}"));
            }
            said.usage = tokens(&chunk["usage"]);
        }
    }
    if ids.len() != 1 {
        return Err(format!("the chunks have {} ids", ids.len()));
    }
    said.into_value()
}
