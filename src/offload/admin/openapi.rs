//! The OpenAPI document, made from the table of routes.

use std::rc::Rc;

use serde_json::{Map, Value as Json, json};

use super::fields::Asked;
use super::routes::{Needs, ROUTES, Route};
use super::{Desk, Reply};
use crate::base::Refusal;

pub async fn document(_desk: Rc<Desk>, asked: Asked) -> Result<Reply, Refusal> {
    asked.query(&[])?.end()?;
    Reply::ok(whole())
}

fn whole() -> Json {
    let mut paths: Map<String, Json> = Map::new();
    for route in ROUTES {
        let path = route.paths().swap_remove(0);
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[route.method.to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Ringway admin API", "version": env!("CARGO_PKG_VERSION")},
        "security": [{"bearer": []}],
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": {"type": "object", "properties": {"error": {"type": "object", "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            }}}}},
        },
        "paths": paths,
    })
}

fn operation(route: &Route) -> Json {
    let in_path = route.path.split(['{', '}']).skip(1).step_by(2);
    let parameter = |place: &str, name: &str, is_needed: bool| json!({"name": name, "in": place, "required": is_needed, "schema": {"type": "string"}});
    let mut parameters: Vec<Json> = in_path.map(|name| parameter("path", name, true)).collect();
    let takes_body = matches!(route.method, "POST" | "PUT");
    let fields = || route.fields.iter().map(|field| (field.trim_end_matches('*'), field.ends_with('*')));
    if !takes_body {
        parameters.extend(fields().map(|(name, is_needed)| parameter("query", name, is_needed)));
    }
    let failure = json!({
        "description": "An error.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    });
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters,
        "responses": {"2XX": {"description": "It is done."}, "default": failure},
        "x-needs": match route.needs {
            Needs::Read => "read",
            Needs::Write => "write",
            Needs::Caller => "caller",
        },
    });
    if takes_body {
        let properties: Map<String, Json> = fields().map(|(name, _)| (name.to_owned(), json!({}))).collect();
        let needed: Vec<&str> = fields().filter(|(_, is_needed)| *is_needed).map(|(name, _)| name).collect();
        let schema = json!({
            "type": "object",
            "properties": properties,
            "required": needed,
            "additionalProperties": false,
        });
        operation["requestBody"] = json!({"content": {"application/json": {"schema": schema}}});
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_stands_in_the_document_and_the_reverse() {
        let document = whole();
        let paths = document["paths"].as_object().unwrap();
        let mut told: Vec<(String, String)> = Vec::new();
        for (path, methods) in paths {
            told.extend(methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())));
        }
        let mut served: Vec<(String, String)> =
            ROUTES.iter().map(|route| (route.method.to_lowercase(), route.paths().swap_remove(0))).collect();
        told.sort();
        served.sort();
        assert_eq!(told, served);
        served.dedup();
        assert_eq!(served.len(), ROUTES.len(), "no route stands twice");
    }
}
