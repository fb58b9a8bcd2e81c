//! What the audit log gets of an exchange beside its circumstances: headers and bodies, where the settings ask for them.
//! Redacted before they reach the journal; what finds no room is counted, and the row says so.

use super::Shard;
use super::body::Body;
use super::call::Call;
use super::client::Client;
use super::watch::Watch;
use super::work::{Held, Work};
use crate::base::limits::{CAPTURES_BYTES_MAX, PART_BYTES_MAX};
use crate::config::Audit;
use crate::dialect::translate::Assembly;
use crate::journal::Need;
use crate::ledger::record::{self, Outcome, Part, PartKind, RecordId, Remarks};
use crate::ledger::redact::{Extent, REDACTED, Redactor};
use crate::policy::admit;
use crate::provider::{Proof, Provider};
use crate::wire::head::Headers;

/// Headers and bodies of one exchange, on their way to the journal.
pub struct Capture {
    request_headers: Vec<(String, Vec<u8>)>,
    request_body: Vec<u8>,
    response_headers: Vec<(String, Vec<u8>)>,
    response_body: Vec<u8>,
    /// The answer is a stream that is put together.
    assembly: Option<Box<Assembly>>,
    body_bytes_max: usize,
    remarks: Remarks,
    /// What the client showed as its key.
    presented: Vec<u8>,
    /// What is held of the shard's memory for captures, and how much that is.
    held: Option<Held>,
    held_bytes: usize,
}

impl Capture {
    /// Begins with the request; `None` where the settings ask for nothing.
    pub fn begin(
        shard: &Shard,
        audit: &Audit,
        client: &Client,
        work: &Work,
        head_len: usize,
        body: &Body,
        sent: Option<Sent>,
    ) -> Option<Box<Capture>> {
        if !audit.headers && !audit.bodies {
            return None;
        }
        let head = &client.input.filled()[..head_len];
        let headers = &work.request.headers;
        let mut capture = Box::new(Capture {
            request_headers: Vec::new(),
            request_body: Vec::new(),
            response_headers: Vec::new(),
            response_body: Vec::new(),
            assembly: None,
            body_bytes_max: if audit.bodies { audit.body_bytes_max } else { 0 },
            remarks: Remarks::default(),
            presented: admit::presented_key(head, headers).unwrap_or_default().to_vec(),
            held: None,
            held_bytes: 0,
        });
        if audit.headers {
            capture.request_headers = of_request(audit, head, headers);
        }
        if audit.bodies {
            // What goes to the provider may stand in its place by now: the client's own bytes are behind its head.
            let behind_head = &client.input.filled()[head_len..work.request_len.max(head_len)];
            let own = if behind_head.is_empty() { body.held(&client.input) } else { behind_head };
            let sent = sent.unwrap_or_else(|| Sent::of(own, capture.body_bytes_max));
            if capture.take_room(shard, sent.kept.len()) {
                capture.remarks.request_too_big = sent.is_cut || matches!(body, Body::Streaming(_));
                capture.request_body = sent.kept;
            } else {
                capture.remarks.request_unkept = true;
            }
        }
        Some(capture)
    }

    /// The answer begins, with this head of ours.
    pub fn answer_begins(&mut self, audit: &Audit, call: &Call, watch: &Watch, head: &[u8]) {
        if audit.headers {
            self.response_headers = of_answer(audit, head);
        }
        let as_array = call.translation.as_ref().is_some_and(|translation| translation.as_array);
        let is_stream = matches!(watch, Watch::Events(_) | Watch::Translated(_)) && !as_array;
        if let Some(grammar) = call.endpoint.grammar().filter(|_| is_stream && self.body_bytes_max > 0) {
            self.assembly = Some(Box::new(Assembly::new(grammar, self.body_bytes_max)));
        }
    }

    /// More of the answer is about to leave.
    pub fn take(&mut self, shard: &Shard, data: &[u8]) {
        if self.body_bytes_max == 0 || self.remarks.response_unkept {
            return;
        }
        if let Some(assembly) = &mut self.assembly {
            assembly.take(data);
        } else {
            let kept = data.len().min(self.body_bytes_max - self.response_body.len());
            self.remarks.response_too_big |= kept < data.len();
            self.response_body.extend_from_slice(&data[..kept]);
        }
        let weight = self.assembly.as_ref().map_or(self.response_body.len(), |assembly| assembly.weight());
        let more = (self.request_body.len() + weight).saturating_sub(self.held_bytes);
        if !self.take_room(shard, more) {
            self.remarks.response_unkept = true;
            (self.response_body, self.assembly) = (Vec::new(), None);
        }
    }

    /// The answer is an error of the gateway's own.
    pub fn is_refused(&mut self, body: Vec<u8>) {
        if self.body_bytes_max > 0 {
            self.assembly = None;
            self.response_body = body;
            self.response_body.truncate(self.body_bytes_max);
        }
    }

    /// Writes it all to the journal, in front of the record of the end.
    pub fn write(mut self, shard: &Shard, id: RecordId, provider: Option<&Provider>, outcome: Outcome) {
        let mut redactor = Redactor::default();
        redactor.add(&self.presented);
        provider.into_iter().for_each(|provider| add_secrets(shard, provider, &mut redactor));
        if let Some(assembly) = self.assembly.take() {
            let assembled = assembly.finish(&mut self.response_body);
            self.remarks.response_too_big |= assembled.is_cut;
            self.remarks.response_incomplete = !assembled.has_ended;
        }
        let is_broken_off = matches!(outcome, Outcome::Cut | Outcome::ClientGone);
        self.remarks.response_incomplete |= is_broken_off && !self.response_body.is_empty();
        let Capture { request_headers, request_body, response_headers, response_body, .. } = &self;
        let mut remarks = self.remarks;
        let of = |is_cut: bool| if is_cut { Extent::Cut } else { Extent::Whole };
        let write_headers = |kind, headers| {
            let text = headers_json(headers, &redactor);
            headers.is_empty() || write_part(shard, id, kind, text.as_bytes())
        };
        let write_body = |kind, body: &[u8], extent| {
            if !is_text(body, extent) {
                return None;
            }
            let mut text = Vec::with_capacity(body.len());
            redactor.write(body, extent, &mut text);
            Some(text.is_empty() || write_part(shard, id, kind, &text))
        };
        remarks.request_unkept |= !write_headers(PartKind::RequestHeaders, request_headers);
        match write_body(PartKind::RequestBody, request_body, of(remarks.request_too_big)) {
            Some(is_written) => remarks.request_unkept |= !is_written,
            None => remarks.request_is_binary = true,
        }
        remarks.response_unkept |= !write_headers(PartKind::ResponseHeaders, response_headers);
        match write_body(PartKind::ResponseBody, response_body, of(remarks.response_too_big)) {
            Some(is_written) => remarks.response_unkept |= !is_written,
            None => remarks.response_is_binary = true,
        }
        let unkept = u64::from(remarks.request_unkept) + u64::from(remarks.response_unkept);
        shard.counters.borrow_mut().audit_unkept += unkept;
        if remarks != Remarks::default() {
            write_record(shard, id, &Part { kind: PartKind::Remarks, bytes: &remarks.bytes() }, Need::End);
        }
    }

    fn take_room(&mut self, shard: &Shard, bytes: usize) -> bool {
        let held = Held::grown(self.held.take(), &shard.captured_bytes, bytes, CAPTURES_BYTES_MAX);
        let has_room = held.is_some();
        self.held = held;
        self.held_bytes = if has_room { self.held_bytes + bytes } else { 0 };
        has_room
    }
}

/// A body as the client sent it, as far as it is kept.
pub struct Sent {
    kept: Vec<u8>,
    is_cut: bool,
}

impl Sent {
    pub fn of(body: &[u8], bytes_max: usize) -> Sent {
        let kept = &body[..body.len().min(bytes_max)];
        Sent { kept: kept.to_vec(), is_cut: kept.len() < body.len() }
    }
}

/// Writes a text in as many records as it takes; false when the journal has no room for all of it.
fn write_part(shard: &Shard, id: RecordId, kind: PartKind, text: &[u8]) -> bool {
    text.chunks(PART_BYTES_MAX).all(|bytes| write_record(shard, id, &Part { kind, bytes }, Need::Begin))
}

fn write_record(shard: &Shard, id: RecordId, part: &Part<'_>, need: Need) -> bool {
    let mut bytes = shard.buffers.lend();
    record::write_part(&mut bytes, id, part);
    let mut journal = shard.journal.borrow_mut();
    let is_written = journal.as_mut().is_some_and(|journal| journal.append(&bytes, need).is_ok());
    shard.buffers.give_back(bytes);
    is_written
}

/// Whether a body can be shown: what is cut may end within a character.
fn is_text(body: &[u8], extent: Extent) -> bool {
    match std::str::from_utf8(body) {
        Ok(_) => true,
        Err(error) => extent == Extent::Cut && error.error_len().is_none(),
    }
}

fn of_request(audit: &Audit, head: &[u8], headers: &Headers) -> Vec<(String, Vec<u8>)> {
    let shown = |name: &[u8], value: &[u8]| shown(audit, name, value);
    headers.fields.iter().map(|field| shown(field.name.of(head), field.value.of(head))).collect()
}

/// The headers of a head that we wrote.
fn of_answer(audit: &Audit, head: &[u8]) -> Vec<(String, Vec<u8>)> {
    let lines = head.split(|&byte| byte == b'\n').skip(1).map(<[u8]>::trim_ascii);
    let fields = lines.filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some(shown(audit, &line[..colon], line[colon + 1..].trim_ascii()))
    });
    fields.collect()
}

/// A header under its name, with its value where that may be shown.
fn shown(audit: &Audit, name: &[u8], value: &[u8]) -> (String, Vec<u8>) {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let value = if audit.shows(&name) { value } else { REDACTED };
    (name, value.to_vec())
}

/// An object of JSON. What comes several times stands in one value, as RFC 9110 §5.3 joins them.
fn headers_json(headers: &[(String, Vec<u8>)], redactor: &Redactor) -> String {
    let mut object = serde_json::Map::new();
    for (name, value) in headers {
        let mut text = Vec::new();
        redactor.write(value, Extent::Whole, &mut text);
        let text = String::from_utf8_lossy(&text);
        match object.get_mut(name) {
            Some(serde_json::Value::String(before)) => before.extend([", ", &*text]),
            _ => drop(object.insert(name.clone(), text.into())),
        }
    }
    serde_json::Value::Object(object).to_string()
}

/// The provider's keys, which it may show in its own errors.
fn add_secrets(shard: &Shard, provider: &Provider, redactor: &mut Redactor) {
    for credential in &provider.credentials {
        credential.secrets.iter().for_each(|secret| redactor.add(secret.reveal().as_bytes()));
        if let Proof::Token(source) = &credential.proof
            && let Some(token) = shard.tokens.borrow().find(&source.id, shard.alarms.now_ms())
        {
            redactor.add(token.text.reveal().as_bytes());
        }
    }
}
