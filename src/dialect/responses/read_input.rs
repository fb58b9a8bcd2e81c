//! Reads the items of a request's input into turns. Items of the model that follow each other become one turn of the
//! assistant, because the other dialects know calls of tools as parts of what it said.

use super::fields::{full_text_of, missing, need_object, need_text, text_of, wrong_kind, wrong_value};
use super::read_parts;
use crate::base::Refusal;
use crate::dialect::middle::{Part, Role, Signature, Text, ToolKind, Turn};
use crate::wire::json::{Kind, Node};

/// Reads `input`: a text of the user, or items.
pub fn read_input<'a>(input: Node<'a>, turns: &mut Vec<Turn<'a>>) -> Result<(), Refusal> {
    if input.kind() == Kind::String {
        let parts = vec![Part::Text { text: need_text(input, "input")?, cache_control: None }];
        turns.push(Turn { role: Role::User, parts, name: None });
        return Ok(());
    }
    if input.kind() != Kind::Array {
        return Err(wrong_kind("input", "a string or an array of items"));
    }
    read_items(input, "input", turns)
}

/// Reads an array of items; `field` is the array's name in refusals.
pub fn read_items<'a>(items: Node<'a>, field: &str, turns: &mut Vec<Turn<'a>>) -> Result<(), Refusal> {
    // The state of a call that an own answer put into a reasoning item in front of it.
    let mut call_state: Option<Signature<'a>> = None;
    for (index, item) in items.items().enumerate() {
        let path = format!("{field}[{index}]");
        need_object(item, &path)?;
        let kind = item.get("type").and_then(Node::text).unwrap_or_default();
        match &*kind {
            "message" => read_message(item, &path, turns)?,
            "" if item.get("role").is_some() => read_message(item, &path, turns)?,
            "" => return Err(missing(&format!("{path}.type"))),
            "function_call" => {
                let call = read_call(item, &path, ToolKind::Function, call_state.take())?;
                call_turn(turns).push(call);
            }
            "custom_tool_call" => {
                let call = read_call(item, &path, ToolKind::Custom, call_state.take())?;
                call_turn(turns).push(call);
            }
            "function_call_output" | "custom_tool_call_output" => {
                let result = read_result(item, &path)?;
                result_turn(turns).push(result);
            }
            "reasoning" => match read_reasoning(item) {
                Some(Part::HiddenThinking { data }) if is_call_state(&data) => {
                    call_state = Some(without_mark(data));
                }
                thought => said_turn(turns).extend(thought),
            },
            "item_reference" => return Err(reference(&path)),
            _ => foreign_turn(&kind, turns).push(Part::Foreign { path, raw: item.raw() }),
        }
    }
    Ok(())
}

fn reference(path: &str) -> Refusal {
    let sentence =
        format!("`{path}` refers to a stored item, and this route has none: send the item itself.");
    Refusal::invalid("unsupported_item", sentence).about(path)
}

fn read_message<'a>(item: Node<'a>, path: &str, turns: &mut Vec<Turn<'a>>) -> Result<(), Refusal> {
    let role = match item.get("role").and_then(Node::text).as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        _ => {
            let field = format!("{path}.role");
            let sentence = format!("`{field}` must be `user`, `assistant`, `system` or `developer`.");
            return Err(wrong_value(&field, sentence));
        }
    };
    let field = format!("{path}.content");
    let content = item.get("content").ok_or_else(|| missing(&field))?;
    let parts = read_parts::read_content(content, &field)?;
    match role {
        Role::Assistant => said_turn(turns).extend(parts),
        _ => turns.push(Turn { role, parts, name: None }),
    }
    Ok(())
}

fn read_call<'a>(
    item: Node<'a>,
    path: &str,
    kind: ToolKind,
    signature: Option<Signature<'a>>,
) -> Result<Part<'a>, Refusal> {
    let need = |key: &str| full_text_of(item, key).ok_or_else(|| missing(&format!("{path}.{key}")));
    let input = if kind == ToolKind::Custom { "input" } else { "arguments" };
    let arguments = match item.get(input) {
        None => Text::default(),
        Some(value) if value.kind() == Kind::String => need_text(value, path)?,
        // Some clients give the object itself.
        Some(value) => Text::of_json(value.raw()),
    };
    let (id, name) = (need("call_id")?, need("name")?);
    Ok(Part::ToolCall { id, name, arguments, kind, signature, cache_control: None })
}

fn read_result<'a>(item: Node<'a>, path: &str) -> Result<Part<'a>, Refusal> {
    let id = full_text_of(item, "call_id").ok_or_else(|| missing(&format!("{path}.call_id")))?;
    let parts = match item.get("output") {
        None => Vec::new(),
        Some(output) if matches!(output.kind(), Kind::String | Kind::Array) => {
            read_parts::read_content(output, &format!("{path}.output"))?
        }
        Some(output) => vec![Part::Text { text: Text::of_json(output.raw()), cache_control: None }],
    };
    Ok(Part::ToolResult { id, name: full_text_of(item, "name"), parts, is_error: false, cache_control: None })
}

/// A thought with its summary, or one that only its vendor can read. A summary that is there but empty is a thought whose
/// text its vendor keeps back.
fn read_reasoning<'a>(item: Node<'a>) -> Option<Part<'a>> {
    let signature = full_text_of(item, "encrypted_content").map(Signature::from_client);
    let texts = |key: &str| item.get(key).filter(|list| list.items().next().is_some()).map(joined);
    match (texts("summary").or_else(|| texts("content")), signature) {
        (Some(text), signature) => Some(Part::Thinking { text, signature }),
        (None, Some(data)) => Some(Part::HiddenThinking { data }),
        (None, None) => None,
    }
}

/// The texts of a list of parts, a blank line between them.
pub fn joined<'a>(list: Node<'a>) -> Text<'a> {
    let mut all = Text::default();
    for (index, part) in list.items().enumerate() {
        if index == 0 {
            all = text_of(part, "text");
        } else {
            all.push(&Text::escaped(PARAGRAPH));
            all.push(&text_of(part, "text"));
        }
    }
    all
}

/// A blank line as JSON spells it.
pub const PARAGRAPH: &[u8] = br"\n\n";

/// The assistant's turn that something said goes into. What was said before without a call of a tool stays a turn of its
/// own.
fn said_turn<'t, 'a>(turns: &'t mut Vec<Turn<'a>>) -> &'t mut Vec<Part<'a>> {
    let says = |turn: &Turn<'_>| {
        let has = |test: fn(&Part<'_>) -> bool| turn.parts.iter().any(test);
        has(|part| matches!(part, Part::Text { .. } | Part::Refusal { .. }))
            && !has(|part| matches!(part, Part::ToolCall { .. }))
    };
    let joins = |turn: &Turn<'_>| turn.role == Role::Assistant && !says(turn);
    turn_where(turns, Role::Assistant, joins)
}

/// The assistant's turn that a call goes into: the one that is open, whatever it holds.
fn call_turn<'t, 'a>(turns: &'t mut Vec<Turn<'a>>) -> &'t mut Vec<Part<'a>> {
    turn_where(turns, Role::Assistant, |turn| turn.role == Role::Assistant)
}

/// The user's turn that holds results and nothing else.
fn result_turn<'t, 'a>(turns: &'t mut Vec<Turn<'a>>) -> &'t mut Vec<Part<'a>> {
    turn_where(turns, Role::User, |turn| {
        turn.role == Role::User && turn.parts.iter().all(|part| matches!(part, Part::ToolResult { .. }))
    })
}

/// Results of tools that the client ran are the user's, everything else is what the model's side did.
fn foreign_turn<'t, 'a>(kind: &str, turns: &'t mut Vec<Turn<'a>>) -> &'t mut Vec<Part<'a>> {
    if kind.ends_with("_output") || kind.ends_with("_response") {
        return turn_where(turns, Role::User, |_| false);
    }
    call_turn(turns)
}

fn turn_where<'t, 'a>(
    turns: &'t mut Vec<Turn<'a>>,
    role: Role,
    joins: impl Fn(&Turn<'a>) -> bool,
) -> &'t mut Vec<Part<'a>> {
    if !turns.last().is_some_and(joins) {
        turns.push(Turn { role, parts: Vec::new(), name: None });
    }
    let last = turns.len() - 1;
    &mut turns[last].parts
}

/// Marks the state of a call among the encrypted reasoning: this dialect has no field for it on the call.
pub const CALL_STATE_MARK: &str = "call:";

fn is_call_state(data: &Signature<'_>) -> bool {
    !data.vendor.is_empty() && data.value.as_escaped().starts_with(CALL_STATE_MARK.as_bytes())
}

fn without_mark<'a>(data: Signature<'a>) -> Signature<'a> {
    let value = Text::of(data.value.decoded().strip_prefix(CALL_STATE_MARK).unwrap_or_default());
    Signature { vendor: data.vendor, value }
}
