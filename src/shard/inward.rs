//! The framing of a provider's body, taken off: places of data in what came, and whether that was the end.

use super::once::of_malformed;
use crate::base::Span;
use crate::base::fault::FaultKind;
use crate::wire::Step;
use crate::wire::chunked::Chunked;
use crate::wire::response::ResponseBody;

/// How the provider's body ends.
pub enum Inward {
    None,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Inward {
    pub fn of(body: ResponseBody) -> Inward {
        match body {
            ResponseBody::None => Inward::None,
            ResponseBody::Length(length) => Inward::Length(length),
            ResponseBody::Chunked => Inward::Chunked(Chunked::default()),
            ResponseBody::UntilClose => Inward::UntilClose,
        }
    }

    /// Takes the framing off: places of data in `input`, how many bytes that used, and whether it was the end.
    pub fn step(
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
