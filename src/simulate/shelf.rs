//! Files and batches, in memory and in five forms: OpenAI's and, below `/paged`, xAI's, whose batches are made of files;
//! Anthropic's, Gemini's and Mistral's, whose batches bring their requests. A batch is done at its first poll, or after as many as it asks for: `metadata.sim_polls`, or
//! the id `sim_polls_N` of its first request. Bounded: what is oldest goes.

#![expect(
    clippy::disallowed_types,
    reason = "several event loops are one provider; nothing waits while it is held"
)]

mod others;
mod pages;

use std::collections::VecDeque;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::answer::{self, Answer, Body};
use super::connection::Request;
use super::dialect::{Ask, Dialect};
use super::openai::CREATED;
use crate::wire::multipart;
use crate::wire::path::percent_decoded;
use crate::wire::request::Method;

/// What is kept. A poisoned lock is one whose owner panicked, and so did its connection.
#[derive(Default)]
pub struct Shelf {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    count: u64,
    files: VecDeque<File>,
    batches: VecDeque<Batch>,
}

struct File {
    id: String,
    purpose: String,
    name: String,
    bytes: Vec<u8>,
}

/// A batch of either form.
struct Batch {
    id: String,
    kind: Kind,
    endpoint: String,
    input_file_id: String,
    metadata: Value,
    requests: Vec<(String, Ask, Vec<u8>)>,
    polls_left: u64,
    state: State,
    output_file_id: Value,
    error_file_id: Value,
    /// The lines of a batch of messages.
    results: Vec<u8>,
    counts: [u64; 2],
}

/// Whose API it is a batch of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    OfFile,
    Messages,
    Generate,
    Job,
    Paged,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Done,
    Cancelled,
}

/// Whether a path is one of these, so that its body is kept whole.
pub fn is_path(path: &[u8]) -> bool {
    if path.ends_with(MAKE.as_bytes()) || path.starts_with(b"/v1beta/batches") {
        return true;
    }
    let rest = path.strip_prefix(PAGED).unwrap_or(path);
    let rest = rest.strip_prefix(b"/v1").unwrap_or(rest);
    [&b"/files"[..], b"/batches", b"/messages/batches", b"/batch/jobs"].iter().any(|own| {
        rest.strip_prefix(*own).is_some_and(|behind| behind.is_empty() || behind.starts_with(b"/"))
    })
}

impl Shelf {
    /// Answers a request for files or batches; `None` where there is no such thing to ask.
    pub fn answer(
        &self,
        method: Method,
        path: &[u8],
        content_type: &[u8],
        request: &Request,
    ) -> Option<Answer> {
        let is_generate = path.starts_with(b"/v1beta/");
        let (is_paged, path) = path.strip_prefix(PAGED).map_or((false, path), |rest| (true, rest));
        let rest = path.strip_prefix(b"/v1beta").or(path.strip_prefix(b"/v1")).unwrap_or(path);
        let path = String::from_utf8_lossy(&percent_decoded(rest)).into_owned();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let Ok(mut kept) = self.kept.lock() else { return None };
        if is_generate {
            return kept.generate(method, &parts, &request.body);
        }
        if let ["batch", "jobs", rest @ ..] = &parts[..] {
            return kept.job(method, rest, request.query.of(&request.head), &request.body);
        }
        if let (true, ["batches", rest @ ..]) = (is_paged, &parts[..]) {
            return kept.paged(method, rest, request.query.of(&request.head), &request.body);
        }
        Some(match (method, &parts[..]) {
            (Method::Post, ["files"]) => kept.upload(content_type, &request.body),
            (Method::Get, ["files"]) => list(kept.files.iter().map(File::page).collect()),
            (Method::Get, ["files", id]) => found(kept.file(id).map(File::page)),
            (Method::Get, ["files", id, "content"]) => content(kept.file(id)),
            (Method::Delete, ["files", id]) => {
                let is_here = kept.file(id).is_some();
                kept.files.retain(|file| file.id != **id);
                found(is_here.then(|| json!({"id": id, "object": "file", "deleted": true})))
            }
            (Method::Post, ["batches"]) => kept.create(&request.body),
            (Method::Get, ["batches"]) => list(kept.pages(Kind::OfFile)),
            (Method::Get, ["batches", id]) => found(kept.poll(id, Kind::OfFile)),
            (Method::Post, ["batches", id, "cancel"]) => found(kept.cancel(id)),
            (Method::Post, ["messages", "batches"]) => kept.create_messages(&request.body),
            (Method::Get, ["messages", "batches"]) => list(kept.pages(Kind::Messages)),
            (Method::Get, ["messages", "batches", id]) => found_message(kept.poll(id, Kind::Messages)),
            (Method::Post, ["messages", "batches", id, "cancel"]) => found_message(kept.cancel(id)),
            (Method::Get, ["messages", "batches", id, "results"]) => kept.results(id),
            (Method::Delete, ["messages", "batches", id]) => {
                let is_here = kept.batch(id).is_some();
                kept.batches.retain(|batch| batch.id != **id);
                found_message(is_here.then(|| json!({"id": id, "type": "message_batch_deleted"})))
            }
            _ => return None,
        })
    }
}

impl Kept {
    fn next_id(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}simulated{:06}", self.count)
    }

    fn file(&self, id: &str) -> Option<&File> {
        self.files.iter().find(|file| file.id == id)
    }

    fn batch(&mut self, id: &str) -> Option<&mut Batch> {
        self.batches.iter_mut().find(|batch| batch.id == id)
    }

    fn pages(&self, kind: Kind) -> Vec<Value> {
        self.batches.iter().filter(|batch| batch.kind == kind).map(Batch::page).collect()
    }

    fn add_file(&mut self, purpose: &str, name: &str, bytes: Vec<u8>) -> String {
        let id = self.next_id("file-");
        let file = File { id: id.clone(), purpose: purpose.to_owned(), name: name.to_owned(), bytes };
        self.files.push_back(file);
        while self.files.len() > KEPT_MAX
            || self.files.iter().map(|file| file.bytes.len()).sum::<usize>() > BYTES_MAX
        {
            self.files.pop_front();
        }
        id
    }

    fn add_batch(&mut self, batch: Batch) -> Answer {
        let page = batch.page();
        self.batches.push_back(batch);
        while self.batches.len() > KEPT_MAX {
            self.batches.pop_front();
        }
        Answer::json(page.to_string().into_bytes())
    }

    fn upload(&mut self, content_type: &[u8], body: &[u8]) -> Answer {
        let parts = multipart::boundary(content_type).map(|boundary| multipart::parts(body, boundary));
        let parts = parts.unwrap_or_default();
        let purpose = parts.iter().find(|part| part.is_field(body, "purpose"));
        let file = parts.iter().find(|part| part.is_file(body));
        let known = parts.iter().all(|part| part.is_file(body) || part.is_field(body, "purpose"));
        let (Some(purpose), Some(file), true) = (purpose, file, known) else {
            return refused(
                Dialect::Chat,
                400,
                "A form with `purpose` and `file`, and no other field, is expected.",
            );
        };
        let purpose = String::from_utf8_lossy(purpose.value.of(body)).into_owned();
        let id = self.add_file(&purpose, "upload", file.value.of(body).to_vec());
        found(self.file(&id).map(File::page))
    }

    fn create(&mut self, body: &[u8]) -> Answer {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
        let Some(requests) = self.requests_in(&text("input_file_id")) else {
            return refused(Dialect::Chat, 400, "There is no such input file, or it is no list of requests.");
        };
        let polls_left = asked["metadata"]["sim_polls"].as_str().and_then(|polls| polls.parse().ok());
        let id = self.next_id("batch_");
        let mut batch = Batch::new(id, Kind::OfFile, requests, polls_left);
        (batch.endpoint, batch.input_file_id) = (text("endpoint"), text("input_file_id"));
        batch.metadata = asked["metadata"].clone();
        self.add_batch(batch)
    }

    /// The requests that stand in a file.
    fn requests_in(&self, id: &str) -> Option<Vec<(String, Ask, Vec<u8>)>> {
        let file = self.file(id)?;
        let lines = file.bytes.split(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let requests: Option<Vec<_>> = lines
            .map(|line| {
                let line: Value = serde_json::from_slice(line).ok()?;
                let ask = Ask::of(line["url"].as_str()?.as_bytes(), b"")?;
                Some((line["custom_id"].as_str()?.to_owned(), ask, line["body"].to_string().into_bytes()))
            })
            .collect();
        requests.filter(|requests| !requests.is_empty())
    }

    fn create_messages(&mut self, body: &[u8]) -> Answer {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let requests = asked["requests"].as_array().filter(|requests| !requests.is_empty());
        let ask = Ask::of(b"/v1/messages", b"");
        let (Some(requests), Some(ask)) = (requests, ask) else {
            return refused(Dialect::Messages, 400, "requests: Field required");
        };
        let one = |request: &Value| {
            let id = request["custom_id"].as_str().unwrap_or_default().to_owned();
            (id, ask.clone(), request["params"].to_string().into_bytes())
        };
        let requests: Vec<_> = requests.iter().map(one).collect();
        let polls = requests[0].0.strip_prefix("sim_polls_").and_then(|polls| polls.parse().ok());
        let id = self.next_id("msgbatch_");
        self.add_batch(Batch::new(id, Kind::Messages, requests, polls))
    }

    /// Gemini's: what makes a batch, and what is asked of one.
    fn generate(&mut self, method: Method, parts: &[&str], body: &[u8]) -> Option<Answer> {
        let page = match (method, parts) {
            (Method::Post, ["models", model]) => self.create_generate(model.strip_suffix(MAKE)?, body),
            (Method::Get, ["batches"]) => Some(json!({"operations": self.pages(Kind::Generate)})),
            (Method::Get, ["batches", id]) => self.poll(id, Kind::Generate),
            (Method::Post, ["batches", id]) => self.cancel(id.strip_suffix(":cancel")?).map(|_| json!({})),
            _ => return None,
        };
        let missing = || refused(Dialect::Gemini, 400, "There is no such batch, or no request in it.");
        Some(page.map_or_else(missing, |page| Answer::json(page.to_string().into_bytes())))
    }

    fn create_generate(&mut self, model: &str, body: &[u8]) -> Option<Value> {
        let asked: Value = serde_json::from_slice(body).ok()?;
        let ask = Ask::of(format!("/v1beta/models/{model}:generateContent").as_bytes(), b"")?;
        let requests = asked["batch"]["inputConfig"]["requests"]["requests"].as_array()?;
        let one = |request: &Value| {
            let id = request["metadata"]["key"].as_str().unwrap_or_default().to_owned();
            (id, ask.clone(), request["request"].to_string().into_bytes())
        };
        let requests: Vec<_> = requests.iter().map(one).collect();
        let polls = requests.first()?.0.strip_prefix("sim_polls_").and_then(|polls| polls.parse().ok());
        let id = self.next_id("b");
        let mut batch = Batch::new(id, Kind::Generate, requests, polls);
        batch.endpoint = format!("models/{model}");
        let page = batch.page();
        self.add_batch(batch);
        Some(page)
    }

    /// The state of a batch, which goes on by being asked for.
    fn poll(&mut self, id: &str, kind: Kind) -> Option<Value> {
        let batch = self.batch(id).filter(|batch| batch.kind == kind)?;
        let is_due = batch.state == State::Running && batch.polls_left == 0;
        batch.polls_left = batch.polls_left.saturating_sub(1);
        if is_due {
            batch.state = State::Done;
            let (good, bad) = batch.run();
            if kind == Kind::OfFile {
                let output = (!good.is_empty()).then(|| self.add_file("batch_output", "output.jsonl", good));
                let errors = (!bad.is_empty()).then(|| self.add_file("batch_output", "errors.jsonl", bad));
                let batch = self.batch(id)?;
                (batch.output_file_id, batch.error_file_id) = (json!(output), json!(errors));
            }
        }
        self.batch(id).map(|batch| batch.page())
    }

    fn cancel(&mut self, id: &str) -> Option<Value> {
        let batch = self.batch(id)?;
        if batch.state == State::Running {
            batch.state = State::Cancelled;
        }
        Some(batch.page())
    }

    fn results(&mut self, id: &str) -> Answer {
        match self.batch(id).filter(|batch| batch.state != State::Running) {
            Some(batch) => Answer { media: "application/x-jsonl", ..Answer::json(batch.results.clone()) },
            None => refused(Dialect::Messages, 404, "There are no results yet."),
        }
    }
}

impl File {
    fn page(&self) -> Value {
        json!({"id": self.id, "object": "file", "bytes": self.bytes.len(), "created_at": CREATED, "filename": self.name,
            "purpose": self.purpose, "status": "processed", "expires_at": null, "status_details": null})
    }
}

impl Batch {
    fn new(id: String, kind: Kind, requests: Vec<(String, Ask, Vec<u8>)>, polls: Option<u64>) -> Batch {
        Batch {
            id,
            kind,
            endpoint: String::new(),
            input_file_id: String::new(),
            metadata: Value::Null,
            requests,
            polls_left: polls.unwrap_or(0),
            state: State::Running,
            output_file_id: Value::Null,
            error_file_id: Value::Null,
            results: Vec::new(),
            counts: [0; 2],
        }
    }

    /// Answers every request: the lines that went well and the others, both in `results` for a batch of messages.
    fn run(&mut self) -> (Vec<u8>, Vec<u8>) {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (at, (custom_id, ask, body)) in self.requests.iter().enumerate() {
            let (_, answer) = answer::of(ask, body);
            let Body::Whole(body) = answer.body else { continue };
            let is_good = answer.status == 200;
            self.counts[usize::from(!is_good)] += 1;
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let line = match (self.kind, is_good) {
                (Kind::Messages, true) => {
                    json!({"custom_id": custom_id, "result": {"type": "succeeded", "message": body}})
                }
                (Kind::Messages, false) => {
                    json!({"custom_id": custom_id, "result": {"type": "errored", "error": body}})
                }
                (Kind::Generate, true) => json!({"metadata": {"key": custom_id}, "response": body}),
                // The code of an RPC: 3 is an invalid argument.
                (Kind::Generate, false) => {
                    json!({"metadata": {"key": custom_id}, "error": {"code": 3, "message": body["error"]["message"]}})
                }
                (Kind::Paged, true) => {
                    json!({"batch_request_id": custom_id, "batch_result": {"response": {"chat_get_completion": body}}})
                }
                (Kind::Paged, false) => {
                    json!({"batch_request_id": custom_id, "batch_result": {"error": {"code": 3, "message": body["error"]["message"]}}})
                }
                (Kind::OfFile | Kind::Job, _) => {
                    json!({"id": format!("batch_req_{at}"), "custom_id": custom_id, "error": null,
                    "response": {"status_code": answer.status, "request_id": format!("req_{at}"), "body": body}})
                }
            };
            let out = if is_good { &mut good } else { &mut bad };
            out.extend_from_slice(line.to_string().as_bytes());
            out.push(b'\n');
        }
        if self.kind != Kind::OfFile {
            // In no particular order, as the API says.
            self.results = [&bad[..], &good[..]].concat();
        }
        (good, bad)
    }

    /// The results so far.
    fn lines(&self) -> Vec<Value> {
        self.results.split(|&b| b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    fn page(&self) -> Value {
        pages::of(self)
    }
}

fn list(items: Vec<Value>) -> Answer {
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let page = json!({"object": "list", "has_more": false, "first_id": id(items.first()), "last_id": id(items.last()),
        "data": items});
    Answer::json(page.to_string().into_bytes())
}

fn content(file: Option<&File>) -> Answer {
    match file {
        Some(file) => Answer { media: "application/octet-stream", ..Answer::json(file.bytes.clone()) },
        None => refused(Dialect::Chat, 404, "There is no such file."),
    }
}

fn found(page: Option<Value>) -> Answer {
    let missing = || refused(Dialect::Chat, 404, "There is no such thing.");
    page.map_or_else(missing, |page| Answer::json(page.to_string().into_bytes()))
}

fn found_message(page: Option<Value>) -> Answer {
    let missing = || refused(Dialect::Messages, 404, "There is no such batch.");
    page.map_or_else(missing, |page| Answer::json(page.to_string().into_bytes()))
}

fn refused(dialect: Dialect, status: u16, message: &str) -> Answer {
    answer::error(dialect, status, message, None)
}

/// What stands before the paths of the form in pages, which are those of OpenAI's.
const PAGED: &[u8] = b"/paged";
/// The method that makes a batch of Gemini's.
const MAKE: &str = ":batchGenerateContent";
/// Files and batches that are kept, each.
const KEPT_MAX: usize = 1000;
/// All files together.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// The body of one request.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn call(shelf: &Shelf, line: &str, content_type: &str, body: &str) -> (u16, Value, Vec<u8>) {
        let (method, path) = line.split_once(' ').expect("a method");
        let method = if method == "POST" { Method::Post } else { Method::Get };
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\n\r\n");
        let request = Request::read_whole(head.as_bytes(), body.as_bytes().to_vec());
        let answer =
            shelf.answer(method, path.as_bytes(), content_type.as_bytes(), &request).expect("an answer");
        let Body::Whole(bytes) = answer.body else { panic!("no stream") };
        (answer.status, serde_json::from_slice(&bytes).unwrap_or_default(), bytes)
    }

    #[test]
    fn a_batch_of_a_file_runs_its_lines_after_as_many_polls_as_it_asks_for() {
        let shelf = Shelf::default();
        let lines = concat!(
            r#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"hi"}]}}"#,
            "\n",
            r#"{"custom_id":"b","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[],"sim":{"status":429}}}"#,
        );
        let form = format!(
            "--b\r\ncontent-disposition: form-data; name=purpose\r\n\r\nbatch\r\n--b\r\ncontent-disposition: form-data; \
             name=file; filename=f\r\n\r\n{lines}\r\n--b--\r\n"
        );
        let (status, file, _) = call(&shelf, "POST /v1/files", "multipart/form-data; boundary=b", &form);
        assert_eq!((status, &file["bytes"], &file["purpose"]), (200, &json!(lines.len()), &json!("batch")));
        let create = json!({"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "metadata": {"sim_polls": "1"}});
        let (_, batch, _) = call(&shelf, "POST /v1/batches", "application/json", &create.to_string());
        let get = format!("GET /v1/batches/{}", batch["id"].as_str().unwrap());
        assert_eq!(call(&shelf, &get, "", "").1["status"], "in_progress");
        let done = call(&shelf, &get, "", "").1;
        assert_eq!((&done["status"], &done["request_counts"]["failed"]), (&json!("completed"), &json!(1)));
        let output = format!("GET /v1/files/{}/content", done["output_file_id"].as_str().unwrap());
        let line = call(&shelf, &output, "", "").1;
        assert_eq!((&line["custom_id"], &line["response"]["status_code"]), (&json!("a"), &json!(200)));
        assert_eq!(call(&shelf, "GET /v1/files/file-x", "", "").0, 404);
    }

    #[test]
    fn a_batch_of_messages_brings_its_requests() {
        let shelf = Shelf::default();
        let create = json!({"requests": [{"custom_id": "a", "params": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}}]});
        let (_, batch, _) =
            call(&shelf, "POST /v1/messages/batches", "application/json", &create.to_string());
        assert_eq!(batch["processing_status"], "in_progress");
        let get = format!("GET /v1/messages/batches/{}", batch["id"].as_str().unwrap());
        assert_eq!(call(&shelf, &get, "", "").1["processing_status"], "ended");
        let line = call(&shelf, &format!("{get}/results"), "", "").1;
        assert_eq!((&line["custom_id"], &line["result"]["type"]), (&json!("a"), &json!("succeeded")));
        assert_eq!(line["result"]["message"]["role"], "assistant");
    }
}
