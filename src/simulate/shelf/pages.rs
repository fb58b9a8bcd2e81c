//! Batches as each of the APIs shows them.

use serde_json::{Value, json};

use super::{Batch, Kind, State};
use crate::simulate::openai::CREATED;

/// The batch in the words of its own API.
pub fn of(batch: &Batch) -> Value {
    match batch.kind {
        Kind::OfFile => of_file(batch),
        Kind::Messages => of_messages(batch),
        Kind::Generate => operation(batch),
        Kind::Job => job(batch),
        Kind::Paged => paged(batch),
    }
}

fn of_file(batch: &Batch) -> Value {
    let [good, bad] = batch.counts;
    let status = match batch.state {
        State::Running => "in_progress",
        State::Done => "completed",
        State::Cancelled => "cancelled",
    };
    json!({"id": batch.id, "object": "batch", "endpoint": batch.endpoint, "errors": null, "input_file_id": batch.input_file_id,
        "completion_window": "24h", "status": status, "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id, "created_at": CREATED, "metadata": batch.metadata,
        "request_counts": {"total": batch.requests.len(), "completed": good, "failed": bad}})
}

fn of_messages(batch: &Batch) -> Value {
    let ([good, bad], total) = (batch.counts, batch.requests.len());
    let left = if batch.state == State::Running { total } else { 0 };
    let is_over = batch.state != State::Running;
    let cancelled = if batch.state == State::Cancelled { total } else { 0 };
    let time = |is: bool| is.then_some("2026-01-01T00:00:10.5Z");
    let url = is_over.then(|| format!("https://simulated.example/v1/messages/batches/{}/results", batch.id));
    json!({"id": batch.id, "type": "message_batch", "processing_status": if is_over { "ended" } else { "in_progress" },
        "request_counts": {"processing": left, "succeeded": good, "errored": bad, "canceled": cancelled, "expired": 0},
        "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z", "archived_at": null,
        "ended_at": time(is_over), "cancel_initiated_at": time(batch.state == State::Cancelled), "results_url": url})
}

/// Gemini's batch, with its answers when it is done.
fn operation(batch: &Batch) -> Value {
    let [good, bad] = batch.counts.map(|count| count.to_string());
    let state = match batch.state {
        State::Running => "BATCH_STATE_RUNNING",
        State::Done => "BATCH_STATE_SUCCEEDED",
        State::Cancelled => "BATCH_STATE_CANCELLED",
    };
    let name = format!("batches/{}", batch.id);
    let mut page = json!({"name": name, "done": batch.state != State::Running, "metadata": {"name": name,
        "model": batch.endpoint, "state": state, "createTime": "2026-01-01T00:00:00.5Z", "batchStats":
        {"requestCount": batch.requests.len().to_string(), "successfulRequestCount": good, "failedRequestCount": bad}}});
    if batch.state == State::Done {
        page["metadata"]["endTime"] = json!("2026-01-01T00:00:10Z");
        page["response"] = json!({"inlinedResponses": {"inlinedResponses": batch.lines()}});
    }
    page
}

/// Mistral's job, with its answers when it is done.
fn job(batch: &Batch) -> Value {
    let [good, bad] = batch.counts;
    let status = match batch.state {
        State::Running => "RUNNING",
        State::Done => "SUCCESS",
        State::Cancelled => "CANCELLED",
    };
    let is_over = batch.state != State::Running;
    json!({"id": batch.id, "object": "batch", "input_files": [], "metadata": batch.metadata, "endpoint": "/v1/chat/completions",
        "model": batch.endpoint, "agent_id": null, "output_file": null, "error_file": null, "errors": [],
        "outputs": is_over.then(|| batch.lines()), "status": status, "created_at": CREATED,
        "total_requests": batch.requests.len(), "completed_requests": good + bad, "succeeded_requests": good,
        "failed_requests": bad, "started_at": CREATED, "completed_at": is_over.then_some(CREATED + 10)})
}

/// xAI's batch.
fn paged(batch: &Batch) -> Value {
    let [good, bad] = batch.counts;
    let (total, is_cancelled) = (batch.requests.len() as u64, batch.state == State::Cancelled);
    let left = total - good - bad;
    let (pending, cancelled) = if is_cancelled { (0, left) } else { (left, 0) };
    json!({"batch_id": batch.id, "name": "batch", "create_time": "2026-01-01T00:00:00.5Z", "expire_time": "2026-01-31T00:00:00Z",
        "cancel_time": is_cancelled.then_some("2026-01-01T00:00:10Z"), "cancel_by_xai_message": null,
        "state": {"num_requests": total, "num_pending": pending, "num_success": good, "num_error": bad,
            "num_cancelled": cancelled}, "input_file_id": batch.input_file_id})
}
