//! The bodies of the simulated provider: chat, completions, embeddings, models, errors, and the events of its streams.

use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::schema;
use crate::base::base64;
use crate::wire::json::{self, Kind, Member, write_string};

/// A request body as far as the simulated provider looks into it.
pub struct Asked<'b> {
    body: &'b [u8],
    members: Vec<Member>,
    pub behaviour: Behaviour,
}

/// What a simulated model says.
enum Says {
    Text(String),
    Calls(Vec<Call>),
}

/// A call of a tool, its arguments as the text of a JSON object.
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl<'b> Asked<'b> {
    /// Reads a body; `None` when it is no JSON object.
    pub fn read(body: &'b [u8]) -> Option<Asked<'b>> {
        let mut members = Vec::new();
        json::scan_object(body, &mut members).ok()?;
        let sim = json::find(&members, body, "sim")
            .and_then(|m| serde_json::from_slice::<Value>(m.value.of(body)).ok());
        let behaviour = sim.map(|sim| Behaviour::read(&sim)).unwrap_or_default();
        Some(Asked { body, members, behaviour })
    }

    fn member(&self, key: &str) -> Option<&Member> {
        json::find(&self.members, self.body, key).filter(|member| member.kind != Kind::Null)
    }

    fn value(&self, key: &str) -> Option<Value> {
        serde_json::from_slice(self.member(key)?.value.of(self.body)).ok()
    }

    pub fn model(&self) -> String {
        let model = self.member("model").and_then(|member| json::string_value(self.body, member));
        model.map_or_else(|| "simulated-chat".to_owned(), |model| model.into_owned())
    }

    pub fn streams(&self) -> bool {
        self.member("stream").is_some_and(|member| member.kind == Kind::True)
    }

    fn includes_usage(&self) -> bool {
        self.value("stream_options").is_some_and(|options| options["include_usage"] == json!(true))
    }

    fn choices(&self) -> u64 {
        self.value("n").and_then(|n| n.as_u64()).unwrap_or(1).clamp(1, 16)
    }

    /// One token for every four bytes of the body's input, so that a count can be checked.
    fn prompt_tokens(&self) -> u64 {
        let input = ["messages", "prompt", "input"].iter().find_map(|key| self.member(key));
        input.map_or(1, |input| input.value.len() as u64 / 4 + 1)
    }

    fn says(&self) -> Says {
        if let Some(calls) = self.tool_calls() {
            return Says::Calls(calls);
        }
        if self.behaviour.echo {
            return Says::Text(String::from_utf8_lossy(self.body).into_owned());
        }
        if let Some(content) = &self.behaviour.content {
            return Says::Text(content.clone());
        }
        let format = self.member("response_format").and_then(|_| self.value("response_format"));
        if let Some(schema) = format.as_ref().and_then(|format| format.pointer("/json_schema/schema")) {
            return Says::Text(schema::instance(schema).to_string());
        }
        Says::Text(match self.behaviour.events {
            Some(events) => (0..events).map(word).collect(),
            None => TEXT.to_owned(),
        })
    }

    /// Calls of the tool that was chosen by name, or of all in turn from the first on, unless tools are switched off or
    /// one was just answered.
    fn tool_calls(&self) -> Option<Vec<Call>> {
        let tools = self.value("tools")?;
        let choice = self.value("tool_choice").unwrap_or_default();
        let last_role = self.value("messages")?.as_array()?.last()?["role"].clone();
        if choice == "none" || last_role == "tool" {
            return None;
        }
        let chosen = choice.pointer("/function/name");
        let functions = tools.as_array()?.iter().filter_map(|tool| tool.get("function"));
        let functions: Vec<&Value> =
            functions.filter(|function| chosen.is_none_or(|name| function["name"] == *name)).collect();
        let count = self.behaviour.calls.unwrap_or(1).clamp(1, CALLS_MAX);
        let calls = functions.iter().cycle().take(count).enumerate();
        let calls: Option<Vec<Call>> = calls.map(|(index, function)| call(index, function)).collect();
        calls.filter(|calls| !calls.is_empty())
    }

    /// The whole answer of a chat.
    pub fn chat(&self) -> Vec<u8> {
        let says = self.says();
        if let (Says::Text(text), 1) = (&says, self.choices()) {
            return self.plain_chat(text);
        }
        let (message, finish) = match &says {
            Says::Text(text) => (json!({"role": "assistant", "content": text, "refusal": null}), "stop"),
            Says::Calls(calls) => {
                let calls: Vec<Value> = calls.iter().map(Call::whole).collect();
                (
                    json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": calls}),
                    "tool_calls",
                )
            }
        };
        let choice =
            |index| json!({"index": index, "message": message, "logprobs": null, "finish_reason": finish});
        let choices: Vec<Value> = (0..self.choices()).map(choice).collect();
        let answer = json!({"id": "chatcmpl-simulated", "object": "chat.completion", "created": CREATED,
            "model": self.model(), "choices": choices, "usage": self.usage(&says)});
        answer.to_string().into_bytes()
    }

    /// The common case, written without a tree: load tests stand on it.
    fn plain_chat(&self, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 512);
        out.extend_from_slice(b"{\"id\":\"chatcmpl-simulated\",\"object\":\"chat.completion\",\"created\":");
        out.extend_from_slice(CREATED.to_string().as_bytes());
        out.extend_from_slice(b",\"model\":");
        write_string(&self.model(), &mut out);
        out.extend_from_slice(b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
        write_string(text, &mut out);
        out.extend_from_slice(
            b",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":",
        );
        let (read, made) = (self.prompt_tokens(), words(text));
        let usage = format!(
            "{{\"prompt_tokens\":{read},\"completion_tokens\":{made},\"total_tokens\":{}}}}}",
            read + made
        );
        out.extend_from_slice(usage.as_bytes());
        out
    }

    fn usage(&self, says: &Says) -> Value {
        let made = match says {
            Says::Text(text) => words(text),
            Says::Calls(calls) => calls.iter().map(|call| call.arguments.len() as u64 / 4 + 1).sum(),
        };
        let read = self.prompt_tokens();
        json!({"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made})
    }

    /// The events of a chat's stream, each whole with its blank line; the last is the marker.
    pub fn chat_events(&self) -> Vec<Vec<u8>> {
        let says = self.says();
        let model = self.model();
        let with_usage = self.includes_usage();
        let event = |delta: Value, finish: Value| {
            let mut chunk = json!({"id": "chatcmpl-simulated", "object": "chat.completion.chunk", "created": CREATED,
                "model": model, "system_fingerprint": "fp_simulated",
                "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]});
            if with_usage {
                chunk["usage"] = Value::Null;
            }
            framed(&chunk)
        };
        let mut events =
            vec![event(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null)];
        match &says {
            Says::Text(text) => {
                let pieces =
                    text.split_inclusive(' ').map(|piece| event(json!({"content": piece}), Value::Null));
                events.extend(pieces);
                events.push(event(json!({}), json!("stop")));
            }
            Says::Calls(calls) => {
                let fragments = calls.iter().enumerate().flat_map(|(index, call)| call.fragments(index));
                events.extend(fragments.map(|part| event(json!({"tool_calls": [part]}), Value::Null)));
                events.push(event(json!({}), json!("tool_calls")));
            }
        }
        if with_usage {
            events.push(framed(
                &json!({"id": "chatcmpl-simulated", "object": "chat.completion.chunk", "created": CREATED,
                "model": model, "choices": [], "usage": self.usage(&says)}),
            ));
        }
        events.push(DONE.to_vec());
        events
    }

    /// The answer of the older completions endpoint.
    pub fn completion(&self) -> Vec<u8> {
        let says = self.says();
        let Says::Text(text) = &says else { return Vec::new() };
        let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"});
        let answer = json!({"id": "cmpl-simulated", "object": "text_completion", "created": CREATED, "model": self.model(),
            "choices": [choice], "usage": self.usage(&says)});
        answer.to_string().into_bytes()
    }

    /// The events of its stream.
    pub fn completion_events(&self) -> Vec<Vec<u8>> {
        let says = self.says();
        let Says::Text(text) = &says else { return vec![DONE.to_vec()] };
        let base = |choices: Value| {
            json!({"id": "cmpl-simulated", "object": "text_completion", "created": CREATED,
            "model": self.model(), "choices": choices})
        };
        let piece = |text: &str, finish: Value| {
            framed(&base(json!([{"index": 0, "text": text, "finish_reason": finish}])))
        };
        let mut events: Vec<Vec<u8>> =
            text.split_inclusive(' ').map(|text| piece(text, Value::Null)).collect();
        events.push(piece("", json!("stop")));
        if self.includes_usage() {
            let mut last = base(json!([]));
            last["usage"] = self.usage(&says);
            events.push(framed(&last));
        }
        events.push(DONE.to_vec());
        events
    }

    /// Vectors that depend on the index only; as numbers or, as the SDKs ask, in base64.
    pub fn embeddings(&self) -> Vec<u8> {
        let count = match self.value("input") {
            Some(Value::Array(items)) if !items.first().is_some_and(Value::is_number) => items.len(),
            _ => 1,
        };
        let dimensions =
            self.value("dimensions").and_then(|d| d.as_u64()).unwrap_or(8).clamp(1, 4096) as usize;
        let in_base64 = self.value("encoding_format") == Some(json!("base64"));
        let vector = |index: usize| {
            let numbers: Vec<f32> =
                (0..dimensions).map(|at| ((index * 31 + at * 7) % 97) as f32 / 128.0).collect();
            match in_base64 {
                true => json!(base64(
                    &numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()
                )),
                false => json!(numbers),
            }
        };
        let data: Vec<Value> = (0..count)
            .map(|index| json!({"object": "embedding", "index": index, "embedding": vector(index)}))
            .collect();
        let read = self.prompt_tokens();
        let answer = json!({"object": "list", "data": data, "model": self.model(),
            "usage": {"prompt_tokens": read, "total_tokens": read}});
        answer.to_string().into_bytes()
    }
}

impl Call {
    fn whole(&self) -> Value {
        let Call { id, name, arguments } = self;
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    }

    /// The call as a stream brings it: its name first, then its arguments in small parts.
    fn fragments(&self, index: usize) -> Vec<Value> {
        let Call { id, name, arguments } = self;
        let opening = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
        let part =
            |bytes: &[u8]| json!({"index": index, "function": {"arguments": String::from_utf8_lossy(bytes)}});
        std::iter::once(opening).chain(arguments.as_bytes().chunks(7).map(part)).collect()
    }
}

/// A call of this function with arguments that fit its schema; `None` when it has no name.
fn call(index: usize, function: &Value) -> Option<Call> {
    let id = if index == 0 { "call_simulated".to_owned() } else { format!("call_simulated_{index}") };
    let arguments = schema::instance(function.get("parameters").unwrap_or(&Value::Null)).to_string();
    Some(Call { id, name: function["name"].as_str()?.to_owned(), arguments })
}

/// The list of models, or one of them; `None` when there is no such model.
pub fn models(id: Option<&str>) -> Option<Vec<u8>> {
    let model = |id: &str| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "simulated"});
    let answer = match id {
        None => json!({"object": "list", "data": MODELS.iter().map(|id| model(id)).collect::<Vec<_>>()}),
        Some(id) => model(MODELS.iter().find(|known| **known == id)?),
    };
    Some(answer.to_string().into_bytes())
}

/// An error in OpenAI's shape.
pub fn error(status: u16, message: &str) -> Vec<u8> {
    let (kind, code) = match status {
        401 => ("authentication_error", "invalid_api_key"),
        404 => ("invalid_request_error", "model_not_found"),
        429 => ("rate_limit_error", "rate_limit_exceeded"),
        500.. => ("server_error", "server_error"),
        _ => ("invalid_request_error", "invalid_request"),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string().into_bytes()
}

fn framed(chunk: &Value) -> Vec<u8> {
    format!("data: {chunk}\n\n").into_bytes()
}

fn words(text: &str) -> u64 {
    text.split(' ').filter(|word| !word.is_empty()).count() as u64
}

fn word(index: usize) -> String {
    format!("word{index} ")
}

const DONE: &[u8] = b"data: [DONE]\n\n";
/// Tool calls in one answer.
const CALLS_MAX: usize = 16;
const MODELS: [&str; 3] = ["simulated-chat", "simulated-small", "simulated-embed"];
/// 2026-01-01; a fixed time, so that answers can be compared.
const CREATED: u64 = 1_767_225_600;
/// An answer of about 1 KB, the usual size of a chat's.
const TEXT: &str = "This is the simulated provider. It answers every question with the same text, which is long enough \
    to look like the answer of a real model and short enough to be read in one glance. It is here so that the gateway \
    can be tried, tested and measured without a key, without a network and without a bill. Ask it for a stream and the \
    words come one by one; ask it for faults and it stalls, drips, cuts and resets as providers do on a bad day. The \
    gateway in front of it must never make a cut answer look complete, never change a byte that it was not asked to \
    change, and never lose count of what was used. If you can read this through the gateway, all three have just held \
    for one more request.";
