//! Schemas of the OpenAPI 3.0 kind, which this dialect has beside JSON Schema, as JSON Schemas: all other dialects know
//! those only. Never changes anything else of the request.

use super::spelling::{camel, field, separate};
use crate::wire::json::{self, Node};

/// The request with its OpenAPI schemas (`parameters` of functions, `responseSchema`) as JSON Schemas under the names that
/// this dialect has for these; `None` when it holds none. A request that is to be translated is read in this form: the
/// middle borrows schemas, so they have to stand in the body as they are to be sent.
pub fn with_json_schemas(body: Node<'_>) -> Option<Vec<u8>> {
    if !has_openapi(body) {
        return None;
    }
    let mut out = Vec::with_capacity(body.raw().len() + body.raw().len() / 8);
    map_members(body, &mut out, |key, value, out| match key {
        "tools" => map_items(value, out, |tool, out| {
            map_members(tool, out, |key, value, out| match key {
                "functionDeclarations" => map_items(value, out, |function, out| {
                    map_members(function, out, rewrite("parameters", "parametersJsonSchema"));
                }),
                _ => out.extend_from_slice(value.raw()),
            });
        }),
        "generationConfig" => map_members(value, out, rewrite("responseSchema", "responseJsonSchema")),
        _ => out.extend_from_slice(value.raw()),
    });
    Some(out)
}

fn has_openapi(body: Node<'_>) -> bool {
    let config = field(body, "generationConfig");
    let tools = field(body, "tools");
    let mut functions = tools
        .iter()
        .flat_map(|tools| tools.items())
        .filter_map(|tool| field(tool, "functionDeclarations"))
        .flat_map(Node::items);
    config.is_some_and(|config| field(config, "responseSchema").is_some())
        || functions.any(|function| field(function, "parameters").is_some())
}

/// Writes the member `from` as a JSON Schema named `to`, in place of the name that [`map_members`] has just written.
fn rewrite(from: &'static str, to: &'static str) -> impl Fn(&str, Node<'_>, &mut Vec<u8>) {
    move |key, value, out| {
        if key != from || value.is_null() {
            out.extend_from_slice(value.raw());
            return;
        }
        let name_at = out.iter().rposition(|&b| b == b',' || b == b'{').map_or(0, |at| at + 1);
        out.truncate(name_at);
        json::write_string(to, out);
        out.push(b':');
        write_schema(value, out);
    }
}

/// Copies an object; values go through `write`, which gets their keys in camel case. Anything else is copied whole.
fn map_members(node: Node<'_>, out: &mut Vec<u8>, write: impl Fn(&str, Node<'_>, &mut Vec<u8>)) {
    if node.kind() != json::Kind::Object {
        out.extend_from_slice(node.raw());
        return;
    }
    out.push(b'{');
    for (key, value) in node.members() {
        name(&key, out);
        write(&camel(&key), value, out);
    }
    out.push(b'}');
}

/// Copies an array; elements go through `write`. Anything else is copied whole.
fn map_items(node: Node<'_>, out: &mut Vec<u8>, write: impl Fn(Node<'_>, &mut Vec<u8>)) {
    if node.kind() != json::Kind::Array {
        out.extend_from_slice(node.raw());
        return;
    }
    out.push(b'[');
    for value in node.items() {
        separate(out);
        write(value, out);
    }
    out.push(b']');
}

/// Starts a member whose key was unescaped.
fn name(key: &[u8], out: &mut Vec<u8>) {
    separate(out);
    out.push(b'"');
    json::write_escaped(key, out);
    out.extend_from_slice(b"\":");
}

/// Writes an OpenAPI 3.0 schema as JSON Schema: types in lower case, `nullable` as a type, 64-bit bounds as numbers.
fn write_schema(node: Node<'_>, out: &mut Vec<u8>) {
    if node.kind() != json::Kind::Object {
        out.extend_from_slice(node.raw());
        return;
    }
    let is_nullable = field(node, "nullable").and_then(Node::bool) == Some(true);
    out.push(b'{');
    for (key, value) in node.members() {
        let known = camel(&key);
        match &*known {
            "nullable" | "propertyOrdering" => {}
            "format" if value.text().as_deref() == Some("enum") => {}
            "type" => write_type(value, is_nullable, out),
            "enum" if is_nullable => {
                name(b"enum", out);
                with_one_more(value, b"null", out);
            }
            "anyOf" if is_nullable && field(node, "type").is_none() => {
                let mut schemas = Vec::new();
                map_items(value, &mut schemas, write_schema);
                name(b"anyOf", out);
                with_one_more(Node::scanned(&schemas), b"{\"type\":\"null\"}", out);
            }
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                name(known.as_bytes(), out);
                map_items(value, out, write_schema);
            }
            "items" | "additionalProperties" => {
                name(known.as_bytes(), out);
                write_schema(value, out);
            }
            // The names of properties are the client's own: they are no spelling of anything.
            "properties" | "$defs" => {
                name(known.as_bytes(), out);
                map_members(value, out, |_, schema, out| write_schema(schema, out));
            }
            "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties" => {
                name(known.as_bytes(), out);
                write_bound(value, out);
            }
            _ => {
                name(&key, out);
                out.extend_from_slice(value.raw());
            }
        }
    }
    out.push(b'}');
}

fn write_type(value: Node<'_>, is_nullable: bool, out: &mut Vec<u8>) {
    let Some(word) = value.text() else {
        name(b"type", out);
        out.extend_from_slice(value.raw());
        return;
    };
    if word == "TYPE_UNSPECIFIED" {
        return;
    }
    name(b"type", out);
    let word = word.to_ascii_lowercase();
    if is_nullable && word != "null" {
        out.push(b'[');
        json::write_string(&word, out);
        out.extend_from_slice(b",\"null\"]");
    } else {
        json::write_string(&word, out);
    }
}

/// A bound: 64-bit numbers are texts in the JSON form of protocol buffers.
fn write_bound(value: Node<'_>, out: &mut Vec<u8>) {
    let digits = value.escaped().filter(|text| !text.is_empty() && text.iter().all(u8::is_ascii_digit));
    let bound = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
    match bound {
        Some(bound) => super::spelling::count(bound, out),
        None => out.extend_from_slice(value.raw()),
    }
}

/// The array with one more element.
fn with_one_more(array: Node<'_>, element: &[u8], out: &mut Vec<u8>) {
    out.push(b'[');
    for value in array.items() {
        separate(out);
        out.extend_from_slice(value.raw());
    }
    separate(out);
    out.extend_from_slice(element);
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, want: Option<&str>) {
        let out = with_json_schemas(Node::scanned(body.as_bytes()));
        let out = out.map(|out| String::from_utf8(out).unwrap());
        assert_eq!(out.as_deref(), want, "{body}");
    }

    #[test]
    fn openapi_schemas_become_json_schemas_and_all_else_stays() {
        check(r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"f"}]}]}"#, None);
        check(r#"{"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":{}}]}]}"#, None);
        check(
            r#"{"contents": [ {"parts":[{"text":"a\u00e4"}]} ],"tools":[{"googleSearch":{}},{"function_declarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"min_items":{"type":"STRING","nullable":true,"enum":["a"],"format":"enum"},"type":{"type":"ARRAY","items":{"type":"INTEGER"},"min_items":"1"}},"required":["type"],"propertyOrdering":["type"]}}]}],"generationConfig":{"topK":3,"responseSchema":{"anyOf":[{"type":"NUMBER"}],"nullable":true}}}"#,
            Some(
                r#"{"contents":[ {"parts":[{"text":"a\u00e4"}]} ],"tools":[{"googleSearch":{}},{"function_declarations":[{"name":"f","parametersJsonSchema":{"type":"object","properties":{"min_items":{"type":["string","null"],"enum":["a",null]},"type":{"type":"array","items":{"type":"integer"},"minItems":1}},"required":["type"]}}]}],"generationConfig":{"topK":3,"responseJsonSchema":{"anyOf":[{"type":"number"},{"type":"null"}]}}}"#,
            ),
        );
    }
}
