//! Where a head ends: at every cut the same, strict about line ends, bounded.

use super::*;
use crate::wire::fuzz::twin;

const CASES: [&[u8]; 9] = [
    b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\n\r\nbody\r\n\r\n",
    b"\r\n",
    b"a\nb\r\n\r\n",
    b"a\rb\r\n\r\n",
    b"a\r\r\n\r\n",
    b"a\r\n\n",
    b"a\r\n\r",
    b"",
];

#[test]
fn a_head_ends_where_the_twin_says_at_every_cut() {
    for case in CASES {
        let want = twin::end_of_head(case);
        for cut in 0..=case.len() {
            let mut end = EndOfHead::default();
            let got = match end.step(&case[..cut]) {
                Step::More => match end.step(&case[cut..]) {
                    Step::Done { used } => Step::Done { used: used + cut },
                    other => other,
                },
                other => other,
            };
            assert_eq!(got, want, "{case:?} cut at {cut}");
        }
    }
}

#[test]
fn mutated_heads_end_where_the_twin_says() {
    let seed = CASES[1];
    let mut random = crate::wire::fuzz::Random::new(7);
    for _ in 0..20_000 {
        let mut bytes = seed.to_vec();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = b"\r\n a:"[random.below(5)];
        }
        assert_eq!(EndOfHead::default().step(&bytes), twin::end_of_head(&bytes), "{bytes:?}");
    }
}

#[test]
fn a_head_and_its_lines_are_bounded() {
    let line = [&b"x: "[..], &vec![b'a'; HEAD_LINE_BYTES_MAX], b"\r\n\r\n"].concat();
    assert_eq!(EndOfHead::default().step(&line), Step::Bad(Malformed::LineTooLong));
    let head = b"x: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(HEAD_BYTES_MAX / 32 + 1);
    assert_eq!(EndOfHead::default().step(&head), Step::Bad(Malformed::HeadTooLarge));
}

#[test]
fn the_first_broken_rule_is_told_at_every_cut() {
    let line = |bytes: usize, end: &[u8]| [&vec![b'a'; bytes][..], end].concat();
    let full = line(HEAD_LINE_BYTES_MAX - 2, b"\r\n").repeat(3);
    for head in [
        line(HEAD_LINE_BYTES_MAX + 9, b"\nb"),
        line(HEAD_LINE_BYTES_MAX - 1, b"\nb"),
        line(HEAD_LINE_BYTES_MAX, b"\nb"),
        line(HEAD_LINE_BYTES_MAX - 1, b"\rb"),
        line(HEAD_LINE_BYTES_MAX - 2, b"\rb"),
        [&full[..], &line(HEAD_LINE_BYTES_MAX - 9, b"\r\n"), &line(HEAD_LINE_BYTES_MAX + 9, b"\r\n")]
            .concat(),
        [&full[..], &line(HEAD_LINE_BYTES_MAX - 2, b"\r\n"), b"a"].concat(),
        [&full[..], &line(HEAD_LINE_BYTES_MAX + 1, b"\r\n")].concat(),
    ] {
        let want = twin::end_of_head(&head);
        assert!(matches!(want, Step::Bad(_)));
        for cut in (0..=head.len()).step_by(7).chain(head.len().saturating_sub(20)..=head.len()) {
            let mut end = EndOfHead::default();
            let got = match end.step(&head[..cut]) {
                Step::More => end.step(&head[cut..]),
                other => other,
            };
            assert_eq!(got, want, "{} bytes cut at {cut}", head.len());
        }
    }
}

#[test]
fn known_names_are_found_in_any_case_and_others_are_not() {
    for (name, want) in [
        ("Content-Length", Known::ContentLength),
        ("HOST", Known::Host),
        ("x-goog-api-key", Known::XGoogApiKey),
        ("contentlength1", Known::Other),
        ("", Known::Other),
    ] {
        assert_eq!(Known::of(name.as_bytes()), want, "{name}");
    }
}

#[test]
fn connection_headers_are_bounded_because_every_header_is_held_against_them() {
    use crate::wire::request::{RequestHead, read_request};
    let head = |options: usize| {
        let line = format!("connection: {}\r\n", "a,".repeat(options / 4));
        format!("GET / HTTP/1.1\r\nhost: x\r\n{line}{line}\r\n")
    };
    assert_eq!(read_request(head(512).as_bytes(), &mut RequestHead::default()), Ok(()));
    let bad = read_request(head(520).as_bytes(), &mut RequestHead::default());
    assert_eq!(bad, Err(Malformed::ConnectionTooLong));
}
