//! Tools of Converse: what may be called and what must be, and the names and ids that the API takes.

use crate::base::Refusal;
use crate::dialect::middle::{
    Format, Report, Request, Rules, StructuredOutput, Text, Tool, ToolChoice, ToolKind, Written,
};
use crate::wire::json::{self, Node};

use super::write::{cache_point, element, is_blank, member, raw_member, str_member, text_member};

/// The tool whose input is the answer, where an answer of a given shape cannot be asked for otherwise.
pub const ANSWER_TOOL: &str = "answer_as_json";

/// Names of tools as they are sent, and what was renamed for that.
#[derive(Default)]
pub(super) struct Names {
    renamed: Vec<(String, String)>,
    /// Tools that the history calls, as they are sent.
    called: Vec<String>,
}

impl Names {
    /// The name as it is sent: letters, digits, `_` and `-`, at most 64. One that is not so is cut, and told from all
    /// others by its hash; the same name is sent as the same one always, which keeps the provider's cache.
    pub(super) fn sent(&mut self, name: &Text<'_>) -> String {
        let given = name.decoded();
        if is_identifier(&given) {
            return given.into_owned();
        }
        let plain = given.chars().map(|c| if is_identifier_char(c) { c } else { '_' });
        let front: String = plain.take(IDENTIFIER_BYTES_MAX - HASH_DIGITS - 1).collect();
        let sent = format!("{front}_{:016x}", hash(&given));
        if !self.renamed.iter().any(|(known, _)| *known == sent) {
            self.renamed.push((sent.clone(), given.into_owned()));
        }
        sent
    }

    /// The same, of a tool that the history calls.
    pub(super) fn called(&mut self, name: &Text<'_>) -> String {
        let sent = self.sent(name);
        if !self.called.contains(&sent) {
            self.called.push(sent.clone());
        }
        sent
    }

    pub(super) fn into_written(self, answer_tool: Option<&'static str>) -> Written {
        Written { renamed_tools: self.renamed, answer_tool, ..Written::default() }
    }
}

/// The id of a call as it is sent, for the call and for its result.
pub(super) fn sent_id(id: &Text<'_>) -> String {
    let given = id.decoded();
    if is_identifier(&given) { given.into_owned() } else { format!("call_{:016x}", hash(&given)) }
}

/// A call's arguments: the JSON object that the text holds, `{}` for an empty one.
pub(super) fn write_arguments(
    arguments: &Text<'_>,
    kind: ToolKind,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if kind == ToolKind::Custom {
        out.push(b'{');
        text_member("input", arguments, out);
        out.push(b'}');
        return Ok(());
    }
    let decoded = arguments.decoded();
    let object = if decoded.trim().is_empty() { "{}" } else { decoded.trim() };
    if json::scan_object(object.as_bytes(), &mut Vec::new()).is_err() {
        let sentence = "The arguments of an earlier tool call are not a JSON object.";
        return Err(Refusal::invalid("invalid_tool_arguments", sentence).about("tool_calls.arguments"));
    }
    out.extend_from_slice(object.as_bytes());
    Ok(())
}

/// What of the tools is sent.
pub(super) struct Plan<'p, 'r> {
    tools: Vec<&'p Tool<'r>>,
    choice: Choice,
    /// The schema of the answer, where it is asked for by a tool.
    pub(super) answer: Option<&'p Format<'r>>,
}

enum Choice {
    Unsaid,
    Auto,
    Any,
    Named(String),
}

impl<'p, 'r> Plan<'p, 'r> {
    /// Decides it. To call none is said by offering none, but where the history has calls the API demands tools.
    pub(super) fn of(
        request: &'p Request<'r>,
        rules: &Rules,
        names: &mut Names,
        report: &mut Report,
    ) -> Plan<'p, 'r> {
        let is_none = matches!(request.tool_choice, Some(ToolChoice::None));
        let has_history = !names.called.is_empty();
        let mut tools = Vec::new();
        if !is_none || has_history {
            for tool in &request.tools {
                match tool.kind {
                    ToolKind::Function => tools.push(tool),
                    ToolKind::Custom => report.unsupported("tools.custom"),
                    ToolKind::Foreign => report.unsupported("tools"),
                }
            }
        }
        if is_none && has_history {
            report.edited("tool_choice");
        }
        if request.parallel_tool_calls == Some(false) && !tools.is_empty() {
            // A wish: the calls of an answer are whole and have their ids, however many there are.
            report.edited("parallel_tool_calls");
        }
        let answer = answer_format(request, rules, report);
        let mut choice = match &request.tool_choice {
            _ if tools.is_empty() => Choice::Unsaid,
            None | Some(ToolChoice::None) => Choice::Unsaid,
            Some(ToolChoice::Auto) => Choice::Auto,
            Some(ToolChoice::Required) => Choice::Any,
            Some(ToolChoice::Named(name)) => Choice::Named(names.sent(name)),
            Some(ToolChoice::Foreign(_)) => {
                report.unsupported("tool_choice");
                Choice::Unsaid
            }
        };
        if answer.is_some() && !matches!(choice, Choice::Named(_)) {
            // Beside other tools the model may call one of them first.
            choice =
                if tools.is_empty() || is_none { Choice::Named(ANSWER_TOOL.to_owned()) } else { Choice::Any };
        }
        Plan { tools, choice, answer }
    }

    /// Whether the model is made to call.
    pub(super) fn is_forced(&self) -> bool {
        matches!(self.choice, Choice::Any | Choice::Named(_))
    }

    /// Appends `toolConfig`, unless there is nothing to offer. Tools that the history calls are declared when no other
    /// ones are, because the API refuses a history of calls without tools.
    pub(super) fn write(&self, rules: &Rules, names: &mut Names, report: &mut Report, out: &mut Vec<u8>) {
        if self.tools.is_empty() && self.answer.is_none() && names.called.is_empty() {
            return;
        }
        member("toolConfig", out);
        out.push(b'{');
        member("tools", out);
        out.push(b'[');
        for tool in &self.tools {
            write_tool(tool, rules, names, report, out);
        }
        if self.tools.is_empty() {
            names.called.iter().for_each(|name| write_spec(name, None, None, Strictness::Free, out));
        }
        if let Some(Format::Schema { description, schema, .. }) = self.answer {
            let sentence = Text::of("Give the answer by calling this tool.");
            let description = description.as_ref().filter(|text| !is_blank(text)).unwrap_or(&sentence);
            write_spec(ANSWER_TOOL, Some(description), Some(schema), Strictness::Free, out);
        }
        out.push(b']');
        self.write_choice(out);
        out.push(b'}');
    }

    fn write_choice(&self, out: &mut Vec<u8>) {
        match &self.choice {
            Choice::Unsaid => {}
            Choice::Auto => raw_member("toolChoice", b"{\"auto\":{}}", out),
            Choice::Any => raw_member("toolChoice", b"{\"any\":{}}", out),
            Choice::Named(name) => {
                member("toolChoice", out);
                out.extend_from_slice(b"{\"tool\":{");
                str_member("name", name, out);
                out.extend_from_slice(b"}}");
            }
        }
    }
}

/// The shape of the answer, where it is asked for by a tool. The input of a tool is an object always.
fn answer_format<'p, 'r>(
    request: &'p Request<'r>,
    rules: &Rules,
    report: &mut Report,
) -> Option<&'p Format<'r>> {
    let Format::Schema { schema, .. } = &request.format else { return None };
    if rules.structured_output != StructuredOutput::Tool {
        return None;
    }
    let kind = Node::scanned(schema).get("type");
    if kind.is_some_and(|kind| kind.text().as_deref() != Some("object")) {
        report.unsupported("response_format");
        return None;
    }
    Some(&request.format)
}

fn write_tool(tool: &Tool<'_>, rules: &Rules, names: &mut Names, report: &mut Report, out: &mut Vec<u8>) {
    let takes_strict = rules.structured_output == StructuredOutput::Native;
    let strictness = match tool.strict {
        Some(true) if takes_strict => Strictness::Strict,
        Some(true) => {
            report.edited("tools.strict");
            Strictness::Free
        }
        _ => Strictness::Free,
    };
    let description = tool.description.as_ref().filter(|text| !is_blank(text));
    write_spec(&names.sent(&tool.name), description, tool.schema, strictness, out);
    cache_point(tool.cache_control, out);
}

/// Appends one tool. A schema without a type is that of an object, which the API wants said.
fn write_spec(
    name: &str,
    description: Option<&Text<'_>>,
    schema: Option<&[u8]>,
    strictness: Strictness,
    out: &mut Vec<u8>,
) {
    element(out);
    out.extend_from_slice(b"{\"toolSpec\":{");
    str_member("name", name, out);
    if let Some(description) = description {
        text_member("description", description, out);
    }
    member("inputSchema", out);
    out.extend_from_slice(b"{\"json\":");
    match schema.map(Node::scanned) {
        Some(schema) if schema.get("type").is_some() => out.extend_from_slice(schema.raw()),
        Some(schema) if schema.members().next().is_some() => {
            out.extend_from_slice(b"{\"type\":\"object\",");
            out.extend_from_slice(&schema.raw()[1..]);
        }
        _ => out.extend_from_slice(b"{\"type\":\"object\",\"properties\":{}}"),
    }
    out.push(b'}');
    if strictness == Strictness::Strict {
        raw_member("strict", b"true", out);
    }
    out.extend_from_slice(b"}}");
}

/// Whether a call's arguments must be exactly what the schema allows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    Free,
    Strict,
}

fn is_identifier(text: &str) -> bool {
    (1..=IDENTIFIER_BYTES_MAX).contains(&text.len()) && text.chars().all(is_identifier_char)
}

fn is_identifier_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// FNV-1a: the same on every machine and in every version, and no secret.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// Names of tools and ids of calls.
const IDENTIFIER_BYTES_MAX: usize = 64;
const HASH_DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_that_the_api_takes_are_sent_as_they_are_and_others_always_alike() {
        let mut names = Names::default();
        let long = "x".repeat(65);
        assert_eq!(names.sent(&Text::of("get_weather-2")), "get_weather-2");
        let first = names.sent(&Text::of("mcp.server/tool"));
        assert_eq!(first, names.sent(&Text::of("mcp.server/tool")));
        assert!(first.starts_with("mcp_server_tool_") && is_identifier(&first), "{first}");
        assert_ne!(first, names.sent(&Text::of("mcp/server.tool")));
        assert!(is_identifier(&names.sent(&Text::of(&long))) && is_identifier(&names.sent(&Text::of("ä"))));
        let written = names.into_written(None);
        assert_eq!(written.renamed_tools.len(), 4);
        assert_eq!(written.renamed_tools[0], (first, "mcp.server/tool".to_owned()));

        assert_eq!(sent_id(&Text::of("call_1-a")), "call_1-a");
        assert_eq!(sent_id(&Text::of("fc:1")), sent_id(&Text::escaped(br"fc\u003a1")));
        assert!(is_identifier(&sent_id(&Text::of(""))) && is_identifier(&sent_id(&Text::of(&long))));
    }
}
