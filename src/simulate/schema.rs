//! An instance of a JSON schema: the smallest value that a simulated model would give as arguments or structured output.

use serde_json::{Map, Value, json};

/// A value that fits the schema, for the kinds of schema that tools and structured output use.
pub fn instance(schema: &Value) -> Value {
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    if let Some(first) = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| schema.get(*key)?.get(0)) {
        return instance(first);
    }
    let kind = schema.get("type").map(|kind| kind.get(0).unwrap_or(kind));
    match kind.and_then(Value::as_str) {
        Some("object") => object(schema),
        Some("array") => json!([instance(schema.get("items").unwrap_or(&Value::Null))]),
        Some("integer") => schema.get("minimum").cloned().unwrap_or(json!(7)),
        Some("number") => schema.get("minimum").cloned().unwrap_or(json!(1.5)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        _ if schema.get("properties").is_some() => object(schema),
        _ => json!("text"),
    }
}

fn object(schema: &Value) -> Value {
    let mut members = Map::new();
    for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        members.insert(name.clone(), instance(schema));
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_gets_a_value_of_its_type() {
        let schema = json!({"type": "object", "properties": {
            "city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]},
            "tags": {"type": "array", "items": {"type": "boolean"}}, "at": {"anyOf": [{"type": "null"}, {"type": "string"}]}}});
        let want = json!({"city": "text", "days": 7, "unit": "C", "tags": [true], "at": null});
        assert_eq!(instance(&schema), want);
    }
}
