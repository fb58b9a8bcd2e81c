//! Where a head ends: at every cut the same, strict about line ends, bounded.

use super::*;

/// The slow twin: looks at the head byte by byte, from the start.
fn twin(input: &[u8]) -> Step {
    let (mut line_bytes, mut after_cr) = (0, false);
    for (at, &byte) in input.iter().enumerate() {
        line_bytes += 1;
        match (byte, after_cr) {
            (b'\n', false) => return Step::Bad(Malformed::BareLineFeed),
            (b'\n', true) if line_bytes > HEAD_LINE_BYTES_MAX => return Step::Bad(Malformed::LineTooLong),
            (b'\n', true) if at + 1 > HEAD_BYTES_MAX => return Step::Bad(Malformed::HeadTooLarge),
            (b'\n', true) if line_bytes == 2 => return Step::Done { used: at + 1 },
            (b'\n', true) => line_bytes = 0,
            (_, true) => return Step::Bad(Malformed::BareCarriageReturn),
            _ => {}
        }
        after_cr = byte == b'\r';
    }
    if line_bytes > HEAD_LINE_BYTES_MAX {
        Step::Bad(Malformed::LineTooLong)
    } else if input.len() > HEAD_BYTES_MAX {
        Step::Bad(Malformed::HeadTooLarge)
    } else {
        Step::More
    }
}

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
        let want = twin(case);
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
        assert_eq!(EndOfHead::default().step(&bytes), twin(&bytes), "{bytes:?}");
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
