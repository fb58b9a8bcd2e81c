//! Paths and queries of clients: what may be forwarded, and single parameters. Nothing is normalised; what could be
//! read in two ways is refused.

use std::borrow::Cow;

use super::Malformed;

/// Checks a path that goes on to an upstream under a fixed prefix. It is decoded once for the check and forwarded as it
/// came: refused are dot segments, empty segments, backslashes, and escapes of `/`, `\`, controls or of nothing.
pub fn check_forwardable(path: &[u8]) -> Result<(), Malformed> {
    let mut rest = path;
    let mut segment = Vec::new();
    loop {
        let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        let is_last = end == rest.len();
        decode_segment(&rest[..end], &mut segment)?;
        // An empty segment is one slash too many, but for the start and the end of the path.
        let is_edge = rest.len() == path.len() || is_last;
        // Some servers take what follows a semicolon for a parameter of the segment.
        let name = segment.split(|&b| b == b';').next().unwrap_or_default();
        if name == b"." || name == b".." || (segment.is_empty() && !is_edge) {
            return Err(Malformed::Path);
        }
        if is_last {
            return Ok(());
        }
        rest = &rest[end + 1..];
    }
}

fn decode_segment(segment: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.clear();
    let mut at = 0;
    while at < segment.len() {
        let (byte, width) = match segment[at] {
            b'%' => (escape(&segment[at..]).ok_or(Malformed::Path)?, 3),
            byte => (byte, 1),
        };
        if byte < 0x20 || byte == 0x7F || byte == b'\\' || (width == 3 && (byte == b'/' || byte == b'%')) {
            return Err(Malformed::Path);
        }
        out.push(byte);
        at += width;
    }
    Ok(())
}

/// The value of a query parameter, decoded; the first one of that name.
pub fn query_value<'q>(query: &'q [u8], name: &str) -> Option<Cow<'q, [u8]>> {
    let mut pairs = query.split(|&b| b == b'&');
    pairs.find_map(|pair| {
        let (key, value) = split_pair(pair);
        (key == name.as_bytes()).then(|| percent_decoded(value))
    })
}

/// Appends the query without the parameters of that name, byte for byte.
pub fn query_without(query: &[u8], name: &str, out: &mut Vec<u8>) {
    let kept = query.split(|&b| b == b'&').filter(|pair| split_pair(pair).0 != name.as_bytes());
    for (index, pair) in kept.enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(pair);
    }
}

/// Appends a text as one segment of a path: everything but unreserved characters encoded (RFC 3986 §2.3).
pub fn percent_encode(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// Decodes `%XX`; what is no escape stays as it is.
pub fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match escape(&text[at..]) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}

fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', pair) {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, b""),
    }
}

fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: &u8| (*byte as char).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_be_read_in_two_ways_are_refused() {
        for good in [
            "/",
            "/a/b",
            "/a/b/",
            "/v1/files/file-1/content",
            "/a%20b/c",
            "/models/org~x:free",
            "/a..b/...",
            "",
        ] {
            assert_eq!(check_forwardable(good.as_bytes()), Ok(()), "{good}");
        }
        let bad = [
            "/..",
            "/a/../b",
            "/./a",
            "/a/.",
            "//a",
            "/a//b",
            "/%2e%2e/a",
            "/a/%2E",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/%00",
            "/%0d%0a",
            "/a%",
            "/a%4",
            "/a%zz",
            "/%252e%252e/a",
            "/a/%7f",
            "/..;/a",
            "/a/..;x=1",
        ];
        for bad in bad {
            assert_eq!(check_forwardable(bad.as_bytes()), Err(Malformed::Path), "{bad}");
        }
    }

    #[test]
    fn one_parameter_is_found_or_taken_out_and_the_rest_stays() {
        assert_eq!(query_value(b"a=1&provider=x%2Fy&b", "provider").as_deref(), Some(&b"x/y"[..]));
        assert_eq!(query_value(b"providers=1", "provider"), None);
        assert_eq!(query_value(b"b", "b").as_deref(), Some(&b""[..]));
        for (query, want) in
            [("a=1&provider=x&b=%zz", "a=1&b=%zz"), ("provider=x", ""), ("", ""), ("a&&b", "a&&b")]
        {
            let mut out = Vec::new();
            query_without(query.as_bytes(), "provider", &mut out);
            assert_eq!(out, want.as_bytes(), "{query}");
        }
    }
}
