//! A file on its way to its provider: what its form says in the first bytes, and the lines of a batch's input, in which
//! models and ids of files are spelled as the provider knows them. The file is never held: one line of it is, up to
//! [`BATCH_LINE_BYTES_MAX`].
//!
//! A line keeps its length: what becomes shorter is filled up with white space behind the value, which JSON allows. So the
//! lengths that the client has stated, of the body and of its parts, stay true.

use std::rc::Rc;

use super::Shard;
use super::active::Active;
use super::body::{self, Inflow};
use super::collection::{own_ids, own_model};
use super::exchange::Stop;
use super::owners::{self, Owner};
use super::work::Held;
use crate::base::limits::{BATCH_LINE_BYTES_MAX, BUFFER_BYTES};
use crate::base::{Refusal, RefusalKind, Span};
use crate::config::Server;
use crate::dialect::belongings::{self, Mention};
use crate::dialect::collection::line_model;
use crate::wire::json::{self, Member, Node};
use crate::wire::multipart;

/// What a form says of the file in it, as far as it has come.
#[derive(Debug, Default)]
pub struct Looked {
    /// The field `provider`.
    pub provider: Option<String>,
    /// The field `model`, or the model of a batch's first line.
    pub model: Option<String>,
    /// The file is the input of a batch: its purpose says so, or its first line where the purpose stands behind it.
    pub is_batch: bool,
    /// The parts that only the gateway understands.
    pub ours: Vec<Span>,
}

/// Looks at the first bytes of an upload.
pub fn look(peeked: &[u8], boundary: &[u8]) -> Looked {
    let mut looked = Looked::default();
    let (mut purpose, mut line_model) = (None, None);
    for part in multipart::parts(peeked, boundary) {
        let text = || String::from_utf8_lossy(part.value.of(peeked)).trim().to_owned();
        if part.is_file(peeked) {
            line_model = first_model(part.value.of(peeked), part.is_complete);
            continue;
        }
        if !part.is_complete {
            break;
        }
        if part.is_field(peeked, "purpose") {
            purpose = Some(text());
        }
        for (name, value) in [("provider", &mut looked.provider), ("model", &mut looked.model)] {
            if part.is_field(peeked, name) {
                *value = Some(text()).filter(|text| !text.is_empty());
                looked.ours.push(part.whole);
            }
        }
    }
    looked.is_batch = purpose.map_or(line_model.is_some(), |purpose| purpose == "batch");
    if looked.is_batch {
        looked.model = looked.model.or(line_model);
    }
    looked
}

/// The model that the first line of a batch's input names.
fn first_model(file: &[u8], is_complete: bool) -> Option<String> {
    let end = memchr::memchr(b'\n', file).or(is_complete.then_some(file.len()))?;
    let line = Node::document(&file[..end], &mut Vec::new()).ok()?;
    line_model(line)?.text().map(|model| model.into_owned())
}

/// Refuses lines that speak of an object which is not the sender's.
pub async fn check_lines(shard: &Shard, owner: &Owner, inflow: &mut Inflow) -> Result<(), Stop> {
    let Some(lines) = &mut inflow.lines else { return Ok(()) };
    let mentions = std::mem::take(&mut lines.mentions);
    owners::check_mentions(shard, owner.tenant(), &lines.provider, &mentions).await
}

/// The lines of a batch's input as they pass.
pub struct Lines {
    active: Rc<Active>,
    provider: String,
    /// The line that is not complete yet.
    unfinished: Vec<u8>,
    members: Vec<Member>,
    /// The sender is a tenant: what the lines speak of must be its own.
    pub is_guarded: bool,
    mentions: Vec<Mention>,
    /// Its part of the shard's memory for bodies, in bytes and as the count that gives them back.
    counted: usize,
    held: Option<Held>,
}

impl Lines {
    pub fn new(active: Rc<Active>, provider: String) -> Lines {
        Lines {
            active,
            provider,
            unfinished: Vec::new(),
            members: Vec::new(),
            is_guarded: false,
            mentions: Vec::new(),
            counted: 0,
            held: None,
        }
    }

    /// Takes the next bytes of the body, and leaves in their place those that can go on. `is_end` when none follow.
    pub fn pass(&mut self, piece: &mut Vec<u8>, is_end: bool) -> Result<(), Refusal> {
        let line_end =
            if is_end { Some(piece.len()) } else { memchr::memrchr(b'\n', piece).map(|at| at + 1) };
        let Some(line_end) = line_end else {
            self.unfinished.append(piece);
            return self.check_length();
        };
        let rest = piece.split_off(line_end);
        if !self.unfinished.is_empty() {
            self.unfinished.append(piece);
            std::mem::swap(&mut self.unfinished, piece);
        }
        self.unfinished.extend_from_slice(&rest);
        self.check_length()?;
        let mut at = 0;
        while at < piece.len() {
            let end = memchr::memchr(b'\n', &piece[at..]).map_or(piece.len(), |end| at + end + 1);
            self.line(&mut piece[at..end])?;
            at = end;
        }
        Ok(())
    }

    /// Counts the unfinished line in the shard's memory, where it is longer than a usual buffer.
    pub fn count(&mut self, shard: &Shard, server: &Server) -> Result<(), Stop> {
        let bytes = self.unfinished.len();
        if bytes <= BUFFER_BYTES {
            (self.counted, self.held) = (0, None);
        } else if bytes > self.counted {
            self.held = Some(body::held_more(shard, server, self.held.take(), bytes - self.counted)?);
            self.counted = bytes;
        }
        Ok(())
    }

    fn check_length(&self) -> Result<(), Refusal> {
        if self.unfinished.len() <= BATCH_LINE_BYTES_MAX {
            return Ok(());
        }
        let message =
            format!("A line of the batch is longer than the {BATCH_LINE_BYTES_MAX} bytes that are allowed.");
        Err(Refusal::new(413, RefusalKind::InvalidRequest, "batch_line_too_long", message))
    }

    /// Spells one line as the provider knows it. What is no request of a batch stays as it is: the provider judges it.
    fn line(&mut self, line: &mut [u8]) -> Result<(), Refusal> {
        if line.first() != Some(&b'{') {
            return Ok(());
        }
        let Ok(request) = Node::document(line, &mut self.members) else { return Ok(()) };
        if self.is_guarded {
            belongings::line(request, &mut self.mentions);
        }
        let Some(model) = line_model(request) else { return Ok(()) };
        let text = model.text().unwrap_or_default();
        let own = own_model(&self.active, &self.provider, &text)?.map(str::to_owned);
        let mut changes: Vec<(Span, String)> =
            own.map(|own| (model.place_in(line), own)).into_iter().collect();
        changes.extend(own_ids(&self.active, &self.provider, line)?);
        for (place, text) in changes {
            let mut spelled = Vec::with_capacity(place.len());
            json::write_string(&text, &mut spelled);
            assert!(spelled.len() <= place.len(), "a part of a text is no longer than the text");
            spelled.resize(place.len(), b' ');
            line[place.start as usize..place.end as usize].copy_from_slice(&spelled);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
