//! A batch of another API as OpenAI's shows batches: the object, lists of it, and the lines of its results, each translated on its
//! own. The way back must know nothing of the requests: which API the results are read in stands in the batch's id.

mod api;
pub mod billed;
pub mod fuzz;
pub mod generate;
pub mod jobs;
pub mod pages;

pub use api::Api;
use billed::Billed;

use super::endpoint::Grammar;
use super::errors;
use super::middle::{Rules, Told};
use super::openai;
use super::translate::Translation;
use crate::wire::json::{self, Kind, Member, Node};

/// The API in which the requests of a batch were written, and its results are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Chat,
    Responses,
}

impl Form {
    /// The form of requests for this path; `None` where nothing but its own API can answer it.
    pub fn of_url(url: &str) -> Option<Form> {
        match url {
            "/v1/chat/completions" => Some(Form::Chat),
            "/v1/responses" => Some(Form::Responses),
            _ => None,
        }
    }

    pub fn url(self) -> &'static str {
        match self {
            Form::Chat => "/v1/chat/completions",
            Form::Responses => "/v1/responses",
        }
    }

    pub fn grammar(self) -> Grammar {
        match self {
            Form::Chat => Grammar::Chat,
            Form::Responses => Grammar::Responses,
        }
    }

    fn letter(self) -> &'static str {
        match self {
            Form::Chat => "c",
            Form::Responses => "r",
        }
    }
}

/// The id of the batch that the provider calls `own`, or of the file of its results, before the provider's name.
pub fn id(prefix: &str, form: Form, own: &str) -> String {
    format!("{prefix}{}_{own}", form.letter())
}

/// Takes such an id apart. One that the provider gave itself is read as a batch of chat completions.
pub fn own_id(id: &str) -> (Form, &str) {
    let rest = id.strip_prefix(BATCH).or_else(|| id.strip_prefix(FILE)).unwrap_or(id);
    let of = |form: Form| rest.strip_prefix(form.letter())?.strip_prefix('_').map(|own| (form, own));
    of(Form::Chat).or_else(|| of(Form::Responses)).unwrap_or((Form::Chat, id))
}

/// Whether a file's id is that of a batch's results.
pub fn is_results(id: &str) -> bool {
    id.starts_with(FILE) && own_id(id).1 != id
}

/// What ids of batches and of files begin with.
pub const BATCH: &str = "batch_";
pub const FILE: &str = "file-";

/// A batch of any API, in the words of OpenAI's. Times are seconds since 1970.
#[derive(Default)]
struct Shown<'s> {
    own: &'s str,
    status: &'static str,
    created: Option<u64>,
    expires: Option<u64>,
    ended: Option<u64>,
    cancelling: Option<u64>,
    has_results: bool,
    /// All requests, and those that ended well and badly; `None` where the provider has not said.
    counts: Option<[u64; 3]>,
    /// The provider's id of the file that it was made of, where it is one of the provider's.
    input_file: Option<&'s str>,
    /// What the caller has noted on it, where the provider keeps that.
    metadata: Option<Node<'s>>,
}

impl Shown<'_> {
    fn write(&self, form: Form, ending: &str, out: &mut Vec<u8>) {
        let of = |wanted: &str| if self.status == wanted { self.ended } else { None };
        let mut members = Members::begin(out);
        members.text("id", &(id(BATCH, form, self.own) + ending));
        members.text("object", "batch");
        members.text("endpoint", form.url());
        members.null("errors");
        match self.input_file {
            Some(own) => members.text("input_file_id", &format!("{own}{ending}")),
            None => members.null("input_file_id"),
        }
        members.text("completion_window", "24h");
        members.text("status", self.status);
        match self.has_results {
            true => members.text("output_file_id", &(id(FILE, form, self.own) + ending)),
            false => members.null("output_file_id"),
        }
        members.null("error_file_id");
        for (name, at) in [
            ("created_at", self.created),
            ("in_progress_at", self.created),
            ("expires_at", self.expires),
            ("finalizing_at", None),
            ("completed_at", of("completed")),
            ("failed_at", of("failed")),
            ("expired_at", of("expired")),
            ("cancelling_at", self.cancelling),
            ("cancelled_at", of("cancelled")),
        ] {
            match at {
                Some(at) => members.raw(name, at.to_string().as_bytes()),
                None => members.null(name),
            }
        }
        match self.counts {
            Some([total, good, bad]) => {
                let counts = format!("{{\"total\":{total},\"completed\":{good},\"failed\":{bad}}}");
                members.raw("request_counts", counts.as_bytes());
            }
            None => members.null("request_counts"),
        }
        members.raw("metadata", self.metadata.map_or(b"null", Node::raw));
        members.end();
    }
}

/// Writes a scanned batch of messages.
fn write_messages(batch: Node<'_>, form: Form, ending: &str, out: &mut Vec<u8>) {
    let own = batch.get("id").and_then(Node::text).unwrap_or_default();
    let counts = batch.get("request_counts");
    let count = |name: &str| counts.and_then(|counts| counts.get(name)?.u64()).unwrap_or(0);
    let [good, bad, gone, late] = ["succeeded", "errored", "canceled", "expired"].map(count);
    let time = |name: &str| batch.get(name).and_then(Node::text).and_then(|text| seconds(&text));
    let cancelling = time("cancel_initiated_at");
    let status = match batch.get("processing_status").and_then(Node::text).as_deref() {
        Some("ended") if cancelling.is_some() => "cancelled",
        Some("ended") if late > 0 => "expired",
        Some("ended") => "completed",
        Some("canceling") => "cancelling",
        _ => "in_progress",
    };
    let is_over = ["cancelled", "expired", "completed"].contains(&status);
    let failed = bad + gone + late;
    let shown = Shown {
        own: &own,
        status,
        created: time("created_at"),
        expires: time("expires_at"),
        ended: time("ended_at"),
        cancelling,
        has_results: is_over && batch.get("results_url").is_some(),
        counts: Some([good + failed + count("processing"), good, failed]),
        ..Shown::default()
    };
    shown.write(form, ending, out);
}

/// Writes a scanned list of batches of messages.
fn write_list(list: Node<'_>, ending: &str, out: &mut Vec<u8>) {
    let has_more = list.get("has_more").and_then(Node::bool) == Some(true);
    let items = list.get("data").into_iter().flat_map(Node::items);
    let items =
        items.map(|batch| (batch.get("id").and_then(Node::text).unwrap_or_default().into_owned(), batch));
    write_items(items, has_more, ending, out, write_messages);
}

type WriteBatch = fn(Node<'_>, Form, &str, &mut Vec<u8>);

fn write_items<'d>(
    items: impl Iterator<Item = (String, Node<'d>)>,
    has_more: bool,
    ending: &str,
    out: &mut Vec<u8>,
    write: WriteBatch,
) {
    let mut data = b"[".to_vec();
    let mut ids = Vec::new();
    for (own, batch) in items {
        if data.len() > 1 {
            data.push(b',');
        }
        write(batch, Form::Chat, ending, &mut data);
        ids.push(id(BATCH, Form::Chat, &own) + ending);
    }
    data.push(b']');
    let mut members = Members::begin(out);
    members.text("object", "list");
    members.raw("data", &data);
    for (name, id) in [("first_id", ids.first()), ("last_id", ids.last())] {
        match id {
            Some(id) => members.text(name, id),
            None => members.null(name),
        }
    }
    members.raw("has_more", if has_more { b"true" } else { b"false" });
    members.end();
}

/// The members of one object, as they are written.
struct Members<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl<'o> Members<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Members<'o> {
        out.push(b'{');
        Members { out, is_first: true }
    }

    fn raw(&mut self, name: &str, value: &[u8]) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        json::write_string(name, self.out);
        self.out.push(b':');
        self.out.extend_from_slice(value);
    }

    fn null(&mut self, name: &str) {
        self.raw(name, b"null");
    }

    fn text(&mut self, name: &str, text: &str) {
        let mut value = Vec::with_capacity(text.len() + 2);
        json::write_string(text, &mut value);
        self.raw(name, &value);
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

/// The results of a batch on their way: lines in, lines out, the unfinished one held.
pub struct Results {
    form: Form,
    rules: Rules,
    line_bytes_max: usize,
    unfinished: Vec<u8>,
    members: Vec<Member>,
    count: u64,
    /// Answers among the results that were not taken yet.
    pub found: Vec<Billed>,
    /// The last line was no JSON: what came was cut, or was no result.
    is_broken: bool,
}

/// A line is longer than may be held.
#[derive(Debug, PartialEq, Eq)]
pub struct LineTooLong;

impl Results {
    pub fn new(form: Form, rules: Rules, line_bytes_max: usize) -> Results {
        let (unfinished, members) = (Vec::new(), Vec::new());
        Results {
            form,
            rules,
            line_bytes_max,
            unfinished,
            members,
            count: 0,
            found: Vec::new(),
            is_broken: false,
        }
    }

    /// Takes the next bytes, and writes the lines that are complete with them.
    pub fn take(&mut self, mut data: &[u8], out: &mut Vec<u8>) -> Result<(), LineTooLong> {
        while let Some(end) = memchr::memchr(b'\n', data) {
            let mut line = std::mem::take(&mut self.unfinished);
            line.extend_from_slice(&data[..end]);
            self.line(&line, out);
            data = &data[end + 1..];
            line.clear();
            self.unfinished = line;
        }
        self.unfinished.extend_from_slice(data);
        if self.unfinished.len() > self.line_bytes_max { Err(LineTooLong) } else { Ok(()) }
    }

    /// Nothing follows: the last line need not be ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.unfinished);
        self.line(&line, out);
    }

    /// Whether every line was one.
    pub fn is_good(&self) -> bool {
        !self.is_broken && self.unfinished.is_empty()
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        if line.trim_ascii().is_empty() || self.is_broken {
            return;
        }
        let mut table = std::mem::take(&mut self.members);
        match Node::document(line, &mut table) {
            Ok(line) => self.result(line, out),
            Err(_) => self.is_broken = true,
        }
        self.members = table;
    }

    fn result(&mut self, line: Node<'_>, out: &mut Vec<u8>) {
        self.count += 1;
        self.found.extend(billed::of_line(line));
        let result = line.get("result");
        let kind = result.and_then(|result| result.get("type")?.text()).unwrap_or_default();
        let message = result.and_then(|result| result.get("message")).filter(|_| kind == "succeeded");
        let outcome = match message {
            Some(message) => {
                let text = |key: &str| message.get(key).and_then(Node::text).unwrap_or_default().into_owned();
                let id = text("id");
                let id = id.strip_prefix("msg_").unwrap_or(&id).to_owned();
                let told = Told { id, model: text("model"), ..Told::default() };
                answer(self.form, Grammar::Messages, &self.rules, told, message.raw())
            }
            None if kind == "expired" => EXPIRED,
            None if kind == "canceled" => CANCELLED,
            None => refused(0, result.and_then(|result| result.get("error")).map_or(b"", Node::raw)),
        };
        write_result(self.count, line.get("custom_id"), &outcome, out);
    }
}

/// What became of one request.
enum Outcome {
    /// An answer or an error, with its status.
    Answered(u16, Vec<u8>),
    /// Nobody answered it, for this reason: a code and a sentence.
    Lapsed(&'static str, &'static str),
}

const EXPIRED: Outcome =
    Outcome::Lapsed("batch_expired", "The batch expired before this request was executed.");
const CANCELLED: Outcome =
    Outcome::Lapsed("batch_cancelled", "The batch was cancelled before this request was executed.");

/// Writes one line of results.
fn write_result(number: u64, custom_id: Option<Node<'_>>, outcome: &Outcome, out: &mut Vec<u8>) {
    let mut members = Members::begin(out);
    members.text("id", &format!("batch_req_{number}"));
    members.raw("custom_id", custom_id.filter(|id| id.kind() == Kind::String).map_or(b"null", Node::raw));
    match outcome {
        Outcome::Answered(status, body) => {
            let mut response =
                format!("{{\"status_code\":{status},\"request_id\":null,\"body\":").into_bytes();
            // A line end inside of JSON can only be white space.
            let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
            response.extend(body.iter().map(|byte| if is_end(byte) { b' ' } else { *byte }));
            response.push(b'}');
            members.raw("response", &response);
            members.null("error");
        }
        Outcome::Lapsed(code, sentence) => {
            members.null("response");
            let error = format!("{{\"code\":\"{code}\",\"message\":\"{sentence}\"}}");
            members.raw("error", error.as_bytes());
        }
    }
    members.end();
    out.push(b'\n');
}

/// The provider's answer to one request, translated.
fn answer(form: Form, provider: Grammar, rules: &Rules, told: Told, document: &[u8]) -> Outcome {
    let translation = Translation::of_answers(form.grammar(), provider, rules.clone(), told);
    let mut body = Vec::new();
    match translation.answer(document, &mut body) {
        Ok(_) => Outcome::Answered(200, body),
        Err(error) => {
            body.clear();
            let refusal = errors::to_refusal(&error);
            openai::write_error(&refusal, &mut body);
            Outcome::Answered(refusal.status, body)
        }
    }
}

/// An error of the provider; `status` is 0 where it has said none.
fn refused(status: u16, error: &[u8]) -> Outcome {
    let refusal = errors::to_refusal(&errors::read(status, error, None));
    let mut body = Vec::new();
    openai::write_error(&refusal, &mut body);
    Outcome::Answered(refusal.status, body)
}

/// The seconds since 1970 of a time (RFC 3339), without its fraction; `None` for all else.
fn seconds(text: &str) -> Option<u64> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_second()).ok()
}

#[cfg(test)]
mod tests;
