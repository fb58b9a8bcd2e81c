//! Passing an answer on: the provider's bytes, in our framing. One loop for every provider and endpoint; a stream's
//! events are looked at on the way. What was cut never looks complete.

use std::io::IoSlice;

use super::Shard;
use super::answer;
use super::attempt::Answered;
use super::billed;
use super::call::Call;
use super::client::Client;
use super::inward::Inward;
use super::once::{Turn, fill, is_event_stream};
use super::owners::Owner;
use super::recall::{self, Keeping};
use super::tally::Tally;
use super::watch::{self, Watch};
use super::work::Work;
use crate::base::Refusal;
use crate::base::fault::FaultKind;
use crate::base::limits::{BUFFER_BYTES, COPIED_BYTES_MAX};
use crate::config::Server;
use crate::dialect::endpoint::Grammar;
use crate::dialect::errors;
use crate::dialect::middle::ProviderError;
use crate::dialect::translate::{self, Translation};
use crate::ledger::usage::Usage;
use crate::wire::chunked::{chunk_tail, write_chunk_head};
use crate::wire::head::{Known, Version};
use crate::wire::response::ResponseBody;
use crate::wire::write::HeadWriter;

mod ending;
mod head;

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

/// How the client's body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outward {
    None,
    Length,
    /// A length that is known when all of the answer is here.
    LengthAtEnd,
    Chunked,
    UntilClose,
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
    let mut passing = begin(shard, server, work, call, &answered);
    passing.out = shard.buffers.lend();
    passing.tells_cost &= tally.entry.dress.is_some();
    head::write(work, call, &answered, &tally.entry, &mut passing);
    if let Some(capture) = &mut tally.entry.capture {
        capture.answer_begins(&shard.active().snapshot().audit, call, &passing.watch, &passing.out);
    }

    answered.buffer.consume(answered.head_len);
    let result = passing.pass(shard, server, client, work, tally, &mut answered).await;
    passing.tell_usage(shard, tally, work.response.status);
    if passing.watch.has_error() {
        tally.cut();
    }
    let relayed = match result {
        result if passing.is_replaced(&result) => {
            if let Err(kind) = result {
                tally.fault(kind);
            }
            let refusal = passing.refusal(result);
            Box::pin(passing.replace(shard, server, client, work, tally, &refusal)).await
        }
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
            Box::pin(passing.end_badly(client, server, work, kind)).await;
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
struct Passing<'c> {
    inward: Inward,
    outward: Outward,
    watch: Watch,
    call: &'c Call,
    translation: Option<&'c Translation>,
    /// The answer is kept when it is complete.
    keeping: Option<(&'c Shard, &'c Keeping)>,
    /// Whose it is what the answer brings.
    owner: Option<(&'c Shard, &'c Owner)>,
    is_stream: bool,
    /// The end of the head waits for the first piece: where that is all of the answer, it says what it cost.
    tells_cost: bool,
    usage: Usage,
    /// What leaves next: the head, framing and data. Lent while something is in it.
    out: Vec<u8>,
    /// Events that are about to leave; lent for as long.
    stage: Vec<u8>,
    /// Something has left for the client.
    has_begun: bool,
    /// All that the answer says of its usage has been told.
    has_told: bool,
}

fn begin<'c>(
    shard: &'c Shard,
    server: &Server,
    work: &Work,
    call: &'c Call,
    answered: &Answered,
) -> Passing<'c> {
    let response = &work.response;
    let head = &answered.buffer.filled()[..answered.head_len];
    let content_type = response.headers.find(Known::ContentType).unwrap_or_default();
    let is_success = (200..300).contains(&response.status);
    let is_stream = is_event_stream(content_type.of(head)) && response.body != ResponseBody::None;
    let watch = Watch::choose(server, call, is_stream, is_success);
    let inward = Inward::of(response.body);
    // Where neither framing nor content tells a cut from the end, the client must not be told that it was the end.
    let tells_its_end = watch.tells_its_end();
    let outward = match (&inward, work.request.version) {
        (Inward::None, _) if call.collection.is_some() => Outward::None,
        _ if watch.is_whole() => Outward::LengthAtEnd,
        (Inward::None, _) => Outward::None,
        (Inward::Length(_), _) if !watch.is_staged() => Outward::Length,
        (Inward::UntilClose, _) if !tells_its_end => Outward::UntilClose,
        (_, Version::V11) => Outward::Chunked,
        (_, Version::V10) => Outward::UntilClose,
    };
    let translation = call.translation.as_deref();
    let keeping = call.recalled.as_ref().and_then(|recalled| Some((shard, recalled.keeping.as_ref()?)));
    let owner = call.owner.as_deref().filter(|_| is_success).map(|owner| (shard, owner));
    let (usage, out, stage) = (Usage::default(), Vec::new(), Vec::new());
    let (has_begun, has_told) = (false, false);
    let tells_cost = is_success && matches!(watch, Watch::Json(..) | Watch::Kept(_) | Watch::Whole(_));
    Passing {
        inward,
        outward,
        watch,
        call,
        translation,
        keeping,
        owner,
        is_stream,
        tells_cost,
        usage,
        out,
        stage,
        has_begun,
        has_told,
    }
}

impl Passing<'_> {
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
        let (mut at_eof, mut silent_ms) = (false, 0);
        loop {
            work.spans.clear();
            let (used, is_end) = self.inward.step(answered.buffer.filled(), at_eof, &mut work.spans)?;
            if self.out.capacity() == 0 {
                self.out = shard.buffers.lend();
            }
            if self.watch.is_staged() {
                self.stage = shard.buffers.lend();
            }
            self.send_piece(shard, server, client, work, tally, answered, is_end).await?;
            if self.replacement().is_some() {
                return Ok(());
            }
            if self.outward != Outward::LengthAtEnd && self.has_begun {
                shard.buffers.give_back(std::mem::take(&mut self.out));
            }
            shard.buffers.give_back(std::mem::take(&mut self.stage));
            answered.buffer.consume(used);
            shard.buffers.take_back(&mut answered.buffer);
            client.take_turn().await;
            tally.passed_on(self.is_stream);
            if is_end {
                return self.judge_end();
            }
            let left_ms = idle_ms.saturating_sub(silent_ms);
            let alive = self.keep_alive(work.grammar, server);
            let wait_ms = if alive.is_empty() { left_ms } else { left_ms.min(server.keep_alive_ms) };
            client.upstream_alarm.set_after(wait_ms);
            let Answered { conn, buffer, .. } = answered;
            match fill(shard, client, conn, buffer, BUFFER_BYTES).await {
                Turn::Bytes(Ok(0)) => at_eof = true,
                Turn::Bytes(Ok(count)) => {
                    tally.upstream_in(count);
                    silent_ms = 0;
                }
                Turn::Bytes(Err(_)) => return Err(FaultKind::ClosedInAnswer),
                Turn::Gone => return Err(FaultKind::ClientGone),
                Turn::Late if wait_ms >= left_ms => return Err(FaultKind::IdleTimeout),
                Turn::Late => {
                    silent_ms += wait_ms;
                    self.send_alive(server, client, alive).await?;
                }
            }
        }
    }

    /// What tells the client of a silent stream that it is alive. Only where events leave whole, so that it never falls
    /// into one.
    fn keep_alive(&self, grammar: Grammar, server: &Server) -> &'static [u8] {
        let is_open = matches!(self.outward, Outward::Chunked | Outward::UntilClose);
        let is_whole = matches!(self.watch, Watch::Events(_) | Watch::Translated(_));
        if !is_open || !is_whole || server.keep_alive_ms == 0 {
            return b"";
        }
        translate::keep_alive(grammar, self.translation.is_some_and(|translation| translation.as_array))
    }

    async fn send_alive(
        &mut self,
        server: &Server,
        client: &mut Client,
        alive: &[u8],
    ) -> Result<(), FaultKind> {
        let is_chunked = self.outward == Outward::Chunked;
        if is_chunked {
            write_chunk_head(alive.len(), &mut self.out);
        }
        let tail = if is_chunked { chunk_tail(alive.len(), false) } else { b"" };
        let mut slices = [IoSlice::new(&self.out), IoSlice::new(alive), IoSlice::new(tail)];
        self.has_begun = true;
        client.send(&mut slices, server.write_timeout_ms).await?;
        self.out.clear();
        Ok(())
    }

    /// Looks at what this turn brought, and tells whoever waits for something in it.
    fn look(
        &mut self,
        shard: &Shard,
        client: &Client,
        work: &mut Work,
        input: &[u8],
        is_end: bool,
    ) -> Result<(), FaultKind> {
        let Work { spans, members, .. } = &mut *work;
        let turn = watch::Turn { input, spans, is_end };
        self.watch.take(&turn, self.translation, members, &mut self.usage, &mut self.stage)?;
        if let Some((shard, owner)) = self.owner {
            owner.take_over(shard, &mut self.watch, is_end, &self.stage);
        }
        let found = self.watch.take_billed();
        if !found.is_empty() {
            billed::write(shard, client, work, self.call, &found);
        }
        if let Some((shard, keeping)) = self.keeping {
            recall::keep(shard, keeping, &mut self.watch, is_end, &self.stage);
        }
        Ok(())
    }

    /// Sends what this turn brought: the head if it has not left, the data in the client's framing, the end if it is
    /// there and good.
    #[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each borrowed on its own")]
    async fn send_piece(
        &mut self,
        shard: &Shard,
        server: &Server,
        client: &mut Client,
        work: &mut Work,
        tally: &mut Tally,
        answered: &Answered,
        is_end: bool,
    ) -> Result<(), FaultKind> {
        let input = answered.buffer.filled();
        let status = work.response.status;
        self.look(shard, client, work, input, is_end)?;
        let spans = &work.spans;
        if self.outward == Outward::LengthAtEnd {
            if !is_end || self.replacement().is_some() {
                return Ok(());
            }
            HeadWriter::continuing(&mut self.out).number(b"content-length", self.stage.len() as u64);
            self.end_head(shard, tally, status, self.judge_end().is_ok());
        }
        let ends_well = is_end && self.judge_end().is_ok();
        let is_staged = self.watch.is_staged();
        let data_len = if is_staged { self.stage.len() } else { spans.iter().map(|span| span.len()).sum() };
        if self.replacement().is_some() || (!ends_well && self.can_wait(data_len, answered)) {
            return Ok(());
        }
        self.has_begun = true;
        if self.tells_cost {
            self.end_head(shard, tally, status, ends_well);
        }
        let out = &mut self.out;
        let is_chunked = self.outward == Outward::Chunked;
        if is_chunked && data_len > 0 {
            write_chunk_head(data_len, out);
        }
        let tail = if is_chunked { chunk_tail(data_len, ends_well) } else { b"" };
        let leaving = out.len() + data_len + tail.len();
        if let Some(capture) = &mut tally.entry.capture {
            let passes = spans.iter().map(|span| span.of(input)).filter(|_| !is_staged);
            passes.chain(is_staged.then_some(&self.stage[..])).for_each(|data| capture.take(shard, data));
        }
        if ends_well || self.watch.is_at_its_end() {
            // Whoever has the last byte can count on the record.
            self.write_down(shard, tally, status, client.bytes_out + leaving as u64);
        }
        let out = &mut self.out;
        if leaving == 0 {
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

    /// Ends the head, and says in it what the answer cost where all of that is here.
    fn end_head(&mut self, shard: &Shard, tally: &mut Tally, status: u16, is_whole: bool) {
        if std::mem::take(&mut self.tells_cost) && is_whole {
            self.tell_usage(shard, tally, status);
            self.has_told = true;
            tally.tell_cost(&mut self.out);
        }
        let mut writer = HeadWriter::continuing(&mut self.out);
        if self.watch.has_surplus() {
            writer.checked_header(b"x-ringway-edited", b"tool_calls.arguments");
        }
        writer.finish();
    }

    /// Whether the head can wait for the first event: until it has left, an answer that breaks off can have a status that
    /// says so.
    fn can_wait(&self, data_len: usize, answered: &Answered) -> bool {
        let is_stream = matches!(self.watch, Watch::Events(_) | Watch::Translated(_));
        is_stream && !self.has_begun && data_len == 0 && !answered.is_silent
    }

    /// Whether the end that the framing shows is a good one.
    fn judge_end(&self) -> Result<(), FaultKind> {
        self.watch.judge_end(matches!(self.inward, Inward::UntilClose))
    }

    /// The error that the client gets instead of an answer of which nothing has left.
    fn replacement(&self) -> Option<&ProviderError> {
        match &self.watch {
            Watch::Whole(whole) => whole.error.as_deref(),
            Watch::Named(named) => named.error.as_deref(),
            Watch::Translated(stream) if !self.has_begun => stream.error.as_deref(),
            _ => None,
        }
    }

    /// Whether nothing has left and the client gets an error instead of the answer.
    fn is_replaced(&self, result: &Result<(), FaultKind>) -> bool {
        let is_ours = matches!(result, Err(FaultKind::ClientGone | FaultKind::ClientStalled));
        let is_held = (self.outward == Outward::LengthAtEnd || !self.has_begun) && result.is_err();
        !is_ours && (is_held || self.replacement().is_some())
    }

    fn refusal(&self, result: Result<(), FaultKind>) -> Refusal {
        match (self.replacement(), result) {
            (Some(error), _) => errors::to_refusal(error),
            (None, Err(kind)) => Refusal::from_fault(kind.fatal()),
            (None, Ok(())) => Refusal::from_fault(FaultKind::Malformed.fatal()),
        }
    }

    /// Sends an error instead of the answer. The upstream's connection is given up: how far its answer was is not known.
    async fn replace(
        &self,
        shard: &Shard,
        server: &Server,
        client: &mut Client,
        work: &mut Work,
        tally: &mut Tally,
        refusal: &Refusal,
    ) -> Relayed {
        tally.refused(refusal.status);
        tally.is_refused(shard, work, refusal);
        match answer::refuse(shard, client, work, refusal, server.write_timeout_ms).await {
            Ok(()) => Relayed::Whole,
            Err(_) => Relayed::Cut,
        }
    }

    /// Whether the upstream's connection can serve again: its answer had an end, and nothing came behind it.
    fn can_keep(&self, work: &Work, answered: &Answered) -> bool {
        let has_end = !matches!(self.inward, Inward::UntilClose);
        has_end && work.response.keep_alive && answered.buffer.is_empty()
    }
}
