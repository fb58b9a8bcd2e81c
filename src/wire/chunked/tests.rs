//! Chunked bodies: a table, every cut, and a slow twin.

use super::*;
use crate::wire::fuzz::{Random, chunked_data, twin};

const GOOD: &[u8] = b"5\r\nhello\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\ntrailer: gone\r\n\r\n";

#[test]
fn data_comes_out_at_every_cut() {
    for cut in 0..=GOOD.len() {
        let (data, step) = chunked_data(&[&GOOD[..cut], &GOOD[cut..], b"next"]);
        assert_eq!(data, b"hello0123456789", "cut at {cut}");
        assert_eq!(step, Step::Done { used: GOOD.len() });
    }
    let bytes: Vec<&[u8]> = GOOD.chunks(1).collect();
    assert_eq!(chunked_data(&bytes).0, b"hello0123456789");
}

#[test]
fn broken_framing_is_refused() {
    let long = [&b"1;"[..], &[b'a'; 257], b"\r\na\r\n0\r\n\r\n"].concat();
    let many = [b"1;".to_vec(), vec![b'a'; 250], b"\r\na\r\n".to_vec()].concat().repeat(40);
    for (body, want) in [
        (&b"\r\n"[..], Malformed::ChunkSize),
        (b"g\r\n", Malformed::ChunkSize),
        (b"-1\r\n", Malformed::ChunkSize),
        (b"0x5\r\n", Malformed::ChunkSize),
        (b" 5\r\n", Malformed::ChunkSize),
        (b"5 \r\n", Malformed::ChunkSize),
        (b"5\n", Malformed::ChunkSize),
        (b"5\rx", Malformed::ChunkSize),
        (b"12345678901234567\r\n", Malformed::ChunkSize),
        (b"000000000\r\n", Malformed::ChunkSize),
        (b"1\r\nab", Malformed::ChunkEnd),
        (b"1\r\na\n", Malformed::ChunkEnd),
        (b"0\r\nx\r\n\r\n", Malformed::Trailer),
        (b"0\r\n: x\r\n\r\n", Malformed::Trailer),
        (b"0\r\n\n", Malformed::Trailer),
        (&long, Malformed::ChunkExtension),
        (&many, Malformed::ChunkExtension),
    ] {
        assert_eq!(chunked_data(&[body]).1, Step::Bad(want), "{:?}", String::from_utf8_lossy(body));
    }
}

#[test]
fn mutated_bodies_are_judged_as_the_twin_does() {
    let mut random = Random::new(11);
    for _ in 0..40_000 {
        let mut bytes = GOOD.to_vec();
        for _ in 0..1 + random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = b"\r\n05;: x"[random.below(8)];
        }
        let (data, step) = chunked_data(&[&bytes]);
        let got = matches!(step, Step::Done { .. }).then_some(data);
        assert_eq!(got, twin::chunked(&bytes), "{:?}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_chunk_head_is_written_in_hexadecimal() {
    for size in [0, 1, 15, 16, 255, 4096, usize::MAX] {
        let mut out = Vec::new();
        write_chunk_head(size, &mut out);
        assert_eq!(out, format!("{size:x}\r\n").into_bytes());
    }
}
