//! The table of conversations: what is said, and what is kept from one turn to the next.

use serde_json::{Value, json};

use super::expect::{Case, Outcome};
use super::world::{Client, Provider};

/// One question.
pub fn hi() -> Value {
    asking("How are you?")
}

pub fn asking(text: &str) -> Value {
    json!({"max": 300, "turns": [{"role": "user", "parts": [{"text": text}]}]})
}

/// A conversation with more members.
pub fn with(mut talk: Value, more: Value) -> Value {
    for (key, value) in more.as_object().expect("members") {
        talk[key] = value.clone();
    }
    talk
}

pub fn after(parts: Value) -> Value {
    json!({"max": 300, "turns": [{"role": "user", "parts": parts}]})
}

pub fn texts() -> Vec<Case> {
    let unicode = "Grüße 漢字 😀 👩\u{200d}🚀 𝄞 \"quoted\" back\\slash sl/ash \t tab \n line \u{8} \u{c} \u{1f} \u{7f} \u{2028}\u{2029} </script> {end}";
    let said = "Grüße 漢字 😀 👩\u{200d}🚀 𝄞 \"quoted\" back\\slash sl/ash \t tab \n line \r \u{8} \u{c} \u{1f} \u{7f} \u{2028}\u{2029} </script> {end}";
    let turn = |role: &str, text: &str| json!({"role": role, "parts": [{"text": text}]});
    vec![
        Case::new("text", hi()),
        Case::new("unicode", asking(unicode)).says("unicode", json!([{"text": said}]), "stop"),
        Case::new("unicode as escapes", asking(unicode)).says(
            "unicode=escaped",
            json!([{"text": said}]),
            "stop",
        ),
        Case::new("an empty answer", hi()).says("empty", json!([]), "stop"),
        Case::new("many events", hi()).says(
            "content=\"one two three four five six seven eight\" events=40",
            json!([{"text": "one two three four five six seven eight"}]),
            "stop",
        ),
        Case::new("a long system prompt", with(hi(), json!({"system": "Be brief. ✓ ".repeat(3000)}))),
        Case::new(
            "several turns",
            json!({"max": 300, "system": "Be brief.", "turns": [turn("user", "one"), turn("model", "two"), turn("user", "three"),
                turn("model", "four"), turn("user", "five")]}),
        ),
        Case::new(
            "turns of one role in a row",
            json!({"max": 300, "turns": [turn("user", "one"), turn("user", "two"), turn("model", "three"), turn("user", "four")]}),
        ),
        Case::new(
            "several texts in a turn",
            after(json!([{"text": "one"}, {"text": "two"}, {"text": "three"}])),
        ),
        Case::new(
            "system in the middle",
            json!({"max": 300, "system": "Be brief.", "turns": [turn("user", "one"), turn("model", "two"),
                turn("system", "Now be long."), turn("user", "three")]}),
        )
        .needs(&["system_turn"])
        .adjust(|want, client, provider| {
            if matches!(provider, Provider::Gemini | Provider::Converse) {
                want.sent["turns"][2]["role"] = json!("user");
                want.edits(&[if provider == Provider::Gemini { "messages.role" } else { "system" }]);
            }
            if provider == Provider::Messages && client != Client::Messages {
                want.sent["turns"][2]["role"] = json!("user");
                want.edits(&["messages[3].role"]);
            }
        }),
        Case::new("an empty text among others", after(json!([{"text": ""}, {"text": "one"}]))),
        Case::new("an own model's name", hi()).model("org/model-1.5:free@x"),
    ]
}

const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

pub fn media() -> Vec<Case> {
    let png = json!({"image": {"kind": "image/png", "data": PNG}});
    let jpeg = json!({"image": {"kind": "image/jpeg", "data": "/9j/4AAQSkZJRgABAQAAAQABAAD/2w=="}});
    let url = json!({"url": "https://example.com/a.png?b=c&d=%20"});
    let file = json!({"file": {"kind": "application/pdf", "data": "JVBERi0xLjQK", "name": "report"}});
    vec![
        Case::new("an image in base64", after(json!([png, {"text": "What is it?"}]))),
        Case::new("two images", after(json!([png, {"text": "or"}, jpeg, {"text": "?"}]))),
        Case::new("an image by its address", after(json!([url, {"text": "What is it?"}]))).adjust(
            |want, _, provider| {
                // Amazon takes bytes only.
                if provider == Provider::Converse {
                    want.outcome = Outcome::Unsupported("image.url");
                }
            },
        ),
        Case::new("a file", after(json!([file, {"text": "Sum it up."}]))).adjust(|want, client, provider| {
            // Gemini has no names of files, and no part of its own for them.
            if provider == Provider::Gemini && client != Client::Gemini {
                let mut file = want.sent["turns"][0]["parts"][0]["file"].take();
                file.as_object_mut().map(|file| file.remove("name"));
                want.sent["turns"][0]["parts"][0] = json!({"image": file});
            }
            if client == Client::Gemini && provider != Provider::Gemini {
                let name = match provider {
                    Provider::Chat => json!("file"),
                    Provider::Responses => json!("document.pdf"),
                    Provider::Converse => json!("document"),
                    _ => Value::Null,
                };
                want.sent["turns"][0]["parts"][0]["file"]["name"] = name;
            }
        }),
    ]
}

pub fn sampling() -> Vec<Case> {
    vec![
        Case::new("sampling", with(hi(), json!({"temperature": 0.7, "top_p": 0.9}))),
        Case::new("top_k", with(hi(), json!({"top_k": 40}))).needs(&["top_k"]),
        Case::new("a temperature beyond the range", with(hi(), json!({"temperature": 1.7}))).adjust(
            |want, client, provider| {
                if matches!(provider, Provider::Messages | Provider::Converse) && !provider.is_same(client) {
                    want.sent["temperature"] = json!(1);
                    want.edits(&["temperature"]);
                }
            },
        ),
        Case::new("a seed", with(hi(), json!({"seed": 42}))).needs(&["seed"]),
        Case::new("penalties", with(hi(), json!({"frequency": 0.5, "presence": -0.25})))
            .needs(&["frequency"]),
    ]
}

pub fn limits() -> Vec<Case> {
    vec![
        Case::new("no bound", json!({"turns": [{"role": "user", "parts": [{"text": "hi"}]}]})),
        Case::new("a small bound", with(hi(), json!({"max": 5}))).says(
            "content=\"one two\" finish=length",
            json!([{"text": "one two"}]),
            "length",
        ),
        Case::new("stop sequences", with(hi(), json!({"stop": ["END", "\n\nQ:"]}))).needs(&["stop"]).adjust(
            |want, _, provider| {
                if provider == Provider::Responses {
                    want.outcome = Outcome::Unsupported("stop");
                }
            },
        ),
        Case::new("five stop sequences", with(hi(), json!({"stop": ["a", "b", "c", "d", "e"]})))
            .needs(&["stop"])
            .adjust(|want, client, provider| match provider {
                Provider::Responses => want.outcome = Outcome::Unsupported("stop"),
                Provider::Chat if client != Client::Chat => {
                    want.sent["stop"] = json!(["a", "b", "c", "d"]);
                    want.edits(&["stop"]);
                }
                _ => {}
            }),
        Case::new("a user", with(hi(), json!({"user": "u-123"}))).needs(&["user"]),
    ]
}

/// What only some dialects have.
pub fn particulars() -> Vec<Case> {
    vec![
        Case::new("two answers", with(hi(), json!({"n": 2})))
            .needs(&["n"])
            .says(
                "content=\"a b\"",
                json!([{"parts": [{"text": "a b"}], "finish": "stop"}, {"parts": [{"text": "a b"}], "finish": "stop"}]),
                "stop",
            )
            .adjust(|want, _, provider| {
                if !matches!(provider, Provider::Chat | Provider::Gemini) {
                    want.outcome = Outcome::Unsupported("n");
                }
            }),
        Case::new("a field of nobody's", with(hi(), json!({"extra": {"nonsense": {"a": 1}}}))).adjust(
            |want, client, provider| {
                want.sent.as_object_mut().map(|sent| sent.remove("extra"));
                if !provider.is_same(client) {
                    want.outcome = Outcome::Unsupported("nonsense");
                }
            },
        ),
        Case::new("not to be stored", with(hi(), json!({"extra": {"store": false}}))).needs(&["stored"]).adjust(
            |want, _, provider| {
                want.sent.as_object_mut().map(|sent| sent.remove("extra"));
                if !matches!(provider, Provider::Chat | Provider::Responses) {
                    want.edits(&["store"]);
                }
            },
        ),
        Case::new("logit bias", with(hi(), json!({"extra": {"logit_bias": {"50256": -100}}})))
            .needs(&["n"])
            .adjust(|want, client, provider| {
                want.sent.as_object_mut().map(|sent| sent.remove("extra"));
                match (client, provider) {
                    (Client::Gemini, _) => want.outcome = Outcome::NotAsked,
                    (_, Provider::Chat) => {}
                    _ => want.outcome = Outcome::Unsupported("logit_bias"),
                }
            }),
    ]
}
