//! What the results of a batch say that they cost: the usage of every answer among them, with what names that answer for good.
//! Reads lines as they pass and changes none.

use super::{generate, jobs, pages};
use crate::dialect::endpoint::Grammar;
use crate::dialect::{facts, gemini};
use crate::ledger::usage::Usage;
use crate::wire::json::{Member, Node};

/// One answer among the results, of which the provider says what it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Billed {
    /// The provider's id of the answer, which no other answer has; of answers without one, their request's.
    pub name: String,
    pub model: String,
    /// Seconds since 1970; 0 where the answer does not say.
    pub created_s: u64,
    pub status: u16,
    pub usage: Usage,
}

/// Reads a line of results, OpenAI's or Anthropic's. `None` where it is none, or states no usage.
pub fn of_line(line: Node<'_>) -> Option<Billed> {
    let [custom_id, response, result] = line.pick(["custom_id", "response", "result"]);
    let custom_id = custom_id?.text()?;
    let (status, answer) = match (response, result) {
        (Some(response), _) => (response.get("status_code").and_then(Node::u64), response.get("body")?),
        (None, Some(result)) => (None, result.get("message")?),
        (None, None) => return None,
    };
    let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
    of_answer(answer, &custom_id, "", status)
}

/// Reads the results that stand in an operation of Gemini's.
pub fn of_operation(operation: Node<'_>) -> Vec<Billed> {
    let own = operation.get("name").and_then(Node::text).unwrap_or_default();
    let model = operation.get("metadata").and_then(|metadata| metadata.get("model")?.text());
    let model = model.unwrap_or_default();
    let model = model.strip_prefix("models/").unwrap_or(&model);
    let answers = generate::answers(operation).into_iter().flat_map(Node::items);
    let billed =
        |(at, item): (usize, Node<'_>)| of_answer(item.get("response")?, &format!("{own}/{at}"), model, 200);
    answers.enumerate().filter_map(billed).collect()
}

/// Reads the results that stand in a job.
pub fn of_job(job: Node<'_>) -> Vec<Billed> {
    jobs::answers(job).into_iter().flat_map(Node::items).filter_map(of_line).collect()
}

/// Reads the results of a page.
pub fn of_page(page: Node<'_>) -> Vec<Billed> {
    let billed = |(request, answer): (Node<'_>, Node<'_>)| of_answer(answer, &request.text()?, "", 200);
    pages::answers(page).filter_map(billed).collect()
}

fn of_answer<'d>(answer: Node<'d>, request: &str, model: &str, status: u16) -> Option<Billed> {
    let [kind, object, id, response_id, own_model, created, created_at] =
        answer.pick(["type", "object", "id", "responseId", "model", "created", "created_at"]);
    let is = |node: Option<Node<'_>>, word: &[u8]| node.and_then(Node::escaped) == Some(word);
    let grammar = match () {
        () if answer.get("usageMetadata").is_some() => Grammar::Gemini,
        () if is(object, b"response") => Grammar::Responses,
        () if is(kind, b"message") => Grammar::Messages,
        () => Grammar::Chat,
    };
    let usage = answer.get(facts::answer_keys(grammar)[0])?;
    let mut usage = facts::read_usage(grammar, usage.raw());
    if grammar == Grammar::Gemini {
        gemini::count_searches(answer, &mut usage);
    }
    let text = |node: Option<Node<'d>>| node.and_then(Node::text).filter(|text| !text.is_empty());
    let name = text(id).or(text(response_id)).map_or_else(|| request.to_owned(), |id| id.into_owned());
    let model = text(own_model).map_or_else(|| model.to_owned(), |model| model.into_owned());
    let created_s = created.or(created_at).and_then(Node::u64).unwrap_or(0);
    usage.is_known().then_some(Billed { name, model, created_s, status, usage })
}

/// Looks for results in a content that passes.
pub struct Lines {
    unfinished: Vec<u8>,
    /// A line of more bytes is not looked into.
    line_bytes_max: usize,
    is_too_long: bool,
    members: Vec<Member>,
    /// What was found and not yet taken.
    pub found: Vec<Billed>,
}

impl Lines {
    pub fn new(line_bytes_max: usize) -> Lines {
        let (unfinished, members, found) = (Vec::new(), Vec::new(), Vec::new());
        Lines { unfinished, line_bytes_max, is_too_long: false, members, found }
    }

    /// Looks at the next pieces; with the last of them the content is over.
    pub fn take_all<'p>(&mut self, pieces: impl Iterator<Item = &'p [u8]>, is_end: bool) {
        pieces.for_each(|piece| self.take(piece));
        if is_end {
            self.finish();
        }
    }

    /// Looks at the next bytes.
    pub fn take(&mut self, mut data: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', data) {
            self.add(&data[..end]);
            self.end_line();
            data = &data[end + 1..];
        }
        self.add(data);
    }

    /// Nothing follows: the last line need not be ended.
    pub fn finish(&mut self) {
        self.end_line();
    }

    fn add(&mut self, data: &[u8]) {
        // Content of another kind has no objects in its lines, and need not be held.
        let is_other = self.unfinished.is_empty() && data.first().is_some_and(|&first| first != b'{');
        self.is_too_long |= is_other || self.unfinished.len() + data.len() > self.line_bytes_max;
        if self.is_too_long {
            self.unfinished = Vec::new();
        } else {
            self.unfinished.extend_from_slice(data);
        }
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.unfinished);
        let is_result = !std::mem::take(&mut self.is_too_long) && !line.is_empty();
        if let Some(line) = is_result.then(|| Node::document(&line, &mut self.members).ok()).flatten() {
            self.found.extend(of_line(line));
        }
        line.clear();
        self.unfinished = line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENAI: &str = r#"{"id":"batch_req_1","custom_id":"a","response":{"status_code":200,"request_id":"r","body":{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"gpt-x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}},"error":null}"#;
    const ANTHROPIC: &str = r#"{"custom_id":"b","result":{"type":"succeeded","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[],"usage":{"input_tokens":5,"output_tokens":6}}}}"#;
    const FAILED: &str =
        r#"{"custom_id":"c","response":{"status_code":400,"body":{"error":{"message":"no"}}},"error":null}"#;

    #[test]
    fn every_answer_with_usage_is_found_wherever_the_content_is_cut() {
        let content = format!("{OPENAI}\n\nno result at all\n{FAILED}\n{ANTHROPIC}");
        for cut in 0..=content.len() {
            let mut lines = Lines::new(4096);
            lines.take(&content.as_bytes()[..cut]);
            lines.take(&content.as_bytes()[cut..]);
            lines.finish();
            let found: Vec<_> = lines
                .found
                .iter()
                .map(|billed| {
                    (&*billed.name, &*billed.model, billed.created_s, billed.usage.input, billed.usage.output)
                })
                .collect();
            let want = [
                ("chatcmpl-1", "gpt-x", 1_750_000_000, Some(3), Some(4)),
                ("msg_1", "claude-x", 0, Some(5), Some(6)),
            ];
            assert_eq!(found, want, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_not_held() {
        let mut lines = Lines::new(64);
        lines.take(format!("{OPENAI}\n").as_bytes());
        assert!(lines.unfinished.capacity() == 0 && lines.found.is_empty());
        let mut lines = Lines::new(OPENAI.len());
        lines.take(format!("{}\n{OPENAI}\n", "{".repeat(OPENAI.len() + 1)).as_bytes());
        assert_eq!(lines.found.len(), 1);
    }

    #[test]
    fn answers_in_an_operation_are_named_by_themselves_or_by_their_place() {
        let operation = r#"{"name":"batches/b1","metadata":{"model":"models/g"},"done":true,"response":{"inlinedResponses":{"inlinedResponses":[
            {"metadata":{"key":"a"},"response":{"candidates":[],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4}}},
            {"metadata":{"key":"b"},"error":{"code":3}},
            {"metadata":{"key":"c"},"response":{"responseId":"r1","usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2}}}]}}}"#;
        let found = of_operation(Node::scanned(operation.as_bytes()));
        let names: Vec<_> = found.iter().map(|billed| (&*billed.name, &*billed.model)).collect();
        assert_eq!(names, [("batches/b1/0", "g"), ("r1", "g")]);
    }
}
