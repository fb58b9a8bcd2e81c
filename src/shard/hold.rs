//! What is held of an answer before any of it leaves, so that what breaks off can be tried again: the whole of a small one, the
//! first byte of a stream.

use super::attempt::Answered;
use super::once::{Failed, One, Turn, fill, is_event_stream, of_malformed};
use crate::base::fault::FaultKind;
use crate::base::limits::{ANSWER_HELD_BYTES_MAX, BUFFER_BYTES, STREAM_HELD_MS_MAX};
use crate::wire::Step;
use crate::wire::chunked::Chunked;
use crate::wire::head::Known;
use crate::wire::response::ResponseBody;

impl One<'_> {
    /// Waits for the rest of an answer that is small and no stream: a cut in it can then still be told, or tried again.
    pub async fn hold_small(&mut self, answered: &mut Answered) -> Result<(), Failed> {
        let response = &self.work.response;
        let (head_len, framing) = (answered.head_len, response.body);
        let content_type = response.headers.find(Known::ContentType).unwrap_or_default();
        let is_stream = is_event_stream(content_type.of(&answered.buffer.filled()[..head_len]));
        if is_stream {
            return self.hold_silent(answered).await;
        }
        if matches!(framing, ResponseBody::Length(l) if l > ANSWER_HELD_BYTES_MAX as u64) {
            return Ok(());
        }
        let (mut decoder, mut looked_at) = (Chunked::default(), head_len);
        let idle_ms = answered.upstream.provider.limits.idle_timeout_ms;
        loop {
            answered.whole_len = match framing {
                ResponseBody::None => Some(head_len),
                ResponseBody::Length(length) => Some(head_len + length as usize),
                ResponseBody::UntilClose => None,
                ResponseBody::Chunked => {
                    self.work.spans.clear();
                    match decoder.step(&answered.buffer.filled()[looked_at..], &mut self.work.spans) {
                        Step::Done { used } => Some(looked_at + used),
                        Step::Bad(bad) => return Err(of_malformed(bad).retryable().into()),
                        Step::More => None,
                    }
                }
            };
            looked_at = answered.buffer.len();
            if answered.whole_len.is_some_and(|length| looked_at >= length) {
                return Ok(());
            }
            let missing = answered.whole_len.take().map_or(BUFFER_BYTES, |length| length - looked_at);
            if looked_at - head_len >= ANSWER_HELD_BYTES_MAX {
                return Ok(());
            }
            self.client.upstream_alarm.set_after(idle_ms);
            // A byte more than is missing would spoil the connection, and shows only when there is room for it.
            let room = (missing + 1).min(BUFFER_BYTES);
            match fill(self.shard, self.client, &mut answered.conn, &mut answered.buffer, room).await {
                Turn::Bytes(Ok(count)) if count > 0 => {
                    self.tally.upstream_in(count);
                    self.tally.has_more_of_answer();
                }
                // Without a length the end is the end; the relay judges whether it is a good one.
                Turn::Bytes(Ok(_)) if framing == ResponseBody::UntilClose => return Ok(()),
                Turn::Bytes(_) => return Err(FaultKind::ClosedInAnswer.retryable().into()),
                Turn::Gone => return Err(Failed::Gone),
                Turn::Late => return Err(FaultKind::IdleTimeout.fatal().into()),
            }
        }
    }

    /// Waits for the first byte of a stream: when it is cut before, it can be tried again. A provider that is silent for
    /// longer than callers may be left without a sign is not waited for.
    async fn hold_silent(&mut self, answered: &mut Answered) -> Result<(), Failed> {
        let (status, framing) = (self.work.response.status, self.work.response.body);
        if status == 204 || !(200..300).contains(&status) {
            return Ok(());
        }
        let idle_ms = answered.upstream.provider.limits.idle_timeout_ms;
        let wait_ms = STREAM_HELD_MS_MAX.min(idle_ms);
        self.client.upstream_alarm.set_after(wait_ms);
        loop {
            let body = &answered.buffer.filled()[answered.head_len..];
            let is_over = match framing {
                ResponseBody::None => true,
                ResponseBody::Chunked => body.starts_with(b"0\r\n"),
                ResponseBody::Length(_) | ResponseBody::UntilClose => false,
            };
            if is_over {
                return Err(FaultKind::ClosedInAnswer.retryable().into());
            }
            // The first three bytes of a chunked body may be its end.
            if body.len() >= if framing == ResponseBody::Chunked { 3 } else { 1 } {
                return Ok(());
            }
            match fill(self.shard, self.client, &mut answered.conn, &mut answered.buffer, BUFFER_BYTES).await
            {
                Turn::Bytes(Ok(count)) if count > 0 => {
                    self.tally.upstream_in(count);
                    self.tally.has_more_of_answer();
                }
                Turn::Bytes(_) => return Err(FaultKind::ClosedInAnswer.retryable().into()),
                Turn::Gone => return Err(Failed::Gone),
                Turn::Late if wait_ms == idle_ms => return Err(FaultKind::IdleTimeout.fatal().into()),
                Turn::Late => {
                    answered.is_silent = true;
                    return Ok(());
                }
            }
        }
    }
}
