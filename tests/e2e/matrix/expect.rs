//! What must come of a case between two dialects: what the provider hears, what the caller is told, and which fields the
//! answer names as changed. The rules are those of the providers' documents; a case adds its own.

use serde_json::{Value, json};

use super::neutral::{canonical, text};
use super::world::{Client, How, Provider};

/// A conversation of the table.
pub struct Case {
    pub name: &'static str,
    pub talk: Value,
    /// What the provider is asked to say.
    pub sim: String,
    /// The parts of its answer.
    pub parts: Value,
    pub finish: &'static str,
    pub usage: Value,
    pub model: &'static str,
    /// Settings that the case is about: callers whose dialect has no word for one of them do not take part.
    pub needs: &'static [&'static str],
    /// What is particular to a pair.
    pub adjust: fn(&mut Want, Client, Provider),
}

impl Case {
    pub fn new(name: &'static str, talk: Value) -> Case {
        Case {
            name,
            talk,
            sim: format!("content={:?}", TEXT),
            parts: json!([{"text": TEXT}]),
            finish: "stop",
            usage: json!({"input": 21, "output": 9}),
            model: "m",
            needs: &[],
            adjust: |_, _, _| {},
        }
    }

    pub fn says(mut self, sim: &str, parts: Value, finish: &'static str) -> Case {
        (self.sim, self.parts, self.finish) = (sim.to_owned(), parts, finish);
        self
    }

    pub fn uses(mut self, usage: Value) -> Case {
        self.usage = usage;
        self
    }

    pub fn needs(mut self, needs: &'static [&'static str]) -> Case {
        self.needs = needs;
        self
    }

    pub fn model(mut self, model: &'static str) -> Case {
        self.model = model;
        self
    }

    pub fn adjust(mut self, adjust: fn(&mut Want, Client, Provider)) -> Case {
        self.adjust = adjust;
        self
    }

    /// The conversation with what the provider is asked behind the last text of the user.
    pub fn spoken(&self) -> Value {
        let mut talk = self.talk.clone();
        let turns = talk["turns"].as_array_mut().into_iter().flatten().rev();
        let users = turns.filter(|turn| turn["role"] == "user");
        let mut parts = users.flat_map(|turn| turn["parts"].as_array_mut().into_iter().flatten().rev());
        if let Some(part) = parts.find(|part| part.get("text").is_some()) {
            let tokens =
                if self.sim.contains("input_tokens") { "" } else { " input_tokens=21 output_tokens=9" };
            part["text"] = json!(format!("{} [[sim {}{tokens}]]", text(&part["text"]), self.sim));
        }
        talk
    }

    /// What must come of it; `None` where the caller's dialect cannot ask it.
    pub fn want(&self, client: Client, provider: Provider) -> Option<Want> {
        if self.needs.iter().any(|need| cannot(client, need)) {
            return None;
        }
        let mut sent = self.spoken();
        asked(client, &mut sent);
        let choices = match self.parts.pointer("/0/parts") {
            Some(_) => self.parts.clone(),
            None => json!([{"parts": self.parts, "finish": self.finish}]),
        };
        let said = json!({"choices": choices, "usage": self.usage});
        let mut want = Want { sent, said, edited: Vec::new(), outcome: Outcome::Answered };
        if !provider.is_same(client) {
            heard(provider, &mut want);
        }
        told(client, provider, &mut want.said);
        (self.adjust)(&mut want, client, provider);
        want.sent = canonical(&want.sent);
        want.edited.iter_mut().for_each(|field| *field = named(client, field).to_owned());
        if let Outcome::Unsupported(field) = &mut want.outcome {
            *field = named(client, field);
        }
        Some(want)
    }
}

/// What must come of a case.
pub struct Want {
    pub sent: Value,
    pub said: Value,
    /// In the words of chat; in the caller's in the end.
    pub edited: Vec<String>,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Answered,
    /// 400 that names this field; sent without it where the settings say so.
    Unsupported(&'static str),
    /// The pair is left to another case.
    NotAsked,
}

impl Want {
    pub fn edits(&mut self, fields: &[&str]) {
        self.edited.extend(fields.iter().map(|field| (*field).to_owned()));
    }

    /// The field is not sent, and named.
    pub fn loses(&mut self, key: &str, field: &str) {
        if self.sent.as_object_mut().is_some_and(|sent| sent.remove(key).is_some()) {
            self.edits(&[field]);
        }
    }
}

/// Whether a dialect has no word for this.
fn cannot(client: Client, what: &str) -> bool {
    let has_none: &[&str] = match client {
        Client::Chat => &["top_k", "budget", "error"],
        Client::Responses => &["stop", "n", "seed", "frequency", "presence", "top_k", "budget", "error"],
        Client::Messages => &["n", "seed", "frequency", "presence", "json", "stored"],
        Client::Gemini => {
            &["parallel", "user", "system_turn", "file_name", "result_image", "strict", "stored"]
        }
    };
    has_none.contains(&what)
}

/// A field as the caller's dialect spells it.
fn named(client: Client, field: &str) -> &str {
    match (client, field) {
        (Client::Chat, "image.url") => "messages.content.image_url.url",
        (Client::Messages, "image.url") => "messages.content.source.url",
        (Client::Responses, "image.url") => "input.content.image_url",
        (Client::Gemini, "image.url") => "contents.parts.fileData.fileUri",
        (Client::Chat, "system") => "messages.role",
        (Client::Responses, "system" | "messages.role" | "messages[3].role") => "input.role",
        (Client::Messages, "stop") => "stop_sequences",
        (Client::Messages, "user") => "metadata.user_id",
        (Client::Messages, "parallel_tool_calls") => "tool_choice.disable_parallel_tool_use",
        (Client::Responses, "max_tokens") => "max_output_tokens",
        (Client::Responses, "response_format") => "text.format",
        (Client::Gemini, "n") => "generationConfig.candidateCount",
        (Client::Gemini, "stop") => "generationConfig.stopSequences",
        (Client::Gemini, "max_tokens") => "generationConfig.maxOutputTokens",
        (Client::Gemini, "temperature") => "generationConfig.temperature",
        (Client::Gemini, "top_k") => "generationConfig.topK",
        (Client::Gemini, "seed") => "generationConfig.seed",
        (Client::Gemini, "frequency_penalty") => "generationConfig.frequencyPenalty",
        (Client::Gemini, "presence_penalty") => "generationConfig.presencePenalty",
        (Client::Gemini, "response_format") => "generationConfig.responseMimeType",
        _ => field,
    }
}

/// Takes away what the caller's dialect cannot say.
fn asked(client: Client, talk: &mut Value) {
    let talk = talk.as_object_mut().expect("a conversation");
    talk.retain(|key, _| !cannot(client, key));
    if client == Client::Messages && !talk.contains_key("max") {
        talk.insert("max".to_owned(), json!(4096));
    }
    let turns = talk["turns"].as_array_mut().into_iter().flatten();
    for part in turns.flat_map(|turn| turn["parts"].as_array_mut().into_iter().flatten()) {
        if let Some(result) = part.get_mut("result").filter(|_| cannot(client, "error")) {
            result.as_object_mut().map(|result| result.remove("error"));
        }
        if let Some(file) = part.get_mut("file").filter(|_| client == Client::Gemini) {
            file["name"] = Value::Null;
        }
    }
}

/// What becomes of the conversation for the provider.
fn heard(provider: Provider, want: &mut Want) {
    let budget = want.sent["budget"].as_u64();
    match provider {
        Provider::Chat => {
            want.loses("top_k", "top_k");
            results(want, fail_in_words);
        }
        Provider::Responses => {
            want.loses("seed", "seed");
            want.loses("frequency", "frequency_penalty");
            want.loses("presence", "presence_penalty");
            want.loses("top_k", "top_k");
            results(want, fail_in_words);
        }
        Provider::Messages => {
            want.loses("seed", "seed");
            want.loses("frequency", "frequency_penalty");
            want.loses("presence", "presence_penalty");
            if want.sent.get("max").is_none() {
                want.sent["max"] = json!(4096);
            }
        }
        Provider::Gemini => {
            want.loses("user", "user");
            want.loses("parallel", "parallel_tool_calls");
        }
        Provider::Converse => {
            want.loses("seed", "seed");
            want.loses("frequency", "frequency_penalty");
            want.loses("presence", "presence_penalty");
            want.loses("user", "user");
        }
    }
    if let Some(budget) = budget.filter(|_| matches!(provider, Provider::Chat | Provider::Responses)) {
        let word = match budget {
            0..1024 => "minimal",
            1024..2048 => "low",
            2048..4096 => "medium",
            _ => "high",
        };
        want.sent["effort"] = json!(word);
        want.sent.as_object_mut().map(|sent| sent.remove("budget"));
    }
}

pub fn items_mut(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_array_mut().into_iter().flatten()
}

/// Does something with every result of a tool.
pub fn results(want: &mut Want, mut what: impl FnMut(&mut Value)) {
    for turn in items_mut(&mut want.sent["turns"]) {
        items_mut(&mut turn["parts"]).filter_map(|part| part.get_mut("result")).for_each(&mut what);
    }
}

/// Where the dialect has no mark for a failure, the text says it.
fn fail_in_words(result: &mut Value) {
    let failed = result.as_object_mut().and_then(|result| result.remove("error"));
    if failed == Some(json!(true)) {
        let said = text(&result["parts"][0]["text"]).to_owned();
        result["parts"][0]["text"] = json!(format!("Error: {said}"));
    }
}

/// What becomes of the answer for the caller.
fn told(client: Client, provider: Provider, said: &mut Value) {
    let usage = &mut said["usage"];
    if (client == Client::Gemini || provider == Provider::Gemini)
        && let Some(written) = usage.as_object_mut().and_then(|usage| usage.remove("written"))
    {
        usage["input"] = json!(usage["input"].as_u64().unwrap_or(0) + written.as_u64().unwrap_or(0));
    }
    if provider == Provider::Converse {
        usage.as_object_mut().map(|usage| usage.remove("reasoning"));
    }
    for choice in items_mut(&mut said["choices"]) {
        if client == Client::Messages && choice["finish"] == "content_filter" {
            choice["finish"] = json!("refusal");
        }
    }
}

/// A difference that is known. It must be there: the entry goes when it is mended.
pub struct Known {
    pub case: &'static str,
    pub client: Option<Client>,
    pub provider: Option<Provider>,
    pub how: Option<How>,
    #[expect(dead_code, reason = "it says to the reader why")]
    pub reason: &'static str,
}

impl Known {
    pub fn is_of(&self, case: &str, client: Client, provider: Provider, how: How) -> bool {
        self.case == case
            && self.client.is_none_or(|one| one == client)
            && self.provider.is_none_or(|one| one == provider)
            && self.how.is_none_or(|one| one == how)
    }
}

pub const TEXT: &str = "Bonjour tout le monde";
