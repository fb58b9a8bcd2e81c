//! How an answer goes out: well, or as badly as the request asks.

use std::io;
use std::time::Duration;

use super::answer::{Answer, Body};
use super::behaviour::{Behaviour, Stall};
use super::connection::Link;
use crate::base::limits::BUFFER_BYTES;
use crate::wire::chunked::{LAST_CHUNK, write_chunk_head};
use crate::wire::write::HeadWriter;

impl Link<'_> {
    /// Brings an answer; false when the connection must not be used again.
    pub(super) async fn bring(&mut self, answer: Answer, behaviour: &Behaviour) -> io::Result<bool> {
        sleep(behaviour.delay_ms).await;
        if behaviour.stall == Some(Stall::Head) {
            return self.stall().await;
        }
        if behaviour.garbage {
            self.send(&[b"\x16\x03garbage \xFF\x00 this is no HTTP\n\n\r\r"]).await?;
            return Ok(false);
        }
        match answer.body {
            Body::Whole(_) => self.whole(answer, false, behaviour).await,
            Body::Stream(_) => self.stream(answer, behaviour).await,
        }
    }

    /// An answer with a length, or the part of it that the behaviour allows.
    pub(super) async fn whole(
        &mut self,
        answer: Answer,
        is_head: bool,
        behaviour: &Behaviour,
    ) -> io::Result<bool> {
        let Body::Whole(body) = &answer.body else { return Ok(false) };
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let mut head = head_of(&answer, &mut out);
        if let Some(seconds) = &behaviour.retry_after {
            head.checked_header(b"retry-after", seconds.as_bytes());
        }
        head.number(b"content-length", body.len() as u64);
        head.finish();
        let body = if is_head { &[][..] } else { body };
        let part = behaviour.cut_after.or(behaviour.reset_after).unwrap_or(body.len()).min(body.len());
        let result = match (behaviour.drip_ms, behaviour.stall) {
            (Some(ms), _) => self.drip(&[&out[..], &body[..part]].concat(), ms).await,
            (None, Some(_)) => self.send(&[&out]).await,
            (None, None) => self.send(&[&out, &body[..part]]).await,
        };
        self.out = out;
        result?;
        self.end(behaviour, part == body.len()).await
    }

    /// A chunked stream of events, at the pace that was asked for.
    async fn stream(&mut self, answer: Answer, behaviour: &Behaviour) -> io::Result<bool> {
        let Body::Stream(events) = &answer.body else { return Ok(false) };
        let mut out = Vec::with_capacity(1024);
        let mut head = head_of(&answer, &mut out);
        head.checked_header(b"transfer-encoding", b"chunked");
        head.finish();
        let limit = behaviour.cut_after.or(behaviour.reset_after).unwrap_or(events.len()).min(events.len());
        let is_paced = behaviour.pace_ms > 0 || behaviour.drip_ms.is_some();
        for event in &events[..limit] {
            write_chunk(event, &mut out);
            if is_paced || out.len() >= BUFFER_BYTES {
                match behaviour.drip_ms {
                    Some(ms) => self.drip(&out, ms).await?,
                    None => self.send(&[&out]).await?,
                }
                out.clear();
                sleep(behaviour.pace_ms).await;
            }
            if behaviour.stall == Some(Stall::Body) {
                self.send(&[&out]).await?;
                return self.stall().await;
            }
        }
        let is_whole = limit == events.len();
        match events.get(limit) {
            None => out.extend_from_slice(LAST_CHUNK),
            Some(event) if behaviour.half && event.len() > 1 => {
                write_chunk(&event[..event.len() / 2], &mut out)
            }
            Some(_) => {}
        }
        self.send(&[&out]).await?;
        self.end(behaviour, is_whole).await
    }

    /// What happens behind the last byte that was sent.
    async fn end(&mut self, behaviour: &Behaviour, is_whole: bool) -> io::Result<bool> {
        if behaviour.stall.is_some() {
            return self.stall().await;
        }
        if behaviour.reset_after.is_some() && !is_whole {
            self.conn.reset_on_close();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(is_whole)
    }

    /// Sends nothing more until the peer closes. A future that waits for nothing would be dropped, and the connection with
    /// it.
    async fn stall(&mut self) -> io::Result<bool> {
        while self.fill().await? {
            self.input.clear();
        }
        Ok(false)
    }

    async fn drip(&mut self, bytes: &[u8], ms: u64) -> io::Result<()> {
        for byte in bytes.chunks(1) {
            self.send(&[byte]).await?;
            sleep(ms).await;
        }
        Ok(())
    }
}

/// The head of an answer, but for what depends on its framing.
fn head_of<'o>(answer: &Answer, out: &'o mut Vec<u8>) -> HeadWriter<'o> {
    let mut head = HeadWriter::response(out, answer.status);
    head.checked_header(b"content-type", answer.media.as_bytes());
    answer.headers.iter().for_each(|(name, value)| head.checked_header(name.as_bytes(), value.as_bytes()));
    if let Some(kind) = answer.error_type {
        head.checked_header(b"x-amzn-errortype", kind.as_bytes());
    }
    head
}

fn write_chunk(bytes: &[u8], out: &mut Vec<u8>) {
    write_chunk_head(bytes.len(), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

async fn sleep(ms: u64) {
    if ms > 0 {
        crate::net::driver::sleep(Duration::from_millis(ms)).await;
    }
}
