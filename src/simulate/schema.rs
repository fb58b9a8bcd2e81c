//! An instance of a JSON schema: the smallest value that a simulated model would give as arguments or structured output.

use serde_json::{Map, Value, json};

/// A value that fits the schema, for the kinds of schema that tools and structured output use.
pub fn instance(schema: &Value) -> Value {
    Root(schema).instance(schema, 0)
}

/// The whole schema, in which `$ref` finds its definitions.
struct Root<'s>(&'s Value);

impl Root<'_> {
    fn instance(&self, schema: &Value, depth: usize) -> Value {
        if let Some(place) = schema.get("$ref").and_then(Value::as_str) {
            let definition = place.strip_prefix('#').and_then(|place| self.0.pointer(place));
            return definition
                .filter(|_| depth < 2 * DEPTH_MAX)
                .map_or(Value::Null, |schema| self.instance(schema, depth + 1));
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
            return first.clone();
        }
        if let Some(first) = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| schema.get(*key)?.get(0)) {
            return self.instance(first, depth);
        }
        let kind = schema.get("type").map(|kind| kind.get(0).unwrap_or(kind)).and_then(Value::as_str);
        // Some dialects spell types in capitals.
        match kind.map(str::to_ascii_lowercase).as_deref() {
            Some("object") => self.object(schema, depth),
            // An empty list ends a definition that holds itself.
            Some("array") if depth >= DEPTH_MAX => json!([]),
            Some("array") => json!([self.instance(schema.get("items").unwrap_or(&Value::Null), depth)]),
            Some("integer") => schema.get("minimum").cloned().unwrap_or(json!(7)),
            Some("number") => schema.get("minimum").cloned().unwrap_or(json!(1.5)),
            Some("boolean") => json!(true),
            Some("null") => Value::Null,
            _ if schema.get("properties").is_some() => self.object(schema, depth),
            _ => json!(TEXT),
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let properties = schema.get("properties").and_then(Value::as_object);
        let members = properties.into_iter().flatten();
        let members = members.map(|(name, schema)| {
            let value = self.instance(schema, depth);
            let is_place = PLACE_NAMES.contains(&name.as_str()) && value == TEXT;
            (name.clone(), if is_place { json!(PLACE) } else { value })
        });
        Value::Object(members.collect::<Map<_, _>>())
    }
}

/// Puts this text in the place of every text that an instance made up.
pub fn replace_texts(value: &mut Value, by: &str) {
    match value {
        Value::String(text) if text == TEXT || text == PLACE => by.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| replace_texts(item, by)),
        Value::Object(members) => members.values_mut().for_each(|member| replace_texts(member, by)),
        _ => {}
    }
}

/// How often `$ref` is followed before lists stay empty; at twice of it there is no value.
const DEPTH_MAX: usize = 4;
/// What a string is that nothing else says anything about.
const TEXT: &str = "text";
/// What it is where the property's name asks for a place.
const PLACE: &str = "Paris";
const PLACE_NAMES: [&str; 3] = ["city", "location", "place"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_gets_a_value_of_its_type() {
        let schema = json!({"type": "object", "properties": {
            "city": {"type": "STRING"}, "name": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]},
            "tags": {"type": "array", "items": {"type": "boolean"}}, "at": {"anyOf": [{"type": "null"}, {"type": "string"}]}}});
        let want =
            json!({"city": "Paris", "name": "text", "days": 7, "unit": "C", "tags": [true], "at": null});
        assert_eq!(instance(&schema), want);
    }

    #[test]
    fn references_are_followed_and_a_schema_that_holds_itself_ends() {
        let schema = json!({"$ref": "#/$defs/node", "$defs": {
            "unit": {"enum": ["C", "F"]},
            "node": {"type": "object", "properties": {
                "unit": {"$ref": "#/$defs/unit"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}}});
        let leaf = json!({"unit": "C", "children": []});
        let want = (1..DEPTH_MAX).fold(leaf, |child, _| json!({"unit": "C", "children": [child]}));
        assert_eq!(instance(&schema), want);
        let endless = json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}});
        assert_eq!(instance(&endless), Value::Null);
        assert_eq!(instance(&json!({"$ref": "#/nowhere"})), Value::Null);
    }
}
