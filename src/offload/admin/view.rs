//! Rows of the store as the admin API shows them, and what is told when the store cannot be asked.

use serde_json::{Map, Value as Json};

use crate::base::{Pico, Refusal, RefusalKind, base64};
use crate::offload::store::{ErrorKind, Row, StoreError, Value};

/// A value as JSON. Money is a decimal text of dollars, which no reader can round; times are as in RFC 3339.
pub fn value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Text(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Money(amount) => money(*amount),
        Value::Flag(flag) => (*flag).into(),
        Value::Json(text) => serde_json::from_str(text).unwrap_or(Json::Null),
        Value::Names(names) => names.as_slice().into(),
        Value::TimeMs(ms) => time(*ms),
        Value::Bytes(bytes) => base64(bytes).into(),
    }
}

pub fn money(amount: Pico) -> Json {
    amount.to_string().into()
}

/// A moment in milliseconds of the Unix epoch, always with its milliseconds: so the texts of moments have the order of the moments.
pub fn time(ms: i64) -> Json {
    jiff::Timestamp::from_millisecond(ms).map_or(Json::Null, |moment| format!("{moment:.3}").into())
}

/// A row with its columns as they are named, `_ms` of times left out; without these.
pub fn row(row: &Row, hidden: &[&str]) -> Map<String, Json> {
    let shown = row.iter().filter(|(column, _)| !hidden.contains(&column.name));
    shown
        .map(|(column, held)| {
            let name = match held {
                Value::TimeMs(_) => column.name.trim_end_matches("_ms"),
                _ if column.name.ends_with("_at_ms") => column.name.trim_end_matches("_ms"),
                _ => column.name,
            };
            (name.to_owned(), value(held))
        })
        .collect()
}

/// What a client is told when the store fails.
pub fn of_store(error: &StoreError) -> Refusal {
    match error.kind {
        ErrorKind::Conflict => Refusal::new(
            409,
            RefusalKind::InvalidRequest,
            "already_exists",
            "It exists already, or somebody has changed it meanwhile.",
        ),
        ErrorKind::Unfit => {
            Refusal::invalid("invalid_field", format!("The store cannot hold this: {}.", error.what))
        }
        _ => {
            let message = "The store cannot be asked now; nothing is lost, and nothing was put in force.";
            let mut refusal = Refusal::new(503, RefusalKind::Server, "store_unavailable", message);
            refusal.retry_after_s = Some(1);
            refusal
        }
    }
}

/// Columns of the audit log that are shown of one exchange alone.
pub const BODIES: [&str; 4] = ["request_headers", "request_body", "response_headers", "response_body"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_texts_have_the_order_of_the_moments() {
        assert_eq!(time(1_764_000_000_000), "2025-11-24T16:00:00.000Z");
        assert_eq!(time(1_764_000_000_070), "2025-11-24T16:00:00.070Z");
        let texts: Vec<String> = (999_900..1_000_200).map(|ms| time(ms).to_string()).collect();
        assert!(texts.is_sorted());
    }
}
