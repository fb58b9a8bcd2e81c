//! OpenAI's Responses in the words of the matrix: requests of a caller, requests as a provider hears them, answers.

use serde_json::{Value, json};

use super::neutral::{Said, Words, data_url, image_of_url, items, known, parsed, part_text, text, usage};
use super::world::data;

/// A caller's request.
pub fn ask(talk: &Value) -> Value {
    let mut input = Vec::new();
    items(&talk["turns"]).for_each(|turn| say(turn, &mut input));
    let tool = |tool: &Value| {
        known(
            json!({"type": "function", "name": tool["name"], "description": tool["about"], "parameters": tool["schema"], "strict": tool["strict"] == true}),
        )
    };
    let tools: Vec<Value> = items(&talk["tools"]).map(tool).collect();
    let choice = match &talk["choice"] {
        Value::Object(named) => json!({"type": "function", "name": named["name"]}),
        word => word.clone(),
    };
    let format = match &talk["format"] {
        Value::Object(format) => {
            json!({"format": {"type": "json_schema", "name": "place", "schema": format["schema"], "strict": true}})
        }
        Value::String(_) => json!({"format": {"type": "json_object"}}),
        _ => Value::Null,
    };
    known(json!({"input": input, "instructions": talk["system"],
        "tools": if tools.is_empty() { Value::Null } else { json!(tools) }, "tool_choice": choice,
        "parallel_tool_calls": talk["parallel"], "max_output_tokens": talk["max"], "temperature": talk["temperature"],
        "top_p": talk["top_p"], "text": format,
        "reasoning": talk.get("effort").map(|effort| json!({"effort": effort})), "user": talk["user"]}))
}

fn say(turn: &Value, input: &mut Vec<Value>) {
    let is_model = turn["role"] == "model";
    let mut content = Vec::new();
    let role = if is_model { "assistant" } else { text(&turn["role"]) };
    for part in items(&turn["parts"]) {
        let is_content = ["text", "url", "image", "file"].iter().any(|key| part.get(*key).is_some());
        if !is_content && !content.is_empty() {
            let content = std::mem::take(&mut content);
            input.push(json!({"type": "message", "role": role, "content": content}));
        }
        if let Some(call) = part.get("call") {
            input.push(json!({"type": "function_call", "call_id": call["id"], "name": call["name"],
                "arguments": call["args"].to_string()}));
        } else if let Some(result) = part.get("result") {
            let parts: Vec<Value> = items(&result["parts"]).map(|part| spoken(part, false)).collect();
            let output = match &parts[..] {
                [] => json!(""),
                [only] if only["type"] == "input_text" => only["text"].clone(),
                _ => json!(parts),
            };
            input.push(json!({"type": "function_call_output", "call_id": result["id"], "output": output}));
        } else if let Some(thought) = part.get("thought") {
            let summary = json!([{"type": "summary_text", "text": thought}]);
            input.push(known(json!({"type": "reasoning", "id": "rs_1", "summary": summary,
                "encrypted_content": part["signature"]})));
        } else if part.get("hidden").is_some() {
            input.push(
                json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": part["signature"]}),
            );
        } else {
            content.push(spoken(part, is_model));
        }
    }
    if !content.is_empty() {
        input.push(json!({"type": "message", "role": role, "content": content}));
    }
}

fn spoken(part: &Value, is_model: bool) -> Value {
    let url = |media: &Value| format!("data:{};base64,{}", text(&media["kind"]), text(&media["data"]));
    if let Some(address) = part.get("url") {
        return json!({"type": "input_image", "detail": "auto", "image_url": address});
    }
    if let Some(image) = part.get("image") {
        return json!({"type": "input_image", "detail": "auto", "image_url": url(image)});
    }
    if let Some(file) = part.get("file") {
        return json!({"type": "input_file", "filename": file["name"], "file_data": url(file)});
    }
    match is_model {
        true => json!({"type": "output_text", "text": part["text"], "annotations": []}),
        false => json!({"type": "input_text", "text": part["text"]}),
    }
}

/// A request as a provider hears it.
pub fn heard(words: &mut Words) {
    words.carry("instructions", "system");
    let input = words.take("input");
    words.put("turns", items(&input).map(turn).collect());
    let tools = words.take("tools");
    let tool = |tool: &Value| {
        known(json!({"name": tool["name"], "about": tool["description"], "schema": tool["parameters"],
                "strict": (tool["strict"] != false).then_some(true)}))
    };
    words.put("tools", items(&tools).map(tool).collect());
    let choice = words.take("tool_choice");
    words.put("choice", choice.get("name").map_or(choice.clone(), |name| json!({"name": name})));
    let format = words.take("text")["format"].clone();
    words.put(
        "format",
        match text(&format["type"]) {
            "json_schema" => json!({"schema": format["schema"]}),
            "json_object" => json!("json"),
            _ => Value::Null,
        },
    );
    words.carry("parallel_tool_calls", "parallel");
    words.carry("max_output_tokens", "max");
    for name in ["temperature", "top_p", "user"] {
        words.carry(name, name);
    }
    let reasoning = words.take("reasoning");
    words.put("effort", reasoning["effort"].clone());
    ["model", "stream", "store", "include", "sim"].iter().for_each(|name| drop(words.take(name)));
}

fn turn(item: &Value) -> Value {
    let part = |part: Value, role: &str| json!({"role": role, "parts": [part]});
    match text(&item["type"]) {
        "function_call" => part(
            json!({"call": {"id": item["call_id"], "name": item["name"], "args": parsed(&item["arguments"])}}),
            "model",
        ),
        "function_call_output" => {
            part(json!({"result": {"id": item["call_id"], "parts": parts(&item["output"])}}), "user")
        }
        "reasoning" if item["summary"] == json!([]) => {
            part(json!({"hidden": true, "signature": item["encrypted_content"]}), "model")
        }
        "reasoning" => part(
            json!({"thought": item["summary"][0]["text"], "signature": item["encrypted_content"]}),
            "model",
        ),
        _ => {
            let role = match text(&item["role"]) {
                "assistant" => "model",
                "developer" => "system",
                role => role,
            };
            json!({"role": role, "parts": parts(&item["content"])})
        }
    }
}

fn parts(content: &Value) -> Value {
    match content {
        Value::String(text) => json!([part_text(text.as_str())]),
        list => items(list).map(understood).collect(),
    }
}

fn understood(part: &Value) -> Value {
    match text(&part["type"]) {
        "input_text" | "output_text" => part_text(part["text"].clone()),
        "input_image" => image_of_url(&part["image_url"]),
        "input_file" => {
            let (kind, data) = data_url(text(&part["file_data"])).unwrap_or_default();
            json!({"file": {"kind": kind, "data": data, "name": part["filename"]}})
        }
        other => json!({"unknown": other}),
    }
}

/// A whole response.
pub fn whole(body: &Value) -> Result<Value, String> {
    if body["object"] != "response" || !text(&body["id"]).starts_with("resp_") {
        return Err(format!("no response: {body}"));
    }
    for member in ["tools", "tool_choice", "metadata", "parallel_tool_calls", "instructions", "temperature"] {
        if body.get(member).is_none() {
            return Err(format!("the response lacks `{member}`"));
        }
    }
    let mut said = Said::default();
    said.part(0, "none", json!({"text": ""}));
    for item in items(&body["output"]) {
        hear(&mut said, item)?;
    }
    let reason = match (text(&body["status"]), text(&body["incomplete_details"]["reason"])) {
        ("completed", _) if items(&body["output"]).any(|item| item["type"] == "function_call") => {
            "tool_calls"
        }
        ("completed", _) => "stop",
        ("incomplete", "max_output_tokens") => "length",
        ("incomplete", "content_filter") => "content_filter",
        other => return Err(format!("the status is {other:?}")),
    };
    said.finish(0, reason, &Value::Null);
    let stated = &body["usage"];
    let (cached, written) = (
        &stated["input_tokens_details"]["cached_tokens"],
        &stated["input_tokens_details"]["cache_write_tokens"],
    );
    let input = stated["input_tokens"].as_u64().unwrap_or(0);
    let input = input - cached.as_u64().unwrap_or(0) - written.as_u64().unwrap_or(0);
    said.usage = usage(
        input,
        cached,
        written,
        &stated["output_tokens"],
        &stated["output_tokens_details"]["reasoning_tokens"],
    );
    said.into_value()
}

fn hear(said: &mut Said, item: &Value) -> Result<(), String> {
    match text(&item["type"]) {
        "message" => {
            for part in items(&item["content"]) {
                match text(&part["type"]) {
                    "output_text" => said.add(0, "text", "text", text(&part["text"])),
                    "refusal" => said.add(0, "refusal", "refusal", text(&part["refusal"])),
                    other => return Err(format!("a part of the kind {other:?}")),
                }
            }
        }
        "reasoning" => {
            let name = text(&item["id"]).to_owned();
            let summary: String = items(&item["summary"]).map(|part| text(&part["text"])).collect();
            let signature = item.get("encrypted_content").filter(|value| !value.is_null());
            let is_hidden = item["summary"] == json!([]);
            let new = if is_hidden { json!({"hidden": true}) } else { json!({"thought": summary}) };
            let part = said.part(0, &name, new);
            signature.inspect(|signature| part["signature"] = (*signature).clone());
        }
        "function_call" => {
            let new =
                json!({"call": {"id": item["call_id"], "name": item["name"], "args": item["arguments"]}});
            said.part(0, text(&item["id"]), new);
        }
        other => return Err(format!("an item of the kind {other:?}")),
    }
    Ok(())
}

/// A stream: numbered events, every item opened and done, its deltas joined the same as its end.
pub fn stream(events: &[(String, String)]) -> Result<Value, String> {
    let (mut joined, mut done, mut opened) =
        (std::collections::BTreeMap::<String, String>::new(), Vec::new(), 0);
    let mut last = Value::Null;
    for (number, event) in events.iter().enumerate() {
        let step = data(event)?;
        let kind = text(&step["type"]);
        if kind != event.0 || step["sequence_number"] != number {
            return Err(format!("event {number} is {event:?}"));
        }
        let place = format!("{} {}", step["output_index"], step["item_id"]);
        if let Some(what) = kind.strip_suffix(".delta") {
            *joined.entry(format!("{what} {place}")).or_default() += text(&step["delta"]);
        } else if kind == "response.output_item.added" {
            if step["output_index"] != opened {
                return Err(format!("item {} opens as number {opened}", step["output_index"]));
            }
            opened += 1;
        } else if kind == "response.output_item.done" {
            done.push((step["output_index"].as_u64(), step["item"].clone()));
        } else if let Some(what) = kind.strip_suffix(".done") {
            let key = ["text", "refusal", "arguments"].iter().find_map(|key| step[*key].as_str());
            if let Some(text) = key {
                let deltas = joined.get(&format!("{what} {place}")).map_or("", String::as_str);
                if deltas != text {
                    return Err(format!("the deltas of {what} are {deltas:?}, its end says {text:?}"));
                }
            }
        }
        last = step;
    }
    done.sort_by_key(|(at, _)| *at);
    let items: Vec<Value> = done.into_iter().map(|(_, item)| item).collect();
    if last["response"]["output"] != json!(items) {
        return Err(format!(
            "the items that were done are {}, the last event has {}",
            json!(items),
            last["response"]["output"]
        ));
    }
    if text(&last["type"]) != format!("response.{}", text(&last["response"]["status"])) {
        return Err(format!("the last event is {last}"));
    }
    whole(&last["response"])
}
