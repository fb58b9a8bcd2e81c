//! Whole answers of Converse as events, and what its words for the end and its counts mean. Leaves nothing out but what is
//! empty.

use crate::dialect::middle::{
    Arguments, Block, Delta, Event, Finish, FinishReason, Place, Rules, Signature, Start, Text,
};
use crate::ledger::usage::Usage;
use crate::wire::json::{Kind, Node};

use super::errors;

/// Reads the answer of `Converse`. One without a message is an error, whatever its status was.
pub fn read_answer(body: Node<'_>, rules: &Rules, emit: &mut dyn FnMut(Event<'_>)) {
    let Some(message) = body.get("output").and_then(|output| output.get("message")) else {
        return emit(Event::Error(Box::new(errors::without_message(body))));
    };
    emit(Event::Start(Start::default()));
    let mut blocks = Blocks { vendor: &rules.vendor, count: 0, has_calls: false, emit };
    for block in message.get("content").iter().flat_map(|content| content.items()) {
        blocks.read(block);
    }
    let has_calls = blocks.has_calls;
    emit(Event::Finish { choice: 0, finish: read_finish(body, has_calls) });
    if let Some(usage) = body.get("usage") {
        emit(Event::Usage(read_usage(usage)));
    }
    emit(Event::End);
}

/// Reads `usage`. The API counts what was read from the cache and written to it apart from `inputTokens`; the canonical
/// input is all of it. Some models of others count it within: where the stated total shows that, it is not added.
pub fn read_usage(value: Node<'_>) -> Usage {
    let count = |names: [&str; 2]| names.iter().find_map(|name| value.get(name)).and_then(Node::u64);
    let cache_read = count(["cacheReadInputTokens", "cacheReadInputTokenCount"]);
    let cache_write = count(["cacheWriteInputTokens", "cacheWriteInputTokenCount"]);
    let [fresh, output, total] =
        ["inputTokens", "outputTokens", "totalTokens"].map(|name| value.get(name)?.u64());
    let cached = cache_read.unwrap_or(0).saturating_add(cache_write.unwrap_or(0));
    let is_within = cached > 0
        && fresh.is_some_and(|fresh| fresh >= cached)
        && total.is_some()
        && total == fresh.unwrap_or(0).checked_add(output.unwrap_or(0));
    let input = fresh.map(|fresh| if is_within { fresh } else { fresh.saturating_add(cached) });
    // Written by lifetime; empty where nothing was written.
    let written = |ttl: &str| {
        let is_it = |part: &Node<'_>| part.get("ttl").and_then(Node::text).is_some_and(|found| found == ttl);
        let count = |part: Node<'_>| part.get("inputTokens").and_then(Node::u64);
        let details = value.get("cacheDetails")?;
        details.items().filter(is_it).try_fold(0_u64, |sum, part| sum.checked_add(count(part)?))
    };
    let (cache_write_1h, stated_total) = (written("1h"), total);
    Usage { input, output, cache_read, cache_write, cache_write_1h, stated_total, ..Usage::default() }
}

/// What `stopReason` says, of a whole answer or of `messageStop`. The sequence that was met is stated only where the
/// request asked for the model's own fields.
pub(super) fn read_finish(value: Node<'_>, has_calls: bool) -> Finish<'_> {
    let word = value.get("stopReason").and_then(Node::text).unwrap_or_default();
    let reason = match &*word {
        "max_tokens" => FinishReason::Length,
        "model_context_window_exceeded" => FinishReason::ContextFull,
        "guardrail_intervened" | "content_filtered" => FinishReason::ContentFilter,
        // `tool_use` without a call that a client could answer is a stop: it would wait for one.
        _ if has_calls => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    };
    let fields = value.get("additionalModelResponseFields");
    let stop_sequence = fields.and_then(|fields| fields.get("stop_sequence")).and_then(text_of);
    Finish { reason, stop_sequence }
}

/// The text of a string that is not empty.
pub(super) fn text_of(value: Node<'_>) -> Option<Text<'_>> {
    value.escaped().filter(|escaped| !escaped.is_empty()).map(Text::escaped)
}

/// A citation as a delta of the text that it belongs to.
pub(super) fn citation(value: Node<'_>) -> Delta<'_> {
    let url = value.get("location").and_then(|at| at.get("web")?.get("url")).and_then(text_of);
    let title = value.get("title").and_then(text_of);
    let cited = value.get("sourceContent").and_then(|content| content.items().next()?.get("text"));
    Delta::Citation { url, title, cited: cited.and_then(text_of) }
}

/// The media type of an image in the API's word for its format.
pub(super) fn image_kind(format: Node<'_>) -> Option<&'static str> {
    match &*format.text()? {
        "png" => Some("image/png"),
        "jpeg" => Some("image/jpeg"),
        "gif" => Some("image/gif"),
        "webp" => Some("image/webp"),
        _ => None,
    }
}

/// The blocks of one message.
struct Blocks<'r> {
    vendor: &'r str,
    count: u32,
    has_calls: bool,
    emit: &'r mut dyn FnMut(Event<'_>),
}

impl Blocks<'_> {
    fn read(&mut self, block: Node<'_>) {
        if let Some(text) = block.get("text") {
            if let Some(text) = text_of(text) {
                self.put(Block::Text, [Delta::Text(text)]);
            }
        } else if let Some(call) = block.get("toolUse") {
            self.read_call(call, block);
        } else if let Some(thought) = block.get("reasoningContent") {
            self.read_thought(thought, block);
        } else if let Some(cited) = block.get("citationsContent") {
            self.read_cited(cited);
        } else if let Some(image) = block.get("image") {
            self.read_image(image, block);
        } else {
            self.put(Block::Foreign { raw: block.raw() }, []);
        }
    }

    fn read_call(&mut self, call: Node<'_>, block: Node<'_>) {
        let (id, name) = (call.get("toolUseId").and_then(text_of), call.get("name").and_then(text_of));
        let (Some(id), Some(name), false) = (id, name, was_run_by_provider(call)) else {
            return self.put(Block::Foreign { raw: block.raw() }, []);
        };
        self.has_calls = true;
        let input =
            call.get("input").filter(|input| input.kind() != Kind::Object || input.members().count() > 0);
        let arguments = input.map(|input| Delta::Arguments(Arguments::Whole(input.raw())));
        self.put(Block::ToolCall { id, name, is_custom: false, signature: None }, arguments);
    }

    fn read_thought(&mut self, thought: Node<'_>, block: Node<'_>) {
        if let Some(data) = thought.get("redactedContent").and_then(text_of) {
            let data = Signature::of_vendor(self.vendor, data);
            return self.put(Block::HiddenThinking { data }, []);
        }
        let Some(thought) = thought.get("reasoningText") else {
            return self.put(Block::Foreign { raw: block.raw() }, []);
        };
        let text = thought.get("text").and_then(text_of).map(Delta::Text);
        let signature = thought.get("signature").and_then(text_of);
        let signature = signature.map(|value| Delta::Signature(Signature::of_vendor(self.vendor, value)));
        if text.is_some() || signature.is_some() {
            self.put(Block::Thinking, text.into_iter().chain(signature));
        }
    }

    fn read_cited(&mut self, cited: Node<'_>) {
        let texts = cited.get("content").into_iter().flat_map(Node::items);
        let texts = texts.filter_map(|content| content.get("text").and_then(text_of)).map(Delta::Text);
        let citations = cited.get("citations").into_iter().flat_map(Node::items).map(citation);
        let mut deltas = texts.chain(citations).peekable();
        if deltas.peek().is_some() {
            self.put(Block::Text, deltas);
        }
    }

    fn read_image(&mut self, image: Node<'_>, block: Node<'_>) {
        let kind = image.get("format").and_then(image_kind);
        let bytes = image.get("source").and_then(|source| source.get("bytes")).and_then(text_of);
        let shown = match (kind, bytes) {
            (Some(kind), Some(base64)) => Block::Media { kind: Text::escaped(kind.as_bytes()), base64 },
            _ => Block::Foreign { raw: block.raw() },
        };
        self.put(shown, []);
    }

    fn put<'e>(&mut self, block: Block<'e>, deltas: impl IntoIterator<Item = Delta<'e>>) {
        let at = Place { choice: 0, block: self.count };
        self.count += 1;
        (self.emit)(Event::Open { at, block });
        deltas.into_iter().for_each(|delta| (self.emit)(Event::Delta { at, delta }));
        (self.emit)(Event::Close { at });
    }
}

/// Whether a call is of a tool that the provider has run itself. Those have a type of their own; the calls that the client
/// is to make have none, or `tool_use` (where the tool is a strict one, for example).
pub(super) fn was_run_by_provider(call: Node<'_>) -> bool {
    call.get("type").and_then(Node::escaped).is_some_and(|kind| kind != b"tool_use")
}

#[cfg(test)]
mod tests;
