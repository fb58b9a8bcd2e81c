//! Anthropic's Messages in the words of the matrix: requests of a caller, requests as a provider hears them, answers.

use serde_json::{Value, json};

use super::neutral::{Said, Words, items, known, part_text, text, usage};
use super::world::data;

/// A caller's request.
pub fn ask(talk: &Value) -> Value {
    let turn = |turn: &Value| {
        let role = if turn["role"] == "model" { "assistant" } else { text(&turn["role"]) };
        let blocks: Vec<Value> = items(&turn["parts"]).map(block).collect();
        json!({"role": role, "content": blocks})
    };
    let tool = |tool: &Value| {
        known(
            json!({"name": tool["name"], "description": tool["about"], "input_schema": tool["schema"], "strict": tool["strict"]}),
        )
    };
    let mut choice = match &talk["choice"] {
        Value::Object(named) => json!({"type": "tool", "name": named["name"]}),
        Value::String(word) if word == "required" => json!({"type": "any"}),
        Value::String(word) => json!({"type": word}),
        _ => Value::Null,
    };
    if talk["parallel"] == false {
        let mut with = if choice.is_null() { json!({"type": "auto"}) } else { choice };
        with["disable_parallel_tool_use"] = json!(true);
        choice = with;
    }
    let format = talk["format"].get("schema").map(|schema| json!({"type": "json_schema", "schema": schema}));
    let thinking = match (&talk["budget"], &talk["effort"]) {
        (Value::Null, Value::Null) => Value::Null,
        (Value::Null, _) => json!({"type": "adaptive"}),
        (budget, _) => json!({"type": "enabled", "budget_tokens": budget}),
    };
    let mut output = json!({"format": format, "effort": talk["effort"]});
    output = known(output);
    let tools: Vec<Value> = items(&talk["tools"]).map(tool).collect();
    known(json!({"messages": items(&talk["turns"]).map(turn).collect::<Vec<_>>(), "system": talk["system"],
        "tools": if tools.is_empty() { Value::Null } else { json!(tools) }, "tool_choice": choice,
        "max_tokens": if talk["max"].is_null() { json!(4096) } else { talk["max"].clone() },
        "temperature": talk["temperature"], "top_p": talk["top_p"], "top_k": talk["top_k"],
        "stop_sequences": talk["stop"], "thinking": thinking,
        "output_config": if output == json!({}) { Value::Null } else { output },
        "metadata": talk["user"].as_str().map(|user| json!({"user_id": user}))}))
}

fn block(part: &Value) -> Value {
    let source =
        |media: &Value| json!({"type": "base64", "media_type": media["kind"], "data": media["data"]});
    if let Some(address) = part.get("url") {
        return json!({"type": "image", "source": {"type": "url", "url": address}});
    }
    if let Some(image) = part.get("image") {
        return json!({"type": "image", "source": source(image)});
    }
    if let Some(file) = part.get("file") {
        return json!({"type": "document", "title": file["name"], "source": source(file)});
    }
    if let Some(call) = part.get("call") {
        // State of another provider that came with the call goes back with it.
        let signature = part.get("signature");
        return known(
            json!({"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["args"], "signature": signature}),
        );
    }
    if let Some(result) = part.get("result") {
        let content: Vec<Value> = items(&result["parts"]).map(block).collect();
        let is_error = result["error"].as_bool();
        return known(
            json!({"type": "tool_result", "tool_use_id": result["id"], "content": content, "is_error": is_error}),
        );
    }
    if let Some(thought) = part.get("thought") {
        return json!({"type": "thinking", "thinking": thought, "signature": part["signature"]});
    }
    if part.get("hidden").is_some() {
        return json!({"type": "redacted_thinking", "data": part["signature"]});
    }
    json!({"type": "text", "text": part["text"]})
}

/// A request as a provider hears it.
pub fn heard(words: &mut Words) {
    let system = match words.take("system") {
        Value::Array(blocks) => {
            json!(blocks.iter().map(|block| text(&block["text"])).collect::<Vec<_>>().join("\n\n"))
        }
        text => text,
    };
    words.put("system", system);
    let turn = |message: &Value| {
        let role = if message["role"] == "assistant" { "model" } else { text(&message["role"]) };
        json!({"role": role, "parts": parts(&message["content"])})
    };
    let messages = words.take("messages");
    words.put("turns", items(&messages).map(turn).collect());
    let tools = words.take("tools");
    let tool = |tool: &Value| {
        known(json!({"name": tool["name"], "about": tool["description"], "schema": tool["input_schema"],
                "strict": (tool["strict"] == true).then_some(true)}))
    };
    words.put("tools", items(&tools).map(tool).collect());
    let choice = words.take("tool_choice");
    words.put(
        "choice",
        match text(&choice["type"]) {
            "" => Value::Null,
            "any" => json!("required"),
            "tool" => json!({"name": choice["name"]}),
            word => json!(word),
        },
    );
    if choice["disable_parallel_tool_use"] == true {
        words.put("parallel", json!(false));
    }
    words.open("output_config");
    if let Some(schema) = words.take("format").get("schema") {
        words.put("format", json!({"schema": schema}));
    }
    let thinking = words.take("thinking");
    words.put("budget", thinking["budget_tokens"].clone());
    words.put("thinking", thinking["type"].clone());
    words.carry("max_tokens", "max");
    words.carry("stop_sequences", "stop");
    for name in ["temperature", "top_p", "top_k", "effort"] {
        words.carry(name, name);
    }
    let user = words.take("metadata")["user_id"].clone();
    words.put("user", user);
    ["model", "stream", "sim"].iter().for_each(|name| drop(words.take(name)));
}

fn parts(content: &Value) -> Value {
    match content {
        Value::String(text) => json!([part_text(text.as_str())]),
        blocks => items(blocks).map(understood).collect(),
    }
}

fn understood(block: &Value) -> Value {
    let source = &block["source"];
    let media = || json!({"kind": source["media_type"], "data": source["data"]});
    match text(&block["type"]) {
        "text" => part_text(block["text"].clone()),
        "image" if source["type"] == "url" => json!({"url": source["url"]}),
        "image" => json!({"image": media()}),
        "document" => {
            let mut file = media();
            file["name"] = block["title"].clone();
            json!({"file": file})
        }
        "tool_use" => json!({"call": {"id": block["id"], "name": block["name"], "args": block["input"]}}),
        "tool_result" => {
            let error = block["is_error"].as_bool().filter(|is_error| *is_error);
            let result =
                json!({"id": block["tool_use_id"], "parts": parts(&block["content"]), "error": error});
            json!({"result": known(result)})
        }
        "thinking" => json!({"thought": block["thinking"], "signature": block["signature"]}),
        "redacted_thinking" => json!({"hidden": true, "signature": block["data"]}),
        other => json!({"unknown": other}),
    }
}

/// A whole answer.
pub fn whole(body: &Value) -> Result<Value, String> {
    if body["type"] != "message" || !text(&body["id"]).starts_with("msg_") || body["role"] != "assistant" {
        return Err(format!("no message: {body}"));
    }
    let mut said = Said::default();
    said.part(0, "none", json!({"text": ""}));
    for (at, block) in items(&body["content"]).enumerate() {
        *said.part(0, &at.to_string(), Value::Null) = answered(block)?;
    }
    finish(&mut said, body)?;
    said.usage = tokens(&body["usage"]);
    said.into_value()
}

fn answered(block: &Value) -> Result<Value, String> {
    Ok(match text(&block["type"]) {
        "text" => part_text(block["text"].clone()),
        "thinking" => known(
            json!({"thought": block["thinking"], "signature": block["signature"].as_str().filter(|text| !text.is_empty())}),
        ),
        "redacted_thinking" => json!({"hidden": true, "signature": block["data"]}),
        "tool_use" => {
            let call = json!({"id": block["id"], "name": block["name"], "args": block["input"]});
            known(json!({"call": call, "signature": block.get("signature")}))
        }
        other => return Err(format!("a block of the kind {other:?}")),
    })
}

fn finish(said: &mut Said, ending: &Value) -> Result<(), String> {
    let reason = match text(&ending["stop_reason"]) {
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "refusal",
        other => return Err(format!("the stop reason is {other:?}")),
    };
    said.finish(0, reason, &ending["stop_sequence"]);
    Ok(())
}

fn tokens(stated: &Value) -> Value {
    usage(
        stated["input_tokens"].as_u64().unwrap_or(0),
        &stated["cache_read_input_tokens"],
        &stated["cache_creation_input_tokens"],
        &stated["output_tokens"],
        &stated["output_tokens_details"]["thinking_tokens"],
    )
}

/// A stream: one block at a time, each opened, filled and closed.
pub fn stream(events: &[(String, String)]) -> Result<Value, String> {
    let mut said = Said::default();
    said.part(0, "none", json!({"text": ""}));
    let (mut open, mut next, mut order) = (None, 0, Vec::new());
    for event in events {
        let step = data(event)?;
        let kind = text(&step["type"]).to_owned();
        if kind != event.0 {
            return Err(format!("an event of the name {:?} is {kind:?}", event.0));
        }
        let wrong = || format!("`{kind}` stands where it must not: {events:?}");
        match &*kind {
            "ping" => continue,
            "message_start" if order.is_empty() => {}
            "content_block_start" if open.is_none() && step["index"] == next => {
                open = Some(next);
                let mut new = answered(&step["content_block"])?;
                if new.get("call").is_some() {
                    new["call"]["args"] = json!("");
                }
                said.part(0, &next.to_string(), new);
                next += 1;
            }
            "content_block_delta" if open.is_some_and(|at| step["index"] == at) => {
                fill(said.part(0, &step["index"].to_string(), Value::Null), &step["delta"])?;
            }
            "content_block_stop" if open.is_some_and(|at| step["index"] == at) => {
                let part = said.part(0, &step["index"].to_string(), Value::Null);
                if part["call"]["args"] == "" {
                    part["call"]["args"] = json!({});
                }
                open = None;
            }
            "message_delta" if open.is_none() => {
                finish(&mut said, &step["delta"])?;
                said.usage = tokens(&step["usage"]);
            }
            "message_stop" if order.last().is_some_and(|last| last == "message_delta") => {}
            _ => return Err(wrong()),
        }
        order.push(kind);
    }
    if order.last().is_none_or(|last| last != "message_stop") {
        return Err(format!("the stream ends behind {:?}", order.last()));
    }
    said.into_value()
}

fn fill(part: &mut Value, delta: &Value) -> Result<(), String> {
    let mut append = |pointer: &str, more: &Value| {
        let place = part.pointer_mut(pointer).ok_or_else(|| format!("{delta} in a block of another kind"))?;
        *place = json!(text(place).to_owned() + text(more));
        Ok(())
    };
    match text(&delta["type"]) {
        "text_delta" => append("/text", &delta["text"]),
        "thinking_delta" => append("/thought", &delta["thinking"]),
        "input_json_delta" => append("/call/args", &delta["partial_json"]),
        "signature_delta" => {
            part["signature"] = delta["signature"].clone();
            Ok(())
        }
        other => Err(format!("a delta of the kind {other:?}")),
    }
}
