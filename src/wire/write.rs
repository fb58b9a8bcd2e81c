//! The one place that writes heads. Nothing that could end a line early gets through here.

use super::Malformed;
use super::head::{Field, Version, is_control};
use crate::base::decimal;

/// Writes a head into a buffer: first line, headers, [`HeadWriter::finish`].
pub struct HeadWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> HeadWriter<'a> {
    /// A request's first line. The target comes in pieces that are joined; they were checked when they were read.
    pub fn request(out: &'a mut Vec<u8>, method: &str, target: &[&[u8]]) -> HeadWriter<'a> {
        out.extend_from_slice(method.as_bytes());
        out.push(b' ');
        target.iter().for_each(|piece| out.extend_from_slice(piece));
        out.extend_from_slice(b" HTTP/1.1\r\n");
        HeadWriter { out }
    }

    /// A response's first line, with the standard reason.
    pub fn response(out: &'a mut Vec<u8>, status: u16) -> HeadWriter<'a> {
        if status == 200 {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
            return HeadWriter { out };
        }
        out.extend_from_slice(b"HTTP/1.1 ");
        let digits = [status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
        out.extend_from_slice(&digits);
        out.push(b' ');
        out.extend_from_slice(reason(status).as_bytes());
        out.extend_from_slice(b"\r\n");
        HeadWriter { out }
    }

    /// Header lines only, to be sent inside some head later.
    pub fn continuing(out: &'a mut Vec<u8>) -> HeadWriter<'a> {
        HeadWriter { out }
    }

    /// One header. Refuses a name that is no token and a value with a control character.
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        if name.is_empty() || !name.iter().all(|&b| is_token_byte(b)) {
            return Err(Malformed::HeaderName);
        }
        if value.iter().any(|&b| is_control(b) && b != b'\t') {
            return Err(Malformed::HeaderValue);
        }
        self.checked_header(name, value);
        Ok(())
    }

    /// One header whose name and value were checked before: when they were parsed, or because we wrote them.
    pub fn checked_header(&mut self, name: &[u8], value: &[u8]) {
        debug_assert!(!value.iter().any(|&b| b == b'\r' || b == b'\n'), "a checked value ends no line");
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
    }

    /// One header as it stands in a head that was read. Nearly all are written as we would write them, and are one copy then.
    #[inline]
    pub fn header_of(&mut self, head: &[u8], field: &Field) {
        let (name, value) = (field.name, field.value);
        let is_usual = value.start == name.end + 2;
        let line = head.get(name.start as usize..value.end as usize + 2).filter(|_| is_usual);
        match line.filter(|line| line[name.len()..].starts_with(b": ") && line.ends_with(b"\r\n")) {
            Some(line) => self.out.extend_from_slice(line),
            None => self.checked_header(name.of(head), value.of(head)),
        }
    }

    /// Header lines that were made and checked when the settings were compiled.
    pub fn ready_lines(&mut self, lines: &[u8]) {
        self.out.extend_from_slice(lines);
    }

    /// Header lines of somebody who knows how they are spelled, each ended by CRLF.
    pub fn lines_of(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.out);
    }

    /// A header with a decimal number. A length of the name that is known when this is compiled makes its copy short.
    #[inline]
    pub fn number<const N: usize>(&mut self, name: &[u8; N], value: u64) {
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b": ");
        decimal::append(value, self.out);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Says what becomes of the connection, where the version does not already (RFC 9112 §9.3).
    pub fn connection(&mut self, version: Version, keeps_alive: bool) {
        match (version, keeps_alive) {
            (Version::V11, true) => {}
            (Version::V10, true) => self.checked_header(b"connection", b"keep-alive"),
            (_, false) => self.checked_header(b"connection", b"close"),
        }
    }

    /// The blank line.
    pub fn finish(self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Appends a number in decimal digits.
pub fn write_decimal(value: u64, out: &mut Vec<u8>) {
    decimal::append(value, out);
}

/// A byte of a token (RFC 9110 §5.6.2).
#[inline]
pub fn is_token_byte(byte: u8) -> bool {
    IS_TOKEN_BYTE[usize::from(byte)]
}

const IS_TOKEN_BYTE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21_u8;
    while byte < 0x7F {
        table[byte as usize] = !matches!(
            byte,
            b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'['..=b']' | b'{' | b'}'
        );
        byte += 1;
    }
    table
};

/// The reason phrases of the statuses in use (RFC 9110 §15; 529 is Anthropic's and others' "overloaded").
fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        424 => "Failed Dependency",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        529 => "Overloaded",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_line_by_line() {
        let mut out = Vec::new();
        let mut head = HeadWriter::response(&mut out, 429);
        head.header(b"retry-after", b"2").unwrap();
        head.number(b"content-length", 0);
        head.number(b"x-large", u64::MAX);
        head.finish();
        HeadWriter::response(&mut out, 200).finish();
        let want = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\ncontent-length: 0\r\n\
                    x-large: 18446744073709551615\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn a_header_that_was_read_is_written_like_one_of_its_parts_however_it_stood() {
        for (line, want) in [
            ("name: value", "name: value"),
            ("name:value", "name: value"),
            ("name:  value", "name: value"),
            ("name: value \t", "name: value"),
            ("name:\tvalue", "name: value"),
            ("Name: a: b ", "Name: a: b"),
            ("name:", "name: "),
            ("name: ", "name: "),
        ] {
            for rest in ["\r\n\r\n", "\r\nother: x\r\n\r\n"] {
                let text = format!("GET / HTTP/1.1\r\nhost: x\r\n{line}{rest}");
                let mut request = crate::wire::request::RequestHead::default();
                crate::wire::request::read_request(text.as_bytes(), &mut request).expect("a good head");
                let mut out = Vec::new();
                HeadWriter::continuing(&mut out).header_of(text.as_bytes(), &request.headers.fields[1]);
                assert_eq!(String::from_utf8(out).unwrap(), format!("{want}\r\n"), "{line:?}");
            }
        }
    }

    #[test]
    fn a_token_holds_the_bytes_of_rfc_9110() {
        for byte in 0..=u8::MAX {
            let want = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token_byte(byte), want, "{byte}");
        }
    }

    #[test]
    fn nothing_that_ends_a_line_gets_into_a_header() {
        let mut out = Vec::new();
        let mut head = HeadWriter::request(&mut out, "GET", &[b"/"]);
        for value in [&b"a\rb"[..], b"a\nb", b"a\0b", b"\x7F"] {
            assert_eq!(head.header(b"x", value), Err(Malformed::HeaderValue));
        }
        for name in [&b""[..], b"a b", b"a:", b"\xC3\xA4", b"a\r\nb"] {
            assert_eq!(head.header(name, b"v"), Err(Malformed::HeaderName));
        }
        head.finish();
        assert_eq!(out, b"GET / HTTP/1.1\r\n\r\n");
    }
}
