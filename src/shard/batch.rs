//! Batches at a provider whose own API for them is not OpenAI's: the requests become its own when the batch is made, and the file
//! with them is kept here until then, unless the provider takes it as it is. Everything else about such a batch stands in its id.

use std::rc::Rc;

use super::Shard;
use super::active::Active;
use super::body::{self, Body};
use super::client::Client;
use super::collection::{Reads, own_ids, own_model};
use super::exchange::Stop;
use super::inline::Inline;
use super::owners;
use super::transcode;
use super::upload;
use super::work::Work;
use crate::base::{Refusal, RefusalKind};
use crate::dialect::batches::{self, Api, Form, pages};
use crate::dialect::belongings;
use crate::dialect::endpoint::Endpoint;
use crate::dialect::middle::{Report, Told};
use crate::dialect::translate;
use crate::offload::state::{Id, Question, Reply};
use crate::provider::{Provider, edit};
use crate::wire::head::Known;
use crate::wire::json::{self, Kind, Member, Node};
use crate::wire::multipart;
use crate::wire::path::query_value;
use crate::wire::request::Method;
use crate::wire::splice::{Edits, ObjectEdits};

/// What is asked of such a provider.
pub struct Wish<'w> {
    pub provider: &'w Provider,
    pub endpoint: Endpoint,
    /// The API in which the provider has batches.
    pub api: Api,
    pub method: Method,
    /// The id in the path, without the provider's name.
    pub id: Option<&'w str>,
    pub action: &'w [u8],
    /// The provider's name as it stands behind ids.
    pub ending: &'w str,
}

/// How the answer is read.
pub struct Prepared {
    pub reads: Reads,
    /// The model that the path of a new batch names.
    pub model: String,
    /// Requests that have to become a file of the provider's first.
    pub inline: Option<Inline>,
}

/// Prepares the request to the provider and says how its answer is read; what is kept here is answered here.
pub async fn prepare(
    shard: &Shard,
    active: &Rc<Active>,
    client: &mut Client,
    work: &mut Work,
    head_len: usize,
    wish: &Wish<'_>,
    body: &mut Body,
) -> Result<Prepared, Stop> {
    let form = wish.id.map_or(Form::Chat, |id| batches::own_id(id).0);
    let api = wish.api;
    let reads = match (wish.endpoint, wish.method, wish.id, wish.action) {
        (Endpoint::Batches, Method::Post, None, b"") if !api.brings_requests() => {
            let prepared = of_file(active, client, wish, body)?;
            work.members.clear();
            return Ok(prepared);
        }
        (Endpoint::Batches, Method::Post, None, b"") => {
            let made = make(shard, active, client, work, head_len, wish, body).await?;
            work.members.clear();
            body::hold(shard, &active.snapshot().server, work, made.body.len())?;
            *body = Body::Decoded(made.body);
            return Ok(Prepared { reads: Reads::Batch(api, made.form), model: made.model, inline: None });
        }
        (Endpoint::Batches, Method::Get, None, b"") => {
            let head = &client.input.filled()[..head_len];
            if !api.has_cursor() && query_value(work.request.query.of(head), "after").is_some() {
                return Err(no_cursor(wish).into());
            }
            Reads::Batches(api)
        }
        (Endpoint::Batches, Method::Get, Some(_), b"/results") => Reads::Results(api, form),
        (Endpoint::Batches, Method::Get, Some(_), b"") => Reads::Batch(api, form),
        (Endpoint::Batches, Method::Post, Some(_), b"/cancel") if api == Api::Operations => {
            Reads::Cancelled(form)
        }
        (Endpoint::Batches, Method::Post, Some(_), b"/cancel") => Reads::Batch(api, form),
        (Endpoint::Files, Method::Get, Some(id), b"/content") if batches::is_results(id) => {
            Reads::Results(api, form)
        }
        (Endpoint::Files, ..) => return Err(kept(shard, active, client, work, head_len, wish, body).await?),
        _ => return Err(not_here(wish).into()),
    };
    Ok(Prepared { reads, model: String::new(), inline: None })
}

/// A new batch of a file that the provider has, or of requests that become one.
fn of_file(
    active: &Rc<Active>,
    client: &Client,
    wish: &Wish<'_>,
    body: &mut Body,
) -> Result<Prepared, Refusal> {
    let document = Node::scanned(body.held(&client.input));
    let (name, requests) = (&wish.provider.name, document.get("requests"));
    let first = || requests?.items().next()?.get("url");
    let url = document.get("endpoint").or_else(first).and_then(Node::text).unwrap_or_default();
    let form = Form::of_url(&url).ok_or_else(|| no_answer(wish.provider, &url))?;
    let (inline, made) = match requests {
        Some(_) => (Some(Inline::read(active, name, document)?.with_rest(pages::NEW)), Vec::new()),
        None => {
            let named = document.get("input_file_id").and_then(Node::text).unwrap_or_default();
            own_ids(active, name, document.raw())?;
            let mut made = b"{\"input_file_id\":".to_vec();
            json::write_string(crate::provider::ids::split(&named).0, &mut made);
            made.extend_from_slice(pages::NEW);
            (None, made)
        }
    };
    *body = Body::Decoded(made);
    Ok(Prepared { reads: Reads::Batch(wish.api, form), model: String::new(), inline })
}

fn no_cursor(wish: &Wish<'_>) -> Refusal {
    let message = format!(
        "The lists of `{}` cannot begin behind a batch: ask for more with `limit`.",
        wish.provider.name
    );
    Refusal::invalid("unsupported_field", message).about("after")
}

/// What is asked of a file that is kept here, answered.
async fn kept(
    shard: &Shard,
    active: &Active,
    client: &mut Client,
    work: &mut Work,
    head_len: usize,
    wish: &Wish<'_>,
    body: &mut Body,
) -> Result<Stop, Stop> {
    let owner = owners::keeper(client, work, head_len);
    let id = wish.id.and_then(|id| Id::of(batches::FILE, id));
    let question = match (wish.method, wish.id, id, wish.action) {
        (Method::Post, None, ..) => keep(shard, active, client, work, head_len, wish, body).await?,
        (Method::Get, None, ..) => Question::Files,
        (Method::Get, _, Some(id), b"") => Question::File(id),
        (Method::Get, _, Some(id), b"/content") => Question::FileContent(id),
        (Method::Delete, _, Some(id), b"") => Question::DeleteFile(id),
        _ => return Err(no_file(wish.id.unwrap_or_default()).into()),
    };
    let is_content = matches!(question, Question::FileContent(_));
    match shard.ask_state(owner, question).await? {
        Reply::Document(document) if is_content => {
            Ok(Stop::Answer { body: document, content_type: "application/octet-stream" })
        }
        Reply::Document(document) => Ok(Stop::Answer { body: document, content_type: "application/json" }),
        _ if wish.method == Method::Post => Err(no_room(active).into()),
        _ => Err(no_file(wish.id.unwrap_or_default()).into()),
    }
}

/// Takes an upload in. It has to be here whole, so it may be as long as any body that is looked into.
async fn keep(
    shard: &Shard,
    active: &Active,
    client: &mut Client,
    work: &mut Work,
    head_len: usize,
    wish: &Wish<'_>,
    body: &mut Body,
) -> Result<Question, Stop> {
    let server = &active.snapshot().server;
    let content_type = work.request.headers.find(Known::ContentType).unwrap_or_default();
    let boundary =
        multipart::boundary(content_type.of(&client.input.filled()[..head_len])).map(<[u8]>::to_vec);
    let (Some(boundary), Body::Streaming(inflow)) = (boundary, &mut *body) else {
        return Err(Refusal::invalid("invalid_type", "A form with `purpose` and `file` is expected.").into());
    };
    body::collect(shard, client, work, server, head_len, inflow).await?;
    let form = &inflow.peeked;
    if !upload::look(form, &boundary).is_batch {
        let message = "Only files of purpose `batch` can be kept for this provider.";
        return Err(Refusal::invalid("unsupported_purpose", message).about("purpose").into());
    }
    let file = multipart::parts(form, &boundary).into_iter().find(|part| part.is_file(form));
    let Some(file) = file.filter(|part| part.is_complete) else {
        return Err(Refusal::invalid("missing_required_parameter", "The form has no whole file in it.")
            .about("file")
            .into());
    };
    let bytes = file.value.of(form).to_vec();
    let wall_ms = shard.wall_ms();
    let text = String::from_utf8_lossy(&shard.ids.next(wall_ms)).replace('-', "");
    let id = Id::of("", &text).ok_or_else(|| no_file(&text))?;
    let mut name = Vec::new();
    json::write_string(&file.file_name(form).unwrap_or_else(|| "upload.jsonl".to_owned()), &mut name);
    let object = format!(
        "{{\"id\":\"file-{id}{}\",\"object\":\"file\",\"bytes\":{},\"created_at\":{},\"filename\":{},\
         \"purpose\":\"batch\",\"status\":\"processed\",\"expires_at\":null,\"status_details\":null}}",
        wish.ending,
        bytes.len(),
        wall_ms / 1000,
        String::from_utf8_lossy(&name)
    );
    Ok(Question::KeepFile { id, object: object.into_bytes(), bytes })
}

/// The body of a new batch.
struct Made {
    form: Form,
    model: String,
    body: Vec<u8>,
}

/// The requests of a new batch as its provider takes them.
async fn make(
    shard: &Shard,
    active: &Active,
    client: &Client,
    work: &mut Work,
    head_len: usize,
    wish: &Wish<'_>,
    body: &Body,
) -> Result<Made, Stop> {
    let document = Node::scanned(body.held(&client.input));
    let mut making = Making::begin(active, wish);
    let mut mentions = Vec::new();
    if let Some(requests) = document.get("requests") {
        if document.get("input_file_id").is_some() {
            let message = "`requests` and `input_file_id` cannot stand together.";
            return Err(Refusal::invalid("invalid_value", message).about("requests").into());
        }
        for request in requests.items() {
            making.add(request)?;
        }
    } else {
        let owner = owners::keeper(client, work, head_len);
        let named = document.get("input_file_id").and_then(Node::text).unwrap_or_default();
        let own = crate::provider::ids::split(&named).0;
        let Some(id) = Id::of(batches::FILE, own) else { return Err(no_file(&named).into()) };
        let Reply::Document(bytes) = shard.ask_state(owner, Question::FileContent(id)).await? else {
            return Err(no_file(&named).into());
        };
        body::hold(shard, &active.snapshot().server, work, bytes.len())?;
        let mut members: Vec<Member> = Vec::new();
        for (at, line) in bytes.split(|&b| b == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let request = Node::document(line, &mut members).map_err(|fault| {
                let message = format!("Line {} of the file: {}", at + 1, fault.sentence());
                Refusal::invalid(fault.code(), message).about("input_file_id")
            })?;
            belongings::line(request, &mut mentions);
            making.add(request)?;
        }
    }
    if let Some(tenant) = owners::tenant(work) {
        owners::check_mentions(shard, tenant, &wish.provider.name, &mentions).await?;
    }
    let form = making.form.ok_or_else(|| Refusal::invalid("invalid_value", "The batch has no requests."))?;
    if let Some(endpoint) = document.get("endpoint").and_then(Node::text)
        && endpoint != form.url()
    {
        return Err(endpoints_differ(&endpoint, form.url()).into());
    }
    making.end(document.get("metadata"));
    Ok(Made { form, model: making.model, body: making.out })
}

/// A batch as it is being written.
struct Making<'m> {
    active: &'m Active,
    provider: &'m Provider,
    api: Api,
    form: Option<Form>,
    /// The model of a batch that has one for all of its requests.
    model: String,
    out: Vec<u8>,
}

impl<'m> Making<'m> {
    fn begin(active: &'m Active, wish: &Wish<'m>) -> Making<'m> {
        let head: &[u8] = match wish.api {
            Api::Operations => {
                b"{\"batch\":{\"displayName\":\"batch\",\"inputConfig\":{\"requests\":{\"requests\":["
            }
            _ => b"{\"requests\":[",
        };
        let (form, model, out) = (None, String::new(), head.to_vec());
        Making { active, provider: wish.provider, api: wish.api, form, model, out }
    }

    /// Nothing follows the last request. What the caller has noted goes to those who keep it.
    fn end(&mut self, metadata: Option<Node<'_>>) {
        match self.api {
            Api::Operations => self.out.extend_from_slice(b"]}}}}"),
            Api::Jobs => {
                // Whatever they were written in, the requests are chat's now.
                self.out.extend_from_slice(b"],\"endpoint\":");
                json::write_string(Form::Chat.url(), &mut self.out);
                self.out.extend_from_slice(b",\"model\":");
                json::write_string(&self.model, &mut self.out);
                if let Some(metadata) = metadata {
                    self.out.extend_from_slice(b",\"metadata\":");
                    self.out.extend_from_slice(metadata.raw());
                }
                self.out.push(b'}');
            }
            Api::Messages | Api::Pages => self.out.extend_from_slice(b"]}"),
        }
    }

    fn add(&mut self, request: Node<'_>) -> Result<(), Refusal> {
        let [id, url, body] = request.pick(["custom_id", "url", "body"]);
        let id = id.filter(|id| id.kind() == Kind::String).ok_or_else(|| missing("custom_id", ""))?;
        let shown = id.text().unwrap_or_default();
        let url = url.and_then(Node::text).ok_or_else(|| missing("url", &shown))?;
        let body = body.filter(|body| body.kind() == Kind::Object).ok_or_else(|| missing("body", &shown))?;
        let Some(form) = Form::of_url(&url) else {
            return Err(no_answer(self.provider, &url));
        };
        if *self.form.get_or_insert(form) != form {
            return Err(endpoints_differ(&url, self.form.unwrap_or(form).url()));
        }
        let model = body.get("model").and_then(Node::text).ok_or_else(|| missing("body.model", &shown))?;
        let model = own_model(self.active, &self.provider.name, &model)?.unwrap_or(&model).to_owned();
        if let Some((_, own)) = own_ids(self.active, &self.provider.name, body.raw())?.first() {
            let message = format!("The file `{own}` cannot be named in a batch of another dialect.");
            return Err(Refusal::invalid("unsupported_field", message).about("file_id"));
        }
        if self.model.is_empty() {
            self.model.clone_from(&model);
        }
        if self.api.has_one_model() && self.model != model {
            let message = format!(
                "The batch is for the models `{}` and `{model}`: the provider `{}` takes one for all requests.",
                self.model, self.provider.name
            );
            return Err(Refusal::invalid("models_differ", message).about("model"));
        }
        if !self.out.ends_with(b"[") {
            self.out.push(b',');
        }
        let (head, middle, end): (&[u8], &[u8], &[u8]) = match self.api {
            Api::Operations => (b"{\"metadata\":{\"key\":", b"},\"request\":", b"}"),
            Api::Jobs => (b"{\"custom_id\":", b",\"body\":", b"}"),
            Api::Messages | Api::Pages => (b"{\"custom_id\":", b",\"params\":", b"}"),
        };
        self.out.extend_from_slice(head);
        self.out.extend_from_slice(id.raw());
        self.out.extend_from_slice(middle);
        self.params(form, body, &model, &shown)?;
        self.out.extend_from_slice(end);
        Ok(())
    }

    fn params(&mut self, form: Form, body: Node<'_>, model: &str, id: &str) -> Result<(), Refusal> {
        let provider = self.api.grammar();
        if self.api != Api::Jobs {
            let mut out = std::mem::take(&mut self.out);
            let written = self.translate(form, body, model, id, &mut out);
            self.out = out;
            return written;
        }
        let mut own = Vec::new();
        match form.grammar() == provider {
            true => own.extend_from_slice(body.raw()),
            false => self.translate(form, body, model, id, &mut own)?,
        }
        self.chat_params(&own)
    }

    /// A request in the provider's dialect.
    fn translate(
        &self,
        form: Form,
        body: Node<'_>,
        model: &str,
        id: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let asked = translate::Asked {
            client: form.grammar(),
            provider: self.api.grammar(),
            body,
            original: body,
            model,
            wants_stream: false,
            as_array: false,
            rules: self.provider.rules_for(model),
            told: Told::default(),
        };
        let mut report = Report::default();
        let translation = translate::request(asked, &mut report, out);
        if !report.unsupported.is_empty() && !self.active.snapshot().drops_unsupported {
            return Err(of_request(transcode::unsupported(self.provider, &report.unsupported), id));
        }
        if translation.map_err(|refusal| of_request(refusal, id))?.needs_request() {
            let message = "It has tools that this provider cannot be given under their names; the results of a batch \
                           cannot be read without them.";
            return Err(of_request(Refusal::invalid("unsupported_field", message).about("tools"), id));
        }
        Ok(())
    }

    /// A request of chat as the provider's file has it, without its model, which the batch names.
    fn chat_params(&mut self, body: &[u8]) -> Result<(), Refusal> {
        let mut members = Vec::new();
        json::scan_object(body, &mut members)
            .map_err(|fault| Refusal::invalid(fault.code(), fault.sentence()).about("body"))?;
        let (mut edits, mut object) = (Edits::default(), ObjectEdits::default());
        edit::apply(&self.provider.edits, body, &members, &mut edits, &mut object);
        for name in ["model", "stream"] {
            if let Some(at) = json::position(&members, body, name) {
                object.remove(at);
            }
        }
        let brace_at = body.iter().rposition(|&b| b == b'}').unwrap_or_default();
        object.apply(&members, brace_at, &mut edits);
        edits.append_to(body, &mut self.out);
        Ok(())
    }
}

fn of_request(mut refusal: Refusal, id: &str) -> Refusal {
    refusal.message = format!("The request `{id}` of the batch: {}", refusal.message).into();
    refusal
}

fn missing(field: &'static str, id: &str) -> Refusal {
    let message = format!("`{field}` is missing in the batch's request `{id}`, or is of another type.");
    Refusal::invalid("missing_required_parameter", message).about(field)
}

fn no_answer(provider: &Provider, url: &str) -> Refusal {
    let message = format!("The provider `{}` cannot answer `{url}` in a batch.", provider.name);
    Refusal::invalid("unsupported_endpoint", message).about("url")
}

fn endpoints_differ(one: &str, other: &str) -> Refusal {
    let message = format!("The batch is for `{one}` and for `{other}`: it can be for one endpoint.");
    Refusal::invalid("endpoints_differ", message).about("endpoint")
}

fn no_file(id: &str) -> Refusal {
    let message = format!(
        "There is no file `{id}`. Files for this provider are kept by the gateway, and not for ever."
    );
    Refusal::new(404, RefusalKind::InvalidRequest, "file_not_found", message).about("file_id")
}

fn no_room(active: &Active) -> Refusal {
    let bytes_max = active.snapshot().responses_bytes_max;
    let message = format!("The file is larger than the {bytes_max} bytes that the gateway may keep.");
    Refusal::new(413, RefusalKind::InvalidRequest, "file_too_large", message)
}

fn not_here(wish: &Wish<'_>) -> Refusal {
    let (method, endpoint, name) = (wish.method.as_str(), wish.endpoint.name(), &wish.provider.name);
    let message = format!("{method} of this path of {endpoint} has no meaning for the provider `{name}`.");
    Refusal::new(404, RefusalKind::InvalidRequest, "unknown_url", message)
}
