//! An error that a client sees: status, type, code and sentence, before any dialect has put it into its own envelope.

use std::borrow::Cow;

use super::fault::{Fault, FaultKind};

/// What a client is told when it gets no answer. The dialect of the caller writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub kind: RefusalKind,
    /// Machine-readable, snake case, stable.
    pub code: &'static str,
    pub message: Cow<'static, str>,
    /// The provider's own code, which the client sees instead of ours.
    pub provider_code: Option<Box<str>>,
    /// The field of the request that is at fault, where one is.
    pub param: Option<String>,
    /// Seconds after which asking again makes sense.
    pub retry_after_s: Option<u32>,
    /// The gateway has tried more than once; a client's own retries would multiply.
    pub was_retried: bool,
    /// Headers of a provider's answer that pass although its body does not: lines, each ended by CRLF.
    pub header_lines: Vec<u8>,
}

/// The class of a refusal, in the words that OpenAI's error objects use for `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    InvalidRequest,
    Authentication,
    NotFound,
    RateLimit,
    Upstream,
    Server,
}

impl RefusalKind {
    pub fn name(self) -> &'static str {
        match self {
            RefusalKind::InvalidRequest => "invalid_request_error",
            RefusalKind::Authentication => "authentication_error",
            RefusalKind::NotFound => "not_found_error",
            RefusalKind::RateLimit => "rate_limit_error",
            RefusalKind::Upstream => "upstream_error",
            RefusalKind::Server => "server_error",
        }
    }
}

impl Refusal {
    /// A refusal without param, waiting time or retries.
    pub fn new(
        status: u16,
        kind: RefusalKind,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Refusal {
        Refusal {
            status,
            kind,
            code,
            message: message.into(),
            provider_code: None,
            param: None,
            retry_after_s: None,
            was_retried: false,
            header_lines: Vec::new(),
        }
    }

    /// The client's request is wrong: 400.
    pub fn invalid(code: &'static str, message: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(400, RefusalKind::InvalidRequest, code, message)
    }

    /// The upstream failed and nothing has been sent yet.
    pub fn from_fault(fault: Fault) -> Refusal {
        let kind = match fault.kind {
            FaultKind::ClientStalled | FaultKind::ClientBody => RefusalKind::InvalidRequest,
            _ => RefusalKind::Upstream,
        };
        Refusal::new(fault.kind.status(), kind, fault.kind.code(), fault.kind.sentence())
    }

    /// The same refusal, blaming a field.
    pub fn about(mut self, param: impl Into<String>) -> Refusal {
        self.param = Some(param.into());
        self
    }
}
