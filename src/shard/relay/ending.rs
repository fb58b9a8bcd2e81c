//! How the passing on of an answer ends: the last words where it was cut, and what is written down of it.

use std::io::IoSlice;

use super::super::Shard;
use super::super::client::Client;
use super::super::tally::Tally;
use super::super::work::Work;
use super::{Outward, Passing};
use crate::base::Refusal;
use crate::base::fault::FaultKind;
use crate::config::Server;
use crate::ledger::record::Outcome;
use crate::wire::chunked::{chunk_tail, write_chunk_head};

impl Passing<'_> {
    /// The last words on an answer that was cut: an error event in a stream; on other bodies nothing, so that the missing
    /// end shows.
    pub(super) async fn end_badly(
        &mut self,
        client: &mut Client,
        server: &Server,
        work: &Work,
        kind: FaultKind,
    ) {
        if matches!(kind, FaultKind::ClientGone | FaultKind::ClientStalled) {
            return;
        }
        // With a length no event of ours has room in the body.
        if self.is_stream && matches!(self.outward, Outward::Chunked | Outward::UntilClose) {
            self.stage.clear();
            let refusal = Refusal::from_fault(kind.fatal());
            self.watch.fail(work.grammar, &refusal, work.request_id.as_bytes(), &mut self.stage);
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

    /// Writes down that the answer has come to its end, or that an error stands where it should have.
    pub(super) fn write_down(&mut self, shard: &Shard, tally: &mut Tally, status: u16, bytes_out: u64) {
        if !tally.entry.is_open() {
            return;
        }
        self.tell_usage(shard, tally, status);
        let (outcome, error) = match self.watch.has_error() {
            true => (Outcome::Cut, "error_in_stream"),
            false => (Outcome::Whole, ""),
        };
        tally.ends(shard, bytes_out, outcome, error);
    }

    pub(super) fn tell_usage(&mut self, shard: &Shard, tally: &mut Tally, status: u16) {
        if self.has_told {
            return;
        }
        self.watch.state_usage(&mut self.usage);
        let is_read = self.watch.reads_usage();
        let is_expected = is_read && (200..300).contains(&status);
        tally.usage(self.usage, is_expected);
        tally.answered_by(shard, &self.watch.answered_model());
        tally.seen(self.watch.events_seen(), self.watch.tokens_said(), self.watch.has_surplus());
    }
}
