//! `tools` and `toolConfig` into the middle.

use super::super::middle::{Extra, Request, Text, Tool, ToolChoice, ToolKind};
use super::spelling::{camel, field, wrong};
use crate::base::Refusal;
use crate::wire::json::{Kind, Node};

/// The functions of all tools, and each tool of the provider's own (`googleSearch` and the like) under the name of its
/// member, with the whole tool for a schema.
pub(super) fn read_tools<'a>(value: Node<'a>, tools: &mut Vec<Tool<'a>>) -> Result<(), Refusal> {
    if value.kind() != Kind::Array {
        return Err(wrong("tools", "`tools` must be a list."));
    }
    for (index, tool) in value.items().enumerate() {
        let path = format!("tools[{index}]");
        if tool.kind() != Kind::Object {
            return Err(wrong(path, "A tool must be an object."));
        }
        for (key, value) in tool.members().filter(|(_, value)| !value.is_null()) {
            let name = camel(&key);
            if name != "functionDeclarations" {
                let schema = Some(tool.raw());
                tools.push(Tool { kind: ToolKind::Foreign, schema, ..nameless(Text::of(&name)) });
                continue;
            }
            for (index, function) in value.items().enumerate() {
                tools.push(read_function(function, || format!("{path}.{name}[{index}]"))?);
            }
        }
    }
    Ok(())
}

/// A function. What it will answer (`response`) and when (`behavior`, of live sessions) is said to the model only by this
/// dialect, and is no part of the question.
fn read_function<'a>(function: Node<'a>, path: impl Fn() -> String) -> Result<Tool<'a>, Refusal> {
    let text = |name: &str| field(function, name).and_then(Node::escaped).map(Text::escaped);
    let Some(name) = text("name").filter(|name| !name.is_empty()) else {
        return Err(wrong(format!("{}.name", path()), "A function must have a name."));
    };
    let schema = field(function, "parametersJsonSchema").or_else(|| field(function, "parameters"));
    if schema.is_some_and(|schema| schema.kind() != Kind::Object) {
        return Err(wrong(format!("{}.parameters", path()), "The parameters must be a schema: an object."));
    }
    let description = text("description");
    Ok(Tool { description, schema: schema.map(Node::raw), ..nameless(name) })
}

fn nameless(name: Text<'_>) -> Tool<'_> {
    let kind = ToolKind::Function;
    Tool { kind, name, description: None, schema: None, strict: None, cache_control: None }
}

/// Whether and which functions are to be called.
pub(super) fn read_tool_config<'a>(config: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    for (key, value) in config.members().filter(|(_, value)| !value.is_null()) {
        match &*camel(&key) {
            "functionCallingConfig" => read_calling(value, request)?,
            name => request.extras.push(Extra { name: format!("toolConfig.{name}"), raw: value.raw() }),
        }
    }
    Ok(())
}

fn read_calling<'a>(config: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    let allowed: Vec<Text<'a>> = field(config, "allowedFunctionNames")
        .into_iter()
        .flat_map(Node::items)
        .filter_map(|name| name.escaped().map(Text::escaped))
        .collect();
    let mode = field(config, "mode").and_then(Node::text).unwrap_or_default();
    request.tool_choice = match (&*mode, &allowed[..]) {
        ("" | "MODE_UNSPECIFIED", _) => None,
        ("NONE", _) => Some(ToolChoice::None),
        ("ANY", []) => Some(ToolChoice::Required),
        ("ANY", [name]) => Some(ToolChoice::Named(name.clone())),
        ("AUTO", []) => Some(ToolChoice::Auto),
        ("VALIDATED", []) => {
            // Calls are free, their arguments must fit the schemas: what others say of each tool.
            let functions = request.tools.iter_mut().filter(|tool| tool.kind == ToolKind::Function);
            functions.for_each(|tool| tool.strict = Some(true));
            Some(ToolChoice::Auto)
        }
        // Several names, or names where no call is demanded: only this dialect can say it.
        ("ANY" | "AUTO" | "VALIDATED", _) => Some(ToolChoice::Foreign(config.raw())),
        _ => {
            return Err(wrong(
                "toolConfig.functionCallingConfig.mode",
                "The mode must be AUTO, ANY, NONE or VALIDATED.",
            ));
        }
    };
    Ok(())
}
