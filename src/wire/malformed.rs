//! What is wrong with HTTP bytes that came from outside: one word per rule, with its status, code and sentence.
//! Sources: RFC 9112, RFC 9110; where those leave a choice, the stricter one is taken.

/// A rule that the input broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    HeadTooLarge,
    LineTooLong,
    TooManyHeaders,
    BareLineFeed,
    BareCarriageReturn,
    RequestLine,
    StatusLine,
    Method,
    Version,
    Target,
    TargetHost,
    HeaderName,
    HeaderValue,
    ConnectionTooLong,
    Host,
    HostMissing,
    HostTwice,
    ContentLength,
    ContentLengthTwice,
    TransferEncoding,
    LengthAndEncoding,
    Expectation,
    ChunkSize,
    ChunkExtension,
    ChunkEnd,
    Trailer,
    Path,
}

impl Malformed {
    pub const ALL: [Malformed; 26] = [
        Malformed::HeadTooLarge,
        Malformed::LineTooLong,
        Malformed::TooManyHeaders,
        Malformed::BareLineFeed,
        Malformed::BareCarriageReturn,
        Malformed::RequestLine,
        Malformed::StatusLine,
        Malformed::Method,
        Malformed::Version,
        Malformed::Target,
        Malformed::TargetHost,
        Malformed::HeaderName,
        Malformed::HeaderValue,
        Malformed::Host,
        Malformed::HostMissing,
        Malformed::HostTwice,
        Malformed::ContentLength,
        Malformed::ContentLengthTwice,
        Malformed::TransferEncoding,
        Malformed::LengthAndEncoding,
        Malformed::Expectation,
        Malformed::ChunkSize,
        Malformed::ChunkExtension,
        Malformed::ChunkEnd,
        Malformed::Trailer,
        Malformed::Path,
    ];

    /// The status that a client gets; the connection is closed after it.
    pub fn status(self) -> u16 {
        match self {
            Malformed::HeadTooLarge
            | Malformed::LineTooLong
            | Malformed::TooManyHeaders
            | Malformed::ConnectionTooLong => 431,
            Malformed::Method => 405,
            Malformed::Version => 505,
            Malformed::Expectation => 417,
            _ => 400,
        }
    }

    /// The code in the error object.
    pub fn code(self) -> &'static str {
        self.words().0
    }

    /// What the client is told.
    pub fn sentence(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Malformed::HeadTooLarge => ("head_too_large", "The request's head is larger than 32 KiB."),
            Malformed::LineTooLong => {
                ("head_line_too_long", "A line of the request's head is longer than 8 KiB.")
            }
            Malformed::TooManyHeaders => ("too_many_headers", "The request has more than 100 headers."),
            Malformed::BareLineFeed => ("bare_line_feed", "A line ends in LF without CR."),
            Malformed::BareCarriageReturn => ("bare_carriage_return", "A CR stands without its LF."),
            Malformed::RequestLine => {
                ("bad_request_line", "The request line is not `METHOD target HTTP/1.1`.")
            }
            Malformed::StatusLine => ("bad_status_line", "The status line is not valid."),
            Malformed::Method => ("method_not_allowed", "This method is not served here."),
            Malformed::Version => ("bad_version", "Only HTTP/1.0 and HTTP/1.1 are spoken here."),
            Malformed::Target => ("bad_target", "The request target holds bytes that a target may not hold."),
            Malformed::TargetHost => {
                ("bad_target_host", "The authority in the target is not that of the Host header.")
            }
            Malformed::HeaderName => {
                ("bad_header_name", "A header's name is not a token followed by a colon.")
            }
            Malformed::HeaderValue => ("bad_header_value", "A header's value holds a control character."),
            Malformed::ConnectionTooLong => {
                ("connection_too_long", "The Connection headers are longer than 512 bytes.")
            }
            Malformed::Host => ("bad_host", "The Host header is not a host with an optional port."),
            Malformed::HostMissing => ("host_missing", "The Host header is missing."),
            Malformed::HostTwice => ("host_twice", "There is more than one Host header."),
            Malformed::ContentLength => {
                ("bad_content_length", "Content-Length is not a plain decimal number below 2^53.")
            }
            Malformed::ContentLengthTwice => {
                ("content_length_twice", "There is more than one Content-Length.")
            }
            Malformed::TransferEncoding => {
                ("bad_transfer_encoding", "Transfer-Encoding is not exactly `chunked`.")
            }
            Malformed::LengthAndEncoding => {
                ("length_and_encoding", "Content-Length and Transfer-Encoding exclude each other.")
            }
            Malformed::Expectation => {
                ("bad_expectation", "The only expectation that can be met is 100-continue.")
            }
            Malformed::ChunkSize => {
                ("bad_chunk_size", "A chunk size is not a hexadecimal number of at most 16 digits.")
            }
            Malformed::ChunkExtension => {
                ("bad_chunk_extension", "A chunk extension is too long or not valid.")
            }
            Malformed::ChunkEnd => ("bad_chunk_end", "A chunk does not end where its size says."),
            Malformed::Trailer => ("bad_trailer", "The trailers are too long or not valid."),
            Malformed::Path => {
                ("bad_path", "The path holds dot segments, empty segments or escapes that hide a separator.")
            }
        }
    }
}
