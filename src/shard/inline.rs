//! A batch of inline requests at a provider that makes batches of files: the requests are uploaded as a file first, and the
//! batch is made of that. Two requests to the provider for one of the client's; when the second fails, the file stays there.

use std::rc::Rc;

use super::Shard;
use super::active::Active;
use super::attempt;
use super::body::{self, Body};
use super::call::Call;
use super::client::Client;
use super::exchange::Stop;
use super::outgoing::Outgoing;
use super::replace;
use super::tally::Tally;
use super::upload::Lines;
use super::work::Work;
use crate::base::fault::FaultKind;
use crate::base::{Refusal, Span};
use crate::dialect::endpoint::Endpoint;
use crate::dialect::errors;
use crate::wire::json::{self, Kind, Node};

/// The requests as the lines of a file, and the batch that is made of it but for the file's id.
pub struct Inline {
    lines: Vec<u8>,
    /// The members of the object behind the file's id.
    rest: Vec<u8>,
}

impl Inline {
    /// Reads the requests of a new batch. Each becomes a line; line ends inside of one can only be white space of JSON.
    pub fn read(active: &Rc<Active>, provider: &str, document: Node<'_>) -> Result<Inline, Refusal> {
        if document.get("input_file_id").is_some() {
            let message = "`requests` and `input_file_id` cannot stand together.";
            return Err(Refusal::invalid("invalid_value", message).about("requests"));
        }
        let mut lines = Vec::with_capacity(document.raw().len());
        let mut endpoint = document.get("endpoint").and_then(Node::text);
        for request in document.get("requests").into_iter().flat_map(Node::items) {
            let url = request.get("url").filter(|_| request.kind() == Kind::Object).and_then(Node::text);
            let Some(url) = url else {
                let message = "Every request of a batch needs `custom_id`, `method`, `url` and `body`.";
                return Err(Refusal::invalid("missing_required_parameter", message).about("requests"));
            };
            let known = endpoint.get_or_insert_with(|| url.clone());
            if *known != url {
                let message =
                    format!("The batch is for `{known}` and for `{url}`: it can be for one endpoint.");
                return Err(Refusal::invalid("endpoints_differ", message).about("endpoint"));
            }
            let is_end = |b: &u8| matches!(b, b'\n' | b'\r');
            lines.extend(request.raw().iter().map(|b| if is_end(b) { b' ' } else { *b }));
            lines.push(b'\n');
        }
        let Some(endpoint) = endpoint.filter(|_| !lines.is_empty()) else {
            return Err(Refusal::invalid("invalid_value", "The batch has no requests.").about("requests"));
        };
        Lines::new(active.clone(), provider.to_owned()).pass(&mut lines, true)?;
        let mut rest = b",\"endpoint\":".to_vec();
        json::write_string(&endpoint, &mut rest);
        if document.get("completion_window").is_none() {
            rest.extend_from_slice(b",\"completion_window\":\"24h\"");
        }
        for (key, value) in document.members().filter(|(key, _)| !matches!(&**key, b"requests" | b"endpoint"))
        {
            rest.push(b',');
            json::write_string(&String::from_utf8_lossy(&key), &mut rest);
            rest.push(b':');
            rest.extend_from_slice(value.raw());
        }
        rest.push(b'}');
        Ok(Inline { lines, rest })
    }

    /// The same with other members behind the file's id: those of a batch in another API.
    pub fn with_rest(self, rest: &[u8]) -> Inline {
        Inline { rest: rest.to_vec(), ..self }
    }

    /// Uploads the requests, and leaves in `body` the batch that is to be made of them.
    #[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each borrowed on its own")]
    pub async fn upload(
        self,
        shard: &Shard,
        active: &Rc<Active>,
        client: &mut Client,
        work: &mut Work,
        tally: &mut Tally,
        call: &Call,
        body: &mut Body,
        head_len: usize,
    ) -> Result<(), Stop> {
        let Inline { lines, rest } = self;
        let boundary = format!("ringway-{}", String::from_utf8_lossy(&shard.ids.next(shard.wall_ms())));
        let form = form(&boundary, &lines);
        body::hold(shard, &active.snapshot().server, work, form.len() + rest.len())?;
        let mut uploading = Call::to(Endpoint::Files, call.target.plain_copy());
        (uploading.is_repeatable, uploading.keeps_credential) = (false, true);
        work.edits.clear();
        work.target.clear();
        if let Some(route) = call.target.upstream.provider.route(Endpoint::Files) {
            work.target.extend_from_slice(route.target.as_bytes());
        }
        let (length, mut file) = (form.len(), Body::Decoded(form));
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let outgoing = Outgoing { content_type: Some(content_type), ..Outgoing::new(work, &file, length) };
        let asking =
            attempt::attempt(shard, active, client, work, tally, &uploading, &outgoing, &mut file, head_len);
        let answered = Box::pin(asking).await?;
        let (status, is_whole) = (work.response.status, answered.whole_len.is_some());
        let document = replace::held_body(work, &answered);
        let refused = replace::replacement(&uploading, work, &answered);
        attempt::discard(shard, work, answered);
        // All until now was waiting for the provider.
        tally.begins_again();
        if let Some(refusal) = refused {
            return Err(refusal.into());
        }
        if status >= 400 {
            return Err(errors::to_refusal(&errors::read(status, &document, None)).into());
        }
        let id = file_id(&document).filter(|_| is_whole);
        let id = id.ok_or_else(|| Refusal::from_fault(FaultKind::Malformed.fatal()))?;
        let mut create = b"{\"input_file_id\":".to_vec();
        create.extend_from_slice(id.of(&document));
        create.extend_from_slice(&rest);
        *body = Body::Decoded(create);
        Ok(())
    }
}

/// The form with the file.
fn form(boundary: &str, lines: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--{boundary}\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"batch.jsonl\"\r\nContent-Type: \
         application/jsonl\r\n\r\n"
    );
    [head.as_bytes(), lines, format!("\r\n--{boundary}--\r\n").as_bytes()].concat()
}

/// The place of the id in a file object.
fn file_id(document: &[u8]) -> Option<Span> {
    let object = Node::document(document, &mut Vec::new()).ok()?;
    object.get("id").filter(|id| id.kind() == Kind::String).map(|id| id.place_in(document))
}
