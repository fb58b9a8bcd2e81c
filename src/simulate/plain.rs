//! What OpenAI's API has beside chat: the older completions, embeddings, and the lists of models in three shapes.

use serde_json::{Value, json};

use super::dialect::Dialect;
use super::openai::{Asked, CREATED, DONE, framed, usage};
use crate::base::base64;

impl Asked<'_> {
    /// The answer of the older completions endpoint.
    pub fn completion(&self) -> Vec<u8> {
        let script = self.script();
        let text = &script.text;
        let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"});
        let answer = json!({"id": "cmpl-simulated", "object": "text_completion", "created": CREATED, "model": self.model(),
            "choices": [choice], "usage": usage(&script.tokens)});
        answer.to_string().into_bytes()
    }

    /// The events of its stream.
    pub fn completion_events(&self) -> Vec<Vec<u8>> {
        let script = self.script();
        let base = |choices: Value| {
            json!({"id": "cmpl-simulated", "object": "text_completion", "created": CREATED,
            "model": self.model(), "choices": choices})
        };
        let piece = |text: &str, finish: Value| {
            framed(&base(json!([{"index": 0, "text": text, "finish_reason": finish}])))
        };
        let mut events: Vec<Vec<u8>> =
            script.pieces().into_iter().map(|text| piece(text, Value::Null)).collect();
        events.push(piece("", json!("stop")));
        if self.includes_usage() {
            let mut last = base(json!([]));
            last["usage"] = usage(&script.tokens);
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

/// Whose shape a list of models has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    OpenAi,
    Anthropic,
    Gemini,
}

impl Shape {
    /// The dialect in whose shape errors go with it.
    pub fn dialect(self) -> Dialect {
        match self {
            Shape::OpenAi => Dialect::Chat,
            Shape::Anthropic => Dialect::Messages,
            Shape::Gemini => Dialect::Gemini,
        }
    }
}

/// The list of models, or one of them; `None` when there is no such model.
pub fn models(shape: Shape, id: Option<&str>) -> Option<Vec<u8>> {
    let model = |id: &str| match shape {
        Shape::OpenAi => json!({"id": id, "object": "model", "created": CREATED, "owned_by": "simulated"}),
        Shape::Anthropic => {
            json!({"type": "model", "id": id, "display_name": id, "created_at": "2026-01-01T00:00:00Z"})
        }
        Shape::Gemini => json!({"name": format!("models/{id}"), "version": "001", "displayName": id,
            "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens"]}),
    };
    let list: Vec<Value> = MODELS.iter().map(|id| model(id)).collect();
    let answer = match (id, shape) {
        (Some(id), _) => model(MODELS.iter().find(|known| **known == id)?),
        (None, Shape::OpenAi) => json!({"object": "list", "data": list}),
        (None, Shape::Anthropic) => {
            json!({"data": list, "has_more": false, "first_id": MODELS[0], "last_id": MODELS[MODELS.len() - 1]})
        }
        (None, Shape::Gemini) => json!({"models": list}),
    };
    Some(answer.to_string().into_bytes())
}

const MODELS: [&str; 3] = ["simulated-chat", "simulated-small", "simulated-embed"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_listed_in_the_shape_of_each_api() {
        let list = |shape| serde_json::from_slice::<Value>(&models(shape, None).unwrap()).unwrap();
        assert_eq!(list(Shape::OpenAi)["data"][0]["object"], "model");
        assert_eq!(list(Shape::Anthropic)["data"][2]["type"], "model");
        assert_eq!(list(Shape::Anthropic)["last_id"], "simulated-embed");
        assert_eq!(list(Shape::Gemini)["models"][1]["name"], "models/simulated-small");
        assert!(
            models(Shape::OpenAi, Some("simulated-chat")).is_some()
                && models(Shape::Gemini, Some("x")).is_none()
        );
    }
}
