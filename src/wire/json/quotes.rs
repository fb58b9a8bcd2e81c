//! Where words with a quote in front may stand: one look at a document for several words, where a search for each of them
//! would look at it as often. The slow twin stands in the test.

use super::block::{BLOCK_BYTES, equal_marks, padded_block};

/// The places of quotes behind which one of the `firsts` stands, in their order.
pub fn quotes<const COUNT: usize>(document: &[u8], firsts: [u8; COUNT]) -> Quotes<'_, COUNT> {
    Quotes { document, firsts, at: 0, marks: 0 }
}

/// What [`quotes`] gives.
pub struct Quotes<'d, const COUNT: usize> {
    document: &'d [u8],
    firsts: [u8; COUNT],
    /// Behind the block whose marks are left.
    at: usize,
    marks: u32,
}

impl<const COUNT: usize> Iterator for Quotes<'_, COUNT> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.marks == 0 {
            let rest = self.document.get(self.at..)?;
            let (block, seconds) = match (rest.first_chunk(), rest.get(1..).and_then(<[u8]>::first_chunk)) {
                (Some(block), Some(seconds)) => (*block, *seconds),
                _ => match padded_block(self.document, self.at + 1) {
                    Some(seconds) => (padded_block(self.document, self.at)?, seconds),
                    None => return self.next_byte_by_byte(),
                },
            };
            let quotes = equal_marks(&block, b'"');
            self.at += BLOCK_BYTES;
            if quotes != 0 {
                let any = self.firsts.iter().fold(0, |any, &first| any | equal_marks(&seconds, first));
                self.marks = quotes & any;
            }
        }
        let place = self.at - BLOCK_BYTES + self.marks.trailing_zeros() as usize;
        self.marks &= self.marks - 1;
        Some(place)
    }
}

impl<const COUNT: usize> Quotes<'_, COUNT> {
    /// For documents that are shorter than a block, and for the end of all others, behind which nothing stands.
    #[cold]
    fn next_byte_by_byte(&mut self) -> Option<usize> {
        let pairs = self.document.get(self.at..)?.windows(2);
        let found =
            pairs.map(|pair| pair[0] == b'"' && self.firsts.contains(&pair[1])).position(|is_it| is_it)?;
        self.at += found + 1;
        Some(self.at - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fuzz::Random;

    #[test]
    fn what_is_found_is_what_stands_there() {
        let mut random = Random::new(5);
        for round in 0..50_000 {
            let document: Vec<u8> = (0..round % 90).map(|_| b"\"\"uex\\\0"[random.below(7)]).collect();
            let is_it = |at: &usize| document[*at] == b'"' && b"ue".contains(&document[at + 1]);
            let want: Vec<usize> = (0..document.len().saturating_sub(1)).filter(is_it).collect();
            let got: Vec<usize> = quotes(&document, *b"ue").collect();
            assert_eq!(got, want, "{}", document.escape_ascii());
        }
    }
}
