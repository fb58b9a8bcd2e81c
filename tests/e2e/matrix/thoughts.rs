//! Thoughts that were signed, given back in the next turn: their maker gets its own signature, every other provider none.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::neutral::{differences, items, text};
use super::report;
use super::world::{Client, How, Line, Provider, World};

#[test]
fn a_signed_thought_goes_back_to_its_maker_and_to_nobody_else() {
    let world = World::start(1, "");
    let mut line = world.line(0);
    let (ran, mut failures) = (AtomicUsize::new(0), Vec::new());
    for client in Client::ALL {
        for maker in Provider::ALL {
            for how in [How::Whole, How::Stream] {
                for kind in ["thinking=2", "thinking=2 tools=0", "redacted"] {
                    let thought = Thought { client, maker, how, kind };
                    let mut found = Vec::new();
                    thought.run(&mut line, &ran, &mut found);
                    failures.extend(
                        found
                            .into_iter()
                            .map(|what| format!("{kind}, {client:?} to {maker:?}, {how:?}: {what}")),
                    );
                }
            }
        }
    }
    report("thoughts", &ran, &failures);
}

struct Thought {
    client: Client,
    maker: Provider,
    how: How,
    kind: &'static str,
}

impl Thought {
    fn run(&self, line: &mut Line, ran: &AtomicUsize, found: &mut Vec<String>) {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let tools = json!([{"name": "weather", "about": "Weather.", "schema": schema}]);
        let asked = format!("Weather? [[sim {} ids]]", self.kind);
        let mut talk =
            json!({"max": 3000, "tools": tools, "turns": [{"role": "user", "parts": [{"text": asked}]}]});
        let (path, body) = self.client.ask(&talk, &line.model(self.maker, "m"), self.how);
        let answer = line.call(&path, &body);
        let said = match self.client.read(&answer, self.how) {
            Ok(said) => said,
            Err(sentence) => return found.push(sentence),
        };
        let parts = said["choices"][0]["parts"].clone();
        let calls = items(&parts).filter_map(|part| part.pointer("/call/id"));
        let mut results: Vec<Value> =
            calls.map(|id| json!({"result": {"id": id, "parts": [{"text": "19"}]}})).collect();
        results.push(json!({"text": "And then? [[sim tools=0]]"}));
        let turns = talk["turns"].as_array_mut().expect("turns");
        turns.push(json!({"role": "model", "parts": parts}));
        turns.push(json!({"role": "user", "parts": results}));
        for provider in Provider::ALL {
            ran.fetch_add(1, Ordering::Relaxed);
            let (path, body) = self.client.ask(&talk, &line.model(provider, "m"), self.how);
            let answer = line.call(&path, &body);
            if answer.status != 200 {
                found.push(format!("then to {provider:?}: {} {}", answer.status, answer.text()));
                continue;
            }
            self.compare(provider, &parts, &line.last()["body"], &answer, found);
        }
    }

    fn compare(
        &self,
        provider: Provider,
        parts: &Value,
        body: &Value,
        answer: &crate::support::Answer,
        found: &mut Vec<String>,
    ) {
        let sent = body.to_string();
        let is_marked = sent.contains("ringway:") || sent.contains("cmluZ3dheT");
        if is_marked {
            found.push(format!("then to {provider:?}: a mark of the gateway reached it: {sent}"));
        }
        if provider != self.maker {
            if [SIGNATURE, REDACTED].iter().any(|state| sent.contains(state)) {
                found.push(format!("then to {provider:?}: another's signature reached it: {sent}"));
            }
            let edited = answer.header("x-ringway-edited").unwrap_or_default();
            // Thoughts without a signature pass in their own dialect as they are.
            let is_lost = |part: &Value| match provider.is_same(self.client) {
                true => part.get("thought").is_some() && part.get("signature").is_some(),
                false => part.get("thought").is_some(),
            };
            let names = ["thinking", "reasoning", "thought"];
            if items(parts).any(is_lost) && !names.iter().any(|name| edited.contains(name)) {
                found.push(format!("then to {provider:?}: a thought was left out, edited says `{edited}`"));
            }
            return;
        }
        self.compare_at_maker(&provider.heard(body), found);
    }

    /// What came back to the provider that signed.
    fn compare_at_maker(&self, heard: &Value, found: &mut Vec<String>) {
        let got: Vec<&Value> = items(&heard["turns"][1]["parts"]).collect();
        let state = |name: &str| {
            let mut parts = got.iter().filter(|part| part.get(name).is_some());
            // The signature of a text may come back in a part of its own.
            let part = parts.clone().find(|part| part.get("signature").is_some()).or(parts.next());
            part.map_or(Value::Null, |part| part["signature"].clone())
        };
        let (thought, call) = (state("thought"), state("call"));
        let has_call = !self.kind.contains("tools=0");
        let want = match (self.maker, self.kind) {
            (Provider::Chat, _) => (Value::Null, Value::Null),
            (Provider::Gemini, _) if has_call => (Value::Null, json!(SIGNATURE)),
            // The signature of a text comes behind it, where a stream of messages has no place for it. Google demands only
            // those of calls.
            (Provider::Gemini, _) if self.client == Client::Messages && self.how == How::Stream => {
                (Value::Null, Value::Null)
            }
            (Provider::Gemini, _) => (json!(SIGNATURE), Value::Null),
            (Provider::Messages | Provider::Converse, "redacted") => (json!(REDACTED), Value::Null),
            _ => (json!(SIGNATURE), Value::Null),
        };
        let thought = match (self.maker, thought.is_null()) {
            // Gemini signs the text behind a thought.
            (Provider::Gemini, true) => state("text"),
            (_, true) => state("hidden"),
            _ => thought,
        };
        differences("then to its maker: thought", &want.0, &thought, found);
        differences("then to its maker: call", &want.1, &call, found);
        if text(&heard["turns"][1]["role"]) != "model" {
            found.push(format!("then to its maker: {}", heard["turns"]));
        }
    }
}

/// What the simulated providers sign with, and a thought of theirs that nobody else can read.
const SIGNATURE: &str = "c2ltdWxhdGVkIHNpZ25hdHVyZSAvLys/";
const REDACTED: &str = "c2ltdWxhdGVkIHJlZGFjdGVkIHRob3VnaHQ=";
