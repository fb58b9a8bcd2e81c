//! JSON schemas as Anthropic's structured outputs take them: keywords that it refuses are left out, every object is closed.
//! <https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs> names both.

use crate::wire::json::{self, Kind, Node};

/// Whether a schema was written as it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    None,
    Some,
}

/// Appends the schema in the form that constrains the model's output.
pub(super) fn write_strict(schema: Node<'_>, out: &mut Vec<u8>) -> Changes {
    let mut changes = Changes::None;
    write_schema(schema, &mut changes, out);
    changes
}

/// Appends the schema of a tool's input, which must say that it is an object.
pub(super) fn write_input_schema(schema: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(schema) = schema.map(Node::scanned).filter(|schema| schema.members().next().is_some()) else {
        return out.extend_from_slice(b"{\"type\":\"object\",\"properties\":{}}");
    };
    if schema.get("type").is_some() {
        return out.extend_from_slice(schema.raw());
    }
    out.extend_from_slice(b"{\"type\":\"object\",");
    for (key, value) in schema.members().filter(|(key, _)| **key != *b"type") {
        write_member(&key, out);
        out.extend_from_slice(value.raw());
        out.push(b',');
    }
    end_object(out);
}

fn write_schema(schema: Node<'_>, changes: &mut Changes, out: &mut Vec<u8>) {
    if schema.kind() != Kind::Object {
        return out.extend_from_slice(schema.raw());
    }
    let has_any_of = schema.get("anyOf").is_some();
    out.push(b'{');
    for (key, value) in schema.members() {
        let before = out.len();
        write_member(&key, out);
        match &*key {
            b"properties" | b"$defs" | b"definitions" => write_map(value, changes, out),
            b"items" => write_schema(value, changes, out),
            b"anyOf" | b"allOf" => write_list(value, changes, out),
            b"oneOf" if !has_any_of => {
                *changes = Changes::Some;
                out.truncate(before);
                write_member(b"anyOf", out);
                write_list(value, changes, out);
            }
            b"additionalProperties" if is_object(schema) => {
                out.truncate(before);
                if value.bool() != Some(false) {
                    *changes = Changes::Some;
                }
                continue;
            }
            b"minItems" if matches!(value.u64(), Some(0 | 1)) => out.extend_from_slice(value.raw()),
            b"pattern" if !has_lookaround(value) => out.extend_from_slice(value.raw()),
            b"format" if is_known_format(value) => out.extend_from_slice(value.raw()),
            other if REFUSED.iter().any(|word| word.as_bytes() == other) => {
                *changes = Changes::Some;
                out.truncate(before);
                continue;
            }
            _ => out.extend_from_slice(value.raw()),
        }
        out.push(b',');
    }
    if is_object(schema) {
        if schema.get("additionalProperties").is_none() {
            *changes = Changes::Some;
        }
        out.extend_from_slice(b"\"additionalProperties\":false,");
    }
    end_object(out);
}

/// Appends an object whose values are schemas and whose keys are names.
fn write_map(map: Node<'_>, changes: &mut Changes, out: &mut Vec<u8>) {
    out.push(b'{');
    for (key, value) in map.members() {
        write_member(&key, out);
        write_schema(value, changes, out);
        out.push(b',');
    }
    end_object(out);
}

fn write_list(list: Node<'_>, changes: &mut Changes, out: &mut Vec<u8>) {
    out.push(b'[');
    for value in list.items() {
        write_schema(value, changes, out);
        out.push(b',');
    }
    super::close_list(out);
}

fn write_member(key: &[u8], out: &mut Vec<u8>) {
    json::write_string(&String::from_utf8_lossy(key), out);
    out.push(b':');
}

fn end_object(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b'}');
}

fn is_object(schema: Node<'_>) -> bool {
    let names_object = |node: Node<'_>| node.escaped() == Some(b"object");
    schema.get("properties").is_some()
        || schema.get("type").is_some_and(|kind| names_object(kind) || kind.items().any(names_object))
}

fn has_lookaround(pattern: Node<'_>) -> bool {
    let pattern = pattern.text().unwrap_or_default();
    ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|group| pattern.contains(group))
}

fn is_known_format(format: Node<'_>) -> bool {
    let format = format.text().unwrap_or_default();
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"]
        .contains(&&*format)
}

/// Keywords that the API answers with 400.
const REFUSED: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "prefixItems",
    "unevaluatedItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
    "dependentRequired",
    "dependentSchemas",
    "oneOf",
    "if",
    "then",
    "else",
    "not",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_goes_and_names_that_look_like_keywords_stay() {
        for (schema, want, changes) in [
            (
                r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}"#,
                r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}"#,
                Changes::None,
            ),
            (
                r#"{"type":"object","properties":{"minimum":{"type":["integer","null"],"minimum":3},"not":{"oneOf":[{"type":"string","format":"x"},{"type":"string","format":"date"}]}}}"#,
                r#"{"type":"object","properties":{"minimum":{"type":["integer","null"]},"not":{"anyOf":[{"type":"string"},{"type":"string","format":"date"}]}},"additionalProperties":false}"#,
                Changes::Some,
            ),
            (
                r#"{"type":"array","items":{"type":"object","additionalProperties":{"type":"string"}},"minItems":1,"maxItems":5}"#,
                r#"{"type":"array","items":{"type":"object","additionalProperties":false},"minItems":1}"#,
                Changes::Some,
            ),
            (
                r##"{"$defs":{"d":{"type":"string","pattern":"^(?!x)"}},"allOf":[{"$ref":"#/$defs/d"}],"enum":[{"minimum":1}]}"##,
                r##"{"$defs":{"d":{"type":"string"}},"allOf":[{"$ref":"#/$defs/d"}],"enum":[{"minimum":1}]}"##,
                Changes::Some,
            ),
        ] {
            let mut out = Vec::new();
            assert_eq!(write_strict(Node::scanned(schema.as_bytes()), &mut out), changes, "{schema}");
            assert_eq!(String::from_utf8(out).expect("UTF-8"), want);
        }
    }

    #[test]
    fn the_input_of_a_tool_is_an_object() {
        for (schema, want) in [
            (None, r#"{"type":"object","properties":{}}"#),
            (Some("{}"), r#"{"type":"object","properties":{}}"#),
            (Some(r#"{"properties":{"a":{}}}"#), r#"{"type":"object","properties":{"a":{}}}"#),
            (Some(r#"{"type":null,"properties":{}}"#), r#"{"type":"object","properties":{}}"#),
            (Some(r#"{"type": "object", "minimum": 1}"#), r#"{"type": "object", "minimum": 1}"#),
        ] {
            let mut out = Vec::new();
            write_input_schema(schema.map(str::as_bytes), &mut out);
            assert_eq!(String::from_utf8(out).expect("UTF-8"), want);
        }
    }
}
