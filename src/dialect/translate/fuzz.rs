//! The body of the fuzz target for streams that are put together to one answer.

use super::Assembly;
use crate::dialect::batches::fuzz::assert_json;
use crate::dialect::endpoint::Grammar;
use crate::wire::fuzz::cuts;

/// Whatever comes as a stream, in whatever grammar, the answer that it comes to is JSON, and does not depend on cuts. Where
/// little may be kept, little is.
pub fn assembly(input: &[u8]) {
    if std::str::from_utf8(input).is_err() {
        return;
    }
    for grammar in GRAMMARS {
        let whole = put_together(grammar, &[input], ALL);
        assert!(!whole.1, "nothing is left out where all has room");
        for cut in cuts(input) {
            let in_two = put_together(grammar, &[&input[..cut], &input[cut..]], ALL);
            assert_eq!(whole, in_two, "a cut at {cut} changes the answer, {grammar:?}");
        }
        let pieces: Vec<&[u8]> = input.chunks(PIECE_BYTES).collect();
        for said_max in [0, 64, 1024] {
            put_together(grammar, &pieces, said_max);
        }
    }
}

/// The answer, whether it was cut, and whether the stream has ended.
fn put_together(grammar: Grammar, pieces: &[&[u8]], said_max: usize) -> (Vec<u8>, bool, bool) {
    let (mut assembly, mut out) = (Assembly::new(grammar, said_max), Vec::new());
    for piece in pieces {
        assembly.take(piece);
        // What is held may have twice the room that it needs.
        let held_max = 2 * (2 * said_max + piece.len()) + PIECE_BYTES;
        assert!(assembly.weight() <= said_max + held_max, "{} bytes are held", assembly.weight());
    }
    let assembled = assembly.finish(&mut out);
    assert_json(&out);
    (out, assembled.is_cut, assembled.has_ended)
}

/// All that clients are answered in.
const GRAMMARS: [Grammar; 4] = [Grammar::Chat, Grammar::Responses, Grammar::Messages, Grammar::Gemini];
const ALL: usize = usize::MAX / 16;
const PIECE_BYTES: usize = 50;
