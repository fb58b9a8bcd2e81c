//! OpenAI's chat as a provider speaks it: answers, streams, errors. Texts that are said to the end are written without a
//! tree: load tests stand on them.

use serde_json::{Value, json};

use super::behaviour::{Behaviour, MARK};
use super::question::{self, Choice, Question};
use super::script::{Call, Finish, Script, Tokens, fragments};
use crate::wire::json::{self, Kind, Member, write_string};

/// A request body as far as the simulated provider looks into it.
pub struct Asked<'b> {
    pub(super) body: &'b [u8],
    members: Vec<Member>,
    pub behaviour: Behaviour,
}

impl<'b> Asked<'b> {
    /// Reads a body; `None` when it is no JSON object.
    pub fn read(body: &'b [u8]) -> Option<Asked<'b>> {
        let mut members = Vec::new();
        json::scan_object(body, &mut members).ok()?;
        let mut asked = Asked { body, members, behaviour: Behaviour::default() };
        let sim = asked.value("sim");
        if memchr::memmem::find(body, MARK.as_bytes()).is_some() {
            let text = asked.value("messages").map(|turns| question::user_text(&turns, "content"));
            let text = text.or_else(|| Some(question::text(&asked.value("prompt")?)));
            asked.behaviour = Behaviour::of(&text.unwrap_or_default(), sim);
        } else if let Some(sim) = sim {
            asked.behaviour = Behaviour::read(&sim);
        }
        Some(asked)
    }

    fn member(&self, key: &str) -> Option<&Member> {
        json::find(&self.members, self.body, key).filter(|member| member.kind != Kind::Null)
    }

    pub(super) fn value(&self, key: &str) -> Option<Value> {
        serde_json::from_slice(self.member(key)?.value.of(self.body)).ok()
    }

    pub fn model(&self) -> String {
        let model = self.member("model").and_then(|member| json::string_value(self.body, member));
        model.map_or_else(|| "simulated-chat".to_owned(), |model| model.into_owned())
    }

    pub fn streams(&self) -> bool {
        self.member("stream").is_some_and(|member| member.kind == Kind::True)
    }

    pub(super) fn includes_usage(&self) -> bool {
        self.value("stream_options").is_some_and(|options| options["include_usage"] == json!(true))
    }

    fn input_bytes(&self) -> usize {
        let input = ["messages", "prompt", "input"].iter().find_map(|key| self.member(key));
        input.map_or(0, |input| input.value.len())
    }

    /// One token for every four bytes of the body's input, so that a count can be checked.
    pub(super) fn prompt_tokens(&self) -> u64 {
        self.input_bytes() as u64 / 4 + 1
    }

    pub(super) fn script(&self) -> Script {
        Script::new(&self.question(), &self.behaviour.wishes, self.body)
    }

    /// The conversation is only looked into where a word in the body says that there may be something to find.
    fn question(&self) -> Question {
        let mut question =
            Question { model: self.model(), input_bytes: self.input_bytes(), ..Question::default() };
        question.choices = self.value("n").and_then(|n| n.as_u64()).unwrap_or(1);
        question.schema = self.value("response_format").and_then(|format| schema(&format));
        if memchr::memmem::find(self.body, b"\"tool").is_some() {
            question.results = self.value("messages").map(|turns| results(&turns)).unwrap_or_default();
            let choice = self.value("tool_choice").unwrap_or_default();
            let choice = match choice.as_str() {
                Some("none") => Choice::None,
                _ => Choice::named(choice.pointer("/function/name")),
            };
            let declared = self.value("tools").unwrap_or_default();
            let functions = question::items(&declared).filter_map(|tool| tool.get("function"));
            question.tools = question::tools(functions, "/parameters", &choice);
        }
        question
    }

    /// The whole answer of a chat.
    pub fn chat(&self) -> Vec<u8> {
        let script = self.script();
        if script.is_plain() && script.tokens.is_plain() {
            return plain_chat(&script);
        }
        let (text, empty) = (json!(script.text), Value::Null);
        let mut message = json!({"role": "assistant", "content": text, "refusal": null});
        if script.is_refusal {
            (message["content"], message["refusal"]) = (empty, text);
        } else if !script.calls.is_empty() && script.text.is_empty() {
            message["content"] = empty;
        }
        if !script.calls.is_empty() {
            message["tool_calls"] =
                script.calls.iter().enumerate().map(|(index, call)| whole_call(index, call)).collect();
        }
        if let Some(thought) = &script.thought {
            message["reasoning_content"] = json!(thought.text());
        }
        let choice = |index| json!({"index": index, "message": message, "logprobs": null, "finish_reason": finish(&script.finish)});
        let choices: Vec<Value> = (0..script.choices).map(choice).collect();
        let answer = json!({"id": "chatcmpl-simulated", "object": "chat.completion", "created": CREATED,
            "model": script.model, "choices": choices, "usage": usage(&script.tokens)});
        script.json(&answer).into_bytes()
    }

    /// The events of a chat's stream, each whole with its blank line; the last is the marker.
    pub fn chat_events(&self) -> Vec<Vec<u8>> {
        let script = self.script();
        let chunk = Chunk::new(&script, self.includes_usage());
        let mut events = Vec::new();
        let mut all = |delta: &str, finish: &str| {
            (0..script.choices).for_each(|choice| events.push(chunk.event(choice, delta, finish)));
        };
        all(r#"{"content":"","refusal":null,"role":"assistant"}"#, "null");
        for piece in script.thought.iter().flat_map(|thought| &thought.pieces) {
            all(&json!({"reasoning_content": piece}).to_string(), "null");
        }
        let key = if script.is_refusal { "refusal" } else { "content" };
        for piece in script.pieces() {
            all(&script.json(&json!({key: piece})), "null");
        }
        for part in call_parts(&script) {
            all(&script.json(&json!({"tool_calls": [part]})), "null");
        }
        all("{}", &json!(finish(&script.finish)).to_string());
        if self.includes_usage() {
            events.push(framed(
                &json!({"id": "chatcmpl-simulated", "object": "chat.completion.chunk", "created": CREATED,
                "model": script.model, "choices": [], "usage": usage(&script.tokens)}),
            ));
        }
        events.push(DONE.to_vec());
        events
    }
}

/// What the chunks of one stream have in common.
struct Chunk {
    head: String,
    tail: &'static str,
}

impl Chunk {
    fn new(script: &Script, with_usage: bool) -> Chunk {
        let model = script.json(&json!(script.model));
        let head = format!(
            "data: {{\"id\":\"chatcmpl-simulated\",\"object\":\"chat.completion.chunk\",\"created\":{CREATED},\"model\":{model},\
             \"system_fingerprint\":\"fp_simulated\",\"choices\":[{{\"index\":"
        );
        Chunk { head, tail: if with_usage { "}],\"usage\":null}\n\n" } else { "}]}\n\n" } }
    }

    fn event(&self, choice: u64, delta: &str, finish: &str) -> Vec<u8> {
        let Chunk { head, tail } = self;
        format!("{head}{choice},\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}{tail}")
            .into_bytes()
    }
}

/// The common case.
fn plain_chat(script: &Script) -> Vec<u8> {
    let mut out = Vec::with_capacity(script.text.len() + 512);
    out.extend_from_slice(b"{\"id\":\"chatcmpl-simulated\",\"object\":\"chat.completion\",\"created\":");
    out.extend_from_slice(CREATED.to_string().as_bytes());
    out.extend_from_slice(b",\"model\":");
    write_string(&script.model, &mut out);
    out.extend_from_slice(b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    write_string(&script.text, &mut out);
    out.extend_from_slice(b",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":");
    let Tokens { input: read, output: made, .. } = script.tokens;
    let usage = format!(
        "{{\"prompt_tokens\":{read},\"completion_tokens\":{made},\"total_tokens\":{}}}}}",
        read + made
    );
    out.extend_from_slice(usage.as_bytes());
    out
}

/// Details only where there is something to tell.
pub(super) fn usage(tokens: &Tokens) -> Value {
    let mut usage = json!({"prompt_tokens": tokens.read(), "completion_tokens": tokens.output,
        "total_tokens": tokens.total()});
    if tokens.cached + tokens.written > 0 {
        usage["prompt_tokens_details"] = json!({"cached_tokens": tokens.cached});
        if tokens.written > 0 {
            usage["prompt_tokens_details"]["cache_write_tokens"] = json!(tokens.written);
        }
    }
    if tokens.reasoning > 0 {
        usage["completion_tokens_details"] = json!({"reasoning_tokens": tokens.reasoning});
    }
    usage
}

fn finish(finish: &Finish) -> &str {
    match finish {
        Finish::Stop | Finish::Refusal => "stop",
        Finish::Calls => "tool_calls",
        Finish::Length => "length",
        Finish::Filter => "content_filter",
        Finish::Other(word) => word,
    }
}

fn call_id(index: usize) -> String {
    if index == 0 { "call_simulated".to_owned() } else { format!("call_simulated_{index}") }
}

fn whole_call(index: usize, call: &Call) -> Value {
    json!({"id": call_id(index), "type": "function", "function": {"name": call.name, "arguments": call.text()}})
}

/// The calls as a stream brings them: a name first, then its arguments in small parts; call after call, or in turn.
fn call_parts(script: &Script) -> Vec<Value> {
    let of_call = |(index, call): (usize, &Call)| {
        let text = call.text();
        let opening = json!({"index": index, "id": call_id(index), "type": "function",
            "function": {"name": call.name, "arguments": ""}});
        let part = |part: &&str| json!({"index": index, "function": {"arguments": part}});
        std::iter::once(opening).chain(fragments(&text).iter().map(part)).collect::<Vec<Value>>()
    };
    in_turn(script.calls.iter().enumerate().map(of_call).collect(), script.interleave)
}

/// The members of several lists: list after list, or the first of each, the second of each, and so on.
pub(super) fn in_turn<T>(lists: Vec<Vec<T>>, interleave: bool) -> Vec<T> {
    if !interleave {
        return lists.into_iter().flatten().collect();
    }
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    let mut out = Vec::new();
    loop {
        let before = out.len();
        out.extend(lists.iter_mut().filter_map(Iterator::next));
        if out.len() == before {
            return out;
        }
    }
}

/// What the tools said.
fn results(turns: &Value) -> Vec<String> {
    let turns = question::since_answer(turns).into_iter();
    let of_tools = turns.filter(|turn| turn["role"] == "tool" || turn["role"] == "function");
    of_tools.map(|turn| question::text(&turn["content"])).collect()
}

/// The schema of a response format; any object where only JSON is asked for.
fn schema(format: &Value) -> Option<Value> {
    match format["type"].as_str()? {
        "json_object" => Some(question::any_object()),
        _ => format.pointer("/json_schema/schema").cloned(),
    }
}

/// An error in OpenAI's shape.
pub fn error(status: u16, message: &str) -> Vec<u8> {
    error_object(status, message).to_string().into_bytes()
}

/// The same inside of a stream, which then ends without its marker.
pub fn error_event(status: u16, message: &str) -> Vec<u8> {
    framed(&error_object(status, message))
}

pub(super) fn error_object(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        401 => ("authentication_error", "invalid_api_key"),
        404 => ("invalid_request_error", "model_not_found"),
        429 => ("rate_limit_error", "rate_limit_exceeded"),
        500.. => ("server_error", "server_error"),
        _ => ("invalid_request_error", "invalid_request"),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

pub(super) fn framed(chunk: &Value) -> Vec<u8> {
    format!("data: {chunk}\n\n").into_bytes()
}

pub(super) const DONE: &[u8] = b"data: [DONE]\n\n";
/// 2026-01-01; a fixed time, so that answers can be compared.
pub(super) const CREATED: u64 = 1_767_225_600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::testing::{data, joined, told, whole};

    const PATH: &str = "/v1/chat/completions";

    fn body(text: &str, stream: bool) -> Value {
        let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"properties": {"city": {"type": "string"}}}}});
        json!({"model": "m", "stream": stream, "tools": [tool("a"), tool("b")], "messages": [{"role": "user", "content": text}]})
    }

    #[test]
    fn the_text_of_a_turn_chooses_the_answer() {
        let answer = whole(PATH, &body("[[sim tools=2 thinking=1 cached_tokens=5 input_tokens=10]]", false));
        let message = &answer["choices"][0]["message"];
        assert_eq!((&message["content"], &message["reasoning_content"]), (&Value::Null, &json!("thought0 ")));
        assert_eq!(
            message["tool_calls"][1]["function"],
            json!({"name": "b", "arguments": "{\"city\":\"Paris\"}"})
        );
        assert_eq!(
            (&answer["usage"]["prompt_tokens"], &answer["usage"]["prompt_tokens_details"]["cached_tokens"]),
            (&json!(15), &json!(5))
        );
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
        let refusal = whole(PATH, &body("[[sim refusal]]", false));
        assert!(
            refusal["choices"][0]["message"]["refusal"].is_string()
                && refusal["choices"][0]["message"]["content"].is_null()
        );
    }

    #[test]
    fn calls_come_one_after_the_other_or_in_turn() {
        let order = |sim: &str| {
            let events = data(PATH, &body(sim, true));
            let parts = events
                .iter()
                .filter_map(|event| event.pointer("/choices/0/delta/tool_calls/0/index")?.as_u64());
            parts.map(|index| index.to_string()).collect::<String>()
        };
        assert_eq!(order("[[sim tools=2]]"), "00001111");
        assert_eq!(order("[[sim tools=2 interleave=1]]"), "01010101");
    }

    #[test]
    fn a_plain_answer_has_the_parts_of_any_other() {
        let plain = |more: Value| {
            let mut request = json!({"model": "m", "messages": [], "sim": {"content": "a \"b\""}});
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            request
        };
        let mut two = whole(PATH, &plain(json!({"n": 2})));
        assert_eq!(two["choices"][1]["index"], 1);
        two["choices"].as_array_mut().unwrap().pop();
        assert_eq!(whole(PATH, &plain(json!({}))), two);
        let events =
            data(PATH, &plain(json!({"n": 2, "stream": true, "stream_options": {"include_usage": true}})));
        assert_eq!(joined(&events, "/choices/0/delta/content"), "a a \"b\"\"b\"");
        assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], 2);
    }

    #[test]
    fn an_error_ends_a_stream_without_the_marker() {
        let events = told(PATH, &body("[[sim tools=0 error_after_events=2 error_status=429]]", true));
        assert_eq!(events.len(), 3);
        assert!(events[2].starts_with("data: {\"error\":") && events[2].contains("rate_limit_error"));
    }

    #[test]
    fn the_result_of_a_tool_is_repeated() {
        let mut request = body("[[sim tools=2]]", false);
        let turns = request["messages"].as_array_mut().unwrap();
        turns.extend([
            json!({"role": "assistant", "tool_calls": []}),
            json!({"role": "tool", "content": "19 degrees"}),
        ]);
        let answer = whole(PATH, &request);
        assert!(
            answer["choices"][0]["message"]["content"].as_str().unwrap().ends_with("said: 19 degrees"),
            "{answer}"
        );
    }
}
