//! A client's request into the middle: the top level, and what belongs together of it.

use super::super::middle::{Extra, Part, Request, Role, Turn};
use super::read_config::read_config;
use super::read_contents::{read_contents, read_parts_of_system};
use super::read_tools::{read_tool_config, read_tools};
use super::spelling::{camel, wrong};
use crate::base::Refusal;
use crate::wire::json::{Kind, Node};

/// Reads a client's request. The model and whether it streams are the path's and stay empty. Schemas are taken as they
/// stand: see [`super::with_json_schemas`]. Members below `generationConfig` and `toolConfig` that the middle has no word
/// for become extras with a dotted name, such as `generationConfig.speechConfig`.
pub fn read_request<'a>(body: Node<'a>) -> Result<Request<'a>, Refusal> {
    let mut request = Request::default();
    let mut has_contents = false;
    for (key, value) in body.members().filter(|(_, value)| !value.is_null()) {
        match &*camel(&key) {
            "contents" => {
                has_contents = true;
                read_contents(value, &mut request.turns)?;
            }
            "systemInstruction" => read_system(value, &mut request)?,
            "tools" => read_tools(value, &mut request.tools)?,
            "toolConfig" => {}
            "generationConfig" => read_config(value, &mut request)?,
            // The path has said it.
            "model" => {}
            name => request.extras.push(Extra { name: name.to_owned(), raw: value.raw() }),
        }
    }
    if !has_contents {
        return Err(wrong("contents", "`contents` is missing: the turns of the conversation."));
    }
    // Behind the tools, whatever their order in the body: one of its modes is a property of theirs.
    let config = body.members().filter(|(key, value)| camel(key) == "toolConfig" && !value.is_null()).last();
    if let Some((_, config)) = config {
        read_tool_config(config, &mut request)?;
    }
    Ok(request)
}

/// The instruction of the system, which stands in front of all turns. A bare text is taken as well.
fn read_system<'a>(value: Node<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    let parts: Vec<Part<'a>> = match value.kind() {
        Kind::Object => read_parts_of_system(value)?,
        Kind::String => vec![super::read_contents::text_part(value)],
        _ => return Err(wrong("systemInstruction", "`systemInstruction` must be an object with `parts`.")),
    };
    if !parts.is_empty() {
        request.turns.insert(0, Turn { role: Role::System, parts, name: None });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
