//! Writes a request for a provider that speaks the dialect. What it cannot say stands in the report by the name of the
//! field; nothing is made up in its place.

mod media;
mod names;
mod schema;
mod settings;
mod thinking;
mod tools;
mod turns;

use names::Ids;
use settings::Settings;
use turns::Conversation;

use crate::base::Refusal;
use crate::dialect::middle::{Format, Report, Request, Rules, StructuredOutput, Written};

/// Appends the request's body for the provider. The error is for what no provider could take: arguments of a call that are
/// no JSON object, a user's turn without anything in it.
pub fn write_request(
    request: &Request<'_>,
    rules: &Rules,
    report: &mut Report,
    out: &mut Vec<u8>,
) -> Result<Written, Refusal> {
    let mut writer = Writer { rules, report, ids: Ids::default(), written: Written::default() };
    if let (Format::Schema { .. }, StructuredOutput::Tool) = (&request.format, rules.structured_output) {
        writer.written.answer_tool = Some(ANSWER_TOOL);
    }
    let conversation = Conversation::of(request);
    let thinking = thinking::plan(request, &conversation, &mut writer);
    let settings = Settings { request, thinking: &thinking };
    out.extend_from_slice(b"{\"model\":");
    request.model.write(out);
    out.push(b',');
    settings.write_max_tokens(&mut writer, out);
    writer.write_conversation(&conversation, out)?;
    writer.write_tools(request, &conversation, &thinking, out);
    settings.write(&mut writer, out);
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b'}');
    Ok(writer.written)
}

/// What the parts of the writing share. Each of them appends members, each followed by a comma.
struct Writer<'w> {
    rules: &'w Rules,
    report: &'w mut Report,
    ids: Ids,
    written: Written,
}

/// Appends `cache_control` where it stood.
fn write_mark(cache_control: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(mark) = cache_control {
        out.extend_from_slice(b",\"cache_control\":");
        out.extend_from_slice(mark);
    }
}

/// Drops the comma behind the last element and closes the list.
fn close_list(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b']');
}

/// The tool whose input is the answer, where a schema is asked for by one.
const ANSWER_TOOL: &str = "answer_in_json";

#[cfg(test)]
mod tests;
