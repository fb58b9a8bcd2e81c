//! Passing an answer on: the provider's bytes, in our framing. One loop for every provider and endpoint; a stream's
//! events are looked at on the way. What was cut never looks complete.

use std::io::IoSlice;

use super::Shard;
use super::attempt::Answered;
use super::call::Call;
use super::client::Client;
use super::once::{Turn, fill, is_event_stream, of_malformed};
use super::stream::{Tail, Watcher};
use super::tally::Tally;
use super::work::Work;
use crate::base::fault::FaultKind;
use crate::base::limits::{BUFFER_BYTES, COPIED_BYTES_MAX};
use crate::base::{Refusal, Span};
use crate::config::Server;
use crate::dialect::endpoint::Endpoint;
use crate::dialect::openai;
use crate::ledger::usage::Usage;
use crate::wire::Step;
use crate::wire::chunked::{Chunked, chunk_tail, write_chunk_head};
use crate::wire::head::{Field, Known, Version};
use crate::wire::json::{self, Capture, Kind};
use crate::wire::request::Method;
use crate::wire::response::ResponseBody;
use crate::wire::write::HeadWriter;

/// How the passing on ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// The client has the whole answer.
    Whole,
    /// The client has the whole answer once the connection is closed.
    UntilClose,
    /// It does not, and the connection must not suggest it.
    Cut,
}

/// How the provider's body ends.
enum Inward {
    None,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// How the client's body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outward {
    None,
    Length,
    Chunked,
    UntilClose,
}

/// What is learnt from a body on its way.
enum Watch {
    Nothing,
    /// The events of a chat or completions stream.
    Events(Box<Watcher>),
    /// Where the lines of any other stream end.
    Tail(Tail),
    /// The usage in a JSON answer.
    Json(Option<Box<Capture>>),
}

/// Passes the answer on to its end.
pub async fn relay(
    shard: &Shard,
    server: &Server,
    client: &mut Client,
    work: &mut Work,
    tally: &mut Tally,
    call: &Call,
    mut answered: Answered,
) -> Relayed {
    tally.answered(work.response.status);
    let mut passing = begin(server, work, call, &answered);
    passing.out = shard.buffers.lend();
    write_head(work, call, &answered, passing.outward, &mut passing.out);

    answered.buffer.consume(answered.head_len);
    let result = passing.pass(shard, server, client, work, tally, &mut answered).await;
    passing.tell_usage(tally, work.response.status);
    let relayed = match result {
        Ok(()) => {
            if passing.can_keep(work, &answered) {
                answered.keep(shard);
            }
            if passing.outward == Outward::UntilClose { Relayed::UntilClose } else { Relayed::Whole }
        }
        Err(kind) => {
            tally.cut();
            tally.fault(kind);
            answered.conn.abort();
            Box::pin(passing.end_badly(client, server, kind)).await;
            Relayed::Cut
        }
    };
    shard.buffers.give_back(passing.out);
    if client.is_gone() && relayed != Relayed::Cut {
        tally.cut();
    }
    relayed
}

/// The state of passing one answer on.
struct Passing {
    inward: Inward,
    outward: Outward,
    watch: Watch,
    is_stream: bool,
    usage: Usage,
    /// What leaves next: the head, framing and data. Lent while something is in it.
    out: Vec<u8>,
    /// Events that are about to leave; lent for as long.
    stage: Vec<u8>,
}

fn begin(server: &Server, work: &Work, call: &Call, answered: &Answered) -> Passing {
    let response = &work.response;
    let head = &answered.buffer.filled()[..answered.head_len];
    let content_type = response.headers.find(Known::ContentType).unwrap_or_default();
    let is_success = (200..300).contains(&response.status);
    let is_stream = is_event_stream(content_type.of(head)) && response.body != ResponseBody::None;
    let is_known = call.endpoint != Endpoint::Other;
    let watch = match (is_stream, is_known && is_success) {
        (true, true) if call.endpoint.streams() => {
            Watch::Events(Box::new(Watcher::new(call.hides_usage, server.event_bytes_max)))
        }
        (true, _) => Watch::Tail(Tail::default()),
        (false, true) => Watch::Json(None),
        (false, false) => Watch::Nothing,
    };
    let inward = match response.body {
        ResponseBody::None => Inward::None,
        ResponseBody::Length(length) => Inward::Length(length),
        ResponseBody::Chunked => Inward::Chunked(Chunked::default()),
        ResponseBody::UntilClose => Inward::UntilClose,
    };
    // Where neither framing nor content tells a cut from the end, the client must not be told that it was the end.
    let tells_its_end = matches!(watch, Watch::Events(_) | Watch::Json(_));
    let outward = match (&inward, work.request.version) {
        (Inward::None, _) => Outward::None,
        (Inward::Length(_), _) if !matches!(watch, Watch::Events(_)) => Outward::Length,
        (Inward::UntilClose, _) if !tells_its_end => Outward::UntilClose,
        (_, Version::V11) => Outward::Chunked,
        (_, Version::V10) => Outward::UntilClose,
    };
    Passing { inward, outward, watch, is_stream, usage: Usage::default(), out: Vec::new(), stage: Vec::new() }
}

/// Writes our head of the provider's answer: its headers but for those of its hop, and ours.
fn write_head(work: &Work, call: &Call, answered: &Answered, outward: Outward, out: &mut Vec<u8>) {
    let (response, request) = (&work.response, &work.request);
    let head = &answered.buffer.filled()[..answered.head_len];
    let mut writer = HeadWriter::response(out, response.status);
    let has_tried = answered.attempts > 1 && response.status >= 400;
    for field in &response.headers.fields {
        // The length that an answer to HEAD, or one of "not modified", would have had.
        let is_told_length =
            field.known == Known::ContentLength && outward == Outward::None && response.status != 204;
        if is_told_length {
            writer.checked_header(field.name.of(head), field.value.of(head));
        } else if !(has_tried && field.known == Known::XShouldRetry) {
            pass_header(&mut writer, work, head, field);
        }
    }
    writer.checked_header(b"x-request-id", work.request_id.as_bytes());
    if has_tried {
        writer.checked_header(b"x-should-retry", b"false");
    }
    if !call.edited.is_empty() {
        writer.checked_header(b"x-ringway-edited", call.edited.join(", ").as_bytes());
    }
    match (outward, response.body) {
        (Outward::Length, ResponseBody::Length(length)) => writer.number(b"content-length", length),
        (Outward::Chunked, _) => writer.checked_header(b"transfer-encoding", b"chunked"),
        (Outward::None, _)
            if request.method != Method::Head
                && !matches!(response.status, 204 | 304)
                && response.headers.find(Known::ContentLength).is_none() =>
        {
            writer.number(b"content-length", 0);
        }
        _ => {}
    }
    writer.connection(request.version, request.keep_alive && outward != Outward::UntilClose);
    writer.finish();
}

/// Writes a header of the provider's answer, if it is one that passes.
pub fn pass_header(writer: &mut HeadWriter<'_>, work: &Work, head: &[u8], field: &Field) {
    let name = field.name.of(head);
    if passes(field.known, name) && !work.response.headers.named_by_connection(head, name) {
        writer.checked_header(name, field.value.of(head));
    } else if field.known == Known::XRequestId {
        writer.checked_header(b"x-upstream-request-id", field.value.of(head));
    }
}

/// The headers of a provider that reach the client. Its cookies, its host's transport policies and its permissions for
/// browsers are not the gateway's.
fn passes(known: Known, name: &[u8]) -> bool {
    const POLICIES: [&[u8]; 3] = [b"strict-transport-security", b"clear-site-data", b"nel"];
    let is_policy = || {
        let is =
            |prefix: &[u8]| name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix);
        POLICIES.iter().any(|policy| name.eq_ignore_ascii_case(policy)) || is(b"access-control-")
    };
    match known {
        Known::Other => !is_policy(),
        Known::SetCookie | Known::AltSvc | Known::XRequestId | Known::Server | Known::XRingwayHops => false,
        _ => !known.is_hop_by_hop(),
    }
}

impl Passing {
    /// Passes pieces on until the body ends. The head in `out` leaves with the first of them.
    async fn pass(
        &mut self,
        shard: &Shard,
        server: &Server,
        client: &mut Client,
        work: &mut Work,
        tally: &mut Tally,
        answered: &mut Answered,
    ) -> Result<(), FaultKind> {
        let idle_ms = answered.upstream.provider.limits.idle_timeout_ms;
        let mut at_eof = false;
        loop {
            work.spans.clear();
            let (used, is_end) = self.inward.step(answered.buffer.filled(), at_eof, &mut work.spans)?;
            if self.out.capacity() == 0 {
                self.out = shard.buffers.lend();
            }
            if matches!(self.watch, Watch::Events(_)) {
                self.stage = shard.buffers.lend();
            }
            self.send_piece(server, client, work, answered, is_end).await?;
            shard.buffers.give_back(std::mem::take(&mut self.out));
            shard.buffers.give_back(std::mem::take(&mut self.stage));
            answered.buffer.consume(used);
            shard.buffers.take_back(&mut answered.buffer);
            client.take_turn().await;
            tally.passed_on(self.is_stream);
            if is_end {
                return self.judge_end();
            }
            client.upstream_alarm.set_after(idle_ms);
            let Answered { conn, buffer, .. } = answered;
            match fill(shard, client, conn, buffer, BUFFER_BYTES).await {
                Turn::Bytes(Ok(0)) => at_eof = true,
                Turn::Bytes(Ok(count)) => tally.upstream_in(count),
                Turn::Bytes(Err(_)) => return Err(FaultKind::ClosedInAnswer),
                Turn::Gone => return Err(FaultKind::ClientGone),
                Turn::Late => return Err(FaultKind::IdleTimeout),
            }
        }
    }

    /// Sends what this turn brought: the head if it has not left, the data in the client's framing, the end if it is
    /// there and good.
    async fn send_piece(
        &mut self,
        server: &Server,
        client: &mut Client,
        work: &mut Work,
        answered: &Answered,
        is_end: bool,
    ) -> Result<(), FaultKind> {
        let input = answered.buffer.filled();
        let Work { spans, members, .. } = work;
        match &mut self.watch {
            Watch::Nothing => {}
            Watch::Tail(tail) => spans.iter().for_each(|span| tail.take(span.of(input))),
            Watch::Json(capture) => watch_json(capture, &mut self.usage, input, spans, members, is_end),
            Watch::Events(watcher) => {
                for span in spans.iter() {
                    let taken = watcher.take(span.of(input), &mut self.stage);
                    taken.map_err(|_| FaultKind::EventTooLarge)?;
                }
                if is_end {
                    watcher.finish(&mut self.stage);
                }
            }
        }
        let ends_well = is_end && self.judge_end().is_ok();
        let out = &mut self.out;
        let is_staged = matches!(self.watch, Watch::Events(_));
        let data_len = if is_staged { self.stage.len() } else { spans.iter().map(|span| span.len()).sum() };
        let is_chunked = self.outward == Outward::Chunked;
        if is_chunked && data_len > 0 {
            write_chunk_head(data_len, out);
        }
        let tail = if is_chunked { chunk_tail(data_len, ends_well) } else { b"" };
        if out.is_empty() && data_len == 0 && tail.is_empty() {
            return Ok(());
        }
        if data_len <= COPIED_BYTES_MAX {
            // One copy and one plain send cost less than many pieces.
            if is_staged {
                out.extend_from_slice(&self.stage);
            } else {
                spans.iter().for_each(|span| out.extend_from_slice(span.of(input)));
            }
            out.extend_from_slice(tail);
            return client.send(&mut [IoSlice::new(out)], server.write_timeout_ms).await;
        }
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(spans.len() + 2);
        slices.push(IoSlice::new(out));
        if is_staged {
            slices.push(IoSlice::new(&self.stage));
        } else {
            slices.extend(spans.iter().map(|span| IoSlice::new(span.of(input))));
        }
        slices.push(IoSlice::new(tail));
        client.send(&mut slices, server.write_timeout_ms).await
    }

    /// Whether the end that the framing shows is a good one.
    fn judge_end(&self) -> Result<(), FaultKind> {
        let is_good = match &self.watch {
            Watch::Nothing | Watch::Tail(_) => true,
            Watch::Events(watcher) => watcher.has_ended(),
            // Without a length, the end of the connection may be a cut: the JSON tells.
            Watch::Json(capture) => {
                let is_whole = capture.as_ref().is_none_or(|capture| capture.ended_well());
                is_whole || !matches!(self.inward, Inward::UntilClose)
            }
        };
        if is_good { Ok(()) } else { Err(FaultKind::ClosedInAnswer) }
    }

    /// The last words on an answer that was cut: an error event in a stream; on other bodies nothing, so that the missing
    /// end shows.
    async fn end_badly(&mut self, client: &mut Client, server: &Server, kind: FaultKind) {
        if matches!(kind, FaultKind::ClientGone | FaultKind::ClientStalled) {
            return;
        }
        // With a length no event of ours has room in the body.
        if self.is_stream && matches!(self.outward, Outward::Chunked | Outward::UntilClose) {
            self.stage.clear();
            if let Watch::Tail(tail) = &self.watch {
                self.stage.extend_from_slice(tail.missing_end());
            }
            let refusal = Refusal::from_fault(kind.fatal());
            openai::write_error_event(&refusal, &mut self.stage);
            let is_chunked = self.outward == Outward::Chunked;
            if is_chunked {
                write_chunk_head(self.stage.len(), &mut self.out);
            }
            let tail = if is_chunked { chunk_tail(self.stage.len(), false) } else { b"" };
            let mut slices = [IoSlice::new(&self.out), IoSlice::new(&self.stage), IoSlice::new(tail)];
            // A client that is gone by now will not miss it.
            let _ = client.send(&mut slices, server.write_timeout_ms).await;
        }
        if self.outward == Outward::UntilClose {
            // An orderly close would be the end of the body.
            client.peer.conn.reset_on_close();
        }
    }

    fn tell_usage(&mut self, tally: &mut Tally, status: u16) {
        if let Watch::Events(watcher) = &self.watch {
            self.usage.merge(watcher.usage);
        }
        if let Watch::Json(Some(capture)) = &self.watch
            && let Some((value, Kind::Object)) = capture.value("usage")
        {
            self.usage.merge(openai::read_usage(value));
        }
        let is_read = matches!(self.watch, Watch::Events(_) | Watch::Json(_));
        let is_expected = is_read && (200..300).contains(&status);
        tally.usage(self.usage, is_expected);
    }

    /// Whether the upstream's connection can serve again: its answer had an end, and nothing came behind it.
    fn can_keep(&self, work: &Work, answered: &Answered) -> bool {
        let has_end = !matches!(self.inward, Inward::UntilClose);
        has_end && work.response.keep_alive && answered.buffer.is_empty()
    }
}

impl Inward {
    /// Takes the framing off: places of data in `input`, how many bytes that used, and whether it was the end.
    fn step(
        &mut self,
        input: &[u8],
        at_eof: bool,
        spans: &mut Vec<Span>,
    ) -> Result<(usize, bool), FaultKind> {
        match self {
            Inward::None => Ok((0, true)),
            Inward::UntilClose => {
                push(spans, input.len());
                Ok((input.len(), at_eof))
            }
            Inward::Length(left) => {
                let count = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                push(spans, count);
                *left -= count as u64;
                if at_eof && *left > 0 { Err(FaultKind::ClosedInAnswer) } else { Ok((count, *left == 0)) }
            }
            Inward::Chunked(decoder) => match decoder.step(input, spans) {
                Step::Done { used } => Ok((used, true)),
                Step::More if at_eof => Err(FaultKind::ClosedInAnswer),
                Step::More => Ok((input.len(), false)),
                Step::Bad(bad) => Err(of_malformed(bad)),
            },
        }
    }
}

fn push(spans: &mut Vec<Span>, count: usize) {
    if count > 0 {
        spans.push(Span::new(0, count));
    }
}

/// Looks for usage in a JSON answer: at once when all of it is here, piece by piece otherwise.
fn watch_json(
    capture: &mut Option<Box<Capture>>,
    usage: &mut Usage,
    input: &[u8],
    spans: &[Span],
    members: &mut Vec<json::Member>,
    is_end: bool,
) {
    if let (None, [only], true) = (&capture, spans, is_end)
        && let Some(object) = json::object_value(only.of(input), "usage", members)
    {
        usage.merge(openai::read_usage_with(object, members));
        return;
    }
    let capture = capture.get_or_insert_with(|| Box::new(Capture::new(&["usage"])));
    spans.iter().for_each(|span| capture.step(span.of(input)));
}
