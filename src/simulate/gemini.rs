//! Gemini's generateContent as a provider speaks it: the question, whole answers, streams in both framings, errors.

use serde_json::{Value, json};

use super::dialect::Task;
use super::question::{self, Choice, Question, items};
use super::script::{Finish, SIGNATURE, Script, Tokens};

/// The path names the model and whether it streams.
pub fn question(body: &Value) -> Question {
    let config = &body["generationConfig"];
    let calling = body.pointer("/toolConfig/functionCallingConfig").unwrap_or(&Value::Null);
    let choice = match calling["mode"].as_str() {
        Some("NONE") => Choice::None,
        _ => Choice::named(calling.pointer("/allowedFunctionNames/0")),
    };
    let declared = items(&body["tools"]).flat_map(|tool| items(&tool["functionDeclarations"]));
    let schema_at =
        |tool: &Value| SCHEMAS.into_iter().find(|at| tool.pointer(at).is_some()).unwrap_or("/parameters");
    let tools = declared.flat_map(|tool| question::tools(std::iter::once(tool), schema_at(tool), &choice));
    let tools = tools.collect();
    let is_json = config["responseMimeType"] == "application/json";
    let schema = config.get("responseJsonSchema").or_else(|| config.get("responseSchema")).cloned();
    Question {
        tools,
        results: results(&body["contents"]),
        user_text: question::user_text(&body["contents"], "parts"),
        schema: schema.or_else(|| is_json.then(question::any_object)),
        choices: config["candidateCount"].as_u64().unwrap_or(1),
        ..Question::default()
    }
}

fn results(turns: &Value) -> Vec<String> {
    let turns = question::since_answer(turns);
    let parts = turns.iter().flat_map(|turn| items(&turn["parts"]));
    let responses = parts.filter_map(|part| part.pointer("/functionResponse/response"));
    responses.map(result).collect()
}

/// What a tool said; its text where that is all that the object holds.
fn result(response: &Value) -> String {
    let only =
        response.as_object().filter(|object| object.len() == 1).and_then(|object| object.values().next());
    only.and_then(Value::as_str).map_or_else(|| response.to_string(), str::to_owned)
}

/// The whole answer.
pub fn whole(script: &Script) -> Vec<u8> {
    let mut answer = envelope(script, &script.tokens);
    if script.is_refusal {
        answer["promptFeedback"] = json!({"blockReason": "SAFETY"});
        return script.json(&answer).into_bytes();
    }
    let thought = script.thought.as_ref().map(|thought| json!({"text": thought.text(), "thought": true}));
    let mut parts: Vec<Value> = thought.into_iter().collect();
    if !script.text.is_empty() {
        parts.push(json!({"text": script.text}));
    }
    parts.extend(calls(script));
    if let (Some(_), Some(last), true) = (&script.thought, parts.last_mut(), script.calls.is_empty()) {
        last["thoughtSignature"] = json!(SIGNATURE);
    }
    let candidate = |index| candidate(index, &parts, Some(finish(&script.finish)));
    answer["candidates"] = (0..script.choices).map(candidate).collect();
    script.json(&answer).into_bytes()
}

/// The events of its stream: each a whole answer with what is new, and the tokens so far.
pub fn events(script: &Script, task: Task) -> Vec<Vec<u8>> {
    let mut steps: Vec<Vec<Value>> =
        thoughts(script).iter().map(|text| vec![json!({"text": text, "thought": true})]).collect();
    steps.extend(script.pieces().into_iter().map(|text| vec![json!({"text": text})]));
    steps.extend(calls(script).into_iter().map(|part| vec![part]));
    // The signature of a thought without calls comes on an empty text at the end.
    let is_signed = script.thought.is_some() && script.calls.is_empty();
    steps.push(if is_signed { vec![json!({"text": "", "thoughtSignature": SIGNATURE})] } else { Vec::new() });
    let count = steps.len();
    let mut answers = Vec::new();
    for (at, parts) in steps.iter().enumerate().filter(|_| !script.is_refusal) {
        let is_last = at + 1 == count;
        let output =
            if is_last { script.tokens.output } else { script.tokens.output * at as u64 / count as u64 };
        let tokens = Tokens { output, reasoning: script.tokens.reasoning.min(output), ..script.tokens };
        for index in 0..script.choices {
            let mut answer = envelope(script, &tokens);
            answer["candidates"] = json!([candidate(index, parts, is_last.then(|| finish(&script.finish)))]);
            answers.push(script.json(&answer));
        }
    }
    if script.is_refusal {
        let mut answer = envelope(script, &script.tokens);
        answer["promptFeedback"] = json!({"blockReason": "SAFETY"});
        answers.push(script.json(&answer));
    }
    let mut events: Vec<Vec<u8>> =
        answers.iter().enumerate().map(|(at, answer)| framed(answer, task, at == 0)).collect();
    if task == Task::ArrayStream {
        events.push(ARRAY_END.to_vec());
    }
    events
}

fn thoughts(script: &Script) -> &[String] {
    script.thought.as_ref().map_or(&[], |thought| &thought.pieces)
}

/// The calls as parts; the first of them carries the signature of the thought.
fn calls(script: &Script) -> Vec<Value> {
    let part = |(index, call): (usize, &super::script::Call)| {
        let mut part = json!({"functionCall": {"name": call.name, "args": call.arguments}});
        if script.ids {
            part["functionCall"]["id"] = json!(format!("call_simulated_{index}"));
        }
        if index == 0 && script.thought.is_some() {
            part["thoughtSignature"] = json!(SIGNATURE);
        }
        part
    };
    script.calls.iter().enumerate().map(part).collect()
}

fn candidate(index: u64, parts: &[Value], finish: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model"}, "index": index});
    if !parts.is_empty() {
        candidate["content"]["parts"] = json!(parts);
    }
    if let Some(reason) = finish {
        candidate["finishReason"] = json!(reason);
    }
    candidate
}

fn envelope(script: &Script, tokens: &Tokens) -> Value {
    json!({"modelVersion": script.model, "responseId": "simulated", "usageMetadata": usage(tokens)})
}

/// Thoughts are counted apart from the answer, cached input as part of the prompt.
fn usage(tokens: &Tokens) -> Value {
    let mut usage = json!({"promptTokenCount": tokens.read(), "totalTokenCount": tokens.total(),
        "candidatesTokenCount": tokens.output.saturating_sub(tokens.reasoning),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens.read()}]});
    if tokens.cached > 0 {
        usage["cachedContentTokenCount"] = json!(tokens.cached);
    }
    if tokens.reasoning > 0 {
        usage["thoughtsTokenCount"] = json!(tokens.reasoning);
    }
    usage
}

/// Calls end with a plain stop.
fn finish(finish: &Finish) -> &str {
    match finish {
        Finish::Stop | Finish::Calls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Filter | Finish::Refusal => "SAFETY",
        Finish::Other(word) => word,
    }
}

/// The answer to the count of a request's tokens.
pub fn token_count(script: &Script) -> Vec<u8> {
    let count = script.tokens.read();
    let details = json!([{"modality": "TEXT", "tokenCount": count}]);
    json!({"totalTokens": count, "promptTokensDetails": details}).to_string().into_bytes()
}

/// An error in Google's shape; the wait stands in its details.
pub fn error(status: u16, message: &str, retry_after: Option<&str>) -> Vec<u8> {
    let mut error = error_object(status, message);
    if let Some(seconds) = retry_after {
        let kind = "type.googleapis.com/google.rpc.RetryInfo";
        error["error"]["details"] = json!([{"@type": kind, "retryDelay": format!("{seconds}s")}]);
    }
    error.to_string().into_bytes()
}

/// The same inside of a stream, and the end of its framing.
pub fn error_events(status: u16, message: &str, task: Task, is_first: bool) -> Vec<Vec<u8>> {
    let error = framed(&error_object(status, message).to_string(), task, is_first);
    let end = if task == Task::ArrayStream { ARRAY_END } else { b"" };
    vec![[&error, end].concat()]
}

fn error_object(status: u16, message: &str) -> Value {
    let word = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        504 => "DEADLINE_EXCEEDED",
        503 | 529 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    // The real one has no 529.
    let code = if status == 529 { 503 } else { status };
    json!({"error": {"code": code, "message": message, "status": word}})
}

fn framed(answer: &str, task: Task, is_first: bool) -> Vec<u8> {
    match (task, is_first) {
        (Task::ArrayStream, true) => format!("[{answer}"),
        (Task::ArrayStream, false) => format!(",\r\n{answer}"),
        _ => format!("data: {answer}\r\n\r\n"),
    }
    .into_bytes()
}

const ARRAY_END: &[u8] = b"\r\n]";
/// Where a declared function has its schema; Google's own SDK for Python spells the newer place in snake case.
const SCHEMAS: [&str; 3] = ["/parametersJsonSchema", "/parameters_json_schema", "/parameters"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::testing::{data, joined, told, whole as whole_of};

    const WHOLE: &str = "/v1beta/models/g-1:generateContent";
    const SSE: &str = "/v1beta/models/g-1:streamGenerateContent?alt=sse";
    const ARRAY: &str = "/v1beta/models/g-1:streamGenerateContent";

    fn body(text: &str) -> Value {
        let tool = |name: &str, key: &str| json!({"name": name, key: {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}});
        json!({"contents": [{"role": "user", "parts": [{"text": text}]}],
            "tools": [{"functionDeclarations": [tool("a", "parametersJsonSchema"), tool("b", "parameters")]}]})
    }

    #[test]
    fn a_whole_answer_holds_what_was_asked_for() {
        let answer = whole_of(WHOLE, &body("[[sim tools=2 thinking=2 cached_tokens=3 ids]]"));
        let parts = &answer["candidates"][0]["content"]["parts"];
        assert_eq!(parts[0], json!({"text": "thought0 thought1 ", "thought": true}));
        let call = json!({"functionCall": {"name": "a", "args": {"city": "Paris"}, "id": "call_simulated_0"}, "thoughtSignature": SIGNATURE});
        assert_eq!((&parts[1], &parts[2]["functionCall"]["name"]), (&call, &json!("b")));
        let usage = &answer["usageMetadata"];
        assert_eq!((&usage["cachedContentTokenCount"], &usage["thoughtsTokenCount"]), (&json!(3), &json!(2)));
        assert_eq!(
            (&answer["modelVersion"], &answer["candidates"][0]["finishReason"]),
            (&json!("g-1"), &json!("STOP"))
        );
        let reason = |sim: &str| {
            whole_of(WHOLE, &body(&format!("[[sim tools=0 {sim}]]")))["candidates"][0]["finishReason"].clone()
        };
        assert_eq!(
            ["finish=length", "finish=filter", "finish=SPII"].map(reason),
            ["MAX_TOKENS", "SAFETY", "SPII"].map(|word| json!(word))
        );
        let refusal = whole_of(WHOLE, &body("[[sim refusal]]"));
        assert_eq!(
            (&refusal["promptFeedback"]["blockReason"], refusal.get("candidates")),
            (&json!("SAFETY"), None)
        );
        assert_eq!(
            whole_of(WHOLE, &body("[[sim tools=0 empty]]"))["candidates"][0]["content"],
            json!({"role": "model"})
        );
    }

    #[test]
    fn functions_keep_their_order_wherever_their_schema_stands() {
        let schema = json!({"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}});
        let mut request = body("[[sim tools=4]]");
        let declared: Vec<Value> = ["parameters", "parameters_json_schema", "parametersJsonSchema"]
            .map(|key| json!({"name": key, key: schema}))
            .into_iter()
            .chain([json!({"name": "bare"})])
            .collect();
        request["tools"] = json!([{"functionDeclarations": declared}]);
        let answer = whole_of(WHOLE, &request);
        let parts = items(&answer["candidates"][0]["content"]["parts"]);
        let calls: Vec<(&Value, &Value)> =
            parts.map(|part| (&part["functionCall"]["name"], &part["functionCall"]["args"])).collect();
        let (filled, empty) = (json!({"n": 7}), json!({}));
        let want = [&filled, &filled, &filled, &empty];
        assert!(calls.iter().zip(&declared).all(|(call, tool)| *call.0 == tool["name"]), "{answer}");
        assert_eq!(calls.iter().map(|call| call.1).collect::<Vec<_>>(), want);
    }

    #[test]
    fn both_framings_bring_the_same_answers() {
        let request = body("[[sim tools=1 thinking=2 events=3]]");
        let events = data(SSE, &request);
        assert!(
            told(SSE, &request)
                .iter()
                .all(|event| event.starts_with("data: {") && event.ends_with("}\r\n\r\n"))
        );
        let array: Vec<Value> = serde_json::from_str(&told(ARRAY, &request).concat()).unwrap();
        assert_eq!(array, events);
        assert_eq!(
            joined(&events, "/candidates/0/content/parts/0/text"),
            "thought0 thought1 word0 word1 word2 "
        );
        let finishes =
            events.iter().filter(|event| event.pointer("/candidates/0/finishReason").is_some()).count();
        assert_eq!(
            (finishes, events.last().unwrap().pointer("/candidates/0/finishReason")),
            (1, Some(&json!("STOP")))
        );
        let mut two = body("[[sim tools=0 events=1]]");
        two["generationConfig"] = json!({"candidateCount": 2});
        let indexes: Vec<Value> =
            data(SSE, &two).iter().map(|event| event["candidates"][0]["index"].clone()).collect();
        assert_eq!(indexes, [0, 1, 0, 1]);
    }

    #[test]
    fn faults_have_the_shape_of_the_dialect() {
        let error = whole_of(WHOLE, &body("[[sim status=429 retry_after=17]]"));
        assert_eq!(
            (&error["error"]["status"], &error["error"]["details"][0]["retryDelay"]),
            (&json!("RESOURCE_EXHAUSTED"), &json!("17s"))
        );
        for after in [0, 2, 99] {
            let request = body(&format!("[[sim tools=0 events=3 error_after_events={after}]]"));
            let array: Vec<Value> = serde_json::from_str(&told(ARRAY, &request).concat()).unwrap();
            assert_eq!(array.last().unwrap()["error"]["status"], "UNAVAILABLE", "{after}");
            assert_eq!(data(SSE, &request).last(), array.last());
        }
    }

    #[test]
    fn schemas_results_and_counts_are_answered() {
        let mut request = body("[[sim tools=0]]");
        request["generationConfig"] = json!({"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}});
        assert_eq!(whole_of(WHOLE, &request)["candidates"][0]["content"]["parts"][0]["text"], r#"{"n":7}"#);
        let mut request = body("hi");
        let turn = json!({"role": "user", "parts": [{"functionResponse": {"name": "a", "response": {"result": "19 degrees"}}}]});
        request["contents"].as_array_mut().unwrap().push(turn);
        let text = whole_of(WHOLE, &request)["candidates"][0]["content"]["parts"][0]["text"].clone();
        assert!(text.as_str().unwrap().ends_with("said: 19 degrees"), "{text}");
        let count = whole_of("/v1beta/models/g:countTokens", &body("[[sim input_tokens=7]]"));
        assert_eq!(count["totalTokens"], 7);
    }
}
