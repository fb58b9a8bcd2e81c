//! Everything of a request that is neither its conversation nor its tools, with what the API does not take of it.

use std::io::Write as _;

use super::thinking::Thinking;
use super::{Writer, close_list, schema};
use crate::dialect::middle::{Format, Request, StructuredOutput};
use crate::wire::json::{self, Kind, Node};

pub(super) struct Settings<'s, 'a> {
    pub(super) request: &'s Request<'a>,
    pub(super) thinking: &'s Thinking,
}

impl Settings<'_, '_> {
    /// Appends the bound, which the API demands. Thoughts count towards it, so a budget comes on top of what the client
    /// wants to read.
    pub(super) fn write_max_tokens(&self, writer: &mut Writer<'_>, out: &mut Vec<u8>) {
        let asked = self.request.max_tokens;
        let mut tokens = asked.unwrap_or(writer.rules.max_tokens_default);
        if let Thinking::Manual { budget_tokens, .. } = self.thinking
            && tokens <= *budget_tokens
        {
            tokens = tokens.saturating_add(*budget_tokens);
            if asked.is_some() {
                writer.report.edited("max_tokens");
            }
        }
        let _ = write!(out, "\"max_tokens\":{tokens},");
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>, out: &mut Vec<u8>) {
        self.thinking.write(out);
        self.write_output_config(writer, out);
        self.write_sampling(writer, out);
        self.write_stop(writer, out);
        self.write_user(writer, out);
        self.write_service_tier(writer, out);
        if self.request.stream {
            out.extend_from_slice(b"\"stream\":true,");
        }
        self.write_extras(writer, out);
        self.report_unsaid(writer);
    }

    fn write_output_config(&self, writer: &mut Writer<'_>, out: &mut Vec<u8>) {
        let schema = match (&self.request.format, writer.rules.structured_output) {
            (Format::Schema { schema, .. }, StructuredOutput::Native) => Some(Node::scanned(schema)),
            // There is no such promise here, and a hint in the prompt would be the client's to give.
            (Format::Json, _) => {
                writer.report.unsupported("response_format");
                None
            }
            _ => None,
        };
        let effort = self.thinking.effort();
        if schema.is_none() && effort.is_none() {
            return;
        }
        out.extend_from_slice(b"\"output_config\":{");
        if let Some(effort) = effort {
            let _ = write!(out, "\"effort\":\"{effort}\",");
        }
        if let Some(schema) = schema {
            out.extend_from_slice(b"\"format\":{\"type\":\"json_schema\",\"schema\":");
            if schema::write_strict(schema, out) == schema::Changes::Some {
                writer.report.edited("response_format.json_schema.schema");
            }
            out.extend_from_slice(b"},");
        }
        out.pop();
        out.extend_from_slice(b"},");
    }

    /// With manual thinking the API takes no temperature, no `top_k`, and of `top_p` only the upper end.
    fn write_sampling(&self, writer: &mut Writer<'_>, out: &mut Vec<u8>) {
        let is_manual = self.thinking.is_manual();
        let value = |raw: &[u8]| Node::scanned(raw).f64().unwrap_or(0.0);
        match self.request.temperature {
            Some(_) if is_manual => writer.report.edited("temperature"),
            Some(raw) => {
                let milli_max = writer.rules.temperature_milli_max.unwrap_or(TEMPERATURE_MILLI_MAX);
                let most = f64::from(milli_max.min(TEMPERATURE_MILLI_MAX)) / 1000.0;
                if value(raw) > most {
                    writer.report.edited("temperature");
                    let _ = write!(out, "\"temperature\":{most},");
                } else {
                    write_raw("temperature", raw, out);
                }
            }
            None => {}
        }
        match self.request.top_p {
            Some(raw) if is_manual && value(raw) < THINKING_TOP_P_MIN => writer.report.edited("top_p"),
            Some(raw) => write_raw("top_p", raw, out),
            None => {}
        }
        match self.request.top_k {
            Some(_) if is_manual => writer.report.edited("top_k"),
            Some(raw) => write_raw("top_k", raw, out),
            None => {}
        }
    }

    /// Appends the stop sequences; blank ones are refused by the API.
    fn write_stop(&self, writer: &mut Writer<'_>, out: &mut Vec<u8>) {
        let before = out.len();
        out.extend_from_slice(b"\"stop_sequences\":[");
        let begin = out.len();
        for stop in &self.request.stop {
            if stop.is_blank() {
                writer.report.edited("stop");
            } else {
                stop.write(out);
                out.push(b',');
            }
        }
        if out.len() == begin {
            return out.truncate(before);
        }
        close_list(out);
        out.push(b',');
    }

    /// Appends the end user. Anthropic takes up to 256 characters and wants no address of a person in them.
    fn write_user(&self, writer: &mut Writer<'_>, out: &mut Vec<u8>) {
        let Some(user) = self.request.user.as_ref().filter(|user| !user.is_empty()) else { return };
        let decoded = user.decoded();
        if decoded.contains('@') || decoded.chars().count() > USER_CHARS_MAX {
            return writer.report.edited("user");
        }
        out.extend_from_slice(b"\"metadata\":{\"user_id\":");
        user.write(out);
        out.extend_from_slice(b"},");
    }

    fn write_service_tier(&self, writer: &mut Writer<'_>, out: &mut Vec<u8>) {
        let Some(tier) = &self.request.service_tier else { return };
        match &*tier.decoded() {
            "auto" => out.extend_from_slice(b"\"service_tier\":\"auto\","),
            "default" | "standard_only" => out.extend_from_slice(b"\"service_tier\":\"standard_only\","),
            _ => writer.report.edited("service_tier"),
        }
    }

    /// Takes what is the dialect's own, leaves out what changes no answer, and reports the rest.
    fn write_extras(&self, writer: &mut Writer<'_>, out: &mut Vec<u8>) {
        for extra in &self.request.extras {
            let value = Node::scanned(extra.raw);
            let is_taken = match extra.name.as_str() {
                "cache_control" | "container" | "mcp_servers" | "inference_geo" => true,
                // The Responses dialect has another thing under this name, a list.
                "context_management" => value.kind() == Kind::Object,
                "thinking" => *self.thinking == Thinking::Unsaid && value.get("type").is_some(),
                _ => false,
            };
            if is_taken {
                write_raw(&extra.name, extra.raw, out);
            } else if HARMLESS.contains(&extra.name.as_str()) || is_only_text(&extra.name, value) {
                writer.report.edited(extra.name.as_str());
            } else {
                writer.report.unsupported(extra.name.as_str());
            }
        }
    }

    /// Fields that the middle has a word for and this dialect has none.
    fn report_unsaid(&self, writer: &mut Writer<'_>) {
        let request = self.request;
        let wants_logprobs = request.logprobs == Some(true);
        for (name, is_asked) in [
            ("n", request.choices_count.is_some_and(|count| count > 1)),
            ("logprobs", wants_logprobs),
            ("top_logprobs", request.top_logprobs.is_some_and(|count| count > 0)),
        ] {
            if is_asked {
                writer.report.unsupported(name);
            }
        }
        for (name, is_given) in [
            ("seed", request.seed.is_some()),
            ("frequency_penalty", request.frequency_penalty.is_some()),
            ("presence_penalty", request.presence_penalty.is_some()),
            // Anthropic's metadata is the end user and nothing else.
            ("metadata", request.metadata.is_some()),
        ] {
            if is_given {
                writer.report.edited(name);
            }
        }
    }
}

fn write_raw(name: &str, raw: &[u8], out: &mut Vec<u8>) {
    json::write_string(name, out);
    out.push(b':');
    out.extend_from_slice(raw);
    out.push(b',');
}

/// A list of modalities that asks for nothing but text.
fn is_only_text(name: &str, value: Node<'_>) -> bool {
    name == "modalities" && value.items().all(|item| item.escaped() == Some(b"text"))
}

const TEMPERATURE_MILLI_MAX: u32 = 1000;
const THINKING_TOP_P_MIN: f64 = 0.95;
const USER_CHARS_MAX: usize = 256;
/// Fields of other dialects that steer storage, records, caches and speed.
const HARMLESS: &[&str] = &[
    "client_metadata",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "stream_options",
    "verbosity",
];
