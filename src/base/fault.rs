//! What went wrong with an upstream, and what may follow. One word per cause, each with its own code for clients,
//! logs and metrics; the client's sentence is written here and nowhere else.

/// A cause. The order is that of the counters in `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FaultKind {
    NoToken,
    Dns,
    ConnectRefused,
    ConnectTimeout,
    Proxy,
    TlsHandshake,
    TlsCertificate,
    TlsTimeout,
    SendFailed,
    SendTimeout,
    FirstByteTimeout,
    IdleTimeout,
    ClosedBeforeAnswer,
    ClosedInAnswer,
    Malformed,
    HeadTooLarge,
    EventTooLarge,
    ContentEncoded,
    ClientGone,
    ClientStalled,
    ClientBody,
}

/// A fault of one attempt: its cause, and whether the provider can have seen the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    pub retry: RetryRule,
}

/// Whether another attempt is allowed after a fault, as long as no byte has reached the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryRule {
    /// The request can be sent again.
    Allowed,
    /// A pooled connection was closed under us before anything was answered: send again at once, free of budget.
    StaleConnection,
    /// Another attempt cannot help or could do harm.
    Never,
}

impl FaultKind {
    pub const ALL: [FaultKind; 21] = [
        FaultKind::NoToken,
        FaultKind::Dns,
        FaultKind::ConnectRefused,
        FaultKind::ConnectTimeout,
        FaultKind::Proxy,
        FaultKind::TlsHandshake,
        FaultKind::TlsCertificate,
        FaultKind::TlsTimeout,
        FaultKind::SendFailed,
        FaultKind::SendTimeout,
        FaultKind::FirstByteTimeout,
        FaultKind::IdleTimeout,
        FaultKind::ClosedBeforeAnswer,
        FaultKind::ClosedInAnswer,
        FaultKind::Malformed,
        FaultKind::HeadTooLarge,
        FaultKind::EventTooLarge,
        FaultKind::ContentEncoded,
        FaultKind::ClientGone,
        FaultKind::ClientStalled,
        FaultKind::ClientBody,
    ];

    /// The code in the error object and in the label `kind` of `ringway_upstream_faults_total`.
    pub fn code(self) -> &'static str {
        match self {
            FaultKind::NoToken => "upstream_token_missing",
            FaultKind::Dns => "upstream_dns_error",
            FaultKind::ConnectRefused => "upstream_connect_error",
            FaultKind::ConnectTimeout => "upstream_connect_timeout",
            FaultKind::Proxy => "upstream_proxy_error",
            FaultKind::TlsHandshake => "upstream_tls_error",
            FaultKind::TlsCertificate => "upstream_certificate_error",
            FaultKind::TlsTimeout => "upstream_tls_timeout",
            FaultKind::SendFailed => "upstream_send_error",
            FaultKind::SendTimeout => "upstream_send_timeout",
            FaultKind::FirstByteTimeout => "upstream_first_byte_timeout",
            FaultKind::IdleTimeout => "upstream_idle_timeout",
            FaultKind::ClosedBeforeAnswer => "upstream_closed",
            FaultKind::ClosedInAnswer => "upstream_cut",
            FaultKind::Malformed => "upstream_malformed",
            FaultKind::HeadTooLarge => "upstream_head_too_large",
            FaultKind::EventTooLarge => "upstream_event_too_large",
            FaultKind::ContentEncoded => "upstream_encoded",
            FaultKind::ClientGone => "client_gone",
            FaultKind::ClientStalled => "client_stalled",
            FaultKind::ClientBody => "client_body_cut",
        }
    }

    /// The HTTP status that a client gets when no byte of an answer has been sent yet.
    pub fn status(self) -> u16 {
        match self {
            FaultKind::ConnectTimeout
            | FaultKind::TlsTimeout
            | FaultKind::SendTimeout
            | FaultKind::FirstByteTimeout
            | FaultKind::IdleTimeout => 504,
            FaultKind::ClientStalled | FaultKind::ClientBody => 408,
            FaultKind::NoToken => 503,
            _ => 502,
        }
    }

    /// What the client is told.
    pub fn sentence(self) -> &'static str {
        match self {
            FaultKind::NoToken => "The gateway has no valid access token for the provider.",
            FaultKind::Dns => "The provider's host name could not be resolved.",
            FaultKind::ConnectRefused => "The provider could not be reached.",
            FaultKind::ConnectTimeout => "Connecting to the provider took too long.",
            FaultKind::Proxy => "The proxy on the way to the provider refused the connection.",
            FaultKind::TlsHandshake => "The TLS handshake with the provider failed.",
            FaultKind::TlsCertificate => "The provider's TLS certificate is not trusted.",
            FaultKind::TlsTimeout => "The TLS handshake with the provider took too long.",
            FaultKind::SendFailed => "The provider closed the connection while the request was being sent.",
            FaultKind::SendTimeout => "The provider stopped taking the request.",
            FaultKind::FirstByteTimeout => "The provider did not begin to answer in time.",
            FaultKind::IdleTimeout => "The provider stopped sending in the middle of its answer.",
            FaultKind::ClosedBeforeAnswer => "The provider closed the connection without an answer.",
            FaultKind::ClosedInAnswer => "The provider's answer was cut off before its end.",
            FaultKind::Malformed => "The provider's answer is not valid HTTP.",
            FaultKind::HeadTooLarge => "The head of the provider's answer is too large.",
            FaultKind::EventTooLarge => "An event in the provider's stream is too large.",
            FaultKind::ContentEncoded => "The provider compressed its answer although it was asked not to.",
            FaultKind::ClientGone => "The client closed the connection.",
            FaultKind::ClientStalled => "The client stopped reading.",
            FaultKind::ClientBody => "The request body ended early or came too slowly.",
        }
    }

    /// Whether the fault came before any byte of the request could leave.
    pub fn is_before_sending(self) -> bool {
        matches!(
            self,
            FaultKind::NoToken
                | FaultKind::Dns
                | FaultKind::ConnectRefused
                | FaultKind::ConnectTimeout
                | FaultKind::Proxy
                | FaultKind::TlsHandshake
                | FaultKind::TlsCertificate
                | FaultKind::TlsTimeout
        )
    }

    /// A fault of this kind after which the request may be sent again.
    pub fn retryable(self) -> Fault {
        Fault { kind: self, retry: RetryRule::Allowed }
    }

    /// A fault of this kind that ends the exchange.
    pub fn fatal(self) -> Fault {
        Fault { kind: self, retry: RetryRule::Never }
    }
}
