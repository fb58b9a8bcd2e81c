//! Batches of the providers whose API for them is nobody else's.

use serde_json::{Value, json};

use super::{Batch, Kept, Kind, refused};
use crate::simulate::answer::Answer;
use crate::simulate::dialect::{Ask, Dialect};
use crate::wire::path::query_value;
use crate::wire::request::Method;

impl Kept {
    /// Mistral's: jobs.
    pub(super) fn job(&mut self, method: Method, rest: &[&str], query: &[u8], body: &[u8]) -> Option<Answer> {
        let page = match (method, rest) {
            (Method::Post, []) => self.create_job(body),
            (Method::Get, []) => {
                let jobs = self.pages(Kind::Job);
                Some(json!({"object": "list", "total": jobs.len(), "data": jobs}))
            }
            (Method::Get, [id]) => self.poll(id, Kind::Job).map(|mut job| {
                if query_value(query, "inline").as_deref() != Some(b"true") {
                    job["outputs"] = Value::Null;
                }
                job
            }),
            (Method::Post, [id, "cancel"]) => self.cancel(id),
            _ => return None,
        };
        let missing = || refused(Dialect::Chat, 422, "There is no such job, or no request in it.");
        Some(page.map_or_else(missing, |page| Answer::json(page.to_string().into_bytes())))
    }

    fn create_job(&mut self, body: &[u8]) -> Option<Value> {
        let asked: Value = serde_json::from_slice(body).ok()?;
        let ask = Ask::of(asked["endpoint"].as_str()?.as_bytes(), b"")?;
        let (model, requests) = (asked["model"].as_str()?, asked["requests"].as_array()?);
        let one = |request: &Value| {
            // The model is the job's: a request that names one is none of this API.
            let mut body = request["body"].clone();
            let is_own = body.get("model").is_none() && request.get("url").is_none();
            body["model"] = json!(model);
            is_own.then_some((
                request["custom_id"].as_str()?.to_owned(),
                ask.clone(),
                body.to_string().into_bytes(),
            ))
        };
        let requests: Vec<_> = requests.iter().map(one).collect::<Option<_>>()?;
        let polls = requests.first()?.0.strip_prefix("sim_polls_").and_then(|polls| polls.parse().ok());
        let id = self.next_id("j");
        let mut batch = Batch::new(id, Kind::Job, requests, polls);
        (batch.endpoint, batch.metadata) = (model.to_owned(), asked["metadata"].clone());
        let page = batch.page();
        self.add_batch(batch);
        Some(page)
    }

    /// xAI's: batches of files whose results come in pages, of two each here.
    pub(super) fn paged(
        &mut self,
        method: Method,
        rest: &[&str],
        query: &[u8],
        body: &[u8],
    ) -> Option<Answer> {
        let page = match (method, rest) {
            (Method::Post, []) => self.create_paged(body),
            (Method::Get, []) => Some(json!({"batches": self.pages(Kind::Paged), "pagination_token": ""})),
            (Method::Get, [id]) => self.poll(id, Kind::Paged),
            (Method::Get, [id, "results"]) => self.results_page(id, query),
            (Method::Post, [id]) => self.cancel(id.strip_suffix(":cancel")?),
            _ => return None,
        };
        let missing = || refused(Dialect::Chat, 400, "There is no such batch, or no request in it.");
        Some(page.map_or_else(missing, |page| Answer::json(page.to_string().into_bytes())))
    }

    fn create_paged(&mut self, body: &[u8]) -> Option<Value> {
        let asked: Value = serde_json::from_slice(body).ok()?;
        let (_, file) = (asked["name"].as_str()?, asked["input_file_id"].as_str()?);
        let requests = self.requests_in(file)?;
        let polls = requests[0].0.strip_prefix("sim_polls_").and_then(|polls| polls.parse().ok());
        let id = self.next_id("batch_");
        let mut batch = Batch::new(id, Kind::Paged, requests, polls);
        batch.input_file_id = file.to_owned();
        let page = batch.page();
        self.add_batch(batch);
        Some(page)
    }

    fn results_page(&mut self, id: &str, query: &[u8]) -> Option<Value> {
        let batch = self.batch(id).filter(|batch| batch.kind == Kind::Paged)?;
        let token = query_value(query, "pagination_token");
        let start: usize = token.map_or(Some(0), |token| std::str::from_utf8(&token).ok()?.parse().ok())?;
        let results = batch.lines();
        let end = (start + 2).min(results.len());
        let next = if end < results.len() { json!(end.to_string()) } else { Value::Null };
        Some(json!({"results": results.get(start..end)?, "pagination_token": next}))
    }
}
