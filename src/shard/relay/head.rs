//! The head of an answer that is passed on: the provider's, but for what is of its hop, with what is ours.

use super::super::answer;
use super::super::attempt::Answered;
use super::super::call::Call;
use super::super::entry::Entry;
use super::super::headers::{self, pass_header};
use super::super::watch::Watch;
use super::super::work::Work;
use super::{Outward, Passing};
use crate::ledger;
use crate::wire::head::Known;
use crate::wire::request::Method;
use crate::wire::response::ResponseBody;
use crate::wire::write::HeadWriter;

/// Writes our head of the provider's answer: its headers but for those of its hop, and ours.
pub fn write(work: &Work, call: &Call, answered: &Answered, entry: &Entry, passing: &mut Passing<'_>) {
    let (outward, out) = (passing.outward, &mut passing.out);
    let is_translated = matches!(passing.watch, Watch::Translated(_) | Watch::Whole(_));
    let (response, request) = (&work.response, &work.request);
    let head = &answered.buffer.filled()[..answered.head_len];
    let mut writer = HeadWriter::response(out, response.status);
    let has_tried = answered.attempts > 1 && response.status >= 400;
    // The provider's limits are not the caller's where the caller has its own.
    let (has_rates, has_costs) = (entry.rates.are_told(), entry.dress.is_some());
    let is_replaced = |name: &[u8]| {
        let may_be = name.first().is_some_and(|&first| first | 0x20 == b'x');
        may_be && (has_rates && headers::is_of_rates(name) || has_costs && ledger::headers::is_one(name))
    };
    let is_ours = |known: Known| match known {
        Known::XShouldRetry => has_tried,
        Known::ContentType => is_translated,
        _ => false,
    };
    for field in &response.headers.fields {
        // The length that an answer to HEAD, or one of "not modified", would have had.
        let is_told_length =
            field.known == Known::ContentLength && outward == Outward::None && response.status != 204;
        if is_told_length {
            writer.checked_header(field.name.of(head), field.value.of(head));
        } else if !is_ours(field.known) && !is_replaced(field.name.of(head)) {
            pass_header(&mut writer, work, head, field);
        }
    }
    answer::write_id(&mut writer, is_translated.then_some(work.grammar), work.request_id.as_bytes(), b"");
    if has_tried {
        writer.checked_header(b"x-should-retry", b"false");
    }
    writer.lines_of(|out| entry.rates.write_lines(out));
    if call.is_instead {
        let asked = format!("{}/{}", call.target.upstream.provider.name, call.target.model);
        // A name that no header can hold is not told.
        let _ = writer.header(b"x-ringway-instead", asked.as_bytes());
    }
    if is_translated {
        let is_json =
            outward == Outward::LengthAtEnd || call.translation.as_ref().is_some_and(|t| t.as_array);
        writer.checked_header(
            b"content-type",
            if is_json { b"application/json" } else { b"text/event-stream" },
        );
    }
    for (name, fields) in [("x-ringway-edited", &call.edited), ("x-ringway-dropped", &call.dropped)] {
        if !fields.is_empty() {
            writer.checked_header(name.as_bytes(), fields.join(", ").as_bytes());
        }
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
    if outward != Outward::LengthAtEnd && !passing.tells_cost {
        writer.finish();
    }
}
