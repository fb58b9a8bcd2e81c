//! Reads a whole answer as the steps of a stream. An answer that is not finished is an error, never a clean end.

use super::blocks::{Blocks, Emit};
use super::errors::{broken_answer, read_error};
use super::fields::{seconds, text_of};
use crate::dialect::middle::{Event, Finish, FinishReason, Rules, Start};
use crate::dialect::{bill, openai};
use crate::ledger::usage::Usage;
use crate::wire::json::{Kind, Node};

/// Reads a whole (non-stream) answer: Start, blocks, Finish, Usage, End, or an Error.
pub fn read_answer(body: Node<'_>, rules: &Rules, emit: &mut dyn FnMut(Event<'_>)) {
    if let Some(error) = body.get("error") {
        return emit(Event::Error(Box::new(read_error(error))));
    }
    emit(Event::Start(start(body)));
    let status = body.get("status").and_then(Node::text).unwrap_or("completed".into());
    finish(body, &status, &mut Blocks::new(&rules.vendor), emit);
}

/// Reads the usage object of a response.
pub fn read_usage(value: Node<'_>) -> Usage {
    let count = |key: &str| value.get(key).and_then(Node::u64);
    let detail = |part: &str, key: &str| value.get(part)?.get(key).and_then(Node::u64);
    let mut usage = Usage {
        input: count("input_tokens"),
        output: count("output_tokens"),
        cache_read: detail("input_tokens_details", "cached_tokens"),
        cache_write: detail("input_tokens_details", "cache_write_tokens"),
        input_audio: detail("input_tokens_details", "audio_tokens"),
        input_image: detail("input_tokens_details", "image_tokens"),
        reasoning: detail("output_tokens_details", "reasoning_tokens"),
        output_audio: detail("output_tokens_details", "audio_tokens"),
        output_image: detail("output_tokens_details", "image_tokens"),
        stated_total: count("total_tokens"),
        ..Usage::default()
    };
    openai::read_bill(value, &mut usage);
    usage
}

/// Reads all that a whole response says of its usage: the counts, the class of service, and the calls of the provider's own
/// tools, which stand among its output. `None` without counts.
pub fn usage_of(response: Node<'_>) -> Option<Usage> {
    let [usage, tier, output] = response.pick(["usage", "service_tier", "output"]);
    let mut usage = read_usage(usage.filter(|usage| usage.kind() == Kind::Object)?);
    usage.mode = tier.and_then(|tier| openai::mode(tier.raw()));
    let counted = usage.tools;
    for item in output.into_iter().flat_map(Node::items) {
        if let Some(tool) = item.get("type").and_then(Node::text).as_deref().and_then(bill::tool_of) {
            usage.tools.add(tool, 1);
        }
    }
    if !counted.is_empty() {
        usage.tools = counted;
    }
    Some(usage)
}

pub fn start<'d>(response: Node<'d>) -> Start<'d> {
    Start {
        id: text_of(response, "id"),
        model: text_of(response, "model"),
        created_s: response.get("created_at").and_then(seconds),
    }
}

/// Reads a response that has ended with a status: what of its output has not come yet, and how it ended.
pub fn finish(response: Node<'_>, status: &str, blocks: &mut Blocks, emit: &mut Emit<'_>) {
    if let Some(error) = response.get("error") {
        return emit(Event::Error(Box::new(read_error(error))));
    }
    if !matches!(status, "completed" | "incomplete") {
        let message = format!("The provider's answer did not complete: its status is `{status}`.");
        return emit(Event::Error(Box::new(broken_answer(&message))));
    }
    let output = response.get("output").into_iter().flat_map(Node::items);
    for (position, item) in (0..).zip(output) {
        blocks.complete_listed(position, item, emit);
    }
    blocks.close(emit);
    let reason = match (status, blocks.has_calls) {
        ("incomplete", _) => incomplete_reason(response),
        (_, true) => FinishReason::ToolCalls,
        (_, false) => FinishReason::Stop,
    };
    emit(Event::Finish { choice: 0, finish: Finish { reason, stop_sequence: None } });
    if let Some(usage) = usage_of(response) {
        emit(Event::Usage(usage));
    }
    emit(Event::End);
}

fn incomplete_reason(response: Node<'_>) -> FinishReason {
    let reason = response.get("incomplete_details").and_then(|details| details.get("reason"));
    match reason.and_then(Node::text).as_deref() {
        Some("content_filter") => FinishReason::ContentFilter,
        _ => FinishReason::Length,
    }
}
