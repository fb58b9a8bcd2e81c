//! A request of the middle for a provider of this dialect: the whole of it, and what has no place there.

use super::super::middle::{Extra, Report, Request, Rules, Turn, Written};
use super::names::Names;
use super::spelling::{camel, field, member, member_raw, separate};
use super::write_config::write_config;
use super::write_contents::{leading_system, write_contents, write_system};
use super::write_tools::{write_tool_config, write_tools};
use crate::base::Refusal;
use crate::wire::json::Node;

/// Appends the body. What the dialect cannot say is reported:
///
/// - edited: names of speakers, `user`, `metadata`, `service_tier`, `parallel_tool_calls: false`, `strict`, cache marks
///   (the provider caches by itself), image details, thoughts that another vendor signed, efforts above `high`,
///   temperatures above the rule's, a user turn that had to be put in front, and fields that change no answer;
/// - unsupported: custom and foreign tools, foreign parts and choices, media that the provider does not fetch, more
///   than five stop sequences, and every other field that is not known.
///
/// Functions go out as `parametersJsonSchema`, so that schemas are sent as they are. Ids of calls are left out: not all
/// versions know them, and results stand in the order of their calls, which is what pairs them.
///
/// # Errors
///
/// Arguments that are no JSON object, results that belong to no call, media without a type, no messages at all.
pub fn write_request(
    request: &Request<'_>,
    rules: &Rules,
    report: &mut Report,
    out: &mut Vec<u8>,
) -> Result<Written, Refusal> {
    if request.turns.is_empty() {
        return Err(
            Refusal::invalid("invalid_value", "There must be at least one message.").about("messages")
        );
    }
    let names = Names::of(request);
    report_unsaid(request, report);
    out.push(b'{');
    let (system, turns) = leading_system(&request.turns);
    write_system(system, report, out);
    write_contents(turns, rules, &names, report, out)?;
    let has_search = request.extras.iter().any(|extra| extra.name == SEARCH);
    let functions_count = write_tools(&request.tools, has_search, &names, report, out);
    write_tool_config(request, functions_count, &names, report, out);
    write_config(request, rules, report, out);
    write_extras(&request.extras, report, out);
    out.push(b'}');
    Ok(Written { renamed_tools: names.renamed, ..Written::default() })
}

/// Members that this dialect has no place for and that do not change what an answer means.
fn report_unsaid(request: &Request<'_>, report: &mut Report) {
    for (is_there, name) in [
        (request.user.is_some(), "user"),
        (request.metadata.is_some(), "metadata"),
        (request.service_tier.is_some(), "service_tier"),
        (request.parallel_tool_calls == Some(false), "parallel_tool_calls"),
        (request.turns.iter().any(|turn: &Turn<'_>| turn.name.is_some()), "messages.name"),
    ] {
        if is_there {
            report.edited(name);
        }
    }
}

/// Members of the top level that the dialect has under the same name; the dotted ones stand in their objects.
fn write_extras(extras: &[Extra<'_>], report: &mut Report, out: &mut Vec<u8>) {
    for extra in extras {
        let name = camel(extra.name.as_bytes());
        match &*name {
            "safetySettings" | "cachedContent" | "labels" => member_raw(&name, extra.raw, out),
            // Written with the configuration and the tools.
            _ if extra.name.starts_with(IN_CONFIG) || extra.name.starts_with(IN_TOOL_CONFIG) => {}
            "modalities" => {}
            // The search is asked for; how much of it, and for whom, cannot be said.
            "webSearchOptions" => {
                if Node::scanned(extra.raw).members().next().is_some() {
                    report.edited(SEARCH);
                }
            }
            _ if HARMLESS.contains(&&*extra.name) => report.edited(&*extra.name),
            _ => report.unsupported(&*extra.name),
        }
    }
}

/// Writes the members of an object that came as dotted extras.
pub(super) fn write_dotted(extras: &[Extra<'_>], prefix: &str, out: &mut Vec<u8>) {
    for extra in extras {
        if let Some(name) = extra.name.strip_prefix(prefix) {
            member_raw(name, extra.raw, out);
        }
    }
}

/// `modalities` of the chat dialect as `responseModalities`, whose words are the same in upper case.
pub(super) fn write_modalities(extras: &[Extra<'_>], out: &mut Vec<u8>) {
    let Some(extra) = extras.iter().find(|extra| extra.name == "modalities") else { return };
    member("responseModalities", out);
    out.push(b'[');
    for word in Node::scanned(extra.raw).items().filter_map(Node::text) {
        separate(out);
        crate::wire::json::write_string(&word.to_ascii_uppercase(), out);
    }
    out.push(b']');
}

/// Whether raw JSON is an object that has this member and names no type, which all other dialects do.
pub(super) fn is_own(raw: &[u8], name: &str) -> bool {
    let node = Node::scanned(raw);
    node.get("type").is_none() && field(node, name).is_some()
}

pub(super) const IN_CONFIG: &str = "generationConfig.";
pub(super) const IN_TOOL_CONFIG: &str = "toolConfig.";
const SEARCH: &str = "web_search_options";
/// Fields of other dialects that steer storage, records, caching and speed.
const HARMLESS: &[&str] = &[
    "store",
    "client_metadata",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "safety_identifier",
    "stream_options",
    "context_management",
    "truncation",
    "include",
];

#[cfg(test)]
mod tests;
