//! What the matrix runs in: one gateway, and for each worker a simulated provider of its own, because a provider remembers
//! only the last request that it was sent. Connections are kept.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::neutral::Words;
use super::{chat, converse, gemini, messages, responses};
use crate::support::*;

/// The dialect that a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Chat,
    Responses,
    Messages,
    Gemini,
}

/// The dialect that a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    Chat,
    Responses,
    Messages,
    Gemini,
    Converse,
}

/// How the answer is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Whole,
    Stream,
    /// As one JSON array, which only Gemini's callers can ask for.
    Array,
}

impl How {
    pub fn all(client: Client) -> impl Iterator<Item = How> {
        let hows = [How::Whole, How::Stream, How::Array].into_iter();
        hows.filter(move |how| client == Client::Gemini || *how != How::Array)
    }
}

impl Client {
    pub const ALL: [Client; 4] = [Client::Chat, Client::Responses, Client::Messages, Client::Gemini];

    /// The path of a request, and its body.
    pub fn ask(self, talk: &Value, model: &str, how: How) -> (String, Value) {
        let streams = how != How::Whole;
        let (path, mut body) = match self {
            Client::Chat => ("/v1/chat/completions".to_owned(), chat::ask(talk)),
            Client::Responses => ("/v1/responses".to_owned(), responses::ask(talk)),
            Client::Messages => ("/v1/messages".to_owned(), messages::ask(talk)),
            Client::Gemini => {
                let method = match how {
                    How::Whole => "generateContent",
                    How::Stream => "streamGenerateContent?alt=sse",
                    How::Array => "streamGenerateContent",
                };
                (format!("/v1beta/models/{model}:{method}"), gemini::ask(talk))
            }
        };
        if self != Client::Gemini {
            body["model"] = json!(model);
            body["stream"] = json!(streams);
        }
        if self == Client::Chat && streams {
            body["stream_options"] = json!({"include_usage": true});
        }
        if let Some(extra) = talk["extra"].as_object() {
            extra.iter().for_each(|(key, value)| body[key] = value.clone());
        }
        (path, body)
    }

    /// What an answer says; the error is a rule of the dialect that it breaks.
    pub fn read(self, answer: &Answer, how: How) -> Result<Value, String> {
        let text = std::str::from_utf8(&answer.body).map_err(|e| format!("the answer is no UTF-8: {e}"))?;
        if how == How::Whole {
            let body: Value = serde_json::from_str(text).map_err(|e| format!("no JSON: {e}: {text}"))?;
            return match self {
                Client::Chat => chat::whole(&body),
                Client::Responses => responses::whole(&body),
                Client::Messages => messages::whole(&body),
                Client::Gemini => gemini::whole(&body),
            };
        }
        if how == How::Array {
            let answers: Vec<Value> =
                serde_json::from_str(text).map_err(|e| format!("no array: {e}: {text}"))?;
            let events: Vec<_> = answers.iter().map(|answer| (String::new(), answer.to_string())).collect();
            return gemini::stream(&events);
        }
        let events = events(text)?;
        match self {
            Client::Chat => chat::stream(&events),
            Client::Responses => responses::stream(&events),
            Client::Messages => messages::stream(&events),
            Client::Gemini => gemini::stream(&events),
        }
    }
}

impl Provider {
    pub const ALL: [Provider; 5] =
        [Provider::Chat, Provider::Responses, Provider::Messages, Provider::Gemini, Provider::Converse];

    /// The provider's file.
    pub fn kind(self) -> &'static str {
        match self {
            Provider::Chat => "simulated",
            Provider::Responses => "matrix-responses",
            Provider::Messages => "anthropic",
            Provider::Gemini => "gemini",
            Provider::Converse => "bedrock",
        }
    }

    fn base(self) -> &'static str {
        match self {
            Provider::Gemini => "/v1beta",
            Provider::Converse => "",
            _ => "/v1",
        }
    }

    /// What a request says that reached it.
    pub fn heard(self, body: &Value) -> Value {
        let mut words = Words::new(body);
        match self {
            Provider::Chat => chat::heard(&mut words),
            Provider::Responses => responses::heard(&mut words),
            Provider::Messages => messages::heard(&mut words),
            Provider::Gemini => gemini::heard(&mut words),
            Provider::Converse => converse::heard(&mut words),
        }
        words.into_talk()
    }

    /// Whether both speak the same dialect, so that nothing is translated.
    pub fn is_same(self, client: Client) -> bool {
        matches!(
            (self, client),
            (Provider::Chat, Client::Chat)
                | (Provider::Responses, Client::Responses)
                | (Provider::Messages, Client::Messages)
                | (Provider::Gemini, Client::Gemini)
        )
    }
}

/// The events of a stream: their names and data. Comments are left out.
pub fn events(text: &str) -> Result<Vec<(String, String)>, String> {
    let text = text.replace("\r\n", "\n");
    if !text.is_empty() && !text.ends_with("\n\n") {
        return Err(format!("the stream does not end behind an event: {text:?}"));
    }
    let mut events = Vec::new();
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        let field = |name: &str| {
            let lines = block.lines().filter_map(|line| line.strip_prefix(name));
            lines.map(|rest| rest.strip_prefix(' ').unwrap_or(rest)).collect::<Vec<_>>().join("\n")
        };
        if block.lines().all(|line| line.starts_with(':')) {
            continue;
        }
        events.push((field("event:"), field("data:")));
    }
    Ok(events)
}

/// The data of an event as JSON.
pub fn data(event: &(String, String)) -> Result<Value, String> {
    serde_json::from_str(&event.1).map_err(|e| format!("an event is no JSON: {e}: {event:?}"))
}

/// The processes of a run.
pub struct World {
    pub gateway: Gateway,
    /// The ports of the simulated providers.
    ports: Vec<u16>,
    _simulated: Vec<Ended>,
    folder: std::path::PathBuf,
}

/// Killed when dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    /// Starts the gateway with a provider of every dialect for each worker.
    pub fn start(workers: usize, settings: &str) -> World {
        let (simulated, ports): (Vec<Ended>, Vec<u16>) = (0..workers).map(|_| simulate()).unzip();
        let file = temp_file("");
        let folder = file.with_extension("d");
        let _ = std::fs::remove_file(file);
        std::fs::create_dir_all(&folder).expect("a folder");
        let provider = "title: Responses\npaths: {responses: /responses}\nusage_in_streams: always\nrules: {vendor: openai}\n";
        std::fs::write(folder.join("matrix-responses.yaml"), provider).expect("a provider's file");
        // Without lists of models, nobody but the workers asks the providers.
        let mut text = format!(
            "{settings}\nretry: {{max_retries: 0}}\nmodels: {{configured_mode: allowlist}}\nproviders_dir: {}\nproviders:\n",
            folder.display()
        );
        for (worker, port) in ports.iter().enumerate() {
            for provider in Provider::ALL {
                let (kind, base) = (provider.kind(), provider.base());
                text.push_str(&format!(
                    "  {kind}-{worker}: {{type: {kind}, base_url: 'http://127.0.0.1:{port}{base}', api_key: {UPSTREAM_KEY}, models: [m]}}\n"
                ));
            }
        }
        World { gateway: Gateway::start_with(&text, &[]), ports, _simulated: simulated, folder }
    }

    pub fn line(&self, worker: usize) -> Line {
        let (gateway, provider) = (self.gateway.port, self.ports[worker]);
        Line { worker, gateway, provider, to_gateway: Link::to(gateway), to_provider: Link::to(provider) }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn simulate() -> (Ended, u16) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(["simulate", "--listen", "127.0.0.1:0", "--shards", "1"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the simulated provider");
    let said = BufReader::new(child.stderr.take().expect("a pipe"));
    let child = Ended(child);
    let line = said.lines().map_while(Result::ok).find(|line| line.contains("http://"));
    let line = line.expect("the simulated provider says its address");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    (child, address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port"))
}

/// A worker's connections.
pub struct Line {
    worker: usize,
    gateway: u16,
    provider: u16,
    to_gateway: Link,
    to_provider: Link,
}

impl Line {
    /// The model's name behind the provider's.
    pub fn model(&self, provider: Provider, model: &str) -> String {
        format!("{}-{}/{model}", provider.kind(), self.worker)
    }

    /// One request to the gateway.
    pub fn call(&mut self, path: &str, body: &Value) -> Answer {
        self.to_gateway.send(&post(path, &body.to_string()));
        let answer = self.to_gateway.answer(false);
        if !answer.is_whole || answer.header("connection").is_some_and(|word| word == "close") {
            self.to_gateway = Link::to(self.gateway);
        }
        answer
    }

    /// A connection that is given up afterwards.
    pub fn own_link(&self) -> Link {
        Link::to(self.gateway)
    }

    /// What the provider answers when it is asked directly.
    pub fn ask_provider(&mut self, path: &str, body: &Value) -> Answer {
        self.to_provider.send(&post(path, &body.to_string()));
        self.to_provider.answer(false)
    }

    /// The last request that reached the provider.
    pub fn last(&mut self) -> Value {
        self.to_provider.send(&get("/sim/last"));
        let answer = self.to_provider.answer(false);
        if answer.status == 0 {
            self.to_provider = Link::to(self.provider);
            return self.last();
        }
        serde_json::from_slice(&answer.body).expect("the page of the last request")
    }
}
