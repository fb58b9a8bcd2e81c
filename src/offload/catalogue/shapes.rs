//! The list of models as the callers of each dialect expect it.

use serde_json::{Map, Value, json};

use crate::dialect::endpoint::Grammar;

/// The body of a list of models.
pub fn list(grammar: Grammar, models: &[Value]) -> Vec<u8> {
    let shaped: Vec<Value> = models.iter().map(|model| shape(grammar, model)).collect();
    let list = match grammar {
        Grammar::Messages => {
            let id = |model: Option<&Value>| model.map_or(Value::Null, |model| model["id"].clone());
            json!({"first_id": id(shaped.first()), "last_id": id(shaped.last()), "has_more": false, "data": shaped})
        }
        Grammar::Gemini => json!({"models": shaped}),
        _ => json!({"object": "list", "data": shaped}),
    };
    list.to_string().into_bytes()
}

/// One model. What the provider said beyond what the shape needs stays where the shape is its own.
pub fn shape(grammar: Grammar, model: &Value) -> Value {
    let id = model["id"].as_str().unwrap_or_default();
    match grammar {
        Grammar::Messages => {
            let text = |key: &str| model[key].as_str().map(str::to_owned);
            let created = || rfc3339(model["created"].as_u64().unwrap_or(0));
            json!({
                "type": "model",
                "id": id,
                "display_name": text("display_name").unwrap_or_else(|| id.to_owned()),
                "created_at": text("created_at").unwrap_or_else(created),
            })
        }
        Grammar::Gemini => {
            let mut shaped = match model.get("supportedGenerationMethods") {
                Some(_) => model.as_object().cloned().unwrap_or_default(),
                None => Map::new(),
            };
            for ours in ["id", "object", "created", "owned_by"] {
                shaped.remove(ours);
            }
            shaped.insert("name".to_owned(), json!(format!("models/{id}")));
            shaped.entry("displayName").or_insert_with(|| json!(id));
            shaped.entry("supportedGenerationMethods").or_insert_with(|| json!(["generateContent"]));
            Value::Object(shaped)
        }
        _ => model.clone(),
    }
}

/// Seconds since 1970 as RFC 3339 writes them, in UTC. Days become a date by the method of eras of 400 years.
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    // Years begin in March here, so that the day that some years have stands at the end.
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), want);
        }
    }

    #[test]
    fn every_dialect_gets_the_list_in_its_own_shape() {
        let models = [
            json!({"id": "a", "created": 1_767_225_600, "object": "model", "owned_by": "p"}),
            json!({"id": "b"}),
        ];
        let parse = |grammar| serde_json::from_slice::<Value>(&list(grammar, &models)).expect("JSON");
        let anthropic = parse(Grammar::Messages);
        assert_eq!(anthropic["data"][0]["created_at"], "2026-01-01T00:00:00Z");
        assert_eq!((&anthropic["last_id"], &anthropic["has_more"]), (&json!("b"), &json!(false)));
        assert_eq!(parse(Grammar::Gemini)["models"][1]["name"], "models/b");
        assert_eq!(parse(Grammar::Chat)["data"][0]["owned_by"], "p");
    }
}
