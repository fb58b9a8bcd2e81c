//! Gemini's generateContent in the words of the matrix: requests of a caller, requests as a provider hears them, answers.

use serde_json::{Value, json};

use super::neutral::{Said, Words, items, known, part_text, text, usage};
use super::world::data;

/// A caller's request.
pub fn ask(talk: &Value) -> Value {
    let mut names: Vec<(Value, Value)> = Vec::new();
    let mut contents = Vec::new();
    for turn in items(&talk["turns"]) {
        let mut parts = Vec::new();
        for part in items(&turn["parts"]) {
            if let Some(call) = part.get("call") {
                names.push((call["id"].clone(), call["name"].clone()));
            }
            spoken(part, &names, &mut parts);
        }
        contents.push(json!({"role": turn["role"], "parts": parts}));
    }
    let tool = |tool: &Value| {
        known(
            json!({"name": tool["name"], "description": tool["about"], "parametersJsonSchema": tool["schema"]}),
        )
    };
    let tools: Vec<Value> = items(&talk["tools"]).map(tool).collect();
    let calling = match &talk["choice"] {
        Value::Object(named) => json!({"mode": "ANY", "allowedFunctionNames": [named["name"]]}),
        Value::String(word) => {
            json!({"mode": match word.as_str() { "required" => "ANY", "none" => "NONE", _ => "AUTO" }})
        }
        _ => Value::Null,
    };
    let thinking = known(json!({"thinkingBudget": talk["budget"], "thinkingLevel": talk["effort"]}));
    let config = known(
        json!({"maxOutputTokens": talk["max"], "temperature": talk["temperature"], "topP": talk["top_p"],
        "topK": talk["top_k"], "seed": talk["seed"], "frequencyPenalty": talk["frequency"],
        "presencePenalty": talk["presence"], "candidateCount": talk["n"], "stopSequences": talk["stop"],
        "responseMimeType": talk.get("format").map(|_| "application/json"),
        "responseJsonSchema": talk["format"].get("schema"),
        "thinkingConfig": if thinking == json!({}) { Value::Null } else { thinking }}),
    );
    known(json!({"contents": contents,
        "systemInstruction": talk["system"].as_str().map(|text| json!({"parts": [{"text": text}]})),
        "tools": if tools.is_empty() { Value::Null } else { json!([{"functionDeclarations": tools}]) },
        "toolConfig": if calling.is_null() { calling } else { json!({"functionCallingConfig": calling}) },
        "generationConfig": config}))
}

fn spoken(part: &Value, names: &[(Value, Value)], out: &mut Vec<Value>) {
    let inline = |media: &Value| json!({"inlineData": {"mimeType": media["kind"], "data": media["data"]}});
    let mut spoken = if let Some(address) = part.get("url") {
        json!({"fileData": {"mimeType": "image/png", "fileUri": address}})
    } else if let Some(media) = part.get("image").or(part.get("file")) {
        inline(media)
    } else if let Some(call) = part.get("call") {
        json!({"functionCall": {"id": call["id"], "name": call["name"], "args": call["args"]}})
    } else if let Some(result) = part.get("result") {
        let name = names.iter().find(|(id, _)| *id == result["id"]).map(|(_, name)| name);
        let said: String = items(&result["parts"]).map(|part| text(&part["text"])).collect();
        let key = if result["error"] == true { "error" } else { "result" };
        json!({"functionResponse": {"id": result["id"], "name": name, "response": {key: said}}})
    } else if let Some(thought) = part.get("thought") {
        json!({"text": thought, "thought": true})
    } else {
        json!({"text": part["text"]})
    };
    if let Some(signature) = part.get("signature") {
        spoken["thoughtSignature"] = signature.clone();
    }
    out.push(spoken);
    for part in items(&part["result"]["parts"]).filter(|part| part.get("image").is_some()) {
        out.push(inline(&part["image"]));
    }
}

/// A request as a provider hears it.
pub fn heard(words: &mut Words) {
    let system: Vec<Value> = items(&words.take("systemInstruction")["parts"]).cloned().collect();
    let system: Vec<&str> = system.iter().map(|part| text(&part["text"])).collect();
    words.put("system", if system.is_empty() { Value::Null } else { json!(system.join("\n\n")) });
    let contents = words.take("contents");
    let turn = |content: &Value| json!({"role": content["role"], "parts": items(&content["parts"]).map(understood).collect::<Vec<_>>()});
    words.put("turns", items(&contents).map(turn).collect());
    let tools = words.take("tools");
    let tool = |tool: &Value| {
        known(
            json!({"name": tool["name"], "about": tool["description"], "schema": tool["parametersJsonSchema"]}),
        )
    };
    let declared = items(&tools).flat_map(|tool| items(&tool["functionDeclarations"]));
    words.put("tools", declared.map(tool).collect());
    let calling = words.take("toolConfig")["functionCallingConfig"].clone();
    words.put(
        "choice",
        match (text(&calling["mode"]), calling["allowedFunctionNames"].get(0)) {
            ("ANY", Some(name)) => json!({"name": name}),
            ("ANY", None) => json!("required"),
            ("NONE", _) => json!("none"),
            ("AUTO", _) => json!("auto"),
            _ => Value::Null,
        },
    );
    words.open("generationConfig");
    for (name, to) in [
        ("maxOutputTokens", "max"),
        ("temperature", "temperature"),
        ("topP", "top_p"),
        ("topK", "top_k"),
        ("seed", "seed"),
        ("frequencyPenalty", "frequency"),
        ("presencePenalty", "presence"),
        ("candidateCount", "n"),
        ("stopSequences", "stop"),
    ] {
        words.carry(name, to);
    }
    let (kind, schema) = (words.take("responseMimeType"), words.take("responseJsonSchema"));
    words.put(
        "format",
        match (kind == "application/json", schema) {
            (false, _) => Value::Null,
            (true, Value::Null) => json!("json"),
            (true, schema) => json!({"schema": schema}),
        },
    );
    let thinking = words.take("thinkingConfig");
    words.put("budget", thinking["thinkingBudget"].clone());
    words.put("effort", thinking["thinkingLevel"].clone());
    words.take("sim");
}

fn understood(part: &Value) -> Value {
    let mut understood = if let Some(call) = part.get("functionCall") {
        json!({"call": {"id": call["id"], "name": call["name"], "args": call["args"]}})
    } else if let Some(told) = part.get("functionResponse") {
        let response = &told["response"];
        let error = response.get("error").map(|_| true);
        let said = response.get("error").or(response.get("result")).unwrap_or(response);
        let said = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
        let result =
            json!({"id": told["id"], "name": told["name"], "parts": [part_text(said)], "error": error});
        json!({"result": known_but_id(result)})
    } else if let Some(data) = part.get("inlineData") {
        json!({"image": {"kind": data["mimeType"], "data": data["data"]}})
    } else if let Some(data) = part.get("fileData") {
        json!({"url": data["fileUri"]})
    } else if part["thought"] == true {
        json!({"thought": part["text"]})
    } else {
        part_text(part["text"].clone())
    };
    if let Some(signature) = part.get("thoughtSignature") {
        understood["signature"] = signature.clone();
    }
    understood
}

fn known_but_id(result: Value) -> Value {
    let id = result["id"].clone();
    let mut result = known(result);
    result["id"] = id;
    result
}

/// A whole answer.
pub fn whole(body: &Value) -> Result<Value, String> {
    let mut said = Said::default();
    add(&mut said, body)?;
    said.into_value()
}

/// A stream of whole answers, each with what is new.
pub fn stream(events: &[(String, String)]) -> Result<Value, String> {
    let mut said = Said::default();
    for event in events {
        let answer = data(event)?;
        if answer.get("error").is_some() {
            return Err(format!("an error: {answer}"));
        }
        add(&mut said, &answer)?;
    }
    said.into_value()
}

fn add(said: &mut Said, answer: &Value) -> Result<(), String> {
    for candidate in items(&answer["candidates"]) {
        let index = candidate["index"].as_u64().unwrap_or(0);
        for part in items(&candidate["content"]["parts"]) {
            hear(said, index, part);
        }
        if let Some(reason) = candidate["finishReason"].as_str() {
            let reason = match reason {
                "STOP" if said.has(index, "call0") => "tool_calls",
                "STOP" => "stop",
                "MAX_TOKENS" => "length",
                "SAFETY" => "content_filter",
                other => return Err(format!("the finish reason is {other:?}")),
            };
            said.finish(index, reason, &Value::Null);
        }
    }
    if answer["promptFeedback"]["blockReason"].is_string() {
        said.finish(0, "content_filter", &Value::Null);
    }
    if let Some(stated) = answer.get("usageMetadata") {
        let cached = &stated["cachedContentTokenCount"];
        let thoughts = &stated["thoughtsTokenCount"];
        let input = stated["promptTokenCount"].as_u64().unwrap_or(0) - cached.as_u64().unwrap_or(0);
        let output = stated["candidatesTokenCount"].as_u64().unwrap_or(0) + thoughts.as_u64().unwrap_or(0);
        said.usage = usage(input, cached, &Value::Null, &json!(output), thoughts);
    }
    Ok(())
}

/// Takes a part in: texts of one kind are joined, calls come whole.
fn hear(said: &mut Said, index: u64, part: &Value) {
    let signature = part.get("thoughtSignature");
    if let Some(call) = part.get("functionCall") {
        let at = (0..).find(|at| !said.has(index, &format!("call{at}"))).unwrap_or(0);
        let new = json!({"call": {"id": call["id"].as_str().map_or_else(|| at.to_string(), str::to_owned),
            "name": call["name"], "args": call["args"]}});
        let part = said.part(index, &format!("call{at}"), new);
        signature.inspect(|signature| part["signature"] = (*signature).clone());
        return;
    }
    let name = if part["thought"] == true { "thought" } else { "text" };
    said.add(index, name, name, text(&part["text"]));
    if let Some(signature) = signature {
        said.part(index, name, Value::Null)["signature"] = signature.clone();
    }
}
