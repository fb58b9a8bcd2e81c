//! The tools and which of them may or must be called.

use super::thinking::Thinking;
use super::turns::Conversation;
use super::{Writer, close_list, names, schema, write_mark};
use crate::dialect::middle::{Format, Request, Text, Tool, ToolChoice, ToolKind};
use crate::wire::json::{self, Node};

impl Writer<'_> {
    /// Appends `tools` and `tool_choice`, where there are tools.
    pub(super) fn write_tools(
        &mut self,
        request: &Request<'_>,
        conversation: &Conversation<'_, '_>,
        thinking: &Thinking,
        out: &mut Vec<u8>,
    ) {
        let before = out.len();
        out.extend_from_slice(b"\"tools\":[");
        let begin = out.len();
        for (index, tool) in request.tools.iter().enumerate() {
            self.write_tool(tool, index, out);
        }
        let has_own = out.len() > begin;
        if !has_own {
            self.declare_called(conversation, out);
        }
        let has_called = out.len() > begin;
        if let (Some(name), Format::Schema { schema, description, .. }) =
            (self.written.answer_tool, &request.format)
        {
            self.write_answer_tool(name, description.as_ref(), schema, out);
        }
        if out.len() == begin {
            return out.truncate(before);
        }
        close_list(out);
        out.push(b',');
        let choice =
            if has_own || !has_called { request.tool_choice.as_ref() } else { Some(&ToolChoice::None) };
        self.write_choice(choice, request, if has_own { Own::Some } else { Own::None }, thinking, out);
    }

    fn write_tool(&mut self, tool: &Tool<'_>, index: usize, out: &mut Vec<u8>) {
        if tool.kind == ToolKind::Foreign {
            return self.report.unsupported(format!("tools[{index}]"));
        }
        out.extend_from_slice(b"{\"name\":");
        names::write_name(&tool.name, &mut self.written, out);
        if let Some(description) = tool.description.as_ref().filter(|description| !description.is_empty()) {
            out.extend_from_slice(b",\"description\":");
            description.write(out);
        }
        out.extend_from_slice(b",\"input_schema\":");
        match (tool.kind, tool.schema) {
            (ToolKind::Custom, _) => out.extend_from_slice(TEXT_INPUT),
            (_, Some(schema)) if tool.strict == Some(true) => {
                if schema::write_strict(Node::scanned(schema), out) == schema::Changes::Some {
                    self.report.edited(format!("tools[{index}].function.parameters"));
                }
            }
            (_, schema) => schema::write_input_schema(schema, out),
        }
        if tool.strict == Some(true) && tool.kind == ToolKind::Function && tool.schema.is_some() {
            out.extend_from_slice(b",\"strict\":true");
        }
        write_mark(tool.cache_control, out);
        out.extend_from_slice(b"},");
    }

    /// The API refuses calls in the history of tools that it was not told of.
    fn declare_called(&mut self, conversation: &Conversation<'_, '_>, out: &mut Vec<u8>) {
        let mut declared = std::collections::HashSet::new();
        for name in conversation.called_tools() {
            if declared.insert(name.decoded()) {
                out.extend_from_slice(b"{\"name\":");
                names::write_name(name, &mut self.written, out);
                out.extend_from_slice(b",\"input_schema\":");
                schema::write_input_schema(None, out);
                out.extend_from_slice(b"},");
            }
        }
    }

    /// The tool whose input is the answer.
    fn write_answer_tool(
        &mut self,
        name: &str,
        description: Option<&Text<'_>>,
        schema: &[u8],
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b"{\"name\":");
        json::write_string(name, out);
        out.extend_from_slice(b",\"description\":");
        match description {
            Some(description) => description.write(out),
            None => json::write_string(ANSWER_TOOL_DESCRIPTION, out),
        }
        out.extend_from_slice(b",\"input_schema\":");
        schema::write_input_schema(Some(schema), out);
        out.extend_from_slice(b"},");
    }

    fn write_choice(
        &mut self,
        choice: Option<&ToolChoice<'_>>,
        request: &Request<'_>,
        own: Own,
        thinking: &Thinking,
        out: &mut Vec<u8>,
    ) {
        let mut is_single = request.parallel_tool_calls == Some(false);
        let mut kind = match choice {
            None | Some(ToolChoice::Auto) => Choice::Auto,
            Some(ToolChoice::None) => Choice::None,
            Some(ToolChoice::Required) => Choice::Any,
            Some(ToolChoice::Named(name)) => Choice::Tool(name.clone()),
            Some(ToolChoice::Foreign(_)) => {
                self.report.unsupported("tool_choice");
                Choice::Auto
            }
        };
        if let Some(name) = self.written.answer_tool {
            // Beside the client's own tools the answer is one more of which one must be called.
            is_single = true;
            kind = match kind {
                Choice::Auto if own == Own::Some => Choice::Any,
                Choice::Auto | Choice::None => Choice::Tool(Text::of(name)),
                kind => kind,
            };
        }
        if thinking.is_manual() && matches!(kind, Choice::Any | Choice::Tool(_)) {
            self.report.edited("tool_choice");
            kind = Choice::Auto;
        }
        if matches!(kind, Choice::Auto) && choice.is_none() && !is_single {
            return;
        }
        out.extend_from_slice(b"\"tool_choice\":{\"type\":\"");
        out.extend_from_slice(match kind {
            Choice::Auto => b"auto\"",
            Choice::Any => b"any\"",
            Choice::None => b"none\"",
            Choice::Tool(_) => b"tool\",\"name\":",
        });
        match &kind {
            Choice::Tool(name) => names::write_name(name, &mut self.written, out),
            Choice::None => is_single = false,
            Choice::Auto | Choice::Any => {}
        }
        if is_single {
            out.extend_from_slice(b",\"disable_parallel_tool_use\":true");
        }
        out.extend_from_slice(b"},");
    }
}

/// Whether the client brought tools that are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    Some,
    None,
}

enum Choice<'c> {
    Auto,
    Any,
    None,
    Tool(Text<'c>),
}

/// The input of a tool that takes a text.
const TEXT_INPUT: &[u8] =
    br#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;
const ANSWER_TOOL_DESCRIPTION: &str = "Gives the answer. Its input is the whole answer.";
